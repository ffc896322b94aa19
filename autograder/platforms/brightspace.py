"""Brightspace: a file for *Grades > Enter grades > Import*.

What Brightspace reads (D2L, *Importing grades*, and its sample file; not tried there): ``OrgDefinedId`` or
``Username``, ``<item> Points Grade``, and at the end of every line ``End-of-Line Indicator`` with a ``#``.  Its own
export puts a ``#`` before ids as well, and ``<Numeric MaxPoints:100 …>`` behind the item.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from autograder.grading.spreadsheet import read_sheet, safe, written
from autograder.platforms.roster import TITLE, Ids, filled, id_of, matched
from autograder.platforms.totals import Export, Total, digits, without_total

IDS = ("OrgDefinedId", "Username")
END = ("End-of-Line Indicator", "#")


def brightspace(
    sums: Sequence[Total], roster: Path | None, ids: Ids, *, match: str = "", column: str = TITLE
) -> Export:
    """A line for each student with a total; with Brightspace's own export as ``roster``, its ids and item.

    Raises ``ValueError`` if ``roster`` is no export of Brightspace, or its item is out of other points.
    """
    item = f"{column} Points Grade"
    if roster is None:
        lines = [[safe(id_of(total, ids)), digits(total.score), END[1]] for total in sums if total.score is not None]
        return Export(written([(match or IDS[0], item, END[0]), *lines]), without_total(sums))
    sheet = read_sheet(roster)
    if not set(IDS) & set(sheet.header):
        raise ValueError(f"{roster} is no export of Brightspace: it should have {' or '.join(IDS)}")
    match, rows = matched(sums, sheet, range(len(sheet.rows)), match, IDS, roster, ids)
    theirs = next((name for name in sheet.header if name.split(" <")[0] == item), item)
    points = re.search(r"MaxPoints:([\d.]+)", theirs)
    if points and float(points[1]) != sums[0].max_score:
        raise ValueError(
            f"{theirs} is out of {points[1]} in Brightspace, and these grades out of {sums[0].max_score:g}"
        )
    key = sheet.column(match)
    missing = [key[row] for row in range(len(key)) if row not in rows.values()]
    scored = [(total, row) for total, row in rows.items() if total.score is not None]
    lines = [[safe(key[row]), digits(total.score), END[1]] for total, row in scored]
    notes = filled(sheet, sums, rows, missing, match).notes
    return Export(written([(match, theirs, END[0]), *lines]), notes)
