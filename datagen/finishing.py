"""From the ledger to files: parse, check, deduplicate, emit, and account for every unit."""

from __future__ import annotations

import datetime
import importlib.metadata
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from datagen.alignment import alignment_record
from datagen.annotations import read_annotations
from datagen.balance import Balance
from datagen.checks import Checked, Verdict, forbidden_check, phrase_check
from datagen.config import Job
from datagen.emit import (
    ALIGNMENT,
    COMBINED,
    EVIDENCE,
    REJECTED,
    VERDICTS,
    Emission,
    instruction_record,
    run_files,
    sample_id,
)
from datagen.judging import Checking, Judge, Judged
from datagen.ledger import Ledger, Outcome, Spent
from datagen.parsing import reply_text
from datagen.planning import Plan, nothing_planned, run_settings
from datagen.prompting import Pack, load_pack, pack_from_files
from datagen.records import Excluded, ImageAnnotation, InputError, LeftOut, Rejected, Turn, Unit
from datagen.sample_set import Accepted, LeftOutOfSet, SampleSet
from schemas import (
    Accounting,
    Found,
    LlavaRecord,
    Rejection,
    RunManifest,
    SampleEvidence,
    SampleVerdict,
    TurnVerdict,
)
from schemas.run import ClaimVerdict, Cost, TokenUsage

_MANIFEST_SETTINGS = ("teacher", "model", "base_url", "proxy", "seed", "limit", "images_dir", "inputs")


class _Books:
    """The accounting while it is made, and rejected.jsonl with it."""

    def __init__(self, emission: Emission, types: Sequence[str]) -> None:
        self._emission = emission
        self._excluded = dict.fromkeys(types, 0)
        self._outcomes: dict[str, Counter[str]] = {name: Counter() for name in types}
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._found: dict[str, tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]] = {
            name: (Counter(), Counter()) for name in types
        }

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

    def looked_at(
        self, unit: Unit, judged: Judged, outcome: Literal["emitted", "rejected", "duplicate"]
    ) -> None:
        """Count what the checks found, and write it down turn by turn."""
        if not judged.checked:
            return
        claims, faults = self._found[unit.response_type]
        dropped = {dropped.at for dropped in judged.dropped}
        verdicts = []
        for at, checked in enumerate(judged.checked):
            for claim in checked.claims:
                claims[claim.kind, claim.verdict] += 1
            faults.update({(fault.reason, fault.rule) for fault in checked.faults})
            is_kept = outcome == "emitted" and at not in dropped
            verdicts.append(turn_verdict(checked, is_kept))
        self._emission.add(
            VERDICTS, SampleVerdict.model_construct(id=sample_id(unit), outcome=outcome, turns=verdicts)
        )

    def found(self) -> dict[str, Found]:
        """What the checks found, by response type."""
        return {
            name: Found(claims=nested(claims), faults=nested(faults))
            for name, (claims, faults) in self._found.items()
            if claims or faults
        }

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
        return nested(self._reasons)


class _EvidenceBook:
    """evidence.jsonl, and the balance that follows from it."""

    def __init__(self) -> None:
        self.balance = Balance()
        self._unsaid: Counter[str] = Counter()

    def emitted(self, outcome: Outcome, judged: Judged, emission: Emission) -> None:
        """Write down what the kept turns of an emitted sample rest on."""
        if outcome.evidence is None:  # asked by a vitkit that did not keep it
            return
        told = msgspec.json.decode(outcome.evidence)
        turns = [told["turns"][at] for at in judged.kept]
        evidence = SampleEvidence(id=sample_id(outcome.unit), unsaid=told["unsaid"], turns=turns)
        for turn in evidence.turns:
            self.balance.add(turn.parts)
        self._unsaid.update(evidence.unsaid)
        emission.add(EVIDENCE, evidence)

    def unsaid(self) -> dict[str, int]:
        return dict(sorted(self._unsaid.items()))


def nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (first, second), count in sorted(counts.items()):
        nested.setdefault(first, {})[second] = count
    return nested


