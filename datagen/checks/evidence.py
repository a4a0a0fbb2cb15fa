"""What is known of one image: its captions, read, and its boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from datagen.checks.english import ADVERB, ATTRIBUTE, BE, CONJUNCTION, MARK, PREPOSITION
from datagen.checks.reading import Mention, Mode, Reading, is_limited, read, says_none
from datagen.checks.vocabulary import AttributeWord, Noun, Vocabulary


class Region(NamedTuple):
    """A box, its corners and centre as fractions of the image's width and height."""

    number: int
    """Which box of the image, from 1."""
    x1: float
    y1: float
    x2: float
    y2: float
    is_crowd: bool

    @property
    def x(self) -> float:
        return (self.x1 + self.x2) / 2

    @property
    def y(self) -> float:
        return (self.y1 + self.y2) / 2

    @property
    def area(self) -> float:
        return (self.x2 - self.x1) * (self.y2 - self.y1)


class Bound(NamedTuple):
    """An attribute that a text binds to a thing: `a red coat`, `the coat is red`."""

    attribute: AttributeWord
    word: int
    """Index of the attribute's word."""
    first: int
    end: int
    mention: Mention | None
    words: frozenset[str]
    """The noun as written, for a thing that is in no vocabulary."""


class SaidOf(NamedTuple):
    """An attribute that a caption binds to a thing."""

    attribute: AttributeWord
    noun: Noun | None
    words: frozenset[str]
    caption: int


