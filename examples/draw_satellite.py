"""Draw the satellite pack's example set: tiles seen from straight above, with COCO captions and instances.

    python examples/draw_satellite.py                               # draw examples/satellite again
    python examples/draw_satellite.py --out DIR --only marina       # some of it, elsewhere
    python examples/draw_satellite.py --contact-sheet /tmp/tiles.png    # all with their boxes, to look at

Nothing here is random from run to run: the same Pillow gives the same bytes of JSON and the same pixels.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from draw_scenes import LICENSES, sheet, to_json, write
from PIL import Image, ImageDraw
from scenekit.overhead import Tile, area_of
from scenekit.tiles import SCENES

HERE = Path(__file__).resolve().parent

# The categories of public overhead sets such as DOTA, as they call them.
CATEGORIES = (
    "plane", "ship", "storage tank", "baseball diamond", "tennis court", "basketball court",
    "ground track field", "harbor", "bridge", "large vehicle", "small vehicle", "helicopter", "roundabout",
    "soccer field", "swimming pool",
)  # fmt: skip
NUMBER = {name: number for number, name in enumerate(CATEGORIES, start=1)}
INFO = {
    "description": "vitkit's overhead example: tiles drawn by examples/draw_satellite.py",
    "url": "",
    "version": "1.0",
    "year": 2026,
    "contributor": "vitkit",
    "date_created": "2026/01/01",
}


def render(scene: Any) -> Tile:
    tile = Tile(scene.name, scene.width, scene.height)
    scene.draw(tile)
    return tile


def instances_of(tile: Tile, image: int) -> list[dict[str, Any]]:
    """COCO instances, numbered by image; a crowd region as run lengths of its box."""
    records: list[dict[str, Any]] = []
    for k, (category, outline, crowd) in enumerate(tile.regions()):
        xs, ys = [round(x, 1) for x, _ in outline], [round(y, 1) for _, y in outline]
        x, y, w, h = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
        segmentation: Any = [[value for point in zip(xs, ys, strict=True) for value in point]]
        if crowd:
            x, y, w, h = round(x), round(y), round(w), round(h)
            counts = [x * tile.height + y]
            for _ in range(int(w)):
                counts += [int(h), tile.height - int(h)]
            counts[-1] = tile.width * tile.height - sum(counts[:-1])
            segmentation = {"size": [tile.height, tile.width], "counts": counts}
        records.append(
            {
                "id": image * 1000 + k,
                "image_id": image,
                "category_id": NUMBER[category],
                "bbox": [round(value, 1) for value in (x, y, w, h)],
                "area": round(w * h if crowd else area_of(outline), 1),
                "iscrowd": int(crowd),
                "segmentation": segmentation,
            }
        )
    return records


def draw(out: Path, only: set[str]) -> int:
    """Write images and JSON of all tiles, or of some (numbers stay those of the full set); how many."""
    images: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    (out / "images").mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(SCENES, start=1):
        if only and scene.name not in only:
            continue
        tile = render(scene)
        size = {"width": scene.width, "height": scene.height}
        images.append({"id": number, "file_name": f"{scene.name}.jpg", **size, "license": 1})
        for k, text in enumerate(scene.captions):
            captions.append({"id": number * 10 + k, "image_id": number, "caption": text})
        instances += instances_of(tile, number)
        tile.image().save(out / "images" / f"{scene.name}.jpg", quality=80, optimize=True)
    shared = {"info": INFO, "licenses": LICENSES, "images": images}
    categories = [
        {"supercategory": "overhead", "id": number, "name": name} for name, number in NUMBER.items()
    ]
    write(out / "captions.json", to_json({**shared, "annotations": captions}))
    write(out / "instances.json", to_json({**shared, "annotations": instances, "categories": categories}))
    return len(images)


def outlined(tile: Tile) -> Image.Image:
    """The tile with its boxes drawn over it, to check them by eye."""
    picture = tile.image()
    brush = ImageDraw.Draw(picture)
    for category, outline, _ in tile.regions():
        xs, ys = [x for x, _ in outline], [y for _, y in outline]
        hue = NUMBER[category] * 47 % 360
        brush.rectangle((min(xs), min(ys), max(xs), max(ys)), outline=f"hsl({hue},100%,50%)", width=1)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the overhead tiles with their COCO annotations.")
    parser.add_argument("--out", type=Path, default=HERE / "satellite", help="folder to write")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="draw these tiles only")
    parser.add_argument(
        "--contact-sheet", type=Path, metavar="PATH", help="write all tiles with boxes and stop"
    )
    args = parser.parse_args()
    names = {scene.name for scene in SCENES}
    if unknown := sorted(set(args.only) - names):
        parser.error(f"no tile is called {', '.join(unknown)}; there are: {', '.join(sorted(names))}")
    if args.contact_sheet:
        chosen = [scene for scene in SCENES if not args.only or scene.name in args.only]
        sheet([outlined(render(scene)) for scene in chosen], 6 if len(chosen) > 6 else 2, 1980).save(
            args.contact_sheet
        )
        return
    print(f"{args.out}: {draw(args.out, set(args.only))} tiles")


if __name__ == "__main__":
    main()
