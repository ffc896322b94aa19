"""Runs a student's code, inside the sandbox, and knows nothing that is worth knowing.

A server imports torch once.  For each answer it forks a child, locks it into a cell (``jail``) and
leaves it alone with a socket, on which the grader sends the submission's code and then the arguments
of call after call; results go back as plain numbers (``wire``).  No expected value ever comes here.
"""

from __future__ import annotations

import ast
import copy
import ctypes
import gc
import inspect
import os
import random
import select
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from adamw_pset.checks import notebook_source, run_answer
from adamw_pset.off_limits import FUSED, OffLimits, refusal
from autograder.confined import lockdown, messages

WALL_SECONDS = 15  # for all calls of an answer; lockdown.CPU_SECONDS is what counts on a quiet machine
THREADS = 64  # that a cell may have: the kernel limits memory, and a thread needs little of it


def main() -> None:
    """Serve on the socket whose number is the argument, until it closes."""
    control = socket.socket(fileno=int(sys.argv[1]))
    torch.set_num_threads(1)
    refuse_fused_kernels()
    confined, nested = sys.argv[2] == "confined", _nests()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # cells' parents are reaped by the kernel
    settle()
    messages.send(control, messages.Hello(nested))
    while True:
        request, descriptors, *_ = socket.recv_fds(control, 1, 1)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            watch(socket.socket(fileno=descriptors[0]), confined, nested)
        os.close(descriptors[0])


def refuse_fused_kernels() -> None:
    """Torch's own Adam, in C++: an answer to the exercise, and not available while grading."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OffLimits(refusal("a fused optimizer of torch"))

    for name in dir(torch):
        if name.startswith(FUSED):
            setattr(torch, name, refuse)
    library = torch._C._dispatch_library("IMPL", "aten", "")  # torch.library's could be taken back
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a kernel is replaced is the point
        for name in FUSED:
            for overload in torch._C._jit_get_operation(f"aten::{name}_")[1]:
                library.impl(f"{name}_.{overload}" if overload else f"{name}_", "CPU", refuse)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))  # lives on, and nothing in Python refers to it


def settle() -> None:
    """Make forks cheap, and every worker alike: no random number depends on which one an answer gets.

    Most of a fork is copying the tables of 250 MB that torch and pandas fill, and most of what follows
    was collecting their garbage: huge pages and a frozen heap spare both.
    """
    np.random.seed(0)  # noqa: NPY002  students' code may use it
    torch.manual_seed(0)
    os.environ.pop("PYTHONHASHSEED", None)
    gc.collect()
    gc.freeze()
    lockdown.collapse()


# --- the parent of a cell: trusted, and out of the student's reach -----------------------------------


def watch(connection: socket.socket, confined: bool, nested: bool) -> None:
    """Fork the cell, wait for its end or end it, and report how it ended.  Does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        os.setsid()
        proc = os.open("/proc", os.O_DIRECTORY)
        if nested:
            lockdown.separate()
        cell = os.fork()
        if cell == 0:
            lock_and_serve(connection, confined, nested)
        messages.send(connection, messages.Died(_end_of(cell, connection, proc)))
    finally:
        os._exit(0)


def _end_of(cell: int, connection: socket.socket, proc: int) -> str:
    hung_up = select.poll()
    hung_up.register(connection, select.POLLHUP | select.POLLERR)
    deadline = time.monotonic() + WALL_SECONDS
    while True:
        pid, status, usage = os.wait4(cell, os.WNOHANG)
        if pid:
            if usage.ru_utime + usage.ru_stime > lockdown.CPU_SECONDS - 1:
                return "time"
            signalled = os.WIFSIGNALED(status)
            return f"signal {os.WTERMSIG(status)}" if signalled else f"exit {os.WEXITSTATUS(status)}"
        late, many = time.monotonic() > deadline, lockdown.threads(cell, proc) > THREADS
        if late or many or hung_up.poll(20):
            os.kill(cell, signal.SIGKILL)
            os.waitpid(cell, 0)
            return "time" if late else "too many threads" if many else "closed"


def _nests() -> bool:
    """Whether a child can have namespaces of its own here."""
    pid = os.fork()
    if pid == 0:
        try:
            lockdown.separate()
            if os.fork() == 0:
                lockdown.hide()
                os._exit(0)
            os._exit(0 if os.wait()[1] == 0 else 1)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


# --- the cell ------------------------------------------------------------------------------------------


