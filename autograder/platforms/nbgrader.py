"""Puts our rules where nbgrader works on explore_Adam, and nowhere else: ``install``.

Whatever a course's settings say, explore_Adam is made, graded and given back by ours, and every other
assignment by nbgrader's and the course's own.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbgrader.api import MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import BaseConverter
from nbgrader.plugins import CsvExportPlugin

from adamw_pset.files import write_whole
from autograder.assignment.places import NAME

COLUMNS = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
    "ungraded",
)

_stock_convert = BaseConverter.convert_notebooks
_stock_export = CsvExportPlugin.export


def install() -> None:
    """From now on, nbgrader in this process works on explore_Adam by our rules; nothing else changes."""
    BaseConverter.convert_notebooks = _convert
    CsvExportPlugin.export = _export


def _convert(converter: Any) -> None:
    """nbgrader's step from notebooks to notebooks, with our settings for explore_Adam alone."""
    chosen: dict[str, list[str]] = converter.assignments
    ours: dict[str, list[str]] = {}
    if isinstance(converter, GenerateAssignment | Autograde | GenerateFeedback):
        ours = {path: notebooks for path, notebooks in chosen.items() if _assignment(converter, path) == NAME}
    try:
        converter.assignments = {path: notebooks for path, notebooks in chosen.items() if path not in ours}
        _stock_convert(converter)
    finally:
        converter.assignments = ours
        if ours:
            from autograder.platforms.nbgrader_steps import our_settings  # torch and all: not for other assignments

            with our_settings(converter):
                _stock_convert(converter)


def _assignment(converter: Any, path: str) -> str:
    pattern = converter._format_source("(?P<assignment_id>.*)", "(?P<student_id>.*)", escape=True)
    match = re.match(pattern, path)
    return match["assignment_id"] if match else ""


def _export(plugin: Any, gradebook: Any) -> None:
    """``nbgrader export``: nbgrader's own lines, and how many questions of explore_Adam have no score yet.

    Where there are any, its ``score`` is empty: what is not graded is not a zero.  Without explore_Adam, the
    file is nbgrader's own.
    """
    chosen = [each for each in gradebook.assignments if _wanted(plugin.assignment, each.name)]
    if NAME not in [each.name for each in chosen]:
        _stock_export(plugin, gradebook)
        return
    students = [each for each in gradebook.students if _wanted(plugin.student, each.id)]
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows(_exported(gradebook, assignment, student) for assignment in chosen for student in students)
    write_whole(Path(plugin.to or "grades.csv"), text.getvalue())


def _wanted(chosen: Sequence[object], name: str) -> bool:
    return not chosen or name in map(str, chosen)


def _exported(gradebook: Any, assignment: Any, student: Any) -> list[object]:
    """A line of the export, in the order of ``COLUMNS``."""
    about = [student.id, student.last_name, student.first_name, student.email]
    try:
        submission = gradebook.find_submission(assignment.name, student.id)
    except MissingEntry:
        score: object = "" if assignment.name == NAME else 0.0
        return [assignment.name, assignment.duedate, "", *about, 0.0, 0.0, score, assignment.max_score, ""]
    penalty = submission.late_submission_penalty
    total: list[object] = [max(0.0, submission.score - penalty), assignment.max_score, ""]
    if assignment.name == NAME:
        ungraded = sum(_waits(grade) for notebook in submission.notebooks for grade in notebook.grades)
        total = ["" if ungraded else total[0], assignment.max_score, ungraded]
    return [assignment.name, assignment.duedate, submission.timestamp, *about, submission.score, penalty, *total]


def _waits(grade: Any) -> bool:
    """Whether a person is to look: no score, or one that was given to an answer that has changed since."""
    if grade.manual_score is None:
        return grade.auto_score is None
    return bool(grade.needs_manual_grade)
