"""Gradescope: an archive that its harness runs, and the ``results.json`` of a submission.

What is taken for granted of the harness (*Autograder Specifications*, as remembered; not tried there):
the archive is unpacked to ``/autograder/source``; ``setup.sh`` runs as root when the image (Ubuntu 22.04)
is built; ``/autograder/run_autograder`` runs for each submission, in a container of its own, and writes
``/autograder/results/results.json``; the submission lies in ``/autograder/submission`` and who sent it in
``/autograder/submission_metadata.json``.  The total is the sum of the tests' scores, and a results file
with no score at all is shown as a failure of the autograder, and gives no grade.

So *not graded* is never a 0: where a code question could not be graded, no test gets a score, and
the output says why; the instructor looks, or runs it again.  Written answers are no tests:
give them questions of their own in Gradescope's outline, which people grade with a rubric there.
"""

from __future__ import annotations

import io
import json
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import adamw_pset
from adamw_pset.files import write_whole
from autograder.assignment.places import AUTOGRADER, BUNDLE, SOURCE, wings
from autograder.assignment.questions import ALL
from autograder.grading.finding import BY_HAND, NOT_GRADED, Finding
from autograder.grading.grade import grade_folder, score
from autograder.grading.seed import SEED_FILE, secret_seed
from autograder.sandbox.sandbox import Sandbox, SandboxError, missing

HARNESS = Path(__file__).with_name("harness")
VISIBILITIES = ("visible", "after_due_date", "after_published", "hidden")  # of a test, in Gradescope's words
CHOSEN = "chosen.json"  # what the instructor chose: visibility, memory
MEMORY = 512  # megabytes of an answer, beside the 500 that the grader has: together they fit in 1.5 GB


def results(findings: Mapping[str, Finding], visibility: str = "visible") -> dict[str, Any]:
    """What ``results.json`` holds for these findings, by question; ``visibility``: when students see them."""
    code = [question for question in ALL if question.kind != "written"]
    lost = [question for question in code if findings[question.name].status == NOT_GRADED]
    tests = []
    for question in code:
        finding, points = findings[question.name], score(question, findings[question.name])
        test: dict[str, Any] = {"name": question.title, "max_score": question.points}
        test |= {"output": finding.message, "output_format": "text", "visibility": visibility}
        if points is not None and not lost:
            test["score"] = points
        elif points is not None:
            test["output"] = f"{points:g} of {question.points}, once everything is graded. {finding.message}"
        else:
            test["output"] = f"Not graded: {finding.message}"
        tests.append(test)
    return {
        "output": _said(findings, [question.name for question in lost]),
        "output_format": "text",
        "test_name_format": "text",
        "stdout_visibility": "hidden",
        "tests": tests,
    }


def _said(findings: Mapping[str, Finding], lost: list[str]) -> str:
    written = [question for question in ALL if question.kind == "written"]
    waiting = [question.name for question in written if findings[question.name].status == BY_HAND]
    lines = []
    if lost:
        lines.append(f"No score yet, which is not a 0: {', '.join(lost)} could not be graded.")
    lines.append(f"Written answers, graded by hand: {', '.join(waiting) or 'none was found'}.")
    return "\n".join(lines)


def run(root: Path) -> dict[str, Any]:
    """Grade the submission under ``root``, laid out as ``/autograder``, and write its results."""
    chosen = json.loads((root / "source" / CHOSEN).read_text(encoding="utf-8"))
    try:
        if reason := missing():
            raise SandboxError(reason)
        with Sandbox(memory=chosen["memory"]) as box:
            findings, *_ = grade_folder(root / "submission", student(root), secret_seed(), box, {})
    except SandboxError as error:
        reason = f"the sandbox did not start, and without it nothing is run: {error}"
        findings = {question.name: Finding(NOT_GRADED, "", reason) for question in ALL}
    outcome = results(findings, chosen["visibility"])
    write_whole(root / "results" / "results.json", json.dumps(outcome, indent=1, ensure_ascii=False))
    return outcome


def student(root: Path) -> str:
    """Who handed in, from Gradescope's metadata; inputs of the grader are drawn for this name."""
    path = root / "submission_metadata.json"
    users = json.loads(path.read_text(encoding="utf-8")).get("users", []) if path.exists() else []
    return " ".join(sorted(str(user.get("email") or user.get("id")) for user in users)) or "gradescope"


def archive(target: Path, visibility: str = "visible", memory: int = MEMORY) -> list[str]:
    """Write the autograder's zip file; the names in it.

    ``visibility`` is one of ``VISIBILITIES``, ``memory`` the megabytes that an answer may have.

    It holds the reference answers and the course's seed: it is for the instructor's upload, and for no
    one else.
    """
    contents = {path.name: path.read_bytes() for path in sorted(HARNESS.iterdir())}
    contents["constraints.txt"] = (BUNDLE / "constraints.txt").read_bytes()
    project = tomllib.loads((BUNDLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    contents["requirements.txt"] = "\n".join(
        [*project["dependencies"], *project["optional-dependencies"]["grading"], ""]
    ).encode()
    contents[CHOSEN] = json.dumps({"visibility": visibility, "memory": memory}).encode()
    contents[SEED_FILE] = f"{secret_seed()}\n".encode()
    contents |= {str(path.relative_to(base)): path.read_bytes() for base, path in _packed()}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.external_attr = (0o755 if name in ("setup.sh", "run_autograder") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, content)
    write_whole(target, made.getvalue())
    return list(contents)


def _packed() -> Iterator[tuple[Path, Path]]:
    """What the grader runs on, whole wings of both packages, each file with the folder that its package lies in."""
    package = Path(adamw_pset.__file__).parent
    for place in (package, *wings(), AUTOGRADER / "__init__.py", AUTOGRADER / "points.toml", SOURCE):
        base = package.parent if place == package else AUTOGRADER.parent
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not any(
                part[0] == "." or part == "__pycache__" for part in path.parts[len(base.parts) :]
            ):
                yield base, path


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1])), indent=1, ensure_ascii=False))
