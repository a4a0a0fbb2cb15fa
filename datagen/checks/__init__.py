"""Checks of a parsed sample, turn by turn: what is wrong with each turn, and what it claims.

Adding one: a function of one turn in a file here, a line in `TypeChecks`, its name in
`schemas.pack.CheckName`, a test in tests/datagen/checks/.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from datagen.checks.claims import Claim, Verdict
from datagen.checks.declines import one_sided
from datagen.checks.evidence import Evidence, Region
from datagen.checks.faults import Fault
from datagen.checks.forbidden import ForbiddenCheck
from datagen.checks.format import check_format
from datagen.checks.grounding import Grounding, blind_spots
from datagen.checks.phrases import PhraseCheck
from datagen.checks.references import dropped_with
from datagen.checks.vocabulary import Vocabulary
from datagen.records import Frame, ImageAnnotation, InputError, Turn

VOCABULARY_FILES = ("vocabulary.txt", "attributes.txt", "blind_spots.txt", "hedges.txt")


class Checked(NamedTuple):
    """One turn, looked at."""

    faults: list[Fault]
    claims: list[Claim]


class TypeChecks:
    """The checks of one response type.

    Raises InputError, naming the list, for a pattern in it that is not a regular expression.
    """

    def __init__(
        self,
        names: Collection[str],
        word_lists: Mapping[str, Sequence[str]],
        vocabulary: Vocabulary,
        frame: Frame,
        reject: Collection[str],
        *,
        may_speculate: bool,
    ) -> None:
        self.vocabulary = vocabulary
        self._has_format = "format" in names
        self._forbidden = forbidden_check(word_lists) if "forbidden" in names else None
        self._phrases = [phrase_check(name, word_lists) for name in ("refusals", "leaks") if name in names]
        self._declines = phrase_check("declines", word_lists) if "declines" in names else None
        self._grounding = Grounding(vocabulary, frame) if "grounding" in names else None
        self._has_blind_spots = "blind_spots" in names
        self._reject = frozenset(reject)
        self._may_speculate = may_speculate

    @property
    def needs_evidence(self) -> bool:
        return self._grounding is not None or self._has_blind_spots or self._forbidden is not None

    def __call__(
        self, turns: Sequence[Turn], evidence: Evidence | None, *, question_is_drawn: bool = False
    ) -> list[Checked]:
        """What each turn is found to be. A question that was drawn from a list asks for nothing special."""
        checked = []
        for turn in turns:
            faults: list[Fault] = []
            claims: list[Claim] = []
            if self._has_format and (fault := check_format(turn)):
                faults.append(fault)
            for check in self._phrases:
                if fault := check(turn):
                    faults.append(fault)
            if self._forbidden is not None:
                faults += self._forbidden(turn, evidence.captions if evidence is not None else None)
            if evidence is not None and self._grounding is not None:
                claims += self._grounding.claims(turn, evidence, may_speculate=self._may_speculate)
                for claim in claims:
                    if claim.verdict in self._reject:
                        faults.append(Fault(claim.verdict, claim.kind, claim.where, claim.told))
            if evidence is not None and self._has_blind_spots and not question_is_drawn:
                for claim in blind_spots(turn.question, self.vocabulary, evidence.captions):
                    claims.append(claim)
                    if claim.verdict == "unsupported":
                        faults.append(Fault("blind_spot", claim.rule, "question", claim.told))
            checked.append(Checked(faults, claims))
        if self._declines is not None and (fault := one_sided(turns, self._declines)):
            for each in checked:
                each.faults.append(fault)
        return checked


def phrase_check(name: str, word_lists: Mapping[str, Sequence[str]]) -> PhraseCheck:
    """The check by one of the pack's phrase lists: `leaks`, or `refusals` and `declines`, which only an
    answer can be.

    Raises InputError, naming the list, for a pattern in it that is not a regular expression.
    """
    try:
        if name in ("refusals", "declines"):
            return PhraseCheck(name.removesuffix("s"), word_lists[name], answers_only=True)
        return PhraseCheck("leak", word_lists[name])
    except InputError as error:
        raise InputError(f"{name}.txt: {error}") from None


def forbidden_check(word_lists: Mapping[str, Sequence[str]]) -> ForbiddenCheck:
    """The check by the pack's forbidden.txt.

    Raises InputError, naming the list, for a line in it that cannot be read.
    """
    try:
        return ForbiddenCheck(word_lists["forbidden"])
    except InputError as error:
        raise InputError(f"forbidden.txt: {error}") from None


def make_vocabulary(files: Mapping[str, str], categories: Collection[str]) -> Vocabulary:
    """A pack's vocabulary, of which there is one for the same text and categories.

    Raises InputError naming file and line.
    """
    texts = tuple((name, files.get(name, "")) for name in VOCABULARY_FILES)
    return _vocabulary(texts, tuple(sorted(categories)))


@lru_cache(maxsize=8)
def _vocabulary(texts: tuple[tuple[str, str], ...], categories: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(dict(texts), categories)


def evidence_of(annotation: ImageAnnotation, vocabulary: Vocabulary) -> Evidence:
    """What is known of an image, its boxes as fractions of its size."""
    width, height = annotation.width, annotation.height
    boxes = [
        (
            box.category,
            Region(
                number,
                box.x / width,
                box.y / height,
                (box.x + box.width) / width,
                (box.y + box.height) / height,
                box.crowd,
            ),
        )
        for number, box in enumerate(annotation.boxes, 1)
    ]
    return Evidence(vocabulary, annotation.captions, boxes, annotation.uncounted)


__all__ = [
    "VOCABULARY_FILES",
    "Checked",
    "Claim",
    "Evidence",
    "Fault",
    "ForbiddenCheck",
    "PhraseCheck",
    "Region",
    "TypeChecks",
    "Verdict",
    "Vocabulary",
    "check_format",
    "dropped_with",
    "evidence_of",
    "forbidden_check",
    "make_vocabulary",
    "phrase_check",
]
