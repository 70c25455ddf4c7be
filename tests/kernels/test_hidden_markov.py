"""The compiled inference against enumeration of every sequence of regimes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.hidden_markov import (
    fill_distances,
    fill_log_densities,
    find_path,
    run_filter,
    run_smoother,
)

Floats = NDArray[np.float64]


def enumerate_paths(
    log_densities: Floats, initial: Floats, transitions: Floats
) -> tuple[float, Floats, Floats, list[int]]:
    """The log-likelihood, smoothed (T, K), moves (K, K) and best path, by summing over all K^T sequences."""
    steps, regimes = log_densities.shape
    total, best, best_path = 0.0, -1.0, [0] * steps
    smoothed, moves = np.zeros((steps, regimes)), np.zeros((regimes, regimes))
    for path in itertools.product(range(regimes), repeat=steps):
        weight = initial[path[0]] * math.exp(log_densities[0, path[0]])
        for t in range(1, steps):
            weight *= transitions[path[t - 1], path[t]] * math.exp(log_densities[t, path[t]])
        total += weight
        if weight > best:
            best, best_path = weight, list(path)
        for t in range(steps):
            smoothed[t, path[t]] += weight
        for t in range(1, steps):
            moves[path[t - 1], path[t]] += weight
    return math.log(total), smoothed / total, moves / total, best_path


def draw_chain(seed: int, regimes: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(regimes)), rng.dirichlet(np.ones(regimes), regimes)


@pytest.mark.parametrize("regimes", [1, 2, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_run_filter_and_smoother__agree_with_enumeration(regimes: int, seed: int) -> None:
    log_densities = np.random.default_rng(seed).normal(0.0, 2.0, (6, regimes))
    initial, transitions = draw_chain(seed, regimes)
    predicted, filtered, smoothed = (np.empty((6, regimes)) for _ in range(3))
    moves, path = np.empty((regimes, regimes)), np.empty(6, np.int64)

    log_likelihood = run_filter(log_densities, initial, transitions, predicted, filtered)
    run_smoother(predicted, filtered, transitions, np.ones(len(filtered)), smoothed, moves)
    find_path(log_densities, np.log(initial), np.log(transitions), path)

    expected = enumerate_paths(log_densities, initial, transitions)
    assert log_likelihood == pytest.approx(expected[0], abs=1e-12)
    np.testing.assert_allclose(smoothed, expected[1], atol=1e-12)
    np.testing.assert_allclose(moves, expected[2], atol=1e-12)
    assert path.tolist() == expected[3]
    for t in range(6):  # filtered at t is smoothed at the end of the first t + 1 steps
        short = enumerate_paths(log_densities[: t + 1], initial, transitions)
        np.testing.assert_allclose(filtered[t], short[1][t], atol=1e-12)


def test_run_smoother__moves_count_with_the_weight_of_the_step_they_lead_to() -> None:
    log_densities = np.random.default_rng(3).normal(0.0, 2.0, (6, 2))
    initial, transitions = draw_chain(3, 2)
    predicted, filtered, smoothed, again = (np.empty((6, 2)) for _ in range(4))
    run_filter(log_densities, initial, transitions, predicted, filtered)
    whole, total = np.zeros((2, 2)), np.zeros((2, 2))
    for t in range(1, 6):
        alone = np.empty((2, 2))
        run_smoother(predicted, filtered, transitions, 1.0 * (np.arange(6) == t), smoothed, alone)
        # into step t, from and to whichever regime
        np.testing.assert_allclose(alone.sum(axis=0), smoothed[t])
        np.testing.assert_allclose(alone.sum(axis=1), smoothed[t - 1])
        total += t * alone
    run_smoother(predicted, filtered, transitions, np.arange(6.0), again, whole)
    np.testing.assert_allclose(whole, total)
    np.testing.assert_array_equal(again, smoothed)


def test_run_filter__densities_too_small_for_a_float() -> None:
    log_densities = np.array([[-5000.0, -5001.0], [-9000.0, -8000.0]])
    initial, transitions = np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]])
    predicted, filtered = np.empty((2, 2)), np.empty((2, 2))
    log_likelihood = run_filter(log_densities, initial, transitions, predicted, filtered)
    # the second step leaves only its second regime
    expected = -13000.0 + math.log(0.5 * (0.1 + math.exp(-1.0) * 0.8))
    assert log_likelihood == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(filtered[1], [0.0, 1.0], atol=1e-12)


def test_run_filter__likely_regime_is_impossible() -> None:
    log_densities = np.array([[0.0, 0.0], [0.0, -2000.0]])
    initial, transitions = np.array([0.0, 1.0]), np.eye(2)
    predicted, filtered, smoothed = (np.empty((2, 2)) for _ in range(3))
    assert run_filter(log_densities, initial, transitions, predicted, filtered) == pytest.approx(-2000.0)
    moves = np.empty((2, 2))
    run_smoother(predicted, filtered, transitions, np.ones(len(filtered)), smoothed, moves)
    np.testing.assert_array_equal(smoothed, [[0.0, 1.0], [0.0, 1.0]])
    np.testing.assert_array_equal(moves, [[0.0, 0.0], [0.0, 1.0]])


def test_fill_log_densities__agree_with_scipy() -> None:
    from scipy.stats import multivariate_normal, multivariate_t

    rng = np.random.default_rng(4)
    x, means = rng.normal(size=(5, 3)), rng.normal(size=(2, 3))
    scatter = np.array([np.cov(rng.normal(size=(3, 9))) for _ in range(2)])
    nu = np.array([3.5, np.inf])
    distances, log_densities = np.empty((5, 2)), np.empty((5, 2))
    fill_distances(x, means, np.linalg.cholesky(scatter), distances)
    fill_log_densities(distances, np.linalg.slogdet(scatter)[1], nu, 3, log_densities)
    expected = [
        multivariate_t(means[0], scatter[0], df=3.5).logpdf(x),
        multivariate_normal(means[1], scatter[1]).logpdf(x),
    ]
    np.testing.assert_allclose(log_densities, np.transpose(expected), rtol=1e-12)


@pytest.mark.parametrize("nu", [4.0, np.inf])
def test_fill_log_densities__missing_step_says_nothing(nu: float) -> None:
    x = np.array([[0.1, 0.2], [np.nan, 0.2], [0.1, np.nan]])
    distances, log_densities = np.empty((3, 1)), np.empty((3, 1))
    fill_distances(x, np.zeros((1, 2)), np.eye(2)[None], distances)
    fill_log_densities(distances, np.zeros(1), np.array([nu]), 2, log_densities)
    assert log_densities[1:, 0].tolist() == [0.0, 0.0]
    assert log_densities[0, 0] != 0.0
