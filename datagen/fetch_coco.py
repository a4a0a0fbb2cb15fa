"""Downloads COCO 2017 as its makers publish it: resumed, checked, and unpacked whole or not at all.

One archive after the other. An archive is in `.vitkit-fetching` below the output folder until what it holds
is in place; what a cut connection or a kill left of it is gone on from. Its folder is unpacked there too, and
renamed into place when all its files are written.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import ssl
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, Protocol

import httpx2
import msgspec

from datagen.records import InputError

Split = Literal["val2017", "train2017"]

OFFICIAL = "http://images.cocodataset.org"
"""COCO's own address. It has no HTTPS; the checksums stand in for it."""

WORK = ".vitkit-fetching"

_CONNECT_SECONDS = 15.0
_SILENT_SECONDS = 60.0
_TRIES = 8
"""How many requests in a row may bring nothing new."""
_MOST_SECONDS = 60.0
"""The longest wait before the next: one second after one that brought something, then two, four and so on."""
_BUSY = (408, 425, 429)
_READ = 1 << 20
_BLOCK = 4096
"""Bytes by which a file may take more room than it is long."""


@dataclass(frozen=True)
class Archive:
    """An official archive, and what is known of it before it is downloaded."""

    path: str
    """Below the address of the server."""
    size: int
    """Bytes."""
    sha256: str
    unpacked: int
    """Bytes that its files have together, at most."""
    folder: str
    """The folder that its files are in."""
    names: str
    """A regular expression that the names of these files match, and no name that points elsewhere."""
    files: int
    """How many they are."""

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


# COCO publishes no checksums. Sizes and SHA-256 are those of TensorFlow Datasets (url_checksums/coco.txt);
# torchvision (prototype/datasets/_builtin/coco.py) has the same SHA-256. `unpacked` is rounded up.
ANNOTATIONS = Archive(
    path="annotations/annotations_trainval2017.zip",
    size=252_907_541,
    sha256="113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    unpacked=900_000_000,
    folder="annotations",
    names=r"(?:captions|instances|person_keypoints)_(?:train|val)2017\.json",
    files=6,
)
IMAGES = {
    "val2017": Archive(
        path="zips/val2017.zip",
        size=815_585_330,
        sha256="4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        unpacked=900_000_000,
        folder="val2017",
        names=r"[0-9]{12}\.jpg",
        files=5_000,
    ),
    "train2017": Archive(
        path="zips/train2017.zip",
        size=19_336_861_798,
        sha256="69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        unpacked=20_500_000_000,
        folder="train2017",
        names=r"[0-9]{12}\.jpg",
        files=118_287,
    ),
}


class Watcher(Protocol):
    """Is told how a download goes."""

    def begins(self, step: str, size: int, done: int) -> None:
        """A step begins, over so many bytes, of which so many are done already."""

    def at(self, done: int) -> None:
        """So many bytes of the step are done."""

    def waits(self, why: str, seconds: float) -> None:
        """The connection broke off, or the server is busy; it is asked again in so many seconds."""


class Room(NamedTuple):
    """Bytes on the disk of the output folder."""

    needed: int
    """The most that is taken at one time, beyond what is taken now."""
    free: int


def archives_of(split: Split, *, images: bool) -> list[Archive]:
    return [ANNOTATIONS, *([IMAGES[split]] if images else [])]


def lacking(archives: Sequence[Archive], out: Path) -> list[Archive]:
    """The archives whose files are not in place yet.

    What a killed run left of the others is removed. Raises InputError for a folder with some of the files.
    """
    missing = []
    for archive in archives:
        folder, part = out / archive.folder, out / WORK / archive.name
        if not folder.exists():
            missing.append(archive)
            continue
        with _explained(out):
            names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        found = sum(1 for name in names if re.fullmatch(archive.names, name))
        if found < archive.files:
            raise InputError(
                f"{folder}: holds {found:,} of the {archive.files:,} files of {archive.name}: move it away, "
                "or choose another --out"
            )
        with _explained(out):
            _remove(part)
            if (out / WORK).is_dir():
                _remove_if_empty(out / WORK)
    return missing


def check_room(archives: Sequence[Archive], out: Path) -> Room:
    """The room that downloading and unpacking the archives takes. Raises InputError if there is less."""
    kept = needed = 0
    for archive in archives:
        here = _size(out / WORK / archive.name)
        files = archive.unpacked + archive.files * _BLOCK
        needed = max(needed, kept + archive.size - here + files)
        kept += files - here  # the archive is removed once its files are in place
    above = next(folder for folder in (out, *out.absolute().parents) if folder.is_dir())
    room = Room(needed, shutil.disk_usage(above).free)
    if room.free < room.needed:
        raise InputError(
            f"--out {out}: {room.needed / 1e9:.1f} GB are needed at one time and {room.free / 1e9:.1f} GB "
            "free: make room, or choose a folder on another disk"
        )
    return room


