"""What a person sees: what will train, on what, what was left out, where the result is. Decides nothing."""

from __future__ import annotations

import contextlib
import shlex
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from train.config import TINY, Recipe, StageConfig
from train.distributed import is_main
from train.gates import GateResult
from train.plan import (
    ASSUMED_MFU,
    PEAK_FLOPS,
    DataPlan,
    ModelPlan,
    StagePlan,
    histogram,
    smallest_card,
    total_hours,
)
from train.records import LeftOut
from train.stages import PartCount

_out = Console(highlight=False, soft_wrap=True, emoji=False, quiet=not is_main())
_err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

_TEXT_ALONE = "text alone (a record names its image by the key image)"
"""Said where no sample has an image: where the key is another (images, image_path), nothing else shows it."""


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


def say_data(stage: str, used: int, text_alone: int, dropped_turns: int, left_out: Sequence[LeftOut]) -> None:
    """`used` samples train, `text_alone` of them without an image; `dropped_turns` were cut."""
    text = f"{stage}: {used:,} samples"
    if text_alone == used > 0:
        text += f", all of them {_TEXT_ALONE}"
    elif text_alone:
        text += f", {text_alone:,} of them text alone"
    if dropped_turns:
        text += f", {dropped_turns:,} turns cut from long ones"
    if left_out:
        reasons = Counter(item.reason for item in left_out)
        named = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        text += f"; {len(left_out):,} left out ({named})"
    _out.print(escape(text))


def say_stage(
    name: str, stage: StageConfig, parts: Sequence[PartCount], processes: int, computed_by: Sequence[str]
) -> None:
    """`computed_by`: the kernels that were chosen, in words."""
    _out.print()
    shared = f" on {processes} processes ({stage.deepspeed or 'DDP'})" if processes > 1 else ""
    _out.print(
        f"[bold]{name}[/] in the {stage.format} format, learning rate {stage.learning_rate:g}, "
        f"{stage.global_batch_size} samples a step{escape(shared)}"
    )
    for part in parts:
        share = f"{part.trainable:,} of {part.total:,} weights train" if part.trainable else "frozen"
        if part.part == "projector" and part.trainable < part.total:
            share += " (its second layer is an identity, and stays one)"
        if part.part == "vision_tower" and 0 < part.trainable < part.total:
            share += " (those beyond the layer that is read do not)"
        _out.print(f"  {part.part:<15} {share}")
    _out.print(escape(f"  {'computed by':<15} {'; '.join(computed_by)}"))


def say_gates(gates: Sequence[GateResult], on_cpu: bool = False) -> None:
    """`on_cpu`: there, because a GPU does not hold the whole model, its gradients and a batch."""
    if on_cpu:
        _out.print("  checked on the CPU: no GPU holds the whole model with its gradients and a batch")
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


def say_plan(name: str, recipe: Recipe, plans: Sequence[StagePlan]) -> None:
    """What a run would need. Plain aligned text, as wide as a terminal of 100 columns."""
    model = recipe.model
    _out.print(f"Plan of recipe [bold]{escape(name)}[/]: {escape(recipe.description)}")
    _out.print(
        f"{escape(model.language_model)} with {escape(model.vision_tower)} through a "
        f"{model.projector} projector"
    )
    for plan in plans:
        lines = [
            *_data_lines(plan),
            "",
            *_model_lines(plan.model, plan.data),
            "",
            *_memory_lines(plan),
            "",
            *_compute_lines(plan),
        ]
        _out.print(f"\n[bold]{plan.name}[/] {escape(_steps_of(plan))}")
        for line in lines:
            _out.print(escape(f"  {line}".rstrip()))
    hours = total_hours(plans)
    if hours is not None and len(plans) > 1:
        _out.print(f"\nBoth stages: {_hours(hours)} GPU-hours")


