"""Examples into a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from train.records import IGNORE_INDEX

if TYPE_CHECKING:
    from train.dataset import Example


class Collator:
    """Pads examples on the right to the longest and stacks them. Shapes: B examples, T positions.

    - `input_ids`, `attention_mask`, `labels`: Long[B, T]. The mask comes from the lengths, never from
      the pad token's id, which may well be that of a real token.
    - `pixel_values`: Float[images of all examples, 3, H, W], in the order in which `<image>` stands in
      `input_ids` read row by row; absent where no example shows an image.
    - `sample_index`: Long[B]; `problems`: (index, reason, detail) of each example that trains nothing.
    """

    def __init__(self, pad_token_id: int, image_size: int) -> None:
        self.pad_token_id = pad_token_id
        self.image_size = image_size

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        lengths = [len(example.input_ids) for example in examples]
        shape = (len(examples), max(lengths))
        input_ids = torch.full(shape, self.pad_token_id, dtype=torch.long)
        labels = torch.full(shape, IGNORE_INDEX, dtype=torch.long)
        attention_mask = torch.zeros(shape, dtype=torch.long)
        for row, (example, length) in enumerate(zip(examples, lengths, strict=True)):
            input_ids[row, :length] = example.input_ids
            labels[row, :length] = example.labels
            attention_mask[row, :length] = 1
        batch = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": labels,
            "sample_index": torch.tensor([example.index for example in examples], dtype=torch.long),
            "problems": [
                (example.index, *example.problem) for example in examples if example.problem is not None
            ],
        }
        shown = [example.pixel_values for example in examples if len(example.pixel_values)]
        if shown:
            pixel_values = torch.cat(shown)
            if pixel_values.shape[1:] != (3, self.image_size, self.image_size):
                raise ValueError(
                    f"images are {tuple(pixel_values.shape[1:])}, the vision tower takes "
                    f"{(3, self.image_size, self.image_size)}"
                )
            batch["pixel_values"] = pixel_values
        return batch
