"""Things that move, and what stands at the roadside. x, y is the middle of the ground line, in pixels."""

# fmt: off
# Rows of coordinates are kept as rows: a formatter would give every point a line of its own.

from __future__ import annotations

import math
from itertools import pairwise

from .canvas import Canvas, Pen, Point, dark, light, ring

GLASS = "#bfe0ea"
TYRE = "#2b2d38"


def _wheel(p: Pen, cx: float, cy: float, r: float, hub: str = "#c9ced6") -> None:
    p.disc(cx, cy, r, TYRE)
    p.disc(cx, cy, r * 0.58, hub)
    p.disc(cx, cy, r * 0.42, dark(hub, 0.2))
    p.disc(cx, cy, r * 0.16, hub)


def car(
    cv: Canvas, x: float, y: float, w: float, colour: str = "#d6493f", *, flip: bool = False,
        taxi: bool = False,
    night: bool = False, roof: str = "",
) -> None:
    """A small saloon, looking right unless flipped."""
    cv.shadow(x, y, w * 0.5, w * 0.06, 0.6)
    glass = "#51657f" if night else GLASS
    with cv.pen(x, y, w / 100, flip=flip, category="car") as p:
        if taxi:
            p.box(-10, -45, 6, -38, "#fff3c4", 2)
            p.box(-10, -40, 6, -38, "#333a4a")
        p.poly([(-38, -24), (-30, -37), (-20, -40), (6, -40), (17, -36), (31, -24)], roof or colour)
        p.poly([(-33, -24), (-27, -34), (-19, -37), (-7, -37), (-7, -24)], glass, to=light(glass, 0.5))
        p.poly([(-4, -24), (-4, -37), (6, -37), (14, -33.5), (25, -24)], glass, to=light(glass, 0.5))
        p.poly([(-30, -24), (-24, -35), (-20, -36), (-27, -24)], "#ffffff55")
        p.poly([(4, -24), (-1, -37), (3, -37), (9, -24)], "#ffffff55")
        p.box(-49, -26, 49, -8, colour, (8, 10, 5, 5), to=dark(colour, 0.2))
        p.poly([(-48, -18), (49, -18), (49, -8), (-48, -8)], "#1420401c")
        p.line([(-46, -23.4), (44, -23.4)], 1.0, light(colour, 0.35))
        p.line([(-5.5, -23), (-5.5, -9)], 0.8, dark(colour, 0.3))
        p.line([(22, -23), (20, -9)], 0.8, dark(colour, 0.3))
        p.box(-3, -19.5, 3, -17.8, dark(colour, 0.35), 0.8)
        if taxi:
            for k in range(10):
                p.box(-38 + k * 7, -16 + (k % 2) * 2, -34.5 + k * 7, -14 + (k % 2) * 2, "#333a4a")
        p.box(44, -22, 49, -16.5, "#fff1b8", 2)
        p.box(-49, -22, -45, -16, "#a8202a", 1.5)
        p.box(-50, -12, -40, -8, "#4b5161", 2)
        p.box(40, -12, 50, -8, "#4b5161", 2)
        for wx in (-28, 29):
            p.poly([*ring(wx, -8.5, 11, 11, 180, 360)], dark(colour, 0.5))
            _wheel(p, wx, -8.5, 8.8)
    if night:
        side = -1 if flip else 1
        cv.glow(x + side * w * 0.62, y - w * 0.17, w * 0.34, w * 0.12, "#ffeaa0", 0.75)


