"""COCO annotation files in, one `ImageAnnotation` per image out.

A file is decoded over a memory map straight into small typed records, so polygons and whatever else
is not used are stepped over and never become Python objects. Only a file in which that fails, or in
which a box has to be measured from its segmentation, is gone through again, record by record.

Bad input is met in one of three ways, each saying where it stands and what is wrong:

- a file that cannot be used, or that would contribute nothing, raises `InputError`;
- an image that cannot be used comes out as `Excluded`;
- a record that cannot be used is left out, or mended, and listed in `Annotations.left_out`.
"""

from __future__ import annotations

import codecs
import gc
import json
import math
import mmap
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from datagen.records import Box, CategoryStatistics, Excluded, ImageAnnotation, InputError, LeftOut

_Kind = Literal["captions", "instances"]
_Section = Literal["images", "categories", "annotations"]
_SECTIONS: tuple[_Section, ...] = ("images", "categories", "annotations")

_SLACK = 1.0
"""Pixels by which a box may reach over its image's edge and be clipped without a word: rounding."""
_LONGEST_SIDE = 2**31 - 1
"""Pixels. No image is wider, and arithmetic on it stays exact."""
_LONGEST_OUTLINE = 4_000_000
"""Pixels around a polygon that is to be measured, which takes 40 bytes for each, or from it to the origin."""
_LOST = "\ufffd"
"""Unicode's replacement character: another stood here, until some program read it in a wrong encoding."""
_UNPRINTABLE = re.compile(f"[\x00-\x1f\x7f-\x9f{_LOST}]")
_MOST_TOGETHER = 12
"""Companions of a category that are of use to anybody."""
_COCO_NAME = re.compile(r"(?:COCO_(?:train|val|test)201[45]_)?(?P<number>\d{12}\.\w+)")

# What is kept of a file. Decoding steps over every field that is not named here.

_Id = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # what fits a database column


class _Image(msgspec.Struct, gc=False):
    id: _Id
    file_name: str | None = None
    width: int | None = None
    height: int | None = None


class _Caption(msgspec.Struct, gc=False):
    id: _Id
    image_id: _Id
    caption: str


class _Corners(msgspec.Struct, gc=False, array_like=True, forbid_unknown_fields=True):
    """A `bbox`: a JSON array of exactly these four, in pixels."""

    x: float
    y: float
    width: float
    height: float


class _Instance(msgspec.Struct, gc=False):
    id: _Id
    image_id: _Id
    category_id: _Id
    bbox: _Corners | None = None
    """None while it is still to be measured, and where there is none to be had, which a note says then."""
    iscrowd: int | bool | None = None


class _Category(msgspec.Struct, gc=False):
    id: _Id
    name: str


class _CaptionsFile(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Caption]


class _InstancesFile(msgspec.Struct):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Instance]


class _RawFile(msgspec.Struct):
    """Any COCO file, its lists still JSON. An absent list is no bytes at all."""

    images: msgspec.Raw = msgspec.Raw()
    categories: msgspec.Raw = msgspec.Raw()
    annotations: msgspec.Raw = msgspec.Raw()


_Annotation = TypeVar("_Annotation", _Caption, _Instance)
_Record = TypeVar("_Record", _Image, _Category, _Caption, _Instance)


@dataclass(eq=False)
class _Source(Generic[_Annotation]):
    """One annotation file as read. Places in its lists are places in the file; None is a record left out."""

    path: Path
    kind: _Kind
    data: memoryview
    """The file's bytes, for as long as anything is still to be read from them."""
    images: list[_Image | None] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    """Images whose id could be read and something else could not."""
    categories: dict[int, str] = field(default_factory=dict)
    annotations: list[_Annotation | None] = field(default_factory=list)
    of_image: dict[int, list[int]] = field(default_factory=dict)
    """Image id to the places of its annotations, ascending."""
    notes: dict[tuple[int, int], LeftOut] = field(default_factory=dict)
    """By section and place: one for a record, the last thing found out about it."""

    def note(
        self,
        section: _Section,
        place: int,
        record_id: int | None,
        reason: str,
        detail: str,
        image_id: int | None = None,
    ) -> None:
        record = f"{section}[{place}]" + ("" if record_id is None else f" (id {record_id})")
        note = LeftOut(_shown(self.path), record, reason, detail, image_id)
        self.notes[_SECTIONS.index(section), place] = note

    def notes_on(self, section: _Section) -> dict[int, LeftOut]:
        """Place to note, in file order."""
        rank = _SECTIONS.index(section)
        return {place: self.notes[rank, place] for at, place in sorted(self.notes) if at == rank}

    def drop(self, place: int, reason: str, detail: str) -> None:
        """Leave an annotation out."""
        annotation = self.annotations[place]
        assert annotation is not None
        self.note("annotations", place, annotation.id, reason, detail, annotation.image_id)
        self.annotations[place] = None


