"""Animals, all looking right unless flipped. x, y is the ground under the middle; the size is in pixels."""

# fmt: off
# Rows of coordinates are kept as rows: a formatter would give every point a line of its own.

from __future__ import annotations

from .canvas import Canvas, Pen, dark, light, mix


def dog(cv: Canvas, x: float, y: float, w: float, colour: str = "#b9793f", *, flip: bool = False,
        pose: str = "stand", collar: str = "#d6453d", shadow: bool = True) -> None:
    """Poses: stand, walk, leap, sit, lie."""
    if shadow:
        cv.shadow(x, y, w * 0.45, w * 0.07, 0.45)
    deep = dark(colour, 0.22)
    with cv.pen(x, y, w / 100, flip=flip, category="dog") as p:
        if pose == "lie":
            p.poly([(-44, -6), (-52, -2), (-58, -4), (-50, -10)], deep, curve=True)
            p.poly([(-46, -8), (-40, -26), (-14, -27), (14, -24), (24, -10), (20, 0), (-40, 0)], colour,
                curve=True)
            p.oval(-28, -11, 15, 11, light(colour, 0.08))
            p.taper(8, -5, 5, 38, -3, 3.6, colour)
            p.taper(-28, -4, 4, -8, -3, 3.4, deep)
            _dog_head(p.at(26, -26), colour, collar)
            return
        if pose == "sit":
            p.taper(-28, -5, 4, -46, -9, 2, deep)
            p.poly([(-34, 0), (-34, -22), (-16, -42), (4, -58), (18, -50), (18, -20), (14, 0)], colour,
                curve=True)
            p.taper(4, -28, 6, 4, -3, 4, deep)
            p.taper(13, -34, 6.4, 15, -3, 4.2, colour)
            p.oval(-14, -13, 17, 13, light(colour, 0.07))
            p.taper(-8, -3, 3.6, 2, -3, 3.4, light(colour, 0.07))
            p.oval(19, -2.6, 5, 3, colour)
            p.poly([(12, -50), (21, -40), (19, -26), (12, -32)], light(colour, 0.5), curve=True)
            _dog_head(p.at(17, -66), colour, collar)
            return
        legs = {
            "stand": ((-26, -30), (-21, -18), (20, 22), (26, 29)),
            "walk": ((-26, -36), (-22, -12), (20, 12), (26, 36)),
            "leap": ((-28, -52), (-26, -46), (24, 46), (27, 52)),
        }[pose]
        up = 12 if pose == "leap" else 0
        body = p.at(0, -up, turn=-12 if pose == "leap" else 0)
        for k, (a, b) in enumerate(legs):
            far = k in (0, 3)
            tone = deep if far else colour
            knee = ((a + b) / 2 + (-4 if k < 2 else 2), -16)
            foot_y = -3 if pose != "leap" else (-6 if k < 2 else -14)
            body.taper(a, -28, 7 if k < 2 else 6, *knee, 4, tone)
            body.taper(*knee, 4, b, foot_y, 2.8, tone)
            body.oval(b + 2.4, foot_y + 0.6, 4.4, 2.6, tone)
        body.line([(-32, -42), (-42, -50), (-46, -60)], 5, deep, curve=True)
        body.poly([(-34, -30), (-35, -44), (-16, -47), (10, -47), (28, -50), (33, -36), (22, -24),
            (-8, -26), (-26, -24)], colour, curve=True)
        body.poly([(22, -26), (32, -38), (31, -46), (25, -34)], light(colour, 0.5), curve=True)
        body.poly([(-30, -30), (0, -30), (26, -28), (22, -24), (-8, -26), (-26, -24)], "#14204012",
            curve=True)
        body.taper(25, -42, 9, 32, -52, 7.5, colour)
        _dog_head(body.at(36, -60), colour, collar)


