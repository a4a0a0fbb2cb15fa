"""The whole run, from annotation files to LLaVA JSON, with a real endpoint, real files, real kills."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datagen.__main__ import main
from datagen.ledger import Ledger
from schemas import Accounting, LlavaRecord, RecordedReply, Rejection, RunManifest
from tests.datagen.chat_server import Answer, ChatServer, completion, error
from tests.datagen.scenes import caption_of, good_teacher, proxy_of, reply_to, write_coco

TYPES = ("conversation", "detail", "complex_reasoning")
DETERMINISTIC = (
    "llava_instruct.json",
    "alignment.json",
    "rejected.jsonl",
    "verdicts.jsonl",
    *(f"{name}.json" for name in TYPES),
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def datagen(*arguments: str | Path) -> int:
    """The command's exit status."""
    sys.argv = ["datagen", *map(str, arguments)]
    try:
        main()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    return 0


def openai(server: ChatServer) -> list[str]:
    return ["--teacher", "openai", "--model", "tiny", "--base-url", server.base_url]


def inputs(folder: Path, **sizes: int) -> list[str | Path]:
    captions, instances = write_coco(folder / "coco", **sizes)
    return ["--captions", captions, "--instances", instances]


def manifest_of(out: Path) -> RunManifest:
    return RunManifest.model_validate_json((out / "manifest.json").read_text())


def records_of(out: Path, name: str = "llava_instruct.json") -> list[LlavaRecord]:
    return [LlavaRecord.model_validate(record) for record in json.loads((out / name).read_text())]


def rejections_of(out: Path) -> list[Rejection]:
    return [Rejection.model_validate_json(line) for line in (out / "rejected.jsonl").read_text().splitlines()]


def accounting(**counts: int) -> Accounting:
    return Accounting.model_validate(dict.fromkeys(Accounting.model_fields, 0) | counts)


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in DETERMINISTIC}


def test_a_run_writes_llava_json_and_accounts_for_every_unit(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ChatServer(good_teacher) as server:
        assert datagen("run", *inputs(tmp_path), *openai(server), "--out", out) == 0
    assert len(server.requests) == 18
    manifest = manifest_of(out)
    assert manifest.accounting == dict.fromkeys(TYPES, accounting(planned=6, emitted=6))
    assert manifest.usage.model_dump() == {"prompt": 27000, "cached": 23040, "completion": 2160}
    assert rejections_of(out) == []
    first = json.loads((out / "conversation.json").read_text())[0]
    assert first == {
        "id": "conversation-000000000001",
        "image": "000000000001.jpg",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is there to see?"},
            {"from": "gpt", "value": caption_of(1)},
            {"from": "human", "value": "Is there a boat?"},
            {"from": "gpt", "value": "No."},
        ],
    }
    combined = records_of(out)
    assert len({record.id for record in combined}) == 18
    assert combined == [record for name in TYPES for record in records_of(out, f"{name}.json")]
    assert [record.conversations[1].value in {caption_of(i), caption_of(i, 1)}
            for i, record in enumerate(records_of(out, "alignment.json"), 1)] == [True] * 6  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["ledger.sqlite", "log.jsonl", "manifest.json", *DETERMINISTIC]
    )


def test_the_prefix_is_the_same_bytes_for_every_image_of_a_type(tmp_path: Path) -> None:
    with ChatServer(good_teacher) as server:
        one_at_a_time = ["--concurrency", "1"]
        datagen("run", *inputs(tmp_path), *openai(server), *one_at_a_time, "--out", tmp_path / "out")
    prefixes = {json.dumps(body["messages"][:-1]) for body in server.requests}
    assert len(prefixes) == 3
    # Asked type by type, so that a provider's prefix cache hits.
    order = [json.dumps(body["messages"][0]) for body in server.requests]
    assert len([1 for before, after in itertools.pairwise(order) if before != after]) == 2


def test_running_again_asks_nothing_and_writes_the_same(tmp_path: Path) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(good_teacher) as server:
        datagen("run", *files, *openai(server), "--out", out)
        before = contents(out)
        assert datagen("run", *files, *openai(server), "--out", out) == 0
    assert len(server.requests) == 18
    assert contents(out) == before


