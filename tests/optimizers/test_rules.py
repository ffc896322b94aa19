"""The update rules and ``RuleOptimizer``: against torch.optim, published numbers and one another."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from adamw_pset import RuleError, RuleOptimizer, State
from adamw_pset.optimizers import adam, adam_l2, adamw, adamw_torch, rmsprop, sgd, sgdw
from adamw_pset.rule import Rule

F64 = torch.float64
Hyper = dict[str, Any]


def f64(*rows: Any) -> Tensor:
    return torch.tensor(rows, dtype=F64)


# --- every rule against torch.optim, with and without a schedule -----------------------------------


class SGDW(SGD):
    """torch.optim.SGD with its ``weight_decay`` decoupled: θ shrinks by lr·λ_torch, then takes its step."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        (group,) = self.param_groups
        decay = group["weight_decay"]
        with torch.no_grad():
            for theta in group["params"]:
                theta.mul_(1 - group["lr"] * decay)
        group["weight_decay"] = 0
        super().step()
        group["weight_decay"] = decay


class RMSpropHat(RMSprop):
    """torch.optim.RMSprop has no bias correction c = 1 − β2^t: its η and ε times √c bring it in."""

    t = 0

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.t += 1
        (group,) = self.param_groups
        lr, eps, root = group["lr"], group["eps"], math.sqrt(1 - group["alpha"] ** self.t)
        group.update(lr=lr * root, eps=eps * root)
        super().step()
        group.update(lr=lr, eps=eps)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).to(F64)


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, scheduler: LRScheduler | None = None
) -> Tensor:
    """Steps on random batches, with gradients of about 1e-2; the weights at the end."""
    random = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x, y = (torch.randn(8, n, generator=random, dtype=F64) for n in (4, 2))
        optimizer.zero_grad()
        (0.03 * (model(x) - y).square().mean()).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return nn.utils.parameters_to_vector(model.parameters()).detach()


# ε near the gradients' size, and fewer than 1/(1 − β2) steps: neither ε nor bias correction can hide.
ADAM: Hyper = {"lr": 0.01, "beta1": 0.8, "beta2": 0.998, "eps": 1e-3}
TORCH: Hyper = {"lr": 0.01, "betas": (0.8, 0.998), "eps": 1e-3}
RMS: Hyper = {"lr": 0.01, "eps": 1e-3}
HEAVY = {"lr": 0.05, "momentum": 0.9}  # is lr = 0.5, beta1 = 0.1: μ = 1 − β1 and η_torch = η·β1
# λ_ℓ2 = λ_torch, and λ_w = η_torch·λ_torch
TORCH_CASES = [
    (sgd, {"lr": 0.5}, SGD, {"lr": 0.5}),
    (sgd, {"lr": 0.5, "l2": 0.02}, SGD, {"lr": 0.5, "weight_decay": 0.02}),
    (sgd, {"lr": 0.5, "beta1": 0.1}, SGD, HEAVY),
    (sgd, {"lr": 0.5, "beta1": 0.1, "l2": 0.02}, SGD, {"weight_decay": 0.02, **HEAVY}),
    (sgdw, {"lr": 0.5, "weight_decay": 0.01}, SGDW, {"lr": 0.5, "weight_decay": 0.02}),
    (sgdw, {"lr": 0.5, "beta1": 0.1, "weight_decay": 0.01}, SGDW, {"weight_decay": 0.2, **HEAVY}),
    (rmsprop, {"beta2": 0.998, **RMS}, RMSpropHat, {"alpha": 0.998, **RMS}),
    (adam, ADAM, Adam, TORCH),
    (adam_l2, {"l2": 0.02, **ADAM}, Adam, {"weight_decay": 0.02, **TORCH}),
    (adamw, {"weight_decay": 0.002, **ADAM}, AdamW, {"weight_decay": 0.2, **TORCH}),
    (adamw_torch, {"torch_decay": 0.2, **ADAM}, AdamW, {"weight_decay": 0.2, **TORCH}),
]
SCHEDULES: dict[str, tuple[int, Callable[[torch.optim.Optimizer], LRScheduler | None]]] = {
    "constant": (300, lambda optimizer: None),
    "warm-up": (60, lambda optimizer: LambdaLR(optimizer, lambda t: min(1, (t + 1) / 20) / (1 + t / 50))),
    "cosine": (60, lambda optimizer: CosineAnnealingLR(optimizer, T_max=60)),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("rule", "hyper", "torch_class", "torch_hyper"), TORCH_CASES)
