"""CHECKLIST.md of a new pack: what its data are like, and what to do in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template

from datagen.packs.figures import Figures, percentile
from datagen.packs.known import Known
from datagen.prompting import PLACEHOLDER, Pack
from datagen.records import counted

_MOST_CATEGORIES = 40


def checklist(
    name: str,
    folder: Path,
    base: Pack,
    figures: Figures,
    known: Sequence[Known],
    files: Mapping[str, str],
) -> str:
    """The page, in Markdown; `files` are those that the pack was given."""
    drafts = [
        path for each in base.types for path in sorted(files) if re.fullmatch(rf"{each}/\d+_conv.txt", path)
    ]
    types = ", ".join(f"`{each}/`" for each in base.types if f"{each}/system_message.txt" in files)
    unknown = list(dict.fromkeys(each.phrase for each in known if each.thing is None and each.phrase))
    text = (resources.files(__package__) / "checklist.txt").read_text(encoding="utf-8")
    return Template(text).substitute(
        name=name,
        folder=folder,
        base=base.name,
        placeholder=PLACEHOLDER,
        figures=_figures(figures),
        categories=_categories(figures, known),
        types=types,
        drafts=_list(drafts),
        unknown=_unknown(unknown),
    )


def _figures(figures: Figures) -> str:
    words, boxes = figures.words, figures.boxes
    lines = [f"- {counted(figures.images, 'image')}"]
    if figures.unusable:
        told = ", ".join(f"{reason} {count:,}" for reason, count in figures.unusable.most_common())
        lines.append(f"- {sum(figures.unusable.values()):,} more that cannot be used: {told}")
    if words:
        openings = ", ".join(
            f'"{text} …" {count / len(words):.0%}' for text, count in figures.openings.most_common(5)
        )
        lines.append(
            f"- {counted(len(words), 'caption')}, {len(words) / figures.images:.1f} an image, "
            f"typically of {percentile(words, 50)} words "
            f"(a tenth up to {percentile(words, 10)}, nine tenths up to {percentile(words, 90)})"
            + (f"; they begin with {openings}" if openings else "")
        )
    if figures.without_captions:
        lines.append(f"- {counted(figures.without_captions, 'image')} without a caption")
    if figures.areas:
        lines.append(
            f"- {counted(sum(boxes), 'box', 'boxes')}: {percentile(boxes, 50)} an image (a tenth up to "
            f"{percentile(boxes, 10)}, nine tenths up to {percentile(boxes, 90)}, at most {max(boxes)}); "
            f"{counted(figures.crowds, 'crowd')}"
        )
        lines.append(
            f"- half of the boxes cover up to {percentile(figures.areas, 50):.2%} of the image, a tenth "
            f"up to {percentile(figures.areas, 10):.3%}; "
            f"{figures.share_below(0.003):.0%} cover less than 0.3 %"
        )
    if figures.without_boxes:
        lines.append(f"- {counted(figures.without_boxes, 'image')} without a box")
    return "\n".join(lines)


def _categories(figures: Figures, known: Sequence[Known]) -> str:
    if not known:
        return "No boxes, so no categories: everything rests on the captions."
    rows = ["| category | boxes | images | in the vocabulary |", "| :-- | --: | --: | :-- |"]
    for each, (category, boxes) in _counted(figures, known)[:_MOST_CATEGORIES]:
        told = f"as {each.thing}" if each.is_alias else each.thing or "no"
        if each.kind_of:
            told = f"a kind of {each.kind_of}"
        rows.append(f"| {category} | {boxes:,} | {figures.images_of[category]:,} | {told} |")
    if len(known) > _MOST_CATEGORIES:
        rows.append(f"| … {len(known) - _MOST_CATEGORIES:,} more | | | |")
    return "\n".join(rows)


def _counted(figures: Figures, known: Sequence[Known]) -> list[tuple[Known, tuple[str, int]]]:
    counted = [(each, (each.category, figures.boxes_of[each.category])) for each in known]
    return sorted(counted, key=lambda one: (-one[1][1], one[1][0]))


def _list(paths: Sequence[str]) -> str:
    return "\n".join(f"      - [ ] `{path}`" for path in paths)


def _unknown(phrases: Sequence[str]) -> str:
    return f"      Not known yet: {', '.join(phrases)}.\n" if phrases else ""
