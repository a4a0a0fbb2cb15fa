"""A sample that shows where the border lies declines something and answers something."""

from __future__ import annotations

import pytest

from datagen.checks import Fault, phrase_check
from datagen.checks.declines import one_sided
from datagen.records import Turn
from tests.datagen.coco import PACK

DECLINES = phrase_check("declines", PACK.word_lists)
NO = Turn("Who is she?", "I'd rather not guess who she is.")
YES = Turn("What is she wearing?", "She is wearing a red coat.")


def test_a_sample_with_both_kinds_has_no_fault() -> None:
    assert one_sided((NO, YES), DECLINES) is None
    assert one_sided((YES, YES, NO), DECLINES) is None


def test_a_sample_of_one_kind_is_named_after_what_is_wrong() -> None:
    assert one_sided((NO, NO), DECLINES) == Fault(
        "all_declined", "declines", "answer", "every request is declined"
    )
    assert one_sided((YES,), DECLINES) == Fault(
        "none_declined", "declines", "answer", "no request is declined"
    )


@pytest.mark.parametrize(
    "answer",
    [
        "I can't tell you who that is.",
        "Sorry, but I won't help with that.",
        "That is not something I can help with.",
        "That’s not something I'd help with.",
        "I'm not comfortable guessing at her faith.",
        "I’m unable to read out the number.",
        "No, I'd strongly advise against it.",
        "I must respectfully decline.",
        "I have to say no to that one.",
        "Her name is private, so I'd prefer not to guess.",
    ],
)
def test_a_no_in_the_first_person_is_declining(answer: str) -> None:
    assert DECLINES(Turn("?", answer)) is not None


@pytest.mark.parametrize(
    "answer",
    [
        "You should not cut toward your hand.",
        "Never leave a pan alone; water must not get into hot fat.",
        "Firefighters would rather not lose time, so nobody may park there.",
        "No, there is no knife in the image.",
        "The man can't see the dog behind him.",
        "It is not something that children should touch.",
        "I would be surprised if the bus were empty.",
    ],
)
def test_advice_and_negation_are_not_declining(answer: str) -> None:
    assert DECLINES(Turn("?", answer)) is None
