"""What a reader found, checked as it comes: images, boxes, captions, and what had to be left out."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from datagen.convert.images import Fault, ImageFolder, Size
from datagen.convert.shapes import Corners

_SLACK = 1.0
"""Pixels by which a box may reach over the edge and be clipped without a word: rounding, as in `run`."""
_SMALLEST = 1.0
"""Pixels: what is narrower or lower shows nothing, and mostly is fractions taken for pixels."""
_LOST = "\ufffd"
_UNPRINTABLE = re.compile(f"[\x00-\x1f\x7f-\x9f{_LOST}]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Where(NamedTuple):
    """A record of an input file, for a person to find it."""

    file: Path
    record: str
    """`line 3`, `object 2`, `task 17 (region a1b2)`; empty for the file as a whole."""


class LeftOut(NamedTuple):
    """A line of left_out.jsonl."""

    outcome: Literal["left_out", "mended"]
    reason: str
    file: str
    record: str
    detail: str
    image: str | None
    """The image's path below the image folder, where it is known."""


@dataclass(eq=False)
class Picture:
    """An image with what was found about it."""

    name: str
    """Path below the image folder."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    boxes: list[tuple[str, Corners]] = field(default_factory=list)
    """Category and place, in the export's order."""
    uncounted: dict[str, None] = field(default_factory=dict)
    """Categories of which an object had to be left out."""
    captions: list[str] = field(default_factory=list)


def image_id_of(name: str) -> int:
    """An image's id: decided by its path below the image folder alone.

    So the captions and the boxes of one folder meet in `run` though they were converted apart, and
    further images change no id, hence no reply that is paid for. 48 bits, the highest of them set:
    no id of COCO's, which lists of evaluation images have, and none that JSON readers round.
    """
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:6], "big") | 1 << 47


