"""One submission can cost its author points, and nobody anything else: a class of hostile ones, from start to end."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.hostile import ANSWERS, FILES, HONEST, NAMES, hand_in_all
from helpers.submissions import RIGHT, notebook, submission

from autograder.grading import grade
from autograder.sandbox.sandbox import Sandbox

pytest.importorskip("nbgrader", reason="pip install -e .[autograder]")

SEED = "a seed for tests"
PEAK = 1 << 20  # kilobytes: a gigabyte
# What a file for people may not hold: control characters, but for line ends and tabs, and what breaks lines.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u200b\ud800-\udfff]")
COMMANDS = [["grade", "in", "--jobs", "2"], ["grade", "in"], ["feedback", "in", "--marks", "marks.csv"]]
COMMANDS += [["grading", "in"], ["export", "csv"], ["export", "moodle"], ["export", "marks"]]
MEASURED = """
import re, resource, sys
from autograder.__main__ import main
code = main(sys.argv[1:])
own = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])  # ru_maxrss begins at the parent's
print("PEAK", max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


class Said(NamedTuple):
    """What a command printed, its exit code, and the most memory that one of its processes had, in kilobytes."""

    code: int
    text: str
    peak: int
    seconds: float


@pytest.fixture(scope="module")
def course(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Said]]:
    """The class, handed in, graded twice, given back and exported."""
    folder = tmp_path_factory.mktemp("course")
    hand_in_all(folder / "in")
    (folder / "seed.txt").write_text(SEED, encoding="utf-8")
    (folder / "marks.csv").write_text("student,question,score,comment\nann,written_1a_i,3,Fine.\n", encoding="utf-8")
    said = []
    for command in COMMANDS:
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-c", MEASURED, *command], cwd=folder, capture_output=True)
        text = (done.stdout + done.stderr).decode()
        peak = int(re.findall(r"PEAK (\d+)", text)[-1])
        said.append(Said(done.returncode, text, peak, time.monotonic() - start))
        print(command, *said[-1], sep="\n")
    return folder, said


def test_every_command_goes_on_to_its_end(course: tuple[Path, list[Said]]) -> None:
    folder, said = course
    assert [each.code for each in said] == [0] * len(COMMANDS)
    assert len(ANSWERS) + len(FILES) + len(NAMES) >= 60
    with open(folder / "grades" / "grades.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    students = {row["student"] for row in rows}
    assert len(students) == len(list((folder / "in").iterdir())) - 2  # but for .hidden and the loose file
    assert len(list((folder / "grades" / "feedback").iterdir())) == len(students)
    assert max(len(row["message"]) for row in rows) <= 600


def test_the_others_are_graded_as_if_alone(course: tuple[Path, list[Said]], box: Sandbox) -> None:
    folder, _ = course
    for name in HONEST:
        alone, _, _ = grade.grade_folder(folder / "in" / name / "explore_Adam", name, SEED, box, {})
        with open(folder / "grades" / "grades.csv", encoding="utf-8", newline="") as file:
            found = [row for row in csv.DictReader(file) if row["student"] == name]
        expected = grade.rows(name, alone, confined=True)
        assert [(row["question"], row["message"]) for row in found] == [(row.question, row.message) for row in expected]
    assert {row.score for row in expected if row.question == "sgdw"} == {6.0}


@pytest.mark.parametrize("part", ["answers", "the other answers of who attacks with one"])
def test_an_attack_costs_its_own_answer_alone(course: tuple[Path, list[Said]], part: str) -> None:
    with open(course[0] / "grades" / "grades.csv", encoding="utf-8", newline="") as file:
        rows = {(row["student"], row["question"]): row for row in csv.DictReader(file)}
    for student, answers in ANSWERS.items():
        for question in RIGHT:
            row = rows[student, question]
            if part == "answers" and question in answers:
                assert float(row["score"]) < float(row["max_score"]), row
            elif part != "answers" and question not in answers and student != "an endless loop at once":
                assert row["message"] == "Right.", row


def test_nothing_that_is_written_or_printed_holds_a_control_character(course: tuple[Path, list[Said]]) -> None:
    folder, said = course
    for path in [path for path in (folder / "grades").rglob("*") if path.is_file()]:
        text = path.read_bytes().decode()
        assert not (found := CONTROL.search(text)), (path, text[found.start() - 40 : found.end()])
        assert not CONTROL.search(path.name), path
        assert len(text) < 5_000_000, path
        assert b"\r" not in path.read_bytes().replace(b"\r\n", b""), path
    for each in said:
        assert not CONTROL.search(re.sub(r"\x1b\[A", "", each.text)), each  # of the progress bar


def test_grading_has_bounds(course: tuple[Path, list[Said]]) -> None:
    _, said = course
    assert max(each.peak for each in said) < PEAK


def test_the_journal_does_not_grow_at_a_rerun(course: tuple[Path, list[Said]]) -> None:
    folder, said = course
    journal = (folder / "grades" / "journal.jsonl").read_bytes()
    assert journal.isascii()
    lines = journal.splitlines()
    keys = [line[:70] for line in lines]
    assert len(lines) == len(set(keys)) == journal.count(b"\n")
    assert said[1].seconds < said[0].seconds / 2  # the second run found what the first had kept


def test_who_was_passed_over_is_named(course: tuple[Path, list[Said]]) -> None:
    text = (course[0] / "grades" / "attention.csv").read_text(encoding="utf-8")
    for name in (".hidden", "a loose file.ipynb"):
        assert f"{name},,passed over" in text
    for name in ("ann", "ANN", "ann ", "\u00e9va", "e\u0301va"):
        assert re.search(rf'^{name},,"?easily taken for ', text, re.MULTILINE), name


def test_a_submission_has_a_budget_of_time(box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is used up, nothing more is run, and what is left is not graded, at a rerun too."""
    monkeypatch.setattr(grade, "SECONDS", 0.0)
    found, keys = grade.grade(submission(tmp_path, notebook(RIGHT)), "sleeper", SEED, box, {}, True)
    late = [name for name, finding in found.items() if finding.message.startswith("not run:")]
    assert sorted(late) == sorted(RIGHT)
    assert {found[name].status for name in late} == {"not graded"}
    assert set(late) <= set(keys)  # a rerun says the same
