"""Asks in batches: requests go out as files, and replies come back within a day, at a lower price.

What is open at the endpoint stands in the ledger before the endpoint hears of it, so that any later session
finds it, collects it and pays for nothing twice.
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from datagen.asking import Asked, Interrupted, Requests, Tally, Watch, on_signals
from datagen.ledger import Batch, Ledger, Stored
from datagen.pricing import Budget, Price
from datagen.records import InputError, TeacherRequest
from datagen.teacher import TeacherFailure, TeacherRetry, TeacherStopped
from datagen.teacher.openai_api import OpenAITeacher, as_reply, is_completion
from datagen.teacher.openai_batch import (
    MOST_BYTES,
    MOST_REQUESTS,
    SETTLE_SECONDS,
    BadLine,
    BatchAPI,
    BatchState,
    LineResult,
    NotThere,
    QueueIsFull,
    input_line,
)
from datagen.teacher.retries import Sleep

POLL_SECONDS = 30.0
COMMIT_AFTER_LINES = 500
MOST_TIMES = 3
"""A request that so many batches brought no answer to has failed."""
# While batches are open, so many rounds in a row may come to nothing: about an hour.
_MOST_ROUNDS_UNREACHED = 60
_SCRATCH = "batches.tmp"


async def ask_in_batches(
    teacher: OpenAITeacher,
    requests: Callable[[], Requests],
    ledger: Ledger,
    max_cost: float | None,
    price: Price | None,
    watch: Watch,
    waiting: Callable[[Sequence[Batch]], None],
    *,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Collect what earlier sessions left, then ask every request, and return when nothing is open.

    `requests` gives what is pending from the start whenever it is called: what a batch leaves unanswered goes
    into a later one. `waiting` is told of the open batches before each wait.

    The first Ctrl-C (or SIGTERM) ends it at once with Interrupted: batches go on without us. Raises
    TeacherStopped when no request can be asked, after what is open was collected, and when the next one
    could cost more than `max_cost` leaves.
    """
    asking = _Asking(teacher, ledger, price, watch, waiting, sleep)
    await asking.session(asking.ask(_Pending(requests, ledger), max_cost))


async def cancel_batches(
    teacher: OpenAITeacher,
    ledger: Ledger,
    price: Price | None,
    watch: Watch,
    waiting: Callable[[Sequence[Batch]], None],
    *,
    sleep: Sleep = asyncio.sleep,
) -> int:
    """Cancel every open batch and collect what was answered before; how many were cancelled.

    The rest is pending. A batch that the endpoint no longer knows is given up. Raises as `ask_in_batches`.
    """
    asking = _Asking(teacher, ledger, price, watch, waiting, sleep)
    were_open = {batch.tag for batch in ledger.open_batches()}
    await asking.session(asking.cancel())
    return sum(batch.tag in were_open and batch.status == "cancelled" for batch in ledger.batches())


class _Pending:
    """What is to be asked, in order; the next can be looked at before it is taken."""

    def __init__(self, requests: Callable[[], Requests], ledger: Ledger) -> None:
        self._all = requests
        self._ledger = ledger
        self._next: tuple[str, TeacherRequest] | None = None
        self.restart()

    def restart(self) -> None:
        """Begin again at the first that is pending."""
        self._rest = self._all()
        self.has_left_some = False
        """True once something that was taken is pending again."""

    def peek(self) -> tuple[str, TeacherRequest] | None:
        """The next; None at the end."""
        # It may have been read when it was in a batch that has answered it since.
        while self._next is None or not self._ledger.is_to_be_asked(self._next[0]):
            self._next = next(self._rest, None)
            if self._next is None:
                break
        return self._next

    def take(self) -> None:
        self._next = None


