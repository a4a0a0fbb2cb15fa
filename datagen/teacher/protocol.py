"""What every teacher does, and how one is made from its name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from datagen.records import InputError, TeacherReply, TeacherRequest

TEACHERS = {
    "programmatic": "writes samples from the annotations by rule: no network, no key, no cost",
    "openai": "any OpenAI-compatible endpoint; the key comes from OPENAI_API_KEY",
    "replay": "answers from a file of recorded replies (--replies)",
}


class TeacherFailure(Exception):
    """One request could not be answered, and asking again now would not help.

    `reason` is a name to count by and the same in every run; `detail` is for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TeacherStopped(Exception):
    """No request can be answered as things are (a refused key, a spent quota). Says what to do."""


class Teacher(Protocol):
    """Answers requests. What it was asked and what it said are the ledger's to keep."""

    name: str
    paid: bool
    """Whether its replies cost money, so that they are not to be set aside lightly."""
    reads_messages: bool
    """Whether requests need their messages built."""
    endpoint: str | None
    """The address it asks, without anything secret; None if it asks nobody."""

    def cannot_answer(self, request: TeacherRequest) -> str | None:
        """Why this request cannot be asked (a name to count by), or None if it can."""

    def key(self, request: TeacherRequest) -> str:
        """32 hex digits that stand for whatever decides the reply."""

    async def start(self) -> None:
        """Called once before the first request.

        Raises InputError for what the user has to mend first: no key, no such model, no endpoint.
        """

    async def ask(self, request: TeacherRequest) -> TeacherReply:
        """The raw reply. Raises TeacherFailure for this request, TeacherStopped for all of them."""

    async def close(self) -> None:
        """Called once after the last request."""


def make_teacher(
    name: str,
    *,
    model: str | None = None,
    base_url: str | None = None,
    replies: Path | None = None,
) -> Teacher:
    """The teacher of that name. Each is imported only when used.

    Raises InputError for an unknown name, or for options that the teacher needs or has no use for.
    """
    if name not in TEACHERS:
        raise InputError(f"--teacher {name}: no such teacher; there are {', '.join(TEACHERS)}")
    for option, value, user in (
        ("--model", model, "openai"),
        ("--base-url", base_url, "openai"),
        ("--replies", replies, "replay"),
    ):
        if value is not None and name != user:
            raise InputError(f"{option} has no meaning for --teacher {name}; it goes with --teacher {user}")
    if name == "openai":
        from datagen.teacher.openai_api import OpenAITeacher

        if not model:
            raise InputError("--teacher openai needs --model: the name of a model the endpoint serves")
        return OpenAITeacher(model, base_url)
    if name == "replay":
        from datagen.teacher.replay import ReplayTeacher

        if replies is None:
            raise InputError("--teacher replay needs --replies: a JSON lines file of recorded replies")
        return ReplayTeacher(replies)
    from datagen.teacher.programmatic import ProgrammaticTeacher

    return ProgrammaticTeacher()
