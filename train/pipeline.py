"""The order of things: recipe, samples, encoding; for each stage model, gates, training; then export."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import platform
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from train import chat as chatting
from train import distributed, terminal
from train import export as exporting
from train.attention import attend_by_sample
from train.checkpoint import (
    RECORD,
    WEIGHTS,
    check_same_processes,
    check_same_run,
    disk_problem,
    fingerprints,
    hash_data,
    load_projector,
    newest_complete,
    read_record,
)
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
from train.conversation import Encoder, audit_labels, get_format
from train.dataset import (
    DataFile,
    InstructionData,
    Interrupted,
    WeightedSampler,
    check_share,
    parse_data_file,
    prepare,
    read_samples,
    start_left_out,
)
from train.gates import GateResult, run_gates
from train.images import ImageStore
from train.kernels import check_kernels, speed_up
from train.logs import quiet
from train.model import (
    build_model,
    check_parts,
    context_length,
    features_per_image,
    image_size,
    load_processor,
)
from train.plan import NF4_BYTES, Rate, StagePlan, plan_stage, read_rate, zero_stage
from train.proof import describe
from train.records import InputError, LeftOut, Sample
from train.stages import PartCount, set_trainable
from train.tiny import write_tiny
from train.trainer import StageResult, StopRequest, out_of_memory, process_batch_size, train_stage
from train.zero import check_deepspeed, sharing

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
    left_out: list[LeftOut]


def run(config: RunConfig) -> bool:
    """Train the stages of a recipe, or go on where a run of it stopped, and export the result.

    Several processes, started by torchrun, make one run: the main one writes and speaks, the others help.
    Returns False when a signal ended it early, with everything kept.
    Raises InputError when something given cannot be used, before anything is trained where it can be known.
    """
    quiet()
    distributed.start()
    finished = _run(config)
    distributed.finish()  # not after an error: the others may be waiting in a collective
    return finished


def _run(config: RunConfig) -> bool:
    recipe = distributed.in_all(lambda: load_recipe(config.recipe, config.overrides))
    sources = distributed.in_all(lambda: {name: _source(config, recipe, name) for name, _ in recipe.stages()})
    with contextlib.ExitStack() as stack:
        distributed.from_main(lambda: stack.enter_context(_own_folder(config.out)))
        _check_shared(config.out)
        distributed.from_main(lambda: exporting.check_out(config.out / MODEL))
        terminal.say_recipe(config.recipe, recipe, config.out)
        _say_unused(config, recipe)
        _check_stages(recipe)
        _check_same_data(sources)
        trained = distributed.from_main(
            lambda: {name: _trained_before(name, recipe, at, config.out) for name, at in sources.items()}
        )
        try:
            with StopRequest() as stop:
                _train_stages(recipe, sources, config.out, trained, stop)
        except _Stopped as stopped:
            terminal.say_interrupted(stopped.name, trained[stopped.name])
            return False
        # Outside of StopRequest: a signal now ends the program at once, and costs only the export.
        last = trained[list(sources)[-1]]
        assert last is not None, "a finished stage has a checkpoint"
        proof = distributed.from_main(lambda: _export(last, config.out))
    terminal.say_done(config.out / MODEL, proof, config.out / "log.jsonl", _an_image(sources))
    return True


def _export(last: Path, out: Path) -> str | None:
    """Returns what was proved of the export; None where it was there, made of the same checkpoint."""
    # A model card that somebody has filled in is not to be written over for nothing.
    there = _exported_from(out / MODEL) == f"{last.parent.name}/{last.name}"
    proof = None if there else describe(exporting.export(last, out / MODEL))
    _say_lost(out)
    return proof


def _exported_from(model: Path) -> str | None:
    """The checkpoint that an export was made of, as its proof says it."""
    proof = model / exporting.PROOF
    return json.loads(proof.read_text(encoding="utf-8"))["checkpoint"] if proof.is_file() else None


def _say_lost(out: Path) -> None:
    lines = (json.loads(line) for line in (out / LEFT_OUT).read_text(encoding="utf-8").splitlines())
    reasons = Counter(line["reason"] for line in lines if line["step"] is not None)
    if reasons:
        terminal.say_lost(out / LEFT_OUT, reasons)


def _an_image(sources: dict[StageName, Source]) -> Path | None:
    """A file of the run's images, for the person to try the model on."""
    folders = [source.images for source in sources.values() if source.images and source.images.is_dir()]
    files = (path for folder in folders for path in sorted(folder.iterdir())[:100])
    return next((path for path in files if path.suffix.lower() in (".jpg", ".jpeg", ".png")), None)


