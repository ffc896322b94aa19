from .checks.verdicts import CheckFailed, check, open_questions, summary
from .data import Data, load_arrays, load_digits_data, make_data
from .display import kindly, show
from .maps.curves import draw_curves, open_map
from .maps.measures import card_table, tuning_card
from .maps.playground import playground
from .maps.plots import color_norm, describe, draw_slope, draw_turns, heatmap, heatmaps, side_by_side, turns_in_words
from .maps.predictions import reveal_slopes, reveal_turns
from .rule import RuleError, RuleOptimizer, State
from .table import TableError, read_table, write_table
from .training.curves import curves
from .training.grids import log_grid
from .training.self_test import self_test
from .training.sweep import sweep

__all__ = [
    "CheckFailed",
    "Data",
    "RuleError",
    "RuleOptimizer",
    "State",
    "TableError",
    "card_table",
    "check",
    "color_norm",
    "curves",
    "describe",
    "draw_curves",
    "draw_slope",
    "draw_turns",
    "heatmap",
    "heatmaps",
    "kindly",
    "load_arrays",
    "load_digits_data",
    "log_grid",
    "make_data",
    "open_map",
    "open_questions",
    "playground",
    "read_table",
    "reveal_slopes",
    "reveal_turns",
    "self_test",
    "show",
    "side_by_side",
    "summary",
    "sweep",
    "tuning_card",
    "turns_in_words",
    "write_table",
]
