"""What a vocabulary knows of a category."""

from __future__ import annotations

import re
from typing import NamedTuple

from datagen.checks import Vocabulary
from datagen.checks.vocabulary import phrase_of
from datagen.prompting import nearest


class Known(NamedTuple):
    """What a vocabulary knows of a category."""

    category: str
    phrase: str
    """The category as words."""
    thing: str | None
    """The thing that it names; None for one that the vocabulary lacks."""
    kind_of: str | None
    """What it is a kind of, where it names nothing else."""
    nearest: str | None
    """A thing of the vocabulary that is spelt alike, where it knows nothing."""

    is_alias: bool = False
    """Whether it is another name of the thing, which may be something else in this domain."""
    also: tuple[str, ...] = ()
    """Further things that it is another name of."""

    @property
    def is_thing(self) -> bool:
        return self.thing is not None


def known_as(category: str, vocabulary: Vocabulary) -> Known:
    """What a vocabulary, made without the annotations' categories, knows of one of them."""
    phrase = phrase_of(category)
    words = re.findall(r"\S+", phrase)
    found = vocabulary.find(words, 0) if words else None
    noun = found[1] if found is not None and found[0] == len(words) else None
    if noun is not None and noun.names:
        own = noun.words if noun.words in noun.names else sorted(noun.names)[0]
        also = tuple(sorted(noun.names - {own}))
        return Known(category, phrase, own, None, None, is_alias=own != noun.words, also=also)
    if noun is not None and noun.kind_of:
        return Known(category, phrase, None, sorted(noun.kind_of)[0], None)
    # A cargo drone is a drone, as a rule; otherwise only what may be the same word spelt otherwise.
    head = known_as(words[-1], vocabulary).thing if len(words) > 1 else None
    return Known(category, phrase, None, None, head or nearest(phrase, vocabulary.things, 0.85))
