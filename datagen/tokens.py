"""An estimate of how many tokens a text is, for quotes: no tokenizer is at hand offline."""

from __future__ import annotations

import re

# As byte-pair tokenizers cut: digits in threes, words with the space before them, single marks.
_PIECES = re.compile(r"\d{1,3}|[^\W\d_]+|[^\w\s]+|_+|\n+")
_WORD_LETTERS = 9  # longer words take more than one token
_MESSAGE_OVERHEAD = 4


def estimate_tokens(text: str) -> int:
    """About how many tokens a GPT-style tokenizer makes of English text and numbers."""
    total = 0
    for piece in _PIECES.findall(text):
        letters = len(piece.encode()) if not piece.isascii() else len(piece)
        total += -(-letters // _WORD_LETTERS) if piece[0].isalpha() else 1
    return total


def estimate_message_tokens(contents: list[str]) -> int:
    """A chat's tokens, the few around each message included."""
    return sum(estimate_tokens(content) + _MESSAGE_OVERHEAD for content in contents)
