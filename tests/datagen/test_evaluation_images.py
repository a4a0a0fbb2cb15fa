"""Images of benchmarks stay out: by id, by name, by how they look."""

from __future__ import annotations

import io
import json
import string
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datagen.evaluation_images import (
    MARGIN,
    SHIPPED,
    EvaluationImages,
    EvaluationList,
    EvaluationPictures,
    Lookalike,
    UnreadablePicture,
    count_by_benchmark,
    read_entries,
    read_evaluation_list,
)
from datagen.ledger import Ledger
from datagen.records import InputError
from tests.datagen.scenes import write_coco
from tests.datagen.test_run import TYPES, datagen, manifest_of, records_of, rejections_of

SCENES = Path(__file__).resolve().parents[2] / "examples" / "scenes" / "images"
BENCHMARKS = {
    "LLaVA-Bench (COCO)": 30,
    "POPE": 500,
    "POPE (A-OKVQA)": 500,
    "MME": 110,
    "VSR (zero-shot test)": 715,
}
Capture = pytest.CaptureFixture[str]
# One folder for all examples of a test, each of which writes the same file again.
written_over = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# By id and by name.


def test_the_shipped_list_has_every_image_of_its_benchmarks_once() -> None:
    assert read_evaluation_list().counts == BENCHMARKS
    entries = list(read_entries(SHIPPED))
    assert len(set(entries)) == len(entries) == sum(BENCHMARKS.values())
    # COCO's ids end below 600,000.
    assert all(0 < int(entry) < 600_000 for _, entry in entries)


def test_of_coco_val2017_as_many_images_are_listed_as_others_counted(shared_data: Path) -> None:
    """All but 27 of LLaVA-Bench and 426 of POPE, which are in train2017 (and but 79 of val2017)."""
    path = shared_data / "coco-val2017" / "annotations" / "captions_val2017.json"
    listed = read_evaluation_list()
    found = [listed.benchmarks_of(image["file_name"]) for image in json.loads(path.read_bytes())["images"]]
    counts = {name: sum(name in benchmarks for benchmarks in found) for name in BENCHMARKS}
    assert counts == {
        "LLaVA-Bench (COCO)": 3,
        "POPE": 72,
        "POPE (A-OKVQA)": 492,
        "MME": 107,
        "VSR (zero-shot test)": 27,
    }


@pytest.mark.parametrize(
    "file_name",
    [
        "000000525439.jpg",
        "COCO_val2014_000000525439.jpg",
        "COCO_train2014_000000525439.jpg",
        "val2014/COCO_val2014_000000525439.jpg",
        "a/b/000000525439.PNG",
        "000000525439",
        "coco_VAL2014_000000525439.webp",
    ],
)
def test_a_coco_image_is_known_under_every_name_of_coco(file_name: str) -> None:
    assert read_evaluation_list().benchmarks_of(file_name) == ("LLaVA-Bench (COCO)",)


@pytest.mark.parametrize(
    "file_name",
    [
        "525439.jpg",
        "0525439.png",
        "scan_000000525439.png",
        "000000525439_1.jpg",
        "0000000525439.jpg",
        "000000525438.jpg",
    ],
)
def test_an_id_that_ships_says_nothing_of_files_not_named_as_coco_names_them(file_name: str) -> None:
    assert read_evaluation_list().benchmarks_of(file_name, image_id=525439) == ()


def test_an_image_of_two_benchmarks_is_said_to_be_in_both() -> None:
    both = [
        entry for benchmark, entry in read_entries(SHIPPED) if benchmark in ("LLaVA-Bench (COCO)", "POPE")
    ]
    (shared,) = {entry for entry in both if both.count(entry) == 2}
    listed = read_evaluation_list()
    assert listed.benchmarks_of(f"{int(shared):012d}.jpg") == ("LLaVA-Bench (COCO)", "POPE")


