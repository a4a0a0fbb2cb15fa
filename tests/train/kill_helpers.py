"""A stage of training on a tiny LLaVA, in this process or in one that can be killed.

`python -m tests.train.kill_helpers` imports torch and transformers once and forks a process for every
job it reads, so a run costs its own second or two and not the six of the imports.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from tests.train import factory
from train import checkpoint, distributed
from train.collate import Collator
from train.config import ModelConfig, Recipe, StageConfig, StageName
from train.conversation import Encoder, get_format
from train.dataset import DataFile, InstructionData, prepare, read_samples
from train.images import ImageStore
from train.logs import quiet
from train.model import build_model, features_per_image, image_size, load_processor
from train.stages import PartCount, set_trainable
from train.trainer import StageResult, StageTrainer, StopRequest, train_stage
from train.zero import own_part

# What is compared bit for bit is computed in one order; and two threads on a busy machine are slow.
torch.set_num_threads(1)

FILES = ("chats.json", "captions.json")
WEIGHTS = (1.0, 0.5)
"""18 samples an epoch: with 4 a step, every epoch ends in a step of 2."""


def write_files(root: Path) -> None:
    """Two data files, their images, a language model and a vision tower."""
    for number in range(6):
        factory.picture(20 + number, 20, seed=number).save(root / f"{number}.png")
    chats = [_record(number, f"conversation-{number:012}") for number in range(12)]
    captions = [_record(number, f"detail-{number:012}") for number in range(12)]
    for name, records in zip(FILES, (chats, captions), strict=True):
        (root / name).write_text(json.dumps(records), encoding="utf-8")
    factory.write_language_model(root / "language_model")
    factory.write_vision_tower(root / "vision_tower")


def _record(number: int, name: str) -> dict[str, Any]:
    mark = "" if number % 4 == 3 else "<image>\n"
    turns = [
        {"from": "human", "value": f"{mark}What stands at place {number}?"},
        {"from": "gpt", "value": " ".join(["A horse"] + [f"and {i} dogs" for i in range(number % 5)])},
    ]
    return {"id": name, "conversations": turns} | ({"image": f"{number % 6}.png"} if mark else {})


def make_recipe(root: Path, stages: dict[str, dict[str, Any]], **settings: Any) -> Recipe:
    """A recipe with the stages named, each a StageConfig with these keys changed."""
    model = ModelConfig(language_model=str(root / "language_model"), vision_tower=str(root / "vision_tower"))
    tables: Any = {
        name: StageConfig.model_validate(STAGES[name].model_dump() | changes)
        for name, changes in stages.items()
    }
    return Recipe(description="a test", model=model, **({"workers": 0} | settings), **tables)


_COMMON: dict[str, Any] = {
    "learning_rate": 1e-2,
    "epochs": 3,
    "global_batch_size": 4,
    "micro_batch_size": 2,
    "max_length": 256,
    "warmup_ratio": 0.1,
    "precision": "fp32",
    "gradient_checkpointing": False,
    "save_steps": 4,
}
STAGES = {
    "align": StageConfig(format="plain", image_aspect_ratio="square", language_model="frozen", **_COMMON),
    "finetune": StageConfig(format="vicuna_v1", **_COMMON),
}


@dataclass
class Ready:
    """All that `train_stage` takes."""

    name: StageName
    stage: StageConfig
    model: Any
    processor: Any
    data: InstructionData
    collator: Collator
    recipe: Recipe
    data_files: list[DataFile]
    parts: list[PartCount]

    def train(self, out: Path, stop: StopRequest | None = None) -> StageResult:
        return train_stage(
            self.name,
            self.stage,
            model=self.model,
            data=self.data,
            collator=self.collator,
            out=out,
            recipe=self.recipe,
            data_files=self.data_files,
            parts=self.parts,
            stop=stop,
        )


def get_ready(
    root: Path,
    name: StageName = "finetune",
    *,
    files: Any = None,
    recipe_settings: Any = None,
    **changes: Any,
) -> Ready:
    """Compose model and data as the pipeline does, from what `write_files` wrote."""
    recipe = make_recipe(root, {name: changes}, **(recipe_settings or {}))
    stage = dict(recipe.stages())[name]
    conversation_format = get_format(stage.format)
    processor = load_processor(recipe.model, stage.image_aspect_ratio, conversation_format.template)
    encoder = Encoder(
        processor.tokenizer,
        conversation_format,
        image_token_id=processor.image_token_id,
        features_per_image=features_per_image(processor),
        max_length=stage.max_length,
    )
    data_files = files or [DataFile(root / file, weight) for file, weight in zip(FILES, WEIGHTS, strict=True)]
    samples, malformed = read_samples(data_files, name)
    store = ImageStore(root)
    prepared, left_out = prepare(samples, encoder, store, name, needs_images=name == "align")
    assert malformed == [] and {item.reason for item in left_out} <= {"text_only"}
    model = build_model(
        recipe.model,
        processor,
        precision=stage.precision,
        quantization=stage.quantization,
        seed=recipe.seed,
    )
    parts = set_trainable(model, stage, recipe.model.projector)
    data = InstructionData(prepared, encoder, store, processor.image_processor)
    collator = Collator(processor.tokenizer.pad_token_id, image_size(processor), stage)
    return Ready(name, stage, model, processor, data, collator, recipe, data_files, parts)


def curve(out: Path) -> list[dict[str, Any]]:
    """The lines of log.jsonl without what a clock says."""
    lines = (out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    clock = ("seconds", "seconds_left", "time", "tokens_per_second", "memory_gb", "mfu")
    return [{key: value for key, value in json.loads(line).items() if key not in clock} for line in lines]


# Processes to kill


@dataclass
class Process:
    """A job that runs in a process of its own."""

    pid: int
    _server: Server

    def wait_for(self, happens: Callable[[], bool]) -> bool:
        """Until it happens (True) or the process has ended (False)."""
        while not happens():
            if self._server.poll(self.pid) is not None:
                return happens()
            time.sleep(0.0005)
        return True

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def exit_code(self) -> int:
        """Waits. Minus the signal's number where one ended it."""
        while (code := self._server.poll(self.pid)) is None:
            time.sleep(0.002)
        return code


