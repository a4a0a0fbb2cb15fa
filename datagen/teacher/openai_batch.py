"""OpenAI's Batch API: files of requests in, their state while they run, lines of results out.

Knows nothing of plans or the ledger: what to send, when to look and what a result means is the caller's.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, TypeVar

import httpx2  # what the openai client is built on: a download that breaks off raises its errors
import msgspec
import openai

from datagen.teacher.openai_api import OpenAITeacher, decode_error
from datagen.teacher.protocol import TeacherFailure, TeacherRetry, TeacherStopped
from datagen.teacher.retries import Sleep, retrying

CHAT_PATH: Final = "/v1/chat/completions"
MOST_REQUESTS = 50_000
# OpenAI says 200 MB, but not how long a megabyte is, nor whether the form around the file counts.
MOST_BYTES = 190_000_000
TAG_FIELD = "vitkit"
"""The metadata field of a batch that holds its tag."""

# Nobody promises that a batch made a moment ago is listed at once, and one made twice is paid twice.
SETTLE_SECONDS = 30.0

_FINAL = frozenset({"failed", "completed", "expired", "cancelled"})
_QUEUE_IS_FULL = ("token_limit_exceeded", "request_limit_exceeded")
_NO_SUCH_PATH = (404, 405)
_LIST_LIMIT = 100
# OpenAI refuses files whose name ends otherwise.
_FILE_NAME = "requests.jsonl"

T = TypeVar("T")


class NotThere(TeacherStopped):
    """The endpoint has no such batch or file, or no batches at all."""


class QueueIsFull(TeacherFailure):
    """The endpoint takes no such batch while others wait. Nothing was made."""


class LineError(NamedTuple):
    """Why a batch as a whole was refused."""

    line: int | None
    """The line of the input file, counted from 1; None if it is not about one line."""
    code: str
    message: str


class BatchState(NamedTuple):
    """A batch as the provider last described it."""

    id: str
    status: str
    completed: int
    failed: int
    total: int
    """Requests in the batch; 0 until it has been validated."""
    output_file_id: str | None
    error_file_id: str | None
    errors: tuple[LineError, ...]
    tag: str | None
    """What `submit` was given; None for a batch that is not ours."""

    @property
    def is_final(self) -> bool:
        """Whether it will not change again. Any final batch may hold results, an expired one too."""
        return self.status in _FINAL

    @property
    def queue_is_full(self) -> bool:
        """Whether it was refused for what waits already, or for its own size."""
        return any(is_about_the_queue(error.code, error.message) for error in self.errors)


class LineResult(NamedTuple):
    """One line of an output or error file. Nothing says that it was asked for, or comes only once."""

    custom_id: str
    status: int | None
    """The HTTP status of the answer; None where there is no answer."""
    body: str
    """The JSON of the answer exactly as it stands in the file; empty where there is no answer."""
    error: tuple[str, str] | None
    """Code and message of what kept the request from being answered, such as `batch_expired`.

    What the endpoint itself refused has a status and says so in its body instead.
    """


class BadLine(NamedTuple):
    """A line of a result file that cannot be read."""

    number: int
    """Counted from 1, in its own file."""
    text: str
    reason: str
    file_id: str


def input_line(key: str, body: bytes) -> bytes:
    """The line that asks for `body`, whose bytes are taken over as they are.

    Raises ValueError for a body that would not stay on one line.
    """
    if b"\n" in body:
        raise ValueError(f"request {key}: its body has a line break, and a batch file one request a line")
    return b'{"custom_id":"%b","method":"POST","url":"%b","body":%b}\n' % (
        key.encode(),
        CHAT_PATH.encode(),
        body,
    )


def is_about_the_queue(code: str, message: str) -> bool:
    """Whether a refusal says that too much waits already."""
    return code in _QUEUE_IS_FULL or "enqueued" in message.lower()


class BatchAPI:
    """The calls, each tried again as the one policy of `retries` says.

    Raises what teachers raise: TeacherRetry after the last attempt, TeacherFailure for a call that is
    refused, TeacherStopped where none can succeed, and of those NotThere.
    """

    def __init__(
        self, teacher: OpenAITeacher, *, sleep: Sleep = asyncio.sleep, scratch: Path | None = None
    ) -> None:
        """`teacher` was started; `scratch` is a folder for downloads, by default the system's."""
        assert teacher.client is not None
        self._teacher = teacher
        self._client = teacher.client
        self._sleep = sleep
        self._scratch = scratch

    async def upload(self, lines: Path | bytes) -> str:
        """The id of the file made of the lines, with which nothing has happened yet."""
        return await self._retry(partial(self._upload, lines))

    async def create(self, file_id: str, tag: str) -> BatchState:
        """Makes a batch of an uploaded file.

        `tag` must be one that no batch has. Where an answer leaves open whether a batch was made, looks
        for the tag before it asks again. If that ends in TeacherRetry, a batch may have been made all
        the same: `find` will tell. Raises QueueIsFull too.
        """
        unsure = False

        async def create() -> BatchState:
            nonlocal unsure
            if unsure:
                await self._sleep(SETTLE_SECONDS)
                made = await self._find(tag)
                if made is not None:
                    return made
            try:
                return await self._create(file_id, tag)
            except TeacherRetry as retry:
                unsure = retry.reason != "rate_limited"  # which is a refusal, so nothing was made
                raise

        return await self._retry(create)

    async def find(self, tag: str) -> BatchState | None:
        """The batch with that tag, the newest if there are several, as the provider lists them."""
        return await self._retry(partial(self._find, tag))

    async def retrieve(self, batch_id: str) -> BatchState:
        return await self._retry(partial(self._retrieve, batch_id))

    async def cancel(self, batch_id: str) -> BatchState:
        """Asks for it to be cancelled, which takes a while. A final batch stays what it is."""

        async def ask() -> BatchState:
            try:
                answer = await self._call(
                    self._client.batches.with_raw_response.cancel(batch_id), f"knows no batch {batch_id}"
                )
                return _state(self._decode(_Batch, answer.http_response))
            except (TeacherRetry, TeacherFailure) as error:
                # Which is how OpenAI says that there is nothing left to cancel.
                if error.reason not in ("http_409", "http_400"):
                    raise
                state = await self._retrieve(batch_id)
                if not state.is_final:
                    raise TeacherFailure(error.reason, error.detail) from None
                return state

        return await self._retry(ask)

    async def results(self, state: BatchState) -> AsyncIterator[LineResult | BadLine]:
        """Every line of the output file, then of the error file, as far as there are any, without the key.

        A file is downloaded to disk as a whole, again if the download broke off, before any of it is
        read; in memory there is one line at a time.
        """
        for file_id in filter(None, (state.output_file_id, state.error_file_id)):
            with tempfile.TemporaryFile(dir=self._scratch) as file:
                await self._retry(partial(self._download, file_id, file))
                file.seek(0)
                for number, line in enumerate(file, 1):
                    if line := line.strip():
                        yield _result(self._teacher.without_key(line), number, file_id)

    async def _retry(self, call: Callable[[], Awaitable[T]]) -> T:
        result: T = await retrying(self._sleep)(call)
        return result

    async def _call(
        self, call: Awaitable[T], absent: str = "has no batch endpoint: use --teacher openai"
    ) -> T:
        """One attempt. `absent` is what a 404 means, after the endpoint's name."""
        teacher = self._teacher
        try:
            return await call
        except openai.APIStatusError as error:
            status, headers = error.response.status_code, error.response.headers
            body = teacher.without_key(error.response.content).decode(errors="replace")
            code, message = (str(decode_error(body).get(name) or "") for name in ("code", "message"))
            if status in _NO_SUCH_PATH:
                raise NotThere(f"{teacher.endpoint} {absent} ({message or status})") from None
            if is_about_the_queue(code, message):
                raise QueueIsFull("queue_is_full", message or code) from None
            raise teacher.fault(status, body, headers) from None
        except (openai.APIConnectionError, openai.APIResponseValidationError) as error:
            raise TeacherRetry("connection_error", teacher.shown(error.__cause__ or error)) from None

    def _decode(self, shape: type[T], answer: httpx2.Response) -> T:
        try:
            return msgspec.json.decode(self._teacher.without_key(answer.content), type=shape)
        except msgspec.DecodeError as error:
            raise TeacherRetry("not_what_was_asked_for", str(error)) from None

    async def _upload(self, lines: Path | bytes) -> str:
        create = self._client.files.with_raw_response.create
        if isinstance(lines, bytes):
            answer = await self._call(create(file=(_FILE_NAME, lines), purpose="batch"))
        else:
            # Given a path the client would read the whole file into memory; an open file it streams.
            with lines.open("rb") as file:
                answer = await self._call(create(file=(_FILE_NAME, file), purpose="batch"))
        return self._decode(_File, answer.http_response).id

    async def _create(self, file_id: str, tag: str) -> BatchState:
        answer = await self._call(
            self._client.batches.with_raw_response.create(
                input_file_id=file_id,
                endpoint=CHAT_PATH,
                completion_window="24h",
                metadata={TAG_FIELD: tag},
            )
        )
        return _state(self._decode(_Batch, answer.http_response))

    async def _find(self, tag: str) -> BatchState | None:
        after: str | openai.Omit = openai.omit
        while True:
            listed = await self._call(
                self._client.batches.with_raw_response.list(limit=_LIST_LIMIT, after=after)
            )
            page = self._decode(_Page, listed.http_response)
            for batch in page.data:
                if (batch.metadata or {}).get(TAG_FIELD) == tag:
                    return await self._retrieve(batch.id)
            # The second test ends the walk with servers that know no pages and list all of it again.
            if page.has_more is False or not page.data or page.data[-1].id == after:
                return None
            after = page.data[-1].id

    async def _retrieve(self, batch_id: str) -> BatchState:
        answer = await self._call(
            self._client.batches.with_raw_response.retrieve(batch_id), f"knows no batch {batch_id}"
        )
        return _state(self._decode(_Batch, answer.http_response))

    async def _download(self, file_id: str, into: IO[bytes]) -> None:
        into.seek(0)
        into.truncate()

        async def download() -> None:
            try:
                async with self._client.files.with_streaming_response.content(file_id) as answer:
                    async for chunk in answer.iter_bytes():
                        into.write(chunk)
            except httpx2.RequestError as error:
                raise openai.APIConnectionError(request=error.request) from error

        await self._call(download(), f"has no file {file_id}, which holds results")


