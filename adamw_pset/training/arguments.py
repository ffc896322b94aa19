"""What a sweep may be called with: every argument checked, with an error that names it and its value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adamw_pset.data import Data
from adamw_pset.validate import is_whole


def grid(name: str, values: Any) -> list[float]:
    """``values`` as a list of different finite numbers from 0 up."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        raise ValueError(f"{name}={values!r}: give a list of numbers, such as [0.01, 0.1]") from None
    if not numbers or len(set(numbers)) < len(numbers) or not all(0 <= v < math.inf for v in numbers):
        raise ValueError(f"{name}={numbers}: give different finite numbers from 0 up, at least one")
    return numbers


def seed_list(seeds: Any) -> list[int]:
    """``seeds`` as a list: the first so many, or those that are named."""
    named: list[int] = []
    if is_whole(seeds):
        named = list(range(int(seeds)))
    elif isinstance(seeds, Iterable) and all(map(is_whole, seeds := list(seeds))):
        named = [int(seed) for seed in seeds]
    if not named or min(named) < 0 or len(set(named)) < len(named):
        raise ValueError(f"seeds={seeds!r}: give how many (from 1 up), or different seeds from 0 up")
    return named


def plain(name: str, value: Any) -> Any:
    """``value`` as a number that can be written down."""
    if isinstance(value, Tensor | np.generic) and np.ndim(value) == 0:
        return value.item()
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"{name}={value!r}: give one number")
    return value


def data_of_seeds(data: Data | Callable[[int], Data], seeds: list[int], batch_size: int) -> dict[int, Data]:
    """The data of each seed, all of one size, with at least one batch to train on."""
    if not (isinstance(data, Data) or callable(data)):
        raise ValueError(f"data={data!r}: give a Data, or a function that makes one from a seed")
    by_seed = {}
    for seed in seeds:
        each = data if isinstance(data, Data) else data(seed)
        if not isinstance(each, Data):
            raise ValueError(f"data({seed}) gave a {type(each).__name__}: it should make a Data")
        by_seed[seed] = each
        if _size(each) != _size(by_seed[seeds[0]]):
            raise ValueError(f"data({seed}) has another size than data({seeds[0]}): all seeds need the same")
        if len(each.x_train) < batch_size:
            raise ValueError(
                f"data has {len(each.x_train)} training points, fewer than batch_size={batch_size}: give as many"
            )
    return by_seed


def _size(data: Data) -> tuple[Any, ...]:
    return data.x_train.shape, data.x_val.shape, data.classes


def device_at_hand(name: Any, elsewhere: bool = False) -> torch.device:
    """The CPU or a GPU of this name, if tensors can be made on it here, or ``elsewhere`` perhaps."""
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise ValueError(f"device={name!r}: choose cpu or cuda")
        if not elsewhere:
            torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device={name!r} is not at hand here: {str(error).splitlines()[0]}") from None
    return device
