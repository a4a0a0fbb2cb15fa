"""The batch client over real HTTP on loopback: what is sent, found again, paid for once and read back."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from datagen.teacher import TeacherFailure, TeacherRetry, TeacherStopped
from datagen.teacher.openai_api import OpenAITeacher
from datagen.teacher.openai_batch import (
    SETTLE_SECONDS,
    BadLine,
    BatchAPI,
    BatchState,
    LineError,
    LineResult,
    NotThere,
    QueueIsFull,
    input_line,
)
from datagen.teacher.retries import ATTEMPTS
from tests.datagen.batch_server import (
    MISSING,
    TOKEN_LIMIT,
    BatchServer,
    Bill,
    Fault,
    Form,
    Line,
    Plan,
    Script,
    Tokens,
    completion,
    failure,
    unexecuted,
)

T = TypeVar("T")
Results = list[LineResult | BadLine]

DROPPED, LOST = Fault(), Fault(late=True)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123")


class Waits(list[float]):
    """Stands in for sleeping, and remembers for how long."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def body_of(text: str, model: str | None = "tiny") -> bytes:
    """Spaced unlike any encoder would, so that encoding it again would show."""
    message = msgspec.json.encode(text)
    named = b'"model" :%b, ' % msgspec.json.encode(model) if model else b""
    return b'{%b"messages":[ {"role": "user", "content":%b}]}' % (named, message)


def key_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def asked(*texts: str) -> list[tuple[str, bytes]]:
    return [(key_of(text), body_of(text)) for text in texts]


def lines_for(*texts: str) -> bytes:
    return b"".join(input_line(key, body) for key, body in asked(*texts))


def said(text: str, **answer: Any) -> Line:
    return completion(f"You said {text}.", **answer)


def echo(body: dict[str, Any], attempt: int) -> Line:
    return said(body["messages"][0]["content"])


def echo_except(**odd: Line) -> Script:
    """An echo but for these texts."""
    return lambda body, attempt: odd.get(body["messages"][0]["content"]) or echo(body, attempt)


def answered(text: str) -> LineResult:
    return LineResult(key_of(text), 200, said(text).body.decode(), None)


@asynccontextmanager
async def connected(server: BatchServer, waits: Waits, scratch: Path | None) -> AsyncIterator[BatchAPI]:
    teacher = OpenAITeacher("tiny", server.base_url, in_batches=True)
    try:
        await teacher.start()
        yield BatchAPI(teacher, sleep=waits, scratch=scratch)
    finally:
        await teacher.close()


async def submit(api: BatchAPI, lines: bytes | Path, tag: str) -> BatchState:
    return await api.create(await api.upload(lines), tag)


def run(
    server: BatchServer, use: Callable[[BatchAPI], Awaitable[T]], scratch: Path | None = None
) -> tuple[T, Waits]:
    """What came of it, and the waits."""
    waits = Waits()

    async def go() -> T:
        async with connected(server, waits, scratch) as api:
            return await use(api)

    with server:
        return asyncio.run(go()), waits


async def finished(api: BatchAPI, batch_id: str) -> BatchState:
    while not (state := await api.retrieve(batch_id)).is_final:
        pass
    return state


async def all_results(api: BatchAPI, state: BatchState) -> Results:
    return [line async for line in api.results(state)]


def carry_out(server: BatchServer, lines: bytes | Path, tag: str = "t1") -> tuple[BatchState, Results]:
    """The final state of a batch of those lines, and every line of its results."""

    async def use(api: BatchAPI) -> tuple[BatchState, Results]:
        state = await finished(api, (await submit(api, lines, tag)).id)
        return state, await all_results(api, state)

    return run(server, use)[0]


def state_of(status: str, **fields: Any) -> BatchState:
    first = BatchState("batch_0", status, 0, 0, 0, None, None, (), "t1")
    return first._replace(**fields)


def test_a_batch_is_submitted_followed_and_read() -> None:
    server = BatchServer(echo, polls_until_done=3)

    async def use(api: BatchAPI) -> tuple[list[BatchState], Results]:
        states = [await submit(api, lines_for("a", "b"), "t1")]
        while not states[-1].is_final:
            states.append(await api.retrieve(states[-1].id))
        return states, await all_results(api, states[-1])

    (states, results), waits = run(server, use)
    assert states == [
        state_of("validating"),
        state_of("in_progress", total=2),
        state_of("finalizing", total=2),
        state_of("completed", completed=2, total=2, output_file_id="file-1"),
    ]
    assert results == [answered("a"), answered("b")]
    assert waits == []
    assert [upload.data for upload in server.uploads] == [lines_for("a", "b")]
    assert [(b.metadata, b.custom_ids) for b in server.batches] == [
        ({"vitkit": "t1"}, [key_of("a"), key_of("b")])
    ]
    assert server.billed() == Bill(batch=Tokens(3000, 2560, 240), online=Tokens())
    assert server.authorizations == {"Bearer sk-test-0123"}


