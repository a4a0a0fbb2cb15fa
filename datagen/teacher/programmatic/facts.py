"""What may be said of an image, computed once from its annotation.

Everything undecidable is settled here, so that the programs only choose and word: a number that is
not certain is None, a place that is not clear is None, a caption that cannot be repeated is absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain, pairwise
from types import MappingProxyType
from typing import Literal, NamedTuple

from datagen.records import Box, CategoryStatistics, Frame, ImageAnnotation
from datagen.teacher.programmatic.captions import (
    Mentions,
    Sentence,
    age_of,
    cleaned,
    looks_english,
    mentions_in,
    sentence_from,
    tokens_of,
)
from datagen.teacher.programmatic.knowledge import Knowledge
from datagen.teacher.programmatic.scene import Told, told_by
from datagen.teacher.programmatic.words import (
    ALIKE,
    AMBIGUOUS,
    CATEGORIES,
    Noun,
    PackNouns,
    counted,
    noun_for,
    ranged,
)
from schemas.pack import MarginsToml

MOST_COMPARED = 16
"""Boxes of a category; with more, its number is only given as "more than a dozen"."""
MOST_RANGED = 950
"""Things of a category; with more, its number is not told as a range either."""
AT_EDGE = 0.004
"""How near an edge, as a share of the frame, a box has to come to be taken to touch it."""

Side = Literal["left", "right", "top", "bottom", "middle"]
Direction = Literal["left", "right", "above", "below"]
_ANIMALS = frozenset(name for name, entry in CATEGORIES.items() if entry.noun.group == "animals")
OPPOSITE: dict[Direction, Direction] = {"left": "right", "right": "left", "above": "below", "below": "above"}


class Thing(NamedTuple):
    """A box as fractions of the frame."""

    number: int
    """Of the box in its image, from 1, in ascending annotation id."""
    left: float
    top: float
    right: float
    bottom: float
    border: float = 0.035
    """How near the borders between thirds its centre may be and still be said to be in one."""

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
    def is_at_edge(self) -> bool:
        """Whether it reaches the edge of the image, so that the thing may go on beyond it."""
        return (
            self.left < AT_EDGE or self.top < AT_EDGE or self.right > 1 - AT_EDGE or self.bottom > 1 - AT_EDGE
        )

    @property
    def across(self) -> Side | None:
        """The third of the width that its centre lies in; None near a border between thirds."""
        return _third(self.x, self.border, "left", "right")

    @property
    def down(self) -> Side | None:
        return _third(self.y, self.border, "top", "bottom")

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


def _third(centre: float, border: float, low: Side, high: Side) -> Side | None:
    if centre < 1 / 3 - border:
        return low
    if centre > 2 / 3 + border:
        return high
    return "middle" if 1 / 3 + border < centre < 2 / 3 - border else None


def overlap(first: Thing, second: Thing) -> float:
    """Intersection over union."""
    _, left, top, right, bottom, _ = first
    _, other_left, other_top, other_right, other_bottom, _ = second
    # Most boxes lie apart, which is known before anything is computed.
    if left >= other_right or other_left >= right or top >= other_bottom or other_top >= bottom:
        return 0.0
    width = min(right, other_right) - max(left, other_left)
    height = min(bottom, other_bottom) - max(top, other_top)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (first.area + second.area - width * height)


def shared(first: Thing, second: Thing) -> float:
    """The area that both boxes cover."""
    width = min(first.right, second.right) - max(first.left, second.left)
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    return width * height if width > 0 and height > 0 else 0.0


def direction(
    first: Thing, second: Thing, axis: Literal["across", "down"], margins: MarginsToml
) -> Direction | None:
    """Where `first` lies as seen from `second`, or None where the boxes do not decide it."""
    if axis == "across":
        return _apart(first.left, first.right, second.left, second.right, "left", "right", margins)
    return _apart(first.top, first.bottom, second.top, second.bottom, "above", "below", margins)


def _apart(
    low: float,
    high: float,
    other_low: float,
    other_high: float,
    before: Direction,
    after: Direction,
    margins: MarginsToml,
) -> Direction | None:
    distance = (low + high - other_low - other_high) / 2
    if abs(distance) < margins.apart:
        return None
    shared = min(high, other_high) - max(low, other_low)
    if shared > margins.overlap * min(high - low, other_high - other_low):
        return None
    return before if distance < 0 else after


def range_around(number: int) -> tuple[int, int]:
    """The tens that a number lies between, from a hundred on the fifties: 23 between 20 and 30. One that is
    such a number itself is told with half a step to either side: 20 between 15 and 25."""
    step = 10 if number < 100 else 50
    low = number // step * step
    return (low, low + step) if number > low else (number - step // 2, number + step // 2)


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
    crowds: tuple[int, ...]
    """Its crowd regions, by number."""
    margins: MarginsToml

    @property
    def category(self) -> str:
        return self.noun.category

    @property
    def boxes(self) -> tuple[int, ...]:
        """All its boxes, by number."""
        return (*(thing.number for thing in self.things), *self.crowds)

    @property
    def area(self) -> float:
        """Of its largest box; 0 for a group."""
        return max([thing.area for thing in self.things], default=0.0)

    @property
    def amount(self) -> str | None:
        """How much of it: "two dogs", "people", "some broccoli"; None where not even that is certain."""
        if self.noun.form != "count":
            return self.noun.one
        if self.span is not None:
            return ranged(self.span, self.noun)
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
        """The number, where it may be told: small enough, and of things that are counted at all."""
        if self.noun.form != "count" or self.count is None or self.count > self.margins.most_counted:
            return None
        return self.count

    @property
    def span(self) -> tuple[int, int] | None:
        """Two round numbers that a certain number lies between, where it is too large to be told itself and
        the pack has such numbers told as ranges."""
        if not self.margins.count_ranges or self.noun.form != "count" or self.count is None:
            return None
        is_told = self.count <= self.margins.most_counted
        return None if is_told or self.count > MOST_RANGED else range_around(self.count)

    @property
    def single(self) -> Thing | None:
        """The box, where "the dog" can mean only one and can be pointed at."""
        return self.things[0] if self.count == 1 and self.can_point_at(self.things[0]) else None

    def can_point_at(self, thing: Thing) -> bool:
        """Whether it is large enough, and more than a sliver at the edge."""
        area, margins = thing.area, self.margins
        return area >= margins.smallest_area and (area >= margins.smallest_cut_off or not thing.is_at_edge)


@dataclass(frozen=True)
class Facts:
    """All that the programs may draw on."""

    frame: Frame
    margins: MarginsToml
    statistics: CategoryStatistics
    captions: tuple[Sentence, ...]
    """In English and repeatable; the best supported by the other captions and the boxes first."""
    foreign: tuple[tuple[int, str], ...]
    """Repeatable captions, by number, of an image whose captions are not in English. All else is empty."""
    kinds: tuple[Kind, ...]
    """People first, then by the area of the largest box, largest first."""
    spoken_of: tuple[tuple[Noun, str], ...]
    """What nobody boxed, but at least half of the captions, and two, name; and how it is spoken: "a dog"."""
    absent: tuple[Noun, ...]
    """What was looked for in every image and nothing in this one's annotation hints at."""
    knowledge: Knowledge
    """Of the pack: what is true of such things whatever the image."""
    unsaid: Mapping[str, int]
    """Boxes of which less is said than might be, by the reason."""
    ruled_out: tuple[Noun, ...] = ()
    """Of the pack's own nouns, what no box shows and captions say there is none of."""

    def said_of(self, category: str) -> float:
        """The share of the captions that name a category."""
        if not self.captions:
            return 0.0
        return sum(category in caption.categories for caption in self.captions) / len(self.captions)

    def direction(self, first: Thing, second: Thing, axis: Literal["across", "down"]) -> Direction | None:
        """Where `first` lies as seen from `second`, or None where the boxes do not decide it."""
        return direction(first, second, axis, self.margins)

    def goes_without_saying(self, first: Noun, second: Noun) -> bool:
        """Whether nobody would ask where the one is, seen from the other: the left lung from the heart, a
        gripper from its arm. Of a zone it matters what is inside."""
        if first.form == second.form == "unique":
            return True
        names, things = {first.category, second.category}, self.knowledge.things
        parts = {part for name in names if name in things for part, _ in things[name].parts}
        return not names.isdisjoint(parts.union(zone.zone for zone in self.knowledge.zones))

    def kind(self, category: str) -> Kind | None:
        """The category, if it is in the image and can be spoken of."""
        return next((kind for kind in self.kinds if kind.category == category), None)

    @cached_property
    def told(self) -> tuple[Told, ...]:
        """What captions say of what is in them; `captions` of each are places in `self.captions`."""
        return told_by(self.captions)

    @cached_property
    def singles(self) -> list[tuple[Noun, Thing]]:
        """Everything that is the only one of its category and can be pointed at."""
        return [(kind.noun, thing) for kind in self.kinds if (thing := kind.single) is not None]


