"""The fault server, asked by plain clients: what arrives, what stands in its books, what it bills."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

import aiohttp
import pytest

from tests.datagen.chat_server import (
    Answer,
    ChatServer,
    Drop,
    Prices,
    Script,
    Usage,
    billed_for,
    completion,
    error,
)
from tests.datagen.faults import (
    HTML,
    Faults,
    billing_teacher,
    duration,
    http_date,
    knows_no_response_format,
    limited,
    make_faults,
    wants_default_temperature,
    wants_max_completion_tokens,
)

FIXED = Usage(1500, 1280, 120)
GOOD = completion("A dog.")
NOBODY_WAITS_SO_LONG = 3600.0


def asking(text: str = "a proxy", **parameters: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], **parameters}


@contextlib.contextmanager
def sent(server: ChatServer, body: dict[str, Any]) -> Iterator[http.client.HTTPConnection]:
    """A connection on which the answer has yet to be read."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        headers = {"Content-Type": "application/json", "Authorization": "Bearer k", "X-Other": "1"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        yield connection


def post(server: ChatServer, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    with sent(server, body) as connection:
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read()


def message_of(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(answer.body)["choices"][0]["message"]
    return message


def settled(server: ChatServer) -> list[tuple[int, Usage | None, bool]]:
    return [(entry.status, entry.billed, entry.delivered) for entry in server.books]


def test_an_answer_stands_in_the_books_before_the_client_has_it() -> None:
    before = time.monotonic()
    with ChatServer(lambda body, attempt: error(503) if attempt == 0 else GOOD) as server:
        for n in range(2):
            post(server, asking())
            assert len(server.books) == n + 1
    raw = json.dumps(asking()).encode()
    headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
    assert [entry._replace(started=0, ended=0) for entry in server.books] == [
        (raw, 0, 503, None, True, 0, 0, headers),
        (raw, 1, 200, FIXED, True, 0, 0, headers),
    ]
    times = [moment for entry in server.books for moment in (entry.started, entry.ended)]
    assert [before, *times] == sorted([before, *times])
    assert server.answered == 1


def test_the_bill_takes_cached_tokens_out_of_the_prompt() -> None:
    with ChatServer(lambda body, attempt: GOOD) as server:
        assert (server.billed(), server.bill(Prices(1, 1, 1))) == (Usage(0, 0, 0), 0)
        for n in range(2):
            post(server, asking(str(n)))
    assert server.billed() == Usage(3000, 2560, 240)
    assert server.bill(Prices(input=2.0, cached_input=0.5, output=10.0)) == (
        (440 * 2.0 + 2560 * 0.5 + 240 * 10.0) / 1_000_000
    )


def dropping(drop: Drop, chunked: bool = False) -> Script:
    return lambda body, attempt: Answer(GOOD.body, drop=drop, chunked=chunked)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_whole_answer_leaves_the_connection_open(chunked: bool) -> None:
    with ChatServer(dropping("", chunked)) as server, sent(server, asking()) as connection:
        assert connection.getresponse().read() == GOOD.body
        assert connection.sock is not None
        connection.request("POST", "/v1/chat/completions", json.dumps(asking()))
        assert connection.getresponse().read() == GOOD.body
    assert settled(server) == [(200, FIXED, True)] * 2


def test_dropped_before_there_is_no_byte_and_no_bill() -> None:
    with (
        ChatServer(dropping("before")) as server,
        sent(server, asking()) as connection,
        pytest.raises(http.client.RemoteDisconnected),
    ):
        connection.getresponse()
    assert settled(server) == [(200, None, False)]


@pytest.mark.parametrize(("drop", "part"), [("headers", b""), ("during", GOOD.body[: len(GOOD.body) // 2])])
@pytest.mark.parametrize("chunked", [False, True])
def test_dropped_on_the_way_there_is_a_part_and_the_whole_bill(
    drop: Drop, part: bytes, chunked: bool
) -> None:
    with ChatServer(dropping(drop, chunked)) as server, sent(server, asking()) as connection:
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("Content-Length") == (None if chunked else str(len(GOOD.body)))
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    assert caught.value.partial == part
    assert settled(server) == [(200, FIXED, False)]
    assert (server.answered, server.billed()) == (0, FIXED)


@pytest.mark.parametrize("chunked", [False, True])
def test_dropped_after_there_is_the_whole_answer_and_no_connection_any_more(chunked: bool) -> None:
    with ChatServer(dropping("after", chunked)) as server, sent(server, asking()) as connection:
        response = connection.getresponse()
        assert response.getheader("Connection") is None, "the client is not told"
        assert response.read() == GOOD.body
        assert connection.sock is not None
        assert connection.sock.recv(1) == b""
    assert settled(server) == [(200, FIXED, True)]


def test_aiohttp_sees_the_drops_as_what_they_are() -> None:
    async def see(server: ChatServer) -> str:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.post(f"{server.base_url}/chat/completions", json=asking()) as response:
                    return (await response.read()).decode()
            except aiohttp.ClientError as failure:
                return type(failure).__name__

    seen = {}
    drops: tuple[Drop, ...] = ("before", "headers", "during", "after")
    for drop in drops:
        with ChatServer(dropping(drop)) as server:
            seen[drop] = asyncio.run(see(server))
    assert seen == {
        "before": "ServerDisconnectedError",
        "headers": "ClientPayloadError",
        "during": "ClientPayloadError",
        "after": GOOD.body.decode(),
    }


class Stalled:
    """A script that stalls for good, and says when it has been asked that many times."""

    def __init__(self, answer: Answer, asked: int = 1) -> None:
        self.answer = Answer(answer.body, answer.status, seconds=NOBODY_WAITS_SO_LONG)
        self.still_to_come = asked
        self.all_asked = threading.Event()

    def __call__(self, body: dict[str, Any], attempt: int) -> Answer:
        self.still_to_come -= 1
        if self.still_to_come == 0:
            self.all_asked.set()
        return self.answer


@pytest.mark.parametrize(("answer", "billed"), [(GOOD, FIXED), (error(500), None)])
def test_a_client_that_leaves_pays_for_the_answer_it_would_have_had(
    answer: Answer, billed: Usage | None
) -> None:
    script = Stalled(answer)
    with ChatServer(script) as server:
        with sent(server, asking()):
            assert script.all_asked.wait(60)
        server.script = lambda body, attempt: error(404)
        lost = (answer.status, billed, False)
        # The loss lies in the server's queue before the first of these, so that it takes few.
        for _ in range(100):
            if lost in settled(server):
                break
            post(server, asking())
        assert [entry for entry in settled(server) if entry != (404, None, True)] == [lost]


def test_the_server_stops_at_once_however_many_stall() -> None:
    script = Stalled(GOOD, asked=50)
    with contextlib.ExitStack() as clients, ChatServer(script) as server:
        for n in range(50):
            clients.enter_context(sent(server, asking(str(n))))
        half_sent = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        half_sent.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n{")
        assert script.all_asked.wait(60)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    assert settled(server) == [(200, FIXED, False)] * 50
    assert server.most_in_flight == 50


def test_the_server_waits_for_no_client_that_does_not_read() -> None:
    asked = threading.Event()

    def script(body: dict[str, Any], attempt: int) -> Answer:
        asked.set()
        return completion("A dog." * 5_000_000)

    with contextlib.ExitStack() as clients, ChatServer(script) as server:
        clients.enter_context(sent(server, asking()))
        assert asked.wait(60)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    assert settled(server) == [(200, FIXED, False)]


def test_a_script_that_fails_is_booked_as_what_was_sent() -> None:
    def script(body: dict[str, Any], attempt: int) -> Answer:
        raise RuntimeError("a mistake")

    with ChatServer(script) as server:
        assert post(server, asking())[0] == 500
    assert settled(server) == [(500, None, False)]


@pytest.mark.parametrize(
    ("answer", "billed"),
    [
        (completion("A dog.", usage=(7, 0, 2)), Usage(7, 0, 2)),
        (completion("A dog.", usage=None), Usage(0, 0, 0)),
        (Answer(b'{"choices": [], "usage": {"prompt_tokens": 7}}'), Usage(7, 0, 0)),
        (Answer(b'{"choices": []}'), None),
        (Answer(b'{"choices": ["\xff"]}'), None),
        (Answer(HTML), None),
        (Answer(HTML, bills=Usage(7, 0, 2)), Usage(7, 0, 2)),
        (Answer(GOOD.body, 500), None),
    ],
)
def test_billed_is_what_a_provider_has_written(answer: Answer, billed: Usage | None) -> None:
    assert billed_for(answer) == billed


def test_usage_is_counted_from_the_messages_and_a_long_prefix_is_cached_once_seen() -> None:
    def count(text: str) -> int:
        return len(text.split())

    def messages(words: int, last: str) -> dict[str, Any]:
        said = [("system", "word " * (words - 1)), ("assistant", "word"), ("user", last)]
        return {"messages": [{"role": role, "content": content} for role, content in said]}

    teacher = billing_teacher(count, lambda messages: "About " + messages[-1]["content"])
    asked = [(1024, "a dog"), (1024, "one cat here"), (1024, "a dog"), (1023, "a dog"), (1023, "a dog")]
    answers = [teacher(messages(*one), 0) for one in asked]
    assert [billed_for(answer) for answer in answers] == [
        Usage(1026, 0, 3),
        Usage(1027, 1024, 4),
        Usage(1026, 1024, 3),
        Usage(1025, 0, 3),
        Usage(1025, 0, 3),
    ]
    assert message_of(answers[1]) == {"role": "assistant", "content": "About one cat here"}


def test_limits_are_told_on_every_answer_and_kept() -> None:
    moments = iter([0.0, 0.0, 0.0, 1.0, 30.5, 31.0])  # the first when the limit is set
    script = limited(
        lambda body, attempt: GOOD, requests=2, tokens=600, per_seconds=60, now=lambda: next(moments)
    )
    with ChatServer(script) as server:
        answers = [post(server, asking("a proxy!" * 2, max_tokens=96)) for _ in range(5)]
    told = [f"{what}-{of}" for of in ("requests", "tokens") for what in ("limit", "remaining", "reset")]
    assert [
        (status, headers.get("retry-after"), *(headers[f"x-ratelimit-{name}"] for name in told))
        for status, headers, _ in answers
    ] == [
        (200, None, "2", "1", "30s", "600", "500", "10s"),
        (200, None, "2", "0", "1m0s", "600", "400", "20s"),
        (429, "29", "2", "0", "59s", "600", "410", "19s"),
        (200, None, "2", "0", "59.5s", "600", "500", "10s"),
        (429, "29", "2", "0", "59s", "600", "505", "9.5s"),
    ]  # fmt: skip
    assert [json.loads(body)["error"]["code"] for status, _, body in answers if status == 429] == [
        "rate_limit_exceeded"
    ] * 2


@pytest.mark.parametrize(
    ("retry_after", "told"), [("seconds", "60"), ("date", "Thu, 01 Jan 1970 00:01:41 GMT"), ("", None)]
)
def test_a_refusal_tells_when_to_come_back_as_asked(
    retry_after: Literal["seconds", "date", ""], told: str | None
) -> None:
    script = limited(
        lambda body, attempt: GOOD, requests=9, tokens=100, now=lambda: 40.5, retry_after=retry_after
    )
    assert script(asking(max_tokens=99), 0).status == 200
    assert script(asking(max_tokens=99), 0).headers.get("retry-after") == told


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"), (0.12, "120ms"), (1, "1s"), (7.66, "7.66s"), (59.999, "59.999s"), (60, "1m0s"),
        (360, "6m0s"), (3600, "1h0m0s"), (86_399.5, "23h59m59.5s"),
    ],
)  # fmt: skip
def test_durations_are_written_as_openai_does(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_http_dates_are_whole_seconds_not_too_early() -> None:
    assert http_date(0.5) == "Thu, 01 Jan 1970 00:00:01 GMT"


NO_JSON = ("truncated_json", "invalid_json", "duplicated")
EDITED = ("no_usage", "empty_choices", "null_content", "length", "content_filter", "reasoning", "refusal")


def test_every_fault_is_what_its_name_says() -> None:
    faults = make_faults(retry_after="0.01", stall_seconds=0.5, timeout_seconds=9)
    assert {
        name: (made.status, made.content_type, made.drop, made.seconds, made.headers, billed_for(made))
        for name, made in ((name, fault(GOOD)) for name, fault in faults.items())
    } == {
        "429": (429, "application/json", "", 0, {}, None),
        "429_retry_after": (429, "application/json", "", 0, {"retry-after": "0.01"}, None),
        "500": (500, "application/json", "", 0, {}, None),
        "502": (502, "text/html", "", 0, {}, None),
        "503": (503, "application/json", "", 0, {}, None),
        "503_retry_after": (503, "application/json", "", 0, {"retry-after": "0.01"}, None),
        "timeout": (200, "application/json", "", 9, {}, FIXED),
        "stall": (200, "application/json", "", 0.5, {}, FIXED),
        "drop_before": (200, "application/json", "before", 0, {}, None),
        "drop_headers": (200, "application/json", "headers", 0, {}, FIXED),
        "drop_during": (200, "application/json", "during", 0, {}, FIXED),
        "drop_after": (200, "application/json", "after", 0, {}, FIXED),
        "html_200": (200, "text/html", "", 0, {}, None),
        "wrong_content_type": (200, "text/plain", "", 0, {}, FIXED),
    } | dict.fromkeys(
        (*NO_JSON, *EDITED),
        (200, "application/json", "", 0, {}, FIXED),
    )


@pytest.mark.parametrize("name", [*NO_JSON, "html_200", "502"])
def test_some_faults_have_bodies_that_are_no_json(name: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(make_faults()[name](GOOD).body)


def test_the_other_bodies_differ_from_the_good_one_in_what_is_wrong() -> None:
    def changed(name: str) -> dict[str, Any]:
        good, body = (json.loads(answer.body) for answer in (GOOD, make_faults()[name](GOOD)))
        return {key: body.get(key) for key in good if body.get(key) != good[key]}

    def choice(finish_reason: str, **message: str | None) -> dict[str, Any]:
        said = {"role": "assistant", "content": "A dog."} | message
        return {"choices": [{"index": 0, "message": said, "finish_reason": finish_reason}]}

    assert {name: changed(name) for name in EDITED} == {
        "no_usage": {"usage": None},
        "empty_choices": {"choices": []},
        "null_content": choice("stop", content=None),
        "length": choice("length", content="A d"),
        "content_filter": choice("content_filter", content=""),
        "reasoning": choice("stop", reasoning_content="The user wants to know …"),
        "refusal": choice("stop", content=None, refusal="I can't help with that."),
    }


# Those that a client sees through to the end, so that the books need not tell attempts apart.
RATES = {"429": 0.2, "500": 0.1, "drop_during": 0.1, "stall": 0.1, "no_usage": 0.1, "drop_before": 0.1}


def test_faults_depend_on_body_and_attempt_and_not_on_order() -> None:
    asked = [(asking(str(n)), attempt) for n in range(200) for attempt in range(5)]
    shuffled = random.Random(0).sample(asked, len(asked))

    def drawn(faults: Faults, pairs: list[tuple[dict[str, Any], int]]) -> dict[tuple[str, int], Answer]:
        return {(json.dumps(body), attempt): faults(body, attempt) for body, attempt in pairs}

    def script(body: dict[str, Any], attempt: int) -> Answer:
        return GOOD

    in_order = drawn(Faults(1, script, RATES), asked)
    assert drawn(Faults(1, script, dict(reversed(RATES.items()))), shuffled) == in_order
    assert drawn(Faults(2, script, RATES), asked) != in_order
    assert all(answer == GOOD for (_, attempt), answer in in_order.items() if attempt >= 3)
    rate = sum(answer != GOOD for (_, attempt), answer in in_order.items() if attempt < 3) / 600
    assert 0.65 < rate < 0.75


def test_faults_are_the_same_for_one_client_and_for_many() -> None:
    bodies = [asking(str(n)) for n in range(40)]

    async def ask(server: ChatServer, at_once: int) -> None:
        places = asyncio.Semaphore(at_once)

        async def until_answered(session: aiohttp.ClientSession, body: dict[str, Any]) -> None:
            for _ in range(4):
                try:
                    async with (
                        places,
                        session.post(f"{server.base_url}/chat/completions", json=body) as reply,
                    ):
                        await reply.read()
                except aiohttp.ClientError:
                    pass

        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(until_answered(session, body) for body in bodies))

    books = []
    for at_once in (1, 20):
        with ChatServer(Faults(7, lambda body, attempt: GOOD, RATES, stall_seconds=0.001)) as server:
            asyncio.run(ask(server, at_once))
        books.append(
            sorted(
                (entry.body, entry.attempt, entry.status, entry.billed, entry.delivered)
                for entry in server.books
            )
        )
    assert books[0] == books[1]
    assert len(books[0]) == 160


def test_faults_leave_errors_of_their_script_alone() -> None:
    faults = Faults(1, lambda body, attempt: error(404), {"refusal": 1.0})
    assert faults(asking(), 0) == error(404)


def test_faults_that_there_are_not_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no such faults: \['429s'\]; there are \['429', "):
        Faults(1, lambda body, attempt: GOOD, {"429s": 0.1})
    with pytest.raises(ValueError, match=r"sum up to 1\.2"):
        Faults(1, lambda body, attempt: GOOD, {"429": 0.6, "500": 0.6})


@pytest.mark.parametrize(
    ("script", "refused", "taken", "said"),
    [
        (
            wants_max_completion_tokens(lambda body, attempt: GOOD),
            {"max_tokens": 5},
            {"max_completion_tokens": 5},
            {
                "message": "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
                "code": "unsupported_parameter",
                "param": "max_tokens",
                "type": "invalid_request_error",
            },
        ),
        (
            wants_default_temperature(lambda body, attempt: GOOD),
            {"temperature": 0.7},
            {"temperature": 1.0},
            {
                "message": "Unsupported value: 'temperature' does not support 0.7 with this model. "
                "Only the default (1) value is supported.",
                "code": "unsupported_value",
                "param": "temperature",
                "type": "invalid_request_error",
            },
        ),
        (
            knows_no_response_format(lambda body, attempt: GOOD),
            {"response_format": {"type": "json_object"}},
            {},
            {
                "message": "Unrecognized request argument supplied: response_format",
                "code": None,
                "param": "response_format",
                "type": "invalid_request_error",
            },
        ),
    ],
)
def test_a_parameter_that_is_not_known_is_refused_by_name(
    script: Script, refused: dict[str, Any], taken: dict[str, Any], said: dict[str, Any]
) -> None:
    refusal = script(asking(**refused), 0)
    assert (refusal.status, json.loads(refusal.body)) == (400, {"error": said})
    assert script(asking(**taken), 0) == script(asking(), 0) == GOOD
