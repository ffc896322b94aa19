"""Our steps of nbgrader's commands: they make, grade and give back explore_Adam.

``nbgrader autograde`` first reads a submission through ``Rebuild``, which grades it in the sandbox and puts
the answers into the released notebook, and then hands that to ``SaveGrades``, which writes scores and
sentences to the gradebook.  No code of a student runs in nbgrader's own processes.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from nbconvert.exporters import Exporter, NotebookExporter
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import AssignLatePenalties, CheckCellMetadata, GetGrades, SaveAutoGrades, SaveCells
from nbgrader.utils import parse_utc
from traitlets.config.loader import Config

from adamw_pset.files import write_whole
from autograder.assignment.build import STEPS, generate_config
from autograder.assignment.places import NAME
from autograder.assignment.questions import QUESTIONS
from autograder.grading.batch import JOURNAL
from autograder.grading.finding import GRADED, Finding
from autograder.grading.grade import grade_folder, score
from autograder.grading.journal import read_journal
from autograder.grading.marks import read_marks
from autograder.grading.seed import secret_seed
from autograder.returning import feedback
from autograder.returning.graded_notebook import answers_in, rebuilt
from autograder.sandbox.sandbox import Sandbox, missing

COLLECTED = ("timestamp.txt", "submission_secret.txt")  # of the exchange: release_feedback needs them by the page
SEEN = "answers_seen.json"  # beside the gradebook: a hash of each answer as it was graded last


@contextmanager
def our_settings(converter: Any) -> Iterator[None]:
    """Our exporter and steps in the place of the course's; nbgrader's server keeps converter and folder for others."""
    settings: dict[str, Any] = {}
    if isinstance(converter, GenerateAssignment):
        config = generate_config()
        config.Exporter.default_preprocessors = []
        settings["exporter"] = NotebookExporter(parent=converter, config=config)
        steps = [SaveAskedCells if step is SaveCells else step for step in STEPS]
    elif isinstance(converter, GenerateFeedback):
        settings["exporter"] = FeedbackPage(parent=converter, config=_course_config(converter))
        steps = [GetGrades]
    else:
        settings["exporter"] = Rebuild(parent=converter, config=_course_config(converter))
        steps = []
        settings["sanitize_preprocessors"] = []
        settings["autograde_preprocessors"] = [SaveGrades, AssignLatePenalties, CheckCellMetadata]
        for notebooks in converter.assignments.values():
            _expect(notebooks)
            _set_aside_no_time(Path(notebooks[0]).with_name("timestamp.txt"))
    for step in steps:
        settings["exporter"].register_preprocessor(step)
    before = {name: getattr(converter, name) for name in settings}
    ignored = converter.coursedir.ignore
    try:
        for name, value in settings.items():
            setattr(converter, name, value)
        if isinstance(converter, Autograde):
            converter.coursedir.ignore = ["*"]  # of what else was handed in, nbgrader copies nothing
        yield
    finally:
        converter.coursedir.ignore = ignored
        for name, value in before.items():
            setattr(converter, name, value)


def _course_config(converter: Any) -> Config:
    """The course's settings, late penalties among them, less those on how notebooks are written."""
    config = Config({name: part for name, part in converter.config.items() if not name.endswith("Exporter")})
    config.Exporter.default_preprocessors = []
    return config


def _expect(notebooks: list[str]) -> None:
    """A submission under another name is to be graded as well.

    nbgrader gives 0 where there is no file of the expected name; an empty one is put there, and
    ``Rebuild`` finds the other, or says why it cannot.
    """
    expected = Path(notebooks[0]).parent / f"{NAME}.ipynb"
    if not expected.exists() and not expected.is_symlink():
        expected.touch()
        notebooks.append(str(expected))


def _set_aside_no_time(file: Path) -> None:
    """A ``timestamp.txt`` that is no time stops nbgrader at its student: it gets another name, and nothing is late."""
    if not os.path.lexists(file):
        return
    try:
        text = file.read_text(encoding="utf-8") if file.is_file() and file.stat().st_size < 1000 else "?"
        parse_utc(text.strip()) if text.strip() else None
    except Exception:  # of dateutil's several kinds
        file.rename(file.with_name("timestamp-unreadable.txt"))


class SaveAskedCells(SaveCells):  # type: ignore[misc]
    """Once there are submissions, the cells of a question that was dropped stay in the gradebook, out of 0."""

    def _create_notebook(self, nb: Any) -> None:
        try:
            known = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        except MissingEntry:
            known = None
        if known is not None and known.submissions:
            for cell in known.grade_cells:
                if cell.name not in self.new_grade_cells:
                    cell.max_score = 0
            for new, old in (
                (self.new_grade_cells, known.grade_cells),
                (self.new_solution_cells, known.solution_cells),
                (self.new_source_cells, known.source_cells),
            ):
                for cell in old:
                    new.setdefault(cell.name, {})
        super()._create_notebook(nb)


