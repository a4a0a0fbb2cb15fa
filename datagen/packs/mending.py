"""Reads a pack as far as it can be read, and collects every fault on the way.

The readers of a pack stop at the first fault, as a run should. Here what they complain of is noted and
taken out of the text, and they are asked again, so that all that is wrong is told in one go.
"""

from __future__ import annotations

import codecs
import contextlib
import itertools
import json
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from datagen.checks.forbidden import NEVER
from datagen.packs.findings import Finding, line_of_entry, toml_line
from datagen.prompting import aliased, nearest, pack_paths, read_text, settings_faults, settings_of
from datagen.records import InputError
from datagen.teacher.programmatic import check_phrasings
from datagen.teacher.programmatic.dialogues import FILE as DIALOGUES
from datagen.teacher.programmatic.dialogues import read_dialogues
from datagen.teacher.programmatic.knowledge import FILE as KNOWLEDGE
from datagen.teacher.programmatic.knowledge import read_knowledge
from datagen.teacher.programmatic.words import NOUNS, read_nouns
from schemas import PackToml

_T = TypeVar("_T")

SETTINGS = "pack.toml"
STAND_IN = "Something."
"""What a file that is missing or empty is read as, to go on with the others."""
_MOST = 500  # so many faults, and there is nothing left to read
_PLACE = re.compile(r"(?P<file>[^:]+?\.(?:txt|toml))(?:, line (?P<line>\d+))?: (?P<problem>.*)", re.DOTALL)
_PHRASING_PLACE = re.compile(
    r"(?P<file>[^:]+): (?P<key>[^:,]+)(?:, wording (?P<n>\d+))?: (?P<told>.*)", re.DOTALL
)
_TOML_PLACE = re.compile(r" \(at line (\d+), column \d+\)| \(at end of document\)")


def read_files(folder: Path, findings: list[Finding]) -> dict[str, str]:
    """The text of a pack's files, without those that cannot be read.

    One that is not UTF-8 is a fault, and is read as what it most likely is: without it, or with what the
    default pack would lend, other files would be found to be wrong.
    """
    files = {}
    for path in pack_paths(folder):
        name = path.relative_to(folder).as_posix()
        try:
            files[name] = read_text(path)
        except InputError as error:
            findings.append(Finding(name, 1, str(error).removeprefix(f"{path}: ")))
            with contextlib.suppress(OSError):
                data = path.read_bytes()
                is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
                text = data.decode("utf-16" if is_utf_16 else "latin-1", errors="replace")
                files[name] = text.replace("\r\n", "\n")
    return aliased(files)


class ReadSettings(NamedTuple):
    """What could be read of pack.toml."""

    settings: PackToml | None
    """Without their faults; None where too little is left of them."""
    unsure: frozenset[str] = frozenset()
    """Types whose seeds cannot be judged: how they are to be read was one of the faults."""


def read_settings(files: Mapping[str, str], name: str, findings: list[Finding]) -> ReadSettings:
    """The settings, as far as they can be read."""
    if SETTINGS not in files:
        try:
            return ReadSettings(settings_of(files, "", name))
        except InputError as error:
            findings.append(Finding(SETTINGS, 0, str(error).removeprefix(": ")))
            return ReadSettings(None)
    text = files[SETTINGS]
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        findings.append(not_toml(SETTINGS, text, str(error)))
        return ReadSettings(None)
    unsure: set[str] = set()
    for _ in range(_MOST):
        try:
            return ReadSettings(PackToml.model_validate(tree), frozenset(unsure))
        except ValidationError as error:
            is_mended = False
            # The last first, as entries of a list are counted from its beginning.
            for loc, problem in reversed(settings_faults(error)):
                if loc == ("frame",) or _is_reply(loc):
                    unsure |= {str(loc[1])} if len(loc) > 1 else {*tree.get("types", {})}
                    problem += ": until it is mended, no seed is judged that rests on it"
                findings.append(Finding(SETTINGS, toml_line(text, loc), problem))
                is_mended |= _without(tree, loc)
            if not is_mended:
                return ReadSettings(None)
    return ReadSettings(None)


def _is_reply(loc: tuple[int | str, ...]) -> bool:
    return len(loc) == 3 and loc[0] == "types" and loc[2] == "reply"


