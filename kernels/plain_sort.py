"""Paths in order of their regime, so that a tile of them has one regime, or few.

Tiles that walk side by side are cut into regions, one for each regime and as large as the regime has paths.
A path that has switched is astray, and changes places with one that is astray where it belongs. Nothing that
a path meets depends on its place: its number, which its random numbers go by, moves with it.
"""

from __future__ import annotations

import numpy as np

from kernels.jit import hot, inlined
from kernels.plain import TILE, Floats32, Integers, Words
from kernels.simd import WIDTH, count_bits, lane_numbers, lanes_of, load, lowest_bit, words, words_of_mask

ALL_LANES = np.uint32((1 << WIDTH) - 1)


@inlined
def swap_words(rows: Words, first: int, second: int) -> None:
    """Exchange two lanes of rows (C, n, TILE)."""
    c, v, d, w = first // TILE, first % TILE, second // TILE, second % TILE
    for i in range(rows.shape[1]):
        rows[c, i, v], rows[d, i, w] = rows[d, i, w], rows[c, i, v]


@inlined
def swap_floats(rows: Floats32, first: int, second: int) -> None:
    """Exchange two lanes of rows (C, n, TILE)."""
    c, v, d, w = first // TILE, first % TILE, second // TILE, second % TILE
    for i in range(rows.shape[1]):
        rows[c, i, v], rows[d, i, w] = rows[d, i, w], rows[c, i, v]


@inlined
def note_astray(astray: Integers, region: int, regime: int, lane: int) -> None:
    """Put a lane on the list of its region and regime."""
    count = astray[region, regime, 0] + 1
    astray[region, regime, 0] = count
    astray[region, regime, count] = lane


@inlined
def take_astray(astray: Integers, region: int, regime: int) -> int:
    """Take the last lane off a list."""
    count = astray[region, regime, 0]
    astray[region, regime, 0] = count - 1
    return int(astray[region, regime, count])


@hot
def find_astray(regime: Words, sizes: Integers, astray: Integers) -> None:
    """Fill astray (K, K, lanes + 1): by region and regime how many lanes are astray, then which.

    regime (tiles, TILE); sizes (K,) is room.
    """
    astray[:, :, 0] = 0
    for k in range(sizes.shape[0]):
        sizes[k] = 0
        for tile in range(regime.shape[0]):
            for v in range(0, TILE, WIDTH):
                sizes[k] += count_bits(lanes_of(load(regime[tile], v) == words(np.uint32(k))))
    for tile in range(regime.shape[0]):
        for v in range(0, TILE, WIDTH):
            first = tile * TILE + v
            lane, region, end = lane_numbers(np.uint32(first)), words(0), 0
            for k in range(sizes.shape[0] - 1):
                end += sizes[k]
                region = region + words_of_mask(lane >= words(np.uint32(end)))
            home = lanes_of(load(regime[tile], v) == region)
            while home != ALL_LANES:
                i = lowest_bit(np.uint32(~home))
                home = np.uint32(home | (np.uint32(1) << np.uint32(i)))
                where, end = 0, sizes[0]
                while first + i >= end:
                    where += 1
                    end += sizes[where]
                note_astray(astray, where, int(regime[tile, v + i]), first + i)


@hot
def sort_lanes(
    regime: Words,
    sizes: Integers,
    astray: Integers,
    labels: tuple[Words, ...],
    columns: tuple[Floats32, ...],
) -> None:
    """Bring every lane into the region of its regime (tiles, TILE), with its labels and columns (C, n, TILE).

    A lane that belongs to another region changes places with one there that belongs here, or else with any
    that is astray there.
    """
    find_astray(regime, sizes, astray)
    for region in range(sizes.shape[0]):
        wanted = 0
        while wanted < sizes.shape[0]:
            if wanted == region or astray[region, wanted, 0] == 0:
                wanted += 1
                continue
            lane, found = take_astray(astray, region, wanted), region
            if astray[wanted, region, 0] == 0:
                found = 0
                while found == wanted or astray[wanted, found, 0] == 0:
                    found += 1
            other = take_astray(astray, wanted, found)
            for label in labels:
                swap_words(label, lane, other)
            for column in columns:
                swap_floats(column, lane, other)
            if found != region:
                note_astray(astray, region, found, lane)
                wanted = min(wanted, found)
