"""The OpenAI teacher over real HTTP on loopback: what is sent, what an answer means, what is never shown."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import msgspec
import pytest
from aiohttp import web

from datagen.records import (
    ImageAnnotation,
    InputError,
    Message,
    ReplyForm,
    TeacherReply,
    TeacherRequest,
    Unit,
)
from datagen.teacher import Answered, TeacherFailure, TeacherRetry, TeacherStopped, openai_api
from datagen.teacher.openai_api import REPLY_FORMAT, OpenAITeacher, asked_to_wait
from datagen.teacher.retries import ATTEMPTS_WHILE_RATE_LIMITED, retrying
from tests.datagen.chat_server import Answer, ChatServer, Script, Usage, completion, error
from tests.datagen.faults import (
    HTML,
    duration,
    http_date,
    knows_no_response_format,
    make_faults,
    wants_default_temperature,
    wants_max_completion_tokens,
)

KEY = "sk-canary-0123456789"
GOOD = completion("A dog.")
REPLY = TeacherReply(GOOD.body.decode(), True, 1500, 1280, 120)
FAULTS = make_faults(retry_after="7")
PLANNED = {
    "model": "tiny",
    "messages": [{"role": "system", "content": "Describe."}, {"role": "user", "content": "a proxy"}],
    "temperature": 0.7,
    "max_tokens": 512,
}

T = TypeVar("T")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture(autouse=True)
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the system's takes longer than all else here, and nothing here is encrypted."""
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: None)


def request(
    image_id: int = 1,
    index: int = 0,
    text: str = "a proxy",
    temperature: float = 0.7,
    reply_form: ReplyForm = "answer",
) -> TeacherRequest:
    return TeacherRequest(
        unit=Unit(image_id, "detail", index),
        annotation=ImageAnnotation(image_id, f"{image_id}.jpg", 640, 480, ("A dog.",), ()),
        reply_form=reply_form,
        question="Describe it.",
        frame="camera",
        vocabulary=("dog",),
        pack_hash="0",
        seed=0,
        temperature=temperature,
        max_tokens=512,
        messages=(Message("system", "Describe."), Message("user", text)),
    )


class Said(NamedTuple):
    """All that an exception of a teacher holds."""

    kind: type[Exception]
    reason: str
    detail: str
    wait: float | None = None
    overloaded: bool = False
    may_be_billed: bool = False
    is_its_own: bool = False


def retry(reason: str, detail: str = "no", wait: float | None = None, **flags: bool) -> Said:
    return Said(TeacherRetry, reason, detail, wait, **flags)


def stopped(message: str) -> Said:
    return Said(TeacherStopped, "", message)


Came = TeacherReply | Said
"""Of one attempt; a reply without its seconds."""


async def attempt(teacher: OpenAITeacher, body: bytes) -> Came:
    try:
        return (await teacher.ask(body)).reply._replace(seconds=0)
    except TeacherRetry as failed:
        billed = failed.may_be_billed
        return Said(TeacherRetry, failed.reason, failed.detail, failed.wait, failed.overloaded, billed)
    except TeacherFailure as failed:
        return Said(TeacherFailure, failed.reason, failed.detail, is_its_own=failed.is_its_own)
    except TeacherStopped as failed:
        return stopped(str(failed).replace(str(teacher.endpoint), "URL"))


def with_teacher(server: ChatServer, use: Callable[[OpenAITeacher], Awaitable[T]]) -> T:
    async def go() -> T:
        teacher = OpenAITeacher("tiny", server.base_url)
        try:
            await teacher.start()
            return await use(teacher)
        finally:
            await teacher.close()

    return asyncio.run(go())


def ask(script: Script, *requests: TeacherRequest) -> tuple[list[Came], ChatServer]:
    """One attempt at each request, one after the other; what came of each, and the server's books."""

    async def use(teacher: OpenAITeacher) -> list[Came]:
        return [await attempt(teacher, teacher.body(one)) for one in requests]

    with ChatServer(script) as server:
        return with_teacher(server, use), server


def came_of(answer: Answer) -> Came:
    """What one attempt makes of an answer."""
    (came,), _ = ask(lambda body, attempt: answer, request())
    return came


# What is sent


def test_the_body_is_sent_as_planned_and_the_reply_kept_as_it_came() -> None:
    (came,), server = ask(lambda body, attempt: GOOD, request())
    (entry,) = server.books
    assert msgspec.json.decode(entry.body) == PLANNED
    assert entry.body == OpenAITeacher("tiny", server.base_url).body(request())
    assert entry.headers["Content-Type"] == "application/json"
    assert came == REPLY
    assert server.authorizations == {f"Bearer {KEY}"}


