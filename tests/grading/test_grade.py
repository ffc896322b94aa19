"""The kill table through the grader: each mistake its sentence and its score; right variants in full."""

from __future__ import annotations

import contextlib
import csv
import inspect
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from helpers import right_answers
from helpers.submissions import CODE, RIGHT, grade_one, hand_in, notebook

from adamw_pset.checks import verdicts
from adamw_pset.checks.verdicts import single
from autograder.__main__ import main
from autograder.assignment import worked_numbers
from autograder.assignment.mistakes import known
from autograder.assignment.questions import ALL, QUESTIONS, worth
from autograder.grading import batch, grade
from autograder.grading.batch import GRADES, grade_all, grades_csv
from autograder.grading.finding import BY_HAND, GRADED, NOT_GRADED, Finding, Row
from autograder.grading.grade import score
from autograder.sandbox.sandbox import Sandbox

SEED = "a seed for tests"
KNOWN = [  # one way to make each; ``check`` is tried on all
    pytest.param(question, mistakes, source, id=f"{question}-{mistakes}")
    for question in CODE
    for mistakes, source in {mistakes: source for mistakes, _, source in known(question)}.items()
]


@pytest.fixture(autouse=True)
def _mistakes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the mistakes give on one draw is worked out once for all tests."""
    monkeypatch.setattr(grade, "fresh", lambda question, inputs: dict(_worked(question.name, json.dumps(inputs))))


@cache
def _worked(name: str, inputs: str) -> Any:
    made = worked_numbers.fresh(QUESTIONS[name], json.loads(inputs))
    return made | {"mistakes": list(made["mistakes"])}


@pytest.mark.parametrize(("question", "mistakes", "source"), KNOWN)
def test_each_mistake_gets_its_sentence_and_its_score(question: str, mistakes: str, source: str, box: Sandbox) -> None:
    finding = grade_one(box, question, source)
    assert (finding.status, {*single(finding.mistake)}) == (GRADED, {*single(mistakes)}), finding.message
    asked = QUESTIONS[question]
    share = math.prod(asked.credit.get(mistake, 0) for mistake in single(mistakes))
    assert score(asked, finding) == round(share * asked.points, 2)


@pytest.mark.parametrize("question", CODE)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_right_answers_get_all_points(question: str, seed: int, box: Sandbox) -> None:
    finding = grade_one(box, question, RIGHT[question], seed=seed)
    assert score(QUESTIONS[question], finding) == QUESTIONS[question].points, finding


VARIANTS = {"in numpy": "adamw_numpy", "on copies, in place": "adamw_copies"}


@pytest.mark.parametrize("name", VARIANTS.values(), ids=VARIANTS)
def test_right_variants_get_all_points(name: str, box: Sandbox) -> None:
    source = inspect.getsource(getattr(right_answers, name)).replace(f"def {name}(", "def adamw(")
    assert grade_one(box, "adamw", source).message == "Right."


HELPERS = """
import math as m
DEFAULT = float("1e-8")
def corrected(x, beta, t):
    return x / (1 - beta**t)
"""
WITH_HELPERS = """
def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=DEFAULT):
    t = state.t + 1
    first, second = beta1 * state.m + (1 - beta1) * grad, beta2 * state.v + (1 - beta2) * grad.pow(2)
    step = lr * corrected(first, beta1, t) / (corrected(second, beta2, t) ** 0.5 + eps)
    return theta - weight_decay * theta - step, State(t, first, second)
