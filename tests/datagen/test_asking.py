"""What was paid for is kept, whatever breaks beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datagen import terminal
from datagen.asking import Tally
from datagen.ledger import Ledger
from datagen.records import InputError
from tests.datagen.chat_server import Answer, ChatServer, completion
from tests.datagen.scenes import good_teacher, reply_to
from tests.datagen.test_run import datagen, inputs, openai


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")


def answered(out: Path) -> int:
    with Ledger.open_read_only(out) as ledger:
        return sum(progress.answered for progress in ledger.progress().values())


def test_a_write_that_fails_once_loses_no_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out, calls = Ledger.store, tmp_path / "out", 0

    def failing(self: Ledger, session: int, replies: Sequence[Any] = (), *rest: Any, **named: Any) -> None:
        nonlocal calls
        calls += bool(replies)
        if calls == 2 and replies:
            calls += 1
            raise InputError("the disk was full")
        store(self, session, replies, *rest, **named)

    monkeypatch.setattr(Ledger, "store", failing)
    with ChatServer(good_teacher) as server:
        arguments: list[str | Path] = ["run", *inputs(tmp_path, images=30), *openai(server), "--out", out]
        assert datagen(*arguments) == 2
        assert "the disk was full" in capsys.readouterr().err
        paid = server.answered
        assert paid < 90, "it stopped"
        assert answered(out) == paid
        assert datagen(*arguments) == 0
        assert server.answered == 90


@pytest.mark.parametrize("error", [OSError("no screen"), SystemExit(1)])
def test_a_screen_that_is_gone_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(self: terminal.RunWatcher, tally: Tally, looked_at: int, kept: int) -> None:
        raise error

    monkeypatch.setattr(terminal.RunWatcher, "asked", broken)
    out = tmp_path / "out"
    with ChatServer(good_teacher) as server:
        assert datagen("run", *inputs(tmp_path), *openai(server), "--out", out) == 0
    assert answered(out) == server.answered == 18


def test_a_fault_in_judging_while_asking_loses_no_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    out = tmp_path / "out"
    with ChatServer(lambda body, attempt: Answer(good_teacher(body, attempt).body)) as server:
        arguments: list[str | Path] = ["run", *inputs(tmp_path, images=30), *openai(server), "--out", out]
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr("datagen.pipeline.Judge", lambda *given: SimpleNamespace(reply=broken))
            datagen(*arguments)
        assert answered(out) == server.answered
        assert datagen(*arguments) == 0
    assert server.answered == 90


def test_an_endpoint_that_bills_more_than_it_may_leaves_no_negative_money(tmp_path: Path) -> None:
    def greedy(body: dict[str, Any], attempt: int) -> Answer:
        return completion(reply_to(body["messages"]), usage=(9_000_000, 0, 9_000_000))

    prices, out = tmp_path / "prices.toml", tmp_path / "out"
    prices.write_text("[tiny]\ndate = 2026-01-01\ninput = 1.0\noutput = 1.0\n")
    with ChatServer(greedy) as server:
        capped = ["--prices", str(prices), "--max-cost", "1", "--concurrency", "4"]
        assert datagen("run", *inputs(tmp_path), *openai(server), *capped, "--out", out) == 1
        assert server.answered <= 4, "one flight, and no more"
    with Ledger.open_read_only(out) as ledger:
        assert ledger.spent().known == pytest.approx(18.0 * server.answered)
        assert ledger.spent().possibly_billed == 0
