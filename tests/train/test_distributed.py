"""Processes that train together: what one learns, however they share the work, and no rank waits for ever."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.kill_helpers import FILES, STAGES, Server, curve, get_ready, server, write_files
from train.checkpoint import WEIGHTS, newest_complete, read_record, step_of
from train.config import StageConfig
from train.dataset import WeightedSampler
from train.records import InputError
from train.zero import Sharing, check_deepspeed, configuration_names, read_configuration, sharing

LORA: dict[str, Any] = {"language_model": "lora", "lora": {"rank": 4, "alpha": 8, "dropout": 0.0}}
DDP: dict[str, Any] = {}
ZERO2, ZERO3 = ({"deepspeed": name} for name in ("zero2", "zero3"))
WAYS = {"ddp": DDP, "zero2": ZERO2, "zero3": ZERO3}


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server() as ready:
        yield ready


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


def train(running: Server, count: int, root: Path, out: Path, name: str = "finetune", **changes: Any) -> None:
    """So many processes, to the end; 0 is one that nothing launched."""
    if count:
        processes = running.start_together(count, root, out, name, **changes)
    else:
        processes = [running.start(root, out, name, **changes)]
    codes = [process.exit_code() for process in processes]
    assert codes == [0] * len(processes), said(out)


def said(out: Path) -> str:
    return Path(f"{out}.txt").read_text(encoding="utf-8")


def weights(out: Path, name: str = "finetune") -> dict[str, torch.Tensor]:
    last = newest_complete(out / name)
    assert last is not None
    return load_file(last / WEIGHTS)


def assert_same(ours: Path, theirs: Path, *names: str, loss: float = 1e-5, weight: float = 1e-5) -> None:
    """Curve and weights, within rounding."""
    mine, other = curve(ours), curve(theirs)
    for here, there in zip(mine, other, strict=True):
        for key in ("stage", "step", "samples", "tokens", *(key for key in there if key.startswith("lr/"))):
            assert here[key] == there[key]
        assert here.keys() == there.keys()
        for key in ("loss", *(key for key in there if key.startswith("loss/"))):
            assert here[key] == pytest.approx(there[key], rel=loss), (key, here["step"])
        assert here["grad_norm"] == pytest.approx(there["grad_norm"], rel=10 * loss)
    for name in names or ("finetune",):
        found, expected = weights(ours, name), weights(theirs, name)
        assert found.keys() == expected.keys()
        for key, value in found.items():
            if key.endswith("k_proj.bias"):
                continue  # softmax does not see it: its gradient is rounding alone, which Adam blows up
            torch.testing.assert_close(value, expected[key], rtol=0, atol=weight, msg=key)


# The same as one process


@pytest.fixture(scope="module")
def split_root(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples that two processes are dealt so that the second has text alone, and the first images."""
    folder = tmp_path_factory.mktemp("split")
    write_files(folder)
    records = {name: json.loads((folder / name).read_text())[:4] for name in FILES}
    for name in FILES:
        (folder / name).write_text(json.dumps(records[name]))
    ready = get_ready(folder)
    order = list(WeightedSampler(ready.data.prepared, ready.data_files, ready.recipe.seed))
    for place, index in enumerate(order):
        sample = ready.data.prepared[index].sample
        record = records[Path(sample.file).name][sample.record]
        question = record["conversations"][0]
        question["value"] = question["value"].removeprefix("<image>\n")
        record.pop("image", None)
        if place % 2 == 0:
            question["value"] = "<image>\n" + question["value"]
            record["image"] = f"{index % 6}.png"
    for name in FILES:
        (folder / name).write_text(json.dumps(records[name]))
    return folder


