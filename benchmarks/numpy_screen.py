"""The work of the kernel in plain numpy, vectorised over paths: what one would write without a compiler.

The same market (regimes, correlated returns, Student-t mixing), the same accounts, marks, leverages and
horizons, float64, accounts looked at where steps end. Its random numbers are numpy's own, so that counts
agree with the kernel's in law, not one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kernels.structs import MARKS, Book, Clock, Floats, Integers, Market

BATCH = 1024  # paths at a time, the best of 512 to 8192: their state stays in cache


def screen_paths(
    seed: int, paths: int, market: Market, book: Book, clock: Clock, tails: Sequence[float]
) -> NDArray[np.int64]:
    """Paths below each mark by each horizon: (MARKS, P, L, H).

    One scenario without shocks, funding or jumps; `tails` are the degrees of freedom of the regimes.
    Leverages are in the book's order of thresholds.
    """
    rng = np.random.default_rng(seed)
    rows = _net_sizes(book, market.spot.shape[0])
    counts = np.zeros((MARKS, *book.threshold.shape[1:], int(clock.horizon[-1]) + 1), np.int64)
    for first in range(0, paths, BATCH):
        _screen_batch(rng, min(BATCH, paths - first), market, book, clock, tails, rows, counts)
    return counts


def _screen_batch(
    rng: np.random.Generator,
    paths: int,
    market: Market,
    book: Book,
    clock: Clock,
    tails: Sequence[float],
    rows: Floats,
    counts: NDArray[np.int64],
) -> None:
    assets = market.spot.shape[0]
    price = np.repeat(market.spot[:, None], paths, axis=1)
    base = np.tile(book.base, MARKS)[:, None]
    lowest = np.full((rows.shape[0], paths), np.inf)
    regime: Integers = np.zeros(paths, np.int64)
    move = np.empty((assets, paths))
    for step in range(clock.steps):
        law = market.initial if step == 0 else market.transitions[regime]
        regime = (rng.random(paths)[:, None] > law[:, :-1]).sum(axis=1)
        normal = rng.standard_normal((assets, paths))
        for k, nu in enumerate(tails):
            here = np.flatnonzero(regime == k)
            weight = np.sqrt((nu - 2.0) / (2.0 * rng.standard_gamma(0.5 * nu, here.size)))
            noise = market.loading[0, k, :, :assets] @ normal[:, here]
            move[:, here] = market.drift[0, k][:, None] + weight * noise
        price *= np.exp(move)
        np.minimum(lowest, rows @ price - base, out=lowest)
        if step == clock.steps - 1 or clock.horizon[step + 1] > clock.horizon[step]:
            least = lowest.reshape(MARKS, -1, 1, paths)
            counts[..., clock.horizon[step]] += (least < book.threshold[..., None]).sum(axis=-1)


def _net_sizes(book: Book, assets: int) -> Floats:
    """(MARKS x P, A): what X gains when an asset's price gains one."""
    rows = np.zeros((MARKS, book.base.shape[0], assets))
    for account in range(book.base.shape[0]):
        for n in range(book.start[account], book.start[account + 1]):
            rows[:, account, book.asset[n]] += book.size[n] - book.requirement[:, n]
    return rows.reshape(-1, assets)
