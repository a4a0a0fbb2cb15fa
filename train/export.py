"""Turn a training checkpoint into a folder that other programs load as it is, and prove that it is the same.

The folder has the key layout of the published llava-hf models, which transformers and vLLM read,
and the projector a second time as the original LLaVA code reads it. It is written beside its place and
moves there only after it was loaded again, with plain transformers, and gave what the trainer's model gives.
"""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from huggingface_hub import save_torch_state_dict
from pydantic import ValidationError
from safetensors import SafetensorError
from transformers import AutoTokenizer, GenerationConfig

from train import card
from train.checkpoint import (
    RECORD,
    WEIGHTS,
    RunRecord,
    disk_problem,
    frozen_sha256,
    load_weights,
    read_record,
    verify,
)
from train.config import TINY, ModelConfig, Recipe, StageConfig, resolve_tiny
from train.conversation import get_format
from train.model import build_model, load_processor
from train.proof import (
    Prompt,
    Proof,
    Reference,
    ask,
    compared_with,
    digests,
    draw_images,
    encode_prompts,
    full_float32,
    largest,
    prove,
    tensors_of,
)
from train.records import InputError
from train.stages import set_trainable

PROOF = "proof.json"
"""The proof, in the export's folder. A folder that holds it is ours to replace."""
PROJECTOR = "mm_projector.bin"
"""The projector alone, for the original LLaVA code (`--pretrain_mm_mlp_adapter`)."""

_SHARD = "5GB"
_REWRITE_TOLERANCE = 1e-4
"""How far merging LoRA, or splitting a linear projector, may move a layer's output in float32, as a share of
the largest."""
_LOGITS_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 1e-1}
"""How far either may move a logit, in the dtype of the export: its rounding, through all layers."""
_LORA = peft.tuners.lora.LoraLayer


@dataclass(frozen=True)
class Trained:
    """A checkpoint as the trainer held it, its weights in 16 or 32 bits."""

    model: Any
    processor: Any
    record: RunRecord
    recipe: Recipe
    stage: StageConfig
    folder: Path

    @property
    def name(self) -> str:
        """As `stage/checkpoint-N`."""
        return f"{self.record.stage}/{self.folder.name}"

    @property
    def quantization(self) -> str:
        """How the trainer held the language model. `model` is not quantized, and `stage` says so."""
        return str(dict(self.recipe.stages())[self.record.stage].quantization)


def export(checkpoint: Path, out: Path) -> Proof:
    """Write `checkpoint` (a `checkpoint-N` folder) to the folder `out`, and prove it.

    LoRA is merged. `out` must be absent, empty, or an earlier export, which is then replaced; it
    never holds a half-written or unproved model.

    Raises InputError when `checkpoint` is none, when `out` holds something else, and when the
    proof does not hold, saying what differs.
    """
    check_out(out)
    trained = rebuild(checkpoint)
    with full_float32(), _written_beside(out) as folder:
        reference = _write(trained, folder)
        facts = _facts(trained)
        del trained  # one copy of the weights in memory is enough
        gc.collect()
        proof = prove(folder, reference)
        (folder / PROOF).write_text(json.dumps(asdict(proof), indent=2) + "\n", encoding="utf-8")
        card.write(folder, facts, proof)
    return proof


def check_out(out: Path) -> None:
    """Raise InputError unless an export may go to `out`: it is absent, empty, or an earlier export."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError(f"{out}: is not a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / PROOF).is_file():
        raise InputError(f"{out}: holds something that is no export of ours; name an empty or new folder")


def rebuild(checkpoint: Path) -> Trained:
    """Build the model that `checkpoint` was saved from, without quantization, and load its weights.

    Raises InputError when `checkpoint` is not one or not whole, or a base model is not where the record says
    or not the one that the checkpoint was trained on.
    """
    record = read_record(checkpoint)
    verify(checkpoint, {WEIGHTS, RECORD})  # a large model's optimizer state would take minutes to read
    try:
        recipe = Recipe.model_validate(record.recipe)
        stage = dict(recipe.stages())[record.stage]
    except (ValidationError, KeyError):
        raise InputError(
            f"{checkpoint}: its recipe is not one that this version reads; it was written by vitkit "
            f"{record.versions.get('vitkit', 'of another version')}"
        ) from None
    stage = stage.model_copy(update={"quantization": "none"})
    config = _located(recipe.model, checkpoint)
    processor = load_processor(config, stage.image_aspect_ratio, get_format(stage.format).template)
    model = build_model(config, processor, precision=stage.precision, quantization="none", seed=recipe.seed)
    set_trainable(model, stage, config.projector)
    if record.frozen_sha256 is not None and frozen_sha256(model) != record.frozen_sha256:
        raise InputError(
            f"{checkpoint}: the base weights (language_model {config.language_model}, vision_tower "
            f"{config.vision_tower}) are not those that the checkpoint was trained on; put those back"
        )
    load_weights(model, checkpoint)
    return Trained(model.eval(), processor, record, recipe, stage, checkpoint.resolve())


def _located(model: ModelConfig, checkpoint: Path) -> ModelConfig:
    """The base models' places: as recorded, or the run's own base/, wherever the run's folder is now."""
    run = checkpoint.resolve().parent.parent
    moved = {
        part: TINY
        for part in ("language_model", "vision_tower")
        if not Path(name := getattr(model, part)).is_dir()
        and Path(name).is_absolute()
        and (run / "base" / part).is_dir()
    }
    return resolve_tiny(model.model_copy(update=moved), run)


