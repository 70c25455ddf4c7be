"""States that revert to a level: their law over many steps, in closed form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kernels.jit import njit
from kernels.market import draw_step, mix_tails, switch_levels, switch_regimes
from kernels.random import SLOT_FUNDING
from kernels.reverting import START, draw_reverting, move_reverting, start_reverting
from kernels.structs import LANES, Draws, Integers, Key, Market
from tests.kernels.lowered import lower_problem, room_for
from tests.kernels.problems import Floats, Levels, Problem, Rates, sample, simple_problem

STEPS, DAY = 24, 1.0 / 365.0


@njit
def walk(
    market: Market,
    first: int,
    draws: Draws,
    chains: Integers,
    weight: Floats,
    state: Floats,
    rates: Floats,
    shocks: Floats,
) -> None:
    """Rates (T, A, LANES) after each step, and the noise of the returns in it, tails and levels included.

    chains (2, LANES): level and regime.
    """
    law, level, regime = market.funding_law, chains[0], chains[1]
    for step in range(rates.shape[0]):
        key = Key(np.uint64(9), np.uint64(first), np.uint64(step))
        draw_step(market, key, 0, draws)
        if market.level_scale.shape[0] > 1:
            switch_levels(market, step, draws.uniform, level)
        switch_regimes(market, 0, step, draws.uniform, level, regime)
        mix_tails(market, 0, level, regime, draws.uniform, weight)
        draw_reverting(law, key, SLOT_FUNDING, draws.funding_normal[0])
        if step == 0:
            draw_reverting(law, key, SLOT_FUNDING + START, draws.funding_normal[1])
            start_reverting(law, market.level_scale, level, regime, draws.funding_normal[1], state)
        move_reverting(law, 0, regime, weight, draws.noise[0], draws.funding_normal[0], state)
        rates[step] = state
        shocks[step] = weight * draws.noise[0, 0]


def simulate_rates(problem: Problem, paths: int) -> tuple[Floats, Floats]:
    """(paths, T, A) rates and noise of returns under the one regime of a problem."""
    market = lower_problem(problem)[0]
    assets = market.spot.size
    draws, _ = room_for(market)
    found = []
    for first in range(0, paths, LANES):
        out = np.zeros((2, STEPS, assets, LANES))
        chains, weight, state = np.zeros((2, LANES), np.int64), np.ones(LANES), np.zeros((assets, LANES))
        walk(market, first, draws, chains, weight, state, out[0], out[1])
        found.append(out.transpose(0, 3, 1, 2))
    rates, shocks = np.concatenate(found, axis=1)
    return rates, shocks


def problem_of(rates: Rates, **rest: Any) -> Problem:
    """One regime whose funding reverts, steps of a day."""
    assets = rates.level.size
    problem = simple_problem((), volatility=np.full(assets, 0.7), step_years=DAY, horizons=(STEPS,), **rest)
    (of,) = problem.sets
    return replace(problem, sets=(tuple(replace(r, rates=rates) for r in of),))


def within(values: Floats, expected: float, errors: float = 4.0) -> bool:
    """Whether the mean of values is within so many standard errors."""
    return bool(abs(values.mean() - expected) < errors * values.std() / np.sqrt(values.size))


def test_move_reverting__mean_and_variance_of_the_accrued_sum() -> None:
    """From a known rate f, with distance d from the level: sum of n rates has mean n level + d sum phi^i and
    variance s^2 sum ((1 - phi^j) / (1 - phi))^2, j = 1..n, s^2 = deviation^2 (1 - phi^2)."""
    half_life, deviation = np.array([3.0, 9.0]) * DAY, np.array([0.5, 0.3])
    law = Rates(np.array([0.2, -0.1]), half_life, deviation, np.array([0.4, -0.8]))
    known = np.array([1.0, -0.4])
    rates, _ = simulate_rates(problem_of(law, known_rates=known), sample(65_536))
    total = rates.sum(axis=1)
    phi = 0.5 ** (DAY / law.half_life)
    j = np.arange(1, STEPS + 1)[:, None]
    mean = STEPS * law.level + (known - law.level) * (phi**j).sum(axis=0)
    variance = law.deviation**2 * (1 - phi**2) * (((1 - phi**j) / (1 - phi)) ** 2).sum(axis=0)
    for a in range(2):
        assert within(total[:, a], mean[a])
        assert within((total[:, a] - mean[a]) ** 2, variance[a])


def test_start_reverting__the_long_run_s_law_stays() -> None:
    """Started at random, every step has the level as its mean and the deviation, heavy tails or not."""
    law = Rates(np.array([0.2]), np.array([3.0]) * DAY, np.array([0.5]), np.array([0.4]))
    rates, _ = simulate_rates(problem_of(law, df=6.0), sample(65_536))
    for step in (0, 7, STEPS - 1):
        assert within(rates[:, step, 0], 0.2)
        assert within((rates[:, step, 0] - 0.2) ** 2, 0.25)
    apart = (rates[:, 0, 0] - 0.2) * (rates[:, 5, 0] - 0.2)
    assert within(apart, 0.25 * 0.5 ** (5 / 3))


def test_move_reverting__correlations_of_its_shocks() -> None:
    """With its own returns rho; between assets rho rho' R + sqrt((1 - rho^2) (1 - rho'^2)) common."""
    law = Rates(np.zeros(2), np.full(2, DAY), np.array([0.5, 2.0]), np.array([0.6, -0.3]), common=0.7)
    rates, noise = simulate_rates(problem_of(law, rho=0.5, df=5.0), sample(65_536))
    shocks = (rates[:, 1:] - 0.5 * rates[:, :-1]) / (law.deviation * np.sqrt(0.75))
    returns = noise[:, 1:] / (0.7 * np.sqrt(DAY))
    for a, rho in enumerate(law.correlation):
        assert within(shocks[..., a] * returns[..., a], rho)
    between = -0.6 * 0.3 * 0.5 + np.sqrt((1 - 0.36) * (1 - 0.09)) * 0.7
    assert within(shocks[..., 0] * shocks[..., 1], between)


def test_start_reverting__levels_of_the_market_scale_shocks_and_start() -> None:
    """Where a level lasts the deviation is its scale times the law's; over all levels the law's own."""
    law = Rates(np.array([0.2]), np.array([3.0]) * DAY, np.array([0.5]), np.array([0.4]))
    scale = np.array([0.5, np.sqrt(2.125)])  # mean square (0.25 x 0.6 + 2.125 x 0.4) = 1
    levels = Levels(np.array([0.6, 0.4]), np.array([[0.8, 0.2], [0.3, 0.7]]), scale)
    rates, _ = simulate_rates(problem_of(law, levels=levels), sample(65_536))
    for step in (0, 7, STEPS - 1):
        assert within((rates[:, step, 0] - 0.2) ** 2, 0.25)
    for m in range(2):
        alone = replace(levels, initial=np.eye(2)[m], transitions=np.eye(2))
        rates, _ = simulate_rates(problem_of(law, levels=alone), sample(65_536))
        for step in (0, 7):
            assert within((rates[:, step, 0] - 0.2) ** 2, 0.25 * scale[m] ** 2)
