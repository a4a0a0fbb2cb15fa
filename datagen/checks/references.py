"""Does a question refer back to an earlier turn?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from datagen.checks.english import ADVERB, ATTRIBUTE, BE, HEDGE, MARK, MODAL, PREPOSITION, STOP, VERB
from datagen.checks.reading import Reading, read
from datagen.checks.vocabulary import Vocabulary
from datagen.records import Turn

_PRONOUNS = frozenset("it its they them their theirs he she him her his hers one ones".split())
_POINTING = frozenset("this that these those".split())
# "What time is it?", "Is it raining?": stands for nothing.
_IDLE_IT = frozenset(
    "raining snowing sunny cloudy windy cold hot warm dark day night daytime nighttime time season".split()
)


def refers_back(question: str, vocabulary: Vocabulary) -> bool:
    """Whether a pronoun or `the same` stands where the question's own noun should be."""
    reading = read(question, vocabulary)
    words, codes = reading.words, reading.codes
    named = [mention.end for mention in reading.mentions]
    for at, word in enumerate(words):
        if any(end <= at for end in named):
            return False  # a noun of its own comes first
        if word == "it" and _stands_for_nothing(words, codes, at):
            continue
        if word == "one" and not _stands_alone(words, at):
            continue
        if word in _PRONOUNS:
            return True
        if word in _POINTING and _stands_for_a_noun(reading, at):
            return True
        if word in ("former", "latter", "rest") or (word in ("two", "three", "both") and _ends(codes, at)):
            return not _names_after(reading, at)
        if word == "same" and "as" not in words:
            return True
        if word in ("other", "others", "another") and not _names_after(reading, at):
            return True
    return False


def _stands_for_nothing(words: Sequence[str], codes: Sequence[int], at: int) -> bool:
    """`Is it raining?`, `What time is it?`, `Is it likely that …`; not `Is it dark brown?`."""
    if at == 0 or codes[at - 1] != BE:
        return False
    after = at + 1
    while after < len(words) and (words[after] in ("a", "an", "the") or codes[after] == ADVERB):
        after += 1
    if after >= len(words) or codes[after] in (MARK, STOP):
        return not _IDLE_IT.isdisjoint(words[:at])
    following = words[after + 1] if after + 1 < len(words) else ""
    if words[after] in _IDLE_IT:
        return codes[after + 1 : after + 2] != [ATTRIBUTE] or following in _IDLE_IT
    return following == "that" and codes[after] != PREPOSITION


def _stands_alone(words: Sequence[str], at: int) -> bool:
    """`the red one`; not `one of the dogs`, `more than one person`."""
    return words[at - 1 : at] != ["than"] and words[at + 1 : at + 3] != ["of", "the"]


def _stands_for_a_noun(reading: Reading, at: int) -> bool:
    """`those` in `Are those red?`; not in `Are those dogs red?` nor `Is this an indoor scene?`."""
    codes = reading.codes
    if at + 1 == len(codes):
        return True
    if codes[at + 1] in (BE, MARK, STOP, PREPOSITION, HEDGE, MODAL, VERB):
        return True
    # "Is that unusual?"
    return (
        codes[0] == BE
        and codes[at + 1] in (0, ATTRIBUTE)
        and not _names_after(reading, at + 1)
        and _ends(codes, at + 1)
    )


def _ends(codes: Sequence[int], at: int) -> bool:
    """Whether no noun can follow a word."""
    return at + 1 == len(codes) or codes[at + 1] in (MARK, STOP, BE)


def _names_after(reading: Reading, at: int) -> bool:
    return any(mention.first <= at < mention.end for mention in reading.mentions)


def dropped_with(turns: Sequence[Turn], dropped: Collection[int], vocabulary: Vocabulary) -> list[int]:
    """The turns that lose what they refer to when some are dropped, by index.

    A question refers to the turn before it; so a chain of them falls together.
    """
    gone = set(dropped)
    lost = []
    for at in range(1, len(turns)):
        if at not in gone and at - 1 in gone and refers_back(turns[at].question, vocabulary):
            gone.add(at)
            lost.append(at)
    return lost
