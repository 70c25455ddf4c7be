"""One step of the market: each piece against its law."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, chisquare, expon, kstest, norm, poisson
from scipy.stats import t as student

from kernels.market import (
    combine_factors,
    count_jumps,
    draw_jump_sum,
    draw_step,
    find_jump,
    mix_tails,
    move_prices,
    read_mixing,
    select_regime,
    switch_levels,
    switch_regimes,
)
from kernels.random import JUMPS
from kernels.structs import LANES, Key, Law, Market
from pipeline.jumps import DoubleExponentialJumps
from tests import oracle
from tests.kernels.lowered import lower_problem, room_for, tabulate_mixing
from tests.kernels.problems import (
    THREE_LEVELS,
    Account,
    Floats,
    Problem,
    equicorrelation,
    plain_scenario,
    random_problem,
    sample,
    simple_problem,
)

FIRST_LEVEL = np.zeros(LANES, np.int64)


def key_at(path: int, step: int) -> Key:
    return Key(np.uint64(17), np.uint64(path), np.uint64(step))


def market_of(problem: Problem) -> Market:
    return lower_problem(problem)[0]


def draw_returns(problem: Problem, paths: int) -> Floats:
    """Returns (paths, A) of the first step, jumps apart, by the kernel's own functions."""
    market = market_of(problem)
    draws, now = room_for(market)
    regime = np.zeros(LANES, np.int64)
    moves = []
    for first in range(0, paths, LANES):
        draw_step(market, key_at(first, 0), 0, draws)
        switch_regimes(market, 0, 0, draws.uniform, FIRST_LEVEL, regime)
        mix_tails(market, 0, FIRST_LEVEL, regime, draws.uniform, now.weight)
        select_regime(market, 0, draws.noise, regime, now)
        moves.append(now.move.T.copy())
    return np.concatenate(moves)


@pytest.mark.parametrize("df", [2.1, 2.5, 3.0, 4.0, 7.5, 30.0, 200.0])
def test_read_mixing__against_the_quantile(df: float) -> None:
    table, tolerance = tabulate_mixing(df), 2e-5 if df >= 2.5 else 2.4e-5
    low = 2.0 ** np.linspace(-40.0, -1.0, sample(4000, 300))  # down to 1e-12
    for u in np.concatenate([low, [1e-12, 0.5]]):
        assert read_mixing(table, u) == pytest.approx(math.sqrt((df - 2) / chi2.ppf(u, df)), rel=tolerance)
        high = 1.0 - u
        # what is left after rounding of 1 - u is the tail that the number says
        want = math.sqrt((df - 2) / chi2.isf(1.0 - high, df))
        assert read_mixing(table, high) == pytest.approx(want, rel=tolerance)


@pytest.mark.parametrize("df", [2.5, 4.0])
def test_read_mixing__falls_and_stays_finite(df: float) -> None:
    table = tabulate_mixing(df)
    u = np.concatenate(
        [[2.0**-53], 2.0 ** np.linspace(-52.9, -1.0, 500), 1.0 - 2.0 ** np.linspace(-1.1, -53, 500)]
    )
    weight = np.array([read_mixing(table, x) for x in u])
    assert np.isfinite(weight).all()
    assert (np.diff(weight) <= 0.0).all()
    assert weight[0] == pytest.approx(math.sqrt((df - 2) / chi2.ppf(2.0**-53, df)), rel=2e-5)


def test_mix_tails__returns_are_student_t() -> None:
    """The return over its scale sqrt((nu - 2) / nu) is a t; two assets share the mixing number."""
    df = 4.0
    problem = simple_problem((), volatility=[1.0, 2.0], rho=0.5, df=df, step_years=1.0, horizons=(1,))
    x = draw_returns(problem, sample(200_000, 16_384)) / [1.0, 2.0]
    for a in range(2):
        assert kstest(x[:, a] / math.sqrt((df - 2) / df), student(df).cdf).pvalue > 1e-4
    # signs of a t pair correlate as (2 / pi) asin rho, their sizes because w is common
    n = len(x)
    signs = np.sign(x).prod(axis=1)
    assert abs(signs.mean() - 2.0 / math.pi * math.asin(0.5)) < 4.5 / math.sqrt(n)
    y = np.log(
        np.abs(np.stack([x[:, 0], (x[:, 1] - 0.5 * x[:, 0]) / math.sqrt(0.75)]))
    )  # uncorrelated, not independent
    assert np.corrcoef(y)[0, 1] > 4.5 / math.sqrt(n)