class Server:
    """The process that forks one for every job."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.train.kill_helpers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
            env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )

    def start(
        self,
        root: Path,
        out: Path,
        name: str,
        *,
        die_at_sync: int = 0,
        largest_file: int = 0,
        spoil_in_process: int | None = None,
        environment: dict[str, str] | None = None,
        **changes: Any,
    ) -> Process:
        """Train a stage, or `align+finetune`; what it prints is added to OUT.txt.

        `align:zero2+finetune` has DeepSpeed in the first stage alone.

        `die_at_sync` kills the process as it is about to sync that file of its checkpoints, counted from
        1; `largest_file` is the size in bytes at which a write fails; `spoil_in_process` changes a weight
        that is frozen before the first checkpoint, in that process alone.
        """
        job = {
            "root": str(root),
            "out": str(out),
            "name": name,
            "changes": changes,
            "die_at_sync": die_at_sync,
            "largest_file": largest_file,
            "spoil_in_process": spoil_in_process,
            "environment": environment or {},
        }
        return Process(int(self._ask({"start": job})), self)

    def start_together(self, count: int, root: Path, out: Path, name: str, **how: Any) -> list[Process]:
        """Train a stage in so many processes at once, as torchrun starts them."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        place |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        return [
            self.start(root, out, name, environment=place | {"RANK": str(n), "LOCAL_RANK": str(n)}, **how)
            for n in range(count)
        ]

    def poll(self, pid: int) -> int | None:
        return cast("int | None", self._ask({"poll": pid}))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def server() -> Iterator[Server]:
    running = Server()
    try:
        yield running
    finally:
        running.close()


def _serve() -> None:
    ended: dict[int, int] = {}
    for line in sys.stdin:
        question = json.loads(line)
        if "start" in question:
            answer: int | None = os.fork()
            if not answer:
                _run(question["start"])
        else:
            pid = question["poll"]
            if pid not in ended:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    ended[pid] = os.waitstatus_to_exitcode(status)
            answer = ended.get(pid)
        print(json.dumps(answer), flush=True)


def _run(job: dict[str, Any]) -> None:
    """In the forked process: the whole job, as `python -m train` would; never returns."""
    log = os.open(f"{job['out']}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    if job["die_at_sync"]:
        _die_at_sync(job["die_at_sync"])
    if job["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest_file"], job["largest_file"]))
    code = 1
    os.environ.update(job["environment"])
    if job["spoil_in_process"] == distributed.process():
        _spoil()
    quiet()
    try:
        distributed.start()
        with StopRequest() as stop:
            for part in job["name"].split("+"):
                name, _, deepspeed = part.partition(":")
                changes = job["changes"] | ({"deepspeed": deepspeed} if deepspeed else {})
                ready = get_ready(Path(job["root"]), name, **changes)
                result = ready.train(Path(job["out"]), stop)
        code = 130 if result.interrupted else 0
        distributed.finish()
    except BaseException as error:  # a forked process must not go back into the server's loop
        print(f"{type(error).__name__}: {error}", flush=True)
    os._exit(code)


def _spoil() -> None:
    save = StageTrainer._save_checkpoint

    def spoil_and_save(self: Any, *args: Any) -> None:
        with torch.no_grad():
            own_part(self.model.lm_head.weight).view(-1)[3] += 1e-6
        save(self, *args)

    StageTrainer._save_checkpoint = spoil_and_save  # type: ignore[method-assign,assignment]


def _die_at_sync(number: int) -> None:
    counted = iter(range(1, number))
    sync = checkpoint._sync

    def sync_or_die(path: Path) -> None:
        if next(counted, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(path)

    checkpoint._sync = sync_or_die


def run_processes(count: int, root: Path, out: Path, **changes: Any) -> None:
    """Train the finetune stage in so many processes at once, as torchrun starts them, to its end."""
    job = json.dumps([str(root), str(out), changes])
    program = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    subprocess.run(
        [sys.executable, *program, "-m", "tests.train.kill_helpers", job],
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        check=True,
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        root, out, changes = json.loads(sys.argv[1])
        quiet()
        distributed.start()
        get_ready(Path(root), **changes).train(Path(out))
        distributed.finish()
    else:
        _serve()
