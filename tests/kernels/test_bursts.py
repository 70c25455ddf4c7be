"""Bursts: which one comes, how often, how large, against their law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare, kstest, norm
from scipy.stats import t as student

from kernels.bursts import add_bursts, draw_bursts
from kernels.market import draw_step
from kernels.structs import LANES, Draws, Key, Market
from tests.kernels.lowered import lower_problem, room_for
from tests.kernels.problems import (
    FULL,
    HOUR,
    THREE_LEVELS,
    Account,
    Burst,
    Floats,
    Problem,
    sample,
    simple_problem,
)

MOVE = np.array([0.05, -0.02, 0.0])
LEVEL = np.zeros(LANES, np.int64)
REGIME = np.zeros(LANES, np.int64)


def bursting(*bursts: Burst, **rest: object) -> Problem:
    return simple_problem((Account(10.0, ()),), volatility=[0.5] * 3, bursts=bursts, **rest)


def key_at(path: int, step: int = 0) -> Key:
    return Key(np.uint64(23), np.uint64(path), np.uint64(step))


def draw(market: Market, key: Key, draws: Draws) -> None:
    draw_step(market, key, 0, draws)
    draw_bursts(market, key, draws.burst, draws.burst_normal)


def draw_sizes(problem: Problem, paths: int) -> tuple[Floats, Floats]:
    """Which burst each path has in its first step, and the returns (paths, A) that it adds."""
    market = lower_problem(problem)[0]
    draws, now = room_for(market)
    which, moves = [], []
    for first in range(0, paths, LANES):
        draw(market, key_at(first), draws)
        now.move[:] = 0.0
        add_bursts(market, 0, LEVEL, REGIME, draws, now.move)
        which.append(draws.burst.copy())
        moves.append(now.move.T.copy())
    return np.concatenate(which), np.concatenate(moves)


def test_draw_bursts__at_most_one_a_step_and_by_their_rates() -> None:
    rates = np.array([800.0, 3000.0, 1500.0])
    problem = bursting(*(Burst(float(rate), MOVE, 0.3) for rate in rates))
    which, _ = draw_sizes(problem, sample(200_000, 1280))
    comes = 1.0 - np.exp(-rates.sum() * HOUR)
    law = np.array([1.0 - comes, *(comes * rates / rates.sum())])
    assert chisquare(np.bincount(which + 1, minlength=4), law * which.size).pvalue > 0.01


def test_draw_bursts__sizes_know_nothing_of_which_comes() -> None:
    """Both are of one block of words, but of other words."""
    which, moves = draw_sizes(
        bursting(Burst(5000.0, MOVE, 0.5), Burst(5000.0, MOVE, 0.5)), sample(100_000, 1280)
    )
    for j in (0, 1):
        sizes = moves[which == j, 0] / MOVE[0]
        assert kstest((sizes - 1.0) / 0.5, norm.cdf).pvalue > 0.01
    assert not moves[which < 0].any()


@pytest.mark.parametrize("df", [None, 3.0, 8.0])
def test_add_bursts__sizes_are_as_heavy_as_the_step(df: float | None) -> None:
    """One size for all assets: (size - 1) / spread is a Student-t with the regime's nu, not of variance 1."""
    which, moves = draw_sizes(bursting(Burst(1e6, MOVE, 0.7), df=df), sample(60_000, 640))
    assert (which == 0).all()
    sizes = moves[:, 0] / MOVE[0]
    np.testing.assert_allclose(moves, sizes[:, None] * MOVE, atol=1e-15)
    assert kstest((sizes - 1.0) / 0.7, norm.cdf if df is None else student(df).cdf).pvalue > 0.01
    if FULL and df != 3.0:
        heavier = 1.0 if df is None else df / (df - 2.0)
        assert sizes.mean() == pytest.approx(1.0, abs=4.0 * sizes.std() / sizes.size**0.5)
        assert sizes.var() == pytest.approx(0.49 * heavier, rel=0.05)


def test_add_bursts__times_the_scale_of_the_level() -> None:
    market = lower_problem(bursting(Burst(1e6, MOVE, 0.7), df=4.0, levels=THREE_LEVELS))[0]
    draws, now = room_for(market)
    draw(market, key_at(0), draws)
    level = np.arange(LANES) % 3
    add_bursts(market, 0, LEVEL + 1, REGIME, draws, now.move)  # scale 1
    usual = now.move.copy()
    now.move[:] = 0.0
    add_bursts(market, 0, level, REGIME, draws, now.move)
    np.testing.assert_allclose(now.move, usual * THREE_LEVELS.scale[level])


def test_add_bursts__in_equal_parts_over_the_model_step() -> None:
    problem = bursting(Burst(4000.0, MOVE, 0.7), df=4.0)
    whole = lower_problem(problem)[0]
    fine = lower_problem(replace(problem, substeps=4, step_years=HOUR / 4.0))[0]
    draws, now = room_for(whole)
    draw(whole, key_at(64), draws)
    add_bursts(whole, 0, LEVEL, REGIME, draws, now.move)
    assert now.move.any()
    parts, part = room_for(fine)
    draw(fine, key_at(64), parts)
    for step in range(4):
        draw_step(fine, key_at(64, step), 0, parts)  # keeps what belongs to the model step
        before = part.move.copy()
        add_bursts(fine, 0, LEVEL, REGIME, parts, part.move)
        np.testing.assert_allclose(part.move - before, now.move / 4.0, atol=1e-15)