def test_a_reply_in_the_json_form_is_asked_for_with_its_schema() -> None:
    _, server = ask(lambda body, attempt: GOOD, request(reply_form="json"))
    assert server.requests == [PLANNED | {"response_format": REPLY_FORMAT}]
    schema: Any = REPLY_FORMAT["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["properties"]["turns"]["items"]["required"] == ["question", "answer"]


def test_the_bytes_of_a_request_are_the_same_whenever_it_is_made() -> None:
    first, second = (OpenAITeacher("tiny", "http://a/v1") for _ in range(2))
    assert first.body(request()) == first.body(request()) == second.body(request())


def test_how_long_a_reply_took_is_kept_with_it() -> None:
    async def use(teacher: OpenAITeacher) -> Answered:
        return await teacher.ask(teacher.body(request()))

    with ChatServer(lambda body, attempt: replace(GOOD, seconds=0.05)) as server:
        answered = with_teacher(server, use)
    assert 0.05 <= answered.reply.seconds < 5


def test_the_key_names_everything_that_decides_the_reply_and_nothing_else() -> None:
    teacher = OpenAITeacher("tiny", "http://a/v1/")
    base = teacher.key(request())
    assert len(base) == 32
    assert teacher.key(request(image_id=2)) == base, "the image's number is not sent"
    assert OpenAITeacher("tiny", "http://a/v1?token=1").key(request()) == base, "secrets decide nothing"
    others = {
        teacher.key(request(index=1)),
        teacher.key(request(text="another proxy")),
        teacher.key(request(temperature=0)),
        teacher.key(request(reply_form="json")),
        OpenAITeacher("large", "http://a/v1").key(request()),
        OpenAITeacher("tiny", "http://b/v1").key(request()),
    }
    assert len(others | {base}) == 7


def test_a_reply_from_a_batch_answers_the_same_request_online_and_the_other_way_round() -> None:
    online, batch = (OpenAITeacher("tiny", "http://a/v1", in_batches=each) for each in (False, True))
    assert (online.name, batch.name) == ("openai", "openai-batch")
    assert online.key(request()) == batch.key(request())
    assert online.body(request()) == batch.body(request())


def test_many_at_once_are_many_at_once() -> None:
    async def use(teacher: OpenAITeacher) -> list[Came]:
        bodies = [teacher.body(request(text=str(n))) for n in range(150)]
        return await asyncio.gather(*(attempt(teacher, body) for body in bodies))

    def script(body: dict[str, Any], attempt: int) -> Answer:
        return replace(completion(f"about {body['messages'][-1]['content']}"), seconds=2.0)

    with ChatServer(script) as server:
        replies = with_teacher(server, use)
    bodies = [json.loads(reply.body) for reply in replies if isinstance(reply, TeacherReply)]
    assert [body["choices"][0]["message"]["content"] for body in bodies] == [f"about {n}" for n in range(150)]
    assert server.most_in_flight == 150


# What may pass next time


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (408, retry("http_408")),
        (409, retry("http_409")),
        (425, retry("http_425")),
        (429, retry("rate_limited", overloaded=True)),
        (500, retry("http_500", may_be_billed=True)),
        (502, retry("http_502", may_be_billed=True)),
        (503, retry("http_503", overloaded=True)),
        (504, retry("http_504", may_be_billed=True)),
        (529, retry("http_529", overloaded=True)),
    ],
)
def test_a_status_that_may_pass_says_so_by_name(status: int, expected: Said) -> None:
    assert came_of(error(status)) == expected


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after_ms": "120"}, 0.12),
        ({"retry_after_ms": "120", "retry_after": "7"}, 0.12),
        ({"retry_after_ms": "soon", "retry_after": "7"}, 7.0),
        ({"retry_after": "-7"}, 0.0),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "600"}, 600.0),
    ],
)
def test_how_long_to_wait_is_read_from_the_headers(
    status: int, headers: dict[str, str], wait: float | None
) -> None:
    came = came_of(error(status, **headers))
    assert isinstance(came, Said)
    assert (came.kind, came.wait) == (TeacherRetry, wait)


def test_a_date_to_wait_for_is_a_number_of_seconds_from_now() -> None:
    wait = asked_to_wait({"retry-after": http_date(time.time() + 100)})
    assert wait is not None
    assert 99 < wait <= 101


def test_a_date_that_no_calendar_has_is_as_good_as_none() -> None:
    assert asked_to_wait({"retry-after": "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"}) is None


