"""`pack check`: everything that is wrong with a pack, each with its line and the mend."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.annotations import read_annotations
from datagen.checks import Vocabulary, phrase_check
from datagen.checks.vocabulary import phrase_of
from datagen.config import sample_folder
from datagen.judging import Judge
from datagen.packs.findings import Finding, line_with, toml_line
from datagen.packs.known import known_as
from datagen.packs.mending import (
    SETTINGS,
    STAND_IN,
    check_all_phrasings,
    check_dialogues,
    check_knowledge,
    check_nouns,
    mended,
    read_files,
    read_settings,
)
from datagen.packs.seeds import check_seeds
from datagen.prompting import (
    DEFAULT_PACK,
    PACKS,
    Pack,
    Prompter,
    aliased,
    find_pack,
    load_pack,
    nearest,
    pack_of,
    unwritten,
    with_lent,
)
from datagen.records import InputError, Turn, counted
from datagen.teacher.programmatic import weights_of
from datagen.teacher.programmatic.dialogues import FILE as DIALOGUES
from datagen.teacher.programmatic.knowledge import FILE as KNOWLEDGE
from datagen.teacher.programmatic.words import NOUNS, noun_for
from datagen.tokens import estimate_message_tokens, estimate_tokens
from schemas import PackToml
from schemas.pack import ProgramsToml

MOST_PREFIX_TOKENS = 8000
"""From here on many models that a team runs itself have no room left for an image."""

_SEED_FILE = re.compile(r"\d+_(caps|conv)\.txt")
_ABOVE_OR_BELOW = re.compile(r"\babove,? (?:or|and) below\b", re.IGNORECASE)
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Prefix:
    """What is sent before the image, with every request of a type."""

    response_type: str
    seeds: int
    tokens: int
    """Estimated."""


@dataclass(frozen=True)
class PackReport:
    """What `pack check` found."""

    folder: Path
    findings: Sequence[Finding]
    """By file and line."""
    prefixes: Sequence[Prefix]
    categories: int
    """Of the annotations that the vocabulary was held against; 0 without any."""

    @property
    def is_clean(self) -> bool:
        """Whether there are at most warnings."""
        return all(each.is_warning for each in self.findings)


def check(name: str, captions: Sequence[Path] = (), instances: Sequence[Path] = ()) -> PackReport:
    """Lint a pack: a shipped one by name, or a folder. Without annotations, with those of its sample.

    Raises InputError where there is no such folder, or annotations cannot be read.
    """
    folder = find_pack(name, "pack check")
    findings: list[Finding] = []
    own = read_files(folder, findings)
    shipped = load_pack(PACKS / DEFAULT_PACK).files
    settings, unsure = read_settings(own, folder.resolve().name, findings)
    findings += [Finding(file, line, f"to be written: {_short(text)}") for file, line, text in unwritten(own)]
    findings += _strangers(folder, own, shipped, settings)
    check_all_phrasings(own, shipped, findings)
    if KNOWLEDGE in own:
        check_knowledge(own, findings)
    if NOUNS in own:
        check_nouns(own, findings)
    findings += _misread_braces(own)
    findings += _reasons(own, shipped)
    categories: Sequence[str] = ()
    prefixes: list[Prefix] = []
    if settings is not None:
        given = [*captions, *instances]
        if not given:
            captions, instances = _sample(settings, folder, own, findings)
        if instances:
            categories = read_annotations(tuple(captions), tuple(instances)).categories
        findings += _settings(settings, own)
        findings += _against_frame(settings, own)
        files = with_lent(dict(own), folder)
        check_dialogues(own, files, findings)

        def read(files: Mapping[str, str]) -> Pack:
            pack = pack_of(settings, files, "")
            Judge(pack, categories)
            return pack

        pack = mended(files, read, findings)
        if pack is not None:
            pack = _without_stand_ins(pack)
            judged = _judged(pack, unsure, findings)
            findings += [each for each in check_seeds(judged, categories) if each.file in own]
            findings += _instructions(pack, own)
            prefixes = list(_prefixes(pack, findings))
            findings += _missed(categories, files, own)
        findings += _unspoken(categories, own)
    findings = sorted({_as_named(each, folder) for each in findings})
    return PackReport(folder, findings, prefixes, len(categories))


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."


def _as_named(finding: Finding, folder: Path) -> Finding:
    """With the file as it is called in the folder, where that is laid out as LLaVA's authors did."""
    published = finding.file.replace("detail/", "detail_description/", 1)
    is_alias = not (folder / finding.file).exists() and (folder / published).exists()
    return finding._replace(file=published) if is_alias else finding


