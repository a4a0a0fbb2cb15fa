"""Numbers told as ranges are read whole and judged by the boxes."""

from __future__ import annotations

import pytest

from datagen.checks.reading import Span, read
from tests.datagen.checks.test_grounding import COCO, Corners, claims, known, of_kind


def boats(number: int, crowds: int = 0) -> list[tuple[str, Corners]]:
    """So many boats in a row."""
    return [("boat", (at / 100, 0.4, (at + 0.8) / 100, 0.5)) for at in range(number)]


@pytest.mark.parametrize(
    ("text", "words", "span"),
    [
        ("There are between 20 and 30 boats.", "between 20 and 30 boats", Span(20, 30)),
        ("There are 20 to 30 boats.", "20 to 30 boats", Span(20, 30)),
        ("There are 20-30 small boats.", "20-30 small boats", Span(20, 30)),
        ("There are 20–30 boats.", "20–30 boats", Span(20, 30)),
        ("It shows twenty to thirty boats.", "twenty to thirty boats", Span(20, 30)),
        ("About 40 to 50 boats are moored.", "About 40 to 50 boats", Span(40, 50, True)),
        ("There are somewhere between 20 and 30 boats.", "somewhere between 20 and 30 boats", Span(20, 30)),
        ("There are more than a dozen boats.", "more than a dozen boats", Span(13, None)),
        ("There are more than two dozen boats.", "more than two dozen boats", Span(25, None)),
        ("There are over 20 boats.", "over 20 boats", Span(21, None)),
        ("There are at least 20 boats.", "at least 20 boats", Span(20, None)),
        ("There are up to 20 boats.", "up to 20 boats", Span(1, 20)),
        ("There are fewer than 20 boats.", "fewer than 20 boats", Span(0, 19)),
        ("There are about a dozen boats.", "about a dozen boats", Span(12, 12, True)),
        ("There are roughly thirty-five boats.", "roughly thirty-five boats", Span(35, 35, True)),
    ],
)
def test_a_range_is_read_whole(text: str, words: str, span: Span) -> None:
    reading = read(text, COCO)
    (mention,) = reading.mentions
    assert (reading.said(mention.first, mention.end), mention.number, mention.span) == (words, None, span)


@pytest.mark.parametrize(
    ("text", "number", "at_least"),
    [
        ("There are two dozen boats.", 24, 0),
        ("There are thirty boats.", 30, 0),
        ("There are dozens of boats.", None, 24),
        ("There are several dozen boats.", None, 24),
        ("There are hundreds of boats.", None, 200),
        ("The path between the car and two boats is short.", 2, 0),
    ],
)
def test_what_is_no_range_keeps_its_number(text: str, number: int | None, at_least: int) -> None:
    mention = read(text, COCO).mentions[-1]
    assert (mention.number, mention.at_least, mention.span) == (number, at_least, None)


@pytest.mark.parametrize(
    ("words", "number", "verdict"),
    [
        ("between 20 and 30 boats", 8, "contradicted"),
        ("between 20 and 30 boats", 19, "contradicted"),
        ("between 20 and 30 boats", 20, "supported"),
        ("between 20 and 30 boats", 23, "supported"),
        ("between 20 and 30 boats", 31, "contradicted"),
        ("20 to 30 boats", 8, "contradicted"),
        ("20 to 30 boats", 23, "supported"),
        ("about 20 to 30 boats", 8, "contradicted"),
        ("about 20 to 30 boats", 18, "supported"),
        ("about 20 to 30 boats", 14, "undecidable"),
        ("more than a dozen boats", 12, "contradicted"),
        ("more than a dozen boats", 13, "supported"),
        ("over 20 boats", 12, "contradicted"),
        ("over 20 boats", 40, "supported"),
        ("fewer than 20 boats", 40, "contradicted"),
        ("fewer than 20 boats", 19, "supported"),
        ("up to 20 boats", 21, "contradicted"),
        ("dozens of boats", 8, "contradicted"),
        ("dozens of boats", 20, "undecidable"),
        ("dozens of boats", 24, "supported"),
        ("hundreds of boats", 40, "contradicted"),
        ("about 20 boats", 8, "contradicted"),
        ("about 20 boats", 14, "undecidable"),
        ("about 20 boats", 23, "supported"),
        ("about 20 boats", 41, "contradicted"),
        ("two dozen boats", 24, "supported"),
        ("two dozen boats", 12, "contradicted"),
    ],
)
def test_a_range_is_judged_by_the_boxes(words: str, number: int, verdict: str) -> None:
    evidence = known((), boats(number))
    assert of_kind("count", claims(f"There are {words} in the image.", evidence)) == [
        (words, verdict, f"{number} boxes")
    ]


