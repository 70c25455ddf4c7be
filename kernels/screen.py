"""The screen: which leverages of each pool of margin have hit which mark, for paths side by side.

A pool's equity at leverage l is C + l Y and its requirement l M, with C its equity at `as_of`, Y the
profit since, less funding, and M the requirement at leverage 1. With X = Y - M it is below the mark iff
C + l X < 0, that is iff X < -C / l. So one number X a path and mark carries the whole leverage axis: each
leverage has a threshold, and a path's rank counts the thresholds its X has been below so far.
"""

from __future__ import annotations

import numpy as np

from kernels.bridge import dip_between, dip_with_jumps
from kernels.flags import bound_spread, find_reach, flag_at_close, flag_at_leaps, flag_in_bridge, project_dips
from kernels.hits import record_hits
from kernels.jit import inlined
from kernels.kinks import add_kinks, find_extent
from kernels.structs import (
    FUNDING,
    LANES,
    LIQUIDATION,
    MARGIN_CALL,
    MARKS,
    NEXT,
    PAID,
    REQUIRED,
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
    Key,
    Law,
    Market,
    Pieces,
    Standing,
    Step,
    Tally,
)
from kernels.wicks import dip_in_wicks, flag_in_wick, widen_reach


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
    paid = table[FUNDING, lane]
    lowest = finish - paid
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
                pieces.room,
            )
        lowest = min(lowest, dip)
        if clock.wick:
            wick = dip_in_wicks(market, book, pool, mark, price, now, state[PAID, lane], lane)
            lowest = min(lowest, wick)
    if lowest < threshold:
        horizon = clock.seen[scenario, np.int64(key.step)]
        record_hits(book, scenario, pool, mark, lane, lowest, horizon, standing, tally)
        if mark == LIQUIDATION and book.kinks.leaps[pool] and lowest < min(margin, finish - paid):
            # liquidated in between by one straight line: called, whatever the other one says
            record_hits(book, scenario, pool, MARGIN_CALL, lane, lowest, horizon, standing, tally)


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
        if bridge and book.kinks.leaps.any():
            find_reach(market, price, now, desk.reach)
            if clock.wick:
                widen_reach(market, price, now, desk.reach)
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
            if book.kinks.leaps[pool]:
                flagged = flag_at_leaps(market, book, pool, price, now, state, desk.reach, flag)
            if clock.wick:
                flagged = flag_in_wick(market, book, pool, price, now, state, desk)
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
        valued = standing.worth.shape[0] > 0
        if valued or (standing.held.shape[0] > 0 and book.kinks.present[pool]):
            for v in range(LANES):
                standing.held[pool, v] = table[REQUIRED + LIQUIDATION, v]
        if valued:
            for v in range(LANES):
                standing.worth[pool, v] = table[VALUE, v]
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