@pytest.mark.parametrize("told", ["601", "86400"])
def test_a_wait_that_nobody_would_sit_out_stops_the_run(told: str) -> None:
    expected = f"URL asks to wait for {int(told):,} seconds (no): run the same command then"
    assert came_of(error(429, retry_after=told)) == stopped(expected)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("429", retry("rate_limited", "Rate limit reached", overloaded=True)),
        ("429_retry_after", retry("rate_limited", "Rate limit reached", 7.0, overloaded=True)),
        ("500", retry("http_500", "The server had an error", may_be_billed=True)),
        ("502", retry("http_502", HTML.decode(), may_be_billed=True)),
        ("503", retry("http_503", "The engine is overloaded", overloaded=True)),
        ("503_retry_after", retry("http_503", "The engine is overloaded", 7.0, overloaded=True)),
        ("html_200", retry("no_completion", HTML.decode(), may_be_billed=True)),
    ],
)
def test_what_providers_say_when_they_fail(fault: str, expected: Said) -> None:
    assert came_of(FAULTS[fault](GOOD)) == expected


@pytest.mark.parametrize(
    "body",
    [
        GOOD.body[: len(GOOD.body) // 2],
        GOOD.body.replace(b'"', b"'"),
        GOOD.body * 2,
        HTML,
        b'{"error": {"message": "overloaded"}}',
        b'{"choices": []}',
        b'{"choices": null}',
        b"{}",
        b"[]",
        b"null",
        b'"A dog."',
    ],
)
def test_a_200_that_is_no_completion_is_no_reply_and_may_be_billed(body: bytes) -> None:
    assert came_of(Answer(body)) == retry("no_completion", body.decode()[:300], may_be_billed=True)


def test_an_empty_body_is_called_so() -> None:
    assert came_of(Answer(b"")) == retry("no_completion", "an empty body", may_be_billed=True)


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ('{"choices": [{}]}', (None, None, None)),
        ('{"choices": [], "usage": {"prompt_tokens": 7}}', (7, None, None)),
        ('{"choices": [{}], "usage": null}', (None, None, None)),
        ('{"choices": [{}], "usage": "many"}', (None, None, None)),
        ('{"choices": [{}], "usage": {"prompt_tokens": 7, "prompt_tokens_details": null}}', (7, None, None)),
    ],
)
def test_an_odd_reply_is_kept_if_it_may_have_been_charged_for(
    body: str, tokens: tuple[int | None, int | None, int | None]
) -> None:
    prompt, cached, completed = tokens
    assert came_of(Answer(body.encode())) == TeacherReply(body, True, prompt, cached, completed)


@pytest.mark.parametrize(
    "fault", ["empty_choices", "null_content", "length", "content_filter", "refusal", "reasoning"]
)
def test_a_reply_without_a_usable_text_is_kept_with_its_tokens(fault: str) -> None:
    answer = FAULTS[fault](GOOD)
    assert came_of(answer) == TeacherReply(answer.body.decode(), True, 1500, 1280, 120)


def test_a_reply_without_usage_is_kept_without_tokens() -> None:
    answer = FAULTS["no_usage"](GOOD)
    assert came_of(answer) == TeacherReply(answer.body.decode(), True)


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/octet-stream", "nonsense"])
def test_a_reply_is_read_whatever_it_is_declared_as(kind: str) -> None:
    assert came_of(replace(GOOD, content_type=kind)) == REPLY


def test_a_body_that_is_not_utf_8_loses_no_more_than_those_bytes() -> None:
    body = GOOD.body.replace(b"A dog.", b"A d\xffg.")
    assert came_of(Answer(body)) == REPLY._replace(body=GOOD.body.decode().replace("A dog.", "A d\ufffdg."))


# Connections


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("drop", ["before", "headers", "during"])
def test_a_connection_lost_before_the_whole_answer_may_be_billed(drop: str, chunked: bool) -> None:
    came = came_of(FAULTS[f"drop_{drop}"](replace(GOOD, chunked=chunked)))
    assert isinstance(came, Said)
    assert came._replace(detail="") == retry("connection_error", "", may_be_billed=True)
    assert came.detail


@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_lost_after_the_whole_answer_loses_nothing(chunked: bool) -> None:
    assert came_of(FAULTS["drop_after"](replace(GOOD, chunked=chunked))) == REPLY


def test_an_error_that_breaks_off_is_known_by_its_status() -> None:
    came = came_of(replace(error(500), drop="during"))
    assert came == retry("http_500", "status 500", may_be_billed=True)


def test_a_request_larger_than_a_whole_minute_allows_is_not_tried_twenty_times() -> None:
    came = came_of(error(429, "rate_limit_exceeded", "Request too large for tiny: Limit 900, Requested 1000"))
    assert isinstance(came, Said)
    assert (came.reason, came.is_its_own) == ("request_too_large", True)


