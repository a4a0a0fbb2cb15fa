"""What becomes of an unfit turn: per response type as the pack says, and over all as --checks says."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from datagen.prompting import PACKS
from schemas import SampleVerdict
from tests.datagen.chat_server import Answer, ChatServer, Script, completion
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

Pairs = tuple[tuple[str, str], ...]

# Image 1 has a cat on the left and a cow on the right; image 2 a horse and a bird.
GOOD: Pairs = (("What is on the left?", "A cat is on the left."), ("Where is the cow?", "On the right."))
UNFIT: Pairs = (
    ("What is on the left?", "A cat is on the left."),
    ("What is the bear doing?", "The bear is eating."),
    ("Where is it?", "It stands by a road."),
    ("Where is the cow?", "On the right."),
)
HOPELESS: Pairs = (("How many cats are there?", "There are three cats."),)
OTHER: Pairs = (("What is on the left?", "A horse is on the left."), ("Where is the bird?", "On the right."))

BEAR = "'the bear' (object): no box and no caption"
WRONG = f"question 2: {BEAR}; answer 2: {BEAR.replace('the', 'The', 1)}"
# The teacher is not told of boxes and captions, of which it is not to speak.
COMPLAINT = (
    "Your reply names something that nothing shows to be in the image "
    f"({WRONG.replace(': no box and no caption', '')}). "
    "Write the whole reply again and name only what is known to be there."
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def as_reply(turns: Iterable[tuple[str, str]]) -> str:
    return "\n===\n".join(f"Question:\n{question}\n===\nAnswer:\n{answer}" for question, answer in turns)


def as_text(turn: tuple[str, str]) -> str:
    return f"Question: {turn[0]}\nAnswer: {turn[1]}"


def pack_with(folder: Path, on_reject: str = "drop_turn", **settings: str) -> Path:
    """The coco pack with these settings for conversations."""
    shutil.copytree(PACKS / "coco", folder)
    table = re.search(r"\[types\.conversation\]\n(?:.+\n)+", (folder / "pack.toml").read_text())
    assert table is not None
    lines = table[0].splitlines()
    for name, value in {"on_reject": f'"{on_reject}"', **settings}.items():
        lines = [line for line in lines if not line.startswith(f"{name} =")] + [f"{name} = {value}"]
    text = (folder / "pack.toml").read_text().replace(table[0], "\n".join(lines) + "\n")
    (folder / "pack.toml").write_text(text)
    return folder


def says(first: str, second: str = as_reply(GOOD)) -> Script:
    """A teacher whose first reply about image 1 is this, and, asked again, this; that of image 2 is good."""

    def script(body: dict[str, Any], attempt: int) -> Answer:
        if "number 2 " in proxy_of(body["messages"]):
            return completion(as_reply(OTHER))
        return completion(second if len(asked_again([body])) else first)

    return script


def asked_again(requests: Iterable[dict[str, Any]]) -> list[list[dict[str, str]]]:
    """What those requests that ask again add to the first: the reply, and what was wrong with it."""
    messages = [body["messages"] for body in requests]
    return [said[-2:] for said in messages if said[-1]["content"] != proxy_of(said)]


def verdicts_of(out: Path) -> list[SampleVerdict]:
    lines = (out / "verdicts.jsonl").read_text().splitlines()
    return [SampleVerdict.model_validate_json(line) for line in lines]


def turns_of(out: Path, image: int = 1) -> Pairs:
    """The turns of an image's conversation as it stands in the set."""
    for record in records_of(out, "conversation.json"):
        if record.image == f"{image:012d}.jpg":
            said = [message.value.removeprefix("<image>\n") for message in record.conversations]
            return tuple(zip(said[::2], said[1::2], strict=True))
    return ()


def why_of(out: Path) -> list[tuple[str, str, str, str, str]]:
    return [(r.outcome, r.stage, r.reason, r.detail, r.text) for r in rejections_of(out)]


