"""What is true of things whatever the image: their uses, places, risks and companions, from knowledge.toml.

Every wording is compiled and every name looked up when the file is read, so that a mistake in a
pack's knowledge is one line before anything is written.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from datagen.records import InputError
from datagen.teacher.programmatic.captions import mentions_in, tokens_of
from datagen.teacher.programmatic.voice import Phrasing, compiled, slots_of
from datagen.teacher.programmatic.words import CATEGORIES, noun_for

FILE = "knowledge.toml"
MOST_LISTED = 60
"""How many known names an error lists."""


class Entry(NamedTuple):
    """One thing that is known."""

    path: str
    """Where it stands in the file: "things.knife.risks.2"."""
    wording: Phrasing
    stems: frozenset[str]
    """Of its words without the name of its thing, to find what it has to do with; see `stems_of`."""
    names: frozenset[str]
    """The categories that it names."""
    only: frozenset[str] = frozenset()
    """Words of captions, or categories in the image, of which one has to be there, if there are any here."""
    without: frozenset[str] = frozenset()
    """The same that must not be there."""


Entries = tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A kind of place."""

    key: str
    say: str
    """ "a kitchen"."""
    words: tuple[tuple[str, ...], ...]
    """Words and phrases of captions that speak of it, as `_bare` tokens."""
    indoors: bool | None
    purposes: Entries
    """Each fits "a place for ___"."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of the things of one category."""

    path: str
    """ "things.knife"."""
    places: tuple[str, ...] = ()
    """Keys of places; the most typical first."""
    uses: Entries = ()
    """Each fits "<things> are used for ___"."""
    risks: Entries = ()
    """Clauses in lower case, true of such things in general."""
    care: Entries = ()
    """Each fits "it makes sense to ___"."""
    remedies: tuple[tuple[Entry, Entry], ...] = ()
    """Each risk with a care that helps against it."""
    needs: Entries = ()
    """Each fits "<things> need ___"."""
    reasons: Entries = ()
    """Each fits "somebody may ___"."""
    goes_with: tuple[str, ...] = ()
    """Other categories."""
    traits: tuple[str, ...] = ()
    serves: int | None = None
    """How many people it serves at once."""
    parts: tuple[tuple[str, int], ...] = ()
    """What it is made of, in the plural, and how many: ("wheels", 2)."""

    def fits(self, trait: str | None, categories: frozenset[str]) -> bool:
        """Whether it can be one side of a pair, which names either a trait or categories."""
        if trait is not None:
            return trait in self.traits
        return self.path.removeprefix("things.") in categories


@dataclass(frozen=True, slots=True)
class Pair:
    """What follows from two things that are in one image."""

    path: str
    first: str | None
    """A trait, where it is not a matter of categories."""
    first_is: frozenset[str]
    second: str | None
    second_is: frozenset[str]
    near: bool
    """Whether the two have to be near each other."""
    without: frozenset[str]
    """Categories with which it says nothing."""
    questions: Entries
    inferences: tuple[tuple[Entry, Entry], ...]
    """What is true of such things, each with what follows from it."""


@dataclass(frozen=True, slots=True)
class Theme:
    """General points about a subject, by the categories and words that speak for it."""

    path: str
    any: frozenset[str]
    all: frozenset[str]
    without: frozenset[str]
    words: frozenset[str]
    questions: tuple[tuple[Entry, Entries], ...]
    """Each with the points that answer it."""
    suggests: Entries
    points: Entries


@dataclass(frozen=True, slots=True)
class Zone:
    """An area that is marked on a surface, and what follows from being inside or outside of it."""

    path: str
    zone: str
    """Its category in the annotations."""
    leave_out: frozenset[str]
    """Categories that are not spoken of as lying in it, such as the arm that reaches into it."""
    without: frozenset[str]
    """Categories with which nothing is said of what follows."""
    questions: Entries
    inside: Entries
    """Clauses about what lies in it, in the slot <inside>."""
    outside: Entries
    """The same with <outside>."""
    limits: Entries
    """Clauses: what lying inside or outside does not tell."""


