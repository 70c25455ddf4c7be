"""Laws of the leverage axis: what more leverage, margin or collateral can and can't do on the same paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL, Integers
from tests.kernels.lowered import run_problem
from tests.kernels.mixed_books import mixed_problem
from tests.kernels.problems import (
    Account,
    Coin,
    Position,
    Problem,
    plain_scenario,
    random_problem,
    sample,
    simple_problem,
)

PATHS = sample(1500, 64)
both_ways = pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])


def wide_problem(bridge: bool, seed: int = 30) -> Problem:
    """Everything at once; the book in debt (which less leverage harms) left out."""
    problem = random_problem(
        seed, assets=3, regimes=2, df=4.0, funding=True, jumps=True, scenarios=4, bridge=bridge
    )
    return replace(problem, accounts=tuple(a for a in problem.accounts if a.collateral >= 0.0))


def count_by_horizon(problem: Problem, paths: int = PATHS) -> Integers:
    """Hits up to each horizon."""
    return np.asarray(run_problem(problem, 5, 0, paths).hits.cumsum(axis=-1))


def shocked(
    account: Account, factor: float, leverages: tuple[float, ...] = (1.0,), at: int = 0, bridge: bool = False
) -> Integers:
    """Hits (MARKS, L) of one account at one gap and nothing else, at `as_of` or on the way."""
    scenario = plain_scenario(2)._replace(shocks={at: np.array([factor])})
    problem = simple_problem(
        (account,),
        volatility=0.0,
        step_years=0.5,
        horizons=(2,),
        leverages=leverages,
        scenarios=(scenario,),
        bridge=bridge,
    )
    return run_problem(problem, 1, 0, 1).hits[:, 0, 0, :, 0]


@both_ways
def test_screen_step__more_leverage_never_lowers_a_count(bridge: bool) -> None:
    counts = count_by_horizon(wide_problem(bridge))
    assert (np.diff(counts, axis=3) >= 0).all()
    assert (np.diff(counts, axis=3) > 0).any()


@both_ways
def test_screen_step__margin_call_before_liquidation_before_bankruptcy(bridge: bool) -> None:
    counts = count_by_horizon(wide_problem(bridge))
    assert (counts[MARGIN_CALL] >= counts[LIQUIDATION]).all()
    assert (counts[LIQUIDATION] > counts[BANKRUPTCY]).any()
    held = [i for i, a in enumerate(wide_problem(bridge).accounts) if a.positions]
    assert (counts[LIQUIDATION] >= counts[BANKRUPTCY])[:, held].all()


@both_ways
def test_screen_step__more_maintenance_never_lowers_a_count(bridge: bool) -> None:
    problem = wide_problem(bridge)
    dearer = replace(
        problem,
        accounts=tuple(
            a._replace(positions=tuple(p._replace(maintenance=p.maintenance + 0.01) for p in a.positions))
            for a in problem.accounts
        ),
    )
    counts, more = count_by_horizon(problem), count_by_horizon(dearer)
    assert (more[LIQUIDATION] >= counts[LIQUIDATION]).all()
    assert (more[LIQUIDATION] > counts[LIQUIDATION]).any()
    np.testing.assert_array_equal(more[BANKRUPTCY], counts[BANKRUPTCY])


@both_ways
def test_screen_step__more_collateral_never_raises_a_count(bridge: bool) -> None:
    problem = wide_problem(bridge)
    richer = replace(
        problem, accounts=tuple(a._replace(collateral=a.collateral + 7.0) for a in problem.accounts)
    )
    counts, fewer = count_by_horizon(problem), count_by_horizon(richer)
    assert (fewer <= counts).all()
    assert (fewer < counts).any()


@both_ways
def test_screen_step__leverage_is_a_scale_of_the_book(bridge: bool) -> None:
    """Leverage 4 is a book four times as large at leverage 1."""
    problem = replace(wide_problem(bridge), leverages=(1.0, 4.0))
    larger = replace(
        problem,
        accounts=tuple(
            a._replace(positions=tuple(p._replace(size=4.0 * p.size) for p in a.positions))
            for a in problem.accounts
        ),
    )
    np.testing.assert_array_equal(count_by_horizon(problem)[:, :, :, 1], count_by_horizon(larger)[:, :, :, 0])


@both_ways
def test_screen_step__no_position_no_liquidation(bridge: bool) -> None:
    problem = replace(wide_problem(bridge), accounts=(Account(1.0, ()), Account(1e-9, ())))
    assert not run_problem(problem, 5, 0, 64).hits.any()
    indebted = replace(problem, accounts=(Account(-1.0, ()),))
    hits = run_problem(indebted, 5, 0, 64).hits
    assert not hits[LIQUIDATION].any()
    assert hits[BANKRUPTCY, ..., 0].min() == 64


@both_ways
def test_screen_step__equal_accounts_are_hit_together(bridge: bool) -> None:
    problem = wide_problem(bridge)
    twin, other = problem.accounts[2]._replace(collateral=40.0), problem.accounts[0]._replace(collateral=20.0)
    twins = replace(problem, accounts=(twin, other, twin))
    tally = run_problem(twins, 5, 0, PATHS)
    marginal = tally.hits[LIQUIDATION, :, :, problem.leverages.index(1.0)]
    np.testing.assert_array_equal(tally.joint[:, :, 0, 2], marginal[:, 0])
    np.testing.assert_array_equal(tally.joint[:, :, 0, 2], tally.joint[:, :, 2, 0])
    for i in range(3):
        np.testing.assert_array_equal(tally.joint[:, :, i, i], marginal[:, i])
    both, one = tally.joint.sum(axis=1)[:, 0, 1], marginal.sum(axis=-1)
    assert 0 < both[0] < one[0, :2].min()


@both_ways
@pytest.mark.parametrize("at", [0, 1])
def test_screen_step__equity_equal_to_the_requirement_is_safe(at: int, bridge: bool) -> None:
    """Ties in figures that binary holds exactly, at `as_of` (`revalue`) and on the way (`screen_step`)."""
    position = Position(0, 1.0, initial=1.0 / 16.0, maintenance=1.0 / 32.0)
    for collateral, factor, tie in [
        (10.0, 0.96, MARGIN_CALL),  # at 96: 10 - 4 = 96 / 16
        (38.0, 0.64, LIQUIDATION),  # at 64: 38 - 36 = 64 / 32
        (36.0, 0.64, BANKRUPTCY),  # at 64: 36 - 36 = 0
    ]:
        for equity, hit in [(collateral, False), (np.nextafter(collateral, 0.0), True)]:
            hits = shocked(Account(equity, (position,)), factor, at=at, bridge=bridge)[:, 0]
            np.testing.assert_array_equal(hits, [1] * tie + [int(hit)] + [0] * (2 - tie))


@pytest.mark.parametrize(
    ("collateral", "size", "factor", "hit"),
    [
        (10.0, 1.0, 0.875, [0, 1, 1, 1]),  # C > 0, D = 12.5 + 1.75: above l = 0.70
        (10.0, 1.0, 1.25, [0, 0, 0, 0]),  # C > 0, D < 0: none
        (0.0, 1.0, 0.875, [1, 1, 1, 1]),  # C = 0, D > 0: every one
        (0.0, 1.0, 1.25, [0, 0, 0, 0]),  # C = 0, D < 0: none
        (-5.0, 1.0, 0.875, [1, 1, 1, 1]),  # C < 0, D > 0: every one
        (-25.0, 1.0, 1.25, [1, 1, 0, 0]),  # C < 0, D = -22.5: below l = 1.11
    ],
)
def test_revalue__which_leverages_a_gap_breaks(
    collateral: float, size: float, factor: float, hit: list[int]
) -> None:
    """The six cases of C and D in margin.md, with M - Y for D. What is judged first is after the gap."""
    account = Account(collateral, (Position(0, size, initial=0.02, maintenance=0.02),))
    np.testing.assert_array_equal(shocked(account, factor, (0.5, 1.0, 2.0, 4.0))[LIQUIDATION], hit)


@pytest.mark.parametrize("at", [0, 1])
@both_ways
def test_screen_step__worked_example_of_collateral_in_kind(bridge: bool, at: int) -> None:
    """margin.md: 1 BTC behind a short of 1 from 20,000, at 61,000 now; at 20,000 C = -21,000, Y = +41,000.

    l = 0.5 is liquidatable with E = -500, and bankrupt; l >= 1 is not, and was safe at 61,000.
    """
    short, coin = Position(0, -1.0, initial=0.02, maintenance=0.01), Coin(0, 1.0)
    scenario = plain_scenario(2)._replace(shocks={at: np.array([20.0 / 61.0])})
    problem = simple_problem(
        (Account(20_000.0 - 61_000.0, (short,), (coin,)),),
        spot=61_000.0,
        volatility=0.0,
        horizons=(2,),
        leverages=(0.5, 1.0, 2.0),
        scenarios=(scenario,),
        bridge=bridge,
    )
    assert run_problem(problem, 1, 0, 3).hits[:, 0, 0, :, 0].tolist() == [[3, 0, 0]] * 3


@pytest.mark.parametrize("leverage", [1.0, 3.0])
def test_revalue__others_maintenance_counts(leverage: float) -> None:
    """Golden: a long of 1 at 100 with equity 5, m = 0.4 %, 4 of maintenance elsewhere: gone at 99.3976."""
    accounts = (
        Account(5.0 * leverage, (Position(0, 1.0, maintenance=0.004), Position(1, 4.0, maintenance=0.01))),
    )
    for price, hit in [(99.3977, 0), (99.3975, 1)]:
        scenario = plain_scenario(1)._replace(shocks={0: np.array([price / 100.0, 1.0])})
        problem = simple_problem(
            accounts,
            volatility=[0.0, 0.0],
            horizons=(1,),
            leverages=(1.0, 3.0),
            scenarios=(scenario,),
        )
        hits = run_problem(problem, 1, 0, 1).hits[LIQUIDATION, 0, 0, :, 0]
        assert hits[problem.leverages.index(leverage)] == hit


@both_ways
def test_screen_step__a_coin_without_haircut_is_its_value_moving(bridge: bool) -> None:
    """As a position would be that needs no margin and pays no funding, at leverage 1."""
    only = ("plain", "tiered-pair", "interest-short", "three-pools")
    problem = mixed_problem(35, only=only, assets=3, jumps=True, funding=True, bridge=bridge)
    coins = (Coin(1, 1.2), Coin(2, -0.4), Coin(0, 0.2))
    free = len(problem.due)
    due = np.vstack([problem.due, np.zeros(problem.steps)])

    def holds(account: Account, in_kind: bool) -> Account:
        moving = tuple(Position(c.asset, c.amount, 0.0, 0.0, free) for c in coins)
        worth = sum(c.amount * problem.spot[c.asset] for c in coins)
        if in_kind:
            return account._replace(coins=coins)
        return account._replace(
            collateral=account.collateral + worth, positions=account.positions + moving, coins=()
        )

    problem = replace(problem, leverages=(1.0,), due=due)
    kind, money = (
        replace(problem, accounts=tuple(holds(a, in_kind) for a in problem.accounts))
        for in_kind in (True, False)
    )
    got, want = count_by_horizon(kind), count_by_horizon(money)
    np.testing.assert_array_equal(got, want)
    assert (got != count_by_horizon(problem)).any()


@both_ways
def test_screen_step__a_larger_haircut_never_lowers_a_count(bridge: bool) -> None:
    """Bankruptcy doesn't know it."""
    problem = mixed_problem(36, only=("coin-owed", "coin-short-itself"), assets=2, jumps=True, bridge=bridge)

    def cut(by: float) -> Integers:
        accounts = tuple(
            a._replace(coins=tuple(c._replace(haircut=c.haircut + by) for c in a.coins))
            for a in problem.accounts
        )
        return count_by_horizon(replace(problem, accounts=accounts))

    mild, hard = cut(0.0), cut(0.3)
    assert (hard >= mild).all()
    assert (hard[:BANKRUPTCY] > mild[:BANKRUPTCY]).any()
    np.testing.assert_array_equal(hard[BANKRUPTCY], mild[BANKRUPTCY])
