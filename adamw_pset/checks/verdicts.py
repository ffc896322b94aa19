"""Feedback inside the notebook: ``check("adamw", adamw)`` says right, or names the mistake.

It works from stored numbers alone (``worked_numbers.json``): what the right answer gives on fixed
inputs, and what each known mistake gives on them.  The answers themselves are not needed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adamw_pset.checks.diagnosis import JOIN, diagnose
from adamw_pset.checks.notebook_file import load
from adamw_pset.checks.notebook_live import failed_to_run, graded_otherwise, note_runs, this_notebook
from adamw_pset.checks.notebook_written import states
from adamw_pset.checks.run_answer import Array, Event, Observation, Record, argument, observe
from adamw_pset.display import in_notebook, say, show

WIDTH = 88  # of a message: JupyterLab breaks longer lines in the middle of words
LINES = 5  # of what an answer prints
MOST_SAID = 3  # mistakes that are named at once
COUNTS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven")
ALIAS = (
    " (θ is changed in place, and -= changes the tensor under all its names: an old θ kept as old = theta is the "
    "same tensor, and holds the new numbers too.)"
)
NOTHING_TO_CALL = ("open", "not_a_function", "a_class", "off_limits", "argument_name", "wrong_signature")
STEP_BY_STEP = "The first steps come out right, and later ones do not: look at what is carried over to the next."


class CheckFailed(Exception):
    """An answer that is not right yet; its text is what the student reads."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in the place of a traceback: lines that fit, a student's code as it is."""
        lines = str(self).splitlines()
        return [part for line in lines for part in ([line] if line.startswith(" ") else wrap(line, WIDTH))]


class NotAnswered(CheckFailed):
    """A question that is still open."""


class Verdict(NamedTuple):
    """What is to be said of an answer: the mistake's id ("" if right), the sentence, and what it printed."""

    mistake: str
    sentence: str
    printed: str = ""


def check(question: str, answer: Any) -> None:
    """Print that ``answer`` is right, or raise ``CheckFailed`` with the mistake's name.

    ``answer`` is the function that the question asks for; what it prints in its first call is shown.  In a
    notebook, a rule that fails is drawn beside the right one, and it is told where the notebook's file has
    another answer that would be graded.  Raises ``ValueError`` for a question that does not exist.
    """
    worked = _worked(question)
    if error := failed_to_run(question):
        raise CheckFailed(
            f"✗ {question}: Python could not read its cell, and nothing in it was run: {error.msg}, in line "
            f"{error.lineno}. Mend it and run it, then run this one again."
        )
    observation = observe(worked["kind"], worked["inputs"], answer)
    verdict = judge(worked, observation)
    for line in printed_lines(observation.printed):
        say(line)
    if not verdict.mistake:
        say(f"✓ {question}: right.")
        if words := graded_otherwise(question, lambda other: not tried(question, other).mistake):
            say("\n".join(wrap(f"But {words}", WIDTH)))
        return
    if verdict.mistake == "open":
        raise NotAnswered(f"○ {question}: {verdict.sentence} Fill in its cell and run it, then run this one again.")
    if worked["kind"] == "rule" and observation.records:
        _draw(question, observation.records[0], worked)
    raise CheckFailed(f"✗ {question}: {verdict.sentence}{_shown(question, worked, observation)}")


def open_questions() -> dict[str, Any]:
    """Each function that the problem set asks for, as it is before it is written.

    In a notebook, ``check`` and ``summary`` know from here on which cells have run.
    """
    note_runs()
    return dict.fromkeys(questions_asked(), ...)


def tried(question: str, answer: Any) -> Verdict:
    """The verdict on one answer.  Raises ``ValueError`` for a question that does not exist."""
    worked = _worked(question)
    seen = observe(worked["kind"], worked["inputs"], answer)
    return judge(worked, seen)._replace(printed=seen.printed)


def verdicts(namespace: Mapping[str, Any]) -> dict[str, Verdict]:
    """The verdict on each code question, from a notebook's ``globals()``: "not_run" where it has no function yet."""
    found = {question: tried(question, namespace.get(question)) for question in questions_asked()}
    unwritten = [name for name in found if namespace.get(name) is None or namespace[name] is ...]
    return found | dict.fromkeys(unwritten, Verdict("not_run", ""))


