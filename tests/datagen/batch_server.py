"""A batch endpoint on loopback: a real HTTP server that plays the provider, scripted, with its own books.

Time passes by asking: each look at a batch moves it one step on, so that no test has to wait.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

import msgspec
from aiohttp import web

CHAT_PATH = "/v1/chat/completions"
FINAL = frozenset({"failed", "completed", "expired", "cancelled"})
UNEXECUTED = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "This request was not executed, as the batch was cancelled."),
}
TOKEN_LIMIT = "Enqueued token limit reached for tiny in organization org-1. Limit: 90,000 enqueued tokens."

Form = Literal["line", "missing", "garbage", "duplicate", "unknown"]
"""How a result is written: as one line, not at all, as one that is not JSON, as the same line twice, or as
one that is followed by a line nobody asked for."""


@dataclass(frozen=True)
class Line:
    """What becomes of one request."""

    body: bytes
    """The answer's JSON; without meaning where there is a code."""
    status: int = 200
    code: str | None = None
    """Why there is no answer at all, such as `batch_expired`."""
    form: Form = "line"


def completion(
    text: str,
    *,
    finish_reason: str = "stop",
    prompt: int = 1500,
    cached: int = 1280,
    completed: int = 120,
    form: Form = "line",
) -> Line:
    """A chat completion that says how many tokens it used."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "tiny",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": finish_reason,
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completed,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    }
    return Line(msgspec.json.encode(body), form=form)


def failure(status: int, code: str | None = None, message: str = "no") -> Line:
    """A request that the endpoint refuses, in OpenAI's shape."""
    return Line(_error_body(message, code), status)


def unexecuted(code: str) -> Line:
    """A request that is not carried out."""
    return Line(b"null", code=code)


MISSING = Line(b"null", form="missing")
"""A request that is never heard of again, and not paid for."""

Script = Callable[[dict[str, Any], int], Line]
"""From the request's body and how often this very body came before (0 the first time)."""


@dataclass(frozen=True)
class Plan:
    """What becomes of one batch."""

    invalid_lines: Mapping[int, str] = field(default_factory=dict)
    """Lines (from 1) that validation refuses, and the code that it gives; the batch fails."""
    token_limit: bool = False
    """Fails, as too many tokens are queued."""
    expires_after: int | None = None
    """Expires with that many requests carried out."""
    backwards: bool = False
    """The output file has the lines in reverse."""
    polls_until_done: int | None = None
    """Where it differs from the server's."""


@dataclass(frozen=True)
class Fault:
    """What one call of an endpoint gets."""

    status: int | None = None
    """An error with that status; None: the connection is dropped."""
    headers: Mapping[str, str] = field(default_factory=dict)
    late: bool = False
    """Only once the work is done, so that the caller cannot know; of a download, after half the body."""
    body: bytes | None = None
    """Instead of an error in OpenAI's shape."""


