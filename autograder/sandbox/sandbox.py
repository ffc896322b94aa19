"""The grader's side of the wall: starts the worker in bubblewrap and calls a student's function in it."""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from adamw_pset.checks.run_answer import Elsewhere, Stopped
from autograder.confined import lockdown, messages
from autograder.sandbox.mounts import boot, bubblewrap, stage

# Seconds for an answer's calls all together, for a cell of a notebook, and for the whole of a run; the worker's own
# limits come first.
PATIENCE, CELL_PATIENCE, RUN_PATIENCE = 30.0, 15.0, 60.0
PREFIX, YOUNG = "grader-", 60.0  # of our folders in /tmp; seconds in which one may still be claimed
INSTALL = "sudo apt-get install bubblewrap"


class SandboxError(Exception):
    """The sandbox itself failed: nothing can be said about the answer."""


def missing() -> str:
    """What keeps the sandbox from being used, with the command that helps; "" if nothing does."""
    if sys.platform != "linux":
        return "the sandbox needs Linux: use a Linux machine, a virtual one or a container"
    if not shutil.which("bwrap"):
        return "bubblewrap is missing, and without it a submission could do anything here: " + INSTALL
    return ""


def clear_away() -> None:
    """Remove the folders of graders that were killed; a living one holds a lock on its own."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            status = folder.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < YOUNG:
                continue
            descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:  # another one was faster
            continue
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


class Answer(NamedTuple):
    """A student's answer: a function to call, or a value; or why there is none."""

    value: Any = None
    missing: str | None = None
    here: bool = False  # what keeps it from being there may go well in a kernel
    ambiguous: tuple[int, ...] = ()


class Sandbox:
    """A worker in bubblewrap; a context manager.  ``confined=False`` leaves bubblewrap away.

    An answer may have ``memory`` megabytes beside what the worker has.

    Entering it raises ``SandboxError`` where the worker does not start.  A worker that dies is replaced.
    """

    def __init__(self, confined: bool = True, memory: int = lockdown.MEMORY // lockdown.MEGABYTE) -> None:
        self.confined, self._memory = confined, memory
        clear_away()
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._claim = os.open(self._folder, os.O_RDONLY)
        fcntl.flock(self._claim, fcntl.LOCK_SH)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._nested = True

    def __enter__(self) -> Sandbox:
        try:
            stage(self._folder)
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._claim)

    @contextlib.contextmanager
    def run(
        self, cells: Sequence[tuple[int, str]], questions: Sequence[str], checks: Mapping[int, str]
    ) -> Iterator[Running]:
        """A notebook's code cells, as they run from check to check, alive until the context ends.

        ``checks`` are the questions by the number of a cell that stands for their check.
        """
        session = self._session()
        try:
            session.send(messages.Run(list(cells), list(questions), dict(checks)))
            yield Running(session)
        finally:
            session.close()

    @contextlib.contextmanager
    def answer(self, cells: Sequence[tuple[int, str]], question: str, own: Sequence[int]) -> Iterator[Answer]:
        """The answer to ``question`` by itself, from these code cells, alive until the context ends.

        ``own`` are the numbers of the cells that the question set aside.  A call to the answer that
        crashes the process, or takes too long or too much memory, raises ``Stopped``; what the function
        itself raises comes as an exception of the same name.
        """
        session = self._session()
        try:
            session.send(messages.Define(list(cells), question, list(own)))
            yield session.introduced()
        finally:
            session.close()

    def _session(self) -> Session:
        """A new child, from a new worker if this one is gone or cannot give its children namespaces."""
        if not self._nested:
            self._restart()
        try:
            return self._locked()
        except (OSError, SandboxError):
            self._restart()
            return self._locked()

    def _locked(self) -> Session:
        ours, theirs = socket.socketpair()
        with theirs:
            session = Session(ours)
            try:
                self._hand_over(theirs)
            except OSError:
                session.close()
                raise
        session.expect_locked()
        return session

    def _hand_over(self, connection: socket.socket) -> None:
        assert self._control is not None
        socket.send_fds(self._control, [b"!"], [connection.fileno()])

    def _restart(self) -> None:
        self._stop()
        self._start()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = [
                sys.executable,
                "-P",
                "-s",
                "-B",
                "-c",
                boot(self._folder, self.confined),
                str(number),
                "confined" if self.confined else "open",
                str(self._memory),
            ]
            if self.confined:
                command = [*bubblewrap(self._folder), *command]
            self._process = subprocess.Popen(
                command,
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"},
            )
        try:
            hello = messages.receive(self._control, messages.Hello, deadline=time.monotonic() + PATIENCE)
            if hello is None:
                raise TimeoutError
            self._nested = hello.nested
        except (OSError, messages.Malformed):
            self._process.kill()
            assert self._process.stderr is not None
            os.set_blocking(self._process.stderr.fileno(), False)  # who else has it may live on
            last_words = (self._process.stderr.read() or b"").decode(errors="replace").strip()
            raise SandboxError(f"the worker did not start: {last_words[-500:] or 'no word from it'}") from None

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stderr is not None
            self._process.stderr.close()


class Running:
    """A notebook that runs in the sandbox."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.cell = 0  # that runs
        self.ended: messages.Ended | None = None

    @property
    def over(self) -> bool:
        """Whether the process is gone."""
        return self._session.over

    def checks(self) -> Iterator[tuple[str, Answer]]:
        """Question and answer of each check as the notebook comes to it; raises ``Stopped`` where a cell ends it."""
        while True:
            self._session.allow(CELL_PATIENCE)
            match self._session.receive(messages.Begun, messages.Asked, messages.Ended):
                case messages.Begun(cell):
                    self.cell = cell
                case messages.Asked(question):
                    self._session.allow(PATIENCE)
                    yield question, self._session.introduced()
                    self._session.send(messages.GoOn())
                case messages.Ended() as ended:
                    self.ended = ended
                    return

    def at_end(self, question: str) -> Iterator[Answer]:
        """The answer as it is at the notebook's end, once."""
        self._session.allow(PATIENCE)
        self._session.send(messages.AtEnd(question))
        yield self._session.introduced()
        self._session.send(messages.GoOn())


