"""Whether this machine can train: a small network, for an epoch."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from adamw_pset.data import make_data
from adamw_pset.training.sweep import sweep


def self_test() -> None:
    """Print the versions in use, and whether a small network could be trained."""

    def gradient_step(theta: Tensor, grad: Tensor, state: Any, *, lr: Tensor, weight_decay: Tensor) -> Any:
        return theta - lr * grad, state

    data = make_data("easy", n_train=128, n_val=64)
    trial = sweep(gradient_step, [0.1], [0.1], data, seeds=1, epochs=1, progress=False)
    print(f"adamw_pset {version('adamw-pset')}, Python {platform.python_version()}, torch {torch.__version__}")
    print("Self-test, a small network trained for an epoch:", "failed" if trial["diverged"].any() else "passed")