def lock_and_serve(connection: socket.socket, confined: bool, nested: bool) -> None:
    """Lock this process in and answer the grader.  Does not return."""
    code = 1
    try:
        number = 3
        os.dup2(connection.fileno(), number)
        os.closerange(number + 1, 4096)
        null = os.open("/dev/null", os.O_RDWR)
        for standard in range(3):
            os.dup2(null, standard)
        os.close(null)
        os.setsid()  # kill(0) reaches a process group, across namespaces
        already = lockdown.used()
        lockdown.die_with_parent()
        lockdown.go_first()
        if nested:
            lockdown.hide()
        os.chdir(lockdown.CELL if confined else "/tmp")
        lockdown.limit(already)
        if confined:
            lockdown.renounce()
        line = socket.socket(fileno=number)
        messages.send(line, messages.Locked())
        serve(line)
        code = 0
    finally:
        os._exit(code)


def serve(line: socket.socket) -> None:
    """Define the answer that the grader asks for, then call it as often as the grader wishes."""
    request = messages.receive(line, messages.Define)
    assert request is not None
    random.seed(0)
    found = define(request.cells, request.question, request.own)
    if isinstance(found, messages.Message):
        messages.send(line, found)
        return
    messages.send(line, introduce(found.value))
    while (call := messages.receive(line, messages.Call)) is not None:
        args = [messages.unpack(value) for value in call.args]
        messages.send(line, called(found.value, args, {n: messages.unpack(v) for n, v in call.kwargs.items()}))


class Found(NamedTuple):
    """The answer, as the notebook defines it."""

    value: Any


def define(cells: list[tuple[int, str]], name: str, own: list[int]) -> Found | messages.Missing | messages.Ambiguous:
    """The answer, or why there is none.

    ``own`` are the cells that the question set aside: where several cells define the name in different
    ways, the one that stands there is the answer.
    """
    sources = {int(number): source for number, source in cells}
    with run_answer.quiet():
        statements, broken = notebook_source.parse(sources.items())
        last = {each.cell: each for each in statements if name in each.binds}  # in each cell the last counts
        candidates = [last[cell] for cell in own if cell in last] or list(last.values())
        ways = {ast.dump(each.node) for each in candidates}
        if len(ways) > 1 and all(isinstance(each.node, ast.FunctionDef) for each in candidates):
            return messages.Ambiguous(sorted(each.cell for each in candidates)[: messages.ITEMS])
        if ways and all(isinstance(each.node, ast.FunctionDef) for each in last.values()):
            counts = candidates[0].place
            statements = [each for each in statements if name not in each.binds or each.place == counts]
        space: dict[str, Any] = {"__name__": "__notebook__"}
        errors = list(notebook_source.execute(notebook_source.needed(statements, [name]), space))
        space |= notebook_source.unreadable(sources, broken)
    if name in space:
        return Found(space[name])
    said = [messages.text(f"cell {each.cell} stopped with {type(error).__name__}: {error}") for each, error in errors]
    return messages.Missing(messages.text("; ".join(said), 2 * messages.TEXT))


def introduce(answer: Any) -> messages.Function | messages.Constant:
    """What the grader has to know of the answer before it calls it."""
    if not callable(answer) or isinstance(answer, type):
        return messages.Constant(messages.pack(answer))
    try:
        parameters: Any = [
            messages.Parameter(
                p.name, int(p.kind), None if p.default is p.empty else messages.text(repr(p.default), 20)
            )
            for p in inspect.signature(answer).parameters.values()
        ]
    except (TypeError, ValueError):
        parameters = None
    return messages.Function(parameters, run_answer.is_empty(answer))


def called(answer: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> messages.Returned | messages.Raised:
    """The result of a call and which arguments it changed in place, or what it raised."""
    kept = copy.deepcopy(args)
    try:
        with run_answer.quiet():
            result = answer(*args, **kwargs)
        changed = [i for i, (old, new) in enumerate(zip(kept, args, strict=True)) if not _same(old, new)]
        return messages.Returned(messages.pack(result), changed)
    except (Exception, SystemExit) as error:
        where = messages.text(run_answer.where(error, answer))
        return messages.Raised(messages.text(type(error).__name__, messages.NAME), messages.text(error), where)


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, pd.DataFrame):
        return old.equals(new)
    if isinstance(old, tuple):
        return all(map(_same, old, new))
    if isinstance(new, torch.Tensor):
        new = new.detach()  # a rule may use autograd on what it gets
    return bool(np.array_equal(np.asarray(old, dtype=float), np.asarray(new, dtype=float), equal_nan=True))


if __name__ == "__main__":
    main()
