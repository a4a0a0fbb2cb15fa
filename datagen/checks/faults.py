"""What a check finds wrong with a turn."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Fault(NamedTuple):
    """Why a turn is unfit."""

    reason: str
    """A name to count by."""
    rule: str
    """Which rule of the check found it: a line of a phrase list, a kind of claim, a topic."""
    where: Literal["question", "answer"]
    detail: str
    """The particulars, for a person."""

    def told(self, number: int) -> str:
        """The particulars, with the turn's number."""
        return f"{self.where} {number}{': ' if self.detail else ''}{self.detail}"
