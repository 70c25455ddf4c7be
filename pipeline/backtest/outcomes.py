"""What then happened: how low each book's margin fell within each window, and which leverages that ended.

A book of shares w bought at prices p0 has, at prices p and per unit of its gross notional at the start, the
profit less maintenance margin

    X = sum of w_i (p_i / p0_i - 1) - m |w_i| p_i / p0_i

and at leverage L it is liquidated iff X < -1 / L. Within an hour X is taken at its worst of all lows at once
and all highs at once: the assets' extremes of an hour fall together far more often than not.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.bars import HOUR, Bars
from pipeline.backtest.books import MAINTENANCE, StandardBook

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_CHUNK = 512  # starts worked on together, so that memory stays small


def least_margin(
    bars: Bars, book: StandardBook, starts: Integers, horizons: Sequence[timedelta], inside: bool = True
) -> Floats:
    """The least X of a book in the windows from each start, (starts, horizons).

    starts are numbers of bars: a window begins when that many bars have closed, at the last one's close. With
    `inside` the hours' lows and highs count, without their closes alone. NaN where the window has a missing
    bar of the book, or goes on after the last bar: what happened there is not known.
    """
    columns = bars.columns(book.assets)
    shares = book.signed()
    slope = shares - MAINTENANCE * np.abs(shares)  # of X in p / p0
    net = shares.sum()
    close = bars.close[:, columns]
    paths = (bars.low[:, columns], bars.high[:, columns]) if inside else (close,)
    lengths = [horizon // HOUR for horizon in horizons]
    least = np.full((len(starts), len(lengths)), np.nan)
    longest = max(lengths)
    padded = [np.pad(p, ((0, longest), (0, 0)), constant_values=np.nan) for p in paths]
    for first in range(0, len(starts), _CHUNK):
        chunk = starts[first : first + _CHUNK]
        weight = slope / close[chunk - 1]
        rows = chunk[:, None] + np.arange(longest)
        x = np.einsum("sha,sa->sh", padded[0][rows], weight)
        for other in padded[1:]:
            x = np.minimum(x, np.einsum("sha,sa->sh", other[rows], weight))
        running = np.minimum.accumulate(x, axis=1) - net
        least[first : first + _CHUNK] = running[:, [length - 1 for length in lengths]]
    return least


def find_hits(least: Floats, leverages: Sequence[float]) -> Floats:
    """1 where a leverage was liquidated, 0 where not, NaN where not known: (starts, leverages, horizons)."""
    barrier = -1.0 / np.asarray(leverages)[None, :, None]
    x = least[:, None, :]
    return np.where(np.isnan(x), np.nan, (x < barrier).astype(np.float64))
