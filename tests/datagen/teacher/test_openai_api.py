"""The OpenAI client over real HTTP on loopback: what is sent, retried, given up and never shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from datagen.records import ImageAnnotation, InputError, Message, TeacherReply, TeacherRequest, Unit
from datagen.teacher import TeacherFailure, TeacherStopped
from datagen.teacher.openai_api import ATTEMPTS, UNREACHABLE_AFTER, OpenAITeacher
from tests.datagen.chat_server import Answer, ChatServer, Script, completion, error

KEY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def request(
    image_id: int = 1, index: int = 0, text: str = "a proxy", temperature: float = 0.7
) -> TeacherRequest:
    return TeacherRequest(
        unit=Unit(image_id, "detail", index),
        annotation=ImageAnnotation(image_id, f"{image_id}.jpg", 640, 480, ("A dog.",), ()),
        reply_form="answer",
        question="Describe it.",
        frame="camera",
        vocabulary=("dog",),
        pack_hash="0",
        seed=0,
        temperature=temperature,
        max_tokens=512,
        messages=(Message("system", "Describe."), Message("user", text)),
    )


class Waits(list[float]):
    """Stands in for sleeping, and remembers for how long."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def ask(
    script: Script, requests: list[TeacherRequest] | None = None, models: list[str] | None = None
) -> tuple[list[TeacherReply | Exception], Waits, ChatServer]:
    """Every request in turn against a server; what came of each, the waits, the server's books."""
    waits = Waits()

    async def go(server: ChatServer) -> list[TeacherReply | Exception]:
        teacher = OpenAITeacher("tiny", server.base_url, sleep=waits)
        results: list[TeacherReply | Exception] = []
        try:
            await teacher.start()
            for one in requests or [request()]:
                try:
                    results.append(await teacher.ask(one))
                except (TeacherFailure, TeacherStopped) as failure:
                    results.append(failure)
        finally:
            await teacher.close()
        return results

    with ChatServer(script, models) as server:
        return asyncio.run(go(server)), waits, server


def sequence(*answers: Answer) -> Script:
    """The answers in turn, whatever is asked."""
    following: Iterator[Answer] = iter(answers)
    return lambda body, attempt: next(following)


def test_the_body_is_sent_as_planned_and_the_reply_kept_as_it_came() -> None:
    answer = completion("A dog.")
    (reply,), waits, server = ask(sequence(answer))
    assert server.requests == [
        {
            "model": "tiny",
            "messages": [{"role": "system", "content": "Describe."}, {"role": "user", "content": "a proxy"}],
            "temperature": 0.7,
            "max_tokens": 512,
        }
    ]
    assert isinstance(reply, TeacherReply)
    assert reply._replace(seconds=0) == TeacherReply(answer.body.decode(), True, 1500, 1280, 120)
    assert waits == []
    assert server.authorizations == {f"Bearer {KEY}"}


def test_an_odd_reply_is_kept_if_it_may_have_been_charged_for() -> None:
    bodies = ['{"choices": [{}]}', '{"choices": [], "usage": {"prompt_tokens": 7}}']
    replies, _, _ = ask(sequence(*(Answer(body.encode()) for body in bodies)), [request(), request()])
    assert [r._replace(seconds=0) for r in replies if isinstance(r, TeacherReply)] == [
        TeacherReply(bodies[0], True),
        TeacherReply(bodies[1], True, prompt_tokens=7),
    ]


@pytest.mark.parametrize(
    "body", [b"<html>busy</html>", b'{"error": {"message": "overloaded"}}', b'{"choices": []}']
)
def test_trouble_with_status_200_is_asked_again_and_is_no_reply(body: bytes) -> None:
    (reply,), waits, _ = ask(sequence(Answer(body), completion("A dog.")))
    assert isinstance(reply, TeacherReply)
    assert len(waits) == 1
    (failure,), _, _ = ask(lambda body_, attempt: Answer(body))
    assert isinstance(failure, TeacherFailure)
    assert failure.reason == "no_completion"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_what_may_pass_is_asked_again(status: int) -> None:
    (reply,), waits, server = ask(sequence(error(status), error(status), completion("A dog.")))
    assert isinstance(reply, TeacherReply)
    assert len(server.requests) == 3
    assert len(waits) == 2


def test_retry_after_is_honoured_in_seconds_and_as_a_date() -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    script = sequence(
        error(429, retry_after="7"),
        error(503, retry_after="0.25"),
        error(429, retry_after=past),
        error(429, retry_after="9999"),
        completion("A dog."),
    )
    _, waits, _ = ask(script)
    assert waits == [7.0, 0.25, 0.0, 120.0]


def test_dropped_connections_are_asked_again() -> None:
    (reply,), _, server = ask(sequence(Answer(b"", drop="before"), completion("A dog.")))
    assert isinstance(reply, TeacherReply)
    assert len(server.requests) == 2


