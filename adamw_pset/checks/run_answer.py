"""Runs an answer on given inputs and writes down what came out: numbers, or what went wrong.

Nothing here knows what is right.  The same observation is made of a student's answer, of the
reference and of every known mistake, so that they can be compared number by number.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import inspect
import io
import linecache
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from adamw_pset.off_limits import OffLimits, refused
from adamw_pset.rule import BrokenContract, State, accept, describe

Array = NDArray[np.float64]
# A rule: theta (steps, ...), t (steps,), m and v after the last step, first_t, first_m, first_v; else: value.
Record = dict[str, Array]
Input = Mapping[str, Any]  # one trial, as written in the file of worked numbers


ERRORS = {
    ("TypeError", "for ^"): "caret",
    ("NotImplementedError", "bitwise_xor"): "caret",
    ("RuntimeError", "bitwise_xor"): "caret",
    ("AttributeError", "can't set attribute"): "state_assigned",
}
FIRST = ["theta", "grad", "state"]
DECAYS = ("wd", "decay", "weight_decay", "weight_decay_rate", "l2", "lam", "lamb", "lambd", "lambda_", "lmbda", "reg")
ALSO = {  # what the arguments of rules are called elsewhere
    "lr": ("learning_rate", "alpha", "eta", "step_size"),
    "weight_decay": DECAYS,
    "l2": (*DECAYS, "l2_reg", "l2_lambda", "penalty"),
    "beta1": ("b1", "beta_1", "momentum", "mu", "beta", "rho1", "betas"),
    "beta2": ("b2", "beta_2", "rho", "rho2", "betas"),
    "eps": ("epsilon", "e", "ep"),
}
OF_NUMPY = ("must be Tensor, not numpy.ndarray", "'numpy.ndarray' object has no attribute", "not numpy.float64")


PRINTED = 2000  # letters of what a call prints that are kept
ANEW = " Besides, what is made anew in every call begins from nothing: m and v stand in the state, and go on in it."


class Event(NamedTuple):
    """Something that went wrong before, or beside, the numbers."""

    id: str  # of the mistake that it shows
    details: dict[str, str] = {}  # fills the {...} of the mistake's sentence  # noqa: RUF012


class Observation(NamedTuple):
    """What an answer did on its inputs."""

    records: list[Record]
    event: Event | None = None  # stopped the trial
    remarks: tuple[Event, ...] = ()  # matter even if the numbers are right
    printed: str = ""  # in the first call, as far as it is kept


class Stopped(Exception):
    """Ends an observation."""

    def __init__(self, id: str, **details: object) -> None:
        super().__init__(id)
        self.event = Event(id, {name: str(value) for name, value in details.items()})


def observe(kind: str, inputs: Sequence[Input], answer: Any) -> Observation:
    """What ``answer`` does on ``inputs``; ``kind`` is rule, function or counterexample."""
    with first_prints() as printed:
        return _seen(kind, inputs, answer)._replace(printed=printed.text)


def _seen(kind: str, inputs: Sequence[Input], answer: Any) -> Observation:
    if answer is None or answer is ...:
        return Observation([], Event("open"))
    if kind == "counterexample" and not callable(answer):
        return _counterexample(lambda: answer)
    if isinstance(answer, type) or type(answer).__name__ == "type":  # as a value, or told of one
        return Observation([], Event("a_class"))
    if not callable(answer):
        return Observation([], Event("not_a_function", {"got": describe(answer)}))
    if kind == "counterexample":
        return _counterexample(answer)
    return _rule(inputs, answer) if kind == "rule" else _function(inputs, answer)


def to_array(value: Any) -> Array:
    """``value`` as float64; raises ``Stopped`` if it is not real numbers."""
    if value is ...:
        raise Stopped("open")
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.double().numpy() if not value.is_complex() else value.numpy()
    try:
        array = np.array(value)
        if array.dtype.kind not in "fiub" and (array.dtype.kind != "O" or array.ndim == 0):
            raise Stopped("not_numbers", got=describe(value))
        return array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Stopped("not_numbers", got=describe(value)) from None


# --- rules ---------------------------------------------------------------------------------------


def _rule(inputs: Sequence[Input], rule: Callable[..., Any]) -> Observation:
    records: list[Record] = []
    changed: set[str] = set()
    remarks: list[Event] = []
    stopped = None
    try:
        for trial in inputs:
            records.append(_trajectory(rule, trial, torch.float64, changed))
    except Stopped as stop:
        stopped = stop.event
    if records and not _repeats(rule, inputs[0], records[0]):
        remarks.append(Event("not_repeatable"))
        stopped = stopped and remarks[0]  # it stopped because of what it remembered
    if changed:
        remarks.append(Event("changed_in_place", {"what": " and ".join(sorted(changed))}))
    if not stopped:
        try:
            _trajectory(rule, inputs[0], torch.float32, set())
        except Stopped as stop:
            remarks.append(stop.event)
    return Observation(records, stopped, tuple(remarks))


def _repeats(rule: Callable[..., Any], trial: Input, first: Record) -> bool:
    """Whether the trial comes out as it did the first time."""
    try:
        again = _trajectory(rule, trial, torch.float64, set())
    except Stopped:
        return False
    return all(np.array_equal(again[name], first[name], equal_nan=True) for name in again)


def _trajectory(rule: Callable[..., Any], trial: Input, dtype: torch.dtype, changed: set[str]) -> Record:
    """A few steps on fixed gradients; names what the rule changed in place in ``changed``."""
    theta = torch.tensor(trial["theta"], dtype=dtype)
    state: Any = State.zeros(theta)
    if trial["start"]:
        state = State(trial["start"]["t"], *(torch.tensor(trial["start"][k], dtype=dtype) for k in ("m", "v")))
    thetas, ts = [], []
    first: Record = {}
    for row in trial["grads"]:
        grad = torch.tensor(row, dtype=dtype)
        before = copy.deepcopy((theta, grad, state))
        _fits(rule, theta, grad, state, **trial["hyper"])
        result = call(rule, theta, grad, state, **trial["hyper"])
        changed |= {
            name
            for name, old, new in zip(("theta", "grad", "state"), before, (theta, grad, state), strict=True)
            if not _equal(old, new)
        }
        theta, state = _step(result, before[0], rule)
        thetas.append(to_array(theta))
        ts.append(float(to_array(state.t).mean()))
        first = first or {f"first_{name}": to_array(getattr(state, name)) for name in ("t", "m", "v")}
        theta = theta.clone()
    m, v = to_array(state.m), to_array(state.v)
    return {"theta": np.array(thetas), "t": np.array(ts), "m": m, "v": v, **first}


def _step(result: Any, old: Tensor, rule: Callable[..., Any]) -> tuple[Tensor, State]:
    """θ and state from what a rule returned; raises ``Stopped`` unless they can be used."""
    if result is ... or (result is None and is_empty(rule)):
        raise Stopped("open")
    if isinstance(result, tuple | list) and any(part is ... for part in result):
        raise Stopped("open")
    try:
        return accept(rule, old, result)
    except BrokenContract as broken:
        raise Stopped(broken.mistake, **broken.details) from None


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, tuple):
        return all(_equal(a, b) for a, b in zip(old, new, strict=True))
    try:
        a, b = to_array(old), to_array(new)
    except Stopped:
        return True  # nothing to compare
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=True)


# --- functions and the counterexample ------------------------------------------------------------


def _function(inputs: Sequence[Input], function: Callable[..., Any]) -> Observation:
    records: list[Record] = []
    changed: set[str] = set()
    try:
        for trial in inputs:
            arguments = {name: argument(value) for name, value in trial.items()}
            kept = copy.deepcopy(arguments)
            _fits(function, *arguments.values())
            result = call(function, *arguments.values())
            if result is None:
                raise Stopped("open" if is_empty(function) else "returned_none")
            records.append({"value": to_array(result)})
            changed |= {name for name, old in kept.items() if not _same_argument(old, arguments[name])}
    except Stopped as stop:
        told = stop.event.details
        if any(words in told.get("error", "") for words in OF_NUMPY):
            return Observation(records, Event("numpy_arguments", told))
        return Observation(records, stop.event)
    what = {"what": " and ".join(sorted(changed))}
    id = "table_changed" if "table" in changed else "changed_in_place"
    return Observation(records, None, (Event(id, what),) if changed else ())


def argument(value: Any) -> Any:
    if isinstance(value, Mapping):
        return pd.DataFrame({name: list(column) for name, column in value.items()})
    return np.array(value, dtype=np.float64) if isinstance(value, list) else value


def _same_argument(old: Any, new: Any) -> bool:
    if isinstance(old, pd.DataFrame):
        return old.equals(new)
    return bool(np.array_equal(old, new))


def _counterexample(function: Callable[..., Any]) -> Observation:
    """Whether M, θ_a, θ_b are a counterexample: one event says why not; any valid one has none."""
    try:
        _fits(function)
        result = call(function)
        if result is None:
            raise Stopped("open" if is_empty(function) else "returned_none")
        if not (isinstance(result, tuple | list) and len(result) == 3):
            raise Stopped("not_a_triple", got=describe(result))
        M, *thetas = (to_array(part) for part in result)
        n = thetas[0].size
        if M.shape != (n, n) or any(theta.shape != (n,) for theta in thetas) or not n:
            shapes = ", ".join(str(part.shape) for part in (M, *thetas))
            raise Stopped("shapes_do_not_fit", got=shapes)
        return Observation([], _fault(M, np.array(thetas)))
    except Stopped as stop:
        return Observation([], stop.event)


def _fault(M: Array, thetas: Array) -> Event | None:
    """Why M, θ_a, θ_b are no counterexample, None if they are one: no k has M θ = k θ for both.

    Rounding leaves about 1e-16 of the numbers; a gap counts if it is in the first half of 16 digits.
    """
    size = abs(M).max()
    if not (np.isfinite(M).all() and np.isfinite(thetas).all()):
        return Event("not_finite")
    if abs(M - M.T).max() > 1e-12 * size or np.linalg.eigvalsh(M).min() <= 1e-12 * size:
        return Event("not_positive_definite")
    if np.allclose(M, M[0, 0] * np.eye(len(M)), rtol=0, atol=1e-8 * size):
        return Event("multiple_of_identity")
    some = np.array([theta / abs(theta).max() for theta in thetas if theta.any()])
    if len(some):
        images = some @ M
        k = (images * some).sum() / (some**2).sum()
        if np.linalg.norm(images - k * some) > 1e-8 * np.linalg.norm(images):
            return None
    return Event("zero_theta" if len(some) < 2 else "one_k_fits", {"k": f"{k:.4g}" if len(some) else ""})


# --- calling a student's function ----------------------------------------------------------------


class Prints(io.TextIOBase):
    """Keeps the first letters of what is printed."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text[: max(0, PRINTED - len(self.text))]
        return len(text)


