"""The stage-1 set: image, short instruction, one caption, as LLaVA's feature alignment uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from datagen.draw import draw
from datagen.records import ImageAnnotation
from schemas import LlavaMessage, LlavaRecord
from schemas.llava import IMAGE_TOKEN


def alignment_record(
    annotation: ImageAnnotation,
    instructions: Sequence[str],
    seed: int,
    is_unfit: Callable[[str], object],
) -> LlavaRecord | None:
    """One of the image's captions under one of the instructions, both drawn by seed and image id.

    None when no caption can be used: there is none, or each is one that `is_unfit` (COCO has "I am
    unable to see an image above") or contains `<image>`, which trainers replace wherever it stands.
    """
    captions = [
        caption
        for raw in annotation.captions
        if (caption := " ".join(raw.split())) and IMAGE_TOKEN not in caption and not is_unfit(caption)
    ]
    if not captions:
        return None
    caption = draw(captions, seed, annotation.image_id, "alignment", "caption")
    instruction = draw(instructions, seed, annotation.image_id, "alignment", "instruction")
    return LlavaRecord(
        id=f"alignment-{annotation.image_id:012d}",
        image=annotation.file_name,
        conversations=[
            LlavaMessage(from_="human", value=f"{IMAGE_TOKEN}\n{instruction}"),
            LlavaMessage(from_="gpt", value=caption),
        ],
    )
