from .checks.verdicts import CheckFailed, check, open_questions, summary
from .data import Data, load_arrays, load_digits_data, make_data
from .display import show
from .maps.measures import card_table, tuning_card
from .maps.playground import playground
from .maps.plots import color_norm, describe, draw_slope, heatmap, heatmaps
from .rule import RuleError, RuleOptimizer, State
from .table import TableError, read_table, write_table
from .training.grids import log_grid
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
    "describe",
    "draw_slope",
    "heatmap",
    "heatmaps",
    "load_arrays",
    "load_digits_data",
    "log_grid",
    "make_data",
    "open_questions",
    "playground",
    "read_table",
    "show",
    "summary",
    "sweep",
    "tuning_card",
    "write_table",
]
