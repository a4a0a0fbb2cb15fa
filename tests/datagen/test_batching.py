"""Asking in batches against real HTTP on loopback: what is asked, stored, asked again, and paid for once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from datagen import batching
from datagen.asking import Asked, Interrupted, Requests, Tally, Watch
from datagen.batching import POLL_SECONDS, ask_in_batches, cancel_batches
from datagen.ledger import FILE_NAME, Batch, Ledger, Planned, PlannedUnit, Progress, Spent
from datagen.pricing import Price
from datagen.records import Excluded, ImageAnnotation, InputError, LeftOut, Message, TeacherRequest, Unit
from datagen.run_log import FILE_NAME as LOG
from datagen.run_log import RunLog
from datagen.teacher import TeacherStopped
from datagen.teacher.openai_api import OpenAITeacher
from datagen.teacher.openai_batch import SETTLE_SECONDS, BadLine, BatchAPI, BatchState, LineResult, input_line
from datagen.teacher.retries import ATTEMPTS
from tests.datagen.batch_server import (
    MISSING,
    TOKEN_LIMIT,
    BatchServer,
    Fault,
    Line,
    Plan,
    Script,
    completion,
    failure,
    unexecuted,
)

KEY = "sk-canary-0123456789"
PRICE = Price(input=1.0, cached_input=0.5, output=4.0)
EACH = PRICE.of(1500, 1280, 120)
"""What a reply of the server's costs."""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


class Killed(BaseException):
    """Stands for kill -9."""


def annotation(number: int) -> ImageAnnotation:
    return ImageAnnotation(number, f"{number}.jpg", 640, 480, ("A dog.",), ())


def request(number: int, text: str) -> TeacherRequest:
    return TeacherRequest(
        unit=Unit(number, "detail", 0),
        annotation=annotation(number),
        reply_form="answer",
        question="Describe it.",
        frame="camera",
        vocabulary=("dog",),
        pack_hash="0",
        seed=0,
        temperature=0.7,
        max_tokens=512,
        messages=(Message("system", "Describe."), Message("user", text)),
    )


