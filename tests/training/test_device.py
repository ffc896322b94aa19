"""Training on another device than the CPU, as far as it can be tested where there is no GPU.

Torch's "meta" device computes shapes and no values: it refuses every read of a value, and the mode below
refuses every operation that mixes its tensors with the CPU's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adamw_pset import optimizers as O
from adamw_pset.data import make_data
from adamw_pset.rule import DECAYS, Rule, decay_name
from adamw_pset.training.loop import Net, Run, Task, train
from adamw_pset.training.mlp import StackedMLP
from adamw_pset.training.preflight import stepper
from adamw_pset.training.stacked_module import stack_module

DATA = make_data(classes=4, clusters=2, n_train=160, n_val=100, dim=6)
RUNS = [Run(lr, 0.1, seed) for seed in (0, 1) for lr in (0.01, 0.1)]
MOVES = {"aten::_to_copy", "aten::copy_"}


class OneDevice(TorchDispatchMode):
    """Raises where one operation sees two devices, and counts the tensors that are moved."""

    moved = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves([args, kwargs, out]) if isinstance(t, torch.Tensor)]
        devices = {t.device.type for t in tensors}
        if function._schema.name in MOVES:
            self.moved += len(devices) > 1
        elif len(devices) > 1:
            raise AssertionError(f"{function} sees tensors on {' and '.join(sorted(devices))}")
        return out


def conv_net() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))


@pytest.mark.parametrize("rule", [O.adamw, O.adam_l2, O.sgd])
@pytest.mark.parametrize("kind", ["scale-invariant", "plain", "module"])
def test_a_step_stays_on_its_device_and_reads_nothing_back(kind: str, rule: Rule) -> None:
    net: Net = StackedMLP((6, 8, 8, 4), kind != "plain")
    if kind == "module":
        net = stack_module(conv_net, F.cross_entropy, DATA, 32)
    shapes = [(3,), (4, 2), (4, 2, 2)]
    task = Task(
        stepper(rule, {}, shapes),
        DECAYS[decay_name(rule)],
        net,
        {0: DATA, 1: DATA},
        3,
        32,
        "cosine",
        torch.device("meta"),
    )
    mode, moved = OneDevice(), []
    with mode, pytest.raises((NotImplementedError, RuntimeError), match="meta") as end:
        train(task, RUNS, lambda: moved.append(mode.moved))
    assert any("tolist" in str(entry.statement) for entry in end.traceback)
    assert len(moved) == 3  # every epoch was trained; only the table asks for values
    assert {b - a for a, b in pairwise(moved)} == {1}  # an epoch moves its batches' order
