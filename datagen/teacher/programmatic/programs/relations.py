"""Where things are as seen from one another: beside, between, apart, one within the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice
from typing import Literal, NamedTuple, TypeVar

from datagen.teacher.programmatic.facts import OPPOSITE, Direction, Facts, Thing, shared
from datagen.teacher.programmatic.pieces import place_of, relation_words
from datagen.teacher.programmatic.programs.places import FILLED
from datagen.teacher.programmatic.registry import Fact, Said, program
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import Noun, listed

T = TypeVar("T")
Axis = Literal["across", "down"]

MOST_SINGLES = 12
"""Of so many things pairs are looked at; with more, the pairs would cost more than they are worth."""
MOST_ON_SIDES = 8
"""The same for what is asked of three."""
MOST_OF_A_FORM = 2
"""How many questions of one form a program with several asks before it turns to the next."""

FACT_OF: dict[Direction, str] = {"left": "left_of", "right": "right_of", "above": "above", "below": "below"}
AXIS_OF: dict[Direction, Axis] = {"left": "across", "right": "across", "above": "down", "below": "down"}
WAYS: tuple[Direction, ...] = ("left", "right", "above", "below")

NAMED_GROUPS = frozenset(("animals", "vehicles", "electronics", "bags", "sports"))
"""Categories of these can be asked for together; the phrasings have a word for each."""

Single = tuple[Noun, Thing]


class Extra(NamedTuple):
    """What an answer adds to what it was asked for."""

    text: str = ""
    facts: tuple[Fact, ...] = ()
    tells: tuple[str, ...] = ()


def related(facts: Facts, voice: Voice) -> Iterator[tuple[Single, Direction, Single]]:
    """Pairs of single things of which one is clearly left of, right of, above or below the other."""
    for first, second in voice.shuffled(_pairs(facts, voice)):
        if voice.chance(0.5):
            first, second = second, first
        axes: list[Axis] = ["across", "down"] if voice.chance(0.5) else ["down", "across"]
        way = facts.direction(first[1], second[1], axes[0]) or facts.direction(first[1], second[1], axes[1])
        if way is None:
            voice.unsaid["near_tie"] += 1
        else:
            yield first, way, second


def _pairs(facts: Facts, voice: Voice) -> list[tuple[Single, Single]]:
    """Pairs of single things, half of those with a person left out where there are others."""
    singles = facts.singles[:MOST_SINGLES]
    pairs = [
        pair for pair in combinations(singles, 2) if not facts.goes_without_saying(pair[0][0], pair[1][0])
    ]
    if len(singles) < 3:
        return pairs
    return [pair for pair in pairs if pair[0][0].group != "people" or voice.chance(0.5)]


def extra(last: Single, other: Single, facts: Facts, voice: Voice) -> Extra:
    """More about two things, to follow a clause that ends with the first of them."""
    if voice.chance(0.25):
        # Some answers are short.
        return Extra()
    for (noun, thing), key in ((last, "last"), (other, "other")):
        if (place := place_of(thing, facts.frame, voice, whole=voice.chance(0.6))) is not None:
            slots = {"the": noun.the, "be": noun.be, "which": noun.which, "place": place}
            fact = ("place", thing.number, thing.place or "")
            return Extra(voice.say(f"relation.extra_{key}", **slots), (fact,), (f"place {noun.category}",))
    (noun, larger), (_, smaller) = (last, other) if last[1].area > other[1].area else (other, last)
    # Of things of different kinds, as one may fill its outline and the other hardly.
    if larger.area < smaller.area * facts.margins.larger * FILLED:
        return Extra()
    text = voice.say("relation.extra_size", the=noun.the, take=take(noun))
    return Extra(text, (("larger", larger.number, smaller.number),))


def take(noun: Noun) -> str:
    return "take" if noun.form == "plural" else "takes"


def pair_of(*nouns: Noun) -> str:
    """What a question about two things asks."""
    return f"relation {' / '.join(sorted(noun.category for noun in nouns))}"


def presence(*nouns: Noun) -> tuple[str, ...]:
    return tuple(f"presence {noun.category}" for noun in nouns)


def _of_two(
    first: Single, way: Direction, second: Single, more: Extra, question: str, answer: str, brief: str
) -> Said:
    """A turn about where the first is as seen from the second."""
    (noun, thing), (other, other_thing) = first, second
    return Said(
        question=question,
        answer=answer,
        brief=brief,
        facts=((FACT_OF[way], thing.number, other_thing.number), *more.facts),
        boxes=(thing.number, other_thing.number),
        asks=frozenset((pair_of(noun, other),)),
        tells=frozenset((*presence(noun, other), *more.tells)),
    )


@program("conversation", "relation")
def relation(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where one thing is, seen from another."""
    for first, way, second in related(facts, voice):
        (noun, thing), (other, other_thing) = first, second
        words = relation_words(way, thing, other_thing, facts.frame, voice)
        question = voice.say("relation.question", first=noun.the, second=other.the, be=noun.be)
        more = extra(second, first, facts, voice)
        answer = voice.say(
            "relation.answer", first=noun.the, second=other.the, be=noun.be, direction=words, extra=more.text
        )
        yield _of_two(first, way, second, more, question, answer, way)


