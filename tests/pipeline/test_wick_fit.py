"""Wicks from highs and lows: known laws are found again in simulated bars."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import genpareto, norm

from pipeline.figures import Shortest
from pipeline.history import Prices
from pipeline.regime_fit import RegimeFit, fit_regimes
from pipeline.wick_fit import DEEPEST, fit_wicks, measure_depths
from tests.pipeline import known_market

Floats = NDArray[np.float64]

COVARIANCE = 1e-4 * np.array([[1.0, 0.9, 0.7], [0.9, 1.44, 0.84], [0.7, 0.84, 1.96]])
NU = 5.0
LAW = {  # by way: probability, scale, tail by asset; what is common
    0: (np.array([0.3, 0.2, 0.4]), np.array([0.9, 1.2, 0.8]), np.array([0.0, 0.2, 0.1]), 0.8),
    1: (np.array([0.15, 0.3, 0.2]), np.array([1.0, 0.7, 1.1]), np.array([0.1, 0.0, 0.0]), 0.5),
}
UPRIGHT = (0.0, 0.0)


def draw_bars(
    steps: int,
    seed: int,
    law: dict[int, tuple[Floats, Floats, Floats, float]],
    lean: tuple[float, float] = UPRIGHT,
) -> Prices:
    """Bars of one Student-t regime: bridges between closes by their exact law, and wicks of that law, times
    exp(lean y) by way."""
    rng = np.random.default_rng(seed)
    assets = len(COVARIANCE)
    w = np.sqrt((NU - 2.0) / rng.chisquare(NU, steps))[:, None]
    root = np.linalg.cholesky(COVARIANCE)
    deviation = np.sqrt(np.diag(COVARIANCE))
    returns = w * rng.standard_normal((steps, assets)) @ root.T
    level = np.vstack([np.zeros(assets), np.cumsum(returns, axis=0)])
    extremes = []
    for way in (0, 1):
        probability, scale, tail, common = law[way]
        score = rng.standard_normal((steps, assets)) @ root.T / deviation
        spread = np.sqrt(returns**2 - 2.0 * (w * deviation) ** 2 * norm.logcdf(score))
        bridge = 0.5 * (spread - np.abs(returns))
        normal = math.sqrt(common) * rng.standard_normal((steps, 1))
        normal = normal + math.sqrt(1.0 - common) * rng.standard_normal((steps, assets))
        rank = norm.sf(normal) / np.maximum(probability, 1e-300)
        excess = np.where(rank < 1.0, genpareto.isf(np.minimum(rank, 1.0), tail, scale=scale), 0.0)
        y = np.clip((1.0 if way else -1.0) * returns / deviation, -6.0, 6.0)
        extremes.append(np.maximum(bridge, excess * np.exp(lean[way] * y) * w * deviation))
    ends = np.stack([level[:-1], level[1:]])
    low = np.vstack([level[:1], ends.min(axis=0) - extremes[0]])
    high = np.vstack([level[:1], ends.max(axis=0) + extremes[1]])
    times = np.datetime64("2024-01-01", "ms") + np.arange(steps + 1) * np.timedelta64(3_600_000, "ms")
    names = ("BTC", "ETH", "SOL")
    return Prices(times, timedelta(hours=1), names, np.exp(level), (), np.exp(high), np.exp(low))


def one_regime(prices: Prices) -> RegimeFit:
    return fit_regimes(prices.log_returns(), 1, seed=1, starts=1)


def test_measure_depths__beyond_both_ends() -> None:
    times = np.array(["2024-01-01T00", "2024-01-01T01", "2024-01-01T02"], "datetime64[ms]")
    close, high, low = (
        np.array([[100.0], [110.0], [105.0]]),
        [[101.0], [121.0], [108.0]],
        [[99.0], [99.0], [np.nan]],
    )
    prices = Prices(times, timedelta(hours=1), ("A",), close, (), np.array(high), np.array(low))
    depths = measure_depths(prices)
    np.testing.assert_allclose(depths[0, :, 0], np.log([100.0 / 99.0, 121.0 / 110.0]))
    assert np.isnan(depths[1, 0, 0])
    assert depths[1, 1, 0] == 0.0  # a high below the close before: the bar opened elsewhere
    with pytest.raises(ValueError, match="without highs"):
        measure_depths(Prices(times, timedelta(hours=1), ("A",), close, ()))


def test_fit_wicks__finds_known_laws_again() -> None:
    """Within about four standard errors of 12,000 bars."""
    prices = draw_bars(12_000, 11, LAW)
    found = fit_wicks(prices, one_regime(prices), 1)
    assert found.bars == 12_000
    for way, (probability, scale, tail, common) in LAW.items():
        np.testing.assert_allclose(found.probability[0, way], probability, rtol=0.25)
        np.testing.assert_allclose(found.scale[0, way], scale, rtol=0.15)
        np.testing.assert_allclose(found.tail[0, way], tail, atol=0.12)
        # what matters: how often the excess is above two standard deviations
        want = probability * genpareto.sf(2.0, tail, scale=scale)
        over = found.probability[0, way] * genpareto.sf(2.0, found.tail[0, way], scale=found.scale[0, way])
        np.testing.assert_allclose(over, want, rtol=0.2)
        assert found.common[0, way] == pytest.approx(common, abs=0.1)


def test_fit_wicks__regimes_that_are_never_sure() -> None:
    """Deep bars of the louder regime are not taken for wicks of the calmer one, nor what they share."""
    prices = known_market.draw_history(8_000, 5).prices
    fit = fit_regimes(prices.log_returns(), 2, 1, 1, Shortest(level=72.0), levels=2)
    sure = fit.smoothed.sum(axis=1).max(axis=1)
    assert np.quantile(sure, 0.25) < 0.9
    found = fit_wicks(prices, fit, 1)
    for way, law in enumerate(known_market.WICKS):
        # four standard errors of the mean over assets; counted by probability they would be off by half
        ratio = (found.probability[:, way] / law.probability).mean(axis=1)
        np.testing.assert_allclose(ratio, 1.0, atol=0.35)
        np.testing.assert_allclose(found.scale[:, way] / law.scale, 1.0, atol=0.6)
        np.testing.assert_allclose(found.common[:, way], law.common, atol=0.2)


def test_fit_wicks__finds_how_wicks_lean_with_the_hour() -> None:
    """Over assets: each alone is off by 0.06 and less where wicks don't lean, or at most by 0.1."""
    for lean in (UPRIGHT, (0.35, 0.2)):
        prices = draw_bars(12_000, 15, LAW, lean)
        found = fit_wicks(prices, one_regime(prices), 1)
        np.testing.assert_allclose(found.lean[0].mean(axis=-1), lean, atol=0.06)
        for way, (probability, scale, _, _) in LAW.items():
            np.testing.assert_allclose(found.probability[0, way], probability, rtol=0.3)
            np.testing.assert_allclose(found.scale[0, way], scale, rtol=0.2)


