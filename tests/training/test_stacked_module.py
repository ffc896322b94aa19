"""Any module in a sweep: the numbers of a plain loop over torch.optim, errors for what cannot be stacked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adamw_pset import load_digits_data, make_data
from adamw_pset import optimizers as O
from adamw_pset.rule import Rule, RuleError
from adamw_pset.table import TableError
from adamw_pset.training.loop import BATCHES, INIT, stream
from adamw_pset.training.stacked_module import MEMORY, stack_module
from adamw_pset.training.sweep import sweep

README = Path(__file__).parents[2] / "README.md"
DIGITS = load_digits_data()
DATA = make_data(classes=4, clusters=2, n_train=160, n_val=100, dim=6)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads inside operations as small as these only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_cnn() -> nn.Module:
    """Parameters of one, two and four dimensions."""
    conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), conv, nn.ReLU(), nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 10))


def smoothed(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits, y, label_smoothing=0.1)


def run(rule: Rule = O.adamw, **more: Any) -> pd.DataFrame:
    settings: dict[str, Any] = {"data": DIGITS, "seeds": 2, "epochs": 1, "model": small_cnn, "progress": False}
    return sweep(rule, [0.003, 0.03], [1e-3, 1e-1], **{**settings, **more})


def by_hand(
    optimizer: Callable[..., torch.optim.Optimizer], loss: Any, lr: float, decay: float, seed: int
) -> list[float]:
    """One run as a course would write it; validation accuracy and both losses."""
    with torch.random.fork_rng():
        torch.manual_seed(stream(seed, INIT).initial_seed())
        model = small_cnn()
    made, batches, steps = optimizer(model.parameters(), lr, decay), stream(seed, BATCHES), 14
    schedule = torch.optim.lr_scheduler.LambdaLR(made, lambda t: 0.5 * (1 + math.cos(math.pi * t / steps)))
    for batch in torch.randperm(898, generator=batches).split(64)[:steps]:
        made.zero_grad()
        loss(model(DIGITS.x_train[batch]), DIGITS.y_train[batch]).backward()
        made.step()
        schedule.step()
    with torch.no_grad():
        val, train = model(DIGITS.x_val), model(DIGITS.x_train)
    accuracy = float((val.argmax(1) == DIGITS.y_val).double().mean())
    return [accuracy, float(loss(val, DIGITS.y_val)), float(loss(train, DIGITS.y_train))]


@pytest.mark.parametrize("loss", [F.cross_entropy, smoothed])
@pytest.mark.parametrize(
    ("rule", "optimizer"),
    [
        (O.adamw, lambda p, lr, decay: torch.optim.AdamW(p, lr, weight_decay=decay / lr)),
        (O.adam_l2, lambda p, lr, decay: torch.optim.Adam(p, lr, weight_decay=decay)),
        (O.sgd, lambda p, lr, decay: torch.optim.SGD(p, lr, weight_decay=decay)),
    ],
)
def test_a_module_trains_as_with_torch_optim(rule: Rule, optimizer: Any, loss: Any) -> None:
    for row in run(rule, loss=loss).itertuples():
        accuracy, val_loss, train_loss = by_hand(optimizer, loss, row.lr, row.decay, row.seed)
        # 14 float32 steps: rounding grows from 1e-7 to some 1e-5, and Adam's first steps follow the sign
        # of gradients that may be nearly 0; one digit of 899 may sit on the border.
        assert abs(row.val_loss - val_loss) < 1e-3 * max(1, val_loss)
        assert abs(row.train_loss - train_loss) < 1e-3 * max(1, train_loss)
        assert abs(row.val_accuracy - accuracy) < 2.5 / 899


def test_blocks_change_a_module_s_runs_by_rounding_alone() -> None:
    together, apart = run(), run(block=1)
    # Convolutions of other numbers of runs may be summed in another order; 14 float32 steps.
    np.testing.assert_allclose(together["val_loss"], apart["val_loss"], rtol=1e-3)
    pd.testing.assert_frame_equal(run(block=3), run(block=3), check_exact=True)


def test_the_memory_of_a_block_is_bounded() -> None:
    def wide(width: int) -> int:
        made = lambda: nn.Sequential(nn.Linear(6, width), nn.Linear(width, 4))  # noqa: E731
        return stack_module(made, F.cross_entropy, DATA, 32).block(DATA, 32, "cpu")

    assert wide(1000) == MEMORY["cpu"] // (8 * 11_004 + 32 * 1006 + 1000 * 4 + 32 * 5 + 1) > 1
    assert wide(200_000) == 1


def linear(**changes: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        module = nn.Linear(6, 4, dtype=changes.get("dtype"))
        if changes.get("frozen"):
            module.bias.requires_grad_(False)
        layers = [changes["before"]()] if "before" in changes else []
        return nn.Sequential(*layers, module, *([changes["after"]()] if "after" in changes else []))

    return make


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum()) > 0 else -x


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": linear(before=lambda: nn.BatchNorm1d(6))}, "model has buffers (0.running_mean,"),
        ({"model": linear(after=nn.Dropout)}, "model draws random numbers as it trains, as dropout does"),
        ({"model": linear(dtype=torch.float64)}, "parameter 0.weight is torch.float64"),
        ({"model": linear(frozen=True)}, "parameter 0.bias is torch.float32, requires_grad=False"),
        ({"model": linear(before=Branch)}, "cannot be stacked by torch.func.vmap"),
        ({"model": lambda: nn.Linear(6, 3)}, "model made (32, 3) of (32, 6): it should make logits (32, 4)"),
        ({"model": lambda: nn.Linear(5, 4)}, "cannot be stacked by torch.func.vmap"),
        ({"model": nn.Linear(6, 4)}, "give a function that makes a fresh module"),
        ({"model": lambda: 3}, "model made a int"),
        ({"model": nn.ReLU}, "model has no parameters"),
        ({"model": 3}, "model=3"),
        ({"loss": 3}, "loss=3"),
        ({"loss": lambda logits, y: logits.exp().sum(1)}, "model or loss cannot be stacked"),
    ],
)
def test_what_cannot_be_stacked_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        run(**{"data": DATA, "model": linear(), "batch_size": 32, **change})
    assert words in str(error.value)


def matrices_only(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
    return (1 - weight_decay) * theta - lr * grad.unflatten(-2, (2, 2)).flatten(-3, -2), state


def test_a_rule_is_tried_on_every_number_of_dimensions() -> None:
    with pytest.raises(RuleError, match="matrices_only fails"):
        run(matrices_only)
    run(matrices_only, data=DATA, batch_size=32, model=lambda: nn.Linear(6, 4, bias=False))


def test_a_saved_table_knows_its_model(tmp_path: Path) -> None:
    save = tmp_path / "runs.csv"
    run(save=save)
    pd.testing.assert_frame_equal(run(save=save), run(), check_exact=True)
    for change, words in [({"model": linear(before=nn.Flatten)}, "model"), ({"loss": smoothed}, "loss is")]:
        with pytest.raises((TableError, ValueError), match=words):
            run(save=save, **change)


def test_torch_s_own_random_numbers_are_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    run()
    assert torch.rand(1) == expected


def test_the_example_of_the_readme_runs() -> None:
    (example,) = [b for b in re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL) if "Conv2d" in b]
    namespace: dict[str, Any] = {}
    exec(example, namespace)
    table = namespace["table"]
    assert len(table) == 18
    assert table.groupby(["lr", "decay"])["val_accuracy"].mean().max() > 0.8  # chance is 0.1