def bus(cv: Canvas, x: float, y: float, w: float, colour: str = "#f0b23a", *, flip: bool = False) -> None:
    cv.shadow(x, y, w * 0.5, w * 0.045, 0.6)
    with cv.pen(x, y, w / 100, flip=flip, category="bus") as p:
        p.box(-49, -44, 49, -5, colour, (5, 7, 3, 3), to=dark(colour, 0.12))
        p.box(-46, -44, 44, -41.5, light(colour, 0.45), 1)
        p.box(-49, -17, 49, -13.5, "#f8f1e2")
        p.box(-49, -9, 49, -5, dark(colour, 0.45), 2)
        for k in range(5):
            left = -45.5 + k * 15.4
            p.box(left, -37.5, left + 13.2, -22, "#34465c", 2)
            p.box(left + 0.7, -36.8, left + 12.5, -22.7, GLASS, 1.6, to=light(GLASS, 0.4))
            p.poly([(left + 3, -22.7), (left + 8, -36.8), (left + 10.5, -36.8), (left + 5.5, -22.7)],
                "#ffffff50")
        p.box(31, -38, 40, -7, "#34465c", 1.5)
        p.box(31.8, -37, 35.1, -8, GLASS, 1)
        p.box(35.9, -37, 39.2, -8, GLASS, 1)
        p.box(42.5, -38, 49, -19, "#34465c", (1, 5, 1, 1))
        p.box(43.2, -37.2, 49, -20, light(GLASS, 0.3), (1, 4, 1, 1))
        p.box(45.5, -13, 49, -9.5, "#fff1b8", 1.5)
        p.box(-49, -14, -46.5, -9, "#a8202a", 1)
        for wx in (-29, 22):
            p.poly(ring(wx, -5.5, 8.6, 8.6, 180, 360), dark(colour, 0.55))
            _wheel(p, wx, -6.4, 6.4)


def truck(
    cv: Canvas, x: float, y: float, w: float, cab: str = "#3f7cac", box: str = "#f3ede1", *,
        flip: bool = False,
    mark: str = "#e08a3c",
) -> None:
    """A box truck."""
    cv.shadow(x, y, w * 0.5, w * 0.05, 0.6)
    with cv.pen(x, y, w / 100, flip=flip, category="truck") as p:
        p.box(-48, -12, 46, -7, "#444b5b", 1)
        p.box(-49, -54, 20, -11, box, 2, to=dark(box, 0.1))
        p.box(-49, -29, 20, -22, mark)
        p.poly([(-10, -29), (4, -29), (-3, -22), (-17, -22)], light(mark, 0.4))
        for k in range(1, 5):
            p.line([(-49 + k * 13.8, -53), (-49 + k * 13.8, -12)], 0.5, "#14204018")
        p.poly([(22, -44), (37, -44), (45, -28), (49, -25), (49, -9), (22, -9)], cab, to=dark(cab, 0.15))
        p.poly([(26, -40), (36, -40), (42, -27), (26, -27)], GLASS, to=light(GLASS, 0.4))
        p.poly([(29, -27), (34, -40), (36, -40), (32, -27)], "#ffffff55")
        p.line([(25, -25), (25, -12)], 0.6, dark(cab, 0.35))
        p.line([(41, -25), (41, -14)], 0.6, dark(cab, 0.35))
        p.box(27, -23, 31, -21.6, dark(cab, 0.4), 0.6)
        p.box(45.5, -20, 49.4, -15.5, "#fff1b8", 1.4)
        p.box(42, -11, 50, -7, "#cfd4db", 1)
        for wx in (-34, -20, 34):
            p.poly(ring(wx, -8, 9.4, 9.4, 180, 360), "#2f3442")
            _wheel(p, wx, -7.4, 7.4)


def bicycle(cv: Canvas, x: float, y: float, w: float, colour: str = "#2f8f83", *, flip: bool = False,
        basket: bool = False) -> dict[str, Point]:
    """w is from tyre to tyre. Returns where the saddle and the handlebar are."""
    cv.shadow(x, y, w * 0.48, w * 0.05, 0.45)
    with cv.pen(x, y, w / 100, flip=flip, category="bicycle") as p:
        for wx in (-30, 30):
            for k in range(6):
                a = math.pi * k / 6
                dx, dy = 18 * math.cos(a), 18 * math.sin(a)
                p.line([(wx - dx, -19 - dy), (wx + dx, -19 + dy)], 0.5, "#9aa2ad")
            p.line(ring(wx, -19, 17.8, 17.8), 2.4, TYRE, loop=True)
            p.line(ring(wx, -19, 16, 16), 0.8, "#c9ced6", loop=True)
            p.disc(wx, -19, 1.8, "#6a7280")
        frame = [(-30, -19), (-3, -17), (20, -43), (-10, -43), (-30, -19)]
        p.line(frame, 2.4, colour)
        p.line([(-3, -17), (-12, -49)], 2.4, colour)
        p.line([(30, -19), (19, -50)], 2.4, dark(colour, 0.15))
        p.line([(19, -50), (23, -54), (27, -53)], 2, "#3b404d", curve=True)
        p.box(-19, -52, -6, -49, "#4a3328", 1.5)
        p.disc(-3, -17, 4.2, "#6a7280")
        p.line([(-3, -17), (2, -9)], 1.4, "#3b404d")
        p.box(-1, -10, 6, -8.4, "#3b404d")
        if basket:
            p.poly([(22, -50), (40, -50), (37, -36), (25, -36)], "#c99a5b")
            for k in range(3):
                p.line([(23.5, -47 + k * 3.6), (38.5, -47 + k * 3.6)], 0.8, "#a97a3f")
    unit, side = w / 100, -1 if flip else 1
    return {"saddle": (x - 12 * unit * side, y - 51 * unit), "bar": (x + 25 * unit * side, y - 53 * unit)}


