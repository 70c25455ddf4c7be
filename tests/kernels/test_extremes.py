"""The law of a bridge's extremes: its terms, their bound, and the range that a price went through."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import log_ndtr
from scipy.stats import kstest

from kernels.extremes import could_reach, find_depth, find_range
from tests.kernels.problems import sample


def test_could_reach__is_a_bound_for_every_zeta() -> None:
    zeta = np.concatenate([np.linspace(-38.0, 9.0, sample(20_000, 2000)), -np.logspace(-12, 1, 300), [0.0]])
    for z in zeta:
        needed = -float(log_ndtr(z))
        assert could_reach(z, needed * (1.0 - 4e-16))
    # and not a useless one: a tenth more in the tail and it says no
    assert not could_reach(-3.0, 1.2 * -float(log_ndtr(-3.0)))
    assert not could_reach(2.0, 0.7)


def test_find_depth__minus_log_of_the_normal_law() -> None:
    zeta = np.linspace(-37.0, 3.0, 500)
    got = np.array([find_depth(z) for z in zeta])
    np.testing.assert_allclose(got, -log_ndtr(zeta), rtol=1e-12)
    assert find_depth(9.0) == pytest.approx(0.0, abs=1e-15)
    assert 700.0 < find_depth(-39.0) < 800.0  # where erfc underflows


@pytest.mark.parametrize("unit", [0.0, 80.0], ids=["log", "additive"])
def test_find_range__both_ends_have_the_exact_law(unit: float) -> None:
    """exp(-2 m (m - x) / v) is uniform for the greatest return m and the least, whatever the return x."""
    rng = np.random.default_rng(4)
    variance, draws = 0.03, sample(20_000, 400)
    moves, lows, highs = math.sqrt(variance) * rng.normal(size=draws), [], []
    for move, zeta in zip(moves, rng.normal(size=draws), strict=True):
        end = 100.0 + unit * move if unit else 100.0 * math.exp(move)
        low, high = find_range(100.0, end, unit, variance, zeta)
        assert low <= min(100.0, end)
        assert high >= max(100.0, end)
        lows.append(low)
        highs.append(high)
    for extremes in (np.array(lows), np.array(highs)):
        m = (extremes - 100.0) / unit if unit else np.log(extremes / 100.0)
        u = np.exp(-2.0 * m * (m - moves) / variance)
        assert kstest(u, "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(u, moves)[0, 1]) < 4.5 / math.sqrt(draws)


def test_find_range__a_low_zeta_is_a_low_price() -> None:
    low, high = find_range(100.0, 101.0, 0.0, 0.01, -3.0)
    assert low < 85.0
    assert high == pytest.approx(101.0, abs=0.1)
    assert find_range(100.0, 101.0, 0.0, 0.0, -3.0) == (100.0, 101.0)  # nothing moves but as it must
