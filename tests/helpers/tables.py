"""Tables of maps with a known shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

LRS, DECAYS = np.logspace(-3, 0, 13), np.logspace(-5, 1, 25)
X, Y = np.log10(LRS)[:, None], np.log10(DECAYS)[None, :]


def diagonal(slope: float) -> Any:
    """A ridge of that slope through the middle of the map, Gaussian across it."""
    return 0.5 + 0.45 * np.exp(-((Y + 2 - slope * (X + 1.5)) ** 2) / 0.5)


RECTANGLE = np.where((np.abs(X + 1.5) < 0.8) & (np.abs(Y + 2) < 1.1), 0.95, 0.5)
CONSTANT = np.full((13, 25), 0.8)


def powers(a: float, b: float, factor: float = 10.0) -> Any:
    """A map of turns: factor · η^a λ^b."""
    return factor * 10 ** (a * X + b * Y)


def table(accuracy: Any, optimizer: str = "adamw", diverged: Any = None, turn: Any = np.nan) -> pd.DataFrame:
    """The table of a map (lr, decay), or of a stack of maps (seed, lr, decay)."""
    maps = np.asarray(accuracy).reshape(-1, *np.shape(accuracy)[-2:])
    seeds, lrs, decays = (index.ravel() for index in np.indices(maps.shape))
    rows = {"optimizer": optimizer, "lr": LRS[lrs], "decay": DECAYS[decays], "seed": seeds}
    for metric in ("val_accuracy", "val_loss", "train_accuracy", "train_loss"):
        rows[metric] = maps.ravel() if metric.endswith("accuracy") else -np.log(maps.ravel())
    rows["diverged"] = np.zeros(maps.size, bool) if diverged is None else np.asarray(diverged).ravel()
    rows["turn"] = np.broadcast_to(turn, maps.shape).ravel()
    rows["length"] = rows["turn"]
    return pd.DataFrame(rows)
