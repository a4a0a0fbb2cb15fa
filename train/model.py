"""The LLaVA: a CLIP or SigLIP tower and a causal language model, composed into transformers' own class.

What is composed here is a plain `LlavaForConditionalGeneration`: any program that reads one reads ours.
Nothing here knows about data or stages.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from huggingface_hub import model_info, try_to_load_from_cache
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # whichever one the hub's client uses
from safetensors import SafetensorError, safe_open
from tokenizers import AddedToken
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    CLIPImageProcessorPil,
    CLIPVisionModel,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessorPil,
    LlavaProcessor,
    SiglipImageProcessorPil,
    SiglipVisionModel,
)
from transformers.convert_slow_tokenizer import SentencePieceExtractor
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    is_protobuf_available,
    is_sentencepiece_available,
)

from schemas.llava import IMAGE_TOKEN
from train.config import TINY, ModelConfig
from train.records import InputError

PAD_TOKEN = "<pad>"
ROWS = 64
"""An embedding that has to grow does so to a multiple of this: tensor cores want it, and vLLM too."""

HUB_SECONDS = 10
"""How long the hub has to answer which files a model has."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class _TowerKind(NamedTuple):
    model: Any
    image_processor: Any
    cls_tokens: int


_TOWER_KINDS = {
    "clip_vision_model": _TowerKind(CLIPVisionModel, CLIPImageProcessorPil, 1),
    "siglip_vision_model": _TowerKind(SiglipVisionModel, SiglipImageProcessorPil, 0),
}


def check_parts(config: ModelConfig, quantization: str) -> None:
    """Refuse a model that could not be built later on: for the start of a run, before its data is prepared.

    Looked at are both configurations, the tower's image settings and `feature_layer`, that the weights are
    there as safetensors with every shard, and, for `nf4`, that bitsandbytes is. No weights are read or
    downloaded; of those on this disk the headers are read, which tell a file cut short. A hub name is
    looked for in the hub's local cache, and asked of the hub itself only where that is not enough. A part
    that is `tiny` is made by the run, so it is passed over.

    Raises InputError naming the part.
    """
    if quantization != "none":
        _check_bitsandbytes()
    if config.vision_tower != TINY:
        vision_config = _vision_config(config.vision_tower)
        _check_feature_layer(config, vision_config.num_hidden_layers)
        kind, size = _TOWER_KINDS[vision_config.model_type], _square_side(vision_config, "image_size")
        _read_image_processor(config.vision_tower, kind, size)
        _check_weights(config.vision_tower, "vision_tower")
    if config.language_model != TINY:
        _check_causal(config.language_model)
        _check_weights(config.language_model, "language_model")


def load_processor(config: ModelConfig, image_aspect_ratio: str, chat_template: str) -> LlavaProcessor:
    """Tokenizer and image processor of the model to be composed; reads no weights.

    The tokenizer is the language model's, with `<image>` and a pad token of its own added where it has
    none: a pad token that is also the end of a text would be masked wherever it ends one. The image
    processor is the tower's (size, mean, standard deviation, resampling) under LLaVA's class. `pad` pads
    to a square with the tower's mean colour first, exactly as LLaVA does; `square` is the tower's own way
    (CLIP cuts the middle out, SigLIP squeezes the image).

    Raises InputError where a part cannot be read, is of another kind, or does not fit the other.
    """
    vision_config = _vision_config(config.vision_tower)
    kind = _TOWER_KINDS[vision_config.model_type]
    size, patch_size = _square_side(vision_config, "image_size"), _square_side(vision_config, "patch_size")
    theirs = _read_image_processor(config.vision_tower, kind, size)
    crops = kind.image_processor is CLIPImageProcessorPil and theirs.do_center_crop
    square = {"height": size, "width": size}
    image_processor = LlavaImageProcessorPil(
        size={"shortest_edge": size} if crops else square,
        do_center_crop=crops,
        # Read by servers to count an image's tokens, so given where nothing is cropped as well.
        crop_size=square,
        resample=theirs.resample,
        rescale_factor=theirs.rescale_factor,
        image_mean=list(theirs.image_mean),
        image_std=list(theirs.image_std),
        do_pad=image_aspect_ratio == "pad",
    )
    tokenizer = _load_tokenizer(config.language_model)
    # A template that came with the language model must not travel on beside ours.
    tokenizer.chat_template = chat_template
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=patch_size,
        vision_feature_select_strategy=_select_strategy(config, kind),
        num_additional_image_tokens=kind.cls_tokens,
        chat_template=chat_template,
    )


