"""Which level and regime each path of a tile is in, and how heavy its tail is in this step."""

from __future__ import annotations

import numpy as np

from kernels.jit import inlined
from kernels.plain import MIXING_CELLS, SMALLEST_OCTAVE, TILE, Floats32, Plain, Words
from kernels.plain_room import Room
from kernels.random import SLOT_STEP, draw_words16, fine_uniform16
from kernels.simd import (
    WIDTH,
    Vector,
    bits,
    choose,
    choose_words,
    floats,
    floats_of_words,
    fma,
    gather,
    lanes_of,
    load,
    store,
    words,
    words_of_mask,
)
from kernels.structs import CELL_BITS

JUMP_WORD = 2  # row of Room.word
_CELL_SHIFT = 23 - CELL_BITS
_FIRST_CELL = (127 + SMALLEST_OCTAVE) << CELL_BITS
_WITHIN = (1 << _CELL_SHIFT) - 1


@inlined
def follow_law(word: Vector, law: Words) -> Vector:
    """The state that words choose by thresholds (n - 1,) of their upper 31 bits."""
    half = word >> 1
    state = words(0)
    for c in range(law.shape[0]):
        state = state + words_of_mask(half >= words(law[c]))
    return state


@inlined
def follow_chain(word: Vector, now: Vector, laws: Words) -> Vector:
    """The next state by laws (n, n - 1), one for each state now."""
    half = word >> 1
    state = words(0)
    for c in range(laws.shape[1]):
        bound = words(laws[0, c])
        for k in range(1, laws.shape[0]):
            bound = choose_words(now == words(np.uint32(k)), words(laws[k, c]), bound)
        state = state + words_of_mask(half >= bound)
    return state


@inlined
def read_mixing16(table: Floats32, start: Vector, word: Vector, other: Vector) -> Vector:
    """w = sqrt((nu - 2) / chi2 quantile) from tables that start there, linear within a cell.

    By the smaller of u and 1 - u: of a word and its complement, which is as exact near one as near zero.
    """
    upper = word >= words(0x80000000)
    flip = words(0) - words_of_mask(upper)
    u = bits(fine_uniform16(word ^ flip, other ^ flip))
    cell = start + (words_of_mask(upper) * MIXING_CELLS) + ((u >> _CELL_SHIFT) - _FIRST_CELL)
    below = gather(table, cell)
    share = floats_of_words(u & _WITHIN) * (1.0 / (_WITHIN + 1))
    return fma(share, gather(table, cell + 1) - below, below)


@inlined
def switch_states(plain: Plain, seed: np.uint64, step: int, tile: int, room: Room) -> None:
    """Draw the step's words, and put in the levels and regimes in force over the step."""
    anew = step % plain.substeps == 0
    for v in range(0, TILE, WIDTH):
        if anew or plain.has_jumps:
            path, path_high = load(room.path, (tile, 0, v)), load(room.path, (tile, 1, v))
            w0, w1, w2, w3 = draw_words16(seed, path, path_high, np.uint64(step), SLOT_STEP)
            if plain.has_jumps:
                store(room.word, (tile, JUMP_WORD, v), w3)
            if not anew:
                continue
            store(room.word, (tile, 0, v), w1)
            store(room.word, (tile, 1, v), w0)
            level = load(room.level, (tile, v))
            if plain.levels > 1:
                if step == 0:
                    level = follow_law(w2, plain.level_initial)
                else:
                    level = follow_chain(w2, level, plain.level_transitions)
                store(room.level, (tile, v), level)
            for s in range(plain.leader.shape[0]):
                if plain.leader[s] == s:
                    if step == 0:
                        store(room.regime, (tile, s, v), follow_chain(w0, level, plain.initial))
                    else:
                        now = load(room.regime, (tile, s, v))
                        store(room.regime, (tile, s, v), follow_chain(w0, now, plain.transitions))
    for s in range(plain.leader.shape[0]):
        forced = plain.forced[s, step]
        if plain.leader[s] == s and forced >= 0:
            room.regime[tile, s] = np.uint32(forced)


@inlined
def find_present(regime: Words, regimes: int) -> np.uint32:
    """Which regimes any path of the tile is in, as bits."""
    first, second = load(regime, 0), load(regime, WIDTH)
    present = np.uint32(0)
    for k in range(regimes):
        here = words(np.uint32(k))
        if (lanes_of(first == here) | lanes_of(second == here)) != 0:
            present = np.uint32(present | (np.uint32(1) << np.uint32(k)))
    return present


@inlined
def mix_weights(
    plain: Plain, parameters: int, level: Words, regime: Words, word: Words, weight: Floats32
) -> None:
    """weight (TILE,): the t-mixing number of each path's regime, times the scale of its level."""
    for v in range(0, TILE, WIDTH):
        mixed = floats(1.0)
        if plain.mixes[parameters]:
            start, k = words(0), load(regime, v)
            for c in range(plain.regimes):
                start = choose_words(k == words(np.uint32(c)), words(plain.mixing[parameters, c]), start)
            mixed = read_mixing16(plain.mixing_table, start, load(word, (0, v)), load(word, (1, v)))
        if plain.levels > 1:
            m = load(level, v)
            scale = floats(0.0)
            for c in range(plain.levels):
                scale = choose(m == words(np.uint32(c)), floats(plain.level_scale[c]), scale)
            mixed = mixed * scale
        store(weight, v, mixed)
