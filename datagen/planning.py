"""What a run would ask: units, requests and what is kept out, before anything is asked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from datagen.annotations import Annotations, find_image_file
from datagen.config import Job
from datagen.draw import draw
from datagen.evaluation_images import REASON as EVALUATION_IMAGE
from datagen.evaluation_images import UNREADABLE, EvaluationImages, UnreadablePicture
from datagen.ledger import Complaint, Ledger, PlanChange, PlannedUnit
from datagen.parsing import reply_text
from datagen.pricing import PRICES, Price
from datagen.prompting import Prompter
from datagen.records import (
    CategoryStatistics,
    Excluded,
    ImageAnnotation,
    InputError,
    LeftOut,
    Message,
    Rejected,
    TeacherRequest,
    Unit,
)
from datagen.tokens import estimate_message_tokens, estimate_tokens
from schemas import InputFile


class Requests:
    """Makes the request of a unit, the same one whenever it is made."""

    def __init__(self, job: Job, vocabulary: Sequence[str], statistics: CategoryStatistics) -> None:
        self.job = job
        self.statistics = statistics
        self.vocabulary = tuple(vocabulary)
        self._prompters = {name: Prompter(job.pack.types[name], job.proxy) for name in job.types}

    def make(
        self, unit: Unit, annotation: ImageAnnotation, complaint: Complaint | None = None
    ) -> TeacherRequest:
        """The unit's request or, with a complaint, the one that asks again.

        That is the same messages, then the reply that could not be used, then why; the same messages
        alone where that reply had no text.
        """
        pack, seed = self.job.pack, self.job.config.seed
        response_type = pack.types[unit.response_type]
        question = None
        if response_type.questions:
            question = draw(response_type.questions, seed, *unit, "question")
        messages: tuple[Message, ...] = ()
        if self.job.teacher.reads_messages:
            messages = self._prompters[unit.response_type].messages(annotation)
        if complaint is not None:
            said = reply_text(complaint.body, is_chat_completion=True)
            if not isinstance(said, Rejected) and said[0].strip():
                messages += (Message("assistant", said[0]), Message("user", complaint.text))
        return TeacherRequest(
            unit=unit,
            annotation=annotation,
            reply_form=response_type.reply_form,
            question=question,
            frame=pack.frame,
            vocabulary=self.vocabulary,
            pack_hash=pack.hash,
            seed=seed,
            temperature=response_type.temperature,
            max_tokens=response_type.max_tokens,
            messages=messages,
            statistics=self.statistics,
        )


class Plan:
    """What would be asked, read from the annotations as it is iterated.

    Iterating gives every image that can be used with its planned units, in ascending image id;
    `excluded` and `left_out` are whole afterwards.
    """

    def __init__(self, job: Job, annotations: Annotations) -> None:
        self.job = job
        self.annotations = annotations
        # For a teacher that reads messages they would be of no use, and a pass over all boxes.
        no_use = job.teacher.reads_messages
        statistics = CategoryStatistics() if no_use else annotations.statistics()
        self.requests = Requests(job, annotations.categories, statistics)
        self._evaluation: EvaluationImages | None = None
        if job.evaluation_list is not None:
            folders = job.config.evaluation_images
            self._evaluation = EvaluationImages(job.evaluation_list, folders, job.images)
        self.excluded: list[Excluded] = []
        self.images = 0

    @property
    def left_out(self) -> Sequence[LeftOut]:
        return self.annotations.left_out

    def __iter__(self) -> Iterator[tuple[ImageAnnotation, list[PlannedUnit]]]:
        self.excluded.clear()
        self.images = 0
        only = self.job.config.image_ids
        for image_id in self.annotations.image_ids:
            if only is not None and image_id not in only:
                continue
            annotation = self.annotations.read(image_id)
            if self.images == self.job.config.limit:
                return
            usable = self.usable(annotation)
            if isinstance(usable, Excluded):
                self.excluded.append(usable)
                continue
            units = list(self._units(usable))
            self.images += bool(units)
            # Where there is nothing to ask, the captions may still serve the stage-1 set.
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
            return self._held_back(annotation) or annotation
        found = find_image_file(self.job.images, annotation.file_name)
        if found is None:
            detail = f"{annotation.file_name} is not in {self.job.images}"
            return Excluded(annotation.image_id, None, "image_not_found", detail)
        # The name under which trainers will find it: 2014 and 2017 releases name one file two ways.
        named = msgspec.structs.replace(annotation, file_name=found)
        return self._held_back(named) or named

    def _held_back(self, annotation: ImageAnnotation) -> Excluded | None:
        """Why an image that could be asked about is not: it is a benchmark's, or nobody can tell."""
        if self._evaluation is None:
            return None
        try:
            why = self._evaluation.why(annotation.file_name, annotation.image_id)
        except UnreadablePicture as error:
            detail = f"{annotation.file_name}: {error}, so it cannot be compared with evaluation images"
            return Excluded(annotation.image_id, None, UNREADABLE, detail)
        return Excluded(annotation.image_id, None, EVALUATION_IMAGE, why) if why is not None else None

    def _units(self, annotation: ImageAnnotation) -> Iterator[PlannedUnit]:
        teacher = self.job.teacher
        for name in self.job.types:
            unit = Unit(annotation.image_id, name, 0)
            request = self.requests.make(unit, annotation)
            reason = teacher.cannot_answer(request)
            if reason is None and request.messages and not request.messages[-1].content:
                reason = "empty_proxy"
            if reason is not None:
                detail = f"the {teacher.name} teacher, asked for {name}"
                self.excluded.append(Excluded(annotation.image_id, name, reason, detail))
                continue
            yield PlannedUnit(unit, teacher.key(request), request.question, request.messages)


