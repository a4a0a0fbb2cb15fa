"""Reading English text by rule: which things it names, how many, what it says of them, and whether
it asserts them or only supposes.

No model and no parser: words are looked up, clauses are told apart by the words that open and
close them. What is doubtful is read as supposed rather than asserted, since a check may only
reject what a text clearly says.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

from datagen.checks.english import (
    ADVERB,
    ATTRIBUTE,
    BE,
    CONJUNCTION,
    DEFINITE,
    DENIAL,
    HEDGE,
    INDEFINITE,
    MARK,
    MODAL,
    NUMBER,
    NUMBERS,
    OTHER,
    PREPOSITION,
    PRONOUN,
    QUANTIFIER,
    RELATIVE,
    SEEN,
    SIDE,
    STOP,
    THERE,
    VERB,
    plain,
)
from datagen.checks.vocabulary import Noun, Vocabulary

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*(?:-[^\W\d_]+)*|\d+(?:[.:,]\d+)*(?:st|nd|rd|th)?|[^\s\w]|\n")


class Mode(IntEnum):
    """How a clause puts what it says."""

    ASSERTED = 0
    SUPPOSED = 1
    """Hedged, hypothetical, a purpose, a comparison."""
    DENIED = 2


class Span(NamedTuple):
    """A number told as a range: `20 to 30 dogs`, `more than ten dogs`, `about two dozen dogs`."""

    low: int
    high: int | None
    """None where it has no end: `more than ten`."""
    is_rough: bool = False
    """`about ten`: near it, on either side."""


class Mention(NamedTuple):
    """A thing named in a text: `the two brown dogs` names dogs."""

    noun: Noun
    first: int
    """Index of its first word, determiner and adjectives included."""
    head: int
    """Index of the first word of the noun itself."""
    end: int
    """Index after its last word."""
    is_plural: bool
    number: int | None
    """As stated; None where none is."""
    at_least: int
    """For `several`, `a few`, `a group of`: fewer than so many would not be called that. Else 0."""
    is_definite: bool
    """`the dog`, `its tail`: takes for granted that there is one."""
    is_bare: bool
    """Without determiner, number or quantifier."""
    is_subset: bool
    """`two of the dogs`, `another dog`, `the smaller dogs`: not all of them."""
    is_modified: bool
    """`two dogs lying on a rug`: there may be others that do not."""
    is_modifier: bool
    """Stands before another noun: `dog` in `dog bed`."""
    mode: Mode
    adjectives: tuple[int, ...]
    """Indices of the words between determiner and noun."""
    span: Span | None = None
    """As stated, where the number is a range; `number` is None then, and `at_least` not above `low`."""


@dataclass
class Reading:
    """A text, word by word."""

    text: str
    words: list[str]
    """In lower case; marks are words of their own."""
    codes: list[int]
    modes: list[Mode]
    sentences: list[tuple[int, int]]
    mentions: list[Mention]
    marked: Mapping[int, Mode] = field(default_factory=dict)
    """By index: the mode of words that stand beside one of the pack's own hedges or denials."""
    nones: dict[int, bool] = field(default_factory=dict)
    """By the noun's first word, for every denied mention once any is asked about: whether it says that there
    is none."""

    @cached_property
    def may_suppose(self) -> bool:
        """Whether anything in it could make a thing that was just named a supposed one."""
        return MODAL in self.codes or not _SUPPOSES.isdisjoint(self.words)

    @cached_property
    def starts(self) -> list[int]:
        """Where each word begins in the text."""
        return [match.start() for match in _TOKEN.finditer(plain(self.text))]

    def said(self, first: int, end: int) -> str:
        """The text's own characters from one word to before another."""
        return self.text[self.starts[first] : self.starts[end - 1] + len(self.words[end - 1])]


