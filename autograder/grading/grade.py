"""From what a student handed in to scores and sentences.

For each question fresh inputs are drawn here, the student's function is called on them in the sandbox,
and what comes back is compared here.  The inputs depend on a secret seed, the student and the
question alone, so that grading again gives the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

from adamw_pset.checks import run_answer, verdicts
from adamw_pset.checks.verdicts import judge, single
from autograder.assignment.questions import ALL, Question
from autograder.assignment.worked_numbers import fresh
from autograder.grading import public_example
from autograder.grading.finding import BANNER, BY_HAND, GRADED, NOT_GRADED, Finding, Row
from autograder.grading.journal import journal_key
from autograder.grading.seed import inputs_seed
from autograder.grading.submission import NotReadable, Submission, find, read
from autograder.sandbox.sandbox import Sandbox, SandboxError

SECONDS = 60.0  # for the answers of a submission: right ones take less than one, even on a busy machine
NOT_YET = Finding(NOT_GRADED, "sandbox", "this answer was not graded: run the command once more.")
TOO_LONG = Finding(NOT_GRADED, "", f"not run: the answers before it took the {SECONDS:g} seconds of a submission.")


def grade_folder(
    folder: Path, student: str, seed: str, box: Sandbox | None, journal: Mapping[str, Finding], confined: bool = True
) -> tuple[dict[str, Finding], dict[str, str], Submission | None]:
    """Grade what lies in the ``folder`` of a student: findings by question, journal keys, the submission.

    Findings that ``journal`` has under their key are taken from there; without a ``box``, all are.
    """
    try:
        path, notes = find(folder)
        submission = read(path)
    except NotReadable as error:
        return {question.name: Finding(NOT_GRADED, "", f"{error}.") for question in ALL}, {}, None
    submission = Submission(submission.cells, (*notes, *submission.notes), submission.pictures)
    return *grade(submission, student, seed, box, journal, confined), submission


def grade(
    submission: Submission, student: str, seed: str, box: Sandbox | None, journal: Mapping[str, Finding], confined: bool
) -> tuple[dict[str, Finding], dict[str, str]]:
    """Findings and journal keys by question."""
    findings, keys = {}, {}
    digest = submission.digest()
    deadline = time.monotonic() + SECONDS
    for question in ALL:
        if question.kind == "written":
            findings[question.name] = written(question, submission)
            continue
        number = inputs_seed(seed, student, question.name)
        key = journal_key(question, digest, number, confined)
        finding = journal.get(key)
        if finding is None and time.monotonic() > deadline:
            finding = TOO_LONG
        if finding is None:
            finding = _alone(question, submission, number, box) if box else NOT_YET
        findings[question.name] = finding
        if finding.mistake != "sandbox":
            keys[question.name] = key
    return findings, keys


def _alone(question: Question, submission: Submission, number: int, box: Sandbox) -> Finding:
    """``in_sandbox``; an error of ours costs no other answer anything."""
    try:
        return in_sandbox(question, submission, number, box)
    except Exception as error:
        return Finding(NOT_GRADED, "sandbox", f"the grader itself failed on this answer: {type(error).__name__}.")


def in_sandbox(question: Question, submission: Submission, number: int, box: Sandbox) -> Finding:
    """What the answer to a code question does on the inputs drawn from ``number``."""
    inputs = question.inputs(number)
    try:
        with box.answer(submission.code(), question.name, submission.own(question.name)) as answer:
            if answer.ambiguous:
                cells = ", ".join(map(str, answer.ambiguous))
                return Finding(
                    NOT_GRADED, "", f"{question.name} is defined in cells {cells}, in different ways: which counts?"
                )
            if answer.missing is not None:
                return _missing(question, submission, answer.missing)
            seen = run_answer.observe(question.kind, inputs, answer.value)
    except SandboxError as error:
        return Finding(NOT_GRADED, "sandbox", f"the sandbox failed, grade again: {error}.")
    except run_answer.Stopped as stop:
        seen = run_answer.Observation([], stop.event)
    verdict = judge(fresh(question, inputs) | {"hidden": True}, seen)
    if not verdict.mistake:
        return Finding(GRADED, "", "Right.")
    shown = _on_example(question, submission, box) if seen.event is None else ""
    return Finding(GRADED, verdict.mistake, verdict.sentence, shown)


def _on_example(question: Question, submission: Submission, box: Sandbox) -> str:
    """What a wrong answer gives on the inputs of ``check``; "" if it does not come to numbers there.

    In a cell of its own: what the answer may have kept of the inputs that it was graded on is gone.
    """
    inputs = verdicts.numbers()["questions"][question.name]["inputs"]
    try:
        with box.answer(submission.code(), question.name, submission.own(question.name)) as answer:
            seen = run_answer.observe(question.kind, inputs, answer.value)
    except (SandboxError, run_answer.Stopped):
        return ""
    return public_example.seen_on_example(question.name, seen)


def _missing(question: Question, submission: Submission, errors: str) -> Finding:
    """No function of that name: open, if its cell is there; not graded, if its cell is gone as well."""
    if errors:
        return Finding(GRADED, "exception", f"{question.name} was not defined: {errors}.")
    if submission.own(question.name):
        return Finding(GRADED, "open", f"There is no {question.name} in the notebook: its cell defines none.")
    return Finding(
        NOT_GRADED, "", f"there is no {question.name} in the notebook, and the cell that asks for it is gone."
    )


def written(question: Question, submission: Submission) -> Finding:
    """A written answer waits for a person, unless nothing was written."""
    text = submission.written(question.name)
    if text is None:
        return Finding(NOT_GRADED, "", "no cell with this answer was found.")
    if not text:
        return Finding(GRADED, "open", "Nothing is written here.")
    repeated = len(submission.own(question.name)) > 1
    return Finding(BY_HAND, "", "Several cells carry this answer: read them all." if repeated else "")


def score(question: Question, finding: Finding) -> float | None:
    """The points of a finding, None unless it is graded: each mistake leaves its share of what the others leave."""
    if finding.status != GRADED:
        return None
    share = math.prod((question.credit.get(each, 0.0) for each in single(finding.mistake)), start=1.0)
    return round(share * question.points, 2)


def rows(student: str, findings: Mapping[str, Finding], confined: bool) -> list[Row]:
    """The lines of ``grades.csv`` for a student, in the order of the questions."""
    return [
        Row(
            student,
            question.name,
            score(question, findings[question.name]),
            question.points,
            findings[question.name].status,
            ("" if confined else BANNER) + " ".join(findings[question.name].message.split()),
        )
        for question in ALL
    ]
