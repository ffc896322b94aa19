"""The page that a student gets back: points, the sentence for each mistake, a picture, what a person wrote.

``page`` makes it, from what any grader found; ``give_back`` for a class from the journal of ``grade``,
``nbgrader_steps`` from a gradebook.  A page is one file without a script, a link outside or a hidden number.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tqdm import tqdm

from adamw_pset.files import write_whole
from autograder.assignment.places import NAME
from autograder.assignment.questions import ALL, Question
from autograder.grading import public_example
from autograder.grading.batch import JOURNAL, grade_all, students
from autograder.grading.finding import BANNER, BY_HAND, NOT_GRADED, Finding
from autograder.grading.grade import grade_folder, score
from autograder.grading.journal import read_journal
from autograder.grading.marks import CHANGED, Mark, matched, read_marks, read_penalties
from autograder.grading.plain_text import name_of, visible
from autograder.grading.public_example import PASSES, Example
from autograder.returning import graded_notebook, svg
from autograder.returning.graded_notebook import Answer
from autograder.returning.safe_markdown import prose

PAGES, GENERATOR = "feedback", "adamw_pset feedback"
WIDEST, PICTURES = 800, 10  # pixels of a picture, pictures of an answer: a phone has to load them
LONGEST = 120  # bytes of a file name that is the student's; the rest is a hash


class Part(NamedTuple):
    """A question on a student's page."""

    question: Question
    finding: Finding
    answer: Answer
    score: float | None  # None: not graded, or a person has not read it yet
    points: float
    comment: str = ""  # of a person


class Returned(NamedTuple):
    """A student, as the class report needs to know: file name of the page, and what is on it."""

    student: str
    file: str
    parts: list[Part]
    penalty: float = 0.0  # taken off the total for handing in late


def give_back(
    submitted: Path,
    out: Path,
    seed: str,
    *,
    marks: Path | None = None,
    jobs: int = 1,
    confined: bool = True,
    progress: bool = True,
) -> list[Returned]:
    """Write ``out/feedback/<student>.html`` for every submission, from the journal of ``out``.

    What the journal does not have is graded first.  ``marks`` holds scores and comments given by hand, and
    as a gradebook what is taken off for handing in late.
    Pages of students who are gone are removed.
    """
    names = students(submitted)
    given, notes = matched(read_marks(marks) if marks is not None else {}, {name_of(name) for name in names})
    penalties = read_penalties(marks) if marks is not None else {}
    grade_all(submitted, out, seed, jobs=jobs, confined=confined, progress=progress)
    journal = read_journal(out / JOURNAL)
    folder = out / PAGES
    back = []
    for name in tqdm(names, unit=" pages", disable=not progress):
        student = name_of(name)
        in_journal = found_in_journal(submitted / name / NAME, name, seed, confined, journal)
        penalty = penalties.get(student, 0.0)
        back.append(Returned(student, file_name(student), list(parts(student, *in_journal, given)), penalty))
        write_whole(folder / back[-1].file, page(student, back[-1].parts, penalty=penalty, confined=confined))
    _remove_stale(folder, {each.file for each in back})
    for note in notes:
        print(note, file=sys.stderr)
    return back


def parts(
    student: str, findings: Mapping[str, Finding], answers: Mapping[str, Answer], marks: Mapping[tuple[str, str], Mark]
) -> Iterator[Part]:
    """The questions of a student's page; a score given by hand goes before ours."""
    for question in ALL:
        finding = findings[question.name]
        mark = marks.get((student, question.name), Mark(None, ""))
        if mark.changed:
            finding = Finding(BY_HAND, "", CHANGED)
        points = score(question, finding) if mark.score is None else mark.score
        yield Part(question, finding, answers[question.name], points, question.points, mark.comment)


def page(student: str, parts: Sequence[Part], *, penalty: float = 0.0, confined: bool = True) -> str:
    """A student's page as HTML, the same for the same arguments."""
    reasons = {part.finding.message for part in parts}
    lost = all(part.finding.status == NOT_GRADED and part.score is None for part in parts)
    return (
        environment()
        .get_template("feedback.html")
        .render(
            generator=GENERATOR,
            student=name_of(student),
            banner="" if confined else visible(BANNER),
            unread=visible(_sentence(reasons.pop())) if lost and len(reasons) == 1 else "",
            total=_total(parts, penalty),
            penalty=f"{penalty:g}" if penalty else "",
            parts=[_shown_alone(part) for part in parts],
            frame=svg,
        )
    )


def file_name(student: str) -> str:
    """The name of a student's page: ``<student>.html``; a name too long for a file ends in a hash."""
    name = name_of(student)
    raw = name.encode()
    if len(raw) <= LONGEST:
        return f"{name}.html"
    return f"{raw[:LONGEST].decode(errors='ignore')}-{hashlib.sha256(raw).hexdigest()[:16]}.html"


