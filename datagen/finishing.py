"""From the ledger to files: parse, check, deduplicate, emit, and account for every unit."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from datagen.alignment import alignment_record
from datagen.annotations import read_annotations
from datagen.checks import make_checks
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
from datagen.ledger import Ledger, Outcome, Spent
from datagen.parsing import Parsed, parse_reply, reply_text
from datagen.planning import Plan, nothing_planned, run_settings
from datagen.prompting import Pack, load_pack, pack_from_files
from datagen.records import Excluded, ImageAnnotation, InputError, LeftOut, Rejected, Turn, Unit
from schemas import Accounting, LlavaRecord, Rejection, RunManifest
from schemas.llava import IMAGE_TOKEN
from schemas.run import Cost, TokenUsage

_MANIFEST_SETTINGS = ("teacher", "model", "base_url", "proxy", "seed", "limit", "images_dir", "inputs")


class Judge:
    """Parses a reply and puts it through its type's checks; the first fault found, or the turns."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self._checks = {
            response_type.name: make_checks(response_type.checks, pack.word_lists)
            for response_type in pack.types.values()
        }
        (self._refusal,) = make_checks(["refusals"], pack.word_lists)

    def __call__(
        self, response_type: str, body: str, is_chat_completion: bool, question: str | None
    ) -> Parsed | Rejected:
        text = reply_text(body, is_chat_completion)
        if isinstance(text, Rejected):
            return text
        parsed = parse_reply(*text, self.pack.types[response_type].reply_form, question)
        if isinstance(parsed, Rejected):
            # A refusal is in no form; it is to be counted as what it is.
            looks_for_refusals = "refusals" in self.pack.types[response_type].checks
            return (looks_for_refusals and self._refusal([Turn("", text[0])])) or parsed
        for check in self._checks[response_type]:
            if rejected := check(parsed.turns):
                return rejected
        # Whatever checks a pack chooses: no trainer could read such a sample.
        if any(IMAGE_TOKEN in text for turn in parsed.turns for text in turn):
            return Rejected("checks", "image_token_in_text")
        return parsed


def check_pack(pack: Pack, where: str) -> None:
    """Every seed has to parse and pass the checks of its type, as a reply would.

    Raises InputError naming the seed and what is wrong with it.
    """
    try:
        judge = Judge(pack)
    except InputError as error:
        raise InputError(f"{where}/{error}") from None
    for response_type in pack.types.values():
        question = response_type.questions[0] if response_type.questions else None
        for seed in response_type.seeds:
            judged = judge(response_type.name, seed.conv, False, question)
            if isinstance(judged, Rejected):
                raise InputError(
                    f"{where}/{seed.name}_conv.txt: the seed is not a reply that would be kept: "
                    f"{judged.reason}{': ' if judged.detail else ''}{judged.detail} "
                    f"(the type's reply is {response_type.reply_form!r}): change the seed, or the rule"
                )


class _Books:
    """The accounting while it is made, and rejected.jsonl with it."""

    def __init__(self, emission: Emission, types: Sequence[str]) -> None:
        self._emission = emission
        self._excluded = dict.fromkeys(types, 0)
        self._outcomes: dict[str, Counter[str]] = {name: Counter() for name in types}
        self._reasons: Counter[tuple[str, str]] = Counter()

    def kept_out(self, left_out: Iterable[LeftOut], excluded: Iterable[Excluded]) -> None:
        """What ended before planning."""
        for record in left_out:
            detail = f"{record.file}: {record.record}: {record.detail}"
            self._line("left_out", "annotations", record.reason, detail, record.image_id)
        for image in excluded:
            for name in [image.response_type] if image.response_type else self._excluded:
                self._excluded[name] += 1
            self._line(
                "excluded", "planning", image.reason, image.detail, image.image_id, image.response_type
            )

    def no_alignment(self, annotation: ImageAnnotation) -> None:
        """An image that has captions, none of which can stand in the stage-1 set."""
        detail = f"{annotation.file_name}: not in {ALIGNMENT}"
        self._line("left_out", "annotations", "no_usable_caption", detail, annotation.image_id)

    def emitted(self, unit: Unit) -> None:
        self._outcomes[unit.response_type]["emitted"] += 1

    def not_emitted(self, unit: Unit, outcome: str, why: Rejected, text: str = "") -> None:
        self._outcomes[unit.response_type][outcome] += 1
        self._line(outcome, why.stage, why.reason, why.detail, *unit, text)

    def turn_dropped(self, unit: Unit, why: Rejected, turn: Turn) -> None:
        self._line("turn_dropped", why.stage, why.reason, why.detail, *unit, _as_text([turn]))

    def _line(
        self,
        outcome: str,
        stage: str,
        reason: str,
        detail: str,
        image_id: int | None,
        response_type: str | None = None,
        sample_index: int | None = None,
        text: str = "",
    ) -> None:
        self._reasons[outcome, reason] += 1
        fields = {
            "outcome": outcome,
            "image_id": image_id,
            "type": response_type,
            "sample_index": sample_index,
        }
        told = {"stage": stage, "reason": reason, "detail": detail, "text": text}
        self._emission.add(REJECTED, Rejection.model_validate(fields | told))

    def accounting(self) -> dict[str, Accounting]:
        """By response type; pydantic refuses one that does not add up."""
        names = ("emitted", "rejected", "duplicate", "failed", "pending")
        return {
            name: Accounting(
                excluded=self._excluded[name],
                planned=counter.total(),
                **{outcome: counter[outcome] for outcome in names},
            )
            for name, counter in self._outcomes.items()
        }

    def reasons(self) -> dict[str, dict[str, int]]:
        nested: dict[str, dict[str, int]] = {}
        for (outcome, reason), count in sorted(self._reasons.items()):
            nested.setdefault(outcome, {})[reason] = count
        return nested


