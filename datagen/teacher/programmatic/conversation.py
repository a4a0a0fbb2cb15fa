"""Makes a conversation: which programs are asked for a turn, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from datagen.teacher.programmatic.facts import Facts
from datagen.teacher.programmatic.registry import IDLE, Program, Said
from datagen.teacher.programmatic.voice import Voice

TURNS = (3, 4, 4, 5)
"""How many turns a conversation has, where the facts allow: one of these."""
TRIES = 4
"""How often a program is asked for something that has not been said before it is passed over."""
OPENING = ("content", "doing")
"""The families of the questions with which most conversations begin: what the image shows, who does what."""
OPENING_FIRST = 0.8
"""Share of conversations that begin with one of these, where there is one."""

Written = tuple[Program, Said, tuple[str, ...]]
"""What was said, by which program, in which phrasings."""


def converse(facts: Facts, voice: Voice, weights: Mapping[Program, float]) -> list[Written]:
    """A conversation of three to five turns, fewer where the facts are few; empty where there are none.

    First one turn of each family of programs, in an order drawn by weight; then, while turns are
    wanting, whatever is left.
    """
    wanted = voice.pick(TURNS)
    drawn = voice.weighted(weights)
    if voice.chance(OPENING_FIRST):
        drawn.sort(key=lambda program: program.family not in OPENING)
    sources: dict[str, Iterator[Said]] = {}
    turns: list[Written] = []
    known = voice.known
    for most_of_family in (1, 2, len(drawn)):
        families: dict[str, int] = {}
        for program, _, _ in turns:
            families[program.family] = families.get(program.family, 0) + 1
        for program in drawn:
            if len(turns) == wanted:
                return turns
            family = program.family
            if families.get(family, 0) >= most_of_family:
                continue
            source = sources.get(program.name)
            if source is None:
                source = sources[program.name] = program.write(facts, voice.of(program.name))
            for attempt in range(TRIES):
                voice.drop_said()
                said = next(source, None)
                if said is None:
                    break
                if not attempt:
                    # Counted even where it says nothing new: were a yes that is known already replaced by a
                    # no, most answers would be no.
                    families[family] = families.get(family, 0) + 1
                if said is not IDLE and known.isdisjoint(said.asks):
                    turns.append((program, said, voice.take_said()))
                    known |= said.asks | said.tells
                    break
    return turns
