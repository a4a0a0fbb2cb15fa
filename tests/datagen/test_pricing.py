"""Prices are found and checked, a request never costs more than reserved, and the cap holds."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.pricing import PRICES, Budget, Price, Prices, find_prices
from datagen.records import InputError, TeacherReply
from schemas.prices import ModelPrices

DAY = datetime.date(2026, 10, 21)
SHIPPED = tomllib.loads(PRICES.read_text())
TABLE = """
["tiny"]
date = 2026-10-21
input = 2.0
cached_input = 0.5
output = 8.0
batch_input = 1.0
batch_output = 4.0

["plain"]
date = 2026-10-21
input = 2
output = 8

["tiny-2024-05-13"]
date = 2026-10-21
input = 5.0
output = 15.0
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(TABLE)
    return path


# The file


def test_a_model_is_found_with_its_price_each_way_that_it_can_be_asked(path: Path) -> None:
    assert find_prices("tiny", path) == Prices(Price(2.0, 0.5, 8.0), Price(1.0, 1.0, 4.0), DAY, path)


def test_without_other_prices_cached_input_costs_what_input_does_and_there_is_no_batch(path: Path) -> None:
    assert find_prices("plain", path) == Prices(Price(2.0, 2.0, 8.0), None, DAY, path)


def test_a_dated_release_costs_what_the_model_does_unless_it_is_listed_itself(path: Path) -> None:
    assert find_prices("plain-2024-07-18", path) == find_prices("plain", path)
    assert find_prices("tiny-2024-05-13", path) == Prices(Price(5.0, 5.0, 15.0), None, DAY, path)


@pytest.mark.parametrize(
    "model", ["tin", "tiny-2", "tiny-2024", "tiny-20240718", "tiny-2024-07-18-x", "TINY", "vendor/tiny", ""]
)
def test_a_name_that_is_only_similar_has_no_price(path: Path, model: str) -> None:
    assert find_prices(model, path) is None


def test_the_shipped_file_is_the_default() -> None:
    assert find_prices("gpt-4o-mini-2024-07-18") == Prices(
        Price(0.15, 0.075, 0.6), Price(0.075, 0.075, 0.3), DAY, PRICES
    )


GOOD = {"date": "2026-10-21", "input": "2.0", "output": "8.0"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"output": None}, "output: Field required"),
        ({"date": None}, "date: Field required"),
        ({"input": "-1"}, "input: Input should be greater than or equal to 0"),
        ({"input": "nan"}, "input: Input should be a finite number"),
        ({"output": "inf"}, "output: Input should be a finite number"),
        (
            {"output": '"eight"'},
            "output: Input should be a valid number, unable to parse string as a number",
        ),
        ({"batch_input": "-0.5"}, "batch_input: Input should be greater than or equal to 0"),
        ({"outputs": "8.0"}, "outputs: Extra inputs are not permitted"),
        ({"date": '"soon"'}, "date: Input should be a valid date or datetime, input is too short"),
    ],
)
def test_a_bad_table_is_one_line_that_names_file_table_and_key(
    tmp_path: Path, changes: dict[str, str | None], says: str
) -> None:
    path = tmp_path / "prices.toml"
    lines = [f"{key} = {value}" for key, value in (GOOD | changes).items() if value is not None]
    path.write_text("\n".join(['["tiny"]', *lines]))
    with pytest.raises(InputError) as caught:
        find_prices("tiny", path)
    assert str(caught.value) == f'--prices {path}: ["tiny"]: {says}'


def test_a_bad_table_is_named_as_it_stands_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('["tiny"]\ndate = 2026-10-21\ninput = 1.0\n')
    with pytest.raises(InputError) as caught:
        find_prices("tiny-2024-07-18", path)
    assert str(caught.value) == f'--prices {path}: ["tiny"]: output: Field required'