def facts_of(
    annotation: ImageAnnotation,
    frame: Frame,
    vocabulary: tuple[str, ...],
    margins: MarginsToml = MarginsToml(),  # noqa: B008 (it cannot be changed)
    statistics: CategoryStatistics = CategoryStatistics(),  # noqa: B008
    knowledge: Knowledge = Knowledge(),  # noqa: B008
    nouns: PackNouns = MappingProxyType({}),
) -> Facts:
    """Reads an annotation once; the cost grows with its captions and boxes alone."""
    boxed: dict[str, list[tuple[int, Box]]] = {}
    for number, box in enumerate(annotation.boxes, 1):
        boxed.setdefault(box.category, []).append((number, box))
    read = [
        (number, caption, tokens_of(caption))
        for number, caption in enumerate(annotation.captions, 1)
        if caption
    ]
    words = {token for *_, tokens in read for token in tokens}
    spoken = {category: nouns.get(category) or _spoken(category, words) for category in (*boxed, *nouns)}
    domain = frozenset(
        noun
        for name, noun in spoken.items()
        if noun is not None and (name in nouns or name not in CATEGORIES)
    )

    # "No pneumothorax." has none of the words that speak for English but a noun of the pack.
    english = [
        looks_english(tokens, caption) or bool(nouns and mentions_in(tokens, domain)[0])
        for _, caption, tokens in read
    ]
    if read and sum(english) * 2 < len(read):
        # An image speaks one language. What captions in another say of numbers cannot be read, so
        # the boxes cannot be held against them, and English beside them would read broken.
        texts: dict[str, int] = {}
        for number, caption, tokens in read:
            if (text := cleaned(caption, tokens)) is not None:
                texts.setdefault(text, number)
        foreign = tuple((number, text) for text, number in texts.items())
        return Facts(
            frame,
            margins,
            statistics,
            (),
            foreign,
            (),
            (),
            (),
            knowledge,
            {"other_language": len(annotation.boxes)},
        )

    mentions: dict[str, list[Mentions]] = {}
    named = {*boxed, *annotation.uncounted}
    hinted = set(named)
    sentences: dict[str, Sentence] = {}
    for (number, caption, tokens), is_english in zip(read, english, strict=True):
        of_caption, hints = mentions_in(tokens, domain)
        for category, mention in of_caption.items():
            mentions.setdefault(category, []).append(mention)
        hinted |= hints
        if is_english and (text := cleaned(caption, tokens)) is not None and text not in sentences:
            # Cleaning leaves the words as they are, unless the capital of a letter is another one.
            known = tokens if caption.isascii() else None
            sentences[text] = sentence_from(text, frozenset(of_caption), number, known)

    counts_readable = all(english)
    kinds = []
    unsaid: dict[str, int] = {}
    for category, boxes in boxed.items():
        noun = spoken[category]
        if noun is None or _is_doubted(category, boxed, mentions):
            reason = "no_word_for_it" if noun is None else "denied_by_captions"
            unsaid[reason] = unsaid.get(reason, 0) + len(boxes)
            continue
        is_countable = counts_readable and category not in annotation.uncounted
        kind = _kind(noun, boxes, annotation, mentions.get(category, ()), is_countable, margins)
        kinds.append(kind)
        for reason in _unsaid_of(kind):
            unsaid[reason] = unsaid.get(reason, 0) + 1
    kinds.sort(key=lambda kind: (kind.category != "person", -kind.area, kind.category))

    kept = list(sentences.values())
    if boxed and len(read) > 1:
        kept = _without_lone_animals(kept, mentions, boxed)
    if nouns:
        # What a report does not find is no answer to what there is; `ruled_out` has it.
        kept = [sentence for sentence in kept if not _is_denial(sentence)] or kept
        # Nor is "the left lung is clear", where others tell of what is in the right one.
        found = frozenset(kind.category for kind in kinds if kind.noun.form != "unique")
        if any(noun.form == "unique" for noun in nouns.values()):
            kept = [sentence for sentence in kept if sentence.categories & found] or kept
    captions = _by_support(kept, boxed)
    # Without a single box the image may not have been annotated at all.
    absent = _absent(vocabulary, hinted, named) if boxed and counts_readable else ()
    return Facts(
        frame,
        margins,
        statistics,
        captions,
        (),
        tuple(kinds),
        _spoken_of(mentions, len(read), boxed, vocabulary),
        absent,
        knowledge,
        unsaid,
        _ruled_out(mentions, named, nouns, vocabulary) if counts_readable else (),
    )