# `at least` of a quantifier: fewer would not be called that.
_AT_LEAST = {
    "several": 2, "many": 3, "multiple": 2, "numerous": 3, "few": 2, "couple": 2, "various": 2,
    "countless": 3, "lots": 3, "plenty": 3, "dozens": 24, "hundreds": 200, "group": 2, "bunch": 2, "herd": 2,
    "flock": 2, "crowd": 3, "number": 2, "variety": 2, "collection": 2, "row": 2, "stack": 2,
    "pile": 2, "handful": 2,
}  # fmt: skip
_SEEING = frozenset("seen see spotted observed noticed found spot observe find notice counted count".split())
_WANTED = frozenset("needed required necessary useful important helpful essential".split())
_SUPPOSES = _WANTED | {"seems", "seem", "needs", "need"}
# "a second dog": there are two at least.
_ORDINALS = {"first": 1, "another": 2, "second": 2, "third": 3, "fourth": 4}
_EXACTLY = {"pair": 2, "trio": 3, "duo": 2, "dozen": 12, "both": 2}
_AFTER_TO = frozenset({DEFINITE, INDEFINITE, NUMBER, SIDE, ATTRIBUTE, PRONOUN, QUANTIFIER, OTHER})
# What words before a number leave open: above it, from it on, up to it, below it, near it.
_BOUNDS: dict[tuple[str, ...], str] = {
    ("more", "than"): "above", ("over",): "above", ("at", "least"): "from", ("at", "most"): "up to",
    ("up", "to"): "up to", ("less", "than"): "below", ("fewer", "than"): "below", ("under",): "below",
}  # fmt: skip
_BOUNDS |= {
    (denial, *words): {"above": "up to", "below": "from"}[bound]
    for words, bound in [*_BOUNDS.items()]
    for denial in ("no", "not")
    if words[1:] == ("than",)
}
# "flying over two boats": places, but for "there are over twenty boats".
_PLACES = frozenset("over under around about".split())
_BEFORE_BOUND = frozenset(
    "with of has have had see sees count counts counted contain contains show shows include includes".split()
)
_BOUNDS |= {
    (word,): "near" for word in "than least most about around approximately roughly nearly almost".split()
}
# Where none of these stands, all is asserted.
_TELLS_MODE = frozenset({HEDGE, MODAL, DENIAL})
_OPENS_MODE = frozenset({"if", "when", "to", "whether", "by", "for", "as"})
# After a comma, such a word begins a clause of its own.
_JOINS = frozenset("and while but with whereas as".split())
_OPENS = frozenset({DEFINITE, INDEFINITE, NUMBER, QUANTIFIER, THERE, OTHER})
_NOT_A_NOUN = re.compile(r".*(?:ing|ed|ly|ful|able|ible|ous|est|wards?)$")


def read(text: str, vocabulary: Vocabulary) -> Reading:
    """Read a text."""
    words = _TOKEN.findall(plain(text).lower())
    code_of = vocabulary.codes.get
    codes = [code_of(word, 0) or (NUMBER if word[0].isdigit() else 0) for word in words]
    sentences = _sentences(codes)
    modes = _modes(words, codes, sentences)
    marked = _mark(words, codes, modes, sentences, vocabulary) if vocabulary.hedges else {}
    reading = Reading(text, words, codes, modes, sentences, [], marked)
    _find_mentions(reading, vocabulary)
    return reading


def number_of(word: str) -> int | None:
    """The number a word states: `three`, `3`, `1,200`; None for `10:30`, `2nd`, `1,5` and a year."""
    if word in NUMBERS:
        return NUMBERS[word]
    if _THOUSANDS.fullmatch(word):
        return int(word.replace(",", ""))
    return int(word) if word.isdecimal() and len(word) <= 6 and not _YEAR.fullmatch(word) else None


_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_YEAR = re.compile(r"1[89][0-9]{2}|20[0-9]{2}")


def span_before(words: Sequence[str], begin: int, at: int) -> tuple[Span, int] | None:
    """The range that ends with the number at `at`, and its first word: `between 20 and 30`, `20-30`,
    `more than two dozen`. None where the number stands alone or is part of something else."""
    first, number = _whole_number(words, begin, at)
    if number is None:
        return None
    # "between 20 and 30", "20 to 30", "20-30"
    joint = words[first - 1] if first - 2 >= begin else ""
    if joint in ("and", "to", "-", "–"):
        lower, low = _whole_number(words, begin, first - 2)
        opens = words[lower - 1] if lower > begin else ""
        if low is not None and low < number and (joint != "and" or opens == "between"):
            # "from 20 to 30", "about 20 to 30", "somewhere between 20 and 30"
            is_rough = opens in _NEARLY
            while lower > begin and words[lower - 1] in ("between", "from", "somewhere", *_NEARLY):
                lower -= 1
            return Span(low, number, is_rough), lower
    for size in (3, 2, 1):
        bound = _BOUNDS.get(tuple(words[first - size : first])) if first - size >= begin else None
        if bound is None or (words[first - 1] in _PLACES and not _may_bound(words, begin, first - 1)):
            continue
        first -= size
        spans = {
            "above": Span(number + 1, None),
            "from": Span(number, None),
            "up to": Span(1, number),
            "below": Span(0, number - 1),
            "near": Span(number, number, is_rough=True),
        }
        return spans[bound], first
    return None