def write_list(folder: Path, text: str | bytes, name: str = "mine.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_list_of_ones_own_takes_ids_and_names(tmp_path: Path) -> None:
    path = write_list(
        tmp_path,
        "\ufeff# held out\r\nscan_0012.png\n7, 8 0009 # three patients\n\n"
        "[Ward 3]\nsub/Größe 4.TIFF\nCOCO_val2014_000000000042.jpg\nimage.v2\n7\n",
    )
    assert list(read_entries(path)) == [
        ("mine", "scan_0012.png"),
        ("mine", "7"),
        ("mine", "8"),
        ("mine", "0009"),
        ("Ward 3", "sub/Größe 4.TIFF"),
        ("Ward 3", "COCO_val2014_000000000042.jpg"),
        ("Ward 3", "image.v2"),
        ("Ward 3", "7"),
    ]
    listed = read_evaluation_list([path])
    assert listed.counts == BENCHMARKS | {"mine": 4, "Ward 3": 4}
    assert listed.benchmarks_of("x/SCAN_0012.jpeg", 1) == ("mine",)
    for same in ("Gro\u0308ße 4.png", "größe 4.jpg", "other/GRÖSSE 4.tif"):
        assert listed.benchmarks_of(same, 1) == ("Ward 3",)
    assert listed.benchmarks_of("Grosse 4.tiff", 1) == ()
    assert listed.benchmarks_of("000000000042.jpg", 1) == ("Ward 3",)
    assert listed.benchmarks_of("image.v2.png", 1) == ("Ward 3",)
    assert listed.benchmarks_of("image.v3", 1) == ()


def test_a_number_in_a_list_of_ones_own_is_an_image_id_a_coco_id_or_a_name(tmp_path: Path) -> None:
    listed = read_evaluation_list([write_list(tmp_path, "0009")])
    assert listed.benchmarks_of("anything.png", 9) == ("mine",)
    assert listed.benchmarks_of("COCO_train2014_000000000009.jpg", 1) == ("mine",)
    assert listed.benchmarks_of("0009.png", 1) == ("mine",)
    assert listed.benchmarks_of("9.png", 1) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": names no image"),
        ("# nothing\n", ": names no image"),
        ("[POPE]\n# nothing\n", ": line 1: [POPE] names no image"),
        ("[POPE]\n[MME]\n12\n", ": line 1: [POPE] names no image"),
        ("12\n[]\n13\n", ": line 2: [] is no heading"),
        ("[a; b]\n13\n", ": line 1: [a; b] is no heading"),
        ("12\na.png b.png\n", ": line 2: a.png b.png: give one file name a line"),
        ("12, b.png\n", ": line 1: 12, b.png: give one file name a line"),
        ('{"image": 12}\n', ': line 1: {"image": 12} looks like JSON'),
        ("[12, 13]\n", ": line 1: [12, 13] names no image"),
        ('[\n"a.png",\n"b.png"\n]', ": line 1: [ looks like JSON"),
        ("a/\n", ": line 1: a/ is neither an id nor a file name"),
        ("a\x1b[2Jb\n", ": line 1: a�[2Jb is neither an id nor a file name"),
        ("a\tb\n", ": line 1: a�b is neither an id nor a file name"),
        (b"12\n\xff\xfe\n", ": not UTF-8 text (byte 3): save it as UTF-8"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    path = write_list(tmp_path, text)
    with pytest.raises(InputError) as refused:
        read_evaluation_list([path])
    assert str(refused.value).startswith(f"--evaluation-ids {path}{said}")


def test_a_list_that_is_no_file_is_refused(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "not a file"), (tmp_path / "none", "no such file")):
        with pytest.raises(InputError) as refused:
            read_evaluation_list([path])
        assert str(refused.value) == f"--evaluation-ids {path}: {said}"


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@written_over
def test_any_bytes_are_a_list_or_one_line_of_complaint(tmp_path: Path, content: bytes) -> None:
    path = write_list(tmp_path, content)
    try:
        listed = read_evaluation_list([path])
    except InputError as error:
        assert not any(unicodedata.category(character) == "Cc" for character in str(error))
    else:
        assert all(listed.benchmarks_of(entry) for _, entry in read_entries(path))


NAMES = st.text(string.ascii_letters + "äß中 _-.()'+", min_size=1, max_size=20).map(
    lambda name: f"i{name.strip()}"
)


