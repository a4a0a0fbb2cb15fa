"""DeepSpeed's ZeRO (arXiv 1910.02054): processes that share a model's optimizer, gradients and weights.

Which configurations there are and what one may say, and how to read the parameters of a model whose
weights are shared (stage 3). What trains stays in float32, with autocast around the forward pass, as
without DeepSpeed: so its gradients are added up, and averaged over the processes, in float32 too.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from train.config import StageConfig
from train.distributed import processes
from train.records import InputError

CONFIGURATIONS = Path(__file__).parent / "deepspeed"

_THE_RECIPES = {
    "train_batch_size": "global_batch_size",
    "train_micro_batch_size_per_gpu": "micro_batch_size",
    "gradient_accumulation_steps": "global_batch_size",
    "gradient_clipping": "max_grad_norm",
}
"""Keys of a configuration that have an owner already, and its key in the recipe."""

_PRECISION = ("fp16", "bf16", "torch_autocast", "amp", "data_types")

_FREE = (
    *("zero_optimization", "communication_data_type", "zero_allow_untested_optimizer"),
    *("steps_per_print", "wall_clock_breakdown", "memory_breakdown", "comms_logger", "flops_profiler"),
)
"""What a configuration may say: how to share and communicate, and what to print of it."""

_OFF = {
    "elastic_checkpoint": False,  # the parts of an optimizer are then of another form
    # Weights or gradients would be sent in fewer bits than they have.
    "zero_quantized_weights": False,
    "zero_quantized_nontrainable_weights": False,
    "zero_quantized_gradients": False,
    # Weights would be shared by some of the processes, in ways that checkpoints do not know.
    "zero_hpz_partition_size": 1,
    "mics_shard_size": -1,
    "zenflow": None,  # puts off parts of an optimizer's step
}
"""Keys of zero_optimization that would break what holds here of every run, with DeepSpeed's defaults."""


@dataclass(frozen=True)
class Sharing:
    """What of a model the processes share, each holding its part alone."""

    zero: int
    """ZeRO's stage: 0 nothing, 1 the optimizer's state, 2 gradients too, 3 weights too."""
    offload_optimizer: bool
    """The optimizer's state, and its step, are on the CPU."""
    offload_weights: bool
    """Weights are on the CPU until they are needed (stage 3)."""


def configuration_names() -> list[str]:
    """The shipped configurations."""
    return sorted(path.stem for path in CONFIGURATIONS.glob("*.json"))


