"""Who is woken: accounts that a policy of theirs may be about to act on, told for all paths at once.

One is woken no later than its first policy sees what it waits for; to be woken earlier changes nothing, as an
estate that nobody touches is what the screen walks.
"""

from __future__ import annotations

import numpy as np

from kernels.estate import (
    CLOSE,
    ISOLATE,
    REBALANCE,
    STOP_DRAWDOWN,
    STOP_PRICE,
    STRATEGY_CAP,
    TOP_UP,
    Desks,
    Estate,
    claim,
    multiple_of,
)
from kernels.jit import hot
from kernels.structs import LANES, PAID, Floats, Standing

SLACK = 1e-9  # of the amounts compared: rounding must not let anybody sleep


@hot
def is_followed(desks: Desks, account: int) -> bool:
    """Whether an account is followed from the start: what its policies wait for is not a matter of its pools'
    equity and margin, nor of a price."""
    policies = desks.policies
    found = False
    for q in range(policies.first[account], policies.first[account + 1]):
        kind = policies.kind[q]
        found |= kind in (STRATEGY_CAP, REBALANCE, ISOLATE)
    return found


@hot
def find_levels(desks: Desks, account: int) -> tuple[float, float]:
    """The highest margin ratio that a policy of an account waits for, and the equity; -inf: none."""
    policies = desks.policies
    ratio, equity = -np.inf, -np.inf
    for q in range(policies.first[account], policies.first[account + 1]):
        if policies.kind[q] == TOP_UP or policies.kind[q] == CLOSE:
            # below one, haircuts weigh more here than in what the screen calls required
            ratio = max(ratio, policies.below[q], 1.0)
        elif policies.kind[q] == STOP_DRAWDOWN:
            equity = max(equity, (1.0 - policies.below[q]) * desks.holdings.equity[account])
    return ratio, equity


@hot
def wake_by_margin(
    desks: Desks, scenario: int, account: int, leverage: int, paths: int, standing: Standing, estate: Estate
) -> None:
    """Wake the paths on which a pool's margin ratio, or the account's equity, is at a policy's level."""
    holdings = desks.holdings
    ratio, least = find_levels(desks, account)
    total, near = estate.total, estate.near
    for v in range(LANES):
        total[v], near[v] = 0.0, 0.0
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        multiple = multiple_of(holdings, row, leverage)
        paid, value, required = (
            standing.pool[scenario, row, PAID],
            standing.held[row, 0],
            standing.held[row, 1],
        )
        began, base = holdings.began[row], holdings.base[row]
        for v in range(LANES):
            equity = began + multiple * (value[v] - base - paid[v])
            needed = max(ratio, 0.0) * multiple * required[v]
            total[v] += equity
            above = equity - needed - SLACK * (abs(equity) + needed)
            near[v] += 1.0 if above < 0.0 < needed else 0.0
    for v in range(paths):
        if near[v] > 0.0 or total[v] - least < SLACK * abs(total[v]):
            claim(estate, scenario, account, leverage, v)


@hot
def wake_by_price(
    desks: Desks, scenario: int, account: int, paths: int, price: Floats, estate: Estate
) -> None:
    """Wake the paths on which a mark is at a stop, at every leverage."""
    holdings, policies = desks.holdings, desks.policies
    for q in range(policies.first[account], policies.first[account + 1]):
        if policies.kind[q] != STOP_PRICE:
            continue
        for pool in range(holdings.first[account], holdings.first[account + 1]):
            row = holdings.row[pool, 0]
            for n in range(holdings.start[row], holdings.start[row + 1]):
                i = holdings.place[pool] + n - holdings.start[row]
                if not (holdings.closes[n] and policies.touches[q, i]):
                    continue
                side = 1.0 if holdings.size[n] > 0.0 else -1.0
                mark, level = price[holdings.asset[n]], policies.below[q]
                for v in range(paths):
                    if side * (mark[v] - level) <= SLACK * level:
                        for leverage in range(holdings.row.shape[1]):
                            claim(estate, scenario, account, leverage, v)


@hot
def wake(
    desks: Desks,
    scenario: int,
    step: int,
    paths: int,
    price: Floats,
    standing: Standing,
    estate: Estate,
) -> None:
    """Wake all whom a policy may act on at this close, prices (A, LANES); under an outlier, which desks see
    through, everybody who has a policy."""
    policies = desks.policies
    for account in range(estate.slot.shape[1]):
        if policies.first[account] < policies.first[account + 1] and not is_followed(desks, account):
            if desks.timeline.outlier[scenario, step] >= 0:
                for leverage in range(estate.slot.shape[2]):
                    for v in range(paths):
                        claim(estate, scenario, account, leverage, v)
                continue
            for leverage in range(estate.slot.shape[2]):
                wake_by_margin(desks, scenario, account, leverage, paths, standing, estate)
            wake_by_price(desks, scenario, account, paths, price, estate)
