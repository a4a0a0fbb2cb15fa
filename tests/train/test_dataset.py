"""From LLaVA JSON to tensors: what is read, what is left out and why, and in what order it is trained on."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import LlavaImageProcessorPil

from tests.train.factory import write_tokenizer
from train.conversation import Encoder, get_format
from train.dataset import (
    DataFile,
    InstructionData,
    Interrupted,
    Prepared,
    WeightedSampler,
    append_left_out,
    check_share,
    parse_data_file,
    prepare,
    read_samples,
    start_left_out,
)
from train.images import ImageStore
from train.records import IGNORE_INDEX, InputError, LeftOut, Sample

FEATURES = 4
SIDE = 8


def row(*turns: str, speakers: Sequence[str] = ("human", "gpt"), **keys: object) -> dict[str, Any]:
    """A record whose turns alternate between the speakers."""
    said = [{"from": speakers[number % 2], "value": turn} for number, turn in enumerate(turns)]
    return {**keys, "conversations": said}


def write_json(path: Path, rows: object) -> Path:
    path.write_text(json.dumps(rows))
    return path


def read(path: Path) -> tuple[list[Sample], list[LeftOut]]:
    return read_samples([DataFile(path)], "finetune")


def input_error(call: Any, *arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Data files on the command line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.json", DataFile(Path("a.json"), 1.0)),
        ("a.json:2", DataFile(Path("a.json"), 2.0)),
        ("a.json:0.25", DataFile(Path("a.json"), 0.25)),
        ("d:1/a.json", DataFile(Path("d:1/a.json"), 1.0)),
        ("d:1/a.json:3", DataFile(Path("d:1/a.json"), 3.0)),
    ],
)
def test_a_data_file_may_have_a_weight(text: str, expected: DataFile) -> None:
    assert parse_data_file(text) == expected


@pytest.mark.parametrize("tail", ["0", "-1", "nan", "inf", "two", ""])
def test_a_weight_is_a_number_above_zero(tail: str) -> None:
    assert input_error(parse_data_file, f"a.json:{tail}") == (
        f"a.json:{tail}: {tail!r} is no weight; give F or F:WEIGHT, the weight a number above 0"
    )


def test_a_colon_in_a_files_own_name_is_no_weight(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a:2", [])
    assert parse_data_file(str(path)) == DataFile(path)


# Records that are read


def test_datagens_records_are_read_with_their_response_type(tmp_path: Path) -> None:
    ids = [
        "conversation-000000000013",
        "complex_reasoning-000000000139-1",
        "alignment-1234567890123",
        "000000033471",
        "wNBG8Gp-12",
        "-000000000013",
    ]
    path = write_json(
        tmp_path / "llava_instruct.json", [row("<image>\nQ", "A", id=i, image="a.jpg") for i in ids]
    )
    samples, left_out = read(path)
    assert left_out == []
    assert samples[0] == Sample(
        str(path),
        0,
        "conversation-000000000013",
        "llava_instruct",
        "conversation",
        ("a.jpg",),
        ("<image>\nQ", "A"),
    )
    assert [sample.response_type for sample in samples] == [
        "conversation",
        "complex_reasoning",
        "alignment",
        "other",
        "other",
        "other",
    ]


def test_the_shapes_of_public_sets_are_read(tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "mix.json",
        [
            row("What is it?\n<image>", "A bus.", "Where?", "Here.", id="000000033471", image="coco/a.jpg"),
            row("Say hi", "hi", id=7, model="gpt-4"),
            row("<image>\nQ", "A", id="000000033471", image="b.jpg"),
            row("<image> or <image>?", "Both.", id="two", image=["a.jpg", "b.jpg"]),
            row("Q", "A", "Now <image>?", "B", id="later", image="a.jpg"),
            row("Q", "A"),
            row("Q", "A", id="", image=None),
            row("Q", "A", id=True, image=[]),
            row("Q\r\nwith lines", "A\r\nB", id="dos"),
            row("Q", "A", id="openai", speakers=("user", "assistant")),
            row("<image>", "A", id="no question", image="a.jpg"),
        ],
    )
    samples, left_out = read(path)
    assert left_out == []
    assert [(sample.record, sample.id, sample.images, sample.turns) for sample in samples] == [
        (0, "000000033471", ("coco/a.jpg",), ("What is it?\n<image>", "A bus.", "Where?", "Here.")),
        (1, "7", (), ("Say hi", "hi")),
        (2, "000000033471", ("b.jpg",), ("<image>\nQ", "A")),
        (3, "two", ("a.jpg", "b.jpg"), ("<image> or <image>?", "Both.")),
        (4, "later", ("a.jpg",), ("Q", "A", "Now <image>?", "B")),
        (5, "mix[5]", (), ("Q", "A")),
        (6, "mix[6]", (), ("Q", "A")),
        (7, "mix[7]", (), ("Q", "A")),
        (8, "dos", (), ("Q\nwith lines", "A\nB")),
        (9, "openai", (), ("Q", "A")),
        (10, "no question", ("a.jpg",), ("<image>", "A")),
    ]


def test_several_files_are_read_in_order(tmp_path: Path) -> None:
    files = [DataFile(write_json(tmp_path / f"{n}.json", [row("Q", n, id=n)])) for n in ("b", "a")]
    samples, _ = read_samples(files, "finetune")
    assert [(x.file, x.record, x.id, x.source) for x in samples] == [
        (str(files[0].path), 0, "b", "b"),
        (str(files[1].path), 0, "a", "a"),
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "A.JSONL"])
def test_json_lines_are_read_from_jsonl(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(row("Q", "A", id=n)) for n in range(3)) + "\n\n")
    assert [sample.id for sample in read(path)[0]] == ["0", "1", "2"]
    path.write_text(json.dumps(row("Q", "A")) + '\n{"id": }\n')
    assert input_error(read, path) == (
        f"{path}: is not JSON (line 2, column 8: Expecting value); mend it, or copy it again"
    )


# Records that are left out

DEFECTS: list[tuple[object, str, str]] = [
    ("text", "not_an_object", "is a string, not an object with conversations"),
    (None, "not_an_object", "is null, not an object with conversations"),
    ({"id": "r"}, "no_turns", "conversations is missing, not a list of turns"),
    ({"id": "r", "conversations": []}, "no_turns", "conversations is empty, not a list of turns"),
    ({"id": "r", "conversations": "Q"}, "no_turns", "conversations is a string, not a list of turns"),
    (
        {"id": "r", "conversations": ["Q", "A"]},
        "bad_turn",
        "turn 0 is a string, not an object with from and value",
    ),
    (
        row("Q", "A", id="r", speakers=("gpt", "human")),
        "wrong_roles",
        "turn 0 is gpt's, and should be human's",
    ),
    (
        row("Q", "A", id="r", speakers=("human", "human")),
        "wrong_roles",
        "turn 1 is human's, and should be gpt's",
    ),
    (row("Q", "A", "Q", id="r"), "wrong_roles", "the last turn is human's, and no answer follows"),
    (
        row("S", "Q", id="r", speakers=("system", "human")),
        "wrong_roles",
        "turn 0 is from 'system', not human or gpt",
    ),
    (
        {"id": "r", "conversations": [{"role": "user", "content": "Q"}]},
        "wrong_roles",
        "turn 0 has no from, which says human or gpt",
    ),
    (
        {"id": "r", "conversations": [{"from": ["human"], "value": "Q"}]},
        "wrong_roles",
        "turn 0 is from ['human'], not human or gpt",
    ),
    (row("Q", "", id="r"), "empty_turn", "turn 1 (gpt's) is empty"),
    (row(" \n", "A", id="r"), "empty_turn", "turn 0 (human's) is empty"),
    (row("Q", None, id="r"), "bad_turn", "turn 1 has missing for its value, not a string"),  # type: ignore[arg-type]
    (row("Q", 3, id="r"), "bad_turn", "turn 1 has a number for its value, not a string"),  # type: ignore[arg-type]
    (row("Q", "a\0b", id="r"), "bad_character", "turn 1 holds a NUL or half a surrogate pair"),
    (row("Q", "a\ud83d", id="r"), "bad_character", "turn 1 holds a NUL or half a surrogate pair"),
    (row("<image>\nQ", "an <image>", id="r", image="a"), "image_in_answer", "an answer holds <image>"),
    (row("<image>\nQ", "A", id="r"), "image_count", "has <image> once and names 0 images"),
    (row("<image>\nQ", "A", id="r", image=None), "image_count", "has <image> once and names 0 images"),
    (row("Q", "A", id="r", image="a"), "image_count", "has <image> 0 times and names 1 image"),
    (
        row("<image><image>\nQ", "A", id="r", image="a"),
        "image_count",
        "has <image> 2 times and names 1 image",
    ),
    (
        row("<image>", "A", "<image>", "B", id="r", image="a"),
        "image_count",
        "has <image> 2 times and names 1 image",
    ),
    (row("<image>\nQ", "A", id="r", image=["a", "b"]), "image_count", "has <image> once and names 2 images"),
    (
        row("<image>\nQ", "A", id="r", image=""),
        "bad_image",
        "image is an empty string; a record about no image has no such key",
    ),
    (row("<image>\nQ", "A", id="r", image=5), "bad_image", "image is a number, not a path"),
    (row("<image>\nQ", "A", id="r", image=[None]), "bad_image", "image is missing, not a path"),
    (row("<image>\nQ", "A", id="r", image={"bytes": ""}), "bad_image", "image is an object, not a path"),
    (
        row("<image>\nQ", "A", id="r", image="a\0"),
        "bad_image",
        r"the path 'a\x00' holds a NUL or half a surrogate pair",
    ),
]


def test_every_defect_of_public_sets_is_left_out_with_its_reason(tmp_path: Path) -> None:
    good = row("Q", "A", id="good")
    path = write_json(tmp_path / "mix.json", [*(record for record, _, _ in DEFECTS), good])
    samples, left_out = read(path)
    assert [sample.id for sample in samples] == ["good"]
    assert left_out == [
        LeftOut("finetune", str(path), n, "r" if isinstance(record, dict) else f"mix[{n}]", reason, detail)
        for n, (record, reason, detail) in enumerate(DEFECTS)
    ]


def test_the_defects_are_the_same_where_msgspec_reads_the_whole_file(tmp_path: Path) -> None:
    # Half a surrogate pair sends a whole file to Python's parser; without one msgspec reads it.
    rows = [record for record, _, _ in DEFECTS if "\\ud83d" not in json.dumps(record)]
    _, left_out = read(write_json(tmp_path / "mix.json", rows))
    assert [(x.reason, x.detail) for x in left_out] == [
        (reason, detail) for record, reason, detail in DEFECTS if "\\ud83d" not in json.dumps(record)
    ]


def test_a_record_that_is_not_utf8_does_not_spoil_the_others(tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    good = json.dumps(row("Q", "A", id="good"))
    path.write_bytes(
        f"[{good}, ".encode() + json.dumps(row("Q", "caf#")).encode().replace(b"#", b"\xe9") + b"]"
    )
    samples, left_out = read(path)
    assert [sample.id for sample in samples] == ["good"]
    assert [(x.record, x.id, x.reason) for x in left_out] == [(1, "latin[1]", "not_utf8")]


def test_a_surrogate_in_an_id_can_still_be_written_down(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", [row("Q", "", id="a\ud83d")])
    _, left_out = read(path)
    append_left_out(tmp_path / "left_out.jsonl", left_out)
    assert json.loads((tmp_path / "left_out.jsonl").read_text())["id"] == "a?"


# Files that cannot be used

NO_LIST = "holds no list; give LLaVA JSON, a list of records (a record a line wants the name .jsonl)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; copy or download it again"),
        (b"[]", "holds no records; give LLaVA JSON, a list of conversations"),
        (b'{"id": 1}', NO_LIST),
        (b'{"id": NaN}', NO_LIST),
        (
            b'[{"id": 1},\n {"id": }]',
            "is not JSON (line 2, column 9: Expecting value); mend it, or copy it again",
        ),
        (
            b'[{"id": 1},\n {"id": 2}',
            "is not JSON (line 2, column 11: Expecting ',' delimiter); mend it, or copy it again",
        ),
        (b'{"id": 1}\n{"id": 2}', NO_LIST),
        (b"\x1f\x8b\x08\x00", "is compressed; unpack it first"),
        (b"[" * 200_000, "is nested far deeper than LLaVA JSON is"),
    ],
)
def test_a_file_that_is_no_data_is_told_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert input_error(read, path) == f"{path}: {message}"


def test_what_is_no_file_is_told_in_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert input_error(read, tmp_path / "no") == f"{tmp_path / 'no'}: does not exist; check the path"
    for path in (tmp_path, tmp_path / "pipe"):
        assert input_error(read, path) == f"{path}: is not a regular file; give LLaVA JSON"


def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([row("Q", "A")]), encoding="utf-8-sig")
    assert len(read(path)[0]) == 1


def test_a_file_given_twice_wants_a_weight(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", [row("Q", "A")])
    files = [DataFile(path), DataFile(tmp_path / "." / "a.json", 2)]
    assert input_error(read_samples, files, "align") == (
        f"{path}: is given twice; give it once, with a weight ({path}:2)"
    )


# Preparing


@cache
def tokenizer() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        made = write_tokenizer(Path(folder), "qwen2")
    made.add_special_tokens({"additional_special_tokens": ["<image>", "<pad>"]})
    return made


def encoder(max_length: int = 128) -> Encoder:
    return Encoder(
        tokenizer(),
        get_format("chatml"),
        image_token_id=tokenizer().convert_tokens_to_ids("<image>"),
        features_per_image=FEATURES,
        max_length=max_length,
    )


def image_processor() -> Any:
    square = {"height": SIDE, "width": SIDE}
    return LlavaImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=square)


COLOURS = {"red.png": (250, 0, 0), "green.png": (0, 250, 0), "blue.png": (0, 0, 250)}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (SIDE, SIDE), colour).save(folder / name)
    (folder / "page.jpg").write_text("<html>")
    whole = folder / "whole.jpg"
    Image.effect_noise((64, 64), 90).save(whole)
    (folder / "cut.jpg").write_bytes(whole.read_bytes()[:1000])
    return folder


def sample(*turns: str, images: tuple[str, ...] = (), record: int = 0, file: str = "a.json") -> Sample:
    return Sample(file, record, f"r{record}", "a", "other", images, turns)


def shown(pixel_values: torch.Tensor) -> list[str]:
    """The names of the images in a tensor, by their colour."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    names = {colour: name for name, colour in COLOURS.items()}
    colours = ((pixel_values[:, :, 3, 5] * std + mean) * 255).round().int().tolist()
    return [names[red, green, blue] for red, green, blue in colours]


