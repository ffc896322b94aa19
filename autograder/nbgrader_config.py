"""nbgrader's settings for this course; nbgrader reads the file when it is run in ``autograder/``.

``build.py`` reads it too, so that the student's notebook is what ``nbgrader generate_assignment`` makes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nbconvert.preprocessors import TagRemovePreprocessor
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    GetGrades,
    IncludeHeaderFooter,
    InstantiateTests,
    LockCells,
    SaveCells,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from adamw_pset.notebook import PLACEHOLDER
from autograder.nbgrader_plugin import ExportGrades, FeedbackPage, Rebuild, SaveGrades, prepare

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.CourseDirectory.course_id = "adamw"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "runs", "__pycache__"]

STUB = "# Your code here, in the place of the next line.\nraise NotImplementedError"
c.ClearSolutions.code_stub = {"python": STUB}
c.ClearSolutions.text_stub = f"*{PLACEHOLDER}.*"

# The instructor's commentary stands in cells with the tag "instructor".
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = {"instructor"}
c.GenerateAssignment.preprocessors = [
    TagRemovePreprocessor,
    IncludeHeaderFooter,
    InstantiateTests,
    LockCells,
    ClearSolutions,
    ClearOutput,
    CheckCellMetadata,
    ComputeChecksums,
    SaveCells,
    ClearHiddenTests,
    ClearMarkScheme,
    ComputeChecksums,
    CheckCellMetadata,
]

# Grading: submissions run in a sandbox and nowhere else.
c.Autograde.exporter_class = Rebuild
c.Autograde.pre_convert_hook = prepare
c.Autograde.sanitize_preprocessors = []
c.Autograde.autograde_preprocessors = [SaveGrades, AssignLatePenalties, CheckCellMetadata]
c.GenerateFeedback.exporter_class = FeedbackPage
c.GenerateFeedback.preprocessors = [GetGrades]
c.ExportApp.plugin_class = ExportGrades