def test_select_regime__moments_of_a_gaussian_step() -> None:
    problem = random_problem(40, assets=5, regimes=1)
    x = draw_returns(problem, sample(200_000, 1024))
    regime, dt, n = problem.sets[0][0], problem.step_years, len(x)
    sd = regime.volatility * math.sqrt(dt)
    z = (x - regime.drift * dt) / sd
    assert np.abs(z.mean(axis=0)).max() < 4.5 / math.sqrt(n)
    assert np.abs(np.cov(z.T, bias=True) - regime.correlation).max() < 4.5 * math.sqrt(2.0 / n)


def test_draw_step__noise_is_loading_times_factors() -> None:
    market = market_of(random_problem(41, assets=5, regimes=2))
    draws, _ = room_for(market)
    draw_step(market, key_at(100, 3), 1, draws)
    for v in (0, LANES - 1):
        place = oracle.Place(17, 100 + v, 3)
        for factor, noise, slot in [
            (draws.factor, draws.noise, oracle.FACTORS),
            (draws.dip_factor, draws.dip_noise, oracle.BRIDGE),
        ]:
            z = oracle.draw_normal_vector(place, slot, 8)
            np.testing.assert_allclose(factor[:, v], z, rtol=0, atol=8e-15)
            used = market.in_use[3].astype(bool)
            np.testing.assert_allclose(noise[used, ..., v], (market.loading @ z)[used], rtol=0, atol=1e-13)


def test_combine_factors__leading_factors_only() -> None:
    rng = np.random.default_rng(1)
    loading, factor, noise = rng.normal(size=8), rng.normal(size=(8, LANES)), np.full(LANES, 7.0)
    for depth in (4, 8):
        combine_factors(loading, depth, factor, noise)
        np.testing.assert_allclose(noise, loading[:depth] @ factor[:depth], rtol=0, atol=1e-14)


