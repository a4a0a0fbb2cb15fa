"""Tiny language models and vision towers of every family, with tokenizers trained here: no downloads.

`language_model("llama")` and `vision_tower("clip")` write one folder a process and give it out again, so
tests share them; whoever wants to spoil a folder writes one of their own with `write_…`.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from train.config import ModelConfig

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""What `write_language_model` writes; `llama_3` besides: a Llama with Llama 3's tokenizer."""
TOWERS = ("clip", "siglip")

TEXTS = (
    "A man in a red shirt is riding a brown horse along the beach.",
    "Two dogs are lying on a sofa next to a sleeping cat.",
    "What is the man in the image doing?",
    "The man is standing at the counter of a small kitchen, cutting vegetables with a knife.",
    "How many people are there in the picture?\nThere are three people in the picture.",
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
    "USER: Describe the following image. ASSISTANT: A bowl of fruit stands on a wooden table.",
    "Provide a brief description of the given image.\nA street with cars, a bus and a traffic light.",
    "What could happen next? The ball may be caught by the child on the left, who is running towards it.",
)

# The special tokens that the family's own tokenizer has: (all of them, bos, eos, pad).
_SPECIAL: dict[str, tuple[tuple[str, ...], str | None, str, str | None]] = {
    "llama": (("<unk>", "<s>", "</s>"), "<s>", "</s>", None),
    "mistral": (("<unk>", "<s>", "</s>", "[INST]", "[/INST]"), "<s>", "</s>", None),
    "llama_3": (
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|begin_of_text|>",
        "<|eot_id|>",
        None,
    ),
    "qwen2": (("<|endoftext|>", "<|im_start|>", "<|im_end|>"), None, "<|im_end|>", "<|endoftext|>"),
    "qwen3": (("<|endoftext|>", "<|im_start|>", "<|im_end|>"), None, "<|im_end|>", "<|endoftext|>"),
}
_CONFIGS: dict[str, Any] = {
    "llama": LlamaConfig,
    "llama_3": LlamaConfig,
    "mistral": MistralConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
}


def write_tokenizer(folder: Path, family: str = "llama", *, texts: Sequence[str] = TEXTS) -> Any:
    """Train the family's kind of tokenizer and save it in `folder`; returns it.

    llama and mistral have SentencePiece's ways (`▁` for a space, one put before the text, bytes for what
    is unknown), the others byte-level BPE.
    """
    special, bos, eos, pad = _SPECIAL[family]
    sentencepiece = family in ("llama", "mistral")
    trained = _sentencepiece_bpe(texts, special) if sentencepiece else _byte_level_bpe(texts, special)
    unknown = {"unk_token": "<unk>"} if "<unk>" in special else {}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        model_max_length=2048,
        **unknown,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_language_model(
    folder: Path,
    family: str = "llama",
    *,
    layers: int = 2,
    context: int = 512,
    tied: bool | None = None,
    seed: int = 0,
) -> Path:
    """Write a random causal language model with its tokenizer, in float32 safetensors; returns `folder`.

    `family` is one of FAMILIES, or `llama_3`. `tied` ties the head to the embedding; by default the Qwens
    are, as the published small ones are. Their embedding is also larger than their tokenizer, which the
    other families' is not.
    """
    tokenizer = write_tokenizer(folder, family)
    qwen = family.startswith("qwen")
    config = _CONFIGS[family](
        vocab_size=(len(tokenizer) + 127) // 64 * 64 if qwen else len(tokenizer),
        # Multiples of 64: bitsandbytes quantizes that many weights of a row at once.
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=context,
        tie_word_embeddings=qwen if tied is None else tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Random weights of the usual size give answers that hardly depend on the input.
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    return folder


def write_vision_tower(
    folder: Path,
    kind: str = "clip",
    *,
    layers: int = 3,
    image_size: int = 16,
    patch_size: int = 8,
    whole: bool = False,
    seed: int = 0,
) -> Path:
    """Write a random CLIP or SigLIP tower with its preprocessor_config.json; returns `folder`.

    `whole` writes the model of images and texts, as openai/clip-vit-… and google/siglip-… are published.
    """
    vision = {
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "image_size": image_size,
        "patch_size": patch_size,
        "initializer_range": 0.2,
    }
    text = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "vocab_size": 16,
    }
    clip = kind == "clip"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if clip and whole:
            model = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=8))
        elif clip:
            model = CLIPVisionModel(CLIPVisionConfig(**vision))
        elif whole:
            model = SiglipModel(SiglipConfig(vision_config=vision, text_config=text))
        else:
            model = SiglipVisionModel(SiglipVisionConfig(**vision))
    model.save_pretrained(folder)
    if clip:
        square = {"height": image_size, "width": image_size}
        processor = CLIPImageProcessorPil(size={"shortest_edge": image_size}, crop_size=square)
    else:
        processor = SiglipImageProcessorPil(size={"height": image_size, "width": image_size})
    processor.save_pretrained(folder)
    return folder


@functools.cache
def language_model(family: str = "llama") -> Path:
    """A folder with a tiny language model of the family, written once a process. Not to be changed."""
    return write_language_model(_shared() / family, family)


@functools.cache
def vision_tower(kind: str = "clip") -> Path:
    """A folder with a tiny vision tower, written once a process. Not to be changed."""
    return write_vision_tower(_shared() / kind, kind)


def model_config(family: str = "llama", kind: str = "clip", **settings: Any) -> ModelConfig:
    """What `train.model` takes, with the shared folders."""
    return ModelConfig(
        language_model=str(language_model(family)), vision_tower=str(vision_tower(kind)), **settings
    )


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """An image of noise: a crop, a pad or a resize in the wrong place shows in every pixel."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


@functools.cache
def _home() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="vitkit-tiny-", ignore_cleanup_errors=True)


def _shared() -> Path:
    return Path(_home().name)


def _byte_level_bpe(texts: Sequence[str], special: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _sentencepiece_bpe(texts: Sequence[str], special: Sequence[str]) -> Tokenizer:
    """As the published Llama and Vicuna tokenizers are: no words, the whole text is one to BPE."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(Regex(" "), "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=560, special_tokens=[*special, *byte_tokens], show_progress=False, max_token_length=12
    )
    tokenizer.train_from_iterator(_words(texts), trainer)
    # The trainer makes special tokens of the bytes, which a text could then spell out.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in special]
    return Tokenizer.from_str(json.dumps(state))


def _words(texts: Sequence[str]) -> Iterator[str]:
    # SentencePiece learns no merge that crosses a space.
    for text in texts:
        yield from text.split()


__all__ = [
    "FAMILIES",
    "TEXTS",
    "TOWERS",
    "language_model",
    "model_config",
    "picture",
    "vision_tower",
    "write_language_model",
    "write_tokenizer",
    "write_vision_tower",
]
