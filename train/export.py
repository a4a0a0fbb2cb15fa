"""Turn a training checkpoint into a folder that other programs load as it is, and prove that it is the same.

The folder has the key layout of the published llava-hf models, which transformers and vLLM read,
and the projector a second time as the original LLaVA code reads it. It is written beside its place and
moves there only after it was loaded again, with plain transformers, and gave what the trainer's model gives.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from huggingface_hub import ModelCard, ModelCardData, save_torch_state_dict
from PIL import Image
from pydantic import ValidationError
from safetensors import SafetensorError
from transformers import AutoProcessor, AutoTokenizer, GenerationConfig, LlavaForConditionalGeneration

from train.checkpoint import RunRecord, load_weights, read_record, verify, versions
from train.config import TINY, ModelConfig, Recipe, StageConfig, resolve_tiny
from train.conversation import Encoder, get_format, to_messages
from train.model import build_model, features_per_image, load_processor
from train.records import IGNORE_INDEX, InputError, Unfit
from train.stages import set_trainable

PROOF = "proof.json"
"""The proof, in the export's folder. A folder that holds it is ours to replace."""
PROJECTOR = "mm_projector.bin"
"""The projector alone, for the original LLaVA code (`--pretrain_mm_mlp_adapter`)."""

CONVERSATIONS: tuple[tuple[str, ...], ...] = (
    ("<image>\nWhat is in the picture?", "A dog that sleeps on a sofa."),
    (
        "Who is this?\n<image>",
        "I cannot say.",
        "And what colour is the coat?",
        "Brown,\nwith a white collar.",
    ),
    ("What is 2 + 2?", "4", "Are you sure?", "Yes: 2 + 2 = 4."),
)
"""What the prompts and the logits are compared on."""

_CARD = Path(__file__).with_name("model_card.md.jinja")
_LOSS_STEPS = 20
"""Logged steps that the model card's losses are the mean of."""
_NO_LIMIT = 2**20
"""Positions: a sample's length limit drops turns, and changes nothing else."""
_SHARD = "5GB"
_REWRITE_TOLERANCE = 1e-4
"""How far merging LoRA, or splitting a linear projector, may move a layer's output in float32, as a share of
the largest."""
_LOGITS_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 1e-1}
"""How far either may move a logit, in the dtype of the export: its rounding, through all layers."""


@dataclass(frozen=True)
class Proof:
    """What was compared between the trainer's model and the exported one. Every comparison held."""

    checkpoint: str
    """As `stage/checkpoint-N`."""
    dtype: str
    parameters: int
    tensors: int
    """Compared bit by bit, after plain `from_pretrained`."""
    lora_merged: bool
    projector_split: bool
    """A linear projector was written as two layers with a ReLU between them, for vLLM."""
    rewrite_difference: float
    """How much either moved a layer's output in float32, at most, as a share of the largest."""
    logits: int
    """How many logits were compared."""
    logits_largest: float
    """The largest logit of the trainer's model, absolute."""
    logits_difference: float
    """The largest absolute difference."""
    logits_tolerance: float
    """What was allowed; 0 where nothing had to be rewritten."""
    prompts: int
    """Prompts whose token ids are the trainer's own, in every form of calling the processor."""
    images: int
    """Images whose pixel values are the trainer's own, bit by bit."""
    versions: dict[str, str]


@dataclass(frozen=True)
class Trained:
    """A checkpoint as the trainer held it, its weights in 16 or 32 bits."""

    model: Any
    processor: Any
    record: RunRecord
    recipe: Recipe
    stage: StageConfig
    folder: Path

    @property
    def name(self) -> str:
        """As `stage/checkpoint-N`."""
        return f"{self.record.stage}/{self.folder.name}"


@dataclass(frozen=True)
class _Prompt:
    """A conversation with the ids that the trainer's encoder gives it."""

    turns: tuple[str, ...]
    images: tuple[Image.Image, ...]
    input_ids: list[int]
    answer: int
    """Where the last answer starts."""
    end: int
    """The token that ends it."""


@dataclass(frozen=True)
class _Reference:
    """What the trainer's model and processor say: all that the proof needs of them."""

    checkpoint: str
    dtype: torch.dtype
    device: str
    parameters: int
    lora_merged: bool
    projector_split: bool
    rewritten: float
    prompts: list[_Prompt]
    images: list[tuple[str, Image.Image, torch.Tensor]]
    logits: list[torch.Tensor]
    """Of the prompts, each [positions, vocabulary]."""
    tolerance: float
    digests: dict[str, str]
    """Of each tensor of the state dict, under the model's own names."""


