"""Hits: a pool has fallen below thresholds; what that means for its account and group, counted once each."""

from __future__ import annotations

import numpy as np

from kernels.jit import inlined
from kernels.structs import LIQUIDATION, NEXT, Book, Standing, Tally


@inlined
def count_hit(
    book: Book,
    scenario: int,
    pool: int,
    mark: int,
    leverage: int,
    lane: int,
    horizon: int,
    standing: Standing,
    tally: Tally,
) -> None:
    """Count that a pool has hit a mark at one leverage: the account's hit, if it is its first pool."""
    if mark == LIQUIDATION and standing.news.shape[1] > 0:
        told = standing.news[scenario, standing.fresh[scenario]]
        told[0], told[1], told[2] = pool, leverage, lane
        standing.fresh[scenario] += 1
    account = book.account[pool]
    several = book.several[account]
    if several >= 0:
        count = standing.pools_hit[scenario, several, mark, leverage, lane] + 1
        standing.pools_hit[scenario, several, mark, leverage, lane] = count
        if mark == LIQUIDATION and count == book.pools[account]:
            tally.last_pool[scenario, several, leverage, horizon] += 1
        if count > 1:
            return
    tally.hits[mark, scenario, account, leverage, horizon] += 1
    if mark == LIQUIDATION:
        if leverage == book.unit:
            standing.unit[scenario, account, lane] = horizon
        group = book.group[account]
        if group >= 0:
            standing.liquidated[scenario, group, horizon, leverage, lane] += 1


@inlined
def record_hits(
    book: Book,
    scenario: int,
    pool: int,
    mark: int,
    lane: int,
    lowest: float,
    horizon: int,
    standing: Standing,
    tally: Tally,
) -> None:
    """Count every leverage whose threshold X has fallen below, once, at this horizon."""
    last = book.threshold.shape[2]
    rank = standing.rank[scenario, pool, mark, lane]
    while rank < last and lowest < book.threshold[mark, pool, rank]:
        count_hit(book, scenario, pool, mark, book.leverage[pool, rank], lane, horizon, standing, tally)
        rank += 1
    standing.rank[scenario, pool, mark, lane] = rank
    standing.pool[scenario, pool, NEXT + mark, lane] = (
        book.threshold[mark, pool, rank] if rank < last else -np.inf
    )
