"""Data: determined by the seed, one knob at a time, clean validation labels, clear errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from adamw_pset.data import DIFFICULTIES, Data, load_arrays, load_digits_data, make_data

SMALL = {"n_train": 400, "n_val": 300}


@pytest.mark.parametrize("make", [lambda s: make_data(seed=s, **SMALL), lambda s: load_digits_data(seed=s)])
def test_seed_determines_everything(make: Callable[[int], Data]) -> None:
    assert make(3).fingerprint() == make(3).fingerprint() != make(4).fingerprint()


def test_fingerprint_sees_each_array() -> None:
    data = make_data(**SMALL)
    parts = {name: getattr(data, name) for name in ("x_train", "y_train", "x_val", "y_val")}
    for name, array in parts.items():
        changed = array.clone()
        changed[0] = changed[0] + 1
        assert Data(**{**parts, name: changed}).fingerprint() != data.fingerprint(), name


@pytest.mark.parametrize(
    ("knobs", "same"),
    [
        ({"label_noise": 0.0}, ["x_train", "x_val", "y_val"]),  # noise touches training labels alone
        ({"separation": 2.0}, ["y_train", "y_val"]),
        ({"n_train": 300}, ["x_val", "y_val"]),
    ],
)
def test_a_knob_leaves_the_other_draws_alone(knobs: dict[str, Any], same: list[str]) -> None:
    one, other = make_data(**SMALL), make_data(**{**SMALL, **knobs})
    assert one.fingerprint() != other.fingerprint()
    for name in same:
        assert torch.equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("noise", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("source", [lambda noise: make_data(label_noise=noise), load_digits_data])
def test_label_noise_redraws_its_share(source: Callable[..., Data], noise: float) -> None:
    clean, noisy = source(0.0), source(noise)
    wrong = float((clean.y_train != noisy.y_train).double().mean())
    # A redrawn label comes out the same once in 10; 5 standard deviations of a share of n draws.
    assert abs(wrong - 0.9 * noise) <= 5 * 0.5 / len(clean.y_train) ** 0.5
    assert torch.equal(clean.y_val, noisy.y_val)


def test_clusters_stand_at_the_separation() -> None:
    data = make_data(classes=3, clusters=1, separation=7.0, label_noise=0.0, n_train=30_000, dim=5)
    for c in range(3):
        x = data.x_train[data.y_train == c]
        # 10,000 points of unit noise: a mean is known to 0.01 a coordinate, a variance to 0.014.
        assert abs(float(x.mean(0).norm()) - 7.0) < 0.07
        assert torch.allclose(x.var(0), torch.ones(5), atol=0.08)


def test_presets_are_ordered_and_solvable() -> None:
    scores = []
    for name in DIFFICULTIES:
        data = make_data(name, clusters=1, n_train=1000)
        model = LogisticRegression(C=0.01).fit(data.x_train.numpy(), data.y_train.numpy())
        scores.append(model.score(data.x_val.numpy(), data.y_val.numpy()))
    assert list(DIFFICULTIES) == ["easy", "medium", "hard"]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0.9  # one cluster a class is a linear task


def test_digits_are_the_digits() -> None:
    data = load_digits_data(label_noise=0.0)
    assert (len(data.x_train) + len(data.x_val), data.dim, data.classes) == (1797, 64, 10)
    model = LogisticRegression(C=0.1, max_iter=1000).fit(data.x_train.numpy(), data.y_train.numpy())
    assert model.score(data.x_val.numpy(), data.y_val.numpy()) > 0.93


def test_own_arrays_from_a_file(tmp_path: Path) -> None:
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_val=x, y_val=y)
    data = load_arrays(tmp_path / "mine.npz")
    assert (data.dim, data.classes, data.x_train.dtype, data.y_train.dtype) == (2, 3, torch.float32, torch.int64)
    np.savez(tmp_path / "half.npz", x_train=x, y_train=y)
    with pytest.raises(ValueError, match="has no x_val, y_val"):
        load_arrays(tmp_path / "half.npz")
    np.savez(tmp_path / "named.npz", x_train=x, y_train=y.astype(str), x_val=x, y_val=y)
    with pytest.raises(ValueError, match=r"named\.npz: y_train holds .*number the classes from 0"):
        load_arrays(tmp_path / "named.npz")
    np.save(tmp_path / "one.npy", x)
    for name, content in (("one.npz", (tmp_path / "one.npy").read_bytes()), ("empty.npz", b""), ("text.npz", b"x")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is not an .npz file of numbers"):
            load_arrays(tmp_path / name)
    assert Data(x, y.astype(np.uint16), x, y).classes == 3


X, Y = np.zeros((4, 2)), np.zeros(4, dtype=int)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make_data("extreme"), "difficulty='extreme': choose one of easy, medium, hard"),
        (lambda: make_data(classes=1), "classes=1: give a whole number from 2 up"),
        (lambda: make_data(clusters=0), "clusters=0: give a whole number from 1 up"),
        (lambda: make_data(label_noise=1.5), "label_noise=1.5: give a number from 0 to 1"),
        (lambda: make_data(separation=-1), "separation=-1: give a number from 0 up"),
        (lambda: make_data(n_train=0), "n_train=0"),
        (lambda: make_data(n_val=2.5), "n_val=2.5"),  # type: ignore[arg-type]
        (lambda: make_data(dim=0), "dim=0"),
        (lambda: make_data(seed=-1), "seed=-1: give a whole number from 0 up"),
        (lambda: load_digits_data(label_noise=-0.1), "label_noise=-0.1"),
        (lambda: Data(X, Y[:3], X, Y), "x_train has 4 rows and y_train 3"),
        (lambda: Data(X, Y, X[:, :1], Y), "x_val has rows of shape"),
        (lambda: Data(X, Y, X * np.nan, Y), "x_val holds NaN"),
        (lambda: Data(X, Y / 2, X, Y), "y_train is torch.float64"),
        (lambda: Data(X, Y - 1, X, Y), "y_train holds the label -1"),
        (lambda: Data(X + 1j, Y, X, Y), "x_train holds complex numbers"),
        (lambda: make_data(classes=3.0), "classes=3.0"),  # type: ignore[arg-type]
        (lambda: Data(X[:0], Y[:0], X, Y), "x_train has shape"),
    ],
)
def test_errors_name_the_argument(call: Callable[[], Data], words: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the words are checked below)
        call()
    assert words in str(error.value)