@given(st.lists(st.one_of(st.integers(-(10**18), 10**18).map(str), NAMES.map("{}.png".format)), min_size=1))
@written_over
def test_what_is_listed_one_a_line_is_found(tmp_path: Path, entries: list[str]) -> None:
    path = write_list(tmp_path, "\n".join(entries))
    listed = read_evaluation_list([path])
    for entry in entries:
        if entry.endswith(".png"):
            assert "mine" in listed.benchmarks_of(f"folder/{entry.removesuffix('png').upper()}JPG")
        else:
            assert "mine" in listed.benchmarks_of("photo.jpg", int(entry))


# By looks.


def reencoded(
    source: Path, change: Callable[[Image.Image], Image.Image], *, kind: str, quality: int
) -> bytes:
    with Image.open(source) as image:
        changed = change(image.convert("RGB"))
    buffer = io.BytesIO()
    changed.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def scaled(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.resize((round(image.width * factor), round(image.height * factor)))


def cropped(part: float) -> Callable[[Image.Image], Image.Image]:
    def crop(image: Image.Image) -> Image.Image:
        x, y = image.width * part / 2, image.height * part / 2
        return image.crop((round(x), round(y), round(image.width - x), round(image.height - y)))

    return crop


@pytest.mark.parametrize(
    ("change", "kind", "quality"),
    [
        pytest.param(lambda image: image, "JPEG", 30, id="quality 30"),
        pytest.param(lambda image: image, "PNG", 0, id="png"),
        pytest.param(lambda image: image, "WEBP", 50, id="webp"),
        pytest.param(lambda image: image.quantize(64), "GIF", 0, id="64 colours"),
        pytest.param(lambda image: image.convert("L"), "JPEG", 80, id="grey"),
        pytest.param(lambda image: image.convert("CMYK"), "JPEG", 90, id="cmyk"),
        pytest.param(lambda image: image.resize((336, 336)), "JPEG", 80, id="square"),
        pytest.param(scaled(0.25), "JPEG", 60, id="a quarter"),
        pytest.param(scaled(2), "JPEG", 80, id="twice"),
        pytest.param(cropped(0.03), "JPEG", 90, id="cropped"),
    ],
)
def test_a_copy_is_found_and_no_other_picture(
    tmp_path: Path, change: Callable[[Image.Image], Image.Image], kind: str, quality: int
) -> None:
    scenes = sorted(SCENES.iterdir())
    evaluation, others = scenes[::2], scenes[1::2]
    for scene in evaluation:
        (tmp_path / f"{scene.stem}.{kind.lower()}").write_bytes(
            reencoded(scene, change, kind=kind, quality=quality)
        )
    pictures = EvaluationPictures([tmp_path])
    assert len(pictures) == len(evaluation) >= 30
    found = {scene: pictures.lookalike(scene) for scene in scenes}
    assert {scene.stem: like and like.name for scene, like in found.items()} == {
        **{scene.stem: f"{scene.stem}.{kind.lower()}" for scene in evaluation},
        **{scene.stem: None for scene in others},
    }


def draw(path: Path, image: Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.fixture
def scene() -> Image.Image:
    with Image.open(SCENES / "crosswalk.jpg") as image:
        return image.convert("RGB")


def test_a_picture_is_compared_as_it_is_to_be_shown(tmp_path: Path, scene: Image.Image) -> None:
    turns = Image.Transpose
    stored = {
        1: None,
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_90,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_270,
    }
    draw(tmp_path / "eval" / "upright.png", scene)
    pictures = EvaluationPictures([tmp_path / "eval"])
    for orientation, turn in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = scene if turn is None else scene.transpose(turn)
        path = draw(tmp_path / f"{orientation}.jpg", image, quality=90, exif=exif)
        like = pictures.lookalike(path)
        assert like is not None and like.distance <= 10, orientation
        if turn is not None:
            assert pictures.lookalike(draw(tmp_path / "turned.jpg", image, quality=90)) is None


def test_sixteen_bits_are_compared_with_eight(tmp_path: Path, scene: Image.Image) -> None:
    draw(tmp_path / "eval" / "a.png", scene.convert("L"))
    deep = scene.convert("L").convert("I").point(lambda value: value * 200 + 1000).convert("I;16")
    like = EvaluationPictures([tmp_path / "eval"]).lookalike(draw(tmp_path / "deep.png", deep))
    assert like is not None and like.distance <= 4
    flat = draw(tmp_path / "flat.png", Image.new("I;16", (50, 50), 30_000))
    assert EvaluationPictures([tmp_path / "eval"]).lookalike(flat) is None


def test_the_nearest_is_named_with_its_folder(tmp_path: Path, scene: Image.Image) -> None:
    draw(tmp_path / "a" / "1.jpg", cropped(0.02)(scene))
    draw(tmp_path / "b" / "c" / "2.PNG", scene)
    pictures = EvaluationPictures([tmp_path / "a", tmp_path / "b"])
    path = draw(tmp_path / "same.png", scene)
    assert pictures.lookalike(path) == Lookalike("c/2.PNG", tmp_path / "b", 0)
    images = EvaluationImages(EvaluationList(), [tmp_path / "b"], tmp_path)
    assert (
        images.why("same.png", 5) == f"same.png: looks like c/2.PNG in {tmp_path / 'b'} (distance 0 of 256)"
    )
    assert EvaluationImages(EvaluationList()).why("same.png", 5) is None


def test_only_pictures_of_the_folder_are_read_and_links_back_end(tmp_path: Path, scene: Image.Image) -> None:
    folder, elsewhere = tmp_path / "eval", tmp_path / "elsewhere"
    draw(folder / "a.jpg", scene)
    draw(elsewhere / "b.jpeg", scene)
    (folder / "README.txt").write_text("which images these are")
    (folder / "._a.jpg").write_bytes(b"\0\5\26\7")
    (folder / "link").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)
    assert len(EvaluationPictures([folder])) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a picture"),
        (b"\xff\xd8\xff\xe0 nothing", "damaged"),
        (None, "damaged"),
    ],
)
def test_an_evaluation_picture_that_cannot_be_read_is_named(
    tmp_path: Path, scene: Image.Image, content: bytes | None, said: str
) -> None:
    path = draw(tmp_path / "sub" / "a.jpg", scene)
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(InputError) as refused:
        EvaluationPictures([tmp_path])
    assert str(refused.value) == (
        f"--evaluation-images {tmp_path}: sub/a.jpg: cannot be read as a picture ({said}): "
        "mend it, or take it out of the folder"
    )


