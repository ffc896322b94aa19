"""Maps of a small convolutional network on digits: ``python docs/convolutions.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from torch import nn

from adamw_pset import Data, heatmaps, load_digits_data, log_grid, sweep, tuning_card, write_table
from adamw_pset.maps.plots import save_figure
from adamw_pset.optimizers import adam_l2, adamw
from adamw_pset.table import join


def convolutions() -> nn.Module:
    """Two convolutions and a last matrix, each followed by a normalisation without parameters."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(1, 8, affine=False),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(1, 16, affine=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 10, bias=False),
        nn.LayerNorm(10, elementwise_affine=False),
    )


def digits(seed: int) -> Data:
    return load_digits_data(seed=seed)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    tables = [
        sweep(rule, log_grid(1e-3, 1e0, 7), decays, digits, seeds=5, model=convolutions)
        for rule, decays in ((adam_l2, log_grid(1e-5, 1e1, 9)), (adamw, log_grid(1e-3, 1e0, 9)))
    ]
    table = join(tables)
    write_table(table, out / "heatmaps.csv")
    (out / "tuning.csv").write_text(tuning_card(table).to_csv())
    save_figure(heatmaps(*tables, metrics=("val_accuracy", "val_loss", "turn")), out / "heatmaps.png")
