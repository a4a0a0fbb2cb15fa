"""Which captions show a caption list's concepts evenly: LLaVA's filter of CC3M.

Source: Liu et al., Visual Instruction Tuning, arXiv 2304.08485, appendix E ("Data", CC3M). There the
noun phrases of all captions are counted with spaCy; those counted fewer than 3 times are skipped; from
the rarest remaining phrase on, the captions that have it join the pool, a random 100 of them where
there are more. CC3M's 3 million pairs became 595 thousand.

Ours differs in two things. Noun phrases are read by rule, with the word classes of the checks, so that
no model has to be there (see `noun_phrases`). On 4,000 COCO captions it finds nine in ten of spaCy's
phrases, and six in seven of those it finds are spaCy's (en_core_web_sm 3.8; determiners, numbers and
some 25 words such as "group", "top" and "side" left aside). And the random 100 are drawn by a hash, so
that a list gives the same set in whatever order.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from datagen.checks.english import (
    ATTRIBUTE,
    CLOSED,
    DEFINITE,
    INDEFINITE,
    OTHER,
    SIDE,
    VERB,
    plain,
)

RARE = 3
"""A phrase counted fewer times decides nothing: mostly a combination whose parts others have."""
FREQUENT = 100
"""Most captions that a phrase brings in."""
_LONGEST = 5
"""Words. What runs on longer is a list of search terms rather than a phrase."""

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|[^\s\w]|\d+|\n")
_NOUNS = frozenset(
    """
    image picture photo photograph scene frame view shot dining living
    building buildings evening morning ceiling painting paintings clothing wedding king ring rings wing wings
    spring string strings thing things sibling siblings railing crossing landing parking lighting drawing
    drawings wrestling skateboarding surfing pudding icing frosting earring earrings offspring sling awning
    bed red seed seeds shed sled weed tweed hundred naked
    family butterfly lily jelly belly fly bully assembly italy july holly ally daily friendly ugly silly
    lovely lonely elderly curly
    """.split()
)
"""What the endings -ing, -ed and -ly would take for a participle or an adverb, and `seen` for a verb."""

_STAND_ALONE = frozenset("that this these those each both any some another".split())


class Balanced(NamedTuple):
    """What the filter chose, and what it saw. Indices are those of the captions."""

    chosen: list[int]
    """Ascending."""
    rare: list[int]
    """Captions without a phrase that is counted often enough."""
    phrases: int
    """Different noun phrases counted."""
    phrases_used: int
    """Of these counted at least `RARE` times: so many concepts are in the chosen captions."""


def balance(captions: Sequence[str], keys: Sequence[str], seed: int) -> Balanced:
    """Choose captions by `RARE` and `FREQUENT`.

    `keys` tell captions apart whatever their order, such as image and text.
    """
    having: dict[str, list[int]] = {}
    for at, caption in enumerate(captions):
        for phrase in set(noun_phrases(caption)):
            having.setdefault(phrase, []).append(at)
    used = sorted(
        (phrase for phrase, found in having.items() if len(found) >= RARE),
        key=lambda phrase: (len(having[phrase]), phrase),
    )
    pool: set[int] = set()
    speaks = set()
    for phrase in used:
        found = having[phrase]
        speaks.update(found)
        if len(found) > FREQUENT:
            found = heapq.nsmallest(FREQUENT, found, key=lambda at: _rank(seed, phrase, keys[at]))
        pool.update(found)
    rare = [at for at in range(len(captions)) if at not in speaks]
    return Balanced(sorted(pool), rare, len(having), len(used))


def noun_phrases(text: str) -> Iterator[str]:
    """The noun phrases of an English text in lower case, without determiners and numbers.

    `The two brown dogs chase a ball` has `brown dogs` and `ball`. Words are looked up in
    checks/english.txt; one that is not there is a noun or an adjective, but for participles: after a
    noun they end the phrase (`dog | running`), before one they belong to it (`a parked car`).
    """
    words = _WORD.findall(plain(text).lower())
    codes = [0 if word in _NOUNS else CLOSED.get(word, 0 if word[0].isalpha() else -1) for word in words]
    phrase: list[str] = []
    has_noun = False
    after_determiner = False
    for at, (word, code) in enumerate(zip(words, codes, strict=True)):
        is_part = is_noun = False
        if code == 0 and word not in _NOUNS and word.endswith(("ing", "ed")) and len(word) > 4:
            # "a parked car", but "man riding", "dressed in".
            is_next = at + 1 < len(words) and codes[at + 1] == 0
            is_part = is_next and (word.endswith("ed") or not phrase)
        elif code == 0 and word not in _NOUNS and word.endswith("ly"):
            is_part = False
        elif code == 0 or (code == VERB and after_determiner):
            is_part = is_noun = True
        elif code in (OTHER, SIDE, ATTRIBUTE):
            is_part = True
        if is_part:
            phrase.append(word)
            has_noun = has_noun or is_noun
        elif phrase:
            if has_noun and len(phrase) <= _LONGEST:
                yield " ".join(phrase)
            phrase, has_noun = [], False
        # "the stand", but "a dog that has", "each stands".
        is_determiner = code in (DEFINITE, INDEFINITE) and word not in _STAND_ALONE
        after_determiner = is_determiner or (after_determiner and code in (OTHER, SIDE))
    if has_noun and len(phrase) <= _LONGEST:
        yield " ".join(phrase)


def _rank(seed: int, phrase: str, key: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{phrase}:{key}".encode(), digest_size=8).digest()
