"""What of a set was said before in it: by scope, with what it repeats and how alike they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

from datagen.dedup.near import NearBatch, NearCopies
from datagen.dedup.questions import Asked, Question
from datagen.dedup.semantic import Embed, MeaningBatch, Meanings
from datagen.dedup.texts import normalised, opening
from datagen.records import Turn

Scope = Literal["question", "sample", "opening"]
How = Literal["same", "near", "meaning"]

_TOLD = 100
"""Characters of a repeated text that are shown."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sample that passed the checks."""

    id: str
    """Unique; names the sample where another repeats it."""
    image: str | int
    """Questions are compared with those about the same image, of whatever group."""
    group: str
    """Its response type: whole samples are compared with those of the same group."""
    turns: tuple[Turn, ...]
    question_is_drawn: bool = False
    """The question was drawn from a list: it is nobody's text, and is left out of every comparison."""
    is_description: bool = False
    """Its answer's first sentence is compared with those of all other descriptions."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A turn or a sample that goes, and why."""

    scope: Scope
    how: How
    """"same" after normalising; "near" by shared runs of words; "meaning" by embeddings."""
    of: str
    """The id of the sample that is repeated, which stays."""
    likeness: float
    """1.0 for the same; the Jaccard similarity of shingles (of words, for questions) for near; else
    the cosine."""
    turn: int | None
    """The turn that goes; None where the whole sample goes."""
    text: str
    """What is repeated, shortened."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a repeat begins. Each likeness goes from above 0 to 1, which only equals reach."""

    near: float = 0.45
    """Samples that share this much are near copies (Jaccard similarity of runs of three words): the
    likeness of 10 % of words changed is 0.45 to 0.65, of different texts seldom above 0.3."""
    near_words: int = 30
    """Samples of fewer words are repeats only if they are the same: in a short one, another object or
    number is all the difference there could be."""
    opening: float = 0.9
    """The same for openings: where one object differs, it is another opening."""
    opening_words: int = 8
    """Openings of fewer words are never repeats."""
    near_by_group: Mapping[str, float] = field(default_factory=dict)
    """Another `near` for some groups, such as one whose samples share whole paragraphs by design."""
    meaning: float = 0.95
    """The cosine from which two samples mean the same; without `embed` meanings are not compared."""

    def __post_init__(self) -> None:
        likenesses = {"near": self.near, "opening": self.opening, "meaning": self.meaning}
        likenesses |= {f"near of {group}": near for group, near in self.near_by_group.items()}
        for name, likeness in likenesses.items():
            if not 0 < likeness <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {likeness!r}")
        for name in ("near_words", "opening_words"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)!r}")


