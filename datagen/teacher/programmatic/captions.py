"""What people wrote of the image: which captions can be repeated, and what they say of numbers.

Captions are data by many hands. They are repeated word for word or left out; the only surgery is
white space, the first letter, the full stop, and the lower case of a leading article.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import eq
from typing import Literal, NamedTuple

from datagen.teacher.programmatic.words import (
    CATEGORIES,
    COMPOUNDS,
    NUMBER_WORDS,
    Noun,
    capital,
    load_words,
    plural_of,
)

LONGEST_CAPTION = 300
"""Characters; longer ones are not repeated."""

_TOKEN = re.compile(r"[a-z]+|\d+")
# With dashes, and with the signs of measures, as in "4.7 kΩ ± 5 % at 25 °C".
_ENGLISH_LETTERS = re.compile(r"[A-Za-z0-9 ,.'’\"“”;:&()%$#!/?+=<>–—…°±×≈≤≥²³µμΩ\u2126-]+")
# What would be a separator or a token, and typing slips.
_UNUSABLE_MARKS = re.compile(r"===|https?:|www\.|[a-z][.;,:][a-z]|\.\.|,,|[?!][^ ]|[][{}<>|=*_\\^~@+`]")
# What says that there is no image.
_UNUSABLE_WORDS = re.compile(
    r"\b(?:no|this|an) (?:image|mention|photo) (?:here|above|to)\b|\bnot (?:sure|certain)\b"
)
_MAY_SAY_THERE_IS_NONE = {"not", "image", "mention", "photo"}
# "the a", "a ocean", "an boy", "an oranges", "a women", "a couple of tennis player", "it's head"
_SLIPS = (
    r"(?:(?:a|an|the) (?:a|an|the)\b|a (?!one|once|eu)[aeio][a-z]|an (?:[bcdfgjklpqtvwz][a-z]|oranges|apples)"
    r"|a (?:wo)?men\b(?!['’])|couple of (?:[a-z]+ )?(?:player|man|woman|person|boy|girl)\b(?!['’]))"
)
_UNUSABLE_SLIPS = re.compile(
    rf"\b(?:{_SLIPS}|it['’]s (?:own|head|face|mouth|tail|neck|back|side|legs?|mother|owner)\b)"
)
# The same in plain words with single spaces before them, which are found sooner than where a word begins.
_UNUSABLE_SPACED_SLIPS = re.compile(f" {_SLIPS}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\n\s*\n")
_SPACE_BEFORE_MARK = re.compile(r" +([.,;:!])")
_WORDS = load_words("captions.toml")
_ENGLISH, _WEAK_ENGLISH, _OTHER = (_WORDS[f"{name}_words"] for name in ("english", "weak_english", "other"))
_ANY_ENGLISH = _ENGLISH | _WEAK_ENGLISH
_UNUSABLE, _UNUSABLE_STARTS = _WORDS["unusable"] | _WORDS["unfit"], _WORDS["unusable_starts"]
_SINGULAR_STARTS, _PLURAL_STARTS = _WORDS["singular_starts"], _WORDS["plural_starts"]
_MAY_BE_SMALL = _SINGULAR_STARTS | _PLURAL_STARTS | _WORDS["other_starts"]
_STOP_WORDS, _MEN, _WOMEN = _WORDS["stop_words"], _WORDS["men"], _WORDS["women"]
_ADULTS, _CHILDREN = _WORDS["adults"], _WORDS["children"]
_NOT_IN_PHRASE, _PLURAL_VERBS = _WORDS["finite_verbs"] | _WORDS["picture_words"], _WORDS["plural_verbs"]


def tokens_of(text: str) -> list[str]:
    """Its words and numbers in lower case, ASCII only."""
    lowered = text.lower()
    words = lowered.removesuffix(".")
    # Most captions are plain words, which are split much sooner.
    if words.isascii() and words.replace(" ", "").isalpha():
        return words.split()
    return _TOKEN.findall(lowered)


def looks_english(tokens: list[str], text: str) -> bool:
    """Whether function words and letters speak for English. Errs towards no."""
    if not text.isascii() and not _ENGLISH_LETTERS.fullmatch(text):
        return False
    if _OTHER.isdisjoint(tokens):
        # "OK", "2x R, 4x C": without a word there is no other language either.
        return not _ANY_ENGLISH.isdisjoint(tokens) or not any(_is_word(token) for token in tokens)
    other = sum(token in _OTHER for token in tokens)
    return other < 2 and sum(token in _ENGLISH for token in tokens) > other


def _is_word(token: str) -> bool:
    return len(token) > 2 and not token.isdigit()


def cleaned(caption: str, tokens: list[str]) -> str | None:
    """The caption as a sentence that can be repeated, or None. Says nothing of its language."""
    # What can be printed has no control character and no space but " ", which is known much sooner.
    is_printable = caption.isprintable()
    if len(caption) > LONGEST_CAPTION or (not is_printable and _CONTROL.search(caption)):
        return None
    if tokens and (tokens[0] in _UNUSABLE_STARTS or not _UNUSABLE.isdisjoint(tokens)):
        return None
    text = caption.strip() if is_printable and "  " not in caption else " ".join(caption.split())
    lowered = text.lower()
    words = lowered.split(" ")
    if any(map(eq, words, words[1:])):
        return None
    if not _MAY_SAY_THERE_IS_NONE.isdisjoint(words) and _UNUSABLE_WORDS.search(lowered):
        return None
    if lowered.removesuffix(".") == " ".join(tokens) and text.isascii():
        # Most captions are plain words, of which most searches are spared.
        if len(words) < 3 or _is_in_capitals(text) or _UNUSABLE_SPACED_SLIPS.search(f" {lowered}"):
            return None
        return capital(text if text[-1] == "." else f"{text}.")
    if _UNUSABLE_MARKS.search(lowered) or _UNUSABLE_SLIPS.search(lowered):
        return None
    text = _SPACE_BEFORE_MARK.sub(r"\1", text).rstrip(" ,;:-&(/")
    if not text[-1:].isalnum():
        text = re.sub(r"\.([\"'”’)]+)$", r"\1.", text)
    text = text.lstrip(" .,;:-)&/")
    if text.count('"') % 2 or text.count("(") != text.count(")") or "?" in text or "!" in text:
        return None
    # Three words, or in a script without spaces as many letters as these would have.
    is_long_enough = len(words) > 2 if text.isascii() else len(text) > 7
    if not is_long_enough or not text or _is_in_capitals(text):
        return None
    if text[-1] not in "。．।۔.…":
        text += "."
    # A caption of several sentences is fine; one whose pieces are not sentences is not.
    if any(piece[:1].islower() for piece in text.split(". ")[1:]):
        return None
    text = capital(text)
    # "º" is a letter that has no capital.
    return text if (text[0].isalnum() and not text[0].islower()) or text[0] in "\"'“‘" else None


def _is_in_capitals(text: str) -> bool:
    """Whether most of it is: "A DOG ON A COUCH in a room"."""
    return not text[1:].islower() and sum(map(str.isupper, text)) * 2 > len(text)


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
    tokens: tuple[str, ...]
    """Its words and numbers in lower case, ASCII only, in order."""
    number: int = 0
    """Which of its image's captions it is, from 1, in ascending annotation id."""


