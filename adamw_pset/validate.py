"""One idiom for bad arguments: an error that names the argument, its value and what would be right."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


def is_whole(value: Any) -> bool:
    """Whether ``value`` is an integer, of Python or of numpy."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole(name: str, value: Any, least: int = 1) -> int:
    """``value`` as a whole number from ``least`` up."""
    if not is_whole(value) or value < least:
        raise ValueError(f"{name}={value!r}: give a whole number from {least} up")
    return int(value)


def real(name: str, value: Any, most: float = math.inf) -> float:
    """``value`` as a finite number from 0 to ``most``."""
    number = isinstance(value, float | np.floating) or is_whole(value)
    if not number or not (0 <= value <= most and math.isfinite(value)):
        raise ValueError(f"{name}={value!r}: give a number from 0 {'up' if most == math.inf else f'to {most:g}'}")
    return float(value)


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """``value``, if it is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}={value!r}: choose one of {', '.join(choices)}")
    return value


def file_name(name: str, value: Any) -> Path | None:
    """``value`` as a path, or None."""
    if value is not None and not isinstance(value, str | Path):
        raise ValueError(f"{name}={value!r}: give the name of a file")
    return None if value is None else Path(value)
