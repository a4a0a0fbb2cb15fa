"""Each way a reply can be wrong has its name; what is right comes through whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.parsing import Parsed, parse_reply, reply_text
from datagen.records import Rejected, Turn

PAIR = (Turn("What is it?", "A dog."),)
TWO = (*PAIR, Turn("Where is it?", "On the left.\n\nIt lies down."))


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("Question:\nWhat is it?\n===\nAnswer:\nA dog.", PAIR),
        ("Question:\nWhat is it?\n===\nAnswer:\nA dog.\n===\n", PAIR),
        ("\n\nQuestion: What is it?\nAnswer: A dog.\n", PAIR),
        ("**Question 1:** What is it?\n=====\n### Answer 1:\nA dog.", PAIR),
        (
            "Question:\nWhat is it?\n===\nAnswer:\nA dog.\n===\n"
            "Question:\nWhere is it?\n===\nAnswer:\nOn the left.\n\nIt lies down.",
            TWO,
        ),
    ],
)
def test_pairs_are_read_as_models_write_them(text: str, turns: tuple[Turn, ...]) -> None:
    assert parse_reply(text, "stop", "pairs", None) == Parsed(turns)


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        (" \n", "empty_reply", ""),
        ("===\n===", "no_pairs", ""),
        ("Sure! Here it is:\nQuestion: a?\nAnswer: b.", "text_outside_pairs", "Sure! Here it is:"),
        ("Question: a?\n===\nAnswer: b.\n===\nThat is all.", "text_outside_pairs", "That is all."),
        ("Answer: b.", "starts_with_answer", "block 1"),
        ("Question: a?\nQuestion: b?\nAnswer: c.", "two_questions_in_a_row", "block 2"),
        ("Question: a?\nAnswer: b.\nAnswer: c.", "two_answers_in_a_row", "block 3"),
        ("Question: a?\nAnswer: b.\nQuestion: c?", "unanswered_question", "c?"),
        ("Question:\n===\nAnswer: b.", "empty_question", "block 1"),
        ("Question: a?\n===\nAnswer:\n", "empty_answer", "block 2"),
    ],
)
def test_each_fault_of_pairs_has_its_name(text: str, reason: str, detail: str) -> None:
    assert parse_reply(text, "stop", "pairs", None) == Rejected("parsing", reason, detail)


def test_a_cut_off_reply_loses_its_last_turn_only() -> None:
    text = "Question: What is it?\n===\nAnswer: A dog.\n===\nQuestion: Where is it?\n===\nAnswer: On the l"
    assert parse_reply(text, "length", "pairs", None) == Parsed(PAIR, Turn("Where is it?", "On the l"))
    assert parse_reply(text.removesuffix("\n===\nAnswer: On the l"), "length", "pairs", None) == Parsed(
        PAIR, Turn("Where is it?", "")
    )


def test_a_reply_cut_off_in_its_first_turn_is_rejected() -> None:
    for text, form in (("Question: a?\nAnswer: b", "pairs"), ("A dog l", "answer"), ('{"turns": [', "json")):
        rejected = parse_reply(text, "length", form, "Describe it.")  # type: ignore[arg-type]
        assert rejected == Rejected("parsing", "cut_off", "the reply hit its token limit")


def test_an_answer_alone_stands_under_its_question() -> None:
    assert parse_reply(" A dog.\n", "stop", "answer", "Describe it.") == Parsed(
        (Turn("Describe it.", "A dog."),)
    )
    assert parse_reply("Question: a?\nAnswer: b.", "stop", "answer", "Describe it.") == Rejected(
        "parsing", "unexpected_pairs", "an answer alone was asked for"
    )


def test_json_is_read_with_and_without_a_fence() -> None:
    text = json.dumps({"turns": [{"question": "What is it?", "answer": "A dog."}]})
    assert parse_reply(text, "stop", "json", None) == Parsed(PAIR)
    assert parse_reply(f"```json\n{text}\n```", "stop", "json", None) == Parsed(PAIR)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "not_json"),
        ("[]", "no_turns"),
        ('{"turns": []}', "no_turns"),
        ('{"turns": [3]}', "turn_not_an_object"),
        ('{"turns": [{"question": "a?"}]}', "empty_answer"),
        ('{"turns": [{"question": " ", "answer": "b"}]}', "empty_question"),
    ],
)
def test_each_fault_of_json_has_its_name(text: str, reason: str) -> None:
    rejected = parse_reply(text, "stop", "json", None)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason


@given(st.text(), st.sampled_from(["stop", "length"]), st.sampled_from(["pairs", "answer", "json"]))
def test_no_reply_breaks_the_parser(text: str, finish_reason: str, form: str) -> None:
    parsed = parse_reply(text, finish_reason, form, "Describe it.")  # type: ignore[arg-type]
    if isinstance(parsed, Parsed):
        assert parsed.turns
        assert all(turn.question.strip() and turn.answer.strip() for turn in parsed.turns)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<html>", "body_not_json"),
        ("{}", "no_choices"),
        ('{"choices": []}', "no_choices"),
        ('{"choices": [{"message": {"content": null}}]}', "no_content"),
        ('{"choices": [{"message": {"content": null, "refusal": "I will not."}}]}', "refused"),
        ('{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}', "content_filter"),
    ],
)
def test_each_fault_of_a_body_has_its_name(body: str, reason: str) -> None:
    rejected = reply_text(body, is_chat_completion=True)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason


def test_a_body_gives_text_and_finish_reason() -> None:
    body = '{"choices": [{"message": {"content": "A dog."}, "finish_reason": "length"}]}'
    assert reply_text(body, is_chat_completion=True) == ("A dog.", "length")
    assert reply_text("A dog.", is_chat_completion=False) == ("A dog.", "stop")


def test_the_thoughts_of_a_reasoning_model_are_not_its_reply() -> None:
    content = "<think>\nThey want a dog.\n</think>\n\nA dog."
    body = json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})
    assert reply_text(body, is_chat_completion=True) == ("A dog.", "stop")
