"""Whether something is in the image.

What is absent is chosen in three ways, as POPE does (Li et al., "Evaluating Object Hallucination in
Large Vision-Language Models", 2023, arXiv:2305.10355): at random, by how often it is in other images
of the set, and by how often it is beside what is there. Weights and shares are such that over a data
set yes is the answer as often as no.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from datagen.teacher.programmatic.facts import Facts, Kind
from datagen.teacher.programmatic.pieces import place_words
from datagen.teacher.programmatic.programs.counting import (
    GROUPS,
    NOTHING,
    Addition,
    absent_companions,
    companions,
    names_others_of,
    popular_absent,
    rough_amount,
    rough_fact,
    seldom_people,
    where_they_are,
)
from datagen.teacher.programmatic.registry import IDLE, Fact, Said, program
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import CATEGORIES, Noun, listed

MOST_ABSENT = 8
"""Absent things that a program offers; a conversation asks for fewer."""
ENOUGH_KINDS = 6
"""With fewer categories in an image, absent ones are asked for less often: what is there is soon told by
other answers, and no would be the answer to all that is left to ask."""
PEOPLE_KEPT = 0.5
"""Of the questions for people where there are some, how many are asked: they are in half of all images."""
GROUP_YES = 0.88
"""Of the questions for a group, how often yes is tried: fewer images have an animal than have none."""
BOTH_YES = 0.62
"""The same of the questions for two things: what is there is sooner known already."""


@program("conversation", "presence", weight=1.0)
def existence(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether something is in the image, asked of what is: the answer is yes."""
    if not facts.absent:
        # No could never be the answer, so that yes would be worth nothing.
        return
    for kind in seldom_people(facts.kinds, voice):
        if kind.category == "person" and not voice.chance(PEOPLE_KEPT):
            continue
        asks = frozenset((f"presence {kind.category}",))
        if voice.knows(asks):
            yield IDLE
            continue
        answer, added = _yes(kind, facts, voice)
        yield Said(
            question=_is_there(kind.noun, voice),
            answer=answer,
            brief="yes",
            facts=added.facts,
            boxes=added.boxes,
            asks=asks,
            tells=added.tells,
        )


def _yes(kind: Kind, facts: Facts, voice: Voice) -> tuple[str, Addition]:
    """That it is there, and where, how many, or with what."""
    noun, category = kind.noun, kind.category
    said: list[Fact] = [("present", category)]
    boxes, tells = kind.boxes, set[str]()
    rest = NOTHING
    single, is_alone = kind.single, len(facts.kinds) == 1
    if single is not None and single.place is not None and (is_alone or voice.chance(0.75)):
        place = place_words(single.place, facts.frame, voice)
        if voice.chance(0.5):
            rest = companions(facts, (category,), "existence.also", voice)
        answer = voice.say("existence.yes_place", one=noun.one, be=noun.be, place=place) + rest.words
        said.append(("place", single.number, single.place))
        tells.add(f"place {category}")
    else:
        amount = rough_amount(kind)
        if kind.countable is not None and kind.is_several and voice.chance(0.5):
            amount = kind.amount
            said.append(("count", category, kind.countable))
            tells.add(f"count {category}")
            if is_alone or voice.chance(0.7):
                rest = where_they_are(kind, facts, voice)
        elif amount is not None and (fact := rough_fact(kind)) not in said:
            said.append(fact)
        if rest is NOTHING and voice.chance(0.9):
            rest = companions(facts, (category,), "existence.beside", voice)
        is_one = amount is None or noun.form == "mass" or not (kind.is_several or noun.form == "plural")
        answer = voice.say(
            "existence.yes_one" if is_one else "existence.yes_many",
            things=amount or f"at least one {noun.singular}",
            extra=rest.words,
        )
    return answer, Addition("", (*said, *rest.facts), (*boxes, *rest.boxes), rest.tells | tells)


