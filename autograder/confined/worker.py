"""Runs a student's code, inside the sandbox, and knows nothing that is worth knowing.

A server imports torch once.  For each submission it forks a child, locks it in (``lockdown``) and leaves it
alone with a socket, on which the grader sends the cells of the notebook.  The child runs them, and at each
check waits for the arguments of call after call; results go back as plain numbers (``messages``).  No expected
value ever comes here.
"""

from __future__ import annotations

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
from typing import Any

import numpy as np
import pandas as pd
import torch

from adamw_pset.checks import notebook_source, run_answer, stand_ins
from adamw_pset.checks.notebook_slice import Ambiguous, by_itself
from adamw_pset.checks.notebook_source import NotebookRun
from adamw_pset.off_limits import FUSED, OffLimits, refusal
from autograder.confined import lockdown, messages

WALL_SECONDS = 10  # for a call; lockdown.CPU_SECONDS, for all calls of an answer, is what counts on a quiet machine
RUN_SECONDS, RUN_WALL_SECONDS = 60, 150  # for a notebook with its answers: of the processor, and in all
THREADS = 64  # that a child may have: the kernel limits memory, and a thread needs little of it


def main() -> None:
    """Serve on the socket whose number is the first argument, until it closes.

    The others: whether this is confined, and how many megabytes a child may have.
    """
    control = socket.socket(fileno=int(sys.argv[1]))
    torch.set_num_threads(1)
    refuse_fused_kernels()
    warm_up()
    confined, nested, memory = sys.argv[2] == "confined", _nests(), int(sys.argv[3]) * lockdown.MEGABYTE
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children's parents are reaped by the kernel
    settle()
    messages.send(control, messages.Hello(nested))
    while True:
        request, descriptors, *_ = socket.recv_fds(control, 1, 1)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            watch(socket.socket(fileno=descriptors[0]), confined, nested, memory)
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


def warm_up() -> None:
    """Import what every notebook imports, once for all of them."""
    with NotebookRun([(1, "import seaborn")], [], lambda *_: None) as notebook:
        for _ in notebook.cells():
            pass


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


# --- the parent of a child: trusted, and out of the student's reach -----------------------------------


def watch(connection: socket.socket, confined: bool, nested: bool, memory: int) -> None:
    """Fork the child, wait for its end or end it, and report how it ended.  Does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        os.setsid()
        proc = os.open("/proc", os.O_DIRECTORY)
        if nested:
            lockdown.separate()
        child = os.fork()
        if child == 0:
            lock_and_serve(connection, confined, nested, memory)
        messages.send(connection, messages.Died(_end_of(child, connection, proc)))
    finally:
        os._exit(0)


def _end_of(child: int, connection: socket.socket, proc: int) -> str:
    hung_up = select.poll()
    hung_up.register(connection, select.POLLHUP | select.POLLERR)
    deadline = time.monotonic() + RUN_WALL_SECONDS
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            if usage.ru_utime + usage.ru_stime > RUN_SECONDS - 1:
                return "time"
            signalled = os.WIFSIGNALED(status)
            return f"signal {os.WTERMSIG(status)}" if signalled else f"exit {os.WEXITSTATUS(status)}"
        late, many = time.monotonic() > deadline, lockdown.threads(child, proc) > THREADS
        if late or many or hung_up.poll(20):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
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


# --- the child -----------------------------------------------------------------------------------------


def lock_and_serve(connection: socket.socket, confined: bool, nested: bool, memory: int) -> None:
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
        os.chdir(lockdown.SCRATCH if confined else "/tmp")
        lockdown.limit(already + memory, RUN_SECONDS)
        if confined:
            lockdown.renounce()
        line = socket.socket(fileno=number)
        messages.send(line, messages.Locked())
        serve(line)
        code = 0
    finally:
        os._exit(code)


def serve(line: socket.socket) -> None:
    """Do what the grader asks for: run the notebook, or define one answer by itself."""
    random.seed(0)
    request = messages.receive(line, messages.Run, messages.Define)
    if isinstance(request, messages.Run):
        run(line, request)
    elif isinstance(request, messages.Define):
        define(line, request)


def run(line: socket.socket, request: messages.Run) -> None:
    """Run the notebook, and stop at each check for the grader to call the answer; then serve its end."""

    def at_check(question: str, answer: Any) -> None:
        messages.send(line, messages.Asked(question))
        present(line, answer, notebook, question)

    with NotebookRun(request.cells, request.questions, at_check, request.checks) as notebook:
        for cell in notebook.cells():
            messages.send(line, messages.Begun(cell))
        messages.send(line, at_end(notebook))
        while (wanted := messages.receive(line, messages.AtEnd)) is not None:
            with notebook.answering():
                present(line, notebook.at_end(wanted.question), notebook, wanted.question)


def at_end(notebook: NotebookRun) -> messages.Ended:
    """What the grader has to know before it asks for answers at the notebook's end."""
    changed = [name for name, answer in notebook.checked.items() if notebook.namespace.get(name) is not answer]
    lacking = [f"cell {n}: {error}" for n, error in notebook.failed.items() if isinstance(error, ModuleNotFoundError)]
    unread = [number for number, error in notebook.failed.items() if isinstance(error, SyntaxError)]
    told = messages.text("; ".join(lacking), 2 * messages.TEXT)
    return messages.Ended(changed, notebook.elsewhere(), told, unread[: messages.COLUMNS])


