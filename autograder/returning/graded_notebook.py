"""A submission as graders and students may see it: the released notebook with the answers put in.

Whatever else was handed in follows as plain text and pictures, labelled as not checked.  Nothing of a
submission stays live: no HTML, no script, no link, no output but pictures that were drawn anew.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import nbformat
from latex2mathml import commands
from latex2mathml.symbols_parser import SYMBOLS
from PIL import Image

from autograder.assignment.places import INSTRUCTOR, RELEASED
from autograder.assignment.questions import ALL, QUESTIONS
from autograder.grading.finding import Finding
from autograder.grading.grade import score
from autograder.grading.plain_text import visible
from autograder.grading.submission import Submission

NESTED = 50  # brackets of formulas in one another
PIXELS, PICTURES, LENGTH = 12_000_000, 60, 200_000  # of a picture, of a submission, of a text
ENCODED, DRAWN, WIDE = 16 << 20, 1 << 20, 2000  # bytes of a picture as it came, and drawn anew; pixels in width
REST = """# As handed in

Cells and pictures of the submission that no question asks for. Nothing of it was run or checked."""
RUBRIC = "rubric"  # the tag of cells for the grader alone
PICTURE = "\n\n![picture {0}, as handed in](attachment:picture-{0}.png)"  # no answer can say so: see harmless
ASKED = [question.name for question in ALL]
# Commands of formulas that latex2mathml knows, less those that define others, make links, set styles, or draw
# over what stands beside them.
ACTIVE = (
    r"href|class|style|unicode|verb|tag\*?|def|newcommand|newenvironment|DeclareMathOperator|(text|f?)color(box)?|rule|"
    r"raise|lower|move(left|right)|(h|m)?(kern|skip|space)|Space|(math)?[lrc]lap|smash"
)


class Answer(NamedTuple):
    """A student's answer to a question: code as it was handed in, or harmless Markdown and pictures."""

    text: str = ""  # "" if there is none, or the released cell as it was
    pictures: tuple[str, ...] = ()  # in base64, not looked at yet


def answers(submission: Submission) -> dict[str, Answer]:
    """The answer to each question."""
    released = _released_cells()
    texts = {name: _answer_to(name, submission) or Answer() for name in ASKED}
    return {name: _without(released[name], answer) for name, answer in texts.items()}


def answers_in(notebook: Any) -> dict[str, Answer]:
    """The answers that ``rebuilt`` put into a notebook, as ``answers`` gives them."""
    texts = dict.fromkeys(ASKED, Answer())
    released = _released_cells()
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if name in texts:
            attached = [bundle["image/png"] for bundle in cell.get("attachments", {}).values()]
            text = cell.source
            for number in range(len(attached), 0, -1):
                text = text.removesuffix(PICTURE.format(number))
            texts[name] = _without(released[name], Answer(text, tuple(attached)))
    return texts


def rebuilt(submission: Submission | None, findings: Mapping[str, Finding]) -> Any:
    """The released notebook with answers, findings as the outputs of the check cells, and rubrics.

    The findings are in its metadata too, for ``nbgrader_steps.SaveGrades``.
    """
    notebook = nbformat.from_dict(_read(RELEASED))
    cells = []
    shown: set[int] = set()
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        question = name.removeprefix("check_")
        cells.append(cell)
        if question not in QUESTIONS:
            continue
        if name.startswith("check_"):
            cell.outputs = _outputs(findings[question], question)
        elif submission is not None:
            _answer(cell, question, submission, shown)
        if QUESTIONS[question].kind == "written":
            cells.append(_rubric(question))
    if submission is not None:
        cells += list(_rest(submission, shown))
    notebook.cells = cells
    notebook.metadata["findings"] = {name: list(finding) for name, finding in findings.items()}
    return notebook


def harmless(text: str) -> str:
    """Markdown in which no HTML, no link, no address, no heading and no command of a formula can do anything.

    Formulas, lists, tables, code and emphasis stay as they are; of the commands of formulas, those that
    draw mathematics.  Formulas in formulas without end, on which a browser dies, lose what nests them.
    """
    text = visible(text[:LENGTH])
    text = re.sub(r"<(?=[A-Za-z/!?])", "< ", text)  # a tag needs its name at once
    text = re.sub(r"\](?=[(\[:])", "] ", text)  # a link its address
    text = re.sub(r"&(?=#?\w{1,40};)", "& ", text)  # an entity may stand for anything
    text = re.sub(r"(?<=\w):(?=//)|(?i:(?<=www)\.|(?<=mailto):)", r"\g<0> ", text)  # some readers make links of them
    # A heading's id is its text, and the Formgrader finds the boxes for points by their ids.
    text = re.sub(r"^([\s>*+.)\d-]*)#", r"\1\#", text, flags=re.MULTILINE)
    text = re.sub(r"(\S[ \t]*\n[ \t>]*(?:=+|-+))[ \t]*$", "\\1\N{NO-BREAK SPACE}", text, flags=re.MULTILINE)
    if _nested(text) > NESTED:
        text = re.sub(r"[{}]|\\(?=[A-Za-z])", " ", text)
    return re.sub(r"\\(?=([A-Za-z]+))", lambda found: "\\" if found[1] in _commands() else "\\ ", text)


