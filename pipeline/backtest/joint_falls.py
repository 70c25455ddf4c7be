"""Do assets fall together as much in simulation as in history? Returns of a model, and their dependence."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.laws import figures_of
from pipeline.chain import stationary_law
from pipeline.model import MarketModel

Floats = NDArray[np.float64]

_CHUNK = 4096  # periods drawn side by side


def simulate_returns(model: MarketModel, periods: int, steps: int, seed: int) -> Floats:
    """Log returns over `periods` stretches of `steps` model steps, (periods, A), from the stationary law.

    Plain numpy: what the kernels draw, without prices, margin or common random numbers. Jumps are not drawn.
    """
    figures = figures_of(model)
    factors, nu, scales = np.linalg.cholesky(figures.scatter), figures.nu, figures.scales
    chains, bursts = [figures.level_transitions, figures.transitions], figures.with_none()
    rng = np.random.default_rng(seed)
    total = np.zeros((periods, len(model.assets)))
    for first in range(0, periods, _CHUNK):
        part = total[first : first + _CHUNK]
        level, regime = (_draw_states(stationary_law(chain)[None], len(part), rng) for chain in chains)
        for _ in range(steps):
            kind = rng.choice(len(bursts.law), len(part), p=bursts.law)
            for k in np.unique(regime):
                here = np.flatnonzero(regime == k)
                w = np.ones(len(here))
                if np.isfinite(nu[k]):
                    w = np.sqrt(nu[k] / rng.chisquare(nu[k], len(here)))
                noise = rng.standard_normal((len(here), part.shape[1])) @ factors[k].T
                size = 1.0 + bursts.spread[kind[here]] * w * rng.standard_normal(len(here))
                move = w[:, None] * noise + size[:, None] * bursts.moves[kind[here]]
                part[here] += figures.means[k] + scales[level[here], None] * move
            level = _draw_states(chains[0][level], len(part), rng)
            regime = _draw_states(chains[1][regime], len(part), rng)
    return total


def _draw_states(laws: Floats, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """One state from each law, (count,); laws (count, states), or one for all."""
    drawn = (rng.random((count, 1)) > np.cumsum(laws, axis=1)).sum(axis=1)
    return np.asarray(np.minimum(drawn, laws.shape[1] - 1), np.int64)


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
