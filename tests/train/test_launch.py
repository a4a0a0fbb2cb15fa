"""One run as several processes: started, stopped and failing, on one machine and on stand-ins for several."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.train import factory
from tests.train.test_pipeline import ANSWERS, ROOT, World, log
from train import distributed
from train.launch import __main__ as launch
from train.launch.hosts import Host, read_hosts
from train.records import InputError

SLURM = ROOT / "train" / "launch" / "slurm.sh"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def command(world: World, options: Sequence[str], *overrides: str) -> list[str]:
    return [
        *(sys.executable, "-m", "train.launch", *options, "run", "--recipe", str(world.recipe)),
        *("--out", str(world.out), "--data", str(world.data), "--align-data", str(world.align_data)),
        *("--images", str(world.images), *overrides),
    ]


def start(
    world: World, options: Sequence[str], *overrides: str, path: Path | None = None, **variables: str
) -> Any:
    env = os.environ | variables | ({"PATH": f"{path}:{os.environ['PATH']}"} if path else {})
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command(world, options, *overrides), cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True
    )


def curve(out: Path) -> list[tuple[str, int, Any, Any, int, int]]:
    keys = ("stage", "step", "loss", "grad_norm", "samples", "tokens")
    return [tuple(line[key] for key in keys) for line in log(out)]


def stand_in(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/bash\n{script}")
    path.chmod(0o755)
    return path


def hub_cache(folder: Path, factor: float) -> Path:
    """As huggingface_hub keeps what it has downloaded: a tower `own/tower`, its weights times `factor`."""
    model = folder / "models--own--tower"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("0" * 40)
    snapshot = model / "snapshots" / ("0" * 40)
    shutil.copytree(factory.vision_tower("clip"), snapshot)
    weights = load_file(snapshot / "model.safetensors")
    scaled = {name: weight * factor for name, weight in weights.items()}
    save_file(scaled, snapshot / "model.safetensors", metadata={"format": "pt"})
    return folder


def free_port() -> str:
    with socket.create_server(("localhost", 0)) as server:
        return str(server.getsockname()[1])


def wait_until(happens: Callable[[], bool], process: Any) -> None:
    while not happens() and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None


# Whole runs


def test_a_hostfile_s_machines_make_one_run_that_learns_what_one_process_does(world: World) -> None:
    path = world.folder / "bin"
    # Each host of the file has its process here: `ssh -o … -o … HOST COMMAND`.
    stand_in(path, "ssh", f'echo "$5" >> {world.folder}/asked\nexec sh -c "$6"\n')
    hosts = world.write("hosts.txt", "localhost slots=1\n# the second\n127.0.0.1 slots=1\n")
    options = ["--nodes", str(hosts), "--master-port", free_port()]
    running = start(world, options, path=path)
    said, errors = running.communicate()
    assert (running.returncode, errors) == (0, "")
    assert sorted((world.folder / "asked").read_text().split()) == ["127.0.0.1", "localhost"]
    assert said.count("Done. The model is in") == 1
    assert "2 samples a step on 2 processes (DDP)" in said
    assert (
        json.loads((world.out / "model" / "proof.json").read_text())["checkpoint"] == "finetune/checkpoint-2"
    )
    together = curve(world.out)
    shutil.rmtree(world.out)
    assert world.run()
    assert [line[:2] + line[4:] for line in together] == [line[:2] + line[4:] for line in curve(world.out)]
    for ours, alone in zip(together, curve(world.out), strict=True):
        assert ours[2:4] == pytest.approx(alone[2:4], rel=1e-4)


def test_an_error_is_one_line_whatever_the_number_of_processes(world: World) -> None:
    running = start(world, ["--gpus", "2"], "finetune.global_batch_size=3")
    _, errors = running.communicate()
    assert (running.returncode, errors) == (
        2,
        "error: finetune.global_batch_size 3 is no multiple of the 2 processes: change one of them\n",
    )


@pytest.mark.slow
@pytest.mark.parametrize("who", ["launcher", "one process"])
def test_a_signal_stops_all_processes_at_one_step_and_the_same_command_goes_on(
    world: World, who: str
) -> None:
    longer = ("finetune.max_steps=40", "finetune.epochs=40", "workers=1")
    running = start(world, ["--gpus", "2"], *longer)
    wait_until(lambda: any(line["stage"] == "finetune" for line in log(world.out)), running)
    pid = running.pid
    if who == "one process":
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
        pid = int(children[-1])
    os.kill(pid, signal.SIGTERM)
    said, _ = running.communicate()
    steps = [line["step"] for line in log(world.out) if line["stage"] == "finetune"]
    checkpoint = world.out / "finetune" / f"checkpoint-{steps[-1]}"
    assert running.returncode == 130
    assert said.endswith(f"Stopped in finetune; kept in {checkpoint}. The same command continues.\n")
    assert checkpoint.is_dir()
    again = start(world, ["--gpus", "2"], *longer)
    again.communicate()
    assert again.returncode == 0
    assert [line["step"] for line in log(world.out) if line["stage"] == "finetune"] == list(range(1, 41))


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_and_is_named(world: World) -> None:
    running = start(world, ["--gpus", "2"], "finetune.max_steps=2000", "finetune.epochs=2000")
    wait_until(lambda: any(line["stage"] == "finetune" for line in log(world.out)), running)
    children = subprocess.run(["pgrep", "-P", str(running.pid)], capture_output=True, text=True).stdout
    os.kill(int(children.split()[-1]), signal.SIGKILL)
    _, errors = running.communicate()
    assert running.returncode == 128 + signal.SIGKILL
    assert errors.endswith(
        f"error: process 1, on {socket.gethostname()}, was ended by SIGKILL: this machine's memory may be "
        "full\n"
    )


FAILING = """
import os, train.trainer
from train.__main__ import main
from train.records import InputError

