"""What happened inside a setting of the map: curves of a few runs, and two sliders to choose one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adamw_pset.display import show, sliders
from adamw_pset.maps.measures import accuracy_maps
from adamw_pset.maps.plots import METRIC_LABELS, OKABE_ITO, WIDTH, style

Setting = tuple[float, float]  # learning rate, decay
BEST = "#707070"
PANELS = {
    "accuracy": "accuracy",
    "loss": "loss (nats)",
    "turn": METRIC_LABELS["turn"],
    "length": "length of the weights ‖θ‖",
}


def draw_curves(history: pd.DataFrame, best: Setting | None = None) -> Figure:
    """Draw a table of ``curves``: accuracy and loss by epoch, turn and length by step, one colour a setting.

    Validation is solid, training (with its noisy labels) dashed; ``best`` is grey, and named.
    """
    runs = _runs(history)
    names = {(lr, decay): f"η = {lr:.2g}, λ = {decay:.2g}" for lr, decay in runs}
    colors = dict(zip((each for each in runs if each != best), OKABE_ITO * len(runs), strict=False))
    if best is not None and best in runs:
        names[best], colors[best] = f"best: {names[best]}", BEST
    with style():
        figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
        for ax, (panel, label) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
            for setting, run in runs.items():
                _draw(ax, panel, run, colors[setting], names[setting])
            ax.set(xlabel="epoch", ylabel=label)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            if panel in ("turn", "length"):
                ax.set_yscale("log")
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
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
        show(draw_curves(history, best), describe_curves(history))

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
    runs = _runs(history)
    with style():
        figure = Figure(figsize=(WIDTH, 8), layout="constrained")
        for ax, setting in zip(figure.subplots(3, 3, sharex=True, sharey=True).flat, settings, strict=True):
            _draw(ax, "accuracy", runs[best], BEST, "the best setting")
            _draw(ax, "accuracy", runs[setting], OKABE_ITO[0], "this one")
            ax.set_title(f"η = {setting[0]:.2g}, λ = {setting[1]:.2g}", fontsize="medium")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
        figure.supxlabel("epoch")
        figure.supylabel("accuracy: validation solid, training dashed")
    return figure


def _runs(history: pd.DataFrame) -> dict[Setting, pd.DataFrame]:
    return {(run["lr"].iloc[0], run["decay"].iloc[0]): run for _, run in history.groupby(["lr", "decay"])}


def _draw(ax: Axes, panel: str, run: pd.DataFrame, color: str, label: str) -> None:
    if panel in ("turn", "length"):
        ax.plot(run["epoch"], run[panel], color=color, lw=1, label=label)
        return
    ends = run[run["val_loss"].notna()]
    ax.plot(ends["epoch"], ends[f"val_{panel}"], ".-", color=color, lw=1.8, label=label)
    ax.plot(ends["epoch"], ends[f"train_{panel}"], ".--", color=color, lw=1.2)
