"""The order of things: plan, ask, finish. The only file that knows it.

Asking turns annotations into requests and stores every raw reply. Finishing parses, checks,
deduplicates and emits from the ledger alone.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import importlib.metadata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from datagen.alignment import alignment_record
from datagen.annotations import Annotations, find_image_file, read_annotations
from datagen.asking import ask_all
from datagen.checks import Check, make_checks
from datagen.config import Job
from datagen.dedup import ExactDedup
from datagen.draw import draw
from datagen.emit import (
    ALIGNMENT,
    COMBINED,
    REJECTED,
    Emission,
    instruction_record,
    run_files,
    sample_id,
)
from datagen.ledger import Ledger, PlanChange, PlannedUnit
from datagen.parsing import Parsed, parse_reply, reply_text
from datagen.prompting import Pack, Prompter, load_pack, pack_from_files
from datagen.records import (
    Excluded,
    ImageAnnotation,
    InputError,
    LeftOut,
    Message,
    Rejected,
    ReplyForm,
    TeacherReply,
    TeacherRequest,
    Turn,
    Unit,
)
from datagen.teacher import Teacher
from datagen.tokens import estimate_message_tokens
from schemas import Accounting, InputFile, LlavaRecord, Rejection, RunManifest
from schemas.run import TokenUsage

# Planning


class Requests:
    """Makes the request of a unit, the same one whenever it is made."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._prompters = {name: Prompter(job.pack.types[name], job.proxy) for name in job.types}

    def make(self, unit: Unit, annotation: ImageAnnotation) -> TeacherRequest:
        pack, seed = self.job.pack, self.job.config.seed
        response_type = pack.types[unit.response_type]
        question = None
        if response_type.questions:
            question = draw(response_type.questions, seed, *unit, "question")
        reads_messages = self.job.teacher.reads_messages
        return TeacherRequest(
            unit=unit,
            annotation=annotation,
            reply_form=response_type.reply_form,
            question=question,
            frame=pack.frame,
            pack_hash=pack.hash,
            seed=seed,
            temperature=response_type.temperature,
            max_tokens=response_type.max_tokens,
            messages=self._prompters[unit.response_type].messages(annotation) if reads_messages else (),
        )


class Plan:
    """What would be asked, read from the annotations as it is iterated.

    Iterating gives every image that is asked about with its planned units, in ascending image id;
    `excluded` and `left_out` are whole afterwards.
    """

    def __init__(self, job: Job, annotations: Annotations) -> None:
        self.job = job
        self.annotations = annotations
        self.requests = Requests(job)
        self.excluded: list[Excluded] = []
        self.images = 0

    @property
    def left_out(self) -> Sequence[LeftOut]:
        return self.annotations.left_out

    def __iter__(self) -> Iterator[tuple[ImageAnnotation, list[PlannedUnit]]]:
        self.excluded.clear()
        self.images = 0
        for annotation in self.annotations:
            if self.images == self.job.config.limit:
                return
            usable = self.usable(annotation)
            if isinstance(usable, Excluded):
                self.excluded.append(usable)
                continue
            units = list(self._units(usable))
            if units:
                self.images += 1
                yield usable, units

    def usable(self, annotation: ImageAnnotation | Excluded) -> ImageAnnotation | Excluded:
        """The image under the name its file is found by, or why it cannot be asked about."""
        if isinstance(annotation, Excluded):
            return annotation
        if self.job.captions and not annotation.captions:
            return Excluded(annotation.image_id, None, "no_captions", annotation.file_name)
        if not annotation.captions and not annotation.boxes:
            return Excluded(annotation.image_id, None, "no_boxes", annotation.file_name)
        if self.job.images is None:
            return annotation
        found = find_image_file(self.job.images, annotation.file_name)
        if found is None:
            detail = f"{annotation.file_name} is not in {self.job.images}"
            return Excluded(annotation.image_id, None, "image_not_found", detail)
        # The name under which trainers will find it: 2014 and 2017 releases name one file two ways.
        return annotation if found == annotation.file_name else _renamed(annotation, found)

    def _units(self, annotation: ImageAnnotation) -> Iterator[PlannedUnit]:
        teacher = self.job.teacher
        for name in self.job.types:
            if reason := teacher.cannot_answer(annotation, name):
                detail = f"the {teacher.name} teacher has nothing to say"
                self.excluded.append(Excluded(annotation.image_id, name, reason, detail))
                continue
            unit = Unit(annotation.image_id, name, 0)
            request = self.requests.make(unit, annotation)
            yield PlannedUnit(unit, teacher.key(request), request.question, request.messages)


def _renamed(annotation: ImageAnnotation, file_name: str) -> ImageAnnotation:
    return ImageAnnotation(
        annotation.image_id,
        file_name,
        annotation.width,
        annotation.height,
        annotation.captions,
        annotation.boxes,
        annotation.uncounted,
    )


def prepare(job: Job) -> Plan:
    """Check the pack and read the annotations: everything that can be found wrong before a call.

    Raises InputError.
    """
    check_pack(job.pack, str(job.pack_folder))
    return Plan(job, read_annotations(job.captions, job.instances))


def plan(job: Job, made: Plan, ledger: Ledger, *, may_supersede: bool) -> PlanChange:
    """Store the plan in the ledger.

    Raises InputError when nothing can be planned, or when the plan would set aside most of the
    paid replies of the one before and --replan was not given.
    """
    change = ledger.replace_plan(
        settings=_settings(job),
        teacher=job.teacher.name,
        plan=made,
        response_types=job.types,
        may_supersede=may_supersede,
    )
    if not change.planned:
        raise nothing_planned(made.excluded)
    if change.paid_superseded * 2 > change.paid_before and not may_supersede:
        raise InputError(
            f"{ledger.folder}: {change.paid_superseded:,} of the {change.paid_before:,} paid replies here "
            "would no longer be used by this plan (another teacher, model, pack or set of images). "
            "Choose another --out, or add --replan to go on; the replies stay in the ledger either way"
        )
    return change


