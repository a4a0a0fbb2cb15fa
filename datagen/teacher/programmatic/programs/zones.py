"""Programs about an area that is marked on a surface: what is inside, what is outside, what follows.

Boxes decide both. They have something to say only where the pack's knowledge has a [[zone]].
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from datagen.teacher.programmatic.detail import Teller
from datagen.teacher.programmatic.facts import Facts, Kind, Thing, shared
from datagen.teacher.programmatic.knowledge import Zone
from datagen.teacher.programmatic.pieces import place_of
from datagen.teacher.programmatic.programs.description import sentences
from datagen.teacher.programmatic.programs.relations import INSIDE, by_coin, is_disjoint, presence
from datagen.teacher.programmatic.reasoning import Argument, clues_in
from datagen.teacher.programmatic.registry import Fact, Said, program
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import NUMBER_WORDS, Noun, counted, listed

FAMILY = "zone"
MOST_LISTED = 4
"""Of more kinds of things in a zone, or outside of it, the rest is left unsaid."""
WITH_OTHERS = 0.5
"""Share of answers about one side of a line that say what is on the other."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A zone as it is in an image."""

    zone: Zone
    noun: Noun
    thing: Thing


@dataclass(frozen=True, slots=True)
class Some:
    """What of a kind lies on one side of a zone's line: all of it, or so many."""

    kind: Kind
    things: tuple[Thing, ...]

    @property
    def _number(self) -> int:
        return len(self.kind.things)

    @property
    def the(self) -> str:
        """ "the mug", "the two blocks", "one of the two blocks"."""
        noun = self.kind.noun
        if self._number == 1:
            return noun.the
        all_ = f"the {counted(self._number, noun)}"
        return all_ if len(self.things) == self._number else f"{NUMBER_WORDS[len(self.things)]} of {all_}"

    @property
    def one(self) -> str:
        """The same first mentioned: "a mug", "two blocks", "one of the two blocks"."""
        if len(self.things) < self._number:
            return self.the
        return self.kind.noun.one if self._number == 1 else counted(self._number, self.kind.noun)

    @property
    def rest(self) -> str:
        """The same after what is on the other side: "the other block", "the other two blocks"."""
        noun = self.kind.noun
        return f"the other {noun.singular if len(self.things) == 1 else counted(len(self.things), noun)}"

    @property
    def be(self) -> str:
        return "are" if len(self.things) > 1 else self.kind.noun.be if self._number == 1 else "is"

    def facts(self, way: str, zone: Thing) -> list[Fact]:
        facts: list[Fact] = [(way, thing.number, zone.number) for thing in self.things]
        return facts if self._number == 1 else [("count", self.kind.category, self._number), *facts]


def marked_in(facts: Facts) -> list[Marked]:
    """The zones of the image, each the only one of its category."""
    singles = {noun.category: (noun, thing) for noun, thing in facts.singles}
    return [Marked(zone, *singles[zone.zone]) for zone in facts.knowledge.zones if zone.zone in singles]


def sides_of(marked: Marked, facts: Facts, voice: Voice) -> tuple[list[Some], list[Some]]:
    """What is inside a zone, and what is outside of it; of a kind with a box on the line neither is said."""
    inside, outside = [], []
    for kind in facts.kinds:
        if kind.category == marked.zone.zone or kind.category in marked.zone.leave_out:
            continue
        if kind.count is None or (kind.countable is None and kind.count > 1):
            continue
        within = tuple(thing for thing in kind.things if _is_inside(thing, marked.thing, facts))
        beyond = tuple(thing for thing in kind.things if is_disjoint(thing, marked.thing))
        if len(within) + len(beyond) < kind.count or not all(map(kind.can_point_at, kind.things)):
            voice.unsaid["near_tie"] += 1
            continue
        if within:
            inside.append(Some(kind, within))
        if beyond:
            outside.append(Some(kind, beyond))
    return inside, outside


