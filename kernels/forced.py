"""What the venue does once an account is liquidatable. See docs/after-the-breach.md for every rule."""

from __future__ import annotations

import numpy as np

from kernels.estate import (
    AT_END,
    AT_START,
    DELEVERAGED,
    DRAWS,
    DYDX,
    FORCED,
    FUND,
    LIQUIDATED,
    LIQUIDATION_FEES,
    OTHERS,
    PAID_BY_FUND,
    PARTIAL,
    POINTS,
    SLIPPAGE,
    WAS_BANKRUPT,
    WAS_FORCED,
    WENT_BANKRUPT,
    Desks,
    Estate,
    Journal,
    count_open,
    is_liquidatable,
    note,
    require,
    value_estate,
)
from kernels.jit import hot, inlined
from kernels.random import SLOT_PICK, draw_uniform
from kernels.structs import Floats, Integers, Key
from kernels.trading import SMALLEST, cost_of, find_depth_of, find_room, take_until


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
def pick_worst(desks: Desks, scenario: int, step: int, regime: int, estate: Estate, c: int, pool: int) -> int:
    """The open position of a pool that stands at the largest loss since its entry, in money, at the prices
    that the venue has, among those whose market takes anything; -1 without any."""
    holdings = desks.holdings
    row = holdings.row[pool, estate.owner[c, 1]]
    place = holdings.place[pool] - holdings.start[row]
    worst, found = -np.inf, -1
    for n in range(holdings.start[row], holdings.start[row + 1]):
        size = estate.size[c, place + n]
        if holdings.closes[n] and size != 0.0:
            loss = size * (holdings.entry[n] - estate.seen[holdings.asset[n]])
            depth = find_depth_of(desks, scenario, step, regime, n)
            if loss > worst and find_room(depth, np.inf, estate.traded[c, holdings.lead[n]]) > 0.0:
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


@inlined
def close_part(
    desks: Desks, estate: Estate, c: int, pool: int, i: int, quantity: float, price: float, cash: float
) -> None:
    """Take so much of a position away, for so much cash, as closed by force at that mark."""
    holdings = desks.holdings
    estate.size[c, i] -= quantity
    if abs(estate.size[c, i]) * price <= SMALLEST:
        estate.size[c, i] = 0.0
    estate.cash[c, pool - holdings.first[estate.owner[c, 0]]] += cash
    estate.gain[c, i] += cash
    estate.money[c, FORCED] += abs(quantity) * price
    estate.state[c, WAS_FORCED] = 1
    estate.touched[c, pool - holdings.first[estate.owner[c, 0]]] = 1


