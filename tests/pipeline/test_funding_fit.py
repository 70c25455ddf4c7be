"""Funding's law recovered from rates made by it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from pipeline.funding_fit import fit_funding

Floats = NDArray[np.float64]
HOUR = timedelta(hours=1)
LEVEL = np.array([[0.05, 0.10, 0.02], [-0.30, 0.60, 0.4]])
DEVIATION = np.array([[0.05, 0.08, 0.1], [0.25, 0.20, 0.3]])
HALF_LIFE = np.array([10.0, 30.0, 18.0])
RHO = np.array([0.6, -0.4, 0.0])
COMMON = 0.5


def draw_rates(steps: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Rates, probabilities (certain ones: regimes of about 2,000 h) and returns, hour by hour."""
    rng = np.random.default_rng(seed)
    regime = (np.cumsum(rng.random(steps) < 0.0005) % 2).astype(int)
    z = rng.normal(size=(steps, 3)) @ np.linalg.cholesky(np.full((3, 3), 0.5) + 0.5 * np.eye(3)).T
    own = np.sqrt(COMMON) * rng.normal(size=(steps, 1)) + np.sqrt(1 - COMMON) * rng.normal(size=(steps, 3))
    shock = RHO * z + np.sqrt(1 - RHO**2) * own
    kept = 0.5 ** (1 / HALF_LIFE)
    rates = np.empty((steps, 3))
    now = LEVEL[regime[0]]
    for t, k in enumerate(regime):
        now = LEVEL[k] + kept * (now - LEVEL[k]) + DEVIATION[k] * np.sqrt(1 - kept**2) * shock[t]
        rates[t] = now
    volatility = np.array([[0.01, 0.02, 0.02], [0.03, 0.04, 0.05]])
    return rates, np.eye(2)[regime], volatility[regime] * z


def test_fit_funding__recovers_the_law() -> None:
    fit = fit_funding(*draw_rates(40_000, 3), HOUR)
    np.testing.assert_allclose(fit.level, LEVEL, atol=0.03)
    np.testing.assert_allclose(fit.deviation, DEVIATION, rtol=0.12)
    np.testing.assert_allclose([h / HOUR for h in fit.half_life], HALF_LIFE, rtol=0.25)
    np.testing.assert_allclose(fit.correlation, RHO, atol=0.08)
    assert abs(fit.common - COMMON) < 0.08


def test_fit_funding__settled_every_8_hours_says_nearly_the_same() -> None:
    """Each rate is known for the 8 hours before it, as venues settle it."""
    rates, probabilities, returns = draw_rates(40_000, 3)
    settled = np.repeat(rates[7::8], 8, axis=0)
    fit = fit_funding(settled, probabilities, returns, HOUR)
    whole = fit_funding(rates, probabilities, returns, HOUR)
    np.testing.assert_allclose(fit.deviation, whole.deviation, rtol=0.08)
    hours = [[h / HOUR for h in each.half_life] for each in (fit, whole)]
    np.testing.assert_allclose(hours[0], hours[1], rtol=0.15)
    ratio = fit.correlation[:2] / whole.correlation[:2]  # a rate of 8 hours is late: they come out low
    assert np.all((ratio > 0.7) & (ratio < 1.0))


def test_fit_funding__bursts_in_returns_are_no_part_of_the_tie() -> None:
    rates, probabilities, returns = draw_rates(40_000, 3)
    rng = np.random.default_rng(8)
    moved = (rng.random((40_000, 1)) < 0.03) * np.array([0.08, -0.16, 0.1])
    whole = fit_funding(rates, probabilities, returns, HOUR)
    added = np.repeat(moved[:, None], 2, axis=1)
    fit = fit_funding(rates, probabilities, returns + moved, HOUR, added=added)
    np.testing.assert_allclose(fit.correlation, whole.correlation, atol=0.01)
    np.testing.assert_allclose(fit.level, whole.level)
    weak = fit_funding(rates, probabilities, returns + moved, HOUR)
    assert (np.abs(weak.correlation[:2]) < 0.85 * np.abs(RHO[:2])).all()


def test_fit_funding__bursts_that_are_half_known() -> None:
    """What is expected of them varies less than they do: neither ties nor volatility may suffer."""
    rates, probabilities, returns = draw_rates(40_000, 3)
    rng = np.random.default_rng(9)
    came = rng.random(returns.shape) < 0.05
    burst = np.where(came, rng.normal(0.0, 0.05, returns.shape), 0.0)
    deviation = returns[probabilities[:, 0] > 0.5].std(axis=0), returns[probabilities[:, 1] > 0.5].std(axis=0)
    # given that one came, it is a normal in a sum of two
    share = np.stack([0.05**2 / (0.05**2 + each**2) for each in deviation])
    added = came[:, None] * share * (returns + burst)[:, None]
    fit = fit_funding(rates, probabilities, returns + burst, HOUR, added=added)
    whole = fit_funding(rates, probabilities, returns, HOUR)
    np.testing.assert_allclose(fit.correlation, whole.correlation, atol=0.015)


