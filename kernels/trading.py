"""Orders: what a market takes in a step, at which price. See docs/after-the-breach.md."""

from __future__ import annotations

import math

import numpy as np

from kernels.desks import Desks
from kernels.estate import FEES, SLIPPAGE, Estate
from kernels.jit import inlined
from kernels.journal import FILLED, Journal, note
from kernels.pits import find_depth, find_price, find_taken, take
from kernels.structs import Floats

SMALLEST = 1e-9  # quote currency: a position of less is closed
DUST = 1e-9  # of a market's depth: as much room is none


@inlined
def find_depth_of(desks: Desks, scenario: int, step: int, regime: int, n: int) -> float:
    """How much notional a position's market takes in a step."""
    return find_depth(desks, scenario, step, regime, desks.holdings.market[n])


@inlined
def find_room(depth: float, until: float, taken: float) -> float:
    """The notional that a book still takes until so much has been taken in all; what is dust is nothing."""
    if not depth < np.inf:
        return until
    room = min(until, depth) - taken
    return room if room > DUST * depth else 0.0


@inlined
def cost_of(taken: float, depth: float, impact: float, power: float) -> float:
    """What slippage has cost once so much notional has been taken: impact x taken x (taken / depth)^power."""
    if taken <= 0.0 or not depth < np.inf:
        return 0.0
    share = taken / depth
    return impact * taken * (math.sqrt(share) if power == 0.5 else share)


@inlined
def take_until(room: float, depth: float, impact: float, power: float) -> float:
    """The notional at which the book's next price is worse than the mark by `room`, a fraction."""
    if room < 0.0:
        return 0.0
    if not depth < np.inf or impact <= 0.0:
        return np.inf
    share = room / (impact * (1.0 + power))
    return depth * (share * share if power == 0.5 else share)


@inlined
def fill_order(
    desks: Desks,
    scenario: int,
    when: tuple[int, int],
    regime: int,
    estate: Estate,
    c: int,
    pool: int,
    n: int,
    price: float,
    journal: Journal,
) -> None:
    """Fill as much of a position's order at its mark as the market takes; the rest stays an order."""
    holdings, execution = desks.holdings, desks.execution
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    row = holdings.row[pool, leverage]
    i = holdings.place[pool] + n - holdings.start[row]
    size, quantity = estate.size[c, i], estate.order[c, i]
    if size == 0.0:  # the venue has closed it: there is nothing left to trade
        quantity = 0.0
    elif quantity * size < 0.0 and abs(quantity) > abs(size):
        quantity = -size
    estate.order[c, i] = quantity
    if quantity == 0.0:
        return
    depth = find_depth_of(desks, scenario, when[0], regime, n)
    taken = find_taken(desks, estate, c, n, quantity)
    wanted = abs(quantity) * price
    notional = min(wanted, find_room(depth, np.inf, taken))
    if notional <= 0.0:
        return
    filled = quantity if notional == wanted else quantity * (notional / wanted)
    market = holdings.market[n]
    impact, power = execution.impact[market], execution.power[market]
    slippage = cost_of(taken + notional, depth, impact, power) - cost_of(taken, depth, impact, power)
    fee = execution.fee[account] * notional
    cash = -filled * price - slippage - fee
    estate.cash[c, pool - holdings.first[account]] += cash
    estate.gain[c, i] += cash
    estate.size[c, i] += filled
    if abs(estate.size[c, i]) * price <= SMALLEST:
        estate.size[c, i] = 0.0
    estate.order[c, i] = quantity - filled if notional < wanted else 0.0
    take(desks, estate, c, n, filled, taken + notional)
    estate.money[c, FEES] += fee
    estate.money[c, SLIPPAGE] += slippage
    estate.touched[c, pool - holdings.first[account]] = 1
    note(journal, when, FILLED, i, filled, price, slippage + fee)


@inlined
def fill_orders(
    desks: Desks,
    scenario: int,
    when: tuple[int, int],
    regime: int,
    estate: Estate,
    c: int,
    at: Floats,
    journal: Journal,
) -> None:
    """Fill the orders of all positions at prices (A,), in the book's order."""
    holdings = desks.holdings
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            if holdings.closes[n]:
                price = find_price(desks, estate, n, at)
                fill_order(desks, scenario, when, regime, estate, c, pool, n, price, journal)


@inlined
def order_close(estate: Estate, c: int, i: int, share: float) -> None:
    """Order a share of a position closed, on top of what is ordered, but no more than all of it."""
    size = estate.size[c, i]
    total = estate.order[c, i] - share * size
    estate.order[c, i] = max(total, -size) if size > 0.0 else min(total, -size)
