"""Seed examples against what they say they are examples of: their form, their proxy, their type's rules."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping

from datagen import text_proxy
from datagen.checks import Evidence, evidence_of
from datagen.judging import Judge
from datagen.packs.findings import Finding, line_with
from datagen.parsing import parse_reply
from datagen.prompting import PLACEHOLDER, Pack, ResponseType, Seed
from datagen.records import Box, ImageAnnotation, Rejected, Turn
from datagen.text_proxy import TextProxy

_ASKS = re.compile(
    r"(?:what|where|which|who|whom|whose|when|why|how|is|are|was|were|do|does|did|has|have|can|could)\b",
    re.IGNORECASE,
)
_MENDS = {
    "contradicted": "change the reply or the proxy, so that they agree",
    "unsupported": (
        "leave it out, or let a caption of the proxy say it; "
        "what every image has may stand under [scenery] of vocabulary.txt"
    ),
    "leak": "say it as somebody who sees the image",
    "refusal": "answer, or take the turn out",
    "blind_spot": "ask something else, or let a caption of the proxy tell",
    "forbidden": "leave it out, or let a caption of the proxy say it",
}
_OTHER_MEND = "change the seed"


def check_seeds(pack: Pack, categories: Collection[str]) -> Iterator[Finding]:
    """Every seed of every type, whatever else is wrong with the pack.

    `categories` are those of the annotations; those of the proxies are taken for known, too.
    """
    proxies = {
        seed.name: proxy
        for response_type in pack.types.values()
        for seed in response_type.seeds
        if (proxy := proxy_of(seed, pack)) is not None
    }
    known = {each.category for proxy in proxies.values() for each in proxy.objects}
    judge = Judge(_held_against_proxies(pack), {*categories, *known})
    for response_type in pack.types.values():
        for seed in response_type.seeds:
            proxy = proxies.get(seed.name)
            yield from _check_proxy(seed, proxy)
            if PLACEHOLDER not in seed.conv:
                yield from _check_reply(judge, response_type, seed, proxy)
        yield from _repeated(response_type)


def proxy_of(seed: Seed, pack: Pack) -> TextProxy | None:
    """What a seed's caps say, if that can be told."""
    parsed = text_proxy.parse(seed.caps)
    if parsed is not None:
        return parsed[0]
    if pack.proxy == "llava-exact":  # where captions stand alone
        return TextProxy(tuple(line for line in seed.caps.split("\n") if line.strip()), ())
    return None


def evidence_of_proxy(proxy: TextProxy, judge: Judge) -> Evidence:
    """What a proxy tells, as of an image of one by one."""
    boxes = []
    for number, each in enumerate(proxy.objects, 1):
        x1, y1, x2, y2 = each.corners
        boxes.append(Box(number, each.category, x1, y1, x2 - x1, y2 - y1, each.crowd))
    return evidence_of(ImageAnnotation(0, "", 1, 1, proxy.captions, tuple(boxes)), judge.vocabulary)


def _held_against_proxies(pack: Pack) -> Pack:
    """A type that leaves `grounding` out still has to be shown no contradiction."""
    types: Mapping[str, ResponseType] = {
        name: each
        if "grounding" in each.checks
        else dataclasses.replace(each, checks=(*each.checks, "grounding"), reject=("contradicted",))
        for name, each in pack.types.items()
    }
    return dataclasses.replace(pack, types=types)


def _check_proxy(seed: Seed, proxy: TextProxy | None) -> Iterator[Finding]:
    file = f"{seed.name}_caps.txt"
    if proxy is None:
        yield Finding(
            file,
            1,
            "in neither form of proxy, so it is sent as it stands and nothing can be held against it: "
            "write it as `preview` shows one, or leave it if that is meant",
            is_warning=True,
        )
        return
    for each in proxy.objects:
        x1, y1, x2, y2 = each.corners
        if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
            yield Finding(
                file,
                line_with(seed.caps, f"{list(each.corners)}"),
                f"{each.category}: {list(each.corners)} is no box: x1 < x2 and y1 < y2, all from 0 to 1",
            )


def _check_reply(
    judge: Judge, response_type: ResponseType, seed: Seed, proxy: TextProxy | None
) -> Iterator[Finding]:
    file = f"{seed.name}_conv.txt"
    question = response_type.questions[0] if response_type.questions else None
    parsed = parse_reply(seed.conv, "stop", response_type.reply_form, question)
    if isinstance(parsed, Rejected):
        detail = f" ({parsed.detail})" if parsed.detail else ""
        line = line_with(seed.conv, parsed.detail) if parsed.detail else 1
        yield Finding(
            file,
            line,
            f"cannot be read as a reply of the form {response_type.reply_form!r}: {parsed.reason}{detail}: "
            "write it as docs/packs.md shows the form",
        )
        return
    known = evidence_of_proxy(proxy, judge) if proxy is not None else None
    judged = judge.turns(
        response_type.name, parsed.turns, lambda: known, question_is_drawn=question is not None
    )
    if judged.rejected is not None and not judged.checked:
        yield Finding(file, 1, f"{judged.rejected.reason}: {judged.rejected.detail}: {_OTHER_MEND}")
        return
    lines = list(_lines_of(seed.conv, parsed.turns))
    for number, (checked, place) in enumerate(zip(judged.checked, lines, strict=True), 1):
        for fault in checked.faults:
            line = place[fault.where == "answer"]
            mend = _MENDS.get(fault.reason, _OTHER_MEND)
            yield Finding(file, line, f"{fault.reason}: {fault.told(number)}: {mend}")
    yield from _check_lengths(file, response_type, parsed.turns, lines)
    if question is None:
        for number, (turn, place) in enumerate(zip(parsed.turns, lines, strict=True), 1):
            if _ASKS.match(turn.question) and "?" not in turn.question:
                yield Finding(file, place[0], f"question {number} has no question mark: add it")


def _check_lengths(
    file: str, response_type: ResponseType, turns: tuple[Turn, ...], lines: list[tuple[int, int]]
) -> Iterator[Finding]:
    if response_type.answer_words is None:
        return
    fewest, most = response_type.answer_words
    for number, (turn, place) in enumerate(zip(turns, lines, strict=True), 1):
        words = len(turn.answer.split())
        if not fewest <= words <= most:
            yield Finding(
                file,
                place[1],
                f"answer {number} has {words} words, and pack.toml wants {fewest} to {most} "
                f"([types.{response_type.name}] answer_words): change one or the other",
            )


def _lines_of(conv: str, turns: tuple[Turn, ...]) -> Iterator[tuple[int, int]]:
    """The lines on which each turn's question and answer begin."""
    line = 0
    for turn in turns:
        question = line_with(conv, turn.question.split("\n")[0], line)
        line = line_with(conv, turn.answer.split("\n")[0], line)
        yield question, line


def _repeated(response_type: ResponseType) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for seed in response_type.seeds:
        first = seen.setdefault(seed.conv, seed.name)
        if first != seed.name and PLACEHOLDER not in seed.conv:
            yield Finding(f"{seed.name}_conv.txt", 1, f"says the same as {first}_conv.txt: write another")