@pytest.mark.parametrize("key", ["sk-plain_0123456789", "ab/cd+ef&gh=01"])
def test_a_key_is_masked_however_json_escapes_it(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    spelled = [key, key.replace("/", "\\/"), key.replace("&", "\\u0026"), key.replace("+", "\\u002B")]
    body = completion("A dog.").body.replace(b"A dog.", " ".join(spelled).encode())
    came = came_of(Answer(body))
    assert isinstance(came, TeacherReply)
    assert came.body.count("[key]") == len(spelled)


def test_a_body_that_is_not_packed_as_its_header_says_is_a_lost_answer() -> None:
    came = came_of(replace(GOOD, headers={"Content-Encoding": "gzip"}))
    assert isinstance(came, Said)
    assert came._replace(detail="") == retry("connection_error", "", may_be_billed=True)


def test_a_refused_connection_costs_nothing_and_wants_less_sent() -> None:
    async def use(teacher: OpenAITeacher) -> Came:
        await asyncio.to_thread(server.__exit__)
        return await attempt(teacher, teacher.body(request()))

    server = ChatServer(lambda body, attempt: GOOD).__enter__()
    came = with_teacher(server, use)
    assert isinstance(came, Said)
    assert came._replace(detail="") == retry("connection_error", "", overloaded=True)
    assert f"127.0.0.1:{server.port}" in came.detail


def test_a_timeout_may_be_billed_and_wants_less_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_api, "TIMEOUT_SECONDS", 0.1)
    with ChatServer(lambda body, attempt: replace(GOOD, seconds=3600)) as server:
        came = with_teacher(server, lambda teacher: attempt(teacher, teacher.body(request())))
    assert isinstance(came, Said)
    assert came._replace(detail="") == retry("timeout", "", overloaded=True, may_be_billed=True)
    assert came.detail


def test_a_teacher_goes_on_after_whatever_went_wrong() -> None:
    faults = [FAULTS[name](GOOD) for name in ("drop_before", "500", "drop_during", "html_200")]
    following = iter([*faults, GOOD])
    came, _ = ask(lambda body, attempt: next(following), *[request()] * 5)
    assert [one.reason for one in came[:4] if isinstance(one, Said)] == [
        "connection_error",
        "http_500",
        "connection_error",
        "no_completion",
    ]
    assert came[4] == REPLY


# What will not pass

CONTEXT_OPENAI = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000"
CONTEXT_VLLM = (
    "This model's maximum context length is 4096 tokens. However, you requested 512 output tokens and your "
    "prompt contains at least 3585 input tokens, for a total of at least 4097 tokens."
)
CONTEXT_LLAMA = "the request exceeds the available context size. try increasing the context size"


def error_body(status: int, **body: Any) -> Answer:
    return Answer(msgspec.json.encode({"error": body}), status)


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (error(400, "context_length_exceeded", CONTEXT_OPENAI, "messages"), "context_length", CONTEXT_OPENAI),
        (
            error_body(400, message=CONTEXT_VLLM, type="BadRequestError", param="input_tokens", code=400),
            "context_length",
            CONTEXT_VLLM,
        ),
        (
            error_body(400, message=CONTEXT_LLAMA, type="exceed_context_size_error", code=400, n_ctx=4096),
            "context_length",
            CONTEXT_LLAMA,
        ),
        (
            error_body(400, message="too many tokens", type="exceed_context_size_error", code=400),
            "context_length",
            "too many tokens",
        ),
        (error(400, "content_filter", "filtered"), "content_filter", "filtered"),
        (error(400, "content_policy_violation", "against policy"), "content_filter", "against policy"),
        (
            error(403, message="Input requires moderation. Your input was flagged for: violence"),
            "content_filter",
            "Input requires moderation. Your input was flagged for: violence",
        ),
    ],
)
def test_what_one_request_did_wrong_is_its_own(answer: Answer, reason: str, detail: str) -> None:
    assert came_of(answer) == Said(TeacherFailure, reason, detail, is_its_own=True)


def test_a_redirect_is_said_so() -> None:
    came = came_of(Answer(b"", 308, {"Location": "https://elsewhere.example/v1/chat?key=x"}))
    assert isinstance(came, Said)
    assert came.kind is TeacherStopped
    assert "sends us on to https://elsewhere.example/v1/chat: give what it means" in came.detail


@pytest.mark.parametrize(
    "detail", ["Invalid 'temperature': 1.5 is above the maximum of 1", "Invalid 'max_tokens': above maximum"]
)
def test_a_value_out_of_range_is_not_silently_left_out(detail: str) -> None:
    assert came_of(error(400, "invalid_value", detail)) == Said(TeacherFailure, "http_400", detail)


