import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.dedup import Candidate, Repeat, Repeats, Settings
from datagen.records import Turn

LONG = (
    "A man in a red coat walks two small dogs past a cafe on a rainy street while people sit at the "
    "tables under the awning and a bicycle leans on the wall beside a door painted in green. "
    "Further back, three pigeons look for crumbs between the feet of a waiter who carries a tray."
)


def detail(name: str, answer: str, image: int = 0) -> Candidate:
    """A description under a question that was drawn."""
    return Candidate(name, image or image_of(name), "detail", (Turn("Describe it.", answer),), True, True)


def talk(name: str, *turns: tuple[str, str], image: int = 0) -> Candidate:
    return Candidate(name, image or image_of(name), "conversation", tuple(Turn(*turn) for turn in turns))


def image_of(name: str) -> int:
    """Another image for each name, the same in every process."""
    return int.from_bytes(name.encode(), "big")


def find(*candidates: Candidate, settings: Settings | None = None) -> list[list[Repeat]]:
    return Repeats(settings).find(candidates)


# Whole samples.


def test_the_same_said_in_another_case_and_spacing_is_a_repeat() -> None:
    assert find(detail("a", "A dog, on the left."), detail("b", "a DOG on  the left!")) == [
        [],
        [Repeat("sample", "same", "a", 1.0, None, "a DOG on the left!")],
    ]


def test_a_drawn_question_does_not_count_and_a_written_one_does() -> None:
    drawn = [
        Candidate(name, name, "detail", (Turn(question, "A dog."),), True)
        for name, question in (("a", "Describe it."), ("b", "What do you see?"))
    ]
    assert find(*drawn)[1] == [Repeat("sample", "same", "a", 1.0, None, "A dog.")]
    assert find(talk("a", ("Is it a dog?", "Yes.")), talk("b", ("Is it a cat?", "Yes."))) == [[], []]


def test_a_word_moved_from_question_to_answer_makes_another_sample() -> None:
    assert find(talk("a", ("Is it a dog?", "Yes")), talk("b", ("Is it a", "dog? Yes"))) == [[], []]


def test_samples_of_another_group_are_not_repeats() -> None:
    other = Candidate("b", 2, "brief", (Turn("Describe it.", LONG),), True, False)
    assert find(detail("a", LONG), other) == [[], []]


def test_a_near_copy_says_what_it_repeats_and_how_alike_they_are() -> None:
    # 56 words: one in the middle takes 3 of the 54 runs with it and brings 3 others.
    (_, (repeat,)) = find(detail("a", LONG), detail("b", LONG.replace("bicycle", "scooter")))
    text = LONG.replace("bicycle", "scooter")[:100] + "…"
    assert repeat == Repeat("sample", "near", "a", 51 / 57, None, text)


def test_a_threshold_can_be_changed() -> None:
    samples = detail("a", LONG), detail("b", LONG.replace("bicycle", "scooter").replace("A man", "One man"))
    assert find(*samples)[1] != []
    assert find(*samples, settings=Settings(near=0.9)) == [[], []]
    assert find(*samples, settings=Settings(near_by_group={"detail": 0.9})) == [[], []]
    assert find(*samples, settings=Settings(near=0.9, near_by_group={"detail": 0.5}))[1] != []
    assert find(*samples, settings=Settings(near_words=60)) == [[], []]


def test_short_samples_that_differ_in_a_thing_a_number_or_a_side_stay() -> None:
    samples = [
        talk(name, (f"How many {thing} are there?", f"There are {number} {thing} on the {side}."))
        for name, thing, number, side in (
            ("a", "dogs", "two", "left"),
            ("b", "cats", "two", "left"),
            ("c", "dogs", "three", "left"),
            ("d", "dogs", "two", "right"),
        )
    ]
    assert find(*samples) == [[], [], [], []]
    assert find(*samples, talk("e", *samples[3].turns))[4] == [
        Repeat("sample", "same", "d", 1.0, None, "How many dogs are there? There are two dogs on the right.")
    ]


def test_nothing_goes_for_being_like_a_sample_that_went() -> None:
    words = LONG.split()
    copy = " ".join([f"other{n}" if n % 8 == 0 else word for n, word in enumerate(words)])
    copy_of_copy = " ".join([f"other{n}" if n % 8 == 4 else word for n, word in enumerate(copy.split())])
    loose = Settings(near=0.4)
    assert [bool(found) for found in find(detail("b", copy), detail("c", copy_of_copy), settings=loose)] == [
        False,
        True,
    ]
    found = find(detail("a", LONG), detail("b", copy), detail("c", copy_of_copy), settings=loose)
    assert [bool(each) for each in found] == [False, True, False]


# Questions.


