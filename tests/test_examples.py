"""The bundled sample: what is committed is what its script draws, and it has what `make data` needs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import PIL
import pytest
from PIL import Image, ImageChops
from pycocotools import mask as coco_mask

REPO = Path(__file__).resolve().parent.parent
SCRIPT = REPO / "examples" / "draw_scenes.py"
SCENES = REPO / "examples" / "scenes"
# The major version of Pillow that drew what is committed. Another one may put an edge elsewhere by a pixel.
DRAWN_WITH = 13


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def captions() -> dict[str, Any]:
    return load(SCENES / "captions.json")


@pytest.fixture(scope="module")
def instances() -> dict[str, Any]:
    return load(SCENES / "instances.json")


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes")
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(out)], check=True, timeout=300)
    return out


def test_script_reproduces_the_json(redrawn: Path) -> None:
    if int(PIL.__version__.split(".")[0]) == DRAWN_WITH:
        for name in ("captions.json", "instances.json"):
            assert (redrawn / name).read_bytes() == (SCENES / name).read_bytes(), name
        return
    assert (redrawn / "captions.json").read_bytes() == (SCENES / "captions.json").read_bytes()
    new, old = (load(folder / "instances.json")["annotations"] for folder in (redrawn, SCENES))
    assert [a["id"] for a in new] == [a["id"] for a in old]
    for mine, theirs in zip(new, old, strict=True):
        assert mine["bbox"] == pytest.approx(theirs["bbox"], abs=2), mine["id"]


def test_script_reproduces_the_pictures(redrawn: Path) -> None:
    fresh = {path.name for path in (redrawn / "images").iterdir()}
    assert fresh == {path.name for path in (SCENES / "images").iterdir()}
    for name in sorted(fresh):
        with Image.open(redrawn / "images" / name) as new, Image.open(SCENES / "images" / name) as old:
            # JPEG decoders differ in rounding, so: the same within a hair, everywhere.
            apart = ImageChops.difference(new.convert("RGB"), old.convert("RGB")).convert("L")
        assert sum(apart.histogram()[13:]) <= 0.001 * apart.width * apart.height, name


def test_only_draws_a_part_with_the_same_numbers(tmp_path: Path, instances: dict[str, Any]) -> None:
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(tmp_path), "--only", "crosswalk"], check=True)
    part = load(tmp_path / "instances.json")
    assert [image["file_name"] for image in part["images"]] == ["crosswalk.jpg"]
    number = part["images"][0]["id"]
    if int(PIL.__version__.split(".")[0]) == DRAWN_WITH:
        assert part["annotations"] == [a for a in instances["annotations"] if a["image_id"] == number]


def test_unknown_scene_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--only", "moonbase"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "moonbase" in done.stderr
    assert not any(tmp_path.iterdir())


def test_size_and_files(captions: dict[str, Any], instances: dict[str, Any]) -> None:
    assert captions["images"] == instances["images"]
    assert len(captions["images"]) >= 48
    assert sum(path.stat().st_size for path in SCENES.rglob("*") if path.is_file()) < 3_000_000
    names = [image["file_name"] for image in captions["images"]]
    assert len(set(names)) == len(names)
    assert set(names) == {path.name for path in (SCENES / "images").iterdir()}
    for image in captions["images"]:
        with Image.open(SCENES / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
    shapes = {(image["width"], image["height"]) for image in captions["images"]}
    assert len(shapes) > 2
    assert any(width < height for width, height in shapes)


def test_ids_are_unique_and_known(captions: dict[str, Any], instances: dict[str, Any]) -> None:
    for document in (captions, instances):
        for key in ("images", "annotations"):
            ids = [row["id"] for row in document[key]]
            assert len(set(ids)) == len(ids)
        images = {image["id"] for image in document["images"]}
        assert {row["image_id"] for row in document["annotations"]} <= images
    categories = {row["id"] for row in instances["categories"]}
    assert len(categories) == len(instances["categories"]) == 80
    used = {row["category_id"] for row in instances["annotations"]}
    assert used <= categories
    assert len(used) >= 30


def test_one_image_lacks_boxes_and_one_captions(captions: dict[str, Any], instances: dict[str, Any]) -> None:
    images = {image["id"]: image["file_name"] for image in captions["images"]}
    boxed = {row["image_id"] for row in instances["annotations"]}
    captioned = Counter(row["image_id"] for row in captions["annotations"])
    assert [images[k] for k in images if k not in boxed] == ["mountain-lake.jpg"]
    assert [images[k] for k in images if k not in captioned] == ["yard-sale.jpg"]
    assert set(captioned.values()) <= {4, 5}


def test_captions_are_single_plain_sentences(captions: dict[str, Any]) -> None:
    texts = [row["caption"] for row in captions["annotations"]]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text == text.strip()
        assert text[0].isupper() and text.endswith(".") and text.count(".") == 1, text
        assert 4 <= len(text.split()) <= 20, text


def test_boxes_lie_inside_and_match_their_regions(instances: dict[str, Any]) -> None:
    sizes = {image["id"]: (image["width"], image["height"]) for image in instances["images"]}
    for row in instances["annotations"]:
        width, height = sizes[row["image_id"]]
        x, y, w, h = row["bbox"]
        assert w > 0 and h > 0 and x >= 0 and y >= 0 and x + w <= width and y + h <= height, row["id"]
        if row["iscrowd"]:
            rle = coco_mask.frPyObjects(row["segmentation"], height, width)
            assert sum(row["segmentation"]["counts"]) == width * height
            assert list(coco_mask.toBbox(rle)) == row["bbox"]
            assert float(coco_mask.area(rle)) == row["area"]
        else:
            xs = [v for polygon in row["segmentation"] for v in polygon[0::2]]
            ys = [v for polygon in row["segmentation"] for v in polygon[1::2]]
            assert [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)] == row["bbox"], row["id"]
            assert 0 < row["area"] <= w * h
            rle = coco_mask.merge(coco_mask.frPyObjects(row["segmentation"], height, width))
            assert float(coco_mask.area(rle)) == pytest.approx(row["area"], rel=0.1, abs=30), row["id"]


def test_crowds_small_large_and_overlapping(instances: dict[str, Any]) -> None:
    rows = instances["annotations"]
    assert sum(row["iscrowd"] for row in rows) >= 1
    areas = [row["area"] for row in rows]
    assert sum(area < 32**2 for area in areas) >= 10
    assert sum(area > 96**2 for area in areas) >= 10

    def overlap(a: list[float], b: list[float]) -> bool:
        return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]

    by_image: dict[int, list[list[float]]] = {}
    for row in rows:
        by_image.setdefault(row["image_id"], []).append(row["bbox"])
    touching = sum(
        any(overlap(a, b) for k, a in enumerate(boxes) for b in boxes[k + 1 :]) for boxes in by_image.values()
    )
    assert touching >= 10


def test_the_readme_picture_is_small() -> None:
    picture = REPO / "docs" / "images" / "scenes.jpg"
    assert picture.stat().st_size < 400_000
