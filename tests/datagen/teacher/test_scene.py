"""Facts are told only of what every caption means by "the man", and in whole sentences."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.teacher.programmatic.captions import Sentence, sentence_from
from datagen.teacher.programmatic.scene import Told, additions, agreeing, opening, told_by


def read(*captions: str) -> tuple[Sentence, ...]:
    return tuple(sentence_from(caption, frozenset()) for caption in captions)


def told(*captions: str) -> list[tuple[str, str, str, tuple[int, ...]]]:
    return [(fact.kind, fact.head, fact.words, fact.captions) for fact in told_by(read(*captions))]


def added(*captions: str) -> list[str]:
    """What is added to the first."""
    return [sentence for sentence, _ in additions(read(*captions), 0)]


# What is told


def test_a_fact_names_every_caption_that_says_it_and_the_best_supported_comes_first() -> None:
    captions = read(
        "A man rides a wave on a surfboard.",
        "A man in a black wetsuit riding a wave.",
        "A surfer is riding a large wave.",
    )
    assert told_by(captions) == (
        Told("doing", "man", False, "riding a wave", "riding", (1, 0, 2)),
        Told("doing", "man", False, "riding a wave on a surfboard", "riding", (0,)),
        Told("doing", "surfer", False, "riding a large wave", "riding", (2,)),
        Told("wearing", "man", False, "a black wetsuit", "", (1,)),
    )


def test_every_kind_of_fact_is_read() -> None:
    assert told("A girl is wearing a red hat.") == [("wearing", "girl", "a red hat", (0,))]
    assert told("A boy holds a baseball bat in his hands.") == [("holding", "boy", "a baseball bat", (0,))]
    assert told("A train parked at the platform.") == [("state", "train", "parked at the platform", (0,))]
    assert told("A plate with a sandwich and fries on it.") == [
        ("with", "plate", "with a sandwich and fries on it", (0,))
    ]
    assert told("Two black dogs.") == [("attribute", "dogs", "black", (0,))]
    assert told("A cat on a couch.") == [("place", "cat", "on a couch", (0,))]
    assert told("Three zebras walk across a field.") == [
        ("doing", "zebras", "walking across a field", (0,)),
        ("place", "scene", "in a field", (0,)),
    ]


def test_a_phrase_is_cut_before_another_clause_begins() -> None:
    assert told("A man in a suit fixes his tie.") == [
        ("wearing", "man", "a suit", (0,)),
        ("doing", "man", "fixing his tie", (0,)),
    ]
    assert told("A dog is sitting on a bench while people walk by.") == [
        ("doing", "dog", "sitting on a bench", (0,))
    ]
    assert told("A man sits on a bench and reads a book.") == [("doing", "man", "sitting on a bench", (0,))]
    assert told("A cat sleeping on a bed with its mouth hanging open.") == [
        ("doing", "cat", "sleeping on a bed", (0,))
    ]


def test_what_would_be_broken_or_of_somebody_else_is_not_told() -> None:
    # No article, no end, an unknown verb, a person with what another does, a slip of the pen.
    assert told("Man riding skateboard on street.") == []
    assert told("A man is looking at the.") == []
    assert told("A woman holding a dog zigzags.") == []
    assert told("A kitchen with a man cooking.") == []
    assert told("A man and a dog are standing on a beach.", "A dog runs.")[0][1] == "scene"
    assert told("A man is sitting on a bnech.") == []


def test_a_compound_is_not_the_thing_that_its_words_name() -> None:
    assert told("A hot dog stand with a red roof.", "An orange train station.", "A bus stop sign.") == []
    assert told("A man is wearing an orange shirt.", "A man eats an orange.") == [
        ("wearing", "man", "an orange shirt", (0,)),
        ("doing", "man", "eating an orange", (1,)),
    ]
    assert told("A couple of dogs sitting on a bench.", "A couple posing.") == [
        ("doing", "dogs", "sitting on a bench", (0,))
    ]


def test_nothing_is_told_of_a_man_who_may_be_another() -> None:
    assert told("Two men playing frisbee.", "A man in a red shirt throws a frisbee.") == []
    assert told("A man sits next to another man.", "A man is holding a cup.") == []
    assert told("A man is holding a cup.", "A boy and his friend eat pizza.") == []
    assert told("A man standing on a court.", "A baby wearing a hat.") == []
    assert told("A man is holding a cup.", "A crowd watching.") == []
    assert told("A dog chases another dog.", "A dog is lying on a couch.") == []


def test_of_a_man_and_a_woman_each_is_clear() -> None:
    captions = (
        "A man and a woman sitting on a couch.",
        "A man holding a glass next to a woman.",
        "The woman is wearing a red dress.",
    )
    assert told(*captions) == [("holding", "man", "a glass", (1,)), ("wearing", "woman", "a red dress", (2,))]
    assert added(*captions) == ["The man is holding a glass.", "The woman is wearing a red dress."]


def test_what_as_many_captions_contradict_is_not_told() -> None:
    # Colours, boards, stances, and how many there are.
    assert told("A red bus.", "A blue bus.") == []
    assert told("A red, white and blue bus.", "A red bus.") == []
    assert told("A man riding a surfboard.", "A man riding a snowboard.") == []
    assert told("A dog sitting on a bed.", "A dog standing on a bed.") == []
    assert told("A man feeding some horses.", "A man feeding a horse.") == []


# Which captions agree


def test_the_fewer_of_captions_that_contradict_each_other_are_dropped() -> None:
    captions = read("Two dogs playing.", "Three dogs running.", "Two dogs in the grass.")
    assert agreeing(captions) == (captions[0], captions[2])
    captions = read("A black cat on a bed.", "A gray cat on a bed.", "A black cat sleeping.")
    assert agreeing(captions) == (captions[0], captions[2])
    captions = read("A kitchen with a stove.", "A white kitchen.", "A dog in a field.")
    assert agreeing(captions) == captions[:2]
    captions = read("A woman with a hat.", "A man with a hat.", "A man in a hat.")
    assert agreeing(captions) == captions[1:]


def test_captions_that_do_not_contradict_each_other_all_stay() -> None:
    captions = read("A dog.", "Two dogs playing.", "A white plate and a red plate.", "A person in a field.")
    assert agreeing(captions) == captions
    assert agreeing(()) == ()


# What a description is made of


def test_a_description_opens_with_the_caption_that_shares_most_with_the_others() -> None:
    captions = read(
        "A cat.",
        "A cat is curled up on a bed next to some very old books.",
        "A black cat sleeping on a bed in a room.",
        "A black cat is sleeping on the bed.",
    )
    assert opening(captions) == (3, captions[3])


def test_additions_say_what_is_new_and_with_a_pronoun_only_where_its_gender_is_sure() -> None:
    assert added(
        "A man is swinging a racket on a tennis court.",
        "A man in a red shirt on a tennis court.",
        "A man with a beard swinging a racket.",
    ) == ["The man is wearing a red shirt.", "He has a beard."]
    assert added(
        "A black dog lying on a big couch in a room.",
        "A dog is wearing a blue collar.",
        "A dog is looking at a cat.",
    ) == ["The dog is wearing a blue collar.", "The dog is looking at a cat."]


def test_additions_agree_in_number_and_name_the_setting() -> None:
    assert added(
        "Two giraffes are eating leaves from a tall tree.",
        "Two giraffes eating leaves in a zoo.",
        "Two giraffes standing next to a fence.",
    ) == ["The scene is set in a zoo.", "The giraffes are standing next to a fence."]
    assert added(
        "A kitchen with a stove and a sink.",
        "A small kitchen with wooden cabinets.",
        "A kitchen with a stove.",
    ) == ["The kitchen has wooden cabinets."]


def test_additions_do_not_contradict_or_repeat_the_opening() -> None:
    assert added("A cat sitting on a brown couch in a room.", "A cat sitting on a brown couch.") == []
    assert added("A man is standing on a beach.", "A man is sitting on a beach towel.") == []
    assert added(
        "A bus is parked on the side of a street.", "A red bus parked on a street.", "A bus is driving."
    ) == ["The bus is red."]


WORDS = st.sampled_from(
    """
    a an the man men woman dogs dog cat red white and blue , . that who is are with without holding wearing
    shirt in on at front of kitchen street sitting sits stand lying two three group another other's man's
    orange tv bed it next to while picture can covered filled t-shirt "x" 3 no some his her of
    """.split()
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=14), min_size=1, max_size=5))
def test_whatever_the_captions_every_sentence_is_one(captions: list[list[str]]) -> None:
    texts = [" ".join(words).replace(" ,", ",").replace(" .", ".") for words in captions]
    sentences = read(*(text[:1].upper() + text[1:] + "." for text in texts))
    kept = agreeing(sentences)
    assert kept and set(kept) <= set(sentences)
    for fact in told_by(kept):
        assert fact.words and all(0 <= index < len(kept) for index in fact.captions)
    for sentence, supporters in additions(kept, opening(kept)[0]):
        assert sentence[0].isupper() and sentence.endswith(".") and not sentence.endswith("..")
        assert supporters and "  " not in sentence
