"""Broken notebooks: matched by what they define where that is clear, else not graded with a reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from helpers.submissions import CODE, IMPORTS, RIGHT, grade_one, hand_in, notebook

from adamw_pset.checks.notebook_file import Cell
from autograder.assignment.places import NAME, RELEASED
from autograder.assignment.questions import ALL, QUESTIONS
from autograder.grading.finding import BY_HAND, GRADED, NOT_GRADED
from autograder.grading.grade import grade_folder, in_sandbox
from autograder.grading.submission import NotReadable, Submission, find, read
from autograder.sandbox.sandbox import Sandbox

WRITTEN = {question.name: f"Answer to {question.name}." for question in ALL if question.kind == "written"}
FULL = RIGHT | WRITTEN


def _cells(nb: Any) -> list[Any]:
    return list(nb["cells"])


def _answer_cells(nb: Any) -> list[Any]:
    return [cell for cell in nb["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") in FULL]


def stripped(nb: Any) -> Any:
    for number, cell in enumerate(nb["cells"]):
        cell["metadata"], cell["id"] = {}, f"cell-{number}"
    return nb


def no_ids(nb: Any) -> Any:
    for cell in stripped(nb)["cells"]:
        del cell["id"]
    return nb


def reordered(nb: Any) -> Any:
    nb["cells"] = [
        *(cell for cell in nb["cells"] if cell["cell_type"] != "code"),
        *reversed([cell for cell in nb["cells"] if cell["cell_type"] == "code"]),
    ]
    return nb


def merged(nb: Any) -> Any:
    code = "\n\n".join("".join(cell["source"]) for cell in nb["cells"] if cell["cell_type"] == "code")
    nb["cells"] = [cell for cell in nb["cells"] if cell["cell_type"] != "code"]
    nb["cells"].append({"cell_type": "code", "source": code, "metadata": {}, "outputs": [], "id": "all"})
    return nb


def duplicated(nb: Any) -> Any:
    nb["cells"] = [copy for cell in nb["cells"] for copy in (cell, cell)]
    return nb


def edited(nb: Any) -> Any:
    for cell in nb["cells"]:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"] |= {"points": 1000, "locked": False, "grade": True, "solution": False}
    return nb


def without_checks(nb: Any) -> Any:
    nb["cells"] = [c for c in nb["cells"] if not c["metadata"].get("nbgrader", {}).get("locked")]
    return nb


def swapped(nb: Any) -> Any:
    """Each function in the cell that asks for another."""
    cells = [cell for cell in nb["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") in RIGHT]
    sources = [cell["source"] for cell in cells]
    for cell, source in zip(cells, sources[1:] + sources[:1], strict=True):
        cell["source"] = source
    return nb


def noisy(nb: Any) -> Any:
    extra = [
        "%matplotlib inline\n!rm -rf *\n",
        "%%bash\nexit 1\n",
        "def broken(:\n",
        "raise SystemExit",
        "while False: pass\nimport no_such_package",
        "1 / 0",
        "%%time\nx = 1",
        "?adamw",
        "",
    ]
    outputs = [{"output_type": "stream", "name": "stdout", "text": "x" * 3_000_000}]
    nb["cells"] += [
        {"cell_type": "code", "source": text, "metadata": {}, "outputs": outputs, "id": f"n{i}"}
        for i, text in enumerate(extra)
    ]
    return nb


def lines(nb: Any) -> Any:
    for cell in nb["cells"]:
        cell["source"] = "".join(cell["source"]).splitlines(keepends=True)
    return nb


def format_3(nb: Any) -> Any:
    """As Jupyter of ten years ago would save it."""
    for cell in nb["cells"]:
        cell["source"] = "".join(cell["source"])
    old = nbformat.convert(nbformat.from_dict(nb), 3)
    return json.loads(nbformat.v3.writes_json(old))


KEPT = [
    lambda nb: nb,
    stripped,
    no_ids,
    reordered,
    merged,
    duplicated,
    edited,
    without_checks,
    swapped,
    noisy,
    lines,
    format_3,
]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("change", KEPT, ids=lambda change: change.__name__)
def test_right_answers_are_found_whatever_happened(change: Callable[[Any], Any], tmp_path: Path, box: Sandbox) -> None:
    path = hand_in(tmp_path, "ada", change(notebook(FULL)))
    findings, _, submission = grade_folder(path.parent, "ada", "seed", box, {})
    assert {name: findings[name].message for name in CODE} == dict.fromkeys(CODE, "Right.")
    assert submission is not None
    for name, text in WRITTEN.items():
        assert submission.written(name) == text
        assert findings[name].status == BY_HAND


BROKEN = {
    "cut off": (json.dumps(notebook(FULL))[:5000], "not JSON, it may be cut off"),
    "empty": ("", "is empty"),
    "blank": (" \n", "is empty"),
    "a list": ("[1, 2]", "is JSON, and not a notebook"),
    "a number": ("3", "is JSON, and not a notebook"),
    "other JSON": ('{"a": 1}', "is JSON, and not a notebook"),
    "cells that are a text": ('{"cells": "abc"}', "has no cells"),
    "no cells": ('{"cells": []}', "has no cells"),
    "a cell that is a number": ('{"cells": [3]}', "is not a cell"),
    "a cell of no kind": ('{"cells": [{"source": "x"}]}', "cell 1 is not a notebook's cell"),
    "a source that is a number": ('{"cells": [{"cell_type": "code", "source": 3}]}', "cell 1 is not"),
    "nested without end": ("[" * 100_000, "not JSON"),
    "another kernel": (notebook(FULL) | {"metadata": {"kernelspec": {"language": "R"}}}, "kernel: 'R'"),
    "not text": (b"\xff\x00\x80PK\x03", "is not text in UTF-8"),
    "a program": (b"\x7fELF\x80", "is not text in UTF-8"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_not_graded_with_the_reason(name: str, tmp_path: Path) -> None:
    content, words = BROKEN[name]
    path = hand_in(tmp_path, "ada", content)
    findings, _, _ = grade_folder(path.parent, "ada", "seed", None, {})  # type: ignore[arg-type]
    assert {finding.status for finding in findings.values()} == {NOT_GRADED}
    assert all(words in finding.message for finding in findings.values()), findings["adamw"]


@pytest.mark.parametrize(
    ("kernel", "language"),
    [
        ({"name": "conda-env-course-py"}, None),
        ({"name": "eecs182", "language": ""}, {}),
        ({"name": "eecs182"}, {"name": "ipython"}),
        ({"name": "xpython", "language": "Python"}, {"name": "python"}),
        (None, None),
        ("python3", 3),
    ],
)
def test_a_kernel_may_be_named_anything(kernel: Any, language: Any, tmp_path: Path) -> None:
    made = notebook(FULL) | {"metadata": {"kernelspec": kernel, "language_info": language}}
    assert read(hand_in(tmp_path, "ada", made)).is_answered()


def test_other_encodings_are_read(tmp_path: Path) -> None:
    text = json.dumps(notebook(FULL), ensure_ascii=False)
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path = hand_in(tmp_path, encoding, text.encode(encoding))
        assert read(path).written("written_1a_i") == WRITTEN["written_1a_i"]


def test_which_file_is_meant(tmp_path: Path) -> None:
    folder = tmp_path / "ada" / NAME
    with pytest.raises(NotReadable, match="no notebook"):
        find(folder)
    hand_in(tmp_path, "ada", notebook(FULL), "my homework.ipynb")
    path, notes = find(folder)
    assert path.name == "my homework.ipynb"
    assert notes == ("the notebook is named my homework.ipynb",)
    hand_in(tmp_path, "ada", {"cells": [{"cell_type": "code", "source": "1 + 1"}]}, "scratch.ipynb")
    assert find(folder)[0].name == "my homework.ipynb"  # the only one that answers a question
    hand_in(tmp_path, "ada", "")  # an empty file of the right name
    assert find(folder)[0].name == "my homework.ipynb"
    hand_in(tmp_path, "ada", notebook({}))  # the right name, and nothing answered
    path, notes = find(folder)
    assert path.name == "my homework.ipynb"
    assert "has the answers; not read: explore_Adam.ipynb, scratch.ipynb" in notes[1]
    hand_in(tmp_path, "ada", notebook(FULL), "the same.ipynb")
    assert find(folder)[0].name == "my homework.ipynb"
    hand_in(tmp_path, "ada", notebook(RIGHT), "second.ipynb")
    with pytest.raises(NotReadable, match="several notebooks with answers: my homework"):
        find(folder)
    for name in ("my homework", "the same", "second"):
        (folder / f"{name}.ipynb").unlink()
    assert find(folder)[0].name == f"{NAME}.ipynb"  # nobody has answered anything


@pytest.mark.parametrize(
    "place", ["explore_Adam.ipynb", "homework-3/explore_Adam.ipynb", "explore_Adam/src/nb/explore_Adam.ipynb"]
)
def test_a_notebook_is_found_in_the_folders_of_other_platforms(place: str, tmp_path: Path) -> None:
    for name in (place, "__MACOSX/._explore_Adam.ipynb", ".ipynb_checkpoints/explore_Adam-checkpoint.ipynb"):
        (tmp_path / "ada" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ada" / name).write_text(json.dumps(notebook(FULL)))
    assert find(tmp_path / "ada" / NAME) == (tmp_path / "ada" / place, ())


def test_a_folder_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ada" / NAME / "closed").mkdir(parents=True)
    real = os.scandir

    def scandir(place: Any) -> Any:
        if os.fspath(place).endswith("closed"):
            raise PermissionError(13, "Permission denied", os.fspath(place))
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)  # root may open anything
    with pytest.raises(NotReadable, match="closed cannot be opened: Permission denied"):
        find(tmp_path / "ada" / NAME)


def test_links_pipes_and_folders_are_not_followed(tmp_path: Path) -> None:
    hand_in(tmp_path, "ben", notebook(FULL))
    (tmp_path / "cleo").mkdir()
    (tmp_path / "cleo" / NAME).symlink_to(tmp_path / "ben" / NAME)
    (tmp_path / "dan").symlink_to(tmp_path / "ben")
    for student in ("cleo", "dan"):
        with pytest.raises(NotReadable, match="is a link to somewhere else"):
            find(tmp_path / student / NAME)
    folder = tmp_path / "ada" / NAME
    folder.mkdir(parents=True)
    secret = tmp_path / "secret.ipynb"
    secret.write_text(json.dumps(notebook(FULL)))
    (folder / f"{NAME}.ipynb").symlink_to(secret)
    with pytest.raises(NotReadable, match="cannot be opened"):
        read(find(folder)[0])
    (folder / f"{NAME}.ipynb").unlink()
    os.mkfifo(folder / f"{NAME}.ipynb")
    with pytest.raises(NotReadable, match="is not a file"):
        read(folder / f"{NAME}.ipynb")


TWICE = "def adamw(theta, grad, state, *, lr, weight_decay, **rest):\n    return theta, state\n"


@pytest.mark.parametrize(
    ("cells", "status", "words"),
    [
        ([("adamw", RIGHT["adamw"]), ("", RIGHT["adamw"])], GRADED, "Right."),  # a copy of the cell
        ([("adamw", RIGHT["adamw"]), ("", TWICE)], GRADED, "Right."),  # its own cell counts
        ([("", TWICE), ("adamw", RIGHT["adamw"])], GRADED, "Right."),
        ([("", TWICE), ("", RIGHT["adamw"])], GRADED, "Right."),  # the last counts, as in a kernel
        ([("", RIGHT["adamw"]), ("", TWICE)], NOT_GRADED, "cells 2, 3, in different ways"),
        ([("adamw", TWICE), ("adamw", RIGHT["adamw"])], GRADED, "Right."),
        ([("adamw", TWICE + RIGHT["adamw"])], GRADED, "Right."),  # the last of a cell
        ([("adamw", "AdamW = 3")], GRADED, "its cell defines none"),
        ([("", "x = 3")], NOT_GRADED, "the cell that asks for it is gone"),
        ([("adamw", "adamw = 3")], GRADED, "A function is asked for, and this is an int"),
        ([("adamw", "def adamw(:\n  pass")], GRADED, "SyntaxError"),
        ([("adamw", "adamw = undefined + 1")], GRADED, "cell 2 stopped with NameError"),
        ([("adamw", "from math import *\nfrom numpy import *\n" + RIGHT["adamw"])], GRADED, "Right."),
    ],
)
def test_which_definition_counts(cells: list[tuple[str, str]], status: str, words: str, box: Sandbox) -> None:
    made = Submission((Cell("code", "", IMPORTS), *(Cell("code", id, text) for id, text in cells)))
    finding = in_sandbox(made, {QUESTIONS["adamw"]: 5}, box)["adamw"]
    assert finding.status == status, finding
    assert words in finding.message


def test_an_answer_that_was_left_open_is_a_zero_with_a_reason(box: Sandbox) -> None:
    released = {
        c["metadata"]["nbgrader"]["grade_id"]: "".join(c["source"])
        for c in json.loads(RELEASED.read_text())["cells"]
        if "nbgrader" in c["metadata"]
    }
    for question in CODE:
        finding = grade_one(box, question, released[question])
        assert (finding.status, finding.mistake) == (GRADED, "open"), question
