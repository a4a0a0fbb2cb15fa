"""Samples a second that the programmatic teacher writes on one core, by response type.

    python bench/bench_programmatic.py --captions F --instances F [--limit N]

Reading the annotations is not timed. Facts are computed anew for every image and type, as in the
worst case; a run that asks the types of an image together computes them once.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from datagen.annotations import read_annotations
from datagen.records import ImageAnnotation, TeacherRequest, Unit
from datagen.teacher.programmatic import ProgrammaticTeacher
from datagen.teacher.programmatic.words import CATEGORIES

RESPONSE_TYPES = ("conversation", "detail", "complex_reasoning")


def request_for(annotation: ImageAnnotation, response_type: str) -> TeacherRequest:
    unit = Unit(annotation.image_id, response_type, 0)
    vocabulary = tuple(CATEGORIES)
    return TeacherRequest(unit, annotation, "pairs", None, "camera", vocabulary, "bench", 0, 0.0, 0, ())


def measure(annotations: list[ImageAnnotation], response_type: str) -> tuple[float, list[str]]:
    """Seconds of processor time for all that can be answered, and the replies."""
    replies = []
    started = time.process_time()
    teacher = ProgrammaticTeacher()
    for annotation in annotations:
        request = request_for(annotation, response_type)
        if teacher.cannot_answer(request) is None:
            replies.append(teacher.answer(request).body)
    return time.process_time() - started, replies


def words_of_answers(reply: str) -> list[int]:
    return [len(answer.partition("\n===\n")[0].split()) for answer in reply.split("Answer:\n")[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--captions", type=Path, action="append", default=[])
    parser.add_argument("--instances", type=Path, action="append", default=[])
    parser.add_argument("--limit", type=int, default=None, help="images to use (default: all)")
    options = parser.parse_args()
    source = read_annotations(options.captions, options.instances)
    annotations = [item for item in source if isinstance(item, ImageAnnotation)][: options.limit]
    print(f"{len(annotations)} images")
    for response_type in RESPONSE_TYPES:
        seconds, replies = measure(annotations, response_type)
        words = [count for reply in replies for count in words_of_answers(reply)]
        print(
            f"{response_type:18} {len(replies):6} samples  {len(replies) / seconds:8.0f} samples/s  "
            f"answers: {statistics.median(words):.0f} words (median), {min(words)} to {max(words)}"
        )


if __name__ == "__main__":
    main()
