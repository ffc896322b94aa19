"""What a running kernel says of its notebook: which answer of the file counts, and what is answered there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbclient
import nbformat
import pytest
from helpers.readings import IMPORTS, C, F, R, W
from helpers.submissions import counted

from adamw_pset.checks import notebook_live, verdicts
from adamw_pset.checks.notebook_live import Run

OTHER = R.replace("l2 * lr", "lr * l2")  # right as well
STUB = f"def {F}(l2, lr):\n    raise NotImplementedError\n"
HELPED = f"def {F}(l2, lr):\n    return helper(l2, lr)\n"
GIVEN, THIRD, BELOW = "another weight_decay_factor in the cell that asks for it", "in cell 3,", "in cell 4,"
BEFORE, AFTER = -9.0, 9.0  # when a cell ran, in seconds from when the file was saved

# situation: (cells of the file: scratch above, given, check, scratch below), (cells run: id, text, when), what is told
SITUATIONS: dict[str, tuple[tuple[str, str, str, str], list[tuple[str, str, float]], str]] = {
    "as it should be": (("", R, C, ""), [(F, R, BEFORE)], ""),
    "not saved yet": (("", STUB, C, ""), [(F, R, AFTER)], ""),
    "not saved yet, and no ids are sent": (("", STUB, C, ""), [("", R, AFTER)], ""),
    "in a new cell that is in no file yet": (("", STUB, C, ""), [("new", R, AFTER)], ""),
    "above the stub": ((R, STUB, C, ""), [("above", R, BEFORE)], GIVEN),
    "above the stub, and no ids are sent": ((R, STUB, C, ""), [("", R, BEFORE)], GIVEN),
    "above the stub, run after the last save": ((R, STUB, C, ""), [("above", R, AFTER)], GIVEN),
    "above an old version": ((R, W, C, ""), [(F, W, BEFORE), ("above", R, BEFORE)], GIVEN),
    "above another that is right": ((R, OTHER, C, ""), [("above", R, BEFORE)], ""),
    "above another that is right with the kernel's helper": ((R, HELPED, C, ""), [("above", R, BEFORE)], ""),
    "copied from above into the given cell": ((R, STUB, C, ""), [("above", R, BEFORE), (F, R, AFTER)], ""),
    "mended in its cell, and then run above": ((R, W, C, ""), [(F, R, AFTER), ("above", OTHER, AFTER)], ""),
    "below the check": (("", STUB, C, R), [("below", R, BEFORE)], ""),
    "below the check, an old version in its cell": (("", W, C, R), [("below", R, BEFORE)], ""),
    "between the given cell and the check": (("", STUB, R + C, ""), [("check", R + C, BEFORE)], ""),
    "right at its check, wrong below": (("", R, C, W), [(F, R, BEFORE)], ""),
    "wrong between given cell and check": (("", R, W + C, ""), [("check", W + C, BEFORE), (F, R, BEFORE)], THIRD),
    "no check, and wrong below": (("", STUB, "", W), [("above", R, BEFORE)], BELOW),
    "changed in its cell since, and not run": (("", W, C, ""), [(F, R, BEFORE)], GIVEN),
    "deleted since": (("", "", C, ""), [(F, R, BEFORE)], "has no weight_decay_factor"),
    "other spaces around it": (("", f"\n{R}\n\n", C, ""), [(F, R, BEFORE)], ""),
    "no cell is known to have made it": ((R, STUB, C, ""), [], ""),
}  # fmt: skip


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    running = SimpleNamespace(user_ns={"helper": lambda l2, lr: l2 * lr})
    monkeypatch.setattr(notebook_live, "shell", lambda: running)
    monkeypatch.setattr(notebook_live, "RUNS", [])
    monkeypatch.setattr(verdicts, "in_notebook", lambda: False)
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "mine.ipynb"))
    return running


def save(path: Path, texts: Any, ids: Any = ("above", F, "check", "below")) -> None:
    cells = [
        {"cell_type": "code", "id": id, "metadata": {}, "source": text} for id, text in zip(ids, texts, strict=True)
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


@pytest.mark.parametrize("name", SITUATIONS)
def test_check_says_where_another_answer_counts(
    name: str, kernel: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, runs, words = SITUATIONS[name]
    path = tmp_path / "mine.ipynb"
    save(path, texts)
    now = path.stat().st_mtime
    notebook_live.RUNS.extend(Run(cell, text, now + when) for cell, text, when in runs)
    verdicts.check(F, lambda l2, lr: l2 * lr)
    said = " ".join(capsys.readouterr().out.split()).removeprefix(f"✓ {F}: right.").strip()
    assert bool(said) == bool(words), said
    assert words in said
    assert not said or said.endswith(notebook_live.MEND)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("{here}/mine.ipynb", True),
        ("{home}/mine.ipynb", True),  # from the server's root
        ("mine.ipynb", True),
        ("{here}/other/mine.ipynb", False),  # gone: the file of that name here is another
        ("other/mine.ipynb", False),
        ("{here}/gone.ipynb", False),
        ("{here}/mine.txt", False),
        ("0a1b-2c3d", False),
        ("", False),
    ],
)
def test_only_a_file_that_is_told_is_taken_for_the_notebook(
    told: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.ipynb", "explore_Adam.ipynb", "mine.txt"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setenv("JPY_SESSION_NAME", told.format(here=tmp_path, home=tmp_path.name))
    assert notebook_live.this_notebook({}) == (tmp_path / "mine.ipynb" if found else None)
    monkeypatch.setenv("JPY_SESSION_NAME", "")
    assert bool(notebook_live.this_notebook({"__vsc_ipynb_file__": told.format(here=tmp_path, home="")})) == (
        found and "home" not in told
    )


SETUP = (
    IMPORTS + "import pandas as pd\nfrom adamw_pset import open_questions, summary\n"
    "for name, unwritten in open_questions().items():\n    globals().setdefault(name, unwritten)\n"
)


@pytest.mark.filterwarnings("default")  # of Jupyter's own packages
def test_in_a_kernel_where_run_all_stopped_summary_reads_the_saved_file(tmp_path: Path) -> None:
    sources = [
        SETUP,
        "print('above')\n" + OTHER,
        W,
        C,
        "def best_accuracy(table):\n    return 0.1",
        "summary(globals())",
    ]
    ids = ["setup", "above", F, "check", "best_accuracy", "summary"]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text, id=id) for text, id in zip(sources, ids, strict=True)]
    )
    path = tmp_path / "mine.ipynb"
    nbformat.write(notebook, path)
    os.utime(path, (time.time() + 600,) * 2)  # saved later than all that runs here
    client = nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}, allow_errors=True)
    with client.setup_kernel(env=os.environ | {"JPY_SESSION_NAME": str(path)}):

        def run(*names: str) -> str:
            for name in names:
                number = ids.index(name)
                cell = client.execute_cell(notebook.cells[number], number)
            return "".join(output.get("text", "") or output.get("evalue", "") for output in cell.outputs)

        assert f"✗ {F}" in run("setup", F, "check")
        first, checked, last = run("summary"), run("above", "check"), run("summary")
    rows = dict(line.split(maxsplit=1) for line in first.splitlines())
    assert rows[F].startswith("✗")
    assert rows["best_accuracy"].startswith("✗")  # further down, and not run here
    assert rows["adamw"] == "○ open"
    assert counted(0, 0) in first
    assert "mine.ipynb as it was saved at" in first
    assert "But mine.ipynb has" in " ".join(checked.split())
    assert f"Right in this kernel, and not in that file: {F}." in last
