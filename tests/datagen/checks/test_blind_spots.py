"""Questions that captions and boxes cannot answer, unless a caption speaks of what they ask."""

from __future__ import annotations

import pytest

from datagen.checks import Claim, TypeChecks, Vocabulary, make_vocabulary
from datagen.checks.evidence import Evidence
from datagen.checks.faults import Fault
from datagen.checks.grounding import blind_spots
from datagen.prompting import PACKS, load_pack
from datagen.records import Turn
from datagen.teacher.programmatic.words import CATEGORIES

COCO = make_vocabulary(load_pack(PACKS / "coco").files, CATEGORIES)
PLAIN = ("A dog on a couch.", "The dog lies beside a cushion.")

# A topic, a question about it, the words that give it away, a caption that speaks of it.
TOPICS = [
    ("weather", "What is the weather like?", "weather", "A dog in the rain."),
    ("lighting", "How is the lighting in the room?", "lighting", "A dimly lit room."),
    ("written text", "What does the sign say?", "sign say", "A sign that says stop."),
    ("brand", "What brand is the car?", "brand", "A Ford truck on a road."),
    ("expression", "Is the man happy?", "happy", "A smiling man."),
    ("age", "How old is the man?", "How old", "An elderly man."),
    ("time of day", "What time of day is it?", "time of day", "A street at night."),
    ("season", "Which season is it?", "season", "A field covered in snow."),
    ("temperature", "How hot is it?", "How hot", "A cold day at the lake."),
    ("gaze", "What is the man looking at?", "looking at", "A man staring at his phone."),
    ("size", "How tall is the tree?", "How tall", "A very tall tree."),
    ("distance", "How far away is the car?", "How far", "A car in the distance."),
    ("speed", "How fast is the train going?", "How fast", "A train speeding along."),
    ("camera", "What kind of photo is this?", "What kind of photo", "A black and white photo of a dog."),
]


@pytest.mark.parametrize(("topic", "question", "words", "caption"), TOPICS)
def test_a_topic_is_unsupported_until_a_caption_speaks_of_it(
    topic: str, question: str, words: str, caption: str
) -> None:
    assert blind_spots(question, COCO, PLAIN) == [
        Claim("blind_spot", words, topic, "unsupported", "no caption speaks of it", "question")
    ]
    assert blind_spots(question, COCO, [*PLAIN, caption]) == [
        Claim("blind_spot", words, topic, "supported", "caption 3", "question")
    ]


@pytest.mark.parametrize(
    "question",
    [
        "What color is the dog?",
        "How many dogs are there?",
        "Where is the cat?",
        "Is there a cat in the image?",
        "What is the dog lying on?",
        "Describe the image.",
        "",
    ],
)
def test_what_captions_and_boxes_tell_is_no_blind_spot(question: str) -> None:
    assert blind_spots(question, COCO, PLAIN) == []


def test_of_two_topics_one_that_a_caption_speaks_of_will_do() -> None:
    words = {
        "blind_spots.txt": "hour asks: when\nhour says: noon\nyear asks: when, what year\nyear says: 1950s\n"
    }
    known = Vocabulary(words)
    by_hour = blind_spots("When was it?", known, ["A street at noon."])
    by_year = blind_spots("When was it?", known, ["A street in the 1950s."])
    by_none = blind_spots("When was it?", known, ["A street."])
    assert [(claim.rule, claim.verdict) for claim in (*by_hour, *by_year, *by_none)] == [
        ("hour", "supported"),
        ("year", "supported"),
        ("hour", "unsupported"),
    ]


def test_phrases_are_whole_words_in_any_case_with_or_without_hyphens() -> None:
    known = Vocabulary({"blind_spots.txt": "hour asks: time of day\nhour says: noon"})
    assert [claim.words for claim in blind_spots("Which TIME OF DAY is it?", known, [])] == ["TIME OF DAY"]
    assert blind_spots("Which pastime of days is it?", known, []) == []
    assert [claim.verdict for claim in blind_spots("The time-of-day?", known, ["At Noon."])] == ["supported"]
    assert [claim.verdict for claim in blind_spots("The time of day?", known, ["Afternoon."])] == [
        "unsupported"
    ]


def test_an_expression_may_ask_and_say() -> None:
    known = Vocabulary(
        {"blind_spots.txt": r"hour asks: re:\bwhat\s+hour\b" + "\n" + r"hour says: re:\d\d:\d\d"}
    )
    assert [claim.verdict for claim in blind_spots("What  hour is it?", known, ["It is 10:30."])] == [
        "supported"
    ]


def test_a_topic_nobody_can_speak_of_is_never_supported() -> None:
    known = Vocabulary({"blind_spots.txt": "smell asks: smell"})
    assert [claim.verdict for claim in blind_spots("How does it smell?", known, ["It does smell."])] == [
        "unsupported"
    ]


def test_a_blind_spot_is_a_fault_of_the_question_but_not_of_one_drawn_from_a_list() -> None:
    checks = TypeChecks({"blind_spots"}, {}, COCO, "camera", (), may_speculate=False)
    turn = Turn("What is the weather like?", "It is sunny.")
    evidence = Evidence(COCO, PLAIN, [])
    (asked,) = checks([turn], evidence)
    assert asked.faults == [
        Fault("blind_spot", "weather", "question", "'weather' (blind_spot): no caption speaks of it")
    ]
    (drawn,) = checks([turn], evidence, question_is_drawn=True)
    assert drawn.faults == [] and drawn.claims == []
    (spoken_of,) = checks([turn], Evidence(COCO, ["A sunny day."], []))
    assert spoken_of.faults == []
