"""Pieces that programs of every type put into their sentences: places, directions, a caption.

Places come in the words of the pack's frame (phrasings/places.toml and directions.toml): "camera"
has an up and a down; "overhead" looks from above, so there is only the image's own top and bottom; in
"radiograph" the patient's left is on the image's right, so every side is the image's.
"""

from __future__ import annotations

from datagen.records import Frame
from datagen.teacher.programmatic.captions import Sentence
from datagen.teacher.programmatic.facts import Direction, Thing
from datagen.teacher.programmatic.voice import Voice


def place_of(thing: Thing, frame: Frame, voice: Voice, whole: bool = True) -> str | None:
    """ "on the left side of the image", or None where no phrase is clearly right.

    `whole` adds "of the image", which a sentence that has just said so can leave out.
    """
    key = thing.place
    return None if key is None else place_words(key, frame, voice, whole)


_SIDES_OF_A_BODY = frozenset(
    f"places.radiograph.{part}{side}{corner}"
    for side in ("left", "right")
    for part, corner in (("", ""), ("top_", ""), ("bottom_", ""), ("top_", "_corner"), ("bottom_", "_corner"))
)


def place_words(key: str, frame: Frame, voice: Voice, whole: bool = True, in_full: bool = False) -> str:
    """ "on the left side of the image"; `whole` as above.

    Which side of a radiograph is the patient's left a sample says once; `in_full` says it again.
    """
    phrasing = f"places.{frame}.{key}"
    if phrasing in _SIDES_OF_A_BODY and not in_full and (not whole or voice.has_said(_SIDES_OF_A_BODY)):
        return voice.say(f"places.radiograph_again.{key}")
    words = voice.say(phrasing)
    # On a radiograph "the left" alone would be taken for the patient's.
    return f"{words} of the {voice.image}" if whole or frame == "radiograph" else words


def relation_words(way: Direction, first: Thing, second: Thing, frame: Frame, voice: Voice) -> str:
    """ "to the left of", to stand between two things."""
    if way in ("above", "below") and (first.right < second.left or second.right < first.left):
        # Nothing of the one is over the other: only their heights in the image can be compared.
        return voice.say(f"directions.{frame}.{'higher' if way == 'above' else 'lower'}")
    return voice.say(f"directions.{frame}.{way}")


def shown(sentence: Sentence, voice: Voice) -> str:
    """A caption as a full sentence; its own words stay as they were written."""
    if sentence.phrase is None:
        return sentence.text
    return voice.say(
        "content.phrase" if sentence.is_singular else "content.plural_phrase", phrase=sentence.phrase
    )
