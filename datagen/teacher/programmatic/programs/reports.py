"""What reports tell: what was found, and what was looked for and not found."""

from __future__ import annotations

from collections.abc import Iterator

from datagen.teacher.programmatic.facts import Facts, Kind
from datagen.teacher.programmatic.pieces import place_of
from datagen.teacher.programmatic.registry import IDLE, Said, program
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import Noun


@program("conversation", "presence", weight=0)
def finding_check(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether something is in the image, asked of what a report finds and of what it rules out."""
    asked: list[Kind | Noun] = [
        *(kind for kind in facts.kinds if kind.noun.form != "unique"),
        *facts.ruled_out,
    ]
    for about in voice.shuffled(asked):
        noun = about.noun if isinstance(about, Kind) else about
        asks = frozenset((f"presence {noun.category}",))
        if voice.knows(asks):
            yield IDLE
            continue
        a_thing = f"any {noun.singular}" if noun.form == "mass" else noun.one
        question = voice.say("reports.question", a_thing=a_thing)
        if isinstance(about, Kind):
            yield _yes(about, question, asks, facts, voice)
            continue
        yield Said(
            question=question,
            answer=voice.say("reports.no", thing=noun.singular),
            brief="no",
            facts=(("ruled_out", noun.category),),
            asks=asks,
        )


def _yes(kind: Kind, question: str, asks: frozenset[str], facts: Facts, voice: Voice) -> Said:
    noun, category, single = kind.noun, kind.category, kind.single
    if single is not None and (place := place_of(single, facts.frame, voice)) is not None:
        return Said(
            question=question,
            answer=voice.say(
                "reports.yes_place", a_thing=noun.singular if noun.form == "mass" else noun.one, place=place
            ),
            brief="yes",
            facts=(("present", category), ("place", single.number, str(single.place))),
            boxes=kind.boxes,
            asks=asks,
            tells=frozenset((f"place {category}",)),
        )
    is_many = kind.countable is not None and kind.countable > 1
    return Said(
        question=question,
        answer=voice.say("reports.yes_many", things=str(kind.amount))
        if is_many
        else voice.say("reports.yes"),
        brief="yes",
        facts=(("count", category, kind.countable or 0),) if is_many else (("present", category),),
        boxes=kind.boxes,
        asks=asks,
        tells=frozenset((f"count {category}",)) if is_many else frozenset(),
    )