def export(checkpoint: Path, out: Path) -> Proof:
    """Write `checkpoint` (a `checkpoint-N` folder) to the folder `out`, and prove it.

    LoRA is merged. `out` must be absent, empty, or an earlier export, which is then replaced; it
    never holds a half-written or unproved model.

    Raises InputError when `checkpoint` is none, when `out` holds something else, and when the
    proof does not hold, saying what differs.
    """
    _refuse_foreign(out)
    trained = rebuild(checkpoint)
    with _written_beside(out) as folder:
        reference = _write(trained, folder)
        facts = _facts(trained)
        del trained  # one copy of the weights in memory is enough
        gc.collect()
        proof = _prove(folder, reference)
        (folder / PROOF).write_text(json.dumps(asdict(proof), indent=2) + "\n", encoding="utf-8")
        _write_card(folder, facts, proof)
    return proof


def describe(proof: Proof) -> str:
    """The proof in a sentence."""
    exact = "equal bit by bit"
    if proof.logits_difference:
        exact = f"within {proof.logits_difference:.2g} (largest {proof.logits_largest:.3g})"
    merged = ", LoRA merged" if proof.lora_merged else ""
    return (
        f"{proof.parameters:,} parameters in {proof.dtype}{merged}; read back by "
        f"plain transformers, logits {exact}, prompts and pixel values the trainer's own"
    )


def rebuild(checkpoint: Path) -> Trained:
    """Build the model that `checkpoint` was saved from, without quantization, and load its weights.

    Raises InputError when `checkpoint` is not one or not whole, or a base model is not where the record says.
    """
    record = read_record(checkpoint)
    verify(checkpoint)
    try:
        recipe = Recipe.model_validate(record.recipe)
        stage = dict(recipe.stages())[record.stage]
    except (ValidationError, KeyError):
        raise InputError(
            f"{checkpoint}: its recipe is not one that this version reads; it was written by vitkit "
            f"{record.versions.get('vitkit', 'of another version')}"
        ) from None
    stage = stage.model_copy(update={"quantization": "none"})
    config = _located(recipe.model, checkpoint)
    processor = load_processor(config, stage.image_aspect_ratio, get_format(stage.format).template)
    model = build_model(config, processor, precision=stage.precision, quantization="none", seed=recipe.seed)
    set_trainable(model, stage, config.projector)
    load_weights(model, checkpoint)
    return Trained(model.eval(), processor, record, recipe, stage, checkpoint.resolve())


def published_name(name: str) -> str:
    """The llava-hf name of a tensor that transformers 5 calls `name` in memory.

    `model.language_model.layers.0…` → `language_model.model.layers.0…`, `lm_head…` →
    `language_model.lm_head…`, `model.vision_tower.encoder…` → `vision_tower.vision_model.encoder…`.
    """
    if name.startswith("lm_head."):
        return f"language_model.{name}"
    part, _, rest = name.removeprefix("model.").partition(".")
    if part == "language_model":
        return f"language_model.model.{rest}"
    if part == "vision_tower":
        return f"vision_tower.vision_model.{rest.removeprefix('vision_model.')}"
    return f"{part}.{rest}"


def merge_lora(model: Any) -> float | None:
    """Add every adapter to the weight that it adapts, in float32, and take it out.

    Afterwards the model has the modules and names of one without LoRA, in the weights' own dtype.
    Returns the largest difference, as a share of a layer's largest output, between what an adapted
    layer gave and what the merged one gives, in float32; None for a model without adapters.
    """
    wrapped = [(name, module) for name, module in model.named_modules() if isinstance(module, _LORA)]
    differences = []
    for name, module in wrapped:
        base = module.get_base_layer()
        dtype = base.weight.dtype
        module.float()
        inputs = torch.randn(8, base.in_features, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            adapted = module(inputs)
            module.merge(safe_merge=True)  # safe: it raises where the sum is not finite
            differences.append(float((base(inputs) - adapted).abs().max() / adapted.abs().max()))
        base.to(dtype)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, base)
    model._hf_peft_config_loaded = False
    return max(differences) if differences else None


