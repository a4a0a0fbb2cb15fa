"""The command line: `python -m train`, or `vitkit-train`."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from train import distributed
from train.config import RunConfig, recipe_names
from train.records import InputError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
_FAULTS_OF_PATHS = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)

app = typer.Typer(
    help="LLaVA JSON in, a trained LLaVA out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# torch and transformers take seconds to import, so commands import what they need: --help is at once.


RecipeName = Annotated[
    str, typer.Option(metavar="NAME", help=f"{', '.join(recipe_names())}; or a .toml file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Recipe keys to change: finetune.learning_rate=1e-5"),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[:WEIGHT]", help="LLaVA JSON for the finetune stage; may be given several times."
    ),
]
Images = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Its images: a folder, with or without tar shards.")
]
AlignData = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE[:WEIGHT]", help="LLaVA JSON for the align stage; may be given several times."),
]
AlignImages = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Its images.  [default: those of --images]")
]


@app.command()
def run(
    recipe: RecipeName,
    out: Annotated[Path, typer.Option(metavar="DIR", help="An empty folder, or that of a run to continue.")],
    overrides: Overrides = None,
    data: Data = None,
    images: Images = None,
    align_data: AlignData = None,
    align_images: AlignImages = None,
) -> None:
    """Train the stages of a recipe and export the result; the same command continues a stopped run."""
    from train import pipeline

    finished = pipeline.run(
        RunConfig(
            recipe=recipe,
            overrides=tuple(overrides or ()),
            out=out,
            data=tuple(data or ()),
            images=images,
            align_data=tuple(align_data or ()),
            align_images=align_images,
        )
    )
    if not finished:
        raise typer.Exit(EXIT_INTERRUPTED)


@app.command()
def plan(
    recipe: RecipeName,
    overrides: Overrides = None,
    data: Data = None,
    images: Images = None,
    align_data: AlignData = None,
    align_images: AlignImages = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Not looked at: taken so that a run's options can be given."),
    ] = None,
    gpus: Annotated[int, typer.Option(metavar="N", min=1, help="GPUs to train on.")] = 1,
    tokens_per_second: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            min=1e-9,
            help="Positions, image features included, that one GPU trains on in a second.",
        ),
    ] = None,
    measured: Annotated[
        Path | None, typer.Option(metavar="RUN", help="An earlier run's folder, to take that rate from.")
    ] = None,
) -> None:
    """Say what a run would need: steps, lengths, weights, memory, GPU-hours. Needs no GPU and no weights."""
    from train import pipeline

    pipeline.plan(
        RunConfig(
            recipe=recipe,
            overrides=tuple(overrides or ()),
            out=out or Path(),
            data=tuple(data or ()),
            images=images,
            align_data=tuple(align_data or ()),
            align_images=align_images,
        ),
        gpus=gpus,
        tokens_per_second=tokens_per_second,
        measured=measured,
    )


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint-N folder of a run.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the model goes; replaced if an export.")],
) -> None:
    """Write a checkpoint as a model that transformers and vLLM load, and prove that it is the same."""
    from train import pipeline

    pipeline.export_checkpoint(checkpoint, out)


@app.command()
def chat(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="CHECKPOINT", help="An exported model, a checkpoint-N, or a run's folder."),
    ],
    image: Annotated[Path, typer.Option(metavar="FILE", help="The image to talk about.")],
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="One question; without it, as many as you type.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Longest answer, in tokens.")] = 512,
) -> None:
    """Talk to a checkpoint about an image."""
    from train import pipeline

    pipeline.chat(checkpoint, image, prompt, max_new_tokens)


def main() -> None:
    """Entry point of `python -m train`: errors of the user's making are one line and exit status 2.

    Of several processes, the first to fail says why, and the others end quietly.
    """
    try:
        app()
    except KeyboardInterrupt:
        _leave(EXIT_INTERRUPTED)
    except Exception as error:
        problem = _of_the_users_making(error)
        if problem is not None:
            from train.terminal import say_error

            _leave(distributed.tell_once(lambda: say_error(problem), EXIT_BAD_INPUT))
        if distributed.processes() == 1:
            raise
        _leave(distributed.tell_once(traceback.print_exc, 1))


def _of_the_users_making(error: Exception) -> str | None:
    if isinstance(error, InputError):
        return str(error)
    # A path that may not be looked into shows wherever it is first looked at.
    if isinstance(error, OSError) and error.filename is not None and error.errno in _FAULTS_OF_PATHS:
        return f"{error.filename}: {error.strerror}; check the path and its permissions"
    return None


def _leave(status: int) -> NoReturn:
    if distributed.processes() > 1:
        # At once: tearing down what joins the processes would wait for the others, or crash.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