class Collection:
    """Takes what a reader finds, record by record, and keeps what can be used.

    Where a box of a known category cannot be, its category goes into the image's `uncounted`: with
    an object missing, nobody may count the others. Where the category is not known either, the image
    goes into `unknown`: the object may be of any.
    """

    def __init__(self, images: ImageFolder) -> None:
        self.images = images
        self.pictures: dict[str, Picture] = {}
        """By path below the image folder; in the output they are sorted."""
        self.categories: dict[str, None] = {}
        """In the order in which they are declared or met."""
        self.left_out: list[LeftOut] = []
        self.notes: list[str] = []
        """What the user should know and no record is to blame for."""
        self.unknown: dict[str, Where] = {}
        """Images with an object that could not be read, and the first such object."""
        self._spelled: Counter[str] = Counter()
        """How often each category was met."""
        self._met_at: dict[str, Where] = {}
        self._sizes: dict[str, Size | Fault] = {}
        self._ids: dict[int, str] = {}

    def declare(self, labels: Iterable[str]) -> None:
        """Every category that was looked for, in the export's order. That an image has no box of one
        of them then says something."""
        self.categories |= dict.fromkeys(" ".join(label.split()) for label in labels)

    def leave_out(
        self, where: Where, reason: str, detail: str, image: str | None = None, *, mended: bool = False
    ) -> None:
        """Note a record that cannot be used, or that is used after mending."""
        file, record, detail = (printable(text) for text in (str(where.file), where.record, detail))
        self.left_out.append(LeftOut("mended" if mended else "left_out", reason, file, record, detail, image))

    def image(
        self,
        where: Where,
        name: str,
        width: float | None = None,
        height: float | None = None,
        *,
        has_boxes: bool = True,
    ) -> Picture | None:
        """The image of that name, or None with the record left out.

        `width` and `height` are what the export says, in pixels; 0 and None say nothing. An image of
        another size is not the one that was labelled. Boxes are in the pixels as most tools show them,
        which are not those that training sees where EXIF turns the picture.
        """
        found = self.images.find(name)
        if isinstance(found, Fault):
            self.leave_out(where, *found)
            return None
        size = self._sizes.get(found)
        if size is None:
            size = self._sizes[found] = self.images.size(found)
        if isinstance(size, Fault):
            self.leave_out(where, *size, found)
            return None
        if has_boxes and size.is_turned:
            detail = (
                f"{found}: EXIF says to turn it, which training does not: save it upright "
                "(such as by mogrify -auto-orient)"
            )
            self.leave_out(where, "turned_by_exif", detail, found)
            return None
        if (width and width != size.width) or (height and height != size.height):
            detail = (
                f"{found} is {size.width} x {size.height} pixels, and {width or 0:g} x {height or 0:g} "
                "where it was labelled: give the images that were labelled"
            )
            self.leave_out(where, "other_size", detail, found)
            return None
        picture = self.pictures.get(found)
        if picture is None:
            other = self._ids.setdefault(image_id_of(found), found)
            if other != found:
                self.leave_out(where, "same_id", f"{found} would get the id of {other}: rename it", found)
                return None
            picture = self.pictures[found] = Picture(found, size.width, size.height)
        return picture

    def box(
        self, where: Where, picture: Picture, label: object, corners: Corners | None, turned: float = 0
    ) -> None:
        """An object: its label, and the upright rectangle around what was drawn.

        None for a place that cannot be read. `turned` is by how many degrees the rectangle was turned
        that it is drawn around.
        """
        category = self.category(where, picture, label)
        if category is None:
            return
        if corners is None:
            self.lost(where, picture, category, "bad_box", "its place is not finite numbers")
            return
        left, top, right, bottom = corners
        said = f"its box [{left:.6g}, {top:.6g}, {right:.6g}, {bottom:.6g}] (left, top, right, bottom)"
        if not (right > left and bottom > top):
            self.lost(where, picture, category, "bad_box", f"{said} has no area")
            return
        inside = (max(left, 0.0), max(top, 0.0), min(right, picture.width), min(bottom, picture.height))
        image = f"the image of {picture.width} x {picture.height} pixels"
        if not (inside[2] > inside[0] and inside[3] > inside[1]):
            self.lost(where, picture, category, "box_outside_image", f"{said} lies outside {image}")
            return
        if inside[2] - inside[0] < _SMALLEST or inside[3] - inside[1] < _SMALLEST:
            self.lost(where, picture, category, "box_under_a_pixel", f"{said} is less than a pixel across")
            return
        # As many digits as COCO has.
        inside = (round(inside[0], 2), round(inside[1], 2), round(inside[2], 2), round(inside[3], 2))
        if any(place == inside and name.casefold() == category.casefold() for name, place in picture.boxes):
            detail = f"{said} is a copy of one before it"
            self.leave_out(where, "duplicate_box", detail, picture.name)
            return
        picture.boxes.append((category, inside))
        if turned:
            detail = f"it was turned by {turned:g} degrees; the upright box around it is kept"
            self.leave_out(where, "turned_box", detail, picture.name, mended=True)
        if max(-left, -top, right - picture.width, bottom - picture.height) > _SLACK:
            detail = f"{said} reaches out of {image}; clipped"
            self.leave_out(where, "box_clipped", detail, picture.name, mended=True)

    def category(self, where: Where, picture: Picture, label: object) -> str | None:
        """A label as the name of a category; None with the record left out."""
        name = " ".join(label.split()) if isinstance(label, str) else ""
        if not name:
            self.unreadable(where, picture, "no_label", "it has no label")
        elif _UNPRINTABLE.search(name) or _SURROGATE.search(name):
            detail = f"its label {name!a} has characters that a name should not have"
            self.unreadable(where, picture, "bad_label", detail)
        else:
            self.categories.setdefault(name)
            self._spelled[name] += 1
            self._met_at.setdefault(name, where)
            return name
        return None

    def unreadable(self, where: Where, picture: Picture, reason: str, detail: str) -> None:
        """An object of which not even the category is known."""
        self.unknown.setdefault(picture.name, where)
        self.leave_out(where, reason, detail, picture.name)

    def lost(self, where: Where, picture: Picture, category: str, reason: str, detail: str) -> None:
        """An object of a known category that cannot be used."""
        picture.uncounted.setdefault(category)
        self.leave_out(where, reason, detail, picture.name)

    def caption(self, where: Where, picture: Picture, text: object) -> None:
        """A caption, or a report."""
        caption = text.strip() if isinstance(text, str) else ""
        if not caption:
            self.leave_out(where, "empty_caption", "it has no text", picture.name)
        elif _LOST in caption or _SURROGATE.search(caption):
            detail = "characters of it were lost in a wrong encoding: save the file as UTF-8 again"
            self.leave_out(where, "bad_caption", detail, picture.name)
        elif caption in picture.captions:
            self.leave_out(where, "duplicate_caption", "the image has it already", picture.name)
        else:
            picture.captions.append(caption)

    def finish(self) -> None:
        """To be called once, after the last record."""
        self._merge_spellings()
        for name, where in sorted(self.unknown.items()):
            if (picture := self.pictures.get(name)) is None:
                continue
            detail = "one of its objects could not be read, so nothing can be said to be absent or counted"
            self.leave_out(where, "unknown_object", detail, name)
            # Still listed: of an image with captions that the instances file lacks, `run` would take it
            # that it has nothing.
            picture.boxes.clear()
            picture.uncounted = dict.fromkeys(self.categories)

    def _merge_spellings(self) -> None:
        """One category of those whose names differ in nothing but capitals."""
        alike: dict[str, list[str]] = {}
        for name in self.categories:
            alike.setdefault(name.casefold(), []).append(name)
        kept: dict[str, str] = {}
        for names in alike.values():
            names.sort(key=lambda name: (-self._spelled[name], name))
            kept |= dict.fromkeys(names, names[0])
            for name in names[1:]:
                if name in self._met_at:
                    detail = f"{name!r} ({self._spelled[name]:,}) is taken for {names[0]!r}"
                    self.leave_out(self._met_at[name], "label_case", detail, mended=True)
            if len(names) > 1:
                told = ", ".join(f"{name} {self._spelled[name]:,}" for name in names)
                self.notes.append(f"one category, not {len(names)}, as only capitals differ: {told}")
        self.categories = dict.fromkeys(kept[name] for name in self.categories)
        for picture in self.pictures.values():
            picture.boxes = [(kept[name], place) for name, place in picture.boxes]
            picture.uncounted = dict.fromkeys(kept[name] for name in picture.uncounted)

    def counts(self) -> dict[str, dict[str, int]]:
        """By outcome, then reason, the most frequent first: how many lines of left_out.jsonl."""
        counted = Counter((line.outcome, line.reason) for line in self.left_out)
        found: dict[str, dict[str, int]] = {}
        for (outcome, reason), count in counted.most_common():
            found.setdefault(outcome, {})[reason] = count
        return found


def printable(text: str) -> str:
    """On one line, and in UTF-8 whatever bytes a path has."""
    return text.encode(errors="backslashreplace").decode().replace("\n", "\\n")