class Evidence:
    """What captions and boxes say, ready to be asked about.

    Boxes are taken as complete for their categories but where a crowd, or a box that had to be left
    out, leaves the number open.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        captions: Iterable[str],
        boxes: Iterable[tuple[str, Region]],
        uncounted: Iterable[str] = (),
    ) -> None:
        self.captions = tuple(captions)
        self.boxes: dict[str, list[Region]] = {}
        self.open_ended = {thing for category in uncounted for thing in vocabulary.of_category(category)[0]}
        """Things of which there may be more than are boxed."""
        self.said: dict[str, int] = {}
        """Things that captions name, with the first caption (from 1) that does."""
        self.words: dict[str, int] = {}
        """Phrases of the vocabulary, as captions have them, with the first caption."""
        self.numbers: dict[str, dict[int, int]] = {}
        """By thing: the numbers that captions give, each with its caption."""
        self.numbers_of_words: dict[str, dict[int, int]] = {}
        """The same by the very phrase of the vocabulary: "red apple", which is a kind of apple."""
        self.supposed: dict[str, int] = {}
        """Things that a caption only supposes, in a pack whose captions are reports."""
        self.denied: dict[str, int] = {}
        """Things of which a caption says that there are none."""
        self.partly_denied: dict[str, int] = {}
        """Things of which a caption denies some: none on the left, no large one."""
        self.sides: dict[str, dict[str, int]] = {}
        """By thing: `left` and `right`, where a caption that names it says so, as the caption means them."""
        self.may_be_on: set[tuple[str, str]] = set()
        """Things and sides that a caption speaks of in one sentence, of which neither need be the other's."""
        self.in_plural: set[str] = set()
        self.may_be: dict[str, int] = {}
        """Things that a caption may mean by a word for a group (`animal`) that no box explains."""
        self.attributes: list[SaidOf] = []
        self.loose: dict[tuple[str, str], int] = {}
        """Attributes that captions bind to nothing in particular, or to a word in no vocabulary."""
        for category, region in boxes:
            things, kinds = vocabulary.of_category(category)
            for thing in things | kinds:
                self.boxes.setdefault(thing, []).append(region)
            if region.is_crowd:
                self.open_ended |= things
            self.open_ended |= kinds  # a husky is a dog; other dogs may have no box
        groups: list[tuple[Noun, int]] = []
        for number, caption in enumerate(self.captions, 1):
            self._add_caption(vocabulary, read(caption, vocabulary), number, groups)
        for noun, number in groups:
            if not any(member in self.boxes for member in noun.members):
                for member in noun.members:
                    self.may_be.setdefault(member, number)

    def _add_caption(
        self, vocabulary: Vocabulary, reading: Reading, number: int, groups: list[tuple[Noun, int]]
    ) -> None:
        implied = vocabulary.implied
        before = ""
        for word, mode in zip(reading.words, reading.modes, strict=True):
            keys = [word] if word in implied else []
            if before in vocabulary.opens_implied:
                keys.append(f"{before} {word}")
            for key in keys:
                for words in implied.get(key, ()):
                    noun = vocabulary.noun(words)
                    if mode == Mode.DENIED:  # "the heart is not enlarged"
                        for thing in noun.things if noun else (words,):
                            self.denied.setdefault(thing, number)
                    elif noun is not None and noun.members and not noun.things:
                        groups.append((noun, number))
                    else:
                        for thing in noun.things if noun else (words,):
                            self.said.setdefault(thing, number)
            before = word
        for mention in reading.mentions:
            noun = mention.noun
            if mention.mode == Mode.DENIED:
                self._add_denied(reading, mention, number, is_report=bool(vocabulary.hedges))
                continue
            if reading.marked.get(mention.head) == Mode.SUPPOSED:
                for thing in noun.things:
                    self.supposed.setdefault(thing, number)
                continue
            if mention.is_modifier:
                # "a dog bed" may stand without a dog, and a "luggage cart" hardly without luggage.
                for thing in noun.things:
                    place = self.may_be if thing in vocabulary.categories else self.said
                    place.setdefault(thing, number)
                continue
            self.words.setdefault(noun.words, number)
            if mention.number is not None:
                self.numbers_of_words.setdefault(noun.words, {}).setdefault(mention.number, number)
            sides, other_sides = sides_said_of(reading, mention)
            for thing in noun.things:
                self.said.setdefault(thing, number)
                for side in sides:
                    self.sides.setdefault(thing, {}).setdefault(side, number)
                self.may_be_on.update((thing, side) for side in other_sides)
                if mention.is_plural or mention.at_least or (mention.number or 0) > 1:
                    self.in_plural.add(thing)
                if mention.number is not None:
                    self.numbers.setdefault(thing, {}).setdefault(mention.number, number)
            if noun.members and not noun.things:
                groups.append((noun, number))
            if "of" in reading.words[mention.head : mention.end]:  # "glass of beer"
                at = reading.words.index("of", mention.head) + 1
                found = vocabulary.find(reading.words, at)
                if found is not None and found[1] is not None:
                    for thing in found[1].things:
                        self.said.setdefault(thing, number)
        bound_words = set()
        for bound in bound_attributes(reading, vocabulary):
            attribute = bound.attribute
            bound_words.add(bound.word)
            noun_of = bound.mention.noun if bound.mention else None
            self.attributes.append(SaidOf(attribute, noun_of, bound.words, number))
            if noun_of is None:
                self._add_loose(attribute, number)
        for at, code in enumerate(reading.codes):
            if code == ATTRIBUTE and at not in bound_words:
                for attribute in vocabulary.attributes[reading.words[at]]:
                    self._add_loose(attribute, number)

    def _add_denied(self, reading: Reading, mention: Mention, number: int, *, is_report: bool) -> None:
        if mention.is_modifier or not says_none(reading, mention, is_report=is_report):
            return
        is_part = bool(mention.adjectives) or mention.is_subset or is_limited(reading, mention)
        for thing in mention.noun.things:
            (self.partly_denied if is_part else self.denied).setdefault(thing, number)

    def _add_loose(self, attribute: AttributeWord, caption: int) -> None:
        for value in attribute.values:
            self.loose.setdefault((attribute.group, value), caption)

    def regions(self, noun: Noun) -> list[Region]:
        """Boxes of what a noun can mean, crowds included."""
        found = {region.number: region for thing in noun.in_order for region in self.boxes.get(thing, ())}
        return list(found.values())

    def support(self, noun: Noun) -> str | None:
        """Where the evidence for a thing is (`2 boxes`, `caption 3`), or None where there is none."""
        things = noun.in_order if noun.things else ()
        for thing in things:
            if regions := self.boxes.get(thing):
                return _boxes(regions)
        for thing in things:
            if caption := self.said.get(thing):
                return f"caption {caption}"
        if caption := self.words.get(noun.words):
            return f"caption {caption}"
        for thing in noun.related:
            if regions := self.boxes.get(thing):
                return f"{_boxes(regions)} of {thing}"
            if caption := self.said.get(thing):
                return f"caption {caption} ({thing})"
        return None


