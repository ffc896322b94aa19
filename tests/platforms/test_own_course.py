"""explore_Adam in a course with another assignment: that one as stock nbgrader does it, ours by our rules.

What nbgrader does comes from nbgrader itself: the same commands run in a course without us (its documentation:
*Creating and grading assignments*, *Exporting grades*, *Customizing how late submission penalties are applied*).
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.submissions import CODE_POINTS, RIGHT, WRITTEN, hand_in, notebook

pytest.importorskip("nbgrader", reason="pip install -e .[autograder]")

import nbformat
from nbgrader.api import Gradebook

from autograder.__main__ import main
from autograder.assignment.places import INSTRUCTOR, NAME
from autograder.assignment.questions import ALL
from autograder.sandbox.sandbox import Sandbox

pytestmark = pytest.mark.filterwarnings("default")  # of nbgrader's own packages

# What a course may have in its settings: nothing of it may touch explore_Adam, but the late penalty.
SETTINGS = """\
from nbgrader.plugins import LateSubmissionPlugin

class TwoPoints(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 2.0

c = get_config()
c.CourseDirectory.course_id = "ml"
c.AssignLatePenalties.plugin_class = TwoPoints
c.ClearSolutions.code_stub = {"python": "# ps1: your code"}
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = {"nothing"}
c.Execute.timeout = 60
"""
AFTER = """\
from nbgrader.preprocessors import ClearOutput, SaveAutoGrades
from nbconvert.exporters import NotebookExporter, HTMLExporter
c.Autograde.exporter_class = NotebookExporter
c.GenerateFeedback.exporter_class = HTMLExporter
c.Autograde.sanitize_preprocessors = [ClearOutput]
"""
PROGRAM = """
import os, sys
from nbgrader.apps import NbGraderApp
for line in sys.argv[1:]:  # each in a process of its own, that need not import nbgrader anew
    if (child := os.fork()) == 0:
        NbGraderApp.launch_instance(line.split())
        os._exit(0)
    if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(code)
"""


def nbgrader(course: Path, *lines: str, code: int = 0) -> str:
    """Run nbgrader's commands in ``course``, in one process; what they said."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-c", PROGRAM, *lines]
    done = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr[-3000:]
    return done.stderr


def ps1(answer: str | None = None) -> nbformat.NotebookNode:
    """An ordinary assignment, with its solution or with an answer."""
    solution = "### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
    cells = [
        ("markdown", "# Doubling", {"tags": ["instructor"]}, {}),
        ("code", f"def double(x):\n    {answer or solution}", {}, {"solution": True, "grade_id": "double"}),
        ("code", "assert double(3) == 6", {}, {"grade": True, "locked": True, "points": 3, "grade_id": "test_double"}),
        ("markdown", "Because.", {}, {"solution": True, "grade": True, "points": 5, "grade_id": "why"}),
    ]
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for number, (kind, source, metadata, flags) in enumerate(cells):
        cell = (nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell)(source)
        cell.id = f"cell-{number}"
        cell.metadata.update(metadata)
        if flags:
            base = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
            cell.metadata["nbgrader"] = {**base, **flags}
        made.cells.append(cell)
    return made


def hand_in_ps1(course: Path) -> None:
    for student, answer, when in (("ada", "return x + x", "2026-01-01"), ("ben", "return x * x", "2026-01-09")):
        target = course / "submitted" / student / "ps1"
        target.mkdir(parents=True)
        nbformat.write(ps1(answer), target / "ps1.ipynb")
        (target / "timestamp.txt").write_text(f"{when} 12:00:00 UTC")


def due(course: Path, *assignments: str) -> None:
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        for assignment in assignments:
            book.update_or_create_assignment(assignment, duedate="2026-01-02 00:00:00")
        book.update_or_create_student("zoe", first_name="Zoë", last_name="Z")


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory, box: Sandbox) -> tuple[Path, Path]:
    """A course of stock nbgrader with ps1, and the same with explore_Adam added, each through the whole cycle."""
    stock, ours = tmp_path_factory.mktemp("stock"), tmp_path_factory.mktemp("ours")
    for course in (stock, ours):
        (course / "source" / "ps1").mkdir(parents=True)
        nbformat.write(ps1(), course / "source" / "ps1" / "ps1.ipynb")
        (course / "nbgrader_config.py").write_text(SETTINGS)
        hand_in_ps1(course)
    assert main(["add-to", str(ours)]) == 0
    with open(ours / "nbgrader_config.py", "a") as file:
        file.write(AFTER)
    with open(stock / "nbgrader_config.py", "a") as file:
        file.write(AFTER)
    written = {q.name: "An answer." for q in ALL if q.kind == "written"}
    hand_in(ours / "submitted", "ada", notebook(RIGHT | written))
    hand_in(ours / "submitted", "ada", "2026-01-09 12:00:00 UTC", "timestamp.txt")
    hand_in(ours / "submitted", "ben", notebook(RIGHT), "renamed.ipynb")
    nbgrader(stock, "generate_assignment ps1")
    nbgrader(ours, "generate_assignment ps1", f"generate_assignment {NAME}")
    due(stock, "ps1")
    due(ours, "ps1", NAME)
    rest = ("autograde ps1 --force --student=ben", "generate_feedback ps1", "export")
    nbgrader(stock, "autograde ps1", *rest)
    nbgrader(ours, "autograde *", f"generate_feedback {NAME}", *rest)
    return stock, ours


