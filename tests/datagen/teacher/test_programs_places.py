"""Where things are: what is asked, what is left unsaid, and in which words."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from datagen.records import Box, Frame, ImageAnnotation
from datagen.teacher.programmatic.facts import facts_of
from datagen.teacher.programmatic.registry import Fact, Said, all_programs
from datagen.teacher.programmatic.voice import Voice, read_phrasings
from datagen.teacher.programmatic.words import CATEGORIES
from tests.datagen.coco import PACK
from tests.datagen.teacher.test_programmatic import box, image

PHRASINGS = read_phrasings(PACK.files)
PLACES = (
    *("position", "position_of_each", "position_check", "either_or", "side", "extreme_position"),
    *("extreme_of_category", "largest", "largest_of_category", "larger", "ordering", "grouping"),
)


def said_by(
    program: str, annotation: ImageAnnotation, seeds: int = 60, frame: Frame = "camera"
) -> list[list[Said]]:
    """All that the program could say, once for each seed."""
    facts = facts_of(annotation, frame, tuple(CATEGORIES))
    write = all_programs()[program].write
    return [list(write(facts, Voice(PHRASINGS, str(seed), program))) for seed in range(seeds)]


def facts_said(program: str, annotation: ImageAnnotation) -> set[Fact]:
    return {fact for each in said_by(program, annotation) for said in each for fact in said.facts}


def of_dogs(*boxes: tuple[float, float, float, float]) -> ImageAnnotation:
    return image((), tuple(box("dog", *each) for each in boxes))


# A dog at the upper left, a car at the lower right, a bed in the middle but a little to the left.
ROOM = image((), (box("dog", 4, 4, 20, 20), box("car", 70, 70, 26, 26), box("bed", 22, 40, 30, 20)))
PARK = image(
    (),
    (
        box("person", 2, 40, 8, 50),
        box("person", 25, 42, 8, 50),
        box("dog", 80, 62, 15, 20),
        box("kite", 45, 3, 10, 10),
    ),
)


def test_a_whole_position_says_what_it_rests_on() -> None:
    (said, *_), *_ = said_by("position", image((), (box("dog", 4, 4, 20, 20),)))
    assert said == Said(
        question=said.question,
        answer=said.answer,
        brief="top left corner",
        facts=(("place", 1, "top_left_corner"),),
        boxes=(1,),
        asks=frozenset(("place dog",)),
        tells=frozenset(("presence dog",)),
    )
    assert re.search(r"the dog\b.*\?$", said.question)
    assert re.search(r"(near|close to) the top left corner of the (image|picture|photo)\b", said.answer, re.I)


def test_yes_and_no_are_asked_evenly_and_no_only_of_what_is_decidedly_wrong() -> None:
    briefs = Counter(said.brief for each in said_by("position_check", ROOM, 700) for said in each)
    assert briefs["yes"] + briefs["no"] == 2100
    assert 950 < briefs["yes"] < 1150
    for each in said_by("position_check", image((), (box("dog", 4, 30, 20, 40),)), 100):
        for said in each:
            asked = re.search(r"left|right|middle|center", said.question)
            assert asked and (said.brief == "yes") == (asked[0] == "left"), said
    # The centre of the image: no side of it is decidedly wrong, so that yes would be the only answer.
    assert not any(said_by("position_check", image((), (box("dog", 40, 40, 20, 20),))))


def test_both_sides_are_the_answer_and_come_first_equally_often() -> None:
    pair = image((), (box("dog", 5, 45, 10, 10), box("car", 85, 45, 10, 10)))
    first = [each[0] for each in said_by("either_or", pair, 400)]
    briefs = Counter(said.brief for said in first)
    assert briefs.keys() == {"left", "right"} and abs(briefs["left"] - 200) < 60
    named_first = sum(re.findall("left|right", said.question)[0] == said.brief for said in first)
    assert abs(named_first - 200) < 60


@pytest.mark.parametrize("program", ["position", "position_check", "either_or", "side"])
def test_what_lies_near_a_border_has_no_place(program: str) -> None:
    facts = facts_of(image((), (box("dog", 23, 23, 20, 20),)), "camera", ())
    voice = Voice(PHRASINGS, "1")
    assert list(all_programs()[program].write(facts, voice)) == []


def test_a_side_names_what_is_decided_and_points_at_no_sliver() -> None:
    dogs = of_dogs((5, 40, 15, 15), (80, 40, 15, 15))
    assert {said.brief for each in said_by("side", dogs) for said in each} == {"one of the two dogs"}
    sliver = image((), (box("dog", 0, 40, 2, 20), box("car", 40, 40, 20, 20)))
    assert {said.brief for each in said_by("side", sliver) for said in each} == {"a car"}


def briefs_of_side(side: str, *boxes: Box) -> set[str]:
    """What is said to be there."""
    said = [each for turns in said_by("side", image((), boxes), 40) for each in turns]
    return {each.brief for each in said if f"side {side}" in each.asks}


def test_a_side_has_as_many_of_a_kind_as_lie_there() -> None:
    two = (box("dog", 5, 5, 15, 15), box("dog", 5, 70, 15, 15))
    assert briefs_of_side("left", *two) == {"two dogs"}
    assert briefs_of_side("left", *two, box("dog", 80, 40, 15, 15)) == {"two of the three dogs"}
    # Near the border, the third may be on the left as well, so that "one of" and "two of" are open.
    assert briefs_of_side("left", *two, box("dog", 25, 40, 15, 15)) == {"some of the three dogs"}
    assert briefs_of_side("left", two[0], box("dog", 25, 40, 15, 15)) == set()


def test_a_side_is_passed_over_where_its_main_thing_would_go_unnamed() -> None:
    cup, bus = box("cup", 5, 70, 10, 10), box("bus", 15, 10, 35, 50)
    assert briefs_of_side("left", cup) == {"a cup"}
    assert briefs_of_side("left", cup, bus) == set()
    assert briefs_of_side("left", cup, box("bus", 5, 10, 20, 50)) == {"a bus and a cup"}


def test_the_ends_of_all_that_can_be_named_are_told() -> None:
    assert facts_said("extreme_position", PARK) == {
        ("count", "person", 2), ("count", "dog", 1), ("count", "kite", 1),
        ("extreme", 1, "left", "*"), ("extreme", 3, "right", "*"), ("extreme", 4, "top", "*"),
        ("place", 3, "bottom_right"), ("place", 4, "top_middle"),
    }  # fmt: skip
    for each in said_by("extreme_position", PARK):
        for said in each:
            assert {"two people", "dog", "kite"} <= set(re.findall("two people|dog|kite", said.question))


@pytest.mark.parametrize(
    "more",
    [
        box("person", 0, 0, 9, 99, crowd=True),
        box("掘削機", 50, 50, 9, 9),
        # Its centre is not further left, but it reaches further.
        box("bed", 0, 30, 99, 60),
        # A near tie.
        box("cat", 5, 2, 9, 9),
    ],
)
def test_no_end_is_told_that_something_else_may_be(more: Box) -> None:
    boxes = (*PARK.boxes, more)
    assert ("extreme", 1, "left", "*") not in facts_said("extreme_position", image((), boxes))


def test_a_table_under_its_plates_is_not_called_the_larger_part() -> None:
    table = box("dining table", 5, 5, 80, 80)
    cup = box("cup", 90, 90, 8, 8)
    assert ("largest", 1, "*") in facts_said("largest", image((), (table, cup, box("fork", 90, 5, 8, 8))))
    pizza = box("pizza", 10, 10, 60, 60)
    assert ("largest", 1, "*") not in facts_said("largest", image((), (table, cup, pizza)))
    assert ("larger", 1, 2) not in facts_said("larger", image((), (table, pizza)))


def test_what_plainly_takes_up_more_is_not_asked() -> None:
    man = box("person", 0, 0, 50, 60)
    assert ("larger", 1, 2) in facts_said("larger", image((), (man, box("kite", 70, 10, 20, 30))))
    # A tie that he wears, and a kite far off.
    assert not facts_said("larger", image((), (man, box("tie", 20, 20, 20, 30))))
    assert not facts_said("larger", image((), (man, box("kite", 70, 10, 10, 30))))


def test_several_small_things_together_may_take_up_more_than_a_large_one() -> None:
    dogs = tuple(box("dog", 2 + 12 * index, 2, 11, 20) for index in range(8))
    car = box("car", 10, 40, 40, 30)
    assert facts_said("largest", image((), (car, *dogs))) == set()
    assert ("largest", 1, "*") in facts_said("largest", image((), (car, *dogs[:3])))


def test_one_among_several_is_placed_by_what_singles_it_out() -> None:
    dogs = of_dogs((5, 5, 8, 8), (45, 45, 10, 10), (60, 60, 36, 36))
    assert ("extreme", 1, "left", "dog") in facts_said("extreme_of_category", dogs)
    assert facts_said("largest_of_category", dogs) == {
        ("count", "dog", 3), ("largest", 3, "dog"), ("place", 3, "bottom_right"),
    }  # fmt: skip
    # Captions know of more dogs than were boxed.
    doubtful = image(("Four dogs run over the grass.", "Four dogs at play."), dogs.boxes)
    assert not any(said_by("extreme_of_category", doubtful)) and not any(
        said_by("largest_of_category", doubtful)
    )


def test_an_order_is_asked_from_both_ends_and_told_from_one() -> None:
    row = image((), tuple(box(name, x, 40, 10, 10) for name, x in (("dog", 75), ("car", 5), ("bed", 40))))
    said = [said for each in said_by("ordering", row) for said in each]
    assert {fact for each in said for fact in each.facts} == {("order", "across", 2, 3, 1)}
    assert {each.brief for each in said} == {"car, bed, dog", "dog, bed, car"}
    for each in said:
        end = re.search(r"from (?:the )?(left|right)", each.question, re.IGNORECASE)
        assert end and (end[1] == "left") == each.brief.startswith("car"), each


def test_a_group_is_together_spread_or_neither() -> None:
    assert facts_said("grouping", of_dogs((2, 40, 9, 9), (12, 44, 9, 9))) == {
        ("count", "dog", 2), ("together", "dog", "left"),
    }  # fmt: skip
    assert facts_said("grouping", of_dogs((2, 40, 9, 9), (45, 40, 9, 9), (85, 40, 9, 9))) == {
        ("count", "dog", 3), ("spread", "dog", "across"),
    }  # fmt: skip
    assert facts_said("grouping", of_dogs((2, 40, 9, 9), (85, 40, 9, 9))) == {
        ("count", "dog", 2), ("across", 1, "left"), ("across", 2, "right"),
    }  # fmt: skip
    assert facts_said("grouping", of_dogs((2, 40, 9, 9), (45, 40, 9, 9))) == set()


@pytest.mark.parametrize("annotation", [ROOM, PARK], ids=["room", "park"])
@pytest.mark.parametrize("frame", ["camera", "overhead", "radiograph"])
def test_every_frame_has_its_own_words(annotation: ImageAnnotation, frame: Frame) -> None:
    never = {
        "camera": r"\b(behind|in front of|closest|nearest|farthest|furthest)\b",
        "overhead": r"\b(above|below|higher|highest|lower|lowest|upper)\b",
        "radiograph": r"(left|right) side|\b(above|below)\b",
    }[frame]
    texts = [
        text
        for program in PLACES
        for each in said_by(program, annotation, 20, frame)
        for said in each
        for text in (said.question, said.answer)
    ]
    assert texts
    for text in texts:
        assert not re.search(never, text, re.I), text
        assert text[-1] in ".?" and not re.search(r"  | [.,;?]|\.\.|[<>{}|\[\]]", text), text
        if frame == "radiograph" and re.search(r"\b(left|right)\b", text):
            assert re.search(r"of the (image|picture|photo)", text), text


def test_scissors_are_and_broccoli_is() -> None:
    boxes = (box("scissors", 4, 4, 20, 20), box("broccoli", 30, 30, 40, 40))
    text = " ".join(
        f"{said.question} {said.answer}".lower()
        for program in PLACES
        for each in said_by(program, image((), boxes), 20)
        for said in each
    )
    assert re.search(r"\bthe scissors are\b|\bare the scissors\b", text) and "the broccoli is" in text
    assert not re.search(
        r"scissors (is|takes|covers)|is the scissors|broccoli (are|take)\b|\ba (scissors|broccoli)", text
    )
