"""Repeats in other words: texts whose embeddings point the same way."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.records import InputError

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
"""Texts to one row each; rows need not be of length 1."""

_BLOCK = 8192
"""Kept rows that are compared at a time, so that the products stay small."""


def load_embed(model: Path) -> Embed:
    """A sentence-transformers model from a folder, offline.

    Raises InputError where the package is missing, or the folder holds no such model.
    """
    if not model.is_dir():
        raise InputError(f"{model}: no such folder: give the folder of a sentence-transformers model")
    try:
        transformers = importlib.import_module("sentence_transformers")
    except ImportError as error:
        raise InputError(
            f"comparing by meaning needs sentence-transformers ({error}): pip install 'vitkit[semantic]'"
        ) from None
    try:
        loaded = transformers.SentenceTransformer(str(model), local_files_only=True)
    except Exception as error:  # whatever a library finds wrong with a folder
        told = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{model}: cannot be loaded as a sentence-transformers model: {told}") from None

    def embed(texts: Sequence[str]) -> Vectors:
        # Lone surrogates cannot be tokenized.
        sayable = [text.encode(errors="replace").decode() for text in texts]
        return np.asarray(loaded.encode(sayable, show_progress_bar=False), dtype=np.float32)

    return embed


class SameMeaning(NamedTuple):
    """The kept text that is most alike, by its name."""

    of: int
    likeness: float
    """The cosine of the two embeddings."""


@dataclass(slots=True)
class MeaningBatch:
    """Texts that were embedded together; `Meanings.look_up` makes it."""

    groups: Sequence[str]
    places: list[int]
    """For each text its row in `vectors`, or -1 for one that is not compared."""
    vectors: Vectors
    nearest: list[tuple[float, int] | None]
    """For each row the most alike of the texts kept before the batch: cosine and name."""
    kept: list[tuple[str, int, int]] = field(default_factory=list)
    """What was kept since: group, row, name."""


class Meanings:
    """Remembers embeddings, and finds the most alike of them for a new one.

    Every new text is compared with every kept one of its group: time grows with the square of the
    set. Memory grows by 4 bytes per dimension and kept text.
    """

    def __init__(self, embed: Embed, threshold: float) -> None:
        self._embed = embed
        self._threshold = threshold
        self._kept: dict[str, _Rows] = {}

    def look_up(self, groups: Sequence[str], texts: Sequence[str], compared: Sequence[bool]) -> MeaningBatch:
        """What is known of these texts before any of them is kept; some may be left out."""
        chosen = [n for n, is_compared in enumerate(compared) if is_compared]
        places = [-1] * len(texts)
        for row, n in enumerate(chosen):
            places[n] = row
        vectors = self._vectors([texts[n] for n in chosen])
        nearest: list[tuple[float, int] | None] = [None] * len(chosen)
        for group in dict.fromkeys(groups[n] for n in chosen):
            rows = [places[n] for n in chosen if groups[n] == group]
            for row, found in zip(rows, self._nearest(group, vectors[rows]), strict=True):
                nearest[row] = found
        return MeaningBatch(groups, places, vectors, nearest)

    def nearest(self, batch: MeaningBatch, n: int) -> SameMeaning | None:
        """The most alike of the texts kept so far, of equals the first; None if none is alike enough."""
        row = batch.places[n]
        if row < 0:
            return None
        best = batch.nearest[row]
        here = [(other, name) for group, other, name in batch.kept if group == batch.groups[n]]
        if here:
            cosines = batch.vectors[[other for other, _ in here]] @ batch.vectors[row]
            top = int(cosines.argmax())
            if cosines[top] >= self._threshold and (best is None or cosines[top] > best[0]):
                best = float(cosines[top]), here[top][1]
        return SameMeaning(best[1], min(best[0], 1.0)) if best else None

    def keep(self, batch: MeaningBatch, n: int, name: int) -> None:
        """Remember a text of the batch under a name."""
        row = batch.places[n]
        if row >= 0:
            group = batch.groups[n]
            batch.kept.append((group, row, name))
            self._kept.setdefault(group, _Rows(batch.vectors.shape[1])).add(batch.vectors[row], name)

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        """A row of length 1 per text."""
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        rows = np.asarray(self._embed(texts), dtype=np.float32)
        if rows.ndim != 2 or len(rows) != len(texts):
            raise ValueError(f"embed gave an array of shape {rows.shape} for {len(texts)} texts")
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: Vectors = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit

    def _nearest(self, group: str, vectors: Vectors) -> list[tuple[float, int] | None]:
        kept = self._kept.get(group)
        if kept is None:
            return [None] * len(vectors)
        best = np.full(len(vectors), -np.inf, dtype=np.float32)
        where = np.zeros(len(vectors), dtype=np.intp)
        for start in range(0, len(kept.names), _BLOCK):
            cosines = vectors @ kept.rows[start : min(start + _BLOCK, len(kept.names))].T
            top = cosines.argmax(axis=1)
            value = cosines[np.arange(len(vectors)), top]
            better = value > best
            best[better], where[better] = value[better], top[better] + start
        return [
            (cosine, kept.names[row]) if cosine >= self._threshold else None
            for cosine, row in zip(best.tolist(), where.tolist(), strict=True)
        ]


class _Rows:
    """Vectors in one array that doubles when it is full."""

    def __init__(self, width: int) -> None:
        self.rows = np.empty((256, width), dtype=np.float32)
        self.names: list[int] = []

    def add(self, vector: Vectors, name: int) -> None:
        if len(self.names) == len(self.rows):
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
        self.rows[len(self.names)] = vector
        self.names.append(name)
