"""Useful tokens a second of training, beside a plain transformers Trainer and TRL's SFTTrainer, in one run.

    python -m venv --system-site-packages TRL && TRL/bin/pip install trl
    python bench/bench_training.py [--trl TRL/bin/python] [--repeats 3] [--width 128] [--layers 2] …
    python bench/bench_training.py --loading      how fast one core reads samples; trains nothing

The same random LLaVA (full fine-tuning of projector and language model in float32, AdamW), the same
samples in the same order, the same samples a step, one thread, no worker processes. Samples have
LLaVA-1.5's shape: 576 positions of an image in 15 of 16, and text of a long-tailed length. Where they
are padded they go 16 at once, as LLaVA-1.5's fine-tuning takes them on a GPU. Each
contender runs in a process of its own, repeats interleaved. Timed are the steps after the first, from
reading images to the optimizer's step, by CPU time, which a shared machine disturbs less than the
clock. Useful tokens are the samples' own positions, without padding.

- packed, padded: ours, with `packing` on and off. packed_compiled is packed with `torch_compile`.
  packed_sdpa is packed under transformers' mask, the others by sample (`train/attention.py`).
- plain: transformers' Trainer with the model's own loss, samples padded in the order they come. Images
  and tokens are prepared by our code, so what differs is the batch and the loss.
- trl: `SFTTrainer` on messages and images, with `assistant_only_loss` (its default is to train on
  everything), its own collator, and our processor and chat template. It refuses to pack samples with
  images.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

OURS = ("packed", "packed_compiled", "packed_sdpa", "padded")
OTHERS = ("plain", "trl")
AIM = 1.5
IMAGE_SHARE = 15 / 16
MAX_LENGTH = 2048
IMAGE_SIZE, PATCH = 336, 14
VOCABULARY = 2048
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the user's questions. USER: ASSISTANT:"
)


# The world that all contenders see.


def write_world(folder: Path, width: int, layers: int, samples: int) -> None:
    """Samples with images, a tokenizer trained on them, a language model and a vision tower."""
    import torch
    from PIL import Image
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        CLIPVisionModel,
        LlamaConfig,
        LlamaForCausalLM,
    )

    from train import tiny

    chance = random.Random(3)
    letters = "bcdfghklmnprstvw"
    words = ["".join(chance.choice(letters) + chance.choice("aeiou") for _ in range(2)) for _ in range(600)]

    def text(count: int) -> str:
        return " ".join(words[int(len(words) * chance.random() ** 2)] for _ in range(max(1, count)))

    records = []
    for number in range(samples):
        record: dict[str, Any] = {"id": f"s-{number}"}
        mark = ""
        if chance.random() < IMAGE_SHARE:
            record["image"] = f"{number}.jpg"
            colours = [tuple(chance.randrange(256) for _ in range(3)) for _ in range(48)]
            small = Image.new("RGB", (8, 6))
            small.putdata(colours)
            small.resize((640, 480), Image.Resampling.BICUBIC).save(folder / record["image"])
            mark = "<image>\n"
        # Words, of about a token each: 55 in the middle with an image, 250 without.
        left = min(1100, int(chance.lognormvariate(4.0, 1.0) if mark else chance.lognormvariate(5.5, 0.6)))
        turns: list[dict[str, str]] = []
        while left > 0 or not turns:
            answer = min(max(left, 1), chance.choice((3, 20, 60)))
            left -= answer + 12
            turns += [
                {"from": "human", "value": mark + text(12)},
                {"from": "gpt", "value": text(answer)},
            ]
            mark = ""
        records.append(record | {"conversations": turns})
    (folder / "data.json").write_text(json.dumps(records))
    texts = [turn["value"] for each in records for turn in each["conversations"]]
    tokenizer = tiny._train_tokenizer(texts + [SYSTEM] * 100)
    tokenizer.save_pretrained(folder / "language_model")
    torch.manual_seed(1)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=width * 43 // 16,  # as Llama 2 7B's 11008 to 4096
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            max_position_embeddings=MAX_LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).save_pretrained(folder / "language_model")
    CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=IMAGE_SIZE,
            patch_size=PATCH,
        )
    ).save_pretrained(folder / "vision_tower")
    square = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    CLIPImageProcessorPil(size={"shortest_edge": IMAGE_SIZE}, crop_size=square).save_pretrained(
        folder / "vision_tower"
    )


def read_world(folder: Path, batch: int, micro: int, packing: bool) -> tuple[Any, Any, Any, Any, Any]:
    """Stage, recipe, processor, samples and their files, as `train run` has them."""
    from train.config import ModelConfig, Recipe, StageConfig
    from train.conversation import Encoder, get_format
    from train.dataset import DataFile, InstructionData, prepare, read_samples
    from train.images import ImageStore
    from train.model import features_per_image, load_processor

    stage = StageConfig(
        format="vicuna_v1",
        learning_rate=1e-4,
        global_batch_size=batch,
        micro_batch_size=micro,
        max_length=MAX_LENGTH,
        precision="fp32",
        gradient_checkpointing=False,
        packing=packing,
    )
    config = ModelConfig(
        language_model=str(folder / "language_model"), vision_tower=str(folder / "vision_tower")
    )
    recipe = Recipe(description="a benchmark", model=config, finetune=stage, workers=0)
    template = get_format(stage.format)
    processor = load_processor(config, stage.image_aspect_ratio, template.template)
    encoder = Encoder(
        processor.tokenizer,
        template,
        image_token_id=processor.image_token_id,
        features_per_image=features_per_image(processor),
        max_length=stage.max_length,
    )
    files = [DataFile(folder / "data.json")]
    store = ImageStore(folder)
    prepared, left_out = prepare(
        read_samples(files, "finetune")[0], encoder, store, "finetune", needs_images=False
    )
    assert not left_out and not any(each.dropped_turns for each in prepared)
    data = InstructionData(prepared, encoder, store, processor.image_processor)
    return stage, recipe, processor, data, files


# One contender, in a process of its own.


def measure(contender: str, folder: Path, batch: int, micro: int) -> dict[str, Any]:
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from train.attention import attend_by_sample
    from train.collate import Collator
    from train.dataset import WeightedSampler
    from train.kernels import speed_up
    from train.logs import quiet
    from train.model import build_model, image_size
    from train.stages import set_trainable
    from train.trainer import StageTrainer, StopRequest, _arguments

    torch.set_num_threads(1)
    quiet()
    stage, recipe, processor, data, files = read_world(folder, batch, micro, packing=contender != "padded")
    config, prepared = recipe.model, data.prepared
    model = build_model(config, processor, precision="fp32", quantization="none", seed=1)
    set_trainable(model, stage, config.projector)
    if contender in OURS and contender != "packed_sdpa":
        assert attend_by_sample(model, stage.max_length)
        speed_up(model, stage.model_copy(update={"torch_compile": contender == "packed_compiled"}))
    sampler = WeightedSampler(prepared, files, recipe.seed)
    order = list(sampler)
    times: list[tuple[float, float]] = []
    computed = [0, 0]

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append((time.process_time(), time.perf_counter()))

    def count(module: Any, arguments: Any, inputs: dict[str, Any]) -> None:
        computed[0] += inputs["input_ids"].numel()
        mask = inputs.get("attention_mask")
        computed[1] += int(mask.sum()) if mask is not None else inputs["input_ids"].numel()

    model.register_forward_pre_hook(count, with_kwargs=True)
    out = folder / f"out-{contender}"
    shared: dict[str, Any] = {
        "output_dir": str(out),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": batch // micro,
        "learning_rate": 1e-4,
        "lr_scheduler_type": "cosine",
        "num_train_epochs": 1,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "bf16": False,
        "optim": "adamw_torch",
        "remove_unused_columns": False,
    }
    trainer: Any
    if contender in OURS:
        trainer = StageTrainer(
            "finetune",
            stage,
            model=model,
            args=_arguments(stage, recipe, out, len(sampler)),
            data=data,
            collator=Collator(processor.tokenizer.pad_token_id, image_size(processor), stage),
            sampler=sampler,
            recipe=recipe,
            hashed=[],
            usable="",
            parts=[],
            record=None,
            stop=StopRequest(),
            callbacks=[Clock()],
        )
        trainer._save_checkpoint = lambda *_: None
    elif contender == "plain":
        whole = Collator(
            processor.tokenizer.pad_token_id,
            image_size(processor),
            stage.model_copy(update={"packing": False}),
        )

        def collate(examples: Any) -> Any:
            micro_batch = whole._pad(examples)
            del micro_batch["sample_index"]
            return micro_batch

        class Plain(Trainer):  # type: ignore[misc]
            def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
                return sampler

        model.config.text_config.use_cache = False
        trainer = Plain(
            model=model,
            args=TrainingArguments(**shared),
            data_collator=collate,
            train_dataset=data,
            callbacks=[Clock()],
        )
    else:
        trainer = _trl(model, processor, [prepared[index].sample for index in order], folder, shared, Clock())
    trainer.train()
    assert not model.is_gradient_checkpointing
    useful = [prepared[index].length for index in order]
    assert abs(computed[1] - sum(useful)) <= 0.02 * sum(useful), (computed, sum(useful))
    measured = sum(useful[batch:])
    return {
        "cpu": measured / (times[-1][0] - times[0][0]),
        "clock": measured / (times[-1][1] - times[0][1]),
        "useful": sum(useful) / computed[0],
        "lengths": useful,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "trl": version("trl") if contender == "trl" else "",
    }


def _trl(model: Any, processor: Any, samples: Any, folder: Path, shared: dict[str, Any], clock: Any) -> Any:
    from datasets import Dataset, Features, Image, List, Value
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

    rows = [
        {
            "messages": [
                {
                    "role": ("user", "assistant")[number % 2],
                    "content": turn.replace("<image>\n", "").replace("\n<image>", ""),
                }
                for number, turn in enumerate(sample.turns)
            ],
            "images": [str(folder / name) for name in sample.images],
        }
        for sample in samples
    ]
    features = Features(
        {"messages": List({"role": Value("string"), "content": Value("string")}), "images": List(Image())}
    )
    return SFTTrainer(
        model=model,
        args=SFTConfig(
            **shared,
            max_length=None,
            assistant_only_loss=True,
            train_sampling_strategy="sequential",
            # On by default here, and in none of the others: it computes the forward pass twice.
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_list(rows, features=features),
        processing_class=processor,
        callbacks=[clock],
    )


# Reading alone.


def loading(samples: int) -> None:
    """Print how long one core takes for an image, part by part, from the file to the tensors of a step."""
    import torch

    from train.collate import Collator
    from train.images import read_image
    from train.logs import quiet
    from train.model import image_size

    torch.set_num_threads(1)
    quiet()

    def seconds(what: Any) -> float:
        """CPU time, the least of three."""
        taken = []
        for _ in range(3):
            before = time.process_time()
            what()
            taken.append(time.process_time() - before)
        return min(taken)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(folder, 64, 1, samples)
        paths = sorted(folder.glob("*.jpg"))
        for number, path in enumerate(paths):
            photograph(number).save(path, quality=90)
        size = statistics.mean(path.stat().st_size for path in paths)
        stage, _, processor, data, _ = read_world(folder, samples, 1, packing=True)
        collator = Collator(processor.tokenizer.pad_token_id, image_size(processor), stage)
        images = [read_image(path) for path in paths]
        examples = [data[index] for index in range(len(data))]
        pixels = processor.image_processor
        parts = {
            "decoded": seconds(lambda: [read_image(path) for path in paths]),
            "padded, resized, normalized": seconds(
                lambda: [pixels(images=[each], return_tensors="pt")["pixel_values"] for each in images]
            ),
            "all of a sample, text too": seconds(lambda: [data[index] for index in range(len(data))]),
            "packed into rows": seconds(lambda: collator(examples)),
        }
    print(f"{len(paths)} JPEGs of 640 x 480, {size / 1e3:.0f} kB each, to {IMAGE_SIZE} x {IMAGE_SIZE}.\n")
    print("| | ms an image | images a second and core |\n|---|---|---|")
    for part, taken in parts.items():
        print(f"| {part} | {1e3 * taken / len(paths):.2f} | {len(paths) / taken:,.0f} |")


def photograph(seed: int) -> Any:
    """Detail of every size, as a photograph has: smooth colours do not take a decoder as long."""
    import numpy as np
    from PIL import Image

    chance = np.random.default_rng(seed)
    sides = (640, 480) if seed % 3 else (480, 640)
    total = chance.normal(0, 20, (sides[1], sides[0], 3))
    for cells in (4, 8, 16, 32, 64, 128):
        coarse = chance.integers(0, 256, (cells * 3 // 4, cells, 3), dtype=np.uint8)
        fine = Image.fromarray(coarse).resize(sides, Image.Resampling.BICUBIC)
        total += np.asarray(fine, dtype=float) * (4 / cells) ** 0.6
    total -= total.min()
    return Image.fromarray((total * (255 / total.max())).astype(np.uint8))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--trl", default=sys.executable, help="a Python that has trl, besides what ours needs"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3, help="the first is not timed")
    parser.add_argument("--batch", type=int, default=32, help="samples a step")
    parser.add_argument("--micro", type=int, default=16, help="samples at once where they are padded")
    parser.add_argument("--only", nargs="+", default=[*OURS, *OTHERS], choices=[*OURS, *OTHERS])
    parser.add_argument("--loading", action="store_true", help="only how fast samples are read")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(measure(options.contender, options.folder, options.batch, options.micro)))
        return 0
    if options.loading:
        loading(64)
        return 0
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in options.only}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(folder, options.width, options.layers, options.steps * options.batch)
        for _ in range(options.repeats):
            for contender in options.only:
                command = [options.trl if contender == "trl" else sys.executable, __file__]
                command += ["--contender", contender, "--folder", name]
                command += ["--batch", str(options.batch), "--micro", str(options.micro)]
                ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                runs[contender].append(json.loads(ended.stdout.splitlines()[-1]))
                print(f"{contender}: {runs[contender][-1]['cpu']:,.0f}", file=sys.stderr, flush=True)
    report(runs, options)
    return 0


def report(runs: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> None:
    first = next(iter(runs.values()))[0]
    lengths = sorted(first["lengths"])
    versions = {name: version(name) for name in ("torch", "transformers")}
    versions["trl"] = runs["trl"][0]["trl"] if "trl" in runs else "not run"
    print(f"Width {options.width}, {options.layers} layers, vocabulary {VOCABULARY:,}: "
          f"{first['parameters'] / 1e6:.1f} M weights. {len(lengths)} samples of {lengths[0]} to "
          f"{lengths[-1]:,} positions (median {statistics.median(lengths):.0f}, mean "
          f"{statistics.mean(lengths):.0f}), {options.batch} a step, {options.micro} at once where "
          f"padded.\nPython {platform.python_version()}, "
          + ", ".join(f"{name} {number}" for name, number in versions.items()) + ".\n")  # fmt: skip
    print(f"| | useful tokens a CPU second, median of {options.repeats} | lowest to highest | by the clock "
          "| useful share of positions |\n|---|---|---|---|---|")  # fmt: skip
    median = {}
    for name, each in runs.items():
        cpu = sorted(run["cpu"] for run in each)
        median[name] = statistics.median(cpu)
        clock = statistics.median(run["clock"] for run in each)
        print(
            f"| {name} | {median[name]:,.0f} | {cpu[0]:,.0f} to {cpu[-1]:,.0f} | {clock:,.0f} | "
            f"{each[0]['useful']:.1%} |"
        )
    print()
    for ours in (name for name in OURS if name in median):
        for other in (name for name in OTHERS if name in median):
            ratio = median[ours] / median[other]
            verdict = "pass" if ratio >= AIM else "MISS"
            print(f"- {verdict}: {ours} {ratio:.2f} times as fast as {other}, at least {AIM} wanted")


if __name__ == "__main__":
    sys.exit(main())
