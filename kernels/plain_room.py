"""The state of the tiles of paths that the fast walk takes side by side, and room to compute one in."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kernels.jit import inlined
from kernels.plain import ROWS, TILE, Floats32, Integers, Plain, Words
from kernels.structs import MARKS, Floats

SORTED = 16  # tiles that walk side by side where their lanes are sorted
LINE = 16  # numbers of four bytes in a line of the cache
STATE = 1 << 20  # bytes their state may take: half of a core's second level of cache


class Room(NamedTuple):
    """The state of C tiles of paths, one a lane, and room to compute one in. R4: pools, padded."""

    path: Words  # (C, 2, TILE) low and high words
    word: Words  # (C, 2 or 3, TILE) of the mixing, which splits it, of the model's step; of the step's jumps
    level: Words  # (C, TILE)
    regime: Words  # (C, S, TILE) of the scenarios that others share theirs with
    price: Floats32  # (C, S, A, TILE) as multiples of those at `as_of`
    received: Floats32  # (C, S, R4, TILE) funding and cash received so far
    lowest: Floats32  # (C, S, MARKS, R4, TILE) least X where looked at
    rate: Floats32  # (C, S, B, TILE) annualised funding, where it reverts
    labels: tuple[Words, ...]  # all of the first four as (C, n, TILE)
    columns: tuple[Floats32, ...]  # the next four
    sizes: Integers  # (K,) see `plain_sort`
    astray: Integers  # (K, K, C x TILE + 1)
    factor: Floats32  # (F, TILE) standard normals
    noise: Floats32  # (S, A4, TILE) loading x normals, of the lane's regime
    weight: Floats32  # (S, TILE) t-mixing number times the level's scale
    growth: Floats32  # (S, A, TILE) factor that prices move by
    carry: Floats32  # (J, TILE) annualised rate x price
    normal: Floats32  # (1 + 4 blocks, TILE) of funding rates: common, then the assets' own
    first_normal: Floats32  # likewise, for where rates start
    jump_normal: Floats  # (F,)
    jump: Floats  # (A,) a step's jumps of one path
    burst_word: Words  # (2, TILE) of the uniform by which one comes
    burst_normal: Floats32  # (TILE,) of its size
    burst: Integers  # (2, TILE) lane and burst of the paths that have one, the first so many
    burst_size: Floats  # (S, TILE) what to multiply its move by, in the same order
    burst_move: Floats32  # (A, TILE) the step's returns by bursts
    hit: Words  # (MARKS, P, L)
    emptied: Words  # (V, L)


def count_tiles(plain: Plain) -> int:
    """How many tiles walk side by side: as many as are worth sorting by regime, or one.

    Sorted, a tile has paths of one regime, and correlates its normals once instead of once a regime: some
    A^2 (K - 1) / 2 multiply-adds saved for every path, for S (A + 4 R + B) numbers moved with each that
    switches.
    """
    scenarios, assets = plain.leader.size, plain.drift.shape[2]
    columns = scenarios * (assets + (1 + MARKS) * plain.weights.shape[1] * ROWS + plain.rates.own.size)
    fits = SORTED * columns * TILE * 4 <= STATE
    return SORTED if plain.regimes > 1 and fits and assets * assets >= 4 * columns else 1


def make_room(plain: Plain, accounts: int, several: int, leverages: int) -> Room:
    """Room for as many tiles as walk side by side: several where their paths are worth sorting."""
    tiles = count_tiles(plain)
    scenarios = plain.leader.size
    assets, factors = plain.drift.shape[2], plain.loading.shape[3]
    padded = plain.weights.shape[1] * ROWS

    def lanes(*shape: int) -> Floats32:
        return word_lanes(*shape).view(np.float32)

    def word_lanes(*shape: int) -> Words:
        # a vector that straddles two lines of the cache costs two loads
        flat = np.zeros(math.prod(shape) * TILE + LINE, np.uint32)
        first = -(flat.ctypes.data // flat.itemsize) % LINE
        return flat[first : first + flat.size - LINE].reshape(*shape, TILE)

    path, word = word_lanes(tiles, 2), word_lanes(tiles, 3 if plain.has_jumps else 2)
    regime = word_lanes(tiles, scenarios)
    level = word_lanes(tiles, 1)
    price = lanes(tiles, scenarios, assets)
    received = lanes(tiles, scenarios, padded)
    lowest = lanes(tiles, scenarios, MARKS, padded)
    rate = lanes(tiles, scenarios, plain.rates.own.size)
    return Room(
        path=path,
        word=word,
        level=level[:, 0],
        regime=regime,
        price=price,
        received=received,
        lowest=lowest,
        rate=rate,
        labels=(path, word, level, regime),
        columns=(
            price.reshape(tiles, -1, TILE),
            received.reshape(tiles, -1, TILE),
            lowest.reshape(tiles, -1, TILE),
            rate.reshape(tiles, rate.shape[1] * rate.shape[2], TILE),
        ),
        sizes=np.zeros(plain.regimes, np.int64),
        astray=np.zeros((plain.regimes, plain.regimes, tiles * TILE + 1), np.int64),
        factor=lanes(factors),
        noise=lanes(scenarios, plain.loading.shape[2] * ROWS),
        weight=lanes(scenarios),
        growth=lanes(scenarios, assets),
        carry=lanes(plain.funding.asset.size),
        normal=lanes(1 + 4 * plain.rates.slots.size),
        first_normal=lanes(1 + 4 * plain.rates.slots.size),
        jump_normal=np.zeros(factors),
        jump=np.zeros(assets),
        burst_word=word_lanes(2),
        burst_normal=lanes(1)[0],
        burst=np.zeros((2, TILE), np.int64),
        burst_size=np.zeros((scenarios, TILE)),
        burst_move=lanes(assets),
        hit=np.zeros((MARKS, accounts, leverages), np.uint32),
        emptied=np.zeros((several, leverages), np.uint32),
    )


@inlined
def is_tiled(plain: Plain, room: Room) -> bool:
    """Whether lanes and rows are as many as they always are: the compiler then counts on it."""
    return bool(
        room.path.shape[2] == TILE
        and room.word.shape[2] == TILE
        and room.level.shape[1] == TILE
        and room.regime.shape[2] == TILE
        and room.price.shape[3] == TILE
        and room.received.shape[3] == TILE
        and room.lowest.shape[4] == TILE
        and room.factor.shape[1] == TILE
        and room.noise.shape[2] == TILE
        and room.weight.shape[1] == TILE
        and room.growth.shape[2] == TILE
        and room.carry.shape[1] == TILE
        and room.rate.shape[3] == TILE
        and room.burst_move.shape[1] == TILE
        and room.normal.shape[1] == TILE
        and room.first_normal.shape[1] == TILE
        and plain.loading.shape[4] == ROWS
        and plain.weights.shape[3] == ROWS
        and plain.funding.paying.shape[3] == ROWS
    )