def split_linear_projector(model: Any) -> float | None:
    """Write a linear projector W·x + b as W·relu(x) - W·relu(-x) + b, which vLLM reads: it has no `linear`.

    Returns the largest difference that this makes, as `merge_lora` does; None where nothing was done,
    for the projector has two layers, or is too narrow to hold x twice.
    """
    projector = model.model.multi_modal_projector
    first, second = projector.linear_1, projector.linear_2
    width = first.in_features
    if model.config.projector_hidden_act != "linear" or 2 * width > first.out_features:
        return None
    inputs = torch.randn(8, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = torch.nn.functional.linear(inputs, first.weight.float(), first.bias.float())
        second.weight.zero_()[:, : 2 * width] = torch.cat([first.weight, -first.weight], dim=1)
        second.bias.copy_(first.bias)
        identity = torch.eye(width, dtype=first.weight.dtype)
        first.weight.zero_()[: 2 * width] = torch.cat([identity, -identity])
        first.bias.zero_()
        hidden = torch.relu(inputs @ first.weight.float().T)
        found = torch.nn.functional.linear(hidden, second.weight.float(), second.bias.float())
    projector.act = torch.nn.ReLU()
    model.config.projector_hidden_act = "relu"
    return float((found - expected).abs().max() / expected.abs().max())


_LORA = peft.tuners.lora.LoraLayer


def export_dtype(stage: StageConfig) -> torch.dtype:
    """What the weights of a stage are exported in: what its matrices are multiplied in."""
    return torch.bfloat16 if stage.precision == "bf16" else torch.float32


def cast(model: Any, dtype: torch.dtype) -> None:
    """Convert the parameters alone: buffers, such as the rotary frequencies, stay in float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def _write(trained: Trained, folder: Path) -> _Reference:
    """Write all that other programs read; returns what they must then say."""
    model, processor, dtype = trained.model, trained.processor, export_dtype(trained.stage)
    prompts = _prompts(trained)
    images = [(name, image, _pixels(processor, image)) for name, image in _images()]
    # Adapters and weights are rounded apart, their sum together: rounding first would not be the trainer's.
    adapted = any(isinstance(module, _LORA) for module in model.modules())
    if not adapted:
        cast(model, dtype)
    device = _device(model)
    model.to(device)
    logits = [_logits(model, processor, prompt) for prompt in prompts]
    model.cpu()
    projector = _original_projector(model, trained.recipe.model, dtype)
    merged, split = merge_lora(model), split_linear_projector(model)
    rewritten = max(merged or 0.0, split or 0.0)
    if rewritten > _REWRITE_TOLERANCE:
        raise InputError(
            f"{trained.name}: merging LoRA, or splitting a linear projector, moves a layer's output by "
            f"{rewritten:.3g} of its largest"
        )
    cast(model, dtype)
    state = _state_dict(model)
    save_torch_state_dict(
        {published_name(name): tensor for name, tensor in state.items()},
        folder,
        max_shard_size=_SHARD,
        metadata={"format": "pt"},
    )
    _write_config(trained, prompts, folder)
    _write_processor(processor, folder)
    torch.save(projector, folder / PROJECTOR)
    return _Reference(
        checkpoint=trained.name,
        dtype=dtype,
        device=device,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        prompts=prompts,
        images=images,
        logits=logits,
        lora_merged=merged is not None,
        projector_split=split is not None,
        rewritten=rewritten,
        tolerance=0.0 if merged is None and split is None else _LOGITS_TOLERANCE[dtype] * _largest(logits),
        digests={name: _digest(tensor) for name, tensor in state.items()},
    )


def _prove(folder: Path, reference: _Reference) -> Proof:
    """Load `folder` as anyone would and compare.

    Raises InputError that says what differs.
    """
    # Where torchvision is installed, transformers resizes with it unless told to.
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    for name, image, pixels in reference.images:
        if not torch.equal(_pixels(processor, image), pixels):
            raise _differs(f"the pixel values of a {name} image")
    for prompt in reference.prompts:
        for form, ids, expected in _forms(processor, prompt):
            if ids != expected:
                raise _differs(
                    f"the prompt of {prompt.turns[0]!r} ({form}): {_first_difference(ids, expected)}"
                )

    model, info = LlavaForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if found := info.get(problem):
            raise _differs(f"the set of weights: {problem.replace('_', ' ')} {sorted(map(str, found))[:3]}")
    digests = {name: _digest(tensor) for name, tensor in _state_dict(model).items()}
    if wrong := sorted(
        name for name in {*digests, *reference.digests} if digests.get(name) != reference.digests.get(name)
    ):
        raise _differs(f"{len(wrong)} of {len(reference.digests)} weights, first {wrong[0]}")

    model.eval().to(reference.device)
    difference = 0.0
    for prompt, expected_logits in zip(reference.prompts, reference.logits, strict=True):
        found_logits = _logits(model, processor, prompt)
        if not torch.isfinite(found_logits).all():
            raise _differs(f"the answer to {prompt.turns[0]!r}: logits are not finite numbers")
        difference = max(difference, float((found_logits - expected_logits).abs().max()))
    if difference > reference.tolerance:
        raise _differs(
            f"the logits: by {difference:.3g}, and {reference.tolerance:.3g} is allowed "
            f"(the largest is {_largest(reference.logits):.3g})"
        )
    return Proof(
        checkpoint=reference.checkpoint,
        dtype=str(reference.dtype).removeprefix("torch."),
        parameters=reference.parameters,
        tensors=len(digests),
        lora_merged=reference.lora_merged,
        projector_split=reference.projector_split,
        rewrite_difference=reference.rewritten,
        logits=sum(logits.numel() for logits in reference.logits),
        logits_largest=_largest(reference.logits),
        logits_difference=difference,
        logits_tolerance=reference.tolerance,
        prompts=len(reference.prompts),
        images=len(reference.images),
        versions=versions(),
    )


def _differs(what: str) -> InputError:
    return InputError(f"the export was not kept: read back, it differs from the trainer's model in {what}")


def _prompts(trained: Trained) -> list[_Prompt]:
    """The conversations that the checkpoint's format and tokenizer allow, as its trainer encodes them."""
    encoder = Encoder(
        trained.processor.tokenizer,
        get_format(trained.stage.format),
        image_token_id=trained.processor.image_token_id,
        features_per_image=features_per_image(trained.processor),
        max_length=_NO_LIMIT,
    )
    prompts = []
    for conversation in CONVERSATIONS:
        try:
            encoded = encoder.encode(conversation)
        except Unfit:  # `plain` knows one turn, and a tokenizer may lack a character
            continue
        supervised = [label != IGNORE_INDEX for label in encoded.labels]
        last = len(supervised) - 1 - supervised[::-1].index(True)
        start = last
        while start and supervised[start - 1]:
            start -= 1
        images = tuple(image for _, image in _images()[: encoded.n_images])
        prompts.append(_Prompt(conversation, images, list(encoded.input_ids), start, encoded.input_ids[last]))
    if not any(prompt.images for prompt in prompts):
        raise InputError(
            f"{trained.name}: no question about an image that the proof asks can be encoded in the format "
            f"{trained.stage.format}: nothing could be compared"
        )
    return prompts


def _forms(processor: Any, prompt: _Prompt) -> Iterator[tuple[str, list[int], list[int]]]:
    """Each way of turning the conversation into ids: its name, the ids, and what they must be."""
    listed = to_messages(prompt.turns)
    images = iter(prompt.images)
    shown = [
        {**message, "content": [_with_image(item, images) for item in message["content"]]}
        for message in listed
    ]
    spelled = [{**message, "content": _spelled(message["content"])} for message in listed]
    for content, messages in (("list content", shown), ("string content", spelled)):
        for form, part, ids in (
            ("whole", messages, prompt.input_ids),
            ("up to the last answer", messages[:-1], prompt.input_ids[: prompt.answer]),
        ):
            asked = {"add_generation_prompt": part is not messages}
            # A string can only name an image; where it is comes beside it. (transformers empties this dict.)
            beside = {"images": list(prompt.images)} if prompt.images and messages is spelled else {}
            tokenized = processor.apply_chat_template(
                part, tokenize=True, return_dict=True, processor_kwargs=beside, **asked
            )
            yield f"{content}, {form}, tokenized by the template", _row(tokenized["input_ids"]), ids
            text = processor.apply_chat_template(part, tokenize=False, **asked)
            called = processor(text=text, images=list(prompt.images) or None)
            yield f"{content}, {form}, as text to the processor", _row(called["input_ids"]), ids


def _with_image(item: dict[str, Any], images: Iterator[Image.Image]) -> dict[str, Any]:
    return {"type": "image", "image": next(images)} if item["type"] == "image" else item


def _spelled(content: Sequence[dict[str, Any]]) -> str:
    """Message content as one string, the way servers that know no lists write it."""
    return "".join("<image>\n" if item["type"] == "image" else item["text"] for item in content)


def _row(ids: Any) -> list[int]:
    row = ids.tolist() if isinstance(ids, torch.Tensor) else list(ids)
    return list(row[0]) if row and isinstance(row[0], list) else row


def _first_difference(ids: list[int], expected: list[int]) -> str:
    for position, (found, wanted) in enumerate(zip(ids, expected, strict=False)):
        if found != wanted:
            return f"token {position} is {found}, the trainer's is {wanted}"
    return f"{len(ids)} tokens, the trainer's are {len(expected)}"


def _images() -> list[tuple[str, Image.Image]]:
    """Pictures with every shape that resizing and padding treat apart."""
    shapes = {"wide": (97, 40), "tall": (31, 83), "square": (64, 64)}
    drawn = []
    for seed, (name, (width, height)) in enumerate(shapes.items()):
        noise = torch.randint(0, 256, (height, width, 3), generator=torch.Generator().manual_seed(seed))
        drawn.append((name, Image.fromarray(noise.to(torch.uint8).numpy())))
    return [*drawn, ("grey", Image.radial_gradient("L").resize((50, 70)))]


def _pixels(processor: Any, image: Image.Image) -> torch.Tensor:
    """[1, 3, height, width], float32."""
    return processor.image_processor(images=[image], return_tensors="pt")["pixel_values"]


@torch.no_grad()
def _logits(model: Any, processor: Any, prompt: _Prompt) -> torch.Tensor:
    """Of the whole conversation, [positions, vocabulary], float32 on the CPU."""
    inputs: dict[str, torch.Tensor] = {"input_ids": torch.tensor([prompt.input_ids], device=model.device)}
    if prompt.images:
        pixels = torch.cat([_pixels(processor, image) for image in prompt.images])
        inputs["pixel_values"] = pixels.to(model.device, model.dtype)
    # Adapters train in float32 beside weights in bfloat16, under the trainer's autocast.
    mixed = len({parameter.dtype for parameter in model.parameters()}) > 1
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # TF32, which training may use, rounds by itself
    try:
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=mixed):
            return model(**inputs, use_cache=False).logits[0].float().cpu()
    finally:
        torch.set_float32_matmul_precision(matmul)


