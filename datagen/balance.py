"""How evenly the embedded teacher's programs are used: answers, categories and positions of a set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.evidence import PartEvidence, ProgramReport

_MOST_LISTED = 12

# Which words of a fact name categories, and which a place; docs/programs.md lists the facts.
_OF_CATEGORY = {
    "present",
    "spoken",
    "absent",
    "count",
    "several",
    "more",
    "equal",
    "most",
    "together",
    "spread",
}
_OF_PLACE = {"place", "across", "down", "extreme"}
_DIRECTIONS = {"left_of", "right_of", "above", "below"}


@dataclass(slots=True)
class _Counts:
    parts: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)


class Balance:
    """Counts parts as they are emitted."""

    def __init__(self) -> None:
        self._programs: dict[str, _Counts] = {}
        self.unsaid: Counter[str] = Counter()

    def add(self, parts: Iterable[PartEvidence]) -> None:
        for part in parts:
            counts = self._programs.setdefault(part.program, _Counts())
            counts.parts += 1
            if part.answer:
                counts.answers[part.answer] += 1
            for name, *words in part.facts:
                if name in _OF_CATEGORY:
                    counts.categories.update(_categories(str(name), words))
                elif name in _OF_PLACE:
                    counts.places[str(words[1])] += 1
                elif name in _DIRECTIONS:
                    counts.places[str(name)] += 1

    def report(self) -> dict[str, ProgramReport]:
        """By program, in order of their names."""
        return {
            name: ProgramReport(
                parts=counts.parts,
                answers=_most_common(counts.answers),
                categories=_most_common(counts.categories),
                places=_most_common(counts.places),
            )
            for name, counts in sorted(self._programs.items())
        }


def _categories(fact: str, words: list[str | int | float]) -> list[str]:
    return [str(word) for word in words[: 2 if fact in ("more", "equal") else 1]]


def _most_common(counts: Counter[str]) -> dict[str, int]:
    # By name where the numbers are equal, so that the order of samples decides nothing.
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:_MOST_LISTED])
