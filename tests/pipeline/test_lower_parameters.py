"""What parameter sets are made of: the law of a number of jumps, Cholesky factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import poisson

from pipeline.lower_parameters import lower_triangle, poisson_law


@pytest.mark.parametrize("mean", [0.0, 1e-12, 1e-3, 0.7, 5.0, 40.0])
def test_poisson_law__is_the_cumulative_law_to_the_last_digit_that_counts(mean: float) -> None:
    law = poisson_law(mean)
    n = np.arange(len(law) - 1)
    assert law[:-1] == pytest.approx(poisson.cdf(n, mean), rel=1e-12)
    assert law[-1] == 1.0
    assert poisson.sf(len(law) - 1, mean) <= 1e-15
    if len(law) > 1:
        assert poisson.sf(len(law) - 2, mean) > 1e-15


@pytest.mark.parametrize(
    "correlation",
    [
        np.eye(3),
        np.ones((3, 3)),
        np.array([[1, -1.0], [-1, 1]]),
        np.array([[1, 0, 0.6], [0, 1, 0.8], [0.6, 0.8, 1]]),  # the third follows from the first two
        np.array([[1, 1, 0.3], [1, 1, 0.3], [0.3, 0.3, 1]]),  # the second is the first again
    ],
)
def test_lower_triangle__of_a_singular_correlation(correlation: np.ndarray[Any, Any]) -> None:
    factor = lower_triangle(correlation)
    assert factor @ factor.T == pytest.approx(correlation, abs=1e-12)
    assert (np.triu(factor, 1) == 0).all()
    assert np.count_nonzero(np.diag(factor)) == np.linalg.matrix_rank(correlation)


def test_lower_triangle__is_choleskys_and_does_not_look_ahead() -> None:
    given = np.random.default_rng(1).standard_normal((7, 9))
    covariance = given @ given.T
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    factor = lower_triangle(correlation)
    assert factor == pytest.approx(np.linalg.cholesky(correlation), abs=1e-13)
    np.testing.assert_array_equal(factor[:4, :4], lower_triangle(correlation[:4, :4]))
