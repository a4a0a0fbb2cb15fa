"""The names of things and their grammar: plurals, articles, number words, lists.

A category name is written by strangers. One that this module cannot put into an English sentence
with confidence yields no noun, and the programs leave it unsaid.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, get_args

from datagen.inflection import engine
from datagen.records import InputError

NounForm = Literal["count", "mass", "plural", "unique"]

NUMBER_WORDS = (
    *("no", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
"""In order, from none."""


def load_toml(name: str) -> dict[str, Any]:
    """One of this package's text files."""
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


def load_words(name: str) -> dict[str, frozenset[str]]:
    """A text file of word lists: each key with its words, which white space separates."""
    return {key: frozenset(words.split()) for key, words in load_toml(name).items()}


@dataclass(frozen=True, slots=True)
class Noun:
    """A category as it is spoken."""

    category: str
    """The name in the annotations."""
    singular: str
    plural: str
    form: NounForm
    """"mass" has no plural and takes "some"; "plural" has no singular; of what is "unique" there is one
    and everybody knows ("the heart"). None of these is ever counted."""
    group: str | None
    """What it belongs to; None for a category that the vocabulary does not know."""
    bare_article: str
    """"a" or "an"; empty for what takes none."""
    words: tuple[str, ...] = ()
    """Other words that captions have for it, of a category that a pack's nouns.toml names."""
    is_bare: bool = False
    """Of a mass noun: said without "some", as "consolidation" is."""
    once_named: str = ""
    """What `the` says, where it is not the name again: "the enlarged heart" of cardiomegaly."""

    @property
    def one(self) -> str:
        """It, first mentioned: "a dog", "some broccoli", "skis"."""
        if self.form == "mass":
            return self.singular if self.is_bare else f"some {self.singular}"
        if self.form == "unique":
            return self.the
        return f"{self.bare_article} {self.singular}" if self.bare_article else self.plural

    @property
    def many(self) -> str:
        """More than one, the number left open: "dogs", "broccoli"."""
        return self.plural

    @property
    def the(self) -> str:
        return self.once_named or f"the {self.plural if self.form == 'plural' else self.singular}"

    @property
    def which(self) -> str:
        return "who" if self.group == "people" else "which"

    @property
    def be(self) -> str:
        """The verb that goes with `the` and with `one`."""
        return "are" if self.form == "plural" else "is"


@dataclass(frozen=True, slots=True)
class Category:
    """One entry of vocabulary.toml."""

    noun: Noun
    same: tuple[str, ...]
    kinds: tuple[str, ...]
    broader: tuple[str, ...]
    instead: Noun | None = None
    """How it is spoken where captions have a word of `instead_where`, and never one of `same`."""
    instead_where: frozenset[str] = frozenset()

    def spoken_where(self, tokens: Collection[str]) -> Noun:
        """How it is spoken in view of all words of an image's captions."""
        if self.instead is None or self.instead_where.isdisjoint(tokens):
            return self.noun
        same = _with_plurals(self.same)
        return self.instead if same.isdisjoint(tokens) else self.noun


def _with_plurals(words: Iterable[str]) -> frozenset[str]:
    """In lower case, as captions are read."""
    return frozenset(form.lower() for word in words for form in (word, plural_of(word)))


@lru_cache(maxsize=4096)
def plural_of(singular: str) -> str:
    """The plural of an English noun in the singular; of a phrase, its last word's."""
    head, space, last = singular.rpartition(" ")
    if last.isupper() and len(last) > 1:
        # An IC, two ICs.
        return f"{singular}s"
    return f"{head}{space}{engine().plural_noun(last)}"


@lru_cache(maxsize=4096)
def _article(word: str) -> str:
    first = word.split(" ", 1)[0]
    if first.isupper():
        # Spelt out, an SUV and a UAV, which go by the name of the first letter.
        return "an" if first[0] in "AEFHILMNORSX" else "a"
    return str(engine().a(word)).split(" ", 1)[0]


def _read_categories() -> dict[str, Category]:
    categories = {}
    for name, entry in _VOCABULARY["categories"].items():
        form: NounForm = entry.get("form", "count")
        singular = entry.get("say", name)
        plural = entry.get("plural") or (singular if form == "mass" else plural_of(singular))
        article = _article(singular) if form == "count" else ""
        noun = Noun(name, singular, plural, form, entry["group"], article)
        same = tuple(dict.fromkeys((name, singular, *entry.get("same", ()))))
        kinds, broader = tuple(entry.get("kinds", ())), tuple(entry.get("broader", ()))
        instead = None
        if other := entry.get("instead"):
            say = other["say"]
            instead = Noun(name, say, plural_of(say), "count", entry["group"], _article(say))
        where = _with_plurals(other["where"]) if other else frozenset[str]()
        categories[name] = Category(noun, same, kinds, broader, instead, where)
    return categories


def _read_alike() -> dict[str, frozenset[str]]:
    alike: dict[str, set[str]] = {name: {name} for name in CATEGORIES}
    for names in _VOCABULARY["alike"]:
        for name in names:
            alike[name].update(names)
    return {name: frozenset(names) for name, names in alike.items()}


