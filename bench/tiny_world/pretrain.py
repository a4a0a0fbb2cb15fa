"""Train the parts that a LLaVA of the tiny world starts from: a vision tower and a language model.

The tower is a CLIP vision model that learns from images and captions: it predicts which runs of one to three
words about things stand in an image's captions (Joulin et al., arXiv:1511.02251), which a batch of any
size teaches, where CLIP's contrast wants large ones. Captions never tell sides, so it is not taught any.
The language model is a Llama that has seen no image: it reads a world told in words, and then questions
and answers about it. Both are written as published models are.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from draw import CELL, COLOURS, KINDS, NUMBERS, SIZE, Thing, World, worlds
from evaluate import WORDINGS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    get_cosine_schedule_with_warmup,
)

CONTEXT = 1024
VOCABULARY = 1024
Text = list[tuple[str, bool]]
"""Pieces that follow one another, each with whether it is to be learnt; the others are only read."""
Encoded = tuple[list[int], list[int]]
"""Token ids, and labels: the same or -100."""
_LONGEST_RUN = 3
_RAREST = 20
"""Runs of words that fewer of the first thousand images have are not predicted."""


def pretrain_tower(folder: Path, seed: str, steps: int, batch: int = 16) -> Iterator[tuple[int, float]]:
    """Write a CLIP vision model of `steps * batch` images, none seen twice; yields step and loss."""
    stream = worlds(seed, steps * batch)
    chance = random.Random(seed)
    runs = _frequent_runs(seed)
    torch.manual_seed(random.Random(seed).getrandbits(31))
    config = CLIPVisionConfig(
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=CELL,
        projection_dim=96,
    )
    tower = CLIPVisionModel(config)
    _place_patches(tower)
    head = torch.nn.Linear(config.hidden_size, len(runs))
    # Most runs are in few captions: from the start the head should not have to learn that.
    torch.nn.init.constant_(head.bias, -3.0)
    square = {"height": SIZE, "width": SIZE}
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=square)
    mean, deviation = (
        torch.tensor(values).view(3, 1, 1) for values in (processor.image_mean, processor.image_std)
    )
    weights = [*tower.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=2e-3, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, steps // 20, steps)
    for step in range(1, steps + 1):
        taken = list(islice(stream, batch))
        images = np.stack([np.asarray(image) for _, image, _ in taken])
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        labels = torch.zeros(batch, len(runs))
        for row, (world, _, captions) in enumerate(taken):
            found = {run for text in (tell(world, chance), *captions) for run in _runs(text)}
            labels[row, [runs[run] for run in found if run in runs]] = 1
        logits = head(tower(pixel_values=(pixels - mean) / deviation).pooler_output)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / batch
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        yield step, loss.item()
    tower.save_pretrained(folder)
    processor.save_pretrained(folder)


def _place_patches(tower: Any) -> None:
    """Start position embeddings as sines and cosines of row and column (Beyer et al., arXiv:2205.01580).

    Captions never tell sides, so embeddings that start next to nothing stay there, and no patch would show
    a language model where it lies.
    """
    embeddings = tower.embeddings.position_embedding.weight
    side = SIZE // CELL
    quarter = embeddings.shape[1] // 4
    frequencies = 1 / 100 ** (torch.arange(quarter) / quarter)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [place.flatten()[:, None] * frequencies for place in (rows, columns)]
    waves = torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
    with torch.no_grad():
        embeddings[1:] = waves  # the first is the CLS token's


_NAMING = {*COLOURS, *KINDS, *(f"{kind}s" for kind in KINDS)}
_SAID_OF_THINGS = {*_NAMING, *NUMBERS, *("left", "right", "top", "bottom", "middle"), "a", "an", "some"}


def _runs(caption: str) -> set[str]:
    parts = [part.split() for part in caption.lower().rstrip(".").replace(": ", ", ").split(", ")]
    runs = (
        words[start : start + length]
        for words in parts
        for length in range(1, _LONGEST_RUN + 1)
        for start in range(len(words) - length + 1)
    )
    return {" ".join(run) for run in runs if _SAID_OF_THINGS.issuperset(run) and not _NAMING.isdisjoint(run)}


def _frequent_runs(seed: str) -> dict[str, int]:
    """The runs of words that are predicted, each with its number."""
    counts: Counter[str] = Counter()
    chance = random.Random(seed)
    for world, _, captions in worlds(seed, 1000):
        counts.update({run for text in (tell(world, chance), *captions) for run in _runs(text)})
    frequent = sorted(run for run, count in counts.items() if count >= _RAREST)
    return {run: number for number, run in enumerate(frequent)}


def tell(world: World, chance: random.Random) -> str:
    """A world in words, thing by thing, each with the part of the image that it is in."""
    things = list(world.things)
    chance.shuffle(things)
    sentences = []
    for thing in things:
        across, down = place(thing)
        # What is said of a thing stands before it: that is where a causal model can gather it.
        sentences.append(f"{down} {across} {thing.colour} {thing.kind}")
    return f"{world.ground}: {', '.join(sentences)}."


def as_text(world: World, turns: Sequence[tuple[str, str]], chance: random.Random) -> Text:
    """A world in words and a conversation about it, in the format `mistral`; the answers are to be learnt."""
    text: Text = []
    for index, (question, answer) in enumerate(turns):
        told = f"<s>[INST] {tell(world, chance)}\n" if index == 0 else "[INST] "
        question = question.removeprefix("<image>\n")
        text += [(f"{told}{question} [/INST]", False), (f" {answer}</s>", True)]
    return text


def drill(world: World, chance: random.Random) -> list[tuple[str, str]]:
    """Questions and short answers about a world: the number, colour and side of each kind that is there."""
    turns = []
    for kind, number in world.counts().items():
        first = world.of(kind)[0]
        named, verb = (kind, "is") if number == 1 else (f"{kind}s", "are")
        there = f"There {verb} {NUMBERS[number]} {named} in the image."
        turns.append((chance.choice(WORDINGS["counting"]).format(thing=kind), there))
        if number > 1:
            turns.append((f"What color are the {named}?", f"The {named} are {first.colour}."))
            continue
        asked = chance.choice(WORDINGS["colour"]).format(thing=kind)
        turns.append((asked, f"The {kind} is {first.colour}."))
        across, down = place(first)
        if across != "middle":
            asked = chance.choice(WORDINGS["side"]).format(thing=kind)
            turns.append((asked, f"The {kind} is on the {across}."))
        where = "in the middle" if across == down else f"{_DOWN[down]} on the {across}"
        turns.append((f"Where is the {kind}?", f"The {kind} is {where}."))
    return chance.sample(turns, len(turns))


_DOWN = {"top": "at the top", "middle": "half way up", "bottom": "at the bottom"}


def place(thing: Thing) -> tuple[str, str]:
    """The third of the width, and of the height, in which the middle of a thing lies."""
    left, top, right, bottom = thing.box
    across = ("left", "middle", "right")[(left + right) * 3 // (2 * SIZE)]
    down = ("top", "middle", "bottom")[(top + bottom) * 3 // (2 * SIZE)]
    return across, down


def train_tokenizer(texts: Sequence[str]) -> Any:
    """A byte-level BPE tokenizer of so few tokens that most words of the world are one."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=CONTEXT,
    )


