"""How fast, and in how much memory, an instances file the size of COCO train2017 is read.

    python bench/bench_annotations.py [--repeats 5] [--images 118287] [--boxes 860001]

Writes a file (450 MB, nearly all of it polygons, the same bytes every time) into `bench/out/`, then
lets each contender read it in a process of its own, taking turns. Prints the medians as Markdown,
beside a bare typed msgspec decode (the floor) and `pycocotools.coco.COCO` (what everyone uses), and
whether the aims are met. Only the reading is timed, not the start of Python and the imports.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import json
import mmap
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from datagen.annotations import Annotations, read_annotations
from datagen.records import ImageAnnotation

OUT = Path(__file__).resolve().parent / "out"

AIM_FLOOR = 2.0
"""Reading, index by image included, takes at most this many times the bare decode."""
AIM_FASTER = 9.0
"""Reading is at least this many times faster than pycocotools."""
AIM_MEMORY = 3.0
"""The peak is at most pycocotools' divided by this."""


# The file.


def write_instances(path: Path, images: int, boxes: int) -> None:
    """Write an instances file built as COCO's own are, the same bytes for the same numbers.

    A box has one to three polygons of 9 to 26 points, as many as make the file as large as COCO's;
    one in 90 is a crowd with run lengths. Some images hold dozens of boxes and some none.
    """
    rng = random.Random(17)
    # A pool to choose from: nobody looks at these, and drawing them afresh would take minutes.
    polygons = [_polygons(rng) for _ in range(4000)]
    crowds = [_run_lengths(rng) for _ in range(100)]
    image_ids = sorted(rng.sample(range(1, 600_000), images))
    sizes = [rng.choice(((640, 480), (480, 640), (640, 427), (500, 375))) for _ in image_ids]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"info": {"description": "made by bench_annotations.py"}, "licenses": [], "images": [')
        for n, (image_id, (width, height)) in enumerate(zip(image_ids, sizes, strict=True)):
            file.write(
                f'{", " if n else ""}{{"license": 3, "file_name": "{image_id:012d}.jpg", '
                f'"coco_url": "http://images.example.org/train2017/{image_id:012d}.jpg", '
                f'"height": {height}, "width": {width}, "date_captured": "2013-11-14 11:18:45", '
                f'"id": {image_id}}}'
            )
        file.write('], "annotations": [')
        for n in range(boxes):
            owner = int(images * rng.random() ** 2)  # squared, so that some images are crowded
            width, height = sizes[owner]
            x, y = rng.uniform(0, width - 20), rng.uniform(0, height - 20)
            w, h = rng.uniform(4, width - x), rng.uniform(4, height - y)
            is_crowd = n % 90 == 0
            file.write(
                f'{", " if n else ""}{{"segmentation": {rng.choice(crowds if is_crowd else polygons)}, '
                f'"area": {w * h / 2:.4f}, "iscrowd": {int(is_crowd)}, "image_id": {image_ids[owner]}, '
                f'"bbox": [{x:.2f}, {y:.2f}, {w:.2f}, {h:.2f}], '
                f'"category_id": {rng.randint(1, 80)}, "id": {900_000 + n}}}'
            )
        categories = [{"supercategory": "thing", "id": n, "name": f"kind {n}"} for n in range(1, 81)]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def _polygons(rng: random.Random) -> str:
    """JSON."""
    count = rng.choices((1, 2, 3), weights=(16, 2, 1))[0]
    points = [rng.randint(9, 26) for _ in range(count)]
    return json.dumps([[round(rng.uniform(0, 640), 2) for _ in range(2 * number)] for number in points])


def _run_lengths(rng: random.Random) -> str:
    """JSON."""
    return json.dumps({"counts": [rng.randint(1, 900) for _ in range(500)], "size": [480, 640]})


# The contenders. Each returns the number of boxes it has, and starts its clock after its imports.


class Image(msgspec.Struct, gc=False):
    id: int
    file_name: str
    width: int
    height: int


class Annotation(msgspec.Struct, gc=False):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int


class Category(msgspec.Struct, gc=False):
    id: int
    name: str


class InstancesFile(msgspec.Struct):
    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


def bare_decode(path: Path) -> tuple[int, float]:
    start = time.perf_counter()
    file = msgspec.json.decode(path.read_bytes(), type=InstancesFile)
    return len(file.annotations), time.perf_counter() - start


def bare_decode_over_mmap(path: Path) -> tuple[int, float]:
    start = time.perf_counter()
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        file = msgspec.json.decode(data, type=InstancesFile)
    return len(file.annotations), time.perf_counter() - start


def vitkit_read(path: Path) -> tuple[int, float]:
    start = time.perf_counter()
    annotations = read_annotations([], [path])
    seconds = time.perf_counter() - start
    return _boxes_in(annotations), seconds


def vitkit_read_and_build(path: Path) -> tuple[int, float]:
    start = time.perf_counter()
    boxes = _boxes_in(read_annotations([], [path]))
    return boxes, time.perf_counter() - start


def _boxes_in(annotations: Annotations) -> int:
    return sum(len(one.boxes) for one in annotations if isinstance(one, ImageAnnotation))


def pycocotools_coco(path: Path) -> tuple[int, float]:
    from pycocotools.coco import COCO  # here, so that only this process has NumPy in its memory

    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    return len(coco.anns), time.perf_counter() - start


CONTENDERS: dict[str, Callable[[Path], tuple[int, float]]] = {
    "bare typed msgspec decode": bare_decode,
    "the same over a memory map": bare_decode_over_mmap,
    "vitkit: read, index by image": vitkit_read,
    "vitkit: and build every ImageAnnotation": vitkit_read_and_build,
    "pycocotools.coco.COCO": pycocotools_coco,
}


def run_alone(name: str, path: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of one contender in a process of its own."""
    command = [sys.executable, __file__, "--contender", name, "--file", str(path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found["seconds"], found["peak_mb"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=118_287)
    parser.add_argument("--boxes", type=int, default=860_001)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        boxes, seconds = CONTENDERS[given.contender](given.file)
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"boxes": boxes, "seconds": seconds, "peak_mb": peak_kb / 1024}))
        return 0

    OUT.mkdir(exist_ok=True)
    path = OUT / f"instances_{given.images}_{given.boxes}.json"
    if not path.exists():
        print(f"writing {path.name}", file=sys.stderr)
        partial = path.with_suffix(".part")
        write_instances(partial, given.images, given.boxes)
        partial.replace(path)
    path.read_bytes()  # into the file cache, where every contender will find it

    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    for turn in range(given.repeats):
        for name in CONTENDERS:
            runs[name].append(run_alone(name, path))
            print(f"turn {turn + 1}, {name}: {runs[name][-1][0]:.2f} s", file=sys.stderr)
    print(
        f"{given.images:,} images, {given.boxes:,} boxes with polygons, {path.stat().st_size / 1e6:.0f} MB."
    )
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("msgspec", "pycocotools")]
    print(f"Python {platform.python_version()}, {', '.join(versions)}, {os.cpu_count()} cores.\n")
    report(runs)
    return 0


def report(runs: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Print the table, and each aim with what was reached."""
    seconds = {name: statistics.median(time for time, _ in taken) for name, taken in runs.items()}
    peak = {name: statistics.median(memory for _, memory in taken) for name, taken in runs.items()}
    bare, over_mmap, read, build, coco = runs
    turns = len(runs[bare])
    print(f"| | seconds, median of {turns} | lowest to highest | times the bare decode | peak MB |")
    print("|---|---|---|---|---|")
    for name, taken in runs.items():
        spread = f"{min(taken)[0]:.2f} to {max(taken)[0]:.2f}"
        ratio = seconds[name] / seconds[bare]
        print(f"| {name} | {seconds[name]:.2f} | {spread} | {ratio:.2f} | {peak[name]:.0f} |")
    print(f"\nBuilding every `ImageAnnotation` after reading: {seconds[build] - seconds[read]:.2f} s.\n")

    def aim(met: bool, words: str) -> None:
        print(f"- {'pass' if met else 'FAIL'}: {words}")

    times = seconds[read] / seconds[bare]
    aim(times <= AIM_FLOOR, f"{times:.2f} times the bare decode, at most {AIM_FLOOR:g} wanted")
    faster = seconds[coco] / seconds[read]
    aim(faster >= AIM_FASTER, f"{faster:.1f} times faster than pycocotools, at least {AIM_FASTER:g} wanted")
    smaller = peak[coco] / peak[read]
    aim(smaller >= AIM_MEMORY, f"peak {smaller:.1f} times below pycocotools', at least {AIM_MEMORY:g} wanted")
    print(
        f"- for comparison: {seconds[read] / seconds[over_mmap]:.2f} times the bare decode over a memory map"
    )


if __name__ == "__main__":
    sys.exit(main())