def read_configuration(stage: StageConfig, name: str) -> dict[str, Any] | None:
    """What DeepSpeed is to be given for a stage in this many processes; None where it is not used.

    `name` is the stage's, for messages. The shipped `zero2` and `zero3` are None in one process: it has
    nobody to share with. Raises InputError where DeepSpeed or the configuration is missing, or where it
    says what is the recipe's to say (optimizer, schedule, batch, precision) or what we do not do.
    """
    key, chosen = f"{name}.deepspeed", stage.deepspeed
    if chosen is None:
        return None
    shipped = not chosen.endswith(".json")
    if shipped and chosen not in configuration_names():
        raise InputError(
            f"{key}={chosen}: no such configuration; there are {', '.join(configuration_names())}, or name a "
            ".json file"
        )
    path = CONFIGURATIONS / f"{chosen}.json" if shipped else Path(chosen)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{key}: {path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{key}: {path}: not JSON ({error})") from None
    problem = _problem(config, name, stage)
    if problem is not None:
        raise InputError(f"{key}: {path}: {problem}")
    if shipped and processes() == 1 and "offload_optimizer" not in config["zero_optimization"]:
        return None
    if importlib.util.find_spec("deepspeed") is None:
        raise InputError(f"{key} needs DeepSpeed: pip install deepspeed, or set {key}= for none")
    if not shipped and (problem := _deepspeed_says(config["zero_optimization"])) is not None:
        raise InputError(f"{key}: {path}: {problem}")
    return config | {
        **dict.fromkeys(_THE_RECIPES, "auto"),  # transformers' Trainer puts in what it was given
        "fp16": {"enabled": False},
        "bf16": {"enabled": False},
        "torch_autocast": {
            "enabled": stage.precision == "bf16",
            "dtype": "bfloat16",
            # Of these it would send weights and gradients in bf16, and so add gradients up in bf16.
            "lower_precision_safe_modules": [],
        },
        "data_types": {"grad_accum_dtype": "fp32"},
        # PyTorch's own AdamW on the CPU is fused as well, and need not be compiled first.
        "zero_force_ds_cpu_optimizer": False,
    }


def check_deepspeed(stage: StageConfig, name: str) -> None:
    """Raise InputError where a stage's DeepSpeed configuration cannot be used, as `read_configuration`."""
    read_configuration(stage, name)


def sharing(stage: StageConfig, name: str = "stage") -> Sharing:
    """What the processes of this run share in a stage. Raises InputError as `read_configuration`."""
    config = read_configuration(stage, name)
    if config is None:
        return Sharing(0, offload_optimizer=False, offload_weights=False)
    zero = config["zero_optimization"]
    return Sharing(
        zero["stage"],
        offload_optimizer=_device(zero, "offload_optimizer") == "cpu",
        offload_weights=_device(zero, "offload_param") == "cpu",
    )


def _device(zero: dict[str, Any], part: str) -> str:
    given = zero.get(part)
    return str(given.get("device", "none")) if isinstance(given, dict) else "none"


def _problem(config: object, name: str, stage: StageConfig) -> str | None:
    """Why a configuration cannot be used, or None."""
    zero = config.get("zero_optimization") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(zero, dict) or zero.get("stage") not in (1, 2, 3):
        return 'says nothing of {"zero_optimization": {"stage": 1, 2 or 3}}'
    for section in ("optimizer", "scheduler"):
        if section in config:
            return f"has a section {section!r}: the recipe says how {name} is optimized; leave it out"
    for key, owner in _THE_RECIPES.items():
        if config.get(key, "auto") != "auto":
            return f"sets {key}: that is {name}.{owner} of the recipe; leave it out"
    for section in _PRECISION:
        given = config.get(section)
        off = isinstance(given, dict) and given.get("enabled") in ("auto", False)
        if section in config and not off:
            return f"sets {section}: that is {name}.precision of the recipe; leave it out"
    for key in config:
        if key not in (*_FREE, *_THE_RECIPES, *_PRECISION):
            return f"sets {key}, which is not done here; there may be {', '.join(_FREE)}"
    if (sent := config.get("communication_data_type", "fp32")) != "fp32":
        return f"sets communication_data_type to {sent}: gradients are sent in fp32; leave it out"
    for key, default in _OFF.items():
        if zero.get(key, default) != default:
            return f"sets zero_optimization.{key}, which is not done here; leave it out"
    for part in ("offload_optimizer", "offload_param"):
        if _device(zero, part) == "nvme":
            return f"{part} to nvme is not done here: cpu is"
    if stage.quantization != "none" and zero["stage"] == 3:
        return f"stage 3 cannot share weights held in 4 bits ({name}.quantization = nf4): take zero2"
    return None


def _deepspeed_says(zero: dict[str, Any]) -> str | None:
    """What DeepSpeed itself finds wrong with a section zero_optimization, or None."""
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    try:
        DeepSpeedZeroConfig(**{key: value for key, value in zero.items() if value != "auto"})
    except ValidationError as error:
        first = error.errors()[0]
        return f"zero_optimization.{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None


@contextlib.contextmanager
def using(config: dict[str, Any] | None) -> Iterator[None]:
    """Let DeepSpeed work within, and leave nothing of it to what comes after. `config` as read above.

    A process that no launcher started has what a launched one has, a process group and the environment.
    """
    if config is None:
        yield
        return
    import deepspeed

    if not torch.cuda.is_available():
        # It would compile what speeds up processes that share a CPU, for half a minute.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    linear = torch.nn.functional.linear  # which stage 3 puts its own in place of
    environment = {name: os.environ.get(name) for name in _ENVIRONMENT}
    if "LOCAL_RANK" not in os.environ:
        _join_alone()
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is deprecated", module="torch.distributed")
            yield
    finally:
        torch.nn.functional.linear = linear
        unset_hf_deepspeed_config()  # by which transformers would load the next model in parts
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


_ENVIRONMENT = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT"),
    "ACCELERATE_USE_DEEPSPEED",  # with which every later stage would have one
)
"""Variables that are set for DeepSpeed, here and by accelerate."""