def test_the_body_of_a_line_is_the_body_asked_online_byte_for_byte() -> None:
    server = BatchServer(echo)
    carry_out(server, lines_for("a", "b", "ö "))
    assert server.paid == Counter({body_of("a"): 1, body_of("b"): 1, body_of("ö "): 1})


def test_a_body_of_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="request k: its body has a line break"):
        input_line("k", b'{"model":\n"tiny"}')


def test_a_file_is_sent_from_disk(tmp_path: Path) -> None:
    texts = [f"{number} " + "x" * 1000 for number in range(2000)]
    path = tmp_path / "lines"
    path.write_bytes(lines_for(*texts))
    server = BatchServer(echo)
    _, results = carry_out(server, path)
    assert server.uploads[0].data == lines_for(*texts)
    assert results == [answered(text) for text in texts]


def test_results_in_any_order_and_both_files_are_read() -> None:
    refused = failure(400, "context_length_exceeded", "too long")
    server = BatchServer(
        echo_except(b=refused, c=unexecuted("server_error")), plans={0: Plan(backwards=True)}
    )
    state, results = carry_out(server, lines_for("a", "b", "c", "d"))
    assert state == state_of(
        "completed", completed=2, failed=2, total=4, output_file_id="file-1", error_file_id="file-2"
    )
    assert results == [
        answered("d"),
        answered("a"),
        LineResult(key_of("b"), 400, refused.body.decode(), None),
        LineResult(key_of("c"), None, "", ("server_error", "This request was not carried out.")),
    ]


def test_odd_lines_are_handed_on_and_not_trusted() -> None:
    def odd(text: str, form: Form) -> Line:
        return said(text, form=form)

    script = echo_except(b=odd("b", "garbage"), c=odd("c", "duplicate"), d=odd("d", "unknown"), e=MISSING)
    server = BatchServer(script)
    _, results = carry_out(server, lines_for("a", "b", "c", "d", "e"))
    assert results == [
        answered("a"),
        BadLine(2, '{"id": "batch_req_1", "custom', "Input data was truncated", "file-1"),
        answered("c"),
        answered("c"),
        answered("d"),
        answered("d")._replace(custom_id="nobody-asked-this"),
    ]
    assert server.answered == Counter(key_of(text) for text in "abcd")
    assert server.billed() == Bill(batch=Tokens(6000, 5120, 480), online=Tokens())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", BadLine(1, "[]", "Expected `object`, got `array`", "file-0")),
        (
            '{"response": {"status_code": 200}}',
            BadLine(
                1,
                '{"response": {"status_code": 200}}',
                "Object missing required field `custom_id`",
                "file-0",
            ),
        ),
        ('{"custom_id": "k"}', LineResult("k", None, "", None)),
        ('{"custom_id": "k", "response": {"body": {"a" : 1.0}}}', LineResult("k", None, '{"a" : 1.0}', None)),
        ('{"custom_id": "k", "error": {}}', LineResult("k", None, "", ("", ""))),
        ("\n\n" + '{"custom_id": "k"}' + "\n\n", LineResult("k", None, "", None)),
    ],
)
def test_a_line_of_another_shape(text: str, expected: LineResult | BadLine) -> None:
    server = BatchServer(echo)

    async def use(api: BatchAPI) -> Results:
        await submit(api, text.encode(), "t1")
        return await all_results(api, state_of("completed", output_file_id="file-0"))

    assert run(server, use)[0] == [expected]


def test_bytes_that_are_no_text_make_a_bad_line() -> None:
    server = BatchServer(echo)

    async def use(api: BatchAPI) -> Results:
        await submit(api, b'{"custom_id": "k", "response": {"body": "\xff"}}\n', "t1")
        return await all_results(api, state_of("completed", output_file_id="file-0"))

    ((line,), _) = run(server, use)
    assert isinstance(line, BadLine)
    assert line.text == '{"custom_id": "k", "response": {"body": "�"}}'


