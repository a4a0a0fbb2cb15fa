"""What a person sees: what will train, on what, what was left out, where the result is. Decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from train.config import Recipe, StageConfig
from train.gates import GateResult
from train.records import LeftOut
from train.stages import PartCount

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def say_error(text: str) -> None:
    _err.print(f"[bold red]error:[/] {escape(text)}")


def say_recipe(name: str, recipe: Recipe, out: Path) -> None:
    _out.print(f"Recipe [bold]{escape(name)}[/]: {escape(recipe.description)}")
    _out.print(
        f"{escape(recipe.model.language_model)} with {escape(recipe.model.vision_tower)} through a "
        f"{recipe.model.projector} projector, into {escape(str(out))}"
    )


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


def say_done(model: Path, proof: str, log: Path) -> None:
    _out.print()
    _out.print(f"[bold]Done.[/] The model is in {escape(str(model))}: {escape(proof)}")
    _out.print(f"The curves are in {escape(str(log))}, and for TensorBoard beside it.")
    command = f"python -m train chat {model} --image FILE --prompt 'What is in the image?'"
    _out.print(f"Talk to it:  {escape(command)}")
