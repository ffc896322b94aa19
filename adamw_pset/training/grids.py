"""The experiment of the problem set: which grid for which rule, on which data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adamw_pset.data import MAKERS, Data, load_arrays
from adamw_pset.registry import OPTIMIZERS, Range


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
    """(lowest, highest) learning rate and decay for an optimizer; ``ValueError`` if it has no row in the registry."""
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"no ranges are known for {optimizer}: give --lrs LOW HIGH and --decays LOW HIGH")
    row = OPTIMIZERS[optimizer]
    return (row.lrs, row.decays) if scale_invariant else (row.plain_lrs, row.plain_decays)


def task_data(name: str, knobs: Mapping[str, Any]) -> Data | Callable[[int], Data]:
    """The data named ``name``, with the given ``knobs``; an .npz is fixed, other data are drawn anew for each seed.

    ``synthetic`` takes the keywords of ``make_data``, ``digits`` those of ``load_digits_data``, a file none.
    Raises ``ValueError`` for a knob that the data do not have.
    """
    if name not in MAKERS and Path(name).suffix != ".npz":
        raise ValueError(f"data {name!r}: choose {', '.join(MAKERS)} or a file ending in .npz")
    make = MAKERS.get(name)
    known = [each for each in inspect.signature(make).parameters if each != "seed"] if make else []
    if unknown := [knob for knob in knobs if knob not in known]:
        raise ValueError(
            f"data {name} has no {', '.join(unknown)}: "
            + (f"its knobs are {', '.join(known)}" if known else "a file is taken as it is")
        )
    if make is None:
        return load_arrays(name)
    make(seed=0, **knobs)  # a knob out of range is told before anything is trained
    return lambda seed: make(seed=seed, **knobs)
