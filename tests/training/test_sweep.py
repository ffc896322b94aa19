"""The sweep: the same numbers as a plain loop, whatever the blocks; safe against rules and ctrl-C."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from adamw_pset import RuleError, State
from adamw_pset import optimizers as O
from adamw_pset import sweep as public_sweep
from adamw_pset.data import Data, make_data
from adamw_pset.rule import Rule
from adamw_pset.table import COLUMNS, KEY, METRICS, MOTION, TableError, join, read_table, write_table
from adamw_pset.training import processes, workers
from adamw_pset.training.loop import length, turn
from adamw_pset.training.sweep import sweep

DATA = make_data(classes=4, clusters=2, n_train=160, n_val=100, dim=6)
LRS, DECAYS = [0.01, 0.1], [1e-3, 1e-2, 1e-1]
SMALL: dict[str, Any] = {"seeds": 2, "epochs": 2, "batch_size": 32, "width": 8, "progress": False}


def run(rule: Rule = O.adamw, data: Any = DATA, lrs: Any = LRS, decays: Any = DECAYS, **more: Any) -> pd.DataFrame:
    return sweep(rule, lrs, decays, data, **{**SMALL, **more})


def same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a, b, check_exact=True)


def by_hand(rule: Rule, decay_name: str, lr: float, decay: float, seed: int, si: bool) -> dict[str, float]:
    """One run of the sweep as a course would write it: nn.Module, autograd, an optimizer, a loop."""
    from adamw_pset.training.loop import BATCHES, INIT, stream
    from adamw_pset.training.mlp import StackedMLP

    net = StackedMLP((6, 8, 8, 4), si)
    theta = [torch.nn.Parameter(W.unsqueeze(0)) for W in net.init(stream(seed, INIT))]
    states = [State.zeros(W) for W in theta]
    batches, step, steps, angles = stream(seed, BATCHES), 0, 2 * 5, []
    for _ in range(2):
        order = torch.randperm(160, generator=batches)
        for batch in order.split(32):
            s_t = 0.5 * (1 + math.cos(math.pi * step / steps))
            logits = net.logits(theta, DATA.x_train[batch].unsqueeze(0))[0]
            gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, DATA.y_train[batch]), theta)
            hyper = {"lr": s_t * lr, decay_name: decay * (s_t if decay_name == "weight_decay" else 1)}
            with torch.no_grad():
                for k, g in enumerate(gradients):
                    new, states[k] = rule(theta[k], g, states[k], **hyper)
                    if step == 4:  # of 4, 5 and 6, the middle fifth, every fourth
                        cosine = torch.cosine_similarity(theta[k].double().flatten(), new.double().flatten(), dim=0)
                        angles.append(math.degrees(math.acos(cosine)))
                    theta[k].copy_(new)
            step += 1
    values = {"turn": float(np.mean(angles)), "length": math.sqrt(sum(float(W.detach().square().sum()) for W in theta))}
    for part, x, y in (("val", DATA.x_val, DATA.y_val), ("train", DATA.x_train, DATA.y_train)):
        logits = net.logits(theta, x.unsqueeze(0))[0].detach()
        values[f"{part}_accuracy"] = float((logits.argmax(1) == y).double().mean())
        values[f"{part}_loss"] = float(cross_entropy(logits, y))
    return values


@pytest.mark.parametrize("scale_invariant", [True, False])
@pytest.mark.parametrize(
    ("rule", "decay_name"),
    [
        (O.sgd, "l2"),
        (O.sgdw, "weight_decay"),
        (O.adam_l2, "l2"),
        (O.adamw, "weight_decay"),
        (O.adamw_torch, "torch_decay"),
    ],
)
def test_sweep_is_a_loop_over_runs(rule: Rule, decay_name: str, scale_invariant: bool) -> None:
    table = run(rule, scale_invariant=scale_invariant)
    for row in table.itertuples():
        expected = by_hand(rule, decay_name, row.lr, row.decay, row.seed, scale_invariant)
        for name, value in expected.items():
            # Ten float32 steps: rounding grows from 1e-7 to 1e-5; schedule or decay wrong is over
            # 1e-3.  Of 100 or 160 points, one may sit on the border.
            tolerance = 0.011 if name.endswith("accuracy") else 2e-4 * max(1, value)
            assert abs(getattr(row, name) - value) < tolerance, name


@pytest.mark.parametrize(("threads", "block"), [(1, 100), (1, 5), (2, 2), (2, 1), (3, 100)])
def test_blocks_do_not_change_results(threads: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: threads)
    one_by_one = pd.concat([run(lrs=[lr], seeds=[seed], block=1) for lr in LRS for seed in (0, 1, 2)])
    together = run(seeds=3, block=block)  # with one thread and a block of 100: all seeds in one block
    same(together, one_by_one.sort_values(KEY, ignore_index=True))


def test_table_is_tidy_and_knows_its_settings() -> None:
    table = run()
    assert list(table.columns) == [*COLUMNS, *MOTION]
    assert len(table) == 12
    assert not table.duplicated(KEY).any()
    assert table["val_accuracy"].between(0, 1).all()
    assert table.attrs["epochs"] == 2
    assert table.attrs["optimizers"]["adamw"]["decays"] == DECAYS
    assert public_sweep is sweep


def test_seeds_share_starts_and_differ_among_themselves() -> None:
    table = run(decays=[0.0, 1e-9], lrs=[1e-12])  # nothing moves: what is left is the initial network
    per_seed = table.groupby("seed")["val_loss"]
    assert (per_seed.max() - per_seed.min() < 1e-6).all()
    assert per_seed.mean().nunique() == 2


def test_data_may_differ_by_seed() -> None:
    calls = []

    def make(seed: int) -> Data:
        calls.append(seed)
        return make_data(classes=4, clusters=2, n_train=160, n_val=100, dim=6, seed=seed)

    table = run(data=make, seeds=[0, 7])
    assert sorted(set(calls)) == [0, 7]
    same(table[table["seed"] == 0].reset_index(drop=True), run(seeds=1, data=make(0)))
    assert table.attrs["data"]["new_each_seed"]


@pytest.mark.parametrize("rule", [O.sgdw, O.adam_l2])
def test_another_type_by_default_changes_nothing(rule: Rule) -> None:
    table = run(rule)
    torch.set_default_dtype(torch.float64)
    try:
        same(run(rule), table)
    finally:
        torch.set_default_dtype(torch.float32)


def test_diverged_runs_are_marked() -> None:
    table = run(O.sgdw, lrs=[0.1], decays=[0.1, 1e30], scale_invariant=False)
    assert table["diverged"].tolist() == [False, False, True, True]
    measured = [*METRICS, *MOTION]
    assert table.loc[table["diverged"], measured].isna().all(axis=None)
    assert table.loc[~table["diverged"], measured].notna().all(axis=None)


def test_finite_weights_with_an_infinite_loss_have_diverged() -> None:
    # One step of size 1e18: weights of 1e17, whose product over three layers overflows float32.
    table = run(O.sgdw, lrs=[1e18], decays=[0.1], scale_invariant=False, epochs=1, batch_size=160)
    assert table["diverged"].all()


def broken(name: str) -> Rule:
    """AdamW with one thing wrong in how it behaves as a function."""

    def rule(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
        new, after = O.adamw(theta, grad, state, lr=lr, weight_decay=weight_decay)
        match name:
            case "shape":
                return new[..., :1], after
            case "dtype":
                return new.double(), after
            case "theta in place":
                theta -= 0.1
            case "grad in place":
                grad += 1
            case "state in place":
                state.m.add_(1)
            case "nan":
                return new * float("nan"), after
            case "nothing":
                return None
            case "no state":
                return new
            case "raises":
                raise KeyError("oops")
        return new, after

    rule.__name__ = "mine"
    return rule


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shape", "mine should return theta in the shape it got"),
        ("dtype", "mine should return theta in the dtype it got, torch.float32"),
        ("theta in place", "theta is changed in place"),
        ("grad in place", "grad is changed in place"),
        ("state in place", "state is changed in place"),
        ("nan", "returns NaN or infinity"),
        ("nothing", "None (is the return line missing?)"),
        ("no state", "should return (theta, state)"),
        ("raises", "KeyError: 'oops'"),
    ],
)
def test_a_broken_rule_is_told_what_is_wrong(name: str, words: str) -> None:
    with pytest.raises(RuleError) as error:
        run(broken(name))
    assert words in str(error.value)


def needs_floats(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
    return O.adamw(theta, grad, state, lr=float(lr), weight_decay=float(weight_decay))


def normalised_step(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
    return (1 - weight_decay) * theta - lr * grad / grad.norm(), state


def normalised_step_alone(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
    lengths = grad.norm(dim=(-2, -1), keepdim=True)
    return (1 - weight_decay) * theta - lr * grad / lengths, state


@pytest.mark.parametrize(
    ("slow", "fast", "reason"),
    [
        (needs_floats, O.adamw, "on tensors of learning rates it fails"),
        (normalised_step, normalised_step_alone, "it gives other numbers than on each run alone"),
    ],
)
def test_rules_that_need_it_go_run_by_run(slow: Rule, fast: Rule, reason: str) -> None:
    with pytest.warns(UserWarning, match=reason):
        one_by_one = run(slow)
    stacked = run(fast)
    # The same arithmetic, with float64 rates in one case and float32 in the other.
    np.testing.assert_allclose(one_by_one["val_loss"], stacked["val_loss"], rtol=2e-4)


def test_a_rule_that_needs_only_elementwise_operations_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(O.adam_l2)


def test_a_setting_that_a_file_lacks_counts_as_the_default(tmp_path: Path) -> None:
    """Runs that were saved before there was a setting stay valid; with another value of it they do not."""
    saved, knobs = tmp_path / "runs.csv", {"classes": 4, "n_train": 160, "n_val": 100}
    made = run(data=make_data(**knobs), save=saved)  # type: ignore[arg-type]
    older = read_table(saved)
    del older.attrs["schedule"], older.attrs["data"]["clusters"]
    older.attrs["version"] = "0.0.1"
    write_table(older, saved)
    pd.testing.assert_frame_equal(run(data=make_data(**knobs), save=saved), made)  # type: ignore[arg-type]
    with pytest.raises(TableError, match='schedule is "cosine" there and "constant" here'):
        run(data=make_data(**knobs), save=saved, schedule="constant")  # type: ignore[arg-type]
    with pytest.raises(TableError, match=r"data\.clusters is 5 there and 2 here"):
        run(data=make_data(clusters=2, **knobs), save=saved)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: run(O.adam), RuleError, "adam takes no decay"),
        (
            lambda: run(lambda theta, grad: None),
            RuleError,
            "<lambda> takes (theta, grad) and cannot be called as asked",
        ),
        (lambda: run(beta3=1), RuleError, "it has no beta3"),
        (lambda: run(lrs=[]), ValueError, "lrs=[]"),
        (lambda: run(lrs=[-0.1]), ValueError, "lrs=[-0.1]: give different finite numbers from 0 up"),
        (lambda: run(decays=[1, 1]), ValueError, "decays=[1.0, 1.0]"),
        (lambda: run(decays=[math.inf]), ValueError, "decays=[inf]"),
        (lambda: run(seeds=0), ValueError, "seeds=0: give how many"),
        (lambda: run(seeds=[1, 1]), ValueError, "seeds=[1, 1]"),
        (lambda: run(epochs=0), ValueError, "epochs=0: give a whole number from 1 up"),
        (lambda: run(width=2.5), ValueError, "width=2.5"),
        (lambda: run(batch_size=1000), ValueError, "data has 160 training points, fewer than batch_size=1000"),
        (lambda: run(block=0), ValueError, "block=0"),
        (lambda: run(schedule="step"), ValueError, "schedule='step': choose one of cosine, constant"),
        (lambda: run(device="abacus"), ValueError, "device='abacus'"),
        (lambda: run(data=lambda s: make_data(n_train=100 + s)), ValueError, "all seeds need the same"),
        (lambda: run(data=3), ValueError, "data=3"),
        (lambda: run(data=lambda s: s), ValueError, "data(0) gave a int: it should make a Data"),
        (lambda: run(3), RuleError, "a function is asked for, and this is an int"),  # type: ignore[arg-type]
        (lambda: run(lrs=0.01), ValueError, "lrs=0.01: give a list of numbers, such as [0.01, 0.1]"),
        (lambda: run(decays=["a"]), ValueError, "decays=['a']: give a list of numbers"),
        (lambda: run(seeds=2.5), ValueError, "seeds=2.5: give how many"),
        (lambda: run(seeds="ab"), ValueError, "seeds="),
        (lambda: run(seeds=True), ValueError, "seeds=True"),
        (lambda: run(epochs="2"), ValueError, "epochs='2'"),
        (lambda: run(schedule=[]), ValueError, "schedule=[]: choose one of"),
        (lambda: run(device=None), ValueError, "device=None"),
        (lambda: run(device="meta"), ValueError, "device='meta': choose cpu or cuda"),
        (lambda: run(device="abacus", cluster="tcp://127.0.0.1:9"), ValueError, "device='abacus'"),
        (lambda: run(save=3), ValueError, "save=3: give the name of a file"),
        (lambda: run(scale_invariant="yes"), ValueError, "scale_invariant='yes': give True or False"),
        (lambda: run(cluster=8786), ValueError, "cluster=8786: give the address of a Dask scheduler"),
    ],
)
def test_errors_name_the_argument(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


CALLS = {"left": math.inf, "made": 0}


def interrupted(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
    """AdamW that counts its calls and raises KeyboardInterrupt when none is left."""
    CALLS["left"] -= 1
    CALLS["made"] += 1
    if CALLS["left"] < 0:
        raise KeyboardInterrupt
    return O.adamw(theta, grad, state, lr=lr, weight_decay=weight_decay)


def after(calls: float) -> Rule:
    CALLS.update(left=calls, made=0)
    return interrupted


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 1)
    save, whole = tmp_path / "runs.csv", run(after(math.inf), block=3)
    in_trial, per_block = 24, 2 * 5 * 3  # calls of the rule; epochs, batches, weight matrices
    with pytest.raises(KeyboardInterrupt):
        run(after(in_trial + 2.5 * per_block), block=3, save=save)  # 2 blocks and a half
    assert len(read_table(save)) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]  # no half-written file
    same(run(after(math.inf), block=3, save=save), whole)
    assert CALLS["made"] == in_trial + 2 * per_block
    same(run(after(in_trial), save=save), whole)  # the trial alone: nothing is left to train


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 3}, "epochs is 2 there and 3 here"),
        ({"lrs": [0.01]}, "optimizers.adamw.lrs is [0.01, 0.1] there and [0.01] here"),
        ({"scale_invariant": False}, "scale_invariant is true there and false here"),
        ({"beta1": 0.5}, "optimizers.adamw.hyper.beta1"),
        ({"data": make_data(classes=4, n_train=160, n_val=100, dim=6, seed=1)}, "data."),
        ({"rule": O.adam_l2}, "optimizers."),
    ],
)
def test_a_saved_table_of_other_settings_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    save = tmp_path / "runs.csv"
    run(save=save)
    before = save.read_bytes()
    with pytest.raises(TableError) as error:
        run(**{"save": save, **change})
    assert words in str(error.value)
    assert save.read_bytes() == before


class Scaled:
    """AdamW with its learning rate multiplied by a number that the instance holds."""

    __name__ = "adamw"

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
        return O.adamw(theta, grad, state, lr=self.factor * lr, weight_decay=weight_decay)


def with_helper(factor: float) -> Rule:
    """AdamW that calls a helper of its module, which is another one for each factor."""
    home: dict[str, Any] = {"__name__": "__notebook__", "adamw_": O.adamw}
    exec(
        f"def half(x):\n    return {factor} * x\n"
        "def adamw(theta, grad, state, *, lr, weight_decay):\n"
        "    return adamw_(theta, half(grad), state, lr=lr, weight_decay=weight_decay)\n",
        home,
    )
    return home["adamw"]  # type: ignore[no-any-return]


def with_constant(factor: float) -> Rule:
    home: dict[str, Any] = {"__name__": "__notebook__", "adamw_": O.adamw, "K": factor}
    exec(
        "def adamw(theta, grad, state, *, lr, weight_decay):\n"
        "    return adamw_(theta, K * grad, state, lr=lr, weight_decay=weight_decay)\n",
        home,
    )
    return home["adamw"]  # type: ignore[no-any-return]


def with_tensor(factor: float) -> Rule:
    large = torch.ones(5000)
    large[2500] = factor  # where a printed tensor shows dots

    def adamw(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
        return O.adamw(theta, grad * large[2500], state, lr=lr, weight_decay=weight_decay)

    return adamw


def scaled(factor: float) -> Rule:
    def adamw(theta, grad, state, *, lr, weight_decay):  # type: ignore[no-untyped-def]
        return O.adamw(theta, grad, state, lr=factor * lr, weight_decay=weight_decay)

    return adamw


@pytest.mark.parametrize(
    "make",
    [
        Scaled,
        scaled,
        with_helper,
        with_constant,
        with_tensor,
        lambda k: Scaled(k).__call__,
        lambda k: functools.partial(O.adamw, beta1=k / 10),
    ],
)
def test_other_values_make_another_rule(make: Callable[[float], Rule], tmp_path: Path) -> None:
    run(make(1.0), save=tmp_path / "runs.csv")
    same(run(make(1.0), save=tmp_path / "runs.csv"), run(make(1.0)))
    with pytest.raises(TableError, match="rule is"):
        run(make(2.0), save=tmp_path / "runs.csv")


def test_numbers_of_any_kind_can_be_saved(tmp_path: Path) -> None:
    kinds: dict[str, Any] = {"beta1": torch.tensor(0.5), "eps": np.float32(1e-6), "epochs": np.int64(2)}
    run(save=tmp_path / "runs.csv", **kinds)
    assert read_table(tmp_path / "runs.csv").attrs["optimizers"]["adamw"]["hyper"]["beta1"] == 0.5
    with pytest.raises(ValueError, match="give one number"):
        run(beta1=[0.5])


def test_more_seeds_go_on_from_a_saved_table(tmp_path: Path) -> None:
    save = tmp_path / "runs.csv"
    run(save=save, seeds=1)
    same(run(save=save, seeds=2), run(seeds=2))
    same(run(save=save, seeds=1), run(seeds=1))  # fewer: the others stay in the file, not in the table
    assert len(read_table(save)) == 12


def test_a_table_saved_before_turn_and_length_is_read_and_goes_on(tmp_path: Path) -> None:
    save, now = tmp_path / "runs.csv", run()
    old = now[now["seed"] == 0].drop(columns=MOTION)
    write_table(old, save)
    again = read_table(save)
    same(again[COLUMNS], old.reset_index(drop=True))
    assert again[MOTION].isna().all(axis=None)
    longer = run(save=save)
    same(longer[COLUMNS], now[COLUMNS])
    assert longer.loc[longer["seed"] == 0, MOTION].isna().all(axis=None)
    same(longer.loc[longer["seed"] == 1, MOTION], now.loc[now["seed"] == 1, MOTION])


def rotated(vector: torch.Tensor, degrees: float) -> torch.Tensor:
    """In the plane of the first two numbers, and made longer, which turns nothing."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    plane = torch.tensor([[c, -s], [s, c]])
    return 1.7 * torch.cat([plane @ vector[:2], vector[2:]])


