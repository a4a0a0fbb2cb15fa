"""The satellite pack: its seeds, its sample, its data, and what it lets nobody say of a tile."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import PIL
import pytest

from datagen.__main__ import main
from datagen.annotations import read_annotations
from datagen.judging import Judge
from datagen.packs.check import check
from datagen.prompting import PACKS, load_pack
from datagen.records import Box, ImageAnnotation, Turn
from schemas.pack import MarginsToml
from tests.datagen.teacher import recompute
from tests.datagen.teacher.recompute import Reader, read_images

REPO = Path(__file__).resolve().parents[2]
TILES = REPO / "examples" / "satellite"
SCRIPT = REPO / "examples" / "draw_satellite.py"
DRAWN_WITH = 13
"""The major version of Pillow that drew what is committed."""
PACK = load_pack(PACKS / "satellite")
CATEGORIES = read_annotations((TILES / "captions.json",), (TILES / "instances.json",)).categories
JUDGE = Judge(PACK, CATEGORIES)
JSON = ("conversation", "detail", "complex_reasoning", "llava_instruct", "alignment")


def tile(*captions: str, **numbers: int) -> ImageAnnotation:
    """A tile with so many boxes of each category, in a row at the top; of planes one at the bottom."""
    boxes = [Box(1, "plane", 20, 80, 8, 8, False)]
    for name, number in numbers.items():
        boxes += [Box(at + 2, name.replace("_", " "), 2.0 * at, 10, 1, 2, False) for at in range(number)]
    return ImageAnnotation(1, "1.jpg", 100, 100, captions, tuple(boxes))


def fault_of(answer: str, annotation: ImageAnnotation, question: str = "What does the tile show?") -> str:
    """Why a turn of a conversation would be dropped; empty where it is kept."""
    turns = (Turn(question, answer),)
    judged = JUDGE.turns("conversation", turns, lambda: JUDGE.evidence(annotation), question_is_drawn=False)
    return judged.rejected.reason if judged.rejected else ""


# The pack


def test_the_pack_is_seen_from_above_and_tells_large_numbers_as_ranges() -> None:
    assert (PACK.name, PACK.frame, PACK.sample) == ("satellite", "overhead", "examples/satellite")
    assert PACK.programs.margins.count_ranges
    assert {name: len(each.seeds) for name, each in PACK.types.items() if not each.optional} == {
        "conversation": 3,
        "detail": 3,
        "complex_reasoning": 3,
    }


def test_each_seed_agrees_with_its_own_proxy_and_all_categories_are_known() -> None:
    report = check("satellite", (TILES / "captions.json",), (TILES / "instances.json",))
    assert list(report.findings) == []
    assert report.categories == 15


# What may be said


@pytest.mark.parametrize(
    ("answer", "captions", "fault"),
    [
        ("The ships are in the northern part of the tile.", ("A harbor.",), "forbidden"),
        ("The ships lie to the east of the plane.", ("A harbor.",), "forbidden"),
        ("The ships lie to the north of the plane.", ("A harbor, with north at the top.",), ""),
        ("The ships are above the plane.", ("A harbor.",), "forbidden"),
        ("The plane is below the ships.", ("A harbor.",), "forbidden"),
        ("The plane is in front of the ships.", ("A harbor.",), "forbidden"),
        ("The ships are in the background.", ("A harbor.",), "forbidden"),
        ("The ships are closer to the top of the tile than the plane.", ("A harbor.",), ""),
        ("Seen from above, the ships are in a row.", ("A harbor.",), ""),
        ("The plane is 40 meters long.", ("A harbor.",), "forbidden"),
        ("It is a close-up of a plane.", ("A close-up of a plane.",), "forbidden"),
        ("The plane is on the left side of the tile, near the ships.", ("A harbor.",), ""),
        ("The ships are in the bottom part of the tile.", ("A harbor.",), "contradicted"),
        ("The ships are in the top part of the tile.", ("A harbor.",), ""),
    ],
)
def test_sides_are_those_of_the_tile_and_the_compass_needs_a_caption(
    answer: str, captions: tuple[str, ...], fault: str
) -> None:
    assert fault_of(answer, tile(*captions, ship=3)) == fault


@pytest.mark.parametrize(
    ("answer", "number", "fault"),
    [
        ("There are between 20 and 30 ships.", 23, ""),
        ("There are between 20 and 30 ships.", 8, "contradicted"),
        ("There are 20 to 30 vessels in the tile.", 8, "contradicted"),
        ("There are 20 to 30 vessels in the tile.", 30, ""),
        ("The tile shows dozens of boats.", 8, "contradicted"),
        ("The tile shows more than a dozen ships.", 13, ""),
    ],
)
def test_ranges_are_held_against_the_boxes(answer: str, number: int, fault: str) -> None:
    assert fault_of(answer, tile("A harbor.", ship=number)) == fault


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("Three cars are parked at the top.", ""),
        ("Five cars are parked at the top.", "contradicted"),
        ("A helicopter stands next to the cars.", "unsupported"),
        ("Two people are walking between the cars.", "unsupported"),
    ],
)
def test_cars_are_small_vehicles_and_what_nobody_saw_is_not_there(answer: str, fault: str) -> None:
    assert fault_of(answer, tile("A parking lot with cars.", small_vehicle=3)) == fault


@pytest.mark.parametrize(
    ("question", "answer", "caption"),
    [
        ("Are the ships moving?", "Yes, the ships are under way.", "Ships sail in a line."),
        ("How long is the plane?", "It is a long plane.", "A plane of 40 meters."),
        ("What country is this?", "It is a place with ships.", "A harbor on an island called Samos."),
        ("What are the people doing?", "They are at the harbor.", "A harbor with people."),
    ],
)
def test_what_no_tile_tells_may_be_asked_only_where_a_caption_speaks_of_it(
    question: str, answer: str, caption: str
) -> None:
    assert fault_of(answer, tile("A harbor.", ship=3), question) == "blind_spot"
    assert fault_of(answer, tile(caption, ship=3), question) != "blind_spot"


# Its data


def run(out: Path) -> Path:
    arguments = sys.argv
    sys.argv = ["datagen", "run", "--pack", "satellite", "--out", str(out)]
    try:
        main()
    except SystemExit as exit_:
        assert not exit_.code
    finally:
        sys.argv = arguments
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("satellite") / "out")


def texts(made: Path) -> list[str]:
    records = json.loads((made / "llava_instruct.json").read_text())
    return [turn["value"] for record in records for turn in record["conversations"] if turn["from"] == "gpt"]


def test_nearly_every_tile_gives_a_sample_of_each_type_and_nothing_is_contradicted(made: Path) -> None:
    accounting: dict[str, Any] = json.loads((made / "manifest.json").read_text())["accounting"]
    emitted = {name: each["emitted"] for name, each in accounting.items()}
    assert emitted["conversation"] >= 47 and emitted["detail"] >= 44 and emitted["complex_reasoning"] >= 42
    claims = [
        claim
        for line in (made / "verdicts.jsonl").read_text().splitlines()
        for turn in json.loads(line)["turns"]
        for claim in turn["claims"]
    ]
    verdicts = {claim["verdict"] for claim in claims}
    assert "contradicted" not in verdicts and "unsupported" not in verdicts
    assert len(claims) > 1000


def test_nothing_is_above_behind_or_before_anything_and_no_photo_was_taken(made: Path) -> None:
    words = r"(?<!from )\b(above|below|behind|in front of|background|foreground|photo|was taken|outdoors)\b"
    assert [text for text in texts(made) if re.search(words, text, re.IGNORECASE)] == []


def test_what_overhead_sets_call_a_harbor_is_a_pier(made: Path) -> None:
    written = texts(made)
    assert any(re.search(r"\bpiers?\b", text) for text in written)
    assert [text for text in written if re.search(r"\b(two|three|four|one of the) harbors?\b", text)] == []


def test_dense_tiles_are_told_as_ranges(made: Path) -> None:
    told = " ".join(texts(made))
    assert "between 50 and 60 ships" in told  # of 51
    assert "between 200 and 250 small vehicles" in told  # of 234
    assert re.search(r"(between 25 and|25 to) 35 small vehicles", told)  # of 30
    assert "more than a dozen" not in told


def test_all_that_is_said_can_be_recomputed(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        recompute,
        "MARGINS",
        MarginsToml(smallest_area=0.0004, smallest_cut_off=0.004, count_ranges=True),
    )
    images = read_images([TILES / "captions.json"], [TILES / "instances.json"])
    report = Reader(images, PACKS / "satellite" / "knowledge.toml").run(made)
    assert [*report.wrong_facts, *report.problems] == []
    assert report.facts["range"] > 10


def test_the_same_bytes_come_out_again(made: Path, tmp_path: Path) -> None:
    again = run(tmp_path / "again")
    for name in JSON:
        assert (again / f"{name}.json").read_bytes() == (made / f"{name}.json").read_bytes(), name


# Its sample


def test_the_script_draws_the_same_annotations_again(tmp_path: Path) -> None:
    names = ("marina", "overflow-lot", "sports-park", "suburb")
    script = [sys.executable, str(SCRIPT), "--out", str(tmp_path)]
    subprocess.run([*script, "--only", *names], check=True, timeout=300)
    for kind in ("captions", "instances"):
        drawn, kept = (json.loads((folder / f"{kind}.json").read_text()) for folder in (tmp_path, TILES))
        numbers = {each["id"] for each in drawn["images"]}
        assert [each["file_name"] for each in drawn["images"]] == [f"{name}.jpg" for name in names]
        if kind == "captions" or int(PIL.__version__.split(".")[0]) == DRAWN_WITH:
            assert drawn["annotations"] == [a for a in kept["annotations"] if a["image_id"] in numbers]
    assert {path.name for path in (TILES / "images").iterdir()} == {
        each["file_name"] for each in kept["images"]
    }


def test_the_sample_is_small_and_has_the_difficulties_of_its_domain() -> None:
    captions, instances = (json.loads((TILES / f"{n}.json").read_text()) for n in ("captions", "instances"))
    assert sum(path.stat().st_size for path in TILES.rglob("*") if path.is_file()) < 1_500_000
    boxes: dict[int, int] = {}
    for each in instances["annotations"]:
        boxes[each["image_id"]] = boxes.get(each["image_id"], 0) + 1
    images = {each["id"] for each in captions["images"]}
    assert len(images) == 50
    assert images - boxes.keys() and images - {each["image_id"] for each in captions["annotations"]}
    assert sum(each["iscrowd"] for each in instances["annotations"]) == 2
    assert max(boxes.values()) > 200
    assert {each["category_id"] for each in instances["annotations"]} == set(range(1, 16))
    assert sum("north" in each["caption"].lower() for each in captions["annotations"]) >= 5
