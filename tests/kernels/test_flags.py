"""Tests of many paths at once, ahead of bridge and wick: some go on for nothing, no hit is ever missed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kernels.bridge import dip_between
from kernels.flags import bound_spread, find_reach, flag_at_leaps, flag_in_bridge, project_dips
from kernels.kinks import find_extent
from kernels.market import find_dips
from kernels.screen import value_pool
from kernels.structs import (
    BANKRUPTCY,
    FUNDING,
    LANES,
    MARKS,
    NEXT,
    REQUIRED,
    ROOM,
    ROWS,
    STANDING,
    TURN,
    VALUE,
    Book,
    Desk,
    Integers,
    Law,
    Market,
)
from kernels.wicks import dip_in_wicks, flag_in_wick, stretch_wicks, widen_reach
from tests.kernels.lowered import lower_problem, step_of
from tests.kernels.mixed_books import mixed_problem
from tests.kernels.problems import FULL, Floats, Problem

ROUNDS = 12 if FULL else 1
LANE = range(LANES)
# How near to a tie: as a share of what the pool holds. A hit by less may be missed, for rounding's sake.
JUST = 1e-10

MARKETS: dict[str, dict[str, Any]] = {
    "small-steps": {"step_years": 1.0 / 2000.0},
    "days": {},
    "large-steps": {"step_years": 1.0 / 12.0},
    "years": {"step_years": 1.0},
    "additive": {"step_years": 1.0 / 50.0, "additive": True},
}


class Crowd:
    """One step of many paths, each from somewhere else, and where every pool's X is at both ends."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.market, self.book, _ = lower_problem(problem)
        assets, spot = problem.spot.size, problem.spot[:, None]
        root = self.market.loading[0, 0]
        self.now = step_of(assets)
        self.now.weight[:] = np.exp(rng.normal(0.0, 0.4, LANES))
        center = rng.normal(0.0, 0.15, (assets, 1))
        apart = rng.choice([0.001, 0.15])  # all between the same two kinks, or not
        self.now.before[:] = spot * np.exp(center + rng.normal(0.0, apart, (assets, LANES)))
        move = self.now.weight * (root @ rng.normal(size=(root.shape[1], LANES)))
        self.price = self.now.before + spot * move if problem.additive else self.now.before * np.exp(move)
        self.noise = np.zeros((*self.market.loading.shape[:3], LANES))
        self.noise[0, 0] = root @ rng.normal(size=(root.shape[1], LANES))
        self.regime = np.zeros(LANES, np.int64)
        find_dips(self.market, 0, self.noise, self.regime, self.price, self.now)

    def excess(self, pool: int, price: Floats, desk: Desk) -> Floats:
        """(MARKS, LANES): X of a pool at prices."""
        table = desk.table
        find_extent(price, price, desk.extent)
        value_pool(self.book, pool, price, desk.extent, table)
        held = table[VALUE] - self.book.base[pool]
        needed = np.vstack([table[REQUIRED : REQUIRED + BANKRUPTCY], np.zeros((1, LANES))])
        return np.asarray(held - needed)

    def dips(self, pool: int, start: Floats, end: Floats) -> Floats:
        """(MARKS, LANES): the least X of a pool within the step, as the bridge has it path by path."""
        room = np.zeros((ROOM, self.book.asset.size))
        low = np.zeros((MARKS, LANES))
        for mark in range(MARKS):
            for v in range(LANES):
                low[mark, v] = dip_between(
                    self.market,
                    self.book,
                    pool,
                    mark,
                    Law(0, 0, self.now.weight[v]),
                    self.now.before,
                    self.price,
                    self.noise[0, 0],
                    v,
                    1.0,
                    start[mark, v],
                    end[mark, v],
                    1e9,  # above it all: ask for the least itself
                    room,
                )
        return low

    def flags(self, pool: int, start: Floats, thresholds: Floats, desk: Desk) -> Integers:
        """(LANES,) a bit a mark: which of them the vector test would look at."""
        market: Market = self.market
        book: Book = self.book
        state, table, flag = self.stand(pool, start, thresholds, desk), desk.table, desk.flag
        project_dips(book, pool, self.price, self.now, desk)
        bound_spread(market, book, pool, book.spread[pool, 0], self.regime, self.price, self.now, desk)
        slope_row = TURN if book.kinks.present[pool] else REQUIRED
        flag_in_bridge(book.base[pool], slope_row, state, table, flag)
        if book.kinks.leaps[pool]:
            find_reach(market, self.price, self.now, desk.reach)
            flag_at_leaps(market, book, pool, self.price, self.now, state, desk.reach, flag)
        return flag.copy()

    def stand(self, pool: int, start: Floats, thresholds: Floats, desk: Desk) -> Floats:
        """A pool's state in the step, its thresholds as given; no lane flagged yet."""
        state = np.zeros((NEXT + MARKS, LANES))
        state[STANDING : STANDING + MARKS] = start
        state[NEXT:] = thresholds
        desk.flag[:] = 0
        desk.table[FUNDING] = 0.0
        find_extent(self.now.before, self.price, desk.extent)
        value_pool(self.book, pool, self.price, desk.extent, desk.table)
        return state

    def draw_wicks(self, rng: np.random.Generator, scale: float) -> None:
        """Wicks for some of the lanes and assets."""
        shape = self.now.wick.shape
        excess = np.where(rng.random(shape) < 0.3, rng.exponential(scale, shape), 0.0)
        excess[..., rng.random(LANES) < 0.2] = 0.0
        stretch_wicks(self.market, *np.zeros((2, LANES), np.int64), excess, self.now)

    def wicks(self, pool: int) -> Floats:
        """(MARKS, LANES): the least X of a pool at wicks, as it is found path by path."""
        return np.array(
            [
                [dip_in_wicks(self.market, self.book, pool, mark, self.price, self.now, 0.0, v) for v in LANE]
                for mark in range(MARKS)
            ]
        )

    def wick_flags(self, pool: int, start: Floats, thresholds: Floats, desk: Desk) -> Integers:
        """(LANES,) a bit a mark: which of them the vector test would look at for their wicks."""
        state = self.stand(pool, start, thresholds, desk)
        find_reach(self.market, self.price, self.now, desk.reach)
        widen_reach(self.market, self.price, self.now, desk.reach)
        flag_in_wick(self.market, self.book, pool, self.price, self.now, state, desk)
        return desk.flag.copy()


