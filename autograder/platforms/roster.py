"""A platform's own list of students, filled with our totals; who stands on one side only is named."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from autograder.grading.spreadsheet import Sheet, safe, written
from autograder.platforms.totals import Export, Total, without_total

TITLE = "explore_Adam"  # of the assignment

Ids = Mapping[str, Sequence[str]]  # of each student elsewhere, from --ids


def matched(
    sums: Sequence[Total], sheet: Sheet, places: range, match: str, columns: Sequence[str], roster: Path, ids: Ids
) -> tuple[str, dict[Total, int]]:
    """The column that identifies students, and the row of each that is found in it."""
    if match and match not in sheet.header:
        raise ValueError(f"{roster} has no column {match!r} to match: it has {', '.join(sheet.header)}")
    names = [match] if match else [name for name in columns if name in sheet.header]
    best = max((_rows(sums, sheet, places, name, roster, ids) for name in names), key=lambda each: len(each[1]))
    if not best[1]:
        raise ValueError(f"none of our students stands in {', '.join(names)} of {roster}: see --match and --ids")
    return best


def _rows(
    sums: Sequence[Total], sheet: Sheet, places: range, name: str, roster: Path, ids: Ids
) -> tuple[str, dict[Total, int]]:
    cells = sheet.column(name)
    there: dict[str, list[int]] = defaultdict(list)
    for place in places:
        there[_normal(cells[place], name)].append(place)
    rows: dict[Total, int] = {}
    for total in sums:
        keys = {_normal(id, name) for id in (total.student, *ids.get(total.student, ()))} - {""}
        hits = [place for key in keys for place in there.get(key, [])]
        if len(hits) > 1 or set(hits) & set(rows.values()):
            raise ValueError(f"{total.student} stands twice in {name} of {roster}, or here: see --match and --ids")
        if hits:
            rows[total] = hits[0]
    return name, rows


def _normal(text: str, column: str) -> str:
    """An id as it is compared: text, so 007 is not 7; Moodle writes Participant 123, and Brightspace #123."""
    text = text.strip().casefold().removeprefix("#")
    return re.sub(r"^participant[ _]", "", text) if column == "Identifier" else text


def id_of(total: Total, ids: Ids) -> str:
    """The id to write where there is no roster: the first of ``ids``, or our own name of the student."""
    return next(iter(ids.get(total.student, ())), total.student)


def filled(
    sheet: Sheet, sums: Sequence[Total], rows: Mapping[Total, int], missing: Sequence[str], match: str
) -> Export:
    """The sheet as text, and who stands on one side only."""
    notes = without_total(sums)
    notes += [f"{total.student}: graded, but not in the roster's {match}" for total in sums if total not in rows]
    notes += [f"{name.strip()}: in the roster, but nothing was handed in; left as it is" for name in missing]
    notes += [
        f"{cell}: an id that starts like a formula: import the file without opening it in a spreadsheet"
        for cell in sheet.column(match)
        if safe(cell) != cell
    ]
    lines = [sheet.header, *(cells for _, cells in sheet.rows)]
    return Export(written(lines, sheet.delimiter, sheet.bom), notes)


def value(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None
