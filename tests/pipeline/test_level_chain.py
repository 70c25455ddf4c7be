"""Chains of levels that keep the window's shares."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from pipeline.chain import mean_durations, stationary_law
from pipeline.level_chain import balance_levels

Floats = NDArray[np.float64]

SHARES = np.array([0.3, 0.5, 0.16, 0.04])
# of a window of 10,000 steps; the loudest level lasts 8 steps, the others 25 to 200
MOVES = np.array(
    [
        [2970.0, 25.0, 5.0, 0.0],
        [24.0, 4880.0, 66.0, 30.0],
        [6.0, 60.0, 1514.0, 20.0],
        [0.0, 35.0, 15.0, 350.0],
    ]
)


def log_likelihood(transitions: Floats) -> float:
    return float(np.sum(MOVES * np.log(np.where(MOVES > 0.0, transitions, 1.0))))


@pytest.mark.parametrize("shortest", [1.0, 40.0, 72.0, 1000.0])
def test_balance_levels__keeps_shares_and_durations(shortest: float) -> None:
    chain = balance_levels(SHARES, MOVES, shortest)
    np.testing.assert_allclose(chain.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(stationary_law(chain), SHARES, atol=1e-9)
    assert mean_durations(chain).min() > shortest * (1.0 - 1e-6)
    flow = SHARES[:, None] * chain
    np.testing.assert_allclose(flow, flow.T, atol=1e-15)


def test_balance_levels__of_two_levels_is_the_likeliest_chain() -> None:
    moves = np.array([[5900.0, 60.0], [59.0, 3980.0]])
    share = 0.6

    def loss(flow: float) -> float:
        rest = 5900.0 * np.log(1.0 - flow / share) + 3980.0 * np.log(1.0 - flow / (1.0 - share))
        return -(119.0 * np.log(flow) + rest)

    flow = minimize_scalar(loss, bounds=(1e-6, 0.1), method="bounded", options={"xatol": 1e-12}).x
    chain = balance_levels(np.array([share, 1.0 - share]), moves, 1.0)
    assert share * chain[0, 1] == pytest.approx(flow, rel=1e-4)


@pytest.mark.parametrize("shortest", [1.0, 72.0])
def test_balance_levels__no_such_chain_nearby_is_likelier(shortest: float) -> None:
    chain = balance_levels(SHARES, MOVES, shortest)
    best = log_likelihood(chain)
    rng = np.random.default_rng(1)
    tried = 0
    for _ in range(4000):
        flow = SHARES[:, None] * chain
        step = np.triu(rng.normal(size=flow.shape) * flow * 10.0 ** rng.uniform(-3, -1), 1)
        flow = np.maximum(flow + step + step.T, 0.0)
        np.fill_diagonal(flow, 0.0)
        other = flow / SHARES[:, None]
        np.fill_diagonal(other, 1.0 - other.sum(axis=1))
        if mean_durations(other).min() >= shortest and np.diag(other).min() > 0.0:
            tried += 1
            assert log_likelihood(other) < best + 1e-6
    assert tried > 100


def test_balance_levels__a_level_that_is_never_left_alone() -> None:
    """Two levels that exchange nothing with a third: the third stays what it was, not a division by zero."""
    moves = np.array([[500.0, 5.0, 0.0], [5.0, 300.0, 0.0], [0.0, 0.0, 190.0]])
    chain = balance_levels(np.array([0.5, 0.3, 0.2]), moves, 72.0)
    assert chain[2].tolist() == [0.0, 0.0, 1.0]
    assert np.isfinite(chain).all()
