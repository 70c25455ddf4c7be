"""Where a requirement leaps: initial margin is greater by a jump where a bracket of notional begins.

A price that gets there between the ends of a step, and is back by then, has had a margin call if the pool
could not pay for the jump. How far each price went has an exact law (`extremes`), and its E comes from the
same common normals as the dip's, so that pools with the same edge are called together.

For a pool on one asset X is a function of that asset's price. Its least is at an end of the range that the
price went through, or just beyond a kink within, and nothing is approximated but that the least and the
greatest price are not independent given the ends.

A pool on several assets is valued at moments: as one price passes a kink, out and back, and where the
straight line of `dip_between` is lowest. Times are those of straight lines to the extreme and back. The other
prices are drawn for that time, from what the common normals leave over.
"""

from __future__ import annotations

import math

from kernels.elementary import exp, log
from kernels.extremes import find_depth, find_range
from kernels.jit import hot, inlined
from kernels.kinks import lift_at, turn_at
from kernels.market import WILDEST
from kernels.structs import BANKRUPTCY, HIGH, LOW, MARGIN_CALL, PLACE, WEIGHT, Book, Floats, Law, Market

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
def find_return(market: Market, asset: int, first: float, last: float) -> float:
    """Return the return between two prices of an asset."""
    return (last - first) / market.spot[asset] if market.additive else log(last / first)


@hot
def place_prices(
    market: Market,
    book: Book,
    pool: int,
    law: Law,
    start: Floats,
    end: Floats,
    noise: Floats,
    column: int,
    length: float,
    level: float,
    time: float,
    room: Floats,
) -> None:
    """Fill room[PLACE] with each position's price, as the sum of weighted returns is at a level at a time.

    room (ROOM, N) has the weights, and the ranges that prices stay in; time is a share of the piece. That is
    the mean of the bridges then, given the sum, and what the common normals have besides the sum's share.
    """
    covariance = market.covariance[market.loading_of_set[law.parameters], law.regime]
    first, last = book.start[pool], book.start[pool + 1]
    move = 0.0
    common = 0.0
    variance = 0.0
    for n in range(first, last):
        weight, a = room[WEIGHT, n - first], book.asset[n]
        move += weight * find_return(market, a, start[a, column], end[a, column])
        common += weight * noise[a, column]
        for m in range(first, last):
            variance += weight * room[WEIGHT, m - first] * covariance[a, book.asset[m]]
    spread = law.weight * math.sqrt(length * time * (1.0 - time))
    for n in range(first, last):
        a = book.asset[n]
        share = 0.0
        if variance > 0.0:
            for m in range(first, last):
                share += room[WEIGHT, m - first] * covariance[a, book.asset[m]] / variance
        gain = time * find_return(market, a, start[a, column], end[a, column])
        gain += share * (level - time * move) + spread * (noise[a, column] - share * common)
        if market.additive:
            price = start[a, column] + market.spot[a] * gain
        else:
            price = start[a, column] * exp(min(max(gain, -WILDEST), WILDEST))
        room[PLACE, n - first] = min(max(price, room[LOW, n - first]), room[HIGH, n - first])


@inlined
def value_placed(book: Book, pool: int, room: Floats) -> float:
    """Return value less initial margin of a pool at the prices in room[PLACE]."""
    value = 0.0
    first = book.start[pool]
    for n in range(first, book.start[pool + 1]):
        price = room[PLACE, n - first]
        value += (book.size[n] - book.requirement[MARGIN_CALL, n]) * price
        value -= lift_at(book.kinks, MARGIN_CALL, n, price)
    return value


@inlined
def find_passages(out: float, back: float, far: float, farther: float) -> tuple[float, float]:
    """Return when a price passes a kink, going out to its extreme in a straight line and back in another.

    out and back are how far the kink is from start and end, far and farther how far the extreme is: returns,
    without sign, on one side of both. A kink between the ends is passed once: far and farther are then 0.
    """
    way = max(far + farther, out + back)
    return (out / way, 1.0 - back / way) if way > 0.0 else (0.0, 1.0)