def test_torch(rule: Rule, hyper: Hyper, torch_class: Any, torch_hyper: Hyper, schedule: str) -> None:
    steps, scheduler = SCHEDULES[schedule]
    ours, theirs = network(), network()
    optimizer = RuleOptimizer(ours.parameters(), rule, **hyper)
    oracle = torch_class(theirs.parameters(), **torch_hyper)
    got = train(ours, optimizer, steps, scheduler(optimizer))
    expected = train(theirs, oracle, steps, scheduler(oracle))
    # Weights below 1, whose roundings of 1e-16 a step shrink again with the loss; seen: 5e-16.
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-14)


# --- numbers that others published -----------------------------------------------------------------


class Golden(NamedTuple):
    source: str  # repository, file, test
    rule: Rule
    hyper: Hyper  # in the conventions of this package; a callable is a function of t
    gradient: str
    theta: list[float]
    steps: int
    expected: list[float]  # θ after the last step
    atol: float  # half of the last printed digit, or what float32 leaves
    start: tuple[int, float, float] = (0, 0.0, 0.0)  # t, m, v


def burn_gradient(theta: Tensor, t: int) -> Tensor:
    """The loss is the sum of a linear layer's outputs, so a weight's gradient is the sum of its inputs.

    The printed numbers are for weights (out, in), as PyTorch lays them out.  The library's (in, out)
    puts them off by 2e-3, which its own tolerance of 1e-2 lets pass.
    """
    x1 = f64([0.6294, 0.0940, 0.8176, 0.8824, 0.5228, 0.4310], [0.7152, 0.9559, 0.7893, 0.5684, 0.5939, 0.8883])
    x2 = f64([0.8491, 0.2108, 0.8939, 0.4433, 0.5527, 0.2528], [0.3270, 0.0412, 0.5538, 0.9605, 0.3195, 0.9085])
    return (x1, x2)[t - 1].sum(0)