def motorcycle(cv: Canvas, x: float, y: float, w: float, colour: str = "#b8322f", *,
        flip: bool = False) -> None:
    cv.shadow(x, y, w * 0.5, w * 0.05, 0.5)
    with cv.pen(x, y, w / 100, flip=flip, category="motorcycle") as p:
        for wx in (-32, 33):
            p.disc(wx, -16, 16, TYRE)
            p.disc(wx, -16, 10, "#cfd4db")
            p.disc(wx, -16, 8, "#6a7280")
            p.disc(wx, -16, 3, "#cfd4db")
        p.line([(33, -16), (20, -48)], 3, "#aeb5bf")
        p.line([(-32, -16), (-8, -22)], 4, "#4b5161")
        p.poly([(-12, -34), (14, -34), (12, -14), (-8, -12)], "#7d8592")
        p.disc(0, -20, 7.5, "#aeb5bf")
        p.disc(0, -20, 4, "#4b5161")
        p.poly([(-46, -9), (-6, -14), (-6, -9), (-46, -5)], "#cfd4db")
        p.poly([(-6, -44), (4, -49), (18, -46), (21, -38), (8, -33), (-8, -35)], colour, curve=True)
        p.poly([(2, -46), (14, -45), (8, -42)], "#ffffff50", curve=True)
        p.poly([(-40, -40), (-30, -44), (-8, -40), (-6, -34), (-24, -34)], "#33303a", curve=True)
        p.poly([(-48, -30), (-38, -38), (-24, -35), (-34, -30), (-44, -24)], colour, curve=True)
        p.line([(20, -48), (17, -57), (10, -58)], 2.2, "#3b404d", curve=True)
        p.disc(24, -44, 5, "#4b5161")
        p.disc(26, -44, 3.8, "#fff1b8")
        p.poly([(20, -30), (34, -36), (46, -28), (34, -31)], dark(colour, 0.1), curve=True)


