"""Programs for complex reasoning: each makes one question, and an answer from evidence to inference.

An answer says first what can be seen, then what that makes likely, always hedged, with general
knowledge from knowledge.toml. To add a program, write the function and put it into PROGRAMS; to add
knowledge, add a theme to knowledge.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from datagen.records import Turn
from datagen.teacher.programmatic.facts import Facts, Kind, Thing
from datagen.teacher.programmatic.pieces import place_of, shown
from datagen.teacher.programmatic.voice import Phrasing, Voice, compiled
from datagen.teacher.programmatic.words import CATEGORIES, NUMBER_WORDS, capital, counted, listed, load_toml

SMALLEST_THEME = 0.01
"""Share of the image that something must cover to decide what an answer is about."""
SMALLEST_UNSAID = 0.05
"""The same for what no caption speaks of, where there are captions."""
WORDS = 92
"""An answer takes in general knowledge until it has this many words."""
MOST_POINTS = 4
HEDGED = 0.6
"""Share of answers that say outright how far the inference can be trusted; all are worded with care."""
CLOSE = 0.6
"""Share of the weight of the most prominent theme from which another may be taken instead."""


@dataclass(frozen=True, slots=True)
class Theme:
    """One table of knowledge.toml."""

    any: frozenset[str]
    all: frozenset[str]
    without: frozenset[str]
    words: frozenset[str]
    questions: tuple[Phrasing, ...]
    suggests: tuple[Phrasing, ...]
    points: tuple[Phrasing, ...]


def _read_themes() -> tuple[Theme, ...]:
    themes = []
    for table in load_toml("knowledge.toml")["theme"]:
        some, all_, without = (frozenset[str](table.get(key, ())) for key in ("any", "all", "without"))
        unknown = sorted((some | all_ | without) - CATEGORIES.keys())
        if unknown:
            names = ", ".join(unknown)
            raise ValueError(f"knowledge.toml, theme {table['name']!r}: not in vocabulary.toml: {names}")
        words = frozenset[str](table.get("words", ()))
        questions, suggests, points = (
            tuple(compiled(text) for text in table[key]) for key in ("questions", "suggests", "points")
        )
        themes.append(Theme(some, all_, without, words, questions, suggests, points))
    return tuple(themes)


THEMES = _read_themes()

Program = Callable[[Facts, Voice], Iterator[Turn]]


def _paragraph(sentences: Sequence[str]) -> str:
    return " ".join(capital(sentence) for sentence in sentences if sentence)


def _words(sentences: Sequence[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A category that an answer can rest on."""

    spoken: str
    """How it is spoken without its number: "dogs"."""
    weight: float
    """How much of the image and of the captions it takes up, each up to 1."""
    is_prominent: bool
    """True for what is large enough, or spoken of often enough, to decide what an answer is about."""
    kind: Kind | None
    """None for what only the captions speak of."""


def evidence_in(facts: Facts) -> dict[str, Evidence]:
    """What answers can rest on, by category."""
    evidence = {}
    smallest = SMALLEST_UNSAID if facts.captions else SMALLEST_THEME
    for kind in facts.kinds:
        if spoken := kind.rough_amount:
            said = facts.said_of(kind.category)
            is_prominent = kind.is_group or kind.area >= smallest or said > 0
            evidence[kind.category] = Evidence(spoken, kind.area + said, is_prominent, kind)
    for noun, spoken in facts.spoken_of:
        evidence[noun.category] = Evidence(spoken, facts.said_of(noun.category), True, None)
    return evidence


def fitting_themes(facts: Facts) -> list[tuple[Theme, list[Evidence]]]:
    """The themes of what is in the image, with what they rest on; the most prominent first."""
    evidence = evidence_in(facts)
    fitting = []
    for order, theme in enumerate(THEMES):
        found = [evidence[category] for category in theme.any if category in evidence]
        if not found or not theme.all <= evidence.keys() or not theme.without.isdisjoint(evidence):
            continue
        said = sum(not theme.words.isdisjoint(caption.words) for caption in facts.captions)
        if said or any(each.is_prominent for each in found):
            weight = max(each.weight for each in found) + said / max(1, len(facts.captions))
            rests_on = [each for category, each in evidence.items() if category in theme.any | theme.all]
            # The last theme is about people as such, for images with nothing else to go by.
            fitting.append((order == len(THEMES) - 1, -weight, order, theme, rests_on))
    fitting.sort(key=lambda entry: entry[:3])
    close = [entry for entry in fitting if entry[0] == fitting[0][0] and entry[1] <= CLOSE * fitting[0][1]]
    return [(theme, rests_on) for _, _, _, theme, rests_on in close[:2]]


def theme(facts: Facts, voice: Voice) -> Iterator[Turn]:
    """What follows from the things in view by general knowledge."""
    for chosen, rests_on in voice.shuffled(fitting_themes(facts)):
        slots = {"things": listed([found.spoken for found in rests_on[:3]])}
        question = voice.fill(chosen.questions, {})
        sentences = [shown(voice.pick(facts.captions[:3]), voice)] if facts.captions else []
        sentences += _visible([found.kind for found in rests_on if found.kind is not None], facts, voice)
        sentences.append(voice.fill(chosen.suggests, slots))
        if voice.chance(HEDGED):
            sentences.append(voice.say("reasoning.hedge"))
        for number, point in enumerate(voice.shuffled(chosen.points)[:MOST_POINTS]):
            if number and _words(sentences) > WORDS:
                break
            link = voice.say("reasoning.connector" if number else "reasoning.first_connector")
            sentences.append(f"{link}{voice.fill((point,), {})}.")
        yield Turn(capital(question), _paragraph(sentences))


