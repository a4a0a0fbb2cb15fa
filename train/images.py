"""Images by the names that records give them: files in a folder, or members of tar shards."""

from __future__ import annotations

import io
import os
import posixpath
import stat
import tarfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from train.records import InputError, Unfit

MAX_PIXELS = 89_478_485
"""Pillow's own line for a decompression bomb: a quarter of a gigabyte as RGB."""
MAX_SIDE = 16_384
MAX_RATIO = 200
"""What pad-to-square and resize-by-the-shorter-side can bear: a strip of 60,000 x 1 has few pixels, and
gigabytes once either has been done to it."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")
"""What is read. Named, because Pillow knows formats that run a program on the file (EPS)."""
COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
OPEN_TARS = 64
"""How many shards a process holds open."""


class ImageStore:
    """The images of a data set: a folder of files and of `*.tar` directly inside it, or one `.tar`.

    A name is a path relative to the folder, or the name of a tar's member. Members are found in an index
    made once, and read by position, so that forked and spawned workers may all use one store. Where a
    tar and the folder both hold a name, the tar's is read; where two tars do, neither is.

    Raises InputError for a folder that is not there, and for a tar that is compressed or broken.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tars: list[Path] = []
        self._members: dict[str, tuple[int, int, int]] = {}  # name: number of the tar, offset, size
        self._ambiguous: dict[str, str] = {}
        self._descriptors: dict[int, int] = {}
        self._hint = ""
        if root.is_dir():
            self._index_folder()
        elif not root.exists():
            raise InputError(f"{root}: no such folder of images; check the path")
        elif root.name.endswith(COMPRESSED_TARS):
            raise InputError(f"{root}: is compressed: images are read from plain .tar files; unpack it first")
        elif root.suffix == ".tar" and root.is_file():
            self._index(root)
        else:
            raise InputError(f"{root}: is neither a folder of images nor a .tar of them")

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker opens its own descriptors. (A forked one may share: pread has no file position.)
        return {**self.__dict__, "_descriptors": {}}

    def __del__(self) -> None:
        for descriptor in self.__dict__.get("_descriptors", {}).values():
            os.close(descriptor)

    def check(self, name: str) -> None:
        """Read the image's header alone: it is there, of a known format and of bearable size.

        Raises Unfit: missing_image, ambiguous_image, unsafe_path, corrupt_image, too_large_image.
        """
        with _opened(name, self._bytes_of(name)):
            pass

    def load(self, name: str) -> Image.Image:
        """The image decoded, as RGB; see `read_image`.

        Raises Unfit as `check` does; corrupt_image here also says that the pixels cannot be decoded.
        """
        return _decoded(name, self._bytes_of(name))

    def _bytes_of(self, name: str) -> BinaryIO:
        path = posixpath.normpath(name)
        if posixpath.isabs(path):
            raise Unfit("unsafe_path", f"{name}: is absolute; name it as it stands in the image folder")
        if path == ".." or path.startswith("../"):
            raise Unfit("unsafe_path", f"{name}: leads out of the image folder")
        if path in self._ambiguous:
            raise Unfit("ambiguous_image", f"{name}: {self._ambiguous[path]}, and either may be meant")
        member = self._members.get(path)
        try:
            if member is not None:
                tar, offset, size = member
                return io.BufferedReader(_Part(self._descriptor(tar), offset, size))
            if not self.root.is_dir():
                raise Unfit("missing_image", f"{name}: is not in {self.root}")
            return _regular_file(name, self.root / path)
        except FileNotFoundError:
            raise Unfit("missing_image", f"{name}: is not in {self.root}{self._hint}") from None
        except OSError as error:
            raise Unfit("missing_image", f"{name}: cannot be read ({error.strerror})") from None
        except ValueError:  # a NUL or half a surrogate pair
            raise Unfit("missing_image", f"{name!a}: is not a possible file name") from None

    def _descriptor(self, tar: int) -> int:
        if tar not in self._descriptors:
            if len(self._descriptors) >= OPEN_TARS:
                os.close(self._descriptors.pop(next(iter(self._descriptors))))
            self._descriptors[tar] = os.open(self._tars[tar], os.O_RDONLY)
        return self._descriptors[tar]

    def _index_folder(self) -> None:
        try:
            tars = sorted(p for p in self.root.iterdir() if p.name.endswith((".tar", *COMPRESSED_TARS)))
        except OSError as error:
            raise InputError(
                f"{self.root}: cannot be read ({error.strerror}); check the permissions"
            ) from None
        for path in tars:
            if path.suffix != ".tar":
                # Often just the download that the folder was unpacked from, so no error by itself.
                self._hint = f"; {path.name} is compressed and not looked into: unpack it"
            elif path.is_file():
                self._index(path)

    def _index(self, path: Path) -> None:
        number = len(self._tars)
        self._tars.append(path)
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    tar.members = []  # type: ignore[attr-defined]  # else it keeps a kilobyte for each
                    if not member.isreg() or member.issparse():
                        continue
                    name = posixpath.normpath(member.name)
                    held = self._members.get(name)
                    if held is not None and held[0] != number:
                        self._ambiguous[name] = f"is in {self._tars[held[0]].name} and in {path.name}"
                    self._members[name] = (number, member.offset_data, member.size)
        except tarfile.TarError as error:
            raise InputError(f"{path}: is not a whole, uncompressed tar ({error}); make it again") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_image(path: Path) -> Image.Image:
    """One image file decoded, as RGB, the way training sees it.

    Transparent pixels lie on white, as vLLM shows them; more than 8 bits of grey are scaled (see
    `_eight_bits`); of an animation, the first frame. EXIF's orientation is not applied: annotations give
    boxes in the pixels as stored.

    Raises Unfit: missing_image, corrupt_image, too_large_image.
    """
    name = str(path)
    try:
        file = _regular_file(name, path)
    except (OSError, ValueError) as error:
        raise Unfit("missing_image", f"{name!a}: cannot be read ({error})") from None
    return _decoded(name, file)


