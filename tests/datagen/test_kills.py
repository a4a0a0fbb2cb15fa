"""Killed again and again at random moments, a run ends as if it never was."""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from datagen.ledger import Ledger
from tests.datagen.chat_server import Answer, ChatServer
from tests.datagen.scenes import good_teacher
from tests.datagen.test_run import contents, datagen, inputs, openai, start

UNITS = 120
KILLS = 40


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_many_kills_change_nothing_and_repeat_only_what_was_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    files, moments = inputs(tmp_path, images=UNITS // 3), random.Random(seed)
    with ChatServer(good_teacher) as server:
        assert datagen("run", *files, *openai(server), "--out", tmp_path / "whole") == 0

    def script(body: dict[str, Any], attempt: int) -> Answer:
        return Answer(good_teacher(body, attempt).body, seconds=0.1)

    out, kills, concurrency = tmp_path / "out", 0, 4
    with ChatServer(script) as server:
        arguments: list[str | Path] = ["run", *files, *openai(server), "--out", out]
        arguments += ["--concurrency", str(concurrency)]
        while kills < KILLS:
            process = start(arguments)
            try:
                process.communicate(timeout=moments.uniform(0.1, 1.5))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            kills += process.returncode == -signal.SIGKILL
        assert datagen(*arguments) == 0
        # Of each killed run, what was in flight and what came within the last commit's tenth of a second.
        assert len(server.requests) <= UNITS + kills * 2 * concurrency
    assert contents(out) == contents(tmp_path / "whole")
    with Ledger.open_read_only(out) as ledger:
        assert sum(progress.answered for progress in ledger.progress().values()) == UNITS
