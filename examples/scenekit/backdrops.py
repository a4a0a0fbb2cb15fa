"""Scenery: everything in here is not annotated, so nothing in here may look like a COCO category."""

# fmt: off
# Rows of coordinates are kept as rows: a formatter would give every point a line of its own.

from __future__ import annotations

import math
from random import Random

from PIL import Image

from .canvas import Canvas, Pen, Point, dark, light, mix, smooth

SKIES = {
    "day": ("#6fb7dd", "#b9dff0", "#e9f5f4"),
    "morning": ("#8cc3df", "#cfe6ea", "#fdeed6"),
    "dusk": ("#5a6ba8", "#c98aa4", "#f9c79a"),
    "sunset": ("#4d5c9a", "#e08f86", "#fbd08a"),
    "night": ("#141b3c", "#25305c", "#46507f"),
    "grey": ("#8b99a8", "#aebac4", "#d3dade"),
    "winter": ("#8dbbe0", "#c4deef", "#eef6fa"),
    "savanna": ("#e8a25c", "#f6cd8c", "#fdeabf"),
}


# -- outdoors ------------------------------------------------------------------------------------


def sky(cv: Canvas, horizon: float, kind: str = "day", seed: int = 1) -> None:
    cv.sweep(0, horizon + 2, *SKIES[kind])
    if kind == "night":
        rng = Random(seed)
        for _ in range(70):
            r = 0.5 + rng.random() * 0.8
            with cv.pen(rng.random() * cv.width, rng.random() * horizon * 0.75) as p:
                p.disc(0, 0, r, "#f3efd8")


def sun(cv: Canvas, x: float, y: float, r: float, colour: str = "#fff3cf", halo: str = "#fff0c0") -> None:
    cv.glow(x, y, r * 5, r * 5, halo, 0.55)
    with cv.pen(x, y) as p:
        p.disc(0, 0, r, colour)


def moon(cv: Canvas, x: float, y: float, r: float) -> None:
    cv.glow(x, y, r * 4.5, r * 4.5, "#cfd8f5", 0.4)
    with cv.pen(x, y) as p:
        p.disc(0, 0, r, "#f6f0d6")
        for cx, cy, q in ((-0.3, -0.2, 0.2), (0.35, 0.25, 0.16), (-0.1, 0.5, 0.13)):
            p.disc(cx * r, cy * r, q * r, "#e2dabb")


def cloud(cv: Canvas, x: float, y: float, w: float, colour: str = "#ffffff") -> None:
    with cv.pen(x, y, w / 100) as p:
        under = dark(colour, 0.07)
        for cx, cy, r in ((-30, -3, 14), (-12, -12, 20), (12, -9, 17), (31, -3, 13)):
            p.disc(cx, cy + 3, r, under)
        p.box(-44, -6, 44, 12, under, 9)
        for cx, cy, r in ((-30, -5, 13), (-12, -14, 19), (12, -11, 16), (31, -5, 12)):
            p.disc(cx, cy, r, colour)
        p.box(-43, -8, 43, 8, colour, 8)


def ridge(cv: Canvas, base: float, height: float, colour: str, seed: int, *, bumps: int = 5, to: str = "",
        jag: bool = False) -> None:
    """Hills (or, jagged, mountains) across the whole picture, down to its lower edge."""
    rng = Random(seed)
    points: list[Point] = [(-60, base)]
    step = (cv.width + 120) / (bumps * 2)
    for k in range(bumps * 2 + 1):
        up = height * (0.55 + 0.45 * rng.random()) if k % 2 else height * (0.05 + 0.3 * rng.random())
        points.append((-60 + step * (k + (rng.random() - 0.5) * 0.5), base - up))
    points.append((cv.width + 60, base))
    bottom: list[Point] = [(cv.width + 60, cv.height + 5), (-60, cv.height + 5)]
    with cv.pen() as p:
        if jag:
            p.poly([*points, *bottom], colour, to=to or None)
        else:
            from_curve = [*smooth(points, closed=False, steps=10), *bottom]
            p.poly(from_curve, colour, to=to or None)


def mountain(cv: Canvas, x: float, base: float, w: float, h: float, colour: str = "#6f86a8",
        snow: str = "#f6fafc") -> None:
    with cv.pen(x, base, w / 100, turn=0) as pen:
        p = pen.at(0, 0, 1, sy=h / w)
        peak: Point = (2, -100)
        p.poly([(-50, 0), (-30, -42), (-22, -50), peak, (20, -62), (30, -40), (50, 0)], colour,
            to=mix(colour, "#dfeaf0", 0.35))
        p.poly([peak, (20, -62), (30, -40), (50, 0), (8, 0), (14, -34), (4, -58)], "#1c234026")
        p.poly([peak, (-12, -70), (-7, -66), (-3, -74), (2, -64), (7, -72), (11, -66), (13, -77)], snow)
        p.poly([peak, (13, -77), (11, -66), (7, -72), (4, -68)], "#1c234018")


def tree(cv: Canvas, x: float, y: float, h: float, kind: str = "round", leaf: str = "#5b9a5f") -> None:
    """Kinds: round, poplar, pine, snowpine, palm, bare."""
    if kind != "bare":
        cv.shadow(x + h * 0.03, y, h * 0.26, h * 0.045, 0.4)
    trunk = "#7d5a43"
    with cv.pen(x, y, h / 100) as p:
        if kind in ("pine", "snowpine"):
            p.box(-3, -16, 3, 0, trunk)
            for k in range(4):
                top, wide = -100 + k * 18, 11 + k * 6.4
                low = top + 34
                tone = mix(dark(leaf, 0.12), light(leaf, 0.1), k / 4)
                p.poly([(0, top), (wide, low), (wide * 0.4, low - 3), (0, low + 1), (-wide * 0.4, low - 3),
                    (-wide, low)], tone)
                p.poly([(0, top), (wide, low), (wide * 0.4, low - 3), (2, low)], "#14204018")
                if kind == "snowpine":
                    p.poly([(0, top), (wide * 0.5, top + 17), (wide * 0.2, top + 14), (0, top + 18),
                        (-wide * 0.25, top + 14), (-wide * 0.55, top + 18)], "#f6fafc")
            return
        if kind == "palm":
            p.line([(0, 0), (3, -30), (9, -56), (18, -78)], 4.6, "#9a7350", curve=True)
            for tx, ty in ((-22, -70), (-14, -96), (46, -96), (56, -72), (0, -58), (38, -58)):
                mx, my = (18 + tx) / 2, min(-78, ty) - 9
                p.poly([(18, -80), (mx, my - 3), (tx, ty), (mx + 2, my + 7), (18, -76)], (leaf,
                    dark(leaf, 0.12))[int(tx) % 2], curve=True)
            return
        p.poly([(-4, 0), (-2.6, -40), (2.6, -40), (4, 0)], trunk)
        p.line([(0, -28), (9, -44)], 2.4, trunk)
        p.line([(0, -34), (-9, -48)], 2.4, trunk)
        if kind == "bare":
            for tx, ty in ((-20, -84), (-8, -96), (8, -100), (22, -82), (14, -66), (-16, -66)):
                p.line([(0, -36), (tx * 0.5, (ty - 44) / 2), (tx, ty)], 1.6, trunk, curve=True)
            return
        if kind == "poplar":
            p.oval(0, -60, 15, 41, dark(leaf, 0.1))
            p.oval(-3, -63, 11, 36, leaf)
            p.oval(-5, -72, 6, 20, light(leaf, 0.12))
            return
        blobs = ((-17, -48, 17), (17, -48, 17), (0, -44, 17), (-13, -68, 17), (14, -68, 17), (0, -82, 17))
        for cx, cy, r in blobs:
            p.disc(cx + 1.5, cy + 3, r, dark(leaf, 0.16))
        for cx, cy, r in blobs:
            p.disc(cx - 1, cy - 1, r * 0.9, leaf)
        for cx, cy, r in ((-14, -72, 9), (-3, -86, 9), (-19, -52, 8), (8, -66, 8)):
            p.disc(cx, cy, r, light(leaf, 0.14))


