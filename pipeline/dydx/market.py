"""A perpetual market, and the grid its orders lie on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from pipeline.dydx.errors import DydxError
from pipeline.dydx.tier import Tier
from pipeline.dydx.units import QUOTE_RESOLUTION, base_to_quote, quote_to_base, times_power_of_ten


@dataclass(frozen=True, slots=True)
class Market:
    """A perpetual at its oracle price.

    One base quantum is 10^atomic_resolution coins; USD per coin = price x 10^price_exponent; open interest in
    base quantums, one side counted; the funding index in ppm of quote quantums per base quantum; default
    funding in ppm per 8 hours. An isolated market keeps its own collateral pool and insurance fund.
    """

    perpetual_id: int
    atomic_resolution: int
    price: int
    price_exponent: int
    tier: Tier
    open_interest: int = 0
    funding_index: int = 0
    default_funding_ppm: int = 0
    isolated: bool = False

    def notional(self, quantums: int) -> int:
        """Signed notional at the oracle price, quote quantums, toward zero."""
        return base_to_quote(quantums, self.atomic_resolution, self.price, self.price_exponent)

    def size(self, notional: int) -> int:
        """Base quantums of a notional at the oracle price, toward zero."""
        return quote_to_base(notional, self.atomic_resolution, self.price, self.price_exponent)

    def margins(self, quantums: int, custom_imf_ppm: int = 0) -> tuple[int, int]:
        """Initial and maintenance margin of a position alone, quote quantums. `x/perpetuals/lib/lib.go`."""
        notional = abs(self.notional(quantums))
        initial = self.tier.initial_margin(notional, self.notional(self.open_interest), custom_imf_ppm)
        return initial, self.tier.maintenance_margin(notional)


@dataclass(frozen=True, slots=True)
class Pair:
    """How orders of a market are written: size step, tick, and the power of ten of a subtick.

    Quote quantums = subticks x base quantums x 10^quantum_conversion_exponent. In final settlement nothing
    trades and every position is closed. `x/clob/types/clob_pair.go`.
    """

    quantum_conversion_exponent: int
    step_base_quantums: int = 1
    subticks_per_tick: int = 1
    final_settlement: bool = False

    def quote(self, subticks: int, quantums: int) -> int:
        """What a fill of so many base quantums (not negative) costs, quote quantums, floor."""
        return times_power_of_ten(subticks * quantums, self.quantum_conversion_exponent)

    def oracle_subticks(self, market: Market) -> Fraction:
        """The oracle price in subticks, exact."""
        exponent = market.price_exponent + market.atomic_resolution - QUOTE_RESOLUTION
        return market.price * Fraction(10) ** (exponent - self.quantum_conversion_exponent)


def market_of(markets: Mapping[int, Market], perpetual_id: int) -> Market:
    """The market of a perpetual; DydxError where there is none."""
    if perpetual_id not in markets:
        raise DydxError(f"perpetual {perpetual_id} does not exist")
    return markets[perpetual_id]
