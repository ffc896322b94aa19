"""Draws the small picture that the notebook shows folded: ``python -m autograder.assignment.expected_maps``.

From docs/figures/notebook/heatmaps.csv: the reference rules on the notebook's own grid and seeds.
"""

from __future__ import annotations

import io

from PIL import Image

from adamw_pset.maps.plots import heatmaps
from adamw_pset.table import read_table
from autograder.assignment.places import AUTOGRADER, SOURCE

TABLE = AUTOGRADER.parent / "docs" / "figures" / "notebook" / "heatmaps.csv"
PICTURE = SOURCE.with_name("expected_maps.png")
COLORS = 64  # a palette keeps the notebook small


def draw() -> None:
    """Write the picture: the accuracy maps of both rules."""
    drawn = io.BytesIO()
    heatmaps(read_table(TABLE), metrics=("val_accuracy",)).savefig(drawn, dpi=75)
    Image.open(drawn).convert("RGB").quantize(COLORS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    draw()
