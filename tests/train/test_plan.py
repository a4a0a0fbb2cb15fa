"""What a run will need, from configs, tokenizer and data alone, held against models really built."""

from __future__ import annotations

import functools
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Blip2QFormerConfig, Blip2QFormerModel, IdeficsConfig
from transformers.models.idefics.perceiver import IdeficsPerceiverResampler
from typer.testing import CliRunner

from tests.train import factory
from train import pipeline
from train.__main__ import app
from train.config import ModelConfig, RunConfig, StageConfig
from train.conversation import get_format
from train.model import build_model, load_processor
from train.plan import (
    Layers,
    Rate,
    StagePlan,
    ZeroStage,
    flops,
    gated_cross_attention_weights,
    histogram,
    plan_model,
    q_former_weights,
    read_rate,
    resampler_weights,
    smallest_card,
    text_layer_bytes,
    vision_layer_bytes,
    zero_stage,
)
from train.records import InputError
from train.stages import PartCount, set_trainable

VICUNA_7B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
CLIP_L_336 = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
}


def stage(**settings: Any) -> StageConfig:
    defaults: dict[str, Any] = {
        "format": "vicuna_v1",
        "learning_rate": 1e-3,
        "global_batch_size": 2,
        "micro_batch_size": 2,
        "max_length": 256,
        "lora": {"rank": 4, "alpha": 8, "dropout": 0.0},
    }
    return StageConfig(**(defaults | settings))


def processor_of(config: ModelConfig) -> Any:
    return load_processor(config, "pad", get_format("vicuna_v1").template)


def built(config: ModelConfig, of: StageConfig) -> tuple[Any, list[PartCount]]:
    """The real model of a stage, its weights read, and what `run` counts of it."""
    model = build_model(
        config, processor_of(config), precision=of.precision, quantization=of.quantization, seed=0
    )
    return model, set_trainable(model, of, config.projector)