class Repeats:
    """Finds what repeats what, and remembers what stays.

    Show it samples in an order that follows from themselves alone (by type, image id and index; or by
    id): then what stays follows from the samples alone too, not from the order in which replies came
    nor from how they are cut into chunks. The rule: a sample is compared with those before it that
    stay, and never with one that went, so nothing goes for being like a repeat of something else.
    Hence what stays, shown to a new `Repeats`, holds no repeat.

    Memory grows with what stays: about 2.5 kB for a sample of 100 words with its questions.
    """

    def __init__(self, settings: Settings | None = None, embed: Embed | None = None) -> None:
        self.settings = settings or Settings()
        self._ids: list[str] = []
        self._asked = Asked()
        self._same: dict[bytes, int] = {}
        least = min([self.settings.near, *self.settings.near_by_group.values()])
        self._near = NearCopies(least, self.settings.near_words)
        self._openings = NearCopies(self.settings.opening, self.settings.opening_words)
        self._same_openings: dict[bytes, int] = {}
        self._meanings = Meanings(embed, self.settings.meaning) if embed else None

    def find(self, candidates: Sequence[Candidate]) -> list[list[Repeat]]:
        """For each candidate what goes of it; an empty list if it stays as it is.

        Either the whole sample goes (`turn` is None) and nothing of it is remembered: for one reason or,
        where every question was asked before, one for each turn. Or single turns go, whose questions
        were asked before about the image, earlier in the sample too; the turns that are left are
        compared and remembered as the sample. A repeated question stays where the turn after it
        stays and leans on it ("What color is it?").
        """
        samples = [_Sample(candidate, self.settings.opening_words) for candidate in candidates]
        found: list[list[Repeat]] = []
        while len(found) < len(samples):
            begin = len(found)
            chunk = self._look_up(samples[begin:])
            for n, sample in enumerate(samples[begin:]):
                repeats = self._settle(chunk, n, sample)
                found.append(repeats)
                if any(repeat.turn is not None for repeat in repeats):
                    break  # It was kept as less than was looked up: what follows is looked up anew.
        return found

    def _look_up(self, samples: Sequence[_Sample]) -> _Chunk:
        groups = [sample.candidate.group for sample in samples]
        is_long = [sample.words.count(" ") + 1 >= self.settings.near_words for sample in samples]
        return _Chunk(
            self._near.look_up(groups, [sample.words for sample in samples]),
            self._openings.look_up([""] * len(samples), [sample.opening_words for sample in samples]),
            self._meanings.look_up(groups, [sample.text for sample in samples], is_long)
            if self._meanings
            else None,
        )

    def _settle(self, chunk: _Chunk, n: int, sample: _Sample) -> list[Repeat]:
        candidate, own = sample.candidate, len(self._ids)
        # First as it came, so that a copy of a sample is called that and not a row of questions.
        if copy := self._same_as(sample):
            return [copy]
        gone, questions = self._questions(sample, own)
        if gone and len(gone) == len(candidate.turns):
            return [replace(repeat, turn=None) for repeat in gone]
        if gone:
            went = {repeat.turn for repeat in gone}
            left = [turn for place, turn in enumerate(candidate.turns) if place not in went]
            sample = _Sample(replace(candidate, turns=tuple(left)), self.settings.opening_words)
            chunk, n = self._look_up([sample]), 0
        if found := self._same_as(sample) or self._like(chunk, n, sample):
            return [found]

        self._ids.append(candidate.id)
        self._asked.keep(questions, own)
        self._same[sample.digest] = own
        self._near.keep(chunk.samples, n, own)
        if sample.opening_words:
            self._same_openings[sample.opening_digest] = own
            self._openings.keep(chunk.openings, n, own)
        if self._meanings and chunk.meanings:
            self._meanings.keep(chunk.meanings, n, own)
        return gone

    def _same_as(self, sample: _Sample) -> Repeat | None:
        if (first := self._same.get(sample.digest)) is None:
            return None
        return Repeat("sample", "same", self._ids[first], 1.0, None, _shortened(sample.text))

    def _questions(self, sample: _Sample, own: int) -> tuple[list[Repeat], list[Question]]:
        """The turns whose questions were asked before, and all questions for `Asked.keep`."""
        candidate = sample.candidate
        if candidate.question_is_drawn:
            return [], []
        questions = self._asked.prepare(candidate.image, sample.parts[::2])
        gone = []
        for turn, asked in enumerate(self._asked.before(questions, own)):
            if asked:
                how: How = "same" if asked.is_same else "near"
                of = candidate.id if asked.of == own else self._ids[asked.of]
                told = _shortened(candidate.turns[turn].question)
                gone.append(Repeat("question", how, of, asked.likeness, turn, told))
        return gone, questions

    def _like(self, chunk: _Chunk, n: int, sample: _Sample) -> Repeat | None:
        """What of the kept ones the sample, or its opening, is too much like."""
        least = self.settings.near_by_group.get(sample.candidate.group, self.settings.near)
        if (near := self._near.nearest(chunk.samples, n)) and near.likeness >= least:
            return Repeat("sample", "near", self._ids[near.of], near.likeness, None, _shortened(sample.text))
        if sample.opening_words:
            told = _shortened(sample.opening)
            if (first := self._same_openings.get(sample.opening_digest)) is not None:
                return Repeat("opening", "same", self._ids[first], 1.0, None, told)
            if near := self._openings.nearest(chunk.openings, n):
                return Repeat("opening", "near", self._ids[near.of], near.likeness, None, told)
        if self._meanings and chunk.meanings and (alike := self._meanings.nearest(chunk.meanings, n)):
            told = _shortened(sample.text)
            return Repeat("sample", "meaning", self._ids[alike.of], alike.likeness, None, told)
        return None


class _Sample:
    """A candidate as it is compared."""

    __slots__ = (
        "candidate",
        "digest",
        "opening",
        "opening_digest",
        "opening_words",
        "parts",
        "text",
        "words",
    )

    def __init__(self, candidate: Candidate, least_opening: int) -> None:
        self.candidate = candidate
        if candidate.question_is_drawn:
            written = [turn.answer for turn in candidate.turns]
        else:
            written = list(chain.from_iterable(candidate.turns))
        self.text = "\n".join(written)
        self.parts = [normalised(part) for part in written]
        """Question, answer, question …, or the answers alone where the question is drawn."""
        self.words = " ".join(self.parts)
        # Parts are kept apart: a word that moved from a question to its answer makes another sample.
        self.digest = _digest("\n".join([candidate.group, *self.parts]))
        self.opening = opening(candidate.turns[0].answer) if candidate.is_description else ""
        self.opening_words = normalised(self.opening)
        if self.opening_words.count(" ") + 1 < least_opening:
            self.opening_words = ""
        self.opening_digest = _digest(self.opening_words)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What is known of some samples before any of them is kept."""

    samples: NearBatch
    openings: NearBatch
    meanings: MeaningBatch | None


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TOLD else f"{line[:_TOLD]}…"