@program("conversation", "presence", weight=0.33)
def absence_random(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether something is in the image, asked of what is absent, chosen at random: the answer is no."""
    if facts.absent:
        # Faster than to shuffle all; what comes twice is asked once.
        yield from _absences((voice.pick(facts.absent) for _ in range(MOST_ABSENT)), facts, voice)


@program("conversation", "presence", weight=0.33)
def absence_popular(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether something is in the image, asked of what is absent here and in many other images."""
    popular = popular_absent(facts)
    # Of these, too, the most frequent first: otherwise people would be asked for where they are, and
    # hardly where they are not.
    ranks = voice.weighted({rank: 1 / (rank + 1) for rank in range(len(popular))})
    yield from _absences((popular[rank] for rank in ranks), facts, voice)


@program("conversation", "presence", weight=0.34)
def absence_cooccurring(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether something is in the image, asked of what is absent here and often beside what is there."""
    yield from _absences(absent_companions(facts, voice)[:MOST_ABSENT], facts, voice)


def _absences(nouns: Iterable[Noun], facts: Facts, voice: Voice) -> Iterator[Said]:
    """No to each of these, the less often the less there is in the image that yes could be said to."""
    if not voice.chance(len(facts.kinds) / ENOUGH_KINDS):
        return
    for noun in nouns:
        category = noun.category
        added = companions(facts, (), "existence.but", voice) if voice.chance(0.75) else NOTHING
        if noun.form == "mass":
            answer = voice.say("existence.no_mass", thing=noun.singular, extra=added.words)
        elif noun.form == "plural" or category == "person" or voice.chance(0.4):
            answer = voice.say("existence.no_many", things=noun.plural, extra=added.words)
        else:
            answer = voice.say("existence.no_one", thing=noun.singular, one=noun.one, extra=added.words)
        yield Said(
            question=_is_there(noun, voice),
            answer=answer,
            brief="no",
            facts=(("absent", category), *added.facts),
            boxes=added.boxes,
            asks=frozenset((f"presence {category}",)),
            tells=added.tells,
        )


def _is_there(noun: Noun, voice: Voice) -> str:
    if noun.form == "mass":
        return voice.say("existence.mass_question", thing=noun.singular)
    if noun.form == "plural" or noun.category == "person" or voice.chance(0.5):
        return voice.say("existence.any_question", things=noun.plural)
    return voice.say("existence.one_question", one=noun.one)


@program("conversation", "presence", weight=0.3)
def existence_of_group(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether there are any of a group, such as animals: yes about as often as no."""
    if not facts.absent or not facts.kinds:
        return
    is_yes = voice.chance(GROUP_YES)
    absent = {noun.category for noun in facts.absent}
    for group in voice.shuffled(GROUPS):
        kinds = [kind for kind in facts.kinds if kind.noun.group == group]
        named = [(kind, told) for kind in kinds if (told := _amount(kind)) is not None][:3]
        if is_yes and named:
            names = [kind.category for kind in kinds]
            added = companions(facts, tuple(names), "existence.also", voice) if voice.chance(0.6) else NOTHING
            yield Said(
                question=voice.say("existence.any_question", things=group),
                answer=voice.say(
                    "existence.group_yes",
                    things=group,
                    which=listed([amount for _, (amount, _) in named]),
                )
                + added.words,
                brief="yes",
                facts=(*(said for _, (_, said) in named), *added.facts),
                boxes=(*(number for kind, _ in named for number in kind.boxes), *added.boxes),
                asks=frozenset(f"presence {name}" for name in (group, *names)),
                tells=added.tells | {f"count {kind.category}" for kind, _ in named},
            )
        elif not is_yes and _MEMBERS[group] <= absent and not names_others_of(group, facts):
            added = companions(facts, (), "existence.but", voice) if voice.chance(0.75) else NOTHING
            yield Said(
                question=voice.say("existence.any_question", things=group),
                answer=voice.say("existence.no_many", things=group, extra=added.words),
                brief="no",
                facts=(*(("absent", name) for name in sorted(_MEMBERS[group])), *added.facts),
                boxes=added.boxes,
                asks=frozenset(f"presence {name}" for name in (group, *_MEMBERS[group])),
                tells=added.tells,
            )


_MEMBERS = {
    group: frozenset(name for name, category in CATEGORIES.items() if category.noun.group == group)
    for group in GROUPS
}


def _amount(kind: Kind) -> tuple[str, Fact] | None:
    """How much of it there is, with its number where that may be told, and what that says of it."""
    if kind.countable is not None and kind.amount is not None:
        return kind.amount, ("count", kind.category, kind.countable)
    amount = rough_amount(kind)
    return None if amount is None else (amount, rough_fact(kind))


@program("conversation", "presence", weight=0.3)
def existence_of_both(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether two things are both there: yes about as often as no. A question names one of each, which does
    not give away how many there are."""
    kinds = [
        (kind.noun, kind.boxes, *told)
        for kind in seldom_people(facts.kinds, voice)
        if (told := _amount(kind)) is not None
    ]
    if not facts.absent or len(kinds) < 2:
        return
    is_yes = voice.chance(BOTH_YES)
    missing = absent_companions(facts, voice) or [voice.pick(facts.absent)]
    others = kinds[1:] if is_yes else [(noun, (), "", ("absent", noun.category)) for noun in missing]
    for (noun, boxes, there, said), (other, other_boxes, other_there, other_said) in zip(
        kinds, others, strict=False
    ):
        names = [noun.category, other.category]
        asks = frozenset(f"presence {name}" for name in names)
        if voice.knows(asks):
            yield IDLE
            continue
        if is_yes:
            answer = voice.say("existence.both_yes", first=there, second=other_there)
        else:
            is_one = other.form == "mass" or (other.form == "count" and other.category != "person")
            no, be = (other.singular, "is") if is_one else (other.plural, "are")
            answer = voice.say("existence.both_no", there=there, no=f"no {no}", be=be)
        first, second = voice.shuffled((noun.one, other.one))
        yield Said(
            question=voice.say("existence.both_question", first=first, second=second),
            answer=answer,
            brief="yes" if is_yes else "no",
            facts=(said, other_said),
            boxes=(*boxes, *other_boxes),
            asks=asks,
            tells=frozenset(f"count {name}" for name in names),
        )
