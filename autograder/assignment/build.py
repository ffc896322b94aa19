"""Builds every notebook from its one source: ``python -m autograder.assignment.build [--check]``.

The source is ``source/explore_Adam.py``, in jupytext's percent format.  Graded cells say there what
they are by one word, from which nbgrader's metadata are made:

    # %% question="adamw"                      a function that the student writes
    # %% check="adamw"                         the cell that tests it
    # %% [markdown] written="written_1a_i"     an answer that a person reads
    # %% folded=true                           code that is hidden until it is clicked
    # %% [markdown] attach="maps.png"          a picture of source/, shown as attachment:maps.png

    # %% [markdown] leads_to="written_1a_i"    what goes with that answer, if it is dropped

In markdown cells ``{{points adamw}}`` stands for a question's points, ``{{share adamw 3/8}}`` for
three eighths of them.  Cells with the tag "instructor" are remarks, and stand in the commentary alone.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbgrader.converters import GenerateAssignment
from nbgrader.preprocessors import SaveCells
from traitlets.config.loader import Config

from adamw_pset.checks.notebook_file import PLACEHOLDER
from adamw_pset.files import write_whole
from autograder.assignment.commentary import commentary
from autograder.assignment.mistakes import SENTENCES
from autograder.assignment.places import AUTOGRADER, INSTRUCTOR, NAME, SOURCE
from autograder.assignment.questions import EVERY, QUESTIONS, worth

ROOT = AUTOGRADER.parent  # of a clone: what is built is built there
STUDENT = ROOT / f"{NAME}.ipynb"
COMMENTARY = ROOT / "docs" / "commentary.md"

STUB = "# Your code here, in the place of the next line.\nraise NotImplementedError"
KINDS = {
    "question": {"grade": False, "locked": False, "solution": True},
    "check": {"grade": True, "locked": True, "solution": False},
    "written": {"grade": True, "locked": False, "solution": True},
}
DROPPED = {question.name for question in EVERY if not question.points}
NOT_ASKED = r"\{\{points (\w+)\}\}(?: points)?(?: for the (\w+))?"
STEPS = GenerateAssignment.class_traits()["preprocessors"].default()  # nbgrader's own, in its order


def main(argv: Sequence[str] | None = None) -> int:
    """Build, or with ``--check`` name the built files that are stale; exit code 1 if there are any."""
    parser = argparse.ArgumentParser(prog="python -m autograder.assignment.build", description="Builds the notebooks.")
    parser.add_argument("--check", action="store_true", help="only say which built files are stale")
    arguments = parser.parse_args(argv)
    check_credit()
    stale = {path: text for path, text in built().items() if _current(path) != text}
    for path, text in stale.items():
        if not arguments.check:
            write_whole(path, text)
        print(f"{'stale' if arguments.check else 'built'}: {path.relative_to(ROOT)}")
    return int(arguments.check and bool(stale))


def check_credit() -> None:
    """Raises ``ValueError`` for credit in ``points.toml`` for a mistake that is not known, or that is no share."""
    for question, credit in worth()["credit"].items():
        for mistake, share in credit.items():
            if mistake not in SENTENCES:
                raise ValueError(f"points.toml, credit.{question}: there is no mistake {mistake!r}")
            if not 0 < share < 1:
                raise ValueError(f"points.toml, credit.{question}: {mistake} = {share}: give a share between 0 and 1")


def built() -> dict[Path, str]:
    """Each built file and what it should hold."""
    instructor = instructor_notebook(SOURCE.read_text(encoding="utf-8"))
    return {
        STUDENT: nbformat.writes(student_notebook(instructor)) + "\n",
        INSTRUCTOR: nbformat.writes(without_remarks(instructor)) + "\n",
        COMMENTARY: commentary(instructor),
    }


def instructor_notebook(source: str) -> Any:
    """The notebook with solutions, rubrics and remarks."""
    parsed = jupytext.reads(source, fmt="py:percent")
    cells = [_cell(cell) for cell in parsed.cells if not _left_out(cell)]
    taken: Counter[str] = Counter()
    for cell in cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id") or _digest(cell.source)
        taken[name] += 1
        cell.id = name if taken[name] == 1 else f"{name}-{taken[name]}"
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    nbformat.validate(notebook)
    return notebook


def without_remarks(instructor: Any) -> Any:
    """What nbgrader takes as its source: any course's settings make a notebook without answers of it."""
    notebook = nbformat.from_dict(instructor)
    notebook.cells = [cell for cell in notebook.cells if "instructor" not in cell.metadata.get("tags", [])]
    return notebook


