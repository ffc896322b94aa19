"""What a rule may be and return: one table, with a column for check, sweep, RuleOptimizer and grader."""

from __future__ import annotations

import copy
import functools
import math
import pickle
import textwrap
import warnings
from typing import Any

import pytest
import torch
from helpers.submissions import grade_one
from torch.optim import lr_scheduler as S
from torch.optim.swa_utils import SWALR

from adamw_pset import RuleError, RuleOptimizer, State, sweep
from adamw_pset.checks.verdicts import CheckFailed, check
from adamw_pset.data import Data
from adamw_pset.optimizers import adamw
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
PLAIN = HEAD + BODY + END + "State(t, m, v)\n"


def method(source: str) -> str:
    return "class Rule:\n" + textwrap.indent(source, "    ")


RIGHT_RULES = {
    "a list of two": HEAD + BODY + "    return [(1 - weight_decay) * theta - step, State(t, m, v)]\n",
    "a tuple as state": HEAD + BODY + END + "(t, m, v)\n",
    "a list as state": HEAD + BODY + END + "[t, m, v]\n",
    "a partial": (
        HEAD.replace("adamw", "full").replace("*,", "scale, *,") + BODY + END + "State(t, m, v)\n"
        "import functools\nadamw = functools.partial(full, scale=1)\n"
    ).replace("scale, *,", "*, scale,"),
    "an object": method(PLAIN.replace("adamw(", "__call__(self, ")) + "adamw = Rule()\n",
    "a lambda": PLAIN.replace("adamw", "full")
    + "adamw = lambda theta, grad, state, **hyper: full(theta, grad, state, **hyper)\n",
    "**hyper": "def adamw(theta, grad, state, **hyper):\n"
    "    lr, weight_decay, eps = hyper['lr'], hyper['weight_decay'], hyper.get('eps', 1e-8)\n"
    "    beta1, beta2 = hyper.get('beta1', 0.9), hyper.get('beta2', 0.999)\n" + BODY + END + "State(t, m, v)\n",
    "a decorator without wraps": "def loud(f):\n    def wrapper(*args, **kwargs):\n        return f(*args, **kwargs)\n"
    "    return wrapper\n@loud\n" + PLAIN,
    "autograd": HEAD
    + "    leaf = theta.detach().clone().requires_grad_(True)\n"
    + "    (pull,) = torch.autograd.grad((leaf**2).sum() / 2, leaf)\n"
    + BODY
    + "    return theta - weight_decay * pull - step, State(t, m, v)\n",
    "requires_grad on θ": HEAD
    + "    theta.requires_grad_(True)\n    (theta**2 / 2).sum().backward()\n"
    + BODY
    + "    return theta - weight_decay * theta.grad - step, State(t, m, v)\n",
    "θ and m with a graph": HEAD
    + BODY
    + "    leaf = torch.nn.Parameter\n    return leaf((1 - weight_decay) * theta - step), State(t, 1 * leaf(m), v)\n",
    "a method": method(PLAIN.replace("(theta", "(self, theta")) + "adamw = Rule().adamw\n",
    "*args": PLAIN.replace("theta, grad, state, *", "*args").replace(":\n", ":\n    theta, grad, state = args\n", 1),
    "positional only, with defaults": PLAIN.replace("state, *, lr, weight_decay", "state, /, lr=0, weight_decay=0"),
    "a pair and a state with names of their own": "from collections import namedtuple\n"
    "Step, Memory = namedtuple('Step', 'x s'), namedtuple('Memory', 'k a b')\n"
    + HEAD
    + BODY
    + "    return Step((1 - weight_decay) * theta - step, Memory(torch.as_tensor(t), m, v))\n",
    "t in a tensor of one": HEAD + BODY + END + "State(torch.as_tensor([t]), m, v)\n",
    "t as a float": HEAD + BODY + END + "State(float(t), m, v)\n",
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
    "theta, (t, m)": "numbers or tensors; it returned a tuple of 2",
    "theta, {'t': t, 'm': m, 'v': v}": "numbers or tensors; it returned a dict",
    "theta, State(t, None, v)": "numbers or tensors; it returned State(int, NoneType, Tensor)",
    "theta, (t, m, v.numpy())": "numbers or tensors; it returned tuple(int, Tensor, ndarray)",
    "(1 - weight_decay) * theta - step, (m, v, t)": "The parts of the state have changed places: their order is t, m,",
}
IN_PLACE = " is changed in place, and whoever called still needs the old values: work on new ones"
REMEMBERS = "the rule gives two different results: it remembers something outside the state"
RULES_REFUSED = {result: (HEAD + BODY + f"    return {result}\n", words) for result, words in REFUSED.items()} | {
    "yield": (PLAIN.replace("return", "yield"), "(theta, state); it returned a generator"),
    "θ in place": (
        PLAIN.replace("(1 - weight_decay) * theta", "theta.data.mul_(1 - weight_decay)"),
        f"theta{IN_PLACE}",
    ),
    "g in place": (HEAD + BODY + "    grad.zero_()\n" + END + "State(t, m, v)\n", f"grad{IN_PLACE}"),
    "m in place": (PLAIN.replace("beta1 * state.m", "state.m.mul_(beta1)"), f"state{IN_PLACE}"),
    "random": (PLAIN.replace("theta - step", "theta - torch.rand(()) * step"), REMEMBERS),
    "an object with a memory": (
        method(
            "state = State(0, 0, 0)\n"
            + PLAIN.replace("adamw(theta, grad, state", "__call__(self, theta, grad, given")
            .replace("state.", "self.state.")
            .replace("    return", "    self.state = State(t, m, v)\n    return")
            .replace("step, State(t, m, v)", "step, given")
        )
        + "adamw = Rule()\n",
        REMEMBERS,
    ),
    "a class": (method(PLAIN).replace("Rule", "adamw"), "is a class, and a function is asked for: write def, with ("),
    "a method of nothing": (
        method(PLAIN.replace("(theta", "(self, theta")) + "adamw = Rule.adamw\n",
        "takes (self, theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-08) and cannot be called",
    ),
    "a string": ("adamw = 'adamw'\n", " is asked for, and this is a str"),
}


