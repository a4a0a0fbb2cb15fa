"""Numbers as exports write them, and the upright rectangle around whatever was drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels from the image's top left."""


def number(value: object) -> float | None:
    """A finite number, also if written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def numbers(values: Iterable[object]) -> list[float] | None:
    """All of them as finite numbers, or None."""
    read = [number(value) for value in values]
    return None if None in read else [value for value in read if value is not None]


def what_is_no_number(values: Iterable[object]) -> str:
    """Why `numbers` gave None, for a person."""
    wrong = next(value for value in values if number(value) is None)
    if isinstance(wrong, str) and number(wrong.replace(",", ".")) is not None:
        return f"{wrong!r} is not a number: decimals need a point"
    return f"{wrong!r} is not a finite number"


def around(points: Iterable[tuple[float, float]]) -> Corners | None:
    """The upright rectangle around the points; None for no points."""
    xs, ys = zip(*points, strict=True) if (points := list(points)) else ((), ())
    return (min(xs), min(ys), max(xs), max(ys)) if points else None


def around_turned(corners: Corners, degrees: float, pivot: tuple[float, float]) -> Corners:
    """The upright rectangle around one that is turned clockwise, as seen, about a point."""
    left, top, right, bottom = corners
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # The y axis points down, so that the usual rotation matrix turns clockwise.
    turned = [
        (
            pivot[0] + (x - pivot[0]) * cos - (y - pivot[1]) * sin,
            pivot[1] + (x - pivot[0]) * sin + (y - pivot[1]) * cos,
        )
        for x in (left, right)
        for y in (top, bottom)
    ]
    box = around(turned)
    assert box is not None
    return box


def around_ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float) -> Corners:
    """The upright rectangle around an ellipse turned about its centre."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width = math.hypot(radius_x * cos, radius_y * sin)
    half_height = math.hypot(radius_x * sin, radius_y * cos)
    return (x - half_width, y - half_height, x + half_width, y + half_height)
