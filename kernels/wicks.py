"""Wicks: prices that leave the path within a step and come back, deeper than a bridge would go.

In each step and direction an asset's wick is w x volatility of the step x excess, a log return. The excess
is zero but with some probability p, and then generalised Pareto (Pickands 1975):

    P(excess > x) = p (1 + tail x / scale)^(-1 / tail),    p exp(-x / scale) where the tail is zero

The normals behind the assets' excesses share a common part, one for each step and direction. All wicks of a
direction come at once, off the prices at the step's start and off those at its end: a pool's X is looked at
there, with all prices down and with all prices up.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.jit import hot, inlined
from kernels.kinks import lift_at
from kernels.market import WILDEST, draw_normal_lanes
from kernels.random import SLOT_WICK
from kernels.structs import (
    DOWN,
    GROSS,
    LANES,
    MARGIN_CALL,
    MARKS,
    NEXT,
    PAID,
    REQUIRED,
    STANDING,
    VALUE,
    WAYS,
    Book,
    Floats,
    Integers,
    Key,
    Market,
    Step,
)


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
    draw_normal_lanes(key, SLOT_WICK, common[0], common[1])
    for a in range(own.shape[1]):
        draw_normal_lanes(key, SLOT_WICK + 1 + market.number[a], own[0, a], own[1, a])


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
def stretch_wicks(market: Market, excess: Floats, now: Step) -> None:
    """Fill wick, what each price moves by in its wick as a share of itself, and reach, the most of a lane.

    A perpetual's is that of its asset, whatever its basis does: so they are no farther apart within a step.
    """
    for v in range(LANES):
        now.reach[v] = 0.0
    for way in range(WAYS):
        side = -1.0 if way == DOWN else 1.0
        for a in range(excess.shape[1]):
            spread = now.spread[market.spot_of[a]]
            for v in range(LANES):
                shift = 0.0
                if excess[way, a, v] > 0.0:
                    shift = side * min(excess[way, a, v] * spread[v], WILDEST)
                    if market.additive == 0:
                        shift = math.expm1(shift)
                    now.reach[v] = max(now.reach[v], abs(shift))
                now.wick[way, a, v] = shift


@inlined
def flag_in_wick(
    market: Market,
    book: Book,
    pool: int,
    price: Floats,
    now: Step,
    state: Floats,
    table: Floats,
    flag: Integers,
) -> int:
    """Flag, a bit a mark, the lanes where wicks may take X below the threshold next in line.

    X moves by no more than the lane's widest wick times what the pool holds, requirement added. Where
    requirements have kinks no such bound is at hand: there every lane with a wick is flagged.
    """
    for v in range(LANES):
        table[GROSS, v] = 0.0
    for n in range(book.start[pool], book.start[pool + 1]):
        a = book.asset[n]
        size = abs(book.size[n]) + book.requirement[MARGIN_CALL, n]
        before, here, spot = now.before[a], price[a], market.spot[a]
        for v in range(LANES):
            table[GROSS, v] += size * (spot if market.additive else max(before[v], here[v]))
    count = 0
    kinked = book.kinks.present[pool]
    for mark in range(MARKS):
        for v in range(LANES):
            drop = table[GROSS, v] * now.reach[v] * (1.0 + 1e-9)
            finish = (table[VALUE, v] - book.base[pool] - state[PAID, v]) - table[REQUIRED + mark, v]
            near = min(state[STANDING + mark, v], finish) - drop < state[NEXT + mark, v]
            flag[v] |= (1 << mark) * int((near or kinked > 0) and now.reach[v] > 0.0)
    for v in range(LANES):
        count += flag[v]
    return count


@inlined
def value_at_wick(
    market: Market, book: Book, pool: int, mark: int, price: Floats, shift: Floats, lane: int
) -> float:
    """Return value less margin required of one pool at prices (A, LANES) moved by shift (A, LANES)."""
    value = 0.0
    for n in range(book.start[pool], book.start[pool + 1]):
        a = book.asset[n]
        unit = market.spot[a] if market.additive else price[a, lane]
        here = price[a, lane] + shift[a, lane] * unit
        value += (book.size[n] - book.requirement[mark, n]) * here
        if book.kinks.present[pool]:
            value -= lift_at(book.kinks, mark, n, here)
    return value


@hot
def dip_in_wicks(
    market: Market, book: Book, pool: int, mark: int, price: Floats, now: Step, paid: float, lane: int
) -> float:
    """Return the least X of one pool at its wicks, infinity where there are none. paid: funding so far."""
    lowest = np.inf
    for way in range(WAYS):
        moved = False
        for n in range(book.start[pool], book.start[pool + 1]):
            moved |= now.wick[way, book.asset[n], lane] != 0.0
        if moved:
            first = value_at_wick(market, book, pool, mark, now.before, now.wick[way], lane)
            last = value_at_wick(market, book, pool, mark, price, now.wick[way], lane)
            lowest = min(lowest, min(first, last) - book.base[pool] - paid)
    return lowest
