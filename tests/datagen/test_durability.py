"""What is on disk, and when: syscalls of whole runs, watched and failed by strace."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from schemas import RunManifest
from tests.datagen.chat_server import ChatServer
from tests.datagen.test_faults import Endpoint, digest
from tests.datagen.test_run import inputs, make_pack, openai

LEDGER, WAL = "ledger.sqlite", "ledger.sqlite-wal"
IMAGES = 24
CONCURRENCY = 4


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode == 0


needs_strace = pytest.mark.skipif(
    not _can_trace(), reason="strace is not installed or may not trace here, so no syscall can be watched"
)
pytestmark = needs_strace


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    # So that modules compiled meanwhile are no writes of the run's.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


def command(
    folder: Path, server: ChatServer, images: int, concurrency: int, out: Path | None = None
) -> list[str | Path]:
    """A run of one request an image."""
    if not (folder / "pack").exists():
        make_pack(folder / "pack")
    options: list[str | Path] = [*openai(server), "--pack", folder / "pack"]
    options += ["--concurrency", str(concurrency)]
    return ["run", *inputs(folder, images=images), *options, "--out", out or folder / "out"]


def run(arguments: Sequence[str | Path], *strace: str | Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which strace watches if it is told what to do."""
    under = ["strace", "-f", "-y", "--seccomp-bpf", *strace] if strace else []
    return subprocess.run(
        [*under, sys.executable, "-m", "datagen", *arguments], capture_output=True, text=True, check=False
    )


def files_of(out: Path) -> dict[str, bytes]:
    """What a run writes for others to read."""
    mine = ("log.jsonl", "manifest.json")
    paths = (path for path in out.iterdir() if path.is_file() and path.name not in mine)
    return {path.name: path.read_bytes() for path in paths if not path.name.startswith(LEDGER)}


def stored(out: Path) -> set[str]:
    """The requests whose replies the ledger holds. Reads a copy: looking must not mend what is there."""
    with tempfile.TemporaryDirectory() as copy:
        for path in out.glob(f"{LEDGER}*"):
            shutil.copy(path, copy)
        with closing(sqlite3.connect(Path(copy) / LEDGER)) as ledger:
            if not ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'replies'").fetchone():
                return set()
            keys = [key for (key,) in ledger.execute("SELECT key FROM replies")]
            assert len(keys) == len(set(keys))
            bodies = [json.loads(body) for (body,) in ledger.execute("SELECT body FROM replies")]
    return {body["id"].rpartition("-")[0] for body in bodies}


def check_whole(out: Path) -> None:
    """A folder with a manifest is whole."""
    if (out / "manifest.json").exists():
        manifest = RunManifest.model_validate_json((out / "manifest.json").read_bytes())
        digests = {output.name: output.sha256 for output in manifest.outputs}
        assert {name: hashlib.sha256(data).hexdigest() for name, data in files_of(out).items()} == digests


class Call(NamedTuple):
    """One line of a trace: a syscall that began, ended, or both."""

    name: str
    file: str
    """Of the descriptor that it is about, without the folder."""
    text: str
    has_begun: bool
    has_ended: bool
    """And succeeded."""


_LINE = re.compile(
    r"(?P<thread>\d+) +(<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\(\d+<(?P<file>[^>]*)>)(?P<text>.*)"
)


