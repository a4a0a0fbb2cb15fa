"""Makes a detailed description: which programs give a sentence, in which order, and when it is enough.

A paragraph goes from the whole to the parts. Its programs share one `Story`, so that nothing is told
twice, what has been named is "the dog" from then on, and no two sentences in a row are built alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from datagen.teacher.programmatic.captions import Sentence, mentions_in, tokens_of
from datagen.teacher.programmatic.conversation import Written
from datagen.teacher.programmatic.facts import Facts, Kind
from datagen.teacher.programmatic.registry import Program, Said
from datagen.teacher.programmatic.scene import Told
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.programmatic.words import CATEGORIES, NUMBER_WORDS, Noun, load_words, noun_for

WORDS = (76, 108)
"""A description is closed once it has a number of words drawn from this range."""
FOREIGN, WHOLE, FURTHER, ZONES, LAST = "foreign_whole", "whole", "further", "zone_sides", "closing"
PRONOUNS = {
    **dict.fromkeys(("man", "boy", "guy", "gentleman"), "he"),
    **dict.fromkeys(("woman", "girl", "lady"), "she"),
}
"""Of words for people; for any other it is open."""
_STOP_WORDS = load_words("captions.toml")["stop_words"]
_PEOPLE = frozenset((*CATEGORIES["person"].same, *CATEGORIES["person"].kinds))
PLANS = (
    # the main thing and what surrounds it
    ("further", "surroundings", "arrangement", "inventory", "placements"),
    # what there is, then where it is
    ("further", "inventory", "arrangement", "placements", "extents"),
    # from one side to the other
    ("sweep", "further", "arrangement", "inventory", "extents"),
    # what takes up most room first
    ("extents", "further", "placements", "inventory", "arrangement"),
    # what people wrote first, all of it
    ("further", "further", "placements", "arrangement", "inventory"),
    # the many, then the single
    ("arrangement", "placements", "further", "inventory", "in_between"),
)
"""How a paragraph goes on after its opening: one of these, as far as its programs have something to say."""


class Tiding(NamedTuple):
    """What captions add about something that has been named: "the man", "is", "wearing a hat"."""

    who: str
    verb: str
    words: str
    told: Told
    introduces: bool
    """Whether it is the first to name something: "a parked car" has to come before "the car"."""

    @property
    def content(self) -> frozenset[str]:
        return frozenset(tokens_of(self.words)) - _STOP_WORDS

    @property
    def pronoun(self) -> str:
        """ "he", "it"; for a person whose gender is open, the noun again."""
        if self.verb in ("are", "have"):
            return "they"
        word = self.who.rpartition(" ")[2]
        return PRONOUNS.get(word, self.who if word in _PEOPLE else "it")


@dataclass(slots=True)
class Story:
    """What a paragraph has told so far."""

    known: set[str] = field(default_factory=set)
    """ "presence dog", "count dog", "place 3" (of a box), "relation 3": as the `tells` of its sentences."""
    words: set[str] = field(default_factory=set)
    """How the content words of the captions begin that it has drawn on."""
    numbers: list[frozenset[str]] = field(default_factory=list)
    """The numbers in each of them."""
    names: Mapping[str, Noun] = field(default_factory=dict)
    """What the captions call the only thing of a category, where that is another word: "man" for a person."""
    it: str = ""
    """What a pronoun would now mean: "box 3", "all dog"; empty for nothing."""
    subject: str = ""
    """The same once the sentence that is being made has been said."""
    shape: str = ""
    """How the last sentence was built."""
    length: int = 0
    """In words."""
    tidings: list[Tiding] = field(default_factory=list)
    """What other captions add to the one that it opened with, and has not been told."""

    at_first: frozenset[str] = frozenset()
    """What was known after the opening."""

    def open(self, facts: Facts, sentence: Sentence) -> None:
        """Takes in the caption that a paragraph opens with."""
        self.names = names_in(facts, sentence)
        self.words.update(map(beginning, sentence.words))
        self.numbers.append(sentence.numbers)
        self.at_first = told_in(sentence.text, facts)

    def take(self, tiding: Tiding) -> None:
        """Takes out what is being told."""
        self.tidings.remove(tiding)
        self.words.update(map(beginning, tiding.content))

    def add(self, said: Said) -> None:
        self.known |= said.tells
        self.length += said.answer.count(" ") + 1
        self.it, self.subject = self.subject, ""


class Teller(Voice):
    """The voice of a program in a paragraph, with what that has told, which all of them share."""

    def __init__(self, voice: Voice, program: str = "description", story: Story | None = None) -> None:
        super().__init__(voice._phrasings, voice._origin, program, voice._asked)
        self.unsaid, self._used, self._said, self._told = voice.unsaid, voice._used, voice._said, voice._told
        self.story = Story() if story is None else story

    def of(self, program: str) -> Teller:
        """The voice of another program in the same paragraph."""
        return Teller(self, program, self.story)

    def shape(self, *shapes: str) -> str:
        """One of these ways to build a sentence, another than that of the last."""
        story = self.story
        others = [shape for shape in shapes if shape != story.shape]
        story.shape = self.pick(others or shapes)
        return story.shape

    def spoken(self, noun: Noun) -> Noun:
        """What the captions call it, where that is clear: the only person is "the man"."""
        return self.story.names.get(noun.category, noun)


def describe(facts: Facts, voice: Voice, weights: Mapping[Program, float]) -> list[Written]:
    """The sentences of one paragraph in order, the first with the question; empty where none can be made.

    A program's weight decides how early it is asked once the plan is through; with 0 it is left out.
    """
    programs = {program.name: program for program, weight in weights.items() if weight}
    teller = Teller(voice)
    story = teller.story
    budget = WORDS[0] + teller.index(WORDS[1] - WORDS[0])
    sources: dict[str, Iterator[Said]] = {}
    written: list[Written] = []

    def take(name: str) -> bool:
        if name not in programs:
            return False
        source = sources.get(name)
        if source is None:
            source = sources[name] = programs[name].write(facts, teller.of(name))
        teller.drop_said()
        said = next(source, None)
        if said is None:
            return False
        if not written:
            said = replace(said, question=teller.say("detail.question"))
        written.append((programs[name], said, teller.take_said()))
        return True

    if not take(FOREIGN):
        take(WHOLE)
    if FURTHER not in programs:
        story.tidings.clear()
    while story.tidings and story.tidings[0].introduces and story.length < budget:
        take(FURTHER)
    take(ZONES)
    for name in teller.pick(PLANS):
        if story.length < budget:
            take(name)
    rest = [program.name for program in teller.weighted(weights) if program.name not in (WHOLE, LAST)]
    while rest and story.length < budget:
        # One sentence of each in turn; what has run dry is not asked again.
        rest = [name for name in rest if story.length < budget and take(name)]
    while story.length < budget and take(LAST):
        pass
    return written


# What the only thing of a category is called


def names_in(facts: Facts, opening: Sentence) -> dict[str, Noun]:
    """What a paragraph calls things: "man" for the only person, "plane" for the only airplane.

    Facts stay about the category; the word is one that the captions use, the opening's first of all.
    """
    names = {}
    for kind in facts.kinds:
        if kind.category == "person":
            name = _people_called(facts, kind.countable or 0, opening)
        else:
            name = _called(kind, facts, opening) if kind.count == 1 else None
        if name is not None:
            names[kind.category] = name
    return names


def _called(kind: Kind, facts: Facts, opening: Sentence) -> Noun | None:
    category = CATEGORIES.get(kind.category)
    if category is None or kind.noun.form != "count" or kind.category not in opening.categories:
        return None
    naming = [caption for caption in facts.captions if kind.category in caption.categories]
    for word in (*category.same, *category.kinds):
        if word not in opening.words or sum(word in caption.words for caption in naming) * 2 < len(naming):
            continue
        others = (CATEGORIES[other.category] for other in facts.kinds if other.category in CATEGORIES)
        if sum(word in (*other.same, *other.kinds, *other.broader) for other in others) == 1:
            return _as_name(word, kind.noun)
    return None


# Words for people that captions may use for one and the same, and their plurals.
_AGES = {
    "man": ("man", "guy", "gentleman"),
    "woman": ("woman", "lady"),
    "boy": ("boy",),
    "girl": ("girl",),
    "child": ("child", "kid", "toddler"),
    "baby": ("baby", "infant"),
}
_MAY_BE = {"boy": {"child"}, "girl": {"child"}, "baby": {"child"}}
_PLURALS = {
    "men": "man",
    "women": "woman",
    "boys": "boy",
    "girls": "girl",
    "children": "child",
    "kids": "kid",
}
_ROLES = ("surfer", "skier", "snowboarder", "skateboarder", "batter", "cyclist", "motorcyclist", "player")


def _people_called(facts: Facts, number: int, opening: Sentence) -> Noun | None:
    """What the captions agree to call the only person, or all of two or more: "man", "girl", "surfer"."""
    person = CATEGORIES["person"].noun
    naming = [caption for caption in facts.captions if "person" in caption.categories]
    ages = [age for age, words in _AGES.items() for each in naming if not each.words.isdisjoint(words)]
    if number > 1:
        plurals = {plural for plural in _PLURALS for each in naming if plural in each.words}
        spoken = sum(not plurals.isdisjoint(each.words) for each in naming)
        if len(plurals) != 1 or ages or spoken * 2 < len(naming):
            return None
        (plural,) = plurals
        is_counted = any(NUMBER_WORDS[number] in each.numbers for each in naming if plural in each.words)
        return _as_name(_PLURALS[plural], person) if is_counted else None
    if number != 1:
        return None
    for age in dict.fromkeys(ages):
        # What the opening calls somebody, the paragraph goes on calling him.
        said = [word for word in _AGES[age] if word in opening.words]
        if said and not any(
            not opening.words.isdisjoint(words) for other, words in _AGES.items() if other != age
        ):
            return _as_name(said[0], person)
    if ages:
        age = max(_AGES, key=ages.count)
        agree = all(other == age or other in _MAY_BE.get(age, ()) for other in ages)
        return _as_name(age, person) if agree and ages.count(age) * 2 >= len(naming) else None
    for role in _ROLES:
        if sum(role in caption.words for caption in naming) * 2 >= max(len(naming), 2):
            return _as_name(role, person)
    return None


def _as_name(word: str, noun: Noun) -> Noun | None:
    """Another word for the same category."""
    name = noun_for(word)
    return None if name is None else replace(name, category=noun.category, group=noun.group)


# What a caption gives away


@lru_cache(maxsize=8192)
def beginning(word: str) -> str:
    """What "waves" and "wave", "riding" and "rides" share, and some words that are not alike."""
    return word[:4].removesuffix("e").removesuffix("i")


def told_in(sentence: str, facts: Facts) -> frozenset[str]:
    """What is known of categories once a sentence of captions has been said."""
    domain = frozenset(kind.noun for kind in facts.kinds if kind.category not in CATEGORIES)
    mentions, _ = mentions_in(tokens_of(sentence), domain)
    tells = {f"presence {category}" for category in mentions}
    for kind in facts.kinds:
        mention = mentions.get(kind.category)
        if mention is not None and kind.count is not None and mention.at_least == kind.count:
            tells.add(f"count {kind.category}")
    return frozenset(tells)
