"""Files are whole or not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datagen.emit import (
    MANIFEST,
    TEMPORARY,
    Emission,
    explained,
    instruction_record,
    read_manifest,
    sample_id,
)
from datagen.records import InputError, Turn, Unit
from schemas import OutputFile, RunManifest
from schemas.run import Cost, TokenUsage


def manifest(outputs: list[OutputFile]) -> RunManifest:
    return RunManifest(
        vitkit="0",
        kind="run",
        finished_at="2026-01-01T00:00:00+00:00",
        teacher="t",
        model=None,
        base_url=None,
        pack="p",
        pack_hash="0",
        proxy="grounded",
        seed=0,
        limit=None,
        images_dir=None,
        inputs=[],
        images=0,
        accounting={},
        reasons={},
        usage=TokenUsage(prompt=0, cached=0, completion=0),
        cost=Cost(spent=0, possibly_billed=0, unpriced_replies=0),
        to_ask_again=0,
        outputs=outputs,
    )


RECORD = instruction_record(Unit(7, "detail", 0), "a/7.jpg", [Turn("Wo ist “es”? 🐕", "A dog.\n\nLeft.")])


def test_ids_are_unique_by_type_image_and_index() -> None:
    units = (
        Unit(7, "detail", 0),
        Unit(7, "detail", 1),
        Unit(7, "conversation", 0),
        Unit(10**13, "detail", 0),
    )
    assert [sample_id(unit) for unit in units] == [
        "detail-000000000007",
        "detail-000000000007-1",
        "conversation-000000000007",
        "detail-10000000000000",
    ]


def test_the_files_are_as_json_readers_expect_and_the_manifest_names_their_hashes(tmp_path: Path) -> None:
    with Emission(tmp_path, ["detail.json", "empty.json", "rejected.jsonl"]) as emission:
        emission.add("detail.json", RECORD)
        emission.add("detail.json", RECORD)
        emission.commit(manifest(emission.close_files()))
    assert (
        json.loads((tmp_path / "detail.json").read_text(encoding="utf-8"))
        == [
            {
                "id": "detail-000000000007",
                "image": "a/7.jpg",
                "conversations": [
                    {"from": "human", "value": "<image>\nWo ist “es”? 🐕"},
                    {"from": "gpt", "value": "A dog.\n\nLeft."},
                ],
            }
        ]
        * 2
    )
    assert json.loads((tmp_path / "empty.json").read_text()) == []
    read = read_manifest(tmp_path)
    assert read is not None
    assert [(o.name, o.records, o.sha256) for o in read.outputs] == [
        (name, records, hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
        for name, records in (("detail.json", 2), ("empty.json", 0), ("rejected.jsonl", 0))
    ]


def test_nothing_changes_before_commit(tmp_path: Path) -> None:
    (tmp_path / "detail.json").write_text("before")
    with pytest.raises(RuntimeError, match="stop"), Emission(tmp_path, ["detail.json"]) as emission:
        emission.add("detail.json", RECORD)
        raise RuntimeError("stop")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("detail.json", "before")]


def test_files_of_the_run_before_that_are_not_made_again_go(tmp_path: Path) -> None:
    for names in (["detail.json", "poem.json"], ["detail.json"]):
        with Emission(tmp_path, names) as emission:
            emission.commit(manifest(emission.close_files()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detail.json", MANIFEST]


def test_what_a_killed_run_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / TEMPORARY).mkdir()
    (tmp_path / TEMPORARY / "poem.json").write_text("[half")
    with Emission(tmp_path, ["detail.json"]) as emission:
        emission.commit(manifest(emission.close_files()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detail.json", MANIFEST]


def test_files_of_other_people_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.tmp").write_text("mine")
    with Emission(tmp_path, ["detail.json"]) as emission:
        emission.commit(manifest(emission.close_files()))
    assert (tmp_path / "notes.tmp").read_text() == "mine"


KILLED_AFTER = """
import os, pathlib, signal, sys
from datagen.emit import Emission
from tests.datagen.test_emit import RECORD, manifest

replace, renames = pathlib.Path.replace, []

def counting(self, target):
    if len(renames) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    renames.append(target)
    return replace(self, target)

pathlib.Path.replace = counting
with Emission(pathlib.Path(sys.argv[1]), ["a.json", "b.json"]) as emission:
    emission.add("a.json", RECORD)
    emission.commit(manifest(emission.close_files()))
"""


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
def test_a_folder_killed_while_it_was_committed_has_no_manifest(tmp_path: Path, renames: int) -> None:
    with Emission(tmp_path, ["a.json", "b.json"]) as emission:
        emission.commit(manifest(emission.close_files()))
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER, str(tmp_path), str(renames)], check=False)
    whole = renames == 3
    assert killed.returncode == (0 if whole else -signal.SIGKILL)
    assert (read_manifest(tmp_path) is not None) == whole
    for name in ("a.json", "b.json"):
        json.loads((tmp_path / name).read_text())  # each is whole, the old one or the new


def test_a_disk_that_fills_while_writing_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "detail.json").write_text("before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # A limit on the size of files, which the kernel enforces as it would a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        with (
            pytest.raises(InputError, match="the disk is full: make room"),
            Emission(tmp_path, ["detail.json"]) as emission,
        ):
            for _ in range(10_000):
                emission.add("detail.json", RECORD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("detail.json", "before")]


def test_a_full_disk_and_a_folder_without_permission_read_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the disk is full"), explained(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(InputError, match="cannot be written: Permission denied"), explained(tmp_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path))
