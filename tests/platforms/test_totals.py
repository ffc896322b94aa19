"""Totals, and the files of Canvas and Moodle: nothing dropped, nothing not graded as 0, no formula."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from helpers.submissions import WRITTEN

from autograder.__main__ import main
from autograder.assignment.questions import ALL
from autograder.grading.batch import grades_csv
from autograder.grading.finding import BY_HAND, GRADED, NOT_GRADED, Row
from autograder.grading.marks import Mark, read_marks
from autograder.platforms import moodle, totals

ALL_POINTS = sum(question.points for question in ALL)
CODE_POINTS = sum(question.points for question in ALL if question.kind != "written")
LEFT = 'said: "<=1>;=2"\tand, more'


def student(name: str, code: str = GRADED, written: str = GRADED, lost: float = 0.0) -> list[Row]:
    """A student's lines: full points, but for what waits or is not graded, and ``lost`` at adamw."""
    rows = []
    for q in ALL:
        status = written if q.kind == "written" else code if q.name == "adamw" else GRADED
        off, message = (lost, LEFT) if q.name == "adamw" else (0.0, "")
        rows.append(Row(name, q.name, q.points - off if status == GRADED else None, q.points, status, message))
    return rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``grades.csv`` of a small class, with names that break careless files."""
    table = [
        *student("007", lost=2.5),
        *student("ada@uni.edu"),
        *student('=HYPERLINK("x")', lost=1.0),
        *student("waits", written=BY_HAND),
        *student("lost", code=NOT_GRADED),
        *student("Zoë, the ;first"),
    ]
    (tmp_path / "grades.csv").write_text(grades_csv(table), encoding="utf-8")
    return tmp_path


def export(folder: Path, *arguments: str) -> str:
    """Run the command; what it wrote."""
    assert (
        main(
            ["export", arguments[0], f"--grades={folder / 'grades.csv'}", *arguments[1:], f"--out={folder / 'out.csv'}"]
        )
        == 0
    )
    return (folder / "out.csv").read_bytes().decode()


def lines(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter))


def test_a_total_only_where_every_question_has_a_score(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {row[0]: row[1:] for row in lines(export(folder, "csv"))}
    most = str(ALL_POINTS)
    assert found["student"] == ["score", "max_score", "status", "message"]
    assert found["007"] == [str(ALL_POINTS - 2.5), f"{most}.0", GRADED, ""]
    assert found["lost"] == ["", f"{most}.0", NOT_GRADED, "not graded: adamw: " + LEFT.replace(";=", ";'=")]
    assert found["waits"][:3] == ["", f"{most}.0", BY_HAND]
    said = capsys.readouterr()
    assert "lost: no total; not graded: adamw" in said.err
    assert "waits: no total; needs manual grading: written_1a_i, " in said.err
    assert "4 of 6 totals" in said.out


def test_one_reason_for_everything_is_said_once() -> None:
    rows = [Row("cut", q.name, None, q.points, NOT_GRADED, "cut off.") for q in ALL]
    assert totals.totals(rows)[0].message == "not graded: every question: cut off."
    rows[3] = rows[3]._replace(message="gone.")
    assert totals.totals(rows)[0].message == "not graded: every question"


def test_the_code_part_alone_and_marks(folder: Path) -> None:
    found = {row[0]: row[1:3] for row in lines(export(folder, "csv", "--questions=code"))}
    assert found["waits"] == [str(float(CODE_POINTS)), str(float(CODE_POINTS))]
    assert found["lost"][0] == ""
    marks = "student,question,score\n" + "".join(f"waits,{q.name},1\n" for q in ALL if q.kind == "written")
    (folder / "marks.csv").write_text(marks + "lost,adamw,0\n", encoding="utf-8")
    found = {row[0]: row[1] for row in lines(export(folder, "csv", f"--marks={folder / 'marks.csv'}"))}
    assert found["waits"] == str(float(CODE_POINTS + len(WRITTEN)))
    assert found["lost"] == str(float(ALL_POINTS - 10))  # a person's 0 is a 0


def test_a_sheet_for_marks_is_filled_in_and_grows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet, grades = folder / "marks.csv", f"--grades={folder / 'grades.csv'}"
    assert main(["export", "marks", grades]) == 0
    waiting = [("lost", "adamw"), *(("waits", q.name) for q in ALL if q.kind == "written")]
    assert sorted((row[0], row[1]) for row in lines(sheet.read_text(encoding="utf-8"))[1:]) == sorted(waiting)
    assert read_marks(sheet) == {}
    assert main(["export", "marks", grades]) == 2
    assert f"{sheet} is there already" in capsys.readouterr().err
    filled = sheet.read_text(encoding="utf-8").replace("lost,adamw,,10.0", "lost,adamw,4,10.0")
    sheet.write_text(filled, encoding="utf-8")
    table = [*totals.read_grades(folder / "grades.csv"), *student("=late", written=BY_HAND)]
    (folder / "grades.csv").write_text(grades_csv(table), encoding="utf-8")
    assert main(["export", "marks", grades, f"--marks={sheet}"]) == 0
    assert read_marks(sheet) == {("lost", "adamw"): Mark(4.0, "")}
    assert "'=late,written_1a_i,," in sheet.read_text(encoding="utf-8")


# --- Canvas ----------------------------------------------------------------------------------------


CANVAS = f"""\
Student,ID,SIS User ID,SIS Login ID,Section,Quiz (11),explore_Adam (12),Final Score
,,,,,,Manual Posting,
    Points Possible,,,,,5.00,{ALL_POINTS}.00,(read only)
