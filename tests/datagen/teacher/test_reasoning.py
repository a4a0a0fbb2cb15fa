"""Reasoning: what answers may conclude, what they rest on, and what a pack's knowledge may say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence

import pytest

from datagen.records import Box, Frame, InputError
from datagen.teacher.programmatic.facts import Facts, facts_of
from datagen.teacher.programmatic.knowledge import Knowledge, read_knowledge
from datagen.teacher.programmatic.reasoning import conjugated
from datagen.teacher.programmatic.registry import Program, Said, all_programs
from datagen.teacher.programmatic.teacher import ZONE_FAMILY
from datagen.teacher.programmatic.voice import Phrasing, Voice, read_phrasings, slots_of
from datagen.teacher.programmatic.words import CATEGORIES
from tests.datagen.coco import PACK
from tests.datagen.teacher.test_programmatic import box, image

PHRASINGS = read_phrasings(PACK.files)
KNOWLEDGE = read_knowledge(PACK.files)
# Programs about zones have nothing to say of these images: test_programs_zones.py has their own.
PROGRAMS = {
    name: each
    for name, each in all_programs().items()
    if each.response_type == "complex_reasoning" and each.family != ZONE_FAMILY
}
SEEDS = range(12)

DESK = (box("laptop", 30, 40, 25, 25), box("cup", 56, 50, 8, 10), box("keyboard", 20, 70, 40, 10))
TABLE = (
    *(box("person", x, 10, 15, 60) for x in (5, 40, 75)),
    box("dining table", 5, 60, 90, 35),
    *(box("chair", x, 55, 15, 40) for x in (5, 60)),
    box("knife", 30, 70, 15, 4),
    box("fork", 46, 70, 12, 4),
    box("pizza", 60, 62, 20, 15),
)
STREET = (
    *(box("bicycle", x, 40, 15, 30) for x in (5, 25, 65)),
    box("car", 45, 30, 20, 15),
    box("bus", 70, 5, 30, 30),
    box("traffic light", 2, 2, 8, 20),
)
RIDER = ("A man is riding a horse on a beach.", "The man rides a brown horse.", "a man riding a horse")


class Checked(Voice):
    """A voice that makes sure of a value for every slot of every wording it might have drawn."""

    def fill(self, key: str, phrasings: Sequence[Phrasing], slots: Mapping[str, str]) -> str:
        assert frozenset[str]().union(*map(slots_of, phrasings)) <= slots.keys(), key
        return super().fill(key, phrasings, slots)


FILES = ("reasoning", "reasoning_things", "reasoning_together", "reasoning_picture")
DIRECTION = re.compile(
    r"\b(behind|above|below|beneath|lower|lowest|upper|in front of|nearest|closest|farthest|background)\b"
)


def texts_of(value: object, path: str) -> Iterator[tuple[str, str]]:
    """All texts of a file with where each stands, as evidence has it."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from texts_of(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, each in enumerate(value, 1):
            yield from texts_of(each, f"{path}.{number}")
    elif isinstance(value, str):
        yield path, value


TEXTS = {
    # Of a reason without its verb, which may be in the third person.
    path.removesuffix(".say"): re.sub(
        r"<\w+>", ".+", text.lower().split(" ", 1)[-1] if ".reasons." in path else text.lower()
    )
    for path, text in texts_of(tomllib.loads(PACK.files["knowledge.toml"]), "")
    if re.search(r"\.(uses|risks|care|needs|reasons|for|because|so|points|questions)\.\d+(\.say)?$", path)
    and "[" not in text
}
"""The words of entries of knowledge.toml as patterns, by path, where there is no choice in them."""


def facts(
    *boxes: Box,
    captions: tuple[str, ...] = (),
    frame: Frame = "camera",
    knowledge: Knowledge = KNOWLEDGE,
) -> Facts:
    return facts_of(image(captions, boxes), frame, tuple(CATEGORIES), knowledge=knowledge)


def said_by(name: str, of: Facts) -> list[Said]:
    """The first thing that a program says, by seed."""
    program: Program = PROGRAMS[name]
    said = (next(program.write(of, Checked(PHRASINGS, str(seed), name)), None) for seed in SEEDS)
    return [each for each in said if each is not None]


def asserted(said: Said) -> set[tuple[str | int | float, ...]]:
    """What it says of the image, without the knowledge."""
    return {fact for fact in said.facts if fact[0] not in ("knows", "place", "left_of", "right_of")}


# What is said


