"""The proof of an export: what the trainer's model says, the exported one says too.

What the first says is kept in a `Reference`, so that the two are never in memory together; the second is
loaded with plain transformers, as anyone would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from train.checkpoint import versions
from train.conversation import Encoder, get_format, to_messages
from train.model import features_per_image
from train.records import IGNORE_INDEX, InputError, Unfit

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

_NO_LIMIT = 2**20
"""Positions: a sample's length limit drops turns, and changes nothing else."""


@dataclass(frozen=True)
class Proof:
    """What was compared between the trainer's model and the exported one. Every comparison held."""

    checkpoint: str
    """As `stage/checkpoint-N`."""
    dtype: str
    parameters: int
    tensors: int
    """Compared bit by bit, after plain `from_pretrained`, with those that were written."""
    quantization: str
    """How the language model was held in training. What is exported, and compared, is never quantized."""
    base_checked: bool
    """The weights that did not train are those of training, by the hash in the checkpoint's record."""
    compared_with: str
    """Whose logits the exported model's were compared with, in words."""
    lora_merged: bool
    projector_split: bool
    """A linear projector was written as two layers with a ReLU between them, for vLLM."""
    rewrite_difference: float
    """How much either moved a layer's output in float32, at most, as a share of the largest."""
    logits: int
    """How many logits were compared."""
    logits_largest: float
    """The largest of the logits compared with, absolute."""
    logits_difference: float
    """The largest absolute difference."""
    logits_tolerance: float
    """What was allowed; 0 where nothing had to be rewritten."""
    prompts: int
    """Prompts whose token ids are the trainer's own, in every form of calling the processor."""
    images: int
    """Images whose pixel values are the trainer's own, bit by bit."""
    versions: dict[str, str]


def describe(proof: Proof) -> str:
    """The proof in a sentence."""
    logits = f"logits equal those of {proof.compared_with}"
    if proof.logits_difference:
        logits = (
            f"logits within {proof.logits_difference:.2g} of those of {proof.compared_with} "
            f"({proof.logits_tolerance:.2g} was allowed, the largest is {proof.logits_largest:.3g})"
        )
    merged = ", LoRA merged" if proof.lora_merged else ""
    split = ", linear projector split" if proof.projector_split else ""
    unchecked = "" if proof.base_checked else "; no record says which base weights it trained on"
    return (
        f"{proof.parameters:,} parameters in {proof.dtype}{merged}{split}; read back by plain transformers, "
        f"{logits}, prompts and pixel values the trainer's own{unchecked}"
    )


@dataclass(frozen=True)
class Prompt:
    """A conversation with the ids that the trainer's encoder gives it."""

    turns: tuple[str, ...]
    images: tuple[Image.Image, ...]
    input_ids: list[int]
    answer: int
    """Where the last answer starts."""
    end: int
    """The token that ends it."""


@dataclass(frozen=True)
class Reference:
    """What the trainer's model and processor say: all that the proof needs of them."""

    checkpoint: str
    dtype: torch.dtype
    device: str
    parameters: int
    quantization: str
    base_checked: bool
    compared_with: str
    lora_merged: bool
    projector_split: bool
    rewritten: float
    prompts: list[Prompt]
    images: list[tuple[str, Image.Image, torch.Tensor]]
    logits: list[torch.Tensor]
    """Of the prompts, each [positions, vocabulary]."""
    tolerance: float
    digests: dict[str, str]
    """Of each tensor of the state dict, under the model's own names."""


def prove(folder: Path, reference: Reference) -> Proof:
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
        if names := info.get(problem):
            raise _differs(f"the set of weights: {problem.replace('_', ' ')} {sorted(map(str, names))[:3]}")
    found = digests(tensors_of(model))
    if wrong := sorted(
        name for name in {*found, *reference.digests} if found.get(name) != reference.digests.get(name)
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
            f"(the largest is {largest(reference.logits):.3g})"
        )
    return Proof(
        checkpoint=reference.checkpoint,
        dtype=_name(reference.dtype),
        parameters=reference.parameters,
        tensors=len(found),
        quantization=reference.quantization,
        base_checked=reference.base_checked,
        compared_with=reference.compared_with,
        lora_merged=reference.lora_merged,
        projector_split=reference.projector_split,
        rewrite_difference=reference.rewritten,
        logits=sum(logits.numel() for logits in reference.logits),
        logits_largest=largest(reference.logits),
        logits_difference=difference,
        logits_tolerance=reference.tolerance,
        prompts=len(reference.prompts),
        images=len(reference.images),
        versions=versions(),
    )


def _differs(what: str) -> InputError:
    return InputError(f"the export was not kept: read back, it differs from the trainer's model in {what}")