"Bond, James",901,007,jb,"A, 1",4,,80
"Lovelace, Ada",902,12,Ada@Uni.edu,A,5,3,90
=1+1,903,13,"=HYPERLINK(""x"")",A,,,
"Nobody, N.",904,7,nn,A,,,
"Zoë, ""Z"" L.",905,14,"Zoë, the ;first",A,,,
"Student, Test",906,,waits,A,,,
"""


def changed(before: str, after: str, delimiter: str = ",") -> dict[tuple[int, int], str]:
    """The cells that differ: (line, column) and what stands there now."""
    old, new = lines(before, delimiter), lines(after, delimiter)
    assert len(old) == len(new)
    return {
        (i, j): cell for i, row in enumerate(new) for j, cell in enumerate(row) if j >= len(old[i]) or cell != old[i][j]
    }


FULL = f"{ALL_POINTS}"
HALF = f"{ALL_POINTS - 2.5}"
LOGINS = {(4, 6): FULL, (5, 6): f"{ALL_POINTS - 1}", (5, 0): "'=1+1", (7, 6): FULL}
FORMS: dict[str, tuple[str, list[str], str, dict[tuple[int, int], str]]] = {
    "by login": (CANVAS, [], ",", LOGINS),
    "by SIS id": (CANVAS, ["--match=SIS User ID"], ",", {(3, 6): HALF, (5, 0): "'=1+1"}),
    "with a byte order mark": ("\ufeff" + CANVAS, [], ",", LOGINS),
    "semicolons, decimal comma": (
        "Student;ID;SIS Login ID;Section;explore_Adam (12)\n"
        f"    Points Possible;;;;{ALL_POINTS},00\nBond, J.;1;007;A;\n",
        [],
        ";",
        {(2, 4): HALF.replace(".", ",")},
    ),
    "a new column": (
        CANVAS,
        ["--column=HW 3"],
        ",",
        {
            (0, 8): "HW 3",
            (1, 8): "",
            (2, 8): FULL,
            (3, 8): "",
            (4, 8): FULL,
            (5, 8): f"{ALL_POINTS - 1}",
            (5, 0): "'=1+1",
            (6, 8): "",
            (7, 8): FULL,
            (8, 8): "",
        },
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_canvas_gets_one_column_and_nothing_else(form: str, folder: Path) -> None:
    text, arguments, delimiter, cells = FORMS[form]
    (folder / "canvas.csv").write_bytes(text.encode())
    made = export(folder, "canvas", f"--roster={folder / 'canvas.csv'}", *arguments)
    assert changed(text, made, delimiter) == cells
    assert made.startswith("\ufeff") == text.startswith("\ufeff")


def test_who_stands_on_one_side_only_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "canvas.csv").write_text(CANVAS, encoding="utf-8")
    export(folder, "canvas", f"--roster={folder / 'canvas.csv'}")
    said = capsys.readouterr().err
    for line in (
        "007: graded, but not in the roster's SIS Login ID",
        "lost: graded, but not in the roster's SIS Login ID",
        "Nobody, N.: in the roster, but nothing was handed in",
        "Bond, James: in the roster",
        "waits: no total; needs manual grading",
        '=HYPERLINK("x"): an id that starts like a formula',
    ):
        assert line in said
    assert "Lovelace" not in said


TWICE = CANVAS.replace("nn", "Waits")
TEN = CANVAS.replace(f"{ALL_POINTS}.00", "10")
SMALL = "Identifier,Username,Grade,Maximum Grade\nParticipant 1,007,,10\n"
WRONG = {
    "another file": (["canvas", "--roster"], "a,b\n1,2\n", "is no gradebook of Canvas"),
    "no roster": (["canvas"], "", "give it as --roster"),
    "no points": (["canvas", "--roster"], "Student,ID\nx,007\n", "has no line 'Points Possible'"),
    "other points": (["canvas", "--roster"], TEN, "has 10 points possible"),
    "read only": (["canvas", "--column=Final Score", "--roster"], CANVAS, "has (read only) points possible"),
    "a column that is not there": (["canvas", "--match=Mail", "--roster"], CANVAS, "has no column 'Mail'"),
    "nobody matches": (["canvas", "--match=Section", "--roster"], CANVAS, "none of our students stands in"),
    "twice there": (["canvas", "--match=SIS Login ID", "--roster"], TWICE, "waits stands twice"),
    "two columns": (["canvas", "--roster"], CANVAS.replace("Quiz", "explore_Adam"), "several columns"),
    "a worksheet in German": (["moodle", "--roster"], "ID,Bewertung\n1,\n", "should have one of the columns"),
    "another maximum": (["moodle", "--roster"], SMALL, "line 2: the maximum grade"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_does_not_fit_is_refused(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, text, words = WRONG[name]
    (folder / "roster.csv").write_text(text, encoding="utf-8")
    roster = [str(folder / "roster.csv")] if arguments[-1] == "--roster" else []
    assert main(["export", *arguments, *roster, f"--grades={folder / 'grades.csv'}"]) == 2
    assert words in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["grades.csv", "roster.csv"]


# --- Moodle ----------------------------------------------------------------------------------------


WORKSHEET = f"""\
Identifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,"Last modified (submission)","Last modified (grade)",Feedback comments
Participant 31,Ada Lovelace,ada@uni.edu,Submitted for grading,,{ALL_POINTS}.00,Yes,-,-,
Participant 32,@SUM(1),007,Submitted for grading,,{ALL_POINTS}.00,Yes,-,-,
Participant 33,"Zoë, Z.","Zoë, the ;first",Submitted for grading,,{ALL_POINTS}.00,No,-,-,Kept
Participant 34,Nobody,nn,No submission,,{ALL_POINTS}.00,Yes,-,-,
"""


def test_moodles_worksheet_is_filled(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sheet.csv").write_text(WORKSHEET, encoding="utf-8")
    cells = changed(WORKSHEET, export(folder, "moodle", f"--roster={folder / 'sheet.csv'}"))
    words = cells.pop((1, 9)), cells.pop((2, 9))
    assert cells == {(1, 4): FULL, (2, 4): HALF, (2, 1): "'@SUM(1)"}
    assert "adamw: 7.5 of 10. said: &quot;&lt;&#61;1&gt;;&#61;2&quot; and, more<br>" in words[1]
    assert not any("\n" in text for text in words)
    said = capsys.readouterr().err
    assert "Zoë, the ;first: Moodle says that the grade cannot be changed" in said
    assert "nn: in the roster, but nothing was handed in" in said


def test_a_list_of_participants_becomes_an_import(folder: Path) -> None:
    text = "First name,Last name,ID number,Email address\nJames,Bond,007,jb@uni.edu\nNo,Body,7,nn@uni.edu\n"
    (folder / "list.csv").write_text(text, encoding="utf-8")
    made = lines(export(folder, "moodle", f"--roster={folder / 'list.csv'}", "--column=HW 3"))
    assert made[0] == ["First name", "Last name", "ID number", "Email address", "HW 3", "Feedback for HW 3"]
    assert made[1][2:5] == ["007", "jb@uni.edu", HALF]
    assert made[2] == ["No", "Body", "7", "nn@uni.edu", "", ""]


def test_without_a_roster_moodle_gets_a_line_a_student(folder: Path) -> None:
    made = lines(export(folder, "moodle", "--match=ID number"))
    assert made[0] == ["ID number", "explore_Adam", "Feedback for explore_Adam"]
    assert {row[0] for row in made[1:]} == {"007", "ada@uni.edu", '\'=HYPERLINK("x")', "Zoë, the ;first"}


# --- every file --------------------------------------------------------------------------------------


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file may have more than a hundred bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("export csv --grades {0}/grades.csv --out {0}/t.csv", "t.csv"),
        ("collect {0}/in {0}/submitted", "explore_Adam.ipynb"),
        ("gradescope {0}/g.zip", "g.zip"),
        ("release {0}/bundle", "bundle"),
    ],
)
def test_a_full_disk_is_told_by_its_file(
    command: str, file: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "seed.txt").write_text("a seed of tests", encoding="utf-8")
    (folder / "in").mkdir()
    (folder / "in" / "ada.ipynb").write_text("x" * 1000, encoding="utf-8")
    before = {path.name for path in folder.iterdir()}
    with full_disk():
        assert main(command.format(folder).split()) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"autograder {command.split()[0]}: ")
    assert "File too large" in said
    assert file in said
    assert not {path.name for path in folder.iterdir()} - before - {"submitted"}, "a part is left"


def test_who_reads_no_further_is_no_error(folder: Path) -> None:
    """As with head: no traceback, and the files are written."""
    grades, out = folder / "grades.csv", folder / "t.csv"
    command = [sys.executable, "-m", "autograder", "export", "csv", f"--grades={grades}", f"--out={out}"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == 0
    assert re.fullmatch(r"(\w+: no total; .*\n)+", done.stderr.decode())
    assert out.exists()


def test_grades_are_read_back_as_they_were(folder: Path) -> None:
    table = totals.read_grades(folder / "grades.csv")
    assert table[: len(ALL)] == student("007", lost=2.5)
    assert {row.student for row in table} >= {"007", '=HYPERLINK("x")', "Zoë, the ;first"}
    assert "007" in set(pd.read_csv(folder / "grades.csv", dtype=str)["student"])


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_no_file_of_ours_holds_a_formula(cell: str) -> None:
    row = Row(cell, "adamw", None, 10, NOT_GRADED, cell)
    total = totals.Total(cell, 1.0, 2.0, GRADED, cell)
    makers: list[Callable[[], str]] = [
        lambda: grades_csv([row]),
        lambda: totals.csv_totals([total]).text,
        lambda: moodle.moodle([total], {cell: totals.feedback([row], {}, "all")[cell]}, None, {}).text,
    ]
    for make in makers:
        for line in lines(make())[1:]:
            for text in line:
                assert not re.search(r"(^|[;\t] *)[=+@\t-]", text), text


BAD_GRADES = {
    "another table": ("a,b\n1,2\n", "is it a grades.csv?"),
    "an old question": (grades_csv([Row("a", "adamv", 1, 1, GRADED, "")]), "line 2: there is no question"),
    "a score not graded": (grades_csv([Row("a", "adamw", 1, 1, BY_HAND, "")]), "does not go with score"),
    "no score": (grades_csv([Row("a", "adamw", None, 1, GRADED, "")]), "does not go with score"),
    "no number": ("student,question,score,max_score,status,message\na,adamw,x,1,graded,\n", "are no points"),
    "nothing in it": ("student,question,score,max_score,status,message\n", "holds no grades"),
}


@pytest.mark.parametrize("name", BAD_GRADES)
def test_what_is_no_grades_csv_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, words = BAD_GRADES[name]
    (tmp_path / "grades.csv").write_text(text, encoding="utf-8")
    assert main(["export", "csv", f"--grades={tmp_path / 'grades.csv'}"]) == 2
    assert words in capsys.readouterr().err
