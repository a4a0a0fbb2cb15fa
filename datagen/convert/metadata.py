"""Captions from what image files say of themselves: XMP, IPTC, EXIF, PNG text.

Of what a file says in several places the first counts, in that order: XMP is always UTF-8, IPTC's
caption may be cut at 2,000 bytes, and EXIF's has no encoding of its own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from datagen.convert.collection import Collection, Where

_DESCRIPTION = 0x010E
_IPTC_CAPTION = (2, 120)
_PNG_KEYWORDS = ("Description", "Caption", "description", "caption")
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC_DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_WRITTEN_BY_A_PROGRAM = re.compile(
    r"""
    OLYMPUS[ ]DIGITAL[ ]CAMERA | SONY[ ]DSC | KODAK[ ][\w ]*CAMERA | SAMSUNG | MINOLTA[ ][\w ]*CAMERA
    | Digital[ ]StillCamera | DCIM\\\S* | DSC[FN_]?\d+ | IMG_\d+ | \S+\.(?:jpe?g|png|tiff?|dng)
    | default | untitled | screenshot | (?:created|edited)[ ](?:with|by|using)[ ].* | https?://\S+ | [\W\d_]*
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What cameras and programs put there that nobody wrote about the picture."""


def read(into: Collection) -> None:
    """Every picture of the image folder. One without a description is listed as such."""
    from PIL import Image

    for name in into.images.names:
        path = into.images.folder / name
        where = Where(path, "")
        picture = into.image(where, name, has_boxes=False)
        if picture is None:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(path) as image:
                    if image.format == "PNG":
                        image.load()  # its text may stand behind the pixels
                    said = [" ".join(text.split()) for text in descriptions(image)]
        except Exception as error:  # Pillow raises whatever a damaged file makes it
            into.leave_out(where, "unreadable_image", f"cannot be read as a picture ({error})", name)
            continue
        if wanted := [text for text in said if not _WRITTEN_BY_A_PROGRAM.fullmatch(text)]:
            into.caption(where, picture, wanted[0])
        elif said:
            into.leave_out(where, "written_by_a_program", f"it says only {said[0][:80]!r}", name)
        else:
            into.leave_out(where, "no_description", "its metadata have no description", name)


def descriptions(image: Any) -> Iterator[str]:
    """What an opened picture's metadata say it shows, the most trusted first; none that are empty."""
    from PIL import IptcImagePlugin

    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if not xmp and (tags := getattr(image, "tag_v2", None)):
        xmp = tags.get(700)
    if xmp:
        yield from _from_xmp(xmp)
    caption = (IptcImagePlugin.getiptcinfo(image) or {}).get(_IPTC_CAPTION)
    for value in caption if isinstance(caption, list) else [caption]:
        if isinstance(value, bytes) and (text := _decoded(value)).strip():
            yield text
    exif = image.getexif().get(_DESCRIPTION)
    if isinstance(exif, str) and exif.strip("\0 "):
        # Pillow takes it for Latin-1; what is UTF-8 shows itself as such.
        yield _decoded(exif.encode("latin-1", "replace")) if not exif.isascii() else exif.strip("\0")
    for keyword in _PNG_KEYWORDS:
        text = image.info.get(keyword)
        if isinstance(text, str) and text.strip():
            yield text


def _decoded(data: bytes) -> str:
    data = data.strip(b"\0")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _from_xmp(packet: bytes | str | tuple[int, ...]) -> Iterator[str]:
    data = packet.encode() if isinstance(packet, str) else bytes(packet)
    try:
        root = ElementTree.fromstring(data.strip(b"\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, LookupError):
        return
    for element in root.iter(_DC_DESCRIPTION):
        texts = element.findall(f".//{_RDF}li") or [element]
        # In several languages: English, as the prompts are, else the one meant for everybody.
        texts.sort(key=lambda each: _preference(each.get(_LANGUAGE, "")))
        for each in texts:
            if each.text and each.text.strip():
                yield each.text
                break


def _preference(language: str) -> int:
    return 0 if language.lower().startswith("en") else 1 if language == "x-default" else 2
