"""Flags: which lanes may have fallen below their next threshold, told for all of them at once.

A flag may be up for nothing; where it is down nothing was hit. Only flagged lanes are looked at one by one.
"""

from __future__ import annotations

import numpy as np

from kernels.extremes import LN2, SLOPE
from kernels.jit import hot, inlined
from kernels.kinks import project_kinks, widen_spread
from kernels.structs import (
    BANKRUPTCY,
    BEND,
    DIP,
    FUNDING,
    HIGHEST,
    LANES,
    LIQUIDATION,
    LOWEST,
    MARGIN_CALL,
    MARKS,
    NEXT,
    PAID,
    RATIO,
    REQUIRED,
    SPREAD,
    STANDING,
    VALUE,
    Book,
    Desk,
    Floats,
    Integers,
    Market,
    Step,
)


@inlined
def project_dips(book: Book, pool: int, price: Floats, now: Step, desk: Desk) -> None:
    """Fill what the bridge's common normals mean for a pool: their sum over its sensitivities."""
    table = desk.table
    for v in range(LANES):
        table[DIP + BANKRUPTCY, v] = 0.0
        table[DIP + MARGIN_CALL, v] = 0.0
        table[DIP + LIQUIDATION, v] = 0.0
    for n in range(book.start[pool], book.start[pool + 1], 2):
        first, second = now.dip[book.asset[n]], now.dip[book.asset[n + 1]]
        size, other_size = book.size[n], book.size[n + 1]
        initial = size - book.requirement[MARGIN_CALL, n]
        other_initial = other_size - book.requirement[MARGIN_CALL, n + 1]
        maintenance = size - book.requirement[LIQUIDATION, n]
        other = other_size - book.requirement[LIQUIDATION, n + 1]
        for v in range(LANES):
            table[DIP + BANKRUPTCY, v] += size * first[v] + other_size * second[v]
            table[DIP + MARGIN_CALL, v] += initial * first[v] + other_initial * second[v]
            table[DIP + LIQUIDATION, v] += maintenance * first[v] + other * second[v]
    if book.kinks.present[pool]:
        project_kinks(book, pool, price, now, desk.extent, desk.turn, table)


@inlined
def bound_spread(
    market: Market,
    book: Book,
    pool: int,
    known: Floats,
    regime: Integers,
    price: Floats,
    now: Step,
    desk: Desk,
) -> None:
    """Fill a bound on the standard deviation of X over the step, for every mark.

    The exact figure at today's prices (known, by regime), scaled by how the book's prices moved together,
    plus what each price moved apart from the others and what the requirement adds, as if none of that were
    diversified. Infinite where there was a jump, so that the bridge looks there whatever the distance.
    """
    table = desk.table
    today = book.initial[pool]
    scaled = today > 0.0 and market.additive == 0  # additive moves are in today's prices for good
    for v in range(LANES):
        table[RATIO, v] = table[REQUIRED + MARGIN_CALL, v] / today if scaled else 1.0
        table[SPREAD, v] = table[RATIO, v] * now.weight[v] * known[regime[v]]
    for n in range(book.start[pool], book.start[pool + 1]):
        a = book.asset[n]
        size = abs(book.size[n])
        requirement = book.requirement[MARGIN_CALL, n]
        spot = market.spot[a]
        price_of, before, volatility = price[a], now.before[a], now.spread[a]
        if market.additive:
            for v in range(LANES):
                table[SPREAD, v] += requirement * spot * volatility[v]
        else:
            for v in range(LANES):
                middle = 0.5 * (before[v] + price_of[v])
                apart = size * abs(middle - table[RATIO, v] * spot) + requirement * middle
                table[SPREAD, v] += apart * volatility[v]
    if book.kinks.present[pool]:
        widen_spread(market, book, pool, price, now, desk.extent, desk.turn, table)
    only = book.only_asset[pool]
    for v in range(LANES):
        table[BEND, v] = 0.0
    if only >= 0 and market.additive == 0:
        for v in range(LANES):
            table[BEND, v] = 0.5 / (1.0 + now.before[only, v] / price[only, v])
    if market.has_jumps:
        for v in range(LANES):
            if now.jumps[v] > 0:
                table[SPREAD, v] = np.inf


@inlined
def flag_at_close(base: float, state: Floats, table: Floats, flag: Integers) -> int:
    """Flag, a bit a mark, the lanes where X at the step's end is below the threshold next in line.

    Returns zero if there are none.
    """
    count = 0
    for v in range(LANES):
        held = table[VALUE, v] - base - state[PAID, v]
        paid = table[FUNDING, v]
        called = (held - table[REQUIRED + MARGIN_CALL, v]) - paid < state[NEXT + MARGIN_CALL, v]
        liquidated = (held - table[REQUIRED + LIQUIDATION, v]) - paid < state[NEXT + LIQUIDATION, v]
        bankrupt = held - paid < state[NEXT + BANKRUPTCY, v]
        flag[v] = int(called) + 2 * int(liquidated) + 4 * int(bankrupt)
        count += flag[v]
    return count


