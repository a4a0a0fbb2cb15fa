"""Programs for complex reasoning: from what can be seen, by what is known, to what is therefore likely."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import combinations, permutations

from datagen.teacher.programmatic.captions import Sentence, tokens_of
from datagen.teacher.programmatic.facts import Facts, Thing
from datagen.teacher.programmatic.knowledge import Entries, Entry, Pair, Place, Theme
from datagen.teacher.programmatic.pieces import place_words
from datagen.teacher.programmatic.reasoning import (
    IDLE_DEEDS,
    MOST_COMPARED,
    UNKNOWN,
    Argument,
    Clue,
    Near,
    clues_in,
    is_told_of_people,
    named_in,
    named_places,
    near_in,
    one_of,
    people_in,
    subjects_in,
    tells_deed,
)
from datagen.teacher.programmatic.registry import Fact, Said, program
from datagen.teacher.programmatic.scene import Told
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import ALIKE, NUMBER_WORDS, Noun, counted, listed

PLACE_WEIGHTS = (1.0, 0.7, 0.5, 0.4, 0.3)
"""How much a thing speaks for each of its places, the most typical first."""
CLEAR_LEAD = 0.8
"""By how much one place leads before it is called the likely one."""
WHERE = 0.75
"""Share of answers about one thing that say where it is."""
CLOSE_COMPANIONS = 4
"""How many of the companions of a thing, the closest first, are taken to go together with it."""
CLOSE = 0.6
"""Share of the weight of the most prominent theme from which another may be taken instead."""


# Slots and companions


def _of(subject: Clue, people: Clue | None = None) -> dict[str, str]:
    """The slots of what an answer is about, and of the people who are there."""
    slots = {
        "the": subject.the,
        "be": subject.be,
        "it": subject.it,
        "things": subject.noun.plural,
        "are": subject.are,
        "need_s": "needs" if subject.noun.form == "mass" else "need",
        "amount": subject.spoken,
    }
    return slots if people is None else slots | {"people": people.the, "people_be": people.be}


def _numbered(*clues: Clue) -> dict[str, str]:
    """The slots of two or three things that an answer is about."""
    slots = {"the": listed([clue.the for clue in clues])}
    for name, clue in zip(("first", "second", "third"), clues, strict=False):
        slots |= {name: clue.the, f"{name}_be": clue.be}
        slots |= {f"{name}s": clue.noun.plural, f"{name}_are": clue.are}
    return slots


def _other(clue: Clue) -> dict[str, str]:
    """The slots of something else that plays a part."""
    return {
        "other": clue.the,
        "other_be": clue.be,
        "others": clue.noun.plural,
        "others_are": clue.are,
    }


def _goes_with(first: Clue, second: Clue) -> Fact | None:
    """What is known of the two as close companions."""
    for clue, other in ((first, second), (second, first)):
        if other.category in clue.about.goes_with[:CLOSE_COMPANIONS]:
            return ("knows", f"{clue.about.path}.goes_with.{clue.about.goes_with.index(other.category) + 1}")
    return None


def _at(clue: Clue, place: str) -> Fact:
    return ("knows", f"{clue.about.path}.places.{clue.about.places.index(place) + 1}")


def _companion(subject: Clue, clues: Sequence[Clue], voice: Voice) -> Clue | None:
    """Another thing in view that is commonly used together with the subject."""
    fitting = [
        clue
        for clue in clues[:MOST_COMPARED]
        if clue is not subject
        and not clue.is_person
        and not clue.is_animal
        and clue.about.uses
        and _goes_with(subject, clue) is not None
    ]
    return voice.pick(fitting) if fitting else None


def _with_people(facts: Facts, subject: Clue, people: Clue | None) -> tuple[dict[str, str], Near | None]:
    """The slots of a thing and of the people, and how close they are to it."""
    near = near_in(facts, people, subject) if people is not None else None
    slots = _of(subject, people)
    if near is not None:
        slots |= {"near": near.first, "near_be": near.first_be}
    return slots, near


def _see_with(argument: Argument, subject: Clue, clues: Sequence[Clue], people: Clue | None) -> None:
    """Evidence for what is said of one thing: it, who is there, and often where it is or what is close."""
    seen = [subject] if people is None else argument.voice.shuffled((subject, people))
    argument.see(*seen)
    if argument.voice.chance(WHERE):
        argument.locate(subject, clues)


def _rest(argument: Argument, near: Near | None) -> None:
    """Rests on that somebody is close, where an answer speaks of it."""
    if near is not None:
        argument.rest_on(*near.facts)


# One thing


@program("complex_reasoning", "thing", weight=0.8)
def risk(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What could go wrong with a thing, for whom, and what helps against it."""
    clues = clues_in(facts)
    for subject in subjects_in(clues, voice, remedies=1, risks=2, care=2):
        yield _risk(facts, voice, subject, clues)


def _risk(facts: Facts, voice: Voice, subject: Clue, clues: Sequence[Clue]) -> Said:
    people, about = people_in(clues), subject.about
    slots, near = _with_people(facts, subject, people)
    argument = Argument(facts, voice, "reasoning_things.risk", **slots)
    argument.concerns = near is not None
    remedies, others = argument.remedies(about)
    _rest(argument, near)
    _see_with(argument, subject, clues, people)
    _precautions(argument, subject, remedies, others)
    argument.close("reasoning.caveat")
    question = "question_for" if near is not None else "question"
    return argument.said(question, subject.category, f"risk {subject.category}")


def _precautions(
    argument: Argument,
    subject: Clue,
    remedies: Sequence[tuple[Entry, Entry]],
    others: Sequence[Entry],
    skip: int = 0,
) -> None:
    """Risks with what helps against each, then whatever else is known, until the answer is long enough.

    `skip` of the remedies have been said.
    """
    said = remedies[: skip + 2]
    for number, (risk, care) in enumerate(said[skip:], skip):
        argument.advise("precaution_too" if number else "precaution", risk=risk, care=care)
    taken = {risk.path for risk, _ in remedies}
    warnings = [risk for risk in argument.choose(subject.about.risks) if risk.path not in taken]
    more: list[Callable[[], object]] = [
        partial(argument.advise, "warning", risk=risk) for risk in warnings[:1]
    ]
    more += [partial(argument.advise, "tip", care=care) for care in others[:1]]
    uses = argument.choose(subject.about.uses)[:2]
    if len(uses) > 1:
        more.append(partial(argument.use, subject, *uses))
    if subject.number is not None and subject.number > 1:
        more.append(partial(argument.say, "reasoning.several"))
    more += [partial(argument.advise, "need", need=need) for need in argument.choose(subject.about.needs)[:1]]
    argument.fill_up(*more)


