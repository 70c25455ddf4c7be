"""Where a requirement leaps: initial margin is greater by a jump where a bracket of notional begins.

A price that gets there between the ends of a step, and is back by then, has had a margin call if the pool
could not pay for the jump. How far each price went has an exact law (`extremes`), and its E comes from the
same common normals as the dip's, so that pools with the same edge are called together.

For a pool on one asset X is a function of that asset's price. Its least is at an end of the range that the
price went through, or just beyond a kink within, and nothing is approximated but that the least and the
greatest price are not independent given the ends. For a pool on several assets X is taken at the moment at
which a price gets to the kink, with the others where they are to be expected then.
"""

from __future__ import annotations

import math

from kernels.elementary import exp, log
from kernels.extremes import find_range
from kernels.jit import hot, inlined
from kernels.kinks import lift_at
from kernels.market import WILDEST
from kernels.structs import BANKRUPTCY, MARGIN_CALL, Book, Floats, Law, Market

BEYOND = 1.0 + 2.0**-52  # a kink's floor times this is a price above it, the next or the one after


@inlined
def value_alone(book: Book, pool: int, mark: int, price: float) -> float:
    """Return value less margin required of a pool on one asset, at a price of that."""
    value = 0.0
    for n in range(book.start[pool], book.start[pool + 1]):
        value += (book.size[n] - book.requirement[mark, n]) * price - lift_at(book.kinks, mark, n, price)
    return value


@hot
def least_in_range(book: Book, pool: int, mark: int, low: float, high: float) -> float:
    """Return the least of value less margin required between two prices of a pool's one asset.

    Between kinks that is a line, and beyond one it is never more than before.
    """
    least = min(value_alone(book, pool, mark, low), value_alone(book, pool, mark, high))
    for n in range(book.start[pool], book.start[pool + 1]):
        for k in range(book.kinks.start[mark, n], book.kinks.start[mark, n + 1]):
            floor = book.kinks.floor[k]
            if low < floor < high:
                least = min(least, value_alone(book, pool, mark, floor * BEYOND))
    return least


@inlined
def find_time(here: float, there: float) -> float:
    """Return when a bridge gets to a level, as a share of its length, from the distances at both ends.

    Of all bridges that get there, the one that is a straight line once it is mirrored from there on.
    """
    apart = abs(here) + abs(there)
    return abs(here) / apart if apart > 0.0 else 0.0


@hot
def value_beyond(
    market: Market, book: Book, pool: int, law: Law, start: Floats, end: Floats, column: int, n: int, k: int
) -> float:
    """Return value less initial margin of a pool as the price of position n passes its kink k.

    The other prices are where their bridges are on average, given when and where this one is.
    """
    covariance = market.covariance[market.loading_of_set[law.parameters], law.regime]
    asset, floor = book.asset[n], book.kinks.floor[k]
    first, last = start[asset, column], end[asset, column]
    if market.additive:
        here, there = (floor - first) / market.spot[asset], (floor - last) / market.spot[asset]
    else:
        here, there = log(floor / first), log(floor / last)
    time = find_time(here, there)
    off = here - time * (here - there)  # from the straight line between the ends
    value = 0.0
    for m in range(book.start[pool], book.start[pool + 1]):
        other = book.asset[m]
        if other == asset:
            price = floor * BEYOND
        else:
            beta = covariance[asset, other] / covariance[asset, asset] if off != 0.0 else 0.0
            if market.additive:
                straight = (1.0 - time) * start[other, column] + time * end[other, column]
                price = straight + market.spot[other] * beta * off
            else:
                gain = time * log(end[other, column] / start[other, column]) + beta * off
                price = start[other, column] * exp(min(max(gain, -WILDEST), WILDEST))
        value += (book.size[m] - book.requirement[MARGIN_CALL, m]) * price
        value -= lift_at(book.kinks, MARGIN_CALL, m, price)
    return value


@hot
def least_at_leaps(
    market: Market,
    book: Book,
    pool: int,
    mark: int,
    law: Law,
    start: Floats,
    end: Floats,
    noise: Floats,
    column: int,
    length: float,
) -> float:
    """Return the least of value less margin required that kinks let a pool come to within a piece of a step.

    Infinite where there is none. start, end (A, columns) prices at the ends; noise (A, columns) the common
    normals times the loading; length the piece's share of the step. On one asset that is the least over the
    whole piece, at margin call and liquidation alike; on several only margin calls have jumps to look at.
    """
    covariance = market.covariance[market.loading_of_set[law.parameters], law.regime]
    mixing = law.weight * law.weight * length
    alone = book.only_asset[pool] >= 0
    least = math.inf
    if mark == BANKRUPTCY or (mark != MARGIN_CALL and not alone):
        return least
    for n in range(book.start[pool], book.start[pool + 1]):
        first, last = book.kinks.start[mark, n], book.kinks.start[mark, n + 1]
        if first == last and not alone:
            continue
        a = book.asset[n]
        spread = math.sqrt(covariance[a, a])
        zeta = noise[a, column] / spread if spread > 0.0 else 0.0
        unit = market.spot[a] if market.additive else 0.0
        low, high = find_range(start[a, column], end[a, column], unit, covariance[a, a] * mixing, zeta)
        if alone:
            return least_in_range(book, pool, mark, low, high)
        for k in range(first, last):
            if low < book.kinks.floor[k] < high:
                beyond = value_beyond(market, book, pool, law, start, end, column, n, k)
                least = min(least, beyond)
    return least
