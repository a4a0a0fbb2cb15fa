"""The order of things: recipe, samples, encoding; for each stage model, gates, training; then export."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from train import chat as chatting
from train import export as exporting
from train import terminal
from train.checkpoint import check_same_run, hash_data, load_projector, newest_complete, read_record
from train.collate import Collator
from train.config import (
    TINY,
    ModelConfig,
    Recipe,
    RunConfig,
    StageConfig,
    StageName,
    load_recipe,
    resolve_tiny,
)
from train.conversation import Encoder, get_format
from train.dataset import (
    DataFile,
    InstructionData,
    append_left_out,
    check_share,
    parse_data_file,
    prepare,
    read_samples,
)
from train.gates import run_gates
from train.images import ImageStore
from train.logs import quiet
from train.model import build_model, context_length, features_per_image, image_size, load_processor
from train.records import InputError, LeftOut, Sample
from train.stages import set_trainable
from train.tiny import write_tiny
from train.trainer import StageResult, StopRequest, train_stage

MODEL = "model"
"""Where a run's export goes, in its folder."""
LEFT_OUT = "left_out.jsonl"
_OURS = {"align", "finetune", "base", "log.jsonl", LEFT_OUT, "tensorboard", MODEL}
"""Beside hidden files, which are the lock and what a killed run left half-written."""


@dataclass(frozen=True)
class Source:
    """Where a stage's samples and images come from."""

    files: tuple[DataFile, ...]
    images: Path | None


@dataclass(frozen=True)
class Work:
    """A stage with all that it needs but the model."""

    name: StageName
    stage: StageConfig
    source: Source
    processor: Any
    encoder: Encoder
    data: InstructionData


def run(config: RunConfig) -> bool:
    """Train the stages of a recipe, or go on where a run of it stopped, and export the result.

    Returns False when a signal ended it early, with everything kept.
    Raises InputError when something given cannot be used, before anything is trained where it can be known.
    """
    quiet()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("a run is one process so far: start it without torchrun, on one GPU or the CPU")
    recipe = load_recipe(config.recipe, config.overrides)
    sources = {name: _source(config, recipe, name) for name, _ in recipe.stages()}
    with _own_folder(config.out), StopRequest() as stop:
        terminal.say_recipe(config.recipe, recipe, config.out)
        trained = {
            name: _trained_before(name, recipe, source, config.out) for name, source in sources.items()
        }
        samples = {name: _read(name, source) for name, source in sources.items()}
        model_config = _base(recipe, config.out, [item for kept, _ in samples.values() for item in kept])
        # Both stages' data before either trains: what is wrong with the second shows now, not in a day.
        work = [
            _prepare(name, stage, sources[name], *samples[name], model_config, config.out, recipe.workers)
            for name, stage in recipe.stages()
        ]
        for item in work:
            if stop.requested:
                terminal.say_interrupted(item.name, None)
                return False
            result = _train(item, recipe, model_config, config.out, trained, stop)
            trained[item.name] = result.checkpoint
            if result.interrupted:
                terminal.say_interrupted(item.name, result.checkpoint)
                return False
        assert result.checkpoint is not None, "a finished stage has a checkpoint"
        proof = exporting.export(result.checkpoint, config.out / MODEL)
    terminal.say_done(config.out / MODEL, exporting.describe(proof), config.out / "log.jsonl")
    return True


def export_checkpoint(checkpoint: Path, out: Path) -> None:
    """Write a checkpoint as a model of its own, and say what was proved of it."""
    quiet()
    proof = exporting.export(checkpoint, out)
    terminal.say_export(out, exporting.describe(proof))


def chat(checkpoint: Path, image: Path, prompt: str | None, max_new_tokens: int) -> None:
    """Answer one question about an image, or as many as are typed."""
    quiet()
    chatting.chat(checkpoint, image, prompt, max_new_tokens)


def _source(config: RunConfig, recipe: Recipe, name: StageName) -> Source:
    option = "--align-data" if name == "align" else "--data"
    texts = config.align_data if name == "align" else config.data
    if not texts:
        hint = (
            "datagen writes one as alignment.json; or skip the stage with align="
            if name == "align"
            else "or stop after the first stage with finetune="
        )
        raise InputError(f"{option} is missing: recipe {config.recipe} has the stage {name} ({hint})")
    images = config.align_images or config.images if name == "align" else config.images
    return Source(tuple(parse_data_file(text) for text in texts), images)


def _trained_before(name: StageName, recipe: Recipe, source: Source, out: Path) -> Path | None:
    """The stage's newest complete checkpoint, which must be of this recipe and this data."""
    checkpoint = newest_complete(out / name)
    if checkpoint is not None:
        check_same_run(read_record(checkpoint), recipe, hash_data(source.files), checkpoint)
    return checkpoint