def _spoken(category: str, words: set[str]) -> Noun | None:
    """How a category is spoken beside captions of these words."""
    known = CATEGORIES.get(category)
    return noun_for(category) if known is None else known.spoken_where(words)


def _unsaid_of(kind: Kind) -> list[str]:
    """Why less is said of a category's boxes than might be, once for each box."""
    reasons = ["crowd"] * len(kind.crowds)
    if kind.count is None and not kind.crowds:
        reasons += ["number_in_doubt"] * len(kind.things)
    for thing in kind.things:
        if not kind.can_point_at(thing):
            reasons.append("cut_off" if thing.area >= kind.margins.smallest_area else "tiny")
    return reasons


def _spoken_of(
    mentions: Mapping[str, list[Mentions]],
    captions: int,
    boxed: Mapping[str, object],
    vocabulary: tuple[str, ...],
) -> tuple[tuple[Noun, str], ...]:
    spoken = []
    least = max(2, captions / 2)
    # An animal that was looked for and not boxed is a statue, a costume, a print or a meal.
    unreal = _ANIMALS.intersection(vocabulary) if boxed else frozenset[str]()
    for category, told in mentions.items():
        if len(told) < least or category not in CATEGORIES or category in AMBIGUOUS or category in unreal:
            continue
        if ALIKE[category].isdisjoint(boxed):
            noun = CATEGORIES[category].noun
            is_one = all(mention.at_least < 2 and not mention.is_open for mention in told)
            spoken.append((noun, noun.one if is_one else noun.many))
    return tuple(sorted(spoken, key=lambda entry: entry[0].category))