def read_annotations(captions: Sequence[Path], instances: Sequence[Path]) -> Annotations:
    """Read COCO captions files and COCO instances files. Either list may be empty, not both.

    An image id means the same picture in every file that lists it. `InputError` when a file cannot be
    used or none of its annotations can, when there is no image or no annotation at all, and when both
    kinds are given and no image has annotations of both.
    """
    if not captions and not instances:
        raise InputError("no annotation files: give --captions FILE, --instances FILE, or both")
    with _garbage_collection_paused():
        return Annotations(
            [_read_captions_file(path) for path in captions],
            [_read_instances_file(path) for path in instances],
        )


class Annotations:
    """The annotations of a data set, by image. Made by `read_annotations`.

    Held in memory is one small record per caption and box; each `ImageAnnotation` is built and its
    captions and boxes checked when it is asked for. What that leaves out or mends:

    - `duplicate_annotation`: same id, image and content as one before it, in whichever file, as when
      a file is given twice. The copy is left out.
    - `duplicate_id`: same id as a different annotation of the same file. Ids decide nothing here but
      the order, so both are kept, and it is noted once. Several files may use the same ids freely.
    - `bad_box`, `box_outside_image`: the box is left out, and its category goes into `uncounted`.
      So do the categories of instances files that do not list the image, unless one that does has them:
      nobody looked for them in it.
    - `box_clipped`: the box reached over the image's edge by more than a pixel. Kept, clipped.
    """

    image_ids: list[int]
    """Ascending: every image that any file lists, whether it can be used or not."""
    categories: list[str]
    """The names that every instances file annotates, in the first one's order: where an image has no
    box of one of these, that says something."""

    def __init__(
        self, captions: Sequence[_Source[_Caption]], instances: Sequence[_Source[_Instance]]
    ) -> None:
        """Takes over the sources. `InputError` as `read_annotations` says."""
        self._captions = captions
        self._instances = instances
        self._images = _merged_images([*captions, *instances])
        self.image_ids = sorted(self._images)
        named = [dict.fromkeys(file.categories.values()) for file in instances]
        self._looked_for = [
            ({image.id for image in file.images if image is not None}, names)
            for file, names in zip(instances, named, strict=True)
        ]
        self.categories = (
            [name for name in named[0] if all(name in other for other in named)] if named else []
        )
        for captions_file in captions:
            _index(captions_file, self._images)
        for instances_file in instances:
            _measure_missing_boxes(instances_file, self._images)
            _index(instances_file, self._images)
        for files in (captions, instances):
            if files and not any(file.of_image for file in files):
                raise _unusable(files, f"no annotations at all; give {files[0].kind} files that have some")
        if captions and instances:
            captioned = {image_id for file in captions for image_id in file.of_image}
            if all(captioned.isdisjoint(file.of_image) for file in instances):
                problem = "no image in common has both captions and boxes; give files about the same images"
                raise _unusable([*captions, *instances], problem)

    @property
    def left_out(self) -> list[LeftOut]:
        """What was left out or mended so far, file by file (captions first), each in the file's order.

        Complete once every image has been read.
        """
        files: list[_Source[Any]] = [*self._captions, *self._instances]
        return [file.notes[key] for file in files for key in sorted(file.notes)]

    def statistics(self) -> CategoryStatistics:
        """How often the categories, and each two of them together, are boxed; takes a pass over all boxes."""
        boxed: dict[int, set[str]] = {}
        for file in self._instances:
            for image_id, places in file.of_image.items():
                found = (file.annotations[place] for place in places)
                names = {file.categories[each.category_id] for each in found if each is not None}
                boxed.setdefault(image_id, set()).update(names)
        # By name where the numbers are equal, so that the order of files and images decides nothing.
        images = Counter(name for names in boxed.values() for name in names)
        pairs = Counter(pair for names in boxed.values() for pair in combinations(sorted(names), 2))
        together: dict[str, list[tuple[int, str]]] = {}
        for (first, second), count in pairs.items():
            together.setdefault(first, []).append((-count, second))
            together.setdefault(second, []).append((-count, first))
        return CategoryStatistics(
            tuple(sorted(images, key=lambda name: (-images[name], name))),
            {
                name: tuple(other for _, other in sorted(others)[:_MOST_TOGETHER])
                for name, others in sorted(together.items())
            },
        )

    def __len__(self) -> int:
        return len(self.image_ids)

    def __iter__(self) -> Iterator[ImageAnnotation | Excluded]:
        """Every image, in ascending image id."""
        return map(self.read, self.image_ids)

    def read(self, image_id: int) -> ImageAnnotation | Excluded:
        """All that the files say of one image, or why it cannot be used.

        The answer is the same however often it is asked for. Having neither captions nor boxes is no
        fault here. `KeyError` for an image that no file lists.
        """
        image = self._images[image_id]
        if isinstance(image, Excluded):
            return image
        if (fault := _image_fault(image)) is not None:
            return Excluded(image_id, None, *fault)
        assert image.file_name is not None and image.width is not None and image.height is not None
        width, height = image.width, image.height
        captions = self._captions_of(image_id)
        boxes, uncounted = self._boxes_of(image_id, width, height)
        return ImageAnnotation(image_id, image.file_name, width, height, captions, boxes, uncounted)

    def _captions_of(self, image_id: int) -> tuple[str, ...]:
        captions = []
        seen: set[tuple[int, str]] = set()
        for file, place, annotation in _in_order(self._captions, image_id):
            caption = annotation.caption.strip()
            if (annotation.id, caption) in seen:
                file.note("annotations", place, annotation.id, *_COPY, image_id)
            else:
                seen.add((annotation.id, caption))
                captions.append(caption)
        return tuple(captions)

    def _boxes_of(self, image_id: int, width: int, height: int) -> tuple[tuple[Box, ...], tuple[str, ...]]:
        """The boxes, and the categories of which one is missing from them."""
        boxes = []
        uncounted: dict[str, None] = {}
        seen: set[Box] = set()
        for file, place, annotation in _in_order(self._instances, image_id):
            category, drawn = file.categories[annotation.category_id], annotation.bbox
            if drawn is None:
                uncounted[category] = None
                continue
            crowd = bool(annotation.iscrowd)
            box = Box(annotation.id, category, drawn.x, drawn.y, drawn.width, drawn.height, crowd)
            if box in seen:
                file.note("annotations", place, annotation.id, *_COPY, image_id)
                continue
            seen.add(box)
            fitted, reason = _fitted(box, width, height)
            if reason is not None:
                detail = _fault_in_words(box, fitted, width, height)
                file.note("annotations", place, annotation.id, reason, detail, image_id)
            if fitted is None:
                uncounted[category] = None
            else:
                boxes.append(fitted)
        looked_for = [names for listed, names in self._looked_for if image_id in listed]
        if len(looked_for) < len(self._looked_for):
            for _, names in self._looked_for:
                uncounted |= {name: None for name in names if all(name not in known for known in looked_for)}
        return tuple(boxes), tuple(uncounted)