def defined(source: str, name: str = "adamw") -> Any:
    space: dict[str, Any] = {"torch": torch, "State": State, "functools": functools}
    exec(compile(source, "<a cell>", "exec"), space)
    return space[name]


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
    plain = defined(PLAIN)
    rule = defined(RIGHT_RULES[name])
    check("adamw", rule)
    assert capsys.readouterr().out == "✓ adamw: right.\n"
    assert decay_name(rule) == "weight_decay"
    assert swept(rule) == pytest.approx(swept(plain), rel=1e-4)  # float32, run by run or all at once
    torch.testing.assert_close(stepped(rule), stepped(plain), rtol=0, atol=1e-6)  # θ ≈ 1 in float32
    assert grade_one(box, "adamw", RIGHT_RULES[name]).message == "Right."


@pytest.mark.parametrize("name", RULES_REFUSED)
def test_a_broken_contract_is_refused_everywhere_in_the_same_words(name: str, box: Sandbox) -> None:
    source, words = RULES_REFUSED[name]
    said = [grade_one(box, "adamw", source).message]
    uses: Any = (functools.partial(check, "adamw"), CheckFailed), (swept, RuleError), (stepped, RuleError)
    for use, error in uses:
        with pytest.raises(error) as caught:
            use(defined(source))
        said.append(str(caught.value))
    for message in said:
        assert words.replace("theta", "θ") in message.replace("theta", "θ")


def test_what_no_line_uses_may_be_a_number(box: Sandbox) -> None:
    source = textwrap.dedent("""\
        def sgdw(theta, grad, state, *, lr, weight_decay, beta1=1.0):
            m = (1 - beta1) * state.m + beta1 * grad
            return (1 - weight_decay) * theta - lr * m, State(state.t + 1, m, 0)
    """)
    rule = defined(source, "sgdw")
    check("sgdw", rule)
    swept(rule)
    assert stepped(rule).tolist() == pytest.approx([0.8**3 - 0.122, -2 * 0.8**3 - 0.061])  # 0.1 g (1 + 0.8 + 0.64)
    assert grade_one(box, "sgdw", source).message == "Right."


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # of torch's own, as torch.compile is imported
def test_a_compiled_rule_needs_no_compiler(box: Sandbox) -> None:
    source = "@torch.compile\n" + PLAIN
    check("adamw", defined(source))
    assert grade_one(box, "adamw", source).message == "Right."


