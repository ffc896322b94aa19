"""The tuning card on maps with known answers, and its intervals against Student's and against chance."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.tables import CONSTANT, DECAYS, LRS, RECTANGLE, X, Y, diagonal, powers, table
from scipy import stats

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


def test_the_interval_of_a_mean_is_student_s() -> None:
    offsets = np.array([-0.02, 0.0, 0.01, 0.03])  # the whole map moves with the seed
    card = tuning_card(table(CONSTANT + offsets[:, None, None])).loc["adamw"]
    middle = 0.8 + offsets.mean()
    expected = stats.t.interval(0.95, 3, middle, stats.sem(offsets))
    found = card[["best_accuracy", "best_accuracy_low", "best_accuracy_high"]]
    np.testing.assert_allclose(found, [middle, *expected], rtol=1e-12)


def test_many_seeds_are_resampled_at_random() -> None:
    offsets = np.random.default_rng(2).normal(0, 0.02, 12)
    card = tuning_card(table(CONSTANT + offsets[:, None, None])).loc["adamw"]
    expected = stats.t.interval(0.95, 11, 0.8 + offsets.mean(), stats.sem(offsets))
    # 400 resamples tell a standard error to within 4 %; three of these, times Student's 2.2.
    found = card[["best_accuracy_low", "best_accuracy_high"]]
    np.testing.assert_allclose(found, expected, atol=0.26 * stats.sem(offsets))


EXPERIMENTS = 200


@pytest.mark.parametrize("seeds", [3, 4])
def test_intervals_of_few_seeds_cover_the_truth(seeds: int) -> None:
    """Ridge and turn move with the seed: in how many of the experiments does the interval hold the truth?"""
    rng, covered = np.random.default_rng(seeds), np.zeros(2)
    for _ in range(EXPERIMENTS):
        turned, shifted = rng.normal(0, 0.15, seeds), rng.normal(0, 0.1, seeds)
        maps = np.stack([diagonal(-1 + by)[::2, ::2] for by in turned])
        runs = table(np.repeat(np.repeat(maps, 2, 1), 2, 2)[:, :13, :25], turn=np.exp(shifted)[:, None, None])
        card = tuning_card(runs).loc["adamw"]
        truth = {"slope": -1, "best_turn": np.exp(0.005)}  # the mean of exp of a normal is exp(variance/2)
        covered += [card[f"{name}_low"] < value < card[f"{name}_high"] for name, value in truth.items()]
    # 95 % of 200 with a standard deviation of 1.5 %; percentiles of a bootstrap would cover about 75 % and 85 %.
    np.testing.assert_allclose(covered / EXPERIMENTS, 0.95, atol=0.05)


def test_two_seeds_are_too_few_for_an_interval() -> None:
    rows = measures.card_table(tuning_card(table(np.stack([diagonal(-2), 0.99 * diagonal(-2)])))).loc[:, "adamw"]
    assert rows["slope"] == "−2.000"
    assert not any("[" in text or "nan" in text for text in rows)


@pytest.mark.parametrize(
    ("a", "b"), [(0, 1 / 2), (2 / 3, 1 / 3), (1 / 2, 1 / 2)], ids=["AdamW", "Adam with ℓ2", "SGD with ℓ2"]
)
def test_the_powers_of_the_turn(a: float, b: float) -> None:
    broad = 0.5 + 0.45 * np.exp(-((Y + 2 + a / b * (X + 1.5)) ** 2) / 4)
    turn = np.where(broad < 0.8, 90, powers(a, b))  # far from the good region the weights have not settled
    card = tuning_card(table(broad, turn=turn)).loc["adamw"]
    np.testing.assert_allclose(card[["turn_lr_power", "turn_decay_power", "turn_slope"]], [a, b, -a / b], atol=1e-9)
    # The ridge runs through η = 10^−1.5, λ = 10^−2, and along it the turn is the same.
    assert card["best_turn"] == pytest.approx(10 * 10 ** (-1.5 * a - 2 * b), rel=0.02)


def test_the_best_turn_is_told_beside_runs_that_diverged() -> None:
    diverged = np.zeros((13, 25), bool)
    diverged[12, 20:] = True
    turn = np.where(diverged, np.nan, powers(0, 0, 8))
    card = tuning_card(table(np.where(diverged, np.nan, diagonal(-1)), diverged=diverged, turn=turn))
    assert card.loc["adamw", "best_turn"] == pytest.approx(8)


def test_along_a_line_the_two_powers_cannot_be_told_apart() -> None:
    accuracy = np.where(Y + 2 + X + 1.5 == 0, 0.95, 0.5)
    assert np.isnan(tuning_card(table(accuracy, turn=powers(1 / 2, 1 / 2))).loc["adamw", "turn_slope"])


def test_what_was_not_measured_is_a_dash() -> None:
    card = tuning_card(table(diagonal(-2)).drop(columns=["turn", "length"]))
    assert card.loc["adamw", ["best_turn", "turn_lr_power", "turn_slope", "best_timescale"]].isna().all()
    assert measures.card_table(card).loc["best_turn", "adamw"] == "–"


@pytest.mark.parametrize(
    ("decay", "timescale"), [("weight_decay", 1 / (1e-2 * 32)), ("torch_decay", 1 / (1e-1 * 1e-2 * 32)), ("l2", np.nan)]
)
def test_the_timescale_of_the_best_settings_in_epochs(decay: str, timescale: float) -> None:
    accuracy = np.full((13, 25), 0.5)
    accuracy[8, 12] = 0.95  # η = 0.1, λ = 0.01
    runs = table(accuracy)
    runs.attrs = {"steps_per_epoch": 32, "optimizers": {"adamw": {"decay": decay}}}
    assert tuning_card(runs).loc["adamw", "best_timescale"] == pytest.approx(timescale, nan_ok=True)


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
