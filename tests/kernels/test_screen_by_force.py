"""The whole leverage axis against each leverage valued by itself, whatever an account is made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.structs import LIQUIDATION, MARKS
from tests import margin_oracle
from tests.kernels.lowered import run_problem
from tests.kernels.problems import (
    FULL,
    Account,
    Bracket,
    Coin,
    Floats,
    Interest,
    Kink,
    Pool,
    Position,
    Problem,
    plain_scenario,
    simple_problem,
)

Flags = NDArray[np.bool_]
SPOT = np.array([100.0, 3.0, 47_000.0])
assets = st.integers(0, 2)
fractions = st.floats(0.0, 0.5)
shares = st.floats(0.0, 0.2)


class Verdict(NamedTuple):
    """Which leverages (L,) of a pool have been below a mark, and where rounding doesn't decide."""

    hit: Flags
    sure: Flags


@st.composite
def some_position(draw: st.DrawFn) -> Position:
    """Some 100 of notional: plain, kinked, in brackets, or with open interest."""
    asset, notional = draw(assets), draw(st.floats(0.01, 300.0)) * draw(st.sampled_from([-1.0, 1.0]))
    spot, size = SPOT[asset], notional / SPOT[asset]
    plain = Position(asset, size, draw(fractions), draw(fractions))
    kind = draw(st.sampled_from(["plain", "kinked", "brackets", "interest"]))
    if kind == "kinked":
        floors = draw(st.lists(st.tuples(st.integers(0, 1), st.floats(0.0, 4.0), shares), max_size=3))
        kinks = [
            [Kink(at * spot, share * 50.0, share * abs(size), 0.0) for m, at, share in floors if m == mark]
            for mark in range(2)
        ]
        return plain._replace(kinks=(tuple(kinks[0]), tuple(kinks[1])))
    if kind == "brackets":
        rows = draw(st.lists(st.tuples(st.floats(1.0, 5000.0), shares, shares), max_size=4))
        above = np.cumsum([0.0, *(width for width, _, _ in rows)])
        maintenance = np.cumsum([0.001, *(rise for _, _, rise in rows)])
        initial = maintenance + np.cumsum([0.0, *(rise for _, rise, _ in rows)])
        tiers = tuple(Bracket(*row) for row in zip(above, initial, maintenance, strict=True))
        return plain._replace(brackets=tiers, chosen=draw(fractions))
    if kind == "interest":
        lower = draw(st.floats(0.0, 1.5)) * spot
        return plain._replace(
            interest=Interest(1.0, lower, lower + draw(st.floats(0.1, 2.0)) * spot), chosen=draw(fractions)
        )
    return plain


@st.composite
def some_pool(draw: st.DrawFn) -> Pool:
    """Equity on either side of zero, up to four positions, coins held or owed."""
    coins = draw(st.lists(st.tuples(assets, st.floats(-100.0, 100.0), fractions), max_size=2))
    return Pool(
        draw(st.floats(-200.0, 400.0)),
        tuple(draw(st.lists(some_position(), max_size=4))),
        tuple(Coin(asset, worth / SPOT[asset], haircut) for asset, worth, haircut in coins),
    )


def judge_by_force(problem: Problem, pool: Pool, mark: int, instants: list[Floats]) -> Verdict:
    """Each leverage at each instant's prices, from the formulae."""
    axis = np.array(problem.leverages)
    hit, sure = np.zeros(axis.size, np.bool_), np.ones(axis.size, np.bool_)
    if mark == LIQUIDATION and not margin_oracle.can_be_liquidated(pool):
        return Verdict(hit, sure)
    for price in instants:
        value = margin_oracle.excess(problem, pool, mark, price, 0.0, axis)
        gross = sum(abs(p.size) * (price + SPOT)[p.asset] for p in pool.positions)
        coins = sum(abs(c.amount) * (price + SPOT)[c.asset] for c in pool.coins)
        rounding = 1e-11 * (10.0 * axis * gross + coins + abs(pool.collateral))
        sure &= (np.abs(value) > rounding) & ~margin_oracle.near_edge(pool, price, axis, 1e-11)
        hit |= value < 0.0
    return Verdict(hit, sure)


@settings(max_examples=250 if FULL else 6, deadline=None)
@given(
    pools=st.lists(some_pool(), min_size=1, max_size=3),
    leverages=st.lists(st.floats(0.05, 60.0), max_size=7, unique=True),
    gaps=st.lists(st.tuples(*[st.floats(0.02, 6.0)] * 3), min_size=1, max_size=5),
    at=st.sampled_from([0, 1]),
    bridge=st.booleans(),
    by_leverage=st.booleans(),
)
def test_screen_step__leverages_hit_are_those_of_brute_force(
    pools: list[Pool],
    leverages: list[float],
    gaps: list[tuple[float, float, float]],
    at: int,
    bridge: bool,
    by_leverage: bool,
) -> None:
    """A market that moves by one gap, at `as_of` or on the way; a gap a scenario."""
    first, *others = pools
    problem = simple_problem(
        (Account(*first, tuple(others), by_leverage=by_leverage),),
        volatility=[0.0] * 3,
        spot=SPOT,
        horizons=(2,),
        leverages=tuple(sorted({1.0, *leverages})),
        scenarios=tuple(plain_scenario(2)._replace(shocks={at: np.array(gap)}) for gap in gaps),
        bridge=bridge,
    )
    tally = run_problem(problem, 1, 0, 1)
    exposed = [margin_oracle.can_be_liquidated(pool) for pool in pools]
    for s, gap in enumerate(gaps):
        instants = [SPOT * gap] if at == 0 else [SPOT, SPOT * gap]
        for mark in range(MARKS):
            verdicts = [judge_by_force(problem, pool, mark, instants) for pool in pools]
            hit, sure = np.array([v.hit for v in verdicts]), np.array([v.sure for v in verdicts])
            got, clear = tally.hits[mark, s, 0, :, 0], np.asarray(sure.all(axis=0))
            np.testing.assert_array_equal(got[clear], np.asarray(hit.any(axis=0))[clear])
            if mark == LIQUIDATION and others and any(exposed):
                last = tally.last_pool[s, 0, :, 0]
                np.testing.assert_array_equal(last[clear], np.asarray(hit[exposed].all(axis=0))[clear])
