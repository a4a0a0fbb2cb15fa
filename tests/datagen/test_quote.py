"""What a run would cost, said before anything is sent: against what the endpoint bills in the end."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from datagen.ledger import Ledger
from datagen.pricing import PRICES
from datagen.prompting import PACKS
from tests.datagen.chat_server import Answer, ChatServer, Prices, Script, error
from tests.datagen.faults import billing_teacher, make_faults
from tests.datagen.scenes import good_teacher, proxy_of, reply_to
from tests.datagen.test_run import TYPES, datagen, inputs, manifest_of, openai

CHARGED = Prices(2.0, 0.5, 8.0)
ONLINE, CACHED = "online, nothing cached", "online, prefix cached"
BATCH = "in batches (--teacher openai-batch)"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def prices(tmp_path: Path) -> list[str | Path]:
    """The option that gives what the endpoint charges."""
    path = tmp_path / "prices.toml"
    path.write_text(
        '["tiny"]\ndate = 2026-10-21\ninput = 2.0\ncached_input = 0.5\noutput = 8.0\n'
        "batch_input = 1.0\nbatch_output = 4.0\n"
    )
    return ["--prices", path]


def longer_or_shorter(messages: Sequence[dict[str, str]]) -> str:
    """A good reply with up to seven sentences more, by what the image shows."""
    sentences = zlib.crc32(proxy_of(messages).encode()) % 8
    return reply_to(messages) + " It is quiet, and nothing moves." * sentences


def in_threes(text: str) -> int:
    """Counts tokens otherwise than we do."""
    return len(text) // 3


def teacher(count: Callable[[str], int] = in_threes) -> Script:
    """One endpoint, with a prefix cache of its own."""
    return billing_teacher(count, longer_or_shorter)


class Row(NamedTuple):
    """What a quote says of a type."""

    requests: int
    prefix_tokens: int
    tokens_an_image: int
    input_tokens: int
    output_tokens: int
    most_output_tokens: int


class Quoted(NamedTuple):
    """What the `quote` command said."""

    requests: int
    rows: dict[str, Row]
    dollars: dict[str, tuple[float, float]]
    """Expected and at most, each way that there is a price for."""
    text: str


def quote(capsys: Capture, *arguments: str | Path) -> Quoted:
    capsys.readouterr()
    assert datagen("quote", *arguments) == 0
    text = capsys.readouterr().out
    asked = re.search(r"would ask the \S+ teacher ([\d,]+) requests", text)
    assert asked
    rows = {}
    for name, numbers in re.findall(rf"^({'|'.join(TYPES)}) +([\d, ]+)$", text, re.MULTILINE):
        rows[name] = Row(*(int(number.replace(",", "")) for number in numbers.split()))
    dollars = {}
    for way in (ONLINE, CACHED, BATCH):
        if found := re.search(rf"^  {re.escape(way)} +([\d.,]+) +([\d.,]+)$", text, re.MULTILINE):
            dollars[way] = (float(found[1].replace(",", "")), float(found[2].replace(",", "")))
    return Quoted(int(asked[1].replace(",", "")), rows, dollars, text)


def refused(capsys: Capture, *arguments: str | Path) -> str:
    """The one line with which a command refuses its options."""
    capsys.readouterr()
    assert datagen(*arguments) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    return said.removeprefix("error: ")


# Before anything is sent


def test_a_quote_prices_every_way_to_ask_and_asks_nobody(
    tmp_path: Path, prices: list[str | Path], capsys: Capture
) -> None:
    with ChatServer(good_teacher) as server:
        quoted = quote(capsys, *inputs(tmp_path), *openai(server), *prices)
    assert (server.requests, server.authorizations) == ([], set())
    assert not (tmp_path / "out").exists()
    assert quoted.requests == 18
    assert {name: row.requests for name, row in quoted.rows.items()} == dict.fromkeys(TYPES, 6)
    tokens_in, tokens_out, most_out = (
        sum(getattr(row, field) for row in quoted.rows.values())
        for field in ("input_tokens", "output_tokens", "most_output_tokens")
    )
    # From the second time on the prefix is cached.
    saved = sum(5 * row.prefix_tokens for row in quoted.rows.values()) * (2.0 - 0.5)
    most = tokens_in * 2.0 + most_out * 8.0
    expected = tokens_in * 2.0 + tokens_out * 8.0
    assert most_out == 6 * (1024 + 512 + 768)
    assert quoted.dollars == {
        ONLINE: pytest.approx((expected / 1e6, most / 1e6), abs=1e-4),
        CACHED: pytest.approx(((expected - saved) / 1e6, (most - saved) / 1e6), abs=1e-4),
        BATCH: pytest.approx((expected / 2e6, most / 2e6), abs=1e-4),
    }
    assert f"US dollars, by {prices[1]} of 2026-10-21:" in quoted.text


def test_without_a_batch_price_none_is_said(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('["tiny"]\ndate = 2026-11-01\ninput = 0\noutput = 1\n')
    with ChatServer(good_teacher) as server:
        quoted = quote(capsys, *inputs(tmp_path), *openai(server), "--prices", path)
    assert set(quoted.dollars) == {ONLINE, CACHED}
    assert quoted.dollars[ONLINE] == quoted.dollars[CACHED]


def test_a_shipped_price_is_found_by_the_model_alone(tmp_path: Path, capsys: Capture) -> None:
    asked = ["--teacher", "openai", "--model", "gpt-4o-mini-2024-07-18"]
    quoted = quote(capsys, *inputs(tmp_path), *asked)
    assert f"US dollars, by {PRICES} of 2026-10-21:" in quoted.text
    assert set(quoted.dollars) == {ONLINE, CACHED, BATCH}


def test_a_run_says_the_same_range_before_its_first_request(
    tmp_path: Path, prices: list[str | Path], capsys: Capture
) -> None:
    said: list[str] = []

    def script(body: dict[str, Any], attempt: int) -> Answer:
        said.append(capsys.readouterr().out)
        return good_teacher(body, attempt)

    with ChatServer(script) as server:
        arguments = [*inputs(tmp_path), *openai(server), *prices]
        quoted = quote(capsys, *arguments)
        assert datagen("run", *arguments, "--out", tmp_path / "out", "--concurrency", "1") == 0
    amounts = (
        r"^Quote: \$(\S+) \(prefix cached\) to \$(\S+), \$(\S+) if every reply is as long as it may be;.*$"
    )
    line = re.search(amounts, said[0], re.MULTILINE)
    assert line, said[0]
    (low, _), (high, most) = quoted.dollars[CACHED], quoted.dollars[ONLINE]
    assert [float(amount) for amount in line.groups()] == pytest.approx([low, high, most], abs=1e-4)
    assert line[0].endswith("estimates, at the prices of 2026-10-21")


def test_a_model_without_a_price_is_quoted_in_tokens_and_told_where_to_add_one(
    tmp_path: Path, capsys: Capture
) -> None:
    with ChatServer(good_teacher) as server:
        arguments = [*inputs(tmp_path), *openai(server)]
        quoted = quote(capsys, *arguments)
        assert quoted.dollars == {}
        assert (
            f'No price: {PRICES} has no ["tiny"]. Add it there, or in a file that you give with --prices.'
        ) in quoted.text
        assert datagen("run", *arguments, "--out", tmp_path / "out") == 0
    tokens = sum(row.input_tokens for row in quoted.rows.values())
    said = capsys.readouterr().out
    assert f"Quote: about {tokens:,} tokens in and" in said
    assert "; no price for tiny (`quote` says where to add it)" in said
    assert "Spent" not in said
    assert manifest_of(tmp_path / "out").cost.model_dump() == {
        "spent": 0.0,
        "possibly_billed": 0.0,
        "unpriced_replies": 18,
    }


@pytest.mark.parametrize(("cap", "stops"), [("0.01", True), ("5", False)])
def test_a_quote_says_whether_the_cap_would_stop_it(
    tmp_path: Path, prices: list[str | Path], capsys: Capture, cap: str, stops: bool
) -> None:
    with ChatServer(good_teacher) as server:
        quoted = quote(capsys, *inputs(tmp_path), *openai(server), *prices, "--max-cost", cap)
    assert (f"--max-cost {cap} would stop it before the end." in quoted.text) is stops


def test_a_quote_for_batches_holds_the_batch_price_to_the_cap(
    tmp_path: Path, prices: list[str | Path], capsys: Capture
) -> None:
    asked = [*inputs(tmp_path), "--model", "tiny", *prices]
    expected = quote(capsys, "--teacher", "openai", *asked).dollars
    between = f"{(expected[BATCH][0] + expected[ONLINE][0]) / 2:.4f}"
    online = quote(capsys, "--teacher", "openai", *asked, "--max-cost", between)
    batches = quote(capsys, "--teacher", "openai-batch", *asked, "--max-cost", between)
    assert "would stop it" in online.text
    assert "would stop it" not in batches.text


# After some were asked


@pytest.mark.parametrize(
    ("count", "way"),
    [
        (in_threes, CACHED),
        (lambda text: len(text) // 5, CACHED),
        (lambda text: len(text) // 30, ONLINE),  # a prefix too short to be cached
        (lambda text: len(text.split()) * 2, CACHED),
    ],
)
def test_after_a_pilot_the_quote_is_what_the_rest_is_billed(
    tmp_path: Path, prices: list[str | Path], capsys: Capture, count: Callable[[str], int], way: str
) -> None:
    out, files = tmp_path / "out", inputs(tmp_path, images=120)
    with ChatServer(teacher(count)) as server:
        arguments = [*files, *openai(server), *prices, "--out", out]
        assert datagen("run", *arguments, "--limit", "20") == 0
        pilot, asked = server.bill(CHARGED), len(server.requests)
        quoted = quote(capsys, *arguments)
        assert datagen("run", *arguments) == 0
        rest = server.bill(CHARGED) - pilot
    assert asked == 60
    assert quoted.requests == len(server.requests) - asked == 300
    assert "Answered already, and not counted below: 60." in quoted.text
    assert "scaled by what the endpoint reported for 60 replies" in quoted.text
    expected, most = quoted.dollars[way]
    assert expected == pytest.approx(rest, rel=0.1)
    assert rest < most
    assert manifest_of(out).cost.spent == pytest.approx(server.bill(CHARGED))


def test_a_pilot_is_what_makes_the_quote_fit(
    tmp_path: Path, prices: list[str | Path], capsys: Capture
) -> None:
    files = inputs(tmp_path, images=120)
    with ChatServer(teacher()) as server:
        arguments = [*files, *openai(server), *prices]
        before = quote(capsys, *arguments)
        datagen("run", *arguments, "--limit", "20", "--out", tmp_path / "out")
        after = quote(capsys, *arguments, "--out", tmp_path / "out")
        datagen("run", *arguments, "--out", tmp_path / "whole")
    billed = server.bill(CHARGED) * 120 / 140
    assert abs(before.dollars[CACHED][0] / billed - 1) > 0.1
    assert after.dollars[CACHED][0] * 120 / 100 == pytest.approx(billed, rel=0.1)


def rejecting_pack(tmp_path: Path) -> Path:
    pack = Path(shutil.copytree(PACKS / "coco", tmp_path / "pack"))
    settings = (pack / "pack.toml").read_text()
    (pack / "pack.toml").write_text(settings.replace('on_reject = "drop_turn"', 'on_reject = "ask_again"'))
    return pack


def reject_images_4(pack: Path) -> None:
    """From now on no text may name number 4."""
    with (pack / "leaks.txt").open("a") as leaks:
        leaks.write("\nnumber 4\n")


def test_replies_that_could_not_be_used_are_quoted_as_requests_that_ask_again(
    tmp_path: Path, prices: list[str | Path], capsys: Capture
) -> None:
    out, pack = tmp_path / "out", rejecting_pack(tmp_path)
    with ChatServer(teacher()) as server:
        arguments = [*inputs(tmp_path), *openai(server), *prices, "--pack", pack, "--out", out]
        assert datagen("run", *arguments) == 0
        first = server.bill(CHARGED)
        reject_images_4(pack)
        assert datagen("finish", out) == 0
        assert manifest_of(out).to_ask_again == 3
        quoted = quote(capsys, *arguments)
        assert datagen("run", *arguments) == 0
    assert len(server.requests) == 18 + 3
    assert "Among them 3 that ask again for a reply that could not be used, with why." in quoted.text
    assert {name: row.requests for name, row in quoted.rows.items()} == dict.fromkeys(TYPES, 1)
    assert quoted.requests == 3
    # They are each type's only request, whose prefix a quote takes to be sent for the first time.
    assert set(quoted.dollars) == {ONLINE, CACHED, BATCH}
    assert quoted.dollars[ONLINE][1] > server.bill(CHARGED) - first > 0


def test_what_is_asked_again_is_quoted_with_its_prefix_though_no_usage_is_reported(
    tmp_path: Path, prices: list[str | Path], capsys: Capture
) -> None:
    out, pack = tmp_path / "out", rejecting_pack(tmp_path)
    no_usage = make_faults()["no_usage"]
    with ChatServer(lambda body, attempt: no_usage(good_teacher(body, attempt))) as server:
        arguments = [*inputs(tmp_path), *openai(server), *prices, "--pack", pack]
        fresh = quote(capsys, *arguments)
        assert datagen("run", *arguments, "--out", out) == 0
        reject_images_4(pack)
        assert datagen("finish", out) == 0
        quoted = quote(capsys, *arguments, "--out", out)
    assert {name: row.prefix_tokens for name, row in quoted.rows.items()} == {
        name: row.prefix_tokens for name, row in fresh.rows.items()
    }


@pytest.mark.parametrize("changed", [["--model", "other"], ["--limit", "2"]])
def test_what_another_plan_would_not_ask_again_is_not_quoted(
    tmp_path: Path, prices: list[str | Path], capsys: Capture, changed: list[str]
) -> None:
    out, pack = tmp_path / "out", rejecting_pack(tmp_path)
    with ChatServer(teacher()) as server:
        arguments = [*inputs(tmp_path), *openai(server), *prices, "--pack", pack, "--out", out]
        assert datagen("run", *arguments) == 0
        reject_images_4(pack)
        assert datagen("finish", out) == 0
        quoted = quote(capsys, *arguments, *changed)
    assert "ask again" not in quoted.text
    assert sum(row.requests for row in quoted.rows.values()) == (18 if changed[0] == "--model" else 0)


def test_what_was_given_up_is_not_quoted(tmp_path: Path, prices: list[str | Path], capsys: Capture) -> None:
    def script(body: dict[str, Any], attempt: int) -> Answer:
        return error(400) if "number 2 " in proxy_of(body["messages"]) else good_teacher(body, attempt)

    with ChatServer(script) as server:
        arguments = [*inputs(tmp_path), *openai(server), *prices, "--out", tmp_path / "out"]
        assert datagen("run", *arguments) == 1
        quoted = quote(capsys, *arguments)
    assert quoted.requests == 0
    assert "Failed before, and asked again only with --retry-failed: 3." in quoted.text
    assert quoted.dollars == {}


# What was spent


def test_when_all_is_answered_nothing_is_possibly_billed(
    tmp_path: Path, prices: list[str | Path], capsys: Capture
) -> None:
    out = tmp_path / "out"
    with ChatServer(teacher()) as server:
        assert datagen("run", *inputs(tmp_path, images=20), *openai(server), *prices, "--out", out) == 0
    assert manifest_of(out).cost.possibly_billed == 0
    said = capsys.readouterr().out
    assert "and at most $" not in said
    assert f"Spent: ${server.bill(CHARGED):.4f} in this folder so far" in said


def test_the_last_line_of_progress_tells_all_that_was_spent(
    tmp_path: Path, prices: list[str | Path], capsys: Capture
) -> None:
    with ChatServer(teacher()) as server:
        assert datagen("run", *inputs(tmp_path), *openai(server), *prices, "--out", tmp_path / "out") == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("asked 18 of 18: ")
    bill = server.bill(CHARGED)
    assert last.endswith(f" of input cached, ${bill:.4f} (${bill / 18:.6f} a usable one)")


# Options


@pytest.mark.parametrize("command", ["run", "quote"])
def test_a_cap_without_a_price_is_refused(tmp_path: Path, capsys: Capture, command: str) -> None:
    with ChatServer(good_teacher) as server:
        arguments = [*inputs(tmp_path), *openai(server), "--max-cost", "1", "--out", tmp_path / "out"]
        said = refused(capsys, command, *arguments)
    assert said == (
        f"--max-cost: {PRICES} has no price for tiny, so nothing can be held to it: "
        'add it to the table ["tiny"], in that file or in one that you give with --prices'
    )
    assert server.requests == []
    assert not (tmp_path / "out").exists()


def test_a_cap_on_batches_without_a_batch_price_is_refused(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('["tiny"]\ndate = 2026-11-01\ninput = 1\noutput = 1\n')
    asked = ["--teacher", "openai-batch", "--model", "tiny", "--max-cost", "1", "--prices"]
    said = refused(capsys, "quote", *inputs(tmp_path), *asked, path)
    assert said.startswith(f"--max-cost: {path} has no batch price for tiny, so nothing can be held to it: ")


@pytest.mark.parametrize(
    ("option", "users"),
    [
        ("--rpm", "openai"),
        ("--tpm", "openai"),
        ("--max-cost", "openai or openai-batch"),
        ("--prices", "openai or openai-batch"),
    ],
)
@pytest.mark.parametrize("teacher_options", [[], ["--teacher", "replay", "--replies", "replies.jsonl"]])
def test_what_only_endpoints_know_is_refused_for_local_teachers(
    tmp_path: Path, capsys: Capture, teacher_options: list[str], option: str, users: str
) -> None:
    (tmp_path / "replies.jsonl").write_text("")
    named: list[str | Path] = [tmp_path / each if "." in each else each for each in teacher_options]
    said = refused(capsys, "run", *inputs(tmp_path), *named, option, "5", "--out", tmp_path / "out")
    name = "replay" if named else "programmatic"
    assert said == f"{option} has no meaning for --teacher {name}; it goes with --teacher {users}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--rpm", "--tpm"])
def test_a_pace_is_refused_for_batches(tmp_path: Path, capsys: Capture, option: str) -> None:
    asked = ["--teacher", "openai-batch", "--model", "tiny", option, "5"]
    said = refused(capsys, "run", *inputs(tmp_path), *asked, "--out", tmp_path / "out")
    assert said == f"{option} has no meaning for --teacher openai-batch; it goes with --teacher openai"


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--rpm", "0", "--rpm 0: must be at least 1"),
        ("--rpm", "-5", "--rpm -5: must be at least 1"),
        ("--tpm", "0", "--tpm 0: must be at least 1"),
        ("--tpm", "-5", "--tpm -5: must be at least 1"),
        ("--concurrency", "0", "--concurrency 0: must be at least 1"),
        ("--max-cost", "0", "--max-cost 0: must be more than 0 US dollars"),
        ("--max-cost", "-1.5", "--max-cost -1.5: must be more than 0 US dollars"),
        ("--max-cost", "nan", "--max-cost nan: must be more than 0 US dollars"),
    ],
)
def test_a_number_out_of_range_is_refused(
    tmp_path: Path, prices: list[str | Path], capsys: Capture, option: str, value: str, says: str
) -> None:
    with ChatServer(good_teacher) as server:
        arguments = [*inputs(tmp_path), *openai(server), *prices, option, value]
        assert refused(capsys, "run", *arguments, "--out", tmp_path / "out") == says
    assert server.requests == []
    assert not (tmp_path / "out").exists()


def test_a_bad_price_file_is_refused_before_anything_is_asked(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('["tiny"]\ndate = 2026-11-01\ninput = -1\noutput = 1\n')
    with ChatServer(good_teacher) as server:
        arguments = [*inputs(tmp_path), *openai(server), "--prices", path, "--out", tmp_path / "out"]
        for command in ("quote", "run"):
            assert refused(capsys, command, *arguments) == (
                f'--prices {path}: ["tiny"]: input: Input should be greater than or equal to 0'
            )
    assert server.requests == []


def test_a_price_file_that_is_not_there_is_refused(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "none.toml"
    asked = ["--teacher", "openai", "--model", "tiny", "--prices"]
    said = refused(capsys, "quote", *inputs(tmp_path), *asked, path)
    assert said == f"--prices {path}: cannot be read: No such file or directory"


def test_replies_from_before_there_was_a_price_count_once_there_is_one(
    tmp_path: Path, prices: list[str | Path], capsys: Capture
) -> None:
    out, files = tmp_path / "out", inputs(tmp_path)
    with ChatServer(teacher()) as server:
        assert datagen("run", *files, *openai(server), "--out", out) == 0
        bill = server.bill(CHARGED)
        assert (
            datagen("run", *files, *openai(server), *prices, "--max-cost", f"{2 * bill}", "--out", out) == 0
        )
    with Ledger.open_read_only(out) as ledger:
        assert ledger.spent() == pytest.approx((bill, 0.0, 0))