@pytest.fixture(scope="module")
def split_alone(running: Server, split_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "out"
    train(running, 0, split_root, out, epochs=1, global_batch_size=2)
    return out


@pytest.mark.parametrize("way", WAYS)
def test_a_process_with_text_alone_does_not_keep_one_with_images_waiting(
    running: Server, split_root: Path, split_alone: Path, tmp_path: Path, way: str
) -> None:
    changes = {"epochs": 1, "global_batch_size": 2, "gradient_checkpointing": True, **WAYS[way]}
    train(running, 2, split_root, tmp_path / "two", **changes)
    lines = curve(tmp_path / "two")
    assert [line["samples"] for line in lines] == [2, 4, 6]
    assert {line["processes"] for line in lines} == {2}
    assert_same(tmp_path / "two", split_alone)


@pytest.fixture(scope="module")
def both_alone(running: Server, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("both") / "out"
    train(running, 0, root, out, "align+finetune", max_steps=6)
    return out


@pytest.mark.slow
def test_two_stages_in_processes_that_share_the_weights_are_those_of_one(
    running: Server, root: Path, both_alone: Path, tmp_path: Path
) -> None:
    """Nothing of the first stage's DeepSpeed is left in the second; an epoch ends in a step of 2 samples."""
    train(running, 2, root, tmp_path / "two", "align+finetune", max_steps=6, **ZERO3)
    assert_same(tmp_path / "two", both_alone, "align", "finetune")


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 2], ids=["alone", "two"])
def test_a_stage_without_deepspeed_after_one_with_it_has_none(
    running: Server, root: Path, both_alone: Path, tmp_path: Path, count: int
) -> None:
    name = "align:zero3_offload+finetune"
    train(running, count, root, tmp_path / "out", name, max_steps=6)
    zeros = [read_record(tmp_path / "out" / stage / "checkpoint-6").zero for stage in ("align", "finetune")]
    assert zeros == [3, 0]
    assert_same(tmp_path / "out", both_alone, "align", "finetune")


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "align": ("align", {}),
    "full": ("finetune", {}),
    "lora": ("finetune", LORA),
    "padded": ("finetune", {"packing": False, "micro_batch_size": 1}),
    "tower": ("finetune", {"vision_tower_learning_rate": 1e-3, "gradient_checkpointing": True}),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_processes_learn_what_one_does(running: Server, root: Path, tmp_path: Path, kind: str) -> None:
    name, changes = KINDS[kind]
    changes = {"max_steps": 10, **changes}
    train(running, 0, root, tmp_path / "alone", name, **changes)
    for way, more in WAYS.items():
        train(running, 2, root, tmp_path / way, name, **changes, **more)
        assert_same(tmp_path / way, tmp_path / "alone", name)


@pytest.mark.slow
def test_bf16_under_zero_2_is_that_of_ddp_to_the_bit(running: Server, root: Path, tmp_path: Path) -> None:
    """Weights in float32, gradients added up and averaged in float32; autocast in between."""
    changes: dict[str, Any] = {"max_steps": 6, "precision": "bf16", "gradient_checkpointing": True}
    train(running, 2, root, tmp_path / "ddp", **changes)
    train(running, 2, root, tmp_path / "zero2", **changes, **ZERO2)
    train(running, 2, root, tmp_path / "zero3", **changes, **ZERO3)
    assert [line["loss"] for line in curve(tmp_path / "zero2")] == [
        line["loss"] for line in curve(tmp_path / "ddp")
    ]
    assert_same(tmp_path / "zero3", tmp_path / "ddp", loss=3e-2, weight=0.1)
    for way in ("ddp", "zero2", "zero3"):
        assert {value.dtype for value in weights(tmp_path / way).values()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 2], ids=["alone", "two"])
@pytest.mark.parametrize("name", ["zero2_offload", "zero3_offload"])
def test_an_optimizer_on_the_cpu_learns_the_same(
    running: Server, root: Path, both_alone: Path, tmp_path: Path, name: str, count: int
) -> None:
    train(running, count, root, tmp_path / "out", "align+finetune", max_steps=6, deepspeed=name)
    assert read_record(tmp_path / "out/finetune/checkpoint-6").zero == int(name[4])
    assert_same(tmp_path / "out", both_alone, "align", "finetune")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zero2_offload", "zero3_offload"])