def _dog_head(p: Pen, colour: str, collar: str) -> None:
    p.line([(-11, 9), (-2, 13)], 4, collar)
    p.disc(-3, 15, 2.2, "#f3c64a")
    p.poly([(-12, -4), (-6, -12), (5, -11), (9, -5), (20, -2), (22, 4), (16, 8), (4, 8), (-6, 9)], colour,
        curve=True)
    p.poly([(8, 2), (20, -0.6), (22, 4), (16, 8), (8, 7)], light(colour, 0.42), curve=True)
    p.oval(21, -1, 3, 2.4, "#2b2226")
    p.line([(20, 3), (15, 5.4), (11, 5)], 0.9, "#2b222690", curve=True)
    p.disc(6, -4.4, 1.7, "#2b2226")
    p.poly([(-7, -10), (-1, -8), (-3, 4), (-8, 8), (-13, 2)], dark(colour, 0.34), curve=True)


def cat(cv: Canvas, x: float, y: float, w: float, colour: str = "#d98a3d", *, flip: bool = False,
        pose: str = "sit", eyes: str = "#3c7a4d", shadow: bool = True) -> None:
    """Poses: sit (looks at us), walk, sleep. w is about the body's length."""
    if shadow:
        cv.shadow(x, y, w * 0.42, w * 0.07, 0.4)
    deep = dark(colour, 0.2)
    pale = light(colour, 0.6)
    with cv.pen(x, y, w / 100, flip=flip, category="cat") as p:
        if pose == "sleep":
            p.poly([(-46, -4), (-48, -20), (-26, -34), (6, -33), (34, -22), (42, -6), (34, 0), (-40, 0)],
                colour, curve=True)
            for k in range(4):
                p.line([(-26 + k * 12, -32 + abs(k - 1) * 1.5), (-24 + k * 12, -22)], 3, deep, curve=True)
            p.line([(-44, -5), (-20, -3), (8, -2.4), (22, -5)], 6.5, deep, curve=True)
            head = p.at(30, -16)
            _cat_ears(head, colour)
            head.oval(0, 0, 17, 14, light(colour, 0.05))
            head.line([(-9, 0), (-6, 2), (-3, 0)], 1.3, "#2b2226", curve=True)
            head.line([(4, 0), (7, 2), (10, 0)], 1.3, "#2b2226", curve=True)
            head.poly([(-2, 4), (3, 4), (0.5, 6.4)], "#c9707a")
            p.oval(22, -2.5, 9, 3.6, pale)
            return
        if pose == "walk":
            for k, (a, b) in enumerate(((-26, -36), (-21, -14), (22, 12), (26, 36))):
                tone = deep if k in (0, 2) else colour
                p.taper(a, -24, 7, b, -3, 3.2, tone)
                p.oval(b + 2, -2.2, 4.6, 2.6, pale)
            p.line([(-32, -34), (-44, -42), (-48, -58), (-42, -68)], 5.4, colour, curve=True)
            p.poly([(-36, -22), (-36, -38), (-10, -40), (20, -40), (34, -36), (32, -20), (4, -18),
                (-26, -17)], colour, curve=True)
            for k in range(5):
                p.line([(-26 + k * 11, -39), (-25 + k * 11, -29)], 3, deep)
            _cat_head(p.at(38, -46, 0.9), colour, eyes)
            return
        p.line([(-16, -4), (-40, -5), (-46, -14), (-42, -22)], 7, deep, curve=True)
        p.poly([(-26, 0), (-30, -22), (-18, -46), (-8, -60), (10, -60), (20, -46), (30, -22), (26, 0)],
            colour, curve=True)
        p.oval(-17, -11, 12, 11, dark(colour, 0.06))
        p.oval(17, -11, 12, 11, dark(colour, 0.06))
        p.poly([(-8, -54), (8, -54), (10, -34), (0, -26), (-10, -34)], pale, curve=True)
        p.taper(-7, -30, 5.6, -7, -4, 4.4, light(colour, 0.06))
        p.taper(7, -30, 5.6, 7, -4, 4.4, light(colour, 0.06))
        for sx in (-7, 7):
            p.oval(sx, -2.6, 6, 3.4, pale)
        for k in range(3):
            p.line([(-23 + k, -22 - k * 10), (-13, -24 - k * 10)], 2.6, deep)
            p.line([(23 - k, -22 - k * 10), (13, -24 - k * 10)], 2.6, deep)
        _cat_head(p.at(0, -72), colour, eyes)


