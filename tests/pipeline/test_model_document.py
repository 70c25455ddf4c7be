"""A fit as plain data: what is pulled and rounded on the way."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.model_document import add_state, named_law, shrink_drifts
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
    fit = SimpleNamespace(smoothed=np.eye(2)[history.regime][:, None])
    found = []
    for order in (slice(None), slice(None, None, -1)):
        document = {"regimes": {"calm": {}, "crisis": {}}}
        add_state(document, "basis", SideHistory(prices.assets[order], spot[:, order], ()), fit, prices)
        found.append(document["regimes"]["calm"]["basis"]["level"])
    assert found[0] == found[1]
    assert len(set(found[0].values())) == len(prices.assets)
