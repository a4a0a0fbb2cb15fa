"""prices.toml: what models cost, as users edit it."""

from __future__ import annotations

import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ModelPrices(BaseModel):
    """One table of a price file, named after the model. US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: datetime.date
    """The day on which these prices were read."""
    input: Dollars
    cached_input: Dollars | None = None
    """Of input tokens that the endpoint had cached; without it they cost what others do."""
    output: Dollars
    batch_input: Dollars | None = None
    """Through the batch endpoint; without it the model has no batch price."""
    batch_output: Dollars | None = None

    @model_validator(mode="after")
    def _whole_batch_price(self) -> Self:
        if (self.batch_input is None) != (self.batch_output is None):
            raise ValueError("batch_input and batch_output go together")
        return self
