"""Train one stage: transformers' Trainer, with the samples, the loss and the checkpoints of ours."""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import math
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from accelerate.utils import gather_object
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import is_torch_tf32_available

from train.checkpoint import (
    DataRecord,
    Draft,
    RunRecord,
    check_same_run,
    clear_drafts,
    draft_folder,
    fingerprints,
    frozen_sha256,
    hash_data,
    load_weights,
    newest_complete,
    read_record,
    rotate,
    save_weights,
    saving,
    versions,
)
from train.collate import Collator
from train.config import Recipe, StageConfig, StageName
from train.dataset import DataFile, InstructionData, Prepared, WeightedSampler, append_left_out
from train.logs import ProgressLine, RunLog, cut_log, quiet, trackers
from train.records import IGNORE_INDEX, InputError, LeftOut
from train.stages import PartCount, parameter_groups

LOG = "log.jsonl"
LEFT_OUT = "left_out.jsonl"
TENSORBOARD = "tensorboard"

_MANY = 20
"""Unreadable images below which their share of the samples seen so far may be chance."""


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
    The handlers that were there before come back at the end, and for the second signal.
    """

    def __init__(self) -> None:
        self.requested = False
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
            self._restore()
            os.kill(self._process, number)
            return
        self.requested = True
        # Past Python's buffers, which the interrupted code may be in the middle of writing to.
        with contextlib.suppress(OSError):  # nobody may be reading
            os.write(2, b"\nStopping once the step at hand is saved; the same signal again stops at once.\n")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def total_steps(stage: StageConfig, samples: int, processes: int = 1) -> int:
    """Optimizer steps of a stage whose epoch has `samples`; the last ones of an epoch make a smaller step."""
    batches = math.ceil(math.ceil(samples / stage.micro_batch_size) / processes)
    in_epoch = math.ceil(batches / accumulation(stage, processes))
    steps = math.ceil(stage.epochs * in_epoch)
    return min(steps, stage.max_steps) if stage.max_steps is not None else steps


def accumulation(stage: StageConfig, processes: int) -> int:
    """Micro batches that one process takes a step. Raises InputError unless they make the global batch."""
    at_once = stage.micro_batch_size * processes
    if stage.global_batch_size % at_once:
        raise InputError(
            f"global_batch_size {stage.global_batch_size} is no multiple of micro_batch_size "
            f"{stage.micro_batch_size} times {processes} processes: change one of them"
        )
    return stage.global_batch_size // at_once


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

    Raises InputError when the folder holds a checkpoint of another recipe or other data, the batch
    sizes do not divide over the processes, the disk is full, too many images cannot be read, a loss or
    gradient is not finite, or a frozen weight changed.
    """
    quiet()
    with contextlib.ExitStack() as stack:
        if stop is None:
            stop = stack.enter_context(StopRequest())
        stack.enter_context(_disk_errors(out))
        folder = out / name
        sampler = WeightedSampler(data.prepared, data_files, recipe.seed)
        usable = usable_sha256(data.prepared)
        args = _arguments(stage, recipe, folder, len(sampler))
        if args.should_save:
            clear_drafts(folder)
        hashed = hash_data(data_files)
        checkpoint = newest_complete(folder)
        record = read_record(checkpoint) if checkpoint is not None else None
        if checkpoint is not None and record is not None:
            check_same_run(record, recipe, hashed, checkpoint)
            _check_same_samples(record, len(data.prepared), usable, checkpoint)
            _check_same_base(record, frozen_sha256(model), checkpoint, recipe)
        step = record.step if record is not None else 0
        if checkpoint is not None and step >= args.max_steps:
            load_weights(model, checkpoint)
            return StageResult(checkpoint, step, args.max_steps, interrupted=False)
        if stop.requested:
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

    optimizer: Any
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
        self._rows: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._problems: list[tuple[int, str, str]] = []
        self._rates: dict[str, float] = {}
        self._frozen = fingerprints(model)

    # Samples and optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> WeightedSampler:
        return self._sampler

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
        return self.optimizer

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
        """Cross entropy in float32, summed over supervised positions, by those of the whole step.

        Logits are computed for these positions alone: the rest of a batch, image features above all, is
        most of it, and a vocabulary wide. A batch that supervises nothing gives 0 and gradients of 0.
        """
        inputs = dict(inputs)
        self._problems += inputs.pop("problems")
        index = inputs.pop("sample_index")
        following = inputs.pop("labels")[:, 1:]
        supervised = following != IGNORE_INDEX
        # The last position is followed by nothing.
        predicting = torch.nn.functional.pad(supervised, (0, 1), value=False)
        outputs = model(**inputs, logits_to_keep=predicting)
        losses = torch.nn.functional.cross_entropy(
            outputs.logits.float(), following[supervised], reduction="none"
        )
        rows = supervised.nonzero()[:, 0]
        sums = torch.zeros(len(index), device=losses.device).index_add_(0, rows, losses.detach())
        self._rows.append((index, sums, supervised.sum(dim=1)))
        items = num_items_in_batch if num_items_in_batch is not None else supervised.sum()
        loss = losses.sum() / torch.as_tensor(items, device=losses.device).clamp(min=1)
        if self.args.average_tokens_across_devices:
            # `items` counts every process, and gradients are averaged over processes.
            loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return 0  # Trainer's estimate knows nothing of images, and walks the whole model for each batch

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        loss = float(self._tr_loss)
        if not (math.isfinite(loss) and (norm is None or math.isfinite(float(norm)))):
            # Before the optimizer's step, so no weight has seen it.
            ids = list(dict.fromkeys(self._id(i) for index, _, _ in self._rows for i in index.tolist()))
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
        rows = [row for part in self._rows for row in zip(*(column.tolist() for column in part), strict=True)]
        problems = self._problems
        self._rows, self._problems = [], []
        if self.args.world_size > 1:
            rows, problems = gather_object(rows), gather_object(problems)
        self._samples += len(rows)
        self._tokens += sum(count for _, _, count in rows)
        figures = {
            "loss": logs.pop("loss"),
            **self._losses(rows),
            **{f"lr/{group}": rate for group, rate in self._rates.items()},
            **logs,
            "samples": self._samples,
            "tokens": self._tokens,
            "seconds": round(self._seconds(), 3),
        }
        super().log(figures, start_time)
        self.state.log_history.clear()  # log.jsonl has it; every checkpoint would carry all of it again
        self._leave_out(problems)

    def _losses(self, rows: Iterable[tuple[int, float, int]]) -> dict[str, float]:
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

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if self.args.should_save and output_dir is not None:
            save_weights(self.model, Path(output_dir), state_dict)

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
                "frozen_sha256": frozen_sha256(self.model),
            }
        )

    # Stopping

    def let_go(self) -> None:
        """Give back the model, the optimizer and the processes that read images.

        Trainer and its callbacks hold each other, so without this they would stay beside the next stage.
        """
        self.callback_handler.callbacks.clear()
        self.callback_handler.train_dataloader = None
        self.accelerator.free_memory()
        self.model = self.model_wrapped = self.optimizer = self.lr_scheduler = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def stop_requested(self) -> bool:
        """Whether any process was asked to stop: all must leave the loop at the same step."""
        if self.args.world_size > 1:
            return any(gather_object([self._stop.requested]))
        return self._stop.requested


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
    return InputError(
        f"{name}: the GPU's memory does not hold this stage ({str(error).split('. ')[0]}): lower "
        f"{name}.micro_batch_size (now {stage.micro_batch_size}) or {name}.max_length (now "
        f"{stage.max_length}), set {name}.gradient_checkpointing=true, or train less of it "
        f"({name}.language_model=lora)"
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


def _arguments(stage: StageConfig, recipe: Recipe, folder: Path, samples: int) -> TrainingArguments:
    cuda = torch.cuda.is_available()
    args = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=stage.micro_batch_size,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        max_grad_norm=stage.max_grad_norm,
        lr_scheduler_type="cosine",
        bf16=stage.precision == "bf16",
        tf32=True if cuda and is_torch_tf32_available() else None,
        use_cpu=not cuda,
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
    args.gradient_accumulation_steps = accumulation(stage, args.world_size)
    args.max_steps = total_steps(stage, samples, args.world_size)
    # Guarded: 0.07 * 100 is a little more than 7.
    args.warmup_steps = math.ceil(stage.warmup_ratio * args.max_steps - 1e-9)
    return args


def _trackers(args: TrainingArguments, folder: Path, step: int) -> list[TrainerCallback]:
    return trackers(folder, step) if args.should_save else []


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
