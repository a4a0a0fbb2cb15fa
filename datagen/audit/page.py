"""report.md: the report for a person to read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datagen.audit.books import EXAMPLES, commonest, short
from datagen.audit.records import UNPRINTABLE
from datagen.audit.response_types import LONG_ANSWER
from datagen.records import counted
from schemas import AuditReport
from schemas.audit import Example

_MEANING = """A turn *passes* where the captions and boxes do not contradict it and the other checks find
nothing unfit. That is no promise that it is true of the image: annotations leave much out, and what the
rules cannot read they do not judge. *Contradicted* means that captions or boxes say otherwise;
*unsupported* that neither mentions it, which may still be true; *undecidable* that they cannot tell."""

_FORM = {
    "no_id": "have no id",
    "repeated_id": "have an id that another sample has (numbered here: `ID#2`)",
    "no_image_token": "name an image and have no `<image>` in the text",
    "image_token_misplaced": "do not have `<image>` first or last in the first turn",
    "image_token_without_image": "have `<image>` in the text and name no image",
}
_VERDICTS = ("supported", "contradicted", "unsupported", "undecidable")


def page(report: AuditReport) -> str:
    """report.md: the report for a person."""
    parts = [_opening(report), _outcomes(report), _what_is_unfit(report), _claims(report)]
    parts += [_repeats(report), _evaluation(report), _usefulness(report), _unreadable(report)]
    parts.append(_examples(report))
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(report: AuditReport) -> str:
    images, lines = report.images, []
    each = report.types.values()
    read = (
        f"{counted(report.samples, 'sample')} with {counted(report.turns, 'turn')}: "
        f"{sum(e.passed for e in each):,} passed, "
        f"{sum(e.partly_unfit for e in each):,} partly unfit, {sum(e.unfit for e in each):,} unfit, "
        f"{sum(e.duplicate for e in each):,} duplicate."
    )
    if report.unreadable:
        read += f" {len(report.unreadable):,} of the file's {report.records:,} records could not be read."
    lines.append(f"# Audit of {_plain(Path(report.file.path).name)}\n\n{read}")
    if not report.annotations:
        lines.append(
            "**No annotations were given: nothing was held against captions or boxes.** What follows is "
            "about form, phrases and repeats alone."
        )
    else:
        unseen = [
            (images.no_annotation, "whose image is not in the annotations"),
            (images.several_images, "about several images"),
            (images.text_only, "without an image"),
        ]
        others = ", ".join(f"{count:,} {what}" for count, what in unseen if count)
        files = ", ".join(f"`{Path(each.path).name}`" for each in report.annotations)
        said = f"Held against captions and boxes: {counted(images.annotated, 'sample')} ({files})."
        if not images.annotated:
            said = f"**No sample's image is in the annotations** ({files})."
        if others:
            said += f" Not so: {others}; these were checked for form, phrases and repeats alone."
        lines.append(said)
    if images.not_found:
        lines.append(f"{images.not_found:,} images are not in the image folder.")
    lines += [f"{count:,} samples {_FORM[name]}." for name, count in report.form.items()]
    lines.append(_MEANING)
    return "\n\n".join(lines)


def _outcomes(report: AuditReport) -> str:
    rows = [["type", "samples", "type guessed", "passed", "partly unfit", "unfit", "duplicate"]]
    for name, each in report.types.items():
        counts = (each.passed, each.partly_unfit, each.unfit, each.duplicate)
        shares = [f"{count:,} ({count / each.samples:.0%})" for count in counts]
        rows.append([name, f"{each.samples:,}", f"{each.guessed:,}", *shares])
    text = (
        f"## Samples\n\n{_table(rows)}\n\n"
        f"By the rules of the pack {_plain(report.pack)}, *unfit* is a sample of which nothing would be "
        "kept, and *partly unfit* one of which only some turns would."
    )
    if any(each.guessed for each in report.types.values()):
        text += (
            " A type was guessed where neither `--type` nor the id says it: from the number of turns, "
            f"whether the question asks for a description, and whether the answer has {LONG_ANSWER} words."
        )
    return text


def _what_is_unfit(report: AuditReport) -> str:
    if not report.unfit_turns:
        return "## What is unfit\n\nNothing."
    rows = [["reason", "turns", "of all turns"]]
    for reason, count in report.unfit_turns.items():
        rows.append([reason, f"{count:,}", f"{count / report.turns:.1%}"])
    parts = [f"## What is unfit\n\n{_table(rows)}"]
    rules = Counter[tuple[str, str]]()
    for found in report.found.values():
        for reason in ("leak", "refusal", "forbidden"):
            rules.update({(reason, rule): count for rule, count in found.faults.get(reason, {}).items()})
    if rules:
        listed = sorted(rules.items(), key=lambda item: (-item[1], item[0]))
        by_rule = [["phrase found", "rule", "turns"]]
        by_rule += [
            [reason, "`" + _code(rule).replace("|", "\\|") + "`", f"{count:,}"]
            for (reason, rule), count in listed
        ]
        parts.append(_table(by_rule))
    return "\n\n".join(parts)


def _claims(report: AuditReport) -> str:
    claims = Counter[tuple[str, str]]()
    for found in report.found.values():
        for kind, verdicts in found.claims.items():
            claims.update({(kind, verdict): count for verdict, count in verdicts.items()})
    if not claims:
        return ""
    rows = [["claims about", *_VERDICTS]]
    for kind in sorted({kind for kind, _ in claims}):
        rows.append([kind.replace("_", " "), *(f"{claims[kind, verdict]:,}" for verdict in _VERDICTS)])
    rows.append(["turns, by their worst claim", *(f"{report.turn_verdicts[name]:,}" for name in _VERDICTS)])
    return f"## Claims\n\n{_table(rows)}"


def _repeats(report: AuditReport) -> str:
    if not report.duplicates and not report.repeated_turns:
        return "## Repeats\n\nNone among the samples that are not unfit."
    rows = [["how", "samples", "turns of other samples"]]
    for how in sorted({**report.duplicates, **report.repeated_turns}):
        rows.append([how, f"{report.duplicates.get(how, 0):,}", f"{report.repeated_turns.get(how, 0):,}"])
    parts = [
        "## Repeats\n\nLooked for among the samples that are not unfit. Of two that repeat each other the "
        f"first stays, in the order of type, image and id.\n\n{_table(rows)}"
    ]
    for how, examples in report.duplicate_examples.items():
        told = [f"- `{_code(each.sample)}`: {_plain(each.told)}" for each in examples]
        parts.append(f"### {how}\n\n" + "\n".join(told))
    return "\n\n".join(parts)


def _evaluation(report: AuditReport) -> str:
    found = report.evaluation_images
    lines = []
    if not found.images:
        lines.append("None of the benchmarks that are known here.")
    else:
        lines.append(
            f"**{counted(found.images, 'image')} of benchmarks, in {counted(found.samples, 'sample')}.** "
            "A model that is trained on them is not measured by those benchmarks. "
            "They were checked like all others."
        )
        listed = [[_cell(benchmark), f"{count:,}"] for benchmark, count in found.by_benchmark.items()]
        lines.append(_table([["benchmark", "images"], *listed]))
        lines.append("\n".join(f"- {_plain(example)}" for example in found.examples))
    if found.unreadable:
        lines.append(f"{found.unreadable:,} images could not be read, and so not be compared.")
    return "## Evaluation images\n\n" + "\n\n".join(lines)


def _usefulness(report: AuditReport) -> str:
    rows = [["", *report.usefulness]]

    def row(name: str, figure: Callable[[Any], str]) -> None:
        rows.append([name, *(figure(each) for each in report.usefulness.values())])

    row("turns", lambda each: f"{each.turns:,}")
    row("yes of yes/no answers", lambda each: _share(each.yes_no.yes_share))
    row(
        "answers that say no more than their question",
        lambda each: _share(each.answers_repeating_question.share),
    )
    row("different questions", lambda each: f"{each.questions.distinct:,}" if each.questions else "—")
    row(
        "words of an answer: a tenth, half, nine tenths up to",
        lambda each: (
            f"{each.answer_words.tenth_percentile}, {each.answer_words.median}, "
            f"{each.answer_words.ninetieth_percentile}"
        ),
    )
    if any(report.usefulness[name].categories.samples for name in report.usefulness):
        row("categories named", lambda each: f"{len(each.categories.samples):,}")
        row("samples that name no category", lambda each: f"{each.categories.samples_without:,}")
    row("answers that nearly repeat one of the pack's examples", lambda each: f"{each.seed_copies.count:,}")
    text = f"## The set as a whole\n\nThe file as it stands, with what is unfit or repeats.\n\n{_table(rows)}"
    if report.warnings:
        text += "\n\n" + "\n".join(f"- {_plain(warning)}" for warning in report.warnings)
    return text


def _share(share: float | None) -> str:
    return f"{share:.0%}" if share is not None else "—"


def _unreadable(report: AuditReport) -> str:
    if not report.unreadable:
        return ""
    counts = commonest(Counter(each.reason for each in report.unreadable))
    rows = [["reason", "records", "the first"]]
    for reason, count in counts.items():
        first = next(each for each in report.unreadable if each.reason == reason)
        rows.append([reason, f"{count:,}", _cell(f"{first.record} {first.detail}")])
    return f"## Records that could not be read\n\nAll of them stand in `report.json`.\n\n{_table(rows)}"


def _examples(report: AuditReport) -> str:
    if not report.examples:
        return ""
    parts = [f"## Examples\n\nUp to {EXAMPLES} of each, drawn evenly; all of them stand in `verdicts.jsonl`."]
    for reason, examples in report.examples.items():
        parts.append(f"### {reason} (turns: {report.unfit_turns[reason]:,})")
        parts += map(_example, examples)
    return "\n\n".join(parts)


def _example(example: Example) -> str:
    lines = [
        f"- `{_code(example.sample)}`, turn {example.turn}, {_plain(example.told)}",
        f"  - Q: {_plain(example.question)}",
        f"  - A: {_plain(example.answer)}",
    ]
    captions = [f"({number}) {_plain(caption)}" for number, caption in enumerate(example.captions, 1)]
    if captions:
        lines.append(f"  - Captions: {' '.join(captions)}")
    if example.boxes:
        boxes = ", ".join(f"{count} {_plain(category)}" for category, count in example.boxes.items())
        lines.append(f"  - Boxes: {boxes}")
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the heading; all columns but the first of numbers, at the right."""
    head, *body = rows
    rule = [":--", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


# Only what Markdown would take for markup there, so that the page reads well as text, too.
_MARKUP = re.compile(
    r"^[#>+-]|[`*\[<~]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|\\(?=[!-/:-@\[-`{-~])|^\d+(?=[.)](?:\s|$))", re.ASCII
)


def _plain(text: str) -> str:
    """Text that is not ours, on one line, kept from being read as markup."""
    line = " ".join(UNPRINTABLE.sub(" ", text).split())
    return _MARKUP.sub(lambda found: f"\\{found[0]}" if not found[0].isdigit() else f"{found[0]}\\", line)


def _cell(text: str) -> str:
    """Text that is not ours in a table."""
    return _plain(text).replace("|", "\\|")


def _code(text: str) -> str:
    """Text that is not ours, to stand between backticks."""
    return short(UNPRINTABLE.sub(" ", text).replace("`", "'"))
