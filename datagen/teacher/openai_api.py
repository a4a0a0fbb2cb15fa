"""The `openai` teacher: any endpoint that speaks OpenAI's chat completions, one request at a time.

Requests go around openai-python's `create()`, over the aiohttp it is installed with: what is kept is
the raw body, what may be asked again is decided here, by name, and a request costs a quarter of the
CPU. The list of models, files and batches go through the client. `openai-batch` shares all but the way.
"""

from __future__ import annotations

import email.utils
import hashlib
import os
import re
import ssl
import time
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import httpx2
import msgspec
import openai

from datagen.records import InputError, TeacherReply, TeacherRequest
from datagen.teacher.protocol import Answered, TeacherFailure, TeacherRetry, TeacherStopped
from datagen.teacher.retries import retrying

KEY_VARIABLE = "OPENAI_API_KEY"
DEFAULT_BASE_URL = "https://api.openai.com/v1"
TIMEOUT_SECONDS = 300.0
CONNECT_SECONDS = 20.0
LONGEST_WAIT_SECONDS = 600.0
# "none" and the like, for servers without keys, are words that an error may well use.
SHORTEST_SECRET = 8

# What may pass next time. Gateways (OpenRouter, Cloudflare) use 520 to 529 for a busy upstream.
RETRYABLE = {
    408: "http_408",
    409: "http_409",
    425: "http_425",
    429: "rate_limited",
    **{status: f"http_{status}" for status in range(500, 600)},
}
# Of these the endpoint has done no work; of the others nobody knows.
_REFUSED_UNDONE = (408, 409, 425, 429, 503, 529)
_OVERLOADED = (429, 503, 529)

# JSON Schema of a reply in the `json` form, strict as OpenAI wants it.
REPLY_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "turns",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "turns": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
                        "required": ["question", "answer"],
                        "additionalProperties": False,
                    },
                }
            },
            "required": ["turns"],
            "additionalProperties": False,
        },
    },
}