class Session:
    """The socket to one process of the sandbox."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._end = time.monotonic() + RUN_PATIENCE
        self.over = False
        self.allow(PATIENCE)

    def allow(self, seconds: float) -> None:
        """So long may what comes now take."""
        self._deadline = min(time.monotonic() + seconds, self._end)

    def close(self) -> None:
        self._connection.close()

    def send(self, message: messages.Message) -> None:
        self._connection.settimeout(max(0.01, self._deadline - time.monotonic()))
        try:
            messages.send(self._connection, message)
        except TimeoutError:
            self.over = True
            raise Stopped("timed_out") from None
        except OSError:  # it is dead, and its last message says how
            pass

    def receive(self, *expected: type[messages.Message]) -> messages.Message:
        """The next message, one of these; raises ``Stopped`` if it has died instead, or says nonsense."""
        try:
            message = messages.receive(self._connection, *expected, messages.Died, deadline=self._deadline)
        except TimeoutError:
            self.over = True
            raise Stopped("timed_out") from None
        except (messages.Malformed, OSError):
            self.over = True
            raise _nonsense() from None
        if message is None or isinstance(message, messages.Died):
            self.over = True
            raise _death(message.how if message else "")
        return message

    def expect_locked(self) -> None:
        """Wait for the message that the worker sends before any code of a student runs."""
        try:
            self.receive(messages.Locked)
        except Stopped as stop:
            self.close()
            raise SandboxError(f"a child could not be locked in: {stop.event}") from None

    def introduced(self) -> Answer:
        """The answer as something that ``observe`` can call."""
        try:
            match self.receive(messages.Missing, messages.Ambiguous, messages.Constant, messages.Function):
                case messages.Missing(errors, here):
                    return Answer(missing=errors, here=here)
                case messages.Ambiguous(cells):
                    return Answer(ambiguous=tuple(cells) or (0,))
                case messages.Constant(value):
                    return Answer(_unpacked(value))
                case messages.Function(parameters, is_empty):
                    return Answer(Remote(self, parameters, is_empty))
                case _:
                    raise _nonsense()
        except Stopped as stop:
            return Answer(_stopping(stop))


class Remote(Elsewhere):
    """A student's function, as if it were here."""

    def __init__(self, session: Session, parameters: list[messages.Parameter] | None, is_empty: bool) -> None:
        self._session = session
        self.is_empty = is_empty
        if parameters is not None:
            self.__signature__ = _signature(parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        packed = {name: messages.pack(value) for name, value in kwargs.items()}
        self._session.send(messages.Call([messages.pack(value) for value in args], packed))
        reply = self._session.receive(messages.Returned, messages.Raised)
        if isinstance(reply, messages.Raised):
            raise _error(reply.name, reply.text, reply.where)
        assert isinstance(reply, messages.Returned)
        for place in reply.changed:
            if place < len(args):
                _change(args[place])
        return _unpacked(reply.result)


class _Default:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _signature(parameters: list[messages.Parameter]) -> inspect.Signature:
    kinds = list(inspect._ParameterKind)
    try:
        return inspect.Signature(
            [
                inspect.Parameter(
                    each.name,
                    kinds[each.kind],
                    default=inspect.Parameter.empty if each.default is None else _Default(each.default),
                )
                for each in parameters
            ]
        )
    except ValueError:  # an order that Python does not have, a keyword as a name
        raise _nonsense() from None


def _unpacked(value: messages.AnyValue) -> Any:
    try:
        return messages.unpack(value)
    except messages.Malformed:
        raise _nonsense() from None


def _nonsense() -> Stopped:
    return Stopped("crashed", how="it sent something that is not an answer")


def _stopping(stop: Stopped) -> Any:
    """A function that stops as the definition of the answer did."""

    def function(*_: Any, **__: Any) -> Any:
        raise stop

    return function


def _error(kind: str, message: str, where: str) -> Exception:
    """What a student's function raised, under its own name; it carries the line it came from."""
    if kind in ("MemoryError", "TooLong"):
        return Stopped("out_of_memory" if kind == "MemoryError" else "timed_out")
    message = re.sub(r"\b0x[0-9a-f]{6,}\b", "0x…", message)  # an address is another in every process
    bases: tuple[type[Exception], ...] = (Exception,)
    if kind in ("NotImplementedError", "TypeError"):
        bases = ({"NotImplementedError": NotImplementedError, "TypeError": TypeError}[kind],)
    error: Exception = type(kind if kind.isidentifier() else "Exception", bases, {})(message)
    error.where = where  # type: ignore[attr-defined]
    return error


def _death(how: str) -> Stopped:
    if how == "time":
        return Stopped("timed_out")
    return Stopped("crashed", how=f"it ended with {how}" if how else "it ended")


def _change(argument: Any) -> None:
    """Do to an argument of ours what the student's function did to its copy: change it in place."""
    if isinstance(argument, Tensor):
        argument.add_(1)
    elif isinstance(argument, np.ndarray):
        argument += 1
    elif isinstance(argument, pd.DataFrame):
        argument["changed in place"] = 1
    elif isinstance(argument, tuple):
        for part in argument:
            _change(part)