def text_of(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def said(text: str, **answer: Any) -> Line:
    return completion(f"You said {text}.", **answer)


def echo(body: dict[str, Any], attempt: int) -> Line:
    return said(text_of(body))


def echo_except(**odd: Line | Sequence[Line]) -> Script:
    """An echo but for these texts: always this line, or these in turn and then an echo."""

    def script(body: dict[str, Any], attempt: int) -> Line:
        line = odd.get(text_of(body), ())
        if isinstance(line, Line):
            return line
        return line[attempt] if attempt < len(line) else echo(body, attempt)

    return script


class Made(list[tuple[ImageAnnotation, list[PlannedUnit]]]):
    excluded: Sequence[Excluded] = ()
    left_out: Sequence[LeftOut] = ()


@dataclass
class Session:
    """What one session saw."""

    raised: BaseException | None = None
    cancelled: int | None = None
    asked: list[Asked] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    shown: list[list[tuple[str, int, int]]] = field(default_factory=list)
    """Status, completed and failed of each open batch, at each wait."""
    waits: list[float] = field(default_factory=list)
    interrupts: int = 0


class Run:
    """A run's folder, a server, and sessions one after the other."""

    def __init__(self, folder: Path, server: BatchServer, texts: str, base_url: str | None = None) -> None:
        self.folder = folder
        self.server = server
        self.texts = texts
        self.base_url = base_url or server.base_url
        self.requests = {self.key(text): request(number, text) for number, text in enumerate(texts, 1)}
        with Ledger.open(folder, create=True) as ledger:
            ledger.replace_plan(
                settings={"teacher": "openai-batch"},
                teacher="openai-batch",
                plan=Made(
                    [
                        (r.annotation, [PlannedUnit(r.unit, key, r.question, r.messages)])
                        for key, r in self.requests.items()
                    ]
                ),
                response_types=["detail"],
                may_supersede=True,
            )

    def teacher(self) -> OpenAITeacher:
        return OpenAITeacher("tiny", self.base_url, in_batches=True)

    def key(self, text: str) -> str:
        return self.teacher().key(request(self.texts.index(text) + 1, text))

    def body(self, text: str) -> bytes:
        return self.teacher().body(request(self.texts.index(text) + 1, text))

    def worst(self, text: str) -> float:
        return PRICE.at_most(self.body(text), 512)

    def session(
        self,
        *,
        max_cost: float | None = None,
        price: Price | None = PRICE,
        cancel: bool = False,
        plans: bool = True,
        at_wait: Callable[[int], None] | None = None,
    ) -> Session:
        """Ask, or cancel. Without `plans` there are no requests to be had: it has to do with the ledger."""
        seen = Session()

        def committed(asked: Sequence[Asked], tally: Tally) -> None:
            seen.asked += asked
            seen.tally = tally

        def interrupted() -> None:
            seen.interrupts += 1

        def waiting(batches: Sequence[Batch]) -> None:
            seen.shown.append([(batch.status, batch.completed, batch.failed) for batch in batches])

        async def sleep(seconds: float) -> None:
            seen.waits.append(seconds)
            if at_wait is not None:
                at_wait(len(seen.waits))
                await asyncio.sleep(0)  # where a cancelled task ends

        async def go(ledger: Ledger, log: RunLog) -> None:
            def requests() -> Requests:
                if plans:
                    for pending in ledger.unanswered():
                        yield pending.key, self.requests[pending.key]

            teacher, watch = self.teacher(), Watch(committed, interrupted, log)
            try:
                await teacher.start()
                if cancel:
                    seen.cancelled = await cancel_batches(teacher, ledger, price, watch, waiting, sleep=sleep)
                else:
                    await ask_in_batches(
                        teacher, requests, ledger, max_cost, price, watch, waiting, sleep=sleep
                    )
            finally:
                await teacher.close()

        with Ledger.open(self.folder) as ledger, RunLog(self.folder) as log:
            try:
                asyncio.run(go(ledger, log))
            except (TeacherStopped, Interrupted, InputError, Killed) as raised:
                seen.raised = raised
        assert not [path for path in self.folder.iterdir() if path.is_dir()], "no file of requests stays"
        return seen

    def ask(self, **options: Any) -> Session:
        """A session that must end well."""
        seen = self.session(**options)
        assert seen.raised is None
        return seen

    @property
    def batches(self) -> list[tuple[str | None, str, bool, int]]:
        with Ledger.open_read_only(self.folder) as ledger:
            return [(b.batch_id, b.status, b.is_collected, b.requests) for b in ledger.batches()]

    @property
    def progress(self) -> Progress:
        with Ledger.open_read_only(self.folder) as ledger:
            return ledger.progress()["detail"]

    @property
    def spent(self) -> Spent:
        with Ledger.open_read_only(self.folder) as ledger:
            return ledger.spent()

    @property
    def replies(self) -> dict[str, str]:
        """Of the texts that have one."""
        bodies = dict(self.rows("SELECT key, body FROM replies"))
        return {text: bodies[self.key(text)] for text in self.texts if self.key(text) in bodies}

    @property
    def failures(self) -> dict[str, tuple[str, str]]:
        failed = {key: (reason, detail) for key, reason, detail, _ in self.rows("SELECT * FROM failures")}
        return {text: failed[self.key(text)] for text in self.texts if self.key(text) in failed}

    @property
    def quarantine(self) -> list[tuple[int, str, str]]:
        return self.rows("SELECT line, reason, text FROM quarantine ORDER BY rowid")

    @property
    def sent(self) -> list[str]:
        """The texts of each batch that the server has."""
        texts = {self.key(text): text for text in self.texts}
        return ["".join(texts[key] for key in batch.custom_ids) for batch in self.server.batches]

    def rows(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.folder / FILE_NAME)) as db:
            return db.execute(query).fetchall()

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Of these names, without what no test can foresee."""
        events = [json.loads(line) for line in (self.folder / LOG).read_text().splitlines()]
        varying = ("time", "pid", "tag", "endpoint")
        return [
            {name: value for name, value in event.items() if name not in varying}
            for event in events
            if event["event"] in names
        ]

    def is_whole(self) -> bool:
        """Whether all was answered and paid for once, and the books say so."""
        assert self.replies == {text: said(text).body.decode() for text in self.texts}
        assert self.progress == Progress(len(self.texts), len(self.texts), 0)
        assert self.server.paid == Counter({self.body(text): 1 for text in self.texts})
        self.books_agree()
        return True

    def books_agree(self) -> None:
        """What the server charges is what the ledger says was spent."""
        billed = self.server.billed().batch
        assert self.rows(
            "SELECT sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens) FROM replies"
        ) == [tuple(billed)]
        assert self.spent == pytest.approx((PRICE.of(*billed), 0, 0))


Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Makes a run of one-letter texts against a server that lives as long as the test."""
    servers: list[BatchServer] = []

    def make(texts: str, script: Script = echo, **options: Any) -> Run:
        server = BatchServer(script, **options)
        server.__enter__()
        servers.append(server)
        return Run(tmp_path, server, texts)

    yield make
    for server in servers:
        server.__exit__()