def test_gradients_of_several_passes_are_added_up_on_the_cpu(
    running: Server, root: Path, tmp_path: Path, name: str
) -> None:
    """Two passes a step in each process, four alone."""
    changes: dict[str, Any] = {"max_steps": 6, "packing": False, "micro_batch_size": 1}
    train(running, 0, root, tmp_path / "alone", **changes)
    train(running, 2, root, tmp_path / "two", **changes, deepspeed=name)
    assert_same(tmp_path / "two", tmp_path / "alone")


@pytest.mark.slow
def test_adapters_in_bf16_under_zero_3_learn_what_they_do_under_ddp(
    running: Server, root: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"max_steps": 6, "precision": "bf16", "gradient_checkpointing": True, **LORA}
    train(running, 2, root, tmp_path / "ddp", **changes)
    train(running, 2, root, tmp_path / "zero3", **changes, **ZERO3)
    assert_same(tmp_path / "zero3", tmp_path / "ddp", loss=3e-2, weight=0.1)
    assert {value.dtype for value in weights(tmp_path / "zero3").values()} == {torch.float32}


# Checkpoints


@pytest.mark.slow
@pytest.mark.parametrize("way", ["zero2", "zero3"])
def test_a_signal_to_one_process_stops_all_and_they_go_on_exactly(
    running: Server, root: Path, tmp_path: Path, way: str
) -> None:
    changes = {
        "max_steps": 8,
        "save_steps": 100,
        **LORA,
        "lora": {**LORA["lora"], "dropout": 0.1},
        **WAYS[way],
    }
    train(running, 2, root, tmp_path / "whole", **changes)
    out, log = tmp_path / "stopped", tmp_path / "stopped" / "log.jsonl"
    main, other = running.start_together(2, root, out, "finetune", **changes)
    assert other.wait_for(lambda: log.exists() and log.read_bytes().count(b"\n") >= 2)
    other.kill(signal.SIGTERM)
    assert [process.exit_code() for process in (main, other)] == [130, 130]
    last = newest_complete(out / "finetune")
    assert last is not None
    record = read_record(last)
    assert (2 <= record.step < 6) and record.step == step_of(last)
    assert (record.processes, record.zero) == (2, int(way[-1]))
    # The weights once, and of the optimizer each process's part.
    assert sorted(path.name for path in last.iterdir()) == [
        *("complete.json", "optimizer-0.pt", "optimizer-1.pt", "record.json", "rng_state_0.pth"),
        *("rng_state_1.pth", "scheduler.pt", "trained.safetensors", "trainer_state.json"),
    ]
    # Its parts cannot be put together for another number of processes, or in another way.
    alone = running.start(root, out, "finetune", **changes)
    assert alone.exit_code() == 1
    assert said(out).splitlines()[-1] == (
        f"InputError: {last} holds the optimizer of 2 processes under ZeRO-{way[-1]}, and here is that of 1 "
        "process without DeepSpeed: start as many processes as it had, or give another --out"
    )
    train(running, 2, root, out, **changes)
    assert curve(out) == curve(tmp_path / "whole")
    assert all(torch.equal(value, weights(out)[key]) for key, value in weights(tmp_path / "whole").items())


