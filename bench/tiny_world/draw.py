"""Draw the tiny world: small pictures of a few coloured things, with COCO captions and instances.

    python bench/tiny_world/draw.py --out DIR --images 100 --seed 0

An image shows one or two kinds of thing, up to four of each and six in all; those of one kind have one
colour, and each lies within one cell of a grid. Its captions are of the sort that people write: they name
kinds, mostly colours, often numbers, never sides. Its boxes are what was drawn. The same Pillow and seed
give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

SIZE = 64
"""Height and width of an image, pixels."""
CELL = 16
"""Height and width of the cells of a grid, pixels, in each at most one thing; a patch of the tower."""
FINER = 4
"""Drawn so many times larger and then scaled down, for smooth edges."""
MOST = 6
"""Things in an image."""
MOST_OF_A_KIND = 4
KINDS = {
    "ball": (37, "sports ball"),
    "kite": (38, "kite"),
    "cup": (47, "cup"),
    "boat": (9, "boat"),
}
"""Each with COCO's number and name of its category."""
COLOURS = {
    "red": (205, 35, 35),
    "blue": (40, 70, 210),
    "yellow": (240, 215, 40),
    "black": (25, 25, 28),
    "white": (250, 250, 250),
}
_MARKS = {
    "ball": (60, 215, 225),
    "kite": (255, 130, 20),
    "cup": (115, 70, 35),
    "boat": (130, 60, 165),
}
"""The colour of a part that only one kind has (a seam, a hull): a small tower tells kinds apart by it."""
GROUNDS = {"grass": (150, 190, 125), "sand": (215, 190, 145), "pavement": (165, 165, 172)}
NUMBERS = ("no", "one", "two", "three", "four")


@dataclass(frozen=True)
class Thing:
    """Something in an image."""

    kind: str
    colour: str
    box: tuple[int, int, int, int]
    """Left, top, right and bottom edge, in pixels of the image."""


@dataclass(frozen=True)
class World:
    """What one image shows."""

    ground: str
    things: tuple[Thing, ...]

    def of(self, kind: str) -> list[Thing]:
        """The things of one kind."""
        return [thing for thing in self.things if thing.kind == kind]

    def counts(self) -> dict[str, int]:
        """How many there are of each kind that is there, in the order of its first thing."""
        kinds = dict.fromkeys(thing.kind for thing in self.things)
        return {kind: len(self.of(kind)) for kind in kinds}


def imagine(chance: random.Random, kinds_in_all: Sequence[int] = (1, 1, 2)) -> World:
    """Draw a world at random, with one of these numbers of kinds; no two things lie in one cell."""
    while True:
        kinds = chance.sample(sorted(KINDS), chance.choice(kinds_in_all))
        numbers = [chance.choice((1, 1, 1, 1, 2, 3, 4)) for _ in kinds]
        if sum(numbers) > MOST:
            continue
        colours = chance.sample(sorted(COLOURS), len(kinds))
        things: list[Thing] = []
        for kind, colour, number in zip(kinds, colours, numbers, strict=True):
            for _ in range(number):
                box = _free_place(chance, kind, things)
                if box is not None:
                    things.append(Thing(kind, colour, box))
        # Where no room was left for one, another world is drawn: fewer things than meant would skew numbers.
        if len(things) == sum(numbers):
            return World(chance.choice(sorted(GROUNDS)), tuple(things))


_SHAPES = {"ball": (1.0, 1.0), "kite": (0.8, 1.25), "cup": (1.0, 0.9), "boat": (1.2, 1.2)}
"""Width and height of each kind beside those of a ball."""
_SMALLEST, _LARGEST = 10.5, 12.5
"""Width of a ball, pixels; the largest boat just fits into a cell."""


