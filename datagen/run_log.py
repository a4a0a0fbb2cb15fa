"""The structured log of a run: one JSON object a line, beside what is shown to a person."""

from __future__ import annotations

import contextlib
import datetime
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from datagen.records import InputError

FILE_NAME = "log.jsonl"


class RunLog:
    """Appends to the log in a run's folder. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        try:
            self._file = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise InputError(f"{folder / FILE_NAME}: cannot be written: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def event(self, name: str, **fields: Any) -> None:
        """Write one line, whole: a crash tears none. A full disk loses it; the ledger tells that tale."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = msgspec.json.encode({"time": now, "event": name, "pid": os.getpid(), **fields}) + b"\n"
        with contextlib.suppress(OSError):
            os.write(self._file, line)