def test_fit_funding__missing_rates_and_returns_are_left_out() -> None:
    rates, probabilities, returns = draw_rates(40_000, 4)
    rates[:20_000, 1] = np.nan
    rates[30_000:30_100] = np.nan
    returns[100:130] = np.nan
    fit = fit_funding(rates, probabilities, returns, HOUR)
    np.testing.assert_allclose(fit.level, LEVEL, atol=0.05)
    np.testing.assert_allclose(fit.correlation, RHO, atol=0.1)


def test_fit_funding__a_week_in_a_regime_says_half() -> None:
    """What the asset is like in all regimes weighs as seven days beside what was seen in one."""
    regime = np.zeros(24 * 365, int)
    regime[24 * 100 : 24 * 107] = 1
    rng, kept = np.random.default_rng(1), 0.5 ** (1 / 3)
    noise = 0.2 * np.sqrt(1 - kept**2) * rng.normal(size=(len(regime), 12))
    rates = lfilter([1.0], [1.0, -kept], 0.2 * (1 - kept) * regime[:, None] + noise, axis=0)
    fit = fit_funding(rates, np.eye(2)[regime], rng.normal(size=rates.shape), HOUR)
    assert fit.level.mean(axis=1) == pytest.approx([0.0, 0.1], abs=0.02)  # four standard errors
    assert fit.common == pytest.approx(0.0, abs=0.02)


def test_fit_funding__a_regime_shorter_than_the_half_life() -> None:
    """Rates of a day in regimes of ten hours never get to a level: their means by regime are no levels."""
    regime = np.random.default_rng(2).random((40_000 // 10, 1)) < 0.5
    regime = np.repeat(regime, 10, axis=0)[:, 0].astype(int)
    rng, kept = np.random.default_rng(3), 0.5 ** (1 / 24)
    noise = np.array([0.1, 0.3])[regime] * np.sqrt(1 - kept**2) * rng.normal(size=len(regime))
    rates = lfilter([1.0], [1.0, -kept], (1 - kept) * np.array([0.1, -0.3])[regime] + noise)[:, None]
    assert np.ptp([rates[regime == k].mean() for k in (0, 1)]) < 0.1
    settled = np.repeat(rates[7::8], 8, axis=0)
    for values, every, near in ((rates, (), 0.05), (settled, (8 * HOUR,), 0.12)):
        fit = fit_funding(values, np.eye(2)[regime], rng.normal(size=rates.shape), HOUR, every)
        assert fit.level[:, 0] == pytest.approx([0.1, -0.3], abs=near)
        assert fit.deviation[:, 0] == pytest.approx([0.1, 0.3], abs=0.4 * near)


def test_fit_funding__draws_count_bars_as_often_as_they_say() -> None:
    """A stretch that counts for nothing might as well be missing."""
    rates, probabilities, returns = draw_rates(20_000, 7)
    counted = probabilities * np.where(np.arange(20_000) < 12_000, 1.0, 1e-9)[:, None]
    cut = rates.copy()
    cut[12_000:] += 5.0
    fit = fit_funding(cut, counted, returns, HOUR)
    alone = fit_funding(rates[:12_000], probabilities[:12_000], returns[:12_000], HOUR)
    np.testing.assert_allclose(fit.level, alone.level, atol=0.02)


def test_fit_funding__a_constant_rate_does_not_move() -> None:
    rates, probabilities, returns = draw_rates(2_000, 5)
    fit = fit_funding(np.full_like(rates, 0.1), probabilities, returns, HOUR)
    np.testing.assert_allclose(fit.level, 0.1)
    np.testing.assert_allclose(fit.deviation, 0.0, atol=1e-12)
    assert all(np.isfinite(x).all() for x in (fit.correlation, fit.common))


def test_fit_funding__a_regime_of_before_an_asset_s_time() -> None:
    """The third asset begins where the first regime is over: there it is what it is in the other one."""
    rates, probabilities, returns = draw_rates(40_000, 6)
    order = np.argsort(probabilities[:, 1], kind="stable")
    late = order[: int(probabilities[:, 0].sum())]
    rates[late, 2] = returns[late, 2] = np.nan
    fit = fit_funding(rates, probabilities, returns, HOUR)
    assert fit.level[0, 2] == pytest.approx(fit.level[1, 2], abs=0.02)
    assert all(np.isfinite(x).all() for x in (fit.level, fit.deviation, fit.correlation, fit.common))
