"""The notebook, made small enough to be run in a test."""

from __future__ import annotations

from typing import Any

import nbformat


def small(notebook: Any) -> Any:
    """The notebook with a coarse grid, one epoch a run, and the extensions."""
    text = nbformat.writes(notebook)
    for old, new in {
        "POINTS = 9 ": "POINTS = 3 ",
        '\\"epochs\\": 20}': '\\"epochs\\": 1}',
        "EXTENSIONS = False": "EXTENSIONS = True",
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return nbformat.reads(text, as_version=4)
