"""The order of an audit: read, judge, find repeats, measure, write.

Samples are taken in the order of response type, image, id and text, so that of two that repeat each
other it is always the same one that counts as the repeat, in whatever order the file has them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import msgspec
from pydantic import ValidationError

from datagen.audit.books import Books, Counts, Looked, commonest
from datagen.audit.images import AnnotatedImages, EvaluationGuard
from datagen.audit.page import page
from datagen.audit.records import UNPRINTABLE, Json, Record, Unread, read_record, records_of
from datagen.audit.response_types import ResponseTypes
from datagen.checks import Checked, Evidence, Fault, evidence_of
from datagen.config import check_writable
from datagen.dedup import Candidate
from datagen.emit import TEMPORARY
from datagen.finishing import nested
from datagen.judging import Judge, check_pack
from datagen.pipeline import folders_made
from datagen.prompting import Pack, find_pack, load_pack
from datagen.records import InputError, Turn
from datagen.sample_set import SampleSet, make_repeats
from datagen.usefulness import warnings
from schemas import AuditReport, Found, InputFile
from schemas.audit import Audited, Images, Unreadable
from schemas.llava import IMAGE_TOKEN

REPORT = "report.json"
PAGE = "report.md"
VERDICTS = "verdicts.jsonl"

_CHUNK = 512


class Watcher(Protocol):
    """Is told how an audit goes."""

    def begins(self, step: str, units: int | None) -> None:
        """A step begins, over so many units if that is known; `done` counts them."""

    def done(self) -> None: ...


@dataclass(frozen=True)
class AuditConfig:
    """The flags of `audit`."""

    file: Path
    captions: tuple[Path, ...] = ()
    """COCO captions files."""
    instances: tuple[Path, ...] = ()
    """COCO instances files. Without both kinds, only what needs no annotation is checked."""
    images: Path | None = None
    """The image folder."""
    pack: str = "coco"
    """A shipped pack's name, or a folder."""
    type: str | None = None
    """The response type of all samples; None to tell by id, and guess where that does not say."""
    evaluation_ids: tuple[Path, ...] = ()
    """Lists of evaluation images, beside the one that ships."""
    evaluation_images: tuple[Path, ...] = ()
    """Folders of evaluation images."""


class _Sample(NamedTuple):
    """A sample in its place, before it is looked at; sorts by what it says, not by where it stands."""

    type_rank: int
    has_no_annotation: bool
    image_id: int
    image: str
    id: str
    digest: bytes
    place: int
    """Of the record among all."""


def write_audit(config: AuditConfig, out: Path, watcher: Watcher) -> AuditReport:
    """Check a file and write report.md, report.json and verdicts.jsonl into the folder `out`.

    Raises InputError for what the user has to mend, with nothing written.
    """
    pack = _check(config, out)
    watcher.begins("reading", None)
    records = list(records_of(config.file))
    annotated = AnnotatedImages(config.captions, config.instances)
    guard = EvaluationGuard(config.evaluation_ids, config.evaluation_images, config.images)
    types = ResponseTypes(pack, config.type)
    books = Books({name: Counts() for name in pack.types})
    samples = sorted(_samples(records, annotated, types, books))
    if not samples:
        if not books.unreadable:
            raise InputError(f"{config.file}: holds no record")
        first = books.unreadable[0]
        raise InputError(
            f"{config.file}: none of its {len(records):,} records can be read; the first, {first.record}: "
            f"{first.reason}{': ' if first.detail else ''}{first.detail}; give LLaVA JSON"
        )
    judge = Judge(pack, annotated.categories)
    repeats = make_repeats(pack)
    # What repeats is looked for here, so the set need not load a model for it.
    dedup = pack.dedup.model_copy(update={"meaning_model": None})
    measured = SampleSet(dataclasses.replace(pack, dedup=dedup), types.names, judge.vocabulary)
    watcher.begins("checking", len(samples))
    with folders_made(out), _replacing(out, (VERDICTS, PAGE, REPORT)) as temporary:
        with (temporary / VERDICTS).open("wb") as verdicts:
            named = zip(samples, _unique_ids(samples, books), strict=True)
            for chunk in _chunks(named):
                looked = []
                for sample, name in chunk:
                    record = read_record(records[sample.place][1])
                    guard.look_at(record.images, None if sample.has_no_annotation else sample.image_id)
                    looked.append(_look(sample, name, record, types, judge, annotated))
                    watcher.done()
                fit = [each for each in looked if not each.judged.rejected]
                found = dict(
                    zip(
                        [each.id for each in fit],
                        repeats.find([_candidate(each, pack) for each in fit]),
                        strict=True,
                    )
                )
                for each in looked:
                    verdict = books.look_at(each, found.get(each.id, ()))
                    verdicts.write(verdict.model_dump_json().encode() + b"\n")
                    measured.measure(each.type, each.id, each.judged.turns)
        report = _report(config, pack, len(records), books, guard, measured)
        (temporary / PAGE).write_text(page(report), encoding="utf-8")
        (temporary / REPORT).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return report