def _may_bound(words: Sequence[str], begin: int, at: int) -> bool:
    """Whether `over` and its like may bound the number after them: `there are over`, `with over`, but not
    `is over two boats`."""
    before = words[at - 1] if at > begin else ""
    if before in ("is", "are"):
        return at - 2 >= begin and words[at - 2] == "there"
    if not before:
        return words[at] != "under"  # "Under two trees, …"
    return before in _BEFORE_BOUND or not before[0].isalnum()


_NEARLY = frozenset("about around approximately roughly".split())


def _whole_number(words: Sequence[str], begin: int, at: int) -> tuple[int, int | None]:
    """The number that ends at `at`, with its first word: `30`, `two dozen`, `a dozen`."""
    if at < begin:
        return at, None
    if words[at] != "dozen":
        return at, number_of(words[at])
    before = words[at - 1] if at > begin else ""
    if before in ("a", "one"):
        return at - 1, 12
    times = number_of(before) if before else None
    return (at - 1, 12 * times) if times else (at, 12)


def _sentences(codes: Sequence[int]) -> list[tuple[int, int]]:
    found = []
    begin = 0
    for at, code in enumerate(codes):
        if code == STOP:
            if at > begin:
                found.append((begin, at))
            begin = at + 1
    if len(codes) > begin:
        found.append((begin, len(codes)))
    return found


def _modes(words: list[str], codes: list[int], sentences: list[tuple[int, int]]) -> list[Mode]:
    """The mode of each word: what it is said under."""
    asserted, supposed, denied = Mode.ASSERTED, Mode.SUPPOSED, Mode.DENIED
    modes = [asserted] * len(words)
    if _TELLS_MODE.isdisjoint(codes) and _OPENS_MODE.isdisjoint(words):
        return modes
    for begin, end in sentences:
        mode = asserted
        list_end = begin
        # "If it rains, …", "To carry them, …": fronted, and over at the comma.
        fronted = words[begin] in ("if", "when", "to", "whether", "by", "for")
        if fronted and words[begin] in ("to", "by") and begin + 1 < end:
            # "To the left, a dog …", "By the door stands …": a place
            fronted = (
                _is_infinitive(words, codes, begin)
                if words[begin] == "to"
                else words[begin + 1].endswith("ing")
            )
        if fronted:
            mode = supposed
        for at in range(begin, end):
            code = codes[at]
            if code == MARK:
                if words[at] == "," and mode == denied and list_end <= at:
                    list_end = _list_end(words, codes, at + 1, end)
                opens = at + 2 < end and words[at + 1] in _JOINS and codes[at + 2] in _OPENS
                if words[at] == "," and fronted:
                    mode, fronted = asserted, False
                elif words[at] == "," and mode == denied and _is_or(words, list_end, end):
                    pass  # "no dogs, cats or birds"
                elif words[at] in (";", ":", "(", ")") or (words[at] == "," and (mode == denied or opens)):
                    mode = asserted
            elif code == CONJUNCTION:
                word = words[at]
                if word in ("while", "whereas", "but") or (
                    mode == denied and word != "or" and at + 1 < end and codes[at + 1] in _OPENS
                ):
                    mode = asserted
            elif code == HEDGE:
                # "like a", "need to": the rest of the clause; "ready" and its kin only before "to".
                if words[at] not in ("ready", "prepared", "eager") or _is(words, at + 1, "to"):
                    mode = supposed
            elif code == MODAL:
                if not _is_seeing(words, at + 1, end):
                    mode = supposed
            elif code == DENIAL:
                if words[at] == "not" and words[at + 1 : at + 2] and words[at + 1] in ("only", "far", "just"):
                    pass
                elif words[at] == "no" and _is(words, at + 1, "longer"):
                    mode = supposed
                elif words[at] in ("no", "not") and tuple(words[at : at + 3]) in _BOUNDS:
                    pass  # "no more than two"
                elif mode != supposed or words[at] in ("no", "without"):
                    mode = denied
            elif code == PREPOSITION and mode == asserted:
                word = words[at]
                following = words[at + 1] if at + 1 < end else ""
                if (word == "to" and at + 1 < end and _is_infinitive(words, codes, at)) or (
                    word == "for" and following.endswith("ing")
                ):
                    modes[at] = mode
                    mode = supposed
                    continue
                if (
                    word == "as"
                    and not (at > begin and words[at - 1] == "such")
                    and (
                        following in ("if", "though")
                        or (following in ("a", "an") and BE not in codes[at : at + 5])
                    )
                ):
                    mode = supposed
            modes[at] = mode
    return modes