class _Stopped(Exception):
    """A signal asked for the run to stop, and all that was trained is saved."""

    def __init__(self, name: StageName) -> None:
        self.name = name


def _train_stages(
    recipe: Recipe,
    sources: dict[StageName, Source],
    out: Path,
    trained: dict[StageName, Path | None],
    stop: StopRequest,
) -> None:
    """Bring every stage to its end; `trained` has its newest checkpoint, before and after."""

    def read() -> dict[StageName, tuple[list[Sample], list[LeftOut]]]:
        for _, stage in recipe.stages():
            check_parts(recipe.model, stage.quantization)
        return {name: read_samples(source.files, name) for name, source in sources.items()}

    samples = distributed.in_all(read)
    for name, (kept, left_out) in samples.items():
        if not kept:  # said here: a tiny model is made of the samples' text, and would miss it first
            distributed.from_main(functools.partial(start_left_out, out / LEFT_OUT, name, left_out))
            check_share(left_out, len(left_out), 1.0, name)
    texts = [item for kept, _ in samples.values() for item in kept]
    config = distributed.from_main(lambda: _base(recipe, out, texts))
    # Both stages' data before either trains: what is wrong with the second shows now, not in a day.
    finished = distributed.from_main(lambda: {name: _finished(before) for name, before in trained.items()})
    work: list[Work] = []
    for name, stage in recipe.stages():
        done = finished[name]
        if done is not None:
            terminal.say_finished_before(name, done)
        else:
            item = _prepare(name, stage, sources[name], *samples[name], config, recipe, stop)
            distributed.from_main(functools.partial(_keep_left_out, item, out, recipe))
            work.append(item)
    for item in work:
        if any(distributed.gather(stop.requested)):
            raise _Stopped(item.name)
        result = _train(item, recipe, config, out, trained, stop)
        trained[item.name] = result.checkpoint
        if result.interrupted:
            raise _Stopped(item.name)


def plan(
    config: RunConfig, *, gpus: int, tokens_per_second: float | None = None, measured: Path | None = None
) -> list[StagePlan]:
    """Say what each stage of a run would need on so many GPUs; reads no weights and leaves nothing behind.

    The rate of one GPU is given, or that of an earlier run's log. `config.out` is not looked at.
    Raises InputError when something given cannot be used, as `run` would.
    """
    quiet()
    if tokens_per_second is not None and measured is not None:
        raise InputError("--tokens-per-second and --measured both give the rate: give one of them")
    recipe = load_recipe(config.recipe, config.overrides)
    sources = {name: _source(config, recipe, name) for name, _ in recipe.stages()}
    for name, stage in recipe.stages():
        check_deepspeed(stage, name)
    plans: list[StagePlan] = []
    with tempfile.TemporaryDirectory(prefix="vitkit-plan-") as folder:
        samples = {name: read_samples(source.files, name) for name, source in sources.items()}
        for name, (kept, left_out) in samples.items():
            if not kept:
                raise _none_usable(name, left_out)
        model_config = _base(recipe, Path(folder), [item for kept, _ in samples.values() for item in kept])
        for name, stage in recipe.stages():
            work = _prepare(name, stage, sources[name], *samples[name], model_config, recipe, StopRequest())
            prepared = work.data.prepared
            if not prepared:
                raise _none_usable(name, work.left_out)
            rate = Rate(tokens_per_second, "given") if tokens_per_second is not None else None
            plans.append(
                plan_stage(
                    name,
                    stage,
                    recipe=recipe,
                    config=model_config,
                    processor=work.processor,
                    encoder=work.encoder,
                    prepared=prepared,
                    left_out=work.left_out,
                    files=work.source.files,
                    gpus=gpus,
                    rate=read_rate(measured, name) if measured is not None else rate,
                )
            )
    terminal.say_plan(config.recipe, recipe, plans)
    return plans


