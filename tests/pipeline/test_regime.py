"""One regime: what its figures amount to with jumps, every mapping in the order of the assets."""

from __future__ import annotations

import pytest

from pipeline.model import model_from_document
from pipeline.plan import plan_from_document
from pipeline.regime import complete_regime
from tests.pipeline.documents import small_document, two_sided_jumps, wicked_document


def test_total_drift_and_volatility__jumps_counted_in() -> None:
    model = small_document()["model"]
    crisis = model["regimes"]["crisis"]
    found = model_from_document(model).regimes["crisis"]
    assert found.total_drift() == pytest.approx({"BTC": -12 * 0.04, "ETH": -12 * 0.05})
    assert found.total_volatility()["BTC"] == pytest.approx((1.3**2 + 12 * (0.04**2 + 0.03**2)) ** 0.5)
    crisis["jumps"] = two_sided_jumps()
    found = model_from_document(model).regimes["crisis"]
    assert found.total_drift()["ETH"] == pytest.approx(12 * (0.4 * 0.04 - 0.6 * 0.07))
    square = 2 * (0.3 * 0.03**2 + 0.7 * 0.05**2)
    assert found.total_volatility()["BTC"] == pytest.approx((1.3**2 + 12 * square) ** 0.5)
    calm = model_from_document(model).regimes["calm"]
    assert (calm.total_drift(), calm.total_volatility()) == (calm.drift, calm.volatility)


def test_complete_regime__mappings_in_the_order_of_the_assets() -> None:
    model = plan_from_document(wicked_document()).model
    turned = tuple(reversed(model.assets))
    for regime in model.regimes.values():
        found = complete_regime(regime, turned)
        assert regime.wick is not None
        assert found.wick is not None
        for values in (found.volatility, found.drift, found.wick.down.scale, found.wick.up.tail):
            assert tuple(values) == turned
        assert found.volatility == regime.volatility
