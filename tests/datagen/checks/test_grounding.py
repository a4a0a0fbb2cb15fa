"""What a turn claims, and what captions and boxes say of that: whole claims, kind by kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.annotations import read_annotations
from datagen.checks import Claim, Evidence, Region, TypeChecks, evidence_of, make_vocabulary
from datagen.checks.faults import Fault
from datagen.checks.grounding import Grounding
from datagen.prompting import PACKS, load_pack
from datagen.records import Box, Frame, ImageAnnotation, Turn
from datagen.teacher.programmatic.words import CATEGORIES

COCO = make_vocabulary(load_pack(PACKS / "coco").files, CATEGORIES)

Corners = tuple[float, float, float, float]
LEFT: Corners = (0.05, 0.4, 0.25, 0.8)
MIDDLE: Corners = (0.4, 0.4, 0.6, 0.8)
RIGHT: Corners = (0.75, 0.4, 0.95, 0.8)
TOP: Corners = (0.4, 0.05, 0.6, 0.2)
BOTTOM: Corners = (0.4, 0.8, 0.6, 0.95)
NEARLY_LEFT: Corners = (0.45, 0.4, 0.65, 0.8)
TWO_DOGS = [("dog", LEFT), ("dog", RIGHT)]
CAT_AND_DOG = [("cat", LEFT), ("dog", RIGHT)]
DESCRIBE = "Describe the image."
NOWHERE = "no box and no caption"
WORLD = "of the world, not of the image"


def known(
    captions: Sequence[str] = (),
    boxes: Sequence[tuple[str, Corners]] = (),
    crowds: Sequence[tuple[str, Corners]] = (),
    uncounted: Sequence[str] = (),
) -> Evidence:
    regions = [
        (category, Region(number, *corners, number > len(boxes)))
        for number, (category, corners) in enumerate([*boxes, *crowds], 1)
    ]
    return Evidence(COCO, captions, regions, uncounted)


def claims(
    answer: str,
    evidence: Evidence,
    question: str = DESCRIBE,
    frame: Frame = "camera",
    may_speculate: bool = False,
) -> list[Claim]:
    return Grounding(COCO, frame).claims(Turn(question, answer), evidence, may_speculate=may_speculate)


def of_kind(kind: str, found: Sequence[Claim]) -> list[tuple[str, str, str]]:
    """Claims of a kind: words, verdict and evidence."""
    return [(claim.words, claim.verdict, claim.evidence) for claim in found if claim.kind == kind]


# Objects


def test_a_thing_is_supported_by_a_box_or_a_caption_and_else_by_nothing() -> None:
    evidence = known(["A dog beside a lamp."], [("dog", LEFT), ("dog", RIGHT), ("cup", MIDDLE)])
    assert claims("There is a dog, a lamp, a mug and a cat.", evidence) == [
        Claim("object", "a dog", "named", "supported", "2 boxes"),
        Claim("object", "a lamp", "named", "supported", "caption 1"),
        Claim("object", "a mug", "named", "supported", "box 3"),
        Claim("object", "a cat", "named", "unsupported", NOWHERE),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "A remote area with a bus stop.",
        "Two of them are there.",
        "It might be a cat.",
        "If a cat came, it would be chased.",
        "They run to catch a frisbee.",
        "A cat or a horse may be near.",
        "A moving train needs a long way to stop.",
        "It looks as if a cat had been there.",
        "The xylophone is loud.",
        "",
    ],
)
def test_what_is_not_asserted_or_in_no_list_is_no_claim_of_an_object(answer: str) -> None:
    assert of_kind("object", claims(answer, known())) == []


def test_a_thing_supposed_to_do_something_is_there_all_the_same() -> None:
    assert claims("The dog might be hungry.", known()) == [
        Claim("object", "The dog", "named", "unsupported", NOWHERE)
    ]


def test_an_object_may_be_part_of_a_thing_or_one_of_a_group() -> None:
    evidence = known([], [("car", LEFT), ("dog", RIGHT)])
    assert claims("A wheel and an animal.", evidence) == [
        Claim("object", "A wheel", "named", "supported", "box 1 of car"),
        Claim("object", "an animal", "named", "supported", "box 2 of dog"),
    ]


def test_a_caption_that_may_mean_a_thing_leaves_it_open() -> None:
    assert claims("There is a dog.", known(["An animal on a rug."])) == [
        Claim("object", "a dog", "named", "undecidable", "caption 1 may mean it")
    ]
    assert claims("A dog sleeps.", known(["A dog bed."])) == [
        Claim("object", "A dog", "named", "unsupported", NOWHERE)
    ]


def test_scenery_and_people_in_general_are_left_open() -> None:
    assert claims("The sky is there. It is good for people.", known()) == [
        Claim("object", "The sky", "named", "undecidable", "scenery, which annotators may leave unsaid"),
        Claim("object", "people", "named", "undecidable", "people in general"),
    ]
    assert claims("Two people talk.", known()) == [
        Claim("object", "Two people", "named", "unsupported", NOWHERE)
    ]


def test_an_answer_that_may_speculate_may_speak_of_the_world_but_not_of_the_image() -> None:
    answer = "Cats like chairs. There is a cat in the image. The dog is hungry."
    evidence = known([], [("chair", LEFT)])
    assert of_kind("object", claims(answer, evidence, may_speculate=True)) == [
        ("Cats", "undecidable", WORLD),
        ("a cat", "unsupported", NOWHERE),
        ("The dog", "unsupported", NOWHERE),
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The presence of a horse suggests a farm.", [("a horse", "unsupported", NOWHERE)]),
        ("The presence of a horse can calm people.", []),
        ("Here, there are horses.", [("horses", "unsupported", NOWHERE)]),
        ("In many parks there are often horses.", []),
        ("The den, which has a horse, might be new.", [("a horse", "undecidable", WORLD)]),
        ("A cat, a dog, or a horse might rest.", []),
        (
            "People on a horse have to see who is coming.",
            [("People", "undecidable", "people in general"), ("a horse", "undecidable", WORLD)],
        ),
    ],
)
def test_what_an_answer_that_may_speculate_says_is_there_is_of_the_image(
    answer: str, expected: list[tuple[str, str, str]]
) -> None:
    assert of_kind("object", claims(answer, known(), may_speculate=True)) == expected


def test_what_a_caption_says_word_for_word_is_supported() -> None:
    captions = ["Two zebras.", "A huge  pile of  dogs in a metal boat."]
    assert [claim for claim in claims("a Huge pile of dogs in a metal boat", known(captions)) if
            claim.verdict in ("contradicted", "unsupported")] == []  # fmt: skip
    # The boxes say three; a caption that says two is believed where it is repeated.
    three = [("zebra", LEFT), ("zebra", MIDDLE), ("zebra", RIGHT)]
    assert of_kind("count", claims("There are two zebras.", known(captions, three))) == [
        ("two zebras", "supported", "caption 1")
    ]
    assert of_kind("position", claims("A cat on the right side of the image.",
                                      known(["A cat on the right side of the image."], CAT_AND_DOG))) == [
        ("A cat on the right side of the image", "supported", "caption 1, word for word")
    ]  # fmt: skip


# Questions


def test_a_question_takes_what_it_calls_the_for_granted() -> None:
    assert claims("It sleeps.", known([], TWO_DOGS), "What is the cat doing?") == [
        Claim("object", "the cat", "taken for granted", "unsupported", NOWHERE, "question")
    ]
    assert claims("They sleep.", known([], TWO_DOGS), "What are the three dogs doing?") == [
        Claim("object", "the three dogs", "taken for granted", "supported", "2 boxes", "question"),
        Claim("count", "the three dogs", "taken for granted", "contradicted", "2 boxes", "question"),
    ]
    assert claims("", known(), "Is there a cat?") == []


# Absence


def test_a_denial_is_held_against_boxes_and_captions() -> None:
    evidence = known(["A lamp."], TWO_DOGS)
    assert claims("There are no dogs, no lamps and no cats.", evidence) == [
        Claim("absence", "no dogs", "none said", "contradicted", "2 boxes"),
        Claim("absence", "no lamps", "none said", "contradicted", "caption 1"),
        Claim("absence", "no cats", "none said", "supported", NOWHERE),
    ]
    assert claims("There are no dogs on the sofa.", evidence)[0] == Claim(
        "absence", "no dogs", "none said", "undecidable", "not of the whole image"
    )
    assert of_kind("absence", claims("The dog is not visible.", evidence)) == [
        ("The dog is not visible", "contradicted", "2 boxes")
    ]


def test_a_kind_may_be_absent_where_its_thing_is_not() -> None:
    assert claims("There are no puppies.", known([], TWO_DOGS)) == [
        Claim("absence", "no puppies", "none said", "undecidable", "a kind, which boxes do not tell")
    ]


# Counts


@pytest.mark.parametrize(
    ("answer", "words", "verdict", "why"),
    [
        ("There are two dogs.", "two dogs", "supported", "2 boxes"),
        ("There are three dogs.", "three dogs", "contradicted", "2 boxes"),
        ("There is only one dog.", "one dog", "contradicted", "2 boxes"),
        ("A single dog is there.", "A single dog", "contradicted", "2 boxes"),
        ("There is one dog.", "one dog", "contradicted", "2 boxes"),
        ("There are 2 dogs.", "2 dogs", "supported", "2 boxes"),
        ("There are several dogs.", "several dogs", "supported", "2 boxes"),
        ("There are two puppies.", "two puppies", "supported", "2 boxes"),
        ("There are four puppies.", "four puppies", "contradicted", "2 boxes"),
    ],
)
def test_a_number_is_held_against_the_boxes(answer: str, words: str, verdict: str, why: str) -> None:
    assert of_kind("count", claims(answer, known([], TWO_DOGS))) == [(words, verdict, why)]


def test_fewer_than_are_boxed_may_be_some_of_them() -> None:
    three = known([], [*TWO_DOGS, ("dog", MIDDLE)])
    assert of_kind("count", claims("There are two dogs.", three)) == [("two dogs", "contradicted", "3 boxes")]
    assert of_kind("count", claims("There are two dogs lying down.", three)) == [
        ("two dogs", "undecidable", "3 boxes, some of which these may be")
    ]
    assert of_kind("count", claims("Two other dogs sleep.", three)) == [
        ("Two other dogs", "undecidable", "some of them")
    ]
    assert of_kind("count", claims("There is one dog here and two dogs there.", three)) == [
        ("one dog", "undecidable", "some of them"),
        ("two dogs", "undecidable", "some of them"),
    ]
    assert of_kind("count", claims("Two of the dogs sleep.", three)) == []


def test_fewer_of_a_kind_than_a_caption_has_in_the_same_words_are_wrong() -> None:
    four = [("person", LEFT), ("person", MIDDLE), ("person", RIGHT), ("person", RIGHT)]
    three_men = known(["Three men and a woman."], four)
    assert of_kind("count", claims("There are two men and a woman.", three_men))[:1] == [
        ("two men", "contradicted", "caption 1 says 3")
    ]
    for answer in ("There are two men on the left.", "There are two men lying down."):
        assert of_kind("count", claims(answer, three_men))[0][1] == "undecidable", answer
    untold = known(["Some men and a woman."], four)
    assert of_kind("count", claims("There are two men.", untold)) == [
        ("two men", "undecidable", "4 boxes, of which these are a kind")
    ]


def test_a_crowd_leaves_the_number_open_upwards() -> None:
    evidence = known([], [("person", LEFT), ("person", RIGHT)], crowds=[("person", MIDDLE)])
    assert of_kind("count", claims("There are five people.", evidence)) == [
        ("five people", "undecidable", "2 boxes and a group, number unknown")
    ]
    assert of_kind("count", claims("There are two people.", evidence)) == [
        ("two people", "supported", "2 boxes")
    ]
    left_out = known([], [("dog", LEFT)], uncounted=["dog"])
    assert of_kind("count", claims("There are four dogs.", left_out)) == [
        ("four dogs", "undecidable", "1 box and a group, number unknown")
    ]


def test_nothing_is_known_to_be_absent_of_which_a_box_may_be_missing() -> None:
    assert of_kind("absence", claims("There are no dogs.", known([], [("cat", LEFT)]))) == [
        ("no dogs", "supported", "no box and no caption")
    ]
    assert of_kind(
        "absence", claims("There are no dogs.", known([], [("cat", LEFT)], uncounted=["dog"]))
    ) == [("no dogs", "undecidable", "their boxes may be missing")]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("There are no dogs.", "supported"),  # a category
        ("There are no huskies.", "supported"),  # a kind of one
        ("There are no lamps.", "undecidable"),  # none, so that nobody looked for it
        ("There is no furniture.", "undecidable"),  # a group with lamps in it
        ("There is no fruit.", "undecidable"),
    ],
)
def test_silence_proves_only_what_annotators_looked_for(answer: str, verdict: str) -> None:
    (claim,) = claims(answer, known(["A cat."], [("cat", LEFT)]))
    assert (claim.kind, claim.verdict, claim.evidence) == ("absence", verdict, NOWHERE)


def test_many_are_counted_only_where_the_image_is_spoken_of() -> None:
    one = known([], [("person", LEFT)])
    assert of_kind("count", claims("Many people like it where there is something green.", one)) == []
    assert of_kind("count", claims("There are many people.", one)) == [
        ("many people", "contradicted", "1 box")
    ]


def test_captions_that_disagree_each_support_their_number() -> None:
    evidence = known(["Two birds.", "Three birds on a wire."], [("bird", LEFT), ("bird", RIGHT)])
    assert [
        of_kind("count", claims(f"There are {number} birds.", evidence))[0][1:]
        for number in ("two", "three", "four")
    ] == [("supported", "caption 1"), ("supported", "caption 2"), ("contradicted", "2 boxes")]


def test_what_nobody_boxed_is_counted_by_captions() -> None:
    evidence = known(["Three lamps.", "A lamp and some chairs."])
    assert of_kind("count", claims("There are four lamps.", evidence)) == [
        ("four lamps", "contradicted", "caption 1 says 3")
    ]
    assert of_kind("count", claims("There are four chairs.", evidence)) == [
        ("four chairs", "undecidable", "more than one, number unknown")
    ]


# Positions


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("The cat is on the left side of the image.", "supported"),
        ("The cat is on the right side of the image.", "contradicted"),
        ("The cat is in the middle of the image.", "contradicted"),
        ("The dog is on the right.", "supported"),
        ("The dog is on the left.", "contradicted"),
        ("On the right, there is a cat.", "contradicted"),
        ("On the left, there is a cat.", "supported"),
        ("The cat is in the top left corner of the image.", "contradicted"),
        ("The cat is to the left of the dog.", "supported"),
        ("The cat is to the right of the dog.", "contradicted"),
    ],
)
def test_a_side_is_held_against_the_centre_of_the_box(answer: str, verdict: str) -> None:
    found = [claim for claim in claims(answer, known([], CAT_AND_DOG)) if claim.kind == "position"]
    assert [claim.verdict for claim in found] == [verdict]
    assert found[0].words in answer


def test_an_orange_and_white_cat_is_orange_and_no_fruit() -> None:
    evidence = known(["An orange and white cat lies on a bed."], [("cat", LEFT)])
    assert of_kind("colour", claims("The cat is orange and white.", evidence)) == [
        ("cat is orange", "supported", "caption 1"),
        ("cat is orange and white", "supported", "caption 1"),
    ]
    fruit = known(["An orange and a white cat."], [("cat", LEFT)])
    assert of_kind("object", claims("There is an orange.", fruit)) == [
        ("an orange", "supported", "caption 1")
    ]


def test_an_answer_shorter_than_its_question_may_place_what_that_asks_about() -> None:
    question = "Of all the many things that can be seen in this picture, where is the dog?"
    assert claims("It is on the left.", known([], CAT_AND_DOG), question) == [
        Claim("object", "the dog", "taken for granted", "supported", "box 2", "question"),
        Claim("position", "on the left", "side of the frame", "contradicted", "box 2"),
    ]


def test_a_place_too_near_the_middle_is_left_open() -> None:
    evidence = known([], [("cat", NEARLY_LEFT)])
    assert claims("The cat is on the left side of the image.", evidence) == [
        Claim("object", "The cat", "named", "supported", "box 1"),
        Claim(
            "position",
            "The cat is on the left side of the image",
            "side of the frame",
            "undecidable",
            "box 1, too near the middle to tell",
        ),
    ]


def test_a_side_that_no_clause_asserts_or_that_is_no_side_is_no_claim() -> None:
    evidence = known([], CAT_AND_DOG)
    for answer in (
        "The cat might be on the right.",
        "The cat is right behind the dog.",
        "The cat lifts its right paw.",
        "One is on the left and another is on the right.",
    ):
        assert of_kind("position", claims(answer, evidence)) == [], answer


def test_of_several_such_things_any_may_have_the_place_but_two_need_two() -> None:
    evidence = known([], [("cat", LEFT), ("cat", RIGHT)])
    assert [verdict for _, verdict, _ in of_kind("position", claims("A cat is on the left.", evidence))] == [
        "supported"
    ]
    assert of_kind("position", claims("Two cats are on the left.", evidence)) == [
        ("Two cats are on the left", "contradicted", "box 1, 2")
    ]


def test_a_crowd_may_be_anywhere_in_its_box() -> None:
    evidence = known([], crowds=[("person", RIGHT)])
    assert of_kind("position", claims("The people are on the left.", evidence)) == [
        ("The people are on the left", "undecidable", "a group, whose members may be anywhere in its box")
    ]


KITE_AND_BOAT = [("kite", TOP), ("boat", BOTTOM)]


def test_above_and_below_are_held_against_the_boxes_but_mean_nothing_from_overhead() -> None:
    answer = "The kite is above the boat. The kite is below the boat. The kite is at the bottom of the image."
    evidence = known([], KITE_AND_BOAT)
    seen = [
        ("The kite is above the boat", "supported", "box 1"),
        ("The kite is below the boat", "contradicted", "box 1"),
        ("The kite is at the bottom of the image", "contradicted", "box 1"),
    ]
    assert of_kind("position", claims(answer, evidence)) == seen
    assert of_kind("position", claims(answer, evidence, frame="radiograph")) == seen
    assert of_kind("position", claims(answer, evidence, frame="overhead")) == seen[2:]


def test_an_overhead_view_has_a_top_and_a_bottom_though_nothing_in_it_does() -> None:
    evidence = known([], [("boat", TOP), ("car", BOTTOM)])
    answer = "The boat is near the bottom of the image. The car is at the bottom of the boat."
    assert of_kind("position", claims(answer, evidence, frame="overhead")) == [
        ("The boat is near the bottom of the image", "contradicted", "box 1")
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "The boat is closer to the bottom edge than the kite.",
        "The boat is closer to the bottom of the image than the kite.",
        "Closer to the bottom edge than the kite, a boat can be seen.",
        "The boat is nearer to the right edge than the kite.",
    ],
)
def test_closer_to_a_side_than_another_thing_is_not_at_that_side(answer: str) -> None:
    boat: Corners = (0.1, 0.25, 0.2, 0.35)
    evidence = known([], [("kite", (0.0, 0.0, 0.1, 0.1)), ("boat", boat)])
    assert of_kind("position", claims(answer, evidence, frame="overhead")) == []


def test_sides_of_an_overhead_view_are_sides() -> None:
    found = claims("The cat is on the right side of the image.", known([], CAT_AND_DOG), frame="overhead")
    assert [verdict for _, verdict, _ in of_kind("position", found)] == ["contradicted"]


def test_the_left_of_a_radiograph_is_the_patients_unless_it_is_of_the_image() -> None:
    evidence = known([], CAT_AND_DOG)
    assert [
        verdict
        for answer in (
            "The cat is on the right side of the image.",
            "The cat is on the left side of the image.",
        )
        for _, verdict, _ in of_kind("position", claims(answer, evidence, frame="radiograph"))
    ] == ["contradicted", "supported"]
    assert "contradicted" not in [
        verdict
        for _, verdict, _ in of_kind(
            "position", claims("The cat is on the right.", evidence, frame="radiograph")
        )
    ]


def test_what_lies_on_a_thing_may_overlap_it_and_what_is_under_it_may_not_be_over_it() -> None:
    evidence = known([], [("cup", TOP), ("dining table", (0.1, 0.6, 0.9, 0.9))])
    assert of_kind("position", claims("There is a cup on top of the table.", evidence)) == [
        ("a cup on top of the table", "supported", "box 1")
    ]
    assert of_kind("position", claims("There is a cup under the table.", evidence)) == [
        ("a cup under the table", "contradicted", "box 1")
    ]


def test_where_is_answered_by_a_place_alone() -> None:
    assert of_kind("position", claims("On the right.", known([], CAT_AND_DOG), "Where is the cat?")) == [
        ("On the right", "contradicted", "box 1")
    ]


# Sizes


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("The elephant takes up more of the image than the bird.", "supported"),
        ("The bird takes up more of the image than the elephant.", "contradicted"),
        ("The bird appears larger than the elephant.", "contradicted"),
        ("The bird appears smaller than the elephant.", "supported"),
        ("The elephant is the largest object in the image.", "supported"),
        ("The bird is the largest object in the image.", "contradicted"),
        ("The elephant fills most of the image.", "supported"),
        ("The bird fills most of the image.", "contradicted"),
        ("The elephant takes up a small part of the image.", "contradicted"),
    ],
)
def test_how_much_of_the_image_is_held_against_areas(answer: str, verdict: str) -> None:
    evidence = known([], [("elephant", (0.0, 0.0, 0.9, 0.9)), ("bird", (0.9, 0.9, 0.95, 0.95))])
    found = [claim for claim in claims(answer, evidence) if claim.kind == "size"]
    assert [(claim.verdict, claim.rule) for claim in found] == [(verdict, "box areas")]
    assert found[0].words in answer


def test_real_size_is_no_claim() -> None:
    evidence = known([], [("elephant", LEFT), ("bird", MIDDLE)])
    assert of_kind("size", claims("An elephant is larger than a bird.", evidence)) == []


# Colours and other attributes


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("A red sofa.", ("red sofa", "supported", "caption 2")),
        ("The couch is red.", ("couch is red", "supported", "caption 2")),
        ("A crimson couch.", ("crimson couch", "supported", "caption 2")),
        ("A green couch.", ("green couch", "contradicted", "caption 2 says red")),
        ("The couch is green.", ("couch is green", "contradicted", "caption 2 says red")),
        ("A green dog.", ("green dog", "unsupported", "no caption says so")),
        ("A brown dog.", ("brown dog", "supported", "caption 2")),
        ("A black dog.", ("black dog", "supported", "caption 2")),
    ],
)
def test_a_colour_is_only_known_from_a_caption(answer: str, expected: tuple[str, str, str]) -> None:
    evidence = known(
        ["Two dogs on a rug.", "A brown dog and a black dog near a red sofa."],
        [*TWO_DOGS, ("couch", MIDDLE)],
    )
    assert of_kind("colour", claims(answer, evidence)) == [expected]


def test_a_colour_is_bound_to_its_own_noun() -> None:
    evidence = known(["A man in a red hat.", "A man wearing a green shirt."], [("person", LEFT)])
    assert of_kind("colour", claims("The man wears a red hat and a blue shirt.", evidence)) == [
        ("red hat", "supported", "caption 1"),
        ("blue shirt", "contradicted", "caption 2 says green"),
    ]
    in_a_shirt = known(["A man in a red shirt."], [("person", LEFT)])
    assert of_kind("colour", claims("A man in red walks.", in_a_shirt)) == [
        ("man in red", "supported", "caption 1")
    ]


def test_a_black_and_white_photo_colours_nothing() -> None:
    evidence = known(["A dog in a blue car."], [("dog", LEFT), ("car", RIGHT)])
    assert of_kind("colour", claims("A black and white photo of a dog.", evidence)) == []


def test_an_attribute_is_contradicted_by_its_opposite_and_unsupported_only_where_it_needs_a_caption() -> None:
    evidence = known(["A long bench of wood in a closed shop.", "The umbrella is open."], [("bench", LEFT)])
    assert of_kind("attribute", claims("The umbrella is closed.", evidence)) == [
        ("umbrella is closed", "contradicted", "caption 2 says open")
    ]
    assert of_kind("attribute", claims("The bench is metal.", evidence)) == [
        ("bench is metal", "unsupported", "no caption says so")
    ]
    assert of_kind("attribute", claims("The bench is dirty.", evidence)) == [
        ("bench is dirty", "undecidable", "no caption says")
    ]


# Yes, no and short answers


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Is there a cat in the image?", "No.",
         [Claim("absence", "No", "no", "supported", NOWHERE)]),
        ("Is there a cat in the image?", "Yes, there is.",
         [Claim("object", "Yes", "yes", "unsupported", f"a cat: {NOWHERE}")]),
        ("Is there a dog in the image?", "No.",
         [Claim("absence", "No", "no", "contradicted", "2 boxes")]),
        ("Are there three dogs in the image?", "Yes.",
         [Claim("object", "Yes", "yes", "supported", "three dogs: 2 boxes"),
          Claim("count", "Yes", "yes", "contradicted", "2 boxes")]),
        ("Are there no dogs?", "Yes.", []),
        ("How many dogs are there?", "3",
         [Claim("count", "3", "how many", "contradicted", "2 boxes")]),
        ("How many dogs are there?", "Two.",
         [Claim("count", "Two", "how many", "supported", "2 boxes")]),
        ("How many dogs are there?", "Only one.",
         [Claim("count", "one", "how many", "contradicted", "2 boxes")]),
        ("How many dogs are there?", "One can see many.", []),
    ],
)  # fmt: skip
def test_a_short_answer_says_what_the_question_asks(
    question: str, answer: str, expected: list[Claim]
) -> None:
    assert claims(answer, known([], TWO_DOGS), question) == expected


def test_yes_and_no_affirm_or_deny_a_place_or_a_colour() -> None:
    evidence = known(["A red car."], [*CAT_AND_DOG, ("car", MIDDLE)])
    asked = {
        "Is the cat to the left of the dog?": ("position", "box 1"),
        "Is the car red?": ("colour", "caption 1"),
    }
    for question, (kind, why) in asked.items():
        assert of_kind(kind, claims("Yes.", evidence, question)) == [("Yes", "supported", why)]
        assert of_kind(kind, claims("No.", evidence, question)) == [("No", "contradicted", why)]


def test_a_word_alone_is_said_of_what_the_question_is_about() -> None:
    evidence = known(["A red couch, a bench of wood."], [("couch", LEFT), ("bench", RIGHT)])
    assert of_kind("colour", claims("Blue.", evidence, "What color is the couch?")) == [
        ("Blue", "contradicted", "caption 1 says red")
    ]
    assert of_kind("colour", claims("It is red.", evidence, "What color is the couch?")) == [
        ("red", "supported", "caption 1")
    ]
    assert of_kind("attribute", claims("Metal.", evidence, "What is the bench made of?")) == [
        ("Metal", "unsupported", "no caption says so")
    ]


# As a whole


def test_a_claim_tells_a_person_what_and_why() -> None:
    (claim,) = claims("A cat.", known())
    assert claim.told == "'A cat' (object): no box and no caption"


@pytest.mark.parametrize(
    ("reject", "faults"),
    [
        (
            ("contradicted", "unsupported"),
            [
                Fault("unsupported", "object", "answer", "'a cat' (object): no box and no caption"),
                Fault("contradicted", "count", "answer", "'three dogs' (count): 2 boxes"),
            ],
        ),
        (
            ("contradicted",),
            [Fault("contradicted", "count", "answer", "'three dogs' (count): 2 boxes")],
        ),
        ((), []),
    ],
)
def test_a_verdict_is_a_fault_where_the_type_rejects_it(reject: Sequence[str], faults: list[Fault]) -> None:
    checks = TypeChecks({"grounding"}, {}, COCO, "camera", reject, may_speculate=False)
    (checked,) = checks([Turn(DESCRIBE, "There are three dogs and a cat.")], known([], TWO_DOGS))
    assert sorted(checked.faults) == sorted(faults)


def test_evidence_of_an_image_has_its_boxes_as_fractions() -> None:
    annotation = ImageAnnotation(
        1,
        "1.jpg",
        200,
        100,
        ("A dog.",),
        (Box(7, "dog", 10, 20, 40, 50, False), Box(8, "dog", 0, 0, 200, 100, True)),
        ("cat",),
    )
    evidence = evidence_of(annotation, COCO)
    assert evidence.captions == ("A dog.",)
    assert evidence.boxes["dog"] == [
        Region(1, 0.05, 0.2, 0.25, 0.7, False),
        Region(2, 0.0, 0.0, 1.0, 1.0, True),
    ]
    assert {"dog", "cat"} <= evidence.open_ended


# Other people's packs


FACTORY = {
    "vocabulary.txt": """
