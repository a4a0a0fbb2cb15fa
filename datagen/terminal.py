"""What a person sees: progress, summaries, errors. Decides nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from datagen.asking import Tally
from datagen.audit import PAGE
from datagen.audit import VERDICTS as AUDIT_VERDICTS
from datagen.config import Job
from datagen.emit import ALIGNMENT, COMBINED, REJECTED, VERDICTS, read_manifest
from datagen.evaluation_images import REASON as EVALUATION_IMAGE
from datagen.evaluation_images import count_by_benchmark
from datagen.ledger import Asking, Batch, Ledger, PlanChange
from datagen.ledger import Progress as AskedSoFar
from datagen.planning import Estimate, Plan, Quote, estimate_cost
from datagen.pricing import PRICES
from datagen.prompting import PACKS, unwritten
from datagen.records import ImageAnnotation, Message, counted
from datagen.usefulness import warnings as usefulness_warnings
from schemas import Accounting, AuditReport, RunManifest

# Widths are ours to keep: a table must not break in a log or a narrow window.
_out = Console(highlight=False, soft_wrap=True, emoji=False)
_err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
_SILENCE_SECONDS = 10.0
_UNITS_A_STEP = 256  # drawing a bar costs more than counting
_COLUMNS = ("emitted", "rejected", "duplicate", "failed", "pending")


def say_error(text: str) -> None:
    _err.print(f"[bold red]error:[/] {_plain(text)}")


def say_job(job: Job, out: Path) -> None:
    if job.is_sample:
        _out.print(
            "No annotations given: running on the pack's sample, "
            f"{_plain(os.path.normpath(job.captions[0].parent))}"
        )
    model = f" {_plain(job.config.model)} at {job.teacher.endpoint}" if job.config.model else ""
    _out.print(
        f"Teacher {job.teacher.name}{model}, pack {_plain(_pack_name(job))}, {job.proxy} proxies, "
        f"types {', '.join(job.types)}, into {_plain(str(out))}"
    )
    if job.evaluation_list is None:
        _out.print("Images of benchmarks are not held back (--allow-evaluation-images)")
    waiting = len(unwritten(job.pack.files))
    if waiting and not job.teacher.reads_messages:
        _out.print(
            f"Still to be written in the pack: {waiting:,} places, none of which this teacher reads "
            f"(`python -m datagen pack check {_plain(job.config.pack)}` lists them)"
        )
    for folder in job.pack.folders_without_table:
        _out.print(
            f"{_plain(str(job.pack_folder))}/{_plain(folder)} is not used: pack.toml has no "
            f"\\[types.{_plain(folder)}]"
        )


def _pack_name(job: Job) -> str:
    """A shipped pack by its name, any other with its folder: copies often keep the name."""
    return job.pack.name if job.pack_folder.parent == PACKS else f"{job.pack.name} ({job.pack_folder})"


class RunWatcher:
    """Shows how a run goes: a bar in a terminal; in a log, a line at every tenth."""

    def __init__(self, job: Job | None = None, *, in_batches: bool = False) -> None:
        self._job = job
        self._in_batches = in_batches
        self.total = 0
        self._tenths = self._done = self._looked_at = self._kept = 0
        self._batches = ""
        self._said_at = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[verdicts]}"),
            console=_err,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, rate="", verdicts="")

    def begins(self, step: str, units: int | None) -> None:
        self._done = 0
        self._bar.reset(self._task, description=step, total=units, rate="", verdicts="")
        if _err.is_terminal:
            self._bar.start()

    def done(self) -> None:
        self._done += 1
        if self._done % _UNITS_A_STEP == 0:
            self._bar.update(self._task, completed=self._done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_bar()

    def _stop_bar(self) -> None:
        # Stopping one that was never started prints an empty line.
        if self._bar.live.is_started:
            self._bar.stop()

    def planned(
        self,
        change: PlanChange,
        progress: Mapping[str, AskedSoFar],
        forgotten: int,
        quotes: Mapping[str, Quote],
    ) -> None:
        failed = sum(asked.failed for asked in progress.values())
        self.total = sum(asked.pending for asked in progress.values())
        parts = [
            f"{change.planned:,} planned",
            f"{change.answered:,} answered before",
            f"{self.total:,} to ask",
        ]
        if forgotten:
            parts.append(f"of which {forgotten:,} failed before")
        if waiting := sum(quote.in_batches for quote in quotes.values()):
            parts.append(f"of which {waiting:,} are in open batches already")
        if failed:
            parts.append(f"{failed:,} failed before (--retry-failed asks them again)")
        self._stop_bar()
        _out.print("Samples: " + ", ".join(parts))
        if change.superseded:
            _out.print(
                f"This plan replaces another: {_replies(change.superseded)} no longer used, "
                "kept in the ledger"
            )
        if self.total:
            if self._job and self._job.teacher.paid:
                _say_price(self._job, quotes)
            self.begins("asking", self.total)

    def asks_again(self, requests: int) -> None:
        self._stop_bar()
        plural = "replies" if requests > 1 else "reply"
        _out.print(f"Asking again for {requests:,} {plural} that could not be used, with what was wrong")
        self.total = requests
        self._tenths = self._looked_at = self._kept = 0
        self.begins("asking again", requests)

    def asked(self, tally: Tally, looked_at: int, kept: int) -> None:
        self._looked_at += looked_at
        self._kept += kept
        done = tally.replies + tally.failures
        parts = []
        if self._looked_at:
            parts.append(f"{self._kept / self._looked_at:.0%} usable")
        if tally.failures:
            parts.append(f"{tally.failures:,} failed")
        if tally.retries:
            ((reason, _),) = tally.retries.most_common(1)
            parts.append(f"{tally.retries.total():,} retries (most of them {reason})")
        if tally.prompt_tokens and tally.cached_tokens:
            parts.append(f"{tally.cached_tokens / tally.prompt_tokens:.0%} of input cached")
        if tally.spent is not None:
            usable = tally.replies * self._kept / self._looked_at if self._looked_at else 0
            each = (
                f" ({_dollars((tally.spent - tally.spent_before) / usable)} a usable one)" if usable else ""
            )
            parts.append(_dollars(tally.spent) + each)
        verdicts = ", ".join(parts)
        speed = self._bar.tasks[0].speed
        rates = [f"{speed:,.0f}/s"] if speed else []
        if tally.concurrency:
            rates.append(f"{tally.concurrency} at once, {tally.latency(0.5):.1f} s each")
        rate = ", ".join(rates)
        self._bar.update(self._task, completed=done, rate=rate, verdicts=verdicts)
        tenths = done * 10 // max(1, self.total)
        now = time.monotonic()
        # In a log, a line at every tenth; and now and then while nothing but retries happens.
        is_due = tenths > self._tenths or (tally.retries and now - self._said_at > _SILENCE_SECONDS)
        if self.total and is_due and not _err.is_terminal:
            self._tenths, self._said_at = tenths, now
            _err.print(f"asked {done:,} of {self.total:,}: {verdicts}")

    def waits(self, batches: Sequence[Batch]) -> None:
        requests = sum(batch.requests for batch in batches)
        done = sum(batch.completed + batch.failed for batch in batches)
        states = ", ".join(f"{count} {name}" for name, count in Counter(b.status for b in batches).items())
        told = counted(len(batches), "batch", "batches")
        line = f"{told} open ({states}): {done:,} of {requests:,} requests done"
        self._bar.update(self._task, verdicts=line)
        if not _err.is_terminal and line != self._batches:
            self._batches = line
            _err.print(line)

    def interrupted(self) -> None:
        if self._in_batches:
            _err.print("stopping: batches go on at the endpoint; the same command collects them")
        else:
            _err.print("stopping: waiting for what is in flight (Ctrl-C again does not wait)")


class DownloadWatcher:
    """Shows how a download goes, in bytes: a bar in a terminal; in a log, a line now and then, at a tenth."""

    def __init__(self) -> None:
        self._step, self._size, self._tenths, self._said_at = "", 0, 0, 0.0
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=_err,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        if _err.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Stopping one that was never started prints an empty line.
        if self._bar.live.is_started:
            self._bar.stop()

    def begins(self, step: str, size: int, done: int) -> None:
        self._step, self._size, self._tenths = step, size, done * 10 // max(1, size)
        self._said_at = time.monotonic()
        self._bar.reset(self._task, description=step, total=size, completed=done)
        if not _err.is_terminal:
            _err.print(f"{step}, {_amount(size)}" + (f": {_amount(done)} of it are here" if done else ""))

    def at(self, done: int) -> None:
        self._bar.update(self._task, completed=done)
        tenths = done * 10 // max(1, self._size)
        if _err.is_terminal or tenths <= self._tenths:
            return
        self._tenths, now = tenths, time.monotonic()
        if now - self._said_at > _SILENCE_SECONDS:
            self._said_at = now
            _err.print(f"{self._step}: {tenths * 10} %")

    def waits(self, why: str, seconds: float) -> None:
        _err.print(f"{_plain(why)}: going on in {seconds:.0f} s")


def say_download(archives: Sequence[tuple[str, int]], out: Path, needed: int, free: int) -> None:
    """Name and bytes of each archive; the room that is needed, and that there is."""
    listed = ", ".join(f"{name} ({_amount(size)})" for name, size in archives)
    _out.print(f"To download into {_plain(str(out))}: {listed}")
    _out.print(f"Room needed at one time: at most {_amount(needed)}; free: {_amount(free)}")


def say_coco(folders: Sequence[tuple[str, int]], out: Path, split: str, *, is_new: bool) -> None:
    """Name and number of files of each folder; and what to do next with a split's files."""
    listed = ", ".join(f"{name}/ ({counted(files, 'file')})" for name, files in folders)
    _out.print(f"{'In' if is_new else 'Nothing to do: in'} {_plain(str(out))} there are {listed}")
    annotations = out / "annotations"
    given = {
        "captions": annotations / f"captions_{split}.json",
        "instances": annotations / f"instances_{split}.json",
        "images": out / split if any(name == split for name, _ in folders) else None,
        "out": Path("out") / split,
    }
    paths = {option: str(path) for option, path in given.items() if path is not None}
    if all(re.fullmatch(r"[\w./+-]+", path) for path in paths.values()):
        command = "make data " + " ".join(f"{option.upper()}={path}" for option, path in paths.items())
    else:  # make takes a space for the next file
        flags = " ".join(f"--{option} {shlex.quote(path)}" for option, path in paths.items())
        command = f"python -m datagen run {flags}"
    _out.print()
    _out.print(f"Next: {_plain(command)}")


