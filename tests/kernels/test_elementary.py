"""The elementary functions against extended precision."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kernels.elementary import exp, log, sine_cosine
from tests.kernels.problems import Floats, sample

LIMIT = 5e-16
pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="needs a long double wider than a double as the reference"
)


def test_log__relative_error() -> None:
    rng = np.random.default_rng(1)
    n = sample(20_000, 500)
    x = np.concatenate(
        [
            rng.uniform(0.0, 1.0, n),
            2.0 ** rng.uniform(-1000.0, 1000.0, n),
            1.0 + rng.uniform(-1e-3, 1e-3, n),
            math.sqrt(0.5) * (1.0 + rng.uniform(-1e-9, 1e-9, n)),  # where the exponent changes
            [2.0**-53, 1.0 - 2.0**-53, 0.5, 2.0, 1.0 + 2.0**-52, np.finfo(float).tiny],
        ]
    )
    x = x[x > 0.0]
    got = np.array([log(v) for v in x])
    want = np.log(x.astype(np.longdouble))
    assert np.abs(got / want - 1.0).max() < LIMIT


def test_log__one_is_exactly_zero() -> None:
    assert log(1.0) == 0.0


def test_exp__relative_error() -> None:
    rng = np.random.default_rng(2)
    n = sample(20_000, 500)
    x = np.concatenate(
        [
            rng.normal(0.0, 0.02, n),
            rng.uniform(-1.0, 1.0, n),
            rng.uniform(-40.0, 40.0, n),
            rng.uniform(-699.0, 699.0, n),
            (np.arange(-50, 50) + 0.5) * math.log(2.0),  # farthest from a power of two
        ]
    )
    got = np.array([exp(v) for v in x])
    assert np.abs(got / np.exp(x.astype(np.longdouble)) - 1.0).max() < LIMIT


def test_exp__zero_is_exactly_one() -> None:
    assert exp(0.0) == 1.0
    assert exp(-0.0) == 1.0


def test_exp__undoes_log() -> None:
    x = np.random.default_rng(3).uniform(0.01, 100.0, sample(5_000, 500))
    np.testing.assert_allclose([exp(log(v)) for v in x], x, rtol=4e-15)


def test_sine_cosine__absolute_error() -> None:
    rng = np.random.default_rng(4)
    eighths = np.arange(8) / 8.0
    turn = np.concatenate(
        [
            rng.uniform(0.0, 1.0, sample(20_000, 500)),
            eighths,
            np.nextafter(eighths[1:], 0.0),
            np.nextafter(eighths, 1.0),
            [2.0**-53, 1.0 - 2.0**-53],
        ]
    )
    got = np.array([sine_cosine(t) for t in turn])
    angle: Floats = turn.astype(np.longdouble) * (4.0 * np.arctan(np.longdouble(1.0))) * 2.0
    assert np.abs(got[:, 0] - np.sin(angle)).max() < LIMIT
    assert np.abs(got[:, 1] - np.cos(angle)).max() < LIMIT


def test_sine_cosine__quarter_turns_exact() -> None:
    got = [sine_cosine(q / 4.0) for q in range(4)]
    np.testing.assert_array_equal(got, [(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)])


def test_sine_cosine__on_the_unit_circle() -> None:
    for turn in np.random.default_rng(5).uniform(0.0, 1.0, 500):
        assert math.hypot(*sine_cosine(turn)) == pytest.approx(1.0, abs=4e-16)
