"""What the venue does once an account is liquidatable. See docs/after-the-breach.md for every rule."""

from __future__ import annotations

import numpy as np

from kernels.deleveraging import close_part, deleverage, find_bankruptcy
from kernels.desks import DYDX, PARTIAL, Desks
from kernels.estate import (
    DRAWS,
    LIQUIDATION_FEES,
    OTHERS,
    SLIPPAGE,
    WAS_BANKRUPT,
    WAS_FORCED,
    Estate,
    count_open,
    is_liquidatable,
    require,
    value_estate,
)
from kernels.jit import hot, inlined
from kernels.journal import AT_END, AT_START, LIQUIDATED, PAID_BY_FUND, POINTS, WENT_BANKRUPT, Journal, note
from kernels.pits import are_together, ask_fund, find_price, find_taken, pay_fund, take
from kernels.random import SLOT_PICK, draw_uniform
from kernels.structs import Floats, Integers, Key
from kernels.trading import cost_of, find_depth_of, find_room, take_until


@hot
def pick_open(desks: Desks, estate: Estate, c: int, pool: int, which: int) -> int:
    """The open position of a pool with that number, as a position of the holdings."""
    holdings = desks.holdings
    row = holdings.row[pool, estate.owner[c, 1]]
    place = holdings.place[pool] - holdings.start[row]
    left, found = which, -1
    for n in range(holdings.start[row], holdings.start[row + 1]):
        if holdings.closes[n] and estate.size[c, place + n] != 0.0:
            if left == 0:
                found = n
            left -= 1
    return int(found)


@hot
def pick_worst(
    desks: Desks, scenario: int, step: int, regime: int, estate: Estate, c: int, pool: int, dry: bool
) -> int:
    """The open position of a pool that stands at the largest loss since its entry, in money, at the prices
    that the venue has, among those whose market takes anything, or (`dry`) all; -1 without any."""
    holdings = desks.holdings
    row = holdings.row[pool, estate.owner[c, 1]]
    place = holdings.place[pool] - holdings.start[row]
    worst, found = -np.inf, -1
    for n in range(holdings.start[row], holdings.start[row + 1]):
        size = estate.size[c, place + n]
        if holdings.closes[n] and size != 0.0:
            loss = size * (holdings.entry[n] - estate.seen[holdings.asset[n]])
            depth = find_depth_of(desks, scenario, step, regime, n)
            taken = find_taken(desks, estate, c, n, -size)
            if loss > worst and (dry or find_room(depth, np.inf, taken) > 0.0):
                worst, found = loss, n
    return int(found)


@hot
def find_culprit(desks: Desks, estate: Estate, c: int, pool: int, at: Floats) -> int:
    """The open position of a pool, by its place, whose price has cost it most since `as_of`."""
    holdings = desks.holdings
    row = holdings.row[pool, estate.owner[c, 1]]
    place = holdings.place[pool] - holdings.start[row]
    worst, found = -np.inf, -1
    for n in range(holdings.start[row], holdings.start[row + 1]):
        asset = holdings.asset[n]
        loss = holdings.size[n] * (holdings.spot[asset] - at[asset])
        if holdings.closes[n] and estate.size[c, place + n] != 0.0 and loss > worst:
            worst, found = loss, place + n
    return int(found)


