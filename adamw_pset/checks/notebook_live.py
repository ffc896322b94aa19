"""What a running kernel knows of its own notebook: its file, what ran, and which answer in it would be graded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from adamw_pset.checks.notebook_file import Notebook, load
from adamw_pset.checks.notebook_slice import needed, parse
from adamw_pset.checks.notebook_source import defines, silent, syntax_error


class Run(NamedTuple):
    """A cell as it was run: its id ("" if the editor does not send it), its text, and when."""

    cell: str
    text: str
    time: float


RUNS: list[Run] = []  # since ``note_runs``


def shell() -> Any:
    """The IPython that this runs in; None outside of one."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def note_runs() -> None:
    """In a notebook: keep in mind, from here on, which cell was run when."""
    if (running := shell()) is not None:
        _note_runs_of(running)


@cache
def _note_runs_of(running: Any) -> None:
    running.events.register(
        "pre_run_cell", lambda info: RUNS.append(Run(getattr(info, "cell_id", None) or "", info.raw_cell, time.time()))
    )


def this_notebook(namespace: Mapping[str, Any]) -> Path | None:
    """The file of the running notebook, from its ``globals()``; None if it cannot be told."""
    told = str(namespace.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or "")
    file = Path(told)
    if not file.is_absolute():  # to the server's root, and a kernel works in the notebook's folder
        file = Path.cwd() / file.name
    return file if file.suffix == ".ipynb" and file.as_posix().endswith(told) and file.is_file() else None


def failed_to_run(name: str) -> SyntaxError | None:
    """In a notebook: why the last cell run that defines the function ``name`` could not be read, if so.

    The kernel still has the function of the run before, or none.
    """
    for source in reversed(running.user_ns.get("In", []) if (running := shell()) else []):
        if defines(source, name):
            return syntax_error(source)
    return None


def graded_otherwise(question: str, right: Callable[[Any], bool]) -> str:
    """What to tell of an answer that is right in the kernel, where another one counts in the file; "" if none does.

    The file is taken as it was last saved, with what has run since put into its cells.  Nothing is told where the
    cell that made the answer is in no saved place yet.
    """
    running = shell()
    made = next((run for run in reversed(RUNS) if defines(run.text, question)), None)
    file = this_notebook(running.user_ns) if made and running else None
    if made is None or file is None:
        return ""
    try:
        notebook, saved = load(file), file.stat().st_mtime
    except (OSError, ValueError):
        return ""
    later = {run.cell: run.text for run in RUNS if run.cell and run.time > saved}
    cells = tuple(cell._replace(text=later.get(cell.id, cell.text)) for cell in notebook.cells)
    there = {number: text for number, text in Notebook(cells).code() if defines(text, question)}
    if saved < made.time and made.text.strip() not in map(str.strip, there.values()):
        return ""
    counts = list(_counting(Notebook(cells), question, there))
    if any(there[number].strip() == made.text.strip() for number in counts):
        return ""
    if any(right(_value(there[number], question, running.user_ns)) for number in counts):
        return ""
    if not counts:
        return f"{file.name} as it was saved has no {question}, and the file is what is graded: {MEND}"
    where = "the cell that asks for it" if counts[-1] in notebook.own(question) else f"cell {counts[-1]}"
    return f"{file.name} has another {question} in {where}, and run from top to bottom that one is graded: {MEND}"


MEND = "put your version there, run it, and save."


def _counting(notebook: Notebook, question: str, there: Mapping[int, str]) -> Iterator[int]:
    """The cells whose definition is in force at a check, or at the notebook's end."""
    for place in [*notebook.checks(question), len(notebook.cells)]:
        before = [number for number in there if number <= place]
        yield from before[-1:]


def _value(source: str, question: str, namespace: Mapping[str, Any]) -> Any:
    """What a cell makes of ``question``, with all else as it is in the kernel."""
    made = {name: value for name, value in namespace.items() if name != question}
    with silent():
        for statement in needed(parse([(0, source)]), [question]):
            try:
                exec(statement.code, made)
            except Exception:
                break
    return made.get(question)