SAMPLES = [
    sample("<image>\nWhat is it?", "Red.", images=("red.png",), record=0),
    sample("Just text", "Yes.", record=1),
    sample("<image>\nQ", "A", images=("gone.png",), record=2),
    sample("<image>\nQ", "A", images=("page.jpg",), record=3),
    sample("<image>\nQ", "A", images=("../secret.png",), record=4),
    sample("<image>\nQ", "A" * 500, images=("red.png",), record=5),
    sample("<image> and <image>", "B", images=("red.png", "gone.png"), record=6),
    sample("<image> and <image>", "B", images=("red.png", "blue.png"), record=7),
    sample("Q", "A", "<image>\nlater", "B" * 200, images=("gone.png",), record=8),
    sample("<image>\nQ", "A", images=("gone.png",), record=9),
]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("needs_images", [False, True])
def test_prepare_keeps_what_trains_and_says_why_not_the_rest(
    images: Path, needs_images: bool, workers: int
) -> None:
    state = torch.get_rng_state()
    prepared, left_out = prepare(
        SAMPLES, encoder(), ImageStore(images), "align", needs_images=needs_images, workers=workers
    )
    assert torch.equal(torch.get_rng_state(), state)
    lengths = {n: len(encoder().encode(SAMPLES[n].turns).input_ids) for n in (0, 1, 7, 8)}
    text_only = [] if needs_images else [Prepared(SAMPLES[1], lengths[1], 0, 0)]
    # Its image stands in a turn that is dropped, and need not be there then.
    shortened = [] if needs_images else [Prepared(SAMPLES[8], lengths[8], 0, 2)]
    assert prepared == [
        Prepared(SAMPLES[0], lengths[0], 1, 0),
        *text_only,
        Prepared(SAMPLES[7], lengths[7], 2, 0),
        *shortened,
    ]
    reasons = [
        (1, "text_only"),
        (2, "missing_image"),
        (3, "corrupt_image"),
        (4, "unsafe_path"),
        (5, "too_long"),
        (6, "missing_image"),
        (8, "text_only"),
        (9, "missing_image"),
    ]
    assert [(x.record, x.id, x.stage, x.file, x.reason) for x in left_out] == [
        (record, f"r{record}", "align", "a.json", reason)
        for record, reason in reasons
        if needs_images or reason != "text_only"
    ]