_first: list[Prints] = []  # takes what the next call prints


@contextlib.contextmanager
def first_prints() -> Iterator[Prints]:
    """What the first answer prints that is called in here."""
    _first.append(Prints())
    try:
        yield _first[-1]
    finally:
        _first.clear()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Neither prints nor warnings of an answer are seen, ``first_prints`` keeps some; ``torch.compile`` is left out."""
    compiles = "torch._dynamo" in sys.modules
    with (
        torch.compiler.set_stance("force_eager") if compiles else contextlib.nullcontext(),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(_first.pop() if _first else Prints()),
        contextlib.redirect_stderr(Prints()),
    ):
        warnings.simplefilter("ignore")
        yield


class Elsewhere:
    """A function that runs in another process, where what computes an answer is off limits as well."""


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``function(...)``; raises ``Stopped`` for an exception, with the line it came from."""
    try:
        with quiet(), contextlib.nullcontext() if isinstance(function, Elsewhere) else refused():
            return function(*args, **kwargs)
    except Stopped:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, TypeError) and "ellipsis" in str(error):
            raise Stopped("open") from None  # the ... of the exercise is still in a formula
        kind = type(error).__name__  # its name: from another process comes an error of the same name
        if kind == OffLimits.__name__:
            anew = ANEW if str(error).startswith("torch.optim") and "adam" in str(error).lower() else ""
            raise Stopped("off_limits", error=error, anew=anew) from None
        for (name, words), mistake in ERRORS.items():
            if kind == name and words in str(error):
                raise Stopped(mistake, where=where(error, function)) from None
        if isinstance(error, NotImplementedError) and (not str(error) or "raise" in where(error, function)):
            raise (
                Stopped("open") if is_empty(function) else Stopped("raise_left", where=where(error, function))
            ) from None
        error_line = f"{kind}: {error}".rstrip(": ").splitlines()[0]
        raise Stopped("exception", error=error_line, where=where(error, function)) from None


