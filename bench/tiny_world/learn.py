"""Whether vitkit learns to see: both stages on a tiny world, asked about images that it never saw.

    python bench/tiny_world/learn.py --out out/tiny_world --seeds 0 1 2

For each seed, which decides everything: draws a world (draw.py), has `datagen` write instruction data from
its annotations, trains a vision tower on other images and captions of that world and a language model on
its text (pretrain.py), runs both stages of `train`, and asks the exported model about held-out images
(evaluate.py): once about the right image and once about that of another question. What is done is not
done again. Writes OUT/seed-N/answers.json. What came out: docs/learning.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}

from draw import World, imagine, write_coco  # noqa: E402

RECIPE = Path(__file__).with_name("recipe.toml")
TRAIN_IMAGES = 6000
HELD_OUT_IMAGES = 1000
TEXT_WORLDS = 4000
TOWER_STEPS = 4000
LONG_TEXTS = 600
DRILLS = 30000
"""Texts of short answers that are not `datagen`'s, each about a world of its own."""
DATA = ("conversation.json", "detail.json:0.5", "complex_reasoning.json:0.5")
"""With weights: more of the short answers, which tell most of what is seen in a few words."""
QUESTIONS = 240
"""Of each subject."""
WEIGHTS = {
    **dict.fromkeys(("counting", "color"), 10),
    **dict.fromkeys(("either_or", "position"), 50),
    **dict.fromkeys(("absence_random", "absence_popular", "absence_cooccurring", "counting_zero"), 0.2),
    **dict.fromkeys(("content", "content_again", "subject", "setting", "setting_of", "listing"), 0),
    **dict.fromkeys(("referring_which", "referring_what", "referring_expression", "grouping"), 0),
    **dict.fromkeys(("extreme_position", "extreme_of_category", "counting_on_side", "side"), 0),
}
"""Of datagen's programs, where not as in its pack: most is asked of what the model is asked about in the end,
and nothing tells it beforehand."""


def prepare(folder: Path, seed: int) -> None:
    """Everything that a run of `train` takes: annotations, instruction data, tower and language model."""
    _once(folder / "train", lambda made: write_coco(made, f"{seed}/train", TRAIN_IMAGES))
    _once(folder / "held_out", lambda made: write_coco(made, f"{seed}/held out", HELD_OUT_IMAGES))
    _once(folder / "pack", _write_pack)
    _once(folder / "data", lambda made: _datagen(folder / "train", made, folder / "pack", seed))
    _once(folder / "vision_tower", lambda made: _write_tower(made, seed))
    _once(folder / "text", lambda made: _write_text(made, folder / "pack", seed))
    _once(folder / "language_model", lambda made: _write_language_model(folder / "text", made, seed))


def _once(folder: Path, make: Callable[[Path], Any]) -> None:
    """Make a folder that appears when it is whole."""
    if folder.exists():
        return
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    started = _cpu_seconds()
    make(unfinished)
    if not unfinished.exists():
        raise FileNotFoundError(unfinished)
    (unfinished / "cpu_seconds.txt").write_text(f"{_cpu_seconds() - started:.0f}\n")
    unfinished.rename(folder)
    print(f"{folder}: {_cpu_seconds() - started:.0f} CPU seconds", flush=True)


