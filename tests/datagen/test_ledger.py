"""The ledger keeps every reply, counts every unit, and says clearly when it cannot."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from datagen import ledger as ledger_module
from datagen.ledger import FILE_NAME, Ledger, PlanChange, PlannedUnit, Progress, Spent, Stored, second_key
from datagen.records import Excluded, ImageAnnotation, InputError, LeftOut, Message, TeacherReply, Unit


def image(image_id: int) -> ImageAnnotation:
    return ImageAnnotation(image_id, f"{image_id}.jpg", 10, 10, ("A dog.",), ())


def unit(image_id: int, key: str, name: str = "detail") -> PlannedUnit:
    messages = (Message("system", "s"), Message("user", f"proxy {key}"))
    return PlannedUnit(Unit(image_id, name, 0), key, "Describe it.", messages)


class Made(list[tuple[ImageAnnotation, list[PlannedUnit]]]):
    """A plan whose exclusions are known only once it has been gone through."""

    excluded: Sequence[Excluded] = ()
    left_out: Sequence[LeftOut] = ()

    def __iter__(self) -> Iterator[tuple[ImageAnnotation, list[PlannedUnit]]]:
        yield from super().__iter__()
        self.excluded = [Excluded(9, None, "no_captions", "9.jpg")]
        self.left_out = [LeftOut("f.json", "annotations[0]", "bad_box", "no area", 3)]


def plan(ledger: Ledger, units: Iterable[PlannedUnit], may_supersede: bool = False) -> PlanChange:
    by_image: dict[int, list[PlannedUnit]] = {}
    for planned in units:
        by_image.setdefault(planned.unit.image_id, []).append(planned)
    return ledger.replace_plan(
        settings={"teacher": "t"},
        teacher="t",
        plan=Made([(image(image_id), its) for image_id, its in by_image.items()]),
        response_types=["detail", "conversation"],
        may_supersede=may_supersede,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_units_come_back_type_by_type_in_image_order_until_answered(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(2, "a"), unit(1, "b"), unit(1, "c", "conversation")])
        assert [(u, key) for u, key, *_ in ledger.unanswered()] == [
            (Unit(1, "detail", 0), "b"),
            (Unit(2, "detail", 0), "a"),
            (Unit(1, "conversation", 0), "c"),
        ]
        assert [key for _, key, *_ in ledger.unanswered(by_image=True)] == ["b", "c", "a"]
        ledger.store(
            1, [Stored("b", TeacherReply("body", True, 10, 5, 2))], [("a", "http_400", "no")], paid=True
        )
        assert [key for _, key, *_ in ledger.unanswered()] == ["c"]
        assert ledger.progress() == {"detail": Progress(2, 1, 1), "conversation": Progress(1, 0, 0)}
        assert ledger.usage() == (10, 5, 2)
        assert [(o.unit.image_id, o.body, o.failure) for o in ledger.outcomes()] == [
            (1, "body", None),
            (2, None, ("http_400", "no")),
            (1, None, None),
        ]


def test_what_was_kept_out_of_the_plan_is_kept_too(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(1, "a")])
        assert list(ledger.excluded()) == [Excluded(9, None, "no_captions", "9.jpg")]
        assert list(ledger.left_out()) == [LeftOut("f.json", "annotations[0]", "bad_box", "no area", 3)]
        assert [annotation.image_id for annotation in ledger.images()] == [1]


@pytest.mark.parametrize("by_image", [False, True])
def test_more_than_a_page_of_units_comes_back_once_each(folder: Path, by_image: bool) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(n, f"key {n}") for n in range(2500)])
        seen = []
        for u, key, *_ in ledger.unanswered(by_image=by_image):
            seen.append(u.image_id)
            if u.image_id % 2:  # storing while reading neither skips nor repeats
                ledger.store(1, [Stored(key, TeacherReply("", False))], [], paid=False)
        assert seen == list(range(2500))
        assert [u.image_id for u, *_ in ledger.unanswered()] == list(range(0, 2500, 2))


def test_a_request_that_two_units_share_is_asked_once(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(1, "same"), unit(2, "same"), unit(3, "own")])
        assert [(u.image_id, key) for u, key, *_ in ledger.unanswered()] == [(1, "same"), (3, "own")]
        ledger.store(1, [Stored("same", TeacherReply("body", False))], [], paid=False)
        assert ledger.progress()["detail"] == Progress(3, 2, 0)


def test_a_plan_that_uses_less_than_half_of_what_was_paid_is_not_made(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(n, f"old {n}") for n in range(4)])
        ledger.store(1, [Stored(f"old {n}", TeacherReply("body", True)) for n in range(4)], [], paid=True)
        half = [unit(0, "old 0"), unit(1, "old 1"), unit(2, "new 2"), unit(3, "new 3")]
        assert plan(ledger, half) == PlanChange(4, 2, superseded=2, paid_superseded=2, paid_before=4)
        assert ledger.superseded() == 2
        assert plan(ledger, [unit(0, "newer")]) == PlanChange(
            1, 0, superseded=2, paid_superseded=2, paid_before=2
        )
        assert len(list(ledger.outcomes())) == 4, "the plan before stands"
        plan(ledger, [unit(0, "newer")], may_supersede=True)
        assert [o.body for o in ledger.outcomes()] == [None]
        assert ledger.superseded() == 4, "and nothing is lost"


def test_a_plan_without_units_leaves_the_one_before(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(1, "a")])
        assert plan(ledger, [], may_supersede=True).planned == 0
        assert [key for _, key, *_ in ledger.unanswered()] == ["a"]


def test_the_smallest_and_the_largest_id_are_asked_too(folder: Path) -> None:
    ids = [-(2**63), -1, 0, 2**63 - 1]
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(n, f"key {n}") for n in ids])
        for by_image in (False, True):
            assert [u.image_id for u, *_ in ledger.unanswered(by_image=by_image)] == ids


def test_damage_met_while_reading_is_one_line(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(n, f"key {n}") for n in range(500)])
    path = folder / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    with (
        pytest.raises(InputError, match="not a ledger, or a damaged one"),
        Ledger.open_read_only(folder) as ledger,
    ):
        list(ledger.outcomes())


def test_a_reply_that_comes_after_a_failure_counts(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(1, "a")])
        ledger.store(1, failures=[("a", "timeout", "")], paid=True)
        assert ledger.progress()["detail"] == Progress(1, 0, 1)
        ledger.store(1, [Stored("a", TeacherReply("body", True))], [], paid=True)
        assert ledger.progress()["detail"] == Progress(1, 1, 0)
        assert [(o.body, o.failure) for o in ledger.outcomes()] == [("body", None)]


def test_forgotten_failures_are_pending_again(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(1, "a"), unit(2, "b")])
        ledger.store(1, failures=[("a", "timeout", "")], paid=True)
        assert ledger.forget_failures() == 1
        assert [key for _, key, *_ in ledger.unanswered()] == ["a", "b"]


def test_what_was_sent_can_be_read_back_with_its_prefix_stored_once(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(1, "a"), unit(2, "b")])
    with sqlite3.connect(folder / FILE_NAME) as db:
        rows = db.execute("SELECT key, messages, last_message FROM requests JOIN prefixes USING (prefix_id)")
        prefix = '[{"role": "system", "content": "s"}]'
        assert sorted(rows) == [("a", prefix, "proxy a"), ("b", prefix, "proxy b")]
        assert db.execute("SELECT count(*) FROM prefixes").fetchone() == (1,)


def test_replies_are_synced_before_they_count(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_second_writer_is_refused_and_a_reader_is_not(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(1, "a")])
        with pytest.raises(InputError, match="another run is using this folder"):
            Ledger.open(folder)
        with Ledger.open_read_only(folder) as reader:
            assert reader.progress()["detail"] == Progress(1, 0, 0)
    with Ledger.open(folder):
        pass  # nothing is left behind that would keep the next one out


@pytest.mark.parametrize("opened", [Ledger.open, Ledger.open_read_only])
def test_what_is_no_ledger_is_said_so(folder: Path, opened: object) -> None:
    assert callable(opened)
    with pytest.raises(InputError, match="holds no run"):
        opened(folder)
    (folder / FILE_NAME).write_bytes(b"not a database, whatever its name may say" * 100)
    with pytest.raises(InputError, match="not a ledger, or a damaged one"):
        opened(folder)
    (folder / FILE_NAME).unlink()
    (folder / FILE_NAME).touch()
    if opened == Ledger.open_read_only:
        with pytest.raises(InputError, match="empty, so there is no run yet"):
            opened(folder)
    with sqlite3.connect(folder / FILE_NAME) as db:
        db.execute("CREATE TABLE mine (x)")
    with pytest.raises(InputError, match="not a ledger of vitkit's"):
        opened(folder)


def test_a_full_disk_keeps_what_was_stored_and_says_what_to_do(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(n, f"key {n}") for n in range(10)])
        ledger.store(1, [Stored("key 0", TeacherReply("body", True))], [], paid=True)
        # SQLite's own limit on the file's size stands for the disk's.
        pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
        ledger._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(InputError, match="make room on the disk and run the same command again"):
            ledger.store(1, [Stored("key 1", TeacherReply("x" * 1_000_000, True))], [], paid=True)
        assert ledger.progress()["detail"] == Progress(10, 1, 0)


def test_asking_again_comes_last_with_the_complaint_and_happens_once(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(1, "a"), unit(2, "b")])
        ledger.store(1, [Stored("a", TeacherReply("bad", True, 9, 0, 1))], paid=True)
        assert ledger.ask_again({"a": "No."}) == 1
        again = second_key("a", "No.")
        assert [(p.key, p.complaint) for p in ledger.unanswered()] == [("b", None), (again, ("bad", "No."))]
        assert ledger.progress()["detail"] == Progress(2, 0, 0, 1)
        assert ledger.to_ask_again("a") == ["proxy a", "bad", "No."]
        assert ledger.to_ask_again("b") is None
        # Finishing again with other checks may want another complaint, or none.
        assert ledger.ask_again({"a": "Not so."}) == 1
        assert [p.key for p in ledger.unanswered()] == ["b", second_key("a", "Not so.")]
        ledger.store(1, [Stored(second_key("a", "Not so."), TeacherReply("good", True, 20, 8, 2))], paid=True)
        assert ledger.ask_again({}) == 0
        assert [(o.key, o.body, o.second_body, o.was_asked_again) for o in ledger.outcomes()] == [
            ("a", "bad", "good", True),
            ("b", None, None, False),
        ]
        assert ledger.usage() == (29, 8, 3)
        assert ledger.superseded() == 0
        assert ledger.progress()["detail"] == Progress(2, 1, 0)


def test_a_second_request_that_failed_is_asked_again_only_on_request(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(1, "a")])
        ledger.store(1, [Stored("a", TeacherReply("bad", True))], paid=True)
        ledger.ask_again({"a": "No."})
        ledger.store(1, failures=[(second_key("a", "No."), "timeout", "")], paid=True)
        assert [(o.second_body, o.was_asked_again) for o in ledger.outcomes()] == [(None, True)]
        assert list(ledger.unanswered()) == []
        assert ledger.forget_failures() == 1
        assert [p.key for p in ledger.unanswered()] == [second_key("a", "No.")]


def test_what_was_spent_counts_all_that_was_ever_asked(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(1, "a"), unit(2, "b")])
        session = ledger.begin_session()
        ledger.store(session, [Stored("a", TeacherReply("", True), 0.25)], paid=True, possibly_billed=0.5)
        ledger.store(session, [Stored("b", TeacherReply("", True), None)], paid=True)
        plan(ledger, [unit(3, "c")], may_supersede=True)
        assert ledger.spent() == Spent(0.25, 0.5, 1)


def test_a_session_tells_of_itself(folder: Path) -> None:
    with Ledger.open(folder, create=True) as ledger:
        plan(ledger, [unit(n, f"{n}") for n in range(1, 101)])
        assert ledger.last_asking() is None
        session = ledger.begin_session()
        replies = [Stored(f"{n}", TeacherReply("", True, 10, 0, 3, seconds=float(n))) for n in range(1, 101)]
        ledger.store(session, replies, paid=True, retries={"rate_limited": 2})
        ledger.store(session, paid=True, retries={"rate_limited": 1, "timeout": 5})
        asking = ledger.last_asking()
        assert asking is not None
        assert (asking.pid, asking.replies, asking.completion_tokens) == (os.getpid(), 100, 300)
        assert asking.latencies == (50.0, 90.0, 99.0)
        assert asking.retries == {"timeout": 5, "rate_limited": 3}
        assert asking.ended_at is None
        ledger.end_session(session)
        ended = ledger.last_asking()
        assert ended is not None
        assert ended.ended_at is not None


@pytest.mark.parametrize(
    ("version", "tables", "cost"),
    [
        (1, ledger_module._SCHEMA, ""),
        (2, ledger_module._SCHEMA + ledger_module._ADDED_IN_2, ", NULL"),
    ],
)
def test_a_ledger_of_an_older_version_is_brought_up_to_date_with_its_replies(
    folder: Path, version: int, tables: str, cost: str
) -> None:
    with sqlite3.connect(folder / FILE_NAME) as db:
        db.executescript(
            f"{tables} PRAGMA application_id = {ledger_module._APPLICATION_ID};"
            f"PRAGMA user_version = {version};"
            f"INSERT INTO replies VALUES ('a', 'paid for', 1, 1, 9, 0, 1, 0.5, 17.0{cost})"
        )
    with pytest.raises(InputError, match="made by an older vitkit"):
        Ledger.open_read_only(folder)
    with Ledger.open(folder) as ledger:
        plan(ledger, [unit(1, "a")])
        assert [o.body for o in ledger.outcomes()] == ["paid for"]
        assert ledger.spent() == Spent(0.0, 0.0, 1)
