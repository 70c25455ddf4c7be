"""Do assets fall together as much in simulation as in history? Returns of a model, and their dependence."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.laws import model_figures
from pipeline.model import MarketModel

Floats = NDArray[np.float64]

_CHUNK = 4096  # periods drawn side by side


def simulate_returns(model: MarketModel, periods: int, steps: int, seed: int) -> Floats:
    """Log returns over `periods` stretches of `steps` model steps, (periods, A), from the stationary law.

    Plain numpy: what the kernels draw, without prices, margin or common random numbers. Jumps are not drawn.
    """
    means, covariances, nu = model_figures(model)
    factors = np.linalg.cholesky(covariances)
    transitions, law = np.cumsum(model.transition_matrix(), axis=1), np.cumsum(model.stationary_law())
    rng = np.random.default_rng(seed)
    total = np.zeros((periods, len(model.assets)))
    for first in range(0, periods, _CHUNK):
        part = total[first : first + _CHUNK]
        regime = np.minimum(np.searchsorted(law, rng.random(len(part))), len(nu) - 1)
        for _ in range(steps):
            for k in np.unique(regime):
                here = np.flatnonzero(regime == k)
                w = np.ones(len(here))
                if np.isfinite(nu[k]):
                    w = np.sqrt((nu[k] - 2.0) / rng.chisquare(nu[k], len(here)))
                noise = rng.standard_normal((len(here), part.shape[1])) @ factors[k].T
                part[here] += means[k] + w[:, None] * noise
            moved = (rng.random(len(part))[:, None] > transitions[regime]).sum(axis=1)
            regime = np.minimum(moved, len(nu) - 1)
    return total


def mean_tail_dependence(returns: Floats, level: float) -> float:
    """Mean over pairs of the lower-tail dependence chi(level), as `pipeline.tails` has it, of (rows, A)."""
    # ranks once for all pairs: tail_dependence would sort every asset for each of its pairs
    trials = int(np.floor(level * len(returns) + 1e-9))
    worst = np.argsort(np.argsort(returns, axis=0, kind="stable"), axis=0) < trials
    pairs = combinations(range(returns.shape[1]), 2)
    return float(np.mean([(worst[:, i] & worst[:, j]).sum() / trials for i, j in pairs]))


def resampled_dependence(
    returns: Floats, level: float, block: int, draws: int, seed: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Ends of the interval of `mean_tail_dependence`, by circular moving blocks of rows (Kuensch 1989)."""
    rng = np.random.default_rng(seed)
    size = len(returns)
    blocks = -(-size // block)
    figures = []
    for _ in range(draws):
        begins = rng.integers(0, size, blocks)
        rows = ((begins[:, None] + np.arange(block)) % size).ravel()[:size]
        figures.append(mean_tail_dependence(returns[rows], level))
    low, high = np.quantile(figures, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
