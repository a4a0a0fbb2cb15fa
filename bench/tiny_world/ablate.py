"""Take parts of the tiny world's training away, one at a time, and see what that costs.

    python bench/tiny_world/ablate.py --out out/tiny_world --seeds 0 1

On seeds that learn.py has prepared. Every variant takes the same number of finetune steps of the same number
of samples, fewer than learn.py's; what a variant does not say is as in recipe.toml. A variant that was
done is not done again. Writes OUT/seed-N/ablations/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from learn import DATA, ROOT, accuracies, examine, prepare, train

STEPS = 2000


class Variant(NamedTuple):
    """What is changed, as the recipe's overrides and as files of datagen's."""

    overrides: tuple[str, ...] = ()
    data: tuple[str, ...] = DATA


VARIANTS = {
    "baseline": Variant(),
    "no align": Variant(("align=",)),
    "linear projector": Variant(("model.projector=linear",)),
    # LoRA wants a higher rate than full training, as published recipes have it; the projector keeps its own.
    "LoRA": Variant(
        (
            "finetune.language_model=lora",
            "finetune.learning_rate=4e-3",
            "finetune.projector_learning_rate=1e-3",
        )
    ),
    "vision tower trained": Variant(("finetune.vision_tower_learning_rate=2e-4",)),
    "without conversation": Variant(data=DATA[1:]),
    "without detail": Variant(data=(DATA[0], DATA[2])),
    "without complex reasoning": Variant(data=DATA[:2]),
}


def run(folder: Path, seed: int, name: str) -> Path:
    """Train and examine one variant, unless that was done; returns the file of its accuracies."""
    result = folder / "ablations" / f"{name.replace(' ', '-')}.json"
    if not result.exists():
        result.parent.mkdir(exist_ok=True)
        out, variant = result.with_suffix(""), VARIANTS[name]
        train(
            folder,
            seed,
            out,
            *variant.overrides,
            f"finetune.max_steps={STEPS}",
            "finetune.epochs=9",
            data=variant.data,
        )
        answers = examine(folder, seed, out / "model")
        out.with_suffix(".answers.json").write_text(json.dumps(answers, indent=1))
        result.write_text(json.dumps(accuracies(answers), indent=1))
        shutil.rmtree(out)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "tiny_world")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for seed in options.seeds:
        folder = options.out.resolve() / f"seed-{seed}"
        prepare(folder, seed)
        for name in options.only:
            print(seed, name, run(folder, seed, name).read_text().replace("\n", ""), flush=True)


if __name__ == "__main__":
    main()