def find_image_file(images_dir: Path, file_name: str) -> str | None:
    """The name, relative to `images_dir`, under which an image is found, or None when it is not there.

    Tried as written, and then as COCO named the same picture in its other releases
    (`COCO_train2014_000000000009.jpg` became `000000000009.jpg` in 2017), in the same subfolder.
    """
    folder, slash, base = file_name.rpartition("/")
    names = [file_name]
    if (coco_name := _COCO_NAME.fullmatch(base)) is not None:
        releases = ("", "COCO_train2014_", "COCO_val2014_", "COCO_test2014_", "COCO_test2015_")
        names += [f"{folder}{slash}{release}{coco_name['number']}" for release in releases]
    for name in names:
        # Not Path.is_file, which raises when a name is too long for the file system.
        if os.path.isfile(images_dir / name):  # noqa: PTH113
            return name
    return None


# Images: one out of several listings.


def _merged_images(sources: Sequence[_Source[Any]]) -> dict[int, _Image | Excluded]:
    """Every image that a source lists, under its first file name, with the first size that a listing has."""
    images: dict[int, _Image | Excluded] = {}
    for source in sources:
        for place, image in enumerate(source.images):
            if image is None:
                continue
            first = images.setdefault(image.id, image)
            if first is image or first == image or isinstance(first, Excluded):
                continue
            merged = _merged(first, image)
            if merged is None:
                detail = (
                    f"images[{place}] of {_shown(source.path)} is {_image_in_words(image)}, "
                    f"a listing before it {_image_in_words(first)}"
                )
                images[image.id] = Excluded(image.id, None, "conflicting_image", detail)
            else:
                images[image.id] = merged
    for source in reversed(sources):  # so that the first file has the last word
        images |= {fault.image_id: fault for fault in reversed(source.excluded)}
    if not images:
        for source in sources:
            _refuse_if_none_is_left(source, "images", source.images)
        raise _unusable(sources, "no images at all; give files that list their images")
    return images


def _merged(first: _Image, other: _Image) -> _Image | None:
    """Two listings of one image id as one, or None when they cannot mean the same picture."""
    if first.file_name and other.file_name and not _same_picture(first.file_name, other.file_name):
        return None
    if None not in (first.width, other.width) and first.width != other.width:
        return None
    if None not in (first.height, other.height) and first.height != other.height:
        return None
    return _Image(
        first.id,
        first.file_name or other.file_name,
        other.width if first.width is None else first.width,
        other.height if first.height is None else first.height,
    )


