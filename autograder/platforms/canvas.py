"""Canvas's gradebook, filled with our totals.

What Canvas reads (canvas-lms, ``lib/gradebook_importer.rb``; not tried at a Canvas): the file that *Gradebook >
Export* writes, with the columns ``Student`` or ``LastName, FirstName``, ``ID, SIS User ID, SIS Login ID,
Section``, then the assignments as ``Name (number)``, then read-only totals.  Before the students stand a line
with the points possible and perhaps one about the posting policy.  A column without a number in its name becomes a
new assignment.  Fields may be separated by semicolons, and numbers then written with a comma.  Students
are found by their ids, not by their names.  ``EX`` is an excused student.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from autograder.grading.spreadsheet import read_sheet, safe, written
from autograder.platforms.roster import TITLE, Ids, filled, matched, value
from autograder.platforms.totals import Export, Total, digits

IDS = ("SIS Login ID", "SIS User ID", "ID")
NAMES = ("Student", "LastName", "FirstName")
EXCUSED = "EX"


def canvas(
    sums: Sequence[Total], roster: Path, ids: Ids, *, match: str = "", column: str = TITLE, changed: bool = False
) -> Export:
    """Canvas's own gradebook file ``roster`` with the cells of one assignment filled, but for excused students.

    With ``changed``, only the students and the one column that change, as Canvas advises for large classes.
    ``match`` is the column that holds our names of the students, or those of ``ids``; without it, the one that
    fits most.
    ``column`` is the assignment, with or without its number; one that is not there is added.  Raises
    ``ValueError`` if the file is no gradebook, or the points differ from what the assignment has.
    """
    sheet = read_sheet(roster)
    names = [sheet.header.index(name) for name in NAMES if name in sheet.header]
    if not names or not set(IDS) & set(sheet.header):
        raise ValueError(f"{roster} is no gradebook of Canvas: it should have Student, ID, SIS Login ID, …")
    points = next((cells for _, cells in sheet.rows if cells[names[0]].strip() == "Points Possible"), None)
    if points is None:
        raise ValueError(f"{roster} has no line 'Points Possible': export the gradebook from Canvas anew")
    first = next(i for i, (_, cells) in enumerate(sheet.rows) if cells is points) + 1
    match, rows = matched(sums, sheet, range(first, len(sheet.rows)), match, IDS, roster, ids)
    target = _assignment(sheet.header, column, roster)
    comma = sheet.delimiter != "," and any(re.fullmatch(r"\d+,\d+", cell) for cell in points)
    most = sums[0].max_score
    if target is None:
        for cells in (sheet.header, *(cells for _, cells in sheet.rows)):
            cells.append("")
        sheet.header[-1], points[-1], target = column, digits(most, comma), -1
    elif value(points[target]) != most:
        raise ValueError(
            f"{sheet.header[target]} has {points[target] or 'no'} points possible in Canvas, and these "
            f"grades are out of {most:g}: change it in Canvas, or give another --column"
        )
    touched, excused = set(), []
    for total, row in rows.items():
        cells = sheet.rows[row][1]
        if cells[target].strip().upper() == EXCUSED:
            excused.append(f"{total.student}: excused in Canvas, and left so")
        elif total.score is not None and value(cells[target]) != total.score:
            cells[target] = digits(total.score, comma)
            touched.add(row)
    for _, cells in sheet.rows:
        for name in names:
            cells[name] = str(safe(cells[name]))
    missing = [
        " ".join(cells[name] for name in reversed(names))
        for row, (_, cells) in enumerate(sheet.rows)
        if row >= first and row not in rows.values()
    ]
    export = filled(sheet, sums, rows, missing, match)
    if changed:
        lines = [sheet.header, points, *(sheet.rows[row][1] for row in sorted(touched))]
        about = sheet.header.index("Section") + 1 if "Section" in sheet.header else len(names) + 1
        text = written([[*cells[:about], cells[target]] for cells in lines], sheet.delimiter, sheet.bom)
        export = export._replace(text=text)
    return export._replace(notes=export.notes + excused)


def _assignment(header: Sequence[str], column: str, roster: Path) -> int | None:
    """Where the assignment's column is; None if there is none."""
    named = [i for i, name in enumerate(header) if column in (name, re.sub(r" \(\d+\)$", "", name))]
    if len(named) > 1:
        several = ", ".join(header[i] for i in named)
        raise ValueError(f"{roster} has several columns of this name: choose one with --column: {several}")
    return named[0] if named else None
