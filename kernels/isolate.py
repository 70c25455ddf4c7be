"""A position that a desk moves to a pool of its own: when it has grown too large, and what goes with it."""

from __future__ import annotations

from kernels.desks import Desks
from kernels.estate import Estate, require, value_estate
from kernels.jit import hot
from kernels.journal import MOVED, Journal, note
from kernels.structs import Floats


@hot
def outgrows(desks: Desks, estate: Estate, c: int, q: int, at: Floats) -> bool:
    """Whether the maintenance margin of what a policy is about is above its share of the account's."""
    holdings, policies = desks.holdings, desks.policies
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    own, total = 0.0, 0.0
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            i = holdings.place[pool] + n - holdings.start[row]
            if holdings.closes[n]:
                required = require(holdings, row, n, estate.size[c, i], at[holdings.asset[n]])
                total += required
                own += required * policies.touches[q, i]
    return bool(own > policies.below[q] * total)


@hot
def move_apart(
    desks: Desks,
    when: tuple[int, int],
    gas: float,
    estate: Estate,
    c: int,
    q: int,
    at: Floats,
    journal: Journal,
) -> bool:
    """Move what a policy is about, at prices (A,), from the account's first pool to the one kept for it.

    As if sold and bought at its mark for nothing, so that profit stays behind; with it goes money, no more
    than what the first pool has above its requirement then, gas paid. False, and nothing is moved, where that
    is less than the position requires.
    """
    holdings, policies = desks.holdings, desks.policies
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    mother, there = holdings.first[account], policies.pool[q]
    row = holdings.row[mother, leverage]
    place = holdings.place[mother] - holdings.start[row]
    own = 0.0
    for n in range(holdings.start[row], holdings.start[row + 1]):
        if policies.touches[q, place + n]:
            own += require(holdings, row, n, estate.size[c, place + n], at[holdings.asset[n]])
    equity, maintenance, haircuts = value_estate(holdings, estate, c, mother, at)
    money = min(policies.amount[q], equity - haircuts - (maintenance - own) - gas)
    if own <= 0.0 or money < own:
        return False
    estate.cash[c, 0] -= money
    estate.cash[c, there] += money
    target = holdings.place[mother + there]
    for n in range(holdings.start[row], holdings.start[row + 1]):
        i = place + n
        if policies.touches[q, i] and estate.size[c, i] != 0.0:
            mark = at[holdings.asset[n]]
            worth = estate.size[c, i] * mark
            estate.cash[c, 0] += worth
            estate.cash[c, there] -= worth
            estate.gain[c, i] += worth
            estate.gain[c, target] -= worth
            estate.size[c, target], estate.order[c, target] = estate.size[c, i], estate.order[c, i]
            estate.size[c, i], estate.order[c, i] = 0.0, 0.0
            note(journal, when, MOVED, target, estate.size[c, target], mark, money)
            money = 0.0
        target += policies.touches[q, i]
    estate.touched[c, 0], estate.touched[c, there] = 1, 1
    estate.done[c, q - policies.first[account]] = 1
    return True
