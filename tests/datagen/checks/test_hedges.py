"""Captions that are reports: what they suppose, what they deny, and on which side of the patient."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from datagen.checks import Claim, Evidence, Region, make_vocabulary
from datagen.checks.grounding import Grounding
from datagen.records import InputError, Turn

HEDGES = """
[supposed]
possible ...
may represent ...
... cannot be excluded
[denied]
free of ...
... has resolved
... is not seen
"""
NAMES = (
    "[names]\npleural effusion: effusion\npneumothorax:\nconsolidation:\nnodule:\ngranuloma:\nheart:\nmass:\n"
)
CATEGORIES = ("pleural effusion", "pneumothorax", "consolidation", "nodule", "mass")
REPORTS = make_vocabulary({"vocabulary.txt": NAMES, "hedges.txt": HEDGES}, CATEGORIES)
PLAIN = make_vocabulary({"vocabulary.txt": NAMES}, CATEGORIES)

# The patient's left is the image's right.
PATIENTS_LEFT, PATIENTS_RIGHT = (0.7, 0.6, 0.9, 0.8), (0.1, 0.6, 0.3, 0.8)
NONE = "no box and no caption"


def evidence(
    captions: Sequence[str], boxes: Sequence[tuple[str, tuple[float, float, float, float]]] = ()
) -> Evidence:
    regions = [(name, Region(number, *corners, False)) for number, (name, corners) in enumerate(boxes, 1)]
    return Evidence(REPORTS, captions, regions)


def claims(answer: str, known: Evidence, question: str = "Describe the image.") -> list[Claim]:
    return Grounding(REPORTS, "radiograph").claims(Turn(question, answer), known)


def verdicts(
    answer: str, known: Evidence, question: str = "Describe the image."
) -> list[tuple[str, str, str]]:
    return [(claim.kind, claim.verdict, claim.evidence) for claim in claims(answer, known, question)]


# What a caption denies


@pytest.mark.parametrize(
    "caption",
    [
        "No pleural effusion.",
        "No pneumothorax or pleural effusion.",
        "No pneumothorax, consolidation or pleural effusion is seen.",
        "No pneumothorax, consolidation, or pleural effusion.",
        "No mass, pneumothorax, nodule, consolidation or pleural effusion.",
        "There is no pneumothorax or pleural effusion.",
        "No evidence of pleural effusion.",
        "The heart is large without pneumothorax or pleural effusion.",
        "Neither pneumothorax nor pleural effusion is present.",
        "The lungs are free of consolidation or pleural effusion.",
        "The pleural effusion has resolved.",
        "A pleural effusion is not seen.",
    ],
)
def test_a_denied_finding_is_no_support_for_it_and_is_support_for_its_absence(caption: str) -> None:
    known = evidence([caption])
    assert verdicts("There is a pleural effusion.", known) == [
        ("object", "contradicted", "caption 1 denies it")
    ]
    assert verdicts("Pleural effusion is present.", known) == [
        ("object", "contradicted", "caption 1 denies it")
    ]
    assert verdicts("There is no pleural effusion.", known) == [("absence", "supported", "caption 1")]
    asked = "Is there a pleural effusion?"
    assert verdicts("Yes.", known, asked)[0][:2] == ("object", "contradicted")
    assert verdicts("No.", known, asked) == [("absence", "supported", "caption 1")]


def test_what_follows_a_denied_list_is_asserted() -> None:
    known = evidence(
        ["No pleural effusion or pneumothorax, but there is a mass.", "No nodule, a heart is seen."]
    )
    assert verdicts("There is a mass, beside the heart.", known) == [
        ("object", "supported", "caption 1"),
        ("object", "supported", "caption 2"),
    ]
    assert known.denied == {"pleural effusion": 1, "pneumothorax": 1, "nodule": 2}


def test_a_denial_of_some_neither_allows_nor_forbids_to_deny_all() -> None:
    for caption in (
        "No left pleural effusion.",
        "No large pleural effusion.",
        "No pleural effusion on the left.",
    ):
        known = evidence([caption])
        assert known.denied == {}, caption
        assert verdicts("There is no pleural effusion.", known) == [
            ("absence", "undecidable", "caption 1 denies some")
        ]
        assert verdicts("There is a pleural effusion.", known)[0][:2] == ("object", "unsupported")


def test_absence_is_said_only_where_a_report_says_so() -> None:
    known = evidence(["There is a nodule."], [("nodule", PATIENTS_LEFT)])
    assert verdicts("There is no mass.", known) == [("absence", "unsupported", "no caption denies it")]
    assert verdicts("There is no nodule.", known) == [("absence", "contradicted", "box 1")]
    # Elsewhere captions are no reports, and what nothing shows may be called absent.
    plain = Evidence(PLAIN, ["There is a nodule."], [])
    (claim,) = Grounding(PLAIN).claims(Turn("Is there a mass?", "No."), plain)
    assert (claim.verdict, claim.evidence) == ("supported", NONE)


def test_what_one_caption_denies_and_another_or_a_box_shows_is_there() -> None:
    known = evidence(["No nodule or mass.", "A nodule in the apex."], [("mass", PATIENTS_LEFT)])
    assert verdicts("There is a nodule and a mass.", known) == [
        ("object", "supported", "caption 2"),
        ("object", "supported", "box 1"),
    ]


# What a caption supposes


@pytest.mark.parametrize(
    "caption",
    [
        "Possible pleural effusion.",
        "A pleural effusion cannot be excluded.",
        "The heart is large and a pleural effusion cannot be excluded.",
        "Consolidation may represent pleural effusion.",
    ],
)
def test_what_captions_only_suppose_may_be_said_with_a_hedge_and_not_without(caption: str) -> None:
    known = evidence([caption])
    only = ("object", "unsupported", "caption 1 only supposes it")
    assert verdicts("There is a pleural effusion.", known) == [only]
    assert verdicts("Yes.", known, "Is there a pleural effusion?")[0][:2] == ("object", "unsupported")
    assert verdicts("There is no pleural effusion.", known) == [
        ("absence", "unsupported", "no caption denies it")
    ]
    assert verdicts("Possible pleural effusion.", known) == []
    assert verdicts("A pleural effusion cannot be excluded.", known) == []
    assert verdicts("There may be a pleural effusion.", known) == []


def test_a_box_or_another_caption_confirms_what_one_supposes() -> None:
    captions = ["Possible nodule.", "Possible mass.", "There is a mass."]
    known = evidence(captions, [("nodule", PATIENTS_LEFT)])
    assert [verdict for _, verdict, _ in verdicts("There is a nodule and a mass.", known)] == [
        "supported"
    ] * 2


def test_a_hedge_speaks_of_its_own_clause_alone() -> None:
    known = evidence(["The nodule may represent a granuloma.", "Possible mass, and the heart is large."])
    assert sorted(known.supposed) == ["granuloma", "mass"]
    assert sorted(known.said) == ["heart", "nodule"]


def test_a_line_that_cannot_be_read_names_file_and_line() -> None:
    for line in ("possible", "... is ...", "[perhaps]", "..."):
        with pytest.raises(InputError, match=r"^hedges\.txt, line 2: "):
            make_vocabulary({"hedges.txt": f"[supposed]\n{line}\n"}, ())
    with pytest.raises(InputError, match=r"^hedges\.txt, line 1: .*below \[supposed\] or \[denied\]"):
        make_vocabulary({"hedges.txt": "possible ...\n"}, ())


# On which side of the patient


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("There is a small left pleural effusion.", "supported"),
        ("There is a small right pleural effusion.", "contradicted"),
        ("There is a left-sided pleural effusion.", "supported"),
        ("There is a right-sided pleural effusion.", "contradicted"),
        ("There are bilateral pleural effusions.", "contradicted"),
        ("The pleural effusion is on the left.", "supported"),
        ("The pleural effusion is on the right.", "contradicted"),
        ("The pleural effusion is on the patient's left, on the right of the image.", "supported"),
        ("The pleural effusion is on the left of the image.", "contradicted"),
        ("The pleural effusion is in the right middle zone.", "contradicted"),
        ("The pleural effusion is in the left middle zone.", "supported"),
    ],
)
def test_the_patients_left_is_the_images_right(answer: str, verdict: str) -> None:
    for captions in ([], ["There is a pleural effusion."]):
        known = evidence(captions, [("pleural effusion", PATIENTS_LEFT)])
        found = {claim.verdict for claim in claims(answer, known) if claim.kind == "position"}
        assert found == {verdict}


def test_without_a_box_the_side_is_the_one_that_captions_give() -> None:
    known = evidence(["A right pleural effusion.", "There is a nodule in the left lung.", "A mass is seen."])
    assert verdicts("There is a right pleural effusion.", known)[-1] == ("position", "supported", "caption 1")
    assert verdicts("There is a left pleural effusion.", known)[-1] == (
        "position", "contradicted", "caption 1 says right",
    )  # fmt: skip
    assert verdicts("The nodule is on the right.", known)[-1][:2] == ("position", "contradicted")
    assert verdicts("There is a left mass.", known)[-1][:2] == ("position", "undecidable")


def test_a_question_takes_the_side_for_granted_too() -> None:
    known = evidence([], [("pleural effusion", PATIENTS_LEFT)])
    asked = "How large is the right pleural effusion?"
    (found,) = [claim for claim in claims("It is small.", known, asked) if claim.kind == "position"]
    assert (found.where, found.rule, found.verdict) == ("question", "taken for granted", "contradicted")


@pytest.mark.parametrize(
    ("caption", "answer", "verdict"),
    [
        (
            "Right consolidation with a left pleural effusion.",
            "There is a left consolidation.",
            "undecidable",
        ),
        ("Right consolidation with a left pleural effusion.", "There is a right consolidation.", "supported"),
        ("A nodule on the right and a mass on the left.", "There is a right mass.", "undecidable"),
        ("A nodule on the right and a mass on the left.", "The mass is on the left.", "supported"),
        ("There is a nodule on the right but not on the left.", "There is a left nodule.", "contradicted"),
        ("There is consolidation, worse on the left.", "There is left consolidation.", "supported"),
        ("Consolidation and a small mass at the left base.", "There is left consolidation.", "undecidable"),
    ],
)
def test_a_side_is_that_of_the_finding_beside_it(caption: str, answer: str, verdict: str) -> None:
    assert [found[1] for found in verdicts(answer, evidence([caption])) if found[0] == "position"] == [
        verdict
    ]


@pytest.mark.parametrize("answer", ["Yes, a possible nodule is seen.", "Yes, there may be."])
def test_yes_may_be_hedged(answer: str) -> None:
    known, asked = evidence(["Possible nodule."]), "Is there a nodule?"
    assert verdicts(answer, known, asked) == []
    assert verdicts("Yes.", known, asked) == [
        ("object", "unsupported", "a nodule: caption 1 only supposes it")
    ]
