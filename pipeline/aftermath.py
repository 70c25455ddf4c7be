"""What follows a breach: the cube's variables for it, from sums over paths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.structs import (
    ACTED_PATHS,
    BANKRUPT_PATHS,
    CLOSED_PATHS,
    COST_SHARE,
    FORCED_PATHS,
    NEEDLESS_PATHS,
    PAID_FEES,
    PAID_FUNDING,
    PAID_GAS,
    PAID_SLIPPAGE,
    PAID_TO_FUND,
    PARTIAL_PATHS,
    SHARE_QUANTUM,
    SHARES,
    SHORTFALLS,
)
from pipeline.aftermath_schema import COMPONENTS, OUTCOMES
from pipeline.hedge_cost import find_break_even, find_closing_costs
from pipeline.intervals import counted, of_mean
from pipeline.legs import number_legs
from pipeline.plan import Plan
from pipeline.tallies import Tallies
from pipeline.variable import LEVEL

Floats = NDArray[np.float64]
WORD = 2.0**32

ROW_OF_COUNTS = {
    "forced_liquidations": FORCED_PATHS,
    "partial_liquidations": PARTIAL_PATHS,
    "closed_out": CLOSED_PATHS,
    "managed_bankruptcies": BANKRUPT_PATHS,
    "policy_fired": ACTED_PATHS,
}
ROW_OF_COMPONENT = {
    "fees": PAID_FEES,
    "slippage": PAID_SLIPPAGE,
    "liquidation_fee": PAID_TO_FUND,
    "gas": PAID_GAS,
}


def summarise_aftermath(tallies: Tallies, plan: Plan) -> dict[str, NDArray[Any]]:
    """Every variable of `pipeline.aftermath_schema`, from tallies that have what it takes.

    What happened at `as_of` is counted like anything else: whether the venue can close something of an
    account that is liquidatable is not known from the book alone.
    """
    sums, paths = tallies.aftermath, tallies.paths
    assert sums is not None
    found: dict[str, NDArray[Any]] = {}
    for outcome in OUTCOMES:
        counts = sums[ROW_OF_COUNTS[outcome.counts]]
        low, high = counted(counts, paths, LEVEL)
        p = outcome.probability
        found |= {outcome.counts: counts, p: counts / paths, f"{p}_low": low, f"{p}_high": high}
    found["policy_fired_needlessly"] = sums[NEEDLESS_PATHS, ..., -1]
    unit = tallies.money_quantum[:, np.newaxis, np.newaxis]
    found |= mean_of("shortfall_mean", *moments_of(sums, SHORTFALLS, unit, paths))
    found |= mean_of("share_liquidated_mean", *moments_of(sums, SHARES, SHARE_QUANTUM, paths))
    cost_unit = COST_SHARE * unit
    costs = [moments_of(sums, row, cost_unit, paths) for row in ROW_OF_COMPONENT.values()]
    funding = _signed_moments(sums, PAID_FUNDING, unit, paths)
    costs.append(funding)
    found |= mean_of("cost_mean", *(np.stack(figures, axis=-1) for figures in zip(*costs, strict=True)))
    assert len(costs) == len(COMPONENTS)
    found["closing_cost"] = find_closing_costs(plan)
    even = find_break_even(found["closing_cost"], funding, plan)
    found |= mean_of("break_even_days", *even)
    found["first_breach"] = _by_market(tallies, plan)
    return found


def markets_of(plan: Plan) -> tuple[str, ...]:
    """The markets that a plan's book has positions in, in the book's order."""
    positions = (position for account in plan.accounts for position in account.positions)
    return tuple(dict.fromkeys(position.market for position in positions))


def moments_of(
    sums: NDArray[np.int64], row: int, unit: Floats | float, paths: int
) -> tuple[Floats, Floats, Floats]:
    """Mean and interval of something that is never negative, in its own unit, from three rows of sums."""
    squares = sums[row + 1] * WORD + sums[row + 2]
    mean, low, high = (figure * unit for figure in of_mean(sums[row], squares, paths, LEVEL))
    return mean, np.maximum(low, 0.0), np.where(sums[row] == 0, np.nan, high)


def _signed_moments(
    sums: NDArray[np.int64], row: int, unit: Floats | float, paths: int
) -> tuple[Floats, Floats, Floats]:
    """As `moments_of`, of something that may be negative, and happens on every path."""
    squares = sums[row + 1] * WORD + sums[row + 2]
    mean, low, high = (figure * unit for figure in of_mean(sums[row], squares, paths, LEVEL))
    return mean, low, high


def mean_of(name: str, mean: Floats, low: Floats, high: Floats) -> dict[str, NDArray[Any]]:
    """A mean and its interval, by the names of the cube."""
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _by_market(tallies: Tallies, plan: Plan) -> NDArray[np.int64]:
    """(scenario, account, leverage, market): paths, from those by leg."""
    breach, markets = tallies.breach, markets_of(plan)
    assert breach is not None
    found = np.zeros((*breach.shape[:3], len(markets)), np.int64)
    for a, account in enumerate(plan.accounts):
        for leg, position in enumerate(number_legs(plan, account)):
            if position is not None:
                found[:, a, :, markets.index(position.market)] += breach[:, a, :, leg]
    return found
