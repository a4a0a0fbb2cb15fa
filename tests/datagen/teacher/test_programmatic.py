"""What the programmatic teacher says is recomputed here by code that shares nothing with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datagen.records import Box, Frame, ImageAnnotation, Message, ReplyForm, TeacherRequest, Turn, Unit
from datagen.teacher.programmatic import ProgrammaticTeacher
from datagen.teacher.programmatic.words import CATEGORIES as KNOWN
from datagen.teacher.protocol import TeacherFailure

TYPES = ("conversation", "detail", "complex_reasoning")
COCO = tuple(KNOWN)
SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"

# Helpers


def box(category: str, x: float, y: float, width: float, height: float, *, crowd: bool = False) -> Box:
    return Box(1, category, x, y, width, height, crowd)


def image(
    captions: tuple[str, ...] = (),
    boxes: tuple[Box, ...] = (),
    uncounted: tuple[str, ...] = (),
    image_id: int = 7,
) -> ImageAnnotation:
    """An image of 100 by 100 pixels."""
    return ImageAnnotation(image_id, f"{image_id}.jpg", 100, 100, captions, boxes, uncounted)


def request(
    annotation: ImageAnnotation,
    response_type: str,
    *,
    seed: int = 0,
    index: int = 0,
    form: ReplyForm = "pairs",
    frame: Frame = "camera",
    question: str | None = None,
    vocabulary: tuple[str, ...] = COCO,
) -> TeacherRequest:
    unit = Unit(annotation.image_id, response_type, index)
    return TeacherRequest(unit, annotation, form, question, frame, vocabulary, "pack", seed, 0.7, 1024, ())


def ask(to_ask: TeacherRequest) -> str:
    reply = ProgrammaticTeacher().answer(to_ask)
    assert not reply.is_chat_completion
    return reply.body


def turns_in(body: str, form: ReplyForm) -> list[Turn]:
    """A second reading of the reply forms, strict about everything."""
    if form == "answer":
        return [Turn("", body)]
    if form == "json":
        turns = json.loads(body)["turns"]
        return [Turn(**turn) for turn in turns]
    blocks = body.split("\n===\n")
    assert len(blocks) % 2 == 0
    turns = []
    for asked, answered in zip(blocks[::2], blocks[1::2], strict=True):
        assert asked.startswith("Question:\n") and answered.startswith("Answer:\n")
        turns.append(Turn(asked.removeprefix("Question:\n"), answered.removeprefix("Answer:\n")))
    return turns


STREET = image(
    ("A man walks his dog past a parked car.", "a man with a dog on a leash .", "Someone is out with a dog"),
    (box("person", 10, 20, 20, 60), box("dog", 40, 70, 15, 15), box("car", 70, 40, 28, 30)),
)
SHIPS = image(
    (),
    (*(box("ship", x, 80, 8, 8) for x in (5, 15, 25, 35)), box("storage_tank", 80, 5, 15, 15)),
    image_id=8,
)


# Reproducibility


def test_the_same_request_gets_the_same_bytes_in_any_order() -> None:
    requests = [request(each, kind, seed=3) for each in (STREET, SHIPS) for kind in TYPES]

    def bodies(order: list[TeacherRequest]) -> dict[Unit, str]:
        teacher = ProgrammaticTeacher()
        return {each.unit: teacher.answer(each).body for each in order}

    assert bodies(requests) == bodies(requests[::-1])


def test_the_hash_seed_of_the_process_changes_nothing() -> None:
    program = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.datagen.teacher.test_programmatic import *\n"
        "animals = image(('A man is holding a toy lamb and a bear.', 'A man holds a stuffed bear.'), "
        "(box('person', 10, 10, 60, 80),))\n"
        "from datagen.annotations import read_annotations\n"
        "scenes = Path('examples/scenes')\n"
        "drawn = read_annotations([scenes / 'captions.json'], [scenes / 'instances.json'])\n"
        "images = [STREET, SHIPS, animals, *drawn]\n"
        "print([ask(request(i, t, seed=s)) for i in images for t in TYPES for s in range(4) "
        "if ProgrammaticTeacher().cannot_answer(request(i, t)) is None])"
    )
    root = Path(__file__).resolve().parents[3]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("response_type", TYPES)
def test_seed_and_sample_index_each_change_the_sample(response_type: str) -> None:
    assert len({ask(request(STREET, response_type, seed=seed)) for seed in range(10)}) > 5
    assert len({ask(request(STREET, response_type, index=index)) for index in range(10)}) > 5


def test_the_key_stands_for_what_decides_the_reply_and_for_nothing_else() -> None:
    teacher = ProgrammaticTeacher()
    base = request(STREET, "detail", form="answer", question="What is it?")
    key = teacher.key(base)
    assert re.fullmatch(r"[0-9a-f]{32}", key)
    changed = (
        replace(base, annotation=SHIPS),
        replace(base, pack_hash="other"),
        replace(base, seed=1),
        replace(base, unit=base.unit._replace(response_type="conversation")),
        replace(base, unit=base.unit._replace(sample_index=1)),
        replace(base, reply_form="pairs"),
        replace(base, question="And this?"),
        replace(base, frame="overhead"),
    )
    assert len({key, *(teacher.key(each) for each in changed)}) == len(changed) + 1
    alike = replace(base, temperature=0.1, max_tokens=5, messages=(Message("user", "hello"),))
    assert teacher.key(alike) == key


# Whole samples


def test_a_whole_conversation_reads_as_written() -> None:
    assert ask(request(STREET, "conversation", seed=4)) == "\n===\n".join(
        (
            "Question:\nWhat is this picture of?",
            "Answer:\nA man walks his dog past a parked car. "
            "A person, a car and a dog can be made out in the picture.",
            "Question:\nCan any dogs be seen in the image?",
            "Answer:\nYes, there is a dog in the picture, in the lower middle part.",
            "Question:\nAs seen in the picture, where is the dog relative to the car?",
            "Answer:\nThe dog is to the left of the car, which is on the right side of the picture.",
            "Question:\nHow many people does the image show?",
            "Answer:\nThe picture shows a single person, on the left.",
            "Question:\nIs the dog to the left of the person?",
            "Answer:\nNo, in the image, the dog is to the right of the person.",
        )
    )


def test_a_whole_description_of_a_domain_set_reads_as_written() -> None:
    assert ask(request(SHIPS, "detail", seed=1, form="answer", question="What is there?")) == (
        "In this image, a storage tank and four ships can be seen. The storage tank is close to the "
        "top right corner of the image. All four ships are to the left of the storage tank."
    )


def test_the_three_forms_hold_the_same_turns() -> None:
    pairs = turns_in(ask(request(STREET, "complex_reasoning")), "pairs")
    assert turns_in(ask(request(STREET, "complex_reasoning", form="json")), "json") == pairs
    assert ask(request(STREET, "complex_reasoning", form="answer", question="Why?")) == pairs[0].answer


# What cannot be answered


def test_an_unknown_type_is_not_planned() -> None:
    assert ProgrammaticTeacher().cannot_answer(request(STREET, "poetry")) == "type_not_written"


def test_one_short_sentence_is_no_detailed_description() -> None:
    toilets = image((), (box("toilet", 10, 10, 40, 80), box("toilet", 30, 20, 40, 70)))
    teacher = ProgrammaticTeacher()
    assert teacher.cannot_answer(request(toilets, "detail")) == "too_little_to_say"
    with pytest.raises(TeacherFailure, match="too_little_to_say"):
        teacher.answer(request(toilets, "detail"))


@pytest.mark.parametrize(
    "annotation",
    [
        image(),
        image(("There is no image here to provide a caption for.", "===", "hi", "<image> a dog runs by")),
        image((), (box("掘削機", 10, 10, 50, 50), box("cls 3", 10, 10, 50, 50), box("", 1, 1, 9, 9))),
        image((), (box("dog", 1, 1, 30, 30),), ("dog",)),
    ],
)
def test_nothing_to_say_is_a_reason_and_not_a_sample(annotation: ImageAnnotation) -> None:
    teacher = ProgrammaticTeacher()
    assert teacher.cannot_answer(request(annotation, "detail")) == "nothing_to_say"
    with pytest.raises(TeacherFailure):
        teacher.answer(request(annotation, "detail"))


# Numbers, absence, places


def everything_said(annotation: ImageAnnotation, seeds: int = 30, frame: Frame = "camera") -> str:
    teacher = ProgrammaticTeacher()
    return "\n".join(
        ask(request(annotation, kind, seed=seed, frame=frame))
        for kind in TYPES
        if teacher.cannot_answer(request(annotation, kind)) is None
        for seed in range(seeds)
    )


TWO_DOGS = (box("dog", 10, 70, 15, 15), box("dog", 70, 70, 15, 15), box("car", 40, 5, 28, 30))


def test_a_number_is_told_where_nothing_speaks_against_it() -> None:
    assert "two dogs" in everything_said(image(("Dogs run past a car.",), TWO_DOGS)).lower()


@pytest.mark.parametrize(
    "annotation",
    [
        image(("Dogs run past a car.",), (*TWO_DOGS, box("dog", 0, 0, 99, 99, crowd=True))),
        image(("Dogs run past a car.",), TWO_DOGS, ("dog",)),
        image(("Three dogs run past a car.",), TWO_DOGS),
        image(("A group of dogs runs past a car.",), TWO_DOGS),
        image(("Many big dogs are near a car.",), TWO_DOGS),
        image(("A single dog sits next to a car.",), TWO_DOGS),
        image(("Dogs run past a car.",), (*TWO_DOGS[1:], box("dog", 70, 70, 15, 14), box("dog", 1, 1, 9, 9))),
    ],
)
def test_a_doubtful_number_is_never_told(annotation: ImageAnnotation) -> None:
    said = everything_said(annotation).lower().replace("a single dog sits next to a car", "")
    told = r"two dogs|how many dogs|number of dogs|(just one|only one|a single) dog[ ,.]"
    assert not re.search(told, said)


def test_a_crowd_alone_is_a_group() -> None:
    said = everything_said(image((), (box("person", 5, 5, 80, 80, crowd=True), box("bench", 60, 80, 30, 15))))
    assert "a group of people" in said.lower()
    assert "how many people" not in said.lower()


def test_only_what_nothing_hints_at_is_called_absent() -> None:
    annotation = image(("A lady rides a bike past some fruit and a sofa.",), (box("clock", 40, 40, 30, 30),))
    said = everything_said(annotation, seeds=150)
    denied = " ".join(re.findall(r"Answer:\nNo, ([^.,;]*)", said)).lower()
    assert denied.count("image") + denied.count("picture") > 50
    for word in ("person", "people", "bicycle", "apple", "banana", "orange", "couch", "clock"):
        assert not re.search(rf"(no|any|an?) {word}s?\b", denied)


def test_only_what_was_looked_for_is_called_absent() -> None:
    def denied(annotation: ImageAnnotation, *vocabulary: str) -> list[str]:
        """Every question that is answered with no."""
        asked = [request(annotation, "conversation", seed=seed, vocabulary=vocabulary) for seed in range(60)]
        turns = [turn for each in asked for turn in turns_in(ask(each), "pairs")]
        return [turn.question for turn in turns if turn.answer.startswith("No")]

    clock = image(("A clock hangs on the wall.",), (box("clock", 40, 40, 30, 30),))
    about_zebras = denied(clock, "clock", "zebra")
    assert len(about_zebras) > 5
    assert all("zebra" in question for question in about_zebras)
    assert denied(clock, "clock") == denied(clock) == []
    assert denied(SHIPS, *{each.category for each in SHIPS.boxes}) == []


def test_from_above_nothing_is_above_or_below() -> None:
    said = everything_said(STREET, frame="overhead").lower()
    assert not re.search(r"\b(above|below|higher|lower|upper)\b", said)


def test_sides_of_a_radiograph_are_those_of_the_image() -> None:
    boxes = (box("nodule", 5, 10, 20, 20), box("catheter", 70, 60, 20, 20))
    said = everything_said(image((), boxes), frame="radiograph")
    assert "nodule" in said
    assert not re.search(r"(left|right) side", said)
    assert re.search(r"on the left of the (image|picture)|left edge of the image", said)


def test_odd_category_names_are_spoken_or_left_out_never_mangled() -> None:
    boxes = tuple(
        box(name, 5 + 30 * index, 10, 20, 20)
        for index, name in enumerate(("Pleural_Effusion", "cls 3", "no_helmet"))
    )
    said = everything_said(image((), boxes))
    assert "pleural effusion" in said.lower()
    assert "a pleural effusion" not in said and "effusions" not in said
    assert "cls" not in said and "helmet" not in said and "_" not in said


@pytest.mark.parametrize(
    "sentence",
    [
        "A woman jogs along a path",
        "Two women jog along a path",
        "A man in a suit fixes his tie",
        "A pair of birds rest on a wire",
        "A man and a woman toast with wine",
        "A white cat caught a bird",
        "A boy jumped over a puddle",
    ],
)
def test_a_caption_that_is_a_sentence_is_never_put_into_another(sentence: str) -> None:
    said = everything_said(image((f"{sentence}.",)))
    assert sentence in said
    assert not re.search(
        r"(shows|depicts|features|presents|of|is|are|it as) (a|two) (woman|man|boy|pair|white)", said
    )


def test_a_caption_that_is_a_phrase_becomes_a_sentence() -> None:
    said = everything_said(image(("A man riding a horse on a beach",)))
    assert "shows a man riding a horse on a beach." in said


def test_captions_that_deny_a_thing_silence_its_box() -> None:
    annotation = image(
        ("A bathroom with no toilet.", "A bathroom with a sink."),
        (box("toilet", 5, 5, 40, 40), box("sink", 60, 60, 30, 30)),
    )
    own = everything_said(annotation).lower().replace("with no toilet", "")
    assert "toilet" not in own and "sink" in own


def test_captions_in_another_language_are_repeated_and_nothing_is_added() -> None:
    captions = ("Ein Hund läuft mit dem Ball über die Wiese.", "Zwei Hunde und ein Ball auf der Wiese.")
    annotation = image(captions, (box("dog", 10, 10, 30, 30),))
    for turn in turns_in(ask(request(annotation, "conversation")), "pairs"):
        assert turn.answer in captions
    assert set(ask(request(annotation, "detail", form="answer")).split(". ")) <= {
        *captions, *(caption.removesuffix(".") for caption in captions)
    }  # fmt: skip


# Anything at all

LEAKS = re.compile(
    r"\bcaptions?\b|bounding|annotat|\blabel|coordinates|the description|as an ai\b|no mention"
    r"|<image>|===|https?:",
    re.IGNORECASE,
)
DEPTH = re.compile(r"\b(behind|in front of|closest|nearest|farthest)\b")


def assert_reads_whole(text: str) -> None:
    assert text and text == text.strip() and "\n" not in text
    assert "  " not in text and " ." not in text and " ," not in text and ".." not in text
    assert not text[0].islower()
    assert text[-1] in ".?!。．।۔"
    assert not LEAKS.search(text)
    assert not re.search(r"<[a-z_]+>|\[|\]|\|", text)
    assert not re.search(r"\b(a|an|the) (a|an|the)\b", text, re.IGNORECASE)


WILD_WORDS = """
a an the two three dog dogs man people car is are on with of and 2 many 掘削機 {0} {x} %s <image> ===
Question: Answer: caption اب . , ; ! ? ' " [a|b] <slot> http://x.y big bus
"""
WILD_CATEGORIES = """
person dog car sheep skis scissors broccoli knife mouse tv bus dining_table excavator Pleural_Effusion SUV
cls_3 ships no_helmet damaged rust {0} <slot> [a|b]
"""
WORDS = st.sampled_from([*WILD_WORDS.split(), "\u200f", "\n", "\t", ""])
CAPTIONS = st.one_of(st.lists(WORDS, max_size=14).map(" ".join), st.text(max_size=40)).map(str.strip)
CATEGORIES = st.one_of(
    st.sampled_from([*WILD_CATEGORIES.split(), "dining table", "hot dog", "sports ball", ""]),
    st.text(max_size=12),
)


@st.composite
def any_annotation(draw: st.DrawFn) -> ImageAnnotation:
    width, height = draw(st.integers(1, 5000)), draw(st.integers(1, 5000))
    share = st.floats(0, 1, allow_nan=False)
    boxes = []
    for index in range(draw(st.integers(0, 8))):
        x, y = draw(share) * width, draw(share) * height
        size = draw(share) * (width - x), draw(share) * (height - y)
        boxes.append(Box(index, draw(CATEGORIES), x, y, *size, draw(st.sampled_from((False, False, True)))))
    captions = tuple(draw(st.lists(CAPTIONS, max_size=5)))
    uncounted = tuple(draw(st.lists(CATEGORIES, max_size=2)))
    return ImageAnnotation(
        draw(st.integers(0, 99)), "x.jpg", width, height, captions, tuple(boxes), uncounted
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    annotation=any_annotation(),
    seed=st.integers(0, 5),
    form=st.sampled_from(("pairs", "answer", "json")),
    frame=st.sampled_from(("camera", "overhead", "radiograph")),
)
def test_whatever_the_annotation_samples_are_whole_or_not_made(
    annotation: ImageAnnotation, seed: int, form: ReplyForm, frame: Frame
) -> None:
    teacher = ProgrammaticTeacher()
    for response_type in TYPES:
        to_ask = request(annotation, response_type, seed=seed, form=form, frame=frame)
        reason = teacher.cannot_answer(to_ask)
        if reason is not None:
            assert reason in ("nothing_to_say", "too_little_to_say")
            with pytest.raises(TeacherFailure):
                teacher.answer(to_ask)
            continue
        turns = turns_in(teacher.answer(to_ask).body, form)
        assert 1 <= len(turns) <= 5
        assert len({turn.question for turn in turns}) == len(turns)
        for turn in turns:
            assert_reads_whole(turn.answer)
            if form != "answer":
                assert_reads_whole(turn.question)
        check_claims(annotation, turns)


# Every claim recomputed

NUMBERS = {
    "none": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
}
SPOKEN = {
    "dining table": ("table", "tables"),
    "sports ball": ("ball", "balls"),
    "tv": ("TV", "TVs"),
    "mouse": ("computer mouse", "computer mice"),
    "remote": ("remote control", "remote controls"),
    "hair drier": ("hair dryer", "hair dryers"),
    "person": ("person", "people"),
    "knife": ("knife", "knives"),
    "sheep": ("sheep", "sheep"),
    "skis": ("skis", "skis"),
    "scissors": ("scissors", "scissors"),
    "broccoli": ("broccoli", "broccoli"),
}


def spoken(category: str) -> tuple[str, str]:
    if category in SPOKEN:
        return SPOKEN[category]
    return category, category + ("es" if category.endswith(("s", "ch", "sh")) else "s")


def centre(annotation: ImageAnnotation, of: Box) -> tuple[float, float]:
    return (of.x + of.width / 2) / annotation.width, (of.y + of.height / 2) / annotation.height


def without_captions(annotation: ImageAnnotation, text: str) -> str:
    """The teacher's own words, in lower case."""
    text = " ".join(text.lower().split())
    repeated = [
        re.sub(r" +([.,;:!])", r"\1", " ".join(caption.lower().split()).strip(" .,;:-"))
        for caption in annotation.captions
    ]
    # "A man riding a horse" is also told as "The man is riding a horse".
    deeds = [deed[0] for caption in repeated if (deed := re.search(r"\b[a-z]+ing\b.*", caption))]
    for part in (*sorted(repeated, key=len, reverse=True), *deeds):
        text = text.replace(part, "…") if len(part) > 5 else text
    return text


