"""Killed at every point of a commit and of the writing, and at random, a run ends as if it never was."""

from __future__ import annotations

import random
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from datagen.ledger import Ledger
from tests.datagen.chat_server import Answer, ChatServer
from tests.datagen.scenes import good_teacher
from tests.datagen.test_durability import (
    CONCURRENCY,
    IMAGES,
    LEDGER,
    WAL,
    Point,
    check_whole,
    command,
    files_of,
    needs_strace,
    run,
    stored,
    strike,
    whole_run,
)
from tests.datagen.test_faults import Endpoint, digest
from tests.datagen.test_run import contents, datagen, inputs, openai, start

UNITS = 120
KILLS = 40


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


Kills = Counter[tuple[str, str]]
"""By the syscall before which a run was killed, and the file that it was about."""


def kill_at_each(folder: Path, points: Sequence[Point]) -> Kills:
    """A run that is killed at one point after the other and then ends; how often it was killed, and where.

    Where all points are in the writing, over what a run of half the images wrote.
    """
    folder.mkdir()
    out, kills, kept = folder / "out", Kills(), set[str]()
    with ChatServer(Endpoint()) as server:
        if all(point.step == "finish" for point in points):
            assert run(command(folder, server, IMAGES // 2, CONCURRENCY)).returncode == 0
            kept = stored(out)
        arguments = command(folder, server, IMAGES, CONCURRENCY)
        for point in points:
            before = len(server.requests)
            struck = strike(folder, arguments, point, "signal=SIGKILL")
            assert struck.returncode in (0, -signal.SIGKILL), struck.err
            if struck.returncode:
                kills[point.syscall, struck.where] += 1
            asked = {digest(body) for body in server.requests[before:]}
            # Nothing stored is asked again or lost, and of what was asked no more than was in flight.
            assert asked.isdisjoint(kept)
            assert stored(out) >= kept
            kept = stored(out)
            assert len(asked - kept) <= CONCURRENCY
            check_whole(out)
        ended = run(arguments)
        assert ended.returncode == 0, ended.stderr
    assert len(server.requests) <= IMAGES + kills.total() * CONCURRENCY
    assert stored(out) == {digest(body) for body in server.requests}
    assert len(stored(out)) == IMAGES
    assert files_of(out) == whole_run()
    return kills


def kill_all(folder: Path, chains: Sequence[Sequence[Point]]) -> Kills:
    """Two runs at a time, each killed at all the points of its chain."""
    with ThreadPoolExecutor(2) as two:
        tries = [two.submit(kill_at_each, folder / f"{n}", chain) for n, chain in enumerate(chains)]
    return sum((each.result() for each in tries), Kills())


def points(step: Any, syscall: str, numbers: Iterable[int]) -> list[Point]:
    return [Point(step, syscall, number) for number in numbers]


@needs_strace
def test_kills_around_a_commit_and_a_rename_change_nothing(tmp_path: Path) -> None:
    chains = [
        [Point("ask", "fdatasync", 3), Point("ask", "sendto", 6)],
        [Point("finish", "rename", 6), Point("finish", "rename", 3)],
    ]
    assert kill_all(tmp_path, chains) == {
        ("fdatasync", WAL): 1,
        ("sendto", "socket"): 1,
        ("rename", "alignment.json"): 1,
        ("rename", "manifest.json"): 1,
    }


@needs_strace
@pytest.mark.slow
def test_kills_at_every_point_of_commits_and_renames_change_nothing(tmp_path: Path) -> None:
    asking = [
        *(points("ask", "pwrite64", numbers) for numbers in ((1, 3, 4), (5, 6), (7, 8), (9, 10), (11, 12))),
        *(points("ask", "pwrite64", (n, n - 6)) for n in range(14, 30, 2)),
        *(points("ask", "fdatasync", numbers) for numbers in ((1, 2, 3), (3, 2), (4, 3), (5,), (6,))),
        *(points("ask", "sendto", numbers) for numbers in ((1, 2, 3), (4, 5, 6), (8, 10), (13, 16))),
        *(points("ask", "recvfrom", numbers) for numbers in ((2, 3, 4), (5, 7), (9, 12))),
    ]
    planning = [
        points("run", "pwrite64", range(1, 12, 3)),
        points("run", "pwrite64", range(12, 100, 9)),
        points("run", "fdatasync", range(1, 9)),
        points("run", "mkdir", (1,)) + points("run", "unlink", (1,)),
    ]
    writing = [
        points("finish", "mkdir", (1,)) + points("finish", "fsync", range(1, 8)),
        points("finish", "unlink", (1,)) + points("finish", "rename", range(1, 7)),
        points("finish", "rename", range(6, 0, -1)) + points("finish", "unlink", (1, 2, 3)),
        points("finish", "fsync", range(7, 0, -1)) + points("finish", "rmdir", (1,)),
        points("finish", "openat", (3, 5, 8)),
        points("finish", "pwrite64", range(1, 40, 8)) + points("finish", "fdatasync", (1, 2, 3)),
    ]
    kills = kill_all(tmp_path, [*asking, *planning, *writing])
    assert kills.total() >= 100
    assert kills.keys() >= {
        ("pwrite64", WAL), ("pwrite64", LEDGER), ("fdatasync", WAL), ("fdatasync", LEDGER),
        ("sendto", "socket"), ("recvfrom", "socket"), ("fsync", "manifest.json"), ("fsync", "out"),
        ("rename", "plain.json"), ("rename", "rejected.jsonl"), ("rename", "verdicts.jsonl"),
        ("rename", "manifest.json"),
        ("unlink", "manifest.json"), ("unlink", WAL), ("rmdir", ".vitkit-writing"),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_many_kills_change_nothing_and_repeat_only_what_was_in_flight(tmp_path: Path, seed: int) -> None:
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
        # Each keeps its slot until it is stored, so that none but those in flight are asked again.
        assert len(server.requests) <= UNITS + kills * concurrency
    assert contents(out) == contents(tmp_path / "whole")
    with Ledger.open_read_only(out) as ledger:
        assert sum(progress.answered for progress in ledger.progress().values()) == UNITS