@cache
def environment() -> Environment:
    """The templates; what is put into them is escaped."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )


# --- a class -------------------------------------------------------------------------------------------


def found_in_journal(
    folder: Path, student: str, seed: str, confined: bool, journal: Mapping[str, Finding]
) -> tuple[dict[str, Finding], dict[str, Answer]]:
    """What the journal has on a student, and the answers."""
    findings, _, submission = grade_folder(folder, student, seed, None, journal, confined)
    if submission is None:
        return findings, {question.name: Answer() for question in ALL}
    return findings, graded_notebook.answers(submission)


def _remove_stale(folder: Path, current: set[str]) -> None:
    """Remove the pages that an earlier run made for students who are gone; nothing else."""
    for path in folder.glob("*.html"):
        if path.name not in current and f'content="{GENERATOR}"'.encode() in path.read_bytes()[:2000]:
            path.unlink()


# --- a page --------------------------------------------------------------------------------------------


def _total(parts: Sequence[Part], penalty: float) -> dict[str, Any]:
    scored = [part for part in parts if part.score is not None]
    waiting = sum(part.points for part in parts if part.score is None and part.finding.status != NOT_GRADED)
    missing = sum(part.points for part in parts if part.score is None and part.finding.status == NOT_GRADED)
    total = max(0.0, sum(part.score or 0.0 for part in scored) - penalty)
    return {
        "score": f"{round(total, 2):g}",
        "points": f"{sum(part.points for part in scored):g}",
        "open": waiting or missing,
        "waiting": f"{waiting:g}" if waiting else "",
        "missing": f"{missing:g}" if missing else "",
    }


def _shown_alone(part: Part) -> dict[str, Any]:
    """``_shown``; an answer or a comment that cannot be shown costs the rest of the page nothing."""
    try:
        return _shown(part)
    except Exception as error:
        reason = f"What was written here could not be shown ({type(error).__name__})."
        bare = part.finding._replace(example="")
        return _shown(part._replace(answer=Answer(), comment="", finding=bare)) | {"comment": reason}


def _shown(part: Part) -> dict[str, Any]:
    """A question as the template takes it."""
    question = part.question
    code = question.kind != "written"
    kind, sign, short, long, sentence = _standing(part)
    text = visible(part.answer.text)
    images = [graded_notebook.picture(image, WIDEST) for image in part.answer.pictures[:PICTURES]]
    return {
        "id": question.name,
        "title": question.title,
        "code": code,
        "kind": kind,
        "sign": sign,
        "short": short,
        "long": long,
        "said": visible(sentence),
        "comment": prose(part.comment) if part.comment.strip() else "",
        "lines": text.rstrip().split("\n") if code and text.strip() else [],
        "prose": "" if code else prose_of(part.answer.text),
        "pictures": list(filter(None, images)),
    } | _picture(part)


def _standing(part: Part) -> tuple[str, str, str, str, str]:
    """Kind, sign, points in few and in more words, and what is to be said."""
    finding, points = part.finding, f"{part.points:g}"
    sentence = finding.message
    if part.score is not None:
        kind = "right" if part.score >= part.points else "part" if part.score > 0 else "none"
        sign = {"right": "✓", "part": "◐", "none": "✗"}[kind]
        short = f"{part.score:g} of {points}"
        if part.finding.status == NOT_GRADED:
            sentence = ""  # a person has graded it since
        return kind, sign, short, f"{short} points", sentence
    if finding.status == NOT_GRADED:
        return (
            "missing",
            "–",
            "not graded",
            f"Not graded, {points} points",
            f"{_sentence(sentence)} This is not a zero.",
        )
    return "waits", "…", f"waiting, {points}", f"Waiting for a person, {points} points", sentence


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def prose_of(text: str) -> Any:
    return prose(re.sub(r"!\[[^]\[\n]{0,99}\] \(attachment:[^)\n]{0,99}\)", "(picture)", text)) if text.strip() else ""


# --- the public example --------------------------------------------------------------------------------


def _picture(part: Part) -> dict[str, Any]:
    """What the answer gives on the example of ``check``: a path beside the right one, or a value."""
    nothing: dict[str, Any] = {"plot": None, "value": "", "example": ""}
    question = part.question
    if part.finding.example == PASSES:
        sentence = (
            visible(part.finding.message)
            + "\nOn the example of check your numbers are right; on other inputs they are not."
        )
        return nothing | {"said": sentence}
    example = public_example.read_example(part.finding.example)
    if example is None:
        return nothing
    given = _settings(question.name, example)
    if question.kind != "rule":
        value = "\n".join("  ".join(_number(each) for each in row) for row in example.values)
        return nothing | {"value": value, "example": given}
    right, yours = public_example.right_path(question.name, example)
    rows = [(step, svg.number(a), svg.number(b)) for step, (a, b) in enumerate(zip(right, yours, strict=True))]
    alt = f"Two paths over {len(right) - 1} steps, right and yours; their numbers are in the table."
    return nothing | {
        "plot": svg.paths(right, yours),
        "rows": rows,
        "alt": alt,
        "example": given,
        "coordinate": example.coordinate + 1,
    }


def _settings(question: str, example: Example) -> str:
    """The small inputs of an example, as a student would call with them."""
    inputs = public_example.inputs_of(question, example)
    named = inputs.get("hyper", inputs)
    return ", ".join(f"{name} = {value:g}" for name, value in named.items() if isinstance(value, int | float))


def _number(value: float | None) -> str:
    return "not finite" if value is None else svg.number(value)
