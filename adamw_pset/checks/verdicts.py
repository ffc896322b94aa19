"""Feedback inside the notebook: ``check("adamw", adamw)`` says right, or names the mistake.

It works from stored numbers alone (``worked_numbers.json``): what the right answer gives on fixed
inputs, and what each known mistake gives on them.  The answers themselves are not needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np

from adamw_pset.checks.notebook_source import failed_to_run, this_notebook, written_answers
from adamw_pset.checks.run_answer import Array, Event, Observation, Record, observe
from adamw_pset.display import in_notebook, show

WIDTH = 88  # of a message: JupyterLab breaks longer lines in the middle of words


class CheckFailed(Exception):
    """An answer that is not right yet; its text is what the student reads."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in the place of a traceback: lines that fit, a student's code as it is."""
        lines = str(self).splitlines()
        return [part for line in lines for part in ([line] if line.startswith(" ") else wrap(line, WIDTH))]


class NotAnswered(CheckFailed):
    """A question that is still open."""


class Verdict(NamedTuple):
    """What is to be said of an answer: the mistake's id ("" if right) and the sentence."""

    mistake: str
    sentence: str


def check(question: str, answer: Any) -> None:
    """Print that ``answer`` is right, or raise ``CheckFailed`` with the mistake's name.

    ``answer`` is the function that the question asks for.  In a notebook, a rule that fails is drawn
    beside the right one.  Raises ``ValueError`` for a question that does not exist.
    """
    worked = _worked(question)
    if error := failed_to_run(question):
        raise CheckFailed(
            f"✗ {question}: Python could not read its cell, and nothing in it was run: {error.msg}, in line "
            f"{error.lineno}. Mend it and run it, then run this one again."
        )
    observation = observe(worked["kind"], worked["inputs"], answer)
    verdict = judge(worked, observation)
    if not verdict.mistake:
        print(f"✓ {question}: right.")
        return
    if verdict.mistake == "open":
        raise NotAnswered(f"○ {question}: {verdict.sentence} Fill in its cell and run it, then run this one again.")
    if worked["kind"] == "rule" and observation.records:
        _draw(question, observation.records[0], worked)
    raise CheckFailed(f"✗ {question}: {verdict.sentence}")


def open_questions() -> dict[str, Any]:
    """Each function that the problem set asks for, as it is before it is written."""
    return dict.fromkeys(numbers()["questions"], ...)


def verdicts(namespace: Mapping[str, Any]) -> dict[str, Verdict]:
    """The verdict on each code question, from a notebook's ``globals()``."""
    return {
        question: judge(worked, observe(worked["kind"], worked["inputs"], namespace.get(question)))
        for question, worked in numbers()["questions"].items()
    }


def report(found: Mapping[str, Verdict], written: Mapping[str, str]) -> str:
    """What is answered and what is not, a line a question, as text.

    ``found`` is from ``verdicts``, ``written`` from ``adamw_pset.notebook.written_answers``.
    """
    marks = {"": "✓ right", "open": "○ open"}
    lines = [f"{name:26}{marks.get(v.mistake, f'✗ {v.sentence}')}" for name, v in found.items()]
    lines += [f"{name:26}{'✓' if state == 'answered' else '○'} {state}" for name, state in written.items()]
    right = sum(not verdict.mistake for verdict in found.values())
    answered = sum(state == "answered" for state in written.values())
    total = f"{right} of {len(found)} code answers right"
    if written:
        total += f", {answered} of {len(written)} written answers given"
    return "\n".join([*lines, total])


def summary(namespace: Mapping[str, Any]) -> None:
    """Print ``report`` for the running notebook, from its ``globals()``; written answers as last saved."""
    file = this_notebook(namespace)
    print(report(verdicts(namespace), written_answers(file) if file else {}))
    if file:
        print(f"Written answers are read from {file} as it was last saved.")
    else:
        print("Written answers: save the notebook, and run  adamw-pset check  on its file.")


def judge(worked: Any, observation: Observation) -> Verdict:
    """Right, a known mistake, or where to look.

    ``worked`` holds what a question gives on its inputs, as ``worked_numbers.json`` does: its kind,
    inputs, parts and tolerance, what is expected, and what each known mistake gives.  If it is marked
    "hidden", the sentence quotes none of its numbers.
    """
    records, expected = observation.records, [_arrays(r) for r in worked["expected"]]
    if observation.event:
        return _say(observation.event)
    parts, tolerance = worked["parts"], worked["tolerance"]
    wrong = _first_difference(records, expected, parts, tolerance)
    if wrong is None:
        return _say(observation.remarks[0]) if observation.remarks else Verdict("", "right")
    for known in worked["mistakes"]:
        if _first_difference(records, [_arrays(r) for r in known["records"]], parts, tolerance) is None:
            return _say(Event(known["id"], {"what": "an argument"}))
    for remark in observation.remarks:
        if remark.id == "not_repeatable":
            return _say(remark)
    return Verdict("unknown", _where_to_look(worked, records, expected, *wrong))


