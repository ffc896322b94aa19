"""A course of one's own: ``python -m autograder add-to COURSE`` puts explore_Adam beside its other assignments."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from nbgrader.coursedir import CourseDirectory
from traitlets.config.loader import Config, PyFileConfigLoader

from adamw_pset.files import write_whole
from autograder.assignment.places import INSTRUCTOR, NAME
from autograder.sandbox.sandbox import missing

CONFIG = "nbgrader_config.py"
LINES = """\
import autograder.platforms.nbgrader  # explore_Adam is graded in a sandbox, and every other assignment as before
autograder.platforms.nbgrader.install()
"""
NEXT = f"""\
Next, in {{course}}:
  nbgrader generate_assignment {NAME}
  python -m autograder release {{release}}
  nbgrader release_assignment {NAME}       # or give out {{release}}.zip
  nbgrader collect {NAME}                  # or python -m autograder collect DOWNLOAD {{submitted}}
  nbgrader autograde {NAME}
  jupyter lab                                   # Formgrader: the written answers
  nbgrader generate_feedback {NAME}
  nbgrader export"""


def add_to(course: Path) -> list[str]:
    """Put the source of explore_Adam and two lines of settings into ``course``; what was done, and what comes next.

    Raises ``ValueError`` if ``course`` is no folder, if another explore_Adam is there, or if nbgrader would not
    find this package.
    """
    if not course.is_dir():
        raise ValueError(f"{course} is not a folder: give the one that holds the course's source/")
    try:
        distribution("adamw-pset")
    except PackageNotFoundError:
        raise ValueError(
            "nbgrader would not find this package: install it first, pip install '.[autograder]'"
        ) from None
    config = course / CONFIG
    settings = config.read_text(encoding="utf-8") if config.exists() else "c = get_config()\n"
    place = _course_directory(course)
    target = Path(place.format_path(place.source_directory, ".", NAME)) / INSTRUCTOR.name
    text = INSTRUCTOR.read_text(encoding="utf-8")
    if target.exists() and target.read_text(encoding="utf-8") != text:
        raise ValueError(f"{target} is there already, and is another: move it away, and run this again")
    write_whole(target, text)
    done = [f"Wrote {target}"]
    if LINES not in settings:
        write_whole(config, settings + "\n" * (not settings.endswith("\n")) + LINES)
        done.append(f"Added two lines to {config}")
    if reason := missing():
        done.append(f"Here nothing can be graded yet: {reason}")
    release = f"{place.release_directory}/{NAME}"
    return [*done, NEXT.format(course=course, release=release, submitted=place.submitted_directory)]


def _course_directory(course: Path) -> CourseDirectory:
    """Where the course's own settings say that its folders lie."""
    config = PyFileConfigLoader(CONFIG, path=str(course)).load_config() if (course / CONFIG).exists() else Config()
    if "root" not in config.CourseDirectory:
        config.CourseDirectory.root = str(course.resolve())
    return CourseDirectory(config=config)