def _without(tree: dict[str, Any], loc: tuple[int | str, ...]) -> bool:
    """Take the key out, or put another value where one is needed; whether anything could be done.

    Of a list of checks or verdicts, the entry alone goes; any other list goes whole.
    """
    keys = list(itertools.takewhile(lambda part: isinstance(part, str), loc))
    at: Any = tree
    for key in keys[:-1]:
        at = at.get(key) if isinstance(at, dict) else None
    if not keys or not isinstance(at, dict):
        return False
    if loc == ("name",) or _is_reply(loc):
        at[keys[-1]] = STAND_IN if loc == ("name",) else "pairs"
        return True
    value = at.get(keys[-1])
    if keys[-1] in ("checks", "reject") and isinstance(value, list) and len(keys) < len(loc):
        del value[int(loc[len(keys)])]
        return True
    return at.pop(keys[-1], None) is not None


def not_toml(file: str, text: str, problem: str) -> Finding:
    place = _TOML_PLACE.search(problem)
    line = int(place[1]) if place and place[1] else text.rstrip("\n").count("\n") + 1
    return Finding(file, line, f"not valid TOML: {_TOML_PLACE.sub('', problem)}: mend what stands there")


def mended(
    files: dict[str, str], read: Callable[[Mapping[str, str]], _T], findings: list[Finding]
) -> _T | None:
    """What `read` makes of the files without the lines that it complains of, which become findings.

    `files` is changed: lines are emptied, and files that are missing stood in for.
    """
    for _ in range(_MOST):
        try:
            return read(files)
        except InputError as error:
            place = _PLACE.fullmatch(str(error))
            if place is None:
                findings.append(Finding(SETTINGS, 1, str(error)))
                return None
            file, problem = place["file"].lstrip("/"), place["problem"]
            text = files.get(file, "")
            if not text.strip() or problem.startswith("nothing in it"):
                findings.append(Finding(file, 1 if file in files else 0, problem))
                files[file] = STAND_IN
                continue
            line = int(place["line"]) if place["line"] else _line_quoted(text, problem)
            findings.append(Finding(file, line, problem))
            lines = text.split("\n")
            if not lines[line - 1].strip():
                return None  # nothing left to take out
            lines[line - 1] = ""
            files[file] = "\n".join(lines)
    return None


def _line_quoted(text: str, problem: str) -> int:
    """The line of a text that a problem quotes, as Python's repr writes it; without `never:`, too."""
    for number, line in enumerate(text.split("\n"), 1):
        entry = line.strip()
        quotes = (repr(entry), repr(NEVER.sub("", entry, count=1)))
        if entry and not line.startswith("#") and any(quote in problem for quote in quotes):
            return number
    return 1


def check_knowledge(files: Mapping[str, str], findings: list[Finding]) -> None:
    """knowledge.toml, entry by entry: an entry that has a fault is read no further."""
    # Others name places and traits: without one of them they would be at fault, too.
    _check_tables(KNOWLEDGE, files[KNOWLEDGE], read_knowledge, 2, ("things", "pair", "theme"), findings)


def check_nouns(files: Mapping[str, str], findings: list[Finding]) -> None:
    """nouns.toml, noun by noun: one that has a fault is read no further."""
    _check_tables(NOUNS, files[NOUNS], read_nouns, 1, None, findings)


def _check_tables(
    file: str,
    original: str,
    read: Callable[[Mapping[str, str]], object],
    depth: int,
    apart: Collection[str] | None,
    findings: list[Finding],
) -> None:
    """Each fault of a file of tables that have names of `depth` parts: a table with one is then emptied.

    Where only some of them can be read without the others, `apart` has their first parts.
    """
    text = original
    for _ in range(_MOST):
        try:
            read({file: text})
            return
        except InputError as error:
            said = str(error).removeprefix(f"{file}: ")
            if said.startswith("not valid TOML: "):
                findings.append(not_toml(file, text, said.removeprefix("not valid TOML: ")))
                return
            key, _, problem = said.partition(": ")
            path = [int(part) if part.isdigit() else part for part in key.split(".")]
            findings.append(Finding(file, toml_line(original, path), f"{key}: {problem}"))
            if apart is not None and path[0] not in apart:
                return
            start = toml_line(text, path[:depth])
            lines = text.split("\n")
            if not lines[start - 1].lstrip().startswith("["):
                return
            end = start
            while end < len(lines) and not lines[end].lstrip().startswith("["):
                end += 1
            if lines[start - 1].lstrip().startswith("[["):
                return
            # The empty table stays: others may name it.
            text = "\n".join([*lines[:start], *[""] * (end - start), *lines[end:]])


