"""What a desk does by itself: each policy sees the market at a close, and acts at once or after its delay."""

from __future__ import annotations

import numpy as np

from kernels.desks import CLOSE, ISOLATE, REBALANCE, STOP_DRAWDOWN, STOP_PRICE, STRATEGY_CAP, TOP_UP, Desks
from kernels.estate import GAS, HAS_ACTED, NEVER, PUT_IN, Estate, find_loss, value_estate
from kernels.isolate import move_apart, outgrows
from kernels.jit import hot, inlined
from kernels.journal import ACTED, SENT, TOPPED_UP, Journal, note
from kernels.random import SLOT_ATTENDANCE, draw_uniform
from kernels.structs import Floats, Key
from kernels.trading import fill_orders, order_close


@inlined
def survey(desks: Desks, estate: Estate, c: int, at: Floats) -> tuple[float, int, float, float]:
    """An account at prices (A,): the lowest margin ratio of its pools (infinite without maintenance), which
    pool's that is, equity of all pools, and the notional of what can be closed."""
    holdings = desks.holdings
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    lowest, where, total, gross = np.inf, holdings.first[account], 0.0, 0.0
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        equity, maintenance, haircuts = value_estate(holdings, estate, c, pool, at)
        total += equity
        if maintenance > 0.0 and (equity - haircuts) / maintenance < lowest:
            lowest, where = (equity - haircuts) / maintenance, pool
        row = holdings.row[pool, leverage]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            if holdings.closes[n]:
                i = holdings.place[pool] + n - holdings.start[row]
                gross += abs(estate.size[c, i]) * at[holdings.asset[n]]
    return lowest, int(where), total, gross


@inlined
def is_stopped(desks: Desks, estate: Estate, c: int, q: int, at: Floats) -> bool:
    """Whether the mark of an open position that a stop is about is at its price, or worse for it."""
    holdings, policies = desks.holdings, desks.policies
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            i = holdings.place[pool] + n - holdings.start[row]
            if holdings.closes[n] and policies.touches[q, i]:
                size, mark = estate.size[c, i], at[holdings.asset[n]]
                if (size > 0.0 and mark <= policies.below[q]) or (size < 0.0 and mark >= policies.below[q]):
                    return True
    return False


@inlined
def add_losses(desks: Desks, estate: Estate, c: int, q: int, at: Floats) -> float:
    """What the positions that a policy is about have lost since `as_of`."""
    holdings, policies = desks.holdings, desks.policies
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    loss = 0.0
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            i = holdings.place[pool] + n - holdings.start[row]
            if holdings.closes[n] and policies.touches[q, i]:
                loss += find_loss(holdings, estate, c, row, i, n, at)
    return loss


@inlined
def triggers(
    desks: Desks, estate: Estate, c: int, q: int, ratio: float, equity: float, gross: float, at: Floats
) -> bool:
    """Whether what a policy waits for is there, at prices (A,); ratio, equity, gross as `survey` has them."""
    policies = desks.policies
    account = estate.owner[c, 0]
    kind, below = policies.kind[q], policies.below[q]
    if kind in (TOP_UP, CLOSE):
        return bool(ratio < below)
    if kind == STOP_PRICE:
        return is_stopped(desks, estate, c, q, at)
    if kind == ISOLATE:
        return outgrows(desks, estate, c, q, at)
    if kind == STRATEGY_CAP:
        return bool(add_losses(desks, estate, c, q, at) > below)
    if kind == STOP_DRAWDOWN:
        began = desks.holdings.equity[account]
        return bool(began > 0.0 and equity <= (1.0 - below) * began)
    outside = gross > below * equity or gross < policies.low[q] * equity
    return bool(kind == REBALANCE and equity > 0.0 and gross > 0.0 and outside)