def _same_picture(name: str, other: str) -> bool:
    """Whether two file names listed under one image id can mean one picture.

    COCO's numbers do, in whatever folder and release. Any other name has to agree in its folder too,
    unless one of the two listings leaves the folder out.
    """
    folder, _, base = name.rpartition("/")
    other_folder, _, other_base = other.rpartition("/")
    coco, other_coco = _COCO_NAME.fullmatch(base), _COCO_NAME.fullmatch(other_base)
    if coco is not None and other_coco is not None:
        return coco["number"] == other_coco["number"]
    return base == other_base and (folder == other_folder or not folder or not other_folder)


def _image_in_words(image: _Image) -> str:
    return f"{_said(image.file_name)}, {_said(image.width)} x {_said(image.height)}"


def _image_fault(image: _Image) -> tuple[str, str] | None:
    """Reason and detail why an image cannot be used, or None."""
    name = image.file_name
    if name is None:
        return "unsafe_file_name", "it has no file_name"
    wrong = None
    if not name.strip():
        wrong = "is empty"
    elif _UNPRINTABLE.search(name):
        wrong = "has characters that a file name should not have"
    elif "\\" in name:
        wrong = "has a backslash, and folders are separated by /"
    elif name.startswith("/") or re.match("[A-Za-z]:", name):
        wrong = "is absolute, and has to be relative to the image folder"
    elif ".." in name.split("/"):
        wrong = "climbs out of the image folder"
    elif name.endswith("/"):
        wrong = "is a folder"
    if wrong is not None:
        return "unsafe_file_name", f"its file_name {_said(name)} {wrong}"
    for side, pixels in (("width", image.width), ("height", image.height)):
        if pixels is None:
            return "bad_image_size", f"it has no {side}"
        if not 1 <= pixels <= _LONGEST_SIDE:
            return "bad_image_size", f"its {side} is {_said(pixels)} pixels"
    return None


# Annotations.

_COPY = ("duplicate_annotation", "it is an exact copy of an annotation before it")


def _index(source: _Source[_Annotation], images: Mapping[int, _Image | Excluded]) -> None:
    """Fill `of_image`, leaving out the annotations of images that no file lists."""
    of_image: defaultdict[int, list[int]] = defaultdict(list)
    for place, annotation in enumerate(source.annotations):
        if annotation is not None:
            of_image[annotation.image_id].append(place)
    for image_id in of_image.keys() - images.keys():
        for place in of_image.pop(image_id):
            source.drop(place, "unknown_image", f"no file lists an image with its image_id, {image_id}")
    source.of_image = dict(of_image)
    if not any(map(_is_usable, source.annotations)):
        _refuse_if_none_is_left(source, "annotations", source.annotations)
    _note_reused_ids(source)


def _is_usable(annotation: _Caption | _Instance | None) -> bool:
    return isinstance(annotation, _Caption) or (annotation is not None and annotation.bbox is not None)


def _note_reused_ids(source: _Source[_Annotation]) -> None:
    kept = [annotation for annotation in source.annotations if annotation is not None]
    if len({annotation.id for annotation in kept}) == len(kept):
        return
    first_place: dict[int, int] = {}
    noted: set[int] = set()
    for place, annotation in enumerate(source.annotations):
        if annotation is None or annotation.id in noted:
            continue
        first = first_place.setdefault(annotation.id, place)
        if annotation != source.annotations[first]:  # exact copies are noted when their image is read
            detail = f"annotations[{first}] has the same id and says something else; both are kept"
            source.note("annotations", place, annotation.id, "duplicate_id", detail, annotation.image_id)
            noted.add(annotation.id)


def _in_order(
    sources: Sequence[_Source[_Annotation]], image_id: int
) -> list[tuple[_Source[_Annotation], int, _Annotation]]:
    """An image's annotations with their sources and places, in ascending id, at a tie in file order."""
    found = []
    for source in sources:
        for place in source.of_image.get(image_id, ()):
            annotation = source.annotations[place]
            assert annotation is not None
            found.append((source, place, annotation))
    found.sort(key=lambda entry: entry[2].id)
    return found


def _fitted(box: Box, width: int, height: int) -> tuple[Box | None, str | None]:
    """The part of a box that lies in an image of that size in pixels, if any; the fault to note, if any."""
    if not (box.width > 0 and box.height > 0):
        return None, "bad_box"
    right, bottom = box.x + box.width, box.y + box.height
    overhang = max(-box.x, -box.y, right - width, bottom - height)
    if overhang <= 0:
        return box, None  # its numbers as written: a sum and a difference could change the last digit
    x, y = max(box.x, 0.0), max(box.y, 0.0)
    w, h = min(right, width) - x, min(bottom, height) - y
    if not (w > 0 and h > 0):
        return None, "box_outside_image"
    clipped = Box(box.annotation_id, box.category, x, y, w, h, box.crowd)
    return clipped, "box_clipped" if overhang > _SLACK else None


