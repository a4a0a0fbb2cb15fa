"""What replies cost: the price table, the price of a reply, and a cap on what may be spent."""

from __future__ import annotations

import datetime
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from datagen.records import InputError, TeacherReply
from schemas.prices import ModelPrices

PRICES = Path(__file__).resolve().parent / "prices.toml"
_MILLION = 1_000_000
# Models are also served under the day of a release: gpt-4o-mini-2024-07-18.
_RELEASE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


class Price(NamedTuple):
    """US dollars per million tokens."""

    input: float
    cached_input: float
    output: float

    def of(self, prompt: float, cached: float, completion: float) -> float:
        """US dollars for so many tokens; `cached` are part of `prompt`."""
        cached = min(cached, prompt)  # some endpoints count them apart
        fresh = prompt - cached
        return (fresh * self.input + cached * self.cached_input + completion * self.output) / _MILLION

    def of_reply(self, reply: TeacherReply, worst: float) -> float:
        """US dollars by the usage reported; the worst there can be where none was."""
        if reply.prompt_tokens is None or reply.completion_tokens is None:
            return worst
        return self.of(reply.prompt_tokens, reply.cached_tokens or 0, reply.completion_tokens)

    def at_most(self, body: bytes, max_tokens: int) -> float:
        """US dollars that a request cannot exceed.

        No tokenizer makes more tokens of a text than it has bytes, and the JSON around each message
        is longer than what a chat template puts there.
        """
        dearer = max(self.input, self.cached_input)
        return (len(body) * dearer + max_tokens * self.output) / _MILLION


class Prices(NamedTuple):
    """What one model costs, each way that it can be asked."""

    online: Price
    batch: Price | None
    date: datetime.date
    source: Path


def find_prices(model: str, path: Path = PRICES) -> Prices | None:
    """The prices of a model, or of the model that it is a dated release of; None if the file has neither.

    Raises InputError for a file that cannot be used.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--prices {path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--prices {path}: not valid TOML: {error}") from None
    name = model if model in tables else _RELEASE.sub("", model)
    table = tables.get(name)
    if table is None:
        return None
    try:
        listed = ModelPrices.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the table"
        raise InputError(f'--prices {path}: ["{name}"]: {key}: {first["msg"]}') from None
    cached = listed.input if listed.cached_input is None else listed.cached_input
    batch = None
    if listed.batch_input is not None and listed.batch_output is not None:
        batch = Price(listed.batch_input, listed.batch_input, listed.batch_output)
    return Prices(Price(listed.input, cached, listed.output), batch, listed.date, path)


class Budget:
    """US dollars spent, reserved and possibly billed, never above a cap.

    What a request may cost at most is reserved before it is sent, and settled by what it did cost.
    Where that is never known (no answer came), the reservation counts as spent: it may have been
    billed.
    """

    def __init__(self, cap: float | None, spent: float, possibly_billed: float) -> None:
        """`spent` and `possibly_billed` are what earlier sessions left."""
        self.cap = cap
        self.spent = spent
        self.reserved = 0.0
        self.lost = 0.0
        self._earlier = possibly_billed

    @property
    def possibly_billed(self) -> float:
        return self._earlier + self.lost

    @property
    def most_at_stake(self) -> float:
        """What this session could still come to owe, at most."""
        return float("inf") if self.cap is None else self.cap - self.spent - self._earlier

    def reserve(self, cost: float) -> bool:
        """Set the cost aside; False, and nothing is, where the cap leaves no room for it."""
        if self.cap is not None and self.spent + self.possibly_billed + self.reserved + cost > self.cap:
            return False
        self.reserved += cost
        return True

    def no_room_for(self, cost: float) -> str:
        """Why such a request is not asked, for a person."""
        return (
            f"--max-cost {self.cap:g} leaves no room for another request, which could cost ${cost:.4f} "
            f"(spent ${self.spent:.4f}, and perhaps ${self.possibly_billed:.4f} for what was never "
            "answered): raise it to go on; every reply is kept"
        )

    def settle(self, reserved: float, cost: float) -> None:
        """A reply came, and cost that much; 0 for a request that was refused."""
        self.reserved -= reserved
        self.spent += cost

    def lose(self, reserved: float) -> None:
        """No reply came, and nobody knows whether it was billed."""
        self.reserved -= reserved
        self.lost += reserved
