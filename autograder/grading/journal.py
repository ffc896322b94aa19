"""What was found is kept at once, and found again by all that it depends on."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Literal

import msgspec

import adamw_pset
from adamw_pset.files import tree_hash
from autograder.assignment.places import AUTOGRADER
from autograder.assignment.questions import Question
from autograder.grading.finding import BY_HAND, GRADED, NOT_GRADED, Finding

PACKAGE = Path(adamw_pset.__file__).parent
WINGS = ("assignment", "confined", "sandbox", "grading", "source")  # of autograder, which see and judge answers
_LINE = msgspec.json.Decoder(dict[str, tuple[Literal[GRADED, BY_HAND, NOT_GRADED], str, str, str, str]])  # type: ignore[valid-type]


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


def journalled(findings: Mapping[str, Finding]) -> str:
    """Findings by their keys as lines of the journal, each on its own: ASCII, whatever they quote."""
    return "".join(f"{json.dumps({key: finding})}\n" for key, finding in findings.items())


def read_journal(path: Path) -> dict[str, Finding]:
    """Findings by key; a line that cannot be read costs what it held, which is then graded again."""
    journal: dict[str, Finding] = {}
    content = path.read_bytes() if path.exists() else b""
    for line in content.split(b"\n"):
        with contextlib.suppress(msgspec.DecodeError):
            journal |= {key: Finding(*parts) for key, parts in _LINE.decode(line).items()}
    if content and not content.endswith(b"\n"):  # the grader was killed as it wrote
        with open(path, "ab") as file:
            file.write(b"\n")
    return journal


def claim(journal: IO[str], out: Path) -> None:
    """Hold ``out`` until ``journal`` is closed, or this process ends in whatever way."""
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"another run is grading to {out}: wait until it ends, or give another folder with --out"
        ) from None
