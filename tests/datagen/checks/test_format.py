"""What format checks let through and what they stop."""

from __future__ import annotations

import pytest

from datagen.checks import Fault, check_format
from datagen.records import Turn


@pytest.mark.parametrize(
    "answer",
    [
        "A dog.",
        "Two",
        "4",
        "On the left, beside a [red] car: a dog.",
        "a < b and a == b",
        "The sign reads “Stop”",
        "A long description of a harbour, with boats and people, that ends as it should end (mostly).",
    ],
)
def test_good_answers_pass(answer: str) -> None:
    assert check_format(Turn("What is it?", answer)) is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty_turn"),
        (" \n ", "empty_turn"),
        ("{}", "empty_turn"),
        ("...", "empty_turn"),
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
    detail = "ends inside a sentence" if reason == "cut_off" else ""
    assert check_format(Turn("What is it?", answer)) == Fault(reason, reason, "answer", detail)


def test_a_fault_in_a_question_is_found_and_named() -> None:
    fault = check_format(Turn("What is in <image>?", "A dog."))
    assert fault == Fault("image_token_in_text", "image_token_in_text", "question", "")
    assert fault.told(2) == "question 2"
