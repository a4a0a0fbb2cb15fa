"""What the captions of one image say of it: facts about single things, and which captions go together.

Captions are read by strict patterns over lists of words (scene.toml): a determiner, a thing that the
lists know, and what it does, wears, holds or where it is. What does not fit a pattern is left unsaid.
A fact is only told of a thing that "the man" or "the dogs" can mean: one and the same in every caption.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

from datagen.teacher.programmatic.captions import Sentence
from datagen.teacher.programmatic.words import CATEGORIES, load_toml, load_words, plural_of

ToldKind = Literal["doing", "wearing", "holding", "state", "attribute", "place", "with"]

LONGEST = 18
"""Words that a fact may have; longer ones are left out."""
SHORTEST_OPENING = 7
"""Words; a shorter caption opens a description only where all are short."""
MOST_BEFORE_NOUN = 6
"""Words before a noun within which its article is looked for."""
SCENE = "scene"
"""The head of a place that is the setting of the whole image."""


@dataclass(frozen=True, slots=True)
class Told:
    """One fact that captions tell of a thing, or of several of a kind."""

    kind: ToldKind
    head: str
    """The noun the captions use: "man", "dogs"; "scene" for the setting of the whole image."""
    is_plural: bool
    words: str
    """What comes after "is": "riding a wave" (doing), "parked on a street" (state), "red and white"
    (attribute), "on a couch" (place). After "is wearing" or "is holding": "a red shirt". Of "with" the
    phrase itself: "with a stove and a sink"."""
    verb: str
    """The -ing form that `words` begins with, where something is done; else empty."""
    captions: tuple[int, ...]
    """The captions that say it, the one that it is worded from first."""


# The word lists


class _Name(NamedTuple):
    """What a noun says of the thing that it names."""

    kind: str
    is_plural: bool
    is_person: bool
    pronoun: str
    """ "he", "she", or empty."""


def _names() -> dict[str, _Name]:
    """Every noun in the singular and in the plural; one of two words with a space between."""
    names: dict[str, _Name] = {}
    people = _TEXT["people"]
    entries = [("man", people["he"], True, "he"), ("woman", people["she"], True, "she")]
    entries.append(("person", people["open"], True, ""))
    entries += [(kind, words, False, "") for kind, words in _TEXT["nouns"].items()]
    for kind, words, is_person, pronoun in entries:
        for word in words.split():
            singular = word.replace("_", " ")
            plural = "people" if singular == "person" else plural_of(singular)
            names.setdefault(singular, _Name(kind, False, is_person, pronoun))
            names.setdefault(plural, _Name(kind, True, is_person, pronoun))
    return names


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    """What "ride", "rides" and "riding" share; only ever compared with another stem."""
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            word = word[: -len(ending)]
            if len(word) > 2 and word[-1] == word[-2] and word[-1] not in "sl":
                word = word[:-1]
            break
    if word.endswith("e") and len(word) > 2:
        word = word[:-1]
    return _SAME_STEMS.get(word, word)


def _rivals() -> dict[str, list[tuple[frozenset[str], frozenset[str]]]]:
    """By stem: the stems that say the same, and those that another caption might say against it."""
    rivals: dict[str, list[tuple[frozenset[str], frozenset[str]]]] = {}
    for words in _TEXT["rivals"].values():
        sides = [frozenset(map(_stem, side.split("/"))) for side in words.split()]
        for side in sides:
            others = frozenset[str]().union(*sides) - side
            for stem in side:
                rivals.setdefault(stem, []).append((side, others))
    return rivals


def _phrases(key: str) -> frozenset[str]:
    return frozenset(word.replace("_", " ") for word in _TEXT["words"][key].split())


_TEXT = load_toml("scene.toml")
_WORDS = {key: frozenset(words.split()) for key, words in _TEXT["words"].items()}
_CAPTION_WORDS = load_words("captions.toml")
_STOP_WORDS = _CAPTION_WORDS["stop_words"]
_CROWDS = frozenset(_TEXT["people"]["many"].split())
_BESIDES = frozenset(_TEXT["people"]["besides"].split())
_LIVING_KINDS = _phrases("animals")
_SAME_STEMS = {"ly": "lay", "li": "lay", "grey": "gray", "racquet": "racket"}

_NAMES = _names()
_PAIRS = frozenset(name for name in _NAMES if " " in name)
_LAST_OF_PAIRS = frozenset(name.split()[-1] for name in _PAIRS)
_RIVALS = _rivals()
_RIVAL_STEMS = frozenset(_RIVALS)
_ONE_AFTER = {forms.split()[0]: verb for verb, forms in _TEXT["verbs"].items()}
_SEVERAL_AFTER = {forms.split()[1]: verb for verb, forms in _TEXT["verbs"].items()}
_DOING = _WORDS["doing"] | _TEXT["verbs"].keys()
_THING_DOING = _WORDS["thing_doing"]
_ROOMS, _SETTING_KINDS = _phrases("rooms"), _phrases("setting_kinds")
_HAS_NOTHING = _SETTING_KINDS | _phrases("has_nothing")
_FINITE = _CAPTION_WORDS["finite_verbs"] | _ONE_AFTER.keys()
_PLURAL_FINITE = _CAPTION_WORDS["plural_verbs"] | _SEVERAL_AFTER.keys()
_PARTICIPLES = _WORDS["participles"]
_AFTER_PARTICIPLE = _PARTICIPLES | _CAPTION_WORDS["participles"]
_FORMS = _ONE_AFTER.keys() | _SEVERAL_AFTER.keys()
_BE_OR_DOES = _FORMS | {"is", "are"}
_ONE, _SEVERAL, _GROUPS, _ODD = _WORDS["one"], _WORDS["several"], _WORDS["groups"], _WORDS["odd"]
_COLOURS, _SHADES, _BETWEEN = _WORDS["colours"], _WORDS["shades"], _WORDS["between"]
_PREPOSITIONS, _CLAUSES, _UNSAID = _WORDS["prepositions"], _WORDS["clauses"], _WORDS["unsaid"]
_STOPS = _PREPOSITIONS | _WORDS["ends"] | _FINITE
_AFTER_ONE = _STOPS | _PARTICIPLES | _CAPTION_WORDS["participles"]
_AFTER_SEVERAL = _AFTER_ONE | _PLURAL_FINITE
_ING_NOUNS, _BEFORE_ING = _WORDS["ing_nouns"], _WORDS["before_ing"]
_CLOTHES, _BARE_CLOTHES = _WORDS["clothes"], _WORDS["bare_clothes"]
_SETTINGS = {way: _phrases(f"settings_{way}") for way in ("in", "on", "at")}
_SETTING_NAMES = frozenset(name for names in _SETTINGS.values() for name in names)
_LAST_OF_SETTINGS = frozenset(name.split()[-1] for name in _SETTING_NAMES)
_BEFORE_SETTING, _AFTER_SETTING = _WORDS["setting_prepositions"], _WORDS["after_setting"]
# How to say that something is there, of what it is walked "across" or "through".
_WAYS = {name: way for way in ("at", "on", "in") for name in sorted(_SETTINGS[way])}
_INDOORS, _OUTDOORS = _WORDS["indoors"], _WORDS["outdoors"]
_BARE_NOUNS = _WORDS["bare_nouns"]
_BEFORE_ARTICLE = _WORDS["before_article"]
_MAY_BEGIN_NOUN = _ONE | _SEVERAL | _ODD | _STOPS | _WORDS["may_begin_noun"]
_SAME_PLURAL = frozenset(("sheep", "cow"))
_STILL, _PLACING = _WORDS["still"], _WORDS["place_prepositions"]
_MACHINES = _phrases("machines")
_MACHINE_DOING = _DOING | _WORDS["machine_doing"]
# "arm" is none of the names, "robot arm" is.
_LAST_OF_MACHINES = frozenset(name.split()[-1] for name in _PAIRS if _NAMES[name].kind in _MACHINES)
_MOVING_KINDS = _LIVING_KINDS | _phrases("vehicles")
_EXACT, _ELSEWHERE = _WORDS["exact"], _WORDS["elsewhere"]
_POSTURES = frozenset(("sitting", "standing", "lying"))
_COUNTED_KINDS = _MOVING_KINDS | {"man", "woman", "person"}
_WEARING = frozenset(map(_stem, ("wearing", "in", "with", "dressed")))
_CLOTHES_STEMS = frozenset(map(_stem, _CLOTHES - {"glasses"}))
_SETTING_STEMS = frozenset(map(_stem, _LAST_OF_SETTINGS)) | {"highway", "ocean", "outdoor"}
# Of these, a description says one thing only: the next might be of somebody else.
_SAID_BY: dict[ToldKind, frozenset[str]] = {
    "wearing": frozenset((_stem("wearing"),)),
    "holding": frozenset(map(_stem, ("holding", "carrying"))),
}
_NOUNS = frozenset(_NAMES) | _CLOTHES | _WORDS["objects"] | _LAST_OF_SETTINGS | _LAST_OF_PAIRS
# What may end a phrase, or its clause, after a single subject.
_MAY_END = _CLAUSES | _FINITE | _WORDS["doubtful"] | {",", "and", "or", "with", "about"}
_PLURAL_VERBS_ALONE = _PLURAL_FINITE - _NOUNS
_BEFORE_LAID = _ONE | _SEVERAL | {"it", "them"}
_SLIPS = frozenset((("to", "of"), ("it", "line"), ("ready", "hit"), ("ready", "serve"), ("a", "umbrella")))
_LETTERS = frozenset("at0123456789")
_ARTICLES = frozenset(("a", "an", "the"))
_NUMBERING, _COLOUR_WORDS = _ONE | _SEVERAL, _COLOURS | _SHADES
_NOT_BEFORE_NOUN = _STOPS | _NUMBERING | _ODD
_NOT_AFTER_ARTICLE = (_PREPOSITIONS | _ONE | {"and", "both", "is", "are"}) - {
    "inside",
    "outside",
    "next",
    "one",
}
# After these comes a noun: "the covers", "white skis".
_BEFORE_NOUN = _ONE | _SEVERAL | _ODD | _PREPOSITIONS | _COLOURS | (_BETWEEN - _NOUNS) | {"and", "or", ","}


def _known_stems() -> frozenset[str]:
    words = set(_NAMES).union(_DOING, _FORMS, *_WORDS.values(), *_CAPTION_WORDS.values())
    for category in CATEGORIES.values():
        words.update(category.same, category.kinds, category.broader)
    return frozenset(_stem(word) for name in words for word in name.replace("_", " ").split())


_KNOWN_STEMS = _known_stems()
_NO_TINTS: frozenset[tuple[str, str]] = frozenset()
_MARKS = ((",", " ,"), (".", " ."), (";", " ;"), (":", " :"))
_PLAIN = re.compile(r"[a-zA-Z0-9' -]+")


def _is_ing_form(token: str) -> bool:
    return token.endswith("ing") and len(token) > 4 and token not in _ING_NOUNS


def is_machine(head: str) -> bool:
    """Whether it handles things as people do: "robot arm", "grippers"."""
    name = _NAMES.get(head)
    return name is not None and name.kind in _MACHINES


# What one caption says


class _Mention(NamedTuple):
    """A thing that a caption names, with what stands before it."""

    name: _Name
    noun: str
    start: int
    end: int
    is_plural: bool
    number: str
    """ "one", "two", "many"; empty for a single thing without an article, as after a preposition."""
    colours: str | None
    """ "red" or "red and white"; empty where none is said, None where it is not clear."""
    is_odd: bool
    """True for "another dog" and "no dog"."""


class _Fact(NamedTuple):
    """What a caption says of its subject, or of the setting, which has no subject."""

    kind: ToldKind
    subject: _Mention | None
    words: str
    verb: str
    stems: frozenset[str]
    tints: frozenset[tuple[str, str]]
    """The things and their colours in `words`."""
    things: list[tuple[str, bool]]
    """The kinds of things in `words`, and whether they are several."""
    is_with_living: bool = False
    """True of "with a dog": "is with", where other things are had."""


class _Reading(NamedTuple):
    """A caption in words, and the things that it names."""

    sentence: Sentence
    raw: list[str]
    tokens: list[str]
    """`raw` in lower case."""
    stems: frozenset[str]
    """Of its content words."""
    mentions: list[_Mention]
    tints: frozenset[tuple[str, str]]
    is_crowd: bool
    """True where it speaks of a group of people as a whole."""
    has_besides: bool
    """True where it speaks of "others" or "a friend"."""

    def fact(
        self, kind: ToldKind, subject: _Mention | None, start: int, end: int, verb: str = ""
    ) -> _Fact | None:
        """The fact in the words from `start`, if these can be said."""
        tokens = self.tokens[start:end]
        if not 1 < len(tokens) + bool(verb) <= LONGEST or not _UNSAID.isdisjoint(tokens):
            return None
        if self._is_slip(start, end):
            return None
        words = " ".join(self.raw[start:end])
        if _PLAIN.fullmatch(words) is None:
            return None
        stems = {_stem(token) for token in tokens if token not in _STOP_WORDS}
        if not stems:
            return None
        if verb:
            words = f"{verb} {words}"
            stems.add(_stem(verb))
        is_with_living = kind == "with" and self.begins_with_living(start, end)
        things = [
            (mention.name.kind, mention.is_plural)
            for mention in self.mentions
            if start <= mention.start < end and not mention.name.is_person
        ]
        return _Fact(kind, subject, words, verb, frozenset(stems), _tints(tokens), things, is_with_living)

    def _is_slip(self, start: int, end: int) -> bool:
        """Whether the words look like a slip of the pen, or leave out articles like a telegram."""
        tokens = self.tokens
        for index in range(start, end - 1):
            token, after = tokens[index], tokens[index + 1]
            if (token, after) in _SLIPS or (len(after) == 1 and after not in _LETTERS):
                return True
            if token in _ARTICLES:
                # "with a both a toilet", "on a purple sheets"
                if after in _NOT_AFTER_ARTICLE or (token != "the" and _is_many(tokens, index)):
                    return True
            elif token in _BEFORE_ARTICLE:
                if _lacks_article(tokens, index + 1):
                    return True
            elif after in _PLURAL_VERBS_ALONE and token in _NOUNS:
                # "on a skateboard ride down a ramp"
                return True
        return any(start <= mention.start < end and _is_slip_of(mention, tokens) for mention in self.mentions)

    def begins_with_living(self, start: int, end: int) -> bool:
        first = next((mention for mention in self.mentions if start <= mention.start < end), None)
        return first is not None and (first.name.is_person or first.name.kind in _LIVING_KINDS)

    def has_living(self, start: int, end: int) -> bool:
        for mention in self.mentions:
            if start <= mention.start < end and (
                mention.name.is_person or mention.name.kind in _LIVING_KINDS
            ):
                return True
        return False


def _is_slip_of(mention: _Mention, tokens: list[str]) -> bool:
    """Whether a single thing is named without its article, or several with one."""
    if mention.number:
        return mention.is_odd and mention.is_plural
    if mention.name.kind in _BARE_NOUNS and mention.colours == "":
        return False
    return tokens[mention.start - 1 : mention.end] != ["in", "bed"]


@lru_cache(maxsize=256)
def _read(sentence: Sentence) -> _Reading:
    """Reads a caption. It is asked for several times while its image is spoken of, hence the cache."""
    body = sentence.text[:-1]
    for mark, apart in _MARKS:
        if mark in body:
            body = body.replace(mark, apart)
    raw, tokens = body.split(), body.lower().split()
    mentions = [
        mention
        for position, token in enumerate(tokens)
        if (token in _NAMES or token in _LAST_OF_MACHINES)
        and (mention := _mention(tokens, position)) is not None
    ]
    if "'s" in body:
        mentions += _owners(tokens)
    words = sentence.words
    return _Reading(
        sentence,
        raw,
        tokens,
        frozenset(map(_stem, words)),
        mentions,
        _NO_TINTS if _COLOURS.isdisjoint(words) else _tints(tokens),
        not _CROWDS.isdisjoint(words) and _speaks_of_crowd(tokens),
        not _BESIDES.isdisjoint(words),
    )


def _speaks_of_crowd(tokens: list[str]) -> bool:
    """ "a crowd watching"; not "a crowd of cows", and not "a police car"."""
    return any(
        token in _CROWDS
        and (index + 1 == len(tokens) or (tokens[index + 1] != "of" and _may_follow(tokens[index + 1], True)))
        for index, token in enumerate(tokens)
    )


def _owners(tokens: list[str]) -> list[_Mention]:
    """ "a man's hand": somebody who is there, of whom nothing is told. Nor is it of "two giraffe's"."""
    return [
        _Mention(name, token[:-2], index, index + 1, name.is_plural, "one", "", tokens[index - 1] in _SEVERAL)
        for index, token in enumerate(tokens)
        if token.endswith("'s") and (name := _NAMES.get(token[:-2])) is not None
    ]


def _may_follow(token: str, is_plural: bool) -> bool:
    """Whether a noun can end before it; "station" after "train" makes another noun of it."""
    return (
        token in (_AFTER_SEVERAL if is_plural else _AFTER_ONE)
        or _is_ing_form(token)
        or (token.endswith("ed") and len(token) > 4)
        or token.endswith("ly")
    )


def _mention(tokens: list[str], last: int) -> _Mention | None:
    """Reads the thing whose name ends at `last`, and what stands before it; None where it is no name."""
    noun, first = tokens[last], last
    if noun in _LAST_OF_PAIRS and last and (pair := f"{tokens[last - 1]} {noun}") in _PAIRS:
        noun, first = pair, last - 1
    name = _NAMES.get(noun)
    if name is None:
        return None
    is_cut_off = last + 1 < len(tokens) and not _may_follow(tokens[last + 1], name.is_plural)
    if is_cut_off and (not name.is_person or _names_person_soon(tokens, last + 1)):
        return None
    back, colours = _walk_back(tokens, first)
    token = tokens[back] if back >= 0 else ""
    start, number, is_plural, is_odd = first, "", name.is_plural, False
    if back < 0:
        # "Man riding a wave", "People on a beach"
        start, number = 0, "many" if is_plural else "one"
    elif token in _ONE:
        start, number = back, "many" if is_plural else "one"
        is_odd = is_plural and token in ("a", "an", "one", "this")
    elif token in _SEVERAL or token.isdigit():
        start, number, is_plural = back, token, True
    elif token in _ODD:
        is_odd = True
    elif is_plural:
        start, number = back + 1, "many"
    if start and "of" in (token, tokens[start - 1]) and (group := _group(tokens, back)) is not None:
        if token == "of":
            number = "two" if tokens[back - 1] in ("couple", "pair") else "many"
        start, is_plural = group, True
    if is_plural and not name.is_plural and name.kind not in _SAME_PLURAL:
        # "two giraffe", "a herd of zebra"; "three bus" is a slip.
        is_odd = name.kind not in _LIVING_KINDS
        noun = plural_of(noun)
    return _Mention(name, noun, start, last + 1, is_plural, number, _worded(tokens, back, colours), is_odd)


def _walk_back(tokens: list[str], first: int) -> tuple[int, list[str] | None]:
    """Where the article of the noun at `first` is, or what else comes before it, and the colours between.

    No colours, but None, where a word stands between them and the noun that may be what they are said of.
    """
    colours: list[str] = []
    is_clear = True
    back = first - 1
    while back >= 0 and first - back <= MOST_BEFORE_NOUN:
        token = tokens[back]
        if token in _COLOURS:
            shade = f"{tokens[back - 1]} " if back and tokens[back - 1] in _SHADES else ""
            colours.append(shade + token)
        elif token == "and":
            if not back or tokens[back - 1] not in _COLOURS or tokens[back + 1] not in _COLOUR_WORDS:
                break
        elif token in _NOT_BEFORE_NOUN or token.isdigit():
            break
        elif _is_ing_form(token):
            if not back or tokens[back - 1] not in _NUMBERING:
                break
        elif not colours and token not in _BETWEEN and token not in _SHADES:
            is_clear = False
        back -= 1
    return back, colours if is_clear or not colours else None


def _worded(tokens: list[str], back: int, colours: list[str] | None) -> str | None:
    """The colours in words; None where more may be meant, as in "red, white and blue"."""
    if not colours:
        return None if colours is None else ""
    before = tokens[max(0, back - 2) : back + 1]
    if len(colours) > 2 or not (_COLOURS.isdisjoint(before) or {"and", ",", "or"}.isdisjoint(before)):
        return None
    if len(colours) == 2 and "and" not in tokens[back + 1 : back + 5]:
        return None
    return " and ".join(reversed(colours))


def _names_person_soon(tokens: list[str], start: int) -> bool:
    """Whether a person's name belongs to a longer one: "a male tennis player"."""
    for token in tokens[start : start + 3]:
        if token in _STOPS:
            return False
        if token in _NAMES and _NAMES[token].is_person:
            return True
    return False


