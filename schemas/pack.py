"""pack.toml: everything about a prompt pack that is not prompt text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

CheckName = Literal["format", "refusals", "leaks"]


# A type's samples are written to `<type>.json`, beside these.
_RESERVED_TYPES = ("alignment", "llava_instruct", "manifest", "rejected")


def _not_reserved(name: str) -> str:
    if name in _RESERVED_TYPES:
        raise ValueError(f"{name}.json is another file of a run: choose another name")
    return name


TypeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_not_reserved)]


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
    types: dict[TypeName, ResponseTypeToml] = Field(min_length=1)
    """One table per response type, in the order in which they are asked."""