def image_size(processor: LlavaProcessor) -> int:
    """Height and width in pixels of every image that the processor puts out."""
    return int(processor.image_processor.crop_size["height"])


def features_per_image(processor: LlavaProcessor) -> int:
    """Positions that one image takes in the language model."""
    patches = (image_size(processor) // processor.patch_size) ** 2
    dropped = 1 if processor.vision_feature_select_strategy == "default" else 0
    return int(patches + processor.num_additional_image_tokens - dropped)


def context_length(source: ModelConfig | LlavaForConditionalGeneration) -> int:
    """Positions that the language model was made for; reads no weights when given a config."""
    if isinstance(source, ModelConfig):
        text_config = _read_config(source.language_model, "language_model")
    else:
        text_config = source.config.get_text_config()
    return int(getattr(text_config, "max_position_embeddings", None) or sys.maxsize)


def build_model(
    config: ModelConfig, processor: LlavaProcessor, *, precision: str, quantization: str, seed: int
) -> LlavaForConditionalGeneration:
    """Compose the LLaVA: every weight of tower and language model as loaded, the projector new.

    `precision` is `fp32` or `bf16`, the type that tower and language model are held in; the projector is
    float32 always, for it trains in every stage. `quantization` `nf4` holds the language model's linear
    layers (not embedding nor head) in 4 bits as QLoRA does (arXiv 2305.14314).

    The projector is drawn from `seed` alone, as LLaVA's is (PyTorch's own initialization of a linear
    layer); the caller's random state is left as it was. A `linear` projector is transformers' two layers
    with no activation between them and an identity for the second, which is exact.

    Where the embedding has too few rows for the tokenizer it grows, and the head with it; the new rows
    are the mean of the old ones. It never shrinks.

    Raises InputError where weights are missing or of another shape, `feature_layer` is beyond the tower,
    or the language model computes something that transformers' LLaVA would not.
    """
    vision_config = _vision_config(config.vision_tower)
    kind = _TOWER_KINDS[vision_config.model_type]
    _check_feature_layer(config, vision_config.num_hidden_layers)
    _check_causal(config.language_model)
    dtype = _DTYPES[precision]
    loading: dict[str, Any] = {}
    if quantization != "none":
        loading = _quantized_loading(dtype)
    with _own_random_state(seed):
        tower = _load(kind.model, config.vision_tower, "vision_tower", dtype=dtype, config=vision_config)
        language_model = _load(
            AutoModelForCausalLM, config.language_model, "language_model", dtype=dtype, **loading
        )
    _grow_embedding(language_model, processor.tokenizer)
    model = _compose(config, processor, kind, tower, language_model, seed)
    _check_same_logits(config.language_model, language_model, model)
    return model


def _compose(
    config: ModelConfig,
    processor: LlavaProcessor,
    kind: _TowerKind,
    tower: Any,
    language_model: Any,
    seed: int,
) -> LlavaForConditionalGeneration:
    tokenizer = processor.tokenizer
    eos_token_ids = _end_tokens(language_model, tokenizer)
    llava_config = LlavaConfig(
        vision_config=tower.config,
        text_config=language_model.config,
        image_token_index=processor.image_token_id,
        image_seq_length=features_per_image(processor),
        projector_hidden_act="linear" if config.projector == "linear" else "gelu",
        vision_feature_select_strategy=_select_strategy(config, kind),
        vision_feature_layer=config.feature_layer,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=language_model.config.tie_word_embeddings,
        dtype=tower.dtype,
    )
    llava_config.text_config.pad_token_id = tokenizer.pad_token_id
    # With a cache, position ids that restart no longer keep samples of one row apart; the trainer turns
    # it off at the top only.
    llava_config.use_cache = llava_config.text_config.use_cache = False
    with _own_random_state(seed), torch.device("meta"):
        model = LlavaForConditionalGeneration(llava_config)
    names = {name for name, _ in model.named_parameters()}
    with _own_random_state(seed):
        projector = LlavaMultiModalProjector(llava_config)
    if config.projector == "linear":
        torch.nn.init.eye_(projector.linear_2.weight)
        torch.nn.init.zeros_(projector.linear_2.bias)
    device = language_model.get_input_embeddings().weight.device
    model.model.vision_tower = tower.to(device)
    model.model.multi_modal_projector = projector.to(device)
    model.model.language_model = language_model.base_model
    model.lm_head = language_model.get_output_embeddings()
    found = {name for name, _ in model.named_parameters()}
    if names != found:
        raise InputError(
            f"language_model {config.language_model}: a {type(language_model).__name__} has weights that "
            f"transformers' LLaVA does not ({min(names ^ found)}); use another language model"
        )
    # A folder's path on this machine is nobody's business in an exported config.
    llava_config.text_config._name_or_path = llava_config.vision_config._name_or_path = ""
    model.generation_config = GenerationConfig(
        # The language model's own sampling settings are left behind: Vicuna's cannot even be saved.
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=eos_token_ids,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
    )
    if getattr(language_model, "is_quantized", False):
        # What the trainer asks of a model before it trains adapters on quantized weights.
        model.is_quantized = True
        model.is_loaded_in_4bit = True
        model.hf_quantizer = language_model.hf_quantizer
        model.quantization_method = language_model.quantization_method
    return model.train()


def _read_config(name: str, role: str) -> Any:
    """The configuration of a folder or hub name; `role` is the recipe's key."""
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise InputError(f"{role} {name}: the folder has no config.json, so it is not a model's")
    with _clear_errors(name, role, reached=False):
        return AutoConfig.from_pretrained(name, trust_remote_code=False)


def _vision_config(name: str) -> Any:
    config = _read_config(name, "vision_tower")
    vision_config = getattr(config, "vision_config", config)
    # A LLaVA has a CLIP tower inside too, but its weights are called otherwise.
    whole = config is vision_config or config.model_type in ("clip", "siglip")
    if not whole or vision_config.model_type not in _TOWER_KINDS:
        raise InputError(
            f"vision_tower {name}: is a {config.model_type} model; it must be a CLIP or SigLIP vision model"
        )
    return vision_config


def _check_causal(name: str) -> None:
    config = _read_config(name, "language_model")
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise InputError(
            f"language_model {name}: is a {config.model_type} model; it must be a causal language model"
        )


def _check_feature_layer(config: ModelConfig, layers: int) -> None:
    # Hidden state 0 is what goes into the first layer: no feature yet.
    if not 1 <= abs(config.feature_layer) <= layers:
        raise InputError(
            f"feature_layer {config.feature_layer}: {config.vision_tower} has {layers} layers, so it must "
            f"be from 1 to {layers}, or from {-layers} to -1 counted from the end"
        )


def _square_side(vision_config: Any, key: str) -> int:
    value = getattr(vision_config, key)
    sides = {value} if isinstance(value, int) else set(value)
    if len(sides) != 1:
        raise InputError(f"vision_tower: its {key} is {tuple(value)}; it must be a square")
    return int(sides.pop())


def _read_image_processor(name: str, kind: _TowerKind, size: int) -> Any:
    try:
        processor = kind.image_processor.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise InputError(
            f"vision_tower {name}: no preprocessor_config.json that can be read ({_first_line(error)}); "
            "put the one that the tower was trained with beside its weights"
        ) from None
    final = processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size
    sides = {side for side in dict(final).values() if side is not None}
    if sides != {size}:
        raise InputError(
            f"vision_tower {name}: preprocessor_config.json makes images of {_sides(sides)} pixels, but "
            f"config.json says image_size {size}; they must be the same"
        )
    return processor


def _sides(sides: set[int]) -> str:
    return " x ".join(str(side) for side in sorted(sides))


def _select_strategy(config: ModelConfig, kind: _TowerKind) -> str:
    # transformers' `default` drops the first feature, whatever it is: only CLIP's is a CLS token.
    return "default" if config.feature_select == "patch" and kind.cls_tokens else "full"


def _load_tokenizer(name: str) -> Any:
    _check_causal(name)
    with _clear_errors(name, "language_model", "tokenizer"):
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        except (OSError, ValueError, ImportError):
            _explain_tokenizer_model(name)
            raise
    if not tokenizer.is_fast:
        raise InputError(
            f"language_model {name}: its tokenizer cannot say where in the text a token stands; "
            + _TOKENIZER_MEND
        )
    tokenizer.padding_side = "right"
    _add_special(tokenizer, IMAGE_TOKEN)
    taken = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id}
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in taken:
        _add_special(tokenizer, PAD_TOKEN)
        tokenizer.pad_token = PAD_TOKEN
    return tokenizer


