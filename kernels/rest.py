"""Steps in which nothing happens to an estate: most of them, told apart at little cost.

Between events what an estate waits for are straight lines in its cash, in prices, and in what its positions
have brought. They are drawn once after an event, each above zero while nothing is to happen; then a step is
its funding and these lines. Where requirements bend (brackets) it is asked what `move_estate` asks.
"""

from __future__ import annotations

import numpy as np

from kernels.desks import CLOSE, ISOLATE, REBALANCE, STOP_DRAWDOWN, STOP_PRICE, STRATEGY_CAP, TOP_UP, Desks
from kernels.estate import (
    BENT,
    FUNDING_PAID,
    IS_OPEN,
    NEVER,
    UNARMED,
    WAS_BANKRUPT,
    Estate,
    count_open,
    multiple_of,
    require,
)
from kernels.extremes import LN2, SLOPE
from kernels.jit import hot, inlined
from kernels.policies import triggers
from kernels.structs import THROUGHOUT, Clock, Floats, Market, Step
from kernels.watches import SLACK
from kernels.within import find_low, may_fall


def count_lines(desks: Desks) -> int:
    """The most lines that an account may wait for: its pools', and those of its policies."""
    holdings, policies = desks.holdings, desks.policies
    most = 0
    for account in range(len(holdings.first) - 1):
        rows = slice(policies.first[account], policies.first[account + 1])
        kinds = policies.kind[rows]
        prices = policies.touches[rows][kinds == STOP_PRICE].sum()
        others = 1 + (kinds == STRATEGY_CAP).sum() + 2 * (kinds == REBALANCE).sum()
        most = max(most, holdings.first[account + 1] - holdings.first[account] + prices + others)
    return int(most)


@inlined
def waits(desks: Desks, estate: Estate, c: int, q: int) -> bool:
    """Whether a policy would do anything if it saw what it waits for."""
    policies = desks.policies
    k = q - policies.first[estate.owner[c, 0]]
    empty = policies.kind[q] == TOP_UP and estate.left[c, k] <= 0.0
    return bool(estate.due[c, k] == NEVER and not estate.done[c, k] and not empty)


@inlined
def add_line(estate: Estate, c: int, rest: float) -> int:
    """Begin a line with what it has besides cash, prices and gains; its number."""
    g = estate.lines[c]
    line = estate.line[c, g]
    line[0] = rest
    for j in range(1, line.shape[0]):
        line[j] = 0.0
    estate.lines[c] = g + 1
    return int(g)


@inlined
def give_way(estate: Estate, c: int, g: int) -> None:
    """Lower a line by what rounding may take off it, at prices `estate.mark`."""
    line = estate.line[c, g]
    pools, width = estate.cash.shape[1], estate.size.shape[1]
    slack = abs(line[0])
    for k in range(pools):
        slack += abs(line[1 + k] * estate.cash[c, k])
    for i in range(width):
        slack += abs(line[1 + pools + i] * estate.mark[i])
        slack += abs(line[1 + pools + width + i] * estate.gain[c, i])
    line[0] -= SLACK * slack


@inlined
def draw_margins(desks: Desks, estate: Estate, c: int) -> None:
    """Draw what pools wait for: the highest margin ratio of a policy, and the venue's; where nothing is open,
    equity at zero, if it has never been below."""
    holdings, policies = desks.holdings, desks.policies
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    first = holdings.first[account]
    ratio, offset = 1.0, 1 + estate.cash.shape[1]
    for q in range(policies.first[account], policies.first[account + 1]):
        if policies.kind[q] in (TOP_UP, CLOSE) and waits(desks, estate, c, q):
            ratio = max(ratio, policies.below[q])
    for pool in range(first, holdings.first[account + 1]):
        k, row = pool - first, holdings.row[pool, leverage]
        place = holdings.place[pool] - holdings.start[row]
        held, is_open = False, count_open(holdings, estate, c, pool) > 0
        g = add_line(estate, c, 0.0)
        line = estate.line[c, g]
        line[1 + k] = 1.0
        for n in range(holdings.start[row], holdings.start[row + 1]):
            size = estate.size[c, place + n]
            required = require(holdings, row, n, size, 1.0)
            held |= size != 0.0
            estate.net[c, place + n] = size - required
            line[offset + place + n] = size - (ratio if holdings.closes[n] else 1.0) * required
            if not is_open:
                line[offset + place + n] = size
        stirred = estate.touched[c, k] or estate.told[c, k] != NEVER
        estate.heeds[c, k] = int(is_open and stirred)
        in_debt = estate.cash[c, k] < -holdings.tie[pool, leverage]
        if not is_open and (estate.state[c, WAS_BANKRUPT] or not (held or in_debt)):
            estate.lines[c] = g  # nothing can happen to it


