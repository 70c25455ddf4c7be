"""Who is woken: accounts that a policy of theirs may be about to act on, told for all paths at once.

One is woken no later than its first policy sees what it waits for; to be woken earlier changes nothing, as an
estate that nobody touches is what the screen walks.
"""

from __future__ import annotations

import numpy as np

from kernels.desks import ISOLATE, Desks
from kernels.estate import Estate, claim
from kernels.jit import hot, inlined
from kernels.structs import LANES, PAID, Floats, Market, Standing, Step


@hot
def fall_asleep(desks: Desks, scenarios: int, paths: int, estate: Estate) -> None:
    """Put every line of a tile before its first threshold, and wake accounts that wait for what is no line:
    a position's share of their margin."""
    watches = estate.watches
    for s in range(scenarios):
        for g in range(watches.rest.shape[0]):
            for v in range(LANES):
                estate.rank[s, g, v] = 0
                estate.next[s, g, v] = watches.threshold[g, 0] if v < paths else -np.inf
        for k in range(watches.tolled.shape[0]):
            for v in range(LANES):
                estate.toll[s, k, v] = 0.0
        for account in range(estate.slot.shape[1]):
            for q in range(desks.policies.first[account], desks.policies.first[account + 1]):
                if desks.policies.kind[q] == ISOLATE:
                    for leverage in range(estate.slot.shape[2]):
                        for v in range(paths):
                            claim(estate, s, account, leverage, v)


@inlined
def add_tolls(
    market: Market, desks: Desks, scenario: int, step: int, now: Step, price: Floats, estate: Estate
) -> None:
    """Add the funding of a step to what strategies' positions have paid, at prices (A, LANES)."""
    holdings = desks.holdings
    for k in range(estate.watches.tolled.shape[0]):
        n = estate.watches.tolled[k]
        due = holdings.size[n] * market.due[holdings.interval[n], step]
        if due != 0.0:
            toll, cap = estate.toll[scenario, k], holdings.funding_cap[n]
            rate, of = now.rate[holdings.asset[n]], price[holdings.asset[n]]
            for v in range(LANES):
                toll[v] += due * min(max(rate[v], -cap), cap) * of[v]


@inlined
def level_line(scenario: int, g: int, price: Floats, standing: Standing, estate: Estate) -> int:
    """Fill B of a line at prices (A, LANES); how many paths have it below their next threshold."""
    watches, level = estate.watches, estate.level
    rest, rows = watches.rest[g], standing.pool.shape[1]
    for v in range(LANES):
        level[v] = rest
    for x in range(watches.source[g], watches.source[g + 1]):
        share, row = watches.share[x], watches.paid[x]
        paid = standing.pool[scenario, row, PAID] if row < rows else estate.toll[scenario, row - rows]
        for v in range(LANES):
            level[v] -= share * paid[v]
    if watches.kinked[g] >= 0:
        ratio, required = watches.ratio[g], standing.held[watches.kinked[g]]
        for v in range(LANES):
            level[v] -= ratio * required[v]
    for e in range(watches.term[g], watches.term[g + 1], 2):
        one, other = price[watches.asset[e]], price[watches.asset[e + 1]]
        money, more = watches.coefficient[e], watches.coefficient[e + 1]
        for v in range(LANES):
            level[v] += money * one[v] + more * other[v]
    found, below = 0, estate.next[scenario, g]
    for v in range(LANES):
        found += int(level[v] < below[v])
    return found


@inlined
def wake_by(scenario: int, account: int, g: int, paths: int, estate: Estate) -> None:
    """Wake the leverages whose thresholds B of a line has fallen below."""
    watches = estate.watches
    last = watches.threshold.shape[1]
    for v in range(paths):
        level, rank = estate.level[v], estate.rank[scenario, g, v]
        if level < estate.next[scenario, g, v]:
            while rank < last and level < watches.threshold[g, rank]:
                claim(estate, scenario, account, watches.leverage[g, rank], v)
                rank += 1
            estate.rank[scenario, g, v] = rank
            estate.next[scenario, g, v] = watches.threshold[g, rank] if rank < last else -np.inf


@inlined
def wake(
    market: Market,
    desks: Desks,
    scenario: int,
    step: int,
    paths: int,
    now: Step,
    price: Floats,
    standing: Standing,
    estate: Estate,
) -> None:
    """Wake all whom a policy may act on at this close, prices (A, LANES); under an outlier, which desks see
    through, everybody who has a policy."""
    watches, policies = estate.watches, desks.policies
    add_tolls(market, desks, scenario, step, now, price, estate)
    for account in range(estate.slot.shape[1]):
        if desks.timeline.outlier[scenario, step] >= 0:
            if policies.first[account] < policies.first[account + 1]:
                for leverage in range(estate.slot.shape[2]):
                    for v in range(paths):
                        claim(estate, scenario, account, leverage, v)
            continue
        for g in range(watches.first[account], watches.first[account + 1]):
            if level_line(scenario, g, price, standing, estate) > 0:
                wake_by(scenario, account, g, paths, estate)
