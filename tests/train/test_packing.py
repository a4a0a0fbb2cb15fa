"""Samples packed into a row are computed as if each were alone, in every family, and a leak is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train import factory
from train import gates
from train.attention import BY_SAMPLE, attend_by_sample
from train.collate import Collator
from train.config import StageConfig
from train.conversation import Encoder, get_format
from train.dataset import DataFile, Example, InstructionData, prepare, read_samples
from train.images import ImageStore
from train.loss import token_losses
from train.model import build_model, features_per_image, image_size, load_processor
from train.records import IGNORE_INDEX, InputError
from train.stages import set_trainable

FORMATS = {
    "llama": "vicuna_v1",
    "llama_3": "llama_3",
    "mistral": "mistral",
    "qwen2": "chatml",
    "qwen3": "chatml",
}
MASKED = ("sdpa", "eager")
"""Attention under transformers' mask for packed rows."""
ATTENTIONS = (*MASKED, BY_SAMPLE)
# Samples with one image, two, and none.
CONVERSATIONS = (
    ("<image>\nWhat is the man doing?", "He is riding a horse along the beach, and two dogs run after him."),
    ("<image>\nAnd <image>?", "A sofa, and a sleeping cat.", "How many dogs?", "Two."),
    ("What could happen next?", "The ball may be caught by the child on the left."),
    ("Describe it.\n<image>", "A street with cars, a bus and a traffic light."),
    ("Who is there?", "Nobody."),
)
LOGITS = 2e-6
"""Of the largest logit: float32 rounding of sums in another order, some ten times its unit."""
GRADIENTS = 1e-5
"""Of a parameter's largest gradient: the same, summed over all positions."""
BF16 = 2e-2
"""Of either, under bf16 autocast: a few of its units of 1/256. A leak is larger than a tenth."""


