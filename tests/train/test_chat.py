"""Talking to a model: what it is shown, what it answers, how a conversation ends."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.train import factory
from tests.train.checkpoints import stage_config, tiny_checkpoint, write_checkpoint
from train import chat as chatting
from train.chat import Opened, chat, converse, open_checkpoint, open_image, reply, user_message
from train.export import export
from train.records import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with a checkpoint and its export."""
    folder = tmp_path_factory.mktemp("chat") / "run"
    export(tiny_checkpoint(folder, "llama_3"), folder / "model")
    return folder


@pytest.fixture(scope="module")
def opened(run: Path) -> Opened:
    return open_checkpoint(run / "model")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    factory.picture(40, 30).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def typed(*lines: str, end: type[BaseException] = EOFError) -> Callable[[str], str]:
    """What `input` gives when these lines are typed, and then Ctrl-D, or Ctrl-C."""
    waiting = iter(lines)

    def read(prompt: str) -> str:
        line = next(waiting, None)
        if line is None:
            raise end
        return line

    return read


def _answer(opened: Opened, messages: list[dict[str, Any]], count: int) -> str:
    """Greedy decoding spelled out: the whole conversation again for every token, without a cache."""
    processor, model = opened.processor, opened.model
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    ids = inputs["input_ids"]
    start = ids.shape[1]
    for _ in range(count):
        with torch.no_grad():
            logits = model(input_ids=ids, pixel_values=inputs["pixel_values"], use_cache=False).logits
        best = logits[0, -1].argmax()
        if best in model.generation_config.eos_token_id:
            break
        ids = torch.cat([ids, best[None, None]], dim=1)
    return str(processor.decode(ids[0, start:], skip_special_tokens=True)).lstrip()


def test_the_answer_is_greedy_and_streams_as_it_comes(opened: Opened) -> None:
    messages = [user_message("What is this?", factory.picture(40, 30))]
    pieces: list[str] = []

    answer = reply(opened, messages, max_new_tokens=12, show=pieces.append)

    assert answer == _answer(opened, messages, 12)
    assert "".join(pieces) == answer
    assert len(pieces) > 3


@pytest.mark.parametrize("which", ["model", "finetune/checkpoint-7", "."])
def test_an_export_a_checkpoint_and_a_runs_folder_answer_the_same(
    run: Path, opened: Opened, which: str
) -> None:
    messages = [user_message("What is this?", factory.picture(40, 30))]
    expected = reply(opened, messages, max_new_tokens=8, show=lambda text: None)

    assert reply(open_checkpoint(run / which), messages, max_new_tokens=8, show=lambda text: None) == expected


def test_a_checkpoint_of_adapters_in_bf16_answers_as_its_export_does(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "run", "qwen2", language_model="lora", precision="bf16")
    export(checkpoint, tmp_path / "out")
    messages = [user_message("What is this?", factory.picture(40, 30))]
    answers = [
        reply(open_checkpoint(path), messages, max_new_tokens=8, show=lambda text: None)
        for path in (checkpoint, tmp_path / "out")
    ]
    assert answers[0] == answers[1] != ""


