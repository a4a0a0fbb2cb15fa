"""The curve of a run: log.jsonl, a progress line for people, TensorBoard, Weights & Biases."""

from __future__ import annotations

import importlib.util
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback
from transformers.utils import logging as transformers_logging

_PLAIN_EVERY_S = 10.0
"""Seconds between progress lines where the output is a file."""


def quiet() -> None:
    """Keep other libraries' bars and remarks off the terminal: call it before models are loaded."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # Recipes have workers for machines with GPUs; a plan is often made on a laptop with fewer cores.
    warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
    if not torch.cuda.is_available():
        # DeepSpeed, which accelerate imports where it is installed, remarks on having to choose.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def cut_log(path: Path, stage: str, step: int) -> None:
    """Remove a stage's lines after `step`, and a torn last line, so that the curve has each step once.

    The file is replaced whole: a kill leaves the old one or the new one.
    """
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if _stays(line, stage, step)]
    if kept == lines:
        return
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.writelines(kept)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _stays(line: bytes, stage: str, step: int) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        entry = json.loads(line)
        return bool(entry["stage"] != stage or entry["step"] <= step)
    except (ValueError, KeyError, TypeError):
        return False


class RunLog(TrainerCallback):
    """Writes what the trainer logs to log.jsonl, one JSON object a step, each written before the next step.

    A line has `stage`, `step`, `epoch`, `loss`, `loss/type/…`, `loss/source/…` (of the step's supervised
    tokens), `lr/…` a parameter group, `grad_norm`, `samples` and `tokens` (trained on so far; tokens are
    supervised ones), `seconds` (of training so far), `seconds_left` (at the pace since this start),
    `processes` and `time` (UTC).
    """

    def __init__(self, path: Path, stage: str) -> None:
        self._path = path
        self._stage = stage
        self._pace = _Pace()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._pace = _Pace(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        if not state.is_world_process_zero or "loss" not in logs:
            return
        entry = {
            "stage": self._stage,
            "step": state.global_step,
            **logs,
            "seconds_left": round(self._pace.seconds_left(state), 1),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


class ProgressLine(TrainerCallback):
    """A line that moves in a terminal; elsewhere a plain line every few seconds, and for the last step."""

    def __init__(self, stage: str, console: Console | None = None) -> None:
        self._stage = stage
        self._console = console or Console(highlight=False, soft_wrap=True, emoji=False)
        self._progress: Progress | None = None
        self._task: Any = None
        self._pace = _Pace()
        self._said = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._pace = _Pace(state.global_step)
        self._said = self._pace.started
        if not state.is_world_process_zero or not self._console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._progress.add_task(
            self._stage, total=state.max_steps, completed=state.global_step, figures=""
        )
        self._progress.start()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        if not state.is_world_process_zero or "loss" not in logs:
            return
        rate = max(value for key, value in logs.items() if key.startswith("lr/"))
        figures = f"loss {logs['loss']:.4f}  lr {rate:.2e}"
        if "tokens_per_second" in logs:
            figures += f"  {logs['tokens_per_second']:,.0f} tokens/s"
        if "mfu" in logs:
            figures += f"  MFU {logs['mfu']:.0%}"
        if self._progress is not None:
            self._progress.update(self._task, completed=state.global_step, figures=figures)
            return
        now = time.monotonic()
        if now - self._said < _PLAIN_EVERY_S and state.global_step < state.max_steps:
            return
        self._said = now
        left = _duration(self._pace.seconds_left(state))
        self._console.print(
            escape(f"  {self._stage} {state.global_step}/{state.max_steps}  {figures}  {left} left")
        )

    def close(self) -> None:
        """Leave the terminal as it was, however the training ended."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class _Pace:
    """How long the steps since a start of the run took, and so those that are left."""

    def __init__(self, first_step: int = 0) -> None:
        self.started = time.monotonic()
        self._first_step = first_step

    def seconds_left(self, state: Any) -> float:
        a_step = (time.monotonic() - self.started) / max(state.global_step - self._first_step, 1)
        return a_step * (state.max_steps - state.global_step)


def trackers(folder: Path, step: int) -> list[TrainerCallback]:
    """TensorBoard where it is installed, into `folder`; Weights & Biases where the user has set it up.

    Events that a killed run wrote after `step` are dropped from TensorBoard's curves.
    """
    found: list[TrainerCallback] = []
    if importlib.util.find_spec("tensorboard") is not None:
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations import TensorBoardCallback

        found.append(TensorBoardCallback(SummaryWriter(log_dir=str(folder), purge_step=step + 1)))
    if _has_wandb():
        from transformers.integrations import WandbCallback

        os.environ.setdefault("WANDB_PROJECT", "vitkit")
        found.append(WandbCallback())
    return found


def _has_wandb() -> bool:
    """Whether the user asked for wandb: installed, and a key, mode or project of it in the environment.

    A login that lies about in ~/.netrc is no request to send this run anywhere.
    """
    if importlib.util.find_spec("wandb") is None or os.environ.get("WANDB_MODE") == "disabled":
        return False
    return any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
