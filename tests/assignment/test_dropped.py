"""A question out of 0 points is dropped: by one line, before release and after collection."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="pip install -e .[autograder]")

from autograder.assignment.questions import ALL
from autograder.sandbox import sandbox

ROOT = Path(__file__).resolve().parents[2]
DROPPED = ("sgdw", "written_2b_i", "good_fraction")
PROGRAM = """
import csv, json, os, sys
from pathlib import Path
sys.path.insert(0, str(Path.cwd() / "tests"))
from adamw_pset.files import write_whole
from autograder.assignment import build, worked_numbers
def make():
    write_whole(worked_numbers.TARGET, worked_numbers.build())
    build.main([])
make()
from autograder.__main__ import main
from autograder.assignment.release import release
from autograder.demo.course import nbgrader
from adamw_pset.checks import open_questions
from nbgrader.api import Gradebook
course = Path("course")
nbgrader(course, "generate_assignment", "explore_Adam")
nbgrader(course, "autograde", "explore_Adam", "--force")
nbgrader(course, "export")
os.chdir(course)
main(["feedback", "submitted", "--marks", "gradebook.db"])
main(["export", "csv", "--marks", "gradebook.db"])
release(Path("bundle/explore_Adam"))
with Gradebook("sqlite:///gradebook.db") as book:
    most = book.find_assignment("explore_Adam").max_score
    kept = book.find_grade("written_1a_i", "explore_Adam", "explore_Adam", "ada").manual_score
print(json.dumps({"asked": list(open_questions()), "most": most, "kept": kept,
    "ours": list(csv.DictReader(open("grades/totals.csv"))), "theirs": list(csv.DictReader(open("grades.csv")))}))
"""
BEFORE = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path.cwd() / "tests"))
from helpers.submissions import RIGHT, hand_in, notebook
from autograder.assignment.questions import ALL
from autograder.demo.course import nbgrader
from autograder.platforms.course import add_to
from nbgrader.api import Gradebook
course = Path("course")
course.mkdir()
add_to(course)
hand_in(course / "submitted", "ada", notebook(RIGHT | {q.name: "Words." for q in ALL if q.kind == "written"}))
for step in ("generate_assignment", "autograde"):
    nbgrader(course, step, "explore_Adam")
with Gradebook("sqlite:///course/gradebook.db") as book:
    for grade in book.find_submission("explore_Adam", "ada").notebooks[0].grades:
        if grade.name.startswith("written_"):
            grade.manual_score, grade.needs_manual_grade = 2, False
    book.db.commit()
"""


def run(folder: Path, program: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder)}  # nbgrader too is to find the copy
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_question_is_dropped_by_one_line(tmp_path: Path) -> None:
    """In a copy of the repository, with a course that has collected and graded already."""
    if reason := sandbox.missing():
        pytest.skip(reason)
    for name in ("explore_Adam.ipynb", "constraints.txt", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "docs").mkdir()
    for name in ("adamw_pset", "autograder", "tests/helpers"):
        ignored = shutil.ignore_patterns("__pycache__", "submitted")
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=ignored)
    run(tmp_path, BEFORE)
    points = tmp_path / "autograder" / "points.toml"
    text = points.read_text(encoding="utf-8")
    left = sum(question.points for question in ALL if question.name not in DROPPED)
    for name in DROPPED:
        text = re.sub(rf"^{name} = \d+$", f"{name} = 0", text, flags=re.MULTILINE)
    points.write_text(text, encoding="utf-8")
    found = json.loads(run(tmp_path, PROGRAM).splitlines()[-1])
    assert not set(DROPPED) & set(found["asked"])
    assert found["most"] == left
    assert found["kept"] == 2
    (ours,), (theirs,) = found["ours"], found["theirs"]
    assert (ours["score"], ours["max_score"]) == (theirs["score"], theirs["max_score"])
    assert theirs["ungraded"] == "0"
    student = json.loads((tmp_path / "explore_Adam.ipynb").read_text(encoding="utf-8"))
    ids = {cell["metadata"].get("nbgrader", {}).get("grade_id", "") for cell in student["cells"]}
    assert not ids & {*DROPPED, *(f"check_{name}" for name in DROPPED)}
    words = "\n".join("".join(cell["source"]) for cell in student["cells"])
    readme = (tmp_path / "course" / "bundle" / "explore_Adam" / "README.md").read_text(encoding="utf-8")
    assert f"\n{left} points; the exercises" in readme
    assert "4 points for the explanation, the function is not asked" in words
    assert "def sgdw(theta, grad, state, *, lr, weight_decay, beta1=1.0):" in words  # given: later cells need it
    assert "Your reading" not in words
    assert "{{" not in words
    page = (tmp_path / "course" / "grades" / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert "SGDW with momentum" not in page
