"""`python -m train.launch [OPTIONS] run …`: that command of `python -m train`, on every GPU there is.

The processes of a node are torchrun's, which is here given to wait for a checkpoint when it is asked to
stop, and to end as they ended: with status 0, 2 or 130, and no traceback of its own. Several nodes are
several launches, one on each: by hand, by Slurm (slurm.sh), or over ssh (`--nodes HOSTFILE`).
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

from train.records import InputError

PORT = 29500
"""torchrun's own, where the processes of several nodes meet."""
SAVING_S = 600
"""Seconds that a run asked to stop has for its step and checkpoint, before its processes are killed."""
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    options = _parse(arguments)
    try:
        if not options.nodes:
            raise InputError("--nodes is empty: give how many there are, or a hostfile")
        if options.nodes.isdigit():
            return _launch_here(options)
        from train.launch.hosts import launch_everywhere

        return launch_everywhere(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m train.launch",
        description="Run a command of python -m train as one process for each GPU.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--gpus", type=_count, metavar="N", help="processes on a node  [default: as many as it has GPUs]"
    )
    parser.add_argument(
        "--nodes",
        default="1",
        metavar="N|FILE",
        help="how many nodes are given this command, or a file of their names (`host slots=8` a line), to "
        "which ssh gives it",
    )
    parser.add_argument("--node-rank", type=int, default=0, metavar="I", help="which of N this is, from 0")
    parser.add_argument("--master-addr", metavar="HOST", help="where node 0 is reached by the others")
    parser.add_argument(
        "--master-port", type=_count, default=PORT, metavar="PORT", help="[default: %(default)s]"
    )
    parser.add_argument("--stop-with-stdin", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="run --recipe … --out …")
    options = parser.parse_args(arguments)
    options.nodes = options.nodes.strip()  # as `make` hands on what stands after NODES=
    if not options.command:
        parser.error("no command of python -m train is given")
    return options


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _launch_here(options: argparse.Namespace) -> int:
    """This node's processes: one for each GPU, or as many as are asked for."""
    nodes = int(options.nodes)
    if nodes < 1:
        raise InputError(f"--nodes {nodes}: give how many there are, or a hostfile")
    if not 0 <= options.node_rank < nodes:
        raise InputError(f"--node-rank {options.node_rank}: of {nodes} nodes, ranks are 0 to {nodes - 1}")
    if nodes > 1 and options.master_addr is None:
        raise InputError("--master-addr (MASTER_ADDR of make) is missing: name the node with rank 0")
    if options.stop_with_stdin:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    processes = options.gpus or _gpus()
    if nodes == processes == 1 or options.command[0] != "run":
        return _run_alone(options.command)  # to plan, export or chat needs no second one
    _check_usage(options.command)
    if nodes > 1:
        _check_address(options.master_addr)
    print(f"Starting {processes} processes", flush=True)
    if nodes > 1:
        print(
            f"Node {options.node_rank} of {nodes}: meeting the others at {options.master_addr} port "
            f"{options.master_port}, for up to 10 minutes",
            flush=True,
        )
    # Not torchrun's one thread, with which an optimizer that is offloaded to the CPU would crawl.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // processes)))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its remarks, from every process
    where = (
        ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]  # on a free port
        if nodes == 1
        else [
            *("--nnodes", str(nodes), "--node-rank", str(options.node_rank)),
            *("--master-addr", options.master_addr, "--master-port", str(options.master_port)),
        ]
    )
    each = ["--nproc-per-node", str(processes), "--shutdown-timeout", str(SAVING_S)]
    return _torchrun([*where, *each, "--module", "train", *options.command])


def _check_usage(command: Sequence[str]) -> None:
    """End here of a wrong option, which each of the processes would say."""
    import typer

    from train.__main__ import app

    group: Any = typer.main.get_command(app)
    try:
        context = group.make_context("python -m train", list(command))
        name, subcommand, arguments = group.resolve_command(context, list(command))
        subcommand.make_context(name, arguments, parent=context).close()
    except typer.Exit as end:  # --help
        sys.exit(end.exit_code)
    except Exception as error:
        # Of click, which not every version of typer lets others import.
        if not hasattr(error, "show"):
            raise
        error.show()
        sys.exit(EXIT_BAD_INPUT)


def _check_address(address: str) -> None:
    try:
        socket.getaddrinfo(address, None)
    except OSError as error:
        raise InputError(f"--master-addr {address}: not known here ({error.strerror})") from None


def _gpus() -> int:
    """How many this node has; 1 where it has none, and the CPU is one."""
    import torch

    return torch.cuda.device_count() or 1


def _run_alone(command: Sequence[str]) -> int:
    from train.__main__ import main as train

    sys.argv[1:] = command
    train()
    return 0


def _torchrun(arguments: list[str]) -> int:
    """What torchrun does, with the exit status that the processes had, and in one line what killed one."""
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch
    from torch.distributed.run import config_from_args, parse_args

    logging.disable(logging.ERROR)  # what it reports of processes that ended, beside what they said
    config, program, program_arguments = config_from_args(parse_args(arguments))
    try:
        elastic_launch(config, program)(*program_arguments)
    except SignalException:
        return EXIT_INTERRUPTED
    except torch.distributed.DistError as error:
        # Of the launches' meeting; what goes wrong between the processes, they say.
        raise InputError(f"the nodes did not meet ({str(error).splitlines()[0]})") from None
    except ChildFailedError as failed:
        return _status({rank: int(each.exitcode) for rank, each in sorted(failed.failures.items())})
    return 0


def _status(statuses: dict[int, int]) -> int:
    """The exit status of a launch whose processes ended so; a negative one is the signal that ended it.

    Where one fails torchrun ends the others, by SIGTERM and, after 30 seconds, SIGKILL: not to be blamed.
    """
    said = [status for status in (EXIT_BAD_INPUT, EXIT_INTERRUPTED) if status in statuses.values()]
    if said:
        return said[0]
    killed = {rank: -status for rank, status in statuses.items() if status < 0}
    first_ones = {rank: number for rank, number in killed.items() if number != signal.SIGTERM}
    failed = [status for status in statuses.values() if status > 0]
    if failed and not first_ones:
        return min(failed)
    for number in sorted({*(first_ones or killed).values()}):
        ranks = [str(rank) for rank, each in killed.items() if each == number]
        which = f"process {ranks[0]}" if len(ranks) == 1 else f"processes {', '.join(ranks)}"
        was = "was" if len(ranks) == 1 else "were"
        why = ": this machine's memory may be full" if number == signal.SIGKILL else ""
        print(
            f"error: {which}, on {socket.gethostname()}, {was} ended by {signal.Signals(number).name}{why}",
            file=sys.stderr,
        )
    return 128 + max((first_ones or killed).values())


def _stop_with_stdin() -> None:
    """Ask this process to stop when stdin closes, as the ssh that started it does when it ends."""
    while os.read(0, 1):  # not by sys.stdin, whose lock this thread would hold as the program ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