@pytest.mark.slow
def test_processes_that_share_nothing_may_change_in_number(
    running: Server, root: Path, both_alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    changes: dict[str, Any] = {"max_steps": 6, "save_steps": 3}
    train(running, 2, root, out, **changes)
    last = out / "finetune" / "checkpoint-6"
    last.rename(last.with_name("put-aside"))
    train(running, 0, root, out, **changes)
    assert [line["processes"] for line in curve(out)] == [2, 2, 2, 1, 1, 1]
    whole = [line["loss"] for line in curve(both_alone) if line["stage"] == "finetune"]
    assert [line["loss"] for line in curve(out)] == pytest.approx(whole, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_loss_that_is_not_finite_stops_all_processes_and_is_in_no_checkpoint(
    running: Server, root: Path, tmp_path: Path, way: str
) -> None:
    changes = {"learning_rate": 1e30, "warmup_ratio": 0, "save_steps": 1, **WAYS[way]}
    processes = running.start_together(2, root, tmp_path / "out", "finetune", **changes)
    assert [process.exit_code() for process in processes] == [1, 1]
    lines = {line for line in said(tmp_path / "out").splitlines() if line.startswith("InputError")}
    samples = {line.partition(", on samples ")[2].partition(";")[0] for line in lines}
    assert len(samples) == 1 and len(samples.pop().split(", ")) == 4  # of both processes
    newest = newest_complete(tmp_path / "out" / "finetune")
    assert newest is not None and step_of(newest) == len(curve(tmp_path / "out"))
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "out").values())


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_frozen_weight_that_changes_in_one_process_is_named(
    running: Server, root: Path, tmp_path: Path, way: str
) -> None:
    processes = running.start_together(
        2, root, tmp_path / "out", "align", max_steps=2, spoil_in_process=1, **WAYS[way]
    )
    assert 1 in [process.exit_code() for process in processes]
    assert "lm_head.weight is frozen, but its weights changed; nothing is saved" in said(tmp_path / "out")
    assert list((tmp_path / "out" / "align").glob("checkpoint-*")) == []


# Configurations


def stage(**changes: Any) -> StageConfig:
    return StageConfig.model_validate(STAGES["finetune"].model_dump() | changes)


def in_processes(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(count))


def test_the_shipped_configurations_share_what_their_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configuration_names() == ["zero2", "zero2_offload", "zero3", "zero3_offload"]
    nothing = Sharing(0, offload_optimizer=False, offload_weights=False)
    shared = {
        None: nothing,
        "zero2": Sharing(2, offload_optimizer=False, offload_weights=False),
        "zero2_offload": Sharing(2, offload_optimizer=True, offload_weights=False),
        "zero3": Sharing(3, offload_optimizer=False, offload_weights=False),
        "zero3_offload": Sharing(3, offload_optimizer=True, offload_weights=True),
    }
    in_processes(monkeypatch, 2)
    assert {name: sharing(stage(deepspeed=name)) for name in shared} == shared
    in_processes(monkeypatch, 1)
    # Alone, a process shares with nobody, but may put on the CPU what its GPU does not hold.
    assert {name: sharing(stage(deepspeed=name)) for name in shared} == shared | {
        "zero2": nothing,
        "zero3": nothing,
    }


