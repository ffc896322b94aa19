"""Curves: the sweep's own runs, with what happened on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import nn

from adamw_pset import make_data
from adamw_pset import optimizers as O
from adamw_pset.rule import RuleError
from adamw_pset.table import METRICS
from adamw_pset.training.curves import curves
from adamw_pset.training.sweep import sweep

DATA = make_data(classes=4, clusters=2, n_train=160, n_val=100, dim=6)
SMALL: dict[str, Any] = {"epochs": 3, "batch_size": 32}


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 4))


@pytest.mark.parametrize("network", [{"width": 8}, {"model": normed}], ids=["default", "model"])
def test_curves_end_where_the_sweep_does(network: dict[str, Any]) -> None:
    table = sweep(O.adam_l2, [0.01, 0.1], [1e-2], DATA, seeds=[3], progress=False, **SMALL, **network)
    history = curves(O.adam_l2, [(0.1, 1e-2), (0.01, 1e-2)], DATA, seed=3, **SMALL, **network)
    assert len(history) == 2 * 3 * 5
    for (lr, decay), run in history.groupby(["lr", "decay"]):
        (row,) = table[(table["lr"] == lr) & (table["decay"] == decay)].itertuples()
        assert run["step"].tolist() == list(range(1, 16))
        assert run["epoch"].iloc[-1] == 3
        np.testing.assert_array_equal(np.flatnonzero(run[METRICS].notna().all(axis=1)), [4, 9, 14])
        # The same arithmetic in another stack of runs: rounding alone.
        found = run.iloc[-1][[*METRICS, "length"]].astype(float)
        np.testing.assert_allclose(found, [getattr(row, name) for name in found.index], rtol=1e-4)
        # The sweep takes the turn of steps 6 to 9, counted from 0, every fourth one: the first alone.
        assert run["turn"].iloc[6] == pytest.approx(row.turn, rel=1e-4)


def test_what_diverged_is_nan() -> None:
    history = curves(O.sgdw, [(0.1, 1e30)], DATA, width=8, scale_invariant=False, **SMALL)
    assert history.iloc[-1][[*METRICS, "turn", "length"]].isna().all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: curves(O.adamw, [], DATA), ValueError, "lr=[]: give different finite numbers"),
        (lambda: curves(O.adamw, [0.1], DATA), ValueError, "settings=[0.1]: give pairs (lr, decay)"),
        (lambda: curves(O.adamw, [(0.1, 0.1)] * 2, DATA), ValueError, "give different pairs"),
        (lambda: curves(O.adamw, [(0.1, -1)], DATA), ValueError, "decay=[-1.0]"),
        (lambda: curves(O.adamw, [(0.1, 1)], DATA, seed=-1), ValueError, "seeds=[-1]"),
        (lambda: curves(O.adamw, [(0.1, 1)], DATA, epochs=0), ValueError, "epochs=0"),
        (lambda: curves(O.adam, [(0.1, 1)], DATA), RuleError, "adam takes no decay"),
    ],
)
def test_errors_name_the_argument(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)
