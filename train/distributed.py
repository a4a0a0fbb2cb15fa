"""Several processes as one run: who is who, what is done once, and what all must agree on.

Processes are started by torchrun (`train.launch`), which says in the environment how many there are. One
alone needs none of this: then every function here is trivial, and nothing of torch.distributed is imported.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from train.records import InputError

T = TypeVar("T")

_LONGEST_WAIT = datetime.timedelta(hours=2)
"""For the slowest of the processes, as where one writes a checkpoint for all onto a slow disk."""

_GRACE_S = 10.0
"""For a process to end by itself, once another has ended of an error. torchrun kills it after 30 seconds."""
_ENDED, _STATUS = "ended by an error", "exit status"

_store: Any = None
"""Where processes leave word for each other, whatever their collectives are at; it outlives the group."""


def process() -> int:
    """Which of the run's processes this is, from 0; 0 is the main one, which writes and speaks for all."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """How many processes the run has, over all nodes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    return process() == 0


def start() -> None:
    """Join the other processes, where there are any: by NCCL, each on a GPU of its own, or by gloo on CPUs.

    Raises InputError where a node has fewer GPUs than processes, or nobody says which of them this is.
    """
    global _store
    if processes() == 1:
        return
    if "RANK" not in os.environ or "LOCAL_RANK" not in os.environ:
        raise InputError(
            f"WORLD_SIZE is {processes()} in the environment, but RANK or LOCAL_RANK is not there: start the "
            "processes by python -m train.launch or torchrun, or unset WORLD_SIZE"
        )
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    cuda = torch.cuda.is_available()
    local = int(os.environ["LOCAL_RANK"])
    if not dist.is_initialized():
        store, _, _ = next(rendezvous("env://", timeout=_LONGEST_WAIT))
        # By a connection of its own: one that waits in a collective has the other for itself.
        _store = dist.PrefixStore("vitkit", store.clone())
        threading.Thread(target=_end_with_the_others, daemon=True).start()
        if cuda and local >= torch.cuda.device_count():
            raise InputError(
                f"this node was given {local + 1} processes or more, but has {torch.cuda.device_count()} "
                "GPU(s): start as many as it has"
            )
        if cuda:
            torch.cuda.set_device(local)
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            store=store,
            rank=process(),
            world_size=processes(),
            timeout=_LONGEST_WAIT,
            device_id=torch.device("cuda", local) if cuda else None,
        )


def finish() -> None:
    """Leave the other processes, once all are here."""
    global _store
    if processes() == 1:
        return
    import torch.distributed as dist

    if dist.is_initialized():
        barrier()
        _store = None
        dist.destroy_process_group()


def barrier() -> None:
    """Wait until every process is here."""
    gather(None)


def gather(value: T) -> list[T]:
    """Every process's value, in their order, in all of them. Values are pickled."""
    if processes() == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * processes()
    dist.all_gather_object(values, value)
    return values


def from_main(function: Callable[[], T]) -> T:
    """What `function` returns in the main process, in all of them (pickled); the others do not call it.

    An InputError that it raises there is raised in all.
    """
    value, problem = _try(function) if is_main() else (None, None)
    if processes() > 1:
        import torch.distributed as dist

        told = [(value, problem)]
        dist.broadcast_object_list(told, src=0)
        value, problem = told[0]
    if problem is not None:
        raise InputError(problem)
    return cast("T", value)


def in_all(function: Callable[[], T]) -> T:
    """What `function` returns here; every process calls it, and it must not wait for another one itself.

    An InputError that it raises in any of them is raised in all: the first process's, where several do.
    """
    value, problem = _try(function)
    for each in gather(problem):
        if each is not None:
            raise InputError(each)
    return cast("T", value)


def tell_once(say: Callable[[], None], status: int) -> int:
    """Say what ends the run, in the first process that gets here; the others wait until it is said.

    Returns the exit status of the first, which all are to leave with.
    """
    if _store is None:
        say()
        return status
    with contextlib.suppress(RuntimeError):  # the process that held the store has ended, and said why
        if _store.compare_set(_ENDED, "", str(process())).decode() == str(process()):
            say()
            _store.set(_STATUS, str(status))
        else:
            return _status_told()
    return status


def _end_with_the_others() -> None:
    """End this process some time after another has ended of an error.

    Where all raise it, this one ends before. Where one alone does (its GPU is full), the others wait for
    it in a collective, in which no exception and no signal handler reaches them.
    """
    status = 1
    with contextlib.suppress(RuntimeError):  # the process that held the store has ended
        while (store := _store) is not None and not store.check([_ENDED]):
            time.sleep(2)
        if store is None:
            return
        time.sleep(_GRACE_S)
        status = _status_told()
    os._exit(status)


def _status_told() -> int:
    """Raises RuntimeError where it is not told in time: the process that was to tell has died."""
    _store.wait([_STATUS], datetime.timedelta(seconds=10))
    return int(_store.get(_STATUS))


def _try(function: Callable[[], T]) -> tuple[T | None, str | None]:
    try:
        return function(), None
    except InputError as error:
        return None, str(error)
