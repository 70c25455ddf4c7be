"""Sums over assets for four rows and 32 paths at a time, and what pools have met.

A row is a line in the prices: a return's loadings, or a pool's value less its requirement. Four rows times
two vectors are eight sums under way at once, enough to keep two multiply-add units busy; each price is
loaded once for four rows.
"""

from __future__ import annotations

import numpy as np

from kernels.jit import hot, inlined
from kernels.plain import Floats32, Integers, Plain, Words
from kernels.simd import WIDTH, Vector, count_bits, floats, fma, lanes_of, least, load, spread, store
from kernels.structs import LIQUIDATION, MARKS


@inlined
def sum_rows(weights: Floats32, columns: int, x: Floats32, sums: Floats32) -> None:
    """Add to sums (4, TILE) the weights (columns, 4) times x (columns, TILE)."""
    a0, a1, a2, a3 = load(sums, (0, 0)), load(sums, (1, 0)), load(sums, (2, 0)), load(sums, (3, 0))
    b0, b1 = load(sums, (0, WIDTH)), load(sums, (1, WIDTH))
    b2, b3 = load(sums, (2, WIDTH)), load(sums, (3, WIDTH))
    for j in range(columns):
        first, second = load(x, (j, 0)), load(x, (j, WIDTH))
        w = spread(weights, (j, 0))
        a0, b0 = fma(w, first, a0), fma(w, second, b0)
        w = spread(weights, (j, 1))
        a1, b1 = fma(w, first, a1), fma(w, second, b1)
        w = spread(weights, (j, 2))
        a2, b2 = fma(w, first, a2), fma(w, second, b2)
        w = spread(weights, (j, 3))
        a3, b3 = fma(w, first, a3), fma(w, second, b3)
    store(sums, (0, 0), a0)
    store(sums, (1, 0), a1)
    store(sums, (2, 0), a2)
    store(sums, (3, 0), a3)
    store(sums, (0, WIDTH), b0)
    store(sums, (1, WIDTH), b1)
    store(sums, (2, WIDTH), b2)
    store(sums, (3, WIDTH), b3)


@inlined
def lower_rows(
    weights: Floats32, x: Floats32, received: Floats32, has_funding: int, lowest: Floats32
) -> None:
    """lowest (4, TILE): the least of itself and of weights (A, 4) times x (A, TILE), plus received."""
    if has_funding:
        a0, a1 = load(received, (0, 0)), load(received, (1, 0))
        a2, a3 = load(received, (2, 0)), load(received, (3, 0))
        b0, b1 = load(received, (0, WIDTH)), load(received, (1, WIDTH))
        b2, b3 = load(received, (2, WIDTH)), load(received, (3, WIDTH))
    else:
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = floats(0.0)
    for j in range(weights.shape[0]):
        first, second = load(x, (j, 0)), load(x, (j, WIDTH))
        w = spread(weights, (j, 0))
        a0, b0 = fma(w, first, a0), fma(w, second, b0)
        w = spread(weights, (j, 1))
        a1, b1 = fma(w, first, a1), fma(w, second, b1)
        w = spread(weights, (j, 2))
        a2, b2 = fma(w, first, a2), fma(w, second, b2)
        w = spread(weights, (j, 3))
        a3, b3 = fma(w, first, a3), fma(w, second, b3)
    keep_least(lowest, 0, a0, b0)
    keep_least(lowest, 1, a1, b1)
    keep_least(lowest, 2, a2, b2)
    keep_least(lowest, 3, a3, b3)


@inlined
def keep_least(lowest: Floats32, row: int, first: Vector, second: Vector) -> None:
    """Lower a row of lowest (rows, TILE)."""
    store(lowest, (row, 0), least(first, load(lowest, (row, 0))))
    store(lowest, (row, WIDTH), least(second, load(lowest, (row, WIDTH))))


@inlined
def lanes_below(lowest: Floats32, row: int, level: float) -> np.uint32:
    """The paths of a tile whose row of lowest (rows, TILE) is below a level, as bits."""
    first = lanes_of(load(lowest, (row, 0)) < floats(level))
    second = lanes_of(load(lowest, (row, WIDTH)) < floats(level))
    return np.uint32(first | np.uint32(second << np.uint32(WIDTH)))


@hot
def count_hits(
    plain: Plain,
    scenario: int,
    horizon: int,
    lanes: np.uint32,
    lowest: Floats32,
    hit: Words,
    emptied: Words,
    hits: Integers,
    joint: Integers,
    last_pool: Integers,
) -> None:
    """Add what a tile's paths have met so far to the counts by that horizon.

    lanes: which of them count; lowest (MARKS, R4, TILE) least X; hit (MARKS, P, L) and emptied (V, L) are
    room. An account meets a mark with the first of its pools, and is emptied with the last.
    """
    hit[:] = 0
    for account in range(plain.several.shape[0]):
        if plain.several[account] >= 0:
            emptied[plain.several[account]] = lanes if plain.pools[account] > 0 else np.uint32(0)
    for mark in range(MARKS):
        for pool in range(plain.account.shape[0]):
            account = plain.account[pool]
            several = plain.several[account]
            counts = mark == LIQUIDATION and several >= 0 and plain.at_risk[pool] != 0
            below = lanes
            for rank in range(plain.ranks[mark, pool]):
                if below == 0 and not counts:
                    break  # nor below any lower level
                if below != 0:
                    level = plain.threshold[mark, pool, rank]
                    below = np.uint32(lanes & lanes_below(lowest[mark], pool, level))
                leverage = plain.leverage[pool, rank]
                hit[mark, account, leverage] |= below
                if counts:
                    emptied[several, leverage] &= below
        for account in range(hit.shape[1]):
            for leverage in range(hit.shape[2]):
                met = hit[mark, account, leverage]
                if met != 0:
                    hits[mark, scenario, account, leverage, horizon] += count_bits(met)
    for account in range(plain.several.shape[0]):
        several = plain.several[account]
        if several >= 0:
            for leverage in range(hit.shape[2]):
                last_pool[scenario, several, leverage, horizon] += count_bits(emptied[several, leverage])
    for i in range(joint.shape[2]):
        for j in range(joint.shape[3]):
            both = hit[LIQUIDATION, i, plain.unit] & hit[LIQUIDATION, j, plain.unit]
            if both != 0:
                joint[scenario, horizon, i, j] += count_bits(both)
