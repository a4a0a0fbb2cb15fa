"""Reading text by rule: which things it names, how many, and whether it asserts them."""

from __future__ import annotations

import pytest

from datagen.checks import make_vocabulary
from datagen.checks.reading import Mention, Mode, number_of, read
from datagen.prompting import PACKS, load_pack
from datagen.teacher.programmatic.words import CATEGORIES

COCO = make_vocabulary(load_pack(PACKS / "coco").files, CATEGORIES)

_FLAGS = ("is_plural", "is_definite", "is_bare", "is_subset", "is_modified", "is_modifier")


def mentions(text: str) -> list[tuple[str, str, set[str]]]:
    """Each mention's words, its noun and what holds of it: its flags, numbers and a mode not asserted."""
    reading = read(text, COCO)
    return [
        (reading.said(mention.first, mention.end), mention.noun.words, _what_holds(mention))
        for mention in reading.mentions
    ]


def _what_holds(mention: Mention) -> set[str]:
    holds = {flag.removeprefix("is_") for flag in _FLAGS if getattr(mention, flag)}
    if mention.number is not None:
        holds.add(str(mention.number))
    if mention.at_least:
        holds.add(f"at least {mention.at_least}")
    if mention.mode != Mode.ASSERTED:
        holds.add(mention.mode.name.lower())
    return holds


def modes(text: str) -> dict[str, str]:
    """The mode of each thing that a text names."""
    return {mention.noun.words: mention.mode.name.lower() for mention in read(text, COCO).mentions}


def nouns(text: str) -> list[str]:
    return [mention.noun.words for mention in read(text, COCO).mentions if not mention.is_modifier]


# Words and sentences


def test_words_keep_their_places_in_the_text() -> None:
    reading = read("A CAFÉ's dog; two 3-seaters.", COCO)
    assert reading.words == ["a", "cafe's", "dog", ";", "two", "3", "-", "seaters", "."]
    assert [reading.said(at, at + 1) for at in range(len(reading.words))] == [
        "A", "CAFÉ's", "dog", ";", "two", "3", "-", "seaters", ".",
    ]  # fmt: skip


def test_sentences_end_at_full_stops_and_line_ends() -> None:
    reading = read("A dog. Is it 3.5 m tall? Yes!\nNo", COCO)
    assert [reading.said(first, end) for first, end in reading.sentences] == [
        "A dog",
        "Is it 3.5 m tall",
        "Yes",
        "No",
    ]


def test_an_empty_text_says_nothing() -> None:
    reading = read("", COCO)
    assert (reading.words, reading.sentences, reading.mentions) == ([], [], [])


@pytest.mark.parametrize(
    ("word", "number"),
    [("zero", 0), ("two", 2), ("twenty", 20), ("7", 7), ("10:30", None), ("2nd", None), ("1,5", None),
     ("2017", None), ("many", None)],
)  # fmt: skip
def test_numbers_are_words_or_digits(word: str, number: int | None) -> None:
    assert number_of(word) == number


# Mentions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog", ("a dog", "dog", set())),
        ("dogs", ("dogs", "dog", {"plural", "bare"})),
        ("the dog", ("the dog", "dog", {"definite"})),
        ("three brown dogs", ("three brown dogs", "dog", {"plural", "3"})),
        ("2 dogs", ("2 dogs", "dog", {"plural", "2"})),
        ("both dogs", ("both dogs", "dog", {"plural", "definite", "2"})),
        ("a dozen donuts", ("a dozen donuts", "donut", {"plural", "12"})),
        ("a pair of dogs", ("a pair of dogs", "dog", {"plural", "2"})),
        ("several dogs", ("several dogs", "dog", {"plural", "at least 2"})),
        ("many dogs", ("many dogs", "dog", {"plural", "at least 3"})),
        ("a group of dogs", ("a group of dogs", "dog", {"plural", "at least 2"})),
        ("another dog", ("another dog", "dog", {"subset", "at least 2"})),
        ("a third dog", ("a third dog", "dog", {"subset", "at least 3"})),
        ("two other dogs", ("two other dogs", "dog", {"plural", "subset", "2"})),
        ("A single dog", ("A single dog", "dog", {"1"})),
    ],
)
def test_what_stands_before_a_noun_says_how_many(text: str, expected: tuple[str, str, set[str]]) -> None:
    assert mentions(text) == [expected]