def _cat_ears(p: Pen, colour: str) -> None:
    for s in (-1, 1):
        p.poly([(s * 15.5, -4), (s * 15, -22), (s * 3, -12)], colour)
        p.poly([(s * 12.6, -8), (s * 13, -18), (s * 6, -12)], "#e9a79b")


def _cat_head(p: Pen, colour: str, eyes: str) -> None:
    _cat_ears(p, colour)
    p.oval(0, 0, 18, 15, colour)
    deep = dark(colour, 0.2)
    for k in (-1, 0, 1):
        p.line([(k * 4.6, -14), (k * 3.6, -8)], 2, deep)
    p.oval(0, 6, 9, 6.4, light(colour, 0.6))
    for s in (-1, 1):
        p.oval(s * 7, -1.4, 3.4, 3.6, "#fdf6e3")
        p.oval(s * 7, -1.4, 2.6, 3.2, eyes)
        p.oval(s * 7, -1.4, 1.1, 2.8, "#20181c")
        for k in (0, 1):
            p.line([(s * 8, 5 + k * 2.4), (s * 20, 3 + k * 4.6)], 0.6, "#fffaf0")
    p.poly([(-2.4, 2.4), (2.4, 2.4), (0, 5)], "#c9707a")
    p.line([(-3.4, 6.6), (0, 8.2), (3.4, 6.6)], 0.8, "#5b4038", curve=True)


def _hoofed(p: Pen, colour: str, hoof: str, pairs: tuple[tuple[float, float], ...], top: float,
        width: float) -> None:
    for k, (a, b) in enumerate(pairs):
        tone = dark(colour, 0.2) if k % 2 == 0 else colour
        knee = ((a + b) / 2, top * 0.5)
        p.taper(a, top, width * 1.5, *knee, width * 0.86, tone)
        p.taper(*knee, width * 0.8, b, -4, width * 0.66, tone)
        p.box(b - width * 0.85, -5, b + width * 0.95, 0, hoof, 1)


def horse(cv: Canvas, x: float, y: float, w: float, colour: str = "#8a5332", mane: str = "#3c2418", *,
        flip: bool = False, graze: bool = False, pace: bool = False, saddle: str = "") -> None:
    """w is nose to tail. The saddle is at about x, y - 0.62 w."""
    cv.shadow(x, y, w * 0.42, w * 0.05, 0.5)
    with cv.pen(x, y, w / 100, flip=flip, category="horse") as p:
        pairs = ((-30, -36), (-26, -16), (16, 12), (20, 36)) if pace else ((-31, -33), (-25, -24), (15, 14),
            (21, 21))
        p.poly([(-34, -56), (-42, -48), (-45, -28), (-41, -18), (-37, -30), (-34, -46)], mane, curve=True)
        _hoofed(p, colour, "#2f2628", pairs, -36, 4.4)
        p.poly([(-36, -44), (-33, -58), (-14, -58), (6, -56), (22, -61), (29, -48), (22, -33), (0, -30),
            (-20, -31), (-32, -33)], colour, curve=True)
        p.poly([(-32, -38), (0, -36), (24, -40), (20, -32), (0, -30), (-26, -31)], "#14204012", curve=True)
        if graze:
            p.poly([(14, -58), (27, -58), (40, -34), (42, -16), (34, -16), (22, -36)], colour, curve=True)
            head = p.at(41, -15, turn=64)
            p.line([(20, -60), (34, -48), (42, -28)], 4.5, mane, curve=True)
        else:
            p.poly([(10, -56), (20, -72), (30, -84), (38, -78), (34, -62), (29, -46)], colour, curve=True)
            p.poly([(8, -58), (16, -74), (27, -88), (33, -86), (23, -68), (14, -54)], mane, curve=True)
            head = p.at(35, -80, turn=16)
        head.poly([(-6, -5), (-2, -12), (1, -5)], dark(colour, 0.1))
        head.poly([(-7, -5), (4, -7), (16, -2), (19, 4), (15, 8), (4, 6), (-6, 6)], colour, curve=True)
        head.poly([(12, -2.6), (18, 0.4), (19, 5), (14, 8), (11.6, 5)], light(colour, 0.3), curve=True)
        head.disc(3, -2, 1.2, "#20181c")
        head.disc(16.4, 2, 0.8, "#20181c")
        if saddle:
            p.poly([(-12, -57), (8, -55), (10, -42), (-8, -41)], saddle, curve=True)
            p.poly([(-9, -58), (6, -57), (6, -51), (-7, -51)], dark(saddle, 0.4), curve=True)
            head.line([(7, -6), (8, 6)], 1, dark(saddle, 0.5))
            p.line([(44, -74), (28, -64), (12, -60)], 0.9, dark(saddle, 0.5), curve=True)