def test_json_too_deep_to_read_is_no_completion() -> None:
    came = came_of(Answer(b'{"choices": ' + b"[" * 100_000, bills=Usage(9, 0, 1)))
    assert isinstance(came, Said)
    assert (came.reason, came.may_be_billed) == ("no_completion", True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(400), Said(TeacherFailure, "http_400", "no")),
        (error(422), Said(TeacherFailure, "http_422", "no")),
        (error(413), Said(TeacherFailure, "http_413", "no")),
        (Answer(HTML, 400, content_type="text/html"), Said(TeacherFailure, "http_400", HTML.decode())),
        (Answer(b"", 400), Said(TeacherFailure, "http_400", "status 400")),
        (Answer(b'{"error": "no such thing"}', 400), Said(TeacherFailure, "http_400", "no such thing")),
        (
            error(400, "invalid_value", "max_tokens is too large: 512", "max_tokens"),
            Said(TeacherFailure, "http_400", "max_tokens is too large: 512"),
        ),
    ],
)
def test_any_other_refusal_fails_that_request_by_its_status(answer: Answer, expected: Said) -> None:
    assert came_of(answer) == expected


WHERE = "URL knows no such path or model: check --base-url (most end in /v1) and --model"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (error(401), "URL refuses the key in OPENAI_API_KEY (401): no"),
        (error(403), "URL refuses the key in OPENAI_API_KEY (403): no"),
        (error(402), "URL wants to be paid first (no): add credit, then run the same command"),
        (error(404), f"{WHERE} (no)"),
        (error(404, "DeploymentNotFound", "no such deployment"), f"{WHERE} (no such deployment)"),
        (
            error(429, "insufficient_quota"),
            "URL: the quota is spent (no): add credit, then run the same command",
        ),
        (
            error(429, "billing_hard_limit_reached"),
            "URL: the quota is spent (no): add credit, then run the same command",
        ),
        (
            error(403, "billing_not_active"),
            "URL: the quota is spent (no): add credit, then run the same command",
        ),
    ],
)
def test_what_holds_for_every_request_stops_the_run_and_says_what_to_do(answer: Answer, says: str) -> None:
    assert came_of(answer) == stopped(says)


# Parameters that an endpoint does not take


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        (wants_max_completion_tokens, {"max_completion_tokens": 512, "temperature": 0.7}),
        (wants_default_temperature, {"max_tokens": 512}),
        (knows_no_response_format, {"max_tokens": 512, "temperature": 0.7, "response_format": None}),
        (
            lambda script: wants_max_completion_tokens(wants_default_temperature(script)),
            {"max_completion_tokens": 512},
        ),
    ],
)
def test_a_parameter_that_is_not_taken_is_left_out_or_renamed_from_then_on(
    script: Callable[[Script], Script], sent: dict[str, Any]
) -> None:
    asked = [request(text=str(n), reply_form="json") for n in range(4)]
    came, server = ask(script(lambda body, attempt: GOOD), *asked)
    refused = [one for one in came if isinstance(one, Said)]
    assert {(one.kind, one.reason, one.wait, one.may_be_billed) for one in refused} == {
        (TeacherRetry, "parameter_not_taken", 0.0, False)
    }
    assert came == refused + [REPLY] * (4 - len(refused))
    expected = {"model": "tiny", "response_format": REPLY_FORMAT, **sent}
    last = {name: value for name, value in server.requests[-1].items() if name != "messages"}
    assert last == {name: value for name, value in expected.items() if value is not None}


def refusing(name: str, answer: Answer) -> Script:
    return lambda body, attempt: answer if name in body else GOOD


UNTAKEN = [
    ("max_tokens", error(400, "unsupported_parameter", "Unsupported parameter", "max_tokens")),
    ("temperature", error(400, "unsupported_value", "Unsupported value", "temperature")),
    ("response_format", error(400, None, "Unrecognized request argument", "response_format")),
    ("max_tokens", Answer(b'{"error": "max_tokens is not supported by this model"}', 400)),
    ("temperature", Answer(b'{"detail": "Unsupported parameter: temperature"}', 400)),
    ("temperature", Answer(b'{"message": "temperature: Extra inputs are not permitted"}', 422)),
    ("response_format", Answer(b'{"detail": "response_format is not supported"}', 400)),
    (
        "max_tokens",
        Answer(
            b'{"detail": [{"loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}]}', 422
        ),
    ),
]


