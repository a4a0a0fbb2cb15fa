"""What `pack check` finds, and where in a pack's files it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

_TABLE = re.compile(r"\s*\[\[?(?P<name>[^\[\]]+)\]\]?\s*(#.*)?")


class Finding(NamedTuple):
    """Something in a pack that should be mended."""

    file: str
    """Its path inside the pack."""
    line: int
    """From 1; 0 for a file that is not there."""
    what: str
    """What is wrong, a colon, and the mend."""
    is_warning: bool = False
    """Whether the pack can be used as it is."""

    def told(self, folder: str) -> str:
        place = f"{folder}/{self.file}:{self.line}" if self.line else f"{folder}/{self.file}"
        return f"{place}: {'warning: ' if self.is_warning else ''}{self.what}"


def line_with(text: str, part: str, after: int = 0) -> int:
    """The number of the first line, beyond the first `after`, that has this part; else `after` or 1."""
    for number, line in enumerate(text.split("\n"), 1):
        if number > after and part in line:
            return number
    return max(after, 1)


def toml_line(text: str, path: Sequence[int | str]) -> int:
    """The line of a TOML file on which the key of that path stands, or its table, or 1.

    A number in the path counts the tables of a `[[list]]` from 1, or the entries of a key.
    """
    best, matched = 1, 0
    table: list[int | str] = []
    counts: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if header := _TABLE.fullmatch(line):
            name = header["name"].strip()
            table = [part.strip(" \"'") for part in re.findall(r'"[^"]*"|\'[^\']*\'|[^.]+', name)]
            if line.lstrip().startswith("[["):
                counts[name] = counts.get(name, 0) + 1
                table.append(counts[name])
            here = table
        elif "=" in line and not line.lstrip().startswith("#"):
            key = line.partition("=")[0].strip()
            here = [*table, *(part.strip(" \"'") for part in re.findall(r'"[^"]*"|[^.]+', key))]
        else:
            continue
        depth = len(here)
        if depth > matched and [str(part) for part in here] == [str(part) for part in path[:depth]]:
            best, matched = number, depth
    return best


def line_of_entry(text: str, after: int, entry: str) -> int:
    """The line on which a string of a TOML list stands, however it is quoted there."""
    for written in (json.dumps(entry, ensure_ascii=False), f"'{entry}'"):
        if (line := line_with(text, written, after - 1)) != max(after - 1, 1) or written in text:
            return line
    return after
