"""A reply that cannot be used is asked for again once, with why; structured output and its text form."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datagen.ledger import Ledger
from datagen.prompting import PACKS
from datagen.teacher.openai_api import REPLY_FORMAT
from tests.datagen.chat_server import Answer, ChatServer, Script, completion
from tests.datagen.faults import knows_no_response_format
from tests.datagen.scenes import good_teacher, proxy_of, reply_to
from tests.datagen.test_run import (
    accounting,
    datagen,
    inputs,
    manifest_of,
    openai,
    records_of,
    rejections_of,
)

LEAK = "As the caption says, a horse stands there."


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def first_says(text: str | None, word: str = "") -> Script:
    """A teacher whose first reply to the proxies with the word is this, and whose second is good."""

    def script(body: dict[str, Any], attempt: int) -> Answer:
        is_first = proxy_of(body["messages"]) == body["messages"][-1]["content"] and not attempt
        if is_first and word in body["messages"][-1]["content"]:
            return completion(text)
        return good_teacher(body, attempt)

    return script


def test_the_teacher_is_told_what_was_wrong_and_its_second_reply_counts(tmp_path: Path) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(first_says(LEAK, "number 2 ")) as server:
        assert datagen("run", *files, *openai(server), "--types", "detail", "--out", out) == 0
        first, second = (b for b in server.requests if "number 2 " in proxy_of(b["messages"]))
        assert len(server.requests) == 7
        assert server.requests[-1] == second, "asked after all the others"
        assert datagen("run", *files, *openai(server), "--types", "detail", "--out", out) == 0
        assert len(server.requests) == 7
    assert second["messages"][:-2] == first["messages"]
    assert second["messages"][-2:] == [
        {"role": "assistant", "content": LEAK},
        {
            "role": "user",
            "content": "Your reply shows that you worked from text and did not see the image "
            "(answer 1: 'caption'). Write it again as though looking at the image itself.",
        },
    ]
    assert manifest_of(out).accounting["detail"] == accounting(planned=6, emitted=6)
    assert manifest_of(out).to_ask_again == 0
    assert records_of(out)[1].conversations[1].value == reply_to(first["messages"])
    assert rejections_of(out) == []
    # Both were paid for.
    assert manifest_of(out).usage.model_dump() == {
        "prompt": 7 * 1500,
        "cached": 7 * 1280,
        "completion": 7 * 120,
    }


def test_a_reply_without_text_is_simply_asked_for_once_more(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ChatServer(first_says(None, "number 2 ")) as server:
        assert datagen("run", *inputs(tmp_path), *openai(server), "--types", "detail", "--out", out) == 0
        first, second = (b for b in server.requests if "number 2 " in b["messages"][-1]["content"])
    assert first == second
    assert manifest_of(out).accounting["detail"] == accounting(planned=6, emitted=6)


def test_it_happens_once_and_what_the_pack_does_not_list_is_not_asked_again(tmp_path: Path) -> None:
    out, pack = tmp_path / "out", tmp_path / "pack"
    shutil.copytree(PACKS / "coco", pack)
    (pack / "complaints.txt").write_text("leak: No. {detail}\n")
    replies = {"number 1 ": LEAK, "number 2 ": "I'm sorry, but I can't assist with that."}

    def script(body: dict[str, Any], attempt: int) -> Answer:
        said = " ".join(message["content"] for message in body["messages"][-3:])
        return next((completion(r) for word, r in replies.items() if word in said), good_teacher(body, 0))

    arguments = ["--types", "detail", "--pack", str(pack), "--out", str(out)]
    with ChatServer(script) as server:
        assert datagen("run", *inputs(tmp_path), *openai(server), *arguments) == 0
        assert datagen("run", *inputs(tmp_path), *openai(server), *arguments) == 0
    assert len(server.requests) == 7
    assert [(r.image_id, r.reason, r.text) for r in rejections_of(out)] == [
        (1, "leak", LEAK),
        (2, "refusal", replies["number 2 "]),
    ]


def test_finishing_with_a_stricter_pack_marks_what_the_next_run_asks_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, pack = tmp_path / "out", tmp_path / "pack"
    shutil.copytree(PACKS / "coco", pack)
    arguments = [*inputs(tmp_path), "--types", "detail", "--pack", pack, "--out", out]
    with ChatServer(good_teacher) as server:
        assert datagen("run", *arguments, *openai(server)) == 0
        (pack / "leaks.txt").write_text("number 4\n")
        capsys.readouterr()
        assert datagen("finish", out) == 0
        assert "1 of the rejected can be asked for again, with what was wrong: the `run` that began it" in (
            capsys.readouterr().out
        )
        assert manifest_of(out).to_ask_again == 1
        assert manifest_of(out).accounting["detail"] == accounting(planned=6, emitted=5, rejected=1)
        assert datagen("quote", *arguments, *openai(server)) == 0
        assert "Among them 1 that ask again" in capsys.readouterr().out
        assert len(server.requests) == 6
        assert datagen("run", *arguments, *openai(server)) == 0
        assert len(server.requests) == 7
    with Ledger.open_read_only(out) as ledger:
        assert [o.was_asked_again for o in ledger.outcomes()] == [False, False, False, True, False, False]


def test_local_teachers_are_not_asked_again(tmp_path: Path) -> None:
    recorded, out = tmp_path / "replies.jsonl", tmp_path / "out"
    lines = [{"image_id": n, "type": "detail", "reply": LEAK} for n in range(1, 7)]
    recorded.write_text("".join(json.dumps(line) + "\n" for line in lines))
    replay: list[str | Path] = ["--teacher", "replay", "--replies", recorded, "--types", "detail"]
    assert datagen("run", *inputs(tmp_path), *replay, "--out", out) == 0
    assert manifest_of(out).reasons == {"rejected": {"leak": 6}}
    assert manifest_of(out).to_ask_again == 0


def json_pack(folder: Path) -> Path:
    """The coco pack with conversations as JSON; its seeds stay as they are."""
    shutil.copytree(PACKS / "coco", folder)
    settings = (folder / "pack.toml").read_text()
    (folder / "pack.toml").write_text(settings.replace('reply = "pairs"', 'reply = "json"', 1))
    return folder


def as_json(body: dict[str, Any], attempt: int) -> Answer:
    turns = [{"question": "What is there to see?", "answer": f"This: {proxy_of(body['messages'])[11:50]}."}]
    return completion(json.dumps({"turns": turns}))


def test_a_json_pack_asks_with_a_schema_and_shows_its_seeds_as_json(tmp_path: Path) -> None:
    out, pack = tmp_path / "out", json_pack(tmp_path / "pack")
    arguments: list[str | Path] = ["--types", "conversation", "--pack", pack, "--out", out]
    with ChatServer(as_json) as server:
        assert datagen("run", *inputs(tmp_path), *openai(server), *arguments) == 0
    assert [body["response_format"] for body in server.requests] == [REPLY_FORMAT] * 6
    seed = json.loads(server.requests[0]["messages"][2]["content"])
    assert set(seed["turns"][0]) == {"question", "answer"}
    assert manifest_of(out).accounting["conversation"] == accounting(planned=6, emitted=6)


def as_pairs(body: dict[str, Any], attempt: int) -> Answer:
    seen = proxy_of(body["messages"])[11:50]
    return completion(f"Question:\nWhat is there?\n===\nAnswer:\nThis: {seen}.")


@pytest.mark.parametrize("teacher", [as_json, as_pairs])
def test_an_endpoint_without_schemas_is_asked_without_one_and_read_in_either_form(
    tmp_path: Path, teacher: Script
) -> None:
    out, pack = tmp_path / "out", json_pack(tmp_path / "pack")
    arguments: list[str | Path] = ["--types", "conversation", "--pack", pack, "--out", out]
    with ChatServer(knows_no_response_format(teacher)) as server:
        assert datagen("run", *inputs(tmp_path), *openai(server), *arguments, "--concurrency", "1") == 0
        # One is refused, and one that had been made before that was known.
        assert ["response_format" in body for body in server.requests] == [True] * 2 + [False] * 6
        before = (out / "llava_instruct.json").read_bytes()
        assert datagen("run", *inputs(tmp_path), *openai(server), *arguments) == 0
    assert len(server.requests) == 8
    assert (out / "llava_instruct.json").read_bytes() == before
    assert manifest_of(out).accounting["conversation"] == accounting(planned=6, emitted=6)
