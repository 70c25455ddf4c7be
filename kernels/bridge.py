"""Between the ends of a step: how low a pool's margin fell, given where it started and ended.

Given the prices at both ends, the regime and the mixing number, log prices in between are Brownian bridges,
and a pool's excess margin X is, to the accuracy of a straight line over one step, one as well. The
minimum of a bridge from a to b with variance v has an exact law:

    min = (a + b - sqrt((a - b)^2 + 2 v E)) / 2,    E = -ln U, U uniform

For a pool on one asset X is monotone in that asset's price, so the law is applied to the log price and
nothing is approximated. With additive returns X itself is a bridge, exactly, for any number of assets.

U is not drawn pool by pool: U = Phi(zeta) with zeta the projection of one common normal vector on the
pool's own direction of risk. So pools with the same risk dip together, a long and a short do not, and
books in between share as much of the dip as they share of the risk.

A jump cuts the step into pieces, each with a bridge of its own.
"""

from __future__ import annotations

import math

from kernels.elementary import exp
from kernels.extremes import could_reach, dip_of_log, find_depth, reaches
from kernels.jit import hot, inlined
from kernels.kinks import lift_at, turn_at
from kernels.leaps import least_at_leaps
from kernels.market import draw_jump_sum, draw_next_jump
from kernels.random import (
    SLOT_BRIDGE,
    SLOT_JUMP_PATH,
    SLOT_JUMP_TIME,
    draw_normal_vector,
    draw_uniform,
)
from kernels.structs import WEIGHT, Book, Floats, Key, Law, Market, Pieces, Step


@hot
def value_margin(book: Book, pool: int, mark: int, price: Floats, column: int) -> float:
    """Return value less margin required of one pool at prices (A, columns)."""
    value = 0.0
    for n in range(book.start[pool], book.start[pool + 1]):
        here = price[book.asset[n], column]
        value += (book.size[n] - book.requirement[mark, n]) * here
        if book.kinks.present[pool]:
            value -= lift_at(book.kinks, mark, n, here)
    return value


@inlined
def dip_between(
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
    margin: float,
    finish: float,
    threshold: float,
    room: Floats,
) -> float:
    """Return the least X of one pool over one piece of a step, if that is below the threshold.

    start, end (A, columns) prices at the ends; noise (A, columns) the common normals times the loading;
    length the piece's share of the step; margin and finish X at the ends; room (ROOM, N) scratch. On one
    asset the law is that of the log price, unless the slope of a requirement is another at the other end.
    Where the threshold is not reached, any number at or above it may come back: what happens above it is
    never needed. Where a price gets to a jump of initial margin, see `leaps`.
    """
    covariance = market.covariance[market.loading_of_set[law.parameters], law.regime]
    lowest = min(margin, finish)
    mixing = law.weight * law.weight * length
    first, last = book.start[pool], book.start[pool + 1]
    kinked = book.kinks.present[pool]
    only = book.only_asset[pool]
    if book.kinks.leaps[pool]:
        least = least_at_leaps(market, book, pool, mark, law, start, end, noise, column, length, room)
        if least < math.inf:
            return min(lowest, margin - value_margin(book, pool, mark, start, column) + least)
    straight = only < 0 or market.additive != 0
    variance = 0.0
    projection = 0.0
    slope = 0.0
    for n in range(first, last):
        a = book.asset[n]
        middle = 0.5 * (start[a, column] + end[a, column])
        scale = market.spot[a] if market.additive else middle
        net = book.size[n] - book.requirement[mark, n]
        if kinked:
            net -= turn_at(book.kinks, mark, n, middle)
            before = turn_at(book.kinks, mark, n, start[a, column])
            straight = straight or before != turn_at(book.kinks, mark, n, end[a, column])
        slope += net
        room[WEIGHT, n - first] = net * scale
        projection += room[WEIGHT, n - first] * noise[a, column]
        other = 0.5 * room[WEIGHT, n - first] * covariance[a, a]
        for m in range(first, n):
            other += room[WEIGHT, m - first] * covariance[a, book.asset[m]]
        variance += 2.0 * room[WEIGHT, n - first] * other
    if variance <= 0.0:
        return lowest
    zeta = projection / math.sqrt(variance)
    if not straight:
        ratio = end[only, column] / start[only, column]
        reach = 1.0 + (threshold - margin) / (slope * start[only, column])
        one = covariance[only, only] * mixing
        if one <= 0.0 or (lowest > threshold and not reaches(zeta, one, reach, ratio)):
            return lowest
        fall = dip_of_log(slope, ratio, one, find_depth(zeta))
        return min(lowest, margin + slope * float(start[only, column]) * fall)
    variance *= mixing
    if lowest > threshold and not could_reach(
        zeta, 2.0 * (margin - threshold) * (finish - threshold) / variance
    ):
        return lowest
    apart = margin - finish
    return min(lowest, 0.5 * (margin + finish - math.sqrt(apart * apart + 2.0 * variance * find_depth(zeta))))


