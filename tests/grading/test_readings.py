"""Situations that a notebook may be in: what counts, in the grader and in a real kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.readings import ALIKE, HELPED, HELPER, IMPORTS, PERSON, C, F, Own, R, Text, W
from helpers.submissions import RIGHT

from adamw_pset.checks.notebook_answers import notebook_verdicts
from adamw_pset.checks.notebook_file import Cell
from autograder.assignment.questions import QUESTIONS
from autograder.grading.finding import GRADED, NOT_GRADED
from autograder.grading.grade import in_sandbox
from autograder.grading.submission import Submission
from autograder.sandbox.sandbox import Sandbox

# What a kernel would not do here, or could not: right or wrong (True, False), or for a person.
OTHERWISE: dict[str, tuple[Any, list[str]]] = {
    "a library that is not here": (True, ["import nothing_of_that_name\n" + R, C]),
    "a helper that needs what is not here": (True, ["import nothing_of_that_name\n" + HELPER, HELPED, C]),
    "a question above it in its cell": (True, ["name = input()\n" + R, C]),
    "a download above it in its cell": (True, ["import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/x')\n" + R, C]),
    "a file that was not handed in": (True, ["text = open('data.csv').read()\n" + R, C]),
    "a magic of an extension": (True, ["%load_ext nothing_of_that_name\n%nothing\n" + R, C]),
    "names that a star import hides": (True, ["from torch import *", f"def {F}(l2, lr):\n    return float(l2 * lr)", C]),
    "a cell that never ends": (True, ["while True: pass", R, C]),
    "a cell that never ends and catches": (True, ["while True:\n    try:\n        while True: pass\n    except: pass", R, C]),
    "a cell that ends the kernel": (True, ["os._exit(0)", R, C]),
    "its cell ends the kernel": (True, [R + "os._exit(0)", C]),
    "a cell that fills the memory": (True, ["kept = [bytearray(1 << 28) for _ in range(64)]", R, C]),
    "a sweep above it in its cell": (True, [f"table = sweep(lambda t, g, s, *, lr, weight_decay: (t, s), [0.1], [0.1], make_data('easy'))\nassert len(table)\n{R}", C]),
    "a table of a sweep that is another": (True, ["t = sweep(len, [0.1, 1], [0.1], None)", f"t.slope_of_nothing\n{R}", C]),
    "Markdown": (PERSON, [Text(R), C]),
    "Markdown, a lambda": (PERSON, [Text(f"{F} = lambda l2, lr: l2 * lr"), C]),
    "Markdown, in words": (PERSON, [Text("The product, `l2 * lr`."), C]),
    "Markdown, and nothing in it": (False, [Text(" "), C]),
    "between fences, a lambda": (PERSON, [Own(f"~~~\n{F} = lambda l2, lr: l2 * lr\n~~~"), C]),
    "between fences": (PERSON, [Own(f"```python\n{R}```"), C]),
    "defined twice, and neither checked nor its own": (PERSON, [R, W]),
}  # fmt: skip


def submission(cells: list[str]) -> Submission:
    kinds = ["markdown" if isinstance(cell, Text) else "code" for cell in cells]
    own = [F if isinstance(cell, Own) else "" for cell in cells]
    return Submission((Cell("code", "", IMPORTS), *map(Cell, kinds, own, map(str, cells))))


def test_there_are_enough_of_them() -> None:
    assert len(ALIKE) >= 60


@pytest.mark.parametrize("name", [*ALIKE, *OTHERWISE])
def test_what_counts(name: str, box: Sandbox) -> None:
    right, cells = (ALIKE | OTHERWISE)[name]
    finding = in_sandbox(submission(cells), {QUESTIONS[F]: 5}, box)[F]
    if right is PERSON:
        assert finding.status == PERSON, finding
    else:
        assert (finding.status, not finding.mistake) == (GRADED, right), finding


ENDLESS = {name for name in OTHERWISE if "never ends" in name or "memory" in name}


@pytest.mark.filterwarnings("ignore")  # each cell that fails is named
@pytest.mark.parametrize("name", sorted({*ALIKE, *OTHERWISE} - ENDLESS))
def test_the_command_line_says_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    right, cells = (ALIKE | OTHERWISE)[name]
    verdict = notebook_verdicts(submission(cells))[F]
    assert (not verdict.mistake) == (right is True) or right is PERSON, verdict


def test_the_answers_of_a_notebook_are_read_in_one_run(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    real = box.run
    monkeypatch.setattr(box, "run", lambda *asked: runs.append(1) or real(*asked))
    cells = [Cell("code", name, RIGHT[name]) for name in RIGHT]
    made = Submission((Cell("code", "", IMPORTS + "import pandas as pd\n"), *cells))
    found = in_sandbox(made, {QUESTIONS[name]: 5 for name in RIGHT}, box)
    assert {name: finding.message for name, finding in found.items()} == dict.fromkeys(RIGHT, "Right.")
    assert len(runs) == 1


def test_readings_that_differ_are_told(box: Sandbox) -> None:
    for cells, words in (
        ([R, C, W], "right at its check; at the notebook's end: "),
        ([W, C, R], "right at the notebook's end; at its check: "),
        (["import nothing_of_that_name\n" + R, C], "right by itself; at the notebook's end: "),
    ):
        finding = in_sandbox(submission(cells), {QUESTIONS[F]: 5}, box)[F]
        assert finding.note.startswith(words), finding
    lacking = in_sandbox(submission(["import nothing_of_that_name", HELPED, C]), {QUESTIONS[F]: 5}, box)[F]
    assert "cell 2: No module named 'nothing_of_that_name'" in lacking.note


def test_syntax_of_a_newer_python_is_not_graded(box: Sandbox) -> None:
    in_its_cell, in_its_helper = [Own("x = ?\n" + R), C], ["x = ?\n" + HELPER, Own(HELPED), C]
    for cells in (in_its_cell, in_its_helper):
        for python, status in (((3, 99), NOT_GRADED), ((3, 8), GRADED), ((), GRADED)):
            finding = in_sandbox(Submission(submission(cells).cells, python), {QUESTIONS[F]: 5}, box)[F]
            assert (finding.status, finding.mistake != "") == (status, status == GRADED), finding
            assert ("written with Python 3.99" in finding.message) == (status == NOT_GRADED)
    right = Submission(submission(["x = ?", Own(R), C]).cells, (3, 99))
    assert in_sandbox(right, {QUESTIONS[F]: 5}, box)[F].message == "Right."


PATCHES = {  # cells before a wrong answer: it gains nothing, and the next submission is read as ever
    "check": "import adamw_pset.checks.notebook_source as n\nn.NotebookRun.check = lambda *_: None\nn.NotebookRun.answer = lambda *_: 0.1",
    "the shell": "from IPython.core.interactiveshell import InteractiveShell\nInteractiveShell.run_cell = InteractiveShell.run_code = lambda *_, **__: None",
    "the transformers": "get_ipython().input_transformers_cleanup.append(lambda lines: ['raise SystemExit'])",
    "the tree": "get_ipython().ast_transformers.append(object())",
    "State": "import adamw_pset.rule\nadamw_pset.rule.State = adamw_pset.State = State = lambda *_: 1 / 0",
    "torch": "torch.Tensor.__mul__ = torch.Tensor.sqrt = lambda *_: torch.zeros(3)\ntorch.equal = lambda *_: True",
    "the disk": "for k in range(99):\n    open(str(k), 'wb').write(bytes(1 << 20))",
    "threads": "import _thread, time\n_thread.stack_size(32768)\nwhile True: _thread.start_new_thread(time.sleep, (60,))",
    "the line": "os.write(3, b'\\xff' * 100)",
}


@pytest.mark.parametrize("name", PATCHES)
def test_a_cell_that_patches_what_runs_it_gains_nothing(name: str, box: Sandbox) -> None:
    finding = in_sandbox(submission([PATCHES[name], Own(W), C]), {QUESTIONS[F]: 5}, box)[F]
    assert finding.mistake, finding
    assert in_sandbox(submission([R, C]), {QUESTIONS[F]: 5}, box)[F].message == "Right."
