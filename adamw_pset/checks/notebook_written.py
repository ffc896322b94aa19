"""The written answers of a notebook: in the cells that carry their ids, or else under their headings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from adamw_pset.checks.notebook_file import PLACEHOLDER, Cell

TITLE = re.compile(r"^#+ .*", re.MULTILINE)
# Code that is none: it begins with a word of prose, or is nothing but comments, or one text.
PROSE = re.compile(
    r"\s*(?!(?:assert|class|def|del|for|from|global|if|import|lambda|raise|return|while|with)\b)"
    r"[^\W\d_]+,? [^\W\d_]+,? [^\W\d_]+,? [^\W\d_].*|(?:\s*#[^\n]*)+\s*|\s*(\"\"\"|''').*\1\s*",
    re.DOTALL,
)


def is_open(text: str) -> bool:
    """Whether a written answer is empty, or still the placeholder."""
    return text.strip().strip("*").rstrip(".").strip() in ("", PLACEHOLDER)


def digest(text: str) -> str:
    """What stands for the text of a cell of the problem set."""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:12]


def written_answer(cells: Sequence[Cell], question: str, known: Any) -> str | None:
    """The answer to a written question, wherever it was written; "" if it is open.

    ``known`` is ``verdicts.numbers()``.  None if its cell is gone, and nothing is written in its place.
    """
    texts = _texts(cells, question, known)
    answers = [text.strip() for text in texts if not is_open(text)]
    return "\n\n".join(dict.fromkeys(answers)) if texts else None


def _texts(cells: Sequence[Cell], question: str, known: Any) -> list[str]:
    """What stands in the question's own cells, and where that is open, beside them too."""
    own = [cell.text for cell in cells if cell.id == question]
    return own if any(not is_open(text) for text in own) else [*own, *_under_heading(cells, question, known)]


def _under_heading(cells: Sequence[Cell], question: str, known: Any) -> Iterator[str]:
    """The cells of the student's own that are no code and stand under the heading of ``question``, or with it."""
    headings, given = known["written"], known["given"]
    questions = {*headings, *known["questions"]}
    titles, heading = set(headings.values()), ""
    for kind, id, text in cells:
        if id in questions:
            continue
        if (place := digest(text)) in given:
            heading = given[place] or heading
            continue
        if kind == "code":
            if heading == headings[question] and PROSE.fullmatch(text):
                yield text
            continue
        own = [title for title in TITLE.findall(text) if title in titles]
        heading = own[-1] if own else heading
        if heading == headings[question]:
            yield text


def states(cells: Sequence[Cell], known: Any) -> dict[str, str]:
    """Of each written question: "answered", "open", "not found", or that something stands beside its open cell.

    A person reads what stands there; it may be an answer, or a line of the problem set that was changed.
    """
    return {
        question: _state([is_open(text) for text in _texts(cells, question, known)]) for question in known["written"]
    }


BESIDE = "open; is there an answer beside it? Put it into its cell"


def _state(opens: Sequence[bool]) -> str:
    if not any(opens):
        return "answered" if opens else "not found"
    return "open" if all(opens) else BESIDE
