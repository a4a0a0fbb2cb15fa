"""A checkpoint is whole or refused, and is never taken for one of another run."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from train import checkpoint
from train.checkpoint import (
    MARKER,
    RECORD,
    WEIGHTS,
    DataRecord,
    Draft,
    RunRecord,
    check_same_processes,
    check_same_run,
    clear_drafts,
    draft_folder,
    hash_data,
    load_optimizer_part,
    load_projector,
    load_weights,
    newest_complete,
    read_record,
    rotate,
    save_optimizer_part,
    save_weights,
    verify,
)
from train.config import ModelConfig, Recipe, StageConfig, StageName
from train.records import InputError

RECIPE = Recipe(
    description="a test",
    model=ModelConfig(language_model="a", vision_tower="b"),
    align=StageConfig(
        format="plain", language_model="frozen", learning_rate=1e-3, global_batch_size=4, micro_batch_size=2
    ),
    finetune=StageConfig(format="vicuna_v1", learning_rate=1e-3, global_batch_size=4, micro_batch_size=2),
)
DATA = [DataRecord(path="/data/a.json", weight=1.0, sha256="a" * 64)]


def record(step: int, stage: StageName = "align", recipe: Recipe = RECIPE) -> RunRecord:
    return RunRecord(
        stage=stage,
        step=step,
        total_steps=9,
        recipe=recipe.model_dump(mode="json"),
        data=DATA,
        parts=[],
        versions={"vitkit": "0.1"},
    )


def write(stage_folder: Path, step: int) -> Path:
    """A complete checkpoint with two files, one in a folder of its own."""
    with Draft(stage_folder, step) as draft:
        (draft.folder / WEIGHTS).write_bytes(b"weights of %d" % step)
        (draft.folder / "shards").mkdir()
        (draft.folder / "shards" / "0.pt").write_bytes(b"state")
        return draft.publish(record(step))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


class Tiny(torch.nn.Module):
    """Parameters with a LLaVA's names."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def linear() -> Any:
            layer = torch.nn.Linear(2, 2, bias=False)
            layer.weight.data = torch.randn(2, 2, generator=generator)
            return layer

        self.model = torch.nn.ModuleDict(
            {
                "vision_tower": linear(),
                "multi_modal_projector": torch.nn.ModuleDict({"linear_1": linear(), "linear_2": linear()}),
                "language_model": linear(),
            }
        )
        self.lm_head = linear()


def trains(model: Tiny, *parts: str) -> Tiny:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in parts))
    return model


def state(model: Tiny) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


# Weights


def test_a_checkpoint_holds_what_trains_and_the_projector_frozen_or_not(tmp_path: Path) -> None:
    model = trains(Tiny(), "lm_head", "linear_1")
    save_weights(model, tmp_path)
    held = load_file(tmp_path / WEIGHTS)
    wanted = {
        name: value
        for name, value in state(model).items()
        if name.startswith(("lm_head", "model.multi_modal_projector"))
    }
    assert held.keys() == wanted.keys()
    assert all(torch.equal(held[name], wanted[name]) for name in wanted)


def test_weights_come_back_and_the_others_stay(tmp_path: Path) -> None:
    saved, other = trains(Tiny(1), "lm_head", "projector"), trains(Tiny(2), "lm_head", "projector")
    save_weights(saved, tmp_path)
    before = state(other)
    load_weights(other, tmp_path)
    for name, value in state(other).items():
        kept = "lm_head" in name or "projector" in name
        assert torch.equal(value, state(saved)[name] if kept else before[name])


def test_the_projector_alone_comes_from_a_checkpoint_of_another_stage(tmp_path: Path) -> None:
    saved, other = trains(Tiny(1), "lm_head", "projector"), trains(Tiny(2), "language_model")
    save_weights(saved, tmp_path)
    before = state(other)
    load_projector(other, tmp_path)
    for name, value in state(other).items():
        assert torch.equal(value, state(saved)[name] if "projector" in name else before[name])


