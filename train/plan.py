"""What a stage will need, before it runs: steps, lengths, weights, memory, compute. Reads no weights.

The model is composed on PyTorch's meta device, by the code that composes and frees the real one, so every
weight is counted as it will be. What follows from counts is a formula here, each with its source.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from train import model as composing
from train.collate import fill_rows, group_alike
from train.config import ModelConfig, Recipe, StageConfig, StageName
from train.conversation import Encoder
from train.dataset import DataFile, Prepared, WeightedSampler
from train.model import features_per_image, image_size
from train.records import IGNORE_INDEX, InputError, LeftOut
from train.stages import PartCount, part_of, set_trainable
from train.trainer import LOG, StepBatches, process_batch_size, total_steps

CARDS_GIB = (24, 40, 80, 141)
USABLE = 0.9
"""Of a card's memory: the rest is for CUDA itself, communication buffers and fragmentation."""
PEAK_FLOPS = {"bf16": {"A100": 312e12, "H100": 989e12}, "fp32": {"A100": 156e12, "H100": 494e12}}
"""A second, dense, from NVIDIA's data sheets (H100 SXM); `fp32` is TF32, which float32 training uses."""
ASSUMED_MFU = 0.4
ENCODED_FOR_SHARE = 2000
"""Samples whose labels are counted; of more, so many spread evenly stand for all."""
BINS = 9

# Bytes that QLoRA's NF4 with double quantization keeps of a weight (arXiv 2305.14314, section 3): 4 bits,
# 8 bits a block of 64, and 32 bits for 256 such blocks.
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)


@dataclass(frozen=True)
class DataPlan:
    """A stage's samples, as they will be put into steps and rows."""

    samples: int
    left_out: tuple[LeftOut, ...]
    turns_cut: int
    in_epoch: int
    """Samples an epoch shows, the files' weights considered."""
    steps: int
    epochs: float
    """Epochs that these steps make, which max_steps may cut short."""
    lengths: tuple[int, ...]
    """Positions of each sample of the first epoch, image features included."""
    images: int
    """Images that an epoch shows."""
    features: int
    """Positions of one image."""
    supervised_share: float
    """Of an epoch's positions."""
    rows: int
    """Rows (packed) or padded samples that the first epoch makes on all GPUs together."""
    room: int
    """Positions that these rows have: max_length each where packed, else those of the longest beside it."""

    @property
    def positions(self) -> int:
        """Positions an epoch trains on, image features included."""
        return sum(self.lengths)

    @property
    def visual_share(self) -> float:
        """Of an epoch's positions, those that are image features."""
        return self.images * self.features / self.positions

    @property
    def filled(self) -> float:
        """Share of the rows' room that samples take."""
        return self.positions / self.room


@dataclass(frozen=True)
class Projectors:
    """Weights that a projector has, and what two other ways to show images would take for the same sizes."""

    ours: int
    q_former: int
    q_former_queries: int
    resampler: int
    resampler_latents: int
    gated_cross_attention: int


@dataclass(frozen=True)
class ModelPlan:
    """What the composed model is made of, as far as memory and compute depend on it."""

    parts: tuple[PartCount, ...]
    projectors: Projectors
    weight_bytes: int
    """As held between steps: what trains in float32, the rest in the stage's precision (or 4 bits)."""
    copied: int
    """Float32 weights of linear layers, of which autocast holds bf16 copies while a pass goes forward."""
    largest: tuple[int, int]
    """Bytes, and weights copied, of the layer that ZeRO-3 has to gather most of."""
    blocks: int
    """Weights of the linear layers in the language model's blocks."""
    adapters: int
    head: int
    projector_layers: tuple[int, int]
    tower: int
    """Weights of the linear layers and the patch embedding."""
    text: Layers
    vision: Layers
    vision_positions: int
    """Positions of one image inside the tower, the CLS token included."""