def test_a_link_to_nowhere_and_a_folder_without_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no picture in it \(\.jpg, "):
        EvaluationPictures([tmp_path])
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match=r"a\.jpg: not a file that is there: mend it"):
        EvaluationPictures([tmp_path])


def test_a_picture_of_too_many_pixels_is_not_decoded(
    tmp_path: Path, scene: Image.Image, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    draw(tmp_path / "eval" / "a.jpg", scene.resize((20, 20)))
    pictures = EvaluationPictures([tmp_path / "eval"])
    path = draw(tmp_path / "large.png", scene)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadablePicture, match=r"^has more pixels than are safe to decode$"):
        pictures.lookalike(path)
    # Up to twice the limit Pillow only warns, which is nothing that a person could act upon.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", scene.width * scene.height - 1)
    assert pictures.lookalike(path) is not None
    assert recwarn.list == []


# A run.


def write_images(folder: Path, names: list[str]) -> Path:
    """One scene of the bundled ones under each name."""
    folder.mkdir()
    for name, source in zip(names, sorted(SCENES.iterdir()), strict=False):
        (folder / name).write_bytes(source.read_bytes())
    return folder


@pytest.fixture
def files(tmp_path: Path) -> list[str | Path]:
    """Four images, of which the third is one of LLaVA-Bench's."""
    captions, instances = write_coco(tmp_path / "coco", images=4, first=525437)
    return ["--captions", captions, "--instances", instances]


def test_a_run_holds_an_image_of_a_benchmark_back_and_says_so(
    tmp_path: Path, files: list[str | Path], capsys: Capture
) -> None:
    out = tmp_path / "out"
    assert datagen("run", *files, "--out", out) == 0
    said = capsys.readouterr().out
    assert "Held back: 1 evaluation image (LLaVA-Bench (COCO) 1): docs/evaluation-images.md\n" in said
    manifest = manifest_of(out)
    assert manifest.reasons["excluded"] == {"evaluation_image": 1}
    assert {name: (count.planned, count.excluded) for name, count in manifest.accounting.items()} == (
        dict.fromkeys(TYPES, (3, 1))
    )
    (rejection,) = rejections_of(out)
    assert (rejection.outcome, rejection.image_id, rejection.type, rejection.stage, rejection.reason) == (
        "excluded", 525439, None, "planning", "evaluation_image"
    )  # fmt: skip
    assert rejection.detail == "000000525439.jpg: in LLaVA-Bench (COCO)"
    for name in ("llava_instruct.json", "alignment.json"):
        assert {record.image for record in records_of(out, name)} == {
            "000000525437.jpg", "000000525438.jpg", "000000525440.jpg"
        }  # fmt: skip
    assert datagen("status", out) == 0
    assert "Held back: 1 evaluation image (LLaVA-Bench (COCO) 1)" in capsys.readouterr().out


