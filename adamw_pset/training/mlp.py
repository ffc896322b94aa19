"""The network, one copy per run, stacked: initial weights, loss, gradient.

A multilayer perceptron without biases.  ``theta`` is the list of its weight matrices, each of shape
(runs, inputs, outputs), so that one batched product serves a layer of all runs, and one call of an
update rule moves a layer of all runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from adamw_pset.data import Data
from adamw_pset.training.workers import fitting

LOGIT_SCALE = 4.0  # how confident the last layer can be, since the length of its weights is fixed
NORM_EPS = 1e-12  # so small that the length of the weights really does not matter


@dataclass(frozen=True)
class StackedMLP:
    """An MLP with layer widths ``sizes`` = (inputs, hidden, …, classes), evaluated for many runs.

    ``scale_invariant``: each hidden matrix is followed by a layer norm without parameters, and the
    last one is used as W·4√classes/‖W‖, so the loss depends on every matrix through its direction
    alone.  Otherwise this is the plain ReLU network.
    """

    sizes: tuple[int, ...]
    scale_invariant: bool = True

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shape of each weight matrix, (inputs, outputs)."""
        return list(pairwise(self.sizes))

    @property
    def small_shapes(self) -> list[tuple[int, ...]]:
        """One small shape for each number of dimensions among the parameters, to try a rule on."""
        return [(4, 2)]

    def init(self, generator: torch.Generator) -> list[Tensor]:
        """Initial weights of one run: normal with variance 2/inputs (He et al., 2015)."""
        return [math.sqrt(2 / n) * torch.randn(n, k, generator=generator, dtype=torch.float32) for n, k in self.shapes]

    def logits(self, theta: list[Tensor], x: Tensor) -> Tensor:
        """Logits (runs, batch, classes) for inputs ``x`` (runs, batch, ...)."""
        a = x.flatten(2)
        for W in theta[:-1]:
            z = _product(a, W)
            a = (_normalised(z)[0] if self.scale_invariant else z).relu_()
        return _logits(a, self._last(theta[-1])[0]).mT

    def gradient(self, theta: list[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
        """Gradient of each run's mean cross-entropy, in the shapes of ``theta``, by backpropagation.

        ``x`` (runs, batch, ...), ``y`` (runs, batch).  The same numbers as autograd, without building
        its graph at every step.
        """
        a = x.flatten(2)
        inputs, norms = [a], []
        for W in theta[:-1]:
            a = _product(a, W)
            if self.scale_invariant:
                a, *norm = _normalised(a)
                norms.append(norm)
            a = a.relu_()
            inputs.append(a)
        W, factor = self._last(theta[-1])

        delta = torch.softmax(_logits(a, W), dim=1)  # (runs, classes, batch)
        labels = y.unsqueeze(1)
        delta.scatter_add_(1, labels, delta.new_full((1, 1, 1), -1.0).expand_as(labels))
        delta /= y.shape[-1]

        gradient = [self._through_last(theta[-1], _product(a.mT, delta.mT), factor)]
        delta = delta.mT
        above = [*map(_transposed, theta[1:-1]), W.mT]
        for W_above, a, a_below in zip(above[::-1], inputs[::-1], inputs[-2::-1], strict=False):
            delta = _through_relu(_product(delta, W_above), a)
            if self.scale_invariant:
                delta = _through_norm(delta, *norms.pop())
            gradient.append(_product(a_below.mT, delta))
        return gradient[::-1]

    def total_loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy of each run, (runs,), summed over its examples in float64."""
        return F.cross_entropy(logits.mT, y, reduction="none").sum(1, dtype=torch.float64)

    def block(self, data: Data, batch_size: int, device: str) -> int:
        """How many runs to train together."""
        return fitting(sum(n * k for n, k in self.shapes), device)

    def _last(self, W: Tensor) -> tuple[Tensor, Tensor | None]:
        """The last matrix as it is used, and the factor on it if there is one."""
        if not self.scale_invariant:
            return W, None
        factor = LOGIT_SCALE * math.sqrt(W.shape[-1]) / _length(W)
        return factor * W, factor

    def _through_last(self, W: Tensor, gradient: Tensor, factor: Tensor | None) -> Tensor:
        """From the gradient in W·c/‖W‖ to the gradient in W, which is orthogonal to W."""
        if factor is None:
            return gradient
        along = (W * gradient).sum((1, 2), keepdim=True) / _length(W) ** 2
        return factor * (gradient - along * W)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """The stacked matrix products a·b; on a CPU numpy's, since torch's MKL uses half of an AMD processor."""
    if a.device.type == "cpu" and not torch.is_grad_enabled():
        with np.errstate(all="ignore"):  # a run that diverges is marked at its end
            return torch.from_numpy(np.matmul(a.numpy(), b.numpy()))
    return torch.bmm(a, b)


def _transposed(W: Tensor) -> Tensor:
    """Each Wᵀ, laid out anew on a CPU: a product whose right operand alone is transposed is slow in OpenBLAS."""
    return torch.from_numpy(np.ascontiguousarray(W.mT.numpy())) if W.device.type == "cpu" else W.mT


def _through_relu(delta: Tensor, a: Tensor) -> Tensor:
    """From the gradient in a ReLU's output ``a`` to the gradient in its input, in place."""
    torch.ops.aten.threshold_backward.grad_input(delta, a, 0, grad_input=delta)
    return delta


def _logits(a: Tensor, W: Tensor) -> Tensor:
    """a·W as (runs, classes, batch): a product with few columns, and a softmax over few, are slow."""
    return _product(W.mT, a.mT)


def _normalised(z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Layer norm without parameters of (runs, batch, units), and what its gradient needs."""
    z = z.sub_(z.mean(-1, keepdim=True))
    variance = torch.linalg.vector_norm(z, dim=-1, keepdim=True).square() / z.shape[-1]
    rstd = (variance + NORM_EPS).rsqrt()
    return z * rstd, z, torch.zeros_like(rstd), rstd


def _through_norm(delta: Tensor, z: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
    """From the gradient in a layer norm's output to the gradient in its input."""
    delta, _, _ = torch.ops.aten.native_layer_norm_backward(
        delta, z, z.shape[-1:], mean, rstd, None, None, [True, False, False]
    )
    return delta


def _length(W: Tensor) -> Tensor:
    return W.square().sum((1, 2), keepdim=True).sqrt()