def _nested(text: str) -> int:
    """How deep the formulas of ``text`` nest, at most."""
    depth = most = 0
    comment = False  # in which nothing is closed
    for token in re.findall(r"\\(?:left|begin|right|end)(?![A-Za-z])|\\.|[{}%\n]", text):
        if token in ("{", r"\left", r"\begin"):
            depth += 1
            most = max(most, depth)
        elif token in ("}", r"\right", r"\end") and not comment:
            depth = max(depth - 1, 0)
        elif token in "%\n":
            comment = token == "%"
    return most


@cache
def _commands() -> set[str]:
    """The names of the commands that formulas may use."""
    known = {*SYMBOLS}
    for value in vars(commands).values():
        known |= {value} if isinstance(value, str) else set(value) if isinstance(value, tuple | list | dict) else set()
    names = {name.removeprefix("\\") for name in known if isinstance(name, str)}
    return {name for name in names if not re.fullmatch(ACTIVE, name)}


def picture(encoded: str, widest: int = WIDE) -> str | None:
    """A picture drawn anew as PNG, in base64; None if it is not one, or too large.

    It is at most ``widest`` pixels wide, and smaller where it would have more than a megabyte.
    """
    if len(encoded) > ENCODED:
        return None
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded)), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > PIXELS:
                return None
            copy = image.convert("RGBA" if image.mode in ("RGBA", "P", "LA") else "RGB")
        while True:
            width = min(widest, copy.width)
            if width < copy.width:
                copy = copy.resize((width, max(1, copy.height * width // copy.width)))
            copy.save(drawn := io.BytesIO(), "PNG")
            if drawn.tell() <= DRAWN:
                return base64.b64encode(drawn.getvalue()).decode()
            widest = width // 2
    except Exception:  # Pillow's plugins raise what their parsing stumbles over
        return None


def _answer(cell: Any, question: str, submission: Submission, shown: set[int]) -> None:
    """Put the student's answer into the released cell."""
    if QUESTIONS[question].kind != "written":
        shown.update(filter(None, [submission.place(question)]))
    else:
        shown.update(submission.own(question))
    answer = _answer_to(question, submission)
    if answer is None:
        return
    cell.source = answer.text
    drawn = [image for image in map(picture, answer.pictures) if image]
    for number, image in enumerate(drawn, start=1):
        cell.setdefault("attachments", {})[f"picture-{number}.png"] = {"image/png": image}
        cell.source += PICTURE.format(number)


def _answer_to(question: str, submission: Submission) -> Answer | None:
    """The answer as it was handed in; None if there is none."""
    if QUESTIONS[question].kind != "written":
        place = submission.place(question)
        return None if place is None else Answer(submission.cells[place - 1][2][:LENGTH])
    text = submission.written(question)
    if not text:
        return None
    images = [image for place in submission.own(question) for image in submission.pictures.get(place, [])]
    return Answer(harmless(text), tuple(images[:PICTURES]))


def _without(released: str, answer: Answer) -> Answer:
    return Answer() if answer.text.strip() == released.strip() else answer


def _outputs(finding: Finding, question: str) -> list[Any]:
    """What nbgrader reads points from, and a person why: text, then the points."""
    points = score(QUESTIONS[question], finding)
    sentence = finding.message if points is not None else f"Not graded: {finding.message}"
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=sentence + "\n")]
    if points is not None:
        outputs.append(nbformat.v4.new_output("execute_result", {"text/plain": f"{points:g}"}, execution_count=None))
    return outputs


def _rubric(question: str) -> Any:
    """Model answer and rubric, for the grader; feedback leaves the cell out."""
    cell = nbformat.v4.new_markdown_cell(f"**For the grader.** {model_answers()[question]}")
    cell.id = f"rubric_{question}"
    cell.metadata["tags"] = [RUBRIC]
    return cell


def _rest(submission: Submission, shown: set[int]) -> Iterator[Any]:
    """The other cells of the student's own, and the pictures under the released ones."""
    released = {"".join(cell["source"]).strip() for cell in _read(RELEASED)["cells"]}
    left = PICTURES
    first = True
    for number, (kind, _, text) in enumerate(submission.cells, start=1):
        images = [] if number in shown and kind != "code" else submission.pictures.get(number, [])
        drawn = [image for image in map(picture, images[:left]) if image]
        left -= len(drawn)
        if not drawn and (number in shown or text.strip() in released or not text.strip()):
            continue
        if first:
            yield _labelled("rest", REST)
            first = False
        cell = nbformat.v4.new_code_cell(text[:LENGTH])
        cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": image}) for image in drawn]
        cell.id = f"handed_in_{number}"
        yield cell


def _labelled(id: str, text: str) -> Any:
    cell = nbformat.v4.new_markdown_cell(text)
    cell.id = id
    return cell


@cache
def _released_cells() -> dict[str, str]:
    """The cell that asks for each answer, as it was given out."""
    cells = _read(RELEASED).cells
    return {cell.metadata.get("nbgrader", {}).get("grade_id", ""): cell.source for cell in cells}


@cache
def model_answers() -> dict[str, str]:
    """Model answer and rubric of each written question, as they stand in the source."""
    cells = _read(INSTRUCTOR)["cells"]
    return {
        cell["metadata"]["nbgrader"]["grade_id"]: "".join(cell["source"])
        for cell in cells
        if cell["metadata"].get("nbgrader", {}).get("grade_id", "").startswith("written_")
    }


def _read(path: Any) -> Any:
    return nbformat.read(path, as_version=4)