def _free_place(chance: random.Random, kind: str, things: list[Thing]) -> tuple[int, int, int, int] | None:
    """A box for a thing, anywhere in a cell where none lies yet; mostly in an outer column."""
    size = chance.uniform(_SMALLEST, _LARGEST)
    width, height = (round(size * share) for share in _SHAPES[kind])
    taken = {(thing.box[0] // CELL, thing.box[1] // CELL) for thing in things}
    for _ in range(50):
        # So that there is much to say of sides.
        column = chance.choice((0, 0, 0, 1, 2, 3, 3, 3))
        row = chance.randrange(SIZE // CELL)
        if (column, row) not in taken:
            left = column * CELL + chance.randint(0, CELL - width)
            top = row * CELL + chance.randint(0, CELL - height)
            return left, top, left + width, top + height
    return None


def draw(world: World, chance: random.Random) -> Image.Image:
    """The image of a world: its things on a speckled ground."""
    image = Image.new("RGB", (SIZE, SIZE), GROUNDS[world.ground])
    grain = Image.frombytes("L", (SIZE, SIZE), chance.randbytes(SIZE * SIZE))
    dark = Image.new("RGB", (SIZE, SIZE), tuple(value * 7 // 8 for value in GROUNDS[world.ground]))
    image = Image.composite(image, dark, grain)
    image = image.resize((SIZE * FINER, SIZE * FINER), Image.Resampling.NEAREST)
    pencil = ImageDraw.Draw(image)
    for thing in world.things:
        _draw_thing(pencil, thing)
    return image.reduce(FINER)


def _draw_thing(pencil: Any, thing: Thing) -> None:
    left, top, right, bottom = (edge * FINER for edge in thing.box)
    # Pillow's shapes include their last pixel.
    right, bottom = right - 1, bottom - 1
    width, height = right - left, bottom - top
    colour = COLOURS[thing.colour]

    def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
        """Shares of the box as pixels."""
        return [(left + across * width, top + down * height) for across, down in points]

    mark = _MARKS[thing.kind]
    if thing.kind == "ball":
        pencil.ellipse((left, top, right, bottom), fill=colour)
        pencil.chord((left, top, right, bottom), 20, 160, fill=mark)
        pencil.chord((left, top, right, bottom), 45, 135, fill=colour)
    elif thing.kind == "kite":
        pencil.polygon(at((0.5, 0), (1, 0.4), (0.5, 1), (0, 0.4)), fill=colour)
        pencil.line(at((0.5, 0), (0.5, 1)), fill=mark, width=FINER * 2)
        pencil.line(at((0, 0.4), (1, 0.4)), fill=mark, width=FINER * 2)
    elif thing.kind == "cup":
        pencil.ellipse(at((0.45, 0.25), (1, 0.85)), outline=colour, width=FINER * 2)
        pencil.rectangle(at((0, 0.1), (0.68, 1)), fill=colour)
        pencil.ellipse(at((0, 0), (0.68, 0.35)), fill=mark)
    else:
        pencil.polygon(at((0, 0.68), (1, 0.68), (0.8, 1), (0.2, 1)), fill=mark)
        pencil.polygon(at((0.3, 0), (1, 0.62), (0.3, 0.62)), fill=colour)


# Captions

_FRAMES = (
    "{things} on {ground}.",
    "{there} {things} on {ground}.",
    "A picture of {things}.",
    "{things} {lie} on {ground}.",
    "A photo of {things} on {ground}.",
    "{things} can be seen on {ground}.",
    "{ground} with {things}.",
    "{there} {things} in the picture.",
)
_WHERE = {
    "grass": ("the grass", "green grass", "a lawn"),
    "sand": ("the sand", "a beach", "sandy ground"),
    "pavement": ("the pavement", "gray pavement", "a street"),
}


def describe(world: World, chance: random.Random) -> list[str]:
    """Five captions, as COCO has them: the first names every thing, the others what comes to mind."""
    return [_caption(world, chance, is_full=index == 0) for index in range(5)]


def _caption(world: World, chance: random.Random, is_full: bool) -> str:
    counts = list(world.counts().items())
    chance.shuffle(counts)
    if not is_full and len(counts) > 1 and chance.random() < 0.3:
        counts.pop()
    named = [_named(world, kind, number, chance, is_full) for kind, number in counts]
    things = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    is_one = counts[0][1] == 1
    text = chance.choice(_FRAMES).format(
        things=things,
        there="There is" if is_one else "There are",
        lie="lies" if len(counts) == 1 and is_one else "lie",
        ground=chance.choice(_WHERE[world.ground]),
    )
    return text[0].upper() + text[1:]


def _named(world: World, kind: str, number: int, chance: random.Random, is_full: bool) -> str:
    colour = f"{world.of(kind)[0].colour} " if is_full or chance.random() < 0.8 else ""
    if number == 1:
        return f"a {colour}{kind}"
    said = NUMBERS[number] if is_full or chance.random() < 0.8 else "some"
    return f"{said} {colour}{kind}s"


# COCO files


def worlds(seed: str, count: int) -> Iterator[tuple[World, Image.Image, list[str]]]:
    """So many worlds with their images and captions; the first of them are the same for any count."""
    for index in range(count):
        chance = random.Random(f"{seed}/{index}")
        world = imagine(chance)
        yield world, draw(world, chance), describe(world, chance)


def write_coco(folder: Path, seed: str, count: int) -> list[World]:
    """Write `images/`, `captions.json` and `instances.json`, and return what the images show.

    Image ids are 1 to `count`, in the order of the worlds that are returned.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    shown: list[World] = []
    images, captions, instances = [], [], []
    for number, (world, image, texts) in enumerate(worlds(seed, count), 1):
        shown.append(world)
        image.save(folder / "images" / file_name(number))
        images.append({"id": number, "file_name": file_name(number), "width": SIZE, "height": SIZE})
        captions += [
            {"id": number * 10 + index, "image_id": number, "caption": text}
            for index, text in enumerate(texts)
        ]
        for index, thing in enumerate(world.things):
            left, top, right, bottom = thing.box
            instances.append(
                {
                    "id": number * 10 + index,
                    "image_id": number,
                    "category_id": KINDS[thing.kind][0],
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in sorted(KINDS.values())]
    _write(folder / "captions.json", {"images": images, "annotations": captions})
    _write(folder / "instances.json", {"images": images, "annotations": instances, "categories": categories})
    return shown


def file_name(number: int) -> str:
    """The file of the image with that id."""
    return f"{number:05}.png"


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seed", default="0")
    options = parser.parse_args()
    write_coco(options.out, options.seed, options.images)


if __name__ == "__main__":
    main()
