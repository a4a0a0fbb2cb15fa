"""A supersampled canvas that knows, to the pixel, what is still visible of every object drawn on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from PIL import Image, ImageDraw

SS = 3  # shapes are drawn at three times the size and averaged down, which is what makes edges smooth
# A pixel belongs to an object when at least this much of it (of 255) is covered; a little under half,
# so that thin legs and handles stay inside their boxes.
COVERED = 100
# Scraps smaller than this (px) that an occluder leaves of an object are nobody's idea of a region.
SCRAP = 14

Point = tuple[float, float]
Points = Sequence[Point]


def rgba(colour: str) -> tuple[int, int, int, int]:
    """``#rrggbb`` or ``#rrggbbaa`` as four numbers."""
    value = colour.lstrip("#")
    parts = [int(value[i : i + 2], 16) for i in range(0, len(value), 2)]
    return parts[0], parts[1], parts[2], parts[3] if len(parts) > 3 else 255


def mix(first: str, second: str, share: float) -> str:
    """``share`` of the way from the first colour to the second."""
    a, b = rgba(first), rgba(second)
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in zip(a[:3], b[:3], strict=True))


def dark(colour: str, share: float = 0.18) -> str:
    # Towards a deep blue, not black: shadows in daylight are cool, and black looks dirty.
    return mix(colour, "#1c2340", share)


def light(colour: str, share: float = 0.22) -> str:
    return mix(colour, "#fff8ec", share)


def smooth(points: Points, closed: bool = True, steps: int = 8) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    n = len(points)
    out: list[Point] = []
    for i in range(n if closed else n - 1):
        if closed:
            p0, p1, p2, p3 = points[i - 1], points[i], points[(i + 1) % n], points[(i + 2) % n]
        else:
            p0, p1 = points[max(i - 1, 0)], points[i]
            p2, p3 = points[i + 1], points[min(i + 2, n - 1)]
        for k in range(steps):
            t = k / steps
            t2, t3 = t * t, t * t * t
            out.append(
                (
                    0.5
                    * (
                        2 * p1[0]
                        + (p2[0] - p0[0]) * t
                        + (2 * p0[0] - 5 * p1[0] + 4 * p2[0] - p3[0]) * t2
                        + (3 * p1[0] - p0[0] - 3 * p2[0] + p3[0]) * t3
                    ),
                    0.5
                    * (
                        2 * p1[1]
                        + (p2[1] - p0[1]) * t
                        + (2 * p0[1] - 5 * p1[1] + 4 * p2[1] - p3[1]) * t2
                        + (3 * p1[1] - p0[1] - 3 * p2[1] + p3[1]) * t3
                    ),
                )
            )
    if not closed:
        out.append(points[-1])
    return out


def ring(cx: float, cy: float, rx: float, ry: float, start: float = 0, end: float = 360) -> list[Point]:
    """Points of an ellipse or of an arc of it (degrees, clockwise from the right)."""
    n = max(8, round(56 * abs(end - start) / 360))
    span = math.radians(end - start)
    first = math.radians(start)
    closed = abs(end - start) >= 360
    return [
        (cx + rx * math.cos(first + span * i / n), cy + ry * math.sin(first + span * i / n))
        for i in range(n if closed else n + 1)
    ]


def rounded(
    x0: float, y0: float, x1: float, y1: float, r: float | tuple[float, float, float, float]
) -> list[Point]:
    """A rectangle with rounded corners (radii clockwise from the top left)."""
    radii = r if isinstance(r, tuple) else (r, r, r, r)
    limit = min(abs(x1 - x0), abs(y1 - y0)) / 2
    tl, tr, br, bl = (min(q, limit) for q in radii)
    points: list[Point] = []
    for cx, cy, q, start in (
        (x0 + tl, y0 + tl, tl, 180),
        (x1 - tr, y0 + tr, tr, 270),
        (x1 - br, y1 - br, br, 0),
        (x0 + bl, y1 - bl, bl, 90),
    ):
        points += [(cx, cy)] if q <= 0 else ring(cx, cy, q, q, start, start + 90)
    return points


