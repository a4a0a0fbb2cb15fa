"""evidence.jsonl, the balance in the manifest, and `programs`: the embedded teacher through whole runs."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from datagen.balance import Balance
from datagen.prompting import PACKS
from schemas import ProgramReport, SampleEvidence
from schemas.evidence import PartEvidence
from tests.datagen.test_run import accounting, datagen, manifest_of, records_of

DOG = {"id": 1, "name": "dog"}
CAT = {"id": 2, "name": "cat"}


def two_images(folder: Path) -> list[str | Path]:
    """A dog on the left and a cat on the right, twice."""
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 100} for n in (1, 2)]
    boxes = [
        {"id": 10 * n + k, "image_id": n, "category_id": k, "bbox": box}
        for n in (1, 2)
        for k, box in ((1, [5, 40, 20, 20]), (2, [70, 40, 20, 20]))
    ]
    captions = [{"id": n, "image_id": n, "caption": "A dog looks at a cat."} for n in (1, 2)]
    folder.mkdir(exist_ok=True)
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": boxes, "categories": [DOG, CAT]})
    )
    return ["--captions", folder / "captions.json", "--instances", folder / "instances.json"]


def evidence_of(out: Path) -> list[SampleEvidence]:
    lines = (out / "evidence.jsonl").read_text().splitlines()
    return [SampleEvidence.model_validate_json(line) for line in lines]


def pack_with(folder: Path, **weights: float) -> Path:
    """The shipped pack with these weights."""
    pack = folder / "pack"
    shutil.copytree(PACKS / "coco", pack)
    toml = (pack / "pack.toml").read_text()
    toml = re.sub(rf"^({'|'.join(weights)}) = .*\n" if weights else "(?!)", "", toml, flags=re.MULTILINE)
    lines = "".join(f"{name} = {weight}\n" for name, weight in weights.items())
    (pack / "pack.toml").write_text(toml.replace("[programs.weights]\n", f"[programs.weights]\n{lines}"))
    return pack


def test_every_turn_that_is_emitted_has_its_evidence_and_no_other(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert datagen("run", "--out", out) == 0
    evidence = {line.id: line for line in evidence_of(out)}
    records = {record.id: record for record in records_of(out)}
    assert evidence.keys() == records.keys()
    assert len(records) > 100
    for name, record in records.items():
        assert len(evidence[name].turns) * 2 == len(record.conversations)
        assert all(part.phrasings or part.captions for turn in evidence[name].turns for part in turn.parts)
    used = Counter(part.program for line in evidence.values() for turn in line.turns for part in turn.parts)
    manifest = manifest_of(out)
    assert {name: report.parts for name, report in manifest.programs.items()} == used
    unsaid = sum((Counter(line.unsaid) for line in evidence.values()), Counter[str]())
    assert manifest.unsaid == dict(sorted(unsaid.items()))


def test_the_evidence_of_a_turn_that_is_dropped_is_dropped_with_it(tmp_path: Path) -> None:
    pack = pack_with(tmp_path)
    out = tmp_path / "out"
    run = ["run", *two_images(tmp_path / "in"), "--pack", pack, "--types", "conversation", "--out", out]
    assert datagen(*run) == 0
    before = {line.id: line for line in evidence_of(out)}
    record = records_of(out)[0]
    gone = record.conversations[3].value
    (pack / "leaks.txt").write_text((pack / "leaks.txt").read_text() + f"\n{gone.rstrip('.')}\n")
    assert datagen("finish", out) == 0
    after = {line.id: line for line in evidence_of(out)}[record.id]
    assert after.turns == [turn for at, turn in enumerate(before[record.id].turns) if at != 1]


def test_a_reply_of_a_ledger_without_evidence_is_emitted_without(tmp_path: Path) -> None:
    out = tmp_path / "out"
    datagen("run", *two_images(tmp_path / "in"), "--types", "detail", "--out", out)
    with closing(sqlite3.connect(out / "ledger.sqlite")) as ledger:
        ledger.execute("UPDATE replies SET evidence = NULL WHERE rowid = 1")
        ledger.commit()
    assert datagen("finish", out) == 0
    emitted = manifest_of(out).accounting["detail"].emitted
    assert len(evidence_of(out)) == emitted - 1


def test_a_balance_counts_answers_categories_and_places() -> None:
    def part(program: str, answer: str, *facts: list[str | int | float]) -> PartEvidence:
        return PartEvidence(
            program=program, phrasings=[], boxes=[], captions=[], facts=list(facts), answer=answer
        )

    balance = Balance()
    balance.add(
        [
            part("more", "dog", ["more", "dog", "cat"], ["count", "dog", 3], ["place", 1, "left"]),
            part("more", "equal", ["equal", "cat", "dog"]),
            part("more", ""),
            part(
                "side", "left", ["left_of", 1, 2], ["extreme", 3, "left", "*"], ["half", "dog", "left", 1, 2]
            ),
        ]
    )
    assert balance.report() == {
        "more": ProgramReport(
            parts=3, answers={"dog": 1, "equal": 1}, categories={"dog": 3, "cat": 2}, places={"left": 1}
        ),
        "side": ProgramReport(parts=1, answers={"left": 1}, categories={}, places={"left": 1, "left_of": 1}),
    }


def test_programs_are_listed_with_their_weights_in_a_pack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = pack_with(tmp_path, counting=2.5, grounding=1, position=0)
    assert datagen("programs", "--pack", pack) == 0
    said = capsys.readouterr().out
    listed = {line.split()[0]: line.split()[1] for line in said.splitlines() if line.startswith("  ")}
    assert listed["counting"] == "2.5"
    assert listed["grounding"] == "1"
    assert listed["position"] == "off"
    assert listed["grounding_what"] == "off"
    assert f"{len(listed)} programs, {sum(w != 'off' for w in listed.values())} of them in use" in said
    assert len(listed) > 60


@pytest.mark.parametrize(
    ("file", "after", "text", "message"),
    [
        (
            "pack.toml",
            "[programs.weights]\n",
            "cuonting = 1\n",
            "pack.toml: [programs.weights] cuonting: no such program: `python -m datagen programs` lists all",
        ),
        (
            "pack.toml",
            "[programs.weights]\n",
            "counting = -1\n",
            "pack.toml: programs.weights.counting: Input should be greater than or equal to 0 (got -1)",
        ),
        (
            "pack.toml",
            "[programs.margins]\n",
            "near = 0.1\n",
            "pack.toml: unknown key programs.margins.near: known here are smallest_area, smallest_cut_off, "
            "border, apart, overlap, larger, more, same_object, most_counted",
        ),
        (
            "phrasings/ordering.toml",
            "",
            'wrong = ["hello"]\n',
            "phrasings/ordering.toml: wrong: nothing uses it: check its spelling, or take it out",
        ),
        ("knowledge.toml", "[traits]\n", "[things.dog]\n", "knowledge.toml: not valid TOML: "),
    ],
)
def test_what_is_wrong_in_a_pack_stops_a_run_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, after: str, text: str, message: str
) -> None:
    pack = pack_with(tmp_path)
    before, found, rest = (
        (pack / file).read_text().partition(after) if after else ("", "", (pack / file).read_text())
    )
    (pack / file).write_text(before + found + text + rest)
    out = tmp_path / "out"
    assert datagen("run", *two_images(tmp_path / "in"), "--pack", pack, "--out", out) == 2
    assert capsys.readouterr().err.startswith(f"error: {pack}/{message}")
    assert not out.exists()


def test_accounting_is_kept_with_programs_switched_off(tmp_path: Path) -> None:
    pack = pack_with(tmp_path, content=0, counting=0)
    out = tmp_path / "out"
    run = ["run", *two_images(tmp_path / "in"), "--pack", pack, "--types", "conversation", "--out", out]
    assert datagen(*run) == 0
    assert manifest_of(out).accounting == {"conversation": accounting(planned=2, emitted=2)}
    assert not {"content", "counting"} & manifest_of(out).programs.keys()