def desk_of(assets: int) -> Desk:
    """Room to screen one pool of those assets."""
    return Desk(
        np.zeros((ROWS, LANES)),
        np.zeros(LANES, np.int64),
        np.zeros((2, 1, LANES)),
        np.zeros(LANES),
        np.zeros((2, 2, assets)),
        np.zeros((2, assets)),
    )


@pytest.mark.parametrize("name", MARKETS)
def test_flag_in_bridge__never_misses_a_hit(name: str) -> None:
    """Each threshold a hair above what the path dips to within the step: a hit, and none is nearer a miss."""
    only = () if FULL else ("plain", "tiered-short", "tiered-pair", "interest-long")
    problem = mixed_problem(71, only=only, assets=2, regimes=1, **MARKETS[name])
    problem = replace(problem, sets=(problem.sets[0],) * 3)
    rng = np.random.default_rng(8)
    tried, idle = 0, 0
    desk = desk_of(2)
    for _ in range(ROUNDS):
        crowd = Crowd(problem, rng)
        book = crowd.book
        for pool in np.flatnonzero(np.diff(book.start)).tolist():
            held = slice(book.start[pool], book.start[pool + 1])
            scale = float(np.abs(book.size[held]) @ problem.spot[book.asset[held]])
            start = crowd.excess(pool, crowd.now.before, desk)
            end = crowd.excess(pool, crowd.price, desk)
            low = crowd.dips(pool, start, end)
            inside = low < np.minimum(start, end) - 10.0 * JUST * scale
            thresholds = np.where(inside, low + JUST * scale, -np.inf)
            flag = crowd.flags(pool, start, thresholds, desk)
            seen = np.array([(flag >> mark) & 1 for mark in range(MARKS)], np.bool_)
            missed = np.argwhere(inside & ~seen)
            assert not missed.size, f"pool {pool} of account {book.account[pool]}: mark, lane {missed[0]}"
            tried += int(inside.sum())
            # and it is worth having: from five deviations away hardly any is looked at
            far = np.minimum(start, end) - 5.0 * book.spread[pool, 0, 0] - 0.1 * scale
            idle += int((crowd.flags(pool, start, far, desk) == 0).sum())
    assert tried > (10_000 if FULL else 500)
    if name == "small-steps":
        assert idle > 0.8 * ROUNDS * np.count_nonzero(np.diff(book.start)) * LANES


@pytest.mark.parametrize("name", MARKETS)
def test_flag_in_wick__never_misses_a_hit(name: str) -> None:
    """Each threshold a hair above what wicks take the path to."""
    only = () if FULL else ("plain", "tiered-short", "tiered-pair")
    problem = mixed_problem(72, only=only, assets=2, regimes=1, **MARKETS[name])
    problem = replace(problem, sets=(problem.sets[0],) * 3)
    rng = np.random.default_rng(9)
    tried, idle, leaping = 0, 0, 0
    desk = desk_of(2)
    for _ in range(ROUNDS):
        crowd = Crowd(problem, rng)
        crowd.draw_wicks(rng, rng.choice([0.1, 1.0]))
        book = crowd.book
        for pool in np.flatnonzero(np.diff(book.start)).tolist():
            held = slice(book.start[pool], book.start[pool + 1])
            scale = float(np.abs(book.size[held]) @ problem.spot[book.asset[held]])
            start = crowd.excess(pool, crowd.now.before, desk)
            end = crowd.excess(pool, crowd.price, desk)
            low = crowd.wicks(pool)
            inside = low < np.minimum(start, end) - 10.0 * JUST * scale
            thresholds = np.where(inside, low + JUST * scale, -np.inf)
            flag = crowd.wick_flags(pool, start, thresholds, desk)
            seen = np.array([(flag >> mark) & 1 for mark in range(MARKS)], np.bool_)
            missed = np.argwhere(inside & ~seen)
            assert not missed.size, f"pool {pool} of account {book.account[pool]}: mark, lane {missed[0]}"
            tried += int(inside.sum())
            if book.kinks.leaps[pool]:  # and it is worth having
                far = np.minimum(start, end) - 2.0 * scale
                idle += int((crowd.wick_flags(pool, start, far, desk) == 0).sum())
                leaping += LANES
    assert tried > (10_000 if FULL else 50)
    if name == "small-steps":
        assert idle > 0.5 * leaping
