"""Trains blocks of runs on an existing Dask cluster, as ``workers.Threads`` trains them on this machine.

``distributed`` is imported when a cluster is used, and never otherwise.  Task and data go to the workers
as bytes made by cloudpickle, so that rules of a notebook or a script travel with them; the scheduler
keeps them, and gives a block, or what it needs, to another worker when one dies.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Generator, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from adamw_pset.files import tree_hash
from adamw_pset.training.loop import Run, Task
from adamw_pset.training.workers import Done, Workers, pack, train_block

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 5.0  # seconds to wait for a scheduler to answer


class ClusterError(ValueError):
    """There is no cluster at the address, or it cannot train."""


@contextlib.contextmanager
def on_cluster(address: str) -> Iterator[Workers]:
    """The workers of the Dask scheduler at ``address``, such as tcp://10.0.0.1:8786.

    At the end the connection is closed, and the scheduler cancels what it was still asked for.
    """
    try:
        import distributed
    except ImportError:
        raise ClusterError("cluster: the package distributed is missing: pip install distributed") from None
    if not isinstance(address, str):
        raise ClusterError(f"cluster={address!r}: give the address of a Dask scheduler, tcp://HOST:8786")
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise ClusterError(
            f"cluster={address!r}: no Dask scheduler answers there ({' '.join(str(error).split())})"
        ) from None
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise ClusterError(f"cluster={address!r} has no workers: start some with dask worker {address}")
        yield Cluster(client, address, threads)


class Cluster(NamedTuple):
    """A connection to a cluster, each thread of which trains a block at a time."""

    client: Client
    address: str
    slots: int

    def train(self, task: Task, blocks: list[list[Run]], done: Done) -> Generator[pd.DataFrame, None, None]:
        """The table of each block as it is done."""
        from distributed import CancelledError, KilledWorker, as_completed

        futures = self._submit(task, blocks)
        try:
            for future in as_completed(list(futures), loop=self.client.loop):
                table = future.result()
                future.release()
                done(len(futures[future]) * task.epochs)
                yield table
        except KilledWorker as error:
            raise ClusterError(
                f"cluster={self.address!r}: a block of runs ended every worker that tried it, for lack of "
                "memory perhaps: try a smaller block"
            ) from error
        except CancelledError as error:
            raise ClusterError(f"cluster={self.address!r}: the connection was lost") from error
        except ModuleNotFoundError as error:
            raise ClusterError(f"cluster={self.address!r}: on a worker there is {error}") from error

    def _submit(self, task: Task, blocks: list[list[Run]]) -> dict[Any, list[Run]]:
        """A future for each block; a block gets the data of its own seeds alone."""
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
            packed = self._keep(task._replace(data={}))
            distinct = {id(data): data for data in task.data.values()}
            data = {key: self._keep(each) for key, each in distinct.items()}
            futures = {}
            for runs in blocks:
                seeds = {run.seed: data[id(task.data[run.seed])] for run in runs}
                future = self.client.submit(_block, packed, seeds, [tuple(run) for run in runs], about(), pure=False)
                futures[future] = runs
        return futures

    def _keep(self, value: Any) -> Any:
        return self.client.submit(bytes, pack(value), pure=False)


@cache
def about() -> dict[str, str]:
    """What has to be the same here and on a worker for it to train the same network."""
    wing = Path(__file__).parent
    code = tree_hash(wing, *sorted(wing.parent.glob("*.py")))
    return {
        "adamw_pset": f"{version('adamw-pset')} ({code[:8]})",
        "torch": torch.__version__.partition("+")[0],
        "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def _block(
    packed: bytes, data: dict[int, bytes], runs: list[tuple[float, float, int]], theirs: dict[str, str]
) -> pd.DataFrame:
    """Train a block; runs on a worker."""
    from distributed import get_worker

    for name, ours in about().items():
        if ours != theirs[name]:
            raise ClusterError(
                f"the worker at {get_worker().address} has {name} {ours}, and {theirs[name]} is here: "
                "install the same on both"
            )
    threadpool_limits(1, "blas")  # for good: other blocks may train in this process
    task: Task = pickle.loads(packed)
    task = task._replace(data={seed: pickle.loads(each) for seed, each in data.items()})
    return train_block(task, [Run(*run) for run in runs], lambda: None)
