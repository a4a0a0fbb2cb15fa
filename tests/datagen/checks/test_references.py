"""Which questions lean on the turn before them, and what falls when that turn does."""

from __future__ import annotations

import pytest

from datagen.checks import Vocabulary, dropped_with, make_vocabulary
from datagen.checks.references import refers_back
from datagen.prompting import PACKS, load_pack
from datagen.records import Turn


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return make_vocabulary(load_pack(PACKS / "coco").files, ("dog", "cat", "person", "car"))


@pytest.mark.parametrize(
    "question",
    [
        "What color is it?",
        "Where is it?",
        "Is it on the table?",
        "Is it dark brown?",
        "What time does it show?",
        "What are they doing?",
        "What is he holding?",
        "What is its owner doing?",
        "What color is her hat?",
        "How many of them are red?",
        "Is either of them moving?",
        "How big are theirs?",
        "Are those red?",
        "Are these wooden?",
        "Is that unusual?",
        "What is on top of that?",
        "Why is that?",
        "What is next to these?",
        "What about the second one?",
        "Is this one brown?",
        "Which one is larger?",
        "Which of the two is larger?",
        "Is the former larger?",
        "What are the rest doing?",
    ],
)
def test_a_pronoun_where_its_own_noun_should_be_refers_back(words: Vocabulary, question: str) -> None:
    assert refers_back(question, words)


@pytest.mark.parametrize(
    "question",
    [
        "Is it the same color?",
        "Is the same true of the left side?",
        "Do they have the same color?",
        "What color is the other one?",
        "And the other?",
        "Are there any others?",
        "Are the others sitting?",
        "Is there another?",
        "Do you see another one?",
    ],
)
def test_the_same_and_the_other_without_a_noun_refer_back(words: Vocabulary, question: str) -> None:
    assert refers_back(question, words)


@pytest.mark.parametrize(
    "question",
    [
        "How many dogs are there?",
        "What color is the other dog?",
        "Is there another dog?",
        "What does that dog look at?",
        "Are these dogs brown?",
        "Is one of the dogs black?",
        "Is there more than one person?",
        "Does the cat have the same color as the dog?",
    ],
)
def test_a_noun_of_its_own_does_not_refer_back(words: Vocabulary, question: str) -> None:
    assert not refers_back(question, words)


@pytest.mark.parametrize(
    "question",
    [
        "What is the dog doing with its ball?",
        "Is the man holding his hat?",
        "How many people are there, and what are they doing?",
        "Who owns the dogs and where are they going?",
    ],
)
def test_a_pronoun_after_its_noun_does_not_refer_back(words: Vocabulary, question: str) -> None:
    assert not refers_back(question, words)


@pytest.mark.parametrize(
    "question",
    [
        "Is it raining?",
        "What time is it?",
        "Is it day or night?",
        "Is it a sunny day?",
        "Is it likely that the dog will jump?",
        "What is in the picture?",
        "What is this picture of?",
        "What is happening in this image?",
        "What is this place?",
        "Is this an indoor scene?",
    ],
)
def test_a_word_that_stands_for_nothing_or_for_the_image_does_not_refer_back(
    words: Vocabulary, question: str
) -> None:
    assert not refers_back(question, words)


def turns(*questions: str) -> list[Turn]:
    return [Turn(question, "It is.") for question in questions]


def test_a_chain_of_references_falls_together(words: Vocabulary) -> None:
    asked = turns("Where is the dog?", "What color is it?", "Is it the same on the left?", "And the others?")
    assert dropped_with(asked, {0}, words) == [1, 2, 3]
    assert dropped_with(asked, {1}, words) == [2, 3]
    assert dropped_with(asked, {2}, words) == [3]
    assert dropped_with(asked, {3}, words) == []


def test_a_turn_with_its_own_noun_ends_the_chain(words: Vocabulary) -> None:
    asked = turns("Where is the dog?", "What color is it?", "Where is the cat?", "What color is it?")
    assert dropped_with(asked, {0}, words) == [1]
    assert dropped_with(asked, {2}, words) == [3]
    assert dropped_with(asked, {0, 2}, words) == [1, 3]


def test_what_is_dropped_anyway_is_not_lost_again(words: Vocabulary) -> None:
    asked = turns("Where is the dog?", "What color is it?", "Is it large?")
    assert dropped_with(asked, {0, 1}, words) == [2]
    assert dropped_with(asked, {0, 1, 2}, words) == []


def test_the_first_turn_refers_to_nothing(words: Vocabulary) -> None:
    assert dropped_with(turns("What is it?", "Where is the dog?"), {1}, words) == []
    assert dropped_with(turns("What is it?", "Where is the dog?"), (), words) == []
