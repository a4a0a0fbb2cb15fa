"""The text that stands in for an image: its captions and boxes, in one of two forms.

`llava-exact` is byte for byte what LLaVA's authors published ("Visual Instruction Tuning",
arXiv:2304.08485): captions one per line, a blank line, then `category: [x1, y1, x2, y2]` lines.
`grounded` marks the two blocks, tells a crowd from an object, and cannot be broken out of by
what an annotator wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from datagen.records import ImageAnnotation, ProxyForm

OBJECTS_TAG = '<objects coordinates="x1, y1, x2, y2 as fractions of width and height">'
GROUP_MARK = " (a group, number unknown)"

# Anything that could read as one of the blocks' tags, closed or open, spaced or not.
_TAG_LIKE = re.compile(r"<(?=\s*/?\s*(?:captions|objects)\b)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_OBJECT_LINE = re.compile(r"(.+): \[([-\d.e]+), ([-\d.e]+), ([-\d.e]+), ([-\d.e]+)\]")


@dataclass(frozen=True, slots=True)
class ProxyObject:
    """One object line: corners as fractions of width and height, rounded to 3 decimals."""

    category: str
    corners: tuple[float, float, float, float]
    crowd: bool


@dataclass(frozen=True, slots=True)
class TextProxy:
    """What both forms say."""

    captions: tuple[str, ...]
    objects: tuple[ProxyObject, ...]


def from_annotation(annotation: ImageAnnotation) -> TextProxy:
    """Captions as written; boxes in annotation order, COCO's `[x, y, w, h]` in pixels made relative."""
    width, height = annotation.width, annotation.height
    return TextProxy(
        captions=annotation.captions,
        objects=tuple(
            ProxyObject(
                box.category,
                (
                    round(box.x / width, 3),
                    round(box.y / height, 3),
                    round((box.x + box.width) / width, 3),
                    round((box.y + box.height) / height, 3),
                ),
                box.crowd,
            )
            for box in annotation.boxes
        ),
    )


def render(proxy: TextProxy, form: ProxyForm, *, boxes: bool = True) -> str:
    """The proxy as text, without a final newline; `boxes=False` leaves the objects out."""
    objects = proxy.objects if boxes else ()
    if form == "llava-exact":
        captions = "\n".join(proxy.captions)
        lines = "\n".join(f"{o.category}: {list(o.corners)}" for o in objects)
        return "\n\n".join(part for part in (captions, lines) if part)
    blocks = []
    if proxy.captions:
        blocks += ["<captions>", *map(_one_line, proxy.captions), "</captions>"]
    if objects:
        blocks += [
            OBJECTS_TAG,
            *(f"{_one_line(o.category)}{GROUP_MARK if o.crowd else ''}: {list(o.corners)}" for o in objects),
            "</objects>",
        ]
    return "\n".join(blocks)


def parse(text: str) -> tuple[TextProxy, ProxyForm] | None:
    """Read a proxy back, in whichever form it is written; None if it is in neither.

    Seeds are kept in one form and shown in the form in use. Text without an object line is in
    neither: captions in the published form cannot be told from free text.
    """
    lines = text.strip("\n").split("\n")
    if lines[0] in ("<captions>", OBJECTS_TAG):
        return _parse_grounded(lines)
    objects_from = len(lines)
    while objects_from and _OBJECT_LINE.fullmatch(lines[objects_from - 1].rstrip()):
        objects_from -= 1
    captions = lines[:objects_from]
    if objects_from == len(lines):
        return None
    if captions and captions.pop().strip():
        return None  # the blank line between captions and boxes is missing
    objects = tuple(_parse_object(line.rstrip()) for line in lines[objects_from:])
    return TextProxy(tuple(captions), objects), "llava-exact"


def _parse_grounded(lines: list[str]) -> tuple[TextProxy, ProxyForm] | None:
    captions: list[str] = []
    objects: list[ProxyObject] = []
    block = ""
    for line in lines:
        if not block and line in ("<captions>", OBJECTS_TAG):
            block = line
        elif (block, line) in (("<captions>", "</captions>"), (OBJECTS_TAG, "</objects>")):
            block = ""
        elif block == "<captions>":
            captions.append(line)
        elif block == OBJECTS_TAG and _OBJECT_LINE.fullmatch(line):
            objects.append(_parse_object(line))
        else:
            return None
    return None if block else (TextProxy(tuple(captions), tuple(objects)), "grounded")


def _parse_object(line: str) -> ProxyObject:
    match = _OBJECT_LINE.fullmatch(line)
    assert match is not None
    label = match[1]
    x1, y1, x2, y2 = (float(match[i]) for i in range(2, 6))
    return ProxyObject(label.removesuffix(GROUP_MARK), (x1, y1, x2, y2), label.endswith(GROUP_MARK))


def _one_line(text: str) -> str:
    text = " ".join(_CONTROL.sub(" ", text).split())
    return _TAG_LIKE.sub("&lt;", text)
