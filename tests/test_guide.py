"""The guide against the code: its commands exist, its numbers are true, its examples do what it says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("nbgrader", reason="pip install -e .[autograder]")

from helpers.submissions import RIGHT
from nbgrader.apps.nbgraderapp import NbGraderApp

from adamw_pset import cli, off_limits
from adamw_pset.maps.measures import with_interval
from autograder.__main__ import parser
from autograder.assignment.questions import ALL
from autograder.confined import lockdown, messages, worker
from autograder.demo import course
from autograder.grading import batch, finding, grade, seed, submission
from autograder.grading.marks import COLUMNS
from autograder.platforms import canvas, totals
from autograder.returning import graded_notebook
from autograder.sandbox import sandbox

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "autograder" / "README.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMENTARY = (ROOT / "docs" / "commentary.md").read_text(encoding="utf-8")
SOURCE = (ROOT / "autograder" / "source" / "explore_Adam.py").read_text(encoding="utf-8")
NOTEBOOK = re.sub(r"^# ?", "", SOURCE, flags=re.MULTILINE)  # its prose
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

OTHERS = {
    ("jupyter", "lab"),
    ("sudo", "apt-get"),
    ("less", "grades/attention.csv"),
    ("cd", "autograder"),
    ("dask", "scheduler"),
    ("dask", "worker"),
}

pytestmark = pytest.mark.filterwarnings("default")  # of nbgrader's own packages


def commands(text: str) -> list[str]:
    """Every command of a page: the lines of its sh blocks, and the table of the day."""
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    lines += re.findall(r"^\| \d+ \| `(.+?)` \|", text, re.MULTILINE)
    found = [re.sub(r"^\((.*)\)$", r"\1", line.split("#")[0].strip()) for line in lines]
    return [part.strip() for line in found for part in line.split("&&") if part.strip()]


def exists(command: str) -> None:
    """Raises if there is no such command, or it does not take these arguments."""
    words = shlex.split(command)
    program, arguments = Path(words[0]).name, words[1:]
    if program == "make":
        assert set(arguments) <= TARGETS, f"the Makefile has no {arguments}"
    elif program == "python" and arguments[:3] == ["-m", "pip", "install"]:
        assert set(arguments[3:]) <= {"-c", "constraints.txt", "-e", ".[cluster]", ".[autograder]"}
    elif program == "python":
        assert arguments[:2] == ["-m", "autograder"]
        parser().parse_args(arguments[2:])
    elif program == "adamw-pset":
        if arguments[1:] != ["--help"]:
            cli.parser().parse_args(arguments)
    elif program == "nbgrader":
        assert arguments[0].replace("_", "-") in {name.replace("_", "-") for name in NbGraderApp.subcommands}
    else:
        assert (program, *arguments[:1]) in OTHERS


@pytest.mark.parametrize("command", sorted({*commands(GUIDE), *commands(README)}))
def test_each_command_exists(command: str) -> None:
    exists(command)


@pytest.mark.parametrize(
    "command",
    [
        "make heatmap",
        "python -m autograder regrade X",
        "python -m autograder export excel",
        "nbgrader grade",
        "rm -rf grades",
        "adamw-pset maps",
    ],
)
def test_a_command_that_does_not_exist_would_be_seen(command: str) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        exists(command)


def test_the_day_has_ten_commands() -> None:
    assert re.findall(r"^\| (\d+) \| `", GUIDE, re.MULTILINE) == [str(number) for number in range(1, 11)]


FACTS: list[tuple[str, Any, Any]] = [  # what the guide says, the code's value, what the words mean
    ("four seconds of processor time", lockdown.CPU_SECONDS, 4),
    ("one gigabyte of memory", lockdown.MEMORY, 1 << 30),
    ("64 threads", worker.THREADS, 64),
    ("a submission has 60 seconds", grade.SECONDS, 60),
    ("one last run's 60", sandbox.RUN_PATIENCE, 60),
    ("messages of at most 4 megabytes", messages.ANSWER, 4 << 20),
    ("at most 48 megabytes, 2000 cells and 4 million letters", submission.LARGEST, 48 << 20),
    ("at most 48 megabytes, 2000 cells and 4 million letters", (submission.CELLS, submission.TEXT), (2000, 4 << 20)),
    ("each of at most a megabyte", graded_notebook.DRAWN, 1 << 20),
    ("`optimizers` and `maps` of `adamw_pset`", off_limits.OURS, ("adamw_pset.optimizers", "adamw_pset.maps")),
    ("34 submissions", len(list(course.submissions())), 34),
    (
        "`grades.csv`: `student, question, score, max_score, status, message`",
        ", ".join(finding.Row._fields),
        "student, question, score, max_score, status, message",
    ),
    (
        "`student, score, max_score, status, message`",
        ", ".join(totals.Total._fields),
        "student, score, max_score, status, message",
    ),
    ("`student, question, score, comment`", ", ".join(COLUMNS), "student, question, score, comment"),
    ("`graded`", finding.GRADED, "graded"),
    ("`needs manual grading`", finding.BY_HAND, "needs manual grading"),
    ("`not graded`", finding.NOT_GRADED, "not graded"),
    ("`grades.csv`", batch.GRADES, "grades.csv"),
    ("`attention.csv`", batch.ATTENTION, "attention.csv"),
    ("`journal.jsonl`", batch.JOURNAL, "journal.jsonl"),
    ("`seed.txt`", seed.SEED_FILE, "seed.txt"),
    ("two or three submissions", batch.RARE, 3),
    ("`SIS Login ID`, `SIS User ID` or `ID`", canvas.IDS, ("SIS Login ID", "SIS User ID", "ID")),
    ("sudo apt-get install bubblewrap", sandbox.INSTALL, "sudo apt-get install bubblewrap"),
]


@pytest.mark.parametrize(("words", "value", "meant"), FACTS)
def test_each_fact_is_true(words: str, value: Any, meant: Any) -> None:
    assert words in " ".join(GUIDE.split())
    assert value == meant


def test_every_file_that_the_guide_names_exists() -> None:
    for name in re.findall(r"`((?:[a-z_]+/)*[a-z_A-Z]+\.(?:py|toml))`", GUIDE):
        assert (ROOT / "autograder" / name).exists(), name


# --- the commentary's numbers, from the tables of docs/figures -------------------------------------


def value(figure: str, optimizer: str, column: str) -> list[float]:
    table = pd.read_csv(ROOT / "docs" / "figures" / figure / "tuning.csv").set_index("optimizer")
    return [float(table.loc[optimizer, name]) for name in (column, f"{column}_low", f"{column}_high")]


def said(numbers: list[float], digits: int, sign: str = "") -> str:
    """A value with its interval, as prose writes it: a true minus sign."""
    return sign + with_interval(*numbers, digits=digits)


NUMBERS = [
    f"slope {said(value('plain', 'adam_l2', 'slope'), 2)}",
    f"move with it ({said(value('plain', 'adamw', 'slope'), 2, '+')})",
    f"about equally high: {said(value('adam', 'adam_l2', 'best_accuracy'), 3)} and "
    f"{said(value('adam', 'adamw', 'best_accuracy'), 3)}",
    f"({value('adam', 'adamw', 'good_fraction')[0]:.2f} against "
    f"{value('adam', 'adam_l2', 'good_fraction')[0]:.2f} above 90 %)",
    f"(about {value('notebook', 'adam_l2', 'best_accuracy')[0]:.2f} and "
    f"{value('notebook', 'adamw', 'best_accuracy')[0]:.2f} on this grid of 9 × 9",
    f"{said(value('adam', 'adam_l2', 'best_turn'), 1)} degrees a step with ℓ2 and "
    f"{said(value('adam', 'adamw', 'best_turn'), 1)} with AdamW",
    f"{said(value('adam', 'adamw', 'best_timescale'), 2)} epochs (the card's",
]


@pytest.mark.parametrize("words", NUMBERS)
def test_each_number_of_the_commentary_is_measured(words: str) -> None:
    assert words in " ".join(COMMENTARY.split())


def signed(figure: str, optimizer: str, column: str, digits: int = 2) -> str:
    return said([value(figure, optimizer, column)[0], np.nan, np.nan], digits)


IN_NOTEBOOK = [
    f"the best accuracies {signed('adam', 'adam_l2', 'best_accuracy', 3)} and "
    f"{signed('adam', 'adamw', 'best_accuracy', 3)} (in brackets",
    f"sets it (a = {signed('adam', 'adamw', 'turn_lr_power')}, b = {signed('adam', 'adamw', 'turn_decay_power')})",
    f"together (a = {signed('adam', 'adam_l2', 'turn_lr_power')}, b = {signed('adam', 'adam_l2', 'turn_decay_power')})",
    f"in proportion: −a/b = {signed('adam', 'adam_l2', 'turn_slope')}, and the map says",
    f"there −a/b is {signed('plain', 'adam_l2', 'turn_slope', 1)} and {signed('plain', 'adamw', 'turn_slope', 1)}, and",
]


@pytest.mark.parametrize("words", IN_NOTEBOOK)
def test_each_number_of_the_notebook_is_measured(words: str) -> None:
    assert words in " ".join(NOTEBOOK.split())


def test_every_value_with_an_interval_is_in_a_table_of_figures() -> None:
    """Whichever it is: what ``make figures`` no longer gives stands in no text."""
    known = set()
    for file in (ROOT / "docs" / "figures").glob("*/tuning.csv"):
        table = pd.read_csv(file).set_index("optimizer")
        for column in (name for name in table if f"{name}_low" in table):
            for numbers in table[[column, f"{column}_low", f"{column}_high"]].to_numpy():
                known |= {said(list(numbers), digits) for digits in range(4)}
    for name, text in {"README": README, "notebook": NOTEBOOK}.items():
        found = re.findall(r"−?\d+(?:\.\d+)? \[−?[\d.]+, −?[\d.]+\]", " ".join(text.split()))
        assert len(found) > 20
        assert [each for each in found if each not in known] == [], name


MEASURED = {  # the tables of theory and measurement: rule, its figure and its name there
    "SGD + ℓ2": ("sgd", "sgd"),
    "SGDW": ("sgd", "sgdw"),
    "Adam + ℓ2": ("adam", "adam_l2"),
    "AdamW, eq. (1)": ("adam", "adamw"),
    "AdamW, PyTorch's λ": ("conventions", "adamw_torch"),
}


@pytest.mark.parametrize("rule", MEASURED)
def test_theory_stands_beside_what_was_measured(rule: str) -> None:
    a, b, turn, slope = (
        said(value(*MEASURED[rule], column), 2)
        for column in ("turn_lr_power", "turn_decay_power", "turn_slope", "slope")
    )
    in_commentary = [line for line in COMMENTARY.splitlines() if f"| {a}, {b} | {turn} | {slope} |" in line]
    assert [line.split(" | ")[0] for line in in_commentary] == [f"| {rule}"]
    in_readme = [
        line for line in README.splitlines() if f"| {a} | {b} | {turn} |" in line and line.endswith(f"{slope} |")
    ]
    assert [line.split(" | ")[1] for line in in_readme] == [rule]


@pytest.mark.parametrize("optimizer", ["adam_l2", "adamw"])
@pytest.mark.parametrize("figure", ["digits", "convolutions", "crowded"])
def test_the_law_on_other_data_is_measured(figure: str, optimizer: str) -> None:
    a, b, turn, slope = (
        said(value(figure, optimizer, column), 2)
        for column in ("turn_lr_power", "turn_decay_power", "turn_slope", "slope")
    )
    best = said(value(figure, optimizer, "best_turn"), 1)
    slope = "none told" if slope == "–" else slope
    assert f"| {a}, {b} | {turn} | {slope} | {best} |" in README


@pytest.mark.parametrize(
    ("column", "digits"),
    [
        ("best_accuracy", 3),
        ("good_fraction", 3),
        ("slope", 2),
        ("separability", 3),
        ("two_line_regret", 3),
        ("expected_best_of_8", 3),
        ("best_turn", 1),
        ("turn_slope", 2),
    ],
)
def test_each_number_of_the_first_table_is_measured(column: str, digits: int) -> None:
    cells = [said(value("adam", name, column), digits) for name in ("adam_l2", "adamw")]
    assert " | ".join(cells) in README.replace("**", "")


LAW = {  # rule: powers of (lr, decay) in the effective learning rate, from growth and shrinkage
    "SGD + ℓ2": ("ηγ/‖θ‖² ∝ (ηλ_ℓ2)^{1/2}", "−1"),
    "SGDW": ("ηγ/‖θ‖² ∝ λ_w^{1/2}", "0"),
    "Adam + ℓ2": ("η/‖θ‖ ∝ (η²λ_ℓ2)^{1/3}", "−2"),
    "AdamW, eq. (1)": ("η/‖θ‖ ∝ λ_w^{1/2}", "0"),
    "AdamW, PyTorch's λ": ("η/‖θ‖ ∝ (ηλ)^{1/2}", "−1"),
}


def test_the_law_of_slopes_stands_for_all_five_rules() -> None:
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells]
        for line in COMMENTARY.splitlines()
        if len(cells := line.split("|")) == 8
    }
    assert {rule: (rows[rule][5], rows[rule][6]) for rule in LAW} == LAW


def test_every_question_is_answered() -> None:
    for question in ALL:
        start = COMMENTARY.index(f"### `{question.name}`: {question.points} points")
        answer = COMMENTARY[start:].split("\n### ")[0]
        assert ("**Model answer.**" in answer and "**Rubric.**" in answer) or "| what goes wrong |" in answer


# --- its examples, done ---------------------------------------------------------------------------


def blocks(heading: str) -> list[str]:
    section = GUIDE.split(f"\n### {heading}\n")[1].split("\n## ")[0].split("\n### ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


PROGRAM = """
import json, sys
from pathlib import Path
from autograder.assignment import build, worked_numbers
from adamw_pset.files import write_whole
write_whole(worked_numbers.TARGET, worked_numbers.build())
build.main([])
from autograder.grading.grade import grade_folder, score
from autograder.assignment.questions import QUESTIONS
from autograder.sandbox.sandbox import Sandbox
from autograder.assignment.places import NAME
handed_in = json.loads(Path(build.STUDENT).read_text())
answers = json.loads(sys.argv[1])
for cell in handed_in["cells"]:
    cell["source"] = answers.get(cell["metadata"].get("nbgrader", {}).get("grade_id"), cell["source"])
