"""The records that flow through training, one way: sample, encoded sample, batch.

What could not be used is a record too: `LeftOut` names it, and says why.
"""

from __future__ import annotations

from dataclasses import dataclass

IGNORE_INDEX = -100
"""A label that takes no part in the loss (PyTorch's own convention)."""


class InputError(Exception):
    """What the user gave cannot be used. The message is one line: where, what is wrong, what to do.

    Ends the program with exit status 2.
    """


class Unfit(Exception):
    """One sample cannot be used; the rest can. `reason` is a short code, `detail` a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Sample:
    """One record of a LLaVA JSON file, with its form checked."""

    file: str
    """The data file, as the user named it."""
    record: int
    """Its place in that file, from 0."""
    id: str
    source: str
    """The data file's stem: what losses are reported by."""
    response_type: str
    """What datagen calls it (conversation, detail, complex_reasoning), or `other`."""
    images: tuple[str, ...]
    """Paths relative to the image folder, one for each `<image>` in the human turns, in order."""
    turns: tuple[str, ...]
    """What was said, human first, gpt last; `<image>` marks stand where the file had them."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A sample that no step is trained on, and why. One line of `left_out.jsonl`."""

    stage: str
    file: str
    record: int
    id: str
    reason: str
    detail: str
    step: int | None = None
    """The step whose image could not be decoded; None where it was known at the start."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sample as the model is trained on it: both lists have one entry a position."""

    input_ids: list[int]
    """Token ids; each `<image>` stands as often as the image has features."""
    labels: list[int]
    """The same ids where the assistant's words and their end token stand, else IGNORE_INDEX."""
    n_images: int
    """How many images the kept turns show: the first so many of the sample's."""
    dropped_turns: int
    """Turns (question and answer counted as two) lost from the end to fit the length."""
