"""Files of exports read whole, with one clear line when that fails."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from datagen.records import InputError

_DELIMITERS = ",\t;|"
_LONGEST_FIELD = 1 << 30


def read_text(path: Path) -> str:
    """A text file without its byte order mark. Raises InputError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; give the file in it") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if not data.strip():
        raise InputError(f"{path}: is empty; export it again")
    if data[:4].startswith((b"\x1f\x8b", b"PK\x03\x04")):  # gzip, zip
        raise InputError(f"{path}: is compressed; unpack it first")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start:,}); save it as UTF-8") from None


def read_json(path: Path) -> Any:
    """Raises InputError."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({str(error)[:120]}); export it again") from None


def read_xml(path: Path) -> ElementTree.Element:
    """The root element. Raises InputError.

    Expat reads no file that an XML file refers to, and stops where entities would grow without end.
    """
    text = read_text(path)
    try:
        # As text, so that no declaration of another encoding is believed.
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path}: is not XML ({error}); export it again") from None


def files_in(paths: Sequence[Path], ending: str) -> list[Path]:
    """The files given, and those with that ending anywhere below the folders given, sorted."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(file for file in path.rglob(f"*{ending}") if file.is_file())
            if not below:
                raise InputError(f"{path}: holds no {ending} file")
            found += below
        else:
            found.append(path)
    return list(dict.fromkeys(found))


class NoColumns(InputError):
    """The first line of a table names no columns, or not those that are needed."""


class Row(NamedTuple):
    """A row of a table."""

    line: int
    """Of the file, counted from 1: where the row begins."""
    values: dict[str, str] | None
    """By role; None for a row with more or fewer fields than the header."""
    fields: list[str]
    """As they stand in the row."""


class Table(NamedTuple):
    columns: dict[str, int]
    """Role to the place of its column, for those that were found."""
    width: int
    """Columns of the header."""
    rows: Iterator[Row]


def read_table(path: Path, names: Mapping[str, Sequence[str]], needs: Sequence[Sequence[str]]) -> Table:
    """A table with a header: values separated by commas, tabs, semicolons or bars, whichever fits.

    `names` has for each role the names a column may go by, the best first, written without anything
    but letters and digits. `needs` has the sets of roles of which one must be there. Raises NoColumns
    when none is, and InputError, while rows are read, for quotes that do not close. Values separated by
    tabs may have any quotes: where these do not parse, no quote of the file is read as one.
    """
    text = read_text(path)
    csv.field_size_limit(_LONGEST_FIELD)
    first = text.partition("\n")[0].removesuffix("\r")
    if "\r" in first:
        raise InputError(f"{path}: line 1: has a carriage return within; save it with other line ends")
    for delimiter in _DELIMITERS:
        header = next(csv.reader([first], delimiter=delimiter), [])
        roles = find_columns(header, names)
        if any(all(role in roles for role in alternative) for alternative in needs):
            columns = [_plain(header[at]) for at in roles.values()]
            if twice := next(
                (name for name in columns if sum(_plain(each) == name for each in header) > 1), None
            ):
                raise InputError(f"{path}: line 1: has two columns {twice!r}: rename or take out all but one")
            return Table(roles, len(header), _rows(path, text, delimiter, len(header), roles))
    wanted = " or ".join(", ".join(names[role][0] for role in alternative) for alternative in needs)
    raise NoColumns(
        f"{path}: its first line must name the columns; it is {_shortened(first)}, and needs {wanted}"
    )


def find_columns(header: Sequence[str], names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Role to the place of its column, for the roles that have one; no column has two."""
    columns = [_plain(name) for name in header]
    roles: dict[str, int] = {}
    for role, known in names.items():
        at = next((columns.index(name) for name in known if name in columns), None)
        if at is not None and at not in roles.values():
            roles[role] = at
    return roles


def _rows(path: Path, text: str, delimiter: str, width: int, roles: Mapping[str, int]) -> Iterator[Row]:
    are_text = delimiter == "\t" and not _quotes_parse(text)
    reader = csv.reader(
        _lines(text),
        delimiter=delimiter,
        strict=True,
        quoting=csv.QUOTE_NONE if are_text else csv.QUOTE_MINIMAL,
    )
    before = 0
    try:
        for fields in reader:
            line, before = before + 1, reader.line_num
            if line == 1 or not any(field.strip() for field in fields):
                continue
            is_whole = len(fields) == width
            yield Row(line, {role: fields[at] for role, at in roles.items()} if is_whole else None, fields)
    except csv.Error as error:
        if "new-line" in str(error):
            raise InputError(
                f"{path}: line {before + 1:,}: has a carriage return within; save it with other line ends"
            ) from None
        raise InputError(
            f"{path}: line {before + 1:,}: its quotes do not close, or text stands after them: put the whole "
            'value in quotes and double those within it (""), or separate the columns by tabs'
        ) from None


def _quotes_parse(text: str) -> bool:
    try:
        for _ in csv.reader(_lines(text), delimiter="\t", strict=True):
            pass
    except csv.Error:
        return False
    return True


def _lines(text: str) -> Iterator[str]:
    """Split at line ends alone: splitlines would split at form feeds too."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 100 else f"{text[:99]}…")