@pytest.mark.parametrize(("name", "answer"), UNTAKEN)
def test_a_server_may_say_in_any_shape_that_it_does_not_take_a_parameter(name: str, answer: Answer) -> None:
    asked = request(reply_form="json")
    (first, second), _ = ask(refusing(name, answer), asked, asked)
    assert isinstance(first, Said)
    assert (first.kind, first.reason) == (TeacherRetry, "parameter_not_taken")
    assert second == REPLY


@pytest.mark.parametrize(("name", "answer"), UNTAKEN)
def test_requests_in_flight_with_the_old_body_are_asked_again_too(name: str, answer: Answer) -> None:
    async def use(teacher: OpenAITeacher) -> tuple[list[Came], list[Came]]:
        asked = [request(text=str(n), reply_form="json") for n in range(5)]
        old = [teacher.body(one) for one in asked]
        first = await asyncio.gather(*(attempt(teacher, body) for body in old))
        second = await asyncio.gather(*(attempt(teacher, teacher.body(one)) for one in asked))
        return first, second

    with ChatServer(refusing(name, answer)) as server:
        first, second = with_teacher(server, use)
    assert [one.reason if isinstance(one, Said) else "" for one in first] == ["parameter_not_taken"] * 5
    assert second == [REPLY] * 5


def test_a_server_that_is_never_content_fails_the_request_in_the_end() -> None:
    answer = error(400, "invalid_request", "temperature is not supported, as is everything", "temperature")
    came, _ = ask(lambda body, attempt: answer, request(), request())
    assert [one.kind for one in came if isinstance(one, Said)] == [TeacherRetry, TeacherFailure]


def test_the_key_of_a_request_is_of_the_body_as_planned_whatever_the_endpoint_takes() -> None:
    async def use(teacher: OpenAITeacher) -> tuple[str, str, bytes, bytes]:
        key, body = teacher.key(request()), teacher.body(request())
        await attempt(teacher, body)
        return key, teacher.key(request()), body, teacher.body(request())

    with ChatServer(wants_max_completion_tokens(lambda body, attempt: GOOD)) as server:
        key_before, key_after, body_before, body_after = with_teacher(server, use)
    assert key_before == key_after
    assert body_before != body_after


# Limits told in headers


def held(headers: dict[str, str]) -> float:
    """The seconds that a reply with these headers tells to hold."""

    async def use(teacher: OpenAITeacher) -> float:
        return (await teacher.ask(teacher.body(request(text="x" * 4000)))).hold

    with ChatServer(lambda body, attempt: replace(GOOD, headers=headers)) as server:
        return with_teacher(server, use)


def left(kind: str, remaining: int | str, limit: int | str, reset: str) -> dict[str, str]:
    return {
        f"x-ratelimit-remaining-{kind}": str(remaining),
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-reset-{kind}": reset,
    }


# In all of these one request of a limit that holds 60 comes back: a sixtieth of the time until it is full.
@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("60s", 1.0),
        ("6m0s", 6.0),
        ("1h0m0s", 60.0),
        ("1h2m3.6s", 62.06),
        ("120ms", 0.002),
        ("1m", 1.0),
        ("12.6s", 0.21),
        (duration(90), 1.5),
        ("60", 1.0),  # Azure tells plain seconds
        ("0s", 0.0),
        ("never", 0.0),
    ],
)
def test_a_spent_allowance_holds_until_one_more_request_has_come_back(reset: str, seconds: float) -> None:
    assert held(left("requests", 0, 60, reset)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        (left("requests", 1, 60, "59s"), 0.0),
        (left("requests", 59, 60, "1s"), 0.0),
        (left("requests", -1, 59, "60s"), 2.0),
        (left("requests", 0, 60, "24h0m0s"), 600.0),
        (left("requests", "?", 60, "60s"), 0.0),
        (left("requests", 0, "?", "60s"), 0.0),
        (left("requests", 0, 0, "60s"), 0.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-limit-requests": "60"}, 0.0),
        (left("tokens", 2000, 200_000, "1m"), 0.0),
        (left("requests", 0, 60, "60s") | left("tokens", 9000, 10_000, "6s"), 1.0),
    ],
)
def test_an_allowance_that_is_not_spent_or_not_told_holds_nothing_up(
    headers: dict[str, str], seconds: float
) -> None:
    assert held(headers) == pytest.approx(seconds)


def test_too_few_tokens_hold_until_such_a_request_fits() -> None:
    body = OpenAITeacher("tiny", "http://a/v1").body(request(text="x" * 4000))
    needed = len(body) / 4
    assert held(left("tokens", 0, 10_000, "60s")) == pytest.approx(60 * needed / 10_000)
    assert held(left("tokens", 500, 10_500, "60s")) == pytest.approx(60 * (needed - 500) / 10_000)
    # One that never fits waits until the allowance is whole, and is then refused or not.
    assert held(left("tokens", 0, 500, "30s")) == pytest.approx(30.0)