def test_a_turn_whose_question_was_asked_about_the_image_goes_alone() -> None:
    first = talk("a", ("How many dogs are there?", "Two."), image=7)
    second = talk("b", ("What is on the left?", "A cat."), ("How many dogs are in the image?", "2"), image=7)
    elsewhere = talk("c", ("How many dogs are in the image?", "Five."), image=8)
    assert find(first, second, elsewhere) == [
        [],
        [Repeat("question", "near", "a", 4 / 8, 1, "How many dogs are in the image?")],
        [],
    ]


def test_questions_are_compared_across_groups() -> None:
    first = talk("a", ("Why is it wet?", "It rained."), image=7)
    second = Candidate("b", 7, "complex_reasoning", (Turn("Why is it wet?", "It may have rained."),))
    assert find(first, second)[1] == [Repeat("question", "same", "a", 1.0, None, "Why is it wet?")]


def test_a_sample_goes_where_all_its_questions_were_asked() -> None:
    first = talk("a", ("Is there a dog?", "Yes."), ("Is there a cat?", "No."), image=7)
    second = talk("b", ("Is there a cat?", "No, none."), ("Is there a dog?", "Yes, one."), image=7)
    assert find(first, second)[1] == [
        Repeat("question", "same", "a", 1.0, None, "Is there a cat?"),
        Repeat("question", "same", "a", 1.0, None, "Is there a dog?"),
    ]


def test_a_copy_of_a_sample_is_called_so_and_not_a_row_of_questions() -> None:
    turns = [("Is there a dog?", "Yes."), ("Is there a cat?", "No.")]
    found = find(talk("a", *turns, image=7), talk("b", *turns, image=7))
    assert found[1] == [Repeat("sample", "same", "a", 1.0, None, "Is there a dog? Yes. Is there a cat? No.")]


def test_a_question_asked_twice_in_a_sample_names_the_sample_itself() -> None:
    sample = talk(
        "a", ("Is there a dog?", "Yes."), ("Where is the dog?", "Left."), ("is there a dog", "Yes.")
    )
    assert find(sample) == [[Repeat("question", "same", "a", 1.0, 2, "is there a dog")]]


def test_what_is_left_of_a_sample_is_compared_in_its_turn() -> None:
    first = talk("a", ("What is on the left?", "A dog."), image=7)
    second = talk("b", ("Is there a cat?", "No."), image=8)
    third = talk("c", ("Is there a cat?", "No."), ("What is on the left?", "A dog."), image=7)
    assert find(first, second, third)[2] == [Repeat("sample", "same", "b", 1.0, None, "Is there a cat? No.")]


def test_the_questions_of_a_sample_that_went_may_be_asked_again() -> None:
    first = talk("a", ("Is there a dog?", "Yes."), image=7)
    copy = talk("b", ("Is there a dog?", "Yes."), image=8)
    later = talk("c", ("Is there a dog?", "Yes, a brown one."), image=8)
    assert find(first, copy, later)[2] == []


# Openings.


def test_a_description_that_opens_as_another_does_is_a_repeat() -> None:
    opening = "A man rides a wave on a white surfboard."
    found = find(detail("a", f"{opening} He is wet."), detail("b", f"{opening.upper()} Two gulls fly past."))
    assert found == [[], [Repeat("opening", "same", "a", 1.0, None, opening.upper())]]


def test_short_openings_and_openings_about_another_thing_stay() -> None:
    short = [detail(name, f"The image shows a kitchen. {name}") for name in "ab"]
    assert find(*short) == [[], []]
    frame = "In the middle of the image a large brown {} stands on wet grass next to a wooden fence. {}"
    assert find(detail("a", frame.format("dog", "x")), detail("b", frame.format("cow", "y"))) == [[], []]


def test_long_openings_that_differ_at_an_end_are_near() -> None:
    opening = " ".join(f"word{n}" for n in range(24))
    found = find(detail("a", f"{opening}. One."), detail("b", f"Here {opening}. Two."))
    assert found[1] == [Repeat("opening", "near", "a", 22 / 23, None, f"Here {opening}."[:100] + "…")]


def test_only_descriptions_have_openings() -> None:
    opening = "A man rides a wave on a white surfboard."
    samples = [talk(name, (f"What is in {name}?", f"{opening} {name}")) for name in "ab"]
    assert find(*samples) == [[], []]


# Meaning.


def test_samples_that_mean_the_same_are_repeats_where_they_can_be_embedded() -> None:
    rows = {"A": [1, 0], "O": [0.96, 0.28], "S": [0, 1]}
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        asked.extend(texts)
        return np.array([rows[text[0]] for text in texts], dtype=np.float32)

    other = "Other words " + " ".join(f"say{n}" for n in range(30))
    third = "Something else " + " ".join(f"see{n}" for n in range(30))
    samples = [detail("a", LONG), detail("b", other), detail("c", third), detail("d", "Alike, but short.")]
    repeats = Repeats(Settings(meaning=0.95), embed)
    found = [*repeats.find(samples[:1]), *repeats.find(samples[1:])]
    assert found == [
        [],
        [Repeat("sample", "meaning", "a", found[1][0].likeness, None, other[:100] + "…")],
        [],
        [],
    ]
    assert found[1][0].likeness == pytest.approx(0.96)
    assert asked == [LONG, other, third]
    assert Repeats(Settings(meaning=0.97), embed).find(samples) == [[], [], [], []]