def _group(tokens: list[str], back: int) -> int | None:
    """Where "a group of" begins, whose "of" is at `back` or one before; None where it is not one."""
    of = back if tokens[back] == "of" else back - 1
    if of >= 2 and tokens[of - 1] in _GROUPS:
        start = of - 2
        if tokens[start] not in _ONE and start and tokens[start - 1] in _ONE:
            # "a large group of"
            start -= 1
        return start if tokens[start] in _ONE else None
    return None


def _tints(tokens: Sequence[str]) -> frozenset[tuple[str, str]]:
    """Every thing that a colour is said of, known or not, with the colour."""
    if _COLOURS.isdisjoint(tokens):
        return _NO_TINTS
    tints = []
    for index, token in enumerate(tokens):
        if token in _COLOURS:
            after = index + 1
            while after < len(tokens) and (
                tokens[after] in _COLOURS or tokens[after] in _BETWEEN or tokens[after] in ("and", ",")
            ):
                after += 1
            if after < len(tokens):
                tints.append((_stem(tokens[after]), _stem(token)))
    return frozenset(tints)


def _facts_in(reading: _Reading, cast: _Cast) -> list[_Fact]:
    return [*_facts_of_subject(reading, cast), *_settings(reading), *_colours(reading, cast)]


def _facts_of_subject(reading: _Reading, cast: _Cast) -> Iterator[_Fact]:
    """What a caption says of the thing that it begins with."""
    tokens = reading.tokens
    first = 2 if tokens[:1] == ["there"] and tokens[1:2] in (["is"], ["are"]) else 0
    if not reading.mentions or reading.mentions[0].start != first:
        return
    subject = reading.mentions[0]
    if not cast.has(subject) or subject.is_odd or not subject.number or subject.noun in _WORDS["no_subjects"]:
        return
    is_bare = tokens[first] not in _ONE and subject.number in ("one", "many") and not first
    is_phrase = reading.sentence.phrase is not None or first > 0 or (is_bare and subject.is_plural)
    at = subject.end
    for _ in range(3):
        if at + 1 >= len(tokens):
            return
        if tokens[at] in ("that", "who", "which"):
            at += 1
            if tokens[at] not in ("is", "are"):
                return
        has_be = tokens[at] in ("is", "are")
        if has_be and (tokens[at] == "are") != subject.is_plural:
            return
        at += has_be
        fact, at = _predicate(reading, subject, at, has_be, is_phrase)
        if fact is not None:
            yield fact
        if at < 0:
            return