def _list_end(words: list[str], codes: list[int], at: int, end: int) -> int:
    """Where a list that goes on after a comma has its last joint: at `or` or `nor` if it denies or offers."""
    while at < end and (codes[at] in (0, ATTRIBUTE, SIDE) or words[at] == ","):
        at += 1
    return at


def _is_or(words: list[str], at: int, end: int) -> bool:
    return at < end and words[at] in ("or", "nor")


def _mark(
    words: list[str],
    codes: list[int],
    modes: list[Mode],
    sentences: Sequence[tuple[int, int]],
    vocabulary: Vocabulary,
) -> dict[int, Mode]:
    """Give what stands beside the pack's own hedges and denials its mode, and say which words do."""
    marked: dict[int, Mode] = {}
    for begin, end in sentences:
        for at in range(begin, end):
            for hedge in vocabulary.hedges.get(words[at], ()):
                after = at + len(hedge.words)
                if after > end or tuple(words[at:after]) != hedge.words:
                    continue
                if hedge.is_before:
                    reach = range(after, _clause_end(words, codes, after, end))
                else:
                    reach = range(_clause_begin(words, codes, begin, at), at)
                for index in reach:
                    mode = Mode.DENIED if hedge.is_denial else Mode.SUPPOSED
                    marked[index] = max(marked.get(index, mode), mode)
                    modes[index] = max(modes[index], mode)
    return marked


_BREAKS = frozenset("but while whereas although though which".split())


def _clause_end(words: list[str], codes: list[int], at: int, end: int) -> int:
    """Where the clause ends that a place is in: `possible mass, and the heart …`."""
    list_end = at
    while at < end:
        if words[at] in (";", ":", "(", ")") or words[at] in _BREAKS:
            break
        if words[at] == "," and list_end <= at:
            list_end = _list_end(words, codes, at + 1, end)
        is_joint = words[at] == "," or words[at] == "and"
        if is_joint and at + 1 < end and codes[at + 1] in (DEFINITE, THERE, PRONOUN):
            break
        if words[at] == "," and not _is_or(words, list_end, end):
            break
        at += 1
    return at


def _clause_begin(words: list[str], codes: list[int], begin: int, at: int) -> int:
    """Where the clause begins that ends before a place: `the heart is large and a mass is possible`."""
    first = at
    while first > begin:
        word = words[first - 1]
        if word in (";", ":", ",", "(", ")") or word in _BREAKS:
            break
        if word == "and" and BE in codes[begin:first] and codes[first] in _OPENS:
            break
        first -= 1
    return first


def _is(words: list[str], at: int, word: str) -> bool:
    return at < len(words) and words[at] == word


def _is_seeing(words: list[str], at: int, end: int) -> bool:
    """`can be seen`, `can also see`, `can be made out`: not a supposition."""
    ahead = words[at : min(at + 4, end)]
    return not _SEEING.isdisjoint(ahead) or (
        bool({"make", "made"} & {*ahead}) and "out" in words[at : at + 6]
    )


def _is_infinitive(words: list[str], codes: list[int], at: int) -> bool:
    """Whether `to` opens an infinitive rather than a place: `to catch`, against `next to the`."""
    if codes[at + 1] in _AFTER_TO or words[at + 1][0].isdigit():
        return False
    return at == 0 or words[at - 1] not in ("next", "close", "adjacent", "attached", "similar", "due")


