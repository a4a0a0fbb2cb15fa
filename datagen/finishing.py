"""From the ledger to files: parse, check, deduplicate, emit, and account for every unit."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datagen.alignment import alignment_record
from datagen.annotations import read_annotations
from datagen.checks import Check, make_checks
from datagen.config import Job
from datagen.dedup import ExactDedup
from datagen.emit import (
    ALIGNMENT,
    COMBINED,
    REJECTED,
    Emission,
    instruction_record,
    run_files,
    sample_id,
)
from datagen.ledger import Ledger
from datagen.parsing import Parsed, parse_reply, reply_text
from datagen.planning import Plan, nothing_planned, run_settings
from datagen.prompting import Pack, load_pack, pack_from_files
from datagen.records import Excluded, ImageAnnotation, InputError, LeftOut, Rejected, ReplyForm, Turn, Unit
from schemas import Accounting, LlavaRecord, Rejection, RunManifest
from schemas.run import TokenUsage

_MANIFEST_SETTINGS = ("teacher", "model", "base_url", "proxy", "seed", "limit", "images_dir", "inputs")


class Judge:
    """Parses and checks replies as a pack says."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self._checks = {
            response_type.name: make_checks(response_type.checks, pack.word_lists)
            for response_type in pack.types.values()
        }

    def __call__(
        self, response_type: str, body: str, is_chat_completion: bool, question: str | None
    ) -> Parsed | Rejected:
        text = reply_text(body, is_chat_completion)
        if isinstance(text, Rejected):
            return text
        form = self.pack.types[response_type].reply_form
        return judge_text(*text, form, question, self._checks[response_type])


def judge_text(
    text: str, finish_reason: str, form: ReplyForm, question: str | None, checks: Sequence[Check]
) -> Parsed | Rejected:
    """Parse, then every check in turn; the first fault found."""
    parsed = parse_reply(text, finish_reason, form, question)
    if isinstance(parsed, Rejected):
        return parsed
    for check in checks:
        if rejected := check(parsed.turns):
            return rejected
    return parsed


def check_pack(pack: Pack, where: str) -> dict[str, list[Check]]:
    """The checks of each type, after every seed has been parsed and has passed them.

    Raises InputError naming the seed and what is wrong with it.
    """
    checks: dict[str, list[Check]] = {}
    for response_type in pack.types.values():
        checks[response_type.name] = make_checks(response_type.checks, pack.word_lists)
        for seed in response_type.seeds:
            question = response_type.questions[0] if response_type.questions else None
            judged = judge_text(
                seed.conv, "stop", response_type.reply_form, question, checks[response_type.name]
            )
            if isinstance(judged, Rejected):
                raise InputError(
                    f"{where}/{seed.name}_conv.txt: the seed is not a reply that would be kept: "
                    f"{judged.reason}{': ' if judged.detail else ''}{judged.detail} "
                    f"(the type's reply is {response_type.reply_form!r})"
                )
    return checks


@dataclass
class _Counts:
    """An Accounting while it is counted."""

    excluded: int = 0
    planned: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def accounting(self) -> Accounting:
        names = ("emitted", "rejected", "duplicate", "failed", "pending")
        return Accounting(
            excluded=self.excluded, planned=self.planned, **{name: self.outcomes[name] for name in names}
        )


def finish(
    ledger: Ledger, pack: Pack | None = None, on_unit: Callable[[], None] = lambda: None
) -> RunManifest:
    """Parse, check, deduplicate and emit everything in the ledger, without one call.

    The pack is the one given; else the run's, as it stands in its folder now; else, where that
    folder is gone, as the ledger kept it. Raises InputError for a pack that cannot be read, or a
    folder that cannot be written.
    """
    pack = pack or pack_of(ledger)
    types: list[str] = ledger.setting("types")
    for name in types:
        if name not in pack.types:
            raise InputError(f"the pack {pack.name} no longer has the type {name}: add it again, or run anew")
    judge = Judge(pack)
    counts = {name: _Counts() for name in types}
    reasons: Counter[tuple[str, str]] = Counter()

    with Emission(ledger.folder, run_files(types)) as emission:

        def reject(rejection: Rejection) -> None:
            reasons[rejection.outcome, rejection.reason] += 1
            emission.add(REJECTED, rejection)

        for left_out in ledger.left_out():
            reject(_left_out(left_out))
        for excluded in ledger.excluded():
            for name in [excluded.response_type] if excluded.response_type else types:
                counts[name].excluded += 1
            reject(_excluded(excluded))

        dedups = {name: ExactDedup() for name in types}
        for outcome in ledger.outcomes():
            unit = outcome.unit
            count = counts[unit.response_type]
            count.planned += 1
            on_unit()
            if outcome.body is None:
                name, rejected = (
                    ("failed", Rejected("asking", *outcome.failure))
                    if outcome.failure
                    else ("pending", Rejected("asking", "not_answered_yet"))
                )
                count.outcomes[name] += 1
                reject(_rejection(name, unit, rejected))
                continue
            judged = judge(unit.response_type, outcome.body, outcome.is_chat_completion, outcome.question)
            if isinstance(judged, Rejected):
                count.outcomes["rejected"] += 1
                text = reply_text(outcome.body, outcome.is_chat_completion)
                shown = outcome.body if isinstance(text, Rejected) else text[0]
                reject(_rejection("rejected", unit, judged, shown))
                continue
            # A question that was drawn for an answer is not the teacher's.
            written = [text for turn in judged.turns for text in turn if text != outcome.question]
            if first := dedups[unit.response_type].duplicate_of(unit, written):
                count.outcomes["duplicate"] += 1
                same = Rejected("dedup", "same_text", f"says the same as {sample_id(first)}")
                reject(_rejection("duplicate", unit, same, _as_text(judged.turns)))
                continue
            count.outcomes["emitted"] += 1
            record = instruction_record(unit, outcome.annotation.file_name, judged.turns)
            emission.add(f"{unit.response_type}.json", record)
            emission.add(COMBINED, record)
            if judged.cut_off:
                detail = f"turn {len(judged.turns) + 1}: the reply hit its token limit"
                dropped = Rejected("parsing", "cut_off", detail)
                reject(_rejection("turn_dropped", unit, dropped, _as_text([judged.cut_off])))

        images, seed, is_unfit = 0, ledger.setting("seed"), _unfit_caption(pack)
        for annotation in ledger.images():
            images += 1
            aligned = alignment_record(annotation, pack.word_lists["alignment"], seed, is_unfit)
            if aligned is not None:
                emission.add(ALIGNMENT, aligned)
            elif annotation.captions:
                reject(_no_usable_caption(annotation))

        usage = dict(zip(("prompt", "cached", "completion"), ledger.usage(), strict=True))
        manifest = RunManifest(
            vitkit=importlib.metadata.version("vitkit"),
            kind="run",
            finished_at=_now(),
            pack=pack.name,
            pack_hash=pack.hash,
            images=images,
            accounting={name: count.accounting() for name, count in counts.items()},
            reasons=_nested(reasons),
            usage=TokenUsage(**usage),
            outputs=emission.close_files(),
            **{name: ledger.setting(name) for name in _MANIFEST_SETTINGS},
        )
        emission.commit(manifest)
    return manifest


