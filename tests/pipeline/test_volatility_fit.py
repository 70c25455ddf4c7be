"""Implied volatility's law, from made quotes and from the index that is at hand."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.history import load_prices
from pipeline.volatility_fit import fit_implied_volatility
from tests.pipeline.test_funding_fit import DEVIATION, HALF_LIFE, HOUR, LEVEL, RHO, draw_rates

DATA = Path(os.environ.get("SEAWALL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def test_fit_implied_volatility__recovers_the_law_of_logs() -> None:
    logs, probabilities, returns = draw_rates(40_000, 3)
    fit = fit_implied_volatility(np.exp(logs), probabilities, returns, HOUR)
    np.testing.assert_allclose(fit.level, np.exp(LEVEL), rtol=0.03)
    np.testing.assert_allclose(fit.deviation, DEVIATION, rtol=0.12)
    np.testing.assert_allclose([h / HOUR for h in fit.half_life], HALF_LIFE, rtol=0.25)
    np.testing.assert_allclose(fit.correlation, RHO, atol=0.08)


@pytest.mark.skipif(not (DATA / "dvol_btc_1h.parquet").exists(), reason=f"no index in {DATA} (SEAWALL_DATA)")
def test_fit_implied_volatility__bitcoins_index() -> None:
    """One regime, 2021-03 to mid-2025: a level near the median of 60 %, weeks of memory, up as it falls."""
    index = load_prices(DATA / "dvol_btc_1h.parquet", ["BTC"])
    spot = load_prices(DATA / "perp_1h.parquet", ["BTC"], index.start, index.end)
    first, last = max(index.start, spot.start), min(index.end, spot.end)
    index, spot = (
        load_prices(DATA / name, ["BTC"], first, last) for name in ("dvol_btc_1h.parquet", "perp_1h.parquet")
    )
    assert (index.times == spot.times).all()
    returns = spot.log_returns()
    fit = fit_implied_volatility(index.close[1:] / 100, np.ones((len(returns), 1)), returns, index.step)
    assert 0.5 < fit.level[0, 0] < 0.7
    assert 0.2 < fit.deviation[0, 0] < 0.35
    assert timedelta(days=10) < fit.half_life[0] <= timedelta(days=60)
    assert -0.5 < fit.correlation[0] < -0.05
