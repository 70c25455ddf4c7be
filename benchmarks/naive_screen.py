"""The work of the kernel as most people would write it in numpy: step by step, all paths at once, float64.

Its random numbers are numpy's own, so that counts agree with the kernel's in law, not one by one.
"""

from __future__ import annotations

import numpy as np

from benchmarks.problem import Counts, Problem, Screen, by_leverage, rows_of
from kernels.structs import MARKS

BATCH = 1024  # paths at a time: faster than a few or all at once


def prepare_naive(problem: Problem, paths: int) -> Screen:
    """Ready to be called."""

    def simulate() -> Counts:
        rng = np.random.default_rng(problem.seed)
        batches = [min(BATCH, paths - first) for first in range(0, paths, BATCH)]
        return sum((_screen_batch(rng, n, problem) for n in batches), np.zeros((), np.int64))

    return simulate


def _screen_batch(rng: np.random.Generator, paths: int, problem: Problem) -> Counts:
    market, book, clock = problem.market, problem.book, problem.clock
    assets = market.spot.size
    size, requirement = rows_of(book, assets)
    loading, drift = market.loading[0, :, :, :assets], market.drift[0]
    nu = np.array(problem.tails)
    price = np.tile(market.spot, (paths, 1))
    regime = np.zeros(paths, np.int64)
    hit = np.zeros((MARKS, problem.accounts, paths, problem.leverages), np.bool_)
    counts = np.zeros((MARKS, problem.accounts, problem.leverages, problem.horizons), np.int64)
    for step in range(clock.steps):
        law = market.initial[np.zeros(paths, np.int64)] if step == 0 else market.transitions[regime]
        regime = (rng.random(paths)[:, None] > law).sum(axis=1)
        normal = rng.standard_normal((paths, assets))
        noise = np.empty((paths, assets))
        for k in range(nu.size):
            noise[regime == k] = normal[regime == k] @ loading[k].T
        weight = np.sqrt((nu[regime] - 2.0) / rng.chisquare(nu[regime]))
        price *= np.exp(drift[regime] + weight[:, None] * noise)
        for account in range(problem.accounts):
            gain = price @ size[account] - book.base[account]
            for mark in range(MARKS):
                margin = gain - price @ requirement[mark, account]
                hit[mark, account] |= margin[:, None] < book.threshold[mark, account]
        if clock.ends[step]:
            counts[..., clock.horizon[step]] = hit.sum(axis=2)
    return by_leverage(counts, book)
