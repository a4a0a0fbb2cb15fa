"""The samples of a step into micro batches: packed into rows, or padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from train.config import StageConfig
from train.records import IGNORE_INDEX

if TYPE_CHECKING:
    from train.dataset import Example


class Collator:
    """Makes micro batches of the samples that one process takes in a step. Shapes: B rows, T positions.

    - `micro_batches`, to go forward and back one after the other, each with
      - `input_ids`, `labels`: Long[B, T], and `sample_index`: Long[B, T], the sample each position is of;
      - `position_ids`: Long[1, T] where samples are packed, `attention_mask`: Long[B, T] where padded;
      - `pixel_values`: Float[images, 3, H, W], in the order in which `<image>` stands in `input_ids` read
        row by row; absent where no sample of it shows an image.
    - `sample_index`, `lengths`: Long[N] of all; `problems`: (index, reason, detail) of each that trains
      nothing.

    How a step is split changes nothing but speed: the loss is a sum over its supervised positions.
    """

    def __init__(self, pad_token_id: int, image_size: int, stage: StageConfig) -> None:
        self.pad_token_id = pad_token_id
        self.image_size = image_size
        self.packing = stage.packing
        self.max_length = stage.max_length
        self.micro_batch_size = stage.micro_batch_size

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        if self.packing:
            micro_batches = [self._pack(row) for row in fill_rows(examples, self.max_length)]
        else:
            micro_batches = [self._pad(rows) for rows in group_alike(examples, self.micro_batch_size)]
        return {
            "micro_batches": micro_batches,
            "sample_index": torch.tensor([example.index for example in examples], dtype=torch.long),
            "lengths": torch.tensor([len(example.input_ids) for example in examples], dtype=torch.long),
            "problems": [
                (example.index, *example.problem) for example in examples if example.problem is not None
            ],
        }

    def _pack(self, examples: Sequence[Example]) -> dict[str, Any]:
        """One row without padding. Position ids that begin again are all that keeps its samples apart."""
        lengths = [len(example.input_ids) for example in examples]
        return {
            "input_ids": torch.cat([example.input_ids for example in examples])[None],
            "labels": torch.cat([_without_first(example.labels) for example in examples])[None],
            "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
            "sample_index": torch.cat(
                [torch.full((n,), example.index) for example, n in zip(examples, lengths, strict=True)]
            )[None],
            **self._pixels(examples),
        }

    def _pad(self, examples: Sequence[Example]) -> dict[str, Any]:
        """A row a sample, padded on the right.

        The mask comes from the lengths, never from the pad token's id, which may well be that of a real
        token.
        """
        lengths = [len(example.input_ids) for example in examples]
        shape = (len(examples), max(lengths))
        input_ids = torch.full(shape, self.pad_token_id, dtype=torch.long)
        labels = torch.full(shape, IGNORE_INDEX, dtype=torch.long)
        attention_mask = torch.zeros(shape, dtype=torch.long)
        for row, (example, length) in enumerate(zip(examples, lengths, strict=True)):
            input_ids[row, :length] = example.input_ids
            labels[row, :length] = example.labels
            attention_mask[row, :length] = 1
        index = torch.tensor([example.index for example in examples], dtype=torch.long)
        return {
            "input_ids": input_ids,
            "labels": labels,
            "attention_mask": attention_mask,
            "sample_index": index[:, None].expand(shape).contiguous(),
            **self._pixels(examples),
        }

    def _pixels(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        shown = [example.pixel_values for example in examples if len(example.pixel_values)]
        if not shown:
            return {}
        pixel_values = torch.cat(shown)
        if pixel_values.shape[1:] != (3, self.image_size, self.image_size):
            raise ValueError(
                f"images are {tuple(pixel_values.shape[1:])}, the vision tower takes "
                f"{(3, self.image_size, self.image_size)}"
            )
        return {"pixel_values": pixel_values}


def fill_rows(examples: Sequence[Example], capacity: int) -> list[list[Example]]:
    """Samples into as few rows of at most `capacity` positions as best-fit decreasing finds.

    Longest first, each into the row that it leaves the least room in: at most 11/9 of the fewest rows
    there could be (Johnson et al. 1974), and in practice within one of them.
    """
    rows: list[list[Example]] = []
    room: list[int] = []
    for example in sorted(examples, key=lambda example: (-len(example.input_ids), example.index)):
        length = len(example.input_ids)
        fitting = [(left, at) for at, left in enumerate(room) if left >= length]
        if fitting:
            at = min(fitting)[1]
        else:
            at = len(rows)
            rows.append([])
            room.append(capacity)
        rows[at].append(example)
        room[at] -= length
    return rows


def group_alike(examples: Sequence[Example], size: int) -> list[list[Example]]:
    """Samples in groups of `size` that pad little: those with images apart from those without, by length."""
    ordered = sorted(
        examples,
        key=lambda example: (len(example.pixel_values) == 0, -len(example.input_ids), example.index),
    )
    with_images = [example for example in ordered if len(example.pixel_values)]
    text_only = ordered[len(with_images) :]
    return [
        group[start : start + size]
        for group in (with_images, text_only)
        for start in range(0, len(group), size)
    ]


def _without_first(labels: torch.Tensor) -> torch.Tensor:
    """No position predicts the first token of the next sample in its row."""
    labels = labels.clone()
    labels[0] = IGNORE_INDEX
    return labels