def _predicate(
    reading: _Reading, subject: _Mention, at: int, has_be: bool, is_phrase: bool
) -> tuple[_Fact | None, int]:
    """The fact that begins at `at`, and where another about the same subject may begin, or -1."""
    tokens = reading.tokens
    if at + 1 >= len(tokens):
        return None, -1
    token, following = tokens[at], tokens[at + 1]
    verb = _verb_at(token, subject, has_be)
    is_sure = has_be or is_phrase or (verb != "" and verb != token)
    if verb == "wearing" or (token == "in" and subject.name.is_person):
        end = _clothes_end(tokens, at + 1)
        if end is not None:
            goes_on = end < len(tokens) and (tokens[end] in _DOING or tokens[end] in _BE_OR_DOES)
            return reading.fact("wearing", subject, at + 1, end), end if goes_on else -1
        if verb:
            return None, -1
    if verb in _WORDS["transitive"] and _lacks_article(tokens, at + 1):
        # "riding skateboard"
        return None, -1
    if verb == "holding" and following in _NUMBERING:
        end, ender = _end_of_object(tokens, at + 1, subject.is_plural)
        is_sure = is_sure or _is_without_verb(tokens, at + 1, end, subject.is_plural)
        is_whole = is_sure and _is_well_cut(tokens, end, ender) and tokens[end - 1] not in ("hand", "hands")
        return reading.fact("holding", subject, at + 1, end) if is_whole else None, -1
    kind: ToldKind | None = "doing" if verb else _kind_at(tokens, at, subject)
    if kind is None:
        return None, -1
    if verb == "laying" and following not in _BEFORE_LAID:
        verb = "lying"
    return _tail_fact(reading, subject, kind, at, verb, is_sure)


