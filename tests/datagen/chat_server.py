"""A chat completions endpoint on loopback: a real HTTP server, scripted, that keeps its own books."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec
from aiohttp import web


@dataclass(frozen=True)
class Answer:
    """What the server sends for one request."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """How long the server takes."""
    drop: bool = False
    """Close the connection instead of answering."""


def completion(text: str | None, finish_reason: str = "stop", **message: Any) -> Answer:
    """A chat completion with realistic usage."""
    return Answer(
        msgspec.json.encode(
            {
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
                "usage": {
                    "prompt_tokens": 1500,
                    "completion_tokens": 120,
                    "prompt_tokens_details": {"cached_tokens": 1280},
                },
            }
        )
    )


def error(status: int, code: str | None = None, message: str = "no", **headers: str) -> Answer:
    """An error in OpenAI's shape; `retry_after="1"` becomes a header."""
    return Answer(
        msgspec.json.encode({"error": {"message": message, "code": code, "type": "error"}}),
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
    )


Script = Callable[[dict[str, Any], int], Answer]
"""From the request's JSON and how often this very body came before (0 the first time)."""


class ChatServer:
    """Serves until the `with` block ends. `requests` holds every body that arrived, in order."""

    def __init__(self, script: Script, models: list[str] | None = None) -> None:
        self.script = script
        self.models = ["tiny"] if models is None else models
        self.requests: list[dict[str, Any]] = []
        self.authorizations: set[str | None] = set()
        self.answered = 0
        self.most_in_flight = 0
        self._in_flight = 0
        self._seen: dict[bytes, int] = {}
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

    def _serve(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert runner.addresses
        self.port = runner.addresses[0][1]
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _list(self, request: web.Request) -> web.Response:
        self.authorizations.add(request.headers.get("Authorization"))
        data = [{"id": name, "object": "model"} for name in self.models]
        return web.json_response({"object": "list", "data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.authorizations.add(request.headers.get("Authorization"))
        before = self._seen.get(raw, 0)
        self._seen[raw] = before + 1
        body = msgspec.json.decode(raw)
        self.requests.append(body)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            answer = self.script(body, before)
            if answer.seconds:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), answer.seconds)
        finally:
            self._in_flight -= 1
        if answer.drop:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if answer.status == 200:
            self.answered += 1
        return web.Response(
            body=answer.body, status=answer.status, headers=answer.headers, content_type="application/json"
        )
