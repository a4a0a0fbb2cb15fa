"""`pack new`: a pack that knows the data, with placeholders where a person has to write."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from datagen import text_proxy
from datagen.annotations import read_annotations
from datagen.checks import Vocabulary
from datagen.config import check_writable
from datagen.convert.writing import new_folder
from datagen.packs.checklist import checklist
from datagen.packs.figures import Figures, choose, measure, percentile
from datagen.packs.known import Known, known_as
from datagen.prompting import DEFAULT_PACK, PACKS, PLACEHOLDER, Pack, find_pack, load_pack, unwritten
from datagen.records import ImageAnnotation, InputError, counted
from schemas.pack import MarginsToml

CHECKLIST = "CHECKLIST.md"
SEEDS = 2
"""Drafted for each response type."""

# What a person is to look at; of other files, the default pack lends its own.
_TO_EDIT = (
    "vocabulary.txt",
    "attributes.txt",
    "blind_spots.txt",
    "leaks.txt",
    "forbidden.txt",
    "alignment.txt",
    "knowledge.toml",
)
_PROMPT_FILE = re.compile(r".*/(system_message|\d+_caps|\d+_conv)\.txt")
# COCO itself has 28 % of boxes below the margin that was chosen for it.
_MANY_TINY = 0.4
_SMALL_SIDE = 0.06
_MANY_ALIKE = 12


class NewPack(NamedTuple):
    """What `pack new` wrote."""

    folder: Path
    figures: Figures
    known: Sequence[Known]
    """Of each category, in the annotations' order."""
    placeholders: int
    has_sample: bool
    """Whether the pack names the folder of these annotations as its sample."""


def new(
    name: str, source: str, captions: Sequence[Path], instances: Sequence[Path], out: Path | None
) -> NewPack:
    """Write a pack named after the last part of `name`, into `out` or the folder `name`, whole or not at all.

    Raises InputError for a folder that is there already, a source that cannot be copied, or annotations
    that cannot be read.
    """
    folder = out or Path(name)
    pack_name = Path(name).name
    if not pack_name:
        raise InputError(f"pack new {name!r}: give the new pack a name")
    if not captions and not instances:
        raise InputError("pack new: give --captions and --instances, or either: the pack is made from them")
    if folder.exists():
        raise InputError(
            f"{folder}: is there already, and nothing is overwritten: choose another name, or --out"
        )
    if (PACKS / pack_name / "pack.toml").is_file():
        raise InputError(
            f"pack new {name}: a pack of that name ships, and --pack would find it: choose another"
        )
    check_writable(folder)
    base_folder = find_pack(source, "--from")
    base = load_pack(base_folder)
    if "pack.toml" not in base.files:
        raise InputError(f"--from {source}: has no pack.toml to copy: give a pack that has one, such as coco")
    annotations = read_annotations(tuple(captions), tuple(instances))
    figures, fit = measure(annotations)
    if not figures.images:
        told = ", ".join(f"{reason} {count:,}" for reason, count in figures.unusable.most_common())
        raise InputError(f"no image can be used: {told}")
    vocabulary = Vocabulary(base.files)
    known = [known_as(category, vocabulary) for category in annotations.categories]
    files = _own_files(base, base_folder)
    sample = _sample(captions, instances, folder)
    files["pack.toml"] = _settings(pack_name, base, figures, sample)
    files["vocabulary.txt"] = _vocabulary(base.files["vocabulary.txt"], known)
    files["knowledge.toml"] = _knowledge(base.files["knowledge.toml"], known)
    files |= _prompts(base, fit)
    placeholders = len(unwritten(files))
    files[CHECKLIST] = checklist(pack_name, folder, base, figures, known, files)
    with new_folder(folder) as temporary:
        for path, text in files.items():
            file = temporary / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return NewPack(folder, figures, known, placeholders, sample is not None)


def _own_files(base: Pack, base_folder: Path) -> dict[str, str]:
    """Copies of what is to be edited, and of what the base has otherwise than the default pack."""
    lent = load_pack(PACKS / DEFAULT_PACK).files
    files = {path: base.files[path] for path in _TO_EDIT if path in base.files}
    for path, text in base.files.items():
        is_shared = "/" not in path or path.startswith("phrasings/")
        if path != "pack.toml" and is_shared and text != lent.get(path):
            files[path] = text
    return files


def _sample(captions: Sequence[Path], instances: Sequence[Path], folder: Path) -> str | None:
    """The folder of the annotations, where it is laid out as a sample is."""
    given = [path.resolve() for path in (*captions, *instances)]
    home = given[0].parent
    is_sample = given == [home / "captions.json", home / "instances.json"] and (home / "images").is_dir()
    if not is_sample:
        return None
    # From the pack's folder, so that the two can move together.
    return os.path.relpath(home, folder.resolve())


