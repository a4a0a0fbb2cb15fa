"""Label Studio's JSON export: rectangles, ellipses and polygons as boxes, free text as captions.

https://labelstud.io/guide/task_format. Of several annotations of one task the ground truth counts,
else the one that was changed last: together they would show every object twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from datagen.convert.collection import Collection, Picture, Where
from datagen.convert.files import read_json
from datagen.convert.images import Fault, ImageFolder
from datagen.convert.shapes import Corners, around, around_ellipse, around_turned, number, numbers
from datagen.records import InputError

_UPLOADED = re.compile(r"[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""
_ENDING = re.compile(r"\.(?:jpe?g|png|webp|bmp|gif|tiff?|avif|jp2)\Z", re.IGNORECASE)


def read(paths: Sequence[Path], into: Collection) -> None:
    """Read JSON files. Raises InputError for one that is of another form."""
    for path in paths:
        tasks = read_json(path)
        if not isinstance(tasks, list) or not tasks:
            raise InputError(f"{path}: is not Label Studio's JSON, a list of tasks")
        if not any(isinstance(task, dict) and "annotations" in task for task in tasks):
            raise InputError(f"{path}: no task has annotations: export as JSON, not as JSON-MIN")
        for position, task in enumerate(tasks, 1):
            _read_task(path, position, task, into)


def _read_task(path: Path, position: int, task: Any, into: Collection) -> None:
    at = f"task {task.get('id', position) if isinstance(task, dict) else position}"
    where = Where(path, at)
    data = task.get("data") if isinstance(task, dict) else None
    annotations = task.get("annotations") if isinstance(task, dict) else None
    if not isinstance(data, dict) or not isinstance(annotations, list):
        into.leave_out(where, "bad_task", "it has no data or no annotations")
        return
    names = _image_names(data)
    if len(names) != 1:
        detail = f"its data has {len(names)} images, and has to have one"
        into.leave_out(where, "image_not_found" if not names else "several_images", detail)
        return
    results = _results(where, annotations, into)
    if results is None:
        return
    sizes = [(number(each.get("original_width")), number(each.get("original_height"))) for each in results]
    size = next((each for each in sizes if all(each)), (None, None))
    name = _name_in(into.images, names[0])
    picture = into.image(where, name, *size, has_boxes=any(map(_is_drawn, results)))
    if picture is not None:
        _read_results(where, results, picture, into)


def _results(where: Where, annotations: list[Any], into: Collection) -> list[dict[str, Any]] | None:
    """What the annotation that counts found, or None with the task left out."""
    finished = [each for each in annotations if isinstance(each, dict) and not each.get("was_cancelled")]
    if not finished:
        why = "its annotation was cancelled" if annotations else "it has no annotation"
        into.leave_out(where, "not_annotated", why)
        return None
    best = max(finished, key=lambda each: (bool(each.get("ground_truth")), str(each.get("updated_at") or "")))
    for each in finished:
        if each is not best:
            other = Where(where.file, f"{where.record} (annotation {each.get('id')})")
            detail = f"annotation {best.get('id')} of the same task counts"
            into.leave_out(other, "another_annotation", detail)
    results = best.get("result")
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        into.leave_out(where, "bad_task", "its result is not a list of objects")
        return None
    return results


def _read_results(where: Where, results: list[dict[str, Any]], picture: Picture, into: Collection) -> None:
    # A region and its labels may be two results with one id; so may be a region and the text about it.
    regions: dict[str, list[dict[str, Any]]] = {}
    for position, result in enumerate(results):
        if result.get("type") != "relation":
            regions.setdefault(str(result.get("id") or f"#{position}"), []).append(result)
    for region_id, parts in regions.items():
        at = Where(where.file, f"{where.record} (region {region_id})")
        texts = [part for part in parts if part.get("type") == "textarea"]
        drawn = [part for part in parts if part.get("type") != "textarea" and _is_drawn(part)]
        if drawn:
            _read_region(at, drawn, picture, into)
        if texts and (drawn or any(map(_is_drawn, texts))):
            detail = "the text is about a region, not about the image"
            into.leave_out(at, "text_of_a_region", detail, picture.name)
        elif texts:
            for part in texts:
                text = _value(part).get("text")
                for each in text if isinstance(text, list) else [text]:
                    into.caption(at, picture, each)
        elif not drawn:
            detail = f"{parts[0].get('type')} is of the whole image"
            into.leave_out(at, "not_drawn", detail, picture.name)


def _read_region(where: Where, parts: list[dict[str, Any]], picture: Picture, into: Collection) -> None:
    labels = dict.fromkeys(label for part in parts for label in _labels(part))
    part = parts[0]
    value = _value(part)
    degrees = number(value.get("rotation") or 0)
    if any(number(each.get("image_rotation") or 0) for each in parts):
        # Which way round the percentages then run is not documented.
        fault = Fault("image_turned", "the image was turned while it was labelled")
    elif str(part.get("type")).startswith(("brush", "keypoint", "bitmask", "vector")):
        fault = Fault("unsupported_shape", f"no box is drawn around {part['type']}")
    else:
        fault = None
    for label in labels or (None,):
        if fault is None:
            corners = _around_region(value, degrees, picture) if degrees is not None else None
            into.box(where, picture, label, corners, (degrees or 0) if "width" in value else 0)
        elif (category := into.category(where, picture, label)) is not None:
            into.lost(where, picture, category, *fault)


def _around_region(value: dict[str, Any], degrees: float, picture: Picture) -> Corners | None:
    """The box around a region, whose numbers are percentages of the image's width and height."""
    across, down = picture.width / 100, picture.height / 100
    if isinstance(points := value.get("points"), list):
        if not all(isinstance(each, list) and len(each) == 2 for each in points):
            return None
        read = numbers(coordinate for point in points for coordinate in point)
        return (
            around((x * across, y * down) for x, y in zip(read[::2], read[1::2], strict=True))
            if read
            else None
        )
    if "radiusX" in value:
        read = numbers(value.get(name) for name in ("x", "y", "radiusX", "radiusY"))
        if read is None:
            return None
        return around_ellipse(read[0] * across, read[1] * down, read[2] * across, read[3] * down, degrees)
    read = numbers(value.get(name) for name in ("x", "y", "width", "height"))
    if read is None:
        return None
    left, top = read[0] * across, read[1] * down
    corners = (left, top, left + read[2] * across, top + read[3] * down)
    # Label Studio turns a rectangle about its top left corner.
    return around_turned(corners, degrees, (left, top)) if degrees else corners