def test_later_turns_see_the_earlier_ones_and_the_image_stays_in_the_first(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = factory.picture(40, 30)
    seen: list[list[dict[str, Any]]] = []
    answers = iter(["A dog.", "Brown."])

    def note(opened: Opened, messages: list[dict[str, Any]], **more: Any) -> str:
        seen.append(list(messages))
        return next(answers)

    monkeypatch.setattr(chatting, "reply", note)
    converse(
        opened, picture, None, 5, read=typed("What is it?", "", "   ", "Its colour?"), show=lambda text: None
    )

    def text(role: str, words: str) -> dict[str, Any]:
        return {"role": role, "content": [{"type": "text", "text": words}]}

    first = {
        "role": "user",
        "content": [{"type": "image", "image": picture}, {"type": "text", "text": "What is it?"}],
    }
    assert seen == [[first], [first, text("assistant", "A dog."), text("user", "Its colour?")]]


@pytest.mark.parametrize(
    "last", [typed("One?"), typed("One?", "/quit", "Two?"), typed("One?", end=KeyboardInterrupt)]
)
def test_quit_the_end_of_input_and_ctrl_c_end_it(opened: Opened, last: Callable[[str], str]) -> None:
    shown: list[str] = []
    converse(opened, factory.picture(40, 30), None, 3, read=last, show=shown.append)
    assert "".join(shown) == _answer(opened, [user_message("One?", factory.picture(40, 30))], 3) + "\n"


def test_one_question_on_the_command_line_is_answered_to_the_terminal(
    run: Path, opened: Opened, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chat(run, image, "What is this?", 6)
    expected = _answer(opened, [user_message("What is this?", Image.open(image))], 6)
    assert capsys.readouterr().out == expected + "\n"


def test_a_character_of_several_tokens_is_shown_whole() -> None:
    class Bytes:
        def decode(self, ids: list[int], **_: Any) -> str:
            return bytes(ids).decode(errors="replace")

    shown: list[str] = []
    streamer = chatting._Pieces(Bytes(), shown.append)
    streamer.put(torch.tensor([[1, 2, 3]]))
    for byte in "a é🐕!".encode():
        streamer.put(torch.tensor([byte]))
    streamer.end()
    assert [piece for piece in shown if piece] == ["a", " ", "é", "🐕", "!"]


def test_a_conversation_that_fills_the_context_is_told_so(opened: Opened) -> None:
    messages = [user_message("What " * 600, factory.picture(40, 30))]
    with pytest.raises(
        InputError, match=r"the conversation is [\d,]+ positions long, and the model takes 512"
    ):
        reply(opened, messages, max_new_tokens=5, show=lambda text: None)


def test_an_answer_stops_at_the_end_of_the_context(opened: Opened) -> None:
    question = "What "
    while len(opened.processor.tokenizer(question)["input_ids"]) < 480:
        question += "dog "
    messages = [user_message(question, factory.picture(40, 30))]
    lengths: list[int] = []
    generate = opened.model.generate

    def note(**more: Any) -> Any:
        lengths.append(more["max_new_tokens"] + more["input_ids"].shape[1])
        return generate(**more)

    opened.model.generate = note
    try:
        reply(opened, messages, max_new_tokens=500, show=lambda text: None)
    finally:
        del opened.model.generate
    assert lengths == [512]


def test_a_second_question_to_a_captioning_model_is_one_line(tmp_path: Path) -> None:
    stage = stage_config(format="plain", language_model="frozen")
    checkpoint = write_checkpoint(tmp_path / "run", factory.model_config("llama_3"), stage, "align")
    opened = open_checkpoint(checkpoint)
    with pytest.raises(InputError, match="the plain format takes one user and one assistant message"):
        converse(opened, factory.picture(9, 9), None, 3, read=typed("a", "b"), show=lambda text: None)


def test_a_question_that_holds_an_image_mark_is_asked_again(opened: Opened) -> None:
    shown: list[str] = []
    picture = factory.picture(9, 9)
    converse(opened, picture, None, 3, read=typed("a <image> b", "caf\udce9?"), show=shown.append)
    said = "a question cannot hold <image>: it is what stands for the image"
    assert shown[0] == f"{said}\n"
    assert shown[-1] == "\n" and len(shown) > 2
    with pytest.raises(InputError) as caught:
        converse(opened, picture, "a <image> b", 3, show=shown.append)
    assert str(caught.value) == said


def test_an_image_is_read_as_training_reads_it(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("I;16", (4, 4), 40_000).save(tmp_path / "deep.png")
    assert open_image(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255), "transparent is white"
    assert open_image(tmp_path / "deep.png").mode == "RGB"


def _broken(folder: Path) -> Iterator[tuple[str, Path]]:
    (folder / "notes.txt").write_text("no image")
    factory.picture(60, 60).save(folder / "whole.png")
    (folder / "torn.png").write_bytes((folder / "whole.png").read_bytes()[:600])
    yield "gone.png: no such image", folder / "gone.png"
    yield "notes.txt: is no image of a known format", folder / "notes.txt"
    yield "torn.png: cannot be decoded", folder / "torn.png"
    yield "no such image", folder


def test_what_is_no_image_is_one_line(tmp_path: Path) -> None:
    for message, path in _broken(tmp_path):
        with pytest.raises(InputError, match=message) as caught:
            open_image(path)
        assert "\n" not in str(caught.value)


def test_what_is_no_model_is_one_line(tmp_path: Path, run: Path, image: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "config.json").write_text("{")
    shutil.copytree(run / "model", tmp_path / "cut")
    with (tmp_path / "cut" / "model.safetensors").open("r+b") as weights:
        weights.truncate(1000)
    factory.write_language_model(tmp_path / "llama")
    for name, message in (
        ("gone", "gone: no such folder"),
        ("empty", "empty: is no exported model"),
        ("checkpoint-3", "checkpoint-3/record.json: cannot be read"),
        ("torn", "torn: cannot be loaded"),
        ("cut", "cut: cannot be loaded"),
        ("llama", "llama: is a llama model, not a LLaVA"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            chat(tmp_path / name, image, "What is this?", 3)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="--prompt is empty"):
        chat(run, image, " ", 3)
