"""What reports tell: what was found, and what was looked for and not found."""

from __future__ import annotations

from collections.abc import Iterator

from datagen.teacher.programmatic.detail import Teller
from datagen.teacher.programmatic.facts import Facts, Kind
from datagen.teacher.programmatic.pieces import place_of
from datagen.teacher.programmatic.programs.description import sentences
from datagen.teacher.programmatic.registry import IDLE, Said, program
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import Noun, listed

FOUND_FIRST = 0.7
"""Share of questions about what was found, where there is something else that was not."""


@program("conversation", "presence", weight=0)
def finding_check(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether something is in the image, asked of what a report finds and of what it rules out."""
    found: list[Kind | Noun] = [kind for kind in facts.kinds if kind.noun.form != "unique"]
    # First what was found, more often than not: another turn may have told it already.
    first, second = (found, facts.ruled_out) if voice.chance(FOUND_FIRST) else (facts.ruled_out, found)
    for about in (*voice.shuffled(first), *voice.shuffled(second)):
        noun = about.noun if isinstance(about, Kind) else about
        asks = frozenset((f"presence {noun.category}",))
        if voice.knows(asks):
            yield IDLE
            continue
        a_thing = f"any {noun.singular}" if noun.form == "mass" and not noun.is_bare else noun.one
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
    # Of cardiomegaly, which is no thing in a place, it is the heart that is somewhere.
    if (
        single is not None
        and not noun.once_named
        and (place := place_of(single, facts.frame, voice)) is not None
    ):
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
    if is_many or noun.form == "mass":
        things = str(kind.amount)
    else:
        things = noun.plural if kind.is_several else noun.one
    return Said(
        question=question,
        answer=voice.say("reports.yes_many" if is_many or kind.is_several else "reports.yes", things=things),
        brief="yes",
        facts=(("count", category, kind.countable or 0),) if is_many else (("present", category),),
        boxes=kind.boxes,
        asks=asks,
        tells=frozenset((f"count {category}",)) if is_many else frozenset(),
    )


@sentences("report", weight=0)
def ruled_out(facts: Facts, teller: Teller) -> Iterator[Said]:
    """What a report looked for and did not find."""
    # Of what a caption that may be repeated rules out, enough is said by that.
    told = frozenset(category for caption in facts.captions for category in caption.categories)
    nouns = [noun for noun in facts.ruled_out if noun.category not in told]
    if nouns:
        teller.story.shape = "report"
        yield Said(
            answer=teller.say("reports.none", things=listed([noun.singular for noun in nouns], "or")),
            facts=tuple(("ruled_out", noun.category) for noun in nouns),
            tells=frozenset(f"presence {noun.category}" for noun in nouns),
        )
