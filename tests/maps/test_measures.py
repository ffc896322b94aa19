"""The tuning card on maps with known answers, and the bootstrap against its definition."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.tables import CONSTANT, DECAYS, LRS, RECTANGLE, X, Y, diagonal, table

from adamw_pset.maps import measures
from adamw_pset.maps.measures import MEASURES, tuning_card
from adamw_pset.table import TableError


@pytest.mark.parametrize(
    ("accuracy", "measure", "value"),
    [
        (diagonal(-2), "slope", -2.0),
        (diagonal(-1), "slope", -1.0),
        (diagonal(0), "slope", 0.0),
        (diagonal(1), "slope", 1.0),
        (RECTANGLE, "slope", 0.0),
        (CONSTANT, "slope", np.nan),  # no decay is better than another
        (CONSTANT, "best_accuracy", 0.8),
        (CONSTANT, "good_fraction", 0.0),
        (CONSTANT, "separability", 1.0),
        (CONSTANT, "two_line_regret", 0.0),
        (CONSTANT, "expected_best_of_8", 0.8),
        (RECTANGLE, "best_accuracy", 0.95),
        (RECTANGLE, "good_fraction", 7 * 9 / (13 * 25)),
        (diagonal(0), "separability", 1.0),
        (diagonal(0), "two_line_regret", 0.0),  # one knob at a time finds the ridge
        # A start off the rectangle sees a flat line: it keeps the first setting of it, and from
        # there the other line is flat too, unless that start's own line meets the rectangle.
        (RECTANGLE, "two_line_regret", 0.45 * (6 / 13 + 16 / 25) / 2),
    ],
)
def test_known_maps(accuracy: Any, measure: str, value: float) -> None:
    card = tuning_card(table(accuracy), threshold=0.9)
    # Ridges are found on a grid, as centroids under smooth weights: exact to far below a cell.
    tolerance = 2e-3 if measure == "slope" else 1e-12
    np.testing.assert_allclose(card.loc["adamw", measure], value, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("slope", "separable"), [(-2, False), (-1, False), (0, True)])
def test_a_tilted_hill_is_neither_separable_nor_tuned_by_lines(slope: float, separable: bool) -> None:
    hill = 0.9 * np.exp(-((Y + 2 - slope * (X + 1.5)) ** 2) - (X + 1.5) ** 2)
    assert (measures.separability(hill) > 0.999) == separable
    assert (measures.two_line_regret(hill) < 0.001) == separable


def test_the_ridge_is_told_where_the_map_shows_one() -> None:
    accuracy = diagonal(-2)
    accuracy[0] = 0.93 + 0.02 * np.exp(-((Y + 2) ** 2))  # decay hardly matters
    accuracy[5] = 0.5 + (accuracy[5] - 0.5) / 2  # 20 points below the best
    accuracy[9] = np.linspace(0.5, 0.95, 25)  # the best lies at the end, as in row 12
    shown = np.isfinite(measures.ridge(accuracy, DECAYS))
    np.testing.assert_array_equal(np.flatnonzero(~shown), [0, 5, 9, 12])
    np.testing.assert_allclose(measures.ridge(accuracy, DECAYS)[shown], (-2 - 2 * (X[:, 0] + 1.5))[shown], atol=5e-3)
    assert np.isnan(measures.slope(accuracy[:2], LRS[:2], DECAYS))


def test_expected_best_is_the_mean_over_all_draws() -> None:
    values = np.random.default_rng(0).random((3, 4))
    draws = [max(draw) for draw in combinations(values.ravel(), 8)]
    np.testing.assert_allclose(measures.expected_best_of_8(values), np.mean(draws), rtol=1e-13)
    assert measures.expected_best_of_8(values[:2]) == values[:2].max()


def test_two_line_regret_by_brute_force() -> None:
    values = np.random.default_rng(1).random((4, 6))
    lost = []
    for i in range(4):
        j = max(range(6), key=lambda j: values[i, j])
        lost.append(values.max() - max(values[k, j] for k in range(4)))
    decay_first = np.mean(lost)
    lost = []
    for j in range(6):
        i = max(range(4), key=lambda i: values[i, j])
        lost.append(values.max() - max(values[i, k] for k in range(6)))
    np.testing.assert_allclose(measures.two_line_regret(values), (decay_first + np.mean(lost)) / 2)


def test_intervals_are_the_bootstrap_over_seeds() -> None:
    offsets = np.array([-0.02, 0.0, 0.01, 0.03])  # the whole map moves with the seed
    card = tuning_card(table(CONSTANT + offsets[:, None, None])).loc["adamw"]
    draws = np.random.default_rng(5).integers(4, size=(20_000, 4))
    low, high = np.percentile(offsets[draws].mean(1), [2.5, 97.5])
    assert card["best_accuracy"] == pytest.approx(0.8 + offsets.mean(), abs=1e-12)
    # Two sets of resamples, of 1,000 and 20,000: their quantiles differ by about 1e-3.
    assert card["best_accuracy_low"] == pytest.approx(0.8 + low, abs=2e-3)
    assert card["best_accuracy_high"] == pytest.approx(0.8 + high, abs=2e-3)


def test_card_has_a_row_an_optimizer_and_is_repeatable() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (5, 13, 25))
    both = pd.concat([table(diagonal(-2) + noise, "adam_l2"), table(diagonal(0) + noise)])
    card = tuning_card(both)
    assert list(card.index) == ["adam_l2", "adamw"]
    assert list(card.columns) == [f"{m}{end}" for m in MEASURES for end in ("", "_low", "_high")]
    pd.testing.assert_frame_equal(card, tuning_card(both.sample(frac=1, random_state=0)))
    for name, slope in (("adam_l2", -2), ("adamw", 0)):
        low, high = card.loc[name, ["slope_low", "slope_high"]]
        assert low < slope + 0.1
        assert high > slope - 0.1
        assert high - low < 0.5


def test_what_the_map_does_not_show_has_no_interval() -> None:
    flat, steep = CONSTANT, diagonal(-2)  # the mean map shows no ridge, some resamples would
    card = tuning_card(table(np.stack([flat, flat, flat, 0.2 * steep + 0.6]))).loc["adamw"]
    assert card[["slope", "slope_low", "slope_high"]].isna().all()


def test_one_seed_has_no_interval() -> None:
    card = tuning_card(table(diagonal(-2))).loc["adamw"]
    assert card[[f"{m}_low" for m in MEASURES]].isna().all()


def test_a_diverged_seed_spoils_its_setting() -> None:
    diverged = np.zeros((2, 13, 25), bool)
    diverged[1, 6, 12] = True  # the best setting, on one of two seeds
    maps = np.stack([diagonal(-2)] * 2)
    maps[:, 6, 12] = 0.99
    maps[diverged] = np.nan
    runs = table(maps, diverged=diverged)
    assert (measures.accuracy_maps(runs)[2][:, 6, 12] == 0).all()  # in the other seed's map too
    card = tuning_card(runs)
    assert card.loc["adamw", "best_accuracy"] == pytest.approx(0.95, abs=1e-3)  # the second best


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tuning_card(table(CONSTANT), threshold=90), "threshold=90"),
        (lambda: tuning_card(table(CONSTANT).iloc[:-1]), "some runs of the grid are missing"),
        (lambda: tuning_card(table(CONSTANT).drop(columns="seed")), "column seed is missing"),
        (lambda: tuning_card(table(CONSTANT).iloc[:0]), "no runs"),
        (lambda: tuning_card(pd.concat([table(CONSTANT)] * 2)), "appears twice"),
    ],
)
def test_errors_say_what_is_wrong(call: Callable[[], Any], words: str) -> None:
    with pytest.raises((ValueError, TableError)) as error:
        call()
    assert words in str(error.value)
