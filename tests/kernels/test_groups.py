"""Groups: who is liquidated together, and what they hold between them, against sums done by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.quanta import MOST_QUANTA, add_money
from kernels.structs import (
    ALL,
    ANY,
    EQUITY,
    EQUITY_HIGH,
    EQUITY_LOW,
    LIQUIDATED,
    LIQUIDATED_SQUARE,
    LIQUIDATION,
    SHORTFALL,
    SHORTFALL_HIGH,
    SHORTFALL_LOW,
    Tally,
)
from tests import oracle
from tests.kernels.lowered import lower_problem, run_lowered, run_problem
from tests.kernels.mixed_books import mixed_problem
from tests.kernels.problems import (
    FULL,
    Account,
    Coin,
    Pool,
    Position,
    Problem,
    plain_scenario,
    sample,
    simple_problem,
)

both_ways = pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
MONEY = [(EQUITY, EQUITY_HIGH, EQUITY_LOW), (SHORTFALL, SHORTFALL_HIGH, SHORTFALL_LOW)]


def grouped_problem(**features: Any) -> Problem:
    """Two groups of accounts of every kind, and accounts in none."""
    return mixed_problem(51, assets=2, funding=True, jumps=True, scenarios=2 if FULL else 1, **features)


def join_squares(tally: Tally, high: int, low: int) -> NDArray[np.object_]:
    """Sums of squares, as Python integers."""
    return np.asarray(tally.groups[high].astype(object) * 2**32 + tally.groups[low].astype(object))


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0.0, 0),
        (0.3, 1),  # of a quarter each, to the nearest
        (-0.3, -1),
        (0.125, 0),  # halves to the even one
        (0.375, 2),
        (1e6, 4_000_000),
        (-1e6, -4_000_000),
        (2.0**28, 2**30),
        (2.0**40, int(MOST_QUANTA)),  # held there: the square is to fit
        (-1e300, -int(MOST_QUANTA)),
    ],
)
def test_add_money__whole_quanta_and_their_square(value: float, count: int) -> None:
    sums, high, low = np.array([5]), np.array([7]), np.array([11])
    add_money(value, 0.25, sums, high, low)
    assert sums[0] == 5 + count
    assert (int(high[0]) - 7) * 2**32 + int(low[0]) - 11 == count**2
    assert 0 <= low[0] - 11 < 2**32


@both_ways
def test_count_groups__against_the_members_own_counts(bridge: bool) -> None:
    """Any: at least every member's. All: at most. Liquidated: their sum, and squares by pairs."""
    problem = grouped_problem(bridge=bridge)
    paths = sample(1500, 64)
    tally = run_problem(problem, 5, 0, paths)
    hits = tally.hits[LIQUIDATION].cumsum(axis=-1)  # (S, P, L, H)
    for g in (0, 1):
        members = [i for i, a in enumerate(problem.accounts) if a.group == g]
        exposed = [i for i in members if problem.accounts[i].positions or problem.accounts[i].apart]
        got = tally.groups[:, :, g]
        assert (got[ANY] >= hits[:, members].max(axis=1)).all()
        assert (got[ANY] <= np.minimum(hits[:, members].sum(axis=1), paths)).all()
        assert (got[ALL] <= hits[:, exposed].min(axis=1)).all()
        assert got[ALL].any()
        np.testing.assert_array_equal(got[LIQUIDATED], hits[:, members].sum(axis=1))
        pairs = tally.joint.cumsum(axis=1)[:, :, members][..., members].sum(axis=(-1, -2))
        np.testing.assert_array_equal(got[LIQUIDATED_SQUARE][:, problem.leverages.index(1.0)], pairs)
        assert (np.diff(got[[ANY, ALL, LIQUIDATED]], axis=-1) >= 0).all()


@both_ways
def test_count_groups__path_by_path(bridge: bool) -> None:
    """On one path: some and all are yes or no, the square is that of the number."""
    problem = grouped_problem(bridge=bridge)
    for path in range(60 if FULL else 1):
        tally = run_problem(problem, 5, path, 1)
        hits = tally.hits[LIQUIDATION].cumsum(axis=-1)
        for g in (0, 1):
            members = [i for i, a in enumerate(problem.accounts) if a.group == g]
            exposed = [i for i in members if problem.accounts[i].positions or problem.accounts[i].apart]
            some, every, number, square = tally.groups[:4, :, g]
            np.testing.assert_array_equal(some, hits[:, members].any(axis=1))
            np.testing.assert_array_equal(every, hits[:, exposed].all(axis=1))
            np.testing.assert_array_equal(number, hits[:, members].sum(axis=1))
            np.testing.assert_array_equal(square, number**2)
        for money, high, low in MONEY:
            count = tally.groups[money].astype(object)
            np.testing.assert_array_equal(join_squares(tally, high, low), count**2)