def test_fit_wicks__a_bridge_has_hardly_any() -> None:
    none = (np.zeros(3), np.ones(3), np.zeros(3), 0.0)
    prices = draw_bars(8_000, 12, {0: none, 1: none})
    found = fit_wicks(prices, one_regime(prices), 1)
    over = found.probability * genpareto.sf(1.0, found.tail, scale=found.scale)
    assert over.max() < 0.01


def test_fit_wicks__one_absurd_print_hardly_moves_the_law() -> None:
    prices = draw_bars(4_000, 13, LAW)
    plain = fit_wicks(prices, one_regime(prices), 1)
    assert prices.low is not None
    prices.low[2_000, 0] /= 1e5
    bent = fit_wicks(prices, one_regime(prices), 1)
    assert (plain.cut, bent.cut) == (0, 1)
    assert math.log(1e5) > DEEPEST
    far = [fit.probability * genpareto.sf(2.0, fit.tail, scale=fit.scale) for fit in (plain, bent)]
    np.testing.assert_allclose(far[1], far[0], rtol=0.15)
    assert bent.tail.max() < plain.tail.max() + 0.15


def test_fit_wicks__of_one_asset_and_with_missing_bars() -> None:
    prices = draw_bars(3_000, 14, LAW)
    assert prices.high is not None
    assert prices.low is not None
    prices.high[100:110, 0] = np.nan
    for panel in (prices.close, prices.high, prices.low):
        panel[200, 0] = np.nan  # and with that close the next bar has no start
    single = Prices(
        prices.times, prices.step, ("BTC",), prices.close[:, :1], (), prices.high[:, :1], prices.low[:, :1]
    )
    found = fit_wicks(single, one_regime(single), 1)
    assert found.bars == 2_988
    assert found.common.tolist() == [[0.0, 0.0]]
    assert found.probability[0, 0, 0] == pytest.approx(0.3, abs=0.12)
