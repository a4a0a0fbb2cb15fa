"""Conversation formats and labels: what the model reads, and which of it the model learns to say.

A *format* is a chat template, `formats/NAME.jinja`. The same file is exported with the checkpoint, so
what trains is what is served. `{% generation %}` in it marks what is supervised: an answer, with the
space that sets it off, and the token that ends it.

Trainers that tokenize a conversation piece by piece and add up the lengths go wrong silently, tokenizer
by tokenizer. Here the whole text is tokenized once, labels follow from character offsets, and
`audit_labels` reads the result back without them before anything trains.
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import jinja2
from jinja2.ext import Extension
from tokenizers import Tokenizer

from schemas.llava import IMAGE_TOKEN
from train.records import IGNORE_INDEX, Encoded, InputError, Unfit

FORMATS = Path(__file__).parent / "formats"

_SHORTEST_TEXT = 16
"""Positions that must be left for text beside one image."""


@dataclass(frozen=True)
class Format:
    """How a conversation is written down for a family of language models."""

    name: str
    template: str
    """The chat template: Jinja, as transformers and vLLM read it."""
    needs: tuple[str, ...]
    """Special tokens the tokenizer must already hold; `bos_token` and `eos_token` mean its own."""
    opening: str
    """What stands right before every answer's words; a space at its end is supervised with them."""
    ending: str
    """What closes every answer and is supervised with it; `eos_token` means the tokenizer's own."""


# `opening` and `ending` repeat what the templates say, on purpose: labels are checked against these.
_FORMATS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "plain": ((), "", "\n"),
    "vicuna_v1": (("eos_token",), " ASSISTANT: ", "eos_token"),
    "llama_2": (("bos_token", "eos_token"), " [/INST] ", " eos_token"),
    "llama_3": (
        ("bos_token", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|eot_id|>",
    ),
    "mistral": (("bos_token", "eos_token"), " [/INST] ", "eos_token"),
    "chatml": (("<|im_start|>", "<|im_end|>"), "<|im_start|>assistant\n", "<|im_end|>"),
}


def format_names() -> list[str]:
    """The formats there are."""
    return list(_FORMATS)


def get_format(name: str) -> Format:
    """The format of that name. Raises InputError naming the known ones."""
    if name not in _FORMATS:
        raise InputError(f"format {name!r}: no such conversation format; there are {', '.join(_FORMATS)}")
    needs, opening, ending = _FORMATS[name]
    template = (FORMATS / f"{name}.jinja").read_text(encoding="utf-8")
    return Format(name, template, needs, opening, ending)


def to_messages(turns: Sequence[str]) -> list[dict[str, Any]]:
    """Turns, human first, as chat messages with list content.

    A turn that shows one image has it moved to the front, as LLaVA's trainer does; with several they
    stay in order. Text is stripped of outer whitespace. Marks in answers are left as text.
    """
    messages: list[dict[str, Any]] = []
    for position, turn in enumerate(turns):
        if position % 2:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.strip()}]})
            continue
        pieces = turn.split(IMAGE_TOKEN)
        if len(pieces) == 2:
            pieces = ["", " ".join(filter(None, (piece.strip() for piece in pieces)))]
        content: list[dict[str, str]] = []
        for number, piece in enumerate(pieces):
            if number:
                content.append({"type": "image"})
                piece = piece.lstrip()  # an image brings its own newline
            if number == len(pieces) - 1:
                piece = piece.rstrip()
            if piece:
                content.append({"type": "text", "text": piece if number else piece.lstrip()})
        messages.append({"role": "user", "content": content})
    return messages


class _Generated(str):
    """A block of rendered text that `{% generation %}` marks."""


class _Generation(Extension):
    """The tag, which plain Jinja does not have."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's own declaration)

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Callable[[], str]) -> str:
        return _Generated(caller())


@lru_cache
def _compile(template: str) -> jinja2.Template:
    """A template of ours, without the sandbox that transformers runs strangers' in: four times as fast."""

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation])
    environment.globals["raise_exception"] = refuse
    return environment.from_string(template)