@pytest.mark.parametrize("degrees", [0.01, 1.0, 30.0, 179.0])
def test_the_turn_is_the_mean_angle_of_the_weight_matrices(degrees: float) -> None:
    flat = torch.zeros(6).index_fill(0, torch.tensor([0]), 3.0)
    matrix, bias = flat.reshape(1, 2, 3), flat.reshape(1, 6)
    moved = [rotated(flat, angle) for angle in (degrees, degrees / 2, 90)]
    before, after = [matrix, matrix, bias], [moved[0].reshape(1, 2, 3), moved[1].reshape(1, 2, 3), moved[2][None]]
    # float32: of a hundredth of a degree (2e-4 rad) rounding to 6e-8 leaves three digits, an arc cosine none.
    assert float(turn(before, after)) == pytest.approx(0.75 * degrees, rel=2e-3)
    assert float(turn([bias], [moved[2][None]])) == pytest.approx(90, rel=1e-5)  # nothing but a bias
    assert float(length(before)) == pytest.approx(math.sqrt(18))


def by_seed(shift: int, from_seed: int = 0) -> Callable[[int], Data]:
    """Data drawn anew for each seed; another for seeds from ``from_seed`` up if ``shift`` is not 0."""
    sizes: dict[str, Any] = {"classes": 4, "clusters": 2, "n_train": 160, "n_val": 100, "dim": 6}
    return lambda seed: make_data(**sizes, seed=seed + shift * (seed >= from_seed))


