"""Quantiles of where paths have been: from counts in bins to the cube's figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.quantiles import FINE, FINER, FLAT, LEAST_RATIO, MANTISSA_BITS
from kernels.structs import (
    AT_HORIZON,
    BINS,
    DRAWDOWN,
    LOWEST_EQUITY,
    LOWEST_RATIO,
    RESULT,
    SHORT_OF,
    SIDE,
    TIMES,
)
from pipeline.plan import Plan
from pipeline.quantiles_schema import QUANTILES, TAILS
from pipeline.tallies import Tallies
from pipeline.variable import LEVEL

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ENDS = ("", "_low", "_high")
KIND_OF = {
    "equity_q": AT_HORIZON,
    "min_equity_q": LOWEST_EQUITY,
    "min_margin_ratio_q": LOWEST_RATIO,
    "shortfall_q": SHORT_OF,
    "max_drawdown_q": DRAWDOWN,
}
FROM_AS_OF = (AT_HORIZON, LOWEST_EQUITY)  # counted by what they are above equity at `as_of`
ONE_SIDED = (SHORT_OF, DRAWDOWN)


def summarise_quantiles(tallies: Tallies, plan: Plan) -> dict[str, NDArray[Any]]:
    """Every variable of `pipeline.quantiles_schema`, from tallies that have what it takes."""
    histogram, scale = tallies.histogram, np.where(tallies.scale > 0, tallies.scale, 1.0)
    assert histogram is not None
    found: dict[str, NDArray[Any]] = {}
    for name, kind in KIND_OF.items():
        edges = np.broadcast_to(edges_of(kind, scale), (*scale.shape, BINS + 1))[:, :, np.newaxis]
        began = tallies.began[:, np.newaxis, np.newaxis, np.newaxis] if kind in FROM_AS_OF else 0.0
        for end, figures in zip(ENDS, _quantiles(histogram[kind], edges, kind), strict=True):
            found[f"{name}{end}"] = figures + began
    found |= _expected_shortfall(tallies)
    return found | _times(tallies, plan)


def _quantiles(counts: Integers, edges: Floats, kind: int) -> tuple[Floats, Floats, Floats]:
    """Estimates and both ends (..., Q), from counts (..., BINS), of what lies between edges."""
    levels = np.array(QUANTILES)
    paths = counts.sum(axis=-1)
    low, high = rank_interval(paths, levels)
    if kind in ONE_SIDED:
        low = np.where(np.isnan(low) & (paths > 0)[..., np.newaxis], 0.0, low)
    ranks = (paths[..., np.newaxis] * levels, low, high)
    values = tuple(_read_off(counts, edges, rank, to) for rank, to in zip(ranks, (None, 0, 1), strict=True))
    # a path is never above where it began: what is in the bin of that is that
    estimate, lower, upper = (np.minimum(v, 0.0) for v in values) if kind == LOWEST_EQUITY else values
    return estimate, lower, upper


def _read_off(counts: Integers, edges: Floats, rank: Floats, to: int | None) -> Floats:
    """(..., Q) the value that so many of the paths have or less: by a straight line within its bin, or the
    lower (`to` 0) or upper (1) edge of that, beyond which it is not.

    NaN for a rank that is not a number, and where there are no paths. Open bins are as wide as a line needs:
    that below counts as its upper edge, that above as its lower one.
    """
    total = np.cumsum(counts, axis=-1)
    at = np.where(np.isnan(rank), 0.0, rank)
    # the first bin that has paths, and as many as the rank
    enough = (total[..., np.newaxis, :] >= at[..., np.newaxis]) & (total[..., np.newaxis, :] > 0)
    place = enough.argmax(axis=-1)
    inside = np.take_along_axis(counts, place, axis=-1)
    before = np.take_along_axis(total, place, axis=-1) - inside
    edges = np.broadcast_to(edges, (*counts.shape[:-1], edges.shape[-1]))
    lower, upper = (np.take_along_axis(edges, place + side, axis=-1) for side in (0, 1))
    lower, upper = np.where(np.isneginf(lower), upper, lower), np.where(np.isposinf(upper), lower, upper)
    share = (at - before) / np.maximum(inside, 1) if to is None else np.full_like(at, to)
    with np.errstate(invalid="ignore"):  # infinite margin ratios have no width
        value = np.where(lower == upper, lower, lower + share * (upper - lower))
    return np.asarray(np.where(np.isnan(rank) | (total[..., -1:] == 0), np.nan, value), np.float64)


def _expected_shortfall(tallies: Tallies) -> dict[str, NDArray[Any]]:
    """Means of the worst paths, whose sums bins have; of the bin that the tail's edge is in the part that is
    worse, taken as spread evenly about that bin's mean.

    The interval is that of B. J. Manistre and G. H. Hancock, N. Am. Actuar. J. 9 (2005) 129, around the least
    and the most that the worse part of that bin can be.
    """
    from scipy.special import ndtri

    histogram, results = tallies.histogram, tallies.results
    assert histogram is not None
    assert results is not None
    counts = histogram[RESULT][..., np.newaxis, :]
    unit = tallies.money_quantum[:, np.newaxis, np.newaxis, np.newaxis, np.newaxis]
    mean = unit * results[..., np.newaxis, :] / np.maximum(counts, 1)
    edges = edges_of(RESULT, np.maximum(tallies.scale, 1e-300))[:, :, np.newaxis, np.newaxis]
    half = np.maximum(np.minimum(mean - edges[..., :-1], edges[..., 1:] - mean), 0.0)
    half = np.where(np.isfinite(half), half, 0.0)
    tails = np.array(TAILS)[:, np.newaxis]
    paths = counts.sum(axis=-1, keepdims=True)
    size = (1 - tails) * paths
    before = np.cumsum(counts, axis=-1) - counts
    taken = np.clip(size - before, 0.0, counts)
    share = taken / np.maximum(counts, 1)
    worst = mean - half * (1 - share)
    divisor = np.maximum(size[..., 0], 1e-300)
    loss = 0.0 - (taken * worst).sum(axis=-1) / divisor
    edge = -np.where(taken > 0, worst + half * share, -np.inf).max(axis=-1)
    within = half**2 / 3  # of what is spread evenly
    spread = np.maximum((taken * (worst**2 + within)).sum(axis=-1) / divisor - loss**2, 0.0)
    part = np.maximum(taken, 1e-300)
    with np.errstate(invalid="ignore"):
        deepest = np.fmax(edges[..., :-1], (counts * mean - (counts - taken) * edges[..., 1:]) / part)
    split = (taken > 0) & (taken < counts)
    most, least = (
        0.0 - (taken * np.where(split, of, mean)).sum(axis=-1) / divisor
        for of in (np.where(split, deepest, 0.0), mean)
    )
    tail = tails[:, 0]
    known = size[..., 0] >= 1
    with np.errstate(invalid="ignore"):
        error = np.sqrt((spread + tail * (loss - edge) ** 2) / divisor)
    reach = np.where(size[..., 0] >= 2, ndtri(0.5 + LEVEL / 2) * error, np.nan)
    return {
        "expected_shortfall": np.where(known, loss, np.nan),
        "expected_shortfall_low": np.minimum(least, loss) - reach,
        "expected_shortfall_high": np.maximum(most, loss) + reach,
    }


def _times(tallies: Tallies, plan: Plan) -> dict[str, NDArray[Any]]:
    """Times to liquidation, among the paths that are."""
    passages = tallies.passages
    assert passages is not None
    levels = np.array(QUANTILES)
    simulation = plan.simulation
    last = np.timedelta64(simulation.horizons[-1])
    stretch = -(-int(simulation.horizons[-1] / simulation.step) // TIMES) * np.timedelta64(simulation.step)
    ends = np.minimum(np.arange(1, TIMES + 1) * stretch, last).astype("timedelta64[ns]")
    paths = passages.sum(axis=-1)
    total = np.cumsum(passages, axis=-1)
    found: dict[str, NDArray[Any]] = {}
    for end, rank in zip(ENDS, (paths[..., np.newaxis] * levels, *rank_interval(paths, levels)), strict=True):
        at = np.maximum(np.where(np.isnan(rank), 0.0, rank), 1e-9)
        place = (total[..., np.newaxis, :] >= at[..., np.newaxis]).argmax(axis=-1)
        unknown = np.isnan(rank) | (paths == 0)[..., np.newaxis]
        when = np.where(unknown, np.timedelta64("NaT", "ns"), ends[place])
        now = tallies.liquidatable_now[..., np.newaxis]
        found[f"time_to_liquidation_q{end}"] = np.where(now, np.timedelta64(0, "ns"), when)
    return found


def edges_of(kind: int, scale: Floats | float) -> Floats:
    """(..., BINS + 1) edges of the bins of a kind of `kernels.structs`, for accounts of these scales.

    Bin b lies between edges b and b + 1. The outer ones are open: infinite. The first bin of what is never
    negative is zero itself. Margin ratios have no scale.
    """
    if kind == LOWEST_RATIO:
        return ratio_edges()
    if kind in ONE_SIDED:
        side = _distances(FINER, BINS - 1)
        edges = np.concatenate([[0.0], side[:-1], [np.inf]])
    else:
        side = _distances(FINE, SIDE)[1:-1]
        edges = np.concatenate([[-np.inf], -side[::-1], [0.0], side, [np.inf]])
    return np.asarray(FLAT * np.asarray(scale)[..., np.newaxis] * edges, np.float64)


def ratio_edges() -> Floats:
    """(BINS + 1,) edges of the bins of margin ratios: at most zero first, infinite last."""
    first = int(np.float64(LEAST_RATIO).view(np.int64))
    inner = _from_bits(first + (np.arange(1, BINS - 2) << (MANTISSA_BITS - FINE)))
    return np.concatenate([[-np.inf, 0.0], inner, [np.inf, np.inf]])


def _distances(fineness: int, cells: int) -> Floats:
    """(cells + 1,) edges from the middle of a grid outwards, in units of `FLAT` x scale."""
    one = int(np.float64(1.0).view(np.int64))
    return _from_bits(one + (np.arange(cells + 1) << (MANTISSA_BITS - fineness))) - 1.0


def _from_bits(bits: Integers) -> Floats:
    return np.asarray(bits, np.int64).view(np.float64)


def rank_interval(paths: Integers, levels: Floats) -> tuple[Floats, Floats]:
    """Ranks (..., Q) from 0 to `paths` between which quantiles lie at 95 %, whatever the distribution.

    Of n paths as many as Binomial(n, q) are below the quantile, so that it lies between two of them, in
    order. NaN where there are not paths enough to have any beyond it.
    """
    from scipy.stats import binom

    n = np.asarray(paths, np.int64)[..., np.newaxis]
    tail = (1 - LEVEL) / 2
    first, last = binom.ppf(tail, n, levels), binom.ppf(1 - tail, n, levels) + 1
    return np.where(first >= 1, first - 1, np.nan), np.where(last <= n, last, np.nan)