HEAD = "lm_head.weight"
PROJECTOR = "model.multi_modal_projector.linear_1.weight"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({HEAD: None}, f"has no {HEAD}, which this stage trains"),
        ({PROJECTOR: None}, f"has no {PROJECTOR}, which this stage trains"),
        ({"extra": torch.ones(1)}, "has extra, which this stage does not train"),
        ({HEAD: torch.ones(2, 3)}, f"{HEAD} is [2, 3], this model's is [2, 2]"),
        ({HEAD: torch.ones(2, 2, dtype=torch.bfloat16)}, f"{HEAD} is BF16, this model's is F32"),
    ],
)
def test_weights_that_are_not_exactly_the_models_are_refused_and_change_nothing(
    tmp_path: Path, change: dict[str, torch.Tensor | None], problem: str
) -> None:
    model = trains(Tiny(), "lm_head", "projector")
    save_weights(trains(Tiny(1), "lm_head", "projector"), tmp_path)
    tensors = {**load_file(tmp_path / WEIGHTS), **change}
    save_file({name: value for name, value in tensors.items() if value is not None}, tmp_path / WEIGHTS)
    before = state(model)
    with pytest.raises(InputError) as error:
        load_weights(model, tmp_path)
    assert refused(error) == f"{tmp_path / WEIGHTS}: {problem}"
    assert all(torch.equal(value, before[name]) for name, value in state(model).items())


def test_a_torn_weights_file_is_refused_in_one_line(tmp_path: Path) -> None:
    model = trains(Tiny(), "lm_head")
    with pytest.raises(InputError) as error:
        load_weights(model, tmp_path)
    assert refused(error) == f"{tmp_path / WEIGHTS}: no such file"
    (tmp_path / WEIGHTS).write_bytes(b"\x00" * 7)
    with pytest.raises(InputError) as error:
        load_weights(model, tmp_path)
    assert refused(error).startswith(f"{tmp_path / WEIGHTS}: not readable as safetensors (")


# Folders


def test_a_published_checkpoint_is_complete_and_says_what_it_is_of(tmp_path: Path) -> None:
    folder = write(tmp_path, 3)
    assert folder == tmp_path / "checkpoint-3"
    assert names(tmp_path) == ["checkpoint-3"]
    verify(folder)
    assert read_record(folder) == record(3)
    assert json.loads((folder / MARKER).read_text())["files"].keys() == {WEIGHTS, RECORD, "shards/0.pt"}
    assert newest_complete(tmp_path) == folder


def test_a_shared_optimizer_is_published_with_the_parts_of_all_processes_only(tmp_path: Path) -> None:
    shared = record(3).model_copy(update={"processes": 2, "zero": 2})
    with Draft(tmp_path, 3) as draft:
        (draft.folder / WEIGHTS).write_bytes(b"weights")
        save_optimizer_part({"rate": 0.5}, draft.folder, 0)
        with pytest.raises(InputError) as caught:
            draft.publish(shared)
        assert refused(caught) == (
            f"{draft.folder / 'optimizer-1.pt'}: process 1's part of the optimizer is not there, so this is "
            "no checkpoint; every node needs the same --out, on a file system that they share"
        )
        assert not (draft.folder / MARKER).exists()
        save_optimizer_part({"rate": 0.25}, draft.folder, 1)
        folder = draft.publish(shared)
    assert [load_optimizer_part(folder, process) for process in (0, 1)] == [{"rate": 0.5}, {"rate": 0.25}]
    with pytest.raises(InputError) as caught:
        load_optimizer_part(folder, 2)
    assert refused(caught) == (
        f"{folder / 'optimizer-2.pt'}: process 2's part of the optimizer is not there; every node needs the "
        "same --out"
    )


def test_a_draft_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="planted"), Draft(tmp_path, 3) as draft:
        (draft.folder / WEIGHTS).write_bytes(b"half")
        assert newest_complete(tmp_path) is None
        raise RuntimeError("planted")
    assert names(tmp_path) == []


