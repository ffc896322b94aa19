"""What an update rule is, and how to run any rule as a ``torch.optim.Optimizer``.

An update rule is a plain function

    theta, state = rule(theta, grad, state, *, lr, ...)

that takes the parameters θ_{t-1}, the gradient g_t of the unregularised loss at θ_{t-1} and what it
remembers, and returns θ_t and what to remember next.  It changes none of its arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor

Rule = Callable[..., tuple[Tensor, Any]]

# The arguments that can be a decay, and whether a schedule s_t multiplies them: λ_w is a share of
# θ per step and follows the schedule as η does; λ_ℓ2 and λ_torch meet η·s_t inside the rule.
DECAYS = {"l2": False, "weight_decay": True, "torch_decay": False}


class State(NamedTuple):
    """What a rule remembers between two steps."""

    t: int  # steps taken so far
    m: Tensor  # first moment, or momentum buffer; the shape of θ
    v: Tensor  # second moment; the shape of θ

    @classmethod
    def zeros(cls, theta: Tensor) -> State:
        """The state before the first step: t = 0, m = v = 0 in the shape of ``theta``."""
        return cls(0, torch.zeros_like(theta), torch.zeros_like(theta))


class RuleError(ValueError):
    """An update rule, or what it was called with, does not fit."""


def rule_name(rule: Rule) -> str:
    """The name under which a rule appears in tables and figures."""
    return getattr(rule, "__name__", type(rule).__name__)


def hyperparameters(rule: Rule) -> dict[str, Any]:
    """The keyword arguments of ``rule`` and their defaults (``inspect.Parameter.empty``: required).

    Raises ``RuleError`` unless the first three arguments can be theta, grad and state.
    """
    if not callable(rule):
        raise RuleError(f"{rule!r} is not an update rule: give a function rule(theta, grad, state, *, lr, ...)")
    parameters = list(inspect.signature(rule).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 3:
        raise RuleError(
            f"{rule_name(rule)}{inspect.signature(rule)} is not an update rule: "
            "it should be written as rule(theta, grad, state, *, lr, ...)"
        )
    rest = [p for p in parameters if p not in positional[:3]]
    return {p.name: p.default for p in rest if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def decay_name(rule: Rule) -> str:
    """Which of l2, weight_decay, torch_decay the rule takes; RuleError unless it is exactly one."""
    found = [name for name in DECAYS if name in hyperparameters(rule)]
    if len(found) != 1:
        raise RuleError(
            f"{rule_name(rule)} takes {' and '.join(found) or 'no decay'}; "
            f"a sweep needs a rule that takes one of {', '.join(DECAYS)}"
        )
    return found[0]


def check_step(rule: Rule, theta: Tensor, result: Any) -> tuple[Tensor, Any]:
    """What ``rule`` returned, if it is ``(theta, state)`` with θ as it was in shape and dtype."""
    name = rule_name(rule)
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuleError(f"{name} should return (theta, state); it returned {_describe(result)}")
    new_theta, state = result
    if not isinstance(new_theta, Tensor):
        raise RuleError(f"{name} should return theta as a torch.Tensor; it returned {_describe(new_theta)}")
    if new_theta.shape != theta.shape:
        raise RuleError(
            f"{name} should return theta in the shape it got, {tuple(theta.shape)}; "
            f"it returned {tuple(new_theta.shape)}"
        )
    if new_theta.dtype != theta.dtype:
        raise RuleError(f"{name} should return theta in the dtype it got, {theta.dtype}; it returned {new_theta.dtype}")
    return new_theta, state


def _describe(value: Any) -> str:
    if value is None:
        return "None (is the return line missing?)"
    if isinstance(value, tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


class RuleOptimizer(torch.optim.Optimizer):
    """Any update rule as a ``torch.optim.Optimizer``, for any ``nn.Module``.

    ``hyper`` are the rule's keyword arguments (``lr``, ``weight_decay``, ``beta1``, ...); a
    parameter group may override each.  Schedulers, closures and ``state_dict`` work as usual.

    Decay convention: eq. (1) of the problem set, θ ← (1 − λ_w)θ − ..., with λ_w not multiplied by
    the learning rate.  When a scheduler lowers η to s_t·η, ``weight_decay`` is multiplied by the
    same s_t and ``l2`` is not, as in Loshchilov & Hutter (2019), Algorithm 2, line 12.  s_t is the
    current ``lr`` over the one the group began with.

    Raises ``RuleError`` for a missing or unknown hyperparameter, a sparse gradient, or a rule that
    returns something other than ``(theta, state)`` in the shape of θ.

    >>> from adamw_pset.optimizers import adamw
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = RuleOptimizer(model.parameters(), adamw, lr=1e-3, weight_decay=1e-5)
    """

    def __init__(self, params: Iterable[Any], rule: Rule, **hyper: Any) -> None:
        known = hyperparameters(rule)
        if unknown := sorted(set(hyper) - set(known)):
            raise RuleError(f"{rule_name(rule)} takes {', '.join(known)}; it has no {', '.join(unknown)}")
        defaults = {name: hyper.get(name, default) for name, default in known.items()}
        self.rule = rule
        super().__init__(params, {n: v for n, v in defaults.items() if v is not inspect.Parameter.empty})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule}  # for copies and pickles

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        known = hyperparameters(self.rule)
        unknown = sorted(set(param_group) - set(known) - {"params", "param_names", "initial_lr", "first_lr"})
        missing = [n for n in known if n not in param_group and n not in self.defaults]
        if unknown or missing:
            raise RuleError(
                f"a parameter group of {rule_name(self.rule)} takes {', '.join(known)}; "
                + (f"it has no {', '.join(unknown)}" if unknown else f"{', '.join(missing)} is missing")
            )
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if "lr" in group:
            first = group["lr"]  # schedulers change a tensor in place
            group.setdefault("first_lr", first.clone() if isinstance(first, Tensor) else first)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As in torch; raises ``RuleError`` if the state is that of a rule with other arguments."""
        for group in state_dict["param_groups"]:
            if missing := [name for name in hyperparameters(self.rule) if name not in group]:
                raise RuleError(f"this state is of another rule: {rule_name(self.rule)} needs {', '.join(missing)}")
        super().load_state_dict(state_dict)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of the rule on every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            hyper = self._scheduled(group)
            for theta in group["params"]:
                if theta.grad is not None:
                    self._step_one(theta, hyper)
        return loss

    def _scheduled(self, group: dict[str, Any]) -> dict[str, Any]:
        hyper = {name: group[name] for name in hyperparameters(self.rule)}
        if "weight_decay" in hyper and group.get("first_lr"):
            s_t = group["lr"] / group["first_lr"]
            hyper["weight_decay"] = s_t * hyper["weight_decay"]
        return hyper

    def _step_one(self, theta: Tensor, hyper: dict[str, Any]) -> None:
        if theta.grad is None or theta.grad.is_sparse:
            raise RuleError("a rule needs dense gradients; this one is sparse")
        memory = self.state[theta]
        state = State(**memory) if memory else State.zeros(theta)
        result = self.rule(theta.detach(), theta.grad, state, **hyper)
        new_theta, new_state = check_step(self.rule, theta, result)
        if not (isinstance(new_state, tuple) and len(new_state) == 3):
            raise RuleError(f"{rule_name(self.rule)} should return State(t, m, v); it returned {_describe(new_state)}")
        memory.update(State(*new_state)._asdict())
        theta.copy_(new_theta)
