"""Whole simulations: path by path against the oracle, and what doesn't need one to be known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from kernels.simulate import simulate_general_paths
from kernels.structs import (
    ALL,
    ANY,
    BANKRUPTCY,
    EQUITY,
    LIQUIDATED,
    LIQUIDATED_SQUARE,
    LIQUIDATION,
    MARGIN_CALL,
    SHORTFALL,
    Floats,
    Integers,
    Tally,
)
from tests import margin_oracle, oracle
from tests.kernels.lowered import lower_problem, run_lowered, run_problem
from tests.kernels.mixed_books import mixed_problem
from tests.kernels.problems import (
    FULL,
    HOUR,
    THREE_LEVELS,
    Account,
    Position,
    Problem,
    Rates,
    Scenario,
    plain_scenario,
    random_problem,
    random_wicks,
    sample,
    simple_problem,
)

SEED = 0x5EA3A11_00000011
# Rounding, and where tails are mixed the table's 2e-5 on a step's return, as a share of the notional.
ROUNDING, TABLE = 1e-10, 1e-5

PROBLEMS: dict[str, dict[str, Any]] = {
    "one-asset": {"assets": 1, "regimes": 1},
    "regimes": {"assets": 2, "regimes": 3},
    "scenarios": {"assets": 3, "regimes": 3, "scenarios": 4, "funding": True},
    "jumps": {"assets": 4, "regimes": 2, "scenarios": 4, "jumps": True},
    "two-sided": {"assets": 5, "regimes": 2, "scenarios": 4, "jumps": True, "two_sided": True},
    "tails": {"assets": 2, "regimes": 2, "scenarios": 4, "df": 3.5, "funding": True},
    "five-assets": {"assets": 5, "regimes": 2, "scenarios": 4, "df": 4.0, "jumps": True, "funding": True},
    "levels": {"assets": 3, "regimes": 2, "scenarios": 4, "df": 4.0, "jumps": True, "levels": THREE_LEVELS},
    "levels-substeps": {"assets": 2, "regimes": 2, "scenarios": 4, "substeps": 5, "levels": THREE_LEVELS},
    "wild-steps": {"assets": 3, "regimes": 2, "scenarios": 4, "step_years": 1.0 / 30.0},
    "substeps": {"assets": 2, "regimes": 3, "scenarios": 4, "df": 4.0, "jumps": True, "substeps": 5},
    "additive": {"assets": 3, "regimes": 2, "scenarios": 4, "jumps": True, "funding": True, "additive": True},
    "rates": {"assets": 3, "regimes": 2, "scenarios": 4, "jumps": True, "rates": True},
    "rates-tails": {"assets": 5, "regimes": 3, "scenarios": 4, "df": 3.5, "rates": True, "substeps": 5},
    "basis": {"assets": 3, "regimes": 2, "scenarios": 4, "jumps": True, "marks": (0, 2), "rates": True},
    "basis-tails": {"assets": 2, "regimes": 3, "scenarios": 4, "df": 3.5, "marks": (0, 1), "substeps": 5},
    "basis-alone": {"assets": 1, "regimes": 1, "marks": (0,), "funding": True},
    "basis-two-sided": {
        **{"assets": 3, "regimes": 2, "scenarios": 4, "jumps": True, "two_sided": True},
        "marks": (1, 2),
    },
    "all-states": {
        **{"assets": 3, "regimes": 2, "scenarios": 4, "df": 4.0, "jumps": True, "two_sided": True},
        **{"marks": (0, 2), "rates": True, "levels": THREE_LEVELS, "substeps": 5},
    },
    "bursts": {"assets": 3, "regimes": 2, "scenarios": 4, "bursts": True, "funding": True},
    "bursts-tails": {
        **{"assets": 3, "regimes": 3, "scenarios": 4, "df": 4.0, "bursts": True, "jumps": True},
        **{"levels": THREE_LEVELS, "substeps": 5},
    },
    "bursts-additive": {"assets": 2, "regimes": 2, "scenarios": 4, "bursts": True, "additive": True},
    "bursts-states": {
        **{"assets": 3, "regimes": 2, "scenarios": 4, "df": 4.0, "bursts": True, "jumps": True},
        **{"marks": (0, 2), "rates": True, "levels": THREE_LEVELS, "two_sided": True},
    },
    "rates-known": {
        **{"assets": 2, "regimes": 2, "scenarios": 4, "rates": True, "additive": True},
        "known_rates": np.array([3.0, np.nan]),
    },
}


# The same with accounts of every kind. Large steps: far from the edges of brackets at their ends alone.
MIXED: dict[str, dict[str, Any]] = {
    "all": {"assets": 3, "regimes": 2, "scenarios": 4, "jumps": True, "funding": True},
    "all-tails": {"assets": 2, "regimes": 3, "scenarios": 4, "df": 3.5, "funding": True, "substeps": 5},
    "all-wild": {"assets": 2, "regimes": 1, "scenarios": 4, "step_years": 1.0 / 20.0},
    "all-wilder": {"assets": 4, "regimes": 1, "scenarios": 2, "step_years": 1.0 / 5.0, "jumps": True},
    "all-levels": {"assets": 3, "regimes": 2, "scenarios": 4, "jumps": True, "levels": THREE_LEVELS},
    "all-two-sided": {"assets": 3, "regimes": 2, "scenarios": 4, "jumps": True, "two_sided": True, "df": 4.0},
    "all-additive": {"assets": 3, "regimes": 2, "scenarios": 4, "jumps": True, "additive": True},
}


def count_passages(problem: Problem, passage: oracle.Passage) -> Integers:
    """One path's hits, as a tally has them."""
    horizons = np.arange(len(problem.horizons))
    return np.asarray(passage.first[..., None] == horizons, np.int64)


