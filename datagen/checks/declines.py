"""Does a sample show both sides of the border: what is declined, and what is answered?"""

from __future__ import annotations

from collections.abc import Sequence

from datagen.checks.faults import Fault
from datagen.checks.phrases import PhraseCheck
from datagen.records import Turn


def one_sided(turns: Sequence[Turn], declines: PhraseCheck) -> Fault | None:
    """A fault of the whole sample where every answer declines, or none does."""
    found = [declines(turn) for turn in turns]
    if all(found):
        return Fault("all_declined", "declines", "answer", "every request is declined")
    if not any(found):
        return Fault("none_declined", "declines", "answer", "no request is declined")
    return None