def test_a_value_where_a_table_should_be_is_said(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text("tiny = 2.0\n")
    with pytest.raises(InputError) as caught:
        find_prices("tiny", path)
    said = str(caught.value)
    assert said.startswith(f'--prices {path}: ["tiny"]: the table: ')
    assert "\n" not in said


def test_a_table_of_another_model_may_be_bad(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(TABLE + '["broken"]\ninput = -1\n')
    assert find_prices("tiny", path) is not None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'["tiny"\n', "not valid TOML: "),
        (b'["tiny"]\ninput = 1\ninput = 2\n', "not valid TOML: "),
        (b"\xff", "not valid TOML: "),
    ],
)
def test_what_is_no_toml_is_said_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        find_prices("tiny", path)
    assert str(caught.value).startswith(f"--prices {path}: {says}")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_said_with_why(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.toml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError) as caught:
            find_prices("tiny", path)
        assert str(caught.value) == f"--prices {path}: cannot be read: {why}"


@pytest.mark.parametrize("model", SHIPPED)
def test_every_shipped_price_is_valid_and_no_discount_is_a_surcharge(model: str) -> None:
    listed = ModelPrices.model_validate(SHIPPED[model])
    assert 0 < listed.input < listed.output < 1000
    assert listed.cached_input is None or listed.cached_input <= listed.input
    assert (listed.batch_input is None) == (listed.batch_output is None)
    assert listed.batch_input is None or listed.batch_input <= listed.input
    assert listed.batch_output is None or listed.batch_output <= listed.output
    assert listed.date <= datetime.datetime.now(datetime.UTC).date()
    found = find_prices(model)
    assert found is not None
    assert found.online.input == listed.input


# The price of a reply

PER_TOKEN = Price(2.0, 0.5, 8.0)
dollars = st.floats(0, 1000)
tokens = st.integers(0, 100_000)


def test_a_reply_costs_what_its_tokens_do_by_the_million() -> None:
    assert PER_TOKEN.of(1_000_000, 0, 0) == 2.0
    assert PER_TOKEN.of(1_000_000, 1_000_000, 0) == 0.5
    assert PER_TOKEN.of(0, 0, 1_000_000) == 8.0
    assert PER_TOKEN.of(1500, 1000, 100) == pytest.approx(0.0023)
    assert PER_TOKEN.of(0, 0, 0) == 0


def test_a_request_is_reserved_for_as_if_each_byte_were_a_token_and_nothing_cached() -> None:
    assert PER_TOKEN.at_most("ä€".encode(), 100) == pytest.approx(PER_TOKEN.of(5, 0, 100))


@given(dollars, dollars, dollars, st.binary(max_size=3000), tokens, st.data())
def test_no_reply_costs_more_than_was_reserved_for_its_request(
    price_in: float, price_cached: float, price_out: float, body: bytes, max_tokens: int, data: st.DataObject
) -> None:
    price = Price(price_in, price_cached, price_out)
    prompt = data.draw(st.integers(0, len(body)))
    cached, completed = data.draw(st.integers(0, prompt)), data.draw(st.integers(0, max_tokens))
    cost = price.of(prompt, cached, completed)
    assert 0 <= cost <= price.at_most(body, max_tokens) * (1 + 1e-12)


@pytest.mark.parametrize(("prompt", "cached"), [(None, 0), (10, None), (None, None)])
def test_a_reply_that_does_not_say_what_it_took_costs_the_worst(
    prompt: int | None, cached: int | None
) -> None:
    silent = TeacherReply("{}", True, prompt_tokens=prompt, cached_tokens=cached)
    assert PER_TOKEN.of_reply(silent, 0.5) == 0.5


def test_a_reply_costs_what_it_says_it_took() -> None:
    reply = TeacherReply("{}", True, 1500, 1000, 100)
    assert PER_TOKEN.of_reply(reply, 0.5) == PER_TOKEN.of(1500, 1000, 100)
    assert PER_TOKEN.of_reply(reply._replace(cached_tokens=None), 0.5) == PER_TOKEN.of(1500, 0, 100)