def check_pools_and_groups(problem: Problem, tally: Tally, passage: oracle.Passage, quantum: Floats) -> None:
    """One path's counts of accounts of several pools, and of groups, where the oracle is sure."""
    horizons = np.arange(len(problem.horizons))
    doubtful = passage.doubtful[LIQUIDATION]
    several = [i for i, account in enumerate(problem.accounts) if account.apart]
    for v, i in enumerate(several):
        want, sure = passage.last[:, i, :, None] == horizons, ~doubtful[:, i]
        np.testing.assert_array_equal(tally.last_pool[:, v][sure], want[sure])
    gone = passage.first[LIQUIDATION][..., None] <= horizons  # (S, P, L, H)
    for g in range(quantum.size):
        members = [i for i, account in enumerate(problem.accounts) if account.group == g]
        exposed = [
            i for i in members if any(margin_oracle.can_be_liquidated(p) for p in problem.accounts[i].pools)
        ]
        sure = ~doubtful[:, members].any(axis=1)
        number = gone[:, members].sum(axis=1)
        for moment, want in [
            (ANY, gone[:, members].any(axis=1)),
            (ALL, gone[:, exposed].all(axis=1)),
            (LIQUIDATED, number),
            (LIQUIDATED_SQUARE, number**2),
        ]:
            np.testing.assert_array_equal(tally.groups[moment, :, g][sure], want[sure])


def check_money(tally: Tally, passage: oracle.Passage, quantum: Floats, tolerance: float) -> None:
    """One path's equity and shortfall of groups: to half a quantum, and what a price's rounding is worth."""
    for moment, want in [(EQUITY, passage.equity), (SHORTFALL, passage.shortfall)]:
        off = np.abs(tally.groups[moment] - want / quantum[:, None, None])
        assert (off <= 0.5 + 2.0**24 * tolerance).all()


def single_long(**rest: Any) -> Problem:
    """A long of one unit at 100 with 10 of equity."""
    return simple_problem((Account(10.0, (Position(0, 1.0),)),), **rest)


FEW = 0 if FULL else 3  # cells that may be doubtful on two paths, where a share of them says nothing


