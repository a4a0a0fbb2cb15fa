"""`pack diff`: two packs over the same images, through two ordinary runs, side by side."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from datagen import pipeline
from datagen.annotations import find_image_file, read_annotations
from datagen.config import Job, RunConfig, check_config, check_out, check_writable
from datagen.emit import COMBINED, REJECTED
from datagen.packs.page import page
from datagen.planning import Plan
from datagen.prompting import Prompter
from datagen.records import Excluded, ImageAnnotation, InputError
from datagen.text_proxy import from_annotation, render
from datagen.tokens import estimate_message_tokens
from schemas import RunManifest
from schemas.usefulness import SetReport

PAGE = "diff.html"
SIDES = ("a", "b")


class Row(NamedTuple):
    """A figure of both versions; an empty `a` and `b` make it a heading."""

    what: str
    a: str
    b: str


@dataclass
class Sample:
    """What became of one image and response type in one version."""

    outcome: str = "not asked"
    why: str = ""
    turns: list[tuple[str, str]] = field(default_factory=list)
    """Question and answer of each turn that was kept."""
    dropped: list[tuple[str, str]] = field(default_factory=list)
    """Why, and the text of each turn that was dropped; of a sample that is none, of all of it."""


@dataclass
class Compared:
    """One image, with what both versions made of it."""

    image_id: int
    file_name: str
    picture: str | None
    """Its file, from the page's folder."""
    proxy: str
    samples: dict[str, tuple[Sample, Sample]]
    """By response type."""


@dataclass
class Diff:
    """Two versions of a pack, compared."""

    names: tuple[str, str]
    """The packs as they were given."""
    teacher: str
    rows: list[Row]
    images: list[Compared]
    page: Path
    stopped: list[str]
    """Why a run could ask no more, if one could not."""
    is_finished: bool


def diff(
    config: RunConfig,
    packs: tuple[str, str],
    sample: int,
    out: Path,
    watcher: Callable[[Job, Path], AbstractContextManager[pipeline.Watcher]],
) -> Diff:
    """Run both packs over the same images into `out`/a and `out`/b, and compare.

    Each may cost half of the configuration's `max_cost`. What an earlier comparison in `out` was answered
    is not asked again. Raises InputError for what the user has to mend.
    """
    if sample < 1:
        raise InputError(f"--sample {sample}: must be at least 1")
    cost = config.max_cost / 2 if config.max_cost is not None else None
    config = dataclasses.replace(config, max_cost=cost)
    jobs = [check_config(dataclasses.replace(config, pack=name)) for name in packs]
    if jobs[0].is_sample:
        # Of two packs with samples of their own, both are run on the first one's.
        first = jobs[0]
        config = dataclasses.replace(
            config, captions=first.captions, instances=first.instances, images=first.images
        )
        jobs = [check_config(dataclasses.replace(config, pack=name)) for name in packs]
    types = [name for name in jobs[0].types if name in jobs[1].types]
    if not types:
        raise InputError(f"pack diff: {packs[0]} and {packs[1]} have no response type in common")
    _check_folder(out)
    images = _choose(jobs[0], sample)
    config = dataclasses.replace(
        config, image_ids=frozenset(each.image_id for each in images), types=tuple(types)
    )
    jobs = [check_config(dataclasses.replace(config, pack=name)) for name in packs]
    ran = []
    for side, job in zip(SIDES, jobs, strict=True):
        with watcher(job, out / side) as watch:
            # Editing a pack and comparing again is what this is for: replies of before stay in the ledger.
            ran.append(pipeline.run(job, out / side, watch, replan=True))
    manifests = (ran[0].manifest, ran[1].manifest)
    compared = _side_by_side(images, types, out, jobs[0])
    found = Diff(
        names=packs,
        teacher=" ".join(filter(None, (config.teacher, config.model))),
        rows=_rows((jobs[0], jobs[1]), manifests, types),
        images=compared,
        page=out / PAGE,
        stopped=[f"{side}: {each.stopped}" for side, each in zip(SIDES, ran, strict=True) if each.stopped],
        is_finished=not any(
            count.failed or count.pending for each in manifests for count in each.accounting.values()
        ),
    )
    _write_whole(out / PAGE, page(found))
    return found


