"""Item 6's judge: do the nine spot assets fall together as much in simulation as they did?"""

import os
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from pipeline.backtest.joint_falls import mean_tail_dependence, resampled_dependence, simulate_returns
from pipeline.calibrate import calibrate
from pipeline.history import load_prices
from pipeline.tails import tail_dependence
from tests.pipeline.backtest.markets import known_model

DATA = Path(os.environ.get("SEAWALL_DATA", Path(__file__).parents[4] / "shared" / "data"))
SPOT = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC")
DAY = timedelta(days=1)
LEVEL = 0.02


def test_mean_tail_dependence__is_the_mean_over_pairs():
    returns = np.random.default_rng(1).standard_normal((500, 3)) + np.random.default_rng(2).standard_normal(
        (500, 1)
    )
    expected = [
        float(tail_dependence(returns[:, i], returns[:, j], [0.1])["chi"][0])
        for i, j in combinations(range(3), 2)
    ]
    assert mean_tail_dependence(returns, 0.1) == pytest.approx(np.mean(expected))


def test_resampled_dependence__holds_the_figure_of_the_data():
    rng = np.random.default_rng(1)
    returns = rng.standard_normal((800, 3)) + rng.standard_normal((800, 1))
    low, high = resampled_dependence(returns, 0.05, block=10, draws=200, seed=3)
    assert low < mean_tail_dependence(returns, 0.05) < high


def test_simulate_returns__has_the_moments_of_the_model():
    model = known_model(wild=0.5, tail=None)
    daily = simulate_returns(model, 20_000, 24, seed=4)
    assert daily.shape == (20_000, 2)
    assert daily.std(axis=0) == pytest.approx([0.5 / 365**0.5] * 2, rel=0.02)
    assert np.corrcoef(daily.T)[0, 1] == pytest.approx(0.7, abs=0.01)


def test_simulate_returns__regimes_and_tails_are_in_it():
    daily = simulate_returns(known_model(calm=0.2, wild=2.0, tail=3.0, stay=0.999), 4000, 24, seed=4)
    spread = daily[:, 0]
    kurtosis = np.mean((spread - spread.mean()) ** 4) / spread.var() ** 2
    assert kurtosis > 4.5  # calm days beside wild ones


def test_simulate_returns__bursts_are_in_it():
    """A fall of both twice a week and rallies of the second alone: mean, variance and covariance of days."""
    plain = known_model(wild=0.5, tail=6.0)
    fall = {"per_year": 100.0, "move": {"BTC": -0.02, "ETH": -0.03}, "spread": 0.5}
    rally = {"per_year": 200.0, "move": {"ETH": 0.02}, "spread": 1.0}
    with_bursts = type(plain).model_validate(plain.document() | {"bursts": [fall, rally]})
    without, daily = (simulate_returns(model, 200_000, 24, seed=4) for model in (plain, with_bursts))
    n_fall, n_rally = 100.0 / 365.0, 200.0 / 365.0
    assert daily.mean(axis=0) - without.mean(axis=0) == pytest.approx(
        [-0.02 * n_fall, -0.03 * n_fall + 0.02 * n_rally], abs=4e-4
    )
    heavier = 0.5 * (1.0 + 6.0 / 4.0)  # E(w^2), with tails in half the hours
    square = n_fall * (1.0 + 0.25 * heavier) * np.outer([0.02, 0.03], [0.02, 0.03])
    square[1, 1] += n_rally * (1.0 + heavier) * 0.02**2
    np.testing.assert_allclose(np.cov(daily.T) - np.cov(without.T), square, rtol=0.1)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="no market history beside the project")
def test_tail_dependence__of_nine_spot_assets_is_that_of_the_data():
    window = (datetime(2020, 10, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))
    prices = load_prices(DATA / "spot_1h.parquet", SPOT, *window)
    closes = prices.close[23::24]
    daily = np.diff(np.log(closes), axis=0)
    daily = daily[~np.isnan(daily).any(axis=1)]
    data = mean_tail_dependence(daily, LEVEL)
    low, high = resampled_dependence(daily, LEVEL, block=20, draws=1000, seed=1)
    model = calibrate(prices, None, 4, 0, 2)
    simulated = mean_tail_dependence(simulate_returns(model, 100_000, 24, seed=2), LEVEL)
    rng = np.random.default_rng(3)
    gaussian = rng.standard_normal((100_000, len(SPOT))) @ np.linalg.cholesky(np.corrcoef(daily.T)).T
    copula = mean_tail_dependence(gaussian, LEVEL)
    print(
        f"data {data:.3f} ({low:.3f} to {high:.3f}), simulated {simulated:.3f}, Gaussian copula {copula:.3f}"
    )
    assert data == pytest.approx(0.51, abs=0.02)
    assert low <= simulated <= high
    assert copula < low