_VOCABULARY = load_toml("vocabulary.toml")
CATEGORIES = _read_categories()
ALIKE = _read_alike()
AMBIGUOUS = frozenset[str](_VOCABULARY["ambiguous"])
COMPOUNDS: tuple[str, ...] = tuple(_VOCABULARY["compounds"])

_PLAIN_NAME = re.compile(r"[A-Za-z]+(?: [A-Za-z]+){0,3}")
_NOUNS = load_words("nouns.toml")
_MASS_ENDINGS = tuple(sorted(_NOUNS["mass_endings"]))


@lru_cache(maxsize=4096)
def noun_for(category: str) -> Noun | None:
    """How a category is spoken, or None where its name does not fit into an English sentence."""
    known = CATEGORIES.get(category)
    if known is not None:
        return known.noun
    name = " ".join(category.replace("_", " ").replace("-", " ").split())
    if not _PLAIN_NAME.fullmatch(name) or len(name) > 40:
        return None
    # "Pleural Effusion" is a common noun in a title's clothes; "SUV" and "CT scanner" keep their capitals.
    words = [word if word.isupper() and 2 <= len(word) <= 5 else word.lower() for word in name.split()]
    name, last = " ".join(words), words[-1].lower()
    # "large vehicle" is a kind of thing; "large" alone, or "object large", is not.
    sized = words[1:] if words[0].lower() in _NOUNS["sizes"] and len(words) > 1 else words
    if any(len(word) < 2 or _is_no_noun(word.lower()) for word in sized) or len(last) < 3:
        return None
    if not re.search(r"[aeiouy]", last) and not last.isupper() and not words[-1].isupper():
        return None
    if (
        (last.endswith("ing") and last not in _NOUNS["ing_nouns"] | _NOUNS["mass_nouns"])
        or (last.endswith("ed") and last not in _NOUNS["ed_nouns"])
        or (last.endswith("ly") and last not in _NOUNS["ly_nouns"])
    ):
        return None
    if last in _NOUNS["mass_nouns"] or (last.endswith(_MASS_ENDINGS) and last not in _NOUNS["counted_nouns"]):
        return Noun(category, name, name, "mass", None, "")
    if last == "people":
        head = name.removesuffix("people")
        return Noun(category, f"{head}person", name, "count", None, _article(f"{head}person"))
    if words[-1].isupper():
        return Noun(category, name, f"{name}s", "count", None, _article(name))
    if last.endswith("s") and not last.endswith(("ss", "us", "is")):
        return Noun(category, name, name, "plural", None, "")
    return Noun(category, name, plural_of(name), "count", None, _article(name))


NOUNS = "nouns.toml"
"""The pack's file of how its categories are spoken, where the rules above would get it wrong."""

_NOUN_KEYS = ("say", "plural", "form", "words", "the")

PackNouns = Mapping[str, Noun]
"""By category."""


def read_nouns(files: Mapping[str, str]) -> PackNouns:
    """The nouns of a pack's nouns.toml; none for a pack without one.

    Raises InputError naming the table, the key and what is wrong.
    """
    try:
        tables = tomllib.loads(files.get(NOUNS, ""))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{NOUNS}: not valid TOML: {error}") from None
    nouns = {}
    for category, table in tables.items():
        if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
            raise InputError(f'{NOUNS}: {category}: must be a table of text, such as form = "mass"')
        if unknown := sorted(table.keys() - {*_NOUN_KEYS}):
            there = ", ".join(_NOUN_KEYS)
            raise InputError(f"{NOUNS}: {category}.{unknown[0]}: no such key; there are {there}")
        form = table.get("form", "count")
        if form not in (*get_args(NounForm), "bare"):
            there = ", ".join((*get_args(NounForm), "bare"))
            raise InputError(f"{NOUNS}: {category}.form: must be one of {there}, got {form!r}")
        if is_bare := form == "bare":
            form = "mass"
        singular = table.get("say", category)
        plural = table.get("plural") or (singular if form in ("mass", "plural") else plural_of(singular))
        article = _article(singular) if form == "count" else ""
        words = tuple(" ".join(word.split()) for word in table.get("words", "").split(",") if word.strip())
        the = table.get("the", "")
        nouns[category] = Noun(category, singular, plural, form, None, article, words, is_bare, the)
    return nouns


def _is_no_noun(word: str) -> bool:
    return word in _NOUNS["not_a_noun"] or word.removesuffix("s") in _NOUNS["not_a_noun"]


def counted(number: int, noun: Noun) -> str:
    """A number of things, from one: "a dog", "two dogs", "more than a dozen dogs"."""
    if number == 1:
        return noun.one
    if number >= len(NUMBER_WORDS):
        return f"more than a dozen {noun.plural}"
    return f"{NUMBER_WORDS[number]} {noun.plural}"


def ranged(span: tuple[int, int], noun: Noun) -> str:
    """ "between 20 and 30 dogs"."""
    return f"between {span[0]} and {span[1]} {noun.plural}"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def capital(text: str) -> str:
    """The text with its first letter, if it begins with one, as a capital."""
    return text[:1].upper() + text[1:]
