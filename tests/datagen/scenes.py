"""Small COCO files, and replies that fit them, for tests that run the whole thing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datagen.prompting import PACKS, load_pack
from tests.datagen.chat_server import Answer, completion

_COMPLAINTS = tuple(text.partition("{")[0] for text in load_pack(PACKS / "coco").complaints.values())
ANIMALS = ("dog", "cat", "horse", "sheep", "cow", "bird", "bear", "zebra")
PLACES = (
    "in a field",
    "by a river",
    "near a barn",
    "on a hill",
    "behind a fence",
    "under a tree",
    "on a road",
)


def caption_of(image_id: int, number: int = 0) -> str:
    animal, place = ANIMALS[image_id % len(ANIMALS)], PLACES[(image_id // 8 + number) % len(PLACES)]
    return f"A {animal} number {image_id} stands {place}."


def write_coco(folder: Path, images: int = 6, first: int = 1) -> tuple[Path, Path]:
    """captions.json and instances.json of that many images, two captions and two boxes each."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = range(first, first + images)
    listed = [{"id": i, "file_name": f"{i:012d}.jpg", "width": 640, "height": 480} for i in ids]
    captions = [{"id": 2 * i + n, "image_id": i, "caption": caption_of(i, n)} for i in ids for n in range(2)]
    categories = [{"id": c + 1, "name": name, "supercategory": "animal"} for c, name in enumerate(ANIMALS)]
    boxes = [
        {
            "id": 2 * i + n,
            "image_id": i,
            "category_id": (i + 3 * n) % len(ANIMALS) + 1,
            "bbox": [40 + 330 * n, 100.5, 200, 150 + i % 50],
            "iscrowd": 0,
        }
        for i in ids
        for n in range(2)
    ]
    for name, made in (("captions", captions), ("instances", boxes)):
        content: dict[str, Any] = {"images": listed, "annotations": made}
        if name == "instances":
            content["categories"] = categories
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder / "captions.json", folder / "instances.json"


def proxy_of(messages: Sequence[dict[str, str]]) -> str:
    """The image's own message, which is the last one but where a reply is asked for again."""
    return messages[-3 if messages[-1]["content"].startswith(_COMPLAINTS) else -1]["content"]


def reply_to(messages: Sequence[dict[str, str]]) -> str:
    """What a good teacher would say: about this image, in the form that the seeds show."""
    proxy, seed = proxy_of(messages), messages[2]["content"]
    seen = next(line for line in proxy.splitlines() if not line.startswith("<"))
    if seed.startswith("Question:"):
        turns: tuple[tuple[str, str], ...] = (("What is there to see?", seen), ("Is there a boat?", "No."))
        if seed.count("Question:") == 1:  # reasoning
            turns = (("What might be going on, and is it far from a boat?", seen),)
        return "\n===\n".join(f"Question:\n{question}\n===\nAnswer:\n{answer}" for question, answer in turns)
    return f"The picture shows this: {seen}"


def good_teacher(body: dict[str, Any], attempt: int) -> Answer:
    return completion(reply_to(body["messages"]))
