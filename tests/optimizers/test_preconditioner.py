"""Question 1: G_t, M_t and the scaled penalty against oracles, and Propositions 1 to 3 as trajectories."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor

from adamw_pset import State
from adamw_pset.checks.run_answer import observe
from adamw_pset.optimizers import adam, rmsprop, sgd, sgdw
from adamw_pset.optimizers.preconditioner import (
    Array,
    counterexample,
    decayed_sum,
    preconditioner,
    scaled_penalty_gradient,
    weight_decay_factor,
)
from adamw_pset.rule import Rule

# Oracle and answer round some tens of products each in another order: 100 ulp, and room.
ROUNDING: dict[str, Any] = {"rtol": 1e-13, "atol": 1e-14}


def gradients(t: int, n: int, seed: int = 0) -> Array:
    """Gradients g_1 … g_t of very different size in each coordinate, so that no M is close to kI."""
    return np.random.default_rng(seed).normal(size=(t, n)) * 10.0 ** np.arange(-2, n - 2)


def spd(n: int, seed: int = 0) -> Array:
    """A symmetric positive definite matrix that is not diagonal."""
    factor = np.random.default_rng(seed).normal(size=(n, n))
    return factor @ factor.T + np.eye(n)


@pytest.mark.parametrize(
    ("l2", "lr", "expected"), [(0.1, 0.5, 0.05), (0.0, 1.0, 0.0), (2.0, 0.01, 0.02), (1e-4, 10.0, 1e-3)]
)
def test_weight_decay_factor(l2: float, lr: float, expected: float) -> None:
    assert weight_decay_factor(l2, lr) == pytest.approx(expected, rel=1e-15)  # one product, one rounding


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.999, 1.0])
@pytest.mark.parametrize(("t", "n"), [(1, 1), (1, 3), (7, 3), (40, 2)])
def test_decayed_sum_is_the_recursion(t: int, n: int, alpha: float) -> None:
    grads, G = gradients(t, n), np.zeros((n, n))
    for g in grads:
        G = alpha * G + np.outer(g, g)
    np.testing.assert_allclose(decayed_sum(grads, alpha), G, **ROUNDING)


@pytest.mark.parametrize("beta2", [0.0, 0.5, 0.9, 0.999])
@pytest.mark.parametrize(("t", "n"), [(1, 2), (5, 3), (30, 4)])
def test_preconditioner_takes_rmsprops_steps(t: int, n: int, beta2: float) -> None:
    grads, lr = gradients(t, n), 0.1
    theta = torch.zeros(n, dtype=torch.float64)
    state = State.zeros(theta)
    for tau, g in enumerate(grads, start=1):
        M = preconditioner(grads[:tau], beta2)
        assert np.array_equal(M, np.diag(np.diag(M)))
        assert (np.diag(M) > 0).all()
        theta_before = theta
        theta, state = rmsprop(theta, torch.from_numpy(g), state, lr=lr, beta2=beta2, eps=0.0)
        # 1 − β2^t loses three digits at β2 = 0.999 and t = 1.
        np.testing.assert_allclose(-lr * M @ g, theta - theta_before, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("M", [np.diag([0.1, 3.0, 40.0]), spd(3), spd(5)], ids=["diagonal", "spd3", "spd5"])
def test_scaled_penalty_gradient_is_that_of_eq_6(M: Array) -> None:
    theta, l2 = np.random.default_rng(1).normal(size=len(M)), 0.3
    values, vectors = torch.linalg.eigh(torch.from_numpy(M))
    inverse_root = vectors @ torch.diag(values**-0.5) @ vectors.T
    variable = torch.tensor(theta, requires_grad=True)
    (l2 / 2 * (inverse_root @ variable).square().sum()).backward()
    assert variable.grad is not None
    # Condition numbers up to 400 on some tens of roundings.
    np.testing.assert_allclose(scaled_penalty_gradient(theta, M, l2), variable.grad, rtol=1e-12)


def test_scaled_penalty_gradient_in_symbols() -> None:
    a, b, x, y, l2 = sympy.symbols("a b x y l2", positive=True)
    penalty = (
        l2
        / 2
        * (sympy.diag(a, b) ** sympy.Rational(-1, 2) * sympy.Matrix([x, y])).dot(
            sympy.diag(a, b) ** sympy.Rational(-1, 2) * sympy.Matrix([x, y])
        )
    )
    at = {a: 2, b: sympy.Rational(1, 4), x: 3, y: -5, l2: sympy.Rational(1, 10)}
    expected = [float(sympy.diff(penalty, symbol).subs(at)) for symbol in (x, y)]
    np.testing.assert_allclose(scaled_penalty_gradient([3, -5], np.diag([2, 0.25]), 0.1), expected, **ROUNDING)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quadratic(seed: int, n: int = 5) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The gradient of a random convex quadratic with curvatures up to about 1, and a θ_0."""
    root, centre = draw(n, n, seed=seed) / n, draw(n, seed=seed + 1)
    return lambda theta: root @ (root.T @ (theta - centre)), draw(n, seed=seed + 2)