def test_what_the_endpoint_charges_is_what_the_ledger_says(start: Start) -> None:
    run = start("abc", polls_until_done=3)
    seen = run.ask()
    assert run.is_whole()
    assert run.sent == ["abc"]
    assert run.batches == [("batch_0", "completed", True, 3)]
    assert seen.shown == [[("validating", 0, 0)], [("in_progress", 0, 0)], [("finalizing", 0, 0)]]
    assert seen.waits == [POLL_SECONDS] * 3
    assert [(asked.request, asked.reply and asked.reply.body) for asked in seen.asked] == [
        (Planned(Unit(number, "detail", 0), "Describe it."), said(text).body.decode())
        for number, text in enumerate("abc", 1)
    ]
    tally = seen.tally
    assert (tally.replies, tally.failures, tally.prompt_tokens, tally.cached_tokens) == (3, 0, 4500, 3840)
    assert tally.spent == pytest.approx(3 * EACH)


def test_the_log_tells_of_each_batch(start: Start) -> None:
    run = start("ab", echo_except(b=failure(400, "context_length_exceeded", "too long")))
    run.ask()
    assert run.events("batch_submitted", "batch_status", "batch_collected", "failed") == [
        {
            "event": "batch_submitted",
            "batch_id": "batch_0",
            "requests": 2,
            "worst_cost": run.worst("a") + run.worst("b"),
        },
        {
            "event": "batch_status",
            "batch_id": "batch_0",
            "status": "in_progress",
            "completed": 0,
            "failed": 0,
        },
        {"event": "batch_status", "batch_id": "batch_0", "status": "completed", "completed": 1, "failed": 1},
        {"event": "failed", "key": run.key("b"), "reason": "context_length", "detail": "too long"},
        {
            "event": "batch_collected",
            "batch_id": "batch_0",
            "status": "completed",
            "replies": 1,
            "failures": 1,
            "pending_again": {},
            "quarantined": 0,
            "cost": EACH,
            "possibly_billed": 0.0,
        },
    ]
    (begun,), (ended,) = run.events("asking_begins"), run.events("asking_ends")
    assert begun == {"event": "asking_begins", "teacher": "openai-batch", "session": 1}
    assert (ended["how"], ended["replies"], ended["failures"], ended["spent"]) == ("done", 1, 1, EACH)
    assert run.rows("SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL") == [(1,)]