def published_name(name: str) -> str:
    """The llava-hf name of a tensor that transformers 5 calls `name` in memory.

    `model.language_model.layers.0…` → `language_model.model.layers.0…`, `lm_head…` →
    `language_model.lm_head…`, `model.vision_tower.encoder…` → `vision_tower.vision_model.encoder…`.
    """
    if name.startswith("lm_head."):
        return f"language_model.{name}"
    part, _, rest = name.removeprefix("model.").partition(".")
    if part == "language_model":
        return f"language_model.model.{rest}"
    if part == "vision_tower":
        return f"vision_tower.vision_model.{rest.removeprefix('vision_model.')}"
    return f"{part}.{rest}"


def merge_lora(model: Any) -> float | None:
    """Add every adapter to the weight that it adapts, in float32, and take it out.

    Afterwards the model has the modules and names of one without LoRA, in the weights' own dtype.
    Returns the largest difference, as a share of a layer's largest output, between what an adapted
    layer gave and what the merged one gives, in float32; None for a model without adapters.
    """
    wrapped = [(name, module) for name, module in model.named_modules() if isinstance(module, _LORA)]
    differences = []
    for name, module in wrapped:
        base = module.get_base_layer()
        dtype = base.weight.dtype
        module.float()
        inputs = torch.randn(8, base.in_features, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            adapted = module(inputs)
            module.merge(safe_merge=True)  # safe: it raises where the sum is not finite
            differences.append(float((base(inputs) - adapted).abs().max() / adapted.abs().max()))
        base.to(dtype)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, base)
    model._hf_peft_config_loaded = False
    return max(differences) if differences else None


