"""Exact duplicates: samples of one type that say the same, but for case, punctuation and spacing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from datagen.records import Unit

_NOT_WORDS = re.compile(r"[\W_]+")


class ExactDedup:
    """Remembers what was said; the first to say it stays.

    Memory grows by one 16-byte digest and one unit per kept sample. Units are to be shown in a
    fixed order, so that which one stays does not depend on the order of replies.
    """

    def __init__(self) -> None:
        self._seen: dict[bytes, Unit] = {}

    def duplicate_of(self, unit: Unit, texts: Sequence[str]) -> Unit | None:
        """The earlier unit that says the same, or None, after which this one is remembered.

        `texts` is what the teacher wrote, part by part.
        """
        said = "\n".join(_NOT_WORDS.sub(" ", text.casefold()).strip() for text in texts)
        digest = hashlib.blake2b(f"{unit.response_type}\n{said}".encode(), digest_size=16).digest()
        first = self._seen.setdefault(digest, unit)
        return None if first == unit else first