@pytest.mark.parametrize(("lr", "l2"), [(0.1, 0.5), (0.5, 0.01), (1.0, 0.3)])
@pytest.mark.parametrize("seed", [0, 10])
def test_proposition_1_l2_is_weight_decay_for_sgd(lr: float, l2: float, seed: int) -> None:
    gradient, a = quadratic(seed)
    b, state, weight_decay = a, State.zeros(a), weight_decay_factor(l2, lr)
    for _ in range(100):
        a, _ = sgd(a, gradient(a), state, lr=lr, l2=l2)
        b, _ = sgdw(b, gradient(b), state, lr=lr, weight_decay=weight_decay)
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)  # roundings of 1e-16 that both shrink again


@pytest.mark.parametrize("beta1", [0.9, 0.5, 0.1])
@pytest.mark.parametrize(("lr", "l2"), [(0.1, 0.5), (0.5, 0.01), (1.0, 0.3)])
def test_proposition_1_ends_with_momentum(lr: float, l2: float, beta1: float) -> None:
    """Step 1 agrees for λ_w = η·β1·λ_ℓ2 alone; step 2 then parts by the decay that m remembers."""
    gradient, start = quadratic(20)
    close = partial(torch.testing.assert_close, rtol=0, atol=2e-15)  # a few roundings of numbers below 3
    for factor in (0.5, 1.0, 1 / beta1, 2 / beta1):  # 1/β1 is λ_w = η·λ_ℓ2
        a = b = start
        state_a = state_b = State.zeros(start)
        gaps = []
        for _ in range(2):
            a, state_a = sgd(a, gradient(a), state_a, lr=lr, l2=l2, beta1=beta1)
            b, state_b = sgdw(b, gradient(b), state_b, lr=lr, weight_decay=factor * lr * beta1 * l2, beta1=beta1)
            gaps.append(a - b)
        close(gaps[0], (factor - 1) * lr * beta1 * l2 * start)
        if factor == 1.0:
            close(gaps[1], -(1 - beta1) * lr * beta1 * l2 * start)


@pytest.mark.parametrize(("rule", "fits"), [(sgd, True), (rmsprop, False), (adam, False)])
def test_proposition_2_no_l2_is_weight_decay_for_adaptive_rules(rule: Rule, fits: bool) -> None:
    """One step from two θ after ten steps of history: brute force over λ_ℓ2, the best λ_w for each."""
    thetas, scale = draw(2, 5), torch.logspace(-2, 2, 5, dtype=torch.float64)
    state = State.zeros(thetas)
    for t in range(10):
        _, state = rule(thetas, draw(5, seed=t) * scale, state, lr=0.1)
    grad, gaps = draw(5, seed=10) * scale, []
    for l2 in torch.logspace(-3, 3, 601, dtype=torch.float64):
        removed = rule(thetas, grad, state, lr=0.1)[0] - rule(thetas, grad + l2 * thetas, state, lr=0.1)[0]
        weight_decay = (removed * thetas).sum() / thetas.square().sum()  # least squares over both θ
        gaps.append(((removed - weight_decay * thetas).norm() / removed.norm()).item())
    # SGD: 1e-4 of θ removed from steps of about 10, with roundings of 1e-15.
    assert (max(gaps) < 1e-9) if fits else (min(gaps) > 0.1)


@pytest.mark.parametrize(
    ("penalty", "same"), [("scaled", True), ("plain", False)], ids=["eq. (6)", "eq. (2), the control"]
)
def test_proposition_3_scaled_penalty_restores_weight_decay(penalty: str, same: bool) -> None:
    """RMSProp's M_t, new at every step: eq. (6) removes η·λ_ℓ2 of θ at each of them, eq. (2) does not."""
    rng, lr, l2, beta2 = np.random.default_rng(2), 0.05, 0.2, 0.9
    A, centre, theta = spd(3), rng.normal(size=3), rng.normal(size=3)
    decayed, wd, grads = theta.copy(), weight_decay_factor(l2, lr), np.empty((0, 3))
    for _ in range(30):
        grads = np.vstack([grads, A @ (theta - centre) + rng.normal(size=3)])
        M = preconditioner(grads, beta2)
        extra = scaled_penalty_gradient(theta, M, l2) if penalty == "scaled" else l2 * theta
        decayed = (1 - wd) * decayed - lr * M @ grads[-1]
        theta = theta - lr * M @ (grads[-1] + extra)
    # 30 steps of some ten roundings; the plain penalty is off by more than a tenth of θ.
    gap = np.linalg.norm(theta - decayed) / np.linalg.norm(decayed)
    assert (gap < 1e-13) if same else (gap > 0.1)


def no_decay_fits(M: Array, theta_a: Array, theta_b: Array) -> bool:
    """What the checks say of a counterexample."""
    return observe("counterexample", [], (M, theta_a, theta_b)).event is None