_SIDES = {
    "left": ("left",), "left-sided": ("left",), "right": ("right",), "right-sided": ("right",),
    "bilateral": ("left", "right"), "bilaterally": ("left", "right"), "both": ("left", "right"),
    "each": ("left", "right"), "either": ("left", "right"),
}  # fmt: skip


def own_sides(reading: Reading, mention: Mention) -> tuple[str, ...]:
    """The sides that stand among a mention's adjectives: `a small left pleural effusion`."""
    words = [reading.words[at] for at in mention.adjectives]
    return tuple(dict.fromkeys(side for word in words for side in _SIDES.get(word, ())))


def sides_said_of(reading: Reading, mention: Mention) -> tuple[Sequence[str], Sequence[str]]:
    """The sides of a mention, and those that its sentence speaks of and that may be another thing's.

    Its own (`a left effusion`), or those of the words around it up to the next comma, `and` or `with`; or
    all of a sentence that names nothing else.
    """
    words = reading.words
    if _SIDES.keys().isdisjoint(words):
        return (), ()
    begin, end = next((lo, hi) for lo, hi in reading.sentences if lo <= mention.head < hi)

    def sides(lo: int, hi: int) -> tuple[str, ...]:
        said = (
            word for word, mode in zip(words[lo:hi], reading.modes[lo:hi], strict=True) if mode != Mode.DENIED
        )
        return tuple(dict.fromkeys(side for word in said if word in _SIDES for side in _SIDES[word]))

    def parts(at: int) -> bool:
        return reading.codes[at] in (CONJUNCTION, MARK) or words[at] in ("with", "without")

    first = next((at + 1 for at in range(mention.first - 1, begin - 1, -1) if parts(at)), begin)
    last = next((at for at in range(mention.end, end) if parts(at)), end)
    is_alone = not any(m.noun.things and begin <= m.head < end and m is not mention for m in reading.mentions)
    told = own_sides(reading, mention) or sides(first, last) or (sides(begin, end) if is_alone else ())
    return told, sides(begin, end)


def _boxes(regions: list[Region]) -> str:
    return f"box {regions[0].number}" if len(regions) == 1 else f"{len(regions)} boxes"


# Nouns that name the picture itself: "a black and white photo".
_OF_THE_PICTURE = frozenset(
    "image picture photo photograph scene shot background foreground and view setting light".split()
)