def sentence_from(
    text: str, categories: frozenset[str], number: int = 0, tokens: Sequence[str] | None = None
) -> Sentence:
    """Reads the grammar of a cleaned English caption, as far as that is safe.

    `tokens` are those of the text, where they are known.
    """
    tokens = tuple(tokens_of(text) if tokens is None else tokens)
    distinct = frozenset(tokens)
    first = tokens[0] if tokens else ""
    body = text[:-1]
    is_singular, is_plural = first in _SINGULAR_STARTS, first in _PLURAL_STARTS
    opens = body.split(None, 1)[0]
    # "THERE are dogs" would become "tHERE are dogs".
    can_lower = first in _MAY_BE_SMALL and opens.isalpha() and not opens[1:].isupper()
    clause = body[:1].lower() + body[1:] if can_lower else body
    is_phrase = (
        can_lower
        and (is_singular or is_plural)
        and ". " not in text
        and _NOT_IN_PHRASE.isdisjoint(distinct)
        and _is_phrase(tokens, is_plural)
    )
    return Sentence(
        text,
        clause if is_phrase else None,
        is_singular,
        clause,
        distinct - _STOP_WORDS,
        categories,
        distinct & _NUMBER_NAMES,
        _gender(distinct),
        tokens,
        number,
    )


def _is_phrase(tokens: Sequence[str], is_plural: bool) -> bool:
    """Whether words without a verb for certain are a phrase ("a man on a horse"). Errs towards no.

    Verbs cannot be told from nouns for certain ("two women jog", "a woman jogs", "snow boots"), so a
    phrase has to show its joint: right after its noun, an -ing form, a participle or a preposition.
    """
    looks = list(map(_looks, tokens))
    for joint, look in enumerate(looks[:6]):
        if look & _JOINT and joint:
            break
    else:
        return False
    if "and" in tokens[:joint]:
        return False
    # What a plural verb would follow: "two women …", "a pair of women …", "a woman and a man …".
    speaks_of_many = is_plural or tokens[joint] == "of" or "and" in tokens
    if speaks_of_many and not _PLURAL_VERBS.isdisjoint(tokens[1:]):
        return False
    for index, look in enumerate(looks):
        if not look & _DOUBTFUL or not index:
            continue
        if look & _PAST or (look & _MAY_BE_VERB and not looks[index - 1] & _BEFORE_NOUN):
            return False
        is_joined = index + 1 == len(tokens) or looks[index + 1] & _JOINT or tokens[index + 1] == "and"
        if look & _PLURAL and speaks_of_many and index < 7 and not is_joined:
            return False
    return True


