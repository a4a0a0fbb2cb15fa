"""Composing a LLaVA: what is loaded is what is there, and what does not fit is refused in one line."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoProcessor,
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPImageProcessorPil,
    CLIPVisionModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlavaForConditionalGeneration,
    SiglipImageProcessorPil,
    SiglipVisionModel,
)

from tests.train import factory
from train.config import ModelConfig
from train.conversation import Encoder, audit_labels, get_format
from train.model import (
    build_model,
    check_parts,
    context_length,
    features_per_image,
    image_size,
    load_processor,
)
from train.records import InputError

TEMPLATE = "{{ messages }}"
SIZES = [(40, 24), (24, 40), (33, 16), (17, 31), (32, 32), (16, 16), (9, 5)]


def build(config: ModelConfig, precision: str = "fp32", seed: int = 0) -> tuple[Any, Any]:
    processor = load_processor(config, "pad", TEMPLATE)
    return processor, build_model(config, processor, precision=precision, quantization="none", seed=seed)


def inputs(processor: Any, n_images: int = 2) -> dict[str, torch.Tensor]:
    """One image a row, with words before and after it."""
    words = processor.tokenizer.encode("the man in the kitchen", add_special_tokens=False)
    row = [*words, *[processor.image_token_id] * features_per_image(processor), *words]
    images = [factory.picture(20, 30, seed) for seed in range(n_images)]
    pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"]
    return {"input_ids": torch.tensor([row] * n_images), "pixel_values": pixels}


def tower_processor(kind: str) -> Any:
    published = CLIPImageProcessorPil if kind == "clip" else SiglipImageProcessorPil
    return published.from_pretrained(factory.vision_tower(kind))


def pad_as_llava_does(image: Image.Image, mean: list[float]) -> Image.Image:
    """LLaVA's pad, written again from its description: the image centred on a square of the mean colour."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), tuple(int(value * 255) for value in mean))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


# Images


@pytest.mark.parametrize("kind", factory.TOWERS)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pad_is_bit_by_bit_what_llava_does_before_the_towers_own_processor(
    kind: str, width: int, height: int
) -> None:
    image = factory.picture(width, height)
    processor = load_processor(factory.model_config(kind=kind), "pad", TEMPLATE)
    theirs = tower_processor(kind)
    expected = theirs(pad_as_llava_does(image, theirs.image_mean), return_tensors="pt")["pixel_values"]
    assert torch.equal(processor.image_processor(image, return_tensors="pt")["pixel_values"], expected)


@pytest.mark.parametrize("kind", factory.TOWERS)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_square_is_bit_by_bit_the_towers_own_processor(kind: str, width: int, height: int) -> None:
    image = factory.picture(width, height)
    processor = load_processor(factory.model_config(kind=kind), "square", TEMPLATE)
    expected = tower_processor(kind)(image, return_tensors="pt")["pixel_values"]
    assert torch.equal(processor.image_processor(image, return_tensors="pt")["pixel_values"], expected)


def test_mean_deviation_and_resampling_are_the_towers(tmp_path: Path) -> None:
    tower = factory.write_vision_tower(tmp_path / "tower")
    path = tower / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    settings |= {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], "resample": 2}
    path.write_text(json.dumps(settings))
    config = ModelConfig(language_model=str(factory.language_model()), vision_tower=str(tower))
    processor = load_processor(config, "pad", TEMPLATE).image_processor
    assert (list(processor.image_mean), list(processor.image_std)) == ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    assert processor.resample == 2
    image = factory.picture(40, 24)
    theirs = CLIPImageProcessorPil.from_pretrained(tower)
    expected = theirs(pad_as_llava_does(image, [0.1, 0.2, 0.3]), return_tensors="pt")["pixel_values"]
    assert torch.equal(processor(image, return_tensors="pt")["pixel_values"], expected)


def test_a_preprocessor_config_of_the_first_clips_is_read(tmp_path: Path) -> None:
    # openai/clip-vit-large-patch14 gives sizes as plain numbers.
    tower = factory.write_vision_tower(tmp_path / "tower")
    path = tower / "preprocessor_config.json"
    settings = json.loads(path.read_text()) | {"size": 16, "crop_size": 16}
    path.write_text(json.dumps(settings))
    config = ModelConfig(language_model=str(factory.language_model()), vision_tower=str(tower))
    assert image_size(load_processor(config, "pad", TEMPLATE)) == 16


@pytest.mark.parametrize("kind", factory.TOWERS)
@pytest.mark.parametrize("aspect", ["pad", "square"])
def test_a_saved_processor_reads_back_the_same(kind: str, aspect: str, tmp_path: Path) -> None:
    processor = load_processor(factory.model_config(kind=kind), aspect, TEMPLATE)
    processor.save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    image = factory.picture(40, 24)
    for key in (
        "patch_size",
        "vision_feature_select_strategy",
        "num_additional_image_tokens",
        "image_token_id",
    ):
        assert getattr(again, key) == getattr(processor, key)
    assert again.chat_template == again.tokenizer.chat_template == TEMPLATE
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    assert torch.equal(
        again.image_processor(image, return_tensors="pt")["pixel_values"],
        processor.image_processor(image, return_tensors="pt")["pixel_values"],
    )
    alone = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    assert type(alone) is type(processor.image_processor)


