"""The class report for the instructor: how it went, what went wrong how often, what to look at."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from adamw_pset.checks.verdicts import numbers, sentence, single
from adamw_pset.files import write_whole
from autograder.assignment.questions import ALL, QUESTIONS, Question
from autograder.grading.batch import ATTENTION
from autograder.grading.finding import BY_HAND, NOT_GRADED
from autograder.grading.spreadsheet import plain, read_sheet
from autograder.returning import svg
from autograder.returning.feedback import GENERATOR, PAGES, Part, Returned, environment

REPORT = "report.html"
ENOUGH = 30  # submissions: with fewer, the interval of a correlation is wider than 0.35 to either side
WEAK = 0.2  # item-rest correlation under which a question is said to discriminate badly (Ebel's rule)


class Item(NamedTuple):
    """A question, as the class answered it."""

    question: Question
    scores: list[float]
    waiting: int
    missing: int
    right: int  # full points
    correlation: float  # with the points of the other questions; nan where that is not defined
    n: int  # of the correlation

    @property
    def weak(self) -> bool:
        return self.n >= ENOUGH and self.correlation < WEAK


def write_report(out: Path, back: Sequence[Returned]) -> None:
    """Write ``report.html`` to ``out``, from what was given back and ``attention.csv``."""
    attention = [
        (plain(student), question, plain(what)) for _, (student, question, what) in read_sheet(out / ATTENTION).rows
    ]
    write_whole(out / REPORT, report(back, attention))


def report(back: Sequence[Returned], attention: Sequence[tuple[str, str, str]]) -> str:
    """The report as HTML; ``attention`` holds (student, question, what), as ``attention.csv`` does."""
    answered = items(back)
    code = [question.name for question in ALL if question.kind != "written"]
    totals = [("Code", *_totals(back, code))]
    if any(part.score is not None and part.finding.status == BY_HAND for each in back for part in each.parts):
        totals.append(("Everything", *_totals(back, [question.name for question in ALL])))
    states = Counter(_state(each.parts) for each in back)
    return (
        environment()
        .get_template("report.html")
        .render(
            generator=GENERATOR,
            n=len(back),
            states=states,
            few=len(back) < ENOUGH,
            enough=ENOUGH,
            weak=WEAK,
            totals=[_distribution(*total) for total in totals],
            items=[_item(item) for item in answered],
            weakest=[_item(item) for item in answered if item.weak],
            mistakes=list(_mistakes(back)),
            attention=_attention(back, attention),
            frame=svg,
        )
    )


def items(back: Sequence[Returned]) -> list[Item]:
    """Each question's scores and its item-rest correlation.

    The rest is the sum of the other questions, taken over the submissions in which all of them have a
    score: the code questions alone, where a written one has none.
    """
    scores = [{part.question.name: part.score for part in each.parts} for each in back]
    code = [question.name for question in ALL if question.kind != "written"]
    in_order = []
    for index, question in enumerate(ALL):
        parts = [each.parts[index] for each in back]
        have = [part.score for part in parts if part.score is not None]
        missing = sum(part.score is None and part.finding.status == NOT_GRADED for part in parts)
        among = [question.name for question in ALL] if question.kind == "written" else code
        whole = [row for row in scores if all(row[name] is not None for name in among)]
        own = [row[question.name] or 0.0 for row in whole]
        rest = [sum(row[name] or 0.0 for name in among if name != question.name) for row in whole]
        right = sum(points >= question.points for points in have)
        waiting = len(parts) - len(have) - missing
        in_order.append(Item(question, have, waiting, missing, right, correlation(own, rest), len(whole)))
    return in_order


def correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's; nan for fewer than three pairs, or where either is the same for all."""
    if len(a) < 3 or len(set(a)) < 2 or len(set(b)) < 2:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def interval(r: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a correlation over ``n`` pairs, by Fisher's transformation."""
    if n < 4:
        return -1.0, 1.0
    if abs(r) >= 1 - 1e-12:
        return r, r
    z, half = math.atanh(r), 1.96 / math.sqrt(n - 3)
    return math.tanh(z - half), math.tanh(z + half)


# --- for the template ----------------------------------------------------------------------------------


def _state(parts: Sequence[Part]) -> str:
    if any(part.score is None and part.finding.status == NOT_GRADED for part in parts):
        return "missing"
    return "waiting" if any(part.score is None for part in parts) else "done"


def _totals(back: Sequence[Returned], among: Sequence[str]) -> tuple[list[float], float]:
    """The totals of the submissions in which every one of these questions has a score, and the most."""
    totals = []
    for each in back:
        scores = [part.score for part in each.parts if part.question.name in among]
        penalty = each.penalty if len(among) == len(ALL) else 0.0
        if None not in scores:
            totals.append(round(max(0.0, sum(score or 0.0 for score in scores) - penalty), 2))
    return totals, sum(QUESTIONS[name].points for name in among)


def _distribution(title: str, totals: Sequence[float], most: float) -> dict[str, Any]:
    bars = svg.bars(totals, most)
    quarters = [f"{value:.4g}" for value in np.percentile(totals, (25, 50, 75))] if totals else []
    return {
        "title": title,
        "n": len(totals),
        "most": f"{most:g}",
        "bars": bars,
        "quarters": quarters,
        "mean": f"{sum(totals) / len(totals):.1f}" if totals else "",
        "ends": [(bar.x, f"{bar.low:.3g}") for bar in bars[::2]],
    }


def _item(item: Item) -> dict[str, Any]:
    question, n = item.question, len(item.scores)
    low, high = interval(item.correlation, item.n)
    known = not math.isnan(item.correlation)
    return {
        "id": question.name,
        "title": question.title,
        "points": f"{question.points:g}",
        "n": n,
        "waiting": item.waiting or "",
        "missing": item.missing or "",
        "weak": item.weak,
        "pairs": item.n,
        "mean": f"{sum(item.scores) / n:.2f}" if n else "",
        "right": f"{item.right / n:.0%}" if n else "",
        "correlation": _signed(item.correlation) if known else "",
        "interval": f"{_signed(low)} to {_signed(high)}" if known else "",
    }


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _mistakes(back: Sequence[Returned]) -> Iterator[dict[str, Any]]:
    """For each question, which mistakes were made, the most frequent first."""
    for index, question in enumerate(ALL):
        counts = Counter(mistake for each in back for mistake in single(each.parts[index].finding.mistake))
        rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
        if rows:
            sentences = [(_said(mistake), count, f"{count / len(back):.0%}") for mistake, count in rows]
            yield {"id": question.name, "title": question.title, "rows": sentences}


def _said(mistake: str) -> str:
    if mistake == "unknown":
        return "Wrong, and by no mistake that is known here."
    if mistake == "open":
        return "Nothing was answered."
    return sentence(mistake, {}) if mistake in numbers()["sentences"] else mistake


def _attention(back: Sequence[Returned], attention: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """By student what a person should look at, with the place of the student's page."""
    by_student: Mapping[str, list[tuple[str, str]]] = defaultdict(list)
    for student, question, what in attention:
        by_student[student].append((question, what))
    pages = {each.student: f"{PAGES}/{quote(each.file)}" for each in back}
    return [{"student": name, "link": pages.get(name, ""), "what": what} for name, what in by_student.items()]
