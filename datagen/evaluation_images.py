"""Tells images of benchmarks from others: by id, by file name, by how they look.

Who trains on an image and evaluates on it measures nothing. COCO's 2014 and 2017 releases cut the same
images into training and validation sets differently, so that most images of the benchmarks made from
val2014 are in train2017.

- An `EvaluationList` knows ids and file names: those of `evaluation_images.txt`, and lists of the user's.
- `EvaluationPictures` knows how the pictures below some folders look, by a perceptual hash.
- `EvaluationImages` is both, asked about one image at a time.
"""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from datagen.records import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHIPPED = Path(__file__).with_name("evaluation_images.txt")

REASON = "evaluation_image"
"""Why an image was excluded that a list names, or that looks like an evaluation picture."""
UNREADABLE = "unreadable_image"
"""Why an image was excluded that was to be compared with evaluation pictures, and could not be."""

BITS = 256
MARGIN = 56
"""In how many bits two copies of one picture may differ. Measured on 147 photographs and drawings: copies in
JPEG of quality 30 and more, in other formats, or in a quarter to twice the size differ in 22 at most, with
3 % of width and height cut off in 48; different pictures in 92 at least, and in half of the bits mostly."""

_SIDE = 64
_FREQUENCIES = 16
_DECODED_SIDE = 128  # JPEG gives a smaller picture for a fraction of the work

_PICTURE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".avif", ".jp2", ".ppm", ".pgm"),
)
_COCO_STEM = re.compile(r"(?:coco_(?:train|val|test)20\d\d_)?(\d{12})", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,19}", re.ASCII)  # what an image id may be
_HEADING = re.compile(r"\[(.*)\]")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class UnreadablePicture(Exception):
    """A picture that cannot be compared; the message says why, in half a sentence."""


class Lookalike(NamedTuple):
    """An evaluation picture that an image looks like."""

    name: str
    """Its path below `folder`."""
    folder: Path
    distance: int
    """In how many of the `BITS` bits they differ."""


# By id and by name.


class EvaluationList:
    """Ids and file names of evaluation images, each with the benchmarks that it belongs to."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """Benchmark to how many images it has here."""
        self._coco_ids: dict[int, list[str]] = {}
        self._own_ids: dict[int, list[str]] = {}
        self._stems: dict[str, list[str]] = {}

    def add_coco_id(self, number: int, benchmark: str) -> None:
        """An image of COCO, under any of the names that COCO gave it, and under no other."""
        self._add(benchmark, (self._coco_ids, number))

    def add(self, entry: str, benchmark: str) -> None:
        """An id or a file name from a list of the user's, who knows what images they are.

        An id is COCO's, the image id of the annotations, or a file's name without ending as it stands. A file
        name is one in any folder, with any ending, in any case; that of a COCO image is all of its names.
        """
        stem = _stem(entry)
        if _NUMBER.fullmatch(entry):
            number = int(entry)
            self._add(benchmark, (self._coco_ids, number), (self._own_ids, number), (self._stems, stem))
        elif coco := _COCO_STEM.fullmatch(stem):
            self._add(benchmark, (self._coco_ids, int(coco[1])))
        else:
            self._add(benchmark, (self._stems, stem))

    def _add(self, benchmark: str, *places: tuple[dict[Any, list[str]], int | str]) -> None:
        is_new = False
        for index, key in places:
            benchmarks = index.setdefault(key, [])
            if benchmark not in benchmarks:
                benchmarks.append(benchmark)
                is_new = True
        self.counts[benchmark] += is_new

    def benchmarks_of(self, file_name: str, image_id: int | None = None) -> tuple[str, ...]:
        """The benchmarks that have this image; none for most. Without `image_id`, by the name alone."""
        stem = _stem(file_name)
        found: list[str] = []
        if coco := _COCO_STEM.fullmatch(stem):
            found += self._coco_ids.get(int(coco[1]), ())
        if image_id is not None:
            found += self._own_ids.get(image_id, ())
        found += self._stems.get(stem, ())
        return tuple(dict.fromkeys(found))


def read_evaluation_list(own: Sequence[Path] = ()) -> EvaluationList:
    """The shipped list, and the user's. `InputError` for one that cannot be used, naming its line."""
    listed = EvaluationList()
    for benchmark, entry in read_entries(SHIPPED):
        listed.add_coco_id(int(entry), benchmark)
    for path in own:
        for benchmark, entry in read_entries(path):
            listed.add(entry, benchmark)
    return listed


