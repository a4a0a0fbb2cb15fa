"""Does a question refer back to an earlier turn?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from datagen.checks.english import BE, MARK, PREPOSITION, STOP
from datagen.checks.reading import Reading, read
from datagen.checks.vocabulary import Vocabulary
from datagen.records import Turn

_PRONOUNS = frozenset("it its they them their theirs he she him her his hers one ones".split())
_POINTING = frozenset("this that these those".split())
# "What time is it?", "Is it raining?": stands for nothing.
_IDLE_IT = frozenset(
    [
        "raining",
        "snowing",
        "sunny",
        "cloudy",
        "windy",
        "cold",
        "hot",
        "warm",
        "dark",
        "day",
        "night",
        "daytime",
        "nighttime",
        "time",
    ]
)


def refers_back(question: str, vocabulary: Vocabulary) -> bool:
    """Whether a pronoun or `the same` stands where the question's own noun should be."""
    reading = read(question, vocabulary)
    words, codes = reading.words, reading.codes
    named = [mention.end for mention in reading.mentions]
    for at, word in enumerate(words):
        if any(end <= at for end in named):
            return False  # a noun of its own comes first
        if word in _PRONOUNS and not (word == "it" and _IDLE_IT.intersection(words)):
            return True
        if word in _POINTING and (at + 1 == len(words) or codes[at + 1] in (BE, MARK, STOP, PREPOSITION)):
            return True
        if word == "same" and "as" not in words:
            return True
        if word in ("other", "others", "another") and not _names_after(reading, at):
            return True
    return False


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
