"""Images by name, from folders and tar shards, and each way in which one cannot be used."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import pickle
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from train.images import MAX_PIXELS, OPEN_TARS, ImageStore, read_image
from train.records import InputError, Unfit

RED = (200, 10, 10)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def pixels(image: Image.Image) -> list[object]:
    return [image.getpixel((x, y)) for y in range(image.height) for x in range(image.width)]


def unfit(call: Callable[[str], object], name: str) -> tuple[str, str]:
    with pytest.raises(Unfit) as caught:
        call(name)
    return caught.value.reason, caught.value.detail


def open_tars(folder: Path) -> int:
    """How many of a folder's tars this process holds open, where the system tells."""
    held = Path("/proc/self/fd")
    targets = [entry.resolve() for entry in held.iterdir()] if held.exists() else []
    return sum(target.parent == folder.resolve() and target.suffix == ".tar" for target in targets)


# Where images lie


def test_an_image_is_found_in_a_folder_and_its_subfolders(tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco/a.png").write_bytes(encoded(Image.new("RGB", (2, 1), RED)))
    store = ImageStore(tmp_path)
    for name in ("coco/a.png", "./coco/a.png", "coco//a.png", "coco/x/../a.png"):
        store.check(name)
        assert pixels(store.load(name)) == [RED, RED]


@pytest.mark.parametrize("prefix", ["", "./"])
def test_tar_members_are_found_by_the_names_in_records(tmp_path: Path, prefix: str) -> None:
    colours = {f"coco/{n}.png": (n, 0, 0) for n in range(20)}
    images = {prefix + name: encoded(Image.new("RGB", (1, 1), c)) for name, c in colours.items()}
    half = dict(list(images.items())[:10])
    write_tar(tmp_path / "00.tar", half)
    write_tar(tmp_path / "01.tar", {name: data for name, data in images.items() if name not in half})
    (tmp_path / "loose.png").write_bytes(encoded(Image.new("RGB", (1, 1), RED)))
    store = ImageStore(tmp_path)
    assert {name: pixels(store.load(name))[0] for name in colours} == colours
    assert pixels(store.load("loose.png")) == [RED]
    assert unfit(store.load, "coco/20.png") == ("missing_image", f"coco/20.png: is not in {tmp_path}")


def test_one_tar_is_a_store(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"x.png": encoded(Image.new("RGB", (1, 1), RED))})
    store = ImageStore(tmp_path / "a.tar")
    assert pixels(store.load("x.png")) == [RED]
    assert unfit(store.check, "y.png") == ("missing_image", f"y.png: is not in {tmp_path / 'a.tar'}")


def test_more_shards_than_a_process_keeps_open_are_all_read(tmp_path: Path) -> None:
    count = OPEN_TARS + 3
    for n in range(count):
        write_tar(tmp_path / f"{n:03}.tar", {f"{n}.png": encoded(Image.new("RGB", (1, 1), (n, n, n)))})
    store = ImageStore(tmp_path)
    for _ in range(2):
        assert [pixels(store.load(f"{n}.png"))[0] for n in range(count)] == [(n, n, n) for n in range(count)]
    assert open_tars(tmp_path) <= OPEN_TARS
    del store
    assert open_tars(tmp_path) == 0


def _first_pixels(store: ImageStore, names: list[str]) -> list[object]:
    return [pixels(store.load(name))[0] for name in names]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_share_a_store_whose_shards_are_open_already(tmp_path: Path, method: str) -> None:
    names = [f"{n}.png" for n in range(50)]
    write_tar(
        tmp_path / "a.tar",
        {name: encoded(Image.new("RGB", (1, 1), (n, 0, 0))) for n, name in enumerate(names)},
    )
    store = ImageStore(tmp_path)
    expected = _first_pixels(store, names)
    with multiprocessing.get_context(method).Pool(2) as pool:
        jobs = [pool.apply_async(_first_pixels, (store, names)) for _ in range(4)]
        assert [job.get(60) for job in jobs] == [expected] * 4
    assert pickle.loads(pickle.dumps(store))._descriptors == {}


def input_error(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        ImageStore(root)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(root), "ROOT")