# How a word looks, one bit for each.
_JOINT, _PLURAL, _MAY_BE_VERB, _PAST, _BEFORE_NOUN = 1, 2, 4, 8, 16
_DOUBTFUL = _PLURAL | _MAY_BE_VERB | _PAST


@lru_cache(maxsize=1 << 16)
def _looks(token: str) -> int:
    # "jogs"; plural nouns end like it too.
    may_be_verb = token[-1] == "s" and len(token) > 3 and token[-2] not in "sui" and token != "across"
    is_participle = token in _WORDS["participles"]
    is_joint = (
        token in _WORDS["prepositions"]
        or is_participle
        or (token.endswith("ing") and len(token) > 4 and token not in _WORDS["ing_nouns"])
    )
    looks = _JOINT if is_joint else 0
    if may_be_verb or token in _WORDS["irregular_plurals"]:
        looks |= _PLURAL
    if may_be_verb:
        looks |= _MAY_BE_VERB
    if token.endswith("ed") and len(token) > 4 and not is_participle:
        looks |= _PAST
    if is_joint or token in _WORDS["before_nouns"] or token.isdigit():
        looks |= _BEFORE_NOUN
    return looks


def age_of(words: frozenset[str]) -> str | None:
    """ "adults" or "children", where they speak of people of one age alone."""
    adults = not _ADULTS.isdisjoint(words)
    children = not _CHILDREN.isdisjoint(words)
    return None if adults == children else "adults" if adults else "children"


def _gender(tokens: frozenset[str]) -> str | None:
    men = not _MEN.isdisjoint(tokens)
    women = not _WOMEN.isdisjoint(tokens)
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

_NUMBER_NAMES = frozenset(_NUMBERS)

# What the words before a name say of its number, and no number itself.
_LOOK_BACK_ENDS, _ONE_MORE, _DENIED, _UNKNOWN = -4, -3, -2, -1
# A word of several lists means what the last of them says.
_QUANTITIES = {
    **dict.fromkeys(_WORDS["look_back_ends"], _LOOK_BACK_ENDS),
    **dict.fromkeys(_WORDS["one_more"], _ONE_MORE),
    **_NUMBERS,
    **dict.fromkeys(_WORDS["denials"], _DENIED),
    **dict.fromkeys(_WORDS["unknown_number"], _UNKNOWN),
}
_PAIRED = frozenset(name for name, category in CATEGORIES.items() if category.noun.form == "plural")

Relation = Literal["same", "kinds", "broader"]


class _Name(NamedTuple):
    words: tuple[str, ...]
    category: str
    relation: Relation
    is_plural: bool


@dataclass(slots=True)
class Mentions:
    """What one caption says of one category, added up name by name."""

    at_least: int = 0
    """The smallest number that the caption leaves possible."""
    exactly: int | None = None
    """The number it states outright."""
    is_open: bool = False
    """True where it says "many", "a group": a number that the boxes cannot be held against."""
    is_denied: bool = False
    """True where it says "no" or "without"."""
    is_ruled_out: bool = False
    """True where it says no more of it than that there is none: "no dogs or cats", not "no large dog"."""
    is_plural: bool = False
    """True where it names it in the plural: "two-tier cake" does not, for all its number."""


