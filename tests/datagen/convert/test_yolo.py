"""Ultralytics YOLO data sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.datagen.convert.exports import convert, draw, made, write
from tests.datagen.test_bad_input import refused
from tests.datagen.test_run import datagen, records_of

DATA_YAML = """\
# Train/val/test sets
path: .
train: images/train
val: images/val

names:
  0: person
  1: dog
"""


def write_yolo(folder: Path, labels: str, data_yaml: str = DATA_YAML) -> Path:
    draw(folder, "images/train/a.jpg", "images/train/b.jpg", "images/val/c.jpg")
    write(folder / "labels/train/a.txt", labels)
    write(folder / "labels/val/c.txt", "0 0.5 0.5 0.5 0.5\n")
    return write(folder / "data.yaml", data_yaml)


def test_boxes_outlines_and_oriented_boxes_come_out_in_pixels(tmp_path: Path) -> None:
    labels = """\
1 0.5 0.5 0.2 0.4
0 0.1 0.1 0.3 0.1 0.2 0.6
1 0.5 0.2 0.6 0.3 0.5 0.4 0.4 0.3
"""
    found = convert("yolo", write_yolo(tmp_path, labels), out=tmp_path / "out")
    assert found.boxes == {
        "images/train/a.jpg": [
            ("dog", [80.0, 30.0, 40.0, 40.0]),
            ("person", [20.0, 10.0, 40.0, 50.0]),
            ("dog", [80.0, 20.0, 40.0, 20.0]),
        ],
        "images/train/b.jpg": [],  # without a label file: nothing to see
    }
    assert found.left_out == []


def test_lines_that_cannot_be_used_are_named_and_their_categories_not_counted(tmp_path: Path) -> None:
    labels = """\
0 0.25 0.5 0.1 0.2
1 0.95 0.5 0.4 0.2
1 2.5 0.5 0.1 0.1
0 0.5 0.5 0 0.2
0 nan 0.5 0.1 0.1
0 0.5

