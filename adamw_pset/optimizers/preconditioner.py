"""The answers of Question 1(b): an adaptive method as a preconditioned one, and its weight decay.

    θ_t = θ_{t-1} − η M_t g_t                      eq. (4)
    G_t(α) = Σ_{τ=1..t} α^{t−τ} g_τ g_τᵀ            eq. (5)
    (λ_ℓ2/2) ‖M_t^{−1/2} θ‖²                        eq. (6)

    g_1 … g_t   grads           rows: gradients of the unregularised loss
    M, G        M, G            preconditioner, decayed sum; square
    λ_ℓ2, λ_w   l2, weight_decay    penalty factor; fraction of θ removed per step, NOT multiplied by η
    η, β2       lr, beta2       learning rate, second-moment factor

Everything is numpy in float64.  Wrong input raises ``ValueError``.
Source: Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019, arXiv 1711.05101
(Propositions 1 to 3).
"""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def weight_decay_factor(l2: float, lr: float) -> float:
    """λ_w = η·λ_ℓ2, with which weight decay is SGD without momentum on the ℓ2-regularised loss."""
    _check_range("l2", l2, "[0, ∞)")
    _check_range("lr", lr, "[0, ∞)")
    return lr * l2


def decayed_sum(grads: ArrayLike, alpha: float) -> Array:
    """G_t(α) of eq. (5), shape (n, n), from the gradients g_1 … g_t, shape (t, n)."""
    g = _numbers("grads", grads, ndim=2)
    _check_range("alpha", alpha, "[0, 1]")
    weights: Array = alpha ** np.arange(len(g) - 1.0, -1.0, -1.0)
    G: Array = (weights * g.T) @ g
    return G


def preconditioner(grads: ArrayLike, beta2: float) -> Array:
    """M_t of Algorithm 2 with v_0 = 0 and ε = 0, shape (n, n), from g_1 … g_t, shape (t, n).

    M_t = √((1 − β2^t)/(1 − β2)) · diag(diag(G_t(β2)))^{−1/2}.  Raises for a coordinate whose
    gradients were all zero: M_t would be infinite there.
    """
    g = _numbers("grads", grads, ndim=2)
    _check_range("beta2", beta2, "[0, 1)")
    t, diagonal = len(g), np.diag(decayed_sum(g, beta2))
    if zeros := np.flatnonzero(diagonal == 0).tolist():
        raise ValueError(
            f"grads has Σ β2^(t−τ) g_τ² = 0 in coordinates {zeros}, where M_t would be infinite: "
            "each coordinate needs a gradient that is not zero"
        )
    M: Array = np.sqrt((1 - beta2**t) / (1 - beta2)) * np.diag(diagonal**-0.5)
    return M


def scaled_penalty_gradient(theta: ArrayLike, M: ArrayLike, l2: float) -> Array:
    """Gradient of eq. (6): λ_ℓ2 M⁻¹θ, for θ of shape (n,) and symmetric positive definite M.

    M takes it back to λ_ℓ2·θ, so that λ_w = η·λ_ℓ2 again.
    """
    vector, matrix = _theta_and_M(theta, M)
    _check_range("l2", l2, "[0, ∞)")
    return np.asarray(l2 * np.linalg.solve(matrix, vector), dtype=np.float64)


def counterexample() -> tuple[Array, Array, Array]:
    """M, θ_a, θ_b that no pair (λ_ℓ2, λ_w > 0) fits: η·λ_ℓ2·M θ = λ_w θ needs λ_w/(η·λ_ℓ2) = 1 and 2."""
    return np.diag([1.0, 2.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0])


def _check_range(name: str, value: float, span: str) -> None:
    upper = {"[0, 1)": np.nextafter(1, 0), "[0, 1]": 1, "[0, ∞)": np.finfo(np.float64).max}[span]
    if not isinstance(value, Real) or not 0 <= value <= upper:
        raise ValueError(f"{name} is {value!r}; it should be a number in {span}")


def _numbers(name: str, value: ArrayLike, ndim: int) -> Array:
    shape = {1: "(n,)", 2: "(rows, n)"}[ndim]
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {value!r}; it should be numbers in the shape {shape}") from error
    if array.ndim != ndim or not array.size:
        raise ValueError(f"{name} has the shape {array.shape}; it should be {shape}, not empty")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is {value!r}; every number in it should be finite")
    return array


def _theta_and_M(theta: ArrayLike, M: ArrayLike) -> tuple[Array, Array]:
    vector, matrix = _numbers("theta", theta, ndim=1), _numbers("M", M, ndim=2)
    if matrix.shape != (n := vector.size, n):
        raise ValueError(f"M has the shape {matrix.shape}; for theta of {n} numbers it should be {(n, n)}")
    asymmetry = abs(matrix - matrix.T).max()  # of a computed M: some roundings of its largest number
    if asymmetry > 1e-12 * abs(matrix).max() or np.linalg.eigvalsh(matrix).min() <= 0:
        raise ValueError(f"M is {matrix.tolist()}; it should be symmetric with positive eigenvalues")
    return vector, matrix
