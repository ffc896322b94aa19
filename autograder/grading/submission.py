"""Reads what a student handed in, whatever it has been through, and matches it to the questions.

Nothing of it is executed or parsed as Python here.  Code is matched by what it defines (``worker``);
written answers by their cell's id, and where ids are gone by the heading that they stand under.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from adamw_pset.checks.notebook_source import PLACEHOLDER, without_magics
from autograder.assignment.places import NAME, RELEASED
from autograder.assignment.questions import ALL, QUESTIONS

LARGEST = 48 << 20  # bytes; a notebook with all its figures has one or two million
PARTS = 2_000_000  # lists, objects and values in it, each a hundred bytes once read
NOTEBOOKS = 5  # that are looked into, where none has the expected name
CELLS, TEXT = 2000, 4 << 20  # cells, and letters in all of them


class NotReadable(Exception):
    """A submission that cannot be graded; the text says why."""


@dataclass(frozen=True)
class Submission:
    """What a student handed in: numbered cells of (kind, id, text), and what was odd about it."""

    cells: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...] = ()
    pictures: Mapping[int, list[str]] = field(default_factory=dict, compare=False, hash=False)

    def code(self) -> list[tuple[int, str]]:
        """Number (from 1) and source of the code cells, magics and shell lines passed over."""
        return [
            (number, without_magics(text))
            for number, (kind, _, text) in enumerate(self.cells, start=1)
            if kind == "code"
        ]

    def own(self, question: str) -> list[int]:
        """The numbers of the cells that carry the id of ``question``."""
        return [number for number, (_, id, _) in enumerate(self.cells, start=1) if id == question]

    def written(self, question: str) -> str | None:
        """The answer to a written question; None if no cell holds one."""
        texts = [text for kind, id, text in self.cells if id == question and kind != "code"]
        if not texts:
            texts = list(_under_heading(self.cells, question))
        answers = list(dict.fromkeys(text.strip() for text in texts if not is_open(text)))
        return "\n\n".join(answers) if texts else None

    def place(self, question: str) -> int | None:
        """The number of the cell to show as the answer: the question's own, or one that defines it."""
        defining = [n for n, text in self.code() if re.search(rf"^def +{question}\b", text, re.MULTILINE)]
        own = self.own(question)
        return next((n for n in own if n in defining), None) or next(iter(own or defining), None)

    def digest(self) -> str:
        """A hash of the whole of what was read."""
        return hashlib.sha256(json.dumps(self.cells).encode()).hexdigest()


def is_open(text: str) -> bool:
    """Whether a written answer is empty, or still the placeholder."""
    return text.strip().strip("*").rstrip(".").strip() in ("", PLACEHOLDER)


