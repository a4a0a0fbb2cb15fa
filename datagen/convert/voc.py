"""Pascal VOC: an XML file an image, with named boxes. Also roLabelImg's turned boxes (`robndbox`).

Corners are taken as they stand, as nearly every tool writes them; in the challenge's own files they
count pixels from 1, so that boxes come out a pixel off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from datagen.convert.collection import Collection, Picture, Where
from datagen.convert.files import files_in, read_xml
from datagen.convert.shapes import Corners, around_turned, number, numbers
from datagen.records import InputError


def read(paths: Sequence[Path], into: Collection) -> None:
    """Read XML files, and those below folders."""
    for path in files_in(paths, ".xml"):
        where = Where(path, "")
        try:
            root = read_xml(path)
            if root.tag != "annotation":
                raise InputError(f"{path}: is not Pascal VOC: its root is <{root.tag}>, not <annotation>")
        except InputError as error:
            into.leave_out(where, "unreadable_file", str(error))
            continue
        name = (root.findtext("filename") or "").strip() or path.stem
        picture = into.image(
            where, name, number(root.findtext("size/width")), number(root.findtext("size/height"))
        )
        if picture is None:
            continue
        for position, each in enumerate(root.findall("object"), 1):
            _read_object(Where(path, f"object {position}"), each, picture, into)


def _read_object(where: Where, element: Element, picture: Picture, into: Collection) -> None:
    corners: Corners | None = None
    degrees = 0.0
    if (box := element.find("bndbox")) is not None:
        read = numbers(box.findtext(name) for name in ("xmin", "ymin", "xmax", "ymax"))
        corners = (read[0], read[1], read[2], read[3]) if read else None
    elif (box := element.find("robndbox")) is not None:
        read = numbers(box.findtext(name) for name in ("cx", "cy", "w", "h", "angle"))
        if read:
            x, y, width, height, angle = read
            degrees = math.degrees(angle)
            upright = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            corners = around_turned(upright, degrees, (x, y))
    into.box(where, picture, element.findtext("name"), corners, round(degrees, 2))
