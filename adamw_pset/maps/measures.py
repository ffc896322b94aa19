"""What a heat map says, in numbers, each with a bootstrap interval over seeds.

A map is the mean validation accuracy over seeds on the grid of learning rates and decays.  A
setting at which any seed diverged is of no use to anyone: it counts as accuracy 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adamw_pset.table import check_table

Map = NDArray[np.float64]  # accuracy, (learning rates, decays), both ascending

TEMPERATURE = 0.01  # one point of accuracy: settings that close to a row's best count as its ridge
RESAMPLES = 1000
COVERAGE = 0.95


def accuracy_maps(table: pd.DataFrame) -> tuple[Map, Map, Map]:
    """Learning rates, decays and accuracies (seeds, learning rates, decays) of one optimizer.

    Raises ``ValueError`` unless there is a run for every setting and seed.
    """
    check_table(table)
    if (names := sorted(table["optimizer"].unique())) and len(names) > 1:
        raise ValueError(f"table holds {', '.join(names)}: give the runs of one optimizer")
    spoilt = table.groupby(["lr", "decay"])["diverged"].transform("any")
    accuracy = table["val_accuracy"].mask(spoilt, 0.0)
    cube = accuracy.set_axis(pd.MultiIndex.from_frame(table[["seed", "lr", "decay"]])).unstack("decay")
    lrs, seeds = np.unique(table["lr"]), np.unique(table["seed"])
    if cube.isna().any(axis=None) or len(cube) != len(lrs) * len(seeds):
        raise ValueError("some runs of the grid are missing: every seed needs every lr with every decay")
    values = cube.sort_index().to_numpy().reshape(len(seeds), len(lrs), -1)
    return lrs, np.sort(cube.columns.to_numpy(dtype=float)), values


def best_accuracy(accuracy: Map) -> float:
    """The accuracy at the best setting of the map."""
    return float(np.max(accuracy))


def good_fraction(accuracy: Map, threshold: float) -> float:
    """The share of the grid's settings with accuracy at least ``threshold``."""
    return float(np.mean(accuracy >= threshold))


def ridge(accuracy: Map, decays: Map) -> Map:
    """log10 of the best decay above 0 at each learning rate, NaN where the map does not show one.

    The centroid of log λ under weights exp((accuracy − best of the row)/0.01).  A row shows a ridge
    if decay matters in it (its worst setting lies at least 5 points below its best), the best is
    inside it (both ends lie at least half a point below) and comes within 5 points of the map's.
    """
    accuracy, decays = accuracy[:, decays > 0], decays[decays > 0]
    if accuracy.shape[1] == 0:
        return np.full(len(accuracy), np.nan)
    best = accuracy.max(axis=1)
    weight = np.exp((accuracy - best[:, None]) / TEMPERATURE)
    centre = (weight * np.log10(decays)).sum(axis=1) / weight.sum(axis=1)
    ends = np.maximum(accuracy[:, 0], accuracy[:, -1])
    shows = (best - accuracy.min(axis=1) >= 0.05) & (best - ends >= 0.005) & (best >= best.max() - 0.05)
    return np.where(shows, centre, np.nan)


def slope(accuracy: Map, lrs: Map, decays: Map) -> float:
    """d log λ / d log η along the ridge: the least-squares line through ``ridge``.

    NaN unless at least three learning rates show a ridge.  Theory for a scale-invariant network:
    −2 for Adam with ℓ2, −1 for SGD with ℓ2 and for AdamW in PyTorch's convention, 0 for SGDW and
    AdamW in the paper's.
    """
    y = ridge(accuracy, decays)
    shown = np.isfinite(y)
    if shown.sum() < 3:
        return float("nan")
    return float(np.polyfit(np.log10(lrs[shown]), y[shown], 1)[0])


def separability(accuracy: Map) -> float:
    """The share of the largest singular value in the sum of all: 1 for a map f(η)·h(λ)."""
    singular = np.linalg.svd(accuracy, compute_uv=False)
    return float(singular[0] / singular.sum()) if singular[0] > 0 else float("nan")


