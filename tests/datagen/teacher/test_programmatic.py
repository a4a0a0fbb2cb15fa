"""The embedded teacher as a whole: its replies and what they rest on, whatever the annotations."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datagen.records import (
    Box,
    CategoryStatistics,
    Frame,
    ImageAnnotation,
    InputError,
    Message,
    ReplyForm,
    TeacherRequest,
    Turn,
    Unit,
)
from datagen.teacher.programmatic import ProgrammaticTeacher
from datagen.teacher.programmatic.registry import all_programs
from datagen.teacher.programmatic.teacher import ZONE_FAMILY, weights_of
from datagen.teacher.programmatic.voice import Voice, read_phrasings
from datagen.teacher.programmatic.words import CATEGORIES as KNOWN
from datagen.teacher.protocol import TeacherFailure
from schemas.evidence import PartEvidence, SampleEvidence
from schemas.pack import MarginsToml, ProgramsToml
from tests.datagen.coco import PACK, coco_teacher
from tests.datagen.teacher import recompute

TYPES = ("conversation", "detail", "complex_reasoning")
FRAMES: tuple[Frame, ...] = ("camera", "overhead", "radiograph")
COCO = tuple(KNOWN)
PROGRAMS = all_programs()
PHRASINGS = read_phrasings(PACK.files)

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


def teacher_with(
    weights: Mapping[str, float] | None = None,
    margins: Mapping[str, float] | None = None,
    knows: bool = True,
) -> ProgrammaticTeacher:
    """The pack that ships with other settings."""
    settings = ProgramsToml(weights=dict(weights or {}), margins=MarginsToml.model_validate(margins or {}))
    files = {path: text for path, text in PACK.files.items() if knows or path != "knowledge.toml"}
    return ProgrammaticTeacher(settings, files)


def ask(to_ask: TeacherRequest) -> str:
    reply = coco_teacher().answer(to_ask)
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


Sample = tuple[list[Turn], SampleEvidence]


def sample(to_ask: TeacherRequest, teacher: ProgrammaticTeacher | None = None) -> Sample | None:
    """The turns of a reply with their evidence; None where the teacher says beforehand that it has none."""
    teacher = teacher or coco_teacher()
    reason = teacher.cannot_answer(to_ask)
    if reason is not None:
        assert reason in ("nothing_to_say", "too_little_to_say")
        with pytest.raises(TeacherFailure, match=f"^{reason}: image {to_ask.unit.image_id}, type "):
            teacher.answer(to_ask)
        return None
    reply = teacher.answer(to_ask)
    assert reply.evidence is not None
    unit = to_ask.unit
    evidence = SampleEvidence(id=f"{unit.response_type}-{unit.image_id}", **json.loads(reply.evidence))
    return turns_in(reply.body, to_ask.reply_form), evidence


def samples(
    annotation: ImageAnnotation,
    seeds: int = 30,
    *,
    types: tuple[str, ...] = TYPES,
    frame: Frame = "camera",
    vocabulary: tuple[str, ...] = COCO,
    teacher: ProgrammaticTeacher | None = None,
) -> list[Sample]:
    """All that can be made of an image with so many seeds."""
    teacher = teacher or coco_teacher()
    made = [
        sample(request(annotation, kind, seed=seed, frame=frame, vocabulary=vocabulary), teacher)
        for kind in types
        for seed in range(seeds)
    ]
    return [each for each in made if each is not None]


def parts_of(*made: Sample) -> list[PartEvidence]:
    return [part for _, evidence in made for turn in evidence.turns for part in turn.parts]


def facts_of(*made: Sample) -> set[tuple[str | int | float, ...]]:
    return {tuple(fact) for part in parts_of(*made) for fact in part.facts}


def said_in(*made: Sample) -> str:
    """Every question and answer on a line of its own."""
    return "\n".join(text for turns, _ in made for turn in turns for text in turn)


# What no text of the teacher's holds

LEAKS = re.compile(
    r"\bcaptions?\b|bounding|annotat|\blabell?ed\b|\b(class|object|category) labels?\b|coordinates"
    r"|the description|as an ai\b|no mention|<image>|===|https?:",
    re.IGNORECASE,
)
BROKEN = re.compile(
    r"  | [.,;:?!]|\.\.|,,|[?!][.,]"
    r"|<[a-z_]+>|[\[\]{}|_]"  # a slot, a choice, a part, a name as it stands in a file
    r"|(?<!\b[A-H])[.?!] +[a-z]"  # "A. on the left" is an option
    r"|\b(?i:a|an|the) (?i:a|an|the)\b|\ba (?:[aei]|o(?!ne\b|nce\b))|\ban [bcdfgjklpqtvwz][a-z]"
    r"|\b([A-Za-z]+) \1\b"
)


def assert_reads_whole(text: str) -> None:
    assert text and text == text.strip() and "\n" not in text
    assert not BROKEN.search(text), text
    assert not text[0].islower(), text
    assert text[-1] in ".?!。．।۔", text
    assert not LEAKS.search(text), text


@lru_cache
def empty_reader() -> recompute.Reader:
    return recompute.Reader({})


def assert_backed(
    annotation: ImageAnnotation, made: Sample, vocabulary: tuple[str, ...] = COCO, form: ReplyForm = "pairs"
) -> None:
    """Evidence for every turn, well formed, and facts that a second reading of the annotation confirms."""
    turns, evidence = made
    # An answer alone runs the answers of all turns together.
    assert len(evidence.turns) == len(turns) or form == "answer"
    assert all(count > 0 for count in evidence.unsaid.values())
    for part in parts_of(made):
        assert part.facts, part
        program = PROGRAMS[part.program]
        assert program.response_type == evidence.id.partition("-")[0]
        for drawn in part.phrasings:
            key, _, number = drawn.rpartition("/")
            assert key.startswith("knowledge.") or 1 <= int(number) <= len(PHRASINGS[key]), drawn
    if any(
        each.width * each.height < 1e-9 * annotation.width * annotation.height for each in annotation.boxes
    ):
        return  # Files with such boxes are read without them, and the second reading divides by areas.
    reader = empty_reader()
    reader.report = recompute.Report()
    reader.categories = frozenset({*vocabulary, *(each.category for each in annotation.boxes)})
    reader.lexicon = reader.facts.lexicon = recompute.Lexicon(reader.categories)
    read = recompute.Image(
        annotation.image_id,
        annotation.width,
        annotation.height,
        reader.categories,
        list(annotation.captions),
        [
            recompute.Box(
                each.category,
                each.x / annotation.width,
                each.y / annotation.height,
                (each.x + each.width) / annotation.width,
                (each.y + each.height) / annotation.height,
                each.crowd,
            )
            for each in annotation.boxes
        ],
        set(annotation.uncounted),
    )
    for part in parts_of(made):
        reader.evidence(evidence.id, part, read)
    assert [*reader.report.wrong_facts, *reader.report.problems] == []


STREET = image(
    ("A man walks his dog past a parked car.", "a man with a dog on a leash .", "Someone is out with a dog"),
    (box("person", 10, 20, 20, 60), box("dog", 40, 70, 15, 15), box("car", 70, 40, 28, 30)),
)
SHIPS = image(
    (),
    (*(box("ship", x, 80, 8, 8) for x in (5, 15, 25, 35)), box("storage_tank", 80, 5, 15, 15)),
    image_id=8,
)
KITCHEN = image(
    (),
    (
        *(box("knife", x, 60, 10, 4) for x in (10, 70)),
        box("oven", 5, 5, 30, 40),
        box("refrigerator", 70, 5, 25, 50),
        box("bowl", 45, 70, 14, 12),
    ),
    image_id=9,
)


# Reproducibility


def test_the_same_request_gets_the_same_bytes_in_any_order() -> None:
    statistics = CategoryStatistics(("person", "chair"), {"dog": ("cat",)})
    requests = [
        replace(request(each, kind, seed=3, frame=frame, vocabulary=vocabulary), statistics=of_set)
        for each in (STREET, SHIPS)
        for frame in FRAMES
        for vocabulary in (COCO, ("dog", "zebra"))
        for of_set in (statistics, CategoryStatistics())
        for kind in TYPES
    ]

    def replies(order: list[TeacherRequest]) -> dict[str, tuple[str, str | None]]:
        teacher = coco_teacher()
        answers = {
            teacher.key(each): teacher.answer(each) for each in order if not teacher.cannot_answer(each)
        }
        return {key: (reply.body, reply.evidence) for key, reply in answers.items()}

    forwards = replies(requests)
    assert len(forwards) > 40
    assert forwards == replies(requests[::-1]) == replies(requests[::2] + requests[1::2])


def test_the_hash_seed_of_the_process_changes_nothing() -> None:
    program = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.datagen.teacher.test_programmatic import *\n"
        "animals = image(('A man is holding a toy lamb and a bear.', 'A man holds a stuffed bear.'), "
        "(box('person', 10, 10, 60, 80),))\n"
        "from datagen.annotations import read_annotations\n"
        "scenes = Path('examples/scenes')\n"
        "drawn = read_annotations([scenes / 'captions.json'], [scenes / 'instances.json'])\n"
        "images = [STREET, SHIPS, KITCHEN, animals, *drawn]\n"
        "teacher = coco_teacher()\n"
        "asked = [request(i, t, seed=s) for i in images for t in TYPES for s in range(2)]\n"
        "print([(teacher.key(r), teacher.answer(r)) for r in asked if teacher.cannot_answer(r) is None])"
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
    teacher = coco_teacher()
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
        replace(base, vocabulary=("dog",)),
        replace(base, statistics=CategoryStatistics(("dog", "cat"))),
        replace(base, statistics=CategoryStatistics(("cat", "dog"))),
        replace(base, statistics=CategoryStatistics((), {"dog": ("cat",)})),
    )
    assert len({key, *(teacher.key(each) for each in changed)}) == len(changed) + 1
    alike = replace(base, temperature=0.1, max_tokens=5, messages=(Message("user", "hello"),))
    copied = replace(base, statistics=CategoryStatistics(), annotation=image(STREET.captions, STREET.boxes))
    assert {teacher.key(alike), teacher.key(copied), coco_teacher().key(base)} == {key}


@pytest.mark.parametrize("name", [name for name, each in PROGRAMS.items() if each.weight])
def test_what_a_program_draws_does_not_depend_on_the_others(name: str) -> None:
    def drawn(voice: Voice) -> list[float]:
        return [
            voice.index(10**9),
            *voice.weighted({1.5: 2, 2.5: 1}),
            *voice.shuffled(range(9)),
            voice.pick([1, 2]),
        ]

    alone = drawn(Voice(PHRASINGS, "0/7/conversation/0").of(name))
    after_others = Voice(PHRASINGS, "0/7/conversation/0")
    after_others.shuffled(range(100))
    for other in PROGRAMS:
        if other != name:
            drawn(after_others.of(other))
    assert drawn(after_others.of(name)) == alone
    assert drawn(Voice(PHRASINGS, "0/7/conversation/1").of(name)) != alone


# Whole samples


def test_a_whole_conversation_reads_as_written() -> None:
    assert ask(request(STREET, "conversation", seed=3)) == "\n===\n".join(
        (
            "Question:\nWho do you see in this image?",
            "Answer:\nThere is a man in the image, walking his dog past a parked car.",
            "Question:\nWhich of these cannot be seen in the image: A. car, B. motorcycle, C. person or "
            "D. dog?",
            "Answer:\nB. This image shows a car, a person and a dog, but no motorcycle.",
            "Question:\nWhich takes up more of the image, the dog or the car?",
            "Answer:\nThe car takes up more space in the image than the dog, which can be seen in the "
            "lower center.",
            "Question:\nIs the car on the left side of the image?",
            "Answer:\nNo, the car can be seen on the right side of the image, to the right of the person.",
        )
    )


def test_a_whole_description_of_a_domain_set_reads_as_written() -> None:
    assert ask(request(SHIPS, "detail", seed=0, form="answer", question="What is there?")) == (
        "Looking at the photo, you see a storage tank and four ships. You can see ships near the bottom "
        "left corner of the photo, towards the lower left and at the bottom center. The storage tank is "
        "close to the top right corner of the photo. All four ships can be found to the left of the "
        "storage tank."
    )


@pytest.mark.parametrize("response_type", TYPES)
def test_the_three_forms_hold_the_same_turns(response_type: str) -> None:
    pairs = turns_in(ask(request(STREET, response_type)), "pairs")
    assert turns_in(ask(request(STREET, response_type, form="json")), "json") == pairs
    answers = " ".join(turn.answer for turn in pairs)
    assert ask(request(STREET, response_type, form="answer", question="Why?")) == answers
    said = {coco_teacher().answer(request(STREET, response_type, form=each)).evidence for each in FORMS}
    assert len(said) == 1


FORMS: tuple[ReplyForm, ...] = ("pairs", "answer", "json")


@pytest.mark.parametrize("annotation", [STREET, SHIPS, KITCHEN], ids=["street", "ships", "kitchen"])
@pytest.mark.parametrize("frame", FRAMES)
def test_whatever_is_said_is_backed_by_the_annotation(annotation: ImageAnnotation, frame: Frame) -> None:
    made = samples(annotation, frame=frame)
    assert len(made) > 50
    for each in made:
        for text in said_in(each).split("\n"):
            assert_reads_whole(text)
        assert_backed(annotation, each)


# What cannot be answered


def test_an_unknown_type_is_not_planned() -> None:
    assert coco_teacher().cannot_answer(request(STREET, "poetry")) == "type_not_written"


def test_one_short_sentence_is_no_detailed_description() -> None:
    ice = image((), (box("ice", 40, 40, 2, 2),))
    teacher = coco_teacher()
    assert teacher.cannot_answer(request(ice, "detail")) == "too_little_to_say"
    with pytest.raises(TeacherFailure, match=r"^too_little_to_say: image 7, type detail$"):
        teacher.answer(request(ice, "detail"))


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
    teacher = coco_teacher()
    assert teacher.cannot_answer(request(annotation, "detail")) == "nothing_to_say"
    with pytest.raises(TeacherFailure, match=r"^nothing_to_say: image 7, type detail$"):
        teacher.answer(request(annotation, "detail"))


# What a pack sets


def test_a_weight_for_no_program_is_refused_by_name() -> None:
    settings = ProgramsToml(weights={"counting": 2, "juggling": 1})
    with pytest.raises(InputError) as refused:
        weights_of(settings)
    assert str(refused.value) == (
        "pack.toml: [programs.weights] juggling: no such program: `python -m datagen programs` lists all"
    )
    with pytest.raises(InputError, match="juggling: no such program"):
        ProgrammaticTeacher(settings, PACK.files)


def test_weights_are_those_of_the_pack_and_else_those_that_ship() -> None:
    weights = {program.name: weight for program, weight in weights_of(ProgramsToml()).items()}
    assert weights == {
        name: program.weight for name, program in PROGRAMS.items() if program.family != ZONE_FAMILY
    }
    changed = ProgramsToml(weights={"counting": 0, "grounding": 2.5})
    assert {program.name: weight for program, weight in weights_of(changed).items()} == {
        **weights,
        "counting": 0,
        "grounding": 2.5,
    }


@pytest.mark.parametrize(
    "name", ["content", "existence", "counting", "position", "whole", "further", "risk", "care"]
)
def test_a_program_without_weight_never_writes(name: str) -> None:
    kind = PROGRAMS[name].response_type
    with_it = samples(STREET, 50, types=(kind,))
    without = samples(STREET, 50, types=(kind,), teacher=teacher_with({name: 0}))
    assert name in {part.program for part in parts_of(*with_it)}
    assert name not in {part.program for part in parts_of(*without)}


@pytest.mark.parametrize("response_type", TYPES)
def test_where_every_program_is_off_there_is_nothing_to_say(response_type: str) -> None:
    off = teacher_with(dict.fromkeys(PROGRAMS, 0))
    assert off.cannot_answer(request(STREET, response_type)) == "nothing_to_say"


@pytest.mark.parametrize("name", ["grounding", "grounding_what"])
def test_a_program_that_is_off_comes_where_a_pack_weights_it(name: str) -> None:
    assert name not in {part.program for part in parts_of(*samples(STREET, 50, types=("conversation",)))}
    made = samples(STREET, 50, types=("conversation",), teacher=teacher_with({name: 100}))
    often = [name in {part.program for part in parts_of(each)} for each in made]
    assert sum(often) > 40
    for each in made:
        assert_backed(STREET, each)


def test_margins_of_a_pack_decide_what_is_said() -> None:
    pointing = {"place", "across", "down", "left_of", "right_of", "above", "below", "extreme", "larger"}
    many = image((), (*SHIPS.boxes, *KITCHEN.boxes[2:]))

    def kinds(**margins: float) -> set[str | int | float]:
        teacher = teacher_with(margins=margins)
        return {fact[0] for fact in facts_of(*samples(many, 40, teacher=teacher))}

    usual = kinds()
    assert pointing <= usual
    assert not {"place", "left_of", "above", "larger"} & kinds(smallest_area=0.9, smallest_cut_off=0.9)
    assert not {"left_of", "right_of", "above", "below", "order", "extreme"} & kinds(apart=0.99)
    assert not {"larger", "largest"} & kinds(larger=1000)
    assert not {"more", "most"} & kinds(more=50)
    counted = facts_of(
        *samples(many, 40, teacher=teacher_with(margins={"most_counted": 1}), types=("conversation",))
    )
    assert not {fact for fact in counted if fact[0] == "count" and isinstance(fact[2], int) and fact[2] > 1}


# Numbers, absence, places

TWO_DOGS = (box("dog", 10, 70, 15, 15), box("dog", 70, 70, 15, 15), box("car", 40, 5, 28, 30))
NUMBER_OF_DOGS = {"count", "more", "equal", "most", "total", "half"}


def test_a_number_is_told_where_nothing_speaks_against_it() -> None:
    made = samples(image(("Dogs run past a car.",), TWO_DOGS))
    assert ("count", "dog", 2) in facts_of(*made)
    assert "two dogs" in said_in(*made).lower()


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
    ids=["crowd", "unusable box", "three", "group", "many", "single", "boxed twice"],
)
def test_a_doubtful_number_is_never_told(annotation: ImageAnnotation) -> None:
    made = samples(annotation, 50)
    assert made
    assert not {fact for fact in facts_of(*made) if fact[0] in NUMBER_OF_DOGS and "dog" in fact}
    said = said_in(*made).lower().replace(annotation.captions[0].lower(), "")
    told = r"(two|three|four|both|2|3|4) (of the )?dogs|how many dogs|number of dogs|(just|only) one dog"
    assert not re.search(rf"{told}|a single dog[ ,.]", said)


def test_a_crowd_alone_is_a_group() -> None:
    boxes = (box("person", 5, 5, 80, 80, crowd=True), box("bench", 60, 80, 30, 15))
    made = samples(image((), boxes))
    said = said_in(*made).lower()
    assert "a group of people" in said
    assert "how many people" not in said and "the person" not in said
    assert not {fact for fact in facts_of(*made) if fact[0] in NUMBER_OF_DOGS and "person" in fact}
    # A crowd region stands for nothing that has a place or a size.
    assert {fact[0] for fact in facts_of(*made) if 1 in fact[1:]} <= {"count"}


def test_only_what_nothing_hints_at_is_called_absent() -> None:
    annotation = image(("A lady rides a bike past some fruit and a sofa.",), (box("clock", 40, 40, 30, 30),))
    made = samples(annotation, 150, types=("conversation",))
    absent = {str(fact[1]) for fact in facts_of(*made) if fact[0] == "absent"}
    assert len(absent) > 30
    assert not absent & {"person", "bicycle", "apple", "banana", "orange", "couch", "clock"}


def test_only_what_was_looked_for_is_called_absent() -> None:
    def absent(annotation: ImageAnnotation, *vocabulary: str) -> set[str]:
        made = samples(annotation, 60, vocabulary=vocabulary)
        denied = {
            turn.question
            for turns, evidence in made
            for turn, backing in zip(turns, evidence.turns, strict=True)
            if backing.parts[0].program.startswith(("existence", "absence"))
            and turn.answer.startswith(("No", "Neither"))
        }
        assert all(re.search("zebra|animal", question) for question in denied), denied
        return {str(fact[1]) for fact in facts_of(*made) if fact[0] == "absent"}

    clock = image(("A clock hangs on the wall.",), (box("clock", 40, 40, 30, 30),))
    assert absent(clock, "clock", "zebra") == {"zebra"}
    assert absent(clock, "clock") == absent(clock) == set()
    assert absent(SHIPS, *{each.category for each in SHIPS.boxes}) == set()
    # Without a single box nobody may have looked.
    assert absent(image(("A clock hangs on the wall.",)), "clock", "zebra") == set()


def test_captions_that_deny_a_thing_silence_its_box() -> None:
    annotation = image(
        ("A bathroom with no toilet.", "A bathroom with a sink."),
        (box("toilet", 5, 5, 40, 40), box("sink", 60, 60, 30, 30)),
    )
    made = samples(annotation)
    said = said_in(*made).lower().replace("with no toilet", "")
    assert "toilet" not in said and "sink" in said
    assert not {fact for fact in facts_of(*made) if "toilet" in fact}
    assert {evidence.unsaid["denied_by_captions"] for _, evidence in made} == {1}


# Frames


@pytest.mark.parametrize("annotation", [STREET, SHIPS, KITCHEN], ids=["street", "ships", "kitchen"])
def test_from_above_nothing_is_above_or_below(annotation: ImageAnnotation) -> None:
    # What the pack knows of the world goes on speaking of upper floors and lower risks.
    made = samples(annotation, 60, frame="overhead", teacher=teacher_with(knows=False))
    said = re.sub(r"\babove all\b", "", said_in(*made).lower())
    assert made and not re.search(
        r"\b(above|below|beneath|under|higher|lower|upper|highest|lowest|tall)\b", said
    )


@pytest.mark.parametrize("frame", FRAMES)
def test_a_flat_picture_tells_no_depth(frame: Frame) -> None:
    for annotation in (STREET, SHIPS, KITCHEN):
        said = said_in(*samples(annotation, frame=frame, types=("conversation", "detail"))).lower()
        assert not re.search(r"\b(behind|in front of|closest|nearest|farthest|furthest|foreground)\b", said)


def test_sides_of_a_radiograph_are_those_of_the_image() -> None:
    boxes = (box("nodule", 5, 10, 20, 20), box("catheter", 70, 60, 20, 20))
    said = said_in(*samples(image((), boxes), frame="radiograph"))
    assert "nodule" in said
    assert not re.search(r"(left|right) side", said)
    assert re.search(r"on the left of the (image|picture)|left edge of the image", said)


# Names and captions


def test_odd_category_names_are_spoken_or_left_out_never_mangled() -> None:
    boxes = tuple(
        box(name, 5 + 30 * index, 10, 20, 20)
        for index, name in enumerate(("Pleural_Effusion", "cls 3", "no_helmet"))
    )
    made = samples(image((), boxes))
    said = said_in(*made)
    assert "pleural effusion" in said.lower()
    assert "a pleural effusion" not in said and "effusions" not in said
    assert "cls" not in said and "helmet" not in said and "_" not in said
    assert {evidence.unsaid["no_word_for_it"] for _, evidence in made} == {2}


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
    said = said_in(*samples(image((f"{sentence}.",))))
    repeated = re.compile(f"(?<=[.:] )?{sentence[0]}{sentence[1:]}\\.", re.IGNORECASE)
    found = list(repeated.finditer(said))
    assert found
    for each in found:
        assert (
            each.start() == 0 or said[each.start() - 1] == "\n" or said[: each.start()].endswith((". ", ": "))
        )


def test_captions_in_another_language_are_repeated_and_nothing_is_added() -> None:
    captions = ("Ein Hund läuft mit dem Ball über die Wiese.", "Zwei Hunde und ein Ball auf der Wiese.")
    annotation = image(captions, (box("dog", 10, 10, 30, 30),))
    conversations, details = (samples(annotation, types=(kind,)) for kind in ("conversation", "detail"))
    assert {turn.answer for turns, _ in conversations for turn in turns} == set(captions)
    assert {turn.answer for turns, _ in details for turn in turns} == {
        " ".join(captions),
        " ".join(captions[::-1]),
    }
    assert facts_of(*conversations, *details) == {("caption", 1), ("caption", 2)}
    assert samples(annotation, types=("complex_reasoning",)) == []
    assert {tuple(evidence.unsaid.items()) for _, evidence in details} == {(("other_language", 1),)}


# Anything at all

WILD_WORDS = """
a an the two three dog dogs man people car is are on with of and 2 many 掘削機 {0} {x} %s <image> ===
Question: Answer: caption اب . , ; ! ? ' " [a|b] <slot> http://x.y big bus
"""
WILD_CATEGORIES = """
person dog car sheep skis scissors broccoli knife mouse tv bus dining_table excavator Pleural_Effusion
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
    form=st.sampled_from(FORMS),
    frame=st.sampled_from(FRAMES),
)
@example(
    annotation=ImageAnnotation(
        image_id=0,
        file_name="x.jpg",
        width=1,
        height=1,
        captions=(),
        boxes=(
            Box(0, "person", 0, 0, 0, 0, False),
            Box(1, "person", 0, 0, 1, 1, False),
            Box(2, "dog", 0, 0, 1, 1, False),
        ),
        uncounted=(),
    ),
    seed=0,
    form="pairs",
    frame="camera",
)
def test_whatever_the_annotation_samples_are_whole_or_not_made(
    annotation: ImageAnnotation, seed: int, form: ReplyForm, frame: Frame
) -> None:
    teacher = coco_teacher()
    for response_type in TYPES:
        made = sample(request(annotation, response_type, seed=seed, form=form, frame=frame), teacher)
        if made is None:
            continue
        turns, evidence = made
        assert 1 <= len(evidence.turns) <= 5
        assert len({turn.question for turn in turns}) == len(turns)
        for turn in turns:
            assert_reads_whole(turn.answer)
            if form != "answer":
                assert_reads_whole(turn.question)
        assert_backed(annotation, made, form=form)