def _is_inside(thing: Thing, zone: Thing, facts: Facts) -> bool:
    is_smaller = thing.area * facts.margins.larger <= zone.area
    return is_smaller and shared(thing, zone) >= INSIDE * thing.area


def _facts(marked: Marked, inside: Sequence[Some], outside: Sequence[Some]) -> tuple[Fact, ...]:
    facts = [fact for some in inside for fact in some.facts("inside", marked.thing)]
    facts += [fact for some in outside for fact in some.facts("disjoint", marked.thing)]
    return tuple(dict.fromkeys(facts))


def _boxes(marked: Marked, sides: Sequence[Some]) -> tuple[int, ...]:
    return tuple(dict.fromkeys((marked.thing.number, *(n for some in sides for n in some.kind.boxes))))


@program("conversation", FAMILY, weight=1.0)
def zone_check(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether something is inside a marked zone; yes as often as no."""
    for marked in marked_in(facts):
        sides = sides_of(marked, facts, voice)
        yes, no = (voice.shuffled(some for some in side if len(some.kind.things) == 1) for side in sides)
        for is_yes, some in by_coin(yes, no, voice):
            yield _checked(marked, some, is_yes, facts, voice)


def _checked(marked: Marked, some: Some, is_yes: bool, facts: Facts, voice: Voice) -> Said:
    noun, (thing,) = some.kind.noun, some.things
    is_plural = noun.form == "plural"
    slots = {
        "first": noun.the,
        "be": noun.be,
        "lie": "lie" if is_plural else "lies",
        "do": "do" if is_plural else "does",
        "zone": marked.noun.the,
    }
    question = voice.say("zones.check_question", **slots)
    way = "inside" if is_yes else "disjoint"
    said: list[Fact] = [(way, thing.number, marked.thing.number)]
    extra, tells = "", {*presence(noun, marked.noun)}
    if (place := place_of(thing, facts.frame, voice)) is not None and voice.chance(0.5):
        extra = voice.say("zones.extra", be=noun.be, place=place)
        said.append(("place", thing.number, thing.place or ""))
        tells.add(f"place {noun.category}")
    clause = voice.say("zones.inside" if is_yes else "zones.outside", **slots, extra=extra)
    # "inside or outside?" is not answered by yes.
    opening = "" if " or " in question else "Yes, " if is_yes else "No, "
    return Said(
        question=question,
        answer=opening + clause,
        brief="yes" if is_yes else "no",
        facts=tuple(said),
        boxes=(thing.number, marked.thing.number),
        asks=frozenset((f"zone {marked.zone.zone} {noun.category}",)),
        tells=frozenset(tells),
    )


@program("conversation", FAMILY, weight=1.0)
def zone_contents(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What is inside a marked zone, or outside of it."""
    for marked in marked_in(facts):
        sides = dict(zip(("inside", "outside"), sides_of(marked, facts, voice), strict=True))
        for way in voice.shuffled(sides):
            named = sides[way][:MOST_LISTED]
            others = sides["outside" if way == "inside" else "inside"][:MOST_LISTED]
            if not named:
                continue
            if not others or not voice.chance(WITH_OTHERS):
                others = []
            slots = {"things": _listed(named), "zone": marked.noun.the}
            question = voice.say(f"zones.{way}_question", zone=marked.noun.the)
            key = f"zones.{way}_answer"
            if others:
                slots["others"] = _listed(others, named)
                key = f"zones.{way}_and"
            inside, outside = (named, others) if way == "inside" else (others, named)
            nouns = [some.kind.noun for some in (*named, *others)]
            yield Said(
                question=question,
                answer=voice.say(key, **slots),
                brief=way,
                facts=_facts(marked, inside, outside),
                boxes=_boxes(marked, (*named, *others)),
                asks=frozenset((f"zone {marked.zone.zone}",)),
                tells=frozenset(
                    (
                        *presence(marked.noun, *nouns),
                        *(f"zone {marked.zone.zone} {n.category}" for n in nouns),
                    )
                ),
            )


@sentences(FAMILY)
def zone_sides(facts: Facts, teller: Teller) -> Iterator[Said]:
    """What a marked zone holds, and what is outside of it."""
    for marked in marked_in(facts):
        inside, outside = (side[:MOST_LISTED] for side in sides_of(marked, facts, teller))
        key = "both" if inside and outside else "inside" if inside else "outside"
        first, second = (inside, outside) if inside else (outside, [])
        if not first:
            continue
        known = teller.story.known
        is_known = f"presence {marked.noun.category}" in known
        slots = {"zone": marked.noun.the if is_known else marked.noun.one}
        slots |= {"things": _listed(first, (), known), "things_be": _be(first)}
        if second:
            slots |= {"others": _listed(second, first, known), "others_be": _be(second)}
        sides = (*first, *second)
        yield Said(
            answer=teller.say(f"zones.detail.{key}", **slots),
            facts=_facts(marked, inside, outside),
            boxes=_boxes(marked, sides),
            tells=frozenset(
                f"{what} {noun.category}"
                for noun in (marked.noun, *(some.kind.noun for some in sides))
                for what in ("presence", "count")
            ),
        )


def _all_the(side: Sequence[Some], after: Sequence[Some] = ()) -> str:
    """What is on a side and has been mentioned; `after` what is on the other has been said."""
    told = {some.kind.category for some in after}
    return listed([some.rest if some.kind.category in told else some.the for some in side])


def _listed(side: Sequence[Some], after: Sequence[Some] = (), known: Collection[str] = ()) -> str:
    """What is on a side; the same, but first mentioned unless it is known."""
    told = {some.kind.category for some in after}
    texts = []
    for some in side:
        if some.kind.category in told:
            texts.append(some.rest)
        else:
            texts.append(some.the if f"presence {some.kind.category}" in known else some.one)
    return listed(texts)


def _be(side: Sequence[Some]) -> str:
    return "are" if len(side) > 1 else side[0].be


@program("complex_reasoning", FAMILY, weight=4.0)
def zone_meaning(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What follows from what is inside a marked zone and what is outside of it."""
    clues = {clue.category: clue for clue in clues_in(facts)}
    for marked in marked_in(facts):
        zone = marked.zone
        inside, outside = (side[:MOST_LISTED] for side in sides_of(marked, facts, voice))
        if not (inside or outside) or not zone.without.isdisjoint(clues):
            continue
        # What a closing sentence is about, is the zone.
        slots = {"zone": marked.noun.the, "the": marked.noun.the, "be": marked.noun.be}
        slots["things"] = marked.noun.plural
        if inside:
            slots |= {"inside": _all_the(inside), "inside_be": _be(inside)}
        if outside:
            slots |= {"outside": _all_the(outside, inside), "outside_be": _be(outside)}
        argument = Argument(facts, voice, "zones.meaning", **slots)
        named = [clues[some.kind.category] for some in (*inside, *outside) if some.kind.category in clues]
        argument.see(clues[zone.zone])
        argument.name(*named)
        argument.say("see_both" if inside and outside else "see_inside" if inside else "see_outside")
        argument.rest_on(*_facts(marked, inside, outside))
        if inside:
            argument.say("clause", clause=argument.choose(zone.inside)[0])
        if outside:
            argument.say("clause_too" if inside else "clause", clause=argument.choose(zone.outside)[0])
        limits = argument.choose(zone.limits)
        argument.say("limit", clause=limits[0])
        more = [partial(argument.say, "limit_too", clause=limit) for limit in limits[1:2]]
        argument.fill_up(
            *more,
            *(
                partial(argument.use, clue, *argument.choose(clue.about.uses)[:2])
                for clue in named
                if len(clue.about.uses) > 1
            ),
        )
        argument.close("doubt")
        yield argument.said("question", "zone", f"zone {zone.path}", asked=voice.pick(zone.questions))