class _Quoted:
    """A plan, quoted as it goes by."""

    def __init__(self, made: Plan, quoter: Quoter) -> None:
        self._made = made
        self._quoter = quoter

    @property
    def excluded(self) -> Sequence[Excluded]:
        return self._made.excluded

    @property
    def left_out(self) -> Sequence[LeftOut]:
        return self._made.left_out

    def __iter__(self) -> Iterator[tuple[ImageAnnotation, list[PlannedUnit]]]:
        for annotation, units in self._made:
            for planned in units:
                self._quoter.add(planned)
            yield annotation, units


def store_plan(
    job: Job, made: Plan, ledger: Ledger, *, may_supersede: bool, retry_failed: bool
) -> tuple[PlanChange, dict[str, Quote]]:
    """Store the plan in the ledger, quoted on the way.

    Raises InputError when nothing can be planned, or when the plan would set aside most of the
    paid replies of the one before and --replan was not given.
    """
    quoter = Quoter(job, ledger, retry_failed=retry_failed)
    change = ledger.replace_plan(
        settings=run_settings(job) | {"categories": list(made.requests.vocabulary)},
        teacher=job.teacher.name,
        plan=_Quoted(made, quoter),
        response_types=job.types,
        may_supersede=may_supersede,
    )
    if not change.planned:
        raise nothing_planned(made.excluded)
    if change.paid_superseded * 2 > change.paid_before and not may_supersede:
        raise InputError(
            f"{ledger.folder}: {change.paid_superseded:,} of the {change.paid_before:,} paid replies here "
            "would no longer be used by this plan (other teacher, model, pack, types, limit or images). "
            "Choose another --out, or add --replan to go on; the replies stay in the ledger either way"
        )
    return change, quoter.quotes()


def nothing_planned(excluded: Sequence[Excluded]) -> InputError:
    """Says why a plan came out empty."""
    counted = ", ".join(
        f"{reason} {count:,}" for reason, count in Counter(e.reason for e in excluded).most_common()
    )
    said = f"no image can be used: {counted} (the first: {excluded[0].detail})"
    if any(each.reason == EVALUATION_IMAGE for each in excluded):
        said += "; --allow-evaluation-images lets images of benchmarks in"
    return InputError(said)


