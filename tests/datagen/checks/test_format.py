"""What format checks let through and what they stop."""

from __future__ import annotations

import pytest

from datagen.checks import check_format
from datagen.records import Rejected, Turn


@pytest.mark.parametrize(
    "answer",
    [
        "A dog.",
        "Two",
        "On the left, beside a [red] car: a dog.",
        "a < b and a == b",
        "The sign reads “Stop”",
        "A long description of a harbour, with boats and people, that ends as it should end (mostly).",
    ],
)
def test_good_answers_pass(answer: str) -> None:
    assert check_format([Turn("What is it?", answer)]) is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty_turn"),
        (" \n ", "empty_turn"),
        ("A dog in <image>.", "image_token_in_text"),
        ("A dog in < IMAGE >.", "image_token_in_text"),
        ("A dog.</captions>", "leftover_tag"),
        ("A dog.<|im_end|>", "chat_token_in_text"),
        ("A dog. [/INST]", "chat_token_in_text"),
        ("I think so.</think> A dog.", "chat_token_in_text"),
        ("A dog.\n===\nmore.", "leftover_separator"),
        ("A dog.\nQuestion: what?", "leftover_marker"),
        ("**Answer 2:** A dog.", "leftover_marker"),
        ("One two three four five six seven eight nine ten eleven and", "cut_off"),
    ],
)
def test_each_fault_has_its_name(answer: str, reason: str) -> None:
    rejected = check_format([Turn("What is it?", answer)])
    assert isinstance(rejected, Rejected)
    assert (rejected.stage, rejected.reason) == ("checks", reason)


def test_a_fault_in_a_question_is_found_and_named() -> None:
    turns = [Turn("What is it?", "A dog."), Turn("What is in <image>?", "A dog.")]
    assert check_format(turns) == Rejected("checks", "image_token_in_text", "question 2")


def test_no_turns_is_a_fault() -> None:
    assert check_format([]) == Rejected("checks", "no_turns")
