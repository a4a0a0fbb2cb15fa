"""Checkpoints that are whole or absent, and that say which run they belong to.

`checkpoint-N` is filled under another name, hashed, synced to disk and only then renamed, so a folder of
that name is complete whatever happened to the process that wrote it. `complete.json` proves it: the hash
and size of every other file. The weights in it are those that train, and the projector always, each
once and whole; of an optimizer that processes share, each writes its part.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, get_args

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from train.config import Recipe, StageName, differences
from train.distributed import gather, processes
from train.records import InputError
from train.zero import is_shared, own_part, whole

WEIGHTS = "trained.safetensors"
RECORD = "record.json"
MARKER = "complete.json"

_PART = "optimizer-{}.pt"
_PROJECTOR = "multi_modal_projector."
_NAME = re.compile(r"checkpoint-(\d+)")
_DRAFT = ".writing-"
_LOCK = "lock"
_DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}

_log = logging.getLogger(__name__)


class _Json(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataRecord(_Json):
    """A data file that a run trained on."""

    path: str
    weight: float
    sha256: str


class PartRecord(_Json):
    """How many weights a part of the model has, and how many of them trained."""

    part: str
    total: int
    trainable: int


class RunRecord(_Json):
    """What a checkpoint belongs to, and how far its run had come. `record.json`."""

    stage: StageName
    step: int
    total_steps: int
    recipe: dict[str, Any]
    """The resolved recipe: `Recipe.model_validate` reads it back."""
    data: list[DataRecord]
    parts: list[PartRecord]
    versions: dict[str, str]
    samples: int = 0
    """Samples trained on so far, repeats counted."""
    tokens: int = 0
    """Supervised positions trained on so far."""
    seconds: float = 0.0
    """Training time so far, over all starts."""
    unreadable: list[int] = []
    """Indices of samples whose image could not be read so far."""
    usable: int = 0
    """Samples that could be used, each counted once."""
    usable_sha256: str = ""
    """Which they were: the order of an epoch follows from them."""
    frozen_sha256: str | None = None
    """Of the weights that do not train, which a checkpoint does not hold; None for those held in 4 bits."""
    processes: int = 1
    """How many trained together when this was written."""
    zero: int = 0
    """ZeRO's stage by which DeepSpeed shared their optimizer; 0 where each had all of it."""


class _File(_Json):
    sha256: str
    size: int


class _Marker(_Json):
    files: dict[str, _File]


# What a run is ---------------------------------------------------------------------------------------


class WeightedFile(Protocol):
    """A data file as the command line gives it."""

    @property
    def path(self) -> Path: ...
    @property
    def weight(self) -> float: ...


def hash_data(files: Iterable[WeightedFile]) -> list[DataRecord]:
    """What the data of a run is known by: each file's hash and weight, in order. Raises InputError."""
    try:
        return [
            DataRecord(path=str(file.path), weight=file.weight, sha256=_sha256(file.path)) for file in files
        ]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None