@dataclass(frozen=True)
class Knowledge:
    """All that a pack knows; nothing if it brings no knowledge.toml."""

    places: Mapping[str, Place] = field(default_factory=lambda: MappingProxyType({}))
    traits: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    """What follows from each trait; fits "<things> ___"."""
    things: Mapping[str, About] = field(default_factory=lambda: MappingProxyType({}))
    """By category."""
    pairs: tuple[Pair, ...] = ()
    themes: tuple[Theme, ...] = ()
    zones: tuple[Zone, ...] = ()

    def places_in(self, tokens: Sequence[str]) -> set[str]:
        """The places that a caption of these tokens names; of phrases that overlap, the longest counts."""
        found = set()
        bare = [_bare(token) for token in tokens]
        covered_until = 0
        for position, token in enumerate(bare):
            for words, key in self._places_by_word.get(token, ()):
                end = position + len(words)
                if position >= covered_until and tuple(bare[position:end]) == words:
                    found.add(key)
                    covered_until = end
                    break
        return found

    @cached_property
    def pairs_of(self) -> Mapping[str, tuple[frozenset[int], frozenset[int]]]:
        """Of each category the pairs that it can be the first and the second of, by their places."""
        return {
            category: (
                frozenset(n for n, pair in enumerate(self.pairs) if about.fits(pair.first, pair.first_is)),
                frozenset(n for n, pair in enumerate(self.pairs) if about.fits(pair.second, pair.second_is)),
            )
            for category, about in self.things.items()
        }

    @cached_property
    def _places_by_word(self) -> dict[str, list[tuple[tuple[str, ...], str]]]:
        index: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for place in self.places.values():
            for words in place.words:
                index.setdefault(words[0], []).append((words, place.key))
        for entries in index.values():
            entries.sort(key=lambda entry: -len(entry[0]))
        return index


_STEM = 5
_ENDING = re.compile(r"(ing|ers?|ed|es|(?<!s)s|e)$")
_SAY_LITTLE = frozenset(
    (
        "about above after again along also another anyone anything around away because been before being "
        "better both change come down each every everybody everyone from full give given goes good have "
        "having here into just keep keeping kept large leave less like long made make makes making many "
        "more most much must near need next often only other others over people person place places rather "
        "reach right show shows side small some somebody someone something such tall take taking than that "
        "their them then there these they thing things this those through time times together under until "
        "used using very well were what when where which while whole will with within without world would "
        "your "
    ).split()
)


def stems_of(words: Iterable[str]) -> frozenset[str]:
    """The beginnings of the words that say much: "surf" of "surfing" as of "surfers"."""
    return frozenset(
        _ENDING.sub("", word)[:_STEM] for word in words if len(word) > 3 and word not in _SAY_LITTLE
    )


def _bare(token: str) -> str:
    """A word without its plural s, so that "streets" speaks of a street."""
    return token[:-1] if len(token) > 3 and token.endswith("s") and not token.endswith("ss") else token


def read_knowledge(files: Mapping[str, str]) -> Knowledge:
    """The knowledge among a pack's files. Raises InputError naming the entry and what is wrong with it."""
    return _read(files[FILE]) if FILE in files else Knowledge()


@lru_cache(maxsize=8)
def _read(text: str) -> Knowledge:
    try:
        file = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{FILE}: not valid TOML: {error}") from None
    tables = _Table("", file, ("places", "traits", "things", "pair", "theme", "zone"))
    places = {
        key: _place(key, _Table(f"places.{key}", value, _PLACE)) for key, value in tables.tables("places")
    }
    traits = {key: _entry(f"traits.{key}", value) for key, value in tables.tables("traits")}
    things = dict(tables.tables("things"))
    names = _Names(places, traits, CATEGORIES.keys() | things.keys())
    return Knowledge(
        MappingProxyType(places),
        MappingProxyType(traits),
        MappingProxyType(
            {key: _about(_Table(f"things.{key}", value, _ABOUT, key), names) for key, value in things.items()}
        ),
        tuple(_pair(_Table(f"pair.{number}", value, _PAIR), names) for number, value in tables.rows("pair")),
        tuple(
            _theme(_Table(f"theme.{number}", value, _THEME), names) for number, value in tables.rows("theme")
        ),
        tuple(_zone(_Table(f"zone.{number}", value, _ZONE), names) for number, value in tables.rows("zone")),
    )


_PLACE = ("say", "words", "indoors", "for")
_LISTS = ("uses", "risks", "care", "needs", "reasons")
_ABOUT = ("places", *_LISTS, "against", "goes_with", "traits", "serves", "parts")
_PAIR = ("name", "first", "first_is", "second", "second_is", "near", "without", "questions", "because", "so")
_THEME = ("name", "any", "all", "without", "words", "questions", "answers", "suggests", "points")
_CONDITIONAL = ("say", "only", "without")
_ZONE = ("name", "zone", "leave_out", "without", "questions", "inside", "outside", "limits")