def test_it_is_held_back_under_its_2014_name_and_by_captions_quote_and_preview(
    tmp_path: Path, files: list[str | Path], capsys: Capture
) -> None:
    for path in (files[1], files[3]):
        content = json.loads(Path(path).read_text())
        for image in content["images"]:
            image["file_name"] = f"COCO_val2014_{image['file_name']}"
        Path(path).write_text(json.dumps(content))
    images = write_images(tmp_path / "images", [f"000000{number}.jpg" for number in range(525437, 525441)])
    held = "Held back: 1 evaluation image (LLaVA-Bench (COCO) 1): docs/evaluation-images.md\n"
    assert datagen("captions", *files, "--images", images, "--out", tmp_path / "captions") == 0
    assert held in capsys.readouterr().out
    assert len(records_of(tmp_path / "captions", "alignment.json")) == 3
    assert datagen("quote", *files) == 0
    said = capsys.readouterr().out
    assert "for 3 images" in said and held in said
    assert datagen("preview", *files, "--image-id", "525439") == 2
    assert (
        "would not be asked: evaluation_image: COCO_val2014_000000525439.jpg: in" in capsys.readouterr().err
    )


def test_a_limit_counts_images_that_are_used(tmp_path: Path, files: list[str | Path]) -> None:
    assert datagen("run", *files, "--out", tmp_path / "out", "--limit", "3") == 0
    assert manifest_of(tmp_path / "out").accounting["detail"].planned == 3


def test_evaluation_images_can_be_allowed(tmp_path: Path, files: list[str | Path], capsys: Capture) -> None:
    out = tmp_path / "out"
    assert datagen("run", *files, "--out", out, "--allow-evaluation-images") == 0
    said = capsys.readouterr().out
    assert "Images of benchmarks are not held back (--allow-evaluation-images)\n" in said
    assert "Held back" not in said
    assert manifest_of(out).accounting["detail"].planned == 4
    with Ledger.open_read_only(out) as ledger:
        assert ledger.setting("evaluation_images_allowed") is True


def test_a_run_takes_lists_of_ones_own(tmp_path: Path, files: list[str | Path], capsys: Capture) -> None:
    first = write_list(tmp_path, "[Ours: no]\n525437", "bad.txt")
    assert datagen("run", *files, "--out", tmp_path / "out", "--evaluation-ids", first) == 2
    assert f"--evaluation-ids {first}: line 1: [Ours: no] is no heading" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    first = write_list(tmp_path, "[Ours, held out]\n525437 525439", "first.txt")
    second = write_list(tmp_path, "000000525440.png", "second.txt")
    lists: list[str | Path] = ["--evaluation-ids", first, "--evaluation-ids", second]
    assert datagen("run", *files, "--out", tmp_path / "out", *lists) == 0
    assert (
        "Held back: 3 evaluation images (Ours, held out 2, LLaVA-Bench (COCO) 1, second 1): "
        "docs/evaluation-images.md\n"
    ) in capsys.readouterr().out
    assert manifest_of(tmp_path / "out").accounting["detail"].planned == 1
    with Ledger.open_read_only(tmp_path / "out") as ledger:
        assert [given["path"] for given in ledger.setting("evaluation_ids")] == [str(first), str(second)]


def test_where_everything_is_held_back_one_line_says_what_lets_it_in(
    tmp_path: Path, files: list[str | Path], capsys: Capture
) -> None:
    own = write_list(tmp_path, "525437 525438 525440")
    assert datagen("run", *files, "--out", tmp_path / "out", "--evaluation-ids", own) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == (
        "error: no image can be used: evaluation_image 4 (the first: 000000525437.jpg: in mine); "
        "--allow-evaluation-images lets images of benchmarks in"
    )
    assert not (tmp_path / "out").exists()


