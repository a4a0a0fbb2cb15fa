"""What is claimed, and helpers that several kinds of claims share."""

from __future__ import annotations

from typing import Literal, NamedTuple

from datagen.checks.english import THERE
from datagen.checks.reading import Mention, Reading

Verdict = Literal["supported", "contradicted", "unsupported", "undecidable"]


class Claim(NamedTuple):
    """Something a turn says of the image, and what the evidence says of that."""

    kind: str
    """`object`, `absence`, `count`, `position`, `size`, `colour`, `attribute` or `blind_spot`."""
    words: str
    """As the turn has them."""
    rule: str
    """How it was found: `named`, `taken for granted`, `yes`, `no`, …"""
    verdict: Verdict
    evidence: str
    """What decided it: which boxes or which caption, from 1."""
    where: Literal["question", "answer"] = "answer"

    @property
    def told(self) -> str:
        """For a person."""
        return f"{self.words!r} ({self.kind}): {self.evidence}"


THE_IMAGE = frozenset("image picture photo photograph tile scene".split())
"""Words for the image itself."""


def is_presupposed(reading: Reading, mention: Mention) -> bool:
    """`the dog might be hungry`: supposed of a dog that is taken for granted."""
    return mention.is_definite and reading.words[mention.first] in ("the", "this", "these", "those")


def is_said_of_image(reading: Reading, mention: Mention) -> bool:
    """Whether a sentence says in so many words that it speaks of the image."""
    begin = next((start for start, end in reading.sentences if start <= mention.head < end), 0)
    before = slice(begin, mention.first)
    return THERE in reading.codes[before] or not THE_IMAGE.isdisjoint(reading.words[before])
