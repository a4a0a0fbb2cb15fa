"""Things as seen from one another, and expressions that pick one out."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from datagen.records import Box, Frame, ImageAnnotation
from datagen.teacher.programmatic.facts import facts_of
from datagen.teacher.programmatic.registry import Said, all_programs
from datagen.teacher.programmatic.voice import Voice, read_phrasings
from datagen.teacher.programmatic.words import CATEGORIES
from tests.datagen.coco import PACK
from tests.datagen.teacher.test_programmatic import box, image

PHRASINGS = read_phrasings(PACK.files)
RELATIONS = ("relation", "relation_check", "relation_choice")
CHAINS = ("relation_chain", "between")
EXTENTS = ("overlap", "containment")
REFERRING = ("referring_what", "referring_which", "referring_expression")
IN_NUMBERS = ("grounding", "grounding_what")


def of_boxes(*boxes: Box) -> ImageAnnotation:
    return image((), boxes)


def by_seed(
    program: str, annotation: ImageAnnotation, seeds: int, frame: Frame = "camera"
) -> list[list[Said]]:
    """All that the program could say, once for each seed."""
    facts = facts_of(annotation, frame, tuple(CATEGORIES))
    write = all_programs()[program].write
    return [list(write(facts, Voice(PHRASINGS, str(seed), program))) for seed in range(seeds)]


def said_by(
    program: str, annotation: ImageAnnotation, seeds: int = 60, frame: Frame = "camera"
) -> list[Said]:
    """The same over all seeds."""
    return [said for each in by_seed(program, annotation, seeds, frame) for said in each]


DOG = box("dog", 4, 60, 20, 20)
CAR = box("car", 70, 62, 26, 26)
KITE = box("kite", 40, 4, 10, 10)
SIDE_BY_SIDE = of_boxes(DOG, CAR)
# From left to right the dog, the kite and the car; the kite far above.
PARK = of_boxes(DOG, CAR, KITE)
TWO_DOGS = of_boxes(box("dog", 4, 40, 10, 20), box("dog", 60, 40, 30, 20), box("car", 40, 80, 12, 18))


def test_a_whole_relation_says_what_it_rests_on() -> None:
    said = next(each for each in said_by("relation", SIDE_BY_SIDE) if each.brief == "left")
    assert said == Said(
        question=said.question,
        answer=said.answer,
        brief="left",
        facts=(("left_of", 1, 2), *said.facts[1:]),
        boxes=(1, 2),
        asks=frozenset(("relation car / dog",)),
        tells=said.tells,
    )
    assert set(said.facts[1:]) <= {("place", 1, "bottom_left"), ("place", 2, "bottom_right")}
    assert {"presence dog", "presence car"} <= said.tells
    assert re.search(r"the dog\b.* to the left of the car\b", said.answer, re.IGNORECASE)


def test_a_relation_is_unsaid_where_the_boxes_do_not_decide_it() -> None:
    # Centres a tenth of the width apart; and extents that share more than a quarter of the shorter.
    assert said_by("relation", of_boxes(box("dog", 40, 40, 8, 20), box("car", 50, 40, 8, 20))) == []
    assert said_by("relation", of_boxes(box("dog", 10, 40, 40, 20), box("car", 35, 40, 40, 20))) == []
    voice = Voice(PHRASINGS, "0", "relation")
    near = of_boxes(box("dog", 40, 40, 8, 20), box("car", 50, 40, 8, 20))
    assert list(all_programs()["relation"].write(facts_of(near, "camera", ()), voice)) == []
    assert voice.unsaid == {"near_tie": 1}


@pytest.mark.parametrize("program", RELATIONS)
def test_one_of_several_has_no_relation_of_its_own(program: str) -> None:
    assert said_by(program, of_boxes(DOG, box("dog", 40, 60, 20, 20))) == []
    crowded = of_boxes(DOG, box("person", 60, 10, 30, 80, crowd=True))
    assert said_by(program, crowded) == []


def test_checks_are_answered_yes_as_often_as_no_and_rightly() -> None:
    briefs: Counter[str] = Counter()
    for said in said_by("relation_check", SIDE_BY_SIDE, seeds=400):
        asked = re.search(r"the (dog|car) (?:is |be \w+ )?to the (left|right) of", said.question)
        assert asked is not None
        is_true = (asked[1], asked[2]) in {("dog", "left"), ("car", "right")}
        assert said.brief == ("yes" if is_true else "no")
        assert said.answer.lower().startswith(said.brief)
        briefs[said.brief] += 1
    assert abs(briefs["yes"] - briefs["no"]) < 70


def test_a_choice_names_both_in_either_order() -> None:
    orders = Counter(
        (said.brief, said.question.lower().index("dog") < said.question.lower().index("car"))
        for said in said_by("relation_choice", SIDE_BY_SIDE, seeds=400)
    )
    assert len(orders) == 4 and min(orders.values()) > 60
    for said in said_by("relation_choice", SIDE_BY_SIDE):
        farther = re.search(r"(?:farther|further) (left|right)", said.question)
        assert farther is not None
        assert said.brief == {"left": "dog", "right": "car"}[farther[1]]


# Two steps


def test_a_chain_rests_on_two_relations_of_three_things() -> None:
    said = said_by("relation_chain", PARK)
    assert said
    for each in said:
        assert len(each.facts) == 2 and len(set(each.boxes)) == 3
    same = Counter(each.brief for each in said_by("relation_chain", PARK, seeds=300))
    assert abs(same["yes"] - same["no"]) < 60


def test_a_thing_is_looked_for_step_by_step_only_where_there_is_one() -> None:
    def steps(annotation: ImageAnnotation) -> set[str]:
        asked = (said.question.lower() for said in said_by("relation_chain", annotation))
        return {each for each in asked if "vehicle" in each}

    boat, dog, cat = box("boat", 45, 40, 12, 20), box("dog", 5, 5, 15, 15), box("cat", 80, 80, 15, 15)
    assert steps(of_boxes(boat, dog, cat))
    # A bus in the same direction; one that is not clearly elsewhere; a crowd of them.
    assert not steps(of_boxes(boat, dog, cat, box("bus", 40, 65, 12, 12), box("bus", 60, 30, 12, 12)))
    assert not steps(of_boxes(boat, dog, cat, box("bus", 30, 30, 40, 40, crowd=True)))


def test_what_is_between_two_others_is_clear_of_both() -> None:
    said = said_by("between", PARK)
    assert {each.facts[0] for each in said} == {
        ("between", "across", 3, 1, 2),
        ("between", "across", 3, 2, 1),
    }
    assert {each.brief for each in said} == {"kite"}
    assert said_by("between", of_boxes(DOG, CAR, box("kite", 5, 4, 20, 10))) == []


# Extents

TIE = box("tie", 22, 30, 6, 20)
PERSON = box("person", 10, 10, 30, 80)
OVEN = box("oven", 60, 10, 25, 25)


def test_overlap_and_containment_are_asked_only_where_both_answers_are_to_be_had() -> None:
    for program, yes in (("overlap", "overlapping"), ("containment", "inside")):
        said = said_by(program, of_boxes(TIE, PERSON, OVEN), seeds=200)
        kinds = Counter((each.brief, each.facts[0][0]) for each in said)
        assert kinds.keys() == {("yes", yes), ("no", "disjoint")}
        assert said_by(program, of_boxes(TIE, PERSON)) == []
        assert said_by(program, of_boxes(PERSON, OVEN)) == []
        # Each answer is drawn by a coin, whatever there is more of.
        first = Counter(each[0].brief for each in by_seed(program, of_boxes(TIE, PERSON, OVEN), seeds=300))
        assert abs(first["yes"] - first["no"]) < 60


def test_what_is_neither_apart_nor_overlapping_is_unsaid() -> None:
    # The bench meets the person, and shares less than a quarter of itself with the oven.
    bench = box("bench", 40, 30, 24, 20)
    said = said_by("overlap", of_boxes(TIE, PERSON, OVEN, bench))
    assert {frozenset(each.boxes) for each in said} == {
        frozenset(pair) for pair in ((1, 2), (1, 3), (1, 4), (2, 3))
    }


# Which one


def test_which_of_two_is_told_by_what_sets_it_apart() -> None:
    said = said_by("referring_which", TWO_DOGS)
    facts = {fact for each in said for fact in each.facts}
    assert facts >= {("count", "dog", 2), ("largest", 2, "dog"), ("extreme", 2, "right", "dog")}
    # They are at one height, and the car is between them.
    assert not {fact[0] for fact in facts} & {"above", "below"}
    assert not {("extreme", 1, "top", "dog"), ("extreme", 2, "bottom", "dog")} & facts


def test_which_is_on_a_side_is_told_with_a_place() -> None:
    # The first dog is on no clear side, so that nothing says where it is.
    dogs = of_boxes(box("dog", 23, 27, 20, 12), box("dog", 60, 60, 35, 35))
    of_sides = [said for said in said_by("referring_which", dogs) if not {"largest dog"} & said.asks]
    assert {("extreme", 2, "right", "dog"), ("extreme", 2, "bottom", "dog")} <= {
        fact for said in of_sides for fact in said.facts
    }
    assert all(("place", 2, "bottom_right") in said.facts for said in of_sides)


def test_which_is_not_asked_where_one_cannot_be_pointed_at() -> None:
    tiny = of_boxes(box("dog", 4, 40, 3, 3), box("dog", 60, 40, 30, 20))
    for program in REFERRING:
        assert said_by(program, tiny) == []


def test_a_phrase_that_picks_one_out_is_untrue_of_the_others() -> None:
    said = [each for each in said_by("referring_expression", TWO_DOGS) if each.brief]
    assert said
    for each in said:
        phrase = re.search(r'"the dog ([^"]+)"', each.answer)
        assert phrase is not None and "right" in phrase[1]
        assert ("across", 1, "left") in each.facts
    # The upper left and the left: "the dog on the left" could be either.
    alike = of_boxes(box("dog", 4, 4, 20, 20), box("dog", 4, 37, 20, 35))
    assert said_by("referring_expression", alike) == []


def test_what_is_meant_is_the_only_one_there() -> None:
    one = of_boxes(box("dog", 5, 40, 15, 15), box("cat", 80, 40, 15, 15), box("bench", 40, 20, 20, 60))
    asked = {
        (said.brief, fact)
        for said in said_by("referring_what", one)
        for fact in said.facts[:1]
        if "animal" in said.question
    }
    assert ("dog", ("left_of", 1, 3)) in asked and ("cat", ("across", 2, "right")) in asked
    two = of_boxes(*one.boxes, box("horse", 5, 70, 20, 20))
    dogs = [said for said in said_by("referring_what", two) if said.brief == "dog"]
    assert not any(said.facts[0] in {("left_of", 1, 3), ("across", 1, "left")} for said in dogs)


# In numbers


def test_numbers_are_asked_for_only_by_packs_that_want_them() -> None:
    assert {name: all_programs()[name].weight for name in IN_NUMBERS} == dict.fromkeys(IN_NUMBERS, 0.0)
    said = said_by("grounding", of_boxes(DOG), seeds=1)
    assert [(each.answer, each.facts) for each in said] == [
        ("[0.04, 0.60, 0.24, 0.80]", (("coordinates", 1, 0.04, 0.6, 0.24, 0.8),))
    ]
    reverse = said_by("grounding_what", of_boxes(DOG), seeds=1)
    assert "[0.04, 0.60, 0.24, 0.80]" in reverse[0].question and reverse[0].brief == "dog"


# Words

ODD = of_boxes(
    *(box("ship", x, 80, 8, 8) for x in (5, 45, 80)),
    box("storage_tank", 80, 5, 15, 15),
    box("Pleural Effusion", 5, 5, 20, 20),
    box("skis", 30, 30, 20, 10),
    box("broccoli", 60, 40, 20, 20),
    box("42", 40, 60, 10, 10),
)


@pytest.mark.parametrize("program", (*RELATIONS, *CHAINS, *EXTENTS, *REFERRING))
def test_from_overhead_nothing_is_above(program: str) -> None:
    for annotation in (PARK, TWO_DOGS, ODD):
        for said in said_by(program, annotation, frame="overhead"):
            text = f"{said.question} {said.answer}"
            assert not re.search(r"\b(above|below|higher|lower|upper|highest|lowest)\b", text, re.IGNORECASE)


@pytest.mark.parametrize("program", (*RELATIONS, *CHAINS, *EXTENTS, *REFERRING, *IN_NUMBERS))
def test_no_sentence_is_broken_by_an_odd_category(program: str) -> None:
    wrong = re.compile(
        r"\bskis (is|lies|takes|comes|does)\b|(?<!and the )\bbroccoli (are|lie|take|come)\b|\ba [aeio]"
        r"|\b42\b|[_<>{}|]|  | [.,?;]"
        r"|\b(captions?|bounding|box(es)?|annotations?|labels?|behind|closest|in front)\b",
        re.IGNORECASE,
    )
    for frame in ("camera", "overhead", "radiograph"):
        for said in said_by(program, ODD, frame=frame):
            assert not wrong.search(f"{said.question} {said.answer}"), said
            assert not {fact for fact in said.facts if 8 in fact[1:2]}
