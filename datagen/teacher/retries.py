"""The one retry policy, for requests, for lists of models and for batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import tenacity

from datagen.teacher.protocol import TeacherRetry

ATTEMPTS = 8
# A rate limit says nothing against a request, and lets others through meanwhile.
ATTEMPTS_WHILE_RATE_LIMITED = 20
# Half a second, one and a half, four and a half, … a minute.
_TRUSTED_WAITS = 2
_backoff = tenacity.wait_exponential_jitter(multiplier=0.5, exp_base=3, max=60, jitter=0.25)

Sleep = Callable[[float], Awaitable[None]]


def retrying(sleep: Sleep = asyncio.sleep) -> tenacity.AsyncRetrying:
    """Calls again what raised TeacherRetry, so many times in all, then lets it through.

    Waits as the endpoint said or, where it said nothing, longer and longer.
    """
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(TeacherRetry),
        wait=_wait,
        stop=_stop,
        sleep=sleep,
        reraise=True,
    )


def _stop(state: tenacity.RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    is_rate_limit = isinstance(error, TeacherRetry) and error.reason == "rate_limited"
    return state.attempt_number >= (ATTEMPTS_WHILE_RATE_LIMITED if is_rate_limit else ATTEMPTS)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait if isinstance(error, TeacherRetry) else None
    if asked is None:
        return _backoff(state)
    # Some say "in a moment" for as long as they are busy.
    return asked if state.attempt_number <= _TRUSTED_WAITS else max(asked, _backoff(state))