@program("complex_reasoning", "thing", weight=0.4)
def advice(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What somebody who is new to a thing should learn about it."""
    clues = clues_in(facts)
    for subject in subjects_in(clues, voice, remedies=1, care=2, uses=2):
        yield _advice(facts, voice, subject, clues)


def _advice(facts: Facts, voice: Voice, subject: Clue, clues: Sequence[Clue]) -> Said:
    people, about = people_in(clues), subject.about
    slots, near = _with_people(facts, subject, people)
    argument = Argument(facts, voice, "reasoning_things.advice", **slots)
    argument.concerns = near is not None
    remedies, others = argument.remedies(about)
    uses = argument.choose(about.uses)
    _rest(argument, near)
    _see_with(argument, subject, clues, people)
    argument.say("worth_of_animals" if subject.is_animal else "worth", use=uses[0], other_use=uses[1])
    _precautions(argument, subject, remedies, others)
    argument.close("reasoning.caveat")
    question = "question_for" if near is not None else "question"
    if subject.noun.group == "food":
        question = "question_of_food"
    return argument.said(question, subject.category, f"advice {subject.category}")


@program("complex_reasoning", "thing", weight=0.7)
def care(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What a thing needs, and what that means for those who are responsible for it."""
    clues = clues_in(facts)
    for subject in subjects_in(clues, voice, needs=2, remedies=1):
        yield _care(facts, voice, subject, clues)


def _care(facts: Facts, voice: Voice, subject: Clue, clues: Sequence[Clue]) -> Said:
    about, people = subject.about, people_in(clues)
    slots, near = _with_people(facts, subject, people)
    argument = Argument(facts, voice, "reasoning_things.care", **slots)
    argument.concerns = near is not None
    remedies, others = argument.remedies(about)
    needs = argument.choose(about.needs)
    _rest(argument, near)
    _see_with(argument, subject, clues, people if near is not None else None)
    argument.say("needs", need=needs[0], other_need=needs[1])
    risk, care = remedies[0]
    argument.advise(voice.pick(("precaution", "precaution_too")), risk=risk, care=care)
    argument.fill_up(
        *(partial(argument.advise, "need", need=entry) for entry in needs[2:3]),
        *(partial(argument.advise, "tip", care=entry) for entry in others[:1]),
        *(partial(argument.advise, "precaution_too", risk=r, care=c) for r, c in remedies[1:2]),
        *(partial(argument.use, subject, entry) for entry in argument.choose(about.uses)[:1]),
    )
    argument.close("reasoning.caveat")
    question = "question"
    if subject.is_animal or subject.noun.group == "food":
        question += "_of_animals" if subject.is_animal else "_of_food"
    return argument.said(question, subject.category, f"care {subject.category}")


@program("complex_reasoning", "thing", weight=0.9)
def why_here(facts: Facts, voice: Voice) -> Iterator[Said]:
    """For which reasons a thing may be where it is."""
    clues = clues_in(facts)
    for subject in subjects_in(clues, voice, uses=2, reasons=2):
        # What captions tell needs no guess.
        if not is_told_of_people(facts, subject):
            yield _why_here(facts, voice, subject, clues)


def _why_here(facts: Facts, voice: Voice, subject: Clue, clues: Sequence[Clue]) -> Said:
    about, people = subject.about, people_in(clues)
    slots, near = _with_people(facts, subject, people)
    owner = one_of(people) if people is not None and near is not None else "somebody"
    argument = Argument(facts, voice, "reasoning_things.why", **slots, owner=owner)
    companion = None if subject.is_animal else _companion(subject, clues, voice)
    seen = [subject, *(clue for clue in (people, companion) if clue is not None)]
    argument.see(*voice.shuffled(seen))
    if voice.chance(WHERE):
        argument.locate(subject, clues)
    argument.use(subject, *argument.choose(about.uses)[:2])
    reasons = argument.choose(about.reasons)
    argument.say("reasons", reason=reasons[0], other_reason=reasons[1])
    _rest(argument, near)
    if companion is not None:
        argument.rest_on(_goes_with(subject, companion) or companion.fact)
        argument.say("companion", **_other(companion), other_use=argument.choose(companion.about.uses)[0])
    if near is None and people is not None:
        argument.say("present")
    elif near is not None and near.is_beside:
        argument.say("near")
    place = _likely_place(argument, subject)
    argument.fill_up(
        *(partial(argument.say, "reasoning.need", need=entry) for entry in argument.choose(about.needs)[:1]),
        *([] if place is None else [partial(_say_place, argument, "place", subject, place)]),
        *(partial(argument.say, "third", reason=entry) for entry in reasons[2:3]),
    )
    argument.close("reasoning.hedge")
    question = "question_of_animals" if subject.is_animal else "question"
    return argument.said(question, subject.category, f"why {subject.category}")


def _likely_place(argument: Argument, subject: Clue) -> Place | None:
    """A place where such things are met; where captions name one, none but that."""
    places, named = subject.about.places, named_places(argument.facts)
    fitting = [place for place in places if not named or place in named]
    key = argument.voice.pick(fitting) if fitting else None
    place = argument.facts.knowledge.places[key] if key is not None else None
    return place if place is not None and place.purposes else None


def _say_place(argument: Argument, key: str, subject: Clue, place: Place) -> None:
    argument.rest_on(_at(subject, place.key))
    argument.say(key, say=place.say, purpose=argument.choose(place.purposes)[0])


@program("complex_reasoning", "doing", weight=8.0)
def why_doing(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Why somebody may be doing what captions tell, by what it is done with."""
    for told, subject in _deeds(facts, voice):
        if len(subject.about.uses) > 1 and len(subject.about.reasons) > 1:
            yield _why_doing(facts, voice, told, subject)


@program("complex_reasoning", "doing", weight=6.0)
def minding_doing(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What somebody should mind while doing what captions tell."""
    for told, subject in _deeds(facts, voice):
        if subject.about.remedies and len(subject.about.risks) > 1:
            yield _minding_doing(facts, voice, told, subject)


def _deeds(facts: Facts, voice: Voice) -> Iterator[tuple[Told, Clue]]:
    """What people do with something, and with what."""
    clues = {clue.category: clue for clue in clues_in(facts)}
    if "person" not in clues or len(clues) < 2:
        return
    for told in voice.shuffled(told for told in facts.told if told.kind in ("doing", "holding")):
        if "person" in named_in(told.head):
            deed, named = _object_of(told.words)
            for category in sorted(named & clues.keys() - {"person"}):
                if told.verb not in IDLE_DEEDS or "needs a rider" in clues[category].about.traits:
                    yield replace(told, words=deed), clues[category]


_JOINTS = frozenset(
    "on in at by near next with behind down over along through from to into under beside across off around "
    "up while and inside outside onto against toward towards past".split()
)


@lru_cache(maxsize=1 << 14)
def _object_of(words: str) -> tuple[str, frozenset[str]]:
    """The words up to what it is done with, and the categories of that.

    "riding a horse" of "riding a horse in a field", and all of "riding a wave on a surfboard".
    """
    tokens = words.split()
    ends = [at for at, word in enumerate(tokens) if word in _JOINTS] + [len(tokens)]
    deed = " ".join(tokens[: ends[0]])
    named = named_in(deed)
    if not named and len(ends) > 1 and tokens[ends[0]] in ("on", "with"):
        deed = " ".join(tokens[: ends[1]])
        named = named_in(" ".join(tokens[ends[0] : ends[1]]))
    return deed, named


def _deed(facts: Facts, voice: Voice, program: str, told: Told, subject: Clue) -> Argument:
    """The argument about a deed, with its evidence: another caption, or the deed and what else is there."""
    deed = told.words if told.kind == "doing" else f"holding {told.words}"
    people_be = "are" if told.is_plural else "is"
    slots = _of(subject) | {"people": f"the {told.head}", "people_be": people_be, "deed": deed}
    slots["some"] = told.head
    if not told.is_plural:
        slots["some"] = f"{'an' if told.head[0] in 'aeiou' else 'a'} {told.head}"
    argument = Argument(facts, voice, program, **slots)
    argument.concerns = True
    argument.name(subject)
    argument.rest_on_telling(told)
    others = [
        caption
        for at, caption in enumerate(facts.captions[:4])
        if caption.phrase is not None and at != told.captions[0]
    ]
    if others and voice.chance(0.8):
        argument.quote(voice.pick(others))
        return argument
    argument.say("reasoning.deed")
    beside = [
        clue
        for clue in clues_in(facts)[:MOST_COMPARED]
        if not clue.is_person and clue.category not in named_in(told.words)
    ]
    if beside and voice.chance(0.6):
        argument.see(*beside[:2])
    return argument


def _why_doing(facts: Facts, voice: Voice, told: Told, subject: Clue) -> Said:
    about = subject.about
    argument = _deed(facts, voice, "reasoning_things.why_doing", told, subject)
    uses, reasons = argument.choose(about.uses), argument.choose(about.reasons)
    argument.say("use_of_animals" if subject.is_animal else "use", use=uses[0], other_use=uses[1])
    argument.say("so", reason=reasons[0], other_reason=reasons[1])
    remedies, _ = argument.remedies(about)
    argument.fill_up(
        *(partial(argument.say, "third", reason=entry) for entry in reasons[2:3]),
        *(partial(argument.advise, "need", need=entry) for entry in argument.choose(about.needs)[:1]),
        *(partial(argument.advise, "precaution_too", risk=risk, care=care) for risk, care in remedies[:1]),
    )
    argument.close("doubt")
    return argument.said("question", told.verb or told.kind, f"why {told.head} {told.verb}")


def _minding_doing(facts: Facts, voice: Voice, told: Told, subject: Clue) -> Said:
    argument = _deed(facts, voice, "reasoning_things.minding_doing", told, subject)
    remedies, others = argument.remedies(subject.about)
    risk, care = remedies[0]
    argument.say("first", risk=risk, care=care)
    _precautions(argument, subject, remedies, others, skip=1)
    argument.close("doubt")
    return argument.said("question", told.verb or told.kind, f"minding {told.head} {told.verb}")


@program("complex_reasoning", "thing", weight=0.4)
def without(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What would be different if a thing were not there."""
    clues = clues_in(facts)
    for subject in subjects_in(clues, voice, uses=2, reasons=2, risks=1):
        if not subject.is_animal and subject.noun.group != "food":
            yield _without(facts, voice, subject, clues)


def _without(facts: Facts, voice: Voice, subject: Clue, clues: Sequence[Clue]) -> Said:
    about, people = subject.about, people_in(clues)
    slots, near = _with_people(facts, subject, people)
    argument = Argument(facts, voice, "reasoning_things.without", **slots)
    companion = _companion(subject, clues, voice)
    _see_with(argument, subject, clues, companion or people)
    uses, reasons = argument.choose(about.uses), argument.choose(about.reasons)
    argument.say("lost", use=uses[0], other_use=uses[1])
    if near is not None and near.is_beside and people is not None:
        argument.name(people)
        argument.say("people")
        _rest(argument, near)
    argument.say("who", reason=reasons[0], other_reason=reasons[1])
    if companion is not None:
        argument.rest_on(_goes_with(subject, companion) or companion.fact)
        argument.say("companion", **_other(companion))
    argument.fill_up(
        partial(argument.say, "gain", risk=voice.pick(about.risks)),
        *(partial(argument.use, subject, entry) for entry in uses[2:3]),
        partial(argument.say, "substitute"),
    )
    argument.close("reasoning.hedge")
    return argument.said("question", subject.category, f"without {subject.category}")


@program("complex_reasoning", "thing", weight=0.2)
def limits(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What is certain about a thing, what is likely, and what has to stay open."""
    clues = clues_in(facts)
    for subject in subjects_in(clues, voice, uses=2, reasons=2, places=1):
        argument = Argument(facts, voice, "reasoning_things.limits", **_of(subject))
        argument.see(subject)
        if not argument.locate(subject, clues):
            continue
        uses, reasons = argument.choose(subject.about.uses), argument.choose(subject.about.reasons)
        argument.say("certain")
        argument.say("likely", use=uses[0], other_use=uses[1])
        argument.say("guess", reason=reasons[0], other_reason=reasons[1])
        if (place := _likely_place(argument, subject)) is not None and not named_places(facts):
            argument.fill_up(partial(_say_place, argument, "place", subject, place))
        argument.say("end")
        yield argument.said("question", subject.category, f"limits {subject.category}")


# The place


@program("complex_reasoning", "place", weight=2.2)
def kind_of_place(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What kind of place this may be, by the things that are usually found there."""
    clues = clues_in(facts)
    scores: dict[str, float] = {}
    supporters: dict[str, list[Clue]] = {}
    for clue in clues:
        for weight, place in zip(PLACE_WEIGHTS, clue.about.places, strict=False):
            scores[place] = scores.get(place, 0.0) + weight
            supporters.setdefault(place, []).append(clue)
    named = named_places(facts)
    # Of equals, the order follows from that of the clues.
    ranked = sorted(scores, key=lambda place: -scores[place])
    if named:
        ranked = [place for place in ranked if place in named]
    if not ranked or len(supporters[ranked[0]]) < 2 or not _is_possible(ranked[0], facts):
        return
    other: str | None = None
    if not named:
        lead = [scores[ranked[0]] - scores[place] for place in ranked[1:3]] + [CLEAR_LEAD + 1] * 2
        if lead[0] <= CLEAR_LEAD:
            is_second = len(supporters[ranked[1]]) > 1 and _is_possible(ranked[1], facts)
            if lead[1] <= CLEAR_LEAD or not is_second:
                voice.unsaid["near_tie"] += 1
                return
            other = ranked[1]
    speaking = sorted(supporters[ranked[0]], key=lambda clue: clue.about.places.index(ranked[0]))
    yield _kind_of_place(facts, voice, clues, speaking, ranked[0], other, bool(named))


_OUTDOORS = frozenset("outdoor outdoors outside".split())
_INDOORS = frozenset("indoor indoors inside room".split())


def _is_possible(key: str, facts: Facts) -> bool:
    """Whether there is something to say of the place, and no caption puts the image elsewhere."""
    place, against = facts.knowledge.places[key], frozenset[str]()
    if place.indoors is not None:
        against = _OUTDOORS if place.indoors else _INDOORS
    return bool(place.purposes) and all(caption.words.isdisjoint(against) for caption in facts.captions)


def _kind_of_place(
    facts: Facts,
    voice: Voice,
    clues: Sequence[Clue],
    speaking: Sequence[Clue],
    key: str,
    other: str | None,
    is_named: bool,
) -> Said:
    """`speaking` are the things that speak for the place, the most typical first."""
    place = facts.knowledge.places[key]
    slots = _numbered(*speaking) | {"say": place.say}
    subject = next((clue for clue in clues if clue.is_prominent and clue not in speaking[:3]), None)
    if subject is not None:
        slots |= _of(subject)
    argument = Argument(facts, voice, "reasoning_together.setting", **slots)
    seen = voice.shuffled(speaking[:4])
    if is_named:
        argument.see(*seen, caption=_naming(place.key, facts, voice))
        argument.locate(speaking[0], clues)
    else:
        argument.see(*seen, *([subject] if subject is not None and subject not in seen else []))
    argument.rest_on(*(_at(clue, key) for clue in speaking[:3]))
    argument.say("votes", list=listed([clue.noun.plural for clue in speaking[:3]]))
    if not is_named and other is None:
        alone = next(
            ((clue, each) for clue in speaking[:2] for each in clue.about.places if each != key), None
        )
        if alone is not None:
            clue, elsewhere = alone
            argument.rest_on(_at(clue, elsewhere))
            say = facts.knowledge.places[elsewhere].say
            argument.say("alone", **_other(clue), elsewhere=say)
    purposes = argument.choose(place.purposes)
    # A pack may know of only one.
    said: dict[str, str | Entry] = {"purpose": purposes[0], "other_purpose": purposes[:2][-1]}
    if is_named:
        argument.say("tells", **said)
    elif other is not None:
        argument.say("either", **said, elsewhere=facts.knowledge.places[other].say)
    else:
        argument.say("therefore", **said)
    if subject is not None and subject.about.uses and not subject.is_animal and not is_named:
        argument.say("subject", use=argument.choose(subject.about.uses)[0])
    argument.fill_up(
        *(
            partial(argument.use, clue, *argument.choose(clue.about.uses)[:2])
            for clue in speaking[:3]
            if clue.about.uses and not clue.is_animal
        )
    )
    argument.close("doubt")
    if is_named:
        question = "tells_question"
    else:
        question = "question_where" if subject is not None and voice.chance(0.75) else "question"
    return argument.said(question, key, "setting")


def _naming(place: str, facts: Facts, voice: Voice) -> Sentence:
    naming = [each for each in facts.captions if place in facts.knowledge.places_in(each.tokens)]
    return voice.pick([each for each in naming if each.phrase is not None] or naming)


@program("complex_reasoning", "place", weight=1.2)
def place_purpose(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What people may come for to the place that captions name."""
    named = named_places(facts).most_common(2)
    if not named:
        return
    clues = clues_in(facts)
    (key, times), *others = named
    place = facts.knowledge.places[key]
    fitting = [clue for clue in clues if clue.about.uses]
    expected = [clue for clue in fitting if key in clue.about.places]
    # One caption may mean the name of a street or a park in a name.
    if (times < 2 and not expected) or (others and others[0][1] == times):
        voice.unsaid["ambiguous"] += 1
        return
    if not fitting or len(place.purposes) < 2 or not (expected or people_in(clues)):
        return
    yield from _place_purpose(facts, voice, place, expected or fitting, clues)


def _place_purpose(
    facts: Facts, voice: Voice, place: Place, fitting: Sequence[Clue], clues: Sequence[Clue]
) -> Iterator[Said]:
    people, subject = people_in(clues), voice.pick(fitting[:2])
    about = subject.about
    slots, near = _with_people(facts, subject, people)
    argument = Argument(facts, voice, "reasoning_together.place", **slots, say=place.say)
    argument.concerns = near is not None
    purposes = argument.choose(place.purposes)
    is_busy = people is not None and any(map(tells_deed, facts.captions))
    if is_busy and not argument.fits(purposes[0]):
        # They have come for something else.
        return
    seen = [subject, *(clue for clue in (people,) if clue is not None)]
    argument.see(*seen, caption=_naming(place.key, facts, voice))
    if is_busy:
        argument.say("purpose_told", purpose=purposes[0])
    else:
        key = "purpose_for" if people is not None else "purpose"
        argument.say(key, purpose=purposes[0], other_purpose=purposes[1])
    of_animals = "_of_animals" if subject.is_animal else ""
    use = argument.choose(about.uses)[0]
    if place.key in about.places:
        argument.rest_on(_at(subject, place.key))
        argument.say(f"expected{of_animals}", use=use)
    else:
        argument.say(f"suits{of_animals}", use=use)
    if near is not None and near.is_beside:
        argument.say("near")
    _rest(argument, near)
    remedies, _ = argument.remedies(about)
    argument.fill_up(
        *(partial(argument.advise, "need", need=entry) for entry in argument.choose(about.needs)[:1]),
        *(partial(argument.advise, "precaution", risk=risk, care=care) for risk, care in remedies[:1]),
    )
    argument.close("reasoning.hedge")
    questions = ["question", "question_with", "question_with"]
    if people is not None:
        questions += ["question_for", "question_for"]
    yield argument.said(voice.pick(questions), place.key, "place")


# Several things


_NOT_PLANNED = ("people", "animals", "vehicles", "street")
"""Groups of what is seldom brought along by the same person for the same end."""


def _companions(clues: Sequence[Clue], voice: Voice) -> list[tuple[Clue, Clue]]:
    """Two things that go together, at least one of them prominent, the more prominent likely first."""
    fitting = [
        clue
        for clue in clues[:MOST_COMPARED]
        if len(clue.about.uses) > 1 and clue.noun.group not in _NOT_PLANNED
    ]
    pairs = {
        (first.category, second.category): (first, second)
        for first, second in combinations(fitting, 2)
        if (first.is_prominent or second.is_prominent) and _goes_with(first, second) is not None
    }
    weights = {key: 0.01 + first.weight * second.weight for key, (first, second) in pairs.items()}
    return [
        (first, second) if voice.chance(0.5) else (second, first)
        for first, second in (pairs[key] for key in voice.weighted(weights))
    ]


@program("complex_reasoning", "together", weight=2.5)
def purpose(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What two things that go together may be here for."""
    clues = clues_in(facts)
    for first, second in _companions(clues, voice):
        yield _purpose(facts, voice, first, second, clues)


def _purpose(facts: Facts, voice: Voice, first: Clue, second: Clue, clues: Sequence[Clue]) -> Said:
    argument = Argument(facts, voice, "reasoning_together.purpose", **_numbered(first, second))
    third = next(
        (
            clue
            for clue in clues[:MOST_COMPARED]
            if clue not in (first, second)
            and not clue.is_person
            and not clue.is_animal
            and clue.about.uses
            and (_goes_with(first, clue) or _goes_with(second, clue)) is not None
        ),
        None,
    )
    argument.see(*voice.shuffled((first, second) if third is None else (first, second, third)))
    uses, other_uses = argument.choose(first.about.uses), argument.choose(second.about.uses)
    argument.say("both", use=uses[0], other_use=other_uses[0])
    known = _goes_with(first, second)
    assert known is not None
    argument.rest_on(known)
    near = near_in(facts, first, second)
    if near is not None and near.is_beside:
        slots = {"first_near": near.first, "near_be": near.first_be, "second_near": near.second}
        argument.say("so_near", **slots)
        argument.rest_on(*near.facts)
    else:
        argument.say("so")
    people = people_in(clues)
    if people is not None:
        for clue in (first, second):
            if (near := near_in(facts, people, clue)) is not None and near.is_beside:
                slots = {"people": people.the, "near": near.first, "near_be": near.first_be}
                argument.name(people)
                argument.say("people", **slots, near_thing=near.second)
                argument.rest_on(*near.facts)
                break
    argument.fill_up(
        *([] if third is None else [partial(_say_third, argument, first, second, third)]),
        partial(_say_both_reasons, argument, first, second),
        partial(_say_shared_place, argument, first, second),
    )
    argument.close("doubt")
    about = f"purpose {first.category} / {second.category}"
    return argument.said("question", f"{first.category}, {second.category}", about)


def _say_third(argument: Argument, first: Clue, second: Clue, third: Clue) -> None:
    slots = {
        "third": third.the,
        "third_be": third.be,
        "thirds": third.noun.plural,
        "third_are": third.are,
    }
    argument.rest_on((_goes_with(first, third) or _goes_with(second, third)) or third.fact)
    argument.say("third", **slots, use=argument.choose(third.about.uses)[0])


def _say_both_reasons(argument: Argument, first: Clue, second: Clue) -> None:
    if first.about.reasons and second.about.reasons:
        reason, other_reason = (argument.choose(clue.about.reasons)[0] for clue in (first, second))
        argument.say("reasoning.both_reasons", reason=reason, other_reason=other_reason)


def _say_shared_place(argument: Argument, first: Clue, second: Clue) -> None:
    """A place that both suit; where captions name one, none but that."""
    named = named_places(argument.facts)
    shared = [
        argument.facts.knowledge.places[key]
        for key in first.about.places
        if key in second.about.places and (not named or key in named)
    ]
    if shared and (place := argument.voice.pick(shared)).purposes:
        argument.rest_on(_at(first, place.key), _at(second, place.key))
        purpose = argument.choose(place.purposes)[0]
        argument.say("reasoning.both_suit", say=place.say, purpose=purpose)


@program("complex_reasoning", "together", weight=0.8)
def missing_companion(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What would complete two things that are there, and is not."""
    if not facts.absent:
        return
    absent = {noun.category: noun for noun in facts.absent}
    clues = clues_in(facts)
    for first, second in _companions(clues, voice):
        both = set(first.about.goes_with) & set(second.about.goes_with) & absent.keys()
        wanted = [absent[category] for category in sorted(both)]
        wanted = [noun for noun in wanted if noun.group not in ("people", "animals")]
        wanted = [noun for noun in wanted if len(_uses_of(noun, facts)) > 1]
        if wanted:
            yield _missing(facts, voice, first, second, voice.pick(wanted))


def _uses_of(noun: Noun, facts: Facts) -> Entries:
    return facts.knowledge.things.get(noun.category, UNKNOWN).uses


def _missing(facts: Facts, voice: Voice, first: Clue, second: Clue, noun: Noun) -> Said:
    slots = {"others": noun.plural, "other_one": noun.one, "other_bare": noun.singular}
    argument = Argument(facts, voice, "reasoning_together.missing", **_numbered(first, second), **slots)
    argument.see(first, second)
    argument.draw_near(first, second)
    uses, other_uses = argument.choose(first.about.uses), argument.choose(second.about.uses)
    argument.say("both", use=uses[0], other_use=other_uses[0])
    for clue in (first, second):
        number = clue.about.goes_with.index(noun.category) + 1
        argument.rest_on(("knows", f"{clue.about.path}.goes_with.{number}"))
    argument.say("lead")
    argument.rest_on(("absent", noun.category))
    uses = voice.shuffled(_uses_of(noun, facts))
    argument.say("use", use=uses[0], other_use=uses[1])
    argument.say("so")
    argument.fill_up(
        *(partial(argument.say, "more", use=entry) for entry in uses[2:3]),
        partial(_say_both_reasons, argument, first, second),
        partial(argument.say, "where"),
    )
    return argument.said("question", noun.category, f"missing {noun.category}")


@program("complex_reasoning", "number", weight=1.0)
def sharing(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Whether there is one for everybody."""
    clues = clues_in(facts)
    people = people_in(clues)
    if people is not None and people.number is not None and people.number > 1:
        for subject in voice.shuffled(clues[:MOST_COMPARED]):
            if subject.about.serves == 1 and subject.number is not None and subject.is_prominent:
                if 0 < abs(subject.number - people.number) < facts.margins.more:
                    voice.unsaid["near_tie"] += 1
                    continue
                yield _shared(facts, voice, subject, people)
    # Of categories that nothing is known of, numbers can at least be matched.
    unknown = [clue for clue in clues[:MOST_COMPARED] if clue.about is UNKNOWN and (clue.number or 0) > 1]
    for first, second in combinations(unknown, 2):
        yield _matched(facts, voice, first, second)


def _compare(argument: Argument, clue: Clue, other: Clue) -> str:
    """How their numbers compare: "few", "enough" or "many" of the first; and rests on that."""
    assert clue.number is not None and other.number is not None
    for each in (clue, other):
        argument.rest_on(("count", each.category, each.number or 0))
    if clue.number == other.number:
        argument.rest_on(("equal", clue.category, other.category))
        return "enough"
    more, less = (clue, other) if clue.number > other.number else (other, clue)
    argument.rest_on(("more", more.category, less.category))
    return "many" if more is clue else "few"


def _shared(facts: Facts, voice: Voice, subject: Clue, people: Clue) -> Said:
    assert subject.number is not None and people.number is not None
    argument = Argument(
        facts,
        voice,
        "reasoning_together.sharing",
        **_of(subject, people),
        one=subject.noun.one,
        people_amount=people.spoken,
        rest=NUMBER_WORDS[abs(subject.number - people.number)],
        there_be="are" if subject.is_many else subject.be,
    )
    argument.name(subject, people)
    if (caption := argument.fitting_caption((people, subject))) is not None:
        argument.quote(caption)
    argument.say("counts")
    argument.rest_on(("knows", f"{subject.about.path}.serves"))
    result = _compare(argument, subject, people)
    argument.say(result)
    argument.say(f"{result}_means")
    uses = voice.shuffled(subject.about.uses)
    if len(uses) > 1:
        argument.say("use", use=uses[0], other_use=uses[1])
    argument.fill_up(
        partial(argument.locate, subject, [people]),
        *([partial(argument.use, subject, uses[2])] if uses[2:] else []),
    )
    argument.close("doubt")
    return argument.said("question", result, f"sharing {subject.category}")


def _matched(facts: Facts, voice: Voice, first: Clue, second: Clue) -> Said:
    assert first.number is not None and second.number is not None
    argument = Argument(
        facts,
        voice,
        "reasoning_together.matched",
        **_numbered(first, second),
        amount=first.spoken,
        other_amount=second.spoken,
        first_bare=first.noun.singular,
        second_one=second.noun.one,
        rest=NUMBER_WORDS[abs(first.number - second.number)],
    )
    argument.name(first, second)
    argument.say("counts")
    argument.say("rule")
    result = _compare(argument, second, first)
    argument.say(result)
    argument.say("means")
    argument.say("general")
    argument.close("doubt")
    return argument.said("question", result, f"matching {first.category} / {second.category}")


@program("complex_reasoning", "number", weight=0.35)
def arithmetic(facts: Facts, voice: Voice) -> Iterator[Said]:
    """How many parts the things in view would have altogether."""
    with_part: dict[str, list[tuple[Clue, int]]] = {}
    for clue in clues_in(facts):
        if clue.number is not None:
            for part, number in clue.about.parts:
                with_part.setdefault(part, []).append((clue, number))
    for part in voice.shuffled(with_part):
        counted_ones = voice.shuffled(with_part[part])[:3]
        if sum(clue.number or 0 for clue, _ in counted_ones) > 1:
            yield _arithmetic(facts, voice, part, counted_ones)


def _arithmetic(facts: Facts, voice: Voice, part: str, counted_ones: Sequence[tuple[Clue, int]]) -> Said:
    clues = [clue for clue, _ in counted_ones]
    argument = Argument(
        facts,
        voice,
        "reasoning_together.arithmetic",
        parts=part,
        amounts=listed([clue.the for clue in clues]),
        list=listed([clue.spoken for clue in clues]),
        list_be="are" if len(clues) > 1 or clues[0].is_many else "is",
        bares=listed([clue.noun.plural for clue in clues], "or"),
    )
    argument.name(*clues)
    argument.rest_on(*(("count", clue.category, clue.number or 0) for clue in clues))
    caption = argument.fitting_caption(clues)
    if caption is not None:
        argument.quote(caption)
    argument.say("count")
    total = 0
    for clue, each in counted_ones:
        number = clue.number or 0
        total += number * each
        argument.rest_on(("knows", f"{clue.about.path}.parts.{part}"))
        argument.say(
            "sum" if number > 1 else "single",
            one=clue.noun.one,
            bare=clue.noun.singular,
            number=_in_words(each),
            total=_in_words(number * each),
            amount=clue.spoken,
            count=_in_words(number),
        )
    if len(counted_ones) > 1 or voice.chance(0.3):
        argument.say("total", total=_in_words(total))
    argument.say("hidden")
    if argument.is_short:
        argument.say(voice.pick(("way", "exception", "check")))
    argument.fill_up(
        *(
            partial(argument.use, clue, *argument.choose(clue.about.uses)[:2])
            for clue in clues
            if len(clue.about.uses) > 1
        )
    )
    argument.close("exception")
    return argument.said("question", str(total), f"number of {part}")


def _in_words(number: int) -> str:
    return NUMBER_WORDS[number] if number < len(NUMBER_WORDS) else str(number)


@program("complex_reasoning", "together", weight=0.7)
def comparison(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Which of two things would serve better for a purpose."""
    fitting = [
        clue
        for clue in clues_in(facts)[:MOST_COMPARED]
        if len(clue.about.uses) > 1
        and not clue.is_animal
        and not clue.is_person
        and clue.noun.group != "food"
        and clue.is_prominent
    ]
    for pair in voice.shuffled(combinations(fitting, 2)):
        first, second = voice.shuffled(pair)
        is_like = first.noun.group == second.noun.group and not set(first.about.places[:3]).isdisjoint(
            second.about.places[:3]
        )
        # Two seats or two bags can serve for much the same.
        is_alike = first.noun.group != "kitchen" and second.category in ALIKE.get(first.category, ())
        if not is_like or is_alike:
            continue
        uses, other_uses = voice.shuffled(first.about.uses), voice.shuffled(second.about.uses)
        taken = {word for entry in other_uses for word in _content(entry)}
        own = next((entry for entry in uses if taken.isdisjoint(_content(entry))), None)
        if own is None:
            continue
        argument = Argument(facts, voice, "reasoning_together.comparison", **_numbered(first, second))
        argument.see(*voice.shuffled((first, second)))
        argument.draw_near(first, second)
        argument.say("one", use=own, own_use=next(entry for entry in uses if entry is not own))
        argument.say("other", other_use=other_uses[0], third_use=other_uses[1])
        argument.say("turn", other_use=other_uses[0])
        argument.fill_up(
            partial(argument.say, "both"),
            partial(_say_both_reasons, argument, first, second),
            *(
                partial(argument.say, "need", need=entry)
                for entry in voice.shuffled(first.about.needs)[:1]
                if first.are == "are"
            ),
        )
        argument.close("doubt")
        about = f"comparison {first.category} / {second.category}"
        yield argument.said("question", first.category, about, use=own)


def _content(entry: Entry) -> Iterator[str]:
    """The words of an entry by which it can be compared with another."""
    for piece in entry.wording:
        if isinstance(piece, str):
            yield from (word for word in tokens_of(piece) if len(word) > 3)


@program("complex_reasoning", "together", weight=0.9)
def in_common(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What three things have in common, where they differ, and what that suggests."""
    clues = clues_in(facts)[:MOST_COMPARED]
    sharing_trait: dict[str, list[Clue]] = {}
    for clue in clues:
        for trait in clue.about.traits if clue.about.uses else ():
            sharing_trait.setdefault(trait, []).append(clue)
    for trait in voice.shuffled(sharing_trait):
        if len(sharing_trait[trait]) > 2 and _belong_together(sharing_trait[trait]):
            yield _in_common(facts, voice, trait, voice.shuffled(sharing_trait[trait][:3]))


def _belong_together(clues: Sequence[Clue]) -> bool:
    """Whether the first three are of one group or met in one place, so that they are worth comparing."""
    first, second, third = clues[:3]
    if first.noun.group == second.noun.group == third.noun.group:
        return True
    return any(place in second.about.places and place in third.about.places for place in first.about.places)


def _in_common(facts: Facts, voice: Voice, trait: str, three: Sequence[Clue]) -> Said:
    argument = Argument(facts, voice, "reasoning_together.in_common", **_numbered(*three))
    argument.see(*three)
    argument.rest_on(*(_has(clue, trait) for clue in three))
    argument.say("shared", trait=facts.knowledge.traits[trait])
    first, second, third = (argument.choose(clue.about.uses)[0] for clue in three)
    are_animals = all(clue.is_animal for clue in three)
    suffix = "_of_animals" if any(clue.is_animal for clue in three) else ""
    argument.say(f"differ{suffix}", first_use=first, second_use=second, third_use=third)
    named = named_places(facts)
    shared = [
        facts.knowledge.places[key]
        for key in three[0].about.places
        if all(key in clue.about.places for clue in three) and (not named or key in named)
    ]
    if shared and (place := voice.pick(shared)).purposes:
        argument.rest_on(*(_at(clue, place.key) for clue in three))
        argument.say("place", say=place.say, purpose=argument.choose(place.purposes)[0])
    argument.say("so_of_animals" if are_animals else "so")
    argument.fill_up(
        *(
            partial(argument.say, "care", cared=clue.the, cared_be=clue.be, care=voice.pick(clue.about.care))
            for clue in three[:2]
            if clue.about.care
        )
    )
    argument.close("doubt")
    return argument.said("question", trait, f"in common {trait}")


def _has(clue: Clue, trait: str) -> Fact:
    return ("knows", f"{clue.about.path}.traits.{clue.about.traits.index(trait) + 1}")


@program("complex_reasoning", "together", weight=1.4)
def pair_rules(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What follows from two things that are in one image."""
    clues = [clue for clue in clues_in(facts)[:MOST_COMPARED] if clue.category in facts.knowledge.pairs_of]
    fitting: dict[int, list[tuple[Clue, Clue]]] = {}
    for first, second in permutations(clues, 2):
        if first.is_prominent or second.is_prominent:
            pairs_of = facts.knowledge.pairs_of
            for place in sorted(pairs_of[first.category][0] & pairs_of[second.category][1]):
                fitting.setdefault(place, []).append((first, second))
    present = {clue.category for clue in clues_in(facts)}
    for place in voice.shuffled(fitting):
        pair = facts.knowledge.pairs[place]
        if not pair.without.isdisjoint(present):
            continue
        for first, second in voice.shuffled(fitting[place]):
            if not pair.near or near_in(facts, first, second) is not None:
                yield _pair_rules(facts, voice, pair, first, second)
                break


def _pair_rules(facts: Facts, voice: Voice, pair: Pair, first: Clue, second: Clue) -> Said:
    slots = _numbered(first, second)
    argument = Argument(facts, voice, "reasoning_together.pair", **slots)
    argument.see(*voice.shuffled((first, second)))
    argument.draw_near(*voice.shuffled((first, second)))
    for clue, trait in ((first, pair.first), (second, pair.second)):
        if trait is not None:
            argument.rest_on(_has(clue, trait))
    argument.locate(first, [second])
    (because, so), *others = voice.shuffled(pair.inferences)
    argument.say("because", clause=because, so=so)
    argument.elaborate()
    argument.fill_up(
        *(
            partial(argument.say, "care", cared=clue.the, cared_be=clue.be, risk=risk, care=care)
            for clue in (first, second)
            if not clue.is_person
            for risk, care in argument.remedies(clue.about)[0][:1]
        ),
        *(
            partial(argument.use, clue, *argument.choose(clue.about.uses)[:2])
            for clue in (first, second)
            if len(clue.about.uses) > 1
        ),
    )
    if argument.is_short:
        for clause, so in others[:1]:
            argument.say("because_too", clause=clause, so=so)
    argument.close("doubt")
    return argument.said("question", pair.path, f"pair {pair.path}", asked=voice.pick(pair.questions))


# The picture


@program("complex_reasoning", "picture", weight=0.2)
def focus(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What the image is probably about, from how much room things are given and where."""
    ranked = sorted(facts.singles, key=lambda entry: -entry[1].area)
    if not ranked or ranked[0][1].area < max(0.05, *(kind.area for kind in facts.kinds)):
        return
    noun, thing = ranked[0]
    if facts.captions and not facts.said_of(noun.category):
        return
    clues = clues_in(facts)
    subject = next(clue for clue in clues if clue.category == noun.category)
    place, shares = thing.place, extents(thing)
    if place is None and not shares:
        voice.unsaid["near_tie"] += 1
        return
    smaller = [
        clue
        for clue in clues
        if (single := clue.single) is not None and single.area * facts.margins.larger <= thing.area
    ]
    other = voice.pick(smaller) if smaller else None
    slots = _of(subject) | ({} if other is None else _other(other))
    s, es = ("", "") if subject.be == "are" else ("s", "es")
    argument = Argument(facts, voice, "reasoning_picture.focus", **slots, s=s, es=es)
    argument.see(subject)
    if place is not None and not argument.is_located:
        words = place_words(place, facts.frame, voice)
        argument.say("reasoning.placed", located=subject.the, located_be=subject.be, place=words)
        argument.rest_on(("place", thing.number, place))
    if shares:
        argument.say("share", size=listed([f"{words} of the {side}" for side, _, words in shares]))
        argument.rest_on(*(("share", thing.number, side, share) for side, share, _ in shares))
    if other is not None and (single := other.single) is not None:
        argument.say("larger", other_s="" if other.be == "are" else "s")
        argument.rest_on(("larger", thing.number, single.number))
        argument.name(other)
    if place == "middle":
        argument.say("because_middle")
    if thing.area > 0.2 or place != "middle":
        argument.say("because_large")
    argument.say("subject")
    argument.fill_up(
        *([partial(argument.say, "because_named")] if facts.captions else []),
        *([partial(argument.say, "general")] if place is not None and shares else []),
        partial(argument.say, "rest"),
    )
    argument.say("doubt")
    question = "question" if other is None or voice.chance(0.4) else "question_between"
    yield argument.said(question, subject.category, "focus")


_EXTENTS = (
    (0.25, "a quarter"),
    (0.333, "a third"),
    (0.5, "half"),
    (0.667, "two thirds"),
    (0.75, "three quarters"),
)


def extents(thing: Thing) -> list[tuple[str, float, str]]:
    """How much of the width and of the height it takes up, where that is close to a simple share."""
    found = []
    for side, length in (("width", thing.right - thing.left), ("height", thing.bottom - thing.top)):
        if length > 0.9:
            found.append((side, 0.9, "nearly the whole"))
            continue
        for share, words in _EXTENTS:
            if abs(length - share) < 0.04:
                found.append((side, share, f"about {words}"))
                break
    return found


@program("complex_reasoning", "picture", weight=0.6)
def distribution(facts: Facts, voice: Voice) -> Iterator[Said]:
    """How several things of one category are spread over the image, and what that may mean."""
    clues = clues_in(facts)
    for subject in voice.shuffled(clue for clue in clues if (clue.number or 0) > 3):
        assert subject.kind is not None
        centres = [thing.x for thing in subject.kind.things]
        if any(abs(centre - 0.5) < facts.margins.border for centre in centres):
            voice.unsaid["near_tie"] += 1
            continue
        left = sum(centre < 0.5 for centre in centres)
        side, most = ("left", left) if left * 2 >= len(centres) else ("right", len(centres) - left)
        rest = len(centres) - most
        if rest == 0:
            result = "all"
        elif most - rest <= 1:
            result = "even"
        elif most >= 0.7 * len(centres):
            result = "gathered"
        else:
            continue
        others = [clue for clue in clues if clue is not subject][:2]
        argument = Argument(
            facts,
            voice,
            "reasoning_picture.distribution",
            the=subject.the,
            things=subject.noun.plural,
            number=counted(len(centres), subject.noun),
            side=side,
            part=NUMBER_WORDS[most],
            rest=NUMBER_WORDS[rest],
            list=listed([clue.spoken for clue in others]),
            list_be="are" if len(others) > 1 or (others and others[0].be == "are") else "is",
        )
        argument.see(subject)
        argument.rest_on(("count", subject.category, len(centres)))
        argument.rest_on(("half", subject.category, side, most, len(centres)))
        argument.say(result)
        argument.say("general")
        argument.say(f"{result}_suggests")
        if others and voice.chance(0.6):
            argument.say("beside")
            argument.name(*others)
        argument.close("doubt")
        argument.fill_up(partial(argument.say, "reasoning.hedge"))
        yield argument.said("question", result, f"distribution {subject.category}")


# General points


@program("complex_reasoning", "theme", weight=0.01)
def theme(facts: Facts, voice: Voice) -> Iterator[Said]:
    """What follows from the things in view by general knowledge of a subject."""
    for chosen, rests_on in voice.shuffled(fitting_themes(facts)):
        argument = Argument(
            facts, voice, "reasoning_picture.theme", things=listed([clue.spoken for clue in rests_on[:3]])
        )
        captions = voice.shuffled(facts.captions)
        captions.sort(key=lambda caption: caption.phrase is None)
        argument.see(*rests_on[:3], caption=captions[0] if captions else None)
        for caption in captions[1:2]:
            if caption.phrase is not None:
                argument.quote(caption)
        argument.locate(rests_on[0], rests_on)
        asked, answers = voice.pick(chosen.questions)
        points = voice.shuffled(answers)
        points += [point for point in voice.shuffled(chosen.points) if point not in answers]
        argument.say("point", clause=points[0])
        for point in points[1:3]:
            if argument.is_short:
                argument.say("point_too", clause=point)
        # Last, as it is not what was asked for.
        suggests = voice.pick(chosen.suggests)
        argument.rest_on(("knows", suggests.path))
        argument.add(argument.know(suggests))
        yield argument.said("question", chosen.path, chosen.path, asked=asked)


def fitting_themes(facts: Facts) -> list[tuple[Theme, list[Clue]]]:
    """The themes of what is in the image, with what they rest on; of the most prominent, two at most."""
    clues = {clue.category: clue for clue in clues_in(facts)}
    fitting = []
    for theme in facts.knowledge.themes:
        found = [clue for category, clue in clues.items() if category in theme.any]
        if not found or not theme.all <= clues.keys() or not theme.without.isdisjoint(clues):
            continue
        said = sum(not theme.words.isdisjoint(caption.words) for caption in facts.captions)
        if said or any(clue.is_prominent for clue in found):
            weight = max(clue.weight for clue in found) + said / max(1, len(facts.captions))
            rests_on = [clue for category, clue in clues.items() if category in theme.any | theme.all]
            fitting.append((-weight, theme, rests_on))
    fitting.sort(key=lambda entry: entry[0])
    close = [entry for entry in fitting if entry[0] <= CLOSE * fitting[0][0]]
    return [(theme, rests_on) for _, theme, rests_on in close[:2]]