def _none_usable(name: StageName, left_out: Sequence[LeftOut]) -> InputError:
    first = left_out[0]
    return InputError(
        f"{name}: none of {len(left_out):,} samples can be used, the first because "
        f"{first.file}[{first.record}] {first.id}: {first.reason} ({first.detail})"
    )


def export_checkpoint(checkpoint: Path, out: Path) -> None:
    """Write a checkpoint as a model of its own, and say what was proved of it."""
    quiet()
    proof = exporting.export(checkpoint, out)
    terminal.say_export(out, describe(proof))


def chat(checkpoint: Path, image: Path, prompt: str | None, max_new_tokens: int) -> None:
    """Answer one question about an image, or as many as are typed."""
    quiet()
    chatting.chat(checkpoint, image, prompt, max_new_tokens)


def _say_unused(config: RunConfig, recipe: Recipe) -> None:
    stages = {name for name, _ in recipe.stages()}
    given = (("align", "--align-data", config.align_data), ("finetune", "--data", config.data))
    for name, option, files in given:
        if files and name not in stages:
            terminal.say_unused(option, name)


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
    # What of it is read before the trainer has read it whole: its record, and stage 2 the projector.
    checkpoint = newest_complete(out / name, only=(RECORD, WEIGHTS))
    if checkpoint is not None:
        record = read_record(checkpoint)
        check_same_run(record, recipe, hash_data(source.files), checkpoint)
        if record.step < record.total_steps:
            check_same_processes(record, sharing(dict(recipe.stages())[name], name).zero, checkpoint)
    return checkpoint


def _finished(checkpoint: Path | None) -> Path | None:
    """The checkpoint, if it is a stage's last."""
    if checkpoint is None:
        return None
    record = read_record(checkpoint)
    return checkpoint if record.step >= record.total_steps else None


def _base(recipe: Recipe, out: Path, samples: Sequence[Sample]) -> ModelConfig:
    """The recipe's model, with `tiny` replaced by the folders that are made for it."""
    if TINY not in (recipe.model.language_model, recipe.model.vision_tower):
        return recipe.model
    # Its matrices are too small to share: threads would spend their time waiting for each other.
    torch.set_num_threads(1)
    texts = sorted({turn for sample in samples for turn in sample.turns})
    try:
        write_tiny(out / "base", texts, recipe.seed)
    except Exception as error:
        why = disk_problem(error, out)
        if why is None:
            raise
        raise InputError(
            f"{out / 'base'}: could not be written ({why}); make room and run the same command again"
        ) from None
    return resolve_tiny(recipe.model, out)


def _prepare(
    name: StageName,
    stage: StageConfig,
    source: Source,
    samples: list[Sample],
    left_out: list[LeftOut],
    config: ModelConfig,
    recipe: Recipe,
    stop: StopRequest,
) -> Work:
    """Everything of a stage but its model; writes nothing."""
    processor, encoder, store = distributed.in_all(lambda: _encoding(name, stage, source, samples, config))
    share = len(samples[distributed.process() :: distributed.processes()])
    with terminal.reading(name, share) as advance:
        try:
            prepared, unfit = prepare(
                samples,
                encoder,
                store,
                name,
                needs_images=stage.language_model == "frozen",
                workers=recipe.workers,
                advance=advance,
                stop=lambda: stop.requested,
            )
        except Interrupted:
            raise _Stopped(name) from None
    data = InstructionData(prepared, encoder, store, processor.image_processor)
    return Work(name, stage, source, processor, encoder, data, left_out + unfit)


