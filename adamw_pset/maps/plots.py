"""Heat maps over learning rate × decay: a table in, axes out."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from numpy.typing import NDArray

from adamw_pset.maps.measures import accuracy_maps, best_of, ridge, slope, tuning_card, turn_maps, with_interval
from adamw_pset.registry import DECAY_SYMBOLS, OPTIMIZERS
from adamw_pset.table import check_table

METRIC_LABELS = {
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss (nats)",
    "train_accuracy": "training accuracy",
    "train_loss": "training loss (nats)",
    "turn": "turn (degrees a step)",
}
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # told apart by the colour-blind
INK, PAPER = "#1a1a1a", "white"
GUESS = "#E69F00"  # orange: apart from every colour of the maps
TURN = "#C2185B"  # crimson, outlined in white: told apart from the contour in the dark, too
GREY, DARK_GREY = "#bdbdbd", "#6b6b6b"
DIVERGED, NO_TURN = "////", "..."  # hatches
GOOD = 0.9  # the accuracy that the contour marks
WIDTH = 9.4  # of a figure in inches, at which its letters are as large as those of a notebook


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Within it, figures are drawn with letters that can be read in a notebook and on a page."""
    _do_without_missing_latex()
    with sns.axes_style("ticks"), sns.plotting_context("notebook"):
        yield


def heatmap(
    table: pd.DataFrame,
    metric: str = "val_accuracy",
    ax: Axes | None = None,
    *,
    norm: Normalize | None = None,
    colorbar: bool = True,
) -> Axes:
    """Draw the mean of ``metric`` over seeds for each learning rate and decay of one optimizer.

    Brighter is better, for losses too.  A star marks the best setting; on accuracies, circles mark
    the ridge (the best decay of each learning rate, where the row shows one), the dashed line is
    its fit, and the solid line the contour at accuracy 90 %.  On the map of the turn the star marks
    the setting of the best accuracy.  A second axis of λ_w tells over how many epochs weights average,
    1/λ_w.  Settings at which a run diverged are grey and hatched; on the map of the turn,
    dots mark those whose weights were 0, or too large for float32, on the way.
    ``norm`` is the colour scale (default: this table's range), drawn beside the map if ``colorbar``.
    Raises ``ValueError`` for several optimizers, an incomplete grid or an unknown metric.
    """
    if metric not in METRIC_LABELS:
        raise ValueError(f"metric={metric!r}: choose one of {', '.join(METRIC_LABELS)}")
    if metric not in table.columns:
        raise ValueError(f"metric={metric!r}: this table was saved before it was measured")
    _do_without_missing_latex()
    lrs, decays, accuracy = accuracy_maps(table)
    values = _means(table, metric)
    better_is_less = metric.endswith("loss")
    if ax is None:
        _, ax = plt.subplots(figsize=(4.6, 3.8), layout="constrained")
    rows = _on_log_axis(decays)
    x, y = _edges(lrs), _edges(rows)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_facecolor(GREY)
    mesh = ax.pcolormesh(
        x,
        y,
        np.ma.masked_invalid(values.T),
        norm=norm or color_norm([table], metric),
        rasterized=True,
        cmap="magma" if metric == "turn" else "viridis_r" if better_is_less else "viridis",
    )
    diverged = np.isnan(_means(table, "val_accuracy"))
    _hatch(ax, x, y, diverged, DIVERGED)
    _hatch(ax, x, y, np.isnan(values) & ~diverged, NO_TURN)
    if metric == "val_accuracy":
        mean = accuracy.mean(axis=0)
        _draw_contour(ax, lrs, decays, np.where(np.isnan(values), np.nan, mean), GOOD)
        _draw_ridge(ax, lrs, decays, mean)
    if np.isfinite(values).any():
        ranked = accuracy.mean(axis=0) if metric == "turn" else -values if better_is_less else values
        row, column = np.unravel_index(np.nanargmax(ranked), values.shape)
        ax.plot(lrs[row], rows[column], "*", color=PAPER, mec=INK, mew=0.9, ms=15, zorder=5)
        title = f"{_title(table)}: best {values[row, column]:.3f}"
        fit = slope(accuracy.mean(axis=0), lrs, decays)
        if metric == "turn":
            title = f"{_title(table)}: best settings turn {_best_turn(table):.1f}°"
        elif metric == "val_accuracy" and np.isfinite(fit):
            title += f", slope {_signed(fit)}"
    else:
        title = f"{_title(table)}: {'every run diverged' if table['diverged'].all() else 'not measured'}"
    ax.set(xlabel="learning rate η", ylabel=_decay_label(table), xlim=x[[0, -1]], ylim=y[[0, -1]])
    ax.set_title(title, fontsize="medium")
    _power_ticks(ax)
    if decays[0] == 0:
        ticks = [tick for tick in ax.get_yticks() if tick >= y[1]]
        ax.set_yticks([rows[0], *ticks], ["0", *(f"$10^{{{round(np.log10(tick))}}}$" for tick in ticks)])
    if metric == "val_accuracy":
        _second_axis(ax, table)
    if colorbar:
        ax.figure.colorbar(mesh, ax=ax, label=METRIC_LABELS[metric], pad=0.02)
    return ax


