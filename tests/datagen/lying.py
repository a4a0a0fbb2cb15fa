"""A teacher that lies: it writes in LLaVA's manner what captions and boxes bear out, and plants into
some turns one thing that they do not. It remembers which.

Its English is its own and simple, and its lies are decidable: no side for what stands in the middle,
no number for a crowd, nothing absent that a caption might mean by another word.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from datagen.records import Box, ImageAnnotation, Turn

Lie = Literal["absent", "count", "side", "colour", "yes_no", "denied", "relation"]
LIES: tuple[Lie, ...] = get_args(Lie)

_NUMBERS = "no one two three four five six seven eight nine ten eleven twelve".split()
_COLOURS = "red blue green yellow pink purple orange brown white black".split()
_MANY_COLOURS = re.compile(
    r"colou?r|rainbow|striped?s?\b|spotted|plaid|check|pattern|tie.dye|camo|strawberry|\w+ish\b"
)
_VAGUE = re.compile(
    r"\b(several|many|group|crowd\w*|row|rows|herd|flock|bunch|lots?|numerous|various|few|couple|pair|both|all|each"
    r"|pile|stack|variety|assort\w*|dozens?|multiple|line|full|filled|everybody|some|another|other)\b"
)

# What an annotation calls otherwise than people do.
_SAID = {"tv": "television", "dining table": "table", "sports ball": "ball", "cell phone": "phone"}
_PLURALS = {"person": "people", "sheep": "sheep", "knife": "knives"}
_NOT_COUNTED = frozenset(["scissors", "skis", "broccoli", "hair drier", "mouse", "food"])

# Categories whose absence is certain where no caption has any of these words.
_OTHER_WORDS = {
    "bicycle": r"bike|bicycl|cycl|tricycle|vehicle",
    "motorcycle": r"motor|moped|scooter|bike|vehicle",
    "airplane": r"plane|jet|aircraft|airport|runway|boeing|flying|air ",
    "bus": r"\bbus|coach|vehicle|trolley|tram|double.decker",
    "train": r"train|rail|locomotive|engine|subway|metro|tram|trolley|station",
    "boat": r"boat|ship|vessel|canoe|kayak|raft|yacht|sail|ferry|harbo|dock",
    "bench": r"bench|seat|pew|bleacher",
    "bird": r"bird|duck|goose|geese|gull|pigeon|parrot|swan|chicken|hen\b|rooster|eagle|owl|hawk|feather"
    r"|animal|turkey|flock|penguin|crane|heron|wildlife",
    "cat": r"\bcat|kitt|feline|animal|pet|tabby",
    "dog": r"dog|pup|canine|animal|pet|hound|terrier",
    "horse": r"horse|pony|ponies|foal|mare|colt|animal|riding|rider|equestrian|polo",
    "sheep": r"sheep|lamb|ram\b|goat|animal|herd|livestock",
    "cow": r"cow|cattle|bull|calf|ox|steer|animal|herd|livestock",
    "elephant": r"elephant|animal|herd",
    "bear": r"bear|animal|panda|cub",
    "zebra": r"zebra|animal|herd",
    "giraffe": r"giraffe|animal|herd",
    "umbrella": r"umbrella|parasol|canopy|shade",
    "suitcase": r"suitcase|luggage|bag|trunk|briefcase|case",
    "kite": r"kite|parasail|flying",
    "skateboard": r"skate|board|trick|ramp",
    "surfboard": r"surf|board|wave",
    "banana": r"banana|fruit|produce|plantain",
    "pizza": r"pizza|pie|slice|food|meal",
    "couch": r"couch|sofa|seat|settee|furniture|futon|lounge|loveseat|living",
    "toilet": r"toilet|bath|restroom|urinal|commode|lavatory|porcelain",
    "laptop": r"laptop|computer|macbook|notebook|pc\b|electronic|device",
    "refrigerator": r"fridge|refrigerator|freezer|appliance|kitchen",
    "clock": r"clock|time|tower|watch",
    "teddy bear": r"teddy|bear|stuffed|toy|plush|animal",
    "fire hydrant": r"hydrant",
    "stop sign": r"sign|stop",
}  # fmt: skip

# A colour before one of these, and then no further noun, is said of it.
_COLOURED = (
    "car truck bus train shirt jacket hat cap coat dress sweater house wall building couch sofa bike bicycle "
    "motorcycle boat umbrella kite dog cat horse cow vase chair bench plate bowl door tie helmet suit "
    "surfboard"
).split()
# What may follow the noun without being one.
_NO_NOUN = (
    "in on with is at near by to of parked sitting standing next that while driving behind under for from "
    "walking holding wearing riding laying lying"
).split()
_COLOUR_SAID = re.compile(
    rf"\b(?:a|an|the|his|her) ({'|'.join(_COLOURS)}) ({'|'.join(_COLOURED)})"
    rf"(?=[.,]|$| (?:{'|'.join(_NO_NOUN)})\b)"
)


class Statement(NamedTuple):
    """One thing said of an image: as a turn of a conversation, and as a sentence of a longer text."""

    question: str
    answer: str
    sentence: str


class Told(NamedTuple):
    """A turn, whether it lies, and which words are the lie."""

    turn: Turn
    lie: Lie | None = None
    planted: str = ""


@dataclass(frozen=True)
class Sample:
    """What the teacher wrote of one image for one response type."""

    response_type: str
    image_id: int
    told: tuple[Told, ...]

    @property
    def reply(self) -> str:
        """As it goes over the wire."""
        if self.response_type == "detail":
            return self.told[0].turn.answer
        blocks = [f"Question:\n{turn.question}\n===\nAnswer:\n{turn.answer}" for turn, _, _ in self.told]
        return "\n===\n".join(blocks)


@dataclass(frozen=True)
class _Known:
    """What an annotation settles, as far as this teacher dares to say."""

    captions: tuple[str, ...]
    """Whole sentences, as they stand."""
    text: str
    """All captions in lower case."""
    boxes: dict[str, list[Box]]
    width: int
    height: int
    absent: tuple[str, ...]
    countable: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    """Categories with one box, which is no crowd."""
    colours: dict[str, str] = field(default_factory=dict)
    """Noun to the one colour that captions give it."""

    def place(self, category: str) -> tuple[float, float]:
        box = self.boxes[category][0]
        return (box.x + box.width / 2) / self.width, (box.y + box.height / 2) / self.height


def _known(annotation: ImageAnnotation, looked_for: Sequence[str]) -> _Known:
    text = " ".join(" ".join(caption.split()) + " " for caption in annotation.captions).lower()
    boxes: dict[str, list[Box]] = {}
    for box in annotation.boxes:
        boxes.setdefault(box.category, []).append(box)
    settled = {
        name: of
        for name, of in boxes.items()
        if name not in _NOT_COUNTED and name not in annotation.uncounted and not any(b.crowd for b in of)
    }
    single = tuple(name for name, of in settled.items() if len(of) == 1)
    absent = [
        name
        for name, words in _OTHER_WORDS.items()
        if name in looked_for and name not in boxes and not re.search(words, text)
    ]
    if "couch" in boxes or "chair" in boxes:
        absent = [name for name in absent if name not in ("couch", "bench")]
    said: dict[str, set[str]] = {}
    for colour, noun in _COLOUR_SAID.findall(text):
        said.setdefault(noun, set()).add(colour)
    sentences = [" ".join(caption.split()) for caption in annotation.captions]
    is_vague = _VAGUE.search(text) is not None
    return _Known(
        captions=tuple(c for c in sentences if c.isascii() and c.endswith(".") and len(c.split()) > 4),
        text=text,
        boxes=boxes,
        width=annotation.width,
        height=annotation.height,
        absent=tuple(absent),
        countable=() if is_vague else tuple(n for n, of in settled.items() if len(of) < 8),
        single=single,
        colours={noun: min(colours) for noun, colours in said.items() if len(colours) == 1},
    )


def name_of(category: str) -> str:
    """As people say it."""
    return _SAID.get(category, category)


def plural_of(category: str) -> str:
    """Of several."""
    name = name_of(category)
    if category in _PLURALS:
        return _PLURALS[category]
    return name + ("es" if name.endswith(("ch", "sh", "s", "x")) else "s")


def a(category: str) -> str:
    """With its article."""
    name = name_of(category)
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


class LyingTeacher:
    """Writes samples of three response types; how many of them lie is `rate`.

    The same seed, image and type make the same sample.
    """

    def __init__(self, looked_for: Sequence[str], seed: int = 0, rate: float = 0.5) -> None:
        self.looked_for = looked_for
        self.seed = seed
        self.rate = rate

    def samples(self, annotation: ImageAnnotation) -> Iterator[Sample]:
        """One of each response type, where there is enough to say."""
        known = _known(annotation, self.looked_for)
        if not known.captions:
            return
        for response_type, write in (
            ("conversation", _conversation),
            ("detail", _detail),
            ("complex_reasoning", _reasoning),
        ):
            rng = random.Random(f"{self.seed} {annotation.image_id} {response_type}")
            lies = list(rng.sample(LIES, len(LIES))) if rng.random() < self.rate else []
            told = write(known, rng, lies)
            if told:
                yield Sample(response_type, annotation.image_id, tuple(told))


def _conversation(known: _Known, rng: random.Random, lies: list[Lie]) -> list[Told]:
    truths = _truths(known, rng)
    rng.shuffle(truths)
    caption = rng.choice(known.captions)
    opening = rng.choice(
        [
            Statement("What is happening in this picture?", caption, ""),
            Statement("Could you sum the scene up for me?", caption, ""),
        ]
    )
    told = [Told(Turn(opening.question, opening.answer))]
    told += [Told(Turn(said.question, said.answer)) for said in truths[: rng.randint(3, 5)]]
    if planted := _lie(known, rng, lies):
        kind, lie = planted
        told = [each for each in told if each.turn.question != lie.question]
        told.insert(rng.randint(1, len(told)), Told(Turn(lie.question, lie.answer), kind, lie.answer))
    asked = [each.turn.question for each in told]
    return [each for n, each in enumerate(told) if each.turn.question not in asked[:n]]


def _detail(known: _Known, rng: random.Random, lies: list[Lie]) -> list[Told]:
    opening = rng.choice(known.captions)
    return [_paragraph("", opening, rng.randint(3, 5), [], known, rng, lies)]


def _reasoning(known: _Known, rng: random.Random, lies: list[Lie]) -> list[Told]:
    question = rng.choice(
        [
            "What might have led up to this moment?",
            "What could somebody keep in mind in a place such as this?",
            "What may happen next, and why?",
        ]
    )
    musings = [
        "That makes it likely that things will go on much as they are for a while.",
        "Whoever comes by would do well to take their time and keep the way clear.",
        "It may well be part of an ordinary day, with nothing out of the usual planned.",
        "A little care and some patience would help to keep everybody safe.",
    ]
    return [_paragraph(question, rng.choice(known.captions), 2, [rng.choice(musings)], known, rng, lies)]


def _paragraph(
    question: str,
    opening: str,
    truths: int,
    ending: list[str],
    known: _Known,
    rng: random.Random,
    lies: list[Lie],
) -> Told:
    """A text of sentences that are so, but for one, if it is to lie."""
    # A paragraph answers no question.
    planted = _lie(known, rng, [kind for kind in lies if kind != "yes_no"])
    statements = _truths(known, rng)
    rng.shuffle(statements)
    if planted is not None:
        # It does not say the truth about the same thing as well.
        statements = [said for said in statements if said.question != planted[1].question]
    sentences = [opening, *[said.sentence for said in statements][:truths], *ending]
    if planted is None:
        return Told(Turn(question, " ".join(sentences)))
    kind, lie = planted
    sentences.insert(rng.randint(1, len(sentences)), lie.sentence)
    return Told(Turn(question, " ".join(sentences)), kind, lie.sentence)


def _lie(known: _Known, rng: random.Random, lies: Sequence[Lie]) -> tuple[Lie, Statement] | None:
    """The first of the kinds for which this image has room."""
    for kind in lies:
        if said := _LIES[kind](known, rng):
            return kind, said
    return None


# What is so


def _truths(known: _Known, rng: random.Random) -> list[Statement]:
    said: list[Statement] = []
    for category in known.countable:
        said.append(_counted(category, len(known.boxes[category]), rng))
    for category in known.single:
        if side := _side_of(known, category):
            said.append(_sided(category, side, rng))
    if pair := _pair(known, rng):
        said.append(_related(*pair, rng))
    for noun, colour in known.colours.items():
        said.append(_coloured(noun, colour, rng))
    if known.boxes:
        said.append(_asked(rng.choice(sorted(known.boxes)), True, rng))
    if known.absent:
        said.append(_asked(rng.choice(known.absent), False, rng))
    return said


def _counted(category: str, number: int, rng: random.Random) -> Statement:
    question = f"How many {plural_of(category)} are there in the picture?"
    word = _NUMBERS[number]
    if number == 1:
        name = name_of(category)
        return Statement(
            question,
            rng.choice([f"There is one {name}.", f"Just one {name}.", "One."]),
            rng.choice(
                [f"There is just one {name} in the picture.", f"There is a single {name} in the image."]
            ),
        )
    names = plural_of(category)
    answers = [f"There are {word} {names}.", f"{_capital(word)}.", f"{_capital(word)} {names} are visible."]
    sentences = [
        f"There are {word} {names} in the picture.",
        f"In all, {word} {names} can be seen.",
        f"The image shows {word} {names}.",
    ]
    return Statement(question, rng.choice(answers), rng.choice(sentences))


def _side_of(known: _Known, category: str) -> str | None:
    """Left or right, for what is clearly on one side."""
    (box,) = known.boxes[category]
    x, _ = known.place(category)
    if x < 0.33 and box.x + box.width < 0.6 * known.width:
        return "left"
    if x > 0.67 and box.x > 0.4 * known.width:
        return "right"
    return None


def _sided(category: str, side: str, rng: random.Random) -> Statement:
    name = name_of(category)
    answers = [
        f"The {name} is on the {side} side of the picture.",
        f"It is on the {side}.",
        f"You can find the {name} toward the {side} edge of the frame.",
        f"The {name} is located on the {side} side.",
    ]
    sentences = [
        f"On the {side} side of the picture there is {a(category)}.",
        f"The {name} is on the {side} of the image.",
        f"To the {side}, {a(category)} can be seen.",
        f"{_capital(a(category))} is visible on the {side} side of the frame.",
    ]
    return Statement(f"Where is the {name}?", rng.choice(answers), rng.choice(sentences))


_Pair = tuple[str, str, str]


def _pair(known: _Known, rng: random.Random) -> _Pair | None:
    """Two things that are clearly apart, and how the first stands to the second."""
    found: list[_Pair] = []
    for one in known.single:
        for other in known.single:
            if one == other:
                continue
            a_box, b_box = known.boxes[one][0], known.boxes[other][0]
            (x1, y1), (x2, y2) = known.place(one), known.place(other)
            if x2 - x1 > 0.2 and a_box.x + a_box.width < b_box.x + 0.25 * b_box.width:
                found.append((one, "to the left of", other))
                found.append((other, "to the right of", one))
            elif y2 - y1 > 0.2 and a_box.y + a_box.height < b_box.y:
                found.append((one, "above", other))
                found.append((other, "below", one))
    return rng.choice(found) if found else None


def _related(one: str, how: str, other: str, rng: random.Random) -> Statement:
    first, second = name_of(one), name_of(other)
    plain = f"The {first} is {how} the {second}."
    questions = {
        f"Where is the {first} in relation to the {second}?": [plain, f"It is {how} the {second}."],
        f"Is the {first} {how} the {second}?": ["Yes.", f"Yes, the {first} is {how} the {second}."],
        f"What can be said of the {first} and the {second}?": [plain],
    }
    question = rng.choice(sorted(questions))
    sentences = [
        plain,
        f"There is {a(one)} {how} the {second}.",
        f"{_capital(how)} the {second} there is {a(one)}.",
    ]
    return Statement(question, rng.choice(questions[question]), rng.choice(sentences))


def _coloured(noun: str, colour: str, rng: random.Random) -> Statement:
    answers = [f"The {noun} is {colour}.", f"It is {colour}.", f"{_capital(colour)}."]
    sentences = [
        f"The {noun} is {colour}.",
        f"There is a {colour} {noun} in the picture."
        if colour != "orange"
        else f"There is an orange {noun}.",
    ]
    return Statement(f"What color is the {noun}?", rng.choice(answers), rng.choice(sentences))


def _asked(category: str, is_there: bool, rng: random.Random) -> Statement:
    """A yes/no question, answered so; and the same as a sentence."""
    questions = [
        f"Is there {a(category)} in the image?",
        f"Can you see {a(category)} anywhere?",
        f"Are there any {plural_of(category)} in the picture?",
    ]
    if is_there:
        answers = ["Yes.", f"Yes, there is {a(category)}.", "Yes, there is."]
        sentence = f"There is at least one {name_of(category)} in the picture."
    else:
        answers = ["No.", f"No, there are no {plural_of(category)} in the picture.", "No, there are none."]
        sentence = rng.choice(
            [
                f"There are no {plural_of(category)} in the picture.",
                f"No {plural_of(category)} can be seen.",
                f"There is no {name_of(category)} in sight.",
            ]
        )
    return Statement(rng.choice(questions), rng.choice(answers), sentence)


# What is not so


def _absent(known: _Known, rng: random.Random) -> Statement | None:
    """Something nobody boxed and nobody mentioned."""
    if not known.absent or not known.boxes:
        return None
    gone, seen = rng.choice(known.absent), name_of(rng.choice(sorted(known.boxes)))
    name, one = name_of(gone), a(gone)
    said = [
        Statement(f"What is next to the {seen}?", f"There is {one} next to the {seen}.", ""),
        Statement(f"Where is the {name}?", f"The {name} is close to the {seen}.", ""),
        Statement("What else is in the picture?", f"There is also {one} in the picture.", ""),
        Statement("What else can be seen?", f"{_capital(one)} can be seen behind the {seen}.", ""),
        Statement(f"What is the {seen} next to?", f"The {seen} is next to {one}.", ""),
    ]
    sentences = [
        f"There is also {one} in the picture.",
        f"{_capital(one)} can be seen near the {seen}.",
        f"Behind the {seen} there is {one}.",
        f"Next to the {seen}, {one} is visible.",
        f"The {name} is close to the {seen}.",
        f"Not far away stands {one}.",
    ]
    return rng.choice(said)._replace(sentence=rng.choice(sentences))


def _wrong_count(known: _Known, rng: random.Random) -> Statement | None:
    options = []
    for category in known.countable:
        number = len(known.boxes[category])
        for wrong in {max(number - 2, 1), max(number - 1, 1), number + 1, number + 2, number + 3} - {number}:
            # One of several is no lie.
            if wrong > 1 and not re.search(rf"\b(?:{_NUMBERS[wrong]}|{wrong})\b", known.text):
                options.append((category, wrong))
    return _counted(*rng.choice(options), rng) if options else None


def _wrong_side(known: _Known, rng: random.Random) -> Statement | None:
    sides = [(name, side) for name in known.single if (side := _side_of(known, name))]
    if not sides:
        return None
    category, side = rng.choice(sides)
    return _sided(category, "left" if side == "right" else "right", rng)


def _wrong_colour(known: _Known, rng: random.Random) -> Statement | None:
    if _MANY_COLOURS.search(known.text):
        return None
    free = [colour for colour in _COLOURS if not re.search(rf"\b{colour}", known.text)]
    kin = {"brown": r"tan|beige|wood", "yellow": "gold|blond", "white": "cream|snow|silver", "black": "dark"}
    kin |= {
        "orange": "gold|tan",
        "purple": "violet",
        "pink": "rose",
        "red": "brick|pink",
        "green": "grass|lush",
    }
    free = [colour for colour in free if colour not in kin or not re.search(kin[colour], known.text)]
    nouns = sorted({*known.colours, *(name for name in known.single if name in _COLOURED)})
    if not nouns or not free:
        return None
    return _coloured(rng.choice(nouns), rng.choice(free), rng)


def _false_answer(known: _Known, rng: random.Random) -> Statement | None:
    """Yes to what is not there, or No to what is."""
    present = [name for name in known.boxes if name not in _NOT_COUNTED]
    if known.absent and (not present or rng.random() < 0.5):
        said = _asked(rng.choice(known.absent), True, rng)
    elif present:
        said = _asked(rng.choice(sorted(present)), False, rng)
    else:
        return None
    return said


def _denied(known: _Known, rng: random.Random) -> Statement | None:
    """Something boxed is said not to be there, as part of what else is said."""
    present = [name for name in known.boxes if name not in _NOT_COUNTED]
    if not present:
        return None
    category = rng.choice(sorted(present))
    names = plural_of(category)
    answers = [
        f"Nothing much; there are no {names} in the picture.",
        f"The picture does not show any {names}.",
        f"There are no {names} here.",
    ]
    return Statement(
        rng.choice(["What is missing from the scene?", "Is anything missing that one would look for?"]),
        rng.choice(answers),
        rng.choice(
            [
                f"There are no {names} in the picture.",
                f"No {names} can be seen.",
                f"There is no {name_of(category)} in sight.",
                f"The image does not show any {names}.",
            ]
        ),
    )


def _swapped(known: _Known, rng: random.Random) -> Statement | None:
    pair = _pair(known, rng)
    if pair is None:
        return None
    one, how, other = pair
    return _related(other, how, one, rng)


_LIES: dict[Lie, Callable[[_Known, random.Random], Statement | None]] = {
    "absent": _absent,
    "count": _wrong_count,
    "side": _wrong_side,
    "colour": _wrong_colour,
    "yes_no": _false_answer,
    "denied": _denied,
    "relation": _swapped,
}
