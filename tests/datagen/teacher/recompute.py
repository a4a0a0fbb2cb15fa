"""A second reading of what the embedded teacher writes: its evidence, from the annotation files alone.

This shares no code with the teacher or the checks: annotations are read from JSON, facts recomputed from the
definitions of docs/programs.md, and text is read with word lists of its own.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from schemas.evidence import PartEvidence, SampleEvidence
from schemas.pack import MarginsToml

ROOT = Path(__file__).resolve().parents[3]
KNOWLEDGE = ROOT / "prompts" / "coco" / "knowledge.toml"
EPSILON = 1e-6
Fact = Sequence[str | int | float]

# Annotations


@dataclass(frozen=True)
class Box:
    """Fractions of the image's width and height."""

    category: str
    left: float
    top: float
    right: float
    bottom: float
    crowd: bool

    @property
    def x(self) -> float:
        return (self.left + self.right) / 2

    @property
    def y(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return self.width * self.height


@dataclass
class Image:
    """What the annotation files say of one image."""

    id: int
    width: int
    height: int
    categories: frozenset[str]
    """Of the instances files."""
    captions: list[str] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    """With crowd regions, by annotation id."""
    left_out: set[str] = field(default_factory=set)
    """Categories of boxes that cannot be used."""

    def of(self, category: str, *, crowds: bool = False) -> list[Box]:
        return [b for b in self.boxes if (crowds or not b.crowd) and category in ("*", b.category)]


def read_images(captions: Iterable[Path], instances: Iterable[Path]) -> dict[int, Image]:
    """The images of COCO files, by their id."""
    images: dict[int, Image] = {}
    loaded = [json.loads(path.read_text()) for path in (*captions, *instances)]
    names = {c["id"]: c["name"] for file in loaded for c in file.get("categories", ())}
    records: dict[int, list[dict[str, Any]]] = {}
    for file in loaded:
        for listed in file["images"]:
            images.setdefault(
                listed["id"],
                Image(listed["id"], listed["width"], listed["height"], frozenset(names.values())),
            )
        for record in file["annotations"]:
            records.setdefault(record["image_id"], []).append(record)
    for number, image in images.items():
        seen: list[dict[str, Any]] = []
        for record in sorted(records.get(number, ()), key=lambda each: each["id"]):
            if record in seen:
                continue
            seen.append(record)
            if "caption" in record:
                if isinstance(record["caption"], str) and record["caption"].strip():
                    image.captions.append(record["caption"].strip())
            elif record.get("category_id") in names:
                name = names[record["category_id"]]
                box = _usable(name, record, image)
                if box is None:
                    image.left_out.add(name)
                else:
                    image.boxes.append(box)
    return images


def _usable(name: str, record: dict[str, Any], image: Image) -> Box | None:
    x, y, width, height = map(float, record["bbox"])
    if not all(map(math.isfinite, (x, y, width, height))) or width <= 0 or height <= 0:
        return None
    left, right = max(x, 0.0), min(x + width, image.width)
    top, bottom = max(y, 0.0), min(y + height, image.height)
    if left >= right or top >= bottom:
        return None
    return Box(
        name,
        left / image.width,
        top / image.height,
        right / image.width,
        bottom / image.height,
        bool(record.get("iscrowd")),
    )


# Words

NUMBERS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
}
PLURALS = {
    "person": ["people", "persons"],
    "skis": ["ski"],
    "knife": ["knives"],
    "mouse": ["mice"],
    "sheep": ["sheep"],
    "broccoli": ["broccoli", "broccolis"],
    "scissors": ["pair of scissors", "pairs of scissors"],
    "wine glass": ["wine glasses"],
}
SYNONYMS = {
    "person": "man men woman women boy boys girl girls child children kid kids guy guys lady ladies human",
    "airplane": "plane planes aeroplane airplanes aircraft",
    "bicycle": "bike bikes",
    "motorcycle": "motorbike motorbikes",
    "couch": "sofa sofas",
    "tv": "television,televisions,tv set,tv sets,television set",
    "cell phone": "cellphone,cellphones,mobile phone,mobile phones,smartphone,smartphones",
    "donut": "doughnut doughnuts",
    "refrigerator": "fridge fridges",
    "dining table": "table,tables,dinner table,dinner tables",
    "potted plant": "plant,plants,houseplant,houseplants",
    "sports ball": "ball,balls",
    "hair drier": "hair dryer,hair dryers,hairdryer",
    "traffic light": "traffic signal,traffic signals,stoplight,stoplights",
    "fire hydrant": "hydrant,hydrants",
    "baseball glove": "baseball mitt,baseball mitts,mitt",
    "tennis racket": "tennis racquet,tennis racquets,racket,rackets",
    "mouse": "computer mouse",
    "microwave": "microwave oven,microwave ovens",
    "teddy bear": "stuffed bear,stuffed bears",
    "remote": "remote control,remote controls,remote controller",
    "cow": "cattle",
    "handbag": "purse purses",
}
MANY = {
    "book": "magazines", "tv": "monitors screens", "oven": "stoves", "baseball glove": "gloves",
    "bird": "ducks geese chickens pigeons seagulls swans", "cup": "mugs glasses", "boat": "ships",
    "sandwich": "hamburgers burgers subs",
}  # fmt: skip
# Of two that fit, the longer is read: these are none of the categories that their last words name.
COMPOUNDS = [
    "orange juice", "bear cub", "gummy bear", "bird house", "bird bath", "bird feeder", "cat food",
    "dog food", "bed sheet", "coffee table", "train station", "bus stop", "bus station", "bus driver",
    "car park", "boat house", "toilet paper", "book shelf", "cake stand", "cup cake", "apple pie", "tie dye",
    "pool table", "carrot cake",
]  # fmt: skip


def tokens(text: str) -> list[str]:
    """Lower-case words, with inner apostrophes; a hyphen parts words."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def plurals(name: str) -> list[str]:
    if name in PLURALS:
        return PLURALS[name]
    if name.endswith(("s", "sh", "ch", "x")):
        return [name + "es"]
    if re.search("[^aeiou]y$", name):
        return [name[:-1] + "ies"]
    return [name + "s"]


def own_names(category: str) -> list[str]:
    """The category's name and its plural."""
    said = category.replace("_", " ")
    return [said, *plurals(said)]


def synonyms(category: str) -> list[str]:
    listed = SYNONYMS.get(category, "")
    return listed.split(",") if "," in listed or category in ("mouse", "sports ball") else listed.split()


class Lexicon:
    """Finds the categories that a text names."""

    def __init__(self, categories: Iterable[str]) -> None:
        self.exact: dict[tuple[str, ...], str | None] = {}
        self.wide: dict[tuple[str, ...], str | None] = {}
        for phrase in COMPOUNDS:
            self.exact[tuple(phrase.split())] = self.wide[tuple(phrase.split())] = None
        for category in sorted(categories):
            for phrase in synonyms(category):
                self.wide[tuple(tokens(phrase))] = category
        for category in sorted(categories):
            for phrase in own_names(category):
                self.exact[tuple(tokens(phrase))] = self.wide[tuple(tokens(phrase))] = category

    def named(self, text: str | list[str], *, wide: bool = True) -> list[tuple[int, str]]:
        """Category and place of each mention, the longest phrase first."""
        words = tokens(text) if isinstance(text, str) else text
        phrases = self.wide if wide else self.exact
        found = []
        at = 0
        while at < len(words):
            for length in range(4, 0, -1):
                phrase = tuple(word.removesuffix("'s") for word in words[at : at + length])
                if len(phrase) == length and phrase in phrases:
                    category = phrases[phrase]
                    if category is not None:
                        found.append((at, category))
                    at += length
                    break
            else:
                at += 1
        return found

    def names(self, text: str | list[str], *, wide: bool = True) -> set[str]:
        return {category for _, category in self.named(text, wide=wide)}