def run_replayed(folder: Path, pack: Path, replies: dict[tuple[str, int], str]) -> int:
    """The exit status of a run into `out` that is answered from a file, by type and image."""
    lines = [{"type": name, "image_id": image, "reply": reply} for (name, image), reply in replies.items()]
    (folder / "replies.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    types = ",".join(dict.fromkeys(name for name, _ in replies))
    images = len({image for _, image in replies})
    arguments: list[str | Path] = [
        "--teacher",
        "replay",
        "--replies",
        folder / "replies.jsonl",
        "--types",
        types,
    ]
    return datagen("run", *inputs(folder, images=images), *arguments, "--pack", pack, "--out", folder / "out")


class Run:
    """A run on two images, conversations only."""

    def __init__(self, folder: Path, pack: Path, server: ChatServer) -> None:
        self.out = folder / "out"
        self.server = server
        self.arguments = [
            *(*inputs(folder, images=2), *openai(server)),
            *("--types", "conversation", "--pack", pack, "--out", self.out),
        ]

    def __call__(self, *more: str) -> None:
        assert datagen("run", *self.arguments, *more) == 0

    def finish(self, *more: str) -> dict[str, bytes]:
        """Finish without the teacher; the files."""
        before = len(self.server.requests)
        assert datagen("finish", self.out, *more) == 0
        assert len(self.server.requests) == before
        return self.files

    @property
    def files(self) -> dict[str, bytes]:
        names = ("conversation.json", "llava_instruct.json", "rejected.jsonl", "verdicts.jsonl")
        return {name: (self.out / name).read_bytes() for name in names}


# The four policies


def test_drop_turn_drops_the_unfit_turn_and_the_one_that_refers_back_to_it(tmp_path: Path) -> None:
    with ChatServer(says(as_reply(UNFIT))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_turn"), server)
        run()
        run()
    assert len(server.requests) == 2, "nothing is asked again, then or by the next run"
    assert turns_of(run.out) == (UNFIT[0], UNFIT[3])
    assert turns_of(run.out, 2) == OTHER
    assert why_of(run.out) == [
        ("turn_dropped", "checks", "unsupported", WRONG, as_text(UNFIT[1])),
        (
            "turn_dropped",
            "checks",
            "refers_to_dropped_turn",
            "turn 3 refers back to turn 2",
            as_text(UNFIT[2]),
        ),
    ]
    assert [[turn.is_kept for turn in verdict.turns] for verdict in verdicts_of(run.out)] == [
        [True, False, False, True],
        [True, True],
    ]
    manifest = manifest_of(run.out)
    assert manifest.accounting == {"conversation": accounting(planned=2, emitted=2)}
    assert manifest.reasons == {"turn_dropped": {"refers_to_dropped_turn": 1, "unsupported": 1}}
    assert manifest.found["conversation"].faults == {"unsupported": {"object": 1}}
    assert (manifest.to_ask_again, manifest.checks) == (0, "enforce")


def test_under_drop_turn_a_reply_with_no_turn_left_is_asked_again(tmp_path: Path) -> None:
    with ChatServer(says(as_reply(HOPELESS), as_reply(UNFIT))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_turn"), server)
        run()
    assert len(server.requests) == 3
    assert turns_of(run.out) == (UNFIT[0], UNFIT[3]), "and turns are dropped from its second reply too"
    assert manifest_of(run.out).accounting == {"conversation": accounting(planned=2, emitted=2)}


def test_drop_sample_drops_it_all_and_never_asks_again(tmp_path: Path) -> None:
    with ChatServer(says(as_reply(UNFIT))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_sample"), server)
        run()
        run()
    assert len(server.requests) == 2
    assert turns_of(run.out) == ()
    assert turns_of(run.out, 2) == OTHER
    assert why_of(run.out) == [("rejected", "checks", "unsupported", WRONG, as_reply(UNFIT))]
    verdicts = verdicts_of(run.out)
    assert {verdict.id[-1]: verdict.outcome for verdict in verdicts} == {"1": "rejected", "2": "emitted"}
    rejected = next(verdict for verdict in verdicts if verdict.outcome == "rejected")
    assert [(turn.verdict, turn.is_kept) for turn in rejected.turns] == [
        ("supported", False),
        ("unsupported", False),
        ("undecidable", False),
        ("supported", False),
    ]
    manifest = manifest_of(run.out)
    assert manifest.accounting == {"conversation": accounting(planned=2, emitted=1, rejected=1)}
    assert manifest.reasons == {"rejected": {"unsupported": 1}}
    assert manifest.to_ask_again == 0


def test_drop_sample_asks_again_what_could_not_be_read(tmp_path: Path) -> None:
    # Which is no finding of the checks: there is nothing yet that they could have dropped.
    with ChatServer(says("A cat and a cow.")) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_sample"), server)
        run()
    assert len(server.requests) == 3
    assert turns_of(run.out) == GOOD


def test_ask_again_tells_the_teacher_once_what_was_wrong_and_takes_its_second_reply(tmp_path: Path) -> None:
    with ChatServer(says(as_reply(UNFIT))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "ask_again"), server)
        run()
        run()
    assert len(server.requests) == 3
    assert asked_again(server.requests) == [
        [{"role": "assistant", "content": as_reply(UNFIT)}, {"role": "user", "content": COMPLAINT}]
    ]
    assert turns_of(run.out) == GOOD
    assert why_of(run.out) == []
    assert [(v.id[-1], v.outcome, len(v.turns)) for v in verdicts_of(run.out)] == [
        ("1", "emitted", 2),
        ("2", "emitted", 2),
    ]
    manifest = manifest_of(run.out)
    assert manifest.accounting == {"conversation": accounting(planned=2, emitted=2)}
    assert manifest.found["conversation"].faults == {}
    assert manifest.to_ask_again == 0


def test_ask_again_rejects_a_second_reply_that_is_unfit_as_well(tmp_path: Path) -> None:
    with ChatServer(says(as_reply(UNFIT), as_reply(HOPELESS))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "ask_again"), server)
        run()
        run()
    assert len(server.requests) == 3, "it is asked again once and no more"
    detail = "answer 1: 'three cats' (count): 1 box"
    assert why_of(run.out) == [("rejected", "checks", "contradicted", detail, as_reply(HOPELESS))]
    (rejected,) = (v for v in verdicts_of(run.out) if v.outcome == "rejected")
    assert [turn.unfit for turn in rejected.turns] == [["contradicted: 'three cats' (count): 1 box"]]
    manifest = manifest_of(run.out)
    assert manifest.accounting == {"conversation": accounting(planned=2, emitted=1, rejected=1)}
    assert manifest.to_ask_again == 0


def test_ask_again_tells_of_every_turn_that_is_unfit(tmp_path: Path) -> None:
    turns = (*HOPELESS, ("Where is the bear?", "On the left."), ("What else is there?", "A cow."))
    with ChatServer(says(as_reply(turns))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "ask_again"), server)
        run()
    ((_, complaint),) = asked_again(server.requests)
    assert complaint["content"] == (
        "Your reply says something that does not agree with what is known of the image "
        "(answer 1: 'three cats' (count)). Write the whole reply again and say only what agrees with it. "
        "Your reply names something that nothing shows to be in the image "
        "(question 2: 'the bear' (object)). "
        "Write the whole reply again and name only what is known to be there."
    )


def test_what_the_pack_forbids_is_asked_again_and_then_rejected_with_its_line(tmp_path: Path) -> None:
    ill: Pairs = (("What is on the left?", "A cat with cowpox is on the left."),)
    pack = pack_with(tmp_path / "pack", "ask_again")
    (pack / "forbidden.txt").write_text("cow\nre:\\b[a-z]+pox\\b\n")
    with ChatServer(says(as_reply(ill), as_reply(ill))) as server:
        run = Run(tmp_path, pack, server)
        run()
    ((_, complaint),) = asked_again(server.requests)
    assert complaint["content"] == (
        "Your reply says something that must not be said of this image (answer 1: 'cowpox'). "
        "Write the whole reply again without it."
    )
    detail = r"answer 1: 'cowpox' (rule: re:\b[a-z]+pox\b)"
    assert why_of(run.out) == [("rejected", "checks", "forbidden", detail, as_reply(ill))]
    manifest = manifest_of(run.out)
    assert manifest.reasons == {"rejected": {"forbidden": 1}}
    assert manifest.found["conversation"].faults == {"forbidden": {r"re:\b[a-z]+pox\b": 1}}


def test_flag_keeps_it_all_and_says_so(tmp_path: Path) -> None:
    with ChatServer(says(as_reply(UNFIT))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "flag"), server)
        run()
        run()
    assert len(server.requests) == 2
    assert turns_of(run.out) == UNFIT
    assert why_of(run.out) == []
    first = verdicts_of(run.out)[0]
    assert [(turn.verdict, turn.is_kept, len(turn.unfit)) for turn in first.turns] == [
        ("supported", True, 0),
        ("unsupported", True, 2),
        ("undecidable", True, 0),
        ("supported", True, 0),
    ]
    manifest = manifest_of(run.out)
    assert manifest.accounting == {"conversation": accounting(planned=2, emitted=2)}
    assert manifest.found["conversation"].faults == {"unsupported": {"object": 1}}
    assert (manifest.to_ask_again, manifest.checks) == (0, "enforce")