def test_files_hold_as_many_requests_as_they_may(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_REQUESTS", 2)
    run = start("abcde", polls_until_done=4)
    seen = run.ask()
    assert run.is_whole()
    assert run.sent == ["ab", "cd", "e"]
    # One at a time is validated, and all are carried out side by side.
    assert [[status for status, _, _ in shown] for shown in seen.shown] == [
        ["validating"],
        ["in_progress", "validating"],
        ["in_progress", "in_progress", "validating"],
        ["finalizing", "in_progress", "in_progress"],
        ["finalizing", "in_progress"],
        ["finalizing"],
    ]


def test_files_hold_as_many_bytes_as_they_may(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start("abc")
    lines = [len(input_line(run.key(text), run.body(text))) for text in "abc"]
    monkeypatch.setattr(batching, "MOST_BYTES", lines[0] + lines[1])
    run.ask()
    assert run.is_whole()
    assert run.sent == ["ab", "c"]


def test_one_request_larger_than_a_file_may_be_goes_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "MOST_BYTES", 10)
    run = start("ab")
    run.ask()
    assert run.is_whole()
    assert run.sent == ["a", "b"]


def test_a_run_without_prices_counts_tokens_only(start: Start) -> None:
    run = start("ab")
    seen = run.ask(price=None)
    assert run.spent == Spent(0, 0, unpriced=2)
    assert seen.tally.spent is None


def test_a_reply_without_usage_costs_the_worst(start: Start) -> None:
    body = {"choices": [{"message": {"content": "Hm."}}]}
    run = start("a", echo_except(a=Line(msgspec.json.encode(body))))
    run.ask()
    assert run.spent == pytest.approx((run.worst("a"), 0, 0))


# Killed at any point, nothing is paid twice


def kill_before(monkeypatch: pytest.MonkeyPatch, target: type, name: str) -> None:
    def killed(*args: Any, **kwargs: Any) -> None:
        raise Killed

    monkeypatch.setattr(target, name, killed)


def kill_after(monkeypatch: pytest.MonkeyPatch, target: type, name: str) -> None:
    original = getattr(target, name)

    def killed(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        raise Killed

    async def killed_later(*args: Any, **kwargs: Any) -> None:
        await original(*args, **kwargs)
        raise Killed

    later = asyncio.iscoroutinefunction(original)
    monkeypatch.setattr(target, name, killed_later if later else killed)


@pytest.mark.parametrize("kill", [kill_before, kill_after])
@pytest.mark.parametrize(
    ("target", "name"),
    [
        (BatchAPI, "upload"),
        (BatchAPI, "create"),
        (BatchAPI, "retrieve"),
        (Ledger, "add_batch"),
        (Ledger, "update_batch"),
        (Ledger, "store"),
        (Ledger, "end_batch"),
    ],
)
def test_a_run_killed_anywhere_pays_for_nothing_twice(
    start: Start, target: type, name: str, kill: Callable[[pytest.MonkeyPatch, type, str], None]
) -> None:
    run = start("abc")
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, target, name)
        assert isinstance(run.session().raised, Killed)
    run.ask()
    assert run.is_whole()
    with Ledger.open_read_only(run.folder) as ledger:
        assert ledger.open_batches() == []


def test_files_of_a_killed_session_are_swept_away(start: Start) -> None:
    run = start("a")
    (run.folder / "batches.tmp").mkdir()
    (run.folder / "batches.tmp" / "requests.jsonl").write_text("half a li")
    run.ask()
    assert run.is_whole()


@pytest.mark.parametrize("lines", range(6))
def test_a_run_killed_while_it_collects_stores_each_reply_once(
    start: Start, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "COMMIT_AFTER_LINES", 2)
    refused = failure(400, "context_length_exceeded", "too long")
    run = start("abcde", echo_except(b=said("b", form="duplicate"), d=refused))
    results = BatchAPI.results

    async def torn(self: BatchAPI, state: BatchState) -> AsyncIterator[LineResult | BadLine]:
        left = lines
        async for line in results(self, state):
            if not left:
                raise Killed
            left -= 1
            yield line

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchAPI, "results", torn)
        assert isinstance(run.session().raised, Killed)
    stored = (0, 0, 2, 2, 3, 3)[lines]
    assert len(run.replies) == stored
    seen = run.ask(plans=False)  # days later, from the ledger alone
    assert run.replies == {text: said(text).body.decode() for text in "abce"}
    assert run.failures == {"d": ("context_length", "too long")}
    assert [reason for _, reason, _ in run.quarantine] == ["duplicate_line"]
    assert seen.tally.replies == 4 - stored, "what came before the kill is not new"
    assert run.sent == ["abcde"]
    run.books_agree()


def test_a_batch_made_though_nobody_heard_of_it_is_found_by_the_next_session(start: Start) -> None:
    lost = Fault(late=True)
    run = start("ab", faults={"create": [lost], "list": [Fault(500)] * ATTEMPTS})
    seen = run.session()
    assert str(seen.raised) == (
        f"{run.base_url} cannot be reached (http_500: trouble): run the same command later; "
        "batches that were made go on"
    )
    assert run.batches == [(None, "submitting", False, 2)]
    assert run.spent == pytest.approx((0, run.worst("a") + run.worst("b"), 0))
    run.ask(plans=False)
    assert run.is_whole()
    assert run.batches == [("batch_0", "completed", True, 2)]


def test_a_batch_that_was_never_made_is_looked_for_twice_before_it_is_made(start: Start) -> None:
    run = start("ab", faults={"create": [Fault(500)] * ATTEMPTS})
    assert isinstance(run.session().raised, TeacherStopped)
    seen = run.ask()
    assert run.is_whole()
    assert run.batches == [(None, "never_made", True, 2), ("batch_0", "completed", True, 2)]
    assert seen.waits == [SETTLE_SECONDS, POLL_SECONDS, POLL_SECONDS]


def test_a_batch_listed_only_later_is_found_all_the_same(start: Start) -> None:
    run = start("ab")
    with pytest.MonkeyPatch.context() as patch:
        kill_after(patch, BatchAPI, "create")
        run.session()
    find, looks = BatchAPI.find, 0

    async def late(self: BatchAPI, tag: str) -> BatchState | None:
        nonlocal looks
        looks += 1
        return None if looks == 1 else await find(self, tag)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchAPI, "find", late)
        run.ask()
    assert run.is_whole()
    assert run.sent == ["ab"]


