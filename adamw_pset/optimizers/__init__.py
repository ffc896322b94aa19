"""The answers: Algorithms 1 to 3 of the problem set and their decoupled forms, as update rules.

    theta, state = rule(theta, grad, state, *, lr, ...)

Every rule takes θ_{t-1}, the gradient g of the *unregularised* loss at θ_{t-1} and the state, and
returns (θ_t, state_t); nothing is changed in place.  ``theta`` is a tensor of any shape, ``grad``
and the moments have its shape.  ``lr``, ``l2`` and ``weight_decay`` are floats or tensors that
broadcast against ``theta``, so that a stack of runs is one call.

    θ       theta               parameters
    g       grad                gradient of the unregularised loss
    η       lr                  learning rate
    λ_ℓ2    l2                  penalty factor: adds (λ_ℓ2/2)‖θ‖² to the loss
    λ_w     weight_decay        fraction of θ removed per step; NOT multiplied by η
    λ_torch torch_decay         PyTorch's convention: λ_w = η·λ_torch
    β1, β2  beta1, beta2        momentum factor, second-moment factor
    ε       eps                 small constant, outside the square root
    t, m, v state.t, .m, .v     step count, first moment, second moment

Source: Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019, arXiv 1711.05101
(Algorithms 1 and 2); Kingma & Ba, Adam, ICLR 2015, arXiv 1412.6980 (Algorithm 1).
"""

from __future__ import annotations

from torch import Tensor

from adamw_pset.rule import State

Number = float | Tensor
Step = tuple[Tensor, State]


def sgd(theta: Tensor, grad: Tensor, state: State, *, lr: Number, l2: Number = 0.0, beta1: float = 1.0) -> Step:
    """SGD with momentum on the ℓ2-regularised loss (problem set, Algorithm 1).

    Momentum is m ← (1 − β1)m + β1·g, so β1 = 1 means none.  PyTorch writes buf ← μ·buf + g: with
    μ = 1 − β1 its SGD at learning rate η·β1 is this one.
    Decay: ``l2`` is λ_ℓ2; without momentum it removes λ_w = η·λ_ℓ2 of θ per step.
    """
    t = state.t + 1
    g = grad + l2 * theta
    m = (1 - beta1) * state.m + beta1 * g
    theta = theta - lr * m
    return theta, State(t, m, state.v)


def sgdw(theta: Tensor, grad: Tensor, state: State, *, lr: Number, weight_decay: Number, beta1: float = 1.0) -> Step:
    """SGD with momentum and decoupled weight decay (the answer to 1(a)(ii)).

    Decay: ``weight_decay`` is λ_w of eq. (1), the fraction of θ_{t-1} removed per step; it passes
    through neither the learning rate nor the momentum buffer.
    """
    t = state.t + 1
    g = grad
    m = (1 - beta1) * state.m + beta1 * g
    theta = (1 - weight_decay) * theta - lr * m
    return theta, State(t, m, state.v)


def rmsprop(theta: Tensor, grad: Tensor, state: State, *, lr: Number, beta2: float = 0.999, eps: float = 1e-8) -> Step:
    """RMSProp with bias-corrected second moment (problem set, Algorithm 2); no decay."""
    t = state.t + 1
    g = grad
    v = beta2 * state.v + (1 - beta2) * g**2
    v_hat = v / (1 - beta2**t)
    theta = theta - lr * g / (v_hat.sqrt() + eps)
    return theta, State(t, state.m, v)


def adam(
    theta: Tensor,
    grad: Tensor,
    state: State,
    *,
    lr: Number,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Step:
    """Adam (problem set, Algorithm 3; Kingma & Ba, Algorithm 1); no decay."""
    t = state.t + 1
    g = grad
    m = beta1 * state.m + (1 - beta1) * g
    v = beta2 * state.v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta = theta - lr * m_hat / (v_hat.sqrt() + eps)
    return theta, State(t, m, v)


def adam_l2(
    theta: Tensor,
    grad: Tensor,
    state: State,
    *,
    lr: Number,
    l2: Number,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Step:
    """Adam on the ℓ2-regularised loss (Loshchilov & Hutter, Algorithm 2, line 6).

    Decay: ``l2`` is λ_ℓ2; its gradient λ_ℓ2·θ enters both moments and is rescaled like any other.
    This is ``torch.optim.Adam(weight_decay=l2)``.
    """
    t = state.t + 1
    g = grad + l2 * theta
    m = beta1 * state.m + (1 - beta1) * g
    v = beta2 * state.v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta = theta - lr * m_hat / (v_hat.sqrt() + eps)
    return theta, State(t, m, v)


def adamw(
    theta: Tensor,
    grad: Tensor,
    state: State,
    *,
    lr: Number,
    weight_decay: Number,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Step:
    """Adam with decoupled weight decay (Loshchilov & Hutter, Algorithm 2, line 12).

    Decay: ``weight_decay`` is λ_w of eq. (1), the fraction of θ_{t-1} removed per step, NOT
    multiplied by η.  ``torch.optim.AdamW(lr=η, weight_decay=λ_w/η)`` is this rule.
    """
    t = state.t + 1
    g = grad
    m = beta1 * state.m + (1 - beta1) * g
    v = beta2 * state.v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta = (1 - weight_decay) * theta - lr * m_hat / (v_hat.sqrt() + eps)
    return theta, State(t, m, v)


def adamw_torch(
    theta: Tensor,
    grad: Tensor,
    state: State,
    *,
    lr: Number,
    torch_decay: Number,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Step:
    """AdamW in the convention of PyTorch, Optax, Keras and timm.

    Decay: ``torch_decay`` is multiplied by the learning rate, λ_w = η·λ_torch, so a schedule on η
    reaches the decay through η alone.
    """
    return adamw(theta, grad, state, lr=lr, weight_decay=lr * torch_decay, beta1=beta1, beta2=beta2, eps=eps)