def test_each_type_has_its_own_policy(tmp_path: Path) -> None:
    pack = pack_with(tmp_path / "pack", "drop_turn")
    said = {
        "conversation": as_reply(UNFIT),
        "detail": "A cat is on the left. A bear is on the right.",
    }

    def script(body: dict[str, Any], attempt: int) -> Answer:
        is_pairs = body["messages"][2]["content"].startswith("Question:")
        return completion(said["conversation" if is_pairs else "detail"])

    out = tmp_path / "out"
    with ChatServer(script) as server:
        types = ["--types", "conversation,detail", "--limit", "1"]
        assert datagen("run", *inputs(tmp_path), *openai(server), *types, "--pack", pack, "--out", out) == 0
    # Two replies, and the description once more.
    assert len(server.requests) == 3
    assert turns_of(out) == (UNFIT[0], UNFIT[3])
    assert manifest_of(out).accounting == {
        "conversation": accounting(planned=1, emitted=1),
        "detail": accounting(planned=1, rejected=1),
    }


# --checks, over all


def test_finishing_with_other_checks_gives_the_other_outcomes_and_back(tmp_path: Path) -> None:
    with ChatServer(says(as_reply(UNFIT))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_turn"), server)
        run()
        enforced = run.files

        flagged = run.finish("--checks", "flag")
        assert turns_of(run.out) == UNFIT
        assert why_of(run.out) == []
        assert all(turn.is_kept for verdict in verdicts_of(run.out) for turn in verdict.turns)
        assert [len(turn.unfit) for turn in verdicts_of(run.out)[0].turns] == [0, 2, 0, 0]
        assert manifest_of(run.out).checks == "flag"
        assert manifest_of(run.out).found["conversation"].faults == {"unsupported": {"object": 1}}

        off = run.finish("--checks", "off")
        assert off["conversation.json"] == flagged["conversation.json"]
        assert off["verdicts.jsonl"] == off["rejected.jsonl"] == b""
        assert manifest_of(run.out).checks == "off"
        assert manifest_of(run.out).found == {}

        assert run.finish("--checks", "enforce") == enforced
        assert run.finish() == enforced
        assert manifest_of(run.out).checks == "enforce"


@pytest.mark.parametrize("checks", ["flag", "off"])
def test_a_run_that_does_not_enforce_asks_nothing_again_until_one_does(tmp_path: Path, checks: str) -> None:
    with ChatServer(says(as_reply(UNFIT))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "ask_again"), server)
        run("--checks", checks)
        assert len(server.requests) == 2
        assert turns_of(run.out) == UNFIT
        assert manifest_of(run.out).to_ask_again == 0

        run.finish("--checks", "enforce")
        assert manifest_of(run.out).to_ask_again == 1
        assert turns_of(run.out) == ()

        run("--checks", "enforce")
        assert [said[1]["content"] for said in asked_again(server.requests)] == [COMPLAINT]
        assert turns_of(run.out) == GOOD
        assert manifest_of(run.out).accounting == {"conversation": accounting(planned=2, emitted=2)}