def check_address(base_url: str) -> httpx2.URL:
    """The address of a server. Raises InputError for what is none."""
    try:
        url = httpx2.URL(base_url.rstrip("/"))
        is_address = url.scheme in ("http", "https") and bool(url.host) and not url.query and not url.fragment
    except (httpx2.InvalidURL, TypeError, ValueError):
        is_address = False
    if not is_address:
        raise InputError(f"--base-url {base_url}: must be an address such as {OFFICIAL}")
    return url


def fetch(archives: Sequence[Archive], out: Path, base_url: httpx2.URL, watcher: Watcher) -> None:
    """Download, check and unpack archives that `lacking` named, into the folder `out`.

    Raises InputError when an archive cannot be had; what there is of it is kept, but for one that is not
    the official one.
    """
    with _working_folder(out) as work:
        for archive in archives:
            part = work / archive.name
            with _explained(out):
                _download(archive, part, base_url, watcher)
                _check(archive, part, watcher)
                _unpack(archive, part, out / archive.folder, watcher)
                _remove(part)


@contextlib.contextmanager
def _working_folder(out: Path) -> Iterator[Path]:
    """The folder for what is not in place yet, ours alone; taken away again if nothing is left in it."""
    with _explained(out):
        lock = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"{out}: another download is using this folder: wait for it or stop it"
            ) from None
        work = out / WORK
        with _explained(out):
            work.mkdir(exist_ok=True)
        try:
            yield work
        finally:
            _remove_if_empty(work)
    finally:
        os.close(lock)


# Downloading.


class _Again(Exception):
    """The server may answer if it is asked again; the message says how it answered."""


def _download(archive: Archive, part: Path, base_url: httpx2.URL, watcher: Watcher) -> None:
    """What is missing of an archive, in as many requests as it takes.

    Raises InputError when the server has no such file, or brings nothing new `_TRIES` times in a row.
    """
    url = httpx2.URL(f"{base_url}/{archive.path}")
    shown = url.copy_with(userinfo=b"")
    have = furthest = _size(part)
    if have > archive.size:
        _remove(part)
        have = furthest = 0
    watcher.begins(f"downloading {archive.name}", archive.size, have)
    if have == archive.size:
        return
    timeout = httpx2.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS)
    tries, is_first = 0, True
    with httpx2.Client(timeout=timeout, follow_redirects=True, verify=_certificates()) as client:
        while True:
            why = "the answer ended early"
            try:
                _receive(client, url, archive, part, watcher)
            except (httpx2.RequestError, _Again) as error:
                why = str(error) or type(error).__name__
                if is_first and isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
                    raise InputError(
                        f"{shown}: no server there ({why}): check the network and --base-url"
                    ) from None
            is_first = False
            have = _size(part)
            if have == archive.size:
                return
            # A server that cannot resume begins anew each time: only what is more than ever before counts.
            tries = 0 if have > furthest else tries + 1
            furthest = max(furthest, have)
            if tries == _TRIES:
                raise InputError(
                    f"{shown}: {_TRIES} requests in a row brought nothing new ({why}); {have:,} of "
                    f"{archive.size:,} bytes are here: run the same command later, it goes on from there"
                )
            seconds = min(_MOST_SECONDS, 2.0**tries)
            watcher.waits(why, seconds)
            time.sleep(seconds)


def _receive(client: httpx2.Client, url: httpx2.URL, archive: Archive, part: Path, watcher: Watcher) -> None:
    """One request: what the server sends is appended, or takes the place of what was there.

    Raises _Again and httpx2.RequestError if asking again may help, InputError if not.
    """
    shown = url.copy_with(userinfo=b"")
    have = _size(part)
    # Compressed on the way it could not be resumed.
    headers = {"Accept-Encoding": "identity"}
    begun = _read_version(part)
    if have:
        headers["Range"] = f"bytes={have}-"
        # Another server may call the same file otherwise: there the checksum will tell.
        if begun.url == str(shown) and begun.version:
            headers["If-Range"] = begun.version
    with client.stream("GET", url, headers=headers) as answer:
        status = answer.status_code
        if status in _BUSY or status >= 500:
            raise _Again(f"HTTP {status}")
        if status not in (200, 206, 416):
            raise InputError(f"{shown}: HTTP {status}: check --base-url")
        length = archive.size  # if the server does not say
        if status == 200:
            have = 0  # the first request, a server that cannot resume, or a file that has changed
            length = int(answer.headers.get("Content-Length", length))
        else:
            span = re.fullmatch(
                r"bytes (?:([0-9]+)-[0-9]+|\*)/([0-9]+|\*)", answer.headers.get("Content-Range", "")
            )
            if status == 206 and (span is None or span[1] != str(have)):
                raise InputError(
                    f"{shown}: answers with another part than was asked for: use another --base-url"
                )
            if span and span[2] != "*":
                length = int(span[2])
        if length != archive.size:
            if status != 200 and begun.url == str(shown):
                _remove(part)  # it is of that other file
            raise _other_file(shown, archive, f"{length:,} bytes")
        if status == 416:
            raise InputError(f"{shown}: HTTP 416: use another --base-url")
        with part.open("r+b" if have else "wb") as file:
            if not have:
                _write_version(part, shown, answer.headers)
                watcher.at(0)
            file.seek(have)
            for piece in answer.iter_raw():
                have += len(piece)
                if have > archive.size:
                    _remove(part)
                    raise _other_file(shown, archive, f"more than {archive.size:,} bytes")
                file.write(piece)
                watcher.at(have)