def _largest(logits: Sequence[torch.Tensor]) -> float:
    return max(float(part.abs().max()) for part in logits)


def _device(model: Any) -> str:
    """A GPU that has room for the model, else the CPU."""
    if not torch.cuda.is_available():
        return "cpu"
    needed = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    torch.cuda.empty_cache()
    return "cuda" if torch.cuda.mem_get_info()[0] > 1.2 * needed + 2**31 else "cpu"


def _state_dict(model: Any) -> dict[str, torch.Tensor]:
    """The tensors to write: a tied head is the embedding, and is written once."""
    state = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        head = state.pop("lm_head.weight")
        embedding = model.get_input_embeddings().weight
        if head.data_ptr() != embedding.data_ptr() and not torch.equal(head, embedding):
            raise InputError("the checkpoint's head is tied to its embedding, but the two differ")
    return state


def _digest(tensor: torch.Tensor) -> str:
    """SHA-256 of shape, dtype and bits."""
    bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)}".encode())
    digest.update(memoryview(bits.numpy()))
    return digest.hexdigest()


def _write_config(trained: Trained, prompts: Sequence[_Prompt], folder: Path) -> None:
    model, tokenizer = trained.model, trained.processor.tokenizer
    config = model.config
    config.architectures = ["LlavaForConditionalGeneration"]
    config.dtype = export_dtype(trained.stage)
    for each in (config, config.text_config, config.vision_config):
        each._name_or_path = ""  # a path of this machine
        each.dtype = export_dtype(trained.stage)
    # The trainer turns caching off, at both levels (packed samples would see each other).
    config.use_cache = config.text_config.use_cache = True
    config.save_pretrained(folder)

    stops = _ids(tokenizer.eos_token_id) + _ids(config.text_config.eos_token_id)
    stops += _ids(model.generation_config.eos_token_id)
    # What ends an answer in training ends it here: the format's end token, or the newline after a caption.
    ends = [
        prompt.end for prompt in prompts if not tokenizer.decode(prompt.end, skip_special_tokens=True).strip()
    ]
    GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=list(dict.fromkeys(ends + stops)),
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    ).save_pretrained(folder)


