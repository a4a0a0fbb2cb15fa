"""Train one stage: transformers' Trainer, with the samples, the loss and the checkpoints of ours."""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import hashlib
import itertools
import math
import os
import resource
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer import SCHEDULER_NAME
from transformers.training_args import ParallelMode
from transformers.utils import is_torch_tf32_available

from train.checkpoint import (
    DataRecord,
    Draft,
    RunRecord,
    check_same_processes,
    check_same_run,
    clear_drafts,
    draft_folder,
    fingerprints,
    frozen_sha256,
    hash_data,
    load_optimizer_part,
    load_weights,
    newest_complete,
    read_record,
    rotate,
    save_optimizer_part,
    save_weights,
    saving,
    versions,
)
from train.collate import Collator
from train.config import Recipe, StageConfig, StageName
from train.dataset import DataFile, InstructionData, Prepared, WeightedSampler, append_left_out
from train.distributed import from_main, gather, is_main, process, processes
from train.logs import ProgressLine, RunLog, cut_log, quiet, trackers
from train.loss import always_project, token_losses
from train.records import IGNORE_INDEX, InputError, LeftOut
from train.stages import PartCount, parameter_groups, part_of
from train.zero import (
    discard,
    load_optimizer_state,
    optimizer_state,
    read_configuration,
    shard,
    sharing,
    using,
)

LOG = "log.jsonl"
LEFT_OUT = "left_out.jsonl"
TENSORBOARD = "tensorboard"

_ECHO_S = 5.0
"""Seconds in which a signal to several processes may reach one of them again."""

_MANY = 20
"""Unreadable images below which their share of the samples seen so far may be chance."""

_PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
"""bf16 operations a second by a part of the GPU's name: dense, of the SXM ones, from NVIDIA's data sheets."""
_SLOWER = ("PCIe", "NVL", "MIG")
"""In the name of a GPU that has less (an A100 on PCIe has as much, but is not counted on)."""


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

    Processes of several get the same signal from more than one side (the terminal or Slurm, and torchrun
    that hands on its own): there, one that follows within seconds is the first one's echo.

    Use it around a whole run: `with StopRequest() as stop: …`; look at `stop.requested` between the
    parts of the run, and hand it to `train_stage`, which finishes its step, saves and returns.
    The handlers that were there before come back at the end, and for the second signal.
    """

    def __init__(self) -> None:
        self.requested = False
        self._first = 0.0
        self._before: dict[int, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):  # not the main thread: signals are its business
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # Processes that read images inherit the handler, and a terminal's Ctrl-C reaches them too: they
        # go on, for the step that is to be finished needs them.
        if os.getpid() != self._process:
            return
        if self.requested:
            if processes() == 1 or time.monotonic() - self._first > _ECHO_S:
                self._restore()
                os.kill(self._process, number)
            return
        self.requested = True
        self._first = time.monotonic()
        if not is_main():
            return
        # Past Python's buffers, which the interrupted code may be in the middle of writing to.
        with contextlib.suppress(OSError):  # nobody may be reading
            os.write(2, b"\nStopping once the step at hand is saved; the same signal again stops at once.\n")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def total_steps(stage: StageConfig, samples: int) -> int:
    """Optimizer steps of a stage whose epoch has `samples`; the last ones of an epoch make a smaller step."""
    steps = math.ceil(stage.epochs * math.ceil(samples / stage.global_batch_size))
    return min(steps, stage.max_steps) if stage.max_steps is not None else steps


def process_batch_size(name: str, stage: StageConfig, processes: int) -> int:
    """Samples that one process takes a step. Raises InputError unless they make the global batch."""
    if stage.global_batch_size % processes:
        raise InputError(
            f"{name}.global_batch_size {stage.global_batch_size} is no multiple of the {processes} "
            "processes: change one of them"
        )
    return stage.global_batch_size // processes


def flops_per_position(model: Any) -> dict[str, int]:
    """Floating-point operations of a part's weights for each position that goes through it, and back.

    2 a weight forward (it multiplies, and the product is added), 2 where the gradient goes on to
    something before it, 2 where it trains: 6 in a language model that trains, 4 in a frozen one, whose
    projector trains; 2 in a frozen tower. Parts as in `part_of`, and `head`, which reads supervised
    positions alone. Left out, so that the sum is on the low side: attention between positions, what is
    looked up, and what activation checkpointing computes again.
    """
    tower_trains = any(
        weight.requires_grad for name, weight in model.named_parameters() if part_of(name) == "vision_tower"
    )
    # Apart: where it is tied to the embedding, it goes by the embedding's name.
    head = model.get_output_embeddings().weight
    flops = {"head": head.numel() * (6 if head.requires_grad else 4)}
    for name, weight in model.named_parameters():
        part = part_of(name)
        if weight is head or weight.ndim < 2 or "embed_tokens" in name or "position_embedding" in name:
            continue
        backward = 2 if part != "vision_tower" or tower_trains else 0
        count = getattr(weight, "quant_state", weight).shape.numel()  # 4-bit weights are packed
        flops[part] = flops.get(part, 0) + count * (2 + backward + (2 if weight.requires_grad else 0))
    return flops


def peak_flops() -> float | None:
    """What this process's GPU could do in a second, where that is known."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    if any(word in name for word in _SLOWER):
        return None
    return next((peak for word, peak in _PEAK_FLOPS.items() if word in name), None)