def test_a_checkpoint_takes_the_place_of_a_broken_one_of_its_step(tmp_path: Path) -> None:
    folder = write(tmp_path, 3)
    (folder / WEIGHTS).write_bytes(b"torn")
    assert newest_complete(tmp_path) is None
    write(tmp_path, 3)
    assert names(tmp_path) == ["checkpoint-3"]
    assert (folder / WEIGHTS).read_bytes() == b"weights of 3"
    verify(folder)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: (f / MARKER).unlink(), f": not complete, it has no {MARKER}"),
        (lambda f: (f / MARKER).write_text('{"files": {'), f": not complete, its {MARKER} is torn"),
        (lambda f: os.truncate(f / WEIGHTS, 5), f"/{WEIGHTS}: 5 bytes, 12 were written"),
        (
            lambda f: (f / WEIGHTS).write_bytes(b"weights_of_3"),
            f"/{WEIGHTS}: not the bytes that were written",
        ),
        (
            lambda f: (f / "shards" / "0.pt").unlink(),
            "/shards/0.pt: cannot be read (No such file or directory)",
        ),
    ],
)
def test_a_broken_checkpoint_is_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any, problem: str
) -> None:
    write(tmp_path, 2)
    broken = write(tmp_path, 3)
    damage(broken)
    with pytest.raises(InputError) as error:
        verify(broken)
    assert refused(error) == f"{broken}{problem}"
    with caplog.at_level(logging.WARNING):
        assert newest_complete(tmp_path) == tmp_path / "checkpoint-2"
    assert caplog.messages == [f"skipping a broken checkpoint: {broken}{problem}"]


def test_the_newest_is_by_step_and_other_names_are_no_checkpoints(tmp_path: Path) -> None:
    assert newest_complete(tmp_path / "nothing") is None
    for step in (10, 9, 2):
        write(tmp_path, step)
    shutil.copytree(tmp_path / "checkpoint-9", tmp_path / "checkpoint-11.bak")
    shutil.copytree(tmp_path / "checkpoint-9", draft_folder(tmp_path, 12))
    assert newest_complete(tmp_path) == tmp_path / "checkpoint-10"