def test_a_reason_stands_in_the_form_that_its_subject_wants() -> None:
    reasons = ("be looking for a bag", "have a table to lay", "try", "enjoy", "wish to")
    forms = ["is looking for a bag", "has a table to lay", "tries", "enjoys", "wishes to"]
    assert [conjugated(reason) for reason in reasons] == forms
    forms = ["are looking for a bag", *reasons[1:]]
    assert [conjugated(reason, is_plural=True) for reason in reasons] == forms


def test_nothing_is_next_to_who_wears_holds_or_rides_it() -> None:
    says_so = re.compile(r"next to|close together|right beside|no space|close to (a|the) (person|suitcase)")

    def is_said(suitcase: Box, *captions: str) -> bool:
        scene = facts(box("person", 30, 5, 30, 80), suitcase, captions=captions)
        return any(says_so.search(said.answer) for name in PROGRAMS for said in said_by(name, scene))

    beside = box("suitcase", 61, 60, 20, 20)
    assert is_said(beside)
    assert not is_said(beside, "A man is pulling a suitcase.", "A man at a gate.")
    assert not is_said(box("suitcase", 55, 60, 20, 20))


def test_a_sentence_hedges_once() -> None:
    people = (box("person", 5, 10, 20, 60), box("person", 40, 10, 20, 60))
    scenes = (facts(*people, box("frisbee", 61, 20, 8, 8)), facts(*TABLE), facts(*DESK))
    for said in (each for name in PROGRAMS for scene in scenes for each in said_by(name, scene)):
        assert not re.search(r"possible that [^.;]* may |explanation [^.;]* may |who may ", said.answer)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("frame", ["camera", "overhead", "radiograph"])
def test_whatever_is_said_has_its_words_and_the_length_of_an_answer(name: str, frame: Frame) -> None:
    scenes = (
        facts(*DESK, frame=frame),
        facts(*TABLE, frame=frame, captions=("Three people sit down in a restaurant.",)),
        facts(*TABLE, frame=frame),
        facts(*STREET, frame=frame),
        facts(box("giraffe", 5, 5, 40, 90), box("giraffe", 55, 5, 40, 90), frame=frame),
        facts(box("person", 30, 5, 30, 60), box("horse", 20, 30, 60, 65), captions=RIDER, frame=frame),
        facts(*(box("orange", x, 40, 9, 9) for x in (3, 15, 27, 40, 80)), frame=frame),
    )
    said = [each for scene in scenes for each in said_by(name, scene)]
    assert said
    for each in said:
        assert 65 <= len(each.answer.split()) <= 166, each.answer
        assert each.answer.endswith(".") and ".." not in each.answer and "  " not in each.answer
        assert each.question.endswith(("?", ".")) and each.brief


def test_liquid_matters_only_where_it_is_near() -> None:
    near, far = facts(*DESK[:2]), facts(DESK[0], box("cup", 90, 5, 8, 10))
    there = frozenset({("present", "laptop"), ("present", "cup")})
    either_way = {there | {("near", 1, 2)}, there | {("near", 2, 1)}}
    assert {frozenset(asserted(said)) for said in said_by("pair_rules", near)} == either_way
    assert said_by("pair_rules", far) == []


def test_there_is_one_for_everybody_only_where_both_numbers_are_certain() -> None:
    said = said_by("sharing", facts(*TABLE[:6]))
    counted = {("count", "person", 3), ("count", "chair", 2), ("more", "person", "chair")}
    assert {(each.brief, frozenset(asserted(each))) for each in said} == {("few", frozenset(counted))}
    assert all("three people" in each.answer and "two chairs" in each.answer for each in said)
    assert said_by("sharing", facts(*TABLE[:6], box("person", 0, 0, 90, 20, crowd=True))) == []


def test_parts_are_added_up_over_all_that_have_them() -> None:
    said = said_by("arithmetic", facts(*STREET))
    assert {each.brief for each in said} == {"10"}
    rests_on = {
        ("present", "car"),
        ("count", "car", 1),
        ("count", "bicycle", 3),
        ("knows", "things.car.parts.wheels"),
        ("knows", "things.bicycle.parts.wheels"),
    }
    for each in said:
        assert {fact for fact in each.facts if ".uses." not in str(fact[1])} == rests_on


def test_only_what_nothing_hints_at_is_missed() -> None:
    cutlery = (box("fork", 20, 40, 10, 30), box("knife", 60, 40, 10, 30))
    alone = said_by("missing_companion", facts(*cutlery))
    assert {each.brief for each in alone} == {"dining table", "cake"}
    hinted = facts(*cutlery, captions=("A fork and a knife on a table.", "Silverware on a table."))
    assert {each.brief for each in said_by("missing_companion", hinted)} == {"cake"}


