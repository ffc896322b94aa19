"""A student's predictions beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from adamw_pset.display import show
from adamw_pset.maps.measures import tuning_card, with_interval
from adamw_pset.maps.plots import draw_slope, heatmaps, turns_in_words

NONE = "you made no prediction"


def reveal_slopes(tables: Mapping[str, pd.DataFrame], prediction: Any) -> None:
    """Print the slopes that were predicted and measured, and show the accuracy maps with the predicted ones drawn in.

    ``prediction`` holds a number for each name of ``tables`` (one optimizer each); ``...`` is none.  Raises
    ``ValueError`` for anything else.
    """
    guesses = {name: _guess(prediction, tables, "prediction", name) for name in tables}
    figure, lines = heatmaps(*tables.values(), metrics=("val_accuracy",)), []
    for ax, (name, table) in zip(figure.axes, tables.items(), strict=False):
        guess, found = guesses[name], tuning_card(table).iloc[0].slope
        if guess is not None:
            draw_slope(ax, table, guess, "your prediction")
        said = NONE if guess is None else f"you predicted {_text(guess)}"
        measured = _text(found) if np.isfinite(found) else "none: the map shows no ridge"
        lines.append(f"{name:8} {said}; measured {measured}")
    print("\n".join(lines))
    show(figure, "The accuracy maps, with the predicted slopes. " + ". ".join(lines))


def reveal_turns(tables: Mapping[str, pd.DataFrame], prediction: Any) -> None:
    """Print the powers a, b of turn ∝ η^a λ^b that were predicted and measured, and show the maps of the turn.

    ``prediction`` holds {"a": number, "b": number} for each name of ``tables``; the rest as in ``reveal_slopes``.
    """
    lines = []
    for name, table in tables.items():
        a, b = (_guess(prediction, tables, "prediction_of_turn", name, power) for power in ("a", "b"))
        said = NONE if a is None or b is None else f"you predicted a = {_text(a)}, b = {_text(b)}"
        card = tuning_card(table).iloc[0]
        powers = f"a = {_text(card.turn_lr_power)}, b = {_text(card.turn_decay_power)}"
        measured = f"measured {powers}: lines of equal turn have slope −a/b = {_text(card.turn_slope)}"
        if not np.isfinite(card.turn_slope):
            measured = "none measured: too few settings are good"
        lines += [f"{name:8} {said}", f"{'':8} {measured}"]
    print("\n".join([*lines, turns_in_words(*tables.values())]))
    figure = heatmaps(*tables.values(), metrics=("val_accuracy", "turn"))
    show(figure, "Accuracy maps with lines of equal turn, and maps of the turn. " + ". ".join(lines))


def _guess(prediction: Any, tables: Mapping[str, Any], called: str, *keys: str) -> float | None:
    """The number at ``keys``, None where there is ``...`` or nothing."""
    value, known = prediction, list(tables)
    for key in keys:
        if value is ...:
            return None
        if not isinstance(value, dict) or not set(value) <= set(known):
            raise ValueError(f"{called}={value!r}: give numbers for {' and '.join(known)}, in braces as they were")
        value, called, known = value.get(key, ...), f"{called}[{key!r}]", ["a", "b"]
    if value is ...:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
        raise ValueError(f"{called}={value!r}: give a number, such as -1 or 0.5")
    return float(value)


def _text(value: float) -> str:
    return with_interval(value, np.nan, np.nan, digits=2)
