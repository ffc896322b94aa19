"""What was found out about an answer, and a line of ``grades.csv``."""

from __future__ import annotations

from typing import NamedTuple

from autograder.grading.plain_text import told

GRADED, BY_HAND, NOT_GRADED = "graded", "needs manual grading", "not graded"
BANNER = "GRADED WITHOUT A SANDBOX. "
LONGEST = 570  # characters of a message; with BANNER it has less than 600


class _Finding(NamedTuple):
    status: str  # graded, needs manual grading or not graded
    mistake: str = ""  # its id; "" if there is none
    message: str = ""
    example: str = ""  # what it gives on the public example of check, from public_example.py
    note: str = ""  # what a person should know of how it was read


class Finding(_Finding):
    """What was found out about an answer: everything but its points.

    The message quotes what a student wrote: it is cut, and made harmless, here.
    """

    __slots__ = ()

    def __new__(cls, status: str, mistake: str = "", message: str = "", example: str = "", note: str = "") -> Finding:
        return super().__new__(cls, status, mistake, told(message, LONGEST), example, told(note, LONGEST))


class Row(NamedTuple):
    """A line of ``grades.csv``; ``score`` is None unless the status is "graded"."""

    student: str
    question: str
    score: float | None
    max_score: float
    status: str
    message: str
