"""The teacher that writes samples from the annotations by rule, without network or model."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from importlib import resources
from random import Random

import msgspec

from datagen.records import Frame, ImageAnnotation, ReplyForm, TeacherReply, TeacherRequest, Turn
from datagen.teacher.programmatic import conversation, detail, reasoning
from datagen.teacher.programmatic.facts import Facts, facts_of
from datagen.teacher.programmatic.voice import Voice
from datagen.teacher.protocol import TeacherFailure

CODE_VERSION = 1
"""Raised with every change to the code that changes a reply."""


def _digest_of_text_files() -> str:
    files = sorted(resources.files(__package__).iterdir(), key=lambda file: file.name)
    texts = [file.read_bytes() for file in files if file.name.endswith(".toml")]
    return sha256(b"\0".join(texts)).hexdigest()[:16]


PROGRAMS_VERSION = f"{CODE_VERSION}-{_digest_of_text_files()}"
"""Part of every key. The text files are there to be edited, so their content counts by itself."""

SHORTEST_DESCRIPTION = 15
"""Words. "The image contains two toilets." is true and no detailed description."""

RESPONSE_TYPES = ("conversation", "detail", "complex_reasoning")


class ProgrammaticTeacher:
    """Answers from the annotation alone; the same request gets the same reply, in any order."""

    def __init__(self) -> None:
        self.name = "programmatic"
        self.paid = False
        self.reads_messages = False
        self.endpoint: str | None = None
        # The three types of an image are asked one after another: its facts are worth keeping that long.
        self._last: tuple[tuple[ImageAnnotation, Frame, tuple[str, ...]], Facts] | None = None

    def cannot_answer(self, request: TeacherRequest) -> str | None:
        """Why there is nothing to ask, or None. Where it is None, `ask` has an answer."""
        response_type = request.unit.response_type
        if response_type not in RESPONSE_TYPES:
            return "type_not_written"
        if response_type == "detail":
            return _shortcoming(response_type, self._turns(request))
        return None if _has_something(self._facts(request), response_type) else "nothing_to_say"

    def key(self, request: TeacherRequest) -> str:
        """32 hex digits that change with anything that may change the reply."""
        unit = request.unit
        decides = (
            request.annotation,
            request.pack_hash,
            PROGRAMS_VERSION,
            request.seed,
            unit.response_type,
            unit.sample_index,
            request.reply_form,
            request.question,
            request.frame,
            request.vocabulary,
        )
        return sha256(msgspec.json.encode(decides)).hexdigest()[:32]

    def answer(self, request: TeacherRequest) -> TeacherReply:
        """Writes the sample. Raises TeacherFailure where `cannot_answer` gives a reason."""
        turns = self._turns(request)
        unit = request.unit
        if reason := _shortcoming(unit.response_type, turns):
            raise TeacherFailure(reason, f"image {unit.image_id}, type {unit.response_type}")
        return TeacherReply(as_text(turns, request.reply_form), is_chat_completion=False)

    def _turns(self, request: TeacherRequest) -> list[Turn]:
        unit = request.unit
        # Never hash(): it differs from process to process.
        origin = f"{request.seed}/{unit.image_id}/{unit.response_type}/{unit.sample_index}"
        voice = Voice(Random(int.from_bytes(sha256(origin.encode()).digest()[:8], "big")))
        return write_turns(self._facts(request), voice, unit.response_type)

    def _facts(self, request: TeacherRequest) -> Facts:
        of = (request.annotation, request.frame, request.vocabulary)
        if self._last is None or self._last[0][0] is not of[0] or self._last[0][1:] != of[1:]:
            self._last = (of, facts_of(*of))
        return self._last[1]


def write_turns(facts: Facts, voice: Voice, response_type: str) -> list[Turn]:
    """The turns of one sample; empty for a type that is not known or where there is nothing to say."""
    if response_type == "conversation":
        return conversation.converse(facts, voice)
    turn = None
    if response_type == "detail":
        turn = detail.describe(facts, voice)
    elif response_type == "complex_reasoning":
        turn = reasoning.reason(facts, voice)
    return [] if turn is None else [turn]


def _shortcoming(response_type: str, turns: list[Turn]) -> str | None:
    """Why these turns are no sample, if they are none."""
    if not turns:
        return "nothing_to_say"
    if response_type == "detail" and len(turns[0].answer.split()) < SHORTEST_DESCRIPTION:
        return "too_little_to_say"
    return None


def _has_something(facts: Facts, response_type: str) -> bool:
    """Whether any program has anything to say, which does not depend on how it words it."""
    voice = Voice(Random(0))
    programs: Iterable[object]
    if response_type == "conversation":
        programs = (program(facts, voice) for program in (*conversation.OPENERS, *conversation.PROGRAMS))
    elif response_type == "detail":
        programs = (program(facts, voice) for program in detail.PROGRAMS)
    else:
        programs = (program(facts, voice) for program in reasoning.PROGRAMS)
    return any(next(iter(program), None) is not None for program in programs)  # type: ignore[call-overload]


def as_text(turns: list[Turn], form: ReplyForm) -> str:
    """The turns as a reply. An answer alone stands under a question that others choose."""
    if form == "answer":
        # A fixed question asks for no more than an account of the image, so one paragraph is enough.
        return " ".join(turn.answer for turn in turns)
    if form == "json":
        return msgspec.json.encode({"turns": [turn._asdict() for turn in turns]}).decode()
    return "\n===\n".join(f"Question:\n{turn.question}\n===\nAnswer:\n{turn.answer}" for turn in turns)
