"""What is known of a record's image: its annotation, and whether it is a benchmark's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from datagen.annotations import find_image_file, read_annotations
from datagen.audit.records import Record
from datagen.evaluation_images import (
    EvaluationImages,
    UnreadablePicture,
    count_by_benchmark,
    read_evaluation_list,
)
from datagen.records import Excluded, ImageAnnotation
from schemas.audit import EvaluationFound

_COCO_NUMBER = re.compile(r"(?:COCO_(?:train|val|test)20\d\d_)?(\d{12})(?:\.\w+)?", re.ASCII)
_EXAMPLES = 10


class AnnotatedImages:
    """The images of the annotation files, found by what a record says of its image."""

    def __init__(self, captions: Sequence[Path], instances: Sequence[Path]) -> None:
        """Raises InputError as `read_annotations` does."""
        self._annotations = read_annotations(captions, instances) if captions or instances else None
        self.categories: Sequence[str] = self._annotations.categories if self._annotations else ()
        self._by_path: dict[str, int] = {}
        self._by_name: dict[str, int | None] = {}
        """None for a name that images in several folders have."""
        self._by_number: dict[int, int] = {}
        self._usable: set[int] = set()
        for annotation in self._annotations or ():
            # As a run takes them: where captions were looked for, an image without any is not known.
            if isinstance(annotation, Excluded) or not (
                annotation.captions or (annotation.boxes and not captions)
            ):
                continue
            image_id, path = annotation.image_id, annotation.file_name
            name = path.rpartition("/")[2]
            self._usable.add(image_id)
            self._by_path[path] = image_id
            self._by_name[name] = image_id if name not in self._by_name else None
            if number := _COCO_NUMBER.fullmatch(name):
                self._by_number[int(number[1])] = image_id

    def id_of(self, record: Record) -> int | None:
        """The image's id: by path, by name, by the number of COCO's in its name, by `image_id`.

        Last by the record's own id where that is a number of COCO's twelve digits; any other number
        may well count the samples.
        """
        if len(record.images) > 1:
            return None
        for path in _without_folders(record.images[0]) if record.images else ():
            if (found := self._by_path.get(path)) is not None:
                return found
        if record.images:
            name = record.images[0].replace("\\", "/").rpartition("/")[2]
            if (found := self._by_name.get(name)) is not None:
                return found
            if number := _COCO_NUMBER.fullmatch(name):
                return self._numbered(int(number[1]))
        if record.image_id in self._usable:
            return record.image_id
        if record.images and record.id and (number := _COCO_NUMBER.fullmatch(record.id)):
            return self._numbered(int(number[1]))
        return None

    def _numbered(self, number: int) -> int | None:
        return self._by_number.get(number, number if number in self._usable else None)

    def read(self, image_id: int) -> ImageAnnotation:
        assert self._annotations is not None
        annotation = self._annotations.read(image_id)
        assert isinstance(annotation, ImageAnnotation)
        return annotation


def _without_folders(path: str) -> Iterator[str]:
    """`a/b/c.jpg`, `b/c.jpg`, `c.jpg`: a record may name its image from further up."""
    rest = path.replace("\\", "/")
    while rest:
        yield rest
        rest = rest.partition("/")[2]


class EvaluationGuard:
    """Tells images of benchmarks, each different image once."""

    def __init__(self, lists: Sequence[Path], folders: Sequence[Path], images: Path | None) -> None:
        """Raises InputError as `read_evaluation_list` and `EvaluationImages` do."""
        listed = read_evaluation_list(lists)
        self._images = images
        self._by_name = EvaluationImages(listed)
        self._by_look = EvaluationImages(listed, folders, images)
        self._seen: dict[tuple[str, int | None], str | None] = {}
        self.not_found = 0
        self.unreadable = 0
        self.samples = 0

    def look_at(self, names: Iterable[str], image_id: int | None) -> None:
        """Count a sample about these images."""
        found = [self._why(name, image_id) for name in names]
        self.samples += any(found)

    def _why(self, name: str, image_id: int | None) -> str | None:
        key = (name, image_id)
        if key not in self._seen:
            self._seen[key] = self._look(name, image_id)
        return self._seen[key]

    def _look(self, name: str, image_id: int | None) -> str | None:
        known = self._by_name.why(name, image_id)
        if self._images is None:
            return known
        tried = (find_image_file(self._images, path) for path in _without_folders(name))
        found = next(filter(None, tried), None)
        if found is None:
            self.not_found += 1
        elif known is None:
            try:
                return self._by_look.why(found, image_id)
            except UnreadablePicture:
                self.unreadable += 1
        return known

    def report(self) -> EvaluationFound:
        reasons = sorted({why for why in self._seen.values() if why is not None})
        return EvaluationFound(
            images=len(reasons),
            samples=self.samples,
            by_benchmark=count_by_benchmark(reasons),
            examples=reasons[:_EXAMPLES],
            unreadable=self.unreadable,
        )
