"""Whose id is whose: a mapping file, or what nbgrader knows of its students."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from autograder.grading.spreadsheet import plain, read_sheet

COLUMNS = ("student", "id")


def read_ids(path: Path) -> dict[str, list[str]]:
    """The ids of each student elsewhere.

    From a CSV file with the columns student and id, or from nbgrader's ``gradebook.db``: ``lms_user_id`` and email.
    Raises ``ValueError`` if it is neither, or if an id stands at two students.
    """
    with open(path, "rb") as file:
        pairs = _gradebook(path) if file.read(16) == b"SQLite format 3\0" else _csv(path)
    ids: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    for student, id in pairs:
        if owner.setdefault(id, student) != student:
            raise ValueError(f"{path}: the id {id} stands at {owner[id]} and at {student}: it should be one student's")
        if id not in ids.setdefault(student, []):
            ids[student].append(id)
    return ids


def _csv(path: Path) -> list[tuple[str, str]]:
    sheet = read_sheet(path)
    if missing := [name for name in COLUMNS if name not in sheet.header]:
        raise ValueError(f"{path} has no column {', '.join(missing)}: it should have {', '.join(COLUMNS)}")
    pairs = zip(*(sheet.column(name) for name in COLUMNS), strict=True)
    return [(plain(student.strip()), plain(id.strip())) for student, id in pairs if student.strip() and id.strip()]


def _gradebook(path: Path) -> list[tuple[str, str]]:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute("select id, lms_user_id, email from student order by id").fetchall()
    except sqlite3.Error as error:
        raise ValueError(f"{path} is not a gradebook of nbgrader: {error}") from None
    return [(student, id) for student, *ids in rows for id in ids if id]
