"""Builds the numbers behind ``check``: what is right on fixed inputs, and what each mistake gives.

python -m autograder.assignment.worked_numbers            writes adamw_pset/checks/worked_numbers.json
python -m autograder.assignment.worked_numbers --check    says whether that file is up to date (exit code 1 if not)
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import adamw_pset.checks
from adamw_pset.checks.notebook_written import TITLE, digest
from adamw_pset.checks.run_answer import Input, Record, observe
from adamw_pset.files import write_whole
from autograder.assignment.answer_sources import ADAMS, DECAY, HOME, LINES, PARTS, compiled, part, reference
from autograder.assignment.mistakes import SENTENCES, covered, known, ways, wrong_parts
from autograder.assignment.places import SOURCE
from autograder.assignment.questions import EVERY, QUESTIONS, TOLERANCE, Question

TARGET = Path(adamw_pset.checks.__file__).parent / "worked_numbers.json"


def build() -> str:
    """The text of the file."""
    questions = {question.name: worked(question) for question in EVERY if question.kind != "written"}
    made = {"sentences": SENTENCES, "questions": questions, **places()}
    text = json.dumps(made, ensure_ascii=False, indent=1)
    return re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text) + "\n"


def places() -> dict[str, dict[str, str]]:
    """The heading of each written question, and of each other cell the title in it, by what stands for its text."""
    from autograder.assignment.build import instructor_notebook, without_remarks  # which loads nbgrader

    written, given, heading = {}, {}, ""
    for cell in without_remarks(instructor_notebook(SOURCE.read_text(encoding="utf-8"))).cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if name.startswith("written_"):
            written[name] = heading
        elif name not in QUESTIONS:
            titles = TITLE.findall(cell.source) if cell.cell_type == "markdown" else []
            heading = titles[-1] if titles else heading
            given[digest(cell.source)] = titles[-1] if titles else ""
    return {"written": written, "given": given}


def worked(question: Question) -> dict[str, Any]:
    """What ``check`` needs to know of one question."""
    numbers = fresh(question, question.inputs())
    return numbers | {
        **({} if question.points else {"dropped": True}),
        "inputs": [_plain(trial) for trial in numbers["inputs"]],
        "expected": _rounded(numbers["expected"]),
        "mistakes": [known | {"records": _rounded(known["records"])} for known in numbers["mistakes"]],
    }


def fresh(question: Question, inputs: list[Input]) -> dict[str, Any]:
    """What the right answer and, when they are asked for, the known mistakes give on ``inputs``."""
    right = observe(question.kind, inputs, reference(question.name))
    assert right.event is None, (question.name, right.event)
    return (_by_part(question.name) if question.kind == "rule" else {}) | {
        "kind": question.kind,
        "parts": list(question.parts),
        "tolerance": TOLERANCE,
        "inputs": inputs,
        "expected": right.records,
        "mistakes": _mistakes(question, inputs),
    }


def _by_part(question: str) -> dict[str, Any]:
    """The ways to write each part of a rule, and which mistakes cover others, for ``diagnosis``."""
    lines = {
        name: [
            (mistakes, formula.replace("state.", "old_"))
            for formula, mistakes in ({part(question, name): ""} | ways(question, name)).items()
        ]
        for name in (*PARTS, *LINES)
    }
    covers, together = covered(question)
    hyper = inspect.signature(reference(question)).parameters.values()
    return {
        "adaptive": question in ADAMS,
        "decay": DECAY[question],
        "default_mistake": "defaults_wrong" if question in ADAMS else "default_beta1_wrong",
        "defaults": {each.name: each.default for each in hyper if each.default is not each.empty},
        "places": {HOME[question]: ""} | {place: mistake for mistake, place in wrong_parts(question, "place")},
        "lines": lines,
        "covers": covers,
        "together": together,
    }


def _mistakes(question: Question, inputs: list[Input]) -> Iterator[dict[str, Any]]:
    """What the mistakes give that are no changes of single parts."""
    for mistakes, change, source in known(question.name):
        if question.kind == "rule" and set(change) <= {*PARTS, *LINES, "place"}:
            continue
        seen = observe(question.kind, inputs, compiled(question.name, source, f"<{mistakes}>"))
        if seen.event is None and not seen.remarks:  # else what was observed names it already
            yield {"id": mistakes, "records": seen.records}


def _rounded(records: list[Record]) -> list[dict[str, Any]]:
    """Ten digits: five more than a comparison looks at."""
    return [
        {name: np.vectorize(lambda x: float(f"{x:.10g}"))(array).tolist() for name, array in record.items()}
        for record in records
    ]


def _plain(value: Any) -> Any:
    """``value`` in types that JSON knows."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


if __name__ == "__main__":
    text = build()
    if "--check" not in sys.argv:
        write_whole(TARGET, text)
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        sys.exit(f"{TARGET.name} is out of date: run python -m autograder.assignment.worked_numbers")