[names]
crack: fissure | hairline crack
pallet: skid |
forklift: lift truck |
[groups]
defect: crack, dent
[scenery]
shelf
""",
    "attributes.txt": "load (needs a caption): empty, loaded/full",
    "blind_spots.txt": "weight asks: how heavy\nweight says: kg",
}


def test_a_pack_of_another_field_is_checked_by_its_own_words() -> None:
    vocabulary = make_vocabulary(FACTORY, ["crack", "pallet", "dent", "forklift"])
    evidence = Evidence(
        vocabulary,
        ["A loaded pallet stands on the floor."],
        [("pallet", Region(1, *LEFT, False)), ("crack", Region(2, *RIGHT, False))],
    )
    answer = (
        "There are two skids on the right. A hairline crack is on the left. An empty pallet. A dent. A dog. "
        "There are no fissures. The defect is small."
    )
    assert Grounding(vocabulary, "overhead").claims(Turn("Where is the forklift?", answer), evidence) == [
        Claim("object", "the forklift", "taken for granted", "unsupported", NOWHERE, "question"),
        Claim("object", "two skids", "named", "supported", "box 1"),
        Claim("object", "A hairline crack", "named", "supported", "box 2"),
        Claim("object", "An empty pallet", "named", "supported", "box 1"),
        Claim("object", "A dent", "named", "unsupported", NOWHERE),
        Claim("absence", "no fissures", "none said", "contradicted", "box 2"),
        Claim("object", "The defect", "named", "supported", "box 2 of crack"),
        Claim("count", "two skids", "number", "contradicted", "1 box"),
        Claim("position", "two skids on the right", "side of the frame", "contradicted", "box 1"),
        Claim(
            "position", "A hairline crack is on the left", "side of the frame", "contradicted", "box 2"
        ),
        Claim("attribute", "empty pallet", "load", "contradicted", "caption 1 says loaded"),
    ]  # fmt: skip


def test_a_pack_without_words_knows_the_categories_alone() -> None:
    vocabulary = make_vocabulary({}, ["crack"])
    evidence = Evidence(vocabulary, [], [("crack", Region(1, *LEFT, False))])
    assert Grounding(vocabulary).claims(Turn("", "Two cracks and a red dog."), evidence) == [
        Claim("object", "Two cracks", "named", "supported", "box 1"),
        Claim("count", "Two cracks", "number", "contradicted", "1 box"),
    ]


# Whatever is written

_WORDS = (
    "a an the two three one 5 some several no not without of the dogs dog cat cats people man hot dog stand "
    "orange red black and white , . ; ? ! \n ( ) on in to the left right top bottom above below under side "
    "middle image photo more than larger smaller takes up most is are isn't there can be seen might could if "
    "with wearing shirt remote area group pair dozen both another yes no how many what color where only it "
    "they them 's café’s İ ß naïve 10:30 2nd — “ ” - teddy-bear dog's its which that or but while as such"
).split(" ")
_TEXTS = st.lists(st.one_of(st.sampled_from(_WORDS), st.text(max_size=6)), max_size=30).map(" ".join)
_FRACTIONS = st.floats(0, 1, allow_nan=False)
_BOXES = st.lists(
    st.tuples(
        st.sampled_from(["dog", "cat", "person", "orange", "couch"]),
        st.tuples(_FRACTIONS, _FRACTIONS, _FRACTIONS, _FRACTIONS),
    ),
    max_size=5,
)


@given(_TEXTS, _TEXTS, st.lists(_TEXTS, max_size=3), _BOXES, st.booleans())
def test_whatever_is_written_claims_are_in_its_own_words_and_the_same_twice(
    question: str, answer: str, captions: list[str], boxes: list[tuple[str, Corners]], may_speculate: bool
) -> None:
    turn = Turn(question, answer)
    found = claims(answer, known(captions, boxes), question, may_speculate=may_speculate)
    assert [claim for claim in found if claim.words not in getattr(turn, claim.where)] == []
    assert claims(answer, known(captions, boxes), question, may_speculate=may_speculate) == found


def _at_fault_in_its_own_caption(captions: Path, instances: Path) -> list[tuple[str, Claim]]:
    annotations = [
        item for item in read_annotations([captions], [instances]) if isinstance(item, ImageAnnotation)
    ]
    assert annotations
    return [
        (caption, claim)
        for annotation in annotations
        for caption in annotation.captions
        for claim in claims(caption, evidence_of(annotation, COCO))
        if claim.verdict in ("contradicted", "unsupported")
    ]


def test_captions_of_the_bundled_images_are_borne_out_by_themselves() -> None:
    folder = Path(__file__).resolve().parents[3] / "examples" / "scenes"
    assert _at_fault_in_its_own_caption(folder / "captions.json", folder / "instances.json") == []


def test_captions_of_real_images_are_borne_out_by_themselves(shared_data: Path) -> None:
    folder = shared_data / "coco-mini" / "annotations"
    (captions,), (instances,) = folder.glob("captions*.json"), folder.glob("instances*.json")
    assert _at_fault_in_its_own_caption(captions, instances) == []


@pytest.mark.parametrize(
    ("answer", "verdict", "why"),
    [
        ("The bench and the dog are on the left of the image.", "contradicted", "box 1"),
        ("The cat, the dog and the bench stand on the left.", "contradicted", "box 1"),
        ("The cat and the dog are on the left of the image.", "supported", "box 3; box 2"),
        # Where it may be said of the last alone, it may.
        ("There is a bench and a dog on the left of the image.", "supported", "box 2"),
    ],
)
def test_what_is_said_of_several_holds_of_each(answer: str, verdict: str, why: str) -> None:
    evidence = known([], [("bench", RIGHT), ("dog", LEFT), ("cat", LEFT)])
    assert [claim[1:] for claim in of_kind("position", claims(answer, evidence))] == [(verdict, why)]


def test_a_reply_that_goes_round_in_circles_is_read() -> None:
    looping = "There is no" + " cat," * 1000 + " or horse."
    found = of_kind("absence", claims(looping, known([], [("cat", LEFT)])))
    assert [verdict for _, verdict, _ in found[:3]] == ["contradicted"] * 3
    assert known([looping]).denied.keys() >= {"cat", "horse"}
