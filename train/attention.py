"""Attention of a packed row, sample by sample."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

BY_SAMPLE = "sdpa_by_sample"

Kernel = Callable[..., torch.Tensor]
"""Causal attention of samples in one row, each of which sees itself alone, in half precision.

Takes query [T, heads, D], key and value [T, key heads, D], the samples' borders Int32[samples + 1], the
length of the longest, and the scaling; returns [T, heads, D].
"""

_DEVICE = "cuda"
"""Where the kernels run."""
_TOLERANCE = 2e-2
"""Of the largest value: a few of bf16's units of 1/256. A sample that sees another is ten times that off."""


def attend_by_sample(model: Any, max_length: int, precision: str = "fp32") -> str | None:
    """Let the language model attend within each sample of a packed row; returns by what, in words.

    PyTorch's attention over a whole row takes a mask of every position by every other, computes what
    the mask then hides, and cannot use its fastest kernels. Sample by sample, each is causal and needs
    no mask, so no sample can see another. On a GPU in `bf16` a row goes through in one call of a
    variable-length FlashAttention kernel (arXiv 2307.08691): the package flash-attn's where it is
    installed, else PyTorch's own. Each is first tried on this GPU with heads as the model's, and one that
    fails or is wrong is passed over. Elsewhere samples take turns in PyTorch's attention.

    For training alone: padding on the left, or a cache, it does not know. Models with another attention
    than `sdpa`, or whose window is shorter than `max_length`, stay as they are: None.
    """
    language_model = model.model.language_model
    config = language_model.config
    window = getattr(config, "sliding_window", None)
    if config._attn_implementation not in ("sdpa", BY_SAMPLE) or (window is not None and window < max_length):
        return None
    name, kernel = _fastest(config) if precision == "bf16" else (_ONE_BY_ONE, None)
    # transformers makes no mask for an attention that has registered none.
    AttentionInterface.register(BY_SAMPLE, functools.partial(_attend, kernel=kernel))
    language_model.set_attn_implementation(BY_SAMPLE)
    return name


# Its way through a row depends on the samples' lengths, which a compiled block would be compiled for anew.
@torch.compiler.disable
def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    kernel: Kernel | None,
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
    borders, on_device = _borders(position_ids)
    if kernel is not None and query.device.type == _DEVICE and not dropout:
        # Rotated by float32 angles, queries and keys are float32 again, where PyTorch's own attention
        # would be given them in half precision by autocast.
        half = torch.get_autocast_dtype(_DEVICE) if torch.is_autocast_enabled(_DEVICE) else value.dtype
        if half in (torch.bfloat16, torch.float16):
            rows = [whole[0].transpose(0, 1).to(half).contiguous() for whole in (query, key, value)]
            longest = max(after - before for before, after in itertools.pairwise(borders))
            found = kernel(*rows, on_device, longest, scaling or query.shape[-1] ** -0.5)
            return found[None], None
    lengths = [after - before for before, after in itertools.pairwise(borders)]
    samples = zip(*(whole.split(lengths, dim=2) for whole in (query, key, value)), strict=True)
    return torch.cat([attend(*sample) for sample in samples], dim=1), None


_seen: tuple[torch.Tensor, list[int], torch.Tensor] | None = None


def _borders(position_ids: torch.Tensor) -> tuple[list[int], torch.Tensor]:
    """Where the samples of a row [1, T] begin, and its end; and the same as Int32 on the row's device.

    A sample begins where positions do not go on.
    """
    global _seen
    # Every layer of a pass is given the same tensor, and reading one from a GPU makes the CPU wait.
    if _seen is None or _seen[0] is not position_ids:
        steps = position_ids[0].diff() != 1
        borders = [0, *(steps.nonzero()[:, 0] + 1).tolist(), position_ids.shape[1]]
        _seen = position_ids, borders, torch.tensor(borders, dtype=torch.int32, device=position_ids.device)
    return _seen[1:]


# Kernels

_ONE_BY_ONE = "PyTorch's attention, sample by sample"


def _installed() -> Iterator[tuple[str, Kernel]]:
    """The kernels there are, the best first."""
    if not torch.cuda.is_available():
        return
    try:
        from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]
    except ImportError:  # not installed, or built for another PyTorch
        pass
    else:
        yield (
            "flash-attn, a row at once",
            lambda query, key, value, borders, longest, scaling: flash_attn_varlen_func(
                query, key, value, borders, borders, longest, longest, softmax_scale=scaling, causal=True
            ),
        )
    from torch.nn.attention.varlen import varlen_attn

    yield (
        "PyTorch's FlashAttention, a row at once",
        lambda query, key, value, borders, longest, scaling: varlen_attn(
            query,
            key,
            value,
            borders,
            borders,
            longest,
            longest,
            scale=scaling,
            window_size=(-1, 0),  # causal
            enable_gqa=query.shape[1] != key.shape[1],
        ),
    )


def _fastest(config: Any) -> tuple[str, Kernel | None]:
    """The first kernel that is right for heads as in `config`, by name; None where none is."""
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    passed_over = ""
    for name, kernel in _installed():
        problem = _problem(kernel, heads, config.num_key_value_heads, width)
        if problem is None:
            return name + passed_over, kernel
        passed_over += f" ({name.split(',')[0]} {problem})"
    return _ONE_BY_ONE + passed_over, None


def _problem(kernel: Kernel, heads: int, key_heads: int, width: int) -> str | None:
    """What a kernel does wrong on this machine, forward or back, on a row of three samples; None: nothing."""
    lengths = (70, 1, 58)
    generator = torch.Generator().manual_seed(0)
    query, key, value, gradient = (
        torch.randn(sum(lengths), count, width, generator=generator).to(_DEVICE, torch.bfloat16)
        for count in (heads, key_heads, key_heads, heads)
    )
    borders = [0, *itertools.accumulate(lengths)]
    scaling = width**-0.5

    def one_by_one(*whole: torch.Tensor) -> torch.Tensor:
        samples = zip(*(each.transpose(0, 1)[None].split(lengths, dim=2) for each in whole), strict=True)
        alone = [
            torch.nn.functional.scaled_dot_product_attention(
                *sample, is_causal=True, scale=scaling, enable_gqa=True
            )
            for sample in samples
        ]
        return torch.cat(alone, dim=2)[0].transpose(0, 1)

    def in_one_call(*whole: torch.Tensor) -> torch.Tensor:
        on_device = torch.tensor(borders, dtype=torch.int32, device=_DEVICE)
        return kernel(*whole, on_device, max(lengths), scaling)

    def results(attend: Callable[..., torch.Tensor]) -> list[torch.Tensor]:
        inputs = [each.clone().requires_grad_() for each in (query, key, value)]
        found = attend(*inputs)
        return [found.detach(), *torch.autograd.grad(found, inputs, gradient)]

    try:
        with torch.enable_grad(), torch.autocast(_DEVICE, enabled=False):
            pairs = zip(results(in_one_call), results(one_by_one), strict=True)
            wrong = [
                not bool((ours.float() - theirs.float()).abs().max() <= _TOLERANCE * theirs.abs().max())
                for ours, theirs in pairs
            ]
    except Exception as error:  # a kernel built for other hardware, heads of a width it does not take, …
        return f"fails here: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
    return "gives wrong results here" if any(wrong) else None
