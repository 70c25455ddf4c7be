"""Where rounds of EM are heading: figures beyond those of a round, from the last few (Anderson 1965).

With x the figures before a round and g(x) those after it, the next are g less the combination of its last
differences that would leave nothing of g(x) - x, were g linear. Rounds with bursts close in by a tenth of the
way: bursts change places with heavy tails. Henderson and Varadhan (2019) for EM; whoever leaps looks whether
it was any good, and else goes back to what the round found. Degrees of freedom are fitted now and then, so
that their changes foretell nothing: they stay the last round's, and so do chains, which settle at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.figures import Bursts, Figures

Floats = NDArray[np.float64]

DEPTH = 6  # differences that are combined
LEAST = 3  # rounds before the first leap
RIDGE = 1e-6  # of the mean square of the differences of what rounds change: they are nearly alike
FURTHEST = 2.0  # of any number, in logs or standard deviations: beyond it nothing is linear


@dataclass
class Extrapolation:
    """The last rounds: what each started from and what it changed, of `_flatten`'s numbers."""

    before: list[Floats] = field(default_factory=list)
    change: list[Floats] = field(default_factory=list)

    def leap(self, before: Figures, after: Figures) -> Figures | None:
        """Figures beyond `after`, which a round made of `before`; None where too little is known, or they
        would be too far off."""
        start, end = _flatten(before), _flatten(after)
        if len(start) != len(end):  # a burst was given up
            self.forget()
            return None
        self.before, self.change = [*self.before[-DEPTH:], start], [*self.change[-DEPTH:], end - start]
        if len(self.before) < LEAST:
            return None
        slopes, steps = np.diff(self.change, axis=0), np.diff(self.before, axis=0)
        square = slopes @ slopes.T
        if not np.trace(square) > 0.0:
            return None
        square[np.diag_indices_from(square)] += RIDGE * np.trace(square) / len(square)
        back = np.linalg.solve(square, slopes @ self.change[-1]) @ (steps + slopes)
        return _shape(end - back, after) if np.abs(back).max() < FURTHEST else None

    def forget(self) -> None:
        """Begin anew: what was learned does not hold here."""
        self.before, self.change = [], []

    @property
    def last(self) -> float:
        """How much the last round changed, over all numbers."""
        return float(np.linalg.norm(self.change[-1])) if self.change else float("inf")


def _flatten(figures: Figures) -> Floats:
    """Means, scatter, scales and bursts as numbers without bounds: logs, log odds, standard deviations."""
    factors, bursts = np.linalg.cholesky(figures.scatter), figures.with_none()
    deviation = np.diagonal(factors, axis1=1, axis2=2)
    lower = np.tril_indices(factors.shape[1], -1)
    return np.concatenate(
        [
            (figures.means / deviation).ravel(),
            np.log(deviation).ravel(),
            (factors / deviation[:, :, None])[:, *lower].ravel(),
            np.log(figures.scales),
            np.log(bursts.law[1:] / bursts.law[0]),
            (bursts.moves / deviation.mean(axis=0))[bursts.moves != 0.0],
        ]
    )


def _shape(numbers: Floats, like: Figures) -> Figures:
    """The figures of which `_flatten` makes these numbers, all else as in `like`."""
    means, bursts = like.means, like.bursts
    regimes, assets = means.shape
    lower = np.tril_indices(assets, -1)
    moved = like.with_none().moves[1:] != 0.0
    sizes = [means.size, means.size, regimes * len(lower[0]), len(like.scales), len(moved)]
    parts = np.split(numbers, np.cumsum(sizes))
    deviation = np.exp(parts[1]).reshape(means.shape)
    factors = np.broadcast_to(np.eye(assets), (regimes, assets, assets)).copy()
    factors[:, *lower] = parts[2].reshape(regimes, -1)
    factors *= deviation[:, :, None]
    if bursts is not None:
        odds, moves = np.exp(parts[4]), np.zeros_like(bursts.moves)
        moves[moved] = parts[5]
        bursts = Bursts(odds / (1.0 + odds.sum()), moves * deviation.mean(axis=0), bursts.spread)
    return replace(
        like,
        means=parts[0].reshape(means.shape) * deviation,
        scatter=factors @ np.swapaxes(factors, -1, -2),
        scales=np.exp(parts[3]),
        bursts=bursts,
    )