def questions_asked() -> dict[str, Any]:
    """The questions that the course has not dropped."""
    return {name: worked for name, worked in numbers()["questions"].items() if "dropped" not in worked}


def report(verdicts: Mapping[str, Verdict], written: Mapping[str, str]) -> str:
    """What is answered and what is not, a line a question, as text, and what the answers print.

    ``verdicts`` is from the function of this name or ``notebook_verdicts``, ``written`` from
    ``notebook_written.states``.
    """
    marks = {"": "✓ right", "open": "○ open", "not_run": "○ not run yet"}
    lines = []
    for name, verdict in verdicts.items():
        lines.append(f"{name:26}{marks.get(verdict.mistake, f'✗ {verdict.sentence}')}")
        lines += printed_lines(verdict.printed)
    lines += [f"{name:26}{'✓' if state == 'answered' else '○'} {state}" for name, state in written.items()]
    right = sum(not verdict.mistake for verdict in verdicts.values())
    answered = sum(state == "answered" for state in written.values())
    total = f"{right} of {len(verdicts)} code answers right"
    if written:
        total += f", {answered} of {len(written)} written answers given"
    return "\n".join([*lines, total])


def printed_lines(text: str) -> list[str]:
    """What an answer printed in its first call: a few lines for a screen, every letter of them visible."""
    rows = text.expandtabs(4).splitlines()
    cut = [row if len(row) <= WIDTH - 8 else f"{row[: WIDTH - 9]}…" for row in rows[:LINES]]
    shown = ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in row) for row in cut]
    more = ["…"] if len(rows) > LINES else []
    return ["    printed in the first call:", *(f"        {row}" for row in [*shown, *more])] if rows else []


def summary(namespace: Mapping[str, Any]) -> None:
    """Print ``report`` for the running notebook, from its ``globals()``.

    It is read from its file as it was last saved, as the grader reads it, in another process.  Where it cannot be
    told which file that is, only what the kernel holds is reported.
    """
    from adamw_pset.checks.notebook_answers import in_another_process  # which needs this module

    here, file = verdicts(namespace), this_notebook(namespace)
    here = {question: verdict._replace(printed="") for question, verdict in here.items()}
    try:
        if file is None:
            raise ValueError("which file this notebook is cannot be told from here")
        notebook, saved = load(file), time.strftime("%H:%M:%S", time.localtime(file.stat().st_mtime))
        there = in_another_process(file)
    except (ValueError, OSError) as error:
        say(report(here, {}))
        what = (
            f"This is what has run in this kernel: {error}. What is graded is the file: save it, and type in a terminal"
        )
        say("\n".join([*wrap(what, WIDTH), "    adamw-pset check NAME.ipynb"]))
        return
    say(report(there, states(notebook.cells, numbers())))
    say(f"This is {file.name} as it was saved at {saved}, run from top to bottom as the grader does it.")
    if unsaved := [name for name, verdict in there.items() if verdict.mistake and not here[name].mistake]:
        say(f"Right in this kernel, and not in that file: {', '.join(unsaved)}. Save, and run this cell again.")


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
        return _remarked(observation.remarks[0]) if observation.remarks else Verdict("", "right")
    for remark in observation.remarks:
        if remark.id == "not_repeatable":
            return _say(remark)
    for known in worked["mistakes"]:
        if _first_difference(records, [_arrays(r) for r in known["records"]], parts, tolerance) is None:
            return _several((known["id"],), observation.remarks)
    if worked["kind"] != "rule":
        return Verdict("unknown", _where_to_look(records, expected, wrong[0]))
    diagnosis = diagnose(worked, records)
    if diagnosis.mistakes and not diagnosis.unknown:
        return _several(diagnosis.mistakes, observation.remarks)
    sentences = [_several(diagnosis.mistakes, ()).sentence] if diagnosis.mistakes else []
    sentences += [f"{part} is wrong, and by no mistake that is known here." for part in diagnosis.unknown]
    sentences += [STEP_BY_STEP] * (not diagnosis.unknown)
    return Verdict("unknown", " ".join([*sentences, *_what_is_right(worked, records, expected)]))


