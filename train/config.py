"""Recipes: a TOML file says what is composed and how each stage trains it; the command line overrides it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from train.records import InputError

RECIPES = Path(__file__).parent / "recipes"
TINY = "tiny"
"""As `language_model` or `vision_tower`: a random one, a million weights in all, made on the spot."""

StageName = Literal["align", "finetune"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(_Table):
    """What the LLaVA is composed of."""

    language_model: str
    """A causal language model: a folder or a hub name."""
    vision_tower: str
    """A CLIP or SigLIP model: a folder or a hub name."""
    projector: Literal["linear", "mlp2x_gelu"] = "mlp2x_gelu"
    """`linear` as in LLaVA, `mlp2x_gelu` as in LLaVA-1.5."""
    feature_layer: int = -2
    """The tower's hidden state that is projected; -2 is the last but one."""
    feature_select: Literal["patch", "cls_patch"] = "patch"
    """`patch` drops the tower's CLS token where it has one."""


class LoraConfig(_Table):
    """Low-rank adapters on every linear layer of the language model (LoRA, arXiv 2106.09685)."""

    rank: int = Field(128, ge=1)
    alpha: int = Field(256, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)


class StageConfig(_Table):
    """One stage of training. Both stages are values of this type."""

    format: str
    """Conversation format: a name that `train.conversation` knows."""
    image_aspect_ratio: Literal["pad", "square"] = "pad"
    """LLaVA's words: `pad` to a square with the tower's mean colour, or `square`: a crop of the middle."""

    language_model: Literal["frozen", "full", "lora"] = "full"
    """How the language model trains. The projector always does."""
    learning_rate: float = Field(gt=0)
    projector_learning_rate: float | None = Field(None, gt=0)
    """The projector's own; `learning_rate` when absent."""
    vision_tower_learning_rate: float | None = Field(None, gt=0)
    """Trains the vision tower too, at this rate; absent, it is frozen."""
    lora: LoraConfig = LoraConfig()
    """Read where `language_model` is `lora`."""
    quantization: Literal["none", "nf4"] = "none"
    """`nf4` holds the frozen language model in 4 bits (QLoRA, arXiv 2305.14314): LoRA and bitsandbytes."""

    epochs: float = Field(1, gt=0)
    max_steps: int | None = Field(None, ge=1)
    """Ends training early; the schedule runs over these steps."""
    global_batch_size: int = Field(ge=1)
    """Samples a step, over all processes."""
    packing: bool = True
    """Several samples in a row of up to max_length positions, kept apart; changes speed, not the loss."""
    micro_batch_size: int = Field(ge=1)
    """Without packing: samples that one process takes at once, padded to the longest of them."""
    max_length: int = Field(2048, ge=8)
    """Positions, image features included. Longer samples lose whole turns from the end."""
    warmup_ratio: float = Field(0.03, ge=0, le=1)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    precision: Literal["bf16", "fp32"] = "bf16"
    gradient_checkpointing: bool = True
    torch_compile: bool = False
    """Compile the blocks of the model (torch.compile): slow first steps, then faster ones."""
    use_liger_kernel: bool = False
    """Liger's fused Triton kernels in the language model; needs a GPU and liger-kernel."""
    deepspeed: str | None = None
    """How several processes share weights, gradients and optimizer: a name of `train/deepspeed` (`zero2`,
    `zero3`, `zero2_offload`, `zero3_offload`), or a DeepSpeed configuration of one's own (.json). Absent,
    each process holds all of them (DDP)."""

    save_steps: int = Field(500, ge=1)
    keep_checkpoints: int = Field(2, ge=1)
    max_left_out: float = Field(0.01, ge=0, le=1)
    """The run stops where a larger share of samples could not be used."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.quantization != "none" and self.language_model != "lora":
            raise ValueError("quantization holds weights that do not train: it needs language_model = 'lora'")
        return self


class Recipe(_Table):
    """Everything that decides a training run but its data."""

    description: str
    model: ModelConfig
    align: StageConfig | None = None
    """Stage 1: the projector alone. A recipe without it trains in one stage."""
    finetune: StageConfig | None = None
    """Stage 2: projector and language model."""
    seed: int = 42
    workers: int = Field(4, ge=0)
    """Processes that read images, for each training process; 0 reads in the training process itself."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.align is None and self.finetune is None:
            raise ValueError("has neither an [align] nor a [finetune] table: nothing would train")
        if self.align is not None and self.align.language_model != "frozen":
            raise ValueError("align trains the projector alone: align.language_model must be 'frozen'")
        return self

    def stages(self) -> Iterator[tuple[StageName, StageConfig]]:
        """The stages in the order they run."""
        if self.align is not None:
            yield "align", self.align
        if self.finetune is not None:
            yield "finetune", self.finetune