def find(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The notebook in a student's folder, and a note if it has another name.

    Raises ``NotReadable`` if there is none, or if it is not clear which one is meant.
    """
    if folder.is_symlink() or folder.parent.is_symlink():
        raise NotReadable(f"{folder.parent.name}/{folder.name} is a link to somewhere else")
    expected = folder / f"{NAME}.ipynb"
    others = sorted(path for path in folder.glob("*.ipynb") if path.is_file() and path != expected)
    if expected.is_symlink() or (expected.is_file() and (expected.stat().st_size or not others)):
        return expected, ()
    if not others:
        raise NotReadable(f"there is no notebook in {folder.name}")
    if 1 < len(others) <= NOTEBOOKS:
        others = [path for path in others if _mentions_questions(path)]
    if len(others) != 1:
        raise NotReadable(f"there is no {NAME}.ipynb, and several notebooks that may be meant")
    return others[0], (f"the notebook is named {others[0].name}",)


def read(path: Path) -> Submission:
    """The notebook at ``path``; raises ``NotReadable`` with the reason in a few words."""
    cells = list(_cells(_notebook(_text(path))))
    if not cells:
        raise NotReadable("the notebook has no cells")
    if len(cells) > CELLS:
        raise NotReadable(f"the notebook has {len(cells)} cells, and {CELLS} are read at most")
    found: list[tuple[str, str, str]] = []
    pictures = {}
    for number, cell in enumerate(cells, start=1):
        kind, text = cell.get("cell_type"), cell.get("source", cell.get("input", ""))
        if isinstance(text, list):
            text = "".join(part for part in text if isinstance(part, str))
        if kind not in ("code", "markdown", "raw", "heading") or not isinstance(text, str):
            raise NotReadable(f"cell {number} is not a notebook's cell")
        found.append((kind, _id(cell), text.encode(errors="replace").decode()))  # JSON can hold half a character
        if images := list(_images(cell)):
            pictures[number] = images
    if (letters := sum(len(text) for _, _, text in found)) > TEXT:
        raise NotReadable(f"the cells hold {letters >> 20} million letters, and {TEXT >> 20} are read at most")
    return Submission(tuple(found), tuple(_notes(found)), pictures)


# --- the file ----------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise NotReadable(f"{path.name} cannot be opened: {error.strerror}") from None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotReadable(f"{path.name} is not a file")
        if status.st_size > LARGEST:
            raise NotReadable(f"{path.name} has {status.st_size >> 20} MB: clear the outputs, hand in again")
        data = file.read()
    if not data.strip():
        raise NotReadable(f"{path.name} is empty")
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise NotReadable(f"{path.name} is not text in UTF-8") from None


def _notebook(text: str) -> dict[str, Any]:
    if sum(map(text.count, "[{,")) > PARTS:
        raise NotReadable("the file has millions of parts: clear the outputs, hand in again")
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotReadable(f"the file is not JSON, it may be cut off: {str(error)[:80]}") from None
    if not isinstance(notebook, dict) or not ("cells" in notebook or "worksheets" in notebook):
        raise NotReadable("the file is JSON, and not a notebook")
    metadata = notebook.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    for key in ("kernelspec", "language_info"):
        part = metadata.get(key)
        language = (part.get("language") or part.get("name")) if isinstance(part, dict) else None
        if isinstance(language, str) and "python" not in language.lower():
            raise NotReadable(f"the notebook is for another kernel: {language[:30]!r}")
    return notebook


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The cells, of format 4 or, in worksheets, of format 3."""
    sheets = notebook.get("worksheets", [notebook])
    for sheet in sheets if isinstance(sheets, list) else []:
        cells = sheet.get("cells") if isinstance(sheet, dict) else None
        for cell in cells if isinstance(cells, list) else []:
            if not isinstance(cell, dict):
                raise NotReadable("something in the notebook is not a cell")
            yield cell


def _id(cell: dict[str, Any]) -> str:
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    if not isinstance(name, str):
        name = cell.get("id")
    return name if isinstance(name, str) and name in QUESTIONS else ""


def _images(cell: dict[str, Any]) -> Iterator[str]:
    """The pictures among a cell's outputs and attachments, as base64 text."""
    outputs, attached = cell.get("outputs"), cell.get("attachments")
    bundles: list[Any] = list(attached.values()) if isinstance(attached, dict) else []
    for output in outputs if isinstance(outputs, list) else []:
        bundles.append(output.get("data") if isinstance(output, dict) else None)
    for bundle in bundles:
        for kind in ("image/png", "image/jpeg"):
            image = bundle.get(kind) if isinstance(bundle, dict) else None
            if isinstance(image, list):
                image = "".join(part for part in image if isinstance(part, str))
            if isinstance(image, str):
                yield image


def _mentions_questions(path: Path) -> bool:
    try:
        cells = read(path).cells
    except NotReadable:
        return False
    return any(id or re.search(rf"\bdef ({'|'.join(QUESTIONS)})\b", text) for _, id, text in cells)


def _notes(cells: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    ids = Counter(id for _, id, _ in cells if id)
    if repeated := sorted(id for id, times in ids.items() if times > 1):
        yield f"more than one cell for {', '.join(repeated)}"
    if missing := [question.name for question in ALL if question.name not in ids]:
        yield f"no cell with the id of {', '.join(missing) if len(missing) < len(ALL) else 'any question'}"


# --- written answers whose cells have lost their ids ---------------------------------------------


def _under_heading(cells: Sequence[tuple[str, str, str]], question: str) -> Iterator[str]:
    """The markdown cells of the student's own that stand under the heading of ``question``."""
    given, headings = released()
    heading = ""
    for kind, id, text in cells:
        if kind == "code" or id:
            continue
        if text.strip() in given:
            heading = given[text.strip()] or heading
        elif heading == headings.get(question):
            yield text


@cache
def released() -> tuple[dict[str, str], dict[str, str]]:
    """Each markdown cell of the released notebook and its heading, and the heading of each question."""
    given: dict[str, str] = {}
    headings: dict[str, str] = {}
    heading = ""
    for cell in json.loads(RELEASED.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"]).strip()
        name = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if name.startswith("written_"):
            headings[name] = heading
        elif cell["cell_type"] == "markdown":
            titles = re.findall(r"^#+ .*", text, re.MULTILINE)
            heading = titles[-1] if titles else heading
            given[text] = titles[-1] if titles else ""
    return given, headings
