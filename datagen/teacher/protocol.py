"""What every teacher does, and how one is made from its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from datagen.records import InputError, TeacherReply, TeacherRequest
from schemas.pack import ProgramsToml

TEACHERS = {
    "programmatic": "writes samples from the annotations by rule: no network, no key, no cost",
    "openai": "any OpenAI-compatible endpoint; the key comes from OPENAI_API_KEY",
    "openai-batch": "the same through the endpoint's batches: slower, at about half the price",
    "replay": "answers from a file of recorded replies (--replies)",
}


class TeacherFailure(Exception):
    """One request could not be answered, and asking again now would not help.

    `reason` is a name to count by and the same in every run; `detail` is for a person.
    """

    def __init__(self, reason: str, detail: str, *, is_its_own: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.is_its_own = is_its_own
        """True where the cause is this request alone and says nothing of the next."""


class TeacherRetry(Exception):
    """One attempt came to nothing, and the next may do better."""

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        wait: float | None = None,
        overloaded: bool = False,
        may_be_billed: bool = False,
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.wait = wait
        """Seconds the endpoint asked to wait, if it did."""
        self.overloaded = overloaded
        """True where sending less is the remedy."""
        self.may_be_billed = may_be_billed
        """True where the endpoint may have done the work, and charge for it."""


class TeacherStopped(Exception):
    """No request can be answered as things are (a refused key, a spent quota). Says what to do."""


class Answered(NamedTuple):
    """What one attempt brought."""

    reply: TeacherReply
    hold: float = 0.0
    """Seconds in which the endpoint's rate limit leaves no room for another request."""


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


@runtime_checkable
class LocalTeacher(Teacher, Protocol):
    """Answers by itself, at once."""

    def answer(self, request: TeacherRequest) -> TeacherReply:
        """The reply. Raises TeacherFailure."""


@runtime_checkable
class RemoteTeacher(Teacher, Protocol):
    """Answers over a network, for money."""

    async def start(self) -> None:
        """Called once before the first request.

        Raises InputError for what the user has to mend first: no key, no such model, no endpoint.
        """

    def body(self, request: TeacherRequest) -> bytes:
        """The request as it goes over the wire."""

    async def ask(self, body: bytes) -> Answered:
        """One attempt. Raises TeacherRetry, TeacherFailure, or TeacherStopped for all requests."""

    async def close(self) -> None:
        """Called once after the last request."""


def make_teacher(
    name: str,
    *,
    model: str | None = None,
    base_url: str | None = None,
    replies: Path | None = None,
    pack_folder: Path,
    pack_files: Mapping[str, str],
    shipped_files: Mapping[str, str],
    programs: ProgramsToml,
) -> Teacher:
    """The teacher of that name. Each is imported only when used.

    `shipped_files` are those of the pack that ships, which has every phrasing there has to be.

    Raises InputError for an unknown name, for options that the teacher needs or has no use for, or for
    a pack's text that it cannot use.
    """
    if name not in TEACHERS:
        raise InputError(f"--teacher {name}: no such teacher; there are {', '.join(TEACHERS)}")
    for option, value, users in (
        ("--model", model, ("openai", "openai-batch")),
        ("--base-url", base_url, ("openai", "openai-batch")),
        ("--replies", replies, ("replay",)),
    ):
        if value is not None and name not in users:
            raise InputError(
                f"{option} has no meaning for --teacher {name}; it goes with --teacher {' or '.join(users)}"
            )
    if name in ("openai", "openai-batch"):
        from datagen.teacher.openai_api import OpenAITeacher

        if not model:
            raise InputError(f"--teacher {name} needs --model: the name of a model the endpoint serves")
        return OpenAITeacher(model, base_url, in_batches=name == "openai-batch")
    if name == "replay":
        from datagen.teacher.replay import ReplayTeacher

        if replies is None:
            raise InputError("--teacher replay needs --replies: a JSON lines file of recorded replies")
        return ReplayTeacher(replies)
    from datagen.teacher.programmatic import ProgrammaticTeacher, check_phrasings

    try:
        check_phrasings(pack_files, shipped_files)
        return ProgrammaticTeacher(programs, pack_files)
    except InputError as error:
        raise InputError(f"{pack_folder}/{error}") from None