class Tokens(NamedTuple):
    """What has to be paid for."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0

    def plus(self, other: Tokens) -> Tokens:
        return Tokens(*(a + b for a, b in zip(self, other, strict=True)))


class Bill(NamedTuple):
    """Batches cost less than what is asked online."""

    batch: Tokens
    online: Tokens


class StoredFile(NamedTuple):
    """A file that was uploaded, or written by a batch."""

    id: str
    name: str
    data: bytes

    @property
    def lines(self) -> list[bytes]:
        return self.data.removesuffix(b"\n").split(b"\n") if self.data else []


@dataclass
class Batch:
    """One batch in the books."""

    id: str
    input_file_id: str
    metadata: dict[str, str] | None
    plan: Plan
    polls_until_done: int
    requests: list[tuple[str, bytes]]
    """custom_id and body as the file has them, without the lines that are invalid in themselves."""
    errors: list[dict[str, Any]]
    status: str = "validating"
    polls: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    completed: int = 0
    failed: int = 0
    billed: Tokens = field(default_factory=Tokens)

    @property
    def custom_ids(self) -> list[str]:
        return [custom_id for custom_id, _ in self.requests]


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BatchServer:
    """Serves until the `with` block ends.

    `plans` are by number of the batch, from 0. `faults` are by endpoint (`upload`, `create`, `retrieve`,
    `list`, `cancel`, `download`, `chat`, `models`): what its first calls get, where None stands for no fault.
    """

    def __init__(
        self,
        script: Script,
        *,
        plans: Mapping[int, Plan] | None = None,
        faults: Mapping[str, Sequence[Fault | None]] | None = None,
        models: Sequence[str] = ("tiny",),
        most_requests: int = 50_000,
        most_bytes: int = 200_000_000,
        polls_until_done: int = 2,
        chunked_downloads: bool = False,
        pages: bool = True,
    ) -> None:
        self.script = script
        self.plans = plans or {}
        self.faults = faults or {}
        self.models = models
        self.most_requests = most_requests
        self.most_bytes = most_bytes
        self.polls_until_done = polls_until_done
        self.chunked_downloads = chunked_downloads
        self.pages = pages
        """Whether the list of batches comes in pages; where not, all of it comes whatever is asked."""
        self.uploads: list[StoredFile] = []
        self.files: dict[str, StoredFile] = {}
        """Uploaded ones and results, by id."""
        self.batches: list[Batch] = []
        self.calls: Counter[str] = Counter()
        """By endpoint, those that met a fault too."""
        self.answered: Counter[str] = Counter()
        """How often each custom_id was answered in a batch; more than once was paid more than once."""
        self.paid: Counter[bytes] = Counter()
        """How often each request body was answered, in a batch or online."""
        self.online: list[dict[str, Any]] = []
        """Every body that was asked online, in order."""
        self.authorizations: set[str | None] = set()
        self._billed_online = Tokens()
        self._seen: Counter[bytes] = Counter()
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

    def billed(self) -> Bill:
        """All that was answered: in batches, and online."""
        batch = Tokens()
        for one in self.batches:
            batch = batch.plus(one.billed)
        return Bill(batch, self._billed_online)

    def _serve(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        # Room for the form around the file.
        app = web.Application(client_max_size=self.most_bytes + 2**20)
        for method, path, name, handler in (
            ("POST", "/v1/files", "upload", self._upload),
            ("GET", "/v1/files/{id}/content", "download", self._download),
            ("POST", "/v1/batches", "create", self._create),
            ("GET", "/v1/batches", "list", self._list),
            ("GET", "/v1/batches/{id}", "retrieve", self._retrieve),
            ("POST", "/v1/batches/{id}/cancel", "cancel", self._cancel),
            ("POST", CHAT_PATH, "chat", self._complete),
            ("GET", "/v1/models", "models", self._models),
        ):
            app.router.add_route(method, path, self._with_faults(name, handler))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        assert runner.addresses
        self.port = runner.addresses[0][1]
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    def _with_faults(self, name: str, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.authorizations.add(request.headers.get("Authorization"))
            faults, call = self.faults.get(name, ()), self.calls[name]
            self.calls[name] += 1
            fault = faults[call] if call < len(faults) else None
            answer = None
            if fault is None or fault.late:
                answer = await handler(request)
            else:
                await request.read()
            if fault is None:
                assert answer is not None
                if name == "download" and self.chunked_downloads:
                    answer.enable_chunked_encoding()
                return answer
            if fault.late and name == "download":
                assert isinstance(answer, web.Response)
                return await self._tear(request, answer)
            if fault.status is None:
                return _drop(request)
            return web.Response(
                body=_error_body("trouble", None) if fault.body is None else fault.body,
                status=fault.status,
                headers=fault.headers,
                content_type="application/json",
            )

        return handle

    async def _tear(self, request: web.Request, whole: web.Response) -> web.StreamResponse:
        body = whole.body
        assert isinstance(body, bytes)
        torn = web.StreamResponse()
        if self.chunked_downloads:
            torn.enable_chunked_encoding()
        else:
            torn.content_length = len(body)
        await torn.prepare(request)
        await torn.write(body[: len(body) // 2])
        _drop(request)
        return torn

    async def _upload(self, request: web.Request) -> web.Response:
        # By hand, as aiohttp's own reader warns that it is out of date.
        boundary = b"--" + request.headers["Content-Type"].partition("boundary=")[2].encode()
        name, data, purpose = "", b"", ""
        for part in (b"\r\n" + await request.read()).split(b"\r\n" + boundary)[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            if b'name="file"' in head:
                name, data = head.partition(b'filename="')[2].partition(b'"')[0].decode(), content
            elif b'name="purpose"' in head:
                purpose = content.decode()
        if purpose != "batch":
            return _refusal(f"'{purpose}' is not one of ['batch']", param="purpose")
        if not name.endswith(".jsonl"):
            return _refusal("Invalid file format for Batch API. Must be .jsonl")
        if len(data) > self.most_bytes:
            return _refusal("File is too large.")
        stored = self._store(name, data)
        self.uploads.append(stored)
        return web.json_response(
            {"id": stored.id, "object": "file", "bytes": len(data), "filename": name, "purpose": purpose}
        )

    async def _download(self, request: web.Request) -> web.Response:
        stored = self.files.get(request.match_info["id"])
        if stored is None:
            return _refusal("No such File object", status=404)
        return web.Response(body=stored.data, content_type="application/octet-stream")

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        for name, allowed in (("endpoint", CHAT_PATH), ("completion_window", "24h")):
            if asked.get(name) != allowed:
                return _refusal(f"Invalid value: '{asked.get(name)}'.", "invalid_value", name)
        metadata = asked.get("metadata")
        for key, value in (metadata or {}).items():
            if not isinstance(value, str) or len(value) > 512 or len(key) > 64:
                return _refusal(f"Invalid 'metadata.{key}'.", "invalid_type", f"metadata.{key}")
        number, file_id = len(self.batches), asked["input_file_id"]
        plan = self.plans.get(number, Plan())
        requests, errors = self._validate(self.files.get(file_id), plan)
        batch = Batch(
            id=f"batch_{number}",
            input_file_id=file_id,
            metadata=metadata,
            plan=plan,
            polls_until_done=plan.polls_until_done or self.polls_until_done,
            requests=requests,
            errors=errors,
        )
        self.batches.append(batch)
        return web.json_response(_described(batch))

    async def _list(self, request: web.Request) -> web.Response:
        newest_first = self.batches[::-1]
        if not self.pages:
            return web.json_response({"data": [_described(batch) for batch in newest_first]})
        after, limit = request.query.get("after"), int(request.query.get("limit", "20"))
        if not 1 <= limit <= 100:
            return _refusal("limit must be between 1 and 100", param="limit")
        if after is not None:
            ids = [batch.id for batch in newest_first]
            if after not in ids:
                return _refusal(f"No batch found with id '{after}'.", status=404)
            newest_first = newest_first[ids.index(after) + 1 :]
        page = newest_first[:limit]
        return web.json_response(
            {
                "object": "list",
                "data": [_described(batch) for batch in page],
                "first_id": page[0].id if page else None,
                "last_id": page[-1].id if page else None,
                "has_more": len(newest_first) > limit,
            }
        )

    async def _retrieve(self, request: web.Request) -> web.Response:
        batch = self._batch(request)
        if batch is None:
            return _refusal("No batch found.", status=404)
        self._advance(batch)
        return web.json_response(_described(batch))

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self._batch(request)
        if batch is None:
            return _refusal("No batch found.", status=404)
        if batch.status in FINAL - {"cancelled"}:
            return _refusal(f"Cannot cancel a batch with status '{batch.status}'.", status=409)
        if batch.status != "cancelled":
            batch.status = "cancelling"
        return web.json_response(_described(batch))

    async def _complete(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.online.append(msgspec.json.decode(raw))
        line = self._ask(raw)
        if line.form == "missing":
            return _drop(request)
        if line.code is not None:
            return _refusal(line.code, line.code, status=500)
        if line.status == 200:
            self.paid[raw] += 1
            self._billed_online = self._billed_online.plus(_tokens(line.body))
        body = b"<html>" if line.form == "garbage" else line.body
        return web.Response(body=body, status=line.status, content_type="application/json")

    async def _models(self, request: web.Request) -> web.Response:
        data = [{"id": name, "object": "model"} for name in self.models]
        return web.json_response({"object": "list", "data": data})

    def _batch(self, request: web.Request) -> Batch | None:
        return next((batch for batch in self.batches if batch.id == request.match_info["id"]), None)

    def _store(self, name: str, data: bytes) -> StoredFile:
        stored = StoredFile(f"file-{len(self.files)}", name, data)
        self.files[stored.id] = stored
        return stored

    def _ask(self, raw: bytes) -> Line:
        before = self._seen[raw]
        self._seen[raw] += 1
        return self.script(msgspec.json.decode(raw), before)

    def _validate(
        self, stored: StoredFile | None, plan: Plan
    ) -> tuple[list[tuple[str, bytes]], list[dict[str, Any]]]:
        """The requests of a file, and what the provider objects to in it."""
        if stored is None:
            return [], [_objection("invalid_request", "Cannot find file.", param="file_id")]
        requests: list[tuple[str, bytes]] = []
        errors: list[dict[str, Any]] = []
        ids: set[str] = set()
        models: set[str] = set()
        for number, text in enumerate(stored.lines, 1):
            objections = list(self._objections(text, ids, models))
            errors.extend(_objection(code, message, number, param) for code, message, param in objections)
            if not objections:
                fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
                requests.append((msgspec.json.decode(fields["custom_id"], type=str), bytes(fields["body"])))
            if number in plan.invalid_lines:
                errors.append(_objection(plan.invalid_lines[number], "This line is refused.", number))
        if not stored.lines:
            errors.append(_objection("empty_file", "The file has no requests."))
        if len(stored.lines) > self.most_requests:
            errors.append(_objection("too_many_tasks", f"At most {self.most_requests} requests."))
        if plan.token_limit:
            errors.append(_objection("token_limit_exceeded", TOKEN_LIMIT))
        return requests, errors

    def _objections(
        self, text: bytes, ids: set[str], models: set[str]
    ) -> Iterator[tuple[str, str, str | None]]:
        """Code, message and parameter of all that is wrong with a line, after those before it."""
        try:
            fields = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield "invalid_json_line", "This line is not parseable as valid JSON.", None
            return
        absent = [name for name in ("custom_id", "method", "url", "body") if name not in fields]
        for name in absent:
            yield "missing_required_parameter", f"Missing required parameter: '{name}'.", name
        if absent:
            return
        if fields["custom_id"] in ids:
            message = "The custom_id for this request is a duplicate of another request."
            yield "duplicate_custom_id", message, "custom_id"
        ids.add(fields["custom_id"])
        if fields["url"] != CHAT_PATH:
            yield "invalid_url", "The URL does not match the batch endpoint.", "url"
        model = fields["body"].get("model")
        if model is None:
            yield "invalid_request", "Model parameter is required.", "body.model"
        elif model not in self.models:
            message = f"The provided model '{model}' is not supported by the Batch API."
            yield "model_not_found", message, "body.model"
        elif models and model not in models:
            yield "mismatched_model", "All requests must name one model.", "body.model"
        else:
            models.add(model)

    def _advance(self, batch: Batch) -> None:
        if batch.status in FINAL:
            return
        if batch.status == "cancelling":
            self._finish(batch, "cancelled", len(batch.requests) * batch.polls // batch.polls_until_done)
            return
        batch.polls += 1
        if batch.errors:
            batch.status = "failed"
        elif batch.polls >= batch.polls_until_done:
            expires = batch.plan.expires_after
            if expires is None:
                self._finish(batch, "completed", len(batch.requests))
            else:
                self._finish(batch, "expired", expires)
        elif batch.polls > 1 and batch.polls == batch.polls_until_done - 1:
            batch.status = "finalizing"
        else:
            batch.status = "in_progress"

    def _finish(self, batch: Batch, status: str, carried_out: int) -> None:
        output: list[bytes] = []
        errors: list[bytes] = []
        for custom_id, raw in batch.requests[:carried_out]:
            line = self._ask(raw)
            if line.form == "missing":
                continue
            answered = line.status == 200 and line.code is None
            if answered:
                batch.completed += 1
                batch.billed = batch.billed.plus(_tokens(line.body))
                self.answered[custom_id] += 1
                self.paid[raw] += 1
            else:
                batch.failed += 1
            (output if answered else errors).extend(_written(custom_id, line))
        if status in UNEXECUTED:
            code, message = UNEXECUTED[status]
            for custom_id, _ in batch.requests[carried_out:]:
                errors.append(_unanswered(custom_id, code, message))
        if batch.plan.backwards:
            output.reverse()
        batch.status = status
        batch.output_file_id = self._store("output.jsonl", b"".join(output)).id if output else None
        batch.error_file_id = self._store("errors.jsonl", b"".join(errors)).id if errors else None


def _written(custom_id: str, line: Line) -> list[bytes]:
    if line.form == "garbage":
        return [b'{"id": "batch_req_1", "custom\n']
    if line.code is None:
        # Joined, not encoded again, so that what the client reads can be compared byte by byte.
        text = b'{"id":"batch_req_1","custom_id":%b,"response":{"status_code":%d,"request_id":"req_1",' % (
            msgspec.json.encode(custom_id),
            line.status,
        )
        text += b'"body":%b},"error":null}\n' % line.body
    else:
        text = _unanswered(custom_id, line.code, "This request was not carried out.")
    if line.form == "duplicate":
        return [text, text]
    if line.form == "unknown":
        return [text, text.replace(custom_id.encode(), b"nobody-asked-this")]
    return [text]


def _unanswered(custom_id: str, code: str, message: str) -> bytes:
    fields = {
        "id": "batch_req_1",
        "custom_id": custom_id,
        "response": None,
        "error": {"code": code, "message": message},
    }
    return msgspec.json.encode(fields) + b"\n"


def _described(batch: Batch) -> dict[str, Any]:
    failed = batch.status == "failed"
    validated = not failed and batch.status != "validating"
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": CHAT_PATH,
        "errors": {"object": "list", "data": batch.errors} if failed else None,
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": 1714508499,
        "request_counts": {
            "total": len(batch.requests) if validated else 0,
            "completed": batch.completed,
            "failed": batch.failed,
        },
        "metadata": batch.metadata,
    }


def _objection(code: str, message: str, line: int | None = None, param: str | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "line": line, "param": param}


def _tokens(body: bytes) -> Tokens:
    usage = msgspec.json.decode(body).get("usage", {})
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    return Tokens(usage.get("prompt_tokens", 0), cached, usage.get("completion_tokens", 0))


def _error_body(message: str, code: str | None, param: str | None = None) -> bytes:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return msgspec.json.encode({"error": error})


def _refusal(
    message: str, code: str | None = None, param: str | None = None, status: int = 400
) -> web.Response:
    body = _error_body(message, code, param)
    return web.Response(body=body, status=status, content_type="application/json")


def _drop(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()