def _check(config: AuditConfig, out: Path) -> Pack:
    """The pack, after everything that can be found wrong without reading at length."""
    paths = {"FILE": [config.file], "--out": [out], "--captions": config.captions}
    paths |= {"--instances": config.instances, "--images": [config.images] if config.images else []}
    paths |= {"--evaluation-ids": config.evaluation_ids, "--evaluation-images": config.evaluation_images}
    for option, given in paths.items():
        for path in given:
            if (shown := str(path).encode(errors="replace").decode()) != str(path):
                raise InputError(f"{option} {shown}: not a name in UTF-8: rename it")
    folder = find_pack(config.pack)
    pack = load_pack(folder)
    check_pack(pack, str(folder))
    if config.type is not None and config.type not in pack.types:
        raise InputError(f"--type {config.type}: the pack {pack.name} has {', '.join(pack.types)}")
    if config.images is not None and not config.images.is_dir():
        raise InputError(f"--images {config.images}: no such folder")
    for folder in config.evaluation_images:
        if not folder.is_dir():
            raise InputError(f"--evaluation-images {folder}: no such folder")
        if config.images is None:
            raise InputError(
                f"--evaluation-images {folder}: give --images DIR too, to compare its pictures with"
            )
    _check_out(out)
    return pack


def _check_out(out: Path) -> None:
    """The output folder may be absent, empty, or an earlier audit's, and writable."""
    if not check_writable(out):
        return
    names = {entry.name for entry in out.iterdir()}
    was_killed = TEMPORARY in names
    names.discard(TEMPORARY)
    if not names or (names <= {REPORT, PAGE, VERDICTS} and (was_killed or _is_report(out / REPORT))):
        return
    raise InputError(
        f"--out {out}: neither empty nor an audit of ours (it holds {sorted(names)[0]}): "
        "choose another folder"
    )


def _is_report(path: Path) -> bool:
    try:
        AuditReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return False
    return True


def _samples(
    records: Sequence[tuple[str, Json]],
    annotated: AnnotatedImages,
    types: ResponseTypes,
    books: Books,
) -> Iterator[_Sample]:
    """Those of the records that can be read; counts them and the others."""
    for place, (where, raw) in enumerate(records):
        try:
            record = read_record(raw)
        except Unread as why:
            books.unreadable.append(Unreadable(record=where, reason=why.reason, detail=why.detail))
            continue
        name, is_guess = types.of(record)
        counts = books.types[name]
        counts.samples += 1
        counts.guessed += is_guess
        counts.turns += len(record.turns)
        image_id = annotated.id_of(record)
        if image_id is not None:
            books.images["annotated"] += 1
        else:
            kind = "several_images" if len(record.images) > 1 else "no_annotation"
            books.images[kind if record.images else "text_only"] += 1
        if record.fault_of_form:
            books.form[record.fault_of_form] += 1
        if record.id is None:
            books.form["no_id"] += 1
        yield _Sample(
            types.names.index(name),
            image_id is None,
            image_id or 0,
            "\n".join(record.images),
            record.id or "",
            hashlib.blake2b(msgspec.json.encode(record.turns), digest_size=16).digest(),
            place,
        )


def _unique_ids(samples: Sequence[_Sample], books: Books) -> Iterator[str]:
    """An id for each sample: its own; for one without, its image; with a number where that is taken."""
    own = [sample.id or UNPRINTABLE.sub(" ", sample.image) or "no id" for sample in samples]
    taken, numbers, first = set(own), Counter[str](), set[str]()
    for sample, name in zip(samples, own, strict=True):
        if name not in first:
            first.add(name)
            yield name
            continue
        books.form["repeated_id"] += bool(sample.id)
        unique = name
        while unique in taken:
            numbers[name] += 1
            unique = f"{name}#{numbers[name] + 1}"
        taken.add(unique)
        yield unique


