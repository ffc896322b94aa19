"""Grades for other systems: totals, the sheet for marks, feedback in a cell.

A question without a score is never a 0: whoever has one gets no total, and is named with the reason.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autograder.assignment.questions import QUESTIONS
from autograder.grading.finding import BY_HAND, GRADED, NOT_GRADED, Row
from autograder.grading.marks import Mark
from autograder.grading.spreadsheet import FORMULA, plain, read_sheet, safe, written

SHEET = (*Row._fields, "comment")
CHOICES: Mapping[str, Callable[[str], bool]] = {
    "all": lambda question: True,
    "code": lambda question: QUESTIONS[question].kind != "written",
    "written": lambda question: QUESTIONS[question].kind == "written",
}


class Total(NamedTuple):
    """A line of ``totals.csv``; ``score`` is None unless every question has one."""

    student: str
    score: float | None
    max_score: float
    status: str
    message: str  # which questions have no score, and why


class Export(NamedTuple):
    """The text of a file, and what a person should know of it: nobody is left out silently."""

    text: str
    notes: list[str]


def read_grades(path: Path) -> list[Row]:
    """The lines of a ``grades.csv``; raises ``ValueError`` with the line, if it is none."""
    sheet = read_sheet(path)
    if sheet.header != list(Row._fields):
        raise ValueError(f"{path} should have the columns {', '.join(Row._fields)}: is it a grades.csv?")
    table = []
    for line, (student, question, score, most, status, message) in sheet.rows:
        if question not in QUESTIONS:
            raise ValueError(f"{path}, line {line}: there is no question {question!r}: grade again")
        if (status == GRADED) != bool(score) or status not in (GRADED, BY_HAND, NOT_GRADED):
            raise ValueError(f"{path}, line {line}: the status {status!r} does not go with score {score!r}")
        try:
            numbers = float(score) if score else None, float(most)
        except ValueError:
            raise ValueError(f"{path}, line {line}: {score!r} of {most!r} are no points") from None
        if QUESTIONS[question].points:  # else it has been dropped since
            table.append(Row(plain(student), question, *numbers, status, plain(message)))
    if not table:
        raise ValueError(f"{path} holds no grades")
    return table


def totals(table: Iterable[Row], questions: str = "all", penalties: Mapping[str, float] = {}) -> list[Total]:
    """The total of each student over the chosen questions: all, code or written.

    ``penalties`` are points taken off for a late submission; as they are taken off the whole set, whoever has
    one gets no total of a part.
    """
    by_student: dict[str, list[Row]] = defaultdict(list)
    for row in table:
        if CHOICES[questions](row.question):
            by_student[row.student].append(row)
    return [
        _total(student, rows, questions, penalties.get(student, 0.0)) for student, rows in sorted(by_student.items())
    ]


def _total(student: str, rows: Sequence[Row], questions: str, penalty: float) -> Total:
    most = sum(row.max_score for row in rows)
    waiting = [row for row in rows if row.score is None]
    if penalty and questions != "all":
        return Total(student, None, most, GRADED, f"late, and {penalty:g} points off the whole set: export it whole")
    if not waiting:
        score = max(0.0, sum(row.score or 0 for row in rows) - penalty)
        return Total(student, round(score, 2), most, GRADED, f"late: {penalty:g} points off" if penalty else "")
    lost = [row for row in waiting if row.status == NOT_GRADED]
    by_hand = [row for row in waiting if row.status == BY_HAND]
    reasons = "; ".join(_reason(part, len(rows)) for part in (lost, by_hand) if part)
    return Total(student, None, most, NOT_GRADED if lost else BY_HAND, reasons)


def _reason(waiting: Sequence[Row], of: int) -> str:
    """Which questions have no score, and why, where there is one reason for them all."""
    names = "every question" if len(waiting) == of else ", ".join(row.question for row in waiting)
    (why, *others) = {row.message for row in waiting}
    return f"{waiting[0].status}: {names}" + (f": {why}" if why and not others else "")


def marks_sheet(table: Iterable[Row], marks: Mapping[tuple[str, str], Mark]) -> str:
    """``marks.csv``, to be filled in: a line for each answer that the grader leaves to people.

    ``table`` holds what the grader found.  What ``marks`` says already is in the sheet.
    """
    lines: list[Sequence[object]] = [SHEET]
    for row in table:
        mark = marks.get((row.student, row.question), Mark(None, ""))
        if row.score is None or mark != (None, "", False):
            cells = (row.student, row.question, digits(mark.score), row.max_score, row.status, row.message)
            lines.append([safe(cell) for cell in (*cells, mark.comment)])
    return written(lines)


def csv_totals(sums: Sequence[Total]) -> Export:
    """``totals.csv``."""
    lines = [[safe(cell) if cell is not None else "" for cell in total] for total in sums]
    return Export(written([Total._fields, *lines]), without_total(sums))


def feedback(table: Iterable[Row], marks: Mapping[tuple[str, str], Mark], questions: str) -> dict[str, str]:
    """What a student reads in the platform, as HTML on one line: score, sentence and comment by question."""
    by_student: dict[str, list[str]] = defaultdict(list)
    for row in table:
        if not CHOICES[questions](row.question):
            continue
        score = "no score yet" if row.score is None else f"{row.score:g} of {row.max_score:g}"
        mark = marks.get((row.student, row.question))
        words = " ".join(f"{row.message} {mark.comment if mark else ''}".split())
        by_student[row.student].append(_html(f"{row.question}: {score}. {words}".strip()))
    return {student: "<br>".join(lines) for student, lines in by_student.items()}


def _html(text: str) -> str:
    """Text as HTML in which a spreadsheet finds no formula either, split at a ; or not."""
    return re.sub(rf"(; *)([{FORMULA}])", lambda at: f"{at[1]}&#{ord(at[2])};", html.escape(text))


def without_total(sums: Sequence[Total]) -> list[str]:
    """A note on each student who gets no total."""
    return [f"{total.student}: no total; {total.message}" for total in sums if total.score is None]


def digits(number: float | None, comma: bool = False) -> str:
    """A score as text, with a decimal comma if asked for; "" for none."""
    text = "" if number is None else f"{number:g}"
    return text.replace(".", ",") if comma else text
