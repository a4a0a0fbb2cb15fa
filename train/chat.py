"""Ask a trained model about an image, in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoConfig, AutoProcessor, LlavaForConditionalGeneration
from transformers.generation.streamers import BaseStreamer

from schemas.llava import IMAGE_TOKEN
from train.export import cast, export_dtype, merge_lora, rebuild
from train.images import read_image
from train.records import InputError, Unfit

Message = dict[str, Any]
"""A message of a chat template: role, and content as a list of items."""


@dataclass(frozen=True)
class Opened:
    """A model to talk to."""

    model: Any
    processor: Any

    @property
    def context(self) -> int:
        """How many positions prompt and answer may take together."""
        return int(self.model.config.text_config.max_position_embeddings)


def open_checkpoint(path: Path) -> Opened:
    """Open an exported folder, the folder of a run (its `model/`), or a `checkpoint-N` of one.

    On a GPU where there is one, in bfloat16; else on the CPU, in the precision it was saved in.
    Raises InputError when `path` is none of them.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; name an exported model, a checkpoint-N, or a run's folder")
    if _is_model(path / "model"):
        path = path / "model"
    if _is_model(path):
        try:
            kind = AutoConfig.from_pretrained(path).model_type
            if kind != "llava":  # it would load, with random weights and a warning
                raise InputError(f"{path}: is a {kind} model, not a LLaVA")
            model = LlavaForConditionalGeneration.from_pretrained(path)
            processor = AutoProcessor.from_pretrained(path, backend="pil")
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be loaded ({_one_line(error)})") from error
    elif path.name.startswith("checkpoint-"):
        trained = rebuild(path)
        model, processor = trained.model, trained.processor
        merge_lora(model)
        cast(model, export_dtype(trained.stage))
    else:
        raise InputError(
            f"{path}: is no exported model, no checkpoint-N, and no run's folder with model/ in it"
        )
    if torch.cuda.is_available():
        cast(model, torch.bfloat16)
        model.to("cuda")
    return Opened(model.eval(), processor)


def open_image(path: Path) -> Image.Image:
    """The image as training reads it, RGB. Raises InputError when there is none."""
    if not path.is_file():
        raise InputError(f"{path}: no such image")
    try:
        return read_image(path)
    except Unfit as error:
        raise InputError(error.detail) from None


def user_message(text: str, image: Image.Image | None = None) -> Message:
    """A user's turn; the image, where there is one, comes first as it does in training."""
    items: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if image is not None:
        items.insert(0, {"type": "image", "image": image})
    return {"role": "user", "content": items}


def reply(
    opened: Opened, messages: list[Message], *, max_new_tokens: int, show: Callable[[str], None]
) -> str:
    """Answer the last message greedily; pieces of text go to `show` as they come. Returns the whole answer.

    Raises InputError when the conversation leaves no room for an answer.
    """
    model, processor = opened.model, opened.processor
    try:
        inputs = processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
    except TemplateError as error:  # such as a second question to a model that only captions
        raise InputError(str(error)) from None
    length = inputs["input_ids"].shape[1]
    room = opened.context - length
    if room < 1:
        raise InputError(
            f"the conversation is {length:,} positions long, and the model takes {opened.context:,}; "
            "start a new one"
        )
    streamer = _Pieces(processor.tokenizer, show)
    with torch.inference_mode():
        model.generate(
            **inputs.to(model.device, model.dtype),
            max_new_tokens=min(max_new_tokens, room),
            do_sample=False,
            streamer=streamer,
        )
    return streamer.text


def converse(
    opened: Opened,
    image: Image.Image,
    prompt: str | None,
    max_new_tokens: int,
    *,
    read: Callable[[str], str] | None = None,
    show: Callable[[str], None] | None = None,
) -> None:
    """Answer `prompt`, or without one every line that `read` gives, until /quit or the end of input.

    The image belongs to the first turn. A line that holds `<image>` is refused and asked again. Ctrl-C at
    the prompt ends the conversation too. Raises InputError as `reply` does.
    """
    read, show = read or _typed, show or _to_terminal
    messages: list[Message] = []
    for text in [prompt] if prompt is not None else _lines(read):
        # Bytes of a terminal or a pipe that are no UTF-8 reach Python as half surrogates.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if IMAGE_TOKEN in text:
            refusal = f"a question cannot hold {IMAGE_TOKEN}: it is what stands for the image"
            if prompt is not None:
                raise InputError(refusal)
            show(f"{refusal}\n")
            continue
        messages.append(user_message(text, None if messages else image))
        answer = reply(opened, messages, max_new_tokens=max_new_tokens, show=show)
        show("\n")
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})


def chat(checkpoint: Path, image: Path, prompt: str | None, max_new_tokens: int) -> None:
    """Open `checkpoint` and `image`, and converse in the terminal. Raises InputError for either."""
    if prompt is not None and not prompt.strip():
        raise InputError("--prompt is empty; leave it out to type questions")
    picture = open_image(image)  # first: a wrong path shows before a large model has loaded
    converse(open_checkpoint(checkpoint), picture, prompt, max_new_tokens)


class _Pieces(BaseStreamer):
    """Hands on an answer's text as its tokens come, in whole characters."""

    def __init__(self, tokenizer: Any, show: Callable[[str], None]) -> None:
        self._tokenizer = tokenizer
        self._show = show
        self._ids: list[int] = []
        self._prompt = True
        self._shown = 0

    def put(self, value: torch.Tensor) -> None:
        if self._prompt:  # generate() streams the prompt first
            self._prompt = False
            return
        self._ids.extend(value.flatten().tolist())
        text = self.text
        if not text.endswith("\ufffd"):  # the first bytes of a character
            self._show_up_to(text)

    def end(self) -> None:
        self._show_up_to(self.text)

    @property
    def text(self) -> str:
        """The answer so far. Decoded whole each time: how a token reads depends on those before it."""
        return self._tokenizer.decode(
            self._ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        ).lstrip()

    def _show_up_to(self, text: str) -> None:
        self._show(text[self._shown :])
        self._shown = len(text)


def _lines(read: Callable[[str], str]) -> Iterator[str]:
    while True:
        try:
            text = read("> ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if text == "/quit":
            return
        if text:
            yield text


def _typed(prompt: str) -> str:
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        _to_terminal("\n")  # what comes next starts on a line of its own
        raise


def _to_terminal(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
