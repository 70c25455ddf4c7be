"""What the model has to beat: one Gaussian law for all times, and history shuffled in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.bars import HOUR, Bars
from pipeline.backtest.books import MAINTENANCE, StandardBook
from pipeline.history import Prices
from pipeline.model import MarketModel
from pipeline.units import YEAR

Floats = NDArray[np.float64]

BLOCK = timedelta(days=1)  # of history, drawn whole
_CHUNK = 1024


def gaussian_model(prices: Prices) -> MarketModel:
    """A market model of one regime without tails: covariance of the window's returns, and no drift."""
    returns = prices.log_returns()
    whole = returns[~np.isnan(returns).any(axis=1)]
    covariance = np.cov(whole.T).reshape(2 * (len(prices.assets),))
    deviations = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(deviations, deviations)
    np.fill_diagonal(correlation, 1.0)
    volatility = deviations * np.sqrt(YEAR / prices.step)
    regime: dict[str, Any] = {
        "volatility": dict(zip(prices.assets, volatility.tolist(), strict=True)),
        "correlation": correlation.tolist(),
        "tail": None,
    }
    return MarketModel.model_validate(
        {
            "step": prices.step,
            "assets": list(prices.assets),
            "initial": "stationary",
            "regimes": {"market": regime},
        }
    )


def resampled_passages(
    bars: Bars,
    window: tuple[int, int],
    books: Sequence[StandardBook],
    leverages: Sequence[float],
    horizons: Sequence[timedelta],
    paths: int,
    seed: int,
    inside: bool = True,
) -> Floats:
    """P(liquidated by the horizon), (books, leverages, horizons), on history drawn in blocks of a day.

    Blocks begin at any hour of the rows `window` = (first, last) and are joined until the horizon (the moving
    blocks of Kuensch 1989); blocks with a missing bar of the book's assets are not drawn. Each hour counts
    with its low, high and close relative to the close before; the rule of liquidation is that of `outcomes`.
    NaN where no whole block is there.
    """
    first, last = window
    block = BLOCK // HOUR
    pieces = -(-max(horizons) // BLOCK)
    rng = np.random.default_rng(seed)
    draws = rng.random((paths, pieces))
    lengths = [horizon // HOUR for horizon in horizons]
    result = np.full((len(books), len(leverages), len(horizons)), np.nan)
    for b, book in enumerate(books):
        columns = bars.columns(book.assets)
        before = np.log(bars.close[first : last - 1, columns])
        moves = np.log(bars.close[first + 1 : last, columns]) - before
        sides = (bars.low, bars.high) if inside else (bars.close,)
        extremes = [np.log(side[first + 1 : last, columns]) - before for side in sides]
        whole = ~np.isnan(moves).any(axis=1)
        run = np.convolve(whole, np.ones(block, int), mode="valid") if len(whole) >= block else np.empty(0)
        begins = np.flatnonzero(run == block)
        if len(begins) == 0:
            continue
        least = np.empty((paths, len(lengths)))
        shares = book.signed()
        slope = shares - MAINTENANCE * np.abs(shares)
        for start in range(0, paths, _CHUNK):
            drawn = begins[(draws[start : start + _CHUNK] * len(begins)).astype(np.int64)]
            rows = (drawn[:, :, None] + np.arange(block)).reshape(len(drawn), -1)
            path = np.cumsum(moves[rows], axis=1)
            path -= moves[rows]  # at the start of each hour
            x = np.min([np.exp(path + extreme[rows]) @ slope for extreme in extremes], axis=0)
            running = np.minimum.accumulate(x, axis=1) - shares.sum()
            least[start : start + _CHUNK] = running[:, [length - 1 for length in lengths]]
        barrier = -1.0 / np.asarray(leverages)
        result[b] = (least[:, None, :] < barrier[None, :, None]).mean(axis=0)
    return result