@hot
def least_at_kinks(
    market: Market,
    book: Book,
    pool: int,
    law: Law,
    start: Floats,
    end: Floats,
    noise: Floats,
    column: int,
    length: float,
    room: Floats,
) -> float:
    """Return the least of value less initial margin as prices pass kinks; infinite where none does."""
    least = math.inf
    first, last = book.start[pool], book.start[pool + 1]
    for n in range(first, last):
        a = book.asset[n]
        here, there = start[a, column], end[a, column]
        for k in range(book.kinks.start[MARGIN_CALL, n], book.kinks.start[MARGIN_CALL, n + 1]):
            floor = book.kinks.floor[k]
            if not room[LOW, n - first] < floor < room[HIGH, n - first]:
                continue
            for m in range(first, last):
                room[WEIGHT, m - first] = 1.0 if m == n else 0.0
            out, back = find_return(market, a, here, floor), find_return(market, a, there, floor)
            far, farther = 0.0, 0.0
            if out * back > 0.0:
                extreme = room[HIGH if out > 0.0 else LOW, n - first]
                far = abs(find_return(market, a, here, extreme))
                farther = abs(find_return(market, a, there, extreme))
            for time in find_passages(abs(out), abs(back), far, farther):
                place_prices(market, book, pool, law, start, end, noise, column, length, out, time, room)
                for m in range(first, last):
                    if book.asset[m] == a:
                        room[PLACE, m - first] = floor * BEYOND
                least = min(least, value_placed(book, pool, room))
    return least


@hot
def least_at_dip(
    market: Market,
    book: Book,
    pool: int,
    law: Law,
    start: Floats,
    end: Floats,
    noise: Floats,
    column: int,
    length: float,
    room: Floats,
) -> float:
    """Return value less initial margin of a pool where the straight line of its slopes is lowest."""
    covariance = market.covariance[market.loading_of_set[law.parameters], law.regime]
    first, last = book.start[pool], book.start[pool + 1]
    move = 0.0
    common = 0.0
    variance = 0.0
    for n in range(first, last):
        a = book.asset[n]
        middle = 0.5 * (start[a, column] + end[a, column])
        slope = book.size[n] - book.requirement[MARGIN_CALL, n] - turn_at(book.kinks, MARGIN_CALL, n, middle)
        weight = slope * (market.spot[a] if market.additive else middle)
        room[WEIGHT, n - first] = weight
        move += weight * find_return(market, a, start[a, column], end[a, column])
        common += weight * noise[a, column]
        for m in range(first, n):
            variance += 2.0 * weight * room[WEIGHT, m - first] * covariance[a, book.asset[m]]
        variance += weight * weight * covariance[a, a]
    if variance <= 0.0:
        return math.inf
    depth = find_depth(common / math.sqrt(variance))
    variance *= law.weight * law.weight * length
    level = 0.5 * (move - math.sqrt(move * move + 2.0 * variance * depth))
    apart = abs(level) + abs(level - move)
    time = abs(level) / apart if apart > 0.0 else 0.0
    place_prices(market, book, pool, law, start, end, noise, column, length, level, time, room)
    return value_placed(book, pool, room)


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
    room: Floats,
) -> float:
    """Return the least of value less margin required over a piece of a step, if kinks have a say in it.

    Infinite where they have none: no price got to one. Between the ends alone, not at them. start, end (A,
    columns) prices at the ends; noise (A, columns) the common normals times the loading; length the piece's
    share of the step; room (ROOM, N) scratch. On several assets only jumps, of initial margin, are looked at.
    """
    covariance = market.covariance[market.loading_of_set[law.parameters], law.regime]
    mixing = law.weight * law.weight * length
    only = book.only_asset[pool]
    if mark == BANKRUPTCY or (mark != MARGIN_CALL and only < 0):
        return math.inf
    first = book.start[pool]
    for n in range(first, book.start[pool + 1]):
        a = book.asset[n]
        spread = math.sqrt(covariance[a, a])
        zeta = noise[a, column] / spread if spread > 0.0 else 0.0
        unit = market.spot[a] if market.additive else 0.0
        low, high = find_range(start[a, column], end[a, column], unit, covariance[a, a] * mixing, zeta)
        if only >= 0:
            return least_in_range(book, pool, mark, low, high)
        room[LOW, n - first], room[HIGH, n - first] = low, high
    least = least_at_kinks(market, book, pool, law, start, end, noise, column, length, room)
    if least < math.inf:
        dip = least_at_dip(market, book, pool, law, start, end, noise, column, length, room)
        least = min(least, dip)
    return least