class Failing(train.trainer.StageTrainer):
    def training_step(self, *inputs):
        if os.environ["RANK"] == "1" and self.state.global_step == 1:
            raise ERROR
        return super().training_step(*inputs)

train.trainer.StageTrainer = Failing
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("InputError('its GPU is full')", 2, "error: its GPU is full\n"),
        ("ValueError('a bug')", 1, "ValueError: a bug\n"),
    ],
)
def test_an_error_of_one_process_is_said_once_and_ends_all(
    world: World, error: str, status: int, said: str
) -> None:
    world.write("failing.py", FAILING.replace("ERROR", error))
    launcher = world.write(
        "launcher.py",
        "import sys\nfrom train.launch.__main__ import _torchrun\n"
        "where = ['--rdzv-backend', 'c10d', '--rdzv-endpoint', 'localhost:0', '--nproc-per-node', '2']\n"
        "sys.exit(_torchrun([*where, '--module', 'failing', *sys.argv[1:]]))\n",
    )
    options = command(world, [])[3:]
    done = subprocess.run(
        [sys.executable, str(launcher), *options],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{world.folder}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == status
    # The last word may be of the main process, which the launch asks to stop.
    assert said in (done.stderr, *(done.stderr.splitlines(keepends=True)))
    assert done.stderr.count("rror: ") == 1


@pytest.mark.slow
@pytest.mark.parametrize("differs", ["out", "data", "model"])
def test_nodes_that_do_not_share_folder_data_or_model_are_refused(world: World, differs: str) -> None:
    port = free_port()
    launches = []
    for rank in ("0", "1"):
        options = ["--nodes", "2", "--node-rank", rank, "--master-addr", "localhost", "--master-port", port]
        cache = hub_cache(world.folder / f"cache-{rank}", 1.5 if (differs, rank) == ("model", "1") else 1)
        launches.append(
            start(world, [*options, "--gpus", "1"], "model.vision_tower=own/tower", HF_HUB_CACHE=str(cache))
        )
        # The second node's.
        if differs == "out":
            world.out = world.folder / "elsewhere"
        elif differs == "data":
            world.data = world.write("others.json", ANSWERS[:2])
    errors = [launch.communicate()[1] for launch in launches]
    assert [launch.returncode for launch in launches] == [2, 2]
    said = {
        "out": f"--out {world.folder}/elsewhere: process 1, on {platform.node()}, does not see what the main "
        "one wrote there; several nodes need a folder on a file system that they share",
        "data": f"{world.folder}/answers.json: process 1 has another file there; give every node the same",
        "model": "process 1 read another language model or vision tower than process 0 (other weights, or "
        "other tokens); give every node the same",
    }
    assert "".join(errors) == f"error: {said[differs]}\n"


@pytest.mark.slow
@pytest.mark.parametrize("zero", ["zero2", "zero3"])
def test_under_deepspeed_the_whole_road_is_that_of_one_process(world: World, zero: str) -> None:
    shared = (f"align.deepspeed={zero}", f"finetune.deepspeed={zero}", "finetune.max_steps=4")
    longer = "finetune.epochs=4"
    running = start(world, ["--gpus", "2"], *shared, longer)
    said, errors = running.communicate()
    assert (running.returncode, errors) == (0, "")
    assert f"2 samples a step on 2 processes ({zero})" in said
    together = curve(world.out)
    shutil.rmtree(world.out)
    assert world.run("finetune.max_steps=4", longer)
    for ours, alone in zip(together, curve(world.out), strict=True):
        assert ours[2:4] == pytest.approx(alone[2:4], rel=1e-4)


# Launching


def test_one_process_is_launched_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Sequence[str]] = []

    def run_alone(command: Sequence[str]) -> int:
        given.append(command)
        return 0

    monkeypatch.setattr(launch, "_run_alone", run_alone)
    assert launch.main(["--gpus", "1", "run", "--recipe", "smoke", "workers=0"]) == 0
    assert given == [["run", "--recipe", "smoke", "workers=0"]]