class OpenAITeacher:
    """Posts a request's messages to `base_url`/chat/completions and returns the raw body.

    One call is one attempt; TeacherRetry says that another may do better. Where an endpoint does
    not take a parameter as we send it (`max_tokens`, `temperature`, `response_format`), the
    next attempt goes without, or as it wants it, and so do all after it.
    """

    paid = True
    reads_messages = True

    def __init__(self, model: str, base_url: str | None, *, in_batches: bool = False) -> None:
        self.name = "openai-batch" if in_batches else "openai"
        self.model = model
        self.base_url = (base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL).rstrip("/")
        try:
            address = urlsplit(self.base_url)
        except ValueError as error:
            raise InputError(f"--base-url {self.base_url}: not an address: {error}") from None
        if address.scheme not in ("http", "https") or not address.hostname:
            raise InputError(
                f"--base-url {self.base_url}: must be an address such as {DEFAULT_BASE_URL}, "
                "starting with http:// or https://"
            )
        if "@" in address.netloc:
            raise InputError(
                f"--base-url {without_secrets(self.base_url)}: give it without user name and password; "
                f"what the endpoint asks for goes into {KEY_VARIABLE}"
            )
        self.endpoint: str | None = without_secrets(self.base_url)
        self.client: openai.AsyncOpenAI | None = None
        self.adapted: set[str] = set()
        """Parameters that the endpoint does not take as they are planned."""
        self._key = ""
        self._escaped_key: re.Pattern[bytes] | None = None

    def cannot_answer(self, request: TeacherRequest) -> str | None:
        return None

    def key(self, request: TeacherRequest) -> str:
        """The endpoint, the body as planned, and the sample index."""
        digest = hashlib.sha256(f"{self.endpoint}\n".encode())
        digest.update(self._encode(request, frozenset()))
        digest.update(f"\n{request.unit.sample_index}".encode())
        return digest.hexdigest()[:32]

    def body(self, request: TeacherRequest) -> bytes:
        """The body as planned, but for the parameters that the endpoint does not take."""
        return self._encode(request, self.adapted)

    def _encode(self, request: TeacherRequest, adapted: frozenset[str] | set[str]) -> bytes:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        }
        if "temperature" not in adapted:
            body["temperature"] = request.temperature
        limit = "max_completion_tokens" if "max_tokens" in adapted else "max_tokens"
        body[limit] = request.max_tokens
        if request.reply_form == "json" and "response_format" not in adapted:
            body["response_format"] = REPLY_FORMAT
        return msgspec.json.encode(body)

    async def start(self) -> None:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            raise InputError(
                f"no API key: set the environment variable {KEY_VARIABLE} "
                "(any text will do for a server that asks for none)"
            )
        if not (key.isascii() and key.isprintable()):
            raise InputError(f"the key in {KEY_VARIABLE} has characters that no key has: set it again")
        self._key = key
        self._escaped_key = _as_escaped_in_json(key)
        certificates = _certificates()
        timeout = httpx2.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
        self.client = openai.AsyncOpenAI(api_key=key, base_url=self.base_url, max_retries=0, timeout=timeout)
        self._url = f"{self.base_url}/chat/completions"
        self._session = aiohttp.ClientSession(
            # How many are open at once is not the connector's to decide.
            connector=aiohttp.TCPConnector(limit=0, ssl=certificates),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, sock_connect=CONNECT_SECONDS),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(self.base_url),
        )
        await self._check_endpoint()

    async def _check_endpoint(self) -> None:
        """Asks for the list of models: free, and it finds a wrong address, key or model name."""
        where = self.endpoint
        try:
            models: list[str] = await retrying()(self._list_models)
        except openai.AuthenticationError as error:
            raise InputError(f"{where} refuses the key in {KEY_VARIABLE}: {self._reason(error)}") from None
        except openai.APIConnectionError as error:
            raise InputError(
                f"no endpoint at {where} ({self._reason(error)}): check --base-url and that the server runs"
            ) from None
        except (openai.OpenAIError, TeacherRetry, TypeError, ValueError, AttributeError):
            return  # many servers have no such list; the first request will tell
        if models and _plain_name(self.model) not in map(_plain_name, models) and not self._hides_models():
            some = ", ".join(sorted(models)[:8]) + (", …" if len(models) > 8 else "")
            raise InputError(f"--model {self.model}: {where} does not serve it; it serves {some}")

    def _hides_models(self) -> bool:
        """Azure takes the names of deployments, and lists other names."""
        host = urlsplit(self.base_url).hostname or ""
        return host.endswith((".azure.com", ".azure.us", ".azure.cn"))

    async def _list_models(self) -> list[str]:
        assert self.client is not None
        try:
            return [str(model.id) async for model in self.client.models.list() if model.id]
        except openai.RateLimitError as error:
            body = self.without_key(error.response.content).decode(errors="replace")
            raise self.fault(429, body, error.response.headers) from None

    async def ask(self, body: bytes) -> Answered:
        started = time.monotonic()
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                try:
                    raw = await response.read()
                except aiohttp.ClientPayloadError:
                    if response.status == 200:
                        raise
                    raw = b""  # the status says enough
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # Nobody took the request.
            raise TeacherRetry("connection_error", self.shown(error), overloaded=True) from None
        except TimeoutError as error:
            raise TeacherRetry("timeout", self.shown(error), overloaded=True, may_be_billed=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise TeacherRetry("connection_error", self.shown(error), may_be_billed=True) from None
        text = self.without_key(raw).decode("utf-8", errors="replace")
        if response.status != 200:
            raise self.fault(response.status, text, response.headers, body)
        if not is_completion(text):
            detail = _one_line(text) or "an empty body"
            raise TeacherRetry("no_completion", detail, may_be_billed=True)
        return Answered(as_reply(text, time.monotonic() - started), _hold(response.headers, len(body)))

    async def close(self) -> None:
        if self.client is not None:
            await self._session.close()
            await self.client.close()

    def fault(
        self, status: int, body: str, headers: Mapping[str, str], sent: bytes | None = None
    ) -> Exception:
        """What an answer with that status means: TeacherRetry, TeacherFailure or TeacherStopped."""
        error = decode_error(body)
        code, where = str(error.get("code") or ""), self.endpoint
        detail = _one_line(str(error.get("message") or body)) or f"status {status}"
        if code in ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"):
            return TeacherStopped(
                f"{where}: the quota is spent ({detail}): add credit, then run the same command"
            )
        if status == 403 and re.search(r"moderation|flagged", detail, re.IGNORECASE):
            return TeacherFailure("content_filter", detail, is_its_own=True)
        if 300 <= status < 400:
            target = without_secrets(headers.get("location", "another address"))
            return TeacherStopped(f"{where} sends us on to {target}: give what it means with --base-url")
        if status in (401, 403) or code == "invalid_api_key":
            return TeacherStopped(f"{where} refuses the key in {KEY_VARIABLE} ({status}): {detail}")
        if status == 402 or "credit balance is too low" in detail:
            return TeacherStopped(
                f"{where} wants to be paid first ({detail}): add credit, then run the same command"
            )
        if status == 404 or code == "model_not_found":
            return TeacherStopped(
                f"{where} knows no such path or model: check --base-url (most end in /v1) and --model "
                f"({detail})"
            )
        if status == 429 and re.match("request too large", detail, re.IGNORECASE):
            return TeacherFailure("request_too_large", detail, is_its_own=True)
        context = f"{code} {error.get('type')} {detail}"
        if status != 429 and re.search(r"context[ _](length|window|size)|maximum context", context, re.I):
            return TeacherFailure("context_length", detail, is_its_own=True)
        if status in RETRYABLE:
            return self._retry(status, detail, headers)
        if "content_filter" in code or "content_policy" in code:
            return TeacherFailure("content_filter", detail, is_its_own=True)
        if self._adapts(str(error.get("param") or ""), code, detail, sent):
            return TeacherRetry("parameter_not_taken", detail, wait=0.0)
        return TeacherFailure(f"http_{status}", detail)

    def _retry(self, status: int, detail: str, headers: Mapping[str, str]) -> Exception:
        wait = asked_to_wait(headers)
        if wait is None and status == 429:
            wait = _hold(headers, 0) or None
        if wait is not None and wait > LONGEST_WAIT_SECONDS:
            return TeacherStopped(
                f"{self.endpoint} asks to wait for {wait:,.0f} seconds ({detail}): run the same command then"
            )
        return TeacherRetry(
            RETRYABLE[status],
            detail,
            wait=wait,
            overloaded=status in _OVERLOADED,
            may_be_billed=status not in _REFUSED_UNDONE,
        )

    def _adapts(self, param: str, code: str, detail: str, sent: bytes | None) -> bool:
        """Whether the complaint is about a parameter that can be sent otherwise, and now will be."""
        for name in ("max_tokens", "temperature", "response_format"):
            if name == param or (not param and name in detail):
                if name in self.adapted:
                    # True of a request that went out before the first complaint came back.
                    return sent is None or f'"{name}":'.encode() in sent
                # "Invalid" alone may mean a value out of range, which is for the user to mend.
                if code.startswith("unsupported") or re.search(
                    r"unsupported|not support|not permitted|unknown|unrecognized", detail, re.IGNORECASE
                ):
                    self.adapted.add(name)
                    return True
        return False

    def without_key(self, raw: bytes) -> bytes:
        """The same with the key masked; servers have been known to echo it."""
        if len(self._key) < SHORTEST_SECRET:
            return raw
        raw = raw.replace(self._key.encode(), b"[key]")
        return self._escaped_key.sub(b"[key]", raw) if self._escaped_key else raw

    def shown(self, error: BaseException) -> str:
        """One line for a person, without the key."""
        text = self.without_key(str(error).encode(errors="replace")).decode()
        return _one_line(text) or type(error).__name__

    def _reason(self, error: openai.OpenAIError) -> str:
        """One line for a person; servers have been known to echo the key."""
        return self.shown(error.__cause__ or error if isinstance(error, openai.APIConnectionError) else error)


def _certificates() -> ssl.SSLContext:
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        raise InputError(
            f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR name cannot be read: {error}"
        ) from None


def _proxy(url: str) -> str | None:
    """The proxy of the environment for this address. aiohttp's own look-up reads ~/.netrc besides."""
    address = urlsplit(url)
    if urllib.request.proxy_bypass(address.hostname or ""):
        return None
    return urllib.request.getproxies().get(address.scheme)


def without_secrets(url: str) -> str:
    """The URL without user name, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _as_escaped_in_json(key: str) -> re.Pattern[bytes] | None:
    """Finds the key where a JSON writer escaped some of it (`\\/`, `\\u0026`); None for a plain one."""
    if re.fullmatch(r"[\w-]+", key):
        return None
    each = (rf"(?:\\?{re.escape(c)}|\\u00{ord(c):02x})" for c in key)
    return re.compile("".join(each).encode(), re.IGNORECASE)


def _plain_name(model: str) -> str:
    """Gemini lists models/NAME, Ollama NAME:latest, OpenRouter takes NAME:nitro; all are NAME."""
    return model.removeprefix("models/").partition(":")[0]


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (a number or a date); None without a usable one."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, OverflowError):
        return None


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s|$)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES_PER_TOKEN = 4


def _hold(headers: Mapping[str, str], body_bytes: int) -> float:
    """Seconds until the limits that the x-ratelimit headers tell of have room for another such request."""
    longest = 0.0
    for kind, needed in (("requests", 1.0), ("tokens", body_bytes / _BYTES_PER_TOKEN)):
        reset = headers.get(f"x-ratelimit-reset-{kind}")
        if reset is None:
            continue
        seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in _DURATION.findall(reset))
        try:
            remaining = float(headers[f"x-ratelimit-remaining-{kind}"])
            limit = float(headers[f"x-ratelimit-limit-{kind}"])
        except (KeyError, ValueError):
            continue
        if remaining < needed and limit > remaining:
            # What was used comes back evenly until the reset.
            share = (min(needed, limit) - remaining) / (limit - remaining)
            longest = max(longest, seconds * share)
    return min(longest, LONGEST_WAIT_SECONDS)


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Body(msgspec.Struct):
    usage: _Usage | None = None


class _Shape(msgspec.Struct):
    choices: msgspec.Raw = msgspec.Raw(b"null")
    usage: msgspec.Raw = msgspec.Raw(b"null")


# More than any context holds.
_MOST_TOKENS = 1_000_000_000

_decode_usage = msgspec.json.Decoder(_Body).decode
_decode_shape = msgspec.json.Decoder(_Shape).decode


def is_completion(body: str) -> bool:
    """Whether it is a reply at all, be it an odd one: it has choices, or tokens were charged for it."""
    try:
        shape = _decode_shape(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return bytes(shape.choices) not in (b"null", b"[]") or bytes(shape.usage) != b"null"


def as_reply(body: str, seconds: float) -> TeacherReply:
    """The body untouched, and beside it the tokens it reports, if it reports any that can be."""
    try:
        usage = _decode_usage(body).usage or _Usage()
    except (msgspec.DecodeError, RecursionError):
        usage = _Usage()
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    cached = (usage.prompt_tokens_details or _Details()).cached_tokens
    is_possible = (
        0 < (prompt or 0) <= _MOST_TOKENS
        and 0 <= (completion or 0) <= _MOST_TOKENS
        and 0 <= (cached or 0) <= (prompt or 0)
    )
    if not is_possible:  # servers that do not count send zeros
        prompt = completion = cached = None
    return TeacherReply(body, True, prompt, cached, completion, seconds)


def decode_error(body: str) -> dict[str, Any]:
    """The `error` object of a body in whichever of the usual shapes it is."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    error = value.get("error", value)
    if isinstance(error, dict):
        return error
    return {"message": error}


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