def _verb_at(token: str, subject: _Mention, has_be: bool) -> str:
    """The -ing form of what the subject does, empty where the word is nothing that it can do."""
    is_alive = subject.name.is_person or subject.name.kind in _LIVING_KINDS
    if subject.name.kind in _SETTING_KINDS:
        return ""
    verb = token
    if not has_be:
        verb = (_SEVERAL_AFTER if subject.is_plural else _ONE_AFTER).get(token, token)
    may_do = _DOING if is_alive else _MACHINE_DOING if subject.name.kind in _MACHINES else _THING_DOING
    return verb if verb in may_do else ""


def _kind_at(tokens: list[str], at: int, subject: _Mention) -> ToldKind | None:
    """What a word that is no verb says of the subject."""
    token, kind = tokens[at], subject.name.kind
    if token in (_WORDS["person_participles"] if subject.name.is_person else _PARTICIPLES):
        return "state"
    if token == "with" and (kind in _ROOMS or kind not in _HAS_NOTHING):
        return "with"
    if token in _PLACING and kind not in _SETTING_KINDS and _is_place(tokens, at):
        return "place"
    return None


def _tail_fact(
    reading: _Reading, subject: _Mention, kind: ToldKind, at: int, verb: str, is_sure: bool
) -> tuple[_Fact | None, int]:
    """The fact that goes on as long as its phrase does, and where another may begin, or -1."""
    tokens, is_person = reading.tokens, subject.name.is_person
    start = at + 1 if verb else at
    end, ender = _end_of_tail(tokens, at + 1, subject.is_plural)
    if kind == "place" or (verb in _STILL and tokens[start] in ("in", "on", "at")):
        end, ender = _end_of_place(tokens, start, end, ender, may_do_more=kind == "doing")
    if verb in _POSTURES and (tokens[start] in _NOUNS or tokens[start] in _ONE):
        # "standing snow", "sitting a table"
        return None, -1
    if kind == "place" and is_person and tokens[at] == "in" and not _CLOTHES.isdisjoint(tokens[at:end]):
        return None, -1
    if not _is_well_cut(tokens, end, ender):
        return None, -1
    if not is_sure and not _is_without_verb(tokens, start, end, subject.is_plural):
        # "a man riding a horse jumps"
        return None, -1
    has_living = reading.has_living(start, end)
    goes_on = kind in ("place", "with") and ender not in ("", ",", "and") and not has_living
    if kind == "with":
        is_alive = is_person or subject.name.kind in _LIVING_KINDS
        if (ender and not (is_person and goes_on)) or (has_living and not is_alive):
            # "a kitchen with a man cooking"
            return None, -1
        if not _is_had(tokens, start + 1, end):
            return None, -1
    return reading.fact(kind, subject, start, end, verb), end if goes_on else -1


