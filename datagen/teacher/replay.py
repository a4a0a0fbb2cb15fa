"""The `replay` teacher: answers from a file of recorded replies."""

from __future__ import annotations

import hashlib
from pathlib import Path

import jsonlines
import msgspec
from pydantic import ValidationError

from datagen.records import InputError, TeacherReply, TeacherRequest, Unit
from datagen.teacher.protocol import TeacherFailure
from schemas import RecordedReply


class ReplayTeacher:
    """Answers each unit with the reply recorded for its image, type and sample index."""

    name = "replay"
    paid = False
    reads_messages = True
    endpoint: str | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.replies: dict[Unit, RecordedReply] = {}
        try:
            with jsonlines.open(path) as lines:
                for number, value in enumerate(lines.iter(skip_empty=True), 1):
                    self._record(RecordedReply.model_validate(value), number)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        except (jsonlines.InvalidLineError, UnicodeDecodeError) as error:
            line = getattr(error, "lineno", len(self.replies) + 1)
            raise InputError(f"{path}: line {line}: not a JSON object: one reply per line") from None
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the record"
            raise InputError(f"{path}: line {number}: {field}: {first['msg']}") from None

    def _record(self, reply: RecordedReply, number: int) -> None:
        unit = Unit(reply.image_id, reply.type, reply.sample_index)
        if unit in self.replies:
            raise InputError(
                f"{self.path}: line {number}: a second reply for image {unit.image_id}, "
                f"{unit.response_type}, sample {unit.sample_index}: keep one"
            )
        self.replies[unit] = reply

    def cannot_answer(self, request: TeacherRequest) -> str | None:
        return None

    def key(self, request: TeacherRequest) -> str:
        """Messages, parameters, index; and the recorded reply, so that a mended line is read again."""
        recorded = self.replies.get(request.unit)
        decides = (
            request.messages,
            request.temperature,
            request.max_tokens,
            request.unit.sample_index,
            recorded and (recorded.reply, recorded.finish_reason),
        )
        return hashlib.sha256(b"replay\n" + msgspec.json.encode(decides)).hexdigest()[:32]

    def answer(self, request: TeacherRequest) -> TeacherReply:
        recorded = self.replies.get(request.unit)
        if recorded is None:
            raise TeacherFailure("not_recorded", f"{self.path.name} has no reply for this unit")
        choice = {"message": {"content": recorded.reply}, "finish_reason": recorded.finish_reason}
        return TeacherReply(msgspec.json.encode({"choices": [choice]}).decode(), is_chat_completion=True)
