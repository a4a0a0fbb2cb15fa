"""What a run would ask: units, requests and what is kept out, before anything is asked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from datagen.annotations import Annotations, find_image_file
from datagen.config import Job
from datagen.draw import draw
from datagen.ledger import Ledger, PlanChange, PlannedUnit
from datagen.prompting import Prompter
from datagen.records import (
    Excluded,
    ImageAnnotation,
    InputError,
    LeftOut,
    Message,
    TeacherRequest,
    Unit,
)
from datagen.tokens import estimate_message_tokens
from schemas import InputFile


class Requests:
    """Makes the request of a unit, the same one whenever it is made."""

    def __init__(self, job: Job, vocabulary: Sequence[str]) -> None:
        self.job = job
        self.vocabulary = tuple(vocabulary)
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
            vocabulary=self.vocabulary,
            pack_hash=pack.hash,
            seed=seed,
            temperature=response_type.temperature,
            max_tokens=response_type.max_tokens,
            messages=self._prompters[unit.response_type].messages(annotation) if reads_messages else (),
        )


class Plan:
    """What would be asked, read from the annotations as it is iterated.

    Iterating gives every image that can be used with its planned units, in ascending image id;
    `excluded` and `left_out` are whole afterwards.
    """

    def __init__(self, job: Job, annotations: Annotations) -> None:
        self.job = job
        self.annotations = annotations
        self.requests = Requests(job, annotations.categories)
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
            return annotation
        found = find_image_file(self.job.images, annotation.file_name)
        if found is None:
            detail = f"{annotation.file_name} is not in {self.job.images}"
            return Excluded(annotation.image_id, None, "image_not_found", detail)
        # The name under which trainers will find it: 2014 and 2017 releases name one file two ways.
        return msgspec.structs.replace(annotation, file_name=found)

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


def store_plan(job: Job, made: Plan, ledger: Ledger, *, may_supersede: bool) -> PlanChange:
    """Store the plan in the ledger.

    Raises InputError when nothing can be planned, or when the plan would set aside most of the
    paid replies of the one before and --replan was not given.
    """
    change = ledger.replace_plan(
        settings=run_settings(job),
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
    """Units answered already, which `requests` does not count, nor does it those that failed."""
    failed: int
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
    failed: Counter[str] = Counter()
    image_tokens: Counter[str] = Counter()
    keys: set[str] = set()
    prefix_tokens: dict[str, int] = {}
    for _, units in made:
        for planned in units:
            name = planned.unit.response_type
            if ledger is not None and ledger.is_answered(planned.key):
                answered[name] += 1
            elif ledger is not None and ledger.has_failed(planned.key):
                failed[name] += 1
            elif planned.key not in keys:
                keys.add(planned.key)
                requests[name] += 1
                if planned.messages:
                    *prefix, proxy = (message.content for message in planned.messages)
                    if name not in prefix_tokens:
                        prefix_tokens[name] = estimate_message_tokens(prefix)
                    image_tokens[name] += estimate_message_tokens([proxy])
    if not requests and not answered and not failed:
        raise nothing_planned(made.excluded)
    return {
        name: Quote(
            requests[name],
            answered[name],
            failed[name],
            prefix_tokens.get(name, 0),
            image_tokens[name],
            requests[name] * job.pack.types[name].max_tokens,
        )
        for name in job.types
    }


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
        "reply_forms": {name: job.pack.types[name].reply_form for name in job.types},
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
