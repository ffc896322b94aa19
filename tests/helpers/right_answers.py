"""Right answers, written in other ways than the textbook's."""

from __future__ import annotations

import numpy as np
import torch

from adamw_pset import State
from autograder.assignment.answer_sources import reference

ADAMW, SGDW = reference("adamw"), reference("sgdw")


def adam(theta, grad, state, **hyper):  # type: ignore[no-untyped-def]
    return ADAMW(theta, grad, state, weight_decay=0.0, **hyper)


def sgd(theta, grad, state, *, lr, weight_decay, beta1=1.0):  # type: ignore[no-untyped-def]
    """Not right: Algorithm 1, in which the decay is a penalty."""
    return SGDW(theta, grad + weight_decay * theta, state, lr=lr, weight_decay=0.0, beta1=beta1)


def adamw_numpy(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):  # type: ignore[no-untyped-def]
    th, g, m, v = (np.array(part) for part in (theta, grad, state.m, state.v))
    t = state.t + 1
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    th = th - weight_decay * th - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return torch.as_tensor(th), State(t, torch.as_tensor(m), torch.as_tensor(v))


def adamw_copies(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8):  # type: ignore[no-untyped-def]
    theta, m, v = theta.clone(), state.m.clone(), state.v.clone()
    m.mul_(beta1).add_(grad, alpha=1 - beta1)
    v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    t = state.t + 1
    step = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
    theta.mul_(1 - weight_decay)
    theta.addcdiv_(m, v.sqrt() + eps * (1 - beta2**t) ** 0.5, value=-step)
    return theta, (t, m, v)


def adamw_float32(theta, grad, state, **hyper):  # type: ignore[no-untyped-def]
    state = State(state.t, state.m.float(), state.v.float())
    return ADAMW(theta.float(), grad.float(), state, **hyper)


def adamw_noisy(theta, grad, state, *, lr, weight_decay, beta1=0.9, beta2=0.999, eps=1e-8, verbose=True):  # type: ignore[no-untyped-def]
    print("step", state.t)
    __import__("warnings").warn("mind the step", stacklevel=1)
    new, after = adam(theta, grad, state, lr=lr, beta1=beta1, beta2=beta2, eps=eps)
    return new - weight_decay * theta, after


def adam_l2_by_adam(theta, grad, state, *, lr, l2, beta1=0.9, beta2=0.999, eps=1e-8):  # type: ignore[no-untyped-def]
    return adam(theta, torch.add(grad, theta, alpha=l2), state, lr=lr, beta1=beta1, beta2=beta2, eps=eps)


def sgdw_lerp(theta, grad, state, *, lr, weight_decay, beta1=1.0):  # type: ignore[no-untyped-def]
    m = torch.lerp(state.m, grad, beta1)
    return theta - weight_decay * theta - lr * m, State(state.t + 1, m, state.v)


def preconditioner_recursive(grads, beta2):  # type: ignore[no-untyped-def]
    v = 0
    for g in grads:
        v = beta2 * v + (1 - beta2) * g**2
    return torch.diag(torch.as_tensor((1 - beta2 ** len(grads)) / v) ** 0.5)