def _amount(size: int) -> str:
    """Bytes, for a person; in powers of ten, as rich shows them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def say_cancelled(batches: int) -> None:
    plural = "batch" if batches == 1 else "batches"
    _out.print(f"{batches:,} {plural} cancelled" if batches else "No batch was cancelled: none was open")


def say_summary(
    manifest: RunManifest, out: Path, *, again: str = "the same command", is_stopped: bool = False
) -> None:
    """`again` is what asks the pending: after `run` the same command, after `finish` another.

    Where asking was stopped, what to do is said with the reason.
    """
    _out.print()
    _say_accounting(manifest.accounting)
    _say_reasons(manifest)
    _say_found(manifest)
    _say_held_back(manifest, out)
    if manifest.reasons.get("left_out") or manifest.reasons.get("excluded"):
        _say_left_out(out)
    usage = manifest.usage
    if usage.prompt or usage.completion:
        cached = f" ({usage.cached / usage.prompt:.0%} of it cached)" if usage.prompt else ""
        _out.print(f"Tokens: {usage.prompt:,} in{cached}, {usage.completion:,} out, as the endpoint reported")
    _say_cost(manifest)
    _out.print()
    _out.print(f"Written to {_plain(str(out))}/")
    for output in manifest.outputs:
        _out.print(f"  {output.name:<26} {output.records:>9,} {_what(output.name, output.records)}")
    _out.print(f"  {'manifest.json':<26} {'':>9} what was run, on what, and where every sample went")
    failed = sum(count.failed for count in manifest.accounting.values())
    pending = sum(count.pending for count in manifest.accounting.values())
    _out.print()
    if failed or pending:
        again += " with --retry-failed" if failed else ""
        then = "" if is_stopped else f" Next: {again} asks just those again."
        _out.print(f"Not finished: {failed:,} failed, {pending:,} pending.{then}")
    elif manifest.to_ask_again:
        _out.print(
            f"{manifest.to_ask_again:,} of the rejected can be asked for again, with what was wrong: "
            f"{again} does that."
        )
    elif not any(count.emitted for count in manifest.accounting.values()):
        _out.print(
            f"No sample was kept. Next: read {REJECTED} for the reasons and the replies; mend the prompts or "
            f"word lists, then `python -m datagen finish {_plain(str(out))}` or run again."
        )
    else:
        _out.print(
            f"Next: read some of {COMBINED} and {REJECTED}; edit the pack's prompts or word lists and run "
            "again: only what changed is asked anew."
        )


def _say_accounting(accounting: Mapping[str, Accounting]) -> None:
    """The conservation line of each type."""
    name_width = max((len(name) for name in accounting), default=0)
    header = "planned = " + " + ".join(f"{name:>9}" for name in _COLUMNS)
    _out.print(f"{'':<{name_width}}  {header}   (excluded before)")
    for name, count in accounting.items():
        counts = " + ".join(f"{getattr(count, column):>9,}" for column in _COLUMNS)
        _out.print(f"{name:<{name_width}}  {count.planned:>7,} = {counts}   ({count.excluded:,})")


def _say_reasons(manifest: RunManifest) -> None:
    for outcome, reasons in manifest.reasons.items():
        if outcome == "pending":
            continue
        ordered = Counter(reasons).most_common()
        _out.print(
            f"{outcome.replace('_', ' ')}: " + ", ".join(f"{name} {count:,}" for name, count in ordered)
        )


def _say_found(manifest: RunManifest) -> None:
    """What the checks found, and what of the set as a whole calls for action."""
    verdicts: Counter[str] = Counter()
    for found in manifest.found.values():
        for by_verdict in found.claims.values():
            verdicts.update(by_verdict)
    if verdicts:
        told = ", ".join(f"{verdicts[verdict]:,} {verdict}" for verdict in _VERDICTS)
        _out.print(f"Claims held against captions and boxes: {told} ({VERDICTS})")
    if manifest.checks != "enforce":
        kept = "what they find is kept and marked" if manifest.checks == "flag" else "nothing is looked at"
        _out.print(f"Checks are not enforced (--checks {manifest.checks}): {kept}")
    for warning in usefulness_warnings(manifest.usefulness):
        _out.print(f"Of the set as a whole: {_plain(warning)}")


_VERDICTS = ("supported", "contradicted", "unsupported", "undecidable")


def _say_held_back(manifest: RunManifest, out: Path) -> None:
    if not manifest.reasons.get("excluded", {}).get(EVALUATION_IMAGE):
        return
    details = []
    with (out / REJECTED).open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["outcome"] not in ("left_out", "excluded"):
                break
            if record["reason"] == EVALUATION_IMAGE:
                details.append(record["detail"])
    _say_evaluation_images(details)


def _say_evaluation_images(details: Sequence[str]) -> None:
    if details:
        counts = ", ".join(f"{name} {count:,}" for name, count in count_by_benchmark(details).items())
        plural = "image" if len(details) == 1 else "images"
        _out.print(
            f"Held back: {len(details):,} evaluation {plural} ({_plain(counts)}): docs/evaluation-images.md"
        )


def _say_left_out(out: Path, most: int = 5) -> None:
    """Names the first records and images that did not take part."""
    shown = 0
    with (out / REJECTED).open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["outcome"] not in ("left_out", "excluded"):
                return
            if shown == most:
                _out.print(f"  … and more in {REJECTED}")
                return
            where = f"image {record['image_id']}: " if record["outcome"] == "excluded" else ""
            _out.print(f"  {record['reason']}: {where}{_plain(record['detail'])}")
            shown += 1


def _what(name: str, records: int) -> str:
    ending = "" if records == 1 else "s"
    if name == COMBINED:
        return f"sample{ending} in all, LLaVA JSON"
    if name == ALIGNMENT:
        return f"image-caption pair{ending} for stage 1, LLaVA JSON"
    if name == REJECTED:
        return f"line{ending}: everything that did not become a sample, and why"
    return f"sample{ending}"


def say_alignment(manifest: RunManifest, out: Path) -> None:
    _say_reasons(manifest)
    _say_held_back(manifest, out)
    _out.print(f"{manifest.images:,} image-caption pairs written to {_plain(str(out / ALIGNMENT))}")


def say_audit(report: AuditReport, out: Path) -> None:
    name, images = _plain(Path(report.file.path).name), report.images
    _out.print(f"{name}: {counted(report.samples, 'sample')} with {counted(report.turns, 'turn')}")
    if report.unreadable:
        first = report.unreadable[0]
        detail = _plain(f"{first.record}: {first.reason}{': ' if first.detail else ''}{first.detail}")
        _out.print(f"{len(report.unreadable):,} records could not be read (the first, {detail})")
    unseen = report.samples - images.annotated
    if not report.annotations:
        _out.print("No annotations given: nothing was held against captions or boxes")
    elif unseen:
        _out.print(f"{counted(unseen, 'sample')} not in the annotations: checked for all but what they show")
    width = max(len(each) for each in report.types)
    _out.print(f"{'':<{width}}  samples =    passed + partly unfit +     unfit + duplicate   (type guessed)")
    for each, counts in report.types.items():
        _out.print(
            f"{each:<{width}}  {counts.samples:>7,} = {counts.passed:>9,} + {counts.partly_unfit:>12,} + "
            f"{counts.unfit:>9,} + {counts.duplicate:>9,}   ({counts.guessed:,})"
        )
    for what, reasons in (
        ("unfit turns", report.unfit_turns),
        ("duplicates", report.duplicates),
        ("repeated turns", report.repeated_turns),
        ("form", report.form),
    ):
        if reasons:
            _out.print(f"{what}: " + ", ".join(f"{reason} {count:,}" for reason, count in reasons.items()))
    if found := report.evaluation_images.by_benchmark:
        listed = ", ".join(f"{benchmark} {count:,}" for benchmark, count in found.items())
        _out.print(f"images of benchmarks: {report.evaluation_images.images:,} ({_plain(listed)})")
    for warning in report.warnings:
        _out.print(f"  {_plain(warning)}")
    _out.print("Passed means: not contradicted by the captions and boxes, where there are any.")
    _out.print()
    _out.print(f"Next: read {_plain(str(out / PAGE))}; each turn's verdict is in {AUDIT_VERDICTS} beside it.")


def say_quote(job: Job, made: Plan, quotes: Mapping[str, Quote]) -> None:
    say = _out.print
    total = sum(quote.asked for quote in quotes.values())
    answered = sum(quote.answered for quote in quotes.values())
    asked = counted(total, "request")
    say(f"A run would ask the {job.teacher.name} teacher {asked} for {counted(made.images, 'image')}.")
    if answered:
        say(f"Answered already, and not counted below: {answered:,}.")
    failed = sum(quote.failed for quote in quotes.values())
    if failed:
        say(f"Failed before, and asked again only with --retry-failed: {failed:,}.")
    waiting = sum(quote.in_batches for quote in quotes.values())
    if waiting:
        say(f"In open batches already, and not counted below: {waiting:,}.")
    if made.excluded:
        reasons = Counter(excluded.reason for excluded in made.excluded).most_common()
        say("Excluded: " + ", ".join(f"{name} {count:,}" for name, count in reasons))
        _say_evaluation_images([each.detail for each in made.excluded if each.reason == EVALUATION_IMAGE])
    if not job.teacher.reads_messages:
        say(f"The {job.teacher.name} teacher sends nothing anywhere: no tokens, no cost.")
        return
    again = sum(quote.again for quote in quotes.values())
    if again:
        say(f"Among them {again:,} that ask again for a reply that could not be used, with why.")
    say()
    say(
        "type                 requests   prefix tokens   tokens an image   input tokens   output tokens"
        "   at most"
    )
    for name, quote in quotes.items():
        say(
            f"{name:<18} {quote.asked:>10,} {quote.prefix_tokens:>15,.0f} "
            f"{quote.image_tokens / max(1, quote.asked):>17,.0f} {quote.input_tokens:>14,.0f} "
            f"{quote.output_tokens:>15,.0f} {quote.most_output_tokens:>9,}"
        )
    inputs = sum(quote.input_tokens for quote in quotes.values())
    cached = sum(quote.cached_tokens for quote in quotes.values())
    say(
        f"in all: {inputs:,.0f} input tokens, {cached / max(1, inputs):.0%} of them a prefix sent before "
        f"(providers with a prefix cache bill it as cached input), and "
        f"{sum(quote.output_tokens for quote in quotes.values()):,.0f} output tokens."
    )
    say()
    if total:
        _say_prices(job, quotes)
    measured = sum(quote.measured_on for quote in quotes.values())
    if measured:
        say(
            "These are estimates: input from the words, digits and marks of the very messages, scaled by "
            f"what the endpoint reported for {_replies(measured)} in this folder; output as long as those."
        )
    else:
        say(
            "These are estimates: input from the words, digits and marks of the very messages, output as "
            "long as the pack's examples. Run a few (--limit 20) and quote the rest with the same --out: "
            "then they are scaled by what the endpoint reported."
        )
    say(
        "At most: every reply as long as its type's max_tokens; without asking again for replies that "
        "cannot be used."
    )


def _say_prices(job: Job, quotes: Mapping[str, Quote]) -> None:
    """What the quoted requests would cost, each way that there is a price for."""
    prices, say = job.prices, _out.print
    if prices is None:
        say(
            f"No price: {_plain(str(job.config.prices or PRICES))} has no "
            f'\\["{_plain(job.config.model or "")}"]. Add it there, or in a file that you give with --prices.'
        )
        return
    say(f"US dollars, by {_plain(str(prices.source))} of {prices.date}:   expected     at most")
    ways = [("online, nothing cached", prices.online, False), ("online, prefix cached", prices.online, True)]
    if prices.batch is not None:
        ways.append(("in batches (--teacher openai-batch)", prices.batch, False))
    for way, price, is_cached in ways:
        expected, most = estimate_cost(price, quotes.values(), cached=is_cached)
        say(f"  {way:<38} {expected:>12,.4f} {most:>11,.4f}")
    cap = job.config.max_cost
    if cap is not None and job.price is not None:
        expected = estimate_cost(job.price, quotes.values(), cached=False).expected
        if expected > cap:
            say(f"--max-cost {cap:g} would stop it before the end.")


def _say_price(job: Job, quotes: Mapping[str, Quote]) -> None:
    """One line before anything is asked."""
    inputs = sum(quote.input_tokens for quote in quotes.values())
    outputs = sum(quote.output_tokens for quote in quotes.values())
    tokens = f"about {inputs:,.0f} tokens in and {outputs:,.0f} out"
    if job.price is None or job.prices is None:
        _out.print(
            f"Quote: {tokens}; no price for {_plain(job.config.model or '')} (`quote` says where to add it)"
        )
        return
    plain = estimate_cost(job.price, quotes.values(), cached=False)
    cached = estimate_cost(job.price, quotes.values(), cached=True)
    low = Estimate(min(plain.expected, cached.expected), plain.most)
    between = _dollars(plain.expected)
    if low.expected < plain.expected:
        between = f"{_dollars(low.expected)} (prefix cached) to {between}"
    _out.print(
        f"Quote: {between}, {_dollars(plain.most)} if every reply is as long as it may be; {tokens}; "
        f"estimates, at the prices of {job.prices.date}"
    )


def _say_cost(manifest: RunManifest) -> None:
    cost = manifest.cost
    if not cost.spent and not cost.possibly_billed:
        return
    emitted = sum(count.emitted for count in manifest.accounting.values())
    each = f", {_dollars(cost.spent / emitted)} for each sample kept" if emitted else ""
    _out.print(f"Spent: {_dollars(cost.spent)} in this folder so far{each}")
    if cost.possibly_billed:
        _out.print(f"  and at most {_dollars(cost.possibly_billed)} more for attempts that may be billed")
    if cost.unpriced_replies:
        _out.print(f"  not counting {_replies(cost.unpriced_replies)} of models without a price")


def _replies(number: int) -> str:
    return counted(number, "reply", "replies")


def _dollars(amount: float) -> str:
    """With enough digits to tell small amounts apart."""
    if not amount:
        return "$0"
    return f"${amount:,.2f}" if amount >= 10 else f"${amount:.4f}" if amount >= 0.01 else f"${amount:.6f}"


def say_messages(image: ImageAnnotation, messages: Mapping[str, Sequence[Message]]) -> None:
    _out.print(f"Image {image.image_id}, {_plain(image.file_name)}")
    for name, chat in messages.items():
        for message in chat:
            _out.rule(f"{name}: {message.role}", align="left", characters="─")
            sys.stdout.flush()
            sys.stdout.write(message.content + "\n")
            sys.stdout.flush()


def say_programs(programs: Sequence[tuple[str, str, float, str]], pack: str) -> None:
    """Response type, name, weight and subject of each."""
    width = max(len(name) for _, name, _, _ in programs)
    shown = None
    for response_type, name, weight, about in sorted(programs, key=lambda each: each[0] != "conversation"):
        if response_type != shown:
            _out.print(f"{'' if shown is None else chr(10)}{response_type}")
            shown = response_type
        _out.print(f"  {name:<{width}}  {f'{weight:g}' if weight else 'off':>4}  {_plain(about)}")
    used = sum(1 for _, _, weight, _ in programs if weight)
    _out.print(
        f"\n{len(programs)} programs, {used} of them in use by the pack {_plain(pack)}. The number is how "
        "often one is\nchosen beside the others of its type; a pack changes it under \\[programs.weights] "
        "in pack.toml, 0 for off."
    )


def say_status(ledger: Ledger, folder: Path) -> None:
    if not ledger.has_plan():
        _out.print("A plan is being made; nothing is asked yet.")
        return
    model = ledger.setting("model")
    at = f" {_plain(model)} at {ledger.setting('base_url')}" if model else ""
    _out.print(f"Teacher {ledger.setting('teacher')}{at}, pack {_plain(ledger.setting('pack'))}")
    progress = ledger.progress()
    width = max((len(name) for name in progress), default=0)
    _out.print(f"{'':<{width}}  planned = answered + failed + pending")
    for name, asked in progress.items():
        _out.print(
            f"{name:<{width}}  {asked.planned:>7,} = {asked.answered:>8,} + {asked.failed:>6,} + "
            f"{asked.pending:>7,}"
        )
    superseded = ledger.superseded()
    if superseded:
        _out.print(f"{_replies(superseded)} of earlier plans kept and not used")
    prompt, cached, completion = ledger.usage()
    if prompt or completion:
        _out.print(f"Tokens: {prompt:,} in ({cached:,} cached), {completion:,} out")
    spent = ledger.spent()
    if spent.known or spent.possibly_billed:
        more = (
            f", and at most {_dollars(spent.possibly_billed)} more for what has no answer but may be billed"
        )
        _out.print(f"Spent: {_dollars(spent.known)}{more if spent.possibly_billed else ''}")
    if asking := ledger.last_asking():
        _say_asking(asking)
    _say_batches(ledger)
    manifest = read_manifest(folder)
    finished = {
        name: AskedSoFar(count.planned, count.emitted + count.rejected + count.duplicate, count.failed)
        for name, count in (manifest.accounting if manifest else {}).items()
        if count.planned
    }
    so_far = {
        name: AskedSoFar(each.planned, each.answered + each.to_ask_again, each.failed)
        for name, each in progress.items()
    }
    if manifest is None or finished != so_far:
        _out.print(
            f"Not finished yet: `python -m datagen finish {_plain(str(folder))}` writes what is there."
        )
        return
    _out.print(f"\nAs finished at {manifest.finished_at}:")
    _say_accounting(manifest.accounting)
    _say_reasons(manifest)
    _say_held_back(manifest, folder)


def _say_asking(asking: Asking) -> None:
    """How the last time of asking goes, or went."""
    now = time.time()
    until = asking.ended_at or asking.last_reply_at or now
    if asking.ended_at is not None:
        state = f"ended {_ago(now - asking.ended_at)}"
    elif _is_alive(asking.pid):
        until = now
        last = f", last reply {_ago(now - asking.last_reply_at)}" if asking.last_reply_at else ""
        state = f"going on (process {asking.pid}{last})"
    else:
        state = "broke off: the same command goes on"
    seconds = max(until - asking.started_at, 1e-3)
    _out.print(
        f"Last asking: {state}; {_replies(asking.replies)}, {asking.replies / seconds:,.1f}/s",
        end="",
    )
    if asking.completion_tokens:
        p50, p90, p99 = asking.latencies
        _out.print(f", {asking.completion_tokens / seconds:,.0f} output tokens/s", end="")
        _out.print(f", latency {p50:.2f} s (90th percentile {p90:.2f}, 99th {p99:.2f})", end="")
    _out.print()
    if asking.retries:
        _out.print("Retries: " + ", ".join(f"{reason} {count:,}" for reason, count in asking.retries.items()))


def _say_batches(ledger: Ledger) -> None:
    for batch in ledger.open_batches():
        _out.print(
            f"Batch {batch.batch_id or 'not confirmed yet'}: {batch.status}, "
            f"{batch.completed + batch.failed:,} of {batch.requests:,} requests done, submitted "
            f"{_ago(time.time() - batch.submitted_at)}"
        )
    if quarantined := ledger.quarantined():
        _out.print(
            f"{quarantined:,} lines of batches could not be used and are kept in the ledger (quarantine); "
            "--teacher openai --retry-failed asks for those replies online"
        )


def _ago(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} seconds ago"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _plain(text: str) -> str:
    """Text that is not ours, kept from being read as markup."""
    return text.replace("[", "\\[")