@dataclass(frozen=True, slots=True)
class Matrix:
    """An affine map: x' = ax + by + c, y' = dx + ey + f."""

    a: float = 1
    b: float = 0
    c: float = 0
    d: float = 0
    e: float = 1
    f: float = 0

    def __call__(self, x: float, y: float) -> Point:
        return self.a * x + self.b * y + self.c, self.d * x + self.e * y + self.f

    def then_inside(self, x: float, y: float, sx: float, sy: float, turn: float) -> Matrix:
        """This map after one that scales, turns (degrees, clockwise on screen) and moves to x, y."""
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        a, b, d, e = sx * cos, -sy * sin, sx * sin, sy * cos
        ox, oy = self(x, y)
        return Matrix(
            self.a * a + self.b * d,
            self.a * b + self.b * e,
            ox,
            self.d * a + self.e * d,
            self.d * b + self.e * e,
            oy,
        )


@dataclass(slots=True)
class Op:
    """One polygon to fill: flat, or with a vertical gradient when ``second`` is set."""

    points: list[Point]
    fill: tuple[int, int, int, int]
    second: tuple[int, int, int, int] | None = None


@dataclass(slots=True)
class Pen:
    """Collects shapes in its own units. A fill with transparency only shades what is already drawn."""

    matrix: Matrix
    ops: list[Op]

    def at(
        self,
        x: float = 0,
        y: float = 0,
        scale: float = 1,
        *,
        flip: bool = False,
        turn: float = 0,
        sy: float = 0,
    ) -> Pen:
        """A pen for the same object with its origin moved, scaled, mirrored or turned."""
        sx = -scale if flip else scale
        return Pen(self.matrix.then_inside(x, y, sx, sy or scale, turn), self.ops)

    def poly(self, points: Points, fill: str, *, curve: bool = False, to: str | None = None) -> None:
        shape = smooth(points) if curve else points
        self.ops.append(Op([self.matrix(*p) for p in shape], rgba(fill), rgba(to) if to else None))

    def oval(self, cx: float, cy: float, rx: float, ry: float, fill: str, *, to: str | None = None) -> None:
        self.poly(ring(cx, cy, rx, ry), fill, to=to)

    def disc(self, cx: float, cy: float, r: float, fill: str) -> None:
        self.poly(ring(cx, cy, r, r), fill)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: str,
        r: float | tuple[float, float, float, float] = 0,
        *,
        to: str | None = None,
    ) -> None:
        self.poly(rounded(x0, y0, x1, y1, r), fill, to=to)

    def taper(self, x0: float, y0: float, r0: float, x1: float, y1: float, r1: float, fill: str) -> None:
        """A limb: two circles and what lies between them."""
        length = math.hypot(x1 - x0, y1 - y0)
        if length > abs(r0 - r1):
            base = math.atan2(y1 - y0, x1 - x0)
            lean = math.acos((r0 - r1) / length)
            angles = (base + lean, base - lean)
            quad = [
                (x0 + r0 * math.cos(angles[0]), y0 + r0 * math.sin(angles[0])),
                (x1 + r1 * math.cos(angles[0]), y1 + r1 * math.sin(angles[0])),
                (x1 + r1 * math.cos(angles[1]), y1 + r1 * math.sin(angles[1])),
                (x0 + r0 * math.cos(angles[1]), y0 + r0 * math.sin(angles[1])),
            ]
            self.poly(quad, fill)
        self.disc(x0, y0, r0, fill)
        self.disc(x1, y1, r1, fill)

    def line(
        self, points: Points, width: float, fill: str, *, curve: bool = False, loop: bool = False
    ) -> None:
        """A stroke with round ends and joins."""
        path = smooth(points, closed=loop) if curve else list(points)
        if loop:
            path = [*path, path[0]]
        for (x0, y0), (x1, y1) in pairwise(path):
            length = math.hypot(x1 - x0, y1 - y0)
            if length == 0:
                continue
            nx, ny = (y0 - y1) / length * width / 2, (x1 - x0) / length * width / 2
            self.poly([(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)], fill)
        # A see-through stroke must not be painted twice where a joint's circle lies over it.
        if rgba(fill)[3] == 255:
            for x, y in path:
                self.poly(ring(x, y, width / 2, width / 2)[::4], fill)