def train(
    cv: Canvas, x: float, y: float, w: float, colour: str = "#c8463f", *, flip: bool = False, coaches: int = 2
) -> None:
    """A railcar of ``coaches`` parts whose nose is on the right; y is the rail."""
    with cv.pen(x, y, w / 100, flip=flip, category="train") as p:
        each = 100 / coaches
        tall = 34.0 / coaches + 6
        for k in range(coaches):
            left, right = -50 + k * each, -50 + (k + 1) * each - 1
            nose = k == coaches - 1
            cut = tall * 0.32
            for wx in (left + each * 0.16, left + each * 0.3, right - each * 0.3, right - each * 0.16):
                p.disc(wx, -tall * 0.075, tall * 0.075, "#3b404d")
            p.box(left + 2, -tall * 0.18, right - 2, -tall * 0.08, "#4b5161", 0.5)
            body = [(left, -tall * 0.16), (left, -tall), (right, -tall), (right, -tall * 0.16)]
            if nose:
                body = [(left, -tall * 0.16), (left, -tall), (right - cut, -tall),
                    (right - cut * 0.3, -tall * 0.72), (right, -tall * 0.4), (right, -tall * 0.16)]
            p.poly(body, "#f4efe6", to="#e3dccd")
            p.poly([(left, -tall * 0.16), (left, -tall * 0.42), (right, -tall * 0.42),
                (right, -tall * 0.16)], colour, to=dark(colour, 0.15))
            p.box(left, -tall, right - (cut if nose else 0), -tall * 0.92, dark(colour, 0.1))
            windows = 5
            room = each - (cut * 1.5 if nose else 0)
            for m in range(windows):
                wl = left + room * (0.05 + m * 0.185)
                if m == 2:
                    p.box(wl, -tall * 0.84, wl + room * 0.15, -tall * 0.18, light(colour, 0.15), 0.4)
                    p.box(wl + room * 0.02, -tall * 0.8, wl + room * 0.13, -tall * 0.5, "#3d566c", 0.4)
                    continue
                p.box(wl, -tall * 0.82, wl + room * 0.16, -tall * 0.5, "#3d566c", 0.8)
                p.poly([(wl + room * 0.03, -tall * 0.5), (wl + room * 0.08, -tall * 0.82),
                    (wl + room * 0.12, -tall * 0.82), (wl + room * 0.07, -tall * 0.5)], "#ffffff2c")
            if nose:
                p.poly([(right - cut * 1.1, -tall * 0.86), (right - cut * 0.75, -tall * 0.86),
                    (right - cut * 0.2, -tall * 0.5), (right - cut * 1.1, -tall * 0.5)], "#3d566c")
                p.box(right - cut * 0.35, -tall * 0.36, right - cut * 0.04, -tall * 0.26, "#fff1b8", 0.4)


def airplane(cv: Canvas, x: float, y: float, w: float, colour: str = "#2f6db0", *, flip: bool = False,
        turn: float = 0, gear: bool = True) -> None:
    """An airliner from the side, nose to the right; y is the ground under its wheels."""
    with cv.pen(x, y, w / 100, flip=flip, turn=turn, category="airplane") as p:
        p.poly([(-34, -17), (-44, -14), (-47, -14), (-41, -19)], "#c3cad4")
        p.poly([(-6, -14), (10, -15), (0, -19.5), (-9, -19.5)], "#b5bdc9")
        p.poly([(-42, -18), (-50, -36), (-43, -36), (-29, -21)], colour, to=dark(colour, 0.2))
        p.poly(
            [(-49, -19), (-36, -22), (-10, -22.6), (34, -22.4), (44, -20), (49.5, -16), (48, -13),
                (38, -10.4), (-4, -10), (-30, -13)],
            "#f7f5f0",
            curve=True,
        )
        p.poly([(-40, -15.6), (0, -13.4), (49, -15.4), (47, -12.6), (38, -10.4), (-4, -10), (-30, -13)],
            "#1b30501c")
        p.poly([(-47, -18.8), (-36, -17.6), (40, -17), (44, -16.4), (-4, -15.2), (-36, -16.4)], colour)
        for k in range(17):
            p.box(-29 + k * 3.7, -20, -27.4 + k * 3.7, -18, "#466079", 0.7)
        p.poly([(40, -20.6), (44, -19.4), (46, -17.6), (41, -17.8)], "#34465c")
        p.box(35, -20.6, 37.4, -13.4, "#1b305026", 0.6)
        p.box(-33.6, -20, -31.4, -14, "#1b305026", 0.6)
        p.poly([(8, -13.4), (12, -12), (-14, -5.4), (-19, -5.4), (-6, -12.4)], "#d5dbe3", to="#b3bcc8")
        p.box(-7, -9.6, 5, -5, "#8d98a8", (2, 2.4, 2.4, 2))
        p.box(2.6, -9.6, 5, -5, colour, 1.4)
        p.poly([(-36, -18), (-31, -16.6), (-42, -12.6), (-46, -12.6)], "#d5dbe3", to="#b3bcc8")
        if gear:
            p.line([(37, -11), (37, -1.6)], 0.9, "#8d98a8")
            p.line([(-3, -10), (-3, -1.6)], 1.1, "#8d98a8")
            p.disc(37, -1.7, 1.7, TYRE)
            for wx in (-5, -1):
                p.disc(wx, -2, 2, TYRE)