@dataclass
class World:
    """A model with samples for it."""

    model: Any
    data: InstructionData
    examples: list[Example]
    stage: StageConfig
    pad_token_id: int
    image_size: int

    def collate(self, examples: list[Example], **changes: Any) -> list[dict[str, Any]]:
        collator = Collator(self.pad_token_id, self.image_size, self.stage.model_copy(update=changes))
        return list(collator(examples)["micro_batches"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("packing")
    records, images = [], 0
    for number, turns in enumerate(CONVERSATIONS):
        names = [f"{images + i}.png" for i in range(sum(turn.count("<image>") for turn in turns))]
        for name in names:
            factory.picture(20, 30, seed=images).save(root / name)
            images += 1
        said = [{"from": ("human", "gpt")[i % 2], "value": turn} for i, turn in enumerate(turns)]
        records.append({"id": f"s-{number}", "image": names, "conversations": said} if names else
                       {"id": f"s-{number}", "conversations": said})  # fmt: skip
    (root / "data.json").write_text(json.dumps(records))
    return root


@pytest.fixture(scope="module")
def world(folder: Path) -> Callable[..., World]:
    def make(family: str, attention: str = "sdpa", **changes: Any) -> World:
        stage = StageConfig(
            format=FORMATS[family],
            learning_rate=1e-3,
            global_batch_size=8,
            micro_batch_size=8,
            max_length=512,
            precision="fp32",
            gradient_checkpointing=False,
        ).model_copy(update=changes)
        config = factory.model_config(family)
        template = get_format(stage.format)
        processor = load_processor(config, "pad", template.template)
        encoder = Encoder(
            processor.tokenizer,
            template,
            image_token_id=processor.image_token_id,
            features_per_image=features_per_image(processor),
            max_length=stage.max_length,
        )
        samples, _ = read_samples([DataFile(folder / "data.json")], "finetune")
        store = ImageStore(folder)
        prepared, left_out = prepare(samples, encoder, store, "finetune", needs_images=False)
        assert left_out == []
        model = build_model(config, processor, precision="fp32", quantization="none", seed=1)
        set_trainable(model, stage, config.projector)
        if attention == BY_SAMPLE:
            assert attend_by_sample(model, stage.max_length)
        else:
            model.set_attn_implementation(attention)
        assert model.model.language_model.config._attn_implementation == attention
        model.train()
        if stage.gradient_checkpointing:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        data = InstructionData(prepared, encoder, store, processor.image_processor)
        examples = [data[index] for index in range(len(data))]
        assert [len(each.pixel_values) for each in examples] == [1, 2, 0, 1, 0]
        return World(model, data, examples, stage, processor.tokenizer.pad_token_id, image_size(processor))

    return make


def autocast(on: bool) -> Any:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=on)


def logits(world: World, micro_batch: dict[str, Any]) -> dict[int, torch.Tensor]:
    """Those of each sample of a row, by its index."""
    inputs = {key: value for key, value in micro_batch.items() if key not in ("labels", "sample_index")}
    with torch.no_grad(), autocast(world.stage.precision == "bf16"):
        found = world.model(**inputs).logits[0].float()
    of = micro_batch["sample_index"][0]
    return {index: found[of == index] for index in of.unique().tolist()}


def gradients(world: World, micro_batches: list[dict[str, Any]]) -> tuple[float, dict[str, torch.Tensor]]:
    """The summed loss of micro batches, and its gradients by parameter."""
    world.model.zero_grad(set_to_none=True)
    total = 0.0
    for micro_batch in micro_batches:
        with autocast(world.stage.precision == "bf16"):
            losses, _ = token_losses(world.model, micro_batch)
        losses.sum().backward()
        total += losses.sum().item()
    return total, {
        name: weight.grad.clone()
        for name, weight in world.model.named_parameters()
        if weight.grad is not None
    }


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference, of the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def assert_as_if_alone(world: World, tolerances: tuple[float, float]) -> None:
    (row,) = world.collate(world.examples)
    assert row["input_ids"].numel() == sum(len(each.input_ids) for each in world.examples)
    alone = [world.collate([each], packing=False)[0] for each in world.examples]
    packed = logits(world, row)
    for each, batch in zip(world.examples, alone, strict=True):
        (single,) = logits(world, batch).values()
        assert apart(packed[each.index], single) < tolerances[0], each.index
    loss, ours = gradients(world, [row])
    total, theirs = gradients(world, alone)
    assert loss == pytest.approx(total, rel=tolerances[0])
    assert ours.keys() == theirs.keys() and len(ours) > 20
    for name, gradient in ours.items():
        # A key's bias moves no softmax: its gradient is rounding alone.
        if not name.endswith("k_proj.bias"):
            assert apart(gradient, theirs[name]) < tolerances[1], name


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("family", FORMATS)
def test_packed_samples_are_computed_as_if_each_were_alone(
    world: Callable[..., World], family: str, attention: str
) -> None:
    assert_as_if_alone(world(family, attention), (LOGITS, GRADIENTS))


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("family", FORMATS)
def test_so_they_are_under_activation_checkpointing_and_bf16(
    world: Callable[..., World], family: str, attention: str
) -> None:
    changed = world(family, attention, gradient_checkpointing=True, precision="bf16")
    assert changed.model.is_gradient_checkpointing
    assert_as_if_alone(changed, (BF16, BF16))


@pytest.mark.parametrize("family", FORMATS)
def test_activation_checkpointing_alone_keeps_float32_exact(world: Callable[..., World], family: str) -> None:
    assert_as_if_alone(world(family, gradient_checkpointing=True), (LOGITS, GRADIENTS))


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("family", FORMATS)
def test_a_step_in_several_rows_has_the_gradients_of_its_samples(
    world: Callable[..., World], family: str, attention: str
) -> None:
    ready = world(family, attention)
    longest = max(len(each.input_ids) for each in ready.examples)
    positions = sum(len(each.input_ids) for each in ready.examples)
    rows = ready.collate(ready.examples, max_length=max(longest, positions // 2) + 20)
    assert 1 < len(rows) < len(ready.examples)
    loss, ours = gradients(ready, rows)
    padded = ready.collate(ready.examples, packing=False, micro_batch_size=2)
    total, theirs = gradients(ready, padded)
    assert loss == pytest.approx(total, rel=LOGITS)
    for name, gradient in ours.items():
        if not name.endswith("k_proj.bias"):
            assert apart(gradient, theirs[name]) < GRADIENTS, name


# Leaks


def with_a_cache(ready: World) -> None:
    # What transformers' own Trainer leaves on: with a cache, position ids no longer isolate.
    ready.model.config.text_config.use_cache = True
    ready.model.model.language_model.config.use_cache = True


def positions_that_run_on(ready: World) -> None:
    def run_on(module: Any, arguments: Any, inputs: dict[str, Any]) -> Any:
        length = inputs["position_ids"].shape[1]
        return arguments, inputs | {"position_ids": torch.arange(length)[None]}

    ready.model.register_forward_pre_hook(run_on, with_kwargs=True)


def a_mask_of_ones(ready: World) -> None:
    # What a collator adds out of habit; position ids are not looked at where there is one.
    def add(module: Any, arguments: Any, inputs: dict[str, Any]) -> Any:
        return arguments, inputs | {"attention_mask": torch.ones_like(inputs["position_ids"])}

    ready.model.register_forward_pre_hook(add, with_kwargs=True)


@pytest.mark.parametrize("attention", MASKED)
@pytest.mark.parametrize("family", FORMATS)
@pytest.mark.parametrize("plant", [with_a_cache, positions_that_run_on, a_mask_of_ones])
def test_a_planted_leak_moves_logits_and_is_refused_at_the_start(
    world: Callable[..., World], family: str, attention: str, plant: Callable[[World], None]
) -> None:
    ready = world(family, attention)
    (row,) = ready.collate(ready.examples)
    before = logits(ready, row)
    first = gates.longest_examples(ready.data, ready.stage)
    gates.packing_isolation(ready.model, first, ready.stage)
    plant(ready)
    after = logits(ready, row)
    assert max(apart(after[index], before[index]) for index in before) > 10 * LOGITS
    with pytest.raises(InputError, match="packed samples see each other: the logits of one move by "):
        gates.packing_isolation(ready.model, first, ready.stage)


def test_a_sample_that_trains_nothing_is_packed_and_gives_no_loss(world: Callable[..., World]) -> None:
    ready = world("llama")
    ready.examples[1].labels.fill_(IGNORE_INDEX)
    (row,) = ready.collate(ready.examples)
    losses, of = token_losses(ready.model, row)
    assert of.unique().tolist() == [0, 2, 3, 4]
    assert len(losses) == sum(int((each.labels != IGNORE_INDEX).sum()) for each in ready.examples)


@pytest.mark.parametrize("family", FORMATS)
def test_by_sample_a_cache_or_a_mask_leaks_nothing_and_positions_that_run_on_are_refused(
    world: Callable[..., World], family: str
) -> None:
    for plant in (with_a_cache, a_mask_of_ones):
        ready = world(family, BY_SAMPLE)
        (row,) = ready.collate(ready.examples)
        before = logits(ready, row)
        plant(ready)
        after = logits(ready, row)
        assert all(torch.equal(after[index], before[index]) for index in before)
    positions_that_run_on(ready)
    with pytest.raises(InputError, match="packed samples see each other"):
        gates.packing_isolation(ready.model, gates.longest_examples(ready.data, ready.stage), ready.stage)


@pytest.mark.parametrize("family", FORMATS)
def test_padded_batches_are_the_same_by_sample(world: Callable[..., World], family: str) -> None:
    masked, by_sample = world(family), world(family, BY_SAMPLE)
    batches = masked.collate(masked.examples, packing=False)
    assert [len(batch["input_ids"]) for batch in batches] == [3, 2]
    loss, ours = gradients(by_sample, batches)
    total, theirs = gradients(masked, batches)
    assert loss == pytest.approx(total, rel=LOGITS)
    for name, gradient in ours.items():
        if not name.endswith("k_proj.bias"):
            assert apart(gradient, theirs[name]) < GRADIENTS, name


def test_a_model_with_another_attention_or_a_short_window_stays_as_it_is(
    world: Callable[..., World],
) -> None:
    assert not attend_by_sample(world("llama", "eager").model, 512)
    ready = world("mistral")
    ready.model.model.language_model.config.sliding_window = 511
    assert not attend_by_sample(ready.model, 512)
    assert ready.model.model.language_model.config._attn_implementation == "sdpa"
    assert attend_by_sample(ready.model, 511)