"""


def test_helpers_and_constants_of_other_cells_work(box: Sandbox) -> None:
    assert grade_one(box, "adamw", WITH_HELPERS, before=HELPERS).message == "Right."
    assert "corrected" in grade_one(box, "adamw", WITH_HELPERS, before="DEFAULT = 1e-8").message


def test_sentences_quote_no_hidden_number(box: Sandbox) -> None:
    odd = RIGHT["adamw"].replace("theta = (1", "theta = 0.97 * (1")
    finding = grade_one(box, "adamw", odd)
    assert finding.mistake == "unknown"
    assert "coordinate" not in finding.message
    assert not any(character.isdigit() for character in finding.message.replace("decay of 0", ""))


def test_a_worked_example_by_heart_gains_nothing(box: Sandbox) -> None:
    """What check tells right in the notebook, from its stored numbers, is wrong on fresh inputs."""
    stored = verdicts.numbers()["questions"]["weight_decay_factor"]
    table = {
        repr((trial["l2"], trial["lr"])): record["value"]
        for trial, record in zip(stored["inputs"], stored["expected"], strict=True)
    }
    source = f"def weight_decay_factor(l2, lr):\n    return {table}.get(repr((l2, lr)), 0.1)\n"
    assert grade_one(box, "weight_decay_factor", source).mistake


# --- a class -------------------------------------------------------------------------------------------


@pytest.fixture
def shared(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """``grade_all`` uses the sandbox that is there, where a new one would show nothing more."""
    monkeypatch.setattr(batch, "Sandbox", lambda confined: contextlib.nullcontext(box))


@pytest.fixture
def small_class(tmp_path: Path) -> Path:
    submitted = tmp_path / "submitted"
    half = RIGHT | {"adamw": RIGHT["adamw"].replace("(1 - weight_decay)", "(1 - lr * weight_decay)")}
    half |= {"written_1a_i": "Because $x$.", "written_1a_ii": "*Your answer here.*"}
    hand_in(submitted, "ada", notebook(RIGHT))
    hand_in(submitted, 'ben, "junior"', notebook(half))
    hand_in(submitted, "cut off", json.dumps(notebook(RIGHT))[:3000])
    hand_in(submitted, "dora", notebook({}))
    (submitted / "emil").mkdir()
    return submitted


def table(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    with open(out / GRADES, newline="", encoding="utf-8") as file:
        return {(row["student"], row["question"]): row for row in csv.DictReader(file)}


@pytest.mark.usefixtures("shared")
def test_a_class_is_graded(small_class: Path, tmp_path: Path) -> None:
    grade_all(small_class, tmp_path / "out", SEED, progress=False)
    rows = table(tmp_path / "out")
    assert len(rows) == 5 * len(ALL)  # every submission got its rows
    assert {rows["ada", name]["score"] for name in ("adamw", "sgdw")} == {"10.0", "6.0"}
    ben = rows['ben, "junior"', "adamw"]
    assert (ben["score"], ben["status"]) == ("7.5", GRADED)
    assert "convention of PyTorch" in ben["message"]
    assert rows['ben, "junior"', "written_1a_i"]["status"] == BY_HAND
    assert rows['ben, "junior"', "written_1a_i"]["score"] == ""
    assert rows['ben, "junior"', "written_1a_ii"]["message"] == "Nothing is written here."
    for student, words in (("cut off", "cut off"), ("emil", "no notebook")):
        found = [row for (name, _), row in rows.items() if name == student]
        assert {(row["status"], row["score"]) for row in found} == {(NOT_GRADED, "")}
        assert all(words in row["message"] for row in found)
    assert rows["dora", "adamw"]["message"] == "This question is still open."


@pytest.mark.usefixtures("shared")
def test_a_regrade_touches_only_what_changed(
    small_class: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graded = []
    real = grade.in_sandbox

    def counted(made: Any, drawn: Any, box: Any) -> dict[str, Finding]:
        graded.extend(question.name for question in drawn)
        return real(made, drawn, box)

    monkeypatch.setattr(grade, "in_sandbox", counted)
    grade_all(small_class, tmp_path, SEED, progress=False)
    assert len(graded) == 3 * len(CODE)
    graded.clear()
    monkeypatch.setitem(worth()["points"], "adamw", 20)
    grade_all(small_class, tmp_path, SEED, progress=False)
    assert graded == []  # other points need no other run
    assert table(tmp_path)["ada", "adamw"]["score"] == "20.0"
    hand_in(small_class, "dora", notebook({"sgdw": RIGHT["sgdw"]}))
    grade_all(small_class, tmp_path, SEED, progress=False)
    assert sorted(graded) == sorted(CODE)  # one submission handed in anew
    graded.clear()
    grade_all(small_class, tmp_path, "another seed", progress=False)
    assert len(graded) == 3 * len(CODE)


@pytest.mark.usefixtures("shared")
def test_an_error_of_ours_costs_no_one_a_point(
    small_class: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batch.grade_folder

    def fails(folder: Path, *rest: Any) -> Any:
        if folder.parent.name == "ada":
            raise ZeroDivisionError
        return real(folder, *rest)

    monkeypatch.setattr(batch, "grade_folder", fails)
    grade_all(small_class, tmp_path, SEED, progress=False)
    rows = table(tmp_path)
    assert rows["ada", "adamw"]["status"] == NOT_GRADED
    assert rows["dora", "adamw"]["status"] == GRADED


@pytest.mark.usefixtures("shared")
def test_what_is_alike_or_delegated_is_pointed_out_and_not_punished(tmp_path: Path) -> None:
    odd = RIGHT["adamw"].replace("    t = ", "    # my own way of counting\n    t = ")
    library = "def sgdw(theta, grad, state, *, lr, weight_decay, beta1=1.0):\n    torch.optim.SGD([theta], lr)\n"
    hand_in(tmp_path / "in", "ada", notebook(RIGHT | {"adamw": odd}))
    hand_in(tmp_path / "in", "ben", notebook(RIGHT | {"adamw": odd, "sgdw": library}))
    hand_in(tmp_path / "in", "cleo", notebook(RIGHT))
    grade_all(tmp_path / "in", tmp_path / "out", SEED, progress=False)
    with open(tmp_path / "out" / "attention.csv", newline="", encoding="utf-8") as file:
        found = [tuple(row.values()) for row in csv.DictReader(file)]
    assert found == [
        ("ada", "adamw", "the same cell as ben"),
        ("ben", "adamw", "the same cell as ada"),
        ("ben", "sgdw", "torch.optim.sgd.SGD computes this: write it yourself."),
    ]
    rows = table(tmp_path / "out")
    assert rows["ada", "adamw"]["score"] == rows["ben", "adamw"]["score"] == "10.0"
    assert rows["ben", "sgdw"]["score"] == "0.0"


@pytest.mark.usefixtures("shared")
def test_the_command(small_class: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["grade", str(small_class), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "5 submissions; 2 with something that could not be graded." in said
    assert "Not or not wholly graded: cut off, emil" in said
    seed = (tmp_path / "seed.txt").read_text()
    assert main(["grade", str(small_class), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "seed.txt").read_text() == seed
    assert (tmp_path / "out" / GRADES).read_bytes() == (tmp_path / "again" / GRADES).read_bytes()
    capsys.readouterr()
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (["grade", str(tmp_path / "nowhere")], "is not a folder: give the one that holds"),
        (["grade", str(tmp_path / "empty")], "there are no students' folders"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["grade", str(small_class), "--jobs", "0"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["grade", str(small_class), "--out", str(tmp_path / "none")]) == 2
    assert "sudo apt-get install bubblewrap" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_without_a_sandbox_every_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no bubblewrap
    hand_in(tmp_path / "in", "ada", notebook({"adamw": RIGHT["adamw"]}))
    grade_all(tmp_path / "in", tmp_path / "out", SEED, confined=False, progress=False)
    rows = table(tmp_path / "out")
    assert rows["ada", "adamw"]["message"] == "GRADED WITHOUT A SANDBOX. Right."
    assert all(row["message"].startswith("GRADED WITHOUT A SANDBOX. ") for row in rows.values())


def test_an_empty_score_is_not_a_zero() -> None:
    text = grades_csv([Row("a", "adamw", None, 10, NOT_GRADED, "x"), Row("a", "sgdw", 0.0, 6, GRADED, "y")])
    assert text.splitlines()[1:] == ["a,adamw,,10,not graded,x", "a,sgdw,0.0,6,graded,y"]
