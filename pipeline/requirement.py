"""What a position must be backed by, as a function of its asset's price: where the rule families differ.

Every family comes down to a line through zero and, above certain prices, more. So one evaluation serves the
snapshot and the kernels, and a new family is a new way to write the line and its kinks.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from pipeline.venues import Bracket, Market, Tier, Venue


class Kink(NamedTuple):
    """A price above which a requirement is greater by jump + rise x (p - floor) + curve x (p - floor)^2."""

    floor: float
    jump: float
    rise: float
    curve: float


class Requirement(NamedTuple):
    """Margin required of one position at price p of its asset: slope x p, and kinks below p. Quote units."""

    slope: float
    kinks: tuple[Kink, ...] = ()

    def at(self, price: float) -> float:
        """The margin required at a price."""
        required = self.slope * price
        for floor, jump, rise, curve in self.kinks:
            if price > floor:
                above = price - floor
                required += jump + (rise + curve * above) * above
        return required


def initial_requirement(
    venue: Venue, market: Market, size: float, leverage: float | None = None
) -> Requirement:
    """Initial margin of a position of that size; `leverage` is what the account has set for the market.

    dydx_v4: |size| p x max(effective fraction, 1 / leverage), the fraction growing with open interest
    (`GetAdjustedInitialMarginPpm` of the chain, here without its rounding to whole ppm). tiered: |size| p
    over the lesser of `leverage` and the greatest leverage of the bracket that the whole notional lies in.
    """
    gross = abs(size)
    if venue.rules == "tiered":
        return _stepwise(gross, market.brackets, leverage)
    assert market.initial_margin is not None
    least = max(market.initial_margin, 0.0 if leverage is None else 1.0 / leverage)
    tier = venue.tiers.get(market.tier or "")
    if tier is None or not market.open_interest or tier.open_interest_upper_cap == 0 or least >= 1.0:
        return Requirement(gross * least)
    return _scaled(gross, least, tier, market.initial_margin, market.open_interest)


def maintenance_requirement(venue: Venue, market: Market, size: float) -> Requirement:
    """Maintenance margin of a position of that size.

    dydx_v4: |size| p x fraction, whatever open interest or the leverage set. tiered: notional x rate - cum of
    the bracket it lies in, which is continuous.
    """
    gross = abs(size)
    if venue.rules == "tiered":
        return _marginal(gross, market.brackets)
    assert market.maintenance_margin is not None
    return Requirement(gross * market.maintenance_margin)


def is_linear_in_size(venue: Venue, market: Market) -> bool:
    """Whether twice the size needs twice the margin at every price."""
    return venue.rules != "tiered" or len(market.brackets) == 1


def _marginal(gross: float, brackets: tuple[Bracket, ...]) -> Requirement:
    """Each bracket's rate on the part of the notional that lies in it: notional x rate - cum, continuous."""
    rises = [
        Kink(low.up_to / gross, 0.0, gross * (high.maintenance_margin - low.maintenance_margin), 0.0)
        for low, high in pairwise(brackets)
        if gross > 0 and low.up_to is not None and high.maintenance_margin != low.maintenance_margin
    ]
    return Requirement(gross * brackets[0].maintenance_margin, tuple(rises))


def _stepwise(gross: float, brackets: tuple[Bracket, ...], leverage: float | None) -> Requirement:
    """One rate on the whole notional, that of the bracket it lies in: it jumps from bracket to bracket."""
    rates = [
        1.0 / (bracket.max_leverage if leverage is None else min(leverage, bracket.max_leverage))
        for bracket in brackets
    ]
    steps = [
        Kink(low.up_to / gross, low.up_to * (after - before), gross * (after - before), 0.0)
        for low, (before, after) in zip(brackets, pairwise(rates), strict=False)
        if gross > 0 and low.up_to is not None and after != before
    ]
    return Requirement(gross * rates[0], tuple(steps))


def _scaled(gross: float, least: float, tier: Tier, base: float, open_interest: float) -> Requirement:
    """max(least, fraction), the fraction rising in a line from base at the lower cap to 1 at the upper.

    With open interest O in coins the fraction at price p is base + k (p - p_l), p_l = lower / O and
    k = (1 - base) O / (upper - lower). Beyond the price p_c at which it passes `least` the requirement is
    more by k p (p - p_c) = k p_c (p - p_c) + k (p - p_c)^2, and from p_u = upper / O on it is |size| p.
    """
    lower, upper = tier.open_interest_lower_cap, tier.open_interest_upper_cap
    slope = (1.0 - base) * open_interest / (upper - lower)
    passes = lower / open_interest + (least - base) / slope
    full = upper / open_interest
    return Requirement(
        gross * least,
        (
            Kink(passes, 0.0, gross * slope * passes, gross * slope),
            Kink(full, 0.0, gross * (1.0 - least - slope * (2.0 * full - passes)), -gross * slope),
        ),
    )
