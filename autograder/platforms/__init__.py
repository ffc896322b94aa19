"""Where grades go: nbgrader, Canvas, Moodle, Gradescope."""