X = f64([2, 1, 1], [7, 4, 1], [-4, 12, 1], [5, 8, 1])  # candle's inputs, and 1 for the bias
GRADIENTS: dict[str, Callable[[Tensor, int], Tensor]] = {  # of θ_{t-1} and t; a loss where there is one
    "mean(rate·θ)": lambda theta, t: f64(0.1, 1, 2, 10, 100) / 5,
    "mean((rate·θ)²)": lambda theta, t: 2 * theta * f64(1e-6, 1e-5, 1e-4, 1e-3, 1e-2) ** 2 / 5,
    "mean(exp(θ)²)": lambda theta, t: 2 * (2 * theta).exp() / 5,
    "Σ(Xθ − y)²": lambda theta, t: 2 * X.T @ (X @ (theta - f64(3, 1, -2))),
    "Σ xW": burn_gradient,
    "0.01, then 0.1 to 1": lambda theta, t: f64(*range(1, 11)) / 10 if t > 1 else theta * 0 + 0.01,
    "1, 6, 7, 2": lambda theta, t: f64(1, 6, 7, 2),
    "4": lambda theta, t: f64(4),
}
ONES, MIXED = [1.0] * 5, [-0.5, -0.25, 0.1, 0.6, 1.0]
BETAS_DFDX = {"beta1": 0.5, "beta2": 0.25}
DFDX, CANDLE = "coreylowman/dfdx src/optim/", "huggingface/candle candle-nn/tests/optim.rs "
KERAS, BURN = "keras-team/keras keras/src/optimizers/", "tracel-ai/burn crates/burn-optim/src/optim/"
# All multiply decoupled decay by the learning rate, λ_w = η·λ.  dfdx's momentum is PyTorch's.  Keras adds
# ε to √v before bias correction, which is our ε/√(1 − β2^t); its RMSprop has none, which is our
# η/√(1 − β2^t) too.  They compute in float32, which leaves up to 1e-6 at θ of about 1.
# fmt: off
GOLDENS = [
    Golden(DFDX + "sgd/mod.rs test_sgd_classic_momentum", sgd, {"lr": 0.02, "beta1": 0.5},
           "mean(rate·θ)", ONES, 5, [0.9983876, 0.983875, 0.96775, 0.83875, -0.61249995], 1e-6),
    Golden(DFDX + "sgd/mod.rs test_sgd_l2_weight_decay_classic_momentum", sgd,
           {"lr": 0.02, "l2": 0.1, "beta1": 0.5},
           "mean(rate·θ)", ONES, 5, [0.99034745, 0.9758687, 0.9597812, 0.83108085, -0.6167973], 1e-6),
    Golden(DFDX + "sgd/mod.rs test_sgd_weight_decay_no_momentum", sgdw, {"lr": 0.01, "weight_decay": 1e-3},
           "mean(rate·θ)", ONES, 5, [0.994012, 0.98502994, 0.97505, 0.8952098, -0.00299193], 1e-6),
    Golden(DFDX + "sgd/mod.rs test_sgd_decoupled_weight_decay_classic_momentum", sgdw,
           {"lr": 0.02, "weight_decay": 1e-3, "beta1": 0.5},
           "mean(rate·θ)", ONES, 5, [0.9934003, 0.978913, 0.962815, 0.834037, -0.614717], 1e-6),
    Golden(CANDLE + "sgd_linear_regression", sgd, {"lr": 0.004},
           "Σ(Xθ − y)²", [0.0] * 3, 1000, [2.9983196, 0.99790204, -1.9796902], 1e-6),
    Golden(KERAS + "rmsprop_test.py test_single_step", rmsprop,
           {"lr": 0.5 / math.sqrt(0.1), "beta2": 0.9, "eps": 1e-7 / math.sqrt(0.1)},
           "1, 6, 7, 2", [1.0, 2.0, 3.0, 4.0], 1, [-0.5811, 0.4189, 1.4189, 2.4189], 5e-5),
    Golden(DFDX + "adam/mod.rs test_default_adam_params", adam, {"lr": 1e-3},
           "mean((rate·θ)²)", ONES, 10, [0.9999994, 0.99996006, 0.99714446, 0.99024755, 0.99000573], 1e-6),
    Golden("google/flax tests/optim_test.py AdamTest.test_apply_gradient", adam,
           {"lr": 0.1, "beta1": 0.2, "beta2": 0.9, "eps": 0.01},
           "4", [1.0], 1, [0.906085], 5e-7, (1, 0.1, 0.9)),
    Golden(DFDX + "adam/mod.rs test_adam_l2_decay", adam_l2, {"lr": 1e-3, "l2": 1.0, **BETAS_DFDX},
           "mean(exp(θ)²)", MIXED, 10, [-0.48998323, -0.24548599, 0.08998477, 0.58999157, 0.9899922], 1e-6),
    Golden(DFDX + "adam/mod.rs test_adam_decoupled_decay", adamw,
           {"lr": 1e-3, "weight_decay": 1e-3, **BETAS_DFDX},
           "mean(exp(θ)²)", MIXED, 10, [-0.50498205, -0.25747302, 0.08903958, 0.58405757, 0.9800719], 1e-6),
    Golden(BURN + "adamw.rs test_adamw_optimizer_with_numbers", adamw, {"lr": 0.01, "weight_decay": 0.005},
           "Σ xW", [-0.3206, 0.1374, 0.4043, 0.3200, 0.0859, 0.0671], 2,
           [-0.337295, 0.117827, 0.380358, 0.296868, 0.065232, 0.046534], 1e-6),
    Golden(CANDLE + "adamw_linear_regression", adamw_torch, {"lr": 0.1, "torch_decay": 0.01},
           "Σ(Xθ − y)²", [0.0] * 3, 100, [2.7257, 0.7097, 0.7873], 5e-5),
    Golden(KERAS + "adamw_test.py test_correctness_with_golden", adamw,
           {"lr": 1.0, "weight_decay": 0.5, "eps": lambda t: 2 / math.sqrt(1 - 0.999**t)},
           "0.01, then 0.1 to 1", [1.0] * 10, 5,
           [0.0263, 0.0215, 0.0167, 0.012, 0.0073, 0.0026, -0.0021, -0.0067, -0.0113, -0.0159], 5e-5),
]
# fmt: on


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.source)
def test_published_numbers(golden: Golden) -> None:
    theta = f64(*golden.theta)
    t, m, v = golden.start
    state = State(t, torch.full_like(theta, m), torch.full_like(theta, v))
    for _ in range(golden.steps):
        t += 1
        hyper = {name: value(t) if callable(value) else value for name, value in golden.hyper.items()}
        theta, state = golden.rule(theta, GRADIENTS[golden.gradient](theta, t), state, **hyper)
    torch.testing.assert_close(theta, f64(*golden.expected), rtol=0, atol=golden.atol)


# --- what holds of the rules among themselves ------------------------------------------------------