class Encoder:
    """Turns into token ids and labels, in one format, for one tokenizer.

    Raises InputError for a tokenizer, format or length that cannot work together, in one line.
    """

    def __init__(
        self, tokenizer: Any, format: Format, *, image_token_id: int, features_per_image: int, max_length: int
    ) -> None:
        self.tokenizer = tokenizer
        self.format = format
        self.image_token_id = image_token_id
        self.features_per_image = features_per_image
        self.max_length = max_length
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"{_name(tokenizer)}: not a fast tokenizer, so it does not say which characters a token "
                "stands for; convert it to a tokenizer.json"
            )
        missing = _missing(tokenizer, format)
        if missing:
            others = [name for name in _FORMATS if not _missing(tokenizer, get_format(name))]
            raise InputError(
                f"format {format.name!r} needs special tokens that {_name(tokenizer)} does not have: "
                f"{', '.join(missing)}; formats that would do: {', '.join(others)}"
            )
        if _special_id(tokenizer, IMAGE_TOKEN) != image_token_id:
            raise InputError(
                f"{_name(tokenizer)}: {IMAGE_TOKEN} is not one special token with id {image_token_id}; "
                "add it as a special token"
            )
        if max_length < features_per_image + _SHORTEST_TEXT:
            raise InputError(
                f"max_length {max_length} holds no sample: one image alone takes {features_per_image} "
                f"positions; give at least {features_per_image + _SHORTEST_TEXT}"
            )
        self.special_tokens: dict[int, str] = {
            index: token.content for index, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        self.ending = format.ending.replace("eos_token", tokenizer.eos_token or "")
        """What closes every answer, as text."""
        self.end_token_id: int | None = _special_id(tokenizer, self.ending.strip())
        """The token that closes every answer, for generation to stop at; None in `plain`."""
        marks = "|".join(map(re.escape, sorted(self.special_tokens.values(), key=len, reverse=True)))
        self._split = re.compile(f"({marks})")
        self._names = tokenizer.special_tokens_map
        self._backend, self._unknown_id = _bare(tokenizer.backend_tokenizer)
        # A unigram model reads the text <0x0A> as the byte it has that name for, which is a newline.
        reads_bytes = self._backend.token_to_id("<0x0A>") in self._backend.encode("<0x0A>").ids
        self._control = re.compile(marks + "|<0x[0-9A-F]{2}>" * reads_bytes)
        self._anchor: list[int] = self._backend.encode(".", add_special_tokens=False).ids
        self._anchor_text: str = tokenizer.backend_tokenizer.decode(self._anchor, skip_special_tokens=False)

    def render(
        self, messages: list[dict[str, Any]], *, add_generation_prompt: bool = False
    ) -> tuple[str, list[tuple[int, int]]]:
        """The text of a conversation, and the spans of it that are supervised (start, end in characters)."""
        blocks = _compile(self.format.template).generate(
            messages=messages, add_generation_prompt=add_generation_prompt, **self._names
        )
        text, spans = "", []
        for block in blocks:
            if isinstance(block, _Generated):
                spans.append((len(text), len(text) + len(block)))
            text += block
        return text, spans

    def decode(self, ids: list[int]) -> str:
        """The text of ordinary tokens as they stand after others: first, they might lose a space."""
        text: str = self.tokenizer.backend_tokenizer.decode(self._anchor + ids, skip_special_tokens=False)
        return text[len(self._anchor_text) :]

    def split_special(self, text: str) -> list[str]:
        """A text cut at its special tokens: text, special token, text and so on."""
        return self._split.split(text)

    def encode(self, turns: Sequence[str]) -> Encoded:
        """Encode a conversation of turns, human first.

        One too long loses whole questions with their answers from its end, and is then the same as if it
        had never had them.

        Raises Unfit: turns_out_of_order, several_answers (`plain` holds one), empty_question,
        empty_answer, image_mark_in_answer, special_token_in_text, invalid_unicode, unknown_token,
        straddling_token, too_long.
        """
        self._check_turns(turns)
        kept = len(turns)
        while True:
            ids, spans = self._tokenize(turns[:kept])
            n_images = sum(turn.count(IMAGE_TOKEN) for turn in turns[:kept:2])
            length = len(ids) + n_images * (self.features_per_image - 1)
            if length <= self.max_length:
                break
            fitting = self._fitting(ids, spans)
            if fitting == 0 or kept == 2:
                raise Unfit(
                    "too_long",
                    f"the first question and answer take more positions than max_length {self.max_length}",
                )
            kept = min(2 * fitting, kept - 2)
        labels = [IGNORE_INDEX] * len(ids)
        for start, end in spans:
            labels[start:end] = ids[start:end]
        if n_images:
            ids, labels = self._expand(ids, labels)
        return Encoded(ids, labels, n_images, len(turns) - kept)

    def _check_turns(self, turns: Sequence[str]) -> None:
        if not turns or len(turns) % 2:
            raise Unfit("turns_out_of_order", f"{len(turns)} turns: every question needs its answer")
        if self.format.name == "plain" and len(turns) > 2:
            raise Unfit(
                "several_answers", f"{len(turns) // 2} answers, but the plain format holds one caption"
            )
        for position, turn in enumerate(turns):
            if position % 2:
                if IMAGE_TOKEN in turn:
                    raise Unfit("image_mark_in_answer", f"turn {position} has {IMAGE_TOKEN} in an answer")
                if not turn.strip():
                    raise Unfit("empty_answer", f"turn {position} says nothing")
            elif self.format.name == "plain":  # drops what is asked
                continue
            elif not turn.strip():
                raise Unfit("empty_question", f"turn {position} says nothing and shows no image")
            else:
                turn = turn.replace(IMAGE_TOKEN, "\n")
            found = self._control.search(turn)
            if found:
                raise Unfit(
                    "special_token_in_text",
                    f"turn {position} holds {found.group()!r}, which the tokenizer reads as a control token",
                )

    def _tokenize(self, turns: Sequence[str]) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids, each image still one token, and the spans of them that are supervised."""
        text, spans = self.render(to_messages(turns))
        try:
            encoding = self._backend.encode(text, add_special_tokens=False)
        except (UnicodeEncodeError, TypeError):
            # A careless \\ud83d in JSON gives half of a surrogate pair.
            detail = "a turn holds half of a surrogate pair, which is no text"
            raise Unfit("invalid_unicode", detail) from None
        ids: list[int] = encoding.ids
        if self._unknown_id is not None and self._unknown_id in ids:
            at = encoding.offsets[ids.index(self._unknown_id)]
            raise Unfit("unknown_token", f"the tokenizer has no token for {text[at[0] : at[1]]!r}")
        offsets: list[tuple[int, int]] = encoding.offsets
        return ids, [_token_span(text, offsets, span) for span in spans]

    def _fitting(self, ids: list[int], spans: list[tuple[int, int]]) -> int:
        """How many answers end within max_length."""
        length, done = 0, 0
        for number, (_, end) in enumerate(spans):
            images = ids[done:end].count(self.image_token_id)
            length += end - done + images * (self.features_per_image - 1)
            done = end
            if length > self.max_length:
                return number
        return len(spans)

    def _expand(self, ids: list[int], labels: list[int]) -> tuple[list[int], list[int]]:
        """Give each image as many positions as it has features."""
        image = [self.image_token_id] * self.features_per_image
        ignored = [IGNORE_INDEX] * self.features_per_image
        long_ids: list[int] = []
        long_labels: list[int] = []
        done = 0
        for at in [at for at, token in enumerate(ids) if token == self.image_token_id]:
            long_ids += ids[done:at] + image
            long_labels += labels[done:at] + ignored
            done = at + 1
        return long_ids + ids[done:], long_labels + labels[done:]


PROBES: tuple[tuple[str, ...], ...] = (
    ("<image>\nWhat is this?", "A red bus."),
    ("What is this?\n<image>", "Yes"),
    ("Just text, no image.", "No."),
    ("<image>\nHow many?", "3", "And now?", "12,345.67", "Sure?", "100%", "Why?", "Because.", "Ok", "Ok"),
    ("<image>", "..."),
    ("Punctuation only?", "?!"),
    ("<image>\nSay it.", "  leading and trailing \n"),
    ("Two\n\nparagraphs?\n", "First.\n\nSecond.\n\n\nThird\tone."),
    ("Double  spaces   here", "kept  as   they are"),
    ("def f(x):\n    return x", "def f(x):\n    if x:\n        return  x + 1\n\treturn 0"),
    ("<image>\nUSER: is this a USER: mark?", "ASSISTANT: no, USER: it is text"),
    ("### Human: user\nassistant", "system\nassistant\nuser"),
    (
        "What does it show? <image>",
        "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 and \U0001f1eb\U0001f1f7",
    ),
    ("\u56fe\u7247\u91cc\u6709\u4ec0\u4e48\uff1f<image>", "\u4e00\u53ea\u732b\u3002\u30cd\u30b3"),
    ("\u05de\u05d4 \u05d6\u05d4?", "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd"),
    ("Combining: e\u0301 a\u030a", "cafe\u0301 n\u0303o \u0915\u094d\u0937\u093f"),
    ("\u00bfQu\u00e9?", "\u00c9l s\u00ed; \u00fcber \u2014 \u201cna\u00efve\u201d"),
    ("A, B or C?", "B"),
    ("B", "B", "B", "B"),
    ("<image>\nAnswer with a letter.", "(a)", "Again.", "a", "Again.", "-1"),
    ("Compare <image> and <image>.", "The first is larger."),
)
"""Conversations chosen to trip tokenizers: an encoder whose labels are right on all of these is trusted."""


def check_labels(encoder: Encoder, turns: Sequence[str], encoded: Encoded) -> str | None:
    """What is wrong with one encoded sample, in one sentence; None when it is right.

    It knows nothing of how labels were made: it decodes the tokens and follows them along the text.
    What may differ from the text is a space put where a text or what follows a special token starts,
    canonical composition (NFC), and SentencePiece's mark for a space.
    """
    ids, labels = encoded.input_ids, encoded.labels
    kept = len(turns) - encoded.dropped_turns
    if len(ids) != len(labels):
        return f"{len(ids)} tokens have {len(labels)} labels"
    if len(ids) > encoder.max_length:
        return f"{len(ids)} tokens are more than max_length {encoder.max_length}"
    if kept % 2 or not 2 <= kept <= len(turns):
        return f"{kept} of {len(turns)} turns are kept, which are no questions with answers"
    supervised = [label != IGNORE_INDEX for label in labels]
    if list(compress(ids, supervised)) != list(compress(labels, supervised)):
        return "a label differs from its token"
    problem = _check_images(encoder, turns[:kept], encoded, supervised)
    if problem:
        return problem

    runs = _runs(supervised)
    answers = [turn.strip() for turn in turns[1:kept:2]]
    if len(runs) != len(answers):
        return f"{len(runs)} stretches are supervised, for {len(answers)} answers"
    messages = to_messages(turns[:kept])
    text = encoder.render(messages)[0]
    parts = encoder.split_special(text)
    parts[::2] = map(_normal, parts[::2])
    text = "".join(parts)
    opening = encoder.format.opening.rstrip(" ")
    space = encoder.format.opening[len(opening) :]
    at = done = 0
    for number, ((start, end), answer) in enumerate(zip(runs, answers, strict=True)):
        before = _follow(encoder, ids[done:start], text, at)
        after = None if before is None else _follow(encoder, ids[start:end], text, before)
        if before is None or after is None:
            return f"tokens up to answer {number} do not read as the text they were made of"
        wanted = space + _normal(answer) + encoder.ending
        if text[before:after] != wanted:
            return f"answer {number} is {wanted!r}, but {text[before:after]!r} is supervised"
        if not text[:before].endswith(opening):
            came = text[:before][-20:]
            return f"answer {number} is supervised where {came!r} comes before, not {opening!r}"
        asked = [item["text"].strip() for item in messages[2 * number]["content"] if item["type"] == "text"]
        if opening and any(_normal(words) not in text[at:before] for words in asked):
            return f"question {number} does not stand before its answer"
        if encoder.end_token_id is not None and ids[end - 1] != encoder.end_token_id:
            return f"answer {number} does not end with the token {encoder.ending!r}"
        at, done = after, end
    if _follow(encoder, ids[done:], text, at) != len(text):
        return "tokens after the last answer do not read as the text they were made of"
    return None


def audit_labels(encoder: Encoder, conversations: Iterable[Sequence[str]] = PROBES) -> None:
    """Audit an encoder before anything trains: its labels, and that what is asked in use is what trained.

    Beside `check_labels` on every conversation, the tokenizer's own `apply_chat_template` must give the
    same ids, and for each answer the prompt to generate it must be exactly the tokens that come before it.

    Conversations that hold characters the tokenizer has no token for, or that are too long, are passed
    over: so are such samples. Raises InputError naming the first problem.
    """
    where = f"format {encoder.format.name!r} with {_name(encoder.tokenizer)}"
    audited = 0
    for turns in conversations:
        if encoder.format.name == "plain":
            turns = turns[:2]
        try:
            encoded = encoder.encode(turns)
            problem = check_labels(encoder, turns, encoded) or _check_prompts(encoder, turns, encoded)
        except Unfit as unfit:
            if unfit.reason in ("unknown_token", "too_long"):
                continue
            problem = str(unfit)
        if problem:
            raise InputError(
                f"{where}: labels would be wrong: {problem} (conversation {list(turns)!r}); "
                "take another format or tokenizer"
            )
        audited += 1
    if not audited:
        raise InputError(
            f"{where}: not one of the conversations that test labels can be encoded in max_length "
            f"{encoder.max_length}; raise it, or take another tokenizer"
        )


def _check_images(
    encoder: Encoder, turns: Sequence[str], encoded: Encoded, supervised: list[bool]
) -> str | None:
    shown = sum(turn.count(IMAGE_TOKEN) for turn in turns[::2])
    if encoded.n_images != shown:
        return f"{encoded.n_images} images are counted where the turns show {shown}"
    is_image = [token == encoder.image_token_id for token in encoded.input_ids]
    wanted = shown * encoder.features_per_image
    if sum(is_image) != wanted:
        return (
            f"{sum(is_image)} image tokens stand for {shown} images of {encoder.features_per_image} features"
        )
    if any((end - start) % encoder.features_per_image for start, end in _runs(is_image)):
        return "an image's tokens do not stand together"
    if any(compress(supervised, is_image)):
        return "an image token is supervised"
    return None


def _check_prompts(encoder: Encoder, turns: Sequence[str], encoded: Encoded) -> str | None:
    """Whether tokens are those of the tokenizer's own chat template, whole and up to each answer."""

    def tokens(upto: int, *, ask: bool) -> list[int]:
        return list(
            encoder.tokenizer.apply_chat_template(
                messages[:upto],
                chat_template=encoder.format.template,
                add_generation_prompt=ask,
                tokenize=True,
                return_dict=True,
            )["input_ids"]
        )

    messages = to_messages(turns[: len(turns) - encoded.dropped_turns])
    if tokens(len(messages), ask=False) != _collapse(encoder, encoded.input_ids):
        return "the tokenizer's apply_chat_template gives other tokens"
    for number, (start, _) in enumerate(_runs([label != IGNORE_INDEX for label in encoded.labels])):
        if tokens(2 * number + 1, ask=True) != _collapse(encoder, encoded.input_ids[:start]):
            return f"the prompt for answer {number} has other tokens than those it was trained after"
    return None


def _collapse(encoder: Encoder, ids: Sequence[int]) -> list[int]:
    """The tokens with one for each image."""
    if encoder.image_token_id not in ids:
        return list(ids)
    collapsed: list[int] = []
    at = 0
    while at < len(ids):
        collapsed.append(ids[at])
        at += encoder.features_per_image if ids[at] == encoder.image_token_id else 1
    return collapsed


def _follow(encoder: Encoder, ids: Sequence[int], text: str, at: int) -> int | None:
    """Read tokens along the text from a position: the position after them, or None where they differ."""
    special = encoder.special_tokens
    for is_special, group in groupby(_collapse(encoder, ids), special.__contains__):
        tokens = list(group)
        pieces = [special[token] for token in tokens] if is_special else [_normal(encoder.decode(tokens))]
        for piece in pieces:
            # Where a text starts, SentencePiece may put a space of its own.
            if not is_special and piece.startswith(" ") and not text.startswith(piece, at):
                piece = piece[1:]
            if not text.startswith(piece, at):
                return None
            at += len(piece)
    return at


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """The stretches of True: start, and the position after the end."""
    runs, at = [], 0
    for flag, group in groupby(flags):
        start, at = at, at + len(list(group))
        if flag:
            runs.append((start, at))
    return runs


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).replace("\u2581", " ")


