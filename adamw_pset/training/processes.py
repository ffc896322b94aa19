"""Processes of this machine, each of which trains a block at a time, so that no two wait for one Python's lock."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import tempfile
import time
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from loky import get_reusable_executor
from loky.process_executor import TerminatedWorkerError
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from adamw_pset.training.loop import Block, Run, Task
from adamw_pset.training.workers import Done, Threads, Workers, cores, pack, train_block

PAYS = 8.0  # seconds of one core's work, from which on it pays that each process imports torch first
FEW = 1000  # steps of runs that are not worth a trial of how long they take
IDLE = 30.0  # seconds after which a process without work ends; until then the next sweep finds it warm
GRACE = 0.5  # seconds for a block to notice, at the end of an epoch, that it should stop


def leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal: the first one tells the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
POOL: dict[str, Any] = {"timeout": IDLE, "initializer": leave_interrupts, "env": ONE_THREAD}


class WorkerError(ValueError):
    """Processes that train blocks ended before their work was done."""


def at_hand(task: Task, runs: list[Run]) -> Workers:
    """This machine's processes where the work pays for starting them, else its threads; one alone for a GPU."""
    if task.device.type != "cpu":
        return Threads(1)
    slots = min(cores(), max(1, len(runs)))
    if slots == 1 or seconds(task, runs) < PAYS:
        return Threads(slots)
    try:
        return Processes(slots, pack(task._replace(data={})))
    except (TypeError, AttributeError, pickle.PicklingError):  # of a rule that holds an open file, say
        return Threads(slots)


def seconds(task: Task, runs: list[Run], sample: int = 8, steps: int = 3) -> float:
    """About how long one core takes for ``runs``, from a few steps of some of them; 0 where there are few."""
    some = Block(task, runs[:sample])
    if some.total * len(runs) < FEW:
        return 0.0
    with torch.no_grad():
        training = some.steps()
        next(training)  # the first one warms up
        start = time.perf_counter()
        taken = sum(1 for _ in islice(training, steps))
    each = (time.perf_counter() - start) / max(1, taken) / len(some.runs)
    return each * some.total * len(runs)


class Processes(NamedTuple):
    """A pool of processes, kept warm between sweeps; ``packed`` is the task without its data."""

    slots: int
    packed: bytes

    def train(self, task: Task, blocks: list[list[Run]], done: Done) -> Generator[pd.DataFrame, None, None]:
        """The table of each block as it is done.

        An interrupt or an error stops every process within a second.  Blocks that were lost with a process
        that died are trained once more; ``WorkerError`` if that happens again.
        """
        data = {seed: pack(each) for seed, each in task.data.items()}
        left, lost = dict(enumerate(blocks)), 0
        with _board(len(blocks)) as (place, board):
            while left:
                try:
                    for number, table in self._round(left.copy(), data, place, board, done):
                        del left[number]
                        yield table
                except TerminatedWorkerError as error:
                    lost += 1
                    if lost > 1:
                        raise WorkerError(
                            f"block={len(blocks[0])}: a process that trains was killed twice, for want of memory "
                            "perhaps: try a smaller block, or fewer processes with OMP_NUM_THREADS=1"
                        ) from error

    def _round(
        self, left: dict[int, list[Run]], data: dict[int, bytes], place: str, board: NDArray[np.int64], done: Done
    ) -> Iterator[tuple[int, pd.DataFrame]]:
        """Number and table of each block as it is done."""
        pool = get_reusable_executor(self.slots, **POOL)
        futures = {
            pool.submit(_block, self.packed, {run.seed: data[run.seed] for run in runs}, runs, place, number): number
            for number, runs in left.items()
        }
        pending, told = set(futures), int(board[1:].sum())
        try:
            while pending:
                finished, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
                if (now := int(board[1:].sum())) > told:
                    done(now - told)
                    told = now
                for future in sorted(finished, key=lambda each: each.exception() is not None):
                    yield futures[future], future.result()
        except BaseException:
            board[0] = 1
            for future in pending:
                future.cancel()
            wait(pending, timeout=GRACE)
            pool.shutdown(wait=True, kill_workers=True)
            board[0] = 0
            raise


@contextlib.contextmanager
def _board(blocks: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """A small file that all processes see: whether to stop, then how many epochs of runs each block has done."""
    handle, place = tempfile.mkstemp(prefix="adamw_pset-")
    with open(handle, "wb") as file:
        file.write(bytes(8 * (1 + blocks)))
    try:
        yield place, np.memmap(place, np.int64, "r+")
    finally:
        with contextlib.suppress(OSError):
            os.unlink(place)


# --- in a process ----------------------------------------------------------------------------------------


def _block(packed: bytes, data: dict[int, bytes], runs: list[Run], place: str, number: int) -> pd.DataFrame:
    """Train a block; runs in one of the processes."""
    board: Any = np.memmap(place, np.int64, "r+")
    board[1 + number] = 0

    def tick() -> None:
        if board[0]:
            raise InterruptedError("the sweep was stopped")
        board[1 + number] += len(runs)

    threadpool_limits(1, "blas")
    task: Task = pickle.loads(packed)
    task = task._replace(data={seed: pickle.loads(each) for seed, each in data.items()})
    return train_block(task, runs, tick)
