"""Trains a block of stacked runs from their initial weights to the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from adamw_pset.data import Data
from adamw_pset.rule import State
from adamw_pset.table import METRICS
from adamw_pset.training.preflight import Stepper

SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}
INIT, BATCHES = 0, 1  # one random stream of a seed for each purpose


class Run(NamedTuple):
    lr: float
    decay: float
    seed: int


class Net(Protocol):
    """What training asks of a network: ``theta`` is a list of its parameters, each (runs, ...)."""

    def init(self, generator: torch.Generator) -> list[Tensor]:
        """Initial parameters of one run."""
        ...

    def logits(self, theta: list[Tensor], x: Tensor) -> Tensor:
        """Logits (runs, batch, classes) for inputs ``x`` (runs, batch, ...)."""
        ...

    def gradient(self, theta: list[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
        """Gradient of each run's mean loss, in the shapes of ``theta``; labels ``y`` (runs, batch)."""
        ...

    def total_loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Loss of each run, (runs,), summed over its examples in float64."""
        ...


class Task(NamedTuple):
    """All that a block of runs needs to know."""

    step: Stepper
    scheduled: bool  # does the schedule multiply the decay?
    net: Net
    data: dict[int, Data]  # by seed
    epochs: int
    batch_size: int
    schedule: str
    device: torch.device


@torch.no_grad()
def train(task: Task, runs: list[Run], tick: Callable[[], None]) -> pd.DataFrame:
    """Train a block of runs from their initial weights to the end; one row a run.

    ``tick`` is called after every epoch.
    """
    seeds = sorted({run.seed for run in runs})
    row = torch.tensor([seeds.index(run.seed) for run in runs], device=task.device)
    initial = [task.net.init(stream(seed, INIT)) for seed in seeds]
    theta = [torch.stack(Ws).to(task.device)[row] for Ws in zip(*initial, strict=True)]
    state: list[Any] = [State.zeros(W) for W in theta]
    lr = _beside(theta, [run.lr for run in runs])
    decay = _beside(theta, [run.decay for run in runs])

    data = [task.data[seed] for seed in seeds]
    x_train, y_train, x_val, y_val = (
        torch.stack([getattr(d, name) for d in data]).to(task.device)
        for name in ("x_train", "y_train", "x_val", "y_val")
    )
    orders = [stream(seed, BATCHES) for seed in seeds]
    n_train = x_train.shape[1]
    per_epoch = n_train // task.batch_size
    each_seed = torch.arange(len(seeds), device=task.device).unsqueeze(1)
    for epoch in range(task.epochs):
        order = torch.stack([torch.randperm(n_train, generator=g) for g in orders]).to(task.device)
        for i, batch in enumerate(torch.split(order, task.batch_size, dim=1)[:per_epoch]):
            s_t = SCHEDULES[task.schedule]((epoch * per_epoch + i) / (task.epochs * per_epoch))
            gradient = task.net.gradient(theta, x_train[each_seed, batch][row], y_train[each_seed, batch][row])
            for k, g in enumerate(gradient):
                decay_t = s_t * decay[k] if task.scheduled else decay[k]
                theta[k], state[k] = task.step(theta[k], g, state[k], s_t * lr[k], decay_t)
        tick()

    columns = {
        "val": evaluate(task.net, theta, x_val, y_val, row),
        "train": evaluate(task.net, theta, x_train, y_train, row),
    }
    finite = torch.stack([W.reshape(len(W), -1).isfinite().all(1) for W in theta]).all(0)
    table = pd.DataFrame(runs)
    for part, (accuracy, loss) in columns.items():
        table[f"{part}_accuracy"] = accuracy.tolist()
        table[f"{part}_loss"] = loss.tolist()
        finite &= loss.isfinite()
    table["diverged"] = (~finite).tolist()
    table.loc[table["diverged"], METRICS] = np.nan
    return table


def _beside(theta: list[Tensor], values: list[float]) -> list[Tensor]:
    """One value a run, for each parameter in a shape (runs, 1, ...) that broadcasts with it."""
    column = torch.tensor(values, device=theta[0].device)
    return [column.reshape(-1, *[1] * (W.ndim - 1)) for W in theta]


def evaluate(
    net: Net, theta: list[Tensor], x: Tensor, y: Tensor, row: Tensor, chunk: int = 256
) -> tuple[Tensor, Tensor]:
    """Accuracy and mean loss of each run, (runs,); ``x[row]`` and ``y[row]`` are its data."""
    right = torch.zeros(len(row), dtype=torch.int64, device=x.device)
    loss = torch.zeros(len(row), dtype=torch.float64, device=x.device)
    for x_part, y_part in zip(torch.split(x, chunk, 1), torch.split(y, chunk, 1), strict=True):
        logits, labels = net.logits(theta, x_part[row]), y_part[row]
        right += (logits.max(-1).indices == labels).sum(1)  # argmax is slow along a strided axis
        loss += net.total_loss(logits, labels)
    return right.double() / y.shape[1], loss / y.shape[1]


def stream(seed: int, purpose: int) -> torch.Generator:
    """The random stream of a seed for one purpose."""
    words = np.random.SeedSequence([seed, purpose]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
