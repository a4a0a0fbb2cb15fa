"""The response type `safety`: what is turned down and what is answered, in balance, in any pack."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from datagen import text_proxy
from datagen.checks import Evidence, Region, TypeChecks, make_vocabulary, phrase_check
from datagen.judging import Judge, Judged
from datagen.parsing import Parsed, parse_reply
from datagen.prompting import PACKS, Seed
from datagen.records import Rejected, Turn
from schemas import LlavaRecord, SampleVerdict
from schemas.dialogues import DialoguesToml, DialogueTurnToml
from tests.datagen.coco import PACK
from tests.datagen.test_run import datagen, manifest_of, records_of, rejections_of

SAFETY = PACK.types["safety"]
DECLINES = phrase_check("declines", PACK.word_lists)
FILE = DialoguesToml.model_validate(tomllib.loads(PACK.files["safety/dialogues.toml"]))
TYPES = "conversation,detail,complex_reasoning,safety"


@lru_cache
def run(types: str) -> Path:
    """A run on the bundled scenes."""
    out = Path(mkdtemp(prefix="vitkit-safety-")) / "out"
    assert datagen("run", "--types", types, "--out", out) == 0
    return out


def turns_of(record: LlavaRecord) -> list[Turn]:
    said = [message.value.removeprefix("<image>\n") for message in record.conversations]
    return [Turn(question, answer) for question, answer in zip(said[::2], said[1::2], strict=True)]


# The seeds


@pytest.mark.parametrize("seed", SAFETY.seeds, ids=lambda seed: seed.name)
def test_a_seed_agrees_with_its_own_proxy_and_has_both_kinds(seed: Seed) -> None:
    parsed = parse_reply(seed.conv, "stop", "pairs", None)
    proxy = text_proxy.parse(seed.caps)
    assert isinstance(parsed, Parsed)
    assert proxy is not None
    boxes = [
        (shown.category, Region(number, *shown.corners, shown.crowd))
        for number, shown in enumerate(proxy[0].objects, 1)
    ]
    vocabulary = make_vocabulary(PACK.files, sorted({category for category, _ in boxes}))
    evidence = Evidence(vocabulary, proxy[0].captions, boxes, ())
    checks = TypeChecks(
        SAFETY.checks, PACK.word_lists, vocabulary, "camera", ["contradicted"], may_speculate=True
    )
    checked = checks(parsed.turns, evidence)
    assert [each.faults for each in checked] == [[]] * len(parsed.turns)
    declined = sum(DECLINES(turn) is not None for turn in parsed.turns)
    assert declined * 2 == len(parsed.turns)


# The text


def every(wording: str) -> Iterator[str]:
    """All that a wording may say; slots stay, and parts are written out."""
    pieces = re.split(r"(\[[^\]]*\]|\{[a-z_]+\})", wording)
    options: list[list[str]] = []
    for piece in pieces:
        if piece.startswith("["):
            options.append([each for option in piece[1:-1].split("|") for each in every(option)])
        elif piece.startswith("{") and piece[1:-1] in FILE.parts:
            options.append([each for option in FILE.parts[piece[1:-1]] for each in every(option)])
        elif piece.startswith("{"):
            options.append(["the image"])
        else:
            options.append([piece])
    return ("".join(chosen) for chosen in itertools.product(*options))


WORDED = [
    (f"{name}.{number}.{turn.kind}", turn.kind, turn)
    for name, topic in FILE.topic.items()
    for number, turn in enumerate(topic.turn, 1)
    if turn.question is not None
]


@pytest.mark.parametrize("turn", [each[2] for each in WORDED], ids=[each[0] for each in WORDED])
def test_every_decline_reads_as_one_and_no_help_does(turn: DialogueTurnToml) -> None:
    for wording in turn.answer or ():
        for answer in every(wording):
            is_no = DECLINES(Turn("?", answer)) is not None
            assert is_no == (turn.kind == "decline"), answer
            assert answer[-1] in ".!?"
            assert 5 <= len(answer.split()) <= 60, answer


def test_there_are_hundreds_of_requests_and_thousands_of_answers() -> None:
    asked = {
        question for _, _, turn in WORDED for wording in turn.question or () for question in every(wording)
    }
    said = {answer for _, _, turn in WORDED for wording in turn.answer or () for answer in every(wording)}
    assert len(asked) > 300
    assert len(said) > 3000


def test_no_wording_stands_in_the_file_twice() -> None:
    wordings = [each for _, _, turn in WORDED for each in (*(turn.question or ()), *(turn.answer or ()))]
    assert [wording for wording, times in Counter(wordings).items() if times > 1] == []


def test_what_the_issue_names_is_declined_and_its_look_alikes_are_answered() -> None:
    kinds = {
        question: turn.kind
        for _, _, turn in WORDED
        for wording in turn.question or ()
        for question in every(wording)
    }
    assert kinds["How do I hold <a_thing> safely when I cut vegetables?"] == "help"
    assert kinds["Who usually uses a fire hydrant?"] == "help"
    assert kinds["How close can I get to <the> for a selfie?"] == "help"
    assert kinds["What is the password of <the>?"] == "decline"
    assert kinds["What religion <do> <the> follow?"] == "decline"
    assert kinds["Do you know who <the> <be>?"] == "decline"
    identity = [turn for turn in FILE.topic["identity"].turn if turn.kind == "help"]
    assert "wearing" in (identity[0].programs or [])


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("fork", "fork"),
        ("bat", "baseball bat"),
        ("kite", "kite"),
        ("wine", "wine glass"),
        ("alcohol", "wine glass"),
        ("pretend", "person"),
    ],
)
def test_what_a_question_names_is_in_the_image(word: str, shown: str) -> None:
    asking = [
        topic.shows
        for topic in FILE.topic.values()
        for turn in topic.turn
        if any(word in re.findall(r"\w+", question) for question in turn.question or ())
    ]
    assert asking
    assert all(shows == [shown] for shows in asking)


@pytest.mark.parametrize("name", ["pets", "wildlife", "farm", "birds"])
def test_no_statue_is_taken_for_a_live_animal(name: str) -> None:
    assert {"statue", "sculpture", "figurine", "replica"} <= set(FILE.topic[name].says_not or [])


def test_nothing_is_guessed_of_children() -> None:
    words = FILE.topic["traits"].says_not or []
    assert {"baby", "child", "children", "boy", "girl", "kid", "toddler", "teenager", "young"} <= set(words)


# A run


def test_every_sample_declines_as_often_as_it_answers() -> None:
    records = records_of(run("safety"), "safety.json")
    assert len(records) >= 0.95 * manifest_of(run("safety")).accounting["safety"].planned
    orders = Counter[str]()
    for record in records:
        order = "".join("n" if DECLINES(turn) else "y" for turn in turns_of(record))
        assert order.count("n") == order.count("y") > 0
        orders[order] += 1
    # No order by which the one could be told from the other.
    assert {"ny", "yn", "nyny", "nyyn", "ynny", "ynyn"} <= orders.keys()
    # The manifest says so too.
    kinds = Counter[str]()
    for report in manifest_of(run("safety")).programs.values():
        kinds.update(report.answers)
    turns = sum(len(turns_of(record)) for record in records)
    assert kinds == {"decline": turns // 2, "help": turns // 2}


def test_nothing_that_is_emitted_is_contradicted_and_little_repeats() -> None:
    out = run("safety")
    lines = (out / "verdicts.jsonl").read_text().splitlines()
    verdicts = [SampleVerdict.model_validate_json(line) for line in lines]
    emitted = [each for each in verdicts if each.outcome == "emitted"]
    assert not any(turn.verdict == "contradicted" for each in emitted for turn in each.turns)
    turns = [turn for record in records_of(out, "safety.json") for turn in turns_of(record)]
    assert len(set(turns)) > 0.95 * len(turns)
    assert len({turn.answer for turn in turns}) > 0.8 * len(turns)


def test_running_again_gives_the_same_bytes(tmp_path: Path) -> None:
    assert datagen("run", "--types", "safety", "--out", tmp_path / "out") == 0
    first = {name: (run("safety") / name).read_bytes() for name in ("safety.json", "evidence.jsonl")}
    assert {name: (tmp_path / "out" / name).read_bytes() for name in first} == first


def test_beside_the_other_types_it_keeps_both_kinds(tmp_path: Path) -> None:
    alone, together = run("safety"), run(TYPES)
    assert (together / "safety.json").read_bytes() == (alone / "safety.json").read_bytes()
    assert list(manifest_of(together).accounting) == TYPES.split(",")

    # Were its questions compared with those of conversations, a look-alike would go and its pair stay.
    pack = tmp_path / "pack"
    shutil.copytree(PACKS / "coco", pack)
    toml = (pack / "pack.toml").read_text()
    (pack / "pack.toml").write_text(toml.replace("may_repeat_questions = true\n", ""))
    assert datagen("run", "--pack", pack, "--types", TYPES, "--out", tmp_path / "out") == 0
    lost = [line for line in rejections_of(tmp_path / "out") if line.type == "safety"]
    assert {line.reason for line in lost} >= {"near_question"}


# Packs with a folder of their own


@pytest.mark.parametrize("pack", ["medical-xray", "robot-workspace", "satellite"])
def test_a_pack_of_its_own_topics_emits_both_kinds_in_balance_and_the_same_again(
    pack: str, tmp_path: Path
) -> None:
    for name in ("first", "again"):
        assert datagen("run", "--pack", pack, "--types", "safety", "--out", tmp_path / name) == 0
    first, again = ((tmp_path / name / "safety.json").read_bytes() for name in ("first", "again"))
    assert first == again
    own = tomllib.loads((PACKS / pack / "safety/dialogues.toml").read_text())["topic"]
    said = {name.split(".")[1] for name in manifest_of(tmp_path / "first").programs if "." in name}
    assert said and said <= own.keys()
    records = records_of(tmp_path / "first", "safety.json")
    assert len(records) >= 0.9 * manifest_of(tmp_path / "first").accounting["safety"].planned
    for record in records:
        turns = turns_of(record)
        assert sum(DECLINES(turn) is not None for turn in turns) * 2 == len(turns)


# An LLM's


NO = Turn("Who is she?", "I'd rather not guess who she is.")
YES = Turn("What is she wearing?", "She is wearing a red coat.")


@pytest.mark.parametrize(
    ("turns", "reason"), [((NO, NO), "all_declined"), ((YES, YES), "none_declined"), ((YES, NO), None)]
)
def test_a_reply_that_is_all_of_one_kind_is_asked_again(turns: tuple[Turn, ...], reason: str | None) -> None:
    judged = Judge(PACK, ()).turns("safety", turns, lambda: None, question_is_drawn=False)
    assert isinstance(judged, Judged)
    found = judged.rejected.reason if isinstance(judged.rejected, Rejected) else None
    assert found == reason
    assert SAFETY.on_reject == "ask_again"
    if reason:
        assert reason in PACK.complaints


def test_a_quote_and_an_audit_know_the_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert datagen("quote", "--types", "safety") == 0
    assert "66 requests for 66 images" in capsys.readouterr().out
    scenes = Path(__file__).resolve().parents[2] / "examples/scenes"
    files: list[str | Path] = [
        "--captions",
        scenes / "captions.json",
        "--instances",
        scenes / "instances.json",
    ]
    out = tmp_path / "audit"
    assert datagen("audit", run("safety") / "safety.json", *files, "--out", out) == 0
    assert "contradicted" in capsys.readouterr().out
    assert json.loads((out / "report.json").read_text())["types"].keys() >= {"safety"}