def test_a_place_is_concluded_where_captions_do_not_speak_against_it() -> None:
    kitchen = (
        box("oven", 5, 40, 30, 50),
        box("refrigerator", 60, 5, 35, 90),
        box("microwave", 8, 10, 20, 15),
    )
    assert {each.brief for each in said_by("kind_of_place", facts(*kitchen))} == {"kitchen"}
    named = facts(*kitchen, captions=("The kitchen has an oven.", "A kitchen with a refrigerator."))
    assert all("kitchen" in each.question for each in said_by("kind_of_place", named))
    for caption in (
        "An oven and a refrigerator in a warehouse.",
        "An oven and a refrigerator stand outside.",
    ):
        assert said_by("kind_of_place", facts(*kitchen, captions=(caption,))) == []


def test_what_somebody_does_is_asked_about_with_what_it_is_done_with() -> None:
    rider = facts(box("person", 30, 5, 30, 60), box("horse", 20, 30, 60, 65), captions=RIDER)
    for name in ("why_doing", "minding_doing"):
        said = said_by(name, rider)
        assert said and all("riding a" in each.question and "horse" in each.question for each in said)
        assert all(any(fact[0] == "told" for fact in each.facts) and each.captions for each in said)


def test_without_knowledge_only_the_picture_itself_is_reasoned_about() -> None:
    nothing = read_knowledge({})
    ships = [box("ship", x, 80, 8, 8) for x in (5, 15, 25, 35)]
    tanks = [box("storage_tank", x, 5, 15, 15) for x in (60, 80)]
    harbor = facts(*ships, *tanks, box("harbor", 2, 40, 60, 30), knowledge=nothing)
    speaking = {name: {each.brief for each in said} for name in PROGRAMS if (said := said_by(name, harbor))}
    assert speaking == {"focus": {"harbor"}, "distribution": {"all"}, "sharing": {"many"}}


def test_what_is_listed_as_known_is_said() -> None:
    scenes = (
        facts(*DESK),
        facts(*TABLE, captions=("Three people sit down in a restaurant.", "A restaurant with a pizza.")),
        facts(*STREET),
        facts(box("person", 30, 5, 30, 60), box("horse", 20, 30, 60, 65), captions=RIDER),
    )
    listed = 0
    for said in (each for name in PROGRAMS for scene in scenes for each in said_by(name, scene)):
        text = f"{said.question} {said.answer}".lower()
        for fact in said.facts:
            if fact[0] == "knows" and fact[1] in TEXTS:
                assert re.search(TEXTS[str(fact[1])], text), (fact, text)
                listed += 1
    assert listed > 1000


def test_care_is_given_a_reason_only_where_it_helps() -> None:
    remedies = KNOWLEDGE.things["knife"].remedies
    children, blunt = "children tend to grab shiny handles", "blunt blades slip more readily than keen ones"
    assert [(risk.wording, care.wording) for risk, care in remedies] == [
        ((children,), ("keep knives out of reach of small children",)),
        ((blunt,), ("sharpen kitchen knives regularly",)),
    ]


def test_what_is_known_is_said_where_it_suits_what_is_there() -> None:
    sink = box("sink", 30, 30, 40, 40)

    def uses(*captions: str) -> set[str]:
        said = said_by("why_here", facts(sink, box("mouse", 80, 80, 9, 9), captions=captions))
        return {str(fact[1]) for each in said for fact in each.facts if ".sink.uses." in str(fact[1])}

    washing, rinsing, dishes, drawing = (f"things.sink.uses.{number}" for number in range(1, 5))
    assert uses() == {washing, rinsing, dishes, drawing}
    assert uses("A sink in a bathroom.", "A white sink.") == {washing, drawing}
    assert dishes in uses("Dishes in a sink.", "A white sink.") and len(uses("Dishes in a sink.")) > 1


def test_people_who_do_something_have_come_for_that() -> None:
    def purposes(caption: str) -> set[str]:
        kitchen = (box("person", 30, 5, 30, 60), box("oven", 65, 30, 30, 40))
        said = said_by("place_purpose", facts(*kitchen, captions=(caption, "A kitchen with an oven.")))
        return {str(fact[1]) for each in said for fact in each.facts if ".for." in str(fact[1])}

    assert purposes("A woman is cooking in a kitchen.") == {"places.kitchen.for.1"}
    assert purposes("A woman is cutting hair in a kitchen.") == set()
    assert len(purposes("A woman in a kitchen.")) > 2


