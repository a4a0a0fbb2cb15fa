"""The checks of a run over LLaVA JSON made elsewhere: what is read, what is found, what is said of it."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datagen.audit.page import _plain
from datagen.prompting import PACKS
from schemas import AuditReport, SampleVerdict
from schemas.audit import Audited, Images, Unreadable
from tests.datagen.scenes import write_coco
from tests.datagen.test_run import datagen

BARN = "A dog stands near a red barn."


def write_annotations(folder: Path) -> list[str | Path]:
    """Images 1 to 4, each of one dog near a barn, under the names that COCO's 2017 release gives them."""
    folder.mkdir(exist_ok=True)
    images = [{"id": i, "file_name": f"{i:012d}.jpg", "width": 100, "height": 100} for i in range(1, 5)]
    captions = [{"id": i, "image_id": i, "caption": BARN} for i in range(1, 5)]
    boxes = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [10, 40, 30, 30], "iscrowd": 0}
        for i in range(1, 5)
    ]
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": boxes, "categories": categories})
    )
    return ["--captions", folder / "captions.json", "--instances", folder / "instances.json"]


def record(id_: object, image: object, *texts: str, token: str = "<image>\n") -> dict[str, Any]:
    said = [token + texts[0], *texts[1:]]
    conversations = [{"from": ("human", "gpt")[at % 2], "value": text} for at, text in enumerate(said)]
    return {"id": id_, "image": image, "conversations": conversations}


def audited(folder: Path, records: object, *options: str | Path) -> AuditReport:
    """The report on these records, held against `write_annotations` unless options are given."""
    file = folder / "data.json"
    file.write_text(json.dumps(records))
    chosen = list(options) or write_annotations(folder)
    shutil.rmtree(folder / "out", ignore_errors=True)
    assert datagen("audit", file, *chosen, "--out", folder / "out") == 0
    return report_of(folder / "out")


def report_of(out: Path) -> AuditReport:
    return AuditReport.model_validate_json((out / "report.json").read_bytes())


def verdicts_of(out: Path) -> dict[str, SampleVerdict]:
    lines = (out / "verdicts.jsonl").read_text().splitlines()
    return {line.id: line for line in map(SampleVerdict.model_validate_json, lines)}


def audited_type(**counts: int) -> Audited:
    return Audited.model_validate(dict.fromkeys(Audited.model_fields, 0) | counts)


# What is found.


def test_what_the_pack_forbids_is_unfit_with_its_line_on_the_page(tmp_path: Path) -> None:
    pack = shutil.copytree(PACKS / "coco", tmp_path / "pack")
    (pack / "forbidden.txt").write_text("barn\nguard dog\n")
    said = record("a", "000000000001.jpg", "What stands near the barn?", "A guard dog, near the barn.")
    report = audited(tmp_path, [said], *write_annotations(tmp_path), "--pack", pack)
    assert report.unfit_turns == {"forbidden": 1}
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| forbidden | `guard dog` | 1 |" in " ".join(page.split()), page


def test_each_turn_is_judged_by_the_captions_and_boxes_of_its_image(tmp_path: Path) -> None:
    report = audited(
        tmp_path,
        [
            record("a", "000000000001.jpg", "What stands near the barn?", "A dog stands near the red barn."),
            record(
                "b",
                "coco/train2017/000000000002.jpg",
                "How many dogs are there?",
                "There are three dogs.",
                "What color is the barn?",
                "The barn is red.",
            ),
            record("c", "COCO_train2014_000000000003.jpg", "What does the caption say?", "It shows a dog."),
        ],
    )
    assert report.types == {
        "conversation": audited_type(samples=3, guessed=3, turns=4, passed=1, partly_unfit=1, unfit=1)
    }
    assert report.unfit_turns == {"contradicted": 1, "leak": 1}
    assert report.images == Images(
        annotated=3, no_annotation=0, several_images=0, text_only=0, not_found=None
    )
    (example,) = report.examples["contradicted"]
    assert (example.sample, example.turn, example.captions, example.boxes) == ("b", 1, [BARN], {"dog": 1})
    assert "three dogs" in example.told and "1" in example.told
    assert report.found["conversation"].claims["count"] == {"contradicted": 1}
    verdicts = verdicts_of(tmp_path / "out")
    assert {name: verdict.outcome for name, verdict in verdicts.items()} == {
        "a": "emitted",
        "b": "emitted",
        "c": "rejected",
    }
    assert [(turn.verdict, turn.is_kept) for turn in verdicts["b"].turns] == [
        ("contradicted", False),
        ("supported", True),
    ]