def sailboat(cv: Canvas, x: float, y: float, h: float, hull: str = "#c8463f", sail: str = "#fbf6ea", *,
        flip: bool = False) -> None:
    """y is the waterline, h the height of the mast."""
    cv.shadow(x, y + h * 0.02, h * 0.34, h * 0.03, 0.35)
    with cv.pen(x, y, h / 100, flip=flip, category="boat") as p:
        p.box(-1, -100, 1, -12, "#7a5a43")
        p.poly([(-4, -96), (-4, -20), (-34, -20), (-22, -52)], sail, to=dark(sail, 0.08))
        p.poly([(4, -90), (4, -20), (32, -20), (20, -48)], light(sail, 0.2), to=dark(sail, 0.05))
        for k in range(1, 4):
            p.line([(-4, -20 - k * 17), (-33 + k * 5.6, -20 - k * 17)], 0.6, "#1b305022")
        p.line([(-36, -18), (2, -18)], 1.6, "#7a5a43")
        p.poly([(-40, -13), (42, -13), (33, 2), (-32, 2)], hull, to=dark(hull, 0.25))
        p.poly([(-40, -13), (42, -13), (40.6, -10.4), (-39, -10.4)], "#f7f1e4")
        p.box(-16, -19, 8, -13, "#e9dcc3", (3, 3, 0, 0))


def motorboat(cv: Canvas, x: float, y: float, w: float, hull: str = "#f4efe6", trim: str = "#2f6db0", *,
        flip: bool = False) -> None:
    """A cabin boat; y is the waterline."""
    cv.shadow(x, y + w * 0.01, w * 0.5, w * 0.04, 0.35)
    with cv.pen(x, y, w / 100, flip=flip, category="boat") as p:
        p.line([(2, -34), (2, -50)], 1.2, "#5a6272")
        p.poly([(3, -50), (13, -47), (3, -44)], "#d6493f")
        p.box(-26, -35, 14, -18, "#fbf8f1", (3, 6, 0, 0), to="#e6e0d2")
        p.box(-28, -37, 13, -34, trim, 1.5)
        for k in range(3):
            p.box(-22 + k * 12, -31, -13 + k * 12, -23, "#3d566c", 1.5)
        p.poly([(-46, -20), (50, -24), (36, 2), (-42, 2)], hull, to=dark(hull, 0.16))
        p.poly([(-45.6, -17), (46.5, -18), (44, -13), (-44.8, -12)], trim)
        p.box(-44, -27, -41, -20, "#aeb5bf")
        p.line([(16, -26), (47, -28)], 0.9, "#aeb5bf")
        for k in range(4):
            p.line([(18 + k * 9, -26.4), (18 + k * 9, -21)], 0.7, "#aeb5bf")


def rowboat(cv: Canvas, x: float, y: float, w: float, hull: str = "#a4633a", *, flip: bool = False) -> None:
    cv.shadow(x, y + w * 0.01, w * 0.5, w * 0.05, 0.35)
    with cv.pen(x, y, w / 100, flip=flip, category="boat") as p:
        p.poly([(-48, -20), (-36, -15), (0, -12), (36, -15), (50, -21), (38, 0), (20, 5), (-22, 5),
            (-38, 0)], hull, to=dark(hull, 0.25))
        p.line([(-47, -19), (-36, -14.4), (0, -11.4), (36, -14.4), (49, -20)], 2, light(hull, 0.35),
            curve=False)
        p.line([(-42, -8), (0, -3), (43, -8)], 0.8, dark(hull, 0.3), curve=True)