class _Names(NamedTuple):
    """What the entries of a file may name."""

    places: Collection[str]
    traits: Collection[str]
    categories: Collection[str]


def _wrong(where: str, problem: str) -> InputError:
    return InputError(f"{FILE}: {where}: {problem}")


def _entry(
    where: str, text: Any, slots: frozenset[str] = frozenset(), own: frozenset[str] = frozenset()
) -> Entry:
    if not isinstance(text, str) or not text.strip():
        raise _wrong(where, f"must be text, got {text!r}")
    try:
        wording = compiled(text)
    except ValueError as error:
        raise _wrong(where, str(error)) from None
    if unknown := sorted(slots_of(wording) - slots):
        there = ", ".join(f"<{name}>" for name in sorted(slots)) or "no slots"
        raise _wrong(where, f"no slot <{unknown[0]}> here; there are {there}")
    tokens = tokens_of(_plain(wording))
    mentions, _ = mentions_in(tokens, frozenset())
    return Entry(where, wording, stems_of(tokens) - own, frozenset(mentions))


def _plain(wording: Phrasing) -> str:
    """The words of every choice, one after another."""
    return " ".join(piece if isinstance(piece, str) else "" for piece in wording)


class _Table:
    """One table of the file, which knows where it stands; refuses keys that nothing reads."""

    def __init__(self, where: str, value: Any, known: Collection[str], name: str = "") -> None:
        if not isinstance(value, dict):
            raise _wrong(where, f"must be a table, got {value!r}")
        self.where = where
        noun = noun_for(name)
        self._own = stems_of(tokens_of(f"{noun.singular} {noun.plural}")) if noun else frozenset[str]()
        self._value = value
        for key in value:
            if key not in known:
                raise _wrong(self.at(key), f"no such key; there are {', '.join(known)}")

    def at(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def tables(self, key: str) -> list[tuple[str, Any]]:
        """The entries of a table of tables, by name."""
        value = self._value.get(key, {})
        if not isinstance(value, dict):
            raise _wrong(self.at(key), f"must be a table, got {value!r}")
        return list(value.items())

    def rows(self, key: str) -> list[tuple[int, Any]]:
        """The entries of a list, numbered from 1."""
        return list(enumerate(self._list(key), 1))

    def text(self, key: str) -> str | None:
        value = self._value.get(key)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise _wrong(self.at(key), f"must be text, got {value!r}")
        return value

    def needed(self, key: str) -> str:
        text = self.text(key)
        if text is None:
            raise _wrong(self.at(key), "missing")
        return text

    def flag(self, key: str) -> bool | None:
        value = self._value.get(key)
        if value is not None and not isinstance(value, bool):
            raise _wrong(self.at(key), f"must be true or false, got {value!r}")
        return value

    def number(self, key: str) -> int | None:
        value = self._value.get(key)
        return None if value is None else _count(self.at(key), value)

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(_entry(f"{self.at(key)}.{n}", text) and text for n, text in self.rows(key))

    def names(self, key: str, among: Collection[str], what: str) -> tuple[str, ...]:
        """A list of names, each of which there has to be."""
        return tuple(self._known(key, name, among, what) for name in self.texts(key))

    def name(self, key: str, among: Collection[str], what: str) -> str | None:
        text = self.text(key)
        return None if text is None else self._known(key, text, among, what)

    def entries(self, key: str, slots: frozenset[str] = frozenset(), least: int = 0) -> Entries:
        entries = tuple(self._entry(f"{self.at(key)}.{n}", value, slots) for n, value in self.rows(key))
        if len(entries) < least:
            raise _wrong(self.at(key), "must be a list with at least one entry")
        return entries

    def _entry(self, where: str, value: Any, slots: frozenset[str]) -> Entry:
        if not isinstance(value, dict):
            return _entry(where, value, slots, self._own)
        table = _Table(where, value, _CONDITIONAL)
        only, without = (frozenset(table.texts(key)) for key in ("only", "without"))
        entry = _entry(where, table.needed("say"), slots, self._own)
        return entry._replace(only=only, without=without)

    def _known(self, key: str, name: str, among: Collection[str], what: str) -> str:
        if name not in among:
            there = f"there are {', '.join(sorted(among)) or 'none'}"
            if len(among) > MOST_LISTED:
                there = "check its spelling"
            raise _wrong(self.at(key), f"no {what} {name!r}; {there}")
        return name

    def _list(self, key: str) -> list[Any]:
        value = self._value.get(key, [])
        if not isinstance(value, list):
            raise _wrong(self.at(key), f"must be a list, got {value!r}")
        return value


def _count(where: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(where, f"must be a whole number from 1, got {value!r}")
    return value


def _place(key: str, table: _Table) -> Place:
    words = tuple(tuple(map(_bare, tokens_of(text))) for text in table.texts("words"))
    if not all(words):
        raise _wrong(table.at("words"), "must be words of a to z")
    return Place(key, table.needed("say"), words, table.flag("indoors"), table.entries("for"))


def _about(table: _Table, names: _Names) -> About:
    risks, care = table.entries("risks"), table.entries("care")
    return About(
        table.where,
        table.names("places", names.places, "place"),
        table.entries("uses"),
        risks,
        care,
        _remedies(table, risks, care),
        table.entries("needs"),
        table.entries("reasons"),
        table.names("goes_with", names.categories, "category"),
        table.names("traits", names.traits, "trait"),
        table.number("serves"),
        tuple((part, _count(f"{table.at('parts')}.{part}", n)) for part, n in table.tables("parts")),
    )


def _remedies(table: _Table, risks: Entries, care: Entries) -> tuple[tuple[Entry, Entry], ...]:
    if "against" not in table:
        return ()
    where = table.at("against")
    numbers = [number for _, number in table.rows("against")]
    if len(numbers) != len(care):
        raise _wrong(where, f"must have a number for each of care, {len(care)} in all, got {len(numbers)}")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= len(risks):
            raise _wrong(where, f"must be numbers of risks, 0 to {len(risks)}, got {number!r}")
    return tuple((risks[number - 1], entry) for number, entry in zip(numbers, care, strict=True) if number)


_THE_TWO = frozenset({"first", "second"})
_ALL_SUCH = frozenset({"firsts", "seconds"})
_THINGS = frozenset({"things"})


def _pair(table: _Table, names: _Names) -> Pair:
    for side in ("first", "second"):
        if (side in table) == (f"{side}_is" in table):
            raise _wrong(table.where, f"give either {side}, a trait, or {side}_is, categories")
    because, so = table.entries("because", _ALL_SUCH, least=1), table.entries("so", _THE_TWO, least=1)
    if len(because) != len(so):
        raise _wrong(
            table.at("so"), f"must have one for each of because, {len(because)} in all, got {len(so)}"
        )
    return Pair(
        table.where,
        table.name("first", names.traits, "trait"),
        frozenset(table.names("first_is", names.categories, "category")),
        table.name("second", names.traits, "trait"),
        frozenset(table.names("second_is", names.categories, "category")),
        bool(table.flag("near")),
        frozenset(table.names("without", names.categories, "category")),
        table.entries("questions", _THE_TWO, least=1),
        tuple(zip(because, so, strict=True)),
    )


def _theme(table: _Table, names: _Names) -> Theme:
    some, all_, without = (
        frozenset(table.names(key, names.categories, "category")) for key in ("any", "all", "without")
    )
    if not some:
        raise _wrong(table.at("any"), "must be a list with at least one entry")
    questions, points = table.entries("questions", least=1), table.entries("points", least=1)
    return Theme(
        table.where,
        some,
        all_,
        without,
        frozenset(word.lower() for word in table.texts("words")),
        tuple(zip(questions, _answers(table, questions, points), strict=True)),
        table.entries("suggests", _THINGS, least=1),
        points,
    )


def _answers(table: _Table, questions: Entries, points: Entries) -> list[Entries]:
    where, answers = table.at("answers"), [numbers for _, numbers in table.rows("answers")]
    if len(answers) != len(questions):
        problem = f"must have one for each of questions, {len(questions)} in all, got {len(answers)}"
        raise _wrong(where, problem)
    there = range(1, len(points) + 1)
    for numbers in answers:
        if (
            not isinstance(numbers, list)
            or not numbers
            or not all(type(n) is int and n in there for n in numbers)
        ):
            raise _wrong(where, f"must be lists of numbers of points, 1 to {len(points)}, got {numbers!r}")
    return [tuple(points[number - 1] for number in numbers) for numbers in answers]


def _zone(table: _Table, names: _Names) -> Zone:
    zone = table.name("zone", names.categories, "category")
    if zone is None:
        raise _wrong(table.at("zone"), "missing")
    return Zone(
        table.where,
        zone,
        frozenset(table.names("leave_out", names.categories, "category")),
        frozenset(table.names("without", names.categories, "category")),
        table.entries("questions", least=1),
        table.entries("inside", frozenset({"inside"}), least=1),
        table.entries("outside", frozenset({"outside"}), least=1),
        table.entries("limits", least=1),
    )