def _is_denial(sentence: Sentence) -> bool:
    """`No mass is seen.`, `There is no mass.`"""
    opens = sentence.tokens[:3]
    return opens[:1] == ("no",) or (opens[:1] == ("there",) and opens[2:] == ("no",))


def _ruled_out(
    mentions: Mapping[str, list[Mentions]], named: set[str], nouns: PackNouns, vocabulary: tuple[str, ...]
) -> tuple[Noun, ...]:
    return tuple(
        nouns[category]
        for category in sorted(nouns.keys() & mentions.keys() & {*vocabulary} - named)
        if all(mention.is_ruled_out for mention in mentions[category])
    )


def _is_doubted(category: str, boxed: Mapping[str, object], mentions: Mapping[str, list[Mentions]]) -> bool:
    """Whether the captions deny it, or speak of a look-alike that nobody boxed and never of the category."""
    told = mentions.get(category)
    if told is not None:
        return any(mention.is_denied for mention in told)
    alike = ALIKE.get(category, frozenset())
    return not alike.isdisjoint(mentions.keys() - boxed.keys())


def _kind(
    noun: Noun,
    boxes: list[tuple[int, Box]],
    annotation: ImageAnnotation,
    told: Sequence[Mentions],
    is_countable: bool,
    margins: MarginsToml,
) -> Kind:
    """`told` is what the captions say of the category."""
    width, height, border = annotation.width, annotation.height, margins.border
    things = tuple(
        [
            Thing(
                number,
                box.x / width,
                box.y / height,
                (box.x + box.width) / width,
                (box.y + box.height) / height,
                border,
            )
            for number, box in boxes
            if not box.crowd
        ]
    )
    doubles = _boxed_twice(things, margins.same_object)
    has_crowd = len(things) < len(boxes)
    is_certain = is_countable and not has_crowd and not doubles
    known = len(things)
    says_several = False
    plurals = 0
    has_plural = noun.plural != noun.singular  # "two sheep"
    for mention in told:
        # "Many" is no word against a number that is told as a range.
        is_open = mention.is_open and not (margins.count_ranges and known > margins.most_counted)
        if is_open or mention.at_least > known or mention.exactly not in (None, known):
            is_certain = False
        says_several = says_several or mention.is_open or mention.at_least > 1
        plurals += mention.is_plural if has_plural else mention.at_least > 1
    is_person = noun.category == "person"
    if told and not is_person and known > 1 and not says_several:
        # People in the background go unmentioned. Of anything else, captions that know of only one
        # and boxes that hold several are not talking of the same things.
        is_certain = False
    is_several = (
        known - doubles > 1
        or (has_crowd and len(boxes) > 1)
        or (not is_certain and not is_person and plurals > 0 and plurals * 2 >= len(told))
    )
    crowds = tuple([number for number, box in boxes if box.crowd]) if has_crowd else ()
    is_group = not things and len(boxes) == 1
    return Kind(noun, things, known if is_certain else None, is_several, is_group, crowds, margins)


