"""Figures from known tables: what is drawn where, and the files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers.tables import CONSTANT, DECAYS, LRS, diagonal, powers, table
from matplotlib.contour import ContourSet

from adamw_pset import heatmap, heatmaps
from adamw_pset.maps.plots import describe, draw_slope, save_figure, side_by_side


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def star(ax: Any) -> tuple[float, float]:
    (line,) = [line for line in ax.lines if line.get_marker() == "*"]
    return line.get_xdata()[0], line.get_ydata()[0]


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss", "train_accuracy", "train_loss"])
def test_star_and_colours_are_where_the_values_are(metric: str) -> None:
    accuracy = diagonal(-2)
    accuracy[4, 7] = 0.99
    ax = heatmap(table(accuracy), metric)
    assert star(ax) == pytest.approx((LRS[4], DECAYS[7]))
    mesh = ax.collections[0]
    values = accuracy if metric.endswith("accuracy") else -np.log(accuracy)
    np.testing.assert_allclose(mesh.get_array(), values.T)  # rows are decays, from low to high
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(np.sqrt(corners[0, :-1, 0] * corners[0, 1:, 0]), LRS)
    np.testing.assert_allclose(np.sqrt(corners[:-1, 0, 1] * corners[1:, 0, 1]), DECAYS)
    bright, dark = mesh.cmap(1.0)[:3], mesh.cmap(0.0)[:3]
    assert (sum(bright) > sum(dark)) == metric.endswith("accuracy")  # brighter is better


def test_ticks_are_powers_of_ten() -> None:
    ax = heatmap(table(diagonal(-2)))
    ax.figure.canvas.draw()
    assert [t.get_text() for t in ax.get_xticklabels()] == [f"$10^{{{k}}}$" for k in range(-3, 1)]
    assert [t.get_text() for t in ax.get_yticklabels()] == [f"$10^{{{k}}}$" for k in range(-5, 2)]
    assert ax.get_xscale() == ax.get_yscale() == "log"


@pytest.mark.parametrize(
    ("accuracy", "through"), [(diagonal(-1), None), (CONSTANT, "star")], ids=["through the ridge", "through the best"]
)
def test_a_predicted_slope_is_drawn_through_the_good_region(accuracy: Any, through: str | None) -> None:
    runs = table(accuracy)
    ax = heatmap(runs)
    limits = ax.get_ylim()
    draw_slope(ax, runs, -2.0, "your prediction")
    (line,) = [line for line in ax.lines if line.get_label() == "your prediction"]
    x, y = np.log10(line.get_xdata()), np.log10(line.get_ydata())
    assert np.polyfit(x, y, 1)[0] == pytest.approx(-2.0)
    if through == "star":
        point = star(ax)
    else:
        (crest,) = [line for line in ax.lines if line.get_marker() == "o"]
        point = tuple(10 ** np.log10(values).mean() for values in crest.get_data())
    assert np.interp(np.log10(point[0]), x, y) == pytest.approx(np.log10(point[1]))
    assert ax.get_ylim() == limits


def test_ridge_fit_and_slope_are_drawn() -> None:
    ax = heatmap(table(diagonal(-1)))
    (fit,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    x, y = np.log10(fit.get_xdata()), np.log10(fit.get_ydata())
    assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(-1, abs=2e-3)
    assert "slope −1.00" in ax.get_title()
    (crest,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(crest.get_xdata()) >= 10
    assert not [line for line in heatmap(table(CONSTANT)).lines if line.get_linestyle() == "--"]


def test_diverged_settings_are_hatched_not_averaged() -> None:
    maps = np.stack([diagonal(-2)] * 2)
    diverged = np.zeros(maps.shape, bool)
    diverged[0, 6, 12] = diverged[1, 0, 0] = True  # the best setting of all, and a corner
    maps[diverged] = np.nan
    ax = heatmap(table(maps, diverged=diverged))
    assert sum(c.get_hatch() is not None for c in ax.collections) == 2
    assert ax.collections[0].get_array().mask.sum() == 2
    assert star(ax) != pytest.approx((LRS[6], DECAYS[12]))
    everywhere = heatmap(table(maps * np.nan, diverged=np.ones(maps.shape, bool)))
    assert "every run diverged" in everywhere.get_title()


def test_optimizers_share_one_colour_scale() -> None:
    figure = heatmaps(table(diagonal(-2), "adam_l2"), table(0.9 * diagonal(0), "adamw"))
    maps = [ax for ax in figure.axes if ax.get_xlabel()]
    assert [ax.get_title().split(":")[0] for ax in maps] == ["Adam with ℓ2", "AdamW"] * 2
    for left, right in (maps[:2], maps[2:]):
        assert left.collections[0].norm.vmin == right.collections[0].norm.vmin
        assert left.collections[0].norm.vmax == right.collections[0].norm.vmax
    labels = [text.get_text() for text in figure.legends[0].texts]
    assert "best setting" in labels
    assert "diverged" not in labels


def test_lines_of_equal_turn_and_the_sentence_below() -> None:
    runs = table(diagonal(-1), turn=powers(0.5, 0.5, 10**2.75))  # along the ridge 10 degrees
    figure = heatmaps(runs, metrics=("val_accuracy", "turn"))
    for ax in (ax for ax in figure.axes if ax.get_xlabel()):
        (lines,) = [c for c in ax.collections if isinstance(c, ContourSet) and len(c.levels) == 2]
        np.testing.assert_allclose(lines.levels, [5, 20], rtol=1e-3)
        for path, degrees in zip(lines.get_paths(), lines.levels, strict=True):
            eta, lam = path.vertices[:-1].T
            np.testing.assert_allclose(10**2.75 * np.sqrt(eta * lam), degrees, rtol=0.05)  # drawn between grid points
    assert figure.legends[0].get_title().get_text().endswith("AdamW 10.0")
    assert "best settings turn 10.0°" in [ax.get_title() for ax in figure.axes][1].split("AdamW: ")[1]
    for metrics in (("val_accuracy",), ("val_accuracy", "val_loss")):
        assert "turn" not in str(heatmaps(runs, metrics=metrics).legends[0].get_title().get_text())
    unmeasured = heatmaps(table(diagonal(-1)), metrics=("turn",))  # of an old table: empty, and no error
    unmeasured.canvas.draw()


def test_where_weights_do_not_turn_is_not_where_they_diverged() -> None:
    turn = powers(0.5, 0.5)
    turn[0, 0] = np.nan
    diverged = np.zeros((1, 13, 25), bool)
    for gone, labels in ((False, ["no turn: weights 0, or too large"]), (True, ["diverged"])):
        diverged[0, 0, 0] = gone
        runs = table(np.where(diverged[0], np.nan, diagonal(-1)), diverged=diverged, turn=turn)
        figure = heatmaps(runs, metrics=("val_accuracy", "turn"))
        hatched = [[c.get_hatch() for c in ax.collections if c.get_hatch()] for ax in figure.axes[:2]]
        assert hatched == ([["////"], ["////"]] if gone else [[], ["..."]])
        assert [text.get_text() for text in figure.legends[0].texts][5:] == labels


def test_side_by_side_has_one_scale_one_second_axis_and_a_legend() -> None:
    pairs = {
        name: [table(height * diagonal(-2), "adam_l2"), table(height * diagonal(0))]
        for name, height in (("easy", 1.0), ("hard", 0.8))
    }
    for _, adamw in pairs.values():
        adamw.attrs = {"steps_per_epoch": 32, "optimizers": {"adamw": {"decay": "weight_decay"}}}
    figure = side_by_side(pairs)
    assert [ax.get_title().split(",")[0] for ax in figure.axes[:4]] == ["easy: best 0.950", "hard: best 0.760"] * 2
    assert len({ax.collections[0].norm for ax in figure.axes[:4]}) == 1
    assert [ax.yaxis.get_visible() for ax in figure.axes if "epochs" in ax.get_ylabel()] == [False, True]
    assert "accuracy 90%" in [text.get_text() for text in figure.legends[0].texts]


def test_the_second_axis_counts_epochs() -> None:
    runs = table(diagonal(0))
    assert len(heatmap(runs).figure.axes) == 2  # map and colour bar
    for decay, axes in (("weight_decay", 3), ("l2", 2)):
        runs.attrs = {"steps_per_epoch": 32, "optimizers": {"adamw": {"decay": decay}}}
        figure = heatmap(runs).figure
        assert len(figure.axes) == axes
        for second in [ax for ax in figure.axes if "epochs" in ax.get_ylabel()]:
            np.testing.assert_allclose(np.multiply(second.get_ylim(), figure.axes[0].get_ylim()), 1 / 32)


def test_single_rows_zero_decay_and_one_run_can_be_drawn() -> None:
    whole = table(diagonal(-2))
    for part in (whole[whole["lr"] == LRS[0]], whole[whole["decay"] == DECAYS[3]], whole.iloc[:1]):
        heatmap(part).figure.canvas.draw()
    zero = whole.assign(decay=whole["decay"].where(whole["decay"] > DECAYS[0], 0.0))
    heatmap(zero).figure.canvas.draw()


def test_words_say_what_the_map_shows() -> None:
    text = describe(table(diagonal(-2)))
    for words in ("13 learning rates from 0.001 to 1", "25 decays", "Best 0.950", "slope −2.00"):
        assert words in text


def test_files_are_whole_and_repeatable(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "a.png"):
        save_figure(heatmaps(table(diagonal(-2))), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.svg", "b.svg"]


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="metric='accuracy': choose one of val_accuracy"):
        heatmap(table(CONSTANT), "accuracy")
    with pytest.raises(ValueError, match="metric='turn': this table was saved before it was measured"):
        heatmap(table(CONSTANT).drop(columns="turn"), "turn")
    with pytest.raises(ValueError, match="give the runs of one optimizer"):
        heatmap(table(CONSTANT).assign(optimizer=["a"] * 300 + ["b"] * 25))


def test_a_decay_of_0_has_a_row_of_its_own_and_may_have_the_star() -> None:
    runs = table(diagonal(-2))
    runs.loc[runs["decay"] == DECAYS[0], "decay"] = 0.0
    runs.loc[(runs["decay"] == 0) & (runs["lr"] == LRS[4]), "val_accuracy"] = 0.999
    ax = heatmap(runs)
    assert star(ax) == pytest.approx((LRS[4], DECAYS[1] ** 2 / DECAYS[2]))
    ax.figure.canvas.draw()
    labels = {label.get_text(): place for label, place in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}
    assert labels["0"] == pytest.approx(DECAYS[1] ** 2 / DECAYS[2])
    assert "$10^{0}$" in labels


def test_without_latex_a_figure_is_drawn_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with matplotlib.rc_context({"text.usetex": True}):
        with pytest.warns(UserWarning, match="drawn without it"):
            figure = heatmaps(table(diagonal(-2)))
        save_figure(figure, tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 1000
