"""Hits, counted once each: of a pool, of an account of several pools, of a pair of accounts."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from kernels.hits import record_hits
from kernels.structs import (
    BANKRUPTCY,
    LIQUIDATION,
    MARGIN_CALL,
    MARKS,
    NEXT,
    Book,
    Standing,
    Tally,
    create_tally,
)
from tests.kernels.lowered import lower_problem, run_problem
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


def one_account(account: Account) -> tuple[Book, Standing, Tally]:
    """An account on its own, three leverages, nothing hit yet on lane 5."""
    _, book, _ = lower_problem(simple_problem((account,), leverages=(1.0, 2.0, 4.0), horizons=(1, 2)))
    pools, lanes = book.base.size, 8
    standing = Standing(
        np.zeros((1, 1, lanes)),
        np.zeros((1, lanes), np.int64),
        np.zeros(lanes, np.int64),
        np.zeros((1, 0, lanes)),
        np.zeros((1, 0, lanes)),
        np.zeros((1, pools, NEXT + MARKS, lanes)),
        np.zeros((1, pools, MARKS, lanes), np.int64),
        np.full((1, 1, lanes), 2),
        np.zeros((1, 1, MARKS, 3, lanes), np.int64),
        np.zeros((1, book.members.size, 2, 3, lanes), np.int64),
        np.zeros((1, 9, 3), np.int64),
        np.zeros(1, np.int64),
        np.zeros((0, lanes)),
        np.zeros((0, lanes)),
    )
    return book, standing, create_tally(1, 1, 3, 2, True, 1, book.members.size)


def test_record_hits__each_threshold_below_once() -> None:
    """Equity 12: gone below X = -3 at leverage 4, -6 at 2, -12 at 1."""
    book, standing, tally = one_account(Account(12.0, (Position(0, 1.0),)))
    for lowest, horizon, hit, following in [
        (-3.0, 0, [0, 0, 0], -3.0),  # at the threshold it stands
        (-5.0, 0, [0, 0, 1], -6.0),
        (-4.0, 0, [0, 0, 1], -6.0),
        (-12.5, 1, [1, 1, 1], -np.inf),
        (-99.0, 1, [1, 1, 1], -np.inf),
    ]:
        record_hits(book, 0, 0, LIQUIDATION, 5, lowest, horizon, standing, tally)
        assert tally.hits[LIQUIDATION, 0, 0].sum(axis=-1).tolist() == hit
        assert standing.pool[0, 0, NEXT + LIQUIDATION, 5] == following
    assert tally.hits[LIQUIDATION, 0, 0].tolist() == [[0, 1], [0, 1], [1, 0]]
    assert standing.unit[0, 0, 5] == 1  # when leverage 1 went
    assert tally.hits.sum() == 3
    assert not standing.rank[0, 0, :, :5].any()


def test_record_hits__first_pool_is_the_accounts_hit_and_the_last_is_counted_apart() -> None:
    account = Account(12.0, (Position(0, 1.0),), (), (Pool(4.0, (Position(0, 1.0),)),), group=0)
    book, standing, tally = one_account(account)
    steps = [(1, -2.5, 0), (0, -5.0, 0), (1, -9.0, 1), (0, -20.0, 1)]
    seen = []
    for pool, lowest, horizon in steps:
        record_hits(book, 0, pool, LIQUIDATION, 5, lowest, horizon, standing, tally)
        any_, all_ = tally.hits[LIQUIDATION, 0, 0].sum(axis=-1), tally.last_pool[0, 0].sum(axis=-1)
        seen.append((any_.tolist(), all_.tolist()))
    assert seen == [
        ([0, 1, 1], [0, 0, 0]),  # the second pool goes at -1, -2, -4
        ([0, 1, 1], [0, 0, 1]),
        ([1, 1, 1], [0, 0, 1]),
        ([1, 1, 1], [1, 1, 1]),
    ]
    assert tally.hits[LIQUIDATION, 0, 0].tolist() == [[0, 1], [1, 0], [1, 0]]
    assert tally.last_pool[0, 0].tolist() == [[0, 1], [0, 1], [1, 0]]
    assert standing.unit[0, 0, 5] == 1
    assert standing.liquidated[0, 0, :, :, 5].sum(axis=0).tolist() == [
        1,
        1,
        1,
    ]  # an account counts once in its group


def separate(problem: Problem) -> tuple[Problem, list[list[int]]]:
    """Every pool an account of its own; and which of them each account was."""
    pools = [(i, pool) for i, account in enumerate(problem.accounts) for pool in account.pools]
    alone = tuple(Account(*pool) for _, pool in pools)
    mine = [[r for r, (owner, _) in enumerate(pools) if owner == i] for i in range(len(problem.accounts))]
    return replace(problem, accounts=alone), mine


@both_ways
def test_simulate_paths__an_account_is_the_union_of_its_pools(bridge: bool) -> None:
    """Path by path: pools hit what they hit alone, the account with the first, `last_pool` with the last."""
    only = ("three-pools", "pools-at-no-risk", "tiered-pair", "coin-owed")
    problem = mixed_problem(41, only=only, assets=2, jumps=True, funding=True, scenarios=2, bridge=bridge)
    apart, mine = separate(problem)
    horizons = np.arange(len(problem.horizons))
    several = [i for i, pools in enumerate(mine) if len(pools) > 1]
    met = 0
    for path in range(150 if FULL else 4):
        whole, parts = run_problem(problem, 5, path, 1), run_problem(apart, 5, path, 1)
        when = np.where(parts.hits.any(axis=-1), parts.hits.argmax(axis=-1), horizons.size)
        for i, pools in enumerate(mine):
            first = when[:, :, pools].min(axis=2)
            np.testing.assert_array_equal(whole.hits[:, :, i], first[..., None] == horizons)
        for v, i in enumerate(several):
            exposed = [
                r for r in mine[i] if any(p.maintenance or p.brackets for p in apart.accounts[r].positions)
            ]
            last = when[LIQUIDATION][:, exposed].max(axis=1)
            np.testing.assert_array_equal(whole.last_pool[:, v], last[..., None] == horizons)
            met += int((last < horizons.size).sum())
    assert met > 0


@both_ways
def test_simulate_paths__pools_never_affect_one_another(bridge: bool) -> None:
    """A pool more, however deep in debt, changes nothing about what the others do."""
    problem = mixed_problem(42, only=("plain", "tiered-long"), assets=2, scenarios=2, bridge=bridge)
    ruined = Pool(-1e6, (Position(1, 3.0),))
    safe = Pool(1e6, (Position(1, 3.0),), (Coin(0, 1.0),))
    paths = sample(1000, 64)
    want = run_problem(problem, 5, 0, paths)
    for other, gone in [(safe, False), (ruined, True)]:
        beside = replace(problem, accounts=tuple(a._replace(apart=(other,)) for a in problem.accounts))
        got = run_problem(beside, 5, 0, paths)
        if gone:  # hit at once; the last to go is the account's other pool
            assert (got.hits[..., 0] == paths).all()
            np.testing.assert_array_equal(got.last_pool, want.hits[LIQUIDATION])
        else:
            np.testing.assert_array_equal(got.hits, want.hits)
            assert not got.last_pool.any()


@both_ways
def test_simulate_paths__pairs_of_accounts_by_their_first_pools(bridge: bool) -> None:
    """At leverage 1, the later of the two, whatever pool it was."""
    problem = mixed_problem(43, assets=2, jumps=True, scenarios=2, bridge=bridge, step_years=1.0 / 50.0)
    unit, met = problem.leverages.index(1.0), 0
    for path in range(100 if FULL else 1):
        tally = run_problem(problem, 5, path, 1)
        hits = tally.hits[LIQUIDATION][:, :, unit].cumsum(axis=-1)  # (S, P, H)
        both = np.einsum("sih,sjh->shij", hits, hits)
        np.testing.assert_array_equal(tally.joint.cumsum(axis=1), both)
        met += int(both.sum())
    assert met > 0


def test_simulate_paths__pools_without_maintenance_are_not_waited_for() -> None:
    """An account of three pools, one that can be liquidated: the last to go is the first."""
    risky, idle = Position(0, 1.0), Position(0, 1.0, maintenance=0.0)
    accounts = (
        Account(10.0, (idle,), (), (Pool(10.0, (risky,)), Pool(3.0, ()))),
        Account(10.0, (idle,), (), (Pool(3.0, ()),)),
    )
    scenario = plain_scenario(2)._replace(shocks={0: np.array([0.5])})
    problem = simple_problem(accounts, volatility=0.0, horizons=(1, 2), scenarios=(scenario,))
    tally = run_problem(problem, 1, 0, 7)
    assert tally.hits[LIQUIDATION, 0, :, 0].tolist() == [[7, 0], [0, 0]]
    assert tally.last_pool[0, :, 0].tolist() == [[7, 0], [0, 0]]
    assert tally.hits[BANKRUPTCY, 0, :, 0].tolist() == [[7, 0], [7, 0]]


def test_simulate_paths__one_row_a_leverage_is_one_row_for_all() -> None:
    """Where margin is in proportion to size both ways of putting it count the same."""
    for bridge, additive in product([False, True], [False, True]):
        problem = mixed_problem(
            44,
            only=(
                "plain",
                "interest-short",
                "interest-pair",
                "kinked-short",
                "kinked-pair",
                "pools-at-no-risk",
            ),
            assets=3,
            jumps=True,
            funding=True,
            scenarios=4 if FULL else 1,
            bridge=bridge,
            additive=additive,
        )
        apart = replace(problem, accounts=tuple(a._replace(by_leverage=True) for a in problem.accounts))
        assert lower_problem(apart)[1].base.size > lower_problem(problem)[1].base.size
        paths = sample(1000, 64)
        want, got = run_problem(problem, 5, 0, paths), run_problem(apart, 5, 0, paths)
        np.testing.assert_array_equal(got.hits, want.hits)
        np.testing.assert_array_equal(got.joint, want.joint)


def test_record_hits__who_is_followed_is_told_of_once() -> None:
    """Row, leverage and lane of every pool found liquidatable, at each leverage; calls are not news."""
    book, standing, tally = one_account(Account(12.0, (Position(0, 1.0),)))
    record_hits(book, 0, 0, MARGIN_CALL, 5, -99.0, 0, standing, tally)
    assert standing.fresh[0] == 0
    for lowest in (-5.0, -5.5, -99.0):
        record_hits(book, 0, 0, LIQUIDATION, 5, lowest, 0, standing, tally)
    assert standing.fresh[0] == 3
    assert standing.news[0, :3].tolist() == [[0, 2, 5], [0, 1, 5], [0, 0, 5]]
