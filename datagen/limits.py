"""How much is asked at once: concurrency that adapts, requests and tokens per minute, pauses."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable

FIRST_CONCURRENCY = 16
_SHARE_KEPT_WHEN_OVERLOADED = 0.5
_SHARE_KEPT_WHEN_SLOW = 0.8
_SLOW = 2.0  # times the usual latency
_FASTER = 1.1  # times the rate of the window before
_SMALLEST_WINDOW = 16
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0


class Closed(Exception):
    """Nothing more is let in."""


class NoRoom(Exception):
    """What a request needs is not there, and nothing is in flight that could give it back."""


class _Pace:
    """Spreads amounts evenly over time, so many a minute."""

    def __init__(self, per_minute: float) -> None:
        self._seconds_each = 60 / per_minute
        self._free_at = 0.0

    def delay(self, now: float) -> float:
        return self._free_at - now

    def take(self, amount: float, now: float) -> None:
        self._free_at = max(self._free_at, now) + amount * self._seconds_each

    def give_back(self, amount: float) -> None:
        self._free_at -= amount * self._seconds_each


class Limiter:
    """Lets requests in, in the order in which they ask.

    Concurrency moves as TCP's congestion window does (Jacobson, 1988): it doubles with each round
    trip until the endpoint first pushes back, then grows by one a round trip; a push back halves
    it, once for all that was in flight at the time. As push back counts what the endpoint says (429,
    503, a timeout) and, more mildly, latency twice the usual where the rate has not risen with it.
    Where nothing that was let in since the last push back is answered either, nobody is let in for
    longer and longer, and for as long as the endpoint said, until it answers again.

    Requests and tokens are paced evenly: no minute holds more than was allowed, but for the last
    request that was let in.
    """

    def __init__(self, most: int, rpm: int | None = None, tpm: int | None = None) -> None:
        self.most = most
        self.concurrency = float(min(most, FIRST_CONCURRENCY))
        self.in_flight = 0
        self.paused_until = 0.0
        self._requests = _Pace(rpm) if rpm else None
        self._tokens = _Pace(tpm) if tpm else None
        self._steep_below = float(most)
        self._last_cut = float("-inf")
        self._unanswered_cuts = 0
        self._latencies: list[float] = []
        self._window = _SMALLEST_WINDOW
        self._usual_latency = 0.0
        self._rate = 0.0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()

    async def enter(self, tokens: int, fits: Callable[[], bool]) -> float:
        """Wait until a request of about so many tokens may go; the time at which it does.

        `fits` reserves what else the request needs, or says that there is no room for it now; it is
        tried again whenever another one leaves. Raises Closed once `close` was called, NoRoom when
        there is no room though nothing is in flight.
        """
        async with self._turn:
            while True:
                if self._closed.is_set():
                    raise Closed
                now = asyncio.get_running_loop().time()
                delay = self._delay(now)
                if self.in_flight < int(self.concurrency) and delay <= 0:
                    if fits():
                        break
                    if not self.in_flight:
                        raise NoRoom
                    delay = 0.0
                await self._wait_for_change(delay if delay > 0 else None)
            self.in_flight += 1
            if self._requests:
                self._requests.take(1, now)
            if self._tokens:
                self._tokens.take(tokens, now)
            return now

    def leave(self) -> None:
        """A request that was let in is over."""
        self.in_flight -= 1
        self._changed.set()

    def close(self) -> None:
        """Let nobody in any more, and end every sleep."""
        self._closed.set()
        self._changed.set()

    async def sleep(self, seconds: float) -> None:
        """As asyncio.sleep, but raises Closed as soon as `close` is called."""
        try:
            await asyncio.wait_for(self._closed.wait(), seconds)
        except TimeoutError:
            return
        raise Closed

    def hold(self, seconds: float) -> None:
        """Let nobody in for so long."""
        self.paused_until = max(self.paused_until, asyncio.get_running_loop().time() + seconds)

    def used(self, reserved_tokens: int, tokens: int) -> None:
        """A request that was let in for so many tokens took fewer, or more."""
        if self._tokens:
            self._tokens.give_back(reserved_tokens - tokens)

    def answered(self, entered_at: float, seconds: float) -> None:
        """A request let in at that time was answered, after so long."""
        if entered_at >= self._last_cut:
            self._unanswered_cuts = 0
        if self.in_flight * 2 > self.concurrency:  # else it is not what holds requests back
            steep = self.concurrency < self._steep_below
            self.concurrency = min(self.most, self.concurrency + (1.0 if steep else 1 / self.concurrency))
        self._latencies.append(seconds)
        if len(self._latencies) >= self._window:
            self._look_at_latency()
            # One flight: were it to grow with concurrency, it would never end while that doubles.
            self._window = max(_SMALLEST_WINDOW, int(self.concurrency))

    def pushed_back(self, entered_at: float, wait: float | None) -> None:
        """The endpoint could not keep up with a request let in at that time."""
        if entered_at < self._last_cut:
            return
        self._cut(_SHARE_KEPT_WHEN_OVERLOADED)
        if self._unanswered_cuts:
            growing = _FIRST_PAUSE_SECONDS * 2 ** (self._unanswered_cuts - 1)
            self.hold(max(min(_LONGEST_PAUSE_SECONDS, growing), wait or 0.0))
        self._unanswered_cuts += 1

    def _look_at_latency(self) -> None:
        latency = statistics.median(self._latencies)
        rate = self.concurrency / latency if latency else float("inf")
        self._latencies.clear()
        if not self._usual_latency:
            self._usual_latency = latency
        elif latency > _SLOW * self._usual_latency and rate < _FASTER * self._rate:
            self._cut(_SHARE_KEPT_WHEN_SLOW)
        # What stays slow becomes the usual.
        self._usual_latency += 0.1 * (latency - self._usual_latency)
        self._rate = rate

    def _cut(self, share: float) -> None:
        self.concurrency = max(1.0, self.concurrency * share)
        self._steep_below = self.concurrency
        self._last_cut = asyncio.get_running_loop().time()
        self._latencies.clear()

    def _delay(self, now: float) -> float:
        delay = self.paused_until - now
        for pace in (self._requests, self._tokens):
            if pace:
                delay = max(delay, pace.delay(now))
        return delay

    async def _wait_for_change(self, seconds: float | None) -> None:
        self._changed.clear()
        alarm = asyncio.get_running_loop().call_later(seconds, self._changed.set) if seconds else None
        await self._changed.wait()
        if alarm:
            alarm.cancel()