def check_claims(annotation: ImageAnnotation, turns: list[Turn]) -> None:
    by_name: dict[str, list[Box]] = {}
    for each in annotation.boxes:
        if not re.fullmatch("[A-Za-z ]+", each.category):
            continue
        by_name.setdefault(each.category, []).append(each)
    for turn in turns:
        question, answer = turn.question, turn.answer
        own = without_captions(annotation, answer)
        assert set(DEPTH.findall(own)) <= set(DEPTH.findall(" ".join(annotation.captions).lower())), own
        for category, boxes in by_name.items():
            one, many = spoken(category)
            told = [NUMBERS[word] for word in re.findall(rf"\b({'|'.join(NUMBERS)}) {many.lower()}\b", own)]
            told += [1] * len(re.findall(rf"(?:just one|only one|a single) {one.lower()}\b", own))
            if told and category not in ("skis", "scissors", "sheep"):
                assert not any(each.crowd for each in boxes), own
                assert category not in annotation.uncounted, own
                assert set(told) == {len(boxes)}, (category, own)
            if re.match(
                r"(in which part|where|whereabouts).*\bthe " + re.escape(one.lower()) + r"\b",
                question.lower(),
            ):
                assert len([each for each in boxes if not each.crowd]) == 1, (question, annotation)
            for place in re.findall(
                rf"^the {re.escape(one.lower())} (?:is|are) (?:located |placed )?([^,]*)", own
            ):
                if "of the" in place and not re.match(
                    r"to the|above|below|higher|lower|closer|further", place
                ):
                    check_place(place, *centre(annotation, boxes[0]))
        if answer.startswith("No, ") and question.startswith(("Is there", "Are there", "Can ", "Do", "Does")):
            check_absent(annotation, question)
        check_relation(annotation, by_name, answer)