def cow(cv: Canvas, x: float, y: float, w: float, colour: str = "#faf5ea", patch: str = "#33303a", *,
        flip: bool = False, graze: bool = False) -> None:
    cv.shadow(x, y, w * 0.44, w * 0.05, 0.5)
    with cv.pen(x, y, w / 100, flip=flip, category="cow") as p:
        p.line([(-37, -52), (-43, -40), (-42, -24)], 2.4, dark(colour, 0.15), curve=True)
        p.taper(-42, -24, 2.4, -42, -18, 1.4, patch)
        _hoofed(p, colour, "#4a3d3a", ((-32, -32), (-25, -25), (14, 14), (21, 21)), -28, 4.6)
        p.oval(-16, -24, 7, 4, "#efb3a7")
        p.poly([(-39, -40), (-37, -55), (-10, -56), (20, -56), (29, -46), (26, -28), (4, -24), (-30, -26)],
            colour, curve=True)
        p.poly([(-34, -34), (0, -31), (26, -36), (25, -28), (4, -24), (-30, -26)], "#14204012", curve=True)
        p.poly([(-30, -55), (-14, -56), (-10, -44), (-20, -36), (-32, -42)], patch, curve=True)
        p.poly([(4, -56), (18, -56), (16, -44), (8, -38), (0, -46)], patch, curve=True)
        p.poly([(-4, -30), (6, -34), (10, -27), (2, -25)], patch, curve=True)
        if graze:
            p.poly([(20, -54), (30, -50), (40, -26), (32, -18), (22, -34)], colour, curve=True)
            head = p.at(37, -17, turn=58)
        else:
            p.poly([(18, -55), (30, -58), (36, -50), (30, -36), (22, -34)], colour, curve=True)
            head = p.at(36, -56, turn=12)
        head.poly([(-7, -6), (-5, -14), (-1, -7)], "#e4d3a8")
        head.poly([(-8, -4), (-17, -6), (-15, 1), (-7, 1)], patch, curve=True)
        head.poly([(-8, -6), (3, -7), (13, -3), (16, 4), (11, 9), (0, 7), (-8, 5)], colour, curve=True)
        head.poly([(-7, -6), (2, -7), (2, 1), (-6, 1)], patch, curve=True)
        head.poly([(9, -4), (15, -1), (16, 5), (11, 9), (7, 6)], "#efb3a7", curve=True)
        head.disc(13.4, 1, 1, "#8a4f4a")
        head.disc(5, -2.4, 1.2, "#20181c")


def sheep(cv: Canvas, x: float, y: float, w: float, wool: str = "#f7f1e3", face: str = "#3a3438", *,
        flip: bool = False, graze: bool = False) -> None:
    cv.shadow(x, y, w * 0.4, w * 0.06, 0.45)
    with cv.pen(x, y, w / 100, flip=flip, category="sheep") as p:
        for k, lx in enumerate((-24, -17, 12, 19)):
            p.box(lx - 2.8, -28, lx + 2.8, 0, light(face, 0.1) if k % 2 else face, 1.5)
        shade = dark(wool, 0.14)
        ring_ = ((-34, -40), (-28, -54), (-14, -60), (2, -61), (17, -57), (27, -46), (25, -33), (12, -26),
            (-4, -24), (-20, -26), (-32, -31))
        for cx, cy in ring_:
            p.disc(cx, cy, 11.5, wool if cy < -34 else shade)
        p.poly([(-36, -42), (-20, -60), (14, -58), (28, -44), (16, -26), (-22, -27)], wool, curve=True)
        for cx, cy in ((-20, -46), (-4, -50), (10, -44), (-12, -36), (4, -36)):
            p.line([(cx - 5, cy), (cx, cy + 3.6), (cx + 5, cy)], 1.4, shade, curve=True)
        head = p.at(36, -26 if graze else -52, turn=50 if graze else 14)
        head.poly([(-6, -3), (-16, -3), (-14, 4), (-6, 3)], dark(face, 0.2), curve=True)
        head.poly([(-8, -8), (4, -8), (14, -2), (16, 4), (10, 8), (-6, 8)], face, curve=True)
        for cx, cy in ((-9, -7), (-3, -10), (-10, 1)):
            head.disc(cx, cy, 5.4, wool)
        head.disc(4, -2.4, 2, "#fdf8ec")
        head.disc(4.6, -2.4, 1, "#20181c")


