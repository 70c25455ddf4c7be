"""Requirements that leave their line at certain prices: brackets, margin that grows with open interest.

Few pools have any, so they are added after the straight part. Mostly all lanes lie between the same two
kinks, and then one polynomial serves them all; where they don't, each lane takes the polynomial of the last
kink below its own price. Either way a lane's bits are a matter of its own price. See `structs.Kinks`.
"""

from __future__ import annotations

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

END, MIDDLE = 0, 1  # of Desk.extent


@hot
def last_below(kinks: Kinks, mark: int, n: int, price: float) -> int:
    """Return the last kink of position n whose floor is below the price; one before the first if none is."""
    k = kinks.start[mark, n] - 1
    while k + 1 < kinks.start[mark, n + 1] and kinks.floor[k + 1] < price:
        k += 1
    return int(k)


@hot
def lift_at(kinks: Kinks, mark: int, n: int, price: float) -> float:
    """Return what the kinks of position n add to its requirement at a price; nothing for bankruptcy."""
    if mark == BANKRUPTCY:
        return 0.0
    k = last_below(kinks, mark, n, price)
    if k < kinks.start[mark, n]:
        return 0.0
    return float(kinks.lift[k, 0] + (kinks.lift[k, 1] + kinks.lift[k, 2] * price) * price)


@hot
def turn_at(kinks: Kinks, mark: int, n: int, price: float) -> float:
    """Return what the kinks of position n add to the slope of its requirement at a price."""
    if mark == BANKRUPTCY:
        return 0.0
    k = last_below(kinks, mark, n, price)
    return float(kinks.lift[k, 1] + 2.0 * kinks.lift[k, 2] * price) if k >= kinks.start[mark, n] else 0.0


@inlined
def find_extent(before: Floats, price: Floats, extent: Floats) -> None:
    """Fill the least and greatest of prices (A, LANES), and of their middles with those before."""
    for a in range(price.shape[0]):
        least, greatest = price[a, 0], price[a, 0]
        low, high = 0.5 * (before[a, 0] + price[a, 0]), 0.5 * (before[a, 0] + price[a, 0])
        for v in range(LANES):
            middle = 0.5 * (before[a, v] + price[a, v])
            least, greatest = min(least, price[a, v]), max(greatest, price[a, v])
            low, high = min(low, middle), max(high, middle)
        extent[END, 0, a], extent[END, 1, a] = least, greatest
        extent[MIDDLE, 0, a], extent[MIDDLE, 1, a] = low, high


@inlined
def add_kinks(book: Book, pool: int, price: Floats, extent: Floats, table: Floats) -> None:
    """Add a pool's kinks to the margin it requires at prices (A, LANES)."""
    kinks = book.kinks
    for mark in range(BANKRUPTCY):
        for n in range(book.start[pool], book.start[pool + 1]):
            a = book.asset[n]
            here = price[a]
            lowest = last_below(kinks, mark, n, extent[END, 0, a])
            if last_below(kinks, mark, n, extent[END, 1, a]) > lowest:
                for v in range(LANES):
                    table[REQUIRED + mark, v] += lift_at(kinks, mark, n, here[v])
            elif lowest >= kinks.start[mark, n]:
                level, slope, curve = kinks.lift[lowest, 0], kinks.lift[lowest, 1], kinks.lift[lowest, 2]
                for v in range(LANES):
                    table[REQUIRED + mark, v] += level + (slope + curve * here[v]) * here[v]


@inlined
def turn_lanes(
    kinks: Kinks, mark: int, n: int, a: int, before: Floats, here: Floats, extent: Floats, turn: Floats
) -> bool:
    """Fill what kinks add to the slope of a requirement at the middle of the step; False if nothing."""
    lowest = last_below(kinks, mark, n, extent[MIDDLE, 0, a])
    highest = last_below(kinks, mark, n, extent[MIDDLE, 1, a])
    if highest < kinks.start[mark, n]:
        return False
    if highest > lowest:
        for v in range(LANES):
            turn[v] = turn_at(kinks, mark, n, 0.5 * (before[v] + here[v]))
    else:
        slope, curve = kinks.lift[lowest, 1], kinks.lift[lowest, 2]
        for v in range(LANES):
            turn[v] = slope + 2.0 * curve * (0.5 * (before[v] + here[v]))
    return True


@inlined
def project_kinks(
    book: Book, pool: int, price: Floats, now: Step, extent: Floats, turn: Floats, table: Floats
) -> None:
    """Take the kinks' part of the slopes off the dips, and fill TURN: slopes at mid-step times price."""
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
            if turn_lanes(book.kinks, mark, n, a, before, here, extent, turn):
                for v in range(LANES):
                    table[TURN + mark, v] += turn[v] * here[v]
                    table[DIP + mark, v] -= turn[v] * dip[v]


@inlined
def widen_spread(
    market: Market,
    book: Book,
    pool: int,
    price: Floats,
    now: Step,
    extent: Floats,
    turn: Floats,
    table: Floats,
) -> None:
    """Add to the bound on the spread what kinks add to the slopes; initial margin has the steepest."""
    for n in range(book.start[pool], book.start[pool + 1]):
        a = book.asset[n]
        spot = market.spot[a]
        before, here, volatility = now.before[a], price[a], now.spread[a]
        if turn_lanes(book.kinks, MARGIN_CALL, n, a, before, here, extent, turn):
            for v in range(LANES):
                scale = spot if market.additive else 0.5 * (before[v] + here[v])
                table[SPREAD, v] += turn[v] * scale * volatility[v]
