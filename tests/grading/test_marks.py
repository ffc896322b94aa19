"""Scores and comments that people gave: from a CSV file and from nbgrader's gradebook."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment.places import NAME
from autograder.assignment.questions import ALL
from autograder.grading.finding import BY_HAND, GRADED, NOT_GRADED, Row
from autograder.grading.marks import CHANGED, Mark, read_marks, with_marks
from autograder.grading.spreadsheet import plain, read_sheet, safe, written

HEAD = "student,question,score,comment\n"
FILES: dict[str, tuple[str, dict[tuple[str, str], Mark]]] = {
    "plain": (HEAD + "ada,written_1a_i,5.5,Good\n", {("ada", "written_1a_i"): Mark(5.5, "Good")}),
    "the least and the most": (
        HEAD + "ada,written_1a_i,0,\nben,written_1a_i,6,\n",
        {("ada", "written_1a_i"): Mark(0.0, ""), ("ben", "written_1a_i"): Mark(6.0, "")},
    ),
    "only a comment": (HEAD + "ada,adamw,,See me\n", {("ada", "adamw"): Mark(None, "See me")}),
    "not yet filled in": (HEAD + "ada,adamw,,\n\n,,,\n", {}),
    "saved by a German spreadsheet": (
        '\ufeffstudent;question;score;comment\r\nJürgen;adamw;7,5;"a; b"\r\n',
        {("Jürgen", "adamw"): Mark(7.5, "a; b")},
    ),
    "with the delimiter in its first line": (
        "\ufeffsep=;\r\nstudent;question;score\r\nada;adamw;7,5\r\n",
        {("ada", "adamw"): Mark(7.5, "")},
    ),
    "with a space after the name": (
        HEAD + "ann,adamw,1,\nann ,adamw,2,\n",
        {("ann", "adamw"): Mark(1.0, ""), ("ann ", "adamw"): Mark(2.0, "")},
    ),
    "the lines of grades.csv": (
        "student,question,score,max_score,status,message,comment\n"
        'ada,written_1a_i,4,6,needs manual grading,,"Two\nlines, ""quoted"""\n',
        {("ada", "written_1a_i"): Mark(4.0, 'Two\nlines, "quoted"')},
    ),
    "without comments": ("question,student,score\nadamw,007,1\n", {("007", "adamw"): Mark(1.0, "")}),
    "like formulas": (HEAD + "'=1+1,adamw,1,'-5 for it\n", {("=1+1", "adamw"): Mark(1.0, "-5 for it")}),
}


@pytest.mark.parametrize("name", FILES)
def test_marks_of_a_csv_file(name: str, tmp_path: Path) -> None:
    text, expected = FILES[name]
    (tmp_path / "marks.csv").write_bytes(text.encode())
    assert read_marks(tmp_path / "marks.csv") == expected


