"""Expressions that pick out one thing: what is meant by one, which of several, how to tell them apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Literal, NamedTuple

from datagen.teacher.programmatic.facts import Facts, Kind, Side, Thing
from datagen.teacher.programmatic.pieces import place_of, place_words, relation_words
from datagen.teacher.programmatic.programs.counting import seldom_people
from datagen.teacher.programmatic.programs.relations import (
    FACT_OF,
    MOST_SINGLES,
    NAMED_GROUPS,
    Axis,
    Single,
    extra,
    only_one,
    pair_of,
    presence,
)
from datagen.teacher.programmatic.registry import Fact, Said, program
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import NUMBER_WORDS, Noun, counted

MOST_TOLD_APART = 4
"""Of more than so many, which one is meant is no longer asked."""
MOST_OF_A_FORM = 2

# What a thing is asked for by


@program("conversation", "referring")
def referring_what(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What the one thing is that lies on one side of the image, or of another thing."""
    if not facts.singles:
        return
    for form in voice.shuffled((_on_side, _beside)):
        yield from islice(form(facts, voice), MOST_OF_A_FORM)


def _on_side(facts: Facts, voice: Voice) -> Iterator[Said]:
    """The only animal, vehicle and so on, on one side."""
    groups: dict[str, list[Kind]] = {}
    for kind in facts.kinds:
        if kind.noun.group in NAMED_GROUPS:
            groups.setdefault(kind.noun.group or "", []).append(kind)
    for group, kinds in voice.shuffled(groups.items()):
        # With one thing of a group there is nothing to pick out.
        if any(kind.count is None for kind in kinds) or sum(len(kind.things) for kind in kinds) < 2:
            continue
        sides: list[Side] = ["left", "right", "top", "bottom"]
        for side in voice.shuffled(sides):
            single = _only_on(side, kinds, voice)
            if single is not None:
                yield _said_on_side(side, group, single, facts, voice)
                break


def _only_on(side: Side, kinds: list[Kind], voice: Voice) -> Single | None:
    """The single thing on a side, where all others are clearly not."""
    is_across = side in ("left", "right")
    found: Single | None = None
    for kind in kinds:
        for thing in kind.things:
            third = thing.across if is_across else thing.down
            if third is None:
                voice.unsaid["near_tie"] += 1
                return None
            if third == side:
                if found is not None or thing is not kind.single:
                    return None
                found = kind.noun, thing
    return found


def _said_on_side(side: Side, group: str, single: Single, facts: Facts, voice: Voice) -> Said:
    noun, thing = single
    said: list[Fact] = [("across" if side in ("left", "right") else "down", thing.number, side)]
    boxes = [thing.number]
    asks, tells = [f"place {noun.category}"], [*presence(noun)]
    addition = ""
    for other_noun, other in voice.shuffled(facts.singles[:MOST_SINGLES]):
        way = facts.direction(thing, other, "across") or facts.direction(thing, other, "down")
        if other is not thing and way is not None:
            words = relation_words(way, thing, other, facts.frame, voice)
            addition = voice.say("referring.side_extra", direction=words, other=other_noun.the)
            said.append((FACT_OF[way], thing.number, other.number))
            boxes.append(other.number)
            tells += [pair_of(noun, other_noun), *presence(other_noun)]
            break
    group_word = voice.say(f"chain.group.{group}")
    return Said(
        question=voice.say(
            "referring.side_question", group=group_word, place=place_words(side, facts.frame, voice)
        ),
        answer=voice.say(
            "referring.side_answer",
            group=group_word,
            place=place_words(side, facts.frame, voice),
            one=noun.one,
            extra=addition,
        ),
        brief=noun.singular,
        facts=tuple(said),
        boxes=tuple(boxes),
        asks=frozenset(asks),
        tells=frozenset(tells),
    )


