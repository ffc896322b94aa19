"""A real Dask cluster of several processes: the same table, whatever dies, and errors that help."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import pandas as pd
import pytest
from distributed import Client

from adamw_pset import optimizers as O
from adamw_pset.cli import main
from adamw_pset.data import make_data
from adamw_pset.rule import Rule
from adamw_pset.table import read_table
from adamw_pset.training import cluster
from adamw_pset.training.cluster import ClusterError
from adamw_pset.training.sweep import sweep

SMALL: dict[str, Any] = {"seeds": 3, "epochs": 2, "batch_size": 32, "width": 8, "progress": False}
HERE = Path(__file__).parent
START = 60.0  # seconds that a busy machine may take to start a process with torch in it


def data(seed: int) -> Any:
    return make_data(classes=4, clusters=2, n_train=160, n_val=100, dim=6, seed=seed)


def run(rule: Rule = O.adamw, **more: Any) -> pd.DataFrame:
    return sweep(rule, [0.01, 0.1], [1e-3, 1e-2, 1e-1], data, **{**SMALL, **more})


def dask(*arguments: str) -> subprocess.Popen[bytes]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([str(Path(sys.executable).with_name("dask")), *arguments], **quiet)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler and two workers, started as the README says, each of the two in its own process."""
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    local = ["--host", "127.0.0.1"]
    processes = [dask("scheduler", *local, "--port", "0", "--no-dashboard", "--scheduler-file", str(file))]
    try:
        wait_for(file.exists)
        where = str(json.loads(file.read_text())["address"])
        processes.append(
            dask(
                "worker",
                where,
                *local,
                "--nworkers",
                "2",
                "--nthreads",
                "1",
                "--no-dashboard",
                "--local-directory",
                str(folder),
            )
        )
        with Client(where, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=START)
        yield where
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def wait_for(condition: Any) -> None:
    end = time.monotonic() + START
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)


def same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert a.attrs == b.attrs


HELD = 0.9  # a constant of this file, which no worker can import


def mine(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
    return O.adamw(theta, grad, state, lr=lr, weight_decay=weight_decay, beta1=HELD)


def marked(folder: Path, seconds: float) -> Rule:
    """AdamW that leaves its process number in ``folder`` and takes its time."""

    def rule(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
        (folder / str(os.getpid())).touch()
        time.sleep(seconds)
        return O.adamw(theta, grad, state, lr=lr, weight_decay=weight_decay)

    return rule


@contextmanager
def after_each_block(do: Callable[[], object]) -> Iterator[None]:
    """Calls ``do`` here whenever a block is done."""
    train = cluster.Cluster.train
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            cluster.Cluster,
            "train",
            lambda self, task, blocks, done: train(self, task, blocks, lambda n: (done(n), do())),
        )
        yield


def interrupt() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_cancels_though_the_session_goes_on(address: str, tmp_path: Path) -> None:
    with after_each_block(interrupt), pytest.raises(KeyboardInterrupt):
        run(marked(tmp_path, 0.002), cluster=address, block=1)
    with Client(address, set_as_default=False) as client:
        wait_for(lambda: client.run_on_scheduler(lambda dask_scheduler: not dask_scheduler.tasks))


@pytest.mark.parametrize("rule", [O.adamw, O.adam_l2, mine])
def test_the_table_is_the_one_made_here(rule: Rule, address: str) -> None:
    # The same processor: not a digit may differ, in whatever blocks.
    same(run(rule, cluster=address), run(rule))
    same(run(rule, cluster=address, block=2), run(rule))


def test_a_killed_worker_costs_only_time(address: str, tmp_path: Path) -> None:
    rule, killed = marked(tmp_path, 0.001), []

    def kill() -> None:
        workers = [int(p.name) for p in tmp_path.iterdir() if int(p.name) != os.getpid()]
        if workers and not killed:
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    with after_each_block(kill):
        table = run(rule, cluster=address, block=1)
    assert killed
    assert not Path(f"/proc/{killed[0]}").exists()
    same(table, run(rule))


SCRIPT = """
from adamw_pset.data import make_data
from adamw_pset.optimizers import adamw
from adamw_pset.training.sweep import sweep
from pathlib import Path
import os, sys, time
folder = Path(sys.argv[1])
def slow(theta, grad, state, *, lr, weight_decay):
    (folder / str(os.getpid())).touch()
    time.sleep(0.002)
    return adamw(theta, grad, state, lr=lr, weight_decay=weight_decay)
make = lambda seed: make_data(classes=4, clusters=2, n_train=160, n_val=100, dim=6, seed=seed)
sweep(slow, [0.01, 0.1], [1e-3, 1e-2, 1e-1], make, seeds=20, epochs=2, batch_size=32, width=8, block=1,
      cluster=sys.argv[2], save=folder / "runs.csv")
"""


def test_ctrl_c_cancels_what_is_pending_and_keeps_what_is_done(address: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", str(tmp_path), address]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        wait_for((tmp_path / "runs.csv").exists)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate()
    assert process.returncode not in (0, None)
    assert "KeyboardInterrupt" in printed.splitlines()[-1]
    assert "runs [" in printed  # the progress bar
    kept = read_table(tmp_path / "runs.csv")
    assert 0 < len(kept) < 120
    with Client(address, set_as_default=False) as client:
        wait_for(lambda: client.run_on_scheduler(lambda dask_scheduler: not dask_scheduler.tasks))


def other_version() -> None:
    from adamw_pset.training import cluster as there

    right = there.about()
    there.about = lambda: {**right, "torch": "1.0"}  # type: ignore[assignment]


def same_version() -> None:
    import importlib

    from adamw_pset.training import cluster as there

    importlib.reload(there)


def test_workers_of_another_version_are_named(address: str) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with Client(address, set_as_default=False) as client:
        client.run(other_version)
        try:
            with pytest.raises(ClusterError, match=r"the worker at tcp.* has torch 1\.0, and .* is here"):
                run(cluster=address)
        finally:
            client.run(same_version)


def test_without_a_cluster_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from adamw_pset.cli import main\n"
        "assert not {'dask', 'cloudpickle', 'tornado'} & set(sys.modules)\n"
        "sys.exit(main(['heatmaps', '--cluster', 'tcp://127.0.0.1:9']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "adamw-pset heatmaps: cluster: the package distributed is missing: pip install distributed"
    ]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("tcp://127.0.0.1:9", "no Dask scheduler answers there"),
        ("nonsense", "no Dask scheduler answers there"),
        ("http://127.0.0.1:9", "no Dask scheduler answers there"),
    ],
)
def test_no_cluster_at_the_address_is_one_line(
    where: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    assert main(["heatmaps", "--cluster", where, "--grid", "2", "--out", str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert len(printed.splitlines()) == 1


def test_a_cluster_that_ends_is_one_line(address: str, tmp_path: Path) -> None:  # the last: it ends this one
    def end() -> None:
        with Client(address, set_as_default=False) as client:
            client.shutdown()

    with after_each_block(end), pytest.raises(ClusterError, match="the connection was lost"):
        run(cluster=address, block=1, save=tmp_path / "runs.csv")
    same(run(save=tmp_path / "runs.csv"), run())  # it goes on here