def finish(
    ledger: Ledger, pack: Pack | None = None, on_unit: Callable[[], None] = lambda: None
) -> RunManifest:
    """Parse, check, deduplicate and emit everything in the ledger, without one call.

    The pack is the one given; else the run's, as it stands in its folder now; else, where that
    folder is gone, as the ledger kept it. Raises InputError for a pack that cannot be read, or a
    folder that cannot be written.
    """
    if not ledger.has_plan():
        raise InputError(f"{ledger.folder}: nothing is planned yet: run the command that began it again")
    pack = pack or _pack_of(ledger)
    reply_forms: dict[str, str] = ledger.setting("reply_forms")
    for name, form in reply_forms.items():
        if name not in pack.types:
            raise InputError(f"the pack {pack.name} no longer has the type {name}: add it again, or run anew")
        if pack.types[name].reply_form != form:
            raise InputError(
                f"the pack {pack.name} now wants {name} as {pack.types[name].reply_form!r}, but what is here "
                f"was asked for as {form!r}: change it back, or run the whole command again"
            )
    types = list(reply_forms)
    judge, dedup = Judge(pack), ExactDedup()
    with Emission(ledger.folder, run_files(types)) as emission:
        books = _Books(emission, types)
        books.kept_out(ledger.left_out(), ledger.excluded())
        complaints: dict[str, str] = {}
        may_complain = pack.complaints if ledger.setting("asks_again") else {}
        for outcome in ledger.outcomes():
            on_unit()
            _settle(outcome, judge, dedup, emission, books, complaints, may_complain)
        accounting = books.accounting()
        planned = {name: progress.planned for name, progress in ledger.progress().items()}
        if {name: count.planned for name, count in accounting.items() if count.planned} != planned:
            raise AssertionError(f"the ledger planned {planned}, but {accounting} were gone through")

        seed, is_unfit = ledger.setting("seed"), _unfit_caption(pack)
        for annotation in ledger.images():
            aligned = alignment_record(annotation, pack.word_lists["alignment"], seed, is_unfit)
            if aligned is not None:
                emission.add(ALIGNMENT, aligned)
            elif annotation.captions:
                books.no_alignment(annotation)
        usage = dict(zip(("prompt", "cached", "completion"), ledger.usage(), strict=True))
        settings = {name: ledger.setting(name) for name in _MANIFEST_SETTINGS}
        to_ask_again = ledger.ask_again(complaints)
        return _commit(
            emission,
            books,
            "run",
            pack,
            ledger.planned_images(),
            accounting,
            TokenUsage(**usage),
            ledger.spent(),
            to_ask_again,
            settings,
        )