def _beside(facts: Facts, voice: Voice) -> Iterator[Said]:
    """The only thing, or animal and so on, that lies one way from another thing."""
    singles = voice.shuffled(facts.singles[:MOST_SINGLES])
    for base_noun, base in singles[:3]:
        # From the other end, so that what is asked for is seldom what others are seen from.
        for noun, thing in singles[:-5:-1]:
            # Without people, who are the answer far too often.
            if thing is base or noun.group == "people" or facts.goes_without_saying(noun, base_noun):
                continue
            axes: tuple[Axis, Axis] = ("across", "down") if voice.chance(0.5) else ("down", "across")
            way = facts.direction(thing, base, axes[0]) or facts.direction(thing, base, axes[1])
            if way is None:
                continue
            group = noun.group if noun.group in NAMED_GROUPS else None
            if only_one(facts, way, base, group, voice) is not thing:
                continue
            words = relation_words(way, thing, base, facts.frame, voice)
            what = f"which {voice.say(f'chain.group.{group}')}" if group else "what"
            question = voice.say(
                "referring.relation_question", what=what, direction=words, base=base_noun.the
            )
            more = extra((base_noun, base), (noun, thing), facts, voice)
            yield Said(
                question=question,
                answer=voice.say(
                    "referring.relation_answer",
                    one=noun.one,
                    be=noun.be,
                    direction=words,
                    base=base_noun.the,
                    extra=more.text,
                ),
                brief=noun.singular,
                facts=((FACT_OF[way], thing.number, base.number), *more.facts),
                boxes=(thing.number, base.number),
                asks=frozenset((pair_of(noun, base_noun),)),
                tells=frozenset((*presence(noun, base_noun), *more.tells)),
            )
            break


# Which of several


class Trait(NamedTuple):
    """What one of several things does, and the others clearly do not."""

    thing: Thing
    does: str
    """The key of its wordings, or for a relation its words."""
    about: Literal["across", "down", "size", "relation"]
    facts: tuple[Fact, ...]
    boxes: tuple[int, ...] = ()
    asks: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()


def _kinds_of_several(facts: Facts, voice: Voice) -> Iterator[Kind]:
    """The categories with two to four things that can all be pointed at."""
    for kind in seldom_people(facts.kinds[:MOST_SINGLES], voice):
        number = kind.countable
        if number is None or not 2 <= number <= MOST_TOLD_APART:
            continue
        if all(map(kind.can_point_at, kind.things)):
            yield kind
        else:
            voice.unsaid["ambiguous"] += 1


def _traits(kind: Kind, facts: Facts) -> list[Trait]:
    """What sets one of a category apart from its others: a side, or the part of the image it takes up."""
    things, margins, category = kind.things, facts.margins, kind.category
    traits = []
    by_x = sorted(things, key=lambda thing: thing.x)
    by_y = sorted(things, key=lambda thing: thing.y)
    ends: list[tuple[Side, Literal["across", "down"], Thing, float]] = [
        ("left", "across", by_x[0], by_x[1].x - by_x[0].x),
        ("right", "across", by_x[-1], by_x[-1].x - by_x[-2].x),
        ("top", "down", by_y[0], by_y[1].y - by_y[0].y),
        ("bottom", "down", by_y[-1], by_y[-1].y - by_y[-2].y),
    ]
    for side, axis, thing, distance in ends:
        if distance >= margins.apart:
            fact: Fact = ("extreme", thing.number, side, category)
            traits.append(Trait(thing, side, axis, (fact,), asks=(f"extreme {side} {category}",)))
    smaller, largest = sorted(things, key=lambda thing: thing.area)[-2:]
    if largest.area >= smaller.area * margins.larger:
        fact = ("largest", largest.number, category)
        traits.append(Trait(largest, "largest", "size", (fact,), asks=(f"largest {category}",)))
    return traits


def _relations(kind: Kind, facts: Facts, voice: Voice) -> Iterator[Trait]:
    """One of a category by where it is from another thing, where none of its others is."""
    for noun, base in voice.shuffled(facts.singles[:MOST_SINGLES])[:4]:
        if noun.category == kind.category:
            continue
        axis: Literal["across", "down"] = "across" if voice.chance(0.5) else "down"
        ways = [facts.direction(thing, base, axis) for thing in kind.things]
        if None in ways:
            voice.unsaid["near_tie"] += 1
            continue
        for thing, way in zip(kind.things, ways, strict=True):
            if way is not None and ways.count(way) == 1:
                words = relation_words(way, thing, base, facts.frame, voice)
                said: list[Fact] = [
                    (FACT_OF[each], other.number, base.number)
                    for other, each in zip(kind.things, ways, strict=True)
                    if each is not None
                ]
                yield Trait(
                    thing,
                    f"is {words} {noun.the}",
                    "relation",
                    tuple(said),
                    (base.number,),
                    (f"which {kind.category} / {noun.category}",),
                    presence(noun),
                )
                break


def _does(trait: Trait, kind: Kind, facts: Facts, voice: Voice) -> str:
    if trait.about == "relation":
        return trait.does
    return voice.say(f"referring.{'two' if kind.count == 2 else 'more'}.{facts.frame}.{trait.does}")