@lru_cache(maxsize=4096)
def _names(category: str, noun: Noun | None = None) -> tuple[_Name, ...]:
    """`noun` is how a category is spoken that the vocabulary does not know."""
    known = CATEGORIES.get(category)
    if known is not None and noun is None:
        entries: list[tuple[str, Relation]] = [
            *((word, "same") for word in known.same),
            *((word, "kinds") for word in known.kinds),
            *((word, "broader") for word in known.broader),
        ]
    else:
        entries = [] if noun is None else [(noun.singular, "same"), *((word, "kinds") for word in noun.words)]
    names: dict[tuple[str, ...], _Name] = {}
    for word, relation in entries:
        words = tuple(tokens_of(word))
        # "people", and "persons" as well
        plurals = {_plural_in_captions(category, word, noun), plural_of(word)}
        for many in sorted(tuple(tokens_of(plural)) for plural in plurals):
            for form, is_plural in ((words, False), (many, True)):
                names.setdefault(form, _Name(form, category, relation, is_plural and many != words))
    return tuple(names.values())


def _plural_in_captions(category: str, word: str, noun: Noun | None) -> str:
    if noun is not None and word == noun.singular:
        return noun.plural
    known = CATEGORIES.get(category)
    if known is not None and word in (known.noun.singular, category):
        return known.noun.plural
    return plural_of(word)


class _Start(NamedTuple):
    """What may be named where a word stands."""

    hinted: frozenset[str]
    """Categories that have the word alone as a name."""
    names: tuple[_Name, ...]
    """The names that are the word alone, without the broader ones, which do no more than hint."""
    longer: dict[str, tuple[_Name, ...]]
    """By the word that comes next: names of several words, the longest first, and `names` behind them."""


def _start(names: Sequence[_Name]) -> _Start:
    """Of the names that begin with a word, the first to be tried first."""
    alone = [name for name in names if len(name.words) == 1]
    hinted = frozenset(name.category for name in alone)
    tried = [name for name in names if len(name.words) > 1 or name.relation != "broader"]
    longer = {
        word: tuple(name for name in tried if name.words[1:2] in ((), (word,)))
        for word in {name.words[1] for name in tried if len(name.words) > 1}
    }
    return _Start(hinted, tuple(name for name in alone if name.relation != "broader"), longer)


def _index(categories: Mapping[str, Noun | None]) -> dict[str, tuple[_Name, ...]]:
    """By its first word every name, the longest first."""
    index: dict[str, list[_Name]] = {}
    for category, noun in categories.items():
        for name in _names(category, noun):
            index.setdefault(name.words[0], []).append(name)
    return {word: tuple(sorted(names, key=lambda name: -len(name.words))) for word, names in index.items()}


def _vocabulary_index() -> dict[str, tuple[_Name, ...]]:
    index = _index(dict.fromkeys(CATEGORIES))
    for compound in COMPOUNDS:
        for words in {tuple(tokens_of(compound)), tuple(tokens_of(plural_of(compound)))}:
            # Before the names it may begin with.
            index[words[0]] = (_Name(words, "", "broader", False), *index.get(words[0], ()))
    return index


_VOCABULARY_INDEX = _vocabulary_index()
_STARTS = {word: _start(names) for word, names in _VOCABULARY_INDEX.items()}


@lru_cache(maxsize=1024)
def _domain_starts(nouns: frozenset[Noun]) -> dict[str, _Start]:
    """Of the words that these begin with."""
    index = _index({noun.category: noun for noun in sorted(nouns, key=lambda noun: noun.category)})
    starts = {}
    for word, names in index.items():
        known = _VOCABULARY_INDEX.get(word, ())
        own = {name.words for name in names}
        # Where ships are boxed as such, "ships" are these, and no boats of the vocabulary besides.
        start = _start((*(name for name in known if name.words not in own), *names))
        starts[word] = start._replace(hinted=_start((*known, *names)).hinted)
    return starts


