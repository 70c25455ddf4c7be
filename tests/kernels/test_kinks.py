"""Requirements with kinks: their value and slope, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.kinks import find_extent, lift_at, turn_at
from kernels.screen import value_pool
from kernels.structs import BANKRUPTCY, LANES, LIQUIDATION, MARGIN_CALL, REQUIRED, ROWS, VALUE, Book, Kinks
from tests import margin_oracle
from tests.kernels.lowered import lifts, lower_problem, run_problem
from tests.kernels.mixed_books import BRACKETS, mixed_problem
from tests.kernels.problems import (
    FULL,
    Account,
    Bracket,
    Floats,
    Interest,
    Kink,
    Position,
    Problem,
    random_problem,
    sample,
    simple_problem,
)

EXAMPLES = 100 if FULL else 10
both_ways = pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])


def two_positions(*terms: tuple[float, float, float, float]) -> Kinks:
    """The first position has none; the second has those, of initial margin."""
    start = np.array([[0, 0, len(terms)], [len(terms)] * 3])
    floor = np.array([term[0] for term in terms], np.float64)
    return Kinks(start, floor, lifts(terms), np.ones(1, np.int64), np.zeros(1, np.int64))


def with_accounts(problem: Problem, **changes: Any) -> Problem:
    """The same with every position of every account changed."""
    return replace(
        problem,
        accounts=tuple(
            a._replace(positions=tuple(p._replace(**changes) for p in a.positions)) for a in problem.accounts
        ),
    )


def test_lift_at__sum_of_the_kinks_below_the_price() -> None:
    kinks = two_positions((90.0, 1.0, 0.5, 0.0), (100.0, 0.0, -0.25, 0.125))
    for price, lift, turn in [
        (89.0, 0.0, 0.0),
        (90.0, 0.0, 0.0),  # at its floor a kink is not there yet
        (92.0, 2.0, 0.5),
        (100.0, 6.0, 0.5),
        (104.0, 1.0 + 7.0 - 1.0 + 2.0, 0.5 - 0.25 + 1.0),
    ]:
        assert lift_at(kinks, MARGIN_CALL, 1, price) == lift
        assert turn_at(kinks, MARGIN_CALL, 1, price) == turn
        for mark, n in [
            (MARGIN_CALL, 0),
            (LIQUIDATION, 0),
            (LIQUIDATION, 1),
            (BANKRUPTCY, 0),
            (BANKRUPTCY, 1),
        ]:
            assert lift_at(kinks, mark, n, price) == turn_at(kinks, mark, n, price) == 0.0


def required(book: Book, pool: int, price: Floats) -> Floats:
    """(2, LANES): what `value_pool` says a pool needs at prices (A, LANES)."""
    table, extent = np.zeros((ROWS, LANES)), np.zeros((2, 2, len(price)))
    find_extent(price, price, extent)
    value_pool(book, pool, price, extent, table)
    return table[REQUIRED : REQUIRED + BANKRUPTCY]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    leverage=st.sampled_from([0.5, 1.0, 3.0, 40.0]),
    side=st.sampled_from([-1.0, 1.0]),
    chosen=st.sampled_from([0.0, 0.07, 0.6]),
    edges=st.lists(st.floats(30.0, 3000.0), max_size=4, unique=True),
)
def test_value_pool__brackets_of_notional(
    seed: int, leverage: float, side: float, chosen: float, edges: list[float]
) -> None:
    """Two positions in brackets of their own: each notional's bracket looked up, whatever the kinks say."""
    rng = np.random.default_rng(seed)
    spot = rng.uniform(1.0, 500.0, 2)
    rates = np.sort(rng.uniform(0.002, 0.3, (2, len(edges) + 1)), axis=1)
    brackets = tuple(
        Bracket(edge, 0.01 + initial + maintenance, maintenance)
        for edge, initial, maintenance in zip([0.0, *sorted(edges)], *rates, strict=True)
    )
    positions = tuple(
        Position(a, sign * 100.0 / spot[a], brackets=brackets, chosen=chosen)
        for a, sign in [(0, side), (1, -side)]
    )
    problem = simple_problem(
        (Account(50.0, positions),), volatility=[0.5, 0.5], spot=spot, leverages=(1.0, leverage)
    )
    _, book, _ = lower_problem(problem)
    price = spot[:, None] * np.exp(rng.normal(0.0, 0.7, (2, LANES)))
    got = required(book, 1, price)  # the row of the second leverage
    for mark in (MARGIN_CALL, LIQUIDATION):
        for v in range(LANES):
            want = sum(
                margin_oracle.requirement(p, mark, price[p.asset, v], np.array([leverage]))[0]
                for p in positions
            )
            assert got[mark, v] == pytest.approx(want, rel=1e-11)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    base=st.floats(0.01, 0.9),
    chosen=st.floats(0.0, 0.99),
    coins=st.floats(1.0, 1e9),
    lower=st.floats(0.0, 2.0),
    width=st.floats(0.01, 2.0),
    size=st.floats(-1e4, 1e4).filter(lambda size: abs(size) > 1e-4),
)
def test_value_pool__open_interest(
    base: float, chosen: float, coins: float, lower: float, width: float, size: float
) -> None:
    """Initial margin alone: max(chosen, base + (1 - base) (OI - lower) / (upper - lower)), in [base, 1]."""
    notional = coins * 100.0
    interest = Interest(coins, lower * notional, (lower + width) * notional)
    position = Position(0, size, base, 0.5 * base, interest=interest, chosen=chosen)
    problem = simple_problem((Account(50.0, (position,)),))
    _, book, _ = lower_problem(problem)
    price = 100.0 * np.linspace(0.05, 5.0, LANES)[None, :]
    initial, maintenance = required(book, 0, price)
    np.testing.assert_allclose(maintenance, abs(size) * price[0] * 0.5 * base, rtol=1e-12)
    rising = base + (1.0 - base) * (price[0] / 100.0 - lower) / width
    fraction = np.maximum(np.clip(rising, base, 1.0), chosen)
    # the quadratic cancels to a line far above its floor: what is left is as large as the square was
    square = abs(size) * price[0] * (1.0 + np.maximum(rising, 0.0))
    assert (np.abs(initial - abs(size) * price[0] * fraction) < 1e-12 * square).all()