@hot
def split_step(
    market: Market, law: Law, key: Key, now: Step, price: Floats, lane: int, pieces: Pieces
) -> None:
    """Cut one lane's step at its jumps, at times of their own, into one piece more than there are jumps."""
    loading = market.loading[market.loading_of_set[law.parameters], law.regime]
    starts, ends, lengths = pieces.starts, pieces.ends, pieces.lengths
    normal = pieces.normal
    diffusion, jump, leap = pieces.rest[0], pieces.rest[1], pieces.rest[2]
    assets = starts.shape[0]
    jumps = now.jumps[lane]
    draw_jump_sum(market, law, key, jumps, normal, jump)
    for a in range(assets):
        starts[a, 0] = now.before[a, lane]
        diffusion[a] = now.move[a, lane] - jump[a]
    for i in range(jumps):  # times in ascending order, kept in lengths until the pieces are known
        time = draw_uniform(key, SLOT_JUMP_TIME + i)
        place = i
        while place > 0 and lengths[place - 1] > time:
            lengths[place] = lengths[place - 1]
            place -= 1
        lengths[place] = time
    clock = 0.0
    for i in range(jumps):
        passed = lengths[i] - clock
        left = 1.0 - clock
        spread = law.weight * math.sqrt(passed * (left - passed) / left)
        draw_normal_vector(key, SLOT_JUMP_PATH + i * normal.shape[0], normal)
        for a in range(assets):
            noise = 0.0
            for j in range(market.depth[a]):
                noise += loading[a, j] * normal[j]
            gain = diffusion[a] * passed / left + spread * noise
            diffusion[a] -= gain
            ends[a, i] = starts[a, i] + market.spot[a] * gain if market.additive else starts[a, i] * exp(gain)
        draw_next_jump(market, law, key, i, jumps - i, normal, jump, leap)
        for a in range(assets):
            gain = leap[a]
            jump[a] -= gain
            starts[a, i + 1] = (
                ends[a, i] + market.spot[a] * gain if market.additive else ends[a, i] * exp(gain)
            )
        clock = lengths[i]
        lengths[i] = passed
    for a in range(assets):
        ends[a, jumps] = price[a, lane]
    lengths[jumps] = 1.0 - clock


@hot
def dip_with_jumps(
    market: Market,
    book: Book,
    pool: int,
    mark: int,
    law: Law,
    key: Key,
    now: Step,
    price: Floats,
    lane: int,
    margin: float,
    threshold: float,
    pieces: Pieces,
) -> float:
    """Return the least X of one pool over a step with jumps in it, X being margin at its start."""
    split_step(market, law, key, now, price, lane, pieces)
    loading = market.loading[market.loading_of_set[law.parameters], law.regime]
    base = margin - value_margin(book, pool, mark, pieces.starts, 0)
    lowest = margin
    for i in range(now.jumps[lane] + 1):
        draw_normal_vector(key, SLOT_BRIDGE + i * pieces.normal.shape[0], pieces.normal)
        for a in range(loading.shape[0]):
            pieces.noise[a, i] = 0.0
            for j in range(market.depth[a]):
                pieces.noise[a, i] += loading[a, j] * pieces.normal[j]
        here = base + value_margin(book, pool, mark, pieces.starts, i)
        there = base + value_margin(book, pool, mark, pieces.ends, i)
        low = dip_between(
            market,
            book,
            pool,
            mark,
            law,
            pieces.starts,
            pieces.ends,
            pieces.noise,
            i,
            pieces.lengths[i],
            here,
            there,
            threshold,
            pieces.room,
        )
        lowest = min(lowest, low)
    return lowest
