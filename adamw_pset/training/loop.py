"""Trains a block of stacked runs from their initial weights to the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from adamw_pset.data import Data
from adamw_pset.rule import State
from adamw_pset.training.preflight import Stepper

SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}
INIT, BATCHES = 0, 1  # one random stream of a seed for each purpose
MIDDLE, EVERY = (0.4, 0.6), 4  # the turn is measured at every fourth step of the middle fifth of training


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


class Block:
    """Runs that train together: their data, their parameters step by step, and how good they are."""

    def __init__(self, task: Task, runs: list[Run]) -> None:
        self.task, self.runs = task, runs
        self.seeds = sorted({run.seed for run in runs})
        self.row = torch.tensor([self.seeds.index(run.seed) for run in runs], device=task.device)
        data = [task.data[seed] for seed in self.seeds]
        self.x_train, self.y_train, self.x_val, self.y_val = (
            torch.stack([getattr(d, name) for d in data]).to(task.device)
            for name in ("x_train", "y_train", "x_val", "y_val")
        )
        self.per_epoch = self.x_train.shape[1] // task.batch_size
        self.total = task.epochs * self.per_epoch

    def steps(self) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """The parameters before and after each step of training, each (runs, ...)."""
        task, row = self.task, self.row
        initial = [task.net.init(stream(seed, INIT)) for seed in self.seeds]
        theta = [torch.stack(Ws).to(task.device)[row] for Ws in zip(*initial, strict=True)]
        state: list[Any] = [State.zeros(W) for W in theta]
        lr = _beside(theta, [run.lr for run in self.runs])
        decay = _beside(theta, [run.decay for run in self.runs])
        for t, (x, y) in enumerate(self._batches()):
            s_t = SCHEDULES[task.schedule](t / self.total)
            gradient = task.net.gradient(theta, x, y)
            before, theta = theta, list(theta)
            for k, g in enumerate(gradient):
                decay_t = s_t * decay[k] if task.scheduled else decay[k]
                theta[k], state[k] = task.step(theta[k], g, state[k], s_t * lr[k], decay_t)
            yield before, theta

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        orders = [stream(seed, BATCHES) for seed in self.seeds]
        each_seed = torch.arange(len(self.seeds), device=self.task.device).unsqueeze(1)
        for _ in range(self.task.epochs):
            order = torch.stack([torch.randperm(self.x_train.shape[1], generator=g) for g in orders])
            for batch in torch.split(order.to(self.task.device), self.task.batch_size, dim=1)[: self.per_epoch]:
                yield self._of_runs(self.x_train[each_seed, batch]), self._of_runs(self.y_train[each_seed, batch])

    def _of_runs(self, of_seeds: Tensor) -> Tensor:
        """For each run what belongs to its seed; a view where all have one."""
        if len(self.seeds) == 1:
            return of_seeds.expand(len(self.runs), *of_seeds.shape[1:])
        return of_seeds[self.row]

    def scores(self, theta: list[Tensor]) -> dict[str, Tensor]:
        """Each of ``METRICS``, (runs,)."""
        scores = {}
        for part, x, y in (("val", self.x_val, self.y_val), ("train", self.x_train, self.y_train)):
            scores[f"{part}_accuracy"], scores[f"{part}_loss"] = evaluate(self.task.net, theta, x, y, self.row)
        return scores


@torch.no_grad()
def train(task: Task, runs: list[Run], tick: Callable[[], None]) -> pd.DataFrame:
    """Train a block of runs from their initial weights to the end; one row a run.

    ``tick`` is called after every epoch.
    """
    block = Block(task, runs)
    first, last = (round(share * block.total) for share in MIDDLE)
    measured, turns = range(first, last + 1, EVERY), []
    for t, (before, theta) in enumerate(block.steps()):
        if t in measured:
            turns.append(turn(before, theta))
        if (t + 1) % block.per_epoch == 0:
            tick()

    columns = {**block.scores(theta), "turn": torch.stack(turns).mean(0), "length": length(theta)}
    finite = torch.stack([W.reshape(len(W), -1).isfinite().all(1) for W in theta]).all(0)
    finite &= columns["val_loss"].isfinite() & columns["train_loss"].isfinite()
    table = pd.DataFrame(runs)
    for name, values in columns.items():
        table[name] = values.tolist()
    table["diverged"] = (~finite).tolist()
    table.loc[table["diverged"], list(columns)] = np.nan
    return table


def turn(before: list[Tensor], after: list[Tensor]) -> Tensor:
    """By how many degrees a step turned the weight matrices of each run, (runs,): the mean over the matrices.

    The weight matrices are the parameters of two or more dimensions, or all where there are none.  From the
    chord between the two directions, which keeps its digits where the angle is small.
    """
    angles = []
    for a, b in zip(_matrices(before), _matrices(after), strict=True):
        a_length, b_length = (torch.linalg.vector_norm(W, dim=1, keepdim=True) for W in (a, b))
        chord = torch.linalg.vector_norm(b * (a_length / b_length) - a, dim=1) / a_length.squeeze(1)
        angles.append(2 * (chord / 2).clamp(max=1).asin())
    return torch.stack(angles).mean(0).rad2deg()


def length(theta: list[Tensor]) -> Tensor:
    """‖θ‖ of each run, (runs,): the length of its weight matrices, all together."""
    return torch.stack([torch.linalg.vector_norm(W, dim=1) for W in _matrices(theta)]).square().sum(0).sqrt()


def _matrices(theta: list[Tensor]) -> list[Tensor]:
    """The weight matrices of stacked runs, each as (runs, numbers)."""
    return [W.flatten(1) for W in theta if W.ndim > 2] or [W.reshape(len(W), -1) for W in theta]


def _beside(theta: list[Tensor], values: list[float]) -> list[Tensor]:
    """One value a run, for each parameter in a shape (runs, 1, ...) that broadcasts with it."""
    column = torch.tensor(values, device=theta[0].device, dtype=torch.float32)
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
