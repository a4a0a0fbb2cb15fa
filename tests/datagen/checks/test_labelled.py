"""The checks held against labels made by hand: what is promised of them, so that a regression fails.

labelled/README.md says what the labels mean. Nobody may tune the checks on the report half.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from datagen.checks import Claim, Evidence, Region, TypeChecks
from datagen.judging import Judge
from datagen.prompting import PACKS, load_pack
from datagen.records import Turn
from datagen.teacher.programmatic.words import CATEGORIES

LABELLED = Path(__file__).with_name("labelled")
HALVES = ("develop", "report")
KINDS = {
    "object", "absence", "count", "position", "size", "colour", "attribute", "yes_no", "blind_spot", "none",
}  # fmt: skip
VERDICTS = {"supported", "contradicted", "unsupported", "undecidable"}
AT_FAULT = ("contradicted", "unsupported")


class Floor(NamedTuple):
    """What may not get worse."""

    precision: float
    """Of what the coco pack rejects."""
    recall: float
    """Of labelled faults of objects and counts."""


FLOORS = {"develop": Floor(0.95, 0.78), "report": Floor(0.94, 0.85)}


def scenes(half: str) -> list[dict[str, Any]]:
    lines = (LABELLED / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def labels(half: str) -> Iterator[tuple[dict[str, Any], Mapping[str, str]]]:
    """Every label with its turn."""
    for scene in scenes(half):
        for turn in scene["turns"]:
            for label in turn["claims"]:
                yield turn, label


# Well-formed


@pytest.mark.parametrize("half", HALVES)
def test_a_scene_has_captions_boxes_and_turns(half: str) -> None:
    for scene in scenes(half):
        assert set(scene) == {"scene", "captions", "boxes", "turns"}
        assert scene["captions"] and scene["turns"]
        for box in scene["boxes"]:
            assert set(box) == {"category", "bbox", "crowd"}
            x1, y1, x2, y2 = box["bbox"]
            assert box["category"] in CATEGORIES and 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1, box
        for turn in scene["turns"]:
            assert set(turn) == {"type", "question", "answer", "claims"}
            assert turn["type"] in ("conversation", "detail", "complex_reasoning")


@pytest.mark.parametrize("half", HALVES)
def test_a_label_is_of_words_that_its_turn_has(half: str) -> None:
    for turn, label in labels(half):
        assert set(label) == {"in", "words", "kind", "verdict", "why"}, label
        assert label["in"] in ("question", "answer") and label["words"], label
        assert label["words"] in turn[label["in"]], label
        assert label["kind"] in KINDS and label["verdict"] in VERDICTS, label


def test_no_scene_is_in_both_halves() -> None:
    names = [scene["scene"] for half in HALVES for scene in scenes(half)]
    captions = [tuple(scene["captions"]) for half in HALVES for scene in scenes(half)]
    assert len(set(names)) == len(names) and len(set(captions)) == len(captions)


@pytest.mark.parametrize("half", HALVES)
def test_there_are_hundreds_of_labelled_claims_of_every_kind(half: str) -> None:
    found = [label for _, label in labels(half)]
    assert len(found) >= 400
    assert {label["kind"] for label in found} == KINDS
    assert {label["verdict"] for label in found} == VERDICTS


# What is promised


@lru_cache(maxsize=2)
def measured(half: str) -> tuple[float, float]:
    """Precision of what the coco pack rejects, and recall over labelled faults of objects and counts.

    A rejection is right where a label at fault overlaps its words on its side of the turn, and a label is
    caught where a rejection overlaps it.
    """
    pack = load_pack(PACKS / "coco")
    vocabulary = Judge(pack, CATEGORIES).vocabulary
    checks = {
        name: TypeChecks(
            {"grounding", "blind_spots"} & set(each.checks),
            pack.word_lists,
            vocabulary,
            pack.frame,
            each.reject,
            may_speculate=each.may_speculate,
        )
        for name, each in pack.types.items()
    }
    rejected = right = at_fault = caught = 0
    for scene in scenes(half):
        boxes = [
            (box["category"], Region(number, *box["bbox"], box["crowd"]))  # type: ignore[call-arg]
            for number, box in enumerate(scene["boxes"], 1)
        ]
        evidence = Evidence(vocabulary, scene["captions"], boxes)
        for labelled in scene["turns"]:
            settings = pack.types[labelled["type"]]
            turn = Turn(labelled["question"], labelled["answer"])
            is_drawn = settings.reply_form == "answer"
            (checked,) = checks[labelled["type"]]([turn], evidence, question_is_drawn=is_drawn)
            wrong = [label for label in labelled["claims"] if label["verdict"] in AT_FAULT]
            rejecting = [
                claim
                for claim in checked.claims
                if claim.verdict in (AT_FAULT if claim.kind == "blind_spot" else settings.reject)
            ]
            rejected += len(rejecting)
            right += sum(any(_meets(turn, claim, label) for label in wrong) for claim in rejecting)
            for label in wrong:
                if label["kind"] in ("object", "count"):
                    at_fault += 1
                    caught += any(_meets(turn, claim, label) for claim in rejecting)
    return right / rejected, caught / at_fault


def _meets(turn: Turn, claim: Claim, label: Mapping[str, str]) -> bool:
    """Whether a claim and a label overlap."""
    if claim.where != label["in"]:
        return False
    text = getattr(turn, claim.where)
    return any(a < d and c < b for a, b in _spans(text, claim.words) for c, d in _spans(text, label["words"]))


def _spans(text: str, words: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text)]


@pytest.mark.parametrize("half", HALVES)
def test_what_the_checks_reject_is_at_fault_and_what_is_at_fault_they_find(half: str) -> None:
    precision, recall = measured(half)
    floor = FLOORS[half]
    assert (precision >= floor.precision, recall >= floor.recall) == (True, True), (precision, recall)
