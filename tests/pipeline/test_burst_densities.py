"""Densities with bursts, against scipy's Student-t, one mixture at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, multivariate_t

from pipeline.burst_densities import burst_densities, burst_shares
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
