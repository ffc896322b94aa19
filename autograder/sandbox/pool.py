"""Runs a function over many items in several processes, each with a sandbox of its own.

The processes end with the one that started them, however that ends: killed, interrupted or done.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from autograder.confined.lockdown import die_with_parent
from autograder.sandbox.sandbox import Sandbox, SandboxError

PATIENCE = 5.0  # seconds for a process to clear its sandbox away
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_jobs(
    jobs: int, make: Callable[[], Sandbox], function: Callable[[Sandbox, Item], Result], items: Sequence[Item]
) -> Iterator[Result]:
    """``function(sandbox, item)`` of every item, in the order in which they are done.

    An item is handed out when a process is free, so that no more than ``jobs`` are held at once.
    Raises ``SandboxError`` if a process ends before its work, or its sandbox does not start.
    """
    context = multiprocessing.get_context("spawn")  # a fork would inherit the threads of torch, half alive
    lines: list[Connection] = []
    processes: list[SpawnProcess] = []
    left = iter(items)
    try:
        for _ in range(min(jobs, len(items))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, os.getpid(), make, function), daemon=True)
            with _uninterrupted():
                process.start()
            theirs.close()
            lines.append(ours)
            processes.append(process)
        while lines:
            for line in wait(lines):
                assert isinstance(line, Connection)
                if (result := _said(line)) is not None:
                    yield result
                if (item := next(left, None)) is None:
                    lines.remove(line)
                    line.close()
                else:
                    line.send(item)
    except (EOFError, ConnectionError):
        raise SandboxError(
            "a grading process was killed, perhaps for want of memory: try fewer --jobs; nothing is lost"
        ) from None
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(PATIENCE)
            process.kill()
            process.join()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal: those that start here leave it to this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _said(line: Connection) -> Any:
    """A result, or None where a process says that it is ready."""
    message = line.recv()
    if isinstance(message, SandboxError):
        raise message
    return message


def _serve(line: Connection, parent: int, make: Callable[[], Sandbox], function: Callable[[Sandbox, Any], Any]) -> None:
    """One process: takes items until there are no more."""
    die_with_parent()
    if os.getppid() != parent:  # which has died before that
        return
    gc.freeze()  # what the imports have made is not searched for garbage again and again
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the sandbox is cleared away
    try:
        with make() as box:
            line.send(None)
            while True:
                line.send(function(box, line.recv()))
    except SandboxError as error:
        line.send(error)
    except (EOFError, OSError):
        return