def _visible(kinds: Sequence[Kind], facts: Facts, voice: Voice) -> Iterator[str]:
    """What can be seen beyond the caption: numbers, or the place of what the answer rests on."""
    others = [kind for kind in facts.kinds if kind not in kinds]
    amounts = [amount for kind in (*kinds, *others) if (amount := kind.amount) is not None][:4]
    placed = [
        (kind.noun, place)
        for kind in kinds
        if kind.single is not None and (place := place_of(kind.single, facts.frame, voice)) is not None
    ]
    if placed and voice.chance(0.4):
        noun, place = placed[0]
        yield voice.say("reasoning.placed", the=noun.the, be=noun.be, place=place)
    elif len(amounts) > 1:
        yield voice.say("reasoning.things", things=listed(amounts))


def focus(facts: Facts, voice: Voice) -> Iterator[Turn]:
    """What the image is probably about, from how much room things are given and where."""
    ranked = sorted(facts.singles, key=lambda entry: -entry[1].area)
    if not ranked or ranked[0][1].area < max(0.05, *(kind.area for kind in facts.kinds)):
        return
    noun, thing = ranked[0]
    if facts.captions and not facts.said_of(noun.category):
        return
    place, size = place_of(thing, facts.frame, voice), _extent(thing, voice)
    if place is None and size is None:
        return
    slots = {"the": noun.the, "be": noun.be}
    sentences = [shown(voice.pick(facts.captions[:3]), voice)] if facts.captions else []
    sentences.append(voice.say("focus.subject", **slots))
    if place is not None:
        sentences.append(voice.say("focus.place", place=place, **slots))
    if size is not None:
        sentences.append(voice.say("focus.size", size=size, **slots))
    for other, other_thing in ranked[1:2]:
        if other_thing.area * 1.5 < thing.area:
            sentences.append(voice.say("focus.larger", other=other.the, other_be=other.be, **slots))
    if thing.place == "middle":
        sentences.append(voice.say("focus.because_middle"))
    if thing.area > 0.2:
        sentences.append(voice.say("focus.because_large"))
    sentences.append(voice.say("focus.doubt"))
    sentences.append(voice.say("reasoning.hedge"))
    yield Turn(capital(voice.say("focus.question")), _paragraph(sentences))


_EXTENTS = (
    (0.25, "a quarter"),
    (0.333, "a third"),
    (0.5, "half"),
    (0.667, "two thirds"),
    (0.75, "three quarters"),
)


def _extent(thing: Thing, voice: Voice) -> str | None:
    spoken = []
    for length, name in ((thing.right - thing.left, "width"), (thing.bottom - thing.top, "height")):
        for share, words in _EXTENTS:
            if abs(length - share) < 0.04:
                spoken.append(f"about {words} of the {name}")
                break
        else:
            if length > 0.9:
                spoken.append(f"nearly the whole {name}")
    return listed(spoken) if spoken else None


def distribution(facts: Facts, voice: Voice) -> Iterator[Turn]:
    """How several things of one category are spread over the image, and what that may mean."""
    for kind in voice.shuffled([kind for kind in facts.kinds if (kind.countable or 0) > 3]):
        centres = [thing.x for thing in kind.things]
        if any(abs(centre - 0.5) < 0.03 for centre in centres):
            continue
        left = sum(centre < 0.5 for centre in centres)
        side, most = ("left", left) if left * 2 >= len(centres) else ("right", len(centres) - left)
        rest = len(centres) - most
        slots = {"things": kind.noun.plural, "number": counted(len(centres), kind.noun), "side": side}
        slots |= {"part": NUMBER_WORDS[most], "rest": NUMBER_WORDS[rest]}
        if rest == 0:
            key = "all"
        elif most - rest <= 1:
            key = "even"
        elif most >= 0.7 * len(centres):
            key = "gathered"
        else:
            continue
        sentences = [shown(voice.pick(facts.captions[:3]), voice)] if facts.captions else []
        sentences.append(voice.say(f"distribution.{key}", **slots))
        sentences += [
            voice.say(f"distribution.{key}_suggests", **slots),
            voice.say("distribution.doubt", **slots),
        ]
        sentences.append(voice.say("reasoning.hedge"))
        yield Turn(capital(voice.say("distribution.question", **slots)), _paragraph(sentences))


PROGRAMS: tuple[Program, ...] = (theme, focus, distribution)


def reason(facts: Facts, voice: Voice) -> Turn | None:
    """One question with its answer; None where nothing can be concluded from the facts."""
    # A theme says most; the others are for variety, and for categories that the vocabulary does not know.
    programs = PROGRAMS if voice.chance(0.85) else PROGRAMS[::-1]
    return next((turn for program in programs for turn in program(facts, voice)), None)