def test_a_state_may_hold_what_the_rule_got() -> None:
    """The gradient and θ, which a training loop changes in place."""

    def heavy_ball(theta: Any, grad: Any, state: State, *, lr: float) -> Any:
        return theta - lr * (grad + state.m) + (state.t > 0) * (theta - state.v), State(state.t + 1, grad, theta)

    theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    opt, thetas = RuleOptimizer([theta], heavy_ball, lr=0.1), [theta.detach().clone()]
    theta.grad = torch.zeros(2)
    for t in range(3):
        theta.grad += t + 1
        opt.step()
        thetas.append(theta.detach().clone())
        opt.zero_grad(set_to_none=False)
    by_hand = thetas[:1]
    by_hand.append(by_hand[-1] - 0.1 * (1 + 0))
    by_hand.append(by_hand[-1] - 0.1 * (2 + 1) + (by_hand[-1] - by_hand[-2]))
    by_hand.append(by_hand[-1] - 0.1 * (3 + 2) + (by_hand[-1] - by_hand[-2]))
    torch.testing.assert_close(torch.stack(thetas), torch.stack(by_hand), rtol=0, atol=1e-6)


def test_float32_is_taken_for_float64() -> None:
    rule = defined(HEAD + BODY + "    return ((1 - weight_decay) * theta - step).float(), State(t, m, v)\n")
    theta = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    theta.grad = torch.ones(2, dtype=torch.float64)
    RuleOptimizer([theta], rule, lr=0.1, weight_decay=0.2).step()
    assert theta.dtype == torch.float64
    check("adamw", rule)


# --- what follows the schedule -----------------------------------------------------------------------

LR, LAMBDA = 0.1, 0.3
ONCE = {"cycle_momentum": False}  # a rule has no "betas"
WARM_UP = {"start_factor": 0.01, "total_iters": 4}
# How a schedule is made; the peak, where RuleOptimizer must be told of it; the peak, where it can be known.
SCHEDULES: dict[str, tuple[Any, float | None, float]] = {
    "LambdaLR": (lambda o: S.LambdaLR(o, lambda t: 1 / (1 + t)), None, LR),
    "LambdaLR from 0": (lambda o: S.LambdaLR(o, lambda t: min(1, t / 4)), None, LR),
    "LambdaLR upward": (lambda o: S.LambdaLR(o, lambda t: 1 + t), 2.0, 0),
    "MultiplicativeLR": (lambda o: S.MultiplicativeLR(o, lambda t: 0.9), None, LR),
    "StepLR": (lambda o: S.StepLR(o, 3), None, LR),
    "MultiStepLR": (lambda o: S.MultiStepLR(o, [2, 5]), None, LR),
    "ConstantLR": (lambda o: S.ConstantLR(o, total_iters=3), None, LR),
    "LinearLR": (lambda o: S.LinearLR(o, **WARM_UP), None, LR),
    "LinearLR to 0": (lambda o: S.LinearLR(o, 1, 0, 7), None, LR),
    "ExponentialLR": (lambda o: S.ExponentialLR(o, 0.8), None, LR),
    "PolynomialLR": (lambda o: S.PolynomialLR(o, 8), None, LR),
    "CosineAnnealingLR": (lambda o: S.CosineAnnealingLR(o, 4), None, LR),
    "CosineAnnealingWarmRestarts": (lambda o: S.CosineAnnealingWarmRestarts(o, 3), None, LR),
    "SequentialLR": (lambda o: S.SequentialLR(o, [S.LinearLR(o, **WARM_UP), S.CosineAnnealingLR(o, 5)], [4]), None, LR),
    "ChainedScheduler": (lambda o: S.ChainedScheduler([S.LinearLR(o, **WARM_UP), S.ExponentialLR(o, 0.9)]), None, LR),
    "ReduceLROnPlateau": (lambda o: S.ReduceLROnPlateau(o, patience=1), None, LR),
    "OneCycleLR": (lambda o: S.OneCycleLR(o, 0.4, total_steps=12, **ONCE), None, 0.4),
    "OneCycleLR below": (lambda o: S.OneCycleLR(o, 0.01, total_steps=12, **ONCE), None, 0.01),
    "OneCycleLR, a peak beside it": (lambda o: S.OneCycleLR(o, 0.4, total_steps=12, **ONCE), 0.8, 0.4),
    "CyclicLR": (lambda o: S.CyclicLR(o, 0.01, 0.4, 3, **ONCE), 0.4, 0),
    "CyclicLR below": (lambda o: S.CyclicLR(o, 0.001, 0.01, 3, **ONCE), 0.01, 0),
    "CyclicLR from lr": (lambda o: S.CyclicLR(o, LR, 0.4, 3, **ONCE), 0.4, 0),
    "SWALR": (lambda o: SWALR(o, 0.02, 5), None, LR),
}