def _steps_of(plan: StagePlan) -> str:
    data, stage = plan.data, plan.stage
    return (
        f"in the {stage.format} format: {data.steps:,} {'step' if data.steps == 1 else 'steps'} of "
        f"{stage.global_batch_size:,} samples, {data.epochs:.3g} {'epoch' if data.epochs == 1 else 'epochs'}"
    )


def _data_lines(plan: StagePlan) -> list[str]:
    data, stage = plan.data, plan.stage
    lines = [
        _row("samples", f"{data.samples:,} used, {len(data.left_out):,} left out{_reasons(data.left_out)}")
    ]
    lines += [_row("", line) for line in _first_of(data.left_out)]
    share = len(data.left_out) / (data.samples + len(data.left_out))
    if share > stage.max_left_out:
        lines.append(
            _row("", f"more than {plan.name}.max_left_out allows ({stage.max_left_out:g}): run would stop")
        )
    if data.turns_cut:
        lines.append(_row("", f"{data.turns_cut:,} turns cut from samples longer than {stage.max_length:,}"))
    if data.in_epoch != data.samples:
        lines.append(_row("", f"{data.in_epoch:,} an epoch, by the weights of the files"))
    bins = histogram(data.lengths)
    most = max(count for _, _, count in bins)
    edge, width = len(f"{bins[-1][1]:,}"), len(f"{most:,}")
    for at, (first, last, count) in enumerate(bins):
        label = "positions" if at == 0 else "a sample" if at == 1 else ""
        bar = "█" * round(40 * count / most) or ("▏" if count else "")
        lines.append(_row(label, f"{first:>{edge},} – {last:>{edge},}  {count:>{width},}  {bar}"))
    median, mean = statistics.median_low(data.lengths), data.positions / len(data.lengths)
    lines += [
        _row("", f"median {median:,}, mean {mean:,.1f}, longest {max(data.lengths):,}"),
        _row("", f"{data.positions:,} an epoch, {plan.compute.positions:,.0f} in the stage"),
        _row("images", _images_take(data, stage)),
        _row("answers", f"{data.supervised_share:.1%} of positions are supervised"),
        _row("rows", _rows_are(plan)),
    ]
    return lines


def _reasons(left_out: Sequence[LeftOut]) -> str:
    counts = Counter(item.reason for item in left_out).most_common()
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in counts)})" if counts else ""


def _first_of(left_out: Sequence[LeftOut], most: int = 3) -> list[str]:
    lines = [f"{item.file}[{item.record}] {item.id}: {item.detail}" for item in left_out[:most]]
    return [*lines, "…"] if len(left_out) > most else lines


def _images_take(data: DataPlan, stage: StageConfig) -> str:
    if not data.images:
        return f"none: all samples are {_TEXT_ALONE}"
    return (
        f"{data.images:,} an epoch, {data.features:,} positions each: "
        f"{data.visual_share:.1%} of all positions, "
        f"{data.features / stage.max_length:.1%} of the context of {stage.max_length:,}"
    )


def _rows_are(plan: StagePlan) -> str:
    data, stage = plan.data, plan.stage
    filled = f"{data.filled:.1%} full"
    if not stage.packing:
        return f"a sample each, padded to the longest of {stage.micro_batch_size}: {filled}"
    each = data.rows / (data.steps / data.epochs) / plan.memory.gpus
    return (
        f"of {stage.max_length:,} positions, {filled}: {len(data.lengths) / data.rows:.1f} samples a row, "
        f"{each:.1f} rows a step on each GPU"
    )


