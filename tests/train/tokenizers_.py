"""Small tokenizers of the families that language models use, written down in full: nothing is downloaded.

Vocabularies are built from a fixed list of words, without training, so that the ids in `golden/` stay.
"""

from __future__ import annotations

import tempfile
from functools import cache
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer

from schemas.llava import IMAGE_TOKEN

WORDS = (
    "A chat between a curious user and an artificial intelligence assistant The gives helpful detailed "
    "polite answers to the user's questions You are language vision able understand visual content that "
    "provides assist with variety of tasks using natural USER ASSISTANT INST SYS system what What is this "
    "in image red bus Yes No How many first second return"
).split()
LLAMA_3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
INST, CHATML = ("[INST]", "[/INST]"), ("<|im_start|>", "<|im_end|>")
LLAMA_3 = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")

FAMILIES = (
    *("llama_legacy", "llama", "mistral", "llama_3", "qwen", "deepseek", "gpt2", "roberta"),
    *("unigram", "unigram_bytes"),
)
"""What `tokenizer` builds, all of them without loss."""

FORMATS_OF = {
    "llama_legacy": ("plain", "vicuna_v1", "llama_2", "mistral"),
    "llama": ("plain", "vicuna_v1", "llama_2", "mistral"),
    "mistral": ("plain", "vicuna_v1", "mistral", "chatml"),
    "llama_3": ("plain", "vicuna_v1", "llama_3"),
    "qwen": ("plain", "vicuna_v1", "chatml"),
    "deepseek": ("plain", "vicuna_v1"),
    "gpt2": ("plain", "vicuna_v1", "llama_2", "mistral", "chatml"),
    "roberta": ("plain", "vicuna_v1", "llama_2", "chatml"),
    "unigram": ("plain", "vicuna_v1", "llama_2", "mistral"),
    "unigram_bytes": ("plain", "vicuna_v1", "llama_2", "mistral", "chatml"),
}
"""The formats that each family is used with."""


@cache
def tokenizer(family: str) -> Any:
    """The family's tokenizer with `<image>` and a pad token of its own, as AutoTokenizer loads it."""
    made = _BUILDERS[family]()
    made.add_special_tokens(
        {"additional_special_tokens": [AddedToken(IMAGE_TOKEN, special=True, normalized=False)]}
    )
    if made.pad_token is None:
        made.add_special_tokens({"pad_token": "<pad>"})
    with tempfile.TemporaryDirectory() as folder:
        made.save_pretrained(folder)
        return AutoTokenizer.from_pretrained(folder)


def sentencepiece_bpe(extra: tuple[str, ...] = ()) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges as Llama has them: bytes, characters, words with `▁` for a space."""
    words = [*extra, "▁▁", "▁▁▁▁", *("▁" + word for word in WORDS), *WORDS]
    merges = _merges(words)
    characters = sorted({character for word in words for character in word} | set(".,:?!()\n"))
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *characters]
    return _numbered([*pieces, *("".join(merge) for merge in merges)]), merges


def byte_level_bpe(special: tuple[str, ...] = ()) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges as GPT-2 has them: 256 bytes in disguise, then words with their space."""
    words = ["ĊĊ", ".Ċ", "ĠĠ", *("Ġ" + word for word in WORDS), *WORDS]
    merges = _merges(words)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return _numbered([*special, *alphabet, *("".join(merge) for merge in merges)]), merges


def fast(backend: Tokenizer, **names: Any) -> Any:
    """Wrap a tokenizer of the `tokenizers` library; its named tokens become special ones."""
    return PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False, **names)


