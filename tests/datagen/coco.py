"""The embedded teacher with the pack that ships."""

from __future__ import annotations

from datagen.prompting import PACKS, load_pack
from datagen.teacher.programmatic import ProgrammaticTeacher

PACK = load_pack(PACKS / "coco")


def coco_teacher() -> ProgrammaticTeacher:
    return ProgrammaticTeacher(PACK.programs, PACK.files)
