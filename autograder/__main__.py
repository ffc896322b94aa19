"""The instructor's command line: ``python -m autograder grade SUBMITTED``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from adamw_pset.cli import Parser, run
from adamw_pset.files import write_whole
from autograder.assignment.leaks import Leak
from autograder.grading import batch, marks
from autograder.grading.finding import BANNER, NOT_GRADED, Row
from autograder.grading.plain_text import visible
from autograder.grading.seed import secret_seed
from autograder.platforms import blackboard, brightspace, canvas, collect, gradescope, moodle, roster, totals
from autograder.platforms.ids import read_ids
from autograder.sandbox.sandbox import SandboxError, missing

IDS_HELP = "whose id is whose: a CSV file with the columns student and id, or nbgrader's gradebook.db"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.  0: every submission got its rows; 2: bad input or no sandbox; 130: ctrl-C."""
    return run("autograder", parser(), argv, (ValueError, OSError, SandboxError, Leak), visible)


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
        "--marks",
        type=Path,
        metavar="FILE",
        help="scores and comments given by hand: marks.csv or nbgrader's gradebook.db",
    )
    read = commands.add_parser(
        "grading",
        help="write a page on which the written answers are graded",
        description="Writes grading.html to the folder of grades: each written answer beside its rubric, for a browser "
        "and without a server. It saves marks.csv, which feedback and export take.",
    )
    read.set_defaults(run=_grading)
    _grading_arguments(read)
    read.add_argument("--marks", type=Path, metavar="FILE", help="what has been given already")
    bundle = commands.add_parser(
        "release",
        help="make the student's bundle",
        description="Writes the notebook, adamw_pset without the answers, pinned requirements and a README "
        "to DIR, and the same as DIR.zip. A bundle that holds an answer is not made.",
    )
    bundle.set_defaults(run=_release)
    bundle.add_argument("folder", type=Path, metavar="DIR", help="where to make it; an earlier one is replaced")
    add = commands.add_parser(
        "add-to",
        help="put the set into an nbgrader course of your own",
        description="Writes the source of explore_Adam into COURSE and two lines into its nbgrader_config.py, and says "
        "what to type next. Other assignments of the course stay as they are.",
    )
    add.set_defaults(run=_add_to)
    add.add_argument("course", type=Path, metavar="COURSE", help="the folder that holds the course's source/")
    take = commands.add_parser(
        "collect",
        help="turn a platform's download into folders to grade",
        description="Takes what Canvas, Moodle, Blackboard or nbgrader's zip_collect let you download, or a folder of "
        "notebooks, and writes SUBMITTED/<student>/explore_Adam/explore_Adam.ipynb, the newest of several hand-ins. "
        "What it could not place is named.",
    )
    take.set_defaults(run=_collect)
    take.add_argument("download", type=Path, metavar="DOWNLOAD", help="the zip file, or a folder")
    take.add_argument("submitted", type=Path, metavar="SUBMITTED", help="where to write; what is there is kept")
    take.add_argument("--ids", type=Path, metavar="FILE", help=IDS_HELP)
    _add_export(
        commands.add_parser(
            "export",
            help="totals, and files that Canvas, Moodle, Brightspace and Blackboard import",
            description="Adds up grades.csv. A student with a question that has no score gets no total, and is "
            "named with the reason; nothing that is not graded becomes a 0.",
        )
    )
    scope = commands.add_parser(
        "gradescope",
        help="make the autograder that Gradescope runs",
        description="Writes a zip file for Gradescope's Configure Autograder. It holds the answers and the "
        "course's seed: keep it to yourself.",
    )
    scope.set_defaults(run=_gradescope)
    scope.add_argument("file", type=Path, metavar="FILE.zip", help="where to write it")
    scope.add_argument(
        "--visibility",
        choices=gradescope.VISIBILITIES,
        default="visible",
        help="when students see points and sentences (default: visible)",
    )
    scope.add_argument(
        "--memory",
        type=_megabytes,
        default=gradescope.MEMORY,
        metavar="MB",
        help=f"that an answer may have; less for a small container (default: {gradescope.MEMORY})",
    )
    demo = commands.add_parser("demo", help="make, grade and give back a small course to look at")
    demo.set_defaults(run=_demo)
    demo.add_argument("folder", type=Path, metavar="DIR", help="where to make it; one of an earlier run is replaced")
    return top