@hot
def liquidate_dydx(
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
    """One look of dYdX's chain at one position; whether anything was closed.

    Sizes, prices and the fund by `pipeline.dydx`: liquidation, prices, insurance, deleveraging; in float64
    and without the steps of the market's order grid.
    """
    holdings, rules, execution = desks.holdings, desks.rules, desks.execution
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    row = holdings.row[pool, leverage]
    i = holdings.place[pool] + n - holdings.start[row]
    size, oracle, mark = estate.size[c, i], estate.seen[holdings.asset[n]], at[holdings.asset[n]]
    equity, maintenance, _ = value_estate(holdings, estate, c, pool, estate.seen)
    own = require(holdings, row, n, size, oracle)
    notional = abs(size) * oracle
    cap = min(
        max(min(rules.least[account], notional), rules.portion[account] * notional), rules.most[account]
    )
    wanted = abs(size) if notional <= cap else cap / oracle
    side = 1.0 if size > 0.0 else -1.0
    bankruptcy = oracle - equity * (own / maintenance) / size
    shortage = min(max(rules.adjustment[account] * (1.0 - equity / maintenance), 0.0), 1.0)
    worst = oracle * (1.0 - side * shortage * rules.spread[account] * own / notional)
    depth, place = find_depth_of(desks, scenario, when[0], regime, n), holdings.lead[n]
    market = holdings.market[n]
    impact, power = execution.impact[market], execution.power[market]
    taken = estate.traded[c, place]
    until = take_until(side * (mark - worst) / mark, depth, impact, power)
    taking = min(wanted * mark, find_room(depth, until, taken))
    if taking > 0.0:
        quantity = side * (wanted if taking == wanted * mark else taking / mark)
        slippage = cost_of(taken + taking, depth, impact, power) - cost_of(taken, depth, impact, power)
        proceeds = quantity * mark - slippage
        over = proceeds - quantity * bankruptcy
        paid = min(over, rules.fee[account] * abs(proceeds)) if over > 0.0 else over
        if paid >= 0.0 or (-paid <= estate.money[c, FUND] and -paid <= rules.most_lost[account]):
            close_part(desks, estate, c, pool, i, quantity, mark, proceeds - paid)
            estate.traded[c, place] = taken + taking
            estate.money[c, SLIPPAGE] += slippage
            estate.money[c, FUND] += paid
            if paid > 0.0:
                estate.money[c, LIQUIDATION_FEES] += paid
            else:
                estate.money[c, OTHERS] -= paid
                estate.state[c, WAS_BANKRUPT] |= int(paid < 0.0)
            note(journal, when, LIQUIDATED, i, -quantity, mark, paid)
            return True
    if equity < -holdings.tie[pool, leverage]:
        cash = size * bankruptcy
        estate.state[c, WAS_BANKRUPT] = 1
        estate.money[c, OTHERS] += cash - size * mark
        close_part(desks, estate, c, pool, i, size, mark, cash)
        note(journal, when, DELEVERAGED, i, -size, bankruptcy, cash - size * mark)
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
    size, mark = estate.size[c, i], at[holdings.asset[n]]
    depth, place = find_depth_of(desks, scenario, when[0], regime, n), holdings.lead[n]
    market = holdings.market[n]
    impact, power = execution.impact[market], execution.power[market]
    taken = estate.traded[c, place]
    wanted = abs(size) * mark
    taking = min(wanted, find_room(depth, np.inf, taken))
    if taking <= 0.0:
        return False
    quantity = size if taking == wanted else size * (taking / wanted)
    slippage = cost_of(taken + taking, depth, impact, power) - cost_of(taken, depth, impact, power)
    fee = rules.fee[account] * taking
    close_part(desks, estate, c, pool, i, quantity, mark, quantity * mark - slippage - fee)
    estate.traded[c, place] = taken + taking
    estate.money[c, SLIPPAGE] += slippage
    estate.money[c, LIQUIDATION_FEES] += fee
    estate.money[c, FUND] += fee
    note(journal, when, LIQUIDATED, i, -quantity, mark, fee)
    return True


@hot
def settle_by_fund(
    desks: Desks, when: tuple[int, int], estate: Estate, c: int, pool: int, journal: Journal
) -> None:
    """Where nothing is left open and equity is negative, the fund pays what it has."""
    holdings = desks.holdings
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    equity, _, _ = value_estate(holdings, estate, c, pool, estate.seen)
    pays = min(-equity, estate.money[c, FUND])
    bankrupt = equity < -holdings.tie[pool, leverage]
    if bankrupt and pays > 0.0 and count_open(holdings, estate, c, pool) == 0:
        estate.cash[c, pool - holdings.first[account]] += pays
        estate.money[c, FUND] -= pays
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
) -> None:
    """The venue looks at one pool, and liquidates until it is not liquidatable, or nothing fills.

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
            filled = liquidate_dydx(desks, scenario, when, regime, estate, c, pool, n, at, journal)
        elif family == PARTIAL:
            n = pick_worst(desks, scenario, when[0], regime, estate, c, pool)
            if n >= 0:
                filled = liquidate_whole(desks, scenario, when, regime, estate, c, pool, n, at, journal)
        else:
            row = holdings.row[pool, estate.owner[c, 1]]
            place = holdings.place[pool] - holdings.start[row]
            for n in range(holdings.start[row], holdings.start[row + 1]):
                if holdings.closes[n] and estate.size[c, place + n] != 0.0:
                    filled |= liquidate_whole(desks, scenario, when, regime, estate, c, pool, n, at, journal)
        if not filled:
            break
        closed = True
        if culprit >= 0:
            breach[culprit] += 1
    if closed and family != DYDX:
        settle_by_fund(desks, when, estate, c, pool, journal)


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
