"""Where the texts of the problem set lie in this package."""

from __future__ import annotations

from pathlib import Path

NAME = "explore_Adam"
AUTOGRADER = Path(__file__).resolve().parents[1]
SOURCE = AUTOGRADER / "source" / f"{NAME}.py"  # everything is built from this
INSTRUCTOR = AUTOGRADER / "source" / NAME / f"{NAME}.ipynb"
BUNDLE = AUTOGRADER / "assignment" / "bundle"  # what students get beside adamw_pset
RELEASED = BUNDLE / f"{NAME}.ipynb"


def wings() -> list[Path]:
    """The folders of this package that hold its code."""
    return sorted(path.parent for path in AUTOGRADER.glob("*/__init__.py"))