def present(line: socket.socket, answer: Any, notebook: NotebookRun, question: str) -> None:
    """Let the grader call the answer, until it has seen enough; or say what keeps it from being there."""
    if answer is not None and answer is not ...:
        messages.send(line, introduce(answer))
        notebook.stopped += answer_calls(line, answer, notebook.share)
        return
    errors = "; ".join(f"cell {n} stopped with {type(e).__name__}: {e}" for n, e in notebook.errors(question).items())
    messages.send(line, messages.Missing(messages.text(errors, 2 * messages.TEXT), notebook.fails_here(question)))
    messages.receive(line, messages.GoOn)


def define(line: socket.socket, request: messages.Define) -> None:
    """Present one answer, from what it needs alone."""
    try:
        with (
            stand_ins.placed(lambda *_: None, [], lambda: False, lambda: None),
            notebook_source.silent(),
            notebook_source.limited(lockdown.CPU_SECONDS, WALL_SECONDS),
        ):
            namespace = by_itself(request.cells, request.question, request.own)
    except Ambiguous as error:
        messages.send(line, messages.Ambiguous(error.cells[: messages.ITEMS]))
        return
    if request.question not in namespace:
        messages.send(line, messages.Missing("", False))
        return
    messages.send(line, introduce(namespace[request.question]))
    answer_calls(line, namespace[request.question], 1.0)


def answer_calls(line: socket.socket, answer: Any, share: float) -> bool:
    """Call the answer as often as the grader wishes, for a share of its seconds in all; whether it used them up."""
    left = share * lockdown.CPU_SECONDS
    while isinstance(call := messages.receive(line, messages.Call, messages.GoOn), messages.Call):
        args = [messages.unpack(value) for value in call.args]
        kwargs = {name: messages.unpack(value) for name, value in call.kwargs.items()}
        begun = time.process_time()
        reply = called(answer, args, kwargs, max(left, 0.01))
        left -= time.process_time() - begun
        messages.send(line, reply)
    return left <= 0


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


def called(
    answer: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], seconds: float
) -> messages.Returned | messages.Raised:
    """The result of a call and which arguments it changed in place, or what it raised; ``seconds`` of the processor."""
    kept = copy.deepcopy(args)
    try:
        with run_answer.quiet(), notebook_source.limited(seconds, WALL_SECONDS):
            result = answer(*args, **kwargs)
        changed = [i for i, (old, new) in enumerate(zip(kept, args, strict=True)) if not _same(old, new)]
        return messages.Returned(messages.pack(result), changed)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
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
