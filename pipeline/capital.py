"""Capital at which a book is liquidated with a given probability, for every way of holding it.

A pool with equity e at `as_of` is liquidatable iff e + X < 0, X its profit since then less its maintenance
margin. So one walk over the paths counts the liquidations at any number of e: the screen's leverage axis with
levels of equity in place of leverages, and nothing that has to be proportional to anything.

Several pools need a rule for who gets how much. Ours gives each the equity at which it alone is liquidated
with the same probability q; a second walk counts, for every q, the paths on which any of them is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from math import fsum, isnan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.simulate import simulate_paths
from kernels.structs import LIQUIDATION, MARKS, Book, Clock, Market, create_tally
from pipeline.blocks import Block, draw_of, plan_blocks
from pipeline.compare import EqualChance, HeldBook, Members, Range, pool_account
from pipeline.intervals import counted
from pipeline.lower_book import TIE, lower_book, lower_clock
from pipeline.lower_market import lower_market
from pipeline.plan import Account, Plan, Scenario
from pipeline.units import format_duration

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Progress = Callable[[int, int], None]
"""Called with paths done and paths in all, whenever that changes."""

LEVELS = 512  # of a pool's equity, 1 to 4 % apart
LEAST, MOST = 0.1, 10.0  # the lowest of them in maintenance margins, the highest in notionals
SMALLEST = 1e-6  # of notional, where hardly any maintenance margin is required
CHANCES = 256  # q, where there are several pools
MOST_POOLS = 256  # walked together: their state stays small


class Walk(NamedTuple):
    """One scenario up to one horizon, as the kernel takes it, and who is told how far it has got.

    `markets`: of each draw of the model's parameters, or one, of the model itself.
    """

    plan: Plan
    markets: tuple[Market, ...]
    clock: Clock
    advance: Callable[[int], None]


class Curve(NamedTuple):
    """Paths (points,) on which something is liquidated, by amounts (points,), ascending, of money in it."""

    amount: Floats
    liquidated: Integers


def find_capital(
    plan: Plan,
    books: Sequence[HeldBook],
    scenario: Scenario,
    horizon: timedelta,
    probabilities: Sequence[float],
    progress: Progress | None = None,
) -> tuple[EqualChance | None, ...]:
    """For each book the capital with which every way of holding it has its P(liquidation) by the horizon.

    On the paths of the plan's run and by its kernel, so that a cross account with cash for collateral counts
    what it counts in the cube. Capital is cash that comes on top of profit since entry; no pool begins with
    equity below zero. None for a book without positions.
    """
    slabs = list(_slabs([n for n, book in enumerate(books) if book.margins], books))
    several = any(len(pools) > 1 for book in books for pools in book.ways.values())
    walk = _start_walk(plan, scenario, horizon, len(slabs) * (1 + several), progress)
    found: list[EqualChance | None] = [None] * len(books)
    for slab in slabs:
        held = [books[n] for n in slab]
        alone = _count_alone(walk, held)
        together = _count_together(walk, held, alone)
        for n, curves, joined in zip(slab, alone, together, strict=True):
            found[n] = EqualChance(
                probability=probabilities[n],
                horizon=format_duration(horizon),
                scenario=scenario.name,
                paths=plan.simulation.paths,
                capital={
                    way: _range(curve, probabilities[n], plan.simulation.paths)
                    for way, curve in _by_way(books[n], curves, joined).items()
                },
            )
    return tuple(found)


def _by_way(book: HeldBook, alone: dict[Members, Curve], joined: dict[str, Curve]) -> dict[str, Curve]:
    """The curve of every way, in capital; that of one pool is in equity less the profit that is there."""
    found = {}
    for way, pools in book.ways.items():
        curve = alone[pools[0]]
        profit = book.margins[pools[0]].equity
        found[way] = joined[way] if way in joined else curve._replace(amount=curve.amount - profit)
    return found


def _slabs(numbers: Sequence[int], books: Sequence[HeldBook]) -> Iterator[list[int]]:
    """Books by number, as many together as have at most MOST_POOLS pools; one at least."""
    slab: list[int] = []
    pools = 0
    for n in numbers:
        if slab and pools + len(books[n].margins) > MOST_POOLS:
            yield slab
            slab, pools = [], 0
        slab.append(n)
        pools += len(books[n].margins)
    if slab:
        yield slab


def _start_walk(
    plan: Plan, scenario: Scenario, horizon: timedelta, walks: int, progress: Progress | None
) -> Walk:
    """`walks`: how often all paths are walked, for what is told of progress."""
    simulation = plan.simulation.model_copy(update={"horizons": (horizon,), "leverage": (1.0,)})
    reduced = plan.model_copy(update={"simulation": simulation, "scenarios": (scenario,)})
    walked = 0

    def advance(paths: int) -> None:
        nonlocal walked
        walked += paths
        if progress is not None:
            progress(walked // walks, simulation.paths)

    draws = range(plan.draws) if plan.draws else (None,)
    markets = tuple(lower_market(reduced, draw) for draw in draws)
    return Walk(reduced, markets, lower_clock(reduced), advance)


def _count_alone(walk: Walk, books: Sequence[HeldBook]) -> list[dict[Members, Curve]]:
    """For each book the curves of its pools, each alone, in equity at `as_of`."""
    pools = [pool_account(book.account, members) for book in books for members in book.margins]
    equity = np.array([_levels(walk.plan, book, members) for book in books for members in book.margins])
    counts = _count_liquidated(walk, pools, equity, np.arange(len(pools)))
    curves = iter(map(Curve, equity, counts))
    return [{members: next(curves) for members in book.margins} for book in books]


def _levels(plan: Plan, book: HeldBook, members: Members) -> Floats:
    """Equities at which a pool is watched: none, a range, and what all that is committed would give it."""
    margin, markets = book.margins[members], plan.venue_of(book.account).markets
    positions = [book.account.positions[n] for n in members]
    notional = fsum(abs(each.size) * plan.prices[markets[each.market].asset] for each in positions)
    least = max(LEAST * margin.maintenance_margin, SMALLEST * notional)
    now = max(0.0, book.committed + margin.equity)
    return np.sort([0.0, now, *np.geomspace(least, MOST * notional, LEVELS)])


def _count_together(
    walk: Walk, books: Sequence[HeldBook], alone: Sequence[dict[Members, Curve]]
) -> list[dict[str, Curve]]:
    """For each book the curves, in capital, of its ways with several pools: any of them is liquidated."""
    paths = walk.plan.simulation.paths
    chances = np.array([*np.geomspace(1.0, 0.5 / paths, CHANCES), 0.0])
    pools: list[Account] = []
    equity: list[Floats] = []
    owner: list[int] = []
    capital: list[Floats] = []
    for book, curves in zip(books, alone, strict=True):
        for shares in book.ways.values():
            if len(shares) > 1:
                profit = np.array([book.margins[members].equity for members in shares])[:, np.newaxis]
                wanted = np.array([_equity_at(curves[members], chances, paths) for members in shares])
                pools += [pool_account(book.account, members) for members in shares]
                equity += list(np.maximum(wanted, profit))  # what a pool has earned beyond its need stays
                owner += [len(capital)] * len(shares)
                capital.append(np.maximum(wanted - profit, 0.0).sum(axis=0))
    if not capital:
        return [{} for _ in books]
    counts = _count_liquidated(walk, pools, np.array(equity), np.array(owner))
    joined = iter(map(Curve, capital, counts))
    return [{way: next(joined) for way, shares in book.ways.items() if len(shares) > 1} for book in books]


def _equity_at(curve: Curve, chances: Floats, paths: int) -> Floats:
    """The equity at which a pool alone is liquidated with each probability, or the most that was watched."""
    found = find_fall(curve.liquidated / paths, curve.amount, chances)
    return np.where(np.isnan(found), curve.amount[-1], found)


def _range(curve: Curve, probability: float, paths: int) -> Range:
    """The capital at a probability: where the counted curve falls to it, and where its 95 % bounds do."""
    low, high = counted(curve.liquidated, paths)
    ends = [
        float(find_fall(chance, curve.amount, np.array([probability]))[0])
        for chance in (curve.liquidated / paths, low, high)
    ]
    return Range(*(None if isnan(end) else max(0.0, end) for end in ends))


def find_fall(curve: Floats, amount: Floats, targets: Floats) -> Floats:
    """The amounts at which a falling curve first gets down to each target, in a line between its points.

    `curve` and `amount` are (points,). The first amount where the curve begins at the target or below; NaN
    where it doesn't get there.
    """
    after = np.searchsorted(-curve, -targets, side="left")
    upper = np.clip(after, 1, len(curve) - 1)
    lower = upper - 1
    drop = np.where(curve[lower] > curve[upper], curve[lower] - curve[upper], 1.0)
    short = (targets - curve[upper]) / drop
    found = amount[upper] - short * (amount[upper] - amount[lower])
    return np.where(after == 0, amount[0], np.where(after == len(curve), np.nan, found))


def _lower(plan: Plan, market: Market, pools: Sequence[Account], equity: Floats, owner: Integers) -> Book:
    """Pools, as cross accounts, for the kernel: levels of equity (pool, level), ascending, for thresholds.

    `owner`: whose each pool is, numbered from 0.
    """
    everyone = (*plan.accounts, *pools)  # the plan's own too: which assets are simulated hangs on them
    plan = plan.model_copy(update={"accounts": everyone})
    book = lower_book(plan, market, range(len(everyone) - len(pools), len(everyone)))
    worth = np.abs(book.size) * market.spot[book.asset]
    gross = np.array([[worth[first:last].sum()] for first, last in pairwise(book.start)])
    threshold = np.full((MARKS, *equity.shape), -np.inf)  # the other marks are not watched
    threshold[LIQUIDATION] = np.where(
        book.pools[:, np.newaxis] > 0, -equity - TIE * (gross + np.abs(equity)), -np.inf
    )
    several = np.bincount(owner) > 1
    return book._replace(
        threshold=threshold,
        leverage=np.tile(np.arange(equity.shape[1]), (len(pools), 1)),
        alone=np.full(len(pools), -1),
        multiple=np.ones(equity.shape[1]),
        account=owner,
        several=np.where(several, np.cumsum(several) - 1, -1),
        pools=np.bincount(owner, book.pools > 0).astype(np.int64),
        group=np.full(len(several), -1),
    )


def _count_liquidated(walk: Walk, pools: Sequence[Account], equity: Floats, owner: Integers) -> Integers:
    """(account, level): paths on which any of its pools fell below its level of that number. As `_lower`."""
    accounts, levels = int(owner.max()) + 1, equity.shape[1]
    simulation, draws = walk.plan.simulation, len(walk.markets)
    blocks = plan_blocks(simulation.paths, 1, draws=draws)

    @lru_cache(maxsize=os.cpu_count())
    def lower(draw: int) -> Book:
        return _lower(walk.plan, walk.markets[draw], pools, equity, owner)

    def count(block: Block) -> Integers:
        draw = draw_of(block.first_path, simulation.paths, draws)
        market, book = walk.markets[draw], lower(draw)
        several = int(book.several.max()) + 1
        tally = create_tally(1, accounts, levels, 1, joint=False, several=several)
        simulate_paths(simulation.seed, block.first_path, block.paths, market, book, walk.clock, tally)
        return tally.hits[LIQUIDATION, 0, :, :, 0]

    total = np.zeros((accounts, levels), np.int64)
    executor = ThreadPoolExecutor(os.cpu_count())
    try:
        for block, counts in zip(blocks, executor.map(count, blocks), strict=True):
            total += counts
            walk.advance(block.paths)
    finally:
        executor.shutdown(cancel_futures=True)
    return total