@dataclass(frozen=True)
class Layers:
    """Sizes of a stack of transformer layers."""

    count: int
    hidden: int
    attention: int
    """Heads times their width."""
    heads: int
    intermediate: int


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes on one GPU."""

    gpus: int
    stages: tuple[ZeroStage, ...]
    activations: int
    """With activation checkpointing."""
    activations_kept: int
    """Without."""
    logits: int
    positions: int
    """What goes through the model at once: one row of max_length, or a padded micro batch."""

    def total(self, zero: ZeroStage, checkpointing: bool) -> int:
        return zero.total + self.logits + (self.activations if checkpointing else self.activations_kept)


@dataclass(frozen=True)
class ZeroStage:
    """Model states on one GPU under a stage of ZeRO, in bytes."""

    stage: int
    weights: int
    copies: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        return self.weights + self.copies + self.gradients + self.optimizer


@dataclass(frozen=True)
class ComputePlan:
    """Floating point operations of a whole stage, on all GPUs together."""

    model_flops: float
    """What the result asks for: forward and backward. MFU is by these."""
    recomputed_flops: float
    """What activation checkpointing does a second time."""
    positions: float
    """Positions that the stage trains on."""
    rate: Rate | None

    @property
    def gpu_hours(self) -> float | None:
        return self.positions / self.rate.positions_per_second / 3600 if self.rate else None

    def hours_at(self, peak_flops: float) -> float:
        """GPU-hours at ASSUMED_MFU of a GPU's peak."""
        return self.model_flops / (ASSUMED_MFU * peak_flops) / 3600


@dataclass(frozen=True)
class Rate:
    """Positions a second that one GPU trains on, image features included."""

    positions_per_second: float
    source: str


@dataclass(frozen=True)
class StagePlan:
    """All of the above for one stage."""

    name: StageName
    stage: StageConfig
    data: DataPlan
    model: ModelPlan
    memory: MemoryPlan
    compute: ComputePlan


def plan_stage(
    name: StageName,
    stage: StageConfig,
    *,
    recipe: Recipe,
    config: ModelConfig,
    processor: Any,
    encoder: Encoder,
    prepared: Sequence[Prepared],
    left_out: Sequence[LeftOut],
    files: Sequence[DataFile],
    gpus: int,
    rate: Rate | None,
) -> StagePlan:
    """What a stage needs. Raises InputError where `run` would for the same recipe, data and GPUs."""
    process_batch_size(name, stage, gpus)  # raises where the GPUs do not share a step evenly
    data = plan_data(
        stage, encoder, prepared, left_out, files, recipe.seed, features_per_image(processor), gpus
    )
    model = plan_model(config, processor, stage)
    return StagePlan(
        name,
        stage,
        data,
        model,
        plan_memory(model, stage, data, gpus),
        plan_compute(model, stage, data, rate),
    )


def read_rate(run: Path, stage: str) -> Rate:
    """The median `tokens_per_second` of a stage in a run's log.jsonl, for one GPU.

    It counts all of a run's processes together, which a line's `processes` tells (1 where it does not).
    Raises InputError where there is no rate to read.
    """
    path = run / LOG if run.is_dir() else run
    rates: list[float] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry["stage"] == stage and "tokens_per_second" in entry:
                rates.append(float(entry["tokens_per_second"]) / int(entry.get("processes", 1)))
    except OSError as error:
        raise InputError(
            f"--measured {run}: {path} cannot be read ({error.strerror}); name a run's folder"
        ) from None
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        raise InputError(f"--measured {run}: {path} is not a run's log; name a run's folder") from None
    rate = statistics.median(rates) if rates else 0.0
    if not rate > 0:
        raise InputError(
            f"--measured {run}: {path} has no tokens_per_second of the stage {stage}; give the rate with "
            "--tokens-per-second"
        )
    return Rate(rate, f"measured in {run}")


# Data


@dataclass(frozen=True, slots=True)
class _Length:
    """As much of an Example as rows are filled by."""

    index: int
    input_ids: range
    pixel_values: range