def _settle(
    outcome: Outcome,
    judge: Judge,
    dedup: ExactDedup,
    emission: Emission,
    books: _Books,
    complaints: dict[str, str],
    may_complain: Mapping[str, str],
) -> None:
    """Emit a unit's sample, or write down why there is none, and what to ask again (`complaints`)."""
    unit, body = outcome.unit, outcome.body
    if body is None:
        if outcome.failure:
            books.not_emitted(unit, "failed", Rejected("asking", *outcome.failure))
        else:
            books.not_emitted(unit, "pending", Rejected("asking", "not_answered_yet"))
        return
    judged = judge(unit.response_type, body, outcome.is_chat_completion, outcome.question)
    if isinstance(judged, Rejected) and outcome.second_body is not None:
        body = outcome.second_body
        judged = judge(unit.response_type, body, outcome.is_chat_completion, outcome.question)
    if isinstance(judged, Rejected):
        said = reply_text(body, outcome.is_chat_completion)
        if judged.reason in may_complain and not outcome.was_asked_again:
            # Which rule found it is for the pack's author, not for the teacher.
            detail = " ".join(judged.detail.partition(" (rule: ")[0].split())
            complaints[outcome.key] = may_complain[judged.reason].replace("{detail}", detail)
        books.not_emitted(unit, "rejected", judged, body if isinstance(said, Rejected) else said[0])
        return
    # A question that was drawn for an answer is not the teacher's.
    written = [text for turn in judged.turns for text in turn if text != outcome.question]
    if first := dedup.duplicate_of(unit, written):
        same = Rejected("dedup", "same_text", f"says the same as {sample_id(first)}")
        books.not_emitted(unit, "duplicate", same, _as_text(judged.turns))
        return
    books.emitted(unit)
    record = instruction_record(unit, outcome.annotation.file_name, judged.turns)
    emission.add(f"{unit.response_type}.json", record)
    emission.add(COMBINED, record)
    if judged.cut_off:
        detail = f"turn {len(judged.turns) + 1}: the reply hit its token limit"
        books.turn_dropped(unit, Rejected("parsing", "cut_off", detail), judged.cut_off)


def _commit(
    emission: Emission,
    books: _Books,
    kind: Literal["run", "captions"],
    pack: Pack,
    images: int,
    accounting: dict[str, Accounting],
    usage: TokenUsage,
    spent: Spent,
    to_ask_again: int,
    settings: Mapping[str, Any],
) -> RunManifest:
    manifest = RunManifest(
        vitkit=importlib.metadata.version("vitkit"),
        kind=kind,
        finished_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        pack=pack.name,
        pack_hash=pack.hash,
        images=images,
        accounting=accounting,
        reasons=books.reasons(),
        usage=usage,
        cost=Cost(spent=spent.known, possibly_billed=spent.possibly_billed, unpriced_replies=spent.unpriced),
        to_ask_again=to_ask_again,
        outputs=emission.close_files(),
        **settings,
    )
    emission.commit(manifest)
    return manifest


def _pack_of(ledger: Ledger) -> Pack:
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
    records: list[LlavaRecord] = []
    excluded: list[Excluded] = []
    for annotation in made.annotations:
        if len(records) == job.config.limit:
            break
        usable = made.usable(annotation)
        if isinstance(usable, Excluded):
            excluded.append(usable)
            continue
        record = alignment_record(usable, job.pack.word_lists["alignment"], job.config.seed, is_unfit)
        if record is None:
            excluded.append(Excluded(usable.image_id, None, "no_usable_caption", usable.file_name))
        else:
            records.append(record)
    if not records:
        raise nothing_planned(excluded)
    settings = {name: value for name, value in run_settings(job).items() if name in _MANIFEST_SETTINGS}
    with Emission(out, [ALIGNMENT, REJECTED]) as emission:
        books = _Books(emission, [])
        books.kept_out(made.left_out, excluded)
        for record in records:
            emission.add(ALIGNMENT, record)
        usage = TokenUsage(prompt=0, cached=0, completion=0)
        settings["teacher"] = None
        nothing = Spent(0.0, 0.0, 0)
        return _commit(emission, books, "captions", job.pack, len(records), {}, usage, nothing, 0, settings)


def _unfit_caption(pack: Pack) -> Callable[[str], object]:
    """Whether a caption should not be learned from, by the pack's phrase lists."""
    checks = make_checks(["refusals", "leaks"], pack.word_lists)
    return lambda caption: any(check([Turn("", caption)]) for check in checks)


def _as_text(turns: Sequence[Turn]) -> str:
    return "\n".join(f"Question: {turn.question}\nAnswer: {turn.answer}" for turn in turns)