_WORST_FIRST: tuple[Verdict, ...] = ("contradicted", "unsupported", "supported")


def turn_verdict(checked: Checked, is_kept: bool) -> TurnVerdict:
    # Made without validation, which for some ten claims a turn would take longer than to find them.
    said = {claim.verdict for claim in checked.claims}
    worst: Verdict = next((verdict for verdict in _WORST_FIRST if verdict in said), "undecidable")
    return TurnVerdict.model_construct(
        verdict=worst,
        unfit=[
            f"{fault.reason}: {fault.detail}" if fault.detail else fault.reason for fault in checked.faults
        ],
        is_kept=is_kept,
        claims=[ClaimVerdict.model_construct(**claim._asdict()) for claim in checked.claims],
    )


def finish(
    ledger: Ledger,
    pack: Pack | None = None,
    on_unit: Callable[[], None] = lambda: None,
    *,
    checking: Checking | None = None,
) -> RunManifest:
    """Parse, check, deduplicate and emit everything in the ledger, without one call.

    The pack is the one given; else the run's, as it stands in its folder now; else, where that
    folder is gone, as the ledger kept it. `checking` is the run's own where it is not given. Raises
    InputError for a pack that cannot be read, or a folder that cannot be written.
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
    checking = checking or ledger.setting("checks", "enforce")
    judge = Judge(pack, _categories(ledger), checking)
    complaints: dict[str, str] = {}
    # Only the embedded teacher can tell what its turns rest on.
    evidence = _EvidenceBook() if ledger.setting("teacher") == "programmatic" else None
    with Emission(ledger.folder, run_files(types, has_evidence=evidence is not None)) as emission:
        books = _Books(emission, types)
        books.kept_out(ledger.left_out(), ledger.excluded())
        sample_set = SampleSet(pack, types, judge.vocabulary)
        may_complain = pack.complaints if ledger.setting("asks_again") else {}
        for outcomes in _chunks(ledger.outcomes()):
            candidates: list[tuple[Outcome, Judged]] = []
            for outcome in outcomes:
                on_unit()
                judged = _judge(outcome, judge, books, complaints, may_complain)
                if judged is not None:
                    candidates.append((outcome, judged))
            for (outcome, _), settled in zip(candidates, sample_set.accept(candidates), strict=True):
                _emit(outcome, settled, sample_set, emission, books)
                if evidence is not None and isinstance(settled, Accepted):
                    evidence.emitted(outcome, settled.judged, emission)
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
        settings |= {"checks": checking, "usefulness": sample_set.report()}
        if evidence is not None:
            settings |= {"programs": evidence.balance.report(), "unsaid": evidence.unsaid()}
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


def _judge(
    outcome: Outcome,
    judge: Judge,
    books: _Books,
    complaints: dict[str, str],
    may_complain: Mapping[str, str],
) -> Judged | None:
    """What may become of a unit's reply; None, after writing down why, where nothing may.

    `complaints` gets what its teacher is to be told and asked again.
    """
    unit, body = outcome.unit, outcome.body
    if body is None:
        if outcome.failure:
            books.not_emitted(unit, "failed", Rejected("asking", *outcome.failure))
        else:
            books.not_emitted(unit, "pending", Rejected("asking", "not_answered_yet"))
        return None

    def read(body: str) -> Judged | Rejected:
        return judge.reply(
            unit.response_type, body, outcome.is_chat_completion, outcome.question, outcome.annotation
        )

    judged = read(body)
    rejected = judged if isinstance(judged, Rejected) else judged.rejected
    if outcome.second_body is not None and (rejected is not None or judge.checking != "enforce"):
        # It was asked for because the first was unfit, which only enforcing says again.
        second = read(outcome.second_body)
        if rejected is not None or isinstance(second, Judged):
            body, judged = outcome.second_body, second
            rejected = judged if isinstance(judged, Rejected) else judged.rejected
    if rejected is None:
        assert isinstance(judged, Judged)
        return judged
    drops = judge.pack.types[unit.response_type].on_reject == "drop_sample" and isinstance(judged, Judged)
    if rejected.reason in may_complain and not outcome.was_asked_again and not drops:
        complaints[outcome.key] = _complaint(judged, rejected, may_complain)
    said = reply_text(body, outcome.is_chat_completion)
    books.not_emitted(unit, "rejected", rejected, body if isinstance(said, Rejected) else said[0])
    if isinstance(judged, Judged):
        books.looked_at(unit, judged, "rejected")
    return None


def _complaint(judged: Judged | Rejected, rejected: Rejected, may_complain: Mapping[str, str]) -> str:
    """What the teacher is told: all that is wrong with its reply, a sentence for each reason."""
    wrong: dict[str, list[str]] = {rejected.reason: []}
    for number, checked in enumerate(judged.checked if isinstance(judged, Judged) else (), 1):
        for fault in checked.faults:
            wrong.setdefault(fault.reason, []).append(fault.told(number))
    sentences = []
    for reason, told in wrong.items():
        if reason in may_complain:
            detail = "; ".join(list(dict.fromkeys(told))[:_TOLD]) or rejected.detail
            # Which rule found it, and what decided it, is for the pack's author: a teacher is not to
            # speak of captions and boxes.
            detail = " ".join(_EVIDENCE.sub(r"\1", _RULE.sub("", detail)).split())
            sentences.append(may_complain[reason].replace("{detail}", detail))
    return " ".join(sentences)


_TOLD = 3
_EVIDENCE = re.compile(
    r"( \((?:object|absence|count|position|size|colour|attribute|blind_spot)\)): (?:[^;']|'[^']*')*"
)
_RULE = re.compile(r" \(rule: .*?\)(?=;|$)", re.DOTALL)


def _emit(
    outcome: Outcome,
    settled: Accepted | LeftOutOfSet,
    sample_set: SampleSet,
    emission: Emission,
    books: _Books,
) -> None:
    """Emit an accepted sample, or write down why it is none."""
    unit, judged = outcome.unit, settled.judged
    if isinstance(settled, LeftOutOfSet):
        books.not_emitted(unit, settled.outcome, settled.why, _as_text(judged.kept_turns))
        books.looked_at(unit, judged, settled.outcome)
        return
    turns = judged.kept_turns
    books.emitted(unit)
    books.looked_at(unit, judged, "emitted")
    record = instruction_record(unit, outcome.annotation.file_name, turns)
    emission.add(f"{unit.response_type}.json", record)
    emission.add(COMBINED, record)
    sample_set.measure(unit.response_type, sample_id(unit), turns)
    for dropped in judged.dropped:
        books.turn_dropped(unit, dropped.why, dropped.turn)


_CHUNK = 512


def _chunks(outcomes: Iterator[Outcome]) -> Iterator[list[Outcome]]:
    while chunk := list(itertools.islice(outcomes, _CHUNK)):
        yield chunk


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
        found=books.found(),
        usage=usage,
        cost=Cost(spent=spent.known, possibly_billed=spent.possibly_billed, unpriced_replies=spent.unpriced),
        to_ask_again=to_ask_again,
        outputs=emission.close_files(),
        **settings,
    )
    emission.commit(manifest)
    return manifest


def _categories(ledger: Ledger) -> Sequence[str]:
    """The categories of the annotations; of a run that did not note them, those that are boxed."""
    noted: Sequence[str] = ledger.setting("categories", ())
    return noted or sorted({box.category for image in ledger.images() for box in image.boxes})


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
    checks = [phrase_check(name, pack.word_lists) for name in ("refusals", "leaks")]
    forbidden = forbidden_check(pack.word_lists)
    return lambda caption: (
        forbidden.may_never_say(caption) or any(check(Turn("", caption)) for check in checks)
    )


def _as_text(turns: Sequence[Turn]) -> str:
    return "\n".join(f"Question: {turn.question}\nAnswer: {turn.answer}" for turn in turns)
