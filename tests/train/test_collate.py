"""The samples of a step into micro batches: each once, within its room, pixels in the order of marks."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.train.test_dataset import COLOURS, SIDE, data, encoder, sample, shown, tokenizer
from train.collate import Collator, fill_rows, group_alike
from train.config import StageConfig
from train.dataset import Example
from train.records import IGNORE_INDEX

PAD = 9
X = IGNORE_INDEX


def example(
    index: int, ids: list[int], images: int = 0, problem: tuple[str, str] | None = None, side: int = SIDE
) -> Example:
    """Its labels are its ids but the first, and its n-th image is all index + n/10."""
    values = [index + n / 10 for n in range(images)]
    pixels = torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 3, side, side)
    return Example(index, torch.tensor(ids), torch.tensor([X, *ids[1:]]), pixels, problem)


def of_lengths(lengths: list[int], images: list[int] | None = None) -> list[Example]:
    """Examples of these lengths, told apart by their index alone."""
    empty = torch.zeros(0, 3, SIDE, SIDE)
    return [
        Example(
            index,
            torch.full((length,), index),
            torch.full((length,), X),
            torch.zeros(images[index], 3, SIDE, SIDE) if images else empty,
            None,
        )
        for index, length in enumerate(lengths)
    ]


def collator(pad: int = PAD, side: int = SIDE, **changes: Any) -> Collator:
    stage = {"format": "plain", "learning_rate": 1, "global_batch_size": 8, "micro_batch_size": 2} | changes
    return Collator(pad, side, StageConfig.model_validate(stage))


def padded(examples: list[Example], size: int = 8) -> dict[str, Any]:
    """The one micro batch that is made of them."""
    (micro_batch,) = collator(packing=False, micro_batch_size=size)(examples)["micro_batches"]
    return dict(micro_batch)


def lists(batch: dict[str, Any]) -> dict[str, Any]:
    return {key: value.tolist() for key, value in batch.items() if isinstance(value, torch.Tensor)}


# Packed


def test_samples_are_packed_into_rows_without_padding() -> None:
    batch = collator(max_length=8)([example(4, [1, 2, 3]), example(2, [5, 6]), example(0, [7, 8, 9, 1, 2])])
    first, second = batch["micro_batches"]
    assert lists(first) == {
        "input_ids": [[7, 8, 9, 1, 2, 1, 2, 3]],
        "labels": [[X, 8, 9, 1, 2, X, 2, 3]],
        "position_ids": [[0, 1, 2, 3, 4, 0, 1, 2]],
        "sample_index": [[0, 0, 0, 0, 0, 4, 4, 4]],
    }
    assert lists(second) == {
        "input_ids": [[5, 6]],
        "labels": [[X, 6]],
        "position_ids": [[0, 1]],
        "sample_index": [[2, 2]],
    }
    assert {value.dtype for row in (first, second) for value in row.values()} == {torch.int64}
    assert lists({key: batch[key] for key in ("sample_index", "lengths")}) == {
        "sample_index": [4, 2, 0],
        "lengths": [3, 2, 5],
    }
    assert batch["problems"] == []


def test_no_sample_is_trained_to_begin_the_next() -> None:
    """Even where a sample supervises its first token, the last of the one before predicts nothing."""
    examples = [example(0, [1, 2, 3]), example(1, [4, 5])]
    for each in examples:
        each.labels = each.input_ids.clone()
    (row,) = collator()(examples)["micro_batches"]
    assert row["labels"].tolist() == [[X, 2, 3, X, 5]]
    assert examples[1].labels.tolist() == [4, 5]


def test_packed_pixels_stand_in_the_order_of_the_row() -> None:
    examples = [example(3, [1, 2], 1), example(1, [1]), example(2, [1, 2, 3], 2)]
    (row,) = collator()(examples)["micro_batches"]
    assert row["sample_index"].tolist() == [[2, 2, 2, 3, 3, 1]]
    assert row["pixel_values"].shape == (3, 3, SIDE, SIDE)
    assert row["pixel_values"][:, 0, 0, 0].tolist() == pytest.approx([2.0, 2.1, 3.0])


@given(
    lengths=st.lists(st.integers(1, 64), min_size=1, max_size=60),
    capacity=st.integers(64, 200),
)
@settings(deadline=None)
def test_rows_hold_every_sample_once_and_no_two_of_them_would_fit_in_one(
    lengths: list[int], capacity: int
) -> None:
    rows = fill_rows(of_lengths(lengths), capacity)
    assert sorted(each.index for row in rows for each in row) == list(range(len(lengths)))
    fills = sorted(sum(len(each.input_ids) for each in row) for row in rows)
    assert fills[0] > 0 and fills[-1] <= capacity
    # So fewer than twice the fewest rows, whatever the lengths.
    assert len(fills) == 1 or fills[0] + fills[1] > capacity
    # Best fit decreasing needs at most 11/9 of the fewest rows, and 2/3 of one more. Where no sample is
    # longer than a third of a row, none but the last is less than two thirds full.
    if max(lengths) * 3 <= capacity:
        assert len(rows) <= math.ceil(1.5 * sum(lengths) / capacity) + 1


def test_rows_are_the_same_whatever_the_order_of_the_samples() -> None:
    chance = random.Random(1)
    examples = of_lengths([chance.randrange(1, 64) for _ in range(40)])
    rows = [[each.index for each in row] for row in fill_rows(examples, 100)]
    for _ in range(3):
        chance.shuffle(examples)
        assert [[each.index for each in row] for row in fill_rows(examples, 100)] == rows


def llava_lengths(chance: random.Random, count: int) -> list[int]:
    """As LLaVA-1.5's mix: 576 positions of an image in 15 of 16 samples, and a long tail of text."""
    images = [0 if chance.random() < 1 / 16 else 576 for _ in range(count)]
    return [min(2048, image + 60 + int(chance.lognormvariate(4.8, 0.8))) for image in images]


