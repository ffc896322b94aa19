"""Trains every (learning rate, decay, seed) of a grid at once and returns a tidy table.

The runs are stacked along a leading axis and cut into blocks; a block trains in one thread, here or on
a cluster, and the rule is called as it stands, once a step and parameter, for all runs of the block.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F
from tqdm.std import tqdm

from adamw_pset.data import MAKERS, Data
from adamw_pset.display import in_notebook
from adamw_pset.rule import DECAYS, Rule, decay_name, rule_name
from adamw_pset.table import (
    COLUMNS,
    KEY,
    MOTION,
    TableError,
    check_table,
    difference,
    read_table,
    settings_of,
    with_hashes,
    write_table,
)
from adamw_pset.training.arguments import data_of_seeds, device_at_hand, grid, plain, seed_list
from adamw_pset.training.cluster import on_cluster
from adamw_pset.training.fingerprint import fingerprint
from adamw_pset.training.loop import SCHEDULES, Run, Task
from adamw_pset.training.mlp import StackedMLP
from adamw_pset.training.preflight import stepper
from adamw_pset.training.processes import at_hand
from adamw_pset.training.stacked_module import Loss, StackedModule, stack_module
from adamw_pset.training.workers import Workers, cut
from adamw_pset.validate import file_name, one_of, whole


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
    model: Callable[[], nn.Module] | None = None,
    loss: Loss = F.cross_entropy,
    schedule: str = "cosine",
    device: str = "cpu",
    cluster: str | None = None,
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
    is how many (0, 1, …) or which.  The network has two hidden layers of ``width``; or ``model``
    makes a ``torch.nn.Module`` of your own, from inputs as ``data`` holds them to logits, and
    ``loss(logits, labels)`` is its mean loss over a batch.

    Returns one row a run: optimizer, lr, decay, seed, val_accuracy, val_loss, train_accuracy,
    train_loss (noisy training labels), diverged, turn, length.  Losses are mean cross-entropies in
    nats, or means of ``loss``.  ``turn`` is the angle, in degrees, by which a step turns a weight
    matrix: the mean over every fourth step of the middle fifth of training, and over the matrices
    (parameters of two or more dimensions, or all where there are none).  ``length`` is ‖θ‖ at the
    end, of those matrices together.  A run whose weights or losses are no longer finite is
    ``diverged``, and its metrics, turn and length are NaN.  Settings are in ``.attrs``.  Training is
    in float32; results do not depend on ``block``, the number of runs trained together, except for
    rounding where there is a ``model`` or a GPU.

    ``cluster`` is the address of a Dask scheduler whose workers train the blocks; ``device`` is
    then a device of theirs.  With ``save``, finished blocks are kept in that file, and the same call
    goes on from there; a file made with other settings is refused with ``TableError``.  Raises
    ``RuleError`` for a rule that does not fit, ``ValueError`` for an argument out of range and
    ``ClusterError`` where the cluster cannot be used.
    """
    hyper = {name: plain(name, value) for name, value in hyper.items()}
    lrs, decays, seeds, save = (grid("lrs", lrs), grid("decays", decays), seed_list(seeds), file_name("save", save))
    where = device_at_hand(device, elsewhere=cluster is not None)
    by_seed = data_of_seeds(data, seeds, whole("batch_size", batch_size))
    net = network(by_seed[seeds[0]], batch_size, width, scale_invariant, model, loss)
    task = make_task(rule, hyper, net, by_seed, epochs, batch_size, schedule, where)
    most = net.block(by_seed[seeds[0]], batch_size, where.type) if block is None else whole("block", block)
    settings = {
        "version": version("adamw-pset"),
        "data": _data_settings(data, by_seed),
        "epochs": task.epochs,
        "batch_size": task.batch_size,
        "steps_per_epoch": len(by_seed[seeds[0]].x_train) // batch_size,
        **_network_settings(net),
        "schedule": schedule,
        "optimizers": {rule_name(rule): _rule_settings(rule, lrs, decays, hyper)},
    }
    kept = _resume(save, settings)
    tables = [kept]
    runs = [Run(lr, decay, seed) for seed, lr, decay in product(seeds, lrs, decays)]
    done = set(kept[KEY[1:]].itertuples(index=False, name=None))
    missing = [run for run in runs if run not in done]
    with (
        _workers(cluster, task, missing) as workers,
        _bar(rule_name(rule), task.epochs, len(runs), len(runs) - len(missing), progress) as bar,
        contextlib.closing(
            workers.train(task, cut(missing, most, workers.slots, keep=bool(save or cluster)), bar.update)
        ) as results,
    ):
        for rows in results:
            rows.insert(0, "optimizer", rule_name(rule))
            tables.append(rows)
            if save is not None:
                write_table(_tidy(tables, with_hashes(settings, settings_of(kept))), save)
    table = _tidy(tables, settings)
    return _with_settings(table[table["seed"].isin(seeds)].reset_index(drop=True), settings)


