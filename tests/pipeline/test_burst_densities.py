"""Densities with bursts, against scipy's Student-t, one mixture at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, multivariate_t

from pipeline.burst_densities import burst_densities, burst_shares, expect_bursts
from pipeline.figures import Figures
from pipeline.panel import log_densities, read_panel
from tests.pipeline.known_bursts import FIGURES, draw_returns

Floats = NDArray[np.float64]

HOLES = {3: [1], 7: [0, 2], 11: [0, 1, 2]}


@pytest.fixture(scope="module")
def returns() -> Floats:
    x = draw_returns(FIGURES, 60, 1)[0]
    for row, missing in HOLES.items():
        x[row, missing] = np.nan
    return x


def weigh(x: Floats, figures: Figures, m: int, k: int) -> Floats:
    """Of one step in one state: the density of each kind of step times how often it comes."""
    there = ~np.isnan(x)
    scale, nu, bursts = figures.scales[m], figures.nu[k], figures.with_none()
    found = []
    for law, move, spread in zip(bursts.law, bursts.moves, bursts.spread, strict=True):
        place = figures.means[k] + scale * move
        shape = scale**2 * (figures.scatter[k] + spread**2 * np.outer(move, move))
        part = place[there], shape[np.ix_(there, there)]
        of = multivariate_normal(*part) if np.isinf(nu) else multivariate_t(*part, df=nu)
        found.append(law * of.pdf(x[there]))
    return np.array(found)


@pytest.mark.parametrize("nu", [FIGURES.nu, np.array([np.inf, 8.0])])
def test_burst_densities__are_mixtures_of_student_t(returns: Floats, nu: Floats) -> None:
    figures = replace(FIGURES, nu=nu)
    densities = burst_densities(read_panel(returns), figures)
    shares = burst_shares(read_panel(returns), figures)
    for t in (0, 3, 7, 30):
        for m in range(2):
            for k in range(2):
                asked = weigh(returns[t], figures, m, k)
                assert densities[t, m, k] == pytest.approx(np.log(asked.sum()), abs=1e-10)
                np.testing.assert_allclose(shares[k, t, m], asked / asked.sum(), atol=1e-12)


def test_burst_densities__of_a_step_without_returns(returns: Floats) -> None:
    panel = read_panel(returns)
    assert (burst_densities(panel, FIGURES)[11] == 0.0).all()
    np.testing.assert_allclose(burst_shares(panel, FIGURES)[:, 11], [[[0.95, 0.02, 0.03]] * 2] * 2)


def test_burst_densities__without_bursts_are_those_of_the_plain_law(returns: Floats) -> None:
    figures, panel = replace(FIGURES, bursts=None), read_panel(returns)
    plain = log_densities(panel, figures.means, figures.scatter, figures.nu, figures.scales)[0]
    np.testing.assert_allclose(burst_densities(panel, figures), plain, rtol=1e-12)


def test_burst_shares__find_the_bursts_that_were_drawn() -> None:
    x, kind = draw_returns(FIGURES, 4_000, 2)
    shares = burst_shares(read_panel(x), FIGURES).mean(axis=(0, 2))
    for number, law in enumerate((0.02, 0.03), start=1):
        assert shares[kind == number, number].mean() > 0.5
        assert shares[:, number].mean() == pytest.approx(law, rel=0.25)


def add_up(x: Floats, figures: Figures, likely: Floats, k: int) -> Floats:
    """What bursts are expected to have added to one step in regime k, states of a level so likely: given the
    burst, 1 + spread w n is a regression on the returns, whatever w."""
    bursts, there, total = figures.with_none(), ~np.isnan(x), np.zeros(len(x))
    scatter = figures.scatter[k][np.ix_(there, there)]
    for m, scale in enumerate(figures.scales):
        shares = weigh(x, figures, m, k)
        for share, move, spread in zip(shares / shares.sum(), bursts.moves, bursts.spread, strict=True):
            off = (x - figures.means[k])[there] / scale - move[there]
            wider = scatter + spread**2 * np.outer(move[there], move[there])
            size = 1.0 + spread**2 * move[there] @ np.linalg.solve(wider, off)
            total += likely[m] / likely.sum() * share * scale * size * move
    return total


@pytest.mark.parametrize("nu", [FIGURES.nu, np.array([np.inf, 8.0])])
def test_expect_bursts__by_regression_on_the_returns(returns: Floats, nu: Floats) -> None:
    figures, rng = replace(FIGURES, nu=nu), np.random.default_rng(2)
    smoothed = rng.dirichlet(np.ones(4), len(returns)).reshape(-1, 2, 2)
    found = expect_bursts(read_panel(returns), figures, smoothed)
    for t in (0, 3, 7, 30):
        for k in range(2):
            np.testing.assert_allclose(
                found[t, k], add_up(returns[t], figures, smoothed[t, :, k], k), atol=1e-12
            )
    assert (found[11] == 0.0).all()
    # draws count steps by weights, which say nothing of what came
    np.testing.assert_allclose(expect_bursts(read_panel(returns), figures, 3.0 * smoothed), found)


def test_expect_bursts__none_where_there_are_none(returns: Floats) -> None:
    found = expect_bursts(read_panel(returns), replace(FIGURES, bursts=None), np.full((60, 2, 2), 0.25))
    assert found.shape == (60, 2, 3)
    assert (found == 0.0).all()
