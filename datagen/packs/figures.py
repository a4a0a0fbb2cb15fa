"""What annotation files say of themselves: how much there is, how captions read, how boxes lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from datagen.annotations import Annotations
from datagen.records import Excluded, ImageAnnotation

_OPENING = 2  # words


@dataclass
class Figures:
    """Counted over all images that can be used."""

    images: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    """Images that cannot be used, by reason."""
    without_captions: int = 0
    without_boxes: int = 0
    captions: list[int] = field(default_factory=list)
    """Of each image, how many."""
    words: list[int] = field(default_factory=list)
    """Of each caption, how many."""
    openings: Counter[str] = field(default_factory=Counter)
    """The first two words of captions, in lower case."""
    boxes: list[int] = field(default_factory=list)
    """Of each image, how many; crowds among them."""
    areas: list[float] = field(default_factory=list)
    """Of each box that is no crowd, as a share of the image; likewise `sides`."""
    sides: list[float] = field(default_factory=list)
    """The mean of its width and height, as shares of the image's."""
    crowds: int = 0
    most_alike: list[int] = field(default_factory=list)
    """Of each image with boxes: how many boxes its commonest category has."""
    boxes_of: Counter[str] = field(default_factory=Counter)
    images_of: Counter[str] = field(default_factory=Counter)
    """By category: how many images have a box of it."""

    def add(self, annotation: ImageAnnotation) -> None:
        self.images += 1
        self.captions.append(len(annotation.captions))
        self.without_captions += not annotation.captions
        for caption in annotation.captions:
            words = caption.split()
            self.words.append(len(words))
            if len(words) > _OPENING:
                self.openings[" ".join(words[:_OPENING]).lower()] += 1
        self.boxes.append(len(annotation.boxes))
        self.without_boxes += not annotation.boxes
        here = Counter(box.category for box in annotation.boxes)
        self.boxes_of.update(here)
        self.images_of.update(here.keys())
        if here:
            self.most_alike.append(max(here.values()))
        for box in annotation.boxes:
            self.crowds += box.crowd
            if not box.crowd:
                width, height = box.width / annotation.width, box.height / annotation.height
                self.areas.append(width * height)
                self.sides.append((width + height) / 2)

    def share_below(self, area: float) -> float:
        """Of all boxes that are no crowds."""
        return sum(each < area for each in self.areas) / max(1, len(self.areas))


def percentile(values: Sequence[float], share: int) -> float:
    """A value that occurs, of which so many in a hundred are smaller or equal; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, -(-len(ordered) * share // 100) - 1)] if ordered else 0


def measure(annotations: Annotations) -> tuple[Figures, list[ImageAnnotation]]:
    """The figures, and the images that could serve as seeds: some boxes, and captions where there are any."""
    figures, fit = Figures(), []
    for each in annotations:
        if isinstance(each, Excluded):
            figures.unusable[each.reason] += 1
            continue
        figures.add(each)
        if 2 <= len(each.boxes) <= 12 or (not annotations.categories and each.captions):
            fit.append(each)
    has_captions = any(figures.captions)
    return figures, [each for each in fit if each.captions or not has_captions]


def choose(images: Sequence[ImageAnnotation], number: int) -> list[ImageAnnotation]:
    """Images that show as many different categories as they can between them, lowest ids first."""
    chosen: list[ImageAnnotation] = []
    shown: Counter[str] = Counter()
    left = list(images)
    while left and len(chosen) < number:

        def gain(image: ImageAnnotation) -> tuple[float, int]:
            names = {box.category for box in image.boxes}
            return (sum(1 / (1 + shown[name]) for name in names), -image.image_id)

        best = max(left, key=gain)
        chosen.append(best)
        left.remove(best)
        shown.update({box.category for box in best.boxes})
    return chosen