def test_the_recipe_owns_batch_precision_and_clipping(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(
        json.dumps(
            {
                "train_batch_size": "auto",
                "gradient_clipping": "auto",
                "fp16": {"enabled": "auto", "loss_scale": 0},
                "bf16": {"enabled": False},
                "zero_optimization": {"stage": 1, "reduce_bucket_size": 7},
                "communication_data_type": "fp32",
            }
        )
    )
    for precision in ("bf16", "fp32"):
        config = read_configuration(stage(deepspeed=str(own), precision=precision), "finetune")
        assert config is not None
        assert config["zero_optimization"] == {"stage": 1, "reduce_bucket_size": 7}
        assert config["communication_data_type"] == "fp32"
        assert config["bf16"] == config["fp16"] == {"enabled": False}
        assert config["torch_autocast"]["enabled"] == (precision == "bf16")
        assert config["data_types"] == {"grad_accum_dtype": "fp32"}
        assert {config[key] for key in ("train_batch_size", "gradient_accumulation_steps")} == {"auto"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON (Expecting property name"),
        ("[]", 'says nothing of {"zero_optimization": {"stage": 1, 2 or 3}}'),
        ('{"zero_optimization": {"stage": 0}}', "says nothing of"),
        (
            '{"zero_optimization": {"stage": 2}, "optimizer": {}}',
            "has a section 'optimizer': the recipe says",
        ),
        (
            '{"zero_optimization": {"stage": 2}, "scheduler": {}}',
            "has a section 'scheduler': the recipe says",
        ),
        (
            '{"zero_optimization": {"stage": 2}, "train_micro_batch_size_per_gpu": 4}',
            "sets train_micro_batch_size_per_gpu: that is finetune.micro_batch_size of the recipe; leave it",
        ),
        (
            '{"zero_optimization": {"stage": 2}, "gradient_clipping": 1.0}',
            "sets gradient_clipping: that is finetune.max_grad_norm of the recipe; leave it out",
        ),
        (
            '{"zero_optimization": {"stage": 2}, "bf16": {"enabled": true}}',
            "sets bf16: that is finetune.precision of the recipe; leave it out",
        ),
        (
            '{"zero_optimization": {"stage": 2}, "data_types": {"grad_accum_dtype": "bf16"}}',
            "sets data_types: that is finetune.precision of the recipe",
        ),
        (
            '{"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme"}}}',
            "offload_param to nvme is not done here: cpu is",
        ),
        (
            '{"zero_optimization": {"stage": 2, "bucket": 7}}',
            "zero_optimization.bucket: Extra inputs are not permitted",
        ),
        (
            '{"zero_optimization": {"stage": 2}, "tensor_parallel": {"autotp_size": 2}}',
            "sets tensor_parallel, which is not done here; there may be zero_optimization, communication_",
        ),
        (
            '{"zero_optimization": {"stage": 2}, "sequence_parallel_size": 2}',
            "sets sequence_parallel_size, which is not done here; there may be zero_optimization, ",
        ),
        (
            '{"zero_optimization": {"stage": 2}, "communication_data_type": "bf16"}',
            "sets communication_data_type to bf16: gradients are sent in fp32; leave it out",
        ),
        (
            '{"zero_optimization": {"stage": 2, "zenflow": {}}}',
            "sets zero_optimization.zenflow, which is not done here; leave it out",
        ),
        *(
            (
                f'{{"zero_optimization": {{"stage": 3, "{key}": {value}}}}}',
                f"sets zero_optimization.{key}, which is not done here; leave it out",
            )
            for key, value in (
                ("elastic_checkpoint", "true"),
                ("zero_quantized_weights", "true"),
                ("zero_quantized_nontrainable_weights", "true"),
                ("zero_quantized_gradients", "true"),
                ("zero_hpz_partition_size", "2"),
                ("mics_shard_size", "2"),
            )
        ),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, text: str, says: str
) -> None:
    own = tmp_path / "own.json"
    own.write_text(text)
    with pytest.raises(InputError) as error:
        check_deepspeed(stage(deepspeed=str(own)), "finetune")
    assert str(error.value).startswith(f"finetune.deepspeed: {own}: {says}")
    assert "\n" not in str(error.value)


def test_names_and_files_that_there_are_not_are_refused(tmp_path: Path) -> None:
    for chosen, says in (
        ("zero4", "align.deepspeed=zero4: no such configuration; there are zero2, zero2_offload, zero3, "),
        (str(tmp_path / "no.json"), f"align.deepspeed: {tmp_path / 'no.json'}: cannot be read (No such file"),
    ):
        with pytest.raises(InputError) as error:
            check_deepspeed(stage(deepspeed=chosen), "align")
        assert str(error.value).startswith(says)


def test_weights_in_4_bits_are_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    in_processes(monkeypatch, 2)
    quantized = {"quantization": "nf4", "language_model": "lora"}
    assert sharing(stage(deepspeed="zero2", **quantized)).zero == 2
    with pytest.raises(InputError, match="stage 3 cannot share weights held in 4 bits"):
        sharing(stage(deepspeed="zero3", **quantized))
