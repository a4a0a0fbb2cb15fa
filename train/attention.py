"""Attention of a packed row, sample by sample."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

BY_SAMPLE = "sdpa_by_sample"


def attend_by_sample(model: Any, max_length: int) -> bool:
    """Let the language model attend within each sample of a packed row; whether it does so now.

    PyTorch's attention over a whole row takes a mask of every position by every other, computes what
    the mask then hides, and cannot use its fastest kernels. Sample by sample, each is causal and needs
    no mask, so no sample can see another. For training alone: padding on the left, or a cache, it does
    not know. Models with another attention than `sdpa`, or whose window is shorter than `max_length`,
    stay as they are.
    """
    language_model = model.model.language_model
    window = getattr(language_model.config, "sliding_window", None)
    if language_model.config._attn_implementation != "sdpa" or (window is not None and window < max_length):
        return False
    # transformers makes no mask for an attention that has registered none.
    AttentionInterface.register(BY_SAMPLE, _sdpa_by_sample)
    language_model.set_attn_implementation(BY_SAMPLE)
    return True


def _sdpa_by_sample(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    position_ids: torch.Tensor | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """query: [B, heads, T, D]; key, value: [B, key heads, T, D]; the result: [B, T, heads, D]."""

    def attend(*sample: torch.Tensor) -> torch.Tensor:
        found, _ = sdpa_attention_forward(
            module, *sample, None, dropout=dropout, scaling=scaling, is_causal=True
        )
        return found

    if position_ids is None or query.shape[0] > 1:
        # Padded on the right: what is padding comes after all that could attend to it.
        return attend(query, key, value), None
    lengths = _lengths(position_ids)
    samples = zip(*(whole.split(lengths, dim=2) for whole in (query, key, value)), strict=True)
    return torch.cat([attend(*sample) for sample in samples], dim=1), None


_seen: tuple[torch.Tensor, list[int]] | None = None


def _lengths(position_ids: torch.Tensor) -> list[int]:
    """Of the samples of a row [1, T]: a sample begins where positions do not go on."""
    global _seen
    # Every layer of a pass is given the same tensor, and reading one from a GPU makes the CPU wait.
    if _seen is None or _seen[0] is not position_ids:
        steps = position_ids[0].diff() != 1
        starts = [0, *(steps.nonzero()[:, 0] + 1).tolist(), position_ids.shape[1]]
        _seen = position_ids, [after - before for before, after in itertools.pairwise(starts)]
    return _seen[1]
