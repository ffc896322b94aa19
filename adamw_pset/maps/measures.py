"""What the maps say, in numbers, each with an interval over seeds.

A map is a mean over seeds on the grid of learning rates and decays: of validation accuracy, or of the
turn.  A setting at which any seed diverged is of no use to anyone: it counts as accuracy 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from adamw_pset.table import check_table

Map = NDArray[np.float64]  # (learning rates, decays), both ascending

TEMPERATURE = 0.01  # one point of accuracy: settings that close to the best count as good as it
SETTLED = 0.02  # within 2 points of the map's best the decay has set the length of the weights
COVERAGE = 0.95
RESAMPLES = 400  # where there are too many to take them all: they tell a standard error to within 4 %


def accuracy_maps(table: pd.DataFrame) -> tuple[Map, Map, Map]:
    """Learning rates, decays and accuracies (seeds, learning rates, decays) of one optimizer.

    Raises ``ValueError`` unless there is a run for every setting and seed.
    """
    check_table(table)
    if (names := sorted(table["optimizer"].unique())) and len(names) > 1:
        raise ValueError(f"table holds {', '.join(names)}: give the runs of one optimizer")
    spoilt = table.groupby(["lr", "decay"])["diverged"].transform("any")
    accuracy = _by_seed(table, table["val_accuracy"].mask(spoilt, 0.0))
    if np.isnan(accuracy).any():
        raise ValueError("some runs of the grid are missing: every seed needs every lr with every decay")
    return np.unique(table["lr"]), np.unique(table["decay"]), accuracy


def turn_maps(table: pd.DataFrame) -> Map:
    """The turn (seeds, learning rates, decays) of one optimizer, in degrees; NaN where it was not measured."""
    return _by_seed(table, table["turn"] if "turn" in table.columns else table["lr"] * np.nan)


def _by_seed(table: pd.DataFrame, values: pd.Series[float]) -> Map:
    """``values``, one a run, as (seeds, learning rates, decays); NaN where a run is missing."""
    axes = [np.unique(table[name]) for name in ("seed", "lr", "decay")]
    cube = values.set_axis(pd.MultiIndex.from_frame(table[["seed", "lr", "decay"]]))
    cells = cube.reindex(pd.MultiIndex.from_product(axes)).to_numpy()
    return cells.astype(np.float64).reshape([len(axis) for axis in axes])


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


def best_of(values: Map, accuracy: Map) -> float:
    """The geometric mean of ``values`` over the best settings, those weighted by exp((accuracy − best)/0.01).

    With the turn for ``values``: by how much the best settings turn the weights.
    """
    known = np.isfinite(values) & (values > 0)  # not where runs diverged, which are far from the best
    if not known[accuracy >= accuracy.max() - TEMPERATURE].any():
        return float("nan")
    weight = np.exp((accuracy[known] - accuracy.max()) / TEMPERATURE)
    return float(np.exp(weight @ np.log(values[known]) / weight.sum()))


class Maps(NamedTuple):
    """What a measure may look at: the maps, their axes, and from where on a setting is good."""

    lrs: Map
    decays: Map
    accuracy: Map
    turn: Map  # in degrees
    timescale: Map  # 1/λ_w in epochs
    threshold: float


MEASURES: dict[str, Callable[[Maps], float]] = {
    "best_accuracy": lambda m: best_accuracy(m.accuracy),
    "good_fraction": lambda m: good_fraction(m.accuracy, m.threshold),
    "slope": lambda m: slope(m.accuracy, m.lrs, m.decays),
    "separability": lambda m: separability(m.accuracy),
    "two_line_regret": lambda m: two_line_regret(m.accuracy),
    "expected_best_of_8": lambda m: expected_best_of_8(m.accuracy),
    "best_turn": lambda m: best_of(m.turn, m.accuracy),
    "turn_lr_power": lambda m: turn_powers(m)[0],
    "turn_decay_power": lambda m: turn_powers(m)[1],
    "turn_slope": lambda m: -turn_powers(m)[0] / turn_powers(m)[1],
    "best_timescale": lambda m: best_of(m.timescale, m.accuracy),
}


def turn_powers(maps: Maps) -> tuple[float, float]:
    """a and b of turn ∝ η^a λ^b: least squares in the logs, over the settings within 2 points of the best.

    There the weights have settled, which the theory presupposes: its a and b are 0, 1/2 for AdamW, 2/3, 1/3 for
    Adam with ℓ2, 0, 1/2 for SGDW, and 1/2, 1/2 for SGD with ℓ2 and for AdamW in PyTorch's convention.  NaN
    where there are too few such settings to tell the two apart.
    """
    eta, lam = np.meshgrid(maps.lrs, maps.decays, indexing="ij")
    used = (maps.accuracy >= maps.accuracy.max() - SETTLED) & (maps.turn > 0) & (eta > 0) & (lam > 0)
    terms = np.column_stack([np.ones(used.sum()), np.log(eta[used]), np.log(lam[used])])
    if len(terms) < 6 or np.linalg.matrix_rank(terms) < 3:
        return float("nan"), float("nan")
    _, a, b = np.linalg.lstsq(terms, np.log(maps.turn[used]), rcond=None)[0]
    return float(a), float(b)


def tuning_card(table: pd.DataFrame, threshold: float = 0.9) -> pd.DataFrame:
    """What the maps say in numbers: one row an optimizer.

    Columns: those of ``MEASURES``, of the maps of means over seeds.  The first six are the functions of those names
    in this module (good_fraction: at least ``threshold``); best_turn is the turn of the best settings, in degrees;
    turn_lr_power and turn_decay_power are the a and b of turn ∝ η^a λ^b, and turn_slope is −a/b, the slope of the
    lines of equal turn; best_timescale is 1/λ_w of the best settings, the number of epochs over which their weights
    average (NaN for a penalty, which is no share of the weights).

    For each a ``_low`` and a ``_high``: a 95 % interval, ± Student's t with one degree of freedom less than there
    are seeds, times the bootstrap's standard error over seeds · √(n/(n − 1)).  For a mean over seeds that is the
    interval of the textbook, where percentiles of the bootstrap would be far too narrow with few seeds.  NaN under
    three seeds, or where the measure is NaN.

    Raises ``ValueError`` for an incomplete grid or a threshold outside 0 … 1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold!r}: give an accuracy from 0 to 1")
    epoch = table.attrs.get("steps_per_epoch", float("nan"))
    optimizers = table.attrs.get("optimizers", {})
    cards = {
        name: _card(runs, threshold, optimizers.get(name, {}).get("decay", ""), epoch)
        for name, runs in check_table(table).groupby("optimizer")
    }
    return pd.DataFrame.from_dict(cards, orient="index").rename_axis("optimizer")