def _look(
    sample: _Sample, name: str, record: Record, types: ResponseTypes, judge: Judge, annotated: AnnotatedImages
) -> Looked:
    response_type = types.names[sample.type_rank]
    annotation = None if sample.has_no_annotation else annotated.read(sample.image_id)

    def evidence() -> Evidence | None:
        return evidence_of(annotation, judge.vocabulary) if annotation is not None else None

    is_drawn = bool(judge.pack.types[response_type].questions)
    judged = judge.turns(response_type, record.turns, evidence, question_is_drawn=is_drawn)
    checked = judged.checked
    if judged.rejected and not checked:  # an <image> inside it: nothing more was looked at
        reason = judged.rejected.reason
        checked = tuple(
            Checked(
                [Fault(reason, reason, where, "") for where, text in _parts(turn) if IMAGE_TOKEN in text], []
            )
            for turn in record.turns
        )
    return Looked(name, response_type, record, annotation, judged, checked)


def _parts(turn: Turn) -> tuple[tuple[Literal["question"], str], tuple[Literal["answer"], str]]:
    return ("question", turn.question), ("answer", turn.answer)


def _candidate(looked: Looked, pack: Pack) -> Candidate:
    images = looked.record.images
    image: str | int
    if looked.annotation is not None:
        image = looked.annotation.image_id
    else:
        # A text without an image has no other that it could be asked about with.
        image = "\n".join(images) or f"\n{looked.id}"
    if pack.types[looked.type].may_repeat_questions:
        image = f"{looked.type}/{image}"
    is_description = bool(pack.types[looked.type].questions)
    return Candidate(
        looked.id,
        image,
        looked.type,
        looked.judged.kept_turns,
        question_is_drawn=is_description,
        is_description=is_description,
    )


def _chunks(named: Iterator[tuple[_Sample, str]]) -> Iterator[list[tuple[_Sample, str]]]:
    while chunk := list(itertools.islice(named, _CHUNK)):
        yield chunk


@contextlib.contextmanager
def _replacing(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A temporary folder; its files take their places in `folder` together, if nothing goes wrong.

    The last name goes first and comes last, so that a folder that has it is whole.
    """
    temporary = folder / TEMPORARY
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # left by one that was killed
        temporary.mkdir()
        yield temporary
        for name in names:
            with (temporary / name).open("rb") as file:
                os.fsync(file.fileno())
        (folder / names[-1]).unlink(missing_ok=True)
        for name in names:
            (temporary / name).replace(folder / name)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _report(
    config: AuditConfig, pack: Pack, records: int, books: Books, guard: EvaluationGuard, measured: SampleSet
) -> AuditReport:
    usefulness = {name: report for name, report in measured.report().items() if report.samples}
    types = {name: counts for name, counts in books.types.items() if counts.samples}
    unfit = commonest(books.unfit_turns)
    examples, repeats = books.unfit_examples.examples(), books.repeat_examples.examples()
    return AuditReport(
        vitkit=importlib.metadata.version("vitkit"),
        file=_input_file(config.file),
        annotations=[_input_file(path) for path in (*config.captions, *config.instances)],
        pack=pack.name,
        pack_hash=pack.hash,
        records=records,
        samples=sum(counts.samples for counts in types.values()),
        turns=sum(counts.turns for counts in types.values()),
        unreadable=books.unreadable,
        form=commonest(books.form),
        images=Images(
            **{name: books.images[name] for name in ("annotated", "no_annotation", "several_images")},
            text_only=books.images["text_only"],
            not_found=guard.not_found if config.images else None,
        ),
        types={
            name: Audited(
                samples=counts.samples,
                guessed=counts.guessed,
                turns=counts.turns,
                passed=counts.outcomes["passed"],
                partly_unfit=counts.outcomes["partly_unfit"],
                unfit=counts.outcomes["unfit"],
                duplicate=counts.outcomes["duplicate"],
            )
            for name, counts in types.items()
        },
        unfit_turns=unfit,
        turn_verdicts={
            name: books.turn_verdicts[name]
            for name in ("contradicted", "unsupported", "supported", "undecidable")
        },
        found={
            name: Found(claims=nested(counts.claims), faults=nested(counts.faults))
            for name, counts in types.items()
        },
        examples={reason: examples[reason] for reason in unfit},
        duplicates=commonest(books.duplicates),
        repeated_turns=commonest(books.repeated_turns),
        duplicate_examples={reason: repeats[reason] for reason in sorted(repeats)},
        evaluation_images=guard.report(),
        usefulness=usefulness,
        warnings=warnings(usefulness),
    )


def _input_file(path: Path) -> InputFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return InputFile(path=str(path), sha256=digest, bytes=path.stat().st_size)