def plan_data(
    stage: StageConfig,
    encoder: Encoder,
    prepared: Sequence[Prepared],
    left_out: Sequence[LeftOut],
    files: Sequence[DataFile],
    seed: int,
    features: int,
    gpus: int,
) -> DataPlan:
    """The stage's samples in the order of its first epoch, put into steps and rows as `run` does."""
    sampler = WeightedSampler(prepared, files, seed)
    order = [prepared[index] for index in sampler]
    rows = [
        row
        for batch in StepBatches(sampler, stage.global_batch_size, gpus)
        for row in _rows([prepared[index] for index in batch], stage)
    ]
    room = [
        stage.max_length if stage.packing else len(row) * max(len(each.input_ids) for each in row)
        for row in rows
    ]
    steps = total_steps(stage, len(sampler))
    return DataPlan(
        samples=len(prepared),
        left_out=tuple(left_out),
        turns_cut=sum(each.dropped_turns for each in prepared),
        in_epoch=len(sampler),
        steps=steps,
        epochs=steps / math.ceil(len(sampler) / stage.global_batch_size),
        lengths=tuple(each.length for each in order),
        images=sum(each.n_images for each in order),
        features=features,
        supervised_share=_supervised_share(encoder, order),
        rows=len(rows) if stage.packing else len(order),
        room=sum(room),
    )


def _rows(batch: Sequence[Prepared], stage: StageConfig) -> Sequence[Sequence[Any]]:
    """What the collator makes of a process's share of a step."""
    examples: Any = [_Length(at, range(each.length), range(each.n_images)) for at, each in enumerate(batch)]
    if stage.packing:
        return fill_rows(examples, stage.max_length)
    return group_alike(examples, stage.micro_batch_size)