@cache
def numbers() -> Any:
    """The stored numbers: sentences by mistake, and by question its inputs and outputs."""
    return json.loads(files("adamw_pset.checks").joinpath("worked_numbers.json").read_text(encoding="utf-8"))


def _worked(question: str) -> Any:
    questions = numbers()["questions"]
    if question not in questions:
        raise ValueError(f"question {question!r}: choose one of {', '.join(questions)}")
    return questions[question]


def _say(event: Event) -> Verdict:
    return Verdict(event.id, sentence(event.id, event.details))


def sentence(mistake: str, details: Mapping[str, str]) -> str:
    """The sentence of a mistake, its {names} filled from ``details``, or "…" where they have none."""
    said = numbers()["sentences"][mistake]
    return re.sub(r"\{([a-z]+)\}", lambda name: details.get(name[1], "…"), said)


def _arrays(record: Mapping[str, Any]) -> Record:
    return {name: np.array(values, dtype=np.float64) for name, values in record.items()}


def _first_difference(
    records: list[Record], expected: list[Record], parts: list[str], tolerance: float
) -> tuple[int, str, int] | None:
    """Trial, part and step at which the numbers first differ; None if they agree."""
    if len(records) != len(expected):
        return 0, parts[0], 0
    for part in parts:
        for trial, (ours, theirs) in enumerate(zip(records, expected, strict=True)):
            step = _differ(ours[part], theirs[part], tolerance)
            if step is not None:
                return trial, part, step
    return None


def _differ(ours: Array, theirs: Array, tolerance: float) -> int | None:
    """The first row in which two arrays differ by more than ``tolerance`` of the largest number."""
    if ours.shape != theirs.shape:
        return 0
    finite = theirs[np.isfinite(theirs)]
    size = abs(finite).max() if finite.size else 1.0
    same = np.isclose(ours, theirs, rtol=0, atol=tolerance * max(size, 1e-6), equal_nan=True)
    if same.all():
        return None
    return int(np.argwhere(~same)[0][0]) if same.ndim else 0


def _where_to_look(worked: Any, records: list[Record], expected: list[Record], trial: int, part: str, step: int) -> str:
    """For a mistake that nobody has named yet: what is right, and where it first goes wrong."""
    if worked["kind"] != "rule":
        ours, theirs = records[trial]["value"], expected[trial]["value"]
        if ours.shape != theirs.shape and not theirs.shape:
            return f"One number is asked for, and this is an array of shape {ours.shape}."
        if ours.shape != theirs.shape:
            return f"The shape is {ours.shape}, and it should be {theirs.shape}."
        return "The numbers are not right, and not by any mistake that is known here. Try it on paper."
    if part != "theta":
        return f"θ comes out right, but {part} in the state that is handed on does not."
    no_decay = [t["name"] for t in worked["inputs"]].index("no decay")
    hints = []
    if _differ(records[no_decay]["theta"], expected[no_decay]["theta"], worked["tolerance"]) is None:
        hints.append("With a decay of 0 everything is right, so the decay is where to look.")
    else:
        hints.append("It is wrong with a decay of 0 too, so look at the step before the decay.")
    if step > 0:
        first = "first step comes" if step == 1 else f"first {step} steps come"
        hints.append(f"The {first} out right: look at what is carried over to the next.")
    if "hidden" not in worked:
        ours, theirs = records[trial]["theta"][step].flat[0], expected[trial]["theta"][step].flat[0]
        hints.append(f"In step {step + 1} the first coordinate of θ is {ours:.4f}, not {theirs:.4f}.")
    return " ".join(hints)


def _draw(question: str, record: Record, worked: Any) -> None:
    """In a notebook: the first coordinate of θ step by step, as it is and as it should be."""
    if not in_notebook():
        return
    from matplotlib.figure import Figure

    trial, right = worked["inputs"][0], _arrays(worked["expected"][0])["theta"]
    start = np.ravel(trial["theta"])[0]
    figure = Figure(figsize=(4.2, 2.2), layout="constrained")
    ax = figure.subplots()
    for theta, style, label in ((right, "o-", "right"), (record["theta"], "s--", "yours")):
        path = [start, *theta.reshape(len(theta), -1)[:, 0]]
        ax.plot(range(len(path)), path, style, label=label, ms=5)
    ax.set(xlabel="step", ylabel="first coordinate of θ", title=f"{question} on a small example")
    ax.set_xticks(range(len(right) + 1))
    ax.legend(frameon=False)
    show(figure, f"The path of {question} on a small example, step by step, beside the right one.")