@pytest.mark.parametrize("mean", [0.0, 1e-4, 0.3, 3.0])
def test_count_jumps__poisson(mean: float) -> None:
    problem = random_problem(42, assets=1, regimes=2, jumps=True)
    wild = replace(problem.sets[0][1], intensity=mean / problem.step_years)
    problem = replace(problem, sets=((problem.sets[0][0], wild),), most_jumps=12)
    market = market_of(problem)
    rng = np.random.default_rng(2)
    regime = np.ones(LANES, np.int64)
    uniform, jumps, found = np.zeros((4, LANES)), np.zeros(LANES, np.int64), []
    for _ in range(sample(40_000, 1024) // LANES):
        uniform[JUMPS] = rng.uniform(size=LANES)
        lanes = count_jumps(market, 0, regime, uniform, jumps)
        assert lanes == (jumps > 0).sum()
        np.testing.assert_array_equal(jumps, poisson.ppf(uniform[JUMPS], mean))
        found.append(jumps.copy())
    seen = np.bincount(np.concatenate(found), minlength=13)
    expected = poisson.pmf(np.arange(13), mean) * seen.sum()
    common = expected > 5
    if common.sum() > 1:
        rest = [seen[~common].sum()], [max(seen.sum() - expected[common].sum(), 1e-9)]
        keep = 1 if rest[1][0] > 5 else 0
        f_obs = np.concatenate([seen[common], rest[0][:keep]])
        f_exp = np.concatenate([expected[common], rest[1][:keep]])
        assert chisquare(f_obs, f_exp * f_obs.sum() / f_exp.sum()).pvalue > 1e-4
    else:
        assert seen[0] >= seen.sum() - 30


def test_count_jumps__no_more_than_there_is_room_for() -> None:
    market = market_of(replace(random_problem(42, assets=1, regimes=1, jumps=True), most_jumps=2))
    uniform = np.full((4, LANES), 1.0 - 2.0**-53)
    jumps = np.zeros(LANES, np.int64)
    assert count_jumps(market, 0, np.zeros(LANES, np.int64), uniform, jumps) == LANES
    np.testing.assert_array_equal(jumps, 2)


@pytest.mark.parametrize("jumps", [1, 3])
def test_draw_jump_sum__law(jumps: int) -> None:
    """N jumps: mean N m, covariance N times one jump's."""
    problem = random_problem(43, assets=3, regimes=1, jumps=True)
    market, regime = market_of(problem), problem.sets[0][0]
    normal, total = np.zeros(4), np.zeros(3)
    rows = []
    for path in range(sample(20_000, 500)):
        draw_jump_sum(market, Law(0, 0, 1.0), key_at(path, 0), jumps, normal, total)
        rows.append(total.copy())
    z = (np.array(rows) - jumps * regime.jump_mean) / (math.sqrt(jumps) * regime.jump_volatility)
    n = len(z)
    assert np.abs(z.mean(axis=0)).max() < 4.5 / math.sqrt(n)
    assert np.abs(np.cov(z.T, bias=True) - regime.jump_correlation).max() < 4.5 * math.sqrt(2.0 / n)


SIDES = np.array([[0.4, 0.05, 0.03], [0.0, 0.2, 0.1], [1.0, 0.02, 0.3]])


def two_sided(correlation: Floats, sides: Floats = SIDES) -> Problem:
    """A regime of double-exponential jumps."""
    problem = random_problem(43, assets=len(sides), regimes=1, jumps=True)
    regime = replace(problem.sets[0][0], jump_sides=sides, jump_correlation=correlation)
    return replace(problem, sets=((regime,),))


@pytest.mark.parametrize("up", [0.0, 1e-6, 0.3, 1.0])
def test_find_jump__inverse_of_the_double_exponential_law(up: float) -> None:
    for normal in np.linspace(-8.5, 8.5, 69):
        jump = find_jump(normal, up, 0.2, 0.05)
        if jump > 0.0:
            assert up * expon.sf(jump, scale=0.2) == pytest.approx(norm.sf(normal), rel=1e-9)
        elif jump < 0.0:
            assert (1.0 - up) * expon.sf(-jump, scale=0.05) == pytest.approx(norm.cdf(normal), rel=1e-9)
        else:
            assert norm.sf(normal) == pytest.approx(up, abs=1e-15)
    assert find_jump(-40.0, up, 0.2, 0.05) == (-40.0 if up < 1.0 else 0.0)
    assert find_jump(40.0, up, 0.2, 0.05) == (160.0 if up > 0.0 else 0.0)


@pytest.mark.parametrize("jumps", [1, 2, 5])
def test_draw_jump_sum__of_double_exponential_jumps(jumps: int) -> None:
    """The characteristic function of each asset's sum is that of one jump to the power of their number."""
    problem = two_sided(equicorrelation(3, 0.6))
    market = market_of(problem)
    normal, total = np.zeros(4), np.zeros(3)
    rows = []
    for path in range(sample(40_000, 500)):
        draw_jump_sum(market, Law(0, 0, 1.0), key_at(path, 0), jumps, normal, total)
        rows.append(total.copy())
    sums = np.array(rows)
    for a, (up, up_mean, down_mean) in enumerate(SIDES):
        for t in (0.5, 2.0, 8.0):
            u = t / max(up_mean, down_mean) / jumps
            want = (up / (1.0 - 1j * u * up_mean) + (1.0 - up) / (1.0 + 1j * u * down_mean)) ** jumps
            found = np.exp(1j * u * sums[:, a]).mean()
            assert abs(found - want) < 4.5 / math.sqrt(len(sums))


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.7, 1.0 - 1e-14])
def test_draw_jump_sum__correlation_of_double_exponential_jumps(rho: float) -> None:
    """Two assets' jumps: mean of the product as the model has it; at 1 the same quantile for both."""
    sides = np.array([[0.4, 0.05, 0.03], [0.4, 0.02, 0.08]])
    market = market_of(two_sided(equicorrelation(2, rho), sides))
    normal, total = np.zeros(4), np.zeros(2)
    rows = []
    for path in range(sample(40_000, 500)):
        draw_jump_sum(market, Law(0, 0, 1.0), key_at(path, 0), 1, normal, total)
        rows.append(total.copy())
    first, second = np.array(rows).T
    law = {
        "up_probability": {"A": 0.4, "B": 0.4},
        "up_mean": {"A": 0.05, "B": 0.02},
        "down_mean": {"A": 0.03, "B": 0.08},
    }
    jumps = DoubleExponentialJumps(law="double_exponential", intensity=1.0, correlation=round(rho, 9), **law)
    product = first * second
    assert abs(product.mean() - jumps.products("AB")[0, 1]) < 4.5 * product.std() / math.sqrt(len(product))
    if rho > 0.99:
        np.testing.assert_array_equal(first > 0.0, second > 0.0)
        up = first > 0.0
        np.testing.assert_allclose(first[up] / 0.05, second[up] / 0.02, rtol=1e-5, atol=1e-6)
        assert jumps.products("AB")[0, 1] == pytest.approx(0.8 * 0.05 * 0.02 + 1.2 * 0.03 * 0.08, rel=1e-4)


