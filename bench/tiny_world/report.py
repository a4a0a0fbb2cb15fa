"""Put what learn.py and ablate.py found into a file of figures and two pictures, and print it as tables.

    pip install matplotlib
    python bench/tiny_world/report.py --out out/tiny_world

Reads OUT/seed-N/; writes bench/results/learning.json, docs/images/learning.png and learning-answers.png. The
tables stand in docs/learning.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from ablate import STEPS, VARIANTS
from draw import SIZE, file_name
from evaluate import SUBJECTS
from learn import QUESTIONS, ROOT, accuracies
from PIL import Image

AIM = 20
"""Points by which the right image must beat another one, for each subject and seed."""


def collect(out: Path) -> dict[str, Any]:
    """The accuracies of every seed, and of every variant on the seeds where it was run."""
    seeds = {
        folder.name.removeprefix("seed-"): accuracies(json.loads((folder / "answers.json").read_text()))
        for folder in sorted(out.glob("seed-*"))
        if (folder / "answers.json").exists()
    }
    ablations: dict[str, dict[str, Any]] = {}
    for name in VARIANTS:
        for folder in sorted(out.glob("seed-*")):
            result = folder / "ablations" / f"{name.replace(' ', '-')}.json"
            if result.exists():
                seed = folder.name.removeprefix("seed-")
                ablations.setdefault(name, {})[seed] = json.loads(result.read_text())
    return {
        "questions_of_each_subject": QUESTIONS,
        "seeds": seeds,
        "cpu_minutes": {seed: _cpu_minutes(out / f"seed-{seed}") for seed in seeds},
        "ablation_steps": STEPS,
        "ablations": ablations,
    }


def _cpu_minutes(folder: Path) -> float:
    """What a seed took, from drawing the world to the exported model."""
    return round(sum(int(part.read_text()) for part in folder.glob("*/cpu_seconds.txt")) / 60, 1)


def main_table(found: dict[str, Any]) -> str:
    """Accuracy in percent, by seed and subject: with the right image and with another."""
    lines = ["| seed | " + " | ".join(SUBJECTS) + " | CPU minutes |", "|---|" + "---|" * (len(SUBJECTS) + 1)]
    for seed, subjects in found["seeds"].items():
        cells = []
        for subject in SUBJECTS:
            right, other = (100 * subjects[subject][key] for key in ("right_image", "other_image"))
            mark = "" if right - other >= AIM else f" (less than {AIM} more)"
            cells.append(f"{right:.0f} beside {other:.0f}{mark}")
        lines.append(f"| {seed} | " + " | ".join(cells) + f" | {found['cpu_minutes'][seed]:.0f} |")
    return "\n".join(lines)


def ablation_table(found: dict[str, Any]) -> str:
    """Accuracy in percent with the right image, and in brackets with another; the mean over seeds."""
    lines = ["| variant | " + " | ".join(SUBJECTS) + " | seeds |", "|---|" + "---|" * (len(SUBJECTS) + 1)]
    for name, seeds in found["ablations"].items():
        cells = []
        for subject in SUBJECTS:
            right, other = (
                100 * statistics.mean(shares[subject][key] for shares in seeds.values())
                for key in ("right_image", "other_image")
            )
            cells.append(f"{right:.0f} ({other:.0f})")
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {', '.join(seeds)} |")
    return "\n".join(lines)


def plot(found: dict[str, Any], path: Path) -> None:
    """Accuracy by subject, with the right image and with another; a dot for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.6, 2.9), dpi=160)
    bars = (("right_image", "the right image", "#2b6cb0"), ("other_image", "another image", "#b0b7c0"))
    for shift, (key, label, colour) in zip((-0.19, 0.19), bars, strict=True):
        for place, subject in enumerate(SUBJECTS):
            values = [100 * shares[subject][key] for shares in found["seeds"].values()]
            axes.bar(
                place + shift,
                statistics.mean(values),
                0.36,
                color=colour,
                label=label if place == 0 else None,
            )
            dots = [place + shift + 0.06 * (index - (len(values) - 1) / 2) for index in range(len(values))]
            axes.plot(dots, values, "o", color="#1a202c", markersize=3)
    for place, subject in enumerate(SUBJECTS):
        constant = 100 * statistics.mean(shares[subject]["constant"] for shares in found["seeds"].values())
        line = axes.plot([place - 0.4, place + 0.4], [constant] * 2, "--", color="#c05621", linewidth=1)
        if place == 0:
            line[0].set_label("best constant answer")
    axes.set_xticks(range(len(SUBJECTS)), SUBJECTS)
    axes.set_ylim(0, 100)
    axes.set_ylabel("right answers, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    figure.tight_layout()
    figure.savefig(path)


def show(out: Path, seed: str, path: Path) -> None:
    """Held-out images with a question, the model's answer and the true one: the first two of each subject."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder = out / f"seed-{seed}"
    answers = json.loads((folder / "answers.json").read_text())
    # Questions stand in the order of their answers: these two are of different ones.
    chosen = [
        [item for item in answers if item["subject"] == subject][place]
        for subject in SUBJECTS
        for place in (QUESTIONS // 5, 4 * QUESTIONS // 5)
    ]
    figure, frames = plt.subplots(2, 3, figsize=(7.2, 5.9), dpi=110)
    for frame, item in zip(frames.T.flat, chosen, strict=True):
        image = Image.open(folder / "held_out" / "images" / file_name(item["image"]))
        frame.imshow(image.resize((4 * SIZE, 4 * SIZE), Image.Resampling.NEAREST))
        frame.set_axis_off()
        said = _wrapped(item["said"])
        mark = "right" if item["read"] == item["answer"] else f"wrong: {item['answer']}"
        frame.set_title(f"{_wrapped(item['question'])}\n{said}\n({mark})", fontsize=6.5)
    figure.tight_layout()
    figure.savefig(path)


def _wrapped(text: str, width: int = 46) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f"{word} "
    return "\n".join(line.strip() for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "tiny_world")
    options = parser.parse_args()
    found = collect(options.out)
    (ROOT / "bench" / "results" / "learning.json").write_text(json.dumps(found, indent=1) + "\n")
    images = ROOT / "docs" / "images"
    plot(found, images / "learning.png")
    show(options.out, next(iter(found["seeds"])), images / "learning-answers.png")
    print(main_table(found), ablation_table(found), sep="\n\n")


if __name__ == "__main__":
    main()
