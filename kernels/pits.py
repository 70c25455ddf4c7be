"""What accounts that share a market do to one another: its depth, its marks, and the fund behind its venue.

Where they don't touch one another, each account has a depth and a fund of its own, and marks stand.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.desks import Desks
from kernels.estate import BOUGHT, FUND, NOBODY, SOLD, Estate, Pits
from kernels.jit import hot, inlined
from kernels.structs import LANES, Floats, Integers

LEAST = 0.01  # of the price before any fill: no mark is pushed below


@inlined
def are_together(desks: Desks) -> bool:
    """Whether accounts share a market."""
    return bool(desks.contagion.lasting.shape[0] > 0)


@inlined
def find_depth(desks: Desks, scenario: int, step: int, regime: int, market: int) -> float:
    """How much notional a market takes in a step."""
    execution = desks.execution
    usual = execution.depth[market] * execution.regime_depth[regime, market]
    return float(usual * execution.depth_factor[scenario, step, market])


@inlined
def find_price(desks: Desks, estate: Estate, n: int, at: Floats) -> float:
    """What a position is traded at, slippage apart: its mark; in a shared market that before any fill."""
    asset = desks.holdings.asset[n]
    return float(estate.pits.start[asset]) if are_together(desks) else float(at[asset])


@inlined
def find_taken(desks: Desks, estate: Estate, c: int, n: int, quantity: float) -> float:
    """The notional that an order for a signed quantity finds traded before it in this step."""
    if are_together(desks):
        side = SOLD if quantity < 0.0 else BOUGHT
        return float(estate.pits.taken[side, desks.holdings.market[n]])
    return float(estate.traded[c, desks.holdings.lead[n]])


@inlined
def take(desks: Desks, estate: Estate, c: int, n: int, quantity: float, taken: float) -> None:
    """Have so much traded in all, after an order for a signed quantity; a shared market's marks move."""
    if are_together(desks):
        side = SOLD if quantity < 0.0 else BOUGHT
        estate.pits.taken[side, desks.holdings.market[n]] = taken
        push(desks, estate, desks.holdings.asset[n])
    else:
        estate.traded[c, desks.holdings.lead[n]] = taken


@hot
def push(desks: Desks, estate: Estate, asset: int) -> None:
    """Set an asset's mark, and what the venue sees of it, where the fills of this step have pushed it.

    By each of its markets to where the last unit was traded, as far as each is deep.
    """
    pits, execution = estate.pits, desks.execution
    moved, weight = 0.0, 0.0
    for m in range(desks.contagion.column.shape[0]):
        if desks.contagion.column[m] == asset:
            depth = pits.depth[m]
            weight += depth
            if 0.0 < depth < np.inf:
                power = execution.power[m]
                steep = execution.impact[m] * (1.0 + power) * depth
                bought, sold = pits.taken[BOUGHT, m] / depth, pits.taken[SOLD, m] / depth
                moved += steep * (math.sqrt(bought) - math.sqrt(sold) if power == 0.5 else bought - sold)
    ratio = 1.0 + moved / weight if weight > 0.0 else 1.0  # beside endless depth nothing moves
    pits.ratio[asset] = max(ratio, LEAST)
    estate.at[asset] = pits.start[asset] * pits.ratio[asset]
    estate.seen[asset] = pits.shown[asset] * pits.ratio[asset]
    pit = pits.here[0]
    pits.lowest[pit] = min(pits.lowest[pit], pits.factor[pit, asset] * pits.ratio[asset])


@inlined
def ask_fund(desks: Desks, estate: Estate, c: int, wanted: float) -> float:
    """What the fund behind an account's venue has, which is asked for so much."""
    if are_together(desks):
        pits, venue = estate.pits, desks.contagion.venue[estate.owner[c, 0]]
        pit = pits.here[0]
        if wanted > pits.fund[pit, venue]:
            pits.exhausted[pit, venue] = 1
        return float(pits.fund[pit, venue])
    return float(estate.money[c, FUND])


@inlined
def pay_fund(desks: Desks, estate: Estate, c: int, money: float) -> None:
    """Give the fund behind an account's venue money; below zero, it pays."""
    if are_together(desks):
        pits, venue = estate.pits, desks.contagion.venue[estate.owner[c, 0]]
        pits.fund[pits.here[0], venue] += money
        pits.paid[pits.here[0], venue] += max(-money, 0.0)
    else:
        estate.money[c, FUND] += money


@hot
def clear_pits(desks: Desks, pits: Pits) -> None:
    """Have every pit as it is at `as_of`."""
    for pit in range(pits.busy.shape[0]):
        pits.busy[pit], pits.lowest[pit] = NOBODY, 1.0
        for a in range(pits.factor.shape[1]):
            pits.factor[pit, a], pits.closing[pit, a] = 1.0, 1.0
        for venue in range(pits.fund.shape[1]):
            pits.fund[pit, venue] = desks.contagion.fund[venue]
            pits.paid[pit, venue], pits.given[pit, venue] = 0.0, 0.0
            pits.exhausted[pit, venue], pits.cascade[pit, venue] = 0, 0


def make_pits(desks: Desks, assets: int, scenarios: int) -> Pits:
    """Room for the pits of a tile."""
    together = len(desks.contagion.lasting) > 0
    venues, markets = len(desks.contagion.fund), len(desks.contagion.column)
    count = scenarios * desks.holdings.row.shape[1] * LANES if together else 0

    def integers(*shape: int) -> Integers:
        return np.zeros(shape, np.int64)

    return Pits(
        busy=integers(count),
        factor=np.ones((count, assets)),
        closing=np.ones((count, assets)),
        lowest=np.ones(count),
        fund=np.zeros((count, venues)),
        paid=np.zeros((count, venues)),
        given=np.zeros((count, venues)),
        exhausted=integers(count, venues),
        cascade=integers(count, venues),
        here=integers(1),
        draws=integers(1),
        taken=np.zeros((2, markets)),
        depth=np.zeros(markets),
        start=np.zeros(assets if together else 0),
        shown=np.zeros(assets if together else 0),
        ratio=np.ones(assets if together else 0),
        met=integers(len(desks.holdings.place) if together else 0),
    )
