"""Questions that were already asked about an image."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

# Ways to ask the same thing, over normalised words. Whatever they leave decides, word by word and in
# order, so that sides, numbers, colors and objects are never lost.
_FRAMES = re.compile(
    r"\b(?:"
    r"(?P<number>(?:what|which) (?:is|s) the (?:number|count) of|what number of)|"
    r"(?P<happening>going on|taking place)|"
    r"(?:please )?(?:can|could|will|would) you (?:please )?tell (?:me|us)|"
    r"(?:in|on|of|within|throughout) (?:the|this) (?:image|picture|photo|photograph|tile|scene)|"
    r"(?:can|could|do) (?:you|we|one) (?:see|spot|notice|observe|make out)"
    r")\b"
)
_INSTEAD = {"number": "how many", "happening": "happening", None: ""}
_CAN_BE_SEEN = re.compile(r"\b(?:can|could)\b(.*?)\bbe (?:seen|spotted|found|observed|made out)\b")
_SYNONYMS = {
    "colour": "color",
    "colours": "color",
    "colors": "color",
    "grey": "gray",
    "which": "what",
    "whereabouts": "where",
}
_SAY_NOTHING = frozenset((
    "a", "an", "the", "is", "are", "s", "re", "of", "there", "any", "some", "does", "did", "please",
    "visible", "shown", "depicted", "pictured", "located", "situated",
))  # fmt: skip
_LEANS = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|these|those|ones?|else|others?|another|"
    r"same|former|latter|rest|(?:this|that)(?= is\b| are\b|$))\b"
)


class Question(NamedTuple):
    """A question as it is compared."""

    words: str
    """As it was given, normalised."""
    asks: bytes
    """A digest of what it asks: equal for rephrasings."""
    leans: bool
    """It points back at the question before it ("What color is it?"), and is compared with it."""


class AskedBefore(NamedTuple):
    """A question that is a repeat."""

    of: int
    is_same: bool
    """In the same words; else in other words, by which it asks the same."""
    likeness: float
    """The Jaccard similarity of the two questions' sets of words."""


class Asked:
    """Remembers which questions were asked about which image, and by whom (a number).

    Two questions are the same if what is left of them is equal, word by word, after normalising
    and after leaving out articles, forms of "to be" and the usual frames ("in the image", "can you
    see", "how many" for "what is the number of"). These are English; in other languages questions
    are the same if their normalised words are. A question that points back ("it", "they", "else") is
    the same only after the same question.

    Memory grows by about 250 bytes per question kept.
    """

    def __init__(self) -> None:
        self._asked: dict[bytes, tuple[int, bytes]] = {}

    def prepare(self, image: str | int, questions: Sequence[str]) -> list[Question]:
        """The questions of one sample, normalised, in the order in which they stand."""
        prepared: list[Question] = []
        before = ""
        for words in questions:
            leans = bool(_LEANS.search(words))
            # The repr keeps the image 1 and the image "1" apart, and is printable whatever it holds.
            told = f"{image!r}\n{_what_it_asks(words)}\n{before if leans else ''}"
            asks = hashlib.blake2b(told.encode(), digest_size=16).digest()
            prepared.append(Question(words, asks, leans and bool(before)))
            before = words
        return prepared

    def before(self, questions: Sequence[Question], own: int) -> list[AskedBefore | None]:
        """For each question of the sample `own` whether it was asked before, there or in a sample kept.

        Where the question after it stays and leans on it, a repeated question stays too.
        """
        found: list[AskedBefore | None] = []
        here: dict[bytes, tuple[int, bytes]] = {}
        for question in questions:
            first = self._asked.get(question.asks) or here.get(question.asks)
            if first:
                words = first[1].decode()
                found.append(AskedBefore(first[0], words == question.words, _likeness(question.words, words)))
            else:
                here[question.asks] = (own, question.words.encode())
                found.append(None)
        for n in range(len(found) - 2, -1, -1):
            if found[n + 1] is None and questions[n + 1].leans:
                found[n] = None
        return found

    def keep(self, questions: Sequence[Question], own: int) -> None:
        """Remember the questions of a sample that stays."""
        for question in questions:
            self._asked.setdefault(question.asks, (own, question.words.encode()))


def _what_it_asks(words: str) -> str:
    left = _FRAMES.sub(lambda found: _INSTEAD[found.lastgroup], words)
    if " be " in left:
        left = _CAN_BE_SEEN.sub(r"\1", left)
    # "Is there?" has nothing left: then its words are what it asks.
    asks = [_SYNONYMS.get(word, word) for word in left.split() if word not in _SAY_NOTHING]
    return " ".join(asks) or words


def _likeness(words: str, others: str) -> float:
    one, other = set(words.split()), set(others.split())
    return len(one & other) / (len(one | other) or 1)
