"""A run that is killed and started again is the run that was not: its curve and its weights, bit for bit."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.kill_helpers import Process, Server, curve, run_processes, server, write_files
from train.checkpoint import WEIGHTS, newest_complete, read_record
from train.logs import cut_log

LORA = {"language_model": "lora", "lora": {"rank": 4, "alpha": 8, "dropout": 0.05}}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "align": ("align", {"max_steps": 10}),
    "full": ("finetune", {"max_steps": 10}),
    "lora": ("finetune", {"max_steps": 10, **LORA}),
}
BF16 = {"precision": "bf16", "gradient_checkpointing": True}


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server() as ready:
        yield ready


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


@dataclass
class Runs:
    """Runs of one kind, each in a folder of its own."""

    server: Server
    root: Path
    name: str
    changes: dict[str, Any]
    folder: Path

    def start(self, out: str, **how: Any) -> Process:
        return self.server.start(self.root, self.folder / out, self.name, **how, **self.changes)

    def finish(self, out: str) -> None:
        code = self.start(out).exit_code()
        assert code == 0, self.said(out)

    def said(self, out: str) -> str:
        return (self.folder / f"{out}.txt").read_text(encoding="utf-8")

    def checkpoint(self, out: str, step: int) -> Path:
        return self.folder / out / self.name / f"checkpoint-{step}"

    def result(self, out: str) -> tuple[list[dict[str, Any]], bytes, dict[str, Any]]:
        """The curve, the last weights' file, and how far the last checkpoint says the run has come."""
        last = newest_complete(self.folder / out / self.name)
        assert last is not None
        record = read_record(last).model_dump(exclude={"seconds"})
        return curve(self.folder / out), (last / WEIGHTS).read_bytes(), record