def test_some_of_the_dogs_are_not_all_of_them() -> None:
    assert mentions("Two of the dogs are old.") == [
        ("the dogs", "dog", {"plural", "definite", "subset"}),
    ]
    assert mentions("One of the two dogs is old.") == [
        ("the two dogs", "dog", {"plural", "definite", "subset", "2"}),
    ]
    assert mentions("Some of the dogs are old.") == [("the dogs", "dog", {"plural", "definite", "subset"})]


def test_what_follows_a_noun_may_pick_some_of_them() -> None:
    assert mentions("two dogs lying there") == [("two dogs", "dog", {"plural", "modified", "2"})]
    assert mentions("There are two dogs.") == [("two dogs", "dog", {"plural", "2"})]
    assert mentions("There are two dogs in the image.") == [("two dogs", "dog", {"plural", "2"})]
    assert mentions("Two dogs can be seen.") == [("Two dogs", "dog", {"plural", "2"})]


def test_a_number_belongs_to_its_own_noun() -> None:
    assert mentions("two cars and a truck") == [
        ("two cars", "car", {"plural", "2"}),
        ("a truck", "truck", set()),
    ]
    assert mentions("Two of them sleep.") == []


def test_a_noun_before_another_is_not_named() -> None:
    # Neither of these is in the word list.
    assert mentions("A cat basket lies on a sofa cushion.")[0][2] >= {"modifier"}
    assert nouns("A cat basket lies there.") == ["basket"]
    assert nouns("The dog's bowl is full.") == ["dog bowl"]
    assert nouns("The giraffe's head is high.") == ["giraffe", "head"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("A man in an orange shirt.", ["man", "shirt"]),
        ("The wall is orange.", ["wall"]),
        ("Two oranges and an orange.", ["orange", "orange"]),
        ("An orange on a plate.", ["orange", "plate"]),
        ("A remote area.", []),
        ("A remote on the couch.", ["remote", "couch"]),
        ("A hot dog stand.", ["hot dog stand"]),
        ("A hot dog.", ["hot dog"]),
        ("A dog, hot in the sun.", ["dog", "sun"]),
        ("Passenger airplanes.", ["passenger airplane"]),
        ("A bus stop.", []),
        ("A stop sign.", ["stop sign"]),
        ("A dog bed.", ["dog bed"]),
        ("Two of them.", []),
        ("A teddy-bear.", ["teddy bear"]),
    ],
)
def test_words_that_look_like_an_object_are_none(text: str, named: list[str]) -> None:
    assert nouns(text) == named


@pytest.mark.parametrize(
    "text", ["A knife.", "A KNIFE!", "a café, a knife", "“a knife”", "a\nknife", "—a knife—", "a kn\u00edfe"]
)
def test_case_marks_and_accents_do_not_matter(text: str) -> None:
    assert nouns(text) == ["knife"]


# Modes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is a dog.", {"dog": "asserted"}),
        ("A dog can be seen.", {"dog": "asserted"}),
        ("You can see a dog.", {"dog": "asserted"}),
        ("Not only a dog but a cat is there.", {"dog": "asserted", "cat": "asserted"}),
        ("There is no dog.", {"dog": "denied"}),
        ("There is no dog or cat.", {"dog": "denied", "cat": "denied"}),
        ("There is no dog, but a cat sleeps.", {"dog": "denied", "cat": "asserted"}),
        ("A cat without a dog.", {"cat": "asserted", "dog": "denied"}),
        ("The cat is not on the bed.", {"cat": "asserted", "bed": "denied"}),
        ("It is likely a dog.", {"dog": "supposed"}),
        ("Perhaps a dog is near.", {"dog": "supposed"}),
        ("There might be a dog.", {"dog": "supposed"}),
        ("A dog could run.", {"dog": "supposed"}),
        ("A dog or a cat is there.", {"dog": "supposed", "cat": "supposed"}),
        ("It looks as if a dog were there.", {"dog": "supposed"}),
        ("If a dog barks, the cat runs.", {"dog": "supposed", "cat": "asserted"}),
        ("A boy jumps to catch a frisbee.", {"boy": "asserted", "frisbee": "supposed"}),
        ("The cat sits next to a dog.", {"cat": "asserted", "dog": "asserted"}),
        ("To ride a horse, the boy wears a helmet.",
         {"horse": "supposed", "boy": "asserted", "helmet": "asserted"}),
        ("It might be a dog while a cat sleeps.", {"dog": "supposed", "cat": "asserted"}),
    ],
)  # fmt: skip
def test_how_a_clause_puts_what_it_says(text: str, expected: dict[str, str]) -> None:
    assert modes(text) == expected