def versions() -> dict[str, str]:
    """Of Python, of this package and of those whose change can change the numbers."""
    found = {"python": platform.python_version()}
    for package in ("vitkit", "torch", "transformers", "tokenizers", "accelerate", "peft", "bitsandbytes"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def check_same_run(record: RunRecord, recipe: Recipe, data: Sequence[DataRecord], folder: Path) -> None:
    """Raise InputError when the checkpoint in `folder` is of another recipe or other data.

    Stages after the record's own may differ: they have not run. Data files may have moved: what is
    in them, their weights and their order count.
    """
    try:
        theirs = Recipe.model_validate(record.recipe)
    except ValidationError:
        raise InputError(
            f"{folder}: its recipe is not one this version reads; give another --out, or continue it with "
            f"vitkit {record.versions.get('vitkit', 'as it was')}"
        ) from None
    names = get_args(StageName)
    later = names[names.index(record.stage) + 1 :]
    found = [line for line in differences(recipe, theirs) if re.split("[.:]", line)[0] not in later]
    ours = [(file.sha256, file.weight) for file in data]
    if not found and ours != [(file.sha256, file.weight) for file in record.data]:
        found = [f"{record.stage} data: {_files(data)} here, {_files(record.data)} there"]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise InputError(
            f"{folder} is of another run ({'; '.join(found[:3])}{more}): give another --out, or that run's "
            "recipe and data"
        )


def check_same_processes(record: RunRecord, zero: int, folder: Path) -> None:
    """Raise InputError where the optimizer in `folder` is split as it cannot be put together here.

    `zero` is ZeRO's stage now. Processes that share nothing may change in number.
    """
    if zero != record.zero or (zero and record.processes != processes()):
        raise InputError(
            f"{folder} holds the optimizer of {_together(record.processes, record.zero)}, and here is that "
            f"of {_together(processes(), zero)}: start as many processes as it had, or give another --out"
        )


def _together(count: int, zero: int) -> str:
    how = f"under ZeRO-{zero}" if zero else "without DeepSpeed"
    return f"{count} process{'es' if count > 1 else ''} {how}"


def _files(data: Sequence[DataRecord]) -> str:
    return ", ".join(f"{Path(file.path).name}:{file.weight:g} ({file.sha256[:8]})" for file in data) or "none"


def fingerprints(model: Any, *, trained: bool = False) -> dict[str, int]:
    """A number for each frozen parameter: the sum of its bits, read as integers of its own width.

    With `trained`, for those that train as well.

    Where processes share the weights, each sums up its part, and all must ask at once.
    """
    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    parts = {
        name: own_part(parameter)
        for name, parameter in model.named_parameters()
        if trained or not parameter.requires_grad
    }
    sums = {
        name: int(part.view(kinds[part.element_size()]).sum(dtype=torch.int64))
        for name, part in parts.items()
    }
    told = gather(sums) if is_shared(model) else [sums]
    return {name: sum(each[name] for each in told) for name in sums}


def frozen_sha256(model: Any, known: dict[str, int] | None = None) -> str | None:
    """One hash of all frozen parameters, by which a checkpoint knows the weights that it does not hold.

    `known` is what `fingerprints` said of them, where that was asked. None where they are held in 4 bits:
    what an export puts in their place are others.
    """
    if getattr(model, "is_quantized", False):
        return None
    numbers = fingerprints(model) if known is None else known
    text = "".join(f"{name} {number}\n" for name, number in sorted(numbers.items()))
    return hashlib.sha256(text.encode()).hexdigest()


# Weights ---------------------------------------------------------------------------------------------


def kept_parameters(model: Any) -> dict[str, Any]:
    """What a checkpoint holds, by the model's own names: the parameters that train, and the projector."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad or _PROJECTOR in name
    }


def save_weights(model: Any, folder: Path, *, write: bool = True) -> None:
    """Write `trained.safetensors`.

    Where processes share the weights, all must come here at once, and one of them does `write`.
    """
    tensors = {}
    for name, parameter in kept_parameters(model).items():
        with whole(parameter) as value:
            if write:
                # What is gathered is given back at the end of the block.
                tensors[name] = value.detach().to("cpu", copy=value is not parameter).contiguous()
    if write:
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def load_weights(model: Any, folder: Path) -> None:
    """Read what `save_weights` wrote into a model in which the same parameters train, in place.

    Raises InputError, with nothing changed, unless names, shapes and dtypes are exactly the model's.
    """
    _load(kept_parameters(model), folder, lambda name: True, same_dtype=True)


def save_optimizer_part(state: dict[str, Any], folder: Path, process: int) -> None:
    """Write one process's part of the optimizer's state, where processes share it, and sync it to disk."""
    path = folder / _PART.format(process)
    torch.save(state, path)
    _sync(path)  # by the machine that wrote it


def load_optimizer_part(folder: Path, process: int) -> dict[str, Any]:
    """What `save_optimizer_part` wrote for a process. Raises InputError where it is not there."""
    path = folder / _PART.format(process)
    try:
        part = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(
            f"{path}: process {process}'s part of the optimizer is not there; every node needs the same --out"
        ) from None
    return dict(part)


def load_projector(model: Any, folder: Path) -> None:
    """Read the projector alone from a checkpoint, of this stage or another, whatever else is in it.

    Raises InputError, with nothing changed, unless names and shapes are the model's.
    """
    wanted = {name: value for name, value in model.named_parameters() if _PROJECTOR in name}
    _load(wanted, folder, lambda name: _PROJECTOR in name, same_dtype=False)


def _load(wanted: dict[str, Any], folder: Path, chosen: Callable[[str], bool], *, same_dtype: bool) -> None:
    path = folder / WEIGHTS
    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            held = {name: file.get_slice(name) for name in file.keys() if chosen(name)}  # noqa: SIM118
            for name in sorted({*wanted, *held}):
                if name not in held:
                    raise InputError(f"{path}: has no {name}, which this stage trains")
                if name not in wanted:
                    raise InputError(f"{path}: has {name}, which this stage does not train")
                shape, expected = list(held[name].get_shape()), list(wanted[name].shape)
                if shape != expected:
                    raise InputError(f"{path}: {name} is {shape}, this model's is {expected}")
                dtype, needed = held[name].get_dtype(), _DTYPES.get(wanted[name].dtype)
                if same_dtype and dtype != needed:
                    raise InputError(f"{path}: {name} is {dtype}, this model's is {needed}")
            for name, parameter in wanted.items():
                parameter.copy_(file.get_tensor(name))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not readable as safetensors ({error})") from None


# Folders ---------------------------------------------------------------------------------------------


def step_of(checkpoint: Path) -> int | None:
    """The step in a checkpoint folder's name, or None for any other name."""
    match = _NAME.fullmatch(checkpoint.name)
    return int(match[1]) if match else None


def newest_complete(stage_folder: Path, only: Collection[str] | None = None) -> Path | None:
    """The complete checkpoint with the highest step, or None. Broken ones are named in a warning.

    `only` is as `verify` takes it.
    """
    for _, folder in reversed(_checkpoints(stage_folder)):
        try:
            verify(folder, only)
        except InputError as error:
            _log.warning("skipping a broken checkpoint: %s", error)
        else:
            return folder
    return None


def verify(folder: Path, only: Collection[str] | None = None) -> None:
    """Raise InputError unless a checkpoint is complete and unchanged.

    Every file must have its size, and its hash; with `only`, just the files of these names are read for
    theirs: a reader of weights need not wait for the tens of gigabytes of a large optimizer.
    """
    try:
        marker = _Marker.model_validate_json((folder / MARKER).read_bytes())
    except OSError:
        raise InputError(f"{folder}: not complete, it has no {MARKER}") from None
    except ValidationError:
        raise InputError(f"{folder}: not complete, its {MARKER} is torn") from None
    for name, expected in marker.files.items():
        path = folder / name
        try:
            size = path.stat().st_size
            if size != expected.size:
                raise InputError(f"{path}: {size:,} bytes, {expected.size:,} were written")
            if (only is None or name in only) and _sha256(path) != expected.sha256:
                raise InputError(f"{path}: not the bytes that were written")
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def read_record(checkpoint: Path) -> RunRecord:
    """What a checkpoint belongs to. Raises InputError when it does not say."""
    path = checkpoint / RECORD
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        if not checkpoint.exists():
            raise InputError(f"{checkpoint}: no such folder; name a checkpoint-N of a run") from None
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); not a checkpoint-N of a run of ours?"
        ) from None
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