@pytest.mark.parametrize("checks", ["flag", "off"])
def test_finish_checks_as_the_run_did_unless_told_otherwise(tmp_path: Path, checks: str) -> None:
    with ChatServer(says(as_reply(UNFIT))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_turn"), server)
        run("--checks", checks)
        before = run.files
        assert manifest_of(run.out).checks == checks
        run.finish("--checks", "enforce")
        assert turns_of(run.out) == (UNFIT[0], UNFIT[3])
        assert run.finish() == before, "for once: the run's own stands"
        assert manifest_of(run.out).checks == checks


def test_what_cannot_be_read_is_rejected_whatever_the_checks(tmp_path: Path) -> None:
    with ChatServer(says("Question:\nWhat is there?", "Question:\nWhat is it?")) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "flag"), server)
        run("--checks", "off")
    assert len(server.requests) == 3
    assert [(r.stage, r.reason) for r in rejections_of(run.out)] == [("parsing", "unanswered_question")]


def test_an_image_token_in_the_text_is_rejected_whatever_the_checks(tmp_path: Path) -> None:
    bad = as_reply((("What is in <image> here?", "A cat."),))
    with ChatServer(says(bad, bad)) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "flag"), server)
        run("--checks", "off")
    assert [(r.stage, r.reason) for r in rejections_of(run.out)] == [("checks", "image_token_in_text")]