def _cpu_seconds() -> float:
    """Of this process and the programs that it ran."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _write_pack(folder: Path) -> None:
    """The pack of everyday photographs with other weights."""
    shutil.copytree(ROOT / "prompts" / "coco", folder)
    settings = (folder / "pack.toml").read_text()
    table = "[programs.weights]\n"
    weights = "".join(f"{name} = {weight}\n" for name, weight in WEIGHTS.items())
    settings = settings.replace(table, table + weights).replace('name = "coco"', 'name = "tiny_world"')
    (folder / "pack.toml").write_text(settings)


def _datagen(annotations: Path, out: Path, pack: Path, seed: int, *options: str) -> None:
    run_module(
        "datagen",
        "run",
        *("--captions", str(annotations / "captions.json")),
        *("--instances", str(annotations / "instances.json")),
        *("--pack", str(pack)),
        *("--seed", str(seed)),
        *("--out", str(out)),
        *options,
        log=out.with_name("datagen.log"),
    )


def _write_tower(folder: Path, seed: int) -> None:
    from pretrain import pretrain_tower

    for step, loss in pretrain_tower(folder, f"{seed}/tower", TOWER_STEPS):
        if step % 100 == 0:
            print(f"vision tower, step {step} of {TOWER_STEPS}: loss {loss:.2f}", flush=True)


def _write_text(folder: Path, pack: Path, seed: int) -> None:
    """Worlds told in words, then asked about: what the language model reads before it sees anything."""
    from pretrain import as_text, drill, tell

    shown = write_coco(folder, f"{seed}/text", TEXT_WORLDS)
    _datagen(folder, folder / "data", pack, seed)
    shutil.rmtree(folder / "images")
    records = json.loads((folder / "data" / "llava_instruct.json").read_text())
    captions: dict[int, list[str]] = {}
    for annotation in json.loads((folder / "captions.json").read_text())["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    chance = random.Random(seed)
    texts = []
    for record in records:
        number, values = int(Path(record["image"]).stem), [turn["value"] for turn in record["conversations"]]
        # Of the long types enough to know the language.
        if record["id"].startswith("conversation") or number <= LONG_TEXTS:
            turns = list(zip(values[::2], values[1::2], strict=True))
            texts.append(as_text(shown[number - 1], turns, chance))
    # As stage 1 will show it: what stands for the image, and a caption.
    for world, written in zip(shown, captions.values(), strict=True):
        texts.append([(f"<s>{tell(world, chance)}\n", False), (f"{chance.choice(written)}</s>", True)])
    for _ in range(DRILLS):
        world = imagine(chance, (1, 2, 2))
        texts.append(as_text(world, drill(world, chance), chance))
    (folder / "texts.json").write_text(json.dumps(texts))


def _write_language_model(text: Path, folder: Path, seed: int) -> None:
    from pretrain import pretrain_language_model

    texts = json.loads((text / "texts.json").read_text())
    for step, steps, loss in pretrain_language_model(folder, texts, f"{seed}/language model"):
        if step % 100 == 0:
            print(f"language model, step {step} of {steps}: loss {loss:.3f}", flush=True)


def train(folder: Path, seed: int, out: Path, *overrides: str, data: Sequence[str] = DATA) -> None:
    """Run the recipe on a prepared seed: on these files of datagen's."""
    run_module(
        "train",
        "run",
        *("--recipe", str(RECIPE)),
        *("--out", str(out)),
        *(part for name in data for part in ("--data", str(folder / "data" / name))),
        *("--align-data", str(folder / "data" / "alignment.json")) * ("align=" not in overrides),
        *("--images", str(folder / "train" / "images")),
        f"model.language_model={folder / 'language_model'}",
        f"model.vision_tower={folder / 'vision_tower'}",
        f"seed={seed}",
        *overrides,
        log=out.with_name(f"{out.name}.log"),
    )


def examine(folder: Path, seed: int, model: Path) -> list[dict[str, Any]]:
    """Ask about held-out images, right and shuffled: the questions with what the model said to each."""
    from evaluate import answer_all, ask, read_answer, shuffled

    chance = random.Random(f"{seed}/questions")
    images = folder / "held_out" / "images"
    questions = ask(_shown(folder / "held_out", f"{seed}/held out"), QUESTIONS, chance)
    others = shuffled(questions, chance)
    said, said_of_others = (answer_all(model, images, asked) for asked in (questions, others))
    return [
        {
            "subject": question.subject,
            "thing": question.thing,
            "image": question.image,
            "question": question.text,
            "answer": question.answer,
            "said": text,
            "read": read_answer(question, text),
            "other_image": other.image,
            "said_of_other": other_text,
            "read_of_other": read_answer(question, other_text),
        }
        for question, other, text, other_text in zip(questions, others, said, said_of_others, strict=True)
    ]


def _shown(folder: Path, seed: str) -> list[World]:
    from draw import worlds

    count = len(list((folder / "images").iterdir()))
    return [world for world, _, _ in worlds(seed, count)]


def accuracies(answers: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By subject: the share of right answers with the right image, with another, and by the best constant."""
    from evaluate import SUBJECTS

    result = {}
    for subject in SUBJECTS:
        asked = [item for item in answers if item["subject"] == subject]
        truths = [item["answer"] for item in asked]
        result[subject] = {
            "right_image": sum(item["read"] == item["answer"] for item in asked) / len(asked),
            "other_image": sum(item["read_of_other"] == item["answer"] for item in asked) / len(asked),
            "constant": max(map(truths.count, set(truths))) / len(asked),
        }
    return result


def run_module(module: str, *arguments: str, log: Path) -> None:
    """Run one of our programs as a person would, its output into a file."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    if done.returncode:
        sys.exit(f"python -m {module} {arguments[0]} ended with {done.returncode}: see {log}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "tiny_world")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    out = options.out.resolve()
    for seed in options.seeds:
        folder = out / f"seed-{seed}"
        prepare(folder, seed)
        _once(folder / "run", partial(train, folder, seed))
        answers = examine(folder, seed, folder / "run" / "model")
        (folder / "answers.json").write_text(json.dumps(answers, indent=1))
        print(json.dumps(accuracies(answers), indent=1), flush=True)


if __name__ == "__main__":
    main()