@pytest.fixture(scope="module")
def uninterrupted(running: Server, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs of a kind of which one, in `whole`, went through without a stop."""
    made: dict[str, Runs] = {}

    def make(kind: str, **more: Any) -> Runs:
        key = f"{kind} {sorted(more.items())}"
        if key not in made:
            name, changes = RUNS[kind]
            runs = Runs(running, root, name, changes | more, tmp_path_factory.mktemp(kind))
            runs.finish("whole")
            made[key] = runs
        return made[key]

    return make


def lines_of(out: Path) -> int:
    path = out / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("kind", RUNS)
def test_a_killed_run_ends_as_the_one_that_was_not(uninterrupted: Any, kind: str) -> None:
    runs = uninterrupted(kind)
    process = runs.start("killed")
    assert process.wait_for(lambda: lines_of(runs.folder / "killed") >= 6)
    process.kill()
    assert process.exit_code() == -signal.SIGKILL
    assert newest_complete(runs.folder / "killed" / runs.name) == runs.checkpoint("killed", 4)
    runs.finish("killed")
    assert runs.result("killed") == runs.result("whole")
    steps = [line["step"] for line in curve(runs.folder / "killed")]
    assert steps == list(range(1, 11))


@pytest.mark.parametrize("number", [1, 7, 8])
def test_a_run_killed_while_it_saves_leaves_no_checkpoint_and_goes_on(
    uninterrupted: Any, number: int
) -> None:
    runs = uninterrupted("lora")
    out = f"saving-{number}"
    # Six files, the marker, the folder, the folder it stands in: nine syncs for the checkpoint of step 4.
    assert runs.start(out, die_at_sync=9 + number).exit_code() == -signal.SIGKILL
    stage_folder = runs.folder / out / runs.name
    assert sorted(path.name for path in stage_folder.iterdir()) == [".writing-checkpoint-8", "checkpoint-4"]
    assert newest_complete(stage_folder) == stage_folder / "checkpoint-4"
    runs.finish(out)
    assert runs.result(out) == runs.result("whole")
    assert sorted(path.name for path in stage_folder.iterdir()) == ["checkpoint-10", "checkpoint-8"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_step_at_hand_and_the_run_goes_on_from_it(
    uninterrupted: Any, number: signal.Signals
) -> None:
    runs = uninterrupted("lora")
    out = f"stopped-{number.name}"
    process = runs.start(out)
    assert process.wait_for(lambda: lines_of(runs.folder / out) >= 5)
    process.kill(number)
    assert process.exit_code() == 130
    last = newest_complete(runs.folder / out / runs.name)
    assert last is not None
    record = read_record(last)
    assert last.name == f"checkpoint-{len(curve(runs.folder / out))}"
    assert 5 <= record.step < record.total_steps
    assert "Stopping once the step at hand is saved" in runs.said(out)
    runs.finish(out)
    assert runs.result(out) == runs.result("whole")


def test_a_torn_checkpoint_is_skipped_and_named(uninterrupted: Any) -> None:
    runs = uninterrupted("full")
    whole, torn = runs.folder / "whole", runs.folder / "torn"
    shutil.copytree(whole, torn)
    last = runs.checkpoint("torn", 10)
    (last / WEIGHTS).write_bytes((last / WEIGHTS).read_bytes()[:-1])
    runs.checkpoint("torn", 99).mkdir()
    runs.finish("torn")
    said = runs.said("torn")
    assert f"skipping a broken checkpoint: {runs.checkpoint('torn', 99)}: not complete" in said
    assert f"skipping a broken checkpoint: {last / WEIGHTS}: " in said
    assert runs.result("torn") == runs.result("whole")


def test_the_projector_is_in_every_checkpoint_and_moves(uninterrupted: Any) -> None:
    """A LoRA run of public trainers saves it at the end alone: what a resumed one trains on is not it."""
    runs = uninterrupted("lora")
    projector = "model.multi_modal_projector.linear_1.weight"
    held = [load_file(runs.checkpoint("whole", step) / WEIGHTS) for step in (8, 10)]
    assert all(projector in tensors for tensors in held)
    assert not torch.equal(held[0][projector], held[1][projector])
    assert {name for name in held[0] if "lora_" not in name} == {
        f"model.multi_modal_projector.linear_{layer}.{kind}"
        for layer in (1, 2)
        for kind in ("weight", "bias")
    }


def test_a_disk_that_fails_while_saving_costs_one_line_and_no_checkpoint(uninterrupted: Any) -> None:
    runs = uninterrupted("full")
    out, stage_folder = "full-disk", runs.folder / "full-disk" / runs.name
    shutil.copytree(runs.folder / "whole", runs.folder / out)
    shutil.rmtree(runs.checkpoint(out, 10))
    cut_log(runs.folder / out / "log.jsonl", runs.name, 8)
    before = sorted(path.name for path in stage_folder.iterdir())
    # The weights fit under this, the optimizer's state does not.
    limit = (runs.checkpoint(out, 8) / WEIGHTS).stat().st_size + 4096
    assert runs.start(out, largest_file=limit).exit_code() == 1
    last_line = runs.said(out).splitlines()[-1]
    assert last_line == (
        f"InputError: {stage_folder}: the checkpoint could not be written (the disk took only a part of a "
        "file); those before it are untouched. Make room and run the same command again"
    )
    assert sorted(path.name for path in stage_folder.iterdir()) == before
    runs.finish(out)
    assert runs.result(out) == runs.result("whole")


@pytest.mark.slow
def test_two_processes_train_as_one_does_and_go_on_exactly(root: Path, tmp_path: Path) -> None:
    run_processes(1, root, tmp_path / "one", max_steps=10)
    run_processes(2, root, tmp_path / "two", max_steps=10, micro_batch_size=1)
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    for alone, together in zip(one, two, strict=True):
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-4)
        assert [together[key] for key in ("samples", "tokens")] == [
            alone[key] for key in ("samples", "tokens")
        ]
    # From step 8, in the second epoch.
    before = (tmp_path / "two" / "finetune" / "checkpoint-10" / WEIGHTS).read_bytes()
    shutil.rmtree(tmp_path / "two" / "finetune" / "checkpoint-10")
    run_processes(2, root, tmp_path / "two", max_steps=10, micro_batch_size=1)
    assert curve(tmp_path / "two") == two
    assert (tmp_path / "two" / "finetune" / "checkpoint-10" / WEIGHTS).read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("packing", [True, False])
def test_processes_without_a_sample_of_the_last_step_wait_for_those_with_one(
    root: Path, tmp_path: Path, packing: bool
) -> None:
    """An epoch of 18 ends in a step of 2; rows, and so passes, differ in number besides."""
    changes: dict[str, Any] = {"epochs": 2, "global_batch_size": 8, "max_length": 160, "packing": packing}
    run_processes(1, root, tmp_path / "one", **changes)
    run_processes(4, root, tmp_path / "four", **changes)
    one, four = curve(tmp_path / "one"), curve(tmp_path / "four")
    assert [line["samples"] for line in one] == [8, 16, 18, 26, 34, 36]
    for alone, together in zip(one, four, strict=True):
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-4)
        assert together["grad_norm"] == pytest.approx(alone["grad_norm"], rel=1e-3)
        assert [together[key] for key in ("samples", "tokens")] == [
            alone[key] for key in ("samples", "tokens")
        ]


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, BF16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("kind", RUNS)
def test_runs_killed_at_many_moments_end_as_the_one_that_was_not(
    uninterrupted: Any, kind: str, more: dict[str, Any]
) -> None:
    runs = uninterrupted(kind, **more)
    chance = random.Random(f"{kind} {more}")
    for trial in range(4):
        out = f"many-{trial}"
        for _ in range(3):
            process = runs.start(out)
            already = lines_of(runs.folder / out)
            lines = already + chance.randrange(0, 6)
            moments = chance.random() * 0.05
            process.wait_for(lambda lines=lines, out=out: lines_of(runs.folder / out) >= lines)
            signal.sigtimedwait([], moments)
            process.kill(chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            process.exit_code()
        runs.finish(out)
        assert runs.result(out) == runs.result("whole")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 28))
def test_a_run_killed_at_any_sync_of_a_checkpoint_ends_as_the_one_that_was_not(
    uninterrupted: Any, number: int
) -> None:
    runs = uninterrupted("align")
    out = f"sync-{number}"
    assert runs.start(out, die_at_sync=number).exit_code() == -signal.SIGKILL
    runs.finish(out)
    assert runs.result(out) == runs.result("whole")
