"""A run on several machines over ssh: one launch on each, started from here and stopped from here.

DeepSpeed's own launcher reads the same file, but it stops a run by killing what it finds by name on every
machine, before a checkpoint can be written, and has no exit status for it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from train.records import InputError

_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=30")
_SSH_FAILED = 255
_PASSED_ON = re.compile(r"(NCCL|GLOO)_\w+|HF_HOME|HF_HUB_OFFLINE|OMP_NUM_THREADS|PYTHONPATH|LD_LIBRARY_PATH")
"""Of our environment; no tokens, for a command line can be read by every user of a machine."""


@dataclass(frozen=True)
class Host:
    """A line of a hostfile."""

    name: str
    slots: int | None
    """Processes to start there; None: as many as it has GPUs."""


def read_hosts(path: Path) -> list[Host]:
    """A hostfile as DeepSpeed and MPI have it: `name slots=8` a line, `#` before a comment.

    Raises InputError for a file that cannot be read, names no host, or names one twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"--nodes {path}: cannot be read ({why}); give a number, or a hostfile") from None
    hosts: list[Host] = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        found = re.fullmatch(r"([^\s=-][^\s=]*)(?:\s+slots=([1-9]\d*))?", text)
        if found is None:
            raise InputError(f"{path}:{number}: {text!r} is no host; write: name slots=8")
        if any(host.name == found[1] for host in hosts):
            raise InputError(f"{path}:{number}: {found[1]} is named twice; write it once, with all its slots")
        hosts.append(Host(found[1], int(found[2]) if found[2] else None))
    if not hosts:
        raise InputError(f"{path}: names no host; write one a line: name slots=8")
    return hosts


def launch_everywhere(options: argparse.Namespace) -> int:
    """Start a launch on every host of the file, in this same folder, and wait for all of them.

    A signal here, or the end of one of them with an error, asks the others to stop: they save, and end.
    Returns the first exit status that is not 0.
    """
    hosts = read_hosts(Path(options.nodes))
    if shutil.which(_SSH[0]) is None:
        raise InputError(f"--nodes {options.nodes}: there is no ssh on this machine to reach them by")
    launches = [
        subprocess.Popen(
            [*_SSH, host.name, _remote_command(host, rank, hosts, options)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for us, who pass it on
        )
        for rank, host in enumerate(hosts)
    ]
    signals = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal signals
        signals += 1
        for launch in launches:
            if signals == 1:
                _ask_to_stop(launch)
            else:
                launch.terminate()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _wait(hosts, launches)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(hosts: list[Host], launches: list[subprocess.Popen[bytes]]) -> int:
    status = 0
    running = list(zip(hosts, launches, strict=True))
    while running:
        time.sleep(0.2)
        ended = [(host, launch) for host, launch in running if launch.poll() is not None]
        running = [(host, launch) for host, launch in running if (host, launch) not in ended]
        for host, launch in ended:
            code = launch.returncode if launch.returncode >= 0 else 128 - launch.returncode
            if code == _SSH_FAILED:
                print(f"error: {host.name}: ssh could not reach it, or lost it", file=sys.stderr)
            status = status or code
        if status:
            for _, launch in running:
                _ask_to_stop(launch)
    return status


def _ask_to_stop(launch: subprocess.Popen[bytes]) -> None:
    assert launch.stdin is not None
    with contextlib.suppress(OSError):
        launch.stdin.close()


def _remote_command(host: Host, rank: int, hosts: list[Host], options: argparse.Namespace) -> str:
    passed_on = [f"{name}={value}" for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)]
    processes = options.gpus or host.slots
    launch = [
        *("env", *passed_on, sys.executable, "-m", "train.launch", "--stop-with-stdin"),
        *("--nodes", str(len(hosts)), "--node-rank", str(rank)),
        *("--master-addr", options.master_addr or hosts[0].name, "--master-port", str(options.master_port)),
        *(("--gpus", str(processes)) if processes else ()),
        *options.command,
    ]
    return f"cd {shlex.quote(str(Path.cwd()))} && exec {shlex.join(launch)}"