def _who(noun: Noun) -> str:
    return "who" if noun.group == "people" else "that"


def _is_told_by_place(thing: Thing, others: tuple[Thing, ...]) -> bool:
    """Whether the words for its place are clearly untrue of all the others."""
    place = thing.place
    if place is None:
        return False
    across = thing.across if place not in ("top", "bottom") else None
    down = thing.down if place not in ("left", "right") else None
    return all(
        (across is not None and other.across is not None and other.across != across)
        or (down is not None and other.down is not None and other.down != down)
        for other in others
        if other is not thing
    )


def _sides_of(thing: Thing) -> tuple[Fact, ...]:
    """In which thirds it lies, as far as that is clear."""
    across, down = thing.across, thing.down
    said: list[Fact] = []
    if across is not None:
        said.append(("across", thing.number, across))
    if down is not None:
        said.append(("down", thing.number, down))
    return tuple(said)


@program("conversation", "referring")
def referring_which(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Which of two to four of a category is on a side, takes up most, or lies beside another thing."""
    for kind in _kinds_of_several(facts, voice):
        traits = _traits(kind, facts)
        asked = voice.shuffled(traits)
        if voice.chance(0.4):
            asked = [*islice(_relations(kind, facts, voice), 1), *asked]
        for trait in asked[:MOST_OF_A_FORM]:
            answers = [
                other
                for other in traits
                if other.thing is trait.thing and other is not trait and other.about != trait.about
            ]
            # Where it is tells nothing new where a side was asked for.
            by_place = trait.about in ("size", "relation") and _is_told_by_place(trait.thing, kind.things)
            if by_place and (not answers or voice.chance(0.5)):
                yield _by_place(kind, trait, facts, voice)
            # "The one that is higher up" alone does not say which one is farther left.
            elif answers and (trait.about == "size" or trait.thing.place is not None):
                yield _by_trait(kind, trait, voice.pick(answers), facts, voice)


def _which_question(kind: Kind, trait: Trait, facts: Facts, voice: Voice) -> str:
    number = counted(len(kind.things), kind.noun)
    return voice.say(
        "referring.which_question",
        all=f"the {number}",
        number=number,
        thing=kind.noun.singular,
        who=_who(kind.noun),
        does=_does(trait, kind, facts, voice),
    )


def _which(
    kind: Kind, trait: Trait, question: str, answer: str, brief: str, said: tuple[Fact, ...], *tells: str
) -> Said:
    """A turn about one of a category, of which `said` is told besides the trait that is asked for."""
    category = kind.category
    return Said(
        question=question,
        answer=answer,
        brief=brief,
        facts=(("count", category, len(kind.things)), *trait.facts, *said),
        boxes=(*kind.boxes, *trait.boxes),
        asks=frozenset(trait.asks),
        tells=frozenset((f"count {category}", *presence(kind.noun), *trait.tells, *tells)),
    )


def _by_trait(kind: Kind, trait: Trait, answer_trait: Trait, facts: Facts, voice: Voice) -> Said:
    question = _which_question(kind, trait, facts, voice)
    thing = trait.thing
    place = place_of(thing, facts.frame, voice)
    said, tells, addition = answer_trait.facts, answer_trait.asks, ""
    if place is not None:
        addition = voice.say("referring.which_extra", thing=kind.noun.singular, place=place)
        said += (("place", thing.number, thing.place or ""),)
        tells += (f"place {kind.category}",)
    answer = voice.say(
        "referring.which_by_trait",
        all=f"the {counted(len(kind.things), kind.noun)}",
        thing=kind.noun.singular,
        who=_who(kind.noun),
        does=_does(trait, kind, facts, voice),
        other=_does(answer_trait, kind, facts, voice),
        extra=addition,
    )
    return _which(kind, trait, question, answer, answer_trait.does, said, *tells)


def _by_place(kind: Kind, trait: Trait, facts: Facts, voice: Voice) -> Said:
    thing = trait.thing
    question = _which_question(kind, trait, facts, voice)
    answer = voice.say(
        "referring.which_by_place",
        all=f"the {counted(len(kind.things), kind.noun)}",
        thing=kind.noun.singular,
        who=_who(kind.noun),
        does=_does(trait, kind, facts, voice),
        place=place_of(thing, facts.frame, voice) or "",
    )
    said: tuple[Fact, ...] = (("place", thing.number, thing.place or ""),)
    said += tuple(fact for other in kind.things if other is not thing for fact in _sides_of(other))
    return _which(kind, trait, question, answer, thing.place or "", said, f"place {kind.category}")


@program("conversation", "referring", weight=0.7)
def referring_expression(facts: Facts, voice: Voice) -> Iterator[Said]:
    """In which words one of several of a category, or each of them, could be pointed out."""
    for kind in _kinds_of_several(facts, voice):
        things = kind.things
        told = [thing for thing in things if _is_told_by_place(thing, things)]
        if len(told) == len(things) < MOST_TOLD_APART and voice.chance(0.5):
            yield _told_apart(kind, facts, voice)
        for trait in voice.shuffled(_traits(kind, facts)):
            if trait.thing in told and trait.about == "size":
                yield _phrase_for(kind, trait, facts, voice)


def _told_apart(kind: Kind, facts: Facts, voice: Voice) -> Said:
    things = voice.shuffled(kind.things)
    whole = voice.chance(0.4)
    places = [place_of(thing, facts.frame, voice, whole) or "" for thing in things]
    slots = dict(zip(("first", "second", "third"), places, strict=False))
    number = counted(len(things), kind.noun)
    return Said(
        question=voice.say("referring.apart_question", all=f"the {number}"),
        answer=voice.say(
            "referring.apart_answer",
            places=voice.say(f"referring.places_{NUMBER_WORDS[len(things)]}", **slots),
        ),
        facts=(
            ("count", kind.category, len(things)),
            *(("place", thing.number, thing.place or "") for thing in things),
        ),
        boxes=kind.boxes,
        asks=frozenset((f"place {kind.category}",)),
        tells=frozenset((f"count {kind.category}", *presence(kind.noun))),
    )


def _phrase_for(kind: Kind, trait: Trait, facts: Facts, voice: Voice) -> Said:
    """A short phrase that is true of one thing of a category alone."""
    noun, thing = kind.noun, trait.thing
    others = [other for other in kind.things if other is not thing]
    question = voice.say(
        "referring.phrase_question",
        all=f"the {counted(len(kind.things), noun)}",
        thing=noun.singular,
        who=_who(noun),
        does=_does(trait, kind, facts, voice),
    )
    place = place_of(thing, facts.frame, voice) or ""
    said: tuple[Fact, ...] = (("place", thing.number, thing.place or ""),)
    said += tuple(fact for other in others for fact in _sides_of(other))
    other_place = place_of(others[0], facts.frame, voice) if len(others) == 1 else None
    if other_place is not None:
        rest = voice.say("referring.rest_one", place=other_place)
        said += (("place", others[0].number, others[0].place or ""),)
    else:
        rest = voice.say("referring.rest_more", things=noun.plural)
    answer = voice.say("referring.phrase_answer", thing=noun.singular, place=place, rest=rest)
    return _which(kind, trait, question, answer, thing.place or "", said, f"place {kind.category}")


# In numbers


def _corners(thing: Thing) -> list[float]:
    # A box that reaches a hair beyond the image does not end at "-0.00".
    return [round(min(max(edge, 0.0), 1.0), 2) for edge in (thing.left, thing.top, thing.right, thing.bottom)]


def _in_numbers(single: Single, question: str, answer: str, brief: str, ask: str) -> Said:
    noun, thing = single
    return Said(
        question=question,
        answer=answer,
        brief=brief,
        facts=(("coordinates", thing.number, *_corners(thing)),),
        boxes=(thing.number,),
        asks=frozenset((ask,)),
        tells=frozenset((f"place {noun.category}", *presence(noun))),
    )


@program("conversation", "grounding", weight=0.0)
def grounding(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Where the only one of its category is, in fractions of the width and height."""
    for noun, thing in voice.shuffled(facts.singles):
        corners = _written(thing)
        question = voice.say("grounding.question", the=noun.the, be=noun.be, form="[x1, y1, x2, y2]")
        answer = voice.say("grounding.answer", corners=corners)
        yield _in_numbers((noun, thing), question, answer, "", f"coordinates {noun.category}")


@program("conversation", "grounding", weight=0.0)
def grounding_what(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What takes up the part of the image that is given in fractions of the width and height."""
    for noun, thing in voice.shuffled(facts.singles):
        question = voice.say("grounding.what_question", corners=_written(thing))
        answer = voice.say("grounding.what_answer", one=noun.one, the=noun.the, be=noun.be)
        yield _in_numbers((noun, thing), question, answer, noun.singular, f"presence {noun.category}")


def _written(thing: Thing) -> str:
    return f"[{', '.join(f'{edge:.2f}' for edge in _corners(thing))}]"