folder = Path("submitted/ada") / NAME
folder.mkdir(parents=True)
(folder / f"{NAME}.ipynb").write_text(json.dumps(handed_in))
import autograder.grading.grade as grade
grade.ALL = [QUESTIONS[name] for name in ("adamw", "share_left")]
with Sandbox() as box:
    found, *_ = grade_folder(folder, "ada", "seed", box, {})
print(json.dumps({name: [*finding[:3], score(QUESTIONS[name], finding)] for name, finding in found.items()}))
"""


def test_a_mistake_and_a_question_are_added_as_the_guide_says(tmp_path: Path) -> None:
    """In a copy of the repository: the blocks of the guide, then what ``make notebook`` does."""
    if reason := sandbox.missing():
        pytest.skip(reason)
    (mistake,), (draw, question, cells) = blocks("A mistake"), blocks("A question")
    for text in (mistake, draw + question + cells):
        assert len([line for line in text.splitlines() if line]) < 20
    for name in ("explore_Adam.ipynb", "constraints.txt", "LICENSE", "pyproject.toml"):  # to which the bundle links
        shutil.copy(ROOT / name, tmp_path)
    for name in ("adamw_pset", "autograder"):
        shutil.copytree(
            ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "submitted")
        )
    for file, anchor, text in (
        ("assignment/mistakes/decay.py", "DECAY_MISTAKES = (\n", f"DECAY_MISTAKES = (\n{mistake.rstrip()},\n"),
        ("assignment/questions.py", "def _draw_grads", draw + "\n\ndef _draw_grads"),
        ("assignment/questions.py", "EVERY = (\n", f"EVERY = (\n{question.rstrip()},\n"),
        ("points.toml", "adam_l2 = 8\n", "adam_l2 = 8\nshare_left = 2\n"),
        ("source/explore_Adam.py", '# %% question="adamw"', cells + '\n# %% question="adamw"'),
    ):
        path = tmp_path / "autograder" / file
        content = path.read_text(encoding="utf-8")
        assert content.count(anchor) == 1, (file, anchor)
        path.write_text(content.replace(anchor, text), encoding="utf-8")
    line = "theta = (1 - weight_decay) * theta"
    assert line in RIGHT["adamw"]
    answers = {
        "adamw": RIGHT["adamw"].replace(line, "theta = (1 - weight_decay * weight_decay) * theta"),
        "share_left": "def share_left(weight_decay, steps):\n    return (1 - weight_decay) ** steps\n",
    }
    command = [sys.executable, "-c", PROGRAM, json.dumps(answers)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["adamw"][1:] == ["decay_squared", re.findall(r'"(.*)"', mistake)[1], 0.0]
    assert found["share_left"] == [finding.GRADED, "", "Right.", 2.0]
    student = (tmp_path / "explore_Adam.ipynb").read_text(encoding="utf-8")
    assert "share_left" in student
    assert "** steps" not in student
