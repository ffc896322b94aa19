"""What a wrong answer gives on the public example of ``check``, so that a feedback page can show it.

Nothing hidden is in it: the inputs and what is right are those of ``worked_numbers.json``, which students
have.  The text that is kept is JSON, short, and made of numbers alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from adamw_pset.checks.run_answer import Array, Observation
from adamw_pset.checks.verdicts import judge, numbers

LARGEST = 16  # numbers of a value that is shown
PASSES = json.dumps("passes")  # right on the public example, wrong on others


class Example(NamedTuple):
    """Of a rule: one coordinate of θ after each step of a trial.  Of a function: its value, as rows."""

    trial: int
    coordinate: int
    values: list[Any]  # numbers, None where they are not finite; of a function lists of them


def seen_on_example(question: str, seen: Observation) -> str:
    """What to keep of an observation on the public inputs; "" if it shows nothing."""
    worked = numbers()["questions"][question]
    if seen.event is not None or worked["kind"] == "counterexample":
        return ""
    if not judge(worked, seen).mistake:
        return PASSES
    part = worked["parts"][0]
    for trial, (record, right) in enumerate(zip(seen.records, worked["expected"], strict=True)):
        ours, theirs = record[part], np.array(right[part], dtype=np.float64)
        gap = _gap(ours, theirs, worked["tolerance"])
        if gap is None:
            continue
        if worked["kind"] == "rule":
            coordinate = int(gap.reshape(len(gap), -1).max(axis=0).argmax())
            values = ours.reshape(len(ours), -1)[:, coordinate].tolist()
            return json.dumps(Example(trial, coordinate, _short(values)))
        return "" if ours.size > LARGEST else json.dumps(Example(trial, 0, _short(_rows(ours))))
    return ""


def read_example(text: str) -> Example | None:
    """What ``seen_on_example`` kept; None if there is nothing to draw."""
    return Example(*json.loads(text)) if text and text != PASSES else None


def right_path(question: str, example: Example) -> tuple[list[float], list[float]]:
    """The coordinate of a rule's example from θ_0 on: as it is right, as the student's rule has it."""
    worked = numbers()["questions"][question]
    right = np.array(worked["expected"][example.trial]["theta"], dtype=np.float64)
    start = float(np.ravel(worked["inputs"][example.trial]["theta"])[example.coordinate])
    path = right.reshape(len(right), -1)[:, example.coordinate].tolist()
    yours = [float("nan") if value is None else value for value in example.values]
    return [start, *path], [start, *yours]


def inputs_of(question: str, example: Example) -> dict[str, Any]:
    """The public inputs of an example, by name."""
    return dict(numbers()["questions"][question]["inputs"][example.trial])


def _gap(ours: Array, theirs: Array, tolerance: float) -> Array | None:
    """How far apart two arrays are, number by number; None if they agree."""
    if ours.shape != theirs.shape:
        return np.ones(max(1, len(np.atleast_1d(ours))))
    gap = np.where(np.isfinite(ours), abs(ours - theirs), np.inf)
    return gap if (gap > tolerance * abs(theirs).max()).any() else None


def _rows(value: Array) -> list[Any]:
    return value.reshape(value.shape[0], -1).tolist() if value.ndim > 1 else [value.reshape(-1).tolist()]


def _short(values: Sequence[Any]) -> list[Any]:
    """Six digits, which is what a picture and a table show."""
    return [
        _short(value) if isinstance(value, list) else float(f"{value:.6g}") if np.isfinite(value) else None
        for value in values
    ]
