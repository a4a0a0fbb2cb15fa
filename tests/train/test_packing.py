"""Samples packed into a row are computed as if each were alone, in every family, and a leak is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import library as torch_library

from tests.train import factory
from train import attention as attending
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
            used = attend_by_sample(model, stage.max_length, stage.precision)
            assert used == "PyTorch's attention, sample by sample"
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
    assert attend_by_sample(world("llama", "eager").model, 512) is None
    ready = world("mistral")
    ready.model.model.language_model.config.sliding_window = 511
    assert attend_by_sample(ready.model, 512) is None
    assert ready.model.model.language_model.config._attn_implementation == "sdpa"
    assert attend_by_sample(ready.model, 511)


# Kernels that take a row at once. None runs on a CPU: another stands in, and what it is given is looked at.

Row = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int, float]


def one_row(*row: Any) -> torch.Tensor:
    """What a variable-length kernel computes, by a mask of every position by every other."""
    query, key, value, borders, _, scaling = row
    assert borders.dtype == torch.int32
    assert all(whole.dtype == torch.bfloat16 and whole.is_contiguous() for whole in (query, key, value))
    places = torch.arange(len(query))
    sample = torch.bucketize(places, borders[1:].long(), right=True)
    return attended(query, key, value, (sample[:, None] == sample) & (places[:, None] >= places), scaling)


def attended(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, sees: torch.Tensor, scaling: float
) -> torch.Tensor:
    group = query.shape[1] // key.shape[1]
    key, value = (whole.repeat_interleave(group, dim=1).float() for whole in (key, value))
    scores = torch.einsum("thd,shd->hts", query.float(), key) * scaling
    weights = scores.masked_fill(~sees, float("-inf")).softmax(dim=-1)
    return torch.einsum("hts,shd->thd", weights, value).to(query.dtype)


def in_turns(*row: Any) -> torch.Tensor:
    """The same, rounded as PyTorch's attention rounds sample by sample."""
    *whole, borders, _, scaling = row
    heads_first = [each.transpose(0, 1)[None].split(borders.diff().tolist(), dim=2) for each in whole]
    attend = torch.nn.functional.scaled_dot_product_attention
    samples = [
        attend(*each, is_causal=True, scale=scaling, enable_gqa=True)
        for each in zip(*heads_first, strict=True)
    ]
    return torch.cat(samples, dim=2)[0].transpose(0, 1)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has a GPU's kernels run on the CPU: those given by name, in that order."""

    def install(**kernels: attending.Kernel) -> None:
        monkeypatch.setattr(attending, "_DEVICE", "cpu")
        monkeypatch.setattr(attending, "_installed", lambda: iter(kernels.items()))

    return install


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", FORMATS)
def test_a_row_at_once_is_computed_as_sample_by_sample(
    world: Callable[..., World], install: Callable[..., None], family: str, checkpointing: bool
) -> None:
    settings = {"precision": "bf16", "gradient_checkpointing": checkpointing}
    by_sample = world(family, BY_SAMPLE, **settings)
    (row,) = by_sample.collate(by_sample.examples)
    expected, (loss, theirs) = logits(by_sample, row), gradients(by_sample, [row])

    ready = world(family, BY_SAMPLE, **settings)
    given: list[Row] = []

    def kernel(*row: Any) -> torch.Tensor:
        given.append(row)
        return in_turns(*row)

    install(kernel=kernel)
    assert attend_by_sample(ready.model, 512, "bf16") == "kernel"
    given.clear()
    found = logits(ready, row)
    lengths = row["sample_index"][0].unique_consecutive(return_counts=True)[1].tolist()
    config = ready.model.config.text_config
    assert config.num_attention_heads == 2 * config.num_key_value_heads == 4
    for query, key, value, borders, longest, scaling in given:
        assert (query.shape, key.shape, value.shape) == ((sum(lengths), 4, 16), *[(sum(lengths), 2, 16)] * 2)
        assert borders[0] == 0 and borders.diff().tolist() == lengths
        assert (longest, scaling) == (max(lengths), 0.25)
    assert len(given) == config.num_hidden_layers
    assert all(torch.equal(found[index], expected[index]) for index in expected)
    found_loss, ours = gradients(ready, [row])
    assert found_loss == loss
    assert all(torch.equal(gradient, theirs[name]) for name, gradient in ours.items())
    assert gates.packing_isolation(ready.model, ready.examples, ready.stage).endswith("changes")


def test_padded_batches_and_float32_do_not_go_through_a_row_s_kernel(
    world: Callable[..., World], install: Callable[..., None]
) -> None:
    ready = world("llama", BY_SAMPLE)
    batches = ready.collate(ready.examples, packing=False)
    loss, _ = gradients(ready, batches)

    def kernel(*row: Any) -> torch.Tensor:
        assert len(row[0]) == 129, "only what is tried at the start"
        return one_row(*row)

    install(kernel=kernel)
    assert attend_by_sample(ready.model, 512, "fp32") == "PyTorch's attention, sample by sample"
    assert attend_by_sample(ready.model, 512, "bf16") == "kernel"
    assert gradients(ready, batches)[0] == loss
    (row,) = ready.collate(ready.examples)
    logits(ready, row)  # float32 here: by sample


