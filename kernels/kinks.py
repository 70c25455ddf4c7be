"""Requirements that leave their line at certain prices: brackets of notional, margin that grows with interest.

Few pools have any, so they are added after the straight part. See `kernels.structs.Kinks`.
"""

from __future__ import annotations

import numpy as np

from kernels.jit import hot, inlined
from kernels.structs import (
    BANKRUPTCY,
    DIP,
    LANES,
    MARGIN_CALL,
    REQUIRED,
    SPREAD,
    TURN,
    Book,
    Floats,
    Kinks,
    Market,
    Step,
)


@hot
def lift_at(kinks: Kinks, mark: int, n: int, price: float) -> float:
    """Return what the kinks of position n add to its requirement at a price; nothing for bankruptcy."""
    lift = 0.0
    if mark != BANKRUPTCY:
        for k in range(kinks.start[mark, n], kinks.start[mark, n + 1]):
            above = price - kinks.terms[k, 0]
            if above > 0.0:
                lift += kinks.terms[k, 1] + (kinks.terms[k, 2] + kinks.terms[k, 3] * above) * above
    return lift


@hot
def turn_at(kinks: Kinks, mark: int, n: int, price: float) -> float:
    """Return what the kinks of position n add to the slope of its requirement at a price."""
    turn = 0.0
    if mark != BANKRUPTCY:
        for k in range(kinks.start[mark, n], kinks.start[mark, n + 1]):
            above = price - kinks.terms[k, 0]
            if above > 0.0:
                turn += kinks.terms[k, 2] + 2.0 * kinks.terms[k, 3] * above
    return turn


@inlined
def add_kinks(book: Book, pool: int, price: Floats, table: Floats) -> None:
    """Add a pool's kinks to the margin it requires at prices (A, LANES)."""
    start, terms = book.kinks.start, book.kinks.terms
    for mark in range(BANKRUPTCY):
        for n in range(book.start[pool], book.start[pool + 1]):
            here = price[book.asset[n]]
            for k in range(start[mark, n], start[mark, n + 1]):
                floor, jump, rise, curve = terms[k, 0], terms[k, 1], terms[k, 2], terms[k, 3]
                for v in range(LANES):
                    above = here[v] - floor
                    lift = jump + (rise + curve * above) * above
                    table[REQUIRED + mark, v] += lift if above > 0.0 else 0.0


@inlined
def project_kinks(market: Market, book: Book, pool: int, price: Floats, now: Step, table: Floats) -> None:
    """Take the kinks' part of the slopes off the dips, and fill TURN: slopes at mid-step times price."""
    start, terms = book.kinks.start, book.kinks.terms
    for v in range(LANES):
        table[TURN + BANKRUPTCY, v] = 0.0
    for mark in range(BANKRUPTCY):
        for v in range(LANES):
            table[TURN + mark, v] = 0.0
        for n in range(book.start[pool], book.start[pool + 1]):
            a = book.asset[n]
            before, here, dip = now.before[a], price[a], now.dip[a]
            straight = book.requirement[mark, n]
            for v in range(LANES):
                table[TURN + mark, v] += straight * here[v]
            for k in range(start[mark, n], start[mark, n + 1]):
                floor, rise, curve = terms[k, 0], terms[k, 2], terms[k, 3]
                for v in range(LANES):
                    above = 0.5 * (before[v] + here[v]) - floor
                    turn = rise + 2.0 * curve * above if above > 0.0 else 0.0
                    table[TURN + mark, v] += turn * here[v]
                    table[DIP + mark, v] -= turn * dip[v]


@inlined
def widen_spread(market: Market, book: Book, pool: int, price: Floats, now: Step, table: Floats) -> None:
    """Add to the bound on the spread what kinks add to the slopes; initial margin has the steepest.

    Infinite where a pool on one asset, which follows the log price, has crossed a kink: the slope at mid-step
    does not lead to where the step ends, so how near the barrier was can't be told from the two ends of X.
    """
    for n in range(book.start[pool], book.start[pool + 1]):
        a = book.asset[n]
        spot = market.spot[a]
        before, here, volatility = now.before[a], price[a], now.spread[a]
        for k in range(book.kinks.start[MARGIN_CALL, n], book.kinks.start[MARGIN_CALL, n + 1]):
            floor, rise, curve = book.kinks.terms[k, 0], book.kinks.terms[k, 2], book.kinks.terms[k, 3]
            for v in range(LANES):
                middle = 0.5 * (before[v] + here[v])
                above = middle - floor
                turn = rise + 2.0 * curve * above if above > 0.0 else 0.0
                table[SPREAD, v] += turn * (spot if market.additive else middle) * volatility[v]
    if book.only_asset[pool] >= 0 and market.additive == 0:
        for mark in range(BANKRUPTCY):
            for n in range(book.start[pool], book.start[pool + 1]):
                before, here = now.before[book.asset[n]], price[book.asset[n]]
                for k in range(book.kinks.start[mark, n], book.kinks.start[mark, n + 1]):
                    floor = book.kinks.terms[k, 0]
                    for v in range(LANES):
                        crossed = (before[v] > floor) != (here[v] > floor)
                        table[SPREAD, v] = np.inf if crossed else table[SPREAD, v]
