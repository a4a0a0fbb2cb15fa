"""Image-caption lists, as CC3M, LAION and img2dataset have them, into an alignment set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datagen.prompting import PACKS, load_pack
from schemas import LlavaRecord
from tests.datagen.convert.exports import draw, write
from tests.datagen.test_bad_input import refused
from tests.datagen.test_run import datagen, records_of

INSTRUCTIONS = load_pack(PACKS / "coco").word_lists["alignment"]
CAPTIONS = ["a red kite over the sea", "christmas tree in the snow", 'the "old" mill']


def parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    write_table(pyarrow.table(columns), path)
    return path


def tsv(folder: Path) -> Path:
    lines = [f"{caption}\thttps://example.com/photos/{n}.jpg?x=1\n" for n, caption in enumerate(CAPTIONS)]
    return write(folder / "Train_GCC-training.tsv", "".join(lines))


def tsv_with_header(folder: Path) -> Path:
    quoted = [caption.replace('"', '""') for caption in CAPTIONS]
    return write(
        folder / "list.tsv",
        "image\tcaption\n" + "".join(f'{n}.jpg\t"{caption}"\n' for n, caption in enumerate(quoted)),
    )


def json_array(folder: Path) -> Path:
    listed = [
        {
            "id": f"GCC_train_{n}",
            "image": f"{n}.jpg",
            "caption": caption,
            "blip_caption": "x",
            "url": "http://a/b",
        }
        for n, caption in enumerate(CAPTIONS)
    ]
    return write(folder / "metadata.json", listed)


def json_lines(folder: Path) -> Path:
    lines = [json.dumps({"URL": f"http://a/{n}.jpg", "TEXT": caption}) for n, caption in enumerate(CAPTIONS)]
    return write(folder / "list.jsonl", "\n".join(lines))


def img2dataset(folder: Path) -> Path:
    return parquet(
        folder / "00000.parquet",
        {
            "url": ["http://a/b.jpg"] * 3,
            "caption": CAPTIONS,
            "key": [str(n) for n in range(3)],
            "status": ["success"] * 3,
            "error_message": [None] * 3,
            "width": [8] * 3,
        },
    )


@pytest.mark.parametrize("write_list", [tsv, tsv_with_header, json_array, json_lines, img2dataset])
def test_a_list_becomes_an_alignment_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_list: Callable[[Path], Path]
) -> None:
    images = draw(tmp_path / "images", "0.jpg", "1.jpg", "2.jpg", size=(8, 8))
    assert datagen("caption-list", write_list(tmp_path), "--images", images, "--out", tmp_path / "out") == 0
    records = records_of(tmp_path / "out", "alignment.json")
    assert [(r.image, r.conversations[1].value) for r in records] == [
        ("0.jpg", CAPTIONS[0]),
        ("1.jpg", CAPTIONS[1]),
        ("2.jpg", CAPTIONS[2]),
    ]
    assert {r.conversations[0].value.removeprefix("<image>\n") for r in records} <= set(INSTRUCTIONS)
    assert len({r.id for r in records}) == 3
    assert (tmp_path / "out/left_out.jsonl").read_text() == ""
    assert capsys.readouterr().out.splitlines() == [
        f"3 pairs read, 3 in the set: {tmp_path}/out/alignment.json",
        f"next: make train RECIPE=… DATA=… IMAGES=… ALIGN_DATA={tmp_path}/out/alignment.json "
        f"ALIGN_IMAGES={images}",
    ]


def test_the_set_is_that_of_captions_from_the_same_images(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "0.jpg", "1.jpg", "2.jpg", size=(8, 8))
    table = tsv_with_header(tmp_path)
    assert datagen("caption-list", table, "--images", images, "--out", tmp_path / "a") == 0
    assert datagen("convert", "captions", table, "--images", images, "--out", tmp_path / "b") == 0
    coco = tmp_path / "b/captions.json"
    assert datagen("captions", "--captions", coco, "--images", images, "--out", tmp_path / "c") == 0

    def by_id(out: Path) -> dict[str, LlavaRecord]:
        return {record.id: record for record in records_of(out, "alignment.json")}

    assert by_id(tmp_path / "a") == by_id(tmp_path / "c")


def test_every_pair_is_in_the_set_or_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = draw(tmp_path / "images", *(f"{n}.jpg" for n in range(9)), "000000020650.jpg", size=(8, 8))
    listed: list[Any] = [
        {"image": "0.jpg", "caption": "a red\nkite"},
        {"image": "0.jpg", "caption": "a red kite"},
        {"image": "0.jpg", "caption": "the sea"},
        {"image": "gone.jpg", "caption": "a cat"},
        {"image": "1.jpg", "caption": " "},
        {"image": "2.jpg", "caption": None},
        {"image": "3.jpg", "caption": "I am unable to see an image above"},
        {"image": "4.jpg", "caption": "what <image> is"},
        {"image": "5.jpg", "caption": "lost \ufffd"},
        {"image": "000000020650.jpg", "caption": "a room"},
        {"image": "6.jpg", "caption": "a room", "status": "failed_to_download"},
        {"caption": "a room"},
        "a room",
    ]
    file = write(tmp_path / "list.json", listed)
    assert datagen("caption-list", file, "--images", images, "--out", tmp_path / "out") == 0
    left_out = [json.loads(line) for line in (tmp_path / "out/left_out.jsonl").read_text().splitlines()]
    assert [(line["reason"], line["record"]) for line in left_out] == [
        ("duplicate_pair", "[1]"),
        ("image_not_found", "[3]"),
        ("empty_caption", "[4]"),
        ("empty_caption", "[5]"),
        ("unfit_caption", "[6]"),
        ("unfit_caption", "[7]"),
        ("bad_caption", "[8]"),
        ("evaluation_image", "[9]"),
        ("not_downloaded", "[10]"),
        ("image_not_found", "[11]"),
        ("bad_line", "[12]"),
        ("another_caption", left_out[-1]["record"]),
    ]
    (record,) = records_of(tmp_path / "out", "alignment.json")
    assert record.image == "0.jpg"
    drawn = record.conversations[1].value
    assert {drawn, left_out[-1]["record"]} in ({"a red kite", "[2]"}, {"the sea", "[0]"})
    assert "13 pairs read, 1 in the set" in capsys.readouterr().out


def test_a_concept_balanced_set_is_the_same_in_whatever_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = draw(tmp_path / "images", *(f"{n:03d}.jpg" for n in range(160)), size=(2, 2))
    captions = ["a dog on sand"] * 3 + ["a unicorn"] + ["a dog"] * 156
    rows = [f"{n:03d}.jpg\t{caption}\n" for n, caption in enumerate(captions)]
    for name, order in (("a", rows), ("b", rows[::-1])):
        file = write(tmp_path / f"{name}.tsv", "image\tcaption\n" + "".join(order))
        out = tmp_path / name
        assert datagen("caption-list", file, "--images", images, "--out", out, "--concept-balanced") == 0
    made = (tmp_path / "a/alignment.json").read_bytes()
    assert made == (tmp_path / "b/alignment.json").read_bytes()
    records = records_of(tmp_path / "a", "alignment.json")
    assert {"000.jpg", "001.jpg", "002.jpg"} < {record.image for record in records}
    assert 100 <= len(records) <= 103
    said = capsys.readouterr().out
    assert f"160 pairs read, {len(records)} in the set" in said
    assert "concepts: 3 different noun phrases, 2 of them in at least 3 captions and so in the set" in said
    assert f"left out: {160 - len(records)} (frequent_concepts {159 - len(records)}, rare_concepts 1)" in said


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("list.tsv", "a dog\tb.jpg\n", "its first line must name the columns"),
        ("list.json", [{"id": "1", "image": "0.jpg", "conversations": []}], "is LLaVA JSON already"),
        (
            "list.json",
            {"images": [], "annotations": []},
            "is a COCO file: give it to `python -m datagen captions",
        ),
        ("list.json", "[{]", "is not JSON"),
        ("list.json", "{,", "is neither a JSON array nor an object a line"),
        ("list.parquet", "PAR1", "cannot be read as Parquet"),
        (
            "list.tsv",
            "image\tcaption\n9.jpg\ta dog\n",
            "no pair can be used: image_not_found 1 (the first, line 2: ",
        ),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: object, says: str
) -> None:
    images = draw(tmp_path / "images", "0.jpg")
    file = write(tmp_path / name, content)
    assert says in refused(capsys, tmp_path / "out", "caption-list", file, "--images", images)


def test_parquet_without_the_columns_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = draw(tmp_path / "images", "0.jpg")
    file = parquet(tmp_path / "list.parquet", {"jpg": [b"x"], "txt": ["y"]})
    said = refused(capsys, tmp_path / "out", "caption-list", file, "--images", images)
    assert said == f"{file}: its columns are jpg, txt; it needs image or url, and caption"


def test_quotes_that_do_not_parse_are_text_and_one_pair_is_singular(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = draw(tmp_path / "images", "0.jpg", size=(8, 8))
    listed = write(tmp_path / "list.tsv", 'image\tcaption\n0.jpg\t"Happy" dog on grass\n')
    assert datagen("caption-list", listed, "--images", images, "--out", tmp_path / "out") == 0
    assert [each.conversations[1].value for each in records_of(tmp_path / "out", "alignment.json")] == [
        '"Happy" dog on grass'
    ]
    assert capsys.readouterr().out.startswith("1 pair read, 1 in the set: ")


def test_which_caption_of_an_image_is_kept_is_not_decided_by_order(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "0.jpg", size=(8, 8))
    rows = [f"0.jpg\t{caption}\n" for caption in CAPTIONS]
    for name, order in (("a", rows), ("b", rows[::-1])):
        listed = write(tmp_path / f"{name}.tsv", "image\tcaption\n" + "".join(order))
        assert datagen("caption-list", listed, "--images", images, "--out", tmp_path / name) == 0
    assert (tmp_path / "a/alignment.json").read_bytes() == (tmp_path / "b/alignment.json").read_bytes()