def test_a_store_that_cannot_be_is_told_in_one_line(tmp_path: Path) -> None:
    assert input_error(tmp_path / "no") == "ROOT: no such folder of images; check the path"

    compressed = tmp_path / "a.tar.gz"
    compressed.write_bytes(b"")
    assert input_error(compressed) == (
        "ROOT: is compressed: images are read from plain .tar files; unpack it first"
    )

    (tmp_path / "a.zip").write_bytes(b"")
    assert input_error(tmp_path / "a.zip") == "ROOT: is neither a folder of images nor a .tar of them"

    disguised = tmp_path / "disguised.tar"
    write_tar(disguised, {"x.png": b"1"})
    disguised.write_bytes(gzip.compress(disguised.read_bytes()))
    assert input_error(disguised).startswith("ROOT: is not a whole, uncompressed tar (")

    cut = tmp_path / "cut.tar"
    write_tar(cut, {"x.png": bytes(2000), "y.png": bytes(2000)})
    cut.write_bytes(cut.read_bytes()[:4000])
    assert input_error(cut).startswith("ROOT: is not a whole, uncompressed tar (")


def test_a_name_in_two_shards_is_not_guessed_and_spoils_no_other(tmp_path: Path) -> None:
    images = [encoded(Image.new("RGB", (1, 1), colour)) for colour in (RED, (1, 2, 3))]
    write_tar(tmp_path / "00.tar", {"1.png": images[0], "2.png": images[0], "note.txt": b"0"})
    write_tar(tmp_path / "01.tar", {"./1.png": images[1], "3.png": images[1], "note.txt": b"1"})
    store = ImageStore(tmp_path)
    for call in (store.check, store.load):
        assert unfit(call, "1.png") == (
            "ambiguous_image",
            "1.png: is in 00.tar and in 01.tar, and either may be meant",
        )
    assert [pixels(store.load(name)) for name in ("2.png", "3.png")] == [[RED], [(1, 2, 3)]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_member_larger_than_a_read_is_whole(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (150, 150, 3), dtype=np.uint8)
    members = {name: encoded(Image.fromarray(noise + n), kind) for n, name in enumerate("abc")}
    write_tar(tmp_path / "a.tar", members)
    store = ImageStore(tmp_path)
    for n, name in enumerate("abc"):
        assert np.array_equal(np.asarray(store.load(name)), noise + n)


def test_a_member_written_again_in_one_tar_is_the_later_one(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.png": encoded(Image.new("RGB", (1, 1)))})
    with tarfile.open(tmp_path / "a.tar", "a") as tar:
        data = encoded(Image.new("RGB", (1, 1), RED))
        info = tarfile.TarInfo("1.png")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    assert pixels(ImageStore(tmp_path).load("1.png")) == [RED]


def test_a_missing_image_beside_a_compressed_tar_says_so(tmp_path: Path) -> None:
    (tmp_path / "train2017.tar.gz").write_bytes(b"")
    assert unfit(ImageStore(tmp_path).check, "a.png") == (
        "missing_image",
        f"a.png: is not in {tmp_path}; train2017.tar.gz is compressed and not looked into: unpack it",
    )


# Names that lead nowhere good


@pytest.mark.parametrize("name", ["/etc/hostname", "../a.png", "x/../../a.png", "..", "./../a.png"])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.new("RGB", (1, 1))))
    (tmp_path / "images").mkdir()
    store = ImageStore(tmp_path / "images")
    why = "is absolute; name it as it stands in" if name.startswith("/") else "leads out of"
    for call in (store.check, store.load):
        assert unfit(call, name) == ("unsafe_path", f"{name}: {why} the image folder")