def test_validation_errors_name_their_lines() -> None:
    server = BatchServer(echo, plans={0: Plan(invalid_lines={2: "invalid_request"})})
    lines = lines_for("a", "b", "a") + b"{not json\n" + input_line("k", body_of("c", model="huge"))
    state, results = carry_out(server, lines + input_line("l", body_of("c", model=None)))
    duplicate = "The custom_id for this request is a duplicate of another request."
    assert state == state_of(
        "failed",
        errors=(
            LineError(2, "invalid_request", "This line is refused."),
            LineError(3, "duplicate_custom_id", duplicate),
            LineError(4, "invalid_json_line", "This line is not parseable as valid JSON."),
            LineError(5, "model_not_found", "The provided model 'huge' is not supported by the Batch API."),
            LineError(6, "invalid_request", "Model parameter is required."),
        ),
    )
    assert results == []
    assert server.billed() == Bill(Tokens(), Tokens())


def test_a_full_queue_fails_the_batch() -> None:
    state, _ = carry_out(BatchServer(echo, plans={0: Plan(token_limit=True)}), lines_for("a"))
    assert state == state_of("failed", errors=(LineError(None, "token_limit_exceeded", TOKEN_LIMIT),))


def test_what_was_done_before_a_batch_expired_is_kept() -> None:
    server = BatchServer(echo, plans={0: Plan(expires_after=1)})
    state, results = carry_out(server, lines_for("a", "b"))
    expired = "This request could not be executed before the completion window expired."
    assert state == state_of("expired", completed=1, total=2, output_file_id="file-1", error_file_id="file-2")
    assert results == [answered("a"), LineResult(key_of("b"), None, "", ("batch_expired", expired))]
    assert server.billed().batch == Tokens(1500, 1280, 120)


def test_a_cancelled_batch_keeps_what_was_done() -> None:
    async def use(api: BatchAPI) -> tuple[list[BatchState], Results]:
        batch_id = (await submit(api, lines_for("a", "b"), "t1")).id
        states = [await api.retrieve(batch_id), await api.cancel(batch_id), await api.retrieve(batch_id)]
        return [*states, await api.cancel(batch_id)], await all_results(api, states[-1])

    (states, results), _ = run(BatchServer(echo), use)
    last = state_of("cancelled", completed=1, total=2, output_file_id="file-1", error_file_id="file-2")
    assert states == [state_of("in_progress", total=2), state_of("cancelling", total=2), last, last]
    cancelled = "This request was not executed, as the batch was cancelled."
    assert results == [answered("a"), LineResult(key_of("b"), None, "", ("batch_cancelled", cancelled))]


def test_cancelling_what_is_done_already_changes_nothing() -> None:
    async def use(api: BatchAPI) -> BatchState:
        return await api.cancel((await finished(api, (await submit(api, lines_for("a"), "t1")).id)).id)

    server = BatchServer(echo)
    state, waits = run(server, use)
    assert state == state_of("completed", completed=1, total=1, output_file_id="file-1")
    assert (server.calls["cancel"], waits) == (1, [])


@pytest.mark.parametrize("status", [400, 409])
def test_a_running_batch_that_will_not_be_cancelled_is_an_error(status: int) -> None:
    server = BatchServer(echo, faults={"cancel": [Fault(status)]})

    async def use(api: BatchAPI) -> str:
        state = await submit(api, lines_for("a"), "t1")
        with pytest.raises(TeacherFailure) as raised:
            await api.cancel(state.id)
        return raised.value.reason

    assert run(server, use) == (f"http_{status}", [])


@pytest.mark.parametrize(
    "lost", [LOST, Fault(500, late=True), Fault(200, late=True, body=b"<html>"), Fault(409, late=True)]
)
def test_a_batch_whose_making_was_not_confirmed_is_found_and_not_made_again(lost: Fault) -> None:
    server = BatchServer(echo, faults={"create": [lost]})
    state, waits = run(server, lambda api: submit(api, lines_for("a"), "t1"))
    assert state == state_of("in_progress", total=1)
    assert [batch.metadata for batch in server.batches] == [{"vitkit": "t1"}]
    assert waits[1:] == [SETTLE_SECONDS]


@pytest.mark.parametrize("trouble", [DROPPED, Fault(503)])
def test_a_batch_that_was_not_made_is_made_after_a_look(trouble: Fault) -> None:
    server = BatchServer(echo, faults={"create": [None, trouble, trouble]})

    async def use(api: BatchAPI) -> list[BatchState]:
        return [await submit(api, lines_for(tag), tag) for tag in ("t1", "t2")]

    states, _ = run(server, use)
    assert states == [state_of("validating"), state_of("validating", id="batch_1", tag="t2")]
    assert (server.calls["create"], server.calls["list"], len(server.batches)) == (4, 2, 2)