def _is_had(tokens: list[str], start: int, end: int) -> bool:
    """Whether a list of things begins here that one can have: none of them without its article."""
    if not _WORDS["worn_only"].isdisjoint(tokens[start:end]):
        return False
    return not _lacks_article(tokens, start)


def _is_many(tokens: list[str], article: int) -> bool:
    """Whether an "a" stands before a plural."""
    last = article + 1
    while last + 1 < len(tokens) and not _may_follow(tokens[last + 1], False):
        last += 1
    return tokens[last].endswith("s") and not tokens[last].endswith(("ss", "us", "is"))


def _lacks_article(tokens: list[str], start: int) -> bool:
    """Whether a single thing is named without an article from `start`: "court", not "grass" or "trees"."""
    if start >= len(tokens) or tokens[start] in _MAY_BEGIN_NOUN:
        return False
    last = start
    while last + 1 < len(tokens) and (
        not _may_follow(tokens[last + 1], False) or tokens[last + 1 : last + 2] == ["covered"]
    ):
        last += 1
    return not tokens[last].endswith("s") and tokens[last] not in _WORDS["mass_nouns"]


def _end_of_place(tokens: list[str], start: int, end: int, ender: str, may_do_more: bool) -> tuple[int, str]:
    """Where a place ends: "a pizza on a tray and a fork" does not say where the fork is."""
    for index in range(start, end - 1):
        if tokens[index] == "and" and tokens[start] != "between" and tokens[index - 1] not in _COLOURS:
            if may_do_more and _is_ing_form(tokens[index + 1]):
                continue
            return index, "and"
    return end, ender


def _is_place(tokens: list[str], at: int) -> bool:
    """Whether a preposition begins a place: not "on a sunny day", "in red"."""
    following = tokens[at + 1 : at + 5]
    if not following or following[0] in _COLOURS or not _WORDS["no_place"].isdisjoint(following):
        return False
    return tokens[at] != "next" or following[0] == "to"


def _clothes_end(tokens: list[str], start: int) -> int | None:
    """Where the clothes that are named from `start` end; None where there are none."""
    end: int | None = None
    has_article = tokens[start : start + 1] != [] and (tokens[start] in _ONE or tokens[start] in _SEVERAL)
    for index in range(start, min(start + 10, len(tokens))):
        token = tokens[index]
        if token in _CLOTHES:
            if not has_article and token not in _BARE_CLOTHES:
                return end
            following = tokens[index + 1] if index + 1 < len(tokens) else "."
            if following in _CLOTHES:
                continue
            if not _may_follow(following, True):
                return end
            end = index + 1
            has_article = tokens[index + 1 : index + 2] == ["and"] and has_article
        elif token == "and":
            if end is not None:
                has_article = index + 1 < len(tokens) and tokens[index + 1] in _ONE | _CLOTHES
        elif token in _ONE:
            has_article = True
        elif token == "," or token in _STOPS or _is_ing_form(token):
            return end
    return end


def _end_of_object(tokens: list[str], start: int, is_plural: bool) -> tuple[int, str]:
    """Like `_end_of_tail`, but without a place after the thing that is held."""
    end, ender = _end_of_tail(tokens, start, is_plural)
    for index in range(start, end):
        token = tokens[index]
        if (token in _PREPOSITIONS and token != "of") or (
            token == "and" and index + 1 < end and _is_ing_form(tokens[index + 1])
        ):
            return index, token
    return end, ender


def _end_of_tail(tokens: list[str], start: int, is_plural: bool) -> tuple[int, str]:
    """How far a phrase goes on without a new clause, and the word that ends it, empty at the very end."""
    last_with = -1
    for index in range(start, len(tokens)):
        token, before = tokens[index], tokens[index - 1]
        if not (token in _MAY_END or is_plural or token.endswith("ing")):
            continue
        if token == "with":
            last_with = index
        if token == "," or (token in _CLAUSES and before not in _WORDS["before_can"]):
            return index, token
        if token == "about" and tokens[index + 1 : index + 2] == ["to"]:
            return index, token
        if token in _WORDS["doubtful"] and before not in _BEFORE_NOUN:
            return start, token
        if token in ("and", "or"):
            if not (
                before in _COLOURS and tokens[index + 1 : index + 2] and tokens[index + 1] in _COLOURS
            ) and (_has_verb(tokens, index + 1)):
                return index, token
            continue
        if index > start and _begins_verb(token, before, is_plural):
            # "with its mouth hanging open" loses its sense with its verb.
            return (last_with, "with") if last_with > 0 else (index, token)
    return len(tokens), ""


def _is_without_verb(tokens: list[str], start: int, end: int, is_plural: bool) -> bool:
    """Whether no word of a phrase can be the verb of the sentence; any word can, after a plural."""
    return not is_plural and not any(
        ((token.endswith("s") and not token.endswith(("ss", "us", "is"))) or token.endswith("ed"))
        and token not in _NOUNS
        and token not in _BETWEEN
        and token not in _AFTER_PARTICIPLE
        and before not in _BEFORE_NOUN
        for before, token in pairwise(tokens[start:end])
    )


def _begins_verb(token: str, before: str, is_plural: bool) -> bool:
    """Whether a participle or a finite verb begins here, in the middle of a phrase."""
    if token.endswith("ing"):
        return _is_ing_form(token) and before not in _BEFORE_ING and not _is_ing_form(before)
    if token in _FINITE:
        return before not in _BEFORE_NOUN and not _is_ing_form(before)
    return is_plural and token in _PLURAL_FINITE and before in _NOUNS


def _has_verb(tokens: list[str], start: int) -> bool:
    """Whether what follows an "and" is a clause of its own, or begins with a finite verb."""
    if start >= len(tokens):
        return True
    token = tokens[start]
    if token in _FINITE or token in _PLURAL_FINITE or token in _CLAUSES:
        return True
    if _is_ing_form(token):
        return False
    for index in range(start + 1, len(tokens)):
        token, before = tokens[index], tokens[index - 1]
        if token in _CLAUSES or (_is_ing_form(token) and before not in _BEFORE_ING):
            return True
        if token in _FINITE and before not in _BEFORE_NOUN:
            return True
    return False