def llama_legacy(extra: tuple[str, ...] = ()) -> Any:
    """Llama 2 as published: a normalizer puts a space before whatever follows a special token."""
    vocabulary, merges = sentencepiece_bpe(extra)
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = _llama_decoder()
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return fast(backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def byte_level(
    *, special: tuple[str, ...], bos: str | None, eos: str, trim: bool = False, split: str = ""
) -> Any:
    """Byte-level BPE; `trim` leaves spaces out of offsets, `split` replaces GPT-2's own."""
    vocabulary, merges = byte_level_bpe(special)
    backend = Tokenizer(models.BPE(vocabulary, merges))
    spaces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not split)
    backend.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"), spaces]) if split else spaces
    )
    backend.decoder = decoders.ByteLevel()
    ends: Any = processors.ByteLevel(trim_offsets=trim)
    if bos:
        begin = processors.TemplateProcessing(f"{bos} $A", special_tokens=[(bos, vocabulary[bos])])
        ends = processors.Sequence([ends, begin])
    backend.post_processor = ends
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    names = {"bos_token": bos} if bos else {}
    return fast(backend, eos_token=eos, **names)


def unigram(*, byte_fallback: bool = False, lossy: bool = False, special: tuple[str, ...] = ()) -> Any:
    """A SentencePiece unigram model; `lossy` folds whitespace and compatibility forms as T5 does."""
    words = [*("▁" + word for word in WORDS), *WORDS]
    characters = sorted({character for word in words for character in word} | set("▁.,:?![]</>()'\n"))
    pieces: list[tuple[str, float]] = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    if byte_fallback:
        pieces += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    known = dict.fromkeys([*characters, *words])
    pieces += [
        (piece, -10.0 if len(piece) == 1 else -5.0 - 0.01 * number) for number, piece in enumerate(known)
    ]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=byte_fallback))
    if lossy:
        backend.normalizer = normalizers.Sequence(
            [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")]
        )
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.decoder = (
        decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        if byte_fallback
        else decoders.Metaspace(prepend_scheme="always")
    )
    made = fast(backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    made.add_special_tokens({"additional_special_tokens": list(special)})
    return made


def _llama() -> Any:
    vocabulary, merges = sentencepiece_bpe()
    return LlamaTokenizer(vocab=vocabulary, merges=merges, legacy=False)


def _mistral() -> Any:
    vocabulary, merges = sentencepiece_bpe()
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    backend.decoder = _llama_decoder()
    made = fast(backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    made.add_special_tokens({"additional_special_tokens": [*INST, *CHATML]})
    return made


def _qwen() -> Any:
    vocabulary, merges = byte_level_bpe()
    made = Qwen2Tokenizer(vocab=vocabulary, merges=merges, eos_token="<|im_end|>")
    made.add_special_tokens({"additional_special_tokens": list(CHATML)})
    return made


def _llama_3() -> Any:
    return byte_level(special=LLAMA_3, bos="<|begin_of_text|>", eos="<|end_of_text|>", split=LLAMA_3_SPLIT)


def _deepseek() -> Any:
    begin, end = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
    return byte_level(special=(begin, end), bos=begin, eos=end, split=LLAMA_3_SPLIT)


def _gpt2() -> Any:
    return byte_level(special=("<|endoftext|>", *CHATML), bos="<|endoftext|>", eos="<|endoftext|>")


def _roberta() -> Any:
    return byte_level(special=("<s>", "</s>", *CHATML), bos="<s>", eos="</s>", trim=True)


_BUILDERS: dict[str, Any] = {
    "llama_legacy": llama_legacy,
    "llama": _llama,
    "mistral": _mistral,
    "llama_3": _llama_3,
    "qwen": _qwen,
    "deepseek": _deepseek,
    "gpt2": _gpt2,
    "roberta": _roberta,
    "unigram": unigram,
    "unigram_bytes": lambda: unigram(byte_fallback=True, special=CHATML),
    "unigram_lossy": lambda: unigram(lossy=True),
}


def _llama_decoder() -> Any:
    return decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Merges that build each word from the left, one character at a time."""
    pairs = ((word[:at], word[at]) for word in words for at in range(1, len(word)))
    return list(dict.fromkeys(pairs))


def _numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