def test_an_endpoint_that_is_away_for_a_while_is_waited_for(start: Start) -> None:
    run = start("ab", faults={"retrieve": [Fault(503)] * (3 * ATTEMPTS)})
    run.ask()
    assert run.is_whole()
    assert len(run.events("batches_not_reached")) == 3


def test_an_endpoint_that_stays_away_ends_the_session(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_MOST_ROUNDS_UNREACHED", 2)
    run = start("ab", faults={"retrieve": [Fault(503)] * (2 * ATTEMPTS)})
    assert "cannot be reached (http_503: trouble)" in str(run.session().raised)
    run.ask(plans=False)
    assert run.is_whole()


# What a batch leaves unanswered


def test_what_a_batch_did_not_get_to_goes_into_a_later_one(start: Start) -> None:
    run = start("abc", plans={0: Plan(expires_after=1)})
    seen = run.ask()
    assert run.is_whole()
    assert run.sent == ["abc", "bc"]
    assert seen.tally.retries == Counter(batch_expired=2)


def test_a_request_that_three_batches_left_unanswered_has_failed(start: Start) -> None:
    run = start("ab", echo_except(b=failure(500)))
    run.ask()
    assert run.sent == ["ab", "b", "b"]
    assert run.failures == {"b": ("http_500", "no")}
    assert run.progress == Progress(2, 1, 1)
    run.books_agree()


def test_three_expired_batches_fail_too(start: Start) -> None:
    run = start("a", plans={number: Plan(expires_after=0) for number in range(3)})
    run.ask()
    expired = "This request could not be executed before the completion window expired."
    assert run.failures == {"a": ("batch_expired", expired)}
    assert run.sent == ["a", "a", "a"]


@pytest.mark.parametrize("odd", [unexecuted("server_error"), MISSING, failure(429)])
def test_a_request_without_an_answer_is_asked_again(start: Start, odd: Line) -> None:
    run = start("abc", echo_except(b=[odd]))
    run.ask()
    assert run.is_whole()
    assert run.sent == ["abc", "b"]


def test_a_parameter_that_is_not_taken_is_left_out_of_the_next_batch(start: Start) -> None:
    def script(body: dict[str, Any], attempt: int) -> Line:
        if "max_tokens" in body:
            return failure(400, "unsupported_parameter", "Unsupported parameter: 'max_tokens'.")
        return echo(body, attempt)

    run = start("ab", script)
    run.ask()
    assert run.sent == ["ab", "ab"]
    assert [json.loads(body)["max_completion_tokens"] for body in run.server.paid] == [512, 512]
    assert run.progress == Progress(2, 2, 0)
    run.books_agree()


def test_a_spent_quota_stops_the_asking_after_what_is_open_was_collected(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "MOST_REQUESTS", 2)
    run = start("abcdef", echo_except(b=[failure(429, "insufficient_quota", "You are out of money.")]))
    seen = run.session()
    told = "the quota is spent (You are out of money.): add credit, then run the same command"
    assert str(seen.raised) == f"{run.base_url}: {told}"
    assert sorted(run.replies) == ["a", "c", "d"]
    assert run.progress == Progress(6, 3, 0), "nothing failed"
    run.ask()
    assert run.is_whole()


# Lines that are not as they should be


def test_a_line_that_cannot_be_read_is_set_aside_and_not_paid_for_again(start: Start) -> None:
    run = start("abc", echo_except(b=said("b", form="garbage")))
    run.ask()
    assert run.quarantine == [(2, "unreadable_line", '{"id": "batch_req_1", "custom')]
    assert run.failures == {"b": ("bad_batch_line", "no readable line answers it, one perhaps unread")}
    assert run.sent == ["abc"]
    assert run.spent == pytest.approx((2 * EACH, run.worst("b"), 0))
    with Ledger.open_read_only(run.folder) as ledger:
        assert ledger.quarantined() == 1


def test_a_second_line_and_one_for_nobody_are_set_aside(start: Start) -> None:
    run = start("abc", echo_except(a=said("a", form="duplicate"), b=said("b", form="unknown")))
    run.ask()
    assert run.is_whole()
    lines = [(number, reason, json.loads(text)) for number, reason, text in run.quarantine]
    a, b = said("a").body.decode(), said("b").body.decode()
    assert lines == [
        (2, "duplicate_line", {"custom_id": run.key("a"), "status": 200, "body": a, "error": None}),
        (4, "unknown_request", {"custom_id": "nobody-asked-this", "status": 200, "body": b, "error": None}),
    ]


def test_an_answer_that_is_no_completion_is_set_aside(start: Start) -> None:
    run = start("ab", echo_except(b=Line(b'{"detail":"hm"}')))
    run.ask()
    text = msgspec.json.encode(LineResult(run.key("b"), 200, '{"detail":"hm"}', None)._asdict()).decode()
    assert run.quarantine == [(2, "no_completion", text)]
    assert run.failures == {"b": ("bad_batch_line", "the answer is no completion")}
    assert run.spent == pytest.approx((EACH, run.worst("b"), 0))


def test_an_answer_that_is_counted_but_not_given_is_not_asked_for_again(start: Start) -> None:
    run = start("ab", echo_except(b=MISSING))
    retrieve = BatchAPI.retrieve

    async def miscounted(self: BatchAPI, batch_id: str) -> BatchState:
        state = await retrieve(self, batch_id)
        return state._replace(completed=2) if state.is_final else state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchAPI, "retrieve", miscounted)
        run.ask()
    assert run.failures == {"b": ("bad_batch_line", "no readable line answers it, one perhaps unread")}
    assert run.spent == pytest.approx((EACH, run.worst("b"), 0))


