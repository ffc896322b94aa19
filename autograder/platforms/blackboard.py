"""Blackboard: a file for the Grade Center's *Work Offline > Upload*.

What Blackboard reads (Blackboard Help, *Work offline with grade data*; not tried there): a line a student, found by
``Username``, and columns that are found by the number at the end of their heading, as in ``explore_Adam [Total Pts: 100
Score] |123456``.  A column without it becomes a new text column out of 0, so it is refused here.  With commas, every
cell stands in quotes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from autograder.grading.spreadsheet import read_sheet, safe
from autograder.platforms.roster import TITLE, Ids, filled, matched
from autograder.platforms.totals import Export, Total, digits

IDS = ("Username", "Student ID")
ITEM = r"(?P<title>.*?) \[Total Pts: (?:up to )?(?P<points>[\d.,]+).*\] \|(?P<id>\d+)"


def blackboard(sums: Sequence[Total], roster: Path, ids: Ids, *, match: str = "", column: str = TITLE) -> Export:
    """A line for each student of Blackboard's own download ``roster`` who has a total: Username and the one column.

    Raises ``ValueError`` if ``roster`` is no such download, has no such column, or one that is out of other points.
    """
    sheet = read_sheet(roster)
    if "Username" not in sheet.header:
        raise ValueError(f"{roster} is no download of Blackboard's Grade Center: it should have Username")
    items = {name: item for name in sheet.header if (item := re.fullmatch(ITEM, name))}
    chosen = [name for name, item in items.items() if column in (name, item["title"], item["id"])]
    if len(chosen) != 1:
        there = ", ".join(items) or "none with a number"
        raise ValueError(f"{roster} should have one column {column!r}: make it in Blackboard first. It has {there}")
    points = float(items[chosen[0]]["points"].replace(",", ""))
    if points != sums[0].max_score:
        raise ValueError(
            f"{chosen[0]} is out of {points:g} in Blackboard, and these grades out of {sums[0].max_score:g}"
        )
    match, rows = matched(sums, sheet, range(len(sheet.rows)), match, IDS, roster, ids)
    username, key = sheet.column("Username"), sheet.column(match)
    missing = [key[row] for row in range(len(key)) if row not in rows.values()]
    text = io.StringIO(newline="")
    lines = csv.writer(text, quoting=csv.QUOTE_ALL)
    lines.writerow(("Username", chosen[0]))
    scored = [(total, row) for total, row in rows.items() if total.score is not None]
    lines.writerows((safe(username[row]), digits(total.score)) for total, row in scored)
    return Export(text.getvalue(), filled(sheet, sums, rows, missing, match).notes)