_TOKENIZER_MEND = (
    "put a tokenizer.json beside its config.json, as AutoTokenizer.from_pretrained(...).save_pretrained(...) "
    "writes one where the tokenizer can be read (docs/training.md)"
)


def _explain_tokenizer_model(name: str) -> None:
    """Raise InputError where a `tokenizer.model` that could not be converted is what went wrong.

    Whatever keeps transformers from reading one as SentencePiece's, it then tries tiktoken's format, and
    the error is about tiktoken.
    """
    folder = _folder(name)
    if folder is None or (folder / "tokenizer.json").is_file():
        return
    path = folder / "tokenizer.model"
    if not path.is_file():
        return
    where = f"language_model {name}: has a tokenizer.model and no tokenizer.json"
    available = {"sentencepiece": is_sentencepiece_available(), "protobuf": is_protobuf_available()}
    absent = [package for package, there in available.items() if not there]
    if absent:
        raise InputError(
            f"{where}; to convert it takes {' and '.join(absent)}, not installed here: "
            f"pip install {' '.join(absent)}"
        )
    try:
        SentencePieceExtractor(str(path))
    except Exception as error:  # Only asked for its reason: the conversion has failed already.
        reason = _first_line(error)
    else:
        reason = f"transformers {transformers.__version__} does not know its kind"
    raise InputError(f"{where}, and it cannot be converted ({reason}); {_TOKENIZER_MEND}")