def test_other_seeds_join_a_saved_table_and_each_seed_s_data_is_known(tmp_path: Path) -> None:
    save, data = tmp_path / "runs.csv", by_seed(0)
    run(save=save, data=data, seeds=[2])
    same(run(save=save, data=data, seeds=[0, 1]), run(data=data, seeds=[0, 1]))
    assert set(read_table(save).attrs["data"]["hash"]) == {"0", "1", "2"}
    with pytest.raises(TableError, match=r"data\.hash\.1 is"):
        run(save=save, data=by_seed(5, from_seed=1), seeds=2)
    assert len(read_table(save)) == 18
    together = join([run(O.sgdw, data=data, seeds=2), run(data=data, seeds=3)])
    assert set(together.attrs["data"]["hash"]) == {"0", "1", "2"}


@pytest.mark.parametrize(
    ("cache", "parameters", "device", "runs"),
    [
        ("1024K", 7296, "cpu", 36),
        ("2048K", 7296, "cpu", 72),
        ("512K", 7296, "cpu", 36),
        ("no number", 7296, "cpu", 36),
        (None, 7296, "cpu", 36),
        ("1024K", 78_336, "cpu", 3),
        ("1024K", 10**9, "cpu", 1),
        ("1024K", 7296, "cuda", 4096),
    ],
)
def test_the_parameters_of_a_block_fill_the_cache(
    cache: str | None, parameters: int, device: str, runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CACHE_SIZE", tmp_path / "size")
    if cache is not None:
        (tmp_path / "size").write_text(f"{cache}\n", encoding="ascii")
    assert workers.fitting(parameters, device) == runs


def test_few_runs_are_cut_finer_where_they_are_kept() -> None:
    runs = [workers.Run(0.1, 0.1, seed) for seed in range(144)]
    sizes = {keep: [len(b) for b in workers.cut(runs, 72, 2, keep)] for keep in (False, True)}
    assert sizes == {False: [72, 72], True: [18] * 8}
    assert [len(b) for b in workers.cut(runs[:10], 72, 2, True)] == [5, 5]
    assert sum(workers.cut(runs, 7, 3, True), []) == runs  # noqa: RUF017


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_numbers() -> None:
    here, there = run(), run(device="cuda")
    np.testing.assert_allclose(here["val_loss"], there["val_loss"], rtol=1e-3)
