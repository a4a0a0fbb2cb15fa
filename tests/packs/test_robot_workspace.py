"""The pack robot-workspace: its seeds, what it makes of its example, and what it does not let pass."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import PIL
import pytest
from PIL import Image, ImageChops

from datagen import text_proxy
from datagen.checks import Checked, Region
from datagen.checks.evidence import Evidence
from datagen.judging import Judge, Judged
from datagen.prompting import PACKS, Seed, load_pack
from datagen.records import Turn
from schemas.evidence import SampleEvidence
from tests.datagen.teacher.recompute import Facts, Lexicon, read_images
from tests.datagen.test_run import datagen, manifest_of, records_of

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "robot-workspace"
SCRIPT = ROOT / "examples" / "draw_robot_workspace.py"
# The major version of Pillow that drew what is committed. Another one may put an edge elsewhere by a pixel.
DRAWN_WITH = 13
PACK = load_pack(PACKS / "robot-workspace")
TYPES = ("conversation", "detail", "complex_reasoning")
INSTANCES: dict[str, Any] = json.loads((EXAMPLE / "instances.json").read_text())
CAPTIONS: dict[str, Any] = json.loads((EXAMPLE / "captions.json").read_text())
CATEGORIES = [each["name"] for each in INSTANCES["categories"]]
SEEDS = [(name, seed) for name, kind in PACK.types.items() if name in TYPES for seed in kind.seeds]


@lru_cache
def judge() -> Judge:
    return Judge(PACK, CATEGORIES)


@lru_cache
def run(number: int = 1) -> Path:
    """A run on the example with the embedded teacher."""
    out = Path(mkdtemp(prefix="vitkit-robot-")) / f"out{number}"
    assert datagen("run", "--pack", "robot-workspace", "--types", ",".join(TYPES), "--out", out) == 0
    return out


Corners = tuple[float, float, float, float]
ZONE: Corners = (0.2, 0.3, 0.7, 0.9)
IN: Corners = (0.3, 0.5, 0.4, 0.6)
OUT: Corners = (0.8, 0.5, 0.9, 0.6)
ON_THE_LINE: Corners = (0.65, 0.5, 0.75, 0.6)


def evidence(captions: Sequence[str] = (), boxes: Sequence[tuple[str, Corners]] = ()) -> Evidence:
    regions = [
        (category, Region(number, *corners, False)) for number, (category, corners) in enumerate(boxes, 1)
    ]
    return Evidence(judge().vocabulary, captions, regions)


def judged(answer: str, known: Evidence, question: str = "What is on the table?") -> Checked:
    (checked,) = (
        judge()
        .turns("conversation", (Turn(question, answer),), lambda: known, question_is_drawn=False)
        .checked
    )
    return checked


def faults(answer: str, known: Evidence, question: str = "What is on the table?") -> list[str]:
    """The reasons for which a turn of a conversation is unfit."""
    return [fault.reason for fault in judged(answer, known, question).faults]


# The pack


def test_each_type_has_three_seeds_of_its_own() -> None:
    assert {name: len(PACK.types[name].seeds) for name in TYPES} == dict.fromkeys(TYPES, 3)


@pytest.mark.parametrize(("name", "seed"), SEEDS, ids=[f"{name}-{seed.name}" for name, seed in SEEDS])
def test_a_seed_agrees_with_its_own_proxy(name: str, seed: Seed) -> None:
    proxy = text_proxy.parse(seed.caps)
    assert proxy is not None
    known = evidence(proxy[0].captions, [(each.category, each.corners) for each in proxy[0].objects])
    question = "Describe the image." if PACK.types[name].reply_form == "answer" else None
    read = judge().reply(name, seed.conv, False, question, None)
    assert isinstance(read, Judged)
    held = judge().turns(name, read.turns, lambda: known, question_is_drawn=question is not None)
    assert [fault for each in held.checked for fault in each.faults] == []
    claims = [claim for each in held.checked for claim in each.claims]
    assert {claim.verdict for claim in claims} <= {"supported", "undecidable"}
    assert sum(claim.verdict == "supported" for claim in claims) >= 4


def test_every_category_of_the_example_is_known_to_vocabulary_and_knowledge() -> None:
    assert [name for name in CATEGORIES if f"\n{name}: " not in PACK.files["vocabulary.txt"]] == []
    headings = PACK.files["knowledge.toml"].split("\n")
    assert [name for name in CATEGORIES if not {f"[things.{name}]", f'[things."{name}"]'} & {*headings}] == []


# What it makes of its example


def test_nearly_all_of_the_example_becomes_samples_and_nothing_is_contradicted() -> None:
    counts = manifest_of(run()).accounting
    assert {name: counts[name].planned for name in TYPES} == {
        "conversation": 47,
        "detail": 47,
        "complex_reasoning": 46,
    }
    emitted = sum(counts[name].emitted for name in TYPES)
    assert emitted / sum(counts[name].planned for name in TYPES) >= 0.95
    verdicts = [json.loads(line) for line in (run() / "verdicts.jsonl").read_text().splitlines()]
    claims = [claim for each in verdicts for turn in each["turns"] for claim in turn["claims"]]
    assert len(claims) > 1500
    assert sum(claim["verdict"] == "contradicted" for claim in claims) <= 1


def test_the_same_run_gives_the_same_bytes() -> None:
    for name in (*TYPES, "llava_instruct", "alignment"):
        assert (run() / f"{name}.json").read_bytes() == (run(2) / f"{name}.json").read_bytes()


def test_all_that_is_said_of_zones_can_be_recomputed_from_the_boxes() -> None:
    images = read_images([EXAMPLE / "captions.json"], [EXAMPLE / "instances.json"])
    facts = Facts(Lexicon(frozenset(CATEGORIES)), {})
    said: list[tuple[Any, ...]] = []
    for line in (run() / "evidence.jsonl").read_text().splitlines():
        sample = SampleEvidence.model_validate_json(line)
        for part in [
            part for turn in sample.turns for part in turn.parts if part.program.startswith("zone_")
        ]:
            image = images[int(sample.id.rpartition("-")[2])]
            for fact in part.facts:
                if fact[0] in ("inside", "disjoint", "count", "place"):
                    assert facts.holds(tuple(fact), image), (sample.id, fact)
                    said.append(tuple(fact))
    assert sum(fact[0] == "inside" for fact in said) > 20
    assert sum(fact[0] == "disjoint" for fact in said) > 10


def test_nobody_is_told_where_a_gripper_is_seen_from_its_own_arm() -> None:
    texts = [message.value for record in records_of(run()) for message in record.conversations]
    way = r"((right|left) of|(top|bottom) of the image than|(up|down) in the image than|right by)"
    plain = re.compile(
        rf"the gripper [^,.;]*{way} the robot arm|the robot arm [^,.;]*{way} the gripper", re.I
    )
    assert [text for text in texts if plain.search(text) or "the reach zone are close" in text] == []
    assert any("roll of tape" in text for text in texts) and not any("tape roll" in text for text in texts)


def test_with_a_hand_in_view_no_plan_is_made_but_to_wait() -> None:
    hands = {
        each["image_id"] for each in INSTANCES["annotations"] if CATEGORIES[each["category_id"] - 1] == "hand"
    }
    assert len(hands) >= 5
    records = [
        r for r in records_of(run()) if r.id.startswith("complex") and int(r.id.rpartition("-")[2]) in hands
    ]
    assert len(records) >= 4
    for record in records:
        text = " ".join(message.value for message in record.conversations)
        assert "pick-and-place" not in text
        assert "could begin with" not in text


# What it does not let pass


RED = "A red block on a table."


@pytest.mark.parametrize(
    ("claim", "allowing"),
    [
        ("The block is within reach.", "The block is within reach of the arm."),
        ("The block is out of reach.", "A block that lies out of reach."),
        ("The robot arm can reach the block.", "A block that the robot arm can reach."),
        ("The block can easily be grasped.", "A block that can be grasped."),
        ("The gripper has a firm grip on the block.", "A gripper with a firm grip on a block."),
        ("The block is 12 cm wide.", "A block of 12 cm."),
        ("The block is three inches away from the tray.", "A block two inches away from a tray."),
        ("The block weighs about 200 grams.", "A block of 200 grams."),
        ("The robot arm is moving.", "The robot arm is moving a block."),
        ("The power is off.", "The power is switched off."),
    ],
)
def test_what_no_picture_tells_is_forbidden_unless_a_caption_says_it(claim: str, allowing: str) -> None:
    boxes = [("block", IN), ("robot arm", OUT), ("gripper", OUT), ("tray", OUT)]
    assert "forbidden" in faults(claim, evidence([RED], boxes))
    assert "forbidden" not in faults(claim, evidence([RED, allowing], boxes))


@pytest.mark.parametrize(
    "claim",
    [
        "The soldering iron is safe to touch.",
        "It is safe to reach into the work area.",
        "There is no risk here.",
        "The arm is perfectly safe.",
    ],
)
def test_a_promise_of_safety_is_forbidden_whatever_captions_say(claim: str) -> None:
    assert "forbidden" in faults(claim, evidence([RED, claim]))


@pytest.mark.parametrize(
    "claim",
    [
        "The block is inside the reach zone.",
        "Keep knives out of the way of people.",
        "The arm may have to wait until somebody has moved the mug.",
        "It would be wise to let the robot pick up the block first.",
    ],
)
def test_what_boxes_decide_and_what_is_hedged_may_be_said(claim: str) -> None:
    known = evidence([RED], [("reach zone", ZONE), ("block", IN), ("robot arm", OUT), ("mug", OUT)])
    assert "forbidden" not in faults(claim, known)


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("The block is inside the reach zone.", "supported"),
        ("The block is outside the dashed line.", "contradicted"),
        ("The mug is outside the marked area.", "supported"),
        ("The mug lies within the reach zone.", "contradicted"),
        ("The sponge is inside the reach zone.", "undecidable"),
        ("The sponge is outside the reach zone.", "undecidable"),
    ],
)
def test_boxes_decide_what_is_inside_the_reach_zone(claim: str, verdict: str) -> None:
    boxes = [("reach zone", ZONE), ("block", IN), ("mug", OUT), ("sponge", ON_THE_LINE)]
    positions = [each for each in judged(claim, evidence([RED], boxes)).claims if each.kind == "position"]
    assert [(each.words, each.verdict) for each in positions] == [(claim.removesuffix("."), verdict)]


def test_a_higher_place_in_the_image_is_not_above() -> None:
    boxes: list[tuple[str, Corners]] = [("mug", (0.4, 0.1, 0.5, 0.2)), ("block", (0.4, 0.7, 0.5, 0.8))]
    wrong_way_up = judged("The block is above the mug.", evidence([], boxes))
    assert [claim.kind for claim in wrong_way_up.claims if claim.kind == "position"] == []
    assert PACK.frame == "overhead"


def test_closer_to_an_edge_than_another_is_no_place_in_the_image() -> None:
    known = evidence([], [("mug", (0.4, 0.7, 0.5, 0.8)), ("block", (0.4, 0.85, 0.5, 0.95))])
    assert faults("The mug is closer to the top of the image than the block.", known) == []
    assert faults("The mug is near the top of the image.", known) == ["contradicted"]


@pytest.mark.parametrize(
    ("question", "allowing"),
    [
        ("Can the robot arm reach the mug?", "A dashed line shows how far the arm can reach."),
        ("How heavy is the hammer?", "A heavy hammer."),
        ("Is the battery charged?", "A charged battery."),
        ("What is inside the box?", "A box with a mug inside."),
        ("Is the soldering iron switched on?", "A soldering iron that is switched on."),
        ("How firmly does the gripper hold the block?", "A gripper holding a block firmly."),
    ],
)
def test_a_question_for_what_nobody_can_see_is_dropped_unless_a_caption_speaks_of_it(
    question: str, allowing: str
) -> None:
    assert "blind_spot" in faults("It is hard to say.", evidence([RED]), question)
    assert "blind_spot" not in faults("It is hard to say.", evidence([RED, allowing]), question)


# The example


def test_script_reproduces_the_example(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(tmp_path)], check=True, timeout=300)
    assert (tmp_path / "captions.json").read_bytes() == (EXAMPLE / "captions.json").read_bytes()
    if int(PIL.__version__.split(".")[0]) == DRAWN_WITH:
        assert (tmp_path / "instances.json").read_bytes() == (EXAMPLE / "instances.json").read_bytes()
    drawn = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert drawn == sorted(path.name for path in (EXAMPLE / "images").iterdir())
    for name in drawn:
        with Image.open(tmp_path / "images" / name) as new, Image.open(EXAMPLE / "images" / name) as old:
            # JPEG decoders differ in rounding, so: the same within a hair, everywhere.
            apart = ImageChops.difference(new.convert("RGB"), old.convert("RGB")).convert("L")
        assert sum(apart.histogram()[13:]) <= 0.001 * apart.width * apart.height, name


def test_the_example_is_small_and_has_the_difficulties_of_real_data() -> None:
    assert sum(path.stat().st_size for path in EXAMPLE.rglob("*") if path.is_file()) < 1_500_000
    images = {image["id"]: image["file_name"] for image in INSTANCES["images"]}
    assert len(images) == 48
    boxed = {row["image_id"] for row in INSTANCES["annotations"]}
    captioned = {row["image_id"] for row in CAPTIONS["annotations"]}
    assert [images[k] for k in images if k not in boxed] == ["empty-table.jpg"]
    assert [images[k] for k in images if k not in captioned] == ["no-captions.jpg"]
    assert sum(row["iscrowd"] for row in INSTANCES["annotations"]) == 2
    assert {row["category_id"] for row in INSTANCES["annotations"]} == {*range(1, len(CATEGORIES) + 1)}
