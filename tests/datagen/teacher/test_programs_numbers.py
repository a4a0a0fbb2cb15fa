"""Whether something is there, how many there are, and which of four is right: asked where that is decided."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from datagen.records import Box, CategoryStatistics, Frame, ImageAnnotation
from datagen.teacher.programmatic.facts import facts_of
from datagen.teacher.programmatic.registry import Said, all_programs
from datagen.teacher.programmatic.voice import Voice, read_phrasings
from datagen.teacher.programmatic.words import CATEGORIES
from schemas.pack import MarginsToml
from tests.datagen.coco import PACK
from tests.datagen.teacher.test_programmatic import SHIPS, STREET, assert_reads_whole, box, image

COCO = tuple(CATEGORIES)
PHRASINGS = read_phrasings(PACK.files)
PROGRAMS = {
    name: program
    for name, program in all_programs().items()
    if program.response_type == "conversation" and program.family in ("presence", "number", "choice")
}
STATISTICS = CategoryStatistics(
    ("person", "chair", "car", "zebra", "cup"),
    {"dog": ("cat", "person", "frisbee"), "person": ("tie", "handbag"), "car": ("bus",)},
)
NUMBERS = {word: number for number, word in enumerate("none one two three four five six seven".split())}


def said_by(
    program: str,
    annotation: ImageAnnotation,
    *,
    seeds: int = 40,
    vocabulary: tuple[str, ...] = COCO,
    frame: Frame = "camera",
    margins: MarginsToml = MarginsToml(),  # noqa: B008 (it cannot be changed)
    voices: list[Voice] | None = None,
) -> list[Said]:
    """All that the program could say with these seeds."""
    facts = facts_of(annotation, frame, vocabulary, margins, STATISTICS)
    said = []
    for seed in range(seeds):
        voice = Voice(PHRASINGS, str(seed), program)
        said += list(PROGRAMS[program].write(facts, voice))
        if voices is not None:
            voices.append(voice)
    return said


def dogs(*places: tuple[float, float]) -> tuple[Box, ...]:
    """Dogs of 10 by 10 with their centres there."""
    return tuple(box("dog", x - 5, y - 5, 10, 10) for x, y in places)


CAT = box("cat", 45, 45, 10, 10)


def ships(number: int, *captions: str) -> ImageAnnotation:
    """So many ships in rows of ten."""
    boxes = tuple(box("ship", 10 * (at % 10), 8 * (at // 10), 4, 4) for at in range(number))
    return image(captions, boxes)


RANGES = MarginsToml(count_ranges=True)


@pytest.mark.parametrize(
    ("number", "low", "high"),
    [(13, 10, 20), (20, 15, 25), (23, 20, 30), (99, 90, 100), (100, 75, 125), (101, 100, 150)],
)
def test_a_number_too_large_to_be_counted_by_eye_is_told_as_a_range(number: int, low: int, high: int) -> None:
    said = said_by("counting", ships(number), seeds=10, margins=RANGES)
    assert len(said) > 3
    for each in said:
        assert each.facts[0] == ("range", "ship", low, high)
        assert each.brief == f"{low} to {high}"
        assert re.search(rf"between {low} and {high} ships|{low} to {high} ships", each.answer), each.answer


def test_many_is_no_word_against_a_range_and_another_number_is() -> None:
    many = said_by("counting", ships(23, "Many ships are in a harbor."), margins=RANGES)
    assert {each.facts[0] for each in many} == {("range", "ship", 20, 30)}
    assert said_by("counting", ships(23, "A harbor with 40 ships."), margins=RANGES) == []
    assert said_by("counting", ships(23)) == []
    (exact, *_) = said_by("counting", ships(12), margins=RANGES)
    assert exact.facts[0] == ("count", "ship", 12)


@pytest.mark.parametrize(
    ("caption", "spoken"),
    [
        ("A desk with two monitors.", "screen"),
        ("Televisions behind a computer.", "TV"),
        ("A living room.", "TV"),
    ],
)
def test_the_monitor_of_a_computer_is_called_no_tv(caption: str, spoken: str) -> None:
    (kind,) = facts_of(image((caption,), (box("tv", 40, 40, 20, 20),)), "camera", COCO).kinds
    assert (kind.noun.singular, kind.category) == (spoken, "tv")


def test_what_a_person_does_is_no_plural() -> None:
    captions = ("A boy skateboards on concrete.", "A skateboard under a boy.")
    one = image(captions, (box("skateboard", 40, 40, 20, 20),))
    assert {each.facts[0] for each in said_by("counting", one)} == {("count", "skateboard", 1)}


FOUR = image((), (*dogs((10, 10), (90, 10), (90, 90)), CAT))


def test_a_whole_turn_says_what_it_rests_on() -> None:
    (said,) = said_by("counting", image((), dogs((10, 50), (90, 50))), seeds=1)
    assert said == Said(
        question=said.question,
        answer=said.answer,
        brief="2",
        facts=(("count", "dog", 2), ("place", 1, "left"), ("place", 2, "right")),
        boxes=(1, 2),
        asks=frozenset(("count dog",)),
        tells=frozenset(("presence dog", "place dog")),
    )
    assert re.search("how many dogs", said.question, re.IGNORECASE)
    assert re.search(r"two dogs.*(one|One) (is )?(on|towards) the left.*(on|towards) the right", said.answer)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("frame", ["camera", "overhead", "radiograph"])
def test_whatever_the_set_what_is_said_reads_whole(program: str, frame: Frame) -> None:
    domain = ("ship", "storage_tank", "Pleural Effusion", "no_helmet", "SUV")
    swarm = tuple(box("boat", x, y, 4, 4) for x in range(0, 100, 10) for y in range(0, 100, 5))
    sets = (
        (image(), COCO),
        (image(("A dog runs.",)), COCO),
        (STREET, COCO),
        (SHIPS, domain),
        (image((), tuple(box(name, 10, 10 + 15 * at, 9, 9) for at, name in enumerate(domain))), domain),
        (image((), (box("skis", 1, 1, 50, 9), box("broccoli", 40, 60, 30, 30))), ("skis", "broccoli", "cat")),
        (image(("A big crowd.",), (box("person", 5, 5, 80, 80, crowd=True), CAT)), COCO),
        (image((), swarm), COCO),
        (image((), dogs((10, 10))), ("dog", "cat")),
    )
    for annotation, vocabulary in sets:
        for said in said_by(program, annotation, seeds=12, vocabulary=vocabulary, frame=frame):
            assert_reads_whole(said.question[:1].upper() + said.question[1:])
            assert_reads_whole(said.answer[:1].upper() + said.answer[1:])
            assert said.facts and said.brief and said.asks
            assert set(said.boxes) <= set(range(1, len(annotation.boxes) + 1))
            text = f"{said.question} {said.answer}".lower()
            assert not re.search(r"\b(broccolis|(one|two|a) (skis|broccoli)|there (is|are) (is|are))\b", text)
            if frame == "overhead":
                assert not re.search(r"\b(above|below|higher|lower|upper)\b", text)
            if frame == "radiograph":
                assert not re.search(r"\b(left|right) side\b", text)


# `finding_check` is left out: its "no" comes from reports that rule something out, its "yes" from others too.
ASK_BOTH = [name for name, each in PROGRAMS.items() if each.family == "presence" and name != "finding_check"]


@pytest.mark.parametrize("program", ASK_BOTH)
def test_where_nothing_can_be_called_absent_nothing_is_asked_for(program: str) -> None:
    assert said_by(program, SHIPS, vocabulary=("ship", "storage_tank")) == []
    assert said_by(program, FOUR, vocabulary=("dog", "cat")) == []


def test_absent_things_are_drawn_at_random_by_frequency_and_by_company() -> None:
    def asked(program: str) -> set[str]:
        return {str(said.facts[0][1]) for said in said_by(program, FOUR, seeds=200)}

    assert asked("absence_popular") == {"person", "chair", "car", "zebra", "cup"} - {"dog", "cat"}
    assert asked("absence_cooccurring") == {"person", "frisbee"}
    assert len(asked("absence_random")) > 40
    assert {said.brief for said in said_by("absence_random", FOUR)} == {"no"}


def test_no_group_is_missing_while_one_of_its_members_may_be_there() -> None:
    def answers(*captions: str, boxes: tuple[Box, ...] = (box("chair", 9, 9, 40, 40),)) -> set[str]:
        said = said_by("existence_of_group", image(captions, boxes), seeds=150)
        return {each.brief for each in said if "animals" in each.question}

    assert answers("A chair in a room.") == {"no"}
    assert answers("A chair in a room.", boxes=dogs((50, 50))) == {"yes"}
    assert answers("A chair beside a pig.") == answers("A chair beside some animal.") == set()


def test_both_are_there_or_one_is_missing() -> None:
    for said in said_by("existence_of_both", FOUR):
        kinds = [str(fact[0]) for fact in said.facts]
        assert kinds == (["count", "count"] if said.brief == "yes" else ["count", "absent"])
        assert said.answer.startswith("Yes," if said.brief == "yes" else "No,")


def test_a_number_is_confirmed_only_where_it_is_the_one_asked_for() -> None:
    briefs = Counter[str]()
    for said in said_by("counting_check", image((), dogs((10, 10), (50, 50), (90, 90))), seeds=200):
        asked = re.search(r"\b(one|two|three|four|five) dogs?\b", said.question)
        assert asked is not None
        assert said.brief == ("yes" if NUMBERS[asked[1]] == 3 else "no")
        assert said.answer.lower().startswith(said.brief) and "three dogs" in said.answer
        briefs[said.brief] += 1
    assert 0.4 < briefs["yes"] / briefs.total() < 0.6


def test_zero_is_the_number_of_what_is_absent() -> None:
    said = said_by("counting_zero", FOUR, seeds=100)
    assert said
    assert all(each.brief == "0" and each.facts[0] == ("absent", each.facts[0][1]) for each in said)


def test_numbers_are_compared_where_one_leads_by_the_margin() -> None:
    annotation = image((), (*dogs((10, 10), (50, 50)), CAT))
    for program in ("counting_compared", "counting_more"):
        said = said_by(program, annotation)
        assert {each.facts[0] for each in said} == {("more", "dog", "cat")}
        voices: list[Voice] = []
        assert said_by(program, annotation, margins=MarginsToml(more=2), voices=voices) == []
        assert voices[0].unsaid == {"near_tie": 1}
    for said_more in said_by("counting_more", annotation):
        is_dogs_first = said_more.question.index("dogs") < said_more.question.index("cats")
        assert said_more.brief == ("yes" if is_dogs_first else "no")


def test_equal_numbers_are_no_more() -> None:
    annotation = image((), (*dogs((10, 10), (50, 50)), CAT, box("cat", 70, 70, 10, 10)))
    (brief,) = {said.brief for said in said_by("counting_compared", annotation)}
    assert brief == "equal"
    assert {said.brief for said in said_by("counting_more", annotation)} == {"no"}


def test_a_group_is_summed_where_all_of_it_is_counted() -> None:
    said = said_by("counting_summed", FOUR)
    assert {each.facts[0] for each in said} == {("total", "animals", 4, "cat", "dog")}
    assert all("four" in each.answer.lower() for each in said)
    for caption in ("A cat, dogs and a horse.", "Dogs, a cat and a pig.", "A group of dogs and a cat."):
        assert said_by("counting_summed", image((caption,), FOUR.boxes)) == []


def test_there_is_most_of_what_leads_all_others() -> None:
    three = (*dogs((10, 10), (50, 50), (90, 90)), CAT, box("car", 20, 60, 20, 20), box("car", 60, 20, 20, 20))
    said = said_by("most_frequent", image((), three))
    assert {each.brief for each in said} == {"dog"}
    assert said_by("most_frequent", image((), (*three, box("car", 70, 20, 25, 15)))) == []
    assert said_by("most_frequent", image((), (*three, box("cls_3", 70, 20, 25, 15)))) == []


def test_halves_are_counted_where_none_is_near_the_middle() -> None:
    def found(*places: tuple[float, float]) -> set[tuple[object, ...]]:
        return {said.facts[0] for said in said_by("counting_on_side", image((), dogs(*places)))}

    assert found((10, 20), (20, 20), (90, 20)) == {
        ("half", "dog", "left", 2, 3),
        ("half", "dog", "right", 1, 3),
    }
    assert found((10, 49), (20, 20)) == {("half", "dog", "left", 2, 2), ("half", "dog", "right", 0, 2)}
    assert found((48, 49), (20, 20)) == set()
    narrow = image((), (box("dog", 46, 10, 4, 30), box("dog", 10, 10, 4, 30)))
    assert {said.facts[0][2] for said in said_by("counting_on_side", narrow)} == {"top", "bottom"}
    # Its centre lies left of the middle, and a third of it to the right.
    wide = image((), (box("dog", 10, 48, 60, 4), *dogs((10, 50))))
    assert said_by("counting_on_side", wide) == []


OPTION = re.compile(r"\(?\b([A-D])(?:[.:]|\)) (.+?)(?=(?:[,;]| or) \(?[A-D][.:)]|[?.](?: |$))")


def options_of(said: Said) -> dict[str, str]:
    options = dict(OPTION.findall(said.question))
    assert "".join(options) == "ABCD", said.question
    return options


def test_of_four_things_the_letter_is_that_of_the_one_that_is_there_or_is_not() -> None:
    there = {"dog", "cat", "car"}
    annotation = image((), (*dogs((10, 10), (90, 10)), CAT, box("car", 60, 60, 30, 30)))
    for program in ("choice_object", "choice_absent"):
        for said in said_by(program, annotation):
            options = options_of(said)
            named = {letter for letter, words in options.items() if words in there}
            right = named if program == "choice_object" else set(options) - named
            assert right == {said.brief}, said
            assert re.search(rf"\b{said.brief}\b", said.answer)


def test_a_single_person_is_a_person_in_the_options_too() -> None:
    there = (box("person", 10, 10, 20, 60), CAT, box("car", 60, 60, 30, 30))
    asked = {
        options_of(said)[letter] for said in said_by("choice_absent", image((), there)) for letter in "ABCD"
    }
    assert "person" in asked and "people" not in asked


def test_wrong_things_are_of_the_same_group_where_there_are_enough() -> None:
    for said in said_by("choice_object", image((), dogs((50, 50)))):
        others = {str(fact[1]) for fact in said.facts if fact[0] == "absent"}
        assert len(others) == 3
        assert {CATEGORIES[other].noun.group for other in others} == {"animals"}
    assert said_by("choice_object", FOUR, vocabulary=("dog", "cat", "zebra")) == []


def test_of_four_numbers_the_letter_is_that_of_the_right_one() -> None:
    ranks = Counter[int]()
    for said in said_by("choice_count", image((), dogs(*((10 + 20 * at, 50) for at in range(4)))), seeds=200):
        numbers = {letter: NUMBERS.get(words) or int(words) for letter, words in options_of(said).items()}
        assert numbers[said.brief] == 4
        ordered = sorted(numbers.values())
        assert ordered == list(range(ordered[0], ordered[0] + 4)) and ordered[0] > 0
        ranks[ordered.index(4)] += 1
    assert set(ranks) == {0, 1, 2, 3}


def test_of_four_places_only_one_is_touched() -> None:
    said = said_by("choice_place", image((), dogs((15, 15))))
    assert said
    for each in said:
        options = options_of(each)
        right = options.pop(each.brief)
        assert "left" in right and ("top" in right or "upper" in right)
        assert not any(
            re.search("left", words) and re.search("top|upper", words) for words in options.values()
        )
        assert not {"on the left", "on the left side", "near the top"} & set(options.values())
    # Its centre lies in the middle, but it reaches far to all sides.
    assert said_by("choice_place", image((), (box("bed", 5, 5, 90, 90),))) == []


def test_the_letters_come_up_evenly() -> None:
    letters = Counter(said.brief for said in said_by("choice_object", FOUR, seeds=1000))
    assert all(0.22 < letters[letter] / letters.total() < 0.28 for letter in "ABCD")
