"""Questions with four answers to choose from, of which one is right.

The wrong ones are decidedly wrong and of the same kind: things that are absent, of the same group where
there are enough, numbers next to the right one, other sides. The right one stands in each of the four
places as often, whatever it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datagen.teacher.programmatic.facts import Facts, Side, Thing
from datagen.teacher.programmatic.pieces import place_words
from datagen.teacher.programmatic.programs.counting import (
    counted_kinds,
    popular_absent,
    rough_amount,
    rough_fact,
    seldom_people,
)
from datagen.teacher.programmatic.registry import IDLE, Said, program
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import NUMBER_WORDS, Noun, capital, counted, listed

LETTERS = ("A", "B", "C", "D")
WRONG = len(LETTERS) - 1
SHORT = 0.1
"""How often the answer is no more than the letter and what stands beside it."""

_PLACES: dict[str, tuple[Side | None, Side | None]] = {
    "left": ("left", None),
    "right": ("right", None),
    "top": (None, "top"),
    "bottom": (None, "bottom"),
    "middle": ("middle", "middle"),
    "top_left": ("left", "top"),
    "top_right": ("right", "top"),
    "bottom_left": ("left", "bottom"),
    "bottom_right": ("right", "bottom"),
    "top_middle": ("middle", "top"),
    "bottom_middle": ("middle", "bottom"),
}
"""What each place says of the thirds of the width and of the height; None where it says nothing."""


def _options(right: str, wrong: Sequence[str], voice: Voice) -> tuple[str, str]:
    """The letter of the right one, and the four in a line: "A. dog, B. cat, C. boat or D. bench"."""
    at = voice.pick(range(len(LETTERS)))
    options = list(wrong)
    options.insert(at, right)
    first, second, third, fourth = options
    return LETTERS[at], voice.say("choice.options", a=first, b=second, c=third, d=fourth)


def _answer(letter: str, key: str, voice: Voice, **slots: str) -> str:
    """The letter with a sentence for it."""
    lead, clause = voice.say("choice.lead", letter=letter), voice.say(key, **slots)
    return lead + (capital(clause) if lead.endswith(". ") else clause)


def _wrong_for(noun: Noun, facts: Facts, voice: Voice) -> list[Noun]:
    """Three that are absent: of the same group first, then those that are in many other images."""
    wrong = voice.shuffled(other for other in facts.absent if other.group == noun.group)[:WRONG]
    if len(wrong) < WRONG:
        more = popular_absent(facts) or facts.absent
        # By name, as it takes long to compare nouns.
        names = {other.category for other in wrong}
        others = [other for other in voice.shuffled(more) if other.category not in names]
        wrong += others[: WRONG - len(wrong)]
    return wrong


@program("conversation", "choice", weight=0.6)
def choice_object(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Which of four things is in the image."""
    for kind in seldom_people(facts.kinds, voice):
        amount = rough_amount(kind)
        if amount is None:
            continue
        asks = frozenset((f"presence {kind.category}",))
        if voice.knows(asks):
            yield IDLE
            continue
        wrong = voice.shuffled(_wrong_for(kind.noun, facts, voice))
        if len(wrong) < WRONG:
            return
        letter, options = _options(kind.noun.singular, [noun.singular for noun in wrong], voice)
        others = listed([noun.singular for noun in wrong], "or")
        short = f"{letter}. {capital(amount)}." if voice.chance(SHORT) else ""
        yield Said(
            question=voice.say("choice.object.question", options=options),
            answer=short or _answer(letter, "choice.object.answer", voice, things=amount, others=others),
            brief=letter,
            facts=(rough_fact(kind), *(("absent", noun.category) for noun in wrong)),
            boxes=kind.boxes,
            asks=asks,
            tells=frozenset(f"presence {noun.category}" for noun in wrong),
        )


