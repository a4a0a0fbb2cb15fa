"""Furniture, food and small things. x, y is the middle of the base, in pixels."""

# fmt: off
# Rows of coordinates are kept as rows: a formatter would give every point a line of its own.

from __future__ import annotations

import math

from .canvas import Canvas, Pen, Point, dark, light, ring

WOOD = "#b27a48"
TYRE = "#2b2d38"


# -- furniture -----------------------------------------------------------------------------------


def chair(cv: Canvas, x: float, y: float, h: float, colour: str = WOOD, *, flip: bool = False,
        view: str = "side", seat: str = "") -> None:
    """A dining chair; from the side its back is on the left. The seat is at 0.46 h."""
    cv.shadow(x, y, h * 0.28, h * 0.05, 0.4)
    seat = seat or light(colour, 0.2)
    with cv.pen(x, y, h / 100, flip=flip, category="chair") as p:
        if view == "side":
            p.taper(14, -44, 2.2, 17, -1.6, 1.6, dark(colour, 0.15))
            p.taper(-17, -44, 2.2, -21, -1.6, 1.6, colour)
            p.taper(-17, -44, 2.4, -22, -97, 2.4, colour)
            p.line([(-18, -20), (15, -20)], 2, dark(colour, 0.15))
            p.taper(-20, -88, 3.6, -18.6, -64, 3.2, light(colour, 0.1))
            p.box(-21, -49, 19, -43, seat, 2.6)
            p.box(-20, -45, 18, -43, dark(seat, 0.2), 1)
            return
        for sx in (-17, 17):
            p.box(sx - 2.4, -98, sx + 2.4, 0, colour, 1.5)
        for k in range(3):
            p.box(-18, -95 + k * 14, 18, -87 + k * 14, light(colour, 0.08), 2, to=colour)
        p.box(-21, -50, 21, -43, seat, 3)
        p.box(-18, -44, 18, -38, dark(colour, 0.15))
        p.box(-15, -24, 15, -20, dark(colour, 0.15), 1)


def armchair(cv: Canvas, x: float, y: float, w: float, colour: str = "#4f8a7b") -> None:
    """From the front. Counted as a chair, as COCO does. The seat is at 0.42 w."""
    cv.shadow(x, y, w * 0.5, w * 0.06, 0.5)
    with cv.pen(x, y, w / 100, category="chair") as p:
        for sx in (-34, 34):
            p.box(sx - 3, -10, sx + 3, 0, "#5b3f2d", 1)
        p.box(-38, -104, 38, -30, light(colour, 0.06), (20, 20, 6, 6), to=dark(colour, 0.08))
        p.box(-34, -46, 34, -22, light(colour, 0.16), 6, to=colour)
        p.box(-36, -26, 36, -8, dark(colour, 0.12), 4)
        for s in (-1, 1):
            p.box(min(s * 32, s * 48), -60, max(s * 32, s * 48), -7, colour, (8, 8, 4, 4),
                to=dark(colour, 0.16))
        p.disc(-14, -78, 1.6, dark(colour, 0.2))
        p.disc(14, -78, 1.6, dark(colour, 0.2))


def office_chair(cv: Canvas, x: float, y: float, h: float, colour: str = "#3f5f8a", *,
        flip: bool = False) -> None:
    """From the side, its back on the left. The seat is at 0.45 h."""
    cv.shadow(x, y, h * 0.3, h * 0.05, 0.4)
    with cv.pen(x, y, h / 100, flip=flip, category="chair") as p:
        for dx in (-20, -8, 8, 20):
            p.line([(0, -12), (dx, -4)], 3, "#4b5161")
            p.disc(dx, -3, 3, TYRE)
        p.box(-2, -42, 2, -8, "#8d98a8")
        p.poly([(-22, -98), (-15, -99), (-12, -58), (-16, -52), (-20, -54)], colour, curve=True)
        p.line([(-17, -60), (-15, -45), (0, -42)], 3.4, "#4b5161", curve=True)
        p.box(-20, -50, 22, -42, colour, 4, to=dark(colour, 0.15))
        p.line([(-8, -50), (-8, -62), (12, -62)], 3, "#4b5161")




def couch(cv: Canvas, x: float, y: float, w: float, colour: str = "#3f7f86", *, pillows: tuple[str,
        ...] = ()) -> float:
    """Returns the y of the seat."""
    cv.shadow(x, y, w * 0.52, w * 0.045, 0.5)
    with cv.pen(x, y, w / 100, category="couch") as p:
        for sx in (-40, 40):
            p.box(sx - 2, -6, sx + 2, 0, "#5b3f2d", 0.6)
        p.box(-44, -44, 44, -12, light(colour, 0.04), (7, 7, 2, 2), to=dark(colour, 0.1))
        p.line([(0, -43), (0, -24)], 0.5, dark(colour, 0.25))
        p.box(-42, -23, -0.4, -13, light(colour, 0.15), 3, to=colour)
        p.box(0.4, -23, 42, -13, light(colour, 0.15), 3, to=colour)
        p.box(-43, -14, 43, -4.5, dark(colour, 0.14), 2)
        for s in (-1, 1):
            p.box(min(s * 40, s * 50), -32, max(s * 40, s * 50), -4, colour, (5, 5, 2, 2),
                to=dark(colour, 0.16))
        for k, tone in enumerate(pillows):
            q = p.at(-30 if k == 0 else 30, -28, turn=-10 if k == 0 else 12)
            q.box(-8, -8, 8, 8, tone, 2.4, to=dark(tone, 0.08))
    return y - w * 0.22


