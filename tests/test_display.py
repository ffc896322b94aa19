"""What a notebook shows: one friendly line in the place of a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adamw_pset import curves, make_data, sweep
from adamw_pset.display import Told, kindly

TINY = make_data("easy", n_train=64, n_val=8)


def unanswered(theta: Any, grad: Any, state: Any, *, lr: float, weight_decay: float) -> Any:
    raise NotImplementedError


def interrupt() -> None:
    raise KeyboardInterrupt


def absent(theta: Any, grad: Any, state: Any, *, lr: float, weight_decay: float) -> Any:
    return misspelt  # type: ignore[name-defined]  # noqa: F821


OPEN = "unanswered is still open: fill in its cell and run it, then this one."


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (interrupt, "Stopped. Finished runs are kept: run this cell again, and it goes on from there."),
        (lambda: sweep(unanswered, [0.1], [0.1], TINY, seeds=1, epochs=1), OPEN),
        (lambda: curves(unanswered, [(0.1, 0.1)], TINY), OPEN),
        (lambda: unanswered(0, 0, 0, lr=0, weight_decay=0), OPEN),
        (lambda: sweep(..., [0.1], [0.1], TINY), "A function is still open"),  # type: ignore[arg-type]
        (lambda: exec("table_w", {}), "table_w is not there yet: run the cells above"),
        (lambda: absent(0, 0, 0, lr=0, weight_decay=0), "absent: name 'misspelt' is not defined."),
        (
            lambda: exec("def share(x): return x + 'a'\nshare(1)", {"__name__": "__main__"}),
            "share: unsupported operand",
        ),
        (lambda: make_data(lable_noise=0.1), "unexpected keyword argument 'lable_noise'"),  # type: ignore[call-arg]
        (lambda: make_data(label_noise="much"), "label_noise='much': give a number"),  # type: ignore[arg-type]
    ],
)
def test_what_is_amiss_is_told_in_a_line(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(Told) as told, kindly():
        call()
    shown = told.value._render_traceback_()
    assert words in " ".join(shown)
    assert max(map(len, shown)) <= 88


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError), kindly():
        _ = 1 / 0
