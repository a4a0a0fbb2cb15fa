"""Annotations as other tools export them in, COCO captions and instances files out.

The readers are our own, for a record that cannot be used has to be counted and named. Tried on
exports with faults in November 2026, labelformat 0.1.17 passed boxes with NaN, without area and outside
the image, and dropped CVAT's polygons and the rotation of its boxes without a word; globox 2.9.0, supervision
0.31.2 and datumaro 1.13.12 gave up the whole set at the first bad record.

Adding a format: a reader that fills a `Collection` in a file here, a line in `FORMATS` and in `_read`,
a test on an export of the tool in tests/datagen/convert/, a row in docs/converting.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datagen.convert import cvat, label_studio, labelme, metadata, tables, voc, yolo
from datagen.convert.collection import Collection, LeftOut
from datagen.convert.images import ImageFolder
from datagen.convert.writing import (
    CAPTIONS,
    INSTANCES,
    LEFT_OUT,
    check_new,
    new_folder,
    write_coco,
    write_left_out,
)
from datagen.records import InputError

FORMATS = {
    "yolo": "Ultralytics YOLO: data.yaml",
    "voc": "Pascal VOC: XML files, or their folder",
    "labelme": "LabelMe: JSON files, or their folder",
    "cvat": "CVAT for images 1.1: annotations.xml",
    "label-studio": "Label Studio: its JSON export; boxes, and free text as captions",
    "csv": "a table with a box a row",
    "captions": "a table with a caption a row",
    "reports": "a text file an image, as in radiology: their folder; or a table with a report a row",
    "metadata": "captions from the images' own XMP, IPTC, EXIF or PNG text; no PATH",
}
DEFAULT_SPLIT = "train"


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of a conversion."""

    images: int
    boxes: int
    boxed_categories: int
    captions: int
    without_caption: int
    """Images of instances.json that captions.json lacks, where both are written."""
    counts: dict[str, dict[str, int]]
    """Outcome (`left_out`, `mended`) to reason to how many lines of left_out.jsonl."""
    notes: list[str]
    files: list[Path]
    """COCO files written, captions first."""
    images_dir: Path


def convert(
    format_: str, paths: Sequence[Path], images: Path | None, out: Path, splits: Sequence[str] = ()
) -> Converted:
    """Read an export, check it record by record, and write COCO files into the new folder `out`.

    Raises InputError for what the user has to mend, with nothing written.
    """
    if format_ not in FORMATS:
        raise InputError(f"FORMAT {format_}: no such format; there are {', '.join(FORMATS)}")
    if not paths and format_ != "metadata":
        raise InputError(f"convert {format_}: give the PATH of an export ({FORMATS[format_]})")
    if paths and format_ == "metadata":
        raise InputError("convert metadata: takes no PATH: it reads the pictures in --images")
    if splits and format_ != "yolo":
        raise InputError(f"--split has no meaning for {format_}; it goes with yolo")
    check_new(out)
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: does not exist; check the path")
    into = _read(format_, paths, images, splits)
    into.finish()
    pictures = [each for each in into.pictures.values() if each.captions or each.name not in into.unknown]
    boxes, captions = sum(len(each.boxes) for each in pictures), sum(len(each.captions) for each in pictures)
    if not boxes and not captions:
        raise InputError(_nothing(format_, into))
    with new_folder(out) as folder:
        write_coco(into, folder)
        write_left_out(into.left_out, folder)
    files = [out / CAPTIONS] if captions else []
    return Converted(
        images=len(pictures),
        boxes=boxes,
        boxed_categories=len({name for each in pictures for name, _ in each.boxes}),
        captions=captions,
        without_caption=sum(not each.captions for each in pictures if boxes and captions),
        counts=into.counts(),
        notes=into.notes,
        files=[*files, out / INSTANCES] if boxes else files,
        images_dir=into.images.folder,
    )


def _read(format_: str, paths: Sequence[Path], images: Path | None, splits: Sequence[str]) -> Collection:
    if format_ == "yolo":
        if len(paths) > 1:
            raise InputError("convert yolo: give one data.yaml")
        data = yolo.YoloData(paths[0])
        wanted = tuple(splits) or (
            (DEFAULT_SPLIT,) if DEFAULT_SPLIT in data.splits else tuple(data.splits)[:1]
        )
        for split in wanted:
            if split not in data.splits:
                raise InputError(f"--split {split}: {data.path} has {', '.join(data.splits)}")
        into = Collection(ImageFolder(images or data.root))
        yolo.read(data, wanted, into)
        return into
    if images is None:
        raise InputError(f"convert {format_}: give the folder of the images with --images DIR")
    into = Collection(ImageFolder(images))
    if format_ == "metadata":
        metadata.read(into)
    else:
        read = {
            "voc": voc.read,
            "labelme": labelme.read,
            "cvat": cvat.read,
            "label-studio": label_studio.read,
            "csv": tables.read_boxes,
            "captions": tables.read_captions,
            "reports": tables.read_reports,
        }[format_]
        read(paths, into)
    return into


def _nothing(format_: str, into: Collection) -> str:
    found = f"convert {format_}: nothing can be used"
    if not into.left_out:
        return f"{found}: the export has no objects and no text"
    reasons = ", ".join(f"{reason} {count}" for reason, count in into.counts().get("left_out", {}).items())
    first: LeftOut = into.left_out[0]
    where = f"{first.file}, {first.record}" if first.record else first.file
    return f"{found}: {reasons} (the first, {where}: {first.detail})"


__all__ = ["DEFAULT_SPLIT", "FORMATS", "LEFT_OUT", "Converted", "convert"]
