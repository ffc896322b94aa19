"""Each export is what the platform's importer reads: by its source where that is public, else by its documentation.

Canvas: canvas-lms, lib/gradebook_importer.rb. Moodle: mod/assign/feedback/offline/importgradeslib.php. Brightspace:
D2L, *Importing grades*. Blackboard: Blackboard Help, *Work offline with grade data*. nbgrader: ``api.Student``.
"""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from pathlib import Path

import pytest

from autograder.__main__ import main
from autograder.assignment.questions import ALL
from autograder.grading.batch import grades_csv
from autograder.grading.finding import GRADED, Row

POINTS = sum(question.points for question in ALL)
ADA, BEN = f"{POINTS}", f"{POINTS - 2.5:g}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three students, named as our folders are: by a platform's number, by another, and by a login."""
    lost = {"12345": 0.0, "12346": 2.5, "cleo": 1.0}
    rows = [
        Row(student, q.name, q.points - (off if q.name == "adamw" else 0), q.points, GRADED, "")
        for student, off in lost.items()
        for q in ALL
    ]
    (tmp_path / "grades.csv").write_text(grades_csv(rows), encoding="utf-8")
    return tmp_path


def export(folder: Path, to: str, roster: str | None, *arguments: str) -> str:
    command = ["export", to, f"--grades={folder / 'grades.csv'}", *arguments, f"--out={folder / 'out.csv'}"]
    if roster is not None:
        (folder / "roster.csv").write_text(roster, encoding="utf-8")
        command.append(f"--roster={folder / 'roster.csv'}")
    assert main(command) == 0
    return (folder / "out.csv").read_bytes().decode()


def read_by_canvas(text: str) -> dict[str, str]:
    """ID: grade, as ``GradebookImporter`` finds them: names, ids and section lead, then assignments by number."""
    header, *rows = list(csv.reader(io.StringIO(text)))
    start = 2 if header[:2] == ["LastName", "FirstName"] else 1
    assert start == 2 or "Student" in header[0]
    assert "ID" in header[start]
    assert header.index("Section") == 1 + max(header.index(name) for name in header if re.search(r"\bID$", name))
    (target,) = [i for i, name in enumerate(header) if name == "explore_Adam (12)"]
    points = [row for row in rows if "Points Possible" in row[0]]
    assert float(points[0][target]) == POINTS
    students = [row for row in rows if row not in points and not re.fullmatch(r"\s*(Manual Posting)?\s*", "".join(row))]
    return {row[start]: row[target].strip() for row in students}


HEAD = "ID,SIS User ID,SIS Login ID,Section,Quiz (11),explore_Adam (12),Final Score"
CANVAS = f"""\
Student,{HEAD}
,,,,,,Manual Posting,
    Points Possible,,,,,5.00,{POINTS}.00,(read only)
"Lovelace, Ada",12345,s1,ada,A,4,3,80
"Bond, Ben",12346,s2,ben,A,4,EX,80
"Nobody, N",12347,s3,nn,A,4,2,80
"C, Cleo",12348,s4,cleo,A,4,,80
"""
NAMES = f"""\
LastName,FirstName,{HEAD}
    Points Possible,,,,,,5.00,{POINTS}.00,(read only)
Lovelace,Ada,12345,s1,ada,A,4,{POINTS},80
Bond,Ben,12346,s2,ben,A,4,ex,80
"""
IDS = "student,id\ncleo,12348\n"


