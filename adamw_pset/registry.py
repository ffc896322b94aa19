"""The optimizers that maps can show: title, decay, and the ranges in which their good region lies.

One row an optimizer: a rule of this name in ``adamw_pset.optimizers`` and a row here are all that the command line
and the plots need.
"""

from __future__ import annotations

from typing import NamedTuple

Range = tuple[float, float]


class Optimizer(NamedTuple):
    """What maps need to know of an optimizer; ranges are (lowest, highest), chosen by measurement."""

    title: str
    decay: str  # the argument that is the decay, a key of DECAY_SYMBOLS
    lrs: Range  # of the default network
    decays: Range
    plain_lrs: Range  # of the plain network, without normalisation
    plain_decays: Range


DECAY_SYMBOLS = {
    "l2": "penalty factor λ$_{ℓ2}$",
    "weight_decay": "weight decay λ$_w$ per step",
    "torch_decay": "PyTorch's λ = λ$_w$/η",
}
OPTIMIZERS = {
    "sgd": Optimizer("SGD with ℓ2", "l2", (10**-1.5, 10**1.5), (1e-4, 1e1), (1e-3, 1e0), (1e-4, 1e0)),
    "sgdw": Optimizer("SGDW", "weight_decay", (10**-1.5, 10**1.5), (1e-3, 1e0), (1e-3, 1e0), (1e-5, 1e-1)),
    "adam_l2": Optimizer("Adam with ℓ2", "l2", (1e-3, 1e0), (1e-5, 1e1), (1e-4, 1e-1), (1e-5, 1e0)),
    "adamw": Optimizer("AdamW", "weight_decay", (1e-3, 1e0), (1e-3, 1e0), (1e-4, 1e-1), (1e-5, 1e0)),
    "adamw_torch": Optimizer("AdamW, PyTorch's λ", "torch_decay", (1e-3, 1e0), (1e-2, 1e3), (1e-4, 1e-1), (1e-3, 1e2)),
}