def two_line_regret(accuracy: Map) -> float:
    """What is lost by tuning one knob and then the other, against the best of the grid.

    From a random setting: search the line along one knob, keep its best, search the line along the
    other from there.  The loss of accuracy, averaged over all starts and both orders.
    """
    decay_first = accuracy.max(axis=0)[accuracy.argmax(axis=1)]
    lr_first = accuracy.max(axis=1)[accuracy.argmax(axis=0)]
    return float(accuracy.max() - (decay_first.mean() + lr_first.mean()) / 2)


def expected_best_of_8(accuracy: Map) -> float:
    """The expected best accuracy of random search: 8 different settings drawn from the grid.

    Exact: the k-th smallest of n is the largest of the draw with probability C(k−1, 7)/C(n, 8).
    On a grid of fewer than 8 settings, the best of all.
    """
    values = np.sort(accuracy, axis=None)
    n = len(values)
    if n <= 8:
        return float(values[-1])
    below = np.arange(n, dtype=float)  # how many values are smaller
    chance = np.ones(n) * 8 / n
    for i in range(7):
        chance *= np.clip(below - i, 0, None) / (n - 1 - i)
    return float(values @ chance)


class Asked(NamedTuple):
    """What a measure may need beside the accuracies: the axes of the map, and from where on a setting is good."""

    lrs: Map
    decays: Map
    threshold: float


MEASURES: dict[str, Callable[[Map, Asked], float]] = {
    "best_accuracy": lambda accuracy, _: best_accuracy(accuracy),
    "good_fraction": lambda accuracy, asked: good_fraction(accuracy, asked.threshold),
    "slope": lambda accuracy, asked: slope(accuracy, asked.lrs, asked.decays),
    "separability": lambda accuracy, _: separability(accuracy),
    "two_line_regret": lambda accuracy, _: two_line_regret(accuracy),
    "expected_best_of_8": lambda accuracy, _: expected_best_of_8(accuracy),
}


def tuning_card(table: pd.DataFrame, threshold: float = 0.9) -> pd.DataFrame:
    """What the maps say in numbers: one row an optimizer.

    Columns: those of ``MEASURES``, as defined by the functions of those names in this module (good_fraction: at
    least ``threshold``), each of the map of means over seeds; and for each a ``_low`` and a ``_high``: the 95 %
    percentile bootstrap interval over seeds (1,000 resamples, the same for every optimizer).
    With one seed, or where the measure itself is NaN, the bounds are NaN.  Few seeds make percentile
    intervals somewhat too narrow, and ``best_accuracy`` of a resample leans upwards, as the best of
    many noisy settings does.

    Raises ``ValueError`` for an incomplete grid or a threshold outside 0 … 1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold!r}: give an accuracy from 0 to 1")
    cards = {name: _card(runs, threshold) for name, runs in check_table(table).groupby("optimizer")}
    return pd.DataFrame.from_dict(cards, orient="index").rename_axis("optimizer")


def card_table(card: pd.DataFrame) -> pd.DataFrame:
    """A tuning card to read: a row a measure, a column an optimizer, cells ``value [low, high]``."""
    rows = {
        measure: [
            f"{row[measure]:.3f} [{row[f'{measure}_low']:.3f}, {row[f'{measure}_high']:.3f}]"
            for _, row in card.iterrows()
        ]
        for measure in MEASURES
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(card.index))


def _card(table: pd.DataFrame, threshold: float) -> dict[str, float]:
    lrs, decays, accuracy = accuracy_maps(table)

    asked = Asked(lrs, decays, threshold)

    def measure(a: Map) -> list[float]:
        return [of(a, asked) for of in MEASURES.values()]

    n = len(accuracy)
    draws = np.random.default_rng(0).integers(n, size=(RESAMPLES if n > 1 else 0, n))
    resampled = np.array([measure(accuracy[draw].mean(axis=0)) for draw in draws]).reshape(-1, len(MEASURES))
    tail = 100 * (1 - COVERAGE) / 2
    card: dict[str, float] = {}
    for name, value, values in zip(MEASURES, measure(accuracy.mean(axis=0)), resampled.T, strict=True):
        values = values[np.isfinite(values)]
        known = len(values) and np.isfinite(value)
        low, high = np.percentile(values, [tail, 100 - tail]) if known else (np.nan, np.nan)
        card |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return card
