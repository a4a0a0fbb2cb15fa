"""LLaVA's JSON: a list of records, each a conversation about one image."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

IMAGE_TOKEN = "<image>"


class LlavaMessage(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)

    from_: Literal["human", "gpt"] = Field(alias="from")
    """Who speaks."""
    value: str = Field(min_length=1)
    """What is said. The first human turn carries `<image>`, first or last."""


class LlavaRecord(BaseModel):
    """One sample, as LLaVA's trainers read it.

    Raises pydantic's ValidationError when turns do not alternate from human to gpt, or when
    `<image>` does not stand exactly once, in the first turn, for a sample with an image (and
    nowhere in a sample without one).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    """Unique within a file."""
    image: str | None = None
    """Path of the image relative to the image folder; absent for a text-only sample."""
    conversations: list[LlavaMessage] = Field(min_length=2)
    """Turns that alternate, human first, gpt last."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.conversations) % 2:
            raise ValueError("the last turn must be gpt's")
        for position, message in enumerate(self.conversations):
            expected = "gpt" if position % 2 else "human"
            if message.from_ != expected:
                raise ValueError(f"turn {position} must be {expected}'s, got {message.from_}'s")
            wanted = 1 if self.image is not None and position == 0 else 0
            found = message.value.count(IMAGE_TOKEN)
            if found != wanted:
                raise ValueError(f"turn {position} must have {IMAGE_TOKEN} {wanted} times, got {found}")
        first = self.conversations[0].value
        if self.image is not None and not (first.startswith(IMAGE_TOKEN) or first.endswith(IMAGE_TOKEN)):
            raise ValueError(f"{IMAGE_TOKEN} must stand first or last in the first turn")
        return self
