"""COCO downloaded from a server that cuts, lies and changes; the connections, files and kills are real."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import pytest
from PIL import Image

from datagen import fetch_coco
from datagen.fetch_coco import WORK, Archive
from tests.datagen.scenes import write_coco
from tests.datagen.test_run import datagen, records_of

IMAGES = 6
ETAG = '"first"'
Members = dict[str, bytes]


class Request(NamedTuple):
    path: str
    range: str | None
    if_range: str | None


class FileServer:
    """Serves files over HTTP, and cuts, ignores ranges or answers with an error as it is told."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.etag = ETAG
        self.cuts: list[int] = []
        """After so many bytes the connection is cut, in this request and the next ones."""
        self.errors: list[int] = []
        """Statuses to answer with first."""
        self.ignores_range = False
        self.shifts_by = 0
        """A part begins so many bytes later than was asked."""
        self.tells_length = True
        self.held = threading.Event()
        """Set when the server stops in the middle, which it does where `hold_after` says."""
        self.hold_after: int | None = None
        self.requests: list[Request] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None: ...

        return Handler

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        asked = Request(request.path, request.headers["Range"], request.headers["If-Range"])
        self.requests.append(asked)
        content = self.files.get(request.path)
        if content is None or self.errors:
            request.send_error(self.errors.pop(0) if self.errors else 404)
            return
        begin = 0
        if asked.range and not self.ignores_range and asked.if_range in (None, self.etag):
            begin = int(asked.range.removeprefix("bytes=").removesuffix("-")) + self.shifts_by
        if begin >= len(content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if begin else 200)
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if self.tells_length:
            request.send_header("Content-Length", str(len(content) - begin))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        body = content[begin:]
        if self.hold_after is not None:
            request.wfile.write(body[: self.hold_after])
            request.wfile.flush()
            self.held.set()
            request.rfile.read(1)  # until the other side is gone
            return
        request.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


def zipped(members: Members, change: Callable[[zipfile.ZipFile], None] | None = None) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        if change:
            change(archive)
    return packed.getvalue()


class Coco(NamedTuple):
    """Small archives laid out as COCO's, and what they hold."""

    annotations: Members
    images: Members
    files: dict[str, bytes]
    """The archives, by their path at the server."""

    @property
    def size(self) -> int:
        return len(self.files["/" + fetch_coco.ANNOTATIONS.path])


def told(archive: Archive, content: bytes, members: Members) -> Archive:
    return dataclasses.replace(
        archive,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        unpacked=sum(map(len, members.values())),
        files=sum(1 for name in members if not name.endswith("/")),
    )


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Coco:
    """The archives to download are small ones; nothing waits."""
    annotations: Members = {}
    for split, first in (("train", 100), ("val", 1)):
        captions, instances = write_coco(tmp_path / "made", IMAGES, first)
        annotations[f"annotations/captions_{split}2017.json"] = captions.read_bytes()
        annotations[f"annotations/instances_{split}2017.json"] = instances.read_bytes()
        # Nothing reads these; they make the archive long enough to be cut.
        noise = random.Random(first).randbytes(200_000)
        annotations[f"annotations/person_keypoints_{split}2017.json"] = noise
    shutil.rmtree(tmp_path / "made")
    images: Members = {"val2017/": b""}
    for number in range(1, IMAGES + 1):
        picture = io.BytesIO()
        Image.new("RGB", (64, 48), (number * 30, 90, 200)).save(picture, "JPEG")
        images[f"val2017/{number:012d}.jpg"] = picture.getvalue()
    files = {
        "/annotations/annotations_trainval2017.zip": zipped(annotations),
        "/zips/val2017.zip": zipped(images),
    }
    monkeypatch.setattr(
        fetch_coco, "ANNOTATIONS", told(fetch_coco.ANNOTATIONS, files[ANNOTATIONS], annotations)
    )
    val2017 = told(fetch_coco.IMAGES["val2017"], files["/zips/val2017.zip"], images)
    monkeypatch.setattr(fetch_coco, "IMAGES", {"val2017": val2017})
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return Coco(annotations, images, files)


