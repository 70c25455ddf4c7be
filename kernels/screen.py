"""The screen: which leverages of each pool of margin have hit which mark, for paths side by side.

A pool's equity at leverage l is C + l Y and its requirement l M, with C its equity at `as_of`, Y the
profit since, less funding, and M the requirement at leverage 1. With X = Y - M it is below the mark iff
C + l X < 0, that is iff X < -C / l. So one number X a path and mark carries the whole leverage axis: each
leverage has a threshold, and a path's rank counts the thresholds its X has been below so far.
"""

from __future__ import annotations

import numpy as np

from kernels.bridge import LN2, SLOPE, dip_between, dip_with_jumps
from kernels.hits import record_hits
from kernels.jit import inlined
from kernels.kinks import add_kinks, find_extent, project_kinks, widen_spread
from kernels.structs import (
    BANKRUPTCY,
    BEND,
    DIP,
    FUNDING,
    LANES,
    LIQUIDATION,
    MARGIN_CALL,
    MARKS,
    NEXT,
    PAID,
    RATIO,
    REQUIRED,
    SPREAD,
    STANDING,
    THROUGHOUT,
    TURN,
    UNSEEN,
    VALUE,
    Book,
    Clock,
    Desk,
    Draws,
    Floats,
    Integers,
    Key,
    Law,
    Market,
    Pieces,
    Standing,
    Step,
    Tally,
)
from kernels.wicks import dip_in_wicks, flag_in_wick


@inlined
def value_pool(book: Book, pool: int, price: Floats, extent: Floats, table: Floats) -> None:
    """Fill value and margin required at prices (A, LANES) of that extent, two positions at a time."""
    for v in range(LANES):
        table[VALUE, v] = 0.0
        table[REQUIRED + MARGIN_CALL, v] = 0.0
        table[REQUIRED + LIQUIDATION, v] = 0.0
    for n in range(book.start[pool], book.start[pool + 1], 2):
        first, second = price[book.asset[n]], price[book.asset[n + 1]]
        size, other_size = book.size[n], book.size[n + 1]
        initial, other_initial = book.requirement[MARGIN_CALL, n], book.requirement[MARGIN_CALL, n + 1]
        maintenance, other = book.requirement[LIQUIDATION, n], book.requirement[LIQUIDATION, n + 1]
        for v in range(LANES):
            table[VALUE, v] += size * first[v] + other_size * second[v]
            table[REQUIRED + MARGIN_CALL, v] += initial * first[v] + other_initial * second[v]
            table[REQUIRED + LIQUIDATION, v] += maintenance * first[v] + other * second[v]
    if book.kinks.present[pool]:
        add_kinks(book, pool, price, extent, table)


@inlined
def charge_funding(
    market: Market, book: Book, pool: int, step: int, price: Floats, now: Step, table: Floats
) -> None:
    """Fill the funding that a pool pays at the end of the step, at prices (A, LANES)."""
    for v in range(LANES):
        table[FUNDING, v] = 0.0
    if market.clamps:
        for n in range(book.start[pool], book.start[pool + 1]):
            due = book.size[n] * market.due[book.interval[n], step]
            if due != 0.0:
                rate, of, cap = now.rate[book.asset[n]], price[book.asset[n]], book.funding_cap[n]
                for v in range(LANES):
                    table[FUNDING, v] += due * min(max(rate[v], -cap), cap) * of[v]
    elif market.has_funding:
        for n in range(book.start[pool], book.start[pool + 1], 2):
            first, second = now.carry[book.asset[n]], now.carry[book.asset[n + 1]]
            due = book.size[n] * market.due[book.interval[n], step]
            other = book.size[n + 1] * market.due[book.interval[n + 1], step]
            for v in range(LANES):
                table[FUNDING, v] += due * first[v] + other * second[v]


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


