"""How fast a whole run is, and whether an image costs the same in a large set as in a small one.

    python bench/bench_run.py --captions F --instances F [--sizes 1000,10000,100000] [--plot FILE]

Each contender runs in a process of its own, `--repeats` times, interleaved; the median counts.

- run: `python -m datagen run` with the programmatic teacher, all three types, from start to finish:
  annotations read, ledger written with every commit synced, everything parsed, checked,
  deduplicated and emitted.
- floor: the same annotations read and the same programs run, their replies dumped to one JSON
  file: no ledger, no checks, no accounting.

With --sizes the set is cut, or repeated under new image ids and with a number added to its
captions (so that copies are not duplicates), to each size.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TYPES = ("conversation", "detail", "complex_reasoning")


class Measured(NamedTuple):
    seconds: float
    peak_mib: float
    samples: int


def measure(arguments: list[str], count: Path) -> Measured:
    """Wall time and peak memory of a command; `count` is the JSON list it writes."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"{' '.join(arguments)}: ended with status {status}")
    return Measured(seconds, usage.ru_maxrss / 1024, len(json.loads(count.read_bytes())))


def run(captions: Path, instances: Path, *, folder: Path) -> Measured:
    out = Path(tempfile.mkdtemp(dir=folder))
    arguments = ["-m", "datagen", "run", "--captions", str(captions), "--instances", str(instances)]
    # The floor reads every image.
    arguments += ["--allow-evaluation-images"]
    return measure([*arguments, "--out", str(out)], out / "llava_instruct.json")


def floor(captions: Path, instances: Path, *, folder: Path) -> Measured:
    out = Path(tempfile.mkdtemp(dir=folder)) / "floor.json"
    return measure(
        [__file__, "--floor", str(out), "--captions", str(captions), "--instances", str(instances)], out
    )


def write_floor(captions: Path, instances: Path, out: Path) -> None:
    """What `run` cannot do without: reading the annotations, running the programs, writing JSON."""
    sys.path.insert(0, str(ROOT))
    from datagen.annotations import read_annotations
    from datagen.config import RunConfig, check_config
    from datagen.planning import Requests
    from datagen.records import ImageAnnotation, Unit
    from datagen.teacher import LocalTeacher

    job = check_config(RunConfig(captions=(captions,), instances=(instances,)))
    annotations = read_annotations([captions], [instances])
    requests = Requests(job, annotations.categories, annotations.statistics())

    assert isinstance(job.teacher, LocalTeacher)
    records = []
    for image in annotations:
        if not isinstance(image, ImageAnnotation):
            continue
        for name in TYPES:
            request = requests.make(Unit(image.image_id, name, 0), image)
            if job.teacher.cannot_answer(request) is None:
                reply = job.teacher.answer(request)
                records.append({"id": image.image_id, "image": image.file_name, "text": reply.body})
    out.write_text(json.dumps(records))


def resized(captions: Path, instances: Path, size: int, folder: Path) -> tuple[Path, Path]:
    """The set cut or repeated to `size` images."""
    files = []
    for path in (captions, instances):
        content = json.loads(path.read_bytes())
        ids = [image["id"] for image in content["images"]]
        step = max(ids) + 1
        made: dict[str, Any] = {"images": [], "annotations": [], "categories": content.get("categories", [])}
        by_image: dict[int, list[dict[str, Any]]] = {}
        for annotation in content["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        for number in range(size):
            copy, image = divmod(number, len(ids))
            record = content["images"][image]
            new_id = record["id"] + copy * step
            made["images"].append(record | {"id": new_id, "file_name": f"{new_id:012d}.jpg"})
            for annotation in by_image.get(record["id"], ()):
                changed = annotation | {"id": len(made["annotations"]), "image_id": new_id}
                if copy and "caption" in changed:
                    changed["caption"] = f"{changed['caption'].strip().rstrip('.')} at spot {new_id}."
                made["annotations"].append(changed)
        files.append(folder / f"{size}-{path.name}")
        files[-1].write_text(json.dumps(made))
    return files[0], files[1]


def median(measured: list[Measured]) -> Measured:
    return Measured(
        statistics.median(m.seconds for m in measured), max(m.peak_mib for m in measured), measured[0].samples
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--instances", type=Path, required=True)
    parser.add_argument("--sizes", help="comma-separated numbers of images")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="write a picture (needs matplotlib)")
    parser.add_argument("--floor", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    captions, instances = options.captions.resolve(), options.instances.resolve()
    if options.floor:
        write_floor(captions, instances, options.floor)
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-run-") as name:
        folder = Path(name)
        sizes = [int(size) for size in options.sizes.split(",")] if options.sizes else [0]
        print(f"{'images':>8} {'samples':>9} {'run s':>8} {'samples/s':>10} {'ms/image':>9} {'MiB':>6} "
              f"{'floor s':>8} {'run/floor':>9}")  # fmt: skip
        for size in sizes:
            files = resized(captions, instances, size, folder) if size else (captions, instances)
            images = size or len(json.loads(captions.read_bytes())["images"])
            repeats = options.repeats if images < 50_000 else 1
            pairs = [(run(*files, folder=folder), floor(*files, folder=folder)) for _ in range(repeats)]
            ours, bare = median([pair[0] for pair in pairs]), median([pair[1] for pair in pairs])
            rows.append((images, ours, bare))
            print(
                f"{images:>8,} {ours.samples:>9,} {ours.seconds:>8.2f} {ours.samples / ours.seconds:>10,.0f} "
                f"{ours.seconds / images * 1000:>9.3f} {ours.peak_mib:>6.0f} {bare.seconds:>8.2f} "
                f"{ours.seconds / bare.seconds:>9.2f}",
                flush=True,
            )
    if options.plot:
        plot(rows, options.plot)


def plot(rows: list[tuple[int, Measured, Measured]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.2))
    sizes = [images for images, _, _ in rows]
    ours = [run.seconds / images * 1000 for images, run, _ in rows]
    bare = [floor.seconds / images * 1000 for images, _, floor in rows]
    axis.plot(sizes, ours, "o-", label="datagen run")
    axis.plot(sizes, bare, "s--", label="floor: read, write samples, dump")
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("images in the set")
    axis.set_ylabel("ms per image (3 samples)")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
