"""What a person sees: what will train, on what, what was left out, where the result is. Decides nothing."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from train.config import TINY, Recipe, StageConfig
from train.gates import GateResult
from train.records import LeftOut
from train.stages import PartCount

_out = Console(highlight=False, soft_wrap=True, emoji=False)
_err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def say_error(text: str) -> None:
    _err.print(f"[bold red]error:[/] {escape(text)}")


def say_recipe(name: str, recipe: Recipe, out: Path) -> None:
    _out.print(f"Recipe [bold]{escape(name)}[/]: {escape(recipe.description)}")
    names = (recipe.model.language_model, recipe.model.vision_tower)
    language_model, tower = (f"a {name} random one" if name == TINY else name for name in names)
    _out.print(
        f"Language model: {escape(language_model)}; vision tower: {escape(tower)}; projector: "
        f"{recipe.model.projector}; into {escape(str(out))}"
    )


def say_unused(option: str, stage: str) -> None:
    _out.print(f"{option} is not used: there is no stage {stage}")


@contextlib.contextmanager
def reading(stage: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar while `total` samples are read, where there is a terminal; gives what to call after each."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_out, transient=True, disable=not _out.is_terminal) as progress:
        task = progress.add_task(f"{stage}: reading samples", total=total)
        yield lambda: progress.advance(task)


def say_data(stage: str, used: int, dropped_turns: int, left_out: Sequence[LeftOut]) -> None:
    """`used` samples train; `dropped_turns` were cut from the ends of long ones."""
    text = f"{stage}: {used:,} samples"
    if dropped_turns:
        text += f", {dropped_turns:,} turns cut from long ones"
    if left_out:
        reasons = Counter(item.reason for item in left_out)
        named = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        text += f"; {len(left_out):,} left out ({named})"
    _out.print(escape(text))


def say_stage(name: str, stage: StageConfig, parts: Sequence[PartCount]) -> None:
    _out.print()
    _out.print(
        f"[bold]{name}[/] in the {stage.format} format, learning rate {stage.learning_rate:g}, "
        f"{stage.global_batch_size} samples a step"
    )
    for part in parts:
        share = f"{part.trainable:,} of {part.total:,} weights train" if part.trainable else "frozen"
        if part.part == "projector" and part.trainable < part.total:
            share += " (its second layer is an identity, and stays one)"
        if part.part == "vision_tower" and 0 < part.trainable < part.total:
            share += " (those beyond the layer that is read do not)"
        _out.print(f"  {part.part:<15} {share}")


def say_gates(gates: Sequence[GateResult]) -> None:
    for gate in gates:
        _out.print(f"  [green]ok[/] {gate.name:<10} {escape(gate.saw)}")


def say_finished_before(name: str, checkpoint: Path) -> None:
    _out.print(f"{name}: finished before, in {escape(str(checkpoint))}")


def say_resume(checkpoint: Path) -> None:
    _out.print(f"  continuing from {escape(str(checkpoint))}")


def say_interrupted(name: str, checkpoint: Path | None) -> None:
    kept = f"kept in {checkpoint}" if checkpoint else "nothing was trained yet"
    _out.print(escape(f"Stopped in {name}; {kept}. The same command continues."))


def say_export(out: Path, proof: str) -> None:
    _out.print(escape(f"Written to {out}: {proof}"))


def say_lost(left_out: Path, reasons: Counter[str]) -> None:
    """Samples whose image could only be seen to be unreadable while training."""
    named = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
    samples = "1 sample" if reasons.total() == 1 else f"{reasons.total():,} samples"
    _out.print(escape(f"{samples} trained nothing after all ({named}): {left_out}"))


def say_done(model: Path, proof: str | None, log: Path, image: Path | None) -> None:
    """`proof` is None where the model was there before; `image` is one of the run's."""
    _out.print()
    said = proof if proof is not None else "exported before, from the same checkpoint"
    _out.print(f"[bold]Done.[/] The model is in {escape(str(model))}: {escape(said)}")
    _out.print(f"The curves are in {escape(str(log))}, and for TensorBoard beside it.")
    words = (_python(), "-m", "train", "chat", model, "--image", image or "FILE")
    command = f"{shlex.join(map(str, words))} --prompt 'What is in the image?'"
    _out.print(f"Talk to it:  {escape(command)}")


def _python() -> str:
    """The interpreter as the person at the terminal could type it."""
    here = Path(sys.executable)
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else sys.executable
