"""Sums over assets for four rows and 32 paths at a time, and what pools have met.

A row is a line in the prices: a return's loadings, or a pool's value less its requirement. Four rows times
two vectors are eight sums under way at once, enough to keep two multiply-add units busy; each price is
loaded once for four rows.
"""

from __future__ import annotations

import numpy as np

from kernels.jit import hot, inlined
from kernels.plain import Floats32, Integers, Plain, Words
from kernels.simd import WIDTH, Vector, choose, count_bits, floats, fma, lanes_of, least, load, spread, store
from kernels.structs import LIQUIDATION, MARKS

Eight = tuple[Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector]  # two for each of four rows


@inlined
def sum_rows(weights: Floats32, columns: int, x: Floats32, start: Eight) -> Eight:
    """Four rows' sums of weights (columns, 4) times x (columns, TILE), added to those given."""
    a0, b0, a1, b1, a2, b2, a3, b3 = start
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
    return a0, b0, a1, b1, a2, b2, a3, b3


@inlined
def no_rows() -> Eight:
    """Nothing in four rows."""
    zero = floats(0.0)
    return zero, zero, zero, zero, zero, zero, zero, zero


@inlined
def load_rows(x: Floats32, first: int) -> Eight:
    """Four rows of x (rows, TILE), from one on."""
    return (
        load(x, (first, 0)),
        load(x, (first, WIDTH)),
        load(x, (first + 1, 0)),
        load(x, (first + 1, WIDTH)),
        load(x, (first + 2, 0)),
        load(x, (first + 2, WIDTH)),
        load(x, (first + 3, 0)),
        load(x, (first + 3, WIDTH)),
    )


@inlined
def store_rows(x: Floats32, first: int, rows: Eight) -> None:
    """Put four rows into x (rows, TILE), from one on."""
    store(x, (first, 0), rows[0])
    store(x, (first, WIDTH), rows[1])
    store(x, (first + 1, 0), rows[2])
    store(x, (first + 1, WIDTH), rows[3])
    store(x, (first + 2, 0), rows[4])
    store(x, (first + 2, WIDTH), rows[5])
    store(x, (first + 3, 0), rows[6])
    store(x, (first + 3, WIDTH), rows[7])


@inlined
def choose_rows(first: Vector, second: Vector, x: Eight, y: Eight) -> Eight:
    """x where the masks of the first and the second vector hold, else y."""
    return (
        choose(first, x[0], y[0]),
        choose(second, x[1], y[1]),
        choose(first, x[2], y[2]),
        choose(second, x[3], y[3]),
        choose(first, x[4], y[4]),
        choose(second, x[5], y[5]),
        choose(first, x[6], y[6]),
        choose(second, x[7], y[7]),
    )


@inlined
def lower_rows(
    weights: Floats32, first: int, x: Floats32, received: Floats32, receives: int, lowest: Floats32
) -> None:
    """Four rows of lowest (R4, TILE), from one on: the least of themselves and of weights (A, 4) times
    x (A, TILE), plus received (R4, TILE)."""
    start = load_rows(received, first) if receives else no_rows()
    sums, low = sum_rows(weights, weights.shape[0], x, start), load_rows(lowest, first)
    least_rows = (
        least(sums[0], low[0]),
        least(sums[1], low[1]),
        least(sums[2], low[2]),
        least(sums[3], low[3]),
        least(sums[4], low[4]),
        least(sums[5], low[5]),
        least(sums[6], low[6]),
        least(sums[7], low[7]),
    )
    store_rows(lowest, first, least_rows)


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
                elif not counts:
                    break  # levels descend
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
        met = hit[LIQUIDATION, i, plain.unit]
        if met != 0:
            for j in range(joint.shape[3]):
                both = met & hit[LIQUIDATION, j, plain.unit]
                if both != 0:
                    joint[scenario, horizon, i, j] += count_bits(both)
