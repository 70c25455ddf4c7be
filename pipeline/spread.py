"""How far apart draws of a model's parameters are in what they make of a plan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.intervals import Bounds, over_draws

Floats = NDArray[np.float64]


class Spread:
    """Sums, over draws, of the share of paths that met each mark, and of its square.

    Both (mark, scenario, account, leverage, horizon): memory does not grow with the number of draws.
    """

    def __init__(self) -> None:
        self.draws = 0
        self.total: Floats = np.zeros(())
        self.squares: Floats = np.zeros(())

    def add(self, hits: NDArray[np.int64], paths: int) -> None:
        """Take in one more draw: first passages by horizon, not yet accumulated, on so many paths."""
        share = np.cumsum(hits, axis=-1) / paths
        self.draws += 1
        self.total = self.total + share
        self.squares = self.squares + share**2

    def interval(self, mark: int, level: float) -> Bounds:
        """The interval of `pipeline.intervals.over_draws` for one mark; NaN where all or none met it."""
        mean = self.total[mark] / self.draws
        variance = np.maximum(self.squares[mark] / self.draws - mean**2, 0.0) * self.draws / (self.draws - 1)
        return over_draws(mean, np.sqrt(variance), self.draws, level)
