"""Wicks: prices that leave the path within a step and come back, deeper than a bridge would go.

In each step and direction an asset's wick is w x volatility of the step x excess, a log return. The excess
is zero but with some probability p, and then generalised Pareto (Pickands 1975),

    P(excess > x) = p (1 + tail x / scale)^(-1 / tail),    p exp(-x / scale) where the tail is zero

times exp(lean y), y the asset's return over the step, the wick's own way and in standard deviations of its
regime and level, before w: lows are deeper in steps that fall, the more so in wild ones.

The normals behind the assets' excesses share a common part, one for each step and direction. All wicks of a
direction come at once, off the prices at the step's start and off those at its end: a pool's X is looked at
there, with all prices down and with all prices up. Where initial margin jumps (see `leaps`) X is looked at
on the way too, which is a straight line for all prices together: as each passes a kink.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.jit import hot, inlined
from kernels.kinks import lift_at, turn_lanes
from kernels.leaps import BEYOND
from kernels.market import WILDEST
from kernels.random import SLOT_WICK, draw_normal_pair
from kernels.structs import (
    BANKRUPTCY,
    DOWN,
    GROSS,
    HIGHEST,
    LANES,
    LOWEST,
    MARGIN_CALL,
    MARKS,
    NEXT,
    PAID,
    REQUIRED,
    STANDING,
    VALUE,
    WAYS,
    Book,
    Desk,
    Floats,
    Integers,
    Key,
    Market,
    Step,
)

# y is cut here, either way: falls wilder than that, jumps and replays make wicks no deeper.
FURTHEST = 6.0


@inlined
def find_excess(normal: float, probability: float, scale: float, tail: float) -> float:
    """Return the excess whose normal score is given: zero unless the normal's upper tail is below p."""
    upper = 0.5 * math.erfc(normal * math.sqrt(0.5))
    if not upper < probability:
        return 0.0
    deep = math.log(probability / upper) if upper > 0.0 else 0.5 * normal * normal
    return scale * (math.expm1(tail * deep) / tail if tail > 0.0 else deep)


@inlined
def draw_wick_normals(market: Market, key: Key, common: Floats, own: Floats) -> None:
    """Fill common (WAYS, LANES) and own (WAYS, A, LANES) with the normals of a step's wicks."""
    draw_normal_pair(key, SLOT_WICK, common[0], common[1])
    for a in range(own.shape[1]):
        draw_normal_pair(key, SLOT_WICK + 1 + market.number[a], own[0, a], own[1, a])


@inlined
def find_excesses(market: Market, regime: Integers, common: Floats, own: Floats, excess: Floats) -> None:
    """Fill excess (WAYS, A, LANES), in standard deviations of the step, by each lane's regime."""
    law = market.wick
    for way in range(WAYS):
        for a in range(own.shape[1]):
            for v in range(LANES):
                k = regime[v]
                share = market.wick_common[k, way]
                normal = math.sqrt(share) * common[way, v] + math.sqrt(1.0 - share) * own[way, a, v]
                excess[way, a, v] = 0.0
                if normal > market.wick_cut[k, way, a]:
                    excess[way, a, v] = find_excess(
                        normal, law[k, way, a, 0], law[k, way, a, 1], law[k, way, a, 2]
                    )


@inlined
def stretch_wicks(market: Market, level: Integers, regime: Integers, excess: Floats, now: Step) -> None:
    """Fill wick, what each price moves by in its wick as a share of itself, and reach, the most of a lane.

    A perpetual's is that of its asset, whatever its basis does: so they are no farther apart within a step.
    """
    for v in range(LANES):
        now.reach[v] = 0.0
    for way in range(WAYS):
        side = -1.0 if way == DOWN else 1.0
        for a in range(excess.shape[1]):
            spread, move = now.spread[market.spot_of[a]], now.move[market.spot_of[a]]
            for v in range(LANES):
                shift = 0.0
                if excess[way, a, v] > 0.0:
                    deep = excess[way, a, v] * spread[v]
                    lean = market.wick[regime[v], way, a, 3]
                    if lean != 0.0 and spread[v] > 0.0:
                        mixing = now.weight[v] / market.level_scale[level[v]]
                        along = side * move[v] / spread[v] * mixing
                        deep *= math.exp(lean * min(max(along, -FURTHEST), FURTHEST))
                    shift = side * min(deep, WILDEST)
                    if market.additive == 0:
                        shift = math.expm1(shift)
                    now.reach[v] = max(now.reach[v], abs(shift))
                now.wick[way, a, v] = shift


