"""What was found is kept at once, and found again by all that it depends on."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO

import adamw_pset
from adamw_pset.files import tree_hash
from autograder.assignment.places import AUTOGRADER
from autograder.assignment.questions import Question
from autograder.grading.finding import Finding

PACKAGE = Path(adamw_pset.__file__).parent
WINGS = ("assignment", "confined", "sandbox", "grading", "source")  # of autograder, which see and judge answers


def journal_key(question: Question, digest: str, number: int, confined: bool) -> str:
    """A hash of all that a finding depends on: what was handed in, the inputs, the code that sees and judges.

    Points and credit are not among it: a score is worked out anew from the finding.
    """
    parts = (question.name, digest, number, confined, judged_by())
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@cache
def judged_by() -> str:
    """A hash of the wings that see and judge answers, whole: of ``adamw_pset`` all but maps and training."""
    package = [PACKAGE / "checks", PACKAGE / "optimizers", *sorted(PACKAGE.glob("*.py"))]
    return tree_hash(*package, *(AUTOGRADER / wing for wing in WINGS))


def journalled(keys: Mapping[str, str], findings: Mapping[str, Finding]) -> str:
    """A line of the journal: the findings of a submission by their keys; "" if there are none to keep."""
    kept = {key: findings[question] for question, key in keys.items()}
    return json.dumps(kept) + "\n" if kept else ""


def read_journal(path: Path) -> dict[str, Finding]:
    """Findings by key; a line that was cut off when the grader was killed is passed over."""
    journal: dict[str, Finding] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                journal |= {key: Finding(*finding) for key, finding in json.loads(line).items()}
            except (ValueError, TypeError, AttributeError):
                continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if text and not text.endswith("\n"):
            with open(path, "a", encoding="utf-8") as file:
                file.write("\n")
    return journal


def claim(journal: IO[str], out: Path) -> None:
    """Hold ``out`` until ``journal`` is closed, or this process ends in whatever way."""
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"another run is grading to {out}: wait until it ends, or give another folder with --out"
        ) from None