def bird(cv: Canvas, x: float, y: float, w: float, colour: str = "#8793a6", *, flip: bool = False,
        pose: str = "stand", beak: str = "#e2993b", shadow: bool = True) -> None:
    """Poses: stand (pigeon), gull (flying, wings up)."""
    if pose == "gull":
        with cv.pen(x, y, w / 100, flip=flip, category="bird") as p:
            p.poly([(-2, -2), (-16, -22), (-46, -26), (-30, -14), (-12, 3)], dark(colour, 0.12), curve=True)
            p.poly([(-40, -25), (-46, -26), (-30, -14), (-26, -18)], "#3a3f4c")
            p.poly([(4, -3), (14, -30), (40, -44), (32, -26), (12, 2)], light(colour, 0.1), curve=True)
            p.poly([(34, -42), (40, -44), (34, -30), (29, -32)], "#3a3f4c")
            p.poly([(-26, 6), (-12, -3), (10, -5), (22, -3), (24, 2), (8, 7), (-8, 7)], "#fbf8f1", curve=True)
            p.poly([(23, -1), (31, 1.6), (23, 3)], beak)
            p.disc(19, -1, 1.2, "#20181c")
        return
    if shadow:
        cv.shadow(x, y, w * 0.4, w * 0.08, 0.4)
    with cv.pen(x, y, w / 100, flip=flip, category="bird") as p:
        for lx in (-4, 6):
            p.line([(lx, -18), (lx + 1, -2), (lx + 7, -1.4)], 2.6, "#d3776a")
        p.poly([(-52, -22), (-22, -42), (-12, -26), (-30, -17)], dark(colour, 0.3), curve=True)
        p.poly([(-34, -28), (-14, -48), (12, -54), (24, -46), (22, -26), (6, -15), (-18, -16)], colour,
            curve=True)
        p.poly([(10, -44), (16, -62), (28, -72), (36, -64), (31, -48), (24, -36)], dark(colour, 0.12),
            curve=True)
        p.poly([(13, -50), (30, -52), (24, -38), (12, -40)], mix(colour, "#4d9a86", 0.55), curve=True)
        p.poly([(-32, -30), (-10, -44), (8, -42), (4, -28), (-14, -22)], light(colour, 0.25), curve=True)
        p.line([(-24, -27), (-8, -30), (2, -36)], 2.6, dark(colour, 0.35), curve=True)
        p.poly([(35, -66), (46, -62), (35, -60)], beak)
        p.disc(30, -66, 2.4, "#e8703d")
        p.disc(30, -66, 1.2, "#20181c")


