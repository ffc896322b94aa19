"""Textbook answers as source, and wrong ones made by changing their lines.

A wrong answer is the textbook one with some lines changed: ``{"m_hat": "m"}`` puts ``m_hat = m``
where the textbook assigns m_hat, ``{"return": "theta"}`` returns θ alone.  In lines that two
questions share, KEEP stands for what is left of θ_{t-1}, STEP for the step, DECAY for the argument.

The last line of a rule has parts of its own: ``step`` and, in Adam, its ``denominator``; ``update``,
how θ takes the step; and of the decay the ``pull`` towards zero, a ``factor`` of it, and the ``place``
where it acts.  ``diagnosis`` finds such parts one at a time, so any combination of them is named.
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
DECAY = {"adam_l2": "l2", "sgdw": "weight_decay", "adamw": "weight_decay"}

# What the parts of a rule are where nothing is wrong with them; the lines t, m, v, m_hat, v_hat are the textbook's.
PARTS = {
    "grad": "grad",
    "eps": "eps",
    "denominator": "v_hat ** 0.5 + eps",
    "step": "lr * m_hat / denominator",
    "update": "theta - step",
    "pull": "DECAY * theta",
    "factor": "1.0",
    "late": "0.0",
}
SGDW_PARTS = {"eps": "0.0", "denominator": "1.0", "step": "lr * m"}
LINES = ("t", "m", "v", "m_hat", "v_hat")
PLACES = {  # lines with the decay P in another place: in g it is where ℓ2 regularisation has it
    "theta": {"theta": "UPDATE - P"},
    "nowhere": {"theta": "UPDATE"},
    "new theta": {"theta": "UPDATE\ntheta = theta - P"},
    "g": {"g": "GRAD + P", "theta": "UPDATE"},
    "m": {"m": "(lambda g: M)(g + P)", "theta": "UPDATE"},
    "v": {"v": "(lambda g: V)(g + P)", "theta": "UPDATE"},
    "buffer": {"m": "(M) + P", "theta": "UPDATE"},
    "twice": {"g": "GRAD + P", "theta": "UPDATE - P"},
    "numerator": {"theta": "UPDATE - lr * P / denominator"},
    "denominator": {"theta": "UPDATE - P / denominator"},
}
HOME = {"adam_l2": "g", "sgdw": "theta", "adamw": "theta"}


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
    if question in RULES and set(change) & {*PARTS, "place"}:
        change = _lines(question, change)
    lines, unused = [], set(change)
    for line in textbook(question).splitlines():
        code = line.strip()
        name = "return" if code.startswith("return ") else code.split(" = ")[0] if " = " in code else ""
        if name not in change:
            lines.append(line)
            continue
        unused.discard(name)
        new = change[name]
        for stands_for, texts in (("KEEP", KEEP), ("STEP", STEP), ("DECAY", DECAY)):
            new = new.replace(stands_for, texts.get(question, stands_for))
        head = "return " if name == "return" else f"{name} = "
        lines += textwrap.indent(head + new, "    ").splitlines()
    if unused:
        raise ValueError(f"the textbook answer to {question} has no line for {', '.join(sorted(unused))}")
    return "\n".join(lines) + "\n"


def part(question: str, name: str) -> str:
    """A part of the right answer to ``question``, in a rule's names; the decay's own are asked for by ``DECAY``."""
    if name in PARTS:
        right = PARTS[name] if question in ADAMS else SGDW_PARTS.get(name, PARTS[name])
        return right.replace("DECAY", DECAY[question])
    line = re.search(rf"^ +{name} = (.*)$", textbook(question), re.MULTILINE)
    return line[1] if line else {"m_hat": "m", "v_hat": "v", "v": "state.v"}[name]


def _lines(question: str, change: Change) -> Change:
    """A change of parts as a change of lines."""
    parts = {name: part(question, name) for name in (*PARTS, *LINES)} | dict(change)
    pull = f"({parts['factor']}) * ({parts['pull']})".replace("DECAY", DECAY[question])
    step = re.sub(r"\bdenominator\b", f"({parts['denominator']})", parts["step"])
    update = re.sub(r"\bstep\b", f"({step})", parts["update"]) + ("" if parts["late"] == "0.0" else " - LATE")
    words = {
        "UPDATE": update,
        "LATE": parts["late"].replace("step", f"({step})"),
        "GRAD": parts["grad"],
        "M": parts["m"],
        "V": parts["v"],
        "P": pull,
        "denominator": f"({parts['denominator']})",
    }
    place = parts.get("place", "nowhere" if "late" in change else HOME[question])
    lines = {name: new for name, new in change.items() if name not in {*PARTS, "place"}}
    lines |= {"g": "GRAD"} | PLACES[place]
    for word, text in words.items():
        lines = {name: re.sub(rf"\b{word}\b", text, new) for name, new in lines.items()}
    if "eps" in change:
        lines["t"] = lines.get("t", "state.t + 1") + f"\neps = {parts['eps']}"
    return lines


def compiled(question: str, source: str, filename: str = "<mistake>") -> Callable[..., Any]:
    """The function that ``source`` defines, as it would be in a notebook."""
    space: dict[str, Any] = {"torch": torch, "np": np, "pd": pd, "State": State, "__name__": "notebook"}
    exec(compile(source, filename, "exec"), space)
    function: Callable[..., Any] = space[question]
    return function