def test_processes_share_the_samples_and_each_has_what_all_found(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare_all() -> Any:
        return prepare(SAMPLES, encoder(), ImageStore(images), "align", needs_images=True)

    alone = prepare_all()
    shares: list[tuple[list[Any], bool]] = []

    def take_part(share: tuple[list[Any], bool]) -> list[tuple[list[Any], bool]]:
        shares.append(share)
        return [([], True)]

    monkeypatch.setattr("train.dataset.processes", lambda: 3)
    monkeypatch.setattr("train.dataset.gather", take_part)
    for rank in range(3):
        monkeypatch.setattr("train.dataset.process", lambda rank=rank: rank)
        with pytest.raises(Interrupted):  # in all, if one says so
            prepare_all()
    assert [(len(found), stopped) for found, stopped in shares] == [(4, False), (3, False), (3, False)]
    monkeypatch.setattr("train.dataset.gather", lambda _: shares)
    assert prepare_all() == alone


def test_a_sample_whose_labels_are_wrong_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "train.dataset.check_labels", lambda _, turns, __: "off by one" if turns == ("Q", "bad") else None
    )
    samples = [sample("Q", "good"), sample("Q", "bad", record=1)]
    prepared, left_out = prepare(samples, encoder(), None, "finetune", needs_images=False)
    assert [each.sample for each in prepared] == [samples[0]]
    assert left_out == [LeftOut("finetune", "a.json", 1, "r1", "labels", "off by one")]


