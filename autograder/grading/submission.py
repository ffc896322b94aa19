"""Reads what a student handed in, whatever it has been through, and matches it to the questions.

Nothing of it is executed or parsed as Python here.  Code is matched by what it defines (``readings``);
written answers by their cell's id, and where ids are gone by the heading that they stand under.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adamw_pset.checks import notebook_file
from adamw_pset.checks.notebook_file import Cell, Notebook
from adamw_pset.checks.notebook_written import written_answer
from adamw_pset.checks.verdicts import numbers
from autograder.assignment.places import NAME, RELEASED
from autograder.assignment.questions import ALL, QUESTIONS

LARGEST = 48 << 20  # bytes; a notebook with all its figures has one or two million
PARTS = 2_000_000  # lists, objects and values in it, each a hundred bytes once read
NOTEBOOKS = 5  # that are looked into, where there are several
CELLS, TEXT = 2000, 4 << 20  # cells, and letters in all of them


class NotReadable(Exception):
    """A submission that cannot be graded; the text says why."""


@dataclass(frozen=True)
class Submission(Notebook):
    """What a student handed in, and what was odd about it; of ids only those of questions are kept."""

    notes: tuple[str, ...] = ()

    def outside_code(self, question: str) -> int | None:
        """The number of a cell that may hold an answer to a code question as text.

        Its own cell, retyped to Markdown or raw, or what defines it in such a cell or between fences.
        """
        defines = re.compile(rf"^[\s>]*(?:def +{question}\b|{question} *=[^=])", re.MULTILINE)
        for number, (kind, id, text) in enumerate(self.cells, start=1):
            if text.strip() in {"", *_released_texts()}:
                continue
            no_code = kind != "code" or re.search(r"^\s*(```|~~~)", text, re.MULTILINE)
            if no_code and (id == question or defines.search(text)):
                return number
        return None

    def written(self, question: str) -> str | None:
        """The answer to a written question, wherever it was written; None if its cell is gone and nothing is there."""
        return written_answer(self.cells, question, numbers())

    def is_answered(self) -> bool:
        """Whether anything answers a question, other than what was released."""
        given = _released_texts()
        names = "|".join(QUESTIONS)
        return any(
            text.strip() not in given and (id or re.search(rf"\bdef ({names})\b", text)) for _, id, text in self.cells
        )

    def place(self, question: str) -> int | None:
        """The number of the cell to show as the answer: the question's own, or one that defines it."""
        defining = [n for n, text in self.code() if re.search(rf"^def +{question}\b", text, re.MULTILINE)]
        own = self.own(question)
        return next((n for n in own if n in defining), None) or next(iter(own or defining), None)

    def digest(self) -> str:
        """A hash of the whole of what was read."""
        return hashlib.sha256(json.dumps(self.cells).encode()).hexdigest()


def find(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The notebook that a student handed in, and a note if it is another than the expected one.

    It lies in ``folder``, or anywhere in the student's own folder above it, as GitHub and Moodle have it.  Of
    several the one with answers is meant.  Raises ``NotReadable`` if there is none, or if it is not clear
    which one is meant.
    """
    if folder.is_symlink() or folder.parent.is_symlink():
        raise NotReadable(f"{folder.parent.name}/{folder.name} is a link to somewhere else")
    if not os.path.lexists(folder):
        folder = folder.parent
    expected = folder / f"{NAME}.ipynb"
    if expected.is_symlink():
        return expected, ()
    notebooks = sorted(_notebooks(folder), key=lambda path: (len(path.parts), path != expected, path))
    if not notebooks:
        raise NotReadable(f"there is no notebook in {folder.name}")
    path = notebooks[0] if len(notebooks) == 1 else _meant(notebooks)
    notes: tuple[str, ...] = () if path.name == expected.name else (f"the notebook is named {path.name}",)
    if len(notebooks) > 1:
        others = ", ".join(str(other.relative_to(folder)) for other in notebooks if other != path)
        notes += (f"of several notebooks {path.relative_to(folder)} has the answers; not read: {others}"[:300],)
    return path, notes


def _notebooks(folder: Path) -> Iterator[Path]:
    """The notebooks in a folder, or else in the folders in it, but for what systems leave behind."""

    def unreadable(error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            return
        raise NotReadable(f"{Path(error.filename).name} cannot be opened: {error.strerror}")

    for place, inside, files in os.walk(folder, onerror=unreadable):
        inside[:] = sorted(name for name in inside if name[0] != "." and name != "__MACOSX")
        here = [Path(place, name) for name in files if name.endswith(".ipynb") and name[0] != "."]
        here = [path for path in here if path.is_file()]
        yield from [path for path in here if path.stat().st_size] or here
        if here and Path(place) == folder:
            return


def _meant(notebooks: Sequence[Path]) -> Path:
    """The one of several notebooks that answers the questions; raises ``NotReadable`` if that is not clear."""
    if len(notebooks) > NOTEBOOKS:
        raise NotReadable(f"there are {len(notebooks)} notebooks, and several that may be meant")
    answered: dict[str, Path] = {}
    for path in notebooks:
        with contextlib.suppress(NotReadable):
            submission = read(path)
            if submission.is_answered():
                answered.setdefault(submission.digest(), path)
    if len(answered) > 1:
        names = ", ".join(path.name for path in answered.values())
        raise NotReadable(f"there are several notebooks with answers: {names}")
    if answered:
        return next(iter(answered.values()))
    if notebooks[0].name == f"{NAME}.ipynb":
        return notebooks[0]
    raise NotReadable(f"there is no {NAME}.ipynb, and several notebooks that may be meant")


def read(path: Path) -> Submission:
    """The notebook at ``path``; raises ``NotReadable`` with the reason in a few words."""
    data = _data(path)
    if sum(map(data.count, (b"[", b"{", b","))) > PARTS:
        raise NotReadable("the file has millions of parts: clear the outputs, hand in again")
    try:
        notebook = notebook_file.parse(data)
    except ValueError as error:
        raise NotReadable(str(error).replace("the file is empty", f"{path.name} is empty")) from None
    if len(notebook.cells) > CELLS:
        raise NotReadable(f"the notebook has {len(notebook.cells)} cells, and {CELLS} are read at most")
    if (letters := sum(len(cell.text) for cell in notebook.cells)) > TEXT:
        raise NotReadable(f"the cells hold {letters >> 20} million letters, and {TEXT >> 20} are read at most")
    cells = tuple(cell._replace(id=cell.id if cell.id in QUESTIONS else "") for cell in notebook.cells)
    return Submission(cells, notebook.python, notebook.pictures, tuple(_notes(cells)))


# --- the file ----------------------------------------------------------------------------------------


def _data(path: Path) -> bytes:
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
        return file.read()


def _notes(cells: Sequence[Cell]) -> Iterator[str]:
    ids = Counter(id for _, id, _ in cells if id)
    if repeated := sorted(id for id, times in ids.items() if times > 1):
        yield f"more than one cell for {', '.join(repeated)}"
    if missing := [question.name for question in ALL if question.name not in ids]:
        yield f"no cell with the id of {', '.join(missing) if len(missing) < len(ALL) else 'any question'}"


@cache
def _released_texts() -> frozenset[str]:
    """What the cells of the released notebook say."""
    cells = json.loads(RELEASED.read_text(encoding="utf-8"))["cells"]
    return frozenset("".join(cell["source"]).strip() for cell in cells)
