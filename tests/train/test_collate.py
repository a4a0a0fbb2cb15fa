"""Examples into batches: padding is told by lengths, and pixels stand in the order of their marks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.train.test_dataset import COLOURS, SIDE, data, encoder, sample, shown, tokenizer
from train.collate import Collator
from train.dataset import Example
from train.records import IGNORE_INDEX

PAD = 9


def example(
    index: int, ids: list[int], images: int = 0, problem: tuple[str, str] | None = None, side: int = SIDE
) -> Example:
    """Its labels are its ids but the first, and its n-th image is all index + n/10."""
    values = [index + n / 10 for n in range(images)]
    pixels = torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 3, side, side)
    return Example(index, torch.tensor(ids), torch.tensor([IGNORE_INDEX, *ids[1:]]), pixels, problem)


def test_a_batch_is_padded_on_the_right() -> None:
    batch = Collator(PAD, SIDE)([example(4, [1, 2, 3]), example(2, [5])])
    assert {key: value.tolist() for key, value in batch.items() if isinstance(value, torch.Tensor)} == {
        "input_ids": [[1, 2, 3], [5, PAD, PAD]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "labels": [[IGNORE_INDEX, 2, 3], [IGNORE_INDEX] * 3],
        "sample_index": [4, 2],
    }
    assert batch["problems"] == []
    assert {value.dtype for value in batch.values() if isinstance(value, torch.Tensor)} == {torch.int64}


def test_a_real_token_with_the_pad_tokens_id_is_attended_to_and_trained_on() -> None:
    batch = Collator(PAD, SIDE)([example(0, [PAD, 2, PAD]), example(1, [3, PAD]), example(2, [1, 2, 3, 4])])
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch["labels"].tolist() == [
        [IGNORE_INDEX, 2, PAD, IGNORE_INDEX],
        [IGNORE_INDEX, PAD, IGNORE_INDEX, IGNORE_INDEX],
        [IGNORE_INDEX, 2, 3, 4],
    ]


def test_a_batch_of_text_has_no_pixels() -> None:
    assert "pixel_values" not in Collator(PAD, SIDE)([example(0, [1]), example(1, [2])])


def test_pixels_stand_in_the_order_of_the_rows() -> None:
    batch = Collator(PAD, SIDE)([example(3, [1], 1), example(1, [1]), example(2, [1], 2)])
    assert batch["pixel_values"].shape == (3, 3, SIDE, SIDE)
    assert batch["pixel_values"][:, 0, 0, 0].tolist() == pytest.approx([3.0, 2.0, 2.1])


def test_problems_are_told_with_their_index() -> None:
    problem = ("corrupt_image", "a.jpg: cannot be decoded")
    batch = Collator(PAD, SIDE)([example(0, [1]), example(7, [2], 1, problem)])
    assert batch["problems"] == [(7, *problem)]


def test_images_of_another_size_than_the_towers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images are \(3, 4, 4\), the vision tower takes \(3, 8, 8\)"):
        Collator(PAD, SIDE)([example(0, [1], 1, side=4)])


@pytest.mark.parametrize("workers", [0, 2])
def test_every_mark_meets_its_own_image_whatever_its_neighbours_lose(tmp_path: Path, workers: int) -> None:
    """A dropped turn, a corrupt image and a text-only sample beside each other shift nothing."""
    for name, colour in COLOURS.items():
        Image.new("RGB", (SIDE, SIDE), colour).save(tmp_path / name)
    (tmp_path / "cut.png").write_bytes((tmp_path / "red.png").read_bytes()[:-30])
    samples = [
        sample("<image>\nQ", "A", "And <image>?", "B" * 200, images=("red.png", "blue.png")),
        sample("Text", "only"),
        sample("<image>\nQ", "A", images=("cut.png",)),
        sample("<image> or <image>", "A", images=("green.png", "blue.png")),
    ]
    pad = tokenizer().convert_tokens_to_ids("<pad>")
    loader = torch.utils.data.DataLoader(
        data(tmp_path, samples), batch_size=4, num_workers=workers, collate_fn=Collator(pad, SIDE)
    )
    (batch,) = loader
    image_token = tokenizer().convert_tokens_to_ids("<image>")
    marks = (batch["input_ids"] == image_token).sum(dim=1) // encoder().features_per_image
    assert marks.tolist() == [1, 0, 1, 2]
    pixels = batch["pixel_values"]
    assert len(pixels) == 4
    assert shown(pixels[[0, 2, 3]]) == ["red.png", "green.png", "blue.png"]
    assert not pixels[1].any()
    trained = (batch["labels"] != IGNORE_INDEX).any(dim=1)
    assert trained.tolist() == [True, True, False, True]
    assert [(index, reason) for index, reason, _ in batch["problems"]] == [(2, "corrupt_image")]
    assert batch["sample_index"].tolist() == [0, 1, 2, 3]