def test_switch_regimes__law_of_the_chain() -> None:
    problem = random_problem(44, assets=1, regimes=3)
    market = market_of(problem)
    draws, _ = room_for(market)
    regime = np.zeros(LANES, np.int64)
    n = sample(64_000, 2048) // LANES
    first, pairs = np.zeros(3), np.zeros((3, 3))
    for block in range(n):
        for step in range(2):
            before = regime.copy()
            draw_step(market, key_at(block * LANES, step), 0, draws)
            switch_regimes(market, 0, step, draws.uniform, FIRST_LEVEL, regime)
            if step == 0:
                first += np.bincount(regime, minlength=3)
            else:
                np.add.at(pairs, (before, regime), 1)
    assert chisquare(first, problem.initial * first.sum()).pvalue > 1e-4
    for row, law in zip(pairs, problem.transitions, strict=True):
        assert chisquare(row, law * row.sum() / law.sum()).pvalue > 1e-4


def test_switch_regimes__edges_of_the_law() -> None:
    """A regime without probability is never entered, by the smallest uniform nor by the largest."""
    problem = replace(
        random_problem(44, assets=1, regimes=3),
        initial=np.array([0.0, 1.0, 0.0]),
        transitions=np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
    )
    market, regime = market_of(problem), np.zeros(LANES, np.int64)
    for u in (2.0**-53, 0.5, 1.0 - 2.0**-53):
        uniform = np.full((4, LANES), u)
        visited = []
        for step in range(4):
            switch_regimes(market, 0, step, uniform, FIRST_LEVEL, regime)
            visited.append(int(regime[0]))
        assert visited == [1, 2, 1, 2]


def test_switch_regimes__holds_within_a_model_step_and_obeys_force() -> None:
    problem = replace(
        random_problem(45, assets=1, regimes=2),
        substeps=2,
        initial=np.array([1.0, 0.0]),
        transitions=np.array([[0.0, 1.0], [1.0, 0.0]]),
    )
    forced = (-1, -1, -1, -1, 1, 1, 1, -1, -1, -1)
    problem = replace(problem, scenarios=(plain_scenario(10), plain_scenario(10, 1)._replace(forced=forced)))
    market = market_of(problem)
    uniform = np.full((4, LANES), 0.3)
    for scenario, want in [(0, [0, 0, 1, 1, 0, 0, 1, 1, 0, 0]), (1, [0, 0, 1, 1, 1, 1, 1, 1, 0, 0])]:
        regime = np.zeros(LANES, np.int64)
        visited = []
        for step in range(10):
            switch_regimes(market, scenario, step, uniform, FIRST_LEVEL, regime)
            visited.append(int(regime[5]))
        assert visited == want


