"""The pack medical-xray: its seeds, what it makes of its example, and what it does not let pass."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from functools import lru_cache, partial
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
from tests.datagen.test_run import datagen, manifest_of, records_of, rejections_of

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "medical-xray"
SCRIPT = ROOT / "examples" / "draw_medical_xray.py"
# The major version of Pillow that drew what is committed. Another one may put an edge elsewhere by a pixel.
DRAWN_WITH = 13
PACK = load_pack(PACKS / "medical-xray")
TYPES = ("conversation", "detail", "complex_reasoning")
INSTANCES: dict[str, Any] = json.loads((EXAMPLE / "instances.json").read_text())
CAPTIONS: dict[str, Any] = json.loads((EXAMPLE / "captions.json").read_text())
NAMES = {each["id"]: each["name"] for each in INSTANCES["categories"]}
SEEDS = [(name, seed) for name in TYPES for seed in PACK.types[name].seeds]

Corners = tuple[float, float, float, float]
# The patient's left is the image's right.
LEFT: Corners = (0.65, 0.55, 0.85, 0.8)
RIGHT: Corners = (0.15, 0.55, 0.35, 0.8)
MIDDLE: Corners = (0.4, 0.4, 0.65, 0.75)
WHAT = "What does this chest X-ray show?"


@lru_cache
def judge() -> Judge:
    return Judge(PACK, NAMES.values())


@lru_cache
def run(number: int = 1) -> Path:
    """A run on the example with the embedded teacher."""
    out = Path(mkdtemp(prefix="vitkit-xray-")) / f"out{number}"
    assert datagen("run", "--pack", "medical-xray", "--out", out) == 0
    return out


def evidence(captions: Sequence[str] = (), boxes: Sequence[tuple[str, Corners]] = ()) -> Evidence:
    regions = [(name, Region(number, *corners, False)) for number, (name, corners) in enumerate(boxes, 1)]
    return Evidence(judge().vocabulary, captions, regions)


def faults(answer: str, known: Evidence, question: str = WHAT) -> list[str]:
    """The reasons for which a turn of a conversation is unfit, each once."""
    turns = (Turn(question, answer),)
    checked: Checked
    (checked,) = judge().turns("conversation", turns, lambda: known, question_is_drawn=False).checked
    return list(dict.fromkeys(fault.reason for fault in checked.faults))


# The pack


def test_the_pack_is_a_radiograph_of_its_own_example_and_says_what_it_is_not() -> None:
    assert (PACK.name, PACK.frame, PACK.sample) == ("medical-xray", "radiograph", "examples/medical-xray")
    text = " ".join(PACK.files["pack.toml"].replace("#", " ").split())
    assert "What it makes is training data, not medical advice" in text
    for name in TYPES:
        assert "no medical advice" in PACK.types[name].system_message


@pytest.mark.parametrize(("name", "seed"), SEEDS, ids=[seed.name for _, seed in SEEDS])
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


def test_every_category_of_the_example_has_a_noun_and_knowledge() -> None:
    headings = {*PACK.files["nouns.toml"].split("\n"), *PACK.files["knowledge.toml"].split("\n")}
    for name in NAMES.values():
        assert {f"[{name}]", f'["{name}"]'} & headings, name
        assert {f"[things.{name}]", f'[things."{name}"]'} & headings, name


# What it makes of its example


def test_most_is_emitted_and_next_to_nothing_contradicted() -> None:
    accounting = manifest_of(run()).accounting
    planned = sum(count.planned for count in accounting.values())
    emitted = sum(count.emitted for count in accounting.values())
    assert set(accounting) == {*TYPES}
    assert planned >= 140 and emitted >= 0.95 * planned
    unfit = [each for each in rejections_of(run()) if each.stage == "checks"]
    assert unfit == []


def test_the_same_run_gives_the_same_bytes() -> None:
    first, second = run(1), run(2)
    for name in ("llava_instruct.json", "rejected.jsonl", "alignment.json", "evidence.jsonl"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_no_is_said_of_what_the_report_rules_out_and_of_nothing_else() -> None:
    report = {
        image["file_name"]: " ".join(
            row["caption"].lower() for row in CAPTIONS["annotations"] if row["image_id"] == image["id"]
        )
        for image in CAPTIONS["images"]
    }
    denied = 0
    for record in records_of(run(), "conversation.json"):
        for message in record.conversations:
            match = re.search(
                r"\bno (pneumothorax|pleural effusion|consolidation|rib fracture)\b", message.value
            )
            if match and message.from_ == "gpt":
                denied += 1
                assert re.search(rf"\bno\b[^.]*\b{match[1]}\b", report[str(record.image)]), record.id
    assert denied >= 10


def test_yes_and_no_to_findings_come_out_nearly_even() -> None:
    lines = (run() / "evidence.jsonl").read_text().splitlines()
    parts = [part for line in lines for turn in json.loads(line)["turns"] for part in turn["parts"]]
    answers = [part["answer"] for part in parts if part["program"] == "finding_check"]
    assert set(answers) == {"yes", "no"}
    assert abs(answers.count("yes") - answers.count("no")) <= len(answers) / 4


def test_descriptions_say_what_the_report_rules_out() -> None:
    lines = (run() / "evidence.jsonl").read_text().splitlines()
    parts = [part for line in lines for turn in json.loads(line)["turns"] for part in turn["parts"]]
    said = [part["facts"] for part in parts if part["program"] == "ruled_out"]
    assert len(said) >= 20 and all(fact[0] == "ruled_out" for facts in said for fact in facts)


def test_which_side_of_the_image_the_patients_left_is_on_is_hardly_said_twice() -> None:
    both = re.compile(r"on the patient's (left|right), [^,.?]* (left|right) (half |part )?of the image")
    texts = [" ".join(m.value for m in record.conversations) for record in records_of(run())]
    told = [len(both.findall(text)) for text in texts if "on the patient's" in text]
    assert len(told) >= 70 and sum(number > 0 for number in told) >= 0.8 * len(told)
    # Who is asked for a side of the image is answered with one.
    assert sum(number > 1 for number in told) <= 3


def test_reasoning_draws_on_many_points_and_answers_before_it_goes_on() -> None:
    themes = tomllib.loads(PACK.files["knowledge.toml"])["theme"]
    answers: dict[str, set[str]] = {}
    for theme in themes:
        for question, numbers in zip(theme["questions"], theme["answers"], strict=True):
            # Themes may share a question.
            answers.setdefault(question, set()).update(theme["points"][number - 1] for number in numbers)
    said = set()
    for record in records_of(run(), "complex_reasoning.json"):
        asked, answer = (message.value for message in record.conversations)
        text = answer.lower()
        first = {point: text.find(point.lower()) for theme in themes for point in theme["points"]}
        told = sorted((place, point) for point, place in first.items() if place >= 0)
        assert told[0][1] in answers[asked.removeprefix("<image>").strip()], record.id
        said |= {point for _, point in told}
    assert len(said) >= 65


@pytest.mark.parametrize(
    "theme", tomllib.loads(PACK.files["knowledge.toml"])["theme"], ids=lambda theme: theme["name"]
)
def test_no_point_of_a_theme_is_unfit_for_an_image_that_it_is_for(theme: dict[str, Any]) -> None:
    for category in theme["any"]:
        report = {"cardiomegaly": "The heart is enlarged."}.get(category, f"There is a {category}.")
        known = partial(evidence, [report], [(category, LEFT)])
        suggests = " ".join(theme["suggests"]).replace("<things>", f"a {category}")
        answer = " ".join(f"{point[:1].upper()}{point[1:]}." for point in theme["points"])
        turns = tuple(Turn(question, f"{answer} {suggests}") for question in theme["questions"])
        held = judge().turns("complex_reasoning", turns, known, question_is_drawn=False)
        assert [fault for each in held.checked for fault in each.faults] == []


def test_nothing_is_said_that_reads_like_nonsense_of_a_body() -> None:
    texts = [m.value for record in records_of(run()) for m in record.conversations]
    nonsense = re.compile(
        r"how many (hearts|tracheas|left lungs|right lungs)|what colou?r|\ba heart\b"
        # What a projection does not tell, or what would be taken for a measurement
        r"|close together|right (beside|next to|by)\b|halfway|midway"
        r"|(takes? up|covers?|fills) (about|roughly)"
        r"|the cardiomegaly|there (is|are)( also)? the\b"
        r"|(is|are) (sitting|standing)"
        r"|some (cardiomegaly|consolidation|atelectasis|infiltration|pleural effusion)"
        r"|atelectases",
        re.IGNORECASE,
    )
    assert [text for text in texts if nonsense.search(text)] == []


# What it does not let pass, each beside what it does

EFFUSION = evidence(["There is a left pleural effusion.", "No pneumothorax."], [("pleural effusion", LEFT)])
UNBOXED = evidence(["There is a left pleural effusion, and the heart is enlarged."])
HEDGED = evidence(
    ["There is a nodule, which may represent tuberculosis.", "Possible small pleural effusion."]
)


@pytest.mark.parametrize(
    ("known", "answer", "wrong"),
    [
        # Laterality
        (EFFUSION, "There is a left pleural effusion.", []),
        (EFFUSION, "There is a right pleural effusion.", ["contradicted"]),
        (EFFUSION, "The effusion is on the patient's left, on the right of the image.", []),
        (EFFUSION, "The effusion is on the patient's right.", ["contradicted"]),
        (EFFUSION, "The effusion is on the left of the image.", ["contradicted"]),
        (UNBOXED, "There is a left-sided pleural effusion.", []),
        (UNBOXED, "There is a right-sided pleural effusion.", ["contradicted"]),
        # What is denied, or not spoken of
        (EFFUSION, "There is no pneumothorax.", []),
        (EFFUSION, "There is a pneumothorax.", ["contradicted"]),
        (EFFUSION, "There is no consolidation.", ["unsupported"]),
        (EFFUSION, "There is consolidation.", ["unsupported"]),
        # What is only supposed
        (HEDGED, "There is a nodule.", []),
        (HEDGED, "There is a pleural effusion.", ["unsupported"]),
        (HEDGED, "There may be a pleural effusion.", []),
        (HEDGED, "The nodule may represent tuberculosis.", []),
        (HEDGED, "The nodule shows tuberculosis.", ["unsupported"]),
        # Diagnoses, sizes and judgments beyond the report
        (EFFUSION, "There is a pleural effusion, probably due to heart failure.", ["forbidden"]),
        (EFFUSION, "There is a small pleural effusion.", ["forbidden"]),
        (EFFUSION, "There is a left pleural effusion and the lungs are otherwise clear.", ["forbidden"]),
        (EFFUSION, "The heart is normal.", ["forbidden"]),
        (UNBOXED, "The heart is enlarged.", []),
        (EFFUSION, "The heart is enlarged.", ["forbidden"]),
        # Advice
        (EFFUSION, "The left pleural effusion should be drained.", ["forbidden"]),
        (EFFUSION, "There is a pleural effusion; the patient needs antibiotics.", ["forbidden"]),
        (EFFUSION, "There is a pleural effusion, and you should see a doctor.", ["forbidden"]),
    ],
)
def test_what_the_domain_forbids_is_unfit_and_what_it_allows_is_not(
    known: Evidence, answer: str, wrong: list[str]
) -> None:
    assert faults(answer, known) == wrong


@pytest.mark.parametrize(
    "question",
    ["What disease does the patient have?", "How should this be treated?", "How old is the patient?"],
)
def test_questions_that_the_image_does_not_answer_are_blind_spots(question: str) -> None:
    assert faults("That cannot be told.", EFFUSION, question) == ["blind_spot"]


def test_advice_is_forbidden_even_where_a_report_gives_it() -> None:
    known = evidence(["There is a nodule, and follow-up imaging is recommended."], [("nodule", LEFT)])
    assert faults("There is a nodule, and follow-up imaging is recommended.", known) == ["forbidden"]


# The example


def test_the_script_draws_what_is_committed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(tmp_path)], check=True, timeout=300)
    assert (tmp_path / "captions.json").read_bytes() == (EXAMPLE / "captions.json").read_bytes()
    if int(PIL.__version__.split(".")[0]) == DRAWN_WITH:
        assert (tmp_path / "instances.json").read_bytes() == (EXAMPLE / "instances.json").read_bytes()
    drawn = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert drawn == sorted(image["file_name"] for image in CAPTIONS["images"])
    for name in drawn:
        with Image.open(tmp_path / "images" / name) as new, Image.open(EXAMPLE / "images" / name) as old:
            apart = ImageChops.difference(new.convert("L"), old.convert("L"))
        assert sum(apart.histogram()[13:]) <= 0.001 * apart.width * apart.height, name


def test_size_and_files() -> None:
    assert 40 <= len(CAPTIONS["images"]) <= 80
    assert sum(path.stat().st_size for path in EXAMPLE.rglob("*") if path.is_file()) < 1_500_000
    assert CAPTIONS["images"] == INSTANCES["images"]
    assert sum(row["iscrowd"] for row in INSTANCES["annotations"]) == 1
    captioned = {row["image_id"] for row in CAPTIONS["annotations"]}
    boxed = {row["image_id"] for row in INSTANCES["annotations"]}
    assert [image["file_name"] for image in CAPTIONS["images"] if image["id"] not in captioned] == [
        "report-pending.jpg"
    ]
    assert len({image["id"] for image in CAPTIONS["images"]} - boxed) == 1


def test_boxes_and_reports_agree_on_the_patients_sides() -> None:
    findings = "pleural effusion|pneumothorax|consolidation|nodule|mass|atelectasis|infiltration|rib fracture"
    files = {image["id"]: image["file_name"] for image in CAPTIONS["images"]}
    middles: dict[tuple[int, str], list[float]] = {}
    for row in INSTANCES["annotations"]:
        x, _, width, _ = row["bbox"]
        middles.setdefault((row["image_id"], NAMES[row["category_id"]]), []).append((x + width / 2) / 256)
    compared = 0
    for row in CAPTIONS["annotations"]:
        told = row["caption"].lower()
        is_of_both = "left" in told and "right" in told
        if is_of_both or re.search(r"\bno\b|possible|cannot|both|each|bilateral| and ", told):
            continue
        for finding in set(re.findall(findings, told)):
            for middle in middles.get((row["image_id"], finding), []):
                if "left" in told or "right" in told:
                    compared += 1
                    assert ("left" in told) == (middle > 0.5), (files[row["image_id"]], told)
    assert compared >= 40


def test_numbers_in_reports_are_those_of_the_boxes() -> None:
    numbers = {"two": 2, "three": 3, "four": 4, "five": 5}
    boxes: dict[tuple[int, str], int] = {}
    for row in INSTANCES["annotations"]:
        key = (row["image_id"], NAMES[row["category_id"]].lower())
        boxes[key] = boxes.get(key, 0) + 1
    compared = 0
    for row in CAPTIONS["annotations"]:
        pattern = r"\b(two|three|four|five) (?:left |right )?(ecg lead|nodule|rib fracture)s\b"
        for word, name in re.findall(pattern, row["caption"].lower()):
            compared += 1
            assert boxes[row["image_id"], name] == numbers[word], row["caption"]
    assert compared >= 8
