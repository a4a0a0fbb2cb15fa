"""How varied a generated set is, beside answers that GPT-4 wrote for LLaVA, by response type.

    python bench/bench_variety.py --run DIR [--grounding DIR] [--sample 1000] [--seed 0] [--out FILE]

Reads conversation.json, detail.json and complex_reasoning.json of a run's folder, whichever are there,
and gpt4_answers.jsonl (15 published answers of each type) of the `--grounding` folder; without it the
set is reported alone. Prints a report as Markdown, and writes it to --out if that is given.

A word is a run of letters a to z, digits and apostrophes, in lower case, so the figures are for sets in
English. Only the lengths of answers are counted between spaces, as packs and run reports count them.

Most figures depend on how much they are taken of. So ours are also taken of draws as large as GPT-4's
side: the mean of 50 draws, and in brackets from where to where nine in ten of them lie. A draw has one
turn of a sample, as GPT-4's side has. On an equal number of samples:

- distinct questions, and distinct openings: the first four words of a question.
- commonest question, question opening and answer opening (first three words): the share it takes.
- self-BLEU (Zhu et al. 2018, arXiv:1802.01886): the mean BLEU-4 of an answer against all others as its
  references; 1 where each answer is a copy of another, 0 where none share a word.

On an equal number of words, the last answer cut short:

- distinct-n: distinct n-grams over all n-grams (Li et al. 2016, arXiv:1510.03055); none runs from one
  answer into the next.

Last, what the set smells of: the commonest runs of five words, each with the share of all answers (of
20,000 at most) that have it. A run is made longer while nine in ten of those answers go on alike, and
passed over where it has four words in a row of one already listed.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

ROOT = Path(__file__).resolve().parent.parent
GROUNDING = ROOT.parent / "shared" / "data" / "grounding"
PUBLISHED_TYPES = {"conversation": "conv", "detail": "detail", "complex_reasoning": "complex"}
DRAWS = 50
FEW_WORDS = 50
"""The coco pack wants at least as many in a description."""
OPENING = 4
COMMON_OPENING = 3
LONGEST_GRAM = 4
PHRASE = 5
PHRASES = 8
PHRASE_ANSWERS = 20_000
GOES_ON = 0.9

Words = tuple[str, ...]
T = TypeVar("T")
Number = TypeVar("Number", int, float)


class Turn(NamedTuple):
    question: Words
    answer: Words
    length: int
    """Of the answer, in words between spaces."""


Sample = Sequence[Turn]


# Reading.


def words(text: str) -> Words:
    """In lower case; a curly apostrophe is as good as a straight one."""
    return tuple(re.findall(r"[a-z0-9']+", text.lower().replace("’", "'")))


def turn(question: str, answer: str) -> Turn:
    return Turn(words(question.replace("<image>", "")), words(answer), len(answer.split()))


def read_run(folder: Path) -> dict[str, list[Sample]]:
    """A run's samples by response type; a type without a file is left out."""
    found: dict[str, list[Sample]] = {}
    for response_type in PUBLISHED_TYPES:
        path = folder / f"{response_type}.json"
        if path.exists():
            records = json.loads(path.read_bytes())
            said = [[message["value"] for message in record["conversations"]] for record in records]
            found[response_type] = [
                [turn(question, answer) for question, answer in zip(each[::2], each[1::2], strict=True)]
                for each in said
            ]
    return found


def read_published(folder: Path) -> dict[str, list[Sample]]:
    """GPT-4's answers, each a sample of one turn, by response type; nothing where there are none."""
    path = folder / "gpt4_answers.jsonl"
    if not path.exists():
        return {}
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {
        response_type: [
            [turn(record["instruction"], record["output"])] for record in records if record["type"] == theirs
        ]
        for response_type, theirs in PUBLISHED_TYPES.items()
    }


# The measures.