def check_dialogues(own: Mapping[str, str], files: Mapping[str, str], findings: list[Finding]) -> None:
    """The first mistake of each type's dialogues, beside the pack's other files."""
    others = {path: text for path, text in files.items() if not path.endswith(f"/{DIALOGUES}")}
    for file, text in own.items():
        if not file.endswith(f"/{DIALOGUES}"):
            continue
        try:
            read_dialogues({**others, file: text})
        except InputError as error:
            said = str(error)
            place = _PLACE.fullmatch(said)
            if said.startswith(f"{file}: not valid TOML: "):
                findings.append(not_toml(file, text, said.removeprefix(f"{file}: not valid TOML: ")))
            elif place is not None and place["file"] == file:
                findings.append(Finding(file, int(place["line"]), place["problem"]))
            # What is wrong with other files is found where they are read.


def check_all_phrasings(
    own: Mapping[str, str], reference: Mapping[str, str], findings: list[Finding]
) -> None:
    """Each file of phrasings beside the shipped others, wording by wording."""
    shipped = {path: text for path, text in reference.items() if path.startswith("phrasings/")}
    for file, text in own.items():
        if not file.startswith("phrasings/"):
            continue
        try:
            table = _flat(tomllib.loads(text))
            known = _flat(tomllib.loads(shipped[file])) if file in shipped else {}
        except tomllib.TOMLDecodeError as error:
            findings.append(not_toml(file, text, str(error)))
            continue
        for _ in range(_MOST):
            written = "\n".join(f"{_key(name)} = {json.dumps(value)}" for name, value in table.items())
            try:
                check_phrasings({**shipped, file: written}, shipped)
                break
            except InputError as error:
                place = _PHRASING_PLACE.fullmatch(str(error))
                key = place["key"] if place else ""
                if place is None or place["file"] != file:
                    # A wording elsewhere misses what this file no longer has.
                    findings.append(Finding(file, 1, f"{error}: this file has to have it"))
                    break
                findings.append(_phrasing_finding(file, text, key, place, table, known))
                if not _without_wording(table, known, key, place):
                    break


def _phrasing_finding(
    file: str,
    text: str,
    key: str,
    place: re.Match[str],
    table: Mapping[str, Any],
    known: Mapping[str, Any],
) -> Finding:
    told = place["told"]
    line = toml_line(text, key.split(".")) if key in table else 1
    wordings = table.get(key)
    if isinstance(wordings, list):
        if place["n"]:
            line = line_of_entry(text, line, wordings[int(place["n"]) - 1])
        else:
            for wording in wordings:
                if isinstance(wording, str) and repr(wording) in told:
                    line = line_of_entry(text, line, wording)
    hint = None
    if missing := re.search(r"no (?:slot|part) ([<{])(\w+)[>}]; there are (.*)", told):
        hint = nearest(missing[2], re.findall(r"\w+", missing[3]))
        hint = f"{missing[1]}{hint}{'>' if missing[1] == '<' else '}'}" if hint else None
    elif "nothing uses it" in told:
        hint = nearest(key, known.keys() - table.keys())
    return Finding(file, line, f"{key}: {told}{f': did you mean {hint}?' if hint else ''}")


def _without_wording(table: dict[str, Any], known: Mapping[str, Any], key: str, place: re.Match[str]) -> bool:
    """Take out what a fault was about; whether there was anything to take out."""
    if key not in table:
        if key in known:
            table[key] = known[key]
        return key in known
    wordings = table[key]
    if key not in known:
        del table[key]
        return True
    if isinstance(wordings, list):
        kept = [
            wording
            for number, wording in enumerate(wordings, 1)
            if str(number) != place["n"] and isinstance(wording, str) and repr(wording) not in place["told"]
        ]
        if kept and len(kept) < len(wordings):
            table[key] = kept
            return True
    table[key] = known[key]
    return bool(wordings != known[key])


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _key(name: str) -> str:
    return ".".join(json.dumps(part) for part in name.split("."))
