"""Returns of a small market whose bursts are known: two regimes, two levels, three assets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.figures import Bursts, Figures

Floats = NDArray[np.float64]

CALM = np.array([[1.0, 0.5, 0.4], [0.5, 1.5, 0.6], [0.4, 0.6, 2.0]])
FIGURES = Figures(
    means=1e-3 * np.array([[0.5, -0.2, 0.0], [-1.0, 1.0, 2.0]]),
    scatter=1e-4 * np.array([CALM, 4.0 * (0.3 * np.diag(np.diag(CALM)) + 0.7 * CALM)]),
    nu=np.array([6.0, 8.0]),
    transitions=np.array([[0.95, 0.05], [0.1, 0.9]]),
    scales=np.array([0.7, 1.4]),
    level_transitions=np.array([[0.99, 0.01], [0.02, 0.98]]),
    initial=np.full((2, 2), 0.25),
    bursts=Bursts(
        law=np.array([0.02, 0.03]),
        moves=np.array([[-0.05, -0.06, -0.08], [0.0, 0.09, 0.0]]),
        spread=np.array([0.5, 0.5]),
    ),
)


def draw_returns(figures: Figures, steps: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Returns (T, A), and which burst each step had, (T,): 0 none."""
    rng = np.random.default_rng(seed)
    bursts, roots = figures.with_none(), np.linalg.cholesky(figures.scatter)
    level, regime = 0, 0
    returns, kind = np.empty((steps, figures.means.shape[1])), np.empty(steps, np.int64)
    for t in range(steps):
        level = rng.choice(len(figures.scales), p=figures.level_transitions[level])
        regime = rng.choice(len(figures.nu), p=figures.transitions[regime])
        kind[t] = rng.choice(len(bursts.law), p=bursts.law)
        w = np.sqrt(figures.nu[regime] / rng.chisquare(figures.nu[regime]))
        size = 1.0 + bursts.spread[kind[t]] * w * rng.standard_normal()
        noise = w * roots[regime] @ rng.standard_normal(returns.shape[1])
        returns[t] = figures.means[regime] + figures.scales[level] * (noise + size * bursts.moves[kind[t]])
    return returns, kind
