"""Wicks: the law of one excess, how those of a step go together, and laws that need no oracle."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.stats import genpareto, kstest, norm

from kernels.structs import BANKRUPTCY, DOWN, LANES, LIQUIDATION, MARGIN_CALL, UP, WAYS, Floats, Key
from kernels.wicks import draw_wick_normals, find_excess, find_excesses, least_on_way, stretch_wicks
from tests import oracle
from tests.kernels.lowered import lower_problem, room_for, run_problem
from tests.kernels.problems import (
    HOUR,
    Account,
    Bracket,
    Excess,
    Position,
    Problem,
    random_problem,
    random_wicks,
    sample,
    simple_problem,
    with_wicks,
)

PATHS = sample(40_000, 128)


def alike(assets: int, probability: float, scale: float, tail: float = 0.0, common: float = 0.0) -> Excess:
    """The same law for every asset."""
    return Excess(*(np.full(assets, x) for x in (probability, scale, tail)), common)


def wicked(problem: Problem, *law: float) -> Problem:
    """The problem with the same wicks for all assets, regimes and directions."""
    return with_wicks(problem, lambda _, __: alike(problem.assets, *law))


def draw_excesses(problem: Problem, paths: int, step: int = 3) -> Floats:
    """Excesses (WAYS, A, paths) of one step in regime 0."""
    market = lower_problem(problem)[0]
    assets = problem.spot.size
    common, own = np.zeros((WAYS, LANES)), np.zeros((WAYS, assets, LANES))
    found = []
    for path in range(0, paths, LANES):
        excess = np.zeros((WAYS, assets, LANES))
        draw_wick_normals(market, Key(np.uint64(5), np.uint64(path), np.uint64(step)), common, own)
        find_excesses(market, np.zeros(LANES, np.int64), common, own, excess)
        found.append(excess)
    return np.concatenate(found, axis=-1)


@pytest.mark.parametrize("tail", [0.0, 1e-9, 0.2, 1.0])
@pytest.mark.parametrize("probability", [1e-6, 0.3, 1.0])
def test_find_excess__inverse_cdf_is_that_of_scipy(probability: float, tail: float) -> None:
    for normal in np.linspace(-8.5, 8.5, 69):
        upper = norm.sf(normal)
        want = genpareto.isf(upper / probability, tail, scale=0.7) if upper < probability else 0.0
        assert find_excess(normal, probability, 0.7, tail) == pytest.approx(want, rel=1e-9, abs=1e-12)
        assert oracle.find_excess(normal, probability, 0.7, tail) == pytest.approx(want)


def test_find_excess__never_and_always() -> None:
    assert find_excess(8.5, 0.0, 1.0, 0.5) == 0.0
    assert find_excess(-8.0, 1.0, 1.0, 0.5) > 0.0
    assert math.isfinite(find_excess(40.0, 0.5, 1.0, 0.5))  # past where the tail of a normal is zero


@pytest.mark.parametrize("common", [0.0, 0.7])
def test_find_excesses__law_and_common_part(common: float) -> None:
    problem = wicked(simple_problem((), volatility=[0.5, 0.6, 0.7]), 0.4, 0.5, 0.2, common)
    excess = draw_excesses(problem, PATHS)
    for way in (DOWN, UP):
        for a in range(3):
            hit = excess[way, a] > 0.0
            assert abs(hit.mean() - 0.4) < 5.0 * math.sqrt(0.24 / hit.size)
            assert kstest(excess[way, a][hit], genpareto(0.2, scale=0.5).cdf).pvalue > 1e-4
    both = ((excess[DOWN, 0] > 0) & (excess[DOWN, 2] > 0)).mean()
    z = norm.isf(0.4)
    joint = norm.expect(lambda g: norm.cdf((math.sqrt(common) * g - z) / math.sqrt(1 - common)) ** 2)
    assert abs(both - joint) < 5.0 * math.sqrt(joint / PATHS)
    opposite = ((excess[DOWN, 0] > 0) & (excess[UP, 0] > 0)).mean()
    assert abs(opposite - 0.16) < 5.0 * math.sqrt(0.16 / PATHS)


def test_find_excesses__an_asset_keeps_its_numbers_when_others_are_left_out() -> None:
    problem = wicked(simple_problem((), volatility=[0.5, 0.6, 0.7]), 0.4, 0.5, 0.2, 0.7)
    everyone = draw_excesses(problem, LANES)
    market = lower_problem(wicked(simple_problem((), volatility=[0.7]), 0.4, 0.5, 0.2, 0.7))[0]
    market = market._replace(number=np.array([2]))
    common, own, excess = np.zeros((WAYS, LANES)), np.zeros((WAYS, 1, LANES)), np.zeros((WAYS, 1, LANES))
    draw_wick_normals(market, Key(np.uint64(5), np.uint64(0), np.uint64(3)), common, own)
    find_excesses(market, np.zeros(LANES, np.int64), common, own, excess)
    np.testing.assert_array_equal(excess[:, 0], everyone[:, 2])


def test_stretch_wicks__a_perpetual_s_is_its_asset_s() -> None:
    """The same log return to the last bit, though its own standard deviation is another."""
    problem = wicked(random_problem(2, assets=3, marks=(0, 2)), 0.4, 0.5, 0.2, 0.7)
    law = alike(3, 0.4, 0.5, 0.2, 0.7)._replace(lean=np.full(3, 0.3))
    problem = with_wicks(problem, lambda _, __: law)
    market = lower_problem(problem)[0]
    draws, now = room_for(market)
    key, regime = Key(np.uint64(5), np.uint64(0), np.uint64(3)), np.zeros(LANES, np.int64)
    draw_wick_normals(market, key, draws.wick_common, draws.wick_own)
    find_excesses(market, regime, draws.wick_common, draws.wick_own, draws.excess[0])
    now.spread[:] = market.volatility[0, 0][:, None]
    assert now.spread[3, 0] != now.spread[0, 0]
    now.move[:3] = 0.01
    stretch_wicks(market, regime, regime, draws.excess[0], now)
    np.testing.assert_array_equal(now.wick[:, 3:], now.wick[:, [0, 2]])
    assert now.wick[:, 3:].any(axis=-1).all()


@pytest.mark.parametrize("way", [DOWN, UP])
def test_stretch_wicks__deeper_in_steps_that_go_their_way(way: int) -> None:
    """By exp(lean y), y the return that way in standard deviations before w, cut at 6; a step that stands
    still, or has no volatility, is as it would be without."""
    side = -1.0 if way == DOWN else 1.0
    market = lower_problem(wicked(simple_problem((), volatility=[0.5]), 0.4, 0.5))[0]
    market = market._replace(level_scale=np.array([1.0, 0.5]))
    leaning = market._replace(wick=market.wick + np.array([0.0, 0.0, 0.0, 0.3]))
    _, now = room_for(market)
    level, regime, excess = np.ones(LANES, np.int64), np.zeros(LANES, np.int64), np.zeros((WAYS, 1, LANES))
    now.weight[:] = 1.0  # of which one half is the level's: w is 2
    excess[way, 0] = 0.7
    now.spread[0], now.move[0] = 0.01, 0.0
    now.move[0, :4] = 0.01 * side, -0.01 * side, 0.05 * side, -3.0 * side
    now.spread[0, 4], now.move[0, 4] = 0.0, 1.0
    stretch_wicks(market, level, regime, excess, now)
    plain = np.log1p(now.wick[way, 0])
    stretch_wicks(leaning, level, regime, excess, now)
    factor = np.exp(0.3 * np.array([2.0, -2.0, 6.0, -6.0]))
    np.testing.assert_allclose(np.log1p(now.wick[way, 0])[:4], plain[:4] * factor, rtol=1e-12)
    np.testing.assert_array_equal(np.log1p(now.wick[way, 0])[4:], plain[4:])


@pytest.mark.parametrize("features", [{}, {"additive": True}, {"jumps": True, "df": 4.0, "funding": True}])
def test_simulate_paths__wicks_of_probability_zero_change_nothing(features: dict[str, Any]) -> None:
    problem = random_problem(3, assets=3, scenarios=4, bridge=True, **features)
    want = run_problem(problem, 1, 0, 256)
    found = run_problem(wicked(problem, 0.0, 1.0, 0.3, 0.5), 1, 0, 256)
    for one, other in zip(found, want, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("bridge", [False, True])
def test_simulate_paths__a_law_of_wicks_changes_nothing_unless_asked(bridge: bool) -> None:
    problem = random_problem(4, assets=2, scenarios=4, bridge=bridge)
    want = run_problem(problem, 1, 0, 256)
    unasked = replace(wicked(problem, 0.5, 1.0), bridge=bridge, wick=False)
    for one, other in zip(run_problem(unasked, 1, 0, 256), want, strict=True):
        np.testing.assert_array_equal(one, other)


def test_simulate_paths__more_wick_never_hits_fewer() -> None:
    """Long books: probability, scale and tail only ever take prices further down."""
    position = Position(0, 1.0), Position(1, 0.5), Position(2, 2.0)
    problem = simple_problem(
        (Account(60.0, position), Account(20.0, position[:1])),
        volatility=[0.9, 1.2, 1.5],
        rho=0.6,
        leverages=(0.5, 1.0, 2.0, 4.0),
        horizons=(6, 24),
    )
    paths = sample(4000, 64)
    laws = [(0.0, 1.0, 0.0), (0.1, 0.5, 0.0), (0.3, 0.5, 0.0), (0.3, 1.0, 0.0), (0.3, 1.0, 0.4)]
    counts = [np.cumsum(run_problem(wicked(problem, *law, 0.5), 2, 0, paths).hits, axis=-1) for law in laws]
    for less, more in pairwise(counts):
        assert (more >= less).all()
        assert more.sum() > less.sum()


def test_simulate_paths__wicks_of_both_directions_reach_shorts_and_hedges() -> None:
    """A short dies of wicks up, a long of wicks down, a hedge where one leg's wick is the wider one."""
    accounts = (
        Account(6.0, (Position(0, 1.0),)),
        Account(6.0, (Position(0, -1.0),)),
        Account(6.0, (Position(0, 1.0), Position(1, -1.0))),
    )
    problem = simple_problem(accounts, volatility=[0.3, 0.3], rho=1.0 - 1e-12, horizons=(6,))
    paths = sample(4000, 640)
    none, rare = alike(2, 0.0, 1.0), alike(2, 0.05, 8.0)
    one_leg = Excess(np.array([0.05, 0.0]), np.full(2, 8.0), np.zeros(2), 0.0)

    def hits(down: Excess, up: Excess) -> list[int]:
        tally = run_problem(with_wicks(problem, lambda _, way: (down, up)[way]), 8, 0, paths)
        return [int(n) for n in tally.hits[LIQUIDATION, 0, :, 0, 0]]

    long, short, hedge = zip(
        hits(none, none), hits(rare, none), hits(none, rare), hits(one_leg, none), strict=True
    )
    assert long[1] > long[0]
    assert long[2] == long[0]
    assert long[3] == long[1]
    assert short[2] > short[0]
    assert short[1] == short[0]
    assert hedge[0] == 0
    assert hedge[3] > 0
    together = rare._replace(common=1.0)
    assert hits(together, together)[2] == 0  # both legs move as one, and so does what they are worth