def test_with_everything_answered_no_endpoint_is_needed(tmp_path: Path) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(good_teacher) as server:
        datagen("run", *files, *openai(server), "--out", out)
    assert datagen("run", *files, *openai(server), "--out", out) == 0
    assert datagen("finish", out) == 0


@pytest.mark.parametrize("concurrency", ["1", "17"])
def test_outputs_do_not_depend_on_concurrency(tmp_path: Path, concurrency: str) -> None:
    files = inputs(tmp_path)
    with ChatServer(good_teacher) as server:
        datagen("run", *files, *openai(server), "--out", tmp_path / "a")
        datagen("run", *files, *openai(server), "--out", tmp_path / "b", "--concurrency", concurrency)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_raising_the_limit_asks_only_the_new_images(tmp_path: Path) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(good_teacher) as server:
        datagen("run", *files, *openai(server), "--out", out, "--limit", "2")
        assert len(server.requests) == 6
        datagen("run", *files, *openai(server), "--out", out, "--limit", "5")
        assert len(server.requests) == 15
    assert manifest_of(out).accounting["detail"].emitted == 5


def test_switching_a_type_off_takes_its_file_away_and_keeps_its_replies(tmp_path: Path) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(good_teacher) as server:
        datagen("run", *files, *openai(server), "--out", out)
        assert datagen("run", *files, *openai(server), "--out", out, "--types", "detail,conversation") == 0
        assert not (out / "complex_reasoning.json").exists()
        datagen("run", *files, *openai(server), "--out", out)
    assert len(server.requests) == 18
    assert (out / "complex_reasoning.json").exists()


def test_a_plan_that_would_set_paid_replies_aside_wants_replan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(good_teacher) as server:
        datagen("run", *files, *openai(server), "--out", out)
        before = contents(out)
        capsys.readouterr()
        assert datagen("run", *files, "--out", out) == 2
        assert "18 of the 18 paid replies here would no longer be used" in capsys.readouterr().err
        assert contents(out) == before
        with Ledger.open_read_only(out) as ledger:
            assert ledger.setting("teacher") == "openai"
        assert datagen("run", *files, "--out", out, "--replan") == 0
        assert manifest_of(out).teacher == "programmatic"
        # The programmatic teacher's replies cost nothing, and the paid ones are still there.
        assert datagen("run", *files, *openai(server), "--out", out) == 0
    assert len(server.requests) == 18
    assert contents(out) == before


def scripted(faults: dict[str, Answer]) -> Callable[[dict[str, Any], int], Answer]:
    """A good teacher but for the images whose caption holds one of the words."""

    def script(body: dict[str, Any], attempt: int) -> Answer:
        proxy = proxy_of(body["messages"])
        return next((fault for word, fault in faults.items() if word in proxy), good_teacher(body, attempt))

    return script


def test_every_unit_that_was_not_emitted_stands_in_rejected_with_its_reason(tmp_path: Path) -> None:
    out = tmp_path / "out"
    faults = {
        "number 1 ": completion("I'm sorry, but I can't assist with that."),
        "number 2 ": completion("As the caption says, a horse stands there."),
        "number 3 ": error(400, "context_length_exceeded", "too long"),
        "number 4 ": completion(None),
        "number 5 ": completion("The very same words."),
        "number 6 ": completion("The very SAME words!"),
    }
    with ChatServer(scripted(faults)) as server:
        status = datagen(
            "run", *inputs(tmp_path, images=7), *openai(server), "--types", "detail", "--out", out
        )
    assert status == 1
    assert manifest_of(out).accounting["detail"] == accounting(
        planned=7, emitted=2, rejected=3, duplicate=1, failed=1
    )
    told = [(r.image_id, r.outcome, r.stage, r.reason, r.text) for r in rejections_of(out)]
    null = json.loads(completion(None).body)
    assert told[:3] == [
        (1, "rejected", "checks", "refusal", "I'm sorry, but I can't assist with that."),
        (2, "rejected", "checks", "leak", "As the caption says, a horse stands there."),
        (3, "failed", "asking", "context_length", ""),
    ]
    assert told[3][:4] == (4, "rejected", "parsing", "no_content")
    assert json.loads(told[3][4]) == null
    assert told[4][:4] == (6, "duplicate", "dedup", "same_sample")
    assert rejections_of(out)[4].detail == "the same as detail-000000000005"


