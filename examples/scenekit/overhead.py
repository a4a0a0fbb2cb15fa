"""Tiles seen from straight above, and the things on them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from PIL import Image, ImageDraw

from scenekit.canvas import dark, light, ring, rounded

SIZE = 400
SCALE = 3
"""Tiles are drawn at three times their size and averaged down, which is what makes edges smooth."""
SHADOW = "#1c2340"
LEAST_VISIBLE = 0.25
"""Share of a thing that must lie inside the tile for it to be annotated."""

Point = tuple[float, float]

WATER, SEA, GRASS, FIELD, ASPHALT, APRON, SAND, ROOFS = (
    "#3f6f86", "#2f5d7c", "#7c9a5a", "#8fa65f", "#6f7276", "#a9aaa6", "#d6c49a",
    ("#a9604a", "#8f8c86", "#b98a63", "#7d6f68", "#c2b8a8", "#96543f"),
)  # fmt: skip
CARS = ("#f2f2ee", "#d9dcdf", "#2e3238", "#8b1e22", "#27477f", "#b9bec4", "#f2f2ee", "#4d5257")
TREE = ("#3f6a37", "#4b7a3f", "#355c33", "#577f41")


def placed(points: Sequence[Point], x: float, y: float, angle: float) -> list[Point]:
    """Points about (0, 0), turned clockwise by so many degrees and moved to (x, y)."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return [(x + u * c - v * s, y + u * s + v * c) for u, v in points]


def block(width: float, height: float, radius: float = 0) -> list[Point]:
    """A rectangle about (0, 0)."""
    return rounded(-width / 2, -height / 2, width / 2, height / 2, radius)


def mirrored(right: Sequence[Point]) -> list[Point]:
    """An outline from its right half, given from the front to the back."""
    return [*right, *[(-u, v) for u, v in reversed(right)]]


def clipped(points: Sequence[Point], width: float, height: float) -> list[Point]:
    """What of a polygon lies inside the tile."""
    inside = list(points)
    for axis, limit, sign in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        kept: list[Point] = []
        for at, point in enumerate(inside):
            before = inside[at - 1]
            here, there = (point[axis] - limit) * sign, (before[axis] - limit) * sign
            if (here >= 0) != (there >= 0):
                share = there / (there - here)
                kept.append(
                    (before[0] + (point[0] - before[0]) * share, before[1] + (point[1] - before[1]) * share)
                )
            if here >= 0:
                kept.append(point)
        inside = kept
    return inside


def area_of(points: Sequence[Point]) -> float:
    turns = zip(points, [*points[1:], *points[:1]], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in turns)) / 2


