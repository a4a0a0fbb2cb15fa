"""What people wrote of the image: which captions can be repeated, and what they say of numbers.

Captions are data by many hands. They are repeated word for word or left out; the only surgery is
white space, the first letter, the full stop, and the lower case of a leading article.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import eq
from typing import Literal, NamedTuple

from datagen.teacher.programmatic.words import (
    CATEGORIES,
    COMPOUNDS,
    NUMBER_WORDS,
    capital,
    load_words,
    noun_for,
    plural_of,
)

LONGEST_CAPTION = 300
"""Characters; longer ones are not repeated."""

_TOKEN = re.compile(r"[a-z]+|\d+")
_ENGLISH_LETTERS = re.compile(r"[A-Za-z0-9 ,.'’\"“”;:&()%$#!-]+")
# What would be a separator or a token, what says that there is no image, and typing slips.
_UNUSABLE = re.compile(
    r"===|https?:|www\.|\b(?:no|this|an) (?:image|mention|photo) (?:here|above|to)\b|\bnot (?:sure|certain)\b"
    r"|[a-z][.;,:][a-z]|\.\.|,,|[?!][^ ]|[][{}<>|=*_\\^~@+`]"
    # "the a", "a ocean", "an boy"
    r"|\b(?:a|an|the) (?:a|an|the)\b|\ba (?!one|once|eu)[aeio][a-z]|\ban [bcdfgjklpqtvwz][a-z]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\n\s*\n")
_WORDS = load_words("captions.toml")


def tokens_of(text: str) -> list[str]:
    """Its words and numbers in lower case, ASCII only."""
    return _TOKEN.findall(text.lower())


def looks_english(tokens: list[str], text: str) -> bool:
    """Whether function words and letters speak for English. Errs towards no."""
    if not text.isascii() and not _ENGLISH_LETTERS.fullmatch(text):
        return False
    strong = weak = other = 0
    for token in tokens:
        strong += token in _WORDS["english_words"]
        weak += token in _WORDS["weak_english_words"]
        other += token in _WORDS["other_words"]
    return other < 2 and (strong > other or (weak > 0 and other == 0))


def cleaned(caption: str, tokens: list[str]) -> str | None:
    """The caption as a sentence that can be repeated, or None. Says nothing of its language."""
    if len(caption) > LONGEST_CAPTION or _CONTROL.search(caption):
        return None
    if tokens and (tokens[0] in _WORDS["unusable_starts"] or not _WORDS["unusable"].isdisjoint(tokens)):
        return None
    text = " ".join(caption.split())
    lowered = text.lower()
    words = lowered.split(" ")
    if _UNUSABLE.search(lowered) or any(map(eq, words, words[1:])):
        return None
    text = re.sub(r" +([.,;:!])", r"\1", text).rstrip(" ,;:-&(/")
    text = re.sub(r"\.([\"'”’)]+)$", r"\1.", text).lstrip(" .,;:-)&/")
    if text.count('"') % 2 or text.count("(") != text.count(")") or "?" in text or "!" in text:
        return None
    # Three words, or in a script without spaces as many letters as these would have.
    is_long_enough = len(words) > 2 if text.isascii() else len(text) > 7
    if not is_long_enough or not text or (text.isupper() and text.isascii()):
        return None
    if text[-1] not in "。．।۔.":
        text += "."
    # A caption of several sentences is fine; one whose pieces are not sentences is not.
    if any(piece[:1].islower() for piece in text.split(". ")[1:]):
        return None
    return capital(text) if text[0].isalnum() or text[0] in "\"'“‘" else None


class Sentence(NamedTuple):
    """A caption that can be repeated."""

    text: str
    """Capital first, full stop last."""
    phrase: str | None
    """ "a man on a horse", where the caption is a phrase that fits after "the image shows"."""
    is_singular: bool
    """True where the phrase begins with "a" or "an"."""
    clause: str
    """The sentence as it stands after a colon: the first letter small where that is safe, no full stop."""
    words: frozenset[str]
    """Its content words, to compare captions by."""
    categories: frozenset[str]
    """The categories it may be speaking of."""
    numbers: frozenset[str]
    """Number words and digits in it."""
    gender: str | None
    """ "men" or "women", where it speaks of people of one gender alone."""


def sentence_from(text: str, categories: frozenset[str]) -> Sentence:
    """Reads the grammar of a cleaned English caption, as far as that is safe."""
    tokens = tokens_of(text)
    first = tokens[0] if tokens else ""
    body = text[:-1]
    is_singular, is_plural = first in _WORDS["singular_starts"], first in _WORDS["plural_starts"]
    can_lower = (is_singular or is_plural or first in _WORDS["other_starts"]) and body.split()[0].isalpha()
    clause = body[:1].lower() + body[1:] if can_lower else body
    is_phrase = can_lower and ". " not in text and _is_phrase(tokens, is_singular, is_plural)
    return Sentence(
        text,
        clause if is_phrase else None,
        is_singular,
        clause,
        frozenset(token for token in tokens if token not in _WORDS["stop_words"]),
        categories,
        frozenset(token for token in tokens if token in _NUMBERS),
        _gender(tokens),
    )


def _is_phrase(tokens: list[str], is_singular: bool, is_plural: bool) -> bool:
    """Whether it is a phrase ("a man on a horse") and no sentence. Errs towards no.

    Verbs cannot be told from nouns for certain ("two women jog", "a woman jogs", "snow boots"), so a
    phrase has to show its joint: right after its noun, an -ing form, a participle or a preposition.
    """
    if not (is_singular or is_plural) or _WORDS["finite_verbs"].intersection(tokens):
        return False
    if _WORDS["picture_words"].intersection(tokens):
        return False
    joint = next((index for index, token in enumerate(tokens) if index and _is_joint(token)), None)
    if joint is None or joint > 5 or "and" in tokens[:joint]:
        return False
    # What a plural verb would follow: "two women …", "a pair of women …", "a woman and a man …".
    speaks_of_many = is_plural or tokens[joint] == "of" or "and" in tokens
    if speaks_of_many and _WORDS["plural_verbs"].intersection(tokens[1:]):
        return False
    for index, (before, token) in enumerate(pairwise(tokens)):
        if _looks_plural(token) and speaks_of_many and index < 6:
            following = tokens[index + 2] if index + 2 < len(tokens) else "of"
            if not _is_joint(following) and following != "and":
                return False
        if token.endswith("ed") and len(token) > 4 and token not in _WORDS["participles"]:
            return False
        if _may_be_verb(token) and not (
            _is_joint(before) or before in _WORDS["before_nouns"] or before.isdigit()
        ):
            return False
    return True


def _is_joint(token: str) -> bool:
    return (
        token in _WORDS["prepositions"]
        or token in _WORDS["participles"]
        or (token.endswith("ing") and len(token) > 4 and token not in _WORDS["ing_nouns"])
    )


def _looks_plural(token: str) -> bool:
    return token in _WORDS["irregular_plurals"] or _may_be_verb(token)


def _may_be_verb(token: str) -> bool:
    """Whether it ends like "jogs", as plural nouns do too."""
    return (
        token.endswith("s")
        and len(token) > 3
        and not token.endswith(("ss", "us", "is"))
        and token != "across"
    )


def _gender(tokens: list[str]) -> str | None:
    men = not _WORDS["men"].isdisjoint(tokens)
    women = not _WORDS["women"].isdisjoint(tokens)
    return None if men == women else "men" if men else "women"


def names_doing(who: str, doer: str, verb: str, following: str) -> bool:
    """Whether "a <who> <verb> <following> …" says what the doer, the last word of `who`, is doing."""
    return (
        doer in _WORDS["doers"]
        and verb not in _WORDS["not_doing"]
        and following in _WORDS["after_doing"]
        and _WORDS["not_in_doer"].isdisjoint(who.split())
    )


def is_near_copy(first: Sentence, second: Sentence) -> bool:
    """Whether the two share most of their content words."""
    shared = len(first.words & second.words)
    return shared >= 0.6 * min(len(first.words), len(second.words))


def not_together(first: Sentence, second: Sentence) -> bool:
    """Whether two captions side by side might contradict each other on a number."""
    return bool(first.numbers and second.numbers) and first.numbers != second.numbers


# What captions say of numbers

_NUMBERS = {word: number for number, word in enumerate(NUMBER_WORDS) if number} | {
    "single": 1, "lone": 1, "solo": 1, "both": 2, "pair": 2, "couple": 2, "trio": 3, "dozen": 12,
}  # fmt: skip

Relation = Literal["same", "kinds", "broader"]


class _Name(NamedTuple):
    words: tuple[str, ...]
    category: str
    relation: Relation
    is_plural: bool


class Mentions(NamedTuple):
    """What one caption says of one category."""

    at_least: int
    """The smallest number that the caption leaves possible."""
    exactly: int | None
    """The number it states outright."""
    is_open: bool
    """True where it says "many", "a group": a number that the boxes cannot be held against."""
    is_denied: bool
    """True where it says "no" or "without"."""


@dataclass(slots=True)
class _Tally:
    at_least: int = 0
    exactly: int = 0
    states_number: bool = False
    is_open: bool = False
    is_denied: bool = False


@lru_cache(maxsize=4096)
def _names(category: str) -> tuple[_Name, ...]:
    known = CATEGORIES.get(category)
    if known is not None:
        entries: list[tuple[str, Relation]] = [
            *((word, "same") for word in known.same),
            *((word, "kinds") for word in known.kinds),
            *((word, "broader") for word in known.broader),
        ]
    else:
        noun = noun_for(category)
        entries = [] if noun is None else [(noun.singular, "same")]
    names: dict[tuple[str, ...], _Name] = {}
    for word, relation in entries:
        words = tuple(tokens_of(word))
        many = tuple(tokens_of(_plural_in_captions(category, word)))
        for form, is_plural in ((words, False), (many, True)):
            names.setdefault(form, _Name(form, category, relation, is_plural and many != words))
    return tuple(names.values())


def _plural_in_captions(category: str, word: str) -> str:
    known = CATEGORIES.get(category)
    if known is not None and word in (known.noun.singular, category):
        return known.noun.plural
    return plural_of(word)


def _index(categories: Iterable[str]) -> dict[str, tuple[_Name, ...]]:
    index: dict[str, list[_Name]] = {}
    for category in categories:
        for name in _names(category):
            index.setdefault(name.words[0], []).append(name)
    return {word: tuple(sorted(names, key=lambda name: -len(name.words))) for word, names in index.items()}


def _vocabulary_index() -> dict[str, tuple[_Name, ...]]:
    index = _index(CATEGORIES)
    for compound in COMPOUNDS:
        for words in {tuple(tokens_of(compound)), tuple(tokens_of(plural_of(compound)))}:
            # Before the names it may begin with.
            index[words[0]] = (_Name(words, "", "broader", False), *index.get(words[0], ()))
    return index


_VOCABULARY_INDEX = _vocabulary_index()


@lru_cache(maxsize=1024)
def _domain_index(categories: frozenset[str]) -> dict[str, tuple[_Name, ...]]:
    return _index(sorted(categories))


def mentions_in(
    tokens: list[str], domain_categories: frozenset[str]
) -> tuple[dict[str, Mentions], frozenset[str]]:
    """What a caption says of each category that it names, and every category that it may be hinting at.

    `domain_categories` are those of the image that the vocabulary does not know.
    """
    domain = _domain_index(domain_categories) if domain_categories else {}
    tallies: dict[str, _Tally] = {}
    hinted: set[str] = set()
    # The words of a longer name are not names of their own: a teddy bear is no bear.
    covered_until = 0
    for position, token in enumerate(tokens):
        names = _VOCABULARY_INDEX.get(token, ()) + domain.get(token, ())
        is_covered = position < covered_until
        named: set[str] = set()
        for name in names:
            length = len(name.words)
            if length > 1 and tuple(tokens[position : position + length]) != name.words:
                continue
            if not name.category:
                covered_until = max(covered_until, position + length)
                is_covered = True
                continue
            hinted.add(name.category)
            if is_covered or name.relation == "broader" or name.category in named:
                continue
            if length == 1 and position < covered_until:
                continue
            named.add(name.category)
            if length > 1:
                covered_until = position + length
            tally = tallies.get(name.category)
            if tally is None:
                tally = tallies[name.category] = _Tally()
            _count(tokens, position, name, tally)
    mentions = {
        category: Mentions(
            tally.at_least, tally.exactly if tally.states_number else None, tally.is_open, tally.is_denied
        )
        for category, tally in tallies.items()
    }
    return mentions, frozenset(hinted)


def _count(tokens: list[str], position: int, name: _Name, tally: _Tally) -> None:
    """Adds one mention: the number, article or quantity word in the few tokens before it decides."""
    number: int | None = None
    has_article = False
    start = position - 1
    for back in range(start, max(start - 4, -1), -1):
        token = tokens[back]
        if token in _WORDS["unknown_number"]:
            tally.is_open = True
            return
        if token in _WORDS["denials"]:
            tally.is_denied = True
            return
        if token == "of":
            continue
        if (
            token == "pair"
            and name.category in CATEGORIES
            and CATEGORIES[name.category].noun.form == "plural"
        ):
            # "a pair of scissors" is one.
            number = 1
            break
        if token in _NUMBERS or token.isdigit():
            number = _NUMBERS.get(token) or int(token[:6])
            break
        if token in _WORDS["one_more"]:
            # "a group of", "a couple of": the quantity stands between, and was met first.
            has_article = True
            break
        if token in _WORDS["look_back_ends"]:
            break
    word = name.words[-1]
    if name.category == "person" and word in _WORDS["group_words"] and name.relation == "kinds":
        tally.is_open = True
        return
    if name.category == "person" and word == "couple":
        # "a couple of dogs" is no person, but then "of" follows.
        if position + 1 >= len(tokens) or tokens[position + 1] != "of":
            tally.at_least += 2
        return
    if number is not None:
        if number == 1 and name.is_plural:
            # "one of the dogs"
            tally.at_least = max(tally.at_least, 2)
            return
        tally.at_least += number
        if name.relation == "same":
            tally.exactly += number
            tally.states_number = True
    elif name.is_plural:
        tally.at_least += 2
    elif has_article:
        tally.at_least += 1