def test_failed_units_are_asked_again_only_on_request(tmp_path: Path) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(scripted({"number 3 ": error(400)})) as server:
        assert datagen("run", *files, *openai(server), "--out", out) == 1
        assert manifest_of(out).reasons == {"failed": {"http_400": 3}}
        server.script = good_teacher
        assert datagen("run", *files, *openai(server), "--out", out) == 1
        assert len(server.requests) == 18
        assert datagen("run", *files, *openai(server), "--out", out, "--retry-failed") == 0
    assert len(server.requests) == 21
    assert manifest_of(out).reasons == {}


def test_a_cut_off_conversation_loses_a_turn_which_is_recorded(tmp_path: Path) -> None:
    out = tmp_path / "out"
    cut = "Question: What is it?\n===\nAnswer: A cat.\n===\nQuestion: Where?\n===\nAnswer: In the mid"
    with ChatServer(scripted({"number 1 ": completion(cut, "length")})) as server:
        datagen("run", *inputs(tmp_path, images=1), *openai(server), "--types", "conversation", "--out", out)
    assert [message.value for message in records_of(out)[0].conversations] == [
        "<image>\nWhat is it?",
        "A cat.",
    ]
    (dropped,) = rejections_of(out)
    assert (dropped.outcome, dropped.reason) == ("turn_dropped", "cut_off")
    assert dropped.text == "Question: Where?\nAnswer: In the mid"
    assert manifest_of(out).accounting["conversation"].emitted == 1


def test_a_refused_key_stops_the_run_with_everything_accounted_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    answers = iter([completion("The picture shows one."), completion("The picture shows two.")])
    with ChatServer(lambda body, attempt: next(answers, error(401))) as server:
        arguments = [*files, *openai(server), "--types", "detail", "--out", out, "--concurrency", "1"]
        assert datagen("run", *arguments) == 1
        assert "refuses the key in OPENAI_API_KEY" in capsys.readouterr().err
        assert manifest_of(out).accounting["detail"] == accounting(planned=6, emitted=2, pending=4)
        server.script = good_teacher
        assert datagen("run", *arguments) == 0
    assert len(server.requests) == 3 + 4


def test_two_units_with_the_same_request_share_one_reply(tmp_path: Path) -> None:
    captions, instances = write_coco(tmp_path, images=2)
    for path in (captions, instances):
        content = json.loads(path.read_text())
        twin = [
            {**a, "id": a["id"] + 100, "image_id": 2} for a in content["annotations"] if a["image_id"] == 1
        ]
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] == 1] + twin
        path.write_text(json.dumps(content))
    out = tmp_path / "out"
    with ChatServer(good_teacher) as server:
        datagen(
            "run", "--captions", captions, "--instances", instances, *openai(server), "--types", "detail",
            "--out", out,
        )  # fmt: skip
    assert len(server.requests) == 1
    assert manifest_of(out).accounting["detail"] == accounting(planned=2, emitted=1, duplicate=1)


def test_finish_after_a_word_list_changed_drops_more_without_a_call(tmp_path: Path) -> None:
    out, pack = tmp_path / "out", tmp_path / "pack"
    make_pack(pack)
    with ChatServer(good_teacher) as server:
        assert datagen("run", *inputs(tmp_path), *openai(server), "--pack", pack, "--out", out) == 0
    (pack / "leaks.txt").write_text("number 4\n")
    assert datagen("finish", out) == 0
    assert manifest_of(out).reasons == {"left_out": {"no_usable_caption": 1}, "rejected": {"leak": 1}}