def test_what_batches_left_over_can_be_asked_again_as_failures(start: Start) -> None:
    run = start("ab", echo_except(b=[said("b", form="garbage")]))
    run.ask()
    with Ledger.open(run.folder) as ledger:
        assert ledger.forget_failures() == 1
    run.ask()
    assert sorted(run.replies) == ["a", "b"]
    assert run.server.paid == Counter({run.body("a"): 1, run.body("b"): 2})
    # The books have both: one known, one possible.
    assert run.spent == pytest.approx((2 * EACH, run.worst("b"), 0))


# Batches that are refused


def test_a_line_that_is_refused_does_not_hold_up_the_others(start: Start) -> None:
    run = start("abc", plans={0: Plan(invalid_lines={2: "invalid_request"})})
    run.ask()
    assert run.sent == ["abc", "ac"]
    assert sorted(run.replies) == ["a", "c"]
    assert run.failures == {"b": ("batch_line_refused", "invalid_request: This line is refused.")}
    assert run.quarantine == [(2, "batch_line_refused", "invalid_request: This line is refused.")]
    run.books_agree()


def test_a_model_without_batches_stops_the_asking(start: Start) -> None:
    run = start("ab", plans={0: Plan(invalid_lines={1: "model_not_found", 2: "model_not_found"})})
    seen = run.session()
    assert str(seen.raised) == (
        f"{run.base_url} refuses the batch batch_0: "
        "model_not_found: This line is refused.; model_not_found: This line is refused."
    )
    assert run.progress == Progress(2, 0, 0)
    run.ask()
    assert run.is_whole()


def test_a_refusal_for_a_line_that_is_not_there_stops_the_asking(start: Start) -> None:
    run = start("ab", plans={0: Plan(invalid_lines={2: "odd"})})
    retrieve = BatchAPI.retrieve

    async def misnumbered(self: BatchAPI, batch_id: str) -> BatchState:
        state = await retrieve(self, batch_id)
        return state._replace(errors=tuple(error._replace(line=9) for error in state.errors))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchAPI, "retrieve", misnumbered)
        seen = run.session()
    assert str(seen.raised) == f"{run.base_url} refuses the batch batch_0: odd: This line is refused."
    assert run.progress == Progress(2, 0, 0)


def test_a_file_too_large_for_the_queue_is_halved(start: Start) -> None:
    full = Plan(token_limit=True)
    run = start("abcdefgh", plans={0: full, 1: full})
    run.ask()
    assert run.is_whole()
    assert run.sent == ["abcdefgh", "abcd", "ef", "gh", "ab", "cd"]


def test_a_full_queue_is_waited_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_REQUESTS", 2)
    run = start("abcd", plans={0: Plan(polls_until_done=5), 1: Plan(token_limit=True)})
    seen = run.ask()
    assert run.is_whole()
    assert run.sent == ["ab", "cd", "cd"]
    assert [[status for status, _, _ in shown] for shown in seen.shown] == [
        ["validating"],
        ["in_progress", "validating"],
        ["in_progress"],
        ["in_progress"],
        ["finalizing"],
        ["validating"],
        ["in_progress"],
    ]


def test_a_queue_that_takes_not_one_request_stops_the_asking(start: Start) -> None:
    run = start("ab", plans={number: Plan(token_limit=True) for number in range(2)})
    seen = run.session()
    assert str(seen.raised) == f"{run.base_url} takes not even one request: {TOKEN_LIMIT}"
    assert run.sent == ["ab", "a"]
    assert run.progress == Progress(2, 0, 0)


