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
from datagen.asking import Asked, Limits, Tally, Watch, ask_local, ask_remote
from datagen.config import Job
from datagen.finishing import Judge, check_pack, finish
from datagen.ledger import Ledger, PlanChange, Progress
from datagen.planning import Plan, Quote, Quoter, Requests, store_plan
from datagen.records import InputError, Rejected
from datagen.run_log import FILE_NAME as LOG
from datagen.run_log import RunLog
from datagen.teacher import LocalTeacher, RemoteTeacher, TeacherStopped
from schemas import RunManifest


class Watcher(Protocol):
    """Is told how a run goes."""

    def begins(self, step: str, units: int | None) -> None:
        """A step begins, over so many units if that is known; `done` counts them."""

    def done(self) -> None: ...

    def planned(
        self,
        change: PlanChange,
        progress: Mapping[str, Progress],
        forgotten: int,
        quotes: Mapping[str, Quote],
    ) -> None:
        """The plan is stored; `forgotten` failures are pending again; nothing is asked yet."""

    def asked(self, kept: int, not_kept: int, failed: int, tally: Tally) -> None:
        """Replies were stored: so many would be kept as things are (duplicates are not looked for),
        so many not; and so many requests failed."""

    def asks_again(self, requests: int) -> None:
        """So many replies could not be used and are now asked for again, with why."""

    def interrupted(self) -> None:
        """Nothing new is asked; what is in flight is waited for."""


class Ran(NamedTuple):
    """How a run ended."""

    manifest: RunManifest
    stopped: TeacherStopped | None
    """Why the teacher could answer no more, if it could not."""


def run(job: Job, out: Path, watcher: Watcher, *, retry_failed: bool = False, replan: bool = False) -> Ran:
    """Plan, ask, finish, into the folder `out`; ask again what finishing could not use, and finish.

    Raises InputError for what the user has to mend, before the first call and with nothing left
    behind; Interrupted when stopped by a signal, with every reply kept.
    """
    watcher.begins("planning", None)
    made = prepare(job)
    with _ledger_for(out) as ledger, RunLog(out) as log:
        quoter = Quoter(job, ledger)
        change = store_plan(job, made, ledger, quoter, may_supersede=replan)
        forgotten = ledger.forget_failures() if retry_failed else 0
        log.event("planned", **change._asdict(), pending=_pending(ledger))
        watcher.planned(change, ledger.progress(), forgotten, quoter.quotes())
        stopped = None
        try:
            ask(job, made.requests, ledger, watcher, log)
        except TeacherStopped as error:
            if not ledger.has_replies():
                raise InputError(str(error)) from None
            stopped = error
        watcher.begins("writing", change.planned)
        manifest = finish(ledger, job.pack, watcher.done)
        if manifest.to_ask_again and stopped is None:
            watcher.asks_again(manifest.to_ask_again)
            try:
                ask(job, made.requests, ledger, watcher, log)
            except TeacherStopped as error:
                stopped = error
            watcher.begins("writing", change.planned)
            manifest = finish(ledger, job.pack, watcher.done)
        counts = {name: count.model_dump() for name, count in manifest.accounting.items()}
        log.event("finished", accounting=counts, cost=manifest.cost.model_dump())
        return Ran(manifest, stopped)


def _pending(ledger: Ledger) -> int:
    return sum(progress.pending for progress in ledger.progress().values())


def prepare(job: Job) -> Plan:
    """Check the pack and read the annotations: everything that can be found wrong before a call.

    Raises InputError.
    """
    check_pack(job.pack, str(job.pack_folder))
    return Plan(job, read_annotations(job.captions, job.instances))


def ask(job: Job, requests: Requests, ledger: Ledger, watcher: Watcher, log: RunLog) -> None:
    """Ask what is pending; where nothing is, nobody is contacted.

    Raises InputError before the first call for what the user has to mend; Interrupted and
    TeacherStopped with everything kept.
    """
    teacher, config, judge = job.teacher, job.config, Judge(job.pack)

    def committed(asked: Sequence[Asked], tally: Tally) -> None:
        kept = failed = 0
        for request, reply in asked:
            if reply is None:
                failed += 1
                continue
            judged = judge(request.unit.response_type, reply.body, reply.is_chat_completion, request.question)
            kept += not isinstance(judged, Rejected)
        watcher.asked(kept, len(asked) - kept - failed, failed, tally)

    if not _pending(ledger):
        return
    unanswered = ledger.unanswered(by_image=not teacher.reads_messages)
    pending = ((p.key, requests.make(p.unit, p.annotation, p.complaint)) for p in unanswered)
    watch = Watch(committed, watcher.interrupted, log)
    if isinstance(teacher, LocalTeacher):
        ask_local(teacher, pending, ledger, watch)
        return
    assert isinstance(teacher, RemoteTeacher)
    limits = Limits(config.concurrency, config.rpm, config.tpm, config.max_cost)

    async def ask_and_close(teacher: RemoteTeacher) -> None:
        try:
            await teacher.start()
            await ask_remote(teacher, pending, ledger, limits, job.price, watch)
        finally:
            await teacher.close()

    asyncio.run(ask_and_close(teacher))


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
            if ledger.is_new and not ledger.has_replies() and not ledger.spent().possibly_billed:
                ledger.remove()
                (out / LOG).unlink(missing_ok=True)
            raise