def _supervised_share(encoder: Encoder, order: Sequence[Prepared]) -> float:
    chosen = order[:: -(-len(order) // ENCODED_FOR_SHARE)]
    supervised = sum(
        label != IGNORE_INDEX for each in chosen for label in encoder.encode(each.sample.turns).labels[1:]
    )
    return supervised / sum(each.length for each in chosen)


def histogram(lengths: Sequence[int], bins: int = BINS) -> list[tuple[int, int, int]]:
    """Equal bins of a round width from the shortest to the longest: first and last length, and how many.

    At most `bins` and one, for the first need not begin at the shortest.
    """
    width = _round_up((max(lengths) - min(lengths) + 1) / bins)
    counts = Counter((length - 1) // width for length in lengths)
    return [(at * width + 1, (at + 1) * width, counts[at]) for at in range(min(counts), max(counts) + 1)]


def _round_up(width: float) -> int:
    """To 1, 2, 4, 5 or 8 times a power of ten."""
    scale = 10 ** math.floor(math.log10(max(width, 1)))
    return next(int(step * scale) for step in (1, 2, 4, 5, 8, 10) if step * scale >= width)


# Weights


def outline(config: ModelConfig, processor: Any, precision: str) -> Any:
    """The model of `model.build_model` on the meta device: every name, shape and type, and no numbers."""
    vision_config = composing._vision_config(config.vision_tower)
    kind = composing._TOWER_KINDS[vision_config.model_type]
    composing._check_feature_layer(config, vision_config.num_hidden_layers)
    composing._check_causal(config.language_model)
    text_config = composing._read_config(config.language_model, "language_model")
    dtype = composing._DTYPES[precision]
    with torch.device("meta"):
        tower = kind.model(vision_config).to(dtype)
        language_model = AutoModelForCausalLM.from_config(text_config, dtype=dtype, trust_remote_code=False)
    composing._grow_embedding(language_model, processor.tokenizer)
    return composing._compose(config, processor, kind, tower, language_model, seed=0)


def plan_model(config: ModelConfig, processor: Any, stage: StageConfig) -> ModelPlan:
    """Counts of the stage's model, freed and held as `stages.set_trainable` does it."""
    model = outline(config, processor, stage.precision)
    with torch.device("meta"):  # adapters too
        parts = set_trainable(model, stage, config.projector)
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }
    adapters = {name for name in linear if ".lora_" in name}
    blocks = {name for name in linear if name.startswith("model.language_model.")} - adapters
    quantized = blocks if stage.quantization != "none" else set()
    text, vision = model.config.text_config, model.config.vision_config
    # By identity: a head that is tied to the embedding goes by the embedding's name.
    multiplied = {id(each) for module in linear.values() for each in module.parameters(recurse=False)}
    half = stage.precision == "bf16"

    def held(module: Any, prefix: str) -> tuple[int, int]:
        """Bytes of a module's weights, and how many of them autocast copies."""
        size, copied = 0.0, 0
        for name, parameter in module.named_parameters(prefix=prefix):
            owner = name.rpartition(".")[0]
            size += parameter.numel() * (NF4_BYTES if owner in quantized else parameter.element_size())
            if half and id(parameter) in multiplied and parameter.dtype == torch.float32:
                copied += parameter.numel()
        return round(size), copied

    weight_bytes, copied = held(model, "")
    layers = model.model.language_model.layers
    gathered = [
        held(layers[0], "model.language_model.layers.0"),
        held(model.model.language_model.embed_tokens, "model.language_model.embed_tokens"),
        held(model.lm_head, "lm_head"),
    ]
    counts = {name: module.weight.numel() for name, module in linear.items()}
    projector = "model.multi_modal_projector.linear_"
    projector_total = next(part.total for part in parts if part.part == "projector")
    identity = counts[projector + "2"] + text.hidden_size if config.projector == "linear" else 0
    heads = text.num_attention_heads
    head_width = getattr(text, "head_dim", None) or text.hidden_size // heads
    return ModelPlan(
        parts=tuple(parts),
        projectors=Projectors(
            ours=projector_total - identity,
            q_former=q_former_weights(vision.hidden_size, text.hidden_size),
            q_former_queries=32,
            resampler=resampler_weights(vision.hidden_size),
            resampler_latents=64,
            gated_cross_attention=gated_cross_attention_weights(
                text.num_hidden_layers // 4, text.hidden_size, vision.hidden_size
            ),
        ),
        weight_bytes=weight_bytes,
        copied=copied,
        largest=max(gathered, key=lambda each: each[0] + 2 * each[1]),
        blocks=sum(counts[name] for name in blocks),
        adapters=sum(counts[name] for name in adapters),
        head=counts["lm_head"],
        projector_layers=(counts[projector + "1"], counts[projector + "2"]),
        tower=sum(
            n for name, n in counts.items() if part_of(name + ".") == "vision_tower" and ".head." not in name
        ),
        text=Layers(
            text.num_hidden_layers, text.hidden_size, heads * head_width, heads, text.intermediate_size
        ),
        vision=Layers(
            vision.num_hidden_layers,
            vision.hidden_size,
            vision.hidden_size,
            vision.num_attention_heads,
            vision.intermediate_size,
        ),
        vision_positions=(image_size(processor) // processor.patch_size) ** 2
        + processor.num_additional_image_tokens,
    )


def q_former_weights(
    vision_width: int, text_width: int, *, layers: int = 12, width: int = 768, queries: int = 32
) -> int:
    """A Q-Former with its queries and the linear layer to the language model (BLIP-2, arXiv 2301.12597).

    BERT-base's layers, of which every second has cross-attention to the tower's features as well, from the
    first on. The branch of the queries alone, which is what a language model is fed by: 105M at BLIP-2's
    tower width of 1408, to which the paper's 188M adds that of the text it was pretrained with.
    """
    norm = 2 * width
    own = _affine(width, width)
    attention = 4 * own + norm
    cross_attention = 2 * own + 2 * _affine(vision_width, width) + norm
    feed_forward = _affine(width, 4 * width) + _affine(4 * width, width) + norm
    stack = layers * (attention + feed_forward) + -(-layers // 2) * cross_attention
    return stack + norm + queries * width + _affine(width, text_width)


def resampler_weights(vision_width: int, *, layers: int = 6, latents: int = 64) -> int:
    """A Perceiver resampler as wide as the tower (Flamingo, arXiv 2204.14198, section 3.1).

    Layers of cross-attention from latents to features and latents (four matrices without biases, a norm
    for each side) and of a feed-forward four times as wide, with a norm; a last norm, and the latents.
    """
    square, norm = vision_width**2, 2 * vision_width
    return layers * (4 * square + 2 * norm + 8 * square + norm) + norm + latents * vision_width


def gated_cross_attention_weights(
    blocks: int, text_width: int, vision_width: int, *, attention_width: int = 2048
) -> int:
    """Gated cross-attention blocks between a language model's layers (Flamingo, section 3.1.2).

    Each: query and output matrices, key and value matrices from the resampler's width, 16 heads of 128
    (the paper's, at 3B and 9B), a feed-forward four times as wide, two norms and two gates. With the
    paper's sizes this is its 1.2B (3B model, 24 blocks) and 1.6B (9B model, 10 blocks).
    """
    attention = 2 * text_width * attention_width + 2 * vision_width * attention_width
    return blocks * (attention + 8 * text_width**2 + 2 * 2 * text_width + 2)


def _affine(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


# Memory


def plan_memory(model: ModelPlan, stage: StageConfig, data: DataPlan, gpus: int) -> MemoryPlan:
    """One GPU's memory at its fullest, when a micro batch's forward pass ends with gradients already held."""
    trainable = sum(part.trainable for part in model.parts)
    longest = max(data.lengths)
    rows, length = (1, stage.max_length) if stage.packing else (stage.micro_batch_size, longest)
    positions = rows * length
    images = positions // data.features if data.images else 0
    kept, checkpointed = _activations(model, stage, rows, length, images, images * data.features)
    supervised = math.ceil(data.supervised_share * positions)
    vocabulary = model.head // model.text.hidden
    copies, gathered = 2 * model.copied, model.largest[0] + 2 * model.largest[1]
    return MemoryPlan(
        gpus=gpus,
        stages=tuple(
            zero_stage(number, gpus, model.weight_bytes, copies, trainable, gathered) for number in range(4)
        ),
        activations=checkpointed,
        activations_kept=kept,
        # The logits as they come, in float32, and what cross entropy keeps of them in float32.
        logits=supervised * vocabulary * (_compute_bytes(stage) + 8),
        positions=positions,
    )


def zero_stage(stage: int, gpus: int, weights: int, copies: int, trainable: int, gathered: int) -> ZeroStage:
    """Bytes on one GPU under ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054, section 5).

    Gradients are float32 and AdamW has two float32 moments. Stage 1 shares the moments out over the GPUs,
    2 the gradients too, 3 the weights too, of which one layer at a time is then gathered (`gathered`, its
    copies in bf16 included). Beside its moments DeepSpeed's optimizer has a copy of the weights that train
    (`stage_1_and_2.py` and `stage3.py` of 0.19.8 make it where these are float32 already, too), and stage
    0, which is PyTorch's DDP, has gradients a second time, in its buckets. One GPU alone needs neither.
    DeepSpeed's buckets and offload are not counted.
    """
    several = gpus > 1

    def share(size: int, from_stage: int) -> int:
        return math.ceil(size / gpus) if stage >= from_stage else size

    whole = stage < 3 or not several
    return ZeroStage(
        stage=stage,
        weights=share(weights, 3),
        copies=copies if whole else gathered,
        gradients=share((8 if several and stage == 0 else 4) * trainable, 2),
        optimizer=share((12 if several and stage > 0 else 8) * trainable, 1),
    )


def _compute_bytes(stage: StageConfig) -> int:
    return 2 if stage.precision == "bf16" else 4


def _activations(
    model: ModelPlan, stage: StageConfig, rows: int, length: int, images: int, features: int
) -> tuple[int, int]:
    """Bytes kept for backward without checkpointing, and with it: the layers' inputs, and one layer."""
    positions = rows * length
    layer = positions * text_layer_bytes(model.text, stage, length if stage.packing else 0)
    residual = 4 if stage.language_model == "full" or stage.precision == "fp32" else 2
    first = positions * residual * model.text.hidden
    compute = _compute_bytes(stage)
    projector = features * compute * (model.vision.hidden + 2 * model.text.hidden)
    kept, checkpointed = model.text.count * layer + projector, model.text.count * first + layer + projector
    if stage.vision_tower_learning_rate is not None:
        seen = images * model.vision_positions
        layer = seen * vision_layer_bytes(model.vision, stage)
        kept += model.vision.count * layer
        checkpointed += model.vision.count * seen * 4 * model.vision.hidden
    return kept, checkpointed


def text_layer_bytes(layers: Layers, stage: StageConfig, packed: int) -> int:
    """Bytes a position that one block of a Llama keeps for its backward pass, `packed` positions in a row.

    Counted as Korthikanti et al. 2022 do (arXiv 2205.05198, section 4.1), for transformers' Llama under
    PyTorch's fused attention: the norms' float32, inputs of linear layers that train (autocast makes a
    copy for each), query, key, value and output of attention with its float32 sum a head, and gate,
    activation, up and product of the MLP. Packed samples under sdpa add a row of their mask. Checked
    against what autograd saves.
    """
    hidden, attention, intermediate = layers.hidden, layers.attention, layers.intermediate
    compute = _compute_bytes(stage)
    full, lora = stage.language_model == "full", stage.language_model == "lora"
    norms = (16 if full else 8) * hidden + 8
    size = norms + compute * (4 * attention + 3 * intermediate + packed) + 4 * layers.heads
    if full:
        inputs = 5 * hidden if compute == 2 else 2 * hidden
        size += compute * (inputs + intermediate)
    if lora:
        inputs = 5 * hidden + attention + intermediate
        own_copies = compute == 2 or stage.lora.dropout > 0
        size += compute * ((inputs if own_copies else 2 * hidden + intermediate) + 7 * stage.lora.rank)
        size += inputs if stage.lora.dropout > 0 else 0  # a byte each for what was dropped
    return size


def vision_layer_bytes(layers: Layers, stage: StageConfig) -> int:
    """The same for a layer of a CLIP tower that trains; SigLIP's activation keeps one of the three less."""
    hidden, attention, intermediate = layers.hidden, layers.attention, layers.intermediate
    compute = _compute_bytes(stage)
    inputs = 4 * hidden if compute == 2 else 2 * hidden
    return 8 * hidden + 16 + compute * (inputs + 4 * attention + 3 * intermediate) + 4 * layers.heads


def smallest_card(size: int) -> int | None:
    """The smallest of CARDS_GIB that so many bytes fit in with USABLE of it; None where none does."""
    return next((card for card in CARDS_GIB if size <= USABLE * card * 2**30), None)


# Compute


def plan_compute(model: ModelPlan, stage: StageConfig, data: DataPlan, rate: Rate | None) -> ComputePlan:
    """FLOPs of the stage: those of its first epoch, times its epochs."""
    model_flops, recomputed = flops(
        model,
        stage,
        lengths=data.lengths,
        images=data.images,
        features=data.features,
        supervised=data.supervised_share * data.positions,
    )
    return ComputePlan(
        model_flops=data.epochs * model_flops,
        recomputed_flops=data.epochs * recomputed if stage.gradient_checkpointing else 0.0,
        positions=data.epochs * data.positions,
        rate=rate,
    )


def flops(
    model: ModelPlan,
    stage: StageConfig,
    *,
    lengths: Sequence[int],
    images: int,
    features: int,
    supervised: float,
) -> tuple[float, float]:
    """FLOPs of forward and backward, and of a second forward pass through the layers that are checkpointed.

    As in Chowdhery et al. 2022 (PaLM, arXiv 2204.02311, appendix B): two a weight and position forward;
    backward as many for the gradient of what went in, and as many again for the weight's where it trains.
    Attention over a sample of n positions is 2 n² a layer and unit of its width forward (the half of its
    two products that is not masked), twice that backward; the tower's is not masked. The head counts for
    supervised positions only. The language model passes gradients on to the projector even where frozen.
    """
    positions, features = sum(lengths), images * features
    full = stage.language_model == "full"
    linear = 2.0 * positions * model.blocks
    adapters = 2.0 * positions * model.adapters
    attention = 2.0 * sum(n * n for n in lengths) * model.text.attention * model.text.count
    head = 2.0 * supervised * model.head
    seen = images * model.vision_positions
    tower = (
        2.0 * seen * model.tower
        + 4.0 * seen * model.vision_positions * model.vision.hidden * model.vision.count
    )
    trains_tower = stage.vision_tower_learning_rate is not None
    first, second = (2.0 * features * layer for layer in model.projector_layers)
    total = (3 if full else 2) * (linear + head) + 3 * (adapters + attention)
    total += (3 if trains_tower else 1) * tower + (3 if trains_tower else 2) * first + 3 * second
    return total, linear + adapters + attention + (tower if trains_tower else 0.0)


def total_hours(plans: Sequence[StagePlan]) -> float | None:
    """GPU-hours of all stages, where every one has a rate."""
    hours = [plan.compute.gpu_hours for plan in plans]
    return sum(each for each in hours if each is not None) if None not in hours else None