def test_no_batch_is_made_without_a_look_even_if_looking_fails() -> None:
    server = BatchServer(echo, faults={"create": [LOST], "list": [Fault(500), Fault(500)]})
    run(server, lambda api: submit(api, lines_for("a"), "t1"))
    assert (server.calls["create"], server.calls["list"], len(server.batches)) == (1, 3, 1)


def test_a_refused_creation_is_repeated_as_told_without_a_look() -> None:
    slow = Fault(429, {"Retry-After": "7"})
    server = BatchServer(echo, faults={"create": [slow, slow]})
    state, waits = run(server, lambda api: submit(api, lines_for("a"), "t1"))
    assert state == state_of("validating")
    assert (server.calls["create"], server.calls["list"], waits) == (3, 0, [7.0, 7.0])


@pytest.mark.parametrize(
    ("code", "meaning"), [("insufficient_quota", TeacherStopped), ("token_limit_exceeded", QueueIsFull)]
)
def test_a_lasting_refusal_is_not_waited_for(code: str, meaning: type[Exception]) -> None:
    body = msgspec.json.encode({"error": {"message": "no", "code": code}})
    server = BatchServer(echo, faults={"create": [Fault(429, body=body)]})

    async def use(api: BatchAPI) -> None:
        with pytest.raises(meaning, match=r"no(\): add credit, then run the same command)?$"):
            await submit(api, lines_for("a"), "t1")

    _, waits = run(server, use)
    assert (waits, server.calls["create"], len(server.batches)) == ([], 1, 0)


TROUBLES = [Fault(500), Fault(429, {"retry-after": "0"}), Fault(408), DROPPED, Fault(200, body=b"<html>")]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("endpoint", ["upload", "retrieve", "list", "cancel"])
def test_passing_trouble_is_waited_out(endpoint: str, trouble: Fault) -> None:
    server = BatchServer(echo, faults={endpoint: [trouble] * 3})

    async def use(api: BatchAPI) -> list[BatchState | None]:
        first = await submit(api, lines_for("a"), "t1")
        calls = await api.retrieve(first.id), await api.find("t1"), await api.cancel(first.id)
        return [first, *calls]

    states, _ = run(server, use)
    done = state_of("completed", completed=1, total=1, output_file_id="file-1")
    assert states == [state_of("validating"), state_of("in_progress", total=1), done, done]
    assert len(server.batches) == 1


def test_what_lasts_is_given_up_and_raised() -> None:
    server = BatchServer(echo, faults={"retrieve": [Fault(500)] * ATTEMPTS})

    async def use(api: BatchAPI) -> str:
        state = await submit(api, lines_for("a"), "t1")
        with pytest.raises(TeacherRetry) as raised:
            await api.retrieve(state.id)
        return raised.value.reason

    reason, waits = run(server, use)
    assert (reason, len(waits), server.calls["retrieve"]) == ("http_500", ATTEMPTS - 1, ATTEMPTS)


def test_nobody_is_kept_waiting_for_ever() -> None:
    async def use(api: BatchAPI) -> None:
        with pytest.raises(TeacherStopped, match="asks to wait for 86,400 seconds"):
            await submit(api, lines_for("a"), "t1")

    server = BatchServer(echo, faults={"upload": [Fault(503, {"Retry-After": "86400"})]})
    assert run(server, use) == (None, [])


def test_a_date_that_is_past_is_not_waited_for() -> None:
    past = Fault(429, {"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT"})
    _, waits = run(
        BatchServer(echo, faults={"upload": [past]}), lambda api: submit(api, lines_for("a"), "t1")
    )
    assert waits == [0.0]


def test_a_wait_that_cannot_be_read_is_chosen_here() -> None:
    odd = Fault(429, {"Retry-After": "soon"})
    _, (wait,) = run(
        BatchServer(echo, faults={"upload": [odd]}), lambda api: submit(api, lines_for("a"), "t1")
    )
    assert 0.5 <= wait <= 0.75


@pytest.mark.parametrize(
    ("refused", "meaning", "words"),
    [
        (lambda api: api.retrieve("batch_9"), NotThere, "knows no batch batch_9"),
        (lambda api: api.cancel("batch_9"), NotThere, "knows no batch batch_9"),
        (
            lambda api: all_results(api, state_of("completed", output_file_id="gone")),
            NotThere,
            "has no file gone, which holds results",
        ),
        (lambda api: submit(api, b"x" * 1001, "t1"), TeacherFailure, "http_400: File is too large."),
        (lambda api: submit(api, lines_for("a"), "t" * 513), TeacherFailure, "http_400: Invalid 'metadata"),
    ],
)
def test_a_refusal_is_raised_at_once(
    refused: Callable[[BatchAPI], Awaitable[object]], meaning: type[Exception], words: str
) -> None:
    async def use(api: BatchAPI) -> None:
        with pytest.raises(meaning, match=words):
            await refused(api)

    assert run(BatchServer(echo, most_bytes=1000), use) == (None, [])