def student_notebook(instructor: Any) -> Any:
    """What ``nbgrader generate_assignment`` makes of the instructor's notebook."""
    config = generate_config()
    notebook = without_remarks(instructor)
    resources: Any = {"unique_key": NAME, "metadata": {"path": str(INSTRUCTOR.parent)}}
    for step in STEPS:
        if step is not SaveCells:  # that one writes to the gradebook
            notebook, resources = step(config=config).preprocess(notebook, resources)
    nbformat.validate(notebook)
    return notebook


def generate_config() -> Config:
    """nbgrader's settings for making the student's version."""
    config = Config()
    config.ClearSolutions.code_stub = {"python": STUB}
    config.ClearSolutions.text_stub = f"*{PLACEHOLDER}.*"
    return config


def _left_out(cell: Any) -> bool:
    """Whether a cell goes with a dropped question: its check, a written answer, or what leads to it."""
    names = [cell.metadata[kind] for kind in ("check", "written", "leads_to") if kind in cell.metadata]
    return any(name in DROPPED for name in names)


def _given(source: str) -> str:
    """The function of a dropped question as code that is given: later cells need it."""
    return re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", source, flags=re.MULTILINE).rstrip()


def _cell(cell: Any) -> Any:
    """A cell of the source as a cell of the notebook, with nbgrader's metadata if it is graded."""
    make = nbformat.v4.new_markdown_cell if cell.cell_type == "markdown" else nbformat.v4.new_code_cell
    metadata: dict[str, Any] = {}
    if "tags" in cell.metadata:
        metadata["tags"] = list(cell.metadata["tags"])
    if "folded" in cell.metadata:
        metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}  # JupyterLab, Colab
    for kind, flags in KINDS.items():
        if kind in cell.metadata:
            metadata["nbgrader"] = _graded(kind, flags, cell.metadata[kind])
    source = cell.source
    if metadata.get("nbgrader", {}).get("grade_id") in DROPPED:
        del metadata["nbgrader"]
        source = _given(source)
    if cell.cell_type == "markdown":
        source = re.sub(NOT_ASKED, _not_asked, source)
        source = re.sub(r"\{\{(points|share) (\w+)\s*([\d/]*)\}\}", _points, source)
    built = make(source=source, metadata=metadata)
    if picture := cell.metadata.get("attach"):
        data = base64.b64encode((SOURCE.parent / picture).read_bytes()).decode()
        built.attachments = {picture: {"image/png": data}}
    return built


def _graded(kind: str, flags: dict[str, bool], question: str) -> dict[str, Any]:
    if question not in QUESTIONS:
        raise ValueError(f"the source has a cell {kind}={question!r}, which questions.py does not know")
    name = f"check_{question}" if kind == "check" else question
    graded: dict[str, Any] = {"grade_id": name, "schema_version": 3, "task": False, **flags}
    if flags["grade"]:
        graded["points"] = QUESTIONS[question].points
    return dict(sorted(graded.items()))


def _not_asked(match: re.Match[str]) -> str:
    """What is said of the points of a question: that it is not asked, if it was dropped."""
    name, what = match.groups()
    return match[0] if name not in DROPPED else f"the {what} is not asked" if what else "not asked"


def _points(match: re.Match[str]) -> str:
    kind, question, share = match.groups()
    points = QUESTIONS[question].points * Fraction(share if kind == "share" else 1)
    return f"{float(points):g}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
