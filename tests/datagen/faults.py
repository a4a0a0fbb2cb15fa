"""What providers do, as scripts for a ChatServer: fail, limit rates, refuse parameters, count tokens."""

from __future__ import annotations

import email.utils
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from tests.datagen.chat_server import Answer, Script, billed_for, completion, error
from tests.datagen.scenes import reply_to

SHORTEST_CACHED_PREFIX = 1024
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

Fault = Callable[[Answer], Answer]
"""Makes what goes wrong from the completion that would have been sent."""


def make_faults(
    retry_after: str = "0", stall_seconds: float = 0.05, timeout_seconds: float = 60.0
) -> dict[str, Fault]:
    """Every fault by its name. A timeout is a stall that the client should not wait out."""
    return {
        "429": lambda good: error(429, "rate_limit_exceeded", "Rate limit reached"),
        "429_retry_after": lambda good: error(
            429, "rate_limit_exceeded", "Rate limit reached", retry_after=retry_after
        ),
        "500": lambda good: error(500, message="The server had an error"),
        "502": lambda good: Answer(HTML, 502, content_type="text/html"),
        "503": lambda good: error(503, message="The engine is overloaded"),
        "503_retry_after": lambda good: error(
            503, message="The engine is overloaded", retry_after=retry_after
        ),
        "timeout": lambda good: replace(good, seconds=timeout_seconds),
        "stall": lambda good: replace(good, seconds=stall_seconds),
        "drop_before": lambda good: replace(good, drop="before"),
        "drop_headers": lambda good: replace(good, drop="headers"),
        "drop_during": lambda good: replace(good, drop="during"),
        "drop_after": lambda good: replace(good, drop="after"),
        "truncated_json": lambda good: _with_body(good, good.body[: len(good.body) // 2]),
        "invalid_json": lambda good: _with_body(good, good.body.replace(b'"', b"'")),
        "duplicated": lambda good: _with_body(good, good.body * 2),
        "html_200": lambda good: Answer(HTML, content_type="text/html"),
        "wrong_content_type": lambda good: replace(good, content_type="text/plain"),
        "no_usage": lambda good: _edited(good, lambda body: body.pop("usage", None)),
        "empty_choices": lambda good: _edited(good, lambda body: body.update(choices=[])),
        "null_content": lambda good: _with_message(good, content=None),
        "length": lambda good: _with_message(good, "length", content=_first_half(good)),
        "content_filter": lambda good: _with_message(good, "content_filter", content=""),
        "reasoning": lambda good: _with_message(good, reasoning_content="The user wants to know …"),
        "refusal": lambda good: _with_message(good, content=None, refusal="I can't help with that."),
    }


def _with_body(good: Answer, body: bytes) -> Answer:
    """Billed as the good answer is: the reply was written, whatever became of it on the way."""
    return replace(good, body=body, bills=billed_for(good))


def _edited(good: Answer, edit: Callable[[dict[str, Any]], object]) -> Answer:
    body = msgspec.json.decode(good.body)
    edit(body)
    return _with_body(good, msgspec.json.encode(body))


def _with_message(good: Answer, finish_reason: str = "stop", **changes: str | None) -> Answer:
    def edit(body: dict[str, Any]) -> None:
        (choice,) = body["choices"]
        choice["finish_reason"] = finish_reason
        choice["message"].update(changes)

    return _edited(good, edit)


def _first_half(good: Answer) -> str:
    text: str = msgspec.json.decode(good.body)["choices"][0]["message"]["content"]
    return text[: len(text) // 2]


class Faults:
    """A script that puts faults in the place of another's answers, each with its probability.

    What a body gets at which attempt follows from the seed alone, not from what was asked before or
    meanwhile. From attempt `faulty_attempts` on, and where the other script does not answer with
    status 200, its answer is sent as it is.
    """

    def __init__(
        self,
        seed: int,
        script: Script,
        rates: Mapping[str, float],
        *,
        faulty_attempts: int = 3,
        retry_after: str = "0",
        stall_seconds: float = 0.05,
        timeout_seconds: float = 60.0,
    ) -> None:
        self.seed = seed
        self.script = script
        # Sorted, because the draw walks along them.
        self.rates = dict(sorted(rates.items()))
        self.faulty_attempts = faulty_attempts
        self._faults = make_faults(retry_after, stall_seconds, timeout_seconds)
        if unknown := rates.keys() - self._faults.keys():
            raise ValueError(f"no such faults: {sorted(unknown)}; there are {sorted(self._faults)}")
        if sum(rates.values()) > 1 + 1e-9:
            raise ValueError(f"the rates sum up to {sum(rates.values())}, which is more than 1")

    def __call__(self, body: dict[str, Any], attempt: int) -> Answer:
        good, name = self.script(body, attempt), self.fault_of(body, attempt)
        return good if name is None or good.status != 200 else self._faults[name](good)

    def fault_of(self, body: dict[str, Any], attempt: int) -> str | None:
        """The name of the fault that this body is to get at this attempt, or None for the good answer."""
        if attempt >= self.faulty_attempts:
            return None
        drawn = f"{self.seed} {attempt} ".encode() + msgspec.json.encode(body)
        point = int.from_bytes(hashlib.blake2b(drawn, digest_size=8).digest()) / 2**64
        for name, rate in self.rates.items():
            point -= rate
            if point < 0:
                return name
        return None


def billing_teacher(
    count: Callable[[str], int], reply: Callable[[Sequence[dict[str, str]]], str] = reply_to
) -> Script:
    """Good replies, with usage counted from what was sent and said.

    All messages but the last count as cached from the second request on that begins with the very
    same ones, if they are long enough.
    """
    prefix_tokens: dict[bytes, int] = {}

    def teacher(body: dict[str, Any], attempt: int) -> Answer:
        *prefix, last = body["messages"]
        text, key, cached = reply(body["messages"]), msgspec.json.encode(prefix), 0
        if key not in prefix_tokens:
            prefix_tokens[key] = sum(count(message["content"]) for message in prefix)
        elif prefix_tokens[key] >= SHORTEST_CACHED_PREFIX:
            cached = prefix_tokens[key]
        return completion(text, usage=(prefix_tokens[key] + count(last["content"]), cached, count(text)))

    return teacher


def limited(
    script: Script,
    *,
    requests: int,
    tokens: int,
    per_seconds: float = 60.0,
    now: Callable[[], float] = time.time,
    retry_after: Literal["seconds", "date", ""] = "seconds",
) -> Script:
    """At most so many requests and tokens at once, and as many again every `per_seconds`; else 429.

    Every answer tells in x-ratelimit headers what is left. What is refused takes nothing. `now` is in
    seconds since the epoch; `retry_after` says how a refusal tells when to come back, if it does.
    """
    buckets = {
        "requests": _Bucket(requests, requests / per_seconds, requests),
        "tokens": _Bucket(tokens, tokens / per_seconds, tokens),
    }
    filled = now()

    def limit(body: dict[str, Any], attempt: int) -> Answer:
        nonlocal filled
        at = now()
        for bucket in buckets.values():
            bucket.fill(at - filled)
        filled = at
        wanted = {"requests": 1, "tokens": estimated_tokens(body)}
        wait, short = max((bucket.seconds_until(wanted[name]), name) for name, bucket in buckets.items())
        if wait > 0:
            answer = error(429, "rate_limit_exceeded", f"Rate limit reached on {short}")
            times = {"seconds": str(math.ceil(wait - _ROUNDING)), "date": http_date(at + wait)}
            told = {"retry-after": times[retry_after]} if retry_after else {}
        else:
            for name, bucket in buckets.items():
                bucket.left -= wanted[name]
            answer, told = script(body, attempt), {}
        for name, bucket in buckets.items():
            told[f"x-ratelimit-limit-{name}"] = str(bucket.size)
            told[f"x-ratelimit-remaining-{name}"] = str(math.floor(bucket.left + _ROUNDING))
            told[f"x-ratelimit-reset-{name}"] = duration(bucket.seconds_until(bucket.size))
        return replace(answer, headers=answer.headers | told)

    return limit


_ROUNDING = 1e-6


@dataclass
class _Bucket:
    size: int
    per_second: float
    left: float

    def fill(self, seconds: float) -> None:
        self.left = min(self.size, self.left + seconds * self.per_second)

    def seconds_until(self, amount: int) -> float:
        """How long until it holds that much, were it large enough."""
        missing = amount - self.left
        return missing / self.per_second if missing > _ROUNDING else 0.0


def estimated_tokens(body: dict[str, Any]) -> int:
    """What a rate limiter counts before there is a reply: four characters a token, and all of max_tokens."""
    longest_reply: int = body.get("max_completion_tokens") or body.get("max_tokens") or 0
    return sum(len(message["content"]) for message in body["messages"]) // 4 + longest_reply


def http_date(at: float) -> str:
    """The next whole second, as HTTP writes it."""
    return email.utils.formatdate(math.ceil(at), usegmt=True)


def duration(seconds: float) -> str:
    """As OpenAI writes it: "120ms", "1s", "6m0s"."""
    milliseconds = round(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}h"] * (hours > 0) + [f"{minutes}m"] * (hours > 0 or minutes > 0) + [f"{rest / 1000:g}s"]
    return "".join(parts)


def wants_max_completion_tokens(script: Script) -> Script:
    """Refuses max_tokens, as OpenAI's reasoning models do."""
    refusal = error(
        400,
        "unsupported_parameter",
        "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead.",
        "max_tokens",
    )
    return lambda body, attempt: refusal if "max_tokens" in body else script(body, attempt)


def wants_default_temperature(script: Script) -> Script:
    """Refuses any temperature but 1, as OpenAI's reasoning models do."""

    def strict(body: dict[str, Any], attempt: int) -> Answer:
        temperature = body.get("temperature", 1)
        if temperature == 1:
            return script(body, attempt)
        message = (
            f"Unsupported value: 'temperature' does not support {temperature:g} with this model. "
            "Only the default (1) value is supported."
        )
        return error(400, "unsupported_value", message, "temperature")

    return strict


def knows_no_response_format(script: Script) -> Script:
    """Refuses response_format, as servers do that never heard of it."""
    refusal = error(
        400, message="Unrecognized request argument supplied: response_format", param="response_format"
    )
    return lambda body, attempt: refusal if "response_format" in body else script(body, attempt)
