"""Grades for other systems: a total a student, and what Canvas and Moodle import.

A question without a score is never a 0: whoever has one gets no total, and is named with the reason.

What is taken for granted of the two platforms (their documentation, 2024):

- Canvas, *Gradebook > Import*: the file that its *Export* writes, with the columns ``Student, ID, SIS User
  ID, SIS Login ID, Section``, then the assignments as ``Name (number)``, then read-only totals.  Before
  the students stand a line with the points possible and perhaps one about the posting policy.  A column
  without a number in its name becomes a new assignment.  Fields may be separated by semicolons, and
  numbers then written with a comma.  Students are found by their ids, not by their names.
- Moodle, *Grades > Import > CSV file*: any columns; a teacher says which identifies the user (email
  address, ID number, username) and which hold grade and feedback.  *Assignment > Upload grading
  worksheet*: the file that *Download grading worksheet* writes, with ``Identifier``, ``Grade``,
  ``Maximum Grade``, ``Grade can be changed``, perhaps ``Feedback comments``, which is HTML.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autograder.grading import BY_HAND, GRADED, NOT_GRADED, Row
from autograder.marks import Mark
from autograder.questions import QUESTIONS
from autograder.spreadsheet import FORMULA, Sheet, plain, read_sheet, safe, written

TITLE = "explore_Adam"
SHEET = (*Row._fields, "comment")
CANVAS_IDS = ("SIS Login ID", "SIS User ID", "ID")
MOODLE_IDS = ("Username", "Email address", "ID number", "Identifier")
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
        table.append(Row(plain(student), question, *numbers, status, plain(message)))
    if not table:
        raise ValueError(f"{path} holds no grades")
    return table


def totals(table: Iterable[Row], questions: str = "all") -> list[Total]:
    """The total of each student over the chosen questions: all, code or written."""
    by_student: dict[str, list[Row]] = defaultdict(list)
    for row in table:
        if CHOICES[questions](row.question):
            by_student[row.student].append(row)
    return [_total(student, rows) for student, rows in sorted(by_student.items())]


def _total(student: str, rows: Sequence[Row]) -> Total:
    most = sum(row.max_score for row in rows)
    waiting = [row for row in rows if row.score is None]
    if not waiting:
        return Total(student, round(sum(row.score or 0 for row in rows), 2), most, GRADED, "")
    lost = [row for row in waiting if row.status == NOT_GRADED]
    reasons = dict.fromkeys(f"{status}: {_names(waiting, status)}" for status in (NOT_GRADED, BY_HAND))
    said = "; ".join(reason for reason in reasons if not reason.endswith(": "))
    return Total(student, None, most, NOT_GRADED if lost else BY_HAND, said)


def _names(rows: Sequence[Row], status: str) -> str:
    return ", ".join(row.question for row in rows if row.status == status)


def marks_sheet(table: Iterable[Row], marks: Mapping[tuple[str, str], Mark]) -> str:
    """``marks.csv``, to be filled in: a line for each answer that the grader leaves to people.

    ``table`` holds what the grader found.  What ``marks`` says already is in the sheet.
    """
    lines: list[Sequence[object]] = [SHEET]
    for row in table:
        mark = marks.get((row.student, row.question), Mark(None, ""))
        if row.score is None or mark != (None, "", False):
            said = (row.student, row.question, _digits(mark.score), row.max_score, row.status, row.message)
            lines.append([safe(cell) for cell in (*said, mark.comment)])
    return written(lines)


def csv_totals(found: Sequence[Total]) -> Export:
    """``totals.csv``."""
    lines = [[safe(cell) if cell is not None else "" for cell in total] for total in found]
    return Export(written([Total._fields, *lines]), _without_total(found))


def canvas(found: Sequence[Total], roster: Path, *, match: str = "", column: str = TITLE) -> Export:
    """Canvas's own gradebook file ``roster`` with the cells of one assignment filled.

    ``match`` is the column that holds our names of the students; without it, the one that fits most.
    ``column`` is the assignment, with or without its number; one that is not there is added.  Raises
    ``ValueError`` if the file is no gradebook, or the points differ from what the assignment has.
    """
    sheet = read_sheet(roster)
    if "Student" not in sheet.header or not set(CANVAS_IDS) & set(sheet.header):
        raise ValueError(f"{roster} is no gradebook of Canvas: it should have Student, ID, SIS Login ID, …")
    place = sheet.header.index("Student")
    points = next((cells for _, cells in sheet.rows if cells[place].strip() == "Points Possible"), None)
    if points is None:
        raise ValueError(f"{roster} has no line 'Points Possible': export the gradebook from Canvas anew")
    first = next(i for i, (_, cells) in enumerate(sheet.rows) if cells is points) + 1
    match, rows = _matched(found, sheet, range(first, len(sheet.rows)), match, CANVAS_IDS, roster)
    target = _assignment(sheet.header, column, roster)
    comma = sheet.delimiter != "," and any(re.fullmatch(r"\d+,\d+", cell) for cell in points)
    most = found[0].max_score
    if target is None:
        for cells in (sheet.header, *(cells for _, cells in sheet.rows)):
            cells.append("")
        sheet.header[-1], points[-1], target = column, _digits(most, comma), -1
    elif _value(points[target]) != most:
        raise ValueError(
            f"{sheet.header[target]} has {points[target] or 'no'} points possible in Canvas, and these "
            f"grades are out of {most:g}: change it in Canvas, or give another --column"
        )
    for total, row in rows.items():
        if total.score is not None:
            sheet.rows[row][1][target] = _digits(total.score, comma)
    for _, cells in sheet.rows:
        cells[place] = str(safe(cells[place]))
    missing = [
        cells[place] for i, (_, cells) in enumerate(sheet.rows[first:], first) if i not in rows.values()
    ]
    return _filled(sheet, found, rows, missing, match)


def _assignment(header: Sequence[str], column: str, roster: Path) -> int | None:
    """Where the assignment's column is; None if there is none."""
    named = [i for i, name in enumerate(header) if column in (name, re.sub(r" \(\d+\)$", "", name))]
    if len(named) > 1:
        several = ", ".join(header[i] for i in named)
        raise ValueError(f"{roster} has several columns of this name: choose one with --column: {several}")
    return named[0] if named else None


