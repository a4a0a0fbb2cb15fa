"""Imports point one way: schemas, records, stage files, pipeline, the command line."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each may import what stands in earlier rows, and itself. Stage files do not import each other.
BELOW_STAGES = {
    "datagen.records",
    "datagen.draw",
    "datagen.inflection",
    "datagen.tokens",
    "datagen.pricing",
    "datagen.run_log",
}
STAGES = {
    "datagen.annotations",
    "datagen.evaluation_images",
    "datagen.text_proxy",
    "datagen.prompting",
    "datagen.teacher",
    "datagen.ledger",
    "datagen.limits",
    "datagen.asking",
    "datagen.batching",
    "datagen.parsing",
    "datagen.checks",
    "datagen.dedup",
    "datagen.usefulness",
    "datagen.balance",
    "datagen.alignment",
    "datagen.emit",
}
# What a stage is made of: prompting writes proxies and reads seeds; asking moves requests from ledger
# to teacher, and batching is another way of asking.
USES = {
    "datagen.prompting": {"datagen.text_proxy", "datagen.parsing"},
    "datagen.asking": {"datagen.ledger", "datagen.teacher", "datagen.limits"},
    "datagen.batching": {"datagen.ledger", "datagen.teacher", "datagen.asking"},
}
ABOVE_STAGES = [
    "datagen.config",
    "datagen.planning",
    "datagen.judging",
    "datagen.sample_set",
    "datagen.finishing",
    "datagen.pipeline",
    "datagen.convert",
    "datagen.concepts",
    "datagen.caption_lists",
    "datagen.fetch_coco",
    "datagen.audit",
    "datagen.packs",
    "datagen.terminal",
    "datagen.__main__",
]

# The trainer, in rows: each imports from earlier rows alone (and nothing of datagen).
TRAIN = [
    {"train.records"},
    {"train.config"},
    {"train.distributed"},
    {"train.zero"},
    {
        *("train.conversation", "train.images", "train.checkpoint", "train.loss", "train.attention"),
        "train.kernels",
    },
    {"train.dataset", "train.model", "train.stages", "train.tiny"},
    {"train.collate", "train.logs"},
    {"train.trainer", "train.gates"},
    {"train.plan"},
    {"train.proof"},
    {"train.card"},
    {"train.export"},
    {"train.chat"},
    {"train.terminal"},
    {"train.pipeline"},
    {"train.__main__"},
    {"train.launch"},
]


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from datagen import pipeline` names a module; `from datagen.records import Box` does not.
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= whole if node.module in ("datagen", "train") else {node.module}
    return {name for name in names if name.split(".")[0] in ("datagen", "schemas", "train")}


def part(module: str) -> str:
    """A module's part: its first two names, so that a package counts as one."""
    return ".".join(module.split(".")[:2])


def test_every_import_points_down() -> None:
    wrong = []
    for path in sorted((ROOT / "datagen").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        own = part(module)
        if own == "datagen":
            allowed: set[str] = set()
        elif own in BELOW_STAGES:
            allowed = {"datagen.records"}
        elif own in STAGES:
            allowed = BELOW_STAGES | USES.get(own, set())
        else:
            allowed = BELOW_STAGES | STAGES | set(ABOVE_STAGES[: ABOVE_STAGES.index(own)])
        wrong += [
            f"{module} imports {name}"
            for name in imports_of(path)
            if not name.startswith("schemas") and part(name) not in allowed | {own}
        ]
    assert wrong == []


def test_the_trainer_imports_point_down_and_never_to_datagen() -> None:
    row = {module: number for number, modules in enumerate(TRAIN) for module in modules}
    wrong = []
    for path in sorted((ROOT / "train").rglob("*.py")):
        if path.stem == "__init__":
            assert imports_of(path) == set()
            continue
        own = part(".".join(path.relative_to(ROOT).with_suffix("").parts))
        wrong += [
            f"{own} imports {name}"
            for name in imports_of(path)
            if not name.startswith("schemas")
            and part(name) != own
            and row.get(part(name), len(TRAIN)) >= row[own]
        ]
    assert wrong == []


def test_schemas_import_nothing_of_ours_but_schemas() -> None:
    for path in (ROOT / "schemas").rglob("*.py"):
        assert all(name.startswith("schemas") for name in imports_of(path)), path


@pytest.mark.parametrize("part", ["datagen", "train"])
def test_importing_a_command_line_brings_no_torch_and_no_openai(part: str) -> None:
    heavy = ("torch", "transformers", "openai")
    code = f"import sys, {part}.__main__; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