@pytest.mark.parametrize("endpoint", ["upload", "create", "list"])
@pytest.mark.parametrize("status", [404, 405])
def test_an_endpoint_without_batches_is_said_to_have_none(endpoint: str, status: int) -> None:
    async def use(api: BatchAPI) -> None:
        with pytest.raises(NotThere, match="/v1 has no batch endpoint: use --teacher openai"):
            await submit(api, lines_for("a"), "t1")
            await api.find("t1")

    assert run(BatchServer(echo, faults={endpoint: [Fault(status)]}), use) == (None, [])


def test_the_key_is_masked_where_an_endpoint_echoes_it() -> None:
    echoed = failure(400, "invalid", "no sk-test-0123")
    body = msgspec.json.encode({"error": {"message": "bad key sk-test-0123"}})
    server = BatchServer(echo_except(a=echoed), faults={"cancel": [Fault(401, body=body)]})

    async def use(api: BatchAPI) -> tuple[str, Results]:
        batch_id = (await submit(api, lines_for("a"), "t1")).id
        with pytest.raises(TeacherStopped) as raised:
            await api.cancel(batch_id)
        return str(raised.value), await all_results(api, await finished(api, batch_id))

    (message, results), _ = run(server, use)
    assert "bad key [key]" in message
    masked = echoed.body.replace(b"sk-test-0123", b"[key]").decode()
    assert results == [LineResult(key_of("a"), 400, masked, None)]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("trouble", [LOST, DROPPED, Fault(500)])
def test_a_download_that_breaks_off_is_fetched_again_before_it_is_read(
    trouble: Fault, chunked: bool, tmp_path: Path
) -> None:
    texts = [f"{number} " + "x" * 100 for number in range(1000)]
    server = BatchServer(echo, faults={"download": [trouble] * 2}, chunked_downloads=chunked)

    async def use(api: BatchAPI) -> Results:
        state = await finished(api, (await submit(api, lines_for(*texts), "t1")).id)
        return await all_results(api, state)

    results, _ = run(server, use, scratch=tmp_path)
    assert results == [answered(text) for text in texts]
    assert server.calls["download"] == 3
    assert list(tmp_path.iterdir()) == []


def test_find_walks_every_page() -> None:
    server = BatchServer(echo)

    async def use(api: BatchAPI) -> list[BatchState | None]:
        for number in range(201):
            await submit(api, lines_for("a"), f"t{number}")
        return [await api.find(tag) for tag in ("t0", "t200", "t201")]

    states, _ = run(server, use)
    assert states == [
        state_of("in_progress", total=1, tag="t0"),
        state_of("in_progress", total=1, id="batch_200", tag="t200"),
        None,
    ]
    assert server.calls["list"] == 3 + 1 + 3


def test_a_list_without_pages_is_walked_once() -> None:
    server = BatchServer(echo, pages=False)

    async def use(api: BatchAPI) -> tuple[BatchState | None, BatchState | None]:
        await submit(api, lines_for("a"), "t1")
        return await api.find("t1"), await api.find("t2")

    states, _ = run(server, use)
    assert states == (state_of("in_progress", total=1), None)
    assert server.calls["list"] == 1 + 2  # the second list is the first again


def test_a_request_answered_in_two_batches_and_online_is_paid_three_times() -> None:
    """The server's own books, on which tests of paying once rest."""
    server = BatchServer(echo)

    async def use(api: BatchAPI) -> str:
        for tag in ("t1", "t2"):
            await finished(api, (await submit(api, lines_for("a"), tag)).id)
        teacher = OpenAITeacher("tiny", server.base_url)
        await teacher.start()
        try:
            return (await teacher.ask(body_of("a"))).reply.body
        finally:
            await teacher.close()

    text, _ = run(server, use)
    assert text == said("a").body.decode()
    assert server.answered == Counter({key_of("a"): 2})
    assert server.paid == Counter({body_of("a"): 3})
    assert server.billed() == Bill(batch=Tokens(3000, 2560, 240), online=Tokens(1500, 1280, 120))
