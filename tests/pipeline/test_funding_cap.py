from __future__ import annotations

from math import inf

import pytest

from pipeline.dydx.tier import Tier
from pipeline.funding_cap import annual_cap
from pipeline.venues import load_venue

A_YEAR_OF_8H = 3 * 365


@pytest.mark.parametrize(("market", "per_8h"), [("BTC-USD", 0.048), ("SOL-USD", 0.12), ("XRP-USD", 0.30)])
def test_annual_cap__dydx_by_tier(market: str, per_8h: float) -> None:
    """The venue's own table: 4.8 %, 12 % and 30 % per 8 hours; the same as in the chain's integers."""
    venue = load_venue("dydx-v4-2026-03")
    tier = venue.tiers[venue.markets[market].tier or ""]
    assert annual_cap(venue, venue.markets[market]) == pytest.approx(per_8h * A_YEAR_OF_8H)
    whole = Tier(round(tier.initial_margin * 1e6), round(tier.maintenance_fraction * 1e6))
    assert whole.funding_clamp_ppm(6_000_000) == round(per_8h * 1e6)


def test_annual_cap__stated_for_an_interval() -> None:
    venue = load_venue("hyperliquid-2026-09")
    assert annual_cap(venue, venue.markets["BTC"]) == pytest.approx(0.04 * 24 * 365)


def test_annual_cap__stated_goes_before_the_rule() -> None:
    venue = load_venue("dydx-v4-2026-03")
    market = venue.markets["BTC-USD"].model_copy(update={"funding_cap": 0.001})
    assert annual_cap(venue, market) == pytest.approx(0.001 * 8760)


def test_annual_cap__unstated_is_no_clamp() -> None:
    venue = load_venue("binance-um-2026-09")
    assert annual_cap(venue, venue.markets["BTCUSDT"]) == inf