def bush(cv: Canvas, x: float, y: float, w: float, leaf: str = "#5f9a5d", flowers: str = "") -> None:
    cv.shadow(x, y, w * 0.5, w * 0.07, 0.35)
    with cv.pen(x, y, w / 100) as p:
        for cx, cy, r in ((-32, -16, 18), (-10, -24, 23), (14, -22, 22), (34, -15, 17)):
            p.disc(cx, cy, r, dark(leaf, 0.12))
        p.box(-48, -16, 49, 0, dark(leaf, 0.12), 8)
        for cx, cy, r in ((-32, -19, 14), (-11, -29, 17), (13, -27, 16), (33, -18, 13)):
            p.disc(cx, cy, r, leaf)
        if flowers:
            for cx, cy in ((-34, -20), (-18, -36), (-4, -22), (12, -34), (24, -16), (38, -22), (-24, -8),
                    (6, -10)):
                p.disc(cx, cy, 3.2, flowers)
                p.disc(cx, cy, 1.3, "#fdf3cf")


def tufts(cv: Canvas, y0: float, y1: float, colour: str, seed: int, count: int = 40, flowers: tuple[str,
        ...] = ()) -> None:
    """Grass, and little flowers, larger towards the front."""
    rng = Random(seed)
    spots = sorted((y0 + (y1 - y0) * rng.random(), rng.random() * cv.width) for _ in range(count))
    for k, (y, x) in enumerate(spots):
        size = 0.5 + 1.1 * (y - y0) / max(y1 - y0, 1)
        with cv.pen(x, y, size) as p:
            if flowers and k % 3 == 0:
                p.line([(0, 0), (0, -6)], 0.9, dark(colour, 0.15))
                p.disc(0, -7, 2.2, flowers[k % len(flowers)])
                p.disc(0, -7, 0.9, "#fdf3cf")
            else:
                for dx in (-3, 0, 3):
                    p.poly([(dx * 0.5 - 0.9, 0), (dx * 0.5 + 0.9, 0), (dx, -7 + abs(dx))], colour)


def fence(cv: Canvas, y: float, h: float, colour: str = "#f6f1e4", *, x0: float = -10,
        x1: float | None = None, rails: bool = False) -> None:
    x1 = cv.width + 10 if x1 is None else x1
    with cv.pen(0, y) as p:
        for k in (0.3, 0.72):
            p.box(x0, -h * k - h * 0.06, x1, -h * k + h * 0.06, dark(colour, 0.08))
        step = h * (1.5 if rails else 0.36)
        wide = h * (0.07 if rails else 0.11)
        at = x0 + step / 2
        while at < x1:
            p.poly([(at - wide, 0), (at - wide, -h * 0.9), (at, -h), (at + wide, -h * 0.9), (at + wide, 0)],
                colour)
            at += step