def _strangers(
    folder: Path, own: Mapping[str, str], shipped: Mapping[str, str], settings: PackToml | None
) -> Iterator[Finding]:
    """Files and folders that nothing reads: as a rule others misspelt."""
    types = set(settings.types) if settings else set()
    in_types = {"system_message.txt", "000_caps.txt", "000_conv.txt", DIALOGUES}
    in_types |= {Path(path).name for path in shipped if path.endswith(".txt") and "/" in path}
    read_from = {
        "": {SETTINGS, *_NOT_LENT, *(path for path in shipped if "/" not in path)},
        "phrasings": {Path(path).name for path in shipped if path.startswith("phrasings/")},
        **dict.fromkeys(types, in_types),
    }
    there: dict[str, set[str]] = {}
    for file in _all_files(folder):
        within, _, name = file.rpartition("/")
        there.setdefault(within, set()).add(name)
    for within, names in sorted(there.items()):
        known = read_from.get(within)
        if known is not None:
            # What a file of phrasings should be called is told where it is read.
            is_read = {name for name in names if within == "phrasings" and f"{within}/{name}" in own}
            for name in sorted(names - known - is_read):
                if within not in types or not _SEED_FILE.fullmatch(name):
                    yield from _stranger(f"{within}/{name}".lstrip("/"), name, known - names)
        elif settings and "system_message.txt" not in names:
            hint = nearest(within.lower(), read_from.keys() - there.keys())
            if hint:
                told = f"nothing reads this folder: rename it to {hint}, if that is what it is"
                yield Finding(within, 0, told)
    folders = {file.partition("/")[0] for file in own if file.endswith("/system_message.txt")}
    for name in sorted(folders - types) if settings else ():
        hint = nearest(name, types - folders)
        yield Finding(
            f"{name}/system_message.txt",
            1,
            f"pack.toml has no [types.{name}], so the folder is not used: "
            + (f"did you mean [types.{hint}]?" if hint else "add the table, or take the folder away"),
            is_warning=hint is None,
        )


_NOT_LENT = ("hedges.txt", NOUNS)
"""Files that a pack may bring and the default pack has no use for."""


def _all_files(folder: Path) -> list[str]:
    """What is in a pack's folder, read or not, but for hidden files and those for people."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    names = [
        path.as_posix()
        for path in paths
        if path.suffix.lower() != ".md" and not any(part.startswith(".") for part in path.parts)
    ]
    return list(aliased(dict.fromkeys(names, "")))


def _stranger(file: str, name: str, missing: Collection[str]) -> Iterator[Finding]:
    """A file that nothing reads, where others are missing that would be read."""
    plain = name.lower()
    hint = plain if _SEED_FILE.fullmatch(plain) else nearest(plain, missing)
    if hint:
        yield Finding(file, 1, f"nothing reads this file: rename it to {hint}, if that is what it is")
    elif plain.endswith((".txt", ".toml")):
        yield Finding(file, 1, "nothing reads this file: take it away, or check its name", is_warning=True)


def _misread_braces(own: Mapping[str, str]) -> Iterator[Finding]:
    """Text that its writer took for a template."""
    for file, text in own.items():
        if not file.endswith(("system_message.txt", "questions.txt", "alignment.txt")):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            for slot in _SLOT.finditer(line):
                yield Finding(
                    file,
                    number,
                    f"{slot[0]} is sent as it stands, for nothing in this file is filled in: write the words",
                )


def _against_frame(settings: PackToml, own: Mapping[str, str]) -> Iterator[Finding]:
    """Prompts that ask for what does not hold of images that are seen from above."""
    for file, text in own.items() if settings.frame == "overhead" else ():
        if file.endswith(("system_message.txt", "questions.txt")):
            for number, line in enumerate(text.split("\n"), 1):
                if found := _ABOVE_OR_BELOW.search(line):
                    told = (
                        f"{found[0]!r}: with frame = 'overhead' nothing is above anything: "
                        "take it out, or speak of the top and bottom of the image"
                    )
                    yield Finding(file, number, told, is_warning=True)


def _reasons(own: Mapping[str, str], shipped: Mapping[str, str]) -> Iterator[Finding]:
    """The names and slots of complaints.txt."""
    known = {line.partition(":")[0].strip() for line in shipped["complaints.txt"].split("\n")}
    for number, line in enumerate(own.get("complaints.txt", "").split("\n"), 1):
        reason = line.partition(":")[0].strip()
        if line.startswith("#") or not reason:
            continue
        if reason not in known and (hint := nearest(reason, known)):
            yield Finding("complaints.txt", number, f"no reply is rejected as {reason}: did you mean {hint}?")
        for slot in _SLOT.finditer(line):
            if slot[1] != "detail":
                yield Finding(
                    "complaints.txt", number, f"nothing fills {slot[0]} in: the only such word is {{detail}}"
                )


def _sample(
    settings: PackToml, folder: Path, own: Mapping[str, str], findings: list[Finding]
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The annotations of the pack's sample, if it names one."""
    if settings.sample is None:
        return (), ()
    sample = sample_folder(settings.sample, folder)
    names = ("captions.json", "instances.json")
    missing = [name for name in names if sample and not (sample / name).is_file()]
    if sample is None or missing:
        problem = f"has no {' and no '.join(missing)}" if missing else "no such folder"
        line = toml_line(own.get(SETTINGS, ""), ("sample",))
        told = (
            f"sample = {settings.sample!r}: {problem}: give a folder with {', '.join(names)} and images/ "
            "by its path from the pack's folder, or take the line out"
        )
        findings.append(Finding(SETTINGS, line, told))
        return (), ()
    return (sample / names[0],), (sample / names[1],)