def test_a_queue_that_is_full_when_a_batch_is_to_be_made(start: Start) -> None:
    body = msgspec.json.encode({"error": {"message": "Too much.", "code": "token_limit_exceeded"}})
    run = start("abcd", faults={"create": [Fault(429, body=body)]})
    run.ask()
    assert run.is_whole()
    assert run.sent == ["ab", "cd"]
    assert [status for _, status, _, _ in run.batches] == ["never_made", "completed", "completed"]


def test_an_endpoint_without_batches_is_said_to_have_none(start: Start) -> None:
    run = start("ab", faults={"upload": [Fault(404)]})
    seen = run.session()
    assert str(seen.raised) == f"{run.base_url} has no batch endpoint: use --teacher openai (trouble)"
    assert (run.batches, run.spent) == ([], Spent(0, 0, 0))


def test_a_batch_that_the_endpoint_refuses_leaves_nothing_reserved(start: Start) -> None:
    run = start("ab", faults={"create": [Fault(400)]})
    seen = run.session()
    assert str(seen.raised) == f"{run.base_url} refuses a batch: http_400: trouble"
    assert run.batches == [(None, "never_made", True, 2)]
    assert run.spent == Spent(0, 0, 0)


def test_a_key_refused_while_a_batch_may_have_been_made_leaves_it_to_be_found(start: Start) -> None:
    run = start("ab", faults={"create": [Fault(late=True)], "list": [Fault(401), Fault(401)]})
    assert "refuses the key in OPENAI_API_KEY (401)" in str(run.session().raised)
    assert run.batches == [(None, "submitting", False, 2)]
    run.ask()
    assert run.is_whole()


# What it may cost


def test_no_more_is_asked_than_the_money_lasts_for(start: Start) -> None:
    run = start("abcdefgh")
    # For so many at what they cost, and one more at its worst.
    cap = 4 * EACH + run.worst("a") + EACH / 2
    caps: list[float] = []

    def at_wait(number: int) -> None:
        caps.append(PRICE.of(*run.server.billed().batch) + run.spent.possibly_billed)

    seen = run.session(max_cost=cap, at_wait=at_wait)
    assert sorted(run.replies) == ["a", "b", "c", "d", "e"]
    assert PRICE.of(*run.server.billed().batch) == pytest.approx(5 * EACH)
    assert max(caps) <= cap
    assert str(seen.raised) == (
        f"--max-cost {cap:g} leaves no room for another request, which could cost ${run.worst('f'):.4f} "
        f"(spent ${5 * EACH:.4f}, and perhaps $0.0000 for what was never answered): "
        "raise it to go on; every reply is kept"
    )
    assert str(run.session(max_cost=cap).raised) == str(seen.raised), "nor by another session"
    run.ask(max_cost=100.0)
    assert run.is_whole()


def test_what_is_open_counts_at_its_worst_in_any_session(start: Start) -> None:
    run = start("abcd", polls_until_done=9)
    cap = 2 * run.worst("a") + EACH / 2

    def leave(number: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(2):
        assert isinstance(run.session(max_cost=cap, at_wait=leave).raised, Interrupted)
        assert run.sent == ["ab"]
        assert run.spent == pytest.approx((0, 2 * run.worst("a"), 0))
    run.session(max_cost=cap)
    assert PRICE.of(*run.server.billed().batch) <= cap
    assert run.spent.possibly_billed == 0


# Leaving and coming back


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_leaves_at_once_and_the_batch_is_collected_later(
    start: Start, number: signal.Signals
) -> None:
    run = start("abc")
    seen = run.session(at_wait=lambda _: os.kill(os.getpid(), number))
    assert isinstance(seen.raised, Interrupted)
    assert (seen.interrupts, seen.waits, run.sent) == (1, [POLL_SECONDS], ["abc"])
    assert run.events("asking_ends")[0]["how"] == "interrupted"
    with Ledger.open_read_only(run.folder) as ledger:
        assert not any(ledger.is_to_be_asked(run.key(text)) for text in "abc"), "not online either"
    run.ask(plans=False)
    assert run.is_whole()


def test_what_an_earlier_session_left_open_is_not_asked_again_beside_it(start: Start) -> None:
    run = start("abc", plans={0: Plan(expires_after=1)})
    run.session(at_wait=lambda _: os.kill(os.getpid(), signal.SIGINT))
    run.ask()
    assert run.is_whole()
    assert run.sent == ["abc", "bc"]


def test_open_batches_of_another_endpoint_are_not_lost(start: Start) -> None:
    run = start("ab")
    run.session(at_wait=lambda _: os.kill(os.getpid(), signal.SIGINT))
    run.base_url = run.server.base_url.replace("127.0.0.1", "localhost")
    assert str(run.session().raised) == (
        f"{run.folder}: has an open batch at {run.server.base_url}: "
        "name that with --base-url to collect it, or cancel it, first"
    )
    run.base_url = run.server.base_url
    run.ask()
    assert run.is_whole()


# Cancelling


def test_cancelling_keeps_what_was_answered_and_leaves_the_rest_pending(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "MOST_REQUESTS", 4)
    run = start("abcdef", polls_until_done=4)

    def leave(number: int) -> None:
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)

    run.session(at_wait=leave)
    assert run.sent == ["abcd", "ef"]
    seen = run.session(cancel=True, plans=False)
    assert (seen.raised, seen.cancelled) == (None, 2)
    assert sorted(run.replies) == ["a", "b"]
    assert run.progress == Progress(6, 2, 0)
    assert run.batches == [("batch_0", "cancelled", True, 4), ("batch_1", "cancelled", True, 2)]
    run.books_agree()
    run.ask()
    assert run.is_whole()