def test_what_is_no_file_is_missing_and_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "file").write_bytes(b"")
    store = ImageStore(tmp_path)
    names = ["folder", "pipe", "loop", "device", "file/a.png", "", "x" * 300, "a\0b", "\ud800"]
    for call in (store.check, store.load):
        assert [unfit(call, name) for name in names] == [
            ("missing_image", "folder: is not a regular file"),
            ("missing_image", "pipe: is not a regular file"),
            ("missing_image", "loop: cannot be read (Too many levels of symbolic links)"),
            ("missing_image", "device: is not a regular file"),
            ("missing_image", "file/a.png: cannot be read (Not a directory)"),
            ("missing_image", ": is not a regular file"),
            ("missing_image", f"{'x' * 300}: cannot be read (File name too long)"),
            ("missing_image", r"'a\x00b': is not a possible file name"),
            ("missing_image", r"'\ud800': is not a possible file name"),
        ]


def test_a_file_that_may_not_be_read_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    store = ImageStore(tmp_path)
    monkeypatch.setattr("train.images.os.open", refuse)
    assert unfit(store.check, "a.png") == ("missing_image", "a.png: cannot be read (Permission denied)")


@settings(deadline=None)
@given(name=st.text(st.sampled_from([*"/.ab\\\0\ud800é ~$"]), max_size=12))
def test_no_name_reads_anything_outside_or_fails_in_another_way(name: str) -> None:
    with TemporaryDirectory() as folder:
        for place in ("a", "b", "images/a", "images/b"):
            path = Path(folder, place)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encoded(Image.new("RGB", (1, 1), (len(place), 0, 0))))
        store = ImageStore(Path(folder, "images"))
        try:
            assert pixels(store.load(name)) == [(len("images/a"), 0, 0)]
        except Unfit as error:
            assert error.reason in ("missing_image", "unsafe_path")


# Bytes that are no image


def test_a_broken_header_is_corrupt_already_when_checked(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.jpg").write_bytes(b"<html>404 Not Found</html>")
    (tmp_path / "script.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    store = ImageStore(tmp_path)
    for name in ("empty.jpg", "page.jpg", "script.jpg"):
        for call in (store.check, store.load):
            reason, detail = unfit(call, name)
            assert reason == "corrupt_image"
            assert detail.startswith(f"{name}: is no image of a known format (JPEG, PNG, ")


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_a_truncated_image_is_corrupt_when_loaded(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), kind)
    (tmp_path / "whole").write_bytes(whole)
    (tmp_path / "cut").write_bytes(whole[: len(whole) * 2 // 3])
    store = ImageStore(tmp_path)
    store.check("whole")
    assert store.load("whole").size == (40, 40)
    reason, detail = unfit(store.load, "cut")
    assert reason == "corrupt_image"
    assert detail.startswith("cut: ")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_damaged_bytes_give_an_image_or_a_reason_and_nothing_else(tmp_path: Path, kind: str) -> None:
    random = np.random.default_rng(len(kind))
    whole = encoded(Image.fromarray(random.integers(0, 255, (12, 9, 3), dtype=np.uint8)), kind)
    store = ImageStore(tmp_path)
    for _ in range(60):
        damaged = np.frombuffer(whole, dtype=np.uint8).copy()
        damaged[random.integers(len(damaged), size=3)] = random.integers(256, size=3)
        (tmp_path / "image").write_bytes(damaged.tobytes())
        for call in (store.check, store.load):
            try:
                call("image")
            except Unfit as error:
                assert error.reason in ("corrupt_image", "too_large_image")


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    sizes = [(50_000, 50_000), (12_000, 9_000), (16_385, 100), (100, 16_385), (603, 3)]
    for width, height in sizes:
        (tmp_path / f"{width}x{height}").write_bytes(png_header(width, height))
    store = ImageStore(tmp_path)
    for call in (store.check, store.load):
        for width, height in sizes:
            reason, detail = unfit(call, f"{width}x{height}")
            assert (reason, detail.split(";")[0]) in [
                ("too_large_image", f"{width}x{height}: is {width:,} x {height:,}"),
                ("too_large_image", f"{width}x{height}: over {2 * MAX_PIXELS:,} pixels"),
            ]


def test_sizes_up_to_the_limits_are_fine(tmp_path: Path) -> None:
    sizes = [(1, 1), (600, 3), (16_384, 100), (9_459, 9_459)]
    for width, height in sizes:
        (tmp_path / f"{width}x{height}").write_bytes(png_header(width, height))
    store = ImageStore(tmp_path)
    for width, height in sizes:
        store.check(f"{width}x{height}")


def test_an_image_without_pixels_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "none.png").write_bytes(png_header(0, 5))
    assert unfit(ImageStore(tmp_path).check, "none.png")[0] == "corrupt_image"


# What RGB it becomes


def loaded(tmp_path: Path, image: Image.Image, kind: str = "PNG", **options: object) -> list[object]:
    (tmp_path / "image").write_bytes(encoded(image, kind, **options))
    result = ImageStore(tmp_path).load("image")
    assert result.mode == "RGB"
    return pixels(result)


def test_a_radiograph_of_12_bits_is_scaled_not_clipped(tmp_path: Path) -> None:
    depths = np.array([[100, 1120, 2140, 4180]], dtype=np.uint16)
    grey = [(0,) * 3, (64,) * 3, (128,) * 3, (255,) * 3]
    assert loaded(tmp_path, Image.fromarray(depths)) == grey
    assert loaded(tmp_path, Image.fromarray(depths), "TIFF") == grey
    assert loaded(tmp_path, Image.fromarray(depths.astype(np.int32)), "TIFF") == grey
    assert loaded(tmp_path, Image.fromarray(depths.astype(np.float32)), "TIFF") == grey
    assert loaded(tmp_path, Image.fromarray(np.full((1, 2), 900, dtype=np.uint16))) == [(0, 0, 0)] * 2
    holes = np.array([[np.nan, 5, 6, np.inf]], dtype=np.float32)
    assert loaded(tmp_path, Image.fromarray(holes), "TIFF") == [(0,) * 3, (0,) * 3, (255,) * 3, (0,) * 3]
    assert loaded(tmp_path, Image.fromarray(holes[:, :1]), "TIFF") == [(0, 0, 0)]


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    white = (255, 255, 255)
    rgba = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        rgba.putpixel((x, 0), (*RED, alpha))
    assert loaded(tmp_path, rgba) == [white, (227, 132, 132), RED]

    grey = Image.new("LA", (2, 1))
    grey.putpixel((0, 0), (7, 0))
    grey.putpixel((1, 0), (7, 255))
    assert loaded(tmp_path, grey) == [white, (7, 7, 7)]

    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, 1, 2, 3])
    palette.putpixel((1, 0), 1)
    assert loaded(tmp_path, palette, transparency=0) == [white, (1, 2, 3)]
    assert loaded(tmp_path, palette) == [RED, (1, 2, 3)]
    assert loaded(tmp_path, Image.new("RGB", (1, 1), RED), transparency=RED) == [white]


