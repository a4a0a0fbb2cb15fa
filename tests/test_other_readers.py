"""What we emit is read by software we did not write."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from tests.datagen.test_run import datagen


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled sample, as `make data` runs it."""
    out = tmp_path_factory.mktemp("sample") / "out"
    assert datagen("run", "--out", out) == 0
    return out


@pytest.mark.parametrize("name", ["llava_instruct.json", "detail.json", "alignment.json"])
def test_the_datasets_library_loads_llava_json(sample_run: Path, tmp_path: Path, name: str) -> None:
    loaded = datasets.load_dataset(
        "json", data_files=str(sample_run / name), split="train", cache_dir=str(tmp_path)
    )
    assert loaded.column_names == ["id", "image", "conversations"]
    assert loaded.num_rows >= 60
    for row in loaded:
        turns = row["conversations"]
        assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
        assert turns[0]["value"].startswith("<image>\n")
        assert "".join(turn["value"] for turn in turns).count("<image>") == 1