def bed(cv: Canvas, x: float, y: float, w: float, cover: str = "#5b7fa8", *, frame: str = WOOD,
        flip: bool = False) -> float:
    """A bed from the side, its head on the left. Returns the y of the mattress's top."""
    cv.shadow(x, y, w * 0.52, w * 0.035, 0.5)
    with cv.pen(x, y, w / 100, flip=flip, category="bed") as p:
        p.box(-50, -46, -44, 0, frame, 1.6, to=dark(frame, 0.15))
        p.box(45, -30, 50, 0, frame, 1.6, to=dark(frame, 0.15))
        p.box(-46, -15, 47, -7, dark(frame, 0.08), 1)
        p.box(-45, -24, 46, -13, "#f5efe4", 3, to="#e2d9c8")
        p.poly([(-43, -23), (-41, -32), (-28, -33), (-24, -26), (-25, -22)], "#fffaf0", curve=True)
        p.poly([(-18, -25.4), (20, -27), (45, -25), (47, -10), (40, -8.4), (20, -9.6), (0, -8.4),
            (-20, -9.4), (-21, -18)], cover, curve=True)
        p.poly([(-18, -25.6), (-9, -26.2), (-10, -9), (-20, -9.4), (-21, -18)], light(cover, 0.4), curve=True)
        for k in range(4):
            p.line([(2 + k * 11, -25), (4 + k * 11, -10)], 0.5, dark(cover, 0.18), curve=True)
    return y - w * 0.255


def table(cv: Canvas, x: float, y: float, w: float, h: float, colour: str = WOOD, *,
        cloth: str = "") -> float:
    """A dining table from the front, w wide and h high. Returns the y of its top."""
    cv.shadow(x, y, w * 0.5, w * 0.05, 0.4)
    thick = max(6.0, h * 0.11)
    with cv.pen(x, y, category="dining table") as p:
        leg = max(5.0, w * 0.03)
        for s in (-1, 1):
            lx = s * (w / 2 - leg * 2.2)
            p.poly([(lx - leg, -h + 2), (lx + leg, -h + 2), (lx + leg * 0.6, 0), (lx - leg * 0.6, 0)],
                dark(colour, 0.12))
        p.box(-w / 2 + leg * 1.4, -h + thick, w / 2 - leg * 1.4, -h + thick * 2, dark(colour, 0.2))
        p.box(-w / 2, -h, w / 2, -h + thick, light(colour, 0.12), 3, to=colour)
        if cloth:
            p.box(-w / 2 - 1, -h - 1, w / 2 + 1, -h + h * 0.34, cloth, (2, 2, 0, 0), to=dark(cloth, 0.1))
            for k in range(round(w / 26)):
                left = -w / 2 - 1 + k * 26
                p.poly([(left, -h + h * 0.34 - 1), (min(left + 26, w / 2 + 1), -h + h * 0.34 - 1),
                    (min(left + 13, w / 2), -h + h * 0.34 + 7)], dark(cloth, 0.1))
    return y - h


def tv(cv: Canvas, x: float, y: float, w: float, show: str = "sea") -> None:
    """A flat screen on its foot; what it shows: sea, hills, off."""
    with cv.pen(x, y, w / 100, category="tv") as p:
        p.box(-16, -3, 16, 0, "#3b404d", 1.5)
        p.box(-4, -9, 4, -2, "#3b404d")
        p.box(-50, -66, 50, -7, "#262a35", 2)
        if show == "off":
            p.box(-48, -64, 48, -9, "#3a4150", 1, to="#2d3340")
            p.poly([(-20, -9), (6, -64), (22, -64), (-4, -9)], "#ffffff12")
        elif show == "hills":
            p.box(-48, -64, 48, -9, "#f7c887", 1, to="#f9e3b8")
            p.disc(18, -44, 8, "#fff3cf")
            p.poly([(-48, -30), (-24, -42), (0, -30), (24, -38), (48, -28), (48, -9), (-48, -9)], "#5f9a78")
            p.poly([(-48, -20), (-10, -28), (20, -20), (48, -24), (48, -9), (-48, -9)], "#417a63")
        else:
            p.box(-48, -64, 48, -9, "#8fd0e4", 1, to="#d3eef0")
            p.disc(-20, -48, 6, "#fff3cf")
            p.box(-48, -30, 48, -9, "#2f88a5", to="#226b8c")
            for k in range(6):
                p.line([(-40 + k * 15, -26 + (k % 3) * 5), (-32 + k * 15, -26 + (k % 3) * 5)], 0.9, "#bfe6ee")
        p.poly([(-48, -64), (-30, -64), (-44, -9), (-48, -9)], "#ffffff18")


def laptop(cv: Canvas, x: float, y: float, w: float, *, view: str = "front", shell: str = "#c3cad4",
        flip: bool = False) -> None:
    """front: we see the screen; back: its lid; side: open towards the right."""
    cv.shadow(x, y, w * 0.5, w * 0.05, 0.35)
    with cv.pen(x, y, w / 100, flip=flip, category="laptop") as p:
        if view == "side":
            p.line([(-34, -3), (34, -3)], 5, shell)
            p.line([(34, -3), (50, -52)], 4, dark(shell, 0.15))
            return
        p.box(-40, -62, 40, -5, dark(shell, 0.55) if view == "front" else shell, 3,
            to=dark(shell, 0.55) if view == "front" else dark(shell, 0.12))
        if view == "front":
            p.box(-37, -59, 37, -9, "#eaf3f5", 1, to="#cfe3ea")
            p.box(-33, -55, -12, -12, "#6fa3c4", 1)
            for k in range(5):
                p.line([(-8, -53 + k * 6), (30 - (k % 3) * 9, -53 + k * 6)], 2.2, "#9fb3c2")
            p.box(-8, -22, 8, -13, "#e8875a", 1)
            p.box(12, -22, 30, -13, "#f0bf5b", 1)
            p.poly([(-42, -6), (42, -6), (50, -1), (-50, -1)], light(shell, 0.2))
            p.box(-50, -2, 50, 1.4, dark(shell, 0.15), 1.4)
            for k in range(2):
                p.line([(-36 - k * 2, -4.8 + k * 1.6), (36 + k * 2, -4.8 + k * 1.6)], 0.9, dark(shell, 0.3))
        else:
            p.disc(0, -34, 5, light(shell, 0.5))
            p.box(-44, -5, 44, 0, dark(shell, 0.2), 2)


def keyboard(cv: Canvas, x: float, y: float, w: float) -> None:
    cv.shadow(x, y, w * 0.5, w * 0.04, 0.3)
    with cv.pen(x, y, w / 100, category="keyboard") as p:
        p.poly([(-46, -15), (46, -15), (50, -1), (-50, -1)], "#e6e9ee")
        p.box(-50, -2, 50, 1, "#b4bcc8", 1)
        for row in range(3):
            for k in range(13):
                cx = (-41 + k * 6.8) * (1 + row * 0.035)
                p.box(cx - 2.6, -13.6 + row * 4, cx + 2.6, -10.6 + row * 4, "#8d98a8", 0.6)


