"""Builds the numbers behind ``check``: what is right on fixed inputs, and what each mistake gives.

python -m autograder.assignment.worked_numbers            writes adamw_pset/checks/worked_numbers.json
python -m autograder.assignment.worked_numbers --check    says whether that file is up to date (exit code 1 if not)
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import adamw_pset.checks
from adamw_pset.checks.run_answer import Input, Record, observe
from adamw_pset.files import write_whole
from autograder.assignment.answer_sources import compiled, reference
from autograder.assignment.mistakes import SENTENCES, known
from autograder.assignment.questions import ALL, TOLERANCE, Question

TARGET = Path(adamw_pset.checks.__file__).parent / "worked_numbers.json"


def build() -> str:
    """The text of the file."""
    questions = {question.name: worked(question) for question in ALL if question.kind != "written"}
    text = json.dumps({"sentences": SENTENCES, "questions": questions}, ensure_ascii=False, indent=1)
    return re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text) + "\n"


def worked(question: Question) -> dict[str, Any]:
    """What ``check`` needs to know of one question."""
    made = fresh(question, question.inputs())
    return made | {
        "inputs": [_plain(trial) for trial in made["inputs"]],
        "expected": _rounded(made["expected"]),
        "mistakes": [known | {"records": _rounded(known["records"])} for known in made["mistakes"]],
    }


def fresh(question: Question, inputs: list[Input]) -> dict[str, Any]:
    """What the right answer and, when they are asked for, the known mistakes give on ``inputs``."""
    right = observe(question.kind, inputs, reference(question.name))
    assert right.event is None, (question.name, right.event)
    return {
        "kind": question.kind,
        "parts": list(question.parts),
        "tolerance": TOLERANCE,
        "inputs": inputs,
        "expected": right.records,
        "mistakes": _mistakes(question, inputs),
    }


def _mistakes(question: Question, inputs: list[Input]) -> Iterator[dict[str, Any]]:
    for mistake, number, source in known(question.name):
        seen = observe(question.kind, inputs, compiled(question.name, source, f"<{mistake.id} {number}>"))
        if seen.event is None and not seen.remarks:  # else what was observed names it already
            yield {"id": mistake.id, "records": seen.records}


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
