"""LLaVA JSON into samples, samples into what the model is trained on, one at a time and in what order."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import mmap
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from PIL import Image

from schemas.llava import IMAGE_TOKEN
from train.conversation import Encoder, check_labels
from train.distributed import gather, process, processes
from train.images import ImageStore
from train.records import IGNORE_INDEX, InputError, LeftOut, Sample, Unfit

ROLES = {"human": "human", "gpt": "gpt", "user": "human", "assistant": "gpt"}
"""LLaVA's names of the speakers, and the names that much public data has in their place."""

_SPEAKERS = ("human", "gpt")
_DATAGEN_ID = re.compile(r"(.+?)-\d{12,}(?:-\d+)?")
_NO_LIST = "holds no list; give LLaVA JSON, a list of records (a record a line wants the name .jsonl)"
_BROKEN = "holds a NUL or half a surrogate pair"


@dataclass(frozen=True)
class DataFile:
    """A file of samples, and how often an epoch goes through it."""

    path: Path
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sample that can be trained on: it encodes, its labels are right, its images have good headers.

    Token ids are not kept: for LLaVA-1.5's 665k samples they would be gigabytes in every process.
    """

    sample: Sample
    length: int
    """Positions, image features included."""
    n_images: int
    dropped_turns: int


@dataclass
class Example:
    """One sample as tensors."""

    index: int
    """Its place in `InstructionData.prepared`."""
    input_ids: torch.Tensor
    """Long[length]"""
    labels: torch.Tensor
    """Long[length]"""
    pixel_values: torch.Tensor
    """Float[n_images, 3, H, W]"""
    problem: tuple[str, str] | None
    """Reason and detail, where an image could not be decoded and the sample trains nothing."""


class Interrupted(Exception):
    """Somebody asked for the run to end while samples were read."""


def parse_data_file(text: str) -> DataFile:
    """`F` or `F:WEIGHT`, as the command line gives it.

    Weight 2 goes through the file twice an epoch, 0.5 through a random half of it. Raises InputError
    for a weight that is no number above 0.
    """
    head, colon, tail = text.rpartition(":")
    if not colon or "/" in tail or Path(text).exists():
        return DataFile(Path(text))
    try:
        weight = float(tail)
    except ValueError:
        weight = math.nan
    if not head or not 0 < weight < math.inf:
        raise InputError(f"{text}: {tail!r} is no weight; give F or F:WEIGHT, the weight a number above 0")
    return DataFile(Path(head), weight)


def read_samples(files: Sequence[DataFile], stage: str) -> tuple[list[Sample], list[LeftOut]]:
    """The records of LLaVA JSON files (`.jsonl`: one a line), and those whose form is wrong.

    Taken as they are: records without `image` (or with null or an empty list), several images,
    `<image>` anywhere in human turns so long as there is one for each image, ids that are numbers or
    repeat, further keys, `user` and `assistant` as speakers. Windows line ends become `\\n`.

    A record's reason to be left out is one of: not_utf8, not_an_object, bad_image, no_turns, bad_turn,
    wrong_roles, empty_turn, bad_character, image_in_answer, image_count.

    Raises InputError for a file that cannot be read, is no JSON, no list, or empty, or is given twice.
    """
    samples: list[Sample] = []
    left_out: list[LeftOut] = []
    seen: set[Path] = set()
    for path in (file.path for file in files):
        if path.resolve() in seen:
            raise InputError(f"{path}: is given twice; give it once, with a weight ({path}:2)")
        seen.add(path.resolve())
        file, source = str(path), path.stem
        record = -1
        for record, row in enumerate(_rows(path)):
            name = _id_of(row, f"{source}[{record}]")
            try:
                images, turns = _read(row)
            except Unfit as unfit:
                left_out.append(LeftOut(stage, file, record, name, unfit.reason, unfit.detail))
                continue
            ours = _DATAGEN_ID.fullmatch(name)
            response_type = sys.intern(ours[1]) if ours else "other"
            samples.append(Sample(file, record, name, source, response_type, images, turns))
        if record < 0:
            raise InputError(f"{path}: holds no records; give LLaVA JSON, a list of conversations")
    return samples, left_out


def prepare(
    samples: Sequence[Sample],
    encoder: Encoder,
    store: ImageStore | None,
    stage: str,
    *,
    needs_images: bool,
    workers: int = 0,
    advance: Callable[[], None] = lambda: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[Prepared], list[LeftOut]]:
    """Encode every sample once, audit its labels, and read its images' headers, before any step is taken.

    `needs_images` is for a stage that trains the projector alone: samples that show no image would
    train nothing, and are left out as text_only. Wrong labels are left out as `labels`; the other
    reasons are the encoder's and the store's.

    The run's processes share the samples out, every n-th to each, and each has `workers` more for its
    share (0: done here); the outcome is the same, and whole in all of them. `advance` is called after
    each sample of this one's share. Raises Interrupted where `stop` says so in any process.
    """
    first, every = process(), processes()
    checks = torch.utils.data.DataLoader(
        _Checks(samples[first::every], encoder, store, needs_images),
        batch_size=64,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=outlive_sigterm,
        generator=torch.Generator(),  # of its own, so that the run's random state stays as it was
    )
    own: list[tuple[int, int, int] | tuple[str, str]] = []
    for batch in checks:
        for found in batch:
            own.append(found)
            advance()
        if stop():
            break
    shares = gather((own, stop()))
    if any(stopped for _, stopped in shares):
        raise Interrupted
    prepared: list[Prepared] = []
    left_out: list[LeftOut] = []
    for at, sample in enumerate(samples):
        found = shares[at % every][0][at // every]
        if isinstance(found[0], str):
            left_out.append(LeftOut(stage, sample.file, sample.record, sample.id, *found))
        else:
            prepared.append(Prepared(sample, *found))
    return prepared, left_out


def check_share(left_out: Sequence[LeftOut], total: int, limit: float, stage: str) -> None:
    """Stop where more than `limit` of `total` samples were left out, or all of them. Raises InputError."""
    count = len(left_out)
    if count < total and count / total <= limit:
        return
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in Counter(x.reason for x in left_out).most_common())
    first = "; ".join(
        " ".join(f"{x.file}[{x.record}] {x.id}: {x.reason} ({x.detail})".split()) for x in left_out[:2]
    )
    if count >= total:
        raise InputError(
            f"{stage}: none of {total:,} samples can be used ({reasons}): {first}; left_out.jsonl names all"
        )
    # Rounded up, so that the share that is told does let the run go on.
    share = math.ceil(1000 * count / total) / 1000
    raise InputError(
        f"{stage}: {count:,} of {total:,} samples cannot be used ({reasons}), more than {stage}.max_left_out "
        f"allows ({limit:g}): {first}; left_out.jsonl names all; mend them, or go on "
        f"without them with {stage}.max_left_out={share:g}"
    )


def start_left_out(path: Path, stage: str, items: Iterable[LeftOut]) -> None:
    """Put `items` in place of what an earlier start of the stage left out at its start.

    Samples of this stage that a step could not decode stay, and so do other stages'. The file is replaced
    whole: a kill leaves the old one or the new one.
    """
    kept = [line for line in _lines(path) if _stays(line, stage)]
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(b"".join(line + b"\n" for line in [*kept, *_encoded(items)]))
    temporary.replace(path)


def append_left_out(path: Path, items: Iterable[LeftOut]) -> None:
    """Add those not there yet to `left_out.jsonl`, one a line, in one write."""
    seen = set(_lines(path))
    data = b"".join(line + b"\n" for line in _encoded(items) if line not in seen)
    with path.open("ab", buffering=0) as file:
        if data and file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _lines(path: Path) -> list[bytes]:
    """Whole lines: the last one may be torn (a process was killed, a disk full)."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _encoded(items: Iterable[LeftOut]) -> Iterator[bytes]:
    yield from dict.fromkeys(msgspec.json.encode(asdict(item)) for item in items)


