"""Draw the bundled sample: pictures of our own with COCO captions and instances.

    python examples/draw_scenes.py                                  # draw examples/scenes again
    python examples/draw_scenes.py --out DIR --only crosswalk       # some of it, elsewhere
    python examples/draw_scenes.py --contact-sheet docs/images/scenes.jpg

Nothing here is random from run to run: the same Pillow gives the same bytes of JSON and the same pixels.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from scenekit.canvas import Canvas, Region
from scenekit.scenes import SCENES, Scene, render

HERE = Path(__file__).resolve().parent

# COCO's own categories, with the gaps in its numbering.
CATEGORIES: dict[str, tuple[tuple[int, str], ...]] = {
    "person": ((1, "person"),),
    "vehicle": (
        (2, "bicycle"), (3, "car"), (4, "motorcycle"), (5, "airplane"), (6, "bus"), (7, "train"),
        (8, "truck"), (9, "boat"),
    ),
    "outdoor": (
        (10, "traffic light"), (11, "fire hydrant"), (13, "stop sign"), (14, "parking meter"), (15, "bench"),
    ),
    "animal": (
        (16, "bird"), (17, "cat"), (18, "dog"), (19, "horse"), (20, "sheep"), (21, "cow"), (22, "elephant"),
        (23, "bear"), (24, "zebra"), (25, "giraffe"),
    ),
    "accessory": ((27, "backpack"), (28, "umbrella"), (31, "handbag"), (32, "tie"), (33, "suitcase")),
    "sports": (
        (34, "frisbee"), (35, "skis"), (36, "snowboard"), (37, "sports ball"), (38, "kite"),
        (39, "baseball bat"), (40, "baseball glove"), (41, "skateboard"), (42, "surfboard"),
        (43, "tennis racket"),
    ),
    "kitchen": (
        (44, "bottle"), (46, "wine glass"), (47, "cup"), (48, "fork"), (49, "knife"), (50, "spoon"),
        (51, "bowl"),
    ),
    "food": (
        (52, "banana"), (53, "apple"), (54, "sandwich"), (55, "orange"), (56, "broccoli"), (57, "carrot"),
        (58, "hot dog"), (59, "pizza"), (60, "donut"), (61, "cake"),
    ),
    "furniture": (
        (62, "chair"), (63, "couch"), (64, "potted plant"), (65, "bed"), (67, "dining table"), (70, "toilet"),
    ),
    "electronic": (
        (72, "tv"), (73, "laptop"), (74, "mouse"), (75, "remote"), (76, "keyboard"), (77, "cell phone"),
    ),
    "appliance": ((78, "microwave"), (79, "oven"), (80, "toaster"), (81, "sink"), (82, "refrigerator")),
    "indoor": (
        (84, "book"), (85, "clock"), (86, "vase"), (87, "scissors"), (88, "teddy bear"), (89, "hair drier"),
        (90, "toothbrush"),
    ),
}  # fmt: skip
NUMBER = {name: number for group in CATEGORIES.values() for number, name in group}

INFO = {
    "description": "vitkit's bundled sample: scenes drawn by examples/draw_scenes.py",
    "url": "",
    "version": "1.0",
    "year": 2026,
    "contributor": "vitkit",
    "date_created": "2026/01/01",
}
LICENSES = [{"id": 1, "name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}]

# The scenes that the README's picture shows, best first impressions.
FAVOURITES = (
    "crosswalk", "couch-cat", "kite-festival", "night-taxi",
    "dining-room", "umbrellas-in-the-rain", "elephants", "harbour",
    "skiers", "cows", "cooking", "apron",
    "stadium", "beach-umbrella", "office-desk", "sunset-sail",
)  # fmt: skip


def image_record(number: int, scene: Scene) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": f"{scene.name}.jpg",
        "width": scene.width,
        "height": scene.height,
        "license": 1,
    }


def instance_record(number: int, image: int, region: Region, size: tuple[int, int]) -> dict[str, Any]:
    segmentation: Any = region.polygons
    if region.crowd:
        segmentation = {"size": [size[1], size[0]], "counts": region.rle}
    return {
        "id": number,
        "image_id": image,
        "category_id": NUMBER[region.category],
        "bbox": region.bbox,
        "area": region.area,
        "iscrowd": int(region.crowd),
        "segmentation": segmentation,
    }


def to_json(document: dict[str, Any]) -> str:
    """One record per line, so that a change to one scene is a small diff."""
    parts: list[str] = []
    for key, value in document.items():
        if isinstance(value, list):
            rows = ",\n".join(
                "  " + json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in value
            )
            parts.append(f"{json.dumps(key)}: [\n{rows}\n]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def draw(out: Path, only: set[str], *, boxes: bool = False) -> dict[str, Image.Image]:
    """Write images and JSON of all scenes, or of some (numbers stay those of the full set)."""
    images: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    pictures: dict[str, Image.Image] = {}
    (out / "images").mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(SCENES, start=1):
        if only and scene.name not in only:
            continue
        canvas = render(scene)
        picture = canvas.image()
        record = image_record(number, scene)
        images.append(record)
        for k, text in enumerate(scene.captions):
            captions.append({"id": number * 10 + k, "image_id": number, "caption": text})
        for k, region in enumerate(canvas.regions()):
            instances.append(instance_record(number * 100 + k, number, region, (scene.width, scene.height)))
        # Full colour resolution: halved, red edges on flat colours turn to mud.
        picture.save(out / "images" / record["file_name"], quality=80, subsampling=0, optimize=True)
        if boxes:
            outline(picture, canvas)
        pictures[scene.name] = picture
    shared = {"info": INFO, "licenses": LICENSES, "images": images}
    categories = [
        {"supercategory": group, "id": number, "name": name}
        for group, members in CATEGORIES.items()
        for number, name in members
    ]
    write(out / "captions.json", to_json({**shared, "annotations": captions}))
    write(out / "instances.json", to_json({**shared, "annotations": instances, "categories": categories}))
    return pictures


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def outline(picture: Image.Image, canvas: Canvas) -> None:
    """Draw the boxes and polygons over the picture, to check them by eye."""
    brush = ImageDraw.Draw(picture)
    for region in canvas.regions():
        x, y, w, h = region.bbox
        hue = NUMBER[region.category] * 47 % 360
        brush.rectangle((x, y, x + w - 1, y + h - 1), outline=f"hsl({hue},100%,45%)", width=2)
        for polygon in region.polygons:
            brush.line([*polygon, *polygon[:2]], fill="#ffffff", width=1)


def sheet(pictures: list[Image.Image], across: int, width: int, gap: int = 8) -> Image.Image:
    """The pictures in a grid of equal cells, each cropped to 4:3 about its middle."""
    down = math.ceil(len(pictures) / across)
    cell = (width - gap * (across + 1)) // across
    tall = cell * 3 // 4
    page = Image.new("RGB", (width, down * (tall + gap) + gap), "#ffffff")
    for k, picture in enumerate(pictures):
        w, h = picture.size
        if w * 3 > h * 4:
            crop = ((w - h * 4 // 3) // 2, 0, (w + h * 4 // 3) // 2, h)
        else:
            crop = (0, (h - w * 3 // 4) * 2 // 3, w, (h - w * 3 // 4) * 2 // 3 + w * 3 // 4)
        small = picture.crop(crop).resize((cell, tall), Image.Resampling.LANCZOS)
        page.paste(small, (gap + (k % across) * (cell + gap), gap + (k // across) * (tall + gap)))
    return page


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Draw the bundled sample scenes with their COCO annotations."
    )
    parser.add_argument(
        "--out", type=Path, default=HERE / "scenes", help="folder to write (default: examples/scenes)"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="draw these scenes only")
    parser.add_argument(
        "--contact-sheet", type=Path, metavar="PATH", help="write the README's picture and stop"
    )
    parser.add_argument(
        "--check-sheet", type=Path, metavar="PATH", help="write all scenes with boxes on one sheet and stop"
    )
    args = parser.parse_args()
    names = {scene.name for scene in SCENES}
    unknown = sorted(set(args.only) - names)
    if unknown:
        parser.error(f"no scene is called {', '.join(unknown)}; there are: {', '.join(sorted(names))}")
    if args.contact_sheet:
        by_name = {scene.name: scene for scene in SCENES}
        page = sheet([render(by_name[name]).image() for name in FAVOURITES], 4, 1200)
        args.contact_sheet.parent.mkdir(parents=True, exist_ok=True)
        page.save(args.contact_sheet, quality=84, subsampling=0, optimize=True)
        print(
            f"{args.contact_sheet}: {len(FAVOURITES)} scenes, {args.contact_sheet.stat().st_size // 1000} kB"
        )
        return
    if args.check_sheet:
        pictures: list[Image.Image] = []
        for scene in SCENES:
            if args.only and scene.name not in args.only:
                continue
            canvas = render(scene)
            picture = canvas.image()
            outline(picture, canvas)
            pictures.append(picture)
        sheet(pictures, 6 if len(pictures) > 6 else 2, 1980).save(args.check_sheet)
        return
    drawn = draw(args.out, set(args.only))
    print(f"{args.out}: {len(drawn)} scenes")


if __name__ == "__main__":
    main()