def test_value_pool__values_are_not_kinked() -> None:
    problem = mixed_problem(5)
    _, book, _ = lower_problem(problem)
    price = problem.spot[:, None] * np.exp(np.random.default_rng(1).normal(0.0, 0.3, (2, LANES)))
    table, extent = np.zeros((ROWS, LANES)), np.zeros((2, 2, len(price)))
    find_extent(price, price, extent)
    for pool in range(book.base.size):
        value_pool(book, pool, price, extent, table)
        held = slice(book.start[pool], book.start[pool + 1])
        np.testing.assert_allclose(table[VALUE], book.size[held] @ price[book.asset[held]], atol=1e-9)


@pytest.mark.parametrize("apart", [0.0005, 0.01, 0.3])
def test_value_pool__a_lanes_bits_are_a_matter_of_its_own_price(apart: float) -> None:
    """Whether the other lanes lie between the same two kinks or not, and those of accounts elsewhere."""
    problem = mixed_problem(6)
    _, book, _ = lower_problem(problem)
    rng = np.random.default_rng(2)
    price = problem.spot[:, None] * np.exp(rng.normal(0.0, apart, (2, LANES)))
    for pool in np.flatnonzero(book.kinks.present).tolist():
        together = required(book, pool, price)
        for v in range(0, LANES, 9):
            alone = required(book, pool, np.repeat(price[:, v : v + 1], LANES, axis=1))
            np.testing.assert_array_equal(alone, np.repeat(together[:, v : v + 1], LANES, axis=1))


@both_ways
def test_simulate_paths__kinks_far_above_every_price(bridge: bool) -> None:
    """They lie in the arrays and change nothing."""
    problem = random_problem(31, assets=2, scenarios=2, jumps=True, funding=True, bridge=bridge)
    far = Kink(1e9, 1e6, 50.0, 3.0)
    kinked = with_accounts(problem, kinks=((far,), (far, far)))
    assert lower_problem(kinked)[1].kinks.present.any()
    paths = sample(2000, 64)
    want = run_problem(problem, 5, 0, paths)
    got = run_problem(kinked, 5, 0, paths)
    np.testing.assert_array_equal(got.hits, want.hits)
    np.testing.assert_array_equal(got.joint, want.joint)


@both_ways
def test_simulate_paths__brackets_of_equal_rates_are_a_flat_rate(bridge: bool) -> None:
    """On both sides of each edge the same: one row for all leverages, or one with brackets for each."""
    problem = random_problem(32, assets=2, jumps=True, funding=True, bridge=bridge)
    problem = problem if FULL else replace(problem, leverages=(1.0, 4.0))
    flat = with_accounts(problem, initial=0.06, maintenance=0.03)
    edges = [bracket.above for bracket in BRACKETS]
    brackets = tuple(Bracket(edge, 0.06, 0.03) for edge in edges)
    tiered = with_accounts(problem, initial=0.9, maintenance=0.8, brackets=brackets)
    paths = sample(2000, 64)
    np.testing.assert_array_equal(run_problem(tiered, 5, 0, paths).hits, run_problem(flat, 5, 0, paths).hits)


@both_ways
def test_simulate_paths__open_interest_moves_margin_calls_alone(bridge: bool) -> None:
    problem = random_problem(33, assets=2, scenarios=2, jumps=True, bridge=bridge)
    crowded = replace(
        problem,
        accounts=tuple(
            a._replace(
                positions=tuple(
                    p._replace(interest=Interest(10.0, 9.0 * spot, 12.0 * spot))
                    for p, spot in ((p, problem.spot[p.asset]) for p in a.positions)
                )
            )
            for a in problem.accounts
        ),
    )
    paths = sample(2000, 64)
    calm, busy = run_problem(problem, 5, 0, paths).hits, run_problem(crowded, 5, 0, paths).hits
    np.testing.assert_array_equal(busy[[LIQUIDATION, BANKRUPTCY]], calm[[LIQUIDATION, BANKRUPTCY]])
    assert (busy[MARGIN_CALL].cumsum(axis=-1) >= calm[MARGIN_CALL].cumsum(axis=-1)).all()
    assert (busy[MARGIN_CALL].sum(axis=-1) > calm[MARGIN_CALL].sum(axis=-1)).any()