def test_finish_works_when_the_pack_is_gone(tmp_path: Path) -> None:
    out, pack = tmp_path / "out", tmp_path / "pack"
    make_pack(pack)
    with ChatServer(good_teacher) as server:
        datagen("run", *inputs(tmp_path), *openai(server), "--pack", pack, "--out", out)
    before = contents_of(out, "plain.json", "llava_instruct.json", "rejected.jsonl")
    for path in sorted(pack.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    pack.rmdir()
    assert datagen("finish", out) == 0
    assert contents_of(out, "plain.json", "llava_instruct.json", "rejected.jsonl") == before


def contents_of(out: Path, *names: str) -> list[bytes]:
    return [(out / name).read_bytes() for name in names]


def make_pack(folder: Path) -> None:
    """A pack with one type of its own."""
    (folder / "plain").mkdir(parents=True)
    (folder / "pack.toml").write_text('name = "mine"\n[types.plain]\nreply = "answer"\n')
    (folder / "plain" / "system_message.txt").write_text("Describe.")
    (folder / "plain" / "000_caps.txt").write_text("<captions>\nA dog.\n</captions>")
    (folder / "plain" / "000_conv.txt").write_text("There is a dog.")
    (folder / "plain" / "questions.txt").write_text("What is there?\n")


def test_replay_answers_from_a_file_and_says_what_is_missing(tmp_path: Path) -> None:
    out, recorded = tmp_path / "out", tmp_path / "replies.jsonl"
    replies = [
        RecordedReply(image_id=1, type="detail", reply="There is a cat in plain view."),
        RecordedReply(image_id=2, type="detail", reply="There is a horse in plain v", finish_reason="length"),
    ]
    recorded.write_text("".join(reply.model_dump_json() + "\n" for reply in replies))
    arguments = [
        "run", *inputs(tmp_path, images=3), "--teacher", "replay", "--replies", recorded, "--types", "detail",
        "--out", out,
    ]  # fmt: skip
    assert datagen(*arguments) == 1
    assert [record.conversations[1].value for record in records_of(out)] == ["There is a cat in plain view."]
    assert manifest_of(out).reasons == {"failed": {"not_recorded": 1}, "rejected": {"cut_off": 1}}
    # A mended line is read again, and a line added is found.
    replies[1] = RecordedReply(image_id=2, type="detail", reply="There is a horse in plain view.")
    replies.append(RecordedReply(image_id=3, type="detail", reply="There is a sheep in plain view."))
    recorded.write_text("".join(reply.model_dump_json() + "\n" for reply in replies))
    assert datagen(*arguments) == 0
    assert len(records_of(out)) == 3


def test_the_replies_of_a_run_can_be_replayed_as_the_docs_say(tmp_path: Path) -> None:
    files, recorded = inputs(tmp_path), tmp_path / "replies.jsonl"
    with ChatServer(good_teacher) as server:
        datagen("run", *files, *openai(server), "--out", tmp_path / "a")
    page = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text()
    query = page.split('ledger.sqlite "')[1].split('" > replies.jsonl')[0]
    with sqlite3.connect(tmp_path / "a" / "ledger.sqlite") as ledger:
        recorded.write_text("".join(f"{line}\n" for (line,) in ledger.execute(query)))
    replay: list[str | Path] = ["--teacher", "replay", "--replies", recorded, "--out", tmp_path / "b"]
    assert datagen("run", *files, *replay) == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_no_file_of_a_run_holds_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    leaking = error(400, message="you sent sk-canary-0123456789")
    with ChatServer(scripted({"number 2 ": leaking})) as server:
        datagen("run", *inputs(tmp_path), *openai(server), "--out", out)
    printed = capsys.readouterr()
    assert "canary" not in printed.out + printed.err
    for path in out.iterdir():
        assert b"canary" not in path.read_bytes(), path


def test_captions_makes_the_alignment_set_alone(tmp_path: Path) -> None:
    files = inputs(tmp_path)
    assert datagen("captions", *files, "--out", tmp_path / "a") == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "alignment.json", "manifest.json", "rejected.jsonl"
    ]  # fmt: skip
    with ChatServer(good_teacher) as server:
        datagen("run", *files, *openai(server), "--out", tmp_path / "b")
    assert contents_of(tmp_path / "a", "alignment.json") == contents_of(tmp_path / "b", "alignment.json")
    assert datagen("captions", *files, "--out", tmp_path / "a", "--seed", "1") == 0
    assert datagen("captions", *files, "--out", tmp_path / "b") == 2