def elephant(cv: Canvas, x: float, y: float, w: float, colour: str = "#8d97a6", *,
        flip: bool = False) -> None:
    cv.shadow(x, y, w * 0.45, w * 0.05, 0.5)
    with cv.pen(x, y, w / 100, flip=flip, category="elephant") as p:
        deep = dark(colour, 0.18)
        p.line([(-41, -50), (-46, -38), (-45, -26)], 2.2, deep, curve=True)
        for k, lx in enumerate((-34, -22, 10, 20)):
            tone = deep if k in (1, 2) else colour
            p.poly([(lx - 7, -34), (lx + 7, -34), (lx + 6, 0), (lx - 6, 0)], tone)
            for m in (-1, 0, 1):
                p.oval(lx + m * 3.6, -1, 1.7, 1.6, "#e9e3d6")
        p.poly([(-43, -40), (-38, -62), (-14, -70), (12, -67), (26, -58), (26, -32), (8, -24), (-24, -25),
            (-40, -28)], colour, curve=True)
        p.poly([(-38, -36), (-8, -32), (24, -36), (20, -27), (-20, -25), (-38, -28)], "#14204012", curve=True)
        p.line([(39, -46), (44, -32), (42, -16), (46, -8), (50, -10)], 7.4, colour, curve=True)
        p.poly([(14, -58), (22, -72), (36, -72), (44, -60), (43, -44), (32, -38), (18, -42)], colour,
            curve=True)
        p.poly([(36, -43), (40, -42), (48, -30), (42, -34)], "#faf4e4", curve=True)
        p.poly([(8, -62), (20, -70), (26, -58), (24, -42), (14, -36), (6, -46)], deep, curve=True)
        p.poly([(11, -59), (19, -65), (22, -56), (20, -45), (14, -41), (9, -48)], mix(colour, "#d8a79a",
            0.3), curve=True)
        p.disc(33, -59, 1.5, "#20181c")


def giraffe(cv: Canvas, x: float, y: float, h: float, *, flip: bool = False) -> None:
    cv.shadow(x, y, h * 0.2, h * 0.03, 0.5)
    sand, spot = "#eebf63", "#a8622e"
    with cv.pen(x, y, h / 100, flip=flip, category="giraffe") as p:
        p.line([(-19, -48), (-23, -38), (-22, -28)], 1.2, sand, curve=True)
        p.taper(-22, -28, 1.3, -22, -25, 0.7, "#4a2f22")
        for k, (a, b) in enumerate(((-16, -17), (-12, -11), (4, 3), (8, 9))):
            tone = dark(sand, 0.16) if k in (1, 2) else sand
            p.taper(a, -38, 3.2, b, -18, 1.7, tone)
            p.taper(b, -18, 1.7, b, -2, 1.3, tone)
            p.box(b - 1.7, -2.4, b + 1.9, 0, "#4a2f22", 0.5)
        p.poly([(-20, -40), (-18, -48), (-4, -51), (8, -56), (13, -48), (10, -36), (-4, -34), (-16, -35)],
            sand, curve=True)
        p.poly([(4, -50), (12, -74), (16, -92), (21, -92), (20, -72), (13, -46)], sand, curve=True)
        p.line([(5, -56), (11, -74), (15.4, -92)], 1.6, spot, curve=True)
        for cx, cy, r in ((-14, -44, 2.6), (-9, -47, 2.3), (-9, -40, 2.8), (-3, -45, 3), (-3, -38.6, 2.2),
                (3, -49, 2.5), (4, -42, 2.8), (8.6, -50, 2.4), (9.6, -57, 2.2), (13, -63, 1.9), (13, -69.6,
                1.9), (16.4, -74, 1.7), (15.6, -80.4, 1.6), (18.4, -85, 1.4)):
            p.poly([(cx - r, cy - r * 0.3), (cx, cy - r), (cx + r, cy - r * 0.2),
                (cx + r * 0.6, cy + r * 0.9), (cx - r * 0.7, cy + r * 0.7)], spot)
        head = p.at(19, -93, turn=18)
        head.line([(-1, -3), (-1.6, -8)], 1, spot)
        head.line([(1.4, -3), (1.8, -8)], 1, spot)
        head.poly([(-3, -2), (-7, -4), (-4, 0.4)], sand)
        head.poly([(-3.4, -3), (2, -3.8), (9, 0), (9.6, 2.6), (6, 4), (-2, 3.4)], sand, curve=True)
        head.poly([(6, -1.2), (9.4, 0.6), (9.4, 3), (6, 4)], light(sand, 0.5), curve=True)
        head.disc(1.6, -1.2, 0.8, "#20181c")


