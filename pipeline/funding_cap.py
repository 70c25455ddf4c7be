"""The largest funding rate that a venue lets settle."""

from __future__ import annotations

from math import inf

from pipeline.units import YEAR, parse_duration
from pipeline.venues import Market, Venue

# x/perpetuals, params.funding_rate_clamp_factor_ppm of the default genesis: 6,000,000
DYDX_CLAMP_FACTOR = 6.0
DYDX_RATE_PERIOD = parse_duration("8h")


def annual_cap(venue: Venue, market: Market) -> float:
    """The largest absolute rate of a market, annualised; infinite where neither rule nor file has one.

    A market's own `funding_cap` goes first. dydx_v4: 6 x (initial - maintenance margin) per 8 hours, of base
    margins (`pipeline.dydx.tier.Tier.funding_clamp_ppm` in integers).
    """
    if market.funding_cap is not None:
        return market.funding_cap * (YEAR / market.funding_interval)
    if venue.rules == "dydx_v4":
        assert market.initial_margin is not None
        assert market.maintenance_margin is not None
        room = market.initial_margin - market.maintenance_margin
        return DYDX_CLAMP_FACTOR * room * (YEAR / DYDX_RATE_PERIOD)
    return inf