def test_an_endpoint_that_counts_cached_tokens_apart_gives_no_money_back() -> None:
    assert PER_TOKEN.of_reply(TeacherReply("{}", True, 10, 10_000, 0), 0.5) >= PER_TOKEN.of(10, 10, 0)


# The cap

amounts = st.floats(0, 10)
steps = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "refuse", "lose"]), amounts, st.floats(0, 1)), max_size=60
)


@given(st.floats(0, 50), amounts, amounts, steps)
def test_in_whatever_order_replies_come_the_cap_is_never_passed(
    cap: float, spent: float, possibly_billed: float, steps: list[tuple[str, float, float]]
) -> None:
    budget = Budget(cap, spent, possibly_billed)
    before = spent + possibly_billed
    expected_spent, expected_lost = spent, possibly_billed
    reserved: list[float] = []
    for what, cost, share in steps:
        if what == "reserve":
            fits = sum(reserved) + expected_spent + expected_lost + cost
            if fits < cap - 1e-9:
                assert budget.reserve(cost)
                reserved.append(cost)
            elif fits > cap + 1e-9:
                assert not budget.reserve(cost)
            elif budget.reserve(cost):
                reserved.append(cost)
        elif reserved:
            worst = reserved.pop(int(share * (len(reserved) - 1)))
            if what == "lose":
                budget.lose(worst)
                expected_lost += worst
            else:
                settled = share * worst if what == "settle" else 0.0
                budget.settle(worst, settled)
                expected_spent += settled
        assert budget.spent == pytest.approx(expected_spent)
        assert budget.possibly_billed == pytest.approx(expected_lost)
        assert budget.reserved == pytest.approx(sum(reserved), abs=1e-9)
        assert budget.spent + budget.possibly_billed + budget.reserved <= max(cap, before) + 1e-9


def test_what_earlier_sessions_left_counts_towards_the_cap() -> None:
    budget = Budget(1.0, spent=0.5, possibly_billed=0.25)
    assert not budget.reserve(0.5)
    assert budget.reserve(0.25)
    assert not budget.reserve(0.125)
    assert (budget.spent, budget.possibly_billed, budget.reserved) == (0.5, 0.25, 0.25)


def test_what_a_reply_did_not_cost_is_free_for_the_next() -> None:
    budget = Budget(1.0, 0.0, 0.0)
    assert budget.reserve(1.0)
    assert not budget.reserve(0.5)
    budget.settle(1.0, 0.25)
    assert budget.reserve(0.75)
    assert (budget.spent, budget.possibly_billed, budget.reserved) == (0.25, 0.0, 0.75)


def test_what_was_never_answered_stays_taken() -> None:
    budget = Budget(1.0, 0.0, 0.0)
    assert budget.reserve(0.75)
    budget.lose(0.75)
    assert not budget.reserve(0.5)
    assert (budget.spent, budget.possibly_billed, budget.reserved, budget.lost) == (0.0, 0.75, 0.0, 0.75)


def test_without_a_cap_there_is_always_room_and_the_books_are_kept() -> None:
    budget = Budget(None, 0.0, 0.0)
    assert budget.reserve(1e12)
    budget.settle(1e12, 1e12)
    assert budget.reserve(1e12)
    assert (budget.spent, budget.reserved, budget.most_at_stake) == (1e12, 1e12, float("inf"))


def test_most_at_stake_is_what_the_cap_leaves_to_this_session() -> None:
    budget = Budget(10.0, spent=1.0, possibly_billed=2.0)
    assert budget.most_at_stake == 7.0
    assert budget.reserve(4.0)
    budget.settle(4.0, 3.0)
    assert budget.reserve(2.0)
    budget.lose(2.0)
    assert budget.most_at_stake == 4.0  # of which 2 are lost already
