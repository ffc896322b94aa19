"""From what a student handed in to scores and sentences.

For each question fresh inputs are drawn here, the student's function is called on them in the sandbox,
and what comes back is compared here.  The inputs depend on a secret seed, the student and the
question alone, so that grading again gives the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from adamw_pset import checks, observe
from adamw_pset.checks import judge
from adamw_pset.table import write_whole
from autograder import examples, mistakes, variants
from autograder.questions import ALL, Question
from autograder.sandbox import Sandbox, SandboxError
from autograder.submission import NotReadable, Submission, find, read
from autograder.worked_numbers import fresh

HERE = Path(__file__).resolve().parent
SEED_FILE = Path(os.environ.get("ADAMW_PSET_SEED_FILE", HERE / "seed.txt"))
GRADED, BY_HAND, NOT_GRADED = "graded", "needs manual grading", "not graded"
BANNER = "GRADED WITHOUT A SANDBOX. "


class Finding(NamedTuple):
    """What was found out about an answer: everything but its points."""

    status: str  # graded, needs manual grading or not graded
    mistake: str = ""  # its id; "" if there is none
    message: str = ""
    example: str = ""  # what it gives on the public example of check, from examples.py


class Row(NamedTuple):
    """A line of ``grades.csv``; ``score`` is None unless the status is "graded"."""

    student: str
    question: str
    score: float | None
    max_score: float
    status: str
    message: str


def secret_seed() -> str:
    """The course's seed, from ``seed.txt``; made at the first use.  Keep it, and keep it to yourself."""
    if not SEED_FILE.exists():
        write_whole(SEED_FILE, secrets.token_hex(16) + "\n")
    return SEED_FILE.read_text(encoding="utf-8").strip()


def inputs_seed(seed: str, student: str, question: str) -> int:
    """The number that the inputs for this student's answer are drawn from."""
    text = "\n".join((seed, student, question))
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogateescape")).digest()[:8])


def grade_folder(
    folder: Path, student: str, seed: str, box: Sandbox, journal: Mapping[str, Finding]
) -> tuple[dict[str, Finding], dict[str, str], Submission | None]:
    """Grade what lies in the ``folder`` of a student: findings by question, journal keys, the submission.

    Findings that ``journal`` has under their key are taken from there.
    """
    try:
        path, notes = find(folder)
        submission = read(path)
    except NotReadable as error:
        return {question.name: Finding(NOT_GRADED, "", f"{error}.") for question in ALL}, {}, None
    submission = Submission(submission.cells, (*notes, *submission.notes), submission.pictures)
    return *grade(submission, student, seed, box, journal), submission


def grade(
    submission: Submission, student: str, seed: str, box: Sandbox, journal: Mapping[str, Finding]
) -> tuple[dict[str, Finding], dict[str, str]]:
    """Findings and journal keys by question."""
    findings, keys = {}, {}
    digest = submission.digest()
    for question in ALL:
        if question.kind == "written":
            findings[question.name] = written(question, submission)
            continue
        number = inputs_seed(seed, student, question.name)
        key = journal_key(question, digest, number, box.confined)
        finding = journal.get(key)
        if finding is None:
            finding = in_sandbox(question, submission, number, box)
        findings[question.name] = finding
        if finding.mistake != "sandbox":
            keys[question.name] = key
    return findings, keys


def in_sandbox(question: Question, submission: Submission, number: int, box: Sandbox) -> Finding:
    """What the answer to a code question does on the inputs drawn from ``number``."""
    inputs = question.inputs(number)
    try:
        with box.answer(submission.code(), question.name, submission.own(question.name)) as answer:
            if answer.ambiguous:
                cells = ", ".join(map(str, answer.ambiguous))
                return Finding(
                    NOT_GRADED,
                    "",
                    f"{question.name} is defined in cells {cells}, in different ways: which counts?",
                )
            if answer.missing is not None:
                return _missing(question, submission, answer.missing)
            seen = observe.observe(question.kind, inputs, answer.value)
    except SandboxError as error:
        return Finding(NOT_GRADED, "sandbox", f"the sandbox failed, grade again: {error}.")
    except observe.Stopped as stop:
        seen = observe.Observation([], stop.event)
    verdict = judge(fresh(question, inputs) | {"hidden": True}, seen)
    if not verdict.mistake:
        return Finding(GRADED, "", "Right.")
    shown = _on_example(question, submission, box) if seen.event is None else ""
    sentence = verdict.sentence.encode(errors="replace").decode()  # an error may quote half a character
    return Finding(GRADED, verdict.mistake, sentence, shown)


def _on_example(question: Question, submission: Submission, box: Sandbox) -> str:
    """What a wrong answer gives on the inputs of ``check``; "" if it does not come to numbers there.

    In a cell of its own: what the answer may have kept of the inputs that it was graded on is gone.
    """
    inputs = checks.numbers()["questions"][question.name]["inputs"]
    try:
        with box.answer(submission.code(), question.name, submission.own(question.name)) as answer:
            seen = observe.observe(question.kind, inputs, answer.value)
    except (SandboxError, observe.Stopped):
        return ""
    return examples.seen_on_example(question.name, seen)


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
    """The points of a finding; None unless it is graded."""
    if finding.status != GRADED:
        return None
    share = question.credit.get(finding.mistake, 0.0) if finding.mistake else 1.0
    return round(share * question.points, 2)


def rows(student: str, findings: Mapping[str, Finding], confined: bool) -> list[Row]:
    """The lines of ``grades.csv`` for a student, in the order of the questions."""
    return [
        Row(
            student, question.name, score(question, findings[question.name]), question.points,
            findings[question.name].status,
            ("" if confined else BANNER) + " ".join(findings[question.name].message.split()),
        )
        for question in ALL
    ]  # fmt: skip


# --- what a finding depends on -------------------------------------------------------------------


def journal_key(question: Question, digest: str, number: int, confined: bool) -> str:
    """A hash of all that a finding depends on: the code, the inputs, the question, the way it is judged.

    Points and credit are not among it: a score is worked out anew from the finding.
    """
    parts = (
        question.name,
        question.kind,
        question.parts,
        digest,
        number,
        confined,
        _judged_by(question.name),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@cache
def _judged_by(name: str) -> str:
    """The inputs and answers of one draw, the question's mistakes, and the code that sees and judges."""
    question = next(question for question in ALL if question.name == name)
    inputs = question.inputs(0)
    expected = observe.observe(question.kind, inputs, question.reference)
    known = [(entry.id, entry.sentence, source) for entry, _, source in mistakes.known(name)]
    general = [entry.sentence for entry in mistakes.CATALOGUE if not entry.variants]
    files = [Path(str(module.__file__)) for module in (observe, checks, variants, examples)]
    files += [HERE / name for name in ("worker.py", "jail.py", "wire.py", "sandbox.py", "room.py")]
    code = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    public = checks.numbers()["questions"][name]["inputs"]
    return json.dumps([inputs, repr(expected), known, general, code, public], default=str)