def card_table(card: pd.DataFrame) -> pd.DataFrame:
    """A tuning card to read: a row a measure, a column an optimizer, cells ``value [low, high]``."""
    rows = {
        measure: [
            with_interval(row[measure], row[f"{measure}_low"], row[f"{measure}_high"], digits=3)
            for _, row in card.iterrows()
        ]
        for measure in MEASURES
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(card.index))


def with_interval(value: float, low: float, high: float, digits: int) -> str:
    """``value [low, high]`` with a true minus sign; the value alone where no interval is known, or a dash."""
    if not np.isfinite(value):
        return "–"
    texts = [f"{number + 0.0:.{digits}f}" for number in (value, low, high)]
    texts = [text.removeprefix("-") if float(text) == 0 else text.replace("-", "−") for text in texts]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if np.isfinite([low, high]).all() else texts[0]


def _card(table: pd.DataFrame, threshold: float, decay: str, steps_per_epoch: float) -> dict[str, float]:
    lrs, decays, accuracy = accuracy_maps(table)
    turn = turn_maps(table)
    share = {"weight_decay": np.ones_like(lrs), "torch_decay": lrs}.get(decay, lrs * np.nan)
    with np.errstate(divide="ignore"):
        timescale = 1 / (share[:, None] * decays[None, :] * steps_per_epoch)

    def measure(seeds: NDArray[np.int64]) -> list[float]:
        maps = Maps(lrs, decays, accuracy[seeds].mean(axis=0), turn[seeds].mean(axis=0), timescale, threshold)
        return [of(maps) for of in MEASURES.values()]

    n = len(accuracy)
    values, margin = np.array(measure(np.arange(n))), np.full(len(MEASURES), np.nan)
    if n >= 3:
        draws, weights = _resamples(n)
        resampled = np.ma.masked_invalid([measure(draw) for draw in draws])
        spread = resampled - np.ma.average(resampled, axis=0, weights=weights)
        error = np.ma.sqrt(n / (n - 1) * np.ma.average(spread**2, axis=0, weights=weights)).filled(np.nan)
        margin = stdtrit(n - 1, (1 + COVERAGE) / 2) * error
    card: dict[str, float] = {}
    for name, value, each in zip(MEASURES, values, margin, strict=True):
        card |= {name: value, f"{name}_low": value - each, f"{name}_high": value + each}
    return card


def _resamples(n: int) -> tuple[NDArray[np.int64], list[float]]:
    """Ways to draw ``n`` seeds from ``n`` with replacement, and how often each comes: all of them, up to five seeds."""
    if n > 5:
        return np.random.default_rng(0).integers(n, size=(RESAMPLES, n)), [1.0] * RESAMPLES
    draws = list(combinations_with_replacement(range(n), n))
    weights = [math.factorial(n) / math.prod(map(math.factorial, Counter(draw).values())) for draw in draws]
    return np.array(draws), weights