@hot
def liquidate_dydx(
    desks: Desks,
    scenario: int,
    key: Key,
    when: tuple[int, int],
    regime: int,
    estate: Estate,
    c: int,
    pool: int,
    n: int,
    at: Floats,
    journal: Journal,
) -> bool:
    """One look of dYdX's chain at one position; whether anything was closed.

    Sizes, prices and the fund by `pipeline.dydx`: liquidation, prices, insurance, deleveraging; in float64
    and without the steps of the market's order grid.
    """
    holdings, rules, execution = desks.holdings, desks.rules, desks.execution
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    row = holdings.row[pool, leverage]
    i = holdings.place[pool] + n - holdings.start[row]
    size, oracle, price = estate.size[c, i], estate.seen[holdings.asset[n]], find_price(desks, estate, n, at)
    equity, maintenance, _ = value_estate(holdings, estate, c, pool, estate.seen)
    own = require(holdings, row, n, size, oracle)
    notional = abs(size) * oracle
    cap = min(
        max(min(rules.least[account], notional), rules.portion[account] * notional), rules.most[account]
    )
    wanted = abs(size) if notional <= cap else cap / oracle
    side = 1.0 if size > 0.0 else -1.0
    bankruptcy = find_bankruptcy(oracle, size, equity, own, maintenance)
    shortage = min(max(rules.adjustment[account] * (1.0 - equity / maintenance), 0.0), 1.0)
    worst = oracle * (1.0 - side * shortage * rules.spread[account] * own / notional)
    depth = find_depth_of(desks, scenario, when[0], regime, n)
    market = holdings.market[n]
    impact, power = execution.impact[market], execution.power[market]
    taken = find_taken(desks, estate, c, n, -size)
    until = take_until(side * (price - worst) / price, depth, impact, power)
    taking = min(wanted * price, find_room(depth, until, taken))
    if taking > 0.0:
        quantity = side * (wanted if taking == wanted * price else taking / price)
        slippage = cost_of(taken + taking, depth, impact, power) - cost_of(taken, depth, impact, power)
        proceeds = quantity * price - slippage
        over = proceeds - quantity * bankruptcy
        paid = min(over, rules.fee[account] * abs(proceeds)) if over > 0.0 else over
        has = ask_fund(desks, estate, c, -paid)
        if paid >= 0.0 or (-paid <= has and -paid <= rules.most_lost[account]):
            close_part(desks, estate, c, pool, i, quantity, price, proceeds - paid)
            take(desks, estate, c, n, -quantity, taken + taking)
            estate.money[c, SLIPPAGE] += slippage
            pay_fund(desks, estate, c, paid)
            if paid > 0.0:
                estate.money[c, LIQUIDATION_FEES] += paid
            else:
                estate.money[c, OTHERS] -= paid
                estate.state[c, WAS_BANKRUPT] |= int(paid < 0.0)
            note(journal, when, LIQUIDATED, i, -quantity, price, paid)
            return True
    if equity < -holdings.tie[pool, leverage]:
        deleverage(desks, scenario, key, when, estate, c, pool, n, bankruptcy, at, journal)
        return True
    return False


@hot
def liquidate_whole(
    desks: Desks,
    scenario: int,
    when: tuple[int, int],
    regime: int,
    estate: Estate,
    c: int,
    pool: int,
    n: int,
    at: Floats,
    journal: Journal,
) -> bool:
    """Close a position at market, as far as depth goes; whether anything was closed."""
    holdings, rules, execution = desks.holdings, desks.rules, desks.execution
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    row = holdings.row[pool, leverage]
    i = holdings.place[pool] + n - holdings.start[row]
    size, price = estate.size[c, i], find_price(desks, estate, n, at)
    depth = find_depth_of(desks, scenario, when[0], regime, n)
    market = holdings.market[n]
    impact, power = execution.impact[market], execution.power[market]
    taken = find_taken(desks, estate, c, n, -size)
    wanted = abs(size) * price
    taking = min(wanted, find_room(depth, np.inf, taken))
    if taking <= 0.0:
        return False
    quantity = size if taking == wanted else size * (taking / wanted)
    slippage = cost_of(taken + taking, depth, impact, power) - cost_of(taken, depth, impact, power)
    fee = rules.fee[account] * taking
    close_part(desks, estate, c, pool, i, quantity, price, quantity * price - slippage - fee)
    take(desks, estate, c, n, -quantity, taken + taking)
    estate.money[c, SLIPPAGE] += slippage
    estate.money[c, LIQUIDATION_FEES] += fee
    pay_fund(desks, estate, c, fee)
    note(journal, when, LIQUIDATED, i, -quantity, price, fee)
    return True


@hot
def close_dry(
    desks: Desks,
    scenario: int,
    key: Key,
    when: tuple[int, int],
    regime: int,
    estate: Estate,
    c: int,
    pool: int,
    at: Floats,
    journal: Journal,
) -> bool:
    """Where a shared market takes nothing more of a pool with less than nothing: positions closed at their
    bankruptcy prices, all or (partial) the one that has lost most; whether any was."""
    holdings = desks.holdings
    leverage = estate.owner[c, 1]
    row = holdings.row[pool, leverage]
    place = holdings.place[pool] - holdings.start[row]
    equity, maintenance, _ = value_estate(holdings, estate, c, pool, estate.seen)
    if equity >= -holdings.tie[pool, leverage]:
        return False
    worst = -1
    if desks.rules.family[estate.owner[c, 0]] == PARTIAL:
        worst = pick_worst(desks, scenario, when[0], regime, estate, c, pool, True)
    for n in range(holdings.start[row], holdings.start[row + 1]):
        size = estate.size[c, place + n]
        if holdings.closes[n] and size != 0.0 and (worst < 0 or worst == n):
            oracle = estate.seen[holdings.asset[n]]
            own = require(holdings, row, n, size, oracle)
            bankruptcy = find_bankruptcy(oracle, size, equity, own, maintenance)
            deleverage(desks, scenario, key, when, estate, c, pool, n, bankruptcy, at, journal)
    return True