class StepBatches(torch.utils.data.Sampler[list[int]]):
    """The samples of each step, dealt out: as many lists a step as there are processes, in their order.

    The last step of an epoch has what is left: lists are shorter, and some may be empty, but no sample
    comes twice to fill them.
    """

    batch_size = None  # says to accelerate that lists differ in length; it deals them to the processes

    def __init__(self, sampler: WeightedSampler, global_batch_size: int, processes: int) -> None:
        self.sampler = sampler
        self._size = global_batch_size
        self._processes = processes

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / self._size) * self._processes

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        for start in range(0, len(order), self._size):
            step = order[start : start + self._size]
            for rank in range(self._processes):
                yield step[rank :: self._processes]


def train_stage(
    name: StageName,
    stage: StageConfig,
    *,
    model: Any,
    data: InstructionData,
    collator: Collator,
    out: Path,
    recipe: Recipe,
    data_files: Sequence[DataFile],
    parts: Sequence[PartCount] = (),
    stop: StopRequest | None = None,
) -> StageResult:
    """Train `model` on `data` until the stage's last step, from the newest complete checkpoint if any.

    `model` already knows what trains (`stages.set_trainable`; `parts` is what that returned, for the
    record). Writes OUT/NAME/checkpoint-N, OUT/log.jsonl, OUT/left_out.jsonl and OUT/tensorboard/NAME.
    A stage that is finished returns at once, with its last weights loaded into `model`. `stop` is the
    caller's StopRequest; without one the stage has its own.

    Several processes (torchrun's) each take their share of every step, and learn what one would: by
    PyTorch's DDP, or sharing what `stage.deepspeed` says. All call this, with the same `out` on a disk
    that all see: each writes its part of a shared optimizer there, the main one the rest. Where they
    share the weights (ZeRO-3), `model` is of no use afterwards: the checkpoint has them whole.

    Raises InputError when the folder holds a checkpoint of another recipe, other data or an optimizer
    shared otherwise, the batch sizes do not divide over the processes, DeepSpeed's configuration cannot
    be used, the disk is full, too many images cannot be read, a loss or gradient is not finite, or a
    frozen weight changed.
    """
    quiet()
    with contextlib.ExitStack() as stack:
        if stop is None:
            stop = stack.enter_context(StopRequest())
        stack.enter_context(_disk_errors(out))
        deepspeed = read_configuration(stage, name)
        stack.enter_context(using(deepspeed))
        folder = out / name
        sampler = WeightedSampler(data.prepared, data_files, recipe.seed)
        usable = usable_sha256(data.prepared)
        args = _arguments(stage, recipe, folder, len(sampler), deepspeed)
        if args.should_save:
            clear_drafts(folder)
        # Once: what is read for it can be many gigabytes, and all processes read from the same disk.
        hashed = from_main(lambda: hash_data(data_files))
        checkpoint = from_main(lambda: newest_complete(folder))
        record = read_record(checkpoint) if checkpoint is not None else None
        if checkpoint is not None and record is not None:
            check_same_run(record, recipe, hashed, checkpoint)
            check_same_processes(record, sharing(stage, name).zero, checkpoint)
            _check_same_samples(record, len(data.prepared), usable, checkpoint)
            _check_same_base(record, frozen_sha256(model), checkpoint, recipe)
        step = record.step if record is not None else 0
        if checkpoint is not None and step >= args.max_steps:
            load_weights(model, checkpoint)
            return StageResult(checkpoint, step, args.max_steps, interrupted=False)
        if any(gather(stop.requested)):
            return StageResult(checkpoint, step, args.max_steps, interrupted=True)
        if args.should_save:
            cut_log(out / LOG, name, step)
        progress = ProgressLine(name)
        stack.callback(progress.close)
        trainer = StageTrainer(
            name,
            stage,
            model=model,
            args=args,
            data=data,
            collator=collator,
            sampler=sampler,
            recipe=recipe,
            hashed=hashed,
            usable=usable,
            parts=parts,
            record=record,
            stop=stop,
            callbacks=[RunLog(out / LOG, name), progress, *_trackers(args, out / TENSORBOARD / name, step)],
        )
        trainer.last_checkpoint = checkpoint
        stack.callback(trainer.let_go)
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint is not None else None)
        except torch.OutOfMemoryError as error:
            raise out_of_memory(name, stage, error) from None
        done = int(trainer.state.global_step)
        return StageResult(trainer.last_checkpoint, done, args.max_steps, interrupted=done < args.max_steps)


