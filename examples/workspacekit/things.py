"""Things on a robot's table, seen by a camera that looks down at an angle.

Each is drawn in units of one pixel at the middle of the table, with its origin where it stands.
"""

# fmt: off
# Rows of coordinates are kept as rows: a formatter would give every point a line of its own.

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scenekit.canvas import Canvas, Pen, dark, light

COLOURS = {
    "red": "#c9403a", "green": "#3f9a58", "blue": "#356fc2", "yellow": "#efc53a", "white": "#f1f0ea",
    "black": "#33363f", "gray": "#9aa3ad", "orange": "#e8893a", "purple": "#8257a8", "brown": "#b98a58",
}
STEEL, STEEL_DARK = "#bfc7cf", "#7f8a95"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a thing stands and how: turned by so many degrees, in a color."""

    cv: Canvas
    x: float
    y: float
    colour: str = ""
    turn: float = 0

    @property
    def scale(self) -> float:
        # What is nearer to the camera is lower in the picture, and larger.
        return 0.82 + 0.4 * (self.y - 100) / 380

    def hue(self, default: str) -> str:
        return COLOURS[self.colour or default]

    @contextmanager
    def pen(self, category: str, *, crowd: bool = False) -> Iterator[Pen]:
        with self.cv.pen(self.x, self.y, self.scale, turn=self.turn, category=category, crowd=crowd) as pen:
            yield pen

    def shade(self, wide: float, deep: float = 10, strength: float = 0.38) -> None:
        if 45 < abs(self.turn) < 135:
            wide, deep = deep, wide
        self.cv.shadow(self.x + 4, self.y - 2, wide * self.scale, deep * self.scale, strength)


def cube(p: Pen, x: float, y: float, side: float, hue: str) -> None:
    """A cube that stands at x, y, of which front, top and right side show."""
    half, deep = side / 2, side * 0.42
    p.poly([(x + half, y), (x + half + deep * 0.5, y - deep), (x + half + deep * 0.5, y - side - deep),
        (x + half, y - side)], dark(hue, 0.3))
    p.poly([(x - half, y - side), (x + half, y - side), (x + half + deep * 0.5, y - side - deep),
        (x - half + deep * 0.5, y - side - deep)], light(hue, 0.3))
    p.box(x - half, y - side, x + half, y, hue, 1.5, to=dark(hue, 0.12))


def block(s: Spot) -> None:
    s.shade(34)
    with s.pen("block") as p:
        cube(p, 0, 0, 42, s.hue("red"))


def blocks(s: Spot) -> None:
    """A heap that nobody would count."""
    s.shade(110, 18)
    hues = [COLOURS[name] for name in ("red", "blue", "green", "yellow")]
    with s.pen("block", crowd=True) as p:
        for row, (many, y) in enumerate(((5, 0), (4, -20), (6, 10), (3, -40), (5, 22))):
            for k in range(many):
                cube(p, (k - (many - 1) / 2) * 33 + (row % 2) * 9, y + (k * 7 + row * 5) % 8, 27,
                    hues[(k * 3 + row) % 4])


def mug(s: Spot) -> None:
    s.shade(34)
    hue = s.hue("white")
    with s.pen("mug") as p:
        p.line([(22, -44), (38, -40), (37, -18), (20, -12)], 7, dark(hue, 0.12), curve=True)
        p.poly([(-24, -52), (24, -52), (22, -8), (14, 2), (-14, 2), (-22, -8)], hue, to=dark(hue, 0.16))
        p.oval(0, -52, 24, 8.5, light(hue, 0.45))
        p.oval(0, -51, 19, 6, "#5d3d2a")


def bottle(s: Spot) -> None:
    s.shade(26)
    hue = s.hue("green")
    with s.pen("bottle") as p:
        p.poly([(-7, -108), (7, -108), (8, -84), (19, -66), (19, -4), (13, 3), (-13, 3), (-19, -4),
            (-19, -66), (-8, -84)], hue, to=dark(hue, 0.22))
        p.box(-8.5, -118, 8.5, -104, "#e7e3d6", 2)
        p.box(-19, -50, 19, -20, "#f2efe4")
        p.box(-13, -64, -8, -6, "#ffffff48", 2)


def bowl(s: Spot) -> None:
    s.shade(46, 14)
    hue = s.hue("blue")
    with s.pen("bowl") as p:
        p.poly([(-52, -32), (52, -32), (36, -6), (20, 3), (-20, 3), (-36, -6)], hue, to=dark(hue, 0.2),
            curve=False)
        p.oval(0, -34, 52, 19, light(hue, 0.3))
        p.oval(0, -32, 44, 14, dark(hue, 0.28))


def tin(s: Spot) -> None:
    s.shade(26)
    hue = s.hue("red")
    with s.pen("tin") as p:
        p.poly([(-20, -58), (20, -58), (20, -2), (12, 4), (-12, 4), (-20, -2)], hue, to=dark(hue, 0.18))
        p.oval(0, -58, 20, 7.5, "#d7dce1")
        p.oval(0, -58, 15, 5, "#a4adb6")
        p.box(-20, -38, 20, -22, "#f4efe2")


def box(s: Spot) -> None:
    s.shade(76, 14)
    hue = s.hue("brown")
    with s.pen("box") as p:
        p.poly([(58, 0), (80, -26), (80, -92), (58, -66)], dark(hue, 0.28))
        p.poly([(-58, -66), (58, -66), (80, -92), (-36, -92)], light(hue, 0.28))
        p.box(-58, -66, 58, 0, hue, to=dark(hue, 0.1))
        p.poly([(-6, -66), (8, -66), (30, -92), (16, -92)], "#e4d9b8")
        p.box(-6, -66, 8, -44, "#e4d9b8")


def tray(s: Spot) -> None:
    s.shade(112, 22, 0.3)
    hue = s.hue("gray")
    with s.pen("tray") as p:
        p.poly([(-118, 8), (118, 8), (100, -78), (-100, -78)], hue)
        p.poly([(-118, 8), (118, 8), (118, 17), (-118, 17)], dark(hue, 0.25))
        p.poly([(-104, 0), (104, 0), (90, -70), (-90, -70)], light(hue, 0.3), to=light(hue, 0.12))


def bin(s: Spot) -> None:
    s.shade(74, 16)
    hue = s.hue("blue")
    with s.pen("bin") as p:
        p.poly([(-70, -78), (70, -78), (58, 0), (-58, 0)], hue, to=dark(hue, 0.18))
        p.poly([(-70, -78), (70, -78), (58, -122), (-58, -122)], light(hue, 0.22))
        p.poly([(-60, -83), (60, -83), (50, -115), (-50, -115)], dark(hue, 0.55))
        p.box(-22, -52, 22, -38, light(hue, 0.3), 5)


def sponge(s: Spot) -> None:
    s.shade(40)
    with s.pen("sponge") as p:
        p.poly([(-34, -14), (34, -14), (42, -30), (-26, -30)], "#5a9d57")
        p.poly([(34, 4), (42, -12), (42, -30), (34, -14)], "#d2a52f")
        p.box(-34, -14, 34, 4, "#f0cb4e", 2)
        for k in range(9):
            p.disc(-28 + k * 7, -8 + (k * 5) % 9, 1.7, "#c9982b")


def screwdriver(s: Spot) -> None:
    s.shade(58, 7, 0.3)
    hue = s.hue("red")
    with s.pen("screwdriver") as p:
        p.box(4, -3.5, 66, 3.5, STEEL, 1, to=STEEL_DARK)
        p.poly([(64, -4), (76, -5), (76, 5), (64, 4)], STEEL_DARK)
        p.box(-62, -12, 8, 12, hue, 9, to=dark(hue, 0.25))
        p.box(-52, -5, -6, -2, "#ffffff58", 1)


def wrench(s: Spot) -> None:
    s.shade(58, 7, 0.3)
    with s.pen("wrench") as p:
        p.box(-50, -7, 50, 7, STEEL_DARK, 3, to="#6a747e")
        p.poly([(44, -10), (60, -21), (82, -17), (70, -6), (70, 6), (82, 17), (60, 21), (44, 10)], STEEL_DARK)
        p.disc(-56, 0, 16, STEEL_DARK)
        p.disc(-56, 0, 7, "#4a525a")


def hammer(s: Spot) -> None:
    s.shade(60, 8, 0.3)
    with s.pen("hammer") as p:
        p.box(-76, -6, 50, 6, "#b0763f", 4, to="#8d5b2c")
        p.box(38, -30, 62, 26, "#5a626c", 4, to="#434a53")
        p.poly([(40, -28), (60, -28), (54, -48), (46, -48)], "#6d7680")


def scissors(s: Spot) -> None:
    s.shade(50, 8, 0.3)
    hue = s.hue("orange")
    with s.pen("scissors") as p:
        p.poly([(-8, -4), (62, -17), (64, -13), (-4, 8)], STEEL)
        p.poly([(-8, 4), (62, 17), (64, 13), (-4, -8)], STEEL_DARK)
        p.line([(-8, 4), (-24, 8), (-46, 8), (-54, 19), (-44, 29), (-28, 24), (-20, 10)], 7, hue, curve=True)
        p.line([(-8, -4), (-24, -8), (-46, -8), (-54, -19), (-44, -29), (-28, -24), (-20, -10)], 7,
            dark(hue, 0.12), curve=True)
        p.disc(0, 0, 4, "#5a626c")


def pliers(s: Spot) -> None:
    s.shade(50, 8, 0.3)
    hue = s.hue("blue")
    with s.pen("pliers") as p:
        p.poly([(6, -10), (30, -12), (60, -3), (60, 0), (10, 2)], STEEL_DARK)
        p.poly([(6, 10), (30, 12), (60, 3), (60, 0), (10, -2)], "#6a747e")
        p.line([(8, 4), (-14, 14), (-40, 20), (-66, 16)], 11, hue, curve=True)
        p.line([(8, -4), (-14, -14), (-40, -20), (-66, -16)], 11, dark(hue, 0.15), curve=True)
        p.disc(9, 0, 9, "#59626c")


def knife(s: Spot) -> None:
    s.shade(58, 6, 0.3)
    with s.pen("knife") as p:
        p.poly([(-8, -9), (60, -9), (80, 4), (66, 9), (-8, 9)], "#d5dbe1", to="#aab4bd")
        p.poly([(-8, 6), (70, 6), (66, 9), (-8, 9)], "#f2f5f7")
        p.box(-66, -8, -6, 10, "#3b3f49", 5, to="#25282f")
        p.disc(-50, 1, 2.4, "#9aa3ad")
        p.disc(-24, 1, 2.4, "#9aa3ad")


def tape(s: Spot) -> None:
    s.shade(38, 12)
    with s.pen("tape roll") as p:
        p.poly([(-36, -14), (36, -14), (36, -2), (-36, -2)], "#c9a968")
        p.oval(0, -2, 36, 17, "#b99753")
        p.oval(0, -14, 36, 17, "#e0c48a")
        p.oval(0, -14, 23, 10.5, "#8d6b3d")
        p.oval(0, -10, 20, 7, "#d9cdb4")


def battery(s: Spot) -> None:
    s.shade(30, 6, 0.3)
    with s.pen("battery") as p:
        p.box(26, -5, 33, 5, STEEL, 1)
        p.box(-28, -11, 27, 11, "#2f333b", 3, to="#1f2228")
        p.box(6, -11, 27, 11, "#d9953c", 3, to="#b97728")


def batteries(s: Spot) -> None:
    s.shade(70, 14)
    with s.pen("battery", crowd=True) as p:
        for k in range(16):
            q = p.at(-54 + (k % 6) * 21 + (k // 6) * 6, -26 + (k // 6) * 17, turn=(k * 53) % 180)
            q.box(17, -3.5, 22, 3.5, STEEL, 1)
            q.box(-18, -7.5, 18, 7.5, "#2f333b", 2)
            q.box(4, -7.5, 18, 7.5, "#d9953c", 2)


def cable(s: Spot) -> None:
    s.shade(56, 12, 0.25)
    hue = s.hue("black")
    with s.pen("cable") as p:
        p.line([(-78, 12), (-40, -16), (2, -20), (34, -4), (22, 14), (-14, 14), (-26, -4), (2, -18),
            (40, -22), (76, -8)], 6, hue, curve=True)


def plug(s: Spot) -> None:
    s.shade(26, 8, 0.3)
    hue = s.hue("white")
    with s.pen("plug") as p:
        p.line([(-60, 8), (-44, -4), (-30, 4), (-16, 0)], 6, dark(hue, 0.15), curve=True)
        p.box(16, -9, 32, -5, STEEL_DARK, 1)
        p.box(16, 5, 32, 9, STEEL_DARK, 1)
        p.box(-18, -15, 18, 15, hue, 6, to=dark(hue, 0.16))


def board(s: Spot) -> None:
    s.shade(64, 12, 0.3)
    with s.pen("circuit board") as p:
        p.poly([(-64, 22), (64, 22), (64, 27), (-64, 27)], "#1f5a35")
        p.poly([(-64, 22), (64, 22), (54, -42), (-54, -42)], "#2f8a4e")
        p.box(-18, -22, 16, 4, "#2a2d33", 2)
        p.box(28, -32, 44, -20, "#2a2d33", 1)
        p.box(-46, 2, -30, 12, "#c9ced4", 1)
        p.line([(-44, -30), (-20, -30), (-20, -20)], 2, "#d7b852")
        p.line([(16, -8), (40, -8), (40, 12)], 2, "#d7b852")
        for k in range(6):
            p.disc(-40 + k * 16, 16, 2.6, "#d7b852")


def iron(s: Spot) -> None:
    s.shade(60, 8, 0.3)
    with s.pen("soldering iron") as p:
        p.line([(-66, 0), (-84, 10), (-96, -4)], 5, "#2b2e35", curve=True)
        p.box(-68, -10, 6, 10, "#3568b0", 8, to="#27508a")
        p.box(4, -6, 34, 6, STEEL, 2)
        p.poly([(34, -4), (62, -1.2), (62, 1.2), (34, 4)], "#b06a3a")


def apple(s: Spot) -> None:
    s.shade(24)
    hue = s.hue("red")
    with s.pen("apple") as p:
        p.poly([(0, -38), (12, -42), (24, -32), (22, -14), (10, 2), (0, -1), (-10, 2), (-22, -14), (-24, -32),
            (-12, -42)], hue, curve=True, to=dark(hue, 0.2))
        p.line([(0, -38), (4, -50)], 3.5, "#6b4630")
        p.oval(-10, -28, 5, 7, "#ffffff50")


def banana(s: Spot) -> None:
    s.shade(40, 8)
    with s.pen("banana") as p:
        p.poly([(-48, -22), (-30, -6), (0, 0), (32, -8), (48, -26), (52, -22), (40, 2), (6, 16), (-32, 8),
            (-54, -16)], "#f0cf45", curve=True, to="#d9ae2c")
        p.disc(50, -25, 4, "#6b5226")


def hand(s: Spot) -> None:
    """A hand that reaches into the picture, its wrist far behind its fingertips; the origin is the palm."""
    s.shade(46, 22, 0.3)
    skin, sleeve = {"": "#d9a27c", "dark": "#7d4f37", "pale": "#efc4a4"}.get(s.colour, "#d9a27c"), "#4a6a94"
    with s.pen("hand") as p:
        p.poly([(-26, 118), (26, 118), (23, 64), (-23, 64)], sleeve)
        p.poly([(-20, 68), (20, 68), (22, 20), (-22, 20)], skin)
        p.poly([(-28, 30), (28, 30), (30, -14), (-30, -14)], skin)
        for k, tall in enumerate((-48, -62, -60, -44)):
            p.taper(-22 + k * 15, -6, 8.5, -25 + k * 17, tall, 6.5, skin)
        p.taper(-24, 22, 10, -50, -4, 7, dark(skin, 0.06))
        for k in range(3):
            p.line([(-14 + k * 15, -10), (-14 + k * 15, 2)], 1.6, dark(skin, 0.3))


def arm(s: Spot, base: tuple[float, float], state: str, held: Callable[[], None] | None) -> None:
    """A robot arm on its base whose gripper's fingertips are at the spot, with what it holds."""
    cv, (bx, by) = s.cv, base
    wrist = (s.x, s.y - 74 * s.scale)
    # The elbow stands higher than the wrist, over to the side of the base.
    elbow = (bx + (wrist[0] - bx) * 0.34, min(by, wrist[1]) - 46)
    if elbow[1] < 12:
        elbow = (elbow[0] + (70 if wrist[0] < bx else -70), 14)
    shell, joint = "#e8873c", "#4a525d"
    cv.shadow(bx, by + 4, 58, 16, 0.5)
    cv.shadow(s.x, s.y + 6, 34, 9, 0.3)
    with cv.pen(category="robot arm") as p:
        p.box(bx - 46, by - 26, bx + 46, by + 6, "#5a636f", 6, to="#3f4650")
        p.box(bx - 32, by - 46, bx + 32, by - 20, shell, 8, to=dark(shell, 0.2))
        p.taper(bx, by - 40, 24, *elbow, 20, shell)
        p.taper(*elbow, 19, *wrist, 14, light(shell, 0.12))
        p.disc(bx, by - 40, 13, joint)
        p.disc(*elbow, 12, joint)
        p.disc(*wrist, 11, joint)
    if held is not None:
        held()
    gap = {"open": 30, "closed": 9, "holding": 24}[state]
    with cv.pen(s.x, s.y, s.scale, category="gripper") as p:
        p.box(-15, -80, 15, -58, "#39404a", 4)
        p.box(-38, -60, 38, -44, "#59626e", 5, to="#454d58")
        for side in (-1, 1):
            inner, outer = side * gap, side * (gap + 11)
            p.poly([(inner, -46), (outer, -46), (outer, -12), (side * (gap + 4), 0), (inner, 0)], "#2f353e")


DRAWN: dict[str, Callable[[Spot], None]] = {
    "block": block, "blocks": blocks, "mug": mug, "bottle": bottle, "bowl": bowl, "tin": tin, "box": box,
    "tray": tray, "bin": bin, "sponge": sponge, "screwdriver": screwdriver, "wrench": wrench,
    "hammer": hammer, "scissors": scissors, "pliers": pliers, "knife": knife, "tape": tape,
    "battery": battery, "batteries": batteries, "cable": cable, "plug": plug, "board": board, "iron": iron,
    "apple": apple, "banana": banana, "hand": hand,
}
"""How the scenes call them."""