def test_the_audit_of_a_run_finds_what_the_run_found(tmp_path: Path) -> None:
    captions, instances = write_coco(tmp_path / "coco", images=40)
    files: list[str | Path] = ["--captions", captions, "--instances", instances]
    assert datagen("run", *files, "--out", tmp_path / "run") == 0
    assert datagen("audit", tmp_path / "run/llava_instruct.json", *files, "--out", tmp_path / "out") == 0
    found = verdicts_of(tmp_path / "out")
    of_run = verdicts_of(tmp_path / "run")
    emitted = {name: line for name, line in of_run.items() if line.outcome == "emitted"}
    # A turn that the run dropped is not in the set.
    whole = {name: line for name, line in emitted.items() if all(turn.is_kept for turn in line.turns)}
    assert found.keys() == emitted.keys()
    assert len(whole) > 40
    assert {name: found[name] for name in whole} == whole
    report = report_of(tmp_path / "out")
    assert sum(each.guessed for each in report.types.values()) == 0
    assert sum(each.passed for each in report.types.values()) == report.samples == len(emitted)


def test_without_an_annotation_form_phrases_and_repeats_are_still_checked(tmp_path: Path) -> None:
    records = [
        record("a", "elsewhere.jpg", "What is it?", "As the caption says, a fish with three heads."),
        record("b", "elsewhere.jpg", "What swims there?", "A fish with three heads swims there."),
        record("c", None, "Who wrote Hamlet?", "I'm sorry, but I can't help with that.", token=""),
        record("d", ["1.jpg", "2.jpg"], "What differs?<image>", "The second is darker."),
        record("e", "elsewhere.jpg", "What is this?", "A broken <image> of it."),
    ]
    report = audited(tmp_path, records)
    assert report.images == Images(
        annotated=0, no_annotation=3, several_images=1, text_only=1, not_found=None
    )
    assert report.unfit_turns == {"image_token_in_text": 1, "leak": 1, "refusal": 1}
    assert report.turn_verdicts == dict.fromkeys(report.turn_verdicts, 0)
    assert "**No sample's image is in the annotations**" in (tmp_path / "out/report.md").read_text()
    assert verdicts_of(tmp_path / "out")["e"].turns[0].unfit == ["image_token_in_text"]


def test_with_no_annotations_at_all_the_report_says_so(tmp_path: Path) -> None:
    report = audited(tmp_path, [record(1, "1.jpg", "What?", "A dog.")], "--pack", "coco")
    assert report.annotations == []
    assert report.types["conversation"].passed == 1
    assert "**No annotations were given: nothing was held against" in (
        (tmp_path / "out/report.md").read_text()
    )


# Which image.


@pytest.mark.parametrize(
    ("image", "extra", "is_found"),
    [
        ("000000000001.jpg", {}, True),
        ("coco/train2017/000000000001.jpg", {}, True),
        ("COCO_val2014_000000000001.jpg", {}, True),
        ("000000000001.png", {}, True),
        ("photo.jpg", {"image_id": 1}, True),
        ("photo.jpg", {"id": "000000000001"}, True),
        (None, {"image_id": 1}, True),
        # Numbers of other data sets, and of samples.
        ("vg/VG_100K/1.jpg", {}, False),
        ("photo.jpg", {"id": "1"}, False),
        ("photo.jpg", {"id": 1}, False),
        ("000000000009.jpg", {}, False),
        (None, {"id": "000000000001"}, False),
    ],
)
def test_an_image_is_known_by_its_name_or_by_an_id_that_means_it(
    tmp_path: Path, image: str | None, extra: dict[str, Any], is_found: bool
) -> None:
    made = record("x", image, "How many dogs are there?", "Three dogs.", token="<image>\n" if image else "")
    assert audited(tmp_path, [made | extra]).images.annotated == is_found