def _settings(settings: PackToml, own: Mapping[str, str]) -> Iterator[Finding]:
    """What pack.toml names that has to be there."""
    text = own.get(SETTINGS, "")
    for name in settings.programs.weights:
        try:
            weights_of(settings.programs.model_copy(update={"weights": {name: 1.0}}))
        except InputError:
            hint = nearest(name, [program.name for program in weights_of(ProgramsToml())])
            line = toml_line(text, ("programs", "weights", name))
            meant = f"did you mean {hint}?" if hint else "`python -m datagen programs` lists all"
            yield Finding(SETTINGS, line, f"[programs.weights] {name}: no such program: {meant}")
    model = settings.dedup.meaning_model
    if model is not None and not Path(model).is_dir():
        line = toml_line(text, ("dedup", "meaning_model"))
        yield Finding(SETTINGS, line, f"meaning_model = {model!r}: no such folder: give its path")


def _without_stand_ins(pack: Pack) -> Pack:
    """Without the seeds of which a half was missing."""
    types = {}
    for name, each in pack.types.items():
        seeds = tuple(seed for seed in each.seeds if STAND_IN not in (seed.caps, seed.conv))
        types[name] = dataclasses.replace(each, seeds=seeds)
    return dataclasses.replace(pack, types=types)


def _judged(pack: Pack, unsure: Collection[str], findings: Sequence[Finding]) -> Pack:
    """The types whose seeds can be judged, by the checks that can be: not by a list that lacks lines."""
    types = {name: each for name, each in pack.types.items() if name not in unsure}
    if any(each.file == "declines.txt" for each in findings):
        for name, each in types.items():
            checks = tuple(check for check in each.checks if check != "declines")
            types[name] = dataclasses.replace(each, checks=checks)
    return dataclasses.replace(pack, types=types)


def _instructions(pack: Pack, own: Mapping[str, str]) -> Iterator[Finding]:
    """The lines that first turns are drawn from, as they will stand in samples."""
    leak = phrase_check("leaks", pack.word_lists)
    lists = {"alignment.txt": pack.word_lists["alignment"]}
    lists |= {f"{name}/questions.txt": each.questions for name, each in pack.types.items() if each.questions}
    for file, lines in lists.items():
        if file not in own:
            continue
        seen: set[str] = set()
        for line in lines:
            number = line_with(own[file], line)
            if fault := leak(Turn(line, "")):
                yield Finding(file, number, f"leak: {fault.detail}: say it as somebody who sees the image")
            if line in seen:
                yield Finding(file, number, f"stands here twice: {line!r}: take one out", is_warning=True)
            seen.add(line)


def _prefixes(pack: Pack, findings: list[Finding]) -> Iterator[Prefix]:
    """How long what is sent with every request is; too long a one is a finding."""
    for name, each in pack.types.items():
        prefix = Prompter(each, pack.proxy).prefix
        tokens = estimate_message_tokens([message.content for message in prefix])
        yield Prefix(name, len(each.seeds), tokens)
        file = f"{name}/system_message.txt"
        if not each.seeds:
            findings.append(
                Finding(
                    file,
                    1,
                    "the type has no seeds, so that an LLM is shown no example: "
                    "write 000_caps.txt and 000_conv.txt",
                    is_warning=True,
                )
            )
        elif tokens > MOST_PREFIX_TOKENS:
            longest = max(each.seeds, key=lambda seed: estimate_tokens(seed.caps + seed.conv))
            findings.append(
                Finding(
                    file,
                    1,
                    f"about {tokens:,} tokens are sent before every image, more than {MOST_PREFIX_TOKENS:,}: "
                    f"shorten the text, or take a seed away ({longest.name} is the longest, with about "
                    f"{estimate_tokens(longest.caps + longest.conv):,})",
                )
            )


