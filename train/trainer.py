"""Train one stage: transformers' Trainer, with the samples, the loss and the checkpoints of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from train.config import Recipe, StageConfig, StageName


@dataclass(frozen=True)
class StageResult:
    """How a stage ended."""

    checkpoint: Path | None
    """The newest complete checkpoint; None when the run was stopped before its first."""
    step: int
    """Optimizer steps done, those of earlier starts included."""
    total_steps: int
    interrupted: bool
    """A signal ended the stage early; the same call goes on from `checkpoint`."""


class StopRequest:
    """Within it, the first SIGTERM or SIGINT asks for a stop; a second one is the end at once.

    Use it around a whole run: `with StopRequest() as stop: …`; look at `stop.requested` between the
    parts of the run, and hand it to `train_stage`, which finishes its step, saves and returns.
    """

    requested: bool = False

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError


def train_stage(
    name: StageName,
    stage: StageConfig,
    *,
    model: Any,
    data: Any,
    collator: Any,
    out: Path,
    recipe: Recipe,
    data_files: Sequence[Any],
    parts: Sequence[Any] = (),
    stop: StopRequest | None = None,
) -> StageResult:
    """Train `model` on `data` until the stage's last step, from the newest complete checkpoint if any.

    `model` already knows what trains (`stages.set_trainable`; `parts` is what that returned, for the
    record). Writes OUT/NAME/checkpoint-N, OUT/log.jsonl, OUT/left_out.jsonl and OUT/tensorboard/NAME.
    A stage that is finished returns at once, with its last weights loaded into `model`. `stop` is the
    caller's StopRequest; without one the stage has its own.

    Raises InputError when the folder holds a checkpoint of another recipe or other data, the batch
    sizes do not divide over the processes, the disk is full, too many images cannot be read, or a loss
    or gradient is not finite.
    """
    raise NotImplementedError