@inlined
def flag_in_bridge(base: float, slope_row: int, state: Floats, table: Floats, flag: Integers) -> int:
    """Flag, a bit a mark, the lanes where X may have been below the threshold next in line within the step.

    Returns zero if there are none. A bridge from a to b with standard deviation s gets to n iff
    -ln Phi(zeta) >= 2 (a - n)(b - n) / s^2, with zeta the dip over s. Times s^2, the bound of `could_reach`
    grows with s, so a bound on s serves. A pool on one asset follows the log price, in which a long's
    barrier is farther than in the price, and a short's nearer: by ln(1 + x) >= 2 x / (2 + x), no nearer than
    by the factor 1 / bend^2 on the product of the two distances, with bend = 1 + (mean distance of X from n)
    / (2 |slope| x middle price). slope_row is where each mark's slope times price lies: REQUIRED or TURN.
    """
    count = 0
    for v in range(LANES):
        flag[v] = 0
    for mark in range(MARKS):
        bit = 1 << mark
        for v in range(LANES):
            finish = (table[VALUE, v] - base - state[PAID, v]) - table[REQUIRED + mark, v]
            gap = finish - state[NEXT + mark, v]
            above = state[STANDING + mark, v] - state[NEXT + mark, v]
            needed = 2.0 * above * gap
            short = table[slope_row + mark, v] - table[VALUE, v]
            bend = 1.0 + (table[BEND, v] * min(above + gap, 1e60) / short if short > 0.0 else 0.0)
            deep = max(-table[DIP + mark, v], 0.0)
            reach = table[SPREAD, v] * (LN2 * table[SPREAD, v] + SLOPE * deep) + 0.5 * deep * deep
            below = finish - table[FUNDING, v] < state[NEXT + mark, v]
            flag[v] += bit * (int(reach * bend * bend >= needed) | int(below))
    for v in range(LANES):
        count += flag[v]
    return count


@hot
def find_reach(market: Market, price: Floats, now: Step, reach: Floats) -> None:
    """Fill reach (2, A): the lowest and the highest price that any lane may get to within the step.

    A price gets from p to f, and back to q, iff -ln Phi(zeta) >= 2 ln(f / p) ln(f / q) / s^2, with zeta the
    asset's own normal, its sign that of the way. By ln x >= 1 - 1 / x the right side is at least
    2 (1 - p / f)(1 - q / f) / s^2 for f above both, and likewise 2 (1 - f / p)(1 - f / q) / s^2 below.
    """
    for a in range(price.shape[0]):
        before, here, dip, spread = now.before[a], price[a], now.dip[a], now.spread[a]
        least, greatest, most = np.inf, -np.inf, 0.0
        for v in range(LANES):
            least, greatest = min(least, before[v], here[v]), max(greatest, before[v], here[v])
            scale = market.spot[a] if market.additive else 0.5 * (before[v] + here[v])
            deep = abs(dip[v]) / scale
            most = max(most, spread[v] * (LN2 * spread[v] + SLOPE * deep) + 0.5 * deep * deep)
        far = np.sqrt(0.5 * most)
        if market.additive:
            reach[LOWEST, a], reach[HIGHEST, a] = (
                least - market.spot[a] * far,
                greatest + market.spot[a] * far,
            )
        else:
            reach[LOWEST, a] = least * (1.0 - far)
            reach[HIGHEST, a] = greatest / (1.0 - far) if far < 1.0 else np.inf


@hot
def flag_at_leaps(
    market: Market,
    book: Book,
    pool: int,
    price: Floats,
    now: Step,
    state: Floats,
    reach: Floats,
    flag: Integers,
) -> int:
    """Flag as well the lanes where a price may get to a kink within the step: what `leaps` looks at.

    By the bound of `find_reach`, lane by lane. Returns zero if no lane is flagged, here or before.
    """
    kinks = book.kinks
    marks = BANKRUPTCY if book.only_asset[pool] >= 0 else LIQUIDATION
    for mark in range(marks):
        bit = 1 << mark
        for n in range(book.start[pool], book.start[pool + 1]):
            a = book.asset[n]
            before, here, dip, spread = now.before[a], price[a], now.dip[a], now.spread[a]
            for k in range(kinks.start[mark, n], kinks.start[mark, n + 1]):
                floor = kinks.floor[k]
                if not reach[LOWEST, a] <= floor <= reach[HIGHEST, a]:
                    continue
                for v in range(LANES):
                    up = floor > before[v]
                    if market.additive:
                        scale = market.spot[a]
                        square = scale * scale
                    else:
                        scale = 0.5 * (before[v] + here[v])
                        square = floor * floor if up else before[v] * here[v]
                    deep = max((dip[v] if up else -dip[v]) / scale, 0.0)
                    most = spread[v] * (LN2 * spread[v] + SLOPE * deep) + 0.5 * deep * deep
                    near = most * square >= 2.0 * (floor - before[v]) * (floor - here[v])
                    flag[v] |= bit * int(near & (state[NEXT + mark, v] > -np.inf))
    count = 0
    for v in range(LANES):
        count += flag[v]
    return count