def trained(opt: torch.optim.Optimizer, schedule: Any, first: int = 0, last: int = 10) -> tuple[Any, list[float]]:
    """θ after steps on the same gradients, and the lr of each step."""
    theta, lrs = opt.param_groups[0]["params"][0], []
    for t in range(first, last):
        lrs.append(float(opt.param_groups[0]["lr"]))
        theta.grad = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) / (1 + t)
        opt.step()
        schedule.step(*[1.0] * isinstance(schedule, S.ReduceLROnPlateau))
    return theta.detach(), lrs


def start() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.tensor([3.0, -4.0, 0.5], dtype=torch.float64))]


def optimizer(lr: Any = LR, **more: Any) -> RuleOptimizer:
    return RuleOptimizer(start(), defined(PLAIN), lr=lr, **{"weight_decay": LAMBDA, **more})


def by_hand(lrs: list[float], peak: float) -> torch.Tensor:
    """Loshchilov & Hutter (2019), Algorithm 2: α = peak, η_t = lr / peak multiplies the step and λ."""
    theta = start()[0].detach()
    m = v = torch.zeros_like(theta)
    for t, lr in enumerate(lrs, 1):
        g, eta = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) / t, lr / peak
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        theta = theta - eta * (peak * m_hat / (v_hat.sqrt() + 1e-8) + LAMBDA * theta)
    return theta


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_decay_follows_each_schedule_of_torch_or_is_refused(name: str) -> None:
    schedule, said, known = SCHEDULES[name]
    for more, peak in (({}, known), ({"peak_lr": said}, said or known)):
        for lr in (LR, torch.tensor(LR, dtype=torch.float64)):
            opt = optimizer(lr, **more)
            if not peak:
                with pytest.raises(RuleError, match=r"lr is .* and began at .*: weight_decay follows .* peak_lr="):
                    trained(opt, schedule(opt))
                continue
            theta, lrs = trained(opt, schedule(opt))
            theirs = torch.optim.AdamW(start(), LR, weight_decay=LAMBDA / peak)
            expected, torch_lrs = trained(theirs, schedule(theirs))
            assert lrs == pytest.approx(torch_lrs, rel=1e-12, abs=1e-15)
            for oracle in (expected, by_hand(lrs, peak)):
                torch.testing.assert_close(theta, oracle, rtol=0, atol=1e-13)  # ten steps of float64, θ ≈ 4


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_checkpoint_in_mid_schedule_goes_on(name: str) -> None:
    make, said, _ = SCHEDULES[name]
    whole, begun, resumed = optimizer(peak_lr=said), optimizer(peak_lr=said), optimizer(0.03)
    expected, _ = trained(whole, make(whole))
    schedules = make(begun), make(resumed)
    theta, _ = trained(begun, schedules[0], 0, 4)
    resumed.param_groups[0]["params"][0].data.copy_(theta)
    resumed.load_state_dict(begun.state_dict())
    schedules[1].load_state_dict(schedules[0].state_dict())
    assert torch.equal(trained(resumed, schedules[1], 4)[0], expected)