def traffic_light(cv: Canvas, x: float, y: float, h: float, lit: str = "green", pole: float = 1.0) -> None:
    """A signal on its post; only the head is annotated, as COCO's annotators do. h is the head's height."""
    with cv.pen(x, y, h / 100) as p:
        p.box(-6, -250 * pole, 6, 0, "#4a505e", 2)
        p.box(-16, -6, 16, 0, "#3b404d", 2)
    top = y - h * 2.5 * pole - h * 0.8
    with cv.pen(x, top, h / 100, category="traffic light") as p:
        p.box(-24, 0, 24, 100, "#2f3542", 8)
        p.box(-20, 4, 20, 96, "#3c4352", 6)
        for k, (name, bright, dull) in enumerate(
            (("red", "#f2493d", "#5f3338"), ("yellow", "#ffc53d", "#5f5233"), ("green", "#43d17c", "#2f5544"))
        ):
            cy = 20 + k * 30
            p.disc(0, cy, 11.5, bright if name == lit else dull)
            if name == lit:
                p.oval(-3, cy - 4, 4, 3, "#ffffff90")
    place = {"red": 0.2, "yellow": 0.5, "green": 0.8}[lit]
    cv.glow(x, top + h * place, h * 0.42, h * 0.42, {"red": "#ff8a7a", "yellow": "#ffd98a",
        "green": "#9bf0bc"}[lit], 0.45)


def stop_sign(cv: Canvas, x: float, y: float, h: float) -> None:
    """h is from the ground to the sign's top; the board alone is annotated."""
    r = h * 0.16
    cv.shadow(x, y, h * 0.07, h * 0.02, 0.5)
    with cv.pen(x, y) as p:
        p.box(-h * 0.014, -h * 0.8, h * 0.014, 0, "#8b93a0")
    with cv.pen(x, y - h + r, r / 50, category="stop sign") as p:
        octagon = [(50 * math.cos(math.radians(22.5 + 45 * k)) * 1.06,
            50 * math.sin(math.radians(22.5 + 45 * k)) * 1.06) for k in range(8)]
        p.poly(octagon, "#fbf8f1")
        p.poly([(a * 0.91, b * 0.91) for a, b in octagon], "#d03a35", to="#b52d2d")
        # The letters S, T, O, P as strokes: no fonts, so that every machine draws the same.
        white = "#fbf8f1"
        s, t, o, q = p.at(-29, 0), p.at(-10.5, 0), p.at(9.5, 0), p.at(29, 0)
        s.line([(6, -10), (0, -13), (-6, -9), (-4, -2), (4, 2), (6, 9), (0, 13), (-6, 10)], 4, white,
            curve=True)
        t.line([(-7, -12.5), (7, -12.5)], 4, white)
        t.line([(0, -12.5), (0, 12.5)], 4, white)
        o.line(ring(0, 0, 6.4, 12), 4, white, loop=True)
        q.line([(-5, 12.5), (-5, -12.5), (3, -12.5), (6, -7), (3, -1), (-5, -1)], 4, white)


def hydrant(cv: Canvas, x: float, y: float, h: float, colour: str = "#d03a35") -> None:
    cv.shadow(x, y, h * 0.34, h * 0.07, 0.5)
    with cv.pen(x, y, h / 100, category="fire hydrant") as p:
        p.box(-24, -8, 24, 0, dark(colour, 0.25), 3)
        p.box(-16, -70, 16, -6, colour, 3)
        p.poly(ring(0, -72, 19, 19, 180, 360), colour)
        p.box(-21, -74, 21, -68, dark(colour, 0.2), 2)
        p.box(-4, -100, 4, -90, dark(colour, 0.2), 2)
        p.box(-30, -56, -14, -40, dark(colour, 0.12), 3)
        p.box(14, -56, 30, -40, dark(colour, 0.12), 3)
        p.disc(0, -46, 11, dark(colour, 0.25))
        p.disc(0, -46, 7, light(colour, 0.15))
        p.box(-12, -68, -7, -10, "#ffffff40", 2)
        p.box(-19, -26, 19, -21, dark(colour, 0.2), 2)


def parking_meter(cv: Canvas, x: float, y: float, h: float) -> None:
    cv.shadow(x, y, h * 0.1, h * 0.03, 0.5)
    with cv.pen(x, y, h / 100, category="parking meter") as p:
        p.box(-3, -62, 3, 0, "#6a7280", 1)
        p.box(-8, -4, 8, 0, "#4b5161", 1.5)
        p.box(-12, -94, 12, -60, "#5b6b86", (12, 12, 4, 4), to="#46546c")
        p.poly(ring(0, -84, 9, 9, 180, 360), GLASS)
        p.box(-6, -76, 6, -72, "#2f3542", 1)
        p.box(-1, -70, 5, -64, "#cfd4db", 1)