@dataclass
class Tile:
    """A picture, and what is to be seen on it."""

    name: str
    width: int = SIZE
    height: int = SIZE
    things: list[tuple[str, list[Point], bool]] = field(default_factory=list)
    """Category, outline, and whether it is a crowd region."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.name)
        self.picture = Image.new("RGB", (self.width * SCALE, self.height * SCALE), GRASS)
        self.brush = ImageDraw.Draw(self.picture, "RGBA")

    # Drawing

    def shape(self, points: Sequence[Point], colour: str, edge: str = "", line: float = 1) -> None:
        corners = [(x * SCALE, y * SCALE) for x, y in points]
        self.brush.polygon(corners, fill=colour)
        if edge:
            self.line([*points, points[0]], edge, line)

    def line(self, points: Sequence[Point], colour: str, width: float = 1) -> None:
        corners = [(x * SCALE, y * SCALE) for x, y in points]
        self.brush.line(corners, fill=colour, width=max(1, round(width * SCALE)), joint="curve")

    def ground(self, colour: str, patches: int = 60, spread: float = 0.10) -> None:
        """Plain ground with soft patches of a lighter or darker tone."""
        self.shape([(0, 0), (self.width, 0), (self.width, self.height), (0, self.height)], colour)
        for _ in range(patches):
            x, y = self.rng.uniform(0, self.width), self.rng.uniform(0, self.height)
            tone = dark(colour, spread) if self.rng.random() < 0.5 else light(colour, spread)
            self.shape(ring(x, y, self.rng.uniform(15, 70), self.rng.uniform(10, 45)), tone + "50")

    def water(self, points: Sequence[Point], colour: str = WATER) -> None:
        self.shape(points, colour)
        xs, ys = [x for x, _ in points], [y for _, y in points]
        for _ in range(round(area_of(points) / 900)):
            x, y = self.rng.uniform(min(xs), max(xs)), self.rng.uniform(min(ys), max(ys))
            if any(abs(x - a) < 6 or abs(y - b) < 6 for a, b in points):
                continue
            self.line([(x, y), (x + self.rng.uniform(4, 12), y + 1)], light(colour, 0.16) + "80", 0.7)

    def road(self, points: Sequence[Point], width: float = 22, *, middle: bool = True) -> None:
        self.line(points, ASPHALT, width)
        if middle:
            self.dashes(points, "#e8e6d8")

    def dashes(self, points: Sequence[Point], colour: str, length: float = 8, width: float = 1) -> None:
        for (x, y), (to_x, to_y) in pairwise(points):
            far = math.hypot(to_x - x, to_y - y)
            steps = int(far / (2 * length))
            for at in range(steps):
                a, b = 2 * at * length / far, (2 * at + 1) * length / far
                ends = [(x + (to_x - x) * share, y + (to_y - y) * share) for share in (a, b)]
                self.line(ends, colour, width)

    def trees(self, *places: Point, size: float = 9) -> None:
        for x, y in places:
            radius = self.rng.uniform(0.7, 1.2) * size
            self.shape(ring(x + 2.5, y + 2.5, radius, radius), SHADOW + "50")
            colour = self.rng.choice(TREE)
            self.shape(ring(x, y, radius, radius), colour)
            self.shape(
                ring(x - radius * 0.25, y - radius * 0.25, radius * 0.6, radius * 0.6), light(colour, 0.14)
            )

    def grove(self, x0: float, y0: float, x1: float, y1: float, number: int, size: float = 9) -> None:
        rng = self.rng
        self.trees(*((rng.uniform(x0, x1), rng.uniform(y0, y1)) for _ in range(number)), size=size)

    def house(self, x: float, y: float, width: float, depth: float, angle: float = 0, roof: str = "") -> None:
        """A roof with its ridge."""
        colour = roof or self.rng.choice(ROOFS)
        self.shape(placed(block(width, depth), x + 4, y + 4, angle), SHADOW + "60")
        self.shape(placed(block(width, depth), x, y, angle), light(colour, 0.12))
        half = rounded(-width / 2, 0, width / 2, depth / 2, 0)
        self.shape(placed(half, x, y, angle), dark(colour, 0.14))

    def hall(self, x: float, y: float, width: float, depth: float, colour: str = "#c9ccca") -> None:
        """A large flat roof."""
        self.shape(placed(block(width, depth), x + 6, y + 6, 0), SHADOW + "60")
        self.shape(placed(block(width, depth), x, y, 0), colour, dark(colour, 0.2), 1.5)
        for at in range(int(width // 26)):
            vent = placed(block(7, 7), x - width / 2 + 20 + 26 * at, y, 0)
            self.shape(vent, dark(colour, 0.22))

    # Things that are annotated

    def add(self, category: str, outline: Sequence[Point], crowd: bool = False) -> None:
        self.things.append((category, list(outline), crowd))

    def ship(
        self, x: float, y: float, length: float, angle: float, colour: str = "#e9e6df", *, cargo: bool = True
    ) -> None:
        """Its bow points up at 0 degrees, to the right at 90."""
        w = length * (0.30 if length < 45 else 0.19)
        right = [
            (0, -0.5),
            (w * 0.32, -length * 0.3),
            (w / 2, -length * 0.12),
            (w / 2, length * 0.44),
            (w * 0.36, length * 0.5),
        ]
        right[0] = (0, -length * 0.5)
        outline = mirrored(right)
        self.shape(placed(outline, x + 2, y + 2, angle), SHADOW + "70")
        hull = placed(outline, x, y, angle)
        self.shape(hull, colour, dark(colour, 0.45), 0.8)
        if length < 45:
            cabin = placed(rounded(-w * 0.28, -length * 0.05, w * 0.28, length * 0.25, 1.5), x, y, angle)
            self.shape(cabin, self.rng.choice(("#7b8794", "#b5463a", "#3e5f8a", "#d8d2c4")))
        else:
            rows = int(length * 0.62 // 9) if cargo else 0
            for row in range(rows):
                for column in (-1, 0, 1):
                    box = placed(
                        block(w * 0.24, 7.2),
                        *placed([(column * w * 0.27, -length * 0.27 + 9 * row)], x, y, angle)[0],
                        angle,
                    )
                    self.shape(box, self.rng.choice(("#a8432f", "#2f5a86", "#5d7d4a", "#c28f3c", "#8c9096")))
            bridge = placed(
                block(w * 0.8, length * 0.07), *placed([(0, length * 0.4)], x, y, angle)[0], angle
            )
            self.shape(bridge, "#f4f3ee", "#8c8c88", 0.8)
        self.add("ship", hull)

    def wake(self, x: float, y: float, length: float, angle: float) -> None:
        tail = [(0.0, length * 0.4), (length * 0.3, length * 1.7), (-length * 0.3, length * 1.7)]
        self.shape(placed(tail, x, y, angle), "#dfeaf060")

    def plane(self, x: float, y: float, size: float, angle: float, colour: str = "#f3f4f2") -> None:
        right = [
            (0, -0.5), (0.035, -0.47), (0.05, -0.38), (0.052, -0.12), (0.48, 0.12), (0.48, 0.17),
            (0.052, 0.09), (0.04, 0.36), (0.18, 0.45), (0.18, 0.49), (0.02, 0.47),
        ]  # fmt: skip
        outline = [(u * size, v * size) for u, v in mirrored(right)]
        self.shape(placed(outline, x + size * 0.05, y + size * 0.05, angle), SHADOW + "60")
        body = placed(outline, x, y, angle)
        self.shape(body, colour, "#8f9499", 0.5)
        for side in (-1, 1):
            engine = placed([(side * size * 0.19, -size * 0.02)], x, y, angle)[0]
            self.shape(placed(block(size * 0.05, size * 0.11, 1), *engine, angle), "#9aa0a6")
        tail = self.rng.choice(("#b5323a", "#27477f", "#2f7d6b", "#d08a2e"))
        self.shape(
            placed(block(size * 0.03, size * 0.14), *placed([(0, size * 0.4)], x, y, angle)[0], angle), tail
        )
        self.add("plane", body)

    def helicopter(self, x: float, y: float, size: float, angle: float, colour: str = "#c9422f") -> None:
        body = [
            (u * size, v * size)
            for u, v in mirrored([(0.0, -0.30), (0.09, -0.22), (0.1, 0.02), (0.03, 0.14), (0.025, 0.5)])
        ]
        self.shape(placed(body, x + 3, y + 3, angle), SHADOW + "60")
        self.shape(placed(body, x, y, angle), colour, dark(colour, 0.4), 0.6)
        self.line(
            placed([(-size * 0.1, size * 0.47), (size * 0.1, size * 0.47)], x, y, angle), "#30343a", 1.6
        )
        self.shape(
            placed(rounded(-size * 0.06, -size * 0.25, size * 0.06, -size * 0.13, 2), x, y, angle), "#26323e"
        )
        blades = [
            placed([(0, -size * 0.42), (0, size * 0.42)], x, y - size * 0.04, angle + turn)
            for turn in (40, 130)
        ]
        for blade in blades:
            self.line(blade, "#2a2d31", 1.5)
        tips = [blades[0][0], blades[1][0], placed([(size * 0.1, size * 0.5)], x, y, angle)[0]]
        tips += [placed([(-size * 0.1, size * 0.5)], x, y, angle)[0], blades[0][1], blades[1][1]]
        tips.sort(key=lambda p: math.atan2(p[1] - y, p[0] - x))
        self.add("helicopter", tips)

    def helipad(self, x: float, y: float, radius: float) -> None:
        self.shape(ring(x, y, radius, radius), "#85888a", "#f0efe6", 2)
        for part in ([(-0.3, -0.4), (-0.3, 0.4)], [(0.3, -0.4), (0.3, 0.4)], [(-0.3, 0), (0.3, 0)]):
            self.line([(x + u * radius, y + v * radius) for u, v in part], "#f0efe6", 2.5)

    def tank(self, x: float, y: float, radius: float, colour: str = "#eceae3") -> None:
        self.shape(ring(x + radius * 0.25, y + radius * 0.25, radius, radius), SHADOW + "60")
        outline = ring(x, y, radius, radius)
        self.shape(outline, dark(colour, 0.12), "#8d8c86", 1)
        self.shape(ring(x - radius * 0.06, y - radius * 0.06, radius * 0.84, radius * 0.84), colour)
        self.shape(ring(x, y, radius * 0.1, radius * 0.1), "#9a9994")
        turn = math.radians(self.rng.uniform(0, 360))
        far = (x + radius * 0.9 * math.cos(turn), y + radius * 0.9 * math.sin(turn))
        self.line([(x, y), far], "#a7a6a0", 1.2)
        self.add("storage tank", outline)

    def car(self, x: float, y: float, angle: float = 0, size: float = 12) -> None:
        colour = self.rng.choice(CARS)
        w = size * 0.5
        outline = block(w, size, size * 0.15)
        self.shape(placed(outline, x + 1, y + 1, angle), SHADOW + "70")
        self.shape(placed(outline, x, y, angle), colour, dark(colour, 0.3), 0.4)
        for low, high in ((-0.28, -0.12), (0.22, 0.34)):
            glass = [
                (-w * 0.36, size * low),
                (w * 0.36, size * low),
                (w * 0.36, size * high),
                (-w * 0.36, size * high),
            ]
            self.shape(placed(glass, x, y, angle), "#26313c")
        self.add("small vehicle", placed(outline, x, y, angle))

    def truck(self, x: float, y: float, angle: float = 0, size: float = 30, colour: str = "") -> None:
        """With `size` below 26 a bus."""
        paint = colour or self.rng.choice(("#eef0ef", "#c7cbcf", "#b4483b", "#3f659a", "#d9b13f"))
        w = size * 0.32
        outline = block(w, size, 1)
        self.shape(placed(outline, x + 1.5, y + 1.5, angle), SHADOW + "70")
        self.shape(placed(outline, x, y, angle), paint, dark(paint, 0.35), 0.5)
        cab = rounded(-w / 2, -size / 2, w / 2, -size * 0.3, 1)
        self.shape(placed(cab, x, y, angle), dark(paint, 0.3))
        glass = rounded(-w * 0.38, -size * 0.45, w * 0.38, -size * 0.39, 0)
        self.shape(placed(glass, x, y, angle), "#1f2a34")
        self.add("large vehicle", placed(outline, x, y, angle))

    def court(self, x: float, y: float, length: float, angle: float, colour: str = "#3d6fa3") -> None:
        """A tennis court with its surround."""
        w = length * 0.52
        outline = placed(block(w, length), x, y, angle)
        self.shape(outline, "#5b8a58" if colour != "#4f8a4c" else "#a9674b")
        inner_w, inner_l = w * 0.62, length * 0.7
        self.shape(placed(block(inner_w, inner_l), x, y, angle), colour, "#f4f4ee", 1)
        for u in (-0.5 + 0.125, 0.5 - 0.125):
            self.line(
                placed([(u * inner_w, -inner_l / 2), (u * inner_w, inner_l / 2)], x, y, angle), "#f4f4ee", 0.7
            )
        for v in (-0.27, 0.27):
            self.line(
                placed([(-inner_w * 0.37, v * inner_l), (inner_w * 0.37, v * inner_l)], x, y, angle),
                "#f4f4ee",
                0.7,
            )
        self.line(placed([(0, -0.27 * inner_l), (0, 0.27 * inner_l)], x, y, angle), "#f4f4ee", 0.7)
        self.line(placed([(-w * 0.4, 0), (w * 0.4, 0)], x, y, angle), "#2d3136", 1)
        self.add("tennis court", outline)

    def hoops(self, x: float, y: float, length: float, angle: float, colour: str = "#b3623f") -> None:
        """A basketball court."""
        w = length * 0.56
        outline = placed(block(w, length), x, y, angle)
        self.shape(outline, colour, "#f4f1e6", 1.2)
        self.line(placed([(-w / 2, 0), (w / 2, 0)], x, y, angle), "#f4f1e6", 1)
        self.line(placed(ring(0, 0, w * 0.13, w * 0.13), x, y, angle), "#f4f1e6", 1)
        for sign in (-1, 1):
            lane = rounded(-w * 0.17, 0, w * 0.17, length * 0.2, 0)
            moved = [(u, sign * (length / 2 - v)) for u, v in lane]
            self.shape(placed(moved, x, y, angle), "#2f5a86", "#f4f1e6", 0.8)
            arc = [(u, sign * (length / 2 - 2) - sign * v) for u, v in ring(0, 0, w * 0.42, w * 0.42, 0, 180)]
            self.line(placed(arc, x, y, angle), "#f4f1e6", 0.9)
        self.add("basketball court", outline)

    def pitch(self, x: float, y: float, length: float, angle: float) -> None:
        """A soccer field."""
        w = length * 0.62
        outline = placed(block(w, length), x, y, angle)
        self.shape(outline, "#5d944b")
        for at in range(8):
            v = -length / 2 + at * length / 8
            if at % 2:
                strip = placed(
                    [(-w / 2, v), (w / 2, v), (w / 2, v + length / 8), (-w / 2, v + length / 8)], x, y, angle
                )
                self.shape(strip, "#679e53")
        self.line([*outline, outline[0]], "#f4f4ee", 1.2)
        self.line(placed([(-w / 2, 0), (w / 2, 0)], x, y, angle), "#f4f4ee", 1)
        self.line(placed(ring(0, 0, w * 0.14, w * 0.14), x, y, angle), "#f4f4ee", 1)
        for sign in (-1, 1):
            goal = [
                (-w * 0.3, sign * length / 2),
                (-w * 0.3, sign * length * 0.36),
                (w * 0.3, sign * length * 0.36),
                (w * 0.3, sign * length / 2),
            ]
            self.line(placed(goal, x, y, angle), "#f4f4ee", 1)
        self.add("soccer field", outline)

    def track(self, x: float, y: float, length: float, angle: float = 0, *, soccer: bool = False) -> None:
        """A running track about its infield."""
        w = length * 0.56
        outline = placed(block(w, length, w / 2), x, y, angle)
        self.shape(outline, "#b25a45")
        for share in (0.92, 0.84):
            lane = placed(block(w - length * (1 - share), length * share, w * share / 2), x, y, angle)
            self.line([*lane, lane[0]], "#e8d3c6", 0.7)
        inner = length * 0.76
        self.shape(placed(block(w - length * 0.24, inner, (w - length * 0.24) / 2), x, y, angle), "#6a9a52")
        self.add("ground track field", outline)
        if soccer:
            self.pitch(x, y, length * 0.47, angle)

    def diamond(self, x: float, y: float, size: float, angle: float) -> None:
        """A baseball diamond with home plate at (x, y); its field opens up at 0 degrees."""
        fan = [
            (0.0, 0.0),
            *[
                (size * math.sin(math.radians(t)), -size * math.cos(math.radians(t)))
                for t in range(-45, 46, 9)
            ],
        ]
        outline = placed(fan, x, y, angle)
        self.shape(outline, "#6f9f52", "#e9e4d2", 1)
        dirt = [
            (0.0, 0.0),
            *[
                (size * 0.55 * math.sin(math.radians(t)), -size * 0.55 * math.cos(math.radians(t)))
                for t in range(-45, 46, 9)
            ],
        ]
        self.shape(placed(dirt, x, y, angle), "#b98a5c")
        grass = [
            (0.0, -size * 0.08),
            (size * 0.2, -size * 0.28),
            (0.0, -size * 0.48),
            (-size * 0.2, -size * 0.28),
        ]
        self.shape(placed(grass, x, y, angle), "#79a65a")
        self.add("baseball diamond", outline)

    def pool(
        self, x: float, y: float, width: float, depth: float, angle: float = 0, radius: float = 6
    ) -> None:
        rim = placed(block(width + 5, depth + 5, radius), x, y, angle)
        self.shape(rim, "#ece8de")
        water = placed(block(width, depth, radius), x, y, angle)
        self.shape(water, "#4fb7cf")
        self.line(
            placed([(-width * 0.3, -depth * 0.2), (width * 0.25, -depth * 0.2)], x, y, angle), "#9adbe6", 1
        )
        self.add("swimming pool", rim)

    def pier(self, x0: float, y0: float, x1: float, y1: float, colour: str = "#b8ab95") -> None:
        outline = rounded(x0, y0, x1, y1, 0)
        self.shape([(x + 2, y + 2) for x, y in outline], SHADOW + "60")
        self.shape(outline, colour, dark(colour, 0.3), 0.8)
        self.add("harbor", outline)

    def bridge(self, x: float, y: float, width: float, length: float, angle: float) -> None:
        """A road across water; its road runs up at 0 degrees."""
        outline = placed(block(width, length), x, y, angle)
        self.shape([(u + 5, v + 5) for u, v in outline], SHADOW + "60")
        self.shape(outline, "#8a8c8e")
        for side in (-1, 1):
            self.line(
                placed([(side * width / 2, -length / 2), (side * width / 2, length / 2)], x, y, angle),
                "#d9d7cf",
                2,
            )
        self.dashes(placed([(0, -length / 2), (0, length / 2)], x, y, angle), "#f0eee2")
        self.add("bridge", outline)

    def circle(self, x: float, y: float, radius: float) -> None:
        """A roundabout."""
        outline = ring(x, y, radius, radius)
        self.shape(outline, ASPHALT)
        self.line([*ring(x, y, radius * 0.76, radius * 0.76)], "#e8e6d8", 0.8)
        self.shape(ring(x, y, radius * 0.5, radius * 0.5), "#7fa35c", "#cfcabb", 2)
        self.trees((x, y), size=radius * 0.22)
        self.add("roundabout", outline)

    def bays(
        self,
        x0: float,
        y0: float,
        columns: int,
        cars: int,
        step: float = 10,
        depth: float = 16,
        angle: float = 0,
    ) -> None:
        """A row of parking bays, so many of them taken."""
        taken = set(self.rng.sample(range(columns), cars))
        for column in range(columns + 1):
            x = x0 + column * step
            self.line([(x, y0), (x, y0 + depth)], "#dcdad0", 0.7)
        for column in sorted(taken):
            self.car(
                x0 + (column + 0.5) * step, y0 + depth / 2, angle + (180 if self.rng.random() < 0.4 else 0)
            )

    # What becomes of it

    def image(self) -> Image.Image:
        return self.picture.resize((self.width, self.height), Image.Resampling.BOX)

    def regions(self) -> list[tuple[str, list[Point], bool]]:
        """What is annotated: category, what is visible of the outline, and whether it is a crowd region."""
        found = []
        for category, outline, crowd in self.things:
            visible = clipped(outline, self.width, self.height)
            if len(visible) > 2 and area_of(visible) >= LEAST_VISIBLE * area_of(outline):
                found.append((category, visible, crowd))
        return found