def moodle(
    found: Sequence[Total],
    feedback: Mapping[str, str],
    roster: Path | None = None,
    *,
    match: str = "",
    column: str = TITLE,
) -> Export:
    """A file for Moodle, with ``feedback`` by student as HTML.

    With a grading worksheet as ``roster``, that worksheet, filled; with a list of participants, their
    columns with grade and feedback; without any, a line a student under the heading ``match``.
    """
    if roster is None:
        header = [match or "Username", column, f"Feedback for {column}"]
        lines = [
            [safe(total.student), _digits(total.score), feedback.get(total.student, "")]
            for total in found
            if total.score is not None
        ]
        return Export(written([header, *lines]), _without_total(found))
    sheet = read_sheet(roster)
    ids = [name for name in MOODLE_IDS if name in sheet.header]
    if not ids:
        raise ValueError(f"{roster} should have one of the columns {', '.join(MOODLE_IDS)} (in English)")
    worksheet = "Identifier" in sheet.header
    match, rows = _matched(found, sheet, range(len(sheet.rows)), match, ids, roster)
    if worksheet:
        grade, comments = _worksheet(sheet, found[0].max_score, roster)
    else:
        grade, comments = len(sheet.header), len(sheet.header) + 1
        for cells in (sheet.header, *(cells for _, cells in sheet.rows)):
            cells += ["", ""]
        sheet.header[grade:] = [column, f"Feedback for {column}"]
    locked = _locked(sheet) if worksheet else set()
    notes = [f"{total.student}: Moodle says that the grade cannot be changed, and it was left as it is"
             for total, row in rows.items() if row in locked]  # fmt: skip
    for total, row in rows.items():
        if total.score is not None and row not in locked:
            cells = sheet.rows[row][1]
            cells[grade] = _digits(total.score)
            if comments is not None:
                cells[comments] = feedback.get(total.student, "")
    for name in ("Full name", "First name", "Last name", "Surname"):
        for _, cells in sheet.rows if name in sheet.header else ():
            cells[sheet.header.index(name)] = str(safe(cells[sheet.header.index(name)]))
    key = sheet.column(match)
    missing = [key[i] for i in range(len(key)) if i not in rows.values()]
    made = _filled(sheet, found, rows, missing, match)
    return Export(made.text, made.notes + notes)