@both_ways
def test_count_groups__money_adds_up_within_a_quantum_a_path(bridge: bool) -> None:
    problem = grouped_problem(bridge=bridge)
    market, book, clock = lower_problem(problem)
    paths = 20 if FULL else 2
    tally = run_lowered(market, book, clock, 5, 0, paths, len(problem.horizons))
    passages = [oracle.simulate_path(problem, 5, path, 0.0) for path in range(paths)]
    quantum = book.quantum[:, None, None]
    for (money, high, low), values in zip(
        MONEY,
        (np.array([p.equity for p in passages]), np.array([p.shortfall for p in passages])),
        strict=True,
    ):
        counts = values / quantum
        assert (np.abs(tally.groups[money] - counts.sum(axis=0)) <= 0.501 * paths).all()
        off = join_squares(tally, high, low).astype(float) - (counts**2).sum(axis=0)
        assert (np.abs(off) <= (np.abs(counts) + 0.5).sum(axis=0)).all()
        assert counts.any()
    assert (tally.groups[SHORTFALL].sum(axis=-1) > 0).any()


@both_ways
def test_count_groups__money_by_hand(bridge: bool) -> None:
    """A fall from 100 to 80. At l: 20 - 20 l; 30 + 20 l and 0.2 coins; a pool that owes 5."""
    accounts = (
        Account(20.0, (Position(0, 1.0),), group=0),
        Account(30.0, (Position(0, -1.0),), (Coin(0, 0.2, 0.5),), (Pool(-5.0, ()),), group=0),
        Account(1e6, (Position(0, 1.0),)),
        Account(7.0, (), group=1),
    )
    scenario = plain_scenario(2)._replace(shocks={1: np.array([0.8])})
    problem = simple_problem(
        accounts,
        volatility=0.0,
        horizons=(1, 2),
        leverages=(0.5, 1.0, 4.0),
        scenarios=(scenario,),
        bridge=bridge,
    )
    market, book, clock = lower_problem(problem)
    assert (book.quantum < 1e-3).all()
    tally = run_lowered(market, book, clock, 1, 0, 3, 2)
    unit = 3.0 / book.quantum[0]
    equity = tally.groups[EQUITY, 0, 0] / unit
    np.testing.assert_allclose(equity, [[65.0, 61.0]] * 3, atol=book.quantum[0])
    shortfall = tally.groups[SHORTFALL, 0, 0] / unit
    np.testing.assert_allclose(shortfall, [[5.0, 5.0], [5.0, 5.0], [5.0, 65.0]], atol=book.quantum[0])
    np.testing.assert_allclose(tally.groups[EQUITY, 0, 1] * book.quantum[1], 21.0, atol=book.quantum[1])
    # nobody in the second group can be liquidated, so they never all are
    assert not tally.groups[[ANY, ALL, LIQUIDATED, SHORTFALL], 0, 1].any()
    assert tally.groups[ANY, 0, 0].tolist() == [[0, 0], [0, 3], [0, 3]]
    assert not tally.groups[ALL, 0, 0].any()


@both_ways
def test_count_groups__does_not_depend_on_others(bridge: bool) -> None:
    """A group alone, its members in another order, in another book: the same, to the integer."""
    problem = grouped_problem(bridge=bridge)
    paths = sample(1000, 64)
    whole = run_problem(problem, 5, 0, paths)
    for g in (0, 1):
        members = tuple(a._replace(group=0) for a in problem.accounts if a.group == g)
        alone = run_problem(replace(problem, accounts=members), 5, 0, paths)
        np.testing.assert_array_equal(alone.groups[:, :, 0], whole.groups[:, :, g])
    turned = replace(problem, accounts=problem.accounts[::-1])
    other = run_problem(turned, 5, 0, paths)
    people = slice(ANY, LIQUIDATED_SQUARE + 1)
    np.testing.assert_array_equal(other.groups[people], whole.groups[people])
    for money, *_ in MONEY:  # sums in another order may fall to the other side of a half
        assert np.abs(other.groups[money] - whole.groups[money]).max() <= 2


def test_count_groups__without_groups_nothing_is_kept() -> None:
    problem = grouped_problem()
    alone = replace(problem, accounts=tuple(a._replace(group=-1) for a in problem.accounts))
    tally, grouped = run_problem(alone, 5, 0, 64), run_problem(problem, 5, 0, 64)
    assert tally.groups.size == 0
    np.testing.assert_array_equal(tally.hits, grouped.hits)
