"""The answers of a notebook's file, each read as a kernel would read it: what ``adamw-pset`` says of a notebook."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from adamw_pset.checks.notebook_file import Notebook, load
from adamw_pset.checks.notebook_slice import Ambiguous, by_itself
from adamw_pset.checks.notebook_source import NotebookRun
from adamw_pset.checks.verdicts import Verdict, numbers, questions_asked, tried


class _Found(KeyboardInterrupt):
    """Ends a run: what was looked for is there."""


def notebook_verdicts(notebook: Notebook) -> dict[str, Verdict]:
    """The verdict on each code question that is asked: at its check, at the end, or by itself; the best one counts.

    Runs the cells, with a warning for each that fails.
    """
    asked = numbers()["questions"]
    verdicts: dict[str, Verdict] = {}

    def look(question: str, answer: Any) -> None:
        if question not in verdicts or verdicts[question].mistake:
            verdict = tried(question, answer)
            if not verdict.mistake or verdicts.get(question, verdict).mistake == "open":
                verdicts[question] = verdict
            verdicts.setdefault(question, verdict)

    with NotebookRun(notebook.code(), asked, look, notebook.unchecked(asked)) as run:
        for _ in run.cells():
            pass
        for question in asked:
            for answer in _later(run, notebook, question, verdicts):
                with run.answering():
                    look(question, answer)
    _warn(run)
    return {question: verdicts[question] for question in questions_asked()}


def in_another_process(path: Path) -> dict[str, Verdict]:
    """``notebook_verdicts`` of a file, in a Python of its own: nothing of the running one is touched.

    Raises ``ValueError`` if a cell ends that Python.
    """
    command = [sys.executable, "-m", __spec__.name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="ascii", errors="replace", check=False)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise ValueError(f"{path.name} could not be read to its end: {last}")
    return {question: Verdict(*verdict) for question, verdict in json.loads(done.stdout).items()}


def load_notebook(path: str | Path, names: Collection[str] = ()) -> dict[str, Any]:
    """What a notebook defines: its namespace at the end, and ``names`` as they are where they count.

    A name that is a question is taken at its check, if it is right there.  Runs the notebook's cells once, and
    once more for each of ``names``, with a warning for each cell that fails.

    Raises ``ValueError`` if the file is not a notebook with Python cells, ``OSError`` if there is none.
    """
    notebook = load(path)
    with NotebookRun(notebook.code(), numbers()["questions"], lambda *_: None) as run:
        for _ in run.cells():
            pass
    _warn(run)
    return dict(run.namespace) | {name: value for name in names if (value := _one(notebook, name)) is not None}


def _one(notebook: Notebook, name: str) -> Any:
    asked = numbers()["questions"]
    answers: list[Any] = []

    def look(question: str, answer: Any) -> None:
        if question == name and not tried(question, answer).mistake:
            answers.append(answer)
            raise _Found

    with NotebookRun(notebook.code(), asked, look, notebook.unchecked(asked)) as run:
        for _ in run.cells():
            if answers:
                break
        later = answers or [each for each in _later(run, notebook, name, {}) if callable(each)]
        return next(iter(later), None)


def _later(run: NotebookRun, notebook: Notebook, question: str, verdicts: Mapping[str, Verdict]) -> Iterator[Any]:
    """The answer as it is at the notebook's end; and by itself, where what fails may go well in a kernel."""
    value = run.at_end(question)
    yield value
    missing = value is None or value is ...
    raises = question in verdicts and verdicts[question].mistake == "exception"
    if run.fails_here(question) if missing else raises and run.elsewhere():
        with contextlib.suppress(Ambiguous):
            yield by_itself(run.sources.items(), question, notebook.own(question)).get(question)


def _warn(run: NotebookRun) -> None:
    for number, error in run.failed.items():
        if isinstance(error, NotImplementedError):  # a question that is open
            continue
        warnings.warn(f"cell {number}: {type(error).__name__}: {error}", stacklevel=3)


if __name__ == "__main__":
    with warnings.catch_warnings(action="ignore"):
        print(json.dumps(notebook_verdicts(load(sys.argv[1]))))