@hot
def act(
    desks: Desks,
    scenario: int,
    when: tuple[int, int],
    regime: int,
    estate: Estate,
    c: int,
    q: int,
    at: Floats,
    journal: Journal,
) -> None:
    """Do what a policy does, at prices (A,): money arrives, or orders are given and filled."""
    holdings, policies = desks.holdings, desks.policies
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    k = q - policies.first[account]
    if policies.kind[q] == TOP_UP:
        pool = survey(desks, estate, c, at)[1]
        estate.cash[c, pool - holdings.first[account]] += estate.sent[c, k]
        estate.money[c, PUT_IN] += estate.sent[c, k]
        estate.touched[c, pool - holdings.first[account]] = 1
        note(journal, when, TOPPED_UP, q, 0.0, 0.0, estate.sent[c, k])
        estate.sent[c, k] = 0.0
        pay_gas(desks, scenario, when, estate, c)
        return
    if policies.kind[q] == ISOLATE:
        cost = find_gas_cost(desks, scenario, when[0], account)
        if move_apart(desks, when, cost, estate, c, q, at, journal):
            note(journal, when, ACTED, q, 0.0, 0.0, 0.0)
            pay_gas(desks, scenario, when, estate, c)
        return
    factor = 0.0
    if policies.kind[q] == REBALANCE:
        _, _, equity, gross = survey(desks, estate, c, at)
        if equity <= 0.0 or gross == 0.0:
            return
        factor = policies.amount[q] * equity / gross - 1.0
    about = False
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            i = holdings.place[pool] + n - holdings.start[row]
            if holdings.closes[n] and policies.touches[q, i] and estate.size[c, i] != 0.0:
                about = True
                if policies.kind[q] == REBALANCE:
                    estate.order[c, i] = factor * estate.size[c, i]
                else:
                    order_close(estate, c, i, policies.amount[q])
    if about:
        note(journal, when, ACTED, q, 0.0, 0.0, 0.0)
        pay_gas(desks, scenario, when, estate, c)
        fill_orders(desks, scenario, when, regime, estate, c, at, journal)


@inlined
def find_gas_cost(desks: Desks, scenario: int, step: int, account: int) -> float:
    """What an action costs an account."""
    return float(desks.rules.gas_cost[account] * desks.timeline.gas[scenario, step])


@inlined
def pay_gas(desks: Desks, scenario: int, when: tuple[int, int], estate: Estate, c: int) -> None:
    """What an action costs its account, from its first pool."""
    cost = find_gas_cost(desks, scenario, when[0], estate.owner[c, 0])
    estate.cash[c, 0] -= cost
    estate.money[c, GAS] += cost
    estate.touched[c, 0] |= int(cost > 0.0)
    estate.state[c, HAS_ACTED] = 1


@inlined
def run_policies(
    desks: Desks,
    scenario: int,
    key: Key,
    when: tuple[int, int],
    regime: int,
    estate: Estate,
    c: int,
    at: Floats,
    journal: Journal,
) -> None:
    """Let every policy of an account see prices (A,), in the plan's order; money that is due comes first."""
    policies, step = desks.policies, when[0]
    account = estate.owner[c, 0]
    first, last = policies.first[account], policies.first[account + 1]
    for q in range(first, last):
        if policies.kind[q] == TOP_UP and NEVER < estate.due[c, q - first] <= step:
            estate.due[c, q - first] = NEVER
            act(desks, scenario, when, regime, estate, c, q, at, journal)
    ordered = False
    for i in range(desks.holdings.width):
        ordered |= estate.order[c, i] != 0.0
    if ordered:
        fill_orders(desks, scenario, when, regime, estate, c, at, journal)
    ratio, _, equity, gross = survey(desks, estate, c, at)
    for q in range(first, last):
        k = q - first
        waits = estate.due[c, k] == NEVER and not estate.done[c, k]
        if waits and triggers(desks, estate, c, q, ratio, equity, gross, at):
            decide(desks, scenario, key, when, estate, c, q, journal)
            ratio, _, equity, gross = survey(desks, estate, c, at)
        if NEVER < estate.due[c, k] <= step:
            estate.due[c, k] = NEVER
            act(desks, scenario, when, regime, estate, c, q, at, journal)
            ratio, _, equity, gross = survey(desks, estate, c, at)


@inlined
def decide(
    desks: Desks,
    scenario: int,
    key: Key,
    when: tuple[int, int],
    estate: Estate,
    c: int,
    q: int,
    journal: Journal,
) -> None:
    """What a policy waited for is there: set it under way, if somebody is there and there is money left."""
    policies, timeline, step = desks.policies, desks.timeline, when[0]
    account = estate.owner[c, 0]
    k = q - policies.first[account]
    if policies.probability[q] < 1.0:
        place = Key(key.seed, key.path, np.uint64(0))
        if draw_uniform(place, SLOT_ATTENDANCE + policies.number[q]) >= policies.probability[q]:
            estate.done[c, k] = 1
            return
    if policies.kind[q] == TOP_UP:
        estate.sent[c, k] = min(policies.amount[q], estate.left[c, k])
        if estate.sent[c, k] <= 0.0:
            return
        estate.left[c, k] -= estate.sent[c, k]
        note(journal, when, SENT, q, 0.0, 0.0, estate.sent[c, k])
    elif policies.kind[q] != REBALANCE and policies.kind[q] != ISOLATE:  # which is done once it has moved
        estate.done[c, k] = 1
    estate.due[c, k] = step + policies.delay[q] + timeline.gas_delay[scenario, step]
