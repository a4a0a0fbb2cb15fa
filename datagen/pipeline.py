"""The order of things: plan, ask, finish. The only file that knows it.

Asking turns annotations into requests and stores every raw reply. Finishing parses, checks,
deduplicates and emits from the ledger alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from datagen.annotations import read_annotations
from datagen.asking import Asked, Limits, Tally, Watch, ask_local, ask_remote
from datagen.config import Job
from datagen.finishing import finish
from datagen.judging import Judge, Judged, check_pack
from datagen.ledger import Batch, Ledger, PlanChange, Progress
from datagen.planning import Plan, Quote, Requests, store_plan
from datagen.pricing import find_prices
from datagen.prompting import PLACEHOLDER, unwritten
from datagen.records import InputError, TeacherRequest
from datagen.run_log import FILE_NAME as LOG
from datagen.run_log import RunLog
from datagen.sample_set import make_repeats
from datagen.teacher import LocalTeacher, RemoteTeacher, TeacherStopped
from schemas import RunManifest

# Replies of each commit that are judged while asking goes on.
_LOOKED_AT = 4


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

    def asked(self, tally: Tally, looked_at: int, kept: int) -> None:
        """Replies and failures were stored, so many in all now. Of these replies some were looked
        at: so many, of which so many would be kept as things are (duplicates are not looked for)."""

    def waits(self, batches: Sequence[Batch]) -> None:
        """These batches are open at the endpoint; they are looked at again in a while."""

    def asks_again(self, requests: int) -> None:
        """So many replies could not be used and are now asked for again, with why."""

    def interrupted(self) -> None:
        """Nothing new is asked; what is in flight is waited for, but batches are not."""


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
    config = job.config
    _check_written(job)
    watcher.begins("planning", None)
    made = prepare(job)
    with _ledger_for(out) as ledger, RunLog(out) as log:
        if config.teacher != "openai-batch" and (waiting := sum(b.requests for b in ledger.open_batches())):
            raise InputError(
                f"{out}: {waiting:,} requests are in batches that are still open: collect them with "
                f"--teacher openai-batch, or give them up with `python -m datagen cancel {out}`"
            )
        change, quotes = store_plan(job, made, ledger, may_supersede=replan, retry_failed=retry_failed)
        forgotten = ledger.forget_failures() if retry_failed else 0
        if job.price is not None:
            ledger.price_replies(job.price.of)
        # What is still to be asked again is for this run's checks to say, not for an earlier one's.
        ledger.ask_again({})
        log.event("planned", **change._asdict(), pending=_pending(ledger))
        watcher.planned(change, ledger.progress(), forgotten, quotes)
        stopped = None
        try:
            ask(job, made.requests, ledger, watcher, log)
        except TeacherStopped as error:
            if _is_unused(ledger):
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
            except InputError as error:  # such as an endpoint that went away in between
                stopped = TeacherStopped(str(error))
            watcher.begins("writing", change.planned)
            manifest = finish(ledger, job.pack, watcher.done)
        counts = {name: count.model_dump() for name, count in manifest.accounting.items()}
        log.event("finished", accounting=counts, cost=manifest.cost.model_dump())
        return Ran(manifest, stopped)


def cancel(folder: Path, watcher: Watcher) -> tuple[int, Ran]:
    """Cancel the batches of a run, keep what they had answered, and finish; how many they were.

    Raises InputError when the run was not asked in batches.
    """
    from datagen.batching import cancel_batches
    from datagen.teacher.openai_api import OpenAITeacher

    with Ledger.open(folder) as ledger, RunLog(folder) as log:
        if not ledger.has_plan() or ledger.setting("teacher") != "openai-batch":
            raise InputError(f"{folder}: not asked in batches (--teacher openai-batch): nothing to cancel")
        model, source = ledger.setting("model"), ledger.setting("prices")
        teacher = OpenAITeacher(model, ledger.setting("base_url"), in_batches=True)
        prices = find_prices(model, Path(source)) if Path(source).is_file() else None
        watch = Watch(lambda asked, tally: watcher.asked(tally, 0, 0), watcher.interrupted, log)
        cancelled, stopped = 0, None
        if ledger.open_batches():
            price = prices.batch if prices else None
            try:
                cancelled = _asking(teacher, cancel_batches(teacher, ledger, price, watch, watcher.waits))
            except TeacherStopped as error:
                stopped = error
        return cancelled, Ran(finish(ledger), stopped)


def _pending(ledger: Ledger) -> int:
    return sum(progress.pending for progress in ledger.progress().values())


def _is_unused(ledger: Ledger) -> bool:
    """Whether nothing was paid for, as far as anybody can know."""
    return not ledger.has_replies() and not ledger.open_batches() and not ledger.spent().possibly_billed


def prepare(job: Job) -> Plan:
    """Check the pack and read the annotations: everything that can be found wrong before a call.

    Raises InputError.
    """
    check_pack(job.pack, str(job.pack_folder))
    make_repeats(job.pack)  # a model that cannot be loaded is found before the first call, not after the last
    return Plan(job, read_annotations(job.captions, job.instances))


def _check_written(job: Job) -> None:
    """Placeholders are asked of nobody and stand in no sample. Raises InputError where one would."""
    read = ("alignment.txt", "knowledge.toml", "phrasings/", *(f"{name}/questions.txt" for name in job.types))
    if job.teacher.reads_messages:
        read = (*read, *(f"{name}/" for name in job.types))
    waiting = [
        (file, line)
        for file, line, text in unwritten(job.pack.files)
        if file.startswith(read) and not text.startswith("#")
    ]
    if waiting:
        file, line = waiting[0]
        places = "place is" if len(waiting) == 1 else "places are"
        raise InputError(
            f"{job.pack_folder}/{file}:{line}: {len(waiting):,} {places} still to be written (marked "
            f"{PLACEHOLDER}): `python -m datagen pack check {job.config.pack}` lists them"
        )


def ask(job: Job, requests: Requests, ledger: Ledger, watcher: Watcher, log: RunLog) -> None:
    """Ask what is pending; where nothing is, nobody is contacted.

    Raises InputError before the first call for what the user has to mend; Interrupted and
    TeacherStopped with everything kept.
    """
    teacher, config = job.teacher, job.config
    judge = Judge(job.pack, requests.vocabulary, config.checks)

    def committed(asked: Sequence[Asked], tally: Tally) -> None:
        # Finishing judges them all; to judge some is enough to show how it goes, and leaves the
        # time to those who wait for an answer.
        some = [(request, reply) for request, reply in asked if reply is not None][:_LOOKED_AT]
        kept = 0
        for request, reply in some:
            judged = judge.reply(
                request.unit.response_type,
                reply.body,
                reply.is_chat_completion,
                request.question,
                # A reply from a batch comes without: it is looked at by form.
                request.annotation if isinstance(request, TeacherRequest) else None,
            )
            kept += isinstance(judged, Judged) and judged.rejected is None
        watcher.asked(tally, len(some), kept)

    if not _pending(ledger) and not ledger.open_batches():
        return

    def pending() -> Iterator[tuple[str, TeacherRequest]]:
        for unit, key, annotation, complaint in ledger.unanswered(by_image=not teacher.reads_messages):
            yield key, requests.make(unit, annotation, complaint)

    watch = Watch(committed, watcher.interrupted, log)
    if isinstance(teacher, LocalTeacher):
        ask_local(teacher, pending(), ledger, watch)
    elif config.teacher == "openai-batch":
        # They import openai, which only a run that asks it has to wait for.
        from datagen.batching import ask_in_batches
        from datagen.teacher.openai_api import OpenAITeacher

        assert isinstance(teacher, OpenAITeacher)
        _asking(
            teacher,
            ask_in_batches(teacher, pending, ledger, config.max_cost, job.price, watch, watcher.waits),
        )
    elif isinstance(teacher, RemoteTeacher):
        limits = Limits(config.concurrency, config.rpm, config.tpm, config.max_cost)
        _asking(teacher, ask_remote(teacher, pending(), ledger, limits, job.price, watch))


_T = TypeVar("_T")


def _asking(teacher: RemoteTeacher, work: Coroutine[Any, Any, _T]) -> _T:
    """Do the work with the teacher started, and close it."""

    async def start_and_close() -> _T:
        try:
            await teacher.start()
            return await work
        finally:
            work.close()
            await teacher.close()

    return asyncio.run(start_and_close())


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
            if ledger.is_new and _is_unused(ledger):
                ledger.remove()
                (out / LOG).unlink(missing_ok=True)
            raise