def _several(mistakes: Sequence[str], remarks: Sequence[Event]) -> Verdict:
    """The verdict that names ``mistakes``, the first to mend in front, and what was changed in place."""
    changed = next((remark.details["what"] for remark in remarks if remark.id == "changed_in_place"), "")
    details = {"what": changed or "an argument", "alias": ALIAS if "theta" in changed else ""}
    ids = [*mistakes]
    if changed and not (details["alias"] and "decay_on_new_theta" in ids):
        ids += ["changed_in_place"] * ("changed_in_place" not in ids)
    sentences = [sentence(mistake, details) for mistake in ids]
    if len(ids) == 1:
        return Verdict(ids[0], sentences[0])
    many = f"{COUNTS[len(ids)]} mistakes" if len(ids) < len(COUNTS) else "Many mistakes"
    head = f"{many}." if len(ids) <= MOST_SAID else f"{many}, the first to mend in front."
    sentences = [f"{nth}: {text}" for nth, text in zip(("First", "Second", "Third"), sentences, strict=False)]
    return Verdict(JOIN.join(ids), " ".join([head, *sentences]))


def single(mistake: str) -> list[str]:
    """The ids of the mistakes that a verdict names together; none for a right answer."""
    return mistake.split(JOIN) if mistake else []


@cache
def numbers() -> Any:
    """The stored numbers: sentences by mistake, by question its inputs and outputs, and where prose is written."""
    return json.loads(files("adamw_pset.checks").joinpath("worked_numbers.json").read_text(encoding="utf-8"))


def _worked(question: str) -> Any:
    questions = numbers()["questions"]
    if question not in questions:
        raise ValueError(f"question {question!r}: choose one of {', '.join(questions)}")
    return questions[question]


def _say(event: Event) -> Verdict:
    return Verdict(event.id, sentence(event.id, event.details))


def _remarked(event: Event) -> Verdict:
    verdict = _say(event)
    right = "The numbers are right, but " if event.id == "changed_in_place" else ""
    return verdict._replace(sentence=right + verdict.sentence)


def sentence(mistake: str, details: Mapping[str, str]) -> str:
    """The sentence of a mistake, its {names} filled from ``details``, or "…" where they have none."""
    if JOIN in mistake:
        return " ".join(sentence(each, details) for each in single(mistake))
    template = numbers()["sentences"][mistake]
    return re.sub(r"\{([a-z]+)\}", lambda name: details.get(name[1], "…"), template)


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
    same = _same(ours, theirs, tolerance)
    if same.all():
        return None
    return int(np.argwhere(~same)[0][0]) if same.ndim else 0


def _same(ours: Array, theirs: Array, tolerance: float) -> NDArray[np.bool_]:
    finite = theirs[np.isfinite(theirs)]
    size = abs(finite).max() if finite.size else 1.0
    return np.isclose(ours, theirs, rtol=0, atol=tolerance * max(size, 1e-6), equal_nan=True)


def _where_to_look(records: list[Record], expected: list[Record], trial: int) -> str:
    """For a mistake in a function that nobody has named yet: where it goes wrong."""
    ours, theirs = records[trial]["value"], expected[trial]["value"]
    if ours.shape != theirs.shape and not theirs.shape:
        return f"One number is asked for, and this is an array of shape {ours.shape}."
    if ours.shape != theirs.shape:
        return f"The shape is {ours.shape}, and it should be {theirs.shape}."
    return "The numbers are not right, and not by any mistake that is known here. Try it on paper."


