"""A chat completions endpoint on loopback: a real HTTP server, scripted, that keeps its own books."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

import msgspec
from aiohttp import web

KEPT_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "User-Agent", "X-Stainless-Retry-Count")

Drop = Literal["", "before", "headers", "during", "after"]
"""Not at all, without a byte sent, after the headers, after half the body, or after the whole body."""


class Usage(NamedTuple):
    """Tokens of one reply, or of many."""

    prompt: int = 0
    cached: int = 0
    """Those of `prompt` that the provider had read before."""
    completion: int = 0


class Prices(NamedTuple):
    """US dollars for a million tokens."""

    input: float
    cached_input: float
    """In place of `input`, for cached tokens."""
    output: float


@dataclass(frozen=True)
class Answer:
    """What the server sends for one request."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """How long the server takes."""
    drop: Drop = ""
    """Where the connection is closed, unannounced, if it is."""
    content_type: str = "application/json"
    chunked: bool = False
    """Send the body without saying how long it is."""
    bills: Usage | None = None
    """What it costs, where the body cannot tell."""


def completion(
    text: str | None,
    finish_reason: str = "stop",
    usage: tuple[int, int, int] | None = (1500, 1280, 120),
    **message: Any,
) -> Answer:
    """A chat completion with prompt, cached and completion tokens, or saying nothing of tokens."""
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "tiny",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, **message},
                "finish_reason": finish_reason,
            }
        ],
    }
    if usage is not None:
        prompt, cached, completed = usage
        body["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": completed,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
    return Answer(msgspec.json.encode(body))


def error(
    status: int, code: str | None = None, message: str = "no", param: str | None = None, **headers: str
) -> Answer:
    """An error in OpenAI's shape; `retry_after="1"` becomes a header."""
    kind = "invalid_request_error" if status == 400 else "error"
    said = {"message": message, "code": code, "param": param, "type": kind}
    return Answer(
        msgspec.json.encode({"error": said}),
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
    )


def billed_for(answer: Answer) -> Usage | None:
    """What a provider charges for it, whether or not it arrives: nothing but for a reply it has written."""
    if answer.status != 200 or answer.drop == "before":
        return None
    if answer.bills is not None:
        return answer.bills
    try:
        body = _decode_body(answer.body)
    except ValueError:
        return None
    if body.usage is None:
        return Usage() if body.choices else None
    details = body.usage.prompt_tokens_details or _Details()
    return Usage(body.usage.prompt_tokens or 0, details.cached_tokens or 0, body.usage.completion_tokens or 0)


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Tokens(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Body(msgspec.Struct):
    choices: list[Any] | None = None
    usage: _Tokens | None = None


_decode_body = msgspec.json.Decoder(_Body).decode


class Entry(NamedTuple):
    """One request in the server's books."""

    body: bytes
    """As it arrived."""
    attempt: int
    """How often this very body came before."""
    status: int
    """Of the answer, be it sent or not."""
    billed: Usage | None
    delivered: bool
    """The whole body was handed to a connection that still stood, as far as a server can know."""
    started: float
    ended: float
    """When the answer was ready or the client lost, by the clock of `started`: time.monotonic."""
    headers: dict[str, str]
    """Of the request: those of KEPT_HEADERS that it had."""


Script = Callable[[dict[str, Any], int], Answer]
"""From the request's JSON and how often this very body came before (0 the first time)."""


class ChatServer:
    """Serves until the `with` block ends, which ends every request still waiting for its answer.

    `requests` holds every body that arrived, in order. `books` holds what became of each, in the order
    in which they ended; what a client has been answered stands there before the client knows.
    """

    def __init__(self, script: Script, models: list[str] | None = None) -> None:
        self.script = script
        self.models = ["tiny"] if models is None else models
        self.requests: list[dict[str, Any]] = []
        self.books: list[Entry] = []
        self.authorizations: set[str | None] = set()
        self.most_in_flight = 0
        self._in_flight = 0
        self._seen: dict[bytes, int] = {}
        self._handling: set[asyncio.Task[Any]] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def answered(self) -> int:
        """How many replies with status 200 went out whole."""
        return sum(entry.status == 200 and entry.delivered for entry in list(self.books))

    def billed(self) -> Usage:
        """All that was billed, delivered or not."""
        each = [entry.billed for entry in list(self.books) if entry.billed is not None]
        return Usage(*map(sum, zip(*each, strict=True)))

    def bill(self, prices: Prices) -> float:
        """All that was billed, in dollars."""
        prompt, cached, completed = self.billed()
        millionths = (
            (prompt - cached) * prices.input + cached * prices.cached_input + completed * prices.output
        )
        return millionths / 1_000_000

    def _serve(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list)
        # To aiohttp a shutdown timeout of 0 is none. A handler is cancelled once its client has gone.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        assert runner.addresses
        self.port = runner.addresses[0][1]
        self._started.set()
        await self._stop.wait()
        for task in self._handling:
            task.cancel()
        await runner.cleanup()

    async def _list(self, request: web.Request) -> web.Response:
        self.authorizations.add(request.headers.get("Authorization"))
        data = [{"id": name, "object": "model"} for name in self.models]
        return web.json_response({"object": "list", "data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._handling.add(task)
        try:
            return await self._answer(request)
        finally:
            self._handling.discard(task)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        started = time.monotonic()
        raw = await request.read()
        self.authorizations.add(request.headers.get("Authorization"))
        attempt = self._seen.get(raw, 0)
        self._seen[raw] = attempt + 1
        body = msgspec.json.decode(raw)
        self.requests.append(body)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        # What aiohttp answers for a script that raises.
        answer, delivered = Answer(b"", 500), False
        try:
            answer = self.script(body, attempt)
            if answer.seconds:
                await asyncio.sleep(answer.seconds)
            delivered = answer.drop in ("", "after")
        finally:
            self._in_flight -= 1
            place = len(self.books)
            headers = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
            billed, ended = billed_for(answer), time.monotonic()
            entry = Entry(raw, attempt, answer.status, billed, delivered, started, ended, headers)
            self.books.append(entry)
        try:
            return await _send(request, answer)
        except (ConnectionError, asyncio.CancelledError) as gone:
            self.books[place] = entry._replace(delivered=False, ended=time.monotonic())
            if request.transport is not None:
                request.transport.abort()  # closing would wait until all is read
            if isinstance(gone, asyncio.CancelledError):
                raise
            return web.Response()  # it has nowhere to go


async def _send(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Sends as much as is to be sent; raises ConnectionError if the client has gone."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError
    if answer.drop == "before":
        transport.close()
        return web.Response()
    headers = {"Content-Type": answer.content_type, **answer.headers}
    whole = answer.drop in ("", "after")
    if whole:
        response: web.StreamResponse = web.Response(body=answer.body, status=answer.status, headers=headers)
    else:
        response = web.StreamResponse(status=answer.status, headers=headers)
        if not answer.chunked:
            response.content_length = len(answer.body)
    if answer.chunked:
        response.enable_chunked_encoding()
    await response.prepare(request)
    if whole:
        await response.write_eof()
    elif answer.drop == "during":
        await response.write(answer.body[: len(answer.body) // 2])
    if transport.is_closing():
        raise ConnectionResetError
    if answer.drop:
        transport.close()
    return response
