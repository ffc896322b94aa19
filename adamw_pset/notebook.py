"""Reads what a notebook defines, without running the work in it."""

from __future__ import annotations

import ast
import json
import linecache
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Namespace = dict[str, Any]
PLACEHOLDER = "Your answer here"  # what a written answer says while it is open


def load_notebook(path: str | Path) -> Namespace:
    """The names that the code cells of a notebook define: imports, functions, classes, constants.

    Only these statements are executed, in order, so no sweep is trained and no figure is drawn.
    Magics and shell lines are passed over.  A cell that cannot be read, or a definition that fails,
    is left out with a warning that names the cell; in the place of the functions of a cell that cannot
    be read stand functions that raise its error.

    Raises ``ValueError`` if the file is not a notebook with Python cells, ``OSError`` if there is none.
    """
    namespace: Namespace = {"__name__": "__notebook__"}
    for number, source in code_cells(path):
        name = f"<cell {number} of {Path(path).name}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        try:
            for statement in ast.parse(source, name).body:
                if _defines(statement):
                    exec(compile(ast.Module([statement], []), name, "exec"), namespace)
        except (Exception, SystemExit) as error:  # whatever a student's code raises
            warnings.warn(f"cell {number}: {type(error).__name__}: {error}", stacklevel=2)
            if isinstance(error, SyntaxError):
                for function in re.findall(r"^def +(\w+)", source, re.MULTILINE):
                    namespace[function] = _unreadable(number, error)
    return namespace


def this_notebook(namespace: Mapping[str, Any]) -> Path | None:
    """The file of the running notebook, from its ``globals()``; None if it cannot be told."""
    told = namespace.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or "explore_Adam.ipynb"
    file = Path(Path(str(told)).name)  # a kernel works in the notebook's folder
    return file if file.suffix == ".ipynb" and file.is_file() else None


def written_answers(path: str | Path) -> dict[str, str]:
    """Of each written question of a notebook: "answered" or "open"."""
    states = {}
    for cell in _cells(path):
        name = str(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", ""))
        if name.startswith("written_"):
            text = "".join(cell["source"]).strip()
            states[name] = "open" if not text or PLACEHOLDER in text else "answered"
    return states


def code_cells(path: str | Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and source of each code cell, magics and shell lines replaced by ``pass``."""
    for number, cell in enumerate(_cells(path), start=1):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and not source.startswith("%%"):
            lines = [_without_magic(line) for line in source.splitlines()]
            yield number, "\n".join(lines) + "\n"


def _cells(path: str | Path) -> list[dict[str, Any]]:
    try:
        cells: list[dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            _ = cell["cell_type"], "".join(cell["source"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a Jupyter notebook (format 4): {error}") from error
    return cells


def _unreadable(number: int, error: SyntaxError) -> Callable[..., Any]:
    def function(*_: Any, **__: Any) -> Any:
        raise SyntaxError(f"{error.msg}, in line {error.lineno} of cell {number}")

    return function


def _without_magic(line: str) -> str:
    text = line.lstrip()
    return line[: len(line) - len(text)] + "pass" if text.startswith(("%", "!", "?")) else line


def _defines(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
        return True
    if isinstance(statement, ast.If):
        return _constant(statement.test) and all(map(_defines, [*statement.body, *statement.orelse]))
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        return _constant(statement.value)
    return False


def _constant(expression: ast.expr) -> bool:
    return not any(isinstance(node, ast.Call | ast.Await) for node in ast.walk(expression))
