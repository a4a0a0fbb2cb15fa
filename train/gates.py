"""Start gates: what must hold on the real model and the real data before any time is spent on training.

Each gate returns what it saw, in a sentence, or raises InputError with what is wrong. None of them
changes a weight, leaves a gradient behind or moves a random number generator.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from train.collate import Collator
from train.config import ModelConfig, StageConfig
from train.conversation import Encoder, audit_labels
from train.dataset import Example, InstructionData
from train.loss import token_losses
from train.model import features_per_image
from train.records import InputError
from train.stages import assert_trainable, part_of

_PACKING_TOLERANCE = 1e-4
"""Of the largest logit. A leak moves logits by several per cent; a masked-out position by nothing at all."""


@dataclass(frozen=True)
class GateResult:
    """A gate that let the run through."""

    name: str
    saw: str


def run_gates(
    model: Any,
    processor: Any,
    *,
    encoder: Encoder,
    data: InstructionData,
    collator: Collator,
    config: ModelConfig,
    stage: StageConfig,
) -> list[GateResult]:
    """Run every gate, cheapest first. The model must already know what trains (`stages.set_trainable`).

    Raises InputError from the first gate that does not hold.
    """
    examples = longest_examples(data, stage)
    with _undisturbed(model):
        gates: list[tuple[str, Callable[[], str]]] = [
            ("labels", lambda: labels(encoder, data)),
            ("features", lambda: features(model, processor, data, examples, stage)),
            ("packing", lambda: packing_isolation(model, examples, stage)),
            ("trainable", lambda: trainable(model, stage, config.projector)),
            ("batch", lambda: one_batch(model, collator(examples)["micro_batches"][0], stage)),
        ]
        return [GateResult(name, gate()) for name, gate in gates]


def longest_examples(data: InstructionData, stage: StageConfig) -> list[Example]:
    """A micro batch of the longest samples whose images can be read, one with an image among them if any has.

    They take the most memory of any, so that one too many for a GPU shows before training.
    """
    order = sorted(range(len(data)), key=lambda index: (-data.prepared[index].length, index))
    examples = _readable(data, order, stage)
    if not any(len(example.pixel_values) for example in examples):
        with_images = [index for index in order if data.prepared[index].n_images]
        rest = [example.index for example in examples]
        first = [example.index for example in _readable(data, with_images, stage)[:1]]
        examples = _readable(data, [*first, *rest], stage)
    if not examples:
        sample, problem = data.prepared[order[0]].sample, data[order[0]].problem
        raise InputError(
            f"no sample's image can be decoded, so there is nothing to train on; {sample.file}: record "
            f"{sample.record} ({sample.id}): {problem[1] if problem else 'has none'}"
        )
    return examples


def _readable(data: InstructionData, order: list[int], stage: StageConfig) -> list[Example]:
    examples: list[Example] = []
    room = stage.max_length
    for index in order:
        if not stage.packing and len(examples) == stage.micro_batch_size:
            break
        if stage.packing and data.prepared[index].length > room:
            continue
        example = data[index]
        if example.problem is None:
            examples.append(example)
            room -= data.prepared[index].length
    return examples


def labels(encoder: Encoder, data: InstructionData) -> str:
    """Labels are right on conversations made to trip tokenizers; those of the data were read one by one."""
    audit_labels(encoder)
    return f"only answers and their end tokens are supervised, in the probes and in {len(data):,} samples"


def features(
    model: Any, processor: Any, data: InstructionData, examples: list[Example], stage: StageConfig
) -> str:
    """Each sample has as many image tokens as its own images have features.

    transformers compares their sums over a batch only, so one sample short and another over by
    the same count would pass, and every feature between them would stand in the wrong place.
    """
    image_token_id = model.config.image_token_id
    each = features_per_image(processor)
    for example in examples:
        tokens = int((example.input_ids == image_token_id).sum())
        count = 0
        if len(example.pixel_values):
            with torch.no_grad(), _autocast(model, stage):
                pixels = example.pixel_values.to(model.device)
                count = sum(len(rows) for rows in model.get_image_features(pixels).pooler_output)
        if tokens != count:
            sample = data.prepared[example.index].sample
            raise InputError(
                f"{sample.file}: record {sample.record} ({sample.id}): {tokens} image tokens for {count} "
                f"features of its {len(example.pixel_values)} image(s), {each} an image expected; "
                "tower, processor and feature_select do not agree"
            )
    return f"{each} image tokens for {each} features, sample by sample"


def packing_isolation(model: Any, examples: list[Example], stage: StageConfig) -> str:
    """Samples packed into one row do not see each other.

    The same sample is packed behind another and behind that one's tokens in another order; a
    position of it that attends across the border changes its logits. Position ids that restart
    isolate only without an attention mask and without a cache, in transformers 5.
    """
    second = min(examples, key=lambda example: len(example.input_ids))
    first = examples[0]
    text = first.input_ids != model.config.image_token_id
    other_ids = first.input_ids.clone()
    other_ids[text] = first.input_ids[text].flip(0).roll(1)
    border = len(first.input_ids)
    rows = [_packed_logits(model, [ids, second.input_ids], [first, second], stage)[border:]
            for ids in (first.input_ids, other_ids)]  # fmt: skip
    scale = float(rows[0].abs().max())
    if not torch.isfinite(rows[0]).all():
        raise InputError(
            "the model's first logits are not finite: a weight or a pixel value is no finite number"
        )
    moved = float((rows[0] - rows[1]).abs().max())
    if moved > _PACKING_TOLERANCE * scale:
        raise InputError(
            f"packed samples see each other: the logits of one move by {moved:.3g} (of {scale:.3g}) when "
            "the one before it changes; text_config.use_cache must be False and the attention must honour "
            "position_ids"
        )
    return "a packed sample's logits do not move when the one before it changes"


def trainable(model: Any, stage: StageConfig, projector: str) -> str:
    """What trains is what the stage says, by name."""
    assert_trainable(model, stage, projector)
    parts = sorted({part_of(name) for name, weight in model.named_parameters() if weight.requires_grad})
    return f"trains {', '.join(parts)}, and nothing else"


def one_batch(model: Any, micro_batch: dict[str, Any], stage: StageConfig) -> str:
    """The largest batch goes forward and back: finite, a gradient for what trains and nothing else."""
    inputs = {key: value.to(model.device) for key, value in micro_batch.items()}
    with _autocast(model, stage):
        losses, samples = token_losses(model, inputs)
    loss = losses.mean()
    if not torch.isfinite(loss):
        raise InputError(
            f"the first loss is not finite ({loss.item()}): a weight or a pixel value is no finite number"
        )
    loss.backward()
    shows_images = "pixel_values" in inputs
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            if weight.grad is not None:
                raise InputError(f"{name} is frozen but has a gradient")
        elif weight.grad is None:
            if shows_images or part_of(name) == "language_model":
                raise InputError(f"{name} should train but gets no gradient")
        elif not torch.isfinite(weight.grad).all():
            raise InputError(f"the gradient of {name} is not finite in the first batch")
    rows, length = inputs["input_ids"].shape
    return (
        f"{rows} × {length} positions of {len(samples.unique())} samples, {len(losses)} supervised, "
        f"loss {loss.item():.3f}"
    )


def _packed_logits(model: Any, ids: list[torch.Tensor], examples: list[Example], stage: StageConfig) -> Any:
    """Logits [positions, vocabulary] of samples in one row, position ids starting again at each."""
    pixels = [example.pixel_values for example in examples if len(example.pixel_values)]
    inputs = {
        "input_ids": torch.cat(ids)[None],
        "position_ids": torch.cat([torch.arange(len(row)) for row in ids])[None],
    }
    if pixels:
        inputs["pixel_values"] = torch.cat(pixels)
    inputs = {key: value.to(model.device) for key, value in inputs.items()}
    # Dropout would move logits too. Not by eval(): 4-bit weights on a CPU are packed anew by it, for good.
    torch.manual_seed(0)
    with torch.no_grad(), _autocast(model, stage):
        return model(**inputs).logits[0].float()


def _autocast(model: Any, stage: StageConfig) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast(
        device_type=model.device.type, dtype=torch.bfloat16, enabled=stage.precision == "bf16"
    )


@contextlib.contextmanager
def _undisturbed(model: Any) -> Iterator[None]:
    devices = [model.device] if model.device.type == "cuda" else []
    # What is compiled is compiled for the GPU that trains: a model too large to be tried there is not worth
    # compiling for the CPU.
    elsewhere = torch.cuda.is_available() and not devices
    stance = torch.compiler.set_stance("force_eager" if elsewhere else "default")
    with torch.random.fork_rng(devices=devices), stance:
        try:
            yield
        finally:
            model.zero_grad(set_to_none=True)
