"""Jumps in a tile: rare, so that each path that has any draws them by itself, as in the general walk."""

from __future__ import annotations

import numpy as np

from kernels.elementary import exp
from kernels.jit import hot
from kernels.market import WILDEST, draw_jump_sum
from kernels.plain import TILE, Floats32, Leaps, Words
from kernels.plain_states import JUMP_WORD
from kernels.random import join_path
from kernels.simd import WIDTH, choose_words, lanes_of, load, lowest_bit, words
from kernels.structs import Floats, Key, Law

TALLEST = 1e35  # a factor on a price is cut here: infinite, it would make a price of zero none at all


@hot
def add_plain_jumps(
    leaps: Leaps,
    seed: np.uint64,
    step: int,
    parameters: int,
    path: Words,
    word: Words,
    regime: Words,
    normal: Floats,
    jump: Floats,
    growth: Floats32,
) -> None:
    """Multiply growth (A, TILE) by the exponential of the step's jumps, where a path has any.

    path (2, TILE), word (3, TILE) and regime (TILE,) of a tile; normal (F,) and jump (A,) are room.
    """
    bound = leaps.bound[parameters]
    for v in range(0, TILE, WIDTH):
        here = words(bound[0, 0])
        for k in range(1, bound.shape[0]):
            here = choose_words(load(regime, v) == words(np.uint32(k)), words(bound[k, 0]), here)
        jumping = lanes_of((load(word, (JUMP_WORD, v)) >> 1) >= here)
        while jumping != 0:
            lane = v + lowest_bit(jumping)
            jumping = np.uint32(jumping & (jumping - np.uint32(1)))
            k = int(regime[lane])
            half = word[JUMP_WORD, lane] >> np.uint32(1)
            count = 0
            while count < bound.shape[1] and half >= bound[k, count]:
                count += 1
            key = Key(seed, join_path(path[0, lane], path[1, lane]), np.uint64(step))
            draw_jump_sum(leaps, Law(parameters, k, 1.0), key, count, normal, jump)
            for a in range(growth.shape[0]):
                factor = exp(min(max(jump[a], -WILDEST), WILDEST))
                growth[a, lane] = min(growth[a, lane] * factor, TALLEST)
