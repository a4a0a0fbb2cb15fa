"""Whole runs against an endpoint that fails in every way: its books, the ledger and the files agree."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import tenacity
from aiohttp import web

from datagen import limits
from datagen.ledger import Ledger
from datagen.pricing import Price
from datagen.prompting import PACKS, load_pack
from datagen.records import InputError
from datagen.teacher import openai_api, retries
from tests.datagen.chat_server import (
    Answer,
    ChatServer,
    Entry,
    Prices,
    Script,
    Usage,
    completion,
    error,
)
from tests.datagen.faults import Faults, billing_teacher, make_faults
from tests.datagen.scenes import reply_to
from tests.datagen.test_run import (
    contents,
    datagen,
    inputs,
    manifest_of,
    openai,
    records_of,
    rejections_of,
)

KEY = "sk-canary-0123456789"
IMAGES = 100
UNITS = 3 * IMAGES
CONCURRENCY = 8
ATTEMPTS = 8
PRICES = Prices(input=2.0, cached_input=0.5, output=8.0)
PRICE = Price(*PRICES)
WAITS_FOR_EVER = 3600.0
GIVES_UP_SECONDS = 5.0
"""Long beside any pause of a busy machine: what is sent as the client gives up is in no one's books."""
ROUNDING = 1 + 1e-9

RETRIED = {
    "429": "rate_limited",
    "429_retry_after": "rate_limited",
    "500": "http_500",
    "502": "http_502",
    "503": "http_503",
    "503_retry_after": "http_503",
    "timeout": "timeout",
    "drop_before": "connection_error",
    "drop_headers": "connection_error",
    "drop_during": "connection_error",
    "truncated_json": "no_completion",
    "invalid_json": "no_completion",
    "duplicated": "no_completion",
    "html_200": "no_completion",
}
"""Faults after which there is nothing to keep, and why the request is sent again."""
REFUSED = ("429", "429_retry_after", "503", "503_retry_after")
"""Those after which it is certain that nothing is billed."""
REJECTED = {
    "empty_choices": "no_choices",
    "null_content": "no_content",
    "length": "cut_off",
    "content_filter": "content_filter",
    "refusal": "refused",
}
"""Faults with which a reply is kept, but no sample made of it."""
WITHOUT_TEXT = ("empty_choices", "null_content")
"""Those that are answered by the same request once more."""
HARMLESS = ("stall", "drop_after", "wrong_content_type", "no_usage", "reasoning")
COMPLAINT = load_pack(PACKS / "coco").complaints["cut_off"]


@pytest.fixture(autouse=True)
def key_and_no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(retries, "_backoff", tenacity.wait_none())
    monkeypatch.setattr(limits, "_FIRST_PAUSE_SECONDS", 0.0)


WITHOUT_WAITS = """
import tenacity
from datagen import limits
from datagen.__main__ import main
from datagen.teacher import retries

retries._backoff = tenacity.wait_none()
limits._FIRST_PAUSE_SECONDS = 0.0
main()
"""


def start(arguments: Sequence[str | Path]) -> subprocess.Popen[str]:
    """The command in a process of its own, that never waits before it asks again."""
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT_WAITS, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Endpoint:
    """A good teacher that bills by the byte, with faults before it. Remembers what it sent.

    Each reply has an id of its own, so that no two are the same.
    """

    def __init__(
        self,
        rates: Mapping[str, float] | None = None,
        seed: int = 0,
        script: Script | None = None,
        faulty_attempts: int = 3,
    ) -> None:
        good = script or billing_teacher(lambda text: len(text.encode()))

        def identified(body: dict[str, Any], attempt: int) -> Answer:
            answer = good(body, attempt)
            said = msgspec.json.decode(answer.body) | {"id": f"{digest(body)}-{attempt}"}
            return replace(answer, body=msgspec.json.encode(said))

        self.faults = Faults(
            seed, identified, rates or {}, faulty_attempts=faulty_attempts, timeout_seconds=WAITS_FOR_EVER
        )
        self.sent: dict[tuple[str, int], Answer] = {}

    def __call__(self, body: dict[str, Any], attempt: int) -> Answer:
        answer = self.faults(body, attempt)
        self.sent[digest(body), attempt] = answer
        return answer

    def fault(self, entry: Entry) -> str:
        """What befell the request, the empty string if nothing did."""
        fault = self.faults.fault_of(msgspec.json.decode(entry.body), entry.attempt) or ""
        # On a machine that is too busy the client gives up more than it was meant to.
        gave_up = not entry.delivered and not fault.startswith("drop")
        return "timeout" if gave_up else fault

    def answer(self, entry: Entry) -> Answer:
        return self.sent[digest(msgspec.json.decode(entry.body)), entry.attempt]