def _settings(name: str, base: Pack, figures: Figures, sample: str | None) -> str:
    lines = [
        f"# Made by `python -m datagen pack new` from the pack {base.name}. {CHECKLIST} says what to do, in",
        "# order; docs/packs.md explains each key. What waits for you is marked; `pack check` lists it.",
        f"name = {json.dumps(name)}",
        f'description = ""               # {PLACEHOLDER} one line about the domain, for people',
        f"proxy = {json.dumps(base.proxy)}",
    ]
    if sample is not None:
        lines.append(
            f"sample = {json.dumps(sample)}            # what is run on when no annotations are given"
        )
    lines += [
        f"# {PLACEHOLDER} choose: camera, overhead (from above: no up and down) or radiograph (the",
        "# patient's left is the image's right). A wrong one makes right answers wrong. Delete this then.",
        f"frame = {json.dumps(base.frame)}",
        "",
    ]
    for header, block in _tables(base.files["pack.toml"]):
        if header.startswith("types.") or header in ("dedup", "programs.weights"):
            lines += [block.strip("\n"), ""]
    lines += _margins(base.programs.margins, figures)
    return "\n".join(lines) + "\n"


def _tables(text: str) -> list[tuple[str, str]]:
    """The tables of a pack.toml by name, each with the comment above it."""
    tables: list[tuple[str, str]] = []
    above: list[str] = []
    for line in text.split("\n"):
        if header := re.fullmatch(r"\[([\w.]+)\]\s*(?:#.*)?", line):
            tables.append((header[1], "\n".join([*above, line])))
            above = []
        elif line.startswith("#"):
            above.append(line)
        elif tables:
            name, block = tables[-1]
            tables[-1] = (name, "\n".join([block, *above, line]))
            above = []
        else:
            above = []
    return tables


def _margins(margins: MarginsToml, figures: Figures) -> list[str]:
    """The table [programs.margins], with values that suit the boxes and why."""
    proposed = margins.model_dump()
    why: dict[str, str] = {}
    if figures.areas:
        tiny = figures.share_below(margins.smallest_area)
        told = f"{tiny:.0%} of your boxes cover less than {margins.smallest_area}"
        if tiny > _MANY_TINY:
            smallest = max(0.00005, _round_down(percentile(figures.areas, 10)))
            ratio = margins.smallest_cut_off / max(margins.smallest_area, 1e-9)
            proposed["smallest_area"] = smallest
            proposed["smallest_cut_off"] = min(margins.smallest_cut_off, _round_down(smallest * ratio))
            why["smallest_area"] = (
                f"{told}; this leaves out the smallest tenth. Can a person see them, though?"
            )
            why["smallest_cut_off"] = "in the same proportion as before"
        else:
            why["smallest_area"] = told
        side = percentile(figures.sides, 50)
        if side < _SMALL_SIDE and margins.apart > _SMALL_SIDE:
            proposed["apart"] = _SMALL_SIDE
            why["apart"] = f"your boxes are small (half of them up to {side:.3f} wide and high)"
        many = sum(count > _MANY_ALIKE for count in figures.most_alike)
        if many * 10 > figures.images:
            proposed["count_ranges"] = True
            why["count_ranges"] = f"{many:,} images have more than {_MANY_ALIKE} of a kind: told as ranges"
    lines = [
        "# From where on boxes decide something. Lengths are shares of width or height, areas of the image.",
        "[programs.margins]",
    ]
    for key, value in proposed.items():
        written = f"{key} = {_toml(value)}"
        lines.append(f"{written:<28}# {why[key]}" if key in why else written)
    return lines


def _toml(value: float | bool) -> str:
    if isinstance(value, float) and value < 0.001:
        return f"{value:.6f}".rstrip("0")  # not 5e-05
    return json.dumps(value)


def _round_down(value: float) -> float:
    """To one digit that says something."""
    if value <= 0:
        return 0.0
    digit, _, exponent = f"{value:.6e}".partition("e")
    return float(f"{digit[0]}e{exponent}")


def _vocabulary(text: str, known: Sequence[Known]) -> str:
    """The base's words, with the categories first; what it knew of them moves there."""
    lines = text.split("\n")
    at = next((n for n, line in enumerate(lines) if line.strip() == "[names]"), None)
    if at is None:
        lines, at = ["[names]", *lines], 0
    end = next((n for n in range(at + 1, len(lines)) if lines[n].startswith("[")), len(lines))
    by_name: dict[str, int] = {}
    for number in range(at + 1, end):
        key, colon, _ = lines[number].partition(":")
        if colon and not key.startswith("#"):
            by_name.setdefault(key.strip().lower(), number)
    moved: set[int] = set()
    block = ["", "# The categories of your annotations. name: other names | kinds"]
    # Categories may be the same words, as `Bolt` and `bolt` are, or none.
    for each in {each.phrase: each for each in known if each.phrase}.values():
        if each.thing is None:
            kind = f" The word is known as a kind of {each.kind_of}." if each.kind_of else ""
            near = f" The nearest word known is {each.nearest!r}." if each.nearest else ""
            block.append(
                f"# {PLACEHOLDER} other names before the bar, kinds after it; or nothing.{kind}{near}"
            )
            block.append(f"{each.phrase}: |")
        elif each.thing in by_name and by_name[each.thing] not in moved:
            moved.add(by_name[each.thing])
            if each.is_alias:
                block.append(
                    f"# {PLACEHOLDER} {each.phrase!r} is read as another name of {each.thing!r}. If yours is "
                    f"something else, take it out there and write `{each.phrase}: |` on a line of its own."
                )
            block.append(lines[by_name[each.thing]])
    block += ["", "# Everything else that captions and answers may speak of."]
    kept = [line for number, line in enumerate(lines) if number not in moved]
    return "\n".join([*kept[: at + 1], *block, *kept[at + 1 :]])