def heatmaps(*tables: pd.DataFrame, metrics: tuple[str, ...] = ("val_accuracy", "val_loss")) -> Figure:
    """Heat maps side by side: a column for each optimizer, a row for each metric.

    ``tables`` hold one optimizer or several.  A metric has one colour scale for all optimizers.  With the
    metric ``turn``, lines of equal turn lie over the accuracies too, and a sentence below says by how much
    the best settings turn the weights.
    """
    parts = [part for table in tables for _, part in check_table(table).groupby("optimizer", sort=False)]
    for part in parts:
        _keep_settings(part, tables)
    with style():
        figure, axes = plt.subplots(
            len(metrics),
            len(parts),
            squeeze=False,
            layout="constrained",
            figsize=((WIDTH - 0.8) / 2 * len(parts) + 0.8, 3.6 * len(metrics) + 0.4),
        )
        for row, metric in zip(axes, metrics, strict=True):
            norm = color_norm(parts, metric)
            for ax, part in zip(row, parts, strict=True):
                heatmap(part, metric, ax, norm=norm, colorbar=False)
                if metric in ("val_accuracy", "turn") and "turn" in metrics:
                    draw_turns(ax, part)
            mesh = row[0].collections[0]
            figure.colorbar(mesh, ax=list(row), label=METRIC_LABELS[metric], pad=0.015, aspect=22)
        turns = "turn" in metrics
        figure.legend(
            handles=_legend(parts, turns),
            title=turns_in_words(*parts) if turns else None,
            loc="outside lower center",
            ncols=2 if len(parts) > 1 else 1,
            frameon=False,
        )
    return figure


