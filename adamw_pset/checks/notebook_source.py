"""Runs a notebook as a kernel would, from top to bottom, and takes each answer at the moment when it is checked.

IPython makes Python of the cells and runs them; a cell that fails does not keep the next from running.  Work that
is no answer is short: sweeps return a small table at once, nothing is drawn, asked for, downloaded or started,
and a cell that takes too long is stopped.  Where a part of it cannot run here, what a name needs can be run by
itself (``notebook_slice``).
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any

import numpy as np
import torch

from adamw_pset.checks import stand_ins

Namespace = dict[str, Any]
CELL_SECONDS, CELL_WALL_SECONDS = 2.0, 10.0  # of the processor, and in all: a cell without a sweep needs a tenth
LEAST = 0.25  # of these, after others that were stopped


class TooLong(KeyboardInterrupt):
    """Stops a cell, or an answer, that takes too long."""


ELSEWHERE = (ImportError, OSError, EOFError, MemoryError, TooLong, stand_ins.Refused)  # may go well in a kernel


class NotebookRun:
    """A run of the code cells of a notebook: the namespace as it is now, and the error of each cell that failed.

    ``check(question, answer)`` is called at the notebook's own calls of ``check``, in their place, and after
    a cell of ``checks``, a question by the cell that is to be taken for its check.  A context manager: until
    it is left, the namespace is that of ``__main__``.
    """

    def __init__(
        self,
        cells: Iterable[tuple[int, str]],
        questions: Iterable[str],
        check: Callable[[str, Any], None],
        checks: Mapping[int, str] | None = None,
    ) -> None:
        self.sources = dict(cells)
        self.questions = tuple(questions)
        self.namespace: Namespace = {}
        self.failed: dict[int, BaseException] = {}
        self.checked: dict[str, Any] = {}  # the answer of each question at its last check
        self.stopped = 0  # cells and answers that took too long
        self._check, self._checks = check, dict(checks or {})
        self._cell, self._answering = 0, False
        self._stood_in: set[int] = set()  # cells in which something stood in for the work

    def __enter__(self) -> NotebookRun:
        with contextlib.ExitStack() as stack:
            self._shell = stack.enter_context(_shell(lambda: f"<cell {self._cell}>"))
            self.namespace = self._shell.user_ns
            used = lambda: self._stood_in.add(self._cell)  # noqa: E731
            stack.enter_context(stand_ins.placed(self.check, self.questions, lambda: self._answering, used))
            stack.enter_context(silent())
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def cells(self) -> Iterator[int]:
        """Run cell after cell; yields the number of each before it is run."""
        for number, source in self.sources.items():
            yield number
            self._cell = number
            if error := _run_cell(self._shell, source, self.share):
                self.stopped += isinstance(error, TooLong)
                told = syntax_error(source) if isinstance(error, SyntaxError) else None
                self.failed[number] = (told or error).with_traceback(None)
                if self._uses_made_up_tables(source):
                    self._stood_in.add(number)
            if question := self._checks.get(number):
                self.check(question, self.namespace.get(question))

    @property
    def share(self) -> float:
        """Of its seconds, what the next cell or answer gets: what does not end often stands in many places."""
        return max(LEAST, 0.5**self.stopped)

    def check(self, question: str, answer: Any) -> None:
        """What the notebook's ``check`` does here: hand the answer on, and say nothing."""
        if question not in self.questions:
            raise ValueError(f"question {question!r}: choose one of {', '.join(self.questions)}")
        self.checked[question] = answer
        with self.answering():
            self._check(question, self.answer(question, answer))

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """While an answer is called: the cell's time stands still, and what computes an answer is off limits."""
        self._answering = True
        with no_limit():
            try:
                yield
            finally:
                self._answering = False

    def at_end(self, question: str) -> Any:
        """The answer as it is now."""
        return self.answer(question, self.namespace.get(question))

    def answer(self, question: str, value: Any) -> Any:
        """``value``, or in the place of one that is still open, what raises the error of the cell that defines it."""
        if value is not None and value is not ...:
            return value
        for number, error in reversed(self.failed.items()):
            if isinstance(error, SyntaxError) and defines(self.sources[number], question):
                return _raises(number, error)
        return value

    def errors(self, name: str) -> dict[int, BaseException]:
        """The errors of the cells that define ``name``, and failed."""
        return {n: error for n, error in self.failed.items() if defines(self.sources[n], name)}

    def elsewhere(self) -> bool:
        """Whether something may go well in a kernel that did not here: a file, a library, a download.

        A star import is among it: which names it hides depends on the library's version.
        """
        stars = any(re.search(r"^\s*from .* import \*", source, re.MULTILINE) for source in self.sources.values())
        return stars or any(map(self._may_go_well, self.failed))

    def fails_here(self, name: str) -> bool:
        """Whether what keeps ``name`` from being defined may go well in a kernel."""
        errors = self.errors(name)
        return any(map(self._may_go_well, errors)) or (
            self.elsewhere() and any(isinstance(error, NameError) for error in errors.values())
        )

    def _may_go_well(self, number: int) -> bool:
        """Whether this cell may not fail in a kernel: where IPython does not know a magic, an extension may have it."""
        error = self.failed[number]
        return number in self._stood_in or isinstance(error, ELSEWHERE) or type(error).__name__ == "UsageError"

    def _uses_made_up_tables(self, source: str) -> bool:
        words = set(re.findall(r"\w+", source)) & set(self.namespace)
        return any(stand_ins.MADE_UP in getattr(self.namespace[word], "attrs", ()) for word in words)