def _grading_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("submitted", type=Path, metavar="SUBMITTED", help="the folder of submissions")
    command.add_argument("--out", type=Path, default=Path("grades"), metavar="DIR", help="default: grades")
    command.add_argument("--jobs", type=_jobs, default=1, metavar="N", help="submissions at once (default: 1)")
    command.add_argument(
        "--no-sandbox", action="store_true", help="without bubblewrap: submissions can do anything here"
    )


def _add_export(export: argparse.ArgumentParser) -> None:
    export.set_defaults(run=_export)
    export.add_argument(
        "to",
        choices=("marks", "csv", "canvas", "moodle", "brightspace", "blackboard"),
        help="marks: marks.csv, to be filled in by hand; csv: totals.csv",
    )
    export.add_argument(
        "--grades", type=Path, default=Path("grades/grades.csv"), metavar="FILE", help="default: grades/grades.csv"
    )
    export.add_argument(
        "--marks", type=Path, metavar="FILE", help="scores given by hand: marks.csv, or nbgrader's gradebook.db"
    )
    export.add_argument(
        "--questions",
        choices=tuple(totals.CHOICES),
        default="all",
        help="code: while written answers wait (default: all)",
    )
    export.add_argument(
        "--roster", type=Path, metavar="FILE", help="the platform's own file: its gradebook, worksheet or participants"
    )
    export.add_argument("--ids", type=Path, metavar="FILE", help=IDS_HELP)
    export.add_argument(
        "--changed", action="store_true", help="Canvas: only the students and the column that change, for large classes"
    )
    export.add_argument(
        "--match", default="", metavar="COLUMN", help="the roster's column with our names (default: what fits most)"
    )
    export.add_argument(
        "--column", default=roster.TITLE, metavar="NAME", help=f"the assignment there (default: {roster.TITLE})"
    )
    export.add_argument("--out", type=Path, metavar="FILE", help="default: beside grades.csv")


def _export(arguments: argparse.Namespace) -> None:
    if arguments.to in ("canvas", "blackboard") and arguments.roster is None:
        name = arguments.to.capitalize()
        raise ValueError(f"{name} needs its own file: export the gradebook there, and give it as --roster")
    ids = read_ids(arguments.ids) if arguments.ids else {}
    table = totals.read_grades(arguments.grades)
    given, unmatched = marks.matched(
        marks.read_marks(arguments.marks) if arguments.marks else {}, {row.student for row in table}
    )
    penalties = marks.read_penalties(arguments.marks) if arguments.marks else {}
    path = arguments.out or arguments.grades.with_name(f"{'totals' if arguments.to == 'csv' else arguments.to}.csv")
    if arguments.to == "marks":
        if unmatched:
            raise ValueError(f"{arguments.marks}: {'; '.join(unmatched)}. Mend or remove these lines first")
        _export_marks(table, given, path, arguments.marks)
        return
    table = marks.with_marks(table, given)
    summed = totals.totals(table, arguments.questions, penalties)
    where = {"match": arguments.match, "column": arguments.column}
    if arguments.to == "csv":
        export = totals.csv_totals(summed)
    elif arguments.to == "canvas":
        export = canvas.canvas(summed, arguments.roster, ids, changed=arguments.changed, **where)
    elif arguments.to == "brightspace":
        export = brightspace.brightspace(summed, arguments.roster, ids, **where)
    elif arguments.to == "blackboard":
        export = blackboard.blackboard(summed, arguments.roster, ids, **where)
    else:
        words = totals.feedback(table, given, arguments.questions)
        export = moodle.moodle(summed, words, arguments.roster, ids, **where)
    write_whole(path, export.text)
    for note in unmatched + export.notes:
        print(visible(note), file=sys.stderr)
    print(f"Wrote {path}: {sum(total.score is not None for total in summed)} of {len(summed)} totals")


