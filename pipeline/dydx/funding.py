"""Funding: the premium voted for, the sample, the hourly rate, the index, and what accounts pay."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from pipeline.dydx.account import USDC, Account
from pipeline.dydx.book import Order, best_first
from pipeline.dydx.errors import DydxError
from pipeline.dydx.market import Market, Pair, market_of
from pipeline.dydx.units import MILLION, base_to_quote, clamp, divide_toward_zero, divide_up

RATE_PERIOD_S = 8 * 3600  # rates are per eight hours
INT32_MAX = 2**31 - 1


class Tick(NamedTuple):
    """The rate of one market over a funding interval, ppm per 8 hours, and what its index moves by."""

    rate_ppm: int
    index_delta: int


def price_premium_ppm(
    orders: Sequence[Order], pair: Pair, market: Market, impact_notional: int, max_abs_ppm: int
) -> int:
    """The premium vote: how far the impact price lies outside the index, ppm, toward zero, clamped.

    `market` carries the index price, `orders` rest in order of time, `impact_notional` is in quote quantums.
    Zero inside the spread, and where the side is not deep enough. `x/clob/memclob/memclob.go
    GetPricePremium`.

    Errors: DydxError where the index price is zero or the orders cross.
    """
    index = pair.oracle_subticks(market)
    if index == 0:
        raise DydxError("a premium needs an index price above zero")
    bids, asks = best_first(orders, is_buy=True), best_first(orders, is_buy=False)
    if bids and asks and bids[0].subticks >= asks[0].subticks:
        raise DydxError(f"the book is crossed: bid {bids[0].subticks}, ask {asks[0].subticks}")
    if bids and index < bids[0].subticks:
        impact = impact_price(bids, pair, impact_notional)
        outside = impact is not None and impact > index
    elif asks and index > asks[0].subticks:
        impact = impact_price(asks, pair, impact_notional)
        outside = impact is not None and impact < index
    else:
        return 0
    if impact is None or not outside:
        return 0
    excess = (impact / index - 1) * MILLION
    return clamp(divide_toward_zero(excess.numerator, excess.denominator), -max_abs_ppm, max_abs_ppm)


def impact_price(side: Sequence[Order], pair: Pair, impact_notional: int) -> Fraction | None:
    """The average price, in subticks, of trading a notional against one side, best first; None if too thin.

    The last order is taken in part, the base quantums are rounded up once; a notional of zero costs the best
    price.
    """
    if impact_notional == 0 and side:
        return Fraction(side[0].subticks)
    left, base = impact_notional, Fraction(0)
    for order in side:
        quote = pair.quote(order.subticks, order.quantums)
        base += order.quantums * (Fraction(left, quote) if left <= quote else 1)
        left -= quote
        if left <= 0:
            size = divide_up(base.numerator, base.denominator)
            return impact_notional * Fraction(10) ** -pair.quantum_conversion_exponent / size
    return None


def sample_ppm(votes_ppm: Sequence[int], votes_cast: int, min_votes: int) -> int:
    """The sample of a minute: the median of the votes with a zero for each that is missing.

    There are as many as were cast, or `min_votes` if more; an even number gives the mean of the middle two,
    halves away from zero. `x/perpetuals/keeper/perpetual.go`.
    """
    votes = sorted(_padded(votes_ppm, max(votes_cast, min_votes)))
    if not votes:
        return 0
    half = len(votes) // 2
    if len(votes) % 2:
        return votes[half]
    total = votes[half - 1] + votes[half]
    return divide_up(total, 2) if total > 0 else total // 2


def premium_ppm(samples_ppm: Sequence[int], samples_taken: int, min_samples: int) -> int:
    """The premium of an interval: the mean of the samples, a zero for each that is missing, toward zero."""
    samples = _padded(samples_ppm, max(samples_taken, min_samples))
    return divide_toward_zero(sum(samples), len(samples)) if samples else 0


def funding_tick(market: Market, premium_ppm: int, interval_s: int, clamp_factor_ppm: int) -> Tick:
    """The rate of an interval of so many seconds: premium plus default, then clamped, and the index's move.

    `x/perpetuals/keeper/perpetual.go MaybeProcessNewFundingTickEpoch`.

    Errors: DydxError where the rate does not fit 32 bits.
    """
    bound = market.tier.funding_clamp_ppm(clamp_factor_ppm)
    rate = clamp(premium_ppm + market.default_funding_ppm, -bound, bound)
    if rate > INT32_MAX:
        raise DydxError(f"a funding rate of {rate} ppm does not fit 32 bits")
    return Tick(rate, index_delta(market, rate, interval_s))


def index_delta(market: Market, rate_ppm: int, interval_s: int) -> int:
    """What an 8-hour rate over so many seconds adds to the index, toward zero.

    `x/perpetuals/funding/funding.go`.
    """
    scaled = base_to_quote(
        rate_ppm * interval_s, market.atomic_resolution, market.price, market.price_exponent
    )
    return divide_toward_zero(scaled, RATE_PERIOD_S)


def settlement_ppm(quantums: int, index: int, settled_index: int) -> int:
    """What a position receives since it was settled, ppm of quote quantums; longs pay as the index rises.

    `x/perpetuals/lib/lib.go GetSettlementPpmWithPerpetual`.
    """
    return -(index - settled_index) * quantums


def settle(account: Account, markets: Mapping[int, Market]) -> tuple[Account, dict[int, int]]:
    """The account with all funding paid, and each position's payment (positive: paid), quote quantums.

    The balance moves by one floor over the sum; the payments are floored one by one, so they need not add up.
    `x/subaccounts/lib/updates.go GetSettledSubaccountWithPerpetuals`.
    """
    total, payments, positions = 0, {}, {}
    for perpetual_id, position in sorted(account.positions.items()):
        index = market_of(markets, perpetual_id).funding_index
        received = settlement_ppm(position.quantums, index, position.funding_index)
        if received:
            payments[perpetual_id] = -(received // MILLION)
        total += received
        positions[perpetual_id] = dataclasses.replace(position, funding_index=index)
    usdc = account.usdc + total // MILLION
    assets = {asset: quantums for asset, quantums in account.assets.items() if asset != USDC}
    if usdc:
        assets[USDC] = usdc
    return dataclasses.replace(account, assets=assets, positions=positions), payments


def _padded(values: Sequence[int], count: int) -> list[int]:
    return [*values, *[0] * (count - len(values))]
