"""Moodle's worksheet or list of participants, filled with our totals.

What Moodle reads (not tried at a Moodle): *Grades > Import > CSV file*: any columns; a teacher says which identifies
the user (email address, ID number, username) and which hold grade and feedback.  *Assignment > Upload grading
worksheet* (mod/assign/feedback/offline/importgradeslib.php): the file that *Download grading worksheet* writes, with
commas, ``Identifier``, ``Grade`` and ``Last modified (grade)``, beside them ``Maximum grade`` (``Maximum Grade``
before Moodle 4), ``Grade can be changed``, perhaps ``Feedback comments``, which is HTML.  The worksheet of an
anonymous assignment has no names: ``Identifier`` is ``Participant`` and a number, which its downloads have too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from autograder.grading.spreadsheet import Sheet, read_sheet, safe, written
from autograder.platforms.roster import TITLE, Ids, filled, id_of, matched, value
from autograder.platforms.totals import Export, Total, digits, without_total

IDS = ("Username", "Email address", "ID number", "Identifier")


def moodle(
    sums: Sequence[Total],
    feedback: Mapping[str, str],
    roster: Path | None,
    ids: Ids,
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
            [safe(id_of(total, ids)), digits(total.score), feedback.get(total.student, "")]
            for total in sums
            if total.score is not None
        ]
        return Export(written([header, *lines]), without_total(sums))
    sheet = read_sheet(roster)
    if not set(IDS) & set(sheet.header):
        raise ValueError(f"{roster} should have one of the columns {', '.join(IDS)} (in English)")
    worksheet = "Identifier" in sheet.header
    match, rows = matched(sums, sheet, range(len(sheet.rows)), match, IDS, roster, ids)
    if worksheet:
        grade, comments = _worksheet(sheet, sums[0].max_score, roster)
    else:
        grade, comments = len(sheet.header), len(sheet.header) + 1
        for cells in (sheet.header, *(cells for _, cells in sheet.rows)):
            cells += ["", ""]
        sheet.header[grade:] = [column, f"Feedback for {column}"]
    locked = _locked(sheet) if worksheet else set()
    notes = [
        f"{total.student}: Moodle says that the grade cannot be changed, and it was left as it is"
        for total, row in rows.items()
        if row in locked
    ]
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
    export = filled(sheet, sums, rows, missing, match)
    return Export(export.text, export.notes + notes)


def _worksheet(sheet: Sheet, most: float, roster: Path) -> tuple[int, int | None]:
    """Where a grading worksheet has its grade and its comments."""
    most_at = next((i for i, name in enumerate(sheet.header) if name.casefold() == "maximum grade"), None)
    if "Grade" not in sheet.header or most_at is None:
        raise ValueError(f"{roster} has no columns Grade and Maximum grade: set Moodle's language to English")
    for line, cells in sheet.rows:
        theirs = cells[most_at]
        if value(theirs) != most:
            raise ValueError(f"{roster}, line {line}: the maximum grade is {theirs!r}, and these are out of {most:g}")
    comments = sheet.header.index("Feedback comments") if "Feedback comments" in sheet.header else None
    return sheet.header.index("Grade"), comments


def _locked(sheet: Sheet) -> set[int]:
    name = "Grade can be changed"
    return {i for i, cell in enumerate(sheet.column(name)) if cell == "No"} if name in sheet.header else set()
