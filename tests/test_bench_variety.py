"""The measures of bench/bench_variety.py on inputs small enough to count by hand, and its report."""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.insert(0, str(BENCH))

import bench_variety  # noqa: E402
from bench_variety import Turn, Words, words  # noqa: E402

COMMON = "a dog sleeps on the old sofa"


def several(*texts: str) -> list[Words]:
    return [words(text) for text in texts]


def record(image: str, *messages: str) -> dict[str, object]:
    return {
        "id": image,
        "image": f"{image}.jpg",
        "conversations": [
            {"from": "gpt" if n % 2 else "human", "value": message} for n, message in enumerate(messages)
        ],
    }


def cells_of(report: str) -> list[list[str]]:
    """The rows of all tables."""
    rows = [line for line in report.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


# Reading.


def test_words_are_lower_case_without_marks() -> None:
    assert words("The man’s T-shirt says “No. 42”!") == ("the", "man's", "t", "shirt", "says", "no", "42")


def test_a_run_is_read_with_its_turns_and_without_the_image_token(tmp_path: Path) -> None:
    document = [
        record("1", "<image>\nWho is it?", "A man.", "Where?", "On a T-shirt."),
        record("2", "Q", "A"),
    ]
    (tmp_path / "conversation.json").write_text(json.dumps(document))
    assert bench_variety.read_run(tmp_path) == {
        "conversation": [
            [
                Turn(("who", "is", "it"), ("a", "man"), 2),
                Turn(("where",), ("on", "a", "t", "shirt"), 3),
            ],
            [Turn(("q",), ("a",), 1)],
        ]
    }


def test_published_answers_are_samples_of_one_turn_by_our_types(tmp_path: Path) -> None:
    lines = [
        {"instruction": "Who?", "output": "A man.", "type": "conv"},
        {"instruction": "Why?", "output": "To rest.", "type": "complex"},
    ]
    (tmp_path / "gpt4_answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert bench_variety.read_published(tmp_path) == {
        "conversation": [[Turn(("who",), ("a", "man"), 2)]],
        "detail": [],
        "complex_reasoning": [[Turn(("why",), ("to", "rest"), 2)]],
    }
    assert bench_variety.read_published(tmp_path / "nowhere") == {}


# The measures.


def test_quantiles_are_values_that_there_are() -> None:
    turns = [Turn((), (), length) for length in (50, 10, 40, 20, 30, 60, 70, 80, 90, 100)]
    assert bench_variety.lengths(turns) == "10, 10, 50, 90, 100"
    assert bench_variety.lengths(turns[:1]) == "50, 50, 50, 50, 50"
    assert bench_variety.short_answers(turns) == "40.0%"


def test_distinct_n_counts_no_n_gram_across_answers() -> None:
    answers = several("a dog, a cat", "a dog", "bird")
    # a dog a cat a dog bird; a-dog dog-a a-cat a-dog; a-dog-a dog-a-cat
    found = [bench_variety.distinct_n(answers, n) for n in (1, 2, 3)]
    assert found == [4 / 7, 3 / 4, 1.0]
    assert math.isnan(bench_variety.distinct_n(answers, 5))


def test_self_bleu_of_copies_is_one_and_of_strangers_nought() -> None:
    assert bench_variety.self_bleu(several(COMMON, COMMON, COMMON)) == pytest.approx(1)
    assert bench_variety.self_bleu(several("Yes, it is.", "yes it is")) == pytest.approx(1)
    assert bench_variety.self_bleu(several("a dog sleeps here", "two birds fly past", "no one")) == 0
    assert bench_variety.self_bleu(several("", "")) == 0
    assert math.isnan(bench_variety.self_bleu(several(COMMON)))


def test_self_bleu_clips_by_the_most_of_any_other_and_punishes_short_answers() -> None:
    # a b a a: 3 a in it, 2 in any other; of a-b, b-a, a-a it shares a-b and b-a, of three in a row a-b-a,
    # of four none (a tenth of one). As long as a reference: nothing off.
    long_one = (3 / 4 * 2 / 3 * 1 / 2 * 0.1 / 1) ** (1 / 4)
    # a b a c: the same.
    # a b: all shared; of lengths it has, two; its closest reference is twice as long.
    short_one = math.exp(1 - 4 / 2)
    assert bench_variety.self_bleu(several("a b a a", "a b a c", "a b")) == pytest.approx(
        (long_one + long_one + short_one) / 3
    )


def test_the_commonest_and_its_share() -> None:
    openings = [question[:3] for question in several("What is the man doing", "what is the dog", "Who is it")]
    assert bench_variety.commonest(openings) == ("what is the", 2 / 3)
    assert bench_variety.commonest(several("b", "a")) == ("a", 1 / 2)


def test_openings_are_counted_by_first_words() -> None:
    asked = several("What is the man doing?", "What is the man holding?", "What is the dog doing?", "Who?")
    turns = [Turn(question, (), 0) for question in asked]
    shown = {
        label: bench_variety.distinct_items(turns, of) for label, of in bench_variety.DISTINCT.items()
    } | {label: bench_variety.commonest_item(turns, of) for label, of in bench_variety.COMMONEST.items()}
    assert shown == {
        "distinct questions": "4, 100.0%",
        "distinct openings of questions (4 words)": "3, 75.0%",
        "commonest question": "25.0%: what is the dog doing",
        "commonest opening of a question (3 words)": "75.0%: what is the",
        "commonest opening of an answer (3 words)": "100.0%: ",
    }


def test_phrases_grow_while_answers_go_on_alike_and_are_listed_once() -> None:
    answers = several(
        "One. All that can be seen here is a guess",
        "Two. All that can be seen here is a dog",
        "Three. There is much that no one can tell",
        "Four. Is much that no one knows",
        "Nothing like it",
    )
    assert bench_variety.phrases(answers) == [
        ("all that can be seen here is a", 2 / 5),
        ("is much that no one", 2 / 5),
    ]
    assert bench_variety.phrases(answers, most=1) == [("all that can be seen here is a", 2 / 5)]


def test_a_phrase_that_grows_into_a_listed_one_is_passed_over() -> None:
    answers = several("a b c d e f g h i", "a b c d e f g h i", "a b c d e", "a b c d e", "a b c d e")
    assert bench_variety.phrases(answers) == [("a b c d e", 1.0)]


# Draws.


def test_a_draw_has_one_turn_of_a_sample_and_cuts_the_last_answer() -> None:
    one, two, other = Turn(("p",), ("a",) * 4, 4), Turn(("q",), ("b",) * 3, 3), Turn(("r",), ("c",) * 3, 3)
    samples = [[one, two], [other]]
    for seed in range(8):
        turns = bench_variety.draw(samples, 2, random.Random(seed))
        assert sorted(turns) in ([one, other], [two, other])
        cut = bench_variety.draw_words(samples, 5, random.Random(seed))
        assert cut == [turns[0].answer, turns[1].answer[: 5 - len(turns[0].answer)]]
    assert bench_variety.least_words(samples) == 6


# The report.


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    conversation = [
        record("1", "<image>\nWhat is this?", f"{COMMON}.", "What is that?", f"{COMMON}."),
        record("2", "<image>\nWhat is this?", f"{COMMON}."),
    ]
    (folder / "conversation.json").write_text(json.dumps(conversation))
    (folder / "detail.json").write_text(json.dumps([record("1", "<image>\nDescribe it.", "word " * 50)]))
    (folder / "complex_reasoning.json").write_text("[]")
    return folder


def test_report_beside_published_answers(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = [
        {"instruction": "Who is it?", "output": "a man and a boy", "type": "conv"},
        {"instruction": "Where are they?", "output": "two people in a park", "type": "conv"},
    ]
    lines = "".join(json.dumps(line) + "\n" for line in published)
    (tmp_path / "gpt4_answers.jsonl").write_text(lines)
    out = tmp_path / "report.md"
    assert bench_variety.main(["--run", str(run), "--grounding", str(tmp_path), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert out.read_text() == printed
    conversation, detail = printed.split("\n## ")[1:]
    # Nothing of ours differs by draw but the questions.
    assert [row for row in cells_of(conversation) if "question" not in row[0]] == [
        ["", "GPT-4", "ours, 2 at a time", "ours, all"],
        ["---"] * 4,
        ["samples", "2", "", "2"],
        ["turns", "2", "", "3"],
        ["words of an answer: least, 10 %, median, 90 %, most", "5, 5, 5, 5, 5", "", "7, 7, 7, 7, 7"],
        ["commonest opening of an answer (3 words)", "50.0%: a man and", "100.0%", "100.0%: a dog sleeps"],
        ["distinct-1, 10 words", "0.800", "0.700", ""],
        ["distinct-2, 10 words", "1.000", "0.750", ""],
        ["distinct-3, 10 words", "1.000", "0.833", ""],
        # One word in five is in the other: (1 / 5 * 0.1 / 4 * 0.1 / 3 * 0.1 / 2) ** (1 / 4).
        ["self-BLEU, 2 answers", "0.054", "1.000", ""],
        ["distinct-1, 3 answers", "", "", "0.333"],
        ["distinct-2, 3 answers", "", "", "0.333"],
        ["distinct-3, 3 answers", "", "", "0.333"],
        ["self-BLEU, 3 answers", "", "", "1.000"],
        ["what it smells of", "of 3 answers"],
        ["---"] * 2,
        [COMMON, "100.0%"],
    ]
    # There are no published descriptions, and of one answer there is no self-BLEU.
    assert cells_of(detail) == [
        ["", "ours"],
        ["---"] * 2,
        ["samples", "1"],
        ["turns", "1"],
        ["words of an answer: least, 10 %, median, 90 %, most", "50, 50, 50, 50, 50"],
        ["answers under 50 words", "0.0%"],
        ["distinct questions", "1, 100.0%"],
        ["distinct openings of questions (4 words)", "1, 100.0%"],
        ["commonest question", "100.0%: describe it"],
        ["commonest opening of a question (3 words)", "100.0%: describe it"],
        ["commonest opening of an answer (3 words)", "100.0%: word word word"],
        ["distinct-1, 1 answers", "0.020"],
        ["distinct-2, 1 answers", "0.020"],
        ["distinct-3, 1 answers", "0.021"],
        ["self-BLEU, 1 answers", "–"],
        ["what it smells of", "of 1 answers"],
        ["---"] * 2,
    ]


def test_same_seed_same_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--run", str(run), "--grounding", str(run), "--sample", "2", "--seed", "5"]
    bench_variety.main(arguments)
    first = capsys.readouterr().out
    bench_variety.main(arguments)
    assert capsys.readouterr().out == first
    assert "self-BLEU, 2 answers" in first


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        bench_variety.main(["--run", str(tmp_path)])
    assert stopped.value.code == 2
    assert f"{tmp_path} has no conversation.json" in capsys.readouterr().err
