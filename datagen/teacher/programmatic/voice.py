"""Wording: the phrasings of phrasings.toml, chosen at random and filled in.

A phrasing is plain text with `<slot>` where a value goes and `[one|another|]` where one of several
wordings is drawn. Values are put in as they are and never read as phrasings, whatever they hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from datagen.teacher.programmatic.words import load_toml

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[Phrasing, ...]


Phrasing = tuple["str | _Slot | _Choice", ...]

_PIECE = re.compile(r"<(?P<slot>[a-z_]+)>|\[(?P<choice>[^\[\]]*)\]")


def compiled(text: str) -> Phrasing:
    """Reads one phrasing. Raises ValueError for a stray bracket."""
    parts: list[str | _Slot | _Choice] = []
    end = 0
    for piece in _PIECE.finditer(text):
        parts.append(text[end : piece.start()])
        choice = piece["choice"]
        parts.append(
            _Slot(piece["slot"])
            if choice is None
            else _Choice(tuple(compiled(option) for option in choice.split("|")))
        )
        end = piece.end()
    parts.append(text[end:])
    if any(isinstance(part, str) and set(part) & set("<>[]|") for part in parts):
        raise ValueError(f"stray bracket in the phrasing {text!r}: slots are <name>, choices [one|another]")
    return tuple(part for part in parts if part != "")


def _compiled_tables(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, tuple[Phrasing, ...]]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _compiled_tables(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", tuple(compiled(text) for text in value)


PHRASINGS: dict[str, tuple[Phrasing, ...]] = dict(_compiled_tables(load_toml("phrasings.toml")))


class Voice:
    """Draws wordings and makes every other random choice of one sample."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._used: set[int] = set()

    def say(self, key: str, **slots: str) -> str:
        """One of the phrasings under `key`, such as "position.question", with its slots filled."""
        return self.fill(PHRASINGS[key], slots)

    def fill(self, phrasings: Sequence[Phrasing], slots: dict[str, str]) -> str:
        """One of the phrasings, with its slots filled. Raises KeyError for a slot without a value."""
        phrasing = self.pick(phrasings)
        for _ in range(3):
            # A phrasing that this sample has had before is used again only if luck insists.
            if id(phrasing) not in self._used:
                break
            phrasing = self.pick(phrasings)
        if phrasing:
            self._used.add(id(phrasing))
        out: list[str] = []
        self._write(phrasing, slots, out)
        return "".join(out)

    def _write(self, phrasing: Phrasing, slots: dict[str, str], out: list[str]) -> None:
        for part in phrasing:
            if isinstance(part, str):
                out.append(part)
            elif isinstance(part, _Slot):
                out.append(slots[part.name])
            else:
                self._write(self.pick(part.options), slots, out)

    def pick(self, options: Sequence[T]) -> T:
        # Much faster than Random.choice, and as even as 53 bits make it.
        return options[int(self.random.random() * len(options))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        return self.random.sample(items, len(items))

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability
