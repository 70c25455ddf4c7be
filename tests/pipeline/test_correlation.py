"""Correlation matrices: against an outside library, closed forms, and their own laws."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import expm, logm
from statsmodels.stats.correlation_tools import corr_nearest
from statsmodels.tools.sm_exceptions import IterationLimitWarning

from pipeline.correlation import (
    blend_correlation,
    correlation_from_log,
    equicorrelation,
    log_correlation,
    nearest_correlation,
    pairs_to_blame,
    smallest_eigenvalue,
)

Matrix = NDArray[np.float64]


@st.composite
def symmetric(draw: st.DrawFn) -> Matrix:
    """Ones on the diagonal, anything in [-1, 1] beside it: mostly not positive semidefinite."""
    size = draw(st.integers(2, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    m = rng.uniform(-1, 1, (size, size)).round(2)
    m = np.triu(m, 1)
    return m + m.T + np.eye(size)


@st.composite
def valid(draw: st.DrawFn) -> Matrix:
    """Positive definite."""
    size = draw(st.integers(2, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    loadings = rng.normal(size=(size, size + 2))
    covariance = loadings @ loadings.T
    scale = np.sqrt(np.diag(covariance))
    matrix: Matrix = covariance / np.outer(scale, scale)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def is_correlation(m: Matrix) -> bool:
    return bool(np.all(np.diag(m) == 1) and np.array_equal(m, m.T) and smallest_eigenvalue(m) > -1e-12)


def test_nearest_correlation__the_published_example() -> None:
    """Higham (2002): the tridiagonal matrix of ones, to the digits printed there."""
    nearest, distance = nearest_correlation([[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    printed = [[1.0, 0.7607, 0.1573], [0.7607, 1.0, 0.7607], [0.1573, 0.7607, 1.0]]
    assert nearest == pytest.approx(np.array(printed), abs=5e-5)
    assert distance == pytest.approx(0.5278, abs=5e-5)


@given(symmetric())
@settings(deadline=None)
def test_nearest_correlation__agrees_with_statsmodels(matrix: Matrix) -> None:
    nearest, distance = nearest_correlation(matrix)
    assert is_correlation(nearest)
    with warnings.catch_warnings():
        # it never tests its own convergence, so it may run into its limit long after it has converged
        warnings.simplefilter("ignore", IterationLimitWarning)
        reference = corr_nearest(matrix, threshold=0.0, n_fact=300)
    assert nearest == pytest.approx(reference, abs=1e-7)
    assert distance == pytest.approx(np.linalg.norm(nearest - matrix), abs=1e-12)


@given(symmetric(), valid())
@settings(deadline=None)
def test_nearest_correlation__nothing_else_is_nearer(matrix: Matrix, other: Matrix) -> None:
    if other.shape != matrix.shape:
        other = np.eye(len(matrix))
    nearest, distance = nearest_correlation(matrix)
    assert distance <= np.linalg.norm(other - matrix) + 1e-9
    # the set is convex: the obtuse-angle condition characterises the projection
    assert np.sum((matrix - nearest) * (other - nearest)) <= 1e-7


@given(valid())
@settings(deadline=None)
def test_nearest_correlation__leaves_a_valid_matrix(matrix: Matrix) -> None:
    nearest, distance = nearest_correlation(matrix)
    assert nearest == pytest.approx(matrix, abs=1e-12)
    assert distance < 1e-11


def test_nearest_correlation__too_few_rounds() -> None:
    with pytest.raises(RuntimeError, match="within 2 rounds"):
        nearest_correlation([[1, 1, 0], [1, 1, 1], [0, 1, 1]], max_rounds=2)


def test_pairs_to_blame__names_the_pair_that_was_broken() -> None:
    matrix = np.array(equicorrelation(5, 0.9))
    matrix[1, 3] = matrix[3, 1] = -0.9
    assert pairs_to_blame(matrix)[0] == (1, 3)
    assert pairs_to_blame(matrix, count=1) == ((1, 3),)


@given(symmetric())
def test_pairs_to_blame__none_where_valid(matrix: Matrix) -> None:
    assert (pairs_to_blame(matrix) == ()) == (smallest_eigenvalue(matrix) >= -1e-10)


@pytest.mark.parametrize("matrix", [np.ones((60, 60)), [[1, -1], [-1, 1]]])
def test_smallest_eigenvalue__singular_is_not_negative(matrix: Matrix) -> None:
    assert smallest_eigenvalue(matrix) == pytest.approx(0, abs=1e-12)
    assert pairs_to_blame(matrix) == ()


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 0.5]], "square"),
        ([[1, float("nan")], [0, 1]], "finite"),
        ([[1, 0.5], [0.4, 1]], r"elements \(0, 1\) and \(1, 0\) differ"),
    ],
)
def test_smallest_eigenvalue__refuses_what_is_not_symmetric(matrix: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        smallest_eigenvalue(matrix)


@given(st.integers(2, 30), st.floats(0, 1))
def test_equicorrelation__eigenvalues_in_closed_form(size: int, share: float) -> None:
    rho = -1 / (size - 1) + share * (1 + 1 / (size - 1))
    matrix = equicorrelation(size, min(rho, 1.0))
    expected = sorted([1 - rho] * (size - 1) + [1 + (size - 1) * rho])
    assert np.linalg.eigvalsh(matrix) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("size", "rho"), [(3, -0.51), (3, 1.01), (0, 0.5), (2, float("nan"))])
def test_equicorrelation__refuses_what_is_no_correlation(size: int, rho: float) -> None:
    with pytest.raises(ValueError, match="equicorrelation"):
        equicorrelation(size, rho)


@given(valid(), st.floats(0, 1))
def test_blend_correlation__stays_valid(matrix: Matrix, weight: float) -> None:
    blend = blend_correlation(matrix, np.ones_like(matrix), weight)
    assert is_correlation(blend)
    assert blend[0, 1] == pytest.approx(matrix[0, 1] + weight * (1 - matrix[0, 1]), abs=1e-15)


def test_blend_correlation__refuses_an_invalid_blend() -> None:
    target = equicorrelation(3, 0.9) * [[1, 1, -1], [1, 1, 1], [-1, 1, 1]]
    assert blend_correlation(np.eye(3), target, 0.5)[0, 2] == -0.45
    with pytest.raises(ValueError, match=r"smallest eigenvalue -0\.71"):
        blend_correlation(np.eye(3), target, 0.95)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_blend_correlation__refuses_weights_outside(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        blend_correlation(np.eye(2), np.ones((2, 2)), weight)


def test_blend_correlation__refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="shape"):
        blend_correlation(np.eye(2), np.eye(3), 0.5)


@given(valid())
@settings(deadline=None)
def test_log_correlation__is_the_matrix_logarithm(matrix: Matrix) -> None:
    expected = logm(matrix)[np.triu_indices(len(matrix), 1)]
    assert log_correlation(matrix) == pytest.approx(expected, abs=1e-9)


def test_log_correlation__refuses_a_singular_matrix() -> None:
    with pytest.raises(ValueError, match="singular"):
        log_correlation(-np.ones((2, 2)) + 2 * np.eye(2))


@given(valid())
@settings(deadline=None)
def test_correlation_from_log__inverts(matrix: Matrix) -> None:
    assert correlation_from_log(log_correlation(matrix)) == pytest.approx(matrix, abs=1e-10)


@given(st.integers(2, 7), st.integers(0, 2**32), st.floats(0.01, 3))
@settings(deadline=None)
def test_correlation_from_log__any_numbers_give_a_correlation(size: int, seed: int, spread: float) -> None:
    gamma = np.random.default_rng(seed).normal(0, spread, size * (size - 1) // 2)
    matrix = correlation_from_log(gamma)
    assert is_correlation(matrix)
    assert size > 2 or matrix[0, 1] == pytest.approx(np.tanh(gamma[0]), abs=1e-12)


def test_correlation_from_log__its_logarithm_has_gamma_off_the_diagonal() -> None:
    gamma = [0.3, -0.8, 0.1, 0.5, 0.2, -0.4]
    matrix = correlation_from_log(gamma)
    logarithm = logm(matrix)
    assert logarithm[np.triu_indices(4, 1)] == pytest.approx(gamma, abs=1e-12)
    assert expm(logarithm) == pytest.approx(matrix, abs=1e-12)


@pytest.mark.parametrize("count", [2, 4, 5])
def test_correlation_from_log__refuses_a_wrong_length(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} numbers"):
        correlation_from_log(np.zeros(count))


def test_correlation_from_log__too_few_rounds() -> None:
    with pytest.raises(RuntimeError, match="within 1 rounds"):
        correlation_from_log([0.5, 0.5, 0.5], max_rounds=1)