def test_without_an_image_folder_images_are_missing() -> None:
    _, left_out = prepare(SAMPLES[:2], encoder(), None, "finetune", needs_images=False)
    assert [(x.record, x.reason, x.detail) for x in left_out] == [
        (0, "missing_image", "red.png: no image folder was given")
    ]


def test_an_images_header_is_read_once_for_all_its_samples(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    check = ImageStore.check

    def counting(store: ImageStore, name: str) -> None:
        checked.append(name)
        check(store, name)

    monkeypatch.setattr(ImageStore, "check", counting)
    _, left_out = prepare(SAMPLES * 3, encoder(), ImageStore(images), "finetune", needs_images=False)
    assert Counter(checked) == dict.fromkeys(
        ["red.png", "gone.png", "page.jpg", "../secret.png", "blue.png"], 1
    )
    assert [x.record for x in left_out] == [2, 3, 4, 5, 6, 9] * 3


# The share that may be left out


def out(record: int, reason: str = "missing_image", detail: str = "a.jpg: is not in images") -> LeftOut:
    return LeftOut("finetune", "a.json", record, f"r{record}", reason, detail)


def test_a_run_goes_on_up_to_the_share_that_may_be_left_out() -> None:
    check_share([], 100, 0.0, "finetune")
    check_share([out(1)], 100, 0.01, "finetune")
    check_share([out(n) for n in range(99)], 100, 1.0, "finetune")


def test_past_the_share_a_run_stops_with_what_is_wrong_and_the_key_to_raise() -> None:
    left_out = [out(3), out(5, "wrong_roles", "turn 0\nis gpt's"), out(8)]
    message = (
        "finetune: 3 of 201 samples cannot be used (missing_image 2, wrong_roles 1), more than "
        "finetune.max_left_out allows (0.01): a.json[3] r3: missing_image (a.jpg: is not in images); "
        "a.json[5] r5: wrong_roles (turn 0 is gpt's); left_out.jsonl names all; mend them, or go on "
        "without them with finetune.max_left_out=0.015"
    )
    assert input_error(check_share, left_out, 201, 0.01, "finetune") == message
    check_share(left_out, 201, 0.015, "finetune")


def test_a_run_stops_where_nothing_is_left_whatever_the_limit() -> None:
    assert input_error(check_share, [out(0)], 1, 1.0, "align") == (
        "align: none of 1 samples can be used (missing_image 1): "
        "a.json[0] r0: missing_image (a.jpg: is not in images); left_out.jsonl names all"
    )


@settings(deadline=None)
@given(count=st.integers(1, 2000), more=st.integers(1, 10**6))
def test_the_share_that_is_suggested_is_enough(count: int, more: int) -> None:
    left_out, total = [out(0)] * count, count + more
    message = input_error(check_share, left_out, total, 0.0, "align")
    check_share(left_out, total, float(message.rpartition("=")[2]), "align")


# left_out.jsonl


def test_left_out_samples_are_written_once_each(tmp_path: Path) -> None:
    path = tmp_path / "left_out.jsonl"
    append_left_out(path, [out(1), out(2), out(1)])
    append_left_out(path, [out(2), out(3)])
    append_left_out(path, [])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {
            "stage": "finetune",
            "file": "a.json",
            "record": record,
            "id": f"r{record}",
            "reason": "missing_image",
            "detail": "a.jpg: is not in images",
            "step": None,
        }
        for record in (1, 2, 3)
    ]