def _check_folder(out: Path) -> None:
    """The folder may be absent, empty, or an earlier comparison's."""
    if check_writable(out):
        strange = sorted({entry.name for entry in out.iterdir()} - {*SIDES, PAGE})
        if strange:
            raise InputError(
                f"--out {out}: neither empty nor a comparison of ours (it holds {strange[0]}): choose another"
            )
    for side in SIDES:
        check_out(out / side, resumable=True)


def _choose(job: Job, number: int) -> list[ImageAnnotation]:
    """So many images that can be used, drawn evenly; more of them begin with the same."""
    annotations = read_annotations(job.captions, job.instances)
    plan = Plan(job, annotations)

    def order(image_id: int) -> bytes:
        return hashlib.sha256(f"{job.config.seed}/{image_id}".encode()).digest()

    chosen: list[ImageAnnotation] = []
    excluded: Counter[str] = Counter()
    for image_id in sorted(annotations.image_ids, key=order):
        if len(chosen) == number:
            break
        usable = plan.usable(annotations.read(image_id))
        if isinstance(usable, Excluded):
            excluded[usable.reason] += 1
        else:
            chosen.append(usable)
    if not chosen:
        told = ", ".join(f"{reason} {count:,}" for reason, count in excluded.most_common())
        raise InputError(f"no image can be used: {told}")
    return sorted(chosen, key=lambda each: each.image_id)


_Figure = Callable[[RunManifest], str]
_OUTCOMES = {
    "rejected": "samples rejected",
    "duplicate": "samples that repeat others",
    "turn_dropped": "turns dropped",
    "failed": "failed",
    "pending": "pending",
    "excluded": "not asked",
}


def _rows(
    jobs: tuple[Job, Job], manifests: tuple[RunManifest, RunManifest], types: Sequence[str]
) -> list[Row]:
    a, b = manifests

    def row(what: str, figure: _Figure) -> Row:
        return Row(what, figure(a), figure(b))

    rows = [row("images", lambda each: f"{each.images:,}")]
    for name in types:
        rows.append(Row(name, "", ""))
        rows += [row(what, figure) for what, figure in _type_figures(name)]
        prefixes = [f"{_prefix_tokens(job, name):,}" for job in jobs]
        rows.append(Row("  tokens before every image, about", *prefixes))
    for outcome, title in _OUTCOMES.items():
        reasons = Counter(a.reasons.get(outcome, {})) + Counter(b.reasons.get(outcome, {}))
        if reasons:
            rows.append(Row(title, "", ""))
        for reason in sorted(reasons, key=lambda each: (-reasons[each], each)):
            counts = [each.reasons.get(outcome, {}).get(reason, 0) for each in manifests]
            rows.append(Row(f"  {reason}", *(f"{count:,}" for count in counts)))
    rows += [
        Row("cost", "", ""),
        row("  tokens in, out", lambda each: f"{each.usage.prompt:,}, {each.usage.completion:,}"),
        row("  spent in this folder so far", lambda each: _dollars(each.cost.spent)),
        row("  for each sample kept", _price),
    ]
    return [each for each in rows if (each.a, each.b) != (_NOTHING, _NOTHING)]


def _type_figures(name: str) -> list[tuple[str, _Figure]]:
    return [
        ("  kept of planned", lambda each: _kept(each, name)),
        ("  turns a sample", lambda each: _per(each, name, lambda report: report.turns / report.samples)),
        ("  words of an answer: a tenth, half, nine tenths up to", lambda each: _words(each, name)),
        ("  different questions", lambda each: _questions(each, name)),
        ("  commonest opening of a question", lambda each: _opening(each, name)),
        ("  yes of yes/no answers", lambda each: _yes(each, name)),
        ("  categories named", lambda each: _per(each, name, lambda report: len(report.categories.samples))),
    ]


def _prefix_tokens(job: Job, name: str) -> int:
    prefix = Prompter(job.pack.types[name], job.proxy).prefix
    return estimate_message_tokens([message.content for message in prefix])


_NOTHING = "—"


def _dollars(amount: float) -> str:
    return f"${amount:.6f}" if amount else "$0"


def _emitted(manifest: RunManifest) -> int:
    return sum(each.emitted for each in manifest.accounting.values())


def _price(manifest: RunManifest) -> str:
    kept = _emitted(manifest)
    if manifest.cost.unpriced_replies:
        return "no price known"
    return _dollars(manifest.cost.spent / kept) if kept else _NOTHING