def _fault_in_words(box: Box, fitted: Box | None, width: int, height: int) -> str:
    bbox, image = _said([box.x, box.y, box.width, box.height]), f"the image of {width} x {height} pixels"
    if fitted is not None:
        clipped = _said([fitted.x, fitted.y, fitted.width, fitted.height])
        return f"its bbox {bbox} reaches out of {image}; clipped to {clipped}"
    if box.width > 0 and box.height > 0:
        return f"its bbox {bbox} lies outside {image}"
    return f"its bbox {bbox} has no area"


# Boxes that have to be measured.


class _BadSegmentation(Exception):
    """The message completes a sentence that begins with "it has no bbox, and its segmentation"."""


def _measure_missing_boxes(source: _Source[_Instance], images: Mapping[int, _Image | Excluded]) -> None:
    """Give a box to each annotation that has none, from its segmentation, or note why it cannot have one."""
    if not source.data:
        return
    noted = source.notes_on("annotations")
    undecoded = _raw_list(source, "annotations", _raw_file(source).annotations)
    source.data = memoryview(b"")
    for place, annotation in enumerate(source.annotations):
        if annotation is None or annotation.bbox is not None or place in noted:
            continue
        image = images.get(annotation.image_id)
        if not isinstance(image, _Image) or _image_fault(image) is not None:
            continue  # the image is not used, so neither is the box
        assert image.width is not None and image.height is not None
        try:
            segmentation = _fields(undecoded[place]).get("segmentation")
            annotation.bbox = _measured(segmentation, image.width, image.height)
        except _BadSegmentation as error:
            detail = f"it has no bbox, and its segmentation {error}"
            source.note("annotations", place, annotation.id, "bad_box", detail, annotation.image_id)


def _measured(segmentation: object, width: int, height: int) -> _Corners:
    """The box around a COCO segmentation (polygons, or run lengths packed or not), as pycocotools draws it.

    pycocotools trusts what it is given down to its C code, where wrong numbers mean wrong memory. So
    everything is checked before. `_BadSegmentation` says what is wrong.
    """
    # Brings NumPy along, which is a tenth of a second that hardly any run has to wait for.
    from pycocotools import mask

    if not segmentation:
        raise _BadSegmentation("is missing")
    if width * height >= 2**31:
        raise _BadSegmentation(f"cannot be drawn on {width} x {height} pixels")
    if isinstance(segmentation, list):
        _check_polygons(segmentation)
        drawn = mask.merge(mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation, dict):
        runs = segmentation.get("counts")
        if isinstance(runs, str):
            runs = _unpacked(runs)
        if segmentation.get("size") != [height, width]:
            size = _said(segmentation.get("size"))
            raise _BadSegmentation(f"is {size} in height and width, and the image [{height}, {width}]")
        if not (
            isinstance(runs, list)
            and all(type(run) is int and run >= 0 for run in runs)
            and sum(runs) == width * height
        ):
            raise _BadSegmentation("has counts that do not add up to the image")
        drawn = mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    else:
        raise _BadSegmentation(f"is {_said(segmentation)}, neither polygons nor run lengths")
    x, y, w, h = mask.toBbox(drawn).tolist()
    if not (w > 0 and h > 0):
        raise _BadSegmentation("covers no pixel of the image")
    return _Corners(x, y, w, h)


def _check_polygons(polygons: Sequence[object]) -> None:
    for polygon in polygons:
        if not (
            isinstance(polygon, list)
            and len(polygon) >= 6
            and len(polygon) % 2 == 0
            and all(map(_is_finite, polygon))
        ):
            raise _BadSegmentation(f"has a polygon that is not three or more points: {_said(polygon)}")
        points = list(zip(polygon[::2], polygon[1::2], strict=True))
        around = sum(math.dist(a, b) for a, b in pairwise([*points, points[0]]))
        if not max(around, *map(abs, polygon)) <= _LONGEST_OUTLINE:
            raise _BadSegmentation(f"has a polygon too large to measure: {_said(polygon)}")