def test_the_stage_1_set_does_not_depend_on_what_is_asked(tmp_path: Path) -> None:
    captions, _ = write_coco(tmp_path)
    content = json.loads(captions.read_text())
    longer = "A bear number 6 stands on a road near two men on a wooden bench who are eating red apples."
    content["annotations"].append({"id": 99, "image_id": 6, "caption": longer})
    captions.write_text(json.dumps(content))
    assert datagen("captions", "--captions", captions, "--out", tmp_path / "a") == 0
    assert datagen("run", "--captions", captions, "--types", "detail", "--out", tmp_path / "b") == 0
    # About the other images there is too little to say for a description.
    assert manifest_of(tmp_path / "b").accounting["detail"] == accounting(excluded=5, planned=1, emitted=1)
    assert contents_of(tmp_path / "a", "alignment.json") == contents_of(tmp_path / "b", "alignment.json")


def test_an_image_of_which_the_proxy_says_nothing_is_not_asked_about(tmp_path: Path) -> None:
    _, instances = write_coco(tmp_path)
    out = tmp_path / "out"
    with ChatServer(good_teacher) as server:
        datagen("run", "--instances", instances, *openai(server), "--proxy", "llava-exact", "--out", out)
    assert len({proxy_of(body["messages"]) for body in server.requests}) == 6
    assert manifest_of(out).reasons["excluded"] == {"empty_proxy": 6}
    assert manifest_of(out).accounting["conversation"] == accounting(excluded=6)


def test_a_pack_that_checks_nothing_still_emits_what_trainers_can_read(tmp_path: Path) -> None:
    out, pack = tmp_path / "out", tmp_path / "pack"
    make_pack(pack)
    (pack / "pack.toml").write_text('name = "mine"\n[types.plain]\nreply = "answer"\nchecks = []\n')
    with ChatServer(scripted({"number 2 ": completion("An <image> of a horse.")})) as server:
        datagen("run", *inputs(tmp_path), *openai(server), "--pack", pack, "--out", out)
    assert manifest_of(out).reasons["rejected"] == {"image_token_in_text": 1}


def test_a_reply_form_that_changed_is_said_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, pack = tmp_path / "out", tmp_path / "pack"
    make_pack(pack)
    with ChatServer(good_teacher) as server:
        datagen("run", *inputs(tmp_path), *openai(server), "--pack", pack, "--out", out)
    before = contents_of(out, "plain.json", "manifest.json")
    (pack / "pack.toml").write_text('name = "mine"\n[types.plain]\nreply = "pairs"\n')
    capsys.readouterr()
    assert datagen("finish", out) == 2
    assert "now wants plain as 'pairs', but what is here was asked for as 'answer'" in capsys.readouterr().err
    assert contents_of(out, "plain.json", "manifest.json") == before


def test_quote_counts_only_what_is_not_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(good_teacher) as server:
        datagen("quote", *files, *openai(server))
        assert "would ask the openai teacher 18 requests for 6 images" in capsys.readouterr().out
        server.script = scripted({"number 2 ": error(400)})
        datagen("run", *files, *openai(server), "--limit", "4", "--out", out)
        capsys.readouterr()
        datagen("quote", *files, *openai(server), "--out", out)
    said = capsys.readouterr().out
    assert "would ask the openai teacher 6 requests" in said
    assert "Answered already, and not counted below: 9." in said
    assert "Failed before, and asked again only with --retry-failed: 3." in said


def test_preview_shows_the_very_messages_that_are_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = inputs(tmp_path)
    with ChatServer(good_teacher) as server:
        datagen("run", *files, *openai(server), "--out", tmp_path / "out")
    capsys.readouterr()
    datagen("preview", *files, "--image-id", "5", "--json")
    previewed = json.loads(capsys.readouterr().out)
    sent = [body["messages"] for body in server.requests]
    assert list(previewed) == list(TYPES)
    assert all(messages in sent for messages in previewed.values())
    assert datagen("preview", *files, "--image-id", "99") == 2
    assert capsys.readouterr().err == (
        "error: --image-id 99: no annotation file lists this image; they list 6, with the ids 1, 2, 3 …\n"
    )
    assert datagen("preview", *files, "--image-id", "5", "--types", "detail") == 0
    assert capsys.readouterr().out.startswith("Image 5, 000000000005.jpg\n")


