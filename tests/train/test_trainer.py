"""What a step computes, what is logged, and when a stage stops."""

from __future__ import annotations

import gc
import io
import itertools
import json
import math
import multiprocessing
import os
import resource
import signal
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from tests.train.kill_helpers import FILES, STAGES, Ready, curve, get_ready, write_files
from train import logs, trainer
from train.checkpoint import WEIGHTS, newest_complete, read_record
from train.collate import Collator
from train.config import StageConfig
from train.dataset import DataFile, InstructionData, WeightedSampler
from train.logs import ProgressLine, RunLog, cut_log
from train.loss import token_losses
from train.records import IGNORE_INDEX, InputError
from train.trainer import (
    StageResult,
    StageTrainer,
    StepBatches,
    StopRequest,
    _arguments,
    flops_per_position,
    process_batch_size,
    total_steps,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


def refused(ready: Ready, out: Path) -> str:
    with pytest.raises(InputError) as error:
        ready.train(out)
    text = str(error.value)
    assert "\n" not in text
    return text


def train_some(ready: Ready, out: Path, steps: int) -> StageResult:
    """Train until the stop that is asked for in the middle of the so-and-so-manieth step."""
    left = iter(range(steps - 1))
    train_step = StageTrainer.training_step
    with StopRequest() as stop, pytest.MonkeyPatch.context() as patch:

        def count(*args: Any) -> Any:
            stop.requested |= next(left, None) is None
            return train_step(*args)

        patch.setattr(StageTrainer, "training_step", count)
        return ready.train(out, stop)


def trainer_of(ready: Ready, out: Path) -> StageTrainer:
    """The trainer that `train_stage` makes, before it trains."""
    sampler = WeightedSampler(ready.data.prepared, ready.data_files, ready.recipe.seed)
    return StageTrainer(
        ready.name,
        ready.stage,
        model=ready.model,
        args=_arguments(ready.stage, ready.recipe, out, len(sampler)),
        data=ready.data,
        collator=ready.collator,
        sampler=sampler,
        recipe=ready.recipe,
        hashed=[],
        usable="",
        parts=[],
        record=None,
        stop=StopRequest(),
        callbacks=[],
    )


def plain_loss(ready: Ready, indices: list[int]) -> Any:
    """transformers' own loss of samples in one padded batch, with logits everywhere."""
    stage = ready.stage.model_copy(update={"packing": False, "micro_batch_size": len(indices)})
    padded = Collator(ready.collator.pad_token_id, ready.collator.image_size, stage)
    # Apart, and weighed: the collator would not put samples with an image and without into one batch.
    batches = padded([ready.data[index] for index in indices])["micro_batches"]
    counts = [int((batch["labels"] != IGNORE_INDEX).sum()) for batch in batches]
    losses = [
        ready.model(**{key: value for key, value in batch.items() if key != "sample_index"}).loss
        for batch in batches
    ]
    return sum(loss * count for loss, count in zip(losses, counts, strict=True)) / sum(counts)


# The loss


def step_loss(trainer: StageTrainer, ready: Ready, indices: list[int]) -> Any:
    """The loss of a step of these samples, and each parameter's gradient, or None."""
    ready.model.zero_grad(set_to_none=True)
    batch = ready.collator([ready.data[index] for index in indices])
    items = trainer._get_num_items_in_batch([batch], torch.device("cpu"))
    loss = trainer.training_step(ready.model, batch, items)
    return loss, [p.grad for p in ready.model.parameters() if p.requires_grad]


@pytest.mark.parametrize("packing", [True, False])
def test_the_loss_is_the_models_own(root: Path, tmp_path: Path, packing: bool) -> None:
    ready = get_ready(root, packing=packing)
    trainer = trainer_of(ready, tmp_path)
    for indices in ([0, 1, 2, 3], [3, 7], [5]):
        ours, gradients = step_loss(trainer, ready, indices)
        theirs = plain_loss(ready, indices)
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
        trained = [p for p in ready.model.parameters() if p.requires_grad]
        for mine, other in zip(
            gradients, torch.autograd.grad(theirs, trained, allow_unused=True), strict=True
        ):
            assert (mine is None) == (other is None)
            if mine is not None:
                torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("packing", [True, False])
def test_logits_are_computed_for_supervised_positions_alone(root: Path, packing: bool) -> None:
    ready = get_ready(root, packing=packing)
    seen: list[int] = []
    ready.model.lm_head.register_forward_hook(
        lambda module, inputs, logits: seen.append(logits[..., 0].numel())
    )
    examples = [ready.data[index] for index in range(4)]
    for micro_batch in ready.collator(examples)["micro_batches"]:
        token_losses(ready.model, micro_batch)
    assert sum(seen) == sum(int((example.labels != IGNORE_INDEX).sum()) for example in examples)


@pytest.mark.parametrize("packing", [True, False])
def test_a_batch_that_supervises_nothing_gives_zero_and_finite_gradients(
    root: Path, tmp_path: Path, packing: bool
) -> None:
    ready = get_ready(root, packing=packing)
    trainer = trainer_of(ready, tmp_path)
    examples = [ready.data[0], ready.data[1]]
    for example in examples:
        example.labels.fill_(IGNORE_INDEX)
    (batch,) = ready.collator(examples)["micro_batches"]
    for items in (None, torch.tensor(0)):
        ready.model.zero_grad()
        loss = trainer.compute_loss(ready.model, batch, num_items_in_batch=items)
        loss.backward()
        assert loss.item() == 0.0
        found = [p.grad for p in ready.model.parameters() if p.grad is not None]
        assert found and all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in found)