def digest(body: dict[str, Any]) -> str:
    return hashlib.blake2b(msgspec.json.encode(body), digest_size=12).hexdigest()


def at_most(entry: Entry) -> float:
    return PRICE.at_most(entry.body, msgspec.json.decode(entry.body)["max_tokens"])


class Kept(NamedTuple):
    """What the ledger holds."""

    bodies: Counter[str]
    tokens: Usage
    spent: float
    possibly_billed: float
    retries: Counter[str]


def kept_in(out: Path) -> Kept:
    with closing(sqlite3.connect(out / "ledger.sqlite")) as ledger:
        rows = ledger.execute("SELECT body FROM replies")
        tokens = ledger.execute(
            "SELECT total(prompt_tokens), total(cached_tokens), total(completion_tokens) FROM replies"
        ).fetchone()
        (spent,) = ledger.execute("SELECT total(cost) FROM replies").fetchone()
        (possibly_billed,) = ledger.execute("SELECT total(possibly_billed) FROM sessions").fetchone()
        counts = ledger.execute("SELECT reason, sum(count) FROM retries GROUP BY reason")
        return Kept(
            Counter(body for (body,) in rows), Usage(*tokens), spent, possibly_billed, Counter(dict(counts))
        )


def priced(folder: Path) -> list[str | Path]:
    """--prices with a file that has a price for the model."""
    path = folder / "prices.toml"
    prices = "".join(f"{name} = {value}\n" for name, value in PRICES._asdict().items())
    path.write_text(f"[tiny]\ndate = 2026-01-01\n{prices}")
    return ["--prices", path]


def command(folder: Path, server: ChatServer, images: int = IMAGES) -> list[str | Path]:
    files = inputs(folder, images=images)
    options = [*openai(server), *priced(folder), "--concurrency", str(CONCURRENCY)]
    return ["run", *files, *options, "--out", folder / "out"]


class Asked(NamedTuple):
    """All that was sent for one body, in order."""

    messages: list[dict[str, str]]
    entries: list[Entry]
    faults: list[str]

    @property
    def is_second(self) -> bool:
        return self.messages[-1]["content"] == COMPLAINT


def all_asked(server: ChatServer, endpoint: Endpoint) -> list[Asked]:
    asked: dict[bytes, Asked] = {}
    for entry in sorted(server.books, key=lambda entry: entry.attempt):
        messages = msgspec.json.decode(entry.body)["messages"]
        each = asked.setdefault(entry.body, Asked(messages, [], []))
        each.entries.append(entry)
        each.faults.append(endpoint.fault(entry))
    return list(asked.values())


def check(out: Path, server: ChatServer, endpoint: Endpoint, images: int = IMAGES) -> None:
    """Every claim that a finished run makes, against what the endpoint knows."""
    check_replies(out, server, endpoint)
    check_money(out, server, endpoint)
    asked = all_asked(server, endpoint)
    check_asked_once(asked, endpoint)
    check_outcomes(out, asked, 3 * images)
    assert server.most_in_flight <= CONCURRENCY


