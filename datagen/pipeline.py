"""The order of things: plan, ask, finish. The only file that knows it.

Asking turns annotations into requests and stores every raw reply. Finishing parses, checks,
deduplicates and emits from the ledger alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from datagen.annotations import read_annotations
from datagen.asking import ask_all
from datagen.config import Job
from datagen.finishing import Judge, check_pack, finish
from datagen.ledger import Ledger, PlanChange, Progress
from datagen.planning import Plan, Requests, store_plan
from datagen.records import InputError, Rejected, TeacherReply, TeacherRequest
from datagen.teacher import TeacherStopped
from schemas import RunManifest


class Watcher(Protocol):
    """Is told how a run goes."""

    def begins(self, step: str, units: int | None) -> None:
        """A step begins, over so many units if that is known; `done` counts them."""

    def done(self) -> None: ...

    def planned(self, change: PlanChange, progress: Mapping[str, Progress], forgotten: int) -> None:
        """The plan is stored; `forgotten` failures are pending again."""

    def asked(self, kept: int, not_kept: int, failed: int) -> None:
        """Replies were stored: so many would be kept as things are (duplicates are not looked for),
        so many not; and so many requests failed."""

    def interrupted(self) -> None:
        """Nothing new is asked; what is in flight is waited for."""


class Ran(NamedTuple):
    """How a run ended."""

    manifest: RunManifest
    stopped: TeacherStopped | None
    """Why the teacher could answer no more, if it could not."""


def run(job: Job, out: Path, watcher: Watcher, *, retry_failed: bool = False, replan: bool = False) -> Ran:
    """Plan, ask, finish, into the folder `out`.

    Raises InputError for what the user has to mend, before the first call and with nothing left
    behind; Interrupted when stopped by a signal, with every reply kept.
    """
    watcher.begins("planning", None)
    made = prepare(job)
    with _ledger_for(out) as ledger:
        change = store_plan(job, made, ledger, may_supersede=replan)
        forgotten = ledger.forget_failures() if retry_failed else 0
        watcher.planned(change, ledger.progress(), forgotten)
        stopped = None
        try:
            ask(job, made.requests, ledger, watcher)
        except TeacherStopped as error:
            if not ledger.has_replies():
                raise InputError(str(error)) from None
            stopped = error
        watcher.begins("writing", change.planned)
        return Ran(finish(ledger, job.pack, watcher.done), stopped)


def prepare(job: Job) -> Plan:
    """Check the pack and read the annotations: everything that can be found wrong before a call.

    Raises InputError.
    """
    check_pack(job.pack, str(job.pack_folder))
    return Plan(job, read_annotations(job.captions, job.instances))


def ask(job: Job, requests: Requests, ledger: Ledger, watcher: Watcher) -> None:
    """Ask what is pending; where nothing is, nobody is contacted.

    Raises InputError before the first call for what the user has to mend; Interrupted and
    TeacherStopped with everything kept.
    """
    judge = Judge(job.pack)

    def committed(replies: Sequence[tuple[TeacherRequest, TeacherReply]], failures: int) -> None:
        kept = 0
        for request, reply in replies:
            judged = judge(request.unit.response_type, reply.body, reply.is_chat_completion, request.question)
            kept += not isinstance(judged, Rejected)
        watcher.asked(kept, len(replies) - kept, failures)

    if not any(progress.pending for progress in ledger.progress().values()):
        return
    unanswered = ledger.unanswered(by_image=not job.teacher.reads_messages)
    pending = ((key, requests.make(unit, annotation)) for unit, key, annotation in unanswered)

    async def ask_and_close() -> None:
        try:
            await job.teacher.start()
            await ask_all(
                job.teacher, pending, ledger, job.config.concurrency, committed, watcher.interrupted
            )
        finally:
            await job.teacher.close()

    asyncio.run(ask_and_close())


@contextlib.contextmanager
def folders_made(out: Path) -> Iterator[None]:
    """Makes the folder and those above it; takes away the ones it made that are left empty."""
    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be made: {error.strerror}") from None
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for folder in missing:
                folder.rmdir()
        raise


@contextlib.contextmanager
def _ledger_for(out: Path) -> Iterator[Ledger]:
    """The run's ledger; one that was made here and got no reply is taken away again."""
    with folders_made(out), Ledger.open(out, create=True) as ledger:
        try:
            yield ledger
        except (InputError, KeyboardInterrupt):
            if ledger.is_new and not ledger.has_replies():
                ledger.remove()
            raise
