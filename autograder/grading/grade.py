"""From what a student handed in to scores and sentences.

For each question fresh inputs are drawn here, the student's function is called on them in the sandbox,
and what comes back is compared here.  The inputs depend on a secret seed, the student and the
question alone, so that grading again gives the same.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from adamw_pset.checks import run_answer, verdicts
from adamw_pset.checks.run_answer import Input
from adamw_pset.checks.verdicts import judge, single
from autograder.assignment.questions import ALL, Question
from autograder.assignment.worked_numbers import fresh
from autograder.grading import public_example
from autograder.grading.finding import BANNER, BY_HAND, GRADED, NOT_GRADED, Finding, Row
from autograder.grading.journal import journal_key
from autograder.grading.readings import Look, Readings
from autograder.grading.seed import inputs_seed
from autograder.grading.submission import NotReadable, Submission, find, read
from autograder.sandbox.sandbox import Answer, Sandbox, SandboxError

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
    submission = replace(submission, notes=(*notes, *submission.notes))
    return *grade(submission, student, seed, box, journal, confined), submission


def grade(
    submission: Submission, student: str, seed: str, box: Sandbox | None, journal: Mapping[str, Finding], confined: bool
) -> tuple[dict[str, Finding], dict[str, str]]:
    """Findings and journal keys by question."""
    findings, keys, drawn = {}, {}, {}
    digest = submission.digest()
    for question in ALL:
        if question.kind == "written":
            findings[question.name] = written(question, submission)
            continue
        number = inputs_seed(seed, student, question.name)
        keys[question.name] = journal_key(question, digest, number, confined)
        finding = journal.get(keys[question.name])
        findings[question.name] = finding or NOT_YET
        if finding is None:
            drawn[question] = number
    if box and drawn:
        findings |= in_sandbox(submission, drawn, box)
    return findings, {name: key for name, key in keys.items() if findings[name].mistake != "sandbox"}


def in_sandbox(submission: Submission, drawn: Mapping[Question, int], box: Sandbox) -> dict[str, Finding]:
    """What the answers to code questions do, each on the inputs drawn from its number."""
    asked = {question.name: question for question in drawn}
    inputs = {question.name: question.inputs(number) for question, number in drawn.items()}
    deadline = time.monotonic() + SECONDS

    def judged(name: str, answer: Answer) -> Look:
        try:
            return _judged(asked[name], inputs[name], answer, submission)
        except SandboxError:
            raise
        except Exception as error:  # of ours, and costs no other answer anything
            reason = f"the grader itself failed on this answer: {type(error).__name__}."
            return Look(Finding(NOT_GRADED, "sandbox", reason), False)

    def example(name: str, answer: Answer) -> Look:
        worked = verdicts.numbers()["questions"][name]
        seen = _observed(worked["kind"], worked["inputs"], answer)
        return Look(Finding(GRADED, "shown", "", public_example.seen_on_example(name, seen)), seen.event is None)

    try:
        readings = Readings(submission, list(asked.values()), box, judged, deadline)
        findings = {}
        for name in asked:
            finding = readings.finding(name)
            findings[name] = _explained(finding, name, submission, readings) if finding else TOO_LONG
        wrong = [name for name in asked if findings[name].mistake and readings.gave(name)]
        if wrong:  # in another process: what an answer may have kept of the inputs that it was graded on is gone
            shown = Readings(submission, [asked[name] for name in wrong], box, example, deadline)
            for name in wrong:
                if look := shown.looks[name].get(readings.best(name)):
                    findings[name] = findings[name]._replace(example=look.finding.example)
    except SandboxError as error:
        return dict.fromkeys(asked, Finding(NOT_GRADED, "sandbox", f"the sandbox failed, grade again: {error}."))
    return findings


def _judged(question: Question, inputs: list[Input], answer: Answer, submission: Submission) -> Look:
    """What is to be said of an answer in one reading."""
    if answer.ambiguous:
        cells = ", ".join(map(str, answer.ambiguous))
        which = f"{question.name} is defined in cells {cells}, in different ways: which counts?"
        return Look(Finding(NOT_GRADED, "", which), False)
    if answer.missing is not None:
        return Look(_missing(question, submission, answer.missing), False)
    seen = _observed(question.kind, inputs, answer)
    verdict = judge(fresh(question, inputs) | {"hidden": True}, seen)
    if not verdict.mistake:
        return Look(Finding(GRADED, "", "Right."), True)
    return Look(Finding(GRADED, verdict.mistake, verdict.sentence), seen.event is None)


def _observed(kind: str, inputs: list[Input], answer: Answer) -> run_answer.Observation:
    try:
        return run_answer.observe(kind, inputs, answer.value)
    except run_answer.Stopped as stop:
        return run_answer.Observation([], stop.event)


def _missing(question: Question, submission: Submission, errors: str) -> Finding:
    """No function of that name: open, if its cell is there; not graded, if its cell is gone as well."""
    if errors:
        return Finding(GRADED, "exception", f"{question.name} was not defined: {errors}.")
    if submission.own(question.name):
        return Finding(GRADED, "open", f"There is no {question.name} in the notebook: its cell defines none.")
    return Finding(
        NOT_GRADED, "", f"there is no {question.name} in the notebook, and the cell that asks for it is gone."
    )


def _explained(finding: Finding, name: str, submission: Submission, readings: Readings) -> Finding:
    """A finding; in the place of an answer that came to no numbers, a question to a person where it may be right."""
    if finding.status == GRADED and finding.mistake in ("open", "exception"):
        if place := submission.outside_code(name):
            return Finding(NOT_GRADED, "", f"{name} stands in cell {place}, which is no code: a person has to look.")
        if finding.mistake == "exception" and readings.unread and submission.python > sys.version_info[:2]:
            theirs, ours = (".".join(map(str, version)) for version in (submission.python, sys.version_info[:2]))
            cells = ", ".join(map(str, readings.unread))
            reason = f"the notebook was written with Python {theirs}, and this one, {ours}, cannot read cell {cells}"
            return Finding(NOT_GRADED, "", f"{reason}: {finding.message}")
    if finding.mistake and readings.lacking:
        return finding._replace(note=f"what it needs may not be here: {readings.lacking}")
    return finding


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
