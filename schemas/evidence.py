"""evidence.jsonl: what every turn of the embedded teacher rests on, and how balanced a set of them is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PartEvidence(_Strict):
    """A whole turn or, of a paragraph, one sentence."""

    program: str
    """What wrote it; `python -m datagen programs` lists them. Of a type that is written from its
    dialogues.toml `type.topic.kind`: `safety.knife.decline`."""
    phrasings: list[str]
    """The wordings drawn: `counting.question/2` is the second under `question` in the pack's
    phrasings/counting.toml, `safety.knife.decline.1.question/2` that of the topic's first such turn."""
    boxes: list[int]
    """The boxes it rests on, from 1 in the order of the annotations."""
    captions: list[int]
    """The captions it rests on, likewise."""
    facts: list[list[str | int | float]]
    """What it says of the image beyond the words of captions; docs/programs.md lists the kinds."""
    answer: str
    """The answer in a word or two; empty where it has none."""


class TurnEvidence(_Strict):
    """One turn."""

    parts: list[PartEvidence] = Field(min_length=1)


class SampleEvidence(_Strict):
    """One line of evidence.jsonl: a sample that was emitted, with the turns that it has."""

    id: str
    """The record's id in the set."""
    unsaid: dict[str, int]
    """What the pack's margins forbade to say of the image, by the reason."""
    turns: list[TurnEvidence]


class ProgramReport(_Strict):
    """How one program's turns and sentences in a set are spread."""

    parts: int = Field(ge=0)
    """Its turns or, of paragraphs, sentences."""
    answers: dict[str, int]
    """The most common answers in brief, the most common first."""
    categories: dict[str, int]
    """The categories it speaks of most."""
    places: dict[str, int]
    """The sides and parts of the image, and the directions, that it speaks of."""
