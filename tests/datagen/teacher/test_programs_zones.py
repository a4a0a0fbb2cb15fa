"""Programs about marked areas: what boxes decide, and what packs without them are spared."""

from __future__ import annotations

import pytest

from datagen.records import Box, ImageAnnotation, InputError
from datagen.teacher.programmatic.detail import Teller
from datagen.teacher.programmatic.facts import Facts, facts_of
from datagen.teacher.programmatic.knowledge import read_knowledge
from datagen.teacher.programmatic.programs.zones import marked_in, sides_of
from datagen.teacher.programmatic.registry import Said, all_programs
from datagen.teacher.programmatic.teacher import ZONE_FAMILY, weights_of
from datagen.teacher.programmatic.voice import Voice, read_phrasings
from schemas.pack import ProgramsToml
from tests.datagen.coco import PACK
from tests.datagen.teacher.test_reasoning import Checked

KNOWLEDGE = """
[things.crane]
[things."loading bay"]
[things.crate]
uses = ["storing goods", "moving goods"]
[things.cart]
[things.scissors]
[[zone]]
name = "bay"
zone = "loading bay"
leave_out = ["crane"]
without = ["person"]
questions = ["What can be loaded now?"]
inside = ["<inside> may be loaded first"]
outside = ["<outside> may have to be brought closer"]
limits = ["what is heavy cannot be told"]
"""
FILES = {"knowledge.toml": KNOWLEDGE}
PROGRAMS = {name: each for name, each in all_programs().items() if each.family == ZONE_FAMILY}
BAY = ("loading bay", 10, 10, 60, 80)
IN, IN_TOO, OUT, OUT_TOO = (20, 20, 10, 10), (40, 40, 10, 10), (80, 20, 10, 10), (80, 50, 10, 10)
ON_THE_LINE = (65, 40, 10, 10)


def facts(*boxes: tuple[str, int, int, int, int]) -> Facts:
    seen = tuple(Box(number, *box, False) for number, box in enumerate(boxes, 1))
    annotation = ImageAnnotation(1, "1.jpg", 100, 100, (), seen)
    return facts_of(annotation, "overhead", (), knowledge=read_knowledge(FILES))


def said(program: str, known: Facts, draws: int = 40) -> list[Said]:
    """What a program says of it, with so many seeds."""
    phrasings = read_phrasings(PACK.files)
    found: list[Said] = []
    for origin in range(draws):
        voice = Checked(phrasings, str(origin), program)
        found += PROGRAMS[program].write(known, Teller(voice) if program == "zone_sides" else voice)
    return found


def test_what_crosses_the_line_is_on_neither_side() -> None:
    known = facts(BAY, ("crate", *IN), ("cart", *ON_THE_LINE), ("scissors", *OUT), ("crane", *IN_TOO))
    (marked,) = marked_in(known)
    voice = Voice({"parts.image": (("image",),)}, "")
    inside, outside = sides_of(marked, known, voice)
    assert [some.the for some in inside] == ["the crate"]
    assert [some.the for some in outside] == ["the scissors"]
    assert voice.unsaid == {"near_tie": 1}


def test_some_of_a_kind_are_told_from_the_others() -> None:
    known = facts(BAY, ("crate", *IN), ("crate", *IN_TOO), ("crate", *OUT), ("cart", *OUT_TOO))
    (marked,) = marked_in(known)
    inside, outside = sides_of(marked, known, Voice({}, ""))
    assert [(some.the, some.one, some.be) for some in inside] == [
        ("two of the three crates", "two of the three crates", "are")
    ]
    assert [(some.the, some.one, some.rest, some.be) for some in outside] == [
        ("the cart", "a cart", "the other cart", "is"),
        ("one of the three crates", "one of the three crates", "the other crate", "is"),
    ]


def test_a_check_is_answered_by_yes_as_often_as_by_no() -> None:
    turns = said("zone_check", facts(BAY, ("crate", *IN), ("cart", *OUT)), 200)
    for turn in turns:
        asked = "crate" if "crate" in turn.question else "cart"
        assert turn.brief == ("yes" if asked == "crate" else "no")
        assert (" inside " if asked == "crate" else " outside ") in turn.answer
        assert turn.facts[0] == (("inside", 2, 1) if asked == "crate" else ("disjoint", 3, 1))
        opens = turn.answer.startswith(("Yes, ", "No, "))
        assert opens != (" or outside" in turn.question)
    first = [turn.brief for turn in turns]
    assert 0.4 < first.count("yes") / len(first) < 0.6


def test_nothing_is_asked_that_could_only_be_answered_by_yes() -> None:
    assert said("zone_check", facts(BAY, ("crate", *IN), ("cart", *IN_TOO))) == []


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_without_a_marked_area_in_view_nothing_is_said(program: str) -> None:
    assert said(program, facts(("crate", *IN), ("cart", *OUT))) == []


def test_contents_name_what_is_on_the_side_that_is_asked_for() -> None:
    for turn in said("zone_contents", facts(BAY, ("crate", *IN), ("cart", *OUT))):
        first, _, rest = turn.answer.partition(", while ")
        assert ("inside", 2, 1) in turn.facts if turn.brief == "inside" else ("disjoint", 3, 1) in turn.facts
        assert ("a crate" if turn.brief == "inside" else "a cart") in first
        assert not rest or ("disjoint", 3, 1) in turn.facts


def test_meaning_states_what_is_seen_and_what_is_known_of_it_and_stays_silent_with_people() -> None:
    boxes = (BAY, ("crate", *IN), ("cart", *OUT))
    turns = said("zone_meaning", facts(*boxes))
    assert all(65 <= len(turn.answer.split()) <= 166 for turn in turns)
    turn = turns[0]
    assert turn.question == "What can be loaded now?"
    for words in (
        "rate may be loaded first",
        "art may have to be brought closer",
        "hat is heavy cannot be told",
    ):
        assert words in turn.answer
    assert {("inside", 2, 1), ("disjoint", 3, 1), ("knows", "zone.1.inside.1")} <= {*turn.facts}
    assert said("zone_meaning", facts(*boxes, ("person", *OUT_TOO))) == []


def test_only_packs_with_a_zone_have_the_programs() -> None:
    settings = ProgramsToml()
    assert len(PROGRAMS) == 4
    assert not PROGRAMS.keys() & {program.name for program in weights_of(settings, PACK.files)}
    with_zone = weights_of(settings, FILES)
    assert PROGRAMS.keys() <= {program.name for program in with_zone}
    assert len(with_zone) == len(all_programs())


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('zone = "loading bay"\n', "", "knowledge.toml: zone.1.zone: missing"),
        ('zone = "loading bay"\n', 'zone = "bay"\n', "knowledge.toml: zone.1.zone: no category 'bay'"),
        (
            "<inside>",
            "<outside>",
            "knowledge.toml: zone.1.inside.1: no slot <outside> here; there are <inside>",
        ),
        ("limits = ", "limit = ", "knowledge.toml: zone.1.limit: no such key"),
    ],
)
def test_a_zone_that_cannot_be_used_is_one_line(old: str, new: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_knowledge({"knowledge.toml": KNOWLEDGE.replace(old, new, 1)})
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)