def _regular_file(name: str, path: Path) -> BinaryIO:
    # Without O_NONBLOCK a named pipe would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unfit("missing_image", f"{name}: is not a regular file")
    return os.fdopen(descriptor, "rb")


@contextmanager
def _opened(name: str, file: BinaryIO) -> Iterator[Image.Image]:
    """The image with its header read. Whatever goes wrong inside the block is the image's fault."""
    with file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the size is checked below, and told once
                with Image.open(file, formats=FORMATS) as image:
                    _check_size(name, image.size)
                    yield image
        except Unfit:
            raise
        except Image.DecompressionBombError:
            raise Unfit("too_large_image", f"{name}: over {2 * MAX_PIXELS:,} pixels") from None
        except UnidentifiedImageError:
            known = ", ".join(FORMATS)
            raise Unfit("corrupt_image", f"{name}: is no image of a known format ({known})") from None
        except Exception as error:  # decoders raise all sorts: OSError, SyntaxError, struct.error, …
            what = " ".join(str(error).split()) or type(error).__name__
            raise Unfit("corrupt_image", f"{name}: cannot be decoded ({what})") from None


def _decoded(name: str, file: BinaryIO) -> Image.Image:
    with _opened(name, file) as image:
        image.load()
        if image.mode == "F" or image.mode.startswith("I"):
            image = _eight_bits(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            page = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(page, image)
        return image.convert("RGB")


class _Part(io.RawIOBase):
    """So many bytes of a file from an offset on, as a file of their own."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor, self._offset, self._size, self._position = descriptor, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        length = max(0, min(len(buffer), self._size - self._position))
        data = os.pread(self._descriptor, length, self._offset + self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _check_size(name: str, size: tuple[int, int]) -> None:
    width, height = size
    if min(size) < 1:
        raise Unfit("corrupt_image", f"{name}: has no pixels ({width} x {height})")
    if width * height > MAX_PIXELS or max(size) > MAX_SIDE or max(size) > MAX_RATIO * min(size):
        raise Unfit(
            "too_large_image",
            f"{name}: is {width:,} x {height:,}; at most {MAX_PIXELS:,} pixels, {MAX_SIDE:,} a side and "
            f"{MAX_RATIO} times as long as wide are read",
        )


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits, its lowest value black and its highest white.

    Pillow's own conversion clips at 255, which turns a radiograph white. Scanners use 10 to 16 of 16
    bits, so the image's own range decides, as in MIMIC-CXR-JPG (arXiv 1901.07042). NaN is black.
    """
    values = np.asarray(image).astype(np.float64)
    known = np.isfinite(values)
    low, high = values.min(where=known, initial=np.inf), values.max(where=known, initial=-np.inf)
    grey = np.zeros(values.shape, dtype=np.uint8)
    if low < high:
        grey[known] = np.round((values[known] - low) * (255 / (high - low)))
    return Image.fromarray(grey)