def check_replies(out: Path, server: ChatServer, endpoint: Endpoint) -> None:
    """The ledger holds what was answered, all of it and nothing else."""
    faults = [(entry, endpoint.fault(entry)) for entry in server.books]
    ledger = kept_in(out)
    answered = (endpoint.answer(entry).body.decode() for entry, fault in faults if fault not in RETRIED)
    assert ledger.bodies == Counter(answered)
    retried = Counter(RETRIED[fault] for _, fault in faults if fault in RETRIED)
    assert ledger.retries == retried + unsent(server, endpoint, ledger)


def unsent(server: ChatServer, endpoint: Endpoint, ledger: Kept) -> Counter[str]:
    """Requests sent on a connection that the endpoint closed after its last answer, if it ever does that."""
    faults = Counter(map(endpoint.fault, server.books))
    seen = sum(count for fault, count in faults.items() if RETRIED.get(fault) == "connection_error")
    lost = ledger.retries["connection_error"] - seen
    return Counter({"connection_error": lost}) if lost and faults["drop_after"] else Counter()


def check_money(out: Path, server: ChatServer, endpoint: Endpoint) -> None:
    """Every token reported is in the ledger, and what was not is there at its worst."""
    reported, unreported, perhaps = [Usage()], 0.0, 0.0
    for entry in server.books:
        fault = endpoint.fault(entry)
        if fault == "no_usage":
            unreported += at_most(entry)
        elif fault not in RETRIED:
            assert entry.billed is not None
            reported.append(entry.billed)
        elif fault not in REFUSED:
            perhaps += at_most(entry)
    ledger, total = kept_in(out), Usage(*map(sum, zip(*reported, strict=True)))
    assert ledger.tokens == total
    assert ledger.spent == pytest.approx(PRICE.of(*total) + unreported)
    never_arrived = unsent(server, endpoint, ledger).total() * max(map(at_most, server.books))
    assert perhaps - 1e-9 <= ledger.possibly_billed <= perhaps + never_arrived + 1e-9
    bill = server.bill(PRICES)
    assert bill <= (ledger.spent + ledger.possibly_billed) * ROUNDING
    if not unreported:
        assert ledger.spent <= bill * ROUNDING


def check_asked_once(asked: list[Asked], endpoint: Endpoint) -> None:
    """Nothing answered is asked again, but what cannot be used: once, with what was wrong."""
    given_up, expected = f"R{{{ATTEMPTS}}}", []
    for each in asked:
        # Retried, kept, kept but empty: how it went, as one letter for each time.
        went = "".join("R" if f in RETRIED else "E" if f in WITHOUT_TEXT else "K" for f in each.faults)
        last = f"({given_up}|R*[KE])"
        assert re.fullmatch(last if each.is_second else f"{given_up}|R*(K|E{last})", went), each.faults
        if each.faults[-1] == "length" and not each.is_second and "E" not in went:
            said = json.loads(endpoint.answer(each.entries[-1]).body)["choices"][0]["message"]["content"]
            complained = [("assistant", said), ("user", COMPLAINT)]
            expected.append([*each.messages, *({"role": r, "content": c} for r, c in complained)])
    second = [each.messages for each in asked if each.is_second]
    assert sorted(map(json.dumps, second)) == sorted(map(json.dumps, expected))


def check_outcomes(out: Path, asked: list[Asked], units: int) -> None:
    """The manifest and rejected.jsonl say what became of each unit, and why."""
    seconds = {json.dumps(each.messages[:-2]): each for each in asked if each.is_second}
    reasons: Counter[tuple[str, str]] = Counter()
    for first in (each for each in asked if not each.is_second):
        second = seconds.get(json.dumps(first.messages))
        faults = first.faults + (second.faults if second else [])
        kept = [fault for fault in faults if fault not in RETRIED]
        if not kept:
            reasons["failed", RETRIED[faults[-1]]] += 1
        elif kept[-1] in REJECTED:
            reasons["rejected", REJECTED[kept[-1]]] += 1
    manifest = manifest_of(out)
    assert {(o, r): n for o, by in manifest.reasons.items() for r, n in by.items()} == reasons
    assert Counter((line.outcome, line.reason) for line in rejections_of(out)) == reasons
    total = sum((Counter(count.model_dump()) for count in manifest.accounting.values()), Counter[str]())
    lost = Counter(outcome for (outcome, _), n in reasons.items() for _ in range(n))
    assert total == {"planned": units, "emitted": units - lost.total(), **lost}
    assert len(records_of(out)) == total["emitted"]