class Rebuild(NotebookExporter):  # type: ignore[misc]
    """Reads a submission whatever state it is in, grades it, and gives back the rebuilt notebook."""

    def __init__(self, **kw: Any) -> None:
        super().__init__(**kw)
        if reason := missing():
            self.log.error("Nothing was graded: %s", reason)
            raise NbGraderException(reason)

    def from_filename(self, filename: str, resources: Any = None, **kw: Any) -> Any:
        if self.parent._sanitizing:
            return self._rebuilt(Path(filename), resources, **kw)
        return super().from_filename(filename, resources=resources, **kw)  # what the first pass has written

    def _rebuilt(self, path: Path, resources: Any, **kw: Any) -> Any:
        student = resources["nbgrader"]["student"]
        target = Path(self.parent._format_dest(resources["nbgrader"]["assignment"], student))
        for name in COLLECTED:
            _copy_small(path.with_name(name), target / name)
        course = Path(self.parent.coursedir.root)
        findings, _, submission = grade_folder(path.parent, student, secret_seed(course), sandbox(), _journal(course))
        return self.from_notebook_node(rebuilt(submission, findings), resources=resources, **kw)


def _copy_small(source: Path, target: Path) -> None:
    if source.is_file() and not source.is_symlink() and source.stat().st_size < 1000:
        write_whole(target, source.read_text(encoding="utf-8", errors="replace"))


class SaveGrades(SaveAutoGrades):  # type: ignore[misc]
    """Writes the findings to the gradebook; manual scores stay, and are flagged if the answer changed."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        self.findings = _findings(nb)
        file = _gradebook(resources).parent / SEEN
        self.seen = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        nb, resources = super().preprocess(nb, resources)
        with Gradebook(resources["nbgrader"]["db_url"]) as book:
            for grade in book.find_submission_notebook(self.notebook_id, self.assignment_id, self.student_id).grades:
                self._keep_to_points(grade)
            book.db.commit()
        write_whole(file, json.dumps(self.seen, indent=0, sort_keys=True))
        return nb, resources

    def _add_score(self, cell: Any, resources: Any) -> None:
        question = cell.metadata["nbgrader"]["grade_id"].removeprefix("check_")
        finding = self.findings[question]
        grade = self.gradebook.find_grade(
            cell.metadata["nbgrader"]["grade_id"], self.notebook_id, self.assignment_id, self.student_id
        )
        grade.auto_score = score(QUESTIONS[question], finding)
        changed = self._changed(cell, question)
        if grade.manual_score is None:
            grade.needs_manual_grade = grade.auto_score is None
        else:
            grade.needs_manual_grade = grade.needs_manual_grade or changed
        self.gradebook.db.commit()

    def _keep_to_points(self, grade: Any) -> None:
        """What a question is worth today; a mark for one that was dropped waits beside the gradebook."""
        question = QUESTIONS[grade.name.removeprefix("check_")]
        grade.cell.max_score = question.points
        place = f"mark {self.student_id}/{self.assignment_id}/{question.name}"
        if not question.points:
            if grade.manual_score is not None:
                self.seen[place] = grade.manual_score
            grade.auto_score, grade.manual_score, grade.needs_manual_grade = 0, None, False
        elif place in self.seen:
            grade.manual_score, grade.needs_manual_grade = self.seen.pop(place), False

    def _changed(self, cell: Any, question: str) -> bool:
        """Whether the answer is another than the last time; remembers it."""
        place = f"{self.student_id}/{self.assignment_id}/{question}"
        answer = [cell.source, cell.get("attachments"), self.findings[question][:3]]
        digest = hashlib.sha256(json.dumps(answer).encode()).hexdigest()
        before = self.seen.get(place)
        self.seen[place] = digest
        return before is not None and before != digest

    def _add_comment(self, cell: Any, resources: Any) -> None:
        """The sentence, beside the answer."""
        question = cell.metadata["nbgrader"]["grade_id"]
        comment = self.gradebook.find_comment(question, self.notebook_id, self.assignment_id, self.student_id)
        finding = self.findings[question]
        written = QUESTIONS[question].kind == "written"
        sentence = finding.message if finding.status == GRADED or written else f"Not graded: {finding.message}"
        comment.auto_comment = sentence or None
        self.gradebook.db.commit()


class FeedbackPage(Exporter):  # type: ignore[misc]
    """The page of ``feedback.page``, from a graded notebook and the gradebook."""

    file_extension = ".html"
    _marks: Any = None

    def from_notebook_node(self, nb: Any, resources: Any = None, **kw: Any) -> Any:
        nb, resources = super().from_notebook_node(nb, resources, **kw)
        student = resources["nbgrader"]["student"]
        if self._marks is None:  # one exporter serves one command, and a class reads its marks once
            self._marks = read_marks(_gradebook(resources))
        parts = list(feedback.parts(student, _findings(nb), answers_in(nb), self._marks))
        penalty = resources["nbgrader"]["late_penalty"]
        return feedback.page(student, parts, penalty=penalty), resources


def _findings(nb: Any) -> dict[str, Finding]:
    """What ``Rebuild`` found, by question."""
    return {name: Finding(*parts) for name, parts in nb.metadata["findings"].items()}


def _gradebook(resources: Any) -> Path:
    return Path(resources["nbgrader"]["db_url"].removeprefix("sqlite:///"))


@cache
def _journal(course: Path) -> dict[str, Finding]:
    """What ``python -m autograder grade`` has found in this course already."""
    return read_journal(course / "grades" / JOURNAL)


@cache
def sandbox() -> Sandbox:
    """The sandbox of this process, started at the first submission."""
    box = Sandbox().__enter__()
    atexit.register(box.__exit__, None, None, None)
    return box
