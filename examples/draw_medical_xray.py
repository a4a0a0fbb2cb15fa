"""Draw the example set of the pack medical-xray: schematic chest radiographs of nobody, invented reports.

    python examples/draw_medical_xray.py                            # draw examples/medical-xray again
    python examples/draw_medical_xray.py --out DIR                  # elsewhere
    python examples/draw_medical_xray.py --check-sheet sheet.png    # all with their boxes, to look at

Frontal views as radiologists hang them: the patient's right is on the image's left. Every shape is given for
the patient's left side and mirrored for the right one, so that boxes cannot be on another side than what they
show. Nothing is random from run to run: the same Pillow gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter
from xraykit.films import CATEGORIES, FILMS, Film, Mark

HERE = Path(__file__).resolve().parent
SIZE = 256
# Drawn at twice the size and averaged down, which makes edges smooth.
SCALE = 2
# From this much of 255 on a pixel belongs to a structure: the blurred hem of one is nobody's idea of its box.
COVERED = 90

NUMBER = {name: number for number, (name, _) in enumerate(CATEGORIES, 1)}
INFO = {
    "description": "Schematic chest radiographs of nobody, drawn by examples/draw_medical_xray.py. "
    "Not for diagnosis.",
    "url": "",
    "version": "1.0",
    "year": 2026,
    "contributor": "vitkit",
    "date_created": "2026/01/01",
}
LICENSES = [{"id": 1, "name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}]

Point = tuple[float, float]
Points = Sequence[Point]


class Body:
    """The chest of one film: the same plan, a little wider or higher set from film to film."""

    def __init__(self, name: str) -> None:
        draw = Random(name)
        self.wide, self.high = draw.uniform(0.94, 1.04), draw.uniform(0.95, 1.03)
        self.right, self.down = draw.uniform(-4, 4), draw.uniform(-3, 4)
        self.film = Image.new("L", (SIZE * SCALE, SIZE * SCALE), 6)
        self.grain = draw

    def at(self, points: Points, side: str = "left") -> list[tuple[float, float]]:
        """Points of the plan, given for the patient's left, on the film; mirrored for the right."""
        placed = []
        for x, y in points:
            x = x if side == "left" else SIZE - x
            placed.append(
                (
                    SCALE * (128 + (x - 128) * self.wide + self.right),
                    SCALE * (128 + (y - 128) * self.high + self.down),
                )
            )
        return placed

    def mask(self, points: Points, side: str = "left", blur: float = 1.0) -> Image.Image:
        """A closed shape."""
        mask = Image.new("L", self.film.size, 0)
        ImageDraw.Draw(mask).polygon(self.at(smooth(points), side), fill=255)
        return mask.filter(ImageFilter.GaussianBlur(blur * SCALE))

    def line(self, points: Points, side: str = "left", width: float = 2.0, blur: float = 0.5) -> Image.Image:
        """A smooth line through the points."""
        return self.lines([points], (side,), width, blur)

    def lines(self, lines: Sequence[Points], sides: Sequence[str], width: float, blur: float) -> Image.Image:
        """Several lines in one mask, on one side of the patient or on both."""
        mask = Image.new("L", self.film.size, 0)
        brush = ImageDraw.Draw(mask)
        for side in sides:
            for points in lines:
                placed = self.at(smooth(points, closed=False), side)
                brush.line(placed, fill=255, width=round(width * SCALE), joint="curve")
        return mask.filter(ImageFilter.GaussianBlur(blur * SCALE))

    def disc(self, x: float, y: float, r: float, side: str = "left", blur: float = 1.0) -> Image.Image:
        return self.discs([(x, y)], r, side, blur)

    def discs(self, centers: Sequence[Point], r: float, side: str, blur: float) -> Image.Image:
        mask = Image.new("L", self.film.size, 0)
        brush = ImageDraw.Draw(mask)
        for x, y in self.at(centers, side):
            brush.ellipse((x - r * SCALE, y - r * SCALE, x + r * SCALE, y + r * SCALE), fill=255)
        return mask.filter(ImageFilter.GaussianBlur(blur * SCALE))

    def tint(self, mask: Image.Image, grey: int, strength: float = 1.0) -> None:
        """Bring what the mask covers towards a grey."""
        if strength < 1:
            mask = mask.point(lambda value: round(value * strength))
        self.film.paste(grey, (0, 0, *self.film.size), mask)

    def brighten(self, mask: Image.Image, by: int) -> None:
        """Lighter by so much where the mask covers: things on a radiograph add up."""
        self.film = ImageChops.add(self.film, mask.point(lambda value: value * by // 255))


def smooth(points: Points, closed: bool = True, steps: int = 8) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    n = len(points)
    if n < 3:
        return list(points)
    out: list[Point] = []
    for i in range(n if closed else n - 1):
        four = [points[(i + k) % n] if closed else points[min(max(i + k, 0), n - 1)] for k in (-1, 0, 1, 2)]
        for k in range(steps):
            t = k / steps
            weights = (
                -t + 2 * t * t - t**3,
                2 - 5 * t * t + 3 * t**3,
                t + 4 * t * t - 3 * t**3,
                t**3 - t * t,
            )
            x, y = (sum(w * p[axis] for w, p in zip(weights, four, strict=True)) / 2 for axis in (0, 1))
            out.append((x, y))
    if not closed:
        out.append(points[-1])
    return out


# The plan, in pixels of the image, for the patient's left: on the image's right.

LUNG = (
    (163, 46), (184, 58), (200, 88), (212, 128), (218, 168), (219, 203), (202, 190), (182, 186), (166, 192),
    (152, 160), (147, 120), (148, 84), (150, 58),
)  # fmt: skip
HEART = (
    (132, 98), (146, 104), (158, 128), (174, 156), (180, 178), (168, 190), (140, 194), (112, 190), (104, 168),
    (106, 140), (114, 112),
)  # fmt: skip
LARGE_HEART = (
    (130, 96), (150, 104), (174, 126), (198, 156), (206, 180), (190, 194), (144, 197), (98, 193), (84, 170),
    (90, 138), (110, 110),
)  # fmt: skip
CLAVICLE = ((137, 64), (158, 58), (182, 53), (210, 42))
TRACHEA = ((124, 22), (132, 22), (132, 84), (124, 84))
TORSO = (
    (108, -10), (104, 24), (70, 36), (26, 52), (6, 96), (20, 150), (24, 200), (22, 270), (234, 270),
    (232, 200), (236, 150), (250, 96), (230, 52), (186, 36), (152, 24), (148, -10),
)  # fmt: skip
BELLY = (
    (30, 205), (54, 190), (76, 183), (100, 190), (128, 196), (156, 194), (182, 187), (204, 192), (226, 206),
    (232, 270), (24, 270),
)  # fmt: skip
BOTH = ("left", "right")
RIBS = tuple(
    ((136, 56 + 17 * n), (164, 44 + 17 * n), (192, 52 + 17 * n), (204 + min(n, 3) * 5, 76 + 17 * n))
    for n in range(8)
)


def draw_body(body: Body, film: Film) -> dict[str, list[Image.Image]]:
    """The chest without findings; the masks of its parts, by category."""
    is_large = any(mark.category == "cardiomegaly" for mark in film.marks)
    body.tint(body.mask(TORSO, blur=2), 92)
    for side in BOTH:
        body.tint(body.mask(LUNG, side, blur=1.5), 34)
    heart = body.mask(LARGE_HEART if is_large else HEART, blur=1.6)
    body.tint(heart, 150, 0.85)
    body.tint(body.mask(BELLY, blur=1.5), 146)
    spine = body.mask(((119, -10), (137, -10), (138, 270), (118, 270)), blur=1.5)
    body.brighten(spine, 34)
    discs = [((119.0, float(y)), (137.0, float(y))) for y in range(16, 250, 15)]
    body.brighten(body.lines(discs, ("left",), width=1.6, blur=0.8), 16)
    body.brighten(body.lines(RIBS, BOTH, width=4.5, blur=0.9), 30)
    body.brighten(body.lines(RIBS, BOTH, width=2, blur=0.5), 10)
    clavicles = [body.line(CLAVICLE, side, width=6, blur=0.7) for side in BOTH]
    for clavicle in clavicles:
        body.brighten(clavicle, 70)
    trachea = body.mask(TRACHEA, blur=0.9)
    body.tint(trachea, 46, 0.8)
    body.tint(body.lines([((129, 82), (140, 98), (150, 108))], BOTH, width=4, blur=1), 70, 0.5)
    vessels = (((146, 112), (164, 104), (182, 88)), ((146, 122), (166, 132), (186, 150)))
    body.brighten(body.lines(vessels, BOTH, width=2, blur=1.4), 46)
    return {
        "left lung": [body.mask(LUNG, "left", blur=1)],
        "right lung": [body.mask(LUNG, "right", blur=1)],
        "heart": [heart],
        "cardiomegaly": [heart],
        "clavicle": clavicles,
        "trachea": [trachea],
    }


# Findings and devices: each draws itself and returns the masks that make its box.


def effusion(body: Body, mark: Mark) -> list[Image.Image]:
    top = {"small": 178, "moderate": 156, "large": 118}[mark.how or "moderate"]
    points = (
        (224, top - 8),
        (206, top + 8),
        (180, top + 14),
        (144, top + 12),
        (140, 214),
        (186, 226),
        (230, 216),
    )
    lung = body.mask(LUNG, mark.side, blur=0.5)
    mask = ImageChops.multiply(body.mask(points, mark.side, blur=1.5), lung)
    body.tint(mask, 176, 0.95)
    return [mask]


def pneumothorax(body: Body, mark: Mark) -> list[Image.Image]:
    down = {"small": 82, "moderate": 118, "large": 150}[mark.how or "moderate"]
    outer = ((163, 46), (184, 58), (200, 88), (208, 112), (213, 130), (216, 150))
    inner = ((208, 150), (203, 130), (196, 112), (187, 92), (176, 74), (164, 64), (153, 58))
    shape = [*[p for p in outer if p[1] <= down], *[p for p in inner if p[1] <= down]]
    lung = body.mask(LUNG, mark.side, blur=0.4)
    mask = ImageChops.multiply(body.mask(shape, mark.side, blur=0.8), lung)
    body.tint(mask, 8, 0.95)
    edge = [p for p in inner if p[1] <= down]
    body.brighten(body.line(edge, mark.side, width=1.2, blur=0.4), 90)
    return [mask]


ZONES = {
    "upper": (178, 82),
    "middle": (188, 122),
    "lower": (192, 164),
    "apex": (166, 62),
    "hilum": (158, 114),
}


def patch(grey: int, strength: float, blur: float, r: float) -> Callable[[Body, Mark], list[Image.Image]]:
    """An area of the lung that is lighter, by so much and with so soft an edge."""

    def drawn(body: Body, mark: Mark) -> list[Image.Image]:
        x, y = ZONES[mark.zone]
        draw = body.grain
        points = [
            (
                x + 1.05 * r * draw.uniform(0.75, 1.15) * math.cos(a),
                y + r * draw.uniform(0.75, 1.15) * math.sin(a),
            )
            for a in (n / 9 * math.tau for n in range(9))
        ]
        lung = body.mask(LUNG, mark.side, blur=0.6)
        mask = ImageChops.multiply(body.mask(points, mark.side, blur=blur), lung)
        body.tint(mask, grey, strength)
        # Not all of one grey.
        spots = [(x + draw.uniform(-r, r) * 0.7, y + draw.uniform(-r, r) * 0.7) for _ in range(16)]
        body.brighten(ImageChops.multiply(body.discs(spots, r / 7, mark.side, 1.5), mask), 26)
        return [mask]

    return drawn


def nodules(body: Body, mark: Mark) -> list[Image.Image]:
    x, y = ZONES[mark.zone]
    found = []
    for n in range(mark.number):
        # The first in the zone itself, others in turn around it.
        away = 0.0 if n == 0 else 17.0 + 3 * (n % 3)
        angle = n * 2.4
        mask = body.disc(x + away * math.cos(angle) * 0.8, y + away * math.sin(angle), 5.5, mark.side, 0.7)
        body.tint(mask, 170, 0.85)
        found.append(mask)
    return found


def many_nodules(body: Body, mark: Mark) -> list[Image.Image]:
    lung = body.mask(LUNG, mark.side, blur=0.5)
    spots = [(body.grain.uniform(150, 216), body.grain.uniform(54, 192)) for _ in range(70)]
    every = ImageChops.multiply(body.discs(spots, 2, mark.side, 0.5), lung)
    body.brighten(every, 90)
    return [every]


def mass(body: Body, mark: Mark) -> list[Image.Image]:
    mask = body.disc(*ZONES[mark.zone], 17, mark.side, 1)
    body.tint(mask, 178, 0.9)
    return [mask]


def atelectasis(body: Body, mark: Mark) -> list[Image.Image]:
    band = body.line(((158, 178), (176, 172), (204, 176)), mark.side, width=6, blur=0.9)
    body.brighten(band, 95)
    return [band]


def infiltration(body: Body, mark: Mark) -> list[Image.Image]:
    x, y = ZONES[mark.zone]
    lung = body.mask(LUNG, mark.side, blur=0.5)
    strands = []
    for n in range(26):
        cx, cy = x + body.grain.uniform(-20, 20), y + body.grain.uniform(-22, 22)
        strands.append(((cx, cy), (cx + 9 * math.cos(n * 1.1), cy + 9 * math.sin(n * 1.1))))
    every = ImageChops.multiply(body.lines(strands, (mark.side,), width=1.4, blur=0.6), lung)
    body.brighten(every, 74)
    return [every]


def fracture(body: Body, mark: Mark) -> list[Image.Image]:
    found = []
    for n in range(mark.number):
        x, y = RIBS[mark.rib + n][2]
        gap = body.line(((x - 2, y - 6), (x + 3, y + 7)), mark.side, width=2.6, blur=0.4)
        body.tint(gap, 16, 0.9)
        body.brighten(body.line(((x + 3, y + 4), (x + 12, y + 10)), mark.side, width=4, blur=0.6), 74)
        body.brighten(body.line(((x - 12, y - 5), (x - 3, y - 2)), mark.side, width=4, blur=0.6), 46)
        found.append(body.disc(x, y + 1, 11, mark.side, 0.3))
    return found


def bright_line(body: Body, points: Points, side: str, width: float) -> Image.Image:
    mask = body.line(points, side, width=width, blur=0.35)
    body.tint(mask, 232, 0.9)
    return mask


def endotracheal_tube(body: Body, mark: Mark) -> list[Image.Image]:
    return [bright_line(body, ((126, -6), (127, 20), (128, 44), (128, 70)), "left", 3)]


def central_line(body: Body, mark: Mark) -> list[Image.Image]:
    # From the neck on its side into the vein beside the spine, on the patient's right.
    right = ((156, 14), (152, 40), (146, 62), (145, 90), (146, 118))
    left = ((158, 12), (154, 42), (142, 62), (124, 70), (112, 84), (110, 118))
    return [bright_line(body, left if mark.side == "left" else right, mark.side, 1.6)]


def pacemaker(body: Body, mark: Mark) -> list[Image.Image]:
    box = body.mask(
        ((184, 66), (196, 62), (210, 64), (215, 76), (211, 88), (196, 91), (184, 86)), mark.side, blur=0.5
    )
    body.tint(box, 238)
    left = ((186, 78), (168, 66), (146, 68), (122, 84), (116, 130), (132, 170), (158, 180))
    right = ((186, 78), (168, 66), (152, 74), (146, 120), (136, 158), (112, 176))
    bright_line(body, left if mark.side == "left" else right, mark.side, 1.5)
    return [box]


def chest_drain(body: Body, mark: Mark) -> list[Image.Image]:
    return [bright_line(body, ((238, 166), (216, 150), (198, 120), (184, 88), (172, 66)), mark.side, 3.4)]


def ecg_leads(body: Body, mark: Mark) -> list[Image.Image]:
    spots = ((52, 60, 24), (202, 62, 236), (56, 158, 16), (206, 172, 246), (150, 140, 168))[: mark.number]
    found = []
    for x, y, end in spots:
        # Given for the image as it is, not for a side: they stick to the skin on both.
        disc = body.disc(x, y, 5, "left", 0.4)
        body.tint(disc, 214, 0.95)
        bright_line(body, ((x, y), ((x + end) / 2, y + 34), (end, 268)), "left", 1)
        found.append(disc)
    return found


DRAW: dict[str, Callable[[Body, Mark], list[Image.Image]]] = {
    "pleural effusion": effusion,
    "pneumothorax": pneumothorax,
    "consolidation": patch(172, 0.8, 2.5, 21),
    "lung opacity": patch(112, 0.7, 4, 23),
    "nodule": nodules,
    "mass": mass,
    "atelectasis": atelectasis,
    "infiltration": infiltration,
    "rib fracture": fracture,
    "endotracheal tube": endotracheal_tube,
    "central line": central_line,
    "pacemaker": pacemaker,
    "chest drain": chest_drain,
    "ECG lead": ecg_leads,
}


class Box(NamedTuple):
    """What a structure takes up of the image, in pixels."""

    category: str
    x: int
    y: int
    width: int
    height: int
    is_crowd: bool = False


def render(film: Film) -> tuple[Image.Image, list[Box]]:
    """The picture and its boxes: the parts of the body that are to be boxed, then findings and devices."""
    body = Body(film.name)
    parts = draw_body(body, film)
    boxes = [box for name in film.anatomy for mask in parts[name] for box in boxed(name, mask)]
    for mark in film.marks:
        if mark.category == "cardiomegaly":
            masks = parts["cardiomegaly"]
        elif mark.is_crowd:
            masks = many_nodules(body, mark)
        else:
            masks = DRAW[mark.category](body, mark)
        if mark.is_boxed:
            boxes += [box for mask in masks for box in boxed(mark.category, mask, mark.is_crowd)]
    letter, x = film.letter, 232 if film.letter == "L" else 12
    brush = ImageDraw.Draw(body.film)
    for points in LETTERS[letter]:
        brush.line(
            [(SCALE * (x + px), SCALE * (14 + py)) for px, py in points],
            fill=236,
            width=2 * SCALE,
            joint="curve",
        )
    grain = Image.frombytes("L", (SIZE, SIZE), body.grain.randbytes(SIZE * SIZE))
    picture = body.film.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    picture = ImageChops.add(picture, grain.point(lambda value: value // 22), offset=-6)
    return picture, boxes


# Which side of the patient is at which side of the film: the marker that a technician puts there.
LETTERS: dict[str, tuple[Points, ...]] = {
    "L": (((0, 0), (0, 12), (8, 12)),),
    "R": (((0, 13), (0, 0), (6, 0), (8, 2), (8, 5), (6, 7), (0, 7)), ((4, 7), (9, 13))),
}


def boxed(category: str, mask: Image.Image, is_crowd: bool = False) -> list[Box]:
    small = mask.resize((SIZE, SIZE), Image.Resampling.BOX).point(lambda value: 255 if value > COVERED else 0)
    found = small.getbbox()
    if found is None:
        raise ValueError(f"nothing of the {category} is in the image")
    left, top, right, bottom = found
    return [Box(category, left, top, right - left, bottom - top, is_crowd)]


def segmentation(box: Box) -> Any:
    """The box as COCO has regions: a polygon, or run lengths down the columns for a crowd."""
    _, x, y, width, height, is_crowd = box
    if not is_crowd:
        return [[x, y, x + width, y, x + width, y + height, x, y + height]]
    runs = [x * SIZE + y, height]
    for _ in range(width - 1):
        runs += [SIZE - height, height]
    return {"size": [SIZE, SIZE], "counts": [*runs, SIZE * SIZE - sum(runs)]}


def to_json(document: dict[str, Any]) -> str:
    """One record per line, so that a change to one film is a small diff."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list):
            rows = ",\n".join("  " + json.dumps(row, separators=(",", ":")) for row in value)
            parts.append(f"{json.dumps(key)}: [\n{rows}\n]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def draw_all(out: Path) -> None:
    images, captions, instances = [], [], []
    (out / "images").mkdir(parents=True, exist_ok=True)
    for number, film in enumerate(FILMS, 1):
        picture, boxes = render(film)
        picture.save(out / "images" / f"{film.name}.jpg", quality=85, optimize=True)
        images.append(
            {"id": number, "file_name": f"{film.name}.jpg", "width": SIZE, "height": SIZE, "license": 1}
        )
        captions += [
            {"id": number * 10 + at, "image_id": number, "caption": text}
            for at, text in enumerate(film.report)
        ]
        instances += [
            {
                "id": number * 100 + at,
                "image_id": number,
                "category_id": NUMBER[box.category],
                "bbox": [box.x, box.y, box.width, box.height],
                "area": box.width * box.height,
                "iscrowd": int(box.is_crowd),
                "segmentation": segmentation(box),
            }
            for at, box in enumerate(boxes)
        ]
    shared = {"info": INFO, "licenses": LICENSES, "images": images}
    categories = [{"supercategory": group, "id": NUMBER[name], "name": name} for name, group in CATEGORIES]
    for name, more in (
        ("captions", {"annotations": captions}),
        ("instances", {"annotations": instances, "categories": categories}),
    ):
        (out / f"{name}.json").write_text(to_json({**shared, **more}), encoding="utf-8", newline="\n")
    print(f"{out}: {len(FILMS)} films")


def check_sheet(path: Path, across: int = 8) -> None:
    """All films with their boxes, a grid to look at."""
    down = -(-len(FILMS) // across)
    page = Image.new("RGB", (across * SIZE, down * SIZE), "#ffffff")
    for at, film in enumerate(FILMS):
        picture, boxes = render(film)
        page.paste(picture.convert("RGB"), (at % across * SIZE, at // across * SIZE))
        brush = ImageDraw.Draw(page)
        for box in boxes:
            x, y = at % across * SIZE + box.x, at // across * SIZE + box.y
            hue = f"hsl({NUMBER[box.category] * 47 % 360},90%,60%)"
            brush.rectangle((x, y, x + box.width - 1, y + box.height - 1), outline=hue)
            brush.text((x + 1, y + 1), box.category, fill=hue)
        brush.text((at % across * SIZE + 4, at // across * SIZE + 244), film.name, fill="#ffffff")
    page.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the example set of the pack medical-xray.")
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "medical-xray",
        help="folder to write (default: examples/medical-xray)",
    )
    parser.add_argument("--check-sheet", type=Path, metavar="PATH", help="write all with boxes, and stop")
    args = parser.parse_args()
    if args.check_sheet:
        check_sheet(args.check_sheet)
    else:
        draw_all(args.out)


if __name__ == "__main__":
    main()
