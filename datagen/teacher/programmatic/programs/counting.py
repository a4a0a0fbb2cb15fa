"""How many there are: of one category, of two, of a group, of none, on one side.

Only numbers that are certain are told, and `counted_kinds` sees to it that people, who are in half of
all photographs, and the answer "one" do not drown the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice
from typing import NamedTuple

from datagen.teacher.programmatic.facts import Facts, Kind, overlap
from datagen.teacher.programmatic.pieces import place_words
from datagen.teacher.programmatic.registry import IDLE, Fact, Said, program
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import CATEGORIES, NUMBER_WORDS, Noun, counted, listed

PEOPLE = 0.3
"""How often people are asked about first, beside any other category."""
ONE = 0.1
"""The same for what there is one of."""
ZERO = 0.3
"""Share of the images in which a number may be asked for that is zero: there is always one more to ask."""
ONE_KEPT = 0.45
"""Of the numbers that are one, how many are asked for: more, and "just one" would be the usual answer."""
MORE_YES = 0.55
"""Of two unequal numbers, how often the answer is yes: what is equal is always a no."""
RANGES = 0.7
"""Where a number can only be told as a range, how often that is asked for first."""
MOST_KINDS = 12
"""Categories that are compared with each other; those with larger boxes come first."""
MOST_POPULAR = 10
"""Of the categories that are absent, how many of the most frequent are called popular."""
MOST_ACROSS = 0.25
"""How much of a box may reach over the middle before its half is open."""

GROUPS = ("animals", "vehicles")
"""Groups of the vocabulary that are asked for by name, as nearly all their members are boxed or hinted at:
of food and furniture much is in an image that nobody boxed."""

_HALVES = ("left", "right", "top", "bottom")
_OPPOSITE_HALF = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
_OTHERS = {
    "animals": frozenset(
        "pig pigs monkey monkeys lion lions tiger tigers deer rabbit rabbits bunny fish squirrel camel "
        "camels llama alpaca butterfly bee insect bug spider turtle lizard snake frog rat whale dolphin "
        "shark seal crab lobster kangaroo hippo rhino moose elk antelope raccoon statue statues stuffed "
        "toy toys figurine figurines sculpture cartoon painting carousel dinosaur dinosaurs meat "
        "sushi".split()
    ),
    "vehicles": frozenset(
        "cart carts plow wheelchair toy toys tractor helicopter sled carriage wagon stroller segway".split()
    ),
}
"""Words in captions for what belongs to a group and is no category, or for a likeness of it."""
_UNSPOKEN = ("denied_by_captions", "no_word_for_it")
"""Reasons for which something that is boxed is not among the kinds."""


class Addition(NamedTuple):
    """What is said beyond the bare answer, and what that rests on."""

    words: str = ""
    facts: tuple[Fact, ...] = ()
    boxes: tuple[int, ...] = ()
    tells: frozenset[str] = frozenset()


NOTHING = Addition()


def seldom_people(kinds: tuple[Kind, ...] | list[Kind], voice: Voice) -> list[Kind]:
    """The kinds in random order, but people seldom first."""
    order = voice.shuffled(kinds)
    if order and order[0].category == "person" and not voice.chance(PEOPLE):
        order.append(order.pop(0))
    return order


def counted_kinds(facts: Facts, voice: Voice) -> list[Kind]:
    """The kinds whose number may be told, in random order: seldom people or what there is one of first."""
    kinds = [kind for kind in facts.kinds[:MOST_KINDS] if kind.countable]
    weights = {
        index: (PEOPLE if kind.category == "person" else 1.0) * (ONE if kind.count == 1 else 1.0)
        for index, kind in enumerate(kinds)
    }
    return [kinds[index] for index in voice.weighted(weights)]


def numbered(number: int, noun: Noun) -> str:
    """ "one dog", "two dogs": where numbers are held against each other, "a dog" would not do."""
    return f"one {noun.singular}" if number == 1 else counted(number, noun)


def companions(facts: Facts, but_not: tuple[str, ...], key: str, voice: Voice) -> Addition:
    """One or two other things that are in the image, without their numbers."""
    others = (
        (kind, amount)
        for kind in facts.kinds[:6]
        if kind.category not in but_not and (amount := rough_amount(kind)) is not None
    )
    named = voice.shuffled(islice(others, 4))
    if not named:
        return NOTHING
    del named[voice.pick((1, 2, 2)) :]
    return Addition(
        voice.say(key, others=listed([amount for _, amount in named])),
        tuple(rough_fact(kind) for kind, _ in named),
        tuple(number for kind, _ in named for number in kind.boxes),
        frozenset(f"presence {kind.category}" for kind, _ in named),
    )


def rough_amount(kind: Kind) -> str | None:
    """ "a dog", "dogs": None where it rests on more than the boxes, as where a caption speaks of dogs."""
    things = kind.things
    if kind.noun.form != "count" or not kind.is_several:
        return kind.rough_amount
    is_boxed = len(things) > 2 or (kind.crowds and len(kind.boxes) > 1)
    is_boxed = is_boxed or (len(things) == 2 and overlap(*things) <= kind.margins.same_object)
    return kind.noun.plural if is_boxed else None


def rough_fact(kind: Kind) -> Fact:
    """What `rough_amount` says of it."""
    is_several = kind.noun.form == "count" and (kind.is_several or kind.is_group)
    return ("several" if is_several else "present", kind.category)


def popular_absent(facts: Facts) -> list[Noun]:
    """What is absent here and most often there in the other images of the set."""
    absent = {noun.category: noun for noun in facts.absent}
    return list(islice((absent[name] for name in facts.statistics.popular if name in absent), MOST_POPULAR))


def absent_companions(facts: Facts, voice: Voice) -> list[Noun]:
    """What is absent here and often beside what is there, in random order."""
    absent = {noun.category: noun for noun in facts.absent}
    together = facts.statistics.together
    # What goes with people goes with half of all images.
    kinds = [kind for kind in facts.kinds[:MOST_KINDS] if kind.category != "person"] or facts.kinds
    names = {name: None for kind in kinds for name in together.get(kind.category, ()) if name in absent}
    return voice.shuffled(absent[name] for name in names)


def where_they_are(kind: Kind, facts: Facts, voice: Voice) -> Addition:
    """Where the things of a certain number are: each of up to three, or all as one."""
    things = kind.things
    if kind.count is None or not all(kind.can_point_at(thing) for thing in things):
        return NOTHING
    category, keys = kind.category, [thing.place for thing in things]
    words, said = "", list[Fact]()
    if len(set(keys)) == 1 and keys[0] is not None:
        place = place_words(keys[0], facts.frame, voice, whole=False)
        if len(things) == 1:
            words = voice.say("counting.single_place", place=place)
            said = [("place", things[0].number, keys[0])]
        else:
            key = "counting.both_together" if len(things) == 2 else "counting.all_together"
            words = voice.say(key, place=place)
            said = [("together", category, keys[0])]
    elif 1 < len(things) < 4 and None not in keys and len(set(keys)) == len(things):
        first, second, *third = (place_words(key, facts.frame, voice, whole=False) for key in keys if key)
        if third:
            words = voice.say("counting.apart_three", first=first, second=second, third=third[0])
        else:
            words = voice.say("counting.apart", first=first, second=second)
        said = [("place", thing.number, key) for thing, key in zip(things, keys, strict=True) if key]
    elif len(things) > 2 and {"left", "right"} <= {thing.across for thing in things}:
        words, said = voice.say("counting.spread"), [("spread", category, "across")]
    if not words:
        if None in keys:
            voice.unsaid["near_border"] += 1
        return NOTHING
    return Addition(words, tuple(said), (), frozenset((f"place {category}",)))


def _addition(kind: Kind, facts: Facts, voice: Voice) -> Addition:
    """Where they are, where that is clear, and otherwise what else is in the image; at times nothing."""
    is_alone = len(facts.kinds) == 1
    added = where_they_are(kind, facts, voice) if is_alone or voice.chance(0.6) else NOTHING
    if added is NOTHING and voice.chance(0.9):
        added = companions(facts, (kind.category,), "counting.beside", voice)
    return added


def _number_said(kind: Kind, number: int, added: Addition, voice: Voice) -> str:
    """ "there are two dogs in the image, one on the left and the other on the right." """
    if number == 1:
        return voice.say("counting.one", thing=kind.noun.singular, extra=added.words)
    return voice.say("counting.many", number=counted(number, kind.noun), extra=added.words)


@program("conversation", "number")
def counting(facts: Facts, voice: Voice) -> Iterator[Said]:
    """How many there are of a category; of many a range, where the pack tells large numbers so."""
    if any(kind.span for kind in facts.kinds) and voice.chance(RANGES):
        yield from _counting_range(facts, voice)
    for kind in counted_kinds(facts, voice):
        number, category = len(kind.things), kind.category
        if number == 1 and not voice.chance(ONE_KEPT):
            continue
        asks = _asks(kind, number)
        if voice.knows(asks):
            yield IDLE
            continue
        added = _addition(kind, facts, voice)
        key = "counting.question_of_some" if voice.chance(0.3) else "counting.question"
        yield Said(
            question=voice.say(key, things=kind.noun.plural),
            answer=_number_said(kind, number, added, voice),
            brief=str(number),
            facts=(("count", category, number), *added.facts),
            boxes=(*kind.boxes, *added.boxes),
            asks=asks,
            tells=added.tells | {f"presence {category}"},
        )


def _counting_range(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Roughly how many there are of a category of which there are too many to be counted by eye."""
    for kind in seldom_people([kind for kind in facts.kinds[:MOST_KINDS] if kind.span], voice):
        span, category = kind.span, kind.category
        asks = frozenset((f"count {category}",))
        if span is None or voice.knows(asks):
            yield IDLE
            continue
        added = _addition(kind, facts, voice)
        key = "counting.question" if voice.chance(0.3) else "counting.range.question"
        low, high = map(str, span)
        yield Said(
            question=voice.say(key, things=kind.noun.plural),
            answer=voice.say(
                "counting.range.answer", low=low, high=high, things=kind.noun.plural, extra=added.words
            ),
            brief=f"{low} to {high}",
            facts=(("range", category, *span), *added.facts),
            boxes=(*kind.boxes, *added.boxes),
            asks=asks,
            tells=added.tells | {f"presence {category}"},
        )