def quantile(values: Collection[Number], share: float) -> Number:
    """The least value that this share of all are no greater than."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def commonest(items: Iterable[Words]) -> tuple[str, float]:
    """What there is most of, and its share; of several, the first in the order of their words."""
    counts = Counter(items)
    best = min(counts, key=lambda item: (-counts[item], item))
    return " ".join(best), counts[best] / counts.total()


def distinct_share(items: Collection[T]) -> float:
    return len(set(items)) / len(items)


def grams(of: Words, n: int) -> Iterator[Words]:
    return zip(*(of[start:] for start in range(n)), strict=False)


def distinct_n(answers: Iterable[Words], n: int) -> float:
    """Not a number where no answer has n words."""
    found = [gram for answer in answers for gram in grams(answer, n)]
    return distinct_share(found) if found else math.nan


def self_bleu(answers: Sequence[Words]) -> float:
    """The mean BLEU-4 of the answers (Papineni et al. 2002), each against all others.

    As Texygen and nltk's `method1` have it, a length of n-gram with no match counts as a tenth of a
    match. An answer of one to three words is judged by those lengths of n-gram it has, as sacrebleu's
    `effective_order` has it, so that it too can be a full match. Not a number for fewer than two.
    """
    if len(answers) < 2:
        return math.nan
    # For each n-gram the most that one answer has, which answer that is, and the most that another has:
    # enough to clip each answer by all others without going through them.
    most: dict[Words, tuple[int, int, int]] = {}
    for number, answer in enumerate(answers):
        for n in range(1, LONGEST_GRAM + 1):
            for gram, count in Counter(grams(answer, n)).items():
                first, holder, second = most.get(gram, (0, -1, 0))
                if count > first:
                    most[gram] = count, number, first
                elif count > second:
                    most[gram] = first, holder, count
    lengths = Counter(map(len, answers))

    def bleu(number: int, answer: Words) -> float:
        logs = []
        for n in range(1, min(LONGEST_GRAM, len(answer)) + 1):
            matches = 0
            for gram, count in Counter(grams(answer, n)).items():
                first, holder, second = most[gram]
                matches += min(count, second if holder == number else first)
            if n == 1 and not matches:
                return 0.0
            logs.append(math.log((matches or 0.1) / (len(answer) - n + 1)))
        if not logs:
            return 0.0
        others = (length for length, count in lengths.items() if length != len(answer) or count > 1)
        closest = min(others, key=lambda length: (abs(length - len(answer)), length))
        return math.exp(statistics.fmean(logs) + min(0.0, 1 - closest / len(answer)))

    return statistics.fmean(bleu(number, answer) for number, answer in enumerate(answers))


def phrases(answers: Sequence[Words], most: int = PHRASES) -> list[tuple[str, float]]:
    """The commonest runs of words that more than one answer has, and the share of answers with each."""
    counts = Counter(gram for answer in answers for gram in set(grams(answer, PHRASE)))
    texts = [f" {' '.join(answer)} " for answer in answers]
    listed: list[tuple[str, float]] = []
    covered: set[Words] = set()
    for gram, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(listed) == most or count == 1:
            break
        if not covered.isdisjoint(grams(gram, PHRASE - 1)):
            continue
        phrase, having = _extended(" ".join(gram), texts)
        inside = set(grams(tuple(phrase.split()), PHRASE - 1))
        # What is beside a listed phrase may grow into it.
        if covered.isdisjoint(inside):
            listed.append((phrase, having / len(answers)))
        covered |= inside
    return sorted(listed, key=lambda item: (-item[1], item[0]))


def _extended(phrase: str, texts: Sequence[str]) -> tuple[str, int]:
    """A phrase with what nearly all texts that have it go on with, and how many have it all."""
    texts = [text for text in texts if f" {phrase} " in text]
    enough = GOES_ON * len(texts)
    is_growing = True
    while is_growing:
        is_growing = False
        for is_after in (True, False):
            parts = [text.partition(f" {phrase} ") for text in texts]
            sides = [after.split()[:1] if is_after else before.split()[-1:] for before, _, after in parts]
            found = Counter(side[0] for side in sides if side).most_common(1)
            if found and found[0][1] >= enough:
                phrase = f"{phrase} {found[0][0]}" if is_after else f"{found[0][0]} {phrase}"
                texts = [text for text in texts if f" {phrase} " in text]
                is_growing = True
    return phrase, len(texts)


# Draws: a turn of each of some samples.


def draw(samples: Sequence[Sample], size: int, rng: random.Random) -> list[Turn]:
    return [rng.choice(sample) for sample in rng.sample(samples, size)]


def draw_words(samples: Sequence[Sample], size: int, rng: random.Random) -> list[Words]:
    """Answers that have so many words between them, the last one cut short."""
    drawn: list[Words] = []
    for each in draw(samples, len(samples), rng):
        drawn.append(each.answer[:size])
        size -= len(drawn[-1])
        if not size:
            break
    return drawn


def least_words(samples: Sequence[Sample]) -> int:
    """As many as any draw of all samples has."""
    return sum(min(len(each.answer) for each in sample) for sample in samples)


# The report.

Part = Callable[[Turn], Words]
DISTINCT: dict[str, Part] = {
    "distinct questions": lambda each: each.question,
    f"distinct openings of questions ({OPENING} words)": lambda each: each.question[:OPENING],
}
COMMONEST: dict[str, Part] = {
    "commonest question": lambda each: each.question,
    f"commonest opening of a question ({COMMON_OPENING} words)": lambda each: each.question[:COMMON_OPENING],
    f"commonest opening of an answer ({COMMON_OPENING} words)": lambda each: each.answer[:COMMON_OPENING],
}


class Row(NamedTuple):
    label: str
    theirs: str
    drawn: str
    """Ours, taken of draws as large as their side."""
    ours: str


def percent(value: float) -> str:
    return f"{value:.1%}"


def figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    """The mean, and where nine in ten of the values lie unless all are alike."""
    if not values:
        return ""
    low, high = shown(quantile(values, 0.05)), shown(quantile(values, 0.95))
    middle = shown(statistics.fmean(values))
    return middle if low == high else f"{middle} ({low} to {high})"


def lengths(turns: Sequence[Turn]) -> str:
    counts = [each.length for each in turns]
    return ", ".join(f"{quantile(counts, part):,}" for part in (0, 0.1, 0.5, 0.9, 1))


def short_answers(turns: Sequence[Turn]) -> str:
    return percent(sum(each.length < FEW_WORDS for each in turns) / len(turns))


def distinct_items(turns: Sequence[Turn], of: Part) -> str:
    items = [of(each) for each in turns]
    return f"{len(set(items)):,}, {percent(distinct_share(items))}"


def commonest_item(turns: Sequence[Turn], of: Part) -> str:
    text, part = commonest(of(each) for each in turns)
    return f"{percent(part)}: {text}"


def rows(
    response_type: str,
    ours: Sequence[Sample],
    theirs: Sequence[Sample],
    sample_size: int,
    rng: random.Random,
) -> Iterator[Row]:
    """Without their side, only the last column says anything."""
    our_turns, their_turns = ([each for sample in side for each in sample] for side in (ours, theirs))
    # Before any draw beside their side, so that it is the same sample without it.
    answers = [each.answer for each in rng.sample(our_turns, min(sample_size, len(our_turns)))]

    def both(label: str, of: Callable[[Sequence[Turn]], str], drawn: str = "") -> Row:
        return Row(label, of(their_turns) if theirs else "", drawn, of(our_turns))

    yield Row("samples", f"{len(theirs):,}", "", f"{len(ours):,}")
    yield both("turns", lambda turns: f"{len(turns):,}")
    yield both("words of an answer: least, 10 %, median, 90 %, most", lengths)
    if response_type == "detail":
        yield both(f"answers under {FEW_WORDS} words", short_answers)

    size = min(len(ours), len(theirs))
    draws = [draw(ours, size, rng) for _ in range(DRAWS)] if theirs else []
    for label, of in DISTINCT.items():
        shares = [distinct_share([of(each) for each in turns]) for turns in draws]
        yield both(label, partial(distinct_items, of=of), spread(shares, percent))
    for label, of in COMMONEST.items():
        shares = [commonest(of(each) for each in turns)[1] for turns in draws]
        yield both(label, partial(commonest_item, of=of), spread(shares, percent))

    if theirs:
        most = min(least_words(ours), least_words(theirs))
        cut = [[draw_words(side, most, rng) for _ in range(DRAWS)] for side in (theirs, ours)]
        for n in (1, 2, 3):
            their_figure, our_figure = (
                spread([distinct_n(answers, n) for answers in side], figure) for side in cut
            )
            yield Row(f"distinct-{n}, {most:,} words", their_figure, our_figure, "")
        their_draws = [draw(theirs, size, rng) for _ in range(DRAWS)]
        their_figure, our_figure = (
            spread([self_bleu([each.answer for each in turns]) for turns in side], figure)
            for side in (their_draws, draws)
        )
        yield Row(f"self-BLEU, {size:,} answers", their_figure, our_figure, "")

    for n in (1, 2, 3):
        yield Row(f"distinct-{n}, {len(answers):,} answers", "", "", figure(distinct_n(answers, n)))
    yield Row(f"self-BLEU, {len(answers):,} answers", "", "", figure(self_bleu(answers)))


def report(options: argparse.Namespace) -> Iterator[str]:
    published = read_published(options.grounding)
    yield "# Variety\n"
    yield "`python bench/bench_variety.py`: what is measured and how, its docstring says."
    for response_type, ours in read_run(options.run).items():
        if not ours:
            continue
        theirs = published.get(response_type, [])
        rng = random.Random(f"{options.seed} {response_type}")
        yield f"\n## {response_type}\n"
        size = min(len(ours), len(theirs))
        columns = ("GPT-4", f"ours, {size} at a time", "ours, all") if theirs else ("ours",)
        yield f"| | {' | '.join(columns)} |"
        yield "|---|" + "---|" * len(columns)
        for label, *cells in rows(response_type, ours, theirs, options.sample, rng):
            if theirs or cells[-1]:
                yield f"| {label} | {' | '.join(cells if theirs else cells[-1:])} |"
        answers = [each.answer for sample in ours for each in sample]
        answers = rng.sample(answers, min(PHRASE_ANSWERS, len(answers)))
        yield f"\n| what it smells of | of {len(answers):,} answers |\n|---|---|"
        for phrase, part in phrases(answers):
            yield f"| {phrase} | {percent(part)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder that a run wrote")
    parser.add_argument("--grounding", type=Path, default=GROUNDING, help="folder with gpt4_answers.jsonl")
    parser.add_argument(
        "--sample", type=int, default=1000, help="answers for our own figures (default: 1000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    parser.add_argument("--out", type=Path, help="write the report there as well")
    options = parser.parse_args(arguments)
    if not any((options.run / f"{name}.json").exists() for name in PUBLISHED_TYPES):
        parser.error(f"--run: {options.run} has no {', '.join(f'{name}.json' for name in PUBLISHED_TYPES)}")
    lines = []
    for line in report(options):
        print(line, flush=True)
        lines.append(line)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