def test_what_a_dead_process_was_writing_is_removed(tmp_path: Path) -> None:
    write(tmp_path, 2)
    program = (
        "import os, sys; from pathlib import Path; from train.checkpoint import Draft\n"
        "Draft(Path(sys.argv[1]), 3).__enter__(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert names(tmp_path) == [".writing-checkpoint-3", "checkpoint-2"]
    clear_drafts(tmp_path)
    assert names(tmp_path) == ["checkpoint-2"]


def test_what_a_living_process_is_writing_is_not_removed(tmp_path: Path) -> None:
    with Draft(tmp_path, 3) as draft:
        for another in (lambda: clear_drafts(tmp_path), lambda: Draft(tmp_path, 3).__enter__()):
            with pytest.raises(InputError) as error:
                another()
            assert refused(error) == (
                f"{tmp_path}: another process is saving a checkpoint there; "
                "wait for it, or give another --out"
            )
        assert draft.folder.is_dir()


def test_rotation_keeps_the_newest_complete_ones(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        write(tmp_path, step)
    (tmp_path / "checkpoint-3" / MARKER).unlink()
    (tmp_path / "checkpoint-7").mkdir()
    rotate(tmp_path, newest=4, keep=2)
    # 3 does not count, being broken; 7, broken too and of a later step, takes nobody's place.
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-4", "checkpoint-7"]
    rotate(tmp_path, newest=4, keep=1)
    assert names(tmp_path) == ["checkpoint-4", "checkpoint-7"]


def test_nothing_is_deleted_before_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 1)
    events: list[str] = []

    def noted(what: str, function: Any) -> Any:
        def run(path: Path, **how: Any) -> None:
            events.append(f"{what} {path.name}")
            function(path, **how)

        return run

    monkeypatch.setattr(checkpoint, "_sync", noted("sync", checkpoint._sync))
    monkeypatch.setattr(shutil, "rmtree", noted("remove", shutil.rmtree))
    write(tmp_path, 2)
    rotate(tmp_path, newest=2, keep=1)
    # The marker after all that it vouches for, the folders after what is in them, the old one last.
    assert events == [
        "remove checkpoint-2",
        f"sync {RECORD}",
        "sync 0.pt",
        f"sync {WEIGHTS}",
        f"sync {MARKER}",
        "sync checkpoint-2",
        "sync shards",
        f"sync {tmp_path.name}",
        "remove .writing-checkpoint-2",
        "remove checkpoint-1",
    ]


# Which run


def test_the_same_run_is_recognised(tmp_path: Path) -> None:
    check_same_run(record(3), RECIPE, DATA, tmp_path)
    assert RECIPE.align is not None and RECIPE.finetune is not None
    free = RECIPE.align.model_copy(update={"save_steps": 7, "keep_checkpoints": 9, "max_left_out": 0.5})
    check_same_run(record(3), RECIPE.model_copy(update={"align": free, "workers": 0}), DATA, tmp_path)
    moved = [DATA[0].model_copy(update={"path": "/elsewhere/b.json"})]
    check_same_run(record(3), RECIPE, moved, tmp_path)


def test_a_later_stage_may_change_and_an_earlier_one_may_not(tmp_path: Path) -> None:
    assert RECIPE.align is not None and RECIPE.finetune is not None
    later = RECIPE.model_copy(update={"finetune": RECIPE.finetune.model_copy(update={"learning_rate": 1e-5})})
    check_same_run(record(3, "align"), later, DATA, tmp_path)
    check_same_run(record(3, "align"), RECIPE.model_copy(update={"finetune": None}), DATA, tmp_path)
    earlier = RECIPE.model_copy(update={"align": RECIPE.align.model_copy(update={"learning_rate": 1e-5})})
    with pytest.raises(InputError) as error:
        check_same_run(record(3, "finetune"), earlier, DATA, tmp_path)
    assert refused(error) == (
        f"{tmp_path} is of another run (align.learning_rate: 1e-05 here, 0.001 there): give another --out, "
        "or that run's recipe and data"
    )


def test_another_recipe_or_other_data_is_refused_with_the_first_differences(tmp_path: Path) -> None:
    assert RECIPE.align is not None
    stage = RECIPE.align.model_copy(
        update={"learning_rate": 1.0, "epochs": 2.0, "max_length": 9, "precision": "fp32"}
    )
    with pytest.raises(InputError) as error:
        check_same_run(record(3), RECIPE.model_copy(update={"align": stage, "seed": 1}), DATA, tmp_path)
    assert refused(error) == (
        f"{tmp_path} is of another run (align.epochs: 2.0 here, 1.0 there; align.learning_rate: 1.0 here, "
        "0.001 there; align.max_length: 9 here, 2048 there and 2 more): give another --out, or that run's "
        "recipe and data"
    )
    for other in ({"sha256": "b" * 64}, {"weight": 2.0}):
        with pytest.raises(InputError) as error:
            check_same_run(record(3), RECIPE, [DATA[0].model_copy(update=other)], tmp_path)
        assert "align data: a.json:" in refused(error)


@pytest.mark.parametrize(
    ("then", "now", "says"),
    [
        ((1, 0), (4, 0), None),
        ((2, 3), (2, 3), None),
        ((2, 3), (4, 3), "2 processes under ZeRO-3, and here is that of 4 processes under ZeRO-3"),
        ((2, 3), (2, 2), "2 processes under ZeRO-3, and here is that of 2 processes under ZeRO-2"),
        ((1, 0), (2, 2), "1 process without DeepSpeed, and here is that of 2 processes under ZeRO-2"),
    ],
)
def test_an_optimizer_that_was_shared_goes_on_in_as_many_processes(
    monkeypatch: pytest.MonkeyPatch, then: tuple[int, int], now: tuple[int, int], says: str | None
) -> None:
    """Pairs are (processes, ZeRO's stage). What each process has whole, any number can go on with."""
    before = record(4).model_copy(update={"processes": then[0], "zero": then[1]})
    monkeypatch.setenv("WORLD_SIZE", str(now[0]))
    folder = Path("run/align/checkpoint-4")
    if says is None:
        check_same_processes(before, now[1], folder)
        return
    with pytest.raises(InputError) as error:
        check_same_processes(before, now[1], folder)
    assert refused(error) == (
        f"{folder} holds the optimizer of {says}: start as many processes as it had, or give another --out"
    )


def test_a_record_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_record(tmp_path)
    assert refused(error).startswith(f"{tmp_path / RECORD}: cannot be read (No such file or directory)")
    (tmp_path / RECORD).write_text(record(3).model_dump_json().replace('"step":3', '"step":"x"'))
    with pytest.raises(InputError) as error:
        read_record(tmp_path)
    assert refused(error).startswith(f"{tmp_path / RECORD}: step: Input should be a valid integer")


@dataclass
class File:
    path: Path
    weight: float


def test_data_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"abc")
    assert hash_data([File(path, 0.5)]) == [
        DataRecord(
            path=str(path),
            weight=0.5,
            sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        )
    ]
    with pytest.raises(InputError) as error:
        hash_data([File(tmp_path / "b.json", 1)])
    assert refused(error) == f"{tmp_path / 'b.json'}: cannot be read (No such file or directory)"
