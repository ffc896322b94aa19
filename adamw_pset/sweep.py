"""Trains every (learning rate, decay, seed) of a grid at once and returns a tidy table.

The runs are stacked along a leading axis and cut into blocks; a block trains in one thread, and the
rule is called as it stands, once a step and weight matrix, for all runs of the block.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import inspect
import math
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from tqdm.std import tqdm

from adamw_pset import __version__
from adamw_pset.data import Data
from adamw_pset.model import StackedMLP
from adamw_pset.pictures import in_notebook
from adamw_pset.rule import Rule, rule_name
from adamw_pset.table import (
    COLUMNS,
    KEY,
    TableError,
    check_table,
    difference,
    read_table,
    settings_of,
    write_table,
)  # fmt: skip
from adamw_pset.training import SCHEDULES, Run, Task, train
from adamw_pset.trial import DECAYS, decay_name, stepper

BLOCK = {"cpu": 72, "cuda": 4096}  # runs trained together: on a CPU, what its caches hold


def sweep(
    rule: Rule,
    lrs: Sequence[float],
    decays: Sequence[float],
    data: Data | Callable[[int], Data],
    *,
    seeds: int | Iterable[int] = 5,
    epochs: int = 20,
    batch_size: int = 64,
    width: int = 64,
    scale_invariant: bool = True,
    schedule: str = "cosine",
    device: str = "cpu",
    progress: bool = True,
    save: str | Path | None = None,
    block: int | None = None,
    **hyper: Any,
) -> pd.DataFrame:
    """Train a small network with ``rule`` at every learning rate and decay, once for each seed.

    ``rule(theta, grad, state, *, lr, ...)`` takes one decay, named ``l2``, ``weight_decay`` or
    ``torch_decay``, which gets the values of ``decays``; ``hyper`` fixes other arguments, such as
    ``beta1``.  Decay convention: that of the rule.  The schedule s_t multiplies η, and λ_w
    (``weight_decay``) too, but not λ_ℓ2 (Loshchilov & Hutter, 2019, Algorithm 2).

    ``data`` is a ``Data``, or a function seed -> ``Data`` so that seeds differ in their data too.
    A seed fixes initial weights and batches, the same for every setting and every rule.  ``seeds``
    is how many (0, 1, …) or which.  The network has two hidden layers of ``width``.

    Returns one row a run: optimizer, lr, decay, seed, val_accuracy, val_loss, train_accuracy,
    train_loss (noisy training labels), diverged.  Losses are mean cross-entropies in nats.  A run
    whose weights or losses are no longer finite is ``diverged`` and its metrics are NaN.  Settings
    are in ``.attrs``.  Training is in float32; results do not depend on ``block``, the number of
    runs trained together.

    With ``save``, finished blocks are kept in that file, and the same call goes on from there; a
    file made with other settings is refused with ``TableError``.  Raises ``RuleError`` for a rule
    that does not fit and ``ValueError`` for an argument out of range.
    """
    hyper = {name: _plain(name, value) for name, value in hyper.items()}
    lrs, decays, seeds = _grid("lrs", lrs), _grid("decays", decays), _seeds(seeds)
    counts = {
        "epochs": epochs,
        "batch_size": batch_size,
        "width": width,
        "block": 1 if block is None else block,
    }
    for name, value in counts.items():
        _positive(name, value)
    if not (isinstance(data, Data) or callable(data)):
        raise ValueError(f"data={data!r}: give a Data, or a function that makes one from a seed")
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule={schedule!r}: choose one of {', '.join(SCHEDULES)}")
    where = _device(device)
    by_seed = {seed: data if isinstance(data, Data) else data(seed) for seed in seeds}
    first = by_seed[seeds[0]]
    for seed, each in by_seed.items():
        if _size(each) != _size(first):
            raise ValueError(f"data({seed}) has another size than data({seeds[0]}): all seeds need the same")
    if len(first.x_train) < batch_size:
        raise ValueError(f"batch_size={batch_size}: there are only {len(first.x_train)} training points")

    net = StackedMLP((first.dim, width, width, first.classes), scale_invariant)
    task = Task(
        stepper(rule, hyper), DECAYS[decay_name(rule)], net, by_seed, epochs, batch_size, schedule, where
    )
    rule_settings = {
        "decay": decay_name(rule), "lrs": lrs, "decays": decays, "rule": _fingerprint(rule),
        "hyper": hyper,
    }  # fmt: skip
    settings = {
        "version": __version__,
        "data": {**first.settings, "new_each_seed": not isinstance(data, Data), "hash": first.fingerprint()},
        "epochs": int(epochs), "batch_size": int(batch_size), "width": int(width),
        "scale_invariant": scale_invariant, "schedule": schedule,
        "optimizers": {rule_name(rule): rule_settings},
    }  # fmt: skip
    kept = _resume(save, settings)
    done = set(kept[KEY[1:]].itertuples(index=False, name=None))
    wanted = [Run(lr, decay, seed) for seed, lr, decay in product(seeds, lrs, decays)]
    missing = [run for run in wanted if run not in done]

    tables = [kept]
    blocks = _blocks(missing, block or BLOCK[where.type], _threads(where))
    with tqdm(total=len(wanted) * epochs, initial=(len(wanted) - len(missing)) * epochs, desc=rule_name(rule),
              unit_scale=1 / epochs, disable=not progress, bar_format=_BAR,
              file=sys.stdout if in_notebook() else sys.stderr) as bar, contextlib.closing(
              _train_all(task, blocks, bar)) as results:  # fmt: skip
        for rows in results:
            rows.insert(0, "optimizer", rule_name(rule))
            tables.append(rows)
            if save is not None:
                write_table(_tidy(tables, settings), save)
    table = _tidy(tables, settings)
    return _with_settings(table[table["seed"].isin(seeds)].reset_index(drop=True), settings)


_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} runs [{elapsed}<{remaining}]"


def _train_all(task: Task, blocks: list[list[Run]], bar: tqdm[Any]) -> Generator[pd.DataFrame, None, None]:
    """The table of each block as it is done.  An interrupt or an error stops every thread first."""
    stop = threading.Event()
    threads_before = torch.get_num_threads()
    lock = threading.Lock()

    def work(runs: list[Run]) -> pd.DataFrame:
        if task.device.type == "cpu":
            torch.set_num_threads(1)  # one thread a block beats threads inside operations
            torch.set_flush_denormal(True)  # weights that decay towards 0 would be slow otherwise

        def tick() -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            with lock:
                bar.update(len(runs))

        return train(task, runs, tick)

    _keep_freed_memory()
    blas = threadpool_limits(1, "blas")
    pool = ThreadPoolExecutor(_threads(task.device))
    try:
        pending: set[Future[pd.DataFrame]] = {pool.submit(work, runs) for runs in blocks}
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads_before)
        blas.restore_original_limits()


def _blocks(runs: list[Run], most: int, threads: int) -> list[list[Run]]:
    """``runs`` in order, cut into equal blocks of at most ``most``, the same number for each thread."""
    if not runs:
        return []
    count = min(len(runs), threads * math.ceil(len(runs) / most / threads))
    cuts = [round(k * len(runs) / count) for k in range(count + 1)]
    return [runs[a:b] for a, b in pairwise(cuts)]


def _threads(device: torch.device) -> int:
    if device.type != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _keep_freed_memory() -> None:
    """Ask glibc not to hand freed temporaries back to the system, which would fault them in again."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return  # another C library: slower, not wrong
    M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def _tidy(tables: list[pd.DataFrame], settings: dict[str, Any]) -> pd.DataFrame:
    table = pd.concat([t for t in tables if len(t)], ignore_index=True)
    return _with_settings(table.sort_values(KEY, ignore_index=True)[COLUMNS], settings)