def test_as_many_processes_are_launched_as_there_are_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def torchrun(arguments: list[str]) -> int:
        given.append(arguments)
        return 0

    monkeypatch.setattr(launch, "_torchrun", torchrun)
    monkeypatch.setattr(launch, "_gpus", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(96))
    for name in ("OMP_NUM_THREADS", "TORCH_CPP_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    nodes = ["--nodes", "2", "--node-rank", "1", "--master-addr", "localhost"]
    assert launch.main([*nodes, "run", "--recipe", "smoke", "--out", "o"]) == 0
    assert given == [
        [
            *("--nnodes", "2", "--node-rank", "1", "--master-addr", "localhost"),
            *("--master-port", "29500"),
            *(
                "--nproc-per-node",
                "8",
                "--shutdown-timeout",
                "600",
                "--module",
                "train",
                "run",
                "--recipe",
                "smoke",
                "--out",
                "o",
            ),
        ]
    ]
    assert os.environ["OMP_NUM_THREADS"] == "12"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--nodes", "2"], "--master-addr (MASTER_ADDR of make) is missing: name the node with rank 0"),
        (
            ["--nodes", "2", "--node-rank", "2", "--master-addr", "a"],
            "--node-rank 2: of 2 nodes, ranks are 0 to 1",
        ),
        (
            ["--nodes", "0"],
            "--nodes 0: give how many there are, or a hostfile",
        ),
        (["--nodes", " 2 "], "--master-addr (MASTER_ADDR of make) is missing: name the node with rank 0"),
        (["--nodes", ""], "--nodes is empty: give how many there are, or a hostfile"),
        (
            ["--nodes", "gone.txt"],
            "--nodes gone.txt: cannot be read (No such file or directory); give a number, or a hostfile",
        ),
    ],
)
def test_a_launch_that_cannot_be_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch.main([*options, "run"]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("statuses", "status", "said"),
    [
        # One says its error, and torchrun ends the others.
        ({0: 2, 1: -signal.SIGTERM, 2: -signal.SIGKILL}, 2, ""),
        ({0: 1, 1: -signal.SIGTERM}, 1, ""),
        ({0: 130, 1: 130, 2: -signal.SIGTERM}, 130, ""),
        # One is killed; another, by gloo, notices.
        (
            {0: 1, 1: -signal.SIGKILL, 2: -signal.SIGTERM},
            137,
            "process 1, on HOST, was ended by SIGKILL: this machine's memory may be full",
        ),
        # By NCCL nobody does, and torchrun kills them all.
        (
            {0: -signal.SIGKILL, 1: -signal.SIGKILL},
            137,
            "processes 0, 1, on HOST, were ended by SIGKILL: this machine's memory may be full",
        ),
        ({0: -signal.SIGTERM, 1: -signal.SIGSEGV}, 139, "process 1, on HOST, was ended by SIGSEGV"),
        ({0: -signal.SIGTERM}, 143, "process 0, on HOST, was ended by SIGTERM"),
    ],
)
def test_what_ended_first_is_the_status_and_is_to_blame(
    statuses: dict[int, int], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch._status(statuses) == status
    line = said.replace("HOST", socket.gethostname())
    assert capsys.readouterr().err == (f"error: {line}\n" if line else "")


def test_a_wrong_option_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        launch.main(["--gpus", "2", "run", "--recipie", "smoke"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("No such option: --recipie") == 1


def test_what_is_no_run_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    alone: list[list[str]] = []

    def run_alone(command: list[str]) -> int:
        alone.append(command)
        return 0

    monkeypatch.setattr(launch, "_run_alone", run_alone)
    assert launch.main(["--gpus", "2", "export", "out/x"]) == 0
    assert alone == [["export", "out/x"]]


def test_without_ssh_there_is_no_hostfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hosts.txt").write_text("a\nb\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch.main(["--nodes", "hosts.txt", "run"]) == 2
    said = "error: --nodes hosts.txt: there is no ssh on this machine to reach them by\n"
    assert capsys.readouterr().err == said


def test_a_number_of_processes_without_their_ranks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="WORLD_SIZE is 2 in the environment, but RANK"):
        distributed.start()


def test_a_master_that_nobody_knows_is_refused_before_it_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(*_: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert (
        launch.main(["--nodes", "2", "--master-addr", "gone", "run", "--recipe", "smoke", "--out", "o"]) == 2
    )
    assert capsys.readouterr() == (
        "",
        "error: --master-addr gone: not known here (Name or service not known)\n",
    )


def test_a_hostfile_names_hosts_and_their_slots(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("# all of them\nnode-1 slots=8\n\nuser@10.0.0.2   slots=4  # half\nplain\n")
    assert read_hosts(path) == [Host("node-1", 8), Host("user@10.0.0.2", 4), Host("plain", None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": names no host; write one a line: name slots=8"),
        ("a\nb slots=0\n", ":2: 'b slots=0' is no host; write: name slots=8"),
        ("-oProxyCommand=x\n", ":1: '-oProxyCommand=x' is no host; write: name slots=8"),
        ("a slots=4\na slots=4\n", ":2: a is named twice; write it once, with all its slots"),
    ],
)
def test_a_hostfile_that_is_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "hosts"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_hosts(path)
    assert str(caught.value) == f"{path}{message}"


# Slurm, as far as it goes without one


class Slurm:
    """What the script is given by Slurm: `srun` of two nodes, `scontrol`, and a job's environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "bin"
        stand_in(
            path,
            "srun",
            'shift\nfor id in 0 1; do SLURM_NODEID=$id "$@" & done\nwait -n\nstatus=$?\nwait\nexit $status\n',
        )
        stand_in(path, "scancel", 'echo "$@" >> scancel.log\nkill -TERM $(cat running.*)\n')
        stand_in(
            path, "scontrol", 'echo "$@" >> scontrol.log\n[ "$1" = show ] && printf "a1\\na2\\n"\nexit 0\n'
        )
        self.env = os.environ | {
            "PATH": f"{path}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "40017",
            "SLURM_JOB_NODELIST": "a[1-2]",
            "SLURM_JOB_NUM_NODES": "2",
        }

    def start(self, python: str) -> subprocess.Popen[bytes]:
        """`python` is a script in place of the interpreter."""
        program = stand_in(self.folder, "python", python)
        options = ["--recipe", "llava-1.5-7b", "--out", "a folder"]
        return subprocess.Popen(
            ["bash", str(SLURM), *options], cwd=self.folder, env=self.env | {"PYTHON": str(program)}
        )

    def scontrol(self) -> list[str]:
        return (self.folder / "scontrol.log").read_text().splitlines()


def test_a_slurm_job_launches_once_on_each_node(tmp_path: Path) -> None:
    slurm = Slurm(tmp_path)
    job = slurm.start('printf "%s\\n" "$*" > given.$SLURM_NODEID\nexit 2\n')
    assert job.wait() == 2
    for node in (0, 1):
        assert (tmp_path / f"given.{node}").read_text() == (
            f"-m train.launch --node-rank {node} --nodes 2 --master-addr a1 --master-port 20017 "
            "run --recipe llava-1.5-7b --out a folder\n"
        )
    assert slurm.scontrol() == ["show hostnames a[1-2]"]


@pytest.mark.parametrize("status", [130, 137, 2])
def test_a_slurm_job_whose_time_is_up_is_queued_again_unless_it_cannot_go_on(
    tmp_path: Path, status: int
) -> None:
    slurm = Slurm(tmp_path)
    job = slurm.start(
        f"trap 'exit {status}' TERM\necho $$ > running.$SLURM_NODEID\nwhile :; do sleep 0.01; done\n"
    )
    wait_until(lambda: len(list(tmp_path.glob("running.*"))) == 2, job)
    job.send_signal(signal.SIGUSR1)
    assert job.wait() == status
    assert (tmp_path / "scancel.log").read_text() == "--signal=TERM 40017.0\n"
    assert slurm.scontrol() == ["show hostnames a[1-2]", *(["requeue 40017"] if status > 2 else [])]
