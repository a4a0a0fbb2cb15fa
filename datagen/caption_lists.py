"""Image-caption lists (CC3M's TSV, LAION's and img2dataset's Parquet, JSON) in, an alignment set out."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from datagen.alignment import alignment_record
from datagen.checks import forbidden_check, phrase_check
from datagen.concepts import FREQUENT, RARE, balance
from datagen.convert.collection import LeftOut, Where, image_id_of, printable
from datagen.convert.files import NoColumns, find_columns, read_table, read_text
from datagen.convert.images import Fault, ImageFolder
from datagen.convert.summary import count_lines
from datagen.convert.tables import IMAGE
from datagen.convert.writing import check_new, new_folder, write_left_out
from datagen.emit import ALIGNMENT
from datagen.evaluation_images import read_evaluation_list
from datagen.prompting import Pack, find_pack, load_pack
from datagen.records import ImageAnnotation, InputError, Turn, counted
from schemas import LlavaRecord
from schemas.llava import IMAGE_TOKEN

_COLUMNS = {
    # Not `id`, which is a number in the list more often than a picture's name.
    "image": ("key", *(name for name in IMAGE if name != "id")),
    "caption": ("caption", "text", "title", "alttext", "description", "topcaption"),
    "url": ("url", "imageurl"),
    "status": ("status",),
}
"""Role to the names that its column may have, the best first. `key` and `status` are img2dataset's."""
_NEEDS = (("image", "caption"), ("url", "caption"))
_DOWNLOADED = "success"
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_LOST = re.compile("[\ufffd\ud800-\udfff]")


class Watcher(Protocol):
    """Is told how it goes."""

    def begins(self, step: str, units: int | None) -> None: ...

    def done(self) -> None: ...


class Pair(NamedTuple):
    """A line of a list that can be used."""

    where: Where
    image: str
    """The picture's path below the image folder."""
    caption: str


