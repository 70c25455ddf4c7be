"""The venues that are shipped."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from pipeline.errors import PlanError
from pipeline.venues import VENUES, load_venue


@pytest.mark.parametrize("name", [path.stem for path in sorted(VENUES.glob("*.yaml"))])
def test_load_venue__shipped_says_its_date_and_source(name: str) -> None:
    venue = load_venue(name)
    assert venue.name == name
    assert name.endswith(f"{venue.as_of:%Y-%m}")
    assert venue.source


def test_load_venue__dydx() -> None:
    venue = load_venue("dydx-v4-2026-03")
    assert venue.as_of == date(2026, 3, 5)
    assert (venue.rules, venue.quote, venue.taker_fee) == ("dydx_v4", "USDC", 0.0005)
    for market, initial, maintenance in (
        ("BTC-USD", 0.02, 0.012),
        ("ETH-USD", 0.02, 0.012),
        ("SOL-USD", 0.05, 0.03),
    ):
        assert venue.markets[market].initial_margin == initial
        assert venue.markets[market].maintenance_margin == maintenance
        assert venue.markets[market].funding_interval == timedelta(hours=1)
    assert {
        f"{asset}-USD" for asset in ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "ADA", "LINK", "AVAX", "LTC")
    } <= set(venue.markets)
    for name, market_ in venue.markets.items():
        assert name == f"{market_.asset}-USD"
    assert venue.liquidation is not None
    assert venue.liquidation.max_notional_liquidated_per_block == 100_000
    assert venue.liquidation is not None
    assert venue.liquidation.max_position_portion_liquidated == 0.1


def test_load_venue__unknown() -> None:
    with pytest.raises(PlanError, match="a file that can be read"):
        load_venue("dydx-v3")
