"""Holding against closing, by arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.hedge_cost import closing_cost, find_break_even, find_closing_costs, slippage_of
from pipeline.plan import plan_from_document
from pipeline.venues import Market
from tests.cubes import resolved_document


def document(**execution: Any) -> dict[str, Any]:
    """Basis: 4 BTC at 60,000 long, 70 ETH at 3,000 short, on a taker fee of 0.05 %."""
    found = resolved_document()
    found["venue"]["taker_fee"] = 0.0005
    if execution:
        found["venue"]["markets"]["ETH-USD"]["execution"] = execution
    return found


def test_closing_cost__fees_and_slippage_by_hand() -> None:
    plan = plan_from_document(document(depth=100_000, impact=0.01, law="linear"))
    # 210,000 of ETH: two steps of 100,000 at 1 %, and 10,000 at a tenth of 1 %
    assert closing_cost(plan, plan.accounts[0], 1.0) == pytest.approx(0.0005 * 450_000 + 2_000 + 10)
    assert closing_cost(plan, plan.accounts[0], 0.5) == pytest.approx(0.0005 * 225_000 + 1_000 + 2.5)
    costs = find_closing_costs(plan)
    assert costs.shape == (3, 4)
    assert costs[0, 1] == closing_cost(plan, plan.accounts[0], 1.0)
    assert not costs[2].any()


def test_closing_cost__at_the_mark_where_no_depth_is_stated() -> None:
    plan = plan_from_document(document())
    np.testing.assert_allclose(find_closing_costs(plan)[1], 0.0005 * 150_000 * np.array([0.5, 1, 2, 5]))


@pytest.mark.parametrize(
    ("law", "cost"), [("square_root", 0.02 * 25_000 * 0.5), ("linear", 0.02 * 25_000 / 4)]
)
def test_slippage_of__both_laws(law: str, cost: float) -> None:
    market = {"asset": "A", "initial_margin": 0.1, "maintenance_margin": 0.05}
    thin = Market.model_validate(market | {"execution": {"depth": 1e5, "impact": 0.02, "law": law}})
    assert slippage_of(thin, 25_000) == pytest.approx(cost)
    assert slippage_of(thin, 0.0) == 0.0
    assert slippage_of(Market.model_validate(market), 1e9) == 0.0


def test_find_break_even__a_hedge_by_hand() -> None:
    """27.40 a day against 50 to close: 1.83 days; received, never; of who holds nothing no word."""
    plan = plan_from_document(document())
    days = np.array([1 / 6, 1, 7])
    closing = np.full((3, 4), 50.0)
    daily = np.array([27.4, -5.0, 27.4])[np.newaxis, :, np.newaxis, np.newaxis]
    paid = np.broadcast_to(daily * days, (3, 3, 4, 3))
    even, low, high = find_break_even(closing, (paid, paid - 30 * days, paid + 10 * days), plan)
    np.testing.assert_allclose(even[:, 0], 50 / 27.4)
    assert np.isinf(even[:, 1]).all()
    assert np.isnan(even[:, 2]).all()
    np.testing.assert_allclose(low[:, 0], 50 / 37.4)
    assert np.isinf(high[:, 0]).all()