@pytest.mark.parametrize(
    ("answer", "words", "number", "verdict"),
    [
        ("Between 20 and 30.", "Between 20 and 30", 23, "supported"),
        ("Between 20 and 30.", "Between 20 and 30", 8, "contradicted"),
        ("About 20 to 30.", "About 20 to 30", 8, "contradicted"),
        ("There are 20 to 30 of them.", "20 to 30", 23, "supported"),
        ("More than a dozen.", "More than a dozen", 8, "contradicted"),
        ("More than a dozen.", "More than a dozen", 20, "supported"),
        ("Dozens.", "Dozens", 8, "contradicted"),
        ("There are about 40 in the image.", "about 40", 8, "contradicted"),
    ],
)
def test_a_range_alone_answers_how_many(answer: str, words: str, number: int, verdict: str) -> None:
    found = claims(answer, known((), boats(number)), "How many boats are there?")
    assert of_kind("count", found) == [(words, verdict, f"{number} boxes")]


def test_of_some_of_them_only_too_many_can_be_told() -> None:
    some, few = known((), boats(40)), known((), boats(8))
    answer = "Between 20 and 30 boats are moored on the left."
    assert of_kind("count", claims(answer, some)) == [
        ("Between 20 and 30 boats", "undecidable", "40 boxes, some of which these may be")
    ]
    assert of_kind("count", claims(answer, few)) == [("Between 20 and 30 boats", "contradicted", "8 boxes")]


def test_a_crowd_leaves_the_upper_end_open() -> None:
    evidence = known((), boats(8), [("boat", (0.1, 0.1, 0.9, 0.9))])
    assert of_kind("count", claims("There are 20 to 30 boats.", evidence)) == [
        ("20 to 30 boats", "undecidable", "8 boxes and a group, number unknown")
    ]


def test_a_number_of_a_caption_supports_the_range_it_lies_in() -> None:
    evidence = known(["A harbor with 25 boats."], boats(18))
    assert of_kind("count", claims("There are 20 to 30 boats.", evidence)) == [
        ("20 to 30 boats", "supported", "caption 1")
    ]


@pytest.mark.parametrize(
    ("answer", "words", "number", "verdict"),
    [
        ("The gull flies over two boats.", "two boats", 2, "supported"),
        ("The gull is over two boats.", "two boats", 2, "supported"),
        ("Under two boats there is sand.", "two boats", 2, "supported"),
        ("There are over two boats.", "over two boats", 2, "contradicted"),
        ("There are no more than two boats.", "no more than two boats", 2, "supported"),
        ("There are not more than two boats.", "not more than two boats", 3, "contradicted"),
        ("There are no fewer than three boats.", "no fewer than three boats", 2, "contradicted"),
        ("There are 1200 boats.", "1200 boats", 2, "contradicted"),
        ("There are 1,200 boats.", "1,200 boats", 2, "contradicted"),
        ("There are about 1,200 boats.", "about 1,200 boats", 2, "contradicted"),
    ],
)
def test_a_place_or_a_denial_before_a_number_is_told_from_a_bound(
    answer: str, words: str, number: int, verdict: str
) -> None:
    found = claims(answer, known((), boats(number)))
    assert of_kind("count", found) == [(words, verdict, f"{number} boxes")]
    assert of_kind("absence", found) == []


def test_a_year_is_no_number_of_things() -> None:
    assert of_kind("count", claims("These are 1950 boats.", known((), boats(2)))) == []


@pytest.mark.parametrize("answer", ["There are dozens of boats.", "There are hundreds of boats."])
def test_two_boxes_are_no_dozens_though_a_caption_has_the_plural(answer: str) -> None:
    assert of_kind("count", claims(answer, known(["Boats at sea."], boats(2))))[0][1:] == (
        "contradicted", "2 boxes",
    )  # fmt: skip
    # One box may be drawn around them all.
    assert of_kind("count", claims(answer, known(["Boats at sea."], boats(1))))[0][1:] == (
        "undecidable", "1 box",
    )  # fmt: skip


def test_how_many_is_one_claim() -> None:
    found = claims("There are around 50 boats.", known((), boats(9)), "How many boats are there?")
    assert of_kind("count", found) == [("around 50 boats", "contradicted", "9 boxes")]
    found = claims("Just a few boats.", known((), boats(1)), "How many boats are there?")
    assert of_kind("count", found) == [("a few boats", "contradicted", "1 box")]
