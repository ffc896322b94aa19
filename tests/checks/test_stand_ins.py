"""What stands in for the work of a notebook looks like the work."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import adamw_pset
from adamw_pset import curves, make_data
from adamw_pset.checks import stand_ins
from adamw_pset.maps.measures import MEASURES
from adamw_pset.off_limits import OffLimits
from adamw_pset.table import check_table


def stays(theta: Any, grad: Any, state: Any, *, lr: float, weight_decay: float) -> Any:
    return theta, state


def test_the_table_of_a_sweep_is_valid_whatever_was_asked_for() -> None:
    for lrs, decays, seeds in (([0.1], [0.1], 1), (list(range(1, 40)), [0.1, 1.0], [3, 4]), ([0.1, 1], [1, 2], 2)):
        table = stand_ins.small_table(len, lrs, decays, None, seeds=seeds, epochs=20)
        assert len(check_table(table)) <= stand_ins.ROWS
        assert set(table["optimizer"]) == {"len"}


def test_a_card_has_the_measures_of_a_card() -> None:
    assert tuple(MEASURES) == stand_ins.MEASURES


def test_all_that_trains_or_draws_has_its_stand_in() -> None:
    homes = {name: getattr(adamw_pset, name).__module__ for name in adamw_pset.__all__}
    work = {name for name, home in homes.items() if home.startswith(("adamw_pset.maps", "adamw_pset.training"))}
    assert work - {"log_grid"} <= set(stand_ins.IN_PLACE_OF)
    made = stand_ins.small_history(len, [(0.1, 1.0), (1.0, 0.1)], None, epochs=3)
    assert set(made) == set(curves(stays, [(0.1, 1.0)], make_data("easy", n_train=8, n_val=8), batch_size=8, epochs=1))


def test_an_answer_cannot_have_its_work_done(monkeypatch: pytest.MonkeyPatch) -> None:
    before, answering, used = adamw_pset.sweep, [False], []
    with stand_ins.placed(print, ["adamw"], lambda: answering[0], lambda: used.append(1)):
        assert isinstance(adamw_pset.sweep(len, [1], [1], None), pd.DataFrame)
        assert adamw_pset.open_questions() == {"adamw": ...}
        answering[0] = True
        for name in ("sweep", "tuning_card", "heatmap"):
            with pytest.raises(OffLimits, match=f"adamw_pset.{name} computes this"):
                getattr(adamw_pset, name)(len, [1], [1], None)
    assert used == [1]
    assert adamw_pset.sweep is before


@pytest.mark.parametrize(
    "work",
    [
        "input('name? ')",
        "__import__('getpass').getpass()",
        "__import__('os').system('true')",
        "__import__('os')._exit(0)",
        "__import__('subprocess').run(['true'])",
        "__import__('urllib.request').request.urlopen('http://127.0.0.1:9/x')",
    ],
)
def test_no_one_is_asked_reached_or_started(work: str) -> None:
    def place(*_: Any) -> bool:
        return False

    with stand_ins.placed(place, [], place, lambda: None), pytest.raises((stand_ins.Refused, OSError)):
        eval(work)