def split_linear_projector(model: Any) -> float | None:
    """Write a linear projector W·x + b as W·relu(x) - W·relu(-x) + b, which vLLM reads: it has no `linear`.

    Returns the largest difference that this makes, as `merge_lora` does; None where nothing was done,
    for the projector has two layers, or is too narrow to hold x twice.
    """
    projector = model.model.multi_modal_projector
    first, second = projector.linear_1, projector.linear_2
    width = first.in_features
    if model.config.projector_hidden_act != "linear" or 2 * width > first.out_features:
        return None
    inputs = torch.randn(8, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = torch.nn.functional.linear(inputs, first.weight.float(), first.bias.float())
        second.weight.zero_()[:, : 2 * width] = torch.cat([first.weight, -first.weight], dim=1)
        second.bias.copy_(first.bias)
        identity = torch.eye(width, dtype=first.weight.dtype)
        first.weight.zero_()[: 2 * width] = torch.cat([identity, -identity])
        first.bias.zero_()
        hidden = torch.relu(inputs @ first.weight.float().T)
        found = torch.nn.functional.linear(hidden, second.weight.float(), second.bias.float())
    projector.act = torch.nn.ReLU()
    model.config.projector_hidden_act = "relu"
    return float((found - expected).abs().max() / expected.abs().max())


def export_dtype(stage: StageConfig) -> torch.dtype:
    """What the weights of a stage are exported in: what its matrices are multiplied in."""
    return torch.bfloat16 if stage.precision == "bf16" else torch.float32


def cast(model: Any, dtype: torch.dtype) -> None:
    """Convert the parameters alone: buffers, such as the rotary frequencies, stay in float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def _write(trained: Trained, folder: Path) -> Reference:
    """Write all that other programs read; returns what they must then say."""
    model, processor, dtype = trained.model, trained.processor, export_dtype(trained.stage)
    prompts = encode_prompts(processor, trained.stage.format, trained.name)
    images = draw_images(processor)
    # Adapters and weights are rounded apart, their sum together: rounding first would not be the trainer's.
    adapted = any(isinstance(module, _LORA) for module in model.modules())
    if not adapted:
        cast(model, dtype)
    logits, device = ask(model, processor, prompts)
    projector = _original_projector(model, trained.recipe.model, dtype)
    merged, split = merge_lora(model), split_linear_projector(model)
    rewritten = max(merged or 0.0, split or 0.0)
    if rewritten > _REWRITE_TOLERANCE:
        raise InputError(
            f"{trained.name}: merging LoRA, or splitting a linear projector, moves a layer's output by "
            f"{rewritten:.3g} of its largest"
        )
    cast(model, dtype)
    state = tensors_of(model)
    save_torch_state_dict(
        {published_name(name): tensor for name, tensor in state.items()},
        folder,
        max_shard_size=_SHARD,
        metadata={"format": "pt"},
    )
    _write_config(trained, prompts, folder)
    _write_processor(processor, folder)
    torch.save(projector, folder / PROJECTOR)
    return Reference(
        checkpoint=trained.name,
        dtype=dtype,
        device=device,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        quantization=trained.quantization,
        base_checked=trained.record.frozen_sha256 is not None,
        compared_with=compared_with(dtype, trained.quantization, adapted),
        prompts=prompts,
        images=images,
        logits=logits,
        lora_merged=merged is not None,
        projector_split=split is not None,
        rewritten=rewritten,
        tolerance=0.0 if merged is None and split is None else _LOGITS_TOLERANCE[dtype] * largest(logits),
        digests=digests(state),
    )


def _facts(trained: Trained) -> dict[str, Any]:
    """For the model card, once the model is as it is written."""
    servable = trained.model.config.projector_hidden_act != "linear"  # an activation that vLLM has not
    return card.gather(trained.record, trained.recipe, trained.folder, servable=servable)


def _write_config(trained: Trained, prompts: Sequence[Prompt], folder: Path) -> None:
    model, tokenizer = trained.model, trained.processor.tokenizer
    config = model.config
    config.architectures = ["LlavaForConditionalGeneration"]
    config.dtype = export_dtype(trained.stage)
    for each in (config, config.text_config, config.vision_config):
        each._name_or_path = ""  # a path of this machine
        each.dtype = export_dtype(trained.stage)
    # The trainer turns caching off, at both levels (packed samples would see each other).
    config.use_cache = config.text_config.use_cache = True
    config.save_pretrained(folder)

    stops = _ids(tokenizer.eos_token_id) + _ids(config.text_config.eos_token_id)
    stops += _ids(model.generation_config.eos_token_id)
    # What ends an answer in training ends it here: the format's end token, or the newline after a caption.
    ends = [
        prompt.end for prompt in prompts if not tokenizer.decode(prompt.end, skip_special_tokens=True).strip()
    ]
    GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=list(dict.fromkeys(ends + stops)),
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    ).save_pretrained(folder)


def _ids(value: int | Sequence[int] | None) -> list[int]:
    return [] if value is None else [value] if isinstance(value, int) else list(value)


def _write_processor(processor: Any, folder: Path) -> None:
    """Tokenizer, image processor and chat template; the tokenizer adds no BOS, for the template writes it."""
    for place in ("is_local", "local_files_only", "name_or_path"):  # of the folder it was read from
        processor.tokenizer.init_kwargs.pop(place, None)
    processor.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer("a")["input_ids"] != tokenizer("a", add_special_tokens=False)["input_ids"]:
        processor.tokenizer.add_bos_token = processor.tokenizer.add_eos_token = False
        processor.save_pretrained(folder)


def _original_projector(model: Any, config: ModelConfig, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The projector as the original code's `build_vision_projector` names it, in the export's dtype."""
    projector = model.model.multi_modal_projector
    layers = {"0.": projector.linear_1, "2.": projector.linear_2}
    if config.projector == "linear":
        identity = torch.eye(projector.linear_2.out_features, dtype=projector.linear_2.weight.dtype)
        if not torch.equal(projector.linear_2.weight, identity) or projector.linear_2.bias.any():
            raise InputError("the projector is called linear, but its second layer is not the identity")
        layers = {"": projector.linear_1}
    return {
        f"model.mm_projector.{number}{name}": weight.detach().to(dtype, copy=True)
        for number, layer in layers.items()
        for name, weight in layer.state_dict().items()
    }


@contextmanager
def _written_beside(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write to, that takes its place at the end, or is gone."""
    out = out.absolute()
    folder, old = (out.with_name(f".{out.name}.{word}") for word in ("partial", "old"))
    try:
        if old.is_dir() and not out.exists():
            old.rename(out)  # a process that was killed between the two renames below
        for left_behind in (folder, old):
            shutil.rmtree(left_behind, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
        _make_readable(folder)
        if out.exists():
            out.rename(old)
        folder.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno is None:
            raise  # transformers' own, about what it read
        why = disk_problem(error, out.parent) or (str(error) if isinstance(error, SafetensorError) else None)
        if why is None:
            raise
        raise InputError(
            f"{out}: the export could not be written ({why}); nothing of it was left there"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_readable(folder: Path) -> None:
    """Let whoever may enter the folder read its files: safetensors writes its own for the owner alone."""
    allowed = folder.stat().st_mode & 0o666  # the folder was made as the umask says
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(allowed)
