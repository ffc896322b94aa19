"""What computes an answer cannot be used in one: in ``check`` and in the grader, in the same words.

This is the one place that says what that is.  ``refused`` holds in ``check``; the grader puts stubs and empty
folders in the place of the same modules.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

OURS = ("adamw_pset.optimizers", "adamw_pset.maps")
# Modules of libraries that we need otherwise, and those of their parts that compute no step of an optimizer.
OPTIMIZERS = ("torch.optim", "torch.distributed.optim", "sklearn.neural_network._stochastic_optimizers")
HARMLESS = ("torch.optim.optimizer", "torch.optim.lr_scheduler", "torch.optim.swa_utils")
FUSED = ("_fused_adam", "_fused_adamw", "_fused_sgd", "_fused_adagrad")  # of torch, in C++
LIBRARIES = (
    "optax",
    "jax",
    "flax",
    "keras",
    "tensorflow",
    "timm",
    "transformers",
    "bitsandbytes",
    "apex",
    "mxnet",
    "paddle",
    "torch_optimizer",
    "pytorch_optimizer",
    "lion_pytorch",
    "lightning",
    "pytorch_lightning",
    "tinygrad",
)


class OffLimits(RuntimeError):
    """An answer called what it is asked to write."""


def refusal(what: str) -> str:
    """What is said of a function that computes an answer."""
    return f"{what} computes this: write it yourself"


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Functions that compute an answer raise ``OffLimits`` when they are called in this context."""
    before = sys.getprofile()
    sys.setprofile(_watch)
    try:
        yield
    finally:
        sys.setprofile(before)


def _watch(frame: FrameType, event: str, function: Any) -> None:
    if event == "c_call":
        name = getattr(function, "__name__", None)
        if isinstance(name, str) and name.startswith(FUSED):
            raise OffLimits(refusal("a fused optimizer of torch"))
    elif event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # no body of a module or class
        module = str(frame.f_globals.get("__name__"))
        if _within(module, (*OURS, *OPTIMIZERS, *LIBRARIES)) and not _within(module, HARMLESS):
            raise OffLimits(refusal(f"{module}.{frame.f_code.co_qualname.partition('.')[0]}"))


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