@pytest.mark.parametrize("monitoring", ["close", "bridge", "wick"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_simulate_paths__equal_oracle_path_by_path(name: str, monitoring: str) -> None:
    """Every first passage of every path, but where the oracle says that rounding decides (hardly ever)."""
    features = PROBLEMS[name]
    problem = random_problem(100 + len(name), bridge=monitoring == "bridge", **features)
    problem = random_wicks(len(name), problem) if monitoring == "wick" else problem
    market, book, clock = lower_problem(problem)
    tolerance = TABLE if "df" in features else ROUNDING
    paths = 40 if FULL else 2
    doubtful = hit = cells = 0
    for path in range(2**32 - 1, 2**32 - 1 + paths):  # both words of the path's number take part
        tally = run_lowered(market, book, clock, SEED, path, 1, len(problem.horizons))
        passage = oracle.simulate_path(problem, SEED, path, tolerance)
        sure = ~passage.doubtful
        want = count_passages(problem, passage)
        np.testing.assert_array_equal(tally.hits[sure], want[sure], err_msg=f"path {path}")
        doubtful += int(passage.doubtful.sum())
        hit += int(want.sum())
        cells += sure.size
    assert doubtful <= (1e-3 * cells + FEW if "df" in features else 0)
    assert 0.2 * cells < hit < 0.8 * cells


@pytest.mark.parametrize("monitoring", ["close", "bridge", "wick"])
@pytest.mark.parametrize("name", MIXED)
def test_simulate_paths__every_kind_of_account_path_by_path(name: str, monitoring: str) -> None:
    """Brackets, open interest, coins, pools, groups: all that a tally holds, as the oracle has it."""
    features = MIXED[name] if FULL else MIXED[name] | {"scenarios": 1}
    problem = mixed_problem(200 + len(name), bridge=monitoring == "bridge", **features)
    problem = random_wicks(len(name), problem) if monitoring == "wick" else problem
    market, book, clock = lower_problem(problem)
    tolerance = TABLE if "df" in features else ROUNDING
    doubtful = hit = cells = 0
    # where tails make decisions doubtful, more paths: a doubt early on a path is one in many cells
    paths = (24 if "df" in features else 12) if FULL else 1
    for path in range(2**32 - 1, 2**32 - 1 + paths):
        tally = run_lowered(market, book, clock, SEED, path, 1, len(problem.horizons))
        passage = oracle.simulate_path(problem, SEED, path, tolerance)
        sure, want = ~passage.doubtful, count_passages(problem, passage)
        np.testing.assert_array_equal(tally.hits[sure], want[sure], err_msg=f"path {path}")
        check_pools_and_groups(problem, tally, passage, book.quantum)
        check_money(tally, passage, book.quantum, tolerance)
        doubtful += int(passage.doubtful.sum())
        hit += int(want.sum())
        cells += sure.size
    assert doubtful <= (5e-3 * cells + FEW if "df" in features else 0)
    assert 0.2 * cells < hit < 0.8 * cells


@pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
def test_simulate_paths__tally_equals_oracle(bridge: bool) -> None:
    """Counts of many paths at once, and of pairs liquidated together, from the oracle's first passages."""
    problem = random_problem(7, assets=3, regimes=2, funding=True, jumps=True, scenarios=3, bridge=bridge)
    paths = 100 if FULL else 66  # more than one set of lanes, the last one not full
    tally = run_problem(problem, 3, 1000, paths)
    hits, joint = np.zeros_like(tally.hits), np.zeros_like(tally.joint)
    unit, none = problem.leverages.index(1.0), len(problem.horizons)
    for path in range(1000, 1000 + paths):
        passage = oracle.simulate_path(problem, 3, path, ROUNDING)
        assert not passage.doubtful.any()
        hits += count_passages(problem, passage)
        at_one = passage.first[LIQUIDATION, :, :, unit]
        for (s, i), first in np.ndenumerate(at_one):
            for j, other in enumerate(at_one[s]):
                if max(first, other) < none:
                    joint[s, max(first, other), i, j] += 1
    np.testing.assert_array_equal(tally.hits, hits)
    np.testing.assert_array_equal(tally.joint, joint)


@pytest.mark.parametrize("cuts", [(64,), (1, 2, 63), (100,), (37, 101, 165, 170)])
def test_simulate_paths__any_split_of_the_paths(cuts: tuple[int, ...]) -> None:
    """Every count, of pools and groups too."""
    problem = mixed_problem(
        8,
        only=() if FULL else ("plain", "tiered-pair", "three-pools"),
        assets=3,
        regimes=3,
        df=4.0,
        funding=True,
        jumps=True,
        scenarios=4 if FULL else 2,
        bridge=FULL,
    )
    paths = 200
    whole = run_problem(problem, 5, 10, paths)
    edges = [0, *cuts, paths]
    parts = [run_problem(problem, 5, 10 + a, b - a) for a, b in pairwise(edges)]
    for name, counts in whole._asdict().items():
        assert counts.any() == (counts.size > 0)  # nobody is followed here
        np.testing.assert_array_equal(counts, sum(getattr(part, name) for part in parts), err_msg=name)


def test_simulate_paths__seeds_and_paths_differ() -> None:
    problem = random_problem(8, assets=2)
    tallies = [
        run_problem(problem, seed, first, 64).hits for seed, first in [(5, 0), (6, 0), (5, 64), (5, 0)]
    ]
    assert not np.array_equal(tallies[0], tallies[1])
    assert not np.array_equal(tallies[0], tallies[2])
    np.testing.assert_array_equal(tallies[0], tallies[3])


def test_simulate_paths__adds_to_the_tally() -> None:
    problem = random_problem(8, assets=2)
    market, book, clock = lower_problem(problem)
    once = run_lowered(market, book, clock, 5, 0, 64, 3)
    twice = run_lowered(market, book, clock, 5, 0, 64, 3)
    simulate_general_paths(5, 0, 64, market, book, clock, twice)
    np.testing.assert_array_equal(twice.hits, 2 * once.hits)
    np.testing.assert_array_equal(twice.joint, 2 * once.joint)


@pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
def test_simulate_paths__order_of_scenarios_and_accounts(bridge: bool) -> None:
    problem = random_problem(9, assets=3, df=4.0, funding=True, jumps=True, scenarios=4, bridge=bridge)
    paths = sample(4000, 64)
    tally = run_problem(problem, 5, 0, paths)
    accounts, scenarios = [4, 2, 0, 5, 1, 3], [2, 0, 3, 1]  # a leader stays ahead of those it leads
    turned = replace(
        problem,
        accounts=tuple(problem.accounts[i] for i in accounts),
        scenarios=tuple(
            problem.scenarios[s]._replace(leader=scenarios.index(problem.scenarios[s].leader))
            for s in scenarios
        ),
    )
    other = run_problem(turned, 5, 0, paths)
    np.testing.assert_array_equal(other.hits, tally.hits[:, scenarios][:, :, accounts])
    np.testing.assert_array_equal(other.joint, tally.joint[scenarios][:, :, accounts][..., accounts])


@pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
def test_simulate_paths__order_of_positions(bridge: bool) -> None:
    """Sums run in another order: X may change in its last bits, and no path here is that close."""
    problem = random_problem(10, assets=4, funding=True, jumps=True, bridge=bridge)
    paths = sample(4000, 64)
    turned = replace(
        problem, accounts=tuple(a._replace(positions=a.positions[::-1]) for a in problem.accounts)
    )
    np.testing.assert_array_equal(
        run_problem(turned, 5, 0, paths).hits, run_problem(problem, 5, 0, paths).hits
    )


@pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
def test_simulate_paths__an_account_alone_is_the_same(bridge: bool) -> None:
    """Whatever kind of account it is, and whoever else is in the book."""
    problem = mixed_problem(13, assets=2, funding=True, jumps=True, bridge=bridge)
    paths = sample(1000, 64)
    together = run_problem(problem, 5, 0, paths)
    several = 0
    for i, account in enumerate(problem.accounts):
        if FULL or i % 4 == 3:
            alone = run_problem(replace(problem, accounts=(account._replace(group=-1),)), 5, 0, paths)
            np.testing.assert_array_equal(alone.hits[:, :, 0], together.hits[:, :, i])
            if account.apart:
                np.testing.assert_array_equal(alone.last_pool[:, 0], together.last_pool[:, several])
        several += bool(account.apart)


@pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
def test_simulate_paths__order_of_accounts_of_every_kind(bridge: bool) -> None:
    """Accounts and the pools in them turned round."""
    problem = mixed_problem(14, assets=2, funding=True, jumps=True, bridge=bridge)
    turned = tuple(a._replace(apart=a.apart[::-1]) for a in problem.accounts[::-1])
    paths = sample(1000, 64)
    one = run_problem(problem, 5, 0, paths)
    other = run_problem(replace(problem, accounts=turned), 5, 0, paths)
    np.testing.assert_array_equal(other.hits, one.hits[:, :, ::-1])
    np.testing.assert_array_equal(other.last_pool, one.last_pool[:, ::-1])
    np.testing.assert_array_equal(other.joint, one.joint[:, :, ::-1, ::-1])


def test_simulate_paths__a_scenario_alone_is_the_same() -> None:
    """Common random numbers: other scenarios beside it change nothing."""
    problem = random_problem(11, assets=3, df=4.0, jumps=True, funding=True, scenarios=4)
    together = run_problem(problem, 5, 0, 128)
    for s in (0, 2):  # those with regimes of their own
        alone = replace(problem, scenarios=(problem.scenarios[s]._replace(leader=0),))
        np.testing.assert_array_equal(run_problem(alone, 5, 0, 128).hits[:, 0], together.hits[:, s])


@pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
def test_simulate_paths__zero_volatility_is_deterministic(bridge: bool) -> None:
    """A drift of -1 % a step: E < MM first where 10 + 100 (q^n - 1) < 2 q^n, after 9 steps."""
    problem = single_long(
        volatility=0.0, drift=np.log(0.99) / HOUR, horizons=(7, 8, 9, 10, 11, 24), bridge=bridge
    )
    tally = run_problem(problem, 1, 0, 100)
    ends = {mark: int(np.argmax(tally.hits[mark, 0, 0, 0])) for mark in range(3)}
    q = 0.99 ** np.arange(1, 25)
    for mark, fraction in [(MARGIN_CALL, 0.04), (LIQUIDATION, 0.02), (BANKRUPTCY, 0.0)]:
        step = 1 + int(np.argmax(10.0 + 100.0 * (q - 1.0) < 100.0 * fraction * q))
        assert problem.horizons[ends[mark]] == next(h for h in problem.horizons if h >= step)
        assert tally.hits[mark].sum() == tally.hits[mark, 0, 0, 0, ends[mark]] == 100


@pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
@pytest.mark.parametrize(("side", "rate"), [(1.0, 3.0), (-1.0, -3.0)])
def test_simulate_paths__funding_alone_liquidates_at_its_hour(side: float, rate: float, bridge: bool) -> None:
    """Longs pay a positive rate: 0.1 every 8 h out of 4.05 leaves less than 2 after the 21st payment."""
    account = Account(4.05, (Position(0, side),))
    due = np.zeros((1, 200))
    due[0, 7::8] = 8 * HOUR
    problem = simple_problem(
        (account,),
        volatility=0.0,
        funding=np.sign(rate) * 0.001 / (8 * HOUR),
        due=due,
        horizons=(20 * 8 - 1, 20 * 8, 21 * 8 - 1, 21 * 8, 200),
        bridge=bridge,
    )
    tally = run_problem(problem, 1, 0, 3)
    np.testing.assert_array_equal(tally.hits[LIQUIDATION, 0, 0, 0], [0, 0, 0, 3, 0])
    other = replace(problem, accounts=(Account(4.05, (Position(0, -side),)),))
    assert not run_problem(other, 1, 0, 3).hits.any()


@pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
@pytest.mark.parametrize("moves", [False, True], ids=["constant", "process"])
def test_simulate_paths__funding_is_clamped_at_the_venue_s_cap(moves: bool, bridge: bool) -> None:
    """A rate of 0.5 a payment where the venue clamps at 0.1: 4.05 is below 2 after 21 payments, not 5.

    What is not clamped pays 0.5: out of 4.05 it is below 2 after 5. A short of the same is paid 0.1.
    """
    per_payment = 0.01 / (8 * HOUR)  # annualised, of a price of 100: one a payment
    longs = [Account(4.05, (Position(0, 1.0, cap=cap),)) for cap in (0.1 * per_payment, np.inf)]
    short = Account(4.05, (Position(0, -1.0, cap=0.1 * per_payment),))
    hedged = Account(4.05, (Position(0, -2.0, cap=0.1 * per_payment), Position(0, 1.0)))
    due = np.zeros((1, 200))
    due[0, 7::8] = 8 * HOUR
    problem = simple_problem(
        (*longs, short, hedged),
        volatility=0.0,
        funding=0.5 * per_payment,
        due=due,
        horizons=(4 * 8, 5 * 8, 6 * 8, 21 * 8 - 1, 21 * 8, 200),
        bridge=bridge,
    )
    if moves:
        rates = Rates(*([x] * np.ones(1) for x in (0.5 * per_payment, HOUR, 0.0, 0.3)))
        sets = tuple(tuple(replace(r, rates=rates) for r in of) for of in problem.sets)
        problem = replace(problem, sets=sets)
    hits = run_problem(problem, 1, 0, 3).hits[LIQUIDATION, 0, :, 0]
    np.testing.assert_array_equal(hits[0], [0, 0, 0, 0, 3, 0])
    np.testing.assert_array_equal(hits[1], [0, 3, 0, 0, 0, 0])
    np.testing.assert_array_equal(hits[2], 0)
    # 2 received at 0.1, 1 paid at 0.5: 0.3 a payment out of 0.05 above a requirement of 3 units' 2 %
    assert hits[3].sum() == hits[3, 0] == 3


@pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_simulate_paths__horizons_include_their_own_step(shift: int, bridge: bool) -> None:
    """A gap at the start of step 6 is met by the end of that step, the seventh, and not before."""
    scenario = plain_scenario(12)._replace(shocks={6: np.array([0.5])})
    problem = single_long(volatility=0.0, horizons=(7 + shift, 12), scenarios=(scenario,), bridge=bridge)
    hits = run_problem(problem, 1, 0, 1).hits[LIQUIDATION, 0, 0, 0]
    np.testing.assert_array_equal(hits, [0, 1] if shift < 0 else [1, 0])


@pytest.mark.parametrize("bridge", [False, True], ids=["close", "bridge"])
def test_simulate_paths__gap_at_time_zero_counts_even_if_made_good(bridge: bool) -> None:
    """What the gap at `as_of` breaks is broken under either way of watching."""
    there, back = np.array([0.5]), np.array([2.0])
    horizons = (1, 12)
    for scenario, want in [
        (Scenario((0,) * 12, (-1,) * 12, {0: there}, 0), [1, 0]),
        (Scenario((0,) * 12, (-1,) * 12, {5: there, 6: back}, 0), [0, 1]),
    ]:
        problem = single_long(volatility=0.0, horizons=horizons, scenarios=(scenario,), bridge=bridge)
        np.testing.assert_array_equal(run_problem(problem, 1, 0, 1).hits[LIQUIDATION, 0, 0, 0], want)


def test_simulate_paths__forced_regime_throughout_is_that_regime_alone() -> None:
    problem = random_problem(12, assets=2, regimes=3, df=4.0, jumps=True)
    steps = problem.steps
    forced = replace(problem, scenarios=(plain_scenario(steps)._replace(forced=(1,) * steps),))
    alone = replace(problem, sets=((problem.sets[0][1],),), initial=np.ones(1), transitions=np.ones((1, 1)))
    np.testing.assert_array_equal(run_problem(forced, 5, 0, 200).hits, run_problem(alone, 5, 0, 200).hits)


@pytest.mark.parametrize("seed", range(4))
def test_simulate_paths__bridge_hits_wherever_close_does(seed: int) -> None:
    """Path by path: whatever closes see, the bridge sees no later."""
    features: dict[str, Any] = {
        "assets": 3,
        "df": 4.0,
        "jumps": bool(seed % 2),
        "funding": True,
        "scenarios": 4,
    }
    problem = random_problem(20 + seed, **features)
    more = 0
    for path in range(100 if FULL else 1):
        close, bridge = (
            run_problem(replace(problem, bridge=watched), 5, path, 1).hits.cumsum(axis=-1)
            for watched in (False, True)
        )
        assert (bridge >= close).all()
        more += int((bridge > close).sum())
    assert more > 0