class Quote(NamedTuple):
    """What one response type would cost to ask, in requests and estimated tokens."""

    requests: int
    """Without those of `again`."""
    again: int
    """Requests that ask again for a reply that could not be used."""
    answered: int
    """Units answered already, which `requests` does not count, nor does it those that failed."""
    failed: int
    in_batches: int
    """Requests that are in open batches, sent already."""
    prefix_tokens: float
    """Per request, the same for every image."""
    image_tokens: float
    """Of all requests together, beside the prefix."""
    output_tokens: float
    """Of all requests together, as expected."""
    most_output_tokens: int
    """Of all requests together, at most."""
    measured_on: int
    """How many replies of this very type the estimates were adjusted by."""

    @property
    def asked(self) -> int:
        return self.requests + self.again

    @property
    def input_tokens(self) -> float:
        return self.asked * self.prefix_tokens + self.image_tokens

    @property
    def cached_tokens(self) -> float:
        """Of the input, what a provider's prefix cache can hold: the prefix, from the second time on."""
        return max(0, self.asked - 1) * self.prefix_tokens


class Estimate(NamedTuple):
    """US dollars: as expected, and if every reply were as long as it may be."""

    expected: float
    most: float


def estimate_cost(price: Price, quotes: Iterable[Quote], *, cached: bool) -> Estimate:
    """What the quoted requests would cost, with the prefix served from the provider's cache or not."""
    expected = most = 0.0
    for quote in quotes:
        from_cache = quote.cached_tokens if cached else 0
        expected += price.of(quote.input_tokens, from_cache, quote.output_tokens)
        most += price.of(quote.input_tokens, from_cache, quote.most_output_tokens)
    return Estimate(expected, most)


class Quoter:
    """Counts what would be asked, as a plan goes by; with a ledger, only what it has no answer to.

    Tokens are estimated from the very messages, and replies from the length of the seeds'. Where the
    ledger has replies of a type with their usage, both are scaled by how estimate and usage compare
    for those.
    """

    def __init__(self, job: Job, ledger: Ledger | None, *, retry_failed: bool) -> None:
        self._job = job
        self._ledger = ledger
        self._retry_failed = retry_failed
        self._has_open_batches = ledger is not None and bool(ledger.open_batches())
        self._counts = {name: Counter[str]() for name in job.types}
        self._keys: set[str] = set()
        self._prefix_tokens: dict[str, int] = {}

    def add(self, planned: PlannedUnit) -> None:
        counts = self._counts[planned.unit.response_type]
        if planned.key in self._keys:
            return
        self._keys.add(planned.key)
        usage = self._ledger.usage_of(planned.key) if self._ledger else None
        if usage is not None:
            counts["answered"] += 1
            said = self._ledger.to_ask_again(planned.key) if self._ledger else None
            if said is not None and planned.messages:
                counts["again"] += 1
                self._estimate(planned)  # for its prefix
                counts["image_tokens"] += estimate_message_tokens(said)
            if usage.prompt_tokens and usage.completion_tokens is not None and planned.messages:
                counts["measured"] += 1
                counts["measured_estimate"] += sum(self._estimate(planned))
                counts["measured_input"] += usage.prompt_tokens
                counts["measured_output"] += usage.completion_tokens
        elif self._has_open_batches and self._ledger and not self._ledger.is_to_be_asked(planned.key):
            counts["in_batches"] += 1
        elif self._ledger and not self._retry_failed and self._ledger.has_failed(planned.key):
            counts["failed"] += 1
        else:
            counts["requests"] += 1
            if planned.messages:
                counts["image_tokens"] += self._estimate(planned)[1]

    def _estimate(self, planned: PlannedUnit) -> tuple[int, int]:
        """Tokens of the prefix and of the image's own message."""
        *prefix, proxy = (message.content for message in planned.messages)
        name = planned.unit.response_type
        if name not in self._prefix_tokens:
            self._prefix_tokens[name] = estimate_message_tokens(prefix)
        return self._prefix_tokens[name], estimate_message_tokens([proxy])

    def quotes(self) -> dict[str, Quote]:
        """By response type."""
        return {name: self._quote(name, counts) for name, counts in self._counts.items()}

    def _quote(self, name: str, counts: Counter[str]) -> Quote:
        response_type = self._job.pack.types[name]
        measured = counts["measured"]
        scale = counts["measured_input"] / counts["measured_estimate"] if measured else 1.0
        if measured:
            reply = counts["measured_output"] / measured
        elif response_type.seeds:
            lengths = [estimate_tokens(seed.conv) for seed in response_type.seeds]
            reply = min(sum(lengths) / len(lengths), response_type.max_tokens)
        else:
            reply = response_type.max_tokens
        asked = counts["requests"] + counts["again"]
        return Quote(
            requests=counts["requests"],
            again=counts["again"],
            answered=counts["answered"],
            failed=counts["failed"],
            in_batches=counts["in_batches"],
            prefix_tokens=self._prefix_tokens.get(name, 0) * scale,
            image_tokens=counts["image_tokens"] * scale,
            output_tokens=asked * reply,
            most_output_tokens=asked * response_type.max_tokens,
            measured_on=measured,
        )


