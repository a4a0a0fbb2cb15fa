"""The ledger: what was planned, asked and answered, in one SQLite file per run.

A raw reply is committed here, with a sync to disk, before anything looks at it. Everything after
the ledger can be made again from it alone. Requests and replies that a new plan no longer uses
stay in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import msgspec

from datagen.records import Excluded, ImageAnnotation, InputError, LeftOut, Message, TeacherReply, Unit

FILE_NAME = "ledger.sqlite"
_APPLICATION_ID = 0x76697464  # "vitd"
_SCHEMA_VERSION = 3
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

# What version 2 added, to a new ledger as to one of version 1.
_ADDED_IN_2 = """
-- US dollars by the price table of the day; NULL where the model had no price.
ALTER TABLE replies ADD COLUMN cost REAL;
CREATE INDEX replies_by_time ON replies (
    received_at, seconds, prompt_tokens, cached_tokens, completion_tokens, paid, cost
);

-- Each time a teacher was asked. `possibly_billed` is in US dollars: what was sent and never answered
-- may have cost that much; written before it is sent, so that it holds after kill -9.
CREATE TABLE sessions (
    session_id INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    possibly_billed REAL NOT NULL DEFAULT 0
);
CREATE TABLE retries (
    session_id INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (session_id, reason)
) WITHOUT ROWID;

