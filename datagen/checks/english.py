"""English words by what they do in a sentence: english.txt, numbers and marks."""

from __future__ import annotations

import unicodedata
from pathlib import Path

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBERS = {word: number for number, word in enumerate(_ONES)} | {
    f"{tens}-{_ONES[ones]}" if ones else tens: 10 * at + ones
    for at, tens in enumerate(_TENS, 2)
    for ones in range(10)
}

# What a word does in a sentence; 0 is any word that no list has. english.txt has the words of most.
(
    DEFINITE, INDEFINITE, NUMBER, QUANTIFIER, ATTRIBUTE, BE, MODAL, HEDGE, DENIAL, PREPOSITION, CONJUNCTION,
    PRONOUN, RELATIVE, VERB, ADVERB, SIDE, MARK, STOP, OTHER, THERE, SEEN,
) = range(1, 22)  # fmt: skip


def _closed_words() -> dict[str, int]:
    """The words of english.txt, numbers and marks, each with what it does."""
    classes: dict[str, int] = {}
    code = 0
    for line in (Path(__file__).with_name("english.txt")).read_text(encoding="utf-8").split("\n"):
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith(" "):
            name, _, line = line.partition(":")
            code = globals()[name.upper()]
        for word in line.split():
            classes.setdefault(word, code)
    classes |= dict.fromkeys(NUMBERS, NUMBER)
    return classes | dict.fromkeys(".!?\n", STOP) | dict.fromkeys(',;:()"“”[]{}…–—-/', MARK)


CLOSED = _closed_words()


def plain(text: str) -> str:
    """The text with every letter in its place, without accents: `café` is written both ways."""
    return text if text.isascii() else "".join(map(_without_accent, text))


def _without_accent(letter: str) -> str:
    if letter == "’":
        return "'"
    plain = unicodedata.normalize("NFD", letter)[0]
    return plain if len(plain.lower()) == 1 else " "
