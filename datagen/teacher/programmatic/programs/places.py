"""Where things are in the image: places, sides, extremes, orders, sizes, groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from operator import attrgetter
from typing import Literal, NamedTuple

from datagen.teacher.programmatic.facts import Facts, Kind, Side, Thing, shared
from datagen.teacher.programmatic.pieces import place_of, place_words, relation_words
from datagen.teacher.programmatic.programs.description import is_worth_comparing
from datagen.teacher.programmatic.registry import IDLE, Fact, Said, program
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import NUMBER_WORDS, Noun, counted, listed

Axis = Literal["across", "down"]
Named = tuple[Noun, Thing]

MOST_LOOKED_AT = 12
"""Of the things that there is one of, those that are looked through in pairs."""
MOST_NAMED = 5
"""Categories that a question lists, so that nothing without a box can be meant."""
FILLED = 2.0
"""How many times more of its box one thing may fill than another: a bus nearly all, a bicycle little."""

SIDES: dict[Axis, tuple[Side, Side]] = {"across": ("left", "right"), "down": ("top", "bottom")}
PARTS: tuple[Side, ...] = ("left", "right", "top", "bottom", "middle")
MIDDLES: dict[Axis, tuple[str, ...]] = {
    "across": ("top_middle", "middle", "bottom_middle"),
    "down": ("middle",),
}
"""The places that say of what is between two sides that it is."""
OTHER_SIDE: dict[Side, Side] = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
_EXTENTS: dict[Side, tuple[float, float, float, float]] = {
    "left": (0, 0, 1 / 3, 1),
    "right": (2 / 3, 0, 1, 1),
    "top": (0, 0, 1, 1 / 3),
    "bottom": (0, 2 / 3, 1, 1),
    "middle": (1 / 3, 1 / 3, 2 / 3, 2 / 3),
}
"""Left, top, right and bottom of each part, as fractions of the frame."""
_RELATION = {"left": "left_of", "right": "right_of", "above": "above", "below": "below"}


class Aside(NamedTuple):
    """What an answer adds to what it was asked."""

    text: str = ""
    facts: tuple[Fact, ...] = ()
    boxes: tuple[int, ...] = ()
    tells: frozenset[str] = frozenset()


def _presence(*nouns: Noun) -> frozenset[str]:
    return frozenset(f"presence {noun.category}" for noun in nouns)


def _pair(first: Noun, second: Noun) -> str:
    return f"relation {' / '.join(sorted((first.category, second.category)))}"


def _it(noun: Noun) -> str:
    if noun.group == "people":
        return noun.the
    return "they" if noun.form == "plural" else "it"


def _drawn(facts: Facts, voice: Voice) -> list[Named]:
    """What there is one of, in random order; people, who are in most images, seldom first."""
    drawn = voice.shuffled(facts.singles)
    if len(drawn) > 1 and drawn[0][0].group == "people" and voice.chance(0.7):
        drawn.append(drawn.pop(0))
    return drawn


def _third(thing: Thing, axis: Axis) -> Side | None:
    return thing.across if axis == "across" else thing.down


@cache
def _is_elsewhere(one: str, other: str) -> bool:
    """Whether no thing can be in both places as they are spoken: "the left" may be the lower left."""
    first, second = (set(place.split("_")) - {"middle", "corner"} for place in (one, other))
    return not (first <= second or second <= first) or bool(first) != bool(second)


def _aside(noun: Noun, thing: Thing, facts: Facts, voice: Voice, share: float = 0.85) -> Aside:
    """Mostly, where it is as seen from something else, or where something else is."""
    if not voice.chance(share):
        return Aside()
    axes = voice.shuffled(SIDES)
    for other, other_thing in voice.shuffled(facts.singles[:MOST_LOOKED_AT]):
        if other is noun:
            continue
        way = facts.direction(thing, other_thing, axes[0]) or facts.direction(thing, other_thing, axes[1])
        if way is not None and not facts.goes_without_saying(noun, other) and voice.chance(0.5):
            words = relation_words(way, thing, other_thing, facts.frame, voice)
            text = voice.say("position.relation", it=_it(noun), be=noun.be, relation=words, other=other.the)
            fact: Fact = (_RELATION[way], thing.number, other_thing.number)
            tells = _presence(other) | {_pair(noun, other)}
        elif thing.place and other_thing.place and _is_elsewhere(thing.place, other_thing.place):
            place = place_words(other_thing.place, facts.frame, voice, whole=False)
            text = voice.say("position.other", other=other.the, be=other.be, place=place)
            fact = ("place", other_thing.number, other_thing.place)
            tells = _presence(other) | {f"place {other.category}"}
        else:
            continue
        return Aside(text, (fact,), (other_thing.number,), tells)
    return Aside()


# One thing


@program("conversation", "place")
def position(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where the only one of its category is."""
    drawn = _drawn(facts, voice)
    if voice.chance(0.6):
        # Most things that somebody takes a picture of are in its middle.
        drawn.sort(key=lambda each: each[1].place == "middle")
    for noun, thing in drawn:
        place = place_of(thing, facts.frame, voice)
        if thing.place is None or place is None:
            voice.unsaid["near_border"] += 1
            continue
        asks = frozenset((f"place {noun.category}",))
        if voice.knows(asks):
            yield IDLE
            continue
        aside = _aside(noun, thing, facts, voice)
        yield Said(
            question=voice.say("position.question", the=noun.the, be=noun.be),
            answer=voice.say("position.answer", the=noun.the, be=noun.be, place=place, extra=aside.text),
            brief=thing.place.replace("_", " "),
            facts=(("place", thing.number, thing.place), *aside.facts),
            boxes=(thing.number, *aside.boxes),
            asks=asks,
            tells=_presence(noun) | aside.tells,
        )


