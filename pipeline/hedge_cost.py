"""What it costs to hold a book, or to close it now, and when the one becomes dearer than the other."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from pipeline.plan import Account, Plan
from pipeline.venue_faults import POWERS
from pipeline.venues import Market

Floats = NDArray[np.float64]
DAY = timedelta(days=1)


def find_closing_costs(plan: Plan) -> Floats:
    """(account, leverage) what closing all positions at `as_of` would cost, in quote currency."""
    return np.array(
        [
            [closing_cost(plan, account, leverage) for leverage in plan.simulation.leverage]
            for account in plan.accounts
        ]
    )


def closing_cost(plan: Plan, account: Account, leverage: float) -> float:
    """Taker fee on gross notional, and slippage: all of a market's depth in each step, until it is done."""
    venue = plan.venue_of(account)
    notional: dict[str, float] = {}
    for position in account.positions:
        price = plan.prices[venue.markets[position.market].asset]
        notional[position.market] = notional.get(position.market, 0.0) + abs(leverage * position.size) * price
    fees = venue.taker_fee_of(account.fee_tier) * sum(notional.values())
    return fees + sum(slippage_of(venue.markets[name], money) for name, money in notional.items())


def slippage_of(market: Market, notional: float) -> float:
    """What taking so much costs in a market, in as many steps as its depth asks for."""
    found = market.execution
    if found is None or notional == 0.0:
        return 0.0
    steps, rest = divmod(notional, found.depth)
    return float(found.impact * (steps * found.depth + rest * (rest / found.depth) ** POWERS[found.law]))


def find_break_even(
    closing: Floats, funding: tuple[Floats, Floats, Floats], plan: Plan
) -> tuple[Floats, Floats, Floats]:
    """Days after which funding has cost what closing does, and both ends, (scenario, account, leverage,
    horizon), from mean funding paid by each horizon and its interval.

    Infinite where that is received, or nil; NaN where closing costs nothing as nothing is held.
    """
    days = np.array([horizon / DAY for horizon in plan.simulation.horizons])
    holds = np.array([any(position.size for position in account.positions) for account in plan.accounts])
    cost = np.where(holds[:, np.newaxis], closing, np.nan)[:, :, np.newaxis]

    def after(paid: Floats) -> Floats:
        daily = paid / days
        even = cost / np.where(daily > 0, daily, 1.0)
        return np.where(np.isnan(daily) | np.isnan(cost), np.nan, np.where(daily > 0, even, np.inf))

    mean, low, high = funding
    return after(mean), after(high), after(low)
