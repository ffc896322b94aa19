"""Written answers, wherever they were written: found, and open only where nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.submissions import notebook

from adamw_pset.checks.notebook_file import load, parse
from adamw_pset.checks.notebook_written import BESIDE, states, written_answer
from adamw_pset.checks.verdicts import numbers
from adamw_pset.cli import main
from autograder.assignment.questions import ALL

Q, HEADING = "written_1a_i", "## 1(a)(i) SGD does not care"
IN_WORDS = "It follows from both λ_w = η λ_ℓ2."
MINE = "Put (2) into (3): λ_w = η λ_ℓ2."
WRITTEN = numbers()["written"]


def cell(source: str, kind: str = "markdown") -> dict[str, Any]:
    return {"cell_type": kind, "id": "own", "metadata": {}, "source": source}


def place(nb: Any, name: str = Q) -> int:
    """Where the cell of this id, or of this heading, stands."""
    return next(n for n, c in enumerate(nb["cells"]) if c["id"] == name or "".join(c["source"]).startswith(name))


def beside(by: int, made: dict[str, Any] | None) -> Callable[[Any], None]:
    def change(nb: Any) -> None:
        if made is None:
            del nb["cells"][place(nb) + by]
        else:
            nb["cells"].insert(place(nb) + by, made)

    return change


def put(text: str, name: str = Q, **more: Any) -> Callable[[Any], None]:
    def change(nb: Any) -> None:
        it = nb["cells"][place(nb, name)]
        it.update(source=text.replace("{}", "".join(it["source"])), **more)

    return change


def moved(nb: Any) -> None:
    beside(0, None)(nb)
    put("{}\n" + MINE, HEADING)(nb)


# what was done to the notebook: (how, the state of the answer)
PLACES: dict[str, tuple[Callable[[Any], None], str]] = {
    "nothing": (lambda _: None, "open"),
    "in its cell": (put(MINE), "answered"),
    "below the placeholder": (put("{}\n\n" + MINE), "answered"),
    "above the placeholder": (put(MINE + "\n\n{}"), "answered"),
    "the placeholder without its stars": (put(" Your answer here. "), "open"),
    "nothing at all in its cell": (put(""), "open"),
    "in a new cell below": (beside(1, cell(MINE)), BESIDE),
    "in a new cell above": (beside(0, cell(MINE)), BESIDE),
    "in a new raw cell": (beside(1, cell(MINE, "raw")), BESIDE),
    "in a new cell further up": (beside(-3, cell(MINE)), BESIDE),
    "in an empty new cell": (beside(1, cell("  ")), "open"),
    "in the cell that leads to it": (put("{}\n\n" + MINE, "Now write the derivation"), BESIDE),
    "in the cell of the heading": (put("{}\n\n" + MINE, HEADING), BESIDE),
    "in a code cell, as it is": (beside(1, cell(IN_WORDS, "code")), BESIDE),
    "in a code cell, as a comment": (beside(1, cell(f"# {MINE}\n# and so on", "code")), BESIDE),
    "in a code cell, as a text": (beside(1, cell(f'"""\n{MINE}\n"""', "code")), BESIDE),
    "a trial of one's own": (beside(1, cell("# a trial\nfor k in range(3):\n    print(k)", "code")), "open"),
    "an import of one's own": (beside(1, cell("from math import sqrt as root", "code")), "open"),
    "its cell retyped to code": (put(MINE, cell_type="code"), "answered"),
    "under the next heading": (beside(2, cell(MINE)), "open"),
    "its cell is gone": (beside(0, None), "not found"),
    "its cell is gone, and a new one is there": (moved, "answered"),
}  # fmt: skip


def no_metadata(nb: Any) -> None:
    for one in nb["cells"]:
        one["metadata"] = {}


def null_metadata(nb: Any) -> None:
    nb["metadata"] = None
    for one in nb["cells"]:
        one["metadata"] = None


def no_ids(nb: Any) -> None:
    null_metadata(nb)
    for one in nb["cells"]:
        del one["id"]


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("lost", [lambda _: None, no_metadata, no_ids], ids=["kept", "no metadata", "no ids"])
def test_an_answer_is_found_wherever_it_was_written(name: str, lost: Callable[[Any], None]) -> None:
    change, state = PLACES[name]
    nb = notebook({})
    change(nb)
    lost(nb)
    cells = parse(json.dumps(nb).encode()).cells
    found = states(cells, numbers())
    if lost is no_ids and name == "its cell retyped to code":
        state = "not found"  # a line of code like others
    assert found.pop(Q) == state
    assert (set(found.values()) == {"open"}) == (name != "under the next heading")
    assert ("λ_w = η λ_ℓ2" in (written_answer(cells, Q, numbers()) or "")) == (state in ("answered", BESIDE))


@pytest.mark.parametrize(
    "encode",
    [
        lambda nb: json.dumps(nb).encode(),
        lambda nb: json.dumps(nb, ensure_ascii=False).encode("utf-8-sig"),
        lambda nb: json.dumps(nb, ensure_ascii=False).encode("utf-16"),
        lambda nb: json.dumps({"nbformat": 3, "metadata": None, "worksheets": [{"cells": nb["cells"]}]}).encode(),
    ],
    ids=["utf-8", "with a mark", "utf-16", "format 3"],
)
@pytest.mark.parametrize("lost", [no_metadata, null_metadata, no_ids])
def test_the_command_line_finds_them_in_whatever_the_grader_reads(
    encode: Callable[[Any], bytes], lost: Callable[[Any], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nb = notebook(dict.fromkeys(WRITTEN, MINE))
    lost(nb)
    nb["cells"] = [one for one in nb["cells"] if one["cell_type"] == "markdown"]
    (tmp_path / "mine.ipynb").write_bytes(encode(nb))
    assert set(states(load(tmp_path / "mine.ipynb").cells, numbers()).values()) == {"answered"}
    if lost is no_ids:
        assert main(["check", str(tmp_path / "mine.ipynb")]) == 1
        assert f"{len(WRITTEN)} of {len(WRITTEN)} written answers given" in capsys.readouterr().out


@pytest.mark.parametrize("lost", [lambda _: None, no_metadata, no_ids], ids=["kept", "no metadata", "no ids"])
def test_words_of_another_edition_are_no_answers(lost: Callable[[Any], None]) -> None:
    nb = notebook({})
    for one in nb["cells"]:
        if one["cell_type"] == "markdown" and not one["id"].startswith("written_"):
            one["source"] = "".join(one["source"]) + " "
            one["source"] += "A word more."
    lost(nb)
    assert "answered" not in states(parse(json.dumps(nb).encode()).cells, numbers()).values()


def test_each_written_question_has_a_heading_of_its_own() -> None:
    assert len(set(WRITTEN.values())) == len(WRITTEN) == sum(question.kind == "written" for question in ALL)