@pytest.mark.parametrize(
    ("kind", "select", "strategy", "additional", "features"),
    [
        ("clip", "patch", "default", 1, 4),
        ("clip", "cls_patch", "full", 1, 5),
        ("siglip", "patch", "full", 0, 4),
        ("siglip", "cls_patch", "full", 0, 4),
    ],
)
def test_features_are_counted_with_and_without_the_cls_token(
    kind: str, select: str, strategy: str, additional: int, features: int
) -> None:
    processor = load_processor(factory.model_config(kind=kind, feature_select=select), "pad", TEMPLATE)
    assert processor.vision_feature_select_strategy == strategy
    assert processor.num_additional_image_tokens == additional
    assert features_per_image(processor) == features
    assert image_size(processor) == 16


def test_patches_that_do_not_fill_the_image_are_counted_as_the_tower_does(tmp_path: Path) -> None:
    # As SigLIP so400m: 384 pixels in patches of 14 are 27 x 27.
    tower = factory.write_vision_tower(tmp_path / "tower", "siglip", image_size=20, patch_size=7)
    config = ModelConfig(language_model=str(factory.language_model()), vision_tower=str(tower))
    processor, model = build(config)
    assert features_per_image(processor) == 4
    assert model(**inputs(processor)).logits.isfinite().all()


# Tokenizers


@pytest.mark.parametrize("family", [*factory.FAMILIES, "llama_3"])
def test_image_and_pad_are_single_tokens_of_their_own(family: str) -> None:
    before = AutoTokenizer.from_pretrained(factory.language_model(family))
    tokenizer = load_processor(factory.model_config(family), "pad", TEMPLATE).tokenizer
    assert tokenizer.encode("<image>", add_special_tokens=False) == [len(before)]
    assert tokenizer.pad_token_id not in {
        tokenizer.eos_token_id,
        tokenizer.bos_token_id,
        tokenizer.unk_token_id,
        len(before),
    }
    assert tokenizer.padding_side == "right"
    assert tokenizer.decode([len(before), tokenizer.pad_token_id], skip_special_tokens=True) == ""
    assert {**before.get_vocab(), "<image>": len(before)}.items() <= tokenizer.get_vocab().items()
    # The special tokens that it had are still special.
    assert set(before.all_special_tokens) <= set(tokenizer.all_special_tokens)


def test_a_pad_token_of_its_own_is_kept() -> None:
    tokenizer = load_processor(factory.model_config("qwen3"), "pad", TEMPLATE).tokenizer
    assert (tokenizer.pad_token, "<pad>" in tokenizer.get_vocab()) == ("<|endoftext|>", False)


@pytest.mark.parametrize("taken", ["eos_token", "bos_token", "unk_token"])
def test_a_pad_token_that_is_another_token_is_replaced(taken: str, tmp_path: Path) -> None:
    folder = shutil.copytree(factory.language_model(), tmp_path / "llm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = getattr(tokenizer, taken)
    tokenizer.save_pretrained(folder)
    config = ModelConfig(language_model=str(folder), vision_tower=str(factory.vision_tower()))
    changed = load_processor(config, "pad", TEMPLATE).tokenizer
    assert changed.pad_token == "<pad>"
    assert getattr(changed, taken) == getattr(tokenizer, taken)


@pytest.mark.parametrize("special", [True, False])
def test_an_image_token_that_is_there_already_keeps_its_id(special: bool, tmp_path: Path) -> None:
    folder = shutil.copytree(factory.language_model(), tmp_path / "llm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<image>"], special_tokens=special)
    tokenizer.add_tokens(["after"])
    tokenizer.save_pretrained(folder)
    config = ModelConfig(language_model=str(folder), vision_tower=str(factory.vision_tower()))
    processor = load_processor(config, "pad", TEMPLATE)
    assert processor.image_token_id == tokenizer.convert_tokens_to_ids("<image>")
    assert len(processor.tokenizer) == len(tokenizer) + 1  # the pad token
    assert processor.tokenizer.encode("a<image>", add_special_tokens=False)[-1] == processor.image_token_id


