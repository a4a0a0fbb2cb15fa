"""Texts as they are compared: without case, punctuation and spacing."""

from __future__ import annotations

import re
import unicodedata

_ASCII = bytes(code if chr(code).isalnum() and code < 128 else 32 for code in range(256)).lower()
_SENTENCE = re.compile(r"""[^\n]*?(?:[.!?…]+["'”’)\]]*(?=\s|$)|[。！？]|(?=\n|$))""")
_LONGEST = 2000
"""Characters of a text in which its first sentence is looked for."""
# Scripts that put no spaces between words: there each character counts as a word.
_UNSPACED = ("CJK ", "HIRAGANA ", "KATAKANA ", "THAI ", "LAO ", "KHMER ", "MYANMAR ")


class _Letters(dict[int, str]):
    """For str.translate: a character if it says something, else a space; fills itself as it is asked."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Cf":  # joiners, soft hyphens, marks of direction: not to be seen
            kept = ""
        elif category[0] in "LMN" or category == "So":  # emoji are "So"
            spaced = unicodedata.name(character, "").startswith(_UNSPACED)
            kept = f" {character} " if spaced else character
        else:
            kept = " "
        self[code] = kept
        return kept


_LETTERS = _Letters()


def normalised(text: str) -> str:
    """The words of a text with single spaces: in one case and spelling of letters, no punctuation."""
    if text.isascii():
        return " ".join(text.encode().translate(_ASCII).decode().split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_LETTERS).split())


def opening(text: str) -> str:
    """The first sentence of a text, or its first line where that ends sooner."""
    # Cut, since what a teacher stuck on one mark writes would take long to look through.
    found = _SENTENCE.match(text.strip()[:_LONGEST])
    return found.group() if found else ""
