"""What the checks know about words: a pack's vocabulary.txt, attributes.txt, blind_spots.txt and hedges.txt.

docs/trust.md shows the four files to their authors. Words are looked up in lower case; plurals
are made by `inflect`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from datagen.checks.english import ATTRIBUTE, CLOSED, DEFINITE, NUMBER, OTHER, QUANTIFIER, plain
from datagen.checks.phrases import needles
from datagen.inflection import engine
from datagen.records import InputError

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_NEEDS_CAPTION = "(needs a caption)"
_SECTIONS = ("names", "groups", "parts", "implied", "scenery", "natural", "roles", "zones", "not objects")


@dataclass(eq=False)
class Noun:
    """What one word or phrase can stand for."""

    words: str
    names: set[str] = field(default_factory=set)
    """Things it names in full: `bike` names a bicycle."""
    kind_of: set[str] = field(default_factory=set)
    """Things of which it names a kind: `husky` is a kind of dog."""
    members: set[str] = field(default_factory=set)
    """Things any of which it may mean: `animal` a dog."""
    wholes: set[str] = field(default_factory=set)
    """Things of which it is a part: `wheel` of a car."""
    is_scenery: bool = False
    """Names only what belongs to the setting, which annotators often leave unsaid: `ground`."""
    is_role: bool = False
    """A person who need not be in the image: `photographer`."""
    is_zone: bool = False
    """An area marked on a surface, inside or outside of which things lie: `reach zone`."""

    @cached_property
    def things(self) -> set[str]:
        """What it names, in full or as a kind. Not to be asked for before all is read."""
        return self.names | self.kind_of

    @cached_property
    def in_order(self) -> tuple[str, ...]:
        """The things, or the members of a group, in the same order in every process."""
        return tuple(sorted(self.things or self.members))

    @cached_property
    def related(self) -> tuple[str, ...]:
        """Members and wholes, in the same order in every process."""
        return (*sorted(self.members), *sorted(self.wholes))


@dataclass(frozen=True, slots=True)
class AttributeWord:
    """One word of attributes.txt."""

    group: str
    """`colour`, `material`, …"""
    values: frozenset[str]
    """What it can mean, each named by the first of its words: `gray` for `silver`. A word that can
    mean two (`teal`) agrees with both."""
    needs_caption: bool
    """Whether it may only be said where a caption does, not merely where none says otherwise."""


class Hedge(NamedTuple):
    """A phrase with which reports suppose or deny what stands beside it."""

    words: tuple[str, ...]
    is_before: bool
    """Whether it speaks of what follows it (`possible ...`); else of what goes before."""
    is_denial: bool


class BlindSpots:
    """Topics that nobody can know from captions and boxes unless a caption speaks of them."""

    def __init__(self) -> None:
        self._says: dict[str, re.Pattern[str]] = {}
        self._asks: list[tuple[str, re.Pattern[str]]] = []
        # A phrase is searched for only where its longest word stands, an expression only where the text
        # has one of the substrings that any match of it must contain.
        self._by_word: dict[str, list[int]] = {}
        self._by_needle: dict[str, list[int]] = {}
        self._groups: dict[int, tuple[tuple[str, ...], ...]] = {}
        self._always: list[int] = []

    def add(self, topic: str, asks: Sequence[str], says: Sequence[str], place: str) -> None:
        """A topic, the phrases that ask about it and those that show a caption speaks of it."""
        self._says[topic] = re.compile("|".join(_pattern(p, place) for p in says) or r"(?!)", re.IGNORECASE)
        for phrase in asks:
            number = len(self._asks)
            pattern = re.compile(_pattern(phrase, place), re.IGNORECASE)
            self._asks.append((topic, pattern))
            longest = max(phrase.split(), key=len)
            if not phrase.startswith("re:") and _WORD.fullmatch(longest):
                self._by_word.setdefault(longest, []).append(number)
                continue
            self._groups[number] = groups = needles(pattern)
            for needle in groups[0] if groups else ():
                self._by_needle.setdefault(needle, []).append(number)
            if not groups:
                self._always.append(number)

    def asked(self, question: str) -> list[tuple[str, tuple[int, int]]]:
        """The topics a question asks about, each with the place of the words that do."""
        folded = question.casefold()
        numbers = set(self._always)
        for word in _WORD.findall(folded):
            numbers.update(self._by_word.get(word, ()))
        for needle in [needle for needle in self._by_needle if needle in folded]:
            for number in self._by_needle[needle]:
                others = self._groups[number][1:]
                if all(any(other in folded for other in group) for group in others):
                    numbers.add(number)
        found: dict[str, tuple[int, int]] = {}
        for number in sorted(numbers):
            topic, pattern = self._asks[number]
            if topic not in found and (match := pattern.search(question)):
                found[topic] = match.span()
        return list(found.items())

    def speaks_of(self, topic: str, caption: str) -> bool:
        """Whether a caption speaks of a topic."""
        return self._says[topic].search(caption) is not None


_Match = tuple[int, Noun | None, bool]
_Phrases = tuple[_Match | None, dict[str, list[tuple[list[str], _Match]]]]
_NOTHING: _Phrases = (None, {})


class Vocabulary:
    """The words of a pack, and the categories of the annotations beside them.

    Raises InputError, naming file and line, for what cannot be read.
    """

    def __init__(self, files: Mapping[str, str], categories: Iterable[str] = ()) -> None:
        self.categories: frozenset[str] = frozenset()
        """The things that the categories of the annotations name, which boxes decide."""
        self._category_of: dict[str, str] = {}
        """By such a thing: its category, as a phrase."""
        self.implied: dict[str, frozenset[str]] = {}
        """By one or two words of a caption: the words of what they imply."""
        self.attributes: dict[str, list[AttributeWord]] = {}
        self.blind_spots = BlindSpots()
        self.hedges: dict[str, list[Hedge]] = {}
        """By its first word: how reports hedge and deny. Where there are none, captions are no reports."""
        self.natural: dict[str, set[str]] = {}
        """By a thing: attributes that it may have without a caption saying so, such as green grass."""
        self.modified_heads: set[str] = set()
        """Words before which a name is no object: `stop` in `bus stop`."""
        self._nouns: dict[str, Noun] = {}
        self.opens_phrase: dict[str, _Phrases] = {}
        """By the first word of a phrase: the word alone, and the phrases that go on."""
        self._singulars: dict[str, Noun] = {}
        not_objects = self._read_words(files.get("vocabulary.txt", ""))
        for category in sorted({phrase_of(category) for category in categories} - {""}):
            noun = self._category_noun(category)
            for thing in noun.names:
                self._category_of.setdefault(thing, category)
        self.categories = frozenset(self._category_of)
        self._index(not_objects)
        self._read_attributes(files.get("attributes.txt", ""))
        self.opens_implied = frozenset(key.split()[0] for key in self.implied if " " in key)
        """First words of the keys of `implied` that are two words."""
        self.codes = dict.fromkeys(self.attributes, ATTRIBUTE) | CLOSED
        """What each word does in a sentence, but for those that no list has."""
        self._read_blind_spots(files.get("blind_spots.txt", ""))
        self._read_hedges(files.get("hedges.txt", ""))

    def find(self, words: list[str], at: int) -> tuple[int, Noun | None, bool] | None:
        """The longest phrase that begins at a place: how many words, what it can mean, whether plural.

        A phrase that only looks like an object has no noun.
        """
        alone, longer = self.opens_phrase.get(words[at], _NOTHING)
        if longer and at + 1 < len(words):
            for rest, found in longer.get(words[at + 1], ()):
                if words[at + 1 : at + found[0]] == rest:
                    return found
        return alone

    @property
    def category_names(self) -> list[str]:
        """The categories as phrases, in alphabetical order."""
        return sorted(set(self._category_of.values()))

    def of_category(self, category: str) -> tuple[set[str], set[str]]:
        """What a box of a category is in full, and what it is a kind of that no category names."""
        noun = self._nouns.get(phrase_of(category)) or self._nouns.get(_singular(phrase_of(category)))
        if noun is None:
            return {phrase_of(category)}, set()
        return set(noun.names) or {phrase_of(category)}, noun.kind_of - self.categories - noun.names

    def _category_noun(self, category: str) -> Noun:
        """The noun of a category; of its singular, for one that is written in the plural."""
        singular = _singular(category)
        noun = self._noun(singular if category not in self._nouns and singular in self._nouns else category)
        noun.names.add(noun.words)
        if noun.words != singular:
            self._singulars[singular] = noun
        return noun

    def names_in(self, text: str) -> list[str]:
        """The categories of the annotations that a text names, in its order, with repetition.

        Not people in general: `people often` names no person.
        """
        words = [word.removesuffix("'s") for word in _WORD.findall(plain(text).lower())]
        found = []
        at = 0
        while at < len(words):
            match = self.find(words, at)
            if match is None:
                at += 1
                continue
            size, noun, is_plural = match
            before = self.codes.get(words[at - 1], 0) if at else 0
            is_general = is_plural and before not in (DEFINITE, NUMBER, QUANTIFIER, OTHER)
            if noun is not None and not (is_general and "person" in noun.things) and not noun.is_role:
                found += sorted({self._category_of[thing] for thing in noun.things & self.categories})
            at += size
        return found

    @property
    def things(self) -> set[str]:
        """Everything that some word names in full."""
        return {thing for noun in self._nouns.values() for thing in noun.names}

    def noun(self, words: str) -> Noun | None:
        """What a singular phrase can stand for."""
        return self._nouns.get(words)

    def _noun(self, words: str) -> Noun:
        return self._nouns.setdefault(words, Noun(words))

    def _read_words(self, text: str) -> list[str]:
        """Fill the nouns; returns the phrases that are no objects."""
        not_objects = []
        members_of: list[tuple[list[str], list[str]]] = []
        section = ""
        for place, line in _lines(text, "vocabulary.txt"):
            if line.startswith("["):
                section = line.removeprefix("[").removesuffix("]").strip().lower()
                if section not in _SECTIONS or not line.endswith("]"):
                    known = ", ".join(f"[{name}]" for name in _SECTIONS)
                    raise InputError(f"{place}: {line}: no such section: there are {known}")
            elif section == "not objects":
                if line.startswith("* "):
                    self.modified_heads.add(line[2:].strip().lower())
                else:
                    not_objects.append(line.lower())
            elif section in ("scenery", "roles", "zones"):
                for words in _list(line):
                    noun = self._noun(words)
                    noun.is_scenery |= section == "scenery"
                    noun.is_role |= section == "roles"
                    noun.is_zone |= section == "zones"
            elif section:
                key, values = _key_and_values(line, place, may_be_empty=section == "names")
                keys = _list(key)
                if section == "names":
                    same, _, kinds = values.partition("|")
                    for words in [key, *_list(same)]:
                        self._noun(words).names.add(key)
                    for words in _list(kinds):
                        self._noun(words).kind_of.add(key)
                elif section == "groups":
                    members_of.append((keys, _list(values)))
                elif section == "natural":
                    for words in keys:
                        self.natural.setdefault(words, set()).update(_list(values))
                elif section == "parts":
                    for whole in keys:
                        for words in _list(values):
                            self._noun(words).wholes.add(whole)
                else:
                    for word in keys:
                        self.implied[word] = self.implied.get(word, frozenset()) | set(_list(values))
            else:
                raise InputError(f"{place}: {line!r}: stands before the first [section]")
        self._resolve(members_of)
        scenery = {words for words, noun in self._nouns.items() if noun.is_scenery}
        for noun in self._nouns.values():
            things = noun.names | noun.kind_of
            noun.is_scenery |= bool(things) and things <= scenery
        return not_objects

    def _resolve(self, members_of: list[tuple[list[str], list[str]]]) -> None:
        """Members of groups are things; one that is a group itself brings its own."""
        by_group = {group: members for groups, members in members_of for group in groups}

        def things(words: str, seen: frozenset[str]) -> set[str]:
            noun = self._nouns.get(words)
            found = noun.names | noun.kind_of if noun else set()
            if words in by_group and words not in seen:
                found |= {t for member in by_group[words] for t in things(member, seen | {words})}
            return found or {words}

        for group, members in by_group.items():
            self._noun(group).members |= {
                thing for member in members for thing in things(member, frozenset({group}))
            }

    def _index(self, not_objects: Sequence[str]) -> None:
        phrases: dict[tuple[str, ...], tuple[Noun | None, bool]] = {}
        for noun in self._nouns.values():
            *head, last = noun.words.split()
            is_listed_in_plural = last in _PLURALS or (
                last.endswith("s") and not last.endswith(_SINGULAR_ENDINGS) and last not in _SINGULARS
            )
            plural = last if is_listed_in_plural else str(engine().plural_noun(last) or last)
            # "sheep" may be one or many
            for form, is_plural in ((plural, True), (last, is_listed_in_plural or plural == last)):
                phrase = (*head, form)
                # A word that is listed itself is not made a plural of another.
                if is_plural and " ".join(phrase) in self._nouns and form != last:
                    continue
                for spelling in _spellings(phrase):
                    phrases[spelling] = (noun, is_plural)
        for singular, noun in self._singulars.items():
            for spelling in _spellings(tuple(singular.split())):
                phrases.setdefault(spelling, (noun, False))
        for text in not_objects:
            for spelling in _spellings(tuple(text.split())):
                phrases[spelling] = (None, False)
        for phrase, (found, is_plural) in phrases.items():
            match = (len(phrase), found, is_plural)
            alone, longer = self.opens_phrase.get(phrase[0], (None, {}))
            if len(phrase) == 1:
                alone = match
            else:
                longer.setdefault(phrase[1], []).append((list(phrase[1:]), match))
            self.opens_phrase[phrase[0]] = (alone, longer)
        for _, longer in self.opens_phrase.values():
            for candidates in longer.values():
                candidates.sort(key=lambda candidate: -len(candidate[0]))

    def _read_attributes(self, text: str) -> None:
        for place, line in _lines(text, "attributes.txt"):
            group, values = _key_and_values(line, place)
            needs_caption = group.endswith(_NEEDS_CAPTION)
            group = group.removesuffix(_NEEDS_CAPTION).strip()
            meanings: dict[str, set[str]] = {}
            for value in _list(values):
                words = [word.strip() for word in value.split("/") if word.strip()]
                for word in words:
                    for spelling in (word, word.replace(" ", "-")):
                        meanings.setdefault(spelling, set()).add(words[0])
            if not meanings:
                raise InputError(f"{place}: {line!r}: must be a group, a colon and words between commas")
            for word, means in meanings.items():
                attribute = AttributeWord(group, frozenset(means), needs_caption)
                self.attributes.setdefault(word, []).append(attribute)

    def _read_blind_spots(self, text: str) -> None:
        topics: dict[str, dict[str, list[str]]] = {}
        places: dict[str, str] = {}
        for place, line in _lines(text, "blind_spots.txt"):
            key, values = _key_and_values(line, place)
            topic, _, role = key.rpartition(" ")
            if role not in ("asks", "says") or not topic:
                raise InputError(
                    f"{place}: {key!r}: must be a topic and `asks` or `says`, such as `weather asks: …`"
                )
            phrases = _list(values, bar=False)
            for phrase in phrases:
                _pattern(phrase, place)
            topics.setdefault(topic, {}).setdefault(role, []).extend(phrases)
            places.setdefault(topic, place)
        for topic, roles in topics.items():
            if "asks" not in roles:
                raise InputError(f"{places[topic]}: {topic} has no line `{topic} asks: …`")
            self.blind_spots.add(topic, roles["asks"], roles.get("says", ()), places[topic])

    def _read_hedges(self, text: str) -> None:
        section = ""
        for place, line in _lines(text, "hedges.txt"):
            if line.startswith("["):
                section = line
                if section not in ("[supposed]", "[denied]"):
                    raise InputError(f"{place}: {line}: no such section: there are [supposed] and [denied]")
                continue
            before, dots, after = line.partition(_DOTS)
            words = tuple(plain(before.strip() or after.strip()).lower().split())
            if not section or _DOTS in after or bool(before.strip()) == bool(after.strip()) or not dots:
                raise InputError(
                    f"{place}: {line!r}: must be words and three dots where the thing stands, such as "
                    "`possible ...`, below [supposed] or [denied]"
                )
            hedge = Hedge(words, bool(before.strip()), section == "[denied]")
            self.hedges.setdefault(words[0], []).append(hedge)


_DOTS = "..."


def phrase_of(category: str) -> str:
    """A category as words: strangers write `stop_sign`, `Stop-Sign` and `stop sign`.

    Without the marks of vocabulary.txt, in which it may stand: `screw: M3` is `screw m3`.
    """
    return " ".join(plain(re.sub(r"[_\-/:|,\[\]#]+", " ", category)).lower().split())


def _singular(phrase: str) -> str:
    *head, last = phrase.split() or [""]
    is_plural = last in _PLURALS or (last.endswith("s") and not last.endswith(_SINGULAR_ENDINGS))
    if not is_plural or last in _SINGULARS:
        return phrase
    return " ".join([*head, str(engine().singular_noun(last) or last)])


# Plurals and singulars that do not look it.
_PLURALS = frozenset({"people", "cattle", "police", "skis"})
_SINGULARS = frozenset({"lens", "series"})
_SINGULAR_ENDINGS = ("ss", "us", "as", "is")


def _lines(text: str, file: str) -> Iterator[tuple[str, str]]:
    """The lines that say something, each with its place."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield f"{file}, line {number}", stripped


