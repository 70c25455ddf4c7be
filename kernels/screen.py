"""The screen: which leverages of each account have hit which mark, for paths side by side.

An account's equity at leverage l is C + l Y and its requirement l M, with C its equity at `as_of`, Y the
profit since, less funding, and M the requirement at leverage 1. With X = Y - M it is below the mark iff
C + l X < 0, that is iff X < -C / l. So one number X a path and mark carries the whole leverage axis: each
leverage has a threshold, and a path's rank counts the thresholds its X has been below so far.
"""

from __future__ import annotations

import numpy as np

from kernels.bridge import NEGLIGIBLE, dip_between, dip_with_jumps
from kernels.jit import njit
from kernels.structs import (
    LANES,
    LIQUIDATION,
    MARGIN_CALL,
    MARKS,
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


@njit
def value_account(market: Market, book: Book, account: int, step: int, now: Step, desk: Desk) -> None:
    """Fill value, requirement and funding of one account at the end of a step."""
    value, funding = desk.value, desk.funding
    initial, maintenance = desk.requirement[MARGIN_CALL], desk.requirement[LIQUIDATION]
    for v in range(LANES):
        value[v] = 0.0
        initial[v] = 0.0
        maintenance[v] = 0.0
        funding[v] = 0.0
    for n in range(book.start[account], book.start[account + 1]):
        price = now.after[book.asset[n]]
        size = book.size[n]
        initial_of_price = book.requirement[MARGIN_CALL, n]
        maintenance_of_price = book.requirement[LIQUIDATION, n]
        for v in range(LANES):
            value[v] += size * price[v]
            initial[v] += initial_of_price * price[v]
            maintenance[v] += maintenance_of_price * price[v]
        if market.has_funding:
            years = market.due[book.interval[n], step]
            if years > 0.0:
                rate = now.rate[book.asset[n]]
                for v in range(LANES):
                    funding[v] += size * years * rate[v] * price[v]


@njit
def bound_spread(market: Market, book: Book, account: int, parameters: int, now: Step, desk: Desk) -> None:
    """Fill spread with a bound on the standard deviation of X over the step, for every mark.

    The exact figure at today's prices, scaled by how the book's prices moved together, plus what each price
    moved apart from the others and what the requirement adds, as if none of that were diversified.
    """
    spread, ratio = desk.spread, desk.finish
    known = book.spread[account, market.loading_of_set[parameters]]
    today = book.initial[account]
    for v in range(LANES):
        ratio[v] = desk.requirement[MARGIN_CALL, v] / today if today > 0.0 else 1.0
        spread[v] = ratio[v] * now.weight[v] * known[now.regime[v]]
        if now.jumps[v] > 0:  # the bridge knows about jumps, however far the threshold
            spread[v] = np.inf
    for n in range(book.start[account], book.start[account + 1]):
        a = book.asset[n]
        size = abs(book.size[n])
        requirement = book.requirement[MARGIN_CALL, n]
        spot = market.spot[a]
        price, volatility = now.after[a], now.spread[a]
        for v in range(LANES):
            apart = size * abs(price[v] - ratio[v] * spot) + requirement * price[v]
            spread[v] += apart * volatility[v]


@njit
def flag_lanes(
    bridge: int, base: float, paid: Floats, requirement: Floats, start: Floats, following: Floats, desk: Desk
) -> int:
    """Fill finish, X at the step's end, and flag lanes where X may have passed the threshold next in line.

    Returns how many lanes are flagged.
    """
    value, finish, funding, spread, flag = desk.value, desk.finish, desk.funding, desk.spread, desk.flag
    count = 0
    for v in range(LANES):
        finish[v] = (value[v] - base - paid[v]) - requirement[v]
    if bridge:
        for v in range(LANES):
            gap = finish[v] - following[v]
            near = (start[v] - following[v]) * gap < NEGLIGIBLE * spread[v] * spread[v]
            flag[v] = int(near) | int(gap < funding[v])
            count += flag[v]
    else:
        for v in range(LANES):
            flag[v] = int(finish[v] - following[v] < funding[v])
            count += flag[v]
    return count


@njit
def record_hits(
    book: Book,
    scenario: int,
    account: int,
    mark: int,
    lane: int,
    lowest: float,
    horizon: int,
    standing: Standing,
    tally: Tally,
) -> None:
    """Count every leverage whose threshold X has fallen below, once, at this horizon."""
    last = book.threshold.shape[2]
    rank = standing.rank[scenario, account, mark, lane]
    while rank < last and lowest < book.threshold[mark, account, rank]:
        tally.hits[mark, scenario, account, book.leverage[account, rank], horizon] += 1
        if mark == LIQUIDATION and rank == book.unit[account]:
            standing.unit[scenario, account, lane] = horizon
        rank += 1
    standing.rank[scenario, account, mark, lane] = rank
    standing.next[scenario, account, mark, lane] = (
        book.threshold[mark, account, rank] if rank < last else -np.inf
    )


@njit
def find_lowest(
    market: Market,
    book: Book,
    scenario: int,
    account: int,
    mark: int,
    lane: int,
    key: Key,
    draws: Draws,
    now: Step,
    standing: Standing,
    desk: Desk,
    pieces: Pieces,
) -> float:
    """Return the least X of one flagged lane within the step, funding not yet paid."""
    parameters = market.parameters[scenario, np.int64(key.step)]
    law = Law(parameters, now.regime[lane], now.weight[lane])
    margin = standing.margin[scenario, account, mark, lane]
    threshold = standing.next[scenario, account, mark, lane]
    if now.jumps[lane] > 0:
        path = Key(key.seed, key.path + np.uint64(lane), key.step)
        return dip_with_jumps(market, book, account, mark, law, path, now, lane, margin, threshold, pieces)
    noise = draws.dip_noise[market.loading_of_set[parameters], law.regime]
    finish = desk.finish[lane]
    return dip_between(
        market,
        book,
        account,
        mark,
        law,
        now.before,
        now.after,
        noise,
        lane,
        1.0,
        margin,
        finish,
        threshold,
        pieces.weighted,
    )


@njit
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
    """Advance every account of one scenario by one step and count what was hit."""
    step = np.int64(key.step)
    parameters = market.parameters[scenario, step]
    horizon = clock.horizon[step]
    finish, funding = desk.finish, desk.funding
    for account in range(book.base.shape[0]):
        value_account(market, book, account, step, now, desk)
        if clock.bridge:
            bound_spread(market, book, account, parameters, now, desk)
        paid = standing.paid[scenario, account]
        for mark in range(MARKS):
            start = standing.margin[scenario, account, mark]
            following = standing.next[scenario, account, mark]
            requirement = desk.requirement[mark]
            if flag_lanes(clock.bridge, book.base[account], paid, requirement, start, following, desk) > 0:
                for v in range(paths):
                    if desk.flag[v] != 0:
                        lowest = finish[v] - funding[v]
                        if clock.bridge:
                            dip = find_lowest(
                                market,
                                book,
                                scenario,
                                account,
                                mark,
                                v,
                                key,
                                draws,
                                now,
                                standing,
                                desk,
                                pieces,
                            )
                            lowest = min(lowest, dip)
                        if lowest < following[v]:
                            record_hits(book, scenario, account, mark, v, lowest, horizon, standing, tally)
            for v in range(LANES):
                start[v] = finish[v] - funding[v]
        for v in range(LANES):
            paid[v] += funding[v]


@njit
def revalue(
    market: Market,
    book: Book,
    scenario: int,
    horizon: int,
    paths: int,
    watched: bool,
    standing: Standing,
    tally: Tally,
) -> None:
    """Set X of every account from the prices of an instant; count what is hit there, if watched."""
    for account in range(book.base.shape[0]):
        for mark in range(MARKS):
            margin = standing.margin[scenario, account, mark]
            for v in range(LANES):
                margin[v] = -book.base[account] - standing.paid[scenario, account, v]
            for n in range(book.start[account], book.start[account + 1]):
                net = book.size[n] - book.requirement[mark, n]
                for v in range(LANES):
                    margin[v] += net * standing.price[scenario, book.asset[n], v]
            if watched:
                for v in range(paths):
                    if margin[v] < standing.next[scenario, account, mark, v]:
                        record_hits(book, scenario, account, mark, v, margin[v], horizon, standing, tally)