def test_a_start_replaces_what_earlier_starts_of_its_stage_left_out(tmp_path: Path) -> None:
    path = tmp_path / "left_out.jsonl"
    at_a_step = replace(out(4), reason="corrupt_image", step=7)
    other_stage = replace(out(1), stage="align")
    start_left_out(path, "align", [other_stage])
    start_left_out(path, "finetune", [out(1), out(2)])
    append_left_out(path, [at_a_step])
    # Sample 1 has been mended since.
    start_left_out(path, "finetune", [out(2), out(3)])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        asdict(item) for item in (other_stage, at_a_step, out(2), out(3))
    ]
    assert [entry.name for entry in tmp_path.iterdir()] == ["left_out.jsonl"]


def test_a_line_cut_off_by_a_kill_is_taken_off_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "left_out.jsonl"
    start_left_out(path, "finetune", [out(1), out(2)])
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        start_left_out(path, "finetune", [out(1), out(2)])
        assert path.read_bytes() == whole


# One sample as tensors


def data(images: Path, samples: Sequence[Sample], max_length: int = 128) -> InstructionData:
    store, fit = ImageStore(images), encoder(max_length)
    prepared = [
        Prepared(each, len(encoded.input_ids), encoded.n_images, encoded.dropped_turns)
        for each in samples
        for encoded in [fit.encode(each.turns)]
    ]
    return InstructionData(prepared, fit, store, image_processor())