0 0.25 0.5 0.1 0.2
0 0.5 0.5 0.2 0.2 0.93
1 0.5 0.5 0.001 0.2
0 0.5 0.5 -0.2 0.2
"""
    found = convert("yolo", write_yolo(tmp_path, labels), out=tmp_path / "out")
    assert found.boxes["images/train/a.jpg"] == [
        ("person", [40.0, 40.0, 20.0, 20.0]),
        ("dog", [150.0, 40.0, 50.0, 20.0]),
        # What was there and has no place.
        ("dog", [0.0, 0.0, 0.0, 0.0]),
        ("person", [0.0, 0.0, 0.0, 0.0]),
    ]
    assert found.left_out == [
        ("+box_clipped", "a.txt", "line 2"),
        ("bad_box", "a.txt", "line 3"),
        ("bad_box", "a.txt", "line 4"),
        ("bad_box", "a.txt", "line 5"),
        ("bad_line", "a.txt", "line 6"),
        ("duplicate_box", "a.txt", "line 8"),
        ("bad_line", "a.txt", "line 9"),
        ("box_under_a_pixel", "a.txt", "line 10"),
        ("bad_box", "a.txt", "line 11"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"), [("dog 0.7 0.7 0.2 0.2", "bad_line"), ("7 0.5 0.8 0.2 0.2", "unknown_label")]
)
def test_with_an_object_of_unknown_category_nothing_is_absent_or_counted(
    tmp_path: Path, line: str, reason: str
) -> None:
    data = write_yolo(tmp_path, f"1 0.3 0.3 0.2 0.2\n{line}\n")
    write(tmp_path / "labels/train/b.txt", "1 0.5 0.5 0.2 0.4\n")
    found = convert("yolo", data, out=tmp_path / "out")
    assert found.boxes == {
        "images/train/a.jpg": [("person", [0.0, 0.0, 0.0, 0.0]), ("dog", [0.0, 0.0, 0.0, 0.0])],
        "images/train/b.jpg": [("dog", [80.0, 30.0, 40.0, 40.0])],
    }
    assert found.left_out == [(reason, "a.txt", "line 2"), ("unknown_object", "a.txt", "line 2")]
    # `run` makes nothing of it: neither "there are no people" nor "there is one dog".
    arguments = ("--instances", tmp_path / "out/instances.json", "--images", tmp_path)
    assert datagen("run", *arguments, "--out", tmp_path / "run") == 0
    assert {record.image for record in records_of(tmp_path / "run")} == {"images/train/b.jpg"}


def left_out_details(out: Path) -> list[tuple[str, str]]:
    lines = map(json.loads, (out / "left_out.jsonl").read_text(encoding="utf-8").splitlines())
    return [(line["reason"], line["detail"]) for line in lines]


def test_pixels_and_decimal_commas_are_said_in_the_lines_own_numbers(tmp_path: Path) -> None:
    labels = "0 0.5 0.5 0.2 0.2\n0 60 40 20 30\n0 0 0 50 0 50 50\n0 0,5 0.5 0.2 0.2\n0 inf 0.5 0.2 0.2\n"
    convert("yolo", write_yolo(tmp_path, labels), out=tmp_path / "out")
    assert left_out_details(tmp_path / "out") == [
        ("bad_box", "its numbers are above 1 (60 40 20 30); YOLO has fractions of width and height"),
        ("bad_box", "its numbers are above 1 (0 0 50 0 50 50); YOLO has fractions of width and height"),
        ("bad_box", "'0,5' is not a number: decimals need a point"),
        ("bad_box", "'inf' is not a finite number"),
    ]


def test_names_that_differ_in_capitals_are_one_category(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = """\
0 0.25 0.5 0.1 0.2
1 0.5 0.5 0.1 0.2
1 0.7 0.5 0.1 0.2
2 0.25 0.5 0.1 0.2
2 0.9 0.5 0.1 0.2
2 0.5 0.5 0 0
"""
    yaml = DATA_YAML.replace("0: person\n  1: dog", "0: Cat\n  1: cat\n  2: 'CAT '\n  3: kite\n  4: Kite")
    found = convert("yolo", write_yolo(tmp_path, labels, yaml), out=tmp_path / "out")
    assert found.boxes["images/train/a.jpg"] == [
        ("CAT", [40.0, 40.0, 20.0, 20.0]),
        ("CAT", [90.0, 40.0, 20.0, 20.0]),
        ("CAT", [130.0, 40.0, 20.0, 20.0]),
        ("CAT", [170.0, 40.0, 20.0, 20.0]),
        ("CAT", [0.0, 0.0, 0.0, 0.0]),
    ]
    categories = json.loads((tmp_path / "out/instances.json").read_text())["categories"]
    assert [each["name"] for each in categories] == ["CAT", "Kite"]  # a tie: the first in sort order
    assert found.left_out == [
        ("duplicate_box", "a.txt", "line 4"),
        ("bad_box", "a.txt", "line 6"),
        ("+label_case", "a.txt", "line 2"),
        ("+label_case", "a.txt", "line 1"),
    ]
    said = capsys.readouterr().out
    assert "mended: 2 (label_case 2)" in said
    assert "one category, not 3, as only capitals differ: CAT 3, cat 2, Cat 1" in said


def test_one_of_a_kind_is_said_in_the_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_yolo(tmp_path, "1 0.5 0.5 0.2 0.4\n")
    (tmp_path / "images/train/b.jpg").unlink()
    write(tmp_path / "labels/train/classes.txt", "person\ndog\n")  # labelImg's
    found = convert("yolo", data, out=tmp_path / "out")
    assert found.left_out == []
    assert capsys.readouterr().out.startswith(
        f"1 image, 1 box of 1 category: {tmp_path}/out/instances.json\n"
    )


def test_run_counts_no_category_of_which_a_box_was_lost(tmp_path: Path) -> None:
    from datagen.annotations import read_annotations
    from datagen.records import ImageAnnotation

    data = write_yolo(tmp_path, "0 0.25 0.5 0.1 0.2\n0 0.5 0.5 0 0.2\n1 0.5 0.5 0.1 0.2\n")
    convert("yolo", data, out=tmp_path / "out")
    images = list(read_annotations([], [tmp_path / "out/instances.json"]))
    annotation = next(each for each in images if isinstance(each, ImageAnnotation) and each.boxes)
    assert annotation.file_name == "images/train/a.jpg"
    assert annotation.uncounted == ("person",)


def test_only_the_train_split_is_taken_unless_another_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_yolo(tmp_path, "0 0.25 0.5 0.1 0.2\n")
    assert list(convert("yolo", data, out=tmp_path / "a").boxes) == [
        "images/train/a.jpg",
        "images/train/b.jpg",
    ]
    assert "not converted: val (choose with --split)" in capsys.readouterr().out
    assert datagen("convert", "yolo", data, "--split", "val", "--out", tmp_path / "b") == 0
    assert made(tmp_path / "b").boxes == {"images/val/c.jpg": [("person", [50.0, 25.0, 100.0, 50.0])]}
    said = refused(capsys, tmp_path / "c", "convert", "yolo", data, "--split", "test")
    assert said == f"--split test: {data} has train, val"


def test_keypoints_after_a_box_are_passed_over(tmp_path: Path) -> None:
    labels = "0 0.5 0.5 0.2 0.4 0.5 0.5 2 0.6 0.6 1\n"
    data = write_yolo(tmp_path, labels, DATA_YAML + "kpt_shape: [2, 3]\n")
    found = convert("yolo", data, out=tmp_path / "out")
    assert found.boxes["images/train/a.jpg"] == [("person", [80.0, 30.0, 40.0, 40.0])]


def test_roboflows_layout_is_found(tmp_path: Path) -> None:
    draw(tmp_path, "train/images/a.jpg")
    write(tmp_path / "train/labels/a.txt", "1 0.5 0.5 0.2 0.4\n")
    yaml = "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['person', 'dog']\n"
    found = convert("yolo", write(tmp_path / "data.yaml", yaml), out=tmp_path / "out")
    assert found.boxes == {"train/images/a.jpg": [("dog", [80.0, 30.0, 40.0, 40.0])]}


def test_a_list_of_images_from_another_machine_is_followed(tmp_path: Path) -> None:
    data = write_yolo(
        tmp_path,
        "1 0.5 0.5 0.2 0.4\n",
        "path: /content/datasets/dogs\ntrain: train.txt\nnames: [person, dog]\n",
    )
    write(tmp_path / "train.txt", "/content/datasets/dogs/images/train/a.jpg\n./images/train/gone.jpg\n")
    found = convert("yolo", data, images=tmp_path, out=tmp_path / "out")
    # The list's first path ends with the whole of the second's place below --images.
    assert found.boxes == {"images/train/a.jpg": [("dog", [80.0, 30.0, 40.0, 40.0])]}
    assert found.left_out == [("image_not_found", "gone.jpg", "")]


def test_labels_without_an_image_and_pictures_that_are_none_are_named(tmp_path: Path) -> None:
    data = write_yolo(tmp_path, "1 0.5 0.5 0.2 0.4\n")
    write(tmp_path / "labels/train/gone.txt", "0 0.5 0.5 0.2 0.4\n")
    write(tmp_path / "images/train/b.jpg", "no picture")
    found = convert("yolo", data, out=tmp_path / "out")
    assert found.boxes == {"images/train/a.jpg": [("dog", [80.0, 30.0, 40.0, 40.0])]}
    assert found.left_out == [("unreadable_image", "b.jpg", ""), ("image_not_found", "gone.txt", "")]


def test_labels_that_lie_elsewhere_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_yolo(tmp_path, "1 0.5 0.5 0.2 0.4\n")
    (tmp_path / "labels/train/a.txt").rename(tmp_path / "labels/a.txt")
    said = refused(capsys, tmp_path / "out", "convert", "yolo", data)
    assert f"no image has a label file (looked for {tmp_path}/labels/train/a.txt, and so on)" in said


@pytest.mark.parametrize(
    ("data_yaml", "says"),
    [
        ("train: images/train\n", "has no `names`"),
        ("names: [a\ntrain: x\n", "line 2: is not YAML"),
        ("names: [person]\n", "names no images: it needs train, val or test"),
        ("names: []\ntrain: images/train\n", "must be a list of class names"),
        ("names: {a: person}\ntrain: images/train\n", "names: a: 'person' is not the name of a class"),
        ("names: [person]\ntrain: nowhere\n", "train: nowhere is not there"),
        ("names: [person]\ntrain: labels/val\n", "labels/val holds no picture"),
        ("names: [person, dog]\ntrain: images/val\n", "nothing can be used"),
    ],
)
def test_a_data_yaml_that_cannot_be_used_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data_yaml: str, says: str
) -> None:
    data = write_yolo(tmp_path, "0 0.25 0.5 0.1 0.2\n", data_yaml)
    write(tmp_path / "labels/val/c.txt", "9 0.5 0.5 0.5 0.5\n")
    assert says in refused(capsys, tmp_path / "out", "convert", "yolo", data)