-- Replies that finishing could not use, and the request that asks again with the complaint.
CREATE TABLE second_requests (
    key TEXT PRIMARY KEY, second_key TEXT NOT NULL, complaint TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX second_requests_by_second_key ON second_requests (second_key);

-- Batches given to an endpoint. The tag goes with them as metadata and is stored before they do, so
-- that one whose making was never confirmed is found again; `batch_id` is the endpoint's, and `status`
-- the last that it said ("submitting" before it said any, "never_made", "given_up").
CREATE TABLE batches (
    tag TEXT PRIMARY KEY,
    batch_id TEXT,
    endpoint TEXT NOT NULL,
    status TEXT NOT NULL,
    is_collected INTEGER NOT NULL DEFAULT 0,
    submitted_at REAL NOT NULL,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE batch_requests (
    tag TEXT NOT NULL, line INTEGER NOT NULL, key TEXT NOT NULL, worst_cost REAL NOT NULL,
    PRIMARY KEY (tag, line)
) WITHOUT ROWID;
CREATE INDEX batch_requests_by_key ON batch_requests (key);
INSERT INTO settings SELECT 'asks_again', iif(value = '"openai"', 'true', 'false')
    FROM settings WHERE name = 'teacher';
INSERT INTO settings SELECT 'prices', '""' FROM settings WHERE name = 'teacher';

CREATE TABLE quarantine (tag TEXT NOT NULL, line INTEGER NOT NULL, reason TEXT NOT NULL, text TEXT NOT NULL);
"""


_ADDED_IN_3 = """
-- What the turns rest on, as JSON, from a teacher that can tell.
ALTER TABLE replies ADD COLUMN evidence TEXT;
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
    key: str
    question: str | None
    annotation: ImageAnnotation
    body: str | None
    is_chat_completion: bool
    failure: tuple[str, str] | None
    """Reason and detail."""
    second_body: str | None = None
    """The reply to asking again, where that was done."""
    was_asked_again: bool = False
    """True once asking again has brought a reply or a failure, so that it is not done twice."""
    evidence: str | None = None
    """What the turns of `body` rest on, as JSON, where the teacher told."""


class Complaint(NamedTuple):
    """Why a reply could not be used, to be said to the teacher that wrote it."""

    body: str
    """The raw reply."""
    text: str


class Pending(NamedTuple):
    """A request that has no answer yet."""

    unit: Unit
    key: str
    annotation: ImageAnnotation
    complaint: Complaint | None = None
    """What was wrong with the reply to the first request, if this is the second."""


class Usage(NamedTuple):
    """Tokens that an endpoint reported for one reply; None where it reported none."""

    prompt_tokens: int | None
    completion_tokens: int | None


class Stored(NamedTuple):
    """A reply to store."""

    key: str
    reply: TeacherReply
    cost: float | None = None
    """US dollars; None where the model has no price."""


class Spent(NamedTuple):
    """US dollars, over all that this ledger ever asked."""

    known: float
    possibly_billed: float
    """For what was sent and never answered, at most."""
    unpriced: int
    """Paid replies whose model had no price when they came."""


class Asking(NamedTuple):
    """How the last time of asking went, or goes."""

    pid: int
    started_at: float
    ended_at: float | None
    replies: int
    completion_tokens: int
    last_reply_at: float | None
    latencies: tuple[float, float, float]
    """50th, 90th and 99th percentile, in seconds."""
    retries: dict[str, int]


class Planned(NamedTuple):
    """What the plan says of a request."""

    unit: Unit
    question: str | None


class Batch(NamedTuple):
    """A batch as the endpoint last described it."""

    tag: str
    batch_id: str | None
    """None until its making was confirmed."""
    endpoint: str
    status: str
    is_collected: bool
    requests: int
    completed: int
    failed: int
    submitted_at: float


class Progress(NamedTuple):
    """How far asking is, for one response type."""

    planned: int
    answered: int
    failed: int
    to_ask_again: int = 0
    """Answered, but so that it is to be asked again; pending."""

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
                connection = _connect(path)
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
        self._close()
        if self._lock is not None:
            os.close(self._lock)
        if isinstance(error, sqlite3.DatabaseError):
            with _explained(self.folder / FILE_NAME):
                raise error

    def remove(self) -> None:
        """Take the ledger's files away, while nobody else can have it open for writing."""
        self._close()
        for path in self.folder.glob(f"{FILE_NAME}*"):
            path.unlink()

    def _close(self) -> None:
        self._db.close()

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
        used = """SELECT key, paid FROM replies WHERE key IN (SELECT key FROM units)
            OR key IN (SELECT second_key FROM units JOIN second_requests USING (key))"""
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
                FROM (
                    SELECT paid, key NOT IN (
                        SELECT key FROM units
                        UNION ALL SELECT second_key FROM units JOIN second_requests USING (key)
                    ) AS is_superseded
                    FROM used_before
                )"""
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

    def usage_of(self, key: str) -> Usage | None:
        """The tokens of the reply to this request, in whichever plan it was asked; None without one."""
        row = self._db.execute("SELECT prompt_tokens, completion_tokens FROM replies WHERE key = ?", (key,))
        found = row.fetchone()
        return Usage(*found) if found else None

    def to_ask_again(self, key: str) -> list[str] | None:
        """The messages after the prefix that are to ask again for the reply to this request, if any are."""
        row = self._db.execute(
            f"""SELECT last_message, body, complaint
            FROM second_requests JOIN requests USING (key) JOIN replies USING (key)
            WHERE key = ? AND {_no_answer("second_key")}""",
            (key,),
        ).fetchone()
        return [text or "" for text in row] if row else None

    def has_failed(self, key: str) -> bool:
        """Whether this request was given up."""
        return self._db.execute("SELECT 1 FROM failures WHERE key = ?", (key,)).fetchone() is not None

    def has_replies(self) -> bool:
        return self._db.execute("SELECT 1 FROM replies LIMIT 1").fetchone() is not None

    # Asking

    def unanswered(self, *, by_image: bool = False) -> Iterator[Pending]:
        """What is pending, each key once, type by type; what is to be asked again comes last.

        Type by type a provider's prefix cache hits; `by_image`, what a teacher works out about an
        image serves all its types. Read page by page, so that a long run holds no read transaction
        open.
        """
        not_elsewhere = """NOT EXISTS (
            SELECT 1 FROM units AS other WHERE other.key = units.key
            AND (other.type_order, other.image_id, other.sample_index)
                < (units.type_order, units.image_id, units.sample_index)
        )"""
        yield from self._pages(f"{_no_answer('units.key')} AND {not_elsewhere}", by_image)
        yield from self._pages(
            f"second_key IS NOT NULL AND {_no_answer('second_key')} AND {not_elsewhere}", by_image
        )

    def _pages(self, condition: str, by_image: bool) -> Iterator[Pending]:
        order = "units.image_id, type_order, sample_index"
        if not by_image:
            order = "type_order, units.image_id, sample_index"
        after = (-(2**63), -(2**63), -1)
        image_id, annotation = None, None
        while True:
            with _explained(self.folder / FILE_NAME):
                rows = self._db.execute(
                    f"""SELECT {order}, response_type, coalesce(second_key, units.key), record,
                        complaint, body
                    FROM units JOIN images USING (image_id)
                    LEFT JOIN second_requests USING (key)
                    LEFT JOIN replies ON second_key IS NOT NULL AND replies.key = units.key
                    WHERE ({order}) > (?, ?, ?) AND {condition}
                    ORDER BY {order} LIMIT ?""",
                    (*after, _PAGE),
                ).fetchall()
            for first, second, index, response_type, key, record, complaint, body in rows:
                unit = Unit(first if by_image else second, response_type, index)
                if annotation is None or unit.image_id != image_id:
                    image_id, annotation = unit.image_id, _decode_image(record)
                yield Pending(unit, key, annotation, Complaint(body, complaint) if complaint else None)
            if len(rows) < _PAGE:
                return
            after = rows[-1][:3]

    def forget_failures(self) -> int:
        """Make every failed request of the plan pending again; how many there were."""
        with self._transaction():
            return self._db.execute(f"DELETE FROM failures WHERE {_IN_PLAN}").rowcount

    def begin_session(self) -> int:
        """A time of asking begins; its number."""
        with self._transaction():
            cursor = self._db.execute(
                "INSERT INTO sessions (pid, started_at) VALUES (?, ?)", (os.getpid(), time.time())
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def end_session(self, session_id: int) -> None:
        with self._transaction():
            self._db.execute(
                "UPDATE sessions SET ended_at = ? WHERE session_id = ?", (time.time(), session_id)
            )

    def store(
        self,
        session_id: int,
        replies: Sequence[Stored] = (),
        failures: Sequence[tuple[str, str, str]] = (),
        *,
        paid: bool,
        retries: Mapping[str, int] | None = None,
        possibly_billed: float | None = None,
    ) -> None:
        """Commit replies, failures (key, reason, detail), and so many retries by reason.

        On disk when it returns.
        """
        now = time.time()
        with self._transaction() as db:
            db.executemany(
                """INSERT OR IGNORE INTO replies (
                    key, body, is_chat_completion, paid, prompt_tokens, cached_tokens, completion_tokens,
                    seconds, received_at, cost, evidence
                ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
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
                        cost,
                        reply.evidence,
                    )
                    for key, reply, cost in replies
                ),
            )
            db.executemany(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)",
                ((key, reason, detail, now) for key, reason, detail in failures),
            )
            if retries:
                db.executemany(
                    """INSERT INTO retries VALUES (?, ?, ?)
                    ON CONFLICT DO UPDATE SET count = count + excluded.count""",
                    ((session_id, reason, count) for reason, count in retries.items()),
                )
            if possibly_billed is not None:
                db.execute(
                    "UPDATE sessions SET possibly_billed = ? WHERE session_id = ?",
                    (possibly_billed, session_id),
                )

    def price_replies(self, cost: Callable[[int, int, int], float]) -> None:
        """Give the plan's replies that came without a price one, of prompt, cached and completion tokens."""
        with self._transaction() as db:
            rows = db.execute(
                f"""SELECT key, prompt_tokens, coalesce(cached_tokens, 0), completion_tokens FROM replies
                WHERE paid AND cost IS NULL AND prompt_tokens IS NOT NULL AND completion_tokens IS NOT NULL
                AND ({_IN_PLAN})"""
            ).fetchall()
            db.executemany(
                "UPDATE replies SET cost = ? WHERE key = ?", ((cost(*tokens), key) for key, *tokens in rows)
            )

    def ask_again(self, complaints: Mapping[str, str]) -> int:
        """Let the next asking put these complaints, by the first request's key; how many it will put.

        Replaces what an earlier finishing wanted, but for what was asked since: that is done once.
        """
        with self._transaction():
            self._db.execute(f"DELETE FROM second_requests WHERE {_no_answer('second_key')}")
            self._db.executemany(
                "INSERT OR IGNORE INTO second_requests VALUES (?, ?, ?)",
                ((key, second_key(key, text), text) for key, text in complaints.items()),
            )
        return len(complaints)

    # Batches

    def add_batch(self, tag: str, endpoint: str, worst_costs: Mapping[str, float]) -> None:
        """A batch is about to be made, of requests by key in the order of its lines.

        Until it is collected they are not asked otherwise, and what they may cost counts as possibly billed.
        """
        with self._transaction() as db:
            db.execute(
                "INSERT INTO batches (tag, endpoint, status, submitted_at) VALUES (?, ?, 'submitting', ?)",
                (tag, endpoint, time.time()),
            )
            db.executemany(
                "INSERT INTO batch_requests VALUES (?, ?, ?, ?)",
                ((tag, line, key, cost) for line, (key, cost) in enumerate(worst_costs.items(), 1)),
            )

    def update_batch(self, tag: str, batch_id: str, status: str, completed: int, failed: int) -> None:
        """The endpoint described the batch."""
        with self._transaction() as db:
            db.execute(
                "UPDATE batches SET batch_id = ?, status = ?, completed = ?, failed = ? WHERE tag = ?",
                (batch_id, status, completed, failed, tag),
            )

    def end_batch(
        self,
        tag: str,
        session_id: int,
        *,
        status: str | None = None,
        quarantined: Sequence[tuple[int, str, str]] = (),
        possibly_billed: float = 0.0,
    ) -> None:
        """Nothing more is expected of the batch; what has neither reply nor failure is pending again.

        Stores the lines that could not be used (number, reason, text), and counts what the batch may have
        cost beyond its replies to the session.
        """
        with self._transaction() as db:
            db.execute(
                "UPDATE batches SET is_collected = 1, status = coalesce(?, status) WHERE tag = ?",
                (status, tag),
            )
            db.executemany(
                "INSERT INTO quarantine VALUES (?, ?, ?, ?)", ((tag, *line) for line in quarantined)
            )
            db.execute(
                "UPDATE sessions SET possibly_billed = possibly_billed + ? WHERE session_id = ?",
                (possibly_billed, session_id),
            )

    def batches(self) -> list[Batch]:
        """All there ever were, the oldest first."""
        rows = self._db.execute(
            """SELECT tag, batch_id, endpoint, status, is_collected,
                (SELECT count(*) FROM batch_requests WHERE batch_requests.tag = batches.tag),
                completed, failed, submitted_at
            FROM batches ORDER BY submitted_at, tag"""
        )
        return [Batch(*row)._replace(is_collected=bool(row[4])) for row in rows]

    def open_batches(self) -> list[Batch]:
        """Those that are not collected yet."""
        return [batch for batch in self.batches() if not batch.is_collected]

    def worst_costs(self, tag: str) -> dict[str, float]:
        """The requests of a batch by key, in the order of its lines, and what each may cost."""
        rows = self._db.execute(
            "SELECT key, worst_cost FROM batch_requests WHERE tag = ? ORDER BY line", (tag,)
        )
        return dict(rows)

    def times_carried_out(self, key: str) -> int:
        """How many batches that the endpoint took and went through had this request in them."""
        row = self._db.execute(
            """SELECT count(*) FROM batch_requests JOIN batches USING (tag)
            WHERE key = ? AND status IN ('completed', 'expired')""",
            (key,),
        )
        return int(row.fetchone()[0])

    def is_to_be_asked(self, key: str) -> bool:
        """Whether this request has no answer and is in no batch that may still bring one."""
        row = self._db.execute(
            f"""SELECT {_no_answer("?1")} AND NOT EXISTS (
                SELECT 1 FROM batch_requests AS waiting JOIN batches USING (tag)
                WHERE waiting.key = ?1 AND NOT is_collected
            )""",
            (key,),
        )
        return bool(row.fetchone()[0])

    def has_reply(self, key: str) -> bool:
        return self._db.execute("SELECT 1 FROM replies WHERE key = ?", (key,)).fetchone() is not None

    def planned(self, key: str) -> Planned | None:
        """The first unit that this request is to answer; None where the plan has none any more."""
        row = self._db.execute(
            """SELECT image_id, response_type, sample_index, question FROM units
            WHERE key = ?1 OR key IN (SELECT key FROM second_requests WHERE second_key = ?1)
            ORDER BY type_order, image_id, sample_index LIMIT 1""",
            (key,),
        ).fetchone()
        return None if row is None else Planned(Unit(*row[:3]), row[3])

    def quarantined(self) -> int:
        """How many lines of batches could not be used."""
        return int(self._db.execute("SELECT count(*) FROM quarantine").fetchone()[0])

    # Reading

    def setting(self, name: str, *default: Any) -> Any:
        """A setting of the current plan; the default, or KeyError, when it has none of that name."""
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        if row is None:
            if default:
                return default[0]
            raise KeyError(name)
        return json.loads(row[0])

    def has_plan(self) -> bool:
        return self._db.execute("SELECT 1 FROM settings LIMIT 1").fetchone() is not None

    def outcomes(self) -> Iterator[Outcome]:
        """Every planned unit, in plan order, with what became of its request."""
        rows = self._db.execute(
            """SELECT units.image_id, response_type, sample_index, units.key, question, record,
                replies.body, replies.is_chat_completion, failures.reason, failures.detail,
                second.body, second.key IS NOT NULL OR EXISTS (
                    SELECT 1 FROM failures AS failed WHERE failed.key = second_key
                ), replies.evidence
            FROM units JOIN images USING (image_id)
            LEFT JOIN replies USING (key) LEFT JOIN failures USING (key)
            LEFT JOIN second_requests USING (key) LEFT JOIN replies AS second ON second.key = second_key
            ORDER BY type_order, units.image_id, sample_index"""
        )
        for (
            image_id,
            response_type,
            index,
            key,
            question,
            record,
            body,
            is_chat,
            reason,
            detail,
            *second,
        ) in rows:
            yield Outcome(
                Unit(image_id, response_type, index),
                key,
                question,
                _decode_image(record),
                body,
                bool(is_chat),
                # A reply that came after a failure counts.
                (reason, detail) if reason is not None and body is None else None,
                second[0],
                bool(second[1]),
                second[2],
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
        """By response type, in plan order. What is to be asked again is pending."""
        rows = self._db.execute(
            f"""SELECT response_type, count(*),
                count(replies.key) - count(*) FILTER (WHERE {_WAITS_FOR_SECOND}),
                count(*) FILTER (WHERE replies.key IS NULL AND failures.key IS NOT NULL),
                count(*) FILTER (WHERE {_WAITS_FOR_SECOND})
            FROM units LEFT JOIN replies USING (key) LEFT JOIN failures USING (key)
            LEFT JOIN second_requests USING (key)
            GROUP BY type_order, response_type ORDER BY type_order"""
        )
        return {name: Progress(*counts) for name, *counts in rows}

    def usage(self) -> tuple[int, int, int]:
        """Prompt, cached and completion tokens reported for the plan's replies."""
        row: tuple[int, int, int] = self._db.execute(
            f"""SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(cached_tokens), 0),
                coalesce(sum(completion_tokens), 0)
            FROM replies WHERE {_IN_PLAN}"""
        ).fetchone()
        return row

    def spent(self) -> Spent:
        known, unpriced = self._db.execute(
            "SELECT coalesce(sum(cost), 0.0), count(*) FILTER (WHERE paid AND cost IS NULL) FROM replies"
        ).fetchone()
        (sessions,) = self._db.execute("SELECT coalesce(sum(possibly_billed), 0.0) FROM sessions").fetchone()
        (batches,) = self._db.execute(
            """SELECT coalesce(sum(worst_cost), 0.0) FROM batch_requests JOIN batches USING (tag)
            WHERE NOT is_collected"""
        ).fetchone()
        return Spent(known, sessions + batches, unpriced)

    def last_asking(self) -> Asking | None:
        """The last session; None if nothing was ever asked."""
        row = self._db.execute(
            "SELECT session_id, pid, started_at, ended_at FROM sessions ORDER BY session_id DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        session_id, pid, started_at, ended_at = row
        since = "FROM replies WHERE received_at >= ?"
        count, tokens, last = self._db.execute(
            f"SELECT count(*), coalesce(sum(completion_tokens), 0), max(received_at) {since}", (started_at,)
        ).fetchone()
        latencies = [0.0, 0.0, 0.0]
        for place, share in enumerate((0.5, 0.9, 0.99)) if count else ():
            (latencies[place],) = self._db.execute(
                f"SELECT seconds {since} ORDER BY seconds LIMIT 1 OFFSET ?",
                (started_at, int((count - 1) * share)),
            ).fetchone()
        retries = dict(
            self._db.execute(
                "SELECT reason, count FROM retries WHERE session_id = ? ORDER BY count DESC, reason",
                (session_id,),
            )
        )
        return Asking(
            pid,
            started_at,
            ended_at,
            count,
            tokens,
            last,
            (latencies[0], latencies[1], latencies[2]),
            retries,
        )

    def superseded(self) -> int:
        """Replies that the current plan does not use."""
        row = self._db.execute(f"SELECT count(*) FROM replies WHERE NOT ({_IN_PLAN})")
        return int(row.fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        with _explained(self.folder / FILE_NAME):
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                if db.in_transaction:
                    db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


_IN_PLAN = """key IN (SELECT key FROM units)
    OR key IN (SELECT second_key FROM units JOIN second_requests USING (key))"""


def _no_answer(key: str) -> str:
    """SQL: whether there is neither a reply nor a failure of that key."""
    return f"""NOT EXISTS (SELECT 1 FROM replies AS answer WHERE answer.key = {key})
        AND NOT EXISTS (SELECT 1 FROM failures AS failed WHERE failed.key = {key})"""


_WAITS_FOR_SECOND = f"second_key IS NOT NULL AND {_no_answer('second_key')}"


def second_key(key: str, complaint: str) -> str:
    """The key of asking again: what decides its reply is the first request, its reply and the complaint."""
    return hashlib.sha256(f"{key}\n{complaint}".encode()).hexdigest()[:32]


def _no_run(folder: Path) -> InputError:
    return InputError(f"{folder}: holds no run (no {FILE_NAME}): give the --out folder of a run")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 10000")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":  # an I/O error there is not raised
        connection.close()
        raise InputError(
            f"{path}: cannot be written safely (it stays in journal mode {mode}): check the disk and run the "
            "same command again; every reply stored so far is kept"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -65536")
    return connection


def _check_or_create(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        for version, added in ((1, _ADDED_IN_2), (2, _ADDED_IN_3)):
            if _version(connection, path) == version:
                connection.executescript(f"BEGIN; {added} PRAGMA user_version = {version + 1}; COMMIT")
        _check_version(connection, path)
        return
    connection.executescript(
        f"BEGIN; {_SCHEMA} {_ADDED_IN_2} {_ADDED_IN_3} PRAGMA application_id = {_APPLICATION_ID}; "
        f"PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT"
    )


def _version(connection: sqlite3.Connection, path: Path) -> int:
    if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise InputError(f"{path}: a database, but not a ledger of vitkit's: choose another folder")
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise InputError(f"{path}: empty, so there is no run yet: run the command that began it again")
    version = _version(connection, path)
    if version < _SCHEMA_VERSION:
        raise InputError(
            f"{path}: made by an older vitkit: `python -m datagen finish {path.parent}` brings it up to date"
        )
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
