"""Small exports as the tools write them, and what came of converting them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from tests.datagen.test_run import datagen

SIZE = (200, 100)


def draw(folder: Path, *names: str, size: tuple[int, int] = SIZE) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "teal").save(folder / name)
    return folder


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


class Made(NamedTuple):
    boxes: dict[str, list[tuple[str, list[float]]]]
    """Image to categories and boxes, as in the file."""
    captions: dict[str, list[str]]
    left_out: list[tuple[str, str, str]]
    """Reason, file without its folder, record; `+` before the reason of what was mended."""


def made(out: Path) -> Made:
    boxes: dict[str, list[tuple[str, list[float]]]] = {}
    captions: dict[str, list[str]] = {}
    if (out / "instances.json").exists():
        content = json.loads((out / "instances.json").read_text(encoding="utf-8"))
        names = {each["id"]: each["file_name"] for each in content["images"]}
        categories = {each["id"]: each["name"] for each in content["categories"]}
        boxes = {name: [] for name in names.values()}
        for each in content["annotations"]:
            boxes[names[each["image_id"]]].append((categories[each["category_id"]], each["bbox"]))
    if (out / "captions.json").exists():
        content = json.loads((out / "captions.json").read_text(encoding="utf-8"))
        names = {each["id"]: each["file_name"] for each in content["images"]}
        captions = {name: [] for name in names.values()}
        for each in content["annotations"]:
            captions[names[each["image_id"]]].append(each["caption"])
    left_out = [
        (
            ("+" if each["outcome"] == "mended" else "") + each["reason"],
            Path(each["file"]).name,
            each["record"],
        )
        for each in map(json.loads, (out / "left_out.jsonl").read_text(encoding="utf-8").splitlines())
    ]
    return Made(boxes, captions, left_out)


def convert(format_: str, *paths: Path, images: Path | None = None, out: Path) -> Made:
    arguments: list[str | Path] = ["convert", format_, *paths, "--out", out]
    if images is not None:
        arguments += ["--images", images]
    assert datagen(*arguments) == 0
    return made(out)