def _encoding(
    name: StageName, stage: StageConfig, source: Source, samples: Sequence[Sample], config: ModelConfig
) -> tuple[Any, Encoder, ImageStore | None]:
    """What a stage's samples are encoded by and read from: processor, encoder, images."""
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
    audit_labels(encoder)
    if source.images is None and any(sample.images for sample in samples):
        option = "--align-images" if name == "align" else "--images"
        raise InputError(f"{option} is missing: {source.files[0].path} has images")
    store = ImageStore(source.images) if source.images is not None else None
    return processor, encoder, store


def _keep_left_out(work: Work, out: Path, recipe: Recipe) -> None:
    """Write and say what was left out of a stage; raises InputError where it is too much."""
    prepared, left_out = work.data.prepared, work.left_out
    start_left_out(out / LEFT_OUT, work.name, left_out)
    text_alone = sum(not item.n_images for item in prepared)
    dropped_turns = sum(item.dropped_turns for item in prepared)
    terminal.say_data(work.name, len(prepared), text_alone, dropped_turns, left_out)
    check_share(left_out, len(prepared) + len(left_out), work.stage.max_left_out, work.name)
    WeightedSampler(prepared, work.source.files, recipe.seed)  # refuses weights that leave nothing


def _train(
    item: Work,
    recipe: Recipe,
    config: ModelConfig,
    out: Path,
    trained: dict[StageName, Path | None],
    stop: StopRequest,
) -> StageResult:
    stage = item.stage
    collator = Collator(item.processor.tokenizer.pad_token_id, image_size(item.processor), stage)
    model, parts = distributed.in_all(lambda: _build(item, recipe, config, trained.get("align")))
    _check_same_model(model, item.processor)

    def check(model: Any) -> list[GateResult] | None:
        """None where this process's GPU does not hold it."""
        try:
            return run_gates(
                model,
                item.processor,
                encoder=item.encoder,
                data=item.data,
                collator=collator,
                config=config,
                stage=stage,
            )
        except torch.OutOfMemoryError as error:
            if may_be_too_large:
                return None
            raise out_of_memory(item.name, stage, error) from None

    # A batch that is too large beside the whole model may fit beside a share of it. Weights in 4 bits are
    # whole on every GPU.
    may_be_too_large = sharing(stage, item.name).zero > 0 and stage.quantization == "none"
    gates = None
    # The same everywhere, or processes would wait for each other at different things.
    on_gpu = all(distributed.gather(_fits(stage, parts)))
    if on_gpu:
        gates = distributed.in_all(lambda: check(model.to("cuda")))
        on_gpu = all(distributed.gather(gates is not None))
        if not on_gpu:
            model.to("cpu")
            torch.cuda.empty_cache()
    if not on_gpu:
        gates = distributed.from_main(lambda: check(model))
    assert gates is not None, "a CPU raises no OutOfMemoryError"
    terminal.say_gates(gates, on_cpu=torch.cuda.is_available() and not on_gpu)
    before = trained[item.name]
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


def _build(
    item: Work, recipe: Recipe, config: ModelConfig, aligned: Path | None
) -> tuple[Any, list[PartCount]]:
    """The stage's model as it will train, in the CPU's memory still."""
    stage = item.stage
    model = build_model(
        config,
        item.processor,
        precision=stage.precision,
        quantization=stage.quantization,
        seed=recipe.seed,
    )
    if item.name == "finetune" and aligned is not None:
        load_projector(model, aligned)
    parts = set_trainable(model, stage, config.projector, recipe.seed)
    attention = attend_by_sample(model, stage.max_length, stage.precision)
    computed_by = [attention or "transformers' attention", *speed_up(model, stage)]
    terminal.say_stage(item.name, stage, parts, distributed.processes(), computed_by)
    if torch.cuda.is_available():
        _check_memory(item.name, stage, parts)
    if stage.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    return model, parts


def _fits(stage: StageConfig, parts: Sequence[PartCount]) -> bool:
    """Whether this process's GPU holds the model whole with its gradients, as the start gates want it."""
    if not torch.cuda.is_available():
        return False
    if stage.quantization != "none":
        return True  # it is there already: weights are put into 4 bits on the GPU
    free, _ = torch.cuda.mem_get_info()
    frozen, trainable = _weights_held(stage, parts)
    return free > frozen + 8 * trainable


