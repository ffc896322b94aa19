"""Textbook answers as source, and wrong ones made by changing their lines.

A wrong answer is the textbook one with some lines changed: ``{"m_hat": "m"}`` puts ``m_hat = m``
where the textbook assigns m_hat, ``{"return": "theta"}`` returns θ alone.  In lines that two
questions share, KEEP stands for what is left of θ_{t-1} and STEP for the step.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from adamw_pset.rule import State
from autograder.assignment.places import SOURCE

Change = Mapping[str, str]  # assigned name (or "return") -> what it is given instead

RULES = ("sgdw", "adam_l2", "adamw")
ADAMS = ("adam_l2", "adamw")
TABLES = ("good_fraction", "best_accuracy")
FUNCTIONS = ("weight_decay_factor", "preconditioner", "scaled_penalty_gradient", *TABLES)
CODE = (*RULES, *FUNCTIONS, "counterexample")

KEEP = {"adam_l2": "theta", "sgdw": "(1 - weight_decay) * theta", "adamw": "(1 - weight_decay) * theta"}
STEP = {"sgdw": "lr * m", "adam_l2": "lr * m_hat / (v_hat.sqrt() + eps)"}
STEP["adamw"] = STEP["adam_l2"]


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
    """The solution in the notebook's source, without docstring: one line for each line of the algorithm."""
    cells = re.split(r"^# %%", SOURCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    cell = next(cell for cell in cells if cell.startswith(f' question="{question}"'))
    lines = cell.strip().splitlines()[1:]
    return "".join(f"{line}\n" for line in lines if not line.strip().startswith(("###", '"""')))


@cache
def reference(question: str) -> Callable[..., Any]:
    """The right answer, as a function."""
    return compiled(question, textbook(question), f"<the solution of {question}>")


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
