"""Answers that say little, whose claim is in their question."""

from __future__ import annotations

import pytest

from datagen.checks import Evidence, Region, make_vocabulary
from datagen.checks.grounding import Grounding
from datagen.prompting import PACKS, load_pack
from datagen.records import Turn

VOCABULARY = make_vocabulary(load_pack(PACKS / "coco").files, ["dog", "cat", "horse", "car"])
LEFT, RIGHT, MIDDLE = (0.1, 0.4, 0.3, 0.8), (0.7, 0.4, 0.9, 0.8), (0.4, 0.4, 0.6, 0.8)
BOXES = (("cat", LEFT), ("dog", RIGHT), ("dog", MIDDLE))


def verdicts(question: str, answer: str) -> list[tuple[str, str, str]]:
    evidence = Evidence(VOCABULARY, ["two dogs and a cat"], [(c, Region(n, *b, False)) for n, (c, b) in
                        enumerate(BOXES, 1)])  # fmt: skip
    claims = Grounding(VOCABULARY).claims(Turn(question, answer), evidence)
    return [(claim.kind, claim.words, claim.verdict) for claim in claims if claim.where == "answer"]


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Which animal is on the right?", "The dog.", ("position", "The dog", "supported")),
        ("Which animal is on the right?", "The cat.", ("position", "The cat", "contradicted")),
        ("Is there a horse?", "There is.", ("object", "There", "unsupported")),
        ("Is there a cat?", "There is none.", ("absence", "There", "contradicted")),
        ("How many dogs are there?", "None.", ("count", "None", "contradicted")),
        ("How many dogs are there?", "Two.", ("count", "Two", "supported")),
        ("What can be seen?", "Cats are absent.", ("absence", "Cats are absent", "contradicted")),
    ],
)
def test_a_short_answer_is_held_to_what_its_question_asks(
    question: str, answer: str, expected: tuple[str, str, str]
) -> None:
    assert expected in verdicts(question, answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many dogs are near the car?", "One."),
        ("How many dogs are on the right?", "None."),
        ("Are both dogs jumping?", "No, only one dog is jumping."),
        ("What do they do?", "One dog sits, the other one stands."),
    ],
)
def test_a_number_of_some_of_them_is_not_held_against_all(question: str, answer: str) -> None:
    assert [claim for claim in verdicts(question, answer) if claim[2] == "contradicted"] == []