def _unpacked(counts: str) -> list[int]:
    """COCO's packed run lengths: five bits a character, low first; differences from the fourth run on."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise _BadSegmentation("has counts that are not packed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:  # more to come
            continue
        if bits & 16:  # negative
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs


# Reading one file.

_DECODING_FAILED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _read_captions_file(path: Path) -> _Source[_Caption]:
    source = _Source[_Caption](path, "captions", _contents(path))
    try:
        file = msgspec.json.decode(source.data, type=_CaptionsFile)
        source.images, source.annotations = list(file.images), list(file.annotations)
    except _DECODING_FAILED:
        undecoded = _undecoded(source)
        source.images = _one_by_one(source, "images", undecoded, _Image, _image_from)
        source.annotations = _one_by_one(source, "annotations", undecoded, _Caption, _caption_from)
    source.data = memoryview(b"")
    for place, annotation in enumerate(source.annotations):
        if annotation is None:
            continue
        caption = annotation.caption
        if not caption.strip():
            source.drop(place, "empty_caption", "its caption is empty")
        elif _LOST in caption:
            source.drop(place, "bad_caption", f"its caption {_said(caption)} has lost characters")
    return source


def _read_instances_file(path: Path) -> _Source[_Instance]:
    source = _Source[_Instance](path, "instances", _contents(path))
    try:
        file = msgspec.json.decode(source.data, type=_InstancesFile)
        source.images, source.annotations = list(file.images), list(file.annotations)
        categories: list[_Category | None] = list(file.categories)
    except _DECODING_FAILED:
        undecoded = _undecoded(source)
        source.images = _one_by_one(source, "images", undecoded, _Image, _image_from)
        categories = _one_by_one(source, "categories", undecoded, _Category, _category_from)
        source.annotations = _one_by_one(source, "annotations", undecoded, _Instance, _instance_from)
    if all(annotation is None or annotation.bbox is not None for annotation in source.annotations):
        source.data = memoryview(b"")
    source.categories = _category_names(source, categories)
    used = {annotation.category_id for annotation in source.annotations if annotation is not None}
    if not used <= source.categories.keys():
        for place, annotation in enumerate(source.annotations):
            if annotation is not None and annotation.category_id not in source.categories:
                detail = f"the file's categories do not name its category_id, {annotation.category_id}"
                source.drop(place, "unknown_category", detail)
    return source


def _category_names(source: _Source[_Instance], categories: Sequence[_Category | None]) -> dict[int, str]:
    """Id to name. An id with two names gets none, since nobody can tell which of them a box means."""
    names: dict[int, str] = {}
    nameless: set[int] = set()
    for place, category in enumerate(categories):
        if category is None:
            continue
        name = " ".join(category.name.split())  # a name is to fit in one line
        first = names.setdefault(category.id, name)
        wrong = None
        if not name:
            wrong = "its name is empty"
        elif _UNPRINTABLE.search(name):
            wrong = f"its name {_said(name)} has characters that a name should not have"
        elif first != name:
            wrong = f"its name is {_said(name)}, and the same id was named {_said(first)} before"
        if wrong is not None:
            nameless.add(category.id)
            source.note("categories", place, category.id, "bad_category", wrong)
    return {category_id: name for category_id, name in names.items() if category_id not in nameless}


def _contents(path: Path) -> memoryview:
    """The file's bytes without a byte order mark, mapped: the pages are the system's to take back."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _unusable(path, "is a folder; give the annotation file in it")
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(path, "is not a regular file; save its contents in one first")
        if status.st_size == 0:
            raise _unusable(path, "is empty; copy or download it again")
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError as error:
        raise _unusable(path, "does not exist; check the path") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _unusable(path, f"cannot be read ({why}); check the path and its permissions") from error
    return data[3:] if bytes(data[:3]) == codecs.BOM_UTF8 else data


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Millions of records and no cycle among them: looking for one would take longer than reading."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# The second way through a file, when some record in it is not what its type says.

