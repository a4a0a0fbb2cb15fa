"""The formats on disk say what they promise to, and their JSON Schema in docs is up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from schemas import Accounting, LlavaRecord, PackToml
from schemas.__main__ import schema_files

ROOT = Path(__file__).resolve().parents[2]


def record(*values: str, image: str | None = "1.jpg", speakers: str = "human gpt") -> dict[str, Any]:
    roles = (speakers.split() * len(values))[: len(values)]
    conversations = [{"from": role, "value": value} for role, value in zip(roles, values, strict=True)]
    return {"id": "a", "conversations": conversations} | ({"image": image} if image else {})


@pytest.mark.parametrize(
    "good",
    [
        record("<image>\nWhat is it?", "A dog."),
        record("What is it?\n<image>", "A dog.", "Where?", "There."),
        record("Hello.", "Hello.", image=None),
    ],
)
def test_llava_records_of_either_kind_load_and_dump_as_they_were(good: dict[str, Any]) -> None:
    assert LlavaRecord.model_validate(good).model_dump(by_alias=True, exclude_none=True) == good


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (record("What is it?", "A dog."), "turn 0 must have <image> 1 times, got 0"),
        (record("<image>\n<image>\nWhat?", "A dog."), "turn 0 must have <image> 1 times, got 2"),
        (record("<image>\nWhat?", "An <image>."), "turn 1 must have <image> 0 times, got 1"),
        (record("<image>\nWhat?", "A dog.", image=None), "turn 0 must have <image> 0 times, got 1"),
        (record("What <image> is it?", "A dog."), "must stand first or last"),
        (record("<image>\nWhat?", "A dog.", speakers="gpt human"), "turn 0 must be human's, got gpt's"),
        (record("<image>\nWhat?", "A dog.", "Where?"), "the last turn must be gpt's"),
        (record("<image>\nWhat?", ""), "at least 1 character"),
        (record("<image>\nWhat?", "A dog.") | {"score": 1}, "Extra inputs are not permitted"),
    ],
)
def test_llava_records_that_trainers_would_corrupt_are_refused(bad: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        LlavaRecord.model_validate(bad)


def test_an_accounting_that_loses_a_unit_cannot_be_made() -> None:
    counts = {
        "excluded": 9,
        "planned": 3,
        "emitted": 1,
        "rejected": 1,
        "duplicate": 0,
        "failed": 0,
        "pending": 1,
    }
    Accounting.model_validate(counts)
    with pytest.raises(ValidationError, match="3 units were planned but 2 accounted for"):
        Accounting.model_validate(counts | {"pending": 0})


@pytest.mark.parametrize("name", ["Detail", "a/b", "..", "alignment", "manifest", ""])
def test_a_type_that_cannot_be_a_file_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        PackToml.model_validate({"name": "p", "types": {name: {"reply": "answer"}}})


def test_the_exported_json_schema_is_up_to_date() -> None:
    for name, text in schema_files().items():
        assert (ROOT / "docs" / "schemas" / name).read_text() == text, "run: make schemas"