# Secrets


@pytest.mark.parametrize(
    "answer",
    [
        error(401, message=f"Incorrect API key provided: {KEY}"),
        error(403, message=f"no rights for {KEY}"),
        error(404, message=f"nothing for {KEY}"),
        error(402, message=f"pay for {KEY}"),
        error(429, "insufficient_quota", f"{KEY} is spent"),
        error(429, message=f"{KEY} is busy"),
        error(429, message=f"{KEY} is busy", retry_after="9999"),
        error(500, message=f"broken for {KEY}"),
        error(400, message=f"{KEY} asked badly"),
        error(400, "content_filter", f"{KEY} is filthy"),
        error(400, "unsupported_parameter", f"{KEY}: unsupported", "max_tokens"),
        error(500, message="x" * 290 + KEY),
        Answer(f"<html>{KEY}</html>".encode()),
        Answer(f"<html>{KEY}</html>".encode(), 502),
        completion(f"My key is {KEY}."),
        completion(None, refusal=f"I was asked with {KEY}"),
    ],
)
def test_an_echoed_key_is_masked_wherever_it_comes_back(answer: Answer) -> None:
    shown = repr(came_of(answer))
    assert "sk-canary" not in shown
    assert "[key]" in shown


def test_a_short_stand_in_for_a_key_is_not_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert came_of(error(400, message="none of this")) == Said(TeacherFailure, "http_400", "none of this")


@pytest.mark.parametrize("padding", range(260, 300, 4))
def test_a_key_that_is_cut_in_two_is_not_shown_by_halves(padding: int) -> None:
    lists = [web.json_response({"error": {"message": "x" * padding + KEY}}, status=401)]
    with ListServer(*lists) as server, pytest.raises(InputError) as caught:
        start(server.base_url)
    assert "sk-" not in str(caught.value)


# Before the first request


class ListServer(ChatServer):
    """Answers the list of models with what it is given, in turn."""

    def __init__(self, *lists: web.Response) -> None:
        super().__init__(lambda body, attempt: GOOD)
        self._lists = iter(lists)
        self.listed = 0

    async def _list(self, request: web.Request) -> web.Response:
        self.listed += 1
        return next(self._lists)


def start(base_url: str, model: str = "tiny") -> None:
    async def go() -> None:
        teacher = OpenAITeacher(model, base_url)
        try:
            await teacher.start()
        finally:
            await teacher.close()

    asyncio.run(go())


class Waits(list[float]):
    """Stands in for sleeping, and remembers for how long."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Of whatever the teacher itself asks again."""
    remembered = Waits()
    monkeypatch.setattr(openai_api, "retrying", lambda: retrying(remembered))
    return remembered


NOBODY = "http://127.0.0.1:9/v1"
LISTED = {"object": "list", "data": [{"id": "tiny", "object": "model"}]}


