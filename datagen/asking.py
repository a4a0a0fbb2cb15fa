"""Asks a teacher what the ledger has no answer to, and commits every reply before it counts."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence

from datagen.ledger import Ledger
from datagen.records import TeacherReply, TeacherRequest
from datagen.teacher import Teacher, TeacherFailure, TeacherStopped

# Replies are committed together: one sync to disk for as many as came within a short while.
_COMMIT_AFTER_REPLIES = 256
_COMMIT_AFTER_SECONDS = 0.1

Committed = Callable[[Sequence[tuple[TeacherRequest, TeacherReply]], int], None]
"""Called after a commit, with the replies in it and the number of failures."""


class Interrupted(Exception):
    """The person stopped the run; every reply that came is in the ledger."""


async def ask_all(
    teacher: Teacher,
    requests: Iterator[tuple[str, TeacherRequest]],
    ledger: Ledger,
    concurrency: int,
    on_commit: Committed,
    on_interrupt: Callable[[], None],
) -> None:
    """Ask every request, at most `concurrency` at a time, and store what comes back.

    On the first Ctrl-C (or SIGTERM) nothing new is asked and what is in flight is waited for; on
    the second that is given up. Either way everything received is committed, then Interrupted is
    raised; `on_interrupt` is called at the first. Raises TeacherStopped when the teacher says that
    no request can be answered.
    """
    asking = _Asking(teacher, requests, ledger, on_commit)
    workers = [asyncio.create_task(asking.work()) for _ in range(concurrency)]
    committer = asyncio.create_task(asking.commit_regularly())
    try:
        with _on_signals(asking, workers, on_interrupt):
            await asyncio.gather(*workers)
    except asyncio.CancelledError:
        if not asking.interrupted:
            raise
    finally:
        for task in (*workers, committer):
            task.cancel()
        await asyncio.gather(*workers, committer, return_exceptions=True)
        asking.commit()
    if asking.interrupted:
        raise Interrupted
    if asking.stopped is not None:
        raise asking.stopped


class _Asking:
    def __init__(
        self,
        teacher: Teacher,
        requests: Iterator[tuple[str, TeacherRequest]],
        ledger: Ledger,
        on_commit: Committed,
    ) -> None:
        self.teacher = teacher
        self.requests = requests
        self.ledger = ledger
        self.on_commit = on_commit
        self.interrupted = False
        self.stopped: TeacherStopped | None = None
        self._replies: list[tuple[str, TeacherRequest, TeacherReply]] = []
        self._failures: list[tuple[str, str, str]] = []
        self._last_commit = time.monotonic()

    async def work(self) -> None:
        while not self.interrupted and self.stopped is None:
            following = next(self.requests, None)
            if following is None:
                return
            key, request = following
            try:
                reply = await self.teacher.ask(request)
            except TeacherFailure as failure:
                self._failures.append((key, failure.reason, failure.detail))
            except TeacherStopped as stopped:
                self.stopped = stopped
                return
            else:
                self._replies.append((key, request, reply))
            if len(self._replies) + len(self._failures) >= _COMMIT_AFTER_REPLIES or self._is_due():
                self.commit()
                # A teacher that never waits would otherwise keep signals and the committer waiting.
                await asyncio.sleep(0)

    async def commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_AFTER_SECONDS)
            if self._is_due():
                self.commit()

    def commit(self) -> None:
        self._last_commit = time.monotonic()
        if not self._replies and not self._failures:
            return
        self.ledger.store(
            [(key, reply) for key, _, reply in self._replies], self._failures, self.teacher.paid
        )
        replies, failures = self._replies, self._failures
        self._replies, self._failures = [], []
        self.on_commit([(request, reply) for _, request, reply in replies], len(failures))

    def _is_due(self) -> bool:
        return time.monotonic() - self._last_commit >= _COMMIT_AFTER_SECONDS


@contextlib.contextmanager
def _on_signals(
    asking: _Asking, workers: Sequence[asyncio.Task[None]], on_interrupt: Callable[[], None]
) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def interrupt(*_: object) -> None:
        if asking.interrupted:
            for worker in workers:
                loop.call_soon_threadsafe(worker.cancel)
        else:
            asking.interrupted = True
            on_interrupt()

    # Not the loop's own handlers: they wait for its next turn, and a teacher that never waits
    # keeps every worker busy until then.
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