def run_against(
    folder: Path, rates: Mapping[str, float], seed: int = 0, images: int = IMAGES, faulty_attempts: int = 3
) -> int:
    """A whole run under such faults, checked; its exit status."""
    endpoint = Endpoint(rates, seed, faulty_attempts=faulty_attempts)
    with ChatServer(endpoint) as server:
        status = datagen(*command(folder, server, images))
    check(folder / "out", server, endpoint, images)
    return status


def test_every_fault_has_an_expected_end() -> None:
    assert {*RETRIED, *REJECTED, *HARMLESS} == make_faults().keys()


@pytest.mark.parametrize("fault", [name for name in make_faults() if name != "timeout"])
def test_a_storm_of_one_fault_changes_nothing_but_what_it_costs(tmp_path: Path, fault: str) -> None:
    assert run_against(tmp_path, {fault: 0.4}, images=35) == 0


def test_a_reply_that_never_comes_is_given_up_and_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_api, "TIMEOUT_SECONDS", GIVES_UP_SECONDS)
    assert run_against(tmp_path, {"timeout": 0.05}, images=20) == 0


@pytest.mark.parametrize("seed", range(3))
def test_all_faults_at_once_change_nothing_but_what_they_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(openai_api, "TIMEOUT_SECONDS", GIVES_UP_SECONDS)
    rates = dict.fromkeys(make_faults(), 0.025) | {"timeout": 0.005}
    assert run_against(tmp_path, rates, seed) == 0


def test_what_fails_every_time_is_given_up_and_nothing_else_is(tmp_path: Path) -> None:
    assert run_against(tmp_path, {"500": 0.5, "empty_choices": 0.2}, faulty_attempts=99) == 1
    assert manifest_of(tmp_path / "out").reasons["failed"].keys() == {"http_500"}


def test_status_counts_retries_as_the_endpoint_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_against(tmp_path, dict.fromkeys(RETRIED.keys() - {"timeout"}, 0.05), images=60)
    reasons = kept_in(tmp_path / "out").retries
    counts = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    capsys.readouterr()
    datagen("status", tmp_path / "out")
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Retries: ")]
    assert said == ["Retries: " + ", ".join(f"{reason} {count}" for reason, count in counts)]
    assert reasons.keys() == set(RETRIED.values()) - {"timeout"}


def test_the_end_of_a_run_tells_cost_and_cached_share_as_the_endpoint_knows_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = Endpoint({"length": 0.1, "content_filter": 0.1})
    with ChatServer(endpoint) as server:
        datagen(*command(tmp_path, server, images=10))
    check(tmp_path / "out", server, endpoint, images=10)
    said, billed, bill = capsys.readouterr().out, server.billed(), server.bill(PRICES)
    share = billed.cached / billed.prompt
    assert f"Tokens: {billed.prompt:,} in ({share:.0%} of it cached), {billed.completion:,} out" in said
    told = re.search(
        r"^Spent: \$([\d.]+) in this folder so far, \$([\d.]+) for each sample kept$", said, re.M
    )
    assert told is not None
    each = bill / len(records_of(tmp_path / "out"))
    assert [float(dollars) for dollars in told.groups()] == pytest.approx([bill, each], rel=0.01)


# What may be spent

MIXED = dict.fromkeys(make_faults().keys() - {"timeout", "stall"}, 0.025)


def dearest_teacher(body: dict[str, Any], attempt: int) -> Answer:
    """Bills as many tokens as there can be."""
    usage = (len(msgspec.json.encode(body)), 0, body["max_tokens"])
    return completion(reply_to(body["messages"]), usage=usage)


