"""What happened inside a setting of the map: curves of a few runs, and two sliders to choose one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamw_pset.display import show, sliders
from adamw_pset.maps.measures import accuracy_maps
from adamw_pset.maps.plots import METRIC_LABELS, OKABE_ITO

Setting = tuple[float, float]  # learning rate, decay
PANELS = ("accuracy", "loss", "turn", "length")


def draw_curves(history: pd.DataFrame) -> Figure:
    """Draw a table of ``curves``: accuracy and loss by epoch, turn and length by step, one colour a setting.

    Validation is solid, training (with its noisy labels) dashed.
    """
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    for ax, panel in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        for color, ((lr, decay), run) in zip(OKABE_ITO * len(history), history.groupby(["lr", "decay"]), strict=False):
            _draw(ax, panel, run, color, f"η = {lr:.2g}, λ = {decay:.2g}")
        ax.set_xlabel("epoch")
        ax.set_ylabel(METRIC_LABELS.get(panel, {"length": "length of the weights ‖θ‖"}.get(panel, panel)))
        if panel in ("turn", "length"):
            ax.set_yscale("log")
    figure.axes[0].legend(fontsize="small")
    return figure


def describe_curves(history: pd.DataFrame) -> str:
    """The end of each run of a table of ``curves``, in words."""
    lines = []
    for (lr, decay), run in history.groupby(["lr", "decay"]):
        end, middle = run.iloc[-1], run[run["epoch"].between(*run["epoch"].quantile([0.4, 0.6]))]
        if np.isnan(end["val_accuracy"]) or np.isnan(end["length"]):
            lines.append(f"η = {lr:.2g}, λ = {decay:.2g}: diverged.")
            continue
        lines.append(
            f"η = {lr:.2g}, λ = {decay:.2g}: validation accuracy {end['val_accuracy']:.3f}, training accuracy (noisy "
            f"labels) {end['train_accuracy']:.3f}; a step turns the weights by {middle['turn'].mean():.2g}° half-way."
        )
    return " ".join(lines)


def best_setting(table: pd.DataFrame) -> Setting:
    """Learning rate and decay of the best mean accuracy of one optimizer."""
    lrs, decays, accuracy = accuracy_maps(table)
    row, column = np.unravel_index(accuracy.mean(axis=0).argmax(), accuracy.shape[1:])
    return float(lrs[row]), float(decays[column])


def open_map(table: pd.DataFrame, follow: Callable[[list[Setting]], pd.DataFrame]) -> Any:
    """Two sliders over the map of ``table`` (one optimizer), and the curves there beside those of its best setting.

    ``follow(settings)`` makes the table of ``curves``.  Without ipywidgets it shows the accuracies at nine settings.
    """
    lrs, decays, _ = accuracy_maps(table)
    best = best_setting(table)

    def redraw(lr: float, decay: float) -> None:
        history = follow(list(dict.fromkeys([best, (lr, decay)])))
        show(draw_curves(history), describe_curves(history))

    widget = sliders(redraw, lr=("η", lrs), decay=("decay λ", decays))
    if widget is None:
        nine = [(float(lr), float(decay)) for decay in _spread(decays)[::-1] for lr in _spread(lrs)]
        history = follow(list(dict.fromkeys([best, *nine])))
        show(_pictures(history, nine, best), describe_curves(history))
    return widget


def _spread(values: Any) -> list[float]:
    """The first, the middle and the last."""
    return [values[0], values[len(values) // 2], values[-1]]


def _pictures(history: pd.DataFrame, settings: list[Setting], best: Setting) -> Figure:
    figure = Figure(figsize=(11, 8), layout="constrained")
    runs = dict(iter(history.groupby(["lr", "decay"])))
    for ax, setting in zip(figure.subplots(3, 3, sharex=True, sharey=True).flat, settings, strict=True):
        _draw(ax, "accuracy", runs[best], "#a0a0a0", "the best setting")
        _draw(ax, "accuracy", runs[setting], OKABE_ITO[0], "this one")
        ax.set_title(f"η = {setting[0]:.2g}, λ = {setting[1]:.2g}", fontsize="medium")
    figure.axes[0].legend(fontsize="small")
    figure.supxlabel("epoch")
    figure.supylabel("accuracy: validation solid, training dashed")
    return figure


def _draw(ax: Axes, panel: str, run: pd.DataFrame, color: str, label: str) -> None:
    if panel in ("turn", "length"):
        ax.plot(run["epoch"], run[panel], color=color, lw=1, label=label)
        return
    ends = run[run["val_loss"].notna()]
    ax.plot(ends["epoch"], ends[f"val_{panel}"], ".-", color=color, lw=1.8, label=label)
    ax.plot(ends["epoch"], ends[f"train_{panel}"], ".--", color=color, lw=1.2)