def test_an_example_is_the_encoded_sample_and_its_images_in_order(images: Path) -> None:
    samples = [
        sample("<image> then <image>?", "Both.", images=("blue.png", "red.png")),
        sample("<image>\nQ", "A", "More <image>", "B", images=("green.png", "blue.png")),
        sample("No image", "A"),
    ]
    examples = list(map(data(images, samples).__getitem__, range(3)))
    for index, (each, example) in enumerate(zip(samples, examples, strict=True)):
        encoded = encoder().encode(each.turns)
        assert example.index == index
        assert example.input_ids.tolist() == encoded.input_ids
        assert example.labels.tolist() == encoded.labels
        assert example.input_ids.dtype == example.labels.dtype == torch.int64
        assert example.pixel_values.dtype == torch.float32
        assert example.problem is None
        assert shown(example.pixel_values) == list(each.images)
    assert examples[2].pixel_values.shape == (0, 3, SIDE, SIDE)


def test_an_image_that_cannot_be_decoded_trains_nothing_and_is_not_replaced(images: Path) -> None:
    samples = [
        sample("<image>\nQ", "A", images=("cut.jpg",)),
        sample("<image>, <image>", "A", images=("red.png", "cut.jpg")),
        sample("<image>\nQ", "A", images=("red.png",)),
    ]
    examples = list(map(data(images, samples).__getitem__, range(3)))
    for index in (0, 1):
        encoded = encoder().encode(samples[index].turns)
        example = examples[index]
        assert example.index == index
        assert example.input_ids.tolist() == encoded.input_ids
        assert example.labels.tolist() == [IGNORE_INDEX] * len(encoded.input_ids)
        assert torch.equal(example.pixel_values, torch.zeros(encoded.n_images, 3, SIDE, SIDE))
        assert example.problem is not None
        assert example.problem[0] == "corrupt_image"
        assert example.problem[1].startswith("cut.jpg: cannot be decoded (")
    assert examples[2].problem is None
    assert shown(examples[2].pixel_values) == ["red.png"]