def owed(server: ChatServer) -> float:
    """All that was billed and, at its worst, what is being answered now."""
    entries = list(server.books)
    arrived = sum(PRICE.at_most(msgspec.json.encode(body), body["max_tokens"]) for body in server.requests)
    billed = sum(PRICE.of(*entry.billed) for entry in entries if entry.billed is not None)
    return arrived - sum(map(at_most, entries)) + billed


def known_to(out: Path) -> float:
    """What the ledger says was spent, or may have been."""
    with Ledger.open_read_only(out) as ledger:
        spent = ledger.spent()
    return spent.known + spent.possibly_billed


@pytest.mark.parametrize("seed", range(3))
def test_no_bill_passes_its_cap_and_a_higher_cap_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    endpoint, out = Endpoint(MIXED, seed, dearest_teacher), tmp_path / "out"
    with ChatServer(endpoint) as server:
        arguments = command(tmp_path, server, images=30)
        assert datagen(*arguments, "--max-cost", "0.01") == 2
        assert "--max-cost 0.01 leaves no room for another request" in capsys.readouterr().err
        assert (server.requests, out.exists()) == ([], False)
        for cap in ("0.4", "0.8", "0.8"):
            assert datagen(*arguments, "--max-cost", cap) == 1
            assert f"--max-cost {cap} leaves no room for another request" in capsys.readouterr().err
            assert server.bill(PRICES) <= known_to(out) * ROUNDING
            # As much of it is used as can be.
            most = max(map(at_most, server.books))
            assert float(cap) - most < known_to(out) <= float(cap)
            assert sum(count.pending for count in manifest_of(out).accounting.values()) > 0
        assert datagen(*arguments, "--max-cost", "9") == 0
        assert "no room" not in capsys.readouterr().err
    check(out, server, endpoint, images=30)


def test_no_bill_passes_its_cap_through_kills(tmp_path: Path) -> None:
    moments, reached, out = random.Random(1), threading.Event(), tmp_path / "out"
    endpoint, kill_at = Endpoint(MIXED, script=dearest_teacher), 0

    def script(body: dict[str, Any], attempt: int) -> Answer:
        if len(server.requests) == kill_at:
            reached.set()
        return endpoint(body, attempt)

    with ChatServer(script) as server:
        arguments = command(tmp_path, server, images=30)
        for _ in range(4):
            kill_at = len(server.requests) + moments.randrange(1, 8)
            reached.clear()
            process = start([*arguments, "--max-cost", "2.2"])
            assert reached.wait(30)
            process.kill()
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            assert owed(server) <= known_to(out) * ROUNDING
        assert datagen(*arguments, "--max-cost", "2.2") == 1
        assert owed(server) <= 2.2
        assert datagen(*arguments, "--max-cost", "20") == 0
    assert owed(server) == pytest.approx(server.bill(PRICES))
    assert server.bill(PRICES) <= known_to(out) * ROUNDING


