"""A small trial of a rule before a sweep trusts it: does it fit, and can it move a stack of runs?"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from adamw_pset.rule import (
    BrokenContract,
    Rule,
    RuleError,
    State,
    decay_name,
    hyperparameters,
    rule_name,
    take_step,
    takes_any,
    trial,
)

# One step of a stack of runs: (θ, g, state, η, λ) -> (θ, state), with η and λ of shape (runs, 1, ...).
Stepper = Callable[[Tensor, Tensor, Any, Tensor, Tensor], tuple[Tensor, Any]]


def stepper(rule: Rule, hyper: dict[str, Any], shapes: Iterable[tuple[int, ...]]) -> Stepper:
    """How to move a stack of runs with ``rule``: all at once if it can, else run by run.

    It is tried on parameters of these ``shapes``.
    Raises ``RuleError`` if the rule cannot be called with ``lr``, its decay and ``hyper``, breaks
    ``CONTRACT`` or returns NaN.  Warns, and says why, when the runs must be
    moved one by one.
    """
    known, decay = hyperparameters(rule), decay_name(rule)
    given = {"lr", decay, *hyper}
    unknown = sorted(given - set(known))
    if unknown and not takes_any(rule):
        raise RuleError(f"{rule_name(rule)} takes {', '.join(known)}; it has no {', '.join(unknown)}")
    required = {name for name, default in known.items() if default is inspect.Parameter.empty}
    if missing := sorted(required - given):
        raise RuleError(f"{rule_name(rule)} needs a value for {', '.join(missing)}: pass it to the sweep")

    def stacked(theta: Tensor, g: Tensor, state: Any, lr: Tensor, lam: Tensor) -> tuple[Tensor, Any]:
        return take_step(rule, theta, g, state, **{"lr": lr, decay: lam}, **hyper)

    def run_by_run(theta: Tensor, g: Tensor, state: Any, lr: Tensor, lam: Tensor) -> tuple[Tensor, Any]:
        states = state if isinstance(state, list) else [State.zeros(row) for row in theta]
        steps = []
        rates = zip(lr.flatten().tolist(), lam.flatten().tolist(), strict=True)
        for row, g_row, s, (eta, lam_row) in zip(theta, g, states, rates, strict=True):
            values = {"lr": eta, decay: lam_row}
            steps.append(take_step(rule, row, g_row, s, **values, **hyper))
        return torch.stack([new for new, _ in steps]), [s for _, s in steps]

    alone, alone_error = _try(rule, run_by_run, shapes)
    together, together_error = _try(rule, stacked, shapes)
    if alone is None and together is None:
        if isinstance(alone_error, BrokenContract):
            raise alone_error
        raise RuleError(f"{rule_name(rule)} fails: {_in_words(alone_error)}") from alone_error
    if together is None:
        reason = f"on tensors of learning rates it fails ({_in_words(together_error)})"
    # Two steps of a few float32 operations each: rounding is of order 1e-7 of θ ≈ 1.
    elif alone is None or torch.allclose(alone, together, rtol=1e-5, atol=1e-6):
        return stacked
    else:
        reason = "on a stack of runs it gives other numbers than on each run alone"
    warnings.warn(
        f"{rule_name(rule)} moves the runs one by one, which is slow: {reason}. A rule that uses only "
        "elementwise operations on theta, grad, lr and decay can move all runs at once.",
        stacklevel=4,
    )
    return run_by_run


def _in_words(error: Exception | None) -> str:
    return str(error) if isinstance(error, RuleError) else f"{type(error).__name__}: {error}"


def _try(rule: Rule, step: Stepper, shapes: Iterable[tuple[int, ...]]) -> tuple[Tensor | None, Exception | None]:
    """θ after two steps on small stacks of runs, one after the other in a row, or the error."""
    try:
        return torch.cat([_two_steps(rule, step, shape).flatten() for shape in shapes]), None
    except Exception as error:
        return None, error


def _two_steps(rule: Rule, step: Stepper, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    theta: Tensor
    theta, *gradients = torch.randn(3, 3, *shape, generator=generator, dtype=torch.float32)
    lr = torch.tensor([0.1, 0.01, 0.001], dtype=theta.dtype).reshape(3, *[1] * len(shape))
    lam = torch.tensor([0.01, 0.1, 0.001], dtype=theta.dtype).reshape(3, *[1] * len(shape))
    state: Any = State.zeros(theta)
    for g in gradients:
        theta, state = trial(rule, step, theta=theta, grad=g, state=state, lr=lr, decay=lam)
        if not theta.isfinite().all():
            raise RuleError("it returns NaN or infinity on an ordinary step")
    return theta