def test_an_image_gone_since_it_was_checked_is_a_problem_too(images: Path) -> None:
    dataset = data(images, [sample("<image>\nQ", "A", images=("red.png",))])
    (images / "red.png").unlink()
    assert dataset[0].problem == ("missing_image", f"red.png: is not in {images}")


def test_a_dropped_turn_takes_its_image_along(images: Path) -> None:
    turns = ("<image>\nQ", "A", "And <image>?", "B" * 200)
    (example,) = data(images, [sample(*turns, images=("red.png", "blue.png"))])
    assert shown(example.pixel_values) == ["red.png"]
    image_token = tokenizer().convert_tokens_to_ids("<image>")
    assert example.input_ids.tolist().count(image_token) == FEATURES
    assert example.input_ids.tolist() == encoder().encode(turns[:2]).input_ids


def test_more_marks_than_images_never_show_the_last_image_twice(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", [row("<image> <image> Q", "A", id="r", image=["red.png"])])
    samples, left_out = read(path)
    assert samples == []
    assert [(x.id, x.reason) for x in left_out] == [("r", "image_count")]


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 3), (3, 3), (200, 1), (1, 200)])
def test_tiny_and_narrow_images_keep_their_colour(images: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, COLOURS["green.png"]).save(images / "tiny.png")
    (example,) = data(images, [sample("<image>\nQ", "A", images=("tiny.png",))])
    assert shown(example.pixel_values) == ["green.png"]


# The order of an epoch


def many(**sizes: int) -> list[Prepared]:
    return [
        Prepared(sample("Q", "A", file=file, record=record), 5, 0, 0)
        for file, size in sizes.items()
        for record in range(size)
    ]


def order(sampler: WeightedSampler, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    return list(sampler)


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    weights=st.lists(st.floats(0.01, 3.5), min_size=4, max_size=4),
    seed=st.integers(0, 2**70),
    epoch=st.integers(0, 10),
)
def test_an_epoch_goes_through_each_file_as_often_as_its_weight_says(
    sizes: list[int], weights: list[float], seed: int, epoch: int
) -> None:
    named = {f"f{n}": size for n, size in enumerate(sizes)}
    files = [DataFile(Path(name), weight) for name, weight in zip(named, weights, strict=False)]
    prepared = many(**named)
    expected = {str(f.path): round(f.weight * named[str(f.path)]) for f in files}
    if not sum(expected.values()):
        assert "leave no sample" in input_error(WeightedSampler, prepared, files, seed)
        return
    sampler = WeightedSampler(prepared, files, seed)
    picks = order(sampler, epoch)
    assert len(picks) == len(sampler) == sum(expected.values())
    assert Counter(prepared[pick].sample.file for pick in picks) == +Counter(expected)
    for pick, times in Counter(picks).items():
        weight = expected[prepared[pick].sample.file] / named[prepared[pick].sample.file]
        assert math.floor(weight) <= times <= math.ceil(weight)
    assert picks == order(WeightedSampler(prepared, files, seed), epoch)


def test_epochs_seeds_and_only_they_change_the_order() -> None:
    prepared, files = many(a=50, b=30), [DataFile(Path("a"), 0.5), DataFile(Path("b"), 2)]
    sampler = WeightedSampler(prepared, files, 42)
    orders = [order(sampler, epoch) for epoch in range(3)]
    orders.append(order(WeightedSampler(prepared, files, 43), 0))
    assert len({tuple(picks) for picks in orders}) == 4
    assert len({frozenset(picks) for picks in orders}) == 4  # the half of file a is another one each time
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert order(sampler, 1) == orders[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_files_are_mixed_through_an_epoch() -> None:
    prepared, files = many(a=500, b=500), [DataFile(Path("a")), DataFile(Path("b"))]
    first_half = order(WeightedSampler(prepared, files, 0), 0)[:500]
    assert 200 < sum(pick < 500 for pick in first_half) < 300


def test_an_order_once_given_stays() -> None:
    """Runs resume into the middle of an epoch, also with a later version."""
    sampler = WeightedSampler(many(a=4, b=3), [DataFile(Path("a"), 0.5), DataFile(Path("b"), 2)], 42)
    assert [order(sampler, epoch) for epoch in (0, 1)] == [[6, 0, 6, 5, 4, 5, 4, 3], [4, 5, 0, 6, 4, 6, 3, 5]]
