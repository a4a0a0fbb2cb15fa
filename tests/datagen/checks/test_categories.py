"""Categories as strangers write them, and boxes of kinds."""

from __future__ import annotations

import pytest

from datagen.checks import Evidence, Region, make_vocabulary
from datagen.checks.grounding import Grounding
from datagen.prompting import PACKS, load_pack
from datagen.records import Turn

FILES = load_pack(PACKS / "coco").files
LEFT, RIGHT = (0.1, 0.1, 0.3, 0.4), (0.6, 0.5, 0.9, 0.9)


def verdicts(
    boxes: list[tuple[str, tuple[float, float, float, float]]], text: str, *captions: str
) -> list[tuple[str, str, str, str]]:
    """What is claimed in an answer, by boxes whose categories are all that was looked for."""
    vocabulary = make_vocabulary(FILES, {category for category, _ in boxes})
    regions = [(category, Region(n, *box, False)) for n, (category, box) in enumerate(boxes, 1)]
    evidence = Evidence(vocabulary, captions, regions)
    claims = Grounding(vocabulary).claims(Turn("What is there?", text), evidence)
    return [(claim.kind, claim.words, claim.verdict, claim.evidence) for claim in claims]


def test_a_box_counts_once_though_its_category_has_two_names() -> None:
    planes = [("plane", LEFT), ("plane", RIGHT)]
    assert verdicts(planes, "Two planes are visible.") == [
        ("object", "Two planes", "supported", "2 boxes"),
        ("count", "Two planes", "supported", "2 boxes"),
    ]
    assert verdicts(planes, "Four planes are visible.")[1] == (
        "count",
        "Four planes",
        "contradicted",
        "2 boxes",
    )


@pytest.mark.parametrize("category", ["stop_sign", "Stop-Sign", "STOP SIGN", "stop signs"])
def test_a_category_is_known_however_it_is_written(category: str) -> None:
    assert verdicts([(category, LEFT)], "A stop sign is on the left.") == [
        ("object", "A stop sign", "supported", "box 1"),
        ("position", "A stop sign is on the left", "supported", "box 1"),
    ]


def test_a_category_in_no_vocabulary_is_decided_by_its_boxes() -> None:
    assert verdicts([("storage_tank", LEFT)], "A storage tank is on the right. Two storage tanks.") == [
        ("object", "A storage tank", "supported", "box 1"),
        ("object", "Two storage tanks", "supported", "box 1"),
        ("count", "Two storage tanks", "contradicted", "1 box"),
        ("position", "A storage tank is on the right", "contradicted", "box 1"),
    ]


def test_a_box_of_a_kind_supports_what_it_is_a_kind_of_and_leaves_its_number_open() -> None:
    assert verdicts([("husky", LEFT)], "There are two dogs.") == [
        ("object", "two dogs", "supported", "box 1"),
        ("count", "two dogs", "undecidable", "1 box and a group, number unknown"),
    ]


def test_people_as_a_category_are_persons() -> None:
    assert verdicts([("people", LEFT)], "A man stands on the left.")[0] == (
        "object",
        "A man",
        "supported",
        "box 1",
    )


def test_a_colour_is_the_subjects_and_not_the_nearest_nouns() -> None:
    boxes = [("car", LEFT), ("bus", RIGHT)]
    captions = ("a red bus and a white car",)
    assert ("colour", "car next to the bus is white", "supported", "caption 1") in verdicts(
        boxes, "The car next to the bus is white.", *captions
    )
    assert ("colour", "bus is green", "contradicted", "caption 1 says red") in verdicts(
        boxes, "The color of the bus is green.", *captions
    )


def test_grass_may_be_green_and_not_purple_without_a_caption() -> None:
    assert ("colour", "green grass", "undecidable", "no caption says") in verdicts(
        [], "There is green grass.", "grass"
    )
    assert ("colour", "purple grass", "unsupported", "no caption says so") in verdicts(
        [], "There is purple grass.", "grass"
    )


def test_an_empty_category_is_passed_over() -> None:
    assert make_vocabulary(FILES, ["", " ", "dog"]).category_names == ["dog"]
