"""Paths of update rules down a small valley: two sliders, or a grid of pictures without widgets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from adamw_pset.display import show, sliders
from adamw_pset.maps.plots import OKABE_ITO, WIDTH, style
from adamw_pset.rule import Rule, State, decay_name, rule_name

MINIMUM = (2.0, 1.0)
CURVATURE = (0.5, 8.0)  # along x and y: a valley that runs along x
START = (-1.5, 2.0)
STEPS = 100
LRS, DECAYS = (0.01, 0.05, 0.25), (0.001, 0.01, 0.1)  # of the pictures without widgets
DASHES = ("-", "--", ":", "-.")


def path(rule: Rule, lr: float, decay: float, steps: int = STEPS) -> NDArray[np.float64]:
    """θ_0 … θ_steps of ``rule`` in the valley, shape (steps + 1, 2).

    ``decay`` goes to whichever of ``l2``, ``weight_decay`` or ``torch_decay`` the rule takes.
    """
    theta = torch.tensor(START, dtype=torch.float64)
    curvature, minimum = torch.tensor(CURVATURE), torch.tensor(MINIMUM)
    state: Any = State.zeros(theta)
    points = [theta.clone()]
    for _ in range(steps):
        theta, state = rule(theta, curvature * (theta - minimum), state, lr=lr, **{decay_name(rule): decay})
        points.append(theta.detach().clone())
    return torch.stack(points).numpy()


def draw(rules: tuple[Rule, ...], lr: float, decay: float, ax: Axes) -> None:
    """Draw the valley and the path of each rule; a cross marks the minimum, a ring the origin."""
    paths = [path(rule, lr, decay) for rule in rules]
    x_range, y_range = _range(-2.2, 3.2, *paths, axis=0), _range(-1, 2.8, *paths, axis=1)
    x, y = np.meshgrid(np.linspace(*x_range, 120), np.linspace(*y_range, 90))
    loss = (CURVATURE[0] * (x - MINIMUM[0]) ** 2 + CURVATURE[1] * (y - MINIMUM[1]) ** 2) / 2
    ax.contour(x, y, loss, levels=np.geomspace(0.05, 25, 9), colors="#c4c4c4", linewidths=0.8)
    for rule, points, color, dashes in zip(rules, paths, OKABE_ITO, DASHES, strict=False):
        end = ", ".join(f"{value:.3g}" for value in points[-1])
        ax.plot(*points.T, dashes, color=color, lw=1.6, label=f"{rule_name(rule)}: ends at ({end})")
        ax.plot(*points[-1], "o", color=color, ms=6)
    ax.plot(*MINIMUM, "+", color="black", ms=11, mew=2)
    ax.plot(0, 0, "o", mfc="none", mec="black", ms=9)
    ax.set(xlim=x_range, ylim=y_range, title=f"η = {lr:.3g}, decay = {decay:.3g}")
    ax.title.set_fontsize("medium")


def _range(low: float, high: float, *paths: NDArray[np.float64], axis: int) -> tuple[float, float]:
    """From ``low`` to ``high``, or wider where a path leaves that, ten at most: it may be on its way to infinity."""
    values = np.concatenate([points[:, axis] for points in paths])
    values = np.clip(values[np.isfinite(values)], -10, 10)
    return min(low, float(values.min()) - 0.2), max(high, float(values.max()) + 0.2)


def pictures(*rules: Rule) -> Figure:
    """The valley at three learning rates (across) and three decays (down)."""
    with style():
        figure = Figure(figsize=(WIDTH, 8), layout="constrained")
        for row, decay in zip(figure.subplots(len(DECAYS), len(LRS)), DECAYS, strict=True):
            for ax, lr in zip(row, LRS, strict=True):
                draw(rules, lr, decay, ax)
        lines = figure.axes[0].get_legend_handles_labels()[0]
        figure.legend(lines, map(rule_name, rules), loc="outside lower center", ncols=4, frameon=False)
    return figure


def playground(*rules: Rule) -> Any:
    """Two sliders, learning rate and decay, and the paths of up to four ``rules``, drawn at once.

    Without ipywidgets it shows the figure of ``pictures``.
    """

    def redraw(lr: float, decay: float) -> None:
        with style():
            figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
            draw(rules, lr, decay, figure.subplots())
            figure.legend(loc="outside lower center", ncols=2, frameon=False)
        show(figure, f"Paths of the rules down the valley, learning rate {lr:.2g}, decay {decay:.2g}.")

    widget = sliders(redraw, lr=("η", np.geomspace(1e-3, 1, 31)), decay=("decay λ", np.geomspace(1e-4, 1, 41)))
    if widget is None:
        show(pictures(*rules), "Paths of the rules down the valley at three learning rates and three decays.")
    return widget
