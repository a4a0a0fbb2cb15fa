"""The tiny model: the same bytes for the same texts, whole or not there, and able to learn."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM, AutoTokenizer, CLIPVisionModel

from tests.train import factory
from train.config import ModelConfig, load_recipe
from train.model import build_model, context_length, features_per_image, image_size, load_processor
from train.records import InputError
from train.stages import parameter_groups, set_trainable
from train.tiny import write_tiny

SCENES = Path(__file__).resolve().parents[2] / "examples" / "scenes"


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "base"
    assert write_tiny(folder, factory.TEXTS, seed=1) == (folder / "language_model", folder / "vision_tower")
    return folder


def build(base: Path) -> tuple[Any, Any]:
    config = ModelConfig(language_model=str(base / "language_model"), vision_tower=str(base / "vision_tower"))
    processor = load_processor(config, "pad", "")
    return processor, build_model(config, processor, precision="fp32", quantization="none", seed=0)


def test_the_same_texts_and_seed_give_the_same_bytes(base: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    write_tiny(tmp_path / "again", iter(factory.TEXTS), seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert contents(tmp_path / "again") == contents(base)
    assert set(contents(base)) == {
        "language_model/config.json",
        "language_model/generation_config.json",
        "language_model/model.safetensors",
        "language_model/tokenizer.json",
        "language_model/tokenizer_config.json",
        "made_from.txt",
        "vision_tower/config.json",
        "vision_tower/model.safetensors",
        "vision_tower/preprocessor_config.json",
    }


def test_another_seed_gives_other_weights(base: Path, tmp_path: Path) -> None:
    write_tiny(tmp_path / "other", factory.TEXTS, seed=2)
    ours, theirs = contents(base), contents(tmp_path / "other")
    changed = {name for name in ours if ours[name] != theirs[name]}
    assert changed == {
        "language_model/model.safetensors",
        "vision_tower/model.safetensors",
        "made_from.txt",
    }


def test_a_folder_of_the_same_texts_and_seed_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    write_tiny(folder, factory.TEXTS, seed=1)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    write_tiny(folder, factory.TEXTS, seed=1)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


@pytest.mark.parametrize(
    ("texts", "seed"),
    [
        (factory.TEXTS, 2),
        (factory.TEXTS[1:], 1),
        ((factory.TEXTS[0] + factory.TEXTS[1], *factory.TEXTS[2:]), 1),
    ],
)
def test_a_folder_of_other_texts_or_another_seed_is_refused_and_kept(
    texts: tuple[str, ...], seed: int, base: Path
) -> None:
    before = contents(base)
    with pytest.raises(InputError, match="holds something else than the tiny model of these texts"):
        write_tiny(base, texts, seed)
    assert contents(base) == before


def test_somebody_elses_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else"):
        write_tiny(tmp_path / "base", factory.TEXTS, 1)
    assert (tmp_path / "base" / "precious.txt").read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    language_model, _ = write_tiny(tmp_path / "base", factory.TEXTS, 1)
    assert (language_model / "model.safetensors").is_file()


def test_writing_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("train.tiny._write_vision_tower", fail)
    with pytest.raises(OSError, match="disk full"):
        write_tiny(tmp_path / "out" / "base", factory.TEXTS, 1)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_process_that_is_second_takes_what_the_first_one_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Path
) -> None:
    folder = tmp_path / "base"
    rename = Path.rename

    def first_one_wins(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        write_tiny(folder, factory.TEXTS, 1)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", first_one_wins)
    monkeypatch.setattr("train.tiny.os.getpid", iter([1, 2]).__next__)
    write_tiny(folder, factory.TEXTS, 1)
    assert contents(folder) == contents(base)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


@pytest.mark.parametrize("texts", [[], ["", "  \n"]])
def test_no_text_at_all_is_refused(texts: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no text"):
        write_tiny(tmp_path / "base", texts, 1)
    assert not (tmp_path / "base").exists()


def test_it_is_a_llama_and_a_clip_that_servers_take(base: Path) -> None:
    processor, model = build(base)
    text_config, vision_config = model.config.text_config, model.config.vision_config
    assert (text_config.model_type, text_config.head_dim) == ("llama", 64)
    assert (vision_config.model_type, image_size(processor), features_per_image(processor)) == (
        "clip_vision_model",
        64,
        16,
    )
    assert context_length(model) == 2048
    assert model.num_parameters() < 1_500_000
    for part, model_class in (("language_model", AutoModelForCausalLM), ("vision_tower", CLIPVisionModel)):
        _, report = model_class.from_pretrained(base / part, output_loading_info=True)
        assert (set(report["missing_keys"]), set(report["unexpected_keys"])) == (set(), set())


def test_its_tokenizer_gives_any_text_back_and_has_a_pad_token_of_its_own(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base / "language_model")
    text = "A man\n\n rides 12 horses — «naïve» 馬 🐎\t</p> don't"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", "</s>", "<pad>")
    words = "The man is standing at the counter of a small kitchen"
    assert len(tokenizer.encode(words, add_special_tokens=False)) < len(words) / 2


def test_half_a_character_in_one_text_does_not_stop_the_others(tmp_path: Path) -> None:
    language_model, _ = write_tiny(tmp_path / "base", [*factory.TEXTS, "half a \ud83d horse"], 1)
    assert (language_model / "tokenizer.json").is_file()


def test_different_scenes_have_different_features(base: Path) -> None:
    processor, model = build(base)
    names = [image["file_name"] for image in json.loads((SCENES / "instances.json").read_text())["images"]][
        :12
    ]
    paths = [next(SCENES.rglob(name)) for name in names]
    images = [Image.open(path).convert("RGB") for path in paths]
    pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        features = (
            model.model.vision_tower(pixels, output_hidden_states=-2).hidden_states[-2][:, 1:].flatten(1)
        )
    distances = torch.pdist(features) / features.norm(dim=1).mean()
    assert distances.min() > 0.1
    assert distances.mean() > 0.4


def test_it_learns_which_caption_belongs_to_which_image(base: Path) -> None:
    # The whole road in small: two images, two captions, and only the image says which.
    processor, model = build(base)
    stage = load_recipe("smoke").finetune
    assert stage is not None
    set_trainable(model, stage, "mlp2x_gelu")
    captions = [factory.TEXTS[0], factory.TEXTS[1]]
    encoded = [processor.tokenizer.encode(text, add_special_tokens=False)[:10] for text in captions]
    prefix = [processor.image_token_id] * features_per_image(processor)
    ids = torch.tensor([[*prefix, *caption] for caption in encoded])
    labels = ids.masked_fill(ids == processor.image_token_id, -100)
    images = [factory.picture(64, 64, seed) for seed in (1, 2)]
    pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"]
    optimizer = torch.optim.AdamW(parameter_groups(model, stage))
    for _ in range(60):
        optimizer.zero_grad()
        loss = model(input_ids=ids, pixel_values=pixels, labels=labels).loss
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        exchanged = model(input_ids=ids, pixel_values=pixels.flip(0), labels=labels).loss
    assert loss < 0.1
    assert exchanged > 5 * loss
