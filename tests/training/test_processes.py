"""Processes train what threads train, to the last digit; they stop at once, and one that dies costs only time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from loky import get_reusable_executor

from adamw_pset import optimizers, read_table, sweep
from adamw_pset.data import make_data
from adamw_pset.rule import Rule
from adamw_pset.training import processes, workers
from adamw_pset.training.processes import WorkerError

DATA = make_data(classes=4, clusters=2, n_train=160, n_val=100, dim=6)
HERE = os.getpid()


@pytest.fixture(scope="module", autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    get_reusable_executor(2).shutdown(wait=True, kill_workers=True)


@pytest.fixture(autouse=True)
def _two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FEW", 0)
    monkeypatch.setattr(processes, "PAYS", 0.0)
    monkeypatch.setattr(processes, "cores", lambda: 2)


def run(rule: Rule = optimizers.adamw, **more: Any) -> pd.DataFrame:
    settings: dict[str, Any] = {"seeds": 2, "epochs": 2, "batch_size": 32, "width": 8, "progress": False}
    return sweep(rule, [0.01, 0.1], [0.01, 0.1], DATA, **settings | more)


def children() -> list[psutil.Process]:
    """Processes of ours that train."""
    return [each for each in psutil.Process().children(recursive=True) if "popen_loky" in " ".join(each.cmdline())]


@pytest.mark.parametrize("block", [1, 3, 100])
def test_the_table_is_the_same_at_any_number_of_workers(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(block=block)
    assert children()
    for slots, pays in ((1, 0.0), (2, 1e9), (3, 1e9)):
        monkeypatch.setattr(processes, "cores", lambda slots=slots: slots)
        monkeypatch.setattr(processes, "PAYS", pays)
        pd.testing.assert_frame_equal(run(block=block), made, check_exact=True)


def test_a_rule_that_is_defined_in_a_function_and_holds_values_travels() -> None:
    factor = 0.5

    def mine(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
        return (1 - factor * weight_decay) * theta - lr * grad, state

    assert not run(mine)["diverged"].any()


def test_a_rule_that_cannot_travel_trains_in_threads() -> None:
    lock = threading.Lock()

    def locked(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
        with lock:
            return theta - lr * grad, state

    assert len(run(locked)) == 8


@pytest.mark.parametrize("times", [1, 99])
def test_a_process_that_dies_costs_its_blocks_once_more(times: int, tmp_path: Path) -> None:
    def dies(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
        gone = len(list(tmp_path.glob("gone-*")))
        if os.getpid() != HERE and gone < times and state.t == 3:
            (tmp_path / f"gone-{gone}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return optimizers.adamw(theta, grad, state, lr=lr, weight_decay=weight_decay)

    if times == 1:
        assert not run(dies)["diverged"].any()
    else:
        with pytest.raises(WorkerError, match="block=4: a process that trains was killed twice"):
            run(dies)


def test_an_error_of_the_rule_comes_as_itself_and_stops_all() -> None:
    def fails(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
        if os.getpid() != HERE and state.t == 3:
            raise ZeroDivisionError("in step 4")
        return optimizers.adamw(theta, grad, state, lr=lr, weight_decay=weight_decay)

    with pytest.raises(ZeroDivisionError, match="in step 4"):
        run(fails)
    assert not children()


def test_an_interrupt_stops_all_within_a_second_and_keeps_what_is_done(tmp_path: Path) -> None:
    started, saved = tmp_path / "started", tmp_path / "runs.csv"

    def slow(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
        if os.getpid() != HERE and float(lr.max()) > 0.02:
            started.touch()
            time.sleep(0.05)
        return theta - lr * grad, state

    def interrupt() -> None:
        while not (started.exists() and saved.exists()):
            time.sleep(0.02)
        stopped.append(time.monotonic())
        os.kill(HERE, signal.SIGINT)

    stopped: list[float] = []
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        sweep(slow, [0.01, 0.02, 0.1], [0.01], DATA, seeds=2, epochs=100, width=8, block=1, progress=False, save=saved)
    assert time.monotonic() - stopped[0] < 3  # a second on a quiet machine
    assert not children()
    assert 0 < len(read_table(saved)) < 6


@pytest.mark.parametrize(
    ("asked", "cpus", "expected"), [("1", 8, 1), ("3", 8, 3), ("16", 8, 8), ("", 8, 8), ("many", 8, 8), ("0", 2, 2)]
)
def test_cores_heed_what_was_asked_for(asked: str, cpus: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(workers, "cpu_count", lambda: cpus)
    assert workers.cores() == expected


def test_little_work_stays_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for few, pays in ((10**9, 0.1), (0, 60.0)):
        monkeypatch.setattr(processes, "FEW", few)
        monkeypatch.setattr(processes, "PAYS", pays)
        monkeypatch.setattr(processes, "Processes", None)
        assert len(run()) == 8
