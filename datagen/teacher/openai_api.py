"""The `openai` teacher: any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import email.utils
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import openai
import tenacity

from datagen.records import InputError, TeacherReply, TeacherRequest
from datagen.teacher.protocol import TeacherFailure, TeacherStopped

KEY_VARIABLE = "OPENAI_API_KEY"
DEFAULT_BASE_URL = "https://api.openai.com/v1"
ATTEMPTS = 6
TIMEOUT_SECONDS = 120.0
LONGEST_RETRY_AFTER_SECONDS = 120.0
# That many requests in a row, each after all its attempts, without one answer between: nobody is there.
UNREACHABLE_AFTER = 8
# "none" and the like, for servers without keys, are words that an error may well use.
SHORTEST_SECRET = 8

_RETRYABLE_STATUS = (408, 409, 429)


class OpenAITeacher:
    """Sends the request's messages to `base_url`/chat/completions and returns the raw body.

    Retries 408, 409, 429, 5xx, timeouts and dropped connections, up to ATTEMPTS in all, waiting as
    Retry-After says or exponentially longer. The client's own retries are off.
    """

    name = "openai"
    paid = True
    reads_messages = True

    def __init__(
        self,
        model: str,
        base_url: str | None,
        *,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
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
        self._client: openai.AsyncOpenAI | None = None
        self._failed_in_a_row = 0
        self._retrying: dict[str, Any] = {
            "retry": tenacity.retry_if_exception(_retryable),
            "wait": _wait,
            "stop": tenacity.stop_after_attempt(ATTEMPTS),
            "reraise": True,
        }
        if sleep is not None:
            self._retrying["sleep"] = sleep

    def cannot_answer(self, request: TeacherRequest) -> str | None:
        return None

    def key(self, request: TeacherRequest) -> str:
        """The endpoint, the body as it goes over the wire, and the sample index."""
        digest = hashlib.sha256(f"{self.endpoint}\n".encode())
        digest.update(self._body(request))
        digest.update(f"\n{request.unit.sample_index}".encode())
        return digest.hexdigest()[:32]

    async def start(self) -> None:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            raise InputError(
                f"no API key: set the environment variable {KEY_VARIABLE} "
                "(any text will do for a server that asks for none)"
            )
        if not (key.isascii() and key.isprintable()):
            raise InputError(f"the key in {KEY_VARIABLE} has characters that no key has: set it again")
        self._client = openai.AsyncOpenAI(
            api_key=key,
            base_url=self.base_url,
            max_retries=0,
            timeout=TIMEOUT_SECONDS,
            # Its own transport slows with the number of open connections; this one without a limit
            # given keeps to 100 of them.
            http_client=openai.DefaultAioHttpClient(limits=openai.DEFAULT_CONNECTION_LIMITS),
        )
        await self._check_endpoint()

    async def _check_endpoint(self) -> None:
        """Asks for the list of models: free, and it finds a wrong address, key or model name."""
        assert self._client is not None
        where = self.endpoint
        retrying = self._retrying | {"retry": tenacity.retry_if_exception_type(openai.RateLimitError)}
        try:
            models: list[str] = await tenacity.AsyncRetrying(**retrying)(self._list_models)
        except openai.AuthenticationError as error:
            raise InputError(f"{where} refuses the key in {KEY_VARIABLE}: {self._reason(error)}") from None
        except openai.APIConnectionError as error:
            raise InputError(
                f"no endpoint at {where} ({self._reason(error)}): check --base-url and that the server runs"
            ) from None
        except (openai.OpenAIError, TypeError, ValueError, AttributeError):
            return  # many servers have no such list; the first request will tell
        # Gemini lists models/NAME and Ollama NAME:latest, and both take NAME.
        names = {name.removeprefix("models/").removesuffix(":latest") for name in models}
        if models and self.model.removeprefix("models/").removesuffix(":latest") not in names:
            some = ", ".join(sorted(models)[:8]) + (", …" if len(models) > 8 else "")
            raise InputError(f"--model {self.model}: {where} does not serve it; it serves {some}")

    async def _list_models(self) -> list[str]:
        assert self._client is not None
        return [model.id async for model in self._client.models.list()]

    async def ask(self, request: TeacherRequest) -> TeacherReply:
        assert self._client is not None
        body = self._body(request)
        started = time.monotonic()
        try:
            text: str = await tenacity.AsyncRetrying(**self._retrying)(self._post, body)
        except openai.APIStatusError as error:
            raise self._status_failure(error) from None
        except _NoCompletion as error:
            raise self._unanswered("no_completion", str(error)) from None
        except openai.APIConnectionError as error:
            timed_out = isinstance(error, openai.APITimeoutError)
            reason = "timeout" if timed_out else "connection_error"
            raise self._unanswered(reason, self._reason(error)) from None
        self._failed_in_a_row = 0
        return _reply(text, time.monotonic() - started)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _post(self, body: bytes) -> str:
        assert self._client is not None
        text: str = await self._client.post(
            "/chat/completions",
            cast_to=str,
            content=body,
            options={"headers": {"Content-Type": "application/json"}},
        )
        if not _is_completion(text):
            raise _NoCompletion(" ".join(text.split())[:300])
        return text

    def _body(self, request: TeacherRequest) -> bytes:
        return msgspec.json.encode(
            {
                "model": self.model,
                "messages": [{"role": m.role, "content": m.content} for m in request.messages],
                "temperature": request.temperature,
                "max_tokens": request.max_tokens,
            }
        )

    def _status_failure(self, error: openai.APIStatusError) -> Exception:
        status, code = error.status_code, error.code or ""
        reason = self._reason(error)
        where = self.endpoint
        if status in (401, 403):
            return TeacherStopped(f"{where} refuses the key in {KEY_VARIABLE} ({status}): {reason}")
        if status == 402:
            return TeacherStopped(f"{where} wants to be paid first (402): {reason}")
        if status == 404:
            return TeacherStopped(
                f"{where} knows no such path or model: check --base-url (most end in /v1) and --model "
                f"({reason})"
            )
        if code == "insufficient_quota":
            return TeacherStopped(f"{where}: the quota is spent: {reason}")
        if _retryable(error):
            return self._unanswered("rate_limited" if status == 429 else f"http_{status}", reason)
        if "content_filter" in code or "content_policy" in code:
            return TeacherFailure("content_filter", reason)
        if "context_length" in code:
            return TeacherFailure("context_length", reason)
        return self._unanswered(f"http_{status}", reason)

    def _unanswered(self, reason: str, detail: str) -> Exception:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= UNREACHABLE_AFTER:
            return TeacherStopped(
                f"{self.endpoint} answered none of the last {UNREACHABLE_AFTER} requests "
                f"({reason}: {detail}); --retry-failed asks those again"
            )
        return TeacherFailure(reason, detail)

    def _reason(self, error: openai.OpenAIError) -> str:
        """One line for a person; servers have been known to echo the key."""
        text = str(error.__cause__ or error) if isinstance(error, openai.APIConnectionError) else str(error)
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if len(key) >= SHORTEST_SECRET:
            text = text.replace(key, "[key]")
        return " ".join(text.split())[:300] or type(error).__name__


class _NoCompletion(Exception):
    """A reply with status 200 that holds neither a message nor a bill, as gateways send in trouble."""


def without_secrets(url: str) -> str:
    """The URL without user name, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _retryable(error: BaseException) -> bool:
    if isinstance(error, openai.APIStatusError):
        if error.code == "insufficient_quota":
            return False
        return error.status_code in _RETRYABLE_STATUS or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError | _NoCompletion)