def house(cv: Canvas, x: float, y: float, w: float, h: float, colour: str, roof: str = "#a4513f", *,
        style: str = "gable", lit: bool = False, shop: str = "") -> None:
    """A town house whose left lower corner is x, y. Styles: gable, step, flat."""
    pane = "#fbd98a" if lit else "#a9cfdd"
    with cv.pen(x, y) as p:
        p.box(0, -h, w, 0, colour, to=dark(colour, 0.1))
        if style == "gable":
            p.poly([(-w * 0.05, -h), (w / 2, -h - w * 0.42), (w * 1.05, -h)], roof, to=dark(roof, 0.12))
            p.disc(w / 2, -h - w * 0.13, w * 0.08, light(colour, 0.5))
            p.disc(w / 2, -h - w * 0.13, w * 0.055, pane)
        elif style == "step":
            for k in range(3):
                p.box(w * 0.14 * k, -h - w * 0.14 * (k + 1), w - w * 0.14 * k, -h - w * 0.14 * k + 1, colour)
                p.box(w * 0.14 * k - 1.5, -h - w * 0.14 * (k + 1) - 2, w - w * 0.14 * k + 1.5,
                    -h - w * 0.14 * (k + 1) + 1.5, light(colour, 0.45))
        else:
            p.box(-w * 0.03, -h - 6, w * 1.03, -h + 4, roof)
        p.box(0, -h * 0.02, w, 0, dark(colour, 0.35))
        floors = max(2, round(h / 84))
        across = max(2, round(w / 54))
        for row in range(floors):
            top = -h + h * (row + 0.22) / floors
            for col in range(across):
                if row == floors - 1 and (shop or col == across // 2):
                    continue
                left = w * (col + 0.5) / across - w / across * 0.25
                wide, tall = w / across * 0.5, h / floors * 0.52
                lamp = pane if not lit or (row * 3 + col * 5 + int(x)) % 3 else "#3d4a6e"
                p.box(left - 2, top - 2, left + wide + 2, top + tall + 2, light(colour, 0.55), 1)
                p.box(left, top, left + wide, top + tall, lamp, to=light(lamp, 0.3))
                p.line([(left + wide / 2, top), (left + wide / 2, top + tall)], 1.3, light(colour, 0.55))
                p.box(left - 4, top + tall + 1.5, left + wide + 4, top + tall + 4.5, light(colour, 0.4))
        ground = h / floors
        if shop:
            p.box(w * 0.06, -ground * 0.78, w * 0.62, -ground * 0.16, "#fbe9b8" if lit else "#bcdbe2", 1,
                to="#f4cf86" if lit else "#d8ebec")
            p.box(w * 0.7, -ground * 0.78, w * 0.93, 0, dark(shop, 0.4), 1)
            p.box(w * 0.74, -ground * 0.72, w * 0.89, -ground * 0.3, pane)
            n = 7
            for k in range(n):
                tone = shop if k % 2 == 0 else "#fbf6ea"
                p.poly([(w * k / n, -ground * 0.98), (w * (k + 1) / n, -ground * 0.98),
                    (w * (k + 1) / n + 1, -ground * 0.76), (w * k / n - 1, -ground * 0.76)], tone)
                p.oval(w * (k + 0.5) / n, -ground * 0.76, w / n / 2 + 0.4, 4, tone)
        else:
            mid = w * (across // 2 + 0.5) / across
            half = min(w / across * 0.28, 19)
            p.box(mid - half - 2.5, -ground * 0.74 - 2.5, mid + half + 2.5, 0, light(colour, 0.5))
            p.box(mid - half, -ground * 0.74, mid + half, 0, roof, (4, 4, 0, 0), to=dark(roof, 0.2))
            p.disc(mid + half * 0.6, -ground * 0.34, 1.4, "#f0d58a")


def skyline(cv: Canvas, y: float, colour: str, seed: int, tall: float = 110, lit: bool = False) -> None:
    rng = Random(seed)
    at = -10.0
    while at < cv.width:
        wide = 26 + rng.random() * 36
        high = tall * (0.4 + 0.6 * rng.random())
        with cv.pen(at, y) as p:
            p.box(0, -high, wide, 0, mix(colour, "#ffffff", rng.random() * 0.1))
            if lit:
                for row in range(int(high / 13)):
                    for col in range(int(wide / 9)):
                        if rng.random() < 0.35:
                            p.box(4 + col * 9, -high + 6 + row * 13, 8 + col * 9, -high + 12 + row * 13,
                                "#f5d68c")
        at += wide + 2


TOWN = (
    ("#e8b48a", "#a4513f", "gable"),
    ("#a9c4b8", "#5d7a72", "flat"),
    ("#e7d3a1", "#9a5b45", "step"),
    ("#c98a7a", "#7a4438", "gable"),
    ("#b7c3d6", "#566a8c", "flat"),
    ("#efdcc3", "#b5654a", "gable"),
    ("#9fb68f", "#5f7a52", "step"),
    ("#d9a6a0", "#8a4f52", "flat"),
)


def street(cv: Canvas, kerb: float, *, kind: str = "day", seed: int = 1, road: float = 0,
        shops: bool = False, lamp: bool = True, zebra: tuple[float, float] | None = None) -> None:
    """Sky, town houses, pavement and a road. ``kerb`` is where the houses stand; the road starts lower."""
    rng = Random(seed)
    night, wet = kind == "night", kind == "grey"
    road = road or kerb + cv.height * 0.1
    sky(cv, kerb, kind, seed)
    if kind in ("day", "morning"):
        for _ in range(3):
            cloud(cv, rng.random() * cv.width, 30 + rng.random() * kerb * 0.3, 60 + rng.random() * 60)
    if kind in ("dusk", "sunset"):
        sun(cv, cv.width * 0.7, kerb * 0.55, 22, "#ffe9b8", "#ffd9a0")
    if night:
        moon(cv, cv.width * 0.8, kerb * 0.2, 20)
    far = {"night": "#2b3763", "grey": "#a3afba", "dusk": "#8f7fa8", "sunset": "#9a83a2"}.get(kind, "#a9cbd8")
    skyline(cv, kerb, far, seed + 7, kerb * 0.62, night)
    at, k = -20.0 - rng.random() * 30, seed
    while at < cv.width:
        wide = 112 + rng.random() * 56
        high = kerb * (0.54 + 0.22 * rng.random())
        wall, roof, style = TOWN[k % len(TOWN)]
        if night:
            wall, roof = mix(wall, "#202a52", 0.62), mix(roof, "#202a52", 0.6)
        elif wet:
            wall, roof = mix(wall, "#8b99a8", 0.35), mix(roof, "#8b99a8", 0.3)
        elif kind in ("dusk", "sunset"):
            wall, roof = mix(wall, "#c0788a", 0.22), mix(roof, "#5a4a78", 0.22)
        house(cv, at, kerb, wide, high, wall, roof, style=style, lit=night or kind == "dusk",
            shop=("#c9574a", "#3f7f86", "#d8973c", "#5a7a9c")[k % 4] if shops else "")
        at += wide
        k += 1
    pave = {"night": "#4d5578", "grey": "#a7aeb5", "dusk": "#b7a3ad", "sunset": "#bba7a8"}.get(kind,
        "#d8d2c6")
    tar = {"night": "#2c3252", "grey": "#6c757f", "dusk": "#6d647d", "sunset": "#6f677c"}.get(kind, "#7a808c")
    cv.sweep(kerb, road, dark(pave, 0.12), pave)
    with cv.pen() as p:
        for n in range(int(cv.width / 46) + 2):
            p.line([(n * 46 - 20, kerb), (n * 46 - 44, road - 4)], 0.8, dark(pave, 0.16))
        p.box(-5, road - 5, cv.width + 5, road, light(pave, 0.3))
        p.box(-5, road, cv.width + 5, road + 3, dark(pave, 0.4))
    cv.sweep(road + 3, cv.height, tar, dark(tar, 0.16))
    mid = road + (cv.height - road) * 0.55
    with cv.pen() as p:
        if zebra:
            x0, x1 = zebra
            n = 6
            for m in range(n):
                left = x0 + (x1 - x0) * m / n
                right = left + (x1 - x0) / n * 0.56
                slant = 0.16 * (cv.height - road)
                p.poly([(left, road + 8), (right, road + 8), (right - slant, cv.height - 6),
                    (left - slant * 1.15, cv.height - 6)], mix(tar, "#fbf8f1", 0.86))
        for m in range(int(cv.width / 90) + 1):
            left = m * 90 + 14.0
            if zebra and zebra[0] - 90 < left < zebra[1] + 10:
                continue
            p.poly([(left + 5, mid - 2.5), (left + 49, mid - 2.5), (left + 46, mid + 2.5),
                (left, mid + 2.5)], mix(tar, "#fbf8f1", 0.75))
    if wet:
        rng = Random(seed + 3)
        for _ in range(7):
            cv.glow(rng.random() * cv.width, road + 12 + rng.random() * (cv.height - road - 20), 70, 9,
                "#dbe6ee", 0.5)
    if lamp:
        street_lamp(cv, cv.width * 0.9, road - 8, kerb * 0.52, lit=night or kind == "dusk")


def street_lamp(cv: Canvas, x: float, y: float, h: float, *, lit: bool = False) -> None:
    with cv.pen(x, y, h / 100) as p:
        p.box(-1.3, -92, 1.3, 0, "#3f4658")
        p.box(-3.4, -5, 3.4, 0, "#3f4658", 1)
        p.line([(0, -92), (-5, -98), (-13, -97)], 2, "#3f4658", curve=True)
        p.poly([(-19, -96), (-9, -96), (-11, -91), (-17, -91)], "#ffe9a8" if lit else "#e8ecef")
    if lit:
        cv.glow(x - h * 0.14, y - h * 0.92, h * 0.34, h * 0.34, "#ffe3a0", 0.7)
        cv.glow(x - h * 0.14, y, h * 0.5, h * 0.08, "#ffe3a0", 0.45)


def rain(cv: Canvas, seed: int, count: int = 130) -> None:
    """Painted last; thin and see-through, so it hides nothing."""
    rng = Random(seed)
    for _ in range(count):
        x, y, n = rng.random() * cv.width, rng.random() * cv.height, 8 + rng.random() * 10
        with cv.pen(x, y) as p:
            p.line([(0, 0), (-n * 0.22, n)], 0.9, "#f4f9fc6a")


def snowfall(cv: Canvas, seed: int, count: int = 90) -> None:
    rng = Random(seed)
    for _ in range(count):
        with cv.pen(rng.random() * cv.width, rng.random() * cv.height) as p:
            p.disc(0, 0, 0.9 + rng.random() * 1.4, "#ffffffb4")


def park(cv: Canvas, horizon: float, *, kind: str = "day", seed: int = 1, path: bool = True,
        autumn: bool = False, pond: bool = False, city: bool = False) -> None:
    rng = Random(seed)
    sky(cv, horizon, kind, seed)
    if kind in ("dusk", "sunset"):
        sun(cv, cv.width * 0.28, horizon * 0.62, 26, "#fff0c4", "#ffd9a0")
    else:
        sun(cv, cv.width * 0.16, horizon * 0.3, 22)
        for _ in range(3):
            cloud(cv, (0.3 + 0.7 * rng.random()) * cv.width, 30 + rng.random() * horizon * 0.4,
                70 + rng.random() * 60)
    leaves = ("#d9923f", "#c9653c", "#e0b04a", "#a85a3c") if autumn else ("#5b9a5f", "#4f8f6b", "#78ad5c",
        "#5f9a7d")
    grass = "#b5b25c" if autumn else "#86bb62"
    if city:
        skyline(cv, horizon + 10, "#a9c6d6", seed + 3, horizon * 0.5)
    else:
        ridge(cv, horizon, horizon * 0.3, mix(grass, "#8fb8c9", 0.66), seed + 1, bumps=3)
    ridge(cv, horizon + 14, horizon * 0.18, mix(grass, "#5f9a8a", 0.5), seed + 2, bumps=4)
    for n in range(9):
        x = (n + rng.random() * 0.7) * cv.width / 8.6 - 10
        tree(cv, x, horizon + 8 + rng.random() * 10, 60 + rng.random() * 46,
            "poplar" if rng.random() < 0.25 else "round", mix(leaves[n % 4], "#8fb8c0", 0.22))
    ridge(cv, horizon + 20, 12, light(grass, 0.12), seed + 4, bumps=3, to=dark(grass, 0.12))
    if pond:
        with cv.pen() as p:
            p.poly([(cv.width * 0.34, horizon + 44), (cv.width * 0.6, horizon + 32),
                (cv.width * 1.04, horizon + 36), (cv.width * 1.05, horizon + 92),
                (cv.width * 0.66, horizon + 84)], "#6fb4cc", curve=True, to="#a9d6de")
            for n in range(6):
                p.line([(cv.width * (0.62 + 0.06 * n), horizon + 50 + (n % 3) * 9),
                    (cv.width * (0.66 + 0.06 * n), horizon + 50 + (n % 3) * 9)], 1.2, "#e4f4f5")
    if path:
        low = cv.height
        with cv.pen() as p:
            p.poly([(cv.width * 0.62, horizon + 24), (cv.width * 0.5, horizon + (low - horizon) * 0.4),
                (cv.width * -0.1, low * 0.93), (cv.width * -0.1, low + 30), (cv.width * 0.62, low + 30),
                (cv.width * 0.66, horizon + (low - horizon) * 0.42), (cv.width * 0.65, horizon + 24)],
                "#e6d3a8", curve=True, to="#d8bf8c")
    tufts(cv, horizon + 34, cv.height, dark(grass, 0.14), seed + 5, 46, () if autumn else ("#fdf6ea",
        "#f6c544", "#e8758a"))


def beach(cv: Canvas, horizon: float, shore: float, *, kind: str = "day", seed: int = 1) -> None:
    """Sky, sea down to the shore line, then sand."""
    rng = Random(seed)
    sky(cv, horizon, kind, seed)
    if kind in ("sunset", "dusk"):
        sun(cv, cv.width * 0.5, horizon - 26, 30, "#fff0c4", "#ffcf8f")
        sea = ("#7a6fa0", "#c98a94", "#e8a98a")
        sand = ("#c79a86", "#b58672")
    else:
        sun(cv, cv.width * 0.82, horizon * 0.28, 24)
        for _ in range(3):
            cloud(cv, rng.random() * cv.width * 0.8, 36 + rng.random() * horizon * 0.45,
                70 + rng.random() * 70)
        sea = ("#2f88b0", "#45a6bf", "#8fd6d2")
        sand = ("#f3dfb0", "#e6c98d")
    cv.sweep(horizon, shore + 8, *sea)
    with cv.pen() as p:
        p.box(-5, horizon - 0.6, cv.width + 5, horizon + 1, light(sea[0], 0.25))
        for _ in range(26):
            y = horizon + 6 + (shore - horizon - 14) * rng.random() ** 0.7
            x = rng.random() * cv.width
            n = 8 + 26 * (y - horizon) / (shore - horizon)
            p.line([(x, y), (x + n / 2, y - 1.2), (x + n, y)], 1.1, light(sea[1], 0.45), curve=True)
    edge: list[Point] = [(-20 + k * (cv.width + 40) / 8, shore + (5 if k % 2 else -4)) for k in range(9)]
    line = smooth(edge, closed=False)
    with cv.pen() as p:
        p.poly([*[(x, y - 5) for x, y in line], (cv.width + 20, cv.height + 5), (-20, cv.height + 5)],
            "#f8fbf6" if kind == "day" else "#f3d3bd")
        p.poly([*[(x, y + 1) for x, y in line], (cv.width + 20, cv.height + 5), (-20, cv.height + 5)],
            dark(sand[0], 0.16))
        p.poly([*[(x, y + 9) for x, y in line], (cv.width + 20, cv.height + 5), (-20, cv.height + 5)],
            sand[0], to=sand[1])
    for _ in range(60):
        with cv.pen(rng.random() * cv.width, shore + 20 + rng.random() * (cv.height - shore - 24)) as p:
            p.oval(0, 0, 1.4 + rng.random() * 1.4, 0.8, dark(sand[1], 0.1))


def open_sea(cv: Canvas, horizon: float, *, kind: str = "day", seed: int = 1, calm: bool = False) -> None:
    rng = Random(seed)
    sky(cv, horizon, kind, seed)
    tones = {
        "day": ("#3d93b8", "#2f7ea6", "#1f6389"),
        "morning": ("#7fb9c9", "#5a9fb8", "#417f9e"),
        "sunset": ("#c98a94", "#8a76a3", "#4f568f"),
    }.get(kind, ("#6f8fa8", "#56758f", "#3f5a75"))
    if kind == "sunset":
        sun(cv, cv.width * 0.64, horizon - 20, 32, "#fff0c4", "#ffcf8f")
    else:
        for _ in range(4):
            cloud(cv, rng.random() * cv.width, 30 + rng.random() * horizon * 0.5, 60 + rng.random() * 90)
    cv.sweep(horizon, cv.height, *tones)
    with cv.pen() as p:
        if kind == "sunset":
            for k in range(16):
                y = horizon + 6 + k * (cv.height - horizon) / 17
                half = 26 - k * 0.6 + (k * 37 % 11)
                p.line([(cv.width * 0.64 - half, y), (cv.width * 0.64 + half, y)], 2.2, "#fbd9a0")
        for _ in range(20 if calm else 46):
            y = horizon + 5 + (cv.height - horizon) * rng.random()
            n = 6 + 34 * (y - horizon) / (cv.height - horizon)
            x = rng.random() * cv.width
            p.line([(x, y), (x + n / 2, y - n * 0.06), (x + n, y)], 1 + n * 0.03, light(tones[1], 0.3),
                curve=True)


def meadow(cv: Canvas, horizon: float, *, kind: str = "day", seed: int = 1, barn: tuple[float,
        float] | None = None, grass: str = "#8cbf63") -> None:
    rng = Random(seed)
    sky(cv, horizon, kind, seed)
    if kind != "grey":
        sun(cv, cv.width * 0.8, horizon * 0.36, 22)
    for _ in range(3):
        cloud(cv, rng.random() * cv.width * 0.8, 30 + rng.random() * horizon * 0.4, 70 + rng.random() * 70)
    ridge(cv, horizon, horizon * 0.36, mix(grass, "#9cc3d6", 0.7), seed + 1, bumps=2)
    ridge(cv, horizon + 8, horizon * 0.24, mix(grass, "#6fa58f", 0.55), seed + 2, bumps=3)
    with cv.pen() as p:  # a ploughed field and a yellow one, far off
        p.poly([(cv.width * 0.05, horizon - 4), (cv.width * 0.36, horizon - 16),
            (cv.width * 0.44, horizon + 8), (0, horizon + 10)], "#dcc46a")
        p.poly([(cv.width * 0.44, horizon + 8), (cv.width * 0.37, horizon - 16),
            (cv.width * 0.56, horizon - 14), (cv.width * 0.64, horizon + 6)], "#a8c26a")
    for _ in range(5):
        tree(cv, rng.random() * cv.width, horizon + 4 + rng.random() * 6, 34 + rng.random() * 22, "round",
            mix("#5b9a5f", "#8fb8c0", 0.3))
    ridge(cv, horizon + 14, 12, light(grass, 0.1), seed + 3, bumps=2, to=dark(grass, 0.14))
    if barn:
        _barn(cv, *barn)
    tufts(cv, horizon + 26, cv.height, dark(grass, 0.15), seed + 5, 54, ("#fdf6ea", "#f6c544", "#c98ad0"))


def _barn(cv: Canvas, x: float, y: float) -> None:
    cv.shadow(x, y, 80, 9, 0.4)
    with cv.pen(x, y) as p:
        p.poly([(-58, 0), (-58, -50), (-42, -78), (0, -96), (42, -78), (58, -50), (58, 0)], "#b5473c",
            to="#93352f")
        p.line([(-64, -46), (-45, -80), (0, -100), (45, -80), (64, -46)], 6, "#5b4a4c")
        p.box(-22, -44, 22, 0, "#fbf3e2")
        p.box(-19, -41, 19, 0, "#a23d35")
        p.line([(-18, -40), (18, -1)], 3, "#fbf3e2")
        p.line([(18, -40), (-18, -1)], 3, "#fbf3e2")
        p.box(-10, -76, 10, -58, "#fbf3e2")
        p.box(-7, -73, 7, -61, "#4b3a3c")


def slope(cv: Canvas, *, kind: str = "winter", seed: int = 1, steep: float = 0.3, top: float = 0.42) -> None:
    """A snow slope falling from the left to the right."""
    sky(cv, cv.height, kind, seed)
    sun(cv, cv.width * 0.2, cv.height * 0.13, 20)
    w, h = cv.width, cv.height
    for x, wide, high, tone in ((0.1, 0.5, 0.36, "#9db7d3"), (0.46, 0.6, 0.46, "#8ba8c9"), (0.86, 0.56, 0.4,
            "#97b2d0")):
        mountain(cv, w * x, h * (top + 0.16), w * wide, h * high, tone)
    rng = Random(seed)
    with cv.pen() as p:
        p.poly([(0, h * (top + 0.02)), (w * 0.3, h * (top + 0.1)), (w * 0.7, h * (top + 0.13)),
            (w, h * (top + 0.1)), (w, h), (0, h)], "#d3e3f0", to="#eef5fa")
    for n in range(11):
        x = (n + rng.random()) * w / 11
        tree(cv, x, h * (top + 0.13) + rng.random() * 14, 46 + rng.random() * 30, "snowpine", "#4f7f78")
    with cv.pen() as p:
        p.poly([(-5, h * (top + 0.1)), (w * 0.3, h * (top + 0.1 + steep * 0.34)),
            (w * 0.7, h * (top + 0.1 + steep * 0.8)), (w + 5, h * (top + 0.1 + steep)), (w + 5, h + 5),
            (-5, h + 5)], "#fbfdfe", to="#d9e7f2")
        for _ in range(16):
            x = rng.random() * w
            y = h * (top + 0.16 + steep * x / w) + rng.random() * h * 0.4
            p.line([(x, y), (x + 50, y + 50 * steep * h / w)], 1.4, "#cfdfec")


def desert_road(cv: Canvas, horizon: float, *, seed: int = 1, kind: str = "day") -> None:
    meadow(cv, horizon, seed=seed, kind=kind, grass="#a9b95f")
    w, h = cv.width, cv.height
    low, high = h * 0.72, h * 0.93
    with cv.pen() as p:
        p.box(-5, low, w + 5, high, "#7d828d", to="#6d727e")
        p.box(-5, low, w + 5, low + 3, "#e9e3d2")
        p.box(-5, high - 4, w + 5, high, "#e9e3d2")
        for n in range(9):
            p.box(n * 82 - 10, (low + high) / 2 - 2.5, n * 82 + 34, (low + high) / 2 + 2.5, "#f0dfa0")


def savanna(cv: Canvas, horizon: float, *, seed: int = 1) -> None:
    sky(cv, horizon, "savanna")
    sun(cv, cv.width * 0.74, horizon * 0.52, 34, "#fff3cf", "#fff0c0")
    ridge(cv, horizon + 4, horizon * 0.24, "#cf9d6c", seed, bumps=3)
    ridge(cv, horizon + 10, 16, "#d9b064", seed + 1, bumps=3, to="#b98d48")
    for x, h in ((0.08, 96), (0.9, 120), (0.56, 56)):
        with cv.pen(cv.width * x, horizon + 16, h / 100) as p:
            p.line([(0, 0), (2, -40), (-14, -70)], 5, "#5d4436", curve=True)
            p.line([(2, -40), (18, -72)], 4, "#5d4436")
            for cx, cy, rx in ((-14, -76, 38), (20, -80, 40), (2, -90, 34)):
                p.oval(cx, cy, rx, 11, "#6f8a4a")
                p.oval(cx - 3, cy - 3, rx * 0.8, 7, "#8aa35a")
    tufts(cv, horizon + 24, cv.height, "#a57c3a", seed + 3, 70)


def forest(cv: Canvas, horizon: float, *, seed: int = 1, river: bool = True) -> None:
    rng = Random(seed)
    sky(cv, horizon, "morning")
    mountain(cv, cv.width * 0.3, horizon + 6, cv.width * 0.7, horizon * 0.8, "#8fa9bd")
    mountain(cv, cv.width * 0.84, horizon + 6, cv.width * 0.6, horizon * 0.62, "#9db5c4")
    with cv.pen() as p:
        p.box(-5, horizon - 14, cv.width + 5, horizon + 40, "#4d7f68")
    for layer, tone in enumerate(("#8fb5a4", "#5f957f", "#3f7561")):
        for n in range(13):
            x = (n + rng.random()) * cv.width / 12 - 20
            tree(cv, x, horizon + layer * 9, 62 + layer * 24 + rng.random() * 34, "pine", tone)
    ridge(cv, horizon + 24, 10, "#8fb565", seed + 2, bumps=3, to="#6b9450")
    if river:
        w, h = cv.width, cv.height
        with cv.pen() as p:
            p.poly([(-30, h * 0.74), (w * 0.4, h * 0.7), (w * 1.05, h * 0.78), (w * 1.05, h + 40),
                (-30, h + 40)], "#6fb0c4", curve=True, to="#4d8fae")
            for _ in range(12):
                x, y = rng.random() * w, h * 0.8 + rng.random() * h * 0.19
                p.line([(x, y), (x + 18, y - 2), (x + 36, y)], 1.6, "#c3e3ea", curve=True)
            for n in range(6):
                x, y = w * (0.06 + n * 0.17), h * (0.755 + (n % 3) * 0.012)
                p.oval(x, y, 20 + n % 3 * 6, 8, "#8d97a0")
                p.oval(x - 3, y - 3, 14 + n % 3 * 4, 4, "#aab3ba")


# -- indoors -------------------------------------------------------------------------------------


def room(cv: Canvas, floor: float, wall: str = "#e9dcc8", wood: str = "#c29a6c", *, tiles: bool = False,
        panel: str = "") -> None:
    cv.sweep(0, floor, light(wall, 0.12), dark(wall, 0.05))
    if panel:
        cv.sweep(floor * 0.62, floor, panel, dark(panel, 0.06))
        with cv.pen() as p:
            p.box(-5, floor * 0.62 - 3, cv.width + 5, floor * 0.62 + 2, light(panel, 0.4))
            for n in range(int(cv.width / 64) + 1):
                p.line([(n * 64 + 20, floor * 0.64), (n * 64 + 20, floor)], 1, dark(panel, 0.1))
    cv.sweep(floor, cv.height, dark(wood, 0.1), light(wood, 0.06))
    depth = cv.height - floor
    with cv.pen() as p:
        p.box(-5, floor - 10, cv.width + 5, floor, light(wall, 0.5))
        p.box(-5, floor - 1.2, cv.width + 5, floor + 1, dark(wood, 0.3))
        rows = 4
        for k in range(1, rows):
            y = floor + depth * (k / rows) ** 1.4
            p.line([(-5, y), (cv.width + 5, y)], 1, dark(wood, 0.14))
        middle = cv.width / 2
        if tiles:
            for n in range(-9, 10):
                p.line([(middle + n * 64, floor), (middle + n * 120, cv.height)], 1, dark(wood, 0.14))
        else:
            for k in range(rows):
                y0, y1 = floor + depth * (k / rows) ** 1.4, floor + depth * ((k + 1) / rows) ** 1.4
                for n in range(-6, 7):
                    x = middle + (n + (k % 2) * 0.5) * 118
                    p.line([(x * 1.0, y0), (x + (x - middle) * 0.06, y1)], 0.9, dark(wood, 0.14))


def window(cv: Canvas, x: float, y: float, w: float, h: float, *, view: str = "day", curtain: str = "",
        frame: str = "#fbf6ea") -> None:
    """x, y is the left upper corner. Views: day, night, city, snow, garden."""
    with cv.pen(x, y) as p:
        top, low = {"night": ("#1b2450", "#46507f"), "snow": ("#a9c9e4", "#e6f1f7"), "city": ("#8cc3df",
            "#e4eff0")}.get(view, ("#7fc0e0", "#d9eff2"))
        p.box(-6, -6, w + 6, h + 6, frame, 2)
        p.box(0, 0, w, h, top, to=low)
        if view == "city":
            for k, q in enumerate((0.5, 0.72, 0.4, 0.62, 0.35, 0.55, 0.7)):
                p.box(w * k / 7 + 1, h * (1 - q), w * (k + 1) / 7 - 1, h, mix("#8fb2c4", "#b9cfd8",
                    (k * 3 % 7) / 7))
        elif view == "night":
            for k, q in enumerate((0.5, 0.36, 0.6, 0.44, 0.3)):
                p.box(w * k / 5, h * (1 - q), w * (k + 1) / 5, h, "#2b3560")
                for m in range(3):
                    p.box(w * k / 5 + 5 + (m % 2) * 10, h * (1 - q) + 8 + m * 13,
                        w * k / 5 + 10 + (m % 2) * 10, h * (1 - q) + 15 + m * 13, "#f5d68c")
            p.disc(w * 0.76, h * 0.2, min(w, h) * 0.09, "#f6f0d6")
        elif view == "snow":
            p.poly([(0, h * 0.7), (w * 0.4, h * 0.6), (w, h * 0.74), (w, h), (0, h)], "#f8fbfd")
            for tx in (0.2, 0.7):
                p.poly([(w * tx, h * 0.34), (w * tx + w * 0.1, h * 0.72), (w * tx - w * 0.1, h * 0.72)],
                    "#6f978f")
        else:
            p.oval(w * 0.3, h * 0.26, w * 0.15, h * 0.06, "#ffffff")
            p.oval(w * 0.42, h * 0.22, w * 0.1, h * 0.06, "#ffffff")
            p.poly([(0, h * 0.72), (w * 0.3, h * 0.6), (w * 0.62, h * 0.7), (w, h * 0.58), (w, h), (0, h)],
                "#8fbf78", to="#6fa565")
            p.disc(w * 0.78, h * 0.52, w * 0.13, "#5f9a5d")
            p.disc(w * 0.66, h * 0.6, w * 0.1, "#6fa565")
        p.box(w / 2 - 2.5, 0, w / 2 + 2.5, h, frame)
        p.box(0, h * 0.42 - 2, w, h * 0.42 + 2, frame)
        p.box(-12, h + 4, w + 12, h + 13, light(frame, 0.2), 2, to=dark(frame, 0.12))
        if curtain:
            for s, edge in ((-1, -10.0), (1, w + 10)):
                inner = edge - s * w * 0.26
                p.poly([(edge + s * 8, -14), (inner, -14), (inner + s * 3, h * 0.5),
                    (edge - s * w * 0.1, h + 26), (edge + s * 8, h + 26)], curtain, to=dark(curtain, 0.12))
                p.line([(edge - s * w * 0.06, -12), (edge - s * w * 0.04, h + 24)], 1.6, dark(curtain, 0.16))
                p.line([(edge - s * w * 0.16, -12), (edge - s * w * 0.1, h + 10)], 1.6, dark(curtain, 0.16))
            p.line([(-24, -16), (w + 24, -16)], 4, "#7a5a43")


def light_pool(cv: Canvas, x: float, floor: float, w: float) -> None:
    """Sunlight that falls on the floor through a window."""
    with cv.pen() as p:
        p.poly([(x, floor + 10), (x + w, floor + 10), (x + w * 1.3, cv.height), (x + w * 0.15, cv.height)],
            "#fff3cf38")


def picture(cv: Canvas, x: float, y: float, w: float, h: float, tones: tuple[str, str, str] = ("#f3d9b0",
        "#d98a5a", "#5f8f8a"), frame: str = "#7a5a43") -> None:
    """A framed abstract landscape."""
    cv.glow(x + w / 2 + 3, y + h / 2 + 5, w * 0.7, h * 0.7, "#1b2138", 0.25)
    with cv.pen(x, y) as p:
        p.box(0, 0, w, h, frame, 1.5)
        p.box(4, 4, w - 4, h - 4, "#fbf6ea")
        p.box(9, 9, w - 9, h - 9, tones[0])
        p.disc(w * 0.62, h * 0.4, min(w, h) * 0.13, light(tones[1], 0.4))
        p.poly([(9, h * 0.66), (w * 0.36, h * 0.44), (w * 0.64, h * 0.62), (w - 9, h * 0.5), (w - 9, h - 9),
            (9, h - 9)], tones[1])
        p.poly([(9, h * 0.8), (w * 0.5, h * 0.66), (w - 9, h * 0.8), (w - 9, h - 9), (9, h - 9)], tones[2])


def rug(cv: Canvas, x: float, y: float, w: float, colour: str = "#c9604f", other: str = "#f0d9b0") -> None:
    with cv.pen(x, y) as p:
        p.oval(0, 0, w / 2, w * 0.1, dark(colour, 0.1))
        p.oval(0, -1.5, w / 2, w * 0.1, colour)
        p.oval(0, -1.5, w * 0.43, w * 0.083, other)
        p.oval(0, -1.5, w * 0.4, w * 0.076, colour)
        p.oval(0, -1.5, w * 0.22, w * 0.04, light(colour, 0.25))


def floor_lamp(cv: Canvas, x: float, y: float, h: float, shade: str = "#f4dfb0", *, lit: bool = True) -> None:
    cv.shadow(x, y, h * 0.12, h * 0.02, 0.4)
    if lit:
        cv.glow(x, y - h * 0.86, h * 0.6, h * 0.6, "#ffe7b0", 0.55)
    with cv.pen(x, y, h / 100) as p:
        p.box(-1, -80, 1, -2, "#4b4148")
        p.oval(0, -1.5, 10, 2.2, "#4b4148")
        p.poly([(-9, -100), (9, -100), (15, -76), (-15, -76)], shade, to=light(shade, 0.4))


def pendant(cv: Canvas, x: float, y: float, w: float, colour: str = "#d98a3d") -> None:
    cv.glow(x, y + w * 0.3, w * 1.7, w * 1.2, "#ffe7b0", 0.5)
    with cv.pen(x, y, w / 100) as p:
        p.box(-1.4, -y / w * 100 - 5, 1.4, -50, "#4b4148")
        p.disc(0, 2, 13, "#fff3cf")
        p.poly([(-12, -52), (12, -52), (26, -34), (50, 0), (-50, 0), (-26, -34)], colour,
            to=dark(colour, 0.16))


def cabinets(cv: Canvas, y: float, h: float, colour: str = "#7fa39a", *, x0: float = -10,
        x1: float | None = None, count: int = 6, base: bool = True) -> None:
    """A row of kitchen cupboards; as ``base`` with a worktop on it whose front edge is at y."""
    x1 = cv.width + 10 if x1 is None else x1
    wide = (x1 - x0) / count
    with cv.pen() as p:
        if base:
            cv.glow((x0 + x1) / 2, y + h, (x1 - x0) * 0.6, 16, "#1b2138", 0.4)
            p.box(x0, y + 10, x1, y + h, colour, to=dark(colour, 0.12))
            p.box(x0, y + h - 8, x1, y + h, dark(colour, 0.5))
        else:
            p.box(x0, y, x1, y + h, colour, to=dark(colour, 0.1))
            p.box(x0, y + h, x1, y + h + 4, dark(colour, 0.3))
        for k in range(count):
            left = x0 + k * wide
            top = y + (20 if base else 6)
            low = y + h - (14 if base else 6)
            p.box(left + 6, top, left + wide - 6, low, light(colour, 0.12), 2, to=colour)
            p.box(left + wide - 17, (top + 14) if base else (low - 26), left + wide - 13,
                (top + 34) if base else (low - 8), "#e3c27a", 2)
        if base:
            p.box(x0 - 4, y, x1 + 4, y + 12, "#f1e7d6", 2, to="#d9c8ac")
            p.box(x0 - 4, y + 12, x1 + 4, y + 15, "#1420402c")


def tiles_wall(cv: Canvas, y0: float, y1: float, colour: str = "#f2efe6", size: float = 26) -> None:
    cv.sweep(y0, y1, light(colour, 0.2), colour)
    with cv.pen() as p:
        k, y = 0, y0
        while y < y1:
            p.line([(-5, y), (cv.width + 5, y)], 1, dark(colour, 0.1))
            x = (k % 2) * size
            while x < cv.width:
                p.line([(x, y), (x, min(y + size, y1))], 1, dark(colour, 0.1))
                x += size * 2
            k += 1
            y += size


def desk(cv: Canvas, x0: float, x1: float, y: float, floor: float, colour: str = "#c79560") -> None:
    """A work desk with drawers, seen from the front (a desk is no COCO category)."""
    cv.shadow((x0 + x1) / 2, floor, (x1 - x0) * 0.52, 12, 0.45)
    with cv.pen() as p:
        p.box(x0 + 12, y + 8, x0 + 22, floor, dark(colour, 0.2))
        p.box(x1 - 102, y + 8, x1 - 14, floor, dark(colour, 0.1), to=dark(colour, 0.22))
        for k in range(3):
            top = y + 18 + k * (floor - y - 24) / 3
            p.box(x1 - 96, top, x1 - 20, top + (floor - y - 24) / 3 - 6, light(colour, 0.08), 2)
            p.box(x1 - 68, top + 8, x1 - 48, top + 12, "#6b4c38", 2)
        p.box(x0, y, x1, y + 12, light(colour, 0.18), 3, to=colour)
        p.box(x0 + 4, y + 12, x1 - 4, y + 15, "#1420402a")


def shelf(p: Pen, x0: float, x1: float, y: float, colour: str = "#9a6b42") -> None:
    p.box(x0, y, x1, y + 7, colour, 1.5, to=dark(colour, 0.15))


def tabletop(cv: Canvas, back: float, colour: str = "#b98452", *, wall: str = "#e7d9c3",
        category: str = "dining table") -> None:
    """A table seen close by that fills the lower part; it is annotated."""
    cv.sweep(0, back, light(wall, 0.2), dark(wall, 0.05))
    with cv.pen(category=category) as p:
        p.poly([(-5, back), (cv.width + 5, back), (cv.width + 5, cv.height + 5), (-5, cv.height + 5)],
            light(colour, 0.1), to=dark(colour, 0.08))
        for k in range(1, 5):
            y = back + (cv.height - back) * (k / 5) ** 1.3
            p.line([(-5, y), (cv.width + 5, y)], 1.2, dark(colour, 0.16))
        for k in range(9):
            x, y = (k * 137) % cv.width, back + 12 + (k * 53) % max(1, int(cv.height - back - 20))
            p.line([(x, y), (x + 36, y + 1)], 0.9, "#5d3a1e30")
        p.box(-5, back, cv.width + 5, back + 3, light(colour, 0.4))


def vignette(cv: Canvas, strength: float = 0.1) -> None:
    """Corners a shade darker, which holds a picture together."""
    table = [round(255 * strength * max(0.0, (v - 110) / 145) ** 1.7) for v in range(256)]
    soft = Image.radial_gradient("L").point(table).resize(cv.picture.size)
    cv.picture.paste((28, 30, 66), (0, 0), soft)


def wave(cv: Canvas, y: float, h: float, colour: str = "#2f88a5") -> None:
    """A breaking wave that rises to the left."""
    w = cv.width
    with cv.pen() as p:
        p.poly([(-20, y), (-20, y - h * 0.8), (w * 0.14, y - h), (w * 0.34, y - h * 0.86),
            (w * 0.6, y - h * 0.42), (w * 0.86, y - h * 0.12), (w + 20, y), (w + 20, cv.height + 10),
            (-20, cv.height + 10)], light(colour, 0.12), to=dark(colour, 0.25))
        for k in range(5):
            q = 0.8 - k * 0.15
            p.line([(-10, y - h * q + 10), (w * 0.2, y - h * q), (w * 0.5, y - h * q * 0.4 + 8),
                (w * 0.8, y + 4 + k * 10), (w * 1.1, y + 30 + k * 12)], 2.4, light(colour, 0.4), curve=True)
        for k in range(13):
            x = -10 + k * w * 0.042
            top = y - h * (0.86 + 0.14 * math.sin(k * 0.36))
            p.disc(x, top + (k % 3) * 3, (17 - (k % 4) * 2) * (1 - k / 20), "#f6fbfb")
            p.disc(x + 9, top + 10, (12 - (k % 3) * 2) * (1 - k / 16), "#e3f2f4")
        for k in range(16):
            x = k * w / 15
            p.disc(x, cv.height - 6 + (k % 3) * 3, 20 + (k % 4) * 4, "#e9f5f5")
