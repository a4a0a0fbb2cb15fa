"""What speeds a model up computes the same, keeps its names, and leaves other models alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import MethodType, ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from transformers.models.llama import modeling_llama

from tests.train import test_packing as packing
from tests.train.test_packing import World, apart, gradients
from train import gates, kernels
from train.attention import BY_SAMPLE
from train.config import LoraConfig
from train.kernels import check_kernels, speed_up
from train.records import InputError

folder, world = packing.folder, packing.world
COMPILED = 1e-5
"""Of the loss, and of a parameter's largest gradient times ten: sums in another order, in float32."""


def refusal(model: Any, stage: Any, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        speed_up(model, stage.model_copy(update=changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_changes_unless_it_is_asked_for(world: Callable[..., World]) -> None:
    ready = world("llama")
    assert speed_up(ready.model, ready.stage) == []
    assert all(module._compiled_call_impl is None for module in ready.model.modules())


# Compiled


@pytest.fixture
def without_code() -> Iterator[None]:
    """Traces and differentiates as the compiler does, and runs what it found without generating code."""
    torch.compiler.set_default_backend("aot_eager")
    yield
    torch.compiler.set_default_backend("inductor")
    torch.compiler.reset()


def assert_same_compiled(world: Callable[..., World], family: str, *, padded: bool, **settings: Any) -> None:
    """Loss and gradients of packed rows, of few graphs that blocks share; of padded batches, and the gate."""
    plain, compiled = (world(family, BY_SAMPLE, **settings) for _ in range(2))
    with torch.no_grad():
        for name, ours in compiled.model.named_parameters():
            if ".lora_B." in name:  # zeros at first, and what is before them would have no gradient
                ours.normal_(generator=torch.Generator().manual_seed(3))
                plain.model.get_parameter(name).copy_(ours)
    names = [name for name, _ in plain.model.named_parameters()]
    ask = compiled.stage.model_copy(update={"torch_compile": True})
    assert speed_up(compiled.model, ask) == ["blocks compiled by PyTorch"]
    counters.clear()
    assert [name for name, _ in compiled.model.named_parameters()] == names
    assert list(compiled.model.state_dict()) == list(plain.model.state_dict())
    batches = plain.collate(plain.examples) + plain.collate(plain.examples[1:3])
    for batch in batches + (plain.collate(plain.examples, packing=False) if padded else []):
        loss, theirs = gradients(plain, [batch])
        found, ours = gradients(compiled, [batch])
        assert found == pytest.approx(loss, rel=COMPILED)
        assert ours.keys() == theirs.keys()
        for name, gradient in ours.items():
            if not name.endswith("k_proj.bias"):
                assert apart(gradient, theirs[name]) < 10 * COMPILED, name
    if padded:
        assert gates.packing_isolation(compiled.model, compiled.examples, ask).endswith("changes")
    # Of the 20 parts of 5 blocks: one graph for each kind of part (two of an attention); again for batches
    # of several rows, and without gradients.
    assert 6 <= counters["stats"]["unique_graphs"] <= (18 if padded else 6)
    assert not counters["recompile_limit"]


def test_compiled_blocks_train_the_same_under_checkpointing_and_lora(
    world: Callable[..., World], without_code: None
) -> None:
    lora = LoraConfig(rank=4, alpha=8, dropout=0)
    settings = {"gradient_checkpointing": True, "language_model": "lora", "lora": lora}
    assert_same_compiled(world, "llama", padded=False, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_compiled_code_trains_the_same(world: Callable[..., World], family: str, checkpointing: bool) -> None:
    assert_same_compiled(world, family, padded=True, gradient_checkpointing=checkpointing)
    torch.compiler.reset()


def test_where_nothing_can_be_compiled_the_run_is_refused_in_a_line(world: Callable[..., World]) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no working C++ compiler\nin all of this PATH")

    torch.compiler.set_default_backend(broken)
    try:
        ready = world("llama")
        message = refusal(ready.model, ready.stage, torch_compile=True)
    finally:
        torch.compiler.set_default_backend("inductor")
        torch.compiler.reset()
    assert message == (
        "stage.torch_compile: PyTorch cannot compile here (no working C++ compiler); install a C++ compiler "
        "(and, on a GPU, the Triton that belongs to this PyTorch), or leave it out"
    )
    assert all(module._compiled_call_impl is None for module in ready.model.modules())


def test_the_compiler_and_liger_are_not_taken_both(world: Callable[..., World]) -> None:
    ready = world("llama")
    assert refusal(ready.model, ready.stage, torch_compile=True, use_liger_kernel=True) == (
        "stage.torch_compile and stage.use_liger_kernel speed up the same layers: set one of the two"
    )


def test_the_compiler_and_zero_3_are_not_taken_both(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = world("llama")
    monkeypatch.setenv("WORLD_SIZE", "2")
    asked = ready.stage.model_copy(update={"torch_compile": True, "deepspeed": "zero3"})
    with pytest.raises(InputError, match=r"^finetune.torch_compile: ZeRO-3, .*finetune.deepspeed=zero2$"):
        check_kernels(asked, "finetune")


# Liger


@pytest.fixture
def liger(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for Liger on a CPU: it puts itself where Liger does; which of its kernels ran, in order."""
    ran: list[str] = []
    rotary, norm = modeling_llama.apply_rotary_pos_emb, modeling_llama.LlamaRMSNorm

    def fused_rotary(*given: Any) -> Any:
        ran.append("rotary")
        return rotary(*given)

    def fused_norm(self: Any, hidden: torch.Tensor) -> Any:
        ran.append("norm")
        return norm.forward(self, hidden)

    def apply(model: Any, **kernels: bool) -> None:
        assert kernels == {"cross_entropy": False, "fused_linear_cross_entropy": False}
        modeling: Any = modeling_llama
        modeling.apply_rotary_pos_emb, modeling.LlamaRMSNorm = fused_rotary, type("Fused", (norm,), {})
        for module in model.modules():
            if type(module) is norm:
                module.__dict__["forward"] = MethodType(fused_norm, module)

    patch = SimpleNamespace(
        MODEL_TYPE_TO_APPLY_LIGER_FN={"llama": None}, _apply_liger_kernel_to_instance=apply
    )
    package, inner = ModuleType("liger_kernel"), ModuleType("liger_kernel.transformers")
    inner.monkey_patch = patch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "liger_kernel", package)
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", inner)
    monkeypatch.setattr(kernels, "_DEVICE", "cpu")
    return ran


def test_liger_runs_where_its_kernels_can_and_leaves_other_models_alone(
    world: Callable[..., World], liger: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = dict(vars(modeling_llama))
    ready, other = world("llama"), world("llama")
    (row,) = ready.collate(ready.examples)
    expected, _ = gradients(ready, [row])
    asked = ready.stage.model_copy(update={"use_liger_kernel": True})
    assert speed_up(ready.model, asked) == ["Liger's kernels in the language model"]
    assert gradients(ready, [row])[0] == expected
    assert liger == [*["norm", "rotary", "norm"] * 2, "norm"]
    # As an export is proved, after training, on a CPU.
    monkeypatch.setattr(kernels, "_DEVICE", "cuda")
    assert gradients(ready, [row])[0] == expected
    assert len(liger) == 7
    # Another model has the norms that it had.
    monkeypatch.setattr(kernels, "_DEVICE", "cpu")
    assert gradients(other, [row])[0] == expected
    assert liger[7:] == ["rotary"] * 2
    assert {name for name, value in vars(modeling_llama).items() if value is not own[name]} == {
        "apply_rotary_pos_emb"
    }
    # The next stage asks for none of it.
    assert speed_up(other.model, other.stage) == []
    assert vars(modeling_llama) == own


def test_liger_is_refused_in_a_line_where_it_cannot_be(
    world: Callable[..., World], liger: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistral = world("mistral")
    assert refusal(mistral.model, mistral.stage, use_liger_kernel=True) == (
        "use_liger_kernel: Liger has no kernels for a mistral model; leave it out"
    )
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", None)
    ready = world("llama")
    assert refusal(ready.model, ready.stage, use_liger_kernel=True).endswith("; pip install liger-kernel")
    monkeypatch.setattr(kernels, "_DEVICE", "cuda")
    assert refusal(ready.model, ready.stage, use_liger_kernel=True) == (
        "stage.use_liger_kernel: Liger's kernels need a GPU, and there is none; leave it out"
    )