def _read(name: StageName, source: Source) -> tuple[list[Sample], list[LeftOut]]:
    return read_samples(source.files, name)


def _base(recipe: Recipe, out: Path, samples: Sequence[Sample]) -> ModelConfig:
    """The recipe's model, with `tiny` replaced by the folders that are made for it."""
    if TINY not in (recipe.model.language_model, recipe.model.vision_tower):
        return recipe.model
    # Its matrices are too small to share: threads would spend their time waiting for each other.
    torch.set_num_threads(1)
    texts = sorted({turn for sample in samples for turn in sample.turns})
    write_tiny(out / "base", texts, recipe.seed)
    return resolve_tiny(recipe.model, out)


def _prepare(
    name: StageName,
    stage: StageConfig,
    source: Source,
    samples: list[Sample],
    left_out: list[LeftOut],
    config: ModelConfig,
    out: Path,
    workers: int,
) -> Work:
    conversation_format = get_format(stage.format)
    processor = load_processor(config, stage.image_aspect_ratio, conversation_format.template)
    longest = context_length(config)
    if stage.max_length > longest:
        raise InputError(
            f"{name}.max_length is {stage.max_length}, but {config.language_model} has a context of "
            f"{longest}: set {name}.max_length={longest} or less"
        )
    encoder = Encoder(
        processor.tokenizer,
        conversation_format,
        image_token_id=processor.image_token_id,
        features_per_image=features_per_image(processor),
        max_length=stage.max_length,
    )
    shows_images = any(sample.images for sample in samples)
    if shows_images and source.images is None:
        option = "--align-images" if name == "align" else "--images"
        raise InputError(f"{option} is missing: {source.files[0].path} has images")
    store = ImageStore(source.images) if source.images is not None else None
    needs_images = stage.language_model == "frozen"
    prepared, unfit = prepare(samples, encoder, store, name, needs_images=needs_images, workers=workers)
    left_out = left_out + unfit
    append_left_out(out / LEFT_OUT, left_out)
    terminal.say_data(name, len(prepared), sum(item.dropped_turns for item in prepared), left_out)
    check_share(left_out, len(prepared) + len(left_out), stage.max_left_out, name)
    data = InstructionData(prepared, encoder, store, processor.image_processor)
    return Work(name, stage, source, processor, encoder, data)


def _train(
    item: Work,
    recipe: Recipe,
    config: ModelConfig,
    out: Path,
    trained: dict[StageName, Path | None],
    stop: StopRequest,
) -> StageResult:
    before = trained[item.name]
    if before is not None:
        record = read_record(before)
        if record.step >= record.total_steps:
            terminal.say_finished_before(item.name, before)
            return StageResult(before, record.step, record.total_steps, interrupted=False)
    stage = item.stage
    model = build_model(
        config,
        item.processor,
        precision=stage.precision,
        quantization=stage.quantization,
        seed=recipe.seed,
    )
    aligned = trained.get("align")
    if item.name == "finetune" and aligned is not None:
        load_projector(model, aligned)
    parts = set_trainable(model, stage, config.projector, recipe.seed)
    terminal.say_stage(item.name, stage, parts)
    if torch.cuda.is_available():
        model.to("cuda")
    if stage.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    collator = Collator(item.processor.tokenizer.pad_token_id, image_size(item.processor))
    terminal.say_gates(
        run_gates(
            model,
            item.processor,
            encoder=item.encoder,
            data=item.data,
            collator=collator,
            config=config,
            stage=stage,
        )
    )
    if before is not None:
        terminal.say_resume(before)
    return train_stage(
        item.name,
        stage,
        model=model,
        data=item.data,
        collator=collator,
        out=out,
        recipe=recipe,
        data_files=item.source.files,
        parts=parts,
        stop=stop,
    )


@contextlib.contextmanager
def _own_folder(out: Path) -> Iterator[None]:
    """The run's folder, empty or ours, for this process alone."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a folder")
    if out.is_dir():
        names = sorted(path.name for path in out.iterdir())
        foreign = [name for name in names if name not in _OURS and not name.startswith(".")]
        if foreign:
            raise InputError(
                f"--out {out} holds {foreign[0]!r}, which no run of ours wrote; name an empty folder, or one "
                "to continue"
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror})") from None
    with lock:
        try:
            # Not flock: processes that read images would inherit it, and outlive a killed run by seconds.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"--out {out} is in use by another run; wait for it, or name another folder"
            ) from None
        yield