def _missed(categories: Sequence[str], files: Mapping[str, str], own: Mapping[str, str]) -> Iterator[Finding]:
    """Categories of the annotations for which the vocabulary has no word, or takes one for another."""
    vocabulary = Vocabulary(files)
    file = "vocabulary.txt"
    line = line_with(own[file], "[names]") if file in own else 0
    lent = "" if file in own else f" (the pack has none of its own, so {DEFAULT_PACK}'s is used: copy it)"
    phrases = {phrase_of(category) for category in categories}
    for category in categories:
        known = known_as(category, vocabulary)
        for other in known.also if file in own else ():
            if other in phrases:
                told = (
                    f"the category {category!r} is another name of {other!r} here, so that a count of one "
                    "is taken for a count of the other: take it out of the line"
                )
                yield Finding(file, _line_of(own[file], other), told, is_warning=True)
        if known.is_thing or not known.phrase:
            continue
        near = f"; the nearest there is {known.nearest!r}" if known.nearest else ""
        kind = f"; it is known as a kind of {known.kind_of}" if known.kind_of else ""
        yield Finding(
            file,
            line,
            f"the category {category!r} is not in [names]{lent}, so that only this very word means it{near}"
            f"{kind}: add a line `{known.phrase}: other names | kinds`",
            is_warning=bool(known.kind_of) or file not in own,
        )


def _line_of(text: str, thing: str) -> int:
    """Of vocabulary.txt, the first that begins with the thing's name."""
    lines = enumerate(text.split("\n"), 1)
    return next((number for number, line in lines if line.lstrip().startswith(f"{thing}:")), 1)


def _unspoken(categories: Sequence[str], own: Mapping[str, str]) -> Iterator[Finding]:
    """Categories that the embedded teacher cannot speak of, and tables for them that it does not find."""
    for file, path in ((NOUNS, ()), (KNOWLEDGE, ("things",))):
        tables = _tables(own.get(file, ""), path) or ()
        for category in categories:
            near = [name for name in tables if phrase_of(name) == phrase_of(category)]
            for name in near if category not in near else ():
                told = f"the annotations write {category!r}, so that {name!r} is not read: rename the table"
                line = toml_line(own[file], (*path, name))
                yield Finding(file, line, told, is_warning=True)
    nouns = _tables(own.get(NOUNS, ""))
    # A file that cannot be read may have the word; that is told elsewhere.
    for category in categories if nouns is not None else ():
        if category not in (nouns or ()) and noun_for(category) is None:
            table = f"[{json.dumps(category, ensure_ascii=False)}]"
            told = (
                f"the embedded teacher has no word for {category!r} and passes over its boxes: "
                f'add a table {table} with say = "…"'
            )
            yield Finding(NOUNS, int(NOUNS in own), told, is_warning=True)


def _tables(text: str, path: Sequence[str] = ()) -> Collection[str] | None:
    """The names of the tables there; None where the text is no TOML."""
    try:
        tables: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    for key in path:
        tables = tables.get(key)
        if not isinstance(tables, dict):
            return ()
    return tuple(tables)


def summary(report: PackReport) -> list[str]:
    """What a person is told."""
    folder = str(report.folder)
    if report.folder.parent == PACKS:
        folder = f"prompts/{report.folder.name}"
    lines = [each.told(folder) for each in report.findings]
    wrong = sum(not each.is_warning for each in report.findings)
    warnings = len(report.findings) - wrong
    if lines:
        lines.append("")
    for prefix in report.prefixes:
        lines.append(
            f"{prefix.response_type}: seeds {prefix.seeds}, about {prefix.tokens:,} tokens before every image"
        )
    categories = counted(report.categories, "category", "categories")
    held = f"; held against {categories}" if report.categories else ""
    told = "clean" if not wrong else f"{wrong:,} to mend"
    if warnings:
        told += f", {counted(warnings, 'warning')}"
    return [*lines, f"{folder}: {told}{held}"]
