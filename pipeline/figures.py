"""The figures of a switching Student-t whose volatility has levels, and which bursts may come to.

Shapes: T steps, A assets, M levels, K regimes, J bursts. The state of a step is a level and a regime, which
are two Markov chains independent of each other; states are numbered level by level, m K + k. In level m and
regime k the returns of a step are mean_k + scale_m (w L z + d (1 + spread w n)), L L' = scatter_k, w^2 =
nu_k / chi2, with d the move of the step's burst, if there is one, and z and n standard normal. Given the
burst that is a Student-t of nu_k degrees of freedom again, about mean_k + scale_m d.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bursts:
    """law (J,): P(a step has it), at most one to a step; moves (J, A) at scale 1; spread (J,) of the size."""

    law: Floats
    moves: Floats
    spread: Floats

    def only(self, which: NDArray[np.bool_]) -> Bursts | None:
        """Those of which (J,) is true; None if there are none."""
        if not which.any():
            return None
        return Bursts(self.law[which], self.moves[which], self.spread[which])


@dataclass(frozen=True)
class Figures:
    """What one round of EM changes.

    means (K, A), scatter (K, A, A), nu (K,) and transitions (K, K) of regimes; scales (M,) and
    level_transitions (M, M) of levels; initial (M, K), the law of the first step's state; bursts, None where
    the model knows of none.
    """

    means: Floats
    scatter: Floats
    nu: Floats
    transitions: Floats
    scales: Floats
    level_transitions: Floats
    initial: Floats
    bursts: Bursts | None = None

    def chain(self) -> Floats:
        """Transitions of the states, level by level, (M K, M K)."""
        return np.asarray(np.kron(self.level_transitions, self.transitions), np.float64)

    def covariances(self) -> Floats:
        """Covariance of one step's returns by regime at scale 1, bursts apart, (K, A, A)."""
        return np.asarray(self.scatter * (self.nu / (self.nu - 2.0))[:, None, None])

    def with_none(self) -> Bursts:
        """The bursts, and first of them none: J + 1, one of which every step has."""
        if self.bursts is None:
            return Bursts(np.ones(1), np.zeros((1, self.means.shape[1])), np.zeros(1))
        law, moves = self.bursts.law, self.bursts.moves
        still = np.zeros((1, moves.shape[1]))
        return Bursts(np.r_[1.0 - law.sum(), law], np.vstack([still, moves]), np.r_[0.0, self.bursts.spread])

    def in_units(self, unit: float) -> Figures:
        """The same law, its scales stated in another unit."""
        scaled = replace(self, scales=self.scales / unit, scatter=self.scatter * unit**2)
        if self.bursts is None:
            return scaled
        return replace(scaled, bursts=replace(self.bursts, moves=self.bursts.moves * unit))


@dataclass(frozen=True)
class Shortest:
    """Mean durations in steps that no regime and no level falls short of; 1 leaves the likelihood alone."""

    regime: float = 1.0
    level: float = 1.0


FREE = Shortest()
