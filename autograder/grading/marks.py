"""Scores and comments that people gave: from ``marks.csv`` or from nbgrader's gradebook.

A mark beats what the grader found, as a manual score does in nbgrader.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from autograder.assignment.places import NAME
from autograder.assignment.questions import QUESTIONS
from autograder.grading.finding import BY_HAND, GRADED, Row
from autograder.grading.plain_text import name_of, visible
from autograder.grading.spreadsheet import plain, read_sheet

COLUMNS = ("student", "question", "score", "comment")
CHANGED = "The answer has changed since it was graded by hand."
GRADEBOOK = """
select student.id, cell.name, grade.manual_score, grade.auto_score, coalesce(grade.extra_credit, 0),
       grade.needs_manual_grade, coalesce(comment.manual_comment, '')
from grade
join base_cell as cell on cell.id = grade.cell_id
join submitted_notebook on submitted_notebook.id = grade.notebook_id
join notebook on notebook.id = submitted_notebook.notebook_id
join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
join assignment on assignment.id = submitted_assignment.assignment_id
join student on student.id = submitted_assignment.student_id
left join base_cell as answer
  on answer.name = replace(cell.name, 'check_', '') and answer.notebook_id = cell.notebook_id
left join comment on comment.cell_id = answer.id and comment.notebook_id = submitted_notebook.id
where assignment.name = ? and notebook.name = ?
order by student.id, cell.name
"""

PENALTIES = """
select student.id, sum(coalesce(submitted_notebook.late_submission_penalty, 0))
from submitted_notebook
join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
join assignment on assignment.id = submitted_assignment.assignment_id
join student on student.id = submitted_assignment.student_id
where assignment.name = ?
group by student.id
"""


class Mark(NamedTuple):
    """What a person gave for an answer; ``score`` is None if it is only a comment."""

    score: float | None
    comment: str
    changed: bool = False  # the answer is another than the one that was graded by hand: to be graded again


def read_marks(path: Path) -> dict[tuple[str, str], Mark]:
    """The marks of a file by (student, question).

    The file is nbgrader's ``gradebook.db``, or a CSV file with the columns student, question, score and
    comment; the other columns of ``grades.csv`` may stand in it as well.  Raises ``ValueError`` that
    names the line, if it is neither, or if a question, a score or a line is not as it should be.
    """
    return _gradebook(path) if _is_database(path) else _csv(path)


def read_penalties(path: Path) -> dict[str, float]:
    """The points that a gradebook takes off for a late submission, by student; a CSV file takes off none."""
    penalties = _query(path, PENALTIES, NAME) if _is_database(path) else []
    return {student: penalty for student, penalty in penalties if penalty}


def matched(
    marks: Mapping[tuple[str, str], Mark], students: Collection[str]
) -> tuple[dict[tuple[str, str], Mark], list[str]]:
    """The marks of these students, and a note on each other student that has some.

    Names are compared letter by letter; only where one writes an accent as a letter of its own and the
    other does not, they meet.  A mark that two names could mean is given to neither.
    """
    composed: dict[str, list[str]] = defaultdict(list)
    for student in students:
        composed[unicodedata.normalize("NFC", student)].append(student)
    marks_by_name: dict[tuple[str, str], Mark] = {}
    notes: dict[str, None] = {}
    for (given, question), mark in marks.items():
        name = name_of(given)
        meant = [name] if name in students else composed[unicodedata.normalize("NFC", name)]
        if len(meant) != 1 or (meant[0], question) in marks_by_name:
            notes[f"{name!r}: marks, but nothing was handed in" if not meant else f"{name!r}: marks for two names"] = (
                None
            )
            continue
        if meant[0] != name:
            notes[f"{name!r}: marks, given to {meant[0]!r}: the accents are written in another way"] = None
        marks_by_name[meant[0], question] = mark
    return marks_by_name, list(notes)


def with_marks(table: Iterable[Row], marks: Mapping[tuple[str, str], Mark]) -> list[Row]:
    """The lines of ``grades.csv`` with the scores that people gave in the place of the grader's."""
    return [_marked(row, marks.get((row.student, row.question))) for row in table]


def _marked(row: Row, mark: Mark | None) -> Row:
    if mark is None:
        return row
    if mark.changed:
        return row._replace(score=None, status=BY_HAND, message=CHANGED)
    if mark.score is None:
        return row
    return row._replace(score=mark.score, status=GRADED)


def _csv(path: Path) -> dict[tuple[str, str], Mark]:
    sheet = read_sheet(path)
    if missing := [name for name in COLUMNS[:3] if name not in sheet.header]:
        raise ValueError(f"{path} has no column {', '.join(missing)}: it should have {', '.join(COLUMNS)}")
    if unknown := [name for name in sheet.header if name not in (*COLUMNS, *Row._fields)]:
        raise ValueError(f"{path} has the column {unknown[0]!r}: it should have {', '.join(COLUMNS)}")
    if twice := [name for name in sheet.header if sheet.header.count(name) > 1]:
        raise ValueError(f"{path} has the column {twice[0]} twice")
    marks: dict[tuple[str, str], Mark] = {}
    lines: dict[tuple[str, str], int] = {}
    for line, cells in sheet.rows:
        values = {name: plain(cell.strip()) for name, cell in zip(sheet.header, cells, strict=True)}
        values["student"] = plain(cells[sheet.header.index("student")])  # "ann " is another student than "ann"
        key, where = (values["student"], values["question"]), f"{path}, line {line}"
        if not values["student"].strip():
            raise ValueError(f"{where}: no student is named")
        _check_question(values["question"], where)
        if key in marks:
            raise ValueError(f"{where}: {key[1]} of {key[0]} stands in line {lines[key]} already")
        score = _number(values["score"], where) if values["score"] else None
        _check_score(score, key[1], where)
        marks[key], lines[key] = Mark(score, visible(values.get("comment", ""))), line
    return {key: mark for key, mark in marks.items() if mark != (None, "", False)}


def _is_database(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _query(path: Path, query: str, *names: str) -> list[Any]:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(query, names).fetchall()
    except sqlite3.Error as error:
        raise ValueError(f"{path} is not a gradebook of nbgrader: {error}") from None


def _gradebook(path: Path) -> dict[tuple[str, str], Mark]:
    marks = {}
    for student, cell, manual, auto, extra, waiting, comment in _query(path, GRADEBOOK, NAME, NAME):
        question, where = cell.removeprefix("check_"), f"{path}, {student}"
        score = auto if manual is None and extra else manual
        if waiting or score is None:
            mark = Mark(None, visible(comment), changed=manual is not None)
        else:
            mark = Mark(round(score + extra, 2), visible(comment))
        if mark == (None, "", False):
            continue
        _check_question(question, where)
        _check_score(manual, question, where)
        marks[student, question] = mark
    return marks


def _number(text: str, where: str) -> float:
    try:
        return float(text.replace(",", "."))  # as spreadsheets write it in half of the world
    except ValueError:
        raise ValueError(f"{where}: the score {text!r} is no number; without a score, leave it empty") from None


def _check_question(name: str, where: str) -> None:
    if name not in QUESTIONS:
        raise ValueError(f"{where}: there is no question {name!r}; they are {', '.join(QUESTIONS)}")


def _check_score(score: float | None, question: str, where: str) -> None:
    most = QUESTIONS[question].points
    if most and score is not None and not (math.isfinite(score) and 0 <= score <= most):
        raise ValueError(f"{where}: the score {score:g} of {question} should be from 0 to {most}")
