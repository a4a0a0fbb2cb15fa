"""Whatever the embedded teacher says of real annotations is recomputed from the annotation files alone."""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from datagen.__main__ import main
from schemas.evidence import SampleEvidence
from tests.datagen.teacher.recompute import NUMBERS, Reader, Report, boxes_in, read_images

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"
SCENES = (ROOT / "examples/scenes/captions.json", ROOT / "examples/scenes/instances.json")
MINI = SHARED / "coco-mini" / "annotations"
VALIDATION = SHARED / "coco-val2017" / "annotations"
needs_mini = pytest.mark.skipif(not MINI.is_dir(), reason="no shared coco-mini")
needs_validation = pytest.mark.skipif(not VALIDATION.is_dir(), reason="no shared coco-val2017")


@dataclass(frozen=True)
class Run:
    captions: Path
    instances: Path
    out: Path

    def reader(self) -> Reader:
        return Reader(read_images([self.captions], [self.instances]))

    def samples(self) -> list[tuple[SampleEvidence, dict[str, Any]]]:
        records: dict[str, dict[str, Any]] = {}
        for name in ("conversation", "detail", "complex_reasoning"):
            records |= {each["id"]: each for each in json.loads((self.out / f"{name}.json").read_text())}
        lines = (self.out / "evidence.jsonl").read_text().splitlines()
        evidence = [SampleEvidence.model_validate_json(line) for line in lines]
        return [(each, records[each.id]) for each in evidence]


@lru_cache
def run(captions: Path, instances: Path) -> Run:
    """A run of the command line, its status checked."""
    out = Path(mkdtemp(prefix="vitkit-recomputation-")) / "out"
    files = ["--captions", captions, "--instances", instances]
    arguments = sys.argv
    sys.argv = ["datagen", "run", *map(str, files), "--out", str(out), "--allow-evaluation-images"]
    try:
        main()
    except SystemExit as exit_:
        assert not exit_.code
    finally:
        sys.argv = arguments
    return Run(captions, instances, out)


@lru_cache
def cut(size: int) -> tuple[Path, Path]:
    """Files of some images of the validation set."""
    folder = Path(mkdtemp(prefix="vitkit-cut-"))
    files = {
        kind: json.loads((VALIDATION / f"{kind}_val2017.json").read_text())
        for kind in ("captions", "instances")
    }
    listed = sorted({each["id"] for file in files.values() for each in file["images"]})
    kept = set(random.Random(11).sample(listed, size))
    for kind, file in files.items():
        file["images"] = [each for each in file["images"] if each["id"] in kept]
        file["annotations"] = [each for each in file["annotations"] if each["image_id"] in kept]
        (folder / f"{kind}.json").write_text(json.dumps(file))
    return folder / "captions.json", folder / "instances.json"


def verified(made: Run) -> Report:
    report = made.reader().run(made.out)
    wrong = [*report.wrong_facts, *report.problems]
    assert not wrong, "\n".join([f"{len(wrong)} disagreements", *wrong[:20]])
    return report


def test_all_that_is_said_of_the_bundled_scenes_can_be_recomputed() -> None:
    report = verified(run(*SCENES))
    assert report.turns > 200
    assert sum(report.facts.values()) > 500


@needs_mini
def test_all_that_is_said_of_images_with_crowd_regions_can_be_recomputed() -> None:
    verified(run(MINI / "captions_train2017.json", MINI / "instances_train2017.json"))


@needs_validation
def test_all_that_is_said_of_validation_images_can_be_recomputed() -> None:
    report = verified(run(*cut(300)))
    assert len(report.facts) > 25


@pytest.mark.slow
@needs_validation
def test_all_that_is_said_of_the_whole_validation_set_can_be_recomputed() -> None:
    verified(run(VALIDATION / "captions_val2017.json", VALIDATION / "instances_val2017.json"))


# The verifier can fail

FLIPS = {
    "left": "right", "right": "left", "upper": "lower", "lower": "upper", "top": "bottom", "bottom": "top",
    "above": "below", "below": "above", "leftmost": "rightmost", "rightmost": "leftmost",
    "left_of": "right_of", "right_of": "left_of",
}  # fmt: skip
Sample = dict[str, Any]
Record = dict[str, Any]
Mutation = Callable[[random.Random, Sample, Record, Reader], bool]


