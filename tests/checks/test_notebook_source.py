"""Rules from a notebook: what is read, what is left alone, what is said about broken cells."""

from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from adamw_pset.checks.notebook_answers import in_another_process, load_notebook
from adamw_pset.checks.notebook_slice import by_itself
from adamw_pset.cli import main
from adamw_pset.table import read_table

RULE = """import torch
from adamw_pset import State
BETA = 0.9
def mine(theta, grad, state, *, lr, weight_decay):
    m = BETA * state.m + (1 - BETA) * grad
    return (1 - weight_decay) * theta - lr * torch.sign(m), State(state.t + 1, m, state.v)
"""


SHELL = {"In", "Out", "get_ipython", "exit", "quit", "open"}  # what IPython puts into every namespace


def notebook(folder: Path, *sources: Any) -> Path:
    cells = [{"cell_type": "markdown", "source": ["# Title\n", "1 + 1 = 2 is not code"]}]
    cells += [{"cell_type": "code", "source": source} for source in sources]
    path = folder / "answers.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
    return path


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        ([RULE], {"mine", "BETA", "State", "torch"}),
        (["x = 1\n", "y = x + 1\n"], {"x", "y"}),
        (["%matplotlib inline\n!exit 1\nz: int = 3\n"], {"z"}),
        (["%%bash\nexit 1\n", "x = 1"], {"x"}),
        (["%%time\nx = 1\n", "%%capture out\ny = 1"], {"x", "y", "out"}),
        ([["def f():\n", "    return 1\n"]], {"f"}),
        (["if True:\n    def f(): ...\nelse:\n    f = None\n"], {"f"}),
        (["import asyncio\nx = await asyncio.sleep(0, 3)"], {"asyncio", "x"}),
    ],
)
def test_cells_are_run_as_a_kernel_runs_them(tmp_path: Path, sources: list[Any], names: set[str]) -> None:
    found = load_notebook(notebook(tmp_path, *sources))
    own = {name for name, value in found.items() if name[0] != "_" and name not in SHELL}
    assert own == names


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("eps = float('0.5')\ndef f(): return eps\n", 0.5),  # a constant that is made by a call
        ("def f(): return late()\nlate = lambda: 2\n", 2),  # a helper below it
        ("def f(): return a\na = 1\na += 1\na = a * 5\n", 10),
        ("table = {}\nfor i in range(3):\n    table[i] = i\ndef f(): return table[2]\n", 2),
        ("table = {}\ntable[1] = 9\ndef f(): return table[1]\n", 9),
        ("kept = []\nkept.append(4)\ndef f(): return kept[0]\n", 4),
        ("import math as m\nhalf = m.sqrt(0.25)\ndef g(): return half\ndef f(): return g()\n", 0.5),
        ("def f(): return 1\ntrain = explode()\nfor x in train: f()\n", 1),  # work that f does not need
        ("m = explode()\ndef f(m=3):\n    m = m.real\n    return m\n", 3),  # a local of the same name
        ("if len('ab') == 2:\n    def f(): return 7\n", 7),
        ("def base(): return 5\nf = wrap = (lambda g: g)(base)\n", 5),
    ],
)
def test_by_itself_what_a_function_needs_is_run_and_no_more(source: str, value: float) -> None:
    cells = source.splitlines(keepends=True) if "    " not in source else [source]
    assert by_itself(list(enumerate(cells)), "f", [])["f"]() == value


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f(:\n", "cell 2: SyntaxError"),
        ("import sys\ndef f(x=sys.exit(3)): ...\n", "cell 2: SystemExit"),
        ("import nothing_of_that_name\n", "cell 2: ModuleNotFoundError"),
    ],
)
def test_a_broken_cell_is_named_and_the_others_are_read(tmp_path: Path, source: str, words: str) -> None:
    with pytest.warns(UserWarning, match=words):
        found = load_notebook(notebook(tmp_path, source, "x = 1"))
    assert found["x"] == 1


@pytest.mark.filterwarnings("default")  # the cell is named on stderr too
def test_the_functions_of_a_cell_that_cannot_be_read_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = notebook(tmp_path, "def adamw(theta, grad, state, *, lr, weight_decay):\n    return (theta\n")
    assert main(["check", str(path)]) == 1
    (row,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("adamw ")]
    assert "✗ Your code stopped with SyntaxError: '(' was never closed, in line 2 of cell 2" in row
    command = ["heatmaps", "--rules", str(path), "--optimizers", "adamw", "--out", str(tmp_path)]
    assert main([*command, "--grid", "2", "--seeds", "1"]) == 2
    assert "cell 2: SyntaxError: '(' was never closed" in capsys.readouterr().err


def test_a_cell_that_ends_its_python_is_told(tmp_path: Path) -> None:
    path = notebook(tmp_path, "print('η')", "import os\nos.kill(os.getpid(), 9)")
    with pytest.raises(ValueError, match=r"answers\.ipynb could not be read to its end: exit code -9"):
        in_another_process(path)


def test_a_notebook_that_changes_torch_s_type_changes_it_for_itself(tmp_path: Path) -> None:
    found = load_notebook(
        notebook(tmp_path, "import torch\ntorch.set_default_dtype(torch.float64)", "x = torch.ones(1)")
    )
    assert (found["x"].dtype, torch.get_default_dtype()) == (torch.float64, torch.float32)


def test_sources_can_be_shown(tmp_path: Path) -> None:
    mine = load_notebook(notebook(tmp_path, RULE))["mine"]
    assert "torch.sign(m)" in inspect.getsource(mine)


def test_heatmaps_from_a_notebook_s_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = notebook(tmp_path, RULE)
    command = ["heatmaps", "--rules", str(path), "--grid", "2", "--seeds", "1", "--epochs", "1"]
    assert main([*command, "--optimizers", "mine", "--out", str(tmp_path)]) == 2
    assert "no ranges are known for mine: give --lrs LOW HIGH" in capsys.readouterr().err
    command += ["--lrs", "0.01", "0.1", "--decays", "0.01", "0.1"]
    assert main([*command, "--optimizers", "mine", "--out", str(tmp_path)]) == 0
    assert set(read_table(tmp_path / "heatmaps.csv")["optimizer"]) == {"mine"}
    capsys.readouterr()
    assert main([*command, "--out", str(tmp_path)]) == 2
    assert "no rule named adam_l2, adamw" in capsys.readouterr().err
    path.write_text(path.read_text().replace("BETA * state.m", "0.5 * state.m"))  # another rule now
    assert main([*command, "--optimizers", "mine", "--out", str(tmp_path)]) == 2
    assert "optimizers.mine.rule is" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"cells": 3}', '{"cells": []}'])
def test_a_file_that_is_no_notebook(tmp_path: Path, text: str) -> None:
    (tmp_path / "no.ipynb").write_text(text)
    with pytest.raises(ValueError, match="is not a Jupyter notebook"), warnings.catch_warnings():
        load_notebook(tmp_path / "no.ipynb")
