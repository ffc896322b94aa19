"""Grading a class, ours beside stock nbgrader: ``make bench`` prints it, ``--write`` keeps it in docs/.

Stock nbgrader gets its default settings and a notebook of the same questions whose check cells are
ordinary asserts; it is measured on a sample, ours on the whole class, in turns.  The time that a command
needs when nothing is left to do is taken off nbgrader's, not off ours.  Submissions that never end are
measured apart; hostile ones are kept from stock nbgrader, which would run a fork bomb on this machine, and
count as plain.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from sweep import ROOT, keep, machine
from tqdm import tqdm

from adamw_pset.files import write_whole
from autograder.assignment.answer_sources import CODE
from autograder.assignment.places import INSTRUCTOR, NAME
from autograder.assignment.questions import QUESTIONS
from autograder.assignment.worked_numbers import worked
from autograder.demo.classroom import write_class
from autograder.demo.course import CONFIG, RIGHT
from autograder.grading.submission import NotReadable, find, read
from autograder.sandbox.sandbox import missing

SIZE, SAMPLE, JOBS, ROUNDS, SEED = 500, 16, 2, 2, 1
IMPORTS = """import numpy as np
import pandas as pd
import torch
from typing import Any, NamedTuple

class State(NamedTuple):
    t: Any
    m: Any
    v: Any
"""
RULE_TEST = """for trial, right in zip({trials}, {right}):
    theta = torch.tensor(trial["theta"], dtype=torch.float64)
    state = State(0, torch.zeros_like(theta), torch.zeros_like(theta))
    if trial["start"]:
        m, v = torch.tensor(trial["start"]["m"]), torch.tensor(trial["start"]["v"])
        state = State(trial["start"]["t"], m, v)
    for grad, expected in zip(trial["grads"], right["theta"]):
        theta, state = {name}(theta, torch.tensor(grad, dtype=torch.float64), state, **trial["hyper"])
        np.testing.assert_allclose(theta, expected, rtol=1e-5)
"""
FUNCTION_TEST = """nan, null, true, false = float("nan"), None, True, False
for trial, right in zip({trials}, {right}):
    arguments = [pd.DataFrame(v) if isinstance(v, dict) else np.array(v) if isinstance(v, list) else v
                 for v in trial.values()]
    np.testing.assert_allclose({name}(*arguments), right["value"], rtol=1e-5)
