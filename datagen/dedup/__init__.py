"""Repeats: what was said before, in the same words, nearly the same, or with the same meaning."""

from datagen.dedup.near import NearCopies
from datagen.dedup.questions import Asked
from datagen.dedup.repeats import Candidate, Repeat, Repeats, Settings
from datagen.dedup.semantic import Embed, load_embed
from datagen.dedup.texts import normalised, opening

__all__ = [
    "Asked",
    "Candidate",
    "Embed",
    "NearCopies",
    "Repeat",
    "Repeats",
    "Settings",
    "load_embed",
    "normalised",
    "opening",
]
