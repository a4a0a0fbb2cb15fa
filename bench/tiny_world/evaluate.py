"""Ask an exported model about held-out images of the tiny world, and read its answers by rule."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from draw import COLOURS, NUMBERS, SIZE, World, file_name
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

SUBJECTS = ("counting", "colour", "side")
_CLEAR = 1 / 3
"""Of the width: so near to a side a thing's centre is that it is on it."""

# In the words of the programs of datagen that ask so: prompts/coco/phrasings, counting, content and position.
WORDINGS = {
    "counting": (
        "How many {thing}s are in the image?",
        "How many {thing}s can be seen in the image?",
        "What is the number of {thing}s in this image?",
        "Can you count the {thing}s in this image?",
    ),
    "colour": (
        "What color is the {thing}?",
        "What color is the {thing} in the image?",
        "What is the color of the {thing} in this image?",
        "Can you tell me what color the {thing} is?",
    ),
    "side": (
        "Is the {thing} on the left or on the right of the image?",
        "Is the {thing} located on the left or the right of the image?",
        "Can the {thing} be seen on the left or on the right of the image?",
        "Would you say that the {thing} is on the left or on the right of the image?",
    ),
}


@dataclass(frozen=True)
class Question:
    """A question about an image with the one answer that is right."""

    subject: str
    """One of SUBJECTS."""
    thing: str
    image: int
    """Id of the image."""
    text: str
    answer: str


def ask(shown: Sequence[World], each: int, chance: random.Random) -> list[Question]:
    """So many questions of each subject about the images with ids from 1, every answer about as often.

    Counting asks about kinds that are there two to four times (datagen seldom asks how many where there is
    one); colour and side about what there is one of, side only where it is clear.
    """
    questions = []
    for subject in SUBJECTS:
        by_answer: dict[str, list[Question]] = {}
        for image, world in enumerate(shown, 1):
            for kind in world.counts():
                answer = _truth(subject, world, kind)
                if answer is not None:
                    text = chance.choice(WORDINGS[subject]).format(thing=kind)
                    by_answer.setdefault(answer, []).append(Question(subject, kind, image, text, answer))
        share, more = divmod(each, len(by_answer))
        for index, answer in enumerate(sorted(by_answer)):
            questions += chance.sample(by_answer[answer], share + (index < more))
    return questions


def _truth(subject: str, world: World, kind: str) -> str | None:
    things = world.of(kind)
    if subject == "counting":
        return NUMBERS[len(things)] if len(things) > 1 else None
    if len(things) != 1:
        return None
    if subject == "colour":
        return things[0].colour
    middle = (things[0].box[0] + things[0].box[2]) / 2 / SIZE
    return "left" if middle < _CLEAR else "right" if middle > 1 - _CLEAR else None


def shuffled(questions: Sequence[Question], chance: random.Random) -> list[Question]:
    """The same questions, each with the image of another one of the same subject and thing.

    So what a question takes for granted, that there is such a thing, holds of the other image too, and
    its answers are as even: all that is lost is what this image shows.
    """
    moved = list(questions)
    groups: dict[tuple[str, str], list[int]] = {}
    for index, question in enumerate(questions):
        groups.setdefault((question.subject, question.thing), []).append(index)
    for group in groups.values():
        order = chance.sample(group, len(group))
        for taker, giver in zip(order, [*order[1:], order[0]], strict=True):
            moved[taker] = replace(questions[taker], image=questions[giver].image)
    return moved


def read_answer(question: Question, said: str) -> str | None:
    """What an answer says, as a number up to four, a colour or a side; None where it says none.

    A number counts if it stands before the thing that was asked about; of colours and sides the first does.
    """
    words = re.findall(r"[a-z]+|\d+", said.lower())
    if question.subject == "counting":
        named = {question.thing, f"{question.thing}s"}
        for index, word in enumerate(words):
            if word in named:
                for before in reversed(words[max(0, index - 2) : index]):
                    if before in _NUMBER_WORDS:
                        return _NUMBER_WORDS[before]
        return None
    known = COLOURS if question.subject == "colour" else ("left", "right")
    return next((word for word in words if word in known), None)


_NUMBER_WORDS = {
    **{word: word for word in NUMBERS},
    **{str(number): word for number, word in enumerate(NUMBERS)},
    **dict.fromkeys(("a", "an", "single"), "one"),
}


def answer_all(model_folder: Path, images: Path, questions: Sequence[Question], batch: int = 50) -> list[str]:
    """The model's greedy answers, by plain transformers."""
    processor = AutoProcessor.from_pretrained(model_folder, backend="pil")
    model = LlavaForConditionalGeneration.from_pretrained(model_folder).eval()
    answers: list[str] = []
    for start in range(0, len(questions), batch):
        asked = questions[start : start + batch]
        prompts = [_prompt(processor, question.text) for question in asked]
        pixels = [Image.open(images / file_name(question.image)) for question in asked]
        # The template writes the start token itself.
        inputs = processor(
            text=prompts,
            images=pixels,
            return_tensors="pt",
            text_kwargs={"padding": True, "padding_side": "left", "add_special_tokens": False},
        )
        with torch.inference_mode():
            written = model.generate(**inputs, max_new_tokens=40, do_sample=False)
        new = written[:, inputs["input_ids"].shape[1] :]
        answers += [text.strip() for text in processor.batch_decode(new, skip_special_tokens=True)]
    return answers


def _prompt(processor: Any, text: str) -> str:
    content = [{"type": "image"}, {"type": "text", "text": text}]
    prompt: str = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    return prompt
