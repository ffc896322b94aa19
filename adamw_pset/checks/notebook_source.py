"""Reads what a notebook defines, without running the work in it."""

from __future__ import annotations

import ast
import dis
import json
import linecache
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

Namespace = dict[str, Any]
PLACEHOLDER = "Your answer here"  # what a written answer says while it is open


def load_notebook(path: str | Path, names: Collection[str] = ()) -> Namespace:
    """What the code cells of a notebook define: its imports, functions, classes and constants.

    Only these statements are executed, in order, and beside them whatever ``names`` need (see
    ``needed``), so no sweep is trained and no figure is drawn.  Magics and shell lines are passed over.
    A cell that cannot be read, or a statement that fails, is left out with a warning that names the
    cell; in the place of the functions of a cell that cannot be read stand functions that raise its
    error.

    Raises ``ValueError`` if the file is not a notebook with Python cells, ``OSError`` if there is none.
    """
    statements, broken = parse(code_cells(path))
    wanted = set(needed(statements, names))
    chosen = [each for each in statements if each in wanted or _defines(each.node)]
    namespace: Namespace = {"__name__": "__notebook__"}
    failed: dict[int, BaseException] = dict(broken)
    for statement, error in execute(chosen, namespace):
        if statement in wanted or not isinstance(error, NameError):  # a constant may be made of work not done
            failed[statement.cell] = error
    for cell, error in sorted(failed.items(), key=lambda item: item[0]):
        warnings.warn(f"cell {cell}: {type(error).__name__}: {error}", stacklevel=2)
    namespace |= unreadable(dict(code_cells(path)), broken)
    return namespace


# --- which statements a name needs -----------------------------------------------------------------


class Statement(NamedTuple):
    """A top-level statement: its cell, its place among all, what it binds and what it uses."""

    cell: int
    place: int
    node: ast.stmt
    code: CodeType
    binds: frozenset[str]
    uses: frozenset[str]
    changes: frozenset[str]  # objects that it may change: the x of x.append(1), x[0] = 1


def parse(cells: Iterable[tuple[int, str]]) -> tuple[list[Statement], dict[int, SyntaxError]]:
    """The statements of numbered cells, and the error of each cell that cannot be read."""
    statements: list[Statement] = []
    broken = {}
    for number, source in cells:
        name = f"<cell {number}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        try:
            for node in ast.parse(source, name).body:
                code = compile(ast.Module([node], []), name, "exec")
                statements.append(_statement(number, len(statements), node, code))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            broken[number] = error if isinstance(error, SyntaxError) else SyntaxError(str(error))
    return statements, broken


def needed(statements: Sequence[Statement], names: Collection[str]) -> list[Statement]:
    """The statements that have to run, in order, for ``names`` to be what the notebook makes them.

    All that bind or change one of the names, or a name that such a statement uses, and so on.
    """
    wanted, found = set(names), set[int]()
    while True:
        more = [s for s in statements if s.place not in found and (s.binds | s.changes) & wanted]
        if not more:
            return [each for each in statements if each.place in found]
        for each in more:
            found.add(each.place)
            wanted |= each.uses


def execute(statements: Iterable[Statement], namespace: Namespace) -> Iterator[tuple[Statement, BaseException]]:
    """Run ``statements``; yields those that fail, with the error, and goes on with the next."""
    for each in statements:
        try:
            exec(each.code, namespace)
        except (Exception, SystemExit) as error:  # whatever a student's code raises
            yield each, error


def unreadable(cells: Mapping[int, str], broken: Mapping[int, SyntaxError]) -> Namespace:
    """For each function of the cells that cannot be read, one that raises the cell's error."""
    return {
        name: _raises(number, error)
        for number, error in broken.items()
        for name in re.findall(r"^def +(\w+)", cells[number], re.MULTILINE)
    }


def _raises(number: int, error: SyntaxError) -> Callable[..., Any]:
    told = SyntaxError(f"{error.msg}, in line {error.lineno} of cell {number}")
    told.where = ""  # type: ignore[attr-defined]  # the place is told already

    def function(*_: Any, **__: Any) -> Any:
        raise told

    return function


def _statement(cell: int, place: int, node: ast.stmt, code: CodeType) -> Statement:
    binds, uses = set(), set()
    for depth, instruction in _instructions(code):
        if instruction.opname == "STORE_GLOBAL" or (instruction.opname == "STORE_NAME" and depth == 0):
            binds.add(instruction.argval)
        elif instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            uses.add(instruction.argval)
    return Statement(cell, place, node, code, frozenset(binds), frozenset(uses), frozenset(_changes(node)))


def _instructions(code: CodeType, depth: int = 0) -> Iterator[tuple[int, dis.Instruction]]:
    for instruction in dis.get_instructions(code):
        yield depth, instruction
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _instructions(constant, depth + 1)


def _changes(node: ast.stmt) -> Iterator[str]:
    """The x of ``x.append(1)``, ``x[0] = 1`` and ``x.y = 1``, inside of loops and the like too."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets = [node.value.func]
    elif isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.For | ast.While | ast.If | ast.With | ast.Try):
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.stmt):
                yield from _changes(inner)
    for target in targets:
        base = target
        while isinstance(base, ast.Attribute | ast.Subscript):
            base = base.value
        if isinstance(base, ast.Name) and base is not target:
            yield base.id


# --- the file ----------------------------------------------------------------------------------------


def this_notebook(namespace: Mapping[str, Any]) -> Path | None:
    """The file of the running notebook, from its ``globals()``; None if it cannot be told."""
    told = namespace.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or "explore_Adam.ipynb"
    file = Path(Path(str(told)).name)  # a kernel works in the notebook's folder
    return file if file.suffix == ".ipynb" and file.is_file() else None


def failed_to_run(name: str) -> SyntaxError | None:
    """In a notebook: why the last cell run that defines the function ``name`` could not be read, if so.

    The kernel still has the function of the run before, or none.
    """
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    for source in reversed(shell.user_ns.get("In", []) if shell else []):
        if re.search(rf"^def +{name}\b", source, re.MULTILINE):
            try:
                ast.parse(source)
            except SyntaxError as error:
                return error
            return None
    return None


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
        if cell["cell_type"] == "code":
            yield number, without_magics(source)


def _cells(path: str | Path) -> list[dict[str, Any]]:
    try:
        cells: list[dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            _ = cell["cell_type"], "".join(cell["source"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a Jupyter notebook (format 4): {error}") from error
    return cells


def without_magics(source: str) -> str:
    """The source of a cell with ``pass`` in the place of magics and shell lines.

    Of a cell in another language nothing is left; ``%%time`` and ``%%capture`` only wrap Python.
    """
    if (whole := re.match(r"\s*%%(\w*)", source)) and whole[1] not in ("time", "capture"):
        return ""
    return "\n".join(_without_magic(line) for line in source.splitlines()) + "\n"


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