def _join_alone() -> None:
    """A process group of one, until the process ends: DeepSpeed holds on to it from stage to stage."""
    if not torch.distributed.is_initialized():
        backend = "cuda:nccl,cpu:gloo" if torch.cuda.is_available() else "gloo"
        store = torch.distributed.HashStore()
        torch.distributed.init_process_group(backend, store=store, rank=0, world_size=1)
        atexit.register(torch.distributed.destroy_process_group)


def shard(model: Any, config: dict[str, Any], device: torch.device) -> None:
    """Leave each process its part of every weight (ZeRO-3), parameter by parameter.

    DeepSpeed would do it as well, but moves the whole model to the GPU first.
    """
    import deepspeed

    for buffer in model.buffers():
        buffer.data = buffer.data.to(device)
    deepspeed.init_distributed()  # it takes the group that there is
    deepspeed.zero.Init(module=model, config_dict_or_path=config)


def discard(model: Any) -> None:
    """Give back a shared model's weights (ZeRO-3): DeepSpeed holds on to the model when it is done."""
    for parameter in model.parameters():
        if hasattr(parameter, "ds_id"):
            parameter.ds_tensor = None
            parameter.data = torch.empty(0)


def optimizer_state(optimizer: Any) -> dict[str, Any]:
    """This process's part of the state of DeepSpeed's optimizer: moments and rates, no weights."""
    return dict(_state(optimizer.state_dict())[1])


def load_optimizer_state(optimizer: Any, state: dict[str, Any]) -> None:
    """Put back what `optimizer_state` gave, in as many processes; the weights must be right already."""
    now = optimizer.state_dict()
    key, _ = _state(now)
    # DeepSpeed takes a list of every process's, and reads its own.
    optimizer.load_state_dict([now | {key: state}] * torch.distributed.get_world_size())


def _state(state: dict[str, Any]) -> tuple[str, Any]:
    from deepspeed.checkpoint.constants import BASE_OPTIMIZER_STATE, OPTIMIZER_STATE_DICT

    key = OPTIMIZER_STATE_DICT if OPTIMIZER_STATE_DICT in state else BASE_OPTIMIZER_STATE  # stage 3; 1 and 2
    return key, state[key]


# Parameters --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def whole(parameter: torch.nn.Parameter) -> Iterator[torch.Tensor]:
    """All the weights of a parameter, within. Where it is shared, all processes must ask for it at once."""
    if not hasattr(parameter, "ds_id"):
        yield parameter
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters([parameter]):
        yield parameter.data


def own_part(parameter: torch.nn.Parameter) -> torch.Tensor:
    """The weights of a parameter that this process holds: all, or its even part of a shared one."""
    if not hasattr(parameter, "ds_id"):
        return parameter.detach()
    held = parameter.ds_tensor
    before = held.numel() * torch.distributed.get_rank()
    # The last part is filled up to the size of the others.
    return held.detach().view(-1)[: max(0, min(held.numel(), parameter.ds_numel - before))]


def is_shared(model: Any) -> bool:
    """Whether each process holds no more than its part of the weights (ZeRO-3)."""
    return any(hasattr(parameter, "ds_id") for parameter in model.parameters())