def side_by_side(tables: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Accuracy maps on one colour scale: a column for each name, a row for each of its tables (one optimizer each)."""
    parts = [list(column) for column in tables.values()]
    shown = [table for column in parts for table in column]
    norm = color_norm(shown, "val_accuracy")
    with style():
        rows, columns = len(parts[0]), len(parts)
        figure, axes = plt.subplots(
            rows, columns, squeeze=False, sharey="row", layout="constrained", figsize=(WIDTH, 3.1 * rows + 0.8)
        )
        for column, name, each in zip(axes.T, tables, parts, strict=True):
            for ax, table in zip(column, each, strict=True):
                heatmap(table, ax=ax, norm=norm, colorbar=False)
                ax.set_title(f"{name}: {ax.get_title().removeprefix(f'{_title(table)}: ')}", fontsize="small")
        for ax, table in zip(axes[:, 0], parts[0], strict=True):
            ax.set_ylabel(f"{_title(table)}\n{ax.get_ylabel()}")
        for ax in axes.flat:
            ax.label_outer()
        for second in figure.axes[axes.size :]:
            place = second.get_subplotspec()
            second.yaxis.set(visible=place is not None and place.is_last_col())
        figure.colorbar(axes[0, 0].collections[0], ax=axes, label=METRIC_LABELS["val_accuracy"], aspect=40, pad=0.015)
        figure.legend(handles=_legend(shown, turns=False), loc="outside lower center", ncols=2, frameon=False)
    return figure


def draw_slope(ax: Axes, table: pd.DataFrame, slope: float, label: str) -> None:
    """Draw a line of this slope (d log λ / d log η) into the map of ``table``, through its good region.

    It goes through the middle of the ridge, or through the best setting where there is no ridge.
    Raises ``ValueError`` if ``slope`` is not a number.
    """
    lrs, decays, accuracy = accuracy_maps(table)
    mean = accuracy.mean(axis=0)
    crest = ridge(mean, decays)
    shown = np.isfinite(crest)
    if shown.any():
        x, y = np.log10(lrs[shown]).mean(), crest[shown].mean()
    else:
        row, column = np.unravel_index(mean.argmax(), mean.shape)
        x, y = np.log10(lrs[row]), np.log10(_on_log_axis(decays)[column])
    if isinstance(slope, bool) or not isinstance(slope, int | float | np.number) or not np.isfinite(slope):
        raise ValueError(f"slope={slope!r}: give a number, such as -1 or 0.5")
    limits = ax.get_xlim(), ax.get_ylim()
    line = 10 ** (y + slope * (np.log10(lrs) - x))
    ax.plot(
        lrs,
        line,
        "-",
        color=GUESS,
        lw=2.4,
        label=label,
        zorder=3,
        path_effects=[patheffects.withStroke(linewidth=4.2, foreground=INK)],
    )
    ax.set(xlim=limits[0], ylim=limits[1])
    ax.legend(loc="lower left", fontsize="small")


def draw_turns(ax: Axes, table: pd.DataFrame) -> None:
    """Draw two lines of equal turn into a map of ``table``: half of what its best settings turn, and twice it."""
    lrs, decays, _ = accuracy_maps(table)
    turn, best = turn_maps(table).mean(axis=0), _best_turn(table)
    inside = np.ma.masked_invalid(turn[:, decays > 0].T)
    if not np.isfinite(best) or min(inside.shape) < 2:
        return
    outline: list[patheffects.AbstractPathEffect] = [patheffects.withStroke(linewidth=3.4, foreground=PAPER)]
    levels = [best / 2, 2 * best]
    lines = ax.contour(lrs, decays[decays > 0], inside, levels, colors=TURN, linewidths=1.8, linestyles="dotted")
    lines.set_path_effects(outline)
    longest = [max(pieces, key=len) for pieces in lines.allsegs if pieces]
    middles = [tuple(piece[len(piece) // 2]) for piece in longest if len(piece)]
    degrees = FuncFormatter(lambda value, _: f"{value:.1f}°")
    for label in ax.clabel(lines, fmt=degrees, fontsize="small", colors=TURN, manual=middles):
        label.set(path_effects=outline, fontweight="bold")


def turns_in_words(*tables: pd.DataFrame) -> str:
    """By how much the best settings of each optimizer turn the weights, with 95 % intervals over seeds."""
    turns = []
    for table in tables:
        card = tuning_card(table).iloc[0]
        turn = with_interval(card.best_turn, card.best_turn_low, card.best_turn_high, digits=1)
        turns.append(f"{_title(table)} {turn}")
    return f"By so many degrees a step the best settings turn the weights:\n{', '.join(turns)}"


def color_norm(tables: list[pd.DataFrame], metric: str) -> Normalize:
    """One colour scale for ``metric`` in all tables.

    The few worst settings share the darkest colour, so that the others can be told apart.
    """
    values = np.concatenate([_means(table, metric).ravel() for table in tables])
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return Normalize(0, 1)
    if values.min() == values.max():
        return Normalize(0, max(1, values.max()))
    if metric == "turn":
        return LogNorm(np.percentile(values, 3), values.max())
    if metric.endswith("loss"):
        return Normalize(values.min(), np.percentile(values, 95))
    return Normalize(np.percentile(values, 3), values.max())


def describe(table: pd.DataFrame, threshold: float = GOOD) -> str:
    """The accuracy map of one optimizer in words: a text alternative for those who cannot see it."""
    lrs, decays, accuracy = accuracy_maps(table)
    mean = accuracy.mean(axis=0)
    row, column = np.unravel_index(mean.argmax(), mean.shape)
    good = mean >= threshold
    lines = [
        f"{_title(table)}: heat map of validation accuracy over {len(lrs)} learning rates from {lrs[0]:.2g} "
        f"to {lrs[-1]:.2g} and {len(decays)} decays from {decays[0]:.2g} to {decays[-1]:.2g}, "
        f"{'one seed' if len(accuracy) == 1 else f'mean of {len(accuracy)} seeds'}.",
        f"Best {mean.max():.3f} at η = {lrs[row]:.2g}, λ = {decays[column]:.2g}; worst {mean.min():.3f}; "
        f"{good.mean():.0%} of the settings reach {threshold:.0%}.",
    ]
    fit = slope(mean, lrs, decays)
    if np.isfinite(fit):
        moves = f"moves the best decay by a factor of 10^{fit:.1f}"
        if abs(fit) < 0.1:
            moves = "leaves the best decay where it is"
        lines.append(f"The good region has slope {_signed(fit)}: ten times the learning rate {moves}.")
    if np.isfinite(turn := _best_turn(table)):
        lines.append(f"The best settings turn the weights by {turn:.1f}° a step.")
    if table["diverged"].any():
        lines.append(f"{int(table['diverged'].sum())} of {len(table)} runs diverged.")
    return " ".join(lines)


def save_figure(figure: Figure, path: Path) -> None:
    """Write ``figure`` to ``path`` whole or not at all; the same figure gives the same SVG."""
    metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        with matplotlib.rc_context({"svg.hashsalt": "adamw_pset", "svg.fonttype": "none"}):
            figure.savefig(draft, dpi=200, metadata=metadata)
        os.replace(draft, path)


def _second_axis(ax: Axes, table: pd.DataFrame) -> None:
    """Beside λ_w: over how many epochs the weights average."""
    steps = table.attrs.get("steps_per_epoch")
    if steps is None or _decay(table) != "weight_decay":
        return
    epochs = ax.twinx()
    epochs.set_yscale("log")
    epochs.set_ylim(*(1 / (decay * steps) for decay in ax.get_ylim()))
    epochs.set_ylabel("1/λ$_w$ in epochs", fontsize="small")
    epochs.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    epochs.yaxis.set_minor_locator(NullLocator())
    epochs.tick_params(labelsize="small")


def _best_turn(table: pd.DataFrame) -> float:
    return best_of(turn_maps(table).mean(axis=0), accuracy_maps(table)[2].mean(axis=0))


def _signed(number: float) -> str:
    """With a sign, a true minus, unless it rounds to zero."""
    text = f"{number:+.2f}".replace("-", "−")
    return text[1:] if float(f"{number:.2f}") == 0 else text


def _means(table: pd.DataFrame, metric: str) -> NDArray[np.float64]:
    """Mean over seeds, (learning rates, decays); NaN where any seed diverged."""
    values = table[metric].where(~table["diverged"]).astype(float)
    grid = values.groupby([table["lr"], table["decay"]]).agg(lambda v: v.mean(skipna=False))
    return grid.unstack("decay").sort_index().sort_index(axis=1).to_numpy()


def _do_without_missing_latex() -> None:
    """A matplotlibrc may ask for LaTeX on a machine that has none."""
    if matplotlib.rcParams["text.usetex"] and shutil.which("latex") is None:
        warnings.warn("matplotlib is set to use LaTeX, and there is none here: drawn without it", stacklevel=3)
        matplotlib.rcParams["text.usetex"] = False


def _on_log_axis(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where ``values``, in order, stand on a log axis: a 0 one step below the least other."""
    if values[0] > 0:
        return values
    below = values[1] ** 2 / values[2] if len(values) > 2 else values[1] / 10 if len(values) > 1 else 1.0
    return np.asarray([below, *values[1:]])


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Borders of cells around ``values`` on a log axis."""
    logs = np.log10(values)
    if len(logs) == 1:
        return np.asarray(10 ** (logs[0] + np.array([-0.5, 0.5])))
    middle = (logs[1:] + logs[:-1]) / 2
    return np.asarray(10 ** np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))


def _draw_contour(
    ax: Axes, lrs: NDArray[np.float64], decays: NDArray[np.float64], mean: NDArray[np.float64], level: float
) -> None:
    positive = decays > 0
    inside = mean[:, positive]
    if min(inside.shape) > 1 and (inside < level).any() and (inside > level).any():
        lines = ax.contour(lrs, decays[positive], inside.T, levels=[level], colors=PAPER, linewidths=1.8)
        lines.set_path_effects([patheffects.withStroke(linewidth=3.4, foreground=INK)])


def _draw_ridge(ax: Axes, lrs: NDArray[np.float64], decays: NDArray[np.float64], mean: NDArray[np.float64]) -> None:
    crest = ridge(mean, decays)
    shown = np.isfinite(crest)
    outline = [patheffects.withStroke(linewidth=3.2, foreground=PAPER)]
    if shown.sum() >= 3:
        fit = np.polynomial.Polynomial.fit(np.log10(lrs[shown]), crest[shown], 1)
        ends = lrs[shown][[0, -1]]
        ax.plot(ends, 10 ** fit(np.log10(ends)), "--", color=INK, lw=1.6, path_effects=outline, zorder=3)
    ax.plot(lrs[shown], 10 ** crest[shown], "o", color=INK, mec=PAPER, ms=5, mew=0.9, zorder=4)


def _hatch(ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], where: NDArray[np.bool_], hatch: str) -> None:
    for i, j in np.argwhere(where):
        ax.fill_between(x[i : i + 2], y[j], y[j + 1], facecolor="none", edgecolor=DARK_GREY, hatch=hatch, lw=0)


def _legend(parts: list[pd.DataFrame], turns: bool) -> list[Any]:
    def line(**style: Any) -> Any:
        return Line2D([], [], **style)

    handles = [
        line(marker="*", ls="", color=PAPER, mec=INK, ms=13, label="best setting"),
        line(marker="o", ls="", color=INK, ms=5, label="ridge: best decay of a learning rate"),
        line(ls="--", color=INK, lw=1.6, label="line fitted to the ridge"),
        line(
            ls="-",
            color=PAPER,
            lw=2,
            label=f"accuracy {GOOD:.0%}",
            path_effects=[patheffects.withStroke(linewidth=3.4, foreground=INK)],
        ),
    ]
    if turns:
        words = "half, and twice, the best settings' turn"
        handles.append(line(ls=":", color=TURN, lw=1.8, label=words))
    hatched = {"diverged": (DIVERGED, any(part["diverged"].any() for part in parts))}
    if turns:
        unknown = any((part["turn"].isna() & ~part["diverged"]).any() for part in parts)
        hatched["no turn: weights 0, or too large"] = (NO_TURN, unknown)
    for label, (hatch, there) in hatched.items():
        if there:
            handles.append(Patch(facecolor=GREY, edgecolor=DARK_GREY, hatch=hatch, label=label))
    return handles


def _power_ticks(ax: Axes) -> None:
    """A labelled tick at each power of ten (every second or third on a long axis)."""
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        powers = np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
        axis.set_major_locator(FixedLocator(list(10.0 ** powers[:: 1 + len(powers) // 9])))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"$10^{{{round(np.log10(value))}}}$"))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())


def _keep_settings(part: pd.DataFrame, tables: tuple[pd.DataFrame, ...]) -> None:
    name = part["optimizer"].iloc[0]
    for table in tables:
        if name in set(table["optimizer"]):
            part.attrs = dict(table.attrs)


def _title(table: pd.DataFrame) -> str:
    name = str(table["optimizer"].iloc[0])
    return OPTIMIZERS[name].title if name in OPTIMIZERS else name


def _decay_label(table: pd.DataFrame) -> str:
    return DECAY_SYMBOLS.get(_decay(table), "decay λ")


def _decay(table: pd.DataFrame) -> str:
    """Which of the decays the optimizer takes, or nothing where the table does not know."""
    return str(table.attrs.get("optimizers", {}).get(str(table["optimizer"].iloc[0]), {}).get("decay", ""))
