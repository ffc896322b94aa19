"""Every question once: what it is worth, on what it is tried, what is right, what partial credit.

``draw`` makes the inputs from a random generator: the worked numbers behind ``check`` come from one
fixed seed, a grader draws fresh ones.  The ranges are such that every mistake of ``mistakes.py``
moves some number by more than a thousandth of its size (tested).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from adamw_pset import optimizers, preconditioner, tuning
from adamw_pset.observe import Input
from adamw_pset.table import COLUMNS

TOLERANCE = 1e-5  # of the largest number: float32 rounding over some steps is 1e-6, a mistake 1e-3
SEED = 182  # of the worked numbers


@dataclass(frozen=True)
class Question:
    """One question; ``kind`` is rule, function, counterexample or written."""

    name: str
    title: str
    points: int
    kind: str = "written"
    reference: Callable[..., Any] | None = None  # the right answer
    draw: Callable[[Generator], list[Input]] = lambda rng: []
    parts: tuple[str, ...] = ("value",)  # of a record that must agree, the most telling first
    credit: Mapping[str, float] = field(default_factory=dict)  # mistake -> share of the points

    def inputs(self, seed: int = SEED) -> list[Input]:
        """The inputs on which an answer is tried, the same for the same seed."""
        return self.draw(np.random.default_rng(seed))


# --- inputs --------------------------------------------------------------------------------------


def _uniform(rng: Generator, low: float, high: float, *shape: int) -> Any:
    return np.round(rng.uniform(low, high, shape), 3).tolist()


def _signed(rng: Generator, low: float, high: float, *shape: int) -> Any:
    """Numbers of either sign and of size ``low`` to ``high``, none near zero."""
    sign = rng.permuted(np.resize([1.0, -1.0], shape).reshape(-1)).reshape(shape)
    return np.round(sign * rng.uniform(low, high, shape), 5).tolist()


def _trials(decay: str, adaptive: bool) -> Callable[[Generator], list[Input]]:
    """Five short runs of a rule, each there to show some mistakes."""

    def draw(rng: Generator) -> list[Input]:
        def hyper(**changed: float) -> dict[str, float]:
            values = {"lr": _uniform(rng, 0.2, 0.4), decay: _uniform(rng, 0.15, 0.3)}
            values["beta1"] = _uniform(rng, 0.72, 0.82)
            if adaptive:
                values |= {"beta2": _uniform(rng, 0.55, 0.65), "eps": _uniform(rng, 0.15, 0.25)}
            return values | changed

        def trial(name: str, steps: int, shape: list[int], size: float, **changed: Any) -> Input:
            theta, grads = _signed(rng, 0.5, 2, *shape), _signed(rng, size / 4, size, steps, *shape)
            start = None
            if name == "given state":
                v = _uniform(rng, 0.05, 0.5, *shape) if adaptive else np.zeros(shape).tolist()
                start = {"t": 3, "m": _signed(rng, 0.1, 0.5, *shape), "v": v}
            values = {"name": name, "theta": theta, "grads": grads, "start": start}
            return values | {"hyper": changed or hyper()}

        small = {"eps": 1e-3} if adaptive else {}
        return [
            trial("usual", 4, [3], 1.0),
            trial("no decay", 3, [3], 1.0, **hyper(**{decay: 0.0})),
            trial("given state", 2, [2, 2], 1.0),
            trial("small gradients", 3, [2], 4e-3, **hyper(**small)),
            trial("defaults", 2, [2], 1.0, lr=_uniform(rng, 0.2, 0.4), **{decay: _uniform(rng, 0.15, 0.3)}),
        ]

    return draw


def _draw_factor(rng: Generator) -> list[Input]:
    return [{"l2": _uniform(rng, 0.3, 0.9), "lr": _uniform(rng, 0.1, 0.5)} for _ in range(3)]


def _draw_grads(rng: Generator) -> list[Input]:
    return [
        {"grads": _signed(rng, 0.3, 2, t, n), "beta2": _uniform(rng, 0.5, 0.8)}
        for t, n in ((4, 2), (3, 3), (1, 2))
    ]


def _draw_penalty(rng: Generator) -> list[Input]:
    root = np.round(rng.uniform(0.2, 0.6, (3, 3)), 2)
    matrices = (np.diag(rng.uniform(0.3, 3, 3)), root @ root.T + np.diag(rng.uniform(0.5, 2, 3)))
    return [
        {"theta": _signed(rng, 0.5, 2, 3), "M": np.round(M, 3).tolist(), "l2": _uniform(rng, 0.2, 0.6)}
        for M in matrices
    ]


def _table(rng: Generator, lrs: int, decays: int) -> dict[str, list[Any]]:
    """Runs of one optimizer on a small grid, 8 seeds; accuracies in 64ths, so that means are exact.

    Six settings: the best (mean 52/64), a lucky run among poor ones, one of mean exactly 44/64, one
    with a diverged run among the highest, one with two, one that diverged altogether.
    """
    nan = float("nan")
    cases: list[Any] = [
        [50] + [51] * 6 + [60],
        [63, 25] + [26] * 6,
        [41] + [42] * 6 + [59],
        [61] * 6 + [60, nan],
        [40, 55, 55, 55, 55, 40, nan, nan],
        [nan] * 8,
    ]
    lr_of, decay_of = rng.permutation(lrs), rng.permutation(decays)  # one learning rate never diverges
    rows = []
    for i, case in enumerate(cases):
        lr, decay = 10.0 ** -(1 + lr_of[i // decays]), 10.0 ** -(1 + decay_of[i % decays])
        for seed, sixty_fourths in enumerate(rng.permutation(case)):
            accuracy = sixty_fourths / 64
            train, loss = rng.integers(46, 50) / 64, rng.integers(8, 200) / 64
            fate = bool(np.isnan(accuracy))
            losses = (nan, nan) if fate else (loss, loss / 2)
            rows.append(("adamw", lr, decay, seed, accuracy, losses[0], train, losses[1], fate))
    frame = pd.DataFrame([rows[i] for i in rng.permutation(len(rows))], columns=COLUMNS)
    return {str(name): frame[name].tolist() for name in frame}


def _draw_thresholds(rng: Generator) -> list[Input]:
    first, second = _table(rng, 2, 3), _table(rng, 3, 2)
    return [{"table": table, "threshold": n / 64} for table, n in ((first, 44), (second, 51), (first, 30))]


def _draw_tables(rng: Generator) -> list[Input]:
    return [{"table": _table(rng, 2, 3)}, {"table": _table(rng, 3, 2)}]


# --- answers -------------------------------------------------------------------------------------


def _map(table: pd.DataFrame) -> NDArray[np.float64]:
    """Mean accuracy over seeds, (learning rates, decays)."""
    return np.asarray(tuning.accuracy_maps(table)[2].mean(axis=0))


def good_fraction(table: pd.DataFrame, threshold: float) -> float:
    """Share of the settings whose mean validation accuracy is at least ``threshold``."""
    return tuning.good_fraction(_map(table), threshold)


def best_accuracy(table: pd.DataFrame) -> float:
    """Mean validation accuracy at the best setting."""
    return tuning.best_accuracy(_map(table))


STATE = ("theta", "t", "m", "v")
_NAMED = {"decay_times_lr": 0.75}  # a convention of its own, wrong only by the one asked for
_FORM = {"t_not_counted": 0.75, "changed_in_place": 0.75, "wrong_dtype": 0.75}
_LATE = {"decay_on_new_theta": 0.75} | _FORM
_PART = {
    "bias_left_out": 0.5, "bias_multiplied": 0.5, "bias_square": 0.75, "t_off_by_one": 0.75,
    "eps_inside_root": 0.75, "eps_left_out": 0.75, "eps_before_correction": 0.75,
    "hats_returned": 0.5, "defaults_wrong": 0.75,
}  # fmt: skip

ALL = (
    Question("written_1a_i", "1(a)(i) SGD on the penalised loss is weight decay", 6),
    Question(
        "weight_decay_factor", "1(a)(i) λ_w from λ_ℓ2 and η", 2, "function",
        preconditioner.weight_decay_factor, _draw_factor,
        credit={"factor_two": 0.5, "keeps_instead_of_removes": 0.5},
    ),
    Question("written_1a_ii", "1(a)(ii) SGDW: what changes, and why not the rest", 4),
    Question(
        "sgdw", "1(a)(ii) SGDW with momentum", 6, "rule", optimizers.sgdw,
        _trials("weight_decay", adaptive=False), ("theta", "t", "m"), _NAMED | _LATE,
    ),
    Question("written_1b_i", "1(b)(i) M_t from G_t and β2", 6),
    Question(
        "preconditioner", "1(b)(i) M_t in numbers", 6, "function",
        preconditioner.preconditioner, _draw_grads,
        credit={"factor_missing": 0.5, "numerator_missing": 0.5, "denominator_missing": 0.5,
                "diagonal_as_vector": 0.75},
    ),
    Question("written_1b_ii", "1(b)(ii) No λ_ℓ2 fits an adaptive method", 8),
    Question(
        "counterexample", "1(b)(ii) A counterexample in numbers", 4, "counterexample",
        preconditioner.counterexample,
    ),
    Question("written_1b_iii", "1(b)(iii) The scaled penalty brings weight decay back", 8),
    Question(
        "scaled_penalty_gradient", "1(b)(iii) The scaled penalty's gradient", 4, "function",
        preconditioner.scaled_penalty_gradient, _draw_penalty,
        credit={"factor_two": 0.5, "diagonal_only": 0.75},
    ),
    Question(
        "adam_l2", "2(a) Adam with ℓ2 regularisation", 8, "rule", optimizers.adam_l2,
        _trials("l2", adaptive=True), STATE, {"decay_times_lr": 0.5} | _FORM | _PART,
    ),
    Question(
        "adamw", "2(a) AdamW", 10, "rule", optimizers.adamw,
        _trials("weight_decay", adaptive=True), STATE, _NAMED | _LATE | _PART,
    ),
    Question("written_2b_i", "2(b)i What is alike, what differs", 8),
    Question("written_2b_ii", "2(b)ii Harder and easier data", 8),
    Question(
        "good_fraction", "2(b)iii The share of good settings", 3, "function",
        good_fraction, _draw_thresholds,
        credit={"more_than_threshold": 0.75, "diverged_ignored": 0.75, "diverged_run_as_zero": 0.75},
    ),
    Question(
        "best_accuracy", "2(b)iii The best validation accuracy", 3, "function",
        best_accuracy, _draw_tables, credit={"diverged_ignored": 0.75, "diverged_run_as_zero": 0.75},
    ),
    Question("written_2b_iii", "2(b)iii What to conjecture about tuning", 6),
)  # fmt: skip
QUESTIONS = {question.name: question for question in ALL}