def _folder(name: str) -> Path | None:
    """Where a model's files lie on this disk: its folder, or a hub name's place in the hub's local cache."""
    if Path(name).is_dir():
        return Path(name)
    config = try_to_load_from_cache(name, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def _add_special(tokenizer: Any, token: str) -> None:
    """Make `token` a token by itself: with its old id where the vocabulary has it, with a new one else."""
    special = AddedToken(token, special=True, normalized=False)
    tokenizer.add_special_tokens({"extra_special_tokens": [special]}, replace_extra_special_tokens=False)


def _check_bitsandbytes() -> None:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            "quantization nf4 needs bitsandbytes, which is not installed: pip install bitsandbytes"
        )


def _quantized_loading(dtype: torch.dtype) -> dict[str, Any]:
    _check_bitsandbytes()
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=["lm_head"],
    )
    # Weights are quantized on their way to the device, so they have to be put there while they load.
    device = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    return {"quantization_config": quantization, "device_map": {"": device}}


_NO_SAFETENSORS = f"no {SAFE_WEIGHTS_NAME} nor {SAFE_WEIGHTS_INDEX_NAME}"


def _check_weights(name: str, role: str) -> None:
    """Refuse a model whose safetensors are not all there, or cut short; no weights are read or downloaded.

    transformers would have the hub convert a model that has none, and load whatever comes of it.
    """
    folder = _folder(name)
    problem = _NO_SAFETENSORS if folder is None else _weights_problem(folder, role, name)
    if problem is None:
        return
    if not Path(name).is_dir():
        try:
            files = {file.rfilename for file in model_info(name, timeout=HUB_SECONDS).siblings or ()}
        except (OSError, ValueError, httpx.HTTPError) as error:
            raise InputError(
                f"{role} {name}: the hub's local cache has not all of its weights ({problem}), and the hub "
                f"cannot be reached ({_first_line(error)})"
            ) from None
        if files & {SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME}:
            return
        problem = _NO_SAFETENSORS
    if problem == _NO_SAFETENSORS:
        problem += (
            " (weights in other formats can carry code, so they are not read); convert it once with "
            "save_pretrained, as docs/training.md shows, and name the new folder"
        )
    raise InputError(f"{role} {name}: {problem}")


def _weights_problem(folder: Path, role: str, name: str) -> str | None:
    """What of the weights `folder` lacks, None when nothing. Raises InputError for a file that is damaged."""
    index = folder / SAFE_WEIGHTS_INDEX_NAME
    if (folder / SAFE_WEIGHTS_NAME).is_file():
        files = [SAFE_WEIGHTS_NAME]
    elif index.is_file():
        try:
            files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{role} {name}: {index.name} cannot be read ({_first_line(error)}); fetch it again"
            ) from None
    else:
        return _NO_SAFETENSORS
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        return f"no {missing[0]} ({len(missing)} of {len(files)} weights files are missing)"
    for file in files:
        try:
            with safe_open(folder / file, framework="pt"):
                pass
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"{role} {name}: {file} is damaged or incomplete ({_first_line(error)}); fetch it again"
            ) from None
    return None


