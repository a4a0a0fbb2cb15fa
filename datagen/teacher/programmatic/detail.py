"""Programs for detailed descriptions: each makes sentences for one part of a paragraph.

The paragraph goes from the whole to the parts. To add a program, write the function, its phrasings
in phrasings.toml, and put it into PROGRAMS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from datagen.records import Turn
from datagen.teacher.programmatic.captions import Sentence, is_near_copy, not_together
from datagen.teacher.programmatic.facts import SMALLEST_AREA, Facts, Kind, direction
from datagen.teacher.programmatic.pieces import place_words, relation_words, shown
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import capital, counted, listed

WORDS = (70, 105)
"""A description is closed once it has a number of words drawn from this range."""
FEW_WORDS = 80
"""Below this a further caption is taken in, even if it says little new."""
MOST_LISTED = 5
LARGE_AREA = 0.45
"""Share of the image that a box covers, from which it takes up a good part of it."""

Program = Callable[[Facts, Voice], Iterator[str]]


def whole(facts: Facts, voice: Voice) -> Iterator[str]:
    """What the image shows: a caption, then others that add to it without contradicting it."""
    told: list[Sentence] = []
    for sentence in _main_first(facts.captions, voice):
        if any(is_near_copy(sentence, other) or not_together(sentence, other) for other in told):
            continue
        yield again(sentence, voice) if told else shown(sentence, voice)
        told.append(sentence)
    if not facts.captions:
        amounts = _amounts(facts.kinds)[:MOST_LISTED]
        if amounts:
            yield voice.say("detail.first_things", things=listed(amounts))


def _main_first(captions: Sequence[Sentence], voice: Voice) -> list[Sentence]:
    main = voice.shuffled(captions[:3])
    return main + voice.shuffled(captions[3:])


def again(sentence: Sentence, voice: Voice) -> str:
    """A further caption, as a second look at the same scene."""
    if sentence.phrase is not None:
        return voice.say("content.again_phrase", phrase=sentence.phrase)
    return voice.say("content.again_clause", sentence=sentence.text, clause=sentence.clause)


def _amounts(kinds: Sequence[Kind]) -> list[str]:
    return [amount for kind in kinds if (amount := kind.amount) is not None]


def inventory(facts: Facts, voice: Voice) -> Iterator[str]:
    """The things in view and their numbers, where these are certain."""
    amounts = _amounts(facts.kinds)
    if not facts.captions:
        amounts = amounts[MOST_LISTED:]
    if facts.captions and len(amounts) == 1 and not any((kind.countable or 0) > 1 for kind in facts.kinds):
        # One thing, which its place and the captions say better.
        return
    first, more = amounts[:MOST_LISTED], amounts[MOST_LISTED : 2 * MOST_LISTED]
    if first:
        yield voice.say(
            "detail.inventory" if facts.captions else "detail.inventory_more", things=listed(first)
        )
    if more:
        yield voice.say("detail.inventory_more", things=listed(more))


def placements(facts: Facts, voice: Voice) -> Iterator[str]:
    """Where the things are that are the only ones of their category, those in one place together."""
    by_place: dict[str, list[Kind]] = {}
    for kind in facts.kinds:
        if (thing := kind.single) is not None and (key := thing.place) is not None:
            by_place.setdefault(key, []).append(kind)
    spoken = []
    for key, kinds in voice.shuffled(list(by_place.items())):
        nouns = [kind.noun for kind in kinds[:3]]
        be = "are" if len(nouns) > 1 else nouns[0].be
        spoken.append((listed([noun.the for noun in nouns]), be, key))
    while spoken:
        size = min(len(spoken), voice.pick((1, 2, 2, 3)))
        group, spoken = spoken[:size], spoken[size:]
        slots: dict[str, str] = {}
        for index, (prefix, (the, be, key)) in enumerate(zip(("", "other_", "third_"), group, strict=False)):
            slots[prefix.rstrip("_") or "the"] = the
            slots[f"{prefix}be"] = be
            slots[f"{prefix}place"] = place_words(key, facts.frame, voice, whole=index == 0)
        yield voice.say(("detail.place", "detail.place_two", "detail.place_three")[size - 1], **slots)


def groups(facts: Facts, voice: Voice) -> Iterator[str]:
    """How several things of one category are placed."""
    for kind in voice.shuffled([kind for kind in facts.kinds if len(kind.things) > 1 and kind.is_several]):
        if kind.noun.form == "count" and min(thing.area for thing in kind.things) >= SMALLEST_AREA / 3:
            sentence = _arrangement(kind, facts, voice)
            if sentence is not None:
                yield sentence


def _arrangement(kind: Kind, facts: Facts, voice: Voice) -> str | None:
    things, keys = kind.noun.plural, [thing.place for thing in kind.things]
    distinct = set(keys)
    if kind.count is not None and len(distinct) == 1 and (key := keys[0]) is not None:
        name = "detail.gathered_two" if kind.count == 2 else "detail.gathered"
        return voice.say(name, things=things, place=place_words(key, facts.frame, voice))
    if kind.count in (2, 3) and len(distinct) == kind.count and None not in distinct:
        spoken = [
            place_words(key, facts.frame, voice, whole=not index) for index, key in enumerate(keys) if key
        ]
        if kind.count == 2:
            return voice.say("detail.two_apart", things=things, first=spoken[0], second=spoken[1])
        return voice.say(
            "detail.three_apart", things=things, first=spoken[0], second=spoken[1], third=spoken[2]
        )
    if facts.frame == "radiograph" or len(kind.things) < 3:
        return None
    if {"left", "right"} <= {thing.across for thing in kind.things}:
        return voice.say("detail.spread", things=things)
    if {"top", "bottom"} <= {thing.down for thing in kind.things}:
        return voice.say("detail.spread_down", things=things)
    return None


def extents(facts: Facts, voice: Voice) -> Iterator[str]:
    """What takes up much of the image."""
    for noun, thing in facts.singles:
        if thing.right - thing.left > 0.93 and noun.be == "is":
            yield voice.say("detail.spans", the=noun.the)
            return
        if thing.area > LARGE_AREA:
            yield voice.say("detail.takes_up_plural" if noun.be == "are" else "detail.takes_up", the=noun.the)
            return


def relations(facts: Facts, voice: Voice) -> Iterator[str]:
    """Where one thing is, seen from another."""
    singles = voice.shuffled(facts.singles)
    for (first, first_thing), (second, second_thing) in pairwise(singles):
        ways = [
            way
            for way in (
                direction(first_thing, second_thing, "across"),
                direction(first_thing, second_thing, "down"),
            )
            if way is not None
        ]
        if ways:
            words = relation_words(voice.pick(ways), first_thing, second_thing, facts.frame, voice)
            yield voice.say(
                "detail.relation", first=first.the, be=first.be, direction=words, second=second.the
            )


def foreign_whole(facts: Facts, voice: Voice) -> Iterator[str]:
    """Captions that are not in English, word for word."""
    yield from voice.shuffled(facts.foreign)[:2]


def all_beside(facts: Facts, voice: Voice) -> Iterator[str]:
    """Where all of several things are, seen from one other thing."""
    for kind in voice.shuffled(facts.kinds):
        if (kind.countable or 0) < 2:
            continue
        for noun, thing in voice.shuffled(facts.singles[:6]):
            ways = {direction(each, thing, "across") for each in kind.things}
            way = ways.pop()
            if ways or way is None:
                continue
            everyone = (
                f"both {kind.noun.plural}"
                if kind.count == 2
                else f"all {counted(len(kind.things), kind.noun)}"
            )
            words = relation_words(way, kind.things[0], thing, facts.frame, voice)
            yield voice.say("detail.all_beside", all=everyone, direction=words, the=noun.the)
            break


PROGRAMS: tuple[Program, ...] = (
    foreign_whole,
    whole,
    inventory,
    placements,
    groups,
    extents,
    all_beside,
    relations,
)


def describe(facts: Facts, voice: Voice) -> Turn | None:
    """A description as one paragraph, with a question for it; None where there is nothing to say."""
    budget = voice.random.randint(*WORDS)
    sentences: list[str] = []
    words = 0

    def take(source: Iterator[str], most: int) -> None:
        nonlocal words
        for _ in range(most):
            sentence = next(source, None) if words <= budget else None
            if sentence is None:
                return
            sentences.append(capital(sentence))
            words += len(sentence.split())

    looks = whole(facts, voice)
    take(foreign_whole(facts, voice), 2)
    take(looks, 1)
    # The second look at the whole stands beside the first, or closes the paragraph.
    last = next(looks, None) if voice.chance(0.35) else None
    if last is None:
        take(looks, 1)
    else:
        words += len(last.split())
    take(inventory(facts, voice), 2)
    parts = [program(facts, voice) for program in voice.shuffled((placements, groups, extents))]
    for part in (*parts, *parts):
        take(part, 1)
    take(all_beside(facts, voice), 1)
    take(relations(facts, voice), 2)
    if last is not None:
        sentences.append(capital(last))
    if words < FEW_WORDS:
        take(looks, 1)
    if not sentences:
        return None
    return Turn(capital(voice.say("detail.question")), " ".join(sentences))