def test_simulate_paths__equal_accounts_are_hit_by_the_same_wicks_in_every_scenario() -> None:
    problem = random_wicks(6, random_problem(5, assets=3, scenarios=2))
    first = problem.accounts[2]
    plain = replace(
        problem,
        accounts=(first, problem.accounts[0], first),
        scenarios=(problem.scenarios[0], problem.scenarios[0]),
    )
    tally = run_problem(plain, 3, 0, 512)
    np.testing.assert_array_equal(tally.hits[:, :, 0], tally.hits[:, :, 2])
    np.testing.assert_array_equal(tally.hits[:, 0], tally.hits[:, 1])
    np.testing.assert_array_equal(tally.joint[..., 0, 2], tally.joint[..., 0, 0])


def test_simulate_paths__wicks_do_not_depend_on_blocks() -> None:
    problem = random_wicks(7, random_problem(7, assets=2, scenarios=4, jumps=True))
    whole = run_problem(problem, 3, 0, 200).hits
    parts = sum(run_problem(problem, 3, first, 50).hits for first in (0, 50, 100, 150))
    np.testing.assert_array_equal(whole, parts)


def test_simulate_paths__depth_of_a_wick_is_in_standard_deviations_of_the_step() -> None:
    """P(bankrupt in one step) of a still price: the law of the wick, whatever the volatility."""
    account = Account(3.0, (Position(0, 1.0),))
    paths = sample(200_000, 640)
    for volatility in (0.01, 0.1):
        problem = simple_problem((account,), volatility=volatility, horizons=(1,))
        scale = 0.03 / (volatility * math.sqrt(HOUR))  # so that -ln 0.97 is about one scale away
        count = run_problem(wicked(problem, 0.3, scale), 4, 0, paths).hits[BANKRUPTCY, 0, 0, 0, 0]
        p = 0.3 * math.exp(math.log(0.97) / 0.03)
        assert abs(count - paths * p) < 5.0 * math.sqrt(paths * p * (1.0 - p)) + 0.02 * paths * p


