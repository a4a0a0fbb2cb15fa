"""`pack new`: a pack that knows the data, whole or not at all, and what waits for a person is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from datagen.packs.check import check
from datagen.prompting import PLACEHOLDER, load_pack, unwritten
from tests.datagen.test_run import datagen, manifest_of

Capture = pytest.CaptureFixture[str]


def write_parts(folder: Path, side: int = 60, names: Sequence[str] = ("bolt", "washer", "Cars")) -> Path:
    """Six images of a belt, three boxes each, of that many pixels a side."""
    folder.mkdir()
    ids = range(1, 7)
    images = [{"id": i, "file_name": f"{i}.png", "width": 400, "height": 300} for i in ids]
    captions = [
        {"id": i, "image_id": i, "caption": f"A belt with a {names[i % 3]} and other parts."} for i in ids
    ]
    boxes = [
        {
            "id": 3 * i + n,
            "image_id": i,
            "category_id": (i + n) % 3 + 1,
            "bbox": [20 + 130 * n, 20 + 5 * i, side, side],
            "area": side * side,
            "iscrowd": 0,
        }
        for i in ids
        for n in range(3)
    ]
    categories = [{"id": n, "name": name} for n, name in enumerate(names, 1)]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": boxes, "categories": categories})
    )
    return folder


def new(out: Path, data: Path, *more: str) -> int:
    files: list[str | Path] = ["--captions", data / "captions.json", "--instances", data / "instances.json"]
    return datagen("pack", "new", str(out), *files, *more)


def test_the_vocabulary_begins_with_the_categories_and_what_was_known_of_them(
    tmp_path: Path, capsys: Capture
) -> None:
    assert new(tmp_path / "belt", write_parts(tmp_path / "data")) == 0
    lines = (tmp_path / "belt/vocabulary.txt").read_text().split("\n")
    begin = lines.index("[names]")
    block = [line[:60] for line in lines[begin + 1 : lines.index("", begin + 2)]]
    assert block == [
        "",
        "# The categories of your annotations. name: other names | kinds"[:60],
        "# TODO: other names before the bar, kinds after it; or nothing."[:60],
        "bolt: |",
        "# TODO: 'washer' is read as another name of 'washing machine'. If yours"[:60],
        "washing machine: washer, clothes washer, laundry machine, washer"[:60],
        "car: automobile, auto, motorcar, motor car | sedan, coupe, hatchback"[:60],
    ]
    assert sum(line.startswith("car: ") for line in lines) == 2  # in [names] once, and in [parts]
    assert "3 categories, 2 of them known to the vocabulary; to fill in: bolt; to look at: washer" in (
        capsys.readouterr().out
    )


def test_a_new_pack_is_clean_but_for_what_a_person_must_write(tmp_path: Path) -> None:
    data = write_parts(tmp_path / "data")
    assert new(tmp_path / "belt", data) == 0
    report = check(str(tmp_path / "belt"), [data / "captions.json"], [data / "instances.json"])
    marked = unwritten(load_pack(tmp_path / "belt").files)
    assert [(each.file, each.line) for each in report.findings] == [(file, line) for file, line, _ in marked]
    assert all(each.what.startswith("to be written: ") for each in report.findings)
    assert len(marked) == 17
    assert PLACEHOLDER in (tmp_path / "belt/CHECKLIST.md").read_text()


def test_categories_with_marks_of_the_vocabulary_are_written_without_them_and_once(tmp_path: Path) -> None:
    data = write_parts(tmp_path / "data", names=("screw: M3", "[odd]", "# hash, small", "Bolt", "bolt", "#"))
    assert new(tmp_path / "belt", data) == 0
    lines = (tmp_path / "belt/vocabulary.txt").read_text().split("\n")
    block = lines[
        lines.index("[names]") + 2 : lines.index("# Everything else that captions and answers may speak of.")
    ]
    assert [line for line in block if line and not line.startswith("#")] == [
        "screw m3: |", "odd: |", "hash small: |", "bolt: |"
    ]  # fmt: skip
    report = check(str(tmp_path / "belt"), [data / "captions.json"], [data / "instances.json"])
    assert [
        each.what
        for each in report.findings
        # That the embedded teacher has no word for some is told, too.
        if each.file != "nouns.toml" and not each.what.startswith("to be written: ")
    ] == []
    run = ("run", "--captions", data / "captions.json", "--instances", data / "instances.json")
    assert datagen(*run, "--pack", tmp_path / "belt", "--out", tmp_path / "out") == 0


def test_captions_too_short_to_begin_in_some_way_are_not_said_to_begin(tmp_path: Path) -> None:
    data = write_parts(tmp_path / "data")
    captions = json.loads((data / "captions.json").read_text())
    captions["annotations"] = [{"id": 1, "image_id": 1, "caption": "Bolts."}]
    (data / "captions.json").write_text(json.dumps(captions))
    assert new(tmp_path / "belt", data) == 0
    assert (
        "- 1 caption, 0.2 an image, typically of 1 words (a tenth up to 1, nine tenths up to 1)\n"
        in (tmp_path / "belt/CHECKLIST.md").read_text()
    )


def test_a_draft_seed_is_the_proxy_of_an_image_of_the_data(tmp_path: Path) -> None:
    assert new(tmp_path / "belt", write_parts(tmp_path / "data")) == 0
    pack = load_pack(tmp_path / "belt")
    drafts = [seed.caps for each in pack.types.values() if not each.optional for seed in each.seeds]
    assert len(drafts) == 6 == len(set(drafts))
    assert (
        "<captions>\nA belt with a washer and other parts.\n</captions>\n"
        '<objects coordinates="x1, y1, x2, y2 as fractions of width and height">\n'
        "washer: [0.05, 0.083, 0.2, 0.283]\nCars: [0.375, 0.083, 0.525, 0.283]\n"
        "bolt: [0.7, 0.083, 0.85, 0.283]\n</objects>"
    ) in drafts


def test_the_embedded_teacher_runs_at_once_and_an_llm_is_refused(tmp_path: Path, capsys: Capture) -> None:
    data = write_parts(tmp_path / "data")
    (data / "images").mkdir()
    for number in range(1, 7):
        (data / "images" / f"{number}.png").touch()
    assert new(tmp_path / "belt", data) == 0
    assert f"Next: python -m datagen pack check {tmp_path / 'belt'}\n" in capsys.readouterr().out
    # The folder of the annotations is laid out as a sample is, so that it is one.
    assert datagen("run", "--pack", tmp_path / "belt", "--out", tmp_path / "out") == 0
    assert "Still to be written in the pack: 17 places, none of which this teacher reads" in (
        capsys.readouterr().out
    )
    assert manifest_of(tmp_path / "out").accounting["conversation"].emitted == 6
    llm = ["--teacher", "openai", "--model", "tiny", "--base-url", "http://127.0.0.1:9/v1"]
    assert datagen("run", "--pack", tmp_path / "belt", *llm, "--out", tmp_path / "llm") == 2
    assert capsys.readouterr().err.endswith(
        f"error: {tmp_path}/belt/complex_reasoning/000_conv.txt:2: 13 places are still to be written (marked "
        f"TODO:): `python -m datagen pack check {tmp_path / 'belt'}` lists them\n"
    )
    assert not (tmp_path / "llm").exists()


def test_margins_follow_the_boxes(tmp_path: Path) -> None:
    assert new(tmp_path / "large", write_parts(tmp_path / "data")) == 0
    assert new(tmp_path / "tiny", write_parts(tmp_path / "far", side=6)) == 0
    large, tiny = (load_pack(tmp_path / name).programs.margins for name in ("large", "tiny"))
    assert (large.smallest_area, large.smallest_cut_off, large.apart) == (0.003, 0.01, 0.12)
    assert (tiny.smallest_area, tiny.smallest_cut_off, tiny.apart) == (0.0003, 0.001, 0.06)
    text = (tmp_path / "tiny/pack.toml").read_text()
    assert "# 100% of your boxes cover less than 0.003; this leaves out the smallest tenth" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["there"], "there: is there already, and nothing is overwritten: choose another name, or --out"),
        (["coco"], "pack new coco: a pack of that name ships, and --pack would find it: choose another"),
        (["belt", "--from", "nobody"], "--from nobody: no such pack."),
    ],
)
def test_what_cannot_be_made_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: list[str], says: str
) -> None:
    data = write_parts(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert new(Path(arguments[0]), data, *arguments[1:]) == 2
    assert capsys.readouterr().err.startswith(f"error: {says}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "there"]


def test_annotations_that_cannot_be_read_leave_nothing(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "captions.json").write_text("{")
    assert datagen("pack", "new", tmp_path / "belt", "--captions", tmp_path / "captions.json") == 2
    assert str(tmp_path / "captions.json") in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.json"]
