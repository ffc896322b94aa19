"""The kill table: each known mistake is named as itself, each right variant is accepted."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.right_answers import (
    ADAMW,
    SGDW,
    adam,
    adam_l2_by_adam,
    adamw_copies,
    adamw_float32,
    adamw_noisy,
    adamw_numpy,
    preconditioner_recursive,
    sgd,
    sgdw_lerp,
)
from helpers.submissions import CODE, WRITTEN, counted

from adamw_pset import State
from adamw_pset.checks import verdicts
from adamw_pset.checks.run_answer import observe
from adamw_pset.checks.verdicts import CheckFailed, NotAnswered, check, judge, numbers, single, summary
from adamw_pset.cli import main
from autograder.assignment import worked_numbers
from autograder.assignment.answer_sources import RULES, compiled, reference, textbook
from autograder.assignment.leaks import solution_lines
from autograder.assignment.mistakes import CATALOGUE, SENTENCES, known
from autograder.assignment.questions import ALL, QUESTIONS

KNOWN = [
    pytest.param(question, mistakes, source, id=f"{question}-{mistakes}-{number}")
    for question in CODE
    for number, (mistakes, _, source) in enumerate(known(question))
]


@pytest.mark.parametrize(("question", "mistakes", "source"), KNOWN)
def test_each_mistake_is_named(question: str, mistakes: str, source: str) -> None:
    answer = compiled(question, source, f"<{question} {mistakes}>")
    asked = QUESTIONS[question]
    verdict = judge(numbers()["questions"][question], observe(asked.kind, asked.inputs(), answer))
    assert set(single(verdict.mistake)) == set(single(mistakes)), verdict.sentence
    assert "…" not in verdict.sentence  # every {...} of the sentence is filled
    with pytest.raises(CheckFailed) as error:
        check(question, answer)
    assert verdict.sentence.split("{")[0] in str(error.value)


def test_braces_of_a_formula_stay_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(numbers()["sentences"], "open", "θ_{t−1} and M^{−1/2}, {got}, {k}")
    assert verdicts.sentence("open", {"got": "a {k}"}) == "θ_{t−1} and M^{−1/2}, a {k}, …"


def test_the_table_of_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    covered = {mistake for case in KNOWN for mistake in single(case.values[1])}
    unnamed = {entry.id for entry in CATALOGUE} - covered
    not_code = {"open", "not_a_function", "a_class", "argument_name", "wrong_signature"}
    assert unnamed == not_code | {"timed_out", "crashed", "out_of_memory"}
    assert len(SENTENCES) == len(CATALOGUE) == len(set(SENTENCES.values()))
    with capsys.disabled():
        print("\nmistake                       questions  named as")
        for entry in CATALOGUE:
            print(f"{entry.id:30}{len(entry.variants):<11}{entry.sentence[:90]}")
        for question in RULES:
            ways = {line: len(found) for line, found in numbers()["questions"][question]["lines"].items()}
            ways["place"] = len(numbers()["questions"][question]["places"])
            parts = ", ".join(f"{line} {count}" for line, count in ways.items())
            print(
                f"\n{question}: ways to write each part: {parts};\nof their {math.prod(ways.values()):.0e} "
                "combinations each is named by its parts, as far as they show in the numbers"
            )


def test_points_and_credit() -> None:
    for question in ALL:
        mistakes = {mistake for mistakes, _, _ in known(question.name) for mistake in single(mistakes)}
        assert set(question.credit) <= mistakes, question.name
        assert all(0 < share < 1 for share in question.credit.values())


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        *[(name, compiled(name, textbook(name))) for name in CODE],
        ("adamw", adamw_numpy),
        ("adamw", adamw_copies),
        ("adamw", adamw_float32),
        ("adamw", adamw_noisy),
        ("adam_l2", adam_l2_by_adam),
        ("sgdw", sgdw_lerp),
        ("weight_decay_factor", lambda penalty, eta: np.float32(penalty) * eta),
        ("preconditioner", preconditioner_recursive),
        ("scaled_penalty_gradient", lambda theta, M, l2: l2 * np.linalg.inv(M) @ theta),
        ("scaled_penalty_gradient", lambda theta, M, l2: (l2 * np.linalg.inv(M) @ theta).tolist()),
        ("counterexample", lambda: (torch.diag(torch.tensor([1.0, 4.0])), [1, 0], [0, 2.5])),
        ("counterexample", lambda: (np.diag([1, 1, 3]), np.array([1, 1, 1]), np.array([1, 2, 3]))),
        ("counterexample", lambda: (np.array([[2, 1], [1, 2]]), np.array([1, 1]), np.array([1, -1]))),
        ("counterexample", (np.diag([1e-3, 2e-3]), np.array([1e5, 0]), np.array([0, 1e-5]))),
        ("good_fraction", lambda table, threshold: _good_by_hand(table, threshold)),
    ],
)
def test_right_variants_are_accepted(question: str, answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    check(question, answer)
    printed = "    printed in the first call:\n        step 0\n" * (answer is adamw_noisy)
    assert capsys.readouterr().out == f"{printed}✓ {question}: right.\n"


def _good_by_hand(table: Any, threshold: float) -> float:
    good = 0
    settings = {(row.lr, row.decay) for row in table.itertuples()}
    for lr, decay in settings:
        runs = table[(table.lr == lr) & (table.decay == decay)]
        good += not runs.diverged.any() and runs.val_accuracy.mean() >= threshold
    return good / len(settings)


def skeleton(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):  # type: ignore[no-untyped-def]
    """To be written."""
    theta = ...
    return theta, State(state.t + 1, state.m, state.v)


def not_yet(theta, grad, state, **hyper):  # type: ignore[no-untyped-def]
    raise NotImplementedError


def divides(theta, grad, state, **hyper):  # type: ignore[no-untyped-def]
    return theta / 0 if state.t else 1 / 0, state


@pytest.mark.parametrize(
    ("question", "answer", "error", "words"),
    [
        ("adamw", None, NotAnswered, "still open"),
        ("adamw", ..., NotAnswered, "still open"),
        ("adamw", skeleton, NotAnswered, "still open"),
        ("adamw", not_yet, NotAnswered, "still open"),
        ("adamw", 0.3, CheckFailed, "A function is asked for, and this is a float"),
        ("adamw", lambda theta, grad: theta, CheckFailed, "cannot be called as asked"),
        ("adamw", SGDW, CheckFailed, "cannot be called as asked"),
        ("adamw", torch.nn.Linear, CheckFailed, "This is a class"),
        ("adamw", lambda theta, grad, state, *, learning_rate, **rest: 0, CheckFailed, "cannot be called as asked"),
        ("sgdw", lambda theta, grad, state, lr, wd, beta1=1: 0, CheckFailed, "call it 'weight_decay', not 'wd'"),
        (
            "adamw",
            lambda theta, grad, state, learning_rate=1e-3, b1=0.9, b2=0.999, epsilon=1e-8, wd=0.01: 0,
            CheckFailed,
            "'lr', not 'learning_rate'; 'weight_decay', not 'wd'; 'beta1', not 'b1'; 'beta2', not 'b2'; 'eps', not",
        ),
        (
            "adam_l2",
            lambda theta, grad, state, lr, beta1=1, beta2=1, e=1, weight_decay=0: 0,
            CheckFailed,
            "'l2', not 'w",
        ),
        (
            "adamw",
            lambda theta, grad, state, *, lr, wd, betas, eps=0: 0,
            CheckFailed,
            "'beta1' and 'beta2', not 'betas'",
        ),
        ("adamw", lambda theta, grad, state, *, lr, wd, beta1, beta2, tiny: 0, CheckFailed, "'eps', not 'tiny'"),
        ("adamw", lambda self, theta, grad, state, **hyper: 0, CheckFailed, "theta, grad and state, in this order"),
        ("adamw", divides, CheckFailed, "ZeroDivisionError: division by zero\n    line"),
        ("adamw", divides, CheckFailed, "return theta / 0 if state.t else 1 / 0, state"),
        ("counterexample", 3, CheckFailed, "A counterexample is three things"),
        ("weight_decay_factor", lambda l2, lr: ..., NotAnswered, "still open"),
    ],
)
def test_open_and_unusable_answers(question: str, answer: Any, error: type, words: str) -> None:
    with pytest.raises(error) as caught:
        check(question, answer)
    assert words in str(caught.value)


def unknown(change: Callable[..., Any]) -> Callable[..., Any]:
    def rule(theta, grad, state, **hyper):  # type: ignore[no-untyped-def]
        return change(*ADAMW(theta, grad, state, **hyper), theta, hyper)

    return rule


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda new, s, old, h: (new - 7 * h["weight_decay"] * old**5, s), "What θ loses beside the step is wrong"),
        (
            lambda new, s, old, h: (new - 7 * h["weight_decay"] * old**5, s),
            "right in the trials “a decay of 0”, “that state",
        ),
        (lambda new, s, old, h: (new + 0.01, s), "The step of θ, with this t, m and v and a decay of 0, is wrong"),
        (lambda new, s, old, h: (new + 0.01, s), "No trial is all right. For one, in step 1 θ[0] is"),
        (lambda new, s, old, h: (new + (s.t == 2) * 0.01, s), "The first steps come out right, and later ones do not"),
        (lambda new, s, old, h: (new, State(s.t, s.m, s.v + (s.t == 7))), "θ, t and m are right in every trial"),
        (lambda new, s, old, h: (new, State(s.t, s.m, s.v + 1)), "The v that is handed on is wrong, and by no mistake"),
    ],
)
def test_an_unknown_mistake_is_narrowed_down(change: Callable[..., Any], words: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        check("adamw", unknown(change))
    assert words in str(caught.value)


def test_autograd_on_theta_is_an_answer_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    def rule(theta, grad, state, *, lr, weight_decay, beta1=1.0):  # type: ignore[no-untyped-def]
        theta = theta.clone().requires_grad_()
        return SGDW(theta, grad, state, lr=lr, weight_decay=weight_decay, beta1=beta1)

    check("sgdw", rule)
    assert capsys.readouterr().out == "✓ sgdw: right.\n"


@pytest.mark.parametrize(
    ("cells", "answer", "words"),
    [
        (["def sgdw(:\n"], SGDW, "Python could not read its cell"),  # the kernel has the one before
        (["def sgdw(): ...", "def sgdw(:\n"], SGDW, "in line 1"),
        (["def sgdw(:\n", "def sgdw(): ..."], SGDW, None),
        (["def other(:\n"], SGDW, None),
        (["def sgdw(:\n"], verdicts.open_questions()["sgdw"], "Python could not read its cell"),
        ([], verdicts.open_questions()["sgdw"], "still open"),
    ],
)
def test_a_cell_that_could_not_be_read_is_named(
    cells: list[str], answer: Any, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = SimpleNamespace(user_ns={"In": ["", *cells]})
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    if words is None:
        return check("sgdw", answer)
    with pytest.raises(CheckFailed, match=words):
        check("sgdw", answer)


def test_in_a_notebook_the_message_is_all_that_is_shown() -> None:
    lines = CheckFailed("✗ " + 30 * "word " + "\n    " + 30 * "code ")._render_traceback_()
    assert [len(line) <= verdicts.WIDTH for line in lines] == [True, True, False]
    assert CheckFailed("✗ one\ntwo")._render_traceback_() == ["✗ one", "two"]
    with pytest.raises(ValueError, match="question 'adam': choose one of weight_decay_factor, sgdw"):
        check("adam", adam)


def test_summary_tells_right_wrong_open_and_not_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    Path("explore_Adam.ipynb").write_text("not this one")
    answers = {"adamw": ADAMW, "sgdw": sgd, "adam_l2": not_yet, "counterexample": np.eye(2), "good_fraction": ...}
    summary(answers)
    text = capsys.readouterr().out
    rows = dict(line.split(maxsplit=1) for line in text.splitlines()[: len(CODE)])
    assert set(rows) == set(CODE)
    assert (rows["adamw"], rows["adam_l2"]) == ("✓ right", "○ open")
    assert rows["good_fraction"] == rows["best_accuracy"] == "○ not run yet"
    assert (rows["sgdw"][0], rows["counterexample"][0]) == ("✗", "✗")
    assert "which file this notebook is cannot be told from here" in " ".join(text.split())
    assert "adamw-pset check NAME.ipynb" in text


def _written(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": text, "metadata": {"nbgrader": {"grade_id": name}}}


def test_worked_numbers_are_up_to_date() -> None:
    assert worked_numbers.TARGET.read_text(encoding="utf-8") == worked_numbers.build()


def test_the_stored_file_holds_no_line_of_an_answer() -> None:
    """Sentences, numbers, and the formulas of Adam, which the notebook gives, as they are written wrong."""
    stored = worked_numbers.TARGET.read_text(encoding="utf-8")
    for code in ("return theta", "lambda ", "def ", "= theta", "sqrt(", "state.m", "np.", "weight_decay) * theta"):
        assert code not in stored, code
    for _, line in solution_lines():
        assert line.split(" = ", 1)[-1] not in stored, line


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("question", [q for q in ALL if q.kind in ("rule", "function")], ids=lambda q: q.name)
def test_fresh_inputs_show_each_mistake_too(question: Any, seed: int) -> None:
    """A grader draws other inputs: on them too, no mistake passes for right."""
    inputs = question.inputs(seed)
    right = observe(question.kind, inputs, reference(question.name))
    for mistakes, change, source in known(question.name):
        seen = observe(question.kind, inputs, compiled(question.name, source))
        if seen.event is None and not seen.remarks:
            gap = verdicts._first_difference(seen.records, right.records, list(question.parts), 1e-3)
            assert gap is not None, (mistakes, change)


def test_checks_work_where_the_answers_are_not_installed() -> None:
    code = """