def _is_well_cut(tokens: list[str], end: int, ender: str) -> bool:
    """Whether the phrase up to `end` is whole: at the caption's end, or cut behind a noun."""
    last = tokens[end - 1]
    if last == "lot":
        return tokens[end - 2] == "parking"
    return last in _NOUNS if ender else last not in _WORDS["lost_ends"]


def _colours(reading: _Reading, cast: _Cast) -> Iterator[_Fact]:
    """The colours of the things that a caption names."""
    for mention in reading.mentions:
        if mention.colours and not mention.name.is_person and cast.has(mention):
            stems = frozenset(_stem(word) for word in mention.colours.split() if word != "and")
            yield _Fact("attribute", mention, mention.colours, "", stems, _NO_TINTS, [])


def _settings(reading: _Reading) -> Iterator[_Fact]:
    """Where the scene is set: "in a kitchen"."""
    tokens, words = reading.tokens, reading.sentence.words
    if _LAST_OF_SETTINGS.isdisjoint(words) or not _ELSEWHERE.isdisjoint(words):
        return
    for index, token in enumerate(tokens[:-2]):
        if token in _BEFORE_SETTING and tokens[index + 1] in _ARTICLES:
            found = _setting(tokens, index + 2)
            if found is None:
                continue
            end, setting = found
            way = token if token in ("in", "on", "at") and setting in _SETTINGS[token] else _WAYS.get(setting)
            if way is not None and (fact := reading.fact("place", None, index + 1, end)) is not None:
                yield fact._replace(words=f"{way} {fact.words}")


def _setting(tokens: list[str], start: int) -> tuple[int, str] | None:
    """The setting that is named from `start`, and where it ends."""
    for index in range(start, min(start + 4, len(tokens))):
        token = tokens[index]
        following = tokens[index + 1] if index + 1 < len(tokens) else "."
        if token in _STOPS or _is_ing_form(token):
            return None
        if following in _AFTER_SETTING or _is_ing_form(following):
            pair = f"{tokens[index - 1]} {token}"
            return index + 1, pair if pair in _SETTING_NAMES else token
    return None


# Of what "the man" can be said


class _Cast(NamedTuple):
    """Of what a definite article can be used, since every caption means the same by it."""

    people: Literal["one", "several", "pair", "none"]
    """ "pair": a man and a woman, so that "the man" is clear."""
    ones: frozenset[str]
    """Kinds of which every caption knows one at most."""
    several: frozenset[str]
    """Kinds of which every caption that names them knows several."""

    def has(self, mention: _Mention) -> bool:
        if not mention.name.is_person:
            return mention.name.kind in (self.several if mention.is_plural else self.ones)
        if self.people == "pair":
            return bool(mention.name.pronoun) and not mention.is_plural
        return self.people == ("several" if mention.is_plural else "one")

    def who(self, mention: _Mention) -> tuple[str, bool]:
        """The same for all that mean the same thing."""
        if not mention.name.is_person:
            return mention.name.kind, mention.is_plural
        return (mention.name.pronoun if self.people == "pair" else "person"), mention.is_plural


def _cast(readings: Sequence[_Reading]) -> _Cast:
    of_kind: dict[str, list[_Mention]] = {}
    bad: set[str] = set()
    for reading in readings:
        seen: set[str] = set()
        for mention in reading.mentions:
            kind = mention.name.kind
            if mention.name.is_person:
                continue
            if kind in seen or mention.is_odd or not mention.number:
                bad.add(kind)
            seen.add(kind)
            of_kind.setdefault(kind, []).append(mention)
    if any(mention.is_plural for mention in of_kind.get("animal", ())):
        bad |= _LIVING_KINDS
    ones, several = set(), set()
    for kind, mentions in of_kind.items():
        if kind in bad:
            continue
        plurals = sum(mention.is_plural for mention in mentions)
        if not plurals:
            ones.add(kind)
        elif plurals == len(mentions) and len(_exact_numbers(mentions)) < 2:
            several.add(kind)
    return _Cast(_people(readings), frozenset(ones), frozenset(several))


def _exact_numbers(mentions: Sequence[_Mention]) -> set[str]:
    return {mention.number for mention in mentions if mention.number in _EXACT}


def _people(readings: Sequence[_Reading]) -> Literal["one", "several", "pair", "none"]:
    people = [_people_in(reading) for reading in readings]
    everyone = [mention for mentions in people for mention in mentions]
    if not everyone or any(mention.is_odd for mention in everyone):
        return "none"
    has_crowd = any(
        reading.is_crowd and not mentions for reading, mentions in zip(readings, people, strict=True)
    )
    pronouns = {mention.name.pronoun for mention in everyone} - {""}
    if max(map(len, people)) == 1:
        if not any(mention.is_plural for mention in everyone):
            is_alone = not has_crowd and not any(reading.has_besides for reading in readings)
            return "one" if is_alone and len(pronouns) < 2 and not _are_of_two_ages(everyone) else "none"
        if all(mention.is_plural for mention in everyone):
            if any(map(_has_others_in_list, readings)):
                return "none"
            return "several" if len(pronouns) < 2 and len(_exact_numbers(everyone)) < 2 else "none"
    return "pair" if all(map(_is_pair, people)) and max(map(len, people)) == 2 else "none"


def _has_others_in_list(reading: _Reading) -> bool:
    """ "bikers and walkers": the people of another caption may be either."""
    return any(
        mention.name.is_person and reading.tokens[mention.end : mention.end + 1] == ["and"]
        for mention in reading.mentions
    )


def _are_of_two_ages(people: Sequence[_Mention]) -> bool:
    """Whether one caption speaks of a man and another of a child, who can hardly be the same."""
    nouns = {mention.noun for mention in people}
    return not _WORDS["small"].isdisjoint(nouns) and not _WORDS["grown"].isdisjoint(nouns)


def _people_in(reading: _Reading) -> list[_Mention]:
    """The people a caption is about: without the crowd that looks on while somebody does something."""
    people = [mention for mention in reading.mentions if mention.name.is_person]
    if len(people) > 1 and not people[0].is_plural:
        return [
            mention
            for mention in people
            if not (mention.is_plural and mention.number == "many" and not mention.name.pronoun)
        ]
    return people


def _is_pair(mentions: Sequence[_Mention]) -> bool:
    """Whether a caption can be speaking of one man and one woman, or of either."""
    if len(mentions) == 1 and mentions[0].is_plural:
        return mentions[0].number == "two" and not mentions[0].name.pronoun
    pronouns = [mention.name.pronoun for mention in mentions]
    return (
        not any(mention.is_plural for mention in mentions)
        and "" not in pronouns
        and len(set(pronouns)) == len(pronouns)
    )