def pretrain_language_model(
    folder: Path, texts: Sequence[Text], seed: str, batch: int = 32
) -> Iterator[tuple[int, int, float]]:
    """Write a Llama trained on the texts, and its tokenizer; yields step, steps and loss."""
    tokenizer = train_tokenizer([piece for text in texts for piece, _ in text])
    torch.manual_seed(random.Random(seed).getrandbits(31))
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=336,
            num_hidden_layers=3,
            num_attention_heads=8,
            max_position_embeddings=CONTEXT,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    encoded = [_encode(text, tokenizer) for text in texts]
    steps = -(-len(encoded) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = get_cosine_schedule_with_warmup(optimizer, steps // 50, steps)
    chance = random.Random(seed)
    for step, taken in enumerate(_batches(encoded, batch, chance), 1):
        length = max(len(ids) for ids, _ in taken)
        ids = torch.full((len(taken), length), tokenizer.pad_token_id)
        labels = torch.full((len(taken), length), -100)
        for row, (row_ids, row_labels) in enumerate(taken):
            ids[row, : len(row_ids)] = torch.tensor(row_ids)
            labels[row, : len(row_labels)] = torch.tensor(row_labels)
        # Padding follows what is read and has no labels: nothing attends to it.
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield step, steps, loss.item()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _encode(text: Text, tokenizer: Any) -> tuple[list[int], list[int]]:
    ids: list[int] = []
    labels: list[int] = []
    for piece, is_learnt in text:
        more = tokenizer(piece, add_special_tokens=False).input_ids
        ids += more
        labels += more if is_learnt else [-100] * len(more)
    return ids, labels


def _batches(encoded: list[Encoded], batch: int, chance: random.Random) -> Iterator[list[Encoded]]:
    """Texts of like length together, each once."""
    shuffled = chance.sample(encoded, len(encoded))
    for start in range(0, len(shuffled), 20 * batch):
        part = sorted(shuffled[start : start + 20 * batch], key=lambda text: len(text[0]))
        batches = [part[first : first + batch] for first in range(0, len(part), batch)]
        yield from chance.sample(batches, len(batches))