def _fits(function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    names = list(signature.parameters)
    if kwargs and set(FIRST) <= set(names) and names[:3] != FIRST:
        order = "its first arguments should be theta, grad and state, in this order"
        raise Stopped("wrong_signature", got=signature, error=order)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        if pairs := _called_otherwise([n for n in kwargs if n not in names], [n for n in names[3:] if n not in kwargs]):
            raise Stopped("argument_name", pairs=pairs) from None
        raise Stopped("wrong_signature", got=signature, error=error) from None


def _called_otherwise(missing: list[str], others: list[str]) -> str:
    """Which of ``others`` each ``missing`` argument is, by the names it has elsewhere; "" if it is not clear."""
    if not missing:
        return ""
    found = {name: next((other for other in others if other.lower() in ALSO.get(name, ())), "") for name in missing}
    unclear, left = [n for n, other in found.items() if not other], [n for n in others if n not in found.values()]
    if len(unclear) == len(left) == 1:
        found[unclear[0]] = left[0]
    if not all(found.values()):
        return ""
    pairs = [f"'{name}', not '{other}'" for name, other in found.items() if other != "betas"]
    return "; ".join(pairs + ["'beta1' and 'beta2', not 'betas'"] * ("betas" in found.values()))


def where(error: BaseException, function: Callable[..., Any]) -> str:
    """The student's line in which an exception arose, with its number in the cell."""
    if isinstance(told := getattr(error, "where", None), str):  # it arose in another process
        return told
    traceback = error.__traceback__
    home = getattr(getattr(function, "__code__", None), "co_filename", None)
    innermost = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == home:
            innermost = traceback
        traceback = traceback.tb_next
    if innermost is None:
        return ""
    filename, number = innermost.tb_frame.f_code.co_filename, innermost.tb_lineno
    line = linecache.getline(filename, number, innermost.tb_frame.f_globals).strip()
    return f"\n    line {number}:  {line}" if line else f" (line {number})"


def is_empty(function: Callable[..., Any]) -> bool:
    """Whether the body of ``function`` is nothing but a docstring, ``pass`` or ``...``, or ends in a raise."""
    if isinstance(told := getattr(function, "is_empty", None), bool):  # it lives in another process
        return told
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        code = getattr(function, "__code__", None)
        size = 24 if code is not None and code.co_names == ("NotImplementedError",) else 8
        return code is not None and set(code.co_names) <= {"NotImplementedError"} and len(code.co_code) <= size
    body = getattr(tree.body[0], "body", [])
    if isinstance(body, list) and body and isinstance(body[-1], ast.Raise):
        return True
    return isinstance(body, list) and all(
        isinstance(line, ast.Pass) or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for line in body
    )
