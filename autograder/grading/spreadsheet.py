"""CSV files as spreadsheets and learning platforms read and write them.

Any program may have saved them: with commas, semicolons or tabs, with or without a byte order mark.
What students control is written so that no spreadsheet takes it for a formula (OWASP, *CSV Injection*).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

FORMULA = "=+\\-@＝＋－＠\t\r\n"  # what a cell must not start with, as a class of a regular expression
# A cell starts at the start of the text, and after a ; or tab where a spreadsheet is set to split there.
_STARTS = re.compile(rf"(\A|[;\t\r\n] *)(?='*[{FORMULA}])")
_QUOTED = re.compile(rf"(\A|[;\t\r\n] *)'(?='*[{FORMULA}])")


class Sheet(NamedTuple):
    """A CSV file: its header, its rows (line number, cells as many as the header has), how it was written."""

    header: list[str]
    rows: list[tuple[int, list[str]]]
    delimiter: str = ","
    bom: bool = False

    def column(self, name: str) -> list[str]:
        """The cells of a column."""
        place = self.header.index(name)
        return [cells[place] for _, cells in self.rows]


def safe(value: object) -> object:
    """``value``; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return _STARTS.sub(r"\1'", value) if isinstance(value, str) else value


def plain(text: str) -> str:
    """The text that ``safe`` was given."""
    return _QUOTED.sub(r"\1", text)


def written(lines: Iterable[Sequence[object]], delimiter: str = ",", bom: bool = False) -> str:
    """Lines as the text of a CSV file (RFC 4180); it is for the caller to make cells ``safe``."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(lines)
    return ("\ufeff" if bom else "") + text.getvalue()


def read_sheet(path: Path) -> Sheet:
    """The CSV file at ``path``; empty lines are passed over, short ones filled up with empty cells.

    Raises ``ValueError`` with the line, if it is no CSV file in UTF-8 or a line has too many cells, and
    ``OSError`` if it cannot be opened.
    """
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not in UTF-8: save it as CSV UTF-8") from None
    content, told = re.subn(r"\Asep=.\r?\n", "", text.removeprefix("\ufeff"))  # a spreadsheet's own first line
    delimiter = max(",;\t", key=content.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    rows, start = [], 1 + told
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((start, cells))
            start = reader.line_num + 1 + told
    except csv.Error as error:
        raise ValueError(f"{path}, line {start}: {error}; it should be a line of a CSV file") from None
    if not rows:
        raise ValueError(f"{path} is empty: its first line should name the columns")
    header = [cell.strip() for cell in rows[0][1]]
    for line, cells in rows[1:]:
        if any(cells[len(header) :]):
            raise ValueError(f"{path}, line {line} has {len(cells)} cells, and the header names {len(header)}")
        cells[:] = (cells + [""] * len(header))[: len(header)]
    return Sheet(header, rows[1:], delimiter, text.startswith("\ufeff"))
