"""A position closed at its bankruptcy price: against accounts that stand on the other side of its market,
where accounts share one, and against others outside."""

from __future__ import annotations

import numpy as np

from kernels.desks import DYDX, Desks
from kernels.estate import FORCED, OTHERS, WAS_BANKRUPT, WAS_FORCED, Estate, is_read_about
from kernels.jit import hot, inlined
from kernels.journal import COUNTERED, DELEVERAGED, Journal, note
from kernels.pits import are_together
from kernels.policies import survey
from kernels.random import SLOT_COUNTER, draw_uniform
from kernels.structs import Floats, Key
from kernels.trading import SMALLEST


@inlined
def find_bankruptcy(oracle: float, size: float, equity: float, own: float, maintenance: float) -> float:
    """The price at which a position takes with it its share, by maintenance margin, of a pool's equity."""
    return float(oracle - equity * (own / maintenance) / size)


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
def deleverage(
    desks: Desks,
    scenario: int,
    key: Key,
    when: tuple[int, int],
    estate: Estate,
    c: int,
    pool: int,
    n: int,
    bankruptcy: float,
    at: Floats,
    journal: Journal,
) -> None:
    """Close a position, a pool's n-th of the holdings, at its bankruptcy price, against others."""
    holdings = desks.holdings
    account, leverage = estate.owner[c, 0], estate.owner[c, 1]
    i = holdings.place[pool] + n - holdings.start[holdings.row[pool, leverage]]
    size, mark = estate.size[c, i], at[holdings.asset[n]]
    cash = size * bankruptcy
    estate.state[c, WAS_BANKRUPT] = 1
    estate.money[c, OTHERS] += cash - size * mark
    close_part(desks, estate, c, pool, i, size, mark, cash)
    note(journal, when, DELEVERAGED, i, -size, bankruptcy, cash - size * mark)
    if are_together(desks):
        pits = estate.pits
        pits.given[pits.here[0], desks.contagion.venue[account]] += cash - size * mark
        writes = journal.open[0]
        close_against(desks, scenario, key, when, estate, c, n, size, bankruptcy, at, journal)
        journal.open[0] = writes


@hot
def close_against(
    desks: Desks,
    scenario: int,
    key: Key,
    when: tuple[int, int],
    estate: Estate,
    c: int,
    n: int,
    size: float,
    price: float,
    at: Floats,
    journal: Journal,
) -> None:
    """Close what other accounts of the pit hold against a position of that size, at that price, one after
    another until it is matched. At dYdX they are drawn, elsewhere the one in line comes first."""
    holdings = desks.holdings
    account, leverage, lane = estate.owner[c, 0], estate.owner[c, 1], estate.owner[c, 2]
    market, mark = holdings.market[n], at[holdings.asset[n]]
    drawn = desks.rules.family[account] == DYDX
    while size != 0.0:
        which = -1
        if drawn:
            many = count_against(desks, scenario, estate, c, market, size)
            if many == 0:
                break
            which = int(draw_uniform(key, SLOT_COUNTER + estate.pits.draws[0]) * many)
            estate.pits.draws[0] += 1
        pool, against = pick_against(desks, scenario, estate, c, market, size, which, at)
        if against < 0:
            break
        other = estate.slot[scenario, holdings.account[holdings.row[pool, leverage]], leverage, lane]
        i = holdings.place[pool] + against - holdings.start[holdings.row[pool, leverage]]
        held = estate.size[other, i]
        quantity = held if abs(held) <= abs(size) else -size
        k = pool - holdings.first[estate.owner[other, 0]]
        estate.size[other, i] -= quantity
        if abs(estate.size[other, i]) * mark <= SMALLEST:
            estate.size[other, i] = 0.0
        estate.cash[other, k] += quantity * price
        estate.gain[other, i] += quantity * price
        estate.touched[other, k] = 1
        money = quantity * price - quantity * mark
        estate.money[other, OTHERS] += money
        size += quantity
        journal.open[0] = int(is_read_about(journal, estate, other, scenario))
        note(journal, when, COUNTERED, i, -quantity, price, money)


@hot
def count_against(desks: Desks, scenario: int, estate: Estate, c: int, market: int, size: float) -> int:
    """How many positions of other accounts in a pit stand against one of that size in a market."""
    holdings = desks.holdings
    account, leverage, lane = estate.owner[c, 0], estate.owner[c, 1], estate.owner[c, 2]
    found = 0
    for pool in range(holdings.place.shape[0]):
        row = holdings.row[pool, leverage]
        other = estate.slot[scenario, holdings.account[row], leverage, lane]
        if holdings.account[row] != account and other >= 0:
            place = holdings.place[pool] - holdings.start[row]
            for n in range(holdings.start[row], holdings.start[row + 1]):
                if holdings.closes[n] and holdings.market[n] == market:
                    found += int(estate.size[other, place + n] * size < 0.0)
    return found


@hot
def pick_against(
    desks: Desks, scenario: int, estate: Estate, c: int, market: int, size: float, which: int, at: Floats
) -> tuple[int, int]:
    """The pool and position of another account that is closed against one of that size next: that of the
    number drawn, in the book's order, or (-1) the first in line; -1 without any.

    In line by profit since entry, as a share, times the account's leverage; who has nothing left comes last.
    """
    holdings = desks.holdings
    account, leverage, lane = estate.owner[c, 0], estate.owner[c, 1], estate.owner[c, 2]
    best, chosen, found, left = -np.inf, -1, -1, which
    for pool in range(holdings.place.shape[0]):
        row = holdings.row[pool, leverage]
        other = estate.slot[scenario, holdings.account[row], leverage, lane]
        if holdings.account[row] == account or other < 0:
            continue
        place = holdings.place[pool] - holdings.start[row]
        for n in range(holdings.start[row], holdings.start[row + 1]):
            held = estate.size[other, place + n]
            if not holdings.closes[n] or holdings.market[n] != market or held * size >= 0.0:
                continue
            if which >= 0:
                if left == 0:
                    chosen, found = pool, n
                left -= 1
                continue
            _, _, equity, gross = survey(desks, estate, other, at)
            gain = at[holdings.asset[n]] / holdings.entry[n] - 1.0
            rank = (gain if held > 0.0 else -gain) * gross / equity if equity > 0.0 else -np.inf
            if found < 0 or rank > best:
                best, chosen, found = rank, pool, n
    return int(chosen), int(found)
