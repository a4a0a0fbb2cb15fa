"""The tiny world of bench/tiny_world: annotations are what is drawn, questions fair, answers read rightly."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench" / "tiny_world"))

import draw
import evaluate
from draw import Thing, World
from evaluate import Question

COUNT = 60


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    draw.write_coco(folder, "some seed", COUNT)
    return folder


def test_the_same_seed_draws_the_same_bytes_and_another_one_others(coco: Path, tmp_path: Path) -> None:
    draw.write_coco(tmp_path / "same", "some seed", COUNT)
    draw.write_coco(tmp_path / "other", "another seed", COUNT)
    files = sorted(path.relative_to(coco) for path in coco.rglob("*.*"))
    assert len(files) == COUNT + 2
    for file in files:
        assert (tmp_path / "same" / file).read_bytes() == (coco / file).read_bytes()
        assert (tmp_path / "other" / file).read_bytes() != (coco / file).read_bytes()


def test_outside_of_the_boxes_there_is_only_ground_and_every_box_is_filled_to_its_edges(coco: Path) -> None:
    boxes = [
        (record["image_id"], record["bbox"])
        for record in json.loads((coco / "instances.json").read_text())["annotations"]
    ]
    for number, (world, _, _) in enumerate(draw.worlds("some seed", COUNT), 1):
        pixels = np.asarray(Image.open(coco / "images" / draw.file_name(number))).astype(int)
        ground = np.array(draw.GROUNDS[world.ground])
        # Grain darkens all three channels alike, by an eighth at most.
        share = pixels / ground
        is_ground = (share.min(2) > 0.86) & (share.max(2) < 1.01) & (np.ptp(share, axis=2) < 0.02)
        uncovered = ~is_ground
        for image, (left, top, width, height) in boxes:
            if image == number:
                inside = ~is_ground[top : top + height, left : left + width]
                assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
                uncovered[top : top + height, left : left + width] = False
        assert not uncovered.any()


def test_every_thing_has_the_colour_it_is_said_to_have_in_most_of_its_box() -> None:
    for world, image, _ in draw.worlds("colours", COUNT):
        pixels = np.asarray(image).astype(int)
        for thing in world.things:
            left, top, right, bottom = thing.box
            inside = pixels[top:bottom, left:right].reshape(-1, 3)
            near = {
                name: int((np.abs(inside - np.array(rgb)).max(1) < 12).sum())
                for name, rgb in draw.COLOURS.items()
            }
            assert max(near, key=lambda name: near[name]) == thing.colour


def test_the_first_caption_names_every_kind_with_its_number_and_colour_and_none_names_a_side() -> None:
    for world, _, captions in draw.worlds("captions", COUNT):
        assert len(captions) == 5
        first = captions[0].lower()
        for kind, number in world.counts().items():
            words = "a" if number == 1 else draw.NUMBERS[number]
            plural = "" if number == 1 else "s"
            assert f"{words} {world.of(kind)[0].colour} {kind}{plural}" in first
        for caption in captions:
            assert not {"left", "right", "top", "bottom", "upper", "lower"} & set(caption.lower().split())


def test_answers_are_even_and_true_of_the_image() -> None:
    shown = [world for world, _, _ in draw.worlds("questions", 400)]
    questions = evaluate.ask(shown, 60, random.Random(0))
    assert Counter(question.subject for question in questions) == dict.fromkeys(evaluate.SUBJECTS, 60)
    answers = Counter((question.subject, question.answer) for question in questions)
    assert answers == {
        **{("counting", number): 20 for number in ("two", "three", "four")},
        **{("colour", colour): 12 for colour in draw.COLOURS},
        **{("side", side): 30 for side in ("left", "right")},
    }
    for question in questions:
        things = shown[question.image - 1].of(question.thing)
        if question.subject == "counting":
            assert question.answer == draw.NUMBERS[len(things)]
        else:
            (thing,) = things
            middle = (thing.box[0] + thing.box[2]) / 2 / draw.SIZE
            is_right = {"colour": thing.colour, "side": "left" if middle < 0.5 else "right"}
            assert question.answer == is_right[question.subject]


def test_a_shuffled_question_is_asked_of_another_image_of_which_it_can_be_asked() -> None:
    shown = [world for world, _, _ in draw.worlds("questions", 400)]
    questions = evaluate.ask(shown, 60, random.Random(0))
    others = evaluate.shuffled(questions, random.Random(1))
    for question, other in zip(questions, others, strict=True):
        assert (other.subject, other.thing, other.text, other.answer) == (
            question.subject,
            question.thing,
            question.text,
            question.answer,
        )
        assert shown[other.image - 1].of(question.thing)
    moved = sum(question.image != other.image for question, other in zip(questions, others, strict=True))
    # One image may bear two questions with the same words, and give itself to itself.
    assert moved >= len(questions) - 2


@pytest.mark.parametrize(
    ("subject", "said", "read"),
    [
        ("counting", "There are two kites in the image, along with three balls.", "two"),
        ("counting", "There are three balls and just one kite in this image.", "one"),
        ("counting", "A single red kite can be seen.", "one"),
        ("counting", "The image shows four blue kites.", "four"),
        ("counting", "The image shows 3 kites.", "three"),
        ("counting", "There are no kites in the image, but four balls.", "no"),
        ("counting", "Three balls can be seen.", None),
        ("counting", "There are kites.", None),
        ("colour", "The kite is red and can be seen above the blue ball.", "red"),
        ("colour", "The kite is on the left.", None),
        ("side", "The kite is on the right side, to the left of the ball.", "right"),
        ("side", "The kite can be seen in the upper left part of the image.", "left"),
        ("side", "The kite is near the top.", None),
        ("side", "", None),
    ],
)
def test_an_answer_is_read_as_what_it_says_of_the_thing_asked_about(
    subject: str, said: str, read: str | None
) -> None:
    assert evaluate.read_answer(Question(subject, "kite", 1, "", ""), said) == read


def test_things_of_an_image_lie_in_cells_of_their_own() -> None:
    for world, _, _ in draw.worlds("cells", COUNT):
        corners = [(thing.box[:2], (thing.box[2] - 1, thing.box[3] - 1)) for thing in world.things]
        cells = [{(x // draw.CELL, y // draw.CELL) for x, y in of_one} for of_one in corners]
        assert all(len(cell) == 1 for cell in cells)
        assert len(set.union(*cells)) == len(world.things)


def test_the_tower_is_taught_words_for_things_and_their_places_and_no_turn_of_phrase() -> None:
    import pretrain

    assert pretrain._runs("A photo of two red balls and a kite on the left of the sand.") == {
        *("two red balls", "two red", "red balls", "red", "balls"),
        *("a kite", "kite"),
    }
    assert pretrain._runs("sand: top left red ball, middle middle blue cup.") == {
        *("top left red", "left red ball", "left red", "red ball", "red", "ball"),
        *("middle middle blue", "middle blue cup", "middle blue", "blue cup", "blue", "cup"),
    }


TWO_THINGS = World("sand", (Thing("ball", "red", (0, 0, 10, 10)), Thing("cup", "blue", (27, 27, 37, 37))))


def test_a_world_is_told_thing_by_thing_with_its_place() -> None:
    import pretrain

    told = pretrain.tell(TWO_THINGS, random.Random(0)).removesuffix(".").split(": ")
    assert (told[0], sorted(told[1].split(", "))) == ("sand", ["middle middle blue cup", "top left red ball"])


def test_a_text_is_a_world_and_a_conversation_of_which_the_answers_are_learnt() -> None:
    import pretrain

    turns = [("<image>\nIs it red?", "Yes."), ("Is it blue?", "No.")]
    told, *rest = pretrain.as_text(TWO_THINGS, turns, random.Random(0))
    assert told == (f"<s>[INST] {pretrain.tell(TWO_THINGS, random.Random(0))}\nIs it red? [/INST]", False)
    assert rest == [(" Yes.</s>", True), ("[INST] Is it blue? [/INST]", False), (" No.</s>", True)]


def test_drills_answer_rightly_what_the_model_is_asked_in_the_end() -> None:
    import pretrain

    shown = [world for world, _, _ in draw.worlds("drills", 400)]
    drilled = {
        number: dict(pretrain.drill(world, random.Random(number))) for number, world in enumerate(shown, 1)
    }
    asked: Counter[str] = Counter()
    for question in evaluate.ask(shown, 30, random.Random(0)):
        for text in evaluate.WORDINGS[question.subject]:
            said = drilled[question.image].get(text.format(thing=question.thing))
            if said is not None:
                asked[question.subject] += 1
                assert evaluate.read_answer(question, said) == question.answer
    assert asked == dict.fromkeys(evaluate.SUBJECTS, 30)


def test_a_share_of_right_answers_is_counted_by_subject_for_both_images() -> None:
    import learn

    def answered(
        subject: str, answer: str, read: str | None, read_of_other: str | None
    ) -> dict[str, str | None]:
        return {"subject": subject, "answer": answer, "read": read, "read_of_other": read_of_other}

    answers = [
        answered("counting", "two", "two", "one"),
        answered("counting", "two", "two", "two"),
        answered("counting", "one", None, "two"),
        answered("counting", "three", "three", None),
        answered("colour", "red", "red", "blue"),
        answered("side", "left", "right", "left"),
    ]
    assert learn.accuracies(answers) == {
        "counting": {"right_image": 0.75, "other_image": 0.25, "constant": 0.5},
        "colour": {"right_image": 1.0, "other_image": 0.0, "constant": 1.0},
        "side": {"right_image": 0.0, "other_image": 1.0, "constant": 1.0},
    }
