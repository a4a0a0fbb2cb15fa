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


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Are there any other cats in the image?", "No, the cat is alone.", []),
        ("Is there another cat?", "No.", []),
        ("Are there several cats in the image?", "No, only one cat is visible.", []),
        ("Is there more than one cat?", "No.", [("count", "No", "supported")]),
        ("Are there more than two dogs?", "No, only two.", [("count", "No", "supported")]),
        ("Are there more than two dogs?", "Yes.", [("count", "Yes", "contradicted")]),
        ("Is there more than one dog?", "No.", [("count", "No", "contradicted")]),
        ("Are there two dogs in the image?", "No.", [("count", "No", "contradicted")]),
    ],
)
def test_no_to_a_number_says_nothing_of_none(
    question: str, answer: str, expected: list[tuple[str, str, str]]
) -> None:
    found = [
        claim for claim in verdicts(question, answer) if claim[1] in ("Yes", "No") and claim[0] != "object"
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("question", "answer", "verdict"),
    [
        ("Are there more dogs than cats?", "Yes.", "supported"),
        ("Are there more dogs than cats?", "No.", "contradicted"),
        ("Are there fewer dogs than cats in the image?", "Yes.", "contradicted"),
        ("Are there more dogs than lamps?", "Yes.", "undecidable"),
        ("What do you see?", "There are more cats than dogs.", "contradicted"),
        ("What do you see?", "There are fewer cats than dogs.", "supported"),
    ],
)
def test_more_of_one_than_of_another_is_counted_in_boxes(question: str, answer: str, verdict: str) -> None:
    assert [claim[2] for claim in verdicts(question, answer) if claim[0] == "count"] == [verdict]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The cat and the dogs.", [("The cat", "contradicted"), ("the dogs", "supported")]),
        ("A dog, and a cat.", [("A dog", "supported"), ("a cat", "contradicted")]),
        ("A dog that looks at the cat.", []),
    ],
)
def test_each_of_a_list_is_held_to_the_place_asked_about(
    answer: str, expected: list[tuple[str, str]]
) -> None:
    found = verdicts("Which animals are on the right?", answer)
    assert [(words, verdict) for kind, words, verdict in found if kind == "position"] == expected
