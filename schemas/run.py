"""The files of a run's folder beside the training sets, and recorded replies."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.evidence import ProgramReport
from schemas.usefulness import SetReport


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rejection(_Strict):
    """One line of rejected.jsonl: something that did not become a sample, and why."""

    outcome: Literal["excluded", "rejected", "duplicate", "failed", "pending", "turn_dropped", "left_out"]
    """`rejected`, `duplicate`, `failed` and `pending` are planned units that were not emitted.
    `excluded` was never planned; `turn_dropped` is a turn dropped from a sample that was kept;
    `left_out` is a record of an input file that was left out or mended."""
    image_id: int | None
    """COCO image id; null for a record that belongs to no known image."""
    type: str | None
    """Response type; null when it holds for the whole image."""
    sample_index: int | None
    """Which sample of this image and type; null when nothing was planned."""
    stage: Literal["annotations", "planning", "asking", "parsing", "checks", "dedup", "quotas"]
    """Where it ended."""
    reason: str
    """A name to count by."""
    detail: str
    """The particulars, for a person."""
    text: str
    """What the teacher wrote, where there was a reply."""


class Accounting(_Strict):
    """Where every planned unit of one response type went.

    Raises pydantic's ValidationError unless
    planned = emitted + rejected + duplicate + failed + pending.
    """

    excluded: int = Field(ge=0)
    """Units that could not or may not be asked, left out before planning."""
    planned: int = Field(ge=0)
    emitted: int = Field(ge=0)
    rejected: int = Field(ge=0)
    duplicate: int = Field(ge=0)
    failed: int = Field(ge=0)
    """Asked, and given up after every attempt."""
    pending: int = Field(ge=0)
    """Not answered yet."""

    @model_validator(mode="after")
    def _conserved(self) -> Self:
        went = self.emitted + self.rejected + self.duplicate + self.failed + self.pending
        if self.planned != went:
            raise ValueError(f"{self.planned} units were planned but {went} accounted for: {self!r}")
        return self


class InputFile(_Strict):
    """An annotation file as it was read."""

    path: str
    sha256: str
    bytes: int = Field(ge=0)


class OutputFile(_Strict):
    """A file this run wrote, to tell a whole folder from a mixed one."""

    name: str
    records: int = Field(ge=0)
    sha256: str


class TokenUsage(_Strict):
    """Tokens the endpoint reported for the replies in use; zero where it reported none."""

    prompt: int = Field(ge=0)
    cached: int = Field(ge=0)
    completion: int = Field(ge=0)


class ClaimVerdict(_Strict):
    """Something a turn says of its image, and what captions and boxes say of that."""

    kind: str
    """`object`, `absence`, `count`, `position`, `size`, `colour`, `attribute` or `blind_spot`."""
    where: Literal["question", "answer"]
    words: str
    """As the turn has them."""
    rule: str
    """How it was found."""
    verdict: Literal["supported", "contradicted", "unsupported", "undecidable"]
    evidence: str
    """Which boxes or which caption decided it, counted from 1 in the order of the annotations."""


class TurnVerdict(_Strict):
    """What the checks found in one turn."""

    verdict: Literal["supported", "contradicted", "unsupported", "undecidable"]
    """The worst on any of its claims; `undecidable` where no claim could be decided."""
    unfit: list[str]
    """What is wrong with it, in words; empty for a turn that passed."""
    is_kept: bool
    claims: list[ClaimVerdict]


class SampleVerdict(_Strict):
    """One line of verdicts.jsonl: a sample that was looked at, turn by turn."""

    id: str
    """The record's id in the set; that of a rejected one is in no set."""
    outcome: Literal["emitted", "rejected", "duplicate"]
    turns: list[TurnVerdict]


class Found(_Strict):
    """What the checks found in all samples of one response type."""

    claims: dict[str, dict[str, int]]
    """By kind, then verdict: how many claims."""
    faults: dict[str, dict[str, int]]
    """By reason, then rule: how many turns that rule found unfit."""


class Cost(_Strict):
    """US dollars that asking into this folder has cost, over all runs and by the prices of their day."""

    spent: float = Field(ge=0)
    """By the usage that the endpoint reported; for replies without, the most they can have cost."""
    possibly_billed: float = Field(ge=0)
    """What was sent and never answered may have cost this much more."""
    unpriced_replies: int = Field(ge=0)
    """Paid replies of models that had no price, not counted in `spent`."""


class RunManifest(_Strict):
    """manifest.json: what was run on what, and what became of every unit. Written last."""

    vitkit: str
    """The version that wrote this folder."""
    kind: Literal["run", "captions"]
    finished_at: str
    """ISO 8601, UTC."""
    teacher: str | None
    model: str | None
    base_url: str | None
    """The endpoint, without user name, password or query."""
    pack: str
    pack_hash: str
    proxy: str
    seed: int
    limit: int | None
    images_dir: str | None
    inputs: list[InputFile]
    images: int = Field(ge=0)
    """Images of which at least one unit was planned (for `captions`: images in the set)."""
    accounting: dict[str, Accounting]
    """By response type."""
    reasons: dict[str, dict[str, int]]
    """By outcome, then reason: how many lines of rejected.jsonl."""
    checks: Literal["off", "flag", "enforce"] = "enforce"
    """Whether what the checks found was enforced."""
    found: dict[str, Found] = {}
    """By response type."""
    usefulness: dict[str, SetReport] = {}
    """By response type: the set as a whole."""
    programs: dict[str, ProgramReport] = {}
    """By program of the embedded teacher: how its answers, categories and places are spread."""
    unsaid: dict[str, int] = {}
    """What the pack's margins forbade the embedded teacher to say in the samples emitted, by the reason."""
    usage: TokenUsage
    cost: Cost
    to_ask_again: int = Field(ge=0)
    """Rejected replies that the next run asks for again, with what was wrong with them."""
    outputs: list[OutputFile]


class RecordedReply(_Strict):
    """One line of a file of recorded replies, for `--teacher replay`."""

    image_id: int
    type: str
    sample_index: int = 0
    reply: str
    """The reply's text, as the teacher wrote it."""
    finish_reason: str = "stop"
    """`length` marks a reply that was cut off."""
