"""The instructor's command line: ``python -m autograder grade SUBMITTED``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from adamw_pset.cli import Parser
from autograder import batch
from autograder.grading import BANNER, NOT_GRADED, secret_seed
from autograder.leaks import Leak
from autograder.sandbox import SandboxError, missing


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.  0: every submission got its rows; 2: bad input or no sandbox; 130: ctrl-C."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except (ValueError, OSError, SandboxError, Leak) as error:
        print(f"autograder {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. What was graded is kept; the same command goes on from there.", file=sys.stderr)
        return 130


def parser() -> Parser:
    """The command line and its help."""
    top = Parser(prog="python -m autograder", description="The instructor's side of the problem set.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    grade = commands.add_parser(
        "grade",
        help="grade a folder of submissions",
        description="Grades SUBMITTED/<student>/explore_Adam/explore_Adam.ipynb and writes grades.csv, with "
        "a sentence for every lost point, and attention.csv, what a person should look at. Run again, it "
        "grades only what has changed.",
    )
    grade.set_defaults(run=_grade)
    _grading_arguments(grade)
    give = commands.add_parser(
        "feedback",
        help="write a page for each student and a report on the class",
        description="Writes feedback/<student>.html, which students get, and report.html, which they do not, "
        "to the folder of grades. What grade has found is not run again; what it has not is graded first.",
    )
    give.set_defaults(run=_feedback)
    _grading_arguments(give)
    give.add_argument(
        "--marks", type=Path, metavar="FILE",
        help="scores and comments given by hand: marks.csv or nbgrader's gradebook.db",
    )  # fmt: skip
    bundle = commands.add_parser(
        "release",
        help="make the student's bundle",
        description="Writes the notebook, adamw_pset without the answers, pinned requirements and a README "
        "to DIR, and the same as DIR.zip. A bundle that holds an answer is not made.",
    )
    bundle.set_defaults(run=_release)
    bundle.add_argument(
        "folder", type=Path, metavar="DIR", help="where to make it; an earlier one is replaced"
    )
    demo = commands.add_parser("demo", help="make, grade and give back a small course to look at")
    demo.set_defaults(run=_demo)
    demo.add_argument(
        "folder", type=Path, metavar="DIR", help="where to make it; one of an earlier run is replaced"
    )
    return top


def _grading_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("submitted", type=Path, metavar="SUBMITTED", help="the folder of submissions")
    command.add_argument("--out", type=Path, default=Path("grades"), metavar="DIR", help="default: grades")
    command.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N", help="submissions at once (default: 1)"
    )
    command.add_argument(
        "--no-sandbox", action="store_true", help="without bubblewrap: submissions can do anything here"
    )


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number from 1 to 64")
    return int(text)


def _release(arguments: argparse.Namespace) -> None:
    from autograder.release import release  # needs nbgrader

    names = release(arguments.folder)
    print(f"Wrote {len(names)} files to {arguments.folder}, and {arguments.folder}.zip")


def _demo(arguments: argparse.Namespace) -> None:
    from autograder.demo import demo  # needs nbgrader

    if reason := missing():
        raise SandboxError(reason)
    print(demo(arguments.folder))
    print(f"\nFeedback: {arguments.folder}/feedback/<student>/explore_Adam/explore_Adam.html")
    print(f"Report on the class: {arguments.folder}/grades/report.html")


def _feedback(arguments: argparse.Namespace) -> None:
    from autograder.feedback import PAGES, give_back  # needs jinja2 and what sets formulas
    from autograder.report import REPORT, write_report

    back = give_back(
        arguments.submitted, arguments.out, secret_seed(), marks=arguments.marks, jobs=arguments.jobs,
        confined=_confined(arguments),
    )  # fmt: skip
    write_report(arguments.out, back)
    waiting = sum(part.score is None for each in back for part in each.parts)
    print(f"Wrote {len(back)} pages to {arguments.out / PAGES}, and {arguments.out / REPORT} for you alone.")
    if waiting:
        print(f"{waiting} answers have no score yet, and say so.")


def _confined(arguments: argparse.Namespace) -> bool:
    """Whether submissions run in the sandbox; raises ``SandboxError`` if they should and cannot."""
    confined = not arguments.no_sandbox
    if confined and (reason := missing()):
        raise SandboxError(f"{reason} (or, if you trust every submission, --no-sandbox)")
    if not confined:
        print(f"{BANNER}Submissions can read and change anything that you can.", file=sys.stderr)
    return confined


def _grade(arguments: argparse.Namespace) -> None:
    confined = _confined(arguments)
    table = batch.grade_all(
        arguments.submitted, arguments.out, secret_seed(), jobs=arguments.jobs, confined=confined
    )
    print(batch.overview(table))
    print(f"\nWrote {batch.GRADES} and {batch.ATTENTION} to {arguments.out}")
    if lost := sorted({row.student for row in table if row.status == NOT_GRADED}):
        print(f"Not or not wholly graded: {', '.join(lost)}")


if __name__ == "__main__":
    sys.exit(main())
