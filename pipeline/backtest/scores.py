"""Scores of probability forecasts: Brier with its parts, logarithmic, reliability; and differences in blocks.

Forecasts p and outcomes y (0 or 1) are of one shape; NaN in either leaves the pair out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)  # of the bins of reliability
CLIP = 1e-4  # a forecast further out counts as this one in the logarithmic score, whoever made it


class Bin(NamedTuple):
    """Forecasts of about one size: how many, their mean, and the share that came true."""

    low: float
    high: float
    n: int
    forecast: float
    realised: float


class Brier(NamedTuple):
    """The Brier score and its parts: score = reliability - resolution + uncertainty + within.

    Smaller reliability and larger resolution are better. `within` is what remains because forecasts in a bin
    differ: Murphy's three parts are exact for equal ones. Source: A. Murphy, J. Appl. Meteorol. 12 (1973)
    595; for `within`, D. Stephenson, C. Coelho and I. Jolliffe, Weather Forecast. 23 (2008) 752.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def log_scores(p: Floats, y: Floats, clip: float = CLIP) -> Floats:
    """Log of the probability given to what happened, elementwise; 0 is best. Forecasts are clipped."""
    kept = np.clip(p, clip, 1.0 - clip)
    return np.asarray(np.where(y > 0.5, np.log(kept), np.log1p(-kept)) + 0.0 * y)


def reliability_table(p: Floats, y: Floats, edges: tuple[float, ...] = EDGES) -> list[Bin]:
    """Forecasts in bins [low, high), the last one closed; empty bins are left out."""
    p, y = _pairs(p, y)
    number = np.minimum(np.searchsorted(edges, p, side="right") - 1, len(edges) - 2)
    bins = []
    for b in range(len(edges) - 1):
        mine = number == b
        if mine.any():
            here = int(mine.sum()), float(p[mine].mean()), float(y[mine].mean())
            bins.append(Bin(edges[b], edges[b + 1], *here))
    return bins


def brier_parts(p: Floats, y: Floats, edges: tuple[float, ...] = EDGES) -> Brier:
    """The Brier score, mean (p - y)^2, with its decomposition over the bins of `reliability_table`."""
    p, y = _pairs(p, y)
    score = float(np.mean((p - y) ** 2))
    base = float(y.mean())
    table = reliability_table(p, y, edges)
    weight = np.array([each.n for each in table]) / len(p)
    forecast = np.array([each.forecast for each in table])
    realised = np.array([each.realised for each in table])
    reliability = float(weight @ (forecast - realised) ** 2)
    resolution = float(weight @ (realised - base) ** 2)
    uncertainty = base * (1.0 - base)
    return Brier(score, reliability, resolution, uncertainty, score - reliability + resolution - uncertainty)


def block_interval(
    values: Floats, block: int, draws: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean of a series in time, and the ends of its interval, by circular moving blocks of `block` values.

    NaN are left out of each mean. Source: H. Kuensch, Ann. Stat. 17 (1989) 1217; D. Politis and J. Romano
    (1992) for the circle.
    """
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)
    size = len(values)
    block = max(1, min(block, size))
    blocks = -(-size // block)
    rng = np.random.default_rng(seed)
    # sums over each circular block, so that a draw is a sum of sums
    sums, counts = (
        np.convolve(np.r_[series, series[: block - 1]], np.ones(block), mode="valid")
        for series in (filled, there.astype(np.float64))
    )
    chosen = rng.integers(0, size, (draws, blocks))
    with np.errstate(invalid="ignore"):
        means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(filled.sum() / there.sum()), float(low), float(high)


def _pairs(p: Floats, y: Floats) -> tuple[Floats, Floats]:
    there = ~(np.isnan(p) | np.isnan(y))
    return np.asarray(p)[there], np.asarray(y)[there]