def test_other_modes_become_rgb(tmp_path: Path) -> None:
    assert loaded(tmp_path, Image.new("1", (1, 1), 1)) == [(255, 255, 255)]
    assert loaded(tmp_path, Image.new("L", (1, 1), 9)) == [(9, 9, 9)]
    assert loaded(tmp_path, Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF") == [(255, 0, 0)]


def test_the_first_frame_of_an_animation_is_shown(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (1, 1), colour) for colour in (RED, (1, 2, 3))]
    assert loaded(tmp_path, frames[0], "GIF", save_all=True, append_images=frames[1:]) == [RED]


def test_pixels_stay_where_boxes_say_they_are_whatever_exif_says(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), (1, 2, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees to show"
    assert loaded(tmp_path, image, exif=exif) == [RED, (1, 2, 3)]


def test_one_file_is_read_as_the_store_reads_it(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, 1, 2, 3])
    palette.putpixel((1, 0), 1)
    (tmp_path / "a.png").write_bytes(encoded(palette, transparency=0))
    assert pixels(read_image(tmp_path / "a.png")) == [(255, 255, 255), (1, 2, 3)]
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "page.jpg").write_text("<html>")
    reasons = {}
    for name in ("none.png", "pipe", "page.jpg", "."):
        with pytest.raises(Unfit) as caught:
            read_image(tmp_path / name)
        reasons[name] = caught.value.reason
    assert reasons == {
        "none.png": "missing_image",
        "pipe": "missing_image",
        "page.jpg": "corrupt_image",
        ".": "missing_image",
    }
