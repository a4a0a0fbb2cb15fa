"""A forward pass and its loss: cross entropy of the supervised positions, and of no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from train.records import IGNORE_INDEX


def token_losses(model: Any, micro_batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each supervised position, Float[S] in float32, and the sample it is of, Long[S].

    Logits are computed for these positions alone: the rest of a batch, image features above all, is most
    of it, and a vocabulary wide. Without any, both are empty, and the sum has gradients of 0.
    """
    inputs = dict(micro_batch)
    index = inputs.pop("sample_index")[:, 1:]
    following = inputs.pop("labels")[:, 1:]
    supervised = following != IGNORE_INDEX
    # The last position is followed by nothing.
    predicting = torch.nn.functional.pad(supervised, (0, 1), value=False)
    logits = model(**inputs, logits_to_keep=predicting).logits
    losses = torch.nn.functional.cross_entropy(logits.float(), following[supervised], reduction="none")
    return losses, index[supervised]


def always_project(model: Any) -> Callable[[], None]:
    """Have every forward pass go through tower and projector, until what is returned is called.

    Processes that train together wait for each other at every module that they share: one whose batch is
    text alone would leave the others waiting at the projector for ever. It takes an image of zeros there,
    whose features are added, times 0, to the embeddings of the text.
    """
    llava = model.model
    size = llava.config.vision_config.image_size
    has_image = False

    def look(_: Any, args: Any, inputs: dict[str, Any]) -> None:
        nonlocal has_image
        has_image = inputs.get("pixel_values") is not None

    def add_features(_: Any, args: Any, inputs: dict[str, Any]) -> Any:
        if has_image:
            return None
        embeddings = inputs["inputs_embeds"]  # [B, T, width]
        image = torch.zeros(1, 3, size, size, device=embeddings.device)
        (features,) = llava.get_image_features(image, return_dict=True).pooler_output
        return args, inputs | {"inputs_embeds": embeddings + 0 * features.sum().to(embeddings.dtype)}

    # Within the model, and where images go through as well: ZeRO-3 counts on the order of modules.
    hooks = [
        llava.register_forward_pre_hook(look, with_kwargs=True),
        llava.language_model.register_forward_pre_hook(add_features, with_kwargs=True),
    ]

    def stop() -> None:
        for hook in hooks:
            hook.remove()

    return stop
