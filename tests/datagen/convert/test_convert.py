"""What holds for every format: `run` takes the result, nothing vanishes, nothing is half-written."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datagen import convert as converting
from datagen.annotations import read_annotations
from datagen.convert import writing
from datagen.convert.collection import image_id_of
from datagen.convert.images import Fault, ImageFolder
from datagen.records import ImageAnnotation, InputError
from tests.datagen.convert.exports import convert, draw, made, write
from tests.datagen.convert.test_drawn import CVAT, labelme, rectangle, region, shape, task, text, voc
from tests.datagen.convert.test_yolo import write_yolo
from tests.datagen.test_bad_input import refused
from tests.datagen.test_run import accounting, datagen, manifest_of, records_of

BOXES = [("dog", 10, 20, 60, 80), ("person", 100, 10, 150, 90)]
CAPTION = "A dog and a person on a beach."


def yolo(folder: Path) -> list[Path]:
    return [write_yolo(folder, "1 0.175 0.5 0.25 0.6\n0 0.625 0.5 0.25 0.8\n")]


def voc_export(folder: Path) -> list[Path]:
    return [write(folder / "xml/a.xml", voc("a.jpg", *BOXES)).parent]


def labelme_export(folder: Path) -> list[Path]:
    shapes = [shape(label, "rectangle", [x, y], [right, bottom]) for label, x, y, right, bottom in BOXES]
    return [write(folder / "json/a.json", labelme("../images/train/a.jpg", shapes)).parent]


def cvat(folder: Path) -> list[Path]:
    drawn = "".join(
        f'<box label="{label}" xtl="{x}" ytl="{y}" xbr="{right}" ybr="{bottom}" occluded="0"></box>'
        for label, x, y, right, bottom in BOXES
    )
    xml = CVAT[: CVAT.index("  <image")] + f'<image id="0" name="train/a.jpg">{drawn}</image></annotations>'
    return [write(folder / "annotations.xml", xml)]


def label_studio(folder: Path) -> list[Path]:
    results = [
        region("rectanglelabels", rectangle(x / 2, y, (right - x) / 2, bottom - y, 0, label), id=label)
        for label, x, y, right, bottom in BOXES
    ]
    exported = task(1, "/data/upload/1/0a1b2c3d-a.jpg", [*results, text([CAPTION])])
    return [write(folder / "project.json", [exported])]


def csv(folder: Path) -> list[Path]:
    rows = "".join(",".join(map(str, ("a.jpg", *box))) + "\n" for box in BOXES)
    return [write(folder / "boxes.csv", f"file,label,xmin,ymin,xmax,ymax\n{rows}")]


def captions(folder: Path) -> list[Path]:
    return [write(folder / "captions.tsv", f"image\tcaption\ntrain/a.jpg\t{CAPTION}\n")]


def reports(folder: Path) -> list[Path]:
    return [write(folder / "reports/train/a.txt", CAPTION).parent.parent]


def metadata(folder: Path) -> list[Path]:
    exif = Image.Exif()
    exif[0x010E] = CAPTION
    Image.new("RGB", (200, 100)).save(folder / "images/train/a.jpg", exif=exif)
    return []


EXPORTS: dict[str, Callable[[Path], list[Path]]] = {
    "yolo": yolo,
    "voc": voc_export,
    "labelme": labelme_export,
    "cvat": cvat,
    "label-studio": label_studio,
    "csv": csv,
    "captions": captions,
    "reports": reports,
    "metadata": metadata,
}


def test_there_is_an_export_of_every_format() -> None:
    assert list(EXPORTS) == list(converting.FORMATS)


@pytest.mark.parametrize("format_", EXPORTS)
def test_run_takes_what_convert_makes_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], format_: str
) -> None:
    images = draw(tmp_path / "set", "images/train/a.jpg") / "images"
    found = convert(format_, *EXPORTS[format_](tmp_path / "set"), images=images, out=tmp_path / "out")
    boxes = [
        (label, [float(x), float(y), float(right - x), float(bottom - y)])
        for label, x, y, right, bottom in BOXES
    ]
    has_captions = format_ in ("captions", "reports", "metadata", "label-studio")
    has_boxes = format_ not in ("captions", "reports", "metadata")
    assert found.boxes.get("train/a.jpg", []) == (boxes if has_boxes else [])
    assert found.captions == ({"train/a.jpg": [CAPTION]} if has_captions else {})
    # The command that it says to give next is given.
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("next: "))
    command = said.removeprefix("next: python -m datagen ").removesuffix("out/mine").split()
    assert datagen(*command, tmp_path / "run") == 0
    manifest = manifest_of(tmp_path / "run")
    assert manifest.images == 1
    assert {record.image for record in records_of(tmp_path / "run")} == {"train/a.jpg"}
    assert "left_out" not in manifest.reasons
    if has_captions:
        assert [r.conversations[1].value for r in records_of(tmp_path / "run", "alignment.json")] == [CAPTION]
    assert manifest.accounting["conversation"] == accounting(
        planned=1, emitted=1, excluded=manifest.accounting["conversation"].excluded
    )


def test_captions_and_boxes_that_were_converted_apart_meet_in_run(tmp_path: Path) -> None:
    images = draw(tmp_path / "set", "images/train/a.jpg", "images/train/b.jpg") / "images"
    convert("voc", *voc_export(tmp_path / "set"), images=images, out=tmp_path / "boxes")
    convert("captions", *captions(tmp_path / "set"), images=images, out=tmp_path / "texts")
    read = read_annotations([tmp_path / "texts/captions.json"], [tmp_path / "boxes/instances.json"])
    (annotation,) = read
    assert isinstance(annotation, ImageAnnotation)
    assert annotation.captions == (CAPTION,)
    assert [box.category for box in annotation.boxes] == ["dog", "person"]


def test_captions_stay_with_images_of_which_boxes_were_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = draw(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    dog = region("rectanglelabels", rectangle(5, 20, 25, 60, 0, "dog"), id="dog")
    unlabelled = region("rectanglelabels", rectangle(50, 20, 25, 60, 0), id="unlabelled")
    tasks = [
        task(1, "a.jpg", [dog, text([CAPTION])]),
        task(2, "b.jpg", [dog, unlabelled, text([CAPTION])]),
        task(3, "c.jpg", [dog]),
        task(4, "d.jpg", []),
    ]
    convert("label-studio", write(tmp_path / "p.json", tasks), images=images, out=tmp_path / "out")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("4 images, 2 boxes of 1 category and 2 captions: ")
    assert said[-2] == "2 images without a caption: given both files, `run` skips them"
    read = read_annotations([tmp_path / "out/captions.json"], [tmp_path / "out/instances.json"])
    of_b = next(each for each in read if isinstance(each, ImageAnnotation) and each.file_name == "b.jpg")
    assert (of_b.captions, of_b.boxes, of_b.uncounted) == ((CAPTION,), (), ("dog",))
    command = said[-1].removeprefix("next: python -m datagen ").removesuffix("out/mine").split()
    assert datagen(*command, tmp_path / "run") == 0
    assert manifest_of(tmp_path / "run").reasons["excluded"]["no_captions"] == 2


def test_an_images_id_is_decided_by_its_path_alone() -> None:
    # Written down: ids that change would have every reply asked and paid for again.
    assert image_id_of("train/a.jpg") == 169092180670449


def test_the_same_export_gives_the_same_bytes_in_whatever_order(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", *(f"{n}.jpg" for n in range(8)))
    files = [write(tmp_path / f"xml/{n}.xml", voc(f"{n}.jpg", *BOXES)) for n in range(8)]
    convert("voc", tmp_path / "xml", images=images, out=tmp_path / "a")
    convert("voc", *files, images=images, out=tmp_path / "b")
    assert (tmp_path / "a/instances.json").read_bytes() == (tmp_path / "b/instances.json").read_bytes()
    rows = [",".join(map(str, (f"{n}.jpg", *BOXES[0]))) for n in range(8)]
    shuffled = random.Random(0).sample(rows, len(rows))
    for name, order in (("c", rows), ("d", shuffled)):
        table = "\n".join(["file,label,xmin,ymin,xmax,ymax", *order])
        convert("csv", write(tmp_path / f"{name}.csv", table), images=images, out=tmp_path / name)
    assert (tmp_path / "c/instances.json").read_bytes() == (tmp_path / "d/instances.json").read_bytes()


def test_a_picture_that_exif_turns_has_no_boxes_to_trust(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "a.jpg", "b.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 200)).save(images / "a.jpg", exif=exif)
    files = [write(tmp_path / f"{name}.xml", voc(f"{name}.jpg", *BOXES)) for name in "ab"]
    found = convert("voc", *files, images=images, out=tmp_path / "out")
    assert list(found.boxes) == ["b.jpg"]
    assert found.left_out == [("turned_by_exif", "a.xml", "")]
    detail = json.loads((tmp_path / "out/left_out.jsonl").read_text())["detail"]
    assert detail.startswith("a.jpg: EXIF says to turn it, which training does not: save it upright")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["pascal", "x"],
            "FORMAT pascal: no such format; there are yolo, voc, labelme, cvat, label-studio, csv, ",
        ),
        (["voc"], "convert voc: give the PATH of an export (Pascal VOC: XML files, or their folder)"),
        (["voc", "xml"], "convert voc: give the folder of the images with --images DIR"),
        (["voc", "nowhere", "--images", "images"], "nowhere: does not exist; check the path"),
        (["voc", "images", "--images", "images"], "images: holds no .xml file"),
        (["voc", "xml", "--images", "nowhere"], "--images nowhere: no such folder"),
        (["voc", "xml", "--images", "xml"], "--images xml: holds no picture (.avif, .bmp, "),
        (
            ["voc", "xml", "--images", "images", "--split", "val"],
            "--split has no meaning for voc; it goes with yolo",
        ),
        (["metadata", "xml", "--images", "images"], "convert metadata: takes no PATH"),
        (["yolo", "xml", "xml"], "convert yolo: give one data.yaml"),
        (["yolo", "xml"], "xml/data.yaml: does not exist; check the path"),
        (["cvat", "xml", "--images", "images"], "xml: is a folder; give the file in it"),
    ],
)
def test_bad_usage_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "images", "a.jpg")
    write(tmp_path / "xml/a.xml", voc("a.jpg", *BOXES))
    assert refused(capsys, tmp_path / "out", "convert", *arguments).startswith(says)


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = draw(tmp_path / "images", "a.jpg")
    file = write(tmp_path / "a.xml", voc("a.jpg", *BOXES))
    (tmp_path / "out").mkdir()  # an empty one will do
    convert("voc", file, images=images, out=tmp_path / "out")
    before = (tmp_path / "out/instances.json").read_bytes()
    said = refused(capsys, tmp_path / "out", "convert", "voc", file, "--images", images)
    assert said.endswith(
        "out: not empty (it holds instances.json), and nothing is overwritten: choose another"
    )
    assert (tmp_path / "out/instances.json").read_bytes() == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_cannot_be_written_whole_is_not_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    images = draw(tmp_path / "images", "a.jpg")
    file = write(tmp_path / "a.xml", voc("a.jpg", *BOXES))

    def fail(lines: object, folder: Path) -> None:
        assert (folder / writing.INSTANCES).stat().st_size
        raise error

    monkeypatch.setattr(converting, "write_left_out", fail)
    before = sorted(tmp_path.iterdir())
    status = datagen("convert", "voc", file, "--images", images, "--out", tmp_path / "deep/out")
    said = capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
    if isinstance(error, OSError):
        assert (status, said) == (
            2,
            f"error: --out {tmp_path}/deep/out: cannot be written: No space left on device\n",
        )
    else:
        assert (status, said) == (130, "error: interrupted: nothing was written\n")


def test_what_a_killed_conversion_left_is_swept_away(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "a.jpg")
    write(tmp_path / ".out.vitkit-writing/instances.json", "{")
    convert("voc", write(tmp_path / "a.xml", voc("a.jpg", *BOXES)), images=images, out=tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.xml", "images", "out"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("train/a.jpg", "train/a.jpg"),
        ("a.jpg", "a.jpg"),
        ("/home/me/photos/train/a.jpg", "train/a.jpg"),
        ("D:\\photos\\val\\B.JPG", "val/b.jpg"),
        ("b.jpg", "val/b.jpg"),
        ("b", "val/b.jpg"),
        ("scan.001", "val/scan.001.png"),
        ("../../val/b.jpg", "val/b.jpg"),
        ("c.jpg", "ambiguous_image"),
        ("test/b.jpg", "image_not_found"),
        ("b.png", "image_not_found"),
        ("../secret.jpg", "image_not_found"),
        ("", "image_not_found"),
        ("/", "image_not_found"),
        ("bad\\name.jpg", "image_not_found"),
        ("odd.jpg", "unsafe_file_name"),
    ],
)
def test_a_picture_is_found_by_the_part_of_its_path_that_both_sides_know(
    tmp_path: Path, name: str, found: str
) -> None:
    folder = draw(
        tmp_path / "images", "a.jpg", "train/a.jpg", "val/b.jpg", "val/scan.001.png", "1/c.jpg", "2/c.jpg"
    )
    draw(tmp_path, "secret.jpg")
    (folder / "new\nline").mkdir()
    draw(folder / "new\nline", "odd.jpg")
    result = ImageFolder(folder).find(name)
    assert (result.reason if isinstance(result, Fault) else result) == found


def test_hidden_files_and_links_in_circles_are_passed_over(tmp_path: Path) -> None:
    folder = draw(tmp_path / "images", "a.jpg", "._a.jpg", ".cache/b.jpg")
    (folder / "again").symlink_to(folder)
    draw(tmp_path / "elsewhere", "c.jpg")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    assert ImageFolder(folder).names == ["a.jpg", "linked/c.jpg"]


# Whatever stands in an export: one line, or files that `run` reads without a complaint but for the boxes
# of no size that stand for what was lost.

NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-1, 2),
    st.integers(-(10**400), 10**400),
    st.sampled_from(["", "x", "1e999", "0.5", "١", "-0"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FUZZ = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def wild(tmp_path: Path, format_: str, export: Path) -> None:
    out = tmp_path / "out"
    images = tmp_path / "images"
    try:
        converted = converting.convert(format_, [export], images, out)
    except InputError as error:
        assert "\n" not in str(error)
        assert not out.exists()
        return
    files = {
        kind: [file for file in converted.files if file.name == f"{kind}.json"]
        for kind in ("captions", "instances")
    }
    for kind, paths in files.items():
        if paths:
            read = read_annotations(*((paths, []) if kind == "captions" else ([], paths)))
            for image in read:
                assert isinstance(image, ImageAnnotation)
            assert {note.reason for note in read.left_out} <= {"bad_box"}
    for boxes in made(out).boxes.values():
        for _, (x, y, width, height) in boxes:
            assert 0 <= x <= x + width <= 200.005
            assert 0 <= y <= y + height <= 100.005
    for path in (*sorted(out.iterdir()), out):
        path.rmdir() if path.is_dir() else path.unlink()


def as_text(value: object) -> str:
    return str(value).replace("\n", " ")


@FUZZ
@given(lines=st.lists(st.lists(NUMBERS, max_size=10), max_size=5), raw=st.text(max_size=40))
def test_wild_yolo(tmp_path: Path, lines: list[list[Any]], raw: str) -> None:
    draw(tmp_path / "images", "a.jpg")
    rows = [" ".join(map(as_text, line)) for line in lines]
    (tmp_path / "labels").mkdir(exist_ok=True)
    labels = "\n".join(["0 0.5 0.5 0.2 0.2", *rows, raw])
    (tmp_path / "labels/a.txt").write_bytes(labels.encode("utf-8", "surrogatepass"))
    wild(tmp_path, "yolo", write(tmp_path / "data.yaml", "train: images\nnames: [dog, cat]\n"))


@FUZZ
@given(rows=st.lists(st.lists(st.one_of(NUMBERS, st.text(max_size=8)), min_size=4, max_size=6), max_size=5))
def test_wild_csv(tmp_path: Path, rows: list[list[Any]]) -> None:
    draw(tmp_path / "images", "a.jpg")
    table = "file,label,xmin,ymin,xmax,ymax\n" + "".join(
        ",".join(["a.jpg", "dog", *map(as_text, row)]) + "\n" for row in rows
    )
    (tmp_path / "boxes.csv").write_bytes(table.encode("utf-8", "surrogatepass"))
    wild(tmp_path, "csv", tmp_path / "boxes.csv")


@FUZZ
@given(
    shapes=st.lists(
        st.fixed_dictionaries(
            {
                "label": VALUES,
                "points": st.lists(st.lists(NUMBERS, min_size=1, max_size=3), max_size=3) | VALUES,
            },
            optional={
                "shape_type": st.sampled_from(["polygon", "circle", "point", "rectangle"]) | VALUES,
                "group_id": VALUES,
            },
        )
        | VALUES,
        max_size=4,
    ),
    size=VALUES,
)
def test_wild_labelme(tmp_path: Path, shapes: list[Any], size: Any) -> None:
    draw(tmp_path / "images", "a.jpg")
    content = {"shapes": shapes, "imagePath": "a.jpg", "imageWidth": size}
    wild(tmp_path, "labelme", write(tmp_path / "a.json", content))


@FUZZ
@given(
    results=st.lists(
        st.fixed_dictionaries(
            {
                "value": st.fixed_dictionaries(
                    {},
                    optional=dict.fromkeys("x y width height rotation radiusX".split(), NUMBERS | VALUES)
                    | {"points": VALUES, "rectanglelabels": VALUES, "text": VALUES, "labels": VALUES},
                )
                | VALUES
            },
            optional={
                "type": st.sampled_from(["rectanglelabels", "labels", "textarea", "polygonlabels"]) | VALUES,
                "id": VALUES,
                "original_width": VALUES,
                "original_height": VALUES,
                "image_rotation": VALUES,
            },
        )
        | VALUES,
        max_size=4,
    ),
    annotation=st.dictionaries(
        st.sampled_from(["was_cancelled", "ground_truth", "updated_at", "id"]), VALUES, max_size=3
    ),
    data=st.just({"image": "a.jpg"}) | VALUES,
)
def test_wild_label_studio(tmp_path: Path, results: list[Any], annotation: dict[str, Any], data: Any) -> None:
    draw(tmp_path / "images", "a.jpg")
    tasks = [{"id": 1, "data": data, "annotations": [annotation | {"result": results}, results]}, data]
    wild(tmp_path, "label-studio", write(tmp_path / "project.json", tasks))


@FUZZ
@given(
    shapes=st.lists(
        st.tuples(
            st.sampled_from(["box", "polygon", "ellipse", "mask", "cuboid", "skeleton", "tag", "x"]),
            st.dictionaries(
                st.sampled_from(
                    "label points xtl ytl xbr ybr rotation cx cy rx ry left top width height group_id".split()
                ),
                st.one_of(NUMBERS, st.sampled_from(["dog", "1,2;3,4;9,9", "1,2;3"]), st.text(max_size=6)),
            ),
        ),
        max_size=5,
    )
)
def test_wild_cvat(tmp_path: Path, shapes: list[tuple[str, dict[str, Any]]]) -> None:
    from xml.sax.saxutils import quoteattr

    draw(tmp_path / "images", "a.jpg")
    drawn = "".join(
        f"<{tag} {' '.join(f'{key}={quoteattr(as_text(value))}' for key, value in attributes.items())}/>"
        for tag, attributes in shapes
    )
    xml = f'<annotations><image id="0" name="a.jpg">{drawn}</image></annotations>'
    (tmp_path / "a.xml").write_bytes(xml.encode("utf-8", "surrogatepass"))
    wild(tmp_path, "cvat", tmp_path / "a.xml")
