"""What is waited for in books that nobody touches yet, for all leverages at once.

Whatever a policy waits for is a straight line in leverage l: it is there once A + l B < 0, with B a sum over
prices and funding paid that is the same for all leverages. So one number a path, B, tells at which of them it
has come, as X does in `kernels.screen`: each leverage has a threshold, -A / l. What that is by policy, with V
the value of positions less what they were worth at `as_of` and the funding paid since:

    margin ratio below r, of a pool        A = its equity at `as_of`       B = V - haircuts - r maintenance
    equity at a level, of all pools        A = equity at `as_of` - level   B = V
    a mark at a price                      A = 0                           B = +-(mark - price)
    a strategy's loss above a cap          A = cap                         B = V, of its positions
    gross notional above high equity       A = high equity at `as_of`      B = high V - gross
    gross notional below low equity        A = -low equity at `as_of`      B = gross - low V

Pools whose size is no matter of leverage alone have a row for each, and a watch for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kernels.desks import CLOSE, REBALANCE, STOP_DRAWDOWN, STOP_PRICE, STRATEGY_CAP, TOP_UP, Desks
from kernels.estate import Watches

SLACK = 1e-9  # of the amounts compared: rounding must not let anybody sleep


class Leg(NamedTuple):
    """A position of an account at one leverage, or at all of them."""

    n: int  # of the book
    i: int  # of the account
    share: float  # of the book's size


class Pool(NamedTuple):
    """A pool of an account at one leverage, or at all of them."""

    row: int
    share: float  # of what the row pays and holds
    legs: list[Leg]


class Line(NamedTuple):
    """A + l B of one watch, with B in its parts."""

    begins: float  # A
    held: list[tuple[int, float]]  # positions, and money by one unit of their price
    paid: list[tuple[int, float]]  # rows, and how much of the funding that they have paid
    tolls: list[tuple[int, float]]  # positions, likewise
    rest: float  # what else B has
    kinked: int  # row whose requirement bends, or -1
    ratio: float  # how much of that


def make_watches(desks: Desks) -> Watches:
    """What the policies of all accounts wait for, but for shares of margin."""
    holdings, policies = desks.holdings, desks.policies
    leverages = len(holdings.multiple)
    count = len(holdings.first) - 1
    found: list[tuple[Line, list[float], list[int]]] = []
    first = [0]
    for account in range(count):
        if policies.first[account] < policies.first[account + 1]:
            pools = [
                pool
                for pool in range(holdings.first[account], holdings.first[account + 1])
                if not holdings.spare[pool]
            ]
            if (holdings.alone[holdings.row[pools]] < 0).all():
                each = [list(range(leverages))]
            else:
                each = [[leverage] for leverage in range(leverages)]
            for some in each:
                multiples = [holdings.multiple[leverage] if len(each) == 1 else 1.0 for leverage in some]
                held = [_pool_of(desks, pool, some, len(each) == 1) for pool in pools]
                for line in _lines_of(desks, account, held):
                    thresholds = [(SLACK * abs(line.begins) - line.begins) / m for m in multiples]
                    ranked = sorted(zip(thresholds, some, strict=True), reverse=True)
                    found.append((line, [t for t, _ in ranked], [leverage for _, leverage in ranked]))
        first.append(len(found))
    return _packed(desks, found, first)


def _pool_of(desks: Desks, pool: int, some: Sequence[int], shared: bool) -> Pool:
    """A pool at some leverages; shared: those of leverage 1, for all of them."""
    holdings = desks.holdings
    row = int(holdings.row[pool, some[0]])
    share = 1.0 if shared or holdings.alone[row] >= 0 else float(holdings.multiple[some[0]])
    span = range(holdings.start[row], holdings.start[row + 1])
    return Pool(row, share, [Leg(n, int(holdings.place[pool]) + n - span.start, share) for n in span])


def _lines_of(desks: Desks, account: int, pools: list[Pool]) -> Iterator[Line]:
    """What an account waits for, with the positions of its pools."""
    holdings, policies = desks.holdings, desks.policies
    rows = range(policies.first[account], policies.first[account + 1])
    every = [leg for pool in pools for leg in pool.legs]
    legs = [leg for leg in every if holdings.closes[leg.n]]
    began = sum(float(holdings.began[pool.row]) for pool in pools)
    paid = [(pool.row, pool.share) for pool in pools]
    base = sum(pool.share * float(holdings.base[pool.row]) for pool in pools)
    held = [(leg.n, leg.share * float(holdings.size[leg.n])) for leg in every]
    gross = [(leg.n, leg.share * abs(float(holdings.size[leg.n]))) for leg in legs]
    ratios = [float(policies.below[q]) for q in rows if policies.kind[q] in (TOP_UP, CLOSE)]
    if ratios:
        for pool in pools:
            if any(holdings.closes[leg.n] for leg in pool.legs):
                yield _margin_line(desks, pool, max(ratios))
    falls = [float(policies.below[q]) for q in rows if policies.kind[q] == STOP_DRAWDOWN]
    if falls and holdings.equity[account] > 0.0:
        level = (1.0 - min(falls)) * float(holdings.equity[account])
        yield Line(began - level, held, paid, [], -base, -1, 0.0)
    for q in rows:
        touched = [leg for leg in legs if policies.touches[q, leg.i]]
        below, low = float(policies.below[q]), float(policies.low[q])
        if policies.kind[q] == STOP_PRICE:
            for leg in touched:
                side = 1.0 if holdings.size[leg.n] > 0.0 else -1.0
                yield Line(0.0, [(leg.n, side)], [], [], -side * below, -1, 0.0)
        elif policies.kind[q] == STRATEGY_CAP:
            worth = [(leg.n, leg.share * float(holdings.size[leg.n])) for leg in touched]
            cost = sum(money * float(holdings.spot[holdings.asset[n]]) for n, money in worth)
            tolls = [(leg.n, leg.share) for leg in touched]
            yield Line(below, worth, [], tolls, -cost, -1, 0.0)
        elif policies.kind[q] == REBALANCE:
            for share, sign in ((below, 1.0), (low, -1.0)):
                both = [(n, sign * share * money) for n, money in held] + [(n, -sign * m) for n, m in gross]
                some = [(row, sign * share * of) for row, of in paid]
                yield Line(sign * share * began, both, some, [], -sign * share * base, -1, 0.0)


def _margin_line(desks: Desks, pool: Pool, ratio: float) -> Line:
    """A pool's margin ratio below a level."""
    holdings = desks.holdings
    row, share = pool.row, pool.share
    kinked = bool(holdings.kinks.present[row])
    held = []
    for leg in pool.legs:
        required = (ratio if holdings.closes[leg.n] else 1.0) * float(holdings.required[leg.n])
        held.append((leg.n, share * (float(holdings.size[leg.n]) - (0.0 if kinked else required))))
    return Line(
        begins=float(holdings.began[row]),
        held=held,
        paid=[(row, share)],
        tolls=[],
        rest=-share * float(holdings.base[row]),
        kinked=row if kinked else -1,
        # what the screen calls required has the haircuts in it, which count once
        ratio=share * max(ratio, 1.0) * (1.0 + SLACK),
    )


