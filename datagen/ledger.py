"""The ledger: what was planned, asked and answered, in one SQLite file per run.

A raw reply is committed here, with a sync to disk, before anything looks at it. Everything after
the ledger can be made again from it alone. Requests and replies that a new plan no longer uses
stay in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import msgspec

from datagen.records import Excluded, ImageAnnotation, InputError, LeftOut, Message, TeacherReply, Unit

FILE_NAME = "ledger.sqlite"
_APPLICATION_ID = 0x76697464  # "vitd"
_SCHEMA_VERSION = 1
_PAGE = 1000

_SCHEMA = """
-- What the run was started with, as JSON values.
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- The current plan: the images it asks about, its units in the order in which they are asked and
-- finished, and what was kept out of it.
CREATE TABLE images (image_id INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE units (
    type_order INTEGER NOT NULL,
    image_id INTEGER NOT NULL,
    sample_index INTEGER NOT NULL,
    response_type TEXT NOT NULL,
    key TEXT NOT NULL,
    question TEXT,
    PRIMARY KEY (type_order, image_id, sample_index)
) WITHOUT ROWID;
CREATE INDEX units_by_key ON units (key);
CREATE INDEX units_by_image ON units (image_id, type_order, sample_index);
CREATE TABLE excluded (
    image_id INTEGER NOT NULL, response_type TEXT, reason TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE left_out (
    file TEXT NOT NULL, record TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, image_id INTEGER
);

-- Every request ever planned and every reply ever received, by the request's key. Two units whose
-- requests are the same share one reply. The messages before the last are the same for all images.
CREATE TABLE prefixes (prefix_id INTEGER PRIMARY KEY, messages TEXT NOT NULL UNIQUE);
CREATE TABLE requests (
    key TEXT PRIMARY KEY, teacher TEXT NOT NULL, prefix_id INTEGER, last_message TEXT
) WITHOUT ROWID;
CREATE TABLE replies (
    key TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    is_chat_completion INTEGER NOT NULL,
    paid INTEGER NOT NULL,
    prompt_tokens INTEGER,
    cached_tokens INTEGER,
    completion_tokens INTEGER,
    seconds REAL NOT NULL,
    received_at REAL NOT NULL
);
CREATE TABLE failures (
    key TEXT PRIMARY KEY, reason TEXT NOT NULL, detail TEXT NOT NULL, failed_at REAL NOT NULL
) WITHOUT ROWID;
"""


class PlannedUnit(NamedTuple):
    """A unit and the request that would answer it."""

    unit: Unit
    key: str
    question: str | None
    messages: tuple[Message, ...]


class PlanSource(Protocol):
    """A plan as it is made: iterating gives each planned image with its units."""

    def __iter__(self) -> Iterator[tuple[ImageAnnotation, list[PlannedUnit]]]: ...

    @property
    def excluded(self) -> Sequence[Excluded]:
        """Whole only after iterating, as is `left_out`."""

    @property
    def left_out(self) -> Sequence[LeftOut]: ...


class PlanChange(NamedTuple):
    """What a new plan means for what is already there."""

    planned: int
    answered: int
    superseded: int
    """Replies that the old plan used and the new one does not."""
    paid_superseded: int
    """Paid replies that the old plan used and the new one does not."""
    paid_before: int
    """Paid replies that the old plan used."""


class Outcome(NamedTuple):
    """What the ledger knows of one planned unit: a reply, a failure, or neither yet."""

    unit: Unit
    question: str | None
    annotation: ImageAnnotation
    body: str | None
    is_chat_completion: bool
    failure: tuple[str, str] | None
    """Reason and detail."""


class Progress(NamedTuple):
    """How far asking is, for one response type."""

    planned: int
    answered: int
    failed: int

    @property
    def pending(self) -> int:
        return self.planned - self.answered - self.failed


_decode_image = msgspec.json.Decoder(ImageAnnotation).decode


class Ledger:
    """Open on one run's folder. Use as a context manager."""

    def __init__(
        self, connection: sqlite3.Connection, folder: Path, lock: int | None = None, is_new: bool = False
    ) -> None:
        self._db = connection
        self.folder = folder
        self._lock = lock
        self.is_new = is_new
        """True if opening made it."""

    @classmethod
    def open(cls, folder: Path, *, create: bool = False) -> Self:
        """Open for writing, alone: a second opening of the same folder is refused.

        Raises InputError when the folder is in use, unwritable, or its ledger is not one of ours.
        """
        path = folder / FILE_NAME
        if not create and not path.is_file():
            raise _no_run(folder)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise InputError(f"{folder}: another run is using this folder: wait for it or stop it") from None
        try:
            is_new = not path.exists()
            with _explained(path):
                connection = sqlite3.connect(path, isolation_level=None)
                connection.execute("PRAGMA busy_timeout = 10000")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA cache_size = -65536")
                _check_or_create(connection, path)
        except BaseException:
            os.close(lock)
            raise
        return cls(connection, folder, lock, is_new)

    @classmethod
    def open_read_only(cls, folder: Path) -> Self:
        """Open for reading, also while a run is writing.

        Raises InputError when there is no run.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise _no_run(folder)
        with _explained(path):
            address = f"{path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(address, uri=True, isolation_level=None)
            _check_version(connection, path)
        return cls(connection, folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)
        if isinstance(error, sqlite3.DatabaseError):
            with _explained(self.folder / FILE_NAME):
                raise error

    def remove(self) -> None:
        """Take the ledger's files away, while nobody else can have it open for writing."""
        self._db.close()
        for path in self.folder.glob(f"{FILE_NAME}*"):
            path.unlink()

    # Planning

    def replace_plan(
        self,
        settings: Mapping[str, Any],
        teacher: str,
        plan: PlanSource,
        response_types: Sequence[str],
        may_supersede: bool,
    ) -> PlanChange:
        """Make this the current plan, in one transaction; requests and replies are only ever added.

        A plan without units is not made, nor, unless `may_supersede`, one that would no longer use
        most of the paid replies of the one before: PlanChange tells, and nothing is written.
        """
        orders = {name: order for order, name in enumerate(response_types)}
        prefixes: dict[tuple[Message, ...], int] = {}
        used = "SELECT DISTINCT key, paid FROM units JOIN replies USING (key)"
        with self._transaction():
            self._db.execute(f"CREATE TEMP TABLE IF NOT EXISTS used_before AS {used}")
            for table in ("settings", "images", "units", "excluded", "left_out"):
                self._db.execute(f"DELETE FROM {table}")
            self._db.executemany(
                "INSERT INTO settings VALUES (?, ?)",
                ((name, json.dumps(value)) for name, value in settings.items()),
            )
            for image, units in plan:
                record = msgspec.json.encode(image)
                self._db.execute("INSERT INTO images VALUES (?, ?)", (image.image_id, record))
                for planned in units:
                    self._insert(planned, teacher, orders, prefixes)
            self._db.executemany("INSERT INTO excluded VALUES (?, ?, ?, ?)", plan.excluded)
            self._db.executemany("INSERT INTO left_out VALUES (?, ?, ?, ?, ?)", plan.left_out)
            planned_units, answered = self._db.execute(
                "SELECT count(*), count(replies.key) FROM units LEFT JOIN replies USING (key)"
            ).fetchone()
            paid_before, superseded, paid_superseded = self._db.execute(
                """SELECT coalesce(sum(paid), 0), count(*) FILTER (WHERE is_superseded),
                    coalesce(sum(paid) FILTER (WHERE is_superseded), 0)
                FROM (SELECT paid, key NOT IN (SELECT key FROM units) AS is_superseded FROM used_before)"""
            ).fetchone()
            self._db.execute("DROP TABLE used_before")
            change = PlanChange(planned_units, answered, superseded, paid_superseded, paid_before)
            if not planned_units or (not may_supersede and paid_superseded * 2 > paid_before):
                self._db.execute("ROLLBACK")
        return change

    def _insert(
        self,
        planned: PlannedUnit,
        teacher: str,
        orders: Mapping[str, int],
        prefixes: dict[tuple[Message, ...], int],
    ) -> None:
        unit = planned.unit
        self._db.execute(
            "INSERT INTO units VALUES (?, ?, ?, ?, ?, ?)",
            (
                orders[unit.response_type],
                unit.image_id,
                unit.sample_index,
                unit.response_type,
                planned.key,
                planned.question,
            ),
        )
        prefix_id, last_message = None, None
        if planned.messages:
            prefix = planned.messages[:-1]
            if prefix not in prefixes:
                text = json.dumps([message._asdict() for message in prefix], ensure_ascii=False)
                self._db.execute("INSERT OR IGNORE INTO prefixes (messages) VALUES (?)", (text,))
                row = self._db.execute("SELECT prefix_id FROM prefixes WHERE messages = ?", (text,))
                prefixes[prefix] = row.fetchone()[0]
            prefix_id, last_message = prefixes[prefix], planned.messages[-1].content
        self._db.execute(
            "INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?)",
            (planned.key, teacher, prefix_id, last_message),
        )

    def is_answered(self, key: str) -> bool:
        """Whether a reply to this request is here, in whichever plan it was asked."""
        return self._db.execute("SELECT 1 FROM replies WHERE key = ?", (key,)).fetchone() is not None

    def has_failed(self, key: str) -> bool:
        """Whether this request was given up."""
        return self._db.execute("SELECT 1 FROM failures WHERE key = ?", (key,)).fetchone() is not None

    def has_replies(self) -> bool:
        return self._db.execute("SELECT 1 FROM replies LIMIT 1").fetchone() is not None

    # Asking

    def unanswered(self, *, by_image: bool = False) -> Iterator[tuple[Unit, str, ImageAnnotation]]:
        """Unit, key and annotation of what is pending, each key once, type by type.

        Type by type a provider's prefix cache hits; `by_image`, what a teacher works out about an
        image serves all its types. Read page by page, so that a long run holds no read transaction
        open.
        """
        order = "image_id, type_order, sample_index" if by_image else "type_order, image_id, sample_index"
        after = (-(2**63), -(2**63), -1)
        image_id, annotation = None, None
        while True:
            with _explained(self.folder / FILE_NAME):
                rows = self._db.execute(
                    f"""SELECT {order}, response_type, key, record
                    FROM units JOIN images USING (image_id)
                    WHERE ({order}) > (?, ?, ?)
                    AND NOT EXISTS (SELECT 1 FROM replies WHERE replies.key = units.key)
                    AND NOT EXISTS (SELECT 1 FROM failures WHERE failures.key = units.key)
                    AND NOT EXISTS (
                        SELECT 1 FROM units AS other WHERE other.key = units.key
                        AND (other.type_order, other.image_id, other.sample_index)
                            < (units.type_order, units.image_id, units.sample_index)
                    )
                    ORDER BY {order} LIMIT ?""",
                    (*after, _PAGE),
                ).fetchall()
            for first, second, index, response_type, key, record in rows:
                unit = Unit(first if by_image else second, response_type, index)
                if annotation is None or unit.image_id != image_id:
                    image_id, annotation = unit.image_id, _decode_image(record)
                yield unit, key, annotation
            if len(rows) < _PAGE:
                return
            after = rows[-1][:3]

    def forget_failures(self) -> int:
        """Make every failed request of the plan pending again; how many there were."""
        with self._transaction():
            return self._db.execute("DELETE FROM failures WHERE key IN (SELECT key FROM units)").rowcount

    def store(
        self,
        replies: Sequence[tuple[str, TeacherReply]],
        failures: Sequence[tuple[str, str, str]],
        paid: bool,
    ) -> None:
        """Commit replies (key, reply) and failures (key, reason, detail). On disk when it returns."""
        now = time.time()
        with self._transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        key,
                        reply.body,
                        reply.is_chat_completion,
                        paid,
                        reply.prompt_tokens,
                        reply.cached_tokens,
                        reply.completion_tokens,
                        reply.seconds,
                        now,
                    )
                    for key, reply in replies
                ),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)",
                ((key, reason, detail, now) for key, reason, detail in failures),
            )

    # Reading

    def setting(self, name: str) -> Any:
        """A setting of the current plan; raises KeyError when it has none of that name."""
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise KeyError(name)
        return json.loads(row[0])

    def has_plan(self) -> bool:
        return self._db.execute("SELECT 1 FROM settings LIMIT 1").fetchone() is not None

    def outcomes(self) -> Iterator[Outcome]:
        """Every planned unit, in plan order, with what became of its request."""
        rows = self._db.execute(
            """SELECT units.image_id, response_type, sample_index, question, record,
                body, is_chat_completion, failures.reason, failures.detail
            FROM units JOIN images USING (image_id)
            LEFT JOIN replies USING (key) LEFT JOIN failures USING (key)
            ORDER BY type_order, units.image_id, sample_index"""
        )
        for image_id, response_type, index, question, record, body, is_chat, reason, detail in rows:
            yield Outcome(
                Unit(image_id, response_type, index),
                question,
                _decode_image(record),
                body,
                bool(is_chat),
                # A reply that came after a failure counts.
                (reason, detail) if reason is not None and body is None else None,
            )

    def planned_images(self) -> int:
        """How many images have a unit in the plan."""
        return int(self._db.execute("SELECT count(DISTINCT image_id) FROM units").fetchone()[0])

    def images(self) -> Iterator[ImageAnnotation]:
        """Every image that could be asked about, in ascending id."""
        for (record,) in self._db.execute("SELECT record FROM images ORDER BY image_id"):
            yield _decode_image(record)

    def excluded(self) -> Iterator[Excluded]:
        rows = self._db.execute("SELECT * FROM excluded ORDER BY image_id, response_type, rowid")
        return (Excluded(*row) for row in rows)

    def left_out(self) -> Iterator[LeftOut]:
        return (LeftOut(*row) for row in self._db.execute("SELECT * FROM left_out ORDER BY rowid"))

    def progress(self) -> dict[str, Progress]:
        """By response type, in plan order."""
        rows = self._db.execute(
            """SELECT response_type, count(*), count(replies.key),
                count(*) FILTER (WHERE replies.key IS NULL AND failures.key IS NOT NULL)
            FROM units LEFT JOIN replies USING (key) LEFT JOIN failures USING (key)
            GROUP BY type_order, response_type ORDER BY type_order"""
        )
        return {name: Progress(*counts) for name, *counts in rows}

    def usage(self) -> tuple[int, int, int]:
        """Prompt, cached and completion tokens reported for the plan's replies."""
        row: tuple[int, int, int] = self._db.execute(
            """SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(cached_tokens), 0),
                coalesce(sum(completion_tokens), 0)
            FROM replies WHERE key IN (SELECT key FROM units)"""
        ).fetchone()
        return row

    def superseded(self) -> int:
        """Replies that the current plan does not use."""
        row = self._db.execute("SELECT count(*) FROM replies WHERE key NOT IN (SELECT key FROM units)")
        return int(row.fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with _explained(self.folder / FILE_NAME):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                if self._db.in_transaction:
                    self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _no_run(folder: Path) -> InputError:
    return InputError(f"{folder}: holds no run (no {FILE_NAME}): give the --out folder of a run")


def _check_or_create(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        _check_version(connection, path)
        return
    connection.executescript(
        f"BEGIN; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID}; "
        f"PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT"
    )


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise InputError(f"{path}: empty, so there is no run yet: run the command that began it again")
    if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise InputError(f"{path}: a database, but not a ledger of vitkit's: choose another folder")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != _SCHEMA_VERSION:
        raise InputError(f"{path}: ledger version {version}, but this vitkit reads {_SCHEMA_VERSION}")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors in a line that says what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            raise InputError(
                f"{path}: cannot be written ({error}): make room on the disk and run the same command again; "
                "every reply stored so far is kept"
            ) from None
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            raise InputError(f"{path}: cannot be written ({error}): check the folder's permissions") from None
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            raise InputError(f"{path}: not a ledger, or a damaged one ({error})") from None
        raise