# Other providers leave fields out or add their own; only what is used here has to be as described.


class _File(msgspec.Struct):
    id: str


class _Listed(msgspec.Struct):
    id: str
    metadata: dict[str, Any] | None = None


class _Page(msgspec.Struct):
    data: list[_Listed]
    has_more: bool | None = None


class _Counts(msgspec.Struct):
    total: int | None = None
    completed: int | None = None
    failed: int | None = None


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None
    line: int | None = None


class _Errors(msgspec.Struct):
    data: list[_Error] | None = None


class _Batch(msgspec.Struct):
    id: str
    status: str
    request_counts: _Counts | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Errors | None = None
    metadata: dict[str, Any] | None = None


class _Response(msgspec.Struct):
    status_code: int | None = None
    body: msgspec.Raw = msgspec.Raw(b"")


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


_decode_line = msgspec.json.Decoder(_Line).decode


def _state(batch: _Batch) -> BatchState:
    counts = batch.request_counts or _Counts()
    errors = (batch.errors and batch.errors.data) or []
    return BatchState(
        batch.id,
        batch.status,
        completed=counts.completed or 0,
        failed=counts.failed or 0,
        total=counts.total or 0,
        output_file_id=batch.output_file_id or None,
        error_file_id=batch.error_file_id or None,
        errors=tuple(LineError(e.line, e.code or "", e.message or "") for e in errors),
        tag=(batch.metadata or {}).get(TAG_FIELD),
    )


def _result(raw: bytes, number: int, file_id: str) -> LineResult | BadLine:
    try:
        line = _decode_line(raw)
        response = line.response or _Response()
        body = bytes(response.body).decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as reason:
        return BadLine(number, raw.decode(errors="replace"), str(reason), file_id)
    error = None if line.error is None else (line.error.code or "", line.error.message or "")
    return LineResult(line.custom_id, response.status_code, body, error)
