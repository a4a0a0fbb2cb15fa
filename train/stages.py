"""What trains in a stage, at which rate: decided here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import peft
import torch

from train.config import StageConfig
from train.records import InputError

PARTS = ("vision_tower", "projector", "language_model")


@dataclass(frozen=True)
class PartCount:
    """How many weights a part of the model has, and how many of them train."""

    part: str
    """`vision_tower`, `projector` or `language_model`; adapters count in the last."""
    total: int
    trainable: int


def part_of(parameter_name: str) -> str:
    """The part that a parameter belongs to, whatever a wrapper has put before its name."""
    if re.search(r"(^|\.)vision_tower\.", parameter_name):
        return "vision_tower"
    if re.search(r"(^|\.)multi_modal_projector\.", parameter_name):
        return "projector"
    # The head too: it is the language model's, and tied to its embedding in some.
    return "language_model"


def set_trainable(model: Any, stage: StageConfig, projector: str, seed: int = 0) -> list[PartCount]:
    """Freeze everything, then free what the stage trains; returns what every part comes to.

    - The projector always trains, but for the identity that stands in a `linear` one's second layer.
    - The language model trains `full` (embedding and head as well), or through `lora`: adapters on the
      linear layers of its blocks, which are added here and drawn from `seed` alone, or not at all.
    - The vision tower trains where the stage gives it a rate, up to the layer whose features are read:
      layers beyond it, the last norm and the pooling head get no gradient, so they stay frozen.

    What trains is held in float32, whatever it was loaded in: a bf16 weight does not notice a small step.
    So is the rest of its part, or a part's layers could not take each other's outputs; only adapters stand
    beside bf16 weights. Under `bf16` the forward pass then needs autocast, as transformers' trainer gives it.
    """
    if stage.language_model == "lora" and not getattr(model, "_hf_peft_config_loaded", False):
        _add_lora(model, stage, seed)
    layers = _layers_read(model)
    trains = {name: _trains(name, stage, projector, layers) for name, _ in model.named_parameters()}
    in_float32 = {part_of(name) for name, free in trains.items() if free and ".lora_" not in name}
    for name, parameter in model.named_parameters():
        if trains[name] or part_of(name) in in_float32:
            parameter.data = parameter.data.float()
        parameter.requires_grad_(trains[name])
    assert_trainable(model, stage, projector)
    return _count(model)


def assert_trainable(model: Any, stage: StageConfig, projector: str) -> None:
    """Raise InputError naming the first parameter that trains and should not, or should and does not."""
    layers = _layers_read(model)
    adapters = 0
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            adapters += 1
            if part_of(name) != "language_model" or "lm_head" in name:
                raise InputError(f"{name}: an adapter outside the language model's blocks")
        expected = _trains(name, stage, projector, layers)
        if parameter.requires_grad != expected:
            wrong = "trains, but must not" if parameter.requires_grad else "is frozen, but must train"
            raise InputError(f"{name}: {wrong} in a stage with language_model = '{stage.language_model}'")
    if stage.language_model == "lora" and not adapters:
        raise InputError("the stage trains adapters (language_model = 'lora'), but the model has none")


def parameter_groups(model: Any, stage: StageConfig) -> list[dict[str, Any]]:
    """What the optimizer takes: `params`, `lr`, `weight_decay` and `name`, each trainable parameter once.

    Every part has its own rate. Weight decay is for matrices: biases and norms have none.
    """
    rates = {
        "vision_tower": stage.vision_tower_learning_rate,
        "projector": stage.projector_learning_rate or stage.learning_rate,
        "language_model": stage.learning_rate,
    }
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = []
    for part in PARTS:
        ours = [parameter for name, parameter in trainable if part_of(name) == part]
        matrices = [parameter for parameter in ours if parameter.ndim > 1]
        vectors = [parameter for parameter in ours if parameter.ndim <= 1]
        for suffix, parameters, decay in (("", matrices, stage.weight_decay), ("_no_decay", vectors, 0.0)):
            if parameters:
                groups.append(
                    {"name": part + suffix, "params": parameters, "lr": rates[part], "weight_decay": decay}
                )
    return groups


def _trains(name: str, stage: StageConfig, projector: str, layers_read: int) -> bool:
    part = part_of(name)
    if part == "projector":
        return projector != "linear" or ".linear_2." not in name
    if part == "vision_tower":
        return stage.vision_tower_learning_rate is not None and _is_read(name, layers_read)
    if stage.language_model == "lora":
        return ".lora_" in name
    return stage.language_model == "full"


def _layers_read(model: Any) -> int:
    """How many of the tower's layers the projected features have been through."""
    layers, read = model.config.vision_config.num_hidden_layers, model.config.vision_feature_layer
    return int(read if read >= 0 else layers + 1 + read)


def _is_read(name: str, layers_read: int) -> bool:
    layer = re.search(r"\.encoder\.layers\.(\d+)\.", name)
    if layer:
        return int(layer.group(1)) < layers_read
    return ".post_layernorm." not in name and ".head." not in name


def _add_lora(model: Any, stage: StageConfig, seed: int) -> None:
    blocks = "model.language_model.layers."
    leaves = sorted(
        {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if name.startswith(blocks) and isinstance(module, torch.nn.Linear)
        }
    )
    adapters = peft.LoraConfig(
        r=stage.lora.rank,
        lora_alpha=stage.lora.alpha,
        lora_dropout=stage.lora.dropout,
        # By the whole name: `q_proj` alone would also adapt the vision tower.
        target_modules=rf"{re.escape(blocks)}\d+\.(.+\.)?({'|'.join(map(re.escape, leaves))})",
        bias="none",
    )
    # PEFT draws from PyTorch's global state; seeding all of torch would touch the GPUs' as well.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model.add_adapter(adapters)


def _count(model: Any) -> list[PartCount]:
    total, trainable = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():
        weights = _weights(parameter)
        total[part_of(name)] += weights
        trainable[part_of(name)] += weights if parameter.requires_grad else 0
    return [PartCount(part, total[part], trainable[part]) for part in PARTS]


def _weights(parameter: torch.nn.Parameter) -> int:
    # bitsandbytes packs two weights in a byte and keeps the shape beside them.
    packed = getattr(parameter, "quant_state", None)
    return int(packed.shape.numel()) if packed is not None else parameter.numel()