def _what_is_right(worked: Any, records: list[Record], expected: list[Record]) -> Iterator[str]:
    """For a rule's mistake that nobody has named yet: which parts and which trials are right."""
    parts, tolerance = worked["parts"], worked["tolerance"]
    right = [part for part in parts if _first_difference(records, expected, [part], tolerance) is None]
    if right:
        names = ["θ" if part == "theta" else part for part in right]
        yield f"{_listed(names)} {'is' if len(right) == 1 else 'are'} right in every trial."
    whole = [
        f"“{trial['name']}”"
        for trial, ours, theirs in zip(worked["inputs"], records, expected, strict=True)
        if _first_difference([ours], [theirs], parts, tolerance) is None
    ]
    trials = "trial" if len(whole) == 1 else "trials"
    yield f"All is right in the {trials} {_listed(whole)}, and in no other." if whole else "No trial is all right."
    if "hidden" not in worked:
        yield _first_wrong_number(records, expected, parts, tolerance)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _first_wrong_number(records: list[Record], expected: list[Record], parts: list[str], tolerance: float) -> str:
    difference = _first_difference(records, expected, parts, tolerance)
    assert difference is not None
    trial, part, step = difference
    ours, theirs = records[trial][part], expected[trial][part]
    if ours.shape != theirs.shape:
        return f"{part} has the shape {ours.shape}, and should have {theirs.shape}."
    place = tuple(np.argwhere(~_same(ours, theirs, tolerance))[0])
    mine, right = float(ours[place]), float(theirs[place])
    digits = next((n for n in range(4, 17) if f"{mine:.{n}g}" != f"{right:.{n}g}"), 17)
    index = ", ".join(map(str, place[1:] if part == "theta" else place))
    where = f"in step {step + 1} " if part in ("theta", "t") else ""
    name = "t" if part == "t" else f"{'θ' if part == 'theta' else part}[{index}]"
    return f"For one, {where}{name} is {mine:.{digits}g}, not {right:.{digits}g}."


# --- a call that shows what is wrong ---------------------------------------------------------------


def example(question: str, trial: int) -> tuple[Any, ...]:
    """The arguments on which ``check`` tries a function in one of its trials, counted from 1."""
    inputs = _worked(question)["inputs"]
    return tuple(argument(value) for value in inputs[trial - 1].values())


def _shown(question: str, worked: Any, observation: Observation) -> str:
    """The call that goes wrong, as lines that can be pasted into a cell; "" if there is none to show."""
    records, trial, step = observation.records, len(observation.records), None
    if not observation.event:
        pairs = zip(records, (_arrays(record) for record in worked["expected"]), strict=True)
        first = [_first_difference([a], [b], worked["parts"], worked["tolerance"]) for a, b in pairs]
        wrong = [(found[2], found[1] != "theta", i) for i, found in enumerate(first) if found]
        if not wrong:
            return ""
        step, _, trial = min(wrong)
    elif trial >= len(worked["inputs"]) or observation.event.id in NOTHING_TO_CALL:
        return ""
    given = worked["inputs"][trial]
    if worked["kind"] != "rule":
        call = _call_of_function(question, given, trial)
        where = "Here it goes wrong:"
    else:
        call = _call_of_rule(question, given, len(given["grads"]) if step is None else step + 1)
        where = "Here it goes wrong" + (f", from a state with t = {given['start']['t']}:" if given["start"] else ":")
    result = _right_result(worked, trial, step)
    return "\n".join(["", where, *(f"    {line}" for line in call), *([f"    # right: {result}"] if result else [])])


def _right_result(worked: Any, trial: int, step: int | None) -> str:
    if step is None:
        return ""
    record = worked["expected"][trial]
    right = record["theta"][step] if worked["kind"] == "rule" else record["value"]
    text = json.dumps(right)
    return text if len(text) < WIDTH - 16 else ""


def _call_of_function(question: str, given: Mapping[str, Any], trial: int) -> list[str]:
    if any(isinstance(value, Mapping) for value in given.values()):
        return ["from adamw_pset.checks import example", f'{question}(*example("{question}", {trial + 1}))']
    values = (f"np.array({value})" if isinstance(value, list) else repr(value) for value in given.values())
    return [f"{question}({', '.join(values)})"]


def _call_of_rule(question: str, given: Mapping[str, Any], steps: int) -> list[str]:
    start = given["start"]
    tensor = "torch.tensor({}, dtype=torch.float64)".format
    state = f"State({start['t']}, {tensor(start['m'])}, {tensor(start['v'])})" if start else "State.zeros(theta)"
    hyper = ", ".join(f"{name}={value}" for name, value in given["hyper"].items())
    call = f"theta, state = {question}(theta, grad, state, {hyper})"
    head = [f"theta = {tensor(given['theta'])}", f"state = {state}"]
    grads = given["grads"][:steps]
    if len(grads) == 1:
        return [*head, f"grad = {tensor(grads[0])}", call, "print(theta, state)"]
    return [*head, f"for grad in {tensor(grads)}:", f"    {call}", "    print(theta, state)"]


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