@pytest.fixture
def shapes_of_7b(tmp_path: Path) -> ModelConfig:
    """Folders with Vicuna 7B's and CLIP-L/14-336's configs, and no weights."""
    language_model, tower = tmp_path / "vicuna", tmp_path / "clip"
    factory.write_tokenizer(language_model, "llama")
    (language_model / "config.json").write_text(json.dumps(VICUNA_7B))
    tower.mkdir()
    (tower / "config.json").write_text(json.dumps(CLIP_L_336))
    shutil.copy(factory.vision_tower("clip") / "preprocessor_config.json", tower)
    given = json.loads((tower / "preprocessor_config.json").read_text())
    given |= {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
    (tower / "preprocessor_config.json").write_text(json.dumps(given))
    return ModelConfig(language_model=str(language_model), vision_tower=str(tower))


# Weights


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("how", ["frozen", "full", "lora"])
@pytest.mark.parametrize(
    ("family", "tower", "projector"),
    [
        *((family, "clip", "mlp2x_gelu") for family in (*factory.FAMILIES, "llama_3")),
        ("llama", "siglip", "linear"),
        ("qwen2", "clip", "linear"),
    ],
)
def test_counts_and_bytes_are_those_of_the_model_that_is_built(
    family: str, tower: str, projector: str, how: str, precision: str
) -> None:
    config = factory.model_config(family, tower, projector=projector)
    for of in (
        stage(language_model=how, precision=precision),
        stage(language_model=how, precision=precision, vision_tower_learning_rate=1e-5),
    ):
        model, parts = built(config, of)
        planned = plan_model(config, processor_of(config), of)
        assert planned.parts == tuple(parts)
        assert planned.weight_bytes == sum(p.numel() * p.element_size() for p in model.parameters())


def test_a_tied_head_is_copied_once_for_the_head_and_counted_once() -> None:
    config = factory.model_config("qwen2", "clip")
    planned = plan_model(config, processor_of(config), stage())
    biases = 2 * (64 + 32 + 32)
    assert planned.copied == planned.blocks + biases + planned.head + planned.projectors.ours
    assert planned.projectors.ours == 24 * 64 + 64 + 64 * 64 + 64


def test_the_7b_shapes_have_llavas_published_counts(shapes_of_7b: ModelConfig) -> None:
    planned = plan_model(shapes_of_7b, processor_of(shapes_of_7b), stage())
    assert planned.parts == (
        PartCount("vision_tower", 303_507_456, 0),
        PartCount("projector", 20_979_712, 20_979_712),
        PartCount("language_model", 6_738_415_616, 6_738_415_616),
    )
    # Frozen tower in bf16; what trains in float32.
    assert planned.weight_bytes == 2 * 303_507_456 + 4 * (20_979_712 + 6_738_415_616)
    linear = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    assert (planned.blocks, planned.head) == (linear, 32000 * 4096)
    # Everything float32 but the embedding and the norms is multiplied, so copied.
    assert planned.copied == linear + 32000 * 4096 + 20_979_712
    assert planned.largest == (4 * (linear // 32 + 2 * 4096), linear // 32)
    assert planned.text == Layers(32, 4096, 4096, 32, 11008)
    assert planned.vision == Layers(24, 1024, 1024, 16, 4096)
    assert planned.vision_positions == 577
    assert (planned.projectors.ours, planned.projectors.q_former) == (20_979_712, 104_773_120)


def test_a_linear_projector_counts_without_its_identity(shapes_of_7b: ModelConfig) -> None:
    linear = shapes_of_7b.model_copy(update={"projector": "linear"})
    planned = plan_model(linear, processor_of(linear), stage(language_model="frozen"))
    assert planned.projectors.ours == 1024 * 4096 + 4096
    assert planned.parts[1] == PartCount("projector", 20_979_712, 4_198_400)


def test_lora_of_rank_128_trains_320_million_weights_of_7b(shapes_of_7b: ModelConfig) -> None:
    lora = stage(language_model="lora", lora={"rank": 128})
    planned = plan_model(shapes_of_7b, processor_of(shapes_of_7b), lora)
    adapters = 32 * 128 * (4 * 2 * 4096 + 3 * (4096 + 11008))
    assert planned.adapters == adapters == 319_815_680
    assert planned.parts[2] == PartCount("language_model", 6_738_415_616 + adapters, adapters)


def test_nf4_holds_a_weight_of_the_blocks_in_a_little_over_half_a_byte(shapes_of_7b: ModelConfig) -> None:
    settings: dict[str, Any] = {"language_model": "lora", "lora": {"rank": 128}}
    whole = plan_model(shapes_of_7b, processor_of(shapes_of_7b), stage(**settings))
    quarter = plan_model(shapes_of_7b, processor_of(shapes_of_7b), stage(**settings, quantization="nf4"))
    assert quarter.parts == whole.parts
    saved = 32 * (4 * 4096**2 + 3 * 4096 * 11008) * (2 - 0.515869140625)
    assert whole.weight_bytes - quarter.weight_bytes == round(saved)


def test_no_weights_are_read(tmp_path: Path) -> None:
    folders = []
    for folder in (factory.language_model("llama"), factory.vision_tower("clip")):
        copy = tmp_path / folder.name
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.safetensors"))
        folders.append(str(copy))
    bare = ModelConfig(language_model=folders[0], vision_tower=folders[1])
    with_weights = factory.model_config("llama", "clip")
    assert plan_model(bare, processor_of(bare), stage()) == plan_model(
        with_weights, processor_of(with_weights), stage()
    )


def test_a_q_former_is_that_of_transformers_and_has_105_million_weights_at_blip_2s_width() -> None:
    with torch.device("meta"):
        model = Blip2QFormerModel(Blip2QFormerConfig(encoder_hidden_size=1408))
    theirs = sum(p.numel() for p in model.parameters())
    queries, language_projection = 32 * 768, 768 * 2560 + 2560
    assert q_former_weights(1408, 2560) == theirs + queries + language_projection
    assert theirs + queries == 105_162_240


def test_a_resampler_is_that_of_transformers() -> None:
    with torch.device("meta"):
        model = IdeficsPerceiverResampler(
            IdeficsConfig(
                perceiver_config={"qk_layer_norms_perceiver": False}, vision_config={"embed_dim": 1024}
            ),
            1024,
            6,
            16,
            64,
            64,
        )
    assert resampler_weights(1024) == sum(p.numel() for p in model.parameters()) == 75_601_920


def test_gated_cross_attention_comes_to_flamingos_figures() -> None:
    assert gated_cross_attention_weights(24, 2048, 1536) == 1_157_824_560  # Flamingo-3B: 1.2B
    assert gated_cross_attention_weights(10, 4096, 1536) == 1_573_027_860  # Flamingo-9B: 1.6B
    # By hand: query, output 2·3·5; key, value 2·2·5; feed-forward 8·9; two norms 2·2·3; two gates.
    assert gated_cross_attention_weights(1, 3, 2, attention_width=5) == 30 + 20 + 72 + 12 + 2


# Memory


def test_zero_shares_out_moments_then_gradients_then_weights() -> None:
    # 10 weights of 4 bytes train; 12 bytes are gathered at once under ZeRO-3. DDP has gradients twice,
    # DeepSpeed's optimizer a copy of the weights beside its moments.
    assert [zero_stage(number, 4, 40, 20, 10, 12) for number in range(4)] == [
        ZeroStage(0, 40, 20, 80, 80),
        ZeroStage(1, 40, 20, 40, 30),
        ZeroStage(2, 40, 20, 10, 30),
        ZeroStage(3, 10, 12, 10, 30),
    ]
    assert [zero_stage(number, 1, 40, 20, 10, 12).total for number in range(4)] == [180] * 4


def test_a_card_is_filled_to_nine_tenths() -> None:
    assert smallest_card(int(0.9 * 24 * 2**30)) == 24
    assert smallest_card(int(0.9 * 24 * 2**30) + 1) == 40
    assert smallest_card(127 * 2**30) is None


POSITIONS = 256  # no size of the tiny models, so that a saved tensor with it is an activation


def saved_bytes(model: Any, forward: Callable[[], Any], precision: str, positions: int = POSITIONS) -> int:
    """Bytes of all activations that autograd keeps in a forward pass, each storage once."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in weights and positions in tensor.shape:
            kept[place] = tensor
        return tensor

    with (
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        forward()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def language_model_bytes(tmp_path: Path, of: StageConfig, layers: int, checkpointing: bool) -> int:
    folder = factory.write_language_model(tmp_path / f"{layers}", "llama", layers=layers)
    config = ModelConfig(language_model=str(folder), vision_tower=str(factory.vision_tower("clip")))
    model, _ = built(config, of)
    if checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    text = model.model.language_model
    dtype = text.embed_tokens.weight.dtype
    features = torch.randn(1, POSITIONS, 64, dtype=dtype, requires_grad=True)
    two_samples = torch.arange(POSITIONS // 2).repeat(2)[None]
    return saved_bytes(model, lambda: text(inputs_embeds=features, position_ids=two_samples), of.precision)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("how", ["frozen", "full", "lora"])
def test_a_blocks_activations_are_what_autograd_saves(tmp_path: Path, how: str, precision: str) -> None:
    of = stage(language_model=how, precision=precision)
    saved = [language_model_bytes(tmp_path, of, layers, False) for layers in (2, 3)]
    block = Layers(1, hidden=64, attention=64, heads=4, intermediate=128)
    assert saved[1] - saved[0] == POSITIONS * text_layer_bytes(block, of, POSITIONS)


@pytest.mark.parametrize(("how", "size"), [("frozen", 2), ("full", 4)])
def test_a_checkpointed_block_keeps_its_input(tmp_path: Path, how: str, size: int) -> None:
    of = stage(language_model=how)
    saved = [language_model_bytes(tmp_path, of, layers, True) for layers in (2, 3)]
    assert saved[1] - saved[0] == POSITIONS * 64 * size


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_tower_layers_activations_are_what_autograd_saves(tmp_path: Path, precision: str) -> None:
    of = stage(vision_tower_learning_rate=1e-5, precision=precision)
    saved = []
    for layers in (3, 4):
        folder = factory.write_vision_tower(tmp_path / f"{layers}", layers=layers, image_size=120)
        config = ModelConfig(language_model=str(factory.language_model()), vision_tower=str(folder))
        model, _ = built(config, of)
        tower, pixels = model.model.vision_tower, torch.zeros(1, 3, 120, 120)
        saved.append(saved_bytes(model, functools.partial(tower, pixels), precision, 226))
    layer = Layers(1, hidden=24, attention=24, heads=2, intermediate=40)
    assert saved[1] - saved[0] == 226 * vision_layer_bytes(layer, of)


# Compute


@pytest.mark.parametrize("how", ["frozen", "full", "lora"])
@pytest.mark.parametrize("tower_rate", [None, 1e-5])
def test_flops_are_those_that_torch_counts(how: str, tower_rate: float | None) -> None:
    config = factory.model_config("llama", "clip")
    of = stage(language_model=how, precision="fp32", vision_tower_learning_rate=tower_rate)
    model, _ = built(config, of)
    model.set_attn_implementation("eager")  # torch counts the products of eager attention, masked or not
    image, text, supervised = 4, 96, 20
    tokens = torch.tensor([[model.config.image_token_id] * image + [5] * text])
    keep = torch.zeros(1, image + text, dtype=torch.bool)
    keep[:, -supervised:] = True
    with FlopCounterMode(display=False) as counter:
        model(
            input_ids=tokens, pixel_values=torch.zeros(1, 3, 16, 16), logits_to_keep=keep
        ).logits.sum().backward()
    planned = plan_model(config, processor_of(config), of)
    total, again = flops(
        planned, of, lengths=[image + text], images=1, features=image, supervised=float(supervised)
    )
    masked = 2 * (image + text) ** 2 * 64 * 2  # what a causal mask leaves out, forward
    assert counter.get_total_flops() == pytest.approx(total + 3 * masked, rel=0.01)
    assert again < total / 2


def test_flops_of_one_7b_sample_are_six_a_weight_and_position(shapes_of_7b: ModelConfig) -> None:
    planned = plan_model(shapes_of_7b, processor_of(shapes_of_7b), stage())
    total, again = flops(planned, stage(), lengths=[2048], images=0, features=576, supervised=2048)
    multiplied = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096
    assert total == 6 * 2048 * multiplied + 6 * 2048**2 * 4096 * 32
    assert again == 2 * 2048 * (multiplied - 32000 * 4096) + 2 * 2048**2 * 4096 * 32


# Data, and the whole


def test_a_histogram_has_round_equal_bins_from_the_shortest_to_the_longest() -> None:
    assert histogram([7, 7, 8]) == [(7, 7, 2), (8, 8, 1)]
    assert histogram([5, 12, 13, 40]) == [
        (5, 8, 1),
        (9, 12, 1),
        (13, 16, 1),
        *((low, low + 3, 0) for low in range(17, 37, 4)),
        (37, 40, 1),
    ]
    assert sum(count for _, _, count in histogram(range(1, 2000))) == 1999
    assert len(histogram(range(1, 2000))) <= 10


RECIPE = """
description = "two epochs"
workers = 0
[model]
language_model = "{language_model}"
vision_tower = "{vision_tower}"
[align]
format = "plain"
language_model = "frozen"
learning_rate = 1e-3
global_batch_size = 2
micro_batch_size = 2
max_length = 256
max_left_out = 0.5
[finetune]
format = "vicuna_v1"
learning_rate = 1e-3
epochs = 2
global_batch_size = 4
micro_batch_size = 2
max_length = 512
precision = "fp32"
"""


def record(name: str, *turns: str, image: str | None = "wide.png") -> dict[str, Any]:
    conversations = [{"from": ("human", "gpt")[at % 2], "value": turn} for at, turn in enumerate(turns)]
    return {"id": name, **({"image": image} if image else {}), "conversations": conversations}


CAPTIONS = [
    record("a", "<image>\nWhat?", "A man."),
    record("b", "<image>\nWhat?", "A man in a red shirt.", image="none.png"),
    record("c", "<image>\nWhat?", "A dog."),
]
ANSWERS = [
    record("d", "<image>\nHow many people?", "There are three people."),
    record("e", "What is the man doing?", "Riding a horse.", image=None),
]


class World:
    """Images, data and a recipe in a folder, and plans of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "images").mkdir()
        factory.picture(40, 20).save(folder / "images" / "wide.png")
        for name, rows in (("captions.json", CAPTIONS), ("answers.json", ANSWERS)):
            (folder / name).write_text(json.dumps(rows))
        (folder / "mine.toml").write_text(
            RECIPE.format(
                language_model=factory.language_model("llama"), vision_tower=factory.vision_tower("clip")
            )
        )

    def config(self, *overrides: str, **changes: Any) -> RunConfig:
        options: dict[str, Any] = {
            "recipe": str(self.folder / "mine.toml"),
            "out": self.folder / "out",
            "overrides": overrides,
            "data": (str(self.folder / "answers.json"),),
            "images": self.folder / "images",
            "align_data": (str(self.folder / "captions.json"),),
        }
        return RunConfig(**(options | changes))

    def plan(self, *overrides: str, gpus: int = 1, **changes: Any) -> list[StagePlan]:
        rates = {key: changes.pop(key) for key in ("tokens_per_second", "measured") if key in changes}
        return pipeline.plan(self.config(*overrides, **changes), gpus=gpus, **rates)

    def refusal(self, *overrides: str, **changes: Any) -> str:
        with pytest.raises(InputError) as caught:
            self.plan(*overrides, **changes)
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_plan_counts_what_the_run_would_train_on_and_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = world.folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before = sorted(world.folder.rglob("*"))
    align, finetune = world.plan("finetune.packing=false")
    assert sorted(world.folder.rglob("*")) == before
    data = align.data
    assert (data.samples, data.in_epoch, data.steps, data.epochs, data.images) == (2, 2, 1, 1.0, 2)
    assert [(item.id, item.reason) for item in data.left_out] == [("b", "missing_image")]
    assert data.features == 4
    assert (sorted(data.lengths), data.visual_share) == ([9, 10], 8 / 19)
    # Both captions and their ends go into one row of 256.
    assert (data.rows, data.room, data.filled) == (1, 256, data.positions / 256)
    data = finetune.data
    assert (data.samples, data.in_epoch, data.steps, data.epochs, data.images) == (2, 2, 2, 2.0, 1)
    # Padded: one with an image and one without are two micro batches, without padding.
    assert (data.rows, data.room, data.filled) == (2, data.positions, 1.0)
    assert finetune.compute.positions == 2 * data.positions
    assert finetune.compute.recomputed_flops > 0


def test_the_run_trains_as_many_steps_and_weights_as_planned(world: World) -> None:
    plans = world.plan()
    assert pipeline.run(world.config())
    lines = [json.loads(line) for line in (world.folder / "out" / "log.jsonl").read_text().splitlines()]
    for plan in plans:
        steps = [line for line in lines if line["stage"] == plan.name]
        assert steps[-1]["step"] == plan.data.steps
        record = json.loads(
            (world.folder / "out" / plan.name / f"checkpoint-{plan.data.steps}" / "record.json").read_text()
        )
        assert [PartCount(**part) for part in record["parts"]] == list(plan.model.parts)
        # Logged tokens are supervised ones; the first position of a sample is not predicted.
        supervised = plan.data.supervised_share * plan.compute.positions
        assert steps[-1]["tokens"] == round(supervised)


def test_weights_of_files_and_the_share_of_each_gpu_decide_the_rows(world: World) -> None:
    both = world.plan(data=(f"{world.folder / 'answers.json'}:4",))[1].data
    assert (both.in_epoch, both.steps, both.rows) == (8, 4, 2)
    (apart,) = world.plan("align=", data=(f"{world.folder / 'answers.json'}:4",), align_data=(), gpus=4)
    assert (apart.data.steps, apart.data.rows, apart.memory.gpus) == (4, 8, 4)


def test_tiny_is_planned_without_a_folder_of_its_own(world: World) -> None:
    align, finetune = world.plan("model.language_model=tiny", "model.vision_tower=tiny")
    assert [part.part for part in align.model.parts if part.trainable] == ["projector"]
    assert sum(part.total for part in finetune.model.parts) == sum(part.total for part in align.model.parts)


def test_gpu_hours_come_from_the_given_rate_or_an_earlier_runs_log(world: World) -> None:
    run = world.folder / "earlier"
    run.mkdir()
    rates = [("align", 10.0), ("finetune", 1.0), ("finetune", 12.0), ("finetune", 9.0)]
    lines: list[dict[str, Any]] = [
        {"stage": name, "step": 1, "tokens_per_second": rate} for name, rate in rates
    ]
    lines[-1] |= {"tokens_per_second": 18.0, "processes": 2}  # 9 on each
    lines.append({"stage": "finetune", "step": 4})
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_rate(run, "finetune") == Rate(9.0, f"measured in {run}")
    measured = world.plan(measured=run)
    given = world.plan(tokens_per_second=9.0)
    for plan, rate in zip(measured, (10.0, 9.0), strict=True):
        assert plan.compute.gpu_hours == plan.compute.positions / rate / 3600
    assert given[1].compute.gpu_hours == measured[1].compute.gpu_hours
    without = world.plan()[1].compute
    assert without.gpu_hours is None
    assert without.hours_at(312e12) == without.model_flops / (0.4 * 312e12) / 3600


@pytest.mark.parametrize(
    ("overrides", "changes", "says"),
    [
        ((), {"data": ()}, "--data is missing: recipe .* has the stage finetune"),
        ((), {"images": None}, "--align-images is missing: .*captions.json has images"),
        (("finetune.lerning_rate=1",), {}, "unknown key; did you mean"),
        (("finetune.max_length=4096",), {}, "finetune.max_length is 4096, but .* has a context of 512"),
        (("model.feature_layer=-9",), {}, "feature_layer -9: .* has 3 layers"),
        ((), {"gpus": 3}, "align.global_batch_size 2 is no multiple of the 3 processes"),
        ((), {"data": ("none.json",)}, "none.json: does not exist"),
        ((), {"measured": Path("none")}, "--measured none: .* cannot be read .*; name a run's folder"),
        ((), {"measured": Path("none"), "tokens_per_second": 1.0}, "give one of them"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    world: World, overrides: Sequence[str], changes: dict[str, Any], says: str
) -> None:
    assert re.search(says, world.refusal(*overrides, **changes))


def test_a_log_without_rates_is_refused(world: World) -> None:
    log = world.folder / "log.jsonl"
    log.write_text(json.dumps({"stage": "align", "step": 1, "loss": 1.0}) + "\n")
    assert "has no tokens_per_second of the stage align" in world.refusal(measured=world.folder)
    log.write_text("not a log\n")
    assert "is not a run's log" in world.refusal(measured=world.folder)


def test_a_plan_says_that_no_sample_has_an_image(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "This."}]
    (world.folder / "text.json").write_text(json.dumps([{"images": ["a.png"], "conversations": turns}] * 2))
    world.plan("align=", data=(str(world.folder / "text.json"),))
    said = "  images     none: all samples are text alone (a record names its image by the key image)\n"
    assert said in capsys.readouterr().out


def test_a_deepspeed_that_is_not_there_is_refused(world: World) -> None:
    assert world.refusal("finetune.deepspeed=zero4").startswith(
        "finetune.deepspeed=zero4: no such configuration; there are zero2, "
    )


def test_data_of_which_nothing_can_be_used_is_refused(world: World) -> None:
    (world.folder / "captions.json").write_text(json.dumps(CAPTIONS[1:2]))
    assert re.search(
        r"align: none of 1 samples can be used, the first because .*captions.json\[0\] b: missing_image",
        world.refusal(),
    )


SAID = """\
Plan of recipe W/mine.toml: two epochs
L with T through a mlp2x_gelu projector

align in the plain format: 1 step of 2 samples, 1 epoch
  samples    2 used, 1 left out (missing_image 1)
             W/captions.json[1] b: none.png: is not in W/images
             more than align.max_left_out allows (0.1): run would stop
  positions   9 –  9  1  ████████████████████████████████████████
  a sample   10 – 10  1  ████████████████████████████████████████
             median 9, mean 9.5, longest 10
             19 an epoch, 19 in the stage
  images     2 an epoch, 4 positions each: 42.1% of all positions, 1.6% of the context of 256
  answers    47.4% of positions are supervised
  rows       of 256 positions, 3.7% full: 1.0 samples a row, 1.0 rows a step on each GPU

  weights                     in all  training
             vision_tower     18,288   frozen
             projector         5,760    5,760
             language_model  147,776   frozen
             all             171,824    5,760

  projector                  weights  an image
             this recipe's     5,760        4
             Q-Former        92,456,512       32  as BLIP-2's, with its linear layer
             resampler        43,920       64  as Flamingo's, with the next:
             gated layers          0           cross-attention after every 4 layers

  memory     MiB on each of 2 GPUs, with 256 positions at once
                                                       total with activations
                     weights  copies  gradients   AdamW    checkpointed  fits      kept  fits
             ZeRO-0      0.3     0.0        0.0     0.0             1.8    24       2.3    24
             ZeRO-1      0.3     0.0        0.0     0.0             1.8    24       2.3    24
             ZeRO-2      0.3     0.0        0.0     0.0             1.8    24       2.3    24
             ZeRO-3      0.2     0.1        0.0     0.0             1.7    24       2.2    24
             copies: autocast's, in bf16; fits: the smallest card of 24, 40, 80 or 141 GB, to 90%
             activations: 0.7 checkpointed, 1.2 kept (the recipe checkpoints them); logits 0.7

  compute    7.68e+06 FLOPs, and 2.85e+06 again for checkpointing
  time       under 0.01 GPU-hours, under 0.01 hours on 2 (100 tokens a second and GPU, given)

finetune in the vicuna_v1 format: 2 steps of 4 samples, 2 epochs
  samples    2 used, 0 left out
  positions  58 – 58  1  ████████████████████████████████████████
  a sample   59 – 59  0
             60 – 60  0
             61 – 61  1  ████████████████████████████████████████
             median 58, mean 59.5, longest 61
             119 an epoch, 238 in the stage
  images     1 an epoch, 4 positions each: 3.4% of all positions, 0.8% of the context of 512
  answers    12.6% of positions are supervised
  rows       of 512 positions, 11.6% full: 1.0 samples a row, 1.0 rows a step on each GPU

  weights                     in all  training
             vision_tower     18,288   frozen
             projector         5,760    5,760
             language_model  147,776  147,776
             all             171,824  153,536

  projector                  weights  an image
             this recipe's     5,760        4
             Q-Former        92,456,512       32  as BLIP-2's, with its linear layer
             resampler        43,920       64  as Flamingo's, with the next:
             gated layers          0           cross-attention after every 4 layers

  memory     MiB on each of 2 GPUs, with 512 positions at once
                                                       total with activations
                     weights  copies  gradients   AdamW    checkpointed  fits      kept  fits
             ZeRO-0      0.7     0.0        1.2     1.2             7.2    24      10.2    24
             ZeRO-1      0.7     0.0        0.6     0.9             6.4    24       9.4    24
             ZeRO-2      0.7     0.0        0.3     0.9             6.1    24       9.1    24
             ZeRO-3      0.3     0.1        0.3     0.9             5.9    24       8.9    24
             copies: autocast's, in bf16; fits: the smallest card of 24, 40, 80 or 141 GB, to 90%
             activations: 3.8 checkpointed, 6.8 kept (the recipe checkpoints them); logits 0.4

  compute    1.23e+08 FLOPs, and 3.87e+07 again for checkpointing
  time       under 0.01 GPU-hours, under 0.01 hours on 2 (100 tokens a second and GPU, given)

Both stages: under 0.01 GPU-hours
"""


def test_the_command_says_it_all_and_takes_no_out(world: World) -> None:
    config = world.config()
    done = CliRunner().invoke(
        app,
        [
            "plan",
            "--recipe",
            config.recipe,
            "--data",
            config.data[0],
            "--align-data",
            config.align_data[0],
            "--images",
            str(config.images),
            "--gpus",
            "2",
            "--tokens-per-second",
            "100",
            "align.max_left_out=0.1",
        ],
    )
    assert done.exit_code == 0, done.output
    assert not (world.folder / "out").exists()
    output = re.sub(r"^.* with .* through", "L with T through", done.output, flags=re.MULTILINE)
    output = output.replace(str(world.folder), "W")
    assert output == SAID