def test_each_schedule_of_torch_has_its_row() -> None:
    assert set(S.__all__) - {"LRScheduler"} <= SCHEDULES.keys()


def test_a_schedule_that_turns_momentum_wants_a_rule_that_has_it() -> None:
    for schedule in (lambda o: S.OneCycleLR(o, LR, total_steps=9), lambda o: S.CyclicLR(o, 0.01, LR)):
        with pytest.raises(ValueError, match="must support momentum"):
            schedule(optimizer())


def kept(opt: RuleOptimizer, group: int = 0) -> float:
    """The share of θ that one step leaves whose gradients are 0."""
    theta = opt.param_groups[group]["params"][0]
    theta.grad = torch.zeros_like(theta)
    before = theta[0].item()
    opt.step()
    return float(theta[0].item() / before)


def with_lr(opt: RuleOptimizer, lr: float) -> RuleOptimizer:
    """After a scheduler or a hand has changed the lr: a tensor in place, as torch's schedulers do."""
    group = opt.param_groups[0]
    group["lr"] = group["lr"].fill_(lr) if isinstance(group["lr"], torch.Tensor) else lr
    return opt


def loaded(into: RuleOptimizer, saved: RuleOptimizer) -> RuleOptimizer:
    into.load_state_dict(saved.state_dict())
    return into


def with_group(opt: RuleOptimizer, **group: Any) -> RuleOptimizer:
    opt.add_param_group({"params": start(), **group})
    opt.param_groups.reverse()
    return opt


@pytest.mark.parametrize(
    ("make", "s_t"),
    [
        (lambda: with_lr(optimizer(), 0.05), 0.5),  # warm-up by hand, from the peak
        (lambda: with_lr(optimizer(0.0, peak_lr=0.2), 0.05), 0.25),  # and from 0
        (lambda: with_lr(loaded(optimizer(0.4), optimizer()), 0.05), 0.5),
        (lambda: loaded(optimizer(0.4), with_lr(optimizer(), 0.05)), 0.5),  # saved in mid-schedule
        (lambda: loaded(optimizer(0.4), with_lr(optimizer(peak_lr=0.2), 0.05)), 0.25),
        (lambda: copy.deepcopy(with_lr(optimizer(peak_lr=0.2), 0.05)), 0.25),
        (lambda: with_group(with_lr(optimizer(), 0.05)), 1),  # a group added later, with the lr of the beginning
        (lambda: with_group(with_lr(optimizer(torch.tensor(0.1)), 0.05)), 0.5),  # and with a tensor that both share
        (lambda: with_lr(with_group(optimizer(), lr=0.4), 0.1), 0.25),
        (lambda: with_lr(with_group(optimizer(peak_lr=0.2), lr=0.4, peak_lr=0.8), 0.2), 0.25),
    ],
)
def test_what_the_decay_follows_without_a_schedule(make: Any, s_t: float) -> None:
    assert kept(make()) == pytest.approx(1 - s_t * LAMBDA)


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: kept(optimizer(0.0)), r"lr is 0 and began at 0: .* peak_lr=\.\.\."),
        (lambda: kept(with_lr(optimizer(0.0, peak_lr=0.2), 0.3)), "lr is 0.3 and began at 0:"),
        (lambda: kept(with_lr(loaded(optimizer(20.0), optimizer()), 10.0)), "lr is 10 and began at 0.1:"),
        (lambda: S.StepLR(opt := with_lr(optimizer(), 0.05), 3) and kept(opt), "0.1, and a scheduler at 0.05:"),
        (lambda: with_group(optimizer(peak_lr=0.2), lr=0.4), "a group with its own lr, 0.4, needs its own peak_lr"),
        (lambda: optimizer(-0.1), "lr is -0.1, and should be one number from 0 up"),
        (lambda: kept(with_lr(optimizer(), float("nan"))), "lr is nan, and should be one number from 0 up"),
        (lambda: optimizer(weight_decay=-0.1), "weight_decay is -0.1, and should be"),
        (lambda: optimizer(eps=-1e-8), "eps is -1e-08, and should be"),
        (lambda: with_group(optimizer(), beta2=1.5), "beta2 is 1.5, and should be one number from 0 to 1"),
        (lambda: optimizer(torch.ones(2)), r"lr is tensor\(\[1., 1.\]\), and should be one number"),
        (lambda: optimizer(fused=True), "adamw takes lr, weight_decay, beta1, beta2, eps; it has no fused"),
        (lambda: with_group(optimizer(), weigth_decay=0), "it has no weigth_decay"),
        (lambda: with_group(optimizer(), maximize=True), "it has no maximize"),
        (
            lambda: optimizer().load_state_dict(torch.optim.AdamW(start()).state_dict()),
            "this state is of another rule: adamw takes .* it has no amsgrad, betas, maximize",
        ),
    ],
)
def test_what_a_rule_optimizer_refuses(use: Any, words: str) -> None:
    with pytest.raises(RuleError, match=words):
        use()


