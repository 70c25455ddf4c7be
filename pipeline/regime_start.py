"""Where a climb starts: steps sorted by how wild the market was around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.figures import Figures
from pipeline.panel import Panel

Floats = NDArray[np.float64]

SPREAD = 0.7  # of the logarithms of levels, either way
QUIET = 0.6  # of the scatter: levels and tails take the rest of the energy


def draw_start(panel: Panel, levels: int, regimes: int, start: int, rng: np.random.Generator) -> Figures:
    """Figures to begin with: levels a fixed ratio apart, regimes by the energy around a step.

    The first start cuts the steps at equal shares of a day's energy; later ones at random shares and widths.
    """
    x = panel.returns[panel.observed]
    mean, deviation = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    energy = np.nanmean(((x - mean) / deviation) ** 2, axis=-1)
    width = 24 if start == 0 else int(rng.integers(1, 97))
    shares = np.full(regimes, 1.0 / regimes) if start == 0 else 0.05 + rng.dirichlet(np.ones(regimes))
    around = _smooth(energy, width)
    cuts = np.quantile(around, np.cumsum(shares / shares.sum())[:-1])
    regime_of_step = np.searchsorted(cuts, around)
    pooled = _covariance(x)
    means, scatter = [], []
    for k in range(regimes):
        group = x[regime_of_step == k]
        here = ~np.isnan(group)
        means.append(np.where(here, group, 0.0).sum(axis=0) / np.maximum(here.sum(axis=0), 1))
        # A little of the pooled covariance keeps small groups invertible.
        scatter.append(0.9 * _covariance(group) + 0.1 * pooled)
    return Figures(
        means=np.array(means),
        scatter=QUIET * np.array(scatter),
        nu=np.full(regimes, 6.0),
        transitions=_staying(regimes, 0.95),
        scales=np.exp(np.linspace(-SPREAD, SPREAD, levels)) if levels > 1 else np.ones(1),
        level_transitions=_staying(levels, 0.998),
        initial=np.full((levels, regimes), 1.0 / (levels * regimes)),
    )


def _smooth(energy: Floats, width: int) -> Floats:
    """The mean over `width` steps around each; shorter at the ends."""
    window = np.ones(min(width, len(energy)))
    counts = np.convolve(np.ones(len(energy)), window, mode="same")
    return np.asarray(np.convolve(energy, window, mode="same") / counts)


def _covariance(x: Floats) -> Floats:
    """Covariance (A, A) of rows with missing values: each variance from what there is, NaN as the mean.

    Positive semidefinite, since the correlation is that of a matrix without NaN.
    """
    here = ~np.isnan(x)
    counts = np.maximum(here.sum(axis=0), 1)
    mean = np.where(here, x, 0.0).sum(axis=0) / counts
    centred = np.where(here, x - mean, 0.0)
    filled = (centred.T @ centred) / len(x)
    stretch = np.sqrt(len(x) / counts)
    return np.asarray(filled * np.outer(stretch, stretch))


def _staying(states: int, stay: float) -> Floats:
    """Transitions (states, states) that stay with a probability and else go anywhere."""
    if states == 1:
        return np.ones((1, 1))
    transitions = np.full((states, states), (1.0 - stay) / (states - 1))
    np.fill_diagonal(transitions, stay)
    return transitions