def draft_folder(stage_folder: Path, step: int) -> Path:
    """Where the files of `checkpoint-STEP` are written until they are complete."""
    return stage_folder / f"{_DRAFT}checkpoint-{step}" / f"checkpoint-{step}"


class Draft:
    """A checkpoint in the making. `folder` is there to be filled; `publish` makes it `checkpoint-STEP`.

    Leaving the block without having published removes what was written. A process that dies leaves its
    draft for `clear_drafts`, which knows from the lock, gone with the process, that nobody writes there.

    Raises InputError when another process is writing the same checkpoint.
    """

    def __init__(self, stage_folder: Path, step: int) -> None:
        self.stage_folder = stage_folder
        self.step = step
        self.folder = draft_folder(stage_folder, step)
        self._root = self.folder.parent
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self._root.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self._root)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)

    def publish(self, record: RunRecord) -> Path:
        """Write the record and the marker, sync, and give the folder its name.

        Raises OSError, and InputError where a process's part of a shared optimizer is not in the folder.
        """
        for process in range(record.processes if record.zero else 0):
            part = self.folder / _PART.format(process)
            if not part.is_file():
                raise InputError(
                    f"{part}: process {process}'s part of the optimizer is not there, so this is no "
                    "checkpoint; every node needs the same --out, on a file system that they share"
                )
        (self.folder / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        files = {
            path.relative_to(self.folder).as_posix(): {"sha256": _sha256(path), "size": path.stat().st_size}
            for path in paths
        }
        marker = self.folder / MARKER
        for path in paths:
            _sync(path)
        marker.write_text(json.dumps({"files": files}, indent=2) + "\n", encoding="utf-8")
        _sync(marker)
        for folder in (self.folder, *(path for path in self.folder.rglob("*") if path.is_dir())):
            _sync(folder)
        final = self.stage_folder / self.folder.name
        if final.exists():  # a broken one that this run came past again
            final.rename(self._root / "replaced")
        self.folder.rename(final)
        _sync(self.stage_folder)
        return final


def clear_drafts(stage_folder: Path) -> None:
    """Remove what processes that died while saving left behind.

    Raises InputError when one of them lives: two runs must not share a folder.
    """
    for root in sorted(stage_folder.glob(f"{_DRAFT}*")):
        lock = _lock(root)
        shutil.rmtree(root, ignore_errors=True)
        os.close(lock)


def rotate(stage_folder: Path, newest: int, keep: int) -> None:
    """Delete all but `keep` checkpoints, that of step `newest` and the complete ones before it.

    Call it once `newest` is complete. Those after it, if any, are broken ones that were skipped: they
    stay, and so never take the place of a good one.
    """
    older = [(step, folder) for step, folder in _checkpoints(stage_folder) if step < newest]
    complete = [folder for _, folder in older if (folder / MARKER).is_file()]
    kept = set(complete[len(complete) - (keep - 1) :]) if keep > 1 else set()
    for _, folder in older:
        if folder not in kept:
            (folder / MARKER).unlink(
                missing_ok=True
            )  # first, so that a half-deleted one never passes for whole
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def saving(folder: Path) -> Iterator[None]:
    """Turn what a full or failing disk raises while a checkpoint is written into one InputError."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        why = disk_problem(error, folder)
        if why is None:
            raise
        raise InputError(
            f"{folder}: the checkpoint could not be written ({why}); those before it are untouched. Make "
            "room and run the same command again"
        ) from None


def disk_problem(error: Exception, folder: Path) -> str | None:
    """What a disk did that an error from Python, safetensors or torch tells of; None for any other error."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    text = str(error)
    # safetensors and torch.save write from Rust and C++; neither hands on an errno as Python does.
    if number := re.search(r"os error (\d+)", text):
        return os.strerror(int(number[1]))
    if "PytorchStreamWriter" in text or "inline_container" in text:
        full = shutil.disk_usage(folder).free < 2**20
        return os.strerror(errno.ENOSPC) if full else "the disk took only a part of a file"
    return None


def _checkpoints(stage_folder: Path) -> list[tuple[int, Path]]:
    if not stage_folder.is_dir():
        return []
    found = [(step_of(folder), folder) for folder in stage_folder.iterdir() if folder.is_dir()]
    return sorted((step, folder) for step, folder in found if step is not None)


def _lock(root: Path) -> int:
    lock = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise InputError(
            f"{root.parent}: another process is saving a checkpoint there; wait for it, or give another --out"
        ) from None
    return lock


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