def _with_settings(table: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    table.attrs.update(settings)
    return check_table(table)


def _resume(save: str | Path | None, settings: dict[str, Any]) -> pd.DataFrame:
    """The runs already in ``save``, if its settings are ``settings``; TableError if they are not."""
    if save is None or not Path(save).exists():
        return pd.DataFrame(columns=COLUMNS)
    kept = read_table(save)
    if found := difference(settings, settings_of(kept)):
        raise TableError(f"{save} holds runs of other settings ({found}): remove it or save elsewhere")
    return kept


def _fingerprint(rule: Rule) -> str:
    """A short hash of the rule's source and of the values it holds: a corrected rule is another rule."""
    return hashlib.sha256(_identity(rule).encode()).hexdigest()[:16]


def _identity(rule: Any) -> str:
    if isinstance(rule, functools.partial):
        return f"partial({_identity(rule.func)}, {rule.args!r}, {sorted(rule.keywords.items())!r})"
    code = getattr(rule, "__code__", None)
    if code is None:  # an instance of a class with __call__
        return f"{_identity(type(rule).__call__)} {getattr(rule, '__dict__', {})!r}"
    try:
        text = inspect.getsource(rule)
    except (OSError, TypeError):
        text = repr((code.co_code, code.co_names, [c for c in code.co_consts if not inspect.iscode(c)]))
    held = [cell.cell_contents for cell in rule.__closure__ or ()]
    held = [_identity(value) if inspect.isfunction(value) else repr(value) for value in held]
    return f"{text} {rule.__defaults__!r} {rule.__kwdefaults__!r} {held!r}"


def _grid(name: str, values: Iterable[float]) -> list[float]:
    grid = [float(value) for value in values]
    if not grid or len(set(grid)) < len(grid) or not all(0 <= v < math.inf for v in grid):
        raise ValueError(f"{name}={grid}: give different finite numbers from 0 up, at least one")
    return grid


def _seeds(seeds: int | Iterable[int]) -> list[int]:
    found = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise ValueError(f"seeds={seeds!r}: give how many (from 1 up), or different seeds from 0 up")
    return found


def _size(data: Data) -> tuple[int, ...]:
    return data.dim, data.classes, len(data.x_train), len(data.x_val)


def _plain(name: str, value: Any) -> Any:
    """``value`` as a number that can be written down."""
    if isinstance(value, Tensor | np.generic) and np.ndim(value) == 0:
        return value.item()
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"{name}={value!r}: give one number")
    return value


def _positive(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}={value!r}: give a whole number from 1 up")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={name!r} is not at hand here: {str(error).splitlines()[0]}") from None
    return device