# What a type checks, and what it rejects


def test_a_type_of_its_own_checks_keeps_what_others_reject(tmp_path: Path) -> None:
    pack = pack_with(tmp_path / "pack", "drop_sample")
    shutil.copytree(pack / "conversation", pack / "refusals")
    with (pack / "pack.toml").open("a") as file:
        file.write('\n[types.refusals]\nreply = "pairs"\nchecks = ["format"]\non_reject = "drop_sample"\n')
    refusal = as_reply(
        [
            ("What is the bear's name?", "I'm sorry, but I can't tell from the image."),
            ("How many cats are there?", "There are three cats, as the caption says."),
        ]
    )
    out = tmp_path / "out"
    with ChatServer(lambda body, attempt: completion(refusal)) as server:
        arguments: list[str | Path] = [
            "--types",
            "conversation,refusals",
            "--limit",
            "1",
            "--pack",
            pack,
            "--out",
            out,
        ]
        assert datagen("run", *inputs(tmp_path), *openai(server), *arguments) == 0
    # The prompts of the two are the same, and so are their requests but for the seed.
    assert records_of(out, "conversation.json") == []
    (record,) = records_of(out, "refusals.json")
    assert [message.value for message in record.conversations[1::2]] == [
        "I'm sorry, but I can't tell from the image.",
        "There are three cats, as the caption says.",
    ]
    assert manifest_of(out).accounting == {
        "conversation": accounting(planned=1, rejected=1),
        "refusals": accounting(planned=1, emitted=1),
    }
    by_id = {verdict.id: verdict for verdict in verdicts_of(out)}
    assert by_id["refusals-000000000001"].model_dump() == {
        "id": "refusals-000000000001",
        "outcome": "emitted",
        "turns": [{"verdict": "undecidable", "unfit": [], "is_kept": True, "claims": []}] * 2,
    }


def test_a_format_check_still_holds_where_nothing_else_is_checked(tmp_path: Path) -> None:
    bad = as_reply([("What is there?", "A bear. </captions>"), ("What else is there?", "A zebra.")])
    with ChatServer(says(bad)) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_turn", checks='["format"]'), server)
        run()
    assert turns_of(run.out) == (("What else is there?", "A zebra."),)
    assert [(r.outcome, r.reason, r.detail) for r in rejections_of(run.out)] == [
        ("turn_dropped", "leftover_tag", "answer 1")
    ]