def _key_and_values(line: str, place: str, *, may_be_empty: bool = False) -> tuple[str, str]:
    key, colon, values = line.partition(":")
    if not colon or not key.strip() or not (values.strip(" |,") or may_be_empty):
        raise InputError(f"{place}: {line!r}: must be words, a colon and words between commas")
    return key.strip().lower(), values.strip()


def _list(text: str, *, bar: bool = True) -> list[str]:
    """What stands between commas (and, in a vocabulary, bars)."""
    if bar:
        text = text.replace("|", ",")
    phrases = [words for part in text.split(",") if (words := " ".join(part.split()))]
    return [words if words.startswith("re:") else plain(words).lower() for words in phrases]


def _pattern(phrase: str, place: str) -> str:
    if not phrase.startswith("re:"):
        return rf"\b{re.escape(phrase)}\b"
    expression = phrase.removeprefix("re:")
    try:
        re.compile(expression)
    except re.error as error:
        raise InputError(f"{place}: {expression!r} is not a regular expression: {error}") from None
    return f"(?:{expression})"


def _spellings(phrase: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The phrase with spaces, and with a hyphen in the place of each space."""
    yield phrase
    for at in range(len(phrase) - 1):
        yield (*phrase[:at], f"{phrase[at]}-{phrase[at + 1]}", *phrase[at + 2 :])
