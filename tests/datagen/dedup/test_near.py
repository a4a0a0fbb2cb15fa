import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.dedup import NearCopies
from datagen.dedup.near import NearCopy

ROOT = Path(__file__).resolve().parents[3]
WORDS = [f"w{n}" for n in range(5000)]


def text(seed: int, length: int = 90) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def edited(original: str, seed: int, edits: int) -> str:
    rng = random.Random(seed)
    words = original.split()
    for place in rng.sample(range(len(words)), edits):
        words[place] = f"new{rng.randrange(10**6)}"
    return " ".join(words)


def shingles(words: str) -> set[tuple[str, ...]]:
    parts = words.split()
    return {tuple(parts[n : n + 3]) for n in range(len(parts) - 2)}


def jaccard(one: str, other: str) -> float:
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


def found_in(
    texts: list[str],
    threshold: float = 0.45,
    least: int = 10,
    chunk: int = 7,
    groups: list[str] | None = None,
) -> list[NearCopy | None]:
    """What each repeats, where what repeats nothing is kept under its place."""
    copies = NearCopies(threshold, least)
    found: list[NearCopy | None] = []
    groups = groups or ["a"] * len(texts)
    for start in range(0, len(texts), chunk):
        batch = copies.look_up(groups[start : start + chunk], texts[start : start + chunk])
        for n in range(len(texts[start : start + chunk])):
            found.append(copies.nearest(batch, n))
            if found[-1] is None:
                copies.keep(batch, n, start + n)
    return found


def test_a_copy_names_its_original_and_their_exact_likeness() -> None:
    texts = [text(n) for n in range(30)]
    copy = edited(texts[12], 1, 9)
    assert found_in([*texts, copy]) == [None] * 30 + [NearCopy(12, jaccard(texts[12], copy))]


def test_the_most_alike_is_named_and_of_equals_the_first() -> None:
    original = text(1)
    near, nearer = edited(original, 2, 18), edited(original, 3, 10)
    assert jaccard(near, nearer) < 0.25 < jaccard(near, original) < jaccard(nearer, original)
    found = found_in([near, nearer, original], threshold=0.25, chunk=1)
    assert found == [None, None, NearCopy(1, jaccard(nearer, original))]
    # Two that are as alike to a third: each lacks a half of it.
    halves = [" ".join(original.split()[:45]), " ".join(original.split()[45:])]
    assert found_in([*halves, original], threshold=0.4) == [None, None, NearCopy(0, 43 / 88)]


def test_what_was_dropped_is_not_compared_with() -> None:
    original = text(1)
    copy = edited(original, 2, 10)
    copy_of_copy = edited(copy, 3, 10)
    assert jaccard(original, copy_of_copy) < 0.45 < jaccard(copy, copy_of_copy)
    assert found_in([original, copy, copy_of_copy])[2] is None
    assert found_in([copy, copy_of_copy])[1] == NearCopy(0, jaccard(copy, copy_of_copy))


def test_only_texts_of_one_group_are_alike() -> None:
    assert found_in([text(1), text(1)], groups=["a", "b"]) == [None, None]


def test_texts_too_short_are_not_compared() -> None:
    assert found_in([text(1, 9), text(1, 9), ""], least=10) == [None, None, None]
    assert found_in([text(1, 10), text(1, 10)], least=10) == [None, NearCopy(0, 1.0)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60), st.integers(1, 70), st.integers(1, 70))
def test_what_is_found_does_not_depend_on_how_texts_are_cut_into_batches(
    seeds: list[int], one: int, other: int
) -> None:
    texts = [edited(text(seed % 3), seed, seed % 30) for seed in seeds]
    assert found_in(texts, chunk=one) == found_in(texts, chunk=other)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
def test_every_copy_is_verified(seeds: list[int]) -> None:
    texts = [edited(text(seed % 3), seed, seed % 30) for seed in seeds]
    for place, found in enumerate(found_in(texts)):
        if found:
            assert found.likeness == jaccard(texts[place], texts[found.of]) >= 0.45


def test_planted_copies_are_found_and_nothing_else() -> None:
    """More texts than the index has room for at first; copies with 1 % and 10 % of the words changed."""
    texts = [text(n) for n in range(1500)]
    planted = {1500 + n: n * 7 for n in range(200)}
    for place, original in planted.items():
        texts.append(edited(texts[original], place, 9 if place % 2 else 1))
    found = found_in(texts, chunk=512)
    assert [place for place in range(1500) if found[place]] == []
    named = {place: copy.of for place in planted if (copy := found[place])}
    assert all(planted[place] == of for place, of in named.items())
    assert len(named) >= 0.97 * len(planted)


def test_phrases_that_all_texts_share_do_not_hide_copies() -> None:
    """Bands that hundreds have are not looked through any more; a text's own still find its copies."""
    frame = text(0, 40)
    texts = [f"{frame} {text(n, 60)}" for n in range(1, 400)]
    copies = [edited(texts[n], n, 5) for n in range(0, 400, 8)]
    found = found_in([*texts, *copies], threshold=0.5, chunk=100)
    assert found[:399] == [None] * 399
    assert [copy.of if copy else None for copy in found[399:]] == list(range(0, 400, 8))


@pytest.mark.parametrize("seed", ["0", "1"])
def test_another_process_finds_the_same(seed: str) -> None:
    code = (
        "from tests.datagen.dedup.test_near import *\n"
        "print(found_in([edited(text(n % 5), n, n % 20) for n in range(60)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(found_in([edited(text(n % 5), n, n % 20) for n in range(60)]))