def test_a_name_that_images_in_two_folders_have_needs_its_folder(tmp_path: Path) -> None:
    options = write_annotations(tmp_path)
    for file in (tmp_path / "captions.json", tmp_path / "instances.json"):
        content = json.loads(file.read_text())
        for at, image in enumerate(content["images"]):
            image["file_name"] = f"camera{at}/first.jpg"
        file.write_text(json.dumps(content))
    records = [
        record("a", "data/camera1/first.jpg", "Is there a dog?", "Yes."),
        record("b", "first.jpg", "Is there a dog?", "Yes."),
    ]
    report = audited(tmp_path, records, *options)
    assert (report.images.annotated, report.images.no_annotation) == (1, 1)


def test_an_image_without_a_caption_is_not_known_where_captions_were_given(tmp_path: Path) -> None:
    options = write_annotations(tmp_path)
    content = json.loads((tmp_path / "captions.json").read_text())
    content["annotations"] = content["annotations"][1:]
    (tmp_path / "captions.json").write_text(json.dumps(content))
    made = [record("a", "000000000001.jpg", "What is there?", "A barn.")]
    assert audited(tmp_path, made, *options).images.no_annotation == 1
    assert audited(tmp_path, made, *options[2:]).images.annotated == 1


# Which type.

LONG = " ".join(["The dog stands near the barn and looks around."] * 6)


@pytest.mark.parametrize(
    ("id_", "texts", "name", "guessed"),
    [
        ("detail-000000000001", ("What is it?", "A dog."), "detail", 0),
        ("complex_reasoning-x", ("What is it?", "A dog."), "complex_reasoning", 0),
        ("a", ("What is it?", "A dog."), "conversation", 1),
        ("a", ("Why?", LONG, "And what else?", LONG), "conversation", 1),
        ("a", ("Describe the following image.", LONG), "detail", 1),
        ("a", ("Can you describe the main features of this image for me?", LONG), "detail", 1),
        ("a", ("Write a detailed description of the given image.", LONG), "detail", 1),
        ("a", ("Explain the visual content of the image in great detail.", LONG), "detail", 1),
        ("a", ("What's happening in the scene?", LONG), "detail", 1),
        ("a", ("Tell me about this photo at length.", LONG), "detail", 1),  # nearly one of the pack's
        ("a", ("Describe the following image.", "A dog near a barn."), "conversation", 1),
        ("a", ("Explain why the dog in the image may be waiting.", LONG), "complex_reasoning", 1),
        ("a", ("What might the dog do next?", LONG), "complex_reasoning", 1),
    ],
)
def test_a_type_is_told_by_the_id_or_guessed_by_the_shape(
    tmp_path: Path, id_: str, texts: tuple[str, ...], name: str, guessed: int
) -> None:
    report = audited(tmp_path, [record(id_, "000000000001.jpg", *texts)])
    assert {each: counts.guessed for each, counts in report.types.items()} == {name: guessed}


def test_the_type_that_is_given_holds_for_all(tmp_path: Path) -> None:
    records = [record("detail-1", "1.jpg", "What?", "A dog."), record(2, "2.jpg", "Where?", "In a field.")]
    report = audited(tmp_path, records, "--type", "complex_reasoning")
    assert report.types == {"complex_reasoning": audited_type(samples=2, turns=2, passed=2)}


# Repeats.

STORY = (
    "A dog stands near a red barn while the sun goes down behind the hills and the long shadows of the fence "
    "reach over the grass to the open door of the old wooden building."
)


def test_of_two_that_repeat_each_other_the_same_one_stays_in_any_order(tmp_path: Path) -> None:
    records = [
        record("b", "000000000002.jpg", "What goes on near the barn?", STORY),
        record("c", "000000000003.jpg", "What goes on near the barn?", STORY.replace("old ", "")),
        record("a", "000000000004.jpg", "What goes on near the barn?", STORY),
        record("d", "000000000001.jpg", "Is there a cat?", "No.", "Is there a dog?", "Yes."),
        record("d", "000000000001.jpg", "Is there a cat?", "No cats.", "Is it dark?", "It is getting dark."),
    ]
    seen = set()
    for seed in range(6):
        random.Random(seed).shuffle(records)
        audited(tmp_path, records, "--pack", "coco")
        written = {name: (tmp_path / "out" / name).read_text() for name in ("report.md", "verdicts.jsonl")}
        seen.add(tuple(written.values()))
    assert len(seen) == 1
    report = report_of(tmp_path / "out")
    assert report.duplicates == {"near_sample": 1, "same_sample": 1}
    assert report.repeated_turns == {"same_question": 1}
    assert report.form == {"repeated_id": 1}
    verdicts = verdicts_of(tmp_path / "out")
    assert [(name, verdict.outcome) for name, verdict in verdicts.items()] == [
        ("d", "emitted"),
        ("d#2", "emitted"),
        ("b", "emitted"),
        ("c", "duplicate"),
        ("a", "duplicate"),
    ]
    assert [turn.is_kept for turn in verdicts["d"].turns] == [True, True]
    assert [turn.is_kept for turn in verdicts["d#2"].turns] == [False, True]