def _knowledge(text: str, known: Sequence[Known]) -> str:
    """The base's knowledge, and a table to fill in for the categories that it has none of."""
    tables = set(re.findall(r'^\[things\.(?:"([^"]+)"|([\w-]+))\]', text, re.MULTILINE))
    there = {quoted or bare for quoted, bare in tables}
    missing = list(dict.fromkeys(each.phrase for each in known if each.phrase not in {"", *there}))
    if not missing:
        return text
    lines = [
        "",
        "# Nothing is known of these yet, so complex reasoning has only boxes and captions to go by:",
        f"# {', '.join(missing)}.",
        "# A table is a help, not a must; the head of this file explains its keys. To begin one:",
        "#",
        f"# [things.{json.dumps(missing[0])}]",
        '# uses = ["what they are used for"]',
        '# risks = ["a complete clause that is true of such things in general"]',
        '# care = ["what it makes sense to do"]',
    ]
    return text.rstrip("\n") + "\n" + "\n".join(lines) + "\n"


_ABOUT_DOMAIN = (
    f"{PLACEHOLDER} say in one or two sentences what these images are, who looks at them, and what an answer "
    "must never say. Then take this mark away."
)


def _prompts(base: Pack, fit: Sequence[ImageAnnotation]) -> dict[str, str]:
    """The folders of the response types: the base's system messages, and seeds of the data to be written."""
    files = {}
    types = [each for each in base.types.values() if f"{each.name}/system_message.txt" in base.files]
    lent = load_pack(PACKS / DEFAULT_PACK).files
    for path, text in base.files.items():
        # An optional type is the base's as it stands, or lent: there is no need to write it anew.
        of_type = base.types.get(path.partition("/")[0])
        if of_type is not None and of_type.optional and text != lent.get(path):
            files[path] = text
    types = [each for each in types if not each.optional]
    images = choose(fit, SEEDS * len(types))
    for number, each in enumerate(types):
        files[f"{each.name}/system_message.txt"] = f"{each.system_message}\n\n{_ABOUT_DOMAIN}\n"
        for path, text in base.files.items():
            if path.startswith(f"{each.name}/") and not _PROMPT_FILE.fullmatch(path):
                files[path] = text
        # One after another from the same list, so that no image is a seed twice.
        for seed, image in enumerate(images[number :: len(types)]):
            proxy = text_proxy.from_annotation(image)
            boxes = base.proxy == "grounded" or each.name != "conversation"
            stem = f"{each.name}/{seed:03d}"
            files[f"{stem}_caps.txt"] = text_proxy.render(proxy, base.proxy, boxes=boxes) + "\n"
            files[f"{stem}_conv.txt"] = _draft(each.reply_form, each.answer_words, image.file_name)
    return files


def _draft(form: str, words: tuple[int, int] | None, file_name: str) -> str:
    length = f" It has {words[0]} to {words[1]} words." if words else ""
    if form == "answer":
        return f"{PLACEHOLDER} describe {file_name} as if you saw it.{length}\n"
    pairs = [
        f"Question:\n{PLACEHOLDER} a question about {file_name} that can be answered for certain.",
        f"Answer:\n{PLACEHOLDER} its answer, in whole sentences, with nothing that is not known.{length}",
    ]
    return "\n===\n".join(pairs) + "\n"


def summary(made: NewPack, source: str, options: Mapping[str, Sequence[Path]]) -> list[str]:
    """What a person is told."""
    figures, folder = made.figures, made.folder
    unknown = list(dict.fromkeys(each.phrase for each in made.known if each.thing is None and each.phrase))
    lines = [
        f"{folder}: a pack made from {source} for {counted(figures.images, 'image')}, "
        f"{counted(sum(figures.captions), 'caption')} and {counted(sum(figures.boxes), 'box', 'boxes')}"
    ]
    if made.known:
        there = len(made.known) - len(unknown)
        told = f"{len(made.known):,} categories, {there:,} of them known to the vocabulary"
        aliases = [f"{each.phrase} (as {each.thing})" for each in made.known if each.is_alias]
        if unknown:
            shown = ", ".join(unknown[:8]) + (", …" if len(unknown) > 8 else "")
            told += f"; to fill in: {shown}"
        if aliases:
            told += f"; to look at: {', '.join(aliases[:8])}{', …' if len(aliases) > 8 else ''}"
        lines.append(told)
    given = "".join(
        f" --{name} {shlex.quote(str(path))}" for name, paths in options.items() for path in paths
    )
    return [
        *lines,
        f"{made.placeholders:,} places wait for you to write ({PLACEHOLDER}); "
        f"{folder / CHECKLIST} goes through them",
        "",
        f"Next: python -m datagen pack check {shlex.quote(str(folder))}{'' if made.has_sample else given}",
    ]
