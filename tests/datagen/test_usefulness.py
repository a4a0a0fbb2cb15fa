"""The figures of a set are what the texts say, quotas hold, and warnings come only where they are due."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from datagen.records import Turn
from datagen.usefulness import Quotas, SetAims, Usefulness, warnings
from schemas.usefulness import (
    AnswerWords,
    Categories,
    Common,
    Questions,
    SeedCopies,
    SeedCopy,
    SetReport,
    TurnExample,
    TurnsFound,
    YesNo,
)

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = ("person", "dog", "cat", "wine glass")
NAMES = {"man": "person", "people": "person", "dogs": "dog", "cats": "cat", "glass": "wine glass"} | {
    name: name for name in VOCABULARY
}
SEED = "Three pigeons are on the ground: one near the left edge and two below the table."


def objects_in(text: str) -> Sequence[str]:
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return [NAMES[word] for word in words if word in NAMES]


def measured(
    *samples: Sequence[tuple[str, str]],
    seeds: Sequence[str] = (),
    target: tuple[int, int] | None = None,
    question_is_drawn: bool = False,
    vocabulary: Sequence[str] = VOCABULARY,
) -> SetReport:
    aims = SetAims(seeds, target, question_is_drawn)
    usefulness = Usefulness({"conversation": aims}, vocabulary, objects_in)
    for index, turns in enumerate(samples):
        usefulness.add("conversation", f"sample-{index}", [Turn(*turn) for turn in turns])
    return usefulness.report()["conversation"]


def stated_counts(question: str, answer: str) -> dict[str, int]:
    return {number: count for number, count in measured([(question, answer)]).counts.items() if count}


def pair(question: str) -> str:
    questions = measured([(question, "It is red.")]).questions
    assert questions is not None
    return questions.common_pairs[0].text


def test_the_report_of_a_set_in_full() -> None:
    report = measured(
        [
            ("How many dogs are there?", "There are two dogs."),
            ("Is the man sitting?", "Yes, he sits on a bench beside them."),
        ],
        [
            ("how many dogs are there", "None can be made out."),
            ("What is the dog doing?", "The dog is doing."),
        ],
        seeds=[SEED],
        target=(5, 7),
    )
    assert report == SetReport(
        samples=2,
        turns=4,
        yes_no=YesNo(yes=1, no=0, yes_share=1.0),
        answers_repeating_question=TurnsFound(
            count=1,
            share=0.25,
            examples=[
                TurnExample(sample="sample-1", question="What is the dog doing?", answer="The dog is doing.")
            ],
        ),
        questions=Questions(
            distinct=3,
            common_openings=[
                Common(text="how many dogs", count=2, share=0.5),
                Common(text="is the man", count=1, share=0.25),
                Common(text="what is the", count=1, share=0.25),
            ],
            distinct_pairs=3,
            common_pairs=[
                Common(text="how many are / dog", count=2, share=0.5),
                Common(text="sitting / person", count=1, share=0.25),
                Common(text="what doing / dog", count=1, share=0.25),
            ],
        ),
        categories=Categories(
            samples={"dog": 2, "person": 1}, samples_without=0, never_named=["cat", "wine glass"]
        ),
        counts={**dict.fromkeys("123456789", 0), "2": 1, "10+": 0},
        answer_words=AnswerWords(
            shortest=4,
            tenth_percentile=4,
            median=4,
            ninetieth_percentile=8,
            longest=8,
            target=(5, 7),
            share_below=0.5,
            share_above=0.25,
        ),
        seed_copies=SeedCopies(count=0, share=0.0, examples=[]),
    )


def test_an_empty_set_has_a_report_with_nothing_in_it() -> None:
    report = measured(target=(5, 7))
    assert (report.samples, report.turns, report.answer_words, report.yes_no.yes_share) == (0, 0, None, None)
    assert report.categories == Categories(samples={}, samples_without=0, never_named=list(VOCABULARY))
    assert warnings({"conversation": report}) == []


def test_a_report_survives_its_own_json_and_refuses_unknown_keys() -> None:
    report = measured([("Is it a dog?", "No, a cat.")], target=(2, 9))
    assert SetReport.model_validate_json(report.model_dump_json()) == report
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        SetReport.model_validate(report.model_dump() | {"score": 1})


@pytest.mark.parametrize(
    ("question", "answer", "yes", "no"),
    [
        ("Is there a dog?", "Yes.", 1, 0),
        ("Is there a dog?", "YES - on the left.", 1, 0),
        ("In the picture, is there a dog?", "No dogs are visible.", 0, 1),
        ("Tell me whether there is a dog.", "No.", 0, 1),
        ("Who is on the bench?", "No one is on the bench.", 0, 0),
        ("Is there a dog?", "There is.", 0, 0),
        ("Is there a dog?", "Notably, there are two.", 0, 0),
    ],
)
def test_yes_and_no_are_counted_where_they_answer_the_question(
    question: str, answer: str, yes: int, no: int
) -> None:
    counted = measured([(question, answer)]).yes_no
    assert (counted.yes, counted.no) == (yes, no)


@pytest.mark.parametrize(
    ("question", "answer", "repeats"),
    [
        ("What is the dog doing?", "The dog is doing.", True),
        ("Where is the dog?", "The dog can be seen in the image.", True),
        ("What’s on the table?", "It’s on the table.", True),
        ("Where is the dog?", "The dog is on the left.", False),
        ("How many dogs are there?", "There are two dogs.", False),
        ("What is the dog doing?", "The dog is not doing anything.", False),
        ("Is the dog sitting?", "The dog is sitting.", False),
        ("Is the dog sitting?", "Yes, the dog is sitting.", False),
        ("Which is larger, the dog or the cat?", "The dog is larger.", False),
        ("Looking at the picture, is the dog asleep?", "The dog is asleep.", False),
        ("What is the dog doing?", "…", False),
    ],
)
def test_an_answer_repeats_its_question_when_it_adds_no_word_and_makes_no_choice(
    question: str, answer: str, repeats: bool
) -> None:
    assert measured([(question, answer)]).answers_repeating_question.count == repeats


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many dogs are in the picture?", "how many are / dog"),
        ("What color is the umbrella?", "what color is / umbrella"),
        ("What is the man wearing?", "what wearing / person"),
        ("Where is the dog in relation to the cat?", "where is / dog"),
        ("Why might the man be holding a racket?", "why holding / person"),
        ("Does the picture contain any cats?", "contain / cat"),
        ("Is there a building?", "is / building"),
        ("What is going on?", "what going"),
        ("Describe the sofa.", "describe / sofa"),
        ("What?", "what"),
        ("?", ""),
    ],
)
def test_what_a_question_asks_and_of_what(question: str, expected: str) -> None:
    assert pair(question) == expected


@pytest.mark.parametrize(
    ("question", "answer", "counts"),
    [
        ("How many pigeons are there?", "Three: one on the left and two below.", {"3": 1}),
        ("How many are there?", "One can count 14 of them.", {"10+": 1}),
        ("How many are there?", "None.", {}),
        ("What is the number of cats?", "A single one.", {"1": 1}),
        ("What number is on the bus?", "It is number 7.", {}),
        ("What do you see?", "Two dogs, 3 big black cats and twelve people.", {"2": 1, "3": 1, "10+": 1}),
        ("What do you see?", "A dog, one of three cats, and a one-eyed man at 10:30.", {"3": 1}),
        ("What do you see?", "Two trees, big dogs. Two and a dog. Four small tall green dogs.", {}),
    ],
)
def test_counts_are_numbers_of_something(question: str, answer: str, counts: dict[str, int]) -> None:
    assert stated_counts(question, answer) == counts


def test_an_answer_as_long_as_the_target_is_neither_below_nor_above() -> None:
    said = [[("What?", "word " * length)] for length in (2, 3, 4, 5, 6)]
    words = measured(*said, target=(3, 5)).answer_words
    assert words is not None
    assert (words.share_below, words.share_above) == (0.2, 0.2)


def test_variety_of_drawn_questions_is_not_measured() -> None:
    assert measured([("Describe it.", "A dog.")], question_is_drawn=True).questions is None


def test_a_category_named_in_a_question_or_often_counts_once_for_the_sample() -> None:
    report = measured(
        [("Where is the dog?", "The dog is by the other dog."), ("Is it a dog?", "Yes.")],
        [("Where is the cat?", "By the glass.")],
        [("What is it?", "A tree.")],
    )
    assert report.categories == Categories(
        samples={"cat": 1, "dog": 1, "wine glass": 1}, samples_without=1, never_named=["person"]
    )


def test_an_answer_that_shares_half_of_its_word_triples_with_a_seed_is_a_near_copy() -> None:
    seed = "a b c d e f g h i j"  # eight triples
    half = f"A, b c d e f g h i j! {'k ' * 2}{' '.join('lmnopq')}"  # and eight more
    less = f"A, b c d e f g h i j! {'k ' * 2}{' '.join('lmnopqr')}"
    report = measured([("Which?", less)], [("Which?", half)], seeds=["A dog is here.", seed])
    assert report.seed_copies == SeedCopies(
        count=1, share=0.5, examples=[SeedCopy(sample="sample-1", answer=half, seed_answer=seed)]
    )


def test_a_short_answer_is_no_near_copy() -> None:
    assert measured([("What?", "The dog is red.")], seeds=["The dog is red."]).seed_copies.count == 0


def test_examples_are_the_first_three_and_cut_short() -> None:
    said = "dog " * 100
    report = measured(*[[("Where is the dog?", said)]] * 5)
    (first, *rest) = report.answers_repeating_question.examples
    assert [example.sample for example in (first, *rest)] == ["sample-0", "sample-1", "sample-2"]
    assert first.answer == said[:199] + "…"


def test_the_commonest_are_in_the_order_of_count_then_name_whatever_came_first() -> None:
    questions = [[(f"{word} is there now?", "A dog.")] for word in "cbacbbdefghijklm"]
    forward, backward = measured(*questions).questions, measured(*reversed(questions)).questions
    assert forward == backward
    assert forward is not None
    assert [common.text[0] for common in forward.common_openings] == list("bcadefghij")


def test_the_report_does_not_depend_on_the_hash_seed() -> None:
    code = """if True:
        from tests.datagen.test_usefulness import *
        samples = [[(f"What is {a} doing by the {b}?", f"Two dogs {b} {a} man glass")]
                   for a in ("cat", "dog", "man") for b in ("glass", "tree", "pond", "cat")]
        print(measured(*samples, seeds=[SEED], target=(1, 5)).model_dump_json())
    """
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(printed) == 1


WORDS = "what is the dog how many one two 3 no yes or , . … ' - 0 １ ② don’t"
wordy = st.lists(
    st.sampled_from(WORDS.split()),
    max_size=30,
).map(" ".join)


@given(
    st.lists(st.lists(st.tuples(st.text() | wordy, st.text() | wordy), max_size=4), max_size=5),
    st.lists(st.text() | wordy, max_size=3),
    st.none() | st.tuples(st.integers(0, 5), st.integers(5, 9)),
    st.booleans(),
)
def test_any_text_is_measured_and_every_turn_counted(
    samples: list[list[tuple[str, str]]],
    seeds: list[str],
    target: tuple[int, int] | None,
    question_is_drawn: bool,
) -> None:
    report = measured(*samples, seeds=seeds, target=target, question_is_drawn=question_is_drawn)
    assert (report.samples, report.turns) == (len(samples), sum(map(len, samples)))
    assert report.yes_no.yes + report.yes_no.no <= report.turns
    assert report.answers_repeating_question.count <= report.turns
    assert report.seed_copies.count <= report.turns
    assert {*report.categories.samples, *report.categories.never_named} == set(VOCABULARY)
    assert max(report.categories.samples.values(), default=0) + report.categories.samples_without <= len(
        samples
    )
    if report.questions:
        assert sum(common.count for common in report.questions.common_openings) <= report.turns
        assert report.questions.distinct_pairs <= report.turns
        assert bool(report.questions.common_pairs) == bool(report.turns)
    if report.answer_words:
        lengths = report.answer_words
        assert (
            lengths.shortest
            <= lengths.tenth_percentile
            <= lengths.median
            <= lengths.ninetieth_percentile
            <= lengths.longest
        )
    assert SetReport.model_validate_json(report.model_dump_json()) == report
    warnings({"conversation": report})


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_percentiles_are_the_least_lengths_that_so_many_do_not_exceed(lengths: list[int]) -> None:
    words = measured([("What?", "word " * length) for length in lengths]).answer_words
    assert words is not None
    for percent, length in [
        (10, words.tenth_percentile),
        (50, words.median),
        (90, words.ninetieth_percentile),
    ]:
        assert sum(100 for x in lengths if x <= length) >= percent * len(lengths)
        assert sum(100 for x in lengths if x < length) < percent * len(lengths)


def plain_turns(number: int) -> list[tuple[str, str]]:
    """One that no warning is due to, and no two alike."""
    opening = ("What is near", "Where might", "Who sees", "Which tree hides", "Name", "Why is there")[
        number % 6
    ]
    count = ("one", "two", "three", "four", "five")[number % 5]
    category = VOCABULARY[number % 4]
    return [(f"{opening} x{number} y{number % 9}?", f"It is near {count} {category}, a z{number}.")]


def test_a_set_without_faults_gets_no_warning() -> None:
    assert warnings({"conversation": measured(*map(plain_turns, range(300)), target=(3, 12))}) == []


FAULTY: Mapping[str, tuple[list[list[tuple[str, str]]], str]] = {
    "yes": (
        [
            [(f"Is x{i} here?", "Yes, it is by the dog." if i % 10 else "No, but a dog is.")]
            for i in range(300)
        ],
        "conversation: 90% of yes/no answers are yes (aim for about half)",
    ),
    "repeats": (
        [[("Where is the dog?", "The dog is in the picture.")] for _ in range(10)],
        "conversation: 3.2% of answers say no more than their question "
        '(sample-0: "Where is the dog?" "The dog is in the picture.")',
    ),
    "few questions": (
        [[("Where is the dog?", f"By x{i}.")] for i in range(6000)],
        "conversation: its 6,300 questions are only 301 different ones",
    ),
    "opening": (
        [[(f"So what is x{i}?", f"By x{i}.")] for i in range(100)],
        'conversation: 25% of questions begin "so what is"',
    ),
    "pair": (
        [[(f"{opening}, what is the man holding?", "Nothing.")] for opening in ("So", "And", "But") * 20],
        "conversation: 17% of questions ask the same of the same thing (what holding / person)",
    ),
    "too short": (
        [[(f"Which x{i}?", "This z.")] for i in range(200)],
        "conversation: 40% of answers have fewer than the 3 words aimed for",
    ),
    "too long": (
        [[(f"Which x{i}?", "This z" + " z" * 20)] for i in range(200)],
        "conversation: 40% of answers have more than the 12 words aimed for",
    ),
    "copies": (
        [[(f"Which x{i}?", SEED)] for i in range(3)],
        f'conversation: 1.0% of answers nearly repeat a seed example\'s (sample-0: "{SEED}")',
    ),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_fault_is_warned_of_in_a_line(fault: str) -> None:
    faulty, line = FAULTY[fault]
    report = measured(*faulty, *map(plain_turns, range(300)), seeds=[SEED], target=(3, 12))
    assert line in warnings({"conversation": report})


def test_gaps_in_coverage_are_warned_of() -> None:
    vocabulary = [*VOCABULARY, *(f"thing {i}" for i in range(6))]
    samples = [[(f"Which x{i}?", f"The man has two dogs, z{i}.")] for i in range(300)]
    assert warnings({"conversation": measured(*samples, vocabulary=vocabulary)})[-3:] == [
        "conversation: 100% of samples name dog",
        "conversation: 8 of 10 categories are never named (cat, wine glass, thing 0, …)",
        "conversation: no answer counts 1 or 3 or 4 or 5 of anything",
    ]


def test_a_small_run_gets_no_warning() -> None:
    samples = [[("Is it a dog?", "Yes, a dog.")]] * 99 + [[("Where is the dog?", "There.")]] * 99
    assert warnings({"conversation": measured(*samples, target=(5, 6))}) == []


def accept(quotas: Quotas, response_type: str, categories: Collection[str]) -> str | None:
    """Count a sample where there is room for it."""
    over = quotas.over(response_type, categories)
    if over is None:
        quotas.count(response_type, categories)
    return over


def test_at_most_so_many_of_a_type_are_accepted() -> None:
    quotas = Quotas({"detail": 2}, {})
    assert [accept(quotas, "detail", ["dog"]) for _ in range(3)] == [
        None,
        None,
        "already accepted: 2 (most = 2)",
    ]
    assert accept(quotas, "conversation", ["dog"]) is None


def test_a_sample_is_over_when_every_category_it_names_is_full() -> None:
    quotas = Quotas({}, {"detail": 2})
    assert accept(quotas, "detail", ["person", "person"]) is None
    assert accept(quotas, "detail", ["person"]) is None
    assert (
        accept(quotas, "detail", ["person"]) == "already accepted: 2 that name person (most_per_category = 2)"
    )
    # The toaster is rare enough to bring a third person in.
    assert accept(quotas, "detail", ["toaster", "person"]) is None
    assert accept(quotas, "detail", ["toaster"]) is None
    assert (
        accept(quotas, "detail", ["toaster", "person"])
        == "already accepted: 3 that name person, 2 that name toaster (most_per_category = 2)"
    )
    assert [accept(quotas, "detail", []) for _ in range(3)] == [None, None, None]
    assert accept(quotas, "conversation", ["person"]) is None


def test_what_is_over_is_not_counted() -> None:
    quotas = Quotas({"detail": 2}, {"detail": 1})
    assert accept(quotas, "detail", ["dog"]) is None
    for _ in range(5):
        assert (
            accept(quotas, "detail", ["dog"]) == "already accepted: 1 that name dog (most_per_category = 1)"
        )
    assert accept(quotas, "detail", ["cat"]) is None
    assert accept(quotas, "detail", ["cat"]) == "already accepted: 2 (most = 2)"


@given(st.lists(st.sets(st.sampled_from("abcd"), max_size=3), max_size=60), st.integers(1, 5))
def test_no_category_passes_its_cap_but_beside_one_that_had_room(samples: list[set[str]], cap: int) -> None:
    quotas, naming = Quotas({}, {"detail": cap}), dict.fromkeys("abcd", 0)
    for names in samples:
        has_room = not names or min(naming[name] for name in names) < cap
        assert (accept(quotas, "detail", names) is None) == has_room
        for name in names if has_room else ():
            naming[name] += 1
