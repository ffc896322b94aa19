"""Any ``torch.nn.Module`` for a sweep: one copy per run, stacked by ``torch.func``.

The same interface as ``model.StackedMLP``, with autograd in the place of a backward pass by hand.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from adamw_pset.data import Data
from adamw_pset.training.loop import INIT, stream
from adamw_pset.training.workers import fitting

Loss = Callable[[Tensor, Tensor], Tensor]
# Numbers that a block may hold at a time: parameters, what a rule makes of them, and activations.
MEMORY = {"cpu": 1 << 21, "cuda": 1 << 30}
_seeding = threading.Lock()  # torch's own generator is one for all threads


@dataclass(frozen=True)
class StackedModule:
    """Copies of the module that ``make`` makes, evaluated for many runs, with ``loss(logits, labels)``."""

    make: Callable[[], nn.Module]
    loss: Loss
    module: nn.Module  # whose own parameters are never used
    shapes: dict[str, tuple[int, ...]]  # of its parameters

    @property
    def small_shapes(self) -> list[tuple[int, ...]]:
        """One small shape for each number of dimensions among the parameters, to try a rule on."""
        return [(4, 2, 2, 2, 2, 2)[:n] for n in sorted({len(shape) for shape in self.shapes.values()})]

    def init(self, generator: torch.Generator) -> list[Tensor]:
        """Initial parameters of one run: those of a fresh module, made from the generator's seed."""
        return [p.detach() for p in _fresh(self.make, generator.initial_seed()).parameters()]

    def logits(self, theta: list[Tensor], x: Tensor) -> Tensor:
        """Logits (runs, batch, classes) for inputs ``x`` (runs, batch, ...)."""
        self.module.eval()
        return vmap(self._logits)(self._named(theta), x)

    def gradient(self, theta: list[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
        """Gradient of each run's mean loss, in the shapes of ``theta``; labels ``y`` (runs, batch)."""
        self.module.train()
        return list(vmap(grad(self._mean_loss))(self._named(theta), x, y).values())

    def total_loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Loss of each run, (runs,), summed over its examples in float64."""
        return vmap(self.loss)(logits, y).double() * y.shape[1]

    def block(self, data: Data, batch_size: int, device: str) -> int:
        """How many runs to train together, so that a block's memory is bounded."""
        saved = 0

        def count(t: Tensor) -> Tensor:
            nonlocal saved
            saved += t.numel()
            return t

        x, y = data.x_train[:batch_size], data.y_train[:batch_size]
        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            self.loss(_fresh(self.make, 0)(x), y)
        parameters = sum(map(math.prod, self.shapes.values()))
        return max(1, min(fitting(parameters, device), MEMORY[device] // (8 * parameters + saved)))

    def _named(self, theta: list[Tensor]) -> dict[str, Tensor]:
        return dict(zip(self.shapes, theta, strict=True))

    def _logits(self, theta: dict[str, Tensor], x: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.module, theta, (x,))
        return logits

    def _mean_loss(self, theta: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return self.loss(self._logits(theta, x), y)


def stack_module(make: Callable[[], nn.Module], loss: Loss, data: Data, batch_size: int) -> StackedModule:
    """The module that ``make`` makes, for many runs, tried on a batch of ``data``.

    Raises ``ValueError`` if it cannot be stacked: buffers (what BatchNorm remembers), frozen
    parameters, dropout, whose draws would depend on which runs train together, another dtype than
    float32, or operations that ``torch.func.vmap`` does not know.
    """
    if isinstance(make, nn.Module) or not callable(make):
        raise ValueError(f"model={make!r}: give a function that makes a fresh module, such as lambda: Net()")
    if not callable(loss):
        raise ValueError(f"loss={loss!r}: give a function loss(logits, labels) that returns a mean")
    module = _fresh(make, 0)
    _check_parameters(module, _fresh(make, 0))
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    net = StackedModule(make, loss, module, shapes)
    _try(net, data, batch_size)
    return net


def _fresh(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A new module whose random numbers come from ``seed``; torch's generator is left as it was."""
    with _seeding, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = make()
    if not isinstance(module, nn.Module):
        raise ValueError(f"model made a {type(module).__name__}: it should make a torch.nn.Module")
    return module


def _check_parameters(module: nn.Module, again: nn.Module) -> None:
    named = dict(module.named_parameters())
    if not named:
        raise ValueError("model has no parameters: there is nothing to train")
    if buffers := [name for name, _ in module.named_buffers()]:
        raise ValueError(
            f"model has buffers ({', '.join(buffers)}), and a sweep trains parameters alone: "
            "give LayerNorm, GroupNorm or BatchNorm with track_running_stats=False instead"
        )
    for name, p in named.items():
        if p.dtype != torch.float32 or not p.requires_grad:
            raise ValueError(
                f"model's parameter {name} is {p.dtype}, requires_grad={p.requires_grad}: "
                "a sweep trains every parameter, in float32"
            )
    for (name, a), b in zip(named.items(), again.parameters(), strict=True):
        if not torch.equal(a, b):
            raise ValueError(f"model makes another {name} each time from the same seed: let torch draw it")


def _try(net: StackedModule, data: Data, batch_size: int) -> None:
    """Two runs on one batch, to see whether everything fits."""
    theta = [torch.stack(pair) for pair in zip(*(net.init(stream(s, INIT)) for s in (0, 1)), strict=True)]
    x, y = (part[:batch_size].expand(2, *part[:batch_size].shape) for part in (data.x_train, data.y_train))
    try:
        with torch.no_grad():
            logits = net.logits(theta, x)
            if logits.ndim != 3 or logits.shape[:2] != y.shape or logits.shape[2] < data.classes:
                raise ValueError(
                    f"model made {tuple(logits.shape[1:])} of {tuple(x.shape[1:])}: "
                    f"it should make logits ({batch_size}, {data.classes})"
                )
            net.gradient(theta, x, y)
            net.total_loss(logits, y)
    except RuntimeError as error:
        first_line = str(error).splitlines()[0]
        if "random" in first_line:
            raise ValueError(
                "model draws random numbers as it trains, as dropout does, and a sweep cannot: their "
                "values would depend on which runs train together"
            ) from error
        raise ValueError(f"model or loss cannot be stacked by torch.func.vmap: {first_line}") from error
