"""Textbook answers as source, and wrong ones made by changing their lines.

A wrong answer is the textbook one with some lines changed: ``{"m_hat": "m"}`` puts ``m_hat = m``
where the textbook assigns m_hat, ``{"return": "theta"}`` returns θ alone.  In lines that two
questions share, KEEP stands for what is left of θ_{t-1} and STEP for the step.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from adamw_pset import optimizers
from adamw_pset.rule import State

Change = Mapping[str, str]  # assigned name (or "return") -> what it is given instead

RULES = ("sgdw", "adam_l2", "adamw")
ADAMS = ("adam_l2", "adamw")
TABLES = ("good_fraction", "best_accuracy")
FUNCTIONS = ("weight_decay_factor", "preconditioner", "scaled_penalty_gradient", *TABLES)
CODE = (*RULES, *FUNCTIONS, "counterexample")

KEEP = {"adam_l2": "theta", "sgdw": "(1 - weight_decay) * theta", "adamw": "(1 - weight_decay) * theta"}
STEP = {"sgdw": "lr * m", "adam_l2": "lr * m_hat / (v_hat.sqrt() + eps)"}
STEP["adamw"] = STEP["adam_l2"]

TEXTBOOK = {
    "weight_decay_factor": """
def weight_decay_factor(l2, lr):
    factor = lr * l2
    return factor
""",
    "preconditioner": """
def preconditioner(grads, beta2):
    t = len(grads)
    G = sum(beta2 ** (t - tau) * np.outer(g, g) for tau, g in enumerate(grads, start=1))
    factor = np.sqrt((1 - beta2**t) / (1 - beta2))
    M = factor * np.diag(np.diag(G) ** -0.5)
    return M
""",
    "counterexample": """
def counterexample():
    M = np.diag([1.0, 2.0])
    theta_a = np.array([1.0, 0.0])
    theta_b = np.array([0.0, 1.0])
    return M, theta_a, theta_b
""",
    "scaled_penalty_gradient": """
def scaled_penalty_gradient(theta, M, l2):
    gradient = l2 * np.linalg.solve(M, theta)
    return gradient
""",
    "good_fraction": """
def good_fraction(table, threshold):
    runs = table.groupby(["lr", "decay"])
    mean = runs["val_accuracy"].mean()
    accuracy = mean.mask(runs["diverged"].any(), 0.0)
    good = accuracy >= threshold
    return good.mean()
""",
    "best_accuracy": """
def best_accuracy(table):
    runs = table.groupby(["lr", "decay"])
    mean = runs["val_accuracy"].mean()
    accuracy = mean.mask(runs["diverged"].any(), 0.0)
    return accuracy.max()
""",
}


@dataclass(frozen=True)
class Mistake:
    """A misconception: its id, its sentence, and per question its variants as changes of lines."""

    id: str
    sentence: str
    variants: Mapping[str, Sequence[Change]]


def mistake(id: str, sentence: str, *where: tuple[Sequence[str], Sequence[Change]]) -> Mistake:
    """A mistake from pairs (questions, variants)."""
    variants: dict[str, list[Change]] = {}
    for questions, changes in where:
        for question in questions:
            variants.setdefault(question, []).extend(changes)
    return Mistake(id, sentence, variants)


@cache
def textbook(question: str) -> str:
    """The right answer as a student would write it: one line for each line of the algorithm."""
    if question in TEXTBOOK:
        return TEXTBOOK[question].lstrip()
    source = textwrap.dedent(inspect.getsource(getattr(optimizers, question)))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    arguments = definition.args
    for argument in [*arguments.args, *arguments.kwonlyargs]:
        argument.annotation = None
    first = definition.body[1].lineno  # after the docstring
    body = "\n".join(source.splitlines()[first - 1 :])
    return f"def {question}({ast.unparse(arguments)}):\n{body}\n"


def wrong_source(question: str, change: Change) -> str:
    """The textbook answer to ``question`` with the lines of ``change``; an unknown name raises."""
    lines, unused = [], set(change)
    for line in textbook(question).splitlines():
        code = line.strip()
        name = "return" if code.startswith("return ") else code.split(" = ")[0] if " = " in code else ""
        if name not in change:
            lines.append(line)
            continue
        unused.discard(name)
        new = change[name]
        for stands_for, texts in (("KEEP", KEEP), ("STEP", STEP)):
            new = new.replace(stands_for, texts.get(question, stands_for))
        head = "return " if name == "return" else f"{name} = "
        lines += textwrap.indent(head + new, "    ").splitlines()
    if unused:
        raise ValueError(f"the textbook answer to {question} has no line for {', '.join(sorted(unused))}")
    return "\n".join(lines) + "\n"


def compiled(question: str, source: str, filename: str = "<mistake>") -> Callable[..., Any]:
    """The function that ``source`` defines, as it would be in a notebook."""
    space: dict[str, Any] = {"torch": torch, "np": np, "pd": pd, "State": State, "__name__": "notebook"}
    exec(compile(source, filename, "exec"), space)
    function: Callable[..., Any] = space[question]
    return function
