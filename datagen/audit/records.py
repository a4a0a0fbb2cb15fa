"""LLaVA JSON as others write it: a list of records, or a record a line."""

from __future__ import annotations

import codecs
import json
import mmap
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from datagen.records import InputError, Turn
from schemas.llava import IMAGE_TOKEN

Json = msgspec.Raw | memoryview | bytes
"""A record, not decoded yet: most are parts of a mapped file."""

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f]+")
_HUMAN = ("human", "user")
_GPT = ("gpt", "assistant")


class Unread(Exception):
    """A record that cannot be read: the reason, and the particulars."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Record(NamedTuple):
    """A record that could be read."""

    id: str | None
    images: tuple[str, ...]
    image_id: int | None
    """What the field of that name says, where there is one."""
    turns: tuple[Turn, ...]
    """Without the `<image>` that stands first or last in the first."""
    fault_of_form: str | None
    """About `<image>`, as `AuditReport.form` names them."""


def records_of(path: Path) -> Iterator[tuple[str, Json]]:
    """Each record's place in the file, for a person, and its JSON.

    Raises InputError for a file that is neither a list nor JSON lines.
    """
    data = _contents(path)
    first = next((byte for byte in data if byte not in b" \t\r\n"), 0)
    if first == ord("["):
        try:
            records: Sequence[msgspec.Raw | bytes] = msgspec.json.decode(data, type=list[msgspec.Raw])
        except RecursionError:
            raise InputError(f"{path}: is nested far deeper than LLaVA JSON is") from None
        except msgspec.DecodeError as error:
            records = _as_python_reads_it(path, data, error)
        for number, record in enumerate(records):
            yield f"[{number}]", record
        return
    if first != ord("{"):
        raise InputError(f"{path}: is not JSON: give LLaVA JSON, a list of records or a record a line")
    try:
        whole = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        whole = {"conversations": msgspec.Raw()}
    if "conversations" not in whole:
        if "images" in whole and "annotations" in whole:
            raise InputError(f"{path}: is a COCO file: give it with --captions or --instances, not as FILE")
        raise InputError(f"{path}: is a JSON object: give LLaVA JSON, a list of records or a record a line")
    yield from _lines(data)


def _contents(path: Path) -> memoryview:
    """The file's bytes without a byte order mark, mapped: the pages are the system's to take back."""
    try:
        if not path.exists():
            raise InputError(f"{path}: does not exist; check the path")
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file; give LLaVA JSON")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty; copy or download it again")
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{path}: cannot be read ({why}); check the path and its permissions") from None
    if bytes(data[:4]).startswith((b"\x1f\x8b", b"PK\x03\x04")):  # gzip, zip
        raise InputError(f"{path}: is compressed; unpack it first")
    return data[3:] if bytes(data[:3]) == codecs.BOM_UTF8 else data


def _as_python_reads_it(path: Path, data: memoryview, error: msgspec.DecodeError) -> list[bytes]:
    """The records of a list with NaN or half a surrogate pair in it, which Python's json writes."""
    try:
        records = json.loads(bytes(data), parse_constant=lambda _: None)
        return [_mended(record) for record in records]
    except (ValueError, RecursionError):
        if "truncated" in str(error):
            what = f"breaks off at its end (byte {len(data):,}), as if cut off; copy or download it again"
        else:
            what = f"is not JSON ({str(error).removeprefix('JSON is malformed: ')}); give LLaVA JSON"
        raise InputError(f"{path}: {what}") from None


def _mended(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode(errors="replace")


def _lines(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    mapped = data.obj
    assert isinstance(mapped, mmap.mmap)
    offset = len(mapped) - len(data)
    start, number = offset, 0
    while start < len(mapped):
        end = mapped.find(b"\n", start)
        end = len(mapped) if end < 0 else end
        number += 1
        line = data[start - offset : end - offset]
        if bytes(line[:64]).strip() or bytes(line).strip():
            yield f"line {number}", line
        start = end + 1


def _decoded(raw: Json) -> object:
    try:
        return msgspec.json.decode(raw)
    except UnicodeDecodeError as error:
        raise Unread("not_utf8", f"byte {error.start:,} of the record") from None
    except RecursionError:
        raise Unread("nested_too_deep") from None
    except msgspec.DecodeError as error:
        try:
            return msgspec.json.decode(_mended(json.loads(bytes(raw), parse_constant=lambda _: None)))
        except (ValueError, RecursionError):
            raise Unread("not_json", str(error).removeprefix("JSON is malformed: ")) from None


def read_record(raw: Json) -> Record:
    """A record as LLaVA's readers take it. Raises Unread for one that cannot be."""
    record = _decoded(raw)
    if not isinstance(record, dict):
        raise Unread("not_an_object", _said(record))
    images = _images_of(record.get("image"))
    texts = _texts_of(record.get("conversations"))
    fault_of_form = None
    if len(images) > 1:
        texts[::2] = [text.replace(IMAGE_TOKEN, " ").strip() for text in texts[::2]]
    else:
        first = texts[0].strip()
        if first.startswith(IMAGE_TOKEN):
            texts[0] = first.removeprefix(IMAGE_TOKEN).strip()
        elif first.endswith(IMAGE_TOKEN):
            texts[0] = first.removesuffix(IMAGE_TOKEN).strip()
        elif images:
            is_there = any(IMAGE_TOKEN in text for text in texts)
            fault_of_form = "image_token_misplaced" if is_there else "no_image_token"
        if not images and IMAGE_TOKEN in first:
            fault_of_form = "image_token_without_image"
    number = record.get("image_id")
    return Record(
        _id_of(record.get("id")),
        images,
        number if type(number) is int else None,
        tuple(Turn(*pair) for pair in zip(texts[::2], texts[1::2], strict=True)),
        fault_of_form,
    )


def _id_of(value: object) -> str | None:
    if type(value) is int:
        return str(value)
    return UNPRINTABLE.sub(" ", value).strip() or None if isinstance(value, str) else None


def _images_of(value: object) -> tuple[str, ...]:
    images = value if isinstance(value, list) else [value]
    named = []
    for image in images:
        if type(image) is int:
            named.append(str(image))
        elif isinstance(image, str):
            named += [image] if image else []
        elif image is not None:
            raise Unread("bad_image", f"its image is {_said(value)}, not a file's name")
    return tuple(named)


def _texts_of(conversations: object) -> list[str]:
    """What human and gpt say in turn."""
    if not isinstance(conversations, list) or not conversations:
        raise Unread("no_conversations", "it has no list of turns named conversations")
    texts: list[str] = []
    for number, message in enumerate(conversations):
        if not isinstance(message, dict):
            raise Unread("bad_turn", f"turn {number} is {_said(message)}, not an object")
        speaker = message.get("from", message.get("role"))
        text = message.get("value", message.get("content"))
        if number == 0 and speaker == "system":
            continue
        if not isinstance(text, str):
            raise Unread("bad_turn", f"turn {number} says {_said(text)}, not text")
        if speaker not in (*_HUMAN, *_GPT):
            raise Unread("unknown_speaker", f"turn {number} is from {_said(speaker)}")
        expected = _GPT if len(texts) % 2 else _HUMAN
        if speaker not in expected:
            raise Unread("turns_out_of_order", f"turn {number} is from {speaker}, not from {expected[0]}")
        texts.append(text)
    if not texts or len(texts) % 2:
        raise Unread("unanswered_question", "its last turn is not gpt's")
    return texts


def _said(value: object) -> str:
    """A value from a file as JSON, on one line and not too long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "nested too deep"
    return text if len(text) <= 80 else f"{text[:79]}…"
