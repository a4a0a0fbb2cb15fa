"""Checkpoints as a run leaves them, with weights that moved, without the run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from tests.train import factory
from train.checkpoint import DataRecord, Draft, RunRecord, kept_parameters, save_weights, versions
from train.config import ModelConfig, Recipe, StageConfig
from train.conversation import get_format
from train.model import build_model, load_processor
from train.stages import set_trainable

FAMILY_FORMATS = {
    "llama": "vicuna_v1",
    "llama_3": "llama_3",
    "mistral": "mistral",
    "qwen2": "chatml",
    "qwen3": "chatml",
}


def stage_config(**settings: Any) -> StageConfig:
    return StageConfig.model_validate(
        {
            "format": "vicuna_v1",
            "learning_rate": 1e-3,
            "global_batch_size": 4,
            "micro_batch_size": 2,
            "max_length": 400,
            "precision": "fp32",
            "lora": {"rank": 4, "alpha": 8},
            **settings,
        }
    )


def write_checkpoint(
    run: Path,
    model: ModelConfig,
    stage: StageConfig,
    name: str = "finetune",
    *,
    recorded: ModelConfig | None = None,
) -> Path:
    """Write RUN/NAME/checkpoint-7, in which every weight that trains has moved; returns it.

    `recorded` is what the record says the model is, where that differs.
    """
    recipe = Recipe(description="a test", model=recorded or model, **{name: stage})
    processor = load_processor(model, stage.image_aspect_ratio, get_format(stage.format).template)
    llava = build_model(model, processor, precision=stage.precision, quantization="none", seed=recipe.seed)
    set_trainable(llava, stage, model.projector)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in kept_parameters(llava).values():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape, generator=generator)
    record = RunRecord(
        stage=name,
        step=7,
        total_steps=7,
        recipe=recipe.model_dump(),
        data=[
            DataRecord(path="/data/llava_instruct.json", weight=1.0, sha256=hashlib.sha256(b"").hexdigest())
        ],
        parts=[],
        versions=versions(),
        samples=28,
        tokens=345,
        seconds=6.5,
    )
    with Draft(run / name, 7) as draft:
        save_weights(llava, draft.folder)
        return draft.publish(record)


def tiny_checkpoint(
    run: Path, family: str = "llama", kind: str = "clip", *, projector: str = "mlp2x_gelu", **stage: Any
) -> Path:
    """A checkpoint of the factory's shared models, in the format that goes with the family."""
    model = factory.model_config(family, kind, projector=projector)
    return write_checkpoint(run, model, stage_config(**{"format": FAMILY_FORMATS[family], **stage}))
