"""The checks against teachers: one that tells the truth, one that lies; and what is written of each turn."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from datagen.annotations import read_annotations
from datagen.prompting import PACKS
from datagen.records import ImageAnnotation
from schemas import SampleVerdict
from schemas.run import TurnVerdict
from tests.datagen.chat_server import Answer, ChatServer, completion
from tests.datagen.lying import LIES, Lie, LyingTeacher, Sample
from tests.datagen.scenes import proxy_of
from tests.datagen.test_run import (
    accounting,
    datagen,
    inputs,
    manifest_of,
    openai,
    records_of,
    rejections_of,
)

SCENES = Path(__file__).resolve().parents[2] / "examples" / "scenes"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


class Inputs(NamedTuple):
    captions: Path
    instances: Path

    @property
    def flags(self) -> list[str | Path]:
        return ["--captions", self.captions, "--instances", self.instances]


@pytest.fixture(params=["scenes", "coco-mini"])
def annotated(request: pytest.FixtureRequest) -> Inputs:
    """Drawn scenes, and real COCO where it is."""
    if request.param == "scenes":
        return Inputs(SCENES / "captions.json", SCENES / "instances.json")
    folder = request.getfixturevalue("shared_data") / "coco-mini" / "annotations"
    return Inputs(folder / "captions_train2017.json", folder / "instances_train2017.json")


def verdicts_of(out: Path) -> list[SampleVerdict]:
    lines = (out / "verdicts.jsonl").read_text().splitlines()
    return [SampleVerdict.model_validate_json(line) for line in lines]


# A teacher that tells the truth


def test_nothing_the_programmatic_teacher_writes_is_found_unfit(tmp_path: Path, annotated: Inputs) -> None:
    out = tmp_path / "out"
    assert datagen("run", *annotated.flags, "--out", out) == 0
    assert [line for line in rejections_of(out) if line.stage == "checks"] == []
    manifest = manifest_of(out)
    assert [found.faults for found in manifest.found.values()] == [{}, {}, {}]
    assert all(count.emitted == count.planned > 60 for count in manifest.accounting.values())
    verdicts = verdicts_of(out)
    assert {verdict.outcome for verdict in verdicts} == {"emitted"}
    assert all(turn.is_kept and not turn.unfit for verdict in verdicts for turn in verdict.turns)
    said = Counter(claim.verdict for verdict in verdicts for turn in verdict.turns for claim in turn.claims)
    assert set(said) == {"supported", "undecidable"}
    assert said["supported"] > 2000


# A teacher that lies

LEAST_CAUGHT = 0.9
LEAST_CAUGHT_OF_A_KIND = 0.8
MOST_TRUTHS_LOST = 0.02
SEEDS = 2

_FITTING = {
    "absent": {"object", "position"},
    "count": {"count"},
    "side": {"position"},
    "colour": {"colour"},
    "yes_no": {"object", "absence"},
    "denied": {"absence"},
    "relation": {"position"},
}
"""The kinds of claim by which each kind of lie may be found."""


class Score:
    """What became of what a lying teacher wrote."""

    def __init__(self) -> None:
        self.lies: Counter[Lie] = Counter()
        self.caught: Counter[Lie] = Counter()
        self.missed: list[str] = []
        self.truths = 0
        self.lost: list[str] = []

    def add(self, sample: Sample, verdict: SampleVerdict) -> None:
        for told, turn in zip(sample.told, verdict.turns, strict=True):
            if told.lie is None:
                self.truths += 1
                if not turn.is_kept:
                    self.lost.append(f"{verdict.id}: {told.turn.answer}: {turn.unfit}")
                continue
            self.lies[told.lie] += 1
            if is_caught(turn, told.lie):
                self.caught[told.lie] += 1
            else:
                self.missed.append(f"{told.lie}: {verdict.id}: {told.turn.question} {told.planted}")

    @property
    def figures(self) -> str:
        """For a person."""
        rows = [f"{kind}: {self.caught[kind]} of {self.lies[kind]}" for kind in LIES]
        lost = f"truths lost: {len(self.lost)} of {self.truths}"
        return "\n".join([*rows, lost, *sorted(self.missed), *self.lost])


def is_caught(turn: TurnVerdict, kind: Lie) -> bool:
    """Dropped, and for what the lie says."""
    found = {claim.kind for claim in turn.claims if claim.verdict in ("contradicted", "unsupported")}
    return not turn.is_kept and bool(turn.unfit) and not found.isdisjoint(_FITTING[kind])


def write_replies(file: Path, samples: Iterable[Sample]) -> None:
    lines = [{"image_id": s.image_id, "type": s.response_type, "reply": s.reply} for s in samples]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_lying_teacher_is_caught_at_the_stated_rate(tmp_path: Path, annotated: Inputs) -> None:
    annotations = read_annotations([annotated.captions], [annotated.instances])
    images = [image for image in annotations if isinstance(image, ImageAnnotation)]
    found, kept = Score(), Score()
    for seed in range(SEEDS):
        teacher = LyingTeacher(annotations.categories, seed)
        samples = {
            f"{s.response_type}-{s.image_id:012d}": s for image in images for s in teacher.samples(image)
        }
        out, replies = tmp_path / f"out-{seed}", tmp_path / f"{seed}.jsonl"
        write_replies(replies, samples.values())
        # An image about which this teacher has nothing to say has no reply: status 1.
        datagen("run", *annotated.flags, "--teacher", "replay", "--replies", replies, "--out", out)
        verdicts = verdicts_of(out)
        assert {verdict.id for verdict in verdicts} == set(samples)
        for verdict in verdicts:
            if verdict.outcome != "duplicate":
                found.add(samples[verdict.id], verdict)
        # Where nothing is enforced, every lie is kept: it is the checks that catch them.
        datagen("finish", out, "--checks", "flag")
        for verdict in verdicts_of(out):
            if verdict.outcome == "emitted":
                kept.add(samples[verdict.id], verdict)
    assert kept.caught.total() == 0
    assert kept.lies.total() > 200
    assert min(found.lies[kind] for kind in LIES) >= 10
    assert found.caught.total() / found.lies.total() >= LEAST_CAUGHT, found.figures
    below = [kind for kind in LIES if found.caught[kind] / found.lies[kind] < LEAST_CAUGHT_OF_A_KIND]
    assert below == [], found.figures
    assert len(found.lost) / found.truths <= MOST_TRUTHS_LOST, found.figures


# What is written of each turn

CAPTIONS = (
    "A black dog sits on a red couch.",
    "A dog on a couch next to a small table.",
    "The dog is resting indoors.",
)
BOXES = (("dog", (60, 200, 120, 120)), ("couch", (20, 180, 300, 220)), ("dining table", (460, 260, 120, 140)))


def write_scene(folder: Path, images: int = 1) -> list[str | Path]:
    """A dog on a couch on the left and a table on the right; the flags that read it."""
    folder.mkdir()
    names = ["dog", "couch", "dining table", "cat"]
    ids = range(1, images + 1)
    listed = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in ids]
    captions = [
        {"id": 10 * i + n, "image_id": i, "caption": text} for i in ids for n, text in enumerate(CAPTIONS)
    ]
    boxes = [
        {"id": 10 * i + n, "image_id": i, "category_id": names.index(name) + 1, "bbox": bbox, "iscrowd": 0}
        for i in ids
        for n, (name, bbox) in enumerate(BOXES)
    ]
    categories = [{"id": n, "name": name} for n, name in enumerate(names, 1)]
    (folder / "captions.json").write_text(json.dumps({"images": listed, "annotations": captions}))
    instances = {"images": listed, "annotations": boxes, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(instances))
    return ["--captions", folder / "captions.json", "--instances", folder / "instances.json"]


def pairs(*turns: tuple[str, str]) -> str:
    return "\n===\n".join(f"Question:\n{question}\n===\nAnswer:\n{answer}" for question, answer in turns)


def replay(file: Path, replies: dict[tuple[str, int], str]) -> list[str | Path]:
    """The flags of a teacher that gives these replies, by type and image."""
    lines = [{"type": name, "image_id": i, "reply": reply} for (name, i), reply in replies.items()]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    types = ",".join(dict.fromkeys(name for name, _ in replies))
    return ["--teacher", "replay", "--replies", file, "--types", types]


CONVERSATION = pairs(
    ("What is on the couch?", "A black dog is on the couch."),
    ("How many dogs are there?", "There are two dogs."),
    ("What else is there?", "A cat is next to the dog."),
    ("What is the weather like?", "Nobody would say."),
)


def claim(where: str, words: str, kind: str, rule: str, verdict: str, evidence: str) -> dict[str, str]:
    told = {"kind": kind, "where": where, "words": words, "rule": rule}
    return told | {"verdict": verdict, "evidence": evidence}


def test_a_line_of_verdicts_tells_of_each_turn_the_words_the_rule_and_the_evidence(tmp_path: Path) -> None:
    files, out = write_scene(tmp_path / "coco"), tmp_path / "out"
    teacher = replay(tmp_path / "replies.jsonl", {("conversation", 1): CONVERSATION})
    assert datagen("run", *files, *teacher, "--out", out) == 0
    (line,) = map(json.loads, (out / "verdicts.jsonl").read_text().splitlines())
    assert line == {
        "id": "conversation-000000000001",
        "outcome": "emitted",
        "turns": [
            {
                "verdict": "supported",
                "unfit": [],
                "is_kept": True,
                "claims": [
                    claim("question", "the couch", "object", "taken for granted", "supported", "box 2"),
                    claim("answer", "A black dog", "object", "named", "supported", "box 1"),
                    claim("answer", "the couch", "object", "named", "supported", "box 2"),
                    claim("answer", "black dog", "colour", "colour", "supported", "caption 1"),
                ],
            },
            {
                "verdict": "contradicted",
                "unfit": ["contradicted: 'two dogs' (count): 1 box"],
                "is_kept": False,
                "claims": [
                    claim("answer", "two dogs", "object", "named", "supported", "box 1"),
                    claim("answer", "two dogs", "count", "number", "contradicted", "1 box"),
                ],
            },
            {
                "verdict": "unsupported",
                "unfit": ["unsupported: 'A cat' (object): no box and no caption"],
                "is_kept": False,
                "claims": [
                    claim("answer", "A cat", "object", "named", "unsupported", "no box and no caption"),
                    claim("answer", "the dog", "object", "named", "supported", "box 1"),
                ],
            },
            {
                "verdict": "unsupported",
                "unfit": ["blind_spot: 'weather' (blind_spot): no caption speaks of it"],
                "is_kept": False,
                "claims": [
                    claim(
                        "question",
                        "weather",
                        "blind_spot",
                        "weather",
                        "unsupported",
                        "no caption speaks of it",
                    ),
                ],
            },
        ],
    }
    # The same, counted; and what was dropped stands in rejected.jsonl with its text.
    assert manifest_of(out).found["conversation"].model_dump() == {
        "claims": {
            "blind_spot": {"unsupported": 1},
            "colour": {"supported": 1},
            "count": {"contradicted": 1},
            "object": {"supported": 5, "unsupported": 1},
        },
        "faults": {
            "blind_spot": {"weather": 1},
            "contradicted": {"count": 1},
            "unsupported": {"object": 1},
        },
    }
    assert [(r.outcome, r.stage, r.reason, r.detail, r.text) for r in rejections_of(out)] == [
        ("turn_dropped", "checks", reason, detail, f"Question: {question}\nAnswer: {answer}")
        for reason, detail, question, answer in [
            (
                "contradicted",
                "answer 2: 'two dogs' (count): 1 box",
                "How many dogs are there?",
                "There are two dogs.",
            ),
            (
                "unsupported",
                "answer 3: 'A cat' (object): no box and no caption",
                "What else is there?",
                "A cat is next to the dog.",
            ),
            (
                "blind_spot",
                "question 4: 'weather' (blind_spot): no caption speaks of it",
                "What is the weather like?",
                "Nobody would say.",
            ),
        ]
    ]


DESCRIPTION = (
    "A black dog is resting on a red couch, which stands on the left side of the picture, and there is a "
    "small table on the right, not far from the dog and from the couch on which it has made itself at home."
)


def test_samples_that_were_rejected_or_repeat_others_have_their_line_as_well(tmp_path: Path) -> None:
    files, out = write_scene(tmp_path / "coco", images=3), tmp_path / "out"
    replies = {
        ("detail", 1): DESCRIPTION,
        ("detail", 2): DESCRIPTION,
        ("detail", 3): "A zebra is on the couch.",
    }
    assert datagen("run", *files, *replay(tmp_path / "r.jsonl", replies), "--out", out) == 0
    assert {verdict.id: verdict.outcome for verdict in verdicts_of(out)} == {
        "detail-000000000001": "emitted",
        "detail-000000000002": "duplicate",
        "detail-000000000003": "rejected",
    }
    assert {(v.id[-1], t.is_kept, t.verdict) for v in verdicts_of(out) for t in v.turns} == {
        ("1", True, "supported"),
        ("2", False, "supported"),
        ("3", False, "unsupported"),
    }
    assert manifest_of(out).accounting["detail"] == accounting(planned=3, emitted=1, rejected=1, duplicate=1)


def test_what_could_not_be_read_was_not_looked_at_and_has_no_line(tmp_path: Path) -> None:
    files, out = write_scene(tmp_path / "coco"), tmp_path / "out"
    teacher = replay(tmp_path / "r.jsonl", {("conversation", 1): "Question:\nWhat is there?"})
    assert datagen("run", *files, *teacher, "--out", out) == 0
    assert (out / "verdicts.jsonl").read_bytes() == b""
    assert manifest_of(out).found == {}
    assert manifest_of(out).reasons == {"rejected": {"unanswered_question": 1}}


def mixed_teacher(body: dict[str, Any], attempt: int) -> Answer:
    """Good for most images; unfit in one turn, in all, in form or by a leak for others."""
    proxy = proxy_of(body["messages"])
    seen = next(line for line in proxy.splitlines() if not line.startswith("<"))
    faults = {
        "number 3 ": pairs(
            ("What is there to see?", seen), ("Is there a giraffe?", "Yes, a giraffe is here.")
        ),
        "number 4 ": pairs(("Where is the giraffe?", "It is on the left.")),
        "number 5 ": "It is hard to say.",
    }
    if body["messages"][2]["content"].startswith("Question:"):
        good = pairs(("What is there to see?", seen), ("Is there a giraffe?", "No, there is none."))
        return completion(next((reply for word, reply in faults.items() if word in proxy), good))
    if "number 6 " in proxy:
        return completion("As the caption says, something stands there.")
    return completion(f"The picture shows this: {seen}")


def test_verdicts_are_the_same_bytes_whatever_the_concurrency_and_when_finished_again(tmp_path: Path) -> None:
    files = inputs(tmp_path, images=12)
    written = []
    with ChatServer(mixed_teacher) as server:
        for concurrency in ("1", "17"):
            out = tmp_path / f"out-{concurrency}"
            arguments: list[str | Path] = ["--concurrency", concurrency, "--out", out]
            assert datagen("run", *files, *openai(server), *arguments) == 0
            written.append((out / "verdicts.jsonl").read_bytes())
            assert datagen("finish", out) == 0
            written.append((out / "verdicts.jsonl").read_bytes())
            (listed,) = (o for o in manifest_of(out).outputs if o.name == "verdicts.jsonl")
            assert listed.records == len(written[-1].splitlines())
    assert len(set(written)) == 1
    assert len(written[0].splitlines()) > 30


def test_the_verdicts_of_emitted_samples_are_those_of_the_set_turn_by_turn(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ChatServer(mixed_teacher) as server:
        assert (
            datagen(
                "run",
                *inputs(tmp_path, images=12),
                *openai(server),
                "--types",
                "conversation,detail",
                "--out",
                out,
            )
            == 0
        )
    verdicts = verdicts_of(out)
    emitted = [verdict for verdict in verdicts if verdict.outcome == "emitted"]
    kept = {verdict.id: sum(turn.is_kept for turn in verdict.turns) for verdict in emitted}
    assert kept == {record.id: len(record.conversations) // 2 for record in records_of(out)}
    assert len(kept) == len(emitted), "one line for each"
    lost = [turn for verdict in emitted for turn in verdict.turns if not turn.is_kept]
    assert len(lost) == sum(line.outcome == "turn_dropped" for line in rejections_of(out)) == 1
    rejected = {f"{r.type}-{r.image_id:012d}" for r in rejections_of(out) if r.outcome == "rejected"}
    looked_at = {verdict.id for verdict in verdicts if verdict.outcome == "rejected"}
    assert looked_at == {"conversation-000000000004", "detail-000000000006"}
    assert rejected - looked_at == {"conversation-000000000005"}, "what could not be read was not looked at"
    assert not any(
        turn.is_kept for verdict in verdicts if verdict.outcome == "rejected" for turn in verdict.turns
    )


def test_leaks_are_counted_rule_by_rule_and_type_by_type(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(PACKS / "coco", pack)
    (pack / "leaks.txt").write_text("# ours\nfrom the list\nre:\\bcaptions?\\b\nnever written\n")
    files, out = write_scene(tmp_path / "coco", images=3), tmp_path / "out"
    replies = {
        ("conversation", 1): pairs(
            ("What is on the couch?", "A dog, by the caption."),
            ("What is on the right?", "A table, going by the captions and from the list."),
            ("What is on the left?", "A couch."),
        ),
        ("conversation", 2): pairs(
            ("What is there, from the list?", "A dog."), ("What is on the right?", "A table.")
        ),
        ("detail", 1): "There is a dog, which the caption has.",
        ("detail", 2): "There is a dog.",
        ("conversation", 3): pairs(("Where is the couch?", "On the left side.")),
        ("detail", 3): "Nothing but a couch.",
    }
    teacher = replay(tmp_path / "r.jsonl", replies)
    assert datagen("run", *files, *teacher, "--pack", pack, "--out", out) == 0
    found = manifest_of(out).found
    rule = "re:\\bcaptions?\\b"
    # A turn is found unfit by the first rule it breaks.
    assert found["conversation"].faults == {"leak": {"from the list": 2, rule: 1}}
    assert found["detail"].faults == {"leak": {rule: 1}}
    assert manifest_of(out).reasons == {"turn_dropped": {"leak": 3}, "rejected": {"leak": 1}}
