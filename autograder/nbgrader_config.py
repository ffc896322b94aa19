"""nbgrader's settings for this course; nbgrader reads the file when it is run in ``autograder/``.

``build.py`` reads it too, so that the student's notebook is what ``nbgrader generate_assignment`` makes.
"""

from __future__ import annotations

from nbconvert.preprocessors import TagRemovePreprocessor
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    IncludeHeaderFooter,
    InstantiateTests,
    LockCells,
    SaveCells,
)

from adamw_pset.notebook import PLACEHOLDER

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.CourseDirectory.course_id = "adamw"
c.CourseDirectory.ignore = ["*.py", ".ipynb_checkpoints", "runs", "__pycache__"]

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