# The rule.

NOUNS = ["dog", "cat", "bus", "tree", "man", "boat"]


def made(seed: int) -> Candidate:
    """A sample out of so few words that many repeat each other in one way or another."""
    rng = random.Random(seed)
    name, image = f"{seed:08d}", rng.randrange(4)
    if rng.random() < 0.4:
        words = [f"{rng.choice(NOUNS)}{rng.choice('ab')}" for _ in range(40)]
        base = [f"word{rng.randrange(3)}-{n}" for n in range(40)]
        text = " ".join(rng.choice(pair) for pair in zip(base, words, strict=True))
        return Candidate(name, image, "detail", (Turn("Describe it.", f"{text[:60]}. {text}"),), True, True)
    questions = ["Is there a {}?", "Where is the {}?", "How many {}s are there?", "What color is it?"]
    turns = [
        Turn(rng.choice(questions).format(rng.choice(NOUNS)), f"A {rng.choice(NOUNS)}.")
        for _ in range(rng.randint(1, 5))
    ]
    return Candidate(name, image, "conversation", tuple(turns))


def outcome(candidates: Sequence[Candidate], chunk: int) -> dict[str, list[Repeat]]:
    """By id, shown in the order of ids."""
    repeats = Repeats()
    ordered = sorted(candidates, key=lambda one: one.id)
    found = [
        each
        for start in range(0, len(ordered), chunk)
        for each in repeats.find(ordered[start : start + chunk])
    ]
    return {one.id: each for one, each in zip(ordered, found, strict=True)}


SEEDS = st.lists(st.integers(0, 10**7), min_size=1, max_size=80, unique=True)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.randoms(use_true_random=False), st.integers(1, 90), st.integers(1, 90))
def test_what_stays_depends_neither_on_the_order_of_arrival_nor_on_chunks(
    seeds: list[int], rng: random.Random, one: int, other: int
) -> None:
    candidates = [made(seed) for seed in seeds]
    shuffled = rng.sample(candidates, len(candidates))
    assert outcome(candidates, one) == outcome(shuffled, other)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_what_stays_holds_no_repeat(seeds: list[int]) -> None:
    candidates = [made(seed) for seed in seeds]
    found = outcome(candidates, 16)
    left = []
    for candidate in candidates:
        gone = {repeat.turn for repeat in found[candidate.id]}
        if None not in gone:
            turns = tuple(turn for n, turn in enumerate(candidate.turns) if n not in gone)
            left.append(
                Candidate(
                    candidate.id,
                    candidate.image,
                    candidate.group,
                    turns,
                    candidate.question_is_drawn,
                    candidate.is_description,
                )
            )
    assert set(map(len, outcome(left, 16).values())) <= {0}


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_what_is_named_is_a_sample_that_stays(seeds: list[int]) -> None:
    found = outcome([made(seed) for seed in seeds], 16)
    gone = {name for name, repeats in found.items() if any(repeat.turn is None for repeat in repeats)}
    assert {repeat.of for repeats in found.values() for repeat in repeats} & gone == set()


@given(st.lists(st.text(st.characters(), max_size=40), min_size=2, max_size=8))
def test_any_text_can_be_compared(texts: list[str]) -> None:
    samples = [
        Candidate(str(n), text, "conversation", (Turn(text, texts[0]),), is_description=True)
        for n, text in enumerate(texts)
    ]
    assert len(find(*samples)) == len(samples)


def test_thresholds_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="near must be above 0 and at most 1, got 0"):
        Settings(near=0)
    with pytest.raises(ValueError, match=r"near of detail must be above 0 and at most 1, got 1\.2"):
        Settings(near_by_group={"detail": 1.2})
    with pytest.raises(ValueError, match="near_words must be at least 0, got -1"):
        Settings(near_words=-1)


def test_a_copy_of_a_sample_that_lost_a_turn_is_found_in_the_same_chunk() -> None:
    long = " ".join(f"word{n}" for n in range(40))
    samples = [
        Candidate("a", 1, "conversation", (Turn("Any cats?", "No cats."),)),
        Candidate("b", 1, "conversation", (Turn("What goes on?", long), Turn("Any cats?", "No."))),
        Candidate("c", 2, "conversation", (Turn("What goes on?", f"{long} indeed"),)),
    ]
    together = Repeats().find(samples)
    one_by_one = Repeats()
    assert together == [one_by_one.find([sample])[0] for sample in samples]
    assert [[(repeat.of, repeat.turn) for repeat in found] for found in together] == [
        [],
        [("a", 1)],
        [("b", None)],
    ]
