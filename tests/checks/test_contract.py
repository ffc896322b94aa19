"""What a rule may be and return: one table, with a column for check, sweep, RuleOptimizer and grader."""

from __future__ import annotations

import functools
import textwrap
import warnings
from typing import Any

import pytest
import torch
from helpers.submissions import grade_one

from adamw_pset import RuleError, RuleOptimizer, State, sweep
from adamw_pset.checks.verdicts import CheckFailed, check
from adamw_pset.data import Data
from adamw_pset.rule import decay_name
from autograder.sandbox.sandbox import Sandbox

DATA = Data(*(part for n in (64, 32) for part in (torch.randn(n, 4), torch.arange(n) % 2)))
HEAD = "def adamw(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):\n"
BODY = """\
    t = state.t + 1
    m = beta1 * state.m + (1 - beta1) * grad
    v = beta2 * state.v + (1 - beta2) * grad**2
    step = lr * m / (1 - beta1**t) / ((v / (1 - beta2**t)).sqrt() + eps)
"""
END = "    return (1 - weight_decay) * theta - step, "
RIGHT_RULES = {
    "a list of two": HEAD + BODY + "    return [(1 - weight_decay) * theta - step, State(t, m, v)]\n",
    "a tuple as state": HEAD + BODY + END + "(t, m, v)\n",
    "a list as state": HEAD + BODY + END + "[t, m, v]\n",
    "a partial": (
        HEAD.replace("adamw", "full").replace("*,", "scale, *,") + BODY + END + "State(t, m, v)\n"
        "import functools\nadamw = functools.partial(full, scale=1)\n"
    ).replace("scale, *,", "*, scale,"),
    "an object": "class Rule:\n"
    + textwrap.indent(HEAD.replace("adamw(", "__call__(self, ") + BODY + END + "State(t, m, v)\n", "    ")
    + "adamw = Rule()\n",
    "a lambda": HEAD.replace("adamw", "full")
    + BODY
    + END
    + "State(t, m, v)\n"
    + "adamw = lambda theta, grad, state, **hyper: full(theta, grad, state, **hyper)\n",
    "**hyper": "def adamw(theta, grad, state, **hyper):\n"
    "    lr, weight_decay, eps = hyper['lr'], hyper['weight_decay'], hyper.get('eps', 1e-8)\n"
    "    beta1, beta2 = hyper.get('beta1', 0.9), hyper.get('beta2', 0.999)\n" + BODY + END + "State(t, m, v)\n",
    "a decorator without wraps": "def loud(f):\n    def wrapper(*args, **kwargs):\n        return f(*args, **kwargs)\n"
    "    return wrapper\n@loud\n" + HEAD + BODY + END + "State(t, m, v)\n",
    "autograd": HEAD
    + "    leaf = theta.detach().clone().requires_grad_(True)\n"
    + "    (pull,) = torch.autograd.grad((leaf**2).sum() / 2, leaf)\n"
    + BODY
    + "    return theta - weight_decay * pull - step, State(t, m, v)\n",
    "requires_grad on θ": HEAD
    + "    theta.requires_grad_(True)\n    (theta**2 / 2).sum().backward()\n"
    + BODY
    + "    return theta - weight_decay * theta.grad - step, State(t, m, v)\n",
    "θ with a graph": HEAD + "    theta = theta.clone().requires_grad_()\n" + BODY + END + "State(t, m, v)\n",
}
REFUSED = {  # what comes back: in which words it is refused everywhere
    "None": "(theta, state); it returned None (is the return line missing?)",
    "theta - step": "(theta, state); it returned a Tensor of shape ",
    "(theta, t, m, v)": "(theta, state); it returned a tuple of 4",
    "{'theta': theta}": "(theta, state); it returned a dict",
    "State(t, m, v), theta": "(theta, state), and it returned the state first",
    "theta.numpy(), State(t, m, v)": "theta as a torch.Tensor; it returned a",
    "theta.sum(), State(t, m, v)": "theta in the shape it got, ",
    "theta.half(), State(t, m, v)": "theta in the dtype it got, ",
    "theta, (t, m)": "State(t, m, v); it returned a tuple of 2",
    "theta, State(t, None, v)": "State(t, m, v); it returned a State of 3",
}


def defined(source: str) -> Any:
    space: dict[str, Any] = {"torch": torch, "State": State, "functools": functools}
    exec(compile(source, "<a cell>", "exec"), space)
    return space["adamw"]


def swept(rule: Any) -> float:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*moves the runs one by one")
        table = sweep(rule, [0.01], [0.01], lambda seed: DATA, seeds=[0], epochs=1, batch_size=16, progress=False)
    return float(table["val_loss"].iloc[0])


def stepped(rule: Any) -> torch.Tensor:
    theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = RuleOptimizer([theta], rule, lr=0.1, weight_decay=0.2)
    for _ in range(3):
        theta.grad = torch.tensor([0.5, 0.25])
        optimizer.step()
    return theta.detach()


