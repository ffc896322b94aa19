"""The demo's written answers: to every question some are right, some half right, some wrong."""

from __future__ import annotations

import pytest

from autograder.assignment.questions import ALL
from autograder.demo import written_answers

CLASS = range(1, 35)


@pytest.mark.parametrize("question", [question.name for question in ALL if question.kind == "written"])
def test_each_quality_is_there(question: str) -> None:
    given = {written_answers.answers(student)[question] for student in CLASS}
    assert given == set(written_answers.ANSWERS[question])
    assert len(given) == 3