def compared_with(dtype: torch.dtype, quantization: str, adapted: bool) -> str:
    """Whose logits an export is compared with, in words; `adapted` where they were computed through LoRA."""
    name = _name(dtype)
    if quantization != "none":
        return (
            f"the trainer's model unquantized (its language model in {name}, not in the {quantization} that "
            "it was trained in)"
        )
    if adapted or dtype == torch.float32:
        return "the trainer's model"
    return f"the trainer's model rounded to {name}"  # what trains is float32, whatever it is multiplied in


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def encode_prompts(processor: Any, format_name: str, checkpoint: str) -> list[Prompt]:
    """The conversations that the format and the tokenizer of `checkpoint` allow, as its trainer encodes them.

    Raises InputError when none of those that show an image is left.
    """
    encoder = Encoder(
        processor.tokenizer,
        get_format(format_name),
        image_token_id=processor.image_token_id,
        features_per_image=features_per_image(processor),
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
        prompts.append(Prompt(conversation, images, list(encoded.input_ids), start, encoded.input_ids[last]))
    if not any(prompt.images for prompt in prompts):
        raise InputError(
            f"{checkpoint}: no question about an image that the proof asks can be encoded in the format "
            f"{format_name}: nothing could be compared"
        )
    return prompts


def _forms(processor: Any, prompt: Prompt) -> Iterator[tuple[str, list[int], list[int]]]:
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


def draw_images(processor: Any) -> list[tuple[str, Image.Image, torch.Tensor]]:
    """The pictures that are compared: name, picture, and the pixel values that `processor` makes of it."""
    return [(name, image, _pixels(processor, image)) for name, image in _images()]


def ask(model: Any, processor: Any, prompts: Sequence[Prompt]) -> tuple[list[torch.Tensor], str]:
    """The logits of each prompt, and where they were computed: a GPU that has room, else the CPU."""
    device = _device(model)
    model.to(device)
    logits = [_logits(model, processor, prompt) for prompt in prompts]
    model.cpu()
    return logits, device


@torch.no_grad()
def _logits(model: Any, processor: Any, prompt: Prompt) -> torch.Tensor:
    """Of the whole conversation, [positions, vocabulary], float32 on the CPU."""
    inputs: dict[str, torch.Tensor] = {"input_ids": torch.tensor([prompt.input_ids], device=model.device)}
    if prompt.images:
        pixels = torch.cat([_pixels(processor, image) for image in prompt.images])
        inputs["pixel_values"] = pixels.to(model.device, model.dtype)
    # Adapters train in float32 beside weights in bfloat16, under the trainer's autocast.
    mixed = len({parameter.dtype for parameter in model.parameters()}) > 1
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=mixed):
        return model(**inputs, use_cache=False).logits[0].float().cpu()


@contextmanager
def full_float32() -> Iterator[None]:
    """Multiply float32 as float32: TF32, which the trainer turns on where a GPU has it, rounds by itself."""
    backends = torch.backends
    # The general setting holds where a backend, or one of its operations, has none of its own.
    places: list[Any] = [
        backends,
        backends.cudnn,  # all of CUDA
        backends.cuda.matmul,
        backends.cudnn.conv,
        backends.cudnn.rnn,
        backends.mkldnn.matmul,
        backends.mkldnn.conv,
        backends.mkldnn.rnn,
    ]
    before = []
    try:
        for place in places:
            if (precision := place.fp32_precision) != "ieee":
                place.fp32_precision = "ieee"
                before.append((place, precision))
        yield
    finally:
        for place, precision in reversed(before):
            place.fp32_precision = precision


def largest(logits: Sequence[torch.Tensor]) -> float:
    return max(float(part.abs().max()) for part in logits)


def _device(model: Any) -> str:
    """A GPU that has room for the model, else the CPU."""
    if not torch.cuda.is_available():
        return "cpu"
    needed = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    torch.cuda.empty_cache()
    return "cuda" if torch.cuda.mem_get_info()[0] > 1.2 * needed + 2**31 else "cpu"


def tensors_of(model: Any) -> dict[str, torch.Tensor]:
    """The tensors to write: a tied head is the embedding, and is written once."""
    state = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        head = state.pop("lm_head.weight")
        embedding = model.get_input_embeddings().weight
        if head.data_ptr() != embedding.data_ptr() and not torch.equal(head, embedding):
            raise InputError("the checkpoint's head is tied to its embedding, but the two differ")
    return state


def digests(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """By which two state dicts are compared without both in memory."""
    return {name: _digest(tensor) for name, tensor in tensors.items()}


def _digest(tensor: torch.Tensor) -> str:
    """SHA-256 of shape, dtype and bits."""
    bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)}".encode())
    digest.update(memoryview(bits.numpy()))
    return digest.hexdigest()
