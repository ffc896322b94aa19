"""A notebook as a file: its cells, whatever program saved them, and what is written in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

PLACEHOLDER = "Your answer here"  # what a written answer says while it is open
KINDS = ("code", "markdown", "raw", "heading")


class Cell(NamedTuple):
    """A cell: what kind it is, the question whose id it carries ("" for none), and its text."""

    kind: str
    id: str
    text: str


@dataclass(frozen=True)
class Notebook:
    """What a file holds: its cells, the Python that it was saved with, and the pictures of each cell."""

    cells: tuple[Cell, ...]
    python: tuple[int, ...] = ()
    pictures: Mapping[int, list[str]] = field(default_factory=dict)

    def code(self) -> list[tuple[int, str]]:
        """Number (from 1) and source of each code cell."""
        return [(number, cell.text) for number, cell in enumerate(self.cells, start=1) if cell.kind == "code"]

    def own(self, question: str) -> list[int]:
        """The numbers of the cells that carry the id of ``question``."""
        return [number for number, cell in enumerate(self.cells, start=1) if cell.id == question]

    def unchecked(self, questions: Iterable[str]) -> dict[int, str]:
        """The cells of questions that no cell checks: each stands for its check."""
        return {number: name for name in questions if not self.checks(name) for number in self.own(name)}

    def checks(self, question: str) -> list[int]:
        """The numbers of the cells that check ``question``."""
        call = re.compile(rf"\bcheck\(\s*['\"]{question}['\"]")
        return [number for number, text in self.code() if call.search(text)]


def load(path: str | Path) -> Notebook:
    """The notebook at ``path``; raises ``ValueError`` if it is none, ``OSError`` if there is no file."""
    try:
        return parse(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not a Jupyter notebook: {error}") from None


def parse(data: bytes) -> Notebook:
    """The notebook in the bytes of a file: UTF-8 or UTF-16, of format 4 or 3.

    Raises ``ValueError``, with the reason in a few words, if it is none, or for another language than Python.
    """
    if not data.strip():
        raise ValueError("the file is empty")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("the file is not text in UTF-8") from None
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the file is not JSON, it may be cut off: {str(error)[:80]}") from None
    if not isinstance(notebook, dict) or not ("cells" in notebook or "worksheets" in notebook):
        raise ValueError("the file is JSON, and not a notebook")
    metadata = _table(notebook.get("metadata"))
    if language := _other_language(metadata):
        raise ValueError(f"the notebook is for another kernel: {language[:30]!r}")
    cells, pictures = [], {}
    for number, cell in enumerate(_cells(notebook), start=1):
        kind, source = cell.get("cell_type"), cell.get("source", cell.get("input", ""))
        if isinstance(source, list):
            source = "".join(part for part in source if isinstance(part, str))
        if kind not in KINDS or not isinstance(source, str):
            raise ValueError(f"cell {number} is not a notebook's cell")
        cells.append(Cell(kind, _id(cell), source.encode(errors="replace").decode()))  # JSON can hold half a character
        if images := list(_images(cell)):
            pictures[number] = images
    if not cells:
        raise ValueError("the notebook has no cells")
    version = re.findall(r"\d+", str(_table(metadata.get("language_info")).get("version", "")))
    return Notebook(tuple(cells), tuple(int(number[:9]) for number in version[:2]), pictures)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _other_language(metadata: dict[str, Any]) -> str:
    """The language of a notebook that says clearly that it is not Python's; a kernel may be named anything."""
    kernel, language = _table(metadata.get("kernelspec")), _table(metadata.get("language_info"))
    told = [str(value) for value in (kernel.get("language"), language.get("name")) if value]
    if not told or any("python" in value.lower() for value in told):
        return ""
    return told[0]


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The cells, of format 4 or, in worksheets, of format 3."""
    sheets = notebook.get("worksheets", [notebook])
    for sheet in sheets if isinstance(sheets, list) else []:
        cells = _table(sheet).get("cells")
        for cell in cells if isinstance(cells, list) else []:
            if not isinstance(cell, dict):
                raise ValueError("something in the notebook is not a cell")
            yield cell


def _id(cell: dict[str, Any]) -> str:
    name = _table(_table(cell.get("metadata")).get("nbgrader")).get("grade_id")
    if not isinstance(name, str):
        name = cell.get("id")
    return name if isinstance(name, str) else ""


def _images(cell: dict[str, Any]) -> Iterator[str]:
    """The pictures among a cell's outputs and attachments, as base64 text."""
    outputs = cell.get("outputs")
    bundles: list[Any] = list(_table(cell.get("attachments")).values())
    for output in outputs if isinstance(outputs, list) else []:
        bundles.append(_table(output).get("data"))
    for bundle in bundles:
        for kind in ("image/png", "image/jpeg"):
            image = _table(bundle).get(kind)
            if isinstance(image, list):
                image = "".join(part for part in image if isinstance(part, str))
            if isinstance(image, str):
                yield image