def files(course: Path, folder: str) -> dict[str, str]:
    found = (course / folder).rglob("*")
    texts = {
        str(p.relative_to(course)): p.read_text(encoding="utf-8") for p in found if p.is_file() and "ps1" in p.parts
    }
    return {name: re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"now"', text) for name, text in texts.items()}


@pytest.mark.parametrize("folder", ["release", "autograded", "feedback"])
def test_another_assignment_is_as_stock_nbgrader_makes_it(folder: str, courses: tuple[Path, Path]) -> None:
    stock, ours = courses
    assert len(files(stock, folder)) == (1 if folder == "release" else 4)  # notebook or page, and its timestamp
    assert files(ours, folder) == files(stock, folder)


def test_export_has_the_other_assignments_as_stock_nbgrader_does(courses: tuple[Path, Path]) -> None:
    tables = []
    for course in courses:
        with open(course / "grades.csv", newline="", encoding="utf-8") as file:
            tables.append([row for row in csv.DictReader(file) if row["assignment"] == "ps1"])
    stock, ours = tables
    assert [{key: row[key] for key in stock[0]} for row in ours] == stock
    assert [(row["student_id"], row["raw_score"], row["score"]) for row in stock] == [
        ("ada", "3.0", "3.0"),
        ("ben", "0.0", "0.0"),
        ("zoe", "0.0", "0.0"),
    ]


def test_ours_is_graded_by_our_rules(courses: tuple[Path, Path]) -> None:
    _, ours = courses
    with Gradebook(f"sqlite:///{ours}/gradebook.db") as book:
        scores = {s.student.id: (s.score, s.late_submission_penalty) for s in book.find_assignment(NAME).submissions}
    assert scores == {"ada": (CODE_POINTS, 2.0), "ben": (CODE_POINTS, 0.0)}
    assert "data-nbgrader" not in (ours / "feedback" / "ada" / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    text = (ours / "release" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
    assert "ps1: your code" not in text


SECRETS = ("Model answer", "Rubric", "For the instructor", "BEGIN SOLUTION", "equilibrium")


def test_the_source_in_a_stock_course_releases_no_answer(courses: tuple[Path, Path]) -> None:
    stock, _ = courses
    (stock / "source" / NAME).mkdir()
    (stock / "source" / NAME / f"{NAME}.ipynb").write_bytes(INSTRUCTOR.read_bytes())
    nbgrader(stock, f"generate_assignment {NAME}")
    text = (stock / "release" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
    assert not re.findall("|".join(SECRETS), text)
    assert "Rubric" in INSTRUCTOR.read_text(encoding="utf-8")


# --- one truth: late penalties, and marks given to answers that have changed since ---------------------


def said(ours: Path, folder: Path) -> dict[str, dict[str, str]]:
    """Each student's total by nbgrader's export, our export, nbgrader's page and our page; "" where there is none."""
    nbgrader(ours, f"generate_feedback {NAME} --force", f"export --to={folder}/nbgrader.csv")
    grading = [str(ours / "submitted"), f"--out={folder}", f"--marks={ours / 'gradebook.db'}"]
    assert main(["feedback", *grading]) == 0
    assert main(["export", "csv", f"--grades={folder / 'grades.csv'}", grading[-1]]) == 0
    found: dict[str, dict[str, str]] = {"ada": {}, "ben": {}}
    for name, key in (("nbgrader.csv", "student_id"), ("totals.csv", "student")):
        with open(folder / name, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row[key] in found and row.get("assignment", NAME) == NAME:
                    found[row[key]][name] = row["score"]
    for student in found:
        pages = ours / "feedback" / student / NAME / f"{NAME}.html", folder / "feedback" / f"{student}.html"
        for page in pages:
            total = re.findall(r"<strong>([\d.]+)</strong> of \d+ points(.*)</p>", page.read_text(encoding="utf-8"))
            found[student][str(page)] = "" if total[0][1] else f"{float(total[0][0]):.1f}"
    return found


def mark_all(ours: Path, points: float) -> None:
    with Gradebook(f"sqlite:///{ours}/gradebook.db") as book:
        for submission in book.find_assignment(NAME).submissions:
            for grade in submission.notebooks[0].grades:
                if grade.name.startswith("written_"):
                    grade.manual_score, grade.needs_manual_grade = points, False
        book.db.commit()


def each_total(totals: dict[str, dict[str, str]]) -> dict[str, set[str]]:
    return {student: set(each.values()) for student, each in totals.items()}


def test_the_same_total_everywhere(
    courses: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, ours = courses
    (tmp_path / "seed.txt").write_bytes((ours / "seed.txt").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        mark_all(ours, 3)
        total = CODE_POINTS + 3 * len(WRITTEN)
        totals = said(ours, tmp_path)
        assert each_total(totals) == {"ada": {f"{total - 2:.1f}"}, "ben": {f"{total:.1f}"}}
        part = ["export", "csv", "--questions=code", f"--grades={tmp_path / 'grades.csv'}"]
        capsys.readouterr()
        assert main([*part, f"--marks={ours / 'gradebook.db'}"]) == 0
        assert "ada: no total; late, and 2 points off the whole set" in capsys.readouterr().err
        changed = {q.name: "Another answer." for q in ALL if q.kind == "written"}
        hand_in(ours / "submitted", "ben", notebook(RIGHT | changed), "renamed.ipynb")
        nbgrader(ours, f"autograde {NAME} --force --student=ben")
        totals = said(ours, tmp_path)
        assert each_total(totals) == {"ada": {f"{total - 2:.1f}"}, "ben": {""}}