def _model_lines(model: ModelPlan, data: DataPlan) -> list[str]:
    total = sum(part.total for part in model.parts)
    trains = sum(part.trainable for part in model.parts)
    rows = [*((part.part, part.total, part.trainable) for part in model.parts), ("all", total, trains)]
    width = max(len(f"{total:,}"), 7)
    lines = [_row("weights", f"{'':<15} {'in all':>{width}}  {'training':>{width}}")]
    for part, n, free in rows:
        shown = f"{free:,}" if free else "frozen"
        lines.append(_row("", f"{part:<15} {n:>{width},}  {shown:>{width}}"))
    other = model.projectors
    table = [
        ("this recipe's", other.ours, data.features, ""),
        ("Q-Former", other.q_former, other.q_former_queries, "as BLIP-2's, with its linear layer"),
        ("resampler", other.resampler, other.resampler_latents, "as Flamingo's, with the next:"),
        ("gated layers", other.gated_cross_attention, 0, "cross-attention after every 4 layers"),
    ]
    lines += ["", _row("projector", f"{'':<15} {'weights':>{width}}  {'an image':>{width}}")]
    for label, weights, positions, remark in table:
        shown = f"{positions:,}" if positions else ""
        lines.append(_row("", f"{label:<15} {weights:>{width},}  {shown:>{width}}  {remark}"))
    return lines


def _memory_lines(plan: StagePlan) -> list[str]:
    memory, checkpointing = plan.memory, plan.stage.gradient_checkpointing
    largest = memory.total(memory.stages[0], False)
    unit, size = ("GiB", 2**30) if largest >= 2**30 else ("MiB", 2**20)
    gpus = f"{memory.gpus} {'GPU' if memory.gpus == 1 else 'GPUs'}"
    titles = ("weights", "copies", "gradients", "AdamW", "checkpointed", "fits", "kept", "fits")
    widths = (9, 8, 11, 8, 16, 6, 10, 6)
    head = "".join(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True))
    lines = [
        _row("memory", f"{unit} on each of {gpus}, with {memory.positions:,} positions at once"),
        _row("", f"{'':<6}{'total with activations':>{sum(widths[:6])}}"),
        _row("", f"{'':<6}{head}"),
    ]
    for zero in memory.stages:
        parts = [f"{part / size:.1f}" for part in (zero.weights, zero.copies, zero.gradients, zero.optimizer)]
        for on in (True, False):
            whole = memory.total(zero, on)
            card = smallest_card(whole)
            parts += [f"{whole / size:.1f}", f"{card}" if card else "none"]
        cells = "".join(f"{part:>{width}}" for part, width in zip(parts, widths, strict=True))
        lines.append(_row("", f"ZeRO-{zero.stage}{cells}"))
    activations = (
        f"activations: {memory.activations / size:.1f} checkpointed, {memory.activations_kept / size:.1f} "
        f"kept (the recipe {'checkpoints' if checkpointing else 'keeps'} them)"
    )
    lines += [
        _row("", "copies: autocast's, in bf16; fits: the smallest card of 24, 40, 80 or 141 GB, to 90%"),
        _row("", f"{activations}; logits {memory.logits / size:.1f}"),
    ]
    return lines


def _compute_lines(plan: StagePlan) -> list[str]:
    compute, gpus = plan.compute, plan.memory.gpus
    text = f"{compute.model_flops:.2e} FLOPs"
    if compute.recomputed_flops:
        text += f", and {compute.recomputed_flops:.2e} again for checkpointing"
    lines = [_row("compute", text)]
    hours = compute.gpu_hours
    if compute.rate is not None and hours is not None:
        many = f", {_hours(hours / gpus)} hours on {gpus}" if gpus > 1 else ""
        rate = f"{compute.rate.positions_per_second:,.0f} tokens a second and GPU, {compute.rate.source}"
        lines.append(_row("time", f"{_hours(hours)} GPU-hours{many} ({rate})"))
    else:
        peaks = PEAK_FLOPS[plan.stage.precision]
        at = ", ".join(f"{_hours(compute.hours_at(peak))} on {card}" for card, peak in peaks.items())
        lines.append(_row("time", f"GPU-hours, were {ASSUMED_MFU:.0%} MFU reached (an assumption): {at}"))
    return lines


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}" if hours >= 0.01 else "under 0.01"


def _row(label: str, text: str) -> str:
    return f"{label:<11}{text}"