# Facts

MARGINS = MarginsToml()
THIRDS = {"left": 0, "right": 2, "top": 0, "bottom": 2, "middle": 1}
GROUPS = {
    "animal": "bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe",
    "vehicle": "bicycle,car,motorcycle,airplane,bus,train,truck,boat",
    "bag": "backpack,handbag,suitcase",
    "electronics": "tv,laptop,mouse,remote,keyboard,cell phone",
    "food": "banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake",
    "kitchen": "bottle,wine glass,cup,fork,knife,spoon,bowl",
    "sports": "frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
    "tennis racket",
}


def overlap_of(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How much two extents share; below zero, how far they are apart."""
    return min(one[1], other[1]) - max(one[0], other[0])


def across(b: Box) -> tuple[float, float]:
    return b.left, b.right


def down(b: Box) -> tuple[float, float]:
    return b.top, b.bottom


def shared_area(one: Box, other: Box) -> float:
    return max(0.0, overlap_of(across(one), across(other))) * max(0.0, overlap_of(down(one), down(other)))


def iou(one: Box, other: Box) -> float:
    both = shared_area(one, other)
    return both / (one.area + other.area - both)


def at_least(value: float, bound: float) -> bool:
    return value >= bound - EPSILON


def third_of(value: float, border: float = 0.0) -> int | None:
    """0, 1 or 2; None nearer to the next than the border."""
    if any(abs(value - edge) < border - EPSILON for edge in (1 / 3, 2 / 3)):
        return None
    return min(2, int(value * 3))


def in_place(b: Box, place: str) -> bool:
    words = place.removesuffix("_corner").split("_")
    if words == ["middle"]:
        return third_of(b.x) == 1 and third_of(b.y) == 1
    for word in words:
        if word in ("left", "right") and third_of(b.x) != THIRDS[word]:
            return False
        if word in ("top", "bottom") and third_of(b.y) != THIRDS[word]:
            return False
    if "middle" in words:
        vertical = words[0] in ("top", "bottom")
        return third_of(b.x if vertical else b.y) == 1
    return True


def offset(one: Box, other: Box, direction: str) -> float:
    """How far the first centre lies from the second in that direction."""
    return {
        "left": other.x - one.x,
        "right": one.x - other.x,
        "top": other.y - one.y,
        "bottom": one.y - other.y,
    }[direction]


class Facts:
    """Recomputes facts for images of a data set, with its knowledge."""

    def __init__(self, lexicon: Lexicon, knowledge: dict[str, Any]) -> None:
        self.lexicon = lexicon
        self.knowledge = knowledge

    def entry(self, path: str) -> Any:
        """What stands at that path of knowledge.toml; None where nothing does."""

        def walk(at: Any, rest: list[str]) -> Any:
            if not rest:
                return at
            if isinstance(at, list):
                if not rest[0].isdigit() or not 0 < int(rest[0]) <= len(at):
                    return None
                return walk(at[int(rest[0]) - 1], rest[1:])
            if not isinstance(at, dict):
                return None
            for length in range(1, len(rest) + 1):
                key = ".".join(rest[:length])
                if key in at and (found := walk(at[key], rest[length:])) is not None:
                    return found
            return None

        return walk(self.knowledge, path.split("."))

    def number(self, category: str, image: Image) -> int | None:
        """How many there are for certain."""
        boxes = image.of(category)
        if image.of(category, crowds=True) != boxes or category in image.left_out:
            return None
        if any(iou(a, b) >= MARGINS.same_object + EPSILON for a, b in itertools.combinations(boxes, 2)):
            return None
        if any(said > len(boxes) for said in self.said_numbers(category, image)):
            return None
        return len(boxes)

    def said_numbers(self, category: str, image: Image) -> Iterator[int]:
        """Numbers that captions put right before the category's own name."""
        phrases = {tuple(tokens(name)) for name in own_names(category)}
        for caption in image.captions:
            words = tokens(caption)
            for at, word in enumerate(words):
                number = NUMBERS.get(word) or (int(word) if word.isdecimal() and len(word) < 3 else None)
                if number and any(tuple(words[at + 1 : at + 1 + len(p)]) == p for p in phrases):
                    yield number

    def holds(self, fact: Fact, image: Image) -> bool | None:
        """Whether the annotations say so; None where this reader cannot tell."""
        kind, *rest = fact
        try:
            test = getattr(self, f"_{kind}", None)
            return False if test is None else test(image, *rest)
        except (IndexError, KeyError, TypeError, ValueError):
            return False

    @staticmethod
    def _box(image: Image, number: Any) -> Box:
        if not isinstance(number, int) or number < 1:
            raise IndexError(number)
        return image.boxes[number - 1]

    def _present(self, image: Image, category: str) -> bool:
        return bool(image.of(category, crowds=True))

    def _spoken(self, image: Image, category: str) -> bool | None:
        if category not in image.categories or image.of(category, crowds=True):
            return False
        naming = sum(category in self.lexicon.names(caption) for caption in image.captions)
        return True if naming >= 2 and naming * 2 >= len(image.captions) else None

    def _absent(self, image: Image, category: str) -> bool:
        if category not in image.categories or category in image.left_out:
            return False
        named = (self.lexicon.names(caption) for caption in image.captions)
        return not image.of(category, crowds=True) and not any(category in each for each in named)

    def _ruled_out(self, image: Image, category: str) -> bool:
        """Of a pack's own nouns, which are written as their categories are."""
        if category not in image.categories or image.of(category, crowds=True):
            return False
        naming = [caption.lower() for caption in image.captions if category.lower() in caption.lower()]
        denial = re.compile(rf"\b(?:no|not|without)\b[^.;]*\b{re.escape(category.lower())}")
        return bool(naming) and all(denial.search(caption) for caption in naming)

    def _count(self, image: Image, category: str, n: int) -> bool:
        return self.number(category, image) == n

    def _range(self, image: Image, category: str, low: int, high: int) -> bool:
        number = self.number(category, image)
        if number is None or not MARGINS.count_ranges or not MARGINS.most_counted < number <= 950:
            return False
        steps = list(range(0, 1001, 10 if number < 100 else 50))
        if number in steps:
            half = (steps[1] - steps[0]) // 2
            return (low, high) == (number - half, number + half)
        return (low, high) in itertools.pairwise(steps) and low < number < high

    def _several(self, image: Image, category: str) -> bool | None:
        pairs = itertools.combinations(image.of(category, crowds=True), 2)
        crowd = any(b.crowd for b in image.of(category, crowds=True))
        apart = any(iou(a, b) < MARGINS.same_object + EPSILON for a, b in pairs)
        # A bunch of bananas has one box.
        also = [word for word in synonyms(category) if word.endswith("s")]
        many = {tuple(tokens(word)) for word in (*plurals(category), *also, *MANY.get(category, "").split())}
        said = any(
            tuple(words[at : at + len(phrase)]) == phrase
            for words in map(tokens, image.captions)
            for phrase in many
            for at in range(len(words))
        )
        twice = any(
            Counter(name for _, name in self.lexicon.named(caption))[category] > 1
            for caption in image.captions
        )
        if any(number > 1 for number in self.said_numbers(category, image)):
            return True if crowd or apart else None
        return crowd or apart or ((said or twice) and bool(image.of(category)))

    def _more(self, image: Image, category: str, other: str) -> bool:
        one, two = self.number(category, image), self.number(other, image)
        return None not in (one, two) and (one or 0) >= (two or 0) + MARGINS.more

    def _equal(self, image: Image, category: str, other: str) -> bool:
        number = self.number(category, image)
        return category != other and number is not None and number == self.number(other, image)

    def _most(self, image: Image, category: str) -> bool:
        boxed = {b.category for b in image.boxes}
        return category in boxed and all(
            self._more(image, category, each) for each in boxed | image.left_out if each != category
        )

    def _total(self, image: Image, group: str, n: int, *categories: str) -> bool | None:
        numbers = [self.number(category, image) for category in categories]
        if None in numbers or sum(number or 0 for number in numbers) != n or 0 in numbers:
            return False
        members = self.group(group)
        if members is None:
            return None
        boxed = {b.category for b in image.boxes} | image.left_out
        return set(categories) == boxed & members and len(set(categories)) == len(categories)

    @staticmethod
    def group(name: str) -> set[str] | None:
        for known, members in GROUPS.items():
            if name in (known, known + "s"):
                return set(members.split(","))
        return None

    def _place(self, image: Image, b: int, place: str) -> bool:
        return bool(re.fullmatch(r"(top|bottom|left|right|middle|corner|_)+", place)) and in_place(
            self._box(image, b), place
        )

    def _across(self, image: Image, b: int, side: str) -> bool:
        third = {"left": 0, "middle": 1, "right": 2}[side]
        return third_of(self._box(image, b).x, MARGINS.border) == third

    def _down(self, image: Image, b: int, side: str) -> bool:
        third = {"top": 0, "middle": 1, "bottom": 2}[side]
        return third_of(self._box(image, b).y, MARGINS.border) == third

    def _apart(self, image: Image, one: int, other: int, direction: str) -> bool:
        a, b = self._box(image, one), self._box(image, other)
        extent = across if direction in ("left", "right") else down
        lengths = [high - low for low, high in (extent(a), extent(b))]
        share = overlap_of(extent(a), extent(b)) / min(lengths)
        return at_least(offset(a, b, direction), MARGINS.apart) and share <= MARGINS.overlap + EPSILON

    def _left_of(self, image: Image, one: int, other: int) -> bool:
        return self._apart(image, one, other, "left")

    def _right_of(self, image: Image, one: int, other: int) -> bool:
        return self._apart(image, one, other, "right")

    def _above(self, image: Image, one: int, other: int) -> bool:
        return self._apart(image, one, other, "top")

    def _below(self, image: Image, one: int, other: int) -> bool:
        return self._apart(image, one, other, "bottom")

    def _others(self, image: Image, number: int, category: str) -> list[Box]:
        """The boxes that the box is one of, without it; refused where a crowd region is among them."""
        chosen = self._box(image, number)
        among = image.of(category, crowds=True)
        if not any(b is chosen for b in among) or any(b.crowd for b in among):
            raise ValueError(category)
        others = [b for b in among if b is not chosen]
        if not others and category != "*":
            raise ValueError(category)
        return others

    def _extreme(self, image: Image, number: int, side: str, category: str) -> bool:
        chosen = self._box(image, number)
        others = self._others(image, number, category)
        return all(at_least(offset(chosen, b, side), MARGINS.apart) for b in others)

    def _order(self, image: Image, way: str, *numbers: int) -> bool:
        boxes = [self._box(image, number) for number in numbers]
        towards = {"across": "right", "down": "bottom"}[way]
        steps = [offset(after, before, towards) for before, after in itertools.pairwise(boxes)]
        return len(boxes) > 1 and all(at_least(step, MARGINS.apart) for step in steps)

    def _between(self, image: Image, way: str, first: int, one: int, other: int) -> bool:
        return self._order(image, way, one, first, other) or self._order(image, way, other, first, one)

    def _larger(self, image: Image, one: int, other: int) -> bool:
        return at_least(self._box(image, one).area, MARGINS.larger * self._box(image, other).area)

    def _largest(self, image: Image, number: int, category: str) -> bool:
        others = self._others(image, number, category)
        return all(at_least(self._box(image, number).area, MARGINS.larger * b.area) for b in others)

    def _inside(self, image: Image, one: int, other: int) -> bool:
        a, b = self._box(image, one), self._box(image, other)
        return at_least(shared_area(a, b), 0.95 * a.area) and self._larger(image, other, one)

    def _overlapping(self, image: Image, one: int, other: int) -> bool:
        a, b = self._box(image, one), self._box(image, other)
        return one != other and at_least(shared_area(a, b), min(a.area, b.area) / 4)

    def _disjoint(self, image: Image, one: int, other: int) -> bool:
        a, b = self._box(image, one), self._box(image, other)
        gap = -min(overlap_of(across(a), across(b)), overlap_of(down(a), down(b)))
        return at_least(gap, 0.02)

    def _near(self, image: Image, one: int, other: int) -> bool:
        a, b = self._box(image, one), self._box(image, other)
        gap = -min(overlap_of(across(a), across(b)), overlap_of(down(a), down(b)))
        return one != other and at_least(0.03, gap)

    def _together(self, image: Image, category: str, place: str) -> bool:
        boxes = image.of(category, crowds=True)
        return len(boxes) > 1 and all(in_place(b, place) for b in boxes)

    def _spread(self, image: Image, category: str, way: str) -> bool:
        boxes = image.of(category, crowds=True)
        thirds = {third_of(b.x if way == "across" else b.y) for b in boxes}
        return way in ("across", "down") and len(boxes) > 2 and {0, 2} <= thirds

    def _half(self, image: Image, category: str, side: str, k: int, n: int) -> bool:
        centres = [b.x if side in ("left", "right") else b.y for b in image.of(category)]
        low = side in ("left", "top")
        clear = all(at_least(abs(c - 0.5), MARGINS.border) for c in centres)
        counted = sum((c < 0.5) == low for c in centres)
        return side in THIRDS and clear and counted == k and self.number(category, image) == n

    def _share(self, image: Image, b: int, length: str, x: float) -> bool:
        taken = {"width": self._box(image, b).width, "height": self._box(image, b).height}[length]
        return taken >= 0.9 - EPSILON if x >= 0.9 else abs(taken - x) <= 0.04 + EPSILON

    def _covers(self, image: Image, b: int, x: float) -> bool:
        return at_least(self._box(image, b).area, x)

    def _coordinates(self, image: Image, b: int, *corners: float) -> bool:
        box = self._box(image, b)
        exact = (box.left, box.top, box.right, box.bottom)
        close = (abs(said - is_) <= 0.005 + EPSILON for said, is_ in zip(corners, exact, strict=True))
        return all(close) and all(round(said, 2) == said for said in corners)

    def _caption(self, image: Image, n: int) -> bool:
        return 1 <= n <= len(image.captions)

    def _told(self, image: Image, n: int, kind: str, head: str, words: str) -> bool:
        if kind not in ("doing", "state", "wearing", "holding", "attribute", "place", "with"):
            return False
        said = tokens(image.captions[n - 1]) if n > 0 else []
        return all(_occurs(word, said) for word in content(f"{head.removeprefix('scene')} {words}"))

    def _word(self, image: Image, n: int, words: str) -> bool:
        return n > 0 and f" {words} " in f" {' '.join(tokens(image.captions[n - 1]))} "

    def _knows(self, image: Image, path: str) -> bool:
        return self.entry(path) is not None


FUNCTION_WORDS = frozenset(
    "a an the of in on at to by with and or is are was were be been being it its his her their he she they "
    "them him this that some for from as into onto who which there".split()
)


def content(text: str) -> list[str]:
    return [word for word in tokens(text) if word not in FUNCTION_WORDS]


IRREGULAR = {
    "lying": "lie", "laying": "lie", "lays": "lie", "lay": "lie", "laid": "lie", "dying": "die",
    "tying": "tie", "men": "man", "women": "woman", "children": "child", "people": "person",
    "knives": "knife", "mice": "mouse",
}  # fmt: skip


def stem(word: str) -> str:
    """What the forms of a word share."""
    word = IRREGULAR.get(word, word)
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            word = word.removesuffix(ending)
            break
    if len(word) > 2 and word[-1] == word[-2]:
        word = word[:-1]
    return word.removesuffix("y").removesuffix("i")


def _occurs(word: str, said: Iterable[str]) -> bool:
    """Whether the word or another form of it is among those said."""
    return any(each == word or stem(each) == stem(word) for each in said)


# Text against facts

PICTURE = frozenset("image picture photo photograph scene frame view shot".split())
SIDES = {
    "left": "left", "leftmost": "left", "right": "right", "rightmost": "right",
    "top": "top", "upper": "top", "topmost": "top", "uppermost": "top", "higher": "top", "highest": "top",
    "bottom": "bottom", "lower": "bottom", "lowest": "bottom", "bottommost": "bottom",
    "middle": "middle", "center": "middle", "centre": "middle", "central": "middle",
    "above": "above", "below": "below", "beneath": "below",
}  # fmt: skip
OPPOSITES = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
RELATIONS = {"left_of": "left", "right_of": "right", "above": "top", "below": "bottom"}
VERTICAL = {"above": "top", "below": "bottom"}
POINTING = (
    "place across down left_of right_of above below extreme order between larger largest inside share covers "
    "coordinates"
).split()
FRACTIONS = {"third": 1 / 3, "quarter": 1 / 4, "half": 1 / 2, "fifth": 1 / 5}
NEGATIONS = frozenset(
    "no not none nor without neither cannot unlike nothing nobody never lacks missing".split()
)
COLORS = frozenset(
    "black white gray grey red green blue yellow orange brown purple pink silver gold tan beige".split()
)
ABSTRACT = frozenset(
    "things hints reasons clues questions points steps ways halves parts habits measures precautions "
    "answers".split()
)
CLAUSE_WORDS = frozenset("and while but which who whereas with beside besides".split())
MORE = (
    (r"\bmore (?P<a>.+?) than (?P<b>.+)", 1),
    (r"\b(?:fewer|less) (?P<a>.+?) than (?P<b>.+)", -1),
    (r"number of (?P<a>.+?)(?:greater|larger|higher|bigger) than (?P<b>.+)", 1),
    (r"number of (?P<a>.+?)(?:smaller|lower) than (?P<b>.+)", -1),
    (r"(?P<a>.+?) outnumber (?P<b>.+)", 1),
)


@dataclass
class Text:
    """Words of a text, with what is quoted and where its clauses and sentences end."""

    words: list[str]
    quoted: list[bool]
    clause: list[int]
    sentence: list[int]


@dataclass
class Phrase:
    """Side words next to one another."""

    at: int
    end: int
    sides: frozenset[str]
    relation: bool
    """Speaks of another thing (`left of the dog`, `higher than`), not of the image."""


@dataclass
class Report:
    """What came of a whole run."""

    facts: Counter[str] = field(default_factory=Counter)
    """How often each kind of fact held."""
    undecided: Counter[str] = field(default_factory=Counter)
    wrong_facts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unnamed: Counter[str] = field(default_factory=Counter)
    """Categories of facts that this reader did not find in the text."""
    unread: Counter[str] = field(default_factory=Counter)
    """Programs with questions whose claim this reader could not recompute, by their program."""
    read: Counter[str] = field(default_factory=Counter)
    """Claims, options and briefs recomputed."""
    turns: int = 0


def text_of(raw: str, sources: Iterable[str], loose: Iterable[str]) -> Text:
    """Words are quoted where they follow one another as in a source, or stand in a loose one."""
    raw = re.sub(r"\b(right (?:answer|one|option|choice|number)|(?:is|be|are) right\b(?! (?:of|side|half)))",
                 "fitting", raw)  # fmt: skip
    raw = re.sub(r"\b(?:center|centre) of (attention|interest)", r"\1", raw)
    raw = re.sub(
        r"(?i)\bright (?=place\b|beside|by\b|next to|behind|in front|outside)"
        r"|\bon top of (?:that|this)\b(?! \w)|\bon top(?=\W*(?:[:;.]|$))"
        r"|\babove all\b|\bleft over\b|\b(?:have|has) (?:already )?left\b",
        "",
        raw,
    )
    raw = re.sub(
        r"(?i)\bmidway between the (?:left and the right|top and the bottom) edges?", "in the middle", raw
    )
    found = list(re.finditer(r"[^\W_]+(?:['’][^\W_]+)*", raw.lower()))
    words = [each.group() for each in found]
    clause, sentence = [0], [0]
    for before, after in itertools.pairwise(found):
        between = raw[before.end() : after.start()]
        ends = bool(re.search(r"[.!?]", between))
        parts = ends or bool(re.search(r"[,;:()–—]", between)) or after.group() in CLAUSE_WORDS
        clause.append(clause[-1] + parts)
        sentence.append(sentence[-1] + ends)
    pairs: set[tuple[str, str]] = set()
    for source in sources:
        pairs |= set(itertools.pairwise(tokens(source)))
    free = {word for each in loose for word in tokens(each)} - set(SIDES) - set(NUMBERS)
    quoted = [word in free for word in words]
    for at, pair in enumerate(itertools.pairwise(words)):
        if pair in pairs:
            quoted[at] = quoted[at + 1] = True
    return Text(words, quoted, clause, sentence)


class Reader:
    """Holds turns against their evidence, and evidence against the annotations."""

    def __init__(self, images: dict[int, Image], knowledge: Path = KNOWLEDGE) -> None:
        self.images = images
        self.categories = frozenset(c for image in images.values() for c in image.categories)
        self.lexicon = Lexicon(self.categories)
        self.facts = Facts(self.lexicon, tomllib.loads(knowledge.read_text()))
        self.report = Report()

    # A run

    def run(self, out: Path) -> Report:
        """Everything in a run's folder."""
        records: dict[str, dict[str, Any]] = {}
        for name in ("conversation", "detail", "complex_reasoning"):
            records |= {each["id"]: each for each in json.loads((out / f"{name}.json").read_text())}
        samples = [
            SampleEvidence.model_validate_json(line)
            for line in (out / "evidence.jsonl").read_text().splitlines()
        ]
        if sorted(records) != sorted(sample.id for sample in samples):
            self.report.problems.append("evidence.jsonl and the records do not have the same ids")
        for sample in samples:
            self.sample(sample, records[sample.id])
        return self.report

    def sample(self, sample: SampleEvidence, record: dict[str, Any]) -> int:
        """How much is wrong with it; the report says what."""
        before = len(self.report.problems) + len(self.report.wrong_facts)
        kind, image_id = re.fullmatch(r"([a-z_]+)-0*(\d+)(?:-\d+)?", sample.id).groups()  # type: ignore[union-attr]
        image = self.images[int(image_id)]
        texts = [turn["value"].replace("<image>", "").strip() for turn in record["conversations"]]
        if len(texts) != 2 * len(sample.turns):
            self.report.problems.append(f"{sample.id}: {len(texts)} texts for {len(sample.turns)} turns")
        for turn, question, answer in zip(sample.turns, texts[::2], texts[1::2], strict=False):
            self.report.turns += 1
            for part in turn.parts:
                self.evidence(sample.id, part, image)
            found = self.turn(question, answer, turn.parts, image, kind)
            self.report.problems += [f"{sample.id}: {each}" for each in found]
        return len(self.report.problems) + len(self.report.wrong_facts) - before

    def evidence(self, sample_id: str, part: PartEvidence, image: Image) -> None:
        """Numbers that exist, facts that hold."""
        where = f"{sample_id} {part.program}"
        for number in part.boxes:
            if not 1 <= number <= len(image.boxes):
                self.report.problems.append(f"{where}: there is no box {number}")
        for number in part.captions:
            if not 1 <= number <= len(image.captions):
                self.report.problems.append(f"{where}: there is no caption {number}")
        for fact in part.facts:
            held = self.facts.holds(fact, image)
            if held is None:
                self.report.undecided[str(fact[0])] += 1
            elif held:
                self.report.facts[str(fact[0])] += 1
            else:
                self.report.wrong_facts.append(f"{where}: {fact}")
            for number in boxes_in(fact):
                if number not in part.boxes:
                    self.report.problems.append(f"{where}: {fact} names a box that is not listed")
                elif number <= len(image.boxes) and fact[0] in POINTING:
                    box = image.boxes[number - 1]
                    tiny = box.area < MARGINS.smallest_area - EPSILON
                    # Where all of a category are spoken of, none is pointed at.
                    if box.crowd or (tiny and not any(f[:2] == ["count", box.category] for f in part.facts)):
                        self.report.problems.append(f"{where}: {fact} points at a tiny box or a crowd")
            if fact[0] in ("caption", "told", "word") and fact[1] not in part.captions:
                self.report.problems.append(f"{where}: {fact} names a caption that is not listed")

    def turn(
        self, question: str, answer: str, parts: list[PartEvidence], image: Image, kind: str
    ) -> list[str]:
        """What is wrong with a turn of that response type."""
        if len(parts) == 1:
            return self.part(question, answer, parts[0], image, kind)
        sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z\"“'])", answer)

        # Each part has one sentence or more: they are dealt out so that the fewest problems are left.
        best: dict[tuple[int, int], list[str]] = {(0, 0): []}
        spare = max(0, len(sentences) - len(parts))
        for n, part in enumerate(parts):
            for start in range(len(sentences)):
                before = best.get((n, start))
                if before is None:
                    continue
                for end in range(start + 1, min(len(sentences), start + 1 + spare) + 1):
                    if len(sentences) - end < len(parts) - n - 1:
                        continue
                    text = " ".join(sentences[start:end])
                    found = before + self.part("", text, part, image, kind)
                    known = best.get((n + 1, end))
                    if known is None or len(found) < len(known):
                        best[n + 1, end] = found
        found_all = best.get((len(parts), len(sentences)))
        if found_all is None:
            return [f"{len(sentences)} sentences for {len(parts)} parts: {answer}"]
        return found_all

    # A part

    def part(self, question: str, answer: str, part: PartEvidence, image: Image, kind: str) -> list[str]:
        captions = [image.captions[n - 1] for n in part.captions if 0 < n <= len(image.captions)]
        told = [f"{fact[3]} {fact[4]}" for fact in part.facts if fact[0] == "told"]
        known = [text for fact in part.facts if fact[0] == "knows" for text in self.strings(str(fact[1]))[1:]]
        said = text_of(answer, [*captions, *told, *known], [*told, *known])
        asked = text_of(question if kind != "detail" else "", [*captions, *told, *known], [*told, *known])
        quoted = set().union(*map(self.lexicon.names, [*captions, *told, *known]), set())
        found = [
            *self.quotes(said, asked, part, captions, tokens(answer)),
            *self.numbers(answer, said, part, image, reasoning=kind == "complex_reasoning"),
            *self.side_words(said, asked, part, image, kind),
            *self.things(said, asked, part, image, quoted, kind),
        ]
        if kind == "conversation":
            found += self.brief(question, answer, said, part)
            found += self.yes_or_no(question, answer, part, image)
            found += self.options(question, answer, part, image)
        return [f"{part.program}: {each} | {question} | {answer}" for each in found]

    def strings(self, path: str) -> list[str]:
        """The texts of an entry of knowledge.toml."""

        def under(entry: Any) -> Iterator[str]:
            if isinstance(entry, dict):
                for key, value in entry.items():
                    yield key
                    yield from under(value)
            elif isinstance(entry, list):
                for each in entry:
                    yield from under(each)
            else:
                yield str(entry)

        return [path, *under(self.facts.entry(path))]

    def quotes(
        self, said: Text, asked: Text, part: PartEvidence, captions: list[str], heard: list[str]
    ) -> Iterator[str]:
        for fact in part.facts:
            if fact[0] == "caption" and captions:
                number = int(fact[1])
                words = tokens(captions[part.captions.index(number)]) if number in part.captions else []
                telling = [word for word in words if word in SIDES or word in NUMBERS]
                if common(telling, heard) < len(telling):
                    yield f"a number or side of caption {number} is not repeated"
                if common(words, heard) < 0.8 * len(words):
                    yield f"caption {number} is not repeated"
            elif fact[0] == "told":
                words = content(str(fact[4]))
                found = sum(_occurs(word, said.words + asked.words) for word in words)
                if found < 0.7 * len(words):
                    yield f"{fact} is not said"
            elif fact[0] == "knows" and not re.search(
                r"\.(traits|places|goes_with|questions|words|serves|parts)\b", str(fact[1])
            ):
                there = {*said.words, *asked.words}
                texts = [content(chosen(text, there)) for text in self.strings(str(fact[1]))[1:]]
                enough = (sum(w in there for w in text) >= 0.5 * len(text) for text in texts if text)
                if texts and not any(enough):
                    yield f"{fact} is not said"

    def mentions(self, text: Text) -> list[tuple[int, str]]:
        return [(at, name) for at, name in self.lexicon.named(text.words) if not text.quoted[at]]

    def numbers(
        self, answer: str, said: Text, part: PartEvidence, image: Image, *, reasoning: bool
    ) -> Iterator[str]:
        exact: dict[str, set[int]] = {}
        backed: set[int] = set()
        values: list[int] = []
        ranges = {(int(fact[2]), int(fact[3])): str(fact[1]) for fact in part.facts if fact[0] == "range"}
        in_ranges: set[int] = set()
        for fact in part.facts:
            kind, *rest = fact
            numbers = {each for each in rest if isinstance(each, int)}
            if kind == "count":
                exact.setdefault(str(rest[0]), set()).update(numbers)
                backed |= numbers
            elif kind == "half":
                k, n = int(rest[2]), int(rest[3])
                exact.setdefault(str(rest[0]), set()).update({k, n, n - k})
                backed |= {k, n, n - k}
            elif kind == "total":
                backed |= {int(rest[1])}
            elif kind == "knows" and isinstance(value := self.facts.entry(str(rest[0])), int):
                values.append(value)
            elif kind == "order":
                backed.add(len(rest) - 1)
            elif kind == "between":
                backed |= {2, 3}
            elif kind in ("largest", "extreme"):
                backed.add(len(part.boxes))
            elif kind in ("larger", "inside", "overlapping", "disjoint", "near", *RELATIONS):
                backed.add(2)
        if part.program.startswith("choice"):
            backed.add(4)
        if part.program == "existence_of_both":
            backed.add(2)
        backed |= reckoned([int(fact[2]) for fact in part.facts if fact[0] == "count"], values)
        # "Two of the five dogs can be seen on the left."
        backed |= set(
            Counter(
                (self.facts._box(image, fact[1]).category, fact[2])
                for fact in part.facts
                if fact[0] in ("across", "down", "place")
            ).values()
        )
        mentions = dict(self.mentions(said))
        decimals = re.findall(r"\d*\.\d+", answer)
        corners = {f"{x:.2f}" for fact in part.facts if fact[0] == "coordinates" for x in fact[2:]}
        yield from (f"{x} is no coordinate" for x in decimals if f"{float(x):.2f}" not in corners)
        in_decimals = {number for each in decimals for number in each.split(".")}
        for at, word in enumerate(said.words):
            # "between 20 and 30 ships", "20 to 30 ships"
            ends = said.words[at : at + 1] + said.words[at + 2 : at + 3]
            if said.words[at + 1 : at + 2] in (["and"], ["to"]) and all(each.isdecimal() for each in ends):
                low, high = int(word), int(ends[-1])
                is_range = said.words[at + 1] == "to" or said.words[max(0, at - 1) : at] == ["between"]
                if is_range and mentions.get(at + 3) == ranges.get((low, high), ""):
                    in_ranges |= {at, at + 2}
        for at, word in enumerate(said.words):
            number = NUMBERS.get(word)
            if number is None and word.isdecimal() and word not in in_decimals:
                number = int(word)
            after = said.words[at + 1] if at + 1 < len(said.words) else ""
            if word == "dozen" and after and not said.quoted[at]:
                counted = exact.get(mentions.get(at + 1, ""), {0})
                if said.words[max(0, at - 3) : at] != ["more", "than", "a"] or min(counted) <= 12:
                    yield "a dozen is not backed"
            if number is None or said.quoted[at] or at in in_ranges:
                continue
            if re.fullmatch("(third|quarter|fifth)s?", after):
                if number > 4:
                    yield f"{word} {after} is more than all"
                continue
            category = (
                mentions.get(at + 1) if said.clause[at : at + 1] == said.clause[at + 1 : at + 2] else None
            )
            supposed = category == "person" and any(fact[0] == "knows" for fact in part.facts)
            if (supposed and number < 3) or (
                number == 1 and said.words[max(0, at - 2) : at] == ["at", "least"]
            ):
                continue  # "One person may want this, another that."
            if number == 2 and category is None and ABSTRACT & set(said.words[at + 1 : at + 4]):
                continue
            if number == 2 and reasoning and category is None and said.words[at - 1] == "the":
                continue
            if category is not None and not said.quoted[at + 1]:
                if number not in exact.get(category, set()) or number > MARGINS.most_counted:
                    yield f"{word} {category} is not counted"
            elif number > 1 and number not in backed:
                yield f"{word} is not backed"
        yield from self.shares(answer, part)

    @staticmethod
    def shares(answer: str, part: PartEvidence) -> Iterator[str]:
        taken = [(str(fact[2]), float(fact[3])) for fact in part.facts if fact[0] == "share"]
        pattern = (
            r"\b(?:(two|three|four) )?(half|third|quarter|fifth)s?"
            r"(?: of)? (?:the|its|their) (?:\w+ )?(width|height)"
        )
        for times, name, length in re.findall(pattern, answer.lower()):
            share = NUMBERS.get(times, 1) * FRACTIONS[name]
            if not any(way == length and abs(share - x) < 0.02 for way, x in taken):
                yield f"{share:.2f} of the {length} is not backed"

    # Sides

    def phrases(self, text: Text) -> list[Phrase]:
        """Unquoted side words, those next to one another together."""
        found = []
        at = 0
        words = text.words
        while at < len(words):
            end = at
            while end < len(words) and words[end] in SIDES and text.clause[end] == text.clause[at]:
                end += 1
            # "near the top center" is no quotation where only "the top" stands in a caption.
            if all(text.quoted[at:end]):
                further = at > 0 and words[at - 1] in (
                    "further",
                    "farther",
                    "farthest",
                    "furthest",
                    "highest",
                )
                if words[at] in ("up", "down") and further and not text.quoted[at]:
                    side = "top" if words[at] == "up" else "bottom"
                    found.append(Phrase(at, at + 1, frozenset({side}), True))
                at += 1
                continue
            sides = frozenset(SIDES[word] for word in words[at:end])
            rest = words[end : end + 4]
            noun = next((w for w in rest[1:] if w not in ("the", "this", "a", "an")), "") if rest else ""
            compared = "than" in words[end : end + 8] and rest[:1] != ["part"]
            relation = (
                bool(sides & {"above", "below"})
                or (rest[:1] == ["of"] and noun not in PICTURE)
                or words[at] in ("higher", "highest", "lowest", "topmost", "leftmost", "rightmost")
                or (words[at] == "lower" and end == at + 1 and rest[:1] not in (["part"], ["half"], ["area"]))
                or (at > 0 and words[at - 1] in ("further", "farther"))
                or (compared and at > 0 and words[at - 1] in ("further", "farther"))
            )
            found.append(Phrase(at, end, sides, relation))
            at = end
        return found

    def backed_sides(self, part: PartEvidence, image: Image) -> list[tuple[frozenset[str], str, str]]:
        """Each with the category and kind of the fact that it is from."""
        sides: list[tuple[frozenset[str], str, str]] = []

        def add(kind: str, category: str, *words: str) -> None:
            sides.append((frozenset(words), category, kind))

        for fact in part.facts:
            kind, *rest = fact
            numbers = [n for n in boxes_in(fact) if 1 <= n <= len(image.boxes)]
            names = [image.boxes[n - 1].category for n in numbers] or ["*"]
            if kind == "place":
                add("place", names[0], *str(rest[1]).removesuffix("_corner").split("_"))
            elif kind in ("across", "down", "extreme"):
                add(kind, names[0], str(rest[1]))
            elif kind in RELATIONS:
                add(kind, names[0], RELATIONS[kind])
                if kind in VERTICAL:
                    add(kind, names[0], kind)
                # The other way round, the order of the two names is checked.
                add("inverse", names[-1], OPPOSITES[RELATIONS[kind]])
                if kind in VERTICAL:
                    add("inverse", names[-1], "below" if kind == "above" else "above")
            elif kind in ("order", "between"):
                for word in ("left", "right") if rest[0] == "across" else ("top", "bottom"):
                    add(kind, "*", word)
            elif kind == "inside":
                # "From side to side and from top to bottom".
                for word in ("top", "bottom"):
                    add(kind, names[0], word)
            elif kind == "share" and float(rest[2]) >= 0.9:
                for word in ("left", "right") if rest[1] == "width" else ("top", "bottom"):
                    add(kind, names[0], word)
            elif kind == "spread":
                for word in ("left", "right") if rest[1] == "across" else ("top", "bottom"):
                    add(kind, str(rest[0]), word)
            elif kind == "half" and rest[1] in OPPOSITES:
                add(kind, str(rest[0]), str(rest[1]))
                add(kind, str(rest[0]), OPPOSITES[str(rest[1])])
            elif kind == "together":
                add(kind, str(rest[0]), *str(rest[1]).removesuffix("_corner").split("_"))
        return sides

    def side_words(
        self, said: Text, asked: Text, part: PartEvidence, image: Image, response_type: str
    ) -> Iterator[str]:
        backed = self.backed_sides(part, image)
        phrases = self.phrases(said)
        mentions = self.mentions(said)
        unquoted = replace(said, quoted=[False] * len(said.words))
        for phrase in phrases:
            words = " ".join(said.words[phrase.at : phrase.end])
            fitting = [each for each in backed if each[0] == phrase.sides]
            if not fitting:
                yield f"{words!r} is not backed"
                continue
            if phrase.relation:
                yield from self.reversed(said, phrase, mentions, part, image)
                continue
            here = {name for at, name in mentions if said.clause[at] == said.clause[phrase.at]}
            here -= {"person"} if response_type == "complex_reasoning" else set()
            clause = [w for w, c in zip(said.words, said.clause, strict=True) if c == said.clause[phrase.at]]
            if (
                len(here) == 1
                and "one" not in clause
                and not {"closer", "than"} <= set(clause)
                and not any(name in ("*", *here) for _, name, _ in fitting)
            ):
                yield f"{words!r} is not backed of {next(iter(here))}"
        expressed = {
            side for p in (*self.phrases(unquoted), *self.phrases(asked)) for side in self.same(p.sides)
        }
        for sides, _, kind in backed:
            either = {sides}
            if kind in RELATIONS and len(sides) == 1:
                (side,) = (VERTICAL.get(side, side) for side in sides)
                either |= {frozenset({side}), frozenset({OPPOSITES[side]})}
            if kind in ("place", "together", "extreme", *RELATIONS) and not either & expressed:
                yield f"{kind} {'_'.join(sorted(sides))} is not said"

        # What lies in both directions is not said of one alone.
        heard = {side for phrase in phrases for side in phrase.sides}
        for fact in part.facts:
            if fact[0] in ("spread", "order"):
                ways = {"left", "right"} if "across" in fact else {"top", "bottom"}
                if len(ways & heard) == 1:
                    yield f"{fact[0]} is said of one side alone"
            elif fact[0] == "half" and fact[2] in OPPOSITES:
                other = OPPOSITES[str(fact[2])]
                axis = [p.sides for p in phrases if p.sides <= {str(fact[2]), other}]
                if fact[2] not in heard and other in heard and frozenset({fact[2]}) not in expressed:
                    yield f"half {fact[2]} is not said"
                elif len(axis) == 2 and axis[0] == axis[1]:
                    yield "both halves are the same"

    @staticmethod
    def same(sides: frozenset[str]) -> set[frozenset[str]]:
        """The sides, with `above` for `top` and the like."""
        plain = frozenset(VERTICAL.get(side, side) for side in sides)
        return {sides, plain, *(frozenset({side}) for side, word in VERTICAL.items() if plain == {word})}

    @staticmethod
    def reversed(
        said: Text, phrase: Phrase, mentions: list[tuple[int, str]], part: PartEvidence, image: Image
    ) -> Iterator[str]:
        """X left of Y, where the facts have Y left of X."""
        before = [name for at, name in mentions if at < phrase.at]
        after = [(at, name) for at, name in mentions if at >= phrase.end]
        if not before or not after or said.sentence[after[0][0]] != said.sentence[phrase.at]:
            return
        link = said.words[phrase.end : after[0][0]]
        of = [w for w in link if w not in ("the", "a", "an", "this")]
        comparing = of[-1:] == ["than"] and of.count("than") == 1 and not set(of) & set(SIDES)
        (side,) = phrase.sides if len(phrase.sides) == 1 else ("",)
        if not (of == ["of"] or (not of and side in VERTICAL) or comparing):
            return
        side = VERTICAL.get(side, side)
        pair = (before[-1], after[0][1])
        pairs = []
        for fact in part.facts:
            if fact[0] in RELATIONS:
                one, other = (image.boxes[int(n) - 1].category for n in fact[1:3])
                pairs.append((one, other) if RELATIONS[str(fact[0])] == side else (other, one))
        if pairs and pair not in pairs and pair[::-1] in pairs:
            yield f"{pair[0]} {side} of {pair[1]} is the wrong way round"

    # Things

    def things(
        self, said: Text, asked: Text, part: PartEvidence, image: Image, quoted: set[str], kind: str
    ) -> Iterator[str]:
        named = {name for _, name in (*self.mentions(said), *self.mentions(asked))}
        of_facts = {each for fact in part.facts for each in self.categories_in(fact)}
        boxed = {image.boxes[n - 1].category for n in part.boxes if 0 < n <= len(image.boxes)}
        heads = [str(fact[3]) for fact in part.facts if fact[0] == "told"]
        if any(not self.lexicon.names(head) for head in heads):
            # "The airplane" takes up a caption's jetliner.
            named -= {b.category for b in image.boxes}
        if heads or kind == "complex_reasoning":
            # "People turn to kettles for tea", whether or not there are any.
            named.discard("person")
        if part.program == "color_check":
            named.discard("orange")
        for name in sorted(named - of_facts - boxed - quoted):
            yield f"{name} is not backed"
        anywhere = self.lexicon.names(said.words) | self.lexicon.names(asked.words)
        groups = sum(fact[0] == "absent" for fact in part.facts) > 4
        for name in sorted((of_facts | boxed) - anywhere):
            if not (groups and image.of(name) == []):
                self.report.unnamed[f"{part.program}: {name}"] += 1
        absent = {str(fact[1]) for fact in part.facts if fact[0] == "absent"}
        everywhere = self.lexicon.named(said.words)
        for name in absent & {name for _, name in everywhere}:
            sentences = {said.sentence[at] for at, each in everywhere if each == name}
            there = {w for w, s in zip(said.words, said.sentence, strict=True) if s in sentences}
            nobody = name == "person" and "nobody" in said.words
            if not NEGATIONS & there and not nobody:
                yield f"{name} is absent but not denied"
        for at, name in self.mentions(said):
            if (
                at
                and said.words[at - 1] == "no"
                and said.clause[at] == said.clause[at - 1]
                and name not in absent
            ):
                yield f"no {name} is not backed"

    def categories_in(self, fact: Fact) -> list[str]:
        return [
            str(each) for each in fact[1:] if each in self.categories and fact[0] not in ("told", "knows")
        ]

    # Briefs, claims, options

    def brief(self, question: str, answer: str, said: Text, part: PartEvidence) -> Iterator[str]:
        brief = part.answer
        if not brief or re.fullmatch("[A-H]|yes|no", brief):
            return
        if brief.isdecimal():
            number = int(brief)
            spelled = {w for w, n in NUMBERS.items() if n == number} | {brief}
            spelled |= {0: {"no", "none", "not"}, 1: {"single", "a", "an"}, 2: {"both"}}.get(number, set())
            if not spelled & set(said.words):
                yield f"the brief {brief} is not said"
            backed = {
                n
                for fact in part.facts
                for n in fact
                if isinstance(n, int) and fact[0] in ("count", "half", "total")
            }
            if number not in backed and not (number == 0 and any(f[0] == "absent" for f in part.facts)):
                yield f"the brief {brief} is not backed"
            self.report.read["brief"] += 1
            return
        sides = [SIDES[word] for word in tokens(brief) if word in SIDES]
        if sides and len(sides) == len(tokens(brief)):
            phrases = self.phrases(text_of(answer, [], []))
            heard = {side for phrase in phrases for side in phrase.sides}
            heard |= {VERTICAL[side] for side in heard & set(VERTICAL)}
            heard |= {side for side, plain in VERTICAL.items() if plain in heard}
            if not set(sides) <= heard:
                yield f"the brief {brief} is not said"
            self.report.read["brief"] += 1
            return
        names = self.lexicon.names(brief)
        if names:
            if not names <= self.lexicon.names(said.words):
                yield f"the brief {brief} is not said"
            self.report.read["brief"] += 1
        elif all(_occurs(word, said.words) for word in content(brief)):
            self.report.read["brief"] += 1
        else:
            self.report.unread[f"brief {part.program}: {brief}"] += 1

    def yes_or_no(self, question: str, answer: str, part: PartEvidence, image: Image) -> Iterator[str]:
        start = re.match(r"(yes|no)\b(?! [a-z])", answer.lower())
        said = start.group(1) if start else ""
        if said != (part.answer if part.answer in ("yes", "no") else ""):
            yield f"the brief is {part.answer!r}"
        if not said:
            return
        claim = self.claim(question, part, image)
        if claim is None:
            self.report.unread[part.program] += 1
            return
        self.report.read[f"claim of {part.program}"] += 1
        if claim != (said == "yes"):
            yield f"the question's claim is {claim}"

    def claim(self, question: str, part: PartEvidence, image: Image) -> bool | None:
        """Whether what is asked is so, by the boxes alone."""
        program = part.program
        named = self.lexicon.named(question)
        boxes = {name: [b for b in image.boxes if b.category == name] for _, name in named}
        if program.startswith(("existence", "absence")):
            if any(fact[0] == "spoken" for fact in part.facts):
                return True
            if named:
                return all(boxes.values())
            group = next(
                (self.facts.group(word) for word in tokens(question) if self.facts.group(word)), None
            )
            return None if group is None else bool(group & {b.category for b in image.boxes})
        if program == "counting_check" and named:
            numbers = [NUMBERS[w] if w in NUMBERS else int(w) for w in tokens(question)
                       if w in NUMBERS or w.isdecimal()]  # fmt: skip
            return len(boxes[named[0][1]]) == numbers[0] if len(numbers) == 1 else None
        if program == "counting_more":
            for pattern, sign in MORE:
                if match := re.search(pattern, question.lower()):
                    one, two = self.lexicon.named(match["a"]), self.lexicon.named(match["b"])
                    if one and two:
                        return (len(image.of(one[0][1])) - len(image.of(two[0][1]))) * sign > 0
            return None
        if program == "color_check":
            said = {w for fact in part.facts if fact[0] == "told" and fact[2] == "attribute"
                    for w in tokens(str(fact[4]))}  # fmt: skip
            colors = COLORS & set(tokens(question))
            return colors <= said if colors and said else None
        if program == "overlap":
            pairs = [fact for fact in part.facts if fact[0] in ("overlapping", "disjoint")]
            return self.facts.holds(["overlapping", *pairs[0][1:]], image) if pairs else None
        if program == "containment":
            pair = next(
                (fact for fact in part.facts if fact[0] in ("inside", "disjoint", "overlapping")), None
            )
            if pair is None or len(named) < 2:
                return None
            numbers = sorted(boxes_in(pair), key=lambda n: image.boxes[n - 1].category != named[0][1])
            return self.facts.holds(["inside", *numbers], image)
        if program in ("position_check", "relation_check", "relation_chain"):
            return self.placed(question, named, part, image)
        return None

    def placed(
        self, question: str, named: list[tuple[int, str]], part: PartEvidence, image: Image
    ) -> bool | None:
        """Whether the things asked about are where the question says."""
        phrases = self.phrases(text_of(question, [], []))
        pointed = [n for n in part.boxes if n <= len(image.boxes)]

        def box_of(name: str) -> int | None:
            return next((n for n in pointed if image.boxes[n - 1].category == name), None)

        if len(phrases) != 1 or not named:
            return None
        (phrase,) = phrases
        (side,) = phrase.sides if len(phrase.sides) == 1 else ("",)
        numbers = [box_of(name) for _, name in named]
        if None in numbers:
            return None
        if phrase.relation:
            kind = next((k for k, s in RELATIONS.items() if VERTICAL.get(side, side) == s), None)
            if kind is None or len(numbers) < 2 or phrase.at < named[-2][0] or phrase.at > named[-1][0]:
                return None
            pairs = [[n, numbers[-1]] for n in numbers[:-1]]
            return all(self.facts.holds([kind, *pair], image) for pair in pairs)  # type: ignore[list-item]
        if len(numbers) != 1 or numbers[0] is None:
            return None
        place = "_".join(sorted(phrase.sides, key="top bottom middle left right".split().index))
        return in_place(image.boxes[numbers[0] - 1], place)

    def options(self, question: str, answer: str, part: PartEvidence, image: Image) -> Iterator[str]:
        letter = part.answer if re.fullmatch("[A-H]", part.answer) else None
        found = list(re.finditer(r"(?<!\w)\(?([A-H])[).:]\s*", question))
        if letter is None:
            if part.program.startswith("choice"):
                yield f"the brief is no letter but {part.answer!r}"
            return
        texts = {}
        for this, after in itertools.zip_longest(found, found[1:]):
            text = question[this.end() : after.start() if after else len(question)]
            texts[this[1]] = re.split(r"[?.]\s", text + " ")[0]
        named = re.findall(r"(?<!\w)([A-H])(?!\w)(?=\W*(?:$|[:.,)]| is| fits| because| since| as))", answer)
        if "A" in named and letter != "A":
            named = [each for each in named if each != "A"]
        if list(texts) != list("ABCDEFGH"[: len(texts)]) or letter not in texts:
            yield f"the options are {texts}"
            return
        if set(named) != {letter}:
            yield f"the letter is {letter}, named is {named}"
        for each, text in texts.items():
            held = self.option(question, text, part, image)
            if held is None:
                self.report.unread[f"option of {part.program}"] += 1
            else:
                self.report.read[f"option of {part.program}"] += 1
                if held != (each == letter):
                    yield f"option {each} {'holds' if held else 'does not hold'}"

    def option(self, question: str, text: str, part: PartEvidence, image: Image) -> bool | None:
        names = [name for _, name in self.lexicon.named(text)]
        if part.program in ("choice_object", "choice_absent") and len(names) == 1:
            spoken = {str(fact[1]) for fact in part.facts if fact[0] == "spoken"}
            there = bool(image.of(names[0], crowds=True)) or names[0] in spoken
            return there == (part.program == "choice_object")
        if part.program == "choice_count":
            word = next((w for w in tokens(text) if w in NUMBERS or w.isdecimal()), None)
            asked = self.lexicon.names(question)
            if word is None or len(asked) != 1:
                return None
            return len(image.of(next(iter(asked)))) == NUMBERS.get(
                word, int(word) if word.isdecimal() else -1
            )
        if part.program == "choice_place":
            phrases = self.phrases(text_of(text, [], []))
            if len(phrases) != 1 or len(part.boxes) != 1:
                return None
            place = "_".join(sorted(phrases[0].sides, key="top bottom middle left right".split().index))
            return in_place(image.boxes[part.boxes[0] - 1], place)
        return None


