"""Weight decay and Adam: a problem set.  See ``README.md`` and ``explore_Adam.ipynb``."""

__version__ = "0.1.0"

from adamw_pset.rule import RuleError, RuleOptimizer, State

__all__ = ["RuleError", "RuleOptimizer", "State"]
