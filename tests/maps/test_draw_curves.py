"""Curves of chosen settings, with sliders and without."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers.tables import DECAYS, LRS, diagonal, table

from adamw_pset.maps import curves, playground
from adamw_pset.rule import Rule


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def history(settings: list[tuple[float, float]]) -> pd.DataFrame:
    """Two epochs of two steps, with an accuracy that tells the setting."""
    rows = []
    for lr, decay in settings:
        for step in range(1, 5):
            row = {"optimizer": "adamw", "lr": lr, "decay": decay, "seed": 0, "step": step, "epoch": step / 2}
            scores = {"val_accuracy": lr, "train_accuracy": lr / 2, "val_loss": decay, "train_loss": decay / 2}
            rows.append(row | {"turn": 3.0 * step, "length": 1.0} | (scores if step % 2 == 0 else {}))
    return pd.DataFrame(rows)


def test_each_panel_has_its_curves() -> None:
    figure = curves.draw_curves(history([(0.5, 0.1), (0.25, 0.2)]))
    accuracy, loss, turn, _ = figure.axes
    assert [line.get_ydata().tolist() for line in accuracy.lines] == [[0.25] * 2, [0.125] * 2, [0.5] * 2, [0.25] * 2]
    assert [line.get_ydata()[0] for line in loss.lines] == [0.2, 0.1, 0.1, 0.05]
    assert turn.lines[0].get_ydata().tolist() == [3, 6, 9, 12]
    assert [text.get_text() for text in figure.legends[0].texts] == ["η = 0.25, λ = 0.2", "η = 0.5, λ = 0.1"]
    named = curves.draw_curves(history([(0.5, 0.1), (0.25, 0.2)]), best=(0.25, 0.2)).legends[0]
    assert [text.get_text() for text in named.texts] == ["best: η = 0.25, λ = 0.2", "η = 0.5, λ = 0.1"]
    words = curves.describe_curves(history([(0.5, 0.1)]))
    assert "validation accuracy 0.500, training accuracy (noisy labels) 0.250" in words
    gone = history([(0.5, 0.1)])
    gone.loc[2:, ["length", "val_accuracy"]] = np.nan
    assert curves.describe_curves(gone) == "η = 0.5, λ = 0.1: diverged."


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    alternatives: list[str] = []
    for module in (curves, playground):
        monkeypatch.setattr(module, "show", lambda figure, alt: alternatives.append(alt))
    return alternatives


def test_two_sliders_show_a_setting_beside_the_best(shown: list[str]) -> None:
    pytest.importorskip("ipywidgets")
    accuracy = diagonal(-1)
    accuracy[4, 7] = 0.99
    asked: list[Any] = []
    made = curves.open_map(table(accuracy), lambda settings: (asked.append(settings), history(settings))[1])
    assert repr(made).startswith("Two sliders and a figure")  # in a notebook that is read without a kernel
    lr, decay = made.children[:2]
    lr.value, decay.value = float(LRS[0]), float(DECAYS[1])
    made.update()
    assert asked[-1] == [pytest.approx((LRS[4], DECAYS[7])), pytest.approx((LRS[0], DECAYS[1]))]


def test_without_widgets_there_are_nine_settings(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    asked: list[Any] = []
    assert curves.open_map(table(diagonal(-1)), lambda each: (asked.append(each), history(each))[1]) is None
    assert len(asked[0]) == 10  # and the best one
    assert len(shown) == 1


def far(theta: Any, grad: Any, state: Any, *, lr: float, weight_decay: float) -> Any:
    return theta + 0.05, state


def exploding(theta: Any, grad: Any, state: Any, *, lr: float, weight_decay: float) -> Any:
    return -1e30 * theta, state


@pytest.mark.parametrize("rule", [far, exploding])
def test_the_playground_s_path_stays_within_its_axes(rule: Rule) -> None:
    ax = plt.figure().subplots()
    playground.draw((rule,), 0.1, 0.1, ax)
    points = playground.path(rule, 0.1, 0.1)
    points = points[np.isfinite(points).all(axis=1) & (np.abs(points) < 10).all(axis=1)]
    for values, (low, high) in zip(points.T, (ax.get_xlim(), ax.get_ylim()), strict=True):
        assert low < values.min() <= values.max() < high < 11
