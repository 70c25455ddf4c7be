"""How far float64 may lie from the chain's integers: float64 less chain, quote quantums; derived, not fitted.

The chain truncates notionals toward zero, takes initial margin in whole ppm, and rounds margins up. float64
does none of it, but rounds the result of every operation, by a 2^-53 part at most. Without these roundings
the spans below lie within 1 a position for equity, 2 a position and 1 for maintenance margin, notional x 1e-6
and 2 a position for initial margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from pipeline.dydx.account import Account
from pipeline.dydx.market import Market
from pipeline.dydx.tier import Tier
from pipeline.dydx.units import MILLION
from tests.pipeline.dydx.twins import Twin, value_of

ROUNDING = Fraction(1, 2**53)


class Span(NamedTuple):
    """The least and the most that a difference may be."""

    low: Fraction
    high: Fraction

    @property
    def widest(self) -> Fraction:
        """The most that it may be either way."""
        return max(-self.low, self.high)

    def plus(self, other: Span) -> Span:
        """Of a sum."""
        return Span(self.low + other.low, self.high + other.high)

    def minus(self, other: Span) -> Span:
        """Of a difference."""
        return Span(self.low - other.high, self.high - other.low)

    def holds(self, difference: Fraction) -> bool:
        """Whether a difference may be so much."""
        return self.low <= difference <= self.high

    def is_negative(self, chain: int) -> bool | None:
        """Whether what is so much on the chain is below zero in float64; None where it may be either."""
        low, high = chain + self.low, chain + self.high
        return None if low < 0 <= high else high < 0


def rounded(amount: Fraction, times: int) -> Span:
    """What so many roundings of an amount come to."""
    most = times * ROUNDING * amount
    return Span(-most, most)


class Tolerance(NamedTuple):
    """Of a pool's equity, initial and maintenance margin."""

    equity: Span
    initial_margin: Span
    maintenance_margin: Span

    @property
    def excess(self) -> Span:
        """Of equity less maintenance margin."""
        return self.equity.minus(self.maintenance_margin)

    @property
    def free_collateral(self) -> Span:
        """Of equity less initial margin."""
        return self.equity.minus(self.initial_margin)


def tolerance_of(twin: Twin, pool: Account, markets: Mapping[int, Market]) -> Tolerance:
    """The tolerances of a pool of a twin at these prices."""
    equity = rounded(gross_of(twin, pool, markets), 6)  # size, price, entry, difference, product, sum
    initial = maintenance = Span(Fraction(0), Fraction(0))
    for perpetual_id, position in pool.positions.items():
        market = markets[perpetual_id]
        notional = abs(value_of(market, position.quantums))
        equity = equity.plus(Span(*map(Fraction, (0, 1) if position.quantums > 0 else (-1, 0))))
        initial = initial.plus(initial_span(market, notional, pool.custom_imf_ppm.get(perpetual_id, 0)))
        maintenance = maintenance.plus(maintenance_span(market.tier, notional))
    return Tolerance(equity, initial, maintenance)


def gross_of(twin: Twin, pool: Account, markets: Mapping[int, Market]) -> Fraction:
    """The amounts that equity is the sum of, without their signs: cash, and positions at entry and mark."""
    values = (
        value_of(market, abs(position.quantums), price)
        for i, position in pool.positions.items()
        for market in (markets[i],)
        for price in (market.price, twin.entry(i))
    )
    return abs(twin.cash(pool)) + sum(values, Fraction(0))


def maintenance_span(tier: Tier, notional: Fraction) -> Span:
    """Truncating the notional takes off less than the fraction of 1, rounding up twice adds less than 2."""
    share = Fraction(tier.maintenance_fraction_ppm, MILLION)
    fraction = Fraction(tier.initial_margin_ppm, MILLION) * share
    return Span(-1 - share, fraction).plus(rounded(notional * fraction, 6))


def initial_span(market: Market, notional: Fraction, custom_imf_ppm: int) -> Span:
    """Truncating the notional takes off less than the fraction of 1, rounding up adds less than 1.

    Between the caps of open interest whole ppm take off less than a 1e-6 part of the notional, and truncating
    open interest what one quantum of it is on the way between the caps. float64 adds and subtracts there what
    is the notional times open interest over that way.
    """
    own = rounded(notional, 8)
    lower, upper = market.tier.open_interest_lower_cap, market.tier.open_interest_upper_cap
    interest = market.notional(market.open_interest)
    if interest < lower or upper == 0:
        fraction = Fraction(max(market.tier.initial_margin_ppm, custom_imf_ppm), MILLION)
        return Span(Fraction(-1), fraction).plus(own)
    own = own.plus(rounded(notional * Fraction(interest + 1, upper - lower), 64))
    if interest >= upper:
        return Span(Fraction(-1), Fraction(1)).plus(own)
    floored = notional * (Fraction(1, MILLION) + Fraction(1, upper - lower))
    return Span(Fraction(-1), 1 + floored).plus(own)
