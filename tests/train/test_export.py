"""The export is what the trainer's model is, in the layout that others read, or it is not there at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from huggingface_hub import ModelCard, save_torch_state_dict
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, processors
from torch import nn
from transformers import AutoProcessor, LlavaForConditionalGeneration

from tests.train import factory
from tests.train.checkpoints import FAMILY_FORMATS, stage_config, tiny_checkpoint, write_checkpoint
from train import export as exporting
from train import proof as proving
from train.checkpoint import WEIGHTS, Draft, frozen_sha256, read_record
from train.config import ModelConfig
from train.conversation import Encoder, get_format
from train.export import PROJECTOR, PROOF, check_out, export, published_name, rebuild
from train.model import features_per_image
from train.proof import describe
from train.records import InputError
from train.tiny import write_tiny

QUESTION = "What is in the picture?"


def _load(folder: Path) -> tuple[Any, Any]:
    return LlavaForConditionalGeneration.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)


def _asked(image: Any, question: str = QUESTION) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": question}]}
    ]


def _nothing_left(out: Path) -> bool:
    return (
        not out.exists() and [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    )


@pytest.mark.parametrize(
    ("family", "kind"),
    [("llama", "clip"), ("llama_3", "siglip"), ("mistral", "siglip"), ("qwen2", "clip"), ("qwen3", "siglip")],
)
def test_a_full_fine_tune_is_exported_bit_by_bit(tmp_path: Path, family: str, kind: str) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run", family, kind, language_model="full")

    proof = export(checkpoint, tmp_path / "out")

    trained = rebuild(checkpoint)
    model, processor = _load(tmp_path / "out")
    assert (proof.logits_difference, proof.logits_tolerance, proof.lora_merged) == (0, 0, False)
    assert (proof.checkpoint, proof.dtype, proof.prompts, proof.images) == (
        "finetune/checkpoint-7",
        "float32",
        3,
        4,
    )
    inputs = processor.apply_chat_template(
        _asked(factory.picture(30, 50)),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, trained.model(**inputs).logits)


@pytest.mark.parametrize(("family", "kind"), [("llama", "siglip"), ("qwen3", "clip"), ("mistral", "clip")])
def test_lora_is_merged_as_its_definition_says(tmp_path: Path, family: str, kind: str) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run", family, kind, language_model="lora")

    proof = export(checkpoint, tmp_path / "out")

    base = rebuild(tiny_checkpoint(tmp_path / "base", family, kind, language_model="frozen"))
    base_weights = dict(base.model.named_parameters())
    adapters = load_file(checkpoint / "trained.safetensors")
    exported = load_file(tmp_path / "out" / "model.safetensors")
    adapted = [name.removesuffix(".lora_A.default.weight") for name in adapters if ".lora_A." in name]
    assert len(adapted) == 14, "seven linear layers in each of two blocks"
    for name in adapted:
        down, up = adapters[f"{name}.lora_A.default.weight"], adapters[f"{name}.lora_B.default.weight"]
        weight = base_weights[f"{name}.weight"].detach() + 8 / 4 * up @ down  # alpha / rank
        torch.testing.assert_close(exported[published_name(f"{name}.weight")], weight, atol=1e-5, rtol=1e-5)
    assert proof.lora_merged
    assert 0 < proof.rewrite_difference < 1e-5
    assert not [name for name in exported if "lora" in name or "base_layer" in name]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_tensors_have_the_names_of_the_published_llava_models(tmp_path: Path, kind: str, tied: bool) -> None:
    language_model = factory.write_language_model(tmp_path / "lm", "llama", layers=1, tied=tied)
    tower = factory.write_vision_tower(tmp_path / "tower", kind, layers=2)
    model = ModelConfig(language_model=str(language_model), vision_tower=str(tower))
    export(write_checkpoint(tmp_path / "run", model, stage_config()), tmp_path / "out")

    names = set(load_file(tmp_path / "out" / "model.safetensors"))

    layer = "language_model.model.layers.0"
    encoder = [
        f"vision_tower.vision_model.encoder.layers.{number}.{part}.{kind_of}"
        for number in range(2)
        for part in (
            "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2",
            *(f"self_attn.{each}_proj" for each in ("q", "k", "v", "out")),
        )
        for kind_of in ("weight", "bias")
    ]  # fmt: skip
    expected = {
        "language_model.model.embed_tokens.weight",
        "language_model.model.norm.weight",
        *(f"{layer}.self_attn.{each}_proj.weight" for each in "qkvo"),
        *(f"{layer}.mlp.{each}_proj.weight" for each in ("gate", "up", "down")),
        f"{layer}.input_layernorm.weight",
        f"{layer}.post_attention_layernorm.weight",
        *(f"multi_modal_projector.linear_{n}.{kind_of}" for n in (1, 2) for kind_of in ("weight", "bias")),
        *encoder,
        *(() if tied else ("language_model.lm_head.weight",)),
    }
    tower_only = {name for name in names - expected if name.startswith("vision_tower.vision_model.")}
    assert names - tower_only == expected
    parts = {name.split(".")[2] for name in tower_only}
    clip = {"embeddings", "pre_layrnorm", "post_layernorm"}
    assert parts == (clip if kind == "clip" else {"embeddings", "post_layernorm", "head"})


def test_an_align_checkpoint_exports_in_its_own_format_and_stops_at_the_end_of_a_caption(
    tmp_path: Path,
) -> None:
    model = factory.model_config("llama_3")
    stage = stage_config(format="plain", language_model="frozen")
    proof = export(write_checkpoint(tmp_path / "run", model, stage, "align"), tmp_path / "out")

    _, processor = _load(tmp_path / "out")
    tokenizer = processor.tokenizer
    stops = json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"]
    assert proof.checkpoint == "align/checkpoint-7"
    assert proof.prompts == 1, "the plain format holds one answer"
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == get_format("plain").template
    assert [tokenizer.decode(stop) for stop in stops] == ["\n", "<|eot_id|>"]


def test_bf16_training_is_exported_in_bf16(tmp_path: Path) -> None:
    proof = export(tiny_checkpoint(tmp_path / "run", precision="bf16"), tmp_path / "out")

    tensors = load_file(tmp_path / "out" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert (proof.dtype, proof.logits_difference, proof.logits_tolerance) == ("bfloat16", 0, 0)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_bf16_lora_is_merged_in_float32_and_rounded_once(tmp_path: Path) -> None:
    proof = export(
        tiny_checkpoint(tmp_path / "run", precision="bf16", language_model="lora"), tmp_path / "out"
    )

    assert proof.dtype == "bfloat16"
    assert proof.rewrite_difference < 1e-5
    assert 0 < proof.logits_difference <= proof.logits_tolerance == pytest.approx(0.1 * proof.logits_largest)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_length": 40},
        {"format": "llama_2"},
        {"image_aspect_ratio": "square", "vision_tower_learning_rate": 1e-4},
    ],
)
def test_other_settings_of_a_stage_export_too(tmp_path: Path, settings: dict[str, Any]) -> None:
    proof = export(tiny_checkpoint(tmp_path / "run", **settings), tmp_path / "out")
    assert (proof.logits_difference, proof.prompts, proof.images) == (0, 3, 4)


@pytest.mark.parametrize("settings", [{"feature_select": "cls_patch"}, {"feature_layer": -1}])
def test_other_features_of_the_tower_export_too(tmp_path: Path, settings: dict[str, Any]) -> None:
    model = factory.model_config("llama", "clip", **settings)
    proof = export(write_checkpoint(tmp_path / "run", model, stage_config()), tmp_path / "out")
    assert (proof.logits_difference, proof.prompts, proof.images) == (0, 3, 4)


@pytest.mark.parametrize("family", ["llama", "llama_3", "mistral"])
def test_every_way_of_asking_gives_one_bos_where_the_tokenizer_would_add_its_own(
    tmp_path: Path, family: str
) -> None:
    folder = factory.write_language_model(tmp_path / "lm", family)
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    bos = "<|begin_of_text|>" if family == "llama_3" else "<s>"
    adds = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, backend.token_to_id(bos))]
    )
    # Llama 3 ships the second form.
    backend.post_processor = (
        processors.Sequence([processors.ByteLevel(trim_offsets=True), adds]) if family == "llama_3" else adds
    )
    backend.save(str(folder / "tokenizer.json"))
    model = ModelConfig(language_model=str(folder), vision_tower=str(factory.vision_tower()))
    stage = stage_config(format=FAMILY_FORMATS[family])
    export(write_checkpoint(tmp_path / "run", model, stage), tmp_path / "out")

    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    image = factory.picture(40, 20)
    listed = _asked(image)
    spelled = [{"role": "user", "content": f"<image>\n{QUESTION}"}]
    text = processor.apply_chat_template(spelled, tokenize=False, add_generation_prompt=True)
    ways = [
        processor.apply_chat_template(listed, tokenize=True, return_dict=True, add_generation_prompt=True),
        processor.apply_chat_template(
            spelled,
            tokenize=True,
            return_dict=True,
            add_generation_prompt=True,
            processor_kwargs={"images": [image]},
        ),
        processor(text=text, images=image),
        # What vLLM does for text: the template as text, then the tokenizer.
        {"input_ids": [processor.tokenizer(text.replace("<image>", "<image>" * 4))["input_ids"]]},
    ]
    rows = [way["input_ids"][0] for way in ways]
    assert [row.count(processor.tokenizer.bos_token_id) for row in rows] == [1, 1, 1, 1]
    assert rows[0] == rows[1] == rows[2] == rows[3]


def test_a_conversation_reads_as_in_training_with_string_and_with_list_content(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run")
    export(checkpoint, tmp_path / "out")

    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    answer = {"role": "assistant", "content": "A dog."}
    listed = [*_asked(None), {"role": "assistant", "content": [{"type": "text", "text": "A dog."}]}]
    spelled = [{"role": "user", "content": f"<image>\n{QUESTION}"}, answer]
    text = (
        "<s>A chat between a curious user and an artificial intelligence assistant. The assistant gives "
        "helpful, detailed, and polite answers to the user's questions. USER: <image>\nWhat is in the "
        "picture? ASSISTANT: A dog.</s>"
    )
    assert processor.apply_chat_template(listed) == text
    assert processor.apply_chat_template(spelled) == text
    trained = rebuild(checkpoint)
    encoder = Encoder(
        trained.processor.tokenizer,
        get_format("vicuna_v1"),
        image_token_id=trained.processor.image_token_id,
        features_per_image=features_per_image(trained.processor),
        max_length=400,
    )
    ids = processor(text=text, images=factory.picture(9, 9))["input_ids"][0]
    assert ids == encoder.encode((f"<image>\n{QUESTION}", "A dog.")).input_ids


def test_the_export_generates_with_a_cache_and_stops_as_trained(tmp_path: Path) -> None:
    export(tiny_checkpoint(tmp_path / "run", "llama_3"), tmp_path / "out")

    config = json.loads((tmp_path / "out" / "config.json").read_text())
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert config["architectures"] == ["LlavaForConditionalGeneration"]
    assert config["use_cache"] is True and config["text_config"]["use_cache"] is True
    generation.pop("transformers_version")
    model, processor = _load(tmp_path / "out")
    tokenizer = processor.tokenizer
    assert generation == {
        "bos_token_id": tokenizer.convert_tokens_to_ids("<|begin_of_text|>"),
        "do_sample": False,
        "eos_token_id": [tokenizer.convert_tokens_to_ids("<|eot_id|>")],
        "pad_token_id": tokenizer.convert_tokens_to_ids("<pad>"),
    }
    inputs = processor.apply_chat_template(
        _asked(factory.picture(30, 30)),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    cached = model.generate(**inputs, max_new_tokens=8)
    assert torch.equal(cached, model.generate(**inputs, max_new_tokens=8, use_cache=False))


def test_nothing_in_the_export_names_a_place_on_this_machine(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run", language_model="lora")
    export(checkpoint, tmp_path / "out")

    for path in (tmp_path / "out").iterdir():
        for place in (tmp_path, factory.language_model().parent):
            assert str(place).encode() not in path.read_bytes(), path.name
    assert "local_files_only" not in (tmp_path / "out" / "tokenizer_config.json").read_text()


def test_large_models_are_written_in_shards_with_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_SHARD", "100KB")
    proof = export(tiny_checkpoint(tmp_path / "run"), tmp_path / "out")

    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert len(shards) > 2
    assert sorted(set(index["weight_map"].values())) == shards
    assert proof.logits_difference == 0


@pytest.mark.parametrize("projector", ["linear", "mlp2x_gelu"])
def test_the_original_code_reads_the_projector(tmp_path: Path, projector: str) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run", projector=projector, language_model="frozen")
    export(checkpoint, tmp_path / "out")

    trained = rebuild(checkpoint).model
    seen, hidden = trained.config.vision_config.hidden_size, trained.config.text_config.hidden_size
    # As LLaVA's build_vision_projector makes it, and its initialize_vision_modules loads it.
    original: nn.Module = (
        nn.Linear(seen, hidden)
        if projector == "linear"
        else nn.Sequential(nn.Linear(seen, hidden), nn.GELU(), nn.Linear(hidden, hidden))
    )
    weights = torch.load(tmp_path / "out" / PROJECTOR, map_location="cpu", weights_only=True)
    original.load_state_dict(
        {name.split("mm_projector.")[1]: weight for name, weight in weights.items() if "mm_projector" in name}
    )
    features = torch.randn(5, seen, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(original(features), trained.model.multi_modal_projector(features))


def test_a_linear_projector_is_written_with_an_activation_that_vllm_has(tmp_path: Path) -> None:
    base = tmp_path / "run" / "base"
    language_model, tower = write_tiny(base, factory.TEXTS, seed=0)
    model = ModelConfig(language_model=str(language_model), vision_tower=str(tower), projector="linear")
    stage = stage_config(language_model="frozen")
    checkpoint = write_checkpoint(tmp_path / "run", model, stage)
    proof = export(checkpoint, tmp_path / "out")

    exported, _ = _load(tmp_path / "out")
    assert exported.config.projector_hidden_act == "relu"
    assert proof.projector_split and not proof.lora_merged
    assert proof.rewrite_difference < 1e-6
    assert proof.logits_difference < 1e-5 * proof.logits_largest
    weights = load_file(checkpoint / "trained.safetensors")
    weight, bias = (weights[f"model.multi_modal_projector.linear_1.{each}"] for each in ("weight", "bias"))
    features = torch.randn(50, 64, generator=torch.Generator().manual_seed(0)) * 10
    with torch.no_grad():
        found = exported.model.multi_modal_projector(features)
    torch.testing.assert_close(found, features @ weight.T + bias)
    original = torch.load(tmp_path / "out" / PROJECTOR, weights_only=True)
    assert original.keys() == {"model.mm_projector.weight", "model.mm_projector.bias"}
    assert torch.equal(original["model.mm_projector.weight"], weight)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "W·relu(x) - W·relu(-x)" in card
    assert "its base models (linear projector split, in float32)." in card
    assert "in float32, linear projector split; read back" in describe(proof)
    assert "does not read" not in card


def test_a_linear_projector_too_narrow_to_be_split_stays_as_it_is(tmp_path: Path) -> None:
    trained = rebuild(tiny_checkpoint(tmp_path / "run", projector="linear", language_model="frozen"))
    model = trained.model
    width = model.config.text_config.hidden_size
    projector = model.model.multi_modal_projector
    projector.linear_1 = nn.Linear(width // 2 + 1, width)
    before = {name: weight.clone() for name, weight in projector.state_dict().items()}

    assert exporting.split_linear_projector(model) is None
    assert model.config.projector_hidden_act == "linear"
    assert all(torch.equal(weight, before[name]) for name, weight in projector.state_dict().items())
    assert exporting._facts(trained)["servable"] is False, "the card says that vLLM does not read it"


def test_the_model_card_says_what_the_record_and_the_log_say(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run", "qwen2", language_model="lora")
    lines = [
        {"stage": "align", "step": 9, "loss": 31.75},
        *(
            {"stage": "finetune", "step": step, "loss": 2.0 + step, "loss/type/detail": 1.0}
            for step in (1, 2)
        ),
        {"stage": "finetune", "step": 3, "loss": 8.0, "loss/type/conversation": 4.5, "loss/source/a": 3.0},
        {"stage": "finetune", "step": 8, "loss": 31.75},
    ]
    (tmp_path / "run" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    export(checkpoint, tmp_path / "out")

    text = (tmp_path / "out" / "README.md").read_text()
    card = ModelCard(text, ignore_metadata_errors=False)
    data: Any = card.data
    assert data.to_dict() == {
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["llava", "visual-instruction-tuning", "vitkit"],
    }
    for said in (
        "# LLaVA of qwen2 and clip",
        "`finetune/checkpoint-7`, after 7 of the stage's 7 steps",
        "28 samples in this stage (repeats counted), 345 supervised tokens",
        "| llava_instruct.json | 1.0 | `e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855` |",
        "mean of the last 3 logged steps: loss 5, detail 1, conversation 4.5.",
        "[finetune.lora]\nrank = 4\nalpha = 8",
        "Prompts go through the chat template (`chatml`)",
        "bit by bit, those made from the checkpoint and its base models (LoRA merged, in float32).",
        "none differs from those of the trainer's model\nby more than ",
        "No record says which base weights the checkpoint was trained on",
    ):
        assert said in card.text, said
    for unsaid in ("31.75", "4 bits", "had not finished", "[align]"):
        assert unsaid not in card.text.split("## What was checked")[0], unsaid


@pytest.mark.parametrize(
    ("settings", "compared_with"),
    [
        ({"precision": "fp32"}, "the trainer's model"),
        ({"precision": "bf16"}, "the trainer's model rounded to bfloat16"),
        ({"precision": "bf16", "language_model": "lora"}, "the trainer's model"),
        (
            {"precision": "bf16", "language_model": "lora", "quantization": "nf4"},
            "the trainer's model unquantized (its language model in bfloat16, not in the nf4 that it was "
            "trained in)",
        ),
    ],
)
def test_proof_card_and_terminal_say_what_the_logits_were_compared_with(
    tmp_path: Path, settings: dict[str, str], compared_with: str
) -> None:
    proof = export(tiny_checkpoint(tmp_path / "run", **settings), tmp_path / "out")

    quantization = settings.get("quantization", "none")
    assert (proof.compared_with, proof.quantization) == (compared_with, quantization)
    assert json.loads((tmp_path / "out" / PROOF).read_text())["compared_with"] == compared_with
    logits = f"logits equal those of {compared_with}"
    if proof.lora_merged:
        assert proof.logits_difference > 0
        logits = (
            f"logits within {proof.logits_difference:.2g} of those of {compared_with} "
            f"({proof.logits_tolerance:.2g} was allowed, the largest is {proof.logits_largest:.3g})"
        )
    assert describe(proof) == (
        f"{proof.parameters:,} parameters in {proof.dtype}{', LoRA merged' if proof.lora_merged else ''}; "
        f"read back by plain transformers, {logits}, prompts and pixel values the trainer's own; "
        "no record says which base weights it trained on"
    )
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"none differs from those of {compared_with}\nby more than" in card
    assert ("Training held the language model in 4 bits; its adapters are merged" in card) == (
        quantization == "nf4"
    )


def test_hub_names_are_the_cards_base_models(tmp_path: Path) -> None:
    trained = rebuild(tiny_checkpoint(tmp_path / "run"))
    model = ModelConfig(language_model="lmsys/vicuna-7b-v1.5", vision_tower="tiny")
    recipe = trained.recipe.model_copy(update={"model": model})
    facts = exporting._facts(exporting.Trained(**{**vars(trained), "recipe": recipe}))

    assert facts["card_data"].to_dict()["base_model"] == ["lmsys/vicuna-7b-v1.5"]
    assert facts["vision_tower"] == "a tiny random vision tower"
    assert 'vision_tower = "tiny"' in facts["recipe"]


def _swap(state: dict[str, Any]) -> dict[str, Any]:
    layers = "language_model.model.layers"
    first, second = f"{layers}.0.self_attn.q_proj.weight", f"{layers}.1.self_attn.q_proj.weight"
    return {**state, first: state[second], second: state[first]}


def _drop(state: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor for name, tensor in state.items() if name != "multi_modal_projector.linear_2.bias"}


def _nudge(state: dict[str, Any]) -> dict[str, Any]:
    name = "language_model.model.norm.weight"
    return {**state, name: torch.nextafter(state[name], torch.tensor(9.0))}


def _misname(state: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("vision_tower", "vision_tower.tower"): tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_swap, "2 of 80 weights, first model.language_model.layers.0.self_attn.q_proj.weight"),
        (_nudge, "1 of 80 weights, first model.language_model.norm.weight"),
        (_drop, r"missing keys \['model.multi_modal_projector.linear_2.bias'\]"),
        (_misname, "missing keys"),
    ],
)
def test_spoiled_weights_are_caught_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any], Any], named: str
) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run")
    monkeypatch.setattr(
        exporting,
        "save_torch_state_dict",
        lambda state, *args, **more: save_torch_state_dict(spoil(state), *args, **more),
    )
    with pytest.raises(InputError, match=named):
        export(checkpoint, tmp_path / "out")
    assert _nothing_left(tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "good", "bad", "named"),
    [
        ("processor_config.json", '"do_pad": true', '"do_pad": false', "pixel values of a wide image"),
        ("processor_config.json", "0.48145466", "0.48145", "pixel values of a wide image"),
        ("processor_config.json", '_tokens": 1', '_tokens": 0', "the prompt of '<image>"),
        ("chat_template.jinja", "USER: ", "USER:", "the prompt of '<image>"),
        ("chat_template.jinja", "text + eos_token", "text", "list content, whole"),
        ("config.json", '"vision_feature_layer": -2', '"vision_feature_layer": -1', "the logits: by"),
        ("config.json", '"rope_theta": 10000.0', '"rope_theta": 500.0', "the logits: by"),
        ("config.json", '"projector_hidden_act": "gelu"', '"projector_hidden_act": "relu"', "the logits: by"),
    ],
)
def test_spoiled_settings_are_caught_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, good: str, bad: str, named: str
) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run")
    prove = proving.prove

    def prove_spoiled(folder: Path, reference: Any) -> Any:
        text = (folder / name).read_text()
        assert good in text
        (folder / name).write_text(text.replace(good, bad))
        return prove(folder, reference)

    monkeypatch.setattr(exporting, "prove", prove_spoiled)
    with pytest.raises(InputError, match=named):
        export(checkpoint, tmp_path / "out")
    assert _nothing_left(tmp_path / "out")


def test_a_wrong_merge_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run", language_model="lora")
    linear = peft.tuners.lora.Linear
    delta = linear.get_delta_weight
    monkeypatch.setattr(linear, "get_delta_weight", lambda self, name: 1.01 * delta(self, name))

    with pytest.raises(InputError, match=r"moves a layer's output by 0\.0"):
        export(checkpoint, tmp_path / "out")
    assert _nothing_left(tmp_path / "out")


def test_an_earlier_export_is_replaced_and_survives_a_failed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = tiny_checkpoint(tmp_path / "run")
    export(first, out)
    (out / "left over").write_text("of the first")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    monkeypatch.setattr(proving, "_digest", lambda tensor: str(id(tensor)))
    with pytest.raises(InputError, match="differs from the trainer's model"):
        export(tiny_checkpoint(tmp_path / "other", "mistral"), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    monkeypatch.undo()

    export(tiny_checkpoint(tmp_path / "third", "qwen2"), out)
    assert not (out / "left over").exists()
    assert "qwen2" in (out / "config.json").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out", "run", "third"]


def test_a_folder_with_something_else_in_it_is_refused_untouched(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("\\documentclass{book}")

    with pytest.raises(InputError, match="out: holds something that is no export of ours"):
        export(tmp_path / "run", out)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: is not a folder"):
        export(tmp_path / "run", tmp_path / "file")
    with pytest.raises(InputError, match="out: holds something that is no export of ours"):
        check_out(out)
    check_out(tmp_path / "new")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export(tiny_checkpoint(tmp_path / "run"), tmp_path / "out")
    assert (tmp_path / "out" / PROOF).is_file()


def test_what_a_killed_export_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "model.safetensors").write_text("half")
    export(tiny_checkpoint(tmp_path / "run"), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    checkpoint = tiny_checkpoint(tmp_path / "run")
    monkeypatch.setattr(exporting, "save_torch_state_dict", full)
    with pytest.raises(
        InputError, match=r"could not be written \(No space left on device\); nothing of it was left"
    ):
        export(checkpoint, tmp_path / "out")
    assert _nothing_left(tmp_path / "out")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_under_torch_save_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run")
    save = torch.save
    monkeypatch.setattr(torch, "save", lambda tensors, path: save(tensors, "/dev/full"))
    with pytest.raises(
        InputError, match=r"could not be written \(.*disk.*\); nothing of it was left"
    ) as caught:
        export(checkpoint, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert _nothing_left(tmp_path / "out")


def test_other_runtime_errors_pass_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **more: Any) -> None:
        raise RuntimeError("a mistake of ours")

    checkpoint = tiny_checkpoint(tmp_path / "run")
    monkeypatch.setattr(exporting, "save_torch_state_dict", broken)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        export(checkpoint, tmp_path / "out")
    assert _nothing_left(tmp_path / "out")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_are_readable_as_the_umask_says(tmp_path: Path, umask: int, mode: int) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run", language_model="frozen")
    before = os.umask(umask)
    try:
        export(checkpoint, tmp_path / "out")
    finally:
        os.umask(before)

    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {mode}


def test_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder; name a checkpoint-N of a run"):
        export(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="not a checkpoint-N of a run of ours"):
        export(tmp_path / "run", tmp_path / "out")
    assert _nothing_left(tmp_path / "out")


@pytest.mark.parametrize("recorded", ["tiny", "as a path"])
def test_a_run_that_moved_with_its_tiny_base_exports(tmp_path: Path, recorded: str) -> None:
    base = tmp_path / "run" / "base"
    model = ModelConfig(
        language_model=str(factory.write_language_model(base / "language_model")),
        vision_tower=str(factory.write_vision_tower(base / "vision_tower")),
    )
    named = ModelConfig(language_model="tiny", vision_tower="tiny") if recorded == "tiny" else model
    write_checkpoint(tmp_path / "run", model, stage_config(), recorded=named)
    shutil.move(tmp_path / "run", tmp_path / "moved")

    proof = export(tmp_path / "moved" / "finetune" / "checkpoint-7", tmp_path / "out")
    assert proof.logits_difference == 0


def test_a_torn_checkpoint_is_one_line(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run")
    weights = checkpoint / "trained.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])

    with pytest.raises(InputError, match=r"trained\.safetensors: [\d,]+ bytes, [\d,]+ were written"):
        export(checkpoint, tmp_path / "out")
    assert _nothing_left(tmp_path / "out")


def test_a_recipe_of_another_version_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run")
    record = read_record(checkpoint)
    record.recipe["model"]["resampler"] = "perceiver"
    monkeypatch.setattr(exporting, "read_record", lambda checkpoint: record)

    with pytest.raises(InputError, match=r"its recipe is not one that this version reads; .* vitkit 0\.1\.0"):
        export(checkpoint, tmp_path / "out")


@pytest.fixture
def precisions() -> Iterator[dict[str, Any]]:
    """Where PyTorch holds how float32 is multiplied; afterwards as it was."""
    backends = torch.backends
    places: dict[str, Any] = {
        "all": backends,
        "cuda matmul": backends.cuda.matmul,
        "cudnn conv": backends.cudnn.conv,
        "mkldnn matmul": backends.mkldnn.matmul,
    }
    before = [(place, place.fp32_precision) for place in places.values()]
    for place in reversed(places.values()):
        place.fp32_precision = "none"
    yield places
    for place, precision in before:
        place.fp32_precision = precision


@pytest.mark.parametrize(
    "set_to", [{}, {"all": "tf32"}, {"cuda matmul": "tf32"}, {"all": "ieee", "mkldnn matmul": "tf32"}]
)
def test_logits_are_computed_in_full_float32_whatever_the_trainer_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precisions: dict[str, Any], set_to: dict[str, str]
) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run", language_model="lora")
    for name, value in set_to.items():
        precisions[name].fp32_precision = value
    before = {name: place.fp32_precision for name, place in precisions.items()}
    seen = []
    logits = proving._logits

    def watched(*args: Any) -> Any:
        seen.append({place.fp32_precision for place in precisions.values()})
        return logits(*args)

    monkeypatch.setattr(proving, "_logits", watched)
    export(checkpoint, tmp_path / "out")

    assert seen == [{"ieee"}] * 6
    assert {name: place.fp32_precision for name, place in precisions.items()} == before
    precisions["all"].fp32_precision = "tf32"
    if "cuda matmul" not in set_to:
        assert precisions["cuda matmul"].fp32_precision == "tf32", "nothing of its own was left there"


def test_only_what_is_read_of_a_checkpoint_is_hashed(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run")
    record = read_record(checkpoint)
    with Draft(checkpoint.parent, 8) as draft:
        shutil.copy(checkpoint / WEIGHTS, draft.folder)
        (draft.folder / "optimizer.pt").write_bytes(b"moments")
        other = draft.publish(record)
    (other / "optimizer.pt").write_bytes(b"Moments")

    assert rebuild(other).record == record

    weights = bytearray((other / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (other / WEIGHTS).write_bytes(weights)
    with pytest.raises(InputError, match=rf"{WEIGHTS}: not the bytes that were written"):
        rebuild(other)


def _with_base_recorded(checkpoint: Path) -> Path:
    """`checkpoint` again, as checkpoint-8, with a record that knows the frozen weights."""
    trained = rebuild(checkpoint)
    record = trained.record.model_copy(update={"frozen_sha256": frozen_sha256(trained.model)})
    with Draft(checkpoint.parent, 8) as draft:
        shutil.copy(checkpoint / WEIGHTS, draft.folder)
        return draft.publish(record)


@pytest.mark.parametrize("changed", ["language_model", "vision_tower"])
def test_other_base_weights_than_those_of_training_are_refused(tmp_path: Path, changed: str) -> None:
    write: dict[str, Callable[..., Path]] = {
        "language_model": factory.write_language_model,
        "vision_tower": factory.write_vision_tower,
    }
    folders = {part: write_part(tmp_path / part) for part, write_part in write.items()}
    model = ModelConfig(**{part: str(folder) for part, folder in folders.items()})
    stage = stage_config(language_model="lora")
    checkpoint = _with_base_recorded(write_checkpoint(tmp_path / "run", model, stage))
    proof = export(checkpoint, tmp_path / "out")
    assert proof.base_checked and "no record" not in describe(proof)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "The weights that did not train are those of training, by their hash." in card
    shutil.rmtree(tmp_path / "out")

    weights = folders[changed] / "model.safetensors"
    others = {name: tensor + 0.01 for name, tensor in load_file(weights).items()}
    save_file(others, weights, metadata={"format": "pt"})

    with pytest.raises(InputError) as caught:
        export(checkpoint, tmp_path / "out")
    assert str(caught.value) == (
        f"{checkpoint}: the base weights (language_model {folders['language_model']}, vision_tower "
        f"{folders['vision_tower']}) are not those that the checkpoint was trained on; put those back"
    )
    assert _nothing_left(tmp_path / "out")