# What the captions say together


def told_by(captions: Sequence[Sentence]) -> tuple[Told, ...]:
    """The facts that the captions tell, those that most of them share first."""
    return tuple(told for told, _ in _scene(tuple(captions)).told)


class _Scene(NamedTuple):
    """What is read in all captions of an image."""

    readings: list[_Reading]
    cast: _Cast
    told: tuple[tuple[Told, _Fact], ...]


@lru_cache(maxsize=8)
def _scene(captions: tuple[Sentence, ...]) -> _Scene:
    """The facts of an image, the best supported first."""
    readings = [_read(sentence) for sentence in captions]
    cast = _cast(readings)
    once: set[str] = set()
    shared: set[str] = set()
    for reading in readings:
        shared |= once & reading.stems
        once |= reading.stems
    ranked = []
    seen = set()
    for index, reading in enumerate(readings):
        for order, fact in enumerate(_facts_in(reading, cast)):
            subject = fact.subject
            key = (fact.kind, None if subject is None else subject.name.kind, fact.stems)
            if key in seen or _is_misspelt(fact, shared) or _is_disputed(fact, index, readings):
                continue
            seen.add(key)
            supporters = [
                other
                for other, its in enumerate(readings)
                if other != index and fact.stems <= its.stems and _is_said_in(its, fact)
            ]
            head = SCENE if subject is None else _spoken(subject)
            is_plural = subject is not None and subject.is_plural
            told = Told(fact.kind, head, is_plural, fact.words, fact.verb, (index, *supporters))
            share = len(fact.stems & shared) / len(fact.stems)
            ranked.append((-len(supporters), -share, index, order, told, fact))
    # The order of a fact in its caption is its own, so that no two facts are ever compared.
    ranked.sort()
    return _Scene(readings, cast, tuple((told, fact) for *_, told, fact in ranked))


def _subject_stems(fact: _Fact) -> frozenset[str]:
    return frozenset() if fact.subject is None else frozenset(map(_stem, fact.subject.noun.split()))


def _spoken(mention: _Mention) -> str:
    return mention.noun.replace("tv", "TV")


def _is_misspelt(fact: _Fact, shared: Collection[str]) -> bool:
    """Whether one caption alone has a word that is in no list: as often a slip of the pen as a rare word."""
    return any(
        stem not in shared
        and not all(
            len(part) < 2 or part.isdigit() or _stem(part) in _KNOWN_STEMS
            for part in stem.replace("'", "-").split("-")
        )
        for stem in fact.stems - _KNOWN_STEMS
    )


def _is_said_in(reading: _Reading, fact: _Fact) -> bool:
    """Whether a caption that has the fact's words speaks of the same subject in the same way."""
    subject = fact.subject
    if subject is None:
        return True
    if fact.kind == "wearing" and reading.stems.isdisjoint(_WEARING):
        return False
    if fact.kind == "holding" and "hold" not in reading.stems:
        return False
    if subject.name.is_person:
        return any(
            mention.name.is_person and mention.name.pronoun in ("", subject.name.pronoun)
            for mention in reading.mentions
        )
    return any(
        mention.name.kind == subject.name.kind and (fact.kind != "attribute" or mention.colours == fact.words)
        for mention in reading.mentions
    )


def _is_colour_disputed(coloured: _Mention, readings: Sequence[_Reading]) -> bool:
    """Whether a caption gives the same thing a colour that this one does not."""
    said = {_stem(word) for word in (coloured.colours or "").split()}
    return any(
        mention.name.kind == coloured.name.kind
        and (mention.colours is None or not said.issuperset(map(_stem, mention.colours.split())))
        for reading in readings
        for mention in reading.mentions
    )


def _is_disputed(fact: _Fact, index: int, readings: Sequence[_Reading]) -> bool:
    """Whether as many captions say something else: another colour, another board, another stance."""
    if fact.kind == "attribute" and fact.subject is not None:
        return _is_colour_disputed(fact.subject, readings)
    for thing, colour in fact.tints:
        for other, reading in enumerate(readings):
            if other != index and reading.tints:
                colours = {tint for name, tint in reading.tints if name == thing}
                if colours and colour not in colours:
                    return True
    for kind, is_plural in fact.things:
        numbers = [its.is_plural for reading in readings for its in reading.mentions if its.name.kind == kind]
        own = numbers.count(is_plural)
        if own < len(numbers) and (kind in _COUNTED_KINDS or 2 * own <= len(numbers)):
            return True
    # A dog beside a cat is no rival of the cat that it looks at.
    itself = _subject_stems(fact)
    for stem in fact.stems & _RIVAL_STEMS:
        for side, others in _RIVALS[stem]:
            if not itself.isdisjoint(others):
                continue
            own = rivals = 0
            for reading in readings:
                if not side.isdisjoint(reading.stems):
                    own += 1
                elif not others.isdisjoint(reading.stems):
                    rivals += 1
            if rivals >= own:
                return True
    return False


# Which captions go together


