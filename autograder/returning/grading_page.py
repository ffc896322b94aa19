"""``grading.html``: the written answers of a class, by question, to be graded in a browser without a server.

Beside each answer stand the model answer and the rubric, whose items are clicked or pressed.  What was given is kept
in the browser and saved as ``marks.csv``.  Equal answers are read once; names are hidden until they are asked for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from tqdm import tqdm

from adamw_pset.files import write_whole
from autograder.assignment.places import NAME
from autograder.assignment.questions import ALL, Question
from autograder.grading import batch
from autograder.grading.batch import JOURNAL, grade_all
from autograder.grading.finding import BY_HAND
from autograder.grading.journal import read_journal
from autograder.grading.marks import Mark, read_marks
from autograder.grading.plain_text import name_of
from autograder.returning import graded_notebook
from autograder.returning.feedback import GENERATOR, PICTURES, WIDEST, environment, found_in_journal, prose_of
from autograder.returning.graded_notebook import Answer
from autograder.returning.safe_markdown import prose

GRADING = "grading.html"
ITEM = re.compile(r"(?P<what>.+?): (?P<limit>at most )?(?P<points>\d+(?:\.\d+)?)\.(?:\s+|$)")


class Rubric(NamedTuple):
    """The model answer to a written question, and what each part of it is worth."""

    model: str
    items: list[tuple[str, float]]
    limits: list[str]  # what a person should know beside them


def write_grading_page(
    submitted: Path, out: Path, seed: str, *, marks: Path | None, jobs: int, confined: bool, progress: bool = True
) -> int:
    """Write ``out/grading.html``; how many answers are to be read in it.

    What the journal of ``out`` does not have is graded first.  What ``marks`` says already is in the page.
    """
    given = read_marks(marks) if marks is not None else {}
    grade_all(submitted, out, seed, jobs=jobs, confined=confined, progress=progress)
    journal = read_journal(out / JOURNAL)
    groups: dict[tuple[str, Answer], list[str]] = {}
    for student in tqdm(batch.students(submitted), unit=" submissions", disable=not progress):
        findings, answers = found_in_journal(submitted / student / NAME, student, seed, confined, journal)
        for question in ALL:
            if question.kind == "written" and findings[question.name].status == BY_HAND:
                groups.setdefault((question.name, answers[question.name]), []).append(name_of(student))
    write_whole(out / GRADING, page(groups, given, seed))
    return len(groups)


def page(groups: Mapping[tuple[str, Answer], list[str]], given: Mapping[tuple[str, str], Mark], seed: str) -> str:
    """The page as HTML, from the students by question and answer; ``seed`` names the course in the browser's store."""
    questions = [_question(question, groups, given) for question in ALL if question.kind == "written"]
    course = hashlib.sha256(f"grading {seed}".encode()).hexdigest()[:16]
    here = {(student, name) for (name, _), who in groups.items() for student in who}
    others = [[*key, mark.score, mark.comment] for key, mark in given.items() if key not in here and not mark.changed]
    data = {"course": course, "questions": questions, "others": others}
    script = Path(__file__).with_name("templates").joinpath("grading.js").read_text(encoding="utf-8")
    return (
        environment()
        .get_template("grading.html")
        .render(
            generator=GENERATOR,
            data=Markup(json.dumps(data).replace("<", "\\u003c")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def rubric(question: str) -> Rubric:
    """The rubric in the model answer of the source: what, a colon, points, a full stop."""
    text = re.sub(r"^\*\*Model answer\.\*\*\s*", "", graded_notebook.model_answers()[question])
    model, _, text_of_rubric = text.partition("**Rubric.**")
    matches = list(ITEM.finditer(" ".join(text_of_rubric.split())))
    items = [(each["what"], float(each["points"])) for each in matches if not each["limit"]]
    return Rubric(model.strip(), items, [each[0].strip() for each in matches if each["limit"]])


def _question(
    question: Question, groups: Mapping[tuple[str, Answer], list[str]], given: Mapping[tuple[str, str], Mark]
) -> dict[str, Any]:
    model, items, limits = rubric(question.name)
    answers = sorted(_answers(question.name, groups, given), key=lambda answer: answer["key"])  # in no student's order
    return {
        "name": question.name,
        "title": question.title,
        "points": question.points,
        "model": prose(model),
        "items": items,
        "limits": limits,
        "answers": answers,
    }


def _answers(
    question: str, groups: Mapping[tuple[str, Answer], list[str]], given: Mapping[tuple[str, str], Mark]
) -> Iterator[dict[str, Any]]:
    for (name, answer), who in groups.items():
        if name != question:
            continue
        drawn = [graded_notebook.picture(image, WIDEST) for image in answer.pictures[:PICTURES]]
        html = prose_of(answer.text) or "<p class='faint'>Only pictures.</p>"
        by_mark = defaultdict(list)  # who has been given different marks for one answer keeps them
        for student in who:
            by_mark[given.get((student, question), Mark(None, ""))].append(student)
        for mark, students in by_mark.items():
            entry = (question, answer, *([mark] if len(by_mark) > 1 else []))
            yield {
                "key": hashlib.sha256(repr(entry).encode(errors="replace")).hexdigest()[:16],
                "students": students,
                "html": html,
                "pictures": [image for image in drawn if image],
                "score": mark.score,
                "comment": mark.comment,
            }