@pytest.mark.parametrize(
    ("roster", "arguments", "grades"),
    [
        (CANVAS, [], {"12345": ADA, "12346": "EX", "12347": "2", "12348": ""}),
        (CANVAS, ["--ids"], {"12345": ADA, "12346": "EX", "12347": "2", "12348": f"{POINTS - 1}"}),
        (CANVAS, ["--ids", "--changed"], {"12345": ADA, "12348": f"{POINTS - 1}"}),
        (NAMES, [], {"12345": ADA, "12346": "ex"}),
        (NAMES, ["--changed"], {}),
    ],
)
def test_canvas(
    roster: str, arguments: list[str], grades: dict[str, str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "ids.csv").write_text(IDS)
    arguments = [f"--ids={folder / 'ids.csv'}" if name == "--ids" else name for name in arguments]
    assert read_by_canvas(export(folder, "canvas", roster, *arguments)) == grades
    assert "12346: excused in Canvas, and left so" in capsys.readouterr().err


def test_changed_sends_one_column_back(folder: Path) -> None:
    header = export(folder, "canvas", CANVAS, "--changed").splitlines()[0]
    assert header == "Student,ID,SIS User ID,SIS Login ID,Section,explore_Adam (12)"


MOODLE = "Grade,{maximum},Grade can be changed,Last modified (submission),Last modified (grade),Feedback comments"
NAMED = f"Identifier,Full name,Email address,Status,{MOODLE}\n" + "".join(
    f"Participant {id},{id},{id}@uni.edu,Submitted,,{POINTS}.00,Yes,-,-,\n" for id in ("12345", "12346", "9")
)
ANONYMOUS = f"Identifier,Status,{MOODLE}\n" + "".join(
    f"Participant {id},Submitted,,{POINTS}.00,Yes,-,-,\n" for id in ("12345", "12346", "9")
)


def read_by_moodle(text: str) -> dict[str, str]:
    """Participant: grade; the three columns must be there by these names, and the number follows "Participant "."""
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {"Identifier", "Grade", "Last modified (grade)"} <= set(rows[0])
    return {row["Identifier"][len("Participant ") :]: row["Grade"] for row in rows}


@pytest.mark.parametrize("maximum", ["Maximum grade", "Maximum Grade"])
@pytest.mark.parametrize("roster", [NAMED, ANONYMOUS])
def test_moodle(roster: str, maximum: str, folder: Path) -> None:
    made = export(folder, "moodle", roster.format(maximum=maximum))
    assert read_by_moodle(made) == {"12345": ADA, "12346": BEN, "9": ""}


def read_by_brightspace(text: str) -> dict[str, str]:
    """Id: grade; the first column is a key, items end in "Points Grade", and every line ends in the indicator."""
    header, *rows = list(csv.reader(io.StringIO(text)))
    assert header[0] in ("OrgDefinedId", "Username")
    assert header[-1] == "End-of-Line Indicator"
    assert {row[-1] for row in rows} == {"#"}
    assert header[1].split(" <")[0].endswith(" Points Grade")
    return {row[0].removeprefix("#"): row[1] for row in rows}


ITEM = f"explore_Adam Points Grade <Numeric MaxPoints:{POINTS} Weight:10 Category:HW CategoryWeight:40>"
BRIGHTSPACE = (
    f"OrgDefinedId,Username,{ITEM},End-of-Line Indicator\n#12345,#ada,,#\n#12346,#ben,3,#\n#77,#cleo,,#\n#9,#n,,#\n"
)


@pytest.mark.parametrize(
    ("roster", "arguments", "grades"),
    [
        (None, [], {"12345": ADA, "12346": BEN, "cleo": f"{POINTS - 1}"}),
        (BRIGHTSPACE, [], {"12345": ADA, "12346": BEN}),
        (BRIGHTSPACE, ["--match=Username"], {"cleo": f"{POINTS - 1}"}),
        (None, ["--match=Username", "--column=HW 3"], {"12345": ADA, "12346": BEN, "cleo": f"{POINTS - 1}"}),
    ],
)
def test_brightspace(roster: str | None, arguments: list[str], grades: dict[str, str], folder: Path) -> None:
    assert read_by_brightspace(export(folder, "brightspace", roster, *arguments)) == grades


def read_by_blackboard(text: str) -> dict[str, str]:
    """Username: grade; every cell in quotes, and the column's number behind a bar."""
    header, *rows = list(csv.reader(io.StringIO(text)))
    assert re.fullmatch(r'("[^"]*",?)+', text.splitlines()[0])
    assert header[0] == "Username"
    assert re.search(r"\|\d+$", header[1])
    return {row[0]: row[1] for row in rows}


BLACKBOARD = (
    '"Last Name","First Name","Username","Student ID","Last Access","Availability",'
    f'"Quiz [Total Pts: 5 Score] |111","explore_Adam [Total Pts: {POINTS} Score] |222"\n'
    '"L","Ada","al1","12345","","Yes","4",""\n"B","Ben","bb2","12346","","Yes","4","3"\n"N","N","nn","9","","Yes","",""\n'
)


@pytest.mark.parametrize("column", ["explore_Adam", "222"])
def test_blackboard(column: str, folder: Path) -> None:
    made = export(folder, "blackboard", BLACKBOARD, f"--column={column}")
    assert read_by_blackboard(made) == {"al1": ADA, "bb2": BEN}


def test_what_nbgrader_knows_of_its_students_are_ids(folder: Path) -> None:
    with sqlite3.connect(folder / "gradebook.db") as book:  # the columns of nbgrader's table
        book.execute("create table student (id, first_name, last_name, email, lms_user_id)")
        book.execute("insert into student values ('cleo', null, null, 'cleo@uni.edu', '12348')")
    made = export(folder, "canvas", CANVAS, f"--ids={folder / 'gradebook.db'}")
    assert read_by_canvas(made)["12348"] == f"{POINTS - 1}"


WRONG: dict[str, tuple[str, str, str]] = {
    "a worksheet without a maximum": ("moodle", "Identifier,Grade\nParticipant 12345,\n", "Grade and Maximum grade"),
    "an item out of other points": ("brightspace", BRIGHTSPACE.replace(f":{POINTS}", ":10"), "is out of 10"),
    "another file for Brightspace": ("brightspace", CANVAS, "is no export of Brightspace"),
    "a column out of other points": ("blackboard", BLACKBOARD.replace(f": {POINTS}", ": 10"), "is out of 10"),
    "no column in Blackboard": ("blackboard", BLACKBOARD.replace("explore", "x"), "make it in Blackboard first"),
    "another file for Blackboard": ("blackboard", CANVAS, "is no download of Blackboard"),
    "an id of two": ("canvas", CANVAS.replace("12346", "12345"), "12345 stands twice"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to, roster, words = WRONG[name]
    (folder / "roster.csv").write_text(roster, encoding="utf-8")
    assert main(["export", to, f"--grades={folder / 'grades.csv'}", f"--roster={folder / 'roster.csv'}"]) == 2
    assert words in capsys.readouterr().err
    assert not (folder / f"{to}.csv").exists()


IDS_WRONG: dict[str, tuple[str, str]] = {
    "no columns": ("a,b\n1,2\n", "has no column student, id"),
    "an id of two students": ("student,id\na,1\nb,1\n", "the id 1 stands at a and at b"),
}


@pytest.mark.parametrize("name", IDS_WRONG)
def test_ids_that_are_none_are_refused(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, words = IDS_WRONG[name]
    (folder / "ids.csv").write_text(text)
    assert main(["export", "csv", f"--grades={folder / 'grades.csv'}", f"--ids={folder / 'ids.csv'}"]) == 2
    assert words in capsys.readouterr().err
