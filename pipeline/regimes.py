"""Inference in a hidden Markov model of returns: which regime, how likely, how likely the data.

Shapes: T steps, A assets, K regimes. A step counts with the assets that it has: NaN is left out. One without
any has density 1 in every regime, and the chain moves across it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.hidden_markov import find_path, run_filter, run_smoother
from pipeline.panel import log_densities, read_panel

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def filter_regimes(
    observations: Floats,
    initial: Floats,
    transitions: Floats,
    means: Floats,
    covariances: Floats,
    nu: Floats | None = None,
) -> tuple[float, Floats]:
    """Return the log-likelihood and P(regime at t | observations up to t), (T, K).

    observations (T, A), NaN where there is none; initial (K,), transitions (K, K),
    means (K, A), covariances (K, A, A) per step; nu (K,) degrees of freedom of a multivariate Student-t with
    those covariances, None for Gaussian.
    """
    log_densities = log_density(observations, means, *_scatter(covariances, nu))
    log_likelihood, _, filtered = filter_densities(log_densities, initial, transitions)
    return log_likelihood, filtered


def smooth_regimes(
    observations: Floats,
    initial: Floats,
    transitions: Floats,
    means: Floats,
    covariances: Floats,
    nu: Floats | None = None,
) -> tuple[float, Floats]:
    """Return the log-likelihood and P(regime at t | all observations), (T, K). Arguments: filter_regimes."""
    log_densities = log_density(observations, means, *_scatter(covariances, nu))
    log_likelihood, predicted, filtered = filter_densities(log_densities, initial, transitions)
    return log_likelihood, smooth_densities(predicted, filtered, transitions)[0]


def most_likely_path(
    observations: Floats,
    initial: Floats,
    transitions: Floats,
    means: Floats,
    covariances: Floats,
    nu: Floats | None = None,
) -> Integers:
    """Return the most likely sequence of regimes as numbers from 0, (T,). Arguments: filter_regimes."""
    log_densities = log_density(observations, means, *_scatter(covariances, nu))
    path = np.empty(len(log_densities), np.int64)
    with np.errstate(divide="ignore"):  # log 0 is minus infinity: an impossible move
        find_path(log_densities, _contiguous(np.log(initial)), _contiguous(np.log(transitions)), path)
    return path


def _scatter(covariances: Floats, nu: Floats | None) -> tuple[Floats, Floats]:
    """Return scatter (K, A, A) and nu (K,) with these covariances; infinite nu for Gaussian."""
    if nu is None:
        return np.asarray(covariances, float), np.full(len(covariances), np.inf)
    degrees = np.asarray(nu, float)
    return np.asarray(covariances, float) * ((degrees - 2.0) / degrees)[:, None, None], degrees


def log_density(observations: Floats, means: Floats, scatter: Floats, nu: Floats) -> Floats:
    """Return log densities (T, K) of what each step has; scatter (K, A, A), nu (K,) infinite for Gaussian."""
    return log_densities(read_panel(observations), means, scatter, nu, np.ones(1))[0][:, 0]


def filter_densities(
    log_densities: Floats, initial: Floats, transitions: Floats
) -> tuple[float, Floats, Floats]:
    """Return the log-likelihood, predicted and filtered (T, K)."""
    predicted, filtered = np.empty_like(log_densities), np.empty_like(log_densities)
    law = _contiguous(initial), _contiguous(transitions)
    return run_filter(log_densities, *law, predicted, filtered), predicted, filtered


def smooth_densities(
    predicted: Floats, filtered: Floats, transitions: Floats, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return smoothed (T, K) and the expected moves (K, K), those into step t counted weights[t] times."""
    regimes = filtered.shape[1]
    weights = np.ones(len(filtered)) if weights is None else weights
    smoothed, moves = np.empty_like(filtered), np.empty((regimes, regimes))
    run_smoother(predicted, filtered, _contiguous(transitions), weights, smoothed, moves)
    return smoothed, moves


def _contiguous(array: ArrayLike) -> Floats:
    return np.ascontiguousarray(array, dtype=np.float64)
