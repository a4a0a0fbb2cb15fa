"""Asks a teacher what the ledger has no answer to, and commits every reply before it counts."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from datagen.ledger import Ledger, Planned, Stored
from datagen.limits import Closed, Limiter, NoRoom
from datagen.pricing import Budget, Price
from datagen.records import TeacherReply, TeacherRequest
from datagen.run_log import RunLog
from datagen.teacher import (
    LocalTeacher,
    RemoteTeacher,
    TeacherFailure,
    TeacherRetry,
    TeacherStopped,
    retrying,
)

# A local teacher's replies are committed together, so many or after so long.
_COMMIT_AFTER_REPLIES = 256
_COMMIT_AFTER_SECONDS = 0.1
# A remote teacher's replies wait for one another so long, to share a sync; rarer ones do not wait. The
# commit itself holds up the loop: handing it to a thread took longer than most disks take to sync.
_BETWEEN_COMMITS_SECONDS = 0.0015
# That many requests in a row, each after all its attempts, without one answer between: it is not they.
UNREACHABLE_AFTER = 8
# Requests that wait to be tried again hold no slot, but memory.
_MOST_WAITING_PER_SLOT = 4
_LOG_EVERY_SECONDS = 10.0
_RECENT = 1000


class Interrupted(Exception):
    """The person stopped the run; every reply that came is in the ledger."""


class Asked(NamedTuple):
    """A request and what became of it."""

    request: TeacherRequest | Planned
    """What the plan says of it, where it was asked in a batch, perhaps by an earlier session."""
    reply: TeacherReply | None
    """None where it failed."""


@dataclass
class Tally:
    """How asking goes, as far as it is committed."""

    replies: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """Latencies of the last replies."""
    concurrency: int = 0
    """How many requests may be in flight now; 0 for a local teacher."""
    spent: float | None = None
    """US dollars over all sessions; None where the model has no price."""
    spent_before: float = 0.0
    """Of these, what earlier sessions spent."""
    began_at: float = field(default_factory=time.monotonic)

    def add(self, reply: TeacherReply | None) -> None:
        """A reply was committed, or a failure."""
        if reply is None:
            self.failures += 1
            return
        self.replies += 1
        self.prompt_tokens += reply.prompt_tokens or 0
        self.cached_tokens += reply.cached_tokens or 0
        self.completion_tokens += reply.completion_tokens or 0
        self.seconds.append(reply.seconds)

    def as_log(self) -> dict[str, Any]:
        """For the structured log."""
        return {
            "replies": self.replies,
            "failures": self.failures,
            "retries": dict(self.retries),
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
            "tokens_per_second": round(
                self.completion_tokens / max(time.monotonic() - self.began_at, 0.001), 1
            ),
            "latency_p50": round(self.latency(0.5), 4),
            "latency_p90": round(self.latency(0.9), 4),
            "latency_p99": round(self.latency(0.99), 4),
            "concurrency": self.concurrency,
            "spent": self.spent,
        }

    def latency(self, share: float) -> float:
        """That percentile of the last replies, in seconds."""
        ordered = sorted(self.seconds)
        return ordered[int((len(ordered) - 1) * share)] if ordered else 0.0


class Watch(NamedTuple):
    """What is told of asking while it goes on."""

    committed: Callable[[Sequence[Asked], Tally], None]
    """After each commit, with what was in it."""
    interrupted: Callable[[], None]
    """At the first Ctrl-C."""
    log: RunLog


class Limits(NamedTuple):
    """What may be asked at once, in a minute, and for how much."""

    concurrency: int
    rpm: int | None = None
    tpm: int | None = None
    max_cost: float | None = None


Requests = Iterator[tuple[str, TeacherRequest]]


def ask_local(teacher: LocalTeacher, requests: Requests, ledger: Ledger, watch: Watch) -> None:
    """Ask a teacher that answers by itself, one request after the other.

    On Ctrl-C (or SIGTERM) everything answered is committed, then Interrupted is raised.
    """
    session, tally = ledger.begin_session(), Tally()
    asked: list[Asked] = []
    replies: list[Stored] = []
    failures: list[tuple[str, str, str]] = []
    last_commit = time.monotonic()
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            watch.interrupted()
        interrupted = True

    def commit() -> None:
        nonlocal last_commit
        ledger.store(session, replies, failures, paid=teacher.paid)
        watch.committed(asked, tally)
        for done in (asked, replies, failures):
            done.clear()
        last_commit = time.monotonic()

    with on_signals(interrupt):
        for key, request in requests:
            if interrupted:
                break
            reply = None
            try:
                reply = teacher.answer(request)
            except TeacherFailure as failure:
                failures.append((key, failure.reason, failure.detail))
                tally.failures += 1
            else:
                replies.append(Stored(key, reply))
                tally.replies += 1
            asked.append(Asked(request, reply))
            due = time.monotonic() - last_commit >= _COMMIT_AFTER_SECONDS
            if due or len(asked) >= _COMMIT_AFTER_REPLIES:
                commit()
        commit()
    ledger.end_session(session)
    if interrupted:
        raise Interrupted


async def ask_remote(
    teacher: RemoteTeacher,
    requests: Requests,
    ledger: Ledger,
    limits: Limits,
    price: Price | None,
    watch: Watch,
) -> None:
    """Ask every request over the network, within the limits, and store what comes back.

    A request keeps its slot until its reply is committed, so that `kill -9` can repeat no more than
    was in flight. One that waits to be tried again holds none.

    On the first Ctrl-C (or SIGTERM) nothing new is asked and what is in flight is waited for; on
    the second that is given up. Either way everything received is committed, then Interrupted is
    raised. Raises TeacherStopped when the teacher says that no request can be answered, and when
    the next one could cost more than `limits.max_cost` leaves.
    """
    spent = ledger.spent()
    session = ledger.begin_session()
    budget = Budget(limits.max_cost, spent.known, spent.possibly_billed)
    limiter = Limiter(limits.concurrency, limits.rpm, limits.tpm)
    writer = _Writer(ledger, session, budget, watch, limiter.close, counts_money=price is not None)
    asking = _Asking(teacher, writer, limiter, budget, price, watch)
    watch.log.event(
        "asking_begins", teacher=teacher.name, endpoint=teacher.endpoint, session=session, **limits._asdict()
    )
    writing = asyncio.create_task(writer.run())
    with on_signals(asking.interrupt):
        try:
            await asking.run(requests)
        finally:
            try:
                await writer.finish(writing)
            finally:
                ledger.end_session(session)
                ended = "interrupted" if asking.interrupted else "stopped" if asking.stopped else "done"
                log = writer.tally.as_log() | {"possibly_billed": budget.possibly_billed}
                watch.log.event("asking_ends", how=ended, reason=str(asking.stopped or ""), **log)
    if asking.interrupted:
        raise Interrupted
    if asking.stopped is not None:
        raise asking.stopped


class _Asking:
    """The requests of one session: each a task from the moment it is let in until it is committed."""

    def __init__(
        self,
        teacher: RemoteTeacher,
        writer: _Writer,
        limiter: Limiter,
        budget: Budget,
        price: Price | None,
        watch: Watch,
    ) -> None:
        self.teacher = teacher
        self.writer = writer
        self.limiter = limiter
        self.budget = budget
        self.price = price
        self.watch = watch
        self.interrupted = False
        self.stopped: TeacherStopped | None = None
        self._retrying = retrying(limiter.sleep)
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._given_up: list[tuple[str, TeacherRequest, TeacherFailure]] = []

    def interrupt(self) -> None:
        """Called by a signal, in the middle of anything."""
        loop = self.writer.loop
        if self.interrupted:
            for task in self._tasks:
                loop.call_soon_threadsafe(task.cancel)
        else:
            self.interrupted = True
            loop.call_soon_threadsafe(self.limiter.close)
            self.watch.interrupted()

    def stop(self, why: TeacherStopped) -> None:
        """Ask nothing new; what is in flight is waited for."""
        self.stopped = self.stopped or why
        self.limiter.close()

    async def run(self, requests: Requests) -> None:
        # So many tasks wait for a slot, or for their next attempt, at most.
        most = self.limiter.most * (1 + _MOST_WAITING_PER_SLOT)
        try:
            for key, request in requests:
                attempt = await self._enter(request)
                task = asyncio.create_task(self._answer(key, request, attempt))
                self._tasks.add(task)
                task.add_done_callback(self._task_is_over)
                while len(self._tasks) >= most:
                    self._room.clear()
                    await self._room.wait()
        except (Closed, NoRoom):
            pass
        except BaseException:
            self.limiter.close()
            raise
        finally:
            # What is in flight is paid for, whatever ends the asking.
            while self._tasks:
                await asyncio.wait(self._tasks)
        if self.stopped is None and not self.interrupted:
            self._give_up()

    def _task_is_over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and self.writer.failed is None:
            self.writer.stop(error)

    async def _enter(self, request: TeacherRequest) -> _Attempt:
        """Wait for a slot, with the worst that the request can cost reserved."""
        body = self.teacher.body(request)
        worst = self.price.at_most(body, request.max_tokens) if self.price else 0.0
        tokens = len(body) // 4 + request.max_tokens
        try:
            entered_at = await self.limiter.enter(tokens, lambda: self.budget.reserve(worst))
        except NoRoom:
            self.stop(TeacherStopped(self.budget.no_room_for(worst)))
            raise
        attempt = _Attempt(body, worst, tokens, entered_at)
        if self.price:
            try:
                await self.writer.expose()
            except BaseException:
                self._leave(attempt)
                raise
        return attempt

    def _leave(self, attempt: _Attempt, cost: float | None = 0.0) -> None:
        """The slot is free; `cost` in US dollars, or None where nobody knows."""
        if cost is None:
            self.budget.lose(attempt.worst_cost)
        else:
            self.budget.settle(attempt.worst_cost, cost)
        self.limiter.leave()

    async def _answer(self, key: str, request: TeacherRequest, first: _Attempt) -> None:
        entered: _Attempt | None = first

        async def attempt() -> None:
            nonlocal entered
            entered, this = None, entered or await self._enter(request)
            await self._attempt(key, request, this)

        try:
            await self._retrying(attempt)
        except TeacherRetry as last:
            self._fail(key, request, TeacherFailure(last.reason, last.detail))
        except TeacherFailure as failure:
            self._fail(key, request, failure)
        except TeacherStopped as stopped:
            self.stop(stopped)
        except (Closed, NoRoom):
            pass  # pending

    async def _attempt(self, key: str, request: TeacherRequest, attempt: _Attempt) -> None:
        """Ask once, and wait until the reply is committed."""
        cost: float | None = None
        try:
            reply, hold = await self.teacher.ask(attempt.body)
            cost = self._cost(reply, attempt)
            self._take(reply, attempt, hold)
            await self.writer.add(key, Asked(request, reply), cost if self.price else None)
        except TeacherRetry as retry:
            cost = None if retry.may_be_billed else 0.0
            self._count(retry, key, request, attempt)
            raise
        except (TeacherFailure, TeacherStopped):
            cost = 0.0
            raise
        except Exception:
            # Such as a full disk: nothing that is asked now could be kept.
            self.limiter.close()
            raise
        finally:
            self._leave(attempt, cost)

    def _cost(self, reply: TeacherReply, attempt: _Attempt) -> float:
        return self.price.of_reply(reply, attempt.worst_cost) if self.price else 0.0

    def _take(self, reply: TeacherReply, attempt: _Attempt, hold: float) -> None:
        self._give_up()
        self.limiter.answered(attempt.entered_at, reply.seconds)
        if reply.prompt_tokens is not None and reply.completion_tokens is not None:
            self.limiter.used(attempt.tokens, reply.prompt_tokens + reply.completion_tokens)
        if hold:
            self.limiter.hold(hold)
        self.writer.tally.concurrency = int(self.limiter.concurrency)

    def _count(self, retry: TeacherRetry, key: str, request: TeacherRequest, attempt: _Attempt) -> None:
        if retry.overloaded:
            self.limiter.pushed_back(attempt.entered_at, retry.wait)
        if retry.reason == "connection_error" and not retry.may_be_billed:
            self.limiter.used(attempt.tokens, 0)  # refused requests count as well
        self.writer.retried(retry.reason)
        self.watch.log.event(
            "retry",
            key=key,
            **request.unit._asdict(),
            reason=retry.reason,
            detail=retry.detail,
            wait=retry.wait,
            concurrency=int(self.limiter.concurrency),
        )

    def _fail(self, key: str, request: TeacherRequest, failure: TeacherFailure) -> None:
        """A failure counts once something else was answered; until then it may be the endpoint's."""
        self._given_up.append((key, request, failure))
        if failure.is_its_own:
            self._give_up()
        elif len(self._given_up) >= UNREACHABLE_AFTER:
            self.stop(
                TeacherStopped(
                    f"{self.teacher.endpoint} gave the last {UNREACHABLE_AFTER} requests no reply "
                    f"({failure.reason}: {failure.detail}): they stay pending; mend it and go on"
                )
            )

    def _give_up(self) -> None:
        for key, request, failure in self._given_up:
            self.writer.fail(key, request, failure)
            self.watch.log.event(
                "failed", key=key, **request.unit._asdict(), reason=failure.reason, detail=failure.detail
            )
        self._given_up.clear()


