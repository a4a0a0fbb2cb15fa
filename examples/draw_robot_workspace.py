"""Draw the example of the pack `robot-workspace`: tables of our own with COCO captions and instances.

    python examples/draw_robot_workspace.py                            # draw examples/robot-workspace again
    python examples/draw_robot_workspace.py --out DIR --only pouring   # some of it, elsewhere
    python examples/draw_robot_workspace.py --check-sheet PATH         # all of it on one sheet, with boxes

The same Pillow gives the same bytes of JSON and the same pixels.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from draw_scenes import LICENSES, sheet, to_json, write
from PIL import Image, ImageDraw
from scenekit.canvas import Region
from workspacekit.scenes import HEIGHT, TABLES, WIDTH, render

HERE = Path(__file__).resolve().parent

CATEGORIES: dict[str, tuple[str, ...]] = {
    "robot": ("robot arm", "gripper", "reach zone"),
    "person": ("hand",),
    "container": ("tray", "bin", "box", "bowl", "mug", "bottle", "tin"),
    "tool": ("screwdriver", "wrench", "hammer", "pliers", "scissors", "knife", "soldering iron"),
    "electronics": ("circuit board", "battery", "cable", "plug"),
    "other": ("block", "sponge", "tape roll", "apple", "banana"),
}
NUMBER = {name: number for number, name in enumerate((n for group in CATEGORIES.values() for n in group), 1)}
INFO = {
    "description": "vitkit's robot workspace: tables drawn by examples/draw_robot_workspace.py",
    "url": "",
    "version": "1.0",
    "year": 2026,
    "contributor": "vitkit",
    "date_created": "2026/11/01",
}


def instance_record(number: int, image: int, region: Region) -> dict[str, Any]:
    segmentation: Any = {"size": [HEIGHT, WIDTH], "counts": region.rle} if region.crowd else region.polygons
    return {
        "id": number,
        "image_id": image,
        "category_id": NUMBER[region.category],
        "bbox": region.bbox,
        "area": region.area,
        "iscrowd": int(region.crowd),
        "segmentation": segmentation,
    }


def draw(out: Path, only: set[str]) -> int:
    """Write images and JSON of all tables, or of some (numbers stay those of the full set)."""
    images: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    (out / "images").mkdir(parents=True, exist_ok=True)
    for number, table in enumerate(TABLES, start=1):
        if only and table.name not in only:
            continue
        canvas, regions = render(table)
        name = f"{table.name}.jpg"
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, "license": 1})
        for k, text in enumerate(table.captions):
            captions.append({"id": number * 10 + k, "image_id": number, "caption": text})
        for k, region in enumerate(regions):
            instances.append(instance_record(number * 100 + k, number, region))
        canvas.image().save(out / "images" / name, quality=78, subsampling=0, optimize=True)
    shared = {"info": INFO, "licenses": LICENSES, "images": images}
    categories = [
        {"supercategory": group, "id": NUMBER[name], "name": name}
        for group, names in CATEGORIES.items()
        for name in names
    ]
    write(out / "captions.json", to_json({**shared, "annotations": captions}))
    write(out / "instances.json", to_json({**shared, "annotations": instances, "categories": categories}))
    return len(images)


def check_sheet(path: Path) -> None:
    """Every table with its boxes over it, to look at."""
    pictures: list[Image.Image] = []
    for table in TABLES:
        canvas, regions = render(table)
        picture = canvas.image()
        brush = ImageDraw.Draw(picture)
        for region in regions:
            x, y, w, h = region.bbox
            hue = NUMBER[region.category] * 47 % 360
            brush.rectangle((x, y, x + w - 1, y + h - 1), outline=f"hsl({hue},100%,40%)", width=2)
        brush.text((6, 4), table.name, fill="#101010")
        pictures.append(picture)
    sheet(pictures, 6, 1980).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Draw the example tables of a robot with their COCO annotations."
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "robot-workspace",
        help="folder to write (default: examples/robot-workspace)",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="draw these tables only")
    parser.add_argument(
        "--check-sheet", type=Path, metavar="PATH", help="write all tables with boxes on one sheet and stop"
    )
    args = parser.parse_args()
    names = [table.name for table in TABLES]
    unknown = sorted(set(args.only) - set(names))
    if unknown:
        parser.error(f"no table is called {', '.join(unknown)}; there are: {', '.join(sorted(names))}")
    if args.check_sheet:
        check_sheet(args.check_sheet)
        return
    print(f"{args.out}: {draw(args.out, set(args.only))} tables")


if __name__ == "__main__":
    main()