def mentions_in(
    tokens: list[str], domain_nouns: frozenset[Noun]
) -> tuple[dict[str, Mentions], frozenset[str]]:
    """What a caption says of each category that it names, and every category that it may be hinting at.

    `domain_nouns` are of categories of the annotations that the vocabulary does not know.
    """
    starts: Iterable[_Start | None] = map(_STARTS.get, tokens)
    if domain_nouns:
        domain = _domain_starts(domain_nouns)
        starts = (domain.get(token) or _STARTS.get(token) for token in tokens)
    mentions: dict[str, Mentions] = {}
    hinted: set[str] = set()
    # The words of a longer name are not names of their own: a teddy bear is no bear.
    covered_until = denied_until = 0
    for position, start in enumerate(starts):
        if start is None:
            continue
        hinted |= start.hinted
        names = start.names
        if start.longer and position + 1 < len(tokens):
            names = start.longer.get(tokens[position + 1], names)
        is_covered = position < covered_until
        named: list[str] = []
        for name in names:
            words, category, _, _ = name
            length = len(words)
            if length > 1:
                if length > 2 and tuple(tokens[position : position + length]) != words:
                    continue
                if not category:
                    covered_until = max(covered_until, position + length)
                    is_covered = True
                    continue
                hinted.add(category)
                if is_covered or name.relation == "broader" or category in named:
                    continue
                covered_until = position + length
            elif position < covered_until or category in named:
                continue
            named.append(category)
            mention = mentions.get(category)
            is_first = mention is None
            if mention is None:
                mention = mentions[category] = Mentions()
            _count(tokens, position, name, mention)
            if domain_nouns:
                is_denied, is_ruled_out = _denied(tokens, position, position + length, denied_until)
                denied_until = position + length if is_denied else 0
                mention.is_denied |= is_denied
                mention.is_ruled_out = is_ruled_out and (is_first or mention.is_ruled_out)
    return mentions, frozenset(hinted)


def _denied(tokens: list[str], begin: int, end: int, denied_until: int) -> tuple[bool, bool]:
    """Whether a name is denied, and whether nothing of it is left: `no effusion, mass or nodule`.

    `denied_until` is where the last name ended that was denied.
    """
    at = begin - 1
    while at > 0 and tokens[at] in _WORDS["sign_of"]:
        at -= 1
    before = begin - 1 if begin and tokens[begin - 1] in ("or", "nor") else begin
    is_listed = 0 < denied_until == before
    is_ruled_out = at >= 0 and (tokens[at] in _WORDS["denials"] or tokens[at] == "not" or is_listed)
    is_denied = is_ruled_out
    for back in range(at, max(at - 3, -1), -1):
        if tokens[back] in _WORDS["denials"]:
            is_denied = True
        if _QUANTITIES.get(tokens[back]) == _LOOK_BACK_ENDS:
            break
    return is_denied, is_ruled_out and tokens[end : end + 1] not in _LIMITS


_DOERS = [[word] for word in _WORDS["doers"]]
_LIMITS = [[word] for word in ("on", "at", "in", "over", "after", "along", "above", "below")]


def _count(tokens: list[str], position: int, name: _Name, mention: Mentions) -> None:
    """Adds one mention: the number, article or quantity word in the few tokens before it decides."""
    if tokens[position] in _WORDS["also_verbs"] and tokens[position - 1 : position] in _DOERS:
        return
    mention.is_plural |= name.is_plural
    number: int | None = None
    has_article = False
    for back in range(position - 1, max(position - 5, -1), -1):
        token = tokens[back]
        quantity = _QUANTITIES.get(token)
        if quantity is None:
            if not token.isdigit():
                continue
            quantity = int(token[:6])
        elif quantity == _UNKNOWN:
            mention.is_open = True
            return
        elif quantity == _DENIED:
            mention.is_denied = True
            return
        elif quantity == _ONE_MORE:
            # "a group of", "a couple of": the quantity stands between, and was met first.
            has_article = True
            break
        elif quantity == _LOOK_BACK_ENDS:
            break
        elif token == "pair" and name.category in _PAIRED:
            # "a pair of scissors" is one.
            quantity = 1
        number = quantity
        break
    word = name.words[-1]
    if name.category == "person" and word in _WORDS["group_words"] and name.relation == "kinds":
        mention.is_open = True
        return
    if name.category == "person" and word == "couple":
        # "a couple of dogs" is no person, but then "of" follows.
        if position + 1 >= len(tokens) or tokens[position + 1] != "of":
            mention.at_least += 2
        return
    if number is not None:
        if number == 1 and name.is_plural:
            # "one of the dogs"
            mention.at_least = max(mention.at_least, 2)
            return
        mention.at_least += number
        if name.relation == "same":
            mention.exactly = (mention.exactly or 0) + number
    elif name.is_plural:
        mention.at_least += 2
    elif has_article:
        mention.at_least += 1
