"""Trains a few settings once more and writes down what happens on the way, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn import functional as F

from adamw_pset.data import Data
from adamw_pset.rule import Rule, rule_name
from adamw_pset.table import METRICS, MOTION
from adamw_pset.training.arguments import data_of_seeds, grid, plain, seed_list
from adamw_pset.training.loop import Block, Run, Task, length, turn
from adamw_pset.training.stacked_module import Loss
from adamw_pset.training.sweep import make_task, network
from adamw_pset.validate import whole


def curves(
    rule: Rule,
    settings: Sequence[tuple[float, float]],
    data: Data | Callable[[int], Data],
    *,
    seed: int = 0,
    epochs: int = 20,
    batch_size: int = 64,
    width: int = 64,
    scale_invariant: bool = True,
    model: Callable[[], nn.Module] | None = None,
    loss: Loss = F.cross_entropy,
    schedule: str = "cosine",
    **hyper: Any,
) -> pd.DataFrame:
    """Train ``rule`` at the few ``settings``, pairs (learning rate, decay), as ``sweep`` does, with their history.

    The other arguments are those of ``sweep``, with one ``seed``; the last row of a setting has the metrics of
    the sweep.  Returns one row a setting and step: optimizer, lr, decay, seed, step (from 1 up), epoch (step over
    steps an epoch), turn (the angle of this step, in degrees), length (‖θ‖ after it), and at the end of each epoch
    val_accuracy, val_loss, train_accuracy and train_loss, NaN between.  What is no longer finite is NaN.
    Raises as ``sweep`` does.
    """
    pairs = _pairs(settings)
    hyper = {name: plain(name, value) for name, value in hyper.items()}
    seeds = seed_list([seed])
    by_seed = data_of_seeds(data, seeds, whole("batch_size", batch_size))
    net = network(by_seed[seed], batch_size, width, scale_invariant, model, loss)
    task = make_task(rule, hyper, net, by_seed, epochs, batch_size, schedule, torch.device("cpu"))
    history = _train(task, [Run(lr, decay, seed) for lr, decay in pairs])
    history.insert(0, "optimizer", rule_name(rule))
    return history


def _pairs(settings: Any) -> list[tuple[float, float]]:
    try:
        pairs = [(float(lr), float(decay)) for lr, decay in settings]
    except (TypeError, ValueError):
        raise ValueError(f"settings={settings!r}: give pairs (lr, decay), such as [(0.01, 0.1)]") from None
    for name, values in (("lr", [lr for lr, _ in pairs]), ("decay", [decay for _, decay in pairs])):
        grid(name, list(dict.fromkeys(values)))
    if len(set(pairs)) < len(pairs):
        raise ValueError(f"settings={pairs}: give different pairs (lr, decay)")
    return pairs


@torch.no_grad()
def _train(task: Task, runs: list[Run]) -> pd.DataFrame:
    block, steps = Block(task, runs), []
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        with threadpool_limits(1, "blas"):
            for t, (before, theta) in enumerate(block.steps(), 1):
                at_end = t % block.per_epoch == 0
                scores = block.scores(theta) if at_end else dict.fromkeys(METRICS, torch.full((len(runs),), np.nan))
                values = {"turn": turn(before, theta), "length": length(theta), **scores}
                steps.append(
                    pd.DataFrame(runs).assign(
                        step=t, epoch=t / block.per_epoch, **{k: v.numpy() for k, v in values.items()}
                    )
                )
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)
    history = pd.concat(steps, ignore_index=True).sort_values(["lr", "decay", "step"], ignore_index=True, kind="stable")
    measured = [*MOTION, *METRICS]
    history[measured] = history[measured].where(np.isfinite(history[measured]))
    history.loc[history["val_loss"].isna() | history["train_loss"].isna(), METRICS] = np.nan
    return history