def test_a_turn_said_twice_in_a_sample_stays_once(tmp_path: Path) -> None:
    made = record("a", "000000000001.jpg", "Is there a dog?", "Yes.", "Is there a dog?", "Yes.")
    report = audited(tmp_path, [made])
    assert report.types["conversation"].partly_unfit == 1
    assert [turn.is_kept for turn in verdicts_of(tmp_path / "out")["a"].turns] == [True, False]


def test_ids_are_made_unique_without_taking_anothers(tmp_path: Path) -> None:
    texts = [("What is it?", "A dog."), ("Where?", "Near a barn."), ("Is it dark?", "No."), ("A cat?", "No.")]
    records = [
        record(name, "x.jpg", *pair) for name, pair in zip(("a", "a", "a#2", None), texts, strict=True)
    ]
    report = audited(tmp_path, [*records, {**records[0], "id": "b", "image": None}])
    assert verdicts_of(tmp_path / "out").keys() == {"a", "a#3", "a#2", "x.jpg", "b"}
    assert report.form == {"image_token_without_image": 1, "no_id": 1, "repeated_id": 1}


# Images of benchmarks.


def test_images_of_benchmarks_are_counted_by_id_and_by_look(tmp_path: Path) -> None:
    from PIL import Image

    for name, colours in (
        ("images/a.png", (10, 200)),
        ("images/b.png", (200, 10)),
        ("eval/q.bmp", (200, 10)),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        picture = Image.new("L", (64, 64), colours[0])
        picture.paste(colours[1], (0, 0, 20, 50))
        picture.paste(128, (30, 10, 60, 25))
        picture.save(path)
    records = [
        record("a", "folder/a.png", "What?", "A dog."),
        record("b", "folder/b.png", "Where?", "In a field."),
        record("c", "COCO_val2014_000000441147.jpg", "Who?", "A man."),
    ]
    looks: list[str | Path] = ["--images", tmp_path / "images", "--evaluation-images", tmp_path / "eval"]
    report = audited(tmp_path, records, *looks)
    found = report.evaluation_images
    assert (found.images, found.samples) == (2, 2)
    assert found.by_benchmark == {"LLaVA-Bench (COCO)": 1, "by their looks": 1}
    assert report.images.not_found == 1


# Records.


def test_both_ways_of_writing_a_record_are_read(tmp_path: Path) -> None:
    of_llava = record("a", "000000000001.jpg", "Is there a dog?", "Yes.")
    with_roles = {
        "id": 2,
        "image": "000000000002.jpg",
        "score": 1.5,
        "conversations": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Is there a dog?\n<image>"},
            {"role": "assistant", "content": "Yes."},
        ],
    }
    report = audited(tmp_path, [of_llava, with_roles])
    assert report.types["conversation"].samples == report.images.annotated == 2
    assert report.form == {}


def test_json_lines_are_read_and_the_bad_ones_named(tmp_path: Path) -> None:
    good = json.dumps(record("a", "000000000001.jpg", "Is there a dog?", "Yes."))
    file = tmp_path / "data.jsonl"
    file.write_text(f"{good}\r\n\n{good[:-9]}\n{good.replace('Yes.', 'Yes, one.')}")
    assert datagen("audit", file, "--out", tmp_path / "out") == 0
    report = report_of(tmp_path / "out")
    assert (report.records, report.samples) == (3, 2)
    assert [(each.record, each.reason) for each in report.unreadable] == [("line 3", "not_json")]


