"""LabelMe: a JSON file an image, with labelled shapes.

https://github.com/wkentaro/labelme. Shapes of one label and one `group_id` are parts of one object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datagen.convert.collection import Collection, Picture, Where
from datagen.convert.files import files_in, read_json
from datagen.convert.shapes import Corners, around, number, numbers
from datagen.records import InputError

_OUTLINES = ("polygon", "rectangle", "mask", "oriented_rectangle")
"""Of a rectangle and a mask, two opposite corners are given."""


def read(paths: Sequence[Path], into: Collection) -> None:
    """Read JSON files, and those below folders."""
    for path in files_in(paths, ".json"):
        where = Where(path, "")
        try:
            content = read_json(path)
            if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
                raise InputError(f"{path}: is not LabelMe's JSON: it has no list of shapes")
        except InputError as error:
            into.leave_out(where, "unreadable_file", str(error))
            continue
        name = content.get("imagePath")
        if not isinstance(name, str) or not name.strip():
            name = path.stem
        size = number(content.get("imageWidth")), number(content.get("imageHeight"))
        if (picture := into.image(where, name, *size)) is not None:
            _read_shapes(path, content["shapes"], picture, into)


def _read_shapes(path: Path, shapes: list[Any], picture: Picture, into: Collection) -> None:
    parts: dict[tuple[str, str], list[Corners]] = {}
    grouped_at: dict[tuple[str, str], Where] = {}
    for position, shape in enumerate(shapes, 1):
        where = Where(path, f"shape {position}")
        if not isinstance(shape, dict):
            into.unreadable(where, picture, "bad_shape", "it is not an object")
            continue
        label = shape.get("label")
        kind = shape.get("shape_type") or "polygon"  # as old files without one mean
        if kind not in (*_OUTLINES, "circle"):
            if (category := into.category(where, picture, label)) is not None:
                detail = f"a {kind} has no area: no box can be drawn around its object"
                into.lost(where, picture, category, "unsupported_shape", detail)
            continue
        corners = _around_shape(kind, shape.get("points"))
        group = shape.get("group_id")
        if group is None or corners is None or not isinstance(label, str):
            into.box(where, picture, label, corners)
        else:
            key = (label, str(group))
            grouped_at.setdefault(key, where)
            parts.setdefault(key, []).append(corners)
    for key, boxes in parts.items():
        whole = around(point for box in boxes for point in (box[:2], box[2:]))
        into.box(grouped_at[key], picture, key[0], whole)


def _around_shape(kind: str, points: object) -> Corners | None:
    if not isinstance(points, list) or not all(isinstance(each, list) and len(each) == 2 for each in points):
        return None
    read = numbers(coordinate for point in points for coordinate in point)
    if read is None or len(read) < 4:
        return None
    if kind == "circle":
        x, y, edge_x, edge_y = read[:4]
        radius = math.hypot(edge_x - x, edge_y - y)
        return (x - radius, y - radius, x + radius, y + radius)
    return around(zip(read[::2], read[1::2], strict=True))