@dataclass(slots=True)
class Drawn:
    """An object on the canvas: its visible part, as a supersampled mask at an offset."""

    category: str
    crowd: bool
    mask: Image.Image
    left: int
    top: int


@dataclass(slots=True)
class Region:
    """What an object's annotation says, in image pixels."""

    category: str
    crowd: bool
    bbox: list[int]
    area: float
    polygons: list[list[int]]
    rle: list[int]


@dataclass(slots=True)
class Canvas:
    width: int
    height: int
    picture: Image.Image = field(init=False)
    drawn: list[Drawn] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.picture = Image.new("RGB", (self.width * SS, self.height * SS), "#ffffff")

    # -- painting that belongs to no object ------------------------------------------------------

    def sweep(self, y0: float, y1: float, *stops: str, x0: float = 0, x1: float | None = None) -> None:
        """A vertical gradient over a band of the picture."""
        left, right = round(x0 * SS), round((self.width if x1 is None else x1) * SS)
        top, bottom = round(y0 * SS), round(y1 * SS)
        rows = bottom - top
        column = Image.new("RGB", (1, rows))
        for row in range(rows):
            place = row / max(rows - 1, 1) * (len(stops) - 1)
            k = min(int(place), len(stops) - 2)
            column.putpixel((0, row), rgba(mix(stops[k], stops[k + 1], place - k))[:3])
        self.picture.paste(column.resize((right - left, rows)), (left, top))

    def glow(self, x: float, y: float, rx: float, ry: float, colour: str, strength: float = 0.3) -> None:
        """A soft spot of light or shade."""
        size = (max(2, round(2 * rx * SS)), max(2, round(2 * ry * SS)))
        table = [round(255 * strength * max(0.0, 1 - v / 181) ** 1.6) for v in range(256)]
        soft = Image.radial_gradient("L").point(table).resize(size)
        self.picture.paste(rgba(colour)[:3], (round((x - rx) * SS), round((y - ry) * SS)), soft)

    def shadow(self, x: float, y: float, rx: float, ry: float = 0, strength: float = 0.5) -> None:
        self.glow(x, y, rx * 1.25, (ry or rx * 0.16) * 1.5, "#1b2138", strength)

    # -- objects ---------------------------------------------------------------------------------

    @contextmanager
    def pen(
        self,
        x: float = 0,
        y: float = 0,
        scale: float = 1,
        *,
        flip: bool = False,
        turn: float = 0,
        category: str = "",
        crowd: bool = False,
    ) -> Iterator[Pen]:
        """Draw one thing; with a category it is annotated, without it is scenery (which still covers)."""
        pen = Pen(Matrix(SS, 0, 0, 0, SS, 0), []).at(x, y, scale, flip=flip, turn=turn)
        yield pen
        self._settle(pen.ops, category, crowd)

    def _settle(self, ops: list[Op], category: str, crowd: bool) -> None:
        solid = [op for op in ops if op.fill[3] == 255]
        if not solid:
            for op in ops:
                self._tint(op)
            return
        wide, high = self.picture.size
        xs = [x for op in solid for x, _ in op.points]
        ys = [y for op in solid for _, y in op.points]
        # Snapped to whole image pixels, so that a mask can be averaged down where it lies.
        left, top = max(0, int(min(xs)) // SS * SS - SS), max(0, int(min(ys)) // SS * SS - SS)
        right = min(wide, (int(max(xs)) // SS + 2) * SS)
        bottom = min(high, (int(max(ys)) // SS + 2) * SS)
        if right <= left or bottom <= top:
            if category:
                raise ValueError(f"a {category} lies outside the picture")
            return
        size = (right - left, bottom - top)
        layer, mask = Image.new("RGB", size), Image.new("L", size)
        brush, stencil = ImageDraw.Draw(layer, "RGBA"), ImageDraw.Draw(mask)
        for op in ops:
            points = [(x - left, y - top) for x, y in op.points]
            if op.second:
                self._gradient(layer, op, points)
            else:
                brush.polygon(points, fill=op.fill)
            if op.fill[3] == 255:
                stencil.polygon(points, fill=255)
        self.picture.paste(layer, (left, top), mask)
        for other in self.drawn:
            other.mask.paste(0, (left - other.left, top - other.top), mask)
        if category:
            self.drawn.append(Drawn(category, crowd, mask, left, top))

    def _tint(self, op: Op) -> None:
        ImageDraw.Draw(self.picture, "RGBA").polygon(op.points, fill=op.fill)

    @staticmethod
    def _gradient(layer: Image.Image, op: Op, points: list[Point]) -> None:
        assert op.second is not None
        top, bottom = min(y for _, y in points), max(y for _, y in points)
        left, right = min(x for x, _ in points), max(x for x, _ in points)
        size = (max(1, math.ceil(right - left) + 1), max(1, math.ceil(bottom - top) + 1))
        corner = (math.floor(left), math.floor(top))
        column = Image.new("RGB", (1, 2))
        column.putpixel((0, 0), op.fill[:3])
        column.putpixel((0, 1), op.second[:3])
        shape = Image.new("L", size)
        ImageDraw.Draw(shape).polygon([(x - corner[0], y - corner[1]) for x, y in points], fill=op.fill[3])
        layer.paste(column.resize(size, Image.Resampling.BILINEAR), corner, shape)

    # -- results ---------------------------------------------------------------------------------

    def image(self) -> Image.Image:
        return self.picture.reduce(SS)

    def regions(self) -> list[Region]:
        """The annotations, from what is left visible of each object."""
        return [self._region(item) for item in self.drawn]

    def _region(self, item: Drawn) -> Region:
        small = item.mask.reduce(SS).point([255 if v >= COVERED else 0 for v in range(256)])
        left, top = item.left // SS, item.top // SS
        parts = [part for part in components(small) if part[1] >= SCRAP]
        if not parts:
            raise ValueError(f"nothing visible is left of a {item.category} near {left}, {top}")
        if item.crowd:
            return self._crowd(item, small, left, top)
        polygons: list[list[int]] = []
        area = 0.0
        outlines: list[list[tuple[int, int]]] = []
        for start, _ in sorted(parts, key=lambda part: -part[1]):
            # COCO's polygons have no holes: what shows inside one (a table through a cup's handle) is in it.
            if any(contains(outer, start) for outer in outlines):
                continue
            outlines.append(trace(small, start))
            outline = [(x + left, y + top) for x, y in simplify(outlines[-1])]
            area += shoelace(outline)
            polygons.append([v for point in outline for v in point])
        xs = [v for polygon in polygons for v in polygon[0::2]]
        ys = [v for polygon in polygons for v in polygon[1::2]]
        bbox = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        return Region(item.category, False, bbox, area, polygons, [])

    def _crowd(self, item: Drawn, small: Image.Image, left: int, top: int) -> Region:
        whole = Image.new("L", (self.width, self.height))
        whole.paste(small, (left, top))
        box = whole.getbbox()
        assert box is not None
        # COCO's run lengths go down the columns; turning the mask makes them go along the rows.
        cells = whole.transpose(Image.Transpose.TRANSPOSE).tobytes()
        counts: list[int] = []
        place, value = 0, 0
        while place < len(cells):
            end = cells.find(0 if value else 255, place)
            end = len(cells) if end < 0 else end
            counts.append(end - place)
            place, value = end, 255 - value
        bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
        return Region(item.category, True, bbox, float(sum(counts[1::2])), [], counts)


def components(mask: Image.Image) -> list[tuple[tuple[int, int], int]]:
    """Connected regions (by edges) of a 0/255 mask: the top-left pixel and the pixel count of each."""
    width, height = mask.size
    cells = mask.tobytes()
    runs: list[tuple[int, int, int]] = []
    parent: list[int] = []

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    above: list[int] = []
    for y in range(height):
        row = cells[y * width : (y + 1) * width]
        here: list[int] = []
        x = row.find(255)
        while x >= 0:
            end = row.find(0, x)
            end = width if end < 0 else end
            me = len(runs)
            runs.append((x, y, end))
            parent.append(me)
            here.append(me)
            for other in above:
                if runs[other][0] < end and runs[other][2] > x:
                    a, b = sorted((root(other), root(me)))
                    parent[b] = a
            x = row.find(255, end)
        above = here
    sizes: dict[int, int] = {}
    for i, (x, _, end) in enumerate(runs):
        sizes[root(i)] = sizes.get(root(i), 0) + end - x
    return [((runs[i][0], runs[i][1]), count) for i, count in sorted(sizes.items())]


def trace(mask: Image.Image, start: tuple[int, int]) -> list[tuple[int, int]]:
    """The outline of the region that holds ``start`` (its top-left pixel), along the pixels' edges."""
    width, height = mask.size
    cells = mask.tobytes()

    def inside(x: int, y: int) -> bool:
        return 0 <= x < width and 0 <= y < height and cells[y * width + x] > 0

    # For each heading (right, down, left, up): the step, and the pixels ahead on the right and left hand.
    steps = ((1, 0), (0, 1), (-1, 0), (0, -1))
    right_hand = ((0, 0), (-1, 0), (-1, -1), (0, -1))
    left_hand = ((0, -1), (0, 0), (-1, 0), (-1, -1))
    x, y = start
    heading = 0
    corners: list[tuple[int, int]] = []
    while True:
        corners.append((x, y))
        while True:  # straight on to the next corner
            x, y = x + steps[heading][0], y + steps[heading][1]
            if not inside(x + right_hand[heading][0], y + right_hand[heading][1]):
                heading = (heading + 1) % 4
                break
            if inside(x + left_hand[heading][0], y + left_hand[heading][1]):
                heading = (heading + 3) % 4
                break
        if (x, y) == start and heading == 0:
            return corners


def contains(outline: list[tuple[int, int]], pixel: tuple[int, int]) -> bool:
    """Whether a pixel lies inside an outline along pixels' edges."""
    x, y = pixel[0] + 0.5, pixel[1] + 0.5
    inside = False
    for (x0, y0), (x1, y1) in pairwise([*outline, outline[0]]):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def simplify(outline: list[tuple[int, int]], tolerance: float = 0.8) -> list[tuple[int, int]]:
    """Douglas-Peucker, keeping the outermost points so that the outline's box stays exact."""
    keys = [
        min(range(len(outline)), key=lambda i: outline[i][0]),
        min(range(len(outline)), key=lambda i: outline[i][1]),
        max(range(len(outline)), key=lambda i: outline[i][0]),
        max(range(len(outline)), key=lambda i: outline[i][1]),
    ]
    keep = set(keys)
    anchors = sorted(keep)
    n = len(outline)
    spans = [(a, b) for a, b in zip(anchors, [*anchors[1:], anchors[0] + n], strict=True)]
    while spans:
        a, b = spans.pop()
        if b - a < 2:
            continue
        (x0, y0), (x1, y1) = outline[a % n], outline[b % n]
        length = math.hypot(x1 - x0, y1 - y0)
        worst, where = -1.0, a
        for i in range(a + 1, b):
            px, py = outline[i % n]
            if length == 0:
                away = math.hypot(px - x0, py - y0)
            else:
                away = abs((x1 - x0) * (y0 - py) - (x0 - px) * (y1 - y0)) / length
            if away > worst:
                worst, where = away, i
        if worst > tolerance:
            keep.add(where % n)
            spans += [(a, where), (where, b)]
    return [outline[i] for i in sorted(keep)]


def shoelace(outline: list[tuple[int, int]]) -> float:
    total = 0
    for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
        total += x0 * y1 - x1 * y0
    return abs(total) / 2