@pytest.mark.parametrize("name", RIGHT_RULES)
def test_a_right_rule_is_right_everywhere(name: str, box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    plain = defined(HEAD + BODY + END + "State(t, m, v)\n")
    rule = defined(RIGHT_RULES[name])
    check("adamw", rule)
    assert capsys.readouterr().out == "✓ adamw: right.\n"
    assert decay_name(rule) == "weight_decay"
    assert swept(rule) == pytest.approx(swept(plain), rel=1e-4)  # float32, run by run or all at once
    torch.testing.assert_close(stepped(rule), stepped(plain), rtol=0, atol=1e-6)  # θ ≈ 1 in float32
    assert grade_one(box, "adamw", RIGHT_RULES[name]).message == "Right."


@pytest.mark.parametrize("result", REFUSED)
def test_a_broken_contract_is_refused_everywhere_in_the_same_words(result: str, box: Sandbox) -> None:
    source = HEAD + BODY + f"    return {result}\n"
    rule, words = defined(source), REFUSED[result]
    for use, error in ((lambda: check("adamw", rule), CheckFailed), (lambda: swept(rule), RuleError)):
        with pytest.raises(error) as caught:
            use()
        assert words.replace("theta", "θ") in str(caught.value).replace("theta", "θ")
    with pytest.raises(RuleError) as caught:
        stepped(rule)
    assert words in str(caught.value)
    assert words.replace("theta", "θ") in grade_one(box, "adamw", source).message.replace("theta", "θ")


def test_float32_is_taken_for_float64() -> None:
    rule = defined(HEAD + BODY + "    return ((1 - weight_decay) * theta - step).float(), State(t, m, v)\n")
    theta = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    theta.grad = torch.ones(2, dtype=torch.float64)
    RuleOptimizer([theta], rule, lr=0.1, weight_decay=0.2).step()
    assert theta.dtype == torch.float64
    check("adamw", rule)


# --- what follows the schedule -----------------------------------------------------------------------


def optimizer(lr: float, **more: Any) -> RuleOptimizer:
    theta = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    theta.grad = torch.zeros(1, dtype=torch.float64)  # all that moves θ is the decay
    rule = defined(HEAD + BODY + END + "State(t, m, v)\n")
    return RuleOptimizer([theta], rule, lr=lr, weight_decay=0.5, **more)


def kept(opt: RuleOptimizer) -> float:
    """The share of θ that one step leaves."""
    theta = opt.param_groups[0]["params"][0]
    before = theta.item()
    opt.step()
    return float(theta.item() / before)


def test_the_decay_follows_one_cycle_by_its_largest_lr() -> None:
    opt = optimizer(1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.1, total_steps=10, cycle_momentum=False)
    for _ in range(9):
        assert kept(opt) == pytest.approx(1 - 0.5 * opt.param_groups[0]["lr"] / 0.1)
        schedule.step()


def test_a_cyclic_schedule_is_right_with_its_peak_and_refused_above_the_first_lr() -> None:
    def cycle(opt: RuleOptimizer) -> Any:
        return torch.optim.lr_scheduler.CyclicLR(opt, 0.01, 0.1, step_size_up=2, cycle_momentum=False)

    opt = optimizer(0.01, peak_lr=0.1)
    schedule = cycle(opt)
    for _ in range(6):
        assert kept(opt) == pytest.approx(1 - 0.5 * opt.param_groups[0]["lr"] / 0.1)
        schedule.step()
    opt = optimizer(0.01)
    schedule = cycle(opt)
    kept(opt)
    schedule.step()
    with pytest.raises(RuleError, match=r"lr is 0\.055 and began at 0.01: .* peak_lr"):
        opt.step()


def test_an_lr_that_begins_at_zero_needs_a_peak() -> None:
    with pytest.raises(RuleError, match=r"lr is 0 and began at 0: .* peak_lr"):
        optimizer(0.0).step()
    opt = optimizer(0.0, peak_lr=0.2)
    assert kept(opt) == 1.0
    opt.param_groups[0]["lr"] = 0.1
    assert kept(opt) == pytest.approx(0.75)


def test_an_lr_set_by_hand_after_loading() -> None:
    saved = optimizer(0.1).state_dict()
    opt = optimizer(0.4)
    opt.load_state_dict(saved)
    opt.param_groups[0]["lr"] = 0.05
    assert kept(opt) == pytest.approx(0.75)
    opt.param_groups[0]["lr"] = 10.0
    with pytest.raises(RuleError, match=r"lr is 10 and began at 0.1"):
        opt.step()


def test_groups_and_parameters_as_torch_has_them() -> None:
    with pytest.raises(RuleError, match=r"lr is -0\.1, and should be 0 or more"):
        optimizer(-0.1)
    opt = optimizer(0.1)
    opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "name": "head"})
    assert opt.param_groups[1]["name"] == "head"
    both = torch.nn.Parameter(torch.tensor([1 + 2j])), torch.nn.Parameter(torch.tensor([[1.0, 2.0]]))
    both[0].grad, both[1].grad = torch.tensor([3 - 1j]), torch.tensor([[3.0, -1.0]])
    for theta in both:
        RuleOptimizer([theta], opt.rule, lr=0.1, weight_decay=0.5).step()
    assert torch.equal(torch.view_as_real(both[0].detach()), both[1].detach())
