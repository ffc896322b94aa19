"""nbgrader's settings for the course in this folder; other courses take the last line over: ``add-to`` writes it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import autograder.platforms.nbgrader

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.CourseDirectory.course_id = "adamw"
autograder.platforms.nbgrader.install()