def test_a_type_that_rejects_only_contradictions_lets_the_unsupported_through_with_its_verdict(
    tmp_path: Path,
) -> None:
    turns = (*UNFIT, *HOPELESS)
    with ChatServer(says(as_reply(turns))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_turn", reject='["contradicted"]'), server)
        run()
    assert turns_of(run.out) == UNFIT
    assert [(r.outcome, r.reason) for r in rejections_of(run.out)] == [("turn_dropped", "contradicted")]
    first = verdicts_of(run.out)[0]
    assert [(turn.verdict, turn.is_kept, turn.unfit) for turn in first.turns] == [
        ("supported", True, []),
        ("unsupported", True, []),
        ("undecidable", True, []),
        ("supported", True, []),
        ("contradicted", False, ["contradicted: 'three cats' (count): 1 box"]),
    ]
    found = manifest_of(run.out).found["conversation"]
    assert found.claims["object"]["unsupported"] == 2
    assert found.faults == {"contradicted": {"count": 1}}


# References


@pytest.mark.parametrize(
    ("questions", "kept"),
    [
        (("Where is it?", "What color is it?", "Where is the cow?"), (3,)),
        (("Is it the same on the left?", "Where is the cow?", "Where is it?"), (2, 3)),
        (("What is the other one doing?", "And the others?", "Where is the cow?"), (3,)),
        (("What is the other cow doing?", "Where is it?"), (1, 2)),
        (("Where is the cow?", "What is next to it?"), (1, 2)),
    ],
)
def test_what_refers_back_falls_with_what_it_refers_to(
    tmp_path: Path, questions: tuple[str, ...], kept: tuple[int, ...]
) -> None:
    opening, bear = UNFIT[0], UNFIT[1]
    turns = (opening, bear, *((question, f"By road {n}.") for n, question in enumerate(questions, 1)))
    with ChatServer(says(as_reply(turns))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_turn"), server)
        run()
    assert turns_of(run.out) == (opening, *(turns[n + 1] for n in kept))
    fallen = [n + 2 for n in range(1, len(questions) + 1) if n not in kept]
    assert [(r.reason, r.detail) for r in rejections_of(run.out)][1:] == [
        ("refers_to_dropped_turn", f"turn {n} refers back to turn {n - 1}") for n in fallen
    ]


def test_where_all_other_turns_refer_to_the_unfit_one_the_sample_is_rejected(tmp_path: Path) -> None:
    turns = (UNFIT[1], ("Where is it?", "By a road."), ("What color is it?", "Nobody knows."))
    with ChatServer(says(as_reply(turns), as_reply(turns))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_turn"), server)
        run()
    assert turns_of(run.out) == ()
    assert [(r.outcome, r.reason) for r in rejections_of(run.out)] == [("rejected", "unsupported")]


def test_a_turn_written_twice_is_kept_once(tmp_path: Path) -> None:
    turns = (*GOOD, GOOD[0])
    with ChatServer(says(as_reply(turns))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_turn"), server)
        run()
    assert turns_of(run.out) == GOOD
    assert [(r.outcome, r.stage, r.reason) for r in rejections_of(run.out)] == [
        ("turn_dropped", "dedup", "same_question")
    ]
    assert [turn.is_kept for turn in verdicts_of(run.out)[0].turns] == [True, True, False]


def test_a_reply_of_one_turn_written_twice_is_kept_once(tmp_path: Path) -> None:
    with ChatServer(says(as_reply((GOOD[0], GOOD[0])))) as server:
        run = Run(tmp_path, pack_with(tmp_path / "pack", "drop_turn"), server)
        run()
    assert turns_of(run.out) == (GOOD[0],)


def test_no_turn_is_left_that_refers_to_one_dropped_as_a_repeat(tmp_path: Path) -> None:
    asked = ("What is on the left?", "A cat.")
    replies = {
        "conversation": as_reply([asked]),
        "complex_reasoning": as_reply([asked, ("Is the same on the right?", "No, a cow is on the right.")]),
    }
    assert run_replayed(tmp_path, PACKS / "coco", {(name, 1): reply for name, reply in replies.items()}) == 0
    for record in records_of(tmp_path / "out"):
        assert record.conversations[0].value == "<image>\nWhat is on the left?", record.id


# Quotas


def conversations_about(images: dict[str, str]) -> Script:
    def script(body: dict[str, Any], attempt: int) -> Answer:
        proxy = proxy_of(body["messages"])
        thing = next(thing for word, thing in images.items() if word in proxy)
        return completion(as_reply([("What is there to see?", f"{thing} stands somewhere.")]))

    return script


def test_no_more_samples_of_a_type_are_kept_than_its_quota(tmp_path: Path) -> None:
    things = {"number 1 ": "A cat", "number 2 ": "A horse", "number 3 ": "A sheep", "number 4 ": "A cow"}
    pack, out = pack_with(tmp_path / "pack", "drop_turn", most="3"), tmp_path / "out"
    with ChatServer(conversations_about(things)) as server:
        arguments: list[str | Path] = ["--types", "conversation", "--pack", pack, "--out", out]
        assert datagen("run", *inputs(tmp_path, images=4), *openai(server), *arguments) == 0
        assert len(server.requests) == 4, "what is over a quota is not asked again"
    assert [record.image for record in records_of(out)] == [f"{n:012d}.jpg" for n in (1, 2, 3)]
    (over,) = rejections_of(out)
    assert (over.image_id, over.outcome, over.stage, over.reason) == (4, "rejected", "quotas", "over_quota")
    assert over.text == "Question: What is there to see?\nAnswer: A cow stands somewhere."
    assert manifest_of(out).accounting["conversation"] == accounting(planned=4, emitted=3, rejected=1)
    assert manifest_of(out).to_ask_again == 0
    assert [(v.id[-1], v.outcome) for v in verdicts_of(out)] == [
        ("1", "emitted"),
        ("2", "emitted"),
        ("3", "emitted"),
        ("4", "rejected"),
    ]


def test_a_sample_is_one_too_many_where_every_category_it_names_has_enough(tmp_path: Path) -> None:
    # Images 1 and 9 have a cat and a cow, 2 and 10 a horse and a bird.
    things = {"number 1 ": "A cat", "number 9 ": "A cat", "number 10 ": "A horse"}
    pack, out = pack_with(tmp_path / "pack", "drop_turn", most_per_category="1"), tmp_path / "out"
    captions, instances = inputs(tmp_path, images=10)[1::2]

    def script(body: dict[str, Any], attempt: int) -> Answer:
        proxy = proxy_of(body["messages"])
        for word, thing in things.items():
            if word in proxy:
                return completion(as_reply([("What is there to see?", f"{thing} stands by road {word}.")]))
        return completion(as_reply([("What is there to see?", "Nothing much.")]))

    with ChatServer(script) as server:
        arguments: list[str | Path] = ["--types", "conversation", "--pack", pack, "--out", out]
        flags = ["--captions", captions, "--instances", instances]
        assert datagen("run", *flags, *openai(server), *arguments) == 0
    emitted = {int(record.id[-3:]) for record in records_of(out)}
    assert {1, 10} <= emitted
    over = [line for line in rejections_of(out) if line.reason == "over_quota"]
    assert [(line.image_id, line.stage) for line in over] == [(9, "quotas")]
    assert "cat" in over[0].detail
    assert json.loads((out / "manifest.json").read_text())["reasons"]["rejected"] == {"over_quota": 1}


def test_nothing_repeats_a_sample_that_a_quota_left_out(tmp_path: Path) -> None:
    left = "What is on the left?"
    replies = {
        ("conversation", 1): as_reply([(left, "A cat is on the left.")]),
        ("conversation", 2): as_reply([(left, "A horse is on the left.")]),
        ("complex_reasoning", 1): as_reply([("What could happen next?", "The cat could move on.")]),
        ("complex_reasoning", 2): as_reply([(left, "A horse is on the left, and it could run off.")]),
    }
    assert run_replayed(tmp_path, pack_with(tmp_path / "pack", "drop_turn", most="1"), replies) == 0
    assert [(r.type, r.image_id, r.outcome, r.reason) for r in rejections_of(tmp_path / "out")] == [
        ("conversation", 2, "rejected", "over_quota")
    ]
