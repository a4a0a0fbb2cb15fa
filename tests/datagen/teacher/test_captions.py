"""Which captions are repeated."""

from __future__ import annotations

import pytest

from datagen.records import Box
from datagen.teacher.programmatic.captions import cleaned, looks_english, sentence_from, tokens_of
from datagen.teacher.programmatic.facts import facts_of
from datagen.teacher.programmatic.words import CATEGORIES
from tests.datagen.teacher.test_programmatic import box, image


@pytest.mark.parametrize(
    "caption",
    [
        "THERE ARE SEVERAL STUFFED ANIMALS on the bed.",
        "A MAN IN A SUIT, NEAR A CAR.",
        "A women rides a horse.",
        "A couple of baseball player on a field.",
        "A couple of man near a truck.",
        "There is an oranges on the table.",
        "A dog with a ball on it's head.",
        "A cat sits wit a dog.",
        "A very ugly cow in a field.",
    ],
)
def test_a_caption_with_a_slip_in_capitals_or_with_a_coarse_word_is_not_repeated(caption: str) -> None:
    assert cleaned(caption, tokens_of(caption)) is None


@pytest.mark.parametrize(
    "caption",
    [
        "A sign of the NYFD on a red truck.",
        "A men's room with a women's sign.",
        "A couple of women at a table.",
        "A couple of man's best friends in a yard.",
        "It's a dog with its ball.",
    ],
)
def test_what_looks_like_a_slip_is_repeated(caption: str) -> None:
    assert cleaned(caption, tokens_of(caption)) == caption


def test_three_dots_end_a_sentence() -> None:
    caption = "Beside the IC, 4.7 kΩ ±5 %, at 25 °C…"
    assert cleaned(caption, tokens_of(caption)) == caption


@pytest.mark.parametrize(
    "caption",
    [
        "Scratch — approx. 3 µm, 4.7 kΩ ±5 %, at 25 °C…",
        "NOK - one scratch (see R5)",
        "R22 missing",
        "OK",
        "No defects.",
        "2x R, 4x C",
    ],
)
def test_units_dashes_and_short_notes_are_no_other_language(caption: str) -> None:
    assert looks_english(tokens_of(caption), caption)


@pytest.mark.parametrize("caption", ["Zwei Hunde", "Κόκκινο R5", "一只狗", "chien noir", "Ω µ или"])
def test_words_that_are_not_english_are_another_language(caption: str) -> None:
    assert not looks_english(tokens_of(caption), caption)


def test_no_word_in_capitals_loses_its_first() -> None:
    assert sentence_from("THERE are dogs on a lawn.", frozenset()).clause == "THERE are dogs on a lawn"
    assert sentence_from("There are dogs on a lawn.", frozenset()).clause == "there are dogs on a lawn"


def repeated(*captions: str, boxes: tuple[Box, ...]) -> set[str]:
    return {each.text for each in facts_of(image(captions, boxes), "camera", tuple(CATEGORIES)).captions}


def test_the_only_person_is_of_one_age() -> None:
    man, again, boy = "A man on a blue raft.", "A man floats on a raft.", "A boy rides a raft."
    rider = box("person", 10, 10, 20, 40)
    assert repeated(man, boy, again, boxes=(rider,)) == {man, again}
    assert repeated(man, boy, again, boxes=(rider, box("person", 60, 10, 20, 40))) == {man, boy, again}


def test_an_animal_that_one_caption_alone_knows_is_none() -> None:
    zebra, again = "A zebra stands in a field.", "A zebra in a green field."
    giraffe = "A baby giraffe stands in a field."
    assert repeated(zebra, giraffe, again, boxes=(box("zebra", 10, 10, 50, 50),)) == {zebra, again}
    near = "A man stands near a baby giraffe."
    assert repeated(giraffe, near, boxes=(box("person", 10, 10, 50, 50),)) == {giraffe, near}
