"""What an update rule is, and how to run any rule as a ``torch.optim.Optimizer``.

An update rule is a plain function

    theta, state = rule(theta, grad, state, *, lr, ...)

that takes the parameters θ_{t-1}, the gradient g_t of the unregularised loss at θ_{t-1} and what it
remembers, and returns θ_t and what to remember next.  It changes none of its arguments.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from math import inf
from numbers import Real
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


# The contract of a rule: what is said of one that breaks it, here, in sweeps and in ``check``.
CONTRACT = {
    "not_theta_and_state": "should return (theta, state); it returned {got}",
    "state_first": "should return (theta, state), and it returned the state first",
    "not_a_tensor": "should return theta as a torch.Tensor; it returned {got}",
    "wrong_shape": "should return theta in the shape it got, {want}; it returned {got}",
    "wrong_dtype": "should return theta in the dtype it got, {want}; it returned {got}",
    "state_incomplete": "should return State(t, m, v), numbers or tensors; it returned {got}",
    "moments_exchanged": "should return State(t, m, v). The parts of the state have changed places: "
    "their order is t, m, v",
    "changed_in_place": "should leave its arguments as they are. {what} is changed in place, and whoever called "
    "still needs the old values: work on new ones (x = x − y, not x −= y)",
    "not_repeatable": "should depend on its arguments alone. Called twice with the same arguments, the rule gives "
    "two different results: it remembers something outside the state",
}
# Keys of a parameter group that are meant for the rule, and refused if it does not take them; others are kept.
FOR_RULES = {"decay", "wd", "learning_rate", "beta", "beta1", "beta2", "betas", "eps", "epsilon", "momentum"}
FOR_RULES |= {"dampening", "nesterov", "amsgrad", "maximize", *DECAYS}
HIGHEST = {"beta1": 1, "beta2": 1} | dict.fromkeys(("lr", "peak_lr", "eps", *DECAYS), inf)  # the lowest is 0


class RuleError(ValueError):
    """An update rule, or what it was called with, does not fit."""


class BrokenContract(RuleError):
    """A rule did what none should: ``mistake`` is a key of ``CONTRACT``, ``details`` fill its braces."""

    def __init__(self, rule: Rule, mistake: str, **details: object) -> None:
        super().__init__(f"{rule_name(rule)} {CONTRACT[mistake].format(**details)}")
        self.mistake, self.details = mistake, details


def rule_name(rule: Rule) -> str:
    """The name under which a rule appears in tables and figures."""
    named = rule.func if isinstance(rule, partial) else rule
    return getattr(named, "__name__", type(named).__name__)


def hyperparameters(rule: Rule) -> dict[str, Any]:
    """The keyword arguments of ``rule`` and their defaults (``inspect.Parameter.empty``: required).

    Raises ``RuleError`` unless the first three arguments can be theta, grad and state.
    """
    if inspect.isclass(rule):
        raise RuleError(
            f"{rule.__name__} is a class, and a function is asked for: write def, with (theta, grad, state, *, lr, ...)"
        )
    if not callable(rule):
        raise RuleError(
            f"a function is asked for, and this is {describe(rule)}: give rule(theta, grad, state, *, lr, ...)"
        )
    parameters = _parameters(rule)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = [p for p in parameters if p not in positional[:3]]
    too_few = len(positional) < 3 and not any(p.kind == p.VAR_POSITIONAL for p in parameters)
    if too_few or any(p.name == "state" for p in rest):  # a method of a class, with self in front
        raise RuleError(
            f"{rule_name(rule)} takes {inspect.signature(rule)} and cannot be called as asked: "
            "it should be written as rule(theta, grad, state, *, lr, ...)"
        )
    return {p.name: p.default for p in rest if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def takes_any(rule: Rule) -> bool:
    """Whether ``rule`` takes keyword arguments that it does not name, as with ``**hyper``."""
    return any(p.kind == p.VAR_KEYWORD for p in _parameters(rule))


def _parameters(rule: Rule) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(rule).parameters.values())
    except (TypeError, ValueError):  # it says nothing of its arguments
        return list(inspect.signature(lambda *args, **hyper: None).parameters.values())


def decay_name(rule: Rule) -> str:
    """Which of l2, weight_decay, torch_decay the rule takes; RuleError unless it is exactly one.

    One that names no decay and takes any keyword is tried: it takes the decay that makes a difference.
    """
    decays = [name for name in DECAYS if name in hyperparameters(rule)]
    if not decays and takes_any(rule):
        decays = [name for name in DECAYS if _makes_a_difference(rule, name)]
    if len(decays) != 1:
        raise RuleError(
            f"{rule_name(rule)} takes {' and '.join(decays) or 'no decay'}; "
            f"a sweep needs a rule that takes one of {', '.join(DECAYS)}"
        )
    return decays[0]


def _makes_a_difference(rule: Rule, name: str) -> bool:
    theta = torch.tensor([1.0, 2.0])
    try:
        a, b = (
            take_step(rule, theta.clone(), torch.ones(2), State.zeros(theta), lr=0.5, **{name: decay})[0]
            for decay in (0.25, 0.5)
        )
    except Exception:  # what a rule raises that does not know the argument is its own affair
        return False
    return not torch.equal(a, b)


def take_step(rule: Rule, theta: Tensor, grad: Tensor, state: State, **hyper: Any) -> tuple[Tensor, State]:
    """One step of ``rule``, as ``check``, sweeps and ``RuleOptimizer`` make it: (theta, state), free of autograd.

    The rule may use autograd itself.  Raises ``BrokenContract`` for a result that is none.
    """
    with torch.enable_grad():
        result = rule(theta.detach(), grad.detach(), state, **hyper)
    theta, state = accept(rule, theta, result)
    if isinstance(state.t, Tensor) and isinstance(state.v, Real) and state.v:
        raise BrokenContract(rule, "moments_exchanged")
    return theta, state


def trial(rule: Rule, step: Callable[..., Any], **arguments: Any) -> tuple[Tensor, Any]:
    """``step(*arguments)``, a step of ``rule``, once it is seen to change none of them and to remember nothing.

    A second step, against the first gradient, and the first step again are made besides.  Raises ``BrokenContract``.
    """
    given = copy.deepcopy(arguments)
    theta, state = _watched(rule, step, arguments)
    _watched(rule, step, {**arguments, "theta": theta, "grad": -arguments["grad"], "state": state})
    if not _same((theta, state), step(*given.values())):
        raise BrokenContract(rule, "not_repeatable")
    return theta, state


def _watched(rule: Rule, step: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Tensor, Any]:
    given = copy.deepcopy(arguments)
    result: tuple[Tensor, Any] = step(*arguments.values())
    if changed := [name for name, old in given.items() if not _same(old, arguments[name])]:
        raise BrokenContract(rule, "changed_in_place", what=" and ".join(changed))
    return result


def _same(old: Any, new: Any) -> bool:
    """Whether two values made of tuples, lists, tensors and numbers are equal, NaN to NaN."""
    if isinstance(old, tuple | list):
        return len(old) == len(new) and all(map(_same, old, new))
    a, b = torch.as_tensor(old), torch.as_tensor(new)
    return a.shape == b.shape and bool(((a == b) | (a != a) & (b != b)).all())


def accept(rule: Rule, theta: Tensor, result: Any) -> tuple[Tensor, State]:
    """What ``rule`` returned for ``theta``, a tuple or list of θ and state, as ``(theta, state)``.

    θ keeps its shape, and its dtype, except that float32 is taken for float64; the state is a State, or a
    tuple or list of t, m and v, each a number or a tensor.  Raises ``BrokenContract`` for anything else.
    """
    if not (isinstance(result, tuple | list) and len(result) == 2):
        raise BrokenContract(rule, "not_theta_and_state", got=describe(result))
    new_theta, state = result
    if isinstance(new_theta, tuple) and isinstance(state, Tensor):
        raise BrokenContract(rule, "state_first")
    if not isinstance(new_theta, Tensor):
        raise BrokenContract(rule, "not_a_tensor", got=describe(new_theta))
    if new_theta.shape != theta.shape:
        raise BrokenContract(rule, "wrong_shape", got=tuple(new_theta.shape), want=tuple(theta.shape))
    halved = new_theta.dtype == torch.float32 and theta.dtype == torch.float64
    if new_theta.dtype != theta.dtype and not halved:
        raise BrokenContract(rule, "wrong_dtype", got=new_theta.dtype, want=theta.dtype)
    if not (isinstance(state, tuple | list) and len(state) == 3):
        raise BrokenContract(rule, "state_incomplete", got=describe(state))
    if not all(isinstance(part, Tensor | Real) for part in state):
        kinds = ", ".join(type(part).__name__ for part in state)
        raise BrokenContract(rule, "state_incomplete", got=f"{type(state).__name__}({kinds})")
    if new_theta.requires_grad or halved:
        new_theta = new_theta.detach().to(theta.dtype)
    t, m, v = (part.detach() if isinstance(part, Tensor) else part for part in state)
    return new_theta, State._make((t.item() if isinstance(t, Tensor) and t.numel() == 1 else t, m, v))


def describe(value: Any) -> str:
    """What kind of thing ``value`` is, in a few words."""
    if value is None:
        return "None (is the return line missing?)"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    name = type(value).__name__
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    return f"{article} {name}" + (f" of shape {tuple(shape)}" if shape is not None else "")


class RuleOptimizer(torch.optim.Optimizer):
    """Any update rule as a ``torch.optim.Optimizer``, for any ``nn.Module``.

    ``hyper`` are the rule's keyword arguments (``lr``, ``weight_decay``, ``beta1``, ...); a
    parameter group may override each.  Schedulers, closures and ``state_dict`` work as usual.

    Decay convention: eq. (1) of the problem set, θ ← (1 − λ_w)θ − ..., with λ_w not multiplied by
    the learning rate.  A schedule s_t multiplies η and λ_w, as in Loshchilov & Hutter (2019), Algorithm 2,
    line 12, and not λ_ℓ2: ``weight_decay`` is its value at the peak, where s_t = 1, and s_t = ``lr`` / peak.
    The peak is ``peak_lr``; else OneCycleLR's ``max_lr``; else the ``lr`` that the group began with, which a
    schedule may lower and not exceed.

    Raises ``RuleError`` for a missing, unknown or misspelt hyperparameter, one out of range, a sparse gradient, a
    ``state_dict`` of another rule, and a rule that breaks ``CONTRACT``.  Where ``weight_decay`` follows a schedule
    whose peak is not known, it asks for ``peak_lr``: an lr of 0 at first, one above the peak, a scheduler that
    begins from an lr of its own (CyclicLR), a group with its own ``lr`` beside a common ``peak_lr``.

    >>> from adamw_pset.optimizers import adamw
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = RuleOptimizer(model.parameters(), adamw, lr=1e-3, weight_decay=1e-5)
    """

    def __init__(self, params: Iterable[Any], rule: Rule, *, peak_lr: float | None = None, **hyper: Any) -> None:
        known = hyperparameters(rule)
        unknown = sorted(set(hyper) - set(known))
        if unknown and not takes_any(rule):
            raise RuleError(f"{rule_name(rule)} takes {', '.join(known)}; it has no {', '.join(unknown)}")
        given = {**known, **hyper}
        self.rule, self.arguments = rule, list(given)
        defaults = {name: value for name, value in given.items() if value is not inspect.Parameter.empty}
        _in_range(defaults)
        if "lr" in defaults:  # as a number: a scheduler changes a tensor in place
            defaults["first_lr"] = float(defaults["lr"])
        super().__init__(params, {**defaults, "peak_lr": peak_lr})

    def __getstate__(self) -> dict[str, Any]:
        own = {"rule": self.rule, "arguments": self.arguments}
        return {**super().__getstate__(), **own}  # for copies and pickles

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch; keys that are nothing to the rule are kept."""
        missing = [name for name in self.arguments if name not in param_group and name not in self.defaults]
        self._refuse(param_group, missing, "a parameter group of")
        _in_range({**self.defaults, **param_group})
        if "lr" in param_group:
            param_group = {"first_lr": float(param_group["lr"]), **param_group}
            if self.defaults["peak_lr"] and "peak_lr" not in param_group:
                raise RuleError(f"a group with its own lr, {param_group['lr']}, needs its own peak_lr beside it")
        super().add_param_group(param_group)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As in torch; raises ``RuleError`` if the state is that of a rule with other arguments."""
        for group in state_dict["param_groups"]:
            missing = [name for name in (*self.arguments, "peak_lr") if name not in group]
            self._refuse(group, missing, "this state is of another rule:")
        super().load_state_dict(state_dict)

    def _refuse(self, group: dict[str, Any], missing: list[str], whose: str) -> None:
        known = {*self.arguments, "peak_lr", "first_lr", "initial_lr", "max_lr"}
        unknown = [n for n in group if n not in known and (n in FOR_RULES or get_close_matches(n, known, cutoff=0.9))]
        if unknown or missing:
            raise RuleError(
                f"{whose} {rule_name(self.rule)} takes {', '.join(self.arguments)}; "
                + (f"it has no {', '.join(sorted(unknown))}" if unknown else f"{', '.join(missing)} is missing")
            )

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
        """The rule's arguments in this step: λ_w follows the schedule as lr does, s_t = lr / peak."""
        _in_range(group)
        hyper = {name: group[name] for name in self.arguments}
        if "lr" in hyper and hyper.get("weight_decay"):
            hyper["weight_decay"] = hyper["lr"] / _peak(group) * hyper["weight_decay"]
        return hyper

    def _step_one(self, theta: Tensor, hyper: dict[str, Any]) -> None:
        if theta.grad is None or theta.grad.is_sparse:
            raise RuleError("a rule needs dense gradients; this one is sparse")
        memory = self.state[theta]
        values, grad = theta.detach(), theta.grad
        if theta.is_complex():  # as in torch: real and imaginary parts are coordinates
            values, grad = torch.view_as_real(values), torch.view_as_real(grad)
        state = State(**memory) if memory else State.zeros(values)
        step = partial(take_step, self.rule, **hyper)
        if not memory:
            step = partial(trial, self.rule, step)
        # Copies: a rule may hand on what it got in its state, and these two are changed in place from here on.
        new_theta, new_state = step(theta=values.clone(), grad=grad.clone(), state=state)
        memory.update(new_state._asdict())
        values.copy_(new_theta)


def _in_range(hyper: Mapping[str, Any]) -> None:
    for name, highest in HIGHEST.items():
        value = hyper.get(name)
        one = isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)
        if value is not None and not (one and 0 <= value <= highest):
            largest = "up" if highest == inf else f"to {highest}"
            raise RuleError(f"{name} is {value}, and should be one number from 0 {largest}")


def _peak(group: Mapping[str, Any]) -> float:
    """The lr of a parameter group at which its schedule s_t is 1; ``RuleError`` where it is not known."""
    lr, first = float(group["lr"]), group["first_lr"]
    begins = float(group.get("initial_lr", first))  # of a scheduler
    peak: float = group["peak_lr"] or group.get("max_lr") or (first if begins == first else 0)
    if not peak or lr > peak * (1 + 1e-6):  # rounding in a scheduler
        began = f"{first:g}" if begins == first else f"{first:g}, and a scheduler at {begins:g}"
        raise RuleError(
            f"lr is {lr:g} and began at {began}: weight_decay follows the schedule as lr / peak_lr, so "
            f"say RuleOptimizer(..., peak_lr=...), the largest lr that the schedule reaches"
        )
    return peak