def bench(cv: Canvas, x: float, y: float, w: float, colour: str = "#a8713f") -> float:
    """A slatted bench seen from the front. Returns the seat's height (y)."""
    cv.shadow(x, y, w * 0.52, w * 0.05, 0.45)
    with cv.pen(x, y, w / 100, category="bench") as p:
        for sx in (-41, 41):
            p.box(sx - 2, -44, sx + 2, 0, "#3f4654", 1)
            p.box(sx - 4.5, -2, sx + 4.5, 0, "#3f4654", 1)
        for k in range(3):
            p.box(-50, -46 + k * 7.4, 50, -40.4 + k * 7.4, light(colour, 0.08), 2, to=colour)
        p.box(-50, -22, 50, -18.4, light(colour, 0.25), 1.5)
        p.box(-50, -18.6, 50, -15, dark(colour, 0.12), 1.5)
    return y - w * 0.2


def umbrella(cv: Canvas, x: float, y: float, w: float, colour: str = "#d6493f", *, pole: float = 0.75,
        turn: float = 0, stripe: str = "") -> None:
    """x, y is the foot of the pole (where a hand holds it, or where it stands); w the width of the canopy."""
    with cv.pen(x, y, w / 100, turn=turn, category="umbrella") as p:
        h = pole * 100
        p.line([(0, -h - 6), (0, 0)], 2.2, "#6b4c38")
        other = stripe or dark(colour, 0.14)
        rim: list[Point] = [(-50, 0), (-31, 0), (-11, 0), (11, 0), (31, 0), (50, 0)]
        dome = ring(0, -h + 26, 50, 38, 180, 360)
        scallop: list[Point] = []
        for (xa, _), (xb, _) in pairwise(rim[::-1]):
            scallop += [(xa, -h + 26), ((xa + xb) / 2, -h + 21)]
        p.poly([*dome, *scallop, (-50, -h + 26)], colour)
        tip = (0.0, -h - 12)
        for k in (0, 2, 4):
            xa, xb = rim[k][0], rim[k + 1][0]
            # Panels follow the dome: the ribs bulge outwards between tip and rim.
            def rib(q: float) -> list[Point]:
                return [(q * math.sin(math.pi / 2 * t / 8),
                        -h + 26 - 38 * math.cos(math.pi / 2 * t / 8)) for t in range(9)]

            p.poly([*rib(xa), ((xa + xb) / 2, -h + 21), *rib(xb)[::-1]], other)
        p.line([tip, (0, -h - 17)], 2.2, "#6b4c38")
        p.poly([(-44, -h + 14), (-30, -h - 3), (-14, -h - 10), (-26, -h + 4)], "#ffffff30", curve=True)


def kite(cv: Canvas, x: float, y: float, w: float, colour: str = "#e5533d", other: str = "#f6c544", *,
        hand: Point | None = None, turn: float = 18) -> None:
    """A diamond kite; its string (scenery) runs to a hand."""
    if hand is not None:
        with cv.pen() as p:
            sag = ((x + hand[0]) / 2 + (hand[0] - x) * 0.1, (y + hand[1]) / 2 + abs(hand[1] - y) * 0.12)
            p.line([(x, y), sag, hand], 0.7, "#fffdf5c0", curve=True)
    with cv.pen(x, y, w / 100, turn=turn, category="kite") as p:
        p.line([(0, 70), (-8, 92), (8, 112), (-4, 134)], 2.4, dark(colour, 0.1), curve=True)
        for tx, ty in ((-5, 90), (5, 113)):
            p.poly([(tx - 13, ty - 7), (tx, ty), (tx - 13, ty + 7)], other)
            p.poly([(tx + 13, ty - 7), (tx, ty), (tx + 13, ty + 7)], other)
        p.poly([(0, -60), (50, -6), (0, 72), (-50, -6)], colour)
        p.poly([(0, -60), (50, -6), (0, -6)], other)
        p.poly([(0, 72), (-50, -6), (0, -6)], other)
        p.poly([(0, -60), (50, -6), (0, 72)], "#14204016")