def boxes_in(fact: Fact) -> list[int]:
    """The numbers of the boxes that a fact names."""
    kind, *rest = fact
    if kind in ("place", "across", "down", "extreme", "largest", "share", "covers", "coordinates"):
        rest = rest[:1]
    elif kind in ("order", "between"):
        rest = rest[1:]
    elif kind not in (*RELATIONS, "larger", "inside", "overlapping", "disjoint", "near"):
        rest = []
    return [each for each in rest if isinstance(each, int)]


def chosen(text: str, there: set[str]) -> str:
    """Of alternatives such as `[one|the other]`, those that are there."""

    def best(match: re.Match[str]) -> str:
        return max(match[1].split("|"), key=lambda each: sum(w in there for w in content(each)))

    return re.sub(r"\[([^\]]*)\]", best, re.sub("<.*?>", "", text))


def reckoned(counts: list[int], values: list[int]) -> set[int]:
    """What can be worked out from the numbers of things and what each has or serves."""
    if not values:
        return set()
    products = {n * value for n in counts for value in values}
    sums = {
        sum(n * v for n, v in zip(counts, order, strict=False)) for order in itertools.permutations(values)
    }
    known = products | sums | set(counts)
    return set(values) | known | {a - b for a in known for b in known if a > b}


def common(words: list[str], others: list[str]) -> int:
    """The length of their longest common subsequence."""
    row = [0] * (len(others) + 1)
    for word in words:
        before = row
        row = [0]
        for at, other in enumerate(others):
            row.append(before[at] + 1 if word == other else max(row[at], before[at + 1]))
    return row[-1]