def calls(trace: Path) -> Iterator[Call]:
    files: dict[str, str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        if not (found := _LINE.fullmatch(line)):
            continue
        if found["name"]:
            files[found["thread"]] = Path(found["file"]).name
        ended = not line.endswith("<unfinished ...>") and " = -1 " not in line
        yield Call(
            found["name"] or found["resumed"],
            files[found["thread"]],
            found["text"],
            bool(found["name"]),
            ended,
        )


SYNCS = ("fsync", "fdatasync")
WRITES = ("write", "writev", "pwrite64", "pwritev")
SENDS = ("sendto", "sendmsg", "write", "writev")
RECEIVES = ("recvfrom", "recvmsg")
WATCHED = "trace=" + ",".join({*SYNCS, *WRITES, *SENDS, *RECEIVES})


def test_a_reply_is_synced_to_disk_before_the_next_request_is_sent(tmp_path: Path) -> None:
    trace, images = tmp_path / "trace", 12
    with ChatServer(Endpoint()) as server:
        ended = run(command(tmp_path, server, images, 1), "-s", "100000", "-o", trace, "-e", WATCHED)
    assert ended.returncode == 0, ended.stderr
    replies = [f"{digest(body)}-0" for body in server.requests]
    arrived: set[str] = set()
    written: set[str] = set()
    covered: set[str] = set()  # by a sync that has begun
    durable: set[str] = set()
    is_dirty = False
    acknowledged = []
    for call in calls(trace):
        said = {reply for reply in replies if reply in call.text}
        if call.name in SENDS and call.has_begun and "POST /v1/chat/completions" in call.text:
            # At concurrency 1 the next request goes as soon as the reply before counts.
            acknowledged.append((len(arrived), arrived == durable, is_dirty))
        elif call.name in RECEIVES:
            arrived |= said
        elif call.name in WRITES and call.file == WAL:
            written |= said
            is_dirty = True
        elif call.name in SYNCS and call.file == WAL:
            if call.has_begun:
                covered, is_dirty = set(written), False
            if call.has_ended:
                durable |= covered
    assert acknowledged == [(n, True, False) for n in range(images)]
    assert durable == set(replies)


def test_replies_that_come_together_share_a_sync(tmp_path: Path) -> None:
    trace, images = tmp_path / "trace", 300
    with ChatServer(Endpoint()) as server:
        ended = run(command(tmp_path, server, images, 64), "-o", trace, "-e", WATCHED)
    assert ended.returncode == 0, ended.stderr
    assert server.answered == images
    syncs = sum(call.name in SYNCS and call.file == WAL and call.has_begun for call in calls(trace))
    assert syncs < images / 3


# Disks that fail

STOPS_AT = """
import ctypes, sys
from datagen import pipeline
from datagen.__main__ import main
from datagen.teacher import openai_api

def stop():
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1))  # let any process trace this one
    print("stopped", flush=True)
    sys.stdin.readline()

def stopping(step):
    def stop_first(*arguments, **options):
        stop()
        return step(*arguments, **options)
    return stop_first

name = sys.argv.pop(1)
if name == "run":
    stop()
else:
    setattr(pipeline, name, stopping(getattr(pipeline, name)))
main()
"""
"""The command, which waits for a line before that step of the pipeline."""


class Point(NamedTuple):
    """The nth time that one thread makes the syscall, counted from a step of the pipeline on."""

    step: Literal["run", "ask", "finish"]
    syscall: str
    number: int


class Struck(NamedTuple):
    """How a run ended that strace interfered with."""

    returncode: int
    err: str
    where: str
    """The file that the syscall was about; the empty string if it did not come to that."""


def strike(folder: Path, arguments: Sequence[str | Path], point: Point, what: str) -> Struck:
    """The command, in the way of which strace puts `what` at that point."""
    trace, told = folder / "trace", folder / "err"
    trace.unlink(missing_ok=True)
    command = [sys.executable, "-c", STOPS_AT, point.step, *map(str, arguments)]
    with told.open("w") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True
        )
    assert process.stdin is not None and process.stdout is not None
    assert "stopped\n" in iter(process.stdout.readline, ""), told.read_text()
    options = ["-e", f"trace={point.syscall}", "-e", f"inject={point.syscall}:{what}:when={point.number}"]
    tracer = subprocess.Popen(
        ["strace", "-f", "-y", "-o", trace, *options, "-p", str(process.pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    assert "attached" in (said := tracer.stderr.readline()), said
    process.communicate("go\n")
    tracer.communicate()
    return Struck(process.returncode, told.read_text(), _struck_file(trace, point.syscall))


def _struck_file(trace: Path, syscall: str) -> str:
    """The file of the first call that strace prevented."""
    begun: dict[str, str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        thread, _, text = line.partition(" ")
        if f" {syscall}(" in line:
            begun[thread] = text
        if line.endswith(("(INJECTED)", " = ?")):
            descriptor = re.match(rf" *{syscall}\(\d+<([^>]*)>", begun[thread])
            path = descriptor[1] if descriptor else re.findall(r'"([^"]*)"', begun[thread])[-1]
            return Path(path).name.partition(":")[0]
    return ""


def check_goes_on(
    folder: Path, returncode: int, err: str, server: ChatServer, out: Path | None = None
) -> None:
    """A run that a disk stopped says so in one line, and the same command ends as if nothing had been."""
    out = out or folder / "out"
    if returncode:
        assert returncode == 2
        errors = [line for line in err.splitlines() if not line.startswith("asked ")]
        assert re.fullmatch(r"error: \S+: (cannot be written|the disk is full)\b.*", "\n".join(errors))
    kept, asked = set[str](), len(server.requests)
    if out.exists():
        check_whole(out)
        kept = stored(out)
    again = run(command(folder, server, IMAGES, CONCURRENCY, out))
    assert again.returncode == 0, again.stderr
    assert kept.isdisjoint(map(digest, server.requests[asked:]))
    assert len(server.requests) <= IMAGES + CONCURRENCY
    assert files_of(out) == whole_run()


@functools.cache
def whole_run() -> dict[str, bytes]:
    """What a run writes to which nothing happens."""
    with tempfile.TemporaryDirectory() as folder, ChatServer(Endpoint()) as server:
        ended = run(command(Path(folder), server, IMAGES, CONCURRENCY))
        assert ended.returncode == 0, ended.stderr
        return files_of(Path(folder) / "out")


def fail_and_go_on(folder: Path, point: Point, error: str) -> str:
    """A run whose disk fails that once in each thread, and the same command again; the file it failed on."""
    folder.mkdir()
    with ChatServer(Endpoint()) as server:
        arguments = command(folder, server, IMAGES, CONCURRENCY)
        struck = strike(folder, arguments, point, f"error={error}")
        check_goes_on(folder, struck.returncode, struck.err, server)
    return struck.where


def sweep(folder: Path, points: Iterable[tuple[Point, str]]) -> set[tuple[str, str]]:
    """Runs, two at a time, with one such error each; the syscalls that failed, and on what files."""
    with ThreadPoolExecutor(2) as two:
        tries = [
            (two.submit(fail_and_go_on, folder / f"{n}", point, error), point)
            for n, (point, error) in enumerate(points)
        ]
    return {(point.syscall, tried.result()) for tried, point in tries}


def test_a_disk_that_fails_stops_a_run_that_the_same_command_goes_on_with(tmp_path: Path) -> None:
    points = [
        (Point("ask", "fdatasync", 3), "EIO"),
        (Point("ask", "pwrite64", 12), "ENOSPC"),
        (Point("finish", "rename", 3), "EIO"),
    ]
    assert sweep(tmp_path, points) == {
        ("fdatasync", WAL), ("pwrite64", WAL), ("rename", "alignment.json")
    }  # fmt: skip


@pytest.mark.slow
def test_wherever_a_disk_fails_the_same_command_goes_on(tmp_path: Path) -> None:
    points = [(Point("run", "fdatasync", n), "EIO") for n in range(1, 10)]
    points += [(Point("run", "pwrite64", n), "ENOSPC") for n in (1, 2, 3, *range(7, 110, 24))]
    points += [(Point("ask", "fdatasync", n), "EIO") for n in range(1, 7)]
    points += [(Point("ask", "pwrite64", n), "ENOSPC") for n in range(1, 40, 5)]
    points += [(Point("finish", "fsync", n), "EIO") for n in range(1, 11)]
    points += [(Point("finish", "rename", n), "EROFS") for n in range(1, 10)]
    assert sweep(tmp_path, points) >= {
        ("pwrite64", LEDGER), ("pwrite64", WAL), ("pwrite64", "ledger.sqlite-shm"), ("fdatasync", LEDGER),
        ("fdatasync", WAL), ("fsync", "manifest.json"), ("fsync", "out"), ("rename", "manifest.json"),
    }  # fmt: skip


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a folder with so many KiB of room, or gives it that many."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(kib: int) -> Path:
        how = "remount," if folder.is_mount() else ""
        mount = ["mount", "-t", "tmpfs", "-o", f"{how}size={kib}k", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("may not mount a small disk here")
        return folder

    yield resize
    if folder.is_mount():
        subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_a_run_that_goes_on_once_there_is_room(
    small_disk: Callable[[int], Path], tmp_path: Path
) -> None:
    stopped = set()
    # What is written at the end takes some 24 KiB more than all that is stored, which is some 800.
    for kib in (*range(300, 780, 60), *range(780, 900, 8)):
        out = small_disk(kib) / f"{kib}"
        with ChatServer(Endpoint()) as server:
            ended = run(command(tmp_path, server, IMAGES, CONCURRENCY, out))
            if ended.returncode and server.requests:
                stopped.add("writing" if len(stored(out)) == IMAGES else "asking")
            elif ended.returncode:
                stopped.add("planning")
            small_disk(10_000)
            check_goes_on(tmp_path, ended.returncode, ended.stderr, server, out)
        if out.exists():
            shutil.rmtree(out)
    assert stopped == {"planning", "asking", "writing"}
