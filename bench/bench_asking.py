"""How fast vitkit asks, beside other clients and generators on the same endpoint.

    python bench/asking/make_envs.py ENVS
    python bench/bench_asking.py --envs ENVS [--captions F --instances F] [--memory]

A server on the loopback device answers every request after 50 ms with the same description and a
number. The requests are vitkit's own, for detailed descriptions: a first run, which does not count,
records their bodies, and every other contender sends those. Each contender runs in a process of
its own on one core, the server on another where there is one; repeats are interleaved and the
median counts.

- vitkit: `python -m datagen run`: plans, asks, syncs every reply to disk, finishes.
- openai raw: openai-python's post() of bytes over aiohttp, raw text kept in memory: what vitkit's
  rate is measured against.
- openai create: openai-python as one would first write it: create(), gather, a semaphore.
- aiohttp: no client library: the ceiling.
- curator, distilabel, data-designer: other generators, each in an environment of its own.

The rate is the server's: requests over the time from the first arrival to the last answer; in the
middle, from a quarter of the answers to three quarters, neither a slow start nor the last replies
count. The whole call counts from the start of the process to its end, imports included. Processor time is the
contender's with all its children. `--memory` adds peak memory, of the largest process of each, and
vitkit's for fewer and for more requests, all from the same annotation files.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from bench_run import ROOT, resized

ASKING = Path(__file__).resolve().parent / "asking"
SCENES = ROOT / "examples" / "scenes"
MODEL = "bench-model"
REFERENCE = "openai raw"
CLIENTS = {REFERENCE: "raw", "openai create": "create", "aiohttp": "aiohttp"}
GENERATORS = {
    "curator": ("ask_curator.py", "bespokelabs-curator"),
    "distilabel": ("ask_distilabel.py", "distilabel"),
    "data-designer": ("ask_data_designer.py", "data-designer"),
}
NAMES = ("vitkit", *CLIENTS, *GENERATORS)
MEMORY_CONCURRENCY = 256
# What each needs to stay off the network and away from what other runs left.
QUIET = {
    "OPENAI_API_KEY": "none",
    "HF_HUB_OFFLINE": "1",
    "TELEMETRY_ENABLED": "false",
    "NEMO_TELEMETRY_ENABLED": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
}
FOLDER_VARIABLES = ("CURATOR_CACHE_DIR", "DATA_DESIGNER_HOME", "DISTILABEL_CACHE_DIR", "HF_HOME")


class Setup(NamedTuple):
    """What all runs of the bench share."""

    envs: Path | None
    folder: Path
    server_core: int
    contender_core: int


class Asked(NamedTuple):
    """How one run of a contender went."""

    requests: int
    rate: float
    middle_rate: float
    whole_rate: float
    cpu_ms: float
    """Per request."""
    peak_mib: float
    most_in_flight: int
    server_busy: float
    """Share of the sending window."""
    kib_up: float
    """Per request."""
    kib_down: float


class Annotations(NamedTuple):
    captions: Path
    instances: Path


class Work(NamedTuple):
    """What every contender is to ask: vitkit from the annotations, the others from the bodies."""

    annotations: Annotations
    bodies: Path
    requests: int


@contextlib.contextmanager
def serving(setup: Setup, record: Path | None = None) -> Iterator[str]:
    """A server in a process of its own; its address."""
    arguments = [sys.executable, str(ASKING / "server.py"), *(["--record", str(record)] if record else [])]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {setup.server_core})
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def close_books(server: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{server}/books") as response:
        books: dict[str, Any] = json.load(response)
    return books


def ask(name: str, server: str, work: Work, concurrency: int, setup: Setup) -> Asked:
    """One run. Ends the bench where a contender fails or does not keep every reply."""
    folder = Path(tempfile.mkdtemp(dir=setup.folder))
    environment = os.environ | QUIET | {"OPENAI_BASE_URL": f"{server}/v1"}
    environment |= {variable: str(folder / variable) for variable in FOLDER_VARIABLES}
    close_books(server)
    with (folder / "said").open("w+") as said, (folder / "log").open("w+") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command(name, work, concurrency, folder, setup),
            cwd=ROOT if name == "vitkit" else folder,
            env=environment,
            stdout=said,
            stderr=log,
            # Before anything is imported, so that every thread and child keeps to the core.
            preexec_fn=lambda: os.sched_setaffinity(0, {setup.contender_core}),
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        said.seek(0)
        log.seek(0)
        if status:
            sys.exit(f"{name}: ended with status {status}\n{said.read()[-2000:]}\n{log.read()[-2000:]}")
        kept = kept_by_vitkit(folder) if name == "vitkit" else int(said.read().split()[-1])
    books = close_books(server)
    requests = books["answered"]
    if not kept == books["distinct"] == requests:
        distinct = books["distinct"]
        sys.exit(f"{name}: {requests} requests, {distinct} of them distinct, but {kept} replies kept")
    window = books["last_answer"] - books["first_arrival"]
    return Asked(
        requests=requests,
        rate=requests / window,
        middle_rate=requests / 2 / books["middle_seconds"],
        whole_rate=requests / seconds,
        cpu_ms=(usage.ru_utime + usage.ru_stime) / requests * 1000,
        peak_mib=usage.ru_maxrss / 1024,
        most_in_flight=books["most_in_flight"],
        server_busy=books["busy_seconds"] / window,
        kib_up=books["bytes_up"] / requests / 1024,
        kib_down=books["bytes_down"] / requests / 1024,
    )


def command(name: str, work: Work, concurrency: int, folder: Path, setup: Setup) -> list[str | Path]:
    bodies, annotations = work.bodies, work.annotations
    if name == "vitkit":
        return [sys.executable, "-m", "datagen", "run", "--teacher", "openai", "--model", MODEL,
                "--types", "detail", "--concurrency", str(concurrency), "--out", folder / "out",
                "--captions", annotations.captions, "--instances", annotations.instances,
                "--limit", str(work.requests)]  # fmt: skip
    if name in CLIENTS:
        return [sys.executable, ASKING / "clients.py", CLIENTS[name], bodies, str(concurrency)]
    assert setup.envs is not None
    return [setup.envs / name / "bin" / "python", ASKING / GENERATORS[name][0], bodies, str(concurrency)]


def kept_by_vitkit(folder: Path) -> int:
    """Replies that became a sample or a line that says why not."""
    accounting = json.loads((folder / "out" / "manifest.json").read_bytes())["accounting"]["detail"]
    return sum(accounting[name] for name in ("emitted", "rejected", "duplicate"))


def prepare(given: Annotations, requests: int, setup: Setup) -> Work:
    """Annotations of that many images that can be asked about, and the bodies vitkit sends for them."""
    folder = Path(tempfile.mkdtemp(dir=setup.folder))
    annotations = Annotations(*resized(*usable(given, folder), requests, folder))
    work = Work(annotations, folder / "bodies.jsonl", requests)
    with serving(setup, record=work.bodies) as server:
        ask("vitkit", server, work, MEMORY_CONCURRENCY, setup)
    return work


def first(requests: int, work: Work) -> Work:
    """Fewer requests from the same annotations."""
    bodies = work.bodies.with_name(f"{requests}-{work.bodies.name}")
    with work.bodies.open("rb") as lines:
        bodies.write_bytes(b"".join(itertools.islice(lines, requests)))
    return work._replace(bodies=bodies, requests=requests)


def usable(given: Annotations, folder: Path) -> Annotations:
    """Without the images that lack captions or boxes: those are not asked about."""
    contents = [json.loads(path.read_bytes()) for path in given]
    described, boxed = ({record["image_id"] for record in content["annotations"]} for content in contents)
    paths = []
    for path, content in zip(given, contents, strict=True):
        content["images"] = [image for image in content["images"] if image["id"] in described & boxed]
        paths.append(folder / path.name)
        paths[-1].write_text(json.dumps(content))
    return Annotations(*paths)


def median(runs: Sequence[Asked]) -> Asked:
    return Asked(*map(statistics.median, zip(*runs, strict=True)))


def measure_rates(
    names: Sequence[str], given: Annotations, requests: int, levels: Sequence[int], repeats: int, setup: Setup
) -> None:
    work = prepare(given, requests, setup)
    with serving(setup) as server:
        for concurrency in levels:
            runs: dict[str, list[Asked]] = {name: [] for name in names}
            for _ in range(repeats):
                for name in names:
                    runs[name].append(ask(name, server, work, concurrency, setup))
            some = runs[names[0]][0]
            print(
                f"\n{concurrency} at once: {some.requests:,} requests, {some.kib_up:.1f} KiB up, "
                f"{some.kib_down:.1f} KiB down.\n\n"
                f"| | requests/s, median of {repeats} | lowest to highest | of {REFERENCE} | in the middle | "
                f"of {REFERENCE} | whole call | CPU ms a request | in flight | server busy |\n"
                "|---|---|---|---|---|---|---|---|---|---|"
            )
            reference = median(runs[REFERENCE]) if REFERENCE in runs else None
            for name in names:
                one, rates = median(runs[name]), [run.rate for run in runs[name]]
                print(
                    f"| {name} | {one.rate:,.0f} | {min(rates):,.0f} to {max(rates):,.0f} | "
                    f"{ratio(one.rate, reference and reference.rate)} | {one.middle_rate:,.0f} | "
                    f"{ratio(one.middle_rate, reference and reference.middle_rate)} | "
                    f"{one.whole_rate:,.0f} | {one.cpu_ms:.2f} | {one.most_in_flight:.0f} | "
                    f"{one.server_busy:.0%} |",
                    flush=True,
                )


def ratio(rate: float, reference: float | None) -> str:
    return f"{rate / reference:.2f}" if reference else ""


def measure_memory(names: Sequence[str], given: Annotations, sizes: Sequence[int], setup: Setup) -> None:
    """Peak memory of each at the middle size, of vitkit at all of them."""
    print(
        f"\nPeak memory, {MEMORY_CONCURRENCY} at once, one run each.\n\n"
        "| | requests | peak MiB | requests/s | whole call, requests/s |\n|---|---|---|---|---|"
    )
    whole = prepare(given, max(sizes), setup)
    with serving(setup) as server:
        for size in sizes:
            work = first(size, whole)
            for name in names if size == sizes[len(sizes) // 2] else ("vitkit",):
                one = ask(name, server, work, MEMORY_CONCURRENCY, setup)
                rates = f"{one.rate:,.0f} | {one.whole_rate:,.0f}"
                print(f"| {name} | {one.requests:,} | {one.peak_mib:.0f} | {rates} |", flush=True)


def describe(names: Sequence[str], setup: Setup) -> str:
    """The machine and the versions."""
    found = [f"{package} {version(package)}" for package in ("openai", "aiohttp", "msgspec")]
    for name in names:
        if name in GENERATORS and setup.envs is not None:
            package = GENERATORS[name][1]
            asked = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
            python = setup.envs / name / "bin" / "python"
            shown = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True)
            found.append(f"{package} {shown.stdout.strip()}")
    shared = ", server and contender on the same one" if setup.server_core == setup.contender_core else ""
    return f"Python {sys.version.split()[0]}, {', '.join(found)}; {os.cpu_count()} cores{shared}."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--captions", type=Path, default=SCENES / "captions.json")
    parser.add_argument("--instances", type=Path, default=SCENES / "instances.json")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--concurrency", default="16,64,256")
    parser.add_argument("--repeats", type=int, default=3, help="0: peak memory alone")
    parser.add_argument("--envs", type=Path, help="where make_envs.py put the other generators")
    parser.add_argument("--only", help=f"contenders, comma-separated: {', '.join(NAMES)}")
    parser.add_argument("--memory", action="store_true", help="measure peak memory too")
    parser.add_argument("--memory-sizes", default="2000,10000,20000", help="the middle one for all")
    options = parser.parse_args()
    available = NAMES if options.envs else ("vitkit", *CLIENTS)
    names = options.only.split(",") if options.only else available
    for name in names:
        if name not in available:
            parser.error(f"--only {name}: known are {', '.join(available)} (other generators with --envs)")
    given = Annotations(options.captions.resolve(), options.instances.resolve())
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="bench-asking-") as folder:
        setup = Setup(options.envs and options.envs.resolve(), Path(folder), cores[0], cores[-1])
        print(describe(names, setup))
        if options.repeats:
            levels = [int(level) for level in options.concurrency.split(",")]
            measure_rates(names, given, options.requests, levels, options.repeats, setup)
        if options.memory:
            sizes = [int(size) for size in options.memory_sizes.split(",")]
            measure_memory(names, given, sizes, setup)


if __name__ == "__main__":
    main()
