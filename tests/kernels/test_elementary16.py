"""Functions of float32 against numpy's of float64, over their whole range."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.elementary16 import exp16, log16, sine_cosine16
from kernels.jit import hot
from kernels.simd import load, store
from tests.kernels.problems import sample

Floats32 = NDArray[np.float32]
N = sample(1 << 20, 1 << 12)


@hot
def run_log(x: Floats32, out: Floats32) -> None:
    for i in range(0, x.shape[0], 16):
        store(out, i, log16(load(x, i)))


@hot
def run_exp(x: Floats32, out: Floats32) -> None:
    for i in range(0, x.shape[0], 16):
        store(out, i, exp16(load(x, i)))


@hot
def run_sine_cosine(x: Floats32, sine: Floats32, cosine: Floats32) -> None:
    for i in range(0, x.shape[0], 16):
        s, c = sine_cosine16(load(x, i))
        store(sine, i, s)
        store(cosine, i, c)


def test_log16__within_its_bound() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [
            rng.uniform(0.0, 1.0, N) + 2.0**-43,
            2.0 ** rng.uniform(-43.0, 10.0, N),
            1.0 + rng.uniform(-1e-3, 1e-3, N),
            math.sqrt(0.5) * (1.0 + rng.uniform(-1e-6, 1e-6, N)),  # where the exponent changes
        ]
    ).astype(np.float32)
    out = np.empty_like(x)
    run_log(x, out)
    want = np.log(x.astype(np.float64))
    assert (np.abs(out - want) <= 1.2e-7 * np.maximum(np.abs(want), 2e-7)).all()
    assert out[x == 1.0].size == 0 or (out[x == 1.0] == 0.0).all()


def test_exp16__within_its_bound() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate(
        [
            rng.uniform(-1.0, 1.0, N),
            rng.uniform(-86.0, 86.0, N),
            rng.normal(0.0, 0.01, N),
            np.zeros(16),
        ]
    ).astype(np.float32)
    out = np.empty_like(x)
    run_exp(x, out)
    assert np.abs(out / np.exp(x.astype(np.float64)) - 1.0).max() < 1.2e-7
    assert (out[-16:] == 1.0).all()


def test_exp16__small_steps_do_not_drift() -> None:
    """The mean error over steps such as an hour's: what a year of them would add up to is below 1e-5."""
    x = np.random.default_rng(3).normal(0.0, 0.005, N).astype(np.float32)
    out = np.empty_like(x)
    run_exp(x, out)
    drift = float((out / np.exp(x.astype(np.float64)) - 1.0).mean())
    assert abs(drift) < 1e-9 + 4.0 * 6e-8 / math.sqrt(N)


def test_sine_cosine16__within_their_bounds() -> None:
    x = np.random.default_rng(4).uniform(-math.pi / 4.0, math.pi / 4.0, N).astype(np.float32)
    sine, cosine = np.empty_like(x), np.empty_like(x)
    run_sine_cosine(x, sine, cosine)
    wide = x.astype(np.float64)
    assert np.abs(sine / np.sin(wide) - 1.0).max() < 1.2e-7
    assert np.abs(cosine / np.cos(wide) - 1.0).max() < 1.2e-7