def test_a_decay_of_zero_follows_nothing() -> None:
    assert kept(with_lr(optimizer(weight_decay=0.0), 100.0)) == 1


def test_groups_and_parameters_as_torch_has_them() -> None:
    opt = with_group(optimizer(), name="head", lr_mult=2, foreach=True, weight_decay_scale=0)
    assert opt.param_groups[0]["name"] == "head"
    both = torch.nn.Parameter(torch.tensor([1 + 2j])), torch.nn.Parameter(torch.tensor([[1.0, 2.0]]))
    both[0].grad, both[1].grad = torch.tensor([3 - 1j]), torch.tensor([[3.0, -1.0]])
    for theta in both:
        RuleOptimizer([theta], opt.rule, lr=0.1, weight_decay=0.5).step()
    assert torch.equal(torch.view_as_real(both[0].detach()), both[1].detach())


# --- in a training loop of torch ---------------------------------------------------------------------


def train(model: Any, opt: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None = None) -> Any:
    generator = torch.Generator().manual_seed(1)
    for t in range(10):
        x = torch.randn(8, 3, generator=generator).to(model[0].weight.dtype)
        loss = model(x).square().mean() * (math.inf if scaler and t == 4 else 1)
        opt.zero_grad()
        if scaler:
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
        else:
            loss.backward()
            opt.step()


def in_bfloat16(model: Any, make: Any) -> None:
    train(model, make(model.bfloat16().parameters()))


def scaled(model: Any, make: Any) -> None:
    train(model, make(model.parameters()), torch.amp.GradScaler("cpu"))


def pickled(model: Any, make: Any) -> None:
    opt = make(model.parameters())
    train(model, opt)
    twin, twin_opt = pickle.loads(pickle.dumps((model, opt)))
    train(twin, twin_opt)
    model.load_state_dict(twin.state_dict())


def frozen_and_empty(model: Any, make: Any) -> None:
    empty = torch.nn.Parameter(torch.zeros(0))
    empty.grad = torch.zeros(0)
    model[0].bias.requires_grad_(False)
    train(model, make([*model.parameters(), empty]))


def hooked(model: Any, make: Any) -> None:
    opt = make(model.parameters())
    opt.register_step_post_hook(lambda *_: model[2].bias.data.zero_())
    train(model, opt)


@pytest.mark.parametrize("use", [in_bfloat16, scaled, pickled, frozen_and_empty, hooked])
def test_it_is_used_as_adamw_of_torch(use: Any) -> None:
    models = []
    for make in (
        lambda params: RuleOptimizer(params, adamw, lr=0.01, weight_decay=0.001),
        lambda params: torch.optim.AdamW(params, 0.01, weight_decay=0.1),
    ):
        torch.manual_seed(0)
        models.append(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)))
        use(models[-1], make)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        # θ ≈ 1, ten or twenty steps: rounding in float32, and in bfloat16 of 8 bits
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 if ours.dtype == torch.float32 else 1 / 128)