@inlined
def screen_lane(
    market: Market,
    book: Book,
    clock: Clock,
    bridge: int,
    scenario: int,
    pool: int,
    mark: int,
    lane: int,
    key: Key,
    draws: Draws,
    now: Step,
    standing: Standing,
    desk: Desk,
    pieces: Pieces,
    tally: Tally,
) -> None:
    """Find the least X of one flagged lane within the step, or at its end, and count what it hit."""
    state, table = standing.pool[scenario, pool], desk.table
    margin, threshold = state[STANDING + mark, lane], state[NEXT + mark, lane]
    held = table[VALUE, lane] - book.base[pool] - state[PAID, lane]
    finish = held - table[REQUIRED + mark, lane]
    lowest = finish - table[FUNDING, lane]
    if bridge:
        parameters = market.parameters[scenario, np.int64(key.step)]
        regime = standing.regime[market.leader[scenario], lane]
        law = Law(parameters, regime, now.weight[lane])
        price = standing.price[scenario]
        if now.jumps[lane] > 0:
            path = Key(key.seed, key.path + np.uint64(lane), key.step)
            dip = dip_with_jumps(
                market, book, pool, mark, law, path, now, price, lane, margin, threshold, pieces
            )
        else:
            noise = draws.dip_noise[market.loading_of_set[parameters], regime]
            dip = dip_between(
                market,
                book,
                pool,
                mark,
                law,
                now.before,
                price,
                noise,
                lane,
                1.0,
                margin,
                finish,
                threshold,
                pieces.weighted,
            )
        lowest = min(lowest, dip)
        if clock.wick:
            wick = dip_in_wicks(market, book, pool, mark, price, now, state[PAID, lane], lane)
            lowest = min(lowest, wick)
    if lowest < threshold:
        horizon = clock.seen[scenario, np.int64(key.step)]
        record_hits(book, scenario, pool, mark, lane, lowest, horizon, standing, tally)


@inlined
def screen_step(
    market: Market,
    book: Book,
    clock: Clock,
    scenario: int,
    key: Key,
    paths: int,
    draws: Draws,
    now: Step,
    standing: Standing,
    desk: Desk,
    pieces: Pieces,
    tally: Tally,
) -> None:
    """Advance every pool of one scenario by one step and count what was hit."""
    step = int(key.step)
    loading = market.loading_of_set[market.parameters[scenario, step]]
    regime = standing.regime[market.leader[scenario]]
    price = standing.price[scenario]
    table, flag = desk.table, desk.flag
    watch = clock.watch[scenario, step]
    bridge = int(clock.bridge and watch == THROUGHOUT)
    if book.kinks.floor.shape[0] > 0:
        find_extent(now.before, price, desk.extent)
    for pool in range(book.base.shape[0]):
        base = book.base[pool]
        state = standing.pool[scenario, pool]
        value_pool(book, pool, price, desk.extent, table)
        charge_funding(market, book, pool, step, price, now, table)
        if bridge:
            project_dips(book, pool, price, now, desk)
            bound_spread(market, book, pool, book.spread[pool, loading], regime, price, now, desk)
            slope_row = TURN if book.kinks.present[pool] else REQUIRED
            flagged = flag_in_bridge(base, slope_row, state, table, flag)
            if clock.wick:
                flagged = flag_in_wick(market, book, pool, price, now, state, table, flag)
        else:
            flagged = flag_at_close(base, state, table, flag)
        if flagged > 0 and watch != UNSEEN:
            for v in range(paths):
                if flag[v] != 0:
                    for mark in range(MARKS):
                        if flag[v] & (1 << mark):
                            screen_lane(
                                market,
                                book,
                                clock,
                                bridge,
                                scenario,
                                pool,
                                mark,
                                v,
                                key,
                                draws,
                                now,
                                standing,
                                desk,
                                pieces,
                                tally,
                            )
        for v in range(LANES):
            state[PAID, v] += table[FUNDING, v]
        if clock.bridge:
            for mark in range(MARKS):
                for v in range(LANES):
                    held = table[VALUE, v] - base - state[PAID, v]
                    state[STANDING + mark, v] = held - table[REQUIRED + mark, v]


@inlined
def revalue(
    book: Book,
    scenario: int,
    horizon: int,
    paths: int,
    watched: int,
    standing: Standing,
    desk: Desk,
    tally: Tally,
) -> None:
    """Set X of every pool from the prices of an instant; count what is hit there, if watched."""
    table = desk.table
    price = standing.price[scenario]
    if book.kinks.floor.shape[0] > 0:
        find_extent(price, price, desk.extent)
    for pool in range(book.base.shape[0]):
        state = standing.pool[scenario, pool]
        value_pool(book, pool, price, desk.extent, table)
        for mark in range(MARKS):
            for v in range(LANES):
                held = table[VALUE, v] - book.base[pool] - state[PAID, v]
                state[STANDING + mark, v] = held - table[REQUIRED + mark, v]
            if watched:
                for v in range(paths):
                    if state[STANDING + mark, v] < state[NEXT + mark, v]:
                        lowest = state[STANDING + mark, v]
                        record_hits(book, scenario, pool, mark, v, lowest, horizon, standing, tally)
