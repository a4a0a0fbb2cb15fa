"""Is it a whole turn, fit for LLaVA's format?"""

from __future__ import annotations

import re

from datagen.checks.faults import Fault
from datagen.records import Turn

_IMAGE_TOKEN = re.compile(r"<\s*image\s*>", re.IGNORECASE)
_SEPARATOR = re.compile(r"^[ \t]*={3,}", re.MULTILINE)
_BLOCK_MARKER = re.compile(
    r"^[ \t#*_>-]*(?:question|answer)[ \t#*_]*\d*[ \t*_]*:", re.IGNORECASE | re.MULTILINE
)
_PROXY_TAG = re.compile(r"<\s*/?\s*(?:captions|objects)\b", re.IGNORECASE)
_CHAT_TOKEN = re.compile(r"<\|[\w-]+\|>|</?s>|\[/?INST\]|<</?SYS>>|</?think(?:ing)?>")
# A long answer that ends inside a sentence was cut off, whatever the endpoint said.
_UNFINISHED_AFTER_WORDS = 12
_ENDS_INSIDE = re.compile(r"[\w,;:(\[{\-–—/&+]\Z")


def check_format(turn: Turn) -> Fault | None:
    """Text on both sides, nothing of the reply's scaffolding left in it, not cut off.

    `<image>` is written by emission, so one in the text would corrupt the sample in every trainer.
    """
    if reason := _wrong_with(turn.question):
        return Fault(reason, reason, "question", "")
    if reason := _wrong_with(turn.answer):
        return Fault(reason, reason, "answer", "")
    if _ENDS_INSIDE.search(turn.answer) and len(turn.answer.split()) >= _UNFINISHED_AFTER_WORDS:
        return Fault("cut_off", "cut_off", "answer", "ends inside a sentence")
    return None


def _wrong_with(text: str) -> str | None:
    if not any(map(str.isalnum, text)):
        return "empty_turn"
    if "<" in text or "[" in text:
        if _IMAGE_TOKEN.search(text):
            return "image_token_in_text"
        if _PROXY_TAG.search(text):
            return "leftover_tag"
        if _CHAT_TOKEN.search(text):
            return "chat_token_in_text"
    if "===" in text and _SEPARATOR.search(text):
        return "leftover_separator"
    if ":" in text and _BLOCK_MARKER.search(text):
        return "leftover_marker"
    return None