# Initial margin of 5 % below 100 of notional, 10 % above: a jump of 5.
TIERS = Bracket(0.0, 0.05, 0.025), Bracket(100.0, 0.1, 0.05)


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize(
    ("size", "collateral", "way"),
    [
        (0.985, 8.0, UP),  # called at the edge, and safe again from 102.1 on
        (-0.985, 8.0, UP),  # from the edge on
        (1.01, 10.5, DOWN),  # called at 99.5, above the edge, and safe again below that
    ],
    ids=["long-rises", "short-rises", "long-falls"],
)
def test_simulate_paths__a_wick_that_gets_to_an_edge_is_a_margin_call(
    size: float, collateral: float, way: int, additive: bool
) -> None:
    """P(called in one step) of a still price: that of a wick to where the jump cannot be paid for."""
    account = Account(collateral, (Position(0, size, brackets=TIERS),))
    problem = simple_problem((account,), volatility=0.001, horizons=(1,), additive=additive)
    law = alike(1, 0.3, 0.03 / (0.001 * math.sqrt(HOUR)))  # -ln 0.97 is about one scale away
    still = alike(1, 0.0, 1.0)
    problem = with_wicks(problem, lambda _, side: law if side == way else still)
    paths = sample(100_000, 640)
    count = run_problem(problem, 6, 0, paths).hits[MARGIN_CALL, 0, 0, 0, 0]
    barrier = (collateral - 100.0 * size) / (-0.9 * size) if way == DOWN else 100.0 / abs(size)
    deep = abs(barrier / 100.0 - 1.0 if additive else math.log(barrier / 100.0))
    p = 0.3 * math.exp(-deep / 0.03)
    assert abs(count - paths * p) < 5.0 * math.sqrt(paths * p * (1.0 - p))