def _export_marks(table: list[Row], given: dict[tuple[str, str], marks.Mark], path: Path, source: Path | None) -> None:
    if path.exists() and (source is None or not source.exists() or not path.samefile(source)):
        raise ValueError(f"{path} is there already: --marks {path} keeps what it says, and adds what is new")
    write_whole(path, totals.marks_sheet(table, given))
    print(f"Wrote {path}: fill in score and comment")


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number from 1 to 64")
    return int(text)


def _megabytes(text: str) -> int:
    if not text.isdecimal() or not 64 <= int(text) <= 65536:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number from 64 to 65536")
    return int(text)


def _release(arguments: argparse.Namespace) -> None:
    from autograder.assignment.release import release  # needs nbgrader

    names = release(arguments.folder)
    print(f"Wrote {len(names)} files to {arguments.folder}, and {arguments.folder}.zip")


def _collect(arguments: argparse.Namespace) -> None:
    ids = read_ids(arguments.ids) if arguments.ids else {}
    collected = collect.collect(arguments.download, arguments.submitted, ids)
    for note in collected.notes:
        print(note, file=sys.stderr)
    print(
        f"{collected.layout}: wrote {collected.students} notebooks to {arguments.submitted}; "
        f"who is who: {collect.IDS_FILE}"
    )
    if pattern := collect.ZIP_COLLECT.get(collected.layout):
        print(f"nbgrader zip_collect takes the same with --FileNameCollectorPlugin.named_regexp='{pattern}'")


def _add_to(arguments: argparse.Namespace) -> None:
    from autograder.platforms.course import add_to  # needs nbgrader

    print("\n".join(add_to(arguments.course)))


def _gradescope(arguments: argparse.Namespace) -> None:
    if arguments.file.suffix != ".zip":
        raise ValueError(f"{arguments.file} should end in .zip")
    names = gradescope.archive(arguments.file, arguments.visibility, arguments.memory)
    print(f"Wrote {len(names)} files to {arguments.file}, the answers and the seed among them: keep it")


def _demo(arguments: argparse.Namespace) -> None:
    from autograder.demo.course import demo  # needs nbgrader

    if reason := missing():
        raise SandboxError(reason)
    print(demo(arguments.folder))
    print(f"\nFeedback: {arguments.folder}/feedback/<student>/explore_Adam/explore_Adam.html")
    print(f"Report on the class: {arguments.folder}/grades/report.html")


def _feedback(arguments: argparse.Namespace) -> None:
    from autograder.returning.feedback import PAGES, give_back  # needs jinja2 and what sets formulas
    from autograder.returning.report import REPORT, write_report

    back = give_back(
        arguments.submitted,
        arguments.out,
        secret_seed(),
        marks=arguments.marks,
        jobs=arguments.jobs,
        confined=_confined(arguments),
    )
    write_report(arguments.out, back)
    waiting = sum(part.score is None for each in back for part in each.parts)
    print(f"Wrote {len(back)} pages to {arguments.out / PAGES}, and {arguments.out / REPORT} for you alone.")
    if waiting:
        print(f"{waiting} answers have no score yet, and say so.")


def _grading(arguments: argparse.Namespace) -> None:
    from autograder.returning.grading_page import GRADING, write_grading_page  # needs jinja2 and what sets formulas

    answers = write_grading_page(
        arguments.submitted,
        arguments.out,
        secret_seed(),
        marks=arguments.marks,
        jobs=arguments.jobs,
        confined=_confined(arguments),
    )
    print(f"Wrote {arguments.out / GRADING}: {answers} answers to read. Open it in a browser; it saves marks.csv")


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
    table = batch.grade_all(arguments.submitted, arguments.out, secret_seed(), jobs=arguments.jobs, confined=confined)
    print(batch.overview(table))
    print(f"\nWrote {batch.GRADES} and {batch.ATTENTION} to {arguments.out}")
    if lost := sorted({row.student for row in table if row.status == NOT_GRADED}):
        print(f"Not or not wholly graded: {', '.join(lost)}")


if __name__ == "__main__":
    sys.exit(main())