class _Asking:
    """One session."""

    def __init__(
        self,
        teacher: OpenAITeacher,
        ledger: Ledger,
        price: Price | None,
        watch: Watch,
        waiting: Callable[[Sequence[Batch]], None],
        sleep: Sleep,
    ) -> None:
        self._teacher = teacher
        self._ledger = ledger
        self._price = price
        self._watch = watch
        self._waiting = waiting
        self._sleep = sleep
        spent = ledger.spent().known
        self._tally = Tally(spent=spent if price else None, spent_before=spent)
        self._scratch = ledger.folder / _SCRATCH
        self._api = BatchAPI(teacher, sleep=sleep, scratch=self._scratch)
        self._pending: _Pending | None = None
        self._stopped: TeacherStopped | None = None
        self._is_cancelling = False
        self._most_requests = MOST_REQUESTS
        self._queue_is_full = False
        """True from a refusal for what waits already until one of those has ended."""
        self._not_there: set[str] = set()
        """Tags of batches that the endpoint does not know with this key."""

    async def session(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work as a session of the ledger. Raises what ended it."""
        log, interrupted, ended = self._watch.log, False, "failed"
        loop, task = asyncio.get_running_loop(), asyncio.create_task(work)

        def interrupt() -> None:
            nonlocal interrupted
            if not interrupted:
                interrupted = True
                self._watch.interrupted()
            loop.call_soon_threadsafe(task.cancel)

        self._session = self._ledger.begin_session()
        name, endpoint = self._teacher.name, self._teacher.endpoint
        log.event("asking_begins", teacher=name, endpoint=endpoint, session=self._session)
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        try:
            with on_signals(interrupt):
                await task
            ended = "stopped" if self._stopped else "done"
        except asyncio.CancelledError:
            if not interrupted:
                raise
            ended = "interrupted"
        except TeacherStopped as stopped:
            self._stop(stopped)
            ended = "stopped"
        except OSError as error:
            raise InputError(f"{self._scratch}: cannot be written: {error.strerror}") from None
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._ledger.end_session(self._session)
            log.event("asking_ends", how=ended, reason=str(self._stopped or ""), **self._tally.as_log())
        if interrupted:
            raise Interrupted from None
        if self._stopped is not None:
            raise self._stopped from None

    async def ask(self, pending: _Pending, max_cost: float | None) -> None:
        self._pending = pending
        self._check_endpoint()
        await self._rounds(lambda: self._submit_next(pending, max_cost))

    async def cancel(self) -> None:
        self._is_cancelling = True
        self._check_endpoint()
        asked: set[str] = set()

        async def cancel_all() -> bool:
            for batch in self._open():
                if batch.tag not in asked:
                    asked.add(batch.tag)
                    self._note(batch, await self._api.cancel(_id(batch)))
            return False

        await self._rounds(cancel_all)

    def _check_endpoint(self) -> None:
        """Raises InputError where batches are open elsewhere: they would look lost."""
        for batch in self._ledger.open_batches():
            if batch.endpoint != self._teacher.endpoint:
                raise InputError(
                    f"{self._ledger.folder}: has an open batch at {batch.endpoint}: "
                    "name that with --base-url to collect it, or cancel it, first"
                )

    async def _rounds(self, and_then: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Look at what is open, and collect it, until nothing is and `and_then` has no more to do."""
        unreached = 0
        while True:
            has_more = True
            try:
                await self._settle()
                for batch in self._open():
                    await self._look_at(batch)
                has_more = await and_then()
                unreached = 0
            except TeacherFailure as failure:
                raise TeacherStopped(
                    f"{self._teacher.endpoint} refuses what it should do: {failure}"
                ) from None
            except TeacherRetry as retry:
                unreached += 1
                self._watch.log.event("batches_not_reached", reason=retry.reason, detail=retry.detail)
                if unreached >= _MOST_ROUNDS_UNREACHED or not self._open():
                    raise TeacherStopped(
                        f"{self._teacher.endpoint} cannot be reached ({retry}): run the same command later; "
                        "batches that were made go on"
                    ) from None
            open_batches = self._open()
            if not (open_batches or has_more or self._unconfirmed()):
                return
            self._waiting(open_batches)
            await self._sleep(POLL_SECONDS)

    def _open(self) -> list[Batch]:
        """What can be asked about."""
        return [
            batch
            for batch in self._ledger.open_batches()
            if batch.batch_id is not None and batch.tag not in self._not_there
        ]

    def _stop(self, why: TeacherStopped) -> None:
        """Submit nothing more; what is open is still collected."""
        self._stopped = self._stopped or why

    def _left_some(self) -> None:
        if self._pending is not None:
            self._pending.has_left_some = True

    # Batches whose making was not confirmed

    async def _settle(self) -> None:
        """Find them, or make sure that they were never made."""
        if not self._unconfirmed():
            return
        await self._adopt()
        if self._unconfirmed():
            await self._sleep(SETTLE_SECONDS)
            await self._adopt()
        for batch in self._unconfirmed():
            self._ledger.end_batch(batch.tag, self._session, status="never_made")
            self._watch.log.event("batch_never_made", tag=batch.tag)
            self._left_some()

    def _unconfirmed(self) -> list[Batch]:
        return [batch for batch in self._ledger.open_batches() if batch.batch_id is None]

    async def _adopt(self) -> None:
        for batch in self._unconfirmed():
            state = await self._api.find(batch.tag)
            if state is not None:
                self._note(batch, state)

    # Submitting

    async def _submit_next(self, pending: _Pending, max_cost: float | None) -> bool:
        """Submit a file of what is pending, if there may be another batch now; whether more may follow."""
        open_batches = self._open()
        if self._stopped is not None:
            return False
        # One at a time is validated: what is wrong with it would be wrong with the next as well.
        if open_batches and (self._queue_is_full or any(b.status == "validating" for b in open_batches)):
            return True
        if pending.peek() is None and pending.has_left_some:
            pending.restart()
        spent = self._ledger.spent()
        budget = Budget(max_cost, spent.known, spent.possibly_billed)
        costs, too_much = self._write(pending, budget)
        if costs:
            await self._submit(costs)
        elif too_much is not None and not open_batches:
            self._stop(TeacherStopped(budget.no_room_for(too_much)))
        return self._stopped is None and (bool(costs) or too_much is not None)

    def _write(self, pending: _Pending, budget: Budget) -> tuple[dict[str, float], float | None]:
        """Fill a file. The keys in it with the worst that each costs, and that of one not left room for."""
        costs: dict[str, float] = {}
        size = 0
        with (self._scratch / "requests.jsonl").open("wb") as file:
            while len(costs) < self._most_requests and (following := pending.peek()) is not None:
                key, request = following
                body = self._teacher.body(request)
                line = input_line(key, body)
                if costs and size + len(line) > MOST_BYTES:
                    break
                cost = self._price.at_most(body, request.max_tokens) if self._price else 0.0
                if not budget.reserve(cost):
                    return costs, cost
                file.write(line)
                costs[key] = cost
                size += len(line)
                pending.take()
        return costs, None

    async def _submit(self, costs: dict[str, float]) -> None:
        tag = uuid.uuid4().hex
        endpoint = self._teacher.endpoint
        assert endpoint is not None
        try:
            file_id = await self._api.upload(self._scratch / "requests.jsonl")
            self._ledger.add_batch(tag, endpoint, costs)
            state = await self._api.create(file_id, tag)
        except TeacherRetry:
            self._left_some()
            raise
        except QueueIsFull as full:
            self._left_some()
            self._queue_was_full(len(costs), full.detail)
        except TeacherFailure as failure:
            self._stop(TeacherStopped(f"{endpoint} refuses a batch: {failure}"))
        except TeacherStopped as stopped:
            self._stop(stopped)
        else:
            self._ledger.update_batch(tag, state.id, state.status, state.completed, state.failed)
            worst_cost = sum(costs.values()) if self._price else None
            self._watch.log.event(
                "batch_submitted", tag=tag, batch_id=state.id, requests=len(costs), worst_cost=worst_cost
            )

    def _queue_was_full(self, requests: int, words: str) -> None:
        """Wait for an open batch to end, or come with less."""
        if self._open():
            self._queue_is_full = True
        elif requests == 1:
            self._stop(TeacherStopped(f"{self._teacher.endpoint} takes not even one request: {words}"))
        else:
            self._most_requests = requests // 2

    # Collecting

    async def _look_at(self, batch: Batch) -> None:
        """Ask how it is, and collect it if it is final."""
        try:
            state = await self._api.retrieve(_id(batch))
            self._note(batch, state)
            if state.is_final:
                await self._collect(batch, state)
        except NotThere as gone:
            if self._is_cancelling:
                worst = sum(self._ledger.worst_costs(batch.tag).values())
                self._ledger.end_batch(batch.tag, self._session, status="given_up", possibly_billed=worst)
                self._watch.log.event("batch_given_up", tag=batch.tag, reason=str(gone))
            else:
                self._not_there.add(batch.tag)
                self._stop(
                    TeacherStopped(
                        f"{gone}: set the key that it was made with or, if it is gone for good, cancel it"
                    )
                )

    def _note(self, batch: Batch, state: BatchState) -> None:
        seen = (batch.batch_id, batch.status, batch.completed, batch.failed)
        if seen != (state.id, state.status, state.completed, state.failed):
            self._ledger.update_batch(batch.tag, state.id, state.status, state.completed, state.failed)
            self._watch.log.event(
                "batch_status",
                tag=batch.tag,
                batch_id=state.id,
                status=state.status,
                completed=state.completed,
                failed=state.failed,
            )

    async def _collect(self, batch: Batch, state: BatchState) -> None:
        """Store its replies as they are read, and the rest after; killed between, it is done again."""
        answers = _Answers(self._teacher, self._price, self._ledger.worst_costs(batch.tag))
        number = 0
        async for line in self._api.results(state):
            number += 1
            answers.take(number, line)
            if number % COMMIT_AFTER_LINES == 0:
                self._store(answers.new_replies())
                await asyncio.sleep(0)  # for Ctrl-C
        refusal = answers.refuse_lines(state) if state.status == "failed" else None
        answers.account_for_the_rest(state)
        again = Counter[str]()
        for key, reason, detail in answers.unanswered:
            if reason in _OF_THE_BATCH or self._ledger.times_carried_out(key) < MOST_TIMES:
                again[reason] += 1
            else:
                answers.failures.append((key, reason, detail))
        self._store(answers.new_replies(), answers.failures, again)
        self._ledger.end_batch(
            batch.tag,
            self._session,
            quarantined=answers.quarantined,
            possibly_billed=answers.possibly_billed,
        )
        self._watch.log.event(
            "batch_collected",
            tag=batch.tag,
            batch_id=batch.batch_id,
            status=state.status,
            replies=answers.replies,
            failures=len(answers.failures),
            pending_again=dict(again),
            quarantined=len(answers.quarantined),
            cost=answers.cost if self._price else None,
            possibly_billed=answers.possibly_billed,
        )
        if again:
            self._left_some()
        if stopped := answers.stopped or refusal:
            self._stop(stopped)
        elif state.status == "cancelled" and not self._is_cancelling:  # somebody does not want it done
            self._stop(
                TeacherStopped(
                    f"batch {state.id} was cancelled: what it left unanswered stays pending; "
                    "run the same command again to ask it"
                )
            )
        self._queue_is_full = False
        if state.status == "failed" and state.queue_is_full:
            self._queue_was_full(batch.requests, state.errors[0].message)

    def _store(
        self,
        replies: Sequence[Stored],
        failures: Sequence[tuple[str, str, str]] = (),
        again: Mapping[str, int] | None = None,
    ) -> None:
        """Commit, then tell. A reply that is there already came before a kill."""
        ledger, tally = self._ledger, self._tally
        new = [stored for stored in replies if not ledger.has_reply(stored.key)]
        ledger.store(self._session, new, failures, paid=True, retries=again)
        outcomes = [(stored.key, stored.reply) for stored in new] + [(key, None) for key, _, _ in failures]
        asked = []
        for key, reply in outcomes:
            tally.add(reply)
            if (planned := ledger.planned(key)) is not None:
                asked.append(Asked(planned, reply))
        for key, reason, detail in failures:
            self._watch.log.event("failed", key=key, reason=reason, detail=detail)
        tally.retries.update(again or {})
        if tally.spent is not None:
            tally.spent += sum(stored.cost or 0.0 for stored in new)
        self._watch.committed(asked, tally)


# Why a request is pending again that has nothing to do with it.
_OF_THE_BATCH = ("batch_failed", "batch_cancelled")


class _Answers:
    """What the lines of a batch's results come to."""

    def __init__(self, teacher: OpenAITeacher, price: Price | None, worst_costs: Mapping[str, float]) -> None:
        self.failures: list[tuple[str, str, str]] = []
        """Key, reason and detail."""
        self.unanswered: list[tuple[str, str, str]] = []
        """The same of what may be asked again."""
        self.quarantined: list[tuple[int, str, str]] = []
        """Lines that could not be used: number, reason and text."""
        self.stopped: TeacherStopped | None = None
        """Why nothing more can be asked, if a line says so."""
        self.replies = 0
        self.cost = 0.0
        """Of the replies, in US dollars."""
        self.possibly_billed = 0.0
        """Beyond that, for answers that cannot be read."""
        self._teacher = teacher
        self._price = price
        self._worst_costs = worst_costs
        self._awaited = dict(worst_costs)
        self._new: list[Stored] = []
        self._answers = 0
        self._strays = 0

    def new_replies(self) -> list[Stored]:
        """Those read since the last call."""
        new, self._new = self._new, []
        return new

    def take(self, number: int, line: LineResult | BadLine) -> None:
        """The next line of the results."""
        if isinstance(line, BadLine):
            self._strays += 1
            self.quarantined.append((number, "unreadable_line", line.text))
        elif line.custom_id not in self._worst_costs:
            self._strays += 1
            self.quarantined.append((number, "unknown_request", _text(line)))
        elif line.custom_id not in self._awaited:
            self.quarantined.append((number, "duplicate_line", _text(line)))
        else:
            self._take_answer(number, line)

    def _take_answer(self, number: int, line: LineResult) -> None:
        key = line.custom_id
        worst = self._awaited.pop(key)
        self._answers += line.status == 200
        if line.status == 200 and not is_completion(line.body):
            self.quarantined.append((number, "no_completion", _text(line)))
            self.possibly_billed += worst
            self.failures.append((key, "bad_batch_line", "the answer is no completion"))
        elif line.status == 200:
            reply = as_reply(line.body, 0.0)
            cost = self._price.of_reply(reply, worst) if self._price else None
            self._new.append(Stored(key, reply, cost))
            self.replies += 1
            self.cost += cost or 0.0
        elif line.status is not None:
            self._take_fault(key, self._teacher.fault(line.status, line.body, {}))
        else:
            reason, detail = line.error or ("missing_line", "its line holds no answer")
            self.unanswered.append((key, reason or "batch_error", detail))

    def _take_fault(self, key: str, fault: Exception) -> None:
        match fault:
            case TeacherFailure():
                self.failures.append((key, fault.reason, fault.detail))
            case TeacherRetry():
                self.unanswered.append((key, fault.reason, fault.detail))
            case TeacherStopped():  # and the request stays pending
                self.stopped = self.stopped or fault

    def refuse_lines(self, state: BatchState) -> TeacherStopped | None:
        """Of a batch that failed: the requests it was refused for; or why no batch can be made, if it is not
        for single requests nor for its size."""
        keys = list(self._worst_costs)
        about_lines = [
            error for error in state.errors if error.line is not None and "model" not in error.code
        ]
        for line, code, message in about_lines:
            key = keys[line - 1] if line and 0 < line <= len(keys) else None
            if key in self._awaited:
                del self._awaited[key]
                self.quarantined.append((line or 0, "batch_line_refused", f"{code}: {message}"))
                self.failures.append((key, "batch_line_refused", f"{code}: {message}"))
        if self.failures or state.queue_is_full:
            return None
        said = "; ".join(f"{error.code}: {error.message}" for error in state.errors[:3])
        return TeacherStopped(
            f"{self._teacher.endpoint} refuses the batch {state.id}: {said or 'no reason given'}"
        )

    def account_for_the_rest(self, state: BatchState) -> None:
        """The requests that no line was read for.

        Where there are lines that may have been theirs, or the endpoint counts more answers than it gave,
        they were perhaps paid for and are not asked again by themselves.
        """
        is_lost = self._strays > 0 or state.completed > self._answers
        for key, worst in self._awaited.items():
            if state.status == "failed":
                self.unanswered.append((key, "batch_failed", "the batch failed as a whole"))
            elif is_lost:
                self.possibly_billed += worst
                self.failures.append(
                    (key, "bad_batch_line", "no readable line answers it, one perhaps unread")
                )
            else:
                self.unanswered.append((key, "missing_line", "no line of the results is about it"))


def _text(line: LineResult) -> str:
    return msgspec.json.encode(line._asdict()).decode()


def _id(batch: Batch) -> str:
    assert batch.batch_id is not None
    return batch.batch_id
