"""forbidden.txt: what an answer may say only where a caption of the image does, or never."""

from __future__ import annotations

import pytest

from datagen.checks import Fault, ForbiddenCheck, TypeChecks, Vocabulary, forbidden_check
from datagen.checks.evidence import Evidence
from datagen.records import InputError, Turn

LINES = ("pneumonia", r"re:\b(north|south)(ern)?\b", "never: cure", r"never: re:\bmust take \d+ mg\b")
CHECK = ForbiddenCheck(LINES)
FAULT = Fault("forbidden", "pneumonia", "answer", "'Pneumonia' (rule: pneumonia)")


def test_a_phrase_is_unfit_unless_a_caption_matches_the_same_line() -> None:
    turn = Turn("What is shown?", "Pneumonia, in the right lung.")
    assert CHECK(turn, ["A chest."]) == [FAULT]
    assert CHECK(turn, ["A chest.", "Signs of pneumonia."]) == []
    assert CHECK(turn, ["Bronchopneumonia."]) == [FAULT]


def test_an_expression_is_allowed_by_whatever_else_it_matches_in_one_caption() -> None:
    turn = Turn("Which way?", "The road leads to the\nnorth.")
    rule = LINES[1]
    assert CHECK(turn, ["A road."]) == [Fault("forbidden", rule, "answer", f"'north' (rule: {rule})")]
    assert CHECK(turn, ["A southern village."]) == []


def test_never_is_unfit_whatever_captions_say() -> None:
    assert CHECK(Turn("?", "It will cure him."), ["A cure."]) == [
        Fault("forbidden", "cure", "answer", "'cure' (rule: cure)")
    ]
    (fault,) = CHECK(Turn("?", "He must take 20 mg."), ["He must take 20 mg."])
    assert fault.rule == r"re:\bmust take \d+ mg\b"


def test_every_line_that_is_broken_is_named_not_only_the_first() -> None:
    turn = Turn("?", "Pneumonia, so no cure.")
    assert [fault.rule for fault in CHECK(turn, [])] == ["cure", "pneumonia"]
    assert [fault.rule for fault in CHECK(turn, ["Pneumonia."])] == ["cure"]


def test_a_question_says_nothing_until_its_answer_says_yes() -> None:
    asked = "Is there pneumonia?"
    assert CHECK(Turn(asked, "That cannot be told."), []) == []
    assert CHECK(Turn(asked, "No."), []) == []
    assert CHECK(Turn(asked, "Yes, there is."), []) == [
        Fault("forbidden", "pneumonia", "question", "'pneumonia' (rule: pneumonia)")
    ]
    assert CHECK(Turn(asked, "Yesterday there was none."), []) == []
    assert CHECK(Turn(asked, "Yes."), ["No pneumonia."]) == []  # grounding decides of what is denied


@pytest.mark.parametrize(
    ("line", "question"),
    [
        (r"re:\bheart (is|looks) enlarged", "Is the heart enlarged?"),
        (
            r"re:\bheart (is|looks) enlarged",
            "Two lungs are shown. And isn't the patient's\nheart enlarged, then?",
        ),
        (r"re:\bheart (is|looks) enlarged", "In this image, is the heart enlarged?"),
        (r"re:\barm can reach\b", "Can the robot arm reach the mug on the left?"),
        (r"never: re:\bshould be treated\b", "Should this be treated?"),
    ],
)
def test_yes_says_what_its_question_says_in_the_order_of_a_statement(line: str, question: str) -> None:
    rule = line.removeprefix("never: ")
    (fault,) = ForbiddenCheck([line])(Turn(question, "Yes."), [])
    assert (fault.rule, fault.where) == (rule, "question")
    assert ForbiddenCheck([line])(Turn(question, "No."), []) == []


def test_a_word_beside_which_a_line_allows_it_is_not_torn_from_it() -> None:
    check = ForbiddenCheck([r"re:(?<!from )\babove\b", r"re:(?<!how far the )\barm can reach\b"])
    assert check(Turn("Is this part of the city seen from above?", "Yes."), []) == []
    assert check(Turn("Is this line how far the arm can reach?", "Yes."), []) == []


def test_where_captions_are_not_known_only_never_is_looked_for() -> None:
    assert [fault.rule for fault in CHECK(Turn("?", "Pneumonia, so no cure."), None)] == ["cure"]


def test_a_type_checks_it_where_its_table_says_so() -> None:
    turn = Turn("What is shown?", "Pneumonia.")
    evidence = Evidence(Vocabulary({}), ["A chest."], [])
    words = {"forbidden": LINES}
    with_it = TypeChecks({"forbidden"}, words, Vocabulary({}), "camera", (), may_speculate=False)
    without = TypeChecks({"format"}, words, Vocabulary({}), "camera", (), may_speculate=False)
    assert (with_it.needs_evidence, without.needs_evidence) == (True, False)
    assert [checked.faults for checked in with_it([turn], evidence)] == [[FAULT]]
    assert [checked.faults for checked in without([turn], evidence)] == [[]]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("never:", "'never:' must be followed by a phrase"),
        ("Never :", "'Never :' must be followed by a phrase"),
        ("never: re:[", "'re:\\[' is not a regular"),
        ("never: re:", "'re:' must be followed by a regular expression"),
        (r"never re:\bcure", "'never re:.*' must be followed by a colon"),
        ("never cure", "'never cure': 'never' must be followed by a colon"),
    ],
)
def test_a_line_that_cannot_be_read_names_the_file(line: str, wrong: str) -> None:
    with pytest.raises(InputError, match=f"^forbidden.txt: {wrong}"):
        forbidden_check({"forbidden": (line,)})


@pytest.mark.parametrize(
    "line", ["never: cure", "Never: cure", "NEVER:cure", "never : Re: cure", "never: RE:cure"]
)
def test_prefixes_are_read_whatever_their_case_and_spacing(line: str) -> None:
    check = ForbiddenCheck([line])
    assert len(check(Turn("?", "A cure."), ["A cure."])) == 1