def _find_mentions(reading: Reading, vocabulary: Vocabulary) -> None:
    words, codes = reading.words, reading.codes
    spelled = words
    if "'s" in reading.text or "’s" in reading.text:
        spelled = [
            word[:-2] if word.endswith("'s") and not code else word
            for word, code in zip(words, codes, strict=True)
        ]
    opens = vocabulary.opens_phrase
    for begin, limit in reading.sentences:
        at = begin
        while at < limit:
            if spelled[at] not in opens:
                at += 1
                continue
            found = vocabulary.find(spelled, at)
            if found is None:
                at += 1
                continue
            size, noun, is_plural = found
            end = at + size
            if noun is None:
                at = end
            elif size == 1 and codes[at] and not _is_noun_here(words, codes, at, vocabulary):
                at += 1
            elif not is_plural and reading.mentions and _follows_plural(reading.mentions[-1], at):
                at += 1  # "three ducklings paddle": a verb
            else:
                is_possessive = spelled[at] is not words[at]
                reading.mentions.append(
                    _mention(reading, vocabulary, noun, begin, at, end, limit, is_plural, is_possessive)
                )
                at = end


def _follows_plural(last: Mention, at: int) -> bool:
    return last.end == at and last.is_plural


def _is_noun_here(words: list[str], codes: list[int], at: int, vocabulary: Vocabulary) -> bool:
    """A name that is another word as well: `orange`, `watch`, `back`."""
    before = codes[at - 1] if at else 0
    after = codes[at + 1] if at + 1 < len(words) else MARK
    if codes[at] == ATTRIBUTE:
        # "an orange on", "oranges": a fruit; "an orange shirt", "it is orange": a colour. "An orange and
        # white cat" is of two.
        while after == CONJUNCTION and codes[at + 2 : at + 3] == [ATTRIBUTE]:
            at += 2
            after = codes[at + 1] if at + 1 < len(words) else MARK
        is_before_noun = after in (0, ATTRIBUTE) and not _ends_noun_phrase(words, at + 1)
        if any(attribute.group == "colour" for attribute in vocabulary.attributes[words[at]]):
            return before in (DEFINITE, INDEFINITE, NUMBER) and not is_before_noun
        return before != BE and not is_before_noun  # "on green grass"
    return (
        before in (DEFINITE, INDEFINITE, NUMBER, ATTRIBUTE, QUANTIFIER, OTHER, PREPOSITION)
        and codes[at] != SIDE
    )


def _ends_noun_phrase(words: list[str], at: int) -> bool:
    """Whether a word that no list has cannot be the noun that the words before it describe."""
    return _NOT_A_NOUN.fullmatch(words[at]) is not None