def test_a_type_of_ones_own_can_be_previewed_and_a_stray_folder_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = tmp_path / "pack"
    make_pack(pack)
    (pack / "quiz").mkdir()
    (pack / "quiz" / "system_message.txt").write_text("Ask.")
    files = inputs(tmp_path)
    assert datagen("preview", *files, "--pack", pack, "--json") == 0
    assert json.loads(capsys.readouterr().out)["plain"][0] == {"role": "system", "content": "Describe."}
    assert datagen("run", *files, "--pack", pack, "--out", tmp_path / "out") == 2
    printed = capsys.readouterr()
    assert f"{pack}/quiz is not used: pack.toml has no [types.quiz]" in printed.out
    assert "no image can be used: type_not_written 6" in printed.err


def test_status_tells_of_a_run_while_it_runs_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    said: list[str] = []

    def script(body: dict[str, Any], attempt: int) -> Answer:
        if len(server.requests) == 18:
            status = subprocess.run(
                [sys.executable, "-m", "datagen", "status", str(out)],
                capture_output=True,
                text=True,
                check=True,
            )
            said.append(status.stdout)
        return good_teacher(body, attempt)

    with ChatServer(script) as server:
        datagen("run", *inputs(tmp_path), *openai(server), "--out", out, "--concurrency", "1")
    assert "Not finished yet" in said[0]
    capsys.readouterr()
    datagen("status", out)
    assert "detail                   6 =         6 +         0" in capsys.readouterr().out


