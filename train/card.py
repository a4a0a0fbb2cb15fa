"""The model card of an export: what its record, its recipe, its log and its proof say, and nothing else."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from train.checkpoint import RunRecord
from train.config import TINY, Recipe
from train.proof import Proof

_CARD = Path(__file__).with_name("model_card.md.jinja")
_LOSS_STEPS = 20
"""Logged steps that the model card's losses are the mean of."""


def gather(record: RunRecord, recipe: Recipe, checkpoint: Path, *, servable: bool) -> dict[str, Any]:
    """What the card says of the run that `checkpoint` is of; its log is looked for beside its stage.

    `servable`: vLLM reads the model.
    """
    stage = dict(recipe.stages())[record.stage]
    bases = {part: getattr(recipe.model, part) for part in ("language_model", "vision_tower")}
    on_hub = [name for name in bases.values() if name != TINY and not _is_path(name)]
    losses, steps = _losses(checkpoint.parent.parent / "log.jsonl", record)
    return {
        "card_data": ModelCardData(
            base_model=on_hub or None,
            library_name="transformers",
            pipeline_tag="image-text-to-text",
            tags=["llava", "visual-instruction-tuning", "vitkit"],
        ),
        **{part: _base_name(name, part) for part, name in bases.items()},
        "projector": recipe.model.projector,
        "checkpoint": f"{record.stage}/{checkpoint.name}",
        "record": record,
        "data": [(Path(file.path).name, file.weight, file.sha256) for file in record.data],
        "format": stage.format,
        "stage": record.stage,
        "recipe": _toml(recipe, record.stage),
        "losses": losses,
        "loss_steps": steps,
        "servable": servable,
        "quantized": stage.quantization != "none",
    }


def write(folder: Path, facts: dict[str, Any], proof: Proof) -> None:
    """Write README.md, of what `gather` gave."""
    card = ModelCard.from_template(template_path=str(_CARD), proof=proof, **facts)
    card.save(folder / "README.md")


def _base_name(name: str, part: str) -> str:
    if name == TINY:
        return f"a tiny random {part.replace('_', ' ')}"
    return Path(name).name if _is_path(name) else name


def _is_path(name: Any) -> bool:
    """A folder of this machine, and no name on the hub."""
    return isinstance(name, str) and (Path(name).is_absolute() or Path(name).is_dir())


def _toml(recipe: Recipe, last_stage: str) -> str:
    """The recipe as a recipe file, up to the stage that was exported."""
    model = {
        key: Path(value).name if _is_path(value) else value
        for key, value in recipe.model.model_dump().items()
    }
    tables: dict[str, Any] = {"": {"seed": recipe.seed}, "model": model}
    for name, stage in recipe.stages():
        values = stage.model_dump()
        lora = values.pop("lora")
        tables[name] = values
        if stage.language_model == "lora":
            tables[f"{name}.lora"] = lora
        if name == last_stage:
            break
    lines = []
    for table, values in tables.items():
        lines += ["", f"[{table}]"] if table else []
        # JSON writes text, numbers and truth as TOML does.
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines)


def _losses(log: Path, record: RunRecord) -> tuple[list[tuple[str, float]], int]:
    """The mean training losses of the last steps before the checkpoint, overall and by response type."""
    if not log.is_file():
        return [], 0
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    ours = [entry for entry in entries if entry["stage"] == record.stage and entry["step"] <= record.step]
    last = ours[-_LOSS_STEPS:]
    by_name: dict[str, list[float]] = {}
    for entry in last:
        for key, value in entry.items():
            if key == "loss" or key.startswith("loss/type/"):
                by_name.setdefault(key.removeprefix("loss/type/"), []).append(float(value))
    return [(name, statistics.fmean(values)) for name, values in by_name.items()], len(last)
