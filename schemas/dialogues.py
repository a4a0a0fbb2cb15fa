"""dialogues.toml: the turns of a response type, as the embedded teacher writes them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_Strict = ConfigDict(extra="forbid", frozen=True)
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
_Wordings = Annotated[list[str], Field(min_length=1)]
_Names = Annotated[list[_Text], Field(min_length=1)]


class DialogueTurnToml(BaseModel):
    """One thing to ask with its answer: wordings of both, or programs that have their own."""

    model_config = _Strict

    kind: _Name | None = None
    """What sort of turn it is, where a type has several: `decline` beside `help`. A topic has turns of
    every kind of its file, and a sample as many of one as of another."""
    question: _Wordings | None = None
    """Wordings, of which one is drawn."""
    answer: _Wordings | None = None
    """Likewise."""
    adds: _Names | None = None
    """Programs, of which one may add to the answer what the image shows."""
    programs: _Names | None = None
    """In place of question and answer: programs, one of which asks and answers."""

    @model_validator(mode="after")
    def _is_worded_or_programmed(self) -> Self:
        worded = self.question is not None and self.answer is not None
        if worded == (self.programs is not None) or (self.programs and (self.question or self.answer)):
            raise ValueError("give question and answer, or programs in place of both")
        if self.programs and self.adds:
            raise ValueError("adds goes with an answer of one's own, not with programs")
        return self


class DialogueTopicToml(BaseModel):
    """Turns that belong together, and when they fit an image: where all the conditions hold."""

    model_config = _Strict

    shows: _Names | None = None
    """Categories, groups of them (people, animals, vehicles …) or traits of knowledge.toml, one of
    which has to be in the image. It fills the slots <thing>, <things>, <a_thing>, <the>, <be>, <do>."""
    says: _Names | None = None
    """Words or phrases, one of which has to be in a caption. It fills the slot <word>."""
    says_not: _Names | None = None
    """Words or phrases that no caption may have."""
    turn: Annotated[list[DialogueTurnToml], Field(min_length=1)]
    """The turns; of those of a kind, one that fits is drawn."""


class DialoguesToml(BaseModel):
    """A type's dialogues. Unknown keys are refused."""

    model_config = _Strict

    turns: Annotated[list[Annotated[int, Field(ge=1, le=20)]], Field(min_length=1)] = [4]
    """How many turns a sample has, one of these; topic by topic, as far as there are topics that fit."""
    parts: dict[_Name, _Wordings] = {}
    """Wordings that others share as {name}, beside those of phrasings/parts.toml; a part may use those
    above it."""
    topic: Annotated[dict[_Name, DialogueTopicToml], Field(min_length=1)]
    """By name; a sample draws from those that fit, each at most once."""
