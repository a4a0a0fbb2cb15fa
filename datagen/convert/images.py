"""The image folder: which picture an export means, and how large it is."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import NamedTuple

from datagen.records import InputError

_ENDINGS = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .ppm .pgm .avif .jp2".split())
# `run` refuses such a name (annotations.py), so there is no use in writing it.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ufffd\ud800-\udfff\\\\]")
_UPRIGHT = 1
_ORIENTATION = 0x0112
# Formats whose EXIF stands before the pixels: looking for it elsewhere would decode the picture.
_WITH_ORIENTATION = ("JPEG", "MPO", "TIFF", "WEBP")


class Fault(NamedTuple):
    """Why something cannot be used."""

    reason: str
    """A name to count by."""
    detail: str


class Size(NamedTuple):
    """Of a picture as stored."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    is_turned: bool
    """Whether EXIF says to show it turned or mirrored, which most tools do and training does not."""


class ImageFolder:
    """The pictures below a folder. Raises InputError when there are none."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"--images {folder}: no such folder")
        self.folder = folder
        self.names: list[str] = pictures_below(folder)
        """Paths below the folder, with `/`, sorted."""
        if not self.names:
            raise InputError(f"--images {folder}: holds no picture ({', '.join(sorted(_ENDINGS))})")
        self._exact = set(self.names)
        self._by_base: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in self.names:
            base = name.rpartition("/")[2].casefold()
            self._by_base.setdefault(base, []).append(name)
            self._by_stem.setdefault(base.rpartition(".")[0], []).append(name)

    def find(self, name: str) -> str | Fault:
        """The picture that an export calls `name`, as a path below the folder.

        An export's path may begin above the folder or below it: it fits when one of the two is the end
        of the other. Capitals, and a missing ending, are forgiven. A name that fits several pictures
        is no guess to make.
        """
        if name in self._exact and not _UNSAFE.search(name):
            return name
        parts = [part for part in name.strip().replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if not parts:
            return Fault("image_not_found", "its image has no name")
        if "/".join(parts) in self._exact:
            found = "/".join(parts)
        else:
            wanted = [part.casefold() for part in parts]
            has_ending = Path(wanted[-1]).suffix in _ENDINGS
            candidates = (self._by_base if has_ending else self._by_stem).get(wanted[-1], [])
            shared = {name: _shared(name, wanted) for name in candidates}
            most = max(shared.values(), default=0)
            # Where both photos/a.jpg and a.jpg fit, the longer says more.
            fitting = [name for name in candidates if shared[name] == most > 0]
            if not fitting:
                other = f"; {candidates[0]} is another" if candidates else ""
                return Fault("image_not_found", f"{_said(name)} is not in {self.folder}{other}")
            if len(fitting) > 1:
                detail = f"{_said(name)} may be {fitting[0]} or {fitting[1]}"
                return Fault("ambiguous_image", detail)
            found = fitting[0]
        if _UNSAFE.search(found):
            detail = (
                f"{_said(found)} has a backslash or characters that a file name should not have: rename it"
            )
            return Fault("unsafe_file_name", detail)
        return found

    def size(self, name: str) -> Size | Fault:
        """A picture's size, from its header."""
        # Takes a while to import.
        from PIL import Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(self.folder / name) as image:
                    width, height = image.size
                    turned = image.format in _WITH_ORIENTATION and (
                        image.getexif().get(_ORIENTATION, _UPRIGHT) not in (0, _UPRIGHT)
                    )
        except Exception as error:  # Pillow raises whatever a damaged file makes it
            return Fault("unreadable_image", f"{name} cannot be read as a picture ({_one_line(error)})")
        return Size(width, height, turned)


def _shared(name: str, wanted: list[str]) -> int:
    """How many parts of two paths agree, from the end; 0 where neither is the end of the other.

    Of their last part it is known that it agrees.
    """
    above = name.casefold().split("/")[-2::-1] if "/" in name else []
    pairs = list(zip(above, wanted[-2::-1], strict=False)) if len(wanted) > 1 else []
    return 1 + len(pairs) if all(mine == theirs for mine, theirs in pairs) else 0


def pictures_below(folder: Path) -> list[str]:
    """Paths of pictures below a folder, with `/`, sorted. Hidden ones are none."""
    found: list[str] = []
    seen: set[str] = set()
    for at, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(at)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(at).relative_to(folder).as_posix()
        prefix = "" if below == "." else f"{below}/"
        found += [
            prefix + name
            for name in files
            if os.path.splitext(name)[1].lower() in _ENDINGS  # noqa: PTH122 (a million names)
            and not name.startswith(".")
        ]
    return sorted(found)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _said(name: str) -> str:
    shown = name.encode(errors="backslashreplace").decode()
    return repr(shown if len(shown) <= 120 else f"{shown[:119]}…")
