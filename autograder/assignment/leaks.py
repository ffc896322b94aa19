"""Whether a student's bundle holds an answer, by what it says and by what it does."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from adamw_pset.checks import run_answer
from adamw_pset.checks.notebook_answers import notebook_verdicts
from adamw_pset.checks.notebook_file import load
from adamw_pset.checks.verdicts import judge, numbers
from autograder.assignment.places import SOURCE
from autograder.assignment.questions import ALL

LEFT_OUT = ("optimizers", "__pycache__")


class Leak(Exception):
    """The bundle holds an answer; the text says where."""


def find_leaks(folder: Path) -> Iterator[str]:
    """Where the bundle in ``folder`` holds an answer, and how that shows."""
    for path in folder.rglob("*"):
        if path.name in LEFT_OUT or "autograder" in path.parts[len(folder.parts) :]:
            yield f"{path.relative_to(folder)} is not for students"
    notebook = folder / "explore_Adam.ipynb"
    asked = {question.name for question in ALL}  # one that is dropped may be given
    for question, verdict in notebook_verdicts(load(notebook)).items():
        if question in asked and verdict.mistake != "open":
            yield f"explore_Adam.ipynb answers {question}"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    if any(cell.get("outputs") for cell in cells):
        yield "explore_Adam.ipynb has outputs"
    for path in sorted((folder / "adamw_pset").rglob("*.py")):
        place = path.relative_to(folder)
        yield from (f"{place}: {name} answers {question}" for name, question in _answering(path))
    texts = {path: _squeezed(path.read_text(encoding="utf-8")) for path in folder.rglob("*") if path.is_file()}
    for question, line in solution_lines():
        for path, text in texts.items():
            if _squeezed(line) in text:
                yield f"{path.relative_to(folder)} holds a line of the answer to {question}"


def _answering(path: Path) -> Iterator[tuple[str, str]]:
    """(name, question) for each function of a module that answers a question as it stands."""
    module = _module(path)
    for name, function in list(vars(module).items()):
        if not inspect.isfunction(function) or function.__module__ != module.__name__:
            continue
        for question, worked in numbers()["questions"].items():
            if "dropped" in worked:
                continue
            try:
                seen = run_answer.observe(worked["kind"], worked["inputs"], function)
                right = not judge(worked, seen).mistake
            except Exception:  # whatever a function does that was not made for this
                continue
            if right:
                yield name, question


def _module(path: Path) -> ModuleType:
    module = ModuleType(f"bundled_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), vars(module))
    return module


def solution_lines() -> Iterator[tuple[str, str]]:
    """(question, line) for the lines of the solutions that stand nowhere in what students are given."""
    from autograder.assignment import build  # needs nbgrader

    instructor = build.instructor_notebook(SOURCE.read_text(encoding="utf-8"))
    student = "\n".join(cell.source for cell in build.student_notebook(instructor).cells)
    for cell in instructor.cells:
        if "### BEGIN SOLUTION" not in cell.source:
            continue
        solution = cell.source.split("### BEGIN SOLUTION\n")[1].split("### END SOLUTION")[0]
        for line in map(str.strip, solution.splitlines()):
            if len(line) > 12 and line not in student and not re.fullmatch(r"return \w+", line):
                yield cell.metadata.nbgrader.grade_id, line


def _squeezed(text: str) -> str:
    return "".join(text.split())