import sys
for name in ("adamw_pset.optimizers", "adamw_pset.maps", "autograder"):
    sys.modules[name] = None
from adamw_pset.checks.verdicts import check, CheckFailed
check("weight_decay_factor", lambda l2, lr: l2 * lr)
try:
    check("weight_decay_factor", lambda l2, lr: l2 / lr)
except CheckFailed as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("✓ weight_decay_factor: right.\n✗ weight_decay_factor: The learning rate divides")


def test_check_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "def weight_decay_factor(l2, lr):\n    return l2 * lr\ndef counterexample():\n    return None\n"
    cells = [
        {"cell_type": "code", "source": code, "metadata": {}},
        _written("written_1a_i", "The gradient of the penalty is …"),
        _written("written_1a_ii", "*Your answer here.*"),
    ]
    path = tmp_path / "mine.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    assert main(["check", str(path)]) == 1
    printed = capsys.readouterr().out
    for words in (
        "weight_decay_factor       ✓ right",
        "counterexample            ✗ Nothing came back",
        "adamw                     ○ open",
        "written_1a_i              ✓ answered",
        "written_1a_ii             ○ open",
        "written_2b_i              ○ not found",
        counted(1, 1),
    ):
        assert words in printed
    imports = "import numpy as np\nimport torch\nfrom adamw_pset import State\n"
    source = imports + "\n".join(map(textbook, CODE))
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": source, "metadata": {}}]}))
    assert main(["check", str(path)]) == 1  # the written answers are missing
    assert counted(len(CODE), 0) in capsys.readouterr().out
    answers = [_written(name, "Because.") for name in numbers()["written"]]
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": source, "metadata": {}}, *answers]}))
    assert main(["check", str(path)]) == 0
    assert counted(len(CODE), len(WRITTEN)) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("program", "rows"),
    [
        ("print('here')", ["here"]),
        ("print('η\\tλ')", ["η   λ"]),
        ("print('\\x1b[2J\\u202eabc\\x07')", ["\\x1b[2J\\u202eabc\\x07"]),
        ("print('a\\rb\\u2028c', end='')", ["a", "b", "c"]),
        ("print('x' * 10_000_000)", ["x" * (verdicts.WIDTH - 9) + "…"]),
        ("for k in range(10**5): print(k)", ["0", "1", "2", "3", "4", "…"]),
        ("print('\\ud800')", ["\\ud800"]),
        ("print()", [""]),
        ("import sys; sys.stderr.write('no')", []),
        ("print('before it fails'); 1 / 0", ["before it fails"]),
    ],
)
def test_what_an_answer_prints_in_its_first_call_is_shown(
    program: str, rows: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    body = f"    if calls:\n        print('not this')\n    else:\n        calls.append(1)\n        exec({program!r})\n"
    source = f"calls = []\ndef weight_decay_factor(l2, lr):\n{body}    return l2 * lr\n"
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    with contextlib.suppress(CheckFailed):
        check("weight_decay_factor", namespace["weight_decay_factor"])
    told = capsys.readouterr().out
    (tmp_path / "mine.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "source": source}]}))
    main(["check", str(tmp_path / "mine.ipynb")])
    for text in (told, capsys.readouterr().out):
        before, _, after = text.partition("    printed in the first call:\n")
        assert [line[8:] for line in after.splitlines() if line.startswith("        ")] == rows
        assert "not this" not in before


def test_numbers_are_read_once() -> None:
    assert numbers() is numbers()