def check_place(place: str, x: float, y: float) -> None:
    first = place.split(" of the ")[0]
    if "left" in first:
        assert x < 1 / 3, place
    if "right" in first:
        assert x > 2 / 3, place
    if re.search("upper|top", first):
        assert y < 1 / 3, place
    if re.search("lower|bottom", first):
        assert y > 2 / 3, place
    if first in ("in the middle", "in the center", "around the middle"):
        assert 1 / 3 < x < 2 / 3 and 1 / 3 < y < 2 / 3, place


def check_absent(annotation: ImageAnnotation, question: str) -> None:
    names = {name for each in annotation.boxes for name in spoken(each.category) if name}
    asked = [name for name in names if re.search(rf"\b(an?|any) {re.escape(name)}\b", question)]
    assert not asked, (question, asked)
    thing = re.search(r"\b(?:an?|any) ([\w ]+?)(?: be seen| in the| anywhere|\?)", question)
    assert thing is not None, question
    words = thing[1].lower()
    text = " ".join(annotation.captions).lower()
    assert not re.search(rf"\b{re.escape(words)}\b|\b{re.escape(words.removesuffix('s'))}\b", text), (
        question,
        text,
    )


def check_relation(annotation: ImageAnnotation, by_name: dict[str, list[Box]], answer: str) -> None:
    """Answers such as "The dog is to the left of the cat"."""
    names = {spoken(category)[0].lower(): boxes for category, boxes in by_name.items()}
    either = "|".join(sorted(map(re.escape, names), key=len, reverse=True)) or "nothing"
    relation = (
        rf"the ({either}) (?:is|are) (?:located )?"
        r"(to the left of|to the right of|above|below|(?:higher up|lower down) in the frame than) "
        rf"the ({either})\b"
    )
    for first, words, second in re.findall(relation, without_captions(annotation, answer)):
        if len(names[first]) != 1 or len(names[second]) != 1:
            raise AssertionError(f"of which {first}, of which {second}? {answer}")
        here, there = centre(annotation, names[first][0]), centre(annotation, names[second][0])
        if "left" in words:
            assert here[0] < there[0] - 0.1, answer
        elif "right" in words:
            assert here[0] > there[0] + 0.1, answer
        elif words.startswith(("above", "higher")):
            assert here[1] < there[1] - 0.1, answer
        else:
            assert here[1] > there[1] + 0.1, answer