def read_entries(path: Path) -> Iterator[tuple[str, str]]:
    """Benchmark and entry (an id, or a file name) of each image that a list file names.

    What stands before the first heading belongs to a benchmark named as the file is. `InputError`
    for a file that cannot be read, names nothing, or has a line that is in no form.
    """
    where = f"--evaluation-ids {path}"
    try:
        if not path.is_file():
            raise InputError(f"{where}: {'not a file' if path.exists() else 'no such file'}")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 text (byte {error.start:,}): save it as UTF-8") from None
    benchmark, heading_at, is_empty = _label(path.stem), 0, True
    lines = enumerate(re.split(r"\r\n|\r|\n", text), 1)
    for number, line in lines:
        line = _COMMENT.sub("", line).strip()
        if not line:
            continue
        at = f"{where}: line {number}"
        if heading := _HEADING.fullmatch(line):
            if heading_at and is_empty:
                break
            benchmark, heading_at, is_empty = heading[1].strip(), number, True
            if not benchmark or _label(benchmark) != benchmark:
                raise InputError(f"{at}: {_said(line)} is no heading: give a [name] without ; and :")
            continue
        for entry in _entries_of(line, at):
            is_empty = False
            yield benchmark, entry
    if is_empty:
        what = f"line {heading_at}: [{benchmark}] names" if heading_at else "names"
        raise InputError(f"{where}: {what} no image: add ids or file names, or leave it out")


def _entries_of(line: str, at: str) -> list[str]:
    """The ids of a line, or its one file name."""
    words = line.replace(",", " ").split()
    if all(map(_NUMBER.fullmatch, words)) and words:
        return words
    # Two names on a line would be taken for one that no file has, and hold nothing back.
    if len(words) > 1 and all(_NUMBER.fullmatch(word) or _has_picture_ending(word) for word in words):
        raise InputError(f"{at}: {_said(line)}: give one file name a line")
    if line[0] in '{["' or line.endswith((",", "{")):
        raise InputError(f"{at}: {_said(line)} looks like JSON: give ids, or file names one a line")
    if _CONTROL.search(line) or not _stem(line):
        raise InputError(f"{at}: {_said(line)} is neither an id nor a file name")
    return [line]


def _label(text: str) -> str:
    """A benchmark's name as it can stand in a list of them."""
    return _CONTROL.sub(" ", text.translate({ord(";"): " ", ord(":"): " "})).strip() or "a list"


def _stem(file_name: str) -> str:
    """The name of a file without folders and ending, as it is compared: in any case and Unicode form."""
    base = re.split(r"[/\\]", file_name)[-1].strip()
    if _has_picture_ending(base):
        base = base[: base.rindex(".")]
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", base).casefold())


def _has_picture_ending(file_name: str) -> bool:
    return os.path.splitext(file_name)[1].lower() in _PICTURE_ENDINGS  # noqa: PTH122


# By looks.


class EvaluationPictures:
    """How the pictures below some folders look."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Reads every picture: files with the ending of one, in whatever subfolder, but for hidden ones.

        `InputError` for a folder without any, and for a picture that cannot be read: what is not
        known would not be found.
        """
        import numpy as np

        self._names: list[tuple[str, Path]] = []
        hashes: list[NDArray[np.uint64]] = []
        for folder in folders:
            where = f"--evaluation-images {folder}"
            before = len(hashes)
            for name in _pictures_below(folder):
                try:
                    hashes.append(picture_hash(folder / name))
                except UnreadablePicture as error:
                    raise InputError(
                        f"{where}: {_shown(name)}: {error}: mend it, or take it out of the folder"
                    ) from None
                self._names.append((_shown(name), folder))
            if len(hashes) == before:
                raise InputError(f"{where}: no picture in it ({', '.join(_PICTURE_ENDINGS)})")
        self._hashes = np.array(hashes, dtype=np.uint64).reshape(len(hashes), BITS // 64)

    def __len__(self) -> int:
        return len(self._names)

    def lookalike(self, picture: Path) -> Lookalike | None:
        """The evaluation picture most like this one, if they differ in `MARGIN` bits at most.

        Raises UnreadablePicture.
        """
        import numpy as np

        if not self._names:
            return None
        distances = np.bitwise_count(self._hashes ^ picture_hash(picture)).sum(axis=1, dtype=np.int64)
        nearest = int(distances.argmin())
        distance = int(distances[nearest])
        return Lookalike(*self._names[nearest], distance) if distance <= MARGIN else None


def picture_hash(path: Path) -> NDArray[np.uint64]:
    """256 bits that copies of a picture share, whatever their size and format: four words of 64.

    The bits say which of the lowest frequencies (16 by 16, of a cosine transform) are above the median.
    Raises UnreadablePicture for what no decoder takes.
    """
    import numpy as np

    pixels = _small(path)
    frequencies = np.arange(_FREQUENCIES)[:, None]
    waves = np.cos(np.pi * (2 * np.arange(_SIDE)[None] + 1) * frequencies / (2 * _SIDE))
    # Rounded, so that what is nothing is nothing on every machine.
    strengths = np.round(waves @ pixels @ waves.T, 3)
    return np.packbits(strengths > np.median(strengths)).view(np.uint64)


def _small(path: Path) -> NDArray[np.float64]:
    """The picture in greys, upright, `_SIDE` pixels square."""
    # Few runs look at pictures; the others do not wait for this to load.
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    if not os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises for a name that is too long)
        raise UnreadablePicture("not a file that is there")
    with warnings.catch_warnings():
        # Odd metadata, and pictures so large that Pillow asks whether they are meant: they are data here.
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as image:
                turned = _turned(image)
                image.draft("L", (_DECODED_SIDE, _DECODED_SIDE))  # where the format can
                # Sixteen bits and more would be cut to eight, most of them to white.
                grey = image.convert("F" if image.mode.startswith(("I", "F")) else "L")
                small = grey.resize((_SIDE, _SIDE), Image.Resampling.BOX)
        except Image.DecompressionBombError:
            raise UnreadablePicture("has more pixels than are safe to decode") from None
        except Exception as error:  # decoders of fifty formats, each with exceptions of its own
            what = "not a picture" if isinstance(error, UnidentifiedImageError) else "damaged"
            raise UnreadablePicture(f"cannot be read as a picture ({what})") from None
        if turned is not None:
            small = small.transpose(turned)
    pixels = np.asarray(small, dtype=np.float64)
    if not np.isfinite(pixels).all():
        raise UnreadablePicture("cannot be read as a picture (it has pixels that are no numbers)")
    # Of whatever depth, 0 to 255, so that rounding later on means the same.
    darkest, brightest = float(pixels.min()), float(pixels.max())
    if darkest >= 0 and brightest <= 255:
        return pixels
    return (pixels - darkest) * (255 / (brightest - darkest or 1))


