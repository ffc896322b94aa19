"""What was found out about an answer, and a line of ``grades.csv``."""

from __future__ import annotations

from typing import NamedTuple

GRADED, BY_HAND, NOT_GRADED = "graded", "needs manual grading", "not graded"
BANNER = "GRADED WITHOUT A SANDBOX. "


class Finding(NamedTuple):
    """What was found out about an answer: everything but its points."""

    status: str  # graded, needs manual grading or not graded
    mistake: str = ""  # its id; "" if there is none
    message: str = ""
    example: str = ""  # what it gives on the public example of check, from examples.py


class Row(NamedTuple):
    """A line of ``grades.csv``; ``score`` is None unless the status is "graded"."""

    student: str
    question: str
    score: float | None
    max_score: float
    status: str
    message: str
