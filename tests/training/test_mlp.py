"""The stacked network against autograd and ``torch.nn``, and its scale invariance."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from adamw_pset.training.mlp import StackedMLP

SIZES = [(7, 4), (7, 5, 4), (7, 6, 5, 4)]


def random_runs(net: StackedMLP, runs: int = 3) -> tuple[list[Tensor], Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    initial = [net.init(generator) for _ in range(runs)]
    theta = [torch.stack(Ws).double() for Ws in zip(*initial, strict=True)]
    x = torch.randn(runs, 9, net.sizes[0], generator=generator, dtype=torch.float64)
    y = torch.randint(net.sizes[-1], (runs, 9), generator=generator)
    return theta, x, y


def losses(net: StackedMLP, theta: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(net.logits(theta, x).mT, y, reduction="none").mean(1)


@pytest.mark.parametrize("scale_invariant", [True, False])
@pytest.mark.parametrize("sizes", SIZES)
def test_gradient_is_autograd_s(sizes: tuple[int, ...], scale_invariant: bool) -> None:
    net = StackedMLP(sizes, scale_invariant)
    theta, x, y = random_runs(net)
    leaves = [W.clone().requires_grad_() for W in theta]
    expected = torch.autograd.grad(losses(net, leaves, x, y).sum(), leaves)
    for ours, theirs in zip(net.gradient(theta, x, y), expected, strict=True):
        # float64, sums of fewer than a hundred terms of order 1
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("scale_invariant", [True, False])
def test_logits_are_those_of_torch_nn(scale_invariant: bool) -> None:
    net = StackedMLP((7, 6, 5, 4), scale_invariant)
    theta, x, _ = random_runs(net)
    for run in range(len(x)):
        layers: list[torch.nn.Module] = []
        for W in theta:
            linear = torch.nn.Linear(*W.shape[1:], bias=False, dtype=torch.float64)
            linear.weight.data = W[run].T.contiguous()
            layers += [linear, torch.nn.LayerNorm(W.shape[2], 1e-12, False), torch.nn.ReLU()]
        if scale_invariant:
            last = layers[-3].weight
            last.data *= 4 * 4**0.5 / last.data.norm()  # 4√classes/‖W‖
        else:
            layers = [layer for layer in layers if not isinstance(layer, torch.nn.LayerNorm)]
        drop = 2 if scale_invariant else 1  # nothing follows the last matrix
        expected = torch.nn.Sequential(*layers[:-drop])(x[run])
        torch.testing.assert_close(net.logits(theta, x)[run], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("scale_invariant", "holds"), [(True, True), (False, False)])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_scale_invariance(scale_invariant: bool, holds: bool, layer: int) -> None:
    net = StackedMLP((7, 6, 5, 4), scale_invariant)
    theta, x, y = random_runs(net)
    longer = [10 * W if k == layer else W for k, W in enumerate(theta)]
    before, after = losses(net, theta, x, y), losses(net, longer, x, y)
    assert torch.allclose(before, after, rtol=0, atol=1e-9) == holds  # NORM_EPS is 1e-12 of a variance
    gradient = net.gradient(theta, x, y)[layer]
    along = (gradient * theta[layer]).sum((1, 2)).abs()  # orthogonal to θ if and only if invariant
    assert bool((along < 1e-10).all()) == holds


def test_runs_do_not_see_each_other() -> None:
    net = StackedMLP((7, 6, 5, 4))
    theta, x, y = random_runs(net)
    together = net.gradient(theta, x, y)
    for run in range(3):
        one = slice(run, run + 1)
        alone = net.gradient([W[one] for W in theta], x[one], y[one])
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[one], b, rtol=0, atol=1e-14)


def test_initial_weights_have_he_s_variance() -> None:
    W, _ = StackedMLP((50, 400, 4)).init(torch.Generator().manual_seed(0))
    assert abs(float(W.var()) / (2 / 50) - 1) < 0.05  # 20,000 draws: known to 1 %