def _value(result: dict[str, Any]) -> dict[str, Any]:
    value = result.get("value")
    return value if isinstance(value, dict) else {}


def _is_drawn(result: dict[str, Any]) -> bool:
    return not {"x", "points", "rle", "format"}.isdisjoint(_value(result))


def _labels(result: dict[str, Any]) -> list[str]:
    """A result's labels stand under its type: `rectanglelabels`, `labels`."""
    labels = _value(result).get(str(result.get("type")))
    return [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []


def _image_names(data: dict[str, Any]) -> list[str]:
    """The task's images: under `image` as in nearly every template, else what looks like one."""
    if isinstance(data.get("image"), str):
        return [data["image"]]
    return [
        value
        for value in data.values()
        if isinstance(value, str) and not value.startswith("data:") and _ENDING.search(_path_of(value))
    ]


def _path_of(value: str) -> str:
    """The path in an address, or what the address of a served local file asks for."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return value
    asked = parse_qs(parts.query).get("d")
    return asked[0] if asked else unquote(parts.path)


def _name_in(images: ImageFolder, value: str) -> str:
    """The name to look an image up by."""
    if not isinstance(images.find(value), Fault):
        return value
    path = _path_of(value)
    base = path.rpartition("/")[2]
    if not isinstance(images.find(path), Fault):
        return path
    if "/upload/" in path or value.startswith(("http:", "https:")):
        # Where such a file lies at the server says nothing of where it lies here.
        bare = _UPLOADED.sub("", base, count=1) if _UPLOADED.match(base) else base
        return base if not isinstance(images.find(base), Fault) else bare
    return path
