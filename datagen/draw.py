"""Choices that are the same in every process: drawn from what they are for, not from a generator."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def draw(options: Sequence[str], *what: object) -> str:
    """One of the options, the same one for the same seed, image and purpose in any process."""
    digest = hashlib.sha256(":".join(map(str, what)).encode()).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]
