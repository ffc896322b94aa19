"""Grades a folder of submissions: in parallel, journalled, the same at any number of jobs."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from adamw_pset.files import named, write_whole
from autograder.assignment.answer_sources import textbook
from autograder.assignment.places import NAME
from autograder.assignment.questions import ALL
from autograder.grading.finding import LONGEST, NOT_GRADED, Finding, Row
from autograder.grading.grade import grade_folder, rows
from autograder.grading.journal import claim, journalled, read_journal
from autograder.grading.plain_text import alike, name_of, one_line
from autograder.grading.spreadsheet import safe, written
from autograder.grading.submission import Submission
from autograder.sandbox.pool import in_jobs
from autograder.sandbox.sandbox import Sandbox

JOURNAL, GRADES, ATTENTION = "journal.jsonl", "grades.csv", "attention.csv"
RARE = 3  # so many submissions may share an odd answer and still be pointed out as alike


class Graded(NamedTuple):
    """What came of one submission."""

    folder: str
    findings: dict[str, Finding]
    new: dict[str, Finding]  # by key: what the journal does not have yet
    notes: list[tuple[str, str]]  # (question or "", what a person should know)
    answers: dict[str, str]  # a hash of the cells that hold an answer of the student's own making

    @property
    def student(self) -> str:
        """The name that is shown."""
        return name_of(self.folder)


def students(submitted: Path) -> list[str]:
    """The students of a folder in nbgrader's layout; raises ``ValueError`` if there are none."""
    if not submitted.is_dir():
        raise ValueError(f"{submitted} is not a folder: give the one that holds <student>/{NAME}/{NAME}.ipynb")
    names = sorted(entry.name for entry in submitted.iterdir() if entry.is_dir() and not _passed_over(entry))
    if not names:
        raise ValueError(f"there are no students' folders in {submitted}: <student>/{NAME}/{NAME}.ipynb")
    return names


def _passed_over(entry: Path) -> bool:
    """Whether an entry of the folder of submissions is no student's."""
    return not entry.is_dir() or entry.name == "__MACOSX" or (entry.name[0] == "." and not (entry / NAME).is_dir())


def grade_all(
    submitted: Path, out: Path, seed: str, *, jobs: int = 1, confined: bool = True, progress: bool = True
) -> list[Row]:
    """Grade every submission of ``submitted`` and write ``grades.csv`` and ``attention.csv`` to ``out``.

    What was found is kept in ``journal.jsonl`` as soon as it is known: run again, only what has
    changed is graded.  Raises ``ValueError`` for a folder without submissions, and for an ``out`` that
    another run is writing to.
    """
    names = students(submitted)
    out.mkdir(parents=True, exist_ok=True)
    graded = {}
    with open(out / JOURNAL, "a", encoding="ascii") as file:
        claim(file, out)
        work = _results(submitted, names, seed, read_journal(out / JOURNAL), jobs, confined)
        for result in tqdm(work, total=len(names), unit=" submissions", disable=not progress):
            with named(out / JOURNAL):
                file.write(journalled(result.new))
                file.flush()
            graded[result.folder] = result
        in_order = [graded[name] for name in names]
        table = [row for each in in_order for row in rows(each.student, each.findings, confined)]
        write_whole(out / GRADES, grades_csv(table))
        odd = sorted([*attention(in_order), *_odd_folders(submitted, names)])
        write_whole(
            out / ATTENTION, written([("student", "question", "what"), *([safe(cell) for cell in row] for row in odd)])
        )
    return table


def grades_csv(table: Iterable[Row]) -> str:
    """``grades.csv``: a line a student and question; the score is empty where there is none."""
    lines = [["" if cell is None else safe(cell) for cell in row] for row in table]
    return written([Row._fields, *lines])


def attention(graded: Sequence[Graded]) -> list[tuple[str, str, str]]:
    """What a person should look at: (student, question, what); nothing of it changes a score."""
    lines = [(each.student, question, one_line(what, LONGEST)) for each in graded for question, what in each.notes]
    shared: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in graded:
        for question, text in each.answers.items():
            shared[question, text].append(each.student)
    for (question, _), who in shared.items():
        if 1 < len(who) <= RARE:
            lines += [(one, question, f"the same cell as {_others(one, who)}") for one in who]
    return sorted(lines)


