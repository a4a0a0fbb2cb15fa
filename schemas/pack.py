"""pack.toml: everything about a prompt pack that is not prompt text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

CheckName = Literal["format", "refusals", "leaks", "forbidden", "grounding", "blind_spots", "declines"]
RejectedVerdict = Literal["contradicted", "unsupported"]
OnReject = Literal["drop_turn", "drop_sample", "ask_again", "flag"]

# A type's samples are written to `<type>.json`, beside these.
_RESERVED_TYPES = ("alignment", "llava_instruct", "manifest", "rejected", "verdicts")


def _not_reserved(name: str) -> str:
    if name in _RESERVED_TYPES:
        raise ValueError(f"{name}.json is another file of a run: choose another name")
    return name


TypeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_not_reserved)]


def _in_order(words: tuple[int, int]) -> tuple[int, int]:
    if not 0 < words[0] <= words[1]:
        raise ValueError("must be the fewest and the most words, such as [50, 120]")
    return words


class ResponseTypeToml(BaseModel):
    """One response type: a table here and a folder of the same name beside pack.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reply: Literal["pairs", "answer", "json"]
    """How the teacher replies: Question/Answer blocks with `===` between them; an answer alone,
    whose question is drawn from the folder's questions.txt; or a JSON object with a list `turns`."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """Sampling temperature sent to the teacher."""
    max_tokens: int = Field(default=1024, gt=0)
    """Most output tokens the teacher may write per reply."""
    checks: tuple[CheckName, ...] = ("format", "refusals", "leaks")
    """Which checks a sample must pass."""
    reject: tuple[RejectedVerdict, ...] = ("contradicted", "unsupported")
    """Which verdicts on a claim make its turn unfit, where `grounding` is among the checks; a claim
    with the other verdict is flagged."""
    may_speculate: bool = False
    """Whether answers may speak of the world beyond the image, as reasoning does: then a thing is
    unsupported only where it is clearly said to be in the image."""
    on_reject: OnReject = "ask_again"
    """What an unfit turn costs: itself and the turns that refer back to it; the whole sample; the
    whole reply, which is asked again once with what was wrong; or nothing, but for a flag."""
    answer_words: Annotated[tuple[int, int], AfterValidator(_in_order)] | None = None
    """How many words an answer should have, fewest and most; only reported."""
    near: float | None = Field(default=None, gt=0, le=1)
    """Another `near` than the pack's `[dedup]`, for samples that share phrases by design."""
    may_repeat_questions: bool = False
    """Whether what another type has asked about an image may be asked again: for a type whose turns
    belong together, of which none is to be dropped alone."""
    optional: bool = False
    """Whether it is made only where `--types` names it."""
    most: int | None = Field(default=None, gt=0)
    """Keep at most so many samples of this type."""
    most_per_category: int | None = Field(default=None, gt=0)
    """Leave a sample out where so many name each category that it names."""


class DedupToml(BaseModel):
    """The table `[dedup]`: from where on one sample repeats another. 1 leaves only equals."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    near: float = Field(default=0.45, gt=0, le=1)
    """Samples that share this much are near copies: Jaccard similarity of runs of three words."""
    near_words: int = Field(default=30, ge=0)
    """Samples of fewer words are repeats only if they are the same."""
    opening: float = Field(default=0.9, gt=0, le=1)
    """The same for the first sentences of descriptions."""
    opening_words: int = Field(default=8, ge=0)
    """Openings of fewer words are never repeats."""
    meaning: float = Field(default=0.95, gt=0, le=1)
    """The cosine of embeddings from which two samples mean the same; needs `meaning_model`."""
    meaning_model: str | None = None
    """Folder of a sentence-transformers model; needs `pip install 'vitkit[semantic]'`."""


class MarginsToml(BaseModel):
    """The table `[programs.margins]`: from where on annotations decide what the embedded teacher says.

    Lengths are shares of the image's width or height, areas shares of the image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    smallest_area: float = Field(default=0.003, ge=0, lt=1)
    """A box that covers less is not pointed at."""
    smallest_cut_off: float = Field(default=0.01, ge=0, lt=1)
    """The same for a box at the image's edge: what it shows may be a sliver of the thing."""
    border: float = Field(default=0.035, ge=0, lt=0.16)
    """How far a centre lies from the borders between thirds before a thing is said to be in one."""
    apart: float = Field(default=0.12, ge=0, lt=1)
    """How far two centres lie apart before one thing is said to be left of or above the other."""
    overlap: float = Field(default=0.25, ge=0, lt=1)
    """How much of the shorter of two extents they may share before the things count as not apart."""
    larger: float = Field(default=1.5, ge=1)
    """How many times the area of another a box has before it is called the larger one."""
    more: int = Field(default=1, ge=1)
    """By how many one number leads before it is called the greater one."""
    same_object: float = Field(default=0.8, gt=0, le=1)
    """Intersection over union from which two boxes of a category may be one thing boxed twice."""
    most_counted: int = Field(default=12, ge=1, le=12)
    """A larger number is not told."""
    count_ranges: bool = False
    """Whether a larger number is told as a range instead, such as "between 20 and 30"."""


class ProgramsToml(BaseModel):
    """The table `[programs]`: what the embedded teacher asks, and what it takes for decided."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    margins: MarginsToml = MarginsToml()
    weights: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(default_factory=dict)
    """How often each program is chosen beside the others of its type; 0 switches it off. What is not
    named has the weight that `datagen programs` lists."""


class PackToml(BaseModel):
    """A prompt pack's settings. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    """The pack's name, as it stands in the manifest."""
    description: str = ""
    """One line about the domain, for people."""
    proxy: Literal["grounded", "llava-exact"] = "grounded"
    """How annotations are written out for the teacher."""
    sample: str | None = None
    """A folder with captions.json, instances.json and images/, run on when no annotations are given."""
    frame: Literal["camera", "overhead", "radiograph"] = "camera"
    """What sides mean: a camera's view; seen from above (no up and down); or a radiograph, where the
    patient's left is the image's right."""
    dedup: DedupToml = DedupToml()
    """When a sample repeats another."""
    programs: ProgramsToml = ProgramsToml()
    """The programs of the embedded teacher."""
    types: dict[TypeName, ResponseTypeToml] = Field(min_length=1)
    """One table per response type, in the order in which they are asked."""