def test_the_language_models_own_chat_template_does_not_travel_beside_ours(tmp_path: Path) -> None:
    folder = shutil.copytree(factory.language_model(), tmp_path / "llm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "theirs"
    tokenizer.save_pretrained(folder)
    config = ModelConfig(language_model=str(folder), vision_tower=str(factory.vision_tower()))
    processor = load_processor(config, "pad", TEMPLATE)
    assert (processor.chat_template, processor.tokenizer.chat_template) == (TEMPLATE, TEMPLATE)
    processor.save_pretrained(tmp_path / "saved")
    assert not any("theirs" in path.read_text() for path in (tmp_path / "saved").iterdir())


def write_as_vicuna_is_published(folder: Path, tokenizer_model: bytes) -> ModelConfig:
    """A tiny Llama with a `tokenizer.model`, a tokenizer_config.json as Vicuna's and no tokenizer.json."""
    factory.write_language_model(folder)
    for path in folder.glob("*token*"):
        path.unlink()
    (folder / "tokenizer.model").write_bytes(tokenizer_model)
    special = {"__type": "AddedToken", "lstrip": False, "normalized": False, "rstrip": False}
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": special | {"content": "<s>"},
        "eos_token": special | {"content": "</s>"},
        "unk_token": special | {"content": "<unk>"},
        "pad_token": None,
        "legacy": False,
        "model_max_length": 4096,
        "sp_model_kwargs": {},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return ModelConfig(language_model=str(folder), vision_tower=str(factory.vision_tower()))


def test_a_sentencepiece_model_is_read_as_the_same_tokenizer_and_passes_the_audit(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    trained = io.BytesIO()
    # As Llama's was trained.
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(factory.TEXTS),
        model_writer=trained,
        model_type="bpe",
        vocab_size=600,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    config = write_as_vicuna_is_published(tmp_path / "llm", trained.getvalue())
    vicuna = get_format("vicuna_v1")
    processor = load_processor(config, "pad", vicuna.template)
    tokenizer = processor.tokenizer
    assert tokenizer.is_fast
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", "</s>", "<pad>")
    original = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    for text in (*factory.TEXTS, "日本 🙂 two  spaces,\n\ttab 12.5"):
        assert tokenizer.encode(text, add_special_tokens=False) == original.encode(text)
    features = features_per_image(processor)
    audit_labels(
        Encoder(
            tokenizer,
            vicuna,
            image_token_id=processor.image_token_id,
            features_per_image=features,
            max_length=512,
        )
    )


@pytest.mark.parametrize(
    ("installed", "absent"),
    [
        ((False, True), "sentencepiece"),
        ((True, False), "protobuf"),
        ((False, False), "sentencepiece protobuf"),
    ],
)
def test_what_a_tokenizer_model_needs_and_is_not_installed_is_named(
    installed: tuple[bool, bool], absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_as_vicuna_is_published(tmp_path / "llm", b"not read")
    monkeypatch.setattr("train.model.is_sentencepiece_available", lambda: installed[0])
    monkeypatch.setattr("train.model.is_protobuf_available", lambda: installed[1])
    assert refused(config) == (
        f"language_model {tmp_path / 'llm'}: has a tokenizer.model and no tokenizer.json; to convert it "
        f"takes {absent.replace(' ', ' and ')}, not installed here: pip install {absent}"
    )


def test_a_tokenizer_model_that_is_not_sentencepieces_is_refused_with_the_reason(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    # In tiktoken's format, as Meta's own Llama 3 has it.
    ranks = "".join(f"{letter}Q== {rank}\n" for rank, letter in enumerate("IJKLMNOPQRSTUVWXYZ"))
    config = write_as_vicuna_is_published(tmp_path / "llm", ranks.encode())
    message = refused(config)
    assert message.startswith(
        f"language_model {tmp_path / 'llm'}: has a tokenizer.model and no tokenizer.json, and it cannot be "
        "converted (Error parsing message"
    )
    assert message.endswith(
        "; put a tokenizer.json beside its config.json, as AutoTokenizer.from_pretrained(...)."
        "save_pretrained(...) writes one where the tokenizer can be read (docs/training.md)"
    )


# Weights


@pytest.mark.parametrize("kind", factory.TOWERS)
@pytest.mark.parametrize("family", [*factory.FAMILIES, "llama_3"])
def test_every_weight_is_the_loaded_one(family: str, kind: str) -> None:
    config = factory.model_config(family, kind)
    _, model = build(config)
    built = model.state_dict()
    language_model = AutoModelForCausalLM.from_pretrained(config.language_model, dtype=torch.float32)
    tower_class = CLIPVisionModel if kind == "clip" else SiglipVisionModel
    tower = tower_class.from_pretrained(config.vision_tower, dtype=torch.float32)
    expected = {f"model.vision_tower.{name}": value for name, value in tower.state_dict().items()}
    for name, value in language_model.state_dict().items():
        inside = name.removeprefix("model.")
        expected["lm_head.weight" if name == "lm_head.weight" else f"model.language_model.{inside}"] = value
    assert set(built) == {*expected} | {
        f"model.multi_modal_projector.linear_{n}.{kind}" for n in (1, 2) for kind in ("weight", "bias")
    }
    for name, value in expected.items():
        assert torch.equal(built[name][: len(value)], value), name


@pytest.mark.parametrize("kind", factory.TOWERS)
def test_the_tower_is_taken_out_of_a_model_of_images_and_texts(kind: str, tmp_path: Path) -> None:
    whole = factory.write_vision_tower(tmp_path / "whole", kind, whole=True)
    stored = load_file(whole / "model.safetensors")
    config = ModelConfig(language_model=str(factory.language_model()), vision_tower=str(whole))
    _, model = build(config)
    ours = model.model.vision_tower.state_dict()
    prefix = "vision_model."
    theirs = {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("family", ["llama", "mistral", "llama_3"])
def test_an_embedding_too_small_grows_to_a_multiple_of_64_by_the_mean_row(family: str) -> None:
    stored = load_file(factory.language_model(family) / "model.safetensors")
    processor, model = build(factory.model_config(family))
    old = stored["model.embed_tokens.weight"].shape[0]
    rows = -(-len(processor.tokenizer) // 64) * 64
    assert rows > old
    for name, weight in (
        ("model.embed_tokens.weight", model.get_input_embeddings().weight),
        ("lm_head.weight", model.lm_head.weight),
    ):
        assert weight.shape[0] == rows
        assert torch.equal(weight[:old], stored[name])
        assert torch.equal(weight[old:], stored[name].mean(dim=0).expand(rows - old, -1))
    assert model.config.text_config.vocab_size == rows


def test_an_embedding_with_room_is_left_as_it_is() -> None:
    stored = load_file(factory.language_model("qwen2") / "model.safetensors")["model.embed_tokens.weight"]
    _, model = build(factory.model_config("qwen2"))
    assert torch.equal(model.get_input_embeddings().weight, stored)
    assert model.config.text_config.vocab_size == len(stored) == 512


@pytest.mark.parametrize("room", [True, False])
def test_tied_embeddings_stay_tied(room: bool, tmp_path: Path) -> None:
    family = "qwen2" if room else "llama"
    folder = factory.write_language_model(tmp_path / "llm", family, tied=True)
    config = ModelConfig(language_model=str(folder), vision_tower=str(factory.vision_tower()))
    _, model = build(config)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert model.config.tie_word_embeddings
    model.save_pretrained(tmp_path / "saved")
    again = LlavaForConditionalGeneration.from_pretrained(tmp_path / "saved")
    assert again.lm_head.weight is again.get_input_embeddings().weight


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("kind", factory.TOWERS)
def test_transformers_reads_the_model_back_with_the_same_logits(
    family: str, kind: str, tmp_path: Path
) -> None:
    processor, model = build(factory.model_config(family, kind))
    model.save_pretrained(tmp_path)
    again, report = LlavaForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert (set(report["missing_keys"]), set(report["unexpected_keys"])) == (set(), set())
    batch = inputs(processor)
    with torch.no_grad():
        assert torch.equal(model.eval()(**batch).logits, again.eval()(**batch).logits)
    assert "/" not in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize("select", ["patch", "cls_patch"])
@pytest.mark.parametrize("projector", ["linear", "mlp2x_gelu"])
@pytest.mark.parametrize("kind", factory.TOWERS)
@pytest.mark.parametrize("family", factory.FAMILIES)
def test_an_image_takes_as_many_positions_as_the_processor_says(
    family: str, kind: str, projector: str, select: str
) -> None:
    config = factory.model_config(family, kind, projector=projector, feature_select=select)
    processor, model = build(config)
    batch = inputs(processor)
    # transformers counts over the batch only; shapes here are per image.
    features = model.get_image_features(pixel_values=batch["pixel_values"]).pooler_output
    assert [list(image.shape) for image in features] == [[features_per_image(processor), 64]] * 2
    output = model(**batch, labels=batch["input_ids"])
    assert output.logits.shape == (*batch["input_ids"].shape, model.config.text_config.vocab_size)
    assert output.loss.isfinite()
    # The picture matters: another one gives other logits after it.
    with torch.no_grad():
        other = model(input_ids=batch["input_ids"], pixel_values=batch["pixel_values"].flip(0)).logits
    assert not torch.allclose(output.logits[:, -1], other[:, -1])


# The projector


def test_the_projector_follows_the_seed_alone_and_leaves_random_state_as_it_was() -> None:
    config = factory.model_config()
    processor = load_processor(config, "pad", TEMPLATE)

    def projector(seed: int, before: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(before)
        model = build_model(config, processor, precision="fp32", quantization="none", seed=seed)
        drawn = torch.rand(3)
        torch.manual_seed(before)
        assert torch.equal(drawn, torch.rand(3))
        state: dict[str, torch.Tensor] = model.model.multi_modal_projector.state_dict()
        return state

    one, same, other = projector(1, before=10), projector(1, before=11), projector(2, before=10)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
    # PyTorch's own initialization, as in LLaVA: uniform within 1 / sqrt(width in).
    assert one["linear_1.weight"].abs().max() <= 24**-0.5
    assert one["linear_1.weight"].abs().max() > 0.9 * 24**-0.5


def test_a_linear_projector_is_exactly_one_linear_layer() -> None:
    _, model = build(factory.model_config(projector="linear"))
    projector = model.model.multi_modal_projector
    features = torch.randn(2, 4, 24)
    assert torch.equal(projector(features), projector.linear_1(features))
    assert model.config.projector_hidden_act == "linear"


def test_the_projector_is_float32_beside_bf16_parts() -> None:
    _, model = build(factory.model_config(), precision="bf16")
    assert {parameter.dtype for parameter in model.model.vision_tower.parameters()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.model.language_model.parameters()} == {torch.bfloat16}
    assert model.lm_head.weight.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in model.model.multi_modal_projector.parameters()} == {
        torch.float32
    }
    assert model.config.dtype == torch.bfloat16


# Configuration


def test_the_configuration_says_what_was_composed() -> None:
    processor, model = build(factory.model_config(feature_layer=-1, feature_select="cls_patch"))
    config = model.config
    assert config.image_token_id == config.image_token_index == processor.image_token_id == 560
    assert config.pad_token_id == config.text_config.pad_token_id == processor.tokenizer.pad_token_id == 561
    assert config.image_seq_length == features_per_image(processor) == 5
    assert config.vision_feature_layer == -1
    assert config.vision_feature_select_strategy == processor.vision_feature_select_strategy == "full"
    assert config.projector_hidden_act == "gelu"
    # One config, not copies: what the trainer sets at the top holds in the parts.
    assert model.model.vision_tower.config is config.vision_config
    assert model.model.language_model.config is config.text_config


def test_no_cache_at_the_top_nor_in_the_language_model() -> None:
    _, model = build(factory.model_config())
    assert (model.config.use_cache, model.config.text_config.use_cache) == (False, False)
    assert model(input_ids=torch.tensor([[5, 6, 7]])).past_key_values is None


def test_samples_of_one_row_do_not_see_each_other_when_positions_restart() -> None:
    _, model = build(factory.model_config())
    model.eval()
    first, second = torch.tensor([[300, 301, 302]]), torch.tensor([[310, 311, 312, 313]])
    packed = torch.cat([first, second], dim=1)
    positions = torch.tensor([[0, 1, 2, 0, 1, 2, 3]])
    with torch.no_grad():
        together = model(input_ids=packed, position_ids=positions).logits
        alone = model(input_ids=second).logits
    assert torch.allclose(together[:, 3:], alone, atol=1e-5)


def test_generation_ends_where_the_language_model_or_the_tokenizer_ends(tmp_path: Path) -> None:
    folder = shutil.copytree(factory.language_model("llama_3"), tmp_path / "llm")
    # Llama 3 Instruct ends at three tokens. Vicuna's sampling settings cannot be saved by transformers 5.
    settings = {"eos_token_id": [1, 4], "temperature": 0.9, "top_p": 0.6, "bos_token_id": 0}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    config = ModelConfig(language_model=str(folder), vision_tower=str(factory.vision_tower()))
    processor, model = build(config)
    generation = model.generation_config
    assert generation.eos_token_id == [1, 4]
    assert generation.bos_token_id == 0
    assert generation.pad_token_id == processor.tokenizer.pad_token_id
    model.save_pretrained(tmp_path / "saved")


def test_context_length_is_the_language_models(tmp_path: Path) -> None:
    folder = factory.write_language_model(tmp_path / "llm", context=96)
    config = ModelConfig(language_model=str(folder), vision_tower=str(factory.vision_tower()))
    _, model = build(config)
    assert (context_length(config), context_length(model)) == (96, 96)


@pytest.mark.parametrize("kind", factory.TOWERS)
@pytest.mark.parametrize("layer", [-3, -2, -1, 1, 2, 3])
def test_the_output_of_the_named_layer_is_projected(layer: int, kind: str) -> None:
    processor, model = build(factory.model_config(kind=kind, feature_layer=layer))
    pixels = inputs(processor)["pixel_values"]
    outputs: list[torch.Tensor] = []
    block = model.model.vision_tower.encoder.layers[layer - 1 if layer > 0 else layer]
    with block.register_forward_hook(lambda module, given, output: outputs.append(output)):
        features = torch.stack(list(model.get_image_features(pixel_values=pixels).pooler_output))
    patches = outputs[0][:, 1:] if kind == "clip" else outputs[0]
    assert torch.equal(features, model.model.multi_modal_projector(patches))


# What cannot be composed

CONVERT_ONCE = (
    "no model.safetensors nor model.safetensors.index.json (weights in other formats can carry code, so they "
    "are not read); convert it once with save_pretrained, as docs/training.md shows, and name the new folder"
)


def refused(config: ModelConfig, *, building: bool = False) -> str:
    """The message of the InputError that the config ends in."""
    with pytest.raises(InputError) as caught:
        processor = load_processor(config, "pad", TEMPLATE)
        if building:
            build_model(config, processor, precision="fp32", quantization="none", seed=0)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("layer", [-4, 0, 4, 24])
def test_a_feature_layer_beyond_the_tower_is_refused(layer: int) -> None:
    config = factory.model_config(feature_layer=layer)
    assert refused(config, building=True) == (
        f"feature_layer {layer}: {config.vision_tower} has 3 layers, so it must be from 1 to 3, "
        "or from -3 to -1 counted from the end"
    )


def test_a_tower_and_a_preprocessor_of_different_sizes_are_refused(tmp_path: Path) -> None:
    tower = factory.write_vision_tower(tmp_path / "tower", image_size=16)
    square = {"height": 24, "width": 24}
    CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=square).save_pretrained(tower)
    config = ModelConfig(language_model=str(factory.language_model()), vision_tower=str(tower))
    assert refused(config) == (
        f"vision_tower {tower}: preprocessor_config.json makes images of 24 pixels, but config.json says "
        "image_size 16; they must be the same"
    )


def test_a_tower_without_a_preprocessor_config_is_refused(tmp_path: Path) -> None:
    tower = factory.write_vision_tower(tmp_path / "tower")
    (tower / "preprocessor_config.json").unlink()
    config = ModelConfig(language_model=str(factory.language_model()), vision_tower=str(tower))
    message = refused(config)
    assert message.startswith(f"vision_tower {tower}: no preprocessor_config.json that can be read (")
    assert message.endswith("; put the one that the tower was trained with beside its weights")


@pytest.mark.parametrize("role", ["vision_tower", "language_model"])
def test_a_model_that_is_nowhere_is_refused(role: str) -> None:
    config = factory.model_config().model_copy(update={role: "nobody/no-such-model"})
    assert refused(config).startswith(
        f"{role} nobody/no-such-model: no such folder, and no model of that name could be reached on the hub"
    )


@pytest.mark.parametrize("role", ["vision_tower", "language_model"])
def test_a_folder_that_is_no_model_is_refused(role: str, tmp_path: Path) -> None:
    config = factory.model_config().model_copy(update={role: str(tmp_path)})
    assert refused(config) == f"{role} {tmp_path}: the folder has no config.json, so it is not a model's"


@pytest.mark.parametrize("role", ["vision_tower", "language_model"])
def test_a_model_with_code_of_its_own_is_refused_and_its_code_not_run(role: str, tmp_path: Path) -> None:
    marker = tmp_path / "was_run"
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"model_type": "their_own", "auto_map": {"AutoConfig": "theirs.TheirConfig"}})
    )
    (folder / "theirs.py").write_text(f"open({str(marker)!r}, 'w')\n")
    config = factory.model_config().model_copy(update={role: str(folder)})
    assert refused(config) == (
        f"{role} {folder}: the model needs code of its own (trust_remote_code), which is never run"
    )
    assert not marker.exists()


def test_a_kind_of_model_that_transformers_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "of_tomorrow"}))
    config = factory.model_config().model_copy(update={"language_model": str(tmp_path)})
    assert "cannot load the model" in refused(config)