@lru_cache(maxsize=4)
def real_annotations(folder: str) -> tuple[ImageAnnotation, ...]:
    from datagen.annotations import read_annotations

    files = sorted((SHARED / folder / "annotations").glob("*.json"))
    captions = [path for path in files if path.name.startswith("captions")]
    instances = [path for path in files if path.name.startswith("instances")]
    return tuple(each for each in read_annotations(captions, instances) if isinstance(each, ImageAnnotation))


def real_samples(folder: str, step: int) -> Iterator[tuple[ImageAnnotation, list[Turn]]]:
    teacher = ProgrammaticTeacher()
    for annotation in real_annotations(folder)[::step]:
        for response_type in TYPES:
            if teacher.cannot_answer(request(annotation, response_type)) is None:
                yield annotation, turns_in(ask(request(annotation, response_type)), "pairs")


@pytest.mark.skipif(not (SHARED / "coco-val2017").is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize(("folder", "step"), [("coco-mini", 1), ("coco-val2017", 5)])
def test_no_claim_about_real_images_is_contradicted(folder: str, step: int) -> None:
    samples = 0
    yes = no = 0
    for annotation, turns in real_samples(folder, step):
        samples += 1
        check_claims(annotation, turns)
        for turn in turns:
            assert_reads_whole(turn.question)
            assert_reads_whole(turn.answer)
            yes += turn.answer.startswith("Yes,")
            no += turn.answer.startswith("No,")
    assert samples > 200
    # Eighty images are too few to tell a balance from luck.
    assert samples < 1000 or 0.8 < yes / no < 1.25
