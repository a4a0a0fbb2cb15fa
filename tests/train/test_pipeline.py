"""A whole run, from the command line's options to an exported model; and every bad input in one line."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from tests.train import factory
from train import gates, pipeline, terminal
from train.__main__ import main
from train.config import RunConfig, StageConfig
from train.records import InputError
from train.stages import PartCount
from train.trainer import StopRequest

ROOT = Path(__file__).resolve().parents[2]
SCENES = ROOT / "examples" / "scenes"

RECIPE = """
description = "two steps of each stage"
workers = 0
[model]
language_model = "{language_model}"
vision_tower = "{vision_tower}"
[align]
format = "plain"
language_model = "frozen"
learning_rate = 1e-3
max_steps = 2
global_batch_size = 2
micro_batch_size = 2
max_length = 256
precision = "fp32"
gradient_checkpointing = false
[finetune]
format = "vicuna_v1"
learning_rate = 1e-3
max_steps = 2
global_batch_size = 2
micro_batch_size = 2
max_length = 512
precision = "fp32"
gradient_checkpointing = false
"""


def record(name: str, *turns: str, image: Any = "wide.png", **more: Any) -> dict[str, Any]:
    conversations = [{"from": ("human", "gpt")[at % 2], "value": turn} for at, turn in enumerate(turns)]
    return {"id": name, **({"image": image} if image else {}), "conversations": conversations, **more}


CAPTIONS = [record(f"alignment-{n:012}", "<image>\nWhat is this?", f"Noise number {n}.") for n in range(4)]
ANSWERS = [
    record("conversation-000000000001", "<image>\nIs it wide?", "Yes.", "Is it tall?", "No, it is wide."),
    record("detail-000000000002", "Describe it.\n<image>", "Noise, all over, in every colour there is."),
    record(
        "complex_reasoning-000000000003", "<image>\nWhy?", "Because nobody drew anything.", image="tall.png"
    ),
    record("text", "What is one and one?", "Two.", image=None),
]


class World:
    """A folder with images, data and a recipe, and runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "images"
        self.images.mkdir()
        factory.picture(40, 20).save(self.images / "wide.png")
        factory.picture(20, 40).save(self.images / "tall.png")
        self.align_data = self.write("captions.json", CAPTIONS)
        self.data = self.write("answers.json", ANSWERS)
        self.recipe = folder / "mine.toml"
        self.recipe.write_text(
            RECIPE.format(
                language_model=factory.language_model("llama"), vision_tower=factory.vision_tower("clip")
            )
        )
        self.out = folder / "out"

    def write(self, name: str, content: Any) -> Path:
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def run(self, *overrides: str, **changes: Any) -> bool:
        options: dict[str, Any] = {
            "recipe": str(self.recipe),
            "out": self.out,
            "overrides": overrides,
            "data": (str(self.data),),
            "images": self.images,
            "align_data": (str(self.align_data),),
        }
        return pipeline.run(RunConfig(**(options | changes)))

    def refusal(self, *overrides: str, **changes: Any) -> str:
        with pytest.raises(InputError) as caught:
            self.run(*overrides, **changes)
        message = str(caught.value)
        assert "\n" not in message
        return message


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def log(out: Path) -> list[dict[str, Any]]:
    path = out / "log.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def test_a_run_trains_both_stages_and_leaves_a_model_that_transformers_loads(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run()
    said = capsys.readouterr()
    assert sorted(path.name for path in world.out.iterdir() if not path.name.startswith(".")) == [
        "align",
        "finetune",
        "left_out.jsonl",
        "log.jsonl",
        "model",
        "tensorboard",
    ]
    assert [(line["stage"], line["step"]) for line in log(world.out)] == [
        ("align", 1),
        ("align", 2),
        ("finetune", 1),
        ("finetune", 2),
    ]
    model, loading = LlavaForConditionalGeneration.from_pretrained(
        world.out / "model", output_loading_info=True
    )
    assert not any(loading.values()), loading
    assert model.config.image_token_id is not None
    for gate in ("labels", "features", "packing", "trainable", "batch"):
        assert said.out.count(f"  ok {gate} ") == 2, gate
    assert "align: 4 samples" in said.out
    assert "finetune: 4 samples" in said.out
    assert "python -m train chat" in said.out


