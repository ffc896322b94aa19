"""Blocks of runs, and the threads of this process that train them, one block a thread."""

from __future__ import annotations

import copy
import ctypes
import math
import os
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cloudpickle
import pandas as pd
import torch
from loky import cpu_count
from threadpoolctl import threadpool_limits

from adamw_pset.training.fingerprint import installed
from adamw_pset.training.loop import Run, Task, train

CACHE_SIZE = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")  # of a core's second level, on Linux
CACHE = 1 << 20  # bytes, where that is unknown or less: smaller blocks lose to Python
MANY = 4096  # runs trained together on a GPU
SMALLEST = 18  # runs, below which a block is not cut for the sake of keeping what is done
TURNS = 4  # blocks for each worker, at least, where finished blocks are kept

Done = Callable[[int], object]  # told how many more epochs of runs are done


class Workers(Protocol):
    """Who trains blocks: threads or processes of this machine, or a cluster."""

    @property
    def slots(self) -> int:
        """How many blocks train at the same time."""
        ...

    def train(self, task: Task, blocks: list[list[Run]], done: Done) -> Generator[pd.DataFrame, None, None]:
        """The table of each block as it is done.  Closed, it stops what it can."""
        ...


def fitting(parameters: int, device: str) -> int:
    """How many runs of so many ``parameters`` to train together.

    On a CPU their parameters fill the second-level cache of a core: the fastest blocks at every width
    that was measured (docs/benchmarks.md).
    """
    return max(1, round(_cache() / 4 / parameters)) if device == "cpu" else MANY


def _cache() -> int:
    """The bytes of a core's second-level cache, where the system tells them."""
    try:
        return max(CACHE, 1024 * int(CACHE_SIZE.read_text(encoding="ascii").strip().removesuffix("K")))
    except (OSError, ValueError):
        return CACHE


def cut(runs: list[Run], most: int, workers: int, keep: bool) -> list[list[Run]]:
    """``runs`` in order, cut into equal blocks of at most ``most``, the same number for each worker.

    ``keep``: cut them smaller where there are few, so that blocks are finished and kept early.
    """
    if not runs:
        return []
    if keep:
        most = max(1, min(most, max(SMALLEST, math.ceil(len(runs) / (TURNS * workers)))))
    count = min(len(runs), workers * math.ceil(len(runs) / most / workers))
    cuts = [round(k * len(runs) / count) for k in range(count + 1)]
    return [runs[a:b] for a, b in pairwise(cuts)]


def cores() -> int:
    """Processor cores that this process may use: affinity and quotas of containers count, and OMP_NUM_THREADS."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    most = int(asked) if asked.isdecimal() and int(asked) > 0 else math.inf
    return int(min(cpu_count(), most))


def pack(value: Any) -> bytes:
    """``value`` as bytes, with the code of every module in it that is not an installed package's."""
    own = [module for name, module in list(sys.modules.items()) if not installed(name) and name != "__main__"]
    already = cloudpickle.list_registry_pickle_by_value()
    mine = [module for module in own if module.__name__ not in already and module.__name__ in sys.modules]
    for module in mine:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(value))
    finally:
        for module in mine:
            cloudpickle.unregister_pickle_by_value(module)


class Threads(NamedTuple):
    """Threads of this process, each of which trains a block at a time."""

    slots: int

    def train(self, task: Task, blocks: list[list[Run]], done: Done) -> Generator[pd.DataFrame, None, None]:
        """The table of each block as it is done.  An interrupt or an error stops every thread first."""
        stop = threading.Event()
        threads_before, blas = torch.get_num_threads(), threadpool_limits(1, "blas")
        lock = threading.Lock()

        def work(runs: list[Run]) -> pd.DataFrame:
            def tick() -> None:
                if stop.is_set():
                    raise KeyboardInterrupt
                with lock:
                    done(len(runs))

            return train_block(task._replace(net=copy.deepcopy(task.net)), runs, tick)

        pool = ThreadPoolExecutor(self.slots)
        try:
            pending: set[Future[pd.DataFrame]] = {pool.submit(work, runs) for runs in blocks}
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=lambda each: each.exception() is not None):
                    yield future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(threads_before)
            blas.restore_original_limits()


def train_block(task: Task, runs: list[Run], tick: Callable[[], None]) -> pd.DataFrame:
    """Train a block in this thread, with one thread inside the operations."""
    if task.device.type == "cpu":
        _keep_freed_memory()
        torch.set_num_threads(1)  # one thread a block beats threads inside operations
        torch.set_flush_denormal(True)  # weights that decay towards 0 would be slow otherwise
    try:
        return train(task, runs, tick)
    finally:
        torch.set_flush_denormal(False)


def _keep_freed_memory() -> None:
    """Ask glibc not to hand freed temporaries back to the system, which would fault them in again."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return  # another C library: slower, not wrong
    M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
