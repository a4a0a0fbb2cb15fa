"""A random LLaVA's parts in about a million weights: the whole road of training on a CPU in minutes.

The language model is a Llama whose tokenizer is trained on the run's own texts, the tower a CLIP of 64
pixels. Both are written as published models are, so nothing after this file knows that they are tiny.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from train.records import InputError

VOCABULARY = 2048
CONTEXT = 2048
IMAGE_SIZE = 64
_FINGERPRINT = "made_from.txt"


def write_tiny(folder: Path, texts: Iterable[str], seed: int) -> tuple[Path, Path]:
    """Write `folder/language_model` and `folder/vision_tower`, and return both.

    The same texts and seed give the same bytes. A folder that was made from them before is left as it
    is; it appears whole or not at all, also where several processes write it at once.

    Raises InputError where the folder holds something else, or there is no text.
    """
    # JSON can spell half a character (a lone surrogate); a sample that does is left out later, with a reason.
    texts = [text.encode("utf-8", errors="replace").decode("utf-8") for text in texts]
    if not any(text.strip() for text in texts):
        raise InputError("the tiny model's tokenizer is trained on the run's data, which has no text")
    fingerprint = _fingerprint(texts, seed)
    parts = folder / "language_model", folder / "vision_tower"
    if _is_made(folder, fingerprint):
        return parts
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            _write_language_model(unfinished / "language_model", texts)
            _write_vision_tower(unfinished / "vision_tower")
        (unfinished / _FINGERPRINT).write_text(fingerprint, encoding="utf-8")
        try:
            unfinished.rename(folder)
        except OSError:
            # Another process was first: what it wrote is the same, or _is_made says otherwise.
            if not _is_made(folder, fingerprint):
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return parts


def _fingerprint(texts: Sequence[str], seed: int) -> str:
    digest = hashlib.sha256()
    for text in texts:
        # The length keeps ["ab", "c"] and ["a", "bc"] apart.
        encoded = text.encode("utf-8")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return (
        f"texts sha256 {digest.hexdigest()}\nseed {seed}\ntorch {torch.__version__}\n"
        f"transformers {transformers.__version__}\ntokenizers {tokenizers.__version__}\n"
    )


def _is_made(folder: Path, fingerprint: str) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    made = folder / _FINGERPRINT
    if made.is_file() and made.read_text(encoding="utf-8") == fingerprint:
        return True
    raise InputError(
        f"{folder}: holds something else than the tiny model of these texts and this seed; "
        "name another output folder, or delete this one"
    )


def _write_language_model(folder: Path, texts: Sequence[str]) -> None:
    tokenizer = _train_tokenizer(texts)
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        # Heads of 64: what the attention kernels of servers ask for.
        num_attention_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def _train_tokenizer(texts: Sequence[str]) -> Any:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "</s>", "<pad>"],
        # Every byte, so that a text from elsewhere can be read as well.
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=CONTEXT,
    )


def _write_vision_tower(folder: Path) -> None:
    config = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=IMAGE_SIZE,
        patch_size=16,
        projection_dim=64,
    )
    CLIPVisionModel(config).save_pretrained(folder)
    square = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    CLIPImageProcessorPil(size={"shortest_edge": IMAGE_SIZE}, crop_size=square).save_pretrained(folder)