def zebra(cv: Canvas, x: float, y: float, w: float, *, flip: bool = False, graze: bool = False) -> None:
    cv.shadow(x, y, w * 0.42, w * 0.05, 0.5)
    white, black = "#f8f4ea", "#2f2c36"
    with cv.pen(x, y, w / 100, flip=flip, category="zebra") as p:
        p.line([(-36, -54), (-42, -44), (-42, -30)], 2, white, curve=True)
        p.taper(-42, -30, 2, -42, -24, 1, black)
        pairs = ((-31, -33), (-25, -24), (15, 14), (21, 21))
        _hoofed(p, white, black, pairs, -36, 4.2)
        for _, b in pairs:
            for k in range(4):
                p.line([(b - 3, -9 - k * 6), (b + 3.4, -9.8 - k * 6)], 1.7, black)
        p.poly([(-36, -44), (-33, -58), (-14, -57), (6, -56), (22, -60), (28, -48), (22, -33), (0, -30),
            (-20, -31), (-32, -33)], white, curve=True)
        for k in range(8):
            sx = -29 + k * 6.7
            p.poly([(sx - 1.8, -57), (sx + 1.8, -57), (sx + 2.2, -40), (sx + 0.2, -33), (sx - 1, -42)], black)
        if graze:
            p.poly([(14, -58), (27, -56), (38, -34), (41, -18), (33, -16), (22, -36)], white, curve=True)
            head = p.at(40, -15, turn=64)
            for k in range(4):
                p.line([(24 + k * 4, -54 + k * 9), (21 + k * 4, -46 + k * 9)], 2.2, black)
            p.line([(20, -60), (33, -48), (41, -28)], 3.4, black, curve=True)
        else:
            p.poly([(10, -55), (20, -72), (29, -82), (36, -76), (33, -62), (28, -46)], white, curve=True)
            p.poly([(10, -58), (17, -74), (26, -86), (30, -84), (22, -70), (14, -56)], black, curve=True)
            head = p.at(34, -78, turn=18)
            for k in range(4):
                p.line([(18 + k * 4, -60 - k * 5), (27 + k * 2.4, -53 - k * 6.4)], 2, black)
        head.poly([(-6, -5), (-3, -12), (1, -5)], white)
        head.poly([(-7, -5), (4, -6.6), (15, -2), (17, 4), (13, 7), (4, 6), (-6, 6)], white, curve=True)
        head.poly([(11, -3), (16, 0), (17, 4), (13, 7), (10, 4)], black, curve=True)
        for k in range(3):
            head.line([(-3 + k * 4.4, -6), (-3.4 + k * 4.4, 1.6 - k)], 1.3, black)
        head.disc(3, -1.6, 1.2, "#20181c")


def bear(cv: Canvas, x: float, y: float, w: float, colour: str = "#7a5034", *, flip: bool = False) -> None:
    cv.shadow(x, y, w * 0.45, w * 0.06, 0.5)
    with cv.pen(x, y, w / 100, flip=flip, category="bear") as p:
        deep = dark(colour, 0.2)
        for k, (a, b) in enumerate(((-26, -22), (-33, -37), (22, 14), (27, 33))):
            tone = deep if k % 2 == 0 else colour
            p.taper(a, -28, 10, b, -5, 6.4, tone)
            p.oval(b + 3, -3, 8, 3.6, tone)
        p.disc(-43, -42, 4, deep)
        p.poly([(-43, -36), (-40, -54), (-18, -62), (6, -60), (22, -64), (36, -52), (34, -32), (14, -22),
            (-14, -22), (-36, -24)], colour, curve=True)
        p.poly([(-38, -32), (-8, -30), (30, -34), (16, -23), (-14, -22), (-36, -24)], "#14204012", curve=True)
        p.disc(30, -66, 5, deep)
        p.poly([(22, -56), (28, -67), (40, -66), (46, -57), (55, -52), (55, -45), (44, -41), (28, -42)],
            colour, curve=True)
        p.poly([(44, -56), (55, -52), (55, -45), (46, -42), (42, -48)], light(colour, 0.35), curve=True)
        p.oval(54.6, -51, 3, 2.2, "#241b1c")
        p.disc(41, -57, 1.6, "#20181c")
        p.disc(38, -67, 5, colour)
        p.disc(38, -66.6, 2.6, deep)