def _asks(kind: Kind, number: int) -> frozenset[str]:
    asks = {f"count {kind.category}"}
    if number == 1:
        # Once it is said that there is a dog, "just one" says little more.
        asks.add(f"presence {kind.category}")
    return frozenset(asks)


@program("conversation", "number", weight=0.4)
def counting_check(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether a number is right: yes as often as no."""
    for kind in counted_kinds(facts, voice):
        number, noun, category = len(kind.things), kind.noun, kind.category
        asks = _asks(kind, number)
        if voice.knows(asks):
            yield IDLE
            continue
        is_right = voice.chance(0.5)
        asked = number
        if not is_right:
            near = [number + off for off in (-2, -1, 1, 2) if 0 < number + off < len(NUMBER_WORDS)]
            asked = voice.pick(near)
        if asked == 1:
            question = voice.say("counting.check.one_question", thing=noun.singular)
        else:
            question = voice.say("counting.check.question", number=counted(asked, noun))
        added = _addition(kind, facts, voice)
        yield Said(
            question=question,
            answer=f"{'Yes' if is_right else 'No'}, {_number_said(kind, number, added, voice)}",
            brief="yes" if is_right else "no",
            facts=(("count", category, number), *added.facts),
            boxes=(*kind.boxes, *added.boxes),
            asks=asks,
            tells=added.tells | {f"presence {category}"},
        )


@program("conversation", "number", weight=0.4)
def counting_zero(facts: Facts, voice: Voice) -> Iterator[Said]:
    """How many there are of something that is absent: none."""
    if not facts.absent or not voice.chance(ZERO):
        return
    likely = absent_companions(facts, voice)[:2] if voice.chance(0.6) else []
    for noun in likely or [voice.pick(facts.absent)]:
        if noun.form != "count":
            continue
        category = noun.category
        added = companions(facts, (), "counting.zero.beside", voice) if voice.chance(0.8) else NOTHING
        yield Said(
            question=voice.say("counting.question", things=noun.plural),
            answer=voice.say(
                "counting.zero.answer", things=noun.plural, thing=noun.singular, extra=added.words
            ),
            brief="0",
            facts=(("absent", category), *added.facts),
            boxes=added.boxes,
            asks=frozenset((f"count {category}", f"presence {category}")),
            tells=added.tells,
        )


def _pairs(facts: Facts, voice: Voice) -> Iterator[tuple[Kind, Kind]]:
    """Two kinds each of which one leads the other, or of which there are equally many; the leading first."""
    for pair in combinations(seldom_people(counted_kinds(facts, voice), voice), 2):
        more, fewer = sorted(pair, key=lambda kind: -len(kind.things))
        lead = len(more.things) - len(fewer.things)
        if len(more.things) == 1:
            # One of each is no comparison.
            continue
        if 0 < lead < facts.margins.more:
            voice.unsaid["near_tie"] += 1
            continue
        yield more, fewer


@program("conversation", "number", weight=0.5)
def counting_compared(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Of which of two categories there are more."""
    for more, fewer in _pairs(facts, voice):
        first, second = voice.shuffled((more, fewer))
        is_equal = len(more.things) == len(fewer.things)
        yield _compared(
            more,
            fewer,
            question=voice.say(
                "counting.compared.question", first=first.noun.plural, second=second.noun.plural
            ),
            answer=_equal(first, second, voice) if is_equal else _more(more, fewer, voice),
            brief="equal" if is_equal else more.category,
        )


@program("conversation", "number", weight=0.4)
def counting_more(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether there is more of one category than of another: yes as often as no."""
    for more, fewer in _pairs(facts, voice):
        is_equal = len(more.things) == len(fewer.things)
        if is_equal and voice.chance(0.7):
            # Never a yes, so that all of them would make no the usual answer.
            continue
        is_so = not is_equal and voice.chance(MORE_YES)
        first, second = (more, fewer) if is_so or is_equal else (fewer, more)
        if is_equal:
            answer = f"No, {_equal(first, second, voice)}"
        elif is_so:
            answer = f"Yes, {_more(more, fewer, voice)}"
        else:
            answer = f"No, {voice.say('counting.more.no', **_numbers(more, fewer))}"
        yield _compared(
            more,
            fewer,
            question=voice.say("counting.more.question", first=first.noun.many, second=second.noun.many),
            answer=answer,
            brief="yes" if is_so else "no",
        )


def _numbers(more: Kind, fewer: Kind) -> dict[str, str]:
    return {
        "things": more.noun.plural,
        "others": fewer.noun.plural,
        "number": numbered(len(more.things), more.noun),
        "other_number": numbered(len(fewer.things), fewer.noun),
    }


def _more(more: Kind, fewer: Kind, voice: Voice) -> str:
    return voice.say("counting.compared.more", **_numbers(more, fewer))


def _equal(first: Kind, second: Kind, voice: Voice) -> str:
    return voice.say(
        "counting.compared.equal",
        things=first.noun.plural,
        others=second.noun.plural,
        number=NUMBER_WORDS[len(first.things)],
    )


def _compared(more: Kind, fewer: Kind, question: str, answer: str, brief: str) -> Said:
    names = (more.category, fewer.category)
    is_equal = len(more.things) == len(fewer.things)
    return Said(
        question=question,
        answer=answer,
        brief=brief,
        facts=(
            ("equal" if is_equal else "more", *names),
            *(("count", kind.category, len(kind.things)) for kind in (more, fewer)),
        ),
        boxes=(*more.boxes, *fewer.boxes),
        asks=frozenset(f"count {name}" for name in names),
        tells=frozenset(f"presence {name}" for name in names),
    )


@program("conversation", "number", weight=0.5)
def counting_summed(facts: Facts, voice: Voice) -> Iterator[Said]:
    """How many there are in total of a group, such as animals."""
    groups: dict[str, list[Kind]] = {}
    for kind in facts.kinds:
        if kind.noun.group is not None:
            groups.setdefault(kind.noun.group, []).append(kind)
    for group, kinds in voice.shuffled((group, kinds) for group, kinds in groups.items() if len(kinds) > 1):
        numbers = [kind.countable or 0 for kind in kinds]
        total = sum(numbers)
        if not all(numbers) or total > facts.margins.most_counted or _is_hinted_at(group, kinds, facts):
            voice.unsaid["number_in_doubt"] += 1
            continue
        listing = [numbered(number, kind.noun) for number, kind in zip(numbers, kinds, strict=True)]
        if group in GROUPS and voice.chance(0.6):
            question = voice.say("counting.summed.question", things=group)
            amount = f"{NUMBER_WORDS[total]} {group}"
        else:
            what = listed([kind.noun.plural for kind in kinds])
            question = voice.say("counting.summed.kinds_question", things=what)
            amount = NUMBER_WORDS[total]
        names = [kind.category for kind in kinds]
        yield Said(
            question=question,
            answer=voice.say("counting.summed.answer", amount=amount, parts=listed(listing)),
            brief=str(total),
            facts=(
                ("total", group, total, *names),
                *(("count", name, number) for name, number in zip(names, numbers, strict=True)),
            ),
            boxes=tuple(number for kind in kinds for number in kind.boxes),
            asks=frozenset((f"total {group}", *(f"count {name}" for name in names))),
            tells=frozenset(f"presence {name}" for name in names),
        )


def _is_hinted_at(group: str, boxed: list[Kind], facts: Facts) -> bool:
    """Whether there may be something of the group that is not boxed, or that may not be spoken of."""
    if any(noun.group == group for noun, _ in facts.spoken_of) or "denied_by_captions" in facts.unsaid:
        return True
    names = {kind.category for kind in boxed}
    return names_others_of(group, facts) or any(
        name in CATEGORIES and CATEGORIES[name].noun.group == group
        for caption in facts.captions
        for name in caption.categories - names
    )


def names_others_of(group: str, facts: Facts) -> bool:
    """Whether a caption names something of the group that is no category, or a likeness of it."""
    others = _OTHERS.get(group)
    return others is not None and not all(others.isdisjoint(caption.words) for caption in facts.captions)


@program("conversation", "number", weight=0.4)
def most_frequent(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Of which category there are most."""
    kinds = facts.kinds
    if not 3 <= len(kinds) <= 5 or not facts.unsaid.keys().isdisjoint(_UNSPOKEN):
        return
    if not all(kind.countable for kind in kinds):
        return
    most, *others = sorted(kinds, key=lambda kind: -len(kind.things))
    lead = len(most.things) - len(others[0].things)
    if lead < max(1, facts.margins.more):
        voice.unsaid["near_tie"] += 1
        return
    names = [kind.category for kind in kinds]
    yield Said(
        question=voice.say(
            "counting.most.question",
            things=listed([kind.noun.plural for kind in voice.shuffled(kinds)], "or"),
        ),
        answer=voice.say(
            "counting.most.answer",
            things=most.noun.plural,
            number=numbered(len(most.things), most.noun),
            others=listed([numbered(len(kind.things), kind.noun) for kind in others]),
        ),
        brief=most.category,
        facts=(("most", most.category), *(("count", kind.category, len(kind.things)) for kind in kinds)),
        boxes=tuple(number for kind in kinds for number in kind.boxes),
        asks=frozenset(f"count {name}" for name in names),
        tells=frozenset(f"presence {name}" for name in names),
    )


@program("conversation", "number", weight=0.6)
def counting_on_side(facts: Facts, voice: Voice) -> Iterator[Said]:
    """How many of a category are in one half of the image."""
    border = facts.margins.border
    for kind in counted_kinds(facts, voice):
        if len(kind.things) < 2:
            continue
        found = [(side, number) for side in _HALVES if (number := _in_half(kind, side, border)) is not None]
        if not found:
            voice.unsaid["near_tie"] += 1
            continue
        # Where some are in either half there is something to count.
        split = [each for each in found if 0 < each[1] < len(kind.things)]
        side, number = voice.pick(split or found)
        category, total = kind.category, len(kind.things)
        yield Said(
            question=voice.say("counting.half.question", things=kind.noun.plural, side=side),
            answer=_half_said(kind, side, number, voice),
            brief=str(number),
            facts=(("half", category, side, number, total), ("count", category, total)),
            boxes=kind.boxes,
            asks=frozenset((f"half {category}",)),
            tells=frozenset((f"presence {category}", f"count {category}", f"place {category}")),
        )


def _in_half(kind: Kind, side: str, border: float) -> int | None:
    """How many are in a half of the image; None where for one of them that is open."""
    number = 0
    for thing in kind.things:
        if side in ("left", "right"):
            low, high = thing.left, thing.right
        else:
            low, high = thing.top, thing.bottom
        middle = (low + high) / 2
        if abs(middle - 0.5) <= border or min(high - 0.5, 0.5 - low) > MOST_ACROSS * (high - low):
            return None
        number += (middle < 0.5) == (side in ("left", "top"))
    return number


def _half_said(kind: Kind, side: str, number: int, voice: Voice) -> str:
    total = len(kind.things)
    slots = {"side": side, "opposite": _OPPOSITE_HALF[side]}
    if total == 2:
        all_of, pronoun = f"both {kind.noun.plural}", "both"
    else:
        all_of, pronoun = f"all {NUMBER_WORDS[total]} {kind.noun.plural}", "all"
    these = f"the {NUMBER_WORDS[total]} {kind.noun.plural}"
    if number == total:
        return voice.say("counting.half.all", all=all_of, these=these, pronoun=pronoun, **slots)
    if number == 0:
        return voice.say("counting.half.none", all=all_of, these=these, **slots)
    rest = total - number
    return voice.say(
        "counting.half.some",
        number=NUMBER_WORDS[number],
        be="is" if number == 1 else "are",
        these=these,
        rest="the other one" if rest == 1 else f"the other {NUMBER_WORDS[rest]}",
        rest_be="is" if rest == 1 else "are",
        **slots,
    )
