"""Submissions for tests: the released notebook with answers filled in, and a sandbox to grade them in."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from adamw_pset.checks.notebook_file import Cell
from autograder.assignment.answer_sources import textbook
from autograder.assignment.places import NAME, RELEASED
from autograder.assignment.questions import ALL, QUESTIONS
from autograder.grading.finding import Finding
from autograder.grading.grade import in_sandbox
from autograder.grading.submission import Submission, read
from autograder.sandbox import sandbox
from autograder.sandbox.sandbox import Sandbox, SandboxError

IMPORTS = "import numpy as np\nimport pandas as pd\nimport torch\nfrom adamw_pset import State\n"
CODE = tuple(question.name for question in ALL if question.kind != "written")  # that a course asks, and no dropped ones
WRITTEN = tuple(question.name for question in ALL if question.kind == "written")
RIGHT = {question: textbook(question) for question in CODE}
CODE_POINTS = sum(QUESTIONS[question].points for question in CODE)


def counted(code: int, written: int) -> str:
    """What ``check`` and ``summary`` say at their end of so many right and given answers."""
    return f"{code} of {len(CODE)} code answers right, {written} of {len(WRITTEN)} written answers given"


@pytest.fixture(scope="session")
def box() -> Iterator[Sandbox]:
    if reason := sandbox.missing():
        pytest.skip(reason)
    try:
        made = Sandbox().__enter__()
    except SandboxError as error:
        pytest.skip(f"bubblewrap does not work here: {error}")
    yield made
    made.__exit__(None, None, None)


@cache
def _released() -> Any:
    return json.loads(RELEASED.read_text(encoding="utf-8"))


def notebook(answers: Mapping[str, str], before: str = "") -> Any:
    """The released notebook, as JSON, with ``answers`` by question and a code cell ``before`` all others."""
    made = copy.deepcopy(_released())
    for cell in made["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in answers:
            cell["source"] = answers[name]
    if before:
        made["cells"].insert(
            0,
            {
                "cell_type": "code",
                "id": "before",
                "metadata": {},
                "source": before,
                "outputs": [],
                "execution_count": None,
            },
        )
    return made


def hand_in(folder: Path, student: str, content: Any, name: str = f"{NAME}.ipynb") -> Path:
    """Write a notebook, or text, or bytes, where nbgrader would collect it."""
    path = folder / student / NAME / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def grade_one(box: Sandbox, question: str, source: str, before: str = "", seed: int = 5) -> Finding:
    """The finding on one answer, in a notebook of its own."""
    cells = (Cell("code", "", IMPORTS), Cell("code", "", before), Cell("code", question, source))
    return in_sandbox(Submission(cells), {QUESTIONS[question]: seed}, box)[question]


def submission(folder: Path, content: Any) -> Submission:
    """What is read of a notebook."""
    return read(hand_in(folder, "someone", content))


def descendants(pid: int) -> set[int]:
    """The processes that ``pid`` and its descendants have started, as far as they are alive."""
    found: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, children.read_text().split()):
                found |= {child} | descendants(child)
    return found