def bound_attributes(reading: Reading, vocabulary: Vocabulary) -> Iterator[Bound]:
    """Every attribute of a text with what it is said of."""
    words, codes = reading.words, reading.codes
    if ATTRIBUTE not in codes:
        return
    by_adjective = {at: mention for mention in reading.mentions for at in mention.adjectives}
    by_first = {mention.first: mention for mention in reading.mentions}
    by_end = {mention.end: mention for mention in reading.mentions}
    inside = {at for mention in reading.mentions for at in range(mention.head, mention.end)}
    for mention in reading.mentions:
        yield from _within_phrase(reading, vocabulary, mention)
    for begin, limit in reading.sentences:
        for at in range(begin, limit):
            if codes[at] != ATTRIBUTE or at in inside:
                continue
            # "dark brown" may be black, which "brown" is not
            pair = vocabulary.attributes.get(f"{words[at - 1]} {words[at]}") if at > begin else None
            attributes = pair or vocabulary.attributes[words[at]]
            described = by_adjective.get(at)
            if described is not None and not described.is_modifier:
                said = frozenset({words[described.end - 1]})
                of = (
                    by_first.get(described.end + 1)
                    if words[described.end : described.end + 1] == ["of"]
                    else None
                )
                if of is not None and not described.noun.names:
                    described = of  # "the orange paint of the bus"
                for attribute in attributes:
                    yield Bound(attribute, at, at, described.end, described, said)
                continue
            # "a green meadow": a noun in no vocabulary
            end = at + 1
            while end < limit and (codes[end] == ATTRIBUTE or words[end] in (",", "and")):
                end += 1
            nouns: list[str] = []
            while end < limit and not codes[end] and len(nouns) < 3:
                nouns.append(words[end])
                end += 1
            if nouns and not nouns[0].endswith(("ing", "ed", "ly")):
                if not _OF_THE_PICTURE.intersection(nouns) and (
                    end == limit or words[end] not in _OF_THE_PICTURE
                ):
                    # "the orange paint of the bus"
                    of = by_first.get(end + 1) if end < limit and words[end] == "of" else None
                    for attribute in attributes:
                        yield Bound(attribute, at, at, of.end if of else end, of, frozenset(nouns))
                continue
            if end < limit and words[end] in _OF_THE_PICTURE:
                continue
            subject = by_end.get(at) or _subject(reading, by_end, begin, at)
            if subject is not None:
                said = frozenset({words[subject.end - 1]})
                for attribute in attributes:
                    yield Bound(attribute, at, subject.head, at + 1, subject, said)


def _within_phrase(reading: Reading, vocabulary: Vocabulary, mention: Mention) -> Iterator[Bound]:
    """`metal` in `a metal bench`, which is a phrase of its own but still a bench."""
    words, head = reading.words, mention.head
    if mention.end - head < 2 or reading.codes[head] != ATTRIBUTE:
        return
    rest = vocabulary.find(words, head + 1)
    if rest is None or rest[0] != mention.end - head - 1 or rest[1] is None:
        return
    if rest[1].things & mention.noun.things:
        said = frozenset({words[mention.end - 1]})
        for attribute in vocabulary.attributes[words[head]]:
            yield Bound(attribute, head, head, mention.end, mention, said)


_MADE = ("made", "painted", "colored", "coloured", "dressed", "clad", "crafted", "constructed", "built")


def _subject(reading: Reading, by_end: dict[int, Mention], begin: int, at: int) -> Mention | None:
    """What a colour after its noun is said of: `the coat is red`, `a man in red`, `dogs, both black`."""
    words, codes = reading.words, reading.codes
    back = at - 1
    while back >= begin and (
        codes[back] in (ATTRIBUTE, MARK)
        or words[back]
        in ("and", "or", "mostly", "mainly", "all", "both", "also", "very", "bright", "dark", "light")
    ):
        if codes[back] == MARK and words[back] != ",":
            return None
        back -= 1
    if back < begin:
        return None
    if words[back] in ("of", "in") and back > begin and words[back - 1] in _MADE:
        back -= 1
        while back > begin and (codes[back] == ADVERB or words[back] in (*_MADE, "out")):
            back -= 1
        if codes[back] != BE:
            back += 1
    if codes[back] == BE or words[back] in ("appears", "looks", "in", *_MADE):
        end = back
        while end > begin and codes[end - 1] in (ADVERB, BE):
            end -= 1
        if end in by_end:
            subject = by_end[end]
            if subject.first > begin and words[subject.first - 1] == "of":
                # "the bow of the bear is red": the bow is; "the color of the bow is red": the bow
                is_colour = words[subject.first - 2] in ("color", "colour", "colors", "colours")
                return subject if is_colour else by_end.get(subject.first - 1)
            # "the car next to the bus is white": the car is
            earlier = [m for m in reading.mentions if begin <= m.head and m.end <= subject.first]
            if earlier and {CONJUNCTION, MARK}.isdisjoint(codes[earlier[-1].end : subject.first]):
                return earlier[-1] if len(earlier) == 1 else None
            return subject
        before = [m for m in reading.mentions if begin <= m.head and m.end <= end]
        if not before or codes[back] == PREPOSITION:
            return None
        between = codes[before[0].end : end]
        return before[0] if CONJUNCTION not in between and MARK not in between else None
    return None