class StageTrainer(Trainer):
    """transformers' Trainer for one stage of a LLaVA.

    Ours: the order of samples, the optimizer's parameter groups, the loss (over supervised positions
    alone, of a whole step however it is split), what is logged, what a checkpoint holds and when it
    counts, and when to stop. The loop, precision, schedule, distribution and resuming are Trainer's.
    """

    model: Any
    optimizer: Any
    lr_scheduler: Any
    loss_is_scaled_for_ga = True  # compute_loss divides by the supervised tokens of the whole step

    def __init__(
        self,
        name: StageName,
        stage: StageConfig,
        *,
        model: Any,
        args: TrainingArguments,
        data: InstructionData,
        collator: Collator,
        sampler: WeightedSampler,
        recipe: Recipe,
        hashed: Sequence[DataRecord],
        usable: str,
        parts: Sequence[PartCount],
        record: RunRecord | None,
        stop: StopRequest,
        callbacks: Sequence[TrainerCallback],
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            data_collator=collator,
            train_dataset=data,
            callbacks=[_StepEnd(self), *callbacks],
        )
        self.remove_callback(PrinterCallback)
        self.last_checkpoint: Path | None = None
        self._name = name
        self._stage = stage
        self._sharing = sharing(stage, name)
        self._data = data
        self._sampler = sampler
        self._recipe = recipe
        self._hashed = list(hashed)
        self._usable = usable
        self._parts = [asdict(part) for part in parts]
        self._stop = stop
        self._folder = Path(args.output_dir)
        self._saving_into: Path | None = None
        self._samples = record.samples if record is not None else 0
        self._tokens = record.tokens if record is not None else 0
        self._seconds_before = record.seconds if record is not None else 0.0
        self._unreadable = set(record.unreadable if record is not None else ())
        self._started = time.monotonic()
        self._step_samples: list[int] = []
        self._losses: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._problems: list[tuple[int, str, str]] = []
        self._counts = _Counts()
        self._step_started = time.monotonic()
        self._flops = flops_per_position(model)
        vision = model.config.vision_config
        self._patches = (vision.image_size // vision.patch_size) ** 2
        self._rates: dict[str, float] = {}
        self._frozen = fingerprints(model)
        self._frozen_sha256 = frozen_sha256(model, self._frozen)
        launched = args.parallel_mode is ParallelMode.DISTRIBUTED  # one process of it as well has DDP
        self._stop_projecting = always_project(model) if launched else lambda: None

    # Samples and optimizer

    def get_train_dataloader(self) -> Any:
        """Every process's share of each step as one batch."""
        if self.args.dataloader_num_workers:
            _allow_open_files()
        loader = torch.utils.data.DataLoader(
            self._data,
            batch_sampler=StepBatches(self._sampler, self._stage.global_batch_size, self.args.world_size),
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            persistent_workers=self.args.dataloader_persistent_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def _run_epoch(self, *args: Any, epoch: int, **kwargs: Any) -> None:
        # accelerate's own set_epoch does not reach a sampler behind both a skip and a shard.
        self._sampler.set_epoch(epoch)
        super()._run_epoch(*args, epoch=epoch, **kwargs)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            groups = parameter_groups(self.model, self._stage)
            # On a GPU fused: the other way holds a copy of every weight for the length of a step.
            fused = torch.cuda.is_available()
            self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8, fused=fused)
            if self._sharing.zero == 3:
                # Here, for by now DeepSpeed's configuration is whole, and its engine is not there yet.
                shard(self.model, self.args.hf_deepspeed_config.config, self.args.device)
        return self.optimizer

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None
    ) -> Any:
        if not self._sharing.zero or resume_from_checkpoint is None:
            return super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)
        # Trainer would have DeepSpeed read its own files, which hold the weights once more.
        load_weights(self.model, Path(resume_from_checkpoint))
        prepared = super()._prepare_for_training(max_steps, train_dataloader, None)
        self._load_optimizer_and_scheduler(resume_from_checkpoint)
        return prepared

    def _get_learning_rate(self) -> float:
        # Trainer asks between the optimizer's step and the scheduler's: these are the rates of the step.
        self._rates = {group["name"]: float(group["lr"]) for group in self.optimizer.param_groups}
        return super()._get_learning_rate()

    # Loss

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The losses of the micro batch's supervised positions, by the number of them in the whole step.

        So the loss of a step does not depend on how it is split. One that supervises nothing gives 0 and
        gradients of 0.
        """
        losses, index = token_losses(model, inputs)
        self._losses.append((index, losses.detach()))
        items = num_items_in_batch if num_items_in_batch is not None else len(losses)
        loss = losses.sum() / torch.as_tensor(items, device=losses.device).clamp(min=1)
        # `items` counts every process, and gradients are averaged over processes.
        loss = loss * self.accelerator.num_processes
        return (loss, losses) if return_outputs else loss

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """One step's forward and backward passes, micro batch by micro batch."""
        self._step_samples += inputs["sample_index"].tolist()
        self._problems += inputs["problems"]
        micro_batches = list(inputs["micro_batches"])
        if self.args.world_size > 1:
            # Processes wait for each other in a pass, in some ways of distributing: all make as many.
            passes = max(gather(len(micro_batches)))
            micro_batches += [self._idle] * (passes - len(micro_batches))
        self._counts.add(int(inputs["lengths"].sum()), micro_batches)
        loss = torch.zeros((), device=self.args.device)
        for number, micro_batch in enumerate(micro_batches, start=1):
            last = number == len(micro_batches)
            # DeepSpeed steps its optimizer in the backward pass that this says is the last.
            self.accelerator.gradient_state._set_sync_gradients(last)
            with contextlib.nullcontext() if last else self.accelerator.no_sync(model):
                loss += super().training_step(model, micro_batch, num_items_in_batch)
        return loss

    @functools.cached_property
    def _idle(self) -> dict[str, Any]:
        """A micro batch that trains nothing: the shortest sample, with an image where any has one."""
        prepared = self._data.prepared
        example = self._data[
            min(range(len(prepared)), key=lambda i: (not prepared[i].n_images, prepared[i].length))
        ]
        example.labels.fill_(IGNORE_INDEX)
        (micro_batch,) = self.data_collator([example])["micro_batches"]
        return dict(micro_batch)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        self._step_started = time.monotonic()  # waiting for data is part of a step
        return super().get_batch_samples(*args, **kwargs)

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: Any) -> torch.Tensor:
        # Trainer looks for labels one level up, and does not ask the other processes where it finds none.
        count = torch.zeros((), dtype=torch.long, device=device)
        for batch in batch_samples:
            for micro_batch in batch["micro_batches"]:
                count += (micro_batch["labels"][:, 1:] != IGNORE_INDEX).sum().to(device)
        return self.accelerator.gather(count).sum() if self.args.world_size > 1 else count

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return 0  # Trainer's estimate knows nothing of images, and walks the whole model for each batch

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if self._sharing.zero and norm is not None and norm < 0:
            norm = math.nan  # as DeepSpeed has it
        loss = float(self._tr_loss)
        if not (math.isfinite(loss) and (norm is None or math.isfinite(float(norm)))):
            # Before the optimizer's step, so no weight has seen it (DeepSpeed's have, but no checkpoint).
            shares = [self._step_samples]
            if norm is not None and not math.isfinite(float(norm)):
                shares = gather(self._step_samples)  # the norm is that of all processes: all are here
            ids = [self._id(index) for index in dict.fromkeys(itertools.chain(*shares))]
            more = f" and {len(ids) - 8} more" if len(ids) > 8 else ""
            raise InputError(
                f"{self._name} step {self.state.global_step + 1}: loss {loss:g}, gradient norm "
                f"{float(norm):g}, on samples {', '.join(ids[:8])}{more}; the last checkpoint is "
                f"{self.last_checkpoint or 'none yet'}. Lower {self._name}.learning_rate, or look at these "
                "samples"
            )
        return norm

    def _id(self, index: int) -> str:
        return self._data.prepared[index].sample.id

    # Logging

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        if "loss" not in logs:
            return  # Trainer's summary at the end
        logs.pop("learning_rate", None)
        rows, problems, samples = self._sample_losses(), self._problems, self._step_samples
        counts = [self._counts]
        self._losses, self._problems, self._step_samples, self._counts = [], [], [], _Counts()
        if self.args.world_size > 1:
            told = gather((rows, problems, samples, counts))
            rows, problems, samples, counts = (
                list(itertools.chain(*each)) for each in zip(*told, strict=True)
            )
        supervised = sum(count for _, _, count in rows)
        self._samples += len(samples)
        self._tokens += supervised
        figures = {
            "loss": logs.pop("loss"),
            **self._mean_losses(rows),
            **{f"lr/{group}": rate for group, rate in self._rates.items()},
            **logs,
            "samples": self._samples,
            "tokens": self._tokens,
            "processes": self.args.world_size,
            **self._speed(counts, supervised),
            "seconds": round(self._seconds(), 3),
        }
        super().log(figures, start_time)
        self.state.log_history.clear()  # log.jsonl has it; every checkpoint would carry all of it again
        self._leave_out(problems)

    def _speed(self, counts: Sequence[_Counts], supervised: int) -> dict[str, float]:
        """How much of the step was work, and how fast it was done; processes' counts together."""
        seconds = time.monotonic() - self._step_started
        positions, useful = sum(each.positions for each in counts), sum(each.useful for each in counts)
        figures = {
            "positions": positions,
            "useful": useful / max(positions, 1),
            "tokens_per_second": useful / seconds,
        }
        if torch.cuda.is_available():
            figures["memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
        peak = peak_flops()
        if peak is not None:
            patches = self._patches * sum(each.images for each in counts)
            gone_through = {
                "vision_tower": patches,
                "projector": patches,
                "language_model": useful,
                "head": supervised,
            }
            flops = sum(self._flops[part] * count for part, count in gone_through.items())
            figures["mfu"] = flops / seconds / (peak * self.args.world_size)
        return figures

    def _sample_losses(self) -> list[tuple[int, float, int]]:
        """Of each sample of the step: its index, the sum of its losses, and how many they are."""
        if not self._losses:
            return []
        index, losses = (torch.cat(parts).cpu() for parts in zip(*self._losses, strict=True))
        samples, places, counts = index.unique(return_inverse=True, return_counts=True)
        sums = torch.zeros(len(samples)).index_add_(0, places, losses)
        return list(zip(samples.tolist(), sums.tolist(), counts.tolist(), strict=True))

    def _mean_losses(self, rows: Iterable[tuple[int, float, int]]) -> dict[str, float]:
        """Mean loss of a step's supervised tokens, by response type and by source."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for index, total, count in rows:
            sample = self._data.prepared[index].sample
            for key in (f"loss/type/{sample.response_type}", f"loss/source/{sample.source}"):
                sums[key] = sums.get(key, 0.0) + total
                counts[key] = counts.get(key, 0) + count
        return {key: sums[key] / counts[key] for key in sorted(sums) if counts[key]}

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def _leave_out(self, problems: Iterable[tuple[int, str, str]]) -> None:
        """Write down images that could not be read. Raises InputError once they are too many.

        Too many: a larger share of the stage's samples than it allows, or, as soon as there are enough
        for it not to be chance, of the samples seen so far, as when a disk goes away.
        """
        new = {index: (reason, detail) for index, reason, detail in problems if index not in self._unreadable}
        if not new:
            return
        self._unreadable |= new.keys()
        left_out = []
        for index, (reason, detail) in sorted(new.items()):
            sample = self._data.prepared[index].sample
            left_out.append(
                LeftOut(
                    self._name, sample.file, sample.record, sample.id, reason, detail, self.state.global_step
                )
            )
        if self.args.should_save:
            append_left_out(self._folder.parent / LEFT_OUT, left_out)
        count, limit, seen = len(self._unreadable), self._stage.max_left_out, self._samples
        if count / len(self._data.prepared) > limit or (count >= _MANY and count / seen > limit):
            first = left_out[0]
            raise InputError(
                f"{self._name} step {self.state.global_step}: images of {count:,} samples could not be read "
                f"in {seen:,}, more than {self._name}.max_left_out allows ({limit:g}); the latest is "
                f"{first.id} ({first.detail}). Mend them and run the same command again, or raise the limit"
            )

    # Checkpoints

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._saving_into or self._folder)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step
        self._check_frozen()
        with contextlib.ExitStack() as stack:
            if self.args.should_save:
                draft = stack.enter_context(Draft(self._folder, step))
            stack.enter_context(saving(self._folder))
            self.accelerator.wait_for_everyone()
            self._saving_into = draft_folder(self._folder, step).parent
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self._saving_into = None
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                draft.publish(self._record())
                rotate(self._folder, step, self._stage.keep_checkpoints)
        self.accelerator.wait_for_everyone()
        self.last_checkpoint = self._folder / draft_folder(self._folder, step).name

    def _check_frozen(self) -> None:
        """Raise InputError, before anything is saved, where a weight that does not train has changed."""
        now = fingerprints(self.model)
        for name in sorted({*self._frozen, *now}):
            if self._frozen.get(name) != now.get(name):
                raise InputError(
                    f"{self._name} step {self.state.global_step}: {name} is frozen, but its weights changed; "
                    "nothing is saved. The fault is in the program, not in the data: please report it"
                )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        # Trainer gathers the whole model where DeepSpeed shares it, what does not train as well.
        assert output_dir is not None
        save_weights(self.model, Path(output_dir), write=self.args.should_save)

    def store_flos(self) -> None:
        pass  # there are none, and processes would ask each other for them

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self._sharing.zero:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        # Not as DeepSpeed would: its files hold the weights once more.
        save_optimizer_part(optimizer_state(self.optimizer.optimizer), Path(output_dir), process())
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if self._sharing.zero and checkpoint is not None:
            state = load_optimizer_part(Path(checkpoint), process())
            load_optimizer_state(self.optimizer.optimizer, state)
        super()._load_optimizer_and_scheduler(checkpoint)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(self.model, Path(resume_from_checkpoint))

    def _record(self) -> RunRecord:
        return RunRecord.model_validate(
            {
                "stage": self._name,
                "step": self.state.global_step,
                "total_steps": self.args.max_steps,
                "recipe": self._recipe.model_dump(mode="json"),
                "data": [item.model_dump() for item in self._hashed],
                "parts": self._parts,
                "versions": versions(),
                "samples": self._samples,
                "tokens": self._tokens,
                "seconds": round(self._seconds(), 3),
                "unreadable": sorted(self._unreadable),
                "usable": len(self._data.prepared),
                "usable_sha256": self._usable,
                "frozen_sha256": self._frozen_sha256,
                "processes": self.args.world_size,
                "zero": self._sharing.zero,
            }
        )

    # Stopping

    def let_go(self) -> None:
        """Give back the model, the optimizer and the processes that read images.

        Trainer and its callbacks hold each other, so without this they would stay beside the next stage.
        """
        self._stop_projecting()
        self.callback_handler.callbacks.clear()
        self.callback_handler.train_dataloader = None
        self.accelerator.free_memory()
        discard(self.model)
        self.model = self.model_wrapped = self.deepspeed = self.optimizer = self.lr_scheduler = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def stop_requested(self) -> bool:
        """Whether any process was asked to stop: all must leave the loop at the same step."""
        if self.args.world_size > 1:
            return any(gather(self._stop.requested))
        return self._stop.requested


@dataclass
class _Counts:
    """What a process computes in a step."""

    positions: int = 0
    useful: int = 0
    """Positions that are no padding."""
    images: int = 0

    def add(self, useful: int, micro_batches: Sequence[dict[str, Any]]) -> None:
        self.useful += useful
        for micro_batch in micro_batches:
            self.positions += micro_batch["input_ids"].numel()
            self.images += len(micro_batch.get("pixel_values", ()))


class _StepEnd(TrainerCallback):
    """What is decided between steps."""

    def __init__(self, trainer: StageTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # A resumed state carries the intervals of the run it is from, and they may be changed.
        state.save_steps, state.logging_steps = args.save_steps, args.logging_steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._trainer.stop_requested():
            control.should_save = control.should_training_stop = True


def usable_sha256(prepared: Sequence[Prepared]) -> str:
    """What decides the order of an epoch, beside the seed: which samples there are, and how they are cut."""
    digest = hashlib.sha256()
    for item in prepared:
        digest.update(f"{item.sample.source} {item.sample.record} {item.length} {item.n_images}\n".encode())
    return digest.hexdigest()


def out_of_memory(name: str, stage: StageConfig, error: Exception) -> InputError:
    """What to do about a GPU that is too small, in one line."""
    lower = f"{name}.max_length (now {stage.max_length})"
    if not stage.packing:
        lower = f"{name}.micro_batch_size (now {stage.micro_batch_size}) or {lower}"
    # ZeRO-3 cannot share weights held in 4 bits, and these train little already.
    share = f"share it ({name}.deepspeed=zero3 on more GPUs, or zero3_offload), "
    return InputError(
        f"{name}: the GPU's memory does not hold this stage ({str(error).split('. ')[0]}): lower {lower}, "
        f"set {name}.gradient_checkpointing=true, {share if stage.quantization == 'none' else ''}"
        f"or train less of it ({name}.language_model=lora)"
    )


def _check_same_samples(record: RunRecord, count: int, usable: str, checkpoint: Path) -> None:
    if record.usable_sha256 != usable:
        raise InputError(
            f"{checkpoint} was trained on {record.usable:,} usable samples, and now {count:,} are, or "
            "others: the order of what is left would not be the same. Give it the images it had "
            "(left_out.jsonl names those that are missing), or another --out"
        )


def _check_same_base(record: RunRecord, frozen: str | None, checkpoint: Path, recipe: Recipe) -> None:
    if record.frozen_sha256 != frozen:
        raise InputError(
            f"{checkpoint} was trained beside other frozen weights: {recipe.model.language_model} or "
            f"{recipe.model.vision_tower} is not what it was. Give it the model it had, or another --out"
        )


def _arguments(
    stage: StageConfig,
    recipe: Recipe,
    folder: Path,
    samples: int,
    deepspeed: dict[str, Any] | None = None,
) -> TrainingArguments:
    cuda = torch.cuda.is_available()
    args = TrainingArguments(
        output_dir=str(folder),
        # A process takes its share of a step at once, and the collator splits it into micro batches: this
        # is set below, where the number of processes is known, for what reads it besides our data loader.
        per_device_train_batch_size=1,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        max_grad_norm=stage.max_grad_norm,
        lr_scheduler_type="cosine",
        bf16=stage.precision == "bf16" and deepspeed is None,  # DeepSpeed has an autocast of its own
        tf32=True if cuda and is_torch_tf32_available() else None,
        use_cpu=not cuda,
        deepspeed=deepspeed,
        ddp_find_unused_parameters=False,  # `always_project` leaves none unused
        activation_checkpointing=stage.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if stage.gradient_checkpointing else None,
        seed=recipe.seed,
        # One line a step: a curve that resumes exactly has no windows to restore.
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=stage.save_steps,
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        dataloader_num_workers=recipe.workers,
        dataloader_persistent_workers=recipe.workers > 0,
        dataloader_pin_memory=cuda,
    )
    args._n_gpu = min(args.n_gpu, 1)  # more than one is for several processes, never for DataParallel
    args.per_device_train_batch_size = process_batch_size(folder.name, stage, args.world_size)
    args.max_steps = total_steps(stage, samples)
    # Guarded: 0.07 * 100 is a little more than 7.
    args.warmup_steps = math.ceil(stage.warmup_ratio * args.max_steps - 1e-9)
    return args


def _trackers(args: TrainingArguments, folder: Path, step: int) -> list[TrainerCallback]:
    return trackers(folder, step) if args.should_save else []


def _allow_open_files() -> None:
    """As many as the system lets us have: a tensor that another process read is an open file.

    A step of 128 samples is over 200 tensors, and several steps wait; often 1,024 are allowed at first.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # not everywhere may it be as many as it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        raise InputError(
            f"{error.filename or out}: {error.strerror}; make room and run the same command again, it goes "
            "on from the newest checkpoint"
        ) from None