def _odd_folders(submitted: Path, names: Sequence[str]) -> list[tuple[str, str, str]]:
    """What was passed over, and names that a person, or another system, may take for one another."""
    others = [entry.name for entry in submitted.iterdir() if _passed_over(entry)]
    lines = [(name_of(name), "", "passed over: it is no student's folder") for name in others]
    similar: dict[str, list[str]] = defaultdict(list)
    for name in names:
        similar[alike(name)].append(name_of(name))
    for who in similar.values():
        if len(who) > 1:
            lines += [(one, "", f"easily taken for {_others(one, who)}: names are kept apart here") for one in who]
    return lines


def overview(table: Sequence[Row]) -> str:
    """A few lines for the screen: how many were graded, the mean of each question, the common mistakes."""
    names = {row.student for row in table}
    failed = {row.student for row in table if row.status == NOT_GRADED}
    lines = [f"{len(names)} submissions; {len(failed)} with something that could not be graded.", ""]
    for question in ALL:
        rows = [row for row in table if row.question == question.name]
        scores = [row.score for row in rows if row.score is not None]
        mean = f"{sum(scores) / len(scores):5.2f} of {question.points:2}" if scores else "          "
        if question.kind == "written":
            waiting = sum(row.score is None and row.status != NOT_GRADED for row in rows)
            lines.append(f"{question.name:26}{waiting} to be graded by hand")
            continue
        common = Counter(row.message for row in rows if row.score is not None and row.score < question.points)
        most = common.most_common(1)
        often = f"   {most[0][1]} x {most[0][0][:70]}" if most else ""
        lines.append(f"{question.name:26}{mean}{often}")
    return "\n".join(lines)


# --- the work ------------------------------------------------------------------------------------------


def _results(
    submitted: Path, names: Sequence[str], seed: str, journal: Mapping[str, Finding], jobs: int, confined: bool
) -> Iterator[Graded]:
    """What comes of each submission, in the order in which they are done."""
    folders = [submitted / name / NAME for name in names]
    if jobs == 1:
        with Sandbox(confined) as box:
            for folder in folders:
                yield _grade(seed, journal, box, folder)
    else:
        yield from in_jobs(jobs, partial(Sandbox, confined), partial(_grade, seed, journal), folders)


def _grade(seed: str, journal: Mapping[str, Finding], box: Sandbox, folder: Path) -> Graded:
    """Grade one folder; an error of ours costs no one a point and does not end the batch."""
    student = folder.parent.name
    try:
        findings, keys, submission = grade_folder(folder, student, seed, box, journal, box.confined)
        new = {key: findings[question] for question, key in keys.items() if key not in journal}
    except Exception as error:
        print(one_line(f"{student}: {type(error).__name__}: {error}"), file=sys.stderr)
        reason = f"the grader itself failed on this submission: {type(error).__name__}."
        return Graded(student, {q.name: Finding(NOT_GRADED, "", reason) for q in ALL}, {}, [("", reason)], {})
    notes = [("", f.message) for f in dict.fromkeys(findings.values()) if f.status == NOT_GRADED]
    notes += [(question, finding.message) for question, finding in findings.items() if finding.mistake == "off_limits"]
    notes += [(question, finding.note) for question, finding in findings.items() if finding.note]
    if submission is None:
        return Graded(student, findings, new, notes, {})
    notes += [("", note) for note in submission.notes]
    return Graded(student, findings, new, notes, _answers(submission))


def _answers(submission: Submission) -> dict[str, str]:
    answers, asked = {}, {question.name for question in ALL}
    for kind, _, text in submission.cells:
        for name in re.findall(r"^def +(\w+)", text, re.MULTILINE) if kind == "code" else ():
            lines = _lines(text)
            if name in asked and len(lines) > 60 and lines != _lines(textbook(name)):
                answers[name] = hashlib.sha256(lines.encode(errors="surrogatepass")).hexdigest()
    return answers


def _lines(text: str) -> str:
    return "\n".join(each.rstrip() for each in text.splitlines() if each.strip())


def _others(student: str, who: Sequence[str]) -> str:
    return ", ".join(other for other in who if other != student)