def agreeing(captions: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The captions without those that contradict most others on gender, number, colour or setting.

    Where as many say one thing as the other, the first one decides.
    """
    return _agreeing(tuple(captions))


@lru_cache(maxsize=8)
def _agreeing(captions: tuple[Sentence, ...]) -> tuple[Sentence, ...]:
    kept = [(sentence, _read(sentence)) for sentence in captions]
    kept = _majority(kept, [sentence.gender for sentence in captions])
    kept = _majority(kept, [_setting_said(sentence) for sentence, _ in kept])
    numbers = _numbers_said([reading for _, reading in kept])
    while numbers:
        _, of_kind = numbers.popitem()
        if len(set(of_kind.values()) - {None}) > 1:
            kept = _majority(kept, [of_kind.get(index) for index in range(len(kept))])
            numbers = _numbers_said([reading for _, reading in kept])
    return tuple(_of_one_colour(kept))


_Kept = list[tuple[Sentence, _Reading]]


def _majority(captions: _Kept, said: Sequence[str | None]) -> _Kept:
    """Drops those that say something other than most that say anything do."""
    if len({*said, None}) < 3:
        return captions
    votes = [what for what in said if what is not None]
    most = max(votes, key=votes.count)
    return [caption for caption, what in zip(captions, said, strict=True) if what in (None, most)]


def _setting_said(sentence: Sentence) -> str | None:
    words = sentence.words
    if _INDOORS.isdisjoint(words):
        return None if _OUTDOORS.isdisjoint(words) else "outdoors"
    return "indoors" if _OUTDOORS.isdisjoint(words) else None


def _numbers_said(readings: Sequence[_Reading]) -> dict[str, dict[int, str | None]]:
    """By kind and caption: the number that the caption gives, None where that is not clear."""
    numbers: dict[str, dict[int, str | None]] = {}
    for index, reading in enumerate(readings):
        for mention in reading.mentions:
            kind, number = mention.name.kind, mention.number
            # "a dog" does not contradict "two dogs": it says that there may be several.
            if kind in _COUNTED_KINDS and number in _EXACT and number != "one":
                of_kind = numbers.setdefault(kind, {})
                of_kind[index] = None if index in of_kind or mention.is_odd else number
    return numbers


def _of_one_colour(captions: _Kept) -> list[Sentence]:
    """Drops captions that give a single thing a colour that most others do not."""
    coloured: dict[str, list[tuple[int, set[str]]]] = {}
    for index, (_, reading) in enumerate(captions):
        for mention in reading.mentions:
            if mention.colours:
                colouring = (index, set(mention.colours.split()) - {"and"})
                coloured.setdefault(mention.name.kind, []).append(colouring)
    wrong: set[int] = set()
    for kind, colourings in coloured.items():
        if len(colourings) > 1 and kind in _cast([reading for _, reading in captions]).ones:
            support = [
                sum(not colours.isdisjoint(other) for _, other in colourings) for _, colours in colourings
            ]
            most = colourings[support.index(max(support))][1]
            wrong.update(index for index, colours in colourings if colours.isdisjoint(most))
    return [sentence for index, (sentence, _) in enumerate(captions) if index not in wrong]


# A description: how it opens, and what the other captions add


def opening(captions: Sequence[Sentence]) -> tuple[int, Sentence]:
    """The caption that a description best opens with: most of its words are in others too. Needs one."""
    once: set[str] = set()
    shared_words: set[str] = set()
    for sentence in captions:
        shared_words |= once & sentence.words
        once |= sentence.words

    def fitness(index: int) -> tuple[bool, float]:
        sentence = captions[index]
        shared = len(sentence.words & shared_words)
        is_long = sentence.text.count(" ") + 1 >= SHORTEST_OPENING
        return is_long, shared / (len(sentence.words) + 1) + (0.1 if sentence.phrase else 0.0)

    best = max(range(len(captions)), key=fitness)
    return best, captions[best]


def additions(captions: Sequence[Sentence], opening_index: int) -> list[tuple[str, tuple[int, ...]]]:
    """Sentences that add to the opening caption what others tell, each with the captions that say it."""
    scene = _scene(tuple(captions))
    reading = _read(captions[opening_index])
    named = {
        scene.cast.who(mention): mention
        for mention in reading.mentions
        if mention.noun not in _WORDS["no_subjects"]
    }
    said = set(reading.stems)
    sentences: list[tuple[str, tuple[int, ...]]] = []
    used: set[tuple[ToldKind, _Mention | None]] = set()
    last: _Mention | None = None
    for told, fact in scene.told:
        mention = None if fact.subject is None else named.get(scene.cast.who(fact.subject))
        if fact.subject is not None and mention is None:
            if (sentence := _introduced(scene, fact, reading, said)) is not None:
                sentences.append((sentence, told.captions))
                said |= fact.stems | {_stem(fact.subject.noun.split()[-1])}
                last = None
            continue
        if fact.kind in ("doing", "state"):
            fact = _as_place(fact, said)
        if not _is_new(fact, said, reading, mention):
            continue
        if (fact.kind, mention) in used and (fact.kind == "place" or len(told.captions) == 1):
            # Of two places the second may be another's; so may a second deed that one caption knows.
            continue
        used.add((fact.kind, mention))
        sentences.append((_sentence(fact, mention, is_again=mention is last), told.captions))
        said |= fact.stems | _SAID_BY.get(fact.kind, frozenset())
        last = mention
    return sentences


def _as_place(fact: _Fact, said: Collection[str]) -> _Fact:
    """ "standing next to a truck" of somebody who was said to stand: "next to a truck"."""
    verb, _, words = fact.words.partition(" ")
    if verb not in _STILL or _stem(verb) not in said or words.split(" ", 1)[0] not in _PLACING:
        return fact
    return fact._replace(kind="place", words=words, verb="", stems=fact.stems - {_stem(verb)})


def _introduced(scene: _Scene, fact: _Fact, opening: _Reading, said: Collection[str]) -> str | None:
    """ "There is a red blanket", of a thing that the opening does not name and two captions do."""
    subject = fact.subject
    if subject is None or fact.kind != "attribute" or subject.name.kind in _LIVING_KINDS | _SETTING_KINDS:
        return None
    stem = _stem(subject.noun.split()[-1])
    if stem in said or _is_against(frozenset((stem,)), frozenset(), opening):
        return None
    known = sum(
        any(mention.name.kind == subject.name.kind for mention in reading.mentions)
        for reading in scene.readings
    )
    if known < 2:
        return None
    if subject.is_plural:
        return f"There are {fact.words} {_spoken(subject)}."
    return f"There is {'an' if fact.words.startswith('orange') else 'a'} {fact.words} {_spoken(subject)}."


def _is_against(stems: frozenset[str], itself: frozenset[str], reading: _Reading) -> bool:
    """Whether a caption names a rival of one of the stems, and not the same."""
    return any(
        side.isdisjoint(reading.stems) and not others.isdisjoint(reading.stems) and itself.isdisjoint(others)
        for stem in stems & _RIVAL_STEMS
        for side, others in _RIVALS[stem]
    )


def _is_new(fact: _Fact, said: Collection[str], opening: _Reading, mention: _Mention | None) -> bool:
    """Whether a fact adds to what was said, without another word for the same or against it."""
    new = fact.stems.difference(said)
    if 2 * len(new) < len(fact.stems) or not _SAID_BY.get(fact.kind, frozenset()).isdisjoint(said):
        return False
    if fact.verb and _stem(fact.verb) in said:
        return False
    if mention is None:
        return _SETTING_STEMS.isdisjoint(said)
    if fact.kind == "attribute" and mention.colours != "":
        return False
    if fact.kind == "wearing" and not _CLOTHES_STEMS.isdisjoint(said):
        return False
    if any((its.name.kind, not its.is_plural) in fact.things for its in opening.mentions):
        return False
    return not _is_against(fact.stems, _subject_stems(fact), opening)


def _sentence(fact: _Fact, mention: _Mention | None, is_again: bool) -> str:
    """The fact as a sentence."""
    if mention is None:
        return f"The scene is set {fact.words}."
    who = f"The {_spoken(mention)}"
    if is_again and mention.name.is_person:
        who = "They" if mention.is_plural else mention.name.pronoun.capitalize() or who
    if fact.kind == "with" and not fact.is_with_living:
        return f"{who} {'have' if mention.is_plural else 'has'} {fact.words.removeprefix('with ')}."
    be = "are" if mention.is_plural else "is"
    verb = f"{fact.kind} " if fact.kind in ("wearing", "holding") else ""
    return f"{who} {be} {verb}{fact.words}."