def test_a_tower_that_is_no_clip_nor_siglip_is_refused() -> None:
    folder = factory.language_model()
    config = factory.model_config().model_copy(update={"vision_tower": str(folder)})
    assert refused(config) == (
        f"vision_tower {folder}: is a llama model; it must be a CLIP or SigLIP vision model"
    )


@pytest.mark.parametrize("kind", factory.TOWERS)
def test_a_language_model_that_is_not_causal_is_refused(kind: str) -> None:
    folder = factory.vision_tower(kind)
    config = factory.model_config().model_copy(update={"language_model": str(folder)})
    assert refused(config) == (
        f"language_model {folder}: is a {kind}_vision_model model; it must be a causal language model"
    )


@pytest.mark.parametrize("role", ["vision_tower", "language_model"])
def test_weights_that_are_no_safetensors_are_refused(role: str, tmp_path: Path) -> None:
    source = factory.vision_tower() if role == "vision_tower" else factory.language_model()
    folder = shutil.copytree(source, tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    config = factory.model_config().model_copy(update={role: str(folder)})
    assert refused(config, building=True) == f"{role} {folder}: {CONVERT_ONCE}"


@pytest.mark.parametrize("role", ["vision_tower", "language_model"])
@pytest.mark.parametrize("spoiled", ["missing", "reshaped"])
def test_a_weight_that_is_missing_or_of_another_shape_is_refused_by_name(
    role: str, spoiled: str, tmp_path: Path
) -> None:
    source = factory.vision_tower() if role == "vision_tower" else factory.language_model()
    folder = shutil.copytree(source, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in sorted(weights) if "layers.1" in name and name.endswith("weight"))
    weight = weights.pop(name)
    if spoiled == "reshaped":
        weights[name] = torch.zeros(weight.shape[0] + 1, *weight.shape[1:])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = factory.model_config().model_copy(update={role: str(folder)})
    message = refused(config, building=True)
    assert message.startswith(f"{role} {folder}: ")
    assert name.removeprefix("vision_model.") in message


def test_a_truncated_weights_file_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(factory.language_model(), tmp_path / "model")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    config = factory.model_config().model_copy(update={"language_model": str(folder)})
    assert refused(config, building=True).startswith(
        f"language_model {folder}: model.safetensors is damaged or incomplete ("
    )


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(factory.language_model(), tmp_path / "model")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    config = factory.model_config().model_copy(update={"language_model": str(folder)})
    assert "cannot load the tokenizer" in refused(config)


def test_a_language_model_that_scales_its_logits_is_refused(tmp_path: Path) -> None:
    tokenizer = factory.write_tokenizer(tmp_path)
    scaled = GraniteConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        logits_scaling=8.0,
        tie_word_embeddings=False,
    )
    GraniteForCausalLM(scaled).save_pretrained(tmp_path)
    config = factory.model_config().model_copy(update={"language_model": str(tmp_path)})
    assert "does more to its logits than transformers' LLaVA would" in refused(config, building=True)