def test_the_loss_does_not_depend_on_how_a_step_is_split(root: Path, tmp_path: Path) -> None:
    """Answers differ in length, so a mean of the micro batches' means is another number."""
    ways: dict[str, dict[str, Any]] = {
        "whole": {"packing": False, "micro_batch_size": 8},
        **{f"padded, {n}": {"packing": False, "micro_batch_size": n} for n in (1, 2, 3)},
        **{f"packed, {n}": {} for n in (160, 256, 1024)},
    }
    curves, passes = {}, {}
    for way, changes in ways.items():
        ready = get_ready(root, global_batch_size=8, max_steps=5, **changes)
        if ready.stage.packing:
            ready.collator.max_length = int(way.removeprefix("packed, "))
            assert max(each.length for each in ready.data.prepared) < ready.collator.max_length
        order = list(WeightedSampler(ready.data.prepared, ready.data_files, ready.recipe.seed))[:8]
        passes[way] = len(ready.collator([ready.data[index] for index in order])["micro_batches"])
        ready.train(tmp_path / way)
        curves[way] = curve(tmp_path / way)
    assert passes["packed, 1024"] == 1 and passes["padded, 1"] == 8
    assert 1 < passes["packed, 256"] < passes["packed, 160"] < 8
    for way, lines in curves.items():
        for ours, whole in zip(lines, curves["whole"], strict=True):
            assert ours["loss"] == pytest.approx(whole["loss"], rel=1e-6 if whole["step"] == 1 else 1e-4), way
            assert ours["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-4), way
            assert [ours[key] for key in ("samples", "tokens")] == [
                whole[key] for key in ("samples", "tokens")
            ]
            kinds = {key for key in whole if key.startswith("loss/")}
            assert {key: ours[key] for key in kinds} == pytest.approx(
                {key: whole[key] for key in kinds}, rel=1e-3
            )


def test_losses_are_told_by_type_and_source_over_supervised_tokens(root: Path, tmp_path: Path) -> None:
    ready = get_ready(root, max_steps=1)
    order = list(WeightedSampler(ready.data.prepared, ready.data_files, ready.recipe.seed))[:4]
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for index in order:
        sample, count = (
            ready.data.prepared[index].sample,
            int((ready.data[index].labels != IGNORE_INDEX).sum()),
        )
        with torch.no_grad():
            total = plain_loss(ready, [index]).item() * count
        for key in ("loss", f"loss/type/{sample.response_type}", f"loss/source/{sample.source}"):
            sums[key], counts[key] = sums.get(key, 0) + total, counts.get(key, 0) + count
    ready.train(tmp_path)
    (line,) = curve(tmp_path)
    assert {"loss/type/conversation", "loss/type/detail", "loss/source/chats", "loss/source/captions"} <= set(
        sums
    )
    found = {key: value for key, value in line.items() if key.startswith("loss")}
    assert found == pytest.approx({key: sums[key] / counts[key] for key in sums}, rel=1e-5)
    assert (line["samples"], line["tokens"]) == (4, counts["loss"])


def test_text_alone_trains(root: Path, tmp_path: Path) -> None:
    records = json.loads((root / FILES[0]).read_text())
    path = tmp_path / "text.json"
    path.write_text(json.dumps([record for record in records if "image" not in record]))
    ready = get_ready(root, files=[DataFile(path)], global_batch_size=3, micro_batch_size=3, epochs=12)
    assert "pixel_values" not in ready.collator([ready.data[0]])["micro_batches"][0]
    assert ready.train(tmp_path / "out").step == 12
    losses = [line["loss"] for line in curve(tmp_path / "out")]
    assert losses[-1] < 0.6 * losses[0]


def test_activation_checkpointing_changes_nothing(root: Path, tmp_path: Path) -> None:
    for name in ("align", "finetune"):
        for on in (False, True):
            get_ready(root, name, gradient_checkpointing=on, max_steps=4).train(tmp_path / f"{name}{on}")
        assert curve(tmp_path / f"{name}True") == curve(tmp_path / f"{name}False")


# Order and schedule


@pytest.mark.parametrize(
    ("changes", "samples", "steps"),
    [
        ({"epochs": 1}, 18, 5),
        ({"epochs": 3}, 18, 15),
        ({"epochs": 0.5}, 18, 3),
        ({"epochs": 1.5}, 16, 6),
        ({"epochs": 3, "max_steps": 7}, 18, 7),
        ({"epochs": 1, "max_steps": 7}, 18, 5),
        ({"epochs": 1}, 3, 1),
    ],
)
def test_the_number_of_steps_is_known_in_advance(changes: dict[str, Any], samples: int, steps: int) -> None:
    assert total_steps(STAGES["finetune"].model_copy(update=changes), samples) == steps


def test_a_batch_that_does_not_divide_over_the_processes_is_refused() -> None:
    stage = STAGES["finetune"]
    assert [process_batch_size("finetune", stage, processes) for processes in (1, 2, 4)] == [4, 2, 1]
    with pytest.raises(InputError, match=r"finetune\.global_batch_size 4 is no multiple of the 3 processes"):
        process_batch_size("finetune", stage, 3)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_share_out_a_step_and_no_sample_comes_twice(root: Path, processes: int) -> None:
    ready = get_ready(root)
    sampler = WeightedSampler(ready.data.prepared, ready.data_files, ready.recipe.seed)
    batches = StepBatches(sampler, 4, processes)
    lists = list(batches)
    assert len(lists) == len(batches) == 5 * processes
    order = list(sampler)
    for step in range(5):
        shares = lists[step * processes : (step + 1) * processes]
        assert sorted(itertools.chain(*shares)) == sorted(order[4 * step : 4 * step + 4])
        sizes = [len(share) for share in shares]
        assert max(sizes) - min(sizes) <= 1
    assert lists[:processes] == [order[:4][process::processes] for process in range(processes)]


def test_rates_warm_up_and_follow_a_cosine_a_group_each(root: Path, tmp_path: Path) -> None:
    ready = get_ready(root, projector_learning_rate=3e-3, warmup_ratio=0.11)
    ready.train(tmp_path)
    warm, steps = 2, 15  # ceil(0.11 * 15)
    shape = [
        step / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
        for step in range(steps)
    ]
    lines = curve(tmp_path)
    for group, rate in (("projector", 3e-3), ("projector_no_decay", 3e-3), ("language_model", 1e-2)):
        assert [line[f"lr/{group}"] for line in lines] == pytest.approx([rate * part for part in shape])


def note_what_is_read(monkeypatch: pytest.MonkeyPatch, into: list[int]) -> None:
    read = InstructionData.__getitem__

    def note(self: Any, index: int) -> Any:
        into.append(index)
        return read(self, index)

    monkeypatch.setattr(InstructionData, "__getitem__", note)


def test_every_epoch_has_its_own_order_and_ends_in_a_smaller_step(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = get_ready(root)
    asked: list[int] = []
    note_what_is_read(monkeypatch, asked)
    ready.train(tmp_path)
    sampler = WeightedSampler(ready.data.prepared, ready.data_files, ready.recipe.seed)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert asked == orders[0] + orders[1] + orders[2]
    assert orders[0] != orders[1] != orders[2]
    seen = [0] + [line["samples"] for line in curve(tmp_path)]
    assert [after - before for before, after in itertools.pairwise(seen)] == [4, 4, 4, 4, 2] * 3


def test_resuming_reads_no_image_of_a_step_that_is_done(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = get_ready(root)
    stopped = train_some(ready, tmp_path, steps=7)
    assert (stopped.step, stopped.interrupted) == (7, True)
    assert stopped.checkpoint == tmp_path / "finetune" / "checkpoint-7"
    asked: list[int] = []
    note_what_is_read(monkeypatch, asked)
    assert get_ready(root).train(tmp_path).step == 15
    orders = []
    sampler = WeightedSampler(ready.data.prepared, ready.data_files, ready.recipe.seed)
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    # Seven steps are the five of the first epoch, whose last is one batch, and two of the second.
    assert asked == orders[0][8:] + orders[1]


def test_processes_that_read_images_change_nothing(root: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        get_ready(root, recipe_settings={"workers": workers}, epochs=2).train(tmp_path / str(workers))
    assert curve(tmp_path / "2") == curve(tmp_path / "0")


def test_reading_in_other_processes_asks_for_the_open_files_it_needs(root: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = min(before[0], 256)
    try:
        for workers, expected in ((0, few), (1, before[1])):
            resource.setrlimit(resource.RLIMIT_NOFILE, (few, before[1]))
            ready = get_ready(root, recipe_settings={"workers": workers})
            trainer_of(ready, tmp_path).get_train_dataloader()
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (expected, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# Checkpoints


def test_a_finished_stage_returns_at_once_with_its_weights(root: Path, tmp_path: Path) -> None:
    done = get_ready(root, max_steps=3).train(tmp_path)
    assert (done.step, done.total_steps, done.interrupted) == (3, 3, False)
    assert done.checkpoint == tmp_path / "finetune" / "checkpoint-3"
    before = (tmp_path / "log.jsonl").read_bytes()
    again = get_ready(root, max_steps=3)
    assert again.train(tmp_path) == done
    assert (tmp_path / "log.jsonl").read_bytes() == before
    held = load_file(done.checkpoint / WEIGHTS)
    assert all(
        torch.equal(value, held[name]) for name, value in again.model.named_parameters() if name in held
    )
    assert {name for name, value in again.model.named_parameters() if value.requires_grad} <= held.keys()


def test_how_often_a_run_saves_may_change_and_what_it_is_may_not(root: Path, tmp_path: Path) -> None:
    train_some(get_ready(root), tmp_path, steps=2)
    newest = newest_complete(tmp_path / "finetune")
    assert newest is not None and newest.name == "checkpoint-2"
    text = refused(get_ready(root, learning_rate=1.0), tmp_path)
    assert text.startswith(f"{newest} is of another run (finetune.learning_rate: 1.0 here, 0.01 there)")
    assert "finetune data" in refused(get_ready(root, files=[DataFile(root / FILES[0])]), tmp_path)
    get_ready(root, save_steps=7, keep_checkpoints=9).train(tmp_path)
    folders = [path.name for path in (tmp_path / "finetune").iterdir()]
    assert sorted(folders) == ["checkpoint-14", "checkpoint-15", "checkpoint-2", "checkpoint-7"]


def test_a_run_is_not_continued_on_other_samples_than_it_had(root: Path, tmp_path: Path) -> None:
    """An image that went away makes another order: some samples would train twice, and others never."""
    train_some(get_ready(root), tmp_path, steps=2)
    fewer = get_ready(root)
    whole = list(fewer.data.prepared)
    fewer.data.prepared = whole[:3] + whole[4:]
    newest = tmp_path / "finetune" / "checkpoint-2"
    assert refused(fewer, tmp_path).startswith(
        f"{newest} was trained on {len(whole)} usable samples, and now {len(whole) - 1} are, or others: "
    )
    fewer.data.prepared = whole[1:] + whole[:1]
    assert refused(fewer, tmp_path).startswith(f"{newest} was trained on {len(whole)} usable samples")
    assert get_ready(root).train(tmp_path).step == 15


def test_a_run_is_not_continued_beside_other_frozen_weights(root: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"language_model": "lora", "lora": {"rank": 2, "alpha": 4, "dropout": 0.0}}
    train_some(get_ready(root, **changes), tmp_path, steps=2)
    other = get_ready(root, **changes)
    with torch.no_grad():
        other.model.lm_head.weight[0, 0] += 1
    model = other.recipe.model
    assert refused(other, tmp_path) == (
        f"{tmp_path / 'finetune' / 'checkpoint-2'} was trained beside other frozen weights: "
        f"{model.language_model} or {model.vision_tower} is not what it was. Give it the model it had, or "
        "another --out"
    )


def test_a_run_that_does_not_fit_goes_on_in_smaller_micro_batches(root: Path, tmp_path: Path) -> None:
    get_ready(root).train(tmp_path / "whole")
    train_some(get_ready(root), tmp_path / "changed", steps=7)
    get_ready(root, packing=False, micro_batch_size=1, gradient_checkpointing=True).train(
        tmp_path / "changed"
    )
    for ours, whole in zip(curve(tmp_path / "changed"), curve(tmp_path / "whole"), strict=True):
        assert ours["loss"] == pytest.approx(whole["loss"], rel=1e-4)
        assert (ours["samples"], ours["tokens"]) == (whole["samples"], whole["tokens"])


def test_memory_that_runs_out_is_one_line_that_says_what_to_lower(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = get_ready(root, packing=False)

    def run_out(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has")

    monkeypatch.setattr(ready.model.lm_head, "forward", run_out)
    assert refused(ready, tmp_path) == (
        "finetune: the GPU's memory does not hold this stage (CUDA out of memory): lower "
        "finetune.micro_batch_size (now 2) or finetune.max_length (now 256), set "
        "finetune.gradient_checkpointing=true, share it (finetune.deepspeed=zero3 on more GPUs, or "
        "zero3_offload), or train less of it (finetune.language_model=lora)"
    )


def test_a_stage_gives_back_its_model_and_its_processes(root: Path, tmp_path: Path) -> None:
    ready = get_ready(root, recipe_settings={"workers": 1}, max_steps=2)
    model = weakref.ref(ready.model)
    ready.train(tmp_path)
    assert multiprocessing.active_children() == []
    gc.disable()
    try:
        del ready
        assert model() is None
    finally:
        gc.enable()


def test_the_record_says_what_was_trained_on(root: Path, tmp_path: Path) -> None:
    ready = get_ready(root, max_steps=2)
    done = ready.train(tmp_path)
    assert done.checkpoint is not None
    record = read_record(done.checkpoint)
    assert (record.stage, record.step, record.total_steps) == ("finetune", 2, 2)
    assert type(ready.recipe).model_validate(record.recipe) == ready.recipe
    assert [(Path(file.path).name, file.weight) for file in record.data] == [
        ("chats.json", 1.0),
        ("captions.json", 0.5),
    ]
    assert [part.model_dump() for part in record.parts] == [vars(part) for part in ready.parts]
    assert (record.samples, record.tokens) == (8, curve(tmp_path)[-1]["tokens"])
    assert {"python", "vitkit", "torch", "transformers"} <= record.versions.keys()


def test_bf16_with_activation_checkpointing_goes_on_exactly(root: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "precision": "bf16",
        "gradient_checkpointing": True,
        "language_model": "lora",
        "lora": {"rank": 2, "alpha": 4, "dropout": 0.05},
        "max_steps": 6,
    }
    get_ready(root, **changes).train(tmp_path / "whole")
    stopped = train_some(get_ready(root, **changes), tmp_path / "stopped", steps=3)
    assert stopped.step == 3
    done = get_ready(root, **changes).train(tmp_path / "stopped")
    assert done.checkpoint is not None
    assert curve(tmp_path / "stopped") == curve(tmp_path / "whole")
    held = load_file(done.checkpoint / WEIGHTS)
    assert {value.dtype for value in held.values()} == {torch.float32}
    other = load_file(tmp_path / "whole" / "finetune" / done.checkpoint.name / WEIGHTS)
    assert all(torch.equal(value, other[name]) for name, value in held.items())


# What stops a run


def test_a_loss_that_is_not_finite_stops_the_run_and_is_in_no_checkpoint(root: Path, tmp_path: Path) -> None:
    ready = get_ready(root, learning_rate=1e30, warmup_ratio=0, save_steps=1)
    text = refused(ready, tmp_path)
    steps = [line["step"] for line in curve(tmp_path)]
    at = len(steps) + 1
    sampler = WeightedSampler(ready.data.prepared, ready.data_files, ready.recipe.seed)
    ids = [ready.data.prepared[index].sample.id for index in list(sampler)[4 * (at - 1) : 4 * at]]
    assert text.startswith(f"finetune step {at}: loss ")
    assert f"on samples {', '.join(ids)}; " in text
    newest = newest_complete(tmp_path / "finetune")
    assert newest is not None and newest.name == f"checkpoint-{at - 1}" and f"{newest}. Lower" in text
    assert all(torch.isfinite(value).all() for value in load_file(newest / WEIGHTS).values())


@pytest.fixture
def broken_root(tmp_path: Path) -> Iterator[Path]:
    """Files of which an image is cut off only after it was looked at."""
    folder = tmp_path / "broken"
    folder.mkdir()
    write_files(folder)
    yield folder


def spoil(root: Path, *names: str) -> None:
    for name in names:
        os.truncate(root / name, (root / name).stat().st_size // 2)


def test_an_unreadable_image_is_counted_and_written_down_once(broken_root: Path, tmp_path: Path) -> None:
    ready = get_ready(broken_root, global_batch_size=1, micro_batch_size=1, epochs=2, max_left_out=0.5)
    spoil(broken_root, "0.png")
    bad = {i for i, each in enumerate(ready.data.prepared) if each.sample.images == ("0.png",)}
    done = ready.train(tmp_path)
    sampler = WeightedSampler(ready.data.prepared, ready.data_files, ready.recipe.seed)
    order: list[int] = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        order += sampler
    lines = curve(tmp_path)
    # Alone in its step, such a sample supervises nothing.
    assert [line["step"] for line in lines if line["loss"] == 0.0] == [
        step for step, index in enumerate(order, start=1) if index in bad
    ]
    assert all(math.isfinite(value) for line in lines for value in line.values() if isinstance(value, float))
    left_out = [json.loads(line) for line in (tmp_path / "left_out.jsonl").read_text().splitlines()]
    met = bad & set(order)
    assert sorted(item["id"] for item in left_out) == sorted(ready.data.prepared[i].sample.id for i in met)
    assert {(item["stage"], item["reason"]) for item in left_out} == {("finetune", "corrupt_image")}
    assert done.checkpoint is not None
    assert read_record(done.checkpoint).unreadable == sorted(met)


def test_too_many_unreadable_images_stop_the_run(broken_root: Path, tmp_path: Path) -> None:
    ready = get_ready(broken_root, save_steps=1, max_left_out=0.1)
    spoil(broken_root, "0.png", "1.png", "2.png")
    text = refused(ready, tmp_path)
    # 24 samples: 2 of them are less than a tenth, 3 are more.
    assert " images of 3 samples could not be read in " in text or " images of 4 samples " in text
    assert "more than finetune.max_left_out allows (0.1)" in text
    folders = [path.name for path in (tmp_path / "finetune").iterdir()]
    assert not any(name.startswith(".") for name in folders)
    newest = newest_complete(tmp_path / "finetune")
    stopped_at = int(text.split(":")[0].removeprefix("finetune step "))
    assert (newest.name if newest else "checkpoint-0") == f"checkpoint-{stopped_at - 1}"


def test_a_frozen_weight_that_changes_is_named(root: Path, tmp_path: Path) -> None:
    ready = get_ready(root, "align", max_steps=2)
    collator = ready.collator

    def meddle(examples: Any) -> Any:
        with torch.no_grad():
            ready.model.lm_head.weight[3, 5] += 1e-6
        return collator(examples)

    ready.collator = meddle  # type: ignore[assignment]
    assert refused(ready, tmp_path) == (
        "align step 2: lm_head.weight is frozen, but its weights changed; nothing is saved. "
        "The fault is in the program, not in the data: please report it"
    )
    assert list((tmp_path / "align").iterdir()) == []


# Signals


def test_a_stop_asked_for_before_the_first_step_trains_nothing(root: Path, tmp_path: Path) -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        result = get_ready(root).train(tmp_path, stop)
    assert (result.checkpoint, result.step, result.interrupted) == (None, 0, True)
    assert not (tmp_path / "log.jsonl").exists()


def test_the_second_signal_is_the_end_and_handlers_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        os.kill(os.getpid(), signal.SIGINT)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert capfd.readouterr().err.strip() == (
        "Stopping once the step at hand is saved; the same signal again stops at once."
    )


def test_an_echo_of_the_signal_to_several_processes_is_no_second_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    seconds = iter([10.0, 12.0, 15.5])
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        for number in (signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
            assert stop.requested
        os.kill(os.getpid(), signal.SIGINT)
    assert capfd.readouterr().err == ""  # the main process says it


# Logs


LINES = [
    '{"stage": "align", "step": 1}',
    '{"stage": "align", "step": 2}',
    '{"stage": "finetune", "step": 1}',
    '{"stage": "finetune", "step": 2}',
    '{"stage": "finetune", "step": 3}',
]


@pytest.mark.parametrize(
    ("stage", "step", "end", "kept"),
    [
        ("finetune", 2, "\n", [0, 1, 2, 3]),
        ("finetune", 0, "\n", [0, 1]),
        ("align", 1, "\n", [0, 2, 3, 4]),
        ("finetune", 3, "\n", [0, 1, 2, 3, 4]),
        ("finetune", 3, "", [0, 1, 2, 3]),
        ("finetune", 3, '\n{"stage": "fine', [0, 1, 2, 3, 4]),
        ("finetune", 3, "\nnot JSON\n", [0, 1, 2, 3, 4]),
    ],
)
def test_a_resumed_log_has_each_step_once(
    tmp_path: Path, stage: str, step: int, end: str, kept: list[int]
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(LINES) + end)
    cut_log(path, stage, step)
    assert path.read_text() == "".join(f"{LINES[number]}\n" for number in kept)
    assert [item.name for item in tmp_path.iterdir()] == ["log.jsonl"]


def test_every_line_is_on_disk_before_the_next_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = iter([100.0, 100.0, 104.0, 108.0])  # made, began, a line each
    monkeypatch.setattr(
        logs,
        "time",
        SimpleNamespace(monotonic=lambda: next(clock), strftime=time.strftime, gmtime=time.gmtime),
    )
    log = RunLog(tmp_path / "log.jsonl", "align")
    log.on_train_begin(None, SimpleNamespace(global_step=0), None)
    for step in (1, 2):
        state = SimpleNamespace(is_world_process_zero=True, global_step=step, max_steps=3)
        log.on_log(None, state, None, {"loss": 0.5, "loss/type/detail": 0.25})
        lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        assert len(lines) == step
        assert lines[-1].pop("time").endswith("Z")
        assert lines[-1] == {
            "stage": "align",
            "step": step,
            "loss": 0.5,
            "loss/type/detail": 0.25,
            "seconds_left": {1: 8.0, 2: 4.0}[step],
        }
    other = SimpleNamespace(is_world_process_zero=False, global_step=3)
    log.on_log(None, other, None, {"loss": 0.5})
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


SHOWN = {
    "loss": 2.5,
    "lr/projector": 1e-3,
    "lr/language_model": 2e-5,
    "tokens_per_second": 12345.6,
    "mfu": 0.4512,
}


def test_progress_is_plain_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Made, began, then a line's own time and, where one is said, that of its pace.
    clock = iter([0.0, 0.0, 4.0, 11.0, 11.0, 12.0, 16.0, 16.0])
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    line = ProgressLine("align", Console(file=sys.stdout, width=200, highlight=False))
    state = SimpleNamespace(is_world_process_zero=True, global_step=0, max_steps=4)
    line.on_train_begin(None, state, None)
    for state.global_step in (1, 2, 3, 4):
        line.on_log(None, state, None, SHOWN)
    line.close()
    assert capsys.readouterr().out.splitlines() == [
        "  align 2/4  loss 2.5000  lr 1.00e-03  12,346 tokens/s  MFU 45%  11 s left",
        "  align 4/4  loss 2.5000  lr 1.00e-03  12,346 tokens/s  MFU 45%  0 s left",
    ]


def test_progress_moves_in_a_terminal_and_leaves_it_as_it_was() -> None:
    screen = io.StringIO()
    line = ProgressLine("align", Console(file=screen, width=120, force_terminal=True, color_system=None))
    state = SimpleNamespace(is_world_process_zero=True, global_step=0, max_steps=4)
    line.on_train_begin(None, state, None)
    state.global_step = 3
    line.on_log(None, state, None, {"loss": 2.5, "lr/projector": 1e-3})
    line.close()
    shown = screen.getvalue()
    assert "3/4 loss 2.5000  lr 1.00e-03" in shown
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert shown.count(hide) == shown.count(show) == 1


@pytest.mark.parametrize("packing", [True, False])
def test_a_line_says_how_much_of_the_step_was_work(root: Path, tmp_path: Path, packing: bool) -> None:
    ready = get_ready(root, max_steps=2, packing=packing)
    order = list(WeightedSampler(ready.data.prepared, ready.data_files, ready.recipe.seed))
    ready.train(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    for line, start in zip(lines, (0, 4), strict=True):
        indices = order[start : start + 4]
        useful = sum(ready.data.prepared[index].length for index in indices)
        batch = ready.collator([ready.data[index] for index in indices])
        positions = sum(micro_batch["input_ids"].numel() for micro_batch in batch["micro_batches"])
        assert (line["positions"], line["useful"]) == (positions, pytest.approx(useful / positions))
        assert (line["useful"] == 1.0) == packing
        assert useful / line["seconds"] < line["tokens_per_second"] < math.inf
        assert ("memory_gb" in line) == torch.cuda.is_available()


def test_operations_are_those_of_the_weights_that_multiply(root: Path) -> None:
    # Tower: 24 wide, 40 inside, 3 layers, patches of 8 x 8 x 3. Language model: 64 wide, 128 inside, 2
    # layers, 4 heads of 16, and 2 of keys and values.
    tower = 24 * 8 * 8 * 3 + 3 * (4 * 24 * 24 + 2 * 24 * 40)
    projector = 24 * 64 + 64 * 64
    language_model = 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128)
    ready = get_ready(root)
    head = ready.model.config.text_config.vocab_size * 64
    assert flops_per_position(ready.model) == {
        "vision_tower": 2 * tower,
        "projector": 6 * projector,
        "language_model": 6 * language_model,
        "head": 6 * head,
    }
    assert flops_per_position(get_ready(root, "align").model) == {
        "vision_tower": 2 * tower,
        "projector": 6 * projector,
        "language_model": 4 * language_model,
        "head": 4 * head,
    }
    adapted = get_ready(root, language_model="lora", lora={"rank": 4, "alpha": 8, "dropout": 0}).model
    # Adapters of rank 4 on q, k, v, o and the three of the MLP: in + out each.
    adapters = 2 * 4 * ((64 + 64) * 2 + (64 + 32) * 2 + (64 + 128) * 3)
    assert flops_per_position(adapted)["language_model"] == 4 * language_model + 6 * adapters


def test_tensorboard_has_the_curve_of_the_stage(root: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    get_ready(root, max_steps=3).train(tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard" / "finetune"))
    events.Reload()
    found = events.Scalars("train/loss")
    assert [event.step for event in found] == [1, 2, 3]
    assert [event.value for event in found] == pytest.approx([line["loss"] for line in curve(tmp_path)])
    assert "train/loss/type/conversation" in events.Tags()["scalars"]


def test_weights_and_biases_is_used_only_where_the_environment_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("WANDB_API_KEY", "k")
    assert not logs._has_wandb()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert logs._has_wandb()
    monkeypatch.delenv("WANDB_API_KEY")
    assert not logs._has_wandb()
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert logs._has_wandb()
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_API_KEY", "k")
    assert not logs._has_wandb()
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.delenv("WANDB_MODE")
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password k\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert not logs._has_wandb()
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert logs._has_wandb()


def test_stage_1_trains_the_projector_alone(root: Path, tmp_path: Path) -> None:
    ready = get_ready(root, "align", max_steps=3)
    before = {name: value.detach().clone() for name, value in ready.model.named_parameters()}
    done = ready.train(tmp_path)
    assert done.checkpoint is not None
    changed = {name for name, value in ready.model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == set(load_file(done.checkpoint / WEIGHTS))
    assert all("multi_modal_projector" in name for name in changed) and len(changed) == 4
    assert isinstance(ready.stage, StageConfig)