def _other_file(shown: httpx2.URL, archive: Archive, length: str) -> InputError:
    return InputError(
        f"{shown}: has {length}, the official {archive.name} {archive.size:,}: not that file (a log-in "
        "page?): check the network and --base-url"
    )


class _Version(NamedTuple):
    """Whose file is begun, and which version of it, so that it is not gone on with another."""

    url: str
    version: str
    """For If-Range; "" if the server named none."""


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".version.json")


def _write_version(part: Path, shown: httpx2.URL, headers: httpx2.Headers) -> None:
    version = headers.get("ETag", "")
    if not version or version.startswith("W/"):  # which If-Range may not name
        version = headers.get("Last-Modified", "")
    _version_file(part).write_bytes(msgspec.json.encode(_Version(str(shown), version)))


def _read_version(part: Path) -> _Version:
    try:
        return msgspec.json.decode(_version_file(part).read_bytes(), type=_Version)
    except (OSError, msgspec.MsgspecError):
        return _Version("", "")


def _certificates() -> ssl.SSLContext:
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        raise InputError(
            f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR name cannot be read: {error}"
        ) from None


# Checking and unpacking.


def _check(archive: Archive, part: Path, watcher: Watcher) -> None:
    """Raises InputError if the archive is not the official one, and removes it."""
    watcher.begins(f"checking {archive.name}", archive.size, 0)
    digest, done = hashlib.sha256(), 0
    with part.open("rb") as file:
        while piece := file.read(_READ):
            digest.update(piece)
            done += len(piece)
            watcher.at(done)
    if digest.hexdigest() != archive.sha256:
        _remove(part)
        raise InputError(
            f"{archive.name}: the download's SHA-256 is {digest.hexdigest()}, the official one's "
            f"{archive.sha256}: it is removed; run the same command again, and if this comes back, with "
            "another --base-url"
        )


def _unpack(archive: Archive, part: Path, folder: Path, watcher: Watcher) -> None:
    """The archive's files as the folder `folder`, which is there whole or not at all.

    Raises InputError for an archive that cannot be unpacked or must not be.
    """
    unpacked = part.with_name(archive.folder)
    shutil.rmtree(unpacked, ignore_errors=True)  # left by a killed run
    unpacked.mkdir()
    try:
        with zipfile.ZipFile(part) as opened:
            members, done = _members(archive, opened), 0
            watcher.begins(f"unpacking {archive.name}", sum(each.file_size for each in members.values()), 0)
            for name, member in members.items():
                with opened.open(member) as source, (unpacked / name).open("xb") as target:
                    while piece := source.read(_READ):  # compares the CRC at its end
                        target.write(piece)
                        done += len(piece)
                        watcher.at(done)
        os.sync()  # else a power cut could leave the folder with empty files
        unpacked.rename(folder)
    # What zipfile raises for damage, and for a compression or a password that it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise InputError(
            f"{part}: cannot be unpacked ({error}), though its checksum was right: check the disk; to "
            "download it again, remove it"
        ) from None
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _members(archive: Archive, opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files to unpack, by name. Raises InputError for an archive that is not what it should be."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in opened.infolist():
        path = PurePosixPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)  # 0 from systems that have no such thing
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _not_unpacked(opened, f"{member.filename!r} in it is a link or a device")
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise _not_unpacked(opened, f"{member.filename!r} in it leads out of the folder")
        # What else may be in it, such as the entry of the folder itself, is left there.
        if str(path.parent) == archive.folder and re.fullmatch(archive.names, path.name):
            members[path.name] = member
    if len(members) != archive.files:
        raise _not_unpacked(
            opened, f"it has {len(members):,} of the {archive.files:,} files that it should have"
        )
    size = sum(member.file_size for member in members.values())
    if size > archive.unpacked:
        raise _not_unpacked(
            opened, f"its files have {size:,} bytes, {archive.unpacked:,} are the most there are"
        )
    return members


def _not_unpacked(opened: zipfile.ZipFile, why: str) -> InputError:
    return InputError(f"{opened.filename}: {why}: it is not unpacked, and kept for you to look at")


# Files.


def _size(path: Path) -> int:
    """Bytes; 0 if there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def _explained(out: Path) -> Iterator[None]:
    """A full disk or a folder that cannot be used, in a line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise InputError(
                f"{out}: the disk is full: make room and run the same command again; "
                "what was downloaded so far is kept"
            ) from None
        raise InputError(f"{error.filename or out}: cannot be used: {error.strerror}") from None
