"""Detailed descriptions: what each sentence rests on, how things are called, and what is not said twice."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from datagen.annotations import read_annotations
from datagen.records import Box, Frame, ImageAnnotation
from datagen.teacher.programmatic.conversation import Written
from datagen.teacher.programmatic.detail import PLANS, describe
from datagen.teacher.programmatic.facts import facts_of
from datagen.teacher.programmatic.registry import Fact, all_programs
from datagen.teacher.programmatic.voice import Voice, read_phrasings
from datagen.teacher.programmatic.words import CATEGORIES
from tests.datagen.coco import PACK
from tests.datagen.teacher.test_programmatic import SHIPS, STREET, box, image
from tests.datagen.teacher.test_recomputation import SCENES

PHRASINGS = read_phrasings(PACK.files)
PROGRAMS = {
    program: program.weight for program in all_programs().values() if program.response_type == "detail"
}


def described(
    annotation: ImageAnnotation, seed: int = 0, frame: Frame = "camera", only: tuple[str, ...] = ()
) -> list[Written]:
    facts = facts_of(annotation, frame, tuple(CATEGORIES))
    weights = {program: 0.0 if only and program.name not in only else w for program, w in PROGRAMS.items()}
    return describe(facts, Voice(PHRASINGS, str(seed)), weights)


def text_of(written: list[Written]) -> str:
    return " ".join(said.answer[0].upper() + said.answer[1:] for _, said, _ in written)


def texts(annotation: ImageAnnotation, seeds: int = 40, frame: Frame = "camera") -> list[str]:
    return [text_of(described(annotation, seed, frame)) for seed in range(seeds)]


def real() -> list[ImageAnnotation]:
    captions, instances = SCENES
    return [each for each in read_annotations([captions], [instances]) if isinstance(each, ImageAnnotation)]


def test_every_part_of_a_plan_is_a_program() -> None:
    assert {name for plan in PLANS for name in plan} <= {program.name for program in PROGRAMS}


def test_a_description_without_captions_opens_with_what_is_there() -> None:
    for seed in range(20):
        (program, said, phrasings), *_ = described(SHIPS, seed, "overhead")
        assert program.name == "whole"
        assert said.question and phrasings[0].startswith("detail.opening.things/")
        assert said.facts == (("count", "storage_tank", 1), ("count", "ship", 4))
        assert set(said.boxes) == {1, 2, 3, 4, 5}
        assert "a storage tank and four ships" in said.answer


def test_only_the_first_sentence_carries_the_question() -> None:
    for annotation in (STREET, SHIPS):
        asked = [bool(said.question) for _, said, _ in described(annotation)]
        assert asked == [True] + [False] * (len(asked) - 1)


def test_a_thing_is_a_dog_once_and_then_the_dog() -> None:
    animals = image(
        ("A wide green lawn on a sunny day.",),
        (box("dog", 5, 70, 20, 20), box("cat", 40, 40, 20, 20), box("horse", 75, 5, 20, 30)),
    )
    for text in texts(animals):
        for name in ("dog", "cat", "horse"):
            articles = re.findall(rf"\b(a|the) {name}\b", text.lower())
            assert articles[:1] == ["a"] and set(articles[1:]) <= {"the"}, text


@pytest.mark.parametrize(
    ("captions", "name"),
    [
        (("A man on a field with a horse.", "A guy stands near a horse."), "man"),
        (("A person on a field with a horse.", "A little girl stands near a horse."), "girl"),
        (("A person near a horse.", "Someone with a horse."), "person"),
    ],
)
def test_the_only_person_is_called_what_the_captions_agree_on(captions: tuple[str, ...], name: str) -> None:
    annotation = image(captions, (box("person", 5, 20, 20, 60), box("horse", 60, 20, 35, 60)))
    placed = [
        sentence
        for seed in range(30)
        for program, said, _ in described(annotation, seed)
        if program.name in ("placements", "surroundings", "relations")
        for sentence in [said.answer.lower()]
    ]
    spoken = {word for each in placed for word in re.findall(r"\b(man|girl|boy|person|guy)\b", each)}
    assert spoken == {name}


def test_no_two_men_are_called_the_man() -> None:
    annotation = image(
        ("A man talks to another man.",), (box("person", 5, 20, 20, 60), box("person", 70, 20, 20, 60))
    )
    assert not any("the man" in text.lower() for text in texts(annotation))


def test_nothing_single_is_placed_twice_and_no_sentence_said_again() -> None:
    for annotation in real()[:40]:
        for seed in range(3):
            written = described(annotation, seed)
            placed = [
                fact[1]
                for program, said, _ in written
                if program.name in ("placements", "surroundings", "relations", "extents", "sweep")
                for fact in said.facts
                if fact[0] == "place"
            ]
            assert len(placed) == len(set(placed))
            answers = [said.answer for _, said, _ in written]
            assert len(answers) == len(set(answers))


def test_no_two_sentences_in_a_row_are_built_alike() -> None:
    shapes = ("place", "two_places", "three_places", "inventory", "numbers")
    for annotation in real()[:40]:
        keys = [
            phrasings[-1].split("/")[0].split(".") for _, _, phrasings in described(annotation) if phrasings
        ]
        for before, after in pairwise(keys):
            assert (
                before[1] not in shapes or after[1] not in shapes or before[2] != after[2] or len(after) < 3
            )


def test_what_a_caption_introduces_comes_before_it_is_known() -> None:
    for text in texts(STREET):
        if "past a parked car" in text:
            assert "car" not in text.split("past a parked car")[0].lower()


def test_a_program_without_weight_is_left_out() -> None:
    for seed in range(10):
        written = described(STREET, seed, only=("whole", "placements"))
        assert {program.name for program, _, _ in written} == {"whole", "placements"}
        assert all(fact[0] in ("caption", "told", "place") for _, said, _ in written for fact in said.facts)


def test_numbers_in_doubt_are_no_numbers() -> None:
    boxes = tuple(box("dog", x, 40, 15, 20) for x in (2, 30, 80))
    for text in texts(image(("A group of many dogs on a lawn.",), boxes)):
        assert "three" not in text.lower() and "dogs" in text


def test_captions_in_another_language_are_all_that_is_said() -> None:
    captions = ("Ein Hund läuft mit dem Ball über die Wiese.", "Zwei Hunde und ein Ball auf der Wiese.")
    written = described(image(captions, (box("dog", 10, 10, 30, 30),)))
    assert {said.answer for _, said, _ in written} == set(captions)
    assert {said.facts for _, said, _ in written} == {(("caption", 1),), (("caption", 2),)}


def test_many_boxes_are_described_as_fast_as_some() -> None:
    cars = image((), tuple(box("car", 5 * (n % 20), 10 * (n // 20), 4, 4) for n in range(200)))
    assert "more than a dozen cars" in text_of(described(cars, frame="overhead")).lower()


def test_a_radiograph_has_no_sides_of_its_own() -> None:
    boxes = (box("nodule", 5, 10, 20, 20), box("catheter", 70, 60, 20, 20), box("tube", 40, 40, 12, 12))
    for text in texts(image((), boxes), frame="radiograph"):
        assert not re.search(r"(left|right) side|from left to right|\btall\b", text)


def test_what_plainly_takes_up_more_is_not_compared() -> None:
    def compared(*boxes: Box) -> set[Fact]:
        written = (described(image(("A room in a house.",), boxes), seed) for seed in range(20))
        return {fact for each in written for _, said, _ in each for fact in said.facts if fact[0] == "larger"}

    couch, chair = box("couch", 2, 40, 40, 30), box("chair", 60, 40, 20, 20)
    assert compared(couch, chair) == {("larger", 1, 2)}
    # Far smaller, on the other, another kind of thing.
    assert not compared(couch, box("chair", 60, 40, 10, 10))
    assert not compared(couch, box("chair", 10, 45, 20, 20))
    assert not compared(couch, box("cat", 60, 40, 20, 20))


def test_a_thin_description_ends_on_all_that_other_captions_add() -> None:
    captions = (
        "A brown bear is sitting on grass.",
        "A large bear resting near a wooden fence.",
        "A bear looks at a pile of fresh apples.",
        "A lone bear waiting beside a frozen lake.",
    )
    for text in texts(image(captions, ()), seeds=20):
        assert all(word in text for word in ("grass", "fence", "apples", "lake"))


def test_what_names_the_image_does_not_stand_after_the_image() -> None:
    for text in texts(image(("The image has a large clock on a post.",), ()), seeds=20):
        assert text == "The image has a large clock on a post."