@program("conversation", "choice", weight=0.5)
def choice_absent(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Which of four things is not in the image."""
    kinds = [kind for kind in facts.kinds if rough_amount(kind) is not None][:8]
    if len(kinds) < WRONG:
        return
    for _ in range(2):
        there = voice.shuffled(kinds)[:WRONG]
        groups = {kind.noun.group for kind in there}
        absent = [noun for noun in facts.absent if noun.group in groups]
        if not absent or voice.chance(0.4):
            absent = popular_absent(facts) or list(facts.absent)
        if not absent:
            return
        noun = voice.pick(absent)
        letter, options = _options(noun.singular, [kind.noun.singular for kind in there], voice)
        others = listed([rough_amount(kind) or "" for kind in there])
        yield Said(
            question=voice.say("choice.absent.question", options=options),
            answer=_answer(letter, "choice.absent.answer", voice, no=noun.singular, others=others),
            brief=letter,
            facts=(("absent", noun.category), *(rough_fact(kind) for kind in there)),
            boxes=tuple(number for kind in there for number in kind.boxes),
            asks=frozenset((f"presence {noun.category}",)),
            tells=frozenset(f"presence {kind.category}" for kind in there),
        )


@program("conversation", "choice", weight=0.5)
def choice_count(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Which of four numbers is how many there are."""
    for kind in counted_kinds(facts, voice):
        noun, number, category = kind.noun, len(kind.things), kind.category
        if number == 1:
            # No number stands below it: always the smallest of the four.
            continue
        # Four numbers in a row, the right one anywhere among them as far as they begin with one.
        least = number - voice.pick(range(min(number, len(LETTERS))))
        near = range(least, least + len(LETTERS))
        is_spelled = near[-1] < len(NUMBER_WORDS) and voice.chance(0.5)
        words = {each: NUMBER_WORDS[each] if is_spelled else str(each) for each in near}
        right = words.pop(number)
        letter, options = _options(right, voice.shuffled(words.values()), voice)
        amount = counted(number, noun)
        short = f"{letter}. {capital(amount)}." if voice.chance(SHORT) else ""
        slots = {"number": amount, "things": noun.plural, "spelled": NUMBER_WORDS[number]}
        yield Said(
            question=voice.say("choice.count.question", things=noun.plural, options=options),
            answer=short or _answer(letter, "choice.count.answer", voice, **slots),
            brief=letter,
            facts=(("count", category, number),),
            boxes=kind.boxes,
            asks=frozenset((f"count {category}",)),
            tells=frozenset((f"presence {category}",)),
        )


@program("conversation", "choice", weight=0.6)
def choice_place(facts: Facts, voice: Voice) -> Iterator[Said]:
    """Which of four places is where the only one of a category is."""
    for kind in seldom_people(facts.kinds, voice):
        thing = kind.single
        if thing is None:
            continue
        asks = frozenset((f"place {kind.category}",))
        if voice.knows(asks):
            yield IDLE
            continue
        key = thing.place
        elsewhere = [other for other in _PLACES if _is_elsewhere(thing, other)]
        if facts.frame == "radiograph":
            # "On the patient's left" and "on the patient's left, in the upper part" may both be right.
            elsewhere = [other for other in elsewhere if _PLACES[other][0] != thing.across]
        wrong = voice.shuffled(elsewhere)[:WRONG]
        if key is None or len(wrong) < WRONG:
            voice.unsaid["near_border"] += 1
            continue
        noun = kind.noun
        place, *others = (place_words(each, facts.frame, voice, whole=False) for each in (key, *wrong))
        letter, options = _options(place, others, voice)
        slots = {"the": noun.the, "be": noun.be}
        yield Said(
            question=voice.say("choice.place.question", options=options, **slots),
            answer=_answer(letter, "choice.place.answer", voice, place=place, **slots),
            brief=letter,
            facts=(("place", thing.number, key),),
            boxes=(thing.number,),
            asks=asks,
            tells=frozenset((f"presence {noun.category}",)),
        )


def _is_elsewhere(thing: Thing, key: str) -> bool:
    """Whether the thing is decidedly not in that place, not even with a good part of it."""
    across, down = _PLACES[key]
    return (
        across not in (None, thing.across)
        and thing.across is not None
        and not _reaches(thing.left, thing.right, across)
    ) or (
        down not in (None, thing.down)
        and thing.down is not None
        and not _reaches(thing.top, thing.bottom, down)
    )


def _reaches(low: float, high: float, side: Side | None) -> bool:
    """Whether an extent reaches the middle of a third of the width or height."""
    if side in ("left", "top"):
        return low < 1 / 6
    if side in ("right", "bottom"):
        return high > 5 / 6
    return low < 0.5 < high