def _kept(manifest: RunManifest, name: str) -> str:
    counts = manifest.accounting[name]
    share = f" ({counts.emitted / counts.planned:.0%})" if counts.planned else ""
    return f"{counts.emitted:,} of {counts.planned:,}{share}"


def _per(manifest: RunManifest, name: str, figure: Callable[[SetReport], float]) -> str:
    report = manifest.usefulness.get(name)
    return f"{figure(report):.3g}" if report is not None and report.samples else _NOTHING


def _words(manifest: RunManifest, name: str) -> str:
    report = manifest.usefulness.get(name)
    words = report.answer_words if report is not None else None
    return f"{words.tenth_percentile}, {words.median}, {words.ninetieth_percentile}" if words else _NOTHING


def _questions(manifest: RunManifest, name: str) -> str:
    report = manifest.usefulness.get(name)
    if report is None or report.questions is None or not report.turns:
        return _NOTHING
    return f"{report.questions.distinct:,} of {report.turns:,}"


def _opening(manifest: RunManifest, name: str) -> str:
    report = manifest.usefulness.get(name)
    if report is None or report.questions is None or not report.questions.common_openings:
        return _NOTHING
    first = report.questions.common_openings[0]
    return f'"{first.text} …" {first.share:.0%}'


def _yes(manifest: RunManifest, name: str) -> str:
    report = manifest.usefulness.get(name)
    share = report.yes_no.yes_share if report is not None else None
    return f"{share:.0%}" if share is not None else _NOTHING


def _side_by_side(
    images: Sequence[ImageAnnotation], types: Sequence[str], out: Path, job: Job
) -> list[Compared]:
    found = [_samples(out / side) for side in SIDES]
    compared = []
    for image in images:
        samples = {}
        for name in types:
            a, b = (each.get((name, image.image_id), Sample()) for each in found)
            samples[name] = (a, b)
        picture = None
        if job.images is not None and (at := find_image_file(job.images, image.file_name)):
            picture = os.path.relpath((job.images / at).resolve(), out.resolve())
        proxy = render(from_annotation(image), job.proxy)
        compared.append(Compared(image.image_id, image.file_name, picture, proxy, samples))
    return compared


def _samples(folder: Path) -> dict[tuple[str, int], Sample]:
    """What became of every unit of a run, by response type and image."""
    samples: dict[tuple[str, int], Sample] = {}
    for record in json.loads((folder / COMBINED).read_text(encoding="utf-8")):
        name, _, image_id = record["id"].partition("-")
        texts = [each["value"] for each in record["conversations"]]
        texts[0] = texts[0].removeprefix("<image>\n")
        turns = list(zip(texts[::2], texts[1::2], strict=True))
        samples[name, int(image_id)] = Sample("kept", turns=turns)
    with (folder / REJECTED).open(encoding="utf-8") as file:
        for line in map(json.loads, file):
            if line["type"] is None or line["image_id"] is None:
                continue
            sample = samples.setdefault((line["type"], line["image_id"]), Sample(line["outcome"]))
            why = f"{line['reason']}{': ' if line['detail'] else ''}{line['detail']}"
            if line["outcome"] != "turn_dropped":
                sample.outcome, sample.why = line["outcome"], why
            if line["text"]:
                sample.dropped.append((why, line["text"]))
    return samples


def _write_whole(path: Path, text: str) -> None:
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(path)
        path.chmod(0o644)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def summary(found: Diff) -> list[str]:
    """What a person is told."""
    names = [f"{side}: {name}" for side, name in zip(SIDES, found.names, strict=True)]
    head = Row("", *names)
    left = max(len(row.what) for row in found.rows)
    wide = max(len(text) for row in (head, *found.rows) for text in (row.a, row.b))
    lines = [f"{row.what:<{left}}  {row.a:>{wide}}  {row.b:>{wide}}".rstrip() for row in (head, *found.rows)]
    same = sum(a.turns == b.turns for each in found.images for a, b in each.samples.values() if a.turns)
    both = sum(bool(a.turns and b.turns) for each in found.images for a, b in each.samples.values())
    return [*lines, "", f"Kept by both: {both:,} samples, {same:,} of them word for word the same",
            f"Side by side: {found.page}"]  # fmt: skip