@dataclass(frozen=True)
class RunConfig:
    """What the command line says of a run."""

    recipe: str
    out: Path
    overrides: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    """Files for the finetune stage, each `FILE` or `FILE:WEIGHT`."""
    images: Path | None = None
    align_data: tuple[str, ...] = ()
    align_images: Path | None = None
    """`images` when absent."""


def recipe_names() -> list[str]:
    """The shipped recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a TOML file by path, and apply `key=value` overrides.

    Keys are dotted as in the file (`finetune.learning_rate=1e-5`); values are TOML, or plain text.
    An empty value (`align=`) removes the key, and so a whole stage.

    Raises InputError for an unknown recipe, key or value, in one line.
    """
    path = _find(name)
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML ({error})") from None
    for override in overrides:
        _apply(tables, override)
    try:
        recipe = Recipe.model_validate(tables)
    except ValidationError as error:
        key, problem = _first_problem(error)
        # What the command line gave is not the file's fault.
        given = [text for text in overrides if text.partition("=")[0] == key]
        where = given[-1] if given else f"{path.name}: {key}" if key else path.name
        raise InputError(f"{where}: {problem}") from None
    return recipe.model_copy(update={"model": _located(recipe.model)})


def resolve_tiny(model: ModelConfig, run_folder: Path) -> ModelConfig:
    """The same model with `tiny` as the folders that a run keeps for it under `base`."""
    base = run_folder / "base"
    return model.model_copy(
        update={
            part: str(base / part)
            for part in ("language_model", "vision_tower")
            if getattr(model, part) == TINY
        }
    )


def differences(ours: Recipe, theirs: Recipe) -> list[str]:
    """The keys in which two recipes differ, as `key: ours, theirs`, but for what may change between runs."""
    mine, other = dict(_flatten(ours.model_dump())), dict(_flatten(theirs.model_dump()))
    found = []
    for stage in ("align", "finetune"):
        here, there = (getattr(recipe, stage) is not None for recipe in (ours, theirs))
        if here != there:
            found.append(f"{stage}: {'a' if here else 'no'} stage here, {'one' if there else 'none'} there")
            for tables in (mine, other):
                for key in [key for key in tables if key.split(".")[0] == stage]:
                    del tables[key]
    return found + [
        f"{key}: {mine.get(key)} here, {other.get(key)} there"
        for key in sorted({*mine, *other})
        if mine.get(key) != other.get(key) and key.rpartition(".")[2] not in _FREE
    ]


def _located(model: ModelConfig) -> ModelConfig:
    """Folders by their whole path, so that a checkpoint finds them from wherever it is read."""
    names = {part: getattr(model, part) for part in ("language_model", "vision_tower")}
    folders = {part: name for part, name in names.items() if name != TINY and Path(name).is_dir()}
    return model.model_copy(update={part: str(Path(name).resolve()) for part, name in folders.items()})


_FREE = {
    *("description", "workers", "save_steps", "keep_checkpoints", "max_left_out"),
    *("packing", "micro_batch_size", "gradient_checkpointing", "torch_compile", "use_liger_kernel"),
}
"""What may change between two starts of a run: none of it changes what is learnt."""


def _find(name: str) -> Path:
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise InputError(f"{path}: no such recipe file")
        return path
    if name not in recipe_names():
        raise InputError(
            f"--recipe {name}: no such recipe; there are {', '.join(recipe_names())}, or name a .toml file"
        )
    return RECIPES / f"{name}.toml"


def _apply(tables: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"{override!r}: an override is key=value, such as finetune.learning_rate=1e-5")
    *parents, last = key.split(".")
    table = tables
    for name in parents:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise InputError(f"{override!r}: {name} is a value, not a table")
    if not text:
        table.pop(last, None)
        return
    try:
        table[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = text


def _first_problem(error: ValidationError) -> tuple[str, str]:
    """The key at fault, and what is wrong with it."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _keys_beside(problem["loc"])
        close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.7)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
        return key, f"unknown key; {hint}"
    if problem["type"] == "missing":
        return key, "is missing"
    message = problem["msg"].removeprefix("Value error, ")
    given = "" if isinstance(problem["input"], dict) else f", got {problem['input']!r}"
    return key, message + given


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    models: dict[tuple[str, ...], type[BaseModel]] = {
        (): Recipe,
        ("model",): ModelConfig,
        ("align",): StageConfig,
        ("finetune",): StageConfig,
        ("align", "lora"): LoraConfig,
        ("finetune", "lora"): LoraConfig,
    }
    parent = tuple(str(part) for part in location[:-1])
    return list(models[parent].model_fields)


def _flatten(tables: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