def _weights_held(stage: StageConfig, parts: Sequence[PartCount]) -> tuple[int, int]:
    """Bytes of the frozen weights, of 2 or, in 4 bits, about half a one each; and the weights that train."""
    trainable = sum(part.trainable for part in parts)
    frozen = sum(part.total for part in parts) - trainable
    return round(frozen * (2 if stage.quantization == "none" else NF4_BYTES)), trainable


def _check_memory(name: StageName, stage: StageConfig, parts: Sequence[PartCount]) -> None:
    """Refuse what cannot fit: the frozen weights, and 16 bytes for each that trains (AdamW in float32).

    Several processes need 4 more, as `zero_stage` says.
    Of what DeepSpeed shares out a process holds its share, and nothing of what is offloaded to the CPU.
    """
    frozen, trainable = _weights_held(stage, parts)
    shared = sharing(stage, name)
    held = zero_stage(shared.zero, distributed.processes(), frozen + 4 * trainable, 0, trainable, 0)
    needed = 0 if shared.offload_weights else held.weights
    needed += 0 if shared.offload_optimizer else held.gradients + held.optimizer
    _, there = torch.cuda.mem_get_info()
    if needed > there:
        raise InputError(
            f"{name} needs {needed / 1e9:,.0f} GB for weights, gradients and optimizer alone, and this GPU "
            f"has {there / 1e9:,.0f}: share them ({name}.deepspeed=zero3 on more GPUs, or zero3_offload), "
            f"train less of the model ({name}.language_model=lora), or a smaller one"
        )


def _check_stages(recipe: Recipe) -> None:
    """Refuse what so many processes cannot share, or not in the way it is asked for, or not this fast."""
    for name, stage in recipe.stages():
        process_batch_size(name, stage, distributed.processes())
        check_deepspeed(stage, name)
        check_kernels(stage, name)


def _check_same_data(sources: dict[StageName, Source]) -> None:
    """Refuse data files that are not the same for all processes, as on nodes with disks of their own."""
    if distributed.processes() == 1:
        return
    files = [file for source in sources.values() for file in source.files]
    own = distributed.in_all(
        lambda: [(str(file.path), each.sha256) for file, each in zip(files, hash_data(files), strict=True)]
    )
    # Held against the main one's, so that whoever is first to say it says the same.
    main, *others = distributed.gather(own)
    for process, theirs in enumerate(others, 1):
        for (path, sha256), (_, other) in zip(main, theirs, strict=True):
            if other != sha256:
                raise InputError(
                    f"{path}: process {process} has another file there; give every node the same"
                )


def _check_same_model(model: Any, processor: Any) -> None:
    """Refuse weights or tokens that are not the same for all processes, as from another node's cache.

    DDP and DeepSpeed would overwrite what differs without a word.
    """
    if distributed.processes() == 1:
        return
    weights, tokens = fingerprints(model, trained=True), processor.tokenizer.get_vocab()
    read = repr((sorted(weights.items()), sorted(tokens.items())))
    digests = distributed.gather(hashlib.sha256(read.encode()).hexdigest())
    for process, digest in enumerate(digests):
        if digest != digests[0]:
            raise InputError(
                f"process {process} read another language model or vision tower than process 0 (other "
                "weights, or other tokens); give every node the same"
            )


def _check_shared(out: Path) -> None:
    """Refuse a folder that is not one and the same for all processes."""
    if distributed.processes() == 1:
        return
    token = out / distributed.from_main(lambda: _leave_token(out))

    def seen() -> None:
        for _ in range(100):  # a network file system may take a moment
            if token.exists():
                return
            time.sleep(0.1)
        raise InputError(
            f"--out {out}: process {distributed.process()}, on {platform.node()}, does not see what the main "
            "one wrote there; several nodes need a folder on a file system that they share"
        )

    try:
        distributed.in_all(seen)
    finally:
        distributed.from_main(lambda: token.unlink())


def _leave_token(out: Path) -> str:
    token = f".{uuid.uuid4().hex}"
    (out / token).touch()
    return token


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
