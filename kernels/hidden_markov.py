"""Inference in a hidden Markov model with Gaussian or Student-t emissions: densities, filter, smoother, path.

Shapes: T steps, A assets, K regimes. Outputs are allocated by the caller and filled here.
A step with any NaN observation is a missing one: its density is 1 in every regime, and the chain moves on.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.jit import njit

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@njit
def fill_distances(observations: Floats, means: Floats, factors: Floats, distances: Floats) -> None:
    """Fill distances (T, K) with (x - m_k)' S_k^-1 (x - m_k); NaN where the step is missing.

    observations (T, A), means (K, A), factors (K, A, A): lower Cholesky factors of the S_k.
    """
    steps, assets = observations.shape
    regimes = means.shape[0]
    whitened = np.empty(assets)
    for t in range(steps):
        for k in range(regimes):
            total = 0.0
            for i in range(assets):
                value = observations[t, i] - means[k, i]
                for j in range(i):
                    value -= factors[k, i, j] * whitened[j]
                whitened[i] = value / factors[k, i, i]
                total += whitened[i] * whitened[i]
            distances[t, k] = total


@njit
def fill_log_densities(
    distances: Floats, log_determinants: Floats, nu: Floats, assets: int, log_densities: Floats
) -> None:
    """Fill log_densities (T, K) of the multivariate Student-t, or of the Gaussian where nu is infinite.

    distances (T, K) as above; log_determinants (K,): log det S_k; nu (K,): degrees of freedom.
    """
    steps, regimes = distances.shape
    for k in range(regimes):
        if math.isinf(nu[k]):
            constant = -0.5 * (assets * math.log(2.0 * math.pi) + log_determinants[k])
            for t in range(steps):
                log_densities[t, k] = constant - 0.5 * distances[t, k]
        else:
            power = 0.5 * (nu[k] + assets)
            constant = math.lgamma(power) - math.lgamma(0.5 * nu[k])
            constant -= 0.5 * (assets * math.log(math.pi * nu[k]) + log_determinants[k])
            for t in range(steps):
                log_densities[t, k] = constant - power * math.log1p(distances[t, k] / nu[k])
        for t in range(steps):
            if math.isnan(distances[t, k]):
                log_densities[t, k] = 0.0


@njit
def run_filter(
    log_densities: Floats, initial: Floats, transitions: Floats, predicted: Floats, filtered: Floats
) -> float:
    """Fill predicted and filtered (T, K); return the log-likelihood (Hamilton 1989).

    predicted[t] is P(regime at t | steps before t), filtered[t] also knows step t; initial (K,) is the law
    of the first step's regime, transitions (K, K) has rows that sum to 1.
    """
    steps, regimes = log_densities.shape
    log_likelihood = 0.0
    for t in range(steps):
        for k in range(regimes):
            if t == 0:
                predicted[t, k] = initial[k]
            else:
                total = 0.0
                for j in range(regimes):
                    total += filtered[t - 1, j] * transitions[j, k]
                predicted[t, k] = total
        # The largest density among the possible regimes is the unit, so that the sum never underflows.
        unit = -np.inf
        for k in range(regimes):
            if predicted[t, k] > 0.0 and log_densities[t, k] > unit:
                unit = log_densities[t, k]
        norm = 0.0
        for k in range(regimes):
            weight = 0.0
            if predicted[t, k] > 0.0:
                weight = predicted[t, k] * math.exp(log_densities[t, k] - unit)
            filtered[t, k] = weight
            norm += weight
        for k in range(regimes):
            filtered[t, k] /= norm
        log_likelihood += unit + math.log(norm)
    return log_likelihood


@njit
def run_smoother(
    predicted: Floats,
    filtered: Floats,
    transitions: Floats,
    weights: Floats,
    smoothed: Floats,
    moves: Floats,
) -> None:
    """Fill smoothed (T, K), P(regime at t | all steps), and moves (K, K), expected moves (Kim 1994).

    A move counts with the weight (T,) of the step that it leads to; smoothed is not weighted.
    """
    steps, regimes = filtered.shape
    ratio = np.empty(regimes)
    moves[:, :] = 0.0
    for k in range(regimes):
        smoothed[steps - 1, k] = filtered[steps - 1, k]
    for t in range(steps - 2, -1, -1):
        for k in range(regimes):
            ratio[k] = smoothed[t + 1, k] / predicted[t + 1, k] if predicted[t + 1, k] > 0.0 else 0.0
        for j in range(regimes):
            total = 0.0
            for k in range(regimes):
                move = filtered[t, j] * transitions[j, k] * ratio[k]
                moves[j, k] += weights[t + 1] * move
                total += move
            smoothed[t, j] = total


@njit
def find_path(log_densities: Floats, log_initial: Floats, log_transitions: Floats, path: Integers) -> None:
    """Fill path (T,) with the most likely sequence of regimes (Viterbi 1967); ties go to the lower regime."""
    steps, regimes = log_densities.shape
    best_before = np.zeros((steps, regimes), np.int64)
    score = log_initial + log_densities[0]
    following = np.empty(regimes)
    for t in range(1, steps):
        for k in range(regimes):
            best = 0
            for j in range(1, regimes):
                if score[j] + log_transitions[j, k] > score[best] + log_transitions[best, k]:
                    best = j
            best_before[t, k] = best
            following[k] = score[best] + log_transitions[best, k] + log_densities[t, k]
        score[:] = following
    path[steps - 1] = np.argmax(score)
    for t in range(steps - 1, 0, -1):
        path[t - 1] = best_before[t, path[t]]
