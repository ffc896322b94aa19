"""Draws differ between students in all that an answer depends on: what is public earns nothing on them."""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from adamw_pset.checks.run_answer import observe
from adamw_pset.checks.verdicts import numbers
from autograder.assignment.answer_sources import CODE, reference
from autograder.assignment.questions import QUESTIONS, TOLERANCE

ASKED = [name for name in CODE if QUESTIONS[name].kind != "counterexample"]
STUDENTS = 100


@cache
def right(name: str, student: int) -> list[Any]:
    """What is right on a student's inputs, a value a trial."""
    question = QUESTIONS[name]
    seen = observe(question.kind, question.inputs(1000 + student), reference(name))
    return [record[question.parts[0]] for record in seen.records]


def same(a: Any, b: Any) -> bool:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=TOLERANCE * max(abs(b).max(), 1e-6)))


@pytest.mark.parametrize("name", ASKED)
def test_no_constant_is_right_for_anyone(name: str) -> None:
    for student in range(STUDENTS if QUESTIONS[name].kind == "function" else 5):
        first, *others = right(name, student)
        assert not all(same(first, other) for other in others), (student, first)


@pytest.mark.parametrize("name", ASKED)
def test_what_check_holds_is_right_for_no_one(name: str) -> None:
    """Not the public numbers one after another, whatever the order; nor what a known mistake gives."""
    worked, part = numbers()["questions"][name], QUESTIONS[name].parts[0]
    public = [[record[part] for record in worked["expected"]]]
    public += [[record[part] for record in known["records"]] for known in worked["mistakes"]]
    for student in range(STUDENTS if QUESTIONS[name].kind == "function" else 5):
        expected = right(name, student)
        for values in [*public, *map(list, permutations(public[0]))]:
            assert not all(map(same, values, expected)), (student, values)


@pytest.mark.parametrize("name", ASKED)
def test_students_have_draws_of_their_own(name: str) -> None:
    """What is right for one student is right for hardly any other, as it would be if it were guessed."""
    among = range(STUDENTS if QUESTIONS[name].kind == "function" else 5)
    pairs = [(a, b) for a in among for b in range(a)]
    alike = [(a, b) for a, b in pairs if all(map(same, right(name, a), right(name, b)))]
    assert len(alike) <= 0.002 * len(pairs), alike


def test_an_accuracy_is_guessed_by_hardly_anyone() -> None:
    values = {tuple(float(value) for value in right("best_accuracy", student)) for student in range(STUDENTS)}
    assert len(values) >= 0.95 * STUDENTS