@program("conversation", "place", weight=0.5)
def position_of_each(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where each of the two of a category is."""
    for kind in voice.shuffled(kind for kind in facts.kinds if kind.countable == 2):
        first, second = voice.shuffled(kind.things)
        if not kind.can_point_at(first) or not kind.can_point_at(second):
            continue
        if not first.place or not second.place or not _is_elsewhere(first.place, second.place):
            voice.unsaid["near_border"] += 1
            continue
        noun = kind.noun
        yield Said(
            question=voice.say("position.each_question", things=noun.plural),
            answer=voice.say(
                "position.each",
                things=noun.plural,
                first=place_words(first.place, facts.frame, voice),
                second=place_words(second.place, facts.frame, voice, whole=False),
            ),
            brief=f"{first.place}, {second.place}".replace("_", " "),
            facts=(
                ("count", kind.category, 2),
                ("place", first.number, first.place),
                ("place", second.number, second.place),
            ),
            boxes=(first.number, second.number),
            asks=frozenset((f"place {kind.category}",)),
            tells=_presence(noun) | {f"count {kind.category}"},
        )


def _true_and_false(thing: Thing, facts: Facts, voice: Voice) -> tuple[Side, str] | None:
    """Where it is, and where it decidedly is not.

    None unless there are both: were all asked that can be affirmed, most answers would be yes.
    """
    for axis in voice.shuffled(SIDES):
        is_on = _third(thing, axis)
        if is_on is not None and is_on in SIDES[axis]:
            # What is on the left is not in the middle either; below the middle, some would say that it is.
            return is_on, "middle" if axis == "across" and voice.chance(0.2) else OTHER_SIDE[is_on]
    # What is in the middle is decidedly not in the part that lies across from it.
    is_off = max(abs(thing.x - 0.5), abs(thing.y - 0.5)) > facts.margins.apart
    if thing.place == "middle" and is_off:
        down, across = "top" if thing.y > 0.5 else "bottom", "left" if thing.x > 0.5 else "right"
        return "middle", f"{down}_{across}"
    return None


@program("conversation", "place")
def position_check(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether something is on a given side; the truth is asked as often as its opposite."""
    for noun, thing in _drawn(facts, voice):
        is_true = voice.chance(0.5)
        both = _true_and_false(thing, facts, voice)
        if both is None:
            voice.unsaid["near_border"] += 1
            continue
        is_on, is_not = both
        aside = _aside(noun, thing, facts, voice)
        slots = {"the": noun.the, "be": noun.be, "extra": aside.text}
        words = place_words(is_on if is_true else is_not, facts.frame, voice)
        question = voice.say("position.check_question", the=noun.the, be=noun.be, place=words)
        # The narrower place where there is one: who asked for the left is told that it is the upper left.
        place = thing.place if thing.place is not None and voice.chance(0.5) else is_on
        said: list[Fact] = [_side_fact(thing, is_on)]
        if place != is_on:
            said.append(("place", thing.number, place))
        slots["place"] = place_words(place, facts.frame, voice)
        yield Said(
            question=question,
            answer=voice.say("position.yes" if is_true else "position.no", **slots),
            brief="yes" if is_true else "no",
            facts=(*said, *aside.facts),
            boxes=(thing.number, *aside.boxes),
            asks=frozenset((f"place {noun.category}",)),
            tells=_presence(noun) | aside.tells,
        )


def _side_fact(thing: Thing, side: Side) -> Fact:
    if side == "middle":
        return ("place", thing.number, "middle")
    return ("across" if side in SIDES["across"] else "down", thing.number, side)


@program("conversation", "place")
def either_or(facts: Facts, voice: Voice) -> Iterator[Said]:
    """On which of two or three sides something is."""
    drawn = _drawn(facts, voice)
    wanted: list[tuple[Axis, Side]] = voice.shuffled((axis, side) for axis in SIDES for side in SIDES[axis])
    middles: list[tuple[Axis, Side]] = [(axis, "middle") for axis in voice.shuffled(SIDES)]
    # First the side, so that none is the answer more often than it has to be.
    for axis, side in middles + wanted if voice.chance(0.15) else wanted + middles:
        for noun, thing in drawn:
            if _third(thing, axis) == side and (side != "middle" or thing.place in MIDDLES[axis]):
                yield _either_or(noun, thing, axis, side, facts, voice)


def _either_or(noun: Noun, thing: Thing, axis: Axis, side: Side, facts: Facts, voice: Voice) -> Said:
    asks = frozenset((f"place {noun.category}",))
    if voice.knows(asks):
        return IDLE
    first, second = voice.shuffled(SIDES[axis])
    key = "three" if side == "middle" or voice.chance(0.25) else "two"
    aside = _aside(noun, thing, facts, voice)
    place = thing.place if thing.place is not None and (side == "middle" or voice.chance(0.5)) else side
    said: list[Fact] = [(axis, thing.number, side)]
    if place != side or side == "middle":
        said.append(("place", thing.number, place))
    # It was asked for a side of the image.
    words = place_words(place, facts.frame, voice, in_full=True)
    where = voice.say(f"position.{key}_{axis}", first=first, second=second)
    return Said(
        question=voice.say("position.either_question", the=noun.the, be=noun.be, where=where),
        answer=voice.say("position.answer", the=noun.the, be=noun.be, place=words, extra=aside.text),
        brief=side,
        facts=(*said, *aside.facts),
        boxes=(thing.number, *aside.boxes),
        asks=asks,
        tells=_presence(noun) | aside.tells,
    )


# What is on one side


class Part(NamedTuple):
    """Something in one part of the image."""

    amount: str
    facts: tuple[Fact, ...]
    boxes: tuple[int, ...]
    category: str
    filled: float
    """How much of that part its largest box there takes up."""


def _is_in(thing: Thing, side: Side) -> bool:
    """Whether it is decidedly there: "middle" is the middle both ways."""
    if side == "middle":
        return thing.across == thing.down == "middle"
    return (thing.across if side in ("left", "right") else thing.down) == side


def _may_be_in(thing: Thing, side: Side) -> bool:
    """Whether it is near the border, so that it may be there or not."""
    if side == "middle":
        return None in (thing.across, thing.down) and {thing.across, thing.down} <= {None, "middle"}
    return (thing.across if side in ("left", "right") else thing.down) is None


def _filled(thing: Thing, side: Side) -> float:
    """How much its box takes up of that third of the image, or of the middle."""
    left, top, right, bottom = _EXTENTS[side]
    width = min(thing.right, right) - max(thing.left, left)
    height = min(thing.bottom, bottom) - max(thing.top, top)
    return max(width, 0.0) * max(height, 0.0)


def _in_part(kind: Kind, side: Side) -> Part | None:
    """How much of a category is there, as far as that is decided; None where none of it is."""
    if len(kind.things) > MOST_LOOKED_AT:
        return None
    there = [thing for thing in kind.things if _is_in(thing, side)]
    if not any(kind.can_point_at(thing) for thing in there):
        return None
    boxes = tuple(thing.number for thing in there)
    said = tuple(_side_fact(thing, side) for thing in there)
    filled = max(_filled(thing, side) for thing in there)
    if kind.count == 1:
        return Part(kind.noun.one, said, boxes, kind.category, filled)
    number = kind.countable
    if number is None:
        return None
    facts: tuple[Fact, ...] = (("count", kind.category, number), *said)
    if len(there) == number:
        return Part(counted(number, kind.noun), facts, boxes, kind.category, filled)
    of_all = f"of the {counted(number, kind.noun)}"
    if not any(_may_be_in(thing, side) for thing in kind.things):
        return Part(f"{NUMBER_WORDS[len(there)]} {of_all}", facts, boxes, kind.category, filled)
    # "One of the planes", were there two, would leave out the other.
    return Part(f"some {of_all}", facts, boxes, kind.category, filled) if len(there) > 1 else None


def _parts(facts: Facts, side: Side, most: int, told: frozenset[str] = frozenset()) -> list[Part]:
    """What is there, the largest first; nothing where that leaves out something larger."""
    kinds = [kind for kind in facts.kinds if kind.category not in told]
    found = [part for kind in kinds[:MOST_LOOKED_AT] if (part := _in_part(kind, side))]
    parts = sorted(found, key=lambda part: -part.filled)[:most]
    if not parts:
        return []
    named = {number for part in parts for number in part.boxes}
    unnamed = [thing for kind in kinds for thing in kind.things if thing.number not in named]
    is_left_out = any(_filled(thing, side) > parts[0].filled for thing in unnamed)
    return [] if is_left_out else parts


@program("conversation", "place", weight=0.7)
def side(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What is on one side, or in the middle."""
    for where in voice.shuffled(PARTS):
        parts = _parts(facts, where, 3)
        if not parts:
            continue
        asks = frozenset((f"side {where}", *(f"place {part.category}" for part in parts)))
        if voice.knows(asks):
            yield IDLE
            continue
        others: list[Part] = []
        if where != "middle" and (len(parts) == 1 or voice.chance(0.3)):
            told = frozenset(part.category for part in parts)
            others = _parts(facts, OTHER_SIDE[where], 2, told)
        slots = {
            "place": place_words(where, facts.frame, voice),
            "things": listed([part.amount for part in parts]),
        }
        if others:
            slots["others"] = listed([part.amount for part in others])
            slots["opposite"] = place_words(OTHER_SIDE[where], facts.frame, voice, whole=False)
        question = voice.say("side.question", place=place_words(where, facts.frame, voice))
        both = (*parts, *others)
        yield Said(
            question=question,
            answer=voice.say("side.answer_and" if others else "side.answer", **slots),
            brief=slots["things"],
            facts=tuple(fact for part in both for fact in part.facts),
            boxes=tuple(number for part in both for number in part.boxes),
            asks=asks,
            tells=frozenset(
                each for part in both for each in (f"presence {part.category}", f"place {part.category}")
            ),
        )


# What is furthest to a side


def _all_named(facts: Facts) -> list[Thing]:
    """Every box, where a question can name them all and there are at least three; else nothing."""
    kinds = facts.kinds
    # A box without a word for it may be the one that is asked for.
    has_unnamed = any(facts.unsaid.get(reason) for reason in ("no_word_for_it", "denied_by_captions"))
    if has_unnamed or not 1 < len(kinds) <= MOST_NAMED or any(_amount(kind) is None for kind in kinds):
        return []
    things = [thing for kind in kinds for thing in kind.things]
    return things if 3 <= len(things) <= MOST_LOOKED_AT else []


def _amount(kind: Kind) -> str | None:
    """All of it, spoken of with its number: "the dog", "the three dogs"; None where that is not certain."""
    if kind.count == 1:
        return kind.noun.the
    return None if kind.countable is None else f"the {counted(kind.countable, kind.noun)}"


def _one_of(kind: Kind) -> str:
    """One of what `_amount` speaks of: "the dog", "one of the three dogs"."""
    return kind.noun.the if kind.count == 1 else f"one of {_amount(kind)}"


def _asked_among(facts: Facts, voice: Voice) -> str:
    """ "the dog, the two cats or the car": all that can be named."""
    return listed([_amount(kind) or "" for kind in voice.shuffled(facts.kinds)], "or")


def _counts(kinds: Iterable[Kind]) -> tuple[Fact, ...]:
    return tuple(("count", kind.category, len(kind.things)) for kind in kinds)


def _kind_of(thing: Thing, facts: Facts) -> Kind:
    return next(kind for kind in facts.kinds if thing in kind.things)


def _furthest(things: Sequence[Thing], side: Side, facts: Facts) -> Thing | None:
    """The one whose centre is clearly furthest to a side, and that no other reaches beyond."""
    sign = 1 if side in ("left", "top") else -1
    centre, edge = attrgetter("x" if side in SIDES["across"] else "y"), attrgetter(side)
    best = min(things, key=lambda thing: sign * centre(thing))
    least, outermost = sign * centre(best) + facts.margins.apart, sign * edge(best)
    for thing in things:
        if thing is not best and (sign * centre(thing) < least or sign * edge(thing) < outermost):
            return None
    return best


def _in_its_place(thing: Thing, facts: Facts, voice: Voice) -> Aside:
    if thing.place is None:
        return Aside()
    words = place_words(thing.place, facts.frame, voice, whole=False)
    return Aside(voice.say("extremes.place", place=words), (("place", thing.number, thing.place),))


@program("conversation", "extreme")
def extreme_position(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What is furthest to one side, of all that can be named."""
    things = _all_named(facts)
    for where in voice.shuffled(OTHER_SIDE) if things else ():
        thing = _furthest(things, where, facts)
        kind = None if thing is None else _kind_of(thing, facts)
        if thing is None or kind is None or not kind.can_point_at(thing):
            voice.unsaid["near_tie"] += 1
            continue
        aside = _other_end(thing, where, things, facts, voice)
        words = voice.say(f"extremes.{facts.frame}.{where}")
        yield Said(
            question=voice.say("extremes.question", things=_asked_among(facts, voice), side=words),
            answer=voice.say(
                "extremes.answer", the=_one_of(kind), be=kind.noun.be, side=words, extra=aside.text
            ),
            brief=kind.noun.singular,
            facts=(("extreme", thing.number, where, "*"), *_counts(facts.kinds), *aside.facts),
            boxes=tuple(each.number for each in things),
            asks=frozenset((f"extreme {where}",)),
            tells=_presence(*(each.noun for each in facts.kinds)) | aside.tells,
        )


def _other_end(thing: Thing, where: Side, things: Sequence[Thing], facts: Facts, voice: Voice) -> Aside:
    """What is furthest to the other side, or else in which part of the image the thing is."""
    there = OTHER_SIDE[where]
    other = _furthest(things, there, facts) if voice.chance(0.6) else None
    # "One of the ships is leftmost, while one of the ships is rightmost" would sound like the same one.
    if other is None or not (kind := _kind_of(other, facts)).can_point_at(other) or thing in kind.things:
        # "Furthest to the right, on the right" says nothing more.
        return Aside() if thing.place == where else _in_its_place(thing, facts, voice)
    words = voice.say(f"extremes.{facts.frame}.{there}")
    text = voice.say("extremes.other_end", other=_one_of(kind), be=kind.noun.be, side=words)
    return Aside(text, (("extreme", other.number, there, "*"),), (), frozenset((f"extreme {there}",)))


@program("conversation", "extreme", weight=0.7)
def extreme_of_category(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where the one of a category is that is furthest to one side."""
    for kind in voice.shuffled(kind for kind in facts.kinds if kind.countable and len(kind.things) > 1):
        for where in voice.shuffled(OTHER_SIDE):
            thing = _furthest(kind.things, where, facts)
            if thing is None or thing.place is None or not kind.can_point_at(thing):
                voice.unsaid["near_tie"] += 1
                continue
            if thing.place == where:
                # That the leftmost is on the left is hardly news.
                continue
            words = voice.say(f"extremes.{facts.frame}.{where}")
            fact: Fact = ("extreme", thing.number, where, kind.category)
            yield _one_among(kind, thing, fact, {"side": words}, facts, voice)


def _one_among(
    kind: Kind, thing: Thing, fact: Fact, slots: Mapping[str, str], facts: Facts, voice: Voice
) -> Said:
    """Where the one of several is that the fact singles out."""
    key, place, noun = "extremes" if fact[0] == "extreme" else "sizes", thing.place or "", kind.noun
    aside = _aside(noun, thing, facts, voice, share=0.5)
    that = "who" if noun.group == "people" else "that"
    slots = {"things": noun.plural, "that": f"{noun.singular} {that}", "all": _amount(kind) or "", **slots}
    where = place_words(place, facts.frame, voice)
    return Said(
        question=voice.say(f"{key}.one_question", **slots),
        answer=voice.say(f"{key}.one", **slots, place=where, extra=aside.text),
        brief=place.replace("_", " "),
        facts=(*_counts((kind,)), fact, ("place", thing.number, place), *aside.facts),
        boxes=(*(each.number for each in kind.things), *aside.boxes),
        asks=frozenset((" ".join(map(str, (fact[0], *fact[2:]))), f"place {kind.category}")),
        tells=_presence(noun) | {f"count {kind.category}"} | aside.tells,
    )


# How much of the image


def _is_larger(first: Thing, others: Sequence[Thing], times: float) -> bool:
    """Whether it has so many times the area of each, even if they hide all of it that they share."""
    seen = first.area - sum(shared(first, other) for other in others)
    return all(seen >= times * other.area for other in others)


@program("conversation", "extreme")
def largest(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What takes up the largest part of the image, of all that can be named."""
    things = _all_named(facts)
    if not things:
        return
    thing = max(things, key=attrgetter("area"))
    kind = _kind_of(thing, facts)
    others = [other for other in things if other is not thing]
    # Also beside the two cats together: who is asked for the dog or the two cats may add them up.
    rivals = [sum(each.area for each in other.things) for other in facts.kinds if other is not kind]
    if (
        kind.single is not thing
        or not _is_larger(thing, others, FILLED * facts.margins.larger)
        or thing.area < facts.margins.larger * max(rivals)
    ):
        voice.unsaid["near_tie"] += 1
        return
    aside = _in_its_place(thing, facts, voice)
    yield Said(
        question=voice.say("sizes.largest_question", things=_asked_among(facts, voice)),
        answer=voice.say(f"sizes.largest_{kind.noun.be}", the=kind.noun.the, extra=aside.text),
        brief=kind.noun.singular,
        facts=(("largest", thing.number, "*"), *_counts(facts.kinds), *aside.facts),
        boxes=tuple(each.number for each in things),
        asks=frozenset(("largest",)),
        tells=_presence(*(each.noun for each in facts.kinds)),
    )


@program("conversation", "extreme", weight=0.5)
def largest_of_category(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where the one of a category is that takes up most of the image."""
    for kind in voice.shuffled(kind for kind in facts.kinds if kind.countable and len(kind.things) > 1):
        thing = max(kind.things, key=attrgetter("area"))
        others = [other for other in kind.things if other is not thing]
        if thing.place is None or not _is_larger(thing, others, facts.margins.larger):
            voice.unsaid["near_tie"] += 1
        elif kind.can_point_at(thing):
            yield _one_among(kind, thing, ("largest", thing.number, kind.category), {}, facts, voice)


@program("conversation", "extreme")
def larger(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Which of two things takes up more of the image."""
    drawn = _drawn(facts, voice)[:MOST_LOOKED_AT]
    for index, one in enumerate(drawn):
        for other in voice.shuffled(drawn[index + 1 :]):
            (noun, thing), (less, less_thing) = sorted((one, other), key=lambda each: -each[1].area)
            if not is_worth_comparing(thing, less_thing):
                continue
            if not _is_larger(thing, [less_thing], FILLED * facts.margins.larger):
                voice.unsaid["near_tie"] += 1
                continue
            said: list[Fact] = [("larger", thing.number, less_thing.number)]
            tells, extra = _presence(noun, less), ""
            if less_thing.place is not None and voice.chance(0.7):
                words = place_words(less_thing.place, facts.frame, voice, whole=False)
                extra = voice.say("sizes.place", which=less.which, be=less.be, place=words)
                said.append(("place", less_thing.number, less_thing.place))
                tells |= {f"place {less.category}"}
            first, second = voice.shuffled((noun.the, less.the))
            yield Said(
                question=voice.say("sizes.question", first=first, second=second),
                answer=voice.say(f"sizes.{noun.be}", more=noun.the, less=less.the, extra=extra),
                brief=noun.singular,
                facts=tuple(said),
                boxes=(thing.number, less_thing.number),
                asks=frozenset((f"size {' / '.join(sorted((noun.category, less.category)))}",)),
                tells=tells,
            )


# Several in a row, several in one place


@program("conversation", "order")
def ordering(facts: Facts, voice: Voice) -> Iterator[Said]:
    """In which order three or four things follow one another across the image or down it."""
    if len(facts.singles) < 3:
        return
    for axis in voice.shuffled(SIDES):
        named = sorted(
            voice.shuffled(facts.singles)[:6], key=lambda each: each[1].x if axis == "across" else each[1].y
        )
        row: list[Named] = []
        for each in named:
            # Not only the centres: of what reaches past the next thing nobody would say that it comes first.
            if not row or facts.direction(row[-1][1], each[1], axis) is not None:
                row.append(each)
        if len(row) < 3:
            voice.unsaid["near_tie"] += 1
            continue
        row = row[: voice.pick((3, 4))]
        numbers = tuple(thing.number for _, thing in row)
        is_forward = voice.chance(0.65)
        nouns = [noun for noun, _ in (row if is_forward else row[::-1])]
        way = voice.say(f"ordering.{facts.frame}.{axis}{'' if is_forward else '_back'}")
        names = [noun.the for noun in nouns]
        yield Said(
            question=voice.say("ordering.question", things=listed(voice.shuffled(names)), way=way),
            answer=voice.say(
                "ordering.answer",
                way=way,
                things=listed(names),
                first=names[0],
                comes="come" if nouns[0].form == "plural" else "comes",
                rest=listed(names[1:], "and then"),
            ),
            brief=", ".join(noun.singular for noun in nouns),
            facts=(("order", axis, *numbers),),
            boxes=numbers,
            asks=frozenset((f"order {axis}",)),
            tells=_presence(*nouns) | {_pair(first, second) for first, second in pairwise(nouns)},
        )


@program("conversation", "group")
def grouping(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether those of a category are all in one part of the image or spread over it."""
    kinds = [kind for kind in facts.kinds if len(kind.things) > 1 and kind.noun.form == "count"]
    together: list[tuple[Kind, Axis | None]] = [(kind, None) for kind in kinds if _is_together(kind)]
    if not kinds or (not together and voice.chance(0.6)):
        # Few are together, and nearly every crowd is spread: so many questions are left out that
        # the answers are about even.
        return
    spread: list[tuple[Kind, Axis | None]] = [
        (kind, axis) for kind in kinds for axis in SIDES if _is_spread(kind, axis)
    ]
    both = (voice.shuffled(together), voice.shuffled(spread))
    for kind, axis in (each for some in voice.shuffled(both) for each in some):
        said: list[Fact] = []
        the = f"the {kind.noun.plural}"
        if kind.countable is not None:
            said.append(("count", kind.category, kind.countable))
            the = f"the {counted(kind.countable, kind.noun)}"
        slots = {"the": the, "all": _all_of(kind)}
        if axis is None:
            place = kind.things[0].place or ""
            slots["place"] = place_words(place, facts.frame, voice)
            said.append(("together", kind.category, place))
            key = "together"
        else:
            low, high = voice.shuffled(SIDES[axis])
            slots["first"] = place_words(low, facts.frame, voice, whole=False)
            slots["second"] = place_words(high, facts.frame, voice)
            key = "spread"
            if len(kind.things) == 2:
                key = "apart"
                said += [(axis, thing.number, _third(thing, axis) or "") for thing in kind.things]
            else:
                said.append(("spread", kind.category, axis))
        yield Said(
            question=voice.say("grouping.question", the=the),
            answer=voice.say(f"grouping.{key}", **slots),
            brief="together" if axis is None else "spread",
            facts=tuple(said),
            boxes=kind.boxes,
            asks=frozenset((f"grouping {kind.category}",)),
            tells=_presence(kind.noun) | {f"count {kind.category}", f"place {kind.category}"},
        )


def _all_of(kind: Kind) -> str:
    """ "both dogs", "all three dogs"; where they are too many to be counted "all of the dogs"."""
    if kind.countable is None:
        return f"all of the {kind.noun.plural}"
    return f"both {kind.noun.plural}" if kind.countable == 2 else f"all {counted(kind.countable, kind.noun)}"


def _is_together(kind: Kind) -> bool:
    place = kind.things[0].place
    return kind.count is not None and place is not None and all(each.place == place for each in kind.things)


def _is_spread(kind: Kind, axis: Axis) -> bool:
    """Whether some of it is in the first and some in the last third; of two, whether one is in each."""
    if not (kind.is_several if len(kind.things) > 2 else kind.countable == 2):
        return False
    low, high = SIDES[axis]
    thirds = [_third(thing, axis) for thing in kind.things if kind.can_point_at(thing)]
    return low in thirds and high in thirds