def _turned(image: Any) -> Any:
    """The transposition that sets a picture upright, from its metadata; None where it is."""
    from PIL import Image

    turns = Image.Transpose
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # metadata that cannot be read turns nothing
        return None
    return {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(orientation)


def _pictures_below(folder: Path) -> list[str]:
    """Paths below the folder of all files with a picture's ending, in order; links are followed."""
    found: list[str] = []
    seen: set[tuple[int, int]] = set()

    def fail(error: OSError) -> None:
        raise InputError(f"--evaluation-images {folder}: {_shown(error.filename)}: {error.strerror}")

    for above, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        status = os.stat(above)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:  # a link back up
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        # macOS writes ._NAME.jpg beside NAME.jpg, which is no picture.
        names = [name for name in files if _has_picture_ending(name) and not name.startswith(".")]
        found += [os.path.relpath(os.path.join(above, name), folder) for name in names]  # noqa: PTH118
    return sorted(found)


# Both.


class EvaluationImages:
    """What is known of evaluation images, to ask about the images of a data set."""

    def __init__(
        self, listed: EvaluationList, folders: Sequence[Path] = (), images: Path | None = None
    ) -> None:
        """`images` is the data set's folder; without it, or without `folders`, looks are not compared.

        Raises InputError as EvaluationPictures does.
        """
        self.listed = listed
        self.images = images
        self.pictures = EvaluationPictures(folders) if folders and images is not None else None

    def why(self, file_name: str, image_id: int | None = None) -> str | None:
        """Why this image is taken for an evaluation image, or None when it is not.

        Its looks are compared only where no list has it. Raises UnreadablePicture.
        """
        if benchmarks := self.listed.benchmarks_of(file_name, image_id):
            return f"{file_name}: in {'; '.join(benchmarks)}"
        if self.pictures is None or self.images is None:
            return None
        if like := self.pictures.lookalike(self.images / file_name):
            return (
                f"{file_name}: looks like {like.name} in {like.folder} (distance {like.distance} of {BITS})"
            )
        return None


def count_by_benchmark(reasons: Iterable[str]) -> dict[str, int]:
    """How many of what `EvaluationImages.why` said name each benchmark, most first; one may name several."""
    counts: Counter[str] = Counter()
    for why in reasons:
        if re.search(rf": looks like .* \(distance \d+ of {BITS}\)\Z", why, re.DOTALL):
            counts["by their looks"] += 1
        else:
            counts.update(why.rpartition(": in ")[2].split("; "))
    return dict(counts.most_common())


def _shown(name: str) -> str:
    """A file's name as text that can be printed and stored, whatever bytes are in it."""
    return _CONTROL.sub("�", os.fsencode(name).decode("utf-8", "backslashreplace"))


def _said(text: str) -> str:
    """A line of a file, not too long, without what a terminal would obey."""
    text = _CONTROL.sub("�", text)
    return text if len(text) <= 60 else f"{text[:59]}…"
