"""Noun phrases by rule, and LLaVA's concept-balanced filter."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.concepts import FREQUENT, RARE, balance, noun_phrases


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("A man riding a horse on the beach.", ["man", "horse", "beach"]),
        ("The two brown dogs chase a small red ball", ["brown dogs chase", "small red ball"]),
        ("a parked car next to an abandoned house", ["parked car", "abandoned house"]),
        ("Laptop computer sitting on a wooden dining table", ["laptop computer", "wooden dining table"]),
        ("a woman dressed in white holds an umbrella", ["woman", "white", "umbrella"]),
        ("three swimming pools in front of the building", ["swimming pools", "building"]),
        ("A group of people standing around", ["people"]),
        ("a dog that has a ball", ["dog", "ball"]),
        ("the stand of a happily married couple", ["stand"]),
        ("dog's bowl, cat-food; 12 MUGS", ["dog's bowl", "cat-food", "mugs"]),
        ("Ein Café am Fluß", ["ein cafe am fluß"]),
        ("nike air max black white mens shoes", []),
        ("", []),
    ],
)
def test_noun_phrases(caption: str, phrases: list[str]) -> None:
    assert list(noun_phrases(caption)) == phrases


def test_what_is_rare_decides_nothing_and_what_is_frequent_is_capped() -> None:
    captions = [f"a dog on {place}" for place in ["grass"] * 150 + ["sand"] * RARE + ["snow"] * (RARE - 1)]
    captions += ["a unicorn", "hello there, is it"]
    keys = [str(number) for number in range(len(captions))]
    balanced = balance(captions, keys, seed=0)
    assert balanced.phrases == 6  # dog, grass, sand, snow, unicorn, hello
    assert balanced.phrases_used == 3  # dog, grass, sand
    assert balanced.rare == [len(captions) - 2, len(captions) - 1]
    chosen = Counter(captions[at] for at in balanced.chosen)
    assert chosen["a dog on sand"] == RARE
    assert chosen["a unicorn"] == 0
    # A hundred for grass, and a hundred drawn apart from those for dog.
    assert FREQUENT <= chosen["a dog on grass"] < 150
    assert balance(captions, keys, seed=1).chosen != balanced.chosen


@given(
    st.lists(st.sampled_from(["a dog", "a cat", "a dog and a cat", "a bird", "it is"]), max_size=30),
    st.randoms(),
)
def test_the_order_of_a_list_decides_nothing(captions: list[str], random: Random) -> None:
    keyed = [(caption, str(number)) for number, caption in enumerate(captions)]
    shuffled = random.sample(keyed, len(keyed))
    results = []
    for pairs in (keyed, shuffled):
        balanced = balance([caption for caption, _ in pairs], [key for _, key in pairs], seed=3)
        results.append({pairs[at] for at in balanced.chosen})
        # Every caption with a phrase that is counted often enough is kept, as none is too frequent here.
        counts = Counter(phrase for caption, _ in pairs for phrase in noun_phrases(caption))
        expected = {pair for pair in pairs if any(counts[p] >= RARE for p in noun_phrases(pair[0]))}
        assert results[-1] == expected
    assert results[0] == results[1]