@dataclass(frozen=True, slots=True)
class Concepts:
    """What the filter saw."""

    phrases: int
    """Different noun phrases."""
    used: int
    """Of these counted often enough to decide."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """What came of caption lists. pairs = records + lines of left_out.jsonl."""

    pairs: int
    """Lines of the lists."""
    records: int
    """In the set: one an image."""
    counts: dict[str, dict[str, int]]
    """Outcome to reason to how many lines of left_out.jsonl."""
    concepts: Concepts | None
    """Where the captions were balanced."""


def align(
    paths: Sequence[Path],
    images: Path,
    out: Path,
    watcher: Watcher,
    *,
    pack: str,
    seed: int,
    concept_balanced: bool,
) -> Aligned:
    """Write the alignment set of caption lists into the new folder `out`.

    One record an image, made as `captions` makes it from annotation files: one of its captions, under
    one of the pack's short instructions. Left out are images of benchmarks and captions that a phrase
    list of the pack finds. Raises InputError with nothing written.
    """
    check_new(out)
    loaded = load_pack(find_pack(pack))
    folder = ImageFolder(images)
    left_out: list[LeftOut] = []
    lines = 0
    pairs_of: dict[str, list[Pair]] = {}
    sieve = _Sieve(loaded, folder)
    watcher.begins("reading", None)
    for path in paths:
        for where, values in _lines(path):
            lines += 1
            watcher.done()
            found = sieve.pair(where, values)
            if isinstance(found, Pair):
                pairs_of.setdefault(found.image, []).append(found)
            else:
                left_out.append(found)
    chosen: list[tuple[Pair, LlavaRecord]] = []
    for name, pairs in sorted(pairs_of.items()):
        # In an order of their own, so that the lists' order decides nothing.
        pairs.sort(key=lambda pair: pair.caption)
        captions = tuple(pair.caption for pair in pairs)
        annotation = ImageAnnotation(image_id_of(name), name, 1, 1, captions, ())
        record = alignment_record(annotation, loaded.word_lists["alignment"], seed, lambda caption: None)
        assert record is not None
        drawn = captions.index(record.conversations[1].value)
        chosen.append((pairs[drawn], record))
        for position, pair in enumerate(pairs):
            if position != drawn:
                left_out.append(_left_out(pair, "another_caption", "its image has one in the set"))
    concepts = None
    if concept_balanced:
        watcher.begins("balancing", None)
        captions = tuple(pair.caption for pair, _ in chosen)
        balanced = balance(captions, [pair.image for pair, _ in chosen], seed)
        concepts = Concepts(balanced.phrases, balanced.phrases_used)
        in_pool, rare = set(balanced.chosen), set(balanced.rare)
        for at, (pair, _) in enumerate(chosen):
            if at in rare:
                detail = f"none of its noun phrases is in {RARE} captions"
                left_out.append(_left_out(pair, "rare_concepts", detail))
            elif at not in in_pool:
                detail = (
                    f"each of its noun phrases is in more than {FREQUENT} captions, and others were drawn"
                )
                left_out.append(_left_out(pair, "frequent_concepts", detail))
        chosen = [chosen[at] for at in balanced.chosen]
    if not chosen:
        raise InputError(_nothing(paths, left_out))
    with new_folder(out) as writing:
        with (writing / ALIGNMENT).open("w", encoding="utf-8") as file:
            for position, (_, record) in enumerate(chosen):
                file.write((",\n" if position else "[\n") + record.model_dump_json(by_alias=True))
            file.write("\n]\n")
        write_left_out(left_out, writing)
    counts = Counter(line.reason for line in left_out)
    return Aligned(lines, len(chosen), {"left_out": dict(counts.most_common())}, concepts)


def summary(aligned: Aligned, images: Path, out: Path) -> list[str]:
    """Line by line: what was made, what was not and why, where it is, what to do next."""
    lines = [f"{counted(aligned.pairs, 'pair')} read, {aligned.records:,} in the set: {out / ALIGNMENT}"]
    if (concepts := aligned.concepts) is not None:
        phrases = counted(concepts.phrases, "different noun phrase")
        lines.append(
            f"concepts: {phrases}, {concepts.used:,} of them in at least {RARE} captions and so in the set"
        )
    made = [f"ALIGN_DATA={out / ALIGNMENT}", f"ALIGN_IMAGES={images}"]
    train = f"make train RECIPE=… DATA=… IMAGES=… {shlex.join(made)}"
    return [*lines, *count_lines(aligned.counts, out), f"next: {train}"]


class _Sieve:
    """Tells the lines that can be used."""

    def __init__(self, pack: Pack, images: ImageFolder) -> None:
        self._images = images
        self._unfit = [phrase_check(name, pack.word_lists) for name in ("refusals", "leaks")]
        self._forbidden = forbidden_check(pack.word_lists)
        self._evaluation = read_evaluation_list()
        self._seen: set[tuple[str, str]] = set()

    def pair(self, where: Where, values: Mapping[str, Any] | str) -> Pair | LeftOut:
        """`values` is by role; or, as text, what is wrong with a line that could not be read."""
        if isinstance(values, str):
            return _named(where, "bad_line", values)
        status = values.get("status")
        if isinstance(status, str) and status != _DOWNLOADED:
            return _named(where, "not_downloaded", f"its status is {status!r}")
        caption = values.get("caption")
        caption = " ".join(caption.split()) if isinstance(caption, str) else ""
        if not caption:
            return _named(where, "empty_caption", "it has no caption")
        name = str(values.get("image") or "").strip() or _base_name(str(values.get("url") or ""))
        found = self._images.find(name)
        if isinstance(found, Fault):
            return _named(where, *found)
        if benchmarks := self._evaluation.benchmarks_of(found):
            return _named(where, "evaluation_image", f"in {'; '.join(benchmarks)}", found)
        if _LOST.search(caption):
            return _named(where, "bad_caption", "characters of it were lost in a wrong encoding", found)
        if (
            IMAGE_TOKEN in caption
            or self._forbidden.may_never_say(caption)
            or any(check(Turn("", caption)) for check in self._unfit)
        ):
            return _named(where, "unfit_caption", f"it says {caption[:80]!r}", found)
        if (found, caption) in self._seen:
            return _named(where, "duplicate_pair", "the image has this caption already", found)
        self._seen.add((found, caption))
        return Pair(where, found, caption)


def _named(where: Where, reason: str, detail: str, image: str | None = None) -> LeftOut:
    file, record, detail = (printable(text) for text in (str(where.file), where.record, detail))
    return LeftOut("left_out", reason, file, record, detail, image)


def _left_out(pair: Pair, reason: str, detail: str) -> LeftOut:
    return _named(pair.where, reason, detail, pair.image)


def _base_name(url: str) -> str:
    try:
        return unquote(urlsplit(url).path).rpartition("/")[2]
    except ValueError:
        return ""


def _lines(path: Path) -> Iterator[tuple[Where, Mapping[str, Any] | str]]:
    """The lines of a list, each by role, or with what is wrong with it. Raises InputError."""
    if path.suffix.lower() == ".parquet":
        return _parquet_lines(path)
    text = read_text(path)
    if text.lstrip()[:1] in ("[", "{"):
        return _json_lines(path, text)
    try:
        table = read_table(path, _COLUMNS, _NEEDS)
    except NoColumns:
        if (lines := _lines_without_header(path, text)) is None:
            raise
        return lines
    return (
        (Where(path, f"line {row.line}"), row.values or "it has more or fewer values than the header")
        for row in table.rows
    )


def _lines_without_header(path: Path, text: str) -> Iterator[tuple[Where, Mapping[str, Any] | str]] | None:
    """CC3M's form: caption, tab, address, without header or quotes; None for another."""
    first = text.partition("\n")[0].split("\t")
    if len(first) != 2 or not _ADDRESS.match(first[1]):
        return None
    return (
        (
            Where(path, f"line {number}"),
            {"caption": fields[0], "url": fields[1]}
            if len(fields := line.split("\t")) == 2
            else "it is not a caption, a tab and an address",
        )
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    )


