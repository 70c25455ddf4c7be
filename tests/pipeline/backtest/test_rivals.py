from datetime import timedelta

import numpy as np
import pytest

from pipeline.backtest.books import StandardBook
from pipeline.backtest.outcomes import find_hits, least_margin
from pipeline.backtest.rivals import gaussian_model, resampled_passages
from tests.pipeline.backtest.markets import draw_bars

PAIR = StandardBook("pair", {"BTC": 0.5, "ETH": -0.5})
DAY, WEEK = timedelta(days=1), timedelta(days=7)


def test_gaussian_model__has_the_covariance_of_the_returns():
    bars = draw_bars(500, 1)
    bars.close[100] = np.nan
    prices = bars.prices(0, 500, ("ETH", "BTC"))
    model = gaussian_model(prices)
    returns = prices.log_returns()
    whole = returns[~np.isnan(returns).any(axis=1)]
    regime = model.regimes["market"]
    assert [regime.volatility[a] for a in ("ETH", "BTC")] == pytest.approx(
        whole.std(axis=0, ddof=1) * 8760**0.5
    )
    assert regime.correlation[0][1] == pytest.approx(np.corrcoef(whole.T)[0, 1])
    assert regime.tail is None


def test_resampled_passages__of_a_day_is_the_share_of_historical_days():
    bars = draw_bars(24 * 60, 3)
    p = resampled_passages(bars, (0, 24 * 60), (PAIR,), (15.0, 30.0), (DAY,), 20_000, 5)
    starts = np.arange(1, 24 * 59 + 1)
    exact = np.nanmean(find_hits(least_margin(bars, PAIR, starts, (DAY,)), (15.0, 30.0)), axis=0)
    assert exact.max() > 0.1
    assert p[0] == pytest.approx(exact, abs=3 * 0.5 / np.sqrt(20_000) + 0.01)


def test_resampled_passages__weeks_are_joined_days():
    bars = draw_bars(24 * 60, 3)
    p = resampled_passages(bars, (0, 24 * 60), (PAIR,), (15.0,), (DAY, WEEK), 4000, 5)
    assert p[0, 0, 1] > 2 * p[0, 0, 0]


def test_resampled_passages__looks_at_the_window_alone_and_not_at_holes():
    bars = draw_bars(24 * 60, 3)
    args = ((PAIR,), (15.0,), (DAY, WEEK), 500, 5)
    before = resampled_passages(bars, (0, 600), *args)
    bars.low[600:], bars.high[600:], bars.close[600:] = 0.1, 9.0, 1.0
    assert np.array_equal(resampled_passages(bars, (0, 600), *args), before)
    for figures in (bars.low, bars.high, bars.close):
        figures[::20] = np.nan
    assert np.isnan(resampled_passages(bars, (0, 600), *args)).all()
