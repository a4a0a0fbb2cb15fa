"""Raw reply to turns, or the reason why not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from datagen.records import Rejected, ReplyForm, Turn

# `Question:` or `Answer:` at the start of a line, as models decorate it: **Question 2:**, ### Answer:
_MARKER = re.compile(r"[\s#*_>-]*(question|answer)[\s#*_]*\d*[\s*_]*:[*_]*[ \t]*", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*={3,}\s*")
# Some servers leave a reasoning model's thoughts in front of its reply.
_THINKING = re.compile(r"\A\s*<think(ing)?>.*?</think(ing)?>\s*", re.DOTALL | re.IGNORECASE)
_CODE_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The turns of a reply, and the last one apart where it was cut off."""

    turns: tuple[Turn, ...]
    cut_off: Turn | None = None


def reply_text(body: str, is_chat_completion: bool) -> tuple[str, str] | Rejected:
    """The text and the finish reason of a raw reply.

    A chat completion's body is the endpoint's JSON; anything else is the text itself.
    """
    if not is_chat_completion:
        return body, "stop"
    try:
        reply = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Rejected("parsing", "body_not_json", str(error))
    choices = reply.get("choices") if isinstance(reply, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return Rejected("parsing", "no_choices", "the endpoint answered without a message")
    finish_reason = str(choice.get("finish_reason") or "stop")
    if finish_reason == "content_filter":
        return Rejected("parsing", "content_filter", "the endpoint's content filter stopped the reply")
    content = message.get("content")
    if isinstance(content, str):
        content = _THINKING.sub("", content)
    if not isinstance(content, str):
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal:
            return Rejected("parsing", "refused", refusal)
        return Rejected("parsing", "no_content", "the message has no text")
    return content, finish_reason


def parse_reply(text: str, finish_reason: str, form: ReplyForm, question: str | None) -> Parsed | Rejected:
    """Read a reply in the pack's form. `question` is the one an answer alone stands under.

    A reply that hit its token limit loses its last turn, which cannot be whole.
    """
    if not text.strip():
        return Rejected("parsing", "empty_reply")
    cut_off = finish_reason == "length"
    if form == "answer":
        assert question is not None
        if cut_off:
            return Rejected("parsing", "cut_off", "the reply hit its token limit")
        if any(_MARKER.match(line) for line in text.split("\n")):
            return Rejected("parsing", "unexpected_pairs", "an answer alone was asked for")
        return Parsed((Turn(question, text.strip()),))
    # Where an endpoint takes no JSON Schema, a model may well reply in the text form it has seen more of.
    if form == "json" and not any(_MARKER.match(line) for line in text.split("\n")):
        if cut_off:
            return Rejected("parsing", "cut_off", "the reply hit its token limit")
        return _parse_json(text)
    return _parse_pairs(text, cut_off)


def as_json(turns: Sequence[Turn]) -> str:
    """Turns in the `json` form."""
    return msgspec.json.encode({"turns": [turn._asdict() for turn in turns]}).decode()


def _parse_pairs(text: str, cut_off: bool) -> Parsed | Rejected:
    blocks: list[tuple[str, list[str]]] = []
    inside = False
    for line in text.strip().split("\n"):
        marker = _MARKER.match(line)
        if marker:
            blocks.append((marker[1].lower(), [line[marker.end() :]]))
            inside = True
        elif _SEPARATOR.fullmatch(line):
            inside = False
        elif inside:
            blocks[-1][1].append(line)
        elif line.strip():
            return Rejected("parsing", "text_outside_pairs", line.strip()[:200])
    if not blocks:
        return Rejected("parsing", "no_pairs")

    for position, (kind, _) in enumerate(blocks):
        expected = ("question", "answer")[position % 2]
        if kind != expected:
            name = "starts_with_answer" if position == 0 else f"two_{kind}s_in_a_row"
            return Rejected("parsing", name, f"block {position + 1}")
    texts = ["\n".join(lines).strip() for _, lines in blocks]
    if cut_off:
        # The last block is not whole; with an even number its question is, but has no use alone.
        whole = (len(texts) - 1) // 2 * 2
        last = Turn(texts[whole], texts[whole + 1] if whole + 1 < len(texts) else "")
        if not whole:
            return Rejected("parsing", "cut_off", "the reply hit its token limit")
        texts = texts[:whole]
    elif len(texts) % 2:
        return Rejected("parsing", "unanswered_question", texts[-1][:200])
    for position, block in enumerate(texts):
        if not block:
            return Rejected("parsing", f"empty_{blocks[position][0]}", f"block {position + 1}")
    turns = tuple(Turn(q, a) for q, a in zip(texts[::2], texts[1::2], strict=True))
    return Parsed(turns, last if cut_off else None)


def _parse_json(text: str) -> Parsed | Rejected:
    fenced = _CODE_FENCE.search(text)
    try:
        value: Any = msgspec.json.decode(fenced[1] if fenced else text.strip())
    except (msgspec.DecodeError, RecursionError) as error:
        return Rejected("parsing", "not_json", str(error))
    turns = value.get("turns") if isinstance(value, dict) else None
    if not isinstance(turns, list) or not turns:
        return Rejected("parsing", "no_turns", "a JSON object with a list `turns` was asked for")
    parsed = []
    for number, turn in enumerate(turns, 1):
        if not isinstance(turn, dict):
            return Rejected("parsing", "turn_not_an_object", f"turn {number}")
        question, answer = turn.get("question"), turn.get("answer")
        if not isinstance(question, str) or not question.strip():
            return Rejected("parsing", "empty_question", f"turn {number}")
        if not isinstance(answer, str) or not answer.strip():
            return Rejected("parsing", "empty_answer", f"turn {number}")
        parsed.append(Turn(question.strip(), answer.strip()))
    return Parsed(tuple(parsed))
