"""Where the lines, bars and numbers of the pages' pictures stand, in the coordinates of an SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 22, 36  # room beside the plot for its numbers
BEYOND = 1.5  # a wrong path is followed so many heights of the right one, and cut off there


class Tick(NamedTuple):
    """A number on an axis, and where it stands."""

    place: float
    label: str


class Line(NamedTuple):
    """A path: the points of its parts, and of its markers inside the plot."""

    parts: list[str]  # for <polyline points>; more than one where a number is missing
    markers: list[tuple[float, float]]


class Plot(NamedTuple):
    """Two paths over the steps 0, 1, 2, ..."""

    right: Line
    yours: Line
    x: list[Tick]
    y: list[Tick]
    leaves: bool  # whether yours goes where the picture ends


class Bar(NamedTuple):
    """A bar of a histogram: numbers from ``low`` up to, not including, ``high``."""

    low: float
    high: float
    number: int
    x: float
    y: float
    width: float
    height: float


def number(value: float) -> str:
    """Four digits, with a minus as long as a plus."""
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.4g}".replace("-", "−")


def paths(right: Sequence[float], yours: Sequence[float]) -> Plot:
    """The picture of two paths of the same length; numbers that are not finite are left out."""
    span = (max(right) - min(right)) or abs(right[0]) or 1.0
    low, high = min(right) - BEYOND * span, max(right) + BEYOND * span
    inside = [value for value in yours if low <= value <= high]
    bottom, top = min([*right, *inside]), max([*right, *inside])
    leaves = any(not low <= value <= high for value in yours if math.isfinite(value))
    if leaves:
        bottom = low if any(value < low for value in yours) else bottom
        top = high if any(value > high for value in yours) else top
    margin = 0.06 * (top - bottom)
    bottom, top = bottom - margin, top + margin
    step = (WIDTH - LEFT - RIGHT - 20) / max(1, len(right) - 1)

    def place(i: int, value: float) -> tuple[float, float]:
        down = (top - value) / (top - bottom) * (HEIGHT - TOP - BOTTOM)
        edge = 3.0 * HEIGHT  # far outside: the plot is cut at its edges
        return round(LEFT + 10 + i * step, 1), round(TOP + max(-edge, min(edge, down)), 1)

    return Plot(
        _line(right, place),
        _line(yours, place),
        [Tick(place(i, top)[0], str(i)) for i in range(len(right))],
        [Tick(place(0, value)[1], label) for value, label in ticks(bottom, top)],
        leaves,
    )


def bars(values: Sequence[float], most: float, bins: int = 10) -> list[Bar]:
    """The histogram of ``values`` between 0 and ``most``, in ``bins`` bars; the last takes in ``most``."""
    step = most / bins
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, max(0, int(value / step + 1e-9)))] += 1
    width, full = (WIDTH - LEFT - RIGHT) / bins, HEIGHT - TOP - BOTTOM
    tallest = max([1, *counts])
    return [
        Bar(
            round(i * step, 6),
            round((i + 1) * step, 6),
            count,
            round(LEFT + i * width + 1, 1),
            round(HEIGHT - BOTTOM - full * count / tallest, 1),
            round(width - 2, 1),
            round(full * count / tallest, 1),
        )
        for i, count in enumerate(counts)
    ]


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Three to six round numbers between two, and how to write them."""
    step = 10.0 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (1, 0.5, 0.2) if (high - low) / (step * part) >= 3)
    first = math.ceil(low / step)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    form = f".{digits}f" if digits < 6 and max(-low, high) < 1e6 else ".4g"
    values = [i * step for i in range(first, math.floor(high / step) + 1)]
    return [(value, f"{value + 0.0:{form}}".replace("-", "−")) for value in values]


def _line(values: Sequence[float], place: Callable[[int, float], tuple[float, float]]) -> Line:
    parts: list[list[str]] = [[]]
    markers = []
    for i, value in enumerate(values):
        if not math.isfinite(value):
            parts.append([])
            continue
        x, y = place(i, value)
        parts[-1].append(f"{x:g},{y:g}")
        if TOP <= y <= HEIGHT - BOTTOM:
            markers.append((x, y))
    return Line([" ".join(part) for part in parts if len(part) > 1], markers)