WRONG = {
    "unknown question": (HEAD + "ada,adamw,1,\nben,adamv,1,\n", "line 3: there is no question 'adamv'"),
    "too much": (HEAD + "ada,adamw,10.5,\n", "line 2: the score 10.5 of adamw should be from 0 to 10"),
    "below zero": (HEAD + "ada,adamw,-1,\n", "line 2: the score -1 of adamw"),
    "not finite": (HEAD + "ada,adamw,nan,\n", "line 2: the score nan of adamw"),
    "no number": (HEAD + "ada,adamw,all,\n", "line 2: the score 'all' is no number"),
    "twice": (HEAD + "ada,adamw,1,\nben,adamw,1,\nada,adamw,,\n", "line 4: adamw of ada stands in line 2"),
    "after a long cell": (HEAD + 'ada,adamw,1,"a\nb\n"\n\nben,x,1,\n', "line 6: there is no question 'x'"),
    "nobody": (HEAD + ",adamw,1,\n", "line 2: no student is named"),
    "no score column": ("student,question,points\n", "has no column score"),
    "a column misspelt": ("student,question,score,coment\n", "has the column 'coment'"),
    "a column twice": ("student,question,score,score\n", "has the column score twice"),
    "a comma in a comment": (HEAD + "ada,adamw,1,so, so\n", "line 2 has 5 cells, and the header names 4"),
    "a quote left open": (HEAD + 'ada,adamw,1,"so\n', "line 2: unexpected end of data"),
    "empty": ("", "is empty"),
    "not in UTF-8": (b"student,question,score\nJ\xfcrgen,adamw,1\n", "is not in UTF-8"),
    "another database": (b"SQLite format 3\0" + bytes(84), "is not a gradebook of nbgrader"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    text, words = WRONG[name]
    (tmp_path / "marks.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the words are what is looked at
        read_marks(tmp_path / "marks.csv")
    assert words in str(error.value)


GRADES: dict[tuple[str, str], tuple[dict[str, Any], str]] = {  # (student, grade cell): the grade, a comment
    ("ada", "written_1a_i"): ({"manual_score": 5.0, "needs_manual_grade": False}, "Good"),
    ("ada", "written_1a_ii"): ({"needs_manual_grade": True}, ""),
    ("ada", "check_adamw"): ({"auto_score": 7.5, "needs_manual_grade": False}, ""),
    ("ben", "written_1a_i"): ({"manual_score": 3.0, "needs_manual_grade": True}, "Before"),
    ("ben", "check_adamw"): ({"auto_score": 7.5, "extra_credit": 1.5, "needs_manual_grade": False}, ""),
    ("ben", "written_1a_ii"): ({"manual_score": 4.0, "extra_credit": 1, "needs_manual_grade": False}, ""),
    ("cy", "check_adamw"): ({"auto_score": 0.0, "manual_score": 2.0, "needs_manual_grade": False}, "A typo"),
    ("cy", "written_1a_i"): ({"auto_score": 0.0, "needs_manual_grade": False}, "Where is it?"),
}
GIVEN = {
    ("ada", "written_1a_i"): Mark(5.0, "Good"),
    ("ben", "written_1a_i"): Mark(None, "Before", changed=True),
    ("ben", "adamw"): Mark(9.0, ""),
    ("ben", "written_1a_ii"): Mark(5.0, ""),
    ("cy", "adamw"): Mark(2.0, "A typo"),
    ("cy", "written_1a_i"): Mark(None, "Where is it?"),
}


@pytest.fixture(scope="module")
def gradebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gradebook that nbgrader's own code has made, with another assignment in it."""
    api = pytest.importorskip("nbgrader.api", reason="pip install -e .[autograder]")
    path = tmp_path_factory.mktemp("course") / "gradebook.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # it calls alembic
        book = api.Gradebook(f"sqlite:///{path}")
    with book:
        for assignment in (NAME, "another"):
            book.add_assignment(assignment)
            book.add_notebook(NAME, assignment)
            for cell in sorted({cell for _, cell in GRADES}):
                kind = "code" if cell.startswith("check_") else "markdown"
                book.add_grade_cell(cell, NAME, assignment, max_score=99, cell_type=kind)
                book.add_solution_cell(cell.removeprefix("check_"), NAME, assignment)
        for student in sorted({student for student, _ in GRADES}):
            book.add_student(student)
            for assignment in (NAME, "another"):
                book.add_submission(assignment, student)
        for (student, cell), (values, comment) in GRADES.items():
            grade = book.find_grade(cell, NAME, NAME, student)
            for name, value in values.items():
                setattr(grade, name, value)
            place = book.find_comment(cell.removeprefix("check_"), NAME, NAME, student)
            place.manual_comment = comment or None
            book.find_grade(cell, NAME, "another", student).manual_score = 99
        book.db.commit()
    return path


@pytest.mark.filterwarnings("default")  # of nbgrader's own packages
def test_marks_of_a_gradebook(gradebook: Path) -> None:
    before = gradebook.read_bytes()
    assert read_marks(gradebook) == GIVEN
    assert gradebook.read_bytes() == before
    assert [path.name for path in gradebook.parent.iterdir()] == [gradebook.name]


@pytest.mark.filterwarnings("default")
def test_a_score_above_what_a_question_is_worth_now(gradebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worth = {question.name: question for question in ALL}
    del worth["written_1a_ii"]
    monkeypatch.setattr("autograder.grading.marks.QUESTIONS", worth)
    with pytest.raises(ValueError, match="ben: there is no question 'written_1a_ii'"):
        read_marks(gradebook)


def test_a_mark_beats_what_the_grader_found() -> None:
    def row(question: str, score: float | None, status: str) -> Row:
        return Row("ada", question, score, 10, status, "why")

    table = [
        row("a", None, BY_HAND),
        row("b", None, NOT_GRADED),
        row("c", 4.0, GRADED),
        row("d", 4.0, GRADED),
        row("e", 4.0, GRADED),
        row("f", None, BY_HAND),
    ]
    marks = {
        ("ada", "a"): Mark(0.0, ""),
        ("ada", "b"): Mark(2.0, ""),
        ("ada", "c"): Mark(5.0, ""),
        ("ada", "d"): Mark(None, "so"),
        ("ada", "e"): Mark(None, "", True),
        ("ben", "f"): Mark(1.0, ""),
    }
    assert with_marks(table, marks) == [
        row("a", 0.0, GRADED),
        row("b", 2.0, GRADED),
        row("c", 5.0, GRADED),
        row("d", 4.0, GRADED),
        Row("ada", "e", None, 10, BY_HAND, CHANGED),
        row("f", None, BY_HAND),
    ]


FORMULAS = ("=1+1", "+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "'=1", "＝1", "a;=1+1", "a\n =1", "a\t+1")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    made = str(safe(text))
    for cell in made.replace("\n", ";").replace("\t", ";").replace("\r", ";").split(";"):
        assert not cell.strip().startswith(("=", "+", "-", "@", "＝")), made
    assert made[0] not in "\t\r\n"
    assert plain(made) == text


def test_harmless_cells_stay_as_they_are() -> None:
    for value in ("Ada", "", "O'Brien", "a = b", "7 - 1; 2", "'tis", 3.5, -1.0, None, "007"):
        assert safe(value) == value


def test_what_was_made_safe_is_read_back(tmp_path: Path) -> None:
    draw = random.Random(4)
    texts = ["".join(draw.choices("=+-@'\t\r\n; a,\"＝", k=draw.randint(1, 8))) for _ in range(2000)]
    texts = [text for text in texts if text.strip()]
    for delimiter in ",;\t":
        lines = [["text", "number"], *([safe(text), "1"] for text in texts)]
        (tmp_path / "x.csv").write_bytes(written(lines, delimiter, bom=True).encode())
        assert [plain(cell) for cell in read_sheet(tmp_path / "x.csv").column("text")] == texts
