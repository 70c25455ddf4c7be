"""The work of the kernel in numpy, tuned: what can be had without a compiler.

float32 throughout, numpy's fastest generator (SFC64), matrix products by regime for those paths that are in
it, one row of weights for each account and mark, their running minimum, thresholds compared at horizons only.
Its random numbers are numpy's own, so that counts agree with the kernel's in law, not one by one.
"""

from __future__ import annotations

import numpy as np

from benchmarks.problem import Counts, Problem, Screen, by_leverage, rows_of
from kernels.plain import Floats32
from kernels.structs import MARKS, Floats

BATCH = 1024  # paths at a time, the best of 256 to 8192: their state stays in cache


def prepare_numpy(problem: Problem, paths: int) -> Screen:
    """Ready to be called."""
    size, requirement = rows_of(problem.book, problem.market.spot.size)
    rows = _single((size - requirement) * problem.market.spot).reshape(-1, problem.market.spot.size)

    def simulate() -> Counts:
        rng = np.random.Generator(np.random.SFC64(problem.seed))
        shape = (MARKS, problem.accounts, problem.leverages, problem.horizons)
        counts = np.zeros(shape, np.int64)
        for first in range(0, paths, BATCH):
            _screen_batch(rng, min(BATCH, paths - first), problem, rows, counts)
        return by_leverage(counts, problem.book)

    return simulate


def _screen_batch(
    rng: np.random.Generator, paths: int, problem: Problem, rows: Floats32, counts: Counts
) -> None:
    market, book, clock = problem.market, problem.book, problem.clock
    assets = market.spot.size
    loading, drift = _single(market.loading[0, :, :, :assets]), _single(market.drift[0])
    initial, transitions = _single(market.initial), _single(market.transitions)
    threshold = _single(book.threshold + book.base[:, None])
    price = np.ones((assets, paths), np.float32)  # as multiples of those at the start
    lowest = np.full((rows.shape[0], paths), np.inf, np.float32)
    reached = np.empty((rows.shape[0], paths), np.float32)
    regime = np.zeros(paths, np.int64)
    normal, move = np.empty((assets, paths), np.float32), np.empty((assets, paths), np.float32)
    for step in range(clock.steps):
        law = initial if step == 0 else transitions[regime]
        regime = (rng.random(paths, np.float32)[:, None] > law[:, :-1]).sum(axis=1)
        rng.standard_normal(dtype=np.float32, out=normal)
        for k, nu in enumerate(problem.tails):
            here = np.flatnonzero(regime == k)
            gamma = rng.standard_gamma(np.float32(0.5 * nu), here.size, np.float32)
            noise = loading[k] @ normal[:, here]
            noise *= np.sqrt(np.float32(0.5 * nu - 1.0) / gamma)
            noise += drift[k][:, None]
            move[:, here] = noise
        price *= np.exp(move, out=move)
        np.matmul(rows, price, out=reached)
        np.minimum(lowest, reached, out=lowest)
        if clock.ends[step]:
            least = lowest.reshape(MARKS, -1, 1, paths)
            counts[..., clock.horizon[step]] += np.count_nonzero(least < threshold[..., None], axis=-1)


def _single(values: Floats) -> Floats32:
    return np.ascontiguousarray(values, np.float32)