_SURROGATES = re.compile(
    rb"\\\\"  # an escaped backslash: what follows it is text
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<bad>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""Half of a surrogate pair: what Python's json writes for a character cut in two, and few others read."""
_LITERALS = re.compile(
    rb"""
    [^"NI-]*+
    (?: "[^"\\]*+ (?:\\.[^"\\]*+)*+ "? [^"NI-]*+ )*+  # strings, and what stands between them
    (?: (?P<bad> NaN | -?Infinity ) | .? )
    """,
    re.VERBOSE | re.DOTALL,
)
"""NaN and its like outside strings: Python's json writes them, and JSON does not have them."""


def _undecoded(source: _Source[Any]) -> dict[_Section, list[msgspec.Raw]]:
    """The file's lists, each record still JSON. `InputError` unless it is a COCO file of its kind."""
    try:
        file = _raw_file(source)
    except _DECODING_FAILED:
        source.data = _mended(source.data)
        try:
            file = _raw_file(source)
        except _DECODING_FAILED as error:
            raise _not_json(source, error) from error
    lists: dict[_Section, list[msgspec.Raw]] = {
        "images": _raw_list(source, "images", file.images),
        "annotations": _raw_list(source, "annotations", file.annotations),
    }
    _refuse_other_kind(source, lists["annotations"])
    if source.kind == "instances":
        lists["categories"] = _raw_list(source, "categories", file.categories)
    return lists


def _mended(data: memoryview) -> memoryview:
    """What Python's json writes and JSON does not have, turned into what it has."""
    # Most files that cannot be decoded hold neither, and a plain search says so in a tenth of the time.
    if re.search(rb"\\u[dD][89a-fA-F]", data):
        data = _with_replaced(data, _SURROGATES, rb"\ufffd")
    if re.search(b"NaN", data) or re.search(b"Infinity", data):
        data = _with_replaced(data, _LITERALS, b"null")
    return data


def _with_replaced(data: memoryview, pattern: re.Pattern[bytes], replacement: bytes) -> memoryview:
    """`data` with the pattern's matches named `bad` replaced; what else it matches is only stepped over."""
    pieces: list[bytes | memoryview] = []
    end = 0
    for match in pattern.finditer(data):
        if match.start("bad") >= 0:
            pieces += (data[end : match.start("bad")], replacement)
            end = match.end("bad")
    return memoryview(b"".join((*pieces, data[end:]))) if pieces else data


def _raw_file(source: _Source[Any]) -> _RawFile:
    try:
        return msgspec.json.decode(source.data, type=_RawFile)
    except msgspec.ValidationError as error:
        problem = "is JSON of another shape: a COCO file is an object with images and annotations"
        with suppress(IndexError, *_DECODING_FAILED):
            first = _fields(msgspec.json.decode(source.data, type=list[msgspec.Raw])[0])
            if "conversations" in first:
                problem = "looks like LLaVA instruction data, which is the output; give COCO annotations"
            elif "image_id" in first:
                problem = "looks like COCO results, which list no images; give COCO annotations"
        raise _unusable(source.path, problem) from error


def _raw_list(source: _Source[Any], section: _Section, raw: msgspec.Raw) -> list[msgspec.Raw]:
    if raw == msgspec.Raw():
        raise _unusable(source.path, f"has no `{section}`; give a COCO {source.kind} file")
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except msgspec.ValidationError as error:
        problem = f"its `{section}` is not a list; give a COCO {source.kind} file"
        raise _unusable(source.path, problem) from error


def _refuse_other_kind(source: _Source[Any], annotations: Sequence[msgspec.Raw]) -> None:
    keys = {key for raw in annotations[:100] for key in _fields(raw)}
    has_captions, has_boxes = "caption" in keys, not keys.isdisjoint(("category_id", "bbox"))
    if source.kind == "captions" and has_boxes and not has_captions:
        raise _unusable(source.path, "is an instances file; give it with --instances, not --captions")
    if source.kind == "instances" and has_captions and not has_boxes:
        raise _unusable(source.path, "is a captions file; give it with --captions, not --instances")


def _one_by_one(
    source: _Source[_Annotation],
    section: _Section,
    lists: Mapping[_Section, Sequence[msgspec.Raw]],
    record_type: type[_Record],
    look_at: Callable[[_Source[_Annotation], int, dict[str, Any]], _Record | None],
) -> list[_Record | None]:
    """Each record decoded by itself. One that its type refuses is mended or noted by `look_at`."""
    decoder = msgspec.json.Decoder(record_type)
    records: list[_Record | None] = []
    for place, raw in enumerate(lists[section]):
        record = None
        try:
            record = decoder.decode(raw)
        except UnicodeDecodeError as error:
            raise _not_json(source, error) from error
        except _DECODING_FAILED:
            if fields := _fields(raw):
                record = look_at(source, place, fields)
            else:
                reason = "bad_category" if section == "categories" else f"bad_{section[:-1]}"
                source.note(section, place, None, reason, "it is not an object with fields that can be read")
        records.append(record)
    return records


def _fields(raw: msgspec.Raw) -> dict[str, Any]:
    """A record's fields whatever their types; none when it is not an object, or nothing that can be read."""
    try:
        # Python's own decoder takes what msgspec does not, such as numbers beyond a float's range.
        record = json.loads(bytes(raw).decode(errors="replace"))
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _image_from(source: _Source[_Annotation], place: int, fields: dict[str, Any]) -> _Image | None:
    image_id = _whole(fields.get("id"))
    if image_id is None:
        detail = f"{_field_in_words(fields, 'id')}, and has to be a whole number"
        source.note("images", place, None, "bad_image", detail)
        return None
    image = _Image(image_id)
    name = fields.get("file_name")
    if name is None or isinstance(name, str):
        image.file_name = name
    else:
        detail = f"{_field_in_words(fields, 'file_name')}, not text"
        source.excluded.append(Excluded(image_id, None, "unsafe_file_name", detail))
    image.width, image.height = _whole(fields.get("width")), _whole(fields.get("height"))
    for side in ("width", "height"):
        if fields.get(side) is not None and _whole(fields[side]) is None:
            detail = f"{_field_in_words(fields, side)}, not a whole number of pixels"
            source.excluded.append(Excluded(image_id, None, "bad_image_size", detail))
    return image


def _category_from(source: _Source[_Annotation], place: int, fields: dict[str, Any]) -> _Category | None:
    category_id, name = _whole(fields.get("id")), fields.get("name")
    if category_id is None:
        detail = f"{_field_in_words(fields, 'id')}, and has to be a whole number"
    elif not isinstance(name, str):
        detail = f"{_field_in_words(fields, 'name')}, and has to be text"
    else:
        return _Category(category_id, name)
    source.note("categories", place, category_id, "bad_category", detail)
    return None


def _caption_from(source: _Source[_Caption], place: int, fields: dict[str, Any]) -> _Caption | None:
    if (ids := _annotation_ids(source, place, fields)) is None:
        return None
    caption = fields.get("caption")
    if isinstance(caption, str):
        return _Caption(*ids, caption)
    detail = f"{_field_in_words(fields, 'caption')}, and has to be text"
    source.note("annotations", place, ids[0], "bad_caption", detail, ids[1])
    return None


def _instance_from(source: _Source[_Instance], place: int, fields: dict[str, Any]) -> _Instance | None:
    if (ids := _annotation_ids(source, place, fields)) is None:
        return None
    category_id = _whole(fields.get("category_id"))
    if category_id is None:
        detail = f"{_field_in_words(fields, 'category_id')}, and has to be a whole number"
        source.note("annotations", place, ids[0], "unknown_category", detail, ids[1])
        return None
    instance = _Instance(*ids, category_id)
    bbox, crowd = fields.get("bbox"), fields.get("iscrowd")
    if crowd is None or isinstance(crowd, (int, float)):
        instance.iscrowd = bool(crowd)
    else:
        detail = f"{_field_in_words(fields, 'iscrowd')}, and has to be 0 or 1"
        source.note("annotations", place, ids[0], "bad_annotation", detail, ids[1])
        return instance
    if isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_finite, bbox)):
        instance.bbox = _Corners(*map(float, bbox))
    elif bbox is not None:
        detail = f"{_field_in_words(fields, 'bbox')}, not four finite numbers"
        source.note("annotations", place, ids[0], "bad_box", detail, ids[1])
    return instance