@pytest.fixture
def scans(tmp_path: Path) -> list[str | Path]:
    """Four images that no benchmark has, with their pictures."""
    captions, instances = write_coco(tmp_path / "coco", images=4)
    images = write_images(tmp_path / "images", [f"{number:012d}.jpg" for number in range(1, 5)])
    return ["--captions", captions, "--instances", instances, "--images", images]


def test_a_run_holds_back_what_looks_like_a_picture_of_a_folder(
    tmp_path: Path, scans: list[str | Path], capsys: Capture
) -> None:
    with Image.open(tmp_path / "images" / "000000000002.jpg") as image:
        draw(tmp_path / "eval" / "x.png", image.resize((300, 200)))
    out = tmp_path / "out"
    assert datagen("run", *scans, "--out", out, "--evaluation-images", tmp_path / "eval") == 0
    assert "Held back: 1 evaluation image (by their looks 1)" in capsys.readouterr().out
    (rejection,) = rejections_of(out)
    assert (rejection.image_id, rejection.reason) == (2, "evaluation_image")
    looks = f"000000000002.jpg: looks like x.png in {tmp_path / 'eval'} (distance "
    assert rejection.detail.startswith(looks)
    assert int(rejection.detail[len(looks) :].removesuffix(" of 256)")) <= MARGIN / 2
    assert {record.image for record in records_of(out)} == {
        f"00000000000{number}.jpg" for number in (1, 3, 4)
    }
    # And again: what is held back is decided anew, and the same.
    before = (out / "rejected.jsonl").read_bytes()
    assert datagen("run", *scans, "--out", out, "--evaluation-images", tmp_path / "eval") == 0
    assert (out / "rejected.jsonl").read_bytes() == before


def test_an_image_that_cannot_be_compared_is_excluded_and_those_past_the_limit_are_not_read(
    tmp_path: Path, scans: list[str | Path]
) -> None:
    draw(tmp_path / "eval" / "x.png", Image.new("RGB", (40, 40), "red"))
    for number in (1, 4):
        (tmp_path / "images" / f"{number:012d}.jpg").write_bytes(b"no picture")
    looks: list[str | Path] = ["--evaluation-images", tmp_path / "eval"]
    assert datagen("run", *scans, "--out", tmp_path / "out", "--limit", "2", *looks) == 0
    (rejection,) = rejections_of(tmp_path / "out")
    assert (rejection.image_id, rejection.reason, rejection.detail) == (
        1,
        "unreadable_image",
        "000000000001.jpg: cannot be read as a picture (not a picture), so it cannot be compared with "
        "evaluation images",
    )
    # Without a folder nobody opens a picture.
    assert datagen("run", *scans, "--out", tmp_path / "plain") == 0
    assert rejections_of(tmp_path / "plain") == []


def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, files: list[str | Path], capsys: Capture
) -> None:
    own = write_list(tmp_path, "1")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused: list[tuple[list[str | Path], str]] = [
        (["--evaluation-images", empty], f"--evaluation-images {empty}: give --images DIR too"),
        (["--evaluation-images", tmp_path / "no"], f"--evaluation-images {tmp_path / 'no'}: no such folder"),
        (
            ["--evaluation-images", empty, "--images", tmp_path],
            f"--evaluation-images {empty}: no picture in it",
        ),
        (["--evaluation-ids", own, "--allow-evaluation-images"], "leave it or --evaluation-ids out"),
        (["--evaluation-images", empty, "--allow-evaluation-images"], "leave it or --evaluation-images out"),
    ]
    for options, said in refused:
        assert datagen("run", *files, *options, "--out", tmp_path / "out") == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_benchmarks_are_counted_whatever_a_file_is_called() -> None:
    assert count_by_benchmark(
        [
            "a: in b.jpg: in POPE; LLaVA-Bench (COCO)",
            "c.jpg: in POPE",
            "d: in e.jpg: looks like f.png in g (distance 12 of 256)",
        ]
    ) == {"POPE": 2, "LLaVA-Bench (COCO)": 1, "by their looks": 1}
