"""What `audit` says of LLaVA JSON that was made elsewhere: report.json."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.run import Found, InputFile
from schemas.usefulness import SetReport


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Unreadable(_Strict):
    """A record that could not be read, and was not looked at."""

    record: str
    """Which one: `[17]`, counted from 0, of a list; `line 17`, counted from 1, of JSON lines."""
    reason: str
    """A name to count by."""
    detail: str
    """The particulars, for a person."""


class Audited(_Strict):
    """The samples of one response type: samples = passed + partly_unfit + unfit + duplicate."""

    samples: int = Field(ge=0)
    guessed: int = Field(ge=0)
    """Samples of which neither `--type` nor their id said that they are of this type."""
    turns: int = Field(ge=0)
    """Questions with their answers."""
    passed: int = Field(ge=0)
    """Nothing unfit was found: not contradicted, where an annotation could be looked at."""
    partly_unfit: int = Field(ge=0)
    """Some turns are unfit or repeat others; the rest stands."""
    unfit: int = Field(ge=0)
    """By the pack's rules nothing of the sample would be kept."""
    duplicate: int = Field(ge=0)
    """Repeats a sample that is before it in the order of type, image and id."""


class Example(_Strict):
    """A turn to look at, and what is known of its image."""

    sample: str
    """Its id in verdicts.jsonl."""
    turn: int = Field(ge=1)
    told: str
    """What is wrong with it, with the words and the evidence."""
    question: str
    """Cut short where it is long."""
    answer: str
    """Cut short where it is long."""
    captions: list[str]
    """The image's, in the order in which the evidence counts them; empty where none is known."""
    boxes: dict[str, int]
    """By category: how many boxes the image has."""


class RepeatExample(_Strict):
    """A sample, or a turn of one, that repeats another."""

    sample: str
    """Its id in verdicts.jsonl."""
    told: str
    """What it repeats, and how alike they are."""


class Images(_Strict):
    """Which samples could be held against annotations, counted in samples."""

    annotated: int = Field(ge=0)
    no_annotation: int = Field(ge=0)
    """The image is not in the annotations, or they say nothing of it that could be used."""
    several_images: int = Field(ge=0)
    """Of several images: not held against annotations."""
    text_only: int = Field(ge=0)
    """Without an image."""
    not_found: int | None
    """Different images that are not in the `--images` folder; null where none was given."""


class EvaluationFound(_Strict):
    """Images of benchmarks in the file."""

    images: int = Field(ge=0)
    samples: int = Field(ge=0)
    """Samples about them. They were checked like all others."""
    by_benchmark: dict[str, int]
    """By benchmark: images."""
    examples: list[str]
    """The first few, with the benchmarks they belong to."""
    unreadable: int = Field(ge=0)
    """Images that could not be compared with `--evaluation-images`."""


class AuditReport(_Strict):
    """report.json: what the checks found in a file, and how far they could look."""

    vitkit: str
    """The version that wrote this."""
    file: InputFile
    annotations: list[InputFile]
    pack: str
    pack_hash: str
    records: int = Field(ge=0)
    """All of the file: samples, and those that could not be read."""
    samples: int = Field(ge=0)
    turns: int = Field(ge=0)
    unreadable: list[Unreadable]
    """In the order of the file."""
    form: dict[str, int]
    """What trainers may trip over, counted in samples: `no_id`, `repeated_id`, `no_image_token`,
    `image_token_misplaced`, `image_token_without_image`."""
    images: Images
    types: dict[str, Audited]
    """By response type."""
    unfit_turns: dict[str, int]
    """By reason, commonest first. A turn that is unfit for two reasons is counted for both."""
    turn_verdicts: dict[str, int]
    """Turns of annotated samples by their worst claim: `contradicted`, `unsupported`, `supported`, or
    `undecidable` where no claim could be decided."""
    found: dict[str, Found]
    """By response type: claims and faults."""
    examples: dict[str, list[Example]]
    """By reason: up to ten unfit turns, drawn evenly."""
    duplicates: dict[str, int]
    """By how they repeat: samples of which nothing is left."""
    repeated_turns: dict[str, int]
    """By how they repeat: turns of samples that are otherwise no repeats."""
    duplicate_examples: dict[str, list[RepeatExample]]
    """By how they repeat: up to ten, drawn evenly."""
    evaluation_images: EvaluationFound
    usefulness: dict[str, SetReport]
    """By response type: the file's samples as they stand, the unfit ones and repeats included."""
    warnings: list[str]
    """What of `usefulness` calls for action."""
