"""How an answer is read from a notebook, and which reading counts.

The notebook is run as a kernel would run it, in the sandbox.  An answer is taken at its check, as the student saw
it; if it is missing or not right there, as it is at the notebook's end; and where nothing came of running, by
itself: what the answer needs of the notebook and no more.  The best reading counts, and a note says where they differ.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from adamw_pset.checks.run_answer import Stopped
from adamw_pset.checks.verdicts import single
from autograder.assignment.questions import Question
from autograder.grading.finding import GRADED, NOT_GRADED, Finding
from autograder.grading.submission import Submission
from autograder.sandbox.sandbox import Answer, Running, Sandbox

RUNS = 6  # of a notebook, at most: it is run again without the cell, or the check, that ended its process
TIMES = 3  # that a question's checks are answered in a run, at most
CHECK, END, ALONE = "at its check", "at the notebook's end", "by itself"


class Look(NamedTuple):
    """What was found out about an answer in one reading, and whether it gave any numbers there."""

    finding: Finding
    gave: bool


class Readings:
    """The readings of the answers to some questions in one submission."""

    def __init__(
        self,
        submission: Submission,
        questions: Sequence[Question],
        box: Sandbox,
        look: Callable[[str, Answer], Look],
        deadline: float,
    ) -> None:
        self._submission, self._box, self._look = submission, box, look
        self._questions = {question.name: question for question in questions}
        self._checks = submission.unchecked(list(self._questions))
        self._skipped: set[int] = set()  # cells that end the process, and are left out when it is run again
        self._here: set[str] = set()  # questions whose answer may be there in a kernel
        self._there: set[str] = set()  # and those whose answer is
        self._elsewhere, self.lacking = False, ""
        self.unread: list[int] = []  # cells that this Python cannot read
        self.looks: dict[str, dict[str, Look]] = {name: {} for name in self._questions}
        for _ in range(RUNS):
            if time.monotonic() > deadline or self._run():
                break
        for name in self._questions:
            if time.monotonic() < deadline and self._may_be_better_alone(name):
                with box.answer(submission.code(), name, submission.own(name)) as answer:
                    if answer.missing is None and (answer.ambiguous or not self.gave(name)):
                        self.looks[name][ALONE] = look(name, answer)

    def best(self, name: str) -> str:
        """The reading of ``name`` that counts."""
        return max(self.looks[name], key=lambda reading: self._worth(name, reading), default="")

    def finding(self, name: str) -> Finding | None:
        """What the reading that counts has found, with a note where others differ; None if there was no time."""
        looks, best = self.looks[name], self.best(name)
        if not looks:
            return None
        finding = looks[best].finding
        if not _right(looks[best]):
            return finding
        others = [f"{reading}: {look.finding.message}" for reading, look in looks.items() if not _right(look)]
        return finding._replace(note=f"right {best}; {'; '.join(others)}"[:400] if others else "")

    def _worth(self, name: str, reading: str) -> tuple[bool, float, bool, bool]:
        look = self.looks[name][reading]
        unclear = reading == ALONE and look.finding.status == NOT_GRADED
        credit = self._questions[name].credit
        left = math.prod((credit.get(each, 0.0) for each in single(look.finding.mistake)), start=1.0)
        answered = look.finding.mistake != "open"
        return (unclear, left if look.finding.status == GRADED else 0.0, look.gave, answered)

    def _run(self) -> bool:
        """Run the notebook once; whether it came to its end."""
        cells = [(number, text) for number, text in self._submission.code() if number not in self._skipped]
        settled = {name for name, looks in self.looks.items() if CHECK in looks}
        with self._box.run(cells, list(self._questions), self._checks) as running:
            try:
                if self._at_checks(running, settled):
                    return self._at_end(running)
            except Stopped:
                self._skipped.add(running.cell)
                self._elsewhere = True
        return False

    def _at_checks(self, running: Running, settled: set[str]) -> bool:
        times: Counter[str] = Counter()
        for name, answer in running.checks():
            seen = self.looks.get(name, {}).get(CHECK)
            times[name] += 1
            if name not in self.looks or name in settled or times[name] > TIMES or (seen and _right(seen)):
                continue
            self._note(name, answer)
            self.looks[name][CHECK] = self._look(name, answer)
            if running.over:
                return False
        return True

    def _at_end(self, running: Running) -> bool:
        assert running.ended is not None
        self._elsewhere |= running.ended.elsewhere
        self.lacking, self.unread = running.ended.lacking, running.ended.unread
        for name, looks in self.looks.items():
            if END in looks or (CHECK in looks and _settled(looks[CHECK]) and name not in running.ended.changed):
                continue
            for answer in running.at_end(name):
                self._note(name, answer)
                looks[END] = self._look(name, answer)
            if running.over:
                return False
        return True

    def _note(self, name: str, answer: Answer) -> None:
        if answer.here:
            self._here.add(name)
        elif answer.missing is None:
            self._there.add(name)

    def gave(self, name: str) -> bool:
        """Whether any reading of ``name`` came to numbers."""
        return any(look.gave for look in self.looks[name].values())

    def _may_be_better_alone(self, name: str) -> bool:
        """Whether nothing came of running, for a reason that a kernel may not have; or it is not clear what counts."""
        looks = self.looks[name]
        if self.gave(name):
            return END in looks and CHECK not in looks and not _right(looks[END])
        mistakes = {look.finding.mistake for look in looks.values()}
        if mistakes & {"crashed", "out_of_memory"} or self._skipped or not looks:
            return True
        if "timed_out" in mistakes:  # the notebook may take the time, not the answer: then none is right in it
            return not any(_right(look) for each in self.looks.values() for look in each.values())
        return name in self._here or (self._elsewhere and name in self._there and "exception" in mistakes)


def _right(look: Look) -> bool:
    return look.finding.status == GRADED and not look.finding.mistake


def _settled(look: Look) -> bool:
    """Whether the same function has no better to give later: it is right, or does not end."""
    return _right(look) or look.finding.mistake == "timed_out"