def mouse(cv: Canvas, x: float, y: float, w: float) -> None:
    with cv.pen(x, y, w / 100, category="mouse") as p:
        p.oval(0, -26, 50, 28, "#dfe3e9", to="#b4bcc8")
        p.line([(0, -53), (0, -34)], 5, "#6a7280")


def phone(cv: Canvas, x: float, y: float, h: float, *, turn: float = 0) -> None:
    with cv.pen(x, y, h / 100, turn=turn, category="cell phone") as p:
        p.box(-25, -100, 25, 0, "#262a35", 8)
        p.box(-21, -94, 21, -6, "#7fc3d9", 4, to="#3f7ea8")
        for k in range(6):
            p.box(-15 + (k % 3) * 11, -84 + (k // 3) * 12, -7 + (k % 3) * 11, -76 + (k // 3) * 12,
                "#f4efe6", 2)


def book(cv: Canvas, x: float, y: float, w: float, colour: str = "#c8463f", *, open_: bool = False,
        turn: float = 0) -> None:
    """Lying flat, seen from the side; or open, held up, its cover towards us."""
    with cv.pen(x, y, w / 100, turn=turn, category="book") as p:
        if open_:
            p.poly([(0, -4), (-48, -14), (-48, -66), (0, -58)], colour)
            p.poly([(0, -4), (48, -14), (48, -66), (0, -58)], dark(colour, 0.12))
            p.line([(0, -57), (0, -5)], 3, dark(colour, 0.3))
            p.line([(-46, -68), (0, -60), (46, -68)], 3.4, "#fbf6ea")
            p.box(-36, -46, -14, -40, light(colour, 0.5), 1)
            return
        p.box(-50, -20, 50, 0, colour, 3)
        p.box(-44, -16.5, 50, -3.5, "#fbf6ea", 1)
        for k in range(2):
            p.line([(-42, -12 + k * 4.6), (49, -12 + k * 4.6)], 0.7, "#d9cfbb")


def shelf_books(p: Pen, left: float, right: float, y: float, tall: float, seed: int) -> None:
    """A row of standing books, for a region of many."""
    tones = ("#c8463f", "#3f7cac", "#e0a83c", "#4f8a6b", "#7a5c8e", "#d9835a", "#34506e", "#b9b09c")
    at, k = left, seed
    while at < right - 4:
        wide = 6 + (k * 7 % 5)
        high = tall * (0.72 + (k * 13 % 7) * 0.04)
        end = min(at + wide, right)
        tone = tones[(k * 5 + seed) % len(tones)]
        p.box(at, y - high, end - 0.6, y, tone, 0.8)
        p.box(at + 1.2, y - high * 0.82, end - 1.8, y - high * 0.7, light(tone, 0.5))
        at = end
        k += 1


def clock(cv: Canvas, x: float, y: float, d: float, *, rim: str = "#3b404d", hour: float = 10,
        minute: float = 10) -> None:
    """A wall clock; x, y is its middle."""
    cv.glow(x + d * 0.04, y + d * 0.06, d * 0.62, d * 0.62, "#1b2138", 0.3)
    with cv.pen(x, y, d / 100, category="clock") as p:
        p.disc(0, 0, 50, rim)
        p.disc(0, 0, 42, "#fdf9ef")
        for k in range(12):
            a = math.radians(30 * k)
            p.line([(33 * math.sin(a), -33 * math.cos(a)), (38 * math.sin(a), -38 * math.cos(a))], 3.4,
                "#5a6272")
        a = math.radians(30 * (hour + minute / 60))
        p.line([(0, 0), (19 * math.sin(a), -19 * math.cos(a))], 5, "#2f3542")
        a = math.radians(6 * minute)
        p.line([(0, 0), (30 * math.sin(a), -30 * math.cos(a))], 3.4, "#2f3542")
        p.disc(0, 0, 4, "#d6453d")


def vase(cv: Canvas, x: float, y: float, h: float, colour: str = "#3f7cac", flowers: str = "#e5636f") -> None:
    """h is the height of the vase itself; the flowers are drawn as part of it."""
    cv.shadow(x, y, h * 0.3, h * 0.06, 0.4)
    with cv.pen(x, y, h / 100, category="vase") as p:
        for dx, dy, r in ((-30, -150, 17), (4, -172, 19), (34, -146, 16), (-10, -130, 15), (20, -126, 14)):
            p.line([(dx * 0.2, -94), (dx * 0.7, (dy - 90) / 2), (dx, dy)], 4, "#4f8a5b", curve=True)
            for k in range(6):
                a = math.radians(60 * k + dx)
                p.disc(dx + r * 0.62 * math.cos(a), dy + r * 0.62 * math.sin(a), r * 0.52,
                    flowers if dx > -20 else light(flowers, 0.25))
            p.disc(dx, dy, r * 0.4, "#f6c544")
        p.poly([(-8, -92), (-40, -118), (-26, -100)], "#4f8a5b", curve=True)
        p.poly([(8, -92), (42, -112), (28, -98)], "#5f9d6a", curve=True)
        p.poly([(-13, -100), (13, -100), (11, -84), (28, -56), (26, -22), (14, 0), (-14, 0), (-26, -22),
            (-28, -56), (-11, -84)], colour, curve=True)
        p.poly([(-20, -56), (-10, -72), (-9, -30), (-15, -16), (-20, -28)], "#ffffff3c", curve=True)
        p.oval(0, -99, 13, 3.4, dark(colour, 0.3))


def plant(cv: Canvas, x: float, y: float, h: float, pot: str = "#c9744a", leaf: str = "#4f8a5b", *,
        kind: str = "bush") -> None:
    """Kinds: bush (round leaves), palm (long leaves), cactus."""
    cv.shadow(x, y, h * 0.26, h * 0.05, 0.45)
    with cv.pen(x, y, h / 100, category="potted plant") as p:
        if kind == "cactus":
            p.box(-12, -88, 12, -28, leaf, 12, to=dark(leaf, 0.15))
            p.line([(12, -46), (26, -48), (26, -66)], 10, leaf, curve=True)
            p.line([(-12, -56), (-24, -58), (-24, -72)], 8, dark(leaf, 0.1), curve=True)
            for k in range(5):
                p.line([(-4, -82 + k * 11), (-4, -78 + k * 11)], 1.4, light(leaf, 0.5))
                p.line([(5, -78 + k * 11), (5, -74 + k * 11)], 1.4, light(leaf, 0.5))
            p.disc(0, -91, 6, "#e8758a")
        elif kind == "palm":
            for k, (tx, ty) in enumerate(((-40, -66), (40, -68), (-28, -88), (28, -90), (0, -100),
                    (-44, -44), (44, -46))):
                tone = (leaf, dark(leaf, 0.14), light(leaf, 0.14))[k % 3]
                bend = (tx * 0.35, ty * 0.92 - 6)
                p.poly([(-3, -34), (bend[0] - 5, bend[1]), (tx, ty), (bend[0] + 7, bend[1] + 9), (3, -34)],
                    tone, curve=True)
        else:
            for k, (cx, cy, r) in enumerate(((-22, -52, 14), (22, -54, 14), (0, -48, 15), (-16, -74, 14),
                    (16, -76, 14), (0, -88, 12), (0, -66, 15))):
                p.poly([(cx - r, cy), (cx, cy - r), (cx + r, cy), (cx, cy + r)], (leaf, dark(leaf, 0.12),
                    light(leaf, 0.14))[k % 3], curve=True)
                p.line([(cx, cy + r * 0.8), (cx, cy - r * 0.6)], 0.9, dark(leaf, 0.3))
        p.poly([(-22, -32), (22, -32), (16, 0), (-16, 0)], pot, to=dark(pot, 0.15))
        p.box(-25, -38, 25, -29, light(pot, 0.12), 2)


def teddy(cv: Canvas, x: float, y: float, h: float, colour: str = "#b98150") -> None:
    cv.shadow(x, y, h * 0.36, h * 0.06, 0.4)
    with cv.pen(x, y, h / 100, category="teddy bear") as p:
        pale = light(colour, 0.45)
        for s in (-1, 1):
            p.disc(s * 20, -88, 11, colour)
            p.disc(s * 20, -88, 6, pale)
            p.taper(s * 20, -44, 9, s * 36, -24, 8, dark(colour, 0.1))
            p.taper(s * 14, -12, 11, s * 30, -9, 9, colour)
            p.disc(s * 32, -9, 6, pale)
        p.oval(0, -30, 24, 28, colour)
        p.oval(0, -28, 15, 18, pale)
        p.oval(0, -72, 25, 22, colour)
        p.oval(0, -65, 11, 9, pale)
        p.oval(0, -69, 4, 3, "#33262a")
        p.line([(-4, -62), (0, -60), (4, -62)], 1.4, "#33262a", curve=True)
        for s in (-1, 1):
            p.disc(s * 9.6, -76, 2.6, "#33262a")
        p.poly([(0, -50), (-12, -55), (-12, -44)], "#d6453d")
        p.poly([(0, -50), (12, -55), (12, -44)], "#d6453d")


# -- kitchen and bathroom ------------------------------------------------------------------------


def fridge(cv: Canvas, x: float, y: float, h: float, colour: str = "#dfe6ea") -> None:
    cv.shadow(x, y, h * 0.24, h * 0.03, 0.4)
    with cv.pen(x, y, h / 100, category="refrigerator") as p:
        p.box(-21, -100, 21, -1, colour, 3, to=dark(colour, 0.12))
        p.line([(-21, -64), (21, -64)], 1, dark(colour, 0.35))
        p.box(-17, -80, -15, -68, "#7d8896", 1)
        p.box(-17, -60, -15, -38, "#7d8896", 1)
        p.box(12, -97, 17, -4, "#ffffff40", 2)
        p.box(-2, -88, 5, -80, "#f0bf5b", 0.5)
        p.disc(9, -90, 2, "#d6453d")


def oven(cv: Canvas, x: float, y: float, w: float, h: float) -> None:
    with cv.pen(x, y, category="oven") as p:
        p.box(-w / 2, -h, w / 2, -3, "#e8ebee", 3, to="#c9d0d7")
        p.box(-w / 2, -h, w / 2, -h + h * 0.06, "#3b404d", 1)
        for k in range(4):
            p.disc(-w * 0.33 + k * w * 0.22, -h * 0.86, w * 0.045, "#4b5161")
        p.box(-w * 0.4, -h * 0.66, w * 0.4, -h * 0.2, "#3b404d", 5)
        p.box(-w * 0.34, -h * 0.6, w * 0.34, -h * 0.26, "#f2a65a", 3, to="#7b4632")
        p.box(-w * 0.38, -h * 0.74, w * 0.38, -h * 0.7, "#8d98a8", 2)


def microwave(cv: Canvas, x: float, y: float, w: float) -> None:
    cv.shadow(x, y, w * 0.5, w * 0.04, 0.3)
    with cv.pen(x, y, w / 100, category="microwave") as p:
        p.box(-50, -56, 50, 0, "#d5dbe1", 3, to="#b4bcc8")
        p.box(-45, -50, 22, -6, "#333947", 3)
        p.box(-40, -45, 17, -11, "#50627a", 2, to="#3a4759")
        p.box(27, -50, 45, -40, "#2f3542", 1)
        p.box(29, -47.4, 42, -43, "#6fdca0")
        for k in range(6):
            p.box(27.5 + (k % 3) * 6.4, -35 + (k // 3) * 9, 32 + (k % 3) * 6.4, -29 + (k // 3) * 9,
                "#8d98a8", 1)


def toaster(cv: Canvas, x: float, y: float, w: float, colour: str = "#d6453d") -> None:
    cv.shadow(x, y, w * 0.48, w * 0.05, 0.35)
    with cv.pen(x, y, w / 100, category="toaster") as p:
        for sx in (-15, 15):
            p.box(sx - 13, -78, sx + 13, -50, "#e0aa62", (8, 8, 0, 0))
            p.box(sx - 10, -74, sx + 10, -50, "#f3d49a", (6, 6, 0, 0))
        p.box(-48, -62, 48, -4, colour, (20, 20, 6, 6), to=dark(colour, 0.22))
        p.box(-38, -5, -28, 0, TYRE)
        p.box(28, -5, 38, 0, TYRE)
        p.box(40, -46, 54, -38, "#3b404d", 2)
        p.box(-40, -52, -34, -16, "#ffffff50", 3)


def sink(cv: Canvas, x: float, y: float, w: float) -> None:
    """A pedestal basin with its tap; y is the floor."""
    cv.shadow(x, y, w * 0.25, w * 0.05, 0.4)
    with cv.pen(x, y, w / 100, category="sink") as p:
        p.poly([(-13, -70), (13, -70), (10, -6), (16, 0), (-16, 0), (-10, -6)], "#e6ebee", to="#c9d2d9")
        p.poly([(-50, -96), (50, -96), (42, -72), (22, -62), (-22, -62), (-42, -72)], "#f7fafa",
            curve=False, to="#d7dee3")
        p.box(-52, -100, 52, -93, "#fdfefe", 3)
        p.line([(0, -99), (0, -120), (14, -122), (16, -112)], 5, "#9aa6b3", curve=True)
        p.line([(-9, -104), (9, -104)], 4, "#9aa6b3")


def toilet(cv: Canvas, x: float, y: float, h: float, *, flip: bool = False) -> None:
    cv.shadow(x, y, h * 0.34, h * 0.05, 0.4)
    with cv.pen(x, y, h / 100, flip=flip, category="toilet") as p:
        p.box(-38, -100, -12, -48, "#fbfdfd", 4, to="#dfe5e9")
        p.box(-40, -104, -10, -97, "#ffffff", 2, to="#e6ebee")
        p.line([(-30, -90), (-22, -90)], 3, "#9aa6b3")
        p.poly([(-36, -50), (38, -50), (34, -34), (16, -20), (16, -4), (22, 0), (-30, 0), (-28, -10)],
            "#f4f7f8", to="#cfd8de")
        p.box(-16, -56, 40, -48, "#ffffff", 4, to="#e6ebee")


def bottle(cv: Canvas, x: float, y: float, h: float, colour: str = "#3f8a5f", label: str = "#f4efe0",
        cap: str = "#d6a53c") -> None:
    cv.shadow(x, y, h * 0.2, h * 0.045, 0.4)
    with cv.pen(x, y, h / 100, category="bottle") as p:
        p.poly([(-5.5, -94), (5.5, -94), (6, -70), (15, -56), (15, -3), (12, 0), (-12, 0), (-15, -3),
            (-15, -56), (-6, -70)], colour, to=dark(colour, 0.2))
        p.box(-6.4, -100, 6.4, -90, cap, 1.5)
        p.box(-15, -44, 15, -16, label)
        p.box(-8, -35, 8, -31, colour)
        p.box(-10.6, -56, -7, -4, "#ffffff48", 1.8)


def cup(cv: Canvas, x: float, y: float, h: float, colour: str = "#e9e4d8", *, flip: bool = False,
        steam: bool = False) -> None:
    cv.shadow(x, y, h * 0.5, h * 0.1, 0.4)
    with cv.pen(x, y, h / 100, flip=flip, category="cup") as p:
        p.line([(38, -74), (60, -70), (60, -36), (34, -30)], 10, dark(colour, 0.08), curve=True)
        p.poly([(-42, -96), (42, -96), (38, -20), (30, -2), (-30, -2), (-38, -20)], colour,
            to=dark(colour, 0.12))
        p.oval(0, -96, 42, 9, light(colour, 0.4))
        p.oval(0, -95, 36, 6.6, "#6b4630")
        p.box(-30, -80, -22, -20, "#ffffff50", 4)
    if steam:
        for dx in (-0.16, 0.14):
            with cv.pen(x + dx * h, y - h * 1.1, h / 100) as p:
                p.line([(0, 0), (8, -14), (-6, -30), (4, -46)], 6, "#ffffff50", curve=True)


def wine_glass(cv: Canvas, x: float, y: float, h: float, wine: str = "#a32b46") -> None:
    cv.shadow(x, y, h * 0.2, h * 0.05, 0.35)
    with cv.pen(x, y, h / 100, category="wine glass") as p:
        p.oval(0, -2.5, 20, 3.4, "#d9e6ec")
        p.box(-2, -46, 2, -3, "#d9e6ec")
        p.poly([(-18, -100), (18, -100), (23, -72), (14, -50), (0, -44), (-14, -50), (-23, -72)], "#e8f1f4",
            curve=True)
        p.poly([(-21.5, -76), (21.5, -76), (13, -52), (0, -46.5), (-13, -52)], wine, curve=False)
        p.box(-14, -94, -10, -62, "#ffffff90", 2)


def bowl(cv: Canvas, x: float, y: float, w: float, colour: str = "#4f8fae", *, fill: str = "") -> None:
    cv.shadow(x, y, w * 0.4, w * 0.07, 0.4)
    with cv.pen(x, y, w / 100, category="bowl") as p:
        if fill:
            p.oval(0, -46, 45, 16, fill)
            for k in range(15):
                cx, cy = -34 + (k * 29 % 70), -56 + (k * 17 % 10)
                if cx * cx / 1600 + (cy + 46) ** 2 / 160 < 1:
                    p.disc(cx, cy, 3.4, dark(fill, 0.16))
                    p.disc(cx, cy, 1.3, light(fill, 0.3))
        p.poly([(-50, -46), (50, -46), (42, -18), (20, -3), (-20, -3), (-42, -18)], colour,
            to=dark(colour, 0.2))
        p.box(-50.5, -48, 50.5, -43, light(colour, 0.25), 2.5)
        p.box(-18, -4, 18, 0, dark(colour, 0.25), 1)
        p.poly([(-42, -40), (-34, -40), (-28, -20), (-34, -22)], "#ffffff40", curve=True)


def apple(cv: Canvas, x: float, y: float, w: float, colour: str = "#cf3a3a") -> None:
    cv.shadow(x, y, w * 0.44, w * 0.1, 0.4)
    with cv.pen(x, y, w / 100, category="apple") as p:
        p.poly([(0, -80), (22, -88), (46, -70), (44, -34), (20, -2), (0, -6), (-20, -2), (-44, -34),
            (-46, -70), (-22, -88)], colour, curve=True)
        p.poly([(20, -84), (44, -70), (42, -34), (20, -4), (30, -44)], "#1420402c", curve=True)
        p.oval(-22, -62, 8, 14, "#ffffff58")
        p.line([(0, -80), (4, -100)], 5, "#5d4030")
        p.poly([(5, -94), (26, -108), (30, -94), (14, -86)], "#5f9d55", curve=True)


def orange(cv: Canvas, x: float, y: float, w: float) -> None:
    cv.shadow(x, y, w * 0.44, w * 0.1, 0.4)
    with cv.pen(x, y, w / 100, category="orange") as p:
        p.disc(0, -48, 48, "#ef8e2c")
        p.poly([(14, -94), (46, -62), (40, -20), (6, -1), (26, -40)], "#8c3a1830", curve=True)
        p.oval(-18, -66, 11, 9, "#ffffff50")
        p.disc(2, -92, 5, "#4f7a3c")


def banana(cv: Canvas, x: float, y: float, w: float, *, flip: bool = False, turn: float = 0) -> None:
    cv.shadow(x, y, w * 0.42, w * 0.06, 0.35)
    with cv.pen(x, y, w / 100, flip=flip, turn=turn, category="banana") as p:
        p.poly([(-46, -38), (-40, -42), (-26, -24), (0, -16), (28, -22), (44, -40), (50, -36), (38, -12),
            (12, 0), (-16, -2), (-36, -16)], "#f5cf45", curve=True)
        p.poly([(-42, -32), (-24, -14), (4, -7), (30, -14), (46, -36), (38, -12), (12, 0), (-16, -2),
            (-36, -16)], "#b9812438", curve=True)
        p.line([(-44, -40), (-49, -48)], 5, "#9a7a2c")
        p.disc(48, -38, 3, "#5d4a24")


def pizza(cv: Canvas, x: float, y: float, w: float, *, tilt: float = 0.5) -> None:
    """On a board; x, y is its middle."""
    with cv.pen(x, y) as p:
        p.oval(0, w * 0.03, w * 0.56, w * 0.56 * tilt, "#8a5a35")
        p.oval(0, 0, w * 0.56, w * 0.56 * tilt, "#c08a55")
    with cv.pen(x, y, category="pizza") as pen:
        p = pen.at(0, 0, w / 100, sy=w / 100 * tilt)
        p.disc(0, 4, 50, "#a8672f")
        p.disc(0, 0, 50, "#dd9f4f")
        p.disc(0, 0, 44, "#c4442c")
        p.disc(0, -0.5, 42, "#f5cf6b")
        for cx, cy in ((-24, -12), (2, -28), (26, -8), (14, 20), (-14, 18), (-34, 8), (2, -4), (30, 14)):
            p.disc(cx, cy + 0.8, 7.2, "#8f2c22")
            p.disc(cx, cy, 7, "#c23f33")
        for cx, cy in ((-10, -22), (14, -16), (-22, 26), (22, 2), (-2, 10), (4, 34)):
            q = p.at(cx, cy, turn=cx * 9)
            q.poly([(-5, 0), (0, -2.6), (6, 0), (0, 2.6)], "#4f8a45", curve=True)
        for k in range(4):
            a = math.radians(45 * k + 22)
            p.line([(-48 * math.cos(a), -48 * math.sin(a)), (48 * math.cos(a), 48 * math.sin(a))], 0.9,
                "#b9782f")


def cake(cv: Canvas, x: float, y: float, w: float, icing: str = "#f4b7c2", base: str = "#fbf1df", *,
        candles: int = 5) -> None:
    cv.shadow(x, y, w * 0.56, w * 0.06, 0.4)
    with cv.pen(x, y, w / 100) as p:
        p.box(-58, -7, 58, -3, "#d9e2e6", 2)
        p.box(-12, -4, 12, 0, "#b9c6cd", 1)
    with cv.pen(x, y, w / 100, category="cake") as p:
        for k in range(candles):
            cx = -30 + k * 60 / max(candles - 1, 1)
            p.box(cx - 2, -80, cx + 2, -60, ("#5aa7c4", "#f0bf5b", "#8fbf6b")[k % 3], 1)
            p.poly([(cx, -93), (cx + 3.4, -85), (cx, -81), (cx - 3.4, -85)], "#ffb13d", curve=True)
        p.box(-48, -60, 48, -7, base, 4, to=dark(base, 0.1))
        p.box(-48, -36, 48, -29, "#d98a5a")
        drip: list[Point] = [(-50, -64), (50, -64), (50, -48)]
        for k in range(6):
            right = 50 - k * 16.7
            drip += [(right - 3, -42 - (k % 2) * 5), (right - 8, -40 - (k % 2) * 5), (right - 13, -44),
                (right - 16, -50)]
        drip += [(-50, -48)]
        p.poly(drip, icing)
        p.oval(0, -63, 50, 5, light(icing, 0.35))
        for k in range(7):
            p.disc(-42 + k * 14, -12, 3.4, icing)
    for k in range(candles):
        cx = -30 + k * 60 / max(candles - 1, 1)
        cv.glow(x + cx * w / 100, y - w * 0.86, w * 0.12, w * 0.12, "#ffe3a0", 0.6)


def donut(cv: Canvas, x: float, y: float, w: float, icing: str = "#e87a9a") -> None:
    cv.shadow(x, y, w * 0.46, w * 0.07, 0.35)
    with cv.pen(x, y, w / 100, category="donut") as p:
        p.oval(0, -26, 50, 26, "#d9a05b", to="#b97b3b")
        p.poly([(-48, -28), (-36, -48), (0, -54), (36, -48), (48, -28), (34, -16), (18, -20), (4, -12),
            (-14, -18), (-32, -14)], icing, curve=True)
        p.oval(0, -34, 13, 6, "#c58a48")
        for k, (cx, cy) in enumerate(((-32, -34), (-18, -44), (6, -46), (28, -40), (34, -28), (-22, -24),
                (20, -26), (-6, -22))):
            p.line([(cx - 2, cy), (cx + 2, cy + (k % 3 - 1) * 2)], 2.4, ("#fdf6e3", "#f6c544",
                "#5aa7c4")[k % 3])


def sandwich(cv: Canvas, x: float, y: float, w: float) -> None:
    cv.shadow(x, y, w * 0.46, w * 0.06, 0.35)
    with cv.pen(x, y, w / 100, category="sandwich") as p:
        p.box(-46, -14, 46, 0, "#d9a05b", (2, 2, 8, 8))
        p.box(-50, -20, 50, -12, "#c9493d", 3)
        p.poly([(-54, -24), (-36, -16), (-18, -24), (0, -16), (18, -24), (36, -16), (54, -24), (46, -30),
            (-46, -30)], "#6fb04f", curve=True)
        p.box(-48, -34, 48, -26, "#f6cf57", 2)
        p.box(-46, -58, 46, -30, "#e3ad66", (22, 22, 4, 4), to="#c98c45")
        for k in range(6):
            p.oval(-30 + k * 12, -50 + (k % 2) * 6, 2.4, 1.4, "#fbeccb")


def fork_and_knife(cv: Canvas, x: float, y: float, h: float, *, gap: float = 1.0) -> None:
    """A fork on the left and a knife on the right of x."""
    with cv.pen(x - gap * h * 0.5, y, h / 100, category="fork") as p:
        p.box(-2.4, -60, 2.4, 0, "#b9c2cc", 2)
        p.poly([(-8, -78), (8, -78), (5, -62), (0, -58), (-5, -62)], "#b9c2cc", curve=True)
        for dx in (-7, -2.4, 2.4, 7):
            p.box(dx - 1.3, -100, dx + 1.3, -74, "#b9c2cc", 1.2)
    with cv.pen(x + gap * h * 0.5, y, h / 100, category="knife") as p:
        p.box(-3, -44, 3, 0, "#4b5161", 2)
        p.poly([(-3, -44), (3, -44), (5, -92), (1, -100), (-3, -98)], "#cbd3db")


# -- bags and sports -----------------------------------------------------------------------------


def suitcase(cv: Canvas, x: float, y: float, h: float, colour: str = "#d98a3d", *, lean: float = 0,
        handle: bool = True) -> None:
    """Upright on its wheels; with its handle out it is 1.45 h high."""
    if lean == 0:
        cv.shadow(x, y, h * 0.36, h * 0.06, 0.45)
    with cv.pen(x, y, h / 100, turn=lean, category="suitcase") as p:
        if handle:
            p.line([(-12, -98), (-12, -142), (12, -142), (12, -98)], 4, "#6a7280")
        for sx in (-22, 22):
            p.disc(sx, -5, 5, TYRE)
        p.box(-32, -100, 32, -7, colour, 9, to=dark(colour, 0.16))
        for k in range(3):
            p.line([(-16 + k * 16, -92), (-16 + k * 16, -16)], 3, dark(colour, 0.14))
        p.box(-32, -60, 32, -54, dark(colour, 0.35))
        p.box(-10, -104, 10, -97, dark(colour, 0.45), 3)


def backpack(cv: Canvas, x: float, y: float, h: float, colour: str = "#c8463f", *, side: bool = False,
        flip: bool = False) -> None:
    """x, y is the middle of its bottom. From the side it is as worn by somebody who looks right."""
    with cv.pen(x, y, h / 100, flip=flip, category="backpack") as p:
        if side:
            p.poly([(18, 0), (-16, 0), (-30, -20), (-28, -70), (-8, -98), (18, -96)], colour, curve=True)
            p.poly([(-16, -6), (-34, -12), (-36, -42), (-22, -48)], dark(colour, 0.18), curve=True)
            p.line([(-24, -66), (12, -72)], 3, dark(colour, 0.3))
            return
        p.line([(-12, -96), (0, -108), (12, -96)], 5, dark(colour, 0.4), curve=True)
        p.box(-36, -100, 36, 0, colour, (26, 26, 10, 10), to=dark(colour, 0.14))
        p.box(-26, -46, 26, -8, dark(colour, 0.2), 7)
        p.box(-26, -46, 26, -36, dark(colour, 0.32), (7, 7, 0, 0))
        p.line([(-28, -66), (28, -66)], 3, dark(colour, 0.32))
        p.box(-3, -42, 3, -30, "#f0bf5b", 1)


def handbag(cv: Canvas, x: float, y: float, w: float, colour: str = "#8a4b3a") -> None:
    """x, y is the top of the strap, where a hand holds it."""
    with cv.pen(x, y, w / 100, category="handbag") as p:
        p.line([(-26, 46), (-18, 6), (0, 0), (18, 6), (26, 46)], 6, dark(colour, 0.25), curve=True)
        p.poly([(-40, 42), (40, 42), (50, 100), (-50, 100)], colour, to=dark(colour, 0.18))
        p.box(-41, 40, 41, 58, dark(colour, 0.15), 4)
        p.box(-6, 52, 6, 64, "#f0bf5b", 2)


def ball(cv: Canvas, x: float, y: float, d: float, kind: str = "football", *, shadow: bool = True) -> None:
    """Kinds: football, beach, tennis, baseball, basketball. y is its lowest point."""
    if shadow:
        cv.shadow(x, y, d * 0.5, d * 0.12, 0.45)
    with cv.pen(x, y - d / 2, d / 100, category="sports ball") as p:
        if kind == "beach":
            for k, tone in enumerate(("#e5533d", "#fdf6e3", "#3f8fc4", "#fdf6e3", "#f6c544", "#fdf6e3")):
                p.poly([(6, -8), *ring(0, 0, 50, 50, 60 * k, 60 * k + 60)], tone)
            p.disc(6, -8, 7, "#fdf6e3")
        elif kind == "tennis":
            p.disc(0, 0, 50, "#d5e04a")
            p.line([(-34, -36), (-10, 0), (-34, 36)], 7, "#fdfbe8", curve=True)
            p.line([(34, -36), (10, 0), (34, 36)], 7, "#fdfbe8", curve=True)
        elif kind == "baseball":
            p.disc(0, 0, 50, "#fdfaf2")
            p.line([(-34, -34), (-16, 0), (-34, 34)], 6, "#cf4040", curve=True)
            p.line([(34, -34), (16, 0), (34, 34)], 6, "#cf4040", curve=True)
        elif kind == "basketball":
            p.disc(0, 0, 50, "#e07f35")
            p.line([(-49, 0), (49, 0)], 4, "#4a2f22")
            p.line([(0, -49), (0, 49)], 4, "#4a2f22")
            p.line([(-36, -34), (-18, 0), (-36, 34)], 4, "#4a2f22", curve=True)
            p.line([(36, -34), (18, 0), (36, 34)], 4, "#4a2f22", curve=True)
        else:
            p.disc(0, 0, 50, "#fbf8f1")
            penta = [(18 * math.sin(math.radians(72 * k)),
                -18 * math.cos(math.radians(72 * k))) for k in range(5)]
            p.poly(penta, "#2f3542")
            for k in range(5):
                a = math.radians(72 * k)
                p.line([(18 * math.sin(a), -18 * math.cos(a)), (36 * math.sin(a), -36 * math.cos(a))], 3,
                    "#2f3542")
                q = [(50 * math.sin(a + t), -50 * math.cos(a + t)) for t in (-0.3, 0, 0.3)]
                p.poly([*q, (34 * math.sin(a + 0.16), -34 * math.cos(a + 0.16)), (34 * math.sin(a - 0.16),
                    -34 * math.cos(a - 0.16))], "#2f3542")
        p.poly([*ring(0, 0, 50, 50, -20, 120), (16, 12)], "#14204022")


def frisbee(cv: Canvas, x: float, y: float, w: float, colour: str = "#e5533d", *, turn: float = -12) -> None:
    with cv.pen(x, y, w / 100, turn=turn, category="frisbee") as p:
        p.oval(0, 3, 50, 17, dark(colour, 0.2))
        p.oval(0, 0, 50, 16, colour)
        p.oval(0, -2, 34, 9, light(colour, 0.25))


def surfboard(cv: Canvas, x: float, y: float, length: float, colour: str = "#f6c544",
        stripe: str = "#d6453d", *, turn: float = 0, slim: float = 0.13) -> None:
    """Upright when ``turn`` is 0; x, y is its middle."""
    with cv.pen(x, y, length / 100, turn=turn, category="surfboard") as p:
        w = slim * 100
        p.poly([(0, -50), (w * 0.7, -34), (w, 0), (w * 0.8, 32), (w * 0.3, 50), (-w * 0.3, 50),
            (-w * 0.8, 32), (-w, 0), (-w * 0.7, -34)], colour, curve=True)
        p.poly([(0, -50), (w * 0.7, -34), (w, 0), (w * 0.8, 32), (w * 0.3, 50), (w * 0.3, 0)], "#14204018",
            curve=True)
        p.line([(0, -47), (0, 48)], w * 0.24, stripe)
        p.line([(-w * 0.72, 14), (w * 0.72, 14)], w * 0.34, stripe)


def skateboard(cv: Canvas, x: float, y: float, w: float, colour: str = "#d6453d") -> None:
    cv.shadow(x, y, w * 0.5, w * 0.06, 0.4)
    with cv.pen(x, y, w / 100, category="skateboard") as p:
        p.disc(-26, -7, 7, "#f4efe6")
        p.disc(26, -7, 7, "#f4efe6")
        p.disc(-26, -7, 3, "#4b5161")
        p.disc(26, -7, 3, "#4b5161")
        p.line([(-48, -22), (-36, -15), (36, -15), (48, -22)], 6, colour)


def ski_pair(cv: Canvas, x: float, y: float, length: float, colour: str = "#e5533d", *, flip: bool = False,
        turn: float = 0) -> None:
    with cv.pen(x, y, length / 100, flip=flip, turn=turn, category="skis") as p:
        p.line([(-44, -5), (40, -5), (48, -8), (53, -14)], 3.6, dark(colour, 0.25))
        p.line([(-50, 0), (36, 0), (44, -3), (49, -9)], 4, colour)


def snowboard(cv: Canvas, x: float, y: float, length: float, colour: str = "#2f8f83", *,
        turn: float = 0) -> None:
    with cv.pen(x, y, length / 100, turn=turn, category="snowboard") as p:
        p.line([(-50, -7), (-40, -1), (40, -1), (50, -7)], 7, colour)
        p.line([(-20, -1), (-4, -1)], 3, light(colour, 0.6))
        p.line([(8, -1), (26, -1)], 3, "#f6c544")


def racket(cv: Canvas, x: float, y: float, length: float, *, turn: float = 0) -> None:
    """x, y is the end of the grip."""
    with cv.pen(x, y, length / 100, turn=turn, category="tennis racket") as p:
        p.line([(0, 0), (0, -34)], 6, "#3b404d")
        p.line([(0, -34), (-9, -52)], 3.6, "#d6453d")
        p.line([(0, -34), (9, -52)], 3.6, "#d6453d")
        p.oval(0, -74, 21, 27, "#f4f1e6")
        for k in range(-3, 4):
            p.line([(k * 5.4, -74 - 24 * math.sqrt(max(0.05, 1 - (k / 4) ** 2))), (k * 5.4,
                -74 + 24 * math.sqrt(max(0.05, 1 - (k / 4) ** 2)))], 0.8, "#9aa6b3")
        for k in range(-4, 5):
            p.line([(-20 * math.sqrt(max(0.05, 1 - (k / 5) ** 2)), -74 + k * 5.2),
                (20 * math.sqrt(max(0.05, 1 - (k / 5) ** 2)), -74 + k * 5.2)], 0.8, "#9aa6b3")
        p.line(ring(0, -74, 21, 27), 4.4, "#d6453d", loop=True)


def bat(cv: Canvas, x: float, y: float, length: float, *, turn: float = 0) -> None:
    """x, y is the knob."""
    with cv.pen(x, y, length / 100, turn=turn, category="baseball bat") as p:
        p.taper(0, -20, 2.4, 0, -94, 5.6, "#d9a868")
        p.line([(0, -2), (0, -24)], 5, "#4a3328")
        p.box(-4.4, -3, 4.4, 2, "#4a3328", 2)
