"""The tidy table of a sweep: one row a run, with the settings that made it, in memory and on disk.

On disk a table is a CSV file whose first line is a comment that holds the settings as JSON.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adamw_pset.files import write_whole

KEY = ["optimizer", "lr", "decay", "seed"]
METRICS = ["val_accuracy", "val_loss", "train_accuracy", "train_loss"]
HASHES = "data.hash."  # where a table's settings tell its data, seed by seed
COLUMNS = [*KEY, *METRICS, "diverged"]
MOTION = ["turn", "length"]  # how the weights moved; NaN in tables that were saved before they were measured


class TableError(ValueError):
    """A table that cannot be read, or cannot be joined with another."""


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Save ``table`` and its settings (``table.attrs``) to ``path``; floats keep every digit."""
    header = "# " + json.dumps(table.attrs, ensure_ascii=False)
    write_whole(path, header + "\n" + table.to_csv(index=False))


def read_table(path: str | Path) -> pd.DataFrame:
    """A table that ``write_table`` saved.

    Raises ``TableError`` if the file is no such table, ``OSError`` if it cannot be opened.
    """
    try:
        settings, text, delimiter = _parts(Path(path).read_text(encoding="utf-8-sig"))
        numbers = dict.fromkeys(("lr", "decay", *METRICS, *MOTION), _number)
        table = pd.read_csv(io.StringIO(text), sep=delimiter, converters=numbers)
    except (
        UnicodeDecodeError,
        json.JSONDecodeError,
        csv.Error,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
    ) as error:
        raise TableError(f"{path} is not a table of runs: {error}") from error
    try:
        table = with_motion(check_table(table))
    except TableError as error:
        raise TableError(f"{path}: {error}") from error
    table.attrs.update(settings)
    return table


def settings_of(table: pd.DataFrame) -> dict[str, Any]:
    """The settings that made ``table``."""
    return {str(name): value for name, value in table.attrs.items()}


def _parts(text: str) -> tuple[dict[str, Any], str, str]:
    """The settings of the first line, the rest, and its delimiter; a spreadsheet may have saved the file anew."""
    lines = [line for line in text.splitlines() if not line.startswith("sep=")]
    marked = bool(lines) and lines[0].lstrip('"').startswith("# {")
    delimiter = max(",;\t", key=lines[marked].count) if len(lines) > marked else ","
    if not marked:
        return {}, "\n".join(lines), delimiter
    header = lines[0]
    if header.startswith('"') or delimiter != ",":  # it took the settings for cells
        header = ",".join(next(csv.reader([header], delimiter=delimiter))).rstrip(",")
    return json.loads(header.removeprefix("# ").rstrip(",")), "\n".join(lines[1:]), delimiter


def _number(text: str) -> float:
    return float(text.replace(",", ".") or "nan")  # Python's own float keeps every digit in every version of pandas


def check_table(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` itself, if it has the columns and values of a sweep; else ``TableError``."""
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise TableError(f"column {', '.join(missing)} is missing; a table of runs has {', '.join(COLUMNS)}")
    if table.empty:
        raise TableError("the table holds no runs")
    for name in ("lr", "decay", *METRICS):
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise TableError(f"column {name} should hold numbers, not {table[name].dtype}")
    if table["diverged"].dtype != bool:
        raise TableError(f"column diverged should hold True or False, not {table['diverged'].dtype}")
    if table.duplicated(KEY).any():
        twice = table.loc[table.duplicated(KEY), KEY].iloc[0].to_dict()
        raise TableError(f"the run {twice} appears twice: each optimizer, lr, decay, seed stands once")
    return table


def with_motion(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with the columns of ``MOTION``, NaN where they are missing."""
    return table.assign(**dict.fromkeys((name for name in MOTION if name not in table.columns), np.nan))


def difference(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> str | None:
    """The first setting in which two tables differ, in words; None if they agree.

    Of data drawn anew for each seed, the seeds that both have must agree.
    """
    names = set(ours) & set(theirs) if prefix == HASHES else set(ours) | set(theirs)
    for name in sorted(names, key=lambda name: ("hash" in name, name)):  # a hash says less than a setting
        a, b = ours.get(name), theirs.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            if inner := difference(a, b, f"{prefix}{name}."):
                return inner
        elif a != b:
            return f"{prefix}{name} is {_short(b)} there and {_short(a)} here"
    return None


def with_hashes(settings: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """``settings`` of data drawn anew for each seed, with the hashes of the seeds of ``other`` too."""
    ours, theirs = (each.get("data", {}) for each in (settings, other))
    if not isinstance(ours.get("hash"), dict) or not isinstance(theirs.get("hash"), dict):
        return settings
    return settings | {"data": ours | {"hash": theirs["hash"] | ours["hash"]}}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 60 else text[:57] + "..."


def join(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """One table of the runs of several optimizers that share their other settings.

    Raises ``TableError`` if data or training differ, or an optimizer appears in two tables.
    """
    parts = list(tables)
    first = settings_of(parts[0])
    optimizers: dict[str, Any] = {}
    for part in parts:
        if unlike := difference(_shared(first), _shared(settings_of(part))):
            raise TableError(f"these tables do not belong together: {unlike}")
        first = with_hashes(first, settings_of(part))
        optimizers |= part.attrs.get("optimizers", {})
    table = check_table(pd.concat([part.assign() for part in parts], ignore_index=True))
    table.attrs.update(first | {"optimizers": optimizers})
    return table


def _shared(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "optimizers"}
