"""The loss: cross entropy of the supervised positions, and of no others."""

from __future__ import annotations

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