def start(arguments: list[str | Path]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "datagen", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.parametrize("at", [1, 7, 18])
def test_a_killed_run_continues_and_ends_as_if_never_killed(tmp_path: Path, at: int) -> None:
    files = inputs(tmp_path)
    with ChatServer(good_teacher) as whole:
        datagen("run", *files, *openai(whole), "--out", tmp_path / "whole")

    reached, kill = threading.Event(), True

    def script(body: dict[str, Any], attempt: int) -> Answer:
        if kill and len(server.requests) >= at:
            reached.set()
            return Answer(b"", seconds=60)
        return good_teacher(body, attempt)

    out = tmp_path / "out"
    with ChatServer(script) as server:
        arguments: list[str | Path] = ["run", *files, *openai(server), "--out", out, "--concurrency", "1"]
        process = start(arguments)
        assert reached.wait(60)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        with Ledger.open_read_only(out) as ledger:
            stored = sum(progress.answered for progress in ledger.progress().values())
        asked, kill = len(server.requests), False
        assert datagen(*arguments) == 0
    assert contents(out) == contents(tmp_path / "whole")
    # Nothing answered is asked again but what was in flight.
    assert stored == asked - 1
    assert len(server.requests) == asked + 18 - stored


def test_ctrl_c_waits_for_what_is_in_flight_and_keeps_it(tmp_path: Path) -> None:
    reached = threading.Event()

    def script(body: dict[str, Any], attempt: int) -> Answer:
        if len(server.requests) == 4:
            reached.set()
        answer = good_teacher(body, attempt)
        return Answer(answer.body, seconds=1.0 if reached.is_set() else 0.0)

    out = tmp_path / "out"
    with ChatServer(script) as server:
        arguments: list[str | Path] = [
            "run", *inputs(tmp_path), *openai(server), "--out", out, "--concurrency", "4"
        ]  # fmt: skip
        process = start(arguments)
        assert reached.wait(60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        asked = len(server.requests)
        assert process.returncode == 130
        assert "stopping: waiting for what is in flight" in err
        assert "run the same command to continue" in err
        with Ledger.open_read_only(out) as ledger:
            assert sum(progress.answered for progress in ledger.progress().values()) == asked
        assert datagen(*arguments) == 0
        assert len(server.requests) == 18


INTERRUPTED_IN = """
import os, signal, sys
from datagen import pipeline
from datagen.__main__ import main

def interrupted(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)

setattr(pipeline, sys.argv.pop(1), interrupted)
main()
"""


@pytest.mark.parametrize(("step", "stored"), [("prepare", 0), ("store_plan", 0), ("finish", 18)])
def test_ctrl_c_at_any_step_is_one_line_and_keeps_what_is_stored(
    tmp_path: Path, step: str, stored: int
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", INTERRUPTED_IN, step, "run", *inputs(tmp_path), "--out", out]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    assert ended.stderr.strip().splitlines()[-1] == (
        "error: interrupted; every reply stored is kept: run the same command to continue"
    )
    assert "Traceback" not in ended.stderr
    if not stored:
        assert not out.exists()
        return
    with Ledger.open_read_only(out) as ledger:
        assert sum(progress.answered for progress in ledger.progress().values()) == stored


INTERRUPTED_AFTER = """
import os, signal, sys
from datagen.__main__ import main
from datagen.teacher.programmatic import ProgrammaticTeacher

answer, asked = ProgrammaticTeacher.answer, []

def counting(self, request):
    asked.append(request)
    if len(asked) == 100:
        os.kill(os.getpid(), signal.SIGINT)
    return answer(self, request)

ProgrammaticTeacher.answer = counting
main()
"""


def test_ctrl_c_stops_a_teacher_that_never_waits_at_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", INTERRUPTED_AFTER, "run", *inputs(tmp_path, images=100), "--out", out]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    with Ledger.open_read_only(out) as ledger:
        assert sum(progress.answered for progress in ledger.progress().values()) == 100


def test_two_runs_in_one_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    out.mkdir()
    with Ledger.open(out, create=True):
        with ChatServer(good_teacher) as server:
            assert datagen("run", *files, *openai(server), "--out", out) == 2
        assert "another run is using this folder" in capsys.readouterr().err
        assert server.requests == []
        assert (out / "ledger.sqlite").exists(), "the other run's ledger is not ours to remove"


def test_a_refusal_in_no_form_is_counted_as_a_refusal(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ChatServer(lambda body, attempt: completion("I'm sorry, but I can't help with that.")) as server:
        datagen("run", *inputs(tmp_path, images=1), *openai(server), "--out", out)
    assert manifest_of(out).reasons == {"rejected": {"refusal": 3}}


def test_a_reply_the_pack_does_not_expect_is_shown_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ChatServer(lambda body, attempt: completion("Sure! " + reply_to(body["messages"]))) as server:
        datagen("run", *inputs(tmp_path, images=1), *openai(server), "--types", "conversation", "--out", out)
    (rejection,) = rejections_of(out)
    assert rejection.reason == "text_outside_pairs"
    assert rejection.text.startswith("Sure! Question:\nWhat is there to see?")


def test_a_folder_made_by_version_1_is_finished_and_gone_on_with(tmp_path: Path) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(good_teacher) as server:
        datagen("run", *files, *openai(server), "--out", out)
        before = contents(out)
        with sqlite3.connect(out / "ledger.sqlite") as db:
            db.executescript(
                """DROP TABLE sessions; DROP TABLE retries; DROP TABLE second_requests; DROP TABLE batches;
                DROP TABLE batch_requests; DROP TABLE quarantine; DROP INDEX replies_by_time;
                ALTER TABLE replies DROP COLUMN cost; ALTER TABLE replies DROP COLUMN evidence;
                DELETE FROM settings WHERE name IN ('asks_again', 'prices');
                PRAGMA user_version = 1;"""
            )
        assert datagen("finish", out) == 0
        assert contents(out) == before
        assert datagen("run", *files, *openai(server), "--out", out) == 0
        assert len(server.requests) == 18


def test_what_is_in_an_open_batch_is_neither_quoted_nor_asked_online(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(scripted({"number 3 ": error(400)})) as server:
        assert datagen("run", *files, *openai(server), "--out", out) == 1
        with Ledger.open(out) as ledger:
            ledger.forget_failures()
            keys = [pending.key for pending in ledger.unanswered()]
            ledger.add_batch("tag", server.base_url, dict.fromkeys(keys[:2], 0.5))
        capsys.readouterr()
        assert datagen("quote", *files, *openai(server), "--out", out) == 0
        said = capsys.readouterr().out
        assert "would ask the openai teacher 1 request for 6 images." in said
        assert "In open batches already, and not counted below: 2." in said
        assert datagen("run", *files, *openai(server), "--out", out) == 2
        assert "2 requests are in batches that are still open: collect them with" in capsys.readouterr().err
    assert len(server.requests) == 18