def test_an_encoder_is_refused_as_a_language_model(tmp_path: Path) -> None:
    tokenizer = factory.write_tokenizer(tmp_path)
    encoder = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    BertModel(encoder).save_pretrained(tmp_path)
    config = factory.model_config().model_copy(update={"language_model": str(tmp_path)})
    assert refused(config, building=True).startswith(f"language_model {tmp_path}: ")


def test_nf4_without_bitsandbytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = factory.model_config()
    processor = load_processor(config, "pad", TEMPLATE)
    with pytest.raises(InputError, match="nf4 needs bitsandbytes, which is not installed"):
        build_model(config, processor, precision="bf16", quantization="nf4", seed=0)


# What is checked before anything else


def unready(config: ModelConfig, quantization: str = "none") -> str:
    """The message of the InputError that check_parts ends in."""
    with pytest.raises(InputError) as caught:
        check_parts(config, quantization)
    message = str(caught.value)
    assert "\n" not in message
    return message


def own_parts(folder: Path) -> ModelConfig:
    """A tower, and a language model in several files, to be spoiled."""
    language_model = factory.write_language_model(folder / "llm")
    model = AutoModelForCausalLM.from_pretrained(language_model)
    (language_model / "model.safetensors").unlink()
    model.save_pretrained(language_model, max_shard_size="50KB")
    return ModelConfig(
        language_model=str(language_model), vision_tower=str(factory.write_vision_tower(folder / "tower"))
    )


