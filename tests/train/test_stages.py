"""What trains in each stage: exactly that gets a gradient, and nothing else moves."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

from tests.train import factory
from train.config import LoraConfig, StageConfig
from train.model import build_model, features_per_image, load_processor
from train.records import InputError
from train.stages import PartCount, assert_trainable, parameter_groups, part_of, set_trainable


def stage(language_model: str = "full", **settings: Any) -> StageConfig:
    return StageConfig.model_validate(
        {
            "format": "plain",
            "language_model": language_model,
            "learning_rate": 1e-2,
            "global_batch_size": 2,
            "micro_batch_size": 2,
            "lora": LoraConfig(rank=4, alpha=8, dropout=0.0),
            **settings,
        }
    )


def build(
    family: str = "llama", kind: str = "clip", *, precision: str = "fp32", **settings: Any
) -> tuple[Any, dict[str, torch.Tensor]]:
    """A model, and a batch of two samples with an image each."""
    config = factory.model_config(family, kind, **settings)
    processor = load_processor(config, "pad", "")
    model = build_model(config, processor, precision=precision, quantization="none", seed=0)
    words = processor.tokenizer.encode("a man in the kitchen", add_special_tokens=False)
    row = [*words, *[processor.image_token_id] * features_per_image(processor), *words]
    pixels = processor.image_processor(
        [factory.picture(20, 30, seed) for seed in (0, 1)], return_tensors="pt"
    )["pixel_values"]
    ids = torch.tensor([row, row])
    labels = ids.masked_fill(ids == processor.image_token_id, -100)
    return model, {"input_ids": ids, "pixel_values": pixels, "labels": labels}


def backward(model: Any, batch: dict[str, torch.Tensor], precision: str = "fp32") -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        model(**batch).loss.backward()


def named(model: Any) -> dict[str, torch.nn.Parameter]:
    return dict(model.named_parameters())


STAGES = {
    "align": stage("frozen"),
    "full": stage("full"),
    "lora": stage("lora"),
    "full with vision": stage("full", vision_tower_learning_rate=1e-3),
    "lora with vision": stage("lora", vision_tower_learning_rate=1e-3),
}


def expected_to_train(name: str, which: str, projector: str, kind: str) -> bool:
    """Written again from the design, by names: the tower is read at -2 of three layers, so two train."""
    if name.startswith("model.multi_modal_projector."):
        return projector == "mlp2x_gelu" or "linear_1" in name
    if name.startswith("model.vision_tower."):
        read = ("embeddings.", "pre_layrnorm.", "encoder.layers.0.", "encoder.layers.1.")
        return "vision" in which and name.removeprefix("model.vision_tower.").startswith(read)
    assert name == "lm_head.weight" or name.startswith("model.language_model.")
    return which.startswith("full") or (which.startswith("lora") and "lora_" in name)


@pytest.mark.parametrize("which", STAGES)
@pytest.mark.parametrize("projector", ["linear", "mlp2x_gelu"])
@pytest.mark.parametrize(("family", "kind"), list(itertools.product(factory.FAMILIES, factory.TOWERS)))
def test_exactly_what_the_stage_trains_gets_a_gradient_and_moves(
    family: str, kind: str, projector: str, which: str
) -> None:
    model, batch = build(family, kind, projector=projector)
    counts = set_trainable(model, STAGES[which], projector)
    groups = parameter_groups(model, STAGES[which])
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(groups)
    for _ in range(2):
        # LoRA's A learns only once its B, which is zero at first, has moved.
        optimizer.zero_grad()
        backward(model, batch)
        with_gradient = {name for name, parameter in named(model).items() if parameter.grad is not None}
        optimizer.step()
    wanted = {name for name in before if expected_to_train(name, which, projector, kind)}
    assert with_gradient == wanted
    moved = {name for name, parameter in named(model).items() if not torch.equal(parameter, before[name])}
    # The bias of a key shifts every score of a query alike, so its gradient is nothing but rounding.
    assert moved - wanted == set()
    assert {name for name in wanted - moved if not name.endswith("k_proj.bias")} == set()
    for count in counts:
        ours = [name for name in before if part_of(name) == count.part]
        assert count.total == sum(before[name].numel() for name in ours)
        assert count.trainable == sum(before[name].numel() for name in ours if name in wanted)


@pytest.mark.parametrize("which", STAGES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradient_checkpointing_gives_the_same_gradients(which: str, precision: str) -> None:
    plain, batch = build(precision=precision)
    set_trainable(plain, STAGES[which], "mlp2x_gelu")
    recomputing = copy.deepcopy(plain)
    recomputing.activation_checkpointing_enable({"use_reentrant": False})
    assert recomputing.is_activation_checkpointing
    backward(plain, batch, precision)
    backward(recomputing, batch, precision)
    again = named(recomputing)
    trainable = {name for name, parameter in named(plain).items() if parameter.requires_grad}
    assert trainable
    for name in trainable:
        assert torch.equal(named(plain)[name].grad, again[name].grad), name


def test_what_trains_is_float32_and_what_does_not_stays_bf16() -> None:
    for which, chosen in STAGES.items():
        model, batch = build(precision="bf16")
        set_trainable(model, chosen, "mlp2x_gelu")
        for name, parameter in model.named_parameters():
            trains = expected_to_train(name, which, "mlp2x_gelu", "clip")
            # Whole parts, so that the layers within one can take each other's outputs.
            part = part_of(name)
            whole = part == "projector" or (which.startswith("full") and part == "language_model")
            whole = whole or ("vision" in which and part == "vision_tower")
            wanted = torch.float32 if trains or whole else torch.bfloat16
            assert parameter.dtype == wanted, (which, name)
        backward(model, batch, "bf16")
        assert all(
            parameter.grad.dtype == torch.float32
            for parameter in model.parameters()
            if parameter.requires_grad
        )


def test_a_step_too_small_for_bf16_is_taken() -> None:
    model, batch = build(precision="bf16")
    chosen = stage("full", learning_rate=1e-6)
    set_trainable(model, chosen, "mlp2x_gelu")
    head = model.lm_head.weight
    before = head.detach().clone()
    optimizer = torch.optim.AdamW(parameter_groups(model, chosen))
    backward(model, batch, "bf16")
    optimizer.step()
    assert (head != before).any()


def test_tied_embeddings_train_as_one(kind: str = "clip") -> None:
    model, batch = build("qwen2", kind)
    chosen = stage("full")
    set_trainable(model, chosen, "mlp2x_gelu")
    assert model.lm_head.weight is model.get_input_embeddings().weight
    optimizer = torch.optim.AdamW(parameter_groups(model, chosen))
    backward(model, batch)
    optimizer.step()
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_tied_embeddings_stay_tied_when_they_are_made_float32() -> None:
    model, _ = build("qwen2", precision="bf16")
    set_trainable(model, stage("full"), "mlp2x_gelu")
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert model.lm_head.weight.dtype == torch.float32


# Adapters


@pytest.mark.parametrize("family", factory.FAMILIES)
@pytest.mark.parametrize("kind", factory.TOWERS)
def test_adapters_sit_on_every_linear_layer_of_the_blocks_and_nowhere_else(family: str, kind: str) -> None:
    model, _ = build(family, kind)
    linear = {
        f"model.language_model.layers.{layer}.{inside}"
        for layer in (0, 1)
        for inside in (
            *(f"self_attn.{name}_proj" for name in "qkvo"),
            *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
        )
    }
    set_trainable(model, stage("lora"), "mlp2x_gelu")
    adapted = {name.partition(".lora_")[0] for name in named(model) if ".lora_" in name}
    assert adapted == linear


def test_adapters_start_as_no_change_and_follow_the_seed_alone() -> None:
    def adapters(seed: int, before: int) -> tuple[dict[str, torch.Tensor], Any]:
        model, batch = build()
        with torch.no_grad():
            base = model.eval()(**batch).logits
        torch.manual_seed(before)
        set_trainable(model, stage("lora"), "mlp2x_gelu", seed)
        drawn = torch.rand(3)
        torch.manual_seed(before)
        assert torch.equal(drawn, torch.rand(3))
        with torch.no_grad():
            assert torch.equal(model.eval()(**batch).logits, base)
        return {name: value for name, value in named(model).items() if "lora_A" in name}, model

    one, model = adapters(1, before=10)
    same, _ = adapters(1, before=11)
    other, _ = adapters(2, before=10)
    assert len(one) == 14
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
    layer = model.model.language_model.layers[0].self_attn.q_proj
    assert (layer.r["default"], layer.scaling["default"]) == (4, 2.0)


def test_adapters_drop_out_as_the_stage_says() -> None:
    model, _ = build()
    set_trainable(model, stage("lora", lora=LoraConfig(rank=2, alpha=2, dropout=0.25)), "mlp2x_gelu")
    assert model.model.language_model.layers[1].mlp.up_proj.lora_dropout["default"].p == 0.25


def test_setting_a_stage_twice_changes_nothing() -> None:
    model, _ = build()
    counts = set_trainable(model, stage("lora"), "mlp2x_gelu")
    weights = {name: value.detach().clone() for name, value in named(model).items()}
    assert set_trainable(model, stage("lora"), "mlp2x_gelu", seed=9) == counts
    assert set(named(model)) == set(weights)
    assert all(torch.equal(value, weights[name]) for name, value in named(model).items())


def test_counts_are_those_of_a_model_counted_by_hand() -> None:
    model, _ = build("llama", "clip", projector="linear")
    blocks = 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128 + 2 * 64)
    language_model = 2 * 576 * 64 + blocks + 64
    tower = (24 * 3 * 64 + 24 + 5 * 24) + 4 * 24 + 3 * (4 * (24 * 24 + 24) + 4 * 24 + 2 * 24 * 40 + 64)
    assert set_trainable(model, stage("frozen"), "linear") == [
        PartCount("vision_tower", tower, 0),
        PartCount("projector", 24 * 64 + 64 + 64 * 64 + 64, 24 * 64 + 64),
        PartCount("language_model", language_model, 0),
    ]


# Four bits


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_adapters_train_on_a_language_model_in_four_bits(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bitsandbytes")
    # On a machine with a GPU the weights would be put there; the test is about what trains.
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = factory.model_config()
    processor = load_processor(config, "pad", "")
    model = build_model(config, processor, precision=precision, quantization="nf4", seed=0)
    plain, batch = build(precision=precision)
    packed = {name for name, parameter in model.named_parameters() if parameter.dtype == torch.uint8}
    assert packed == {
        name
        for name, parameter in plain.named_parameters()
        if name.startswith("model.language_model.layers.") and parameter.ndim == 2
    }
    chosen = stage("lora")
    # Counted as weights, not as the bytes that they are packed in.
    assert set_trainable(model, chosen, "mlp2x_gelu") == set_trainable(plain, chosen, "mlp2x_gelu")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    sample = {name: value[0] for name, value in batch.items()} | {"pixel_values": batch["pixel_values"][0]}
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=2,
        use_cpu=True,
        bf16=precision == "bf16",
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    optimizer = torch.optim.AdamW(parameter_groups(model, chosen))
    Trainer(model=model, args=arguments, train_dataset=[sample] * 4, optimizers=(optimizer, None)).train()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if expected_to_train(name, "lora", "mlp2x_gelu", "clip")}


# The second look


@pytest.mark.parametrize(
    ("name", "which", "message"),
    [
        ("model.multi_modal_projector.linear_1.bias", "align", "is frozen, but must train"),
        ("lm_head.weight", "align", "trains, but must not"),
        ("model.vision_tower.encoder.layers.0.mlp.fc1.weight", "full", "trains, but must not"),
        ("model.vision_tower.post_layernorm.weight", "full with vision", "trains, but must not"),
        ("model.language_model.norm.weight", "lora", "trains, but must not"),
        (
            "model.language_model.layers.1.mlp.up_proj.lora_B.default.weight",
            "lora",
            "is frozen, but must train",
        ),
        ("model.language_model.embed_tokens.weight", "full", "is frozen, but must train"),
    ],
)
def test_one_parameter_set_wrong_is_found_by_name(name: str, which: str, message: str) -> None:
    model, _ = build()
    set_trainable(model, STAGES[which], "mlp2x_gelu")
    assert_trainable(model, STAGES[which], "mlp2x_gelu")
    parameter = named(model)[name]
    parameter.requires_grad_(not parameter.requires_grad)
    with pytest.raises(InputError, match=f"^{name}: {message}"):
        assert_trainable(model, STAGES[which], "mlp2x_gelu")


def test_an_identity_that_trains_is_found() -> None:
    model, _ = build(projector="linear")
    set_trainable(model, stage("full"), "linear")
    model.model.multi_modal_projector.linear_2.weight.requires_grad_(True)
    with pytest.raises(InputError, match=r"linear_2\.weight: trains, but must not"):
        assert_trainable(model, stage("full"), "linear")


def test_an_adapter_on_the_vision_tower_is_found() -> None:
    import peft

    model, _ = build()
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["q_proj"]))
    with pytest.raises(InputError, match=r"^model\.vision_tower\..*: an adapter outside the language model"):
        set_trainable(model, stage("lora"), "mlp2x_gelu")


def test_a_lora_stage_without_adapters_is_found() -> None:
    model, _ = build()
    set_trainable(model, stage("frozen"), "mlp2x_gelu")
    with pytest.raises(InputError, match="the model has none"):
        assert_trainable(model, stage("lora"), "mlp2x_gelu")


# The optimizer's groups


@pytest.mark.parametrize("which", STAGES)
@pytest.mark.parametrize("projector", ["linear", "mlp2x_gelu"])
def test_every_trainable_parameter_is_in_exactly_one_group(which: str, projector: str) -> None:
    model, _ = build("qwen2", "siglip", projector=projector)
    set_trainable(model, STAGES[which], projector)
    grouped = [
        id(parameter) for group in parameter_groups(model, STAGES[which]) for parameter in group["params"]
    ]
    trainable = [id(parameter) for parameter in model.parameters() if parameter.requires_grad]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == set(trainable)


def test_every_part_has_its_rate_and_only_matrices_decay() -> None:
    model, _ = build()
    chosen = stage(
        "full",
        learning_rate=1e-3,
        projector_learning_rate=2e-3,
        vision_tower_learning_rate=3e-3,
        weight_decay=0.1,
    )
    set_trainable(model, chosen, "mlp2x_gelu")
    groups = parameter_groups(model, chosen)
    assert [(group["name"], group["lr"], group["weight_decay"]) for group in groups] == [
        ("vision_tower", 3e-3, 0.1),
        ("vision_tower_no_decay", 3e-3, 0.0),
        ("projector", 2e-3, 0.1),
        ("projector_no_decay", 2e-3, 0.0),
        ("language_model", 1e-3, 0.1),
        ("language_model_no_decay", 1e-3, 0.0),
    ]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert part_of(name) == group["name"].removesuffix("_no_decay")
            exempt = name.endswith(("bias", "class_embedding")) or "norm" in name
            assert exempt == group["name"].endswith("_no_decay"), name


def test_the_projector_has_the_stages_rate_where_it_has_none_of_its_own() -> None:
    model, _ = build()
    set_trainable(model, stage("frozen"), "mlp2x_gelu")
    groups = parameter_groups(model, stage("frozen", learning_rate=5e-4))
    assert [(group["name"], group["lr"]) for group in groups] == [
        ("projector", 5e-4),
        ("projector_no_decay", 5e-4),
    ]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("lm_head.weight", "language_model"),
        ("model.language_model.embed_tokens.weight", "language_model"),
        ("module.model.vision_tower.embeddings.class_embedding", "vision_tower"),
        ("model.multi_modal_projector.linear_1.bias", "projector"),
        (
            "base_model.model.model.language_model.layers.0.mlp.up_proj.lora_A.default.weight",
            "language_model",
        ),
    ],
)
def test_a_parameters_part_is_seen_through_wrappers(name: str, part: str) -> None:
    assert part_of(name) == part