def _mention(
    reading: Reading,
    vocabulary: Vocabulary,
    noun: Noun,
    begin: int,
    head: int,
    end: int,
    limit: int,
    is_plural: bool,
    is_possessive: bool,
) -> Mention:
    words, codes = reading.words, reading.codes
    # To the left: adjectives, then number, quantifier or determiner.
    first = head
    adjectives: list[int] = []
    number: int | None = None
    span: Span | None = None
    at_least = 0
    is_definite = is_subset = has_determiner = False
    at = head - 1
    while at >= begin and head - at <= 6:
        code, word = codes[at], words[at]
        if code in (ATTRIBUTE, 0) and number is None and not has_determiner:
            if code == 0 and head - at > 3:
                break
            if code == 0 and word.endswith("'s"):
                is_definite = has_determiner = True  # "the farmer's hat"
                break
            if code == 0 and word.endswith("ing"):
                break
            adjectives.append(at)
        elif code == SIDE and number is None and not has_determiner and word in ("left", "right"):
            adjectives.append(at)  # "the left dog", of several
            is_subset = True
        elif (code == CONJUNCTION or word == ",") and adjectives and codes[at - 1] == ATTRIBUTE:
            pass
        elif code == NUMBER and number is None:
            number = number_of(word)
            if number is None:
                break
            if ranged := span_before(words, begin, at):
                # "more than three", "20 to 30"; "about three" may be two
                (span, at), number = ranged, None
                at_least = 1 if span.is_rough or not span.low else span.low
                has_determiner = True
        elif code == OTHER or word in _ORDINALS:
            is_subset = True
            if word in _ORDINALS and not is_plural:
                at_least = _ORDINALS[word]
                has_determiner = has_determiner or word == "another"
        elif code == QUANTIFIER:
            at_least = at_least or _AT_LEAST.get(word, 0)
            if word in _EXACTLY:
                number = _EXACTLY[word]
                if word == "dozen":
                    ranged = span_before(words, begin, at)
                    if at > begin and _AT_LEAST.get(words[at - 1]):
                        number, at_least = None, _AT_LEAST["dozens"]  # "several dozen"
                    elif ranged is not None:
                        (span, at), number = ranged, None
                        at_least = 1 if span.is_rough or not span.low else span.low
                        has_determiner = True
                    else:
                        at, number = _whole_number(words, begin, at)
        elif code == DEFINITE:
            is_definite = has_determiner = True
            if word == "both" and number is None and is_plural:
                number = 2
            first = at
            at -= 1
            break
        elif code == INDEFINITE:
            has_determiner = True
        elif word == "of" and at > begin:
            before = words[at - 1]
            if before in _AT_LEAST or before in _EXACTLY:
                # "a group of dogs", "a pair of dogs"
                at_least = at_least or _AT_LEAST.get(before, 0)
                number = _EXACTLY.get(before) if number is None else number
                first = at - 1
                at -= 2
                continue
            if codes[at - 1] == NUMBER or before in ("some", "many", "several", "most", "few", "each", "any"):
                is_subset = True
            break
        else:
            break
        first = at
        at -= 1
    if at >= begin and words[at] == "of" and is_definite and at > begin:
        is_subset = is_subset or codes[at - 1] == NUMBER or words[at - 1] in ("some", "many", "several")
    if any(words[index] in ("single", "lone", "solitary") for index in adjectives):
        number = 1
    if is_plural and number is None and not at_least and words[first] in ("a", "an"):
        is_plural = False  # "a sheep"
    if number is not None and number > 1 and not is_plural:
        number = None  # "a five car train"
    if number == 2 and noun.words.endswith("s") and "pair" in words[first:head]:
        number = None  # "a pair of skis" is one thing
    before = words[at] if at >= begin else ""
    if (
        number == 1
        and first < len(words)
        and words[first] == "one"
        and before not in ("only", "just", "exactly")
    ):
        # "one dog on the left …": one of several, as a rule
        is_subset = is_subset or not (at >= begin and codes[at] == BE)
    # To the right: another noun makes it a modifier.
    is_modifier = is_modified = False
    if not is_possessive and end < limit:
        following = words[end]
        code = codes[end]
        if following in vocabulary.modified_heads:
            is_modifier = not is_plural and "person" not in noun.things
        elif code in (0, ATTRIBUTE):
            found = vocabulary.find(words, end)
            # "a giraffe head": naming the part names the whole
            is_part = (
                found is not None and found[1] is not None and bool(found[1].wholes and not found[1].names)
            )
            # "three ducklings paddle": what follows a plural is rarely described by it
            is_modifier = found is not None and not is_part and not is_plural
            if found is not None and code == ATTRIBUTE and end + found[0] >= limit:
                is_modifier = False  # "Is the wall brick?"
            elif code == 0 and found is None and not is_plural:
                is_modifier = not (_ends_noun_phrase(words, end) or _is_verb(words, codes, first, end, limit))
        if not is_modifier:
            is_modified = code in (PREPOSITION, RELATIVE, VERB) or following.endswith(("ing", "ed"))
            is_modified = is_modified or (code == BE and _says_more(words, codes, end + 1, limit))
            if code in (SEEN, THERE) or (code == PREPOSITION and _leads_to_frame(words, end, limit)):
                is_modified = False
    mode = reading.modes[head]
    if not is_definite and mode == Mode.ASSERTED and reading.may_suppose:
        # "A person could trip", "a moving train needs a long way to stop": none in particular.
        for ahead in range(end, limit):
            # "The table, which has a cup and a book, might …": no subject has a comma before its verb.
            is_modal = (
                codes[ahead] == MODAL and words[ahead - 1] != "," and not _is_seeing(words, ahead + 1, limit)
            )
            if is_modal or words[ahead] in ("seems", "seem", "needs", "need"):
                mode = Mode.SUPPOSED
            elif words[ahead] in (",", "or", "and") or (
                codes[ahead] not in (MARK, VERB, BE, CONJUNCTION, RELATIVE, PRONOUN)
                and words[ahead] != "that"
            ):
                continue
            break
    if (at >= begin and words[at] == "or") or (end < limit and words[end] == "or"):
        mode = max(mode, Mode.SUPPOSED)
    is_bare = not (has_determiner or is_possessive or number is not None or at_least)
    return Mention(
        noun, first, head, end, is_plural, number, at_least, is_definite, is_bare, is_subset,
        is_modified, is_modifier, mode, tuple(reversed(adjectives)), span,
    )  # fmt: skip