def nothing_planned(excluded: Sequence[Excluded]) -> InputError:
    """Says why a plan came out empty."""
    counted = ", ".join(
        f"{reason} {count:,}" for reason, count in Counter(e.reason for e in excluded).most_common()
    )
    return InputError(f"no image can be used: {counted} (the first: {excluded[0].detail})")


class Quote(NamedTuple):
    """What one response type would cost to ask, in requests and estimated tokens."""

    requests: int
    answered: int
    """Units answered already, which `requests` does not count."""
    prefix_tokens: int
    """Per request, the same for every image."""
    image_tokens: int
    """Of all requests together, beside the prefix."""
    output_tokens: int
    """Of all requests together, at most."""

    @property
    def input_tokens(self) -> int:
        return self.requests * self.prefix_tokens + self.image_tokens


def quote(job: Job, made: Plan, ledger: Ledger | None) -> dict[str, Quote]:
    """By response type; nothing is asked or written. With a ledger, only what it has no answer to."""
    requests: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    image_tokens: Counter[str] = Counter()
    keys: set[str] = set()
    prefix_tokens: dict[str, int] = {}
    for _, units in made:
        for planned in units:
            name = planned.unit.response_type
            if ledger is not None and ledger.is_answered(planned.key):
                answered[name] += 1
            elif planned.key not in keys:
                keys.add(planned.key)
                requests[name] += 1
                if planned.messages:
                    *prefix, proxy = (message.content for message in planned.messages)
                    if name not in prefix_tokens:
                        prefix_tokens[name] = estimate_message_tokens(prefix)
                    image_tokens[name] += estimate_message_tokens([proxy])
    if not requests and not answered:
        raise nothing_planned(made.excluded)
    return {
        name: Quote(
            requests[name],
            answered[name],
            prefix_tokens.get(name, 0),
            image_tokens[name],
            requests[name] * job.pack.types[name].max_tokens,
        )
        for name in job.types
    }


def preview(job: Job, made: Plan, image_id: int | None) -> dict[str, tuple[Message, ...]]:
    """The exact messages of one image, by response type: what a teacher that reads messages gets."""
    if image_id is None:
        image_id = next((annotation.image_id for annotation, _ in made), None)
        if image_id is None:
            raise nothing_planned(made.excluded)
    if image_id not in made.annotations.image_ids:
        raise InputError(f"--image-id {image_id}: no annotation file lists this image")
    annotation = made.usable(made.annotations.read(image_id))
    if isinstance(annotation, Excluded):
        raise InputError(
            f"--image-id {image_id}: would not be asked: {annotation.reason}: {annotation.detail}"
        )
    return {name: Prompter(job.pack.types[name], job.proxy).messages(annotation) for name in job.types}


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


def _settings(job: Job) -> dict[str, Any]:
    config = job.config
    return {
        "teacher": job.teacher.name,
        "paid": job.teacher.paid,
        "model": config.model,
        "base_url": job.teacher.endpoint,
        "types": list(job.types),
        "proxy": job.proxy,
        "seed": config.seed,
        "limit": config.limit,
        "images_dir": str(job.images) if job.images else None,
        "inputs": [_input_file(path).model_dump() for path in (*job.captions, *job.instances)],
        "pack": job.pack.name,
        "pack_folder": str(job.pack_folder),
        "pack_files": dict(job.pack.files),
    }


def _input_file(path: Path) -> InputFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return InputFile(path=str(path), sha256=digest, bytes=path.stat().st_size)


# Asking


def ask(job: Job, requests: Requests, ledger: Ledger, on_commit: Callable[[int, int, int], None]) -> None:
    """Ask what is pending; nothing is contacted where nothing is.

    After each commit `on_commit` gets how many replies in it would be kept as things are
    (duplicates are not looked for), how many not, and how many requests failed.
    Raises InputError before the first call for what the user has to mend; Interrupted and
    TeacherStopped with everything kept.
    """
    judge = Judge(job.pack)

    def committed(replies: Sequence[tuple[TeacherRequest, TeacherReply]], failures: int) -> None:
        kept = 0
        for request, reply in replies:
            judged = judge(request.unit.response_type, reply.body, reply.is_chat_completion, request.question)
            kept += not isinstance(judged, Rejected)
        on_commit(kept, len(replies) - kept, failures)

    if not any(progress.pending for progress in ledger.progress().values()):
        return
    pending = ((key, requests.make(unit, annotation)) for unit, key, annotation in ledger.unanswered())
    asyncio.run(_ask(job.teacher, pending, ledger, job.config.concurrency, committed))


async def _ask(
    teacher: Teacher,
    pending: Iterator[tuple[str, TeacherRequest]],
    ledger: Ledger,
    concurrency: int,
    committed: Callable[[Sequence[tuple[TeacherRequest, TeacherReply]], int], None],
) -> None:
    try:
        await teacher.start()
        await ask_all(teacher, pending, ledger, concurrency, committed)
    finally:
        await teacher.close()


# Finishing


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

        images, seed = 0, ledger.setting("seed")
        for annotation in ledger.images():
            images += 1
            aligned = alignment_record(annotation, pack.word_lists["alignment"], seed)
            if aligned is not None:
                emission.add(ALIGNMENT, aligned)

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


_MANIFEST_SETTINGS = ("teacher", "model", "base_url", "proxy", "seed", "limit", "images_dir", "inputs")


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
        record = alignment_record(usable, job.pack.word_lists["alignment"], job.config.seed)
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
        settings = _settings(job)
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
