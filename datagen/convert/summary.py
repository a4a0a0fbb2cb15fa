"""What a person is told when a conversion is done."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from datagen.convert import Converted
from datagen.convert.writing import CAPTIONS, LEFT_OUT
from datagen.records import counted


def count_lines(counts: Mapping[str, Mapping[str, int]], out: Path) -> list[str]:
    """By outcome: how many records, why, and where they are named."""
    lines = []
    for outcome in ("left_out", "mended"):
        if reasons := counts.get(outcome):
            told = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
            lines.append(f"{outcome.replace('_', ' ')}: {sum(reasons.values()):,} ({told})")
    return [*lines, f"each is named in {out / LEFT_OUT}"] if lines else []


def summary(converted: Converted, out: Path) -> list[str]:
    """Line by line: what was made, what was not and why, where it is, what to do next."""
    made = [counted(converted.captions, "caption")] if converted.captions else []
    if converted.boxes:
        categories = counted(converted.boxed_categories, "category", "categories")
        made.insert(0, f"{counted(converted.boxes, 'box', 'boxes')} of {categories}")
    options: list[str] = []
    for file in converted.files:
        options += ["--captions" if file.name == CAPTIONS else "--instances", str(file)]
    without_caption = []
    if lacking := converted.without_caption:
        told = f"{counted(lacking, 'image')} without a caption"
        without_caption.append(f"{told}: given both files, `run` skips {'it' if lacking == 1 else 'them'}")
    run = ["python", "-m", "datagen", "run", *options, "--images", str(converted.images_dir)]
    files = " and ".join(map(str, converted.files))
    return [
        f"{counted(converted.images, 'image')}, {' and '.join(made)}: {files}",
        *count_lines(converted.counts, out),
        *converted.notes,
        *without_caption,
        f"next: {shlex.join([*run, '--out', 'out/mine'])}",
    ]
