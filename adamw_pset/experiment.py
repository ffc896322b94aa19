"""The experiment of the problem set: which grid for which rule, on which data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from adamw_pset.data import Data, load_arrays, load_digits_data, make_data

Range = tuple[float, float]

# (learning rates, decays), chosen by measurement so that the good region lies inside.  The plain
# network is the one without normalisation.
RANGES: dict[str, tuple[Range, Range]] = {
    "sgd": ((10**-1.5, 10**1.5), (1e-4, 1e1)),
    "sgdw": ((10**-1.5, 10**1.5), (1e-3, 1e0)),
    "adam_l2": ((1e-3, 1e0), (1e-5, 1e1)),
    "adamw": ((1e-3, 1e0), (1e-3, 1e0)),
    "adamw_torch": ((1e-3, 1e0), (1e-2, 1e3)),
}
PLAIN_RANGES: dict[str, tuple[Range, Range]] = {
    "sgd": ((1e-3, 1e0), (1e-4, 1e0)),
    "sgdw": ((1e-3, 1e0), (1e-5, 1e-1)),
    "adam_l2": ((1e-4, 1e-1), (1e-5, 1e0)),
    "adamw": ((1e-4, 1e-1), (1e-5, 1e0)),
    "adamw_torch": ((1e-4, 1e-1), (1e-3, 1e2)),
}


def log_grid(low: float, high: float, n: int) -> list[float]:
    """``n`` numbers from ``low`` to ``high``, evenly spaced on a log axis.

    Raises ``ValueError`` unless 0 < low < high and n ≥ 2.
    """
    if not 0 < low < high < float("inf"):
        raise ValueError(f"range {low:g} to {high:g}: give two numbers with 0 < low < high")
    if n < 2:
        raise ValueError(f"grid of {n}: give at least 2 points")
    return [float(f"{value:.6g}") for value in np.geomspace(low, high, n)]


def ranges(optimizer: str, scale_invariant: bool = True) -> tuple[Range, Range]:
    """(lowest, highest) learning rate and decay for an optimizer of this name.

    A rule of another name gets the range of AdamW's.
    """
    known = RANGES if scale_invariant else PLAIN_RANGES
    return known.get(optimizer, known["adamw"])


def task_data(name: str, difficulty: str) -> Data | Callable[[int], Data]:
    """The data named ``name``: "synthetic" and "digits" are drawn anew for each seed, an .npz is fixed."""
    if name == "synthetic":
        return _by_seed(partial(make_data, difficulty))
    if name == "digits":
        return _by_seed(load_digits_data)
    if Path(name).suffix != ".npz":
        raise ValueError(f"data {name!r}: choose synthetic, digits or a file ending in .npz")
    return load_arrays(name)


def _by_seed(make: Callable[..., Data]) -> Callable[[int], Data]:
    return lambda seed: make(seed=seed)
