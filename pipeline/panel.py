"""Returns of which some are missing: rows grouped by which assets they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.hidden_markov import fill_distances, fill_log_densities

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Pattern:
    """Rows that have the same assets: their numbers, the assets there and missing, returns (rows, there)."""

    rows: Integers
    there: Integers
    missing: Integers
    returns: Floats


@dataclass(frozen=True)
class Panel:
    """Returns (T, A) with NaN where there is none, and their patterns; rows without any asset are in none."""

    returns: Floats
    patterns: tuple[Pattern, ...]

    @property
    def observed(self) -> Integers:
        """Rows with at least one asset, in order."""
        return np.flatnonzero(~np.isnan(self.returns).all(axis=-1)).astype(np.int64)

    def counts(self) -> Integers:
        """Assets that each row has, (T,)."""
        return np.asarray((~np.isnan(self.returns)).sum(axis=-1), np.int64)


def read_panel(returns: Floats) -> Panel:
    """Group the rows of returns (T, A) by which assets are there."""
    there = ~np.isnan(returns)
    kinds, kind_of_row = np.unique(there, axis=0, return_inverse=True)
    patterns = []
    for number, kind in enumerate(kinds):
        if kind.any():
            rows = np.flatnonzero(kind_of_row.ravel() == number)
            found, lost = np.flatnonzero(kind), np.flatnonzero(~kind)
            patterns.append(Pattern(rows, found, lost, np.ascontiguousarray(returns[np.ix_(rows, found)])))
    return Panel(np.asarray(returns, np.float64), tuple(patterns))


def squared_distances(panel: Panel, means: Floats, scatter: Floats) -> tuple[Floats, Floats]:
    """Squared Mahalanobis distances, and log determinants of the scatter, of what each row has: (T, K) both.

    means (K, A), scatter (K, A, A). What is missing is left out: a marginal of a multivariate
    Student-t is one of the same degrees of freedom, with that part of the scatter.
    """
    size = len(panel.returns), len(means)
    distances, log_determinants = np.zeros(size), np.zeros(size)
    for pattern in panel.patterns:
        part = scatter[:, pattern.there[:, None], pattern.there]
        factors = np.ascontiguousarray(np.linalg.cholesky(part))
        found = np.empty((len(pattern.rows), len(means)))
        fill_distances(pattern.returns, np.ascontiguousarray(means[:, pattern.there]), factors, found)
        distances[pattern.rows] = found
        log_determinants[pattern.rows] = 2.0 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=-1)
    return distances, log_determinants


def log_densities(
    panel: Panel, means: Floats, scatter: Floats, nu: Floats, scales: Floats
) -> tuple[Floats, Floats]:
    """Log density of each step's returns in level m and regime k, (T, M, K), and distances (T, K).

    Student-t with mean_k, scale_m^2 scatter_k and nu_k degrees of freedom, Gaussian where nu is infinite; 0
    where a step has no returns.
    """
    distances, log_determinants = squared_distances(panel, means, scatter)
    densities = np.zeros((len(distances), len(scales), len(means)))
    for pattern in panel.patterns:
        assets, rows = len(pattern.there), pattern.rows
        for m, scale in enumerate(scales):
            volumes = log_determinants[rows[0]] + 2.0 * assets * np.log(scale)
            found = np.empty((len(rows), len(means)))
            fill_log_densities(distances[rows] / scale**2, volumes, np.ascontiguousarray(nu), assets, found)
            densities[rows, m] = found
    return densities, distances