def fewest_rows(lengths: list[int], capacity: int) -> int:
    """A number of rows that nothing can do without: by room, and by how many of a length fit in one."""
    fewest = math.ceil(sum(lengths) / capacity)
    for least in {length for length in lengths if length <= capacity // 2}:
        # Samples longer than half a row have one each; beside them, `least` fits so many times.
        alone = [length for length in lengths if length > capacity // 2]
        beside = sum((capacity - length) // least for length in alone)
        others = sum(length >= least for length in lengths) - len(alone)
        fewest = max(fewest, len(alone) + math.ceil(max(0, others - beside) / (capacity // least)))
    return fewest


def test_rows_of_llava_shaped_samples_are_near_the_fewest_and_every_position_is_a_samples() -> None:
    """Rows end where their samples end: one that no sample would fit in any more has no padding either."""
    chance = random.Random(7)
    used = computed = rows = fewest = 0
    for _ in range(20):
        examples = of_lengths(llava_lengths(chance, 128))
        lengths = [len(each.input_ids) for each in examples]
        batch = collator(max_length=2048)(examples)
        used += sum(lengths)
        computed += sum(row["input_ids"].numel() for row in batch["micro_batches"])
        rows += len(batch["micro_batches"])
        fewest += fewest_rows(lengths, 2048)
    assert used == computed
    assert rows < 1.1 * fewest


# Padded


def test_a_batch_is_padded_on_the_right() -> None:
    batch = padded([example(4, [1, 2, 3]), example(2, [5])])
    assert lists(batch) == {
        "input_ids": [[1, 2, 3], [5, PAD, PAD]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "labels": [[X, 2, 3], [X] * 3],
        "sample_index": [[4] * 3, [2] * 3],
    }
    assert {value.dtype for value in batch.values()} == {torch.int64}


def test_a_real_token_with_the_pad_tokens_id_is_attended_to_and_trained_on() -> None:
    batch = padded([example(2, [1, 2, 3, 4]), example(0, [PAD, 2, PAD]), example(1, [3, PAD])])
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[X, 2, 3, 4], [X, 2, PAD, X], [X, PAD, X, X]]
    (row,) = collator()([example(0, [PAD, 2, PAD])])["micro_batches"]
    assert row["labels"].tolist() == [[X, 2, PAD]]


def test_padded_pixels_stand_in_the_order_of_the_rows() -> None:
    batch = padded([example(3, [1], 1), example(2, [1], 2)])
    assert batch["sample_index"].tolist() == [[2], [3]]
    assert batch["pixel_values"][:, 0, 0, 0].tolist() == pytest.approx([2.0, 2.1, 3.0])


def test_groups_are_of_one_modality_and_of_like_lengths() -> None:
    examples = of_lengths([5, 9, 2, 7, 8, 3, 6], images=[1, 0, 2, 1, 0, 1, 1])
    groups = [[each.index for each in group] for group in group_alike(examples, 2)]
    assert groups == [[3, 6], [0, 5], [2], [1, 4]]


@given(
    samples=st.lists(st.tuples(st.integers(1, 64), st.integers(0, 2)), min_size=1, max_size=40),
    size=st.integers(1, 9),
)
@settings(deadline=None)
def test_groups_hold_every_sample_once(samples: list[tuple[int, int]], size: int) -> None:
    groups = group_alike(of_lengths([n for n, _ in samples], [images for _, images in samples]), size)
    assert sorted(each.index for group in groups for each in group) == list(range(len(samples)))
    for group in groups:
        assert 1 <= len(group) <= size
        assert len({len(each.pixel_values) > 0 for each in group}) == 1


# Both


@pytest.mark.parametrize("packing", [True, False])
def test_a_batch_of_text_has_no_pixels(packing: bool) -> None:
    batch = collator(packing=packing)([example(0, [1]), example(1, [2]), example(2, [3], 1), example(3, [4])])
    shown = [("pixel_values" in each, each["sample_index"].tolist()) for each in batch["micro_batches"]]
    if packing:
        assert shown == [(True, [[0, 1, 2, 3]])]
    else:
        assert shown == [(True, [[2]]), (False, [[0], [1]]), (False, [[3]])]


@pytest.mark.parametrize("packing", [True, False])
def test_problems_are_told_with_their_index(packing: bool) -> None:
    problem = ("corrupt_image", "a.jpg: cannot be decoded")
    batch = collator(packing=packing)([example(0, [1]), example(7, [2], 1, problem)])
    assert batch["problems"] == [(7, *problem)]


@pytest.mark.parametrize("packing", [True, False])
def test_images_of_another_size_than_the_towers_are_refused(packing: bool) -> None:
    with pytest.raises(ValueError, match=r"images are \(3, 4, 4\), the vision tower takes \(3, 8, 8\)"):
        collator(packing=packing)([example(0, [1], 1, side=4)])


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_mark_meets_its_own_image_whatever_its_neighbours_lose(
    tmp_path: Path, workers: int, packing: bool
) -> None:
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
        data(tmp_path, samples),
        batch_size=4,
        num_workers=workers,
        collate_fn=collator(pad, packing=packing, micro_batch_size=3),
    )
    (batch,) = loader
    assert [(index, reason) for index, reason, _ in batch["problems"]] == [(2, "corrupt_image")]
    assert batch["sample_index"].tolist() == [0, 1, 2, 3]
    image_token = tokenizer().convert_tokens_to_ids("<image>")
    colours: dict[int, list[str]] = {}
    trained = set()
    for micro_batch in batch["micro_batches"]:
        of = micro_batch["sample_index"].flatten()
        trained |= set(of[micro_batch["labels"].flatten() != IGNORE_INDEX].tolist())
        marks = of[micro_batch["input_ids"].flatten() == image_token][
            :: encoder().features_per_image
        ].tolist()
        for mark, pixels in zip(marks, micro_batch.get("pixel_values", []), strict=True):
            colours.setdefault(mark, []).extend(shown(pixels[None]) if pixels.any() else ["grey"])
    assert colours == {0: ["red.png"], 2: ["grey"], 3: ["green.png", "blue.png"]}
    assert trained == {0, 1, 3}