def test_the_first_point_of_a_theme_answers_its_question() -> None:
    knowledge = read_knowledge(
        {
            "knowledge.toml": "[[theme]]\nany = ['dog']\nquestions = ['Why?', 'How?']\n"
            "answers = [[2], [1, 3]]\nsuggests = ['s']\npoints = ['a', 'b', 'c']"
        }
    )
    first = {
        (said.question, next(path for _, path, *_ in said.facts if str(path).startswith("theme.1.points")))
        for said in said_by("theme", facts(box("dog", 30, 30, 40, 40), knowledge=knowledge))
    }
    points = {"Why?": [2], "How?": [1, 3]}
    assert first == {
        (question, f"theme.1.points.{number}") for question, found in points.items() for number in found
    }


# What knowledge.toml may say


@pytest.mark.parametrize("path", ["knowledge.toml", *(f"phrasings/{name}.toml" for name in FILES)])
def test_the_words_of_reasoning_speak_of_no_direction_and_no_depth(path: str) -> None:
    texts = texts_of(tomllib.loads(PACK.files[path]), "")
    assert [(where, text) for where, text in texts if DIRECTION.search(text)] == []


def test_a_pack_without_the_file_knows_nothing() -> None:
    assert read_knowledge({}) == Knowledge() == Knowledge({}, {}, {}, (), ())


def test_captions_name_places_by_their_longest_words() -> None:
    def named(caption: str) -> set[str]:
        return KNOWLEDGE.places_in(caption.split())

    assert named("kids at a skate park in two streets") == {"skate park", "street"}
    assert named("a man rides a horse") == set()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = ", "not valid TOML: Invalid value (at end of document)"),
        ("x = 1", "x: no such key; there are places, traits, things, pair, theme, zone"),
        ("things = 1", "things: must be a table, got 1"),
        (
            "[things.a]\nrisks = ['r']\ncare = ['c']\nagainst = [1, 0]",
            "things.a.against: must have a number for each of care, 1 in all, got 2",
        ),
        (
            "[things.a]\nrisks = ['r']\ncare = ['c']\nagainst = [2]",
            "things.a.against: must be numbers of risks, 0 to 1, got 2",
        ),
        (
            "[[pair]]\nfirst_is = ['dog']\nsecond_is = ['cat']\nquestions = ['q']\nbecause = ['b', 'd']\n"
            "so = ['s']",
            "pair.1.so: must have one for each of because, 2 in all, got 1",
        ),
        ("[things.a]\ngoes_with = ['forc']", "things.a.goes_with: no category 'forc'; check its spelling"),
        ("[things.a]\nplaces = ['x']", "things.a.places: no place 'x'; there are none"),
        ("[traits]\nt = 'can'\n[things.a]\ntraits = ['x']", "things.a.traits: no trait 'x'; there are t"),
        (
            "[things.a]\nuses = [{ say = 'b', with = ['c'] }]",
            "things.a.uses.1.with: no such key; there are say, only, without",
        ),
        ("[things.a]\nuses = [{ only = ['c'] }]", "things.a.uses.1.say: missing"),
        ("[things.a]\nuses = 'b'", "things.a.uses: must be a list, got 'b'"),
        ("[things.a]\nuses = [1]", "things.a.uses.1: must be text, got 1"),
        ("[things.a]\nuses = ['<b>']", "things.a.uses.1: no slot <b> here; there are no slots"),
        (
            "[things.a]\nuses = ['a[b']",
            "things.a.uses.1: 'a[b': a stray bracket; slots are <name>, parts {name}, choices [one|other]",
        ),
        ("[things.a]\nserves = 0", "things.a.serves: must be a whole number from 1, got 0"),
        ("[things.a.parts]\nwheels = true", "things.a.parts.wheels: must be a whole number from 1, got True"),
        ("[places.a]", "places.a.say: missing"),
        ("[places.a]\nsay = 'an a'\nwords = ['ä']", "places.a.words: must be words of a to z"),
        ("[[pair]]\nname = 'x'", "pair.1: give either first, a trait, or first_is, categories"),
        ("[[theme]]\nany = ['dog']", "theme.1.questions: must be a list with at least one entry"),
        (
            "[[theme]]\nany = ['dog']\nquestions = ['q']\npoints = ['p']",
            "theme.1.answers: must have one for each of questions, 1 in all, got 0",
        ),
        (
            "[[theme]]\nany = ['dog']\nquestions = ['q']\npoints = ['p']\nanswers = [[2]]",
            "theme.1.answers: must be lists of numbers of points, 1 to 1, got [2]",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_where_it_is(text: str, problem: str) -> None:
    with pytest.raises(InputError) as raised:
        read_knowledge({"knowledge.toml": text})
    assert str(raised.value) == f"knowledge.toml: {problem}"