RULES: list[tuple[Rule, Hyper]] = [
    (sgd, {"lr": 0.1, "l2": 0.2}),
    (sgdw, {"lr": 0.1, "weight_decay": 0.02}),
    (rmsprop, {"lr": 0.1}),
    (adam, {"lr": 0.1}),
    (adam_l2, {"lr": 0.1, "l2": 0.2}),
    (adamw, {"lr": 0.1, "weight_decay": 0.02}),
    (adamw_torch, {"lr": 0.1, "torch_decay": 0.2}),
]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize(("rule", "hyper"), RULES)
def test_rules_change_nothing_in_place(rule: Rule, hyper: Hyper) -> None:
    before = draw(4, 3)
    before[3] = before[3].abs()
    theta, grad, m, v = after = before.clone()
    new_theta, new_state = rule(theta, grad, State(3, m, v), **hyper)
    assert torch.equal(after, before)
    assert not torch.equal(new_theta, theta)
    assert new_state.t == 4
    assert (new_state.m is m) == (rule is rmsprop)  # a moment without a use is handed on as it is
    assert (new_state.v is v) == (rule in (sgd, sgdw))


@pytest.mark.parametrize(("rule", "hyper"), RULES)
def test_a_stack_of_runs_is_the_runs_one_by_one(rule: Rule, hyper: Hyper) -> None:
    factors = [0.1, 0.5, 1.0, 3.0]
    columns = {name: value * f64(*factors)[:, None] for name, value in hyper.items()}
    stack, singles = draw(4, 5), list(draw(4, 5))
    state, states = State.zeros(stack), [State.zeros(single) for single in singles]
    for t in range(20):
        grads = draw(4, 5, seed=t)
        stack, state = rule(stack, grads, state, **columns)
        for r in range(4):
            own = {name: column[r].item() for name, column in columns.items()}
            singles[r], states[r] = rule(singles[r], grads[r], states[r], **own)
    # Bitwise: the same operations on the same float64 numbers, none of them a sum over elements.
    assert torch.equal(stack, torch.stack(singles))


@pytest.mark.parametrize(
    ("rule", "hyper", "other", "other_hyper", "l2"),
    [
        (adamw, {"lr": 0.1, "weight_decay": 0.0}, adam, {"lr": 0.1}, 0),
        (adam_l2, {"lr": 0.1, "l2": 0.0}, adam, {"lr": 0.1}, 0),
        (adam_l2, {"lr": 0.1, "l2": 0.2}, adam, {"lr": 0.1}, 0.2),
        (sgdw, {"lr": 0.1, "weight_decay": 0.0, "beta1": 0.3}, sgd, {"lr": 0.1, "beta1": 0.3}, 0),
        (sgd, {"lr": 0.1, "l2": 0.2, "beta1": 0.3}, sgd, {"lr": 0.1, "beta1": 0.3}, 0.2),
        (adam, {"lr": 0.1, "beta1": 0.0}, rmsprop, {"lr": 0.1}, 0),
    ],
)
def test_special_cases(rule: Rule, hyper: Hyper, other: Rule, other_hyper: Hyper, l2: float) -> None:
    """``rule`` on the plain gradient is ``other`` on the gradient with λ_ℓ2·θ added, bit for bit."""
    a = b = draw(5)
    state_a = state_b = State.zeros(a)
    for t in range(10):
        a, state_a = rule(a, draw(5, seed=t), state_a, **hyper)
        b, state_b = other(b, draw(5, seed=t) + l2 * b, state_b, **other_hyper)
    assert torch.equal(a, b)


# --- RuleOptimizer as a torch.optim.Optimizer ------------------------------------------------------

WARM_UP = SCHEDULES["warm-up"][1]


def make(model: nn.Module, rule: Rule = adamw, **hyper: Any) -> RuleOptimizer:
    return RuleOptimizer(model.parameters(), rule, **({"weight_decay": 0.002, **ADAM} | hyper))


def test_parameter_groups_keep_their_own_hyperparameters() -> None:
    models = network(), network()
    groups: list[list[Hyper]] = [
        [{"params": m[0].parameters()}, {"params": m[2].parameters(), "lr": 0.03}] for m in models
    ]
    groups[0][1] |= {"weight_decay": 0.03 * 0.5, "beta1": 0.5, "eps": 1e-2}
    groups[1][1] |= {"weight_decay": 0.5, "betas": (0.5, 0.998), "eps": 1e-2}
    ours = RuleOptimizer(groups[0], adamw, weight_decay=0.002, **ADAM)
    theirs = AdamW(groups[1], weight_decay=0.2, **TORCH)
    got, expected = (
        train(model, optimizer, 50, WARM_UP(optimizer)) for model, optimizer in zip(models, (ours, theirs), strict=True)
    )
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-14)  # as in test_torch


