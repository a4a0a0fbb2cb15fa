"""Phrase lists: whole words, any case and spacing, or a regular expression."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.checks import Fault, PhraseCheck, check_format, phrase_check
from datagen.prompting import PACKS, load_pack
from datagen.records import InputError, Turn


def test_a_phrase_matches_whole_words_in_any_case_and_spacing() -> None:
    check = PhraseCheck("leak", ["bounding box"])
    assert check(Turn("What?", "The Bounding\n box is red.")) == Fault(
        "leak", "bounding box", "answer", "'Bounding box' (rule: bounding box)"
    )
    assert check(Turn("What?", "An abounding boxer.")) is None


def test_a_regular_expression_matches_and_names_itself() -> None:
    check = PhraseCheck("leak", ["caption", r"re:\[0\.\d+"])
    assert check(Turn("What is at [0.5, 0.5]?", "A dog.")) == Fault(
        "leak", r"re:\[0\.\d+", "question", r"'[0.5' (rule: re:\[0\.\d+)"
    )


def test_refusals_are_looked_for_in_answers_only() -> None:
    check = PhraseCheck("refusal", ["I cannot"], answers_only=True)
    assert check(Turn("What can I do if I cannot swim?", "Take lessons.")) is None


def test_an_empty_list_finds_nothing() -> None:
    assert PhraseCheck("leak", [])(Turn("What?", "A caption.")) is None


def test_an_expression_that_cannot_be_used_is_one_line() -> None:
    with pytest.raises(InputError, match="'re:\\[' is not a regular expression"):
        PhraseCheck("leak", ["re:["])


@pytest.mark.parametrize("mark", ["re:", "RE:", "Re: ", "re : "])
def test_the_mark_of_an_expression_is_read_whatever_its_case_and_spacing(mark: str) -> None:
    assert PhraseCheck("leak", [rf"{mark}\bbox(es)?\b"])(Turn("What?", "Two boxes.")) is not None


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("re:", "'re:' must be followed by a regular expression"),
        ("re: ", "'re: ' must be followed"),
        (r"re\bboxes\b", "would be searched for as it stands: an expression begins with 're:'"),
        ("re boxes?", "would be searched for as it stands"),
        ("never: boxes", "would be searched for as it stands"),
        (r"never re:\bboxes", "would be searched for as it stands"),
    ],
)
def test_a_prefix_that_is_none_is_refused_for_its_rule_would_be_off(line: str, wrong: str) -> None:
    with pytest.raises(InputError, match=wrong):
        PhraseCheck("leak", [line])


def test_words_that_begin_like_a_prefix_are_phrases() -> None:
    check = PhraseCheck("leak", ["re-read", "never mind", "reading the captions"])
    assert check(Turn("What?", "Well, never mind.")) is not None
    assert check(Turn("What?", "Re-read it.")) is not None


_WORDS = [
    "the",
    "caption",
    "captions",
    "says",
    "bounding",
    "box",
    "x1",
    "y1",
    "[0.12,",
    "0.5]",
    "no",
    "mention",
    "of",
    "not",
    "mentioned",
    "I'm",
    "sorry,",
    "but",
    "I",
    "cannot",
    "assist",
    "help",
    "with",
    "image",
    "Sentences",
    "DATA",
    "provided",
    "given",
    "as",
    "an",
    "AI",
    "described",
    "ſentence",
    "0.123",
    "on",
    "sign",
    "coordinates",
    "K",
    "number",
    "unknown",
]


@given(
    st.sampled_from(["leaks", "refusals"]),
    st.lists(
        st.sampled_from(_WORDS),
        max_size=12,
    ).map(" ".join),
)
def test_looking_for_rules_only_where_they_can_match_finds_the_same(name: str, text: str) -> None:
    rules = load_pack(PACKS / "coco").word_lists[name]
    rejected = PhraseCheck("leak", rules)(Turn("", text))
    plain = (
        rule[3:].strip() if rule.startswith("re:") else rf"(?<!\w){re.escape(rule)}(?!\w)" for rule in rules
    )
    matches = [re.search(rule, text, re.IGNORECASE) for rule in plain]
    first = next(((rule, match[0]) for rule, match in zip(rules, matches, strict=True) if match), None)
    assert rejected == (first and Fault("leak", first[0], "answer", f"{first[1]!r} (rule: {first[0]})"))


def test_of_the_published_answers_only_the_one_that_leaks_is_rejected(shared_data: Path) -> None:
    word_lists = load_pack(PACKS / "coco").word_lists
    checks: list[Callable[[Turn], Fault | None]] = [
        check_format,
        phrase_check("refusals", word_lists),
        phrase_check("leaks", word_lists),
    ]
    rejected = {}
    for line in (shared_data / "grounding" / "gpt4_answers.jsonl").read_text().splitlines():
        record = json.loads(line)
        for check in checks:
            if why := check(Turn(record["instruction"], record["output"])):
                rejected[record["id"], record["type"]] = (why.reason, why.told(1).split(" (rule")[0])
    # "In the image, they are described as antique": the image does not describe, its captions do.
    assert rejected == {("000000441147", "complex"): ("leak", "answer 1: 'are described as'")}