def pack_of(ledger: Ledger) -> Pack:
    """The pack of a run: as its folder is now or, where that is gone, as it was."""
    folder = Path(ledger.setting("pack_folder"))
    if folder.is_dir():
        return load_pack(folder)
    return pack_from_files(ledger.setting("pack_files"), str(folder), ledger.setting("pack"))


def make_alignment(job: Job, out: Path) -> RunManifest:
    """The stage-1 set alone, of every image with a caption, into the folder `out`.

    Raises InputError as `prepare` and `finish` do.
    """
    made = Plan(job, read_annotations(job.captions, job.instances))
    is_unfit = _unfit_caption(job.pack)
    reasons: Counter[tuple[str, str]] = Counter()
    images = 0
    records: list[LlavaRecord] = []
    excluded: list[Excluded] = []
    for annotation in made.annotations:
        if images == job.config.limit:
            break
        usable = made.usable(annotation)
        if isinstance(usable, Excluded):
            excluded.append(usable)
            continue
        record = alignment_record(usable, job.pack.word_lists["alignment"], job.config.seed, is_unfit)
        if record is None:
            excluded.append(Excluded(usable.image_id, None, "no_usable_caption", usable.file_name))
            continue
        images += 1
        records.append(record)
    if not records:
        raise nothing_planned(excluded)
    out.mkdir(parents=True, exist_ok=True)
    with Emission(out, [ALIGNMENT, REJECTED]) as emission:
        for rejection in (*map(_left_out, made.left_out), *map(_excluded, excluded)):
            reasons[rejection.outcome, rejection.reason] += 1
            emission.add(REJECTED, rejection)
        for record in records:
            emission.add(ALIGNMENT, record)
        settings = run_settings(job)
        manifest = RunManifest(
            vitkit=importlib.metadata.version("vitkit"),
            kind="captions",
            finished_at=_now(),
            pack=job.pack.name,
            pack_hash=job.pack.hash,
            images=images,
            accounting={},
            reasons=_nested(reasons),
            usage=TokenUsage(prompt=0, cached=0, completion=0),
            outputs=emission.close_files(),
            **{name: settings[name] for name in _MANIFEST_SETTINGS} | {"teacher": None},
        )
        emission.commit(manifest)
    return manifest


def _unfit_caption(pack: Pack) -> Callable[[str], object]:
    """Whether a caption should not be learned from, by the pack's phrase lists."""
    checks = make_checks(["refusals", "leaks"], pack.word_lists)
    return lambda caption: any(check([Turn("", caption)]) for check in checks)


def _rejection(outcome: str, unit: Unit, why: Rejected, text: str = "") -> Rejection:
    return Rejection.model_validate(
        {
            "outcome": outcome,
            "image_id": unit.image_id,
            "type": unit.response_type,
            "sample_index": unit.sample_index,
            "stage": why.stage,
            "reason": why.reason,
            "detail": why.detail,
            "text": text,
        }
    )


def _excluded(excluded: Excluded) -> Rejection:
    return Rejection(
        outcome="excluded",
        image_id=excluded.image_id,
        type=excluded.response_type,
        sample_index=None,
        stage="planning",
        reason=excluded.reason,
        detail=excluded.detail,
        text="",
    )


def _no_usable_caption(annotation: ImageAnnotation) -> Rejection:
    return Rejection(
        outcome="left_out",
        image_id=annotation.image_id,
        type=None,
        sample_index=None,
        stage="annotations",
        reason="no_usable_caption",
        detail=f"{annotation.file_name}: not in {ALIGNMENT}",
        text="",
    )


def _left_out(left_out: LeftOut) -> Rejection:
    return Rejection(
        outcome="left_out",
        image_id=left_out.image_id,
        type=None,
        sample_index=None,
        stage="annotations",
        reason=left_out.reason,
        detail=f"{left_out.file}: {left_out.record}: {left_out.detail}",
        text="",
    )


def _as_text(turns: Sequence[Turn]) -> str:
    return "\n".join(f"Question: {turn.question}\nAnswer: {turn.answer}" for turn in turns)


def _nested(reasons: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (outcome, reason), count in sorted(reasons.items()):
        nested.setdefault(outcome, {})[reason] = count
    return nested


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
