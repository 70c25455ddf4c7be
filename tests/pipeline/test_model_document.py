"""A fit as plain data: what is pulled and rounded on the way."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.backtest.laws import figures_of
from pipeline.bursts import burst_drift
from pipeline.chain import stationary_law
from pipeline.history import Prices
from pipeline.model import MarketModel
from pipeline.model_document import add_state, model_document, named_law, shrink_drifts
from pipeline.regime_fit import RegimeFit, fit_regimes
from pipeline.side_history import SideHistory
from tests.pipeline.known_market import draw_history


def test_shrink_drifts__noise_goes_and_differences_stay() -> None:
    rng = np.random.default_rng(1)
    law, errors = np.array([0.5, 0.3, 0.2]), np.full((3, 40), 0.2**2)
    noise = shrink_drifts(rng.normal(0.0, 0.2, (3, 40)), errors, law)
    assert np.ptp(noise, axis=0).max() < 0.02
    apart = np.array([[2.0], [-1.0], [-3.5]]) * np.ones((1, 40))  # mean 0 under the law
    kept = shrink_drifts(apart + rng.normal(0.0, 0.2, (3, 40)), errors, law)
    np.testing.assert_allclose(kept.mean(axis=1), apart[:, 0], rtol=0.05)
    # a mean that is known badly is pulled to zero, one that is known well is not
    for error, want in ((1e-6, 0.8), (0.5**2 / (law @ law), 0.4)):
        mean = law @ shrink_drifts(np.full((3, 1), 0.8), np.full((3, 1), error), law)
        assert mean[0] == pytest.approx(want, rel=1e-3)


@pytest.fixture(scope="module")
def fitted() -> tuple[RegimeFit, Prices]:
    """A short fit of a history with bursts."""
    prices = draw_history(3_000, 5, bursts=True).prices
    return fit_regimes(prices.log_returns(), 2, 1, 1, levels=2, bursts=True), prices


def test_model_document__bursts_are_read_back_as_they_were_fitted(fitted: tuple[RegimeFit, Prices]) -> None:
    fit, prices = fitted
    model = MarketModel.model_validate(model_document(fit, prices, None, None))
    found, bursts = figures_of(model).bursts, fit.figures.bursts
    assert found is not None
    assert bursts is not None
    np.testing.assert_allclose(found.law, bursts.law, atol=0.1 / 8760)  # rounded to a tenth a year
    np.testing.assert_allclose(found.moves, bursts.moves, atol=1e-5)
    np.testing.assert_allclose(found.spread, bursts.spread, atol=1e-3)


def test_add_state__ties_are_to_returns_less_their_bursts(fitted: tuple[RegimeFit, Prices]) -> None:
    """A basis that goes with BTC's returns, falls of all left out."""
    fit, prices = fitted
    returns = prices.log_returns()
    likely = fit.smoothed.sum(axis=1)
    left = (likely[:, :, None] * (returns[:, None] - fit.added(returns))).sum(axis=1)[:, :1]
    basis = np.vstack([[[0.0]], 0.1 * left])
    spot = SideHistory(("BTC",), prices.close[:, :1] * np.exp(-basis), ())
    tied = {}
    for name, of in (("with", fit), ("without", replace(fit, figures=replace(fit.figures, bursts=None)))):
        document = model_document(fit, prices, None, None)
        add_state(document, "basis", spot, of, prices)
        tied[name] = document["regimes"]["calm"]["basis"]["correlation"]["BTC"]
    assert tied["with"] > tied["without"] + 0.05


def test_model_document__drift_and_bursts_together_are_what_was_fitted(
    fitted: tuple[RegimeFit, Prices],
) -> None:
    """What regimes have in common goes towards zero, what bursts bring on average included."""
    fit, prices = fitted
    figures = fit.figures
    model = MarketModel.model_validate(model_document(fit, prices, None, None))
    law = model.stationary_law()
    scale = stationary_law(figures.level_transitions) @ figures.scales
    gain = scale * burst_drift(model.bursts, model.assets, model.step)
    assert np.abs(gain).max() > 3.0  # rallies of SOL and falls of all, a year
    drift = np.array([[regime.drift[a] for a in model.assets] for regime in model.regimes.values()])
    total = law @ drift + gain
    mean = law @ figures.means * 8760 + gain
    assert (np.abs(total) < np.abs(mean)).all()
    assert (total * mean > 0.0).all()


def test_named_law__rounded_and_still_one() -> None:
    law = np.full(3, 1 / 3)
    assert named_law(law, ("a", "b", "c"), "law") == {"a": 0.3334, "b": 0.3333, "c": 0.3333}
    kept = named_law(law, ("a", "b", "c"), "law", kept=2)
    assert kept == {"a": 0.3333, "b": 0.3333, "c": 0.3334}
    assert sum(Decimal(repr(value)) for value in kept.values()) == 1


def test_add_state__basis_of_each_asset_whatever_their_order() -> None:
    history = draw_history(3_000, 1)
    prices = history.prices
    spot = prices.close * np.exp(0.001 * np.arange(1, len(prices.assets) + 1))
    fit = SimpleNamespace(
        smoothed=np.eye(2)[history.regime][:, None], added=lambda returns: np.zeros((len(returns), 2, 3))
    )
    found = []
    for order in (slice(None), slice(None, None, -1)):
        document = {"regimes": {"calm": {}, "crisis": {}}}
        add_state(document, "basis", SideHistory(prices.assets[order], spot[:, order], ()), fit, prices)
        found.append(document["regimes"]["calm"]["basis"]["level"])
    assert found[0] == found[1]
    assert len(set(found[0].values())) == len(prices.assets)
