"""The records that flow through datagen, one way: annotation, request, reply, turns, verdict.

Immutable, and free of behaviour beyond what follows from their own fields. What is written to
disk for users is described in `schemas`; these are the shapes in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

ReplyForm = Literal["pairs", "answer", "json"]
ProxyForm = Literal["grounded", "llava-exact"]
Frame = Literal["camera", "overhead", "radiograph"]


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """`1 image`, `2 images`."""
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"


class InputError(Exception):
    """What the user gave cannot be used. The message is one line: where, what is wrong, what to do.

    Ends the program with exit status 2.
    """


class Box(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One annotated object: COCO's `[x, y, width, height]` in pixels, origin at the top left."""

    annotation_id: int
    category: str
    x: float
    y: float
    width: float
    height: float
    crowd: bool
    """True for a COCO crowd region: one box around a group whose number is unknown."""


class ImageAnnotation(msgspec.Struct, frozen=True):
    """All that is known of one image, gathered from every annotation file."""

    image_id: int
    file_name: str
    width: int
    """Pixels, at least 1."""
    height: int
    """Pixels, at least 1."""
    captions: tuple[str, ...]
    """In ascending annotation id, stripped of white space at both ends, otherwise as written."""
    boxes: tuple[Box, ...]
    """In ascending annotation id, clipped to the image."""
    uncounted: tuple[str, ...] = ()
    """Categories whose number in the image is unknown: a box of theirs had to be left out, or no instances
    file that lists the image has them."""


class CategoryStatistics(msgspec.Struct, frozen=True):
    """What a data set tells of its categories, each by the number of images that have a box of it."""

    popular: tuple[str, ...] = ()
    """The most frequent first."""
    together: dict[str, tuple[str, ...]] = {}
    """For each category those that most often share an image with it, the most frequent first."""


_NO_STATISTICS = CategoryStatistics()


class Unit(NamedTuple):
    """What is planned, accounted for and emitted as one: a sample that may come to be."""

    image_id: int
    response_type: str
    sample_index: int


class Turn(NamedTuple):
    """One question and its answer."""

    question: str
    answer: str


class Message(NamedTuple):
    """One chat message as it goes to the teacher."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class TeacherRequest:
    """All that may decide a reply; each teacher's key says which parts decide its own."""

    unit: Unit
    annotation: ImageAnnotation
    reply_form: ReplyForm
    question: str | None
    """For replies that are an answer alone: the question it will stand under."""
    frame: Frame
    vocabulary: tuple[str, ...]
    """The categories that were looked for in every image."""
    pack_hash: str
    seed: int
    temperature: float
    max_tokens: int
    messages: tuple[Message, ...]
    """Empty for a teacher that does not read messages."""
    statistics: CategoryStatistics = _NO_STATISTICS
    """Of the whole data set, for a teacher that does not read messages."""


class TeacherReply(NamedTuple):
    """A reply as it came, before anything looks at it."""

    body: str
    """The raw text: a chat completion's JSON body from an HTTP endpoint, else the answer itself."""
    is_chat_completion: bool
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    evidence: str | None = None
    """What the turns rest on, as JSON (`TurnEvidence` of schemas, and what was left unsaid), from a
    teacher that can tell."""


class Excluded(NamedTuple):
    """What cannot or may not be asked, known before anything is planned."""

    image_id: int
    response_type: str | None
    """None when it holds for the whole image."""
    reason: str
    detail: str


class LeftOut(NamedTuple):
    """One record of an input file that was left out (or mended), while its image went on."""

    file: str
    record: str
    """Which record, for a person to find it: `annotations[17] (id 93)`."""
    reason: str
    detail: str
    image_id: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a sample, or one turn of it, was not kept."""

    stage: str
    reason: str
    detail: str = ""