@hot
def widen_reach(market: Market, price: Floats, now: Step, reach: Floats) -> None:
    """Widen reach (2, A), the lowest and the highest price that any lane may get to, by the lanes' wicks."""
    for a in range(price.shape[0]):
        before, here = now.before[a], price[a]
        for v in range(LANES):
            low, high = min(before[v], here[v]), max(before[v], here[v])
            wide = now.reach[v] * (1.0 + 1e-9)
            reach[LOWEST, a] = min(
                reach[LOWEST, a], low - wide * (market.spot[a] if market.additive else low)
            )
            reach[HIGHEST, a] = max(
                reach[HIGHEST, a], high + wide * (market.spot[a] if market.additive else high)
            )


@hot
def add_turns(market: Market, book: Book, pool: int, price: Floats, now: Step, desk: Desk) -> None:
    """Add to a pool's GROSS what kinks add to slopes at mid-step; initial margin has the steepest."""
    for n in range(book.start[pool], book.start[pool + 1]):
        a = book.asset[n]
        before, here, spot = now.before[a], price[a], market.spot[a]
        if turn_lanes(book.kinks, MARGIN_CALL, n, a, before, here, desk.extent, desk.turn):
            for v in range(LANES):
                scale = spot if market.additive else max(before[v], here[v])
                desk.table[GROSS, v] += abs(desk.turn[v]) * scale


@hot
def flag_at_kinks(market: Market, book: Book, pool: int, price: Floats, now: Step, desk: Desk) -> None:
    """Flag the lanes where a wick may take a price to a kink of that mark, by the lane's widest wick."""
    kinks = book.kinks
    for mark in range(BANKRUPTCY):
        bit = 1 << mark
        for n in range(book.start[pool], book.start[pool + 1]):
            a = book.asset[n]
            before, here = now.before[a], price[a]
            for k in range(kinks.start[mark, n], kinks.start[mark, n + 1]):
                floor = kinks.floor[k]
                if not desk.reach[LOWEST, a] <= floor <= desk.reach[HIGHEST, a]:
                    continue
                for v in range(LANES):
                    low, high = min(before[v], here[v]), max(before[v], here[v])
                    wide = now.reach[v] * (1.0 + 1e-9)
                    below = wide * (market.spot[a] if market.additive else low)
                    above = wide * (market.spot[a] if market.additive else high)
                    near = (low - below <= floor) & (floor <= high + above)
                    desk.flag[v] |= bit * int(near & (wide > 0.0))


@inlined
def flag_in_wick(
    market: Market,
    book: Book,
    pool: int,
    price: Floats,
    now: Step,
    state: Floats,
    desk: Desk,
) -> int:
    """Flag, a bit a mark, the lanes where wicks may take X below the threshold next in line.

    X moves by no more than the lane's widest wick times what the pool holds, requirement added, unless some
    price gets to a kink: then the lane is flagged. Where requirements curve no such bound is at hand, and
    every lane with a wick is flagged. Returns zero if no lane is flagged, here or before.
    """
    table, flag = desk.table, desk.flag
    leaps = book.kinks.leaps[pool]
    for v in range(LANES):
        table[GROSS, v] = 0.0
    for n in range(book.start[pool], book.start[pool + 1]):
        a = book.asset[n]
        size = abs(book.size[n]) + book.requirement[MARGIN_CALL, n]
        before, here, spot = now.before[a], price[a], market.spot[a]
        for v in range(LANES):
            table[GROSS, v] += size * (spot if market.additive else max(before[v], here[v]))
    if leaps:
        add_turns(market, book, pool, price, now, desk)
        flag_at_kinks(market, book, pool, price, now, desk)
    count = 0
    kinked = book.kinks.present[pool] > 0 and leaps == 0
    for mark in range(MARKS):
        for v in range(LANES):
            drop = table[GROSS, v] * now.reach[v] * (1.0 + 1e-9)
            finish = (table[VALUE, v] - book.base[pool] - state[PAID, v]) - table[REQUIRED + mark, v]
            near = min(state[STANDING + mark, v], finish) - drop < state[NEXT + mark, v]
            flag[v] |= (1 << mark) * int((near or kinked) and now.reach[v] > 0.0)
    for v in range(LANES):
        count += flag[v]
    return count


