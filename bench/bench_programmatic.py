"""Samples a second that the embedded teacher writes on one core, beside a plain program of a few lines.

    python bench/bench_programmatic.py --captions F --instances F [--limit N] [--out results.md]

Three things, each in one run, as processor time:

- samples a second by response type and for all three of an image together, which share its facts;
- one program, `counting`, beside the floor: the same question written plainly, without margins,
  captions, evidence or a choice of wordings;
- the same samples with each wording given ten times over, which should cost nothing.

Reading the annotations is not timed.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import inflect

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datagen.annotations import Annotations, read_annotations
from datagen.prompting import PACKS, Pack, load_pack
from datagen.records import ImageAnnotation, TeacherRequest, Unit
from datagen.teacher.programmatic import ProgrammaticTeacher
from datagen.teacher.protocol import TeacherFailure
from schemas import ProgramsToml

RESPONSE_TYPES = ("conversation", "detail", "complex_reasoning")
TIMES = 10
ROUNDS = 3


def requests_of(pack: Pack, source: Annotations, limit: int | None) -> list[list[TeacherRequest]]:
    """For each image its requests, one for each type."""
    vocabulary, told = tuple(source.categories), source.statistics()
    images = [image for image in source if isinstance(image, ImageAnnotation)][:limit]
    return [
        [
            TeacherRequest(
                unit=Unit(image.image_id, name, 0),
                annotation=image,
                reply_form="pairs",
                question=None,
                frame=pack.frame,
                vocabulary=vocabulary,
                pack_hash=pack.hash,
                seed=0,
                temperature=0.0,
                max_tokens=0,
                messages=(),
                statistics=told,
            )
            for name in RESPONSE_TYPES
        ]
        for image in images
    ]


def seconds(work: Callable[[], object]) -> float:
    """Processor time, the least of a few rounds: the machine's other work only adds to it."""
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def write(teacher: ProgrammaticTeacher, requests: Sequence[TeacherRequest]) -> list[str]:
    replies = []
    for request in requests:
        # Other wordings are other draws, after which a description may come out too short to be one.
        with contextlib.suppress(TeacherFailure):
            replies.append(teacher.answer(request).body)
    return replies


def answerable(teacher: ProgrammaticTeacher, requests: Sequence[TeacherRequest]) -> list[TeacherRequest]:
    return [request for request in requests if teacher.cannot_answer(request) is None]


def words_of_answers(replies: Sequence[str]) -> list[int]:
    return [
        len(answer.partition("\n===\n")[0].split())
        for reply in replies
        for answer in reply.split("Answer:\n")[1:]
    ]


NUMBERS = "no one two three four five six seven eight nine ten eleven twelve".split()


def floor(requests: Sequence[TeacherRequest]) -> list[str]:
    """How many there are of a category, as plainly as it can be written: the three turns most often made."""
    plurals: dict[str, str] = {}
    engine = inflect.engine()
    replies = []
    for request in requests:
        counts = Counter(box.category for box in request.annotation.boxes if not box.crowd)
        choices = [name for name, count in counts.items() if count < len(NUMBERS)]
        draw = random.Random(f"{request.seed}/{request.unit.image_id}")
        turns = []
        for name in draw.sample(choices, min(3, len(choices))):
            plural = plurals.get(name) or plurals.setdefault(name, engine.plural_noun(name))
            said = (
                f"There is one {name}."
                if counts[name] == 1
                else f"There are {NUMBERS[counts[name]]} {plural}."
            )
            turns.append(f"Question:\nHow many {plural} are there in the image?\n===\nAnswer:\n{said}")
        replies.append("\n===\n".join(turns))
    return replies


def with_each_wording_again(files: Mapping[str, str], times: int) -> dict[str, str]:
    """The pack's files with every wording given so many times."""
    import tomllib

    def again(table: dict[str, object]) -> dict[str, object]:
        return {
            key: again(value) if isinstance(value, dict) else list(value) * times  # type: ignore[call-overload]
            for key, value in table.items()
        }

    def as_toml(table: dict[str, object], prefix: str = "") -> str:
        lists = [f"{key} = {value!r}" for key, value in table.items() if not isinstance(value, dict)]
        tables = [
            f"[{prefix}{key}]\n{as_toml(value, f'{prefix}{key}.')}"
            for key, value in table.items()
            if isinstance(value, dict)
        ]
        return "\n".join([*lists, *tables])

    return {
        path: as_toml(again(tomllib.loads(text))) if path.startswith("phrasings/") else text
        for path, text in files.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--captions", type=Path, action="append", default=[])
    parser.add_argument("--instances", type=Path, action="append", default=[])
    parser.add_argument("--limit", type=int, default=None, help="images to use (default: all)")
    parser.add_argument("--out", type=Path, default=None, help="write the report here, too")
    options = parser.parse_args()
    pack = load_pack(PACKS / "coco")
    by_image = requests_of(pack, read_annotations(options.captions, options.instances), options.limit)
    teacher = ProgrammaticTeacher(pack.programs, pack.files)
    lines = [f"{len(by_image):,} images, processor time on one core, the best of {ROUNDS} rounds.", ""]
    lines += [
        "| response type | samples | samples/s | words of an answer: least, median, most |",
        "|---|---|---|---|",
    ]
    everything = [request for requests in by_image for request in answerable(teacher, requests)]
    for response_type in RESPONSE_TYPES:
        requests = [each for each in everything if each.unit.response_type == response_type]
        took = seconds(lambda requests=requests: write(teacher, requests))  # type: ignore[misc]
        words = words_of_answers(write(teacher, requests))
        lines.append(
            f"| {response_type} alone | {len(requests):,} | {len(requests) / took:,.0f} "
            f"| {min(words)}, {statistics.median(words):.0f}, {max(words)} |"
        )
    took = seconds(lambda: write(teacher, everything))
    lines.append(f"| all three of each image | {len(everything):,} | {len(everything) / took:,.0f} | |")

    only = ProgramsToml(
        weights={
            program.name: float(program.name == "counting")
            for program in teacher.programs
            if program.response_type == "conversation"
        }
    )
    counting = ProgrammaticTeacher(only, pack.files)
    conversations = answerable(counting, [requests[0] for requests in by_image])
    ours, plain = seconds(lambda: write(counting, conversations)), seconds(lambda: floor(conversations))
    lines += [
        "",
        f"`counting` alone, {len(conversations):,} samples: {len(conversations) / ours:,.0f} a second; "
        f"the floor, the same question written plainly: {len(conversations) / plain:,.0f} "
        f"({ours / plain:.1f} times as fast).",
    ]
    long = ProgrammaticTeacher(pack.programs, with_each_wording_again(pack.files, TIMES))
    took_long = seconds(lambda: write(long, everything))
    lines += [
        "",
        f"With each wording given {TIMES} times over: {took_long / took:.2f} times the time.",
    ]
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