def test_switch_levels__law_of_the_chain() -> None:
    market = market_of(replace(random_problem(44, assets=1, regimes=2), levels=THREE_LEVELS))
    draws, _ = room_for(market)
    level = np.zeros(LANES, np.int64)
    first, pairs = np.zeros(3), np.zeros((3, 3))
    for block in range(sample(64_000, 2048) // LANES):
        for step in range(2):
            before = level.copy()
            draw_step(market, key_at(block * LANES, step), 0, draws)
            switch_levels(market, step, draws.uniform, level)
            if step == 0:
                first += np.bincount(level, minlength=3)
            else:
                np.add.at(pairs, (before, level), 1)
    assert chisquare(first, THREE_LEVELS.initial * first.sum()).pvalue > 1e-4
    for row, law in zip(pairs, THREE_LEVELS.transitions, strict=True):
        assert row[law == 0.0].sum() == 0
        assert chisquare(row[law > 0.0], law[law > 0.0] * row.sum()).pvalue > 1e-4


def test_switch_regimes__the_first_one_depends_on_the_first_level() -> None:
    problem = replace(
        random_problem(44, assets=1, regimes=2),
        levels=THREE_LEVELS,
        initial=np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]),
    )
    market, regime = market_of(problem), np.zeros(LANES, np.int64)
    for u, by_level in [(0.2, [0, 1, 0]), (0.8, [0, 1, 1])]:
        for level, want in enumerate(by_level):
            switch_regimes(market, 0, 0, np.full((4, LANES), u), np.full(LANES, level), regime)
            assert (regime == want).all()


def test_mix_tails__the_level_multiplies_it() -> None:
    market = market_of(replace(random_problem(44, assets=1, regimes=1, df=4.0), levels=THREE_LEVELS))
    uniform = np.random.default_rng(3).uniform(size=(4, LANES))
    weights = np.empty((3, LANES))
    for level in range(3):
        mix_tails(market, 0, np.full(LANES, level), np.zeros(LANES, np.int64), uniform, weights[level])
    np.testing.assert_allclose(weights[0], 0.5 * weights[1], rtol=1e-15)
    np.testing.assert_allclose(weights[2], 1.6 * weights[1], rtol=1e-15)


@pytest.mark.parametrize("additive", [False, True])
def test_move_prices__log_and_additive(additive: bool) -> None:
    problem = simple_problem((Account(1.0, ()),), volatility=[1.0, 1.0], spot=[100.0, 7.0], additive=additive)
    market = market_of(problem)
    rng = np.random.default_rng(3)
    _, now = room_for(market)
    now.move[:] = rng.normal(0.0, 0.3, now.move.shape)
    price = rng.uniform(1.0, 50.0, now.move.shape)
    before = price.copy()
    move_prices(market, now, price)
    spot = problem.spot[:, None]
    np.testing.assert_allclose(
        price, before + spot * now.move if additive else before * np.exp(now.move), rtol=1e-15
    )
    np.testing.assert_array_equal(now.before, before)


def test_select_regime__each_lane_its_own() -> None:
    problem = random_problem(46, assets=2, regimes=2)
    market = market_of(problem)
    draws, now = room_for(market)
    regime = (np.arange(LANES) % 2).astype(np.int64)
    draws.noise[:] = np.random.default_rng(4).normal(size=draws.noise.shape)
    now.weight[:] = np.linspace(0.5, 2.0, LANES)
    select_regime(market, 0, draws.noise, regime, now)
    d = market.loading_of_set[0]
    for v in range(LANES):
        want = market.drift[0, regime[v]] + now.weight[v] * draws.noise[d, regime[v], :, v]
        np.testing.assert_allclose(now.move[:, v], want, rtol=1e-15)


def test_problems__correlation_is_what_it_says() -> None:
    market = market_of(simple_problem((), volatility=[0.5, 0.8], rho=0.3, step_years=0.25))
    want = np.outer([0.25, 0.4], [0.25, 0.4]) * equicorrelation(2, 0.3)
    np.testing.assert_allclose(market.covariance[0, 0], want, rtol=1e-14)