@pytest.mark.parametrize("unset", ["", " \n"])
def test_no_key_is_said_before_anything_is_sent(unset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", unset)
    with pytest.raises(InputError) as caught:
        start(NOBODY)
    assert str(caught.value) == (
        "no API key: set the environment variable OPENAI_API_KEY "
        "(any text will do for a server that asks for none)"
    )


@pytest.mark.parametrize("odd", ["sk-…", "sk-a\nb", "sk-a\tb"])
def test_a_key_that_cannot_be_one_is_said_and_not_shown(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", odd)
    with pytest.raises(InputError) as caught:
        start(NOBODY)
    assert str(caught.value) == "the key in OPENAI_API_KEY has characters that no key has: set it again"


def test_white_space_around_the_key_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    _, server = ask(lambda body, attempt: GOOD, request())
    assert server.authorizations == {f"Bearer {KEY}"}


def test_a_refused_key_is_said_without_the_key() -> None:
    lists = [web.json_response({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status=401)]
    with ListServer(*lists) as server, pytest.raises(InputError) as caught:
        start(server.base_url)
    said = str(caught.value)
    assert said.startswith(f"{server.base_url} refuses the key in OPENAI_API_KEY: ")
    assert "Incorrect API key provided: [key]" in said
    assert KEY not in said


def test_an_endpoint_that_is_not_there_is_named_without_what_may_be_secret() -> None:
    with pytest.raises(InputError, match=f"no endpoint at {NOBODY} .*check --base-url") as caught:
        start(f"{NOBODY}?token=secret")
    assert "secret" not in str(caught.value)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="without user name and password") as caught:
        OpenAITeacher("tiny", "http://user:secret@127.0.0.1:9/v1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["localhost:8000", "http://", "http:///v1", "http://[::1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"--base-url .*: (must be|not) an address"):
        OpenAITeacher("tiny", address)


def test_a_model_that_is_not_served_is_named_with_those_that_are() -> None:
    server = ChatServer(lambda body, attempt: GOOD, models=["small", "large"])
    with server, pytest.raises(InputError) as caught:
        start(server.base_url)
    assert str(caught.value) == f"--model tiny: {server.base_url} does not serve it; it serves large, small"


def test_of_many_served_models_a_few_are_named() -> None:
    server = ChatServer(lambda body, attempt: GOOD, models=[f"m{n}" for n in range(20)])
    with server, pytest.raises(InputError, match=r"it serves m0, m1, m10, m11, m12, m13, m14, m15, …$"):
        start(server.base_url)


@pytest.mark.parametrize(
    ("served", "model"), [("models/tiny", "tiny"), ("tiny:latest", "tiny"), ("a/tiny", "a/tiny:nitro")]
)
def test_a_model_is_known_by_the_names_that_servers_list_it_under(served: str, model: str) -> None:
    with ChatServer(lambda body, attempt: GOOD, models=[served]) as server:
        start(server.base_url, model)


@pytest.mark.parametrize(
    "listed",
    [
        web.json_response({"object": "list", "data": []}),
        web.json_response({"error": {"message": "no such path"}}, status=404),
        web.json_response({"error": {"message": "not for you"}}, status=403),
        web.json_response({"error": {"message": "broken"}}, status=500),
        web.Response(body=HTML, content_type="text/html"),
        web.json_response({}),
        web.json_response([]),
        web.json_response({"data": None}),
        web.json_response({"data": ["tiny"]}),
        web.json_response({"data": [{"object": "model"}]}),
        web.json_response({"data": [{"id": None}]}),
        web.Response(body=b'{"data": [', content_type="application/json"),
    ],
    ids=lambda response: f"{response.status} {response.body[:40]!r}",
)
def test_a_server_without_a_usable_list_of_models_is_asked_anyway(listed: web.Response) -> None:
    with ListServer(listed) as server:
        start(server.base_url)


@pytest.mark.parametrize("host", ["m.openai.azure.com", "m.services.ai.azure.com", "m.openai.azure.us"])
def test_azure_lists_other_names_than_it_takes(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def listed(self: OpenAITeacher) -> list[str]:
        return ["gpt-4o"]

    monkeypatch.setattr(OpenAITeacher, "_list_models", listed)
    start(f"https://{host}/openai/v1", "my-deployment")
    with pytest.raises(InputError, match="does not serve it; it serves gpt-4o"):
        start("https://azure.com.example.org/v1", "my-deployment")


def test_a_list_of_models_that_is_rate_limited_is_asked_for_again_as_told(waits: Waits) -> None:
    busy = {"error": {"message": "busy"}}
    lists = [
        web.json_response(busy, status=429, headers={"Retry-After": "3"}),
        web.json_response(busy, status=429, headers={"Retry-After-Ms": "40"}),
        web.json_response(LISTED),
    ]
    with ListServer(*lists) as server:
        start(server.base_url)
    assert waits == [3.0, 0.04]


def test_a_list_that_stays_rate_limited_leaves_it_to_the_first_request(waits: Waits) -> None:
    lists = [web.json_response({}, status=429, headers={"Retry-After": "1"}) for _ in range(50)]
    with ListServer(*lists) as server:
        start(server.base_url)
        assert server.listed == ATTEMPTS_WHILE_RATE_LIMITED
    # Told the same for ever, we wait longer of our own accord.
    assert waits[:2] == [1.0, 1.0]
    assert waits == sorted(waits)
    assert len(waits) == ATTEMPTS_WHILE_RATE_LIMITED - 1


def test_a_list_that_asks_for_a_wait_that_nobody_would_sit_out_is_not_waited_for(waits: Waits) -> None:
    told = {"Retry-After": "86400"}
    lists = [web.json_response({}, status=429, headers=told), web.json_response(LISTED)]
    with ListServer(*lists) as server, pytest.raises((InputError, TeacherStopped)):
        start(server.base_url)
    assert waits == []


def test_a_spent_quota_is_said_at_once(waits: Waits) -> None:
    spent = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    server = ListServer(web.json_response(spent, status=429), web.json_response(LISTED))
    with server, pytest.raises((InputError, TeacherStopped), match="the quota is spent"):
        start(server.base_url)
    assert waits == []
