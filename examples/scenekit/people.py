"""People: a jointed figure in side, front and back view. A hundred units are its standing height."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .canvas import Canvas, Matrix, Pen, Point, dark, light, mix


@dataclass(frozen=True, slots=True)
class Look:
    """What somebody looks like and wears."""

    skin: str = "#e3a981"
    hair: str = "#40291d"
    style: str = "short"  # short, crop, bob, long, bun, pony, curly, bald, cap, beanie, helmet, sunhat
    hat: str = "#d6453d"  # of a cap, beanie, helmet or sunhat
    top: str = "#3d7ea6"
    bottom: str = "#2f3e5c"
    legs: str = "trousers"  # trousers, shorts, skirt, dress
    shoes: str = "#3a3138"
    sleeves: str = "long"  # long, short
    beard: bool = False
    apron: str = ""


# Angles in degrees from straight down, positive to the front (side view) or outwards (front view):
# thigh and shin of the far leg, of the near leg, upper arm and forearm of the far arm, of the near arm, lean.
Angles = tuple[float, float, float, float, float, float, float, float, float]
SIDE: dict[str, Angles] = {
    "stand": (4, 1, -4, -6, 8, 16, -4, 8, 0),
    "walk": (-20, -38, 27, 8, 30, 48, -28, -6, 3),
    "stroll": (-13, -26, 18, 4, 18, 34, -16, 0, 1),
    "run": (-30, -98, 52, -4, 48, 120, -48, 30, 9),
    "lead": (-13, -26, 18, 4, -16, 0, 40, 58, 1),
    "reach": (4, 1, -4, -6, 62, 74, 74, 84, 3),
    "hold": (4, 1, -4, -6, 24, 96, 28, 104, 0),
    "up": (4, 1, -4, -6, 150, 160, 140, 165, -3),
    "sit": (84, 2, 90, -2, 20, 62, 16, 70, -4),
    "read": (84, 2, 90, -2, 26, 98, 34, 108, -3),
    "type": (84, 2, 90, -2, 30, 84, 36, 90, 4),
    "ride": (38, -28, 72, -12, 44, 56, 48, 60, 20),
    "saddle": (34, -22, 40, -16, 34, 70, 40, 78, 2),
    "ski": (42, -18, 34, -22, 44, 60, 30, 66, 18),
    "board": (38, -10, -22, -44, 62, 72, -66, -80, 10),
    "surf": (40, -14, -24, -52, 70, 80, -62, -72, 14),
    "kick": (-6, -14, 56, 40, -36, -20, 40, 62, -8),
    "swing": (16, 2, -22, -30, 96, 120, 110, 128, 4),
    "pull": (-16, -30, 20, 6, 22, 40, -34, -26, 4),
    "float": (18, -40, 30, -30, 100, 110, -70, -60, 12),
    "ground": (96, 70, 86, 84, 30, 70, -34, -28, -8),
}
FRONT: dict[str, Angles] = {
    "stand": (3, 1, 3, 1, 10, 6, 10, 6, 0),
    "wave": (3, 1, 3, 1, 10, 6, 128, 176, 0),
    "cheer": (6, 3, 6, 3, 138, 160, 138, 160, 0),
    "hold": (3, 1, 3, 1, 14, -62, 14, -62, 0),
    "carry": (3, 1, 3, 1, 10, 6, 24, -100, 0),
    "one-up": (3, 1, 3, 1, 10, 6, 38, 158, 0),
    "sit": (22, 2, 22, 2, 16, -28, 16, -28, 0),
    "read": (22, 2, 22, 2, 18, -84, 18, -84, 0),
}


def person(
    canvas: Canvas,
    x: float,
    y: float,
    height: float,
    pose: str = "stand",
    look: Look | None = None,
    *,
    view: str = "side",
    flip: bool = False,
    child: bool = False,
    hip: bool = False,
    turn: float = 0,
    shadow: bool = True,
    angles: Angles | None = None,
) -> dict[str, Point]:
    """Draw somebody with the feet (or, with ``hip``, the hip) at x, y. Returns where the joints are."""
    look = look or Look()
    if shadow and not hip:
        canvas.shadow(x, y, height * 0.2, height * 0.035, 0.5)
    with canvas.pen(x, y, height / 100, flip=flip, turn=turn, category="person") as pen:
        joints = figure(pen, pose, look, view=view, child=child, hip=hip, angles=angles)
    place = Matrix().then_inside(x, y, -height / 100 if flip else height / 100, height / 100, turn)
    return {name: place(*point) for name, point in joints.items()}


def figure(
    pen: Pen,
    pose: str,
    look: Look,
    *,
    view: str = "side",
    child: bool = False,
    hip: bool = False,
    angles: Angles | None = None,
) -> dict[str, Point]:
    """Somebody drawn with a pen whose unit is a hundredth of the standing height."""
    side = view == "side"
    far_thigh, far_shin, near_thigh, near_shin, far_upper, far_fore, near_upper, near_fore, lean = (
        angles or (SIDE if side else FRONT)[pose]
    )
    head_r = 11.5 if child else 8.4
    thigh, shin = (17.0, 15.0) if child else (22.0, 20.5)
    trunk = 27.0 if child else 31.0
    upper, fore = (13.0, 12.0) if child else (16.5, 15.0)

    def move(start: Point, angle: float, length: float) -> Point:
        return start[0] + length * math.sin(math.radians(angle)), start[1] + length * math.cos(
            math.radians(angle)
        )

    seated_front = not side and pose in ("sit", "read")
    zero: Point = (0.0, 0.0)
    if side:
        hips = (zero, zero)
        knees = (move(zero, far_thigh, thigh), move(zero, near_thigh, thigh))
        ankles = (move(knees[0], far_shin, shin), move(knees[1], near_shin, shin))
    else:
        hips = ((-4.0, 0.0), (4.0, 0.0))
        reach = thigh * (0.5 if seated_front else 1)  # thighs point at us when seated
        knees = (move(hips[0], -far_thigh, reach), move(hips[1], near_thigh, reach))
        ankles = (move(knees[0], -far_shin, shin), move(knees[1], near_shin, shin))
    rise = 0.0 if hip else -(max(ankles[0][1], ankles[1][1]) + 3.4)
    body = pen.at(0, rise)

    neck = move(zero, 180 - lean, trunk)
    shoulder = move(zero, 180 - lean, trunk - 3)
    head = move(neck, 180 - lean * 0.5, head_r + (2.2 if child else 3.6))
    if side:
        shoulders = (shoulder, shoulder)
        elbows = (move(shoulder, far_upper, upper), move(shoulder, near_upper, upper))
        hands = (move(elbows[0], far_fore, fore), move(elbows[1], near_fore, fore))
    else:
        wide = 7.4 if child else 9.0
        shoulders = ((shoulder[0] - wide, shoulder[1] + 0.5), (shoulder[0] + wide, shoulder[1] + 0.5))
        elbows = (move(shoulders[0], -far_upper, upper), move(shoulders[1], near_upper, upper))
        hands = (move(elbows[0], -far_fore, fore), move(elbows[1], near_fore, fore))

    bare = look.legs in ("shorts", "skirt", "dress")
    cloth = look.top if look.legs == "dress" else look.bottom

    def leg(i: int, tone: float) -> None:
        colour = dark(look.skin, tone) if bare else dark(look.bottom, tone)
        (hx, hy), (kx, ky), (ax, ay) = hips[i], knees[i], ankles[i]
        body.taper(kx, ky, 3.6, ax, ay, 2.6, colour)
        body.taper(hx, hy, 5.4 if side else 4.9, kx, ky, 3.8, colour)
        if look.legs == "shorts":
            part = (hx + (kx - hx) * 0.62, hy + (ky - hy) * 0.62)
            body.taper(hx, hy, 5.7 if side else 5.2, *part, 4.9, dark(look.bottom, tone))
        shoe = dark(look.shoes, tone)
        if side:
            slope = (far_shin, near_shin)[i]
            foot = body.at(ax, ay, turn=-slope * 0.85 if slope > -60 else 50)
            foot.poly([(-3, -2.6), (1.6, -2.8), (4, 0.2), (8, 1.6), (8.2, 3.4), (-3.4, 3.4)], shoe)
            foot.disc(7.2, 2.4, 1.0, shoe)
        else:
            sign = -1 if i == 0 else 1
            body.box(ax - 3 + sign * 0.6, ay - 2.4, ax + 3 + sign * 0.6, ay + 3.4, shoe, (2.5, 2.5, 1, 1))

    def arm(i: int, tone: float) -> None:
        sleeve = dark(look.top, tone)
        skin = dark(look.skin, tone)
        (sx, sy), (ex, ey), (wx, wy) = shoulders[i], elbows[i], hands[i]
        body.taper(ex, ey, 2.7, wx, wy, 2.2, skin if look.sleeves == "short" else sleeve)
        if look.sleeves == "short":
            body.taper(sx, sy, 3.5, ex, ey, 2.8, skin)
            body.taper(sx, sy, 4.1, sx + (ex - sx) * 0.5, sy + (ey - sy) * 0.5, 3.7, sleeve)
        else:
            body.taper(sx, sy, 4.0, ex, ey, 3.1, sleeve)
        body.disc(wx, wy, 2.7, skin)

    if side:
        arm(0, 0.2)
        leg(0, 0.2)
        leg(1, 0.0)
    else:
        leg(0, 0.0)
        leg(1, 0.0)
        if view == "back" or pose == "stand":
            arm(0, 0.0)
            arm(1, 0.0)
    _long_hair(body, head, head_r, look, view)

    # The neck goes under the collar, the trunk over the hips.
    body.taper(*neck, 2.9, *head, 2.9, dark(look.skin, 0.14))
    along = math.radians(lean)
    frame = body.at(0, 0, turn=math.degrees(along))
    half = (7.0 if side else 9.6) * (0.9 if child else 1)
    waist = half * (0.86 if side else 0.8)
    top_y = -trunk
    if look.legs in ("skirt", "dress"):
        seated = abs(near_thigh) > 60 or seated_front
        if seated and side:
            body.taper(0, 0, 6.8, *knees[1], 5.4, cloth)
        else:
            hem = 20 if look.legs == "dress" else 16
            spread = 10.5 if side else 12.5
            frame.poly([(-waist, -9), (waist, -9), (spread, hem), (-spread, hem)], cloth, to=dark(cloth, 0.1))
    elif side:
        body.disc(0, -0.5, 6.2, look.bottom)
    else:
        body.box(-8.6, -6, 8.6, 5, look.bottom, 3)
    frame.poly(
        [
            (-half * 0.55, top_y + 0.4),
            (half * 0.55, top_y + 0.4),
            (half, top_y + 5),
            (half * 0.97, top_y + 14),
            (waist, -4),
            (waist, 2.2),
            (-waist, 2.2),
            (-waist, -4),
            (-half * 0.97, top_y + 14),
            (-half, top_y + 5),
        ],
        look.top,
        curve=True,
    )
    frame.poly(
        [(-half, top_y + 6), (-half * 0.2, top_y + 8), (-half * 0.35, 1.5), (-waist, 1.5)], "#14204016"
    )
    if look.apron:
        if side:
            frame.box(1, top_y + 8, half, 3, look.apron, 2)
            body.taper(2, 0, 4.6, knees[1][0] * 0.4 + 3, 15, 4.4, look.apron)
        else:
            frame.box(-5, top_y + 7, 5, -6, look.apron, 1)
            frame.box(-7.4, -9, 7.4, 16, look.apron, 3)

    _head(body.at(*head, scale=head_r / 8.4, turn=lean * 0.4), look, view)
    if side:
        arm(1, 0.1)
    elif not (view == "back" or pose == "stand"):
        arm(0, 0.05)
        arm(1, 0.05)

    joints = {
        "far_hand": hands[0],
        "hand": hands[1],
        "head": head,
        "shoulder": shoulder,
        "hip": zero,
        "far_foot": ankles[0],
        "foot": ankles[1],
        "knee": knees[1],
    }
    return {name: (px, py + rise) for name, (px, py) in joints.items()}


def _long_hair(body: Pen, head: Point, head_r: float, look: Look, view: str) -> None:
    """Hair that falls behind the shoulders, drawn before the trunk."""
    p = body.at(*head, scale=head_r / 8.4)
    if look.style == "long" and view == "front":
        p.box(-8.6, -5, 8.6, 15, dark(look.hair, 0.2), (7, 7, 4, 4))
    elif look.style == "bob" and view == "front":
        p.box(-8.8, -6, 8.8, 8, dark(look.hair, 0.2), (7, 7, 4, 4))
    elif look.style == "curly" and view != "side":
        for dx, dy in ((-8, 0), (8, 0), (-7, 5), (7, 5)):
            p.disc(dx, dy, 4.2, dark(look.hair, 0.15))


def _head(p: Pen, look: Look, view: str) -> None:
    skin, hair = look.skin, look.hair
    if view == "back":
        p.oval(-7.4, 1, 1.4, 2, skin)
        p.oval(7.4, 1, 1.4, 2, skin)
        p.oval(0, 0, 7.4, 8.6, skin if look.style == "bald" else hair)
        if look.style == "long":
            p.box(-7.6, -2, 7.6, 17, hair, (3, 3, 5, 5))
        elif look.style == "bob":
            p.box(-8.4, -4, 8.4, 8.4, hair, (4, 4, 4, 4))
        elif look.style == "bun":
            p.disc(0, -8.6, 3.6, dark(hair, 0.1))
        elif look.style == "pony":
            p.taper(0, -3, 2.4, 0, 12, 1.8, dark(hair, 0.12))
        elif look.style == "curly":
            _curls(p, hair, 0)
        _hat(p, look, view)
        return
    if view == "front":
        p.oval(-7.3, 1, 1.5, 2.1, dark(skin, 0.1))
        p.oval(7.3, 1, 1.5, 2.1, dark(skin, 0.1))
        p.poly(
            [(-7.2, -4), (0, -8.8), (7.2, -4), (7.1, 2), (4.4, 7.4), (0, 9), (-4.4, 7.4), (-7.1, 2)],
            skin,
            curve=True,
        )
        if look.beard:
            p.poly(
                [(-7.2, 1), (-5, 3.6), (0, 3.0), (5, 3.6), (7.2, 1), (5.6, 7.8), (0, 10.2), (-5.6, 7.8)],
                hair,
                curve=True,
            )
            p.line([(-1.8, 5.2), (0, 5.8), (1.8, 5.2)], 0.9, mix(skin, "#a04030", 0.4), curve=True)
        else:
            p.line(
                [(-2.5, 4.4), (0, 5.6), (2.5, 4.4)], 0.85, dark(mix(skin, "#a83b32", 0.55), 0.1), curve=True
            )
        for sx in (-2.8, 2.8):
            p.oval(sx, 0.3, 0.85, 1.1, "#2b2226")
            p.line([(sx - 1.4, -2.2), (sx + 1.4, -2.3)], 0.6, dark(hair, 0.1))
        p.disc(-4.6, 3, 1.5, "#e0605038")
        p.disc(4.6, 3, 1.5, "#e0605038")
        p.line([(0, 0.8), (0.5, 2.4)], 0.6, dark(skin, 0.2))
        if look.style in ("short", "cap", "beanie", "helmet", "sunhat"):
            p.poly(
                [
                    (-7.7, 0),
                    (-8, -5),
                    (-4, -9.6),
                    (3, -9.9),
                    (8, -5),
                    (7.7, 0),
                    (6.3, -3.6),
                    (1.5, -5.4),
                    (-4, -4.2),
                ],
                hair,
                curve=True,
            )
        elif look.style == "crop":
            p.poly(
                [
                    (-7.3, -1.5),
                    (-6.5, -7),
                    (0, -9.6),
                    (6.5, -7),
                    (7.3, -1.5),
                    (5.4, -5.4),
                    (0, -6.4),
                    (-5.4, -5.4),
                ],
                hair,
            )
        elif look.style in ("bob", "long", "bun", "pony"):
            if look.style == "bun":
                p.disc(0, -10.6, 3.8, dark(hair, 0.1))
            p.poly(
                [
                    (-8, 2),
                    (-8.6, -4),
                    (-4, -9.6),
                    (4, -9.6),
                    (8.6, -4),
                    (8, 2),
                    (6.4, -3.4),
                    (2, -6),
                    (-2.6, -5.2),
                    (-6.2, -2),
                ],
                hair,
                curve=True,
            )
            if look.style == "bob":
                p.taper(-7.6, -2, 1.6, -7.4, 6.5, 1.7, hair)
                p.taper(7.6, -2, 1.6, 7.4, 6.5, 1.7, hair)
            elif look.style == "long":
                p.taper(-7.6, -2, 1.6, -7.6, 12, 2.0, hair)
                p.taper(7.6, -2, 1.6, 7.6, 12, 2.0, hair)
        elif look.style == "curly":
            _curls(p, hair, 0)
        _hat(p, look, view)
        return
    # side view, looking right
    p.poly(
        [
            (-6.6, -4),
            (-2, -8.6),
            (4, -7.6),
            (6.8, -2.6),
            (7.6, 1.6),
            (6.4, 3),
            (6.2, 6.4),
            (2.6, 8.6),
            (-3, 7),
            (-6.8, 2),
        ],
        skin,
        curve=True,
    )
    p.oval(4.4, -0.4, 0.8, 1.1, "#2b2226")
    p.line([(3.2, -2.8), (5.6, -2.6)], 0.6, dark(hair, 0.1))
    p.disc(3.4, 2.6, 1.5, "#e0605038")
    if look.beard:
        p.poly([(-1.4, 1), (1, 4), (6.5, 4.2), (6.6, 8), (2.6, 10.2), (-2.4, 7.4)], hair, curve=True)
    else:
        p.line([(3.0, 4.6), (4.4, 5.6), (6.0, 4.5)], 0.8, dark(mix(skin, "#a83b32", 0.55), 0.1), curve=True)
    if look.style == "bald":
        p.oval(-1.2, 1, 1.4, 2, dark(skin, 0.14))
        return
    if look.style == "curly":
        _curls(p, hair, -1.6)
        _hat(p, look, view)
        return
    p.poly(
        [
            (6.2, -4.8),
            (3.6, -9.2),
            (-2, -10),
            (-7.6, -6.4),
            (-8.2, 0),
            (-6.2, 4.6),
            (-3, 3.6),
            (-2.6, -0.6),
            (1, -3.6),
            (4, -4.4),
        ],
        hair,
        curve=True,
    )
    p.oval(-1.6, 1.2, 1.3, 1.9, dark(skin, 0.1))
    if look.style == "bun":
        p.disc(-7.6, -6.4, 3.6, dark(hair, 0.12))
    elif look.style == "pony":
        p.poly(
            [(-7, -5), (-11, -4), (-13, 4), (-11.5, 11), (-9.6, 6), (-7.4, 0)], dark(hair, 0.12), curve=True
        )
    elif look.style == "bob":
        p.poly([(-8.3, -4), (-9, 5), (-6.5, 9), (-2, 8), (-2.4, 0)], hair, curve=True)
    elif look.style == "long":
        p.poly([(-8, -5), (-10, 6), (-10.4, 15), (-5, 17), (-2.4, 9), (-2.4, 0)], hair, curve=True)
    _hat(p, look, view)


def _curls(p: Pen, hair: str, dx: float) -> None:
    for cx, cy, r in (
        (-7, -3, 3.8),
        (-4.4, -7.6, 4.2),
        (0, -9, 4.4),
        (4.4, -7.8, 4),
        (7, -4, 3.2),
        (-7.6, 1, 3.0),
    ):
        p.disc(cx + dx, cy, r, hair)
    if dx == 0:
        p.disc(7.6, 1, 3.0, hair)
    for cx, cy in ((-4, -9), (1, -10.6), (-7, -4.6)):
        p.disc(cx + dx, cy, 1.5, light(hair, 0.1))


def _hat(p: Pen, look: Look, view: str) -> None:
    hat = look.hat
    if look.style == "cap":
        p.poly([(-8.2, -2.6), (-7.6, -8), (-2, -11), (4, -10.4), (7.6, -7), (8.0, -3.2)], hat, curve=True)
        if view == "side":
            p.taper(5, -4, 1.2, 13, -3, 0.8, dark(hat, 0.15))
        elif view == "front":
            p.oval(0, -3.6, 7.6, 1.9, dark(hat, 0.15))
    elif look.style == "beanie":
        p.poly([(-8.4, -2), (-8, -8), (-3, -12), (3, -12), (8, -8), (8.4, -2)], hat, curve=True)
        p.box(-8.8, -5.4, 8.8, -1.8, dark(hat, 0.14), 1.5)
        p.disc(0, -12.6, 2.4, light(hat, 0.5))
    elif look.style == "helmet":
        p.poly([(-8.6, -1.2), (-8.6, -7.6), (-3, -11.6), (4, -11.2), (8.4, -7), (8.2, -2.2)], hat, curve=True)
        p.line([(-5.5, -8), (0, -10), (5.5, -8)], 1.2, light(hat, 0.4), curve=True)
        if view == "side":
            p.line([(0, -2), (2.6, 7.6)], 0.9, dark(hat, 0.5))
    elif look.style == "sunhat":
        p.poly([(-6.8, -3), (-6, -9.4), (0, -12), (6, -9.4), (6.8, -3)], hat, curve=True)
        p.box(-7, -5.6, 7, -3.2, dark(hat, 0.4))
        p.oval(0, -2.8, 14, 2.5, hat)