def _load(model_class: Any, name: str, role: str, **settings: Any) -> Any:
    """Load weights, every one of them: a missing one would be random, with only a warning."""
    _check_weights(name, role)
    with _clear_errors(name, role):
        model, report = model_class.from_pretrained(
            name,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            # Reported below, by name.
            ignore_mismatched_sizes=True,
            **settings,
        )
    problems = (("misses", report["missing_keys"]), ("has another shape for", report["mismatched_keys"]))
    for problem, keys in problems:
        if keys:
            first = min(key if isinstance(key, str) else key[0] for key in keys)
            raise InputError(f"{role} {name}: the weights file {problem} {first} ({len(keys)} in all)")
    return model


def _grow_embedding(language_model: Any, tokenizer: Any) -> None:
    embedding, head = language_model.get_input_embeddings(), language_model.get_output_embeddings()
    rows = embedding.weight.shape[0]
    needed = max(tokenizer.get_vocab().values()) + 1
    embedding.padding_idx = tokenizer.pad_token_id
    if needed <= rows:
        return
    grown = -(-needed // ROWS) * ROWS
    tied = head.weight is embedding.weight
    embedding.weight = _with_mean_rows(embedding.weight, grown)
    head.weight = embedding.weight if tied else _with_mean_rows(head.weight, grown)
    embedding.num_embeddings = head.out_features = grown
    language_model.config.vocab_size = language_model.base_model.vocab_size = grown


def _with_mean_rows(weight: torch.nn.Parameter, rows: int) -> torch.nn.Parameter:
    """The rows of `weight` [old, width], then as many of their mean as make `rows`."""
    mean = weight.detach().float().mean(dim=0).to(weight.dtype)
    new = mean.expand(rows - weight.shape[0], -1)
    return torch.nn.Parameter(torch.cat([weight.detach(), new]))


def _end_tokens(language_model: Any, tokenizer: Any) -> list[int]:
    """Whatever ended an answer for the language model still does, and the tokenizer's own end token."""
    ends = {tokenizer.eos_token_id}
    for holder in (language_model.generation_config, language_model.config):
        eos = getattr(holder, "eos_token_id", None)
        ends.update(eos if isinstance(eos, list) else [eos])
    return sorted(token for token in ends if token is not None)


def _check_same_logits(name: str, language_model: Any, model: Any) -> None:
    """A text through the LLaVA and through the language model alone must give the same logits, bit by bit.

    Some language models scale or cap their logits after the head; in a LLaVA that step would be lost. The
    blocks, which both share, are taken out meanwhile: it is what follows them that is compared.
    """
    base = language_model.base_model
    blocks = getattr(base, "layers", None)
    if blocks is None:
        raise InputError(
            f"language_model {name}: a {type(language_model).__name__} is not built as Llama is (its blocks "
            "are not called layers); use another language model"
        )
    base.layers = torch.nn.ModuleList()
    tokens = torch.arange(4, device=model.lm_head.weight.device)[None]
    try:
        with torch.no_grad():
            alone, composed = language_model(input_ids=tokens).logits, model(input_ids=tokens).logits
    finally:
        base.layers = blocks
    if not torch.equal(alone, composed):
        raise InputError(
            f"language_model {name}: a {type(language_model).__name__} does more to its logits than "
            "transformers' LLaVA would (scaling or capping them); use another language model"
        )


@contextlib.contextmanager
def _own_random_state(seed: int) -> Iterator[None]:
    """Draw from `seed` on the CPU, and leave the caller's random state as it was."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed the GPUs as well.
        torch.default_generator.manual_seed(seed)
        yield


@contextlib.contextmanager
def _clear_errors(name: str, role: str, what: str = "model", *, reached: bool = True) -> Iterator[None]:
    """Whatever transformers has to say about a model that cannot be loaded, in one line of ours.

    `reached` says that something of the model has been read already, so that it is there.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        if "trust_remote_code" in str(error):
            problem = f"the {what} needs code of its own (trust_remote_code), which is never run"
        elif "gated repo" in str(error):
            problem = "the model is gated: accept its terms on the hub, then log in with `hf auth login`"
        elif not reached and not Path(name).exists() and isinstance(error, OSError):
            problem = (
                "no such folder, and no model of that name could be reached on the hub or in its local "
                f"cache ({_first_line(error)})"
            )
        else:
            problem = f"transformers {transformers.__version__} cannot load the {what} ({_first_line(error)})"
        raise InputError(f"{role} {name}: {problem}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
