"""Ultralytics YOLO: data.yaml, images/…, labels/… with a text file an image.

A label line is a class index, then fractions of width and height: a box (centre x, centre y, width,
height), an outline (x y x y …, also the four corners of an oriented box), or, where data.yaml has
`kpt_shape`, a box and keypoints. https://docs.ultralytics.com/datasets/
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datagen.convert.collection import Collection, Picture, Where
from datagen.convert.files import read_text
from datagen.convert.images import Fault, pictures_below
from datagen.convert.shapes import Corners, around, number, numbers, what_is_no_number
from datagen.records import InputError

SPLITS = ("train", "val", "test")
_FAR_OUTSIDE = 2.0
"""Widths or heights of the image: what reaches further was not drawn on it, and mostly is in pixels."""
_CLASSES = "classes.txt"
"""labelImg's list of class names, which it writes beside the labels."""


class YoloData:
    """A data.yaml. Raises InputError when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path / "data.yaml" if path.is_dir() else path
        config = _read_yaml(self.path)
        self.names = _names(config.get("names"), self.path)
        shape = config.get("kpt_shape")
        self.keypoint_numbers = math.prod(shape) if isinstance(shape, list) and _is_shape(shape) else 0
        """Numbers that follow the box in a line, for keypoints."""
        self.splits: dict[str, list[str]] = {}
        for split in SPLITS:
            value = config.get(split)
            entries = value if isinstance(value, list) else [value] if value else []
            if entries:
                self.splits[split] = [str(entry) for entry in entries]
        if not self.splits:
            raise InputError(f"{self.path}: names no images: it needs train, val or test")
        root = config.get("path")
        # `path` is where the data set lay when it was written, often on another machine.
        stated = [self.path.parent / str(root)] if root else []
        self._roots = [each for each in (*stated, self.path.parent) if each.is_dir()]
        first = next(iter(self.splits))
        self.root = self._place(first, self.splits[first][0])[0]
        """The folder that the images are looked for in, unless another is given."""

    def pictures(self, split: str) -> list[Path]:
        """The image files of a split, in order. Raises InputError."""
        found: list[Path] = []
        for entry in self.splits[split]:
            _, place = self._place(split, entry)
            if place.is_dir():
                names = pictures_below(place)
                if not names:
                    raise InputError(f"{self.path}: {split}: {place} holds no picture")
                found += [place / name for name in names]
            else:
                lines = [line.strip() for line in read_text(place).splitlines()]
                # A relative line is so to the list, as ultralytics has it.
                found += [place.parent / line for line in lines if line]
        return list(dict.fromkeys(found))

    def _place(self, split: str, entry: str) -> tuple[Path, Path]:
        """The folder that a split's folder or list is found from, and the folder or list itself."""
        for root in self._roots:
            # Roboflow writes ../train/images for what lies beside data.yaml.
            for name in (entry, entry.removeprefix("../")):
                if (root / name).exists():
                    return root, root / name
        raise InputError(f"{self.path}: {split}: {entry} is not there (looked in {self._roots[0]})")


def read(data: YoloData, splits: Sequence[str], into: Collection) -> None:
    """Read the images of some splits and their labels."""
    into.declare(data.names.values())
    base = _absolute(into.images.folder)
    label_files: set[Path] = set()
    for split in splits:
        for image in data.pictures(split):
            absolute = _absolute(image)
            # An image that is named but not there is looked for, as one from another machine's list.
            name = (
                absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else image.as_posix()
            )
            picture = into.image(Where(image, ""), name)
            labels = labels_of(image if picture is None or image.exists() else base / picture.name)
            label_files.add(labels)
            # No label file, and an empty one, say that there is nothing to see.
            if picture is not None and labels.is_file() and labels.read_bytes().strip():
                _read_labels(data, labels, picture, into)
    if into.pictures and not any(labels.is_file() for labels in label_files):
        raise InputError(
            f"{data.path}: no image has a label file (looked for {min(label_files)}, and so on): labels lie "
            "beside the images, or in `labels` where these lie in `images`"
        )
    for folder in sorted({labels.parent for labels in label_files}):
        for labels in sorted(set(folder.glob("*.txt")) - label_files - {folder / _CLASSES}):
            missing = into.images.find(f"{folder.name}/{labels.stem}")
            if isinstance(missing, Fault) and missing.reason == "image_not_found":
                into.leave_out(Where(labels, ""), *missing)
    if others := [split for split in data.splits if split not in splits]:
        into.notes.append(f"not converted: {', '.join(others)} (choose with --split)")


