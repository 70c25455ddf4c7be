"""The basis' law recovered from prices of perpetuals made by it, and from those that are at hand."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.basis_fit import fit_basis
from pipeline.history import load_prices
from pipeline.side_history import lay_beside
from tests.pipeline.known_market import BASIS, HOUR, draw_history

DATA = Path(os.environ.get("SEAWALL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def test_fit_basis__recovers_the_law() -> None:
    history = draw_history(20_000, 1)
    spot = history.prices.close
    basis = np.vstack([history.basis[:1], history.basis])
    probabilities = np.eye(2)[history.regime]
    fit = fit_basis(spot * np.exp(basis), spot, probabilities, HOUR)
    np.testing.assert_allclose(fit.level, BASIS.level, atol=2e-4)
    np.testing.assert_allclose(fit.deviation, BASIS.deviation, rtol=0.25)
    np.testing.assert_allclose([h / HOUR for h in fit.half_life], BASIS.half_life, rtol=0.5)
    # of the asset's returns: those of the perpetual have the basis in them
    np.testing.assert_allclose(fit.correlation, BASIS.correlation, atol=0.1)


@pytest.mark.skipif(not (DATA / "spot_1h.parquet").exists(), reason=f"no spot in {DATA} (SEAWALL_DATA)")
def test_fit_basis__bitcoins_perpetual() -> None:
    """One regime, from 2023: a few hundredths of a percent below spot, as wide, with days of memory."""
    perpetual = load_prices(DATA / "perp_1h.parquet", ["BTC"])
    spot = lay_beside(perpetual, load_prices(DATA / "spot_1h.parquet", ["BTC"]), "spot prices").close
    recent = perpetual.times >= np.datetime64("2023-01-01")
    steps = int(recent.sum()) - 1
    fit = fit_basis(perpetual.close[recent], spot[recent], np.ones((steps, 1)), perpetual.step)
    assert -1e-3 < fit.level[0, 0] < 0.0
    assert 1e-4 < fit.deviation[0, 0] < 1e-3
    assert timedelta(hours=6) < fit.half_life[0] < timedelta(days=30)
