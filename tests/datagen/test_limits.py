"""The limiter under virtual time: who is let in when, how many at once, and how that adapts."""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.asking import Limits, Tally, Watch, ask_remote
from datagen.ledger import Ledger
from datagen.limits import FIRST_CONCURRENCY, Closed, Limiter, NoRoom
from datagen.records import ImageAnnotation, Message, TeacherReply, TeacherRequest, Unit
from datagen.run_log import RunLog
from datagen.teacher import Answered, TeacherRetry

MINUTE = 60.0
ROUNDING = 1e-6

T = TypeVar("T")


class VirtualTime(asyncio.SelectorEventLoop):
    """Its clock stands still while anything goes on, threads too, and else jumps to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.in_threads = 0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(self, *arguments: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        self.in_threads += 1
        future = super().run_in_executor(*arguments)
        future.add_done_callback(self._back)
        return future

    def _back(self, _: object) -> None:
        self.in_threads -= 1


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if self._loop.in_threads:
            return super().select(None if timeout else timeout)
        assert timeout is not None, "everybody waits, and nothing will ever happen"
        self._loop.now += timeout
        return super().select(0)


def run(main: Coroutine[Any, Any, T]) -> T:
    loop = VirtualTime()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


def now() -> float:
    return asyncio.get_running_loop().time()


def always() -> bool:
    return True


async def hold_slot(limiter: Limiter, seconds: float, tokens: int = 0) -> float:
    """A request that is answered after so long; when it was let in."""
    entered_at = await limiter.enter(tokens, always)
    await asyncio.sleep(seconds)
    limiter.answered(entered_at, seconds)
    limiter.leave()
    return entered_at


def entries(latencies: Sequence[float], most: int = 1000, rpm: int | None = None) -> list[float]:
    """When requests that were all there at once were let in, in their order."""

    async def main() -> list[float]:
        limiter = Limiter(most, rpm)
        return await asyncio.gather(*(hold_slot(limiter, seconds) for seconds in latencies))

    return run(main())


def test_virtual_time_takes_none() -> None:
    async def main() -> list[float]:
        await asyncio.sleep(3600)
        await asyncio.to_thread(str)
        return [now()]

    assert run(main()) == [3600.0]


# Order and number


@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 20))
def test_requests_are_let_in_in_the_order_in_which_they_ask(latencies: list[float], most: int) -> None:
    at = entries(latencies, most)
    assert at == sorted(at)


def test_nobody_overtakes_even_at_the_moment_a_slot_is_free() -> None:
    order = []

    async def one(limiter: Limiter, name: str) -> None:
        await limiter.enter(0, always)
        order.append(name)
        limiter.leave()

    async def main() -> None:
        limiter = Limiter(1)
        await limiter.enter(0, always)
        waiting = asyncio.create_task(one(limiter, "came first"))
        await asyncio.sleep(1)
        limiter.leave()
        await one(limiter, "came last")
        await waiting

    run(main())
    assert order == ["came first", "came last"]


@given(
    st.lists(st.tuples(st.floats(0, 10), st.sampled_from(["answered", "pushed back", "slow"])), max_size=100),
    st.integers(1, 40),
)
def test_never_more_are_in_flight_than_allowed_and_than_it_has_adapted_to(
    requests: list[tuple[float, str]], most: int
) -> None:
    in_flight = 0

    async def one(limiter: Limiter, seconds: float, outcome: str) -> None:
        nonlocal in_flight
        entered_at = await limiter.enter(0, always)
        in_flight += 1
        assert in_flight <= int(limiter.concurrency) <= most
        await asyncio.sleep(seconds)
        if outcome == "pushed back":
            limiter.pushed_back(entered_at, None)
        else:
            limiter.answered(entered_at, seconds * 50 if outcome == "slow" else seconds)
        assert 1 <= limiter.concurrency <= most
        in_flight -= 1
        limiter.leave()

    async def main() -> None:
        limiter = Limiter(most)
        await asyncio.gather(*(one(limiter, *request) for request in requests))
        assert limiter.in_flight == 0

    run(main())


# Concurrency that adapts


async def keep_asking(limiter: Limiter, latency: Callable[[], float], until: float) -> None:
    """So many requests that there is always one that waits to be let in."""

    async def one(entered_at: float) -> None:
        seconds = latency()
        await asyncio.sleep(seconds)
        limiter.answered(entered_at, seconds)
        limiter.leave()

    tasks = set()
    while now() < until:
        tasks.add(asyncio.create_task(one(await limiter.enter(0, always))))
    await asyncio.gather(*tasks)


def about_a_second() -> Callable[[], float]:
    """No two replies come at the very same time."""
    jitter = itertools.count()
    return lambda: 1 + next(jitter) % 1000 * 1e-6


async def concurrency_at(limiter: Limiter, times: Sequence[float], latency: Callable[[], float]) -> list[int]:
    asking = asyncio.create_task(keep_asking(limiter, latency, times[-1]))
    seen = []
    for at in times:
        await asyncio.sleep(at - now())
        seen.append(limiter.in_flight)
    await asking
    return seen


def test_concurrency_doubles_with_each_round_trip_until_all_that_is_allowed() -> None:
    async def main() -> list[int]:
        return await concurrency_at(Limiter(200), [n + 0.5 for n in range(6)], about_a_second())

    assert run(main()) == [16, 32, 64, 128, 200, 200]


@pytest.mark.parametrize("most", [1, 5, FIRST_CONCURRENCY])
def test_it_never_begins_with_more_than_is_allowed(most: int) -> None:
    async def main() -> list[int]:
        return await concurrency_at(Limiter(most), [0.5, 1.5], about_a_second())

    assert run(main()) == [most, most]


def test_it_does_not_grow_while_it_is_not_what_holds_requests_back() -> None:
    assert entries([1.0] * 100, rpm=60) == pytest.approx([float(n) for n in range(100)])

    async def main() -> float:
        limiter = Limiter(1000, rpm=60)
        for _ in range(100):
            await hold_slot(limiter, 1.0)
        return limiter.concurrency

    assert run(main()) == FIRST_CONCURRENCY


def test_a_push_back_halves_it_once_for_all_in_flight_and_then_it_grows_by_one_a_round_trip() -> None:
    async def main() -> list[float]:
        limiter = Limiter(1000)
        at = [await limiter.enter(0, always) for _ in range(16)]
        await asyncio.sleep(1)
        for entered_at in at:
            limiter.pushed_back(entered_at, 0.0)
            limiter.leave()
        asking = asyncio.create_task(keep_asking(limiter, about_a_second(), 7.0))
        seen = []
        for _ in range(6):
            seen.append(limiter.concurrency)
            await asyncio.sleep(1.001)
        await asking
        return seen

    assert run(main()) == pytest.approx([8, 9, 10, 11, 12, 13], abs=0.5)


def test_a_push_back_of_a_later_flight_halves_it_again_down_to_one() -> None:
    async def main() -> list[float]:
        limiter, seen = Limiter(1000), []
        for _ in range(6):
            entered_at = await limiter.enter(0, always)
            await asyncio.sleep(1)
            limiter.pushed_back(entered_at, 0.0)
            limiter.leave()
            seen.append(limiter.concurrency)
        return seen

    assert run(main()) == [8.0, 4.0, 2.0, 1.0, 1.0, 1.0]


def windows(*told: tuple[int, float]) -> list[float]:
    """The concurrency after each window of replies: how many were allowed, and how long each took."""

    async def main() -> list[float]:
        limiter, seen = Limiter(1000), []
        for concurrency, seconds in told:
            limiter.concurrency = float(concurrency)
            for _ in range(max(16, concurrency)):  # with none in flight, so that it does not grow
                limiter.answered(now(), seconds)
            seen.append(limiter.concurrency)
        return seen

    return run(main())


def test_latency_twice_the_usual_at_no_higher_rate_cuts_it_by_a_fifth() -> None:
    assert windows((20, 1.0), (20, 1.9), (20, 2.5)) == [20.0, 20.0, 16.0]


def test_latency_that_rises_together_with_the_rate_is_no_push_back() -> None:
    # 16, 20, 26 and 34 replies a second.
    assert windows((16, 1.0), (50, 2.5), (104, 4.0), (204, 6.0)) == [16.0, 50.0, 104.0, 204.0]


def test_latency_that_rises_more_than_the_rate_is_one() -> None:
    # 16 replies a second and 16 again.
    assert windows((16, 1.0), (40, 2.5)) == [16.0, 32.0]


def test_a_few_slow_replies_are_not_latency() -> None:
    async def main() -> float:
        limiter = Limiter(1000)
        for number in range(160):
            limiter.answered(now(), 60.0 if number > 40 and number % 3 == 0 else 1.0)
        return limiter.concurrency

    assert run(main()) == FIRST_CONCURRENCY


def test_an_endpoint_of_fixed_throughput_is_not_flooded() -> None:
    async def main() -> list[int]:
        limiter, jitter = Limiter(1000), about_a_second()

        def latency() -> float:
            """Twenty replies a second, however many are asked for at once."""
            return max(1.0, limiter.in_flight / 20) * jitter()

        return await concurrency_at(limiter, [float(n) for n in range(1, 120)], latency)

    assert max(run(main())) < 200


# Pauses


def pauses(*outcomes: float | str | None) -> list[float]:
    """How long nobody is let in after each outcome of a flight of its own: an answer, or a push back.

    A push back is told as the seconds that the endpoint said to wait, or None where it said nothing.
    """

    async def main() -> list[float]:
        limiter, paused = Limiter(10), []
        entered_at = await limiter.enter(0, always)
        for outcome in outcomes:
            if isinstance(outcome, str):
                limiter.answered(entered_at, 0.0)
            else:
                limiter.pushed_back(entered_at, outcome)
            limiter.leave()
            before, entered_at = now(), await limiter.enter(0, always)
            paused.append(entered_at - before)
        return paused

    return run(main())


def test_the_first_push_back_pauses_nobody_the_next_at_least_as_long_as_told() -> None:
    assert pauses(30.0, 7.0, 0.25, 0.0, 600.0) == pytest.approx([0, 7.0, 1.0, 2.0, 600.0])


def test_pauses_without_a_word_grow_up_to_a_minute() -> None:
    assert pauses(*[None] * 11) == pytest.approx([0, 0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60])


def test_pauses_begin_anew_once_there_is_an_answer() -> None:
    said = pauses(None, None, None, "answered", None, None, None)
    assert said == pytest.approx([0, 0.5, 1.0, 0, 0, 0.5, 1.0])


def test_a_pause_is_not_shortened_by_a_later_shorter_one() -> None:
    async def main() -> float:
        limiter = Limiter(10)
        limiter.hold(30.0)
        limiter.hold(2.0)
        return await limiter.enter(0, always)

    assert run(main()) == 30.0


def test_all_that_were_in_flight_together_pause_once() -> None:
    async def main() -> float:
        limiter = Limiter(16)
        for size in (16, 8):
            at = [await limiter.enter(0, always) for _ in range(size)]
            await asyncio.sleep(1)
            for entered_at in at:
                limiter.pushed_back(entered_at, None)
                limiter.leave()
        return await limiter.enter(0, always)

    assert run(main()) == 2.5


def test_a_hold_keeps_everybody_out_for_so_long_and_cuts_nothing() -> None:
    async def main() -> tuple[float, float, float]:
        limiter = Limiter(10)
        limiter.hold(5.0)
        first = await limiter.enter(0, always)
        return first, await limiter.enter(0, always), limiter.concurrency

    assert run(main()) == (5.0, 5.0, 10.0)


def test_a_hold_that_comes_while_somebody_waits_holds_for_them_too() -> None:
    async def main() -> float:
        limiter = Limiter(1)
        await limiter.enter(0, always)
        waiting = asyncio.create_task(limiter.enter(0, always))
        await asyncio.sleep(1)
        limiter.hold(5.0)
        limiter.leave()
        return await waiting

    assert run(main()) == 6.0


# Requests and tokens a minute


def test_rpm_spreads_requests_evenly_over_minutes() -> None:
    assert entries([0.0] * 300, rpm=60) == pytest.approx([float(n) for n in range(300)])


@given(st.integers(1, 3000), st.lists(st.floats(0, 300), min_size=1, max_size=80), st.integers(1, 50))
def test_no_minute_holds_more_requests_than_rpm(rpm: int, latencies: list[float], most: int) -> None:
    at = entries(latencies, most, rpm)
    assert all(later - earlier >= MINUTE - ROUNDING for earlier, later in zip(at, at[rpm:], strict=False))
    assert all(b - a >= MINUTE / rpm - ROUNDING for a, b in itertools.pairwise(at))


@given(st.integers(1, 1000), st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=60))
def test_rpm_holds_for_those_that_come_late_or_again(rpm: int, requests: list[tuple[float, bool]]) -> None:
    at: list[float] = []

    async def one(limiter: Limiter, begins: float, again: bool) -> None:
        await asyncio.sleep(begins)
        for _ in range(1 + again):
            at.append(await limiter.enter(0, always))
            limiter.leave()

    async def main() -> None:
        limiter = Limiter(50, rpm)
        await asyncio.gather(*(one(limiter, *request) for request in requests))

    run(main())
    assert all(b - a >= MINUTE / rpm - ROUNDING for a, b in itertools.pairwise(at))


@given(st.integers(1, 10_000), st.lists(st.integers(1, 20_000), min_size=1, max_size=60))
def test_no_minute_holds_more_tokens_than_tpm_but_for_the_last_request(tpm: int, tokens: list[int]) -> None:
    async def main() -> list[float]:
        limiter = Limiter(1000, tpm=tpm)
        return await asyncio.gather(*(hold_slot(limiter, 0, amount) for amount in tokens))

    at, before = run(main()), [0, *itertools.accumulate(tokens)]
    for first, last in itertools.combinations(range(len(at)), 2):
        needed = MINUTE * (before[last] - before[first]) / tpm
        assert at[last] - at[first] >= needed * (1 - 1e-9) - ROUNDING
    # And no longer than that.
    assert at == pytest.approx([MINUTE * sum_before / tpm for sum_before in before[:-1]])


@pytest.mark.parametrize(
    ("reserved", "used", "seconds_each"), [(600, 60, 6.0), (60, 600, 60.0), (60, 60, 6.0), (600, 0, 0.0)]
)
def test_tokens_are_paced_by_what_was_used(reserved: int, used: int, seconds_each: float) -> None:
    async def main() -> list[float]:
        limiter, at = Limiter(1, tpm=600), []
        for _ in range(5):
            at.append(await limiter.enter(reserved, always))
            limiter.used(reserved, used)
            limiter.leave()
        return at

    assert run(main()) == pytest.approx([n * seconds_each for n in range(5)])


def test_tokens_given_back_let_those_in_that_wait_for_them() -> None:
    async def main() -> list[float]:
        limiter = Limiter(10, tpm=600)
        first = await limiter.enter(600, always)
        waiting = asyncio.create_task(limiter.enter(600, always))
        await asyncio.sleep(10)
        limiter.used(600, 200)
        limiter.leave()
        return [first, await waiting]

    assert run(main()) == pytest.approx([0.0, 20.0])


def test_what_was_not_used_in_one_minute_is_not_kept_for_the_next() -> None:
    async def main() -> list[float]:
        limiter = Limiter(10, rpm=60, tpm=600)
        await asyncio.sleep(600)
        return [await limiter.enter(10, always) for _ in range(4)]

    assert run(main()) == pytest.approx([600.0, 601.0, 602.0, 603.0])


# Room, and the end


@pytest.mark.parametrize(("room_at", "tried_at"), [(5.0, [0.0, 3.0, 5.0]), (99.0, [0.0, 3.0, 5.0, 9.0])])
def test_who_has_no_room_is_tried_again_whenever_another_leaves(
    room_at: float, tried_at: list[float]
) -> None:
    seen: list[float] = []

    def fits() -> bool:
        seen.append(now())
        return now() >= room_at

    async def main() -> float | None:
        limiter = Limiter(10)
        others = [asyncio.create_task(hold_slot(limiter, seconds)) for seconds in (3.0, 5.0, 9.0)]
        await asyncio.sleep(0)
        try:
            return await limiter.enter(0, fits)
        except NoRoom:  # nothing is in flight that could still give it back
            return None
        finally:
            await asyncio.gather(*others)

    assert run(main()) == (room_at if room_at in tried_at else None)
    assert seen == tried_at


@pytest.mark.parametrize("why", ["slots", "pause", "rpm", "tpm", "room"])
def test_closing_ends_all_who_wait_at_once(why: str) -> None:
    async def main() -> tuple[list[type[Any]], float]:
        rpm, tpm = (1 if why == each else None for each in ("rpm", "tpm"))
        limiter = Limiter(1 if why == "slots" else 5, rpm, tpm)
        await limiter.enter(1000, always)
        if why == "pause":
            limiter.hold(500)
        waiting = [asyncio.create_task(limiter.enter(1, lambda: why != "room")) for _ in range(3)]
        sleeping = [asyncio.create_task(limiter.sleep(seconds)) for seconds in (5, 5000)]
        await asyncio.sleep(2)
        limiter.close()
        ended = await asyncio.gather(*waiting, *sleeping, return_exceptions=True)
        return [type(each) for each in ended], now()

    assert run(main()) == ([Closed] * 5, 2.0)


def test_once_closed_nobody_is_let_in_or_sleeps() -> None:
    async def main() -> None:
        limiter = Limiter(10)
        limiter.close()
        with pytest.raises(Closed):
            await limiter.enter(0, always)
        with pytest.raises(Closed):
            await limiter.sleep(100)
        assert now() == 0

    run(main())


def test_sleep_lasts_as_long_as_asked() -> None:
    async def main() -> list[float]:
        limiter, at = Limiter(10), []
        for seconds in (0.0, 0.5, 600.0):
            await limiter.sleep(seconds)
            at.append(now())
        return at

    assert run(main()) == pytest.approx([0.0, 0.5, 600.5])


def test_one_who_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    async def main() -> float:
        limiter = Limiter(1)
        await limiter.enter(0, always)
        first, second = (asyncio.create_task(limiter.enter(0, always)) for _ in range(2))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.sleep(1)
        limiter.leave()
        return await second

    assert run(main()) == 2.0


# Through asking, with a ledger

COMMITTING = 0.1
"""Seconds that a reply may wait for others to be committed with it."""
REPLY = TeacherReply("{}", True, 10, 0, 5)


class ScriptedTeacher:
    """Asks nobody: gives what it was given for each request, in turn, each after some seconds."""

    name, paid, reads_messages = "openai", True, True
    endpoint: str | None = "http://nowhere"

    def __init__(self, answers: dict[str, list[float | TeacherRetry]]) -> None:
        self._answers = {key: deque(each) for key, each in answers.items()}
        self.asked: list[tuple[str, float]] = []
        self.most_in_flight = self._in_flight = 0

    def cannot_answer(self, request: TeacherRequest) -> str | None:
        return None

    def key(self, request: TeacherRequest) -> str:
        return request.messages[0].content

    def body(self, request: TeacherRequest) -> bytes:
        return self.key(request).encode()

    async def start(self) -> None:
        pass

    async def ask(self, body: bytes) -> Answered:
        key = body.decode()
        self.asked.append((key, now()))
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            answer = self._answers[key].popleft()
            if isinstance(answer, TeacherRetry):
                raise answer
            await asyncio.sleep(answer)
            return Answered(REPLY)
        finally:
            self._in_flight -= 1

    async def close(self) -> None:
        pass


def request(key: str) -> TeacherRequest:
    return TeacherRequest(
        unit=Unit(1, "detail", 0),
        annotation=ImageAnnotation(1, "1.jpg", 640, 480, (), ()),
        reply_form="answer",
        question=None,
        frame="camera",
        vocabulary=(),
        pack_hash="0",
        seed=0,
        temperature=0.0,
        max_tokens=8,
        messages=(Message("user", key),),
    )


def ask_all(folder: Path, teacher: ScriptedTeacher, limits: Limits) -> tuple[int, int]:
    """How many replies and failures were committed."""
    tally = Tally()

    def committed(_: object, so_far: Tally) -> None:
        nonlocal tally
        tally = so_far

    async def main(ledger: Ledger, log: RunLog) -> None:
        requests: Iterator[tuple[str, TeacherRequest]] = ((key, request(key)) for key in teacher._answers)
        asking: Awaitable[None] = ask_remote(
            teacher, requests, ledger, limits, None, Watch(committed, lambda: None, log)
        )
        await asking

    with Ledger.open(folder, create=True) as ledger, RunLog(folder) as log:
        run(main(ledger, log))
        assert all(ledger.usage_of(key) for key, left in teacher._answers.items() if not left)
    return tally.replies, tally.failures


def busy(wait: float | None, *, overloaded: bool = False) -> TeacherRetry:
    return TeacherRetry("http_500", "no", wait=wait, overloaded=overloaded)


def test_a_request_that_waits_to_be_tried_again_holds_no_slot(tmp_path: Path) -> None:
    teacher = ScriptedTeacher({"a": [busy(1000.0), 1.0], "b": [1.0], "c": [1.0]})
    assert ask_all(tmp_path, teacher, Limits(1)) == (3, 0)
    assert [key for key, _ in teacher.asked] == ["a", "b", "c", "a"]
    assert [at for _, at in teacher.asked] == pytest.approx([0, 0, 1, 1000], abs=COMMITTING)
    assert teacher.most_in_flight == 1


def test_an_endpoint_that_stays_overloaded_is_waited_for_by_all(tmp_path: Path) -> None:
    overloaded: list[float | TeacherRetry] = [busy(1000.0, overloaded=True), 1.0]
    teacher = ScriptedTeacher({"a": overloaded, "b": overloaded, "c": [1.0]})
    assert ask_all(tmp_path, teacher, Limits(1)) == (3, 0)
    assert [at for _, at in teacher.asked] == pytest.approx([0, 0, 1000, 1001, 1002], abs=COMMITTING)


def test_second_attempts_count_towards_rpm(tmp_path: Path) -> None:
    keys = [f"{n:02}" for n in range(40)]
    teacher = ScriptedTeacher({key: [busy(None), busy(0.0), 0.5] for key in keys})
    assert ask_all(tmp_path, teacher, Limits(50, rpm=30)) == (40, 0)
    at = [at for _, at in teacher.asked]
    assert len(at) == 120
    assert all(b - a >= 2 - ROUNDING for a, b in itertools.pairwise(at))
    assert at[-1] == pytest.approx(2 * 119, abs=COMMITTING)


def test_however_many_are_asked_no_more_are_in_flight_than_concurrency(tmp_path: Path) -> None:
    teacher = ScriptedTeacher({f"{n}": [busy(0.5), 1 + n / 1000] for n in range(100)})
    assert ask_all(tmp_path, teacher, Limits(7)) == (100, 0)
    assert teacher.most_in_flight == 7