def test_a_request_is_given_up_after_all_attempts() -> None:
    (failure,), waits, server = ask(lambda body, attempt: error(503, message="busy"))
    assert isinstance(failure, TeacherFailure)
    assert failure.reason == "http_503"
    assert "busy" in failure.detail
    assert len(server.requests) == ATTEMPTS
    assert len(waits) == ATTEMPTS - 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (error(400), "http_400"),
        (error(400, "context_length_exceeded"), "context_length"),
        (error(400, "content_filter"), "content_filter"),
        (error(422), "http_422"),
    ],
)
def test_what_will_not_pass_fails_that_request_at_once(answer: Answer, reason: str) -> None:
    (failure,), waits, server = ask(sequence(answer))
    assert isinstance(failure, TeacherFailure)
    assert failure.reason == reason
    assert (len(server.requests), waits) == (1, [])


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (error(401), "refuses the key in OPENAI_API_KEY"),
        (error(403), "refuses the key in OPENAI_API_KEY"),
        (error(404), "check --base-url (most end in /v1) and --model"),
        (error(402), "wants to be paid first"),
        (error(429, "insufficient_quota"), "the quota is spent"),
    ],
)
def test_what_holds_for_every_request_stops_the_run(answer: Answer, says: str) -> None:
    (stopped,), waits, server = ask(sequence(answer))
    assert isinstance(stopped, TeacherStopped)
    assert says in str(stopped)
    assert (len(server.requests), waits) == (1, [])


def test_an_endpoint_that_answers_nobody_stops_the_run() -> None:
    requests = [request(text=str(n)) for n in range(UNREACHABLE_AFTER)]
    results, _, _ = ask(lambda body, attempt: error(500), requests)
    assert [type(result) for result in results] == [TeacherFailure] * (UNREACHABLE_AFTER - 1) + [
        TeacherStopped
    ]


def test_one_that_refuses_every_request_stops_the_run() -> None:
    requests = [request(text=str(n)) for n in range(UNREACHABLE_AFTER)]
    results, _, server = ask(
        lambda body, attempt: error(400, message="max_tokens is not supported"), requests
    )
    assert isinstance(results[-1], TeacherStopped)
    assert "max_tokens is not supported" in str(results[-1])
    assert len(server.requests) == UNREACHABLE_AFTER


def test_an_echoed_key_is_not_shown() -> None:
    (stopped,), _, _ = ask(sequence(error(401, message=f"Incorrect API key provided: {KEY}")))
    assert "[key]" in str(stopped)
    assert KEY not in str(stopped)


def start(base_url: str, model: str = "tiny") -> None:
    async def go() -> None:
        teacher = OpenAITeacher(model, base_url)
        try:
            await teacher.start()
        finally:
            await teacher.close()

    asyncio.run(go())


def test_no_key_is_said_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(InputError, match="no API key: set the environment variable OPENAI_API_KEY"):
        start("http://127.0.0.1:9/v1")


def test_an_endpoint_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"no endpoint at http://127\.0\.0\.1:9/v1 .*check --base-url"):
        start("http://127.0.0.1:9/v1?token=secret")


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="without user name and password") as caught:
        OpenAITeacher("tiny", "http://user:secret@127.0.0.1:9/v1")
    assert "secret" not in str(caught.value)


def test_a_model_that_is_not_served_is_named_with_those_that_are() -> None:
    with ChatServer(sequence(), models=["large", "small"]) as server, pytest.raises(InputError) as caught:
        start(server.base_url)
    assert str(caught.value) == f"--model tiny: {server.base_url} does not serve it; it serves large, small"


def test_a_server_that_lists_no_models_is_asked_anyway() -> None:
    with ChatServer(sequence(), models=[]) as server:
        start(server.base_url)


@pytest.mark.parametrize("address", ["localhost:8000", "http://", "http:///v1", "http://[::1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"--base-url .*: (must be|not) an address"):
        OpenAITeacher("tiny", address)


@pytest.mark.parametrize(("served", "model"), [("models/tiny", "tiny"), ("tiny:latest", "tiny")])
def test_a_model_is_known_by_the_names_that_servers_list_it_under(served: str, model: str) -> None:
    with ChatServer(sequence(), models=[served]) as server:
        start(server.base_url, model)


def test_white_space_around_the_key_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    _, _, server = ask(sequence(completion("A dog.")))
    assert server.authorizations == {f"Bearer {KEY}"}


def test_a_key_that_cannot_be_one_is_said_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-…")
    with pytest.raises(InputError, match="has characters that no key has: set it again") as caught:
        start("http://127.0.0.1:9/v1")
    assert "…" not in str(caught.value)


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
        OpenAITeacher("large", "http://a/v1").key(request()),
        OpenAITeacher("tiny", "http://b/v1").key(request()),
    }
    assert len(others | {base}) == 6


def test_many_at_once_are_many_at_once() -> None:
    async def go(server: ChatServer) -> list[TeacherReply]:
        teacher = OpenAITeacher("tiny", server.base_url)
        await teacher.start()
        try:
            return await asyncio.gather(*(teacher.ask(request(text=str(n))) for n in range(150)))
        finally:
            await teacher.close()

    def script(body: dict[str, Any], attempt: int) -> Answer:
        answer = completion(f"about {body['messages'][-1]['content']}")
        return Answer(answer.body, seconds=2.0)

    with ChatServer(script) as server:
        replies = asyncio.run(go(server))
    said = [json.loads(reply.body)["choices"][0]["message"]["content"] for reply in replies]
    assert said == [f"about {n}" for n in range(150)]
    assert server.most_in_flight == 150