ANNOTATIONS = "/annotations/annotations_trainval2017.zip"


def fetch(server: FileServer, out: Path, *options: str) -> int:
    return datagen("fetch-coco", "--split", "val2017", "--out", out, "--base-url", server.base_url, *options)


def contents(out: Path) -> Members:
    """Every file below a folder, whether it is hidden or not."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def files_of(*members: Members) -> Members:
    return {name: content for each in members for name, content in each.items() if not name.endswith("/")}


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line after what was told of the progress."""
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    return last.removeprefix("error: ")


def test_archives_are_downloaded_and_unpacked_and_the_command_that_is_named_runs_on_them(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with FileServer(coco.files) as server:
        assert fetch(server, Path("coco"), "--images") == 0
        assert server.requests == [Request(path, None, None) for path in coco.files]
    assert contents(tmp_path) == {
        f"coco/{name}": content for name, content in files_of(coco.annotations, coco.images).items()
    }
    said = capsys.readouterr().out.splitlines()
    assert said[-3:] == [
        "In coco there are annotations/ (6 files), val2017/ (6 files)",
        "",
        "Next: make data CAPTIONS=coco/annotations/captions_val2017.json "
        "INSTANCES=coco/annotations/instances_val2017.json IMAGES=coco/val2017 OUT=out/val2017",
    ]
    named = re.findall(r"([A-Z]+)=(\S+)", said[-1])  # the Makefile makes options of them
    assert datagen("run", *(word for name, value in named for word in (f"--{name.lower()}", value))) == 0
    images = {record.image for record in records_of(Path("out/val2017"))}
    assert images == {f"{number:012d}.jpg" for number in range(1, IMAGES + 1)}


def test_what_is_in_place_is_not_downloaded_again(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "with space"
    with FileServer(coco.files) as server:
        assert fetch(server, out) == 0
        assert fetch(server, out) == 0
        assert server.requests == [Request(ANNOTATIONS, None, None)]
        said = capsys.readouterr().out.splitlines()
        assert fetch(server, out, "--images") == 0
        assert [request.path for request in server.requests] == list(coco.files)
    assert said[-3:] == [
        f"Nothing to do: in {out} there are annotations/ (6 files)",
        "",
        # make would take the space for the end of a file's name.
        f"Next: python -m datagen run --captions '{out}/annotations/captions_val2017.json' "
        f"--instances '{out}/annotations/instances_val2017.json' --out out/val2017",
    ]
    assert contents(out) == files_of(coco.annotations, coco.images)


def test_a_cut_connection_is_gone_on_from(
    tmp_path: Path, coco: Coco, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with FileServer(coco.files) as server:
        server.cuts = [150_000, 0, 100_000]
        assert fetch(server, tmp_path / "out") == 0
        assert server.requests == [
            Request(ANNOTATIONS, None, None),
            Request(ANNOTATIONS, "bytes=150000-", ETAG),
            Request(ANNOTATIONS, "bytes=150000-", ETAG),
            Request(ANNOTATIONS, "bytes=250000-", ETAG),
        ]
    assert waits == [1.0, 2.0, 1.0]
    assert contents(tmp_path / "out") == files_of(coco.annotations)


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_server_that_ignores_ranges_begins_anew(tmp_path: Path, coco: Coco, tells_length: bool) -> None:
    with FileServer(coco.files) as server:
        server.cuts, server.ignores_range, server.tells_length = [250_000, 150_000], True, tells_length
        assert fetch(server, tmp_path / "out") == 0
        asked = [request.range for request in server.requests]
        assert asked == [None, "bytes=250000-", "bytes=150000-"]
    assert contents(tmp_path / "out") == files_of(coco.annotations)


@pytest.mark.parametrize("etag", ["", 'W/"which If-Range may not name"'])
def test_a_server_without_versions_is_gone_on_with(tmp_path: Path, coco: Coco, etag: str) -> None:
    with FileServer(coco.files) as server:
        server.cuts, server.etag = [250_000], etag
        assert fetch(server, tmp_path / "out") == 0
        assert server.requests == [
            Request(ANNOTATIONS, None, None),
            Request(ANNOTATIONS, "bytes=250000-", None),
        ]
    assert contents(tmp_path / "out") == files_of(coco.annotations)


def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path: Path, coco: Coco) -> None:
    before = bytes(coco.size)
    with FileServer({ANNOTATIONS: before}) as server:
        server.cuts = [250_000]

        def change(_: float) -> None:
            server.files, server.etag = coco.files, '"second"'

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "sleep", change)
            assert fetch(server, tmp_path / "out") == 0
        assert server.requests[1:] == [Request(ANNOTATIONS, "bytes=250000-", ETAG)]
    assert contents(tmp_path / "out") == files_of(coco.annotations)


def test_another_server_goes_on_where_the_first_broke_off(tmp_path: Path, coco: Coco) -> None:
    with FileServer(coco.files) as first:
        first.cuts = [250_000] + [0] * 20
        assert fetch(first, tmp_path / "out") == 2
    with FileServer(coco.files) as second:
        second.etag = '"of its own"'
        assert fetch(second, tmp_path / "out") == 0
        assert second.requests == [Request(ANNOTATIONS, "bytes=250000-", None)]
    assert contents(tmp_path / "out") == files_of(coco.annotations)


def test_another_part_than_was_asked_for_is_not_appended(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileServer(coco.files) as server:
        server.cuts, server.shifts_by = [250_000], 10
        assert fetch(server, tmp_path / "out") == 2
        assert refusal(capsys) == (
            f"{server.base_url}{ANNOTATIONS}: answers with another part than was asked for: use another "
            "--base-url"
        )
        server.shifts_by = 0
        assert fetch(server, tmp_path / "out") == 0
        assert [request.range for request in server.requests] == [None, "bytes=250000-", "bytes=250000-"]
    assert contents(tmp_path / "out") == files_of(coco.annotations)


def test_a_busy_server_is_asked_again(tmp_path: Path, coco: Coco) -> None:
    with FileServer(coco.files) as server:
        server.errors = [503, 429, 500]
        assert fetch(server, tmp_path / "out") == 0
        assert len(server.requests) == 4


def test_a_server_that_brings_nothing_new_is_given_up_and_what_is_here_is_kept(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    out = tmp_path / "out"
    with FileServer(coco.files) as server:
        # One that cannot resume and never comes further than the first time.
        server.cuts, server.ignores_range = [1000, *[700] * 20], True
        assert fetch(server, out) == 2
        assert len(server.requests) == 9
        assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
        said = refusal(capsys)
        assert said.startswith(f"{server.base_url}{ANNOTATIONS}: 8 requests in a row brought nothing new (")
        assert said.endswith(
            f"); 700 of {coco.size:,} bytes are here: run the same command later, it goes on from there"
        )
        assert (out / WORK / "annotations_trainval2017.zip").read_bytes() == coco.files[ANNOTATIONS][:700]
        server.cuts, server.ignores_range = [], False
        assert fetch(server, out) == 0
    assert contents(out) == files_of(coco.annotations)


def test_a_wrong_checksum_is_refused_and_nothing_is_left(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = bytearray(coco.files[ANNOTATIONS])
    wrong[coco.size // 2] ^= 1
    with FileServer({ANNOTATIONS: bytes(wrong)}) as server:
        assert fetch(server, tmp_path / "new" / "out") == 2
    assert refusal(capsys) == (
        f"annotations_trainval2017.zip: the download's SHA-256 is {hashlib.sha256(wrong).hexdigest()}, the "
        f"official one's {fetch_coco.ANNOTATIONS.sha256}: it is removed; run the same command again, and if "
        "this comes back, with another --base-url"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tells_length", [True, False])
@pytest.mark.parametrize("longer", [True, False])
def test_another_file_is_refused_and_nothing_is_left(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str], longer: bool, tells_length: bool
) -> None:
    page = coco.files[ANNOTATIONS] + b"more" if longer else b"<html>Log in</html>"
    with FileServer({ANNOTATIONS: page}) as server:
        server.tells_length = tells_length
        assert fetch(server, tmp_path / "out") == 2
        said = refusal(capsys)
        # What does not say how long it is and ends early may have been cut: asked for the rest, it says.
        length = f"more than {coco.size:,}" if longer and not tells_length else f"{len(page):,}"
        assert said == (
            f"{server.base_url}{ANNOTATIONS}: has {length} bytes, the official annotations_trainval2017.zip "
            f"{coco.size:,}: not that file (a log-in page?): check the network and --base-url"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_has_no_such_file_or_is_not_there_is_named_at_once(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileServer({}) as server:
        assert fetch(server, tmp_path / "out") == 2
        assert refusal(capsys) == f"{server.base_url}{ANNOTATIONS}: HTTP 404: check --base-url"
        with_password = server.base_url.replace("//", "//me:secret@")
        assert datagen("fetch-coco", "--split", "val2017", "--base-url", with_password) == 2
        assert refusal(capsys) == f"{server.base_url}{ANNOTATIONS}: HTTP 404: check --base-url"
    assert fetch(server, tmp_path / "out") == 2
    assert refusal(capsys).startswith(f"{server.base_url}{ANNOTATIONS}: no server there (")
    for address in ("images.cocodataset.org", "ftp://mirror", "http://", "http://mirror/?key=1"):
        assert datagen("fetch-coco", "--split", "val2017", "--base-url", address) == 2
        assert refusal(capsys) == (
            f"--base-url {address}: must be an address such as http://images.cocodataset.org"
        )
    assert list(tmp_path.iterdir()) == []


def link(name: str) -> Callable[[zipfile.ZipFile], None]:
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, 0o120777 << 16
    return lambda archive: archive.writestr(member, "/etc")


@pytest.mark.parametrize(
    ("extra", "change", "says"),
    [
        ({"../../evil.json": b""}, None, "'../../evil.json' in it leads out of the folder"),
        ({"/tmp/evil.json": b""}, None, "'/tmp/evil.json' in it leads out of the folder"),
        (
            {"annotations\\..\\evil.json": b""},
            None,
            r"'annotations\\..\\evil.json' in it leads out of the folder",
        ),
        ({}, link("annotations/here"), "'annotations/here' in it is a link or a device"),
        (
            {"annotations/captions_val2017.json": bytes(10_000_000)},
            None,
            "its files have {size:,} bytes, {unpacked:,} are the most there are",
        ),
        ({"annotations/captions_val2017.json": None}, None, "it has 5 of the 6 files that it should have"),
    ],
)
def test_an_archive_that_must_not_be_unpacked_is_not_and_is_kept(
    tmp_path: Path,
    coco: Coco,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    extra: dict[str, bytes | None],
    change: Callable[[zipfile.ZipFile], None] | None,
    says: str,
) -> None:
    """Though its checksum is right, as if the wrong one had been noted down."""
    members = {name: content for name, content in (coco.annotations | extra).items() if content is not None}
    packed = zipped(members, change)
    digest = hashlib.sha256(packed).hexdigest()
    known = dataclasses.replace(fetch_coco.ANNOTATIONS, size=len(packed), sha256=digest)
    monkeypatch.setattr(fetch_coco, "ANNOTATIONS", known)
    part = tmp_path / "out" / WORK / "annotations_trainval2017.zip"
    with FileServer({ANNOTATIONS: packed}) as server:
        assert fetch(server, tmp_path / "out") == 2
    says = says.format(size=sum(map(len, members.values())), unpacked=known.unpacked)
    assert refusal(capsys) == f"{part}: {says}: it is not unpacked, and kept for you to look at"
    assert part.read_bytes() == packed
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["out", WORK, part.name, f"{part.name}.version.json"]
    )


def test_members_that_are_not_needed_stay_in_the_archive(
    tmp_path: Path, coco: Coco, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = zipped(
        {"annotations/": b"", "__MACOSX/._x": b"x", "annotations/README": b"x", **coco.annotations}
    )
    digest = hashlib.sha256(packed).hexdigest()
    known = dataclasses.replace(fetch_coco.ANNOTATIONS, size=len(packed), sha256=digest)
    monkeypatch.setattr(fetch_coco, "ANNOTATIONS", known)
    with FileServer({ANNOTATIONS: packed}) as server:
        assert fetch(server, tmp_path / "out") == 0
    assert contents(tmp_path / "out") == files_of(coco.annotations)


def test_a_member_with_a_wrong_crc_leaves_no_folder(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = bytearray(coco.files[ANNOTATIONS])
    noise = coco.annotations["annotations/person_keypoints_val2017.json"]
    packed[packed.index(noise[1000:1100])] ^= 1
    digest = hashlib.sha256(packed).hexdigest()
    monkeypatch.setattr(fetch_coco, "ANNOTATIONS", dataclasses.replace(fetch_coco.ANNOTATIONS, sha256=digest))
    with FileServer({ANNOTATIONS: bytes(packed)}) as server:
        assert fetch(server, tmp_path / "out") == 2
    assert refusal(capsys) == (
        f"{tmp_path}/out/{WORK}/annotations_trainval2017.zip: cannot be unpacked (Bad CRC-32 for file "
        "'annotations/person_keypoints_val2017.json'), though its checksum was right: check the disk; to "
        "download it again, remove it"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == [WORK]
    assert not (tmp_path / "out" / WORK / "annotations").exists()


def start(server: FileServer, out: Path, before: str = "") -> subprocess.Popen[str]:
    """The command in a process of its own, after some lines of Python."""
    code = f"""
import os, signal, sys
from datagen import fetch_coco
from datagen.__main__ import main
from datagen.fetch_coco import Archive
fetch_coco.ANNOTATIONS = {fetch_coco.ANNOTATIONS!r}
{before}
options = ["--split", "val2017", "--out", {str(out)!r}, "--base-url", {server.base_url!r}]
sys.argv = ["datagen", "fetch-coco", *options]
main()
"""
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("with_", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_is_gone_on_from(tmp_path: Path, coco: Coco, with_: signal.Signals) -> None:
    out = tmp_path / "out"
    part = out / WORK / "annotations_trainval2017.zip"
    with FileServer(coco.files) as server:
        server.hold_after = 250_000
        process = start(server, out)
        assert server.held.wait(30)
        while not part.exists() or part.stat().st_size < 100_000:
            os.sched_yield()
        process.send_signal(with_)
        _, said = process.communicate()
        assert process.returncode == (-signal.SIGKILL if with_ == signal.SIGKILL else 130)
        if with_ == signal.SIGINT:
            assert said.endswith(
                "error: interrupted; what was downloaded is kept: run the same command to continue\n"
            )
        here = part.stat().st_size
        assert 100_000 <= here <= 250_000
        server.hold_after = None
        assert fetch(server, out) == 0
        assert server.requests[1:] == [Request(ANNOTATIONS, f"bytes={here}-", ETAG)]
    assert contents(out) == files_of(coco.annotations)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_while_unpacking_leaves_the_whole_folder_or_none(
    tmp_path: Path, coco: Coco, when: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    kill = f"""
from pathlib import Path
rename = Path.rename
def killed(*paths):
    {"rename(*paths)" if when == "after" else ""}
    os.kill(os.getpid(), signal.SIGKILL)
Path.rename = killed
"""
    with FileServer(coco.files) as server:
        process = start(server, out, kill)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        left = sorted(path.name for path in out.iterdir())
        assert left == ([WORK] if when == "before" else [WORK, "annotations"])
        if when == "before":  # as if it had been killed earlier still
            (out / WORK / "annotations" / "captions_val2017.json").write_bytes(b"{")
        assert fetch(server, out) == 0
        assert len(server.requests) == 1
    assert contents(out) == files_of(coco.annotations)
    assert [path.name for path in out.iterdir()] == ["annotations"]


def test_too_little_room_is_said_before_anything_is_downloaded(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gigabyte = 10**9
    monkeypatch.setattr(
        fetch_coco,
        "IMAGES",
        {
            "val2017": dataclasses.replace(
                fetch_coco.IMAGES["val2017"], size=2 * gigabyte, unpacked=3 * gigabyte
            )
        },
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 4 * gigabyte))
    with FileServer(coco.files) as server:
        assert fetch(server, tmp_path / "out", "--images") == 2
        assert server.requests == []
    assert refusal(capsys) == (
        f"--out {tmp_path}/out: 5.0 GB are needed at one time and 4.0 GB free: make room, or choose a folder "
        "on another disk"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_room_needed_is_that_of_the_fullest_moment(tmp_path: Path) -> None:
    first = Archive("a.zip", 100, "", 900, "a", "", 0)
    second = Archive("b.zip", 50, "", 60, "b", "", 0)
    assert fetch_coco.check_room([first, second], tmp_path).needed == 100 + 900 + 0 + 10
    assert fetch_coco.check_room([second, first], tmp_path).needed == 60 + 100 + 900
    (tmp_path / WORK).mkdir()
    (tmp_path / WORK / "b.zip").write_bytes(bytes(40))
    assert fetch_coco.check_room([second], tmp_path).needed == 10 + 60
    assert fetch_coco.check_room([second, first], tmp_path).needed == 60 - 40 + 100 + 900


@pytest.mark.parametrize("limit", [100_000, 450_000])
def test_a_full_disk_keeps_what_is_downloaded(tmp_path: Path, coco: Coco, limit: int) -> None:
    """Files may be so long and no longer: while downloading, and while unpacking."""
    out = tmp_path / "out"
    big = "annotations/captions_val2017.json"
    members = coco.annotations | {big: coco.annotations[big] + b" " * 500_000}
    packed = zipped(members)
    with pytest.MonkeyPatch.context() as patch, FileServer({ANNOTATIONS: packed}) as server:
        patch.setattr(fetch_coco, "ANNOTATIONS", told(fetch_coco.ANNOTATIONS, packed, members))
        assert 400_000 < len(packed) < 450_000
        limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
        process = start(server, out, limited)
        _, said = process.communicate()
        assert process.returncode == 2
        assert said.splitlines()[-1] == (
            f"error: {out}: the disk is full: make room and run the same command again; what was downloaded "
            "so far is kept"
        )
        part = out / WORK / "annotations_trainval2017.zip"
        assert sorted(path.name for path in out.rglob("*")) == sorted(
            [WORK, part.name, part.name + ".version.json"]
        )
        assert part.stat().st_size == min(limit, len(packed))
        assert fetch(server, out) == 0
    assert contents(out) == files_of(members)


def test_a_folder_with_some_of_the_files_is_not_taken_for_the_whole(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileServer(coco.files) as server:
        assert fetch(server, tmp_path) == 0
        (tmp_path / "annotations" / "captions_val2017.json").unlink()
        (tmp_path / "annotations" / "captions_val2017.json.bak").touch()
        assert fetch(server, tmp_path) == 2
        assert len(server.requests) == 1
    assert refusal(capsys) == (
        f"{tmp_path}/annotations: holds 5 of the 6 files of annotations_trainval2017.zip: move it away, or "
        "choose another --out"
    )


def test_two_downloads_into_one_folder_are_kept_apart(
    tmp_path: Path, coco: Coco, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with FileServer(coco.files) as server:
        server.hold_after = 1000
        process = start(server, out)
        assert server.held.wait(30)
        assert fetch(server, out) == 2
        assert refusal(capsys) == (f"{out}: another download is using this folder: wait for it or stop it")
        process.kill()
        process.communicate()
        server.hold_after = None
        assert fetch(server, out) == 0
    assert contents(out) == files_of(coco.annotations)


def test_an_address_may_have_a_path(tmp_path: Path, coco: Coco) -> None:
    files = {f"/mirror{path}": content for path, content in coco.files.items()}
    with FileServer(files) as server:
        address = f"{server.base_url}/mirror/"
        assert urlsplit(address).path == "/mirror/"
        assert (
            datagen("fetch-coco", "--split", "val2017", "--out", tmp_path / "out", "--base-url", address) == 0
        )
    assert contents(tmp_path / "out") == files_of(coco.annotations)
