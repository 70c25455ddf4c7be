"""Steps in which nothing happens to an estate: most of them, told apart at little cost."""

from __future__ import annotations

import numpy as np

from kernels.estate import FUNDING_PAID, IS_OPEN, NEVER, Desks, Estate, require
from kernels.jit import inlined
from kernels.policies import triggers
from kernels.structs import THROUGHOUT, Clock, Floats, Market, Step
from kernels.within import find_low, may_fall


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
    """Whether nothing happens to an estate in a step but funding, which is then paid; else nothing is done.

    Most steps of most estates are like this, and `move_estate` costs many times as much. What is asked is
    what `move_estate` would ask, of the same state, in the same order of sums.
    """
    holdings, policies, timeline = desks.holdings, desks.policies, desks.timeline
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    first, last = holdings.first[account], holdings.first[account + 1]
    falls = market.shock[scenario, step] >= 0 or market.event[scenario, step] >= 0
    falls |= holdings.cash[scenario, step] >= 0
    if falls or step == 0 or timeline.sees[scenario, step] != step or estate.state[c, IS_OPEN] == 0:
        return False
    if timeline.outlier[scenario, step] >= 0:
        return False
    throughout = clock.bridge and clock.watch[scenario, step] == THROUGHOUT
    for i in range(holdings.width):
        if estate.order[c, i] != 0.0:
            return False
    for a in range(price.shape[0]):
        estate.at[a] = price[a, lane]
    ratio, total, gross = np.inf, 0.0, 0.0
    for pool in range(first, last):
        k = pool - first
        row = holdings.row[pool, leverage]
        place = holdings.place[pool] - holdings.start[row]
        if estate.told[c, k] == step:
            return False
        watched = throughout and (estate.touched[c, k] or estate.told[c, k] != NEVER)
        if watched and may_fall(market, desks, now, price, lane, estate, c, pool):
            parameters = market.parameters[scenario, step]
            lowest = find_low(market, desks, parameters, regime, now, price, lane, estate, c, pool)
            for a in range(price.shape[0]):
                estate.at[a] = price[a, lane]
            if lowest < -holdings.tie[pool, leverage]:
                return False
        cash = estate.cash[c, k]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            a, cap = holdings.asset[n], holdings.funding_cap[n]
            due = estate.size[c, place + n] * market.due[holdings.interval[n], step]
            paid = due * min(max(now.rate[a, lane], -cap), cap) * estate.at[a] if due != 0.0 else 0.0
            cash -= paid
            estate.paid[place + n] = paid
        estate.kept[k] = cash
        equity, maintenance, haircuts = cash, 0.0, 0.0
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
    for q in range(policies.first[account], policies.first[account + 1]):
        k = q - policies.first[account]
        if estate.due[c, k] != NEVER:
            if estate.due[c, k] <= step:
                return False
        elif not estate.done[c, k] and triggers(desks, estate, c, q, ratio, total, gross, estate.at):
            return False
    for pool in range(first, last):
        row = holdings.row[pool, leverage]
        place = holdings.place[pool] - holdings.start[row]
        estate.cash[c, pool - first] = estate.kept[pool - first]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            estate.gain[c, place + n] -= estate.paid[place + n]
            estate.money[c, FUNDING_PAID] += estate.paid[place + n]
    return True