def _stays(line: bytes, stage: str) -> bool:
    entry = msgspec.json.decode(line)
    return entry["stage"] != stage or entry["step"] is not None


def outlive_sigterm(_: int = 0) -> None:
    """Have a process that reads images ignore SIGTERM, which Slurm sends to every process of a job.

    It would die of it at once, and with it the step that the training process wants to finish and save.
    It still ends when that process does.
    """
    in_worker = torch.utils.data.get_worker_info() is not None
    if in_worker and signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class InstructionData(torch.utils.data.Dataset):
    """Prepared samples as tensors: encoded, and their images read, when asked for.

    An image that proves unreadable is not replaced and its sample keeps its slot: all its pixels are
    grey (zeros, the mean colour), every label is IGNORE_INDEX, and `problem` says why.
    """

    def __init__(
        self,
        prepared: Sequence[Prepared],
        encoder: Encoder,
        store: ImageStore | None,
        image_processor: Any,
    ) -> None:
        self.prepared = prepared
        self._encoder = encoder
        self._store = store
        self._image_processor = image_processor
        self._grey = torch.zeros_like(self._pixels([Image.new("RGB", (32, 32))]))

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, index: int) -> Example:
        outlive_sigterm()
        sample = self.prepared[index].sample
        encoded = self._encoder.encode(sample.turns)
        input_ids, labels = torch.tensor(encoded.input_ids), torch.tensor(encoded.labels)
        problem = None
        pixel_values = self._grey.expand(encoded.n_images, -1, -1, -1)
        # Turns dropped to fit the length take their images along: a row too many would shift every
        # later image of the batch onto the wrong sample.
        names = sample.images[: encoded.n_images]
        if names:
            try:
                pixel_values = self._pixels([_given(self._store, name).load(name) for name in names])
            except Unfit as unfit:
                problem = (unfit.reason, unfit.detail)
                labels = torch.full_like(labels, IGNORE_INDEX)
        return Example(index, input_ids, labels, pixel_values, problem)

    def _pixels(self, images: list[Image.Image]) -> torch.Tensor:
        pixel_values: torch.Tensor = self._image_processor(images=images, return_tensors="pt")["pixel_values"]
        return pixel_values