def test_counterexample() -> None:
    M, theta_a, theta_b = counterexample()
    assert no_decay_fits(M, theta_a, theta_b)
    assert (np.diag(M) > 0).all()
    assert np.array_equal(M, np.diag(np.diag(M)))
    # Brute force over λ_w/(η·λ_ℓ2): the better k fits one θ, the worse it fits the other.
    for k in np.geomspace(1e-3, 1e3, 10_001):
        gaps = [np.linalg.norm(M @ theta - k * theta) / np.linalg.norm(theta) for theta in (theta_a, theta_b)]
        assert max(gaps) >= 0.499  # halfway between k_a = 1 and k_b = 2


e = np.eye(3)
ROTATION, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
D = np.diag([1.0, 2.0, 2.0])


@pytest.mark.parametrize(
    ("M", "theta_a", "theta_b", "none_fits"),
    [
        (D, e[0], e[1], True),  # k_a = 1, k_b = 2
        (D, e[1], e[2], False),  # not proportional to I, but is so on the span
        (D, e[0] + e[1], e[0] + e[1], True),  # no k fits even the one θ
        (D, e[0], 1e-12 * e[1], True),  # the length of a θ does not matter
        (D, 1e200 * e[0], 1e-200 * e[1], True),
        (1e-12 * D, e[0], e[1], True),  # nor does the size of M
        (1e12 * D, e[0], e[1], True),
        (np.diag([1e9, 1.0, 2.0]), e[1], e[2], True),  # a large entry elsewhere hides nothing
        (np.diag([1.0, 1.0001, 1.0]), e[0], e[1], True),  # a small gap is a gap
        (0.7 * e, e[0], e[1], False),  # M = kI
        (0.7 * e, [0.1, 0.2, 0.3], [3.0, -1.0, 2.0], False),
        (D, e[0], 0 * e[1], False),  # a zero θ proves nothing
        (D, 0 * e[0], 0 * e[0], False),
        (D, 0 * e[0], e[0] + e[1], True),  # but the other θ may
        (D, e[0], -3 * e[0], False),
        (ROTATION @ D @ ROTATION.T, ROTATION[:, 0], ROTATION[:, 1], True),  # M need not be diagonal
        (ROTATION @ D @ ROTATION.T, ROTATION[:, 1], ROTATION[:, 2], False),  # equal to rounding
    ],
)
def test_no_decay_fits(M: Array, theta_a: Array, theta_b: Array, none_fits: bool) -> None:
    assert no_decay_fits(M, theta_a, theta_b) is none_fits
    assert no_decay_fits(M, theta_b, theta_a) is none_fits


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: weight_decay_factor(-0.1, 0.5), "l2 is -0.1; it should be a number in [0, ∞)"),
        (lambda: weight_decay_factor(0.1, float("nan")), "lr is nan; it should be a number in [0, ∞)"),
        (lambda: weight_decay_factor("0.1", 1.0), "l2 is '0.1'; it should be a number"),  # type: ignore[arg-type]
        (lambda: decayed_sum([[1.0]], 1.5), "alpha is 1.5; it should be a number in [0, 1]"),
        (lambda: decayed_sum([1.0, 2.0], 0.5), "grads has the shape (2,); it should be (rows, n)"),
        (lambda: decayed_sum(np.empty((0, 2)), 0.5), "grads has the shape (0, 2); it should be (rows, n)"),
        (lambda: decayed_sum([[1.0, 2.0], [3.0]], 0.5), "grads is [[1.0, 2.0], [3.0]]; it should be numbers"),
        (lambda: decayed_sum([[1.0, np.inf]], 0.5), "grads is [[1.0, inf]]; every number in it should be fin"),
        (lambda: preconditioner([[1.0]], 1.0), "beta2 is 1.0; it should be a number in [0, 1)"),
        (lambda: preconditioner([[1.0]], -0.1), "beta2 is -0.1; it should be a number in [0, 1)"),
        (lambda: preconditioner([[1.0, 0.0], [2.0, 0.0]], 0.9), "= 0 in coordinates [1]"),
        (lambda: scaled_penalty_gradient([1.0], [[1.0]], -1.0), "l2 is -1.0"),
        (lambda: scaled_penalty_gradient([1.0], np.eye(2), 0.1), "M has the shape (2, 2); for theta of 1"),
        (lambda: scaled_penalty_gradient([[1.0]], [[1.0]], 0.1), "theta has the shape (1, 1)"),
        (lambda: scaled_penalty_gradient([1, 2], [[1, 2], [0, 1]], 0.1), "M is [[1.0, 2.0], [0.0, 1.0]]"),
        (lambda: scaled_penalty_gradient([1, 2], np.diag([1, -1]), 0.1), "symmetric with positive eigenv"),
    ],
)
def test_errors(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are compared as they stand
        call()
    assert words in str(caught.value)
