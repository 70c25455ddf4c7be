"""Statistics of a regime chain: stationary law, durations, occupation, moments of returns over several steps.

Everywhere `transition` is (regime, regime), probabilities per step with rows that sum to 1, and `initial`
(regime,) is the law of s_1, the regime in force over the first step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]


def stationary_law(transition: ArrayLike) -> Vector:
    """The law (regime,) that a step leaves as it is; ValueError where there is more than one."""
    p = _transition(transition)
    size = len(p)
    # pi (P - 1) = 0 and sum(pi) = 1
    system = np.vstack([p.T - np.eye(size), np.ones(size)])
    if np.linalg.matrix_rank(system) < size:
        raise ValueError(
            "the chain has several closed classes of regimes, so its stationary law is not unique"
        )
    law = np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0].clip(0.0)
    return np.asarray(law / law.sum())


def mean_durations(transition: ArrayLike) -> Vector:
    """Mean number of steps per visit to each regime, 1 / (1 - p_kk); infinite where it is never left."""
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / (1.0 - np.diag(_transition(transition))))


def second_eigenvalue(transition: ArrayLike) -> float:
    """Eigenvalue of second-largest modulus (if complex, the modulus): how slowly a start is forgotten."""
    p = _transition(transition)
    if len(p) == 1:
        return 0.0
    values = np.linalg.eigvals(p)
    # 1 is always an eigenvalue: leave out the one nearest to it, then take the largest of the rest
    rest = np.delete(values, np.abs(values - 1).argmin())
    second = complex(rest[np.abs(rest).argmax()])
    return second.real if abs(second.imag) <= 1e-12 else abs(second)


def occupation_law(transition: ArrayLike, initial: ArrayLike, regime: int, steps: int) -> Vector:
    """P(exactly n of the first `steps` steps are in `regime`), for n = 0 .. steps; shape (steps + 1,)."""
    p = _transition(transition)
    # law[k, n]: the regime of the current step is k, and n steps so far were in `regime`
    law = np.zeros((len(p), steps + 2))
    law[:, 0] = _law(initial, len(p))
    for step in range(steps):
        if step:
            law = p.T @ law
        law[regime, 1:] = law[regime, :-1].copy()
        law[regime, 0] = 0.0
    return np.asarray(law.sum(axis=0)[: steps + 1])


def return_moments(
    transition: ArrayLike, initial: ArrayLike, mean: ArrayLike, covariance: ArrayLike, steps: int = 1
) -> tuple[Vector, Vector]:
    """Mean (asset,) and covariance (asset, asset) of the sum of `steps` one-step returns.

    `mean` (regime, asset) and `covariance` (regime, asset, asset) are those of one step in each regime. Given
    the regimes the steps are independent, so that Cov = sum_t E[cov(s_t)] + sum_{t,u} Cov(mean(s_t),
    mean(s_u)).
    """
    p = _transition(transition)
    mu, sigma = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    if steps < 1 or mu.shape[0] != len(p) or sigma.shape != (*mu.shape, mu.shape[1]):
        raise ValueError(
            f"means of shape {mu.shape} and covariances of shape {sigma.shape} don't fit the chain"
        )
    law = _law(initial, len(p))
    total_mean = np.zeros(mu.shape[1])
    within, second = np.zeros(sigma.shape[1:]), np.zeros(sigma.shape[1:])
    # carried[k]: E[sum of the means of earlier steps; s_t = k]
    carried = np.zeros_like(mu)
    for step in range(steps):
        if step:
            law, carried = p.T @ law, p.T @ carried
        total_mean += law @ mu
        within += np.einsum("k,kij->ij", law, sigma)
        cross = carried.T @ mu
        second += np.einsum("k,ki,kj->ij", law, mu, mu) + cross + cross.T
        carried += law[:, None] * mu
    return total_mean, within + second - np.outer(total_mean, total_mean)


def _transition(transition: ArrayLike) -> Vector:
    p = np.asarray(transition, np.float64)
    if p.ndim != 2 or p.shape[0] != p.shape[1] or np.any(p < 0) or not np.allclose(p.sum(axis=1), 1.0):
        raise ValueError("a transition matrix is square, without negative elements, and its rows sum to 1")
    return p


def _law(initial: ArrayLike, size: int) -> Vector:
    law = np.asarray(initial, np.float64)
    if law.shape != (size,) or np.any(law < 0) or not np.isclose(law.sum(), 1.0):
        raise ValueError(f"a law of {size} regimes has {size} probabilities that sum to 1")
    return law