def _ids(value: int | Sequence[int] | None) -> list[int]:
    return [] if value is None else [value] if isinstance(value, int) else list(value)


def _write_processor(processor: Any, folder: Path) -> None:
    """Tokenizer, image processor and chat template; the tokenizer adds no BOS, for the template writes it."""
    for place in ("is_local", "local_files_only", "name_or_path"):  # of the folder it was read from
        processor.tokenizer.init_kwargs.pop(place, None)
    processor.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer("a")["input_ids"] != tokenizer("a", add_special_tokens=False)["input_ids"]:
        processor.tokenizer.add_bos_token = processor.tokenizer.add_eos_token = False
        processor.save_pretrained(folder)


def _original_projector(model: Any, config: ModelConfig, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The projector as the original code's `build_vision_projector` names it, in the export's dtype."""
    projector = model.model.multi_modal_projector
    layers = {"0.": projector.linear_1, "2.": projector.linear_2}
    if config.projector == "linear":
        identity = torch.eye(projector.linear_2.out_features, dtype=projector.linear_2.weight.dtype)
        if not torch.equal(projector.linear_2.weight, identity) or projector.linear_2.bias.any():
            raise InputError("the projector is called linear, but its second layer is not the identity")
        layers = {"": projector.linear_1}
    return {
        f"model.mm_projector.{number}{name}": weight.detach().to(dtype, copy=True)
        for number, layer in layers.items()
        for name, weight in layer.state_dict().items()
    }


def _located(model: ModelConfig, checkpoint: Path) -> ModelConfig:
    """The base models' places: as recorded, or the run's own base/, wherever the run's folder is now."""
    run = checkpoint.resolve().parent.parent
    moved = {
        part: TINY
        for part in ("language_model", "vision_tower")
        if not Path(name := getattr(model, part)).is_dir()
        and Path(name).is_absolute()
        and (run / "base" / part).is_dir()
    }
    return resolve_tiny(model.model_copy(update=moved), run)


def _refuse_foreign(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError(f"{out}: is not a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / PROOF).is_file():
        raise InputError(f"{out}: holds something that is no export of ours; name an empty or new folder")


@contextmanager
def _written_beside(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write to, that takes its place at the end, or is gone."""
    out = out.absolute()
    folder, old = (out.with_name(f".{out.name}.{word}") for word in ("partial", "old"))
    try:
        if old.is_dir() and not out.exists():
            old.rename(out)  # a process that was killed between the two renames below
        for left_behind in (folder, old):
            shutil.rmtree(left_behind, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
        if out.exists():
            out.rename(old)
        folder.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        number = getattr(error, "errno", None)
        if number is None and not isinstance(error, SafetensorError):
            raise  # transformers' own, about what it read
        why = os.strerror(number) if number is not None else str(error)
        raise InputError(f"{out}: the export could not be written ({why}); nothing was left there") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _facts(trained: Trained) -> dict[str, Any]:
    """What the model card says of the run, from its record, its recipe and its log alone."""
    record, recipe = trained.record, trained.recipe
    bases = {part: getattr(recipe.model, part) for part in ("language_model", "vision_tower")}
    on_hub = [name for name in bases.values() if name != TINY and not _is_path(name)]
    losses, steps = _losses(trained.folder.parent.parent / "log.jsonl", record)
    return {
        "card_data": ModelCardData(
            base_model=on_hub or None,
            library_name="transformers",
            pipeline_tag="image-text-to-text",
            tags=["llava", "visual-instruction-tuning", "vitkit"],
        ),
        **{part: _base_name(name, part) for part, name in bases.items()},
        "projector": recipe.model.projector,
        "checkpoint": trained.name,
        "record": record,
        "data": [(Path(file.path).name, file.weight, file.sha256) for file in record.data],
        "format": trained.stage.format,
        "stage": record.stage,
        "recipe": _toml(recipe, record.stage),
        "losses": losses,
        "loss_steps": steps,
        "servable": trained.model.config.projector_hidden_act != "linear",  # which vLLM has not
        "quantized": recipe.model_dump()[record.stage]["quantization"] != "none",
    }


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


def _write_card(folder: Path, facts: dict[str, Any], proof: Proof) -> None:
    card = ModelCard.from_template(template_path=str(_CARD), proof=proof, **facts)
    card.save(folder / "README.md")
