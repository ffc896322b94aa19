"""A class of any size: submissions of mixed quality, the same for the same seed.

A third is right, in several styles; most of the others make one or several of the catalogued mistakes;
some are unfinished, some broken, and a few hostile.  ``demo`` has one of each kind instead, by name.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from adamw_pset.files import write_whole
from autograder.assignment.answer_sources import CODE, RULES
from autograder.assignment.mistakes import known
from autograder.assignment.places import NAME
from autograder.demo.course import HOSTILE, IN_NUMPY, NEVER, RIGHT, WRITTEN, notebook

LOOP = "while True: pass"
ENDLESS = 25  # one student in so many has answers that do not end
SHARES = {
    "right": 30,
    "one mistake": 25,
    "several mistakes": 20,
    "unfinished": 10,
    "noisy": 5,
    "broken": 6,
    "hostile": 2,
    "does not run": 2,
}
BROKEN = ("cut off", "empty", "without ids", "renamed", "no notebook", "a cell deleted", "defined twice")
NOISE = "    import warnings\n    print('x' * 10_000)\n    warnings.warn('a warning')\n"


def write_class(folder: Path, size: int, seed: int = 0) -> dict[str, str]:
    """Write ``size`` submissions into ``folder``, in nbgrader's layout; what each is, by student."""
    kinds = {}
    for number, (kind, name, text) in enumerate(submissions(size, seed), start=1):
        student = f"student{number:04}"
        kinds[student] = kind
        write_whole(folder / student / NAME / name, text)
    return kinds


def submissions(size: int, seed: int = 0) -> Iterator[tuple[str, str, str]]:
    """What a submission is, the name of its file, and the text in it."""
    for number in range(size):
        draw = random.Random(f"{seed} {number}")
        kind = draw.choices(list(SHARES), list(SHARES.values()))[0]
        if number % ENDLESS == ENDLESS // 2:
            kind = "endless"
        answers, name, detail = _answers(kind, draw), f"{NAME}.ipynb", ""
        if kind != "broken":
            yield kind, name, notebook(answers)
            continue
        detail = draw.choice(BROKEN)
        yield f"broken: {detail}", *_broken(detail, answers, draw)


def _answers(kind: str, draw: random.Random) -> dict[str, str]:
    """The answers by question; a right one is written in a style of its own."""
    answers = {question: _styled(source, draw) for question, source in RIGHT.items()} | WRITTEN
    if draw.random() < 0.2:
        answers["adamw"] = IN_NUMPY
    questions = draw.sample(CODE, draw.randint(2, 5) if kind in ("several mistakes", "unfinished") else 1)
    if kind == "hostile":
        return answers | {"adamw": draw.choice(list(HOSTILE.values()))}
    for question in questions:
        if kind in ("one mistake", "several mistakes"):
            answers[question] = _styled(draw.choice(list(known(question)))[2], draw)
        elif kind == "unfinished":
            del answers[question]  # the cell as it was released
        elif kind == "does not run":
            answers[question] = answers[question].replace("return", "retrun", 1)
        elif kind == "noisy":
            answers[question] = re.sub(r"(:\n)", lambda m: m[1] + NOISE, answers[question], count=1)
    if kind == "endless":
        for question in draw.sample(RULES, draw.randint(1, 3)):
            answers[question] = re.sub(r":\n", f":\n    {LOOP}\n", answers[question], count=1)
    return answers


def _styled(source: str, draw: random.Random) -> str:
    """The same function with a comment, a docstring or other names inside."""
    style: list[Callable[[str], str]] = [
        lambda text: text,
        lambda text: f"# attempt {draw.randint(2, 99)}\n{text}",
        lambda text: re.sub(r":\n", f':\n    """My answer, {draw.randint(1, 999)}."""\n', text, count=1),
        lambda text: re.sub(r"\bm_hat\b", "first_moment", re.sub(r"\bv_hat\b", "second_moment", text)),
    ]
    return draw.choice(style)(source)


def _broken(detail: str, answers: dict[str, str], draw: random.Random) -> tuple[str, str]:
    """The name and the text of a broken file."""
    name = f"{NAME}.ipynb"
    if detail == "cut off":
        return name, notebook(answers)[: draw.randint(500, 20_000)]
    if detail == "empty":
        return name, ""
    if detail == "without ids":
        return name, notebook(answers, ids=False)
    if detail == "renamed":
        return f"{NAME} (1).ipynb", notebook(answers)
    if detail == "no notebook":
        return "answers.txt", "See my e-mail.\n"
    if detail == "a cell deleted":
        gone = draw.choice(CODE)
        return name, notebook({q: a for q, a in answers.items() if q != gone}, gone)
    return name, notebook(answers, more=NEVER + "return theta, state\n")