def test_before_anything_is_sent_the_ledger_knows_that_it_may_be_billed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a kill at any moment leaves no bill that the next session does not count."""
    endpoint, out = Endpoint({"truncated_json": 0.5}, script=dearest_teacher), tmp_path / "out"
    arrived, store = threading.Event(), Ledger.store
    missing: list[tuple[int, float, float]] = []

    def slow_disk(*arguments: Any, **options: Any) -> None:
        # What is sent meanwhile is sent too soon.
        arrived.clear()
        arrived.wait(0.01)
        store(*arguments, **options)

    def script(body: dict[str, Any], attempt: int) -> Answer:
        arrived.set()
        if owed(server) > known_to(out) * ROUNDING:
            missing.append((len(server.requests), owed(server), known_to(out)))
        return endpoint(body, attempt)

    monkeypatch.setattr(Ledger, "store", slow_disk)
    with ChatServer(script) as server:
        datagen(*command(tmp_path, server, images=30))
    assert missing == []


def test_a_session_that_breaks_off_counts_what_was_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, unanswered, out = billing_teacher(len), Ledger.unanswered, tmp_path / "out"

    def breaking_off(ledger: Ledger, **options: Any) -> Iterator[Any]:
        yield from itertools.islice(unanswered(ledger, **options), 5)
        raise InputError("the disk is gone")

    def script(body: dict[str, Any], attempt: int) -> Answer:
        return replace(good(body, attempt), seconds=WAITS_FOR_EVER)

    monkeypatch.setattr(Ledger, "unanswered", breaking_off)
    monkeypatch.setattr(openai_api, "TIMEOUT_SECONDS", GIVES_UP_SECONDS)
    with ChatServer(script) as server:
        assert datagen(*command(tmp_path, server, images=10)) == 2
        assert server.requests
        assert owed(server) <= known_to(out) * ROUNDING


ODD_USAGE = {
    "more than a number holds": {"prompt_tokens": 2**70, "completion_tokens": 1},
    "a sum of more than a number holds": {"prompt_tokens": 2**62, "completion_tokens": 2**62},
    "negative": {"prompt_tokens": -10_000, "completion_tokens": -1},
    "more cached than sent": {
        "prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 10**6}
    },
    "fractions": {"prompt_tokens": 0.5, "completion_tokens": 1},
    "words": "none",
}  # fmt: skip


@pytest.mark.parametrize("usage", ODD_USAGE.values(), ids=ODD_USAGE)
def test_usage_that_cannot_be_counts_as_the_most_it_can_cost(tmp_path: Path, usage: object) -> None:
    def script(body: dict[str, Any], attempt: int) -> Answer:
        said = json.loads(completion(reply_to(body["messages"])).body)
        return Answer(json.dumps(said | {"usage": usage}).encode())

    out = tmp_path / "out"
    with ChatServer(script) as server:
        assert datagen(*command(tmp_path, server, images=5)) == 0
        assert datagen("status", out) == 0
    most = sum(map(at_most, server.books))
    assert manifest_of(out).cost.model_dump() == {
        "spent": pytest.approx(most), "possibly_billed": 0.0, "unpriced_replies": 0
    }  # fmt: skip


# What must not be told

SECRETS = {"plain": "sk-canary-0123456789", "escaped in JSON": "sk-canary/012+34567&89=="}


def _escaped(text: str) -> bytes:
    """JSON as some servers write it: `\\/` and `\\u0026`."""
    return msgspec.json.encode(text)[1:-1].replace(b"/", rb"\/").replace(b"&", rb"\u0026")


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_key_that_the_endpoint_echoes_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], secret: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    good = billing_teacher(len)
    echoed = f"You sent Authorization: Bearer {secret}."

    def echoing(body: dict[str, Any], attempt: int) -> Answer:
        number = int(digest(body), 16) % 8 if attempt == 0 else 0
        text = {0: f"{reply_to(body['messages'])} {echoed}", 1: f"{secret}\n===\nQuestion: {secret}"}
        answers = {
            2: error(500, secret, echoed),
            3: error(400, message=echoed),
            4: Answer(f"<p>{echoed}</p>".encode(), content_type="text/html"),
            5: replace(good(body, attempt), drop="during", headers={"X-Echo": secret}),
            6: error(400, "content_filter", echoed),
            7: completion(None, refusal=echoed),
        }
        answer = answers.get(number) or completion(text[number])
        return replace(answer, body=answer.body.replace(secret.encode(), _escaped(secret)))

    out = tmp_path / "out"
    with ChatServer(echoing) as server:
        arguments = command(tmp_path, server, images=40)
        assert datagen(*arguments) == 1
        assert manifest_of(out).reasons.keys() == {"failed", "rejected"}
        datagen("status", out)
        datagen("finish", out)
        server.script = lambda body, attempt: error(401, message=f"Incorrect API key provided: {secret}")
        assert datagen(*arguments, "--retry-failed") == 1
    assert server.authorizations == {f"Bearer {secret}"}
    captured = capfd.readouterr()
    told = {path.name: path.read_bytes() for path in out.iterdir()}
    told |= {"stdout": captured.out.encode(), "stderr": captured.err.encode()}
    forms = {secret.encode(), _escaped(secret)}
    assert [name for name, text in told.items() if any(form in text for form in forms)] == []


def test_no_part_of_the_key_is_left_where_a_long_message_is_cut() -> None:
    teacher = openai_api.OpenAITeacher("tiny", "http://127.0.0.1/v1")
    teacher._key = KEY
    assert {teacher.shown(ValueError("x" * n + KEY)).strip("x") for n in range(280, 300)} <= {
        "[key]"[:n] for n in range(6)
    }


# What goes on, breaks off, and goes away


def test_status_says_that_a_run_is_going_on_and_that_it_broke_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reached, out = threading.Event(), tmp_path / "out"
    good = billing_teacher(len)

    def script(body: dict[str, Any], attempt: int) -> Answer:
        if len(server.requests) <= 2:
            return good(body, attempt)
        if len(server.requests) == 2 + CONCURRENCY:
            reached.set()
        return replace(good(body, attempt), seconds=WAITS_FOR_EVER)

    with ChatServer(script) as server:
        process = start(command(tmp_path, server, images=10))
        assert reached.wait(30)
        datagen("status", out)
        going_on = capsys.readouterr().out
        process.kill()
        process.communicate()
        datagen("status", out)
        broke_off = capsys.readouterr().out
    assert re.search(
        rf"^Last asking: going on \(process {process.pid}, last reply \d seconds ago\); 2 replies, ",
        going_on,
        re.MULTILINE,
    )
    assert re.search(
        r"^Last asking: broke off: the same command goes on; 2 replies, ", broke_off, re.MULTILINE
    )
    for said in (going_on, broke_off):
        assert "conversation            10 =        2 +      0 +       8\n" in said
        assert "Not finished yet" in said


def test_a_run_whose_log_cannot_be_written_ends(tmp_path: Path) -> None:
    """So does one on a full disk that nobody looks at."""
    with ChatServer(billing_teacher(len)) as server, Path("/dev/full").open("w") as full:
        arguments = command(tmp_path, server)
        process = subprocess.Popen([sys.executable, "-m", "datagen", *arguments], stderr=full)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
        assert datagen(*arguments) == 0
    assert len(server.requests) <= UNITS + CONCURRENCY


@contextmanager
def _same_port(monkeypatch: pytest.MonkeyPatch, port: int) -> Iterator[None]:
    """Servers that start meanwhile are found where that one was."""
    site = web.TCPSite
    with monkeypatch.context() as patch:
        patch.setattr(web, "TCPSite", lambda runner, host, _, **options: site(runner, host, port, **options))
        yield


def test_an_endpoint_that_goes_away_fails_nothing_and_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, out = threading.Event(), tmp_path / "out"
    good = billing_teacher(len)

    def leaving(body: dict[str, Any], attempt: int) -> Answer:
        if len(server.requests) == 100:
            reached.set()
        return replace(good(body, attempt), seconds=WAITS_FOR_EVER if reached.is_set() else 0.0)

    with ChatServer(leaving) as server:
        arguments = command(tmp_path, server)
        process = start(arguments)
        assert reached.wait(30)
    _, err = process.communicate()
    assert process.returncode == 1
    assert re.search(
        r"^error: stopped: http://\S+ gave the last 8 requests no reply .*: they stay pending; ", err, re.M
    )
    answered = server.answered
    counts = manifest_of(out).accounting.values()
    assert [sum(getattr(count, name) for count in counts) for name in ("emitted", "failed", "pending")] == [
        answered, 0, UNITS - answered
    ]  # fmt: skip
    before = {entry.body for entry in server.books if entry.delivered}
    with _same_port(monkeypatch, server.port), ChatServer(good) as again:
        assert datagen(*arguments) == 0
    assert len(again.requests) == UNITS - answered
    assert before.isdisjoint(entry.body for entry in again.books)
    with ChatServer(good) as whole:
        datagen(*command(tmp_path, whole)[:-1], tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")