def quote(job: Job, made: Plan, ledger: Ledger | None, *, retry_failed: bool) -> dict[str, Quote]:
    """By response type; nothing is asked or written. Raises InputError when nothing can be planned."""
    quoter = Quoter(job, ledger, retry_failed=retry_failed)
    is_empty = True
    for _, units in made:
        for planned in units:
            is_empty = False
            quoter.add(planned)
    if is_empty:
        raise nothing_planned(made.excluded)
    return quoter.quotes()


def preview(job: Job, made: Plan, image_id: int | None) -> dict[str, tuple[Message, ...]]:
    """The exact messages of one image, by response type: what a teacher that reads messages gets."""
    if image_id is None:
        for each in map(made.usable, made.annotations):
            if isinstance(each, ImageAnnotation):
                image_id = each.image_id
                break
            made.excluded.append(each)
        else:
            raise nothing_planned(made.excluded)
    if image_id not in made.annotations.image_ids:
        raise InputError(f"--image-id {image_id}: no annotation file lists this image")
    annotation = made.usable(made.annotations.read(image_id))
    if isinstance(annotation, Excluded):
        raise InputError(
            f"--image-id {image_id}: would not be asked: {annotation.reason}: {annotation.detail}"
        )
    return {name: Prompter(job.pack.types[name], job.proxy).messages(annotation) for name in job.types}


def run_settings(job: Job) -> dict[str, Any]:
    """What the ledger and the manifest keep of how a run was started."""
    config = job.config
    return {
        "teacher": job.teacher.name,
        "model": config.model,
        "base_url": job.teacher.endpoint,
        # Only a teacher that reads what is wrong with its reply can mend it.
        "asks_again": job.teacher.paid,
        "prices": str((config.prices or PRICES).resolve()),
        "reply_forms": {name: job.pack.types[name].reply_form for name in job.types},
        "proxy": job.proxy,
        "seed": config.seed,
        "limit": config.limit,
        "images_dir": str(job.images) if job.images else None,
        "checks": config.checks,
        "evaluation_images_allowed": config.allow_evaluation_images,
        "evaluation_ids": [_input_file(path).model_dump() for path in config.evaluation_ids],
        "evaluation_images": [str(folder) for folder in config.evaluation_images],
        "inputs": [_input_file(path).model_dump() for path in (*job.captions, *job.instances)],
        "pack": job.pack.name,
        "pack_folder": str(job.pack_folder),
        "pack_files": dict(job.pack.files),
    }


def _input_file(path: Path) -> InputFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return InputFile(path=str(path), sha256=digest, bytes=path.stat().st_size)