def _is_verb(words: list[str], codes: list[int], first: int, at: int, limit: int) -> bool:
    """Whether a word in -s after a noun is what the noun does (`a clock reminds everybody`), not a
    plural that the noun describes (`the key elements`)."""
    if not words[at].endswith("s") or words[at].endswith("ss"):
        return False
    if words[first] in ("a", "an"):
        return True
    return at + 1 < limit and codes[at + 1] in (DEFINITE, INDEFINITE, PRONOUN)


def _says_more(words: list[str], codes: list[int], at: int, limit: int) -> bool:
    """Whether what follows a verb such as `are` may hold of some only: `sitting`, `near the car`."""
    while at < limit and codes[at] in (BE, ADVERB, MODAL) and words[at] not in ("visible", "present"):
        at += 1
    if at >= limit or codes[at] in (SEEN, MARK) or words[at] in ("visible", "present", "seen", "shown"):
        return False
    return codes[at] == PREPOSITION or words[at].endswith("ing")


def _leads_to_frame(words: list[str], at: int, limit: int) -> bool:
    """`in the image`, `in total`: says nothing that only some of them might do."""
    return words[at] == "in" and any(
        word in ("image", "picture", "photo", "photograph", "tile", "scene", "frame", "total", "view", "shot")
        for word in words[at + 1 : min(at + 3, limit)]
    )


_SIGN_OF = frozenset("evidence sign signs suggestion trace of".split())


def says_none(reading: Reading, mention: Mention, *, is_report: bool) -> bool:
    """Whether a denied mention says that there is none: not `the dog is not on the bed`.

    `A table without plates` does not, but for `clear lungs without effusion` in a report.
    """
    if mention.head not in reading.nones:
        # From the first on: in a list each is as the one before it.
        ends_none: set[int] = set()
        for each in reading.mentions:
            if each.mode == Mode.DENIED:
                reading.nones[each.head] = _says_none(reading, each, is_report, ends_none)
                if reading.nones[each.head]:
                    ends_none.add(each.end)
    return reading.nones[mention.head]


def _says_none(reading: Reading, mention: Mention, is_report: bool, ends_none: Container[int]) -> bool:
    """`ends_none`: where mentions end that say so, of those before this one."""
    words, codes = reading.words, reading.codes
    if reading.marked.get(mention.head) == Mode.DENIED:
        return True  # "the dog has gone", in the pack's own words
    at = mention.first - 1
    while at > 0 and words[at] in _SIGN_OF:
        at -= 1
    if at >= 0 and words[at] == "no":
        return True
    if mention.is_definite or mention.number is not None:
        return False
    if at >= 0 and words[at] in ("or", "nor", ","):
        # "no dog, cat or bird": as of the one before it
        at -= words[at - 1] == "," and words[at] != ","
        if at in ends_none:
            return True
    if at >= 0 and words[at] in ("without", "neither"):
        return is_report or words[at] == "neither" or words[mention.first] == "any"
    if words[mention.first] != "any" and not mention.is_bare and words[mention.first] not in ("a", "an"):
        return False
    # "there is not a dog", "the image does not contain any dogs"
    back = reading.words[max(0, mention.first - 6) : mention.first]
    return any(
        word in ("there", "contain", "show", "include", "have", "feature", "depict", "see") for word in back
    ) and any(code == DENIAL for code in codes[max(0, mention.first - 6) : mention.first])


def is_limited(reading: Reading, mention: Mention) -> bool:
    """`no oven visible on the right`, `no dogs on the sofa`: not none at all."""
    limit = next((end for begin, end in reading.sentences if begin <= mention.head < end), 0)
    for at in range(mention.end, limit):
        if reading.words[at] in (",", ";"):
            return False
        if reading.codes[at] == PREPOSITION and reading.words[at] not in ("in", "of", "within", "as"):
            return True
    return False