def leaks(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any) -> torch.Tensor:
    sees = torch.ones(len(query), len(query), dtype=torch.bool).tril()
    return attended(query, key, value, sees, rest[2])


def looks_ahead(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any) -> torch.Tensor:
    sample = torch.bucketize(torch.arange(len(query)), rest[0][1:].long(), right=True)
    return attended(query, key, value, sample[:, None] == sample, rest[2])


def mixes_up_key_heads(query: torch.Tensor, key: torch.Tensor, *rest: Any) -> torch.Tensor:
    value, borders, longest, scaling = rest
    return one_row(query, key.flip(1), value.flip(1), borders, longest, scaling)


class _WrongBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, whole: torch.Tensor) -> torch.Tensor:
        return whole.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0].flip(0)


def goes_back_wrongly(query: torch.Tensor, *rest: Any) -> torch.Tensor:
    return one_row(_WrongBackward.apply(query), *rest)


def raises(*row: Any) -> torch.Tensor:
    raise RuntimeError("no kernel image is available for execution on the device\nand more")


def test_a_kernel_that_fails_or_is_wrong_is_passed_over_and_named(
    world: Callable[..., World], install: Callable[..., None]
) -> None:
    ready = world("llama", BY_SAMPLE)
    for wrong in (leaks, looks_ahead, mixes_up_key_heads, goes_back_wrongly):
        install(wrong=wrong, right=one_row)
        assert attend_by_sample(ready.model, 512, "bf16") == "right (wrong gives wrong results here)", wrong
    install(first=raises, second=leaks)
    assert attend_by_sample(ready.model, 512, "bf16") == (
        "PyTorch's attention, sample by sample (first fails here: no kernel image is available for execution "
        "on the device) (second gives wrong results here)"
    )


def test_samples_begin_where_positions_do_not_go_on_and_are_looked_for_once_a_pass() -> None:
    positions = torch.tensor([[0, 1, 2, 0, 0, 1, 2, 3]])
    borders, on_device = attending._borders(positions)
    assert borders == [0, 3, 4, 8]
    assert torch.equal(on_device, torch.tensor([0, 3, 4, 8], dtype=torch.int32))
    assert attending._borders(positions)[1] is on_device
    assert attending._borders(torch.arange(5)[None])[0] == [0, 5]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """PyTorch's own operator behind `varlen_attn`, on the CPU; what it is given, call by call."""
    given: list[dict[str, Any]] = []

    def operator(*arguments: Any, **settings: Any) -> Any:
        query, key, value, borders, key_borders, *lengths, dropout, causal, _ = arguments
        given.append({"lengths": lengths, "dropout": dropout, "causal": causal, **settings})
        assert torch.equal(borders, key_borders)
        found = one_row(query, key, value, borders, lengths[0], settings["scale"])
        nothing = torch.zeros(2, dtype=torch.uint64)
        return found, torch.zeros(query.shape[1], query.shape[0]), nothing, nothing, query.new_zeros(0)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with torch_library._scoped_library("aten", "IMPL") as library:
        library.impl("_flash_attention_forward", operator, "CPU")
        yield given


def row(key_heads: int) -> tuple[Row, torch.Tensor]:
    """A row of three samples with 4 query heads, and what should come of it."""
    generator = torch.Generator().manual_seed(7)
    query, key, value = (
        torch.randn(12, heads, 8, generator=generator).bfloat16() for heads in (4, key_heads, key_heads)
    )
    given = (query, key, value, torch.tensor([0, 5, 6, 12], dtype=torch.int32), 6, 0.3)
    return given, one_row(*given)


@pytest.mark.parametrize("key_heads", [4, 2])
def test_pytorch_s_own_kernel_is_called_as_it_wants_to_be(gpu: list[dict[str, Any]], key_heads: int) -> None:
    kernels = dict(attending._installed())
    given, expected = row(key_heads)
    assert list(kernels) == ["PyTorch's FlashAttention, a row at once"]
    assert torch.equal(kernels["PyTorch's FlashAttention, a row at once"](*given), expected)
    assert gpu[0]["causal"] and gpu[0]["lengths"] == [6, 6] and gpu[0]["dropout"] == 0
    assert (gpu[0]["window_size_left"], gpu[0]["window_size_right"]) == (-1, 0)


def test_flash_attn_comes_first_where_it_is_installed(
    gpu: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def flash_attn_varlen_func(
        q: Any, k: Any, v: Any, cu_seqlens_q: Any, cu_seqlens_k: Any, max_seqlen_q: int, max_seqlen_k: int,
        dropout_p: float = 0.0, softmax_scale: float | None = None, causal: bool = False,
    ) -> Any:  # fmt: skip
        assert causal and dropout_p == 0 and cu_seqlens_q is cu_seqlens_k and max_seqlen_q == max_seqlen_k
        return one_row(q, k, v, cu_seqlens_q, max_seqlen_q, softmax_scale)

    module = SimpleNamespace(flash_attn_varlen_func=flash_attn_varlen_func)
    monkeypatch.setitem(sys.modules, "flash_attn", module)
    (name, kernel), _ = attending._installed()
    given, expected = row(2)
    assert name == "flash-attn, a row at once"
    assert torch.equal(kernel(*given), expected)
