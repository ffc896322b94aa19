"""The files of Canvas and Moodle, filled with our totals; who stands on one side only is named.

What is taken for granted of the two platforms, from their documentation as remembered; not tried there:

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

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from autograder.exports import Export, Total, digits, without_total
from autograder.spreadsheet import Sheet, read_sheet, safe, written

TITLE = "explore_Adam"
CANVAS_IDS = ("SIS Login ID", "SIS User ID", "ID")
MOODLE_IDS = ("Username", "Email address", "ID number", "Identifier")


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
        sheet.header[-1], points[-1], target = column, digits(most, comma), -1
    elif _value(points[target]) != most:
        raise ValueError(
            f"{sheet.header[target]} has {points[target] or 'no'} points possible in Canvas, and these "
            f"grades are out of {most:g}: change it in Canvas, or give another --column"
        )
    for total, row in rows.items():
        if total.score is not None:
            sheet.rows[row][1][target] = digits(total.score, comma)
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
            [safe(total.student), digits(total.score), feedback.get(total.student, "")]
            for total in found
            if total.score is not None
        ]
        return Export(written([header, *lines]), without_total(found))
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
            cells[grade] = digits(total.score)
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
    notes = without_total(found)
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


def _value(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None
