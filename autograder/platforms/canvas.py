"""Canvas's gradebook, filled with our totals.

What is taken for granted, from its documentation as remembered; not tried there:
Canvas, *Gradebook > Import*: the file that its *Export* writes, with the columns ``Student, ID, SIS User
ID, SIS Login ID, Section``, then the assignments as ``Name (number)``, then read-only totals.  Before
the students stand a line with the points possible and perhaps one about the posting policy.  A column
without a number in its name becomes a new assignment.  Fields may be separated by semicolons, and
numbers then written with a comma.  Students are found by their ids, not by their names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from autograder.grading.spreadsheet import read_sheet, safe
from autograder.platforms.roster import TITLE, filled, matched, value
from autograder.platforms.totals import Export, Total, digits

IDS = ("SIS Login ID", "SIS User ID", "ID")


def canvas(found: Sequence[Total], roster: Path, *, match: str = "", column: str = TITLE) -> Export:
    """Canvas's own gradebook file ``roster`` with the cells of one assignment filled.

    ``match`` is the column that holds our names of the students; without it, the one that fits most.
    ``column`` is the assignment, with or without its number; one that is not there is added.  Raises
    ``ValueError`` if the file is no gradebook, or the points differ from what the assignment has.
    """
    sheet = read_sheet(roster)
    if "Student" not in sheet.header or not set(IDS) & set(sheet.header):
        raise ValueError(f"{roster} is no gradebook of Canvas: it should have Student, ID, SIS Login ID, …")
    place = sheet.header.index("Student")
    points = next((cells for _, cells in sheet.rows if cells[place].strip() == "Points Possible"), None)
    if points is None:
        raise ValueError(f"{roster} has no line 'Points Possible': export the gradebook from Canvas anew")
    first = next(i for i, (_, cells) in enumerate(sheet.rows) if cells is points) + 1
    match, rows = matched(found, sheet, range(first, len(sheet.rows)), match, IDS, roster)
    target = _assignment(sheet.header, column, roster)
    comma = sheet.delimiter != "," and any(re.fullmatch(r"\d+,\d+", cell) for cell in points)
    most = found[0].max_score
    if target is None:
        for cells in (sheet.header, *(cells for _, cells in sheet.rows)):
            cells.append("")
        sheet.header[-1], points[-1], target = column, digits(most, comma), -1
    elif value(points[target]) != most:
        raise ValueError(
            f"{sheet.header[target]} has {points[target] or 'no'} points possible in Canvas, and these "
            f"grades are out of {most:g}: change it in Canvas, or give another --column"
        )
    for total, row in rows.items():
        if total.score is not None:
            sheet.rows[row][1][target] = digits(total.score, comma)
    for _, cells in sheet.rows:
        cells[place] = str(safe(cells[place]))
    missing = [cells[place] for i, (_, cells) in enumerate(sheet.rows[first:], first) if i not in rows.values()]
    return filled(sheet, found, rows, missing, match)


def _assignment(header: Sequence[str], column: str, roster: Path) -> int | None:
    """Where the assignment's column is; None if there is none."""
    named = [i for i, name in enumerate(header) if column in (name, re.sub(r" \(\d+\)$", "", name))]
    if len(named) > 1:
        several = ", ".join(header[i] for i in named)
        raise ValueError(f"{roster} has several columns of this name: choose one with --column: {several}")
    return named[0] if named else None
