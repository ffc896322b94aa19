"""The oracle of readings: the same cells in a real kernel say right exactly where the grader does."""

from __future__ import annotations

import random
from pathlib import Path

import nbclient
import nbformat
import pytest
from helpers.readings import ALIKE, IMPORTS, C

SAMPLE = 8  # kernels of a run, a few seconds each; all of them:  pytest tests/grading/test_live_kernel.py --all-live


def right_live(cells: list[str], folder: Path) -> bool:
    """Whether ``check`` says right in a kernel, where it stands or at the notebook's end."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(str(cell)) for cell in (IMPORTS, *cells, C)])
    notebook.cells[-1].source = f"from adamw_pset import check\n{C}"  # whatever the notebook has made of check
    settings = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=60, allow_errors=True, resources=settings).execute()
    texts = [str(output.get("text", "")) for cell in notebook.cells for output in cell.get("outputs", ())]
    return any("✓ weight_decay_factor: right." in text for text in texts)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = sorted(ALIKE)
    chosen = names if metafunc.config.getoption("--all-live") else random.Random(182).sample(names, SAMPLE)
    metafunc.parametrize("name", chosen)


@pytest.mark.filterwarnings("default")  # of Jupyter's own packages
def test_a_kernel_says_the_same(name: str, tmp_path: Path) -> None:
    right, cells = ALIKE[name]
    assert right_live(cells, tmp_path) == right