def _boxed_twice(things: tuple[Thing, ...], same_object: float) -> int:
    """How many of the boxes may show an object that another box shows already."""
    if len(things) > MOST_COMPARED:
        # Every two of them would be too many to compare; those that are the same to a percent are not.
        corners = {(round(t.left, 2), round(t.top, 2), round(t.right, 2), round(t.bottom, 2)) for t in things}
        return len(things) - len(corners)
    doubles = 0
    for index, thing in enumerate(things):
        for earlier in things[:index]:
            if overlap(thing, earlier) > same_object:
                doubles += 1
                break
    return doubles


def _without_lone_animals(
    sentences: list[Sentence], mentions: Mapping[str, list[Mentions]], boxed: Mapping[str, object]
) -> list[Sentence]:
    """Drops what names an animal that neither a box nor another caption knows: rarely a second animal."""
    named = list(map(_animals_in, sentences))
    times = Counter(chain.from_iterable(named))
    known = {name for name in times if name in boxed or max(times[name], len(mentions.get(name, ()))) > 1}
    return [sentence for sentence, animals in zip(sentences, named, strict=True) if animals <= known]


def _animals_in(sentence: Sentence) -> frozenset[str]:
    # "a baby giraffe", which as a compound counts as no giraffe
    young = (word for before, word in pairwise(sentence.tokens) if before in ("baby", "adult"))
    return (sentence.categories | frozenset(young)) & _ANIMALS


def _by_support(sentences: list[Sentence], boxed: Mapping[str, Sequence[object]]) -> tuple[Sentence, ...]:
    """Drops a caption that shares nothing with the others or with the boxes: it is often off the mark.

    Of captions that call a person a man and a woman, or the only one a man and a boy, the fewer are dropped.
    """
    if len(sentences) < 2:
        return tuple(sentences)
    genders = [sentence.gender for sentence in sentences if sentence.gender]
    if len(set(genders)) > 1:
        ((gender, _),) = Counter(genders).most_common(1)
        sentences = [sentence for sentence in sentences if sentence.gender in (None, gender)]
    ages = [age_of(sentence.words) for sentence in sentences]
    if len({*ages, None}) > 2 and len(boxed.get("person", ())) == 1:
        most = max(("adults", "children"), key=ages.count)
        sentences = [each for each, age in zip(sentences, ages, strict=True) if age in (None, most)]
    once: set[str] = set()
    in_several: set[str] = set()
    for sentence in sentences:
        in_several |= once & sentence.words
        once |= sentence.words
    supported = []
    categories = frozenset(boxed)
    for order, sentence in enumerate(sentences):
        shared = len(sentence.words & in_several) + len(sentence.categories & categories)
        if shared:
            supported.append((-shared / (len(sentence.words) + 2), order, sentence))
    # The order is each one's own, so that no two captions are ever compared.
    return tuple([sentence for _, _, sentence in sorted(supported)])


def _absent(vocabulary: tuple[str, ...], hinted: set[str], named: set[str]) -> tuple[Noun, ...]:
    """Of the vocabulary, what can be called absent: only names whose other words in captions are known."""
    excluded = hinted.union(*[ALIKE[category] for category in named if category in ALIKE])
    return tuple([noun for name, noun in _known_nouns(vocabulary) if name not in excluded])


@lru_cache(maxsize=8)
def _known_nouns(vocabulary: tuple[str, ...]) -> tuple[tuple[str, Noun], ...]:
    return tuple((name, CATEGORIES[name].noun) for name in vocabulary if name in CATEGORIES)