def test_what_cannot_be_read_is_named_with_its_place_and_reason(tmp_path: Path) -> None:
    good = record("a", "000000000001.jpg", "Is there a dog?", "Yes.")
    turns = good["conversations"]
    bad: list[object] = [
        17,
        {"id": "b"},
        good | {"conversations": []},
        good | {"conversations": ["hello"]},
        good | {"conversations": [turns[0], {"from": "gpt", "value": None}]},
        good | {"conversations": [turns[0], {"from": "narrator", "value": "Yes."}]},
        good | {"conversations": turns[::-1]},
        good | {"conversations": turns[:1]},
        good | {"image": {"path": "x.jpg"}},
    ]
    report = audited(tmp_path, [good, *bad])
    assert report.unreadable == [
        Unreadable(record=f"[{at}]", reason=reason, detail=detail)
        for at, (reason, detail) in enumerate(
            [
                ("not_an_object", "17"),
                ("no_conversations", "it has no list of turns named conversations"),
                ("no_conversations", "it has no list of turns named conversations"),
                ("bad_turn", 'turn 0 is "hello", not an object'),
                ("bad_turn", "turn 1 says null, not text"),
                ("unknown_speaker", 'turn 1 is from "narrator"'),
                ("turns_out_of_order", "turn 0 is from gpt, not from human"),
                ("unanswered_question", "its last turn is not gpt's"),
                ("bad_image", 'its image is {"path": "x.jpg"}, not a file\'s name'),
            ],
            1,
        )
    ]
    page = (tmp_path / "out/report.md").read_text()
    assert "9 of the file's 10 records could not be read." in page
    assert '| bad_turn | 2 | \\[4] turn 0 is "hello", not an object |' in page


def test_what_only_pythons_json_writes_is_read_too(tmp_path: Path) -> None:
    good = json.dumps(record("a", "000000000001.jpg", "Is there a dog?", "Yes, a \ud800 dog."))
    file = tmp_path / "data.json"
    file.write_text(f'[{good[:-1]}, "score": NaN}}]')
    assert datagen("audit", file, "--out", tmp_path / "out") == 0
    assert report_of(tmp_path / "out").samples == 1


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TEXTS = st.text() | st.sampled_from(["<image>", "<image>\nIs there a dog?", "| *a* `b`", "Yes.", "# x"])
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "from": st.sampled_from(["human", "gpt", "user", "system"]) | ANYTHING,
        "value": TEXTS | ANYTHING,
    },
)
WILD = st.fixed_dictionaries(
    {},
    optional={
        "id": TEXTS | ANYTHING,
        "image": st.sampled_from(["000000000001.jpg", "a/b.jpg"]) | ANYTHING,
        "image_id": ANYTHING,
        "conversations": st.lists(MESSAGES, max_size=4)
        | st.lists(TEXTS, min_size=2, max_size=2).map(lambda pair: record(1, None, *pair)["conversations"])
        | ANYTHING,
    },
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(WILD | ANYTHING, min_size=5, max_size=40), st.booleans())
def test_wild_records_are_counted_and_never_a_crash(records: list[Any], as_lines: bool) -> None:
    good = record("good", "000000000001.jpg", "Is there a dog?", "Yes.")
    with tempfile.TemporaryDirectory() as folder:
        options = write_annotations(Path(folder))
        file, out = Path(folder) / "data.json", Path(folder) / "out"
        if as_lines:
            file.write_text("\n".join(map(json.dumps, [good, *records])))
        else:
            file.write_text(json.dumps([good, *records]))
        assert datagen("audit", file, *options, "--out", out) == 0
        report = report_of(out)
        assert report.records == 1 + len(records) == report.samples + len(report.unreadable)
        assert len(verdicts_of(out)) == report.samples
        for each in report.types.values():
            assert each.samples == each.passed + each.partly_unfit + each.unfit + each.duplicate


# The page.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a *b* `c`\n\n# d", "a \\*b\\* \\`c\\` # d"),
        ("# not a heading", "\\# not a heading"),
        ("1. not a list", "1\\. not a list"),
        ("0.55 alike", "0.55 alike"),
        ("COCO_val2014_1.jpg and _this_", "COCO_val2014_1.jpg and \\_this\\_"),
        ("<b>[x](y) &lt;", "\\<b>\\[x](y) \\&lt;"),
        ("\x1b[31mred", "\\[31mred"),
    ],
)
def test_text_that_is_not_ours_is_not_read_as_markup(text: str, shown: str) -> None:
    assert _plain(text) == shown