def _worksheet(sheet: Sheet, most: float, roster: Path) -> tuple[int, int | None]:
    """Where a grading worksheet has its grade and its comments."""
    if "Grade" not in sheet.header or "Maximum Grade" not in sheet.header:
        raise ValueError(f"{roster} has no columns Grade and Maximum Grade: set Moodle's language to English")
    for line, cells in sheet.rows:
        theirs = cells[sheet.header.index("Maximum Grade")]
        if _value(theirs) != most:
            raise ValueError(
                f"{roster}, line {line}: the maximum grade is {theirs!r}, and these are out of {most:g}"
            )
    comments = sheet.header.index("Feedback comments") if "Feedback comments" in sheet.header else None
    return sheet.header.index("Grade"), comments


def _locked(sheet: Sheet) -> set[int]:
    name = "Grade can be changed"
    return {i for i, cell in enumerate(sheet.column(name)) if cell == "No"} if name in sheet.header else set()


def feedback(table: Iterable[Row], marks: Mapping[tuple[str, str], Mark], questions: str) -> dict[str, str]:
    """What a student reads in the platform, as HTML on one line: score, sentence and comment by question."""
    said: dict[str, list[str]] = defaultdict(list)
    for row in table:
        if not CHOICES[questions](row.question):
            continue
        score = "no score yet" if row.score is None else f"{row.score:g} of {row.max_score:g}"
        mark = marks.get((row.student, row.question))
        words = " ".join(f"{row.message} {mark.comment if mark else ''}".split())
        said[row.student].append(_html(f"{row.question}: {score}. {words}".strip()))
    return {student: "<br>".join(lines) for student, lines in said.items()}


def _html(text: str) -> str:
    """Text as HTML in which a spreadsheet finds no formula either, split at a ; or not."""
    return re.sub(rf"(; *)([{FORMULA}])", lambda at: f"{at[1]}&#{ord(at[2])};", html.escape(text))


# --- students here and there -----------------------------------------------------------------------


def _matched(
    found: Sequence[Total], sheet: Sheet, places: range, match: str, ids: Sequence[str], roster: Path
) -> tuple[str, dict[Total, int]]:
    """The column that identifies students, and the row of each that is found in it."""
    if match and match not in sheet.header:
        raise ValueError(f"{roster} has no column {match!r} to match: it has {', '.join(sheet.header)}")
    names = [match] if match else [name for name in ids if name in sheet.header]
    best = max((_rows(found, sheet, places, name, roster) for name in names), key=lambda each: len(each[1]))
    if not best[1]:
        raise ValueError(f"none of our students stands in {', '.join(names)} of {roster}: see --match")
    return best


def _rows(
    found: Sequence[Total], sheet: Sheet, places: range, name: str, roster: Path
) -> tuple[str, dict[Total, int]]:
    cells = sheet.column(name)
    there: dict[str, list[int]] = defaultdict(list)
    for place in places:
        there[_normal(cells[place], name)].append(place)
    ours: dict[str, str] = {}
    rows = {}
    for total in found:
        key = _normal(total.student, name)
        if not key or key not in there:
            continue
        if len(there[key]) > 1 or key in ours:
            raise ValueError(f"{total.student} stands twice in {name} of {roster}, or here: see --match")
        ours[key], rows[total] = total.student, there[key][0]
    return name, rows


def _normal(text: str, column: str) -> str:
    """An id as it is compared: text, so 007 is not 7; Moodle writes an identifier as Participant 123."""
    text = text.strip().casefold()
    return text.rpartition(" ")[2] if column == "Identifier" else text


def _filled(
    sheet: Sheet, found: Sequence[Total], rows: Mapping[Total, int], missing: Sequence[str], match: str
) -> Export:
    """The sheet as text, and who stands on one side only."""
    notes = _without_total(found)
    notes += [
        f"{total.student}: graded, but not in the roster's {match}" for total in found if total not in rows
    ]
    notes += [f"{name.strip()}: in the roster, but nothing was handed in; left as it is" for name in missing]
    notes += [
        f"{cell}: an id that starts like a formula: import the file without opening it in a spreadsheet"
        for cell in sheet.column(match) if safe(cell) != cell
    ]  # fmt: skip
    lines = [sheet.header, *(cells for _, cells in sheet.rows)]
    return Export(written(lines, sheet.delimiter, sheet.bom), notes)


def _without_total(found: Sequence[Total]) -> list[str]:
    return [f"{total.student}: no total; {total.message}" for total in found if total.score is None]


def _digits(number: float | None, comma: bool = False) -> str:
    text = "" if number is None else f"{number:g}"
    return text.replace(".", ",") if comma else text


def _value(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None