def into_cache(cache: Path, name: str, files: Path) -> Path:
    """Lay `files` into a hub cache as the model `name`; returns where they lie."""
    entry = cache / f"models--{name.replace('/', '--')}"
    (entry / "refs").mkdir(parents=True)
    (entry / "refs" / "main").write_text("a" * 40)
    return Path(shutil.copytree(files, entry / "snapshots" / ("a" * 40)))


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ModelConfig, Path, Path]:
    """Hub names, with the hub out of reach; and where tower and language model lie in its cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    parts = own_parts(tmp_path)
    return (
        ModelConfig(language_model="nobody/llm", vision_tower="nobody/tower"),
        into_cache(tmp_path / "cache", "nobody/tower", Path(parts.vision_tower)),
        into_cache(tmp_path / "cache", "nobody/llm", Path(parts.language_model)),
    )


def answers_with(*files: str) -> Any:
    """A hub that says that every model has these files."""
    return lambda name, timeout: SimpleNamespace(siblings=[SimpleNamespace(rfilename=file) for file in files])


@pytest.mark.parametrize("kind", factory.TOWERS)
def test_parts_that_are_all_there_pass(kind: str, tmp_path: Path) -> None:
    check_parts(factory.model_config(kind=kind), "none")
    check_parts(own_parts(tmp_path), "none")


def test_parts_in_the_hubs_cache_pass_without_the_hub(cached: tuple[ModelConfig, Path, Path]) -> None:
    check_parts(cached[0], "none")


def test_parts_that_the_run_makes_are_passed_over() -> None:
    check_parts(ModelConfig(language_model="tiny", vision_tower="tiny"), "none")


def test_no_weights_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = own_parts(tmp_path)
    for folder in (config.language_model, config.vision_tower):
        for path in Path(folder).glob("*.safetensors"):
            whole = path.read_bytes()
            header = 8 + int.from_bytes(whole[:8], "little")
            path.write_bytes(whole[:header] + b"\xff" * (len(whole) - header))
    check_parts(config, "none")


@pytest.mark.parametrize("role", ["vision_tower", "language_model"])
def test_each_part_needs_its_config(role: str, tmp_path: Path) -> None:
    config = own_parts(tmp_path)
    folder = Path(getattr(config, role))
    (folder / "config.json").unlink()
    assert unready(config) == f"{role} {folder}: the folder has no config.json, so it is not a model's"


def test_the_tower_needs_its_image_settings_and_the_feature_layer(tmp_path: Path) -> None:
    config = own_parts(tmp_path)
    message = unready(config.model_copy(update={"feature_layer": -9}))
    assert message.startswith("feature_layer -9: ")
    (Path(config.vision_tower) / "preprocessor_config.json").unlink()
    assert unready(config).startswith(f"vision_tower {config.vision_tower}: no preprocessor_config.json that")


@pytest.mark.parametrize("role", ["vision_tower", "language_model"])
def test_each_part_needs_safetensors(role: str, tmp_path: Path) -> None:
    config = own_parts(tmp_path)
    folder = Path(getattr(config, role))
    for path in folder.glob("model*.safetensors*"):
        path.unlink()
    (folder / "pytorch_model.bin").touch()
    assert unready(config) == f"{role} {folder}: {CONVERT_ONCE}"


def test_every_shard_is_needed_and_the_first_missing_one_named(tmp_path: Path) -> None:
    config = own_parts(tmp_path)
    shards = sorted(Path(config.language_model).glob("model-*.safetensors"))
    assert len(shards) >= 3
    shards[1].unlink()
    shards[2].unlink()
    assert unready(config) == (
        f"language_model {config.language_model}: no {shards[1].name} (2 of {len(shards)} weights files are "
        "missing)"
    )


@pytest.mark.parametrize("left", [0, 100, -1])
def test_a_shard_cut_short_is_refused(left: int, tmp_path: Path) -> None:
    config = own_parts(tmp_path)
    shard = min(Path(config.language_model).glob("model-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:left])
    assert unready(config).startswith(
        f"language_model {config.language_model}: {shard.name} is damaged or incomplete ("
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}'])
def test_an_index_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    config = own_parts(tmp_path)
    (Path(config.language_model) / "model.safetensors.index.json").write_text(text)
    assert unready(config).startswith(
        f"language_model {config.language_model}: model.safetensors.index.json cannot be read ("
    )


def test_weights_that_only_the_hub_has_are_asked_of_it(
    cached: tuple[ModelConfig, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, tower, llm = cached
    (tower / "model.safetensors").unlink()
    assert unready(config).startswith(
        "vision_tower nobody/tower: the hub's local cache has not all of its weights (no model.safetensors "
        "nor model.safetensors.index.json), and the hub cannot be reached ("
    )
    monkeypatch.setattr("train.model.model_info", answers_with("config.json", "model.safetensors"))
    check_parts(config, "none")
    min(llm.glob("model-*.safetensors")).unlink()
    monkeypatch.setattr("train.model.model_info", answers_with("model.safetensors.index.json"))
    check_parts(config, "none")


@pytest.mark.parametrize("role", ["vision_tower", "language_model"])
def test_a_hub_name_without_safetensors_is_to_be_converted_not_looked_for(
    role: str, cached: tuple[ModelConfig, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, tower, llm = cached
    for path in (tower if role == "vision_tower" else llm).glob("model*.safetensors*"):
        path.unlink()
    monkeypatch.setattr("train.model.model_info", answers_with("config.json", "pytorch_model.bin"))
    assert unready(config) == f"{role} {getattr(config, role)}: {CONVERT_ONCE}"
    assert refused(config, building=True) == f"{role} {getattr(config, role)}: {CONVERT_ONCE}"


def test_a_tokenizer_missing_from_the_hubs_cache_is_not_called_a_missing_model(
    cached: tuple[ModelConfig, Path, Path],
) -> None:
    config, _, llm = cached
    for path in llm.glob("*token*"):
        path.unlink()
    message = refused(config)
    assert message.startswith("language_model nobody/llm: transformers ")
    assert "cannot load the tokenizer (" in message


def test_a_gated_model_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, trust_remote_code: bool) -> None:
        raise OSError("You are trying to access a gated repo.\nMake sure to have access to it at ...")

    monkeypatch.setattr("train.model.AutoConfig.from_pretrained", refuse)
    config = factory.model_config().model_copy(update={"language_model": "meta/llama"})
    assert unready(config.model_copy(update={"vision_tower": "tiny"})) == (
        "language_model meta/llama: the model is gated: accept its terms on the hub, then log in with "
        "`hf auth login`"
    )


def test_nf4_needs_bitsandbytes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert unready(factory.model_config(), "nf4") == (
        "quantization nf4 needs bitsandbytes, which is not installed: pip install bitsandbytes"
    )