@inlined
def reach_wick(market: Market, asset: int, price: Floats, shift: Floats, share: float, lane: int) -> float:
    """Return one of the prices (A, LANES) after that share of its shift (A, LANES)."""
    unit = market.spot[asset] if market.additive else price[asset, lane]
    return float(price[asset, lane] + share * shift[asset, lane] * unit)


@inlined
def value_at_wick(
    market: Market, book: Book, pool: int, mark: int, price: Floats, shift: Floats, lane: int
) -> float:
    """Return value less margin required of one pool at prices (A, LANES) moved by shift (A, LANES)."""
    value = 0.0
    for n in range(book.start[pool], book.start[pool + 1]):
        here = reach_wick(market, book.asset[n], price, shift, 1.0, lane)
        value += (book.size[n] - book.requirement[mark, n]) * here
        if book.kinks.present[pool]:
            value -= lift_at(book.kinks, mark, n, here)
    return value


@hot
def least_on_way(market: Market, book: Book, pool: int, price: Floats, shift: Floats, lane: int) -> float:
    """Return the least value less initial margin of one pool as prices (A, LANES) pass kinks on their way.

    The way is a straight line by shift (A, LANES), so that with both ends of it nothing is left out.
    Infinite where no price passes a kink.
    """
    least = math.inf
    kinks = book.kinks
    for n in range(book.start[pool], book.start[pool + 1]):
        passing = book.asset[n]
        here = price[passing, lane]
        there = reach_wick(market, passing, price, shift, 1.0, lane)
        for k in range(kinks.start[MARGIN_CALL, n], kinks.start[MARGIN_CALL, n + 1]):
            floor = kinks.floor[k]
            if min(here, there) <= floor < max(here, there):
                share = (floor - here) / (there - here)
                value = 0.0
                for m in range(book.start[pool], book.start[pool + 1]):
                    a = book.asset[m]
                    at = floor * BEYOND if a == passing else reach_wick(market, a, price, shift, share, lane)
                    value += (book.size[m] - book.requirement[MARGIN_CALL, m]) * at
                    value -= lift_at(kinks, MARGIN_CALL, m, at)
                least = min(least, value)
    return least


@hot
def dip_in_wicks(
    market: Market, book: Book, pool: int, mark: int, price: Floats, now: Step, paid: float, lane: int
) -> float:
    """Return the least X of one pool at its wicks, infinity where there are none. paid: funding so far.

    On the way to them too, where initial margin jumps.
    """
    lowest = np.inf
    for way in range(WAYS):
        moved = False
        for n in range(book.start[pool], book.start[pool + 1]):
            moved |= now.wick[way, book.asset[n], lane] != 0.0
        if moved:
            first = value_at_wick(market, book, pool, mark, now.before, now.wick[way], lane)
            last = value_at_wick(market, book, pool, mark, price, now.wick[way], lane)
            if mark == MARGIN_CALL and book.kinks.leaps[pool]:
                first = min(first, least_on_way(market, book, pool, now.before, now.wick[way], lane))
                last = min(last, least_on_way(market, book, pool, price, now.wick[way], lane))
            lowest = min(lowest, min(first, last) - book.base[pool] - paid)
    return lowest
