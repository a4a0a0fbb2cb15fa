"""CVAT for images 1.1: one XML file with all images.

https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/. Polygons and masks of one label and
one group are parts of one object, as CVAT's own COCO export has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from datagen.convert.collection import Collection, Where
from datagen.convert.files import read_xml
from datagen.convert.shapes import Corners, around, around_ellipse, around_turned, number, numbers
from datagen.records import InputError

_WITHOUT_AREA = ("polyline", "points", "skeleton")
_NOT_DRAWN = ("tag", *_WITHOUT_AREA)
"""Types of labels of which no box can come."""
_CUBOID_CORNERS = ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2")


def read(paths: Sequence[Path], into: Collection) -> None:
    """Read XML files. Raises InputError for one that is of another form."""
    for path in paths:
        root = read_xml(path)
        if root.tag != "annotations":
            raise InputError(f"{path}: is not CVAT's XML: its root is <{root.tag}>, not <annotations>")
        if root.find("track") is not None:
            raise InputError(f"{path}: is CVAT for video: export as CVAT for images 1.1")
        if root.find("image") is None:
            raise InputError(f"{path}: has no images: export as CVAT for images 1.1")
        # A task, a job or a project has the labels, each in a place of its own.
        labels = root.findall("./meta/*/labels/label") or root.findall("./meta//labels/label")
        named = [
            name
            for label in labels
            if (name := label.findtext("name") or "").strip()
            and label.findtext("type") not in _NOT_DRAWN
            and label.find("parent") is None  # a skeleton's point
        ]
        into.declare(named)
        for image in root.findall("image"):
            _read_image(path, image, into)


def _read_image(path: Path, image: Element, into: Collection) -> None:
    name = image.get("name", "")
    at = f"image {image.get('id', '')} ({name})"
    size = number(image.get("width")), number(image.get("height"))
    if (picture := into.image(Where(path, at), name, *size)) is None:
        return
    parts: dict[tuple[str, str], list[Corners]] = {}
    grouped_at: dict[tuple[str, str], Where] = {}
    for position, shape in enumerate(image, 1):
        where, label = Where(path, f"{at}: {shape.tag} {position}"), shape.get("label")
        if shape.tag == "tag":
            into.leave_out(where, "not_drawn", f"the tag {label!r} is of the whole image", picture.name)
            continue
        if shape.tag in _WITHOUT_AREA:
            if (category := into.category(where, picture, label)) is not None:
                detail = f"{shape.tag} has no area: no box can be drawn around its object"
                into.lost(where, picture, category, "unsupported_shape", detail)
            continue
        degrees = number(shape.get("rotation", "0"))
        corners = _around_shape(shape, degrees) if degrees is not None else None
        group = shape.get("group_id") or "0"
        if shape.tag in ("polygon", "mask") and group != "0" and label and corners is not None:
            grouped_at.setdefault((label, group), where)
            parts.setdefault((label, group), []).append(corners)
        else:
            into.box(where, picture, label, corners, (degrees or 0) if shape.tag == "box" else 0)
    for key, boxes in parts.items():
        whole = around(point for box in boxes for point in (box[:2], box[2:]))
        into.box(grouped_at[key], picture, key[0], whole)


def _around_shape(shape: Element, degrees: float) -> Corners | None:
    if shape.tag == "box":
        read = numbers(shape.get(side) for side in ("xtl", "ytl", "xbr", "ybr"))
        if read is None:
            return None
        left, top, right, bottom = read
        # CVAT turns a box about its centre.
        pivot = ((left + right) / 2, (top + bottom) / 2)
        return (
            around_turned((left, top, right, bottom), degrees, pivot)
            if degrees
            else (left, top, right, bottom)
        )
    if shape.tag == "ellipse":
        read = numbers(shape.get(name) for name in ("cx", "cy", "rx", "ry"))
        return around_ellipse(read[0], read[1], read[2], read[3], degrees) if read else None
    if shape.tag == "mask":
        read = numbers(shape.get(name) for name in ("left", "top", "width", "height"))
        return (read[0], read[1], read[0] + read[2], read[1] + read[3]) if read else None
    if shape.tag == "cuboid":
        points = [[shape.get(f"{axis}{corner}") for axis in "xy"] for corner in _CUBOID_CORNERS]
    else:
        points = [list(point.split(",")) for point in shape.get("points", "").split(";")]
    if any(len(point) != 2 for point in points):
        return None
    flat = numbers(coordinate for point in points for coordinate in point)
    return around(zip(flat[::2], flat[1::2], strict=True)) if flat else None
