"""Recipes hold the published hyperparameters, take overrides, and refuse what they do not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from train.config import Recipe, differences, load_recipe, recipe_names
from train.records import InputError
from train.zero import configuration_names, sharing

MINIMAL = """
description = "mine"
[model]
language_model = "llm"
vision_tower = "tower"
[finetune]
format = "vicuna_v1"
learning_rate = 2e-5
global_batch_size = 8
micro_batch_size = 2
"""


def problem(name: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load_recipe(name, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_shipped_recipes_are_these() -> None:
    assert recipe_names() == [
        "llava-1.5-13b",
        "llava-1.5-7b",
        "llava-1.5-7b-lora",
        "llava-1.5-7b-one-stage",
        "llava-1.5-7b-qlora",
        "llava-v1-7b",
        "smoke",
    ]


@pytest.mark.parametrize(
    ("name", "align", "finetune"),
    [
        ("llava-v1-7b", (128, 2e-3, 1, 2048), (32, 2e-5, 3, 2048)),
        ("llava-1.5-7b", (256, 1e-3, 1, 2048), (128, 2e-5, 1, 2048)),
        ("llava-1.5-13b", (256, 1e-3, 1, 2048), (128, 2e-5, 1, 2048)),
        ("llava-1.5-7b-lora", (256, 1e-3, 1, 2048), (128, 2e-4, 1, 2048)),
        ("llava-1.5-7b-qlora", (256, 1e-3, 1, 2048), (128, 2e-4, 1, 2048)),
    ],
)
def test_shipped_recipes_have_the_published_hyperparameters(
    name: str, align: tuple[float, ...], finetune: tuple[float, ...]
) -> None:
    recipe = load_recipe(name)
    assert [stage for stage, _ in recipe.stages()] == ["align", "finetune"]
    for (_, stage), published in zip(recipe.stages(), (align, finetune), strict=True):
        assert (
            stage.global_batch_size,
            stage.learning_rate,
            stage.epochs,
            stage.max_length,
        ) == published
        assert (stage.warmup_ratio, stage.weight_decay, stage.precision) == (0.03, 0.0, "bf16")
        assert stage.vision_tower_learning_rate is None
    assert recipe.model.feature_layer == -2
    assert recipe.model.feature_select == "patch"


def test_lora_recipes_have_the_published_adapters_and_projector_rate() -> None:
    lora, qlora = (load_recipe(f"llava-1.5-7b-{kind}") for kind in ("lora", "qlora"))
    assert lora.finetune is not None and qlora.finetune is not None
    assert (lora.finetune.lora.rank, lora.finetune.lora.alpha, lora.finetune.lora.dropout) == (128, 256, 0.05)
    assert lora.finetune.projector_learning_rate == 2e-5
    assert differences(lora, qlora) == [
        "finetune.deepspeed: zero3 here, zero2 there",  # weights in 4 bits cannot be shared
        "finetune.quantization: none here, nf4 there",
    ]


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_name_configurations_that_there_are(name: str) -> None:
    for stage_name, stage in load_recipe(name).stages():
        if name == "smoke":
            assert stage.deepspeed is None  # a tiny model is quicker without
        else:
            assert sharing(stage, stage_name).zero == 0  # alone, a process has nobody to share with
            assert stage.deepspeed in configuration_names()


def test_the_one_stage_recipe_is_the_same_without_align() -> None:
    one, two = load_recipe("llava-1.5-7b-one-stage"), load_recipe("llava-1.5-7b")
    assert [name for name, _ in one.stages()] == ["finetune"]
    assert (one.model, one.finetune) == (two.model, two.finetune)


def test_only_v1_differs_from_1_5_in_projector_tower_and_padding() -> None:
    first, second = load_recipe("llava-v1-7b"), load_recipe("llava-1.5-7b")
    assert first.model.projector == "linear"
    assert second.model.projector == "mlp2x_gelu"
    assert first.finetune is not None and second.finetune is not None
    assert (first.finetune.image_aspect_ratio, second.finetune.image_aspect_ratio) == ("square", "pad")


def test_overrides_change_values_of_every_kind() -> None:
    recipe = load_recipe(
        "smoke",
        [
            "seed=7",
            "model.language_model=some/llm",
            "finetune.learning_rate=1e-5",
            "finetune.language_model=lora",
            "finetune.lora.rank=4",
            'description="two words"',
        ],
    )
    assert recipe.seed == 7
    assert recipe.model.language_model == "some/llm"
    assert recipe.description == "two words"
    assert recipe.finetune is not None
    assert (recipe.finetune.learning_rate, recipe.finetune.language_model, recipe.finetune.lora.rank) == (
        1e-5,
        "lora",
        4,
    )


def test_a_stage_is_skipped_by_an_empty_override() -> None:
    assert [name for name, _ in load_recipe("smoke", ["align="]).stages()] == ["finetune"]
    assert [name for name, _ in load_recipe("smoke", ["finetune="]).stages()] == ["align"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "finetune.learing_rate=1",
            "finetune.learing_rate=1: unknown key; did you mean learning_rate?",
        ),
        (
            "models.projector=linear",
            "smoke.toml: models: unknown key; did you mean model?",
        ),
        (
            "finetune.learning_rate=fast",
            "finetune.learning_rate=fast: Input should be a valid number, unable to parse string as a "
            "number, got 'fast'",
        ),
        (
            "finetune.micro_batch_size=0",
            "finetune.micro_batch_size=0: Input should be greater than or equal to 1, got 0",
        ),
        (
            "align.language_model=full",
            "smoke.toml: align trains the projector alone: align.language_model must be 'frozen'",
        ),
        (
            "finetune.quantization=nf4",
            "smoke.toml: finetune: quantization holds weights that do not train: it needs "
            "language_model = 'lora'",
        ),
        ("seed", "'seed': an override is key=value, such as finetune.learning_rate=1e-5"),
        ("seed.of.it=1", "'seed.of.it=1': seed is a value, not a table"),
        ("finetune.learning_rate=", "finetune.learning_rate=: is missing"),
    ],
)
def test_a_wrong_override_is_refused_in_one_line(override: str, message: str) -> None:
    overrides = ["seed=1", override]
    assert problem("smoke", *overrides) == message


def test_nothing_to_train_is_refused() -> None:
    assert problem("smoke", "align=", "finetune=") == (
        "smoke.toml: has neither an [align] nor a [finetune] table: nothing would train"
    )


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    assert problem("llava") == (
        "--recipe llava: no such recipe; there are llava-1.5-13b, llava-1.5-7b, llava-1.5-7b-lora, "
        "llava-1.5-7b-one-stage, llava-1.5-7b-qlora, llava-v1-7b, smoke, or name a .toml file"
    )


def test_a_recipe_file_is_read_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    assert [name for name, _ in load_recipe(str(path)).stages()] == ["finetune"]
    path.write_text(MINIMAL + "=")
    assert problem(str(path)).startswith(f"{path}: not TOML (")
    assert problem(str(tmp_path / "none.toml")) == f"{tmp_path / 'none.toml'}: no such recipe file"


def test_differences_name_what_decides_a_run_and_nothing_else() -> None:
    ours = load_recipe("smoke")
    theirs = load_recipe("smoke", ["workers=8", "finetune.save_steps=7", "seed=1", "align="])
    named = differences(ours, theirs)
    assert "seed: 42 here, 1 there" in named
    assert not any("workers" in line or "save_steps" in line for line in named)
    assert "align: a stage here, none there" in named
    assert not any(line.startswith("align.") for line in named)
    assert differences(ours, Recipe.model_validate(ours.model_dump())) == []
