"""Weight decay and Adam: a problem set.  See ``README.md`` and ``explore_Adam.ipynb``."""

__version__ = "0.1.0"

from adamw_pset.data import Data, load_arrays, load_digits_data, make_data
from adamw_pset.plots import heatmap, heatmaps
from adamw_pset.rule import RuleError, RuleOptimizer, State
from adamw_pset.sweep import sweep
from adamw_pset.table import read_table, write_table
from adamw_pset.tuning import tuning_card

__all__ = [
    "Data",
    "RuleError",
    "RuleOptimizer",
    "State",
    "heatmap",
    "heatmaps",
    "load_arrays",
    "load_digits_data",
    "make_data",
    "read_table",
    "sweep",
    "tuning_card",
    "write_table",
]