@inlined
def draw_policies(desks: Desks, estate: Estate, c: int) -> None:
    """Draw what policies wait for besides margin ratios."""
    holdings, policies = desks.holdings, desks.policies
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    first, last = holdings.first[account], holdings.first[account + 1]
    pools, width = estate.cash.shape[1], estate.size.shape[1]
    level = -np.inf
    for q in range(policies.first[account], policies.first[account + 1]):
        kind, below = policies.kind[q], policies.below[q]
        if kind in (TOP_UP, CLOSE) or not waits(desks, estate, c, q):
            continue
        if kind == STOP_DRAWDOWN:
            if holdings.equity[account] > 0.0:
                level = max(level, (1.0 - below) * holdings.equity[account])
            continue
        more = g = estate.lines[c]
        if kind == STRATEGY_CAP:
            g = add_line(estate, c, below)
        elif kind == REBALANCE:
            g = add_line(estate, c, 0.0)
            more = add_line(estate, c, 0.0)
        for pool in range(first, last):
            row = holdings.row[pool, leverage]
            place = holdings.place[pool] - holdings.start[row]
            multiple = multiple_of(holdings, row, leverage)
            if kind == REBALANCE:
                estate.line[c, g, 1 + pool - first] = below
                estate.line[c, more, 1 + pool - first] = -policies.low[q]
            for n in range(holdings.start[row], holdings.start[row + 1]):
                i, size = place + n, estate.size[c, place + n]
                at = 1 + pools + i
                if kind == REBALANCE:
                    gross = abs(size) if holdings.closes[n] else 0.0
                    estate.line[c, g, at] = below * size - gross
                    estate.line[c, more, at] = gross - policies.low[q] * size
                elif holdings.closes[n] and policies.touches[q, i]:
                    if kind == STRATEGY_CAP:
                        line = estate.line[c, g]
                        line[0] -= multiple * holdings.size[n] * holdings.spot[holdings.asset[n]]
                        line[at] = size
                        line[at + width] = 1.0
                    elif size != 0.0:
                        side = 1.0 if size > 0.0 else -1.0
                        g = add_line(estate, c, -side * below)
                        estate.line[c, g, at] = side
    if level > -np.inf:
        g = add_line(estate, c, -level)
        for k in range(last - first):
            estate.line[c, g, 1 + k] = 1.0
        for i in range(width):
            estate.line[c, g, 1 + pools + i] = estate.size[c, i]


@inlined
def draw_lines(desks: Desks, step: int, price: Floats, lane: int, estate: Estate, c: int) -> None:
    """Draw all that an estate waits for, prices (A, LANES); or find out that it bends."""
    holdings, policies = desks.holdings, desks.policies
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    estate.lines[c], estate.until[c] = 0, np.iinfo(np.int64).max
    for i in range(holdings.width):
        estate.mark[i] = 0.0
        if estate.order[c, i] != 0.0:
            estate.until[c] = step
    for k in range(policies.first[account + 1] - policies.first[account]):
        if estate.due[c, k] != NEVER:
            estate.until[c] = min(estate.until[c], estate.due[c, k])
    if estate.until[c] <= step:
        return
    bends = False
    for q in range(policies.first[account], policies.first[account + 1]):
        bends |= policies.kind[q] == ISOLATE and waits(desks, estate, c, q)
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        bends |= holdings.kinks.present[row] != 0
        for n in range(holdings.start[row], holdings.start[row + 1]):
            estate.mark[holdings.place[pool] + n - holdings.start[row]] = price[holdings.asset[n], lane]
    if bends:
        estate.lines[c] = BENT
        return
    draw_margins(desks, estate, c)
    draw_policies(desks, estate, c)
    for g in range(estate.lines[c]):
        give_way(estate, c, g)