def test_the_page_reads_well(tmp_path: Path) -> None:
    audited(
        tmp_path,
        [
            record("a", "000000000001.jpg", "What stands near the barn?", "A dog stands near the barn."),
            record("b", "000000000002.jpg", "How many dogs are there?", "There are three dogs."),
        ],
    )
    page = (tmp_path / "out/report.md").read_text()
    assert page.startswith(
        "# Audit of data.json\n\n"
        "2 samples with 2 turns: 1 passed, 0 partly unfit, 1 unfit, 0 duplicate.\n\n"
        "Held against captions and boxes: 2 samples (`captions.json`, `instances.json`).\n\n"
        "A turn *passes* where the captions and boxes do not contradict it"
    )
    assert "| contradicted | 1 | 50.0% |" in page
    assert "| count | 0 | 1 | 0 | 0 |" in page
    assert page.endswith(
        "  - Q: How many dogs are there?\n"
        "  - A: There are three dogs.\n"
        f"  - Captions: (1) {BARN}\n"
        "  - Boxes: 1 dog\n"
    )


# Bad input and the folder.


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "does not exist; check the path"),
        (b"", "is empty"),
        (b"  \n", "is not JSON"),
        (b"hello", "is not JSON"),
        (b'[{"id": "a"', "breaks off at its end (byte 11), as if cut off"),
        (b'[{"id": a}]', "is not JSON (invalid character (byte 8))"),
        (b"[]", "holds no record"),
        (b'{"id": "a"}', "is a JSON object: give LLaVA JSON, a list of records or a record a line"),
        (b'{"images": [], "annotations": []}', "is a COCO file: give it with --captions or --instances"),
        (b'[17, {"id": 1}]', "none of its 2 records can be read; the first, [0]: not_an_object: 17;"),
        (b'{"id": "a"}\n{"id": "b"}\n', "none of its 2 records can be read; the first, line 1: no_conv"),
        (b"\x1f\x8b\x08\x00abc", "is compressed; unpack it first"),
        (b"[" * 100_000, "is nested far deeper than LLaVA JSON is"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, says: str
) -> None:
    file = tmp_path / "data.json"
    if content is not None:
        file.write_bytes(content)
    assert datagen("audit", file, *write_annotations(tmp_path), "--out", tmp_path / "x" / "out") == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"error: {file}: {says}") and "\n" not in said
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--type", "poem"], "--type poem: the pack coco has conversation, detail, complex_reasoning"),
        (["--pack", "nope"], "--pack nope: no such pack"),
        (["--images", "nope"], "--images nope: no such folder"),
        (["--evaluation-images", "."], "--evaluation-images .: give --images DIR too"),
        (["--evaluation-ids", "nope"], "--evaluation-ids nope: no such file"),
        (["--captions", "nope.json"], "nope.json: does not exist; check the path"),
    ],
)
def test_a_bad_option_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps([record("a", "1.jpg", "What?", "A dog.")]))
    assert datagen("audit", file, *options, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"error: {says}") and "\n" not in said
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused_and_an_earlier_audits_is_written_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "data.json", tmp_path / "out"
    file.write_text(json.dumps([record("a", "1.jpg", "What?", "A dog.")]))
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert datagen("audit", file, "--out", out) == 2
    assert "neither empty nor an audit of ours (it holds notes.txt)" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    (out / "notes.txt").rename(out / "report.json")
    assert datagen("audit", file, "--out", out) == 2
    (out / "report.json").unlink()

    assert datagen("audit", file, "--out", out) == 0
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert first.keys() == {"report.md", "report.json", "verdicts.jsonl"}
    (out / ".vitkit-writing").mkdir()  # as a killed one leaves it
    assert datagen("audit", file, "--out", out) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_the_summary_says_what_passed_means_and_where_to_read_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audited(tmp_path, [record("a", "000000000002.jpg", "How many dogs are there?", "There are three dogs.")])
    said = capsys.readouterr().out
    assert "conversation        1 =         0 +            0 +         1 +         0   (1)" in said
    assert "unfit turns: contradicted 1" in said
    assert "Passed means: not contradicted by the captions and boxes" in said
    assert f"Next: read {tmp_path / 'out' / 'report.md'}" in said
