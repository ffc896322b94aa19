"""The same training in other ways: a torch.optim loop, vmap(grad), and the matrix products alone.

Each function trains the default network of a sweep (40-64-64-10, scale-invariant, batches of 64, AdamW)
and returns seconds for one step of one run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loky import get_reusable_executor
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional as F

from adamw_pset import State, make_data, sweep
from adamw_pset.checks.notebook_answers import load_notebook
from adamw_pset.optimizers import adamw
from adamw_pset.training import processes
from adamw_pset.training.grids import log_grid
from adamw_pset.training.workers import cores

SIZES, BATCH, CLASSES = (40, 64, 64, 10), 64, 10
PARAMETERS = sum(n * k for n, k in pairwise(SIZES))
LR, DECAY = 3e-2, 1e-1
NOTEBOOK = Path(__file__).parents[1] / "autograder" / "source" / "explore_Adam" / "explore_Adam.ipynb"


class Net(nn.Module):
    """One network, as a course would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n, k, bias=False) for n, k in pairwise(SIZES))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = torch.relu(F.layer_norm(layer(x), (layer.out_features,)))
        W = self.layers[-1].weight
        return F.linear(x, 4 * math.sqrt(CLASSES) * W / W.norm())


def torch_loop(steps: int = 128) -> float:
    """``torch.optim.AdamW`` on one ``nn.Module``, one run after the other (a few steps of one run)."""
    x, y = torch.randn(2048, SIZES[0]), torch.randint(CLASSES, (2048,))
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=DECAY / LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    start = time.perf_counter()
    for i in range(steps):
        at = (i * BATCH) % 2048
        optimizer.zero_grad()
        F.cross_entropy(net(x[at : at + BATCH]), y[at : at + BATCH]).backward()
        optimizer.step()
        schedule.step()
    return (time.perf_counter() - start) / steps


def vmap_grad(runs: int, steps: int = 32) -> float:
    """``torch.func.vmap(grad)`` over all runs, and the same AdamW on the stacked parameters."""
    x, y = torch.randn(2048, SIZES[0]), torch.randint(CLASSES, (2048,))
    theta = [torch.randn(runs, n, k) * math.sqrt(2 / n) for n, k in pairwise(SIZES)]
    lr, decay = torch.full((runs, 1, 1), LR), torch.full((runs, 1, 1), DECAY)
    state: list[Any] = [State.zeros(W) for W in theta]

    def loss(Ws: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        for W in Ws[:-1]:
            x = torch.relu(F.layer_norm(x @ W, (W.shape[-1],)))
        return F.cross_entropy(x @ (4 * math.sqrt(CLASSES) * Ws[-1] / Ws[-1].norm()), y)

    gradient = torch.func.vmap(torch.func.grad(loss), in_dims=(0, None, None))
    start = time.perf_counter()
    for i in range(steps):
        at = (i * BATCH) % 2048
        for k, g in enumerate(gradient(theta, x[at : at + BATCH], y[at : at + BATCH])):
            theta[k], state[k] = adamw(theta[k], g, state[k], lr=lr, weight_decay=decay)
    return (time.perf_counter() - start) / steps / runs


def ours(
    runs: int,
    student: bool = False,
    width: int = 64,
    n_train: int = 2048,
    seeds: int = 1,
    epochs: int = 60,
    workers: int | None = None,
) -> float:
    """``sweep`` with the reference AdamW, or the notebook's; data and evaluation included.

    ``workers``: so many processes (default: one a core).  They are warm, as in the second sweep of a notebook.
    """
    processes.cores = (lambda: workers) if workers else cores
    rule: Callable[..., Any] = load_notebook(NOTEBOOK)["adamw"] if student else adamw
    side = math.isqrt(runs // seeds)
    lrs, decays = log_grid(1e-3, 1, max(2, side)), log_grid(1e-3, 1, max(2, runs // seeds // max(2, side)))

    def data(seed: int) -> Any:
        return make_data("medium", seed=seed, n_train=n_train, n_val=100)

    get_reusable_executor(processes.cores(), **processes.POOL).submit(int).result()
    start = time.perf_counter()
    sweep(rule, lrs, decays, data, seeds=seeds, epochs=epochs, width=width, progress=False)
    return (time.perf_counter() - start) / (epochs * (n_train // BATCH) * len(lrs) * len(decays) * seeds)


def limit(runs: int, steps: int = 32) -> float:
    """What cannot be avoided: the matrix products of a step, and one read and write of θ, m, v and g.

    Products are stacked and laid out as in the sweep (the few logits in rows), a block of runs on each
    core; memory moves at the rate at which this machine copies arrays larger than its caches.
    """
    cores = torch.get_num_threads()
    block = runs // cores
    normal = np.random.default_rng(0).standard_normal
    shapes = [
        (normal((block, BATCH, n), np.float32), normal((block, n, k), np.float32), normal(d, np.float32))
        for n, k in pairwise(SIZES)
        for d in [(block, k, BATCH) if k == CLASSES else (block, BATCH, k)]
    ]

    def T(a: Any) -> Any:
        return a.swapaxes(1, 2)

    def products(_: int) -> None:
        for _ in range(steps):
            for layer, (a, W, delta) in enumerate(shapes):
                last = layer == len(shapes) - 1
                np.matmul(T(W), T(a)) if last else np.matmul(a, W)
                np.matmul(T(a), T(delta) if last else delta)
                if layer:
                    np.matmul(T(delta) if last else delta, T(W))

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores) as pool:
        start = time.perf_counter()
        list(pool.map(products, range(cores)))
        arithmetic = (time.perf_counter() - start) / steps / (block * cores)
    return arithmetic + 4 * 2 * 4 * PARAMETERS / _bytes_per_second()


def _bytes_per_second() -> float:
    source, target = torch.ones(1 << 26), torch.empty(1 << 26)
    target.copy_(source)
    start = time.perf_counter()
    target.copy_(source)
    return 2 * source.nbytes / (time.perf_counter() - start)