def _annotation_ids(source: _Source[Any], place: int, fields: dict[str, Any]) -> tuple[int, int] | None:
    annotation_id, image_id = _whole(fields.get("id")), _whole(fields.get("image_id"))
    if annotation_id is not None and image_id is not None:
        return annotation_id, image_id
    missing = "id" if annotation_id is None else "image_id"
    detail = f"{_field_in_words(fields, missing)}, and has to be a whole number"
    source.note("annotations", place, annotation_id, "bad_annotation", detail, image_id)
    return None


def _whole(value: object) -> int | None:
    """A whole number within 64 bits, also if written 12.0, as exports from pandas have it; True is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond a float's range
        return False


# Wording.


def _refuse_if_none_is_left(source: _Source[Any], section: _Section, records: Sequence[object]) -> None:
    if notes := source.notes_on(section):
        first = next(iter(notes.values()))
        raise _unusable(
            source.path,
            f"none of its {section} can be used ({len(records):,} in all); "
            f"the first, {first.record}: {first.detail}; mend the file or leave it out",
        )


def _not_json(source: _Source[Any], error: Exception) -> InputError:
    data = source.data
    if bytes(data[:4]).startswith((b"\x1f\x8b", b"PK\x03\x04")):  # gzip, zip
        return _unusable(source.path, "is compressed; unpack it first")
    if isinstance(error, RecursionError):
        return _unusable(source.path, "is nested far deeper than COCO annotations are; give a COCO file")
    if (place := _first_byte_not_utf8(data)) is not None:
        return _unusable(
            source.path, f"is not UTF-8 text (byte {place:,}); save it as UTF-8, or copy it again"
        )
    if "truncated" in str(error):
        problem = f"breaks off at its end (byte {len(data):,}), as if cut off; copy or download it again"
    else:
        what = str(error).removeprefix("JSON is malformed: ")
        problem = (
            f"is not JSON ({what}); give a COCO {source.kind} file: "
            "`python -m datagen convert` makes one of other formats"
        )
    return _unusable(source.path, problem)


def _first_byte_not_utf8(data: memoryview) -> int | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    step = 1 << 20
    for start in range(0, len(data), step):
        pending = len(decoder.getstate()[0])  # of a character that the step before cut in two
        try:
            decoder.decode(data[start : start + step], final=start + step >= len(data))
        except UnicodeDecodeError as error:
            return start - pending + error.start
    return None


def _unusable(where: Path | Sequence[_Source[Any]], problem: str) -> InputError:
    paths = [where] if isinstance(where, Path) else [source.path for source in where]
    return InputError(f"{', '.join(map(_shown, paths))}: {problem}")


def _shown(path: Path) -> str:
    """The path as text that can be printed and stored, whatever bytes are in it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace("\n", "\\n")


def _field_in_words(fields: Mapping[str, Any], name: str) -> str:
    return f"its {name} is {_said(fields[name])}" if name in fields else f"its {name} is missing"


def _said(value: object) -> str:
    """A value from a file as JSON, on one line and not too long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"