def test_a_saved_state_continues_exactly() -> None:
    model = network()
    optimizer = make(model)
    train(model, optimizer, 20, WARM_UP(optimizer))  # leaves the learning rate away from where it began
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    fresh = network()
    fresh_optimizer = make(fresh, lr=0.5, weight_decay=0.1)
    saved_weights, saved_state = torch.load(file, weights_only=True)
    fresh.load_state_dict(saved_weights)
    fresh_optimizer.load_state_dict(saved_state)
    assert torch.equal(train(model, optimizer, 20), train(fresh, fresh_optimizer, 20))


def test_a_deep_copy_continues_exactly() -> None:
    model = network()
    optimizer = make(model)
    train(model, optimizer, 20, WARM_UP(optimizer))
    twin, twin_optimizer = copy.deepcopy((model, optimizer))
    assert torch.equal(train(model, optimizer, 20), train(twin, twin_optimizer, 20))


def test_a_tensor_as_learning_rate_is_scheduled_like_a_float() -> None:
    models = network(), network()
    optimizers = make(models[0], lr=0.01), make(models[1], lr=f64(0.01)[0])
    a, b = (train(m, o, 50, WARM_UP(o)) for m, o in zip(models, optimizers, strict=True))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-14)  # as in test_torch


def test_closure_and_parameters_without_a_gradient() -> None:
    used, unused = nn.Parameter(draw(3)), nn.Parameter(draw(3))
    before = used.detach().clone(), unused.detach().clone()
    optimizer = RuleOptimizer([used, unused], sgdw, lr=0.1, weight_decay=0.5)

    def closure() -> float:
        optimizer.zero_grad()
        loss = used.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == before[0].square().sum().item()
    torch.testing.assert_close(used.detach(), 0.5 * before[0] - 0.1 * 2 * before[0], rtol=0, atol=1e-15)
    assert torch.equal(unused, before[1])
    assert unused not in optimizer.state
    assert optimizer.step() is None


def step(rule: Any, **hyper: Any) -> None:
    theta = nn.Parameter(torch.ones(2))
    theta.grad = hyper.pop("grad", torch.ones(2))
    try:
        RuleOptimizer([theta], rule, **hyper).step()
    finally:
        assert torch.equal(theta, torch.ones(2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: step(sgd), "sgd takes lr, l2, beta1; lr is missing"),
        (lambda: step(adamw, lr=0.1), "weight_decay is missing"),
        (lambda: step(sgd, lr=0.1, weight_decay=0.1), "sgd takes lr, l2, beta1; it has no weight_decay"),
        (
            lambda: RuleOptimizer([{"params": [torch.ones(2)], "decay": 0.1}], sgd, lr=0.1),
            "a parameter group of sgd takes lr, l2, beta1; it has no decay",
        ),
        (lambda: step(lambda theta, lr: theta, lr=0.1), "should be written as rule(theta, grad, state, *, lr"),
        (lambda: step(lambda theta, grad, state: None), "should return (theta, state); it returned None"),
        (lambda: step(lambda theta, grad, state: theta), "should return (theta, state); it returned a Tensor"),
        (lambda: step(lambda theta, grad, state: (theta, *state)), "it returned a tuple of 4"),
        (lambda: step(lambda theta, grad, state: (1.0, state)), "theta as a torch.Tensor; it returned a float"),
        (lambda: step(lambda theta, grad, state: (theta.sum(), state)), "shape it got, (2,); it returned ()"),
        (lambda: step(lambda theta, grad, state: (theta.double(), state)), "float32; it returned torch.float64"),
        (lambda: step(lambda theta, grad, state: (theta, state[1:])), "numbers or tensors; it returned a tuple of 2"),
        (lambda: step(sgd, lr=0.1, grad=torch.ones(2).to_sparse()), "dense gradients; this one is sparse"),
    ],
)
def test_errors(call: Callable[[], object], words: str) -> None:
    with pytest.raises(RuleError) as caught:
        call()
    assert words in str(caught.value)


def test_state_of_another_rule_is_refused() -> None:
    (one,), (other,) = ([torch.nn.Parameter(torch.zeros(2))] for _ in range(2))
    saved = RuleOptimizer([one], adamw, lr=0.1, weight_decay=0.1).state_dict()
    with pytest.raises(RuleError, match=r"this state is of another rule: adam_l2 takes lr, l2, .* no weight_decay"):
        RuleOptimizer([other], adam_l2, lr=0.1, l2=0.1).load_state_dict(saved)
