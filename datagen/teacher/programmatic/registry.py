"""Programs: what each is, and what it says with what that rests on.

A program is a generator from facts to questions and answers, or to the sentences of a paragraph. To
add one, write it, decorate it with `program`, and put its wordings into the pack's phrasings.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from datagen.teacher.programmatic.facts import Facts
from datagen.teacher.programmatic.voice import Voice

ResponseType = Literal["conversation", "detail", "complex_reasoning"]

Fact = tuple[str | int | float, ...]
"""One thing an answer says of the image, in few words: ("count", "dog", 2). docs/programs.md lists all."""


@dataclass(frozen=True, slots=True)
class Said:
    """One question and its answer, or one sentence of a paragraph, and what they rest on."""

    answer: str
    """One or more sentences, or for a paragraph one."""
    facts: tuple[Fact, ...]
    """All that the answer says of the image beyond the words of captions, so that it can be recomputed."""
    question: str = ""
    """Empty for a sentence of a paragraph."""
    brief: str = ""
    """The answer in a word or two, to count answers by: "yes", "two", "left"; empty where it has none."""
    boxes: tuple[int, ...] = ()
    """The boxes it rests on, by number."""
    captions: tuple[int, ...] = ()
    """The captions it rests on, by number."""
    asks: frozenset[str] = frozenset()
    """What the question is about; nothing that is asked or told in a conversation is asked again."""
    tells: frozenset[str] = frozenset()
    """What the answer gives away, so that a later question for it would be idle."""


IDLE = Said("", ())
"""In place of a question that would be idle, as what it asks is known: worded, it would be thrown away."""

Write = Callable[[Facts, Voice], Iterator[Said]]


@dataclass(frozen=True, slots=True)
class Program:
    """A registered program."""

    name: str
    response_type: ResponseType
    family: str
    """What its questions are alike in: of one family few are asked in a conversation."""
    weight: float
    """How often it is chosen beside the others of its type; 0 leaves it out unless a pack asks for it."""
    about: str
    """One line for people."""
    write: Write

    def __hash__(self) -> int:
        return hash(self.name)


_PROGRAMS: dict[str, Program] = {}


def program(
    response_type: ResponseType, family: str, *, name: str | None = None, weight: float = 1.0
) -> Callable[[Write], Write]:
    """Registers a generator function under its name; the first line of its docstring says what it asks."""

    def register(write: Write) -> Write:
        called = name or write.__name__
        if called in _PROGRAMS:
            raise ValueError(f"two programs are called {called}")
        about = (write.__doc__ or "").strip().split("\n")[0]
        _PROGRAMS[called] = Program(called, response_type, family, weight, about, write)
        return write

    return register


def all_programs() -> dict[str, Program]:
    """Every program by name, in the order in which they were registered."""
    # What registers them; here, as they import this module.
    from datagen.teacher.programmatic import programs  # noqa: F401

    return _PROGRAMS