@hot
def settle_by_fund(
    desks: Desks, when: tuple[int, int], estate: Estate, c: int, pool: int, journal: Journal
) -> None:
    """Where nothing is left open and equity is negative, the fund pays what it has."""
    holdings = desks.holdings
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    equity, _, _ = value_estate(holdings, estate, c, pool, estate.seen)
    if equity >= -holdings.tie[pool, leverage] or count_open(holdings, estate, c, pool) > 0:
        return
    pays = min(-equity, ask_fund(desks, estate, c, -equity))
    if pays > 0.0:
        estate.cash[c, pool - holdings.first[account]] += pays
        pay_fund(desks, estate, c, -pays)
        estate.money[c, OTHERS] += pays
        estate.state[c, WAS_BANKRUPT] = 1
        note(journal, when, PAID_BY_FUND, pool, 0.0, 0.0, pays)


@hot
def look(
    desks: Desks,
    scenario: int,
    key: Key,
    when: tuple[int, int],
    regime: int,
    estate: Estate,
    c: int,
    pool: int,
    at: Floats,
    sure: bool,
    journal: Journal,
    breach: Integers,
) -> bool:
    """The venue looks at one pool, and liquidates until it is not liquidatable, or nothing fills; whether
    anything was closed.

    at (A,) prices of the market; `estate.seen` has those of the venue. sure: the pool meets the condition
    now, whatever rounding makes of it. breach (W,) counts.
    """
    account, holdings = estate.owner[c, 0], desks.holdings
    family = desks.rules.family[account]
    looks = desks.rules.looks[account]
    if AT_START < when[1] < AT_END:
        looks = max(looks // POINTS, 1)
    closed = False
    for _ in range(looks):
        held = count_open(holdings, estate, c, pool)
        if held == 0 or not (sure or is_liquidatable(holdings, estate, c, pool, estate.seen)):
            break
        sure = False
        first = estate.state[c, WAS_FORCED] == 0
        culprit = find_culprit(desks, estate, c, pool, at) if first else -1
        filled = False
        if family == DYDX:
            which = int(draw_uniform(key, SLOT_PICK + estate.state[c, DRAWS]) * held)
            estate.state[c, DRAWS] += 1
            n = pick_open(desks, estate, c, pool, which)
            filled = liquidate_dydx(desks, scenario, key, when, regime, estate, c, pool, n, at, journal)
        elif family == PARTIAL:
            n = pick_worst(desks, scenario, when[0], regime, estate, c, pool, False)
            if n >= 0:
                filled = liquidate_whole(desks, scenario, when, regime, estate, c, pool, n, at, journal)
        else:
            row = holdings.row[pool, estate.owner[c, 1]]
            place = holdings.place[pool] - holdings.start[row]
            for n in range(holdings.start[row], holdings.start[row + 1]):
                if holdings.closes[n] and estate.size[c, place + n] != 0.0:
                    filled |= liquidate_whole(desks, scenario, when, regime, estate, c, pool, n, at, journal)
        if not filled and family != DYDX and are_together(desks):
            filled = close_dry(desks, scenario, key, when, regime, estate, c, pool, at, journal)
        if not filled:
            break
        closed = True
        if culprit >= 0:
            breach[culprit] += 1
    if closed and family != DYDX:
        settle_by_fund(desks, when, estate, c, pool, journal)
    return closed


@inlined
def see_debt(
    desks: Desks, when: tuple[int, int], estate: Estate, c: int, pool: int, journal: Journal
) -> None:
    """Remember an account one of whose pools is below zero after a look, at the venue's prices."""
    holdings = desks.holdings
    row = holdings.row[pool, estate.owner[c, 1]]
    if holdings.start[row] < holdings.start[row + 1] and estate.state[c, WAS_BANKRUPT] == 0:
        equity, _, _ = value_estate(holdings, estate, c, pool, estate.seen)
        if equity < -holdings.tie[pool, estate.owner[c, 1]]:
            estate.state[c, WAS_BANKRUPT] = 1
            note(journal, when, WENT_BANKRUPT, pool, 0.0, 0.0, equity)