def _packed(desks: Desks, found: list[tuple[Line, list[float], list[int]]], first: list[int]) -> Watches:
    """Lines as arrays; with what rounding may take off them."""
    holdings, count, leverages = desks.holdings, len(found), len(desks.holdings.multiple)
    rows = len(holdings.account) - len(np.unique(holdings.row[holdings.spare == 1]))  # that the screen walks
    tolled = sorted({n for line, _, _ in found for n, _ in line.tolls})
    toll_of = np.full(len(holdings.asset), -1, np.int64)
    toll_of[tolled] = np.arange(len(tolled))
    terms, sources, constants = [0], [0], []
    asset: list[int] = []
    coefficient: list[float] = []
    source: list[int] = []
    share: list[float] = []
    threshold, leverage = np.full((count, leverages), -np.inf), np.zeros((count, leverages), np.int64)
    for g, (line, thresholds, ranked) in enumerate(found):
        by_asset: dict[int, float] = {}
        slack = abs(line.rest)
        for n, money in line.held:
            a = int(holdings.asset[n])
            by_asset[a] = by_asset.get(a, 0.0) + money - SLACK * abs(money)
            slack += abs(money) * abs(float(holdings.spot[a]))
        moved = [(a, money) for a, money in by_asset.items() if money != 0.0]
        if len(moved) % 2:
            moved.append((moved[0][0], 0.0))
        asset += [a for a, _ in moved]
        coefficient += [money for _, money in moved]
        terms.append(len(asset))
        source += [row for row, _ in line.paid] + [rows + int(toll_of[n]) for n, _ in line.tolls]
        share += [of for _, of in line.paid] + [of for _, of in line.tolls]
        sources.append(len(source))
        constants.append(line.rest - SLACK * slack)
        threshold[g, : len(ranked)], leverage[g, : len(ranked)] = thresholds, ranked
    return Watches(
        first=np.array(first, np.int64),
        term=np.array(terms, np.int64),
        asset=np.array(asset, np.int64),
        coefficient=np.array(coefficient, np.float64),
        source=np.array(sources, np.int64),
        paid=np.array(source, np.int64),
        share=np.array(share, np.float64),
        rest=np.array(constants, np.float64),
        kinked=np.array([line.kinked for line, _, _ in found], np.int64),
        ratio=np.array([line.ratio for line, _, _ in found], np.float64),
        threshold=threshold,
        leverage=leverage,
        tolled=np.array(tolled, np.int64),
        toll_of=toll_of,
    )