def test_least_on_way__each_edge_with_the_other_price_where_it_is_then() -> None:
    """Prices rise from 100 by 4 and 8 %: the edges at 102 and 103 lie half and 3/8 of the way."""
    first, second = 100.0 / 102.0, 100.0 / 103.0
    positions = Position(0, first, brackets=TIERS), Position(1, -second, brackets=TIERS)
    problem = simple_problem((Account(20.0, positions),), volatility=[0.5, 0.5])
    market, book, _ = lower_problem(problem)
    price, shift = np.full((2, LANES), 100.0), np.zeros((2, LANES))

    def value(one: float, two: float, rate: float, other: float) -> float:
        return first * one - second * two - rate * first * one - other * second * two

    assert least_on_way(market, book, 0, price, shift, 3) == math.inf
    shift[:, 3] = 0.04, 0.02
    assert least_on_way(market, book, 0, price, shift, 3) == pytest.approx(value(102.0, 101.0, 0.1, 0.05))
    assert least_on_way(market, book, 0, price, shift, 4) == math.inf
    shift[:, 3] = 0.04, 0.08
    at_first, at_second = value(102.0, 104.0, 0.1, 0.1), value(101.5, 103.0, 0.05, 0.1)
    assert at_first < at_second
    assert least_on_way(market, book, 0, price, shift, 3) == pytest.approx(at_first)
    shift[:, 3] = 0.0, 0.08
    assert least_on_way(market, book, 0, price, shift, 3) == pytest.approx(value(100.0, 103.0, 0.05, 0.1))
    price[:], shift[:, 3] = 104.0, (-0.04, -0.04)  # from above: while it still lies beyond
    at_first, at_second = value(102.0, 102.0, 0.1, 0.05), value(103.0, 103.0, 0.1, 0.1)
    assert least_on_way(market, book, 0, price, shift, 3) == pytest.approx(min(at_first, at_second))