def network(
    data: Data, batch_size: int, width: int, scale_invariant: bool, model: Callable[[], nn.Module] | None, loss: Loss
) -> StackedMLP | StackedModule:
    """The network that fits ``data``; raises ``ValueError`` for an argument out of range."""
    width = whole("width", width)
    if not isinstance(scale_invariant, bool):
        raise ValueError(f"scale_invariant={scale_invariant!r}: give True or False")
    if model is not None:
        return stack_module(model, loss, data, batch_size)
    return StackedMLP((data.dim, width, width, data.classes), scale_invariant)


def make_task(
    rule: Rule,
    hyper: dict[str, Any],
    net: StackedMLP | StackedModule,
    by_seed: dict[int, Data],
    epochs: int,
    batch_size: int,
    schedule: str,
    device: torch.device,
) -> Task:
    """What a block trains, checked: ``RuleError`` for a rule that does not fit, ``ValueError`` for the rest."""
    one_of("schedule", schedule, SCHEDULES)
    step = stepper(rule, hyper, net.small_shapes)
    scheduled = DECAYS[decay_name(rule)]
    return Task(step, scheduled, net, by_seed, whole("epochs", epochs), int(batch_size), schedule, device)


def _bar(name: str, epochs: int, runs: int, done: int, progress: bool) -> Any:
    """A progress bar that counts epochs and shows runs."""
    return tqdm(
        total=runs * epochs,
        initial=done * epochs,
        desc=name,
        unit_scale=1 / epochs,
        disable=not progress,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} runs [{elapsed}<{remaining}]",
        file=sys.stdout if in_notebook() else sys.stderr,
    )


def _workers(cluster: str | None, task: Task, runs: list[Run]) -> contextlib.AbstractContextManager[Workers]:
    return contextlib.nullcontext(at_hand(task, runs)) if cluster is None else on_cluster(cluster)


def _network_settings(net: StackedMLP | StackedModule) -> dict[str, Any]:
    if isinstance(net, StackedMLP):
        return {"width": net.sizes[1], "scale_invariant": net.scale_invariant}
    name = getattr(net.make, "__name__", type(net.make).__name__)
    return {"model": name, "model_hash": fingerprint(net.make), "loss": fingerprint(net.loss)}


def _rule_settings(rule: Rule, lrs: list[float], decays: list[float], hyper: dict[str, Any]) -> dict[str, Any]:
    return {"decay": decay_name(rule), "lrs": lrs, "decays": decays, "rule": fingerprint(rule), "hyper": hyper}


def _data_settings(data: Data | Callable[[int], Data], by_seed: dict[int, Data]) -> dict[str, Any]:
    """What made the data, and a hash of the arrays, for each seed if they differ."""
    first, *_ = by_seed.values()
    if isinstance(data, Data):
        return {**first.settings, "new_each_seed": False, "hash": first.fingerprint()}
    shared = {name: value for name, value in first.settings.items() if name != "data_seed"}
    hashes = {str(seed): each.fingerprint() for seed, each in by_seed.items()}
    return {**shared, "new_each_seed": True, "hash": hashes}


def _tidy(tables: list[pd.DataFrame], settings: dict[str, Any]) -> pd.DataFrame:
    table = pd.concat([t for t in tables if len(t)], ignore_index=True)
    return _with_settings(table.sort_values(KEY, ignore_index=True)[[*COLUMNS, *MOTION]], settings)


def _with_settings(table: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    table.attrs.update(settings)
    return check_table(table)


def _resume(save: Path | None, settings: dict[str, Any]) -> pd.DataFrame:
    """The runs already in ``save``, if its settings are ``settings``; TableError if they are not."""
    if save is None or not save.exists():
        return pd.DataFrame(columns=[*COLUMNS, *MOTION])
    kept = read_table(save)
    theirs = _with_defaults(settings_of(kept))
    if unlike := difference(_with_defaults(settings), theirs):
        raise TableError(f"{save} holds runs of other settings ({unlike}): remove it or save elsewhere")
    return kept


def _with_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """``settings``, with the default of each that is lacking: it was made before there was that setting.

    The version is left out, as what changes the numbers comes as a new setting, and so are the steps of an
    epoch, which follow from the data and the batch.
    """
    data = settings.get("data", {})
    maker = MAKERS.get(data.get("data", ""))
    return {
        **_defaults(sweep),
        **settings,
        "data": (_defaults(maker) if maker else {}) | data,
        "version": "",
        "steps_per_epoch": 0,
    }


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The defaults of a function's settings."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if isinstance(p.default, int | float | str)}