def flipped(text: str, rng: random.Random) -> str:
    found = list(re.finditer(r"\b(left|right|upper|lower|top|bottom|above|below|leftmost|rightmost)\b", text))
    if not found:
        return text
    one = rng.choice(found)
    return text[: one.start()] + FLIPS[one[1]] + text[one.end() :]


def facts_of(sample: Sample, *kinds: str) -> list[list[Any]]:
    parts = [part for turn in sample["turns"] for part in turn["parts"]]
    return [fact for part in parts for fact in part["facts"] if not kinds or fact[0] in kinds]


def answers_of(record: Record) -> list[dict[str, str]]:
    return record["conversations"][1::2]  # type: ignore[no-any-return]


def another_number_in_a_fact(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    facts = facts_of(sample, "count", "total")
    if facts:
        fact = rng.choice(facts)
        fact[2] += rng.choice((-1, 1, 2))
    return bool(facts)


def another_number_in_an_answer(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    words = [word for word, n in NUMBERS.items() if n > 1]
    for answer in rng.sample(answers_of(record), len(answers_of(record))):
        found = list(re.finditer(rf"\b({'|'.join(words)})\b", answer["value"]))
        if found:
            one = rng.choice(found)
            other = rng.choice([word for word in words if word != one[1]])
            answer["value"] = answer["value"][: one.start()] + other + answer["value"][one.end() :]
            return True
    return False


def another_side_in_an_answer(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    for answer in rng.sample(answers_of(record), len(answers_of(record))):
        other = flipped(answer["value"], rng)
        if other != answer["value"]:
            answer["value"] = other
            return True
    return False


def another_side_in_a_fact(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    facts = facts_of(sample, "place", "across", "down", "extreme", "left_of", "right_of", "above", "below")
    facts = [fact for fact in facts if fact[2] != "middle"]
    if not facts:
        return False
    fact = rng.choice(facts)
    at = 0 if fact[0] in FLIPS else 2
    words = [fact[at]] if at == 0 else fact[at].split("_")
    fact[at] = "_".join(FLIPS.get(word, word) for word in words)
    return True


def another_category_in_an_answer(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    named = reader.lexicon.names(" ".join(turn["value"] for turn in record["conversations"]))
    image = image_of(sample, reader)
    others = sorted(reader.categories - named - {box.category for box in image.boxes} - {"orange"})
    for answer in rng.sample(answers_of(record), len(answers_of(record))):
        found = [
            each
            for name in sorted(reader.lexicon.names(answer["value"]))
            for each in re.finditer(rf"\b{name}\b", answer["value"])
        ]
        if found:
            one = rng.choice(found)
            answer["value"] = (
                answer["value"][: one.start()] + rng.choice(others) + answer["value"][one.end() :]
            )
            return True
    return False


def another_category_in_a_fact(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    facts = facts_of(sample, "present", "several", "count", "more", "most", "half", "together", "spread")
    if not facts:
        return False
    image = image_of(sample, reader)
    rng.choice(facts)[1] = rng.choice(sorted(reader.categories - {box.category for box in image.boxes}))
    return True


def an_absent_category_that_is_there(
    rng: random.Random, sample: Sample, record: Record, reader: Reader
) -> bool:
    facts = facts_of(sample, "absent")
    image = image_of(sample, reader)
    if facts and image.boxes:
        rng.choice(facts)[1] = rng.choice(image.boxes).category
    return bool(facts and image.boxes)


def another_box_in_a_fact(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    image = image_of(sample, reader)
    parts = [part for turn in sample["turns"] for part in turn["parts"]]
    pointing = [(part, fact) for part in parts for fact in part["facts"] if boxes_in(fact)]
    if not pointing:
        return False
    part, fact = rng.choice(pointing)
    at = rng.choice(
        [n for n, each in enumerate(fact) if n and isinstance(each, int) and not isinstance(each, bool)]
    )
    others = [n for n in range(1, len(image.boxes) + 1) if n not in part["boxes"]]
    if not others or fact[0] in ("share", "covers", "coordinates"):
        return False
    fact[at] = rng.choice(others)
    return True


def yes_for_no(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    """In the answer and in its brief."""
    checks = [
        (turn["parts"][0], answer)
        for turn, answer in zip(sample["turns"], answers_of(record), strict=True)
        if turn["parts"][0]["answer"] in ("yes", "no")
    ]
    if not checks:
        return False
    part, answer = rng.choice(checks)
    other = {"yes": "no", "no": "yes"}[part["answer"]]
    answer["value"] = other.capitalize() + answer["value"][len(part["answer"]) :]
    if rng.random() < 0.5:
        part["answer"] = other
    return True


def another_letter(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    choices = [
        (turn["parts"][0], answer)
        for turn, answer in zip(sample["turns"], answers_of(record), strict=True)
        if re.fullmatch("[A-D]", turn["parts"][0]["answer"])
    ]
    if not choices:
        return False
    part, answer = rng.choice(choices)
    other = rng.choice([letter for letter in "ABCD" if letter != part["answer"]])
    answer["value"] = re.sub(
        rf"\b{part['answer']}\b(?=[:.,]| is| because| since| as)", other, answer["value"]
    )
    part["answer"] = other
    return True


def things_the_other_way_round(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    """The boxes of a relation, as the other's."""
    facts = facts_of(sample, "left_of", "right_of", "above", "below", "larger", "inside")
    if facts:
        fact = rng.choice(facts)
        fact[1], fact[2] = fact[2], fact[1]
    return bool(facts)


def names_the_other_way_round(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    """The names in an answer about how two things lie."""
    for turn, answer in zip(sample["turns"], answers_of(record), strict=True):
        if turn["parts"][0]["program"] not in ("relation", "relation_choice", "relation_check", "larger"):
            continue
        found = re.search(
            r"(?P<a>\w+)(?P<between> (?:is|can be \w+) (?:to the (?:left|right) of|above|below) the )"
            r"(?P<b>\w+)",
            answer["value"],
        )
        if found and len(reader.lexicon.names(found["a"]) | reader.lexicon.names(found["b"])) == 2:
            swapped = found["b"] + found["between"] + found["a"]
            answer["value"] = answer["value"][: found.start()] + swapped + answer["value"][found.end() :]
            return True
    return False


def another_caption(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    facts = facts_of(sample, "caption", "told")
    if facts:
        rng.choice(facts)[1] += 1
    return bool(facts)


def knowledge_that_is_not_there(rng: random.Random, sample: Sample, record: Record, reader: Reader) -> bool:
    facts = facts_of(sample, "knows")
    if facts:
        fact = rng.choice(facts)
        fact[1] = re.sub(r"\d+$", "99", fact[1]) if fact[1][-1].isdecimal() else fact[1] + "s"
    return bool(facts)


MUTATIONS: tuple[Mutation, ...] = (
    another_number_in_a_fact,
    another_number_in_an_answer,
    another_side_in_an_answer,
    another_side_in_a_fact,
    another_category_in_an_answer,
    another_category_in_a_fact,
    an_absent_category_that_is_there,
    another_box_in_a_fact,
    yes_for_no,
    another_letter,
    things_the_other_way_round,
    names_the_other_way_round,
    another_caption,
    knowledge_that_is_not_there,
)


def image_of(sample: Sample, reader: Reader) -> Any:
    return reader.images[int(sample["id"].split("-")[1])]


def test_nearly_every_planted_error_is_caught() -> None:
    mini = (MINI / "captions_train2017.json", MINI / "instances_train2017.json")
    made = [run(*files) for files in ([SCENES, mini] if MINI.is_dir() else [SCENES])]
    rng = random.Random(5)
    planted: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    missed = []
    for each in made:
        reader = each.reader()
        samples = [pair for pair in each.samples() if not reader.sample(*pair)]
        for mutation in MUTATIONS:
            tried = 0
            for evidence, record in rng.sample(samples, len(samples)):
                sample, other = json.loads(evidence.model_dump_json()), json.loads(json.dumps(record))
                if not mutation(rng, sample, other, reader):
                    continue
                if (sample, other) == (json.loads(evidence.model_dump_json()), record):
                    continue
                planted[mutation.__name__] += 1
                if reader.sample(SampleEvidence.model_validate(sample), other):
                    caught[mutation.__name__] += 1
                else:
                    missed.append(f"{mutation.__name__}: {sample} {other}")
                tried += 1
                if tried == 40:
                    break
    rates = {name: f"{caught[name]} of {n}" for name, n in planted.items()}
    assert planted.total() > 300
    assert caught.total() >= 0.95 * planted.total(), f"{rates}\n" + "\n".join(missed[:20])
    assert all(caught[name] >= 0.8 * n for name, n in planted.items()), rates