@inlined
def pay_at_rest(
    market: Market,
    desks: Desks,
    step: int,
    now: Step,
    price: Floats,
    lane: int,
    estate: Estate,
    c: int,
) -> None:
    """Fill `mark`, and the funding of a step that every position pays, and the cash of pools after it."""
    holdings = desks.holdings
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    first = holdings.first[account]
    for pool in range(first, holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        place = holdings.place[pool] - holdings.start[row]
        cash = estate.cash[c, pool - first]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            a, cap = holdings.asset[n], holdings.funding_cap[n]
            mark = price[a, lane]
            due = estate.size[c, place + n] * market.due[holdings.interval[n], step]
            paid = due * min(max(now.rate[a, lane], -cap), cap) * mark if due != 0.0 else 0.0
            cash -= paid
            estate.paid[place + n], estate.mark[place + n] = paid, mark
        estate.kept[pool - first] = cash


@inlined
def settle_at_rest(desks: Desks, estate: Estate, c: int) -> None:
    """Take the funding that `pay_at_rest` has found."""
    holdings = desks.holdings
    account = estate.owner[c, 0]
    first = holdings.first[account]
    for pool in range(first, holdings.first[account + 1]):
        row = holdings.row[pool, estate.owner[c, 1]]
        estate.cash[c, pool - first] = estate.kept[pool - first]
        place = holdings.place[pool]
        for i in range(place, place + holdings.start[row + 1] - holdings.start[row]):
            estate.gain[c, i] -= estate.paid[i]
            estate.money[c, FUNDING_PAID] += estate.paid[i]


@inlined
def stays_above(desks: Desks, estate: Estate, c: int) -> bool:
    """Whether all lines of an estate are above zero, after `pay_at_rest`."""
    holdings, account = desks.holdings, estate.owner[c, 0]
    end = holdings.first[account + 1] - 1
    row, pools = holdings.row[end, estate.owner[c, 1]], end + 1 - holdings.first[account]
    positions = holdings.place[end] + holdings.start[row + 1] - holdings.start[row]
    marks = 1 + estate.cash.shape[1]
    gains = marks + estate.size.shape[1]
    for g in range(estate.lines[c]):
        line = estate.line[c, g]
        above = line[0]
        for k in range(pools):
            above += line[1 + k] * estate.kept[k]
        for i in range(positions):
            above += line[marks + i] * estate.mark[i]
            above += line[gains + i] * (estate.gain[c, i] - estate.paid[i])
        if not above > 0.0:
            return False
    return True


@inlined
def may_dip(
    market: Market,
    desks: Desks,
    wick: int,
    now: Step,
    price: Floats,
    lane: int,
    estate: Estate,
    c: int,
    pool: int,
) -> bool:
    """`within.may_fall`, never False where that is not, of a pool whose requirement does not bend."""
    holdings = desks.holdings
    row = holdings.row[pool, estate.owner[c, 1]]
    place = holdings.place[pool] - holdings.start[row]
    begins = estate.cash[c, pool - holdings.first[estate.owner[c, 0]]]
    ends, spread, deep, size = begins, 0.0, 0.0, 0.0
    for n in range(holdings.start[row], holdings.start[row + 1]):
        net, a = estate.net[c, place + n], holdings.asset[n]
        before, here = now.before[a, lane], price[a, lane]
        unit = market.spot[a] if market.additive else 0.5 * (before + here)
        begins += net * before
        ends += net * here
        spread += abs(net) * unit * now.spread[a, lane]
        deep -= net * now.dip[a, lane]
        if wick:
            size += abs(estate.size[c, place + n]) * max(before, here, market.spot[a])
    deep = max(deep, 0.0)
    reach = spread * (LN2 * spread + SLOPE * deep) + 0.5 * deep * deep
    least = 4.0 * size * now.reach[lane] if wick else 0.0
    return bool(begins <= least or ends <= least or reach >= 2.0 * (1.0 - SLACK) * begins * ends)


@hot
def rests_bent(
    market: Market,
    clock: Clock,
    desks: Desks,
    scenario: int,
    step: int,
    regime: int,
    now: Step,
    price: Floats,
    lane: int,
    estate: Estate,
    c: int,
) -> bool:
    """`rests`, by what `move_estate` would ask, of the same state, in the same order of sums."""
    holdings, policies = desks.holdings, desks.policies
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    first, last = holdings.first[account], holdings.first[account + 1]
    throughout = clock.bridge and clock.watch[scenario, step] == THROUGHOUT
    for a in range(price.shape[0]):
        estate.at[a] = price[a, lane]
    pay_at_rest(market, desks, step, now, price, lane, estate, c)
    ratio, total, gross = np.inf, 0.0, 0.0
    for pool in range(first, last):
        k = pool - first
        row = holdings.row[pool, leverage]
        place = holdings.place[pool] - holdings.start[row]
        watched = throughout and (estate.touched[c, k] or estate.told[c, k] != NEVER)
        if watched and may_fall(market, desks, now, price, lane, estate, c, pool):
            parameters = market.parameters[scenario, step]
            lowest = find_low(market, desks, parameters, regime, now, price, lane, estate, c, pool)
            for a in range(price.shape[0]):
                estate.at[a] = price[a, lane]
            if lowest < -holdings.tie[pool, leverage]:
                return False
        equity, maintenance, haircuts = estate.kept[k], 0.0, 0.0
        for n in range(holdings.start[row], holdings.start[row + 1]):
            size, mark = estate.size[c, place + n], estate.at[holdings.asset[n]]
            equity += size * mark
            required = require(holdings, row, n, size, mark)
            if holdings.closes[n]:
                maintenance += required
                gross += abs(size) * mark
            else:
                haircuts += required
        tie = holdings.tie[pool, leverage]
        if equity < -tie or (maintenance > 0.0 and maintenance - (equity - haircuts) > tie):
            return False
        total += equity
        if maintenance > 0.0:
            ratio = min(ratio, (equity - haircuts) / maintenance)
    for i in range(holdings.width):  # policies see gains after the step's funding
        estate.mark[i] = estate.gain[c, i]
        estate.gain[c, i] -= estate.paid[i]
    found = False
    for q in range(policies.first[account], policies.first[account + 1]):
        found |= waits(desks, estate, c, q) and triggers(desks, estate, c, q, ratio, total, gross, estate.at)
    for i in range(holdings.width):
        estate.gain[c, i] = estate.mark[i]
    if not found:
        settle_at_rest(desks, estate, c)
    return not found


@inlined
def rests(
    market: Market,
    clock: Clock,
    desks: Desks,
    scenario: int,
    step: int,
    regime: int,
    now: Step,
    price: Floats,
    lane: int,
    estate: Estate,
    c: int,
) -> bool:
    """Whether nothing happens to an estate in a calm step but funding, which is then paid; else nothing is
    done."""
    if estate.state[c, IS_OPEN] == 0:
        return False
    if estate.lines[c] == UNARMED:
        draw_lines(desks, step, price, lane, estate, c)
    if step >= estate.until[c]:
        return False
    if estate.lines[c] == BENT:
        return rests_bent(market, clock, desks, scenario, step, regime, now, price, lane, estate, c)
    if clock.bridge and clock.watch[scenario, step] == THROUGHOUT:
        first = desks.holdings.first[estate.owner[c, 0]]
        for pool in range(first, desks.holdings.first[estate.owner[c, 0] + 1]):
            if estate.heeds[c, pool - first] and may_dip(
                market, desks, clock.wick, now, price, lane, estate, c, pool
            ):
                return rests_bent(market, clock, desks, scenario, step, regime, now, price, lane, estate, c)
    pay_at_rest(market, desks, step, now, price, lane, estate, c)
    if not stays_above(desks, estate, c):
        return False
    settle_at_rest(desks, estate, c)
    return True
