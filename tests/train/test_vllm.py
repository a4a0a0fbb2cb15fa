"""vLLM, as its users start it, reads an export and says what transformers says.

Runs where VITKIT_VLLM names a `vllm` executable, in a virtual environment of its own: docs/serving.md has the
commands.
"""

from __future__ import annotations

import base64
import io
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from tests.train import factory
from tests.train.checkpoints import stage_config, write_checkpoint
from train.config import ModelConfig
from train.export import export
from train.tiny import write_tiny

VLLM = os.environ.get("VITKIT_VLLM", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not VLLM, reason="VITKIT_VLLM names no vllm executable; docs/serving.md says how to get one"
    ),
]
STARTS_IN_S = 600
NEW_TOKENS = 16


@contextmanager
def served(model: Path, log: Path) -> Iterator[OpenAI]:
    """`vllm serve MODEL` on a port of its own, ended with every process that it started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [VLLM, "serve", str(model), "--served-model-name", "ours", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--dtype", "float32", "--max-model-len", "1024", "--enforce-eager"]
    command += ["--mm-processor-kwargs", '{"backend": "pil"}']  # resizes as training does
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **settings}, start_new_session=True
        )
    try:
        deadline = time.monotonic() + STARTS_IN_S
        while not _healthy(port):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"vllm did not start: {log.read_text()[-3000:]}")
            time.sleep(1)
        yield OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", timeout=120, max_retries=0)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _data_url(image: Image.Image) -> str:
    png = io.BytesIO()
    image.save(png, "PNG")
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()


def _to_openai(messages: list[dict[str, Any]]) -> list[Any]:
    return [
        {
            **message,
            "content": [
                {"type": "image_url", "image_url": {"url": _data_url(item["image"])}}
                if item["type"] == "image"
                else item
                for item in message["content"]
            ],
        }
        for message in messages
    ]


def _text(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _conversations() -> dict[str, list[dict[str, Any]]]:
    question = {"type": "text", "text": "What is in the picture?"}
    shown = {"type": "image", "image": factory.picture(64, 64)}
    other = {"type": "image", "image": factory.picture(150, 60, seed=1)}
    first = {"role": "user", "content": [shown, question]}
    return {
        "an image": [first],
        "a wide image": [{"role": "user", "content": [other, question]}],
        "a later turn": [first, _text("assistant", "A dog."), _text("user", "What colour is it?")],
        "text alone": [_text("user", "How many legs has a dog?")],
        "two images": [{"role": "user", "content": [shown, other, question]}],
    }


def _transformers_answer(model: Any, processor: Any, messages: list[dict[str, Any]]) -> tuple[list[int], Any]:
    """Prompt ids, and the generation: greedy, with the scores of each token."""
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    generated = model.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return inputs["input_ids"][0].tolist(), generated


@pytest.mark.parametrize(
    ("tower", "settings", "projector"),
    [
        ("clip", {"language_model": "full"}, "mlp2x_gelu"),
        ("siglip", {"language_model": "lora"}, "linear"),
    ],
)
def test_vllm_answers_as_transformers_does(
    tmp_path: Path, tower: str, settings: dict[str, Any], projector: str
) -> None:
    language_model, vision_tower = write_tiny(tmp_path / "base", factory.TEXTS, seed=0)
    if tower == "siglip":
        vision_tower = factory.write_vision_tower(tmp_path / "siglip", "siglip", image_size=64, patch_size=16)
    config = ModelConfig.model_validate(
        {"language_model": str(language_model), "vision_tower": str(vision_tower), "projector": projector}
    )
    checkpoint = write_checkpoint(tmp_path / "run", config, stage_config(max_length=900, **settings))
    export(checkpoint, tmp_path / "out")
    model = LlavaForConditionalGeneration.from_pretrained(tmp_path / "out").eval()
    processor = AutoProcessor.from_pretrained(tmp_path / "out")

    with served(tmp_path / "out", tmp_path / "vllm.log") as client:
        for name, messages in _conversations().items():
            prompt_ids, expected = _transformers_answer(model, processor, messages)
            reply: Any = client.chat.completions.create(
                model="ours",
                messages=_to_openai(messages),
                temperature=0,
                max_tokens=NEW_TOKENS,
                logprobs=True,
                extra_body={"return_token_ids": True},
            )
            choice = reply.choices[0]
            assert reply.prompt_token_ids == prompt_ids, name
            ids = expected.sequences[0, len(prompt_ids) :].tolist()
            assert choice.token_ids == ids, name
            for position, token in enumerate(choice.logprobs.content):
                logprobs = expected.logits[position][0].float().log_softmax(-1)
                assert token.logprob == pytest.approx(float(logprobs[ids[position]]), abs=1e-3), name

        # The end token of training ends an answer here: made the likeliest, it is the first and last one.
        reply = client.chat.completions.create(
            model="ours",
            messages=_to_openai(_conversations()["an image"]),
            temperature=0,
            max_tokens=NEW_TOKENS,
            logit_bias={str(processor.tokenizer.eos_token_id): 100},
        )
        assert (reply.choices[0].finish_reason, reply.choices[0].message.content) == ("stop", "")