class _Attempt(NamedTuple):
    """A request that was let in."""

    body: bytes
    worst_cost: float
    """US dollars that are reserved for it."""
    tokens: int
    """What it was paced as."""
    entered_at: float


class _Writer:
    """Commits what has come, all of it in one transaction, over and over; each waits for its own."""

    def __init__(
        self,
        ledger: Ledger,
        session: int,
        budget: Budget,
        watch: Watch,
        on_failure: Callable[[], None],
        *,
        counts_money: bool,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.tally = Tally(spent=budget.spent if counts_money else None, spent_before=budget.spent)
        self.failed: Exception | None = None
        """What stopped the writing, if anything did."""
        self._on_failure = on_failure
        self._ledger = ledger
        self._session = session
        self._budget = budget
        self._watch = watch
        self._asked: list[Asked] = []
        self._replies: list[Stored] = []
        self._failures: list[tuple[str, str, str]] = []
        self._retries: Counter[str] = Counter()
        self._waiting: list[asyncio.Future[None]] = []
        # US dollars that the ledger is to know to be at stake, and that it does know.
        self._exposed = self._exposed_on_disk = 0.0
        self._work = asyncio.Event()
        self._is_over = False
        self._is_shown = True
        self._logged_at = self.loop.time()

    async def add(self, key: str, asked: Asked, cost: float | None) -> None:
        """Returns when the reply is on disk."""
        assert asked.reply is not None
        self._asked.append(asked)
        self._replies.append(Stored(key, asked.reply, cost))
        await self._committed()

    def fail(self, key: str, request: TeacherRequest, failure: TeacherFailure) -> None:
        self._asked.append(Asked(request, None))
        self._failures.append((key, failure.reason, failure.detail))
        self._work.set()

    def retried(self, reason: str) -> None:
        self._retries[reason] += 1
        self.tally.retries[reason] += 1
        self._work.set()

    async def expose(self) -> None:
        """Returns when the ledger knows that all that is in flight may be billed."""
        at_stake = self._budget.lost + self._budget.reserved
        if at_stake > self._exposed:
            # Twice as much, so that this is rare, but no more than the cap would let through.
            self._exposed = min(at_stake * 2, max(at_stake, self._budget.most_at_stake))
        if at_stake > self._exposed_on_disk:
            await self._committed()

    def _committed(self) -> asyncio.Future[None]:
        waiting = self.loop.create_future()
        self._waiting.append(waiting)
        self._work.set()
        return waiting

    async def run(self) -> None:
        committed_at = 0.0
        while not self._is_over:
            await self._work.wait()
            if (early := committed_at + _BETWEEN_COMMITS_SECONDS - self.loop.time()) > 0:
                await asyncio.sleep(early)
            self._work.clear()
            self._commit()
            committed_at = self.loop.time()

    async def finish(self, writing: asyncio.Task[None]) -> None:
        """Commit what is left, also what could not be before. Raises what went wrong with the writing."""
        self._is_over = True
        self._work.set()
        await writing
        # Nothing is in flight any more: what is left is what nobody will ever know.
        self._exposed = max(0.0, round(self._budget.lost + self._budget.reserved, 9))
        failed, self.failed = self.failed, None
        self._commit()
        if self.tally.spent is not None:
            self.tally.spent = self._budget.spent
        if error := failed or self.failed:
            raise error

    def _commit(self) -> None:
        if self.failed is not None:
            self.stop(self.failed)
            return
        asked, replies, failures = self._asked, self._replies, self._failures
        retries, waiting = self._retries, self._waiting
        self._asked, self._replies, self._failures = [], [], []
        self._retries, self._waiting = Counter(), []
        cost = sum(stored.cost or 0.0 for stored in replies)
        # What these replies cost is at stake no longer.
        exposed = max(0.0, min(self._exposed, self._budget.most_at_stake - cost))
        try:
            self._ledger.store(
                self._session,
                replies,
                failures,
                paid=True,
                retries=retries,
                possibly_billed=exposed,
            )
        except Exception as error:
            # Kept for another try at the end: they are paid for.
            self._asked[:0], self._replies[:0], self._failures[:0] = asked, replies, failures
            self._retries.update(retries)
            self._waiting[:0] = waiting
            self.stop(error)
            return
        self._exposed = self._exposed_on_disk = exposed
        for future in waiting:
            if not future.done():
                future.set_result(None)
        if self.tally.spent is not None:
            self.tally.spent += cost
        self._count(asked)

    def stop(self, error: Exception) -> None:
        """Nothing that is asked now could be kept."""
        self.failed = error
        self._on_failure()
        for future in self._waiting:
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()

    def _count(self, asked: Sequence[Asked]) -> None:
        for _, reply in asked:
            self.tally.add(reply)
        # A screen that is gone (`| head`), or a fault in showing, is no reason to lose a reply.
        try:
            if self._is_shown:
                self._watch.committed(asked, self.tally)
        except (OSError, SystemExit):
            self._is_shown = False
        except Exception as error:
            self._is_shown = False
            self.stop(error)
        if self.loop.time() - self._logged_at >= _LOG_EVERY_SECONDS:
            self._logged_at = self.loop.time()
            self._watch.log.event("asking", **self.tally.as_log())


@contextlib.contextmanager
def on_signals(interrupt: Callable[[], None]) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP call `interrupt`."""
    # Not the loop's own handlers: they wait for its next turn.
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: interrupt()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