@program("conversation", "relation")
def relation_check(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether one thing is on a given side of another; the truth is asked as often as its opposite."""
    for first, way, second in related(facts, voice):
        (noun, thing), (other, other_thing) = first, second
        is_true = voice.chance(0.5)
        slots = {"first": noun.the, "second": other.the, "be": noun.be}
        asked = relation_words(way if is_true else OPPOSITE[way], thing, other_thing, facts.frame, voice)
        question = voice.say("relation.check_question", direction=asked, **slots)
        if not is_true and voice.chance(0.4):
            # The direction that was asked is the one in which the second lies from the first.
            more = extra(first, second, facts, voice)
            answer = voice.say(
                "relation.no_swapped", direction=asked, second_be=other.be, extra=more.text, **slots
            )
        else:
            words = asked if is_true else relation_words(way, thing, other_thing, facts.frame, voice)
            more = extra(second, first, facts, voice)
            key = "relation.yes" if is_true else "relation.no"
            answer = voice.say(key, direction=words, extra=more.text, **slots)
        yield _of_two(first, way, second, more, question, answer, "yes" if is_true else "no")


@program("conversation", "relation")
def relation_choice(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Which of two things is farther to the left, to the right, up or down."""
    for first, way, second in related(facts, voice):
        (noun, _), (other, _) = first, second
        named = (noun.the, other.the) if voice.chance(0.5) else (other.the, noun.the)
        farther = voice.say(f"relation.farther.{facts.frame}.{way}")
        question = voice.say("relation.choice_question", first=named[0], second=named[1], farther=farther)
        more = extra(second, first, facts, voice)
        answer = voice.say(
            "relation.choice",
            first=noun.the,
            second=other.the,
            be=noun.be,
            farther=voice.say(f"relation.farther.{facts.frame}.{way}"),
            extra=more.text,
        )
        yield _of_two(first, way, second, more, question, answer, noun.singular)


# Two steps


@program("conversation", "chain")
def relation_chain(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Three things and two relations, both of which the answer needs."""
    if len(facts.singles) < 3:
        return
    for form in voice.shuffled((_step_by_step, _from_one_to_the_next, _same_side)):
        yield from islice(form(facts, voice), MOST_OF_A_FORM)


def only_one(facts: Facts, way: Direction, base: Thing, group: str | None, voice: Voice) -> Thing | None:
    """The single thing that lies that way from `base`, where no other box can be said or thought to.

    Of a group, or of everything if that is None.
    """
    if group is None and ("no_word_for_it" in facts.unsaid or "denied_by_captions" in facts.unsaid):
        return None
    axis = AXIS_OF[way]
    is_before = way in ("left", "above")
    found: Thing | None = None
    is_single = False
    for kind in facts.kinds:
        if group is not None and kind.noun.group != group:
            continue
        if kind.count is None:
            return None
        for thing in kind.things:
            distance = thing.x - base.x if axis == "across" else thing.y - base.y
            if thing is base or (distance >= 0 if is_before else distance <= 0):
                continue
            if found is not None:
                voice.unsaid["ambiguous"] += 1
                return None
            found, is_single = thing, thing is kind.single
    if found is None or not is_single:
        return None
    if facts.direction(found, base, axis) != way:
        voice.unsaid["near_tie"] += 1
        return None
    return found


def _group_of(noun: Noun) -> str | None:
    return noun.group if noun.group in NAMED_GROUPS or noun.group == "people" else None


def _step_by_step(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What is on one side of the thing that is on one side of another."""
    singles = voice.shuffled(facts.singles[:MOST_SINGLES])
    for base_noun, base in singles[:4]:
        for middle_noun, middle in singles[:4]:
            group = _group_of(middle_noun)
            axis: Axis = "across" if voice.chance(0.5) else "down"
            way = facts.direction(middle, base, axis)
            if middle is base or way is None:
                continue
            if only_one(facts, way, base, group, voice) is not middle:
                continue
            for noun, thing in singles:
                # Without people, who are the answer far too often.
                if thing is middle or thing is base or noun.group == "people":
                    continue
                onward = facts.direction(thing, middle, "across" if voice.chance(0.5) else "down")
                end_group = _group_of(noun)
                if onward is None or only_one(facts, onward, middle, end_group, voice) is not thing:
                    continue
                first = relation_words(way, middle, base, facts.frame, voice)
                then = relation_words(onward, thing, middle, facts.frame, voice)
                kind = voice.say(f"chain.group.{group or 'other'}")
                what = f"which {voice.say(f'chain.group.{end_group}')}" if end_group else "what"
                yield _chained(
                    ((middle_noun, middle), way, (base_noun, base)),
                    ((noun, thing), onward, (middle_noun, middle)),
                    voice.say(
                        "chain.step_question",
                        what=what,
                        kind=kind,
                        which="who" if group == "people" else "that",
                        first=first,
                        then=then,
                        base=base_noun.the,
                    ),
                    voice.say(
                        "chain.step_answer",
                        kind=kind,
                        middle=middle_noun.the,
                        middle_which=middle_noun.which,
                        be=middle_noun.be,
                        first=first,
                        base=base_noun.the,
                        one=noun.one,
                        one_be=noun.be,
                        then=then,
                    ),
                    noun.singular,
                )
                break


def _chained(
    first: tuple[Single, Direction, Single],
    then: tuple[Single, Direction, Single],
    question: str,
    answer: str,
    brief: str,
) -> Said:
    """A turn that rests on two relations between three things."""
    nouns = [first[0][0], first[2][0], then[0][0], then[2][0]]
    return Said(
        question=question,
        answer=answer,
        brief=brief,
        facts=tuple((FACT_OF[way], one[1].number, other[1].number) for one, way, other in (first, then)),
        boxes=tuple(dict.fromkeys(thing.number for each in (first, then) for _, thing in (each[0], each[2]))),
        asks=frozenset((pair_of(*nouns[:2]), pair_of(*nouns[2:]))),
        tells=frozenset(presence(*nouns)),
    )


def _from_one_to_the_next(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where one is seen from another, and a third from the first."""
    for (noun, thing), way, (base_noun, base) in related(facts, voice):
        for next_noun, next_thing in voice.shuffled(facts.singles[:MOST_SINGLES]):
            if next_thing is thing or next_thing is base:
                continue
            onward = facts.direction(next_thing, thing, "across" if voice.chance(0.5) else "down")
            if onward is None:
                continue
            slots = {"base": base_noun.the, "middle": noun.the, "be": noun.be, "end": next_noun.the}
            slots["end_be"] = next_noun.be
            yield _chained(
                ((noun, thing), way, (base_noun, base)),
                ((next_noun, next_thing), onward, (noun, thing)),
                voice.say("chain.next_question", **slots),
                voice.say(
                    "chain.next_answer",
                    first=relation_words(way, thing, base, facts.frame, voice),
                    then=relation_words(onward, next_thing, thing, facts.frame, voice),
                    middle_which=noun.which,
                    **slots,
                ),
                f"{way}, {onward}",
            )
            break


def _same_side(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether two things are both on one side of a third; yes as often as no."""
    singles = facts.singles[:MOST_ON_SIDES]
    same: list[tuple[Single, Single, Single, Direction]] = []
    opposite: list[tuple[Single, Single, Single, Direction]] = []
    for base in singles:
        axis: Axis = "across" if voice.chance(0.5) else "down"
        ways = [
            (single, way)
            for single in singles
            if single is not base and (way := facts.direction(single[1], base[1], axis)) is not None
        ]
        for (first, way), (second, other) in combinations(ways, 2):
            (same if way == other else opposite).append((first, second, base, way))
    # Where only one answer is to be had, it could be guessed without looking.
    while same and opposite:
        is_same = voice.chance(0.5)
        triples = same if is_same else opposite
        first, second, base, way = triples.pop(voice.index(len(triples)))
        yield _on_sides(first, second, base, way, is_same, facts, voice)


def _on_sides(
    first: Single, second: Single, base: Single, way: Direction, is_same: bool, facts: Facts, voice: Voice
) -> Said:
    """A turn about whether two things are that way from a third; the first of them is."""
    (noun, thing), (other, other_thing), (base_noun, base_thing) = first, second, base
    other_way = way if is_same else OPPOSITE[way]
    # Only what is right over the third is called above it, so the words have to fit both.
    is_over = thing.left <= base_thing.right and base_thing.left <= thing.right
    asked = relation_words(way, other_thing if is_over else thing, base_thing, facts.frame, voice)
    named, base_the = (noun.the, other.the), base_noun.the
    if voice.chance(0.5):
        named = named[::-1]
    question = voice.say(
        "chain.both_question", first=named[0], second=named[1], direction=asked, base=base_the
    )
    slots = {"first": noun.the, "be": noun.be, "second": other.the, "second_be": other.be, "base": base_the}
    if is_same:
        answer = voice.say("chain.both", direction=asked, **slots)
    else:
        answer = voice.say(
            "chain.not_both",
            direction=relation_words(way, thing, base_thing, facts.frame, voice),
            other_direction=relation_words(other_way, other_thing, base_thing, facts.frame, voice),
            **slots,
        )
    links = (first, way, base), (second, other_way, base)
    return _chained(*links, question, answer, "yes" if is_same else "no")


@program("conversation", "chain")
def between(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Which of three things is between the two others, from side to side or from top to bottom."""
    singles = facts.singles[:MOST_SINGLES]
    apart = facts.margins.apart
    for three in voice.shuffled(islice(combinations(singles, 3), 60)):
        axis: Axis = "across" if voice.chance(0.5) else "down"
        ordered = sorted(three, key=lambda single: single[1].x if axis == "across" else single[1].y)
        before, middle, after = ((thing.x if axis == "across" else thing.y) for _, thing in ordered)
        if middle - before < apart or after - middle < apart:
            voice.unsaid["near_tie"] += 1
            continue
        if voice.chance(0.5):
            ordered.reverse()
        (first, first_thing), (noun, thing), (last, last_thing) = ordered
        question = voice.say(
            f"chain.between.{axis}_question", things=listed([each.the for each, _ in voice.shuffled(three)])
        )
        slots = {"the": noun.the, "be": noun.be, "come": "come" if noun.form == "plural" else "comes"}
        slots |= {"first": first.the, "last": last.the}
        said: list[Fact] = [("between", axis, thing.number, first_thing.number, last_thing.number)]
        tells = [*presence(first, noun, last)]
        place = place_of(thing, facts.frame, voice) if voice.chance(0.7) else None
        if place is None:
            answer = voice.say(f"chain.between.{axis}", **slots)
        else:
            answer = voice.say(f"chain.between.{axis}_place", which=noun.which, place=place, **slots)
            said.append(("place", thing.number, thing.place or ""))
            tells.append(f"place {noun.category}")
        yield Said(
            question=question,
            answer=answer,
            brief=noun.singular,
            facts=tuple(said),
            boxes=(thing.number, first_thing.number, last_thing.number),
            asks=frozenset((f"between {axis}", pair_of(noun, first), pair_of(noun, last))),
            tells=frozenset(tells),
        )


# How much of the image two things share


OVERLAPPING = 0.25
"""The share of the smaller box from which two are said to overlap."""
INSIDE = 0.95
"""The share of a box from which it is said to be in another."""
GAP = 0.02
"""Of the width or height: what has to lie between two boxes that are said to be apart."""


def is_disjoint(first: Thing, second: Thing) -> bool:
    across = max(first.left, second.left) - min(first.right, second.right)
    down = max(first.top, second.top) - min(first.bottom, second.bottom)
    return across >= GAP or down >= GAP


@program("conversation", "overlap")
def overlap(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether the parts of the image that two things take up overlap; yes as often as no."""
    yes: list[tuple[Single, Single]] = []
    no: list[tuple[Single, Single]] = []
    for first, second in voice.shuffled(combinations(facts.singles[:MOST_SINGLES], 2)):
        if facts.goes_without_saying(first[0], second[0]):
            continue
        if shared(first[1], second[1]) >= OVERLAPPING * min(first[1].area, second[1].area):
            yes.append((first, second))
        elif is_disjoint(first[1], second[1]):
            no.append((first, second))
        else:
            voice.unsaid["near_tie"] += 1
    for is_yes, pair in by_coin(yes, no, voice):
        first, second = pair if voice.chance(0.5) else pair[::-1]
        fact = "overlapping" if is_yes else "disjoint"
        yield _of_extents("overlap", fact, first, second, facts, voice)


@program("conversation", "overlap")
def containment(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether a thing lies within the part of the image that another takes up; yes as often as no."""
    yes: list[tuple[Single, Single]] = []
    no: list[tuple[Single, Single]] = []
    for first, second in voice.shuffled(combinations(facts.singles[:MOST_SINGLES], 2)):
        small, large = (first, second) if first[1].area < second[1].area else (second, first)
        if large[1].area < small[1].area * facts.margins.larger:
            continue
        if shared(small[1], large[1]) >= INSIDE * small[1].area:
            yes.append((small, large))
        elif is_disjoint(small[1], large[1]):
            no.append((small, large))
    for is_yes, (small, large) in by_coin(yes, no, voice):
        fact = "inside" if is_yes else "disjoint"
        yield _of_extents("within", fact, small, large, facts, voice)


def by_coin(yes: list[T], no: list[T], voice: Voice) -> Iterator[tuple[bool, T]]:
    """Where there is a yes and a no to be had, one or the other by chance."""
    # Things apart are far more common than things that overlap: if only one was asked for where only
    # that is to be had, the answer could be guessed without looking.
    while yes and no:
        is_yes = voice.chance(0.5)
        yield is_yes, (yes if is_yes else no).pop()


def _of_extents(form: str, fact: str, first: Single, second: Single, facts: Facts, voice: Voice) -> Said:
    """A turn about the parts of the image that two things take up."""
    (noun, thing), (other, other_thing) = first, second
    slots = {
        "first": noun.the,
        "be": noun.be,
        "do": "do" if noun.form == "plural" else "does",
        "lie": "lie" if noun.form == "plural" else "lies",
        "second": other.the,
        "take": take(other),
    }
    question = voice.say(f"overlap.{form}_question", **slots)
    is_yes = fact != "disjoint"
    way = facts.direction(thing, other_thing, "across") or facts.direction(thing, other_thing, "down")
    if is_yes or way is None:
        more = extra(second, first, facts, voice)
        answer = voice.say(f"overlap.{form}_yes" if is_yes else "overlap.no", extra=more.text, **slots)
    else:
        words = relation_words(way, thing, other_thing, facts.frame, voice)
        more = Extra(facts=((FACT_OF[way], thing.number, other_thing.number),), tells=(pair_of(noun, other),))
        answer = voice.say("overlap.no_way", direction=words, **slots)
    return Said(
        question=question,
        answer=answer,
        brief="yes" if is_yes else "no",
        facts=((fact, thing.number, other_thing.number), *more.facts),
        boxes=(thing.number, other_thing.number),
        asks=frozenset((f"overlap {' / '.join(sorted((noun.category, other.category)))}",)),
        tells=frozenset((*presence(noun, other), *more.tells)),
    )