def _token_span(text: str, offsets: list[tuple[int, int]], span: tuple[int, int]) -> tuple[int, int]:
    """The tokens of a span of characters. A token of no width belongs to the character after it."""
    edges = []
    for edge in span:
        at = bisect_left(offsets, edge, key=itemgetter(0))
        before = max((end for _, end in offsets[max(at - 4, 0) : at]), default=0)
        if before > edge:
            start = next(start for start, end in offsets[max(at - 4, 0) : at] if end > edge)
            raise Unfit(
                "straddling_token",
                f"one token, {text[start:before]!r}, is part of an answer and part of what surrounds it",
            )
        edges.append(at)
    return edges[0], edges[1]


def _bare(backend: Any) -> tuple[Any, int | None]:
    """A copy that does nothing but tokenize, and the id of its unknown token.

    No padding, no truncation; no post-processor either, because a byte-level one may trim the spaces from
    offsets. The id is read from the model: a tokenizer's `unk_token` may be just a name for another one.
    """
    parts = json.loads(backend.to_str())
    parts.update(padding=None, truncation=None, post_processor=None)
    bare = Tokenizer.from_str(json.dumps(parts))
    unknown = parts["model"].get("unk_token")
    return bare, parts["model"].get("unk_id") if unknown is None else bare.token_to_id(unknown)


def _special_id(tokenizer: Any, token: str) -> int | None:
    """The id of a token that the tokenizer holds as a special one, and finds as one in text."""
    for index, added in tokenizer.added_tokens_decoder.items():
        if added.content == token and added.special:
            return index if tokenizer.encode(token, add_special_tokens=False) == [index] else None
    return None


def _missing(tokenizer: Any, format: Format) -> list[str]:
    missing = []
    for need in format.needs:
        token = getattr(tokenizer, need) if need in ("bos_token", "eos_token") else need
        if token is None or _special_id(tokenizer, token) is None:
            missing.append(need)
    return missing


def _name(tokenizer: Any) -> str:
    return f"the tokenizer {getattr(tokenizer, 'name_or_path', '') or type(tokenizer).__name__}"