def labels_of(image: Path) -> Path:
    """Where ultralytics looks for an image's labels: the last `images` of its path becomes `labels`."""
    parts = list(image.with_suffix(".txt").parts)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at] == "images":
            parts[at] = "labels"
            break
    return Path(*parts)


def _read_labels(data: YoloData, labels: Path, picture: Picture, into: Collection) -> None:
    try:
        text = read_text(labels)
    except InputError as error:
        into.leave_out(Where(labels, ""), "unreadable_file", str(error), picture.name)
        # Whatever it names is there and cannot be counted.
        picture.uncounted |= dict.fromkeys(data.names.values())
        return
    for line_number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            _read_line(data, Where(labels, f"line {line_number}"), line.split(), picture, into)


def _read_line(data: YoloData, where: Where, words: list[str], picture: Picture, into: Collection) -> None:
    index = number(words[0])
    if index is None or not index.is_integer():
        into.unreadable(where, picture, "bad_line", f"{words[0]!r} is no class index")
        return
    label = data.names.get(int(index))
    if label is None:
        detail = f"class {index:g}, and {data.path.name} names {_range(data.names)}"
        into.unreadable(where, picture, "unknown_label", detail)
        return
    count = len(words) - 1
    is_box = count == 4 or (data.keypoint_numbers and count == 4 + data.keypoint_numbers)
    if not is_box and (count < 6 or count % 2):
        detail = f"{count} numbers after the class: a box has 4, an outline an even number from 6 on"
        if (category := into.category(where, picture, label)) is not None:
            into.lost(where, picture, category, "bad_line", detail)
        return
    corners: Corners | None
    if (fractions := numbers(words[1:])) is None:
        if (category := into.category(where, picture, label)) is not None:
            into.lost(where, picture, category, "bad_box", what_is_no_number(words[1:]))
        return
    if is_box:
        x, y, width, height = fractions[:4]
        # A negative width would come out as a box the other way round.
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        corners = around(zip(fractions[::2], fractions[1::2], strict=True))
    assert corners is not None
    left, top, right, bottom = corners
    if left >= 1 or top >= 1 or max(right, bottom) > _FAR_OUTSIDE:
        if (category := into.category(where, picture, label)) is not None:
            said = " ".join(words[1 : 5 if is_box else None])
            detail = f"its numbers are above 1 ({said}); YOLO has fractions of width and height"
            into.lost(where, picture, category, "bad_box", detail)
        return
    width, height = picture.width, picture.height
    into.box(where, picture, label, (left * width, top * height, right * width, bottom * height))


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    text = read_text(path)
    try:
        config = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{path}: {at}is not YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(config, dict) or "names" not in config:
        raise InputError(f"{path}: has no `names`: give the data.yaml of an ultralytics data set")
    return config


def _names(value: object, path: Path) -> dict[int, str]:
    """Class index to name."""
    items = list(enumerate(value)) if isinstance(value, list) else []
    if isinstance(value, dict):
        items = [(key, name) for key, name in value.items()]
    names = {}
    for key, name in items:
        index = number(key)
        if (
            index is None
            or not index.is_integer()
            or not isinstance(name, (str, int))
            or not str(name).strip()
        ):
            raise InputError(f"{path}: names: {key}: {name!r} is not the name of a class")
        names[int(index)] = " ".join(str(name).split())
    if not names:
        raise InputError(f"{path}: names: must be a list of class names, or a table of index to name")
    return names


def _is_shape(value: list[Any]) -> bool:
    return len(value) == 2 and all(type(each) is int for each in value)


def _range(names: dict[int, str]) -> str:
    return f"{min(names)} to {max(names)}" if len(names) == max(names) - min(names) + 1 else f"{len(names)}"


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))
