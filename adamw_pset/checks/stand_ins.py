"""What takes the place of work that is no answer while a notebook is read: sweeps, figures, questions to a person."""

from __future__ import annotations

import builtins
import contextlib
import getpass
import importlib
import math
import os
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

import adamw_pset
from adamw_pset.off_limits import OffLimits, refusal
from adamw_pset.table import METRICS, MOTION

# Magics that start programs or take their time, and those that only a kernel has.
MAGICS = {
    "line": (
        *("timeit", "pip", "conda", "mamba", "micromamba", "uv", "system", "sx", "debug", "edit", "pdb"),
        *("autosave", "connect_info", "qtconsole", "clear", "less", "more", "man", "subshell"),
    ),
    "cell": (
        *("timeit", "script", "bash", "sh", "perl", "ruby", "python", "python2", "python3", "pypy", "system", "sx"),
        *("cmd", "!", "debug"),
    ),
}
MADE_UP = "made up while a notebook was read"  # marks such a table
ROWS = 400  # of a table, at most
MEASURES = (  # of a tuning card
    *("best_accuracy", "good_fraction", "slope", "separability", "two_line_regret", "expected_best_of_8"),
    *("best_turn", "turn_lr_power", "turn_decay_power", "turn_slope", "best_timescale"),
)


class Refused(RuntimeError):
    """What a reading does not do: ask, connect, start a program."""


def small_table(rule: Any, lrs: Sequence[float], decays: Sequence[float], *_: Any, seeds: Any = 1, **__: Any) -> Any:
    """In the place of ``sweep``: the table of a sweep in which every run went alike."""
    several = range(seeds) if isinstance(seeds, int) else seeds
    runs = [(lr, decay, seed) for lr in lrs for decay in decays for seed in several][:ROWS]
    table = pd.DataFrame(runs, columns=["lr", "decay", "seed"])
    table.insert(0, "optimizer", getattr(rule, "__name__", "rule"))
    table.attrs[MADE_UP] = True
    return table.assign(**dict.fromkeys(METRICS, 0.5), diverged=False)


def small_history(rule: Any, settings: Sequence[tuple[float, float]], *_: Any, **__: Any) -> Any:
    """In the place of ``curves``: the history of runs of one step."""
    history = pd.DataFrame(list(settings)[:ROWS], columns=["lr", "decay"])
    history.insert(0, "optimizer", getattr(rule, "__name__", "rule"))
    history.attrs[MADE_UP] = True
    return history.assign(seed=0, step=1, epoch=1.0, **dict.fromkeys((*MOTION, *METRICS), 0.5))


def _figure(*_: Any, **__: Any) -> Any:
    from matplotlib.figure import Figure

    return Figure()


def _norm(*_: Any, **__: Any) -> Any:
    from matplotlib.colors import Normalize

    return Normalize(0, 1)


def _axes(*_: Any, ax: Any = None, **__: Any) -> Any:
    ax = _figure().subplots() if ax is None else ax
    ax.pcolormesh([[0.5]])
    return ax


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _words(*_: Any, **__: Any) -> str:
    return ""


def _card(table: Any, *_: Any, **__: Any) -> Any:
    columns = [f"{measure}{bound}" for measure in MEASURES for bound in ("", "_low", "_high")]
    return pd.DataFrame(math.nan, index=sorted(set(table["optimizer"])), columns=columns)


def _first(table: Any = None, *_: Any, **__: Any) -> Any:
    return table


IN_PLACE_OF: dict[str, Callable[..., Any]] = {  # names of the package
    "sweep": small_table,
    "curves": small_history,
    "draw_curves": _figure,
    "open_map": _nothing,
    "heatmap": _axes,
    "heatmaps": _figure,
    "draw_slope": _nothing,
    "draw_turns": _nothing,
    "color_norm": _norm,
    "describe": _words,
    "turns_in_words": _words,
    "tuning_card": _card,
    "card_table": _first,
    "playground": _nothing,
    "reveal_slopes": _nothing,
    "reveal_turns": _nothing,
    "side_by_side": _figure,
    "self_test": _nothing,
    "show": _nothing,
    "summary": _nothing,
}


@contextlib.contextmanager
def placed(
    check: Callable[[str, Any], None], questions: Iterable[str], answering: Callable[[], bool], used: Callable[[], None]
) -> Iterator[None]:
    """While this is entered, the package's names stand for these, and no one is asked, reached or started.

    Where ``answering`` says so, an answer is running, and what would do its work is off limits; ``used`` is told
    when one of these is called.
    """

    def outside(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            if answering() and name not in ("show", "summary"):
                raise OffLimits(refusal(f"adamw_pset.{name}"))
            used()
            return function(*args, **kwargs)

        return stand_in

    names: dict[str, Any] = {name: outside(name, function) for name, function in IN_PLACE_OF.items()}
    names |= {"check": check, "open_questions": lambda: dict.fromkeys(questions, ...)}
    with contextlib.ExitStack() as stack:
        for name, value in names.items():
            home = importlib.import_module(getattr(adamw_pset, name).__module__)
            for module in dict.fromkeys((adamw_pset, home)):
                stack.enter_context(_replaced(module, name, value))
        stack.enter_context(_undrawn())
        for place, name in (
            (builtins, "input"),
            (getpass, "getpass"),
            (socket.socket, "connect"),
            (socket, "getaddrinfo"),
            (subprocess.Popen, "_execute_child"),
            (os, "system"),
        ):
            stack.enter_context(_replaced(place, name, _refusing(name)))
        stack.enter_context(_replaced(os, "_exit", _staying(os._exit)))
        yield


@contextlib.contextmanager
def _undrawn() -> Iterator[None]:
    """Figures are made, and neither drawn, shown nor saved."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matplotlib.use("agg")
    importlib.import_module("matplotlib.pyplot")  # starts a program the first time, to find the fonts
    with _replaced(Figure, "savefig", _nothing), _replaced(FigureCanvasAgg, "draw", _nothing):
        yield


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise Refused(f"{name} does nothing while a notebook is read")

    return refuse


def _staying(leave: Callable[[int], Any]) -> Callable[[int], None]:
    """In the place of ``os._exit``, which ends the processes that a cell has forked, and not this one."""
    here = os.getpid()

    def stay(status: int) -> None:
        if os.getpid() != here:
            leave(status)
        raise Refused("nothing ends Python while a notebook is read")

    return stay


@contextlib.contextmanager
def _replaced(place: Any, name: str, value: Any) -> Iterator[None]:
    before = vars(place).get(name)
    setattr(place, name, value)
    try:
        yield
    finally:
        if before is None:
            delattr(place, name)
        else:
            setattr(place, name, before)
