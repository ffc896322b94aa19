"""nbgrader's settings for this course; nbgrader reads the file when it is run in ``autograder/``."""

from __future__ import annotations

import sys
from pathlib import Path

from nbgrader.preprocessors import AssignLatePenalties, CheckCellMetadata, GetGrades

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from autograder.assignment.build import generate_config
from autograder.platforms.nbgrader import ExportGrades, FeedbackPage, Rebuild, SaveGrades, prepare

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.CourseDirectory.course_id = "adamw"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "runs", "__pycache__"]

c.merge(generate_config())

# Grading: submissions run in a sandbox and nowhere else.
c.Autograde.exporter_class = Rebuild
c.Autograde.pre_convert_hook = prepare
c.Autograde.sanitize_preprocessors = []
c.Autograde.autograde_preprocessors = [SaveGrades, AssignLatePenalties, CheckCellMetadata]
c.GenerateFeedback.exporter_class = FeedbackPage
c.GenerateFeedback.preprocessors = [GetGrades]
c.ExportApp.plugin_class = ExportGrades
