"""Faster ways to compute the same: PyTorch's compiler, and Liger's kernels."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch

from train.config import StageConfig
from train.records import InputError
from train.zero import sharing

_DEVICE = "cuda"
"""Where Liger's kernels run."""


def speed_up(model: Any, stage: StageConfig) -> list[str]:
    """Turn on what the stage asks for, in place; returns it in words. No parameter gets another name.

    - `torch_compile`: the norms, the attention (but for what `train.attention` does) and the MLP of each
      block of language model and vision tower are compiled, for batches of any shape. Part by part: blocks
      share what is compiled for one of them, and activation checkpointing, which wraps a block from
      inside, would keep a whole one from being compiled.
    - `use_liger_kernel`: RMSNorm, rotary embedding and SwiGLU of the language model by Liger's Triton
      kernels (arXiv 2410.10989), where they are on a GPU. Not its loss: `train.loss` computes supervised
      positions alone.

    To be called once what trains is known (`stages.set_trainable`), which may add layers.
    Raises InputError as `check_kernels` does, and where Liger does not know the language model.
    """
    check_kernels(stage)
    _give_back_rotary()
    if stage.torch_compile:
        for block in [*model.model.language_model.layers, *model.model.vision_tower.encoder.layers]:
            for part in block.children():
                part.compile(dynamic=True)
        return ["blocks compiled by PyTorch"]
    if stage.use_liger_kernel:
        _use_liger(model.model.language_model)
        return ["Liger's kernels in the language model"]
    return []


def check_kernels(stage: StageConfig, name: str = "stage") -> None:
    """Refuse what `speed_up` could not turn on: for the start of a run, before any data is read.

    `name` is the stage's. Raises InputError where no compiler works, there is no GPU or no Liger, or
    where two things that are asked for do not go together.
    """
    compiler, liger = f"{name}.torch_compile", f"{name}.use_liger_kernel"
    if stage.torch_compile and stage.use_liger_kernel:
        raise InputError(f"{compiler} and {liger} speed up the same layers: set one of the two")
    if stage.torch_compile:
        if sharing(stage, name).zero == 3:
            # Seen: its hooks run inside of what is compiled, which is compiled anew for each block until
            # the compiler gives up.
            raise InputError(
                f"{compiler}: ZeRO-3, which gathers weights layer by layer, cannot be compiled; take "
                f"{liger}=true, or {name}.deepspeed=zero2"
            )
        try:
            torch.compile(lambda number: number + 1)(torch.zeros(8, device=_device()))
        except Exception as error:  # no compiler, one that fails, no Triton, …
            cause = getattr(error, "inner_exception", error)
            reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            raise InputError(
                f"{compiler}: PyTorch cannot compile here ({reason}); install a C++ compiler (and, on a GPU, "
                "the Triton that belongs to this PyTorch), or leave it out"
            ) from None
    if stage.use_liger_kernel:
        if _device() != _DEVICE:
            raise InputError(f"{liger}: Liger's kernels need a GPU, and there is none; leave it out")
        _import_liger(liger)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _import_liger(key: str) -> Any:
    try:
        from liger_kernel.transformers import monkey_patch  # type: ignore[import-not-found]
    except ImportError as error:
        raise InputError(
            f"{key} needs liger-kernel, which cannot be imported ({error}); pip install liger-kernel"
        ) from None
    return monkey_patch


# Liger

_replaced: dict[Any, Callable[..., Any]] = {}
"""transformers' modules whose rotary function is not their own, with that one."""


def _use_liger(language_model: Any) -> None:
    monkey_patch = _import_liger("use_liger_kernel")
    family = language_model.config.model_type
    if family not in monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN:
        raise InputError(f"use_liger_kernel: Liger has no kernels for a {family} model; leave it out")
    modeling: Any = sys.modules[type(language_model).__module__]
    own_names = dict(vars(modeling))
    own_forward = {module: module.forward for module in language_model.modules()}
    monkey_patch._apply_liger_kernel_to_instance(
        model=language_model, cross_entropy=False, fused_linear_cross_entropy=False
    )
    rotary = modeling.apply_rotary_pos_emb
    # Liger leaves its classes in transformers' module as well, for every model that is built later on.
    vars(modeling).update(own_names)
    for module, own in own_forward.items():
        if module.forward != own:
            module.forward = _where_it_can(module.forward, own)
    if rotary is not modeling.apply_rotary_pos_emb:
        _replaced[modeling] = modeling.apply_rotary_pos_emb
        modeling.apply_rotary_pos_emb = _where_it_can(rotary, modeling.apply_rotary_pos_emb)


def _where_it_can(kernel: Callable[..., Any], own: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel on a GPU; on a CPU, where an export is proved, what it stands for."""

    def either(tensor: torch.Tensor, *others: Any) -> Any:
        return (kernel if tensor.device.type == _DEVICE else own)(tensor, *others)

    return either


def _give_back_rotary() -> None:
    """It belongs to transformers' module, so a stage before may have replaced it."""
    for modeling, own in _replaced.items():
        modeling.apply_rotary_pos_emb = own
    _replaced.clear()