_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=30)


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds until the next attempt: Retry-After where the endpoint gave one, else backing off."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, openai.APIStatusError):
        told = _retry_after(error.response.headers.get("retry-after"))
        if told is not None:
            return min(told, LONGEST_RETRY_AFTER_SECONDS)
    return _backoff(state)


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header, which holds a number or a date; None without a usable one."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


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


_decode_usage = msgspec.json.Decoder(_Body).decode
_decode_shape = msgspec.json.Decoder(_Shape).decode


def _is_completion(body: str) -> bool:
    """Whether it is a reply at all, be it an odd one: it has choices, or tokens were charged for it."""
    try:
        shape = _decode_shape(body)
    except msgspec.DecodeError:
        return False
    return bytes(shape.choices) not in (b"null", b"[]") or bytes(shape.usage) != b"null"


def _reply(body: str, seconds: float) -> TeacherReply:
    """The body untouched, and beside it the tokens it reports, if it reports any."""
    try:
        usage = _decode_usage(body).usage or _Usage()
    except msgspec.DecodeError:
        usage = _Usage()
    details = usage.prompt_tokens_details or _Details()
    return TeacherReply(
        body,
        is_chat_completion=True,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=details.cached_tokens,
        completion_tokens=usage.completion_tokens,
        seconds=seconds,
    )
