"""How likely returns are where a step may have a burst, and which one it had.

Shapes as in `pipeline.figures`; J + 1 counts no burst as the first. What belongs to a burst that did not
come is zero, so that no formula knows it from the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from kernels.burst_inference import Law, fill_kinds
from pipeline.figures import Figures
from pipeline.panel import Panel, Pattern

Floats = NDArray[np.float64]


class Projections(NamedTuple):
    """Rows less the regime's mean, (n, a); their squared distance from it, (n,), and their product with each
    move, (n, J + 1), in units of its scatter."""

    centred: Floats
    near: Floats
    along: Floats


class Part(NamedTuple):
    """Rows that have the same assets; of those means (K, a), inverse (K, a, a) of the scatter, and moves
    (J + 1, a); and by regime what the kernels ask for."""

    pattern: Pattern
    means: Floats
    inverse: Floats
    moves: Floats
    laws: tuple[Law, ...]

    def project(self, k: int) -> Projections:
        """What regime k makes of the rows' returns."""
        centred = self.pattern.returns - self.means[k]
        solved = centred @ self.inverse[k]
        return Projections(centred, np.sum(solved * centred, axis=-1), solved @ self.moves.T)


def cut_parts(panel: Panel, figures: Figures) -> Iterator[Part]:
    """The panel's patterns, each with the figures of the assets that it has."""
    bursts = figures.with_none()
    with np.errstate(divide="ignore"):
        log_law = np.log(bursts.law)
    for pattern in panel.patterns:
        assets = len(pattern.there)
        scatter = figures.scatter[:, pattern.there[:, None], pattern.there]
        inverse = np.asarray(np.linalg.inv(scatter), np.float64)
        moves = np.ascontiguousarray(bursts.moves[:, pattern.there])
        size = np.einsum("ja,kab,jb->kj", moves, inverse, moves)
        widened = np.log1p(bursts.spread**2 * size)
        volume = np.linalg.slogdet(scatter)[1][:, None] + 2.0 * assets * np.log(figures.scales)
        constant = log_law - 0.5 * (volume[:, :, None] + widened[:, None])
        give = bursts.spread**2 / (1.0 + bursts.spread**2 * size)
        laws = tuple(
            Law(figures.scales, size[k], give[k], constant[k] + _log_peak(nu, assets), float(nu), assets)
            for k, nu in enumerate(figures.nu)
        )
        yield Part(pattern, figures.means[:, pattern.there], inverse, moves, laws)


def burst_densities(panel: Panel, figures: Figures) -> Floats:
    """Log density of each step's returns in every state, (T, M, K); 0 where there are none."""
    return _densities(panel, figures, np.zeros((len(figures.nu), 0, len(figures.scales), 0)))


def burst_shares(panel: Panel, figures: Figures) -> Floats:
    """P(burst | state, returns), (K, T, M, J + 1), no burst first.

    A step without returns has them as often as any.
    """
    law = figures.with_none().law
    shares = np.empty((len(figures.nu), len(panel.returns), len(figures.scales), len(law)))
    shares[:] = law
    _densities(panel, figures, shares)
    return shares


def expect_bursts(panel: Panel, figures: Figures, smoothed: Floats) -> Floats:
    """(T, K, A): what bursts are expected to have added to returns, given them and the regime.

    smoothed (T, M, K): how likely a step's states are. 0 where a step has no returns.
    """
    by_level = smoothed / np.maximum(smoothed.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    moves, scales = figures.with_none().moves, figures.scales
    found = np.zeros((len(panel.returns), *figures.means.shape))
    if figures.bursts is None:
        return found
    shares = burst_shares(panel, figures)
    for part in cut_parts(panel, figures):
        rows = part.pattern.rows
        for k, law in enumerate(part.laws):
            along = part.project(k).along[:, None] / scales[:, None]
            sizes = scales[:, None] * (1.0 + law.give * (along - law.size))
            found[rows, k] = np.einsum("tm,tmj,tmj->tj", by_level[rows, :, k], shares[k, rows], sizes) @ moves
    return found


def _densities(panel: Panel, figures: Figures, shares: Floats) -> Floats:
    """Log densities (T, M, K); shares (K, T, M, J + 1) are filled, if there are any rows."""
    levels = len(figures.scales)
    densities = np.zeros((len(panel.returns), levels, len(figures.nu)))
    for part in cut_parts(panel, figures):
        rows = part.pattern.rows
        for k, law in enumerate(part.laws):
            _, near, along = part.project(k)
            found = np.empty((len(rows), levels))
            share = np.empty((len(rows) if shares.shape[1] else 0, levels, len(law.size)))
            fill_kinds(near, along, law, found, share)
            densities[rows, :, k] = found
            if shares.shape[1]:
                shares[k, rows] = share
    return densities


def _log_peak(nu: float, assets: int) -> float:
    """Log density of a Student-t of scatter 1 at its centre, Gaussian where nu is infinite."""
    if np.isinf(nu):
        return -0.5 * assets * float(np.log(2.0 * np.pi))
    peak = gammaln(0.5 * (nu + assets)) - gammaln(0.5 * nu) - 0.5 * assets * np.log(nu * np.pi)
    return float(peak)
