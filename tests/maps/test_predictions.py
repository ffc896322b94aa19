"""Predictions beside what was measured: what is said, and what is drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
from helpers.tables import diagonal, powers, table

from adamw_pset.maps import predictions
from adamw_pset.maps.predictions import reveal_slopes, reveal_turns

TABLES = {
    "adam_l2": table(diagonal(-2), "adam_l2", turn=powers(2 / 3, 1 / 3)),
    "adamw": table(diagonal(0), turn=powers(0, 1 / 2)),
}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    shown: list[Any] = []
    monkeypatch.setattr(predictions, "show", lambda figure, alt: shown.append(figure))
    yield shown
    plt.close("all")


def test_slopes_are_said_and_drawn(figures: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    reveal_slopes(TABLES, {"adam_l2": -1, "adamw": ...})
    assert capsys.readouterr().out.splitlines() == [
        "adam_l2  you predicted −1.00; measured −2.00",
        "adamw    you made no prediction; measured 0.00",
    ]
    drawn = [[line for line in ax.lines if line.get_label() == "your prediction"] for ax in figures[0].axes[:2]]
    assert [len(lines) for lines in drawn] == [1, 0]
    assert "accuracy 90%" in [text.get_text() for text in figures[0].legends[0].texts]


def test_powers_are_said(figures: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    tables = {name: runs.assign(val_accuracy=0.9) for name, runs in TABLES.items()}
    reveal_turns(tables, {"adamw": {"a": 1 / 3, "b": 1}, "adam_l2": {"a": 0}})
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "adam_l2  you made no prediction",
        "         measured a = 0.67, b = 0.33: lines of equal turn have slope −a/b = −2.00",
        "adamw    you predicted a = 0.33, b = 1.00",
        "         measured a = 0.00, b = 0.50: lines of equal turn have slope −a/b = 0.00",
    ]
    assert max(map(len, lines)) <= 88
    assert len(figures) == 1


@pytest.mark.parametrize(
    ("reveal", "prediction", "words"),
    [
        (reveal_slopes, "minus two", "prediction='minus two': give numbers for adam_l2 and adamw"),
        (reveal_slopes, {"adamw": "flat"}, "prediction['adamw']='flat': give a number, such as -1 or 0.5"),
        (reveal_slopes, {"adamw": True}, "prediction['adamw']=True: give a number"),
        (reveal_slopes, {"adamW": 0}, "give numbers for adam_l2 and adamw"),
        (reveal_turns, {"adamw": 0.5}, "prediction_of_turn['adamw']=0.5: give numbers for a and b"),
        (reveal_turns, {"adamw": {"a": "1/2"}}, "prediction_of_turn['adamw']['a']='1/2': give a number"),
        (reveal_turns, {"adamw": {"A": 1}}, "give numbers for a and b"),
    ],
)
def test_what_is_no_prediction_is_refused(reveal: Any, prediction: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        reveal(TABLES, prediction)