class WeightedSampler(torch.utils.data.Sampler[int]):
    """The order of an epoch: a pure function of the samples, the files' weights, the seed and the epoch.

    A file of n samples and weight w is gone through floor(w) times, and of its samples a random
    round(w * n) - floor(w) * n come once more; all picks are then shuffled.

    Raises InputError where the weights leave nothing of any file.
    """

    def __init__(self, prepared: Sequence[Prepared], files: Sequence[DataFile], seed: int) -> None:
        self.seed = seed
        self.epoch = 0
        places: dict[str, list[int]] = {str(file.path): [] for file in files}
        for index, each in enumerate(prepared):
            places[each.sample.file].append(index)
        self._files = [
            (torch.tensor(indices, dtype=torch.long), round(file.weight * len(indices)))
            for file, indices in zip(files, places.values(), strict=True)
        ]
        if not len(self):
            raise InputError("the weights of the data files leave no sample to an epoch; raise them")

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(picks for _, picks in self._files)

    def __iter__(self) -> Iterator[int]:
        digest = hashlib.sha256(f"{self.seed} {self.epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
        picks = []
        for indices, count in self._files:
            if not count:
                continue
            passes, rest = divmod(count, len(indices))
            picks += [indices] * passes
            picks.append(indices[torch.randperm(len(indices), generator=generator)[:rest]])
        order = torch.cat(picks)
        yield from order[torch.randperm(len(order), generator=generator)].tolist()


# Reading


def _rows(path: Path) -> Iterator[object]:
    """A file's records, decoded one at a time; an Unfit in the place of one that is not UTF-8."""
    data = _contents(path)
    lines = path.suffix.lower() == ".jsonl"
    try:
        raws: Sequence[msgspec.Raw] = _decode_lines(data) if lines else _decode_list(data)
    except msgspec.ValidationError:
        raise InputError(f"{path}: {_NO_LIST}") from None
    except (msgspec.DecodeError, RecursionError):
        yield from _rows_as_python_reads_them(path, data, lines)
        return
    for raw in raws:
        try:
            yield msgspec.json.decode(raw)
        except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
            yield Unfit("not_utf8", f"its text is not UTF-8 ({error})")


_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_lines = msgspec.json.Decoder(msgspec.Raw).decode_lines


def _contents(path: Path) -> memoryview:
    """A file's bytes without a byte order mark. Mapped: the pages are the system's to take back."""
    try:
        if not path.exists():
            raise InputError(f"{path}: does not exist; check the path")
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file; give LLaVA JSON")
        if not path.stat().st_size:
            raise InputError(f"{path}: is empty; copy or download it again")
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if bytes(data[:4]).startswith((b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd")):  # gzip, zip, zstandard
        raise InputError(f"{path}: is compressed; unpack it first")
    return data[3:] if bytes(data[:3]) == b"\xef\xbb\xbf" else data


def _rows_as_python_reads_them(path: Path, data: memoryview, lines: bool) -> Iterator[object]:
    """Python's parser also takes NaN and half surrogate pairs, and says in which line JSON breaks."""
    number = 1
    try:
        if lines:
            for line in bytes(data).split(b"\n"):
                if line.strip():
                    yield json.loads(line)
                number += 1
            return
        rows = json.loads(bytes(data))
    except RecursionError:
        raise InputError(f"{path}: is nested far deeper than LLaVA JSON is") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 (byte {error.start:,}); save it as UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {number + error.lineno - 1:,}, column {error.colno:,}"
        raise InputError(f"{path}: is not JSON ({where}: {error.msg}); mend it, or copy it again") from None
    if not isinstance(rows, list):
        raise InputError(f"{path}: {_NO_LIST}")
    yield from rows


def _id_of(row: object, place: str) -> str:
    given = row.get("id") if isinstance(row, dict) else None
    if isinstance(given, bool) or not isinstance(given, str | int) or given == "":
        return place
    # Half a surrogate pair can be written nowhere.
    return str(given).encode(errors="replace").decode()


def _read(row: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A record's images and turns. Raises Unfit."""
    if isinstance(row, Unfit):
        raise row
    if not isinstance(row, dict):
        kind = "null" if row is None else _kind(row)
        raise Unfit("not_an_object", f"is {kind}, not an object with conversations")
    images = _images_of(row.get("image"))
    turns = _turns_of(row.get("conversations"))
    if any(IMAGE_TOKEN in answer for answer in turns[1::2]):
        raise Unfit("image_in_answer", f"an answer holds {IMAGE_TOKEN}")
    marks = sum(question.count(IMAGE_TOKEN) for question in turns[::2])
    if marks != len(images):
        times = "once" if marks == 1 else f"{marks} times"
        named = "1 image" if len(images) == 1 else f"{len(images)} images"
        raise Unfit("image_count", f"has {IMAGE_TOKEN} {times} and names {named}")
    return images, turns


def _images_of(image: object) -> tuple[str, ...]:
    names = [] if image is None else image if isinstance(image, list) else [image]
    for name in names:
        if not isinstance(name, str):
            raise Unfit("bad_image", f"image is {_kind(name)}, not a path")
        if not name.strip():
            raise Unfit("bad_image", "image is an empty string; a record about no image has no such key")
        if _is_broken(name):
            raise Unfit("bad_image", f"the path {name!a} {_BROKEN}")
    return tuple(map(sys.intern, names))  # many samples are about one image


def _turns_of(conversations: object) -> tuple[str, ...]:
    if not isinstance(conversations, list) or not conversations:
        kind = "empty" if conversations == [] else _kind(conversations)
        raise Unfit("no_turns", f"conversations is {kind}, not a list of turns")
    turns: list[str] = []
    for number, message in enumerate(conversations):
        if not isinstance(message, dict):
            raise Unfit("bad_turn", f"turn {number} is {_kind(message)}, not an object with from and value")
        speaker, value = message.get("from"), message.get("value")
        if speaker is None:
            raise Unfit("wrong_roles", f"turn {number} has no from, which says human or gpt")
        if not isinstance(speaker, str) or speaker not in ROLES:
            raise Unfit("wrong_roles", f"turn {number} is from {ascii(speaker)[:40]}, not human or gpt")
        expected = _SPEAKERS[number % 2]
        if ROLES[speaker] != expected:
            raise Unfit("wrong_roles", f"turn {number} is {speaker}'s, and should be {expected}'s")
        if not isinstance(value, str):
            raise Unfit("bad_turn", f"turn {number} has {_kind(value)} for its value, not a string")
        if not value.strip():
            raise Unfit("empty_turn", f"turn {number} ({speaker}'s) is empty")
        if _is_broken(value):
            raise Unfit("bad_character", f"turn {number} {_BROKEN}")
        turns.append(value.replace("\r\n", "\n") if "\r" in value else value)
    if len(turns) % 2:
        raise Unfit("wrong_roles", f"the last turn is {speaker}'s, and no answer follows")
    return tuple(turns)


def _is_broken(text: str) -> bool:
    if "\0" in text:
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "missing"}
    return names.get(type(value), "a number")


# Preparing


class _Checks(torch.utils.data.Dataset):
    """What is found of each sample: length, images, dropped turns; or the reason and detail of an Unfit."""

    def __init__(
        self, samples: Sequence[Sample], encoder: Encoder, store: ImageStore | None, needs_images: bool
    ) -> None:
        self._samples = samples
        self._encoder = encoder
        self._store = store
        self._needs_images = needs_images
        self._headers: dict[str, Unfit | None] = {}  # many samples are about one image

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[int, int, int] | tuple[str, str]:
        try:
            return self._check(self._samples[index])
        except Unfit as unfit:
            return unfit.reason, unfit.detail

    def _check(self, sample: Sample) -> tuple[int, int, int]:
        if self._needs_images and not sample.images:
            raise Unfit("text_only", "has no image, and this stage trains the projector alone")
        encoded = self._encoder.encode(sample.turns)
        wrong = check_labels(self._encoder, sample.turns, encoded)
        if wrong is not None:
            raise Unfit("labels", wrong)
        if self._needs_images and not encoded.n_images:
            raise Unfit("text_only", "its images stand in turns that were dropped to fit the length")
        for name in sample.images[: encoded.n_images]:
            self._check_header(name)
        return len(encoded.input_ids), encoded.n_images, encoded.dropped_turns

    def _check_header(self, name: str) -> None:
        if name not in self._headers:
            self._headers[name] = None
            try:
                _given(self._store, name).check(name)
            except Unfit as unfit:
                self._headers[name] = unfit
        found = self._headers[name]
        if found is not None:
            raise Unfit(found.reason, found.detail)


def _given(store: ImageStore | None, name: str) -> ImageStore:
    if store is None:
        raise Unfit("missing_image", f"{name}: no image folder was given")
    return store