def test_cancelling_counts_only_what_was_not_done_already(start: Start) -> None:
    run = start("ab", polls_until_done=1)
    run.session(at_wait=lambda _: os.kill(os.getpid(), signal.SIGINT))
    seen = run.session(cancel=True)
    assert (seen.raised, seen.cancelled) == (None, 0)
    assert run.is_whole()


def test_with_nothing_open_nothing_is_cancelled(start: Start) -> None:
    run = start("ab")
    assert run.session(cancel=True).cancelled == 0
    assert run.server.calls["cancel"] == 0


def test_being_cancelled_does_not_count_against_a_request(start: Start) -> None:
    run = start("ab", polls_until_done=9)
    for _ in range(3):
        run.session(at_wait=lambda _: os.kill(os.getpid(), signal.SIGINT))
        assert run.session(cancel=True).cancelled == 1
    assert run.progress == Progress(2, 0, 0)


def test_a_batch_cancelled_by_somebody_else_is_not_made_again_at_once(start: Start) -> None:
    run = start("ab", polls_until_done=4)

    def cancel(number: int) -> None:
        if number == 2:
            run.server.batches[0].status = "cancelling"

    seen = run.session(at_wait=cancel)
    assert str(seen.raised) == (
        "batch batch_0 was cancelled: what it left unanswered stays pending; "
        "run the same command again to ask it"
    )
    assert (run.progress, run.sent) == (Progress(2, 0, 0), ["ab"])
    run.ask()
    assert run.is_whole()


def test_a_batch_that_is_gone_can_be_given_up(start: Start) -> None:
    run = start("ab")
    run.session(at_wait=lambda _: os.kill(os.getpid(), signal.SIGINT))
    run.server.batches.clear()
    seen = run.session()
    assert str(seen.raised) == (
        f"{run.base_url} knows no batch batch_0 (No batch found.): "
        "set the key that it was made with or, if it is gone for good, cancel it"
    )
    assert run.session(cancel=True).cancelled == 0
    assert run.batches == [("batch_0", "given_up", True, 2)]
    worst = run.worst("a") + run.worst("b")
    assert run.spent == pytest.approx((0, worst, 0))
    run.ask()
    assert sorted(run.replies) == ["a", "b"]


# The key


def test_the_key_is_in_no_file_and_no_message(start: Start) -> None:
    echoed = failure(400, "odd", f"you sent {KEY}")
    answer = said(f"your key is {KEY}")
    unreadable = Line(b'{"you sent": "' + KEY.encode() + b'"}')
    body = msgspec.json.encode({"error": {"message": f"bad {KEY}", "code": "odd"}})
    run = start(
        "abc", echo_except(a=echoed, b=answer, c=unreadable), faults={"create": [Fault(400, body=body)]}
    )
    message = str(run.session().raised)
    assert message == f"{run.base_url} refuses a batch: http_400: bad [key]"
    run.ask()
    assert run.failures["a"] == ("http_400", "you sent [key]")
    assert run.replies["b"] == answer.body.decode().replace(KEY, "[key]")
    assert run.server.authorizations == {f"Bearer {KEY}"}
    for path in run.folder.iterdir():
        assert KEY.encode() not in path.read_bytes(), path