def test_a_finished_run_given_again_trains_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.run()
    before = log(world.out)
    capsys.readouterr()
    assert world.run()
    said = capsys.readouterr().out
    assert f"align: finished before, in {world.out / 'align' / 'checkpoint-2'}" in said
    assert f"finetune: finished before, in {world.out / 'finetune' / 'checkpoint-2'}" in said
    assert log(world.out) == before


def test_finetune_starts_from_the_projector_that_align_trained(world: World) -> None:
    assert world.run("finetune.learning_rate=1e-30", "finetune.max_grad_norm=1e-30")
    first, second = (
        load_trained(world.out / stage / "checkpoint-2")["model.multi_modal_projector.linear_1.weight"]
        for stage in ("align", "finetune")
    )
    torch.testing.assert_close(first, second)


def test_one_stage_runs_are_a_recipe_and_start_from_a_fresh_projector(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run("align=", align_data=())
    assert {line["stage"] for line in log(world.out)} == {"finetune"}
    other = world.folder / "other"
    assert world.run("finetune=", out=other)
    assert "--data is not used: there is no stage finetune\n" in capsys.readouterr().out
    assert {line["stage"] for line in log(other)} == {"align"}
    assert LlavaForConditionalGeneration.from_pretrained(other / "model") is not None


@pytest.mark.parametrize(
    ("family", "tower", "overrides"),
    [
        ("qwen2", "siglip", ["finetune.format=chatml"]),
        ("mistral", "clip", ["finetune.format=mistral", "model.projector=linear"]),
        (
            "llama_3",
            "clip",
            ["finetune.format=llama_3", "finetune.language_model=lora", "finetune.lora.rank=4"],
        ),
        ("llama", "clip", ["finetune.format=llama_2", "finetune.vision_tower_learning_rate=1e-4"]),
    ],
)
def test_another_language_model_or_tower_is_one_line_of_a_recipe(
    world: World, family: str, tower: str, overrides: Sequence[str]
) -> None:
    assert world.run(
        f"model.language_model={factory.language_model(family)}",
        f"model.vision_tower={factory.vision_tower(tower)}",
        *overrides,
    )
    _, loading = LlavaForConditionalGeneration.from_pretrained(world.out / "model", output_loading_info=True)
    assert not any(loading.values()), loading


def test_what_is_left_out_is_counted_named_and_written_down(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [
        record("gone", "<image>\nWhat?", "That.", image="gone.png"),
        record("marks", "<image>\n<image>\nWhat?", "That."),
        record("mark", "<image>\nWhat?", "An <image> token."),
    ]
    world.data = world.write("answers.json", [*ANSWERS, *bad])
    assert world.run("finetune.max_left_out=0.5")
    assert (
        "finetune: 4 samples, 1 of them text alone; 3 left out "
        "(image_count 1, image_in_answer 1, missing_image 1)\n" in capsys.readouterr().out
    )
    lines = [json.loads(line) for line in (world.out / "left_out.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["record"], line["id"], line["reason"]) for line in lines] == [
        ("finetune", 5, "marks", "image_count"),
        ("finetune", 6, "mark", "image_in_answer"),
        ("finetune", 4, "gone", "missing_image"),
    ]


def test_a_gate_that_does_not_hold_ends_the_run_before_a_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> str:
        raise InputError("packed samples see each other")

    monkeypatch.setattr(gates, "packing_isolation", refuse)
    assert world.refusal() == "packed samples see each other"
    assert not (world.out / "log.jsonl").exists()


def test_what_trained_nothing_after_all_is_said_at_the_end(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = world.images / "torn.png"
    whole = (world.images / "wide.png").read_bytes()
    torn.write_bytes(whole[: len(whole) // 2])
    world.data = world.write(
        "answers.json", [*ANSWERS, record("torn", "<image>\nWhat?", "That.", image="torn.png")]
    )
    assert world.run("align=", "finetune.max_steps=", "finetune.max_left_out=0.5")
    said = capsys.readouterr().out
    path = world.out / "left_out.jsonl"
    assert f"1 sample trained nothing after all (corrupt_image 1): {path}\n" in said
    (line,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (line["id"], line["reason"]) == ("torn", "corrupt_image")
    assert line["step"] in (1, 2, 3)


def test_a_model_card_that_was_filled_in_is_not_written_over(world: World) -> None:
    assert world.run()
    card = world.out / "model" / "README.md"
    card.write_text("mine")
    assert world.run()
    assert card.read_text() == "mine"


def test_what_was_mended_is_no_longer_left_out(world: World) -> None:
    (world.images / "tall.png").rename(world.folder / "away.png")
    assert "missing_image" in world.refusal()
    assert "missing_image" in (world.out / "left_out.jsonl").read_text()
    (world.folder / "away.png").rename(world.images / "tall.png")
    assert world.run()
    assert (world.out / "left_out.jsonl").read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_same_command_goes_on(world: World, number: int) -> None:
    command = [
        *(sys.executable, "-m", "train", "run", "--recipe", world.recipe, "--out", world.out),
        *("--data", world.data, "--align-data", world.align_data, "--images", world.images),
        *("finetune.max_steps=60", "finetune.epochs=60", "workers=1"),
    ]
    with subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        while process.poll() is None and not any(line["stage"] == "finetune" for line in log(world.out)):
            time.sleep(0.01)
        os.killpg(process.pid, number)  # as a terminal does: readers of images get it too
        assert process.stdout is not None
        said = process.stdout.read().decode()
    steps = [line["step"] for line in log(world.out) if line["stage"] == "finetune"]
    checkpoint = world.out / "finetune" / f"checkpoint-{steps[-1]}"
    assert process.returncode == 130
    assert said.endswith(f"Stopped in finetune; kept in {checkpoint}. The same command continues.\n")
    assert checkpoint.is_dir()
    assert not (world.out / "model").exists()
    assert world.run("finetune.max_steps=60", "finetune.epochs=60", "workers=1")
    steps = [line["step"] for line in log(world.out) if line["stage"] == "finetune"]
    assert steps == list(range(1, 61))


# Bad input


@pytest.mark.parametrize(
    ("overrides", "changes", "problem"),
    [
        (["finetune.quantization=nf4", "finetune.language_model=lora"], {}, "bitsandbytes"),
        ([], {"data": "{data}:0.01"}, "weight"),
        (["finetune.format=chatml"], {}, "<|im_start|>"),
    ],
)
def test_what_is_wrong_with_the_second_stage_shows_before_the_first_trains(
    world: World, overrides: list[str], changes: dict[str, str], problem: str
) -> None:
    if problem == "bitsandbytes" and importlib.util.find_spec("bitsandbytes"):
        pytest.skip("bitsandbytes is installed here")
    options = {key: (value.format(data=world.data),) for key, value in changes.items()}
    assert problem in world.refusal(*overrides, **options)
    assert not (world.out / "align").exists()


def test_a_model_folder_that_is_no_export_is_refused_before_training(world: World) -> None:
    (world.out / "model").mkdir(parents=True)
    (world.out / "model" / "mine.bin").write_text("precious")
    assert str(world.out / "model") in world.refusal()
    assert not (world.out / "align").exists()


def test_malformed_json_is_refused(world: World) -> None:
    world.data = world.write("answers.json", '[{"id": 1,')
    assert world.refusal().startswith(f"{world.data}: ")


def test_an_empty_set_is_refused(world: World) -> None:
    world.data = world.write("answers.json", "[]")
    assert world.refusal() == f"{world.data}: holds no records; give LLaVA JSON, a list of conversations"


def test_data_of_which_no_record_is_one_is_refused_with_the_reason_whatever_the_model(world: World) -> None:
    world.data = world.write("answers.json", [record("odd", "<image>\nWhat?"), None])
    tiny = ["model.language_model=tiny", "model.vision_tower=tiny"]
    assert (
        world.refusal(*tiny)
        == world.refusal()
        == (
            "finetune: none of 2 samples can be used (wrong_roles 1, not_an_object 1): "
            f"{world.data}[0] odd: wrong_roles (the last turn is human's, and no answer follows); "
            f"{world.data}[1] answers[1]: not_an_object (is null, not an object with conversations); "
            "left_out.jsonl names all"
        )
    )
    assert len((world.out / "left_out.jsonl").read_text().splitlines()) == 2


def test_text_alone_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    text = {
        "id": "t",
        "images": ["wide.png"],
        "conversations": record("t", "What?", "This.")["conversations"],
    }
    world.data = world.write("text.json", [text] * 4)
    assert world.run("align=", "finetune.max_steps=1")
    said = " ".join(capsys.readouterr().out.split())
    assert "finetune: 4 samples, all of them text alone (a record names its image by the key image)" in said
    terminal.say_data("finetune", 5, 2, 0, [])
    assert capsys.readouterr().out == "finetune: 5 samples, 2 of them text alone\n"


def test_a_missing_image_folder_is_refused(world: World) -> None:
    gone = world.folder / "gone"
    assert str(gone) in world.refusal(images=gone)


def test_images_without_a_folder_are_refused(world: World) -> None:
    assert world.refusal(images=None) == f"--align-images is missing: {world.align_data} has images"


@pytest.mark.parametrize(
    ("turns", "problem"),
    [
        (("<image>\nWhat?",), "wrong_roles (the last turn is human's, and no answer follows)"),
        (("<image>\nWhat?", "An <image>."), "image_in_answer (an answer holds <image>)"),
    ],
)
def test_past_the_share_one_line_says_what_is_wrong_with_which(
    world: World, turns: Sequence[str], problem: str
) -> None:
    world.data = world.write("answers.json", [*ANSWERS, record("odd", *turns)])
    reason = problem.split()[0]
    assert world.refusal() == (
        f"finetune: 1 of 5 samples cannot be used ({reason} 1), more than finetune.max_left_out allows "
        f"(0.01): {world.data}[4] odd: {problem}; left_out.jsonl names all; mend them, or go "
        "on without them with finetune.max_left_out=0.2"
    )


def test_a_stage_without_data_is_refused(world: World) -> None:
    assert world.refusal(align_data=()) == (
        f"--align-data is missing: recipe {world.recipe} has the stage align (datagen writes one as "
        "alignment.json; or skip the stage with align=)"
    )
    assert world.refusal(data=()).startswith(
        f"--data is missing: recipe {world.recipe} has the stage finetune"
    )
    assert not world.out.exists()


def test_a_context_that_is_too_small_is_refused(world: World) -> None:
    assert world.refusal("finetune.max_length=4096") == (
        f"finetune.max_length is 4096, but {factory.language_model('llama')} has a context of 512: set "
        "finetune.max_length=512 or less"
    )


def test_a_tower_and_a_processor_that_disagree_are_refused(world: World) -> None:
    tower = factory.write_vision_tower(world.folder / "tower", image_size=32)
    path = tower / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    path.write_text(
        json.dumps(settings | {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}})
    )
    message = world.refusal(f"model.vision_tower={tower}")
    assert "24" in message and "32" in message and str(tower) in message


def test_a_run_of_another_recipe_is_refused_with_what_differs(world: World) -> None:
    assert world.run("finetune=")
    message = world.refusal("finetune=", "align.learning_rate=5e-4")
    assert "align.learning_rate" in message
    assert "0.0005" in message and "0.001" in message


def test_a_run_on_other_data_is_refused(world: World) -> None:
    assert world.run("finetune=")
    world.align_data = world.write("captions.json", CAPTIONS[:3])
    assert "captions.json" in world.refusal("finetune=")


def test_a_folder_of_somebody_elses_is_refused_and_left_alone(world: World) -> None:
    world.out.mkdir()
    (world.out / "thesis.txt").write_text("years of work")
    assert world.refusal() == (
        f"--out {world.out} holds 'thesis.txt', which no run of ours wrote; name an empty folder, or one to "
        "continue"
    )
    assert [path.name for path in world.out.iterdir()] == ["thesis.txt"]


def test_a_folder_in_use_is_refused(world: World) -> None:
    world.out.mkdir()
    hold = (
        "import fcntl, sys; lock = open(sys.argv[1], 'w'); fcntl.lockf(lock, fcntl.LOCK_EX); print(); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, world.out / ".lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        other.stdout.readline()
        assert world.refusal() == (
            f"--out {world.out} is in use by another run; wait for it, or name another folder"
        )
        other.stdin.close()


def test_the_command_line_says_errors_in_one_line_and_exits_with_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "train",
            "run",
            "--recipe",
            "smoke",
            "--out",
            tmp_path / "out",
            "finetune.lr=1",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (2, "")
    known = ", ".join(StageConfig.model_fields)
    assert done.stderr == f"error: finetune.lr=1: unknown key; known are {known}\n"


@pytest.mark.parametrize(
    "command",
    [
        "run --recipe smoke --out {} --align-data x --data x",
        "run --recipe {}.toml --out x",
        "chat . --image {}",
    ],
)
def test_a_path_that_cannot_be_looked_at_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    # Root may look anywhere, so a name that is too long stands in for a folder that may not be looked into.
    name = "long" * 64
    monkeypatch.setattr(sys, "argv", ["train", *command.format(name).split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = rf"error: {name}\S*: File name too long; check the path and its permissions\n"
    assert re.fullmatch(said, capsys.readouterr().err)


# Memory of a GPU, said by numbers in place of one

GB = 10**9
WHOLE_7B = [
    PartCount("vision_tower", 300_000_000, 0),
    PartCount("projector", 20_000_000, 20_000_000),
    PartCount("language_model", 6_700_000_000, 6_700_000_000),
]


def stage_with(**settings: Any) -> StageConfig:
    given = {"format": "vicuna_v1", "learning_rate": 2e-5, "global_batch_size": 128, "micro_batch_size": 4}
    return StageConfig.model_validate(given | settings)


def test_a_stage_that_no_gpu_holds_is_refused_with_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (79 * GB, 80 * GB))
    with pytest.raises(InputError) as caught:
        pipeline._check_memory("finetune", stage_with(), WHOLE_7B)
    assert str(caught.value) == (
        "finetune needs 108 GB for weights, gradients and optimizer alone, and this GPU has 80: share them "
        "(finetune.deepspeed=zero3 on more GPUs, or zero3_offload), train less of the model "
        "(finetune.language_model=lora), or a smaller one"
    )


@pytest.mark.parametrize(
    ("processes", "deepspeed", "needed"),
    [
        (1, "zero3", 108.12),  # with nobody to share with
        (8, None, 135.0),  # gradients twice, in DDP's buckets
        (8, "zero2", 40.92),
        (8, "zero3", 16.875),
        (1, "zero2_offload", 27.48),
        (1, "zero3_offload", 0),
    ],
)
def test_a_gpu_needs_room_for_its_share(
    monkeypatch: pytest.MonkeyPatch, processes: int, deepspeed: str | None, needed: float
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    stage = stage_with(deepspeed=deepspeed)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, round(needed * GB)))
    pipeline._check_memory("finetune", stage, WHOLE_7B)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, round(needed * GB) - GB // 100))
    with pytest.raises(InputError):
        pipeline._check_memory("finetune", stage, WHOLE_7B)


def test_the_gates_run_where_the_model_fits_whole_with_its_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not pipeline._fits(stage_with(), WHOLE_7B)  # no GPU here
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (55 * GB, 80 * GB))
    assert pipeline._fits(stage_with(), WHOLE_7B)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (54 * GB, 80 * GB))
    assert not pipeline._fits(stage_with(), WHOLE_7B)
    # Weights in 4 bits are on the GPU already.
    assert pipeline._fits(stage_with(language_model="lora", quantization="nf4"), WHOLE_7B)


class GatedModel:
    """As much of a model as the gates of `_train` are seen by."""

    def __init__(self) -> None:
        self.devices = ["cpu"]

    def to(self, device: str) -> GatedModel:
        self.devices.append(device)
        return self


def train_with_gates_too_large_for_a_gpu(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> GatedModel:
    model = GatedModel()

    def check(seen: GatedModel, *_: Any, **__: Any) -> list[gates.GateResult]:
        if seen.devices[-1] == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has")
        return [gates.GateResult("batch", "fits")]

    monkeypatch.setattr(pipeline, "_build", lambda *_: (model, WHOLE_7B))
    monkeypatch.setattr(pipeline, "_fits", lambda *_: True)
    monkeypatch.setattr(pipeline, "run_gates", check)
    monkeypatch.setattr(pipeline, "Collator", lambda *_: None)
    monkeypatch.setattr(pipeline, "image_size", lambda _: 336)
    monkeypatch.setattr(pipeline, "train_stage", lambda *_, **__: None)
    tokenizer = SimpleNamespace(pad_token_id=0)
    item: Any = SimpleNamespace(
        name="finetune",
        stage=stage_with(**settings),
        processor=SimpleNamespace(tokenizer=tokenizer),
        encoder=None,
        data=None,
        source=SimpleNamespace(files=()),
    )
    recipe: Any = None
    config: Any = None
    pipeline._train(item, recipe, config, Path("out"), {"finetune": None}, StopRequest())
    return model


@pytest.mark.parametrize("deepspeed", ["zero2_offload", "zero3_offload"])
def test_gates_too_large_for_a_gpu_run_on_the_cpu_where_processes_share_the_model(
    monkeypatch: pytest.MonkeyPatch, deepspeed: str
) -> None:
    assert train_with_gates_too_large_for_a_gpu(monkeypatch, deepspeed=deepspeed).devices == [
        *("cpu", "cuda", "cpu")
    ]


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, "share it (finetune.deepspeed=zero3 on more GPUs, or zero3_offload), "),
        ({"deepspeed": "zero2_offload", "language_model": "lora", "quantization": "nf4"}, ""),
    ],
    ids=["each whole", "4 bits"],
)
def test_gates_too_large_for_a_gpu_refuse_a_model_that_each_process_holds_whole(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], share: str
) -> None:
    with pytest.raises(InputError) as caught:
        train_with_gates_too_large_for_a_gpu(monkeypatch, **settings)
    assert str(caught.value) == (
        "finetune: the GPU's memory does not hold this stage (CUDA out of memory): lower finetune.max_length "
        f"(now 2048), set finetune.gradient_checkpointing=true, {share}or train less of it "
        "(finetune.language_model=lora)"
    )


# Data, whoever made it


def test_what_datagen_writes_trains_as_it_is(world: World, make_data: Callable[[], Path]) -> None:
    made = make_data()
    assert world.run(
        f"model.language_model={factory.write_language_model(world.folder / 'llm', context=2048)}",
        "finetune.max_length=2048",
        data=(str(made / "llava_instruct.json"),),
        align_data=(str(made / "alignment.json"),),
        images=SCENES / "images",
    )
    assert (world.out / "left_out.jsonl").read_text() == ""
    kinds = {key for line in log(world.out) for key in line if key.startswith("loss/type/")}
    assert kinds <= {
        f"loss/type/{kind}" for kind in ("alignment", "conversation", "detail", "complex_reasoning")
    }
    assert "loss/type/alignment" in kinds


@pytest.fixture
def make_data(tmp_path: Path) -> Callable[[], Path]:
    def make() -> Path:
        out = tmp_path / "made"
        subprocess.run(
            [sys.executable, "-m", "datagen", "run", "--out", out, "--limit", "4",
             "--captions", SCENES / "captions.json", "--instances", SCENES / "instances.json"],
            check=True, capture_output=True, cwd=ROOT,
        )  # fmt: skip
        return out

    return make


def test_a_set_in_the_shape_of_llava_1_5s_mix_trains(world: World) -> None:
    world.data = world.write(
        "mix.json",
        [
            record("000000033471", "<image>\nWhat are the colors?", "White and red.", "What else?", "Noise."),
            record("000000052846", "Where is it placed?\n<image>", "On top.", image="tall.png"),
            {
                **record("wgByO4Y_0", "Write a poem.", "Roses are noise.", "Shorter.", "Noise.", image=None),
                "model": "",
            },
            record(
                "33471", *(text for n in range(12) for text in (f"{'<image>' * (n == 0)} Q{n}?", f"A{n}"))
            ),
            {**record("7", "<image>\nOCR tokens: a, b\nAnswer.", "a"), "id": 7},
        ],
    )
    assert world.run("align=", "finetune.max_length=512", align_data=())
    assert (world.out / "left_out.jsonl").read_text() == ""


def test_several_files_have_weights(world: World) -> None:
    more = world.write("more.json", [record("text", "What is two and two?", "Four.", image=None)])
    assert world.run("align=", "finetune.max_steps=", align_data=(), data=(f"{world.data}:0.5", f"{more}:4"))
    # Half of four and four times one: six samples, in three steps of two.
    assert log(world.out)[-1]["samples"] == 6
    assert len(log(world.out)) == 3


def load_trained(checkpoint: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return dict(load_file(checkpoint / "trained.safetensors"))