def defines(source: str, name: str) -> bool:
    """Whether the text of a cell says that it defines ``name``."""
    return re.search(rf"^\s*(?:(?:async )?def +{name}\b|{name} *[:=])", source, re.MULTILINE) is not None


def _raises(number: int, error: SyntaxError) -> Callable[..., Any]:
    told = SyntaxError(f"{error.msg}, in line {error.lineno} of cell {number}")
    told.where = ""  # type: ignore[attr-defined]  # the place is told already

    def function(*_: Any, **__: Any) -> Any:
        raise told

    return function


def syntax_error(source: str) -> SyntaxError | None:
    """Why Python cannot read a cell, in the words of Python rather than IPython's."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError as error:
        return error
    return None


# --- the shell -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _shell(name: Callable[[], str]) -> Iterator[Any]:
    """An IPython shell that keeps nothing, shows nothing and starts nothing; ``name`` is that of the running cell."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.text import SList
    from traitlets.config import Config

    main, path, folder = sys.modules["__main__"], list(sys.path), os.getcwd()
    config = Config()
    config.HistoryManager.enabled = False
    alone = not InteractiveShell.initialized()
    with tempfile.TemporaryDirectory(prefix="ipython-") as home:
        make = InteractiveShell.instance if alone else InteractiveShell
        shell = make(config=config, ipython_dir=home)
        shell.compile.get_code_name = lambda *_: name()
        shell.displayhook.compute_format_data = lambda _: ({}, {})
        shell.display_pub.publish = shell.showtraceback = shell._inspect = lambda *_, **__: None
        shell.system = shell.system_raw = shell.system_piped = lambda _: None
        shell.getoutput = lambda *_, **__: SList()
        shell.enable_gui = lambda *_: None
        shell.enable_matplotlib = lambda *_, **__: ("agg", "agg")
        for kind, magics in stand_ins.MAGICS.items():
            shell.magics_manager.magics[kind] |= dict.fromkeys(magics, lambda *_: None)
        sys.path.insert(0, "")
        try:
            yield shell
        finally:
            sys.modules["__main__"], sys.path[:] = main, path
            os.chdir(folder)
            if alone:
                InteractiveShell.clear_instance()


def _run_cell(shell: Any, source: str, share: float) -> BaseException | None:
    """Run a cell for no more than a share of its seconds; its error, if it failed."""
    try:
        with limited(share * CELL_SECONDS, share * CELL_WALL_SECONDS):
            result = shell.run_cell(source, store_history=True)
        error: BaseException | None = result.error_before_exec or result.error_in_exec
    except (Exception, KeyboardInterrupt, SystemExit) as raised:  # a hook of the student's, or stopped late
        error = raised
    for kept in ("last_type", "last_value", "last_traceback", "last_exc"):  # would keep what the cell had in hand
        sys.__dict__.pop(kept, None)
    return error


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Neither prints nor warnings of a cell are seen."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        warnings.catch_warnings(),
        np.errstate(),
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        warnings.simplefilter("ignore")
        yield


# --- time ----------------------------------------------------------------------------------------------

_CLOCKS = [getattr(signal, name) for name in ("ITIMER_PROF", "ITIMER_REAL") if hasattr(signal, name)]


@contextlib.contextmanager
def limited(processor: float, wall: float) -> Iterator[None]:
    """Raises ``TooLong`` in what takes more seconds, and again each second, where the system can do that."""
    armed = True

    def stop(number: int, frame: FrameType | None) -> None:
        if armed:
            raise TooLong("it took too long, and was stopped")

    if not _CLOCKS or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(each, stop) for each in (signal.SIGPROF, signal.SIGALRM)]
    try:
        for clock, seconds in zip(_CLOCKS, (processor, wall), strict=True):
            signal.setitimer(clock, seconds, 1.0)
        yield
    finally:
        armed = False
        for clock in _CLOCKS:
            signal.setitimer(clock, 0)
        for each, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(each, handler)


@contextlib.contextmanager
def no_limit() -> Iterator[None]:
    """Time spent in here does not count."""
    left = [signal.setitimer(clock, 0) for clock in _CLOCKS]
    try:
        yield
    finally:
        for clock, (seconds, interval) in zip(_CLOCKS, left, strict=True):
            if seconds:
                signal.setitimer(clock, seconds, interval)