def _json_lines(path: Path, text: str) -> Iterator[tuple[Where, Mapping[str, Any] | str]]:
    """A JSON array of objects, or an object a line."""
    if text.lstrip().startswith("["):
        try:
            records = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: is not JSON ({str(error)[:120]}); download it again") from None
        for position, record in enumerate(records):
            yield Where(path, f"[{position}]"), _by_role(path, record)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if number == 1 and record is None:
                raise InputError(f"{path}: is neither a JSON array nor an object a line")
            yield Where(path, f"line {number}"), _by_role(path, record)


def _by_role(path: Path, record: object) -> Mapping[str, Any] | str:
    if not isinstance(record, dict):
        return "it is not a JSON object"
    if "conversations" in record:
        raise InputError(f"{path}: is LLaVA JSON already: train on it as it is")
    if "images" in record and "annotations" in record:
        raise InputError(f"{path}: is a COCO file: give it to `python -m datagen captions --captions`")
    keys = list(record)
    return {role: record[keys[at]] for role, at in find_columns(keys, _COLUMNS).items()}


def _parquet_lines(path: Path) -> Iterator[tuple[Where, Mapping[str, Any] | str]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InputError(f"{path}: reading Parquet needs pyarrow: pip install 'vitkit[parquet]'") from None
    try:
        with ParquetFile(path) as file:
            header = file.schema_arrow.names
            roles = find_columns(header, _COLUMNS)
            if not any(all(role in roles for role in needed) for needed in _NEEDS):
                raise NoColumns(
                    f"{path}: its columns are {', '.join(header)}; it needs image or url, and caption"
                )
            number = 0
            for batch in file.iter_batches(columns=[header[at] for at in roles.values()]):
                columns = [batch.column(header[at]).to_pylist() for at in roles.values()]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield Where(path, f"row {number}"), dict(zip(roles, values, strict=True))
    except (ArrowException, OSError) as error:
        raise InputError(
            f"{path}: cannot be read as Parquet ({' '.join(str(error).split())[:120]})"
        ) from None


def _nothing(paths: Sequence[Path], left_out: Sequence[LeftOut]) -> str:
    found = f"{', '.join(map(str, paths))}: no pair can be used"
    if not left_out:
        return found
    reasons = Counter(line.reason for line in left_out).most_common()
    told = ", ".join(f"{reason} {count:,}" for reason, count in reasons)
    return f"{found}: {told} (the first, {left_out[0].record}: {left_out[0].detail})"