"""
COUNTEREXAMPLE_TEST = """M, a, b = {name}()
k = (a @ M @ a) / (a @ a)
assert np.linalg.eigvalsh(M).min() > 0
assert not np.allclose(M @ b, k * b) or not np.allclose(M @ a, k * a)
"""


class Run(NamedTuple):
    seconds: float
    megabytes: float  # of the largest process
    said: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the result in docs/benchmarks.md")
    parser.add_argument("--size", type=int, default=SIZE, help=f"of the class (default: {SIZE})")
    arguments = parser.parse_args()
    if reason := missing():
        print(f"Grading was not measured: {reason}")
        return
    with tempfile.TemporaryDirectory() as folder:
        text = comparison(Path(folder), arguments.size)
    print(text)
    if arguments.write:
        keep(text, "<!-- grading -->", "<!-- end of grading -->")


def comparison(folder: Path, size: int) -> str:
    """The table: stock nbgrader, nbgrader with our settings, and ``python -m autograder grade``."""
    kinds = write_class(folder / "class", size, SEED)
    endless = [student for student, kind in kinds.items() if kind == "endless"]
    plain = [student for student, kind in kinds.items() if kind not in ("endless", "hostile")]
    courses = {"stock nbgrader autograde": folder / "stock", "nbgrader autograde, our settings": folder / "plugin"}
    sample = {"plain": plain[:SAMPLE], "endless": endless[:ROUNDS]}
    make_stock_course(folder / "stock", folder / "class", sample["plain"] + sample["endless"])
    make_our_course(folder / "plugin", folder / "class", sample["plain"] + sample["endless"])
    seconds: Counter[tuple[str, str]] = Counter()
    ours = Run(0.0, 0.0, "")
    for number in tqdm(range(ROUNDS), unit=" rounds"):
        for name, course in courses.items():
            for sort, students in sample.items():
                release(course, students[number::ROUNDS])
                seconds[name, sort] += nbgrader(course, "autograde").seconds
                seconds[name, sort] -= nbgrader(course, "autograde").seconds  # nothing is left to do
        part = folder / f"part{number}"
        for student in sorted(kinds)[number::ROUNDS]:
            shutil.copytree(folder / "class" / student, part / student)
        run = grade(part, folder / f"grades{number}")
        ours = Run(ours.seconds + run.seconds, max(ours.megabytes, run.megabytes), "")
    lines = [machine().partition("; 144")[0], ""]
    lines.append(f"{'':42}{'plain, s each':>14}{'endless, s each':>17}{f'all {size}, s':>12}{'x ours':>8}")
    for name in courses:
        each = {sort: seconds[name, sort] / len(students) for sort, students in sample.items()}
        whole = (size - len(endless)) * each["plain"] + len(endless) * each["endless"]
        numbers = f"{each['plain']:>14.2f}{each['endless']:>17.1f}{whole:>12.0f}{whole / ours.seconds:>8.1f}"
        lines.append(f"{name:42}{numbers}")
    lines.append(f"{f'python -m autograder grade --jobs {JOBS}':42}{'':31}{ours.seconds:>12.0f}{1:>8.1f}")
    counted = Counter(kind.split(":")[0] for kind in kinds.values())
    lines += ["", f"{size} submissions: " + ", ".join(f"{n} {kind}" for kind, n in counted.most_common())]
    lines.append(f"ours took {ours.seconds / size:.2f} s a submission, and {ours.megabytes:.0f} MB a process")
    return "\n".join(lines)


# --- the contestants -----------------------------------------------------------------------------------


def grade(submitted: Path, out: Path) -> Run:
    """``python -m autograder grade`` from its start to its end."""
    command = [sys.executable, "-m", "autograder", "grade", str(submitted), "--out", str(out)]
    run = timed([*command, "--jobs", str(JOBS)], submitted.parent)
    if not (out / "grades.csv").exists():
        raise RuntimeError(f"grading failed: {run.said[-1000:]}")
    return run


def nbgrader(course: Path, step: str) -> Run:
    """An nbgrader command in ``course``; it goes on after a submission that it cannot grade."""
    return timed([sys.executable, "-m", "nbgrader", step, NAME], course)


def timed(command: Sequence[str], folder: Path) -> Run:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        seconds = time.perf_counter() - start
        said.seek(0)
        return Run(seconds, usage.ru_maxrss / 1024, said.read().decode(errors="replace"))


def make_our_course(course: Path, submitted: Path, students: Sequence[str]) -> None:
    write_whole(course / "source" / NAME / f"{NAME}.ipynb", INSTRUCTOR.read_text(encoding="utf-8"))
    write_whole(course / "nbgrader_config.py", CONFIG)
    for student in students:
        shutil.copytree(submitted / student, course / "waiting" / student)
    nbgrader(course, "generate_assignment")


def make_stock_course(course: Path, submitted: Path, students: Sequence[str]) -> None:
    """The same answers to the same questions, in a notebook for stock nbgrader."""
    write_whole(course / "source" / NAME / f"{NAME}.ipynb", stock_notebook(RIGHT))
    write_whole(course / "nbgrader_config.py", "c = get_config()\n")
    for student in students:
        target = course / "waiting" / student / NAME / f"{NAME}.ipynb"
        try:
            handed_in = read(find(submitted / student / NAME)[0])
        except NotReadable:
            shutil.copytree(submitted / student, course / "waiting" / student)
            continue
        answers = {
            question: "\n\n".join(handed_in.cells[place - 1][2] for place in handed_in.own(question))
            for question in CODE
        }
        write_whole(target, stock_notebook(answers))
    nbgrader(course, "generate_assignment")


def release(course: Path, students: Sequence[str]) -> None:
    """Hand in the submissions of these students."""
    for student in students:
        shutil.move(course / "waiting" / student, course / "submitted" / student)


def stock_notebook(answers: Mapping[str, str]) -> str:
    """Imports, and for each question its answer and a cell of asserts."""
    cells = [nbformat.v4.new_code_cell(IMPORTS, id="imports")]
    for question in CODE:
        graded: dict[str, Any] = {"schema_version": 3, "task": False, "grade_id": question}
        answer = {**graded, "grade": False, "solution": True, "locked": False}
        test = {
            **graded,
            "grade_id": f"test_{question}",
            "grade": True,
            "solution": False,
            "locked": True,
            "points": QUESTIONS[question].points,
        }
        cells.append(nbformat.v4.new_code_cell(answers[question], id=question, metadata={"nbgrader": answer}))
        cells.append(nbformat.v4.new_code_cell(asserts(question), id=f"test-{question}", metadata={"nbgrader": test}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}))


def asserts(question: str) -> str:
    """What an instructor would write to test an answer."""
    asked = QUESTIONS[question]
    if asked.kind == "counterexample":
        return COUNTEREXAMPLE_TEST.format(name=question)
    numbers = worked(asked)
    template = RULE_TEST if asked.kind == "rule" else FUNCTION_TEST
    test = template.format(name=question, trials=numbers["inputs"], right=numbers["expected"])
    return test.replace("NaN", "nan")


if __name__ == "__main__":
    main()
