"""Writes a new folder whole, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from datagen.config import check_writable
from datagen.convert.collection import Collection, LeftOut, Picture, image_id_of
from datagen.pipeline import folders_made
from datagen.records import InputError

INSTANCES = "instances.json"
CAPTIONS = "captions.json"
LEFT_OUT = "left_out.jsonl"


def check_new(out: Path) -> None:
    """The output folder may be absent or empty. Creates nothing. Raises InputError otherwise."""
    try:
        str(out).encode()
    except UnicodeEncodeError:
        shown = str(out).encode(errors="replace").decode()
        raise InputError(f"--out {shown}: not a name in UTF-8: rename it") from None
    if check_writable(out) and (names := sorted(entry.name for entry in out.iterdir())):
        raise InputError(
            f"--out {out}: not empty (it holds {names[0]}), and nothing is overwritten: choose another"
        )


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` when all is written; an error leaves nothing behind.

    Raises InputError when the disk is full or the folder cannot be written.
    """
    with folders_made(out):
        temporary = out.parent / f".{out.name}.vitkit-writing"
        try:
            shutil.rmtree(temporary, ignore_errors=True)  # left by a killed one
            temporary.mkdir()
            yield temporary
            for file in filter(Path.is_file, temporary.rglob("*")):
                with file.open("rb+") as written:
                    os.fsync(written.fileno())
            temporary.replace(out)
        except OSError as error:
            raise InputError(f"--out {out}: cannot be written: {error.strerror}") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_coco(into: Collection, folder: Path) -> None:
    """instances.json where there are boxes, captions.json where there are captions, each if it has any."""
    pictures = [picture for _, picture in sorted(into.pictures.items())]
    if any(picture.boxes for picture in pictures):
        category_ids = {name: number for number, name in enumerate(into.categories, 1)}
        categories = [{"id": number, "name": name} for name, number in category_ids.items()]
        with (folder / INSTANCES).open("w", encoding="utf-8") as file:
            _write_lists(
                file,
                {
                    "images": map(_listing, pictures),
                    "categories": categories,
                    "annotations": _instances(pictures, category_ids),
                },
            )
    captioned = [picture for picture in pictures if picture.captions]
    if captioned:
        with (folder / CAPTIONS).open("w", encoding="utf-8") as file:
            texts = ((picture, caption) for picture in captioned for caption in picture.captions)
            annotations = (
                {"id": number, "image_id": image_id_of(picture.name), "caption": caption}
                for number, (picture, caption) in enumerate(texts, 1)
            )
            _write_lists(file, {"images": map(_listing, captioned), "annotations": annotations})


def write_left_out(lines: Iterable[LeftOut], folder: Path) -> None:
    with (folder / LEFT_OUT).open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line._asdict(), ensure_ascii=False) + "\n")


def _listing(picture: Picture) -> dict[str, Any]:
    return {
        "id": image_id_of(picture.name),
        "file_name": picture.name,
        "width": picture.width,
        "height": picture.height,
    }


def _instances(pictures: Iterable[Picture], category_ids: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    number = 0
    for picture in pictures:
        found = [
            (name, [left, top, round(right - left, 2), round(bottom - top, 2)])
            for name, (left, top, right, bottom) in picture.boxes
        ]
        # A box of no size is how COCO's form can say that there is one more, nobody knows where: `run`
        # leaves it out, and counts nothing of its category in this image.
        found += [(name, [0.0, 0.0, 0.0, 0.0]) for name in picture.uncounted]
        for name, bbox in found:
            number += 1
            yield {
                "id": number,
                "image_id": image_id_of(picture.name),
                "category_id": category_ids[name],
                "bbox": bbox,
                "area": round(bbox[2] * bbox[3], 2),
                "iscrowd": 0,
            }


def _write_lists(file: IO[str], lists: Mapping[str, Iterable[dict[str, Any]]]) -> None:
    """A JSON object of lists, a record a line."""
    separator = "{"
    for name, records in lists.items():
        file.write(f"{separator}\n{json.dumps(name)}: [")
        for position, record in enumerate(records):
            file.write((",\n" if position else "\n") + json.dumps(record, ensure_ascii=False))
        file.write("\n]")
        separator = ","
    file.write("\n}\n")
