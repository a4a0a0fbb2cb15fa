"""What may be said of an image, computed once from its annotation.

Everything undecidable is settled here, so that the programs only choose and word: a number that is
not certain is None, a place that is not clear is None, a caption that cannot be repeated is absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from datagen.records import Box, Frame, ImageAnnotation
from datagen.teacher.programmatic.captions import (
    Mentions,
    Sentence,
    cleaned,
    looks_english,
    mentions_in,
    sentence_from,
    tokens_of,
)
from datagen.teacher.programmatic.words import (
    ALIKE,
    AMBIGUOUS,
    CATEGORIES,
    NUMBER_WORDS,
    Noun,
    counted,
    noun_for,
)

SMALLEST_AREA = 0.003
"""Share of the image; a smaller box is too small to be pointed at."""
CLEAR_DISTANCE = 0.12
"""Between two centres, as a share of the frame, before one is said to be left of or above the other."""
LARGEST_OVERLAP = 0.25
"""Of the shorter of two extents along an axis, up to which they count as apart on it."""
SAME_OBJECT = 0.8
"""Intersection over union from which two boxes of a category may be one object boxed twice."""
MOST_COMPARED = 16
"""Boxes of a category; with more, its number is only given as "more than a dozen"."""
LARGEST_COUNT = len(NUMBER_WORDS) - 1
"""Written out; above it only "more than a dozen" is said."""

Side = Literal["left", "right", "top", "bottom", "middle"]
Direction = Literal["left", "right", "above", "below"]
OPPOSITE: dict[Direction, Direction] = {"left": "right", "right": "left", "above": "below", "below": "above"}


@dataclass(frozen=True, slots=True)
class Thing:
    """A box as fractions of the frame."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def x(self) -> float:
        return (self.left + self.right) / 2

    @property
    def y(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def across(self) -> Side | None:
        """The third of the width that its centre lies in; None near a border between thirds."""
        return _third(self.x, "left", "right")

    @property
    def down(self) -> Side | None:
        return _third(self.y, "top", "bottom")

    @property
    def place(self) -> str | None:
        """A key of phrasings.toml's [places], or None where no short phrase is clearly right."""
        across, down = self.across, self.down
        if across in ("left", "right"):
            if down in ("top", "bottom"):
                is_in_corner = abs(self.x - 0.5) > 0.3 and abs(self.y - 0.5) > 0.3 and self.area < 0.1
                return f"{down}_{across}_corner" if is_in_corner else f"{down}_{across}"
            return across
        if across == "middle" and down == "middle":
            return "middle"
        if down in ("top", "bottom"):
            return f"{down}_middle" if across == "middle" else down
        return None


def _third(centre: float, low: Side, high: Side) -> Side | None:
    if centre < 0.30:
        return low
    if centre > 0.70:
        return high
    return "middle" if 0.37 < centre < 0.63 else None


def overlap(first: Thing, second: Thing) -> float:
    """Intersection over union."""
    width = min(first.right, second.right) - max(first.left, second.left)
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (first.area + second.area - width * height)


def direction(first: Thing, second: Thing, axis: Literal["across", "down"]) -> Direction | None:
    """Where `first` lies as seen from `second`, or None where the boxes do not decide it."""
    if axis == "across":
        return _apart(first.left, first.right, second.left, second.right, "left", "right")
    return _apart(first.top, first.bottom, second.top, second.bottom, "above", "below")


def _apart(
    low: float, high: float, other_low: float, other_high: float, before: Direction, after: Direction
) -> Direction | None:
    distance = (low + high - other_low - other_high) / 2
    shared = min(high, other_high) - max(low, other_low)
    if abs(distance) < CLEAR_DISTANCE or shared > LARGEST_OVERLAP * min(high - low, other_high - other_low):
        return None
    return before if distance < 0 else after


@dataclass(frozen=True, slots=True)
class Kind:
    """A category that is in the image and can be spoken of."""

    noun: Noun
    things: tuple[Thing, ...]
    """Its boxes without the crowd regions."""
    count: int | None
    """Its number, None where that is not certain."""
    is_several: bool
    """True where there is certainly more than one, the number known or not."""
    is_group: bool
    """True where all that is known is one crowd region."""

    @property
    def category(self) -> str:
        return self.noun.category

    @property
    def area(self) -> float:
        """Of its largest box; 0 for a group."""
        return max((thing.area for thing in self.things), default=0.0)

    @property
    def amount(self) -> str | None:
        """How much of it: "two dogs", "people", "some broccoli"; None where not even that is certain."""
        if self.noun.form != "count":
            return self.noun.one
        if self.count is not None:
            return counted(self.count, self.noun)
        if self.is_group:
            return f"a group of {self.noun.plural}"
        return self.noun.plural if self.is_several else None

    @property
    def rough_amount(self) -> str | None:
        """The same without its number: "dogs"."""
        if self.noun.form == "count" and self.is_several:
            return self.noun.plural
        return self.amount

    @property
    def countable(self) -> int | None:
        """The number, where it may be told: at most LARGEST_COUNT, and of things that are counted at all."""
        if self.noun.form != "count" or self.count is None or self.count > LARGEST_COUNT:
            return None
        return self.count

    @property
    def single(self) -> Thing | None:
        """The box, where "the dog" can mean only one and is large enough to be pointed at."""
        return self.things[0] if self.count == 1 and self.area >= SMALLEST_AREA else None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the programs may draw on."""

    frame: Frame
    captions: tuple[Sentence, ...]
    """In English and repeatable; the best supported by the other captions and the boxes first."""
    foreign: tuple[str, ...]
    """Repeatable captions of an image whose captions are not in English. Then all else is empty."""
    kinds: tuple[Kind, ...]
    """People first, then by the area of the largest box, largest first."""
    spoken_of: tuple[tuple[Noun, str], ...]
    """What nobody boxed, but at least half of the captions, and two, name; and how it is spoken: "a dog"."""
    absent: tuple[Noun, ...]
    """What was looked for in every image and nothing in this one's annotation hints at."""

    def said_of(self, category: str) -> float:
        """The share of the captions that name a category."""
        if not self.captions:
            return 0.0
        return sum(category in caption.categories for caption in self.captions) / len(self.captions)

    @property
    def singles(self) -> list[tuple[Noun, Thing]]:
        """Everything that is the only one of its category and can be pointed at."""
        return [(kind.noun, thing) for kind in self.kinds if (thing := kind.single) is not None]


def facts_of(annotation: ImageAnnotation, frame: Frame, vocabulary: tuple[str, ...]) -> Facts:
    """Reads an annotation once; the cost grows with its captions and boxes alone."""
    boxed: dict[str, list[Box]] = {}
    for box in annotation.boxes:
        boxed.setdefault(box.category, []).append(box)
    domain = frozenset(category for category in boxed if category not in CATEGORIES)

    read: list[tuple[str, list[str]]] = [
        (caption, tokens_of(caption)) for caption in annotation.captions if caption
    ]
    english = [looks_english(tokens, caption) for caption, tokens in read]
    if read and sum(english) * 2 < len(read):
        # An image speaks one language. What captions in another say of numbers cannot be read, so
        # the boxes cannot be held against them, and English beside them would read broken.
        texts = dict.fromkeys(
            text for caption, tokens in read if (text := cleaned(caption, tokens)) is not None
        )
        return Facts(frame, (), tuple(texts), (), (), ())

    mentions: list[dict[str, Mentions]] = []
    hinted: set[str] = set(boxed) | set(annotation.uncounted)
    sentences: dict[str, Sentence] = {}
    for (caption, tokens), is_english in zip(read, english, strict=True):
        of_caption, hints = mentions_in(tokens, domain)
        mentions.append(of_caption)
        hinted |= hints
        if is_english and (text := cleaned(caption, tokens)) is not None and text not in sentences:
            sentences[text] = sentence_from(text, frozenset(of_caption))

    counts_readable = all(english)
    kinds = []
    for category, boxes in boxed.items():
        noun = noun_for(category)
        if noun is not None and not _is_doubted(category, boxed, mentions):
            is_countable = counts_readable and category not in annotation.uncounted
            kinds.append(_kind(noun, boxes, annotation, mentions, is_countable))
    kinds.sort(key=lambda kind: (kind.category != "person", -kind.area, kind.category))

    kept = [
        sentence for sentence in sentences.values() if not _names_a_lone_animal(sentence, mentions, boxed)
    ]
    captions = _by_support(kept, boxed)
    named = {*boxed, *annotation.uncounted}
    # Without a single box the image may not have been annotated at all.
    absent = _absent(vocabulary, hinted, named) if boxed and counts_readable else ()
    return Facts(frame, captions, (), tuple(kinds), _spoken_of(mentions, boxed), absent)


def _spoken_of(
    mentions: list[dict[str, Mentions]], boxed: Mapping[str, object]
) -> tuple[tuple[Noun, str], ...]:
    names = Counter(category for of_caption in mentions for category in of_caption)
    spoken = []
    for category, times in sorted(names.items()):
        if category not in CATEGORIES or category in AMBIGUOUS or times < max(2, len(mentions) / 2):
            continue
        if ALIKE[category].isdisjoint(boxed):
            noun = CATEGORIES[category].noun
            told = [mention for of_caption in mentions if (mention := of_caption.get(category))]
            is_one = all(mention.at_least < 2 and not mention.is_open for mention in told)
            spoken.append((noun, noun.one if is_one else noun.many))
    return tuple(spoken)


def _is_doubted(category: str, boxed: Mapping[str, object], mentions: list[dict[str, Mentions]]) -> bool:
    """Whether the captions deny it, or speak of a look-alike that nobody boxed and never of the category."""
    if any(category in of_caption and of_caption[category].is_denied for of_caption in mentions):
        return True
    named = {name for of_caption in mentions for name in of_caption}
    look_alikes = ALIKE.get(category, frozenset()) - {category} - boxed.keys()
    return category not in named and not look_alikes.isdisjoint(named)


def _kind(
    noun: Noun,
    boxes: list[Box],
    annotation: ImageAnnotation,
    mentions: list[dict[str, Mentions]],
    is_countable: bool,
) -> Kind:
    things = tuple(
        Thing(
            box.x / annotation.width,
            box.y / annotation.height,
            (box.x + box.width) / annotation.width,
            (box.y + box.height) / annotation.height,
        )
        for box in boxes
        if not box.crowd
    )
    doubles = _boxed_twice(things)
    has_crowd = len(things) < len(boxes)
    count: int | None = len(things)
    if not is_countable or has_crowd or doubles:
        count = None
    for of_caption in mentions:
        mention = of_caption.get(noun.category)
        if mention is not None and (
            mention.is_open
            or mention.at_least > len(things)
            or (mention.exactly is not None and mention.exactly != len(things))
        ):
            count = None
    if noun.category != "person" and len(things) > 1:
        # People in the background go unmentioned. Of anything else, captions that know of only one
        # and boxes that hold several are not talking of the same things.
        told = [mention for of_caption in mentions if (mention := of_caption.get(noun.category))]
        if told and not any(mention.at_least > 1 or mention.is_open for mention in told):
            count = None
    told = [mention for of_caption in mentions if (mention := of_caption.get(noun.category))]
    plurals = sum(mention.at_least > 1 or mention.is_open for mention in told)
    is_several = (
        len(things) - doubles > 1
        or (has_crowd and len(boxes) > 1)
        or (count is None and noun.category != "person" and plurals > 0 and plurals * 2 >= len(told))
    )
    return Kind(noun, things, count, is_several, is_group=not things and len(boxes) == 1)


def _boxed_twice(things: tuple[Thing, ...]) -> int:
    """How many of the boxes may show an object that another box shows already."""
    if len(things) > MOST_COMPARED:
        return 0
    return sum(
        any(overlap(thing, earlier) > SAME_OBJECT for earlier in things[:index])
        for index, thing in enumerate(things)
    )


def _names_a_lone_animal(
    sentence: Sentence, mentions: list[dict[str, Mentions]], boxed: Mapping[str, object]
) -> bool:
    """Whether it names an animal that neither a box nor another caption knows: rarely a second animal."""
    if not boxed or len(mentions) < 2:
        return False
    animals = [
        category
        for category in sentence.categories - boxed.keys()
        if category in CATEGORIES and CATEGORIES[category].noun.group == "animals"
    ]
    return any(sum(animal in of_caption for of_caption in mentions) == 1 for animal in animals)


def _by_support(sentences: list[Sentence], boxed: Mapping[str, object]) -> tuple[Sentence, ...]:
    """Drops a caption that shares nothing with the others or with the boxes: it is often off the mark.

    Of captions that call a person a man and a woman, the fewer are dropped.
    """
    if len(sentences) < 2:
        return tuple(sentences)
    genders = Counter(sentence.gender for sentence in sentences if sentence.gender)
    if len(genders) > 1:
        (gender, _), *_ = genders.most_common()
        sentences = [sentence for sentence in sentences if sentence.gender in (None, gender)]
    in_captions = Counter(word for sentence in sentences for word in sentence.words)
    supported = []
    for order, sentence in enumerate(sentences):
        shared = sum(in_captions[word] > 1 for word in sentence.words)
        shared += sum(category in boxed for category in sentence.categories)
        if shared:
            supported.append((-shared / (len(sentence.words) + 2), order, sentence))
    return tuple(sentence for _, _, sentence in sorted(supported, key=lambda entry: entry[:2]))


def _absent(vocabulary: tuple[str, ...], hinted: set[str], named: set[str]) -> tuple[Noun, ...]:
    """Of the vocabulary, what can be called absent: only names whose other words in captions are known."""
    excluded = set(hinted)
    for category in named:
        excluded |= ALIKE.get(category, frozenset())
    return tuple(CATEGORIES[name].noun for name in vocabulary if name in CATEGORIES and name not in excluded)
