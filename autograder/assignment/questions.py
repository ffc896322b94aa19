"""Every question once, and on what an answer to it is tried; ``points.toml`` says what it is worth.

``draw`` makes the inputs from a random generator: the worked numbers behind ``check`` come from one
fixed seed, a grader draws fresh ones.  The ranges are such that every mistake of ``mistakes.py``
moves some number by more than a thousandth of its size (tested).
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator

from adamw_pset.checks.run_answer import Input
from adamw_pset.table import COLUMNS
from autograder.assignment.places import AUTOGRADER

TOLERANCE = 1e-5  # of the largest number: float32 rounding over some steps is 1e-6, a mistake 1e-3
SEED = 182  # of the worked numbers


@cache
def worth() -> dict[str, Any]:
    """What ``points.toml`` says: points by question, and credit by question and mistake."""
    return tomllib.loads((AUTOGRADER / "points.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Question:
    """One question; ``kind`` is rule, function, counterexample or written.

    What is right is the solution in the notebook's source.
    """

    name: str
    title: str
    kind: str = "written"
    draw: Callable[[Generator], list[Input]] = lambda rng: []
    parts: tuple[str, ...] = ("value",)  # of a record that must agree, the most telling first

    @property
    def points(self) -> int:
        """What a right answer is worth."""
        return int(worth()["points"][self.name])

    @property
    def credit(self) -> Mapping[str, float]:
        """What a mistake leaves, as a share of the points; nothing, if it does not stand here."""
        credit: Mapping[str, float] = worth()["credit"].get(self.name, {})
        return credit

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
    """Seven short runs of a rule, each there to show some mistakes; its name says what it tries."""

    def draw(rng: Generator) -> list[Input]:
        def hyper(**changed: float) -> dict[str, float]:
            values = {"lr": _uniform(rng, 0.2, 0.4), decay: _uniform(rng, 0.15, 0.3)}
            values["beta1"] = _uniform(rng, 0.72, 0.82)
            if adaptive:
                values |= {"beta2": _uniform(rng, 0.55, 0.65), "eps": _uniform(rng, 0.15, 0.25)}
            return values | changed

        def trial(
            name: str, steps: int, shape: list[int], size: float, values: dict[str, float], given: bool = False
        ) -> dict[str, Any]:
            theta, grads = _signed(rng, 0.5, 2, *shape), _signed(rng, size / 4, size, steps, *shape)
            start = None
            if given:
                ratio = rng.permuted(np.resize([0.3, 3.0], np.prod(shape))).reshape(shape)  # v below and above g²
                v = np.round(ratio * rng.uniform(0.7, 1.4, shape) * np.square(grads[0]), 4)
                start = {"t": 5, "m": _signed(rng, 1.2, 2.4, *shape), "v": (v if adaptive else 0 * v).tolist()}
            return {"name": name, "theta": theta, "grads": grads, "start": start, "hyper": values}

        small = {"eps": 5e-3} if adaptive else {}
        large = {"eps": 0.5} if adaptive else {}  # ε above some √v̂
        without = {name: value for name, value in hyper().items() if name in ("lr", decay)}
        defaults = trial("the default β and ε" if adaptive else "the default β", 2, [2], 1.0, without)
        defaults["grads"][0][0], defaults["theta"][0] = 2e-10, 3e-10  # show an ε of 1e-8 and less
        decaying = trial("a start from a given state", 2, [2, 2], 1.0, hyper(), given=True)
        return [
            trial("several steps from a state of zeros", 4, [3], 1.0, hyper()),
            trial("a decay of 0", 3, [3], 0.6, hyper(**{decay: 0.0}, **large)),
            decaying,
            {  # the same, so that what differs is what the decay does
                **decaying,
                "name": "that state and a decay of 0",
                "grads": decaying["grads"][:1],
                "hyper": decaying["hyper"] | {decay: 0.0},
            },
            trial("small gradients", 3, [2, 1], 4e-3, hyper(**small)),
            defaults,
            trial("large gradients and a decay of 0", 1, [2, 2], 24.0, hyper(**{decay: 0.0}), given=True),
        ]

    return draw


def _draw_factor(rng: Generator) -> list[Input]:
    return [{"l2": _uniform(rng, 0.3, 0.9), "lr": _uniform(rng, 0.1, 0.5)} for _ in range(3)]


def _draw_grads(rng: Generator) -> list[Input]:
    return [
        {"grads": _signed(rng, 0.3, 2, t, n), "beta2": _uniform(rng, 0.5, 0.8)} for t, n in ((4, 2), (3, 3), (1, 2))
    ]


def _draw_penalty(rng: Generator) -> list[Input]:
    root = np.round(rng.uniform(0.2, 0.6, (3, 3)), 2)
    matrices = (np.diag(rng.uniform(0.3, 3, 3)), root @ root.T + np.diag(rng.uniform(0.5, 2, 3)))
    return [
        {"theta": _signed(rng, 0.5, 2, 3), "M": np.round(M, 3).tolist(), "l2": _uniform(rng, 0.2, 0.6)}
        for M in matrices
    ]


GRIDS = ((3, 3), (3, 4), (4, 3), (2, 7), (3, 5))  # learning rates, decays


def _table(rng: Generator) -> tuple[dict[str, list[Any]], int]:
    """Runs of one optimizer on a small grid, 8 seeds, and how far its accuracies are moved, in 512ths.

    Six settings show mistakes: the best (mean 52/64), a lucky run among poor ones, one of mean exactly
    44/64, one with a diverged run among the highest, one with two, one that diverged altogether.  The others
    are good by every threshold, by some, or by none: how many there are of each, the grid and how far all of
    it is moved tell one draw from another.  Accuracies are whole 512ths, so that means are exact.
    """
    nan = float("nan")
    lrs, decays = GRIDS[rng.integers(len(GRIDS))]
    fillers = ([49.75] + [50.75] * 6 + [59.75], [44] + [46] * 6 + [56], [33] + [34] * 6 + [43], [19] + [20] * 6 + [29])
    cases: list[Any] = [
        [50] + [51] * 6 + [60],
        [63, 25] + [26] * 6,
        [41] + [42] * 6 + [59],
        *(fillers[i] for i in rng.integers(len(fillers), size=lrs * decays - 6)),
        [61] * 6 + [60, nan],
        [40, 55, 55, 55, 55, 40, nan, nan],
        [nan] * 8,
    ]
    moved = int(rng.integers(-120, 8))
    lr_of, decay_of = rng.permutation(lrs), rng.permutation(decays)  # one learning rate never diverges
    rows = []
    for i, case in enumerate(cases):
        # no power of an array: they differ from NumPy to NumPy
        lr, decay = (float(f"1e-{1 + power}") for power in (lr_of[i // decays], decay_of[i % decays]))
        for seed, sixty_fourths in enumerate(rng.permutation(case)):
            accuracy = (8 * sixty_fourths + moved) / 512
            train, loss = (8 * rng.integers(46, 50) + moved) / 512, rng.integers(8, 200) / 64
            fate = bool(np.isnan(accuracy))
            losses = (nan, nan) if fate else (loss, loss / 2)
            rows.append(("adamw", lr, decay, seed, accuracy, losses[0], train, losses[1], fate))
    frame = pd.DataFrame([rows[i] for i in rng.permutation(len(rows))], columns=COLUMNS)
    return {str(name): frame[name].tolist() for name in frame}, moved


def _draw_thresholds(rng: Generator) -> list[Input]:
    drawn = [(n, *_table(rng)) for n in (44, 51, 30)]  # each between other settings than the next
    trials: list[Input] = [{"table": table, "threshold": (8 * n + moved) / 512} for n, table, moved in drawn]
    return [trials[i] for i in rng.permutation(len(trials))]


def _draw_tables(rng: Generator) -> list[Input]:
    (first, moved), (second, again) = _table(rng), _table(rng)
    return _draw_tables(rng) if moved == again else [{"table": first}, {"table": second}]  # no constant is right twice


# --- the questions -------------------------------------------------------------------------------

STATE = ("theta", "t", "m", "v")
EVERY = (
    Question("written_1a_i", "1(a)(i) SGD on the penalised loss is weight decay"),
    Question("weight_decay_factor", "1(a)(i) λ_w from λ_ℓ2 and η", "function", _draw_factor),
    Question("written_1a_ii", "1(a)(ii) SGDW: what changes, and why not the rest"),
    Question("sgdw", "1(a)(ii) SGDW with momentum", "rule", _trials("weight_decay", adaptive=False), STATE[:3]),
    Question("written_1b_i", "1(b)(i) M_t from G_t and β2"),
    Question("preconditioner", "1(b)(i) M_t in numbers", "function", _draw_grads),
    Question("written_1b_ii", "1(b)(ii) No λ_ℓ2 fits an adaptive method"),
    Question("counterexample", "1(b)(ii) A counterexample in numbers", "counterexample"),
    Question("written_1b_iii", "1(b)(iii) The scaled penalty brings weight decay back"),
    Question("scaled_penalty_gradient", "1(b)(iii) The scaled penalty's gradient", "function", _draw_penalty),
    Question("adam_l2", "2(a) Adam with ℓ2 regularisation", "rule", _trials("l2", adaptive=True), STATE),
    Question("adamw", "2(a) AdamW", "rule", _trials("weight_decay", adaptive=True), STATE),
    Question("written_2b_i", "2(b)i What is alike, what differs"),
    Question("written_2b_ii", "2(b)ii Harder and easier data"),
    Question("good_fraction", "2(b)iii The share of good settings", "function", _draw_thresholds),
    Question("best_accuracy", "2(b)iii The best validation accuracy", "function", _draw_tables),
    Question("written_2b_iii", "2(b)iii What to conjecture about tuning"),
)
QUESTIONS = {question.name: question for question in EVERY}
ALL = tuple(question for question in EVERY if question.points)  # that are asked: 0 points drop a question
