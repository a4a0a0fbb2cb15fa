"""Writes a run's files: LLaVA JSON, rejected.jsonl and the manifest, never half.

Everything goes to temporary files first, is synced, and is then renamed over what was there. The
manifest goes first and comes last, so that a folder with a manifest is whole.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pydantic import BaseModel, ValidationError

from datagen.records import InputError, Turn, Unit
from schemas import LlavaMessage, LlavaRecord, OutputFile, RunManifest
from schemas.llava import IMAGE_TOKEN

COMBINED = "llava_instruct.json"
ALIGNMENT = "alignment.json"
REJECTED = "rejected.jsonl"
VERDICTS = "verdicts.jsonl"
EVIDENCE = "evidence.jsonl"
MANIFEST = "manifest.json"
TEMPORARY = ".vitkit-writing"


def sample_id(unit: Unit) -> str:
    """Unique within a run: `conversation-000000000139`, and `…-1` for the second of an image and type."""
    suffix = f"-{unit.sample_index}" if unit.sample_index else ""
    return f"{unit.response_type}-{unit.image_id:012d}{suffix}"


def instruction_record(unit: Unit, file_name: str, turns: Sequence[Turn]) -> LlavaRecord:
    """A sample in LLaVA's format: `<image>` once and first, then the turns."""
    messages = []
    for turn in turns:
        messages.append(LlavaMessage(from_="human", value=turn.question))
        messages.append(LlavaMessage(from_="gpt", value=turn.answer))
    messages[0] = LlavaMessage(from_="human", value=f"{IMAGE_TOKEN}\n{turns[0].question}")
    return LlavaRecord(id=sample_id(unit), image=file_name, conversations=messages)


class _JsonFile:
    """A file of records, one a line: a JSON array, or JSON lines."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.is_array = name.endswith(".json")
        self.temporary = folder / name
        self.records = 0
        self._hash = hashlib.sha256()
        self._file: IO[bytes] = self.temporary.open("wb")
        if self.is_array:
            self._write(b"[")

    def add(self, record: BaseModel) -> None:
        separator = b"" if not self.is_array else b",\n" if self.records else b"\n"
        # A text-only record has no image at all, which `null` would not say.
        text = record.model_dump_json(by_alias=True, exclude_none=self.is_array)
        self._write(separator + text.encode() + (b"" if self.is_array else b"\n"))
        self.records += 1

    def finish(self) -> OutputFile:
        if self.is_array:
            self._write(b"\n]\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return OutputFile(name=self.name, records=self.records, sha256=self._hash.hexdigest())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)


class Emission:
    """One writing of a run's folder; nothing there changes before `commit`.

    A context manager: left without `commit`, the temporary files are removed. Raises InputError
    when the disk is full or the folder cannot be written.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self._files: dict[str, _JsonFile] = {}
        self._temporary = folder / TEMPORARY
        with explained(folder):
            shutil.rmtree(self._temporary, ignore_errors=True)  # left by a killed run
            self._temporary.mkdir()
            for name in names:
                self._files[name] = _JsonFile(self._temporary, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def add(self, name: str, record: BaseModel) -> None:
        """Append a record to the file of that name."""
        with explained(self.folder):
            self._files[name].add(record)

    def close_files(self) -> list[OutputFile]:
        """Ends and syncs every temporary file; what each holds."""
        with explained(self.folder):
            return [file.finish() for file in self._files.values()]

    def commit(self, manifest: RunManifest) -> None:
        """Renames all files into place, the manifest last. Call `close_files` first.

        A file that the manifest before named and this one does not is removed: it would be read as
        part of this run.
        """
        before = read_manifest(self.folder)
        stale = {output.name for output in before.outputs} - set(self._files) if before else set()
        with explained(self.folder):
            temporary = self._temporary / MANIFEST
            with temporary.open("w", encoding="utf-8") as file:
                file.write(manifest.model_dump_json(indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            (self.folder / MANIFEST).unlink(missing_ok=True)
            for json_file in self._files.values():
                json_file.temporary.replace(self.folder / json_file.name)
            for name in stale:
                (self.folder / name).unlink(missing_ok=True)
            temporary.replace(self.folder / MANIFEST)
            _sync_folder(self.folder)


def run_files(response_types: Sequence[str], *, has_evidence: bool) -> list[str]:
    """The names of a run's files beside ledger and manifest."""
    sets = [*(f"{name}.json" for name in response_types), COMBINED, ALIGNMENT]
    return [*sets, REJECTED, VERDICTS, *([EVIDENCE] if has_evidence else [])]


def read_manifest(folder: Path) -> RunManifest | None:
    """The manifest of a finished run; None where there is none, or it is not one of ours."""
    try:
        return RunManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def _sync_folder(folder: Path) -> None:
    """Makes the renames themselves durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """A full disk or a folder that cannot be written, in a line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise InputError(
                f"{folder}: the disk is full: make room and run the same command again; "
                "every reply stored so far is kept"
            ) from None
        raise InputError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None
